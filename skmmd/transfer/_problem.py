"""The quadratic problem of kernel mean matching, and what tells how near the optimum a point is.

With masses m = a w (a the weights of the rows, w the weights sought), it is to minimise

    f(m) = 1/2 m'K m + 1/2 m' diag(ridge) m - kappa' m
    subject to 0 <= m <= upper, lowest <= sum(m) <= highest

where ridge = lambda / a, upper = max_weight a and kappa = (sum a / sum b) K_st b.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MatchingProblem", "Solution", "feasible_start", "gap", "nearest_masses", "violation"]

FloatArray = NDArray[np.float64]

_EPS = float(np.finfo(np.float64).eps)
_SLACK = 1e-10


@dataclass(frozen=True)
class MatchingProblem:
    """What is to be minimised, but for the Gram matrix of the source rows.

    Parameters
    ----------
    kappa : ndarray of shape (n_source,)
        Linear term.
    ridge : ndarray of shape (n_source,)
        Diagonal that is added to the Gram matrix; zero or positive.
    upper : ndarray of shape (n_source,)
        Largest mass of each row.
    lowest, highest : float
        Bounds of the sum of the masses; infinite where there are none.
    """

    kappa: FloatArray
    ridge: FloatArray
    upper: FloatArray
    lowest: float = -np.inf
    highest: float = np.inf


@dataclass(frozen=True)
class Solution:
    """Masses, and how they were found.

    Parameters
    ----------
    mass : ndarray of shape (n_source,)
        The masses.
    gradient : ndarray of shape (n_source,)
        Gradient of f there.
    shift : float
        Multiplier of the bounds of the sum: 0 while they are not active.
    n_iter : int
        Steps made.
    converged : bool
        Whether the conditions of optimality hold to the tolerance, or to rounding.
    """

    mass: FloatArray
    gradient: FloatArray
    shift: float
    n_iter: int
    converged: bool


def _sum_slack(problem: MatchingProblem, mass: FloatArray) -> tuple[bool, bool]:
    """Tell whether the sum of the masses may rise, and whether it may fall."""
    total = float(mass.sum())
    slack = _SLACK * max(1.0, abs(total))
    return total < problem.highest - slack, total > problem.lowest + slack


def violation(problem: MatchingProblem, mass: FloatArray, gradient: FloatArray) -> float:
    """Return the largest violation of the conditions of optimality, in units of the gradient.

    Parameters
    ----------
    problem : MatchingProblem
        The problem.
    mass, gradient : ndarray of shape (n_source,)
        A feasible point, and the gradient of f there.

    Returns
    -------
    float
        0 at the optimum.
    """
    rises, falls = _sum_slack(problem, mass)
    below, above = mass < problem.upper, mass > 0.0
    least = float(gradient[below].min(initial=np.inf))
    most = float(gradient[above].max(initial=-np.inf))
    worst = 0.0
    if rises:
        worst = max(worst, -least)
    if falls:
        worst = max(worst, most)
    if not (rises and falls) and np.isfinite(least) and np.isfinite(most):
        worst = max(worst, most - least)
    return worst


def shift_of(problem: MatchingProblem, mass: FloatArray, gradient: FloatArray) -> float:
    """Return the multiplier of the sum at a solution: what the gradient of free rows lacks."""
    rises, falls = _sum_slack(problem, mass)
    if rises and falls:
        return 0.0
    free = (mass > 0.0) & (mass < problem.upper)
    if np.any(free):
        shift = -float(gradient[free].mean())
    else:
        least = float(gradient[mass < problem.upper].min(initial=np.inf))
        most = float(gradient[mass > 0.0].max(initial=-np.inf))
        shift = -float(np.mean([end for end in (least, most) if np.isfinite(end)]))
    # A lower bound that is met pushes up only, an upper one down only.
    if rises:
        return min(shift, 0.0)
    return max(shift, 0.0) if falls else shift


def gap(problem: MatchingProblem, mass: FloatArray, gradient: FloatArray) -> float:
    """Return an upper bound of f(mass) minus the minimum: the Frank-Wolfe gap.

    The largest value of ``gradient @ (mass - s)`` over feasible s, which takes rows by ascending
    gradient as far as the bounds of the sum allow.

    Parameters
    ----------
    problem : MatchingProblem
        The problem.
    mass, gradient : ndarray of shape (n_source,)
        A feasible point, and the gradient of f there.

    Returns
    -------
    float
        0 at the optimum.
    """
    order = np.argsort(gradient, kind="stable")
    sorted_gradient, room = gradient[order], problem.upper[order]
    filled = np.cumsum(room)
    wanted = float(room[sorted_gradient < 0.0].sum())
    wanted = min(max(wanted, problem.lowest), problem.highest)
    taken = np.clip(wanted - (filled - room), 0.0, room)
    return max(float(gradient @ mass - sorted_gradient @ taken), 0.0)


def feasible_start(problem: MatchingProblem, row_mass: FloatArray) -> FloatArray:
    """Return feasible masses: none, or even weights where the sum must be positive."""
    if problem.lowest <= 0.0:
        return np.zeros(len(row_mass))
    return nearest_masses(row_mass, np.ones(len(row_mass)), problem)[0]


def nearest_masses(
    wanted: FloatArray, stiffness: FloatArray, problem: MatchingProblem
) -> tuple[FloatArray, float, bool]:
    """Minimise ``1/2 sum(stiffness (m - wanted)^2)`` over the feasible masses.

    They are ``clip(wanted - shift / stiffness, 0, upper)``, with the shift at which their sum
    meets its bounds; the sum falls as the shift rises, piecewise linearly, so that Newton's method
    kept inside a bracket ends in few steps.

    Parameters
    ----------
    wanted : ndarray of shape (n_source,)
        Where the masses would be without bounds.
    stiffness : ndarray of shape (n_source,)
        Positive numbers.
    problem : MatchingProblem
        Gives the bounds.

    Returns
    -------
    mass : ndarray of shape (n_source,)
        The nearest feasible masses.
    shift : float
        0 if the bounds of the sum are not active.
    active : bool
        Whether they are.
    """
    upper = problem.upper
    mass = np.clip(wanted, 0.0, upper)
    total = float(mass.sum())
    if problem.lowest <= total <= problem.highest:
        return mass, 0.0, False
    goal = problem.lowest if total < problem.lowest else problem.highest
    # At `low` every mass is at its upper bound, at `high` every mass is 0.
    low = float((stiffness * (wanted - upper)).min())
    high = float((stiffness * wanted).max())
    low, high = (low, 0.0) if total < goal else (0.0, high)
    shift = 0.0
    for _ in range(200):
        mass = np.clip(wanted - shift / stiffness, 0.0, upper)
        excess = float(mass.sum()) - goal
        if abs(excess) <= 4.0 * _EPS * abs(goal):
            break
        low, high = (shift, high) if excess > 0.0 else (low, shift)
        slope = float((1.0 / stiffness)[(mass > 0.0) & (mass < upper)].sum())
        new = shift + excess / slope if slope > 0.0 else 0.5 * (low + high)
        shift = new if low < new < high else 0.5 * (low + high)
        if high - low <= 4.0 * _EPS * max(abs(low), abs(high)):
            break
    return mass, shift, True
