"""Similarities of digests: integer distances of the 16 sensitive bytes, turned to [0, 1].

digests -> distances in blocks -> similarities       (similarity_matrix)
digests in the order of their sums -> pairs of tiles that may hold near ones -> pairs  (near_pairs)
rows, columns -> the nearest, or those within a distance   (nearest_rows, rows_within)
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from skmmd._chunked import gather_blocks, reduce_blocks, row_blocks
from skmmd.hashing._digest import N_INDEX, N_SENSITIVE
from skmmd.hashing._loops import distance_matrix, nearest, pairs_within

__all__ = [
    "METRICS",
    "NONE",
    "Pairs",
    "collect",
    "largest_distance",
    "largest_within",
    "near_pairs",
    "nearest_rows",
    "rows_within",
    "sensitive_bytes",
    "similarity_matrix",
    "to_distance",
    "to_similarity",
]

ByteArray = NDArray[np.uint8]
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
# Row, column and distance of pairs, shape (n_pairs, 3).
Pairs = NDArray[np.int32]

METRICS = {"mmdt": 0, "manhattan": 1, "circular": 2}
NONE = np.iinfo(np.int64).max  # stands for "no neighbour"
_LARGEST = {"mmdt": N_SENSITIVE * 255**2, "manhattan": N_SENSITIVE * 255, "circular": 2048}
_ROWS = 256  # rows of a block
_COLUMNS = 2048  # columns of a tile: its distances stay in the cache


def sensitive_bytes(digests: ByteArray) -> ByteArray:
    """Return the sensitive bytes of digests with or without index bytes, shape (n, 16)."""
    whole = digests.shape[1] == N_INDEX + N_SENSITIVE
    return np.ascontiguousarray(digests[:, N_INDEX:] if whole else digests)


def to_distance(distances: NDArray[Any], metric: str) -> FloatArray:
    """Return 1 - similarity from integer distances."""
    values = np.asarray(distances, np.float64)
    return np.sqrt(values) / 1020.0 if metric == "mmdt" else values / _LARGEST[metric]


def to_similarity(distances: NDArray[Any], metric: str) -> FloatArray:
    """Return similarities from integer distances."""
    return 1.0 - to_distance(distances, metric)


def _largest(radius: float, metric: str, reached: Callable[[IntArray], NDArray[np.bool_]]) -> int:
    guess = (radius * 1020.0) ** 2 if metric == "mmdt" else radius * _LARGEST[metric]
    guess = min(max(guess, 0.0), _LARGEST[metric])
    near = np.arange(max(int(guess) - 3, 0), int(guess) + 4)
    inside = near[reached(near)]
    return min(int(inside[-1]), _LARGEST[metric]) if len(inside) else -1


def largest_distance(threshold: float, metric: str) -> int:
    """Return the largest integer distance whose similarity is at least the threshold, or -1."""
    return _largest(1.0 - threshold, metric, lambda near: to_similarity(near, metric) >= threshold)


def largest_within(radius: float, metric: str) -> int:
    """Return the largest integer distance that is at most the radius as a float, or -1."""
    return _largest(radius, metric, lambda near: to_distance(near, metric) <= radius)


def similarity_matrix(
    rows: ByteArray,
    columns: ByteArray,
    metric: str,
    dtype: DTypeLike = np.float64,
    n_jobs: int | None = None,
) -> NDArray[Any]:
    """Return all similarities of sensitive bytes (m, 16) to (n, 16), shape (m, n)."""
    out = np.empty((len(rows), len(columns)), dtype)
    if not out.size:
        return out
    lanes = np.ascontiguousarray(columns.T)
    # Where there are few similarities, they are looked up.
    few = metric != "mmdt"
    table = to_similarity(np.arange(_LARGEST[metric] + 1 if few else 1), metric).astype(dtype)

    def block_stats(block: slice) -> None:
        distances = np.empty((block.stop - block.start, len(columns)), np.int32)
        distance_matrix(METRICS[metric], rows[block], lanes, distances)
        if few:
            np.take(table, distances, out=out[block], mode="clip")  # unlike "raise", in place
        else:
            values = np.sqrt(distances, dtype=np.float64)
            values /= 1020.0
            np.subtract(1.0, values, out=out[block], casting="same_kind")

    size = max(1, min(_ROWS, (1 << 17) // len(columns)))
    reduce_blocks(block_stats, row_blocks(len(rows), size), lambda a, b: None, n_jobs=n_jobs)
    return out


def collect(search: Callable[[Pairs], int], capacity: int) -> Pairs:
    """Call ``search(found) -> count`` with as much room as it needs; return what it found."""
    found = np.empty((capacity, 3), np.int32)
    count = search(found)
    if count > capacity:
        found = np.empty((count, 3), np.int32)
        search(found)
    return found[:count].copy()


def _tile_bound(limit: int, metric: str) -> int:
    """Return the largest sum of absolute differences within a distance."""
    return math.isqrt(N_SENSITIVE * limit) if metric == "mmdt" else limit


def near_pairs(
    sensitive: ByteArray, limit: int, metric: str, *, n_jobs: int | None = None, verbose: int = 0
) -> Pairs:
    """Return all pairs of rows at most `limit` apart, the smaller row first."""
    n = len(sensitive)
    bound = _tile_bound(limit, metric)
    # Rows within the bound have sums within the bound: in the order of the sums, far tiles are
    # passed over. Around the circle they need not have.
    totals = sensitive.sum(axis=1, dtype=np.int64)
    order = np.argsort(totals, kind="stable")
    rows, totals = sensitive[order], totals[order]
    tiles = row_blocks(n, _COLUMNS)
    lanes = [np.ascontiguousarray(rows[tile].T) for tile in tiles]
    code = METRICS[metric]

    def pairs_of_tile(first: int) -> Pairs:
        found = []
        for second in range(first, len(tiles)):
            gap = totals[tiles[second].start] - totals[tiles[first].stop - 1]
            if metric != "circular" and gap > bound:
                break
            pairs = collect(
                lambda room, second=second: pairs_within(  # type: ignore[misc]
                    code, rows[tiles[first]], lanes[second], first == second, limit, bound, room
                ),
                _COLUMNS,
            )
            pairs[:, 0] += tiles[first].start
            pairs[:, 1] += tiles[second].start
            found.append(pairs)
        return np.concatenate(found)

    if limit < 0 or n < 2:
        return np.empty((0, 3), np.int32)
    blocks = list(range(len(tiles)))
    parts = gather_blocks(pairs_of_tile, blocks, n_jobs=n_jobs, verbose=verbose, desc="pairs")
    pairs = np.concatenate(parts)
    ends = order[pairs[:, :2]]
    pairs[:, 0], pairs[:, 1] = ends.min(axis=1), ends.max(axis=1)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def rows_within(queries: ByteArray, columns: ByteArray, limit: int, metric: str) -> Pairs:
    """Return query, place and distance of all sensitive bytes at most `limit` apart."""
    found = []
    for tile in row_blocks(len(columns), _COLUMNS):
        lanes = np.ascontiguousarray(columns[tile].T)
        pairs = collect(
            lambda room, lanes=lanes: pairs_within(  # type: ignore[misc]
                METRICS[metric], queries, lanes, False, limit, _tile_bound(limit, metric), room
            ),
            _COLUMNS,
        )
        pairs[:, 1] += tile.start
        found.append(pairs)
    return np.concatenate(found)


def nearest_rows(
    queries: ByteArray, columns: ByteArray, n_neighbors: int, metric: str
) -> tuple[IntArray, IntArray]:
    """Return distances and places of the nearest sensitive bytes, ties by place."""
    distances = np.full((len(queries), n_neighbors), NONE)
    places = np.full((len(queries), n_neighbors), NONE)
    for tile in row_blocks(len(columns), _COLUMNS):
        lanes = np.ascontiguousarray(columns[tile].T)
        nearest(METRICS[metric], queries, lanes, tile.start, distances, places)
    return distances, places
