"""Scores of fitted estimators that need no labels of target rows, for model selection."""

import inspect
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone, is_classifier
from sklearn.dummy import DummyClassifier
from sklearn.metrics import get_scorer
from sklearn.utils import check_consistent_length
from sklearn.utils.metadata_routing import MetadataRequest

from skmmd.kernels import Kernel
from skmmd.transfer._domains import Domains, read_domains
from skmmd.transfer._functions import weighted_mmd
from skmmd.transfer._matching import KernelMeanMatching
from skmmd.transfer._metadata import domain_parameters, fit_reweighter
from skmmd.transfer._stack import placeholders, take_rows

__all__ = ["CircularValidationScorer", "ImportanceWeightedScorer", "MMDScorer"]

FloatArray = NDArray[np.float64]


class _DomainScorer:
    """What is called as ``scorer(estimator, X, y, sample_domain=...)``."""

    def __repr__(self) -> str:
        """Show the class with the parameters that are not at their default."""
        parameters = inspect.signature(type(self)).parameters
        shown = [
            f"{name}={getattr(self, name)!r}"
            for name, parameter in parameters.items()
            if getattr(self, name) is not parameter.default
            and getattr(self, name) != parameter.default
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    def get_metadata_routing(self) -> MetadataRequest:
        """Request `sample_domain`, for searches and cross-validation with metadata routing.

        Returns
        -------
        MetadataRequest
            The request.
        """
        request = MetadataRequest(owner=self)
        request.score.add_request(param="sample_domain", alias=True)
        return request

    def _read(self, X: Any, sample_domain: ArrayLike | None) -> Domains:
        name = type(self).__name__
        if sample_domain is None:
            raise ValueError(
                f"{name} needs sample_domain, the domain of each row. GridSearchCV and "
                "cross_validate hand it over with metadata routing only: within "
                "sklearn.config_context(enable_metadata_routing=True), call search.fit(X, y, "
                "sample_domain=..., groups=...) or cross_validate(..., params={'sample_domain': "
                "..., 'groups': ...}). A direct call takes sample_domain=..."
            )
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
        return read_domains(sample_domain, n_rows, owner=name)

    def _source_labels(self, y: ArrayLike | None, domains: Domains) -> NDArray[Any]:
        if y is None:
            raise ValueError(
                f"{type(self).__name__} needs y, the labels or values of source rows; those of "
                "target rows may be placeholders."
            )
        check_consistent_length(y, np.empty(len(domains.source) + len(domains.target)))
        return np.asarray(y)[domains.source]


class ImportanceWeightedScorer(_DomainScorer):
    """Score source rows with weights that make them resemble target rows.

    An estimate of the score on the target domain that needs no labels of it, unbiased where only
    the distribution of `X` changes between the domains and the weights are the ratio of their
    densities [1]_. The weights come from kernel mean matching on the rows that are scored.

    Parameters
    ----------
    scoring : str or callable, default=None
        Name of a scorer or ``scorer(estimator, X, y, sample_weight=...)``. None is "accuracy" for
        classifiers and "r2" for all others.
    reweighter : estimator, default=None
        A clone is fitted, with `sample_domain`, on the rows that are scored, and has their
        ``weights_``: :class:`KernelMeanMatching`, or a pipeline that ends in it. None is
        ``KernelMeanMatching()``.

    See Also
    --------
    CircularValidationScorer : Needs no density ratio.
    DomainKFold : Folds with rows of both domains.

    Notes
    -----
    The variance grows as the effective sample size of the weights falls: where domains hardly
    overlap, the score is that of a few source rows.

    References
    ----------
    .. [1] M. Sugiyama, M. Krauledat and K.-R. Müller, "Covariate shift adaptation by importance
       weighted cross validation", Journal of Machine Learning Research 8, 2007, pp. 985-1005.

    Examples
    --------
    >>> from sklearn import config_context
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.svm import SVR
    >>> from skmmd.datasets import make_regression_shift
    >>> from skmmd.transfer import (
    ...     DomainKFold, ImportanceWeightedScorer, KernelMeanMatching, TransferRegressor,
    ...     stack_domains)
    >>> Xs, ys, Xt, yt = make_regression_shift((100, 100), random_state=0)
    >>> X, y, sample_domain = stack_domains(Xs, ys, Xt)
    >>> with config_context(enable_metadata_routing=True):
    ...     search = GridSearchCV(
    ...         TransferRegressor(SVR(), KernelMeanMatching()),
    ...         {"estimator__C": [0.01, 1.0]},
    ...         scoring=ImportanceWeightedScorer("neg_mean_squared_error"),
    ...         cv=DomainKFold(3),
    ...     ).fit(X, y, sample_domain=sample_domain, groups=sample_domain)
    >>> search.best_params_
    {'estimator__C': 1.0}
    """

    def __init__(self, scoring: Any = None, reweighter: Any = None) -> None:
        self.scoring = scoring
        self.reweighter = reweighter

    def __call__(
        self,
        estimator: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        sample_domain: ArrayLike | None = None,
    ) -> float:
        """Return the weighted score of the source rows.

        Parameters
        ----------
        estimator : estimator
            Fitted.
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            Rows of both domains.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Labels or values, of which those of source rows are read.
        sample_domain : array-like of shape (n_samples,)
            0 or more for source rows, negative for target rows.

        Returns
        -------
        float
            The score, larger is better.

        Raises
        ------
        ValueError
            If `sample_domain` or `y` is missing, a domain has no rows, or all weights are 0.
        TypeError
            If `scoring` takes no `sample_weight`, or the reweighter no `sample_domain`.
        """
        domains = self._read(X, sample_domain)
        labels = self._source_labels(y, domains)
        scorer = _resolve(self.scoring, estimator)
        reweighter = KernelMeanMatching() if self.reweighter is None else self.reweighter
        _, weights = fit_reweighter(reweighter, X, sample_domain, len(domains.source))
        rows = take_rows(X, domains.source)
        try:
            return float(scorer(estimator, rows, labels, sample_weight=weights))
        except TypeError as error:
            if "sample_weight" not in str(error):
                raise
            raise TypeError(
                f"scoring={self.scoring!r} takes no sample_weight, which importance weights need."
            ) from error


class CircularValidationScorer(_DomainScorer):
    """Score how well the source labels come back from predictions for the target.

    The estimator predicts the target rows; a clone of it is fitted the other way round, with
    target rows and predictions as source and source rows as target; and that clone is scored on
    the source rows, whose labels are known [1]_.

    Parameters
    ----------
    scoring : str or callable, default=None
        Name of a scorer or ``scorer(estimator, X, y)``, for the clone on the source rows. None is
        "accuracy" for classifiers and "r2" for all others.

    See Also
    --------
    ImportanceWeightedScorer : Needs no second fit.
    DomainKFold : Folds with rows of both domains.

    Notes
    -----
    `sample_domain` reaches the clone's ``fit``, or the steps of a pipeline that take it, with
    metadata routing and without. An estimator that takes none anywhere is fitted on the target
    rows and predictions alone. In a pipeline where some step takes it and the last does not, the
    last step learns from all rows, with placeholders for labels: end it in
    :class:`TransferClassifier` or :class:`TransferRegressor`, which learn from source rows. Of a
    fitted search, the best estimator is fitted the other way round.

    A classifier that predicts one class for all target rows gets the score of always predicting
    that class for the source rows, since many classifiers cannot be fitted on one class. That is
    the share of the class for "accuracy"; where classes are of unequal size, use
    "balanced_accuracy", for which it is 1 divided by the number of classes.

    References
    ----------
    .. [1] L. Bruzzone and M. Marconcini, "Domain adaptation problems: a DASVM classification
       technique and a circular validation strategy", IEEE Transactions on Pattern Analysis and
       Machine Intelligence 32, 2010, pp. 770-787.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skmmd.datasets import make_biased_breast_cancer
    >>> from skmmd.transfer import (
    ...     CircularValidationScorer, KernelMeanMatching, TransferClassifier, stack_domains)
    >>> Xs, ys, Xt, yt = make_biased_breast_cancer(random_state=0)
    >>> X, y, sample_domain = stack_domains(Xs, ys, Xt)
    >>> model = TransferClassifier(LogisticRegression(), KernelMeanMatching())
    >>> model = model.fit(X, y, sample_domain=sample_domain)
    >>> score = CircularValidationScorer("balanced_accuracy")
    >>> round(score(model, X, y, sample_domain=sample_domain), 2)
    0.90
    """

    def __init__(self, scoring: Any = None) -> None:
        self.scoring = scoring

    def __call__(
        self,
        estimator: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        sample_domain: ArrayLike | None = None,
    ) -> float:
        """Return the score of the clone that was fitted the other way round.

        Parameters
        ----------
        estimator : estimator
            Fitted; it is cloned, and not changed.
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            Rows of both domains.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Labels or values, of which those of source rows are read.
        sample_domain : array-like of shape (n_samples,)
            0 or more for source rows, negative for target rows.

        Returns
        -------
        float
            The score, larger is better.

        Raises
        ------
        ValueError
            If `sample_domain` or `y` is missing, or a domain has no rows.
        """
        domains = self._read(X, sample_domain)
        labels = self._source_labels(y, domains)
        model = getattr(estimator, "best_estimator_", estimator)
        scorer = _resolve(self.scoring, model)
        predicted = np.asarray(model.predict(take_rows(X, domains.target)))
        if is_classifier(model) and predicted.ndim == 1 and np.all(predicted == predicted[0]):
            backward: Any = _always(predicted[0], labels)
        else:
            backward = _fitted_backward(model, X, predicted, domains)
        return float(scorer(backward, take_rows(X, domains.source), labels))


class MMDScorer(_DomainScorer):
    """Score how alike the two domains are after a fitted map: minus their squared MMD.

    Parameters
    ----------
    kernel : str or callable, default="rbf"
        The kernel, as in :func:`weighted_mmd`.
    gamma : float or "median", default="median"
        Its coefficient; "median" takes the median heuristic on the mapped rows of both domains, so
        that maps are compared at scales of their own.

    See Also
    --------
    weighted_mmd : What is computed.
    TransferComponentAnalysis : Such a map.

    Notes
    -----
    A map to one point has the best score, 0. Alone this is no measure to select by; set it beside
    one of prediction, such as :class:`ImportanceWeightedScorer`.

    References
    ----------
    .. [1] A. Gretton, K. M. Borgwardt, M. J. Rasch, B. Schölkopf and A. Smola, "A kernel two-sample
       test", Journal of Machine Learning Research 13, 2012, pp. 723-773.

    Examples
    --------
    >>> from skmmd.datasets import make_rotated_digits
    >>> from skmmd.transfer import MMDScorer, TransferComponentAnalysis, stack_domains
    >>> Xs, ys, Xt, yt = make_rotated_digits(100, random_state=0)
    >>> X, y, sample_domain = stack_domains(Xs, ys, Xt)
    >>> score = MMDScorer()
    >>> for mmd_weight in (0.01, 100.0):
    ...     components = TransferComponentAnalysis(10, mmd_weight=mmd_weight)
    ...     components = components.fit(X, sample_domain=sample_domain)
    ...     print(round(score(components, X, sample_domain=sample_domain), 3))
    -0.332
    -0.013
    """

    def __init__(self, kernel: Kernel = "rbf", gamma: float | str = "median") -> None:
        self.kernel = kernel
        self.gamma = gamma

    def __call__(
        self,
        estimator: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        sample_domain: ArrayLike | None = None,
    ) -> float:
        """Return minus the squared MMD of the mapped domains.

        Parameters
        ----------
        estimator : transformer, or pipeline
            Fitted. Of a pipeline whose last step has no ``transform``, the steps before it map.
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            Rows of both domains.
        y : object, default=None
            Ignored.
        sample_domain : array-like of shape (n_samples,)
            0 or more for source rows, negative for target rows.

        Returns
        -------
        float
            The score, 0 or less; larger is better.

        Raises
        ------
        ValueError
            If `sample_domain` is missing, or a domain has no rows.
        AttributeError
            If nothing transforms.
        """
        domains = self._read(X, sample_domain)
        Z = _mapping(getattr(estimator, "best_estimator_", estimator)).transform(X)
        return -weighted_mmd(
            take_rows(Z, domains.source),
            take_rows(Z, domains.target),
            kernel=self.kernel,
            gamma=self.gamma,
        )


def _resolve(scoring: Any, estimator: Any) -> Any:
    """Return a scorer; without `scoring` by a metric, since not all `score` take weights."""
    if scoring is None:
        return get_scorer("accuracy" if is_classifier(estimator) else "r2")
    if isinstance(scoring, str):
        return get_scorer(scoring)
    if callable(scoring):
        return scoring
    raise ValueError(
        f"scoring={scoring!r} must be the name of one scorer, a callable or None. Several measures "
        "go to cross_validate as a dict with a scorer for each."
    )


def _fitted_backward(model: Any, X: Any, predicted: NDArray[Any], domains: Domains) -> Any:
    """Return a clone fitted from the target rows and predictions to the source rows."""
    backward = clone(model)
    n_rows = len(domains.source) + len(domains.target)
    sample_domain = np.empty(n_rows, dtype=np.int64)
    sample_domain[domains.source], sample_domain[domains.target] = -1, 1
    params = domain_parameters(backward, sample_domain)
    if not params:
        return backward.fit(take_rows(X, domains.target), predicted)
    y = np.empty((n_rows, *predicted.shape[1:]), dtype=predicted.dtype)
    y[domains.target] = predicted
    y[domains.source] = placeholders(predicted, len(domains.source))
    return backward.fit(X, y, **params)


def _always(label: Any, labels: NDArray[Any]) -> DummyClassifier:
    """Return a classifier of all classes that predicts one, which may be none of `labels`."""
    classes = np.append(labels, label)
    constant = DummyClassifier(strategy="constant", constant=label)
    return constant.fit(np.zeros((len(classes), 1)), classes)


def _mapping(estimator: Any) -> Any:
    """Return what transforms: the estimator, or the steps of a pipeline before its last."""
    if hasattr(estimator, "transform"):
        return estimator
    if len(getattr(estimator, "steps", [])) > 1:
        return estimator[:-1]
    raise AttributeError(
        f"{type(estimator).__name__} has no transform, and no steps before it that do; pass a "
        "transformer, or a pipeline of a transformer and a predictor."
    )
