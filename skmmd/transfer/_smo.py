"""Sequential minimal optimisation, with rows of the Gram matrix made when they are needed."""

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import row_blocks
from skmmd.kernels import Gram, kernel_products
from skmmd.transfer._loops import matching_steps
from skmmd.transfer._problem import MatchingProblem, Solution, shift_of, violation

__all__ = ["RowCache", "minimise_by_steps"]

FloatArray = NDArray[np.float64]

_CACHE_BYTES = 2**28
_NEEDS_ROW, _STUCK = 1, 3
_ROUNDING = 64.0 * float(np.finfo(np.float64).eps)
_REFRESHES = 20
_TILE_VALUES = 2**17


class RowCache:
    """Rows of a Gram matrix: all of them where they fit, otherwise those made last.

    Parameters
    ----------
    blocks : Gram
        Gives the rows.
    n_bytes : int, default=2**28
        How much memory the rows may take; at least two rows are held.
    """

    def __init__(self, blocks: Gram, n_bytes: int = _CACHE_BYTES) -> None:
        self._blocks = blocks
        n_rows = blocks.shape[0]
        self.n_slots = min(n_rows, max(n_bytes // (8 * n_rows), 2))
        self.complete = self.n_slots == n_rows
        self.rows = np.empty((self.n_slots, n_rows))
        self.slots = np.full(n_rows, -1, dtype=np.int64)
        self._used: OrderedDict[int, int] = OrderedDict()
        if self.complete:
            self.slots[:] = np.arange(n_rows)
            for rows in row_blocks(n_rows, max(_TILE_VALUES // n_rows, 1)):
                self._make(rows, self.rows[rows])

    def _make(self, rows: slice, out: FloatArray) -> None:
        tile = next(self._blocks.blocks(rows, slice(0, out.shape[1]), out))
        if tile is not out:
            out[...] = tile

    def fetch(self, row: int) -> None:
        """Make a row, in the place of the one that was made first."""
        if len(self._used) < self.n_slots:
            slot = len(self._used)
        else:
            oldest, slot = self._used.popitem(last=False)
            self.slots[oldest] = -1
        self._make(slice(row, row + 1), self.rows[slot : slot + 1])
        self._used[row] = slot
        self.slots[row] = slot


def minimise_by_steps(
    problem: MatchingProblem,
    blocks: Gram,
    cache: RowCache,
    start: FloatArray,
    *,
    tol: float,
    max_steps: int,
) -> Solution:
    """Minimise by steps of one or two coordinates, those that lower f most.

    Parameters
    ----------
    problem : MatchingProblem
        The problem.
    blocks : Gram
        The Gram matrix of the source rows.
    cache : RowCache
        Its rows.
    start : ndarray of shape (n_source,)
        Feasible masses.
    tol : float
        Largest violation of the conditions of optimality at which to stop.
    max_steps : int
        Number of steps at most.

    Returns
    -------
    Solution
        The masses; ``converged`` is False if the steps were used up.

    References
    ----------
    Fan, R.-E., Chen, P.-H. & Lin, C.-J. (2005). Working set selection using second order
    information for training support vector machines. JMLR 6, 1889-1918.
    """
    mass = start.copy()
    diagonal = blocks.diagonal()[0] + problem.ridge
    diagonal = np.maximum(diagonal, np.finfo(np.float64).tiny)
    counts = np.zeros(2, dtype=np.int64)
    for _ in range(_REFRESHES):
        # Steps let the gradient drift: it is made anew before the end is believed.
        gradient, rounding = _gradient(problem, blocks, cache, mass)
        tol = max(tol, rounding)
        if violation(problem, mass, gradient) <= tol:
            return _solution(problem, mass, gradient, int(counts[0]), True)
        status = _NEEDS_ROW
        while status == _NEEDS_ROW:
            status = matching_steps(
                cache.rows,
                cache.slots,
                diagonal,
                problem.ridge,
                problem.upper,
                problem.lowest,
                problem.highest,
                mass,
                gradient,
                0.9 * tol,
                max_steps,
                counts,
            )
            if status == _NEEDS_ROW:
                cache.fetch(int(counts[1]))
        if status == _STUCK or counts[0] >= max_steps:
            break
    gradient, rounding = _gradient(problem, blocks, cache, mass)
    done = violation(problem, mass, gradient) <= max(tol, rounding)
    return _solution(problem, mass, gradient, int(counts[0]), done)


def _gradient(
    problem: MatchingProblem, blocks: Gram, cache: RowCache, mass: FloatArray
) -> tuple[FloatArray, float]:
    """Return the gradient of f, and how far rounding may have moved it."""
    if not np.any(mass):
        field = np.zeros(len(mass))
    elif cache.complete:
        field = cache.rows @ mass
    else:
        field = kernel_products(blocks, mass)
    size = np.abs(problem.kappa).max() + np.abs(field).max()
    return field + problem.ridge * mass - problem.kappa, _ROUNDING * float(size)


def _solution(
    problem: MatchingProblem, mass: FloatArray, gradient: FloatArray, n_iter: int, converged: bool
) -> Solution:
    return Solution(mass, gradient, shift_of(problem, mass, gradient), n_iter, converged)
