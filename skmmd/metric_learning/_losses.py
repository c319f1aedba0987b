"""The pair losses: kinds of terms under one signature, and which of them make a loss.

A kind counts its terms, and evaluates them on the rows of an embedding, sorted by class: their sum,
the weight of those that are not 0, and the gradient. Losses are sums of kinds, found by name in
:data:`LOSSES`; whatever knows the names reads them there.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from skmmd._chunked import row_blocks
from skmmd.metric_learning import _loops
from skmmd.metric_learning._classes import margins_between
from skmmd.metric_learning._groups import Groups, Problem
from skmmd.metric_learning._sweep import Lane, Terms, Tile, sweep

__all__ = ["LOSSES", "PULL", "Kind", "Loss"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_CENTER_SIZE = 2**18  # distances to centers at a time
_MOST_PAIRS = 2**18  # whose thresholds are sorted at a time


@dataclass(frozen=True)
class Kind:
    """Terms of one kind.

    Parameters
    ----------
    count : callable
        ``count(problem)``: the number of terms, or the sum of their weights.
    evaluate : callable
        ``evaluate(Z, problem)``: their sum and its gradient.
    """

    count: Callable[[Problem], float]
    evaluate: Callable[[FloatArray, Problem], Terms]


@dataclass(frozen=True)
class Loss:
    """A loss: the kinds of its terms.

    Parameters
    ----------
    kinds : tuple of Kind
        Their means, or sums, are added.
    mined : tuple of Kind, default=()
        What takes their place where negatives are mined; empty if the loss weighs all negatives.
    margin : bool, default=True
        Whether it has a margin.
    hinge : bool, default=True
        Whether only a positive margin keeps rows apart.
    symmetric : bool, default=False
        Whether the margin of two classes must not depend on which of them is the anchor's.
    pull : {"first", "targets", None}, default=None
        What `pull_weight` weighs against the other terms: the first kind, or the squared distances
        to target neighbours where they are the positives.
    pairs : bool, default=True
        Whether it compares pairs of rows, and so has positives to choose.
    products : bool, default=False
        Whether it compares inner products: the origin matters then, and on classes that can be
        separated its optimum is at infinity.
    """

    kinds: tuple[Kind, ...]
    mined: tuple[Kind, ...] = ()
    margin: bool = True
    hinge: bool = True
    symmetric: bool = False
    pull: str | None = None
    pairs: bool = True
    products: bool = False


# --------------------------------------------------------------------------------------
# counts and positives, shared


def _n_positives(problem: Problem) -> float:
    """Count the ordered positive pairs."""
    return float(np.sum(_positive_weight(problem)))


def _positive_weight(problem: Problem) -> FloatArray:
    groups = problem.groups
    if problem.targets is None:
        return groups.weight * groups.partner_weight
    weight: FloatArray = groups.weight * problem.targets.weight.sum(axis=1)
    return weight


def _n_unordered(problem: Problem) -> float:
    """Count positive pairs: each once, or each target neighbour of each row."""
    return _n_positives(problem) * (0.5 if problem.targets is None else 1.0)


def _n_triplets(problem: Problem) -> float:
    groups = problem.groups
    negatives = groups.weight.sum() - groups.class_weight
    return float(np.sum(_positive_weight(problem) * negatives[groups.codes]))


def _distances(pairs: IntArray, Z: FloatArray) -> FloatArray:
    distances = np.empty(len(pairs))
    _loops.pair_distances(pairs, Z, distances)
    return distances


def _once(lane: Lane, rows: slice, groups: Groups) -> Iterator[Tile]:
    """Yield tiles of some rows with all rows of later classes: each pair of rows is met once."""
    return lane.tiles(rows, first=int(groups.bounds[groups.codes[rows.start] + 1]))


def _place(tile: Tile, groups: Groups) -> tuple[Any, ...]:
    """Return what each loop over negatives takes first."""
    start = tile.rows.start, tile.columns.start
    return tile.values, tile.derivatives, *start, groups.codes, groups.bounds


class Positives(NamedTuple):
    """A tile of positives: the rows they are, and the weights of the pairs."""

    tile: Tile
    partners: IntArray
    taken: FloatArray


def _positives(
    lane: Lane, problem: Problem, rows: slice, *, products: bool = False
) -> Iterator[Positives]:
    """Yield tiles of some rows with all rows of their class."""
    groups = problem.groups
    start = rows.start
    while start < rows.stop:
        code = groups.codes[start]
        first, last = (int(bound) for bound in groups.bounds[code : code + 2])
        part = slice(start, min(last, rows.stop))
        start = part.stop
        tile = lane.tile(part, slice(first, last), products=products)
        taken = groups.weight[part, None] * groups.weight[first:last]
        own = np.arange(part.start, part.stop)
        taken[own - part.start, own - first] = (groups.weight * groups.own_weight)[part]
        index = np.broadcast_to(np.arange(first, last), taken.shape)
        yield Positives(tile, np.ascontiguousarray(index), taken)


# --------------------------------------------------------------------------------------
# positives by their squared distance


def _pull(Z: FloatArray, problem: Problem, factor: float) -> Terms:
    """Sum factor * squared distances over positive pairs."""
    groups = problem.groups
    gradient = np.zeros_like(Z)
    if problem.targets is not None:
        return _pull_pairs(Z, *problem.target_pairs, factor)
    value = 0.0
    n_active = 0.0
    bounds = groups.bounds
    for first, last in itertools.pairwise(bounds):
        # The sum over pairs is the scatter about the mean, times the weight of the class.
        weight = groups.weight[first:last]
        total = float(weight.sum())
        if last - first < 2 or total == 0.0:
            continue
        centred = Z[first:last] - Z[first]
        centred -= weight @ centred / total
        moved = total * weight[:, None] * centred
        value += factor * float(np.einsum("ij,ij->", moved, centred))
        gradient[first:last] = 2.0 * factor * moved
        n_active += _n_apart(Z[first:last], weight)
    return Terms(value, n_active, gradient)


def _pull_pairs(Z: FloatArray, pairs: IntArray, weight: FloatArray, factor: float) -> Terms:
    distances = _distances(pairs, Z)
    moved = np.zeros_like(Z)
    _loops.push_pairs(pairs, factor * weight, Z, moved)
    n_active = float(weight[distances > 0.0].sum())
    return Terms(factor * float(weight @ distances), n_active, 2.0 * moved)


def _n_apart(Z: FloatArray, weight: FloatArray) -> float:
    """Count the unordered pairs of rows that differ."""
    rows = np.ascontiguousarray(Z + 0.0).view(np.dtype((np.void, Z.itemsize * Z.shape[1])))
    _, same = np.unique(rows.ravel(), return_inverse=True)
    equal = np.bincount(same, weights=weight)
    return 0.5 * float(weight.sum() ** 2 - equal @ equal)


def _mean_pull(Z: FloatArray, problem: Problem) -> Terms:
    return _pull(Z, problem, 1.0)


# --------------------------------------------------------------------------------------
# contrastive


def _contrastive_positives(Z: FloatArray, problem: Problem) -> Terms:
    """Sum 1/2 d^2 over positive pairs."""
    return _pull(Z, problem, 0.5)


def _n_negatives(problem: Problem) -> float:
    total = problem.groups.class_weight
    return 0.5 * float(total.sum() ** 2 - total @ total)


def _contrastive_negatives(Z: FloatArray, problem: Problem) -> Terms:
    """Sum 1/2 (m - d)+^2 over pairs of different classes."""
    groups = problem.groups

    def work(lane: Lane, rows: slice) -> None:
        for tile in _once(lane, rows, groups):
            lane.add(
                _loops.negative_hinges(
                    *_place(tile, groups),
                    problem.margin,
                    groups.weight,
                )
            )
            lane.push(tile)

    return sweep(Z, work, n_jobs=problem.n_jobs)


# --------------------------------------------------------------------------------------
# triplet


def _triplets(Z: FloatArray, problem: Problem) -> Terms:
    """Sum (D_ap - D_an + m)+ over anchors, positives and negatives."""
    return _all_triplets(Z, problem) if problem.targets is None else _target_triplets(Z, problem)


def _target_triplets(Z: FloatArray, problem: Problem) -> Terms:
    groups = problem.groups
    pairs, weight = problem.target_pairs
    distances = _distances(pairs, Z)
    # Row by row of all first targets, then all second ones: what the loop reads side by side.
    thresholds = np.ascontiguousarray(distances.reshape(len(Z), -1).T)
    taken = np.ascontiguousarray(weight.reshape(len(Z), -1).T)
    farthest = thresholds.max(axis=0, where=taken > 0.0, initial=-np.inf)

    def work(lane: Lane, rows: slice) -> None:
        for tile in _once(lane, rows, groups):
            lane.add(
                _loops.few_hinges(
                    *_place(tile, groups),
                    problem.margin,
                    groups.weight,
                    thresholds,
                    farthest,
                    taken,
                    lane.extra.reshape(thresholds.shape),
                )
            )
            lane.push(tile)

    terms = sweep(Z, work, n_jobs=problem.n_jobs, n_extra=thresholds.size)
    n_violators = terms.extra.reshape(thresholds.shape).T.ravel()
    moved = np.zeros_like(Z)
    _loops.push_pairs(pairs, weight * n_violators, Z, moved)
    return terms._replace(gradient=terms.gradient + 2.0 * moved)


def _from_each_on(values: FloatArray) -> FloatArray:
    """Return for each position along the last axis the sum from it on, and 0 behind the end."""
    sums = np.zeros((*values.shape[:-1], values.shape[-1] + 1))
    sums[..., :-1] = np.cumsum(values[..., ::-1], axis=-1)[..., ::-1]
    return sums


def _all_triplets(Z: FloatArray, problem: Problem) -> Terms:
    groups = problem.groups

    def work(lane: Lane, rows: slice) -> None:
        for part in _positives(lane, problem, rows):
            mine = part.tile.rows
            order = np.argsort(part.tile.values, axis=1)
            thresholds = np.take_along_axis(part.tile.values, order, axis=1)
            own = groups.weight[mine, None]
            taken = np.take_along_axis(part.taken, order, axis=1) / np.where(own > 0.0, own, 1.0)
            above = _from_each_on(taken), _from_each_on(taken * thresholds)
            histogram = np.zeros_like(above[0])
            for tile in lane.tiles(mine):
                lane.add(
                    _loops.many_hinges(
                        *_place(tile, groups),
                        problem.margin,
                        groups.weight,
                        thresholds,
                        *above,
                        histogram,
                    )
                )
                lane.push(tile)
            violators = np.cumsum(histogram[:, :-1], axis=1)
            tile = lane.tile(mine, part.tile.columns)
            np.put_along_axis(tile.derivatives, order, own * taken * violators, axis=1)
            lane.push(tile)

    return sweep(Z, work, n_jobs=problem.n_jobs)


# --------------------------------------------------------------------------------------
# lifted structure


def _levels(Z: FloatArray, problem: Problem, *, centered: FloatArray | None = None) -> FloatArray:
    """Return for each row the logarithm of the sum of exponentials over its negatives."""
    groups = problem.groups
    products = centered is not None
    highest = np.full(len(Z), -np.inf)
    sums = np.zeros(len(Z))

    def work(lane: Lane, rows: slice) -> None:
        for tile in lane.tiles(rows, products=products):
            place = rows.start, tile.columns.start, groups.codes, groups.bounds
            keys = tile.values
            if not products:
                keys = tile.derivatives
                _loops.distance_keys(tile.values, keys, *place, problem.margin)
            _loops.sum_exponentials(keys, *place, groups.weight, highest, sums)

    sweep(Z, work, n_jobs=problem.n_jobs, centered=centered)
    with np.errstate(divide="ignore"):
        levels: FloatArray = highest + np.log(sums)
    return levels


def _lifted(Z: FloatArray, problem: Problem) -> Terms:
    """Sum 1/2 max(J, 0)^2 over positive pairs, J = d_ij + log of the sum over their negatives."""
    groups = problem.groups
    levels = _levels(Z, problem)

    def work(lane: Lane, rows: slice) -> None:
        for part in _positives(lane, problem, rows):
            tile = part.tile
            first = tile.rows.start
            taken = 0.5 * part.taken  # each pair is met from both sides
            lane.add(
                _loops.lifted_positives(
                    tile.values, tile.derivatives, first, part.partners, taken, levels, lane.extra
                )
            )
            lane.push(tile)

    if problem.targets is None:
        positives = sweep(Z, work, n_jobs=problem.n_jobs, n_extra=len(Z))
    else:
        positives = _lifted_targets(Z, problem, levels)
    share = positives.extra

    def negatives(lane: Lane, rows: slice) -> None:
        for tile in _once(lane, rows, groups):
            _loops.lifted_negatives(
                *_place(tile, groups),
                problem.margin,
                groups.weight,
                levels,
                share,
            )
            lane.push(tile)

    gradient = sweep(Z, negatives, n_jobs=problem.n_jobs).gradient
    return positives._replace(gradient=positives.gradient + gradient)


def _lifted_targets(Z: FloatArray, problem: Problem, levels: FloatArray) -> Terms:
    targets = problem.targets
    assert targets is not None
    pairs, weight = problem.target_pairs
    shape = targets.index.shape
    distances = _distances(pairs, Z).reshape(shape)
    derivatives = np.empty(shape)
    share = np.zeros(len(Z))
    value, n_active = _loops.lifted_positives(
        distances, derivatives, 0, targets.index, weight.reshape(shape), levels, share
    )
    moved = np.zeros_like(Z)
    _loops.push_pairs(pairs, derivatives.ravel(), Z, moved)
    return Terms(value, n_active, 2.0 * moved, share)


# --------------------------------------------------------------------------------------
# N-pair


def _n_pair(Z: FloatArray, problem: Problem) -> Terms:
    """Sum log(1 + sum over negatives exp(z_i . z_n - z_i . z_p)) over anchors and positives."""
    groups = problem.groups
    # Exponents are differences of products: the mean goes out, and with it what would round.
    centered = Z - Z[0]
    centered -= centered.mean(axis=0)
    levels = _levels(Z, problem, centered=centered)

    def positives(lane: Lane, rows: slice) -> None:
        for part in _positives(lane, problem, rows, products=True):
            tile = part.tile
            first = tile.rows.start
            lane.add(
                _loops.n_pair_positives(
                    tile.values, tile.derivatives, first, part.taken, levels, lane.extra
                )
            )
            lane.push_products(tile)

    if problem.targets is None:
        found = sweep(Z, positives, n_jobs=problem.n_jobs, n_extra=len(Z), centered=centered)
    else:
        found = _n_pair_targets(Z, centered, problem, levels)

    def negatives(lane: Lane, rows: slice) -> None:
        for tile in lane.tiles(rows, products=True):
            _loops.n_pair_negatives(
                *_place(tile, groups),
                groups.weight,
                levels,
                found.extra,
            )
            lane.push_products(tile)

    gradient = sweep(Z, negatives, n_jobs=problem.n_jobs, centered=centered).gradient
    return found._replace(gradient=found.gradient + gradient)


def _n_pair_targets(
    Z: FloatArray, centered: FloatArray, problem: Problem, levels: FloatArray
) -> Terms:
    targets = problem.targets
    assert targets is not None
    pairs, weight = problem.target_pairs
    shape = targets.index.shape
    anchors, partners = Z[pairs[:, 0]], centered[pairs[:, 1]]
    products = np.einsum("ij,ij->i", anchors, partners).reshape(shape)
    derivatives = np.empty(shape)
    share = np.zeros(len(Z))
    value, n_active = _loops.n_pair_positives(
        products, derivatives, 0, weight.reshape(shape), levels, share
    )
    gradient = np.zeros_like(Z)
    np.add.at(gradient, pairs[:, 0], derivatives.reshape(-1, 1) * partners)
    np.add.at(gradient, pairs[:, 1], derivatives.reshape(-1, 1) * anchors)
    return Terms(value, n_active, gradient, share)


# --------------------------------------------------------------------------------------
# triplet-center


def _n_rows(problem: Problem) -> float:
    return float(problem.groups.weight.sum())


def _triplet_center(Z: FloatArray, problem: Problem) -> Terms:
    """Sum (1/2 |z - c_y|^2 - min_j (1/2 |z - c_j|^2 - m))+ over rows, c the means of classes."""
    groups = problem.groups
    total = groups.class_weight
    present = np.flatnonzero(total)
    if len(present) < 2:
        return Terms(0.0, 0.0, np.zeros_like(Z))
    share = groups.weight / total[groups.codes]
    centers = np.zeros((groups.n_classes, Z.shape[1]))
    np.add.at(centers, groups.codes, share[:, None] * Z)
    gap = np.empty(len(Z))
    nearest = np.empty(len(Z), dtype=np.intp)
    for rows in row_blocks(len(Z), max(_CENTER_SIZE // len(present), 1)):
        codes = groups.codes[rows]
        halves = 0.5 * cdist(Z[rows], centers[present], "sqeuclidean")
        own = halves[np.arange(len(codes)), np.searchsorted(present, codes)]
        keys = halves - margins_between(problem.margin, codes, present)
        keys[present == codes[:, None]] = np.inf
        place = np.argmin(keys, axis=1)
        gap[rows] = own - keys[np.arange(len(codes)), place]
        nearest[rows] = present[place]
    weight = np.where(gap > 0.0, groups.weight, 0.0)
    pull = weight[:, None] * (Z - centers[groups.codes])
    push = weight[:, None] * (Z - centers[nearest])
    of_centers = np.zeros_like(centers)
    np.subtract.at(of_centers, groups.codes, pull)
    np.add.at(of_centers, nearest, push)
    gradient = pull - push + share[:, None] * of_centers[groups.codes]
    return Terms(float(weight @ gap), float(weight.sum()), gradient)


# --------------------------------------------------------------------------------------
# quadruplet


def _n_quadruplets(problem: Problem) -> float:
    groups = problem.groups
    positives = np.bincount(
        groups.codes, weights=_positive_weight(problem), minlength=groups.n_classes
    )
    total = groups.class_weight
    others = total.sum() - total
    negatives = others**2 - (total @ total - total**2)
    return float(positives @ negatives)


class _Thresholds(NamedTuple):
    """Thresholds of positive pairs, sorted: in one list, and in one more for each class."""

    places: IntArray  # of each pair in the list of all, and in that of its class
    starts: IntArray
    values: FloatArray
    weight_above: FloatArray
    sum_above: FloatArray


def _positive_pairs(problem: Problem) -> Iterator[tuple[IntArray, FloatArray]]:
    """Yield lists of positive pairs and their weights; those met from both sides count twice."""
    groups = problem.groups
    if problem.targets is not None:
        pairs, weight = problem.target_pairs
        for part in row_blocks(len(pairs), _MOST_PAIRS):
            yield pairs[part], weight[part]
        return
    rows = np.arange(len(groups.codes), dtype=np.int64)
    n_partners = groups.bounds[groups.codes + 1] - rows  # each row with itself and those behind it
    ends = np.cumsum(n_partners)
    start = 0
    while start < len(rows):
        before = ends[start] - n_partners[start]
        stop = max(int(np.searchsorted(ends, before + _MOST_PAIRS, side="right")), start + 1)
        counts = n_partners[start:stop]
        i = np.repeat(rows[start:stop], counts)
        j = i + np.arange(len(i)) - np.repeat(ends[start:stop] - counts - before, counts)
        weight = 2.0 * groups.weight[i] * groups.weight[j]
        weight[i == j] = (groups.weight * groups.own_weight)[start:stop]
        some = weight > 0.0
        yield np.column_stack([i, j])[some], weight[some]
        start = stop


class _Pairs(NamedTuple):
    """Positive pairs, their weights and thresholds."""

    rows: IntArray
    weight: FloatArray
    thresholds: FloatArray


def _joined(found: list[_Pairs]) -> _Pairs:
    return _Pairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _ranges(Z: FloatArray, problem: Problem) -> Iterator[_Pairs]:
    """Yield positive pairs by ranges of their thresholds: most negatives are outside of each."""
    samples, n_pairs = [], 0
    for index, _ in _positive_pairs(problem):
        step = max(len(index) // 1000, 1)
        samples.append(_distances(index[::step], Z) + problem.margin2)
        n_pairs += len(index)
    if n_pairs == 0:
        return
    n_ranges = -(-n_pairs // _MOST_PAIRS)
    inner = np.quantile(np.concatenate(samples), np.arange(1, n_ranges) / n_ranges)
    limits = np.concatenate([[-np.inf], np.unique(inner), [np.inf]])
    for low, high in itertools.pairwise(limits):
        found: list[_Pairs] = []
        for index, weight in _positive_pairs(problem):
            thresholds = _distances(index, Z) + problem.margin2
            inside = (thresholds >= low) & (thresholds < high)
            found.append(_Pairs(index[inside], weight[inside], thresholds[inside]))
            if sum(len(pairs.rows) for pairs in found) > 2 * _MOST_PAIRS:
                yield _joined(found)
                found = []
        pairs = _joined(found) if found else None
        if pairs is not None and len(pairs.rows):
            yield pairs


def _sorted_thresholds(problem: Problem, pairs: _Pairs) -> _Thresholds:
    groups, (index, weight, values) = problem.groups, pairs
    codes = groups.codes[index[:, 0]]
    by_value = np.argsort(values, kind="stable")
    by_class = by_value[np.argsort(codes[by_value], kind="stable")]
    n_pairs = len(index)
    in_class = n_pairs + np.searchsorted(codes[by_class], np.arange(groups.n_classes + 1))
    starts = np.concatenate([[0], in_class]).astype(np.int64)
    order = np.concatenate([by_value, by_class])
    lists = [slice(*ends) for ends in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)]
    # Sums from each position on have an end of their own: one place more for each list before.
    places = np.empty((2, n_pairs), dtype=np.int64)
    places[0, by_value] = np.arange(n_pairs)
    places[1, by_class] = np.arange(n_pairs, 2 * n_pairs) + codes[by_class] + 1
    w, t = weight[order], values[order]
    return _Thresholds(
        places,
        starts,
        t,
        np.concatenate([_from_each_on(w[part]) for part in lists]),
        np.concatenate([_from_each_on(w[part] * t[part]) for part in lists]),
    )


def _n_beyond(lists: _Thresholds, histogram: FloatArray) -> FloatArray:
    """Return for each positive pair the weight of the negatives that violate it."""
    starts = lists.starts + np.arange(len(lists.starts))
    below = np.empty_like(histogram)
    for start, stop in itertools.pairwise(starts):
        below[start:stop] = np.cumsum(histogram[start:stop])
    difference: FloatArray = below[lists.places[0]] - below[lists.places[1]]
    return difference


def _quadruplets(Z: FloatArray, problem: Problem) -> Terms:
    """Sum (D_ij - D_lk + margin2)+ over positive pairs and pairs of two other classes."""
    groups = problem.groups
    result = Terms(0.0, 0.0, np.zeros_like(Z))
    if np.count_nonzero(np.diff(groups.bounds)) < 3:
        return result
    for pairs in _ranges(Z, problem):
        lists = _sorted_thresholds(problem, pairs)

        def work(lane: Lane, rows: slice, lists: _Thresholds = lists) -> None:
            for tile in _once(lane, rows, groups):
                lane.add(
                    _loops.quadruplet_hinges(
                        *_place(tile, groups),
                        groups.weight,
                        lists.values,
                        lists.starts,
                        lists.weight_above,
                        lists.sum_above,
                        lane.extra,
                    )
                )
                lane.push(tile)

        terms = sweep(Z, work, n_jobs=problem.n_jobs, n_extra=len(lists.weight_above))
        moved = np.zeros_like(Z)
        _loops.push_pairs(pairs.rows, pairs.weight * _n_beyond(lists, terms.extra), Z, moved)
        gradient = result.gradient + terms.gradient + 2.0 * moved
        value, n_active = result.value + terms.value, result.n_active + terms.n_active
        result = Terms(value, n_active, gradient)
    return result


# --------------------------------------------------------------------------------------
# neighbourhood components analysis


def _n_with_positives(problem: Problem) -> float:
    groups = problem.groups
    return float(groups.weight[groups.partner_weight > 0.0].sum())


def _nca(Z: FloatArray, problem: Problem) -> Terms:
    """Sum 1 - p over rows, p the share of the own class in the softmax of -D to all others."""
    groups = problem.groups
    has_positives = groups.partner_weight > 0.0

    def work(lane: Lane, rows: slice) -> None:
        tile = lane.tile(rows, slice(0, len(Z)))
        i = np.arange(rows.start, rows.stop)
        taken = np.tile(groups.weight, (len(i), 1))
        taken[i - rows.start, i] = groups.own_weight[rows]  # a row is no neighbour of itself
        nearest = np.where(taken > 0.0, tile.values, np.inf).min(axis=1, keepdims=True)
        share = taken * np.exp(np.minimum(nearest - tile.values, 0.0))
        total = share.sum(axis=1, keepdims=True)
        share /= np.where(total > 0.0, total, 1.0)
        same = groups.codes[rows, None] == groups.codes
        own = (share * same).sum(axis=1, keepdims=True)
        other = (share * ~same).sum(axis=1, keepdims=True)
        weight = np.where(has_positives[rows], groups.weight[rows], 0.0)[:, None]
        tile.derivatives[:] = weight * share * np.where(same, other, -own)
        lane.add((float((weight * other).sum()), float(weight[other > 0.0].sum())))
        lane.push(tile)

    return sweep(Z, work, n_jobs=problem.n_jobs)


# --------------------------------------------------------------------------------------
# mined negatives


def _mined(problem: Problem) -> tuple[IntArray, FloatArray]:
    assert problem.mined is not None
    return problem.mined


def _n_mined(problem: Problem) -> float:
    return float(_mined(problem)[1].sum())


def _mined_triplets(Z: FloatArray, problem: Problem) -> Terms:
    """Sum (D_ap - D_an + m)+ over mined triples."""
    triples, taken = _mined(problem)
    moved = np.zeros_like(Z)
    value, n_active = _loops.listed_hinges(
        triples, taken, Z, problem.groups.codes, problem.margin, moved
    )
    return Terms(value, n_active, 2.0 * moved)


def _mined_positives(Z: FloatArray, problem: Problem) -> Terms:
    """Sum 1/2 d^2 over the positives of mined triples."""
    triples, taken = _mined(problem)
    return _pull_pairs(Z, np.ascontiguousarray(triples[:, :2]), taken, 0.5)


def _mined_negatives(Z: FloatArray, problem: Problem) -> Terms:
    """Sum 1/2 (m - d)+^2 over the negatives of mined triples."""
    triples, taken = _mined(problem)
    pairs = np.ascontiguousarray(triples[:, ::2])
    distances = np.sqrt(_distances(pairs, Z))
    codes = problem.groups.codes[pairs]
    single = len(problem.margin) == 1
    margin = problem.margin[0, 0] if single else problem.margin[codes[:, 0], codes[:, 1]]
    gap = np.maximum(margin - distances, 0.0)
    slope = np.divide(gap, distances, out=np.zeros_like(gap), where=distances > 0.0)
    moved = np.zeros_like(Z)
    _loops.push_pairs(pairs, -0.5 * taken * slope, Z, moved)
    n_active = float(taken[gap > 0.0].sum())
    return Terms(0.5 * float(taken @ gap**2), n_active, 2.0 * moved)


# --------------------------------------------------------------------------------------
# the table

_TRIPLETS = Kind(_n_triplets, _triplets)
_MINED_TRIPLETS = Kind(_n_mined, _mined_triplets)
_QUADRUPLETS = Kind(_n_quadruplets, _quadruplets)

PULL = Kind(_n_positives, _mean_pull)

LOSSES = {
    "contrastive": Loss(
        kinds=(
            Kind(_n_unordered, _contrastive_positives),
            Kind(_n_negatives, _contrastive_negatives),
        ),
        mined=(Kind(_n_mined, _mined_positives), Kind(_n_mined, _mined_negatives)),
        symmetric=True,
        pull="first",
    ),
    "triplet": Loss(kinds=(_TRIPLETS,), mined=(_MINED_TRIPLETS,), pull="targets"),
    "triplet_center": Loss(kinds=(Kind(_n_rows, _triplet_center),), pairs=False),
    "n_pair": Loss(kinds=(Kind(_n_positives, _n_pair),), margin=False, hinge=False, products=True),
    "quadruplet": Loss(
        kinds=(_TRIPLETS, _QUADRUPLETS), mined=(_MINED_TRIPLETS, _QUADRUPLETS), pull="targets"
    ),
    "lifted_structure": Loss(kinds=(Kind(_n_unordered, _lifted),), hinge=False, symmetric=True),
    "nca": Loss(kinds=(Kind(_n_with_positives, _nca),), margin=False, hinge=False, pairs=False),
}
