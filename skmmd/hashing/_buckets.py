"""Search among stored digests: all of them, or those whose index bytes are near.

digests -> sorted by their index bytes                        (Store)
queries -> nearest, or all within a distance, in blocks over threads
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import gather_blocks, row_blocks
from skmmd.hashing._digest import N_INDEX
from skmmd.hashing._loops import nearest_in_buckets, pairs_in_buckets
from skmmd.hashing._similarity import (
    METRICS,
    NONE,
    Pairs,
    collect,
    nearest_rows,
    rows_within,
    sensitive_bytes,
)

__all__ = ["Neighbors", "Store", "make_store", "neighbors", "neighbors_within"]

ByteArray = NDArray[np.uint8]
IntArray = NDArray[np.int64]

_QUERIES = 256  # queries of a block


class Store(NamedTuple):
    """Digests, and the same in the order of their index bytes."""

    digests: ByteArray  # (n, 20)
    sensitive: ByteArray  # (n, 16)
    keys: IntArray  # (n,) index bytes as numbers, sorted
    ordered: ByteArray  # (n, 20)
    order: IntArray  # (n,)


class Neighbors(NamedTuple):
    """The nearest digests of each query, by distance, then by place; NONE for a missing one."""

    distances: IntArray  # (n_queries, n_neighbors)
    places: IntArray  # (n_queries, n_neighbors)
    n_candidates: IntArray  # (n_queries,) how many digests were looked at


def make_store(digests: ByteArray) -> Store:
    """Sort digests by their index bytes."""
    keys = digests[:, :N_INDEX].astype(np.int64) @ (256 ** np.arange(N_INDEX - 1, -1, -1))
    order = np.argsort(keys, kind="stable")
    return Store(digests, sensitive_bytes(digests), keys[order], digests[order], order)


def neighbors(
    store: Store,
    queries: ByteArray,
    n_neighbors: int,
    tolerance: int | None,
    metric: str,
    n_jobs: int | None = None,
) -> Neighbors:
    """Find the nearest digests; with a tolerance only among those with near index bytes."""

    def block_result(block: slice) -> Neighbors:
        rows = queries[block]
        if tolerance is None:
            found = nearest_rows(sensitive_bytes(rows), store.sensitive, n_neighbors, metric)
            return Neighbors(*found, np.full(len(rows), len(store.digests)))
        distances = np.full((len(rows), n_neighbors), NONE)
        places = np.full((len(rows), n_neighbors), NONE)
        n_candidates = np.zeros(len(rows), np.int64)
        nearest_in_buckets(
            METRICS[metric],
            rows,
            store.keys,
            store.ordered,
            store.order,
            min(tolerance, 255),
            distances,
            places,
            n_candidates,
        )
        return Neighbors(distances, places, n_candidates)

    # An empty block stands for no queries.
    blocks = row_blocks(len(queries), _QUERIES) or [slice(0, 0)]
    parts = gather_blocks(block_result, blocks, n_jobs=n_jobs)
    return Neighbors(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def neighbors_within(
    store: Store,
    queries: ByteArray,
    limit: int,
    tolerance: int | None,
    metric: str,
    n_jobs: int | None = None,
) -> Pairs:
    """Return query, place and distance of all digests within a distance, by query and place."""

    def block_result(block: slice) -> Pairs:
        rows = queries[block]
        if limit < 0:
            pairs = np.empty((0, 3), np.int32)
        elif tolerance is None:
            pairs = rows_within(sensitive_bytes(rows), store.sensitive, limit, metric)
        else:
            pairs = collect(
                lambda room: pairs_in_buckets(
                    METRICS[metric],
                    rows,
                    store.keys,
                    store.ordered,
                    store.order,
                    min(tolerance, 255),
                    limit,
                    room,
                ),
                16 * _QUERIES,
            )
        pairs[:, 0] += block.start
        return pairs

    blocks = row_blocks(len(queries), _QUERIES) or [slice(0, 0)]
    pairs = np.concatenate(gather_blocks(block_result, blocks, n_jobs=n_jobs))
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
