"""Samples of an unnormalised density: importance resampling, then Langevin steps."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmmd.density._normalizer import Proposal, systematic

__all__ = ["Draws", "sample"]

FloatArray = NDArray[np.float64]

# The rate of acceptance at which Langevin proposals travel farthest (Roberts & Rosenthal 1998).
_ACCEPTANCE = 0.574
_N_ADAPTING, _N_FIXED = 25, 25
# Fewer chains would not tell the step what its acceptance is.
_MIN_CHAINS = 100
_POOL_PER_CHAIN, _MIN_POOL = 5, 5000


@dataclass(frozen=True)
class Draws:
    """Points drawn from a density, and how well that went.

    Parameters
    ----------
    points : ndarray of shape (n_draws, n_features)
        The points, in random order.
    acceptance : float
        Mean acceptance of the steps of fixed length.
    ess : float
        Effective sample size of the importance weights, as a fraction of the pool.
    """

    points: FloatArray
    acceptance: float
    ess: float


def sample(
    log_density: Callable[[FloatArray], FloatArray],
    score: Callable[[FloatArray], FloatArray],
    proposal: Proposal,
    n_draws: int,
    generator: np.random.Generator,
) -> Draws:
    """Draw from an unnormalised density in whitened coordinates.

    Points of the proposal are resampled by their importance; then each takes steps of the
    Metropolis-adjusted Langevin algorithm, of a length that is first adapted and then fixed.

    Parameters
    ----------
    log_density : callable
        ``log_density(points) -> (n_points,)``; -inf outside of the domain.
    score : callable
        ``score(points) -> (n_points, n_features)``, its gradient.
    proposal : Proposal
        Where the pool of the resampling is drawn.
    n_draws : int
        Number of points.
    generator : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Draws
        The points, the acceptance of the steps, the effective sample size of the pool.
    """
    n_chains = max(n_draws, _MIN_CHAINS)
    pool = proposal.draw(max(_POOL_PER_CHAIN * n_chains, _MIN_POOL), generator)
    log_density_pool = log_density(pool)
    log_weights = log_density_pool - proposal.log_density(pool)
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    chosen = generator.permutation(systematic(weights, n_chains, generator))
    points, acceptance = _langevin(
        log_density, score, pool[chosen], log_density_pool[chosen], generator
    )
    return Draws(points[:n_draws], acceptance, float(1.0 / (len(pool) * np.square(weights).sum())))


def _langevin(
    log_density: Callable[[FloatArray], FloatArray],
    score: Callable[[FloatArray], FloatArray],
    points: FloatArray,
    log_densities: FloatArray,
    generator: np.random.Generator,
) -> tuple[FloatArray, float]:
    """Return all chains after their last step, and the acceptance of the steps of fixed length."""
    n_chains, d = points.shape
    points, log_densities, scores = points.copy(), log_densities.copy(), score(points)
    log_step, accepted_share = -np.log(d) / 6.0, np.zeros(_N_ADAPTING + _N_FIXED)
    for i in range(_N_ADAPTING + _N_FIXED):
        step = np.exp(log_step)
        noise = generator.standard_normal((n_chains, d))
        moved = points + 0.5 * step**2 * scores + step * noise
        moved_log_densities, moved_scores = log_density(moved), score(moved)
        # The noise of the way back, which ends where the step began.
        back = -noise - 0.5 * step * (scores + moved_scores)
        with np.errstate(invalid="ignore", over="ignore"):
            log_ratio = moved_log_densities - log_densities
            log_ratio += 0.5 * (np.square(noise) - np.square(back)).sum(axis=1)
            probability = np.exp(np.minimum(log_ratio, 0.0))
        # Outside of the domain the score may be anything.
        probability[~np.isfinite(moved_log_densities) | np.isnan(probability)] = 0.0
        accepted = generator.random(n_chains) < probability
        points[accepted] = moved[accepted]
        log_densities[accepted] = moved_log_densities[accepted]
        scores[accepted] = moved_scores[accepted]
        accepted_share[i] = probability.mean()
        if i < _N_ADAPTING:
            log_step += 2.0 * (i + 1.0) ** -0.6 * (accepted_share[i] - _ACCEPTANCE)
    return points, float(accepted_share[_N_ADAPTING:].mean())
