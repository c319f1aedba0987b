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
from skmmd.mixture._data import NO_WEIGHT, Data, sum_size
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
    """The objective of some parameters, and those one EM step further; the same if collapsed."""

    objective: float
    parameters: Parameters
    n_dead: int
    collapsed: bool = False


def merge(left: Statistics, right: Statistics) -> Statistics:
    """Add up the statistics of two blocks."""
    np.add(left.sums, right.sums, out=left.sums)
    np.add(left.moments, right.moments, out=left.moments)
    return Statistics(left.likelihood + right.likelihood, left.sums, left.moments)


def even(number: int) -> int:
    return number + number % 2


def padded(number: int) -> int:
    """Return the least 1 + 4 m that is not less: what :func:`_loops.accumulate` takes."""
    return 1 + 4 * math.ceil((number - 1) / 4)


def layout(n_columns: int, n_joint: int) -> tuple[int, int, int]:
    """Return the rows of a tile, the number of panels and their columns.

    OpenBLAS multiplies matrices of up to 1e6 products without packing them, twice as quickly.
    """
    unpacked = 1_000_000
    if n_columns <= 16:
        return 256, 1, n_columns
    if n_joint * n_columns * 128 <= unpacked:
        return 128, 1, n_columns
    n_panels = math.ceil(n_columns / max(unpacked // (64 * n_joint), 32))
    return 64, n_panels, math.ceil(n_columns / n_panels)


def linear_buffers(
    n_features: int, n_joint: int, shape: int
) -> tuple[FloatArray, tuple[FloatArray, ...]]:
    """Return room for the coefficients in panels, and what else :func:`_loops.sweep` needs."""
    n_joint = even(n_joint)
    n_columns = padded(1 + n_features + n_moments(shape, n_features))
    width, n_panels, n_each = layout(n_columns, n_joint)
    features = np.zeros((n_panels * n_each, width))
    features[0] = 1.0
    joint = np.zeros((2, n_joint, width))
    panels = np.zeros((n_panels, n_joint, n_each))
    return panels, (features, joint[0], joint[1], np.empty(width), np.empty(width))


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


def run_loop(
    data: Data,
    model: Model,
    parameters: Parameters,
    rows: tuple[FloatArray, int, int, FloatArray],
    history: FloatArray,
    sums: FloatArray,
    *,
    part: int,
    tol: float = 0.0,
    aitken: bool = False,
) -> tuple[int, int, int]:
    """Call :func:`_loops.iterate` on rows, which changes `parameters`, `history` and `sums`."""
    X, first, last, weight = rows
    shape = NONE if model.shared else model.shape
    panels, buffers = linear_buffers(data.n_features, len(parameters.weights), shape)
    found: tuple[int, int, int] = _loops.iterate(
        X, first, last, weight, data.total_weight, data.center,
        data.moments(model.shape) if model.shared else NO_WEIGHT, model.ridge, model.prior,
        model.strength, model.log_noise, model.shape, model.shared, *parameters,
        sum_size(data.n_features), CONDITION_LIMIT, tol, aitken, part, panels, sums,
        history, buffers,
    )  # fmt: skip
    return found


def empty_sums(model: Model, parameters: Parameters) -> FloatArray:
    """Return room for the statistics of the linear form."""
    n_features = parameters.means.shape[1]
    shape = NONE if model.shared else model.shape
    n_columns = padded(1 + n_features + n_moments(shape, n_features))
    return np.zeros((even(len(parameters.weights)), n_columns))


def is_linear(data: Data, model: Model) -> bool:
    """Return whether the linear form can be used at all."""
    # The quadratic form that shared covariances leave out is not common to components and noise.
    return not (data.has_missing or (model.shared and model.noise is not None))


def linear_step(data: Data, model: Model, parameters: Parameters) -> Step | None:
    """Do one step of EM by linear features; None where they are not accurate enough."""
    if not linear_form(model, parameters, data.center)[1] <= CONDITION_LIMIT:
        return None
    history = np.full(3, -np.inf)

    def block_stats(X: FloatArray, weight: FloatArray, start: int) -> Statistics:
        sums, found = empty_sums(model, parameters), history.copy()
        run_loop(data, model, parameters, (X, 0, len(X), weight), found, sums, part=1)
        return Statistics(float(found[2]), sums, NO_WEIGHT)

    total = data.reduce(block_stats, merge)
    history[2] = total.likelihood
    new = parameters.copy()
    no_rows = (np.empty((0, data.n_features)), 0, 0, NO_WEIGHT)
    status, _, n_dead = run_loop(data, model, new, no_rows, history, total.sums, part=2)
    return None if status == 2 else Step(float(history[2]), new, n_dead)


def expectation(data: Data, model: Model, parameters: Parameters) -> Statistics:
    """Return the statistics of all rows about the means, from differences to them."""
    stats = _missing_stats if data.has_missing else _direct_stats
    return data.reduce(stats(data, model, parameters), merge)


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


def maximization(model: Model, statistics: Statistics, old: Parameters) -> tuple[Parameters, int]:
    """M step from statistics about the old means.

    Returns parameters, and the number of components without weight, -1 for failure.
    """
    new = Parameters(*(np.empty_like(array) for array in old))
    n_dead = _loops.maximize(
        statistics.sums, statistics.moments, old.means, old.means, old.covariances, model.shape,
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

    Where it leads to a covariance that is not positive definite, it is not taken.
    """
    step = linear_step(data, model, parameters) if is_linear(data, model) else None
    if step is not None:
        return step
    statistics = expectation(data, model, parameters)
    new, n_dead = maximization(model, statistics, parameters)
    value = objective(data, model, statistics, parameters)
    return Step(value, parameters, 0, collapsed=True) if n_dead < 0 else Step(value, new, n_dead)


# --------------------------------------------------------------------------------------
# rows one by one


def transform(
    X: FloatArray, model: Model, parameters: Parameters, center: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the responsibilities and the log densities of rows without missing values."""
    n_joint, d = len(parameters.weights), parameters.means.shape[1]
    coefficients, condition = linear_form(model, parameters, center)
    direct = not condition <= CONDITION_LIMIT or (model.shared and model.noise is not None)
    shape = NONE if model.shared else model.shape
    panels, buffers = linear_buffers(d, n_joint, shape)
    _loops.to_panels(coefficients, panels)
    rooms = np.empty((2, d, buffers[1].shape[1]))
    responsibilities = np.empty((len(X), n_joint))
    log_density = np.empty(len(X))
    means = parameters.means - center
    _loops.transform(
        X, center, panels, n_joint, means, parameters.factors,
        log_constants(model, parameters), model.shape, model.shared, direct, (*buffers, rooms),
        responsibilities, log_density,
    )  # fmt: skip
    lost = ~np.isfinite(responsibilities).all(axis=1)
    if lost.any():
        responsibilities[lost] = far_responsibilities(X[lost], model, parameters)
        log_density[lost] = -np.inf
        if model.noise is not None and parameters.weights[-1] > 0.0:
            log_density[lost] = math.log(parameters.weights[-1]) + model.log_noise
    return responsibilities, log_density


def far_responsibilities(X: FloatArray, model: Model, parameters: Parameters) -> FloatArray:
    """Return the responsibilities of rows, without NaN, whose squared distances overflow."""
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
