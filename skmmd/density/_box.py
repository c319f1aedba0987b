"""Gaussians cut off at the sides of a box: the domain, the probability in it, and draws."""

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky
from scipy.special import log_ndtr, logsumexp, ndtri_exp
from scipy.stats import qmc

__all__ = [
    "boundary_weights",
    "box_log_probability",
    "box_of",
    "check_inside",
    "draw_in_box",
    "is_positive",
    "rows_inside",
]

FloatArray = NDArray[np.float64]

_N_SHIFTS = 8
_N_POINTS = 2**12
# Above this probability of the box, draws from the whole space are sifted.
_SIFT = 0.01
_SWEEPS = 50


def box_of(domain: Any, n_features: int) -> tuple[FloatArray, FloatArray] | None:
    """Return the sides of a domain, None for all of the space.

    Parameters
    ----------
    domain : None, "nonnegative", or pair (low, high)
        Each side a number or an array of shape (n_features,), infinite where there is none.
    n_features : int
        Number of features.

    Returns
    -------
    tuple of ndarray, or None
        Lower and upper sides, of shape (n_features,).

    Raises
    ------
    ValueError
        If `domain` is not a pair of sides of that shape, or a lower side is not below the upper.
    """
    if domain is None:
        return None
    if isinstance(domain, str):
        return np.zeros(n_features), np.full(n_features, np.inf)
    try:
        low, high = (np.asarray(side, dtype=np.float64) for side in domain)
        low, high = (np.broadcast_to(side, n_features).copy() for side in (low, high))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"domain is {domain!r}; expected None, 'nonnegative', or a pair (low, high), each a "
            f"number or an array of the {n_features} features, infinite where there is no side."
        ) from error
    if not np.all(low < high):
        raise ValueError(f"domain has low={low}, high={high}; each low must be below its high.")
    return None if np.all(np.isinf(low) & np.isinf(high)) else (low, high)


def is_positive(domain: Any) -> bool:
    """Tell whether a domain has no negative values; of what is no domain `fit` complains."""
    if domain is not None:
        with contextlib.suppress(TypeError, ValueError, IndexError, KeyError):
            low = 0.0 if isinstance(domain, str) else domain[0]
            return bool(np.min(low) >= 0.0)
    return False


def rows_inside(X: FloatArray, box: tuple[FloatArray, FloatArray]) -> NDArray[np.bool_]:
    """Return which rows lie in the box, its sides included."""
    return np.asarray(np.all(np.clip(X, *box) == X, axis=1))


def check_inside(X: FloatArray, box: tuple[FloatArray, FloatArray], owner: str) -> None:
    """Raise if rows lie outside of the box.

    Raises
    ------
    ValueError
        If some do; `owner` is who says so.
    """
    outside = np.flatnonzero(~rows_inside(X, box))
    if outside.size:
        # scikit-learn's checks look for the first words.
        is_negative = np.all(box[0] >= 0.0) and np.any(X < 0.0)
        raise ValueError(
            f"{'Negative values in data: ' if is_negative else ''}{outside.size} of {len(X)} rows "
            f"passed to {owner} lie outside of its domain, the first {X[outside[0]]}; "
            f"low={box[0]}, high={box[1]}."
        )


def boundary_weights(
    X: FloatArray, box: tuple[FloatArray, FloatArray], reach: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return h = min(distance to the nearest side / reach, 1) of each value, and its slope.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Rows in the box.
    box : tuple of ndarray of shape (n_features,)
        Lower and upper sides.
    reach : ndarray of shape (n_features,)
        Distance from which on the weight is 1.

    Returns
    -------
    weight, slope : ndarray of shape (n, n_features)
        The h of each value, and its derivative in the coordinate times `reach`.
    """
    from_low, from_high = (X - box[0]) / reach, (box[1] - X) / reach
    nearest = np.minimum(from_low, from_high)
    slope = np.where(from_low <= from_high, 1.0, -1.0) * (nearest < 1.0)
    return np.minimum(nearest, 1.0), slope


def _turned(a: FloatArray, b: FloatArray) -> tuple[NDArray[np.bool_], FloatArray, FloatArray]:
    """Return where intervals are mirrored, and log Phi of their ends then.

    They lie mostly left of 0 then, where logarithms keep their digits far in the tail.
    """
    mirrored = a + b > 0.0
    left, right = np.where(mirrored, -b, a), np.where(mirrored, -a, b)
    return mirrored, log_ndtr(left), log_ndtr(right)


def _log_mass(a: FloatArray, b: FloatArray) -> FloatArray:
    """Return log[Phi(b) - Phi(a)]."""
    _, log_left, log_right = _turned(a, b)
    return np.asarray(log_right + np.log(-np.expm1(log_left - log_right)))


def _quantiles(levels: FloatArray, a: FloatArray, b: FloatArray) -> FloatArray:
    """Return quantiles of the standard normal distribution between a and b."""
    mirrored, log_left, log_right = _turned(a, b)
    levels = np.where(mirrored, 1.0 - levels, levels)
    ratio = np.exp(log_left - log_right)
    points = ndtri_exp(log_right + np.log(ratio + levels * (1.0 - ratio)))
    return np.clip(np.where(mirrored, -points, points), a, b)


def _open(levels: FloatArray) -> FloatArray:
    """Move levels off 0 and 1, the ends of unbounded sides."""
    return np.clip(levels, 2.0**-54, 1.0 - 2.0**-53)


def _walk(
    levels: FloatArray,
    location: FloatArray,
    covariance: FloatArray,
    box: tuple[FloatArray, FloatArray],
) -> tuple[FloatArray, FloatArray]:
    """Map points of the unit cube into the box, one coordinate after the other (Genz 1992).

    Returns the points and the log of the weight that makes them a sample of the Gaussian in the
    box; the mean weight is the probability of the box.
    """
    scale = np.sqrt(np.diag(covariance))
    # Where the sides leave least room first: the weights then vary less.
    order = np.argsort(
        _log_mass((box[0] - location) / scale, (box[1] - location) / scale), kind="stable"
    )
    root = cholesky(covariance[np.ix_(order, order)], lower=True)
    low, high = (side[order] - location[order] for side in box)
    normal = np.zeros_like(levels)
    log_weight = np.zeros(len(levels))
    for j in range(len(order)):
        shift = normal[:, :j] @ root[j, :j]
        a, b = (low[j] - shift) / root[j, j], (high[j] - shift) / root[j, j]
        log_weight += _log_mass(a, b)
        normal[:, j] = _quantiles(levels[:, j], a, b)
    points = np.empty_like(levels)
    points[:, order] = location[order] + normal @ root.T
    return np.clip(points, *box), log_weight


def box_log_probability(
    location: FloatArray, covariance: FloatArray, box: tuple[FloatArray, FloatArray]
) -> tuple[float, float]:
    """Return the log probability of a box under a Gaussian, and its standard error.

    Exact if the coordinates in question are independent; else Genz's sequence of conditional
    probabilities, averaged over shifted Sobol points. It draws the same points on each call.

    Parameters
    ----------
    location : ndarray of shape (d,)
        Mean before truncation.
    covariance : ndarray of shape (d, d)
        Covariance before truncation.
    box : tuple of ndarray of shape (d,)
        Lower and upper sides.

    Returns
    -------
    log_probability, standard_error : float
        The latter that of the logarithm.
    """
    # A coordinate without sides integrates to 1.
    bounded = np.flatnonzero(np.isfinite(box[0]) | np.isfinite(box[1]))
    location, covariance = location[bounded], covariance[np.ix_(bounded, bounded)]
    low, high = box[0][bounded], box[1][bounded]
    if not np.any(covariance - np.diag(np.diag(covariance))):
        scale = np.sqrt(np.diag(covariance))
        return float(_log_mass((low - location) / scale, (high - location) / scale).sum()), 0.0
    sobol = qmc.Sobol(len(bounded), scramble=False).random(_N_POINTS)
    shifts = np.random.default_rng(0).random((_N_SHIFTS, 1, len(bounded)))
    levels = ((sobol + shifts) % 1.0).reshape(-1, len(bounded))
    _, log_weight = _walk(_open(levels), location, covariance, (low, high))
    each = logsumexp(log_weight.reshape(_N_SHIFTS, -1), axis=1) - np.log(_N_POINTS)
    total = float(logsumexp(each) - np.log(_N_SHIFTS))
    return total, float(np.std(np.exp(each - total), ddof=1) / np.sqrt(_N_SHIFTS))


def draw_in_box(
    n_draws: int,
    location: FloatArray,
    covariance: FloatArray,
    precision: FloatArray,
    box: tuple[FloatArray, FloatArray],
    generator: np.random.Generator,
) -> FloatArray:
    """Draw from a Gaussian restricted to a box.

    Exact if the coordinates are independent or the box has a probability of 1 % or more; else one
    Gibbs chain of 50 sweeps for each draw, which start from a weighted sample.

    Parameters
    ----------
    n_draws : int
        Number of draws.
    location, covariance, precision : ndarray
        Parameters before truncation.
    box : tuple of ndarray of shape (d,)
        Lower and upper sides.
    generator : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of shape (n_draws, d)
        Points of the box.
    """
    independent = not np.any(precision - np.diag(np.diag(precision)))
    log_probability, _ = box_log_probability(location, covariance, box)
    if not independent and log_probability >= np.log(_SIFT):
        return _sift(n_draws, location, covariance, box, np.exp(log_probability), generator)
    n_start = n_draws if independent else max(4 * n_draws, 1000)
    points, log_weight = _walk(
        _open(generator.random((n_start, len(location)))), location, covariance, box
    )
    if independent:
        return points
    weight = np.exp(log_weight - log_weight.max())
    points = points[generator.choice(n_start, n_draws, p=weight / weight.sum())]
    scale = 1.0 / np.sqrt(np.diag(precision))
    for _ in range(_SWEEPS):
        for j in range(len(location)):
            pull = (points - location) @ precision[j] * scale[j] ** 2
            center = points[:, j] - pull
            a, b = (box[0][j] - center) / scale[j], (box[1][j] - center) / scale[j]
            level = _open(generator.random(n_draws))
            points[:, j] = center + scale[j] * _quantiles(level, a, b)
        points = np.clip(points, *box)
    return points


def _sift(
    n_draws: int,
    location: FloatArray,
    covariance: FloatArray,
    box: tuple[FloatArray, FloatArray],
    probability: float,
    generator: np.random.Generator,
) -> FloatArray:
    root = cholesky(covariance, lower=True)
    kept: list[FloatArray] = []
    missing = n_draws
    while missing > 0:
        size = min(int(missing / probability * 1.1) + 16, max(16, 2**22 // len(location)))
        points = location + generator.standard_normal((size, len(location))) @ root.T
        points = points[rows_inside(points, box)][:missing]
        kept.append(points)
        missing -= len(points)
    return np.concatenate(kept)
