"""From constructor parameters to Settings, a Model and initial parameters, checked."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array

from skmmd.mixture._data import Data
from skmmd.mixture._parameters import (
    FULL,
    SHAPES,
    SPHERICAL,
    FloatArray,
    Model,
    Parameters,
    condense,
    dense,
    public_shape,
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """The constructor parameters of a mixture that its fit depends on, under their names."""

    n_components: int
    covariance_type: str
    tol: float
    reg_covar: float
    max_iter: int
    n_init: int
    init_params: str
    weights_init: Any
    means_init: Any
    precisions_init: Any
    random_state: Any
    verbose: int
    verbose_interval: int
    accelerate: str | None
    stopping: str
    noise: str | None
    covariance_prior: Any
    degrees_of_freedom_prior: float | None
    relative_reg_covar: float | None
    n_jobs: int | None

    @classmethod
    def of(cls, estimator: Any) -> "Settings":
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: getattr(estimator, name) for name in names})


def build_model(data: Data, settings: Settings) -> Model:
    """Return what is estimated on `data`.

    Raises
    ------
    ValueError
        If the prior does not fit, or noise is asked for and a feature is constant.
    """
    shape, shared = SHAPES[settings.covariance_type]
    d = data.n_features
    prior, strength = np.zeros(0), 0.0
    ridge = np.full(d, float(settings.reg_covar))
    if settings.relative_reg_covar is not None:
        variance = data.variance
        # A constant feature borrows the others' mean variance.
        mean = variance.mean()
        if mean > 0.0:
            ridge = settings.relative_reg_covar * np.where(variance > 0.0, variance, mean)
    if settings.covariance_prior is not None:
        prior, strength = _prior(data, settings, shape)
        # The prior holds covariances away from zero; a ridge would spoil its objective.
        ridge = np.zeros(d)
    return Model(shape, shared, ridge, prior, strength, _noise(data) if settings.noise else None)


def _prior(data: Data, settings: Settings, shape: int) -> tuple[FloatArray, float]:
    """Return the scale of the prior, and the rows it counts for in the denominator."""
    scale = _prior_scale(data, settings.covariance_prior, settings.n_components, settings.reg_covar)
    dimension = data.n_features if shape == FULL else 1
    degrees = dimension + 2.0
    if settings.degrees_of_freedom_prior is not None:
        degrees = float(settings.degrees_of_freedom_prior)
        if not degrees > dimension - 1:
            raise ValueError(
                f"degrees_of_freedom_prior={degrees} must be greater than {dimension - 1} for "
                f"covariance_type={settings.covariance_type!r} and {data.n_features} features."
            )
    return condense(scale[None], shape)[0], degrees + dimension + 1.0


def _prior_scale(
    data: Data, covariance_prior: Any, n_components: int, reg_covar: float
) -> FloatArray:
    d = data.n_features
    if isinstance(covariance_prior, str) and data.has_missing:
        # Holes leave no covariance to start from: variances alone.
        return np.diag(np.maximum(data.variance, reg_covar)) / n_components ** (2.0 / d)
    if isinstance(covariance_prior, str):
        upper = data.moments(FULL) / data.total_weight
        scale = np.zeros((d, d))
        scale[np.triu_indices(d)] = upper
        scale = np.triu(scale) + np.triu(scale, 1).T
        scale /= n_components ** (2.0 / d)
        # Constant or collinear features would leave it singular.
        mean = np.trace(scale) / d
        return scale + np.eye(d) * (1e-6 * mean if mean > 0.0 else reg_covar)
    if np.ndim(covariance_prior) == 0:
        return float(covariance_prior) * np.eye(d)
    scale = check_array(
        covariance_prior, dtype=np.float64, ensure_2d=False, input_name="covariance_prior"
    )
    if scale.shape != (d, d):
        raise ValueError(
            f"covariance_prior must be a number or have the shape ({d}, {d}), but got "
            f"{scale.shape}."
        )
    if not (np.allclose(scale, scale.T) and np.linalg.eigvalsh(scale)[0] > 0.0):
        raise ValueError("covariance_prior must be symmetric and positive definite.")
    return np.array(scale)


def _noise(data: Data) -> FloatArray:
    constant = np.flatnonzero(data.ranges <= 0.0)
    if len(constant):
        raise ValueError(
            "noise='uniform' spreads over the box around X, which has no volume: features "
            f"{constant.tolist()[:10]} are constant. Drop them, or pass noise=None."
        )
    return -np.log(data.ranges)


def degenerate_components(data: Data, model: Model, parameters: Parameters) -> NDArray[np.intp]:
    """Return the components whose variances are hardly more than the ridge in every feature."""
    if model.shared or not np.all(model.ridge > 0.0):
        return np.empty(0, dtype=np.intp)
    k, d = parameters.means.shape
    variances = np.diagonal(dense(parameters.covariances, model.shape, d), axis1=1, axis2=2)
    ridge = model.ridge if model.shape != SPHERICAL else np.full(d, model.ridge.mean())
    # Where the data hardly vary, so do the components.
    varying = data.variance > 100.0 * model.ridge
    if not varying.any():
        return np.empty(0, dtype=np.intp)
    small = np.all(variances[:, varying] <= 2.0 * ridge[varying], axis=1)
    return np.flatnonzero(small & (parameters.weights[:k] > 0.0))


def _check_shape(array: FloatArray, shape: tuple[int, ...], name: str) -> None:
    if array.shape != shape:
        raise ValueError(
            f"The parameter '{name}' should have the shape of {shape}, but got {array.shape}"
        )


def _numbers(values: ArrayLike, name: str) -> FloatArray:
    """Return finite numbers as a new array; much quicker than scikit-learn's check_array."""
    try:
        numbers = np.array(values, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be an array of numbers: {error}") from error
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} contains NaN or infinity.")
    return numbers


def check_weights(weights: ArrayLike, n_components: int) -> FloatArray:
    """Return initial weights: in [0, 1], with sum 1."""
    checked = _numbers(weights, "weights_init")
    _check_shape(checked, (n_components,), "weights")
    if np.any(checked < 0.0) or np.any(checked > 1.0):
        raise ValueError(
            "The parameter 'weights' should be in the range [0, 1], but got max value "
            f"{checked.min():.5f}, min value {checked.max():.5f}"
        )
    atol = 1e-6 if getattr(weights, "dtype", None) == np.float32 else 1e-8
    if abs(checked.sum() - 1.0) > atol:
        raise ValueError(
            "The parameter 'weights' should be normalized, but got sum(weights) = "
            f"{checked.sum():.5f}"
        )
    return checked


def check_means(means: ArrayLike, n_components: int, n_features: int) -> FloatArray:
    """Return initial means."""
    checked = _numbers(means, "means_init")
    _check_shape(checked, (n_components, n_features), "means")
    return checked


def check_precisions(
    precisions: ArrayLike, covariance_type: str, n_components: int, n_features: int
) -> FloatArray:
    """Return initial precisions in their public layout: positive definite."""
    shape, shared = SHAPES[covariance_type]
    checked = _numbers(precisions, "precisions_init")
    wanted = public_shape(shape, shared, n_components, n_features)
    name = f"{covariance_type} precision"
    _check_shape(checked, wanted, name)
    if shape == FULL:
        turned = np.swapaxes(checked, -1, -2)
        if not (np.allclose(checked, turned) and np.all(np.linalg.eigvalsh(checked) > 0.0)):
            raise ValueError(f"'{name}' should be symmetric, positive-definite")
    elif np.any(checked <= 0.0):
        raise ValueError(f"'{name}' should be positive")
    return checked


def check_initial(settings: Settings, n_features: int) -> dict[str, FloatArray]:
    """Return those of the initial parameters that are given, checked."""
    k, given = settings.n_components, {}
    if settings.weights_init is not None:
        given["weights"] = check_weights(settings.weights_init, k)
    if settings.means_init is not None:
        given["means"] = check_means(settings.means_init, k, n_features)
    if settings.precisions_init is not None:
        given["precisions"] = check_precisions(
            settings.precisions_init, settings.covariance_type, k, n_features
        )
    return given
