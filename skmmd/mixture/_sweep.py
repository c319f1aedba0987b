"""One pass of EM over the data: statistics of blocks, merged in their order, then the M step.

``block_stats -> merge -> maximize``. The E step has two forms: linear functions of centred features
(:func:`_loops.sweep`), quick, whose rounding errors grow with distance over width of a component;
and differences to the means (:func:`_loops.sweep_directly`), which always holds. Rows with missing
values have a sweep of their own.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from skmmd.mixture import _loops
from skmmd.mixture._data import Data
from skmmd.mixture._parameters import (
    FULL,
    ILL_DEFINED,
    NONE,
    FloatArray,
    Model,
    Parameters,
    n_moments,
)

# Rounding errors of the linear form, relative to a covariance, are about 2e-16 times its condition.
CONDITION_LIMIT = 1e5


class Statistics(NamedTuple):
    """Sums over rows: see :mod:`skmmd.mixture._loops`."""

    likelihood: float
    sums: FloatArray
    moments: FloatArray


class Step(NamedTuple):
    """The objective of some parameters, and those one EM step further."""

    objective: float
    parameters: Parameters
    n_dead: int


def merge(left: Statistics, right: Statistics) -> Statistics:
    """Add up the statistics of two blocks."""
    np.add(left.sums, right.sums, out=left.sums)
    np.add(left.moments, right.moments, out=left.moments)
    return Statistics(left.likelihood + right.likelihood, left.sums, left.moments)


def tile_width(n_features: int, n_columns: int) -> int:
    """Return the number of rows of a tile: its features stay in the cache."""
    if n_columns <= 16:
        return 256
    return 128 if n_columns <= 512 else 64


def even(number: int) -> int:
    return number + number % 2


def padded(number: int) -> int:
    """Return the least 1 + 4 m that is not less: what :func:`_loops.accumulate` takes."""
    return 1 + 4 * math.ceil((number - 1) / 4)


def linear_buffers(n_features: int, n_joint: int, shape: int) -> tuple[FloatArray, ...]:
    """Return the room that :func:`_loops.sweep` needs."""
    n_columns = padded(1 + n_features + n_moments(shape, n_features))
    width = tile_width(n_features, n_columns)
    features = np.zeros((n_columns, width))
    features[0] = 1.0
    return features, np.zeros((even(n_joint), width)), np.empty(width), np.empty(width)


def linear_form(
    model: Model, parameters: Parameters, center: FloatArray
) -> tuple[FloatArray, float]:
    """Return the coefficients of the log joint densities and their condition."""
    n_joint, n_features = len(parameters.weights), parameters.means.shape[1]
    shape = NONE if model.shared else model.shape
    n_columns = padded(1 + n_features + n_moments(shape, n_features))
    coefficients = np.zeros((even(n_joint), n_columns))
    condition = _loops.linearize(
        *parameters, center, model.shape, model.shared, model.log_noise, coefficients
    )
    return coefficients, condition


def log_constants(model: Model, parameters: Parameters) -> FloatArray:
    """Return log weight plus log density at the mean of each component, and of the noise."""
    n_components, n_features = parameters.means.shape
    heights = [
        _loops.log_constant(factor, n_features, model.shape) for factor in parameters.factors
    ]
    with np.errstate(divide="ignore"):
        constants = np.log(parameters.weights)
    constants[:n_components] += heights
    constants[n_components:] += model.log_noise
    return constants


def expectation(data: Data, model: Model, parameters: Parameters, *, direct: bool) -> Statistics:
    """Return the statistics of all rows; about the data's center, or about the means if direct."""
    if data.has_missing:
        return data.reduce(_missing_stats(data, model, parameters), merge)
    stats = _direct_stats if direct else _linear_stats
    total = data.reduce(stats(data, model, parameters), merge)
    if model.shared and not direct:
        moments = data.moments(model.shape)
        quadratic = _loops.shared_quadratic(
            moments, parameters.factors, data.n_features, model.shape
        )
        return Statistics(total.likelihood - 0.5 * quadratic, total.sums, moments)
    return total


def _linear_stats(data: Data, model: Model, parameters: Parameters) -> Callable[..., Statistics]:
    coefficients, _ = linear_form(model, parameters, data.center)
    n_joint = len(parameters.weights)
    shape = NONE if model.shared else model.shape

    def block_stats(X: FloatArray, weight: FloatArray, start: int) -> Statistics:
        sums = np.zeros(coefficients.shape)
        buffers = linear_buffers(data.n_features, n_joint, shape)
        likelihood = _loops.sweep(
            X, 0, len(X), weight, data.center, coefficients, n_joint, shape, buffers, sums
        )
        return Statistics(likelihood, sums, np.empty(0))

    return block_stats


def _direct_stats(data: Data, model: Model, parameters: Parameters) -> Callable[..., Statistics]:
    n_components, d = parameters.means.shape
    n_joint = len(parameters.weights)
    constants = log_constants(model, parameters)
    means = parameters.means - data.center
    width = 128 if d <= 64 else 64

    def block_stats(X: FloatArray, weight: FloatArray, start: int) -> Statistics:
        sums, moments = _empty_stats(model, n_joint, d)
        buffers = (
            np.empty((d, width)),
            np.empty((2, d, width)),
            np.empty((n_joint, width)),
            np.empty(width),
            np.empty(width),
            np.empty((d, d)),
        )
        likelihood = _loops.sweep_directly(
            X, 0, len(X), weight, data.center, means, parameters.factors, constants,
            n_joint > n_components, model.shape, model.shared, buffers, sums, moments,
        )  # fmt: skip
        return Statistics(likelihood, sums, moments)

    return block_stats


def _empty_stats(model: Model, n_joint: int, n_features: int) -> tuple[FloatArray, FloatArray]:
    n_second = n_moments(model.shape, n_features)
    sums = np.zeros((n_joint, 1 + n_features + (0 if model.shared else n_second)))
    return sums, np.zeros(n_second if model.shared else 0)


def _missing_stats(data: Data, model: Model, parameters: Parameters) -> Callable[..., Statistics]:
    n_joint = len(parameters.weights)

    def block_stats(X: FloatArray, weight: FloatArray, start: int) -> Statistics:
        sums, moments = _empty_stats(model, n_joint, data.n_features)
        likelihood = sweep_patterns(
            X, weight, *data.patterns_of(start, len(X)), model, parameters, sums, moments
        )[0]
        return Statistics(likelihood, sums, moments)

    return block_stats


def sweep_patterns(
    X: FloatArray,
    weight: FloatArray,
    starts: Any,
    observed: Any,
    model: Model,
    parameters: Parameters,
    sums: FloatArray,
    moments: FloatArray,
) -> tuple[float, FloatArray, FloatArray]:
    """Add the statistics of rows sorted by pattern; return likelihood, responsibilities, density.

    Raises
    ------
    ValueError
        If a covariance is not positive definite.
    """
    responsibilities = np.empty((len(X), len(parameters.weights)))
    log_density = np.empty(len(X))
    noise = np.zeros(X.shape[1]) if model.noise is None else model.noise
    likelihood = _loops.sweep_missing(
        X, weight, starts, observed, parameters.means, parameters.covariances, parameters.weights,
        noise, model.shape, model.shared, sums, moments, responsibilities, log_density,
    )  # fmt: skip
    if math.isnan(likelihood):
        raise ValueError(ILL_DEFINED)
    return likelihood, responsibilities, log_density


def maximization(
    model: Model, statistics: Statistics, references: FloatArray, old: Parameters
) -> tuple[Parameters, int]:
    """M step: return parameters, and the number of components without weight, -1 for failure."""
    new = Parameters(*(np.empty_like(array) for array in old))
    n_dead = _loops.maximize(
        statistics.sums, statistics.moments, references, old.means, old.covariances, model.shape,
        model.shared, model.ridge, model.prior, model.strength, *new,
    )  # fmt: skip
    return new, n_dead


def objective(data: Data, model: Model, statistics: Statistics, parameters: Parameters) -> float:
    """Return the log-likelihood plus log prior, per unit of weight."""
    prior = _loops.log_prior(
        parameters.covariances, parameters.factors, data.n_features, model.shape, model.prior,
        model.strength,
    )  # fmt: skip
    return float((statistics.likelihood + prior) / data.total_weight)


def em_step(data: Data, model: Model, parameters: Parameters) -> Step:
    """Do one step of EM, in the quick form if that is accurate enough before and after.

    Raises
    ------
    ValueError
        If a covariance is not positive definite.
    """
    # The quadratic form that shared covariances leave out is not common to components and noise.
    linear = not (data.has_missing or (model.shared and model.noise is not None))
    if linear and linear_form(model, parameters, data.center)[1] <= CONDITION_LIMIT:
        statistics = expectation(data, model, parameters, direct=False)
        references = np.broadcast_to(data.center, parameters.means.shape).copy()
        new, n_dead = maximization(model, statistics, references, parameters)
        if n_dead >= 0 and linear_form(model, new, data.center)[1] <= CONDITION_LIMIT:
            return Step(objective(data, model, statistics, parameters), new, n_dead)
    statistics = expectation(data, model, parameters, direct=True)
    new, n_dead = maximization(model, statistics, parameters.means, parameters)
    if n_dead < 0:
        raise ValueError(ILL_DEFINED)
    return Step(objective(data, model, statistics, parameters), new, n_dead)


# --------------------------------------------------------------------------------------
# rows one by one


def transform(
    X: FloatArray, model: Model, parameters: Parameters, center: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the responsibilities and the log densities of rows without missing values."""
    n_joint, d = len(parameters.weights), parameters.means.shape[1]
    coefficients, condition = linear_form(model, parameters, center)
    direct = model.shared or not condition <= CONDITION_LIMIT
    features, joint, top, total = linear_buffers(d, n_joint, model.shape)
    buffers = (features, np.empty((2, d, joint.shape[1])), joint, top, total)
    responsibilities = np.empty((len(X), n_joint))
    log_density = np.empty(len(X))
    means = parameters.means - center
    _loops.transform(
        X, center, coefficients, n_joint, means, parameters.factors,
        log_constants(model, parameters), model.shape, model.shared, direct, buffers,
        responsibilities, log_density,
    )  # fmt: skip
    lost = ~np.isfinite(log_density)
    if lost.any():
        responsibilities[lost] = _far_responsibilities(X[lost], model, parameters)
        if model.noise is None:
            log_density[lost] = -np.inf
        else:
            log_density[lost] = math.log(max(parameters.weights[-1], 1e-300)) + model.log_noise
    return responsibilities, log_density


def _far_responsibilities(X: FloatArray, model: Model, parameters: Parameters) -> FloatArray:
    """Return the responsibilities of rows whose squared distances overflow."""
    n_components, d = parameters.means.shape
    far = np.zeros((len(X), len(parameters.weights)))
    if model.noise is not None and parameters.weights[-1] > 0.0:
        far[:, -1] = 1.0
        return far
    # Rows and means shrink together, so that distances keep their order.
    shrink = 1.0 / np.abs(X).max(axis=1)
    distance = np.full((len(X), n_components), np.inf)
    for k in np.flatnonzero(parameters.weights[:n_components] > 0.0):
        difference = X * shrink[:, None] - parameters.means[k] * shrink[:, None]
        factor = parameters.factors[0 if model.shared else k]
        full = model.shape == FULL
        whitened = difference @ factor.reshape(d, d) if full else difference * factor
        scale = np.abs(whitened).max(axis=1)
        distance[:, k] = scale * np.linalg.norm(whitened / scale[:, None], axis=1)
    nearest = distance == distance.min(axis=1, keepdims=True)
    far[:, :n_components] = nearest / nearest.sum(axis=1, keepdims=True)
    return far
