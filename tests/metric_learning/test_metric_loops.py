"""The compiled loops of pair losses against naive twins, in sizes that plain Python manages."""

import itertools
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import special

from skmmd.metric_learning import _loops

seeds = st.integers(0, 2**32 - 1)
CONTENTS = ("normal", "grid", "equal", "offset")


def close(actual, expected, rtol=1e-11):
    """Compare, but for errors that are small beside the largest number."""
    expected = np.asarray(expected, dtype=float)
    np.testing.assert_allclose(
        actual, expected, rtol=rtol, atol=rtol * np.abs(expected).max(initial=1e-3)
    )


class Tile(NamedTuple):
    """Rows sorted by class, and which of them are the rows and columns of a tile."""

    Z: np.ndarray
    codes: np.ndarray
    bounds: np.ndarray
    weight: np.ndarray
    margin: np.ndarray
    rows: range
    columns: range
    rng: np.random.Generator

    @property
    def squares(self):
        """The squared distances of all rows, by differences."""
        return ((self.Z[:, None] - self.Z) ** 2).sum(axis=2)

    @property
    def norms(self):
        return (self.Z**2).sum(axis=1)

    @property
    def values(self):
        """The squared distances of the tile."""
        return self.of(self.squares)

    def of(self, matrix):
        """Cut the tile out of a matrix of all rows."""
        return np.ascontiguousarray(
            matrix[
                self.rows.start : self.rows.stop,
                self.columns.start : self.columns.stop,
            ]
        )

    @property
    def empty(self):
        """What a loop has to fill."""
        return np.full((len(self.rows), len(self.columns)), np.nan)

    @property
    def place(self):
        return self.rows.start, self.columns.start

    @property
    def classes(self):
        return self.codes, self.bounds

    def pairs(self):
        """Yield position and rows of each entry."""
        for (r, i), (c, j) in itertools.product(enumerate(self.rows), enumerate(self.columns)):
            yield r, c, i, j

    def negatives(self, *, once=False):
        """Yield the entries of two classes: each, or those of which the second class is later."""
        for r, c, i, j in self.pairs():
            if self.codes[j] > self.codes[i] or (not once and self.codes[j] != self.codes[i]):
                yield r, c, i, j


def rows_of(rng, n, d, content):
    if content == "grid":  # sums are exact, and many distances equal
        return rng.integers(0, 3, size=(n, d)).astype(float)
    if content == "equal":
        return rng.normal(size=(3, d))[rng.integers(0, 3, n)]
    return rng.normal(size=(n, d)) + (1e4 if content == "offset" else 0.0)


@st.composite
def tiles(draw, contents=("normal", "grid", "equal"), square=False, weightless=True):
    """Draw classes of 0, 1, 2 or some rows, and a tile that begins and ends anywhere in them."""
    sizes = draw(st.lists(st.sampled_from([0, 1, 2, 3, 9]), min_size=1, max_size=4))
    n, rng = sum(sizes), np.random.default_rng(draw(seeds))
    codes = np.repeat(np.arange(len(sizes)), sizes)
    ends = [sorted(draw(st.tuples(*[st.integers(0, n)] * 2))) for _ in range(2)]
    if square:
        ends[1] = [0, n]
    content = draw(st.sampled_from(contents))
    weight = rng.choice([0.0, 0.5, 1.0, 3.0] if weightless else [0.5, 1.0, 3.0], n)
    margin = rng.choice([-0.5, 0.0, 1.0, 2.0, 3.5], (len(sizes), len(sizes)))
    return Tile(
        rows_of(rng, n, draw(st.integers(1, 4)), content),
        codes,
        np.concatenate([[0], np.cumsum(sizes)]),
        weight,
        margin + margin.T,
        range(*ends[0]),
        range(*ends[1]),
        rng,
    )


def fixed_tile(sizes, rows, columns, *, d=3, content="normal"):
    """Return a tile of the widths that fits have."""
    rng = np.random.default_rng(len(sizes))
    n = sum(sizes)
    return Tile(
        rows_of(rng, n, d, content),
        np.repeat(np.arange(len(sizes)), sizes),
        np.concatenate([[0], np.cumsum(sizes)]),
        rng.choice([1.0, 2.0], n),
        np.full((len(sizes), len(sizes)), 2.0),
        range(*rows),
        range(*columns),
        rng,
    )


# Classes that begin and end inside of tiles, and fill them.
FIXED = [
    fixed_tile([70, 5, 90, 1, 34], (60, 90), (0, 131)),
    fixed_tile([70, 5, 90, 1, 34], (60, 90), (131, 200)),
    fixed_tile([200], (0, 20), (64, 200)),
    fixed_tile([0, 64, 64, 0, 2], (50, 70), (0, 130)),
]
each_fixed = pytest.mark.parametrize("tile", FIXED, ids=range(len(FIXED)))


def with_directed_margin(tile):
    """Let the margin depend on which class is the anchor's."""
    return tile._replace(margin=tile.margin + tile.rng.integers(0, 3, tile.margin.shape))


def random_moved(tile):
    """Return half gradients to which something is added."""
    return tile.rng.normal(size=tile.Z.shape)


def with_move(moved, Z, i, j, derivative):
    """Add the half gradient of derivative * |z_i - z_j|^2."""
    moved[i] += derivative * (Z[i] - Z[j])
    moved[j] -= derivative * (Z[i] - Z[j])


# --------------------------------------------------------------------------------------
# distances


def check_distances(tile):
    """To eleven digits, whatever the offset: where products lose them, differences do not."""
    found = tile.of(tile.Z @ tile.Z.T)
    _loops.squared_distances(found, tile.Z, tile.norms, *tile.place)
    np.testing.assert_allclose(found, tile.values, rtol=1e-11)
    for r, c, i, j in tile.pairs():
        assert (found[r, c] == 0.0) == bool(np.all(tile.Z[i] == tile.Z[j]))


@given(tile=tiles(CONTENTS))
def test_squared_distances(tile):
    check_distances(tile)


@each_fixed
def test_squared_distances_of_wide_tiles(tile):
    check_distances(tile)
    check_distances(tile._replace(Z=tile.Z + 1e4))


def test_squared_distances_are_summed_up_again_where_they_are_small():
    """Wrong products of close rows do not matter; those of far rows are what counts."""
    Z = np.array([[100.0, 0.0], [100.0, 1e-5], [-100.0, 3.0]])
    products = np.full((1, 3), 1e4)
    _loops.squared_distances(products, Z, (Z**2).sum(axis=1), 0, 0)
    np.testing.assert_allclose(products, [[0.0, 1e-10, 9.0 + 4e4]], rtol=1e-14)
    products = np.array([[1e4, 1e4, 7.0]])
    _loops.squared_distances(products, Z, (Z**2).sum(axis=1), 0, 0)
    assert products[0, 2] == 1e4 + 1e4 + 9.0 - 14.0


@given(n=st.sampled_from([0, 1, 2, 9]), m=st.integers(0, 9), d=st.integers(0, 4), seed=seeds)
def test_listed_pairs(n, m, d, seed):
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(n, d))
    index = rng.integers(0, n, size=(m if n else 0, 2))
    distances = np.full(len(index), np.nan)
    _loops.pair_distances(index, Z, distances)
    np.testing.assert_allclose(
        distances, ((Z[index[:, 0]] - Z[index[:, 1]]) ** 2).sum(axis=1), rtol=1e-13
    )
    derivatives = rng.choice([0.0, -1.5, 0.25], len(index))
    moved = rng.normal(size=Z.shape)
    expected = moved.copy()
    for (i, j), derivative in zip(index, derivatives, strict=True):
        with_move(expected, Z, i, j, derivative)
    _loops.push_pairs(index, derivatives, Z, moved)
    close(moved, expected)


# --------------------------------------------------------------------------------------
# gradients of tiles


def derivatives_of(tile, share):
    """Draw derivatives of which some are not zero."""
    drawn = tile.rng.normal(size=tile.empty.shape)
    return np.where(tile.rng.random(drawn.shape) < share, drawn, 0.0)


def check_push(tile, share):
    values, given = tile.values, derivatives_of(tile, share)
    left, moved = given.copy(), random_moved(tile)
    expected, rest = moved.copy(), given.copy()
    for r, c, i, j in tile.pairs():
        if values[r, c] < _loops._CLOSE * (tile.norms[i] + tile.norms[j]):
            with_move(expected, tile.Z, i, j, rest[r, c])
            rest[r, c] = 0.0
    n_left = _loops.push_close(values, left, tile.Z, tile.norms, *tile.place, moved)
    np.testing.assert_array_equal(left, rest)
    assert n_left == np.count_nonzero(rest)
    close(moved, expected)
    for r, c, i, j in tile.pairs():
        with_move(expected, tile.Z, i, j, rest[r, c])
    _loops.push_sparse(left, tile.Z, *tile.place, moved)
    close(moved, expected)
    np.testing.assert_array_equal(left, rest)


@given(tile=tiles(CONTENTS), share=st.sampled_from([0.0, 0.3, 1.0]))
def test_gradients_of_tiles(tile, share):
    check_push(tile, share)


@each_fixed
def test_gradients_of_wide_tiles(tile):
    check_push(tile, 0.5)
    check_push(tile._replace(Z=np.round(tile.Z) + 1e3), 0.5)


# --------------------------------------------------------------------------------------
# target neighbours


def naive_nearest(tile, n_neighbors, n_targets, with_copies):
    """Fill places: copies of the row itself, then its class by distance and order."""
    first, last = tile.columns.start, tile.columns.stop
    squares = tile.squares
    chosen = []
    for i in tile.rows:
        copies = [i] if with_copies and tile.weight[i] > 1 else []
        others = sorted((j for j in range(first, last) if j != i), key=lambda j: (squares[i, j], j))
        row, left = [], float(n_neighbors)
        for j in copies + others:
            amount = tile.weight[j] - (j == i)
            places = amount if j == i else max(amount, 1.0) if with_copies else 1.0
            if left > 0 and len(row) < n_targets:
                row.append((j, amount * min(1.0, left / places)))
                left -= places
        chosen.append(row + [(i, 0.0)] * (n_targets - len(row)))
    return chosen


@given(
    n=st.sampled_from([1, 2, 3, 9]),
    before=st.integers(0, 3),
    first=st.integers(0, 8),
    n_neighbors=st.integers(1, 5),
    room=st.integers(1, 6),
    content=st.sampled_from(["normal", "grid"]),
    copies=st.booleans(),
    seed=seeds,
)
def test_target_neighbors(n, before, first, n_neighbors, room, content, copies, seed):
    """Ties go to the first row; also with fewer columns than the weight would fill."""
    rng = np.random.default_rng(seed)
    size = before + n
    tile = Tile(
        rows_of(rng, size, 2, content),
        np.repeat([0, 1], [before, n]),
        np.array([0, before, size]),
        rng.choice([0.0, 0.5, 1.0, 1.5, 4.0], size),
        np.zeros((2, 2)),
        range(before + min(first, n - 1), size),
        range(before, size),
        rng,
    )
    index = np.repeat(np.arange(*[tile.rows.start, tile.rows.stop])[:, None], room, axis=1)
    taken = np.zeros(index.shape)
    place = tile.rows.start, tile.columns.start
    _loops.nearest(tile.values, *place, tile.weight, n_neighbors, copies, index, taken)
    expected = np.array(naive_nearest(tile, n_neighbors, room, copies))
    used = expected[:, :, 1] > 0
    np.testing.assert_array_equal(index[used], expected[:, :, 0][used])
    np.testing.assert_allclose(taken, expected[:, :, 1], rtol=1e-14)


# --------------------------------------------------------------------------------------
# triplets


def check_few(tile, n_targets):
    """Each pair is met once, with either row as the anchor; margins have a direction."""
    tile = with_directed_margin(tile)
    shape = n_targets, len(tile.Z)
    thresholds = tile.rng.integers(0, 12, shape) / 2.0
    taken = tile.rng.choice([0.0, 1.0, 2.5], shape)
    derivatives, violators = tile.empty, tile.rng.random(shape)
    found = _loops.few_hinges(
        tile.values, derivatives, *tile.place, *tile.classes, tile.margin, tile.weight, thresholds,
        thresholds.max(axis=0, initial=-np.inf), taken, added := violators.copy(),
    )  # fmt: skip
    values, expected = tile.values, np.zeros(derivatives.shape)
    value = n_active = 0.0
    for r, c, i, j in tile.negatives(once=True):
        for t, (a, n) in itertools.product(range(n_targets), ((i, j), (j, i))):
            gap = thresholds[t, a] + tile.margin[tile.codes[a], tile.codes[n]] - values[r, c]
            if gap > 0:
                value += taken[t, a] * tile.weight[n] * gap
                n_active += taken[t, a] * tile.weight[n]
                expected[r, c] -= taken[t, a] * tile.weight[n]
                violators[t, a] += tile.weight[n]
    close(found, (value, n_active))
    close(derivatives, expected)
    close(added[taken > 0], violators[taken > 0])


@given(tile=tiles(), n_targets=st.integers(0, 3))
def test_hinges_of_few_positives(tile, n_targets):
    check_few(tile, n_targets)


@each_fixed
def test_hinges_of_few_positives_in_wide_tiles(tile):
    check_few(tile, 3)
    check_few(tile._replace(Z=np.round(tile.Z)), 3)  # many gaps are zero
    # Most strips of columns have no row that is near.
    check_few(tile._replace(Z=5.0 * tile.Z), 2)


def from_each_on(values):
    """Sum from each position on, and nothing behind the end."""
    return np.array([[row[p:].sum() for p in range(len(row) + 1)] for row in values])


def check_many(tile):
    """Rows of one class, with all of its thresholds in order."""
    tile = with_directed_margin(tile)
    own = tile.codes[tile.rows[0]]
    width = int(tile.bounds[own + 1] - tile.bounds[own])
    shape = len(tile.rows), width
    thresholds = np.sort(tile.rng.integers(0, 12, shape) / 2.0, axis=1)
    taken = tile.rng.choice([0.0, 1.0, 2.5], shape)
    above = from_each_on(taken), from_each_on(taken * thresholds)
    derivatives, histogram = tile.empty, tile.rng.random((len(tile.rows), width + 1))
    found = _loops.many_hinges(
        tile.values, derivatives, *tile.place, *tile.classes, tile.margin, tile.weight, thresholds,
        *above, added := histogram.copy(),
    )  # fmt: skip
    values, expected = tile.values, np.zeros(derivatives.shape)
    value = n_active = 0.0
    for r, c, i, j in tile.negatives():
        gaps = thresholds[r] + tile.margin[own, tile.codes[j]] - values[r, c]
        w = tile.weight[i] * tile.weight[j]
        value += w * (taken[r] * np.maximum(gaps, 0.0)).sum()
        n_active += w * taken[r][gaps > 0].sum()
        expected[r, c] = -w * taken[r][gaps > 0].sum()
        if gaps[-1] > 0:
            histogram[r, np.count_nonzero(gaps <= 0)] += tile.weight[j]
    close(found, (value, n_active))
    close(derivatives, expected)
    close(added, histogram)


@given(tile=tiles().filter(lambda tile: len(tile.rows)))
def test_hinges_of_many_positives(tile):
    own = tile.codes[tile.rows[0]]
    check_many(tile._replace(rows=range(tile.rows[0], min(tile.rows.stop, tile.bounds[own + 1]))))


@each_fixed
def test_hinges_of_many_positives_in_wide_tiles(tile):
    own = tile.codes[tile.rows[0]]
    check_many(tile._replace(rows=range(tile.rows[0], min(tile.rows.stop, tile.bounds[own + 1]))))


@given(
    values=st.lists(st.integers(-3, 3), max_size=20),
    behind=st.integers(0, 3),
    key=st.sampled_from([-np.inf, -4.0, -1.0, 0.0, 0.5, 3.0, 9.0]),
)
def test_rank(values, behind, key):
    """What is behind the size does not count, though it is as small."""
    array = np.array(sorted(values) + [-9] * behind, dtype=float)
    expected = sum(value <= key for value in values)
    assert _loops._rank(array, len(values), key) == expected


@given(
    n=st.sampled_from([2, 3, 9]),
    m=st.integers(0, 12),
    content=st.sampled_from(["normal", "grid", "offset"]),
    seed=seeds,
)
@example(n=9, m=300, content="grid", seed=0)  # many gaps are zero
def test_listed_triples(n, m, content, seed):
    rng = np.random.default_rng(seed)
    Z, codes = rows_of(rng, n, 3, content), rng.integers(0, 3, n)
    triples, taken = rng.integers(0, n, (m, 3)), rng.choice([0.5, 2.0], m)
    triples[:, 2] = (triples[:, 1] + rng.integers(1, n, m)) % n  # no row is on both sides
    margin = rng.choice([-1.0, 0.0, 2.0], (3, 3))
    moved = rng.normal(size=Z.shape)
    expected, value, n_active = moved.copy(), 0.0, 0.0
    for (a, p, q), w in zip(triples, taken, strict=True):
        near, far = ((Z[a] - Z[p]) ** 2).sum(), ((Z[a] - Z[q]) ** 2).sum()
        gap = near - far + margin[codes[a], codes[q]]
        if gap > 0:
            value += w * gap
            n_active += w
            with_move(expected, Z, a, p, w)
            with_move(expected, Z, a, q, -w)
    found = _loops.listed_hinges(triples, taken, Z, codes, margin, moved)
    close(found, (value, n_active))
    close(moved, expected)


# --------------------------------------------------------------------------------------
# contrastive


def check_negative_hinges(tile):
    derivatives = tile.empty
    found = _loops.negative_hinges(
        tile.values, derivatives, *tile.place, *tile.classes, tile.margin, tile.weight
    )
    values, expected = tile.values, np.zeros(derivatives.shape)
    value = n_active = 0.0
    for r, c, i, j in tile.negatives(once=True):
        d = np.sqrt(values[r, c])
        gap = tile.margin[tile.codes[i], tile.codes[j]] - d
        w = tile.weight[i] * tile.weight[j]
        if gap > 0:
            value += w * gap**2 / 2
            n_active += w
            if d > 0:
                expected[r, c] = -w * gap / (2 * d)
    close(found, (value, n_active))
    close(derivatives, expected)


@given(tile=tiles())
def test_hinges_of_negative_pairs(tile):
    check_negative_hinges(tile)


@each_fixed
def test_hinges_of_negative_pairs_in_wide_tiles(tile):
    check_negative_hinges(tile)


# --------------------------------------------------------------------------------------
# lifted structure and N-pair


def keys_of(tile):
    """Return margin - distance between all rows."""
    return tile.margin[tile.codes[:, None], tile.codes] - np.sqrt(tile.squares)


def levels_of(tile, keys):
    """Return for each row the logarithm of the weighted sum over its negatives."""
    other = (tile.codes[:, None] != tile.codes) & (tile.weight > 0)
    with np.errstate(divide="ignore"):
        exponents = np.where(other, keys + np.log(tile.weight), -np.inf)
    return special.logsumexp(exponents, axis=1) if len(keys) else np.empty(0)


@given(tile=tiles())
def test_keys_of_distances(tile):
    keys = tile.empty
    _loops.distance_keys(tile.values, keys, *tile.place, *tile.classes, tile.margin)
    np.testing.assert_allclose(keys, tile.of(keys_of(tile)), rtol=1e-14, atol=1e-14)


@given(
    tile=tiles(square=True, weightless=False),
    scale=st.sampled_from([1.0, 30.0, 1e4]),
    shift=st.sampled_from([0.0, -1e5, 1e5]),
    width=st.integers(1, 9),
)
def test_sums_of_exponentials(tile, scale, shift, width):
    """Tile by tile, in exponents that would over- and underflow alone; rows without negatives."""
    n = len(tile.Z)
    keys = scale * tile.rng.normal(size=(n, n)) + shift
    highest, sums = np.full(n, -np.inf), np.zeros(n)
    for start in range(0, n, width):
        part = tile._replace(columns=range(start, min(start + width, n)))
        _loops.sum_exponentials(
            part.of(keys), *part.place, *tile.classes, tile.weight, highest, sums
        )
    outside = np.setdiff1d(np.arange(n), tile.rows)
    assert np.all(highest[outside] == -np.inf)
    assert np.all(sums[outside] == 0.0)
    inside = np.arange(tile.rows.start, tile.rows.stop)
    with np.errstate(divide="ignore"):
        found = highest + np.log(sums)
    expected = levels_of(tile, keys)
    np.testing.assert_allclose(found[inside], expected[inside], rtol=1e-12, atol=1e-12)


def test_exponents_of_nothing():
    """Exponents of minus infinity add nothing, also where there are no others."""
    highest, sums = np.array([-np.inf]), np.zeros(1)
    codes, bounds, weight = np.array([0, 1, 1]), np.array([0, 1, 3]), np.ones(3)
    keys = np.array([[5.0, -np.inf, -np.inf]])
    _loops.sum_exponentials(keys, 0, 0, codes, bounds, weight, highest, sums)
    assert (highest[0], sums[0]) == (-np.inf, 0.0)
    keys[0, 2] = 2.0
    _loops.sum_exponentials(keys, 0, 0, codes, bounds, weight, highest, sums)
    assert (highest[0], sums[0]) == (2.0, 1.0)


def positives_of(tile, n_targets):
    """Draw rows to be positives, and weights of the pairs."""
    n = len(tile.Z)
    shape = len(tile.rows), n_targets if n else 0
    index = tile.rng.integers(0, max(n, 1), shape)
    return index, tile.rng.choice([0.0, 0.5, 2.0], shape)


LEVELS = st.sampled_from([-800.0, -40.0, -3.0, 0.0, 40.0, 800.0])


@given(tile=tiles(), n_targets=st.integers(0, 3), center=LEVELS, some=st.booleans())
def test_lifted_positives(tile, n_targets, center, some):
    """Rows without negatives have a level of minus infinity."""
    index, taken = positives_of(tile, n_targets)
    n = len(tile.Z)
    level = center + 20.0 * tile.rng.normal(size=n)
    if some:
        level[tile.rng.random(n) < 0.4] = -np.inf
    rows = np.arange(tile.rows.start, tile.rows.stop)
    distances = np.ascontiguousarray(tile.squares[rows[:, None], index])
    derivatives, share = np.full(index.shape, np.nan), tile.rng.random(n)
    found = _loops.lifted_positives(
        distances, derivatives, tile.rows.start, index, taken, level, added := share.copy()
    )
    expected = np.zeros(index.shape)
    value = n_active = 0.0
    for (r, c), w in np.ndenumerate(taken):
        i, j = rows[r], index[r, c]
        both = np.logaddexp(level[i], level[j])
        d = np.sqrt(distances[r, c])
        J = d + both
        if w > 0 and J > 0:
            value += w * J**2 / 2
            n_active += w
            share[i] += w * J * np.exp(level[i] - both)
            share[j] += w * J * np.exp(level[j] - both)
            if d > 0:
                expected[r, c] = w * J / (2 * d)
    close(found, (value, n_active))
    close(derivatives, expected)
    close(added, share)


def check_lifted_negatives(tile):
    keys = keys_of(tile)
    level, share = levels_of(tile, keys), tile.rng.random(len(tile.Z))
    derivatives = tile.empty
    _loops.lifted_negatives(
        tile.values, derivatives, *tile.place, *tile.classes, tile.margin, tile.weight, level, share
    )
    expected, squares = np.zeros(derivatives.shape), tile.squares
    for r, c, i, j in tile.negatives(once=True):
        d = np.sqrt(squares[i, j])
        of_levels = share[i] * tile.weight[j] * np.exp(keys[i, j] - level[i])
        of_levels += share[j] * tile.weight[i] * np.exp(keys[i, j] - level[j])
        if d > 0:
            expected[r, c] = -of_levels / (2 * d)
    close(derivatives, expected)


@given(tile=tiles(weightless=False))
def test_lifted_negatives(tile):
    check_lifted_negatives(tile)


@each_fixed
def test_lifted_negatives_in_wide_tiles(tile):
    check_lifted_negatives(tile._replace(margin=tile.margin + 3.0))


@given(tile=tiles(), n_targets=st.integers(0, 3), center=LEVELS, some=st.booleans())
def test_n_pair_positives(tile, n_targets, center, some):
    _, taken = positives_of(tile, n_targets)
    n = len(tile.Z)
    level = center + 10.0 * tile.rng.normal(size=n)
    if some:
        level[tile.rng.random(n) < 0.4] = -np.inf
    products = 5.0 * tile.rng.normal(size=taken.shape)
    derivatives, share = np.full(taken.shape, np.nan), tile.rng.random(n)
    found = _loops.n_pair_positives(
        products, derivatives, tile.rows.start, taken, level, added := share.copy()
    )
    expected = np.zeros(taken.shape)
    value = n_active = 0.0
    for (r, c), w in np.ndenumerate(taken):
        i = tile.rows[r]
        x = level[i] - products[r, c]
        term = np.logaddexp(0.0, x)
        value += w * term
        n_active += w if term > 0 else 0.0
        expected[r, c] = -w * special.expit(x)
        share[i] += w * special.expit(x)
    assert found[0] == pytest.approx(value, rel=1e-12, abs=0)
    # Where exp(x) underflows to a number without an exponent, ours is zero.
    assert found[1] == n_active or center < -700
    np.testing.assert_allclose(derivatives, expected, rtol=1e-12, atol=1e-300)
    close(added, share)


def test_small_terms_of_n_pair_keep_their_digits():
    """The logarithm of 1 + a small number, on both sides of where it is a series."""
    x = np.concatenate([np.linspace(-7.5, -6.5, 41), [-12.0, -30.0, -50.0, -200.0, -700.0]])
    for one in x:
        value, n_active = _loops.n_pair_positives(
            np.array([[-one]]), np.empty((1, 1)), 0, np.ones((1, 1)), np.zeros(1), np.zeros(1)
        )
        assert value == pytest.approx(np.log1p(np.exp(one)), rel=1e-12, abs=0)
        assert n_active == 1.0


def check_n_pair_negatives(tile):
    products = tile.Z @ tile.Z.T
    level, share = levels_of(tile, products), tile.rng.random(len(tile.Z))
    derivatives = tile.empty
    _loops.n_pair_negatives(
        tile.of(products), derivatives, *tile.place, *tile.classes, tile.weight, level, share
    )
    expected = np.zeros(derivatives.shape)
    for r, c, i, j in tile.negatives():
        expected[r, c] = share[i] * tile.weight[j] * np.exp(products[i, j] - level[i])
    close(derivatives, expected)


@given(tile=tiles(weightless=False))
def test_n_pair_negatives(tile):
    check_n_pair_negatives(tile)


@each_fixed
def test_n_pair_negatives_in_wide_tiles(tile):
    check_n_pair_negatives(tile)


# --------------------------------------------------------------------------------------
# quadruplets


class Lists(NamedTuple):
    """Thresholds of all classes and of each, and their weights."""

    values: list[np.ndarray]
    weights: list[np.ndarray]

    @property
    def starts(self):
        return np.concatenate([[0], np.cumsum([len(values) for values in self.values])])

    def sums(self, weights):
        """Return the sums from each position on, one list behind the other."""
        return np.concatenate([from_each_on(row[None])[0] for row in weights])


def lists_of(tile):
    """Draw up to six positive pairs of each class, of which some thresholds are equal."""
    classes = []
    for _ in range(len(tile.bounds) - 1):
        size = tile.rng.integers(0, 7)
        values = np.sort(tile.rng.integers(0, 12, size) / 2.0)
        classes.append((values, tile.rng.choice([0.5, 1.0, 4.0], size)))
    values, weights = (np.concatenate(part) for part in zip(*classes, strict=True))
    order = values.argsort(kind="stable")
    return Lists(
        [values[order], *(values for values, _ in classes)],
        [weights[order], *(weights for _, weights in classes)],
    )


def check_quadruplets(tile):
    lists = lists_of(tile)
    weight_above = lists.sums(lists.weights)
    sum_above = lists.sums([w * v for v, w in zip(lists.values, lists.weights, strict=True)])
    derivatives, histogram = tile.empty, tile.rng.random(len(weight_above))
    found = _loops.quadruplet_hinges(
        tile.values, derivatives, *tile.place, *tile.classes, tile.weight,
        np.concatenate(lists.values), lists.starts, weight_above, sum_above,
        added := histogram.copy(),
    )  # fmt: skip
    values, expected = tile.values, np.zeros(derivatives.shape)
    value = n_active = 0.0
    for r, c, i, j in tile.negatives(once=True):
        w = 2.0 * tile.weight[i] * tile.weight[j]
        key, own = values[r, c], (tile.codes[i], tile.codes[j])
        for code, (thresholds, taken) in enumerate(
            zip(lists.values[1:], lists.weights[1:], strict=True)
        ):
            if code not in own:
                value += w * (taken * np.maximum(thresholds - key, 0.0)).sum()
                n_active += w * taken[thresholds > key].sum()
                expected[r, c] -= w * taken[thresholds > key].sum()
        if np.any(lists.values[0] > key):
            for place in (0, own[0] + 1, own[1] + 1):
                rank = np.count_nonzero(lists.values[place] <= key)
                histogram[lists.starts[place] + place + rank] += w
    size = weight_above.max(initial=1.0) * max(tile.weight.max(initial=1.0), 1.0) ** 2 * 2
    close(found, (value, n_active), 1e-10)
    np.testing.assert_allclose(derivatives, expected, rtol=1e-11, atol=1e-13 * size)
    close(added, histogram)


@given(tile=tiles())
def test_quadruplets(tile):
    check_quadruplets(tile)


@each_fixed
def test_quadruplets_in_wide_tiles(tile):
    check_quadruplets(tile)


def test_quadruplets_without_positives():
    tile = FIXED[0]
    derivatives = tile.empty
    n_classes = len(tile.bounds) - 1
    nothing = np.zeros(n_classes + 1)
    found = _loops.quadruplet_hinges(
        tile.values, derivatives, *tile.place, *tile.classes, tile.weight, np.empty(0),
        np.zeros(n_classes + 2, np.int64), nothing, nothing, nothing.copy(),
    )  # fmt: skip
    assert found == (0.0, 0.0)
    np.testing.assert_array_equal(derivatives, 0.0)
