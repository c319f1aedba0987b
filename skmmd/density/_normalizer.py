"""Normalisers by importance sampling: what is drawn from, and what the draws say.

Half of the draws come from the base measure, which covers the tails, and half from a kernel
density estimate, which is where the rows are.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import truncnorm

from skmmd._chunked import row_blocks
from skmmd.density._bases import BaseMeasure

__all__ = [
    "Normalizer",
    "Normalizers",
    "Proposal",
    "ess_with_peak",
    "log_normalizer",
    "log_normalizers",
    "make_proposal",
    "systematic",
]

FloatArray = NDArray[np.float64]

_LOG_2PI = float(np.log(2.0 * np.pi))
_MAX_CENTERS = 2000
_BLOCK_SIZE = 2**20


@dataclass(frozen=True)
class Proposal:
    """Half a base measure, half a kernel density estimate.

    Parameters
    ----------
    base : BaseMeasure
        The base measure.
    centers : ndarray of shape (n_centers, n_features)
        Centres of the Gaussian kernels.
    weights : ndarray of shape (n_centers,)
        Their weights; they sum to 1.
    bandwidth : float
        Standard deviation of the kernels.
    low, high : ndarray of shape (n_features,) or None
        Sides of the box at which each kernel is cut off and renormalised; None for no box. The
        centres lie inside.
    """

    base: BaseMeasure
    centers: FloatArray
    weights: FloatArray
    bandwidth: float
    low: FloatArray | None = None
    high: FloatArray | None = None

    def draw(self, n_draws: int, generator: np.random.Generator) -> FloatArray:
        """Draw points: the first half, rounded up, from the base measure, the rest from kernels.

        Parameters
        ----------
        n_draws : int
            Number of points.
        generator : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        ndarray of shape (n_draws, n_features)
            The draws. :func:`log_normalizer` takes them in this order.
        """
        n_base = _n_from_base(n_draws)
        from_base = self.base.draw(n_base, generator)
        chosen = generator.choice(len(self.weights), size=n_draws - n_base, p=self.weights)
        center = self.centers[chosen]
        if self.low is None or self.high is None:
            from_kernels = center + self.bandwidth * generator.standard_normal(center.shape)
        else:
            sides = (self.low - center) / self.bandwidth, (self.high - center) / self.bandwidth
            level = np.maximum(generator.random(center.shape), 2.0**-54)
            from_kernels = center + self.bandwidth * truncnorm.ppf(level, *sides)
            from_kernels = np.clip(from_kernels, self.low, self.high)
        return np.concatenate([from_base, from_kernels])

    def log_density(self, X: FloatArray, log_base: FloatArray | None = None) -> FloatArray:
        """Return the log density of each row.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Points inside of the box, if there is one.
        log_base : ndarray of shape (n_rows,), default=None
            Log density of the base measure at the rows, where it is known already.

        Returns
        -------
        ndarray of shape (n_rows,)
            Log density, normalised.
        """
        if log_base is None:
            log_base = self.base.log_density(X)
        blocks = row_blocks(len(X), max(1, _BLOCK_SIZE // len(self.centers)))
        log_kernels = np.concatenate([self._log_kernels(X[rows]) for rows in blocks])
        return np.asarray(np.logaddexp(log_base, log_kernels) - np.log(2.0))

    def _log_kernels(self, X: FloatArray) -> FloatArray:
        exponent = X @ (self.centers.T / self.bandwidth**2)
        exponent += self._log_heights
        largest = exponent.max(axis=1)
        exponent -= largest[:, None]
        np.exp(exponent, out=exponent)
        largest -= np.square(X).sum(axis=1) / (2.0 * self.bandwidth**2)
        return np.asarray(np.log(exponent.sum(axis=1)) + largest)

    @functools.cached_property
    def _log_heights(self) -> FloatArray:
        """Log of each kernel's factor, with the part of the squared distance it alone decides."""
        h, d = self.bandwidth, self.centers.shape[1]
        log_heights = np.log(self.weights) - d * (np.log(h) + 0.5 * _LOG_2PI)
        log_heights -= np.square(self.centers).sum(axis=1) / (2.0 * h**2)
        if self.low is not None and self.high is not None:
            # No cancellation: the sides lie at the left and at the right of a centre.
            mass = ndtr((self.high - self.centers) / h) - ndtr((self.low - self.centers) / h)
            log_heights -= np.log(mass).sum(axis=1)
        return np.asarray(log_heights)


def make_proposal(
    base: BaseMeasure,
    X: FloatArray,
    weight: FloatArray,
    n_samples: float,
    generator: np.random.Generator,
    *,
    low: FloatArray | None = None,
    high: FloatArray | None = None,
) -> Proposal:
    """Return the proposal for rows in whitened coordinates.

    Parameters
    ----------
    base : BaseMeasure
        The base measure.
    X : ndarray of shape (n_rows, n_features)
        Rows.
    weight : ndarray of shape (n_rows,)
        Weights; they sum to 1.
    n_samples : float
        Number of samples the rows stand for.
    generator : numpy.random.Generator
        Draws the centres by weight if there are more than 2,000 rows.
    low, high : ndarray of shape (n_features,), default=None
        Sides of a box, -inf or inf where there is none. Both or neither.

    Returns
    -------
    Proposal
        Kernels of width ``.9 n_samples^(-1/(d + 4))`` around the rows, and the base measure.
    """
    chosen = np.flatnonzero(weight)
    weights = weight[chosen] / weight[chosen].sum()
    if len(chosen) > _MAX_CENTERS:
        chosen = chosen[systematic(weights, _MAX_CENTERS, generator)]
        weights = np.full(_MAX_CENTERS, 1.0 / _MAX_CENTERS)
    bandwidth = 0.9 * max(1.0, n_samples) ** (-1.0 / (X.shape[1] + 4.0))
    return Proposal(base, X[chosen], weights, bandwidth, low, high)


def systematic(
    weights: FloatArray, n_draws: int, generator: np.random.Generator
) -> NDArray[np.intp]:
    """Draw indices by weight, each as often as expected, rounded up or down.

    Parameters
    ----------
    weights : ndarray of shape (n,)
        Weights, not negative; they sum to 1.
    n_draws : int
        Number of draws.
    generator : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of shape (n_draws,), dtype intp
        Indices, ascending.
    """
    ends = np.cumsum(weights)
    teeth = (np.arange(n_draws) + generator.random()) * (ends[-1] / n_draws)
    last = np.flatnonzero(weights)[-1]
    return np.minimum(np.searchsorted(ends, teeth, side="right"), last)


@dataclass(frozen=True)
class Normalizer:
    """An estimate of a log normaliser.

    Parameters
    ----------
    log_normalizer : float
        The estimate.
    standard_error : float
        Its standard error.
    ess : float
        Effective sample size as a fraction of the draws, in (0, 1].
    """

    log_normalizer: float
    standard_error: float
    ess: float


@dataclass(frozen=True)
class Normalizers:
    """Estimates of several log normalisers from the same draws.

    Parameters
    ----------
    log_normalizer : ndarray of shape (n_functions,)
        The estimates.
    standard_error : ndarray of shape (n_functions,)
        Their standard errors.
    ess : ndarray of shape (n_functions,)
        Effective sample sizes as fractions of the draws, in (0, 1].
    """

    log_normalizer: FloatArray
    standard_error: FloatArray
    ess: FloatArray


def log_normalizer(log_base: FloatArray, f: FloatArray, log_proposal: FloatArray) -> Normalizer:
    """Estimate the log of the integral of ``q0 exp(f)``.

    Parameters
    ----------
    log_base : ndarray of shape (n_draws,)
        Log density of the base measure q0 at the draws of a :class:`Proposal`, in their order.
    f : ndarray of shape (n_draws,)
        Values of f.
    log_proposal : ndarray of shape (n_draws,)
        Log density of the proposal.

    Returns
    -------
    Normalizer
        Estimate, standard error, effective sample size.
    """
    found = log_normalizers(log_base, f[:, None], log_proposal)
    return Normalizer(
        float(found.log_normalizer[0]), float(found.standard_error[0]), float(found.ess[0])
    )


def log_normalizers(log_base: FloatArray, f: FloatArray, log_proposal: FloatArray) -> Normalizers:
    """Estimate the log of the integral of ``q0 exp(f)`` for many functions f.

    Parameters
    ----------
    log_base : ndarray of shape (n_draws,)
        Log density of the base measure q0 at the draws of a :class:`Proposal`, in their order.
    f : ndarray of shape (n_draws, n_functions)
        Values of each f.
    log_proposal : ndarray of shape (n_draws,)
        Log density of the proposal.

    Returns
    -------
    Normalizers
        Estimates, standard errors, effective sample sizes. The ratio of base and proposal, whose
        mean is 1, serves as a control variate, so that ``f = 0`` gives 0.
    """
    log_ratio = log_base - log_proposal
    ratio = np.exp(log_ratio)
    weights = log_ratio[:, None] + f
    # With f = 0 the weights are the ratio to the bit, and what remains of them is nothing.
    shift = weights.max(axis=0) - log_ratio.max()
    with np.errstate(invalid="ignore"):
        weights -= shift
    np.exp(weights, out=weights)
    square_sums = np.einsum("ij,ij->j", weights, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        ess = weights.sum(axis=0) ** 2 / (len(weights) * square_sums)

    share = _shares(len(ratio))
    plain = share @ weights
    centred = _within_halves(ratio.copy())
    variance = (share**2) @ centred**2
    slope = (share**2 * centred) @ weights / variance if variance > 0.0 else np.zeros(len(plain))
    mean = plain - slope * (share @ ratio - 1.0)
    # A slope from a handful of draws may correct too far.
    use = mean > 0.5 * plain
    slope, mean = np.where(use, slope, 0.0), np.where(use, mean, plain)
    weights -= slope * ratio[:, None]
    residual = _within_halves(weights)
    error = np.sqrt(np.einsum("i,ij,ij->j", share**2, residual, residual))
    with np.errstate(invalid="ignore", divide="ignore"):
        return Normalizers(np.log(mean) + shift, error / mean, ess)


def ess_with_peak(ess: Any, log_peak: Any, n_draws: int) -> Any:
    """Return the effective sample size as if one more weight had been drawn, if that is smaller.

    Draws that miss a narrow peak of the density do not tell so themselves.

    Parameters
    ----------
    ess : float or ndarray
        Effective sample size of the draws, as a fraction of them.
    log_peak : float or ndarray
        Log of the highest weight where f may peak, at its centres, relative to the mean weight.
    n_draws : int
        Number of draws.

    Returns
    -------
    float or ndarray
        A fraction of the draws.
    """
    peak = np.exp(np.minimum(log_peak, 300.0))
    # Sums of the weights and of their squares, the mean weight being 1.
    total, squares = n_draws + peak, n_draws / ess + peak**2
    return np.minimum(ess, total**2 / (n_draws * squares))


def _n_from_base(n_draws: int) -> int:
    return n_draws - n_draws // 2


def _shares(n_draws: int) -> FloatArray:
    """Return the share of each draw in the mean: both halves count alike, even if one has more."""
    n_base = _n_from_base(n_draws)
    return np.repeat([0.5 / n_base, 0.5 / max(1, n_draws - n_base)], [n_base, n_draws - n_base])


def _within_halves(values: FloatArray) -> FloatArray:
    """Subtract the mean of each half, in place: how many draws come from each is not random."""
    n_base = _n_from_base(len(values))
    for half in (values[:n_base], values[n_base:]):
        half -= half.mean(axis=0)
    return values
