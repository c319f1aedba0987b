"""Semismooth Newton method for kernel mean matching, on the dual of the weights.

With K = F F' and ridge > 0 the minimum over the masses equals that of a function without bounds,

    psi(z) = 1/2 |z|^2 + max over feasible m of (kappa - F z)'m - 1/2 m' diag(ridge) m,

which is convex with the continuous gradient z - F'm(z), where m(z) is a clipped linear function.
Its generalised Hessian is that of the rows which are at no bound, so that Newton's method finds the
rows at bounds within a few steps. Without ridge, or where a tiny one leaves too many steps, a
sequence of problems with a ridge pulls towards the masses before (the proximal point method).

z = F'v can stand for its coefficients v over rows: then K itself takes the place of F.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from skmmd._chunked import gather_blocks, reduce_blocks, row_blocks
from skmmd.transfer._problem import MatchingProblem, Solution, nearest_masses, violation

__all__ = ["Direction", "FeatureForm", "GramForm", "form_of", "minimise_by_newton"]

FloatArray = NDArray[np.float64]
Flags = NDArray[np.bool_]

_MAX_NEWTON, _MAX_ALL, _MAX_CUTS = 60, 600, 40
_FLAT = 0.1
_ROUNDING = 256.0 * float(np.finfo(np.float64).eps)
_FIRST_PULL, _LAST_PULL = 1e-4, 1e-9
_FEW, _MANY = 6, 12
_LOOSE = 0.01
_BLOCK = 2048


@dataclass(frozen=True)
class Direction:
    """A step in z, in coefficients of the form, with what the line search needs of it.

    Parameters
    ----------
    step : ndarray
        The step.
    field : ndarray of shape (n_source,)
        F times the step.
    along : float
        Inner product of z and the step.
    square : float
        Squared length of the step.
    slope : float
        Derivative of psi along the step.
    """

    step: FloatArray
    field: FloatArray
    along: float
    square: float
    slope: float


class Form(Protocol):
    """How K is given: by itself, or by features."""

    def point(self, mass: FloatArray) -> FloatArray:
        """Return the coefficients of z = F'mass."""
        ...

    def field(self, point: FloatArray) -> FloatArray:
        """Return F z."""
        ...

    def direction(
        self,
        point: FloatArray,
        field: FloatArray,
        mass: FloatArray,
        free: Flags,
        ridge: FloatArray,
        tied: bool,
    ) -> Direction:
        """Return the Newton step; `tied`: the sum of the masses is at a bound."""
        ...


class GramForm:
    """K in memory; z is given by coefficients of the rows.

    Parameters
    ----------
    K : ndarray of shape (n_source, n_source)
        The Gram matrix.
    """

    def __init__(self, K: FloatArray) -> None:
        self._K = K

    def point(self, mass: FloatArray) -> FloatArray:
        """Return the coefficients of F'mass: the masses."""
        return mass

    def field(self, point: FloatArray) -> FloatArray:
        """Return ``K @ point``."""
        return np.asarray(self._K @ point)

    def direction(
        self,
        point: FloatArray,
        field: FloatArray,
        mass: FloatArray,
        free: Flags,
        ridge: FloatArray,
        tied: bool,
    ) -> Direction:
        """Return the Newton step, by a system of the size of the free rows."""
        K = self._K
        wanted = mass - point
        step = wanted.copy()
        rows = np.flatnonzero(free)
        if rows.size:
            fixed = np.where(free, 0.0, wanted)
            right = ridge[rows] * wanted[rows] - (K @ fixed)[rows]
            system = K[np.ix_(rows, rows)]
            system.flat[:: rows.size + 1] += ridge[rows]
            factor = linalg.cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
            step[rows] = linalg.cho_solve(factor, right, check_finite=False)
            if tied:
                ones = linalg.cho_solve(factor, np.ones(rows.size), check_finite=False)
                excess = step[rows].sum() - wanted[rows].sum()
                step[rows] -= excess / ones.sum() * ones
        along_field = K @ step
        return Direction(
            step,
            along_field,
            float(point @ along_field),
            float(step @ along_field),
            -float(wanted @ along_field),
        )


class FeatureForm:
    """K by features of low rank; z is what it is.

    Parameters
    ----------
    F : ndarray of shape (n_source, n_components)
        The features.
    n_jobs : int, default=None
        Number of threads.
    """

    def __init__(self, F: FloatArray, n_jobs: int | None = None) -> None:
        self._F = F
        self._n_jobs = n_jobs
        self._blocks = row_blocks(len(F), _BLOCK)

    def point(self, mass: FloatArray) -> FloatArray:
        """Return ``F.T @ mass``."""
        return reduce_blocks(
            lambda rows: self._F[rows].T @ mass[rows], self._blocks, np.add, n_jobs=self._n_jobs
        )

    def field(self, point: FloatArray) -> FloatArray:
        """Return ``F @ point``."""
        parts = gather_blocks(lambda rows: self._F[rows] @ point, self._blocks, n_jobs=self._n_jobs)
        return np.concatenate(parts)

    def direction(
        self,
        point: FloatArray,
        field: FloatArray,
        mass: FloatArray,
        free: Flags,
        ridge: FloatArray,
        tied: bool,
    ) -> Direction:
        """Return the Newton step, by a system of the size of the features."""
        weight = np.where(free, 1.0 / ridge, 0.0)

        def curvature(rows: slice) -> FloatArray:
            chosen = np.flatnonzero(free[rows])
            scaled = self._F[rows][chosen] * np.sqrt(weight[rows][chosen])[:, None]
            return np.asarray(scaled.T @ scaled)

        system = reduce_blocks(curvature, self._blocks, np.add, n_jobs=self._n_jobs)
        if tied and np.any(free):
            mean = self.point(weight)
            system -= np.outer(mean, mean) / weight.sum()
        system.flat[:: len(system) + 1] += 1.0
        gradient = point - self.point(mass)
        factor = linalg.cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
        step = -linalg.cho_solve(factor, gradient, check_finite=False)
        return Direction(
            step,
            self.field(step),
            float(point @ step),
            float(step @ step),
            float(gradient @ step),
        )


def form_of(K: FloatArray, n_jobs: int | None = None) -> GramForm | FeatureForm:
    """Return a Gram matrix by features where its rank is low, which keeps more digits then.

    Parameters
    ----------
    K : ndarray of shape (n_source, n_source)
        The Gram matrix.
    n_jobs : int, default=None
        Number of threads.

    Returns
    -------
    GramForm or FeatureForm
        By a pivoted Cholesky factor if it has at most half as many columns as rows.
    """
    factor, pivots, rank, _ = linalg.lapack.dpstrf(K, lower=1)
    if 2 * rank > len(K):
        return GramForm(K)
    F = np.zeros((len(K), max(int(rank), 1)))
    F[pivots - 1] = np.tril(factor)[:, : F.shape[1]]
    return FeatureForm(F, n_jobs)


def minimise_by_newton(
    problem: MatchingProblem, form: Form, start: FloatArray, *, tol: float
) -> Solution:
    """Minimise to the tolerance, or to rounding.

    Parameters
    ----------
    problem : MatchingProblem
        The problem.
    form : GramForm or FeatureForm
        Its Gram matrix.
    start : ndarray of shape (n_source,)
        Feasible masses.
    tol : float
        Largest violation of the conditions of optimality at which to stop.

    Returns
    -------
    Solution
        The masses.

    References
    ----------
    Qi, L. & Sun, J. (1993). A nonsmooth version of Newton's method. Mathematical Programming 58.

    Rockafellar, R. T. (1976). Monotone operators and the proximal point algorithm. SIAM J. Control
    and Optimization 14(5).
    """
    n_iter, ended = 0, False
    if problem.ridge.min() > _ROUNDING * float(np.abs(problem.kappa).max()):
        mass, shift, n_iter, ended = _newton(problem, form, start, tol)
    if not ended:
        mass, shift, more = _proximal(problem, form, start, tol)
        n_iter += more
    field = form.field(form.point(mass))
    gradient = field + problem.ridge * mass - problem.kappa
    done = ended or violation(problem, mass, gradient) <= max(tol, _rounding(problem, field))
    return Solution(mass, gradient, shift, n_iter, done)


def _rounding(problem: MatchingProblem, field: FloatArray) -> float:
    """Return the violation below which there is nothing but rounding."""
    return _ROUNDING * float(np.abs(problem.kappa).max() + np.abs(field).max())


def _newton(
    problem: MatchingProblem, form: Form, start: FloatArray, tol: float
) -> tuple[FloatArray, float, int, bool]:
    """Return masses, shift, number of Newton steps, and whether they ended; the ridge is > 0."""
    ridge = problem.ridge
    point = form.point(start)
    field = form.field(point)
    mass, shift, tied = nearest_masses((problem.kappa - field) / ridge, ridge, problem)
    n_iter = 0
    for n_iter in range(1, _MAX_NEWTON + 1):
        error = form.field(form.point(mass)) - field
        if np.abs(error).max() <= max(tol, _rounding(problem, field)):
            return mass, shift, n_iter - 1, True
        free = (mass > 0.0) & (mass < problem.upper)
        try:
            direction = form.direction(point, field, mass, free, ridge, tied)
        except linalg.LinAlgError:  # a ridge too small for rounding, or a kernel not definite
            return mass, shift, n_iter, False
        length, found = _search(problem, field, direction)
        if length == 0.0:  # as near as rounding lets it come
            return mass, shift, n_iter, True
        point = point + length * direction.step
        field = field + length * direction.field
        mass, shift, tied = found
    return mass, shift, n_iter, False


def _search(
    problem: MatchingProblem, field: FloatArray, direction: Direction
) -> tuple[float, tuple[FloatArray, float, bool]]:
    """Return the length of a step, and the masses after it; 0 if none lowers psi.

    The full step where psi still falls at its end, otherwise where its derivative has become
    small: psi is convex, and a derivative costs no product with K.
    """
    ridge = problem.ridge

    def after(length: float) -> tuple[tuple[FloatArray, float, bool], float]:
        wanted = (problem.kappa - field - length * direction.field) / ridge
        found = nearest_masses(wanted, ridge, problem)
        slope = direction.along + length * direction.square - float(found[0] @ direction.field)
        return found, slope

    found, slope = after(1.0)
    if slope <= _FLAT * abs(direction.slope):
        return 1.0, found
    low, high = (0.0, direction.slope), (1.0, slope)
    best = 0.0, found
    for step in range(_MAX_CUTS):
        share = low[1] / (low[1] - high[1])
        # Halving now and then keeps a bracket with one far end from creeping.
        share = 0.5 if step % 3 == 2 else min(max(share, 0.01), 0.99)
        length = low[0] + share * (high[0] - low[0])
        found, slope = after(length)
        if slope <= 0.0:
            low, best = (length, slope), (length, found)
        else:
            high = (length, slope)
        if low[0] > 0.0 and -low[1] <= 0.5 * abs(direction.slope):
            break
        if abs(slope) <= _FLAT * abs(direction.slope):
            return length, found
    return best


def _proximal(
    problem: MatchingProblem, form: Form, start: FloatArray, tol: float
) -> tuple[FloatArray, float, int]:
    """Return the same where some ridge is tiny: each problem pulls towards the masses before.

    The pull is as weak as lets Newton's method end in a few steps.
    """
    mass, shift, n_iter = start, 0.0, 0
    scale = float(np.abs(problem.kappa).max()) or 1.0
    pull = _FIRST_PULL * scale
    field = form.field(form.point(mass))
    worst = violation(problem, mass, field + problem.ridge * mass - problem.kappa)
    while n_iter < _MAX_ALL:
        pulled = replace(problem, kappa=problem.kappa + pull * mass, ridge=problem.ridge + pull)
        # Not more exactly than pays: the next pull is towards other masses.
        found, found_shift, steps, ended = _newton(
            pulled, form, mass, max(0.1 * tol, _LOOSE * worst)
        )
        n_iter += steps
        if not ended:
            pull *= 10.0
            if pull > scale:
                break
            continue
        mass, shift = found, found_shift
        field = form.field(form.point(mass))
        gradient = field + problem.ridge * mass - problem.kappa
        worst = violation(problem, mass, gradient)
        if worst <= max(tol, _rounding(problem, field)):
            break
        if steps > _MANY:
            pull *= 2.0
        elif steps <= _FEW:
            pull = max(0.5 * pull, _LAST_PULL * scale)
    return mass, shift, n_iter
