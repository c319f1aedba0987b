"""Semismooth Newton method for kernel mean matching, on the dual of the weights.

With K = F F' and ridge > 0 the minimum over the masses equals that of a function without bounds,

    psi(z) = 1/2 |z|^2 + max over feasible m of (kappa - F z)'m - 1/2 m' diag(ridge) m,

which is convex with the continuous gradient z - F'm(z), where m(z) is a clipped linear function.
Its generalised Hessian is that of the rows which are at no bound, so that Newton's method finds the
rows at bounds within a few steps. With little ridge or none, a sequence of problems with a ridge
pulls towards the masses before (the proximal point method).

z = F'v can stand for its coefficients v over rows: then K itself takes the place of F.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from skmmd._chunked import gather_blocks, reduce_blocks, row_blocks
from skmmd.transfer._problem import MatchingProblem, Solution, nearest_masses, violation

__all__ = ["Direction", "FeatureForm", "GramForm", "minimise_by_newton"]

FloatArray = NDArray[np.float64]
Flags = NDArray[np.bool_]

_MAX_NEWTON, _MAX_ALL, _MAX_HALVINGS = 60, 600, 30
_ROUNDING = 256.0 * float(np.finfo(np.float64).eps)
_FIRST_PULL, _LAST_PULL = 1e-4, 1e-9
_FEW, _MANY = 6, 12
# A ridge beyond this share of the linear term lets Newton's method end in a few steps by itself.
_FIRM = 1e-5
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

    def square(self, point: FloatArray, field: FloatArray) -> float:
        """Return the squared length of z."""
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

    def square(self, point: FloatArray, field: FloatArray) -> float:
        """Return the squared length of z."""
        return float(point @ field)

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

    def square(self, point: FloatArray, field: FloatArray) -> float:
        """Return the squared length of z."""
        return float(point @ point)

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
    if problem.ridge.min() > _FIRM * float(np.abs(problem.kappa).max()):
        mass, shift, n_iter, _ = _newton(problem, form, start, tol)
    else:
        mass, shift, n_iter = _proximal(problem, form, start, tol)
    field = form.field(form.point(mass))
    gradient = field + problem.ridge * mass - problem.kappa
    done = violation(problem, mass, gradient) <= max(tol, _rounding(problem, field))
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
    square = form.square(point, field)
    mass, shift, tied = nearest_masses((problem.kappa - field) / ridge, ridge, problem)
    value = _psi(problem, square, field, mass)
    n_iter = 0
    for n_iter in range(1, _MAX_NEWTON + 1):
        error = form.field(form.point(mass)) - field
        if np.abs(error).max() <= max(tol, _rounding(problem, field)):
            return mass, shift, n_iter - 1, True
        free = (mass > 0.0) & (mass < problem.upper)
        direction = form.direction(point, field, mass, free, ridge, tied)
        length, improved = 1.0, False
        for _ in range(_MAX_HALVINGS):
            new_field = field + length * direction.field
            new_square = square + length * (2.0 * direction.along + length * direction.square)
            found = nearest_masses((problem.kappa - new_field) / ridge, ridge, problem)
            new_value = _psi(problem, new_square, new_field, found[0])
            rounding = 16.0 * np.finfo(np.float64).eps * abs(value)
            if new_value <= value + 1e-4 * length * direction.slope + rounding:
                improved = True
                break
            length *= 0.5
        if not improved:
            break
        point = point + length * direction.step
        field, square, value = new_field, new_square, new_value
        mass, shift, tied = found
    return mass, shift, n_iter, False


def _psi(problem: MatchingProblem, square: float, field: FloatArray, mass: FloatArray) -> float:
    linear = float((problem.kappa - field) @ mass)
    return 0.5 * square + linear - 0.5 * float(problem.ridge @ (mass * mass))


def _proximal(
    problem: MatchingProblem, form: Form, start: FloatArray, tol: float
) -> tuple[FloatArray, float, int]:
    """Return the same where some ridge is tiny: each problem pulls towards the masses before.

    The pull is as weak as lets Newton's method end in a few steps.
    """
    mass, shift, n_iter = start, 0.0, 0
    scale = float(np.abs(problem.kappa).max()) or 1.0
    pull = _FIRST_PULL * scale
    while n_iter < _MAX_ALL:
        pulled = replace(problem, kappa=problem.kappa + pull * mass, ridge=problem.ridge + pull)
        found, found_shift, steps, ended = _newton(pulled, form, mass, 0.1 * tol)
        n_iter += steps
        if not ended:
            pull *= 10.0
            if pull > scale:
                break
            continue
        mass, shift = found, found_shift
        field = form.field(form.point(mass))
        gradient = field + problem.ridge * mass - problem.kappa
        if violation(problem, mass, gradient) <= max(tol, _rounding(problem, field)):
            break
        if steps > _MANY:
            pull *= 2.0
        elif steps <= _FEW:
            pull = max(0.5 * pull, _LAST_PULL * scale)
    return mass, shift, n_iter
