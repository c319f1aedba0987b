"""The compiled loops of hashing against their naive twins, in sizes that plain Python manages."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skmmd.hashing._digest import Picture, picture_shape, sum_short
from skmmd.hashing._loops import (
    column_taps,
    count_bigrams,
    count_bytes,
    distance_matrix,
    nearest,
    nearest_in_buckets,
    pairs_in_buckets,
    pairs_within,
    weight_sums,
)
from tests import reference

seeds = st.integers(0, 2**32 - 1)
METRICS = ("mmdt", "manhattan", "circular")
LARGEST = {"mmdt": 16 * 255**2, "manhattan": 16 * 255, "circular": 2048}
NONE = np.iinfo(np.int64).max
each_metric = pytest.mark.parametrize("metric", METRICS)

# Ends and middles of the range, where bytes wrap and 16 bits would overflow; and any byte.
BYTES = st.one_of(st.sampled_from([0, 1, 2, 127, 128, 129, 254, 255]), st.integers(0, 255))
# Three digests, so that distances are tied, and any.
TIED = st.sampled_from([[0] * 20, [0] * 19 + [1], [0] * 18 + [1, 0]])
DIGEST = st.one_of(TIED, st.lists(BYTES, min_size=20, max_size=20))


def as_array(digests):
    return np.array(digests, dtype=np.uint8).reshape(-1, 20)


def lanes(digests):
    return np.ascontiguousarray(as_array(digests)[:, 4:].T)


# --------------------------------------------------------------------------------------
# weights


@pytest.mark.parametrize("n_pixels", [16, 64])
@pytest.mark.parametrize("size", [32, 64, 128, 256])
def test_taps_are_those_of_the_twin(size, n_pixels):
    """Spread over all sources, zeros elsewhere; the sum is that before rounding."""
    n_taps = min(-(-6 * max(size // n_pixels, 1) // 8) * 8, size)
    sums, starts = np.empty(n_pixels), np.empty(n_pixels, np.int64)
    taps = np.empty((n_pixels, n_taps), np.int32)
    weight_sums(size, n_pixels, sums)
    column_taps(size, n_pixels, sums, starts, taps)
    found = np.zeros((n_pixels, size), np.int64)
    expected = np.zeros((n_pixels, size), np.int64)
    for i, (first, weights) in enumerate(reference.lanczos_coefficients(size, n_pixels)):
        assert 0 <= starts[i] <= size - n_taps
        found[i, starts[i] : starts[i] + n_taps] = taps[i]
        expected[i, first : first + len(weights)] = weights
    np.testing.assert_array_equal(found, expected)
    # Weights are shares: they add up to one, but for the rounding of each.
    assert np.all(abs(found.sum(axis=1) - 2**22) <= n_taps)


# --------------------------------------------------------------------------------------
# pictures

PICTURES = [0, 5, 4096, 4127, 8192, 8193]


@pytest.mark.parametrize("length", PICTURES)
def test_sums_of_a_short_input(length, rng):
    """Two of them in one array, with other bytes between: neither may read the other's."""
    contents = [rng.integers(0, 256, length, np.uint8).tobytes() for _ in range(2)]
    room = max(length, 4096)
    array = np.full(3 * room + 7, 255, np.uint8)
    starts = np.array([0, 2 * room + 7])
    for start, content in zip(starts, contents, strict=True):
        array[start : start + room] = 0
        array[start : start + length] = np.frombuffer(content, np.uint8)
    sums = np.empty((2, 20), np.int64)
    sum_short(array, starts, np.array([length, length]), sums)
    assert sums.tolist() == [reference.mmdt_sums(content) for content in contents]


@pytest.mark.parametrize("value", [0, 1, 254, 255])
def test_sums_of_constant_and_alternating_inputs(value):
    """The ends of the range, where pixels are clipped; 255 beside 0 overshoots on both sides."""
    contents = [bytes([value]) * 4096, bytes([value, 255 - value]) * 2048]
    contents.append(bytes([value]) * 2000 + bytes([255 - value]) * 2096)
    sums = np.empty((3, 20), np.int64)
    array = np.frombuffer(b"".join(contents), np.uint8)
    sum_short(array, np.arange(3) * 4096, np.full(3, 4096), sums)
    assert sums.tolist() == [reference.mmdt_sums(content) for content in contents]


def test_sums_in_pieces(rng):
    """Rows that come piece by piece, even one by one, make the same picture."""
    content = rng.integers(0, 256, 8192 + 64 * 3 + 5, np.uint8)
    assert picture_shape(len(content)) == reference.mmdt_shape(len(content)) == (131, 64)
    for size in (256, 1280, len(content)):
        picture = Picture(len(content))
        for start in range(0, len(content), size):
            picture.add(content[start : start + size])
        sums = np.empty(20, np.int64)
        picture.sums(sums)
        assert sums.tolist() == reference.mmdt_sums(content.tobytes())


@pytest.mark.parametrize("length", [0, 1, 4095, 4096, 4097, 8192, 8193, 32768, 32769, 131072])
def test_shape_of_a_picture(length):
    for excess in (-1, 0, 1):
        if length + excess >= 0:
            assert picture_shape(length + excess) == reference.mmdt_shape(length + excess)


# --------------------------------------------------------------------------------------
# counts of bytes


@given(content=st.binary(max_size=40), start=st.integers(0, 5))
def test_count_bytes(content, start):
    counts = np.full(256, start, np.int64)
    count_bytes(np.frombuffer(content, np.uint8), counts)
    assert counts.tolist() == [start + count for count in reference.byte_counts(content)]


@given(content=st.binary(max_size=40), data=st.data())
def test_count_bigrams_in_two_parts(content, data):
    cut = data.draw(st.integers(0, len(content)))
    array = np.frombuffer(content, np.uint8)
    counts = np.zeros(1024, np.int64)
    count_bigrams(array[:cut], -1, counts)
    count_bigrams(array[cut:], content[cut - 1] if cut else -1, counts)
    assert counts.tolist() == reference.bigram_counts(content)


def test_each_place_stands_for_64_pairs(rng):
    """The multiplier is odd, so that the twin's places are even; the loop has the same ones."""
    places = np.arange(65536) * 40503 % 65536 >> 6
    assert np.bincount(places).tolist() == [64] * 1024
    content = rng.integers(0, 256, 3000, np.uint8)
    counts = np.zeros(1024, np.int64)
    count_bigrams(content, -1, counts)
    pairs = content[:-1].astype(int) * 256 + content[1:]
    np.testing.assert_array_equal(counts, np.bincount(places[pairs], minlength=1024))


# --------------------------------------------------------------------------------------
# distances


@each_metric
@given(A=st.lists(DIGEST, max_size=3), B=st.lists(DIGEST, max_size=4))
def test_distance_matrix(A, B, metric):
    out = np.full((len(A), len(B)), -1, np.int32)
    rows = np.ascontiguousarray(as_array(A)[:, 4:])
    distance_matrix(METRICS.index(metric), rows, lanes(B), out)
    assert out.tolist() == [[reference.mmdt_distance(a, b, metric) for b in B] for a in A]


@each_metric
def test_all_differences_of_two_bytes(metric):
    """Every byte beside some others in each of the 16 places."""
    queries = [[0] * 4 + [a] * 16 for a in (0, 1, 127, 128, 200, 255)]
    digests = [[0] * 20 for _ in range(256)]
    for b, digest in enumerate(digests):
        digest[4 + b % 16] = b
    out = np.empty((len(queries), 256), np.int32)
    rows = np.ascontiguousarray(as_array(queries)[:, 4:])
    distance_matrix(METRICS.index(metric), rows, lanes(digests), out)
    expected = [[reference.mmdt_distance(a, b, metric) for b in digests] for a in queries]
    assert out.tolist() == expected


@each_metric
@given(
    A=st.lists(DIGEST, max_size=4),
    B=st.lists(DIGEST, max_size=4),
    same=st.booleans(),
    capacity=st.integers(0, 20),
    data=st.data(),
)
def test_pairs_within(A, B, same, capacity, data, metric):
    """Also exactly at the limit; pairs beyond the room are counted, and none is written there."""
    B = A if same else B
    pairs = {
        (i, j): reference.mmdt_distance(a, b, metric)
        for (i, a), (j, b) in itertools.product(enumerate(A), enumerate(B))
        if not same or i < j
    }
    limit = data.draw(st.sampled_from([0, LARGEST[metric], *pairs.values()]))
    bound = math.isqrt(16 * limit) if metric == "mmdt" else limit
    expected = {(*pair, d) for pair, d in pairs.items() if d <= limit}
    room = np.full((capacity + 1, 3), -7, np.int32)
    rows = np.ascontiguousarray(as_array(A)[:, 4:])
    code = METRICS.index(metric)
    count = pairs_within(code, rows, lanes(B), same, limit, bound, room[:capacity])
    assert count == len(expected)
    written = [tuple(pair) for pair in room[: min(count, capacity)].tolist()]
    assert len(set(written)) == len(written)
    assert set(written) <= expected
    assert np.all(room[min(count, capacity) :] == -7)


@each_metric
def test_pairs_beyond_one_tile_of_lanes(metric, rng):
    digests = rng.integers(0, 3, (150, 20)).astype(np.uint8)
    queries = digests[[0, 63, 64, 65, 149]]
    limit = 8
    bound = math.isqrt(16 * limit) if metric == "mmdt" else limit
    room = np.empty((1000, 3), np.int32)
    rows = np.ascontiguousarray(queries[:, 4:])
    code = METRICS.index(metric)
    count = pairs_within(code, rows, lanes(digests), False, limit, bound, room)
    expected = [
        [i, j, d]
        for i, query in enumerate(queries)
        for j, digest in enumerate(digests)
        if (d := reference.mmdt_distance(query, digest, metric)) <= limit
    ]
    assert room[:count].tolist() == expected
    assert {j // 64 for _, j, _ in expected} == {0, 1, 2}


# --------------------------------------------------------------------------------------
# neighbours


def expected_lists(queries, digests, k, metric, tolerance=None):
    lists = [reference.mmdt_neighbors(q, digests, metric, tolerance) for q in queries]
    padded = [found[:k] + [(NONE, NONE)] * (k - len(found)) for found in lists]
    return np.array(padded, dtype=np.int64).reshape(len(queries), k, 2), lists


@each_metric
@given(
    queries=st.lists(DIGEST, max_size=3),
    digests=st.lists(DIGEST, max_size=6),
    k=st.integers(1, 7),
    data=st.data(),
)
def test_nearest_in_two_blocks(queries, digests, k, data, metric):
    """Blocks may come in any order: ties go to the smaller place all the same."""
    cut = data.draw(st.integers(0, len(digests)))
    blocks = [(0, digests[:cut]), (cut, digests[cut:])]
    if data.draw(st.booleans()):
        blocks.reverse()
    distances, places = (np.full((len(queries), k), NONE) for _ in range(2))
    rows = np.ascontiguousarray(as_array(queries)[:, 4:])
    for first, block in blocks:
        nearest(METRICS.index(metric), rows, lanes(block), first, distances, places)
    expected, _ = expected_lists(queries, digests, k, metric)
    np.testing.assert_array_equal(distances, expected[:, :, 0])
    np.testing.assert_array_equal(places, expected[:, :, 1])


@each_metric
def test_nearest_beyond_one_tile_of_lanes(metric, rng):
    digests = rng.integers(0, 2, (140, 20)).astype(np.uint8)
    queries = digests[[0, 70, 139]]
    distances, places = np.full((3, 4), NONE), np.full((3, 4), NONE)
    rows = np.ascontiguousarray(queries[:, 4:])
    nearest(METRICS.index(metric), rows, lanes(digests), 0, distances, places)
    expected, _ = expected_lists(queries, digests, 4, metric)
    np.testing.assert_array_equal(np.stack([distances, places], axis=2), expected)


INDEX_BYTES = st.sampled_from([0, 1, 2, 3, 253, 254, 255])
BUCKETED = st.tuples(st.lists(INDEX_BYTES, min_size=4, max_size=4), DIGEST).map(
    lambda parts: parts[0] + parts[1][4:]
)


def test_ties_go_to_the_smaller_place_whatever_comes_first():
    """The order of the buckets is another than that of the places."""
    digests = [[9 - place, 0, 0, 0] + [7] * 16 for place in range(10)]
    keys, ordered, order = sorted_by_index(digests)
    assert order.tolist() == list(range(9, -1, -1))
    distances, places = np.full((1, 3), NONE), np.full((1, 3), NONE)
    query, counts = as_array([digests[5]]), np.zeros(1, np.int64)
    nearest_in_buckets(0, query, keys, ordered, order, 9, distances, places, counts)
    assert places.tolist() == [[0, 1, 2]]
    distances[:], places[:] = NONE, NONE
    for first in (6, 3, 0):
        nearest(0, query[:, 4:].copy(), lanes(digests[:3]), first, distances, places)
    assert places.tolist() == [[0, 1, 2]]


def sorted_by_index(digests):
    """Return the keys, the digests in their order, and their places."""
    order = sorted(range(len(digests)), key=lambda place: digests[place][:4])
    ordered = [digests[place] for place in order]
    keys = [int.from_bytes(bytes(digest[:4]), "big") for digest in ordered]
    return np.array(keys, np.int64), as_array(ordered), np.array(order, np.int64)


@each_metric
@settings(max_examples=50)
@given(
    queries=st.lists(BUCKETED, max_size=3),
    digests=st.lists(BUCKETED, max_size=12),
    k=st.integers(1, 4),
    tolerance=st.integers(0, 3),
    data=st.data(),
)
def test_buckets(queries, digests, k, tolerance, data, metric):
    """Index bytes at both ends of the range, where neighbouring keys are far apart."""
    code = METRICS.index(metric)
    keys, ordered, order = sorted_by_index(digests)
    distances, places = (np.full((len(queries), k), NONE) for _ in range(2))
    counts = np.zeros(len(queries), np.int64)
    nearest_in_buckets(
        code, as_array(queries), keys, ordered, order, tolerance, distances, places, counts
    )
    expected, lists = expected_lists(queries, digests, k, metric, tolerance)
    np.testing.assert_array_equal(np.stack([distances, places], axis=2), expected)
    assert counts.tolist() == [len(found) for found in lists]

    possible = [d for found in lists for d, _ in found]
    limit = data.draw(st.sampled_from([0, LARGEST[metric], *possible]))
    within = sorted([i, p, d] for i, found in enumerate(lists) for d, p in found if d <= limit)
    capacity = data.draw(st.integers(0, len(within) + 1))
    room = np.full((capacity + 1, 3), -7, np.int32)
    args = (code, as_array(queries), keys, ordered, order, tolerance, limit)
    count = pairs_in_buckets(*args, room[:capacity])
    assert count == len(within)
    written = room[: min(count, capacity)].tolist()
    assert all(pair in within for pair in written)
    if count <= capacity:
        assert sorted(written) == within
    assert np.all(room[min(count, capacity) :] == -7)


@pytest.mark.parametrize("tolerance", [0, 1, 2])
def test_corners_of_the_index_bytes(tolerance):
    """All combinations of the ends of the range: the first and the last key of each range."""
    digests = [[*ends, *[0] * 16] for ends in itertools.product([0, 1, 254, 255], repeat=4)]
    keys, ordered, order = sorted_by_index(digests)
    for query in ([0, 0, 0, 0], [255, 254, 255, 255], [254, 1, 254, 255], [1, 255, 0, 254]):
        queries, counts = as_array([query + [0] * 16]), np.zeros(1, np.int64)
        expected, lists = expected_lists(queries, digests, 256, "mmdt", tolerance)
        distances, places = np.full((1, 256), NONE), np.full((1, 256), NONE)
        nearest_in_buckets(0, queries, keys, ordered, order, tolerance, distances, places, counts)
        np.testing.assert_array_equal(np.stack([distances, places], axis=2), expected)
        assert counts.tolist() == [len(lists[0])]


def test_the_widest_tolerance(rng):
    digests = rng.integers(0, 256, (5, 20)).tolist()
    keys, ordered, order = sorted_by_index(digests)
    distances, places = np.full((1, 5), NONE), np.full((1, 5), NONE)
    counts = np.zeros(1, np.int64)
    # A query at a corner of the range meets the fewest prefixes.
    query = as_array([[0, 0, *digests[0][2:]]])
    nearest_in_buckets(0, query, keys, ordered, order, 255, distances, places, counts)
    expected, _ = expected_lists(query.tolist(), digests, 5, "mmdt")
    assert counts.tolist() == [5]
    np.testing.assert_array_equal(np.stack([distances, places], axis=2), expected)
