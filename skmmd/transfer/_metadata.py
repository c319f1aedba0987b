"""How domains and weights reach the `fit` of an estimator, or of the steps of a pipeline."""

import inspect
from typing import Any

import numpy as np
import sklearn
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import has_fit_parameter

__all__ = ["domain_parameters", "fit_reweighter", "fit_weighted"]

FloatArray = NDArray[np.float64]


def domain_parameters(estimator: Any, sample_domain: ArrayLike | None) -> dict[str, Any]:
    """Return what `fit` takes to know the domains: nothing if neither it nor a step does."""
    if has_fit_parameter(estimator, "sample_domain"):
        return {"sample_domain": sample_domain}
    if sklearn.get_config()["enable_metadata_routing"]:
        consumed = get_routing_for_object(estimator).consumes("fit", ["sample_domain"])
        return {"sample_domain": sample_domain} if consumed else {}
    return {
        f"{name}__{parameter}": value
        for name, step in getattr(estimator, "steps", [])
        if hasattr(step, "fit")
        for parameter, value in domain_parameters(step, sample_domain).items()
    }


def _routes_weights(estimator: Any) -> bool:
    """Tell whether the weights go where the steps of an estimator have requested them."""
    if not sklearn.get_config()["enable_metadata_routing"]:
        return False
    return bool(get_routing_for_object(estimator).consumes("fit", ["sample_weight"]))


def _weight_parameter(estimator: Any) -> tuple[str, Any]:
    """Return the name under which `fit` takes weights, and who takes them: a pipeline's last."""
    name, last = "sample_weight", estimator
    if _routes_weights(estimator):
        return name, last
    steps = []
    while True:
        if isinstance(last, Pipeline):
            step, last = last.steps[-1]
            steps.append(step)
        elif isinstance(getattr(last, "estimator", None), Pipeline) and _passes_on(last):
            last = last.estimator  # a search hands on what it is given
        else:
            return "__".join([*steps, name]), last


def _passes_on(estimator: Any) -> bool:
    """Tell whether `fit` takes parameters that it does not name."""
    kinds = [p.kind for p in inspect.signature(estimator.fit).parameters.values()]
    return inspect.Parameter.VAR_KEYWORD in kinds


def fit_weighted(
    estimator: Any, X: NDArray[Any], y: NDArray[Any], weight: FloatArray | None
) -> Any:
    """Fit, with weights where there are any; a pipeline's last step takes them.

    Parameters
    ----------
    estimator : estimator
        What to fit.
    X : ndarray of shape (n_rows, n_features)
        Rows.
    y : ndarray of shape (n_rows,) or (n_rows, n_outputs)
        Labels or values.
    weight : ndarray of shape (n_rows,) or None
        Weights.

    Returns
    -------
    estimator
        The fitted estimator.

    Raises
    ------
    ValueError
        If it takes no weights.
    """
    if weight is None:
        return estimator.fit(X, y)
    name, taker = _weight_parameter(estimator)
    if not (has_fit_parameter(taker, "sample_weight") or _passes_on(taker)):
        raise ValueError(
            f"{type(taker).__name__}.fit has no sample_weight, so that source rows can't be "
            "weighted. Take an estimator that has (LogisticRegression, Ridge, trees, SVC, ...), or "
            "one that aligns the domains instead (TransferComponentAnalysis in a pipeline)."
        )
    # Routing would refuse weights that no step of a pipeline has asked for.
    with sklearn.config_context(enable_metadata_routing=_routes_weights(estimator)):
        return estimator.fit(X, y, **{name: weight})


def fit_reweighter(
    reweighter: Any,
    X: Any,
    sample_domain: ArrayLike | None,
    n_source: int,
    sample_weight: FloatArray | None = None,
) -> tuple[Any, FloatArray]:
    """Fit a clone of a reweighter, and return it with the weights of the source rows.

    Parameters
    ----------
    reweighter : estimator
        :class:`KernelMeanMatching`, a pipeline that ends in it, or what has `weights_` as it does.
    X : array-like of shape (n_rows, n_features)
        Rows of both domains.
    sample_domain : array-like of shape (n_rows,) or None
        0 or more for source rows, negative for target rows.
    n_source : int
        Number of source rows.
    sample_weight : ndarray of shape (n_rows,), default=None
        Weights of the rows.

    Returns
    -------
    fitted : estimator
        The fitted clone.
    weights : ndarray of shape (n_source,)
        Weights of the source rows.

    Raises
    ------
    TypeError
        If it does not take `sample_domain`.
    ValueError
        If it does not give one weight for each source row, or gives no row any weight.
    """
    fitted = clone(reweighter)
    parameters = domain_parameters(fitted, sample_domain)
    if not parameters:
        raise TypeError(
            f"The reweighter {fitted!r} takes no sample_domain in fit; pass KernelMeanMatching "
            "or a pipeline that ends in it."
        )
    routed = sklearn.get_config()["enable_metadata_routing"]
    if sample_weight is not None:
        routed = _routes_weights(fitted)
        with sklearn.config_context(enable_metadata_routing=routed):
            parameters = domain_parameters(fitted, sample_domain)
        parameters[_weight_parameter(fitted)[0]] = sample_weight
    with sklearn.config_context(enable_metadata_routing=routed):
        fitted.fit(X, **parameters)
    last = fitted
    while isinstance(last, Pipeline):
        last = last.steps[-1][1]
    if not hasattr(last, "weights_"):
        raise TypeError(
            f"The reweighter {reweighter!r} has no weights_ after fit; pass KernelMeanMatching or "
            "a pipeline that ends in it."
        )
    weights = np.asarray(last.weights_, dtype=np.float64)
    if weights.shape != (n_source,):
        raise ValueError(
            f"The reweighter's weights_ have shape {weights.shape}, but there are {n_source} "
            "source rows."
        )
    if not np.any(weights > 0.0):
        raise ValueError(
            "The weights of all source rows are zero: the domains do not overlap where the kernel "
            "looks. Align the domains instead (TransferComponentAnalysis, "
            "MMDRegularizedClassifier), or take a smaller gamma."
        )
    return fitted, weights
