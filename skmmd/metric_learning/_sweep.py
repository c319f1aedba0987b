"""Sweeps over the tiles of a distance matrix that is never whole, and the gradient they add up to.

A loss turns each tile of squared distances into derivatives; a lane turns those into the gradient.
Lanes are fixed by the number of rows and merged in their order, so that threads change no bit.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import reduce_blocks, row_blocks
from skmmd.metric_learning import _loops

__all__ = ["Lane", "Terms", "Tile", "sweep"]

FloatArray = NDArray[np.float64]

_ROWS, _COLUMNS = 128, 512  # a tile and its derivatives stay in the second level cache
_MOST_LANES = 8
# Moving pairs one by one costs ten times as much for each as the products of a whole tile.
_SPARSE = 0.1


_NO_EXTRA = np.empty(0)


class Terms(NamedTuple):
    """Sum of some terms, weight of those that are not 0, and the gradient of the sum.

    `extra` are further sums that a loss gathers on its way.
    """

    value: float
    n_active: float
    gradient: FloatArray
    extra: FloatArray = _NO_EXTRA


class Tile(NamedTuple):
    """Squared distances (or inner products) from some rows to some columns."""

    rows: slice
    columns: slice
    values: FloatArray
    derivatives: FloatArray


class Lane:
    """Buffers of a thread, and what its blocks of rows add to value and gradient.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_components)
        All rows.
    centered : ndarray of shape (n_samples, n_components)
        The second factor of inner products, of which losses compare differences.
    norms : ndarray of shape (n_samples,)
        Their squared lengths.
    n_extra : int
        How many further sums the loss gathers, in `extra`.
    """

    def __init__(
        self, Z: FloatArray, centered: FloatArray, norms: FloatArray, n_extra: int
    ) -> None:
        self.Z = Z
        self.centered = centered
        self.norms = norms
        self.values: list[float] = []
        self.n_active = 0.0
        # The gradient of terms in squared distances is 2 (sums * Z + moved).
        self.sums = np.zeros(len(Z))
        self.moved = np.zeros_like(Z)
        self.extra = np.zeros(n_extra)
        self._tiles = np.empty((2, _ROWS * _COLUMNS))

    def tile(self, rows: slice, columns: slice, *, products: bool = False) -> Tile:
        """Return the squared distances, or the inner products, between rows and columns."""
        shape = rows.stop - rows.start, columns.stop - columns.start
        size = shape[0] * shape[1]
        if size > self._tiles.shape[1]:
            self._tiles = np.empty((2, size))
        values, derivatives = (buffer[:size].reshape(shape) for buffer in self._tiles)
        right = self.centered if products else self.Z
        np.matmul(self.Z[rows], right[columns].T, out=values)
        if not products:
            _loops.squared_distances(values, self.Z, self.norms, rows.start, columns.start)
        return Tile(rows, columns, values, derivatives)

    def tiles(self, rows: slice, *, first: int = 0, products: bool = False) -> Iterator[Tile]:
        """Yield the tiles of some rows, from the column `first` on."""
        for part in row_blocks(len(self.Z) - first, _COLUMNS):
            columns = slice(first + part.start, first + part.stop)
            yield self.tile(rows, columns, products=products)

    def add(self, terms: tuple[float, float]) -> None:
        self.values.append(terms[0])
        self.n_active += terms[1]

    def push(self, tile: Tile) -> None:
        """Add the gradient of a tile whose derivatives are those of squared distances."""
        rows, columns, distances, derivatives = tile
        place = rows.start, columns.start
        n_left = _loops.push_close(distances, derivatives, self.Z, self.norms, *place, self.moved)
        if n_left == 0:
            return
        if n_left < _SPARSE * distances.size:
            _loops.push_sparse(derivatives, self.Z, *place, self.moved)
            return
        self.sums[rows] += derivatives.sum(axis=1)
        self.sums[columns] += derivatives.sum(axis=0)
        self.moved[rows] -= derivatives @ self.Z[columns]
        self.moved[columns] -= derivatives.T @ self.Z[rows]

    def push_products(self, tile: Tile) -> None:
        """Add the gradient of a tile whose derivatives are those of inner products."""
        rows, columns, _, derivatives = tile
        # The derivatives of a row add up to 0, so that its gradient is the same from any origin.
        self.moved[rows] += 0.5 * (derivatives @ self.centered[columns])
        self.moved[columns] += 0.5 * (derivatives.T @ self.Z[rows])

    def terms(self) -> Terms:
        self.moved += self.sums[:, None] * self.Z
        self.moved *= 2.0
        return Terms(math.fsum(self.values), self.n_active, self.moved, self.extra)


def sweep(
    Z: FloatArray,
    work: Callable[[Lane, slice], None],
    *,
    n_jobs: int | None = None,
    n_extra: int = 0,
    centered: FloatArray | None = None,
) -> Terms:
    """Let a loss work on all blocks of rows, and add up what the lanes gathered.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_components)
        All rows, sorted by class.
    work : callable
        ``work(lane, rows)`` adds the terms of some rows.
    n_jobs : int or None, default=None
        Number of threads.
    n_extra : int, default=0
        How many further sums the loss gathers.
    centered : ndarray of shape (n_samples, n_components) or None, default=None
        The rows less their mean, for losses of inner products.

    Returns
    -------
    Terms
        The sums of all lanes.
    """
    norms = np.einsum("ij,ij->i", Z, Z)
    blocks = row_blocks(len(Z), _ROWS)
    # Dealt out in turn, since later blocks of a triangle are shorter.
    lanes = [blocks[start::_MOST_LANES] for start in range(min(_MOST_LANES, len(blocks)))]

    def run(mine: list[slice]) -> Terms:
        lane = Lane(Z, Z if centered is None else centered, norms, n_extra)
        for rows in mine:
            work(lane, rows)
        return lane.terms()

    def merge(left: Terms, right: Terms) -> Terms:
        np.add(left.gradient, right.gradient, out=left.gradient)
        np.add(left.extra, right.extra, out=left.extra)
        value, n_active = left.value + right.value, left.n_active + right.n_active
        return Terms(value, n_active, left.gradient, left.extra)

    return reduce_blocks(run, lanes, merge, n_jobs=n_jobs)
