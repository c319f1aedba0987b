"""The pass over a Gram matrix: tile by tile, upper half only, never stored.

rows of tiles, over threads -> columns from the diagonal on -> the tile of each kernel
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import reduce_blocks, row_blocks
from skmmd.kernels import Gram

__all__ = ["TILE", "norm_of", "reduce_tiles", "square_sum", "upper_tiles", "zero_diagonal"]

FloatArray = NDArray[np.float64]
Sums = TypeVar("Sums", bound=tuple[FloatArray, ...])

TILE = 512


def reduce_tiles(
    row_stats: Callable[[slice], Sums],
    n_rows: int,
    *,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Sums:
    """Add up the statistics of all rows of tiles."""

    def add(done: Sums, more: Sums) -> Sums:
        for mine, other in zip(done, more, strict=True):
            mine += other
        return done

    return reduce_blocks(
        row_stats, row_blocks(n_rows, TILE), add, n_jobs=n_jobs, verbose=verbose, desc="tiles"
    )


def upper_tiles(gram: Gram, rows: slice) -> Iterator[tuple[slice, float, Iterator[FloatArray]]]:
    """Yield the columns from `rows` on, and each kernel's tile there with zeros on the diagonal.

    Between them stands how often the pairs of the tile count: twice, where it has a mirror image.
    """

    def tiles(columns: slice) -> Iterator[FloatArray]:
        for tile in gram.blocks(rows, columns):
            if rows == columns:
                zero_diagonal(tile)
            yield tile

    for columns in row_blocks(gram.shape[0], TILE)[rows.start // TILE :]:
        yield columns, 1.0 if rows == columns else 2.0, tiles(columns)


def zero_diagonal(tile: NDArray[Any]) -> None:
    """Leave out the pairs of a row with itself, in place."""
    tile.flat[:: tile.shape[1] + 1] = 0.0


def square_sum(tile: FloatArray, left: FloatArray, right: FloatArray, plain: bool) -> float:
    """Sum the squares of a tile, weighted by its rows and columns unless `plain`."""
    if plain:
        return float(np.vdot(tile, tile))
    return float(left @ ((tile * tile) @ right))


def norm_of(squares: FloatArray, diagonal: FloatArray, weight: FloatArray) -> FloatArray:
    """Return the Frobenius norms with zero diagonal, (n_kernels,), from the sums of squares."""
    # Copies of a row are pairs too.
    copies = (diagonal**2 * weight * (weight - 1.0)).sum(axis=1)
    return np.sqrt(np.maximum(squares + copies, 0.0))
