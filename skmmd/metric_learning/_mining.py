"""Miners: with which single negative each anchor and positive are compared."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from skmmd._chunked import row_blocks
from skmmd.metric_learning._classes import margins_between
from skmmd.metric_learning._groups import Groups, Targets
from skmmd.metric_learning._lengths import unit_rows

__all__ = ["MINERS", "mine"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_BLOCK_SIZE = 2**17  # distances at a time
_LEAST_DISTANCE = 0.5  # between unit rows: nearer negatives are all taken as equally likely
_CUTOFF = 1.4  # and farther ones are left alone


def mine(
    Z: FloatArray,
    groups: Groups,
    targets: Targets | None,
    margin: FloatArray,
    mining: str,
    generator: np.random.Generator,
) -> tuple[IntArray, FloatArray]:
    """Choose a negative for each anchor and positive.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_components)
        Rows, sorted by class.
    groups : Groups
        Their classes and weights.
    targets : Targets or None
        The positives; with None all rows of the class, but for "hard" the farthest alone.
    margin : ndarray of shape (n_classes, n_classes)
        Margin of [class of anchor, class of negative].
    mining : {"hard", "semihard", "distance_weighted"}
        "hard" takes the negative that violates the margin most; "semihard" the nearest one behind
        the positive, the farthest of all if none is; "distance_weighted" draws it with a
        probability inverse to the density of its distance on the sphere.
    generator : numpy.random.Generator
        For the draws.

    Returns
    -------
    triples : ndarray of shape (n_triples, 3), dtype int64
        Anchors, positives and negatives.
    taken : ndarray of shape (n_triples,)
        Weights of the triples.
    """
    pairs, taken = _pairs(Z, groups, targets, farthest=mining == "hard")
    has_negatives = np.isin(groups.codes[pairs[:, 0]], _compared(groups))
    pairs, taken = pairs[has_negatives], taken[has_negatives]
    negatives = np.empty(len(pairs), dtype=np.int64)
    unit = unit_rows(Z)[0] if mining == "distance_weighted" else Z
    choose = _MINERS[mining]
    for block in row_blocks(len(pairs), max(_BLOCK_SIZE // max(len(Z), 1), 1)):
        anchors, positives = pairs[block].T
        different, place = np.unique(anchors, return_inverse=True)
        distances = cdist(unit[different], unit, "sqeuclidean")[place]
        own = groups.codes[anchors, None] == groups.codes
        thresholds = distances[np.arange(len(anchors)), positives]
        distances[own] = np.inf
        if mining == "hard":
            distances -= margins_between(margin, groups.codes[anchors], groups.codes)
        negatives[block] = choose(distances, thresholds, groups.weight, generator, Z.shape[1])
    return np.column_stack([pairs, negatives]), taken


def _compared(groups: Groups) -> NDArray[np.intp]:
    """Return the classes, if there are at least two."""
    present = np.flatnonzero(np.diff(groups.bounds))
    return present if len(present) > 1 else present[:0]


def _pairs(
    Z: FloatArray, groups: Groups, targets: Targets | None, *, farthest: bool
) -> tuple[IntArray, FloatArray]:
    if targets is not None:
        anchors = np.repeat(np.arange(len(Z)), targets.index.shape[1])
        pairs = np.column_stack([anchors, targets.index.ravel()])
        taken = (groups.weight[:, None] * targets.weight).ravel()
        return pairs[taken > 0.0], taken[taken > 0.0]
    found = list(_class_pairs(Z, groups, farthest=farthest))
    if not found:
        return np.empty((0, 2), dtype=np.int64), np.empty(0)
    return np.concatenate([pairs for pairs, _ in found]), np.concatenate([w for _, w in found])


def _class_pairs(
    Z: FloatArray, groups: Groups, *, farthest: bool
) -> Iterator[tuple[IntArray, FloatArray]]:
    for first, last in zip(groups.bounds[:-1], groups.bounds[1:], strict=True):
        weight = groups.weight[first:last]
        for rows in row_blocks(int(last - first), max(_BLOCK_SIZE // max(last - first, 1), 1)):
            taken = weight[rows, None] * weight
            own = np.arange(rows.start, rows.stop)
            taken[own - rows.start, own] *= groups.own_weight[first:last][rows] / weight[rows]
            if farthest:
                distances = cdist(Z[first:last][rows], Z[first:last], "sqeuclidean")
                place = np.argmax(np.where(taken > 0.0, distances, -1.0), axis=1)
                pairs = np.column_stack([first + own, first + place])
                # One triple for each copy of an anchor that has a positive at all.
                some = taken[own - rows.start, place] > 0.0
                yield pairs[some], weight[rows][some]
            else:
                i, j = np.nonzero(taken)
                yield np.column_stack([first + rows.start + i, first + j]), taken[i, j]


def _hard(
    keys: FloatArray,
    thresholds: FloatArray,
    weight: FloatArray,
    generator: np.random.Generator,
    n_components: int,
) -> NDArray[np.intp]:
    return np.argmin(keys, axis=1)


def _semihard(
    distances: FloatArray,
    thresholds: FloatArray,
    weight: FloatArray,
    generator: np.random.Generator,
    n_components: int,
) -> NDArray[np.intp]:
    behind = np.where(distances > thresholds[:, None], distances, np.inf)
    nearest = np.argmin(behind, axis=1)
    farthest = np.argmax(np.where(np.isinf(distances), -1.0, distances), axis=1)
    return np.where(np.isfinite(behind.min(axis=1)), nearest, farthest)


def _distance_weighted(
    distances: FloatArray,
    thresholds: FloatArray,
    weight: FloatArray,
    generator: np.random.Generator,
    n_components: int,
) -> NDArray[np.intp]:
    negative = np.isfinite(distances)
    d = np.sqrt(np.where(negative, distances, 1.0))
    d = np.clip(d, _LEAST_DISTANCE, 1.999)
    density = (n_components - 2) * np.log(d) + 0.5 * (n_components - 3) * np.log1p(-0.25 * d**2)
    near = negative & (d < _CUTOFF)
    near = np.where(near.any(axis=1, keepdims=True), near, negative)
    density = np.where(near, -density, -np.inf)
    share = weight * np.exp(density - density.max(axis=1, keepdims=True))
    sums = np.cumsum(share, axis=1)
    draws = generator.random(len(sums)) * sums[:, -1]
    return np.argmax(sums > draws[:, None], axis=1)


Miner = Callable[[FloatArray, FloatArray, FloatArray, np.random.Generator, int], NDArray[np.intp]]
_MINERS: dict[str, Miner] = {
    "hard": _hard,
    "semihard": _semihard,
    "distance_weighted": _distance_weighted,
}
MINERS = ("all", *_MINERS)
