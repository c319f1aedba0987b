"""Refinement by maximum likelihood: the basis of score matching, coefficients that see modes.

For fixed centres and bandwidths mean f - log Z - penalty/2 c'Kc is concave in c. Z is a mean over
importance draws, and a few damped Newton steps find the maximum. The penalty is chosen by held-out
log-likelihood with draws that were not fitted to; the refined f is taken only if that is better
than what score matching gave.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, eigh

from skmmd._chunked import row_blocks
from skmmd.density._bases import BaseMeasure
from skmmd.density._folds import Folds
from skmmd.density._normalizer import Proposal, log_normalizers
from skmmd.density._radial import half_distances, radial

__all__ = ["Refinement", "held_out_refinement", "maximum_likelihood", "refined_coefficients"]

FloatArray = NDArray[np.float64]

_N_DRAWS = 5000
_PENALTIES = np.geomspace(1.0, 1e-5, 6)
_MAX_NEWTON = 12
_TOLERANCE = 1e-6
_HALVINGS = 12
_TRUNCATION = 1e-10
_MIN_ESS = 0.03
_BLOCK = 2048


@dataclass(frozen=True)
class Refinement:
    """The penalty of the refinement, and what held-out rows say of it.

    Parameters
    ----------
    penalty : float
        Weight of 1/2 c'Kc.
    value : float
        Held-out log-likelihood per row.
    """

    penalty: float
    value: float


def _orthonormal(kernel: str, rho: FloatArray, centers: FloatArray) -> FloatArray:
    """Return T with T'KT = I; directions that rounding owns are left out."""
    values, vectors = eigh(radial(kernel, half_distances(rho, centers, centers))[0])
    kept = values > _TRUNCATION * values[-1]
    return np.asarray(vectors[:, kept] / np.sqrt(values[kept]))


def maximum_likelihood(
    target: FloatArray,
    at_draws: FloatArray,
    log_weights: FloatArray,
    penalty: float,
    start: FloatArray,
) -> FloatArray:
    """Return g that maximises target.g - log mean exp(log_weights + at_draws g) - penalty/2 g.g.

    Parameters
    ----------
    target : ndarray of shape (n_functions,)
        Mean of each function over the rows.
    at_draws : ndarray of shape (n_draws, n_functions)
        Functions at the draws.
    log_weights : ndarray of shape (n_draws,)
        Log ratio of base measure and proposal at the draws.
    penalty : float
        Positive.
    start : ndarray of shape (n_functions,)
        Where Newton's method starts.

    Returns
    -------
    ndarray of shape (n_functions,)
        The maximum, after at most 12 damped Newton steps.
    """
    g = start

    def objective(g: FloatArray) -> tuple[float, FloatArray]:
        exponent = log_weights + at_draws @ g
        largest = exponent.max()
        weights = np.exp(exponent - largest)
        total = weights.sum()
        value = target @ g - np.log(total) - largest - 0.5 * penalty * (g @ g)
        return float(value), weights / total

    value, share = objective(g)
    for _ in range(_MAX_NEWTON):
        mean = share @ at_draws
        gradient = target - mean - penalty * g
        weighted = at_draws * np.sqrt(share)[:, None]
        curvature = weighted.T @ weighted
        curvature -= np.outer(mean, mean)
        curvature.flat[:: len(g) + 1] += penalty + 1e-12
        step = cho_solve(cho_factor(curvature, lower=True, check_finite=False), gradient)
        gain = float(gradient @ step)
        if gain < _TOLERANCE:
            break
        length = 1.0
        for _ in range(_HALVINGS):
            trial, trial_share = objective(g + length * step)
            if trial > value + 1e-4 * length * gain:
                break
            length *= 0.5
        else:
            break
        g, value, share = g + length * step, trial, trial_share
    return g


def held_out_refinement(
    kernel: str,
    lengths: FloatArray,
    centers: FloatArray,
    folds: Folds,
    bases: tuple[BaseMeasure, ...],
    proposal: Proposal,
    generator: np.random.Generator,
) -> Refinement | None:
    """Choose the penalty of the refinement by held-out log-likelihood.

    Parameters
    ----------
    kernel : {"rbf", "imq", "rq"}
        The radial function.
    lengths : ndarray of shape (n_features,)
        Bandwidths.
    centers : ndarray of shape (n_centers, n_features)
        Centres.
    folds : Folds
        Rows in coordinates.
    bases : tuple of BaseMeasure
        Base measure of each split.
    proposal : Proposal
        What is drawn from.
    generator : numpy.random.Generator
        Source of the draws.

    Returns
    -------
    Refinement or None
        None if no penalty left draws of any worth.
    """
    rho = lengths**-2.0
    to_coef = _orthonormal(kernel, rho, centers)

    def features(points: FloatArray) -> FloatArray:
        values = radial(kernel, half_distances(rho, points, centers))[0]
        return np.asarray(values @ to_coef)

    at_rows = features(folds.X)
    draws, fresh = (proposal.draw(_N_DRAWS, generator) for _ in range(2))
    at_draws, at_fresh = features(draws), features(fresh)
    log_draws, log_fresh = proposal.log_density(draws), proposal.log_density(fresh)
    values = np.empty((len(bases), len(_PENALTIES)))
    ess = np.empty_like(values)
    for k, base in enumerate(bases):
        target = folds.train[k] @ at_rows
        log_ratio = base.log_density(draws) - log_draws
        log_fresh_base = base.log_density(fresh)
        held_out = folds.test[k] @ base.log_density(folds.X)
        mean_test = folds.test[k] @ at_rows
        g = np.zeros(at_rows.shape[1])
        path = []
        for penalty in _PENALTIES:
            g = maximum_likelihood(target, at_draws, log_ratio, float(penalty), g)
            path.append(g)
        functions = np.stack(path, axis=1)
        normalizer = log_normalizers(log_fresh_base, at_fresh @ functions, log_fresh)
        log_z = normalizer.log_normalizer + normalizer.standard_error
        values[k] = held_out + mean_test @ functions - log_z
        ess[k] = normalizer.ess
    trusted = np.all(ess >= _MIN_ESS, axis=0) & np.all(np.isfinite(values), axis=0)
    if not trusted.any():
        return None
    means = np.where(trusted, values.mean(axis=0), -np.inf)
    best = int(np.argmax(means))
    return Refinement(float(_PENALTIES[best]), float(means[best]))


def refined_coefficients(
    kernel: str,
    lengths: FloatArray,
    centers: FloatArray,
    X: FloatArray,
    weight: FloatArray,
    base: BaseMeasure,
    proposal: Proposal,
    penalty: float,
    n_draws: int,
    generator: np.random.Generator,
) -> FloatArray:
    """Return the coefficients of maximum penalised likelihood for all rows.

    Parameters
    ----------
    kernel : {"rbf", "imq", "rq"}
        The radial function.
    lengths : ndarray of shape (n_features,)
        Bandwidths.
    centers : ndarray of shape (n_centers, n_features)
        Centres.
    X : ndarray of shape (n, n_features)
        Rows.
    weight : ndarray of shape (n,)
        Weights; they sum to 1.
    base : BaseMeasure
        The base measure.
    proposal : Proposal
        What is drawn from.
    penalty : float
        Weight of 1/2 c'Kc.
    n_draws : int
        Number of draws.
    generator : numpy.random.Generator
        Source of the draws.

    Returns
    -------
    ndarray of shape (n_centers,)
        Coefficients.
    """
    rho = lengths**-2.0
    to_coef = _orthonormal(kernel, rho, centers)
    draws = proposal.draw(n_draws, generator)
    at_draws = radial(kernel, half_distances(rho, draws, centers))[0] @ to_coef
    target = np.zeros(to_coef.shape[1])
    for rows in row_blocks(len(X), _BLOCK):
        values = radial(kernel, half_distances(rho, X[rows], centers))[0]
        target += (weight[rows] @ values) @ to_coef
    log_base = base.log_density(draws)
    log_ratio = log_base - proposal.log_density(draws, log_base)
    g = np.zeros(len(target))
    for step in _PENALTIES[penalty <= _PENALTIES]:
        g = maximum_likelihood(target, at_draws, log_ratio, float(step), g)
    return np.asarray(to_coef @ g)
