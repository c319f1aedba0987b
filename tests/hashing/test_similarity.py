"""Similarities: the published pairs as doubles, the naive twin, and pairs against brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from skmmd.hashing import mmdt_format, mmdt_pairs, mmdt_parse, mmdt_similarity
from tests import reference
from tests.hashing.vectors import HASHES, PAIRS

METRICS = ("mmdt", "manhattan", "circular")
each_metric = pytest.mark.parametrize("metric", METRICS)


def digests_from(rows):
    return np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(-1, 20)


# Few values, so that duplicates and equal similarities are common; and any bytes at all.
ROWS = st.one_of(
    st.binary(min_size=20, max_size=20),
    st.lists(st.sampled_from([0, 1, 127, 128, 129, 255]), min_size=20, max_size=20).map(bytes),
    st.sampled_from([bytes(20), bytes([255]) * 20, bytes(4) + bytes([128]) * 16]),
)
DIGESTS = st.lists(ROWS, max_size=9).map(digests_from)


def brute_force(A, B, metric):
    values = [[reference.mmdt_similarity(a, b, metric) for b in B] for a in A]
    return np.array(values, dtype=np.float64).reshape(len(A), len(B))


# --------------------------------------------------------------------------------------
# published pairs


def pair_name(pair):
    return f"{pair['a']}-{pair['b']}"


def test_all_pairs_are_there():
    assert len(PAIRS) == 27


@pytest.mark.parametrize("pair", PAIRS, ids=pair_name)
def test_published_pair(pair):
    a, b = HASHES[pair["a"]], HASHES[pair["b"]]
    digests = mmdt_parse([a, b]).astype(int)
    difference = (digests[0] - digests[1])[4:]
    assert np.sum(difference**2) == pair["sum_sq"]
    assert np.sum(abs(difference)) == pair["sum_abs"]
    expected = {"mmdt": pair["similarity"], "manhattan": pair["similarity_v002"]}
    assert expected["mmdt"].hex() == pair["similarity_hex"]
    for metric, value in expected.items():
        for found in (
            mmdt_similarity(a, b, metric=metric),
            mmdt_similarity(b, a, metric=metric),
            mmdt_similarity([a], [b], metric=metric)[0, 0],
            mmdt_similarity([a, b], metric=metric)[0, 1],
        ):
            assert float(found).hex() == value.hex(), metric
    assert mmdt_similarity(a, b).hex() == pair["similarity_hex"], "the default metric"


def test_example_of_the_article():
    """1 - sqrt(368) / 1020, which the article on the hash prints for two of its files."""
    a, b = np.zeros((2, 20), dtype=np.uint8)
    b[4:8] = 16, 10, 2, 2
    b[8:10] = 2, 0
    assert np.sum(b.astype(int) ** 2) == 368
    assert mmdt_similarity(a, b) == 0.9811928175556364


@pytest.mark.parametrize(
    ("metric", "value", "expected"),
    [
        ("mmdt", 255, 0.0),
        ("manhattan", 255, 0.0),
        ("circular", 255, 1 - 16 / 2048),
        ("circular", 128, 0.0),
        ("circular", 127, 1 - 127 * 16 / 2048),
        ("circular", 129, 1 - 127 * 16 / 2048),
        ("mmdt", 0, 1.0),
        ("manhattan", 0, 1.0),
        ("circular", 0, 1.0),
    ],
)
def test_ends_of_the_range(metric, value, expected):
    a, b = np.zeros((2, 20), dtype=np.uint8)
    b[4:] = value
    assert mmdt_similarity(a, b, metric=metric) == expected
    assert mmdt_similarity(b, a, metric=metric) == expected


# --------------------------------------------------------------------------------------
# single values and matrices


@given(a=ROWS, b=ROWS)
@each_metric
def test_similarity_is_that_of_the_twin(a, b, metric):
    expected = reference.mmdt_similarity(a, b, metric)
    digests = digests_from([a, b])
    strings = mmdt_format(digests)
    for found in (
        mmdt_similarity(*strings, metric=metric),
        mmdt_similarity(*digests, metric=metric),
    ):
        assert isinstance(found, float)
        assert found == expected
        assert 0.0 <= found <= 1.0


@given(A=DIGESTS, B=DIGESTS)
@each_metric
def test_matrix(A, B, metric):
    expected = brute_force(A, B, metric)
    found = mmdt_similarity(A, B, metric=metric)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, expected, strict=True)
    np.testing.assert_array_equal(
        mmdt_similarity(mmdt_format(A), mmdt_format(B), metric=metric), expected, strict=True
    )


@given(A=DIGESTS)
@each_metric
def test_matrix_with_itself(A, metric):
    found = mmdt_similarity(A, metric=metric)
    np.testing.assert_array_equal(found, brute_force(A, A, metric), strict=True)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), np.ones(len(A)))


@each_metric
def test_matrix_beyond_one_tile(metric, rng):
    """Some thousand rows, with widths that no block size divides; in plain integers of NumPy."""
    A = rng.integers(0, 256, size=(2051, 20), dtype=np.uint8)
    B = rng.integers(0, 256, size=(517, 20), dtype=np.uint8)
    totals = np.zeros((len(A), len(B)), dtype=np.int64)
    for a, b in zip(A.T[4:].astype(np.int64), B.T[4:].astype(np.int64), strict=True):
        d = abs(a[:, None] - b)
        totals += {"mmdt": d**2, "manhattan": d, "circular": np.minimum(d, 256 - d)}[metric]
    expected = {
        "mmdt": 1.0 - np.sqrt(totals) / 1020.0,
        "manhattan": 1.0 - totals / 4080,
        "circular": 1.0 - totals / 2048,
    }[metric]
    for i, j in [(0, 0), (2050, 516), (1024, 256), (2047, 512)]:
        assert expected[i, j] == reference.mmdt_similarity(A[i], B[j], metric)
    np.testing.assert_array_equal(mmdt_similarity(A, B, metric=metric), expected)
    np.testing.assert_array_equal(mmdt_similarity(B, A, metric=metric), expected.T)


@each_metric
def test_single_precision(metric, rng):
    A = rng.integers(0, 256, size=(30, 20), dtype=np.uint8)
    found = mmdt_similarity(A, metric=metric, dtype=np.float32)
    assert found.dtype == np.float32
    # Half a unit in the last place of a float32 below 1, and as much for one more rounding.
    np.testing.assert_allclose(found, brute_force(A, A, metric), rtol=0, atol=2.0**-24)


@each_metric
@pytest.mark.parametrize("form", ["Fortran", "strided", "reversed", "read-only", "list"])
def test_layouts(metric, form, rng):
    A = rng.integers(0, 256, size=(7, 20), dtype=np.uint8)
    expected = brute_force(A, A, metric)
    if form == "Fortran":
        A = np.asfortranarray(A)
    elif form == "strided":
        A = np.repeat(np.repeat(A, 2, axis=0), 3, axis=1)[::2, ::3]
    elif form == "reversed":
        A = np.ascontiguousarray(A[::-1])[::-1]
    A.flags.writeable = form != "read-only"
    given_as = list(A) if form == "list" else A
    np.testing.assert_array_equal(mmdt_similarity(given_as, given_as, metric=metric), expected)


@each_metric
def test_index_bytes_do_not_count(metric, rng):
    A = rng.integers(0, 256, size=(9, 20), dtype=np.uint8)
    B = A.copy()
    B[:, :4] = rng.integers(0, 256, size=(9, 4), dtype=np.uint8)
    assert np.any(A != B)
    np.testing.assert_array_equal(np.diag(mmdt_similarity(A, B, metric=metric)), np.ones(9))


GOOD = "51030000:D6E26822530202020202020202020202"


@pytest.mark.parametrize(
    "arguments",
    [
        ("", GOOD),
        (GOOD, GOOD[:-1]),
        (GOOD, "no hash"),
        (GOOD, GOOD.encode()),
        (GOOD, 5),
        ([GOOD], [GOOD, ""]),
        (np.zeros(19, np.uint8), np.zeros(19, np.uint8)),
        (np.zeros((2, 16), np.uint8), np.zeros((2, 4), np.uint8)),
        (np.full((2, 20), 0.5), np.zeros((2, 20), np.uint8)),
        (np.full((2, 20), 256), np.zeros((2, 20), np.uint8)),
        (np.full((2, 20), -1), np.zeros((2, 20), np.uint8)),
        (np.zeros((2, 20, 1), np.uint8), None),
        (None, None),
    ],
    ids=repr,
)
def test_what_is_no_digest_is_refused(arguments):
    with pytest.raises((TypeError, ValueError)):
        mmdt_similarity(*arguments)


@pytest.mark.parametrize("metric", ["euclidean", "MMDT", "", None, 1])
def test_unknown_metrics_are_refused(metric):
    digests = np.zeros((2, 20), dtype=np.uint8)
    with pytest.raises(ValueError, match="metric"):
        mmdt_similarity(GOOD, GOOD, metric=metric)
    with pytest.raises(ValueError, match="metric"):
        mmdt_pairs(digests, metric=metric)


# --------------------------------------------------------------------------------------
# pairs above a threshold


def brute_force_pairs(digests, threshold, metric):
    """Return {(i, j): similarity} of the pairs i < j at or above the threshold."""
    similarities = {
        (i, j): reference.mmdt_similarity(digests[i], digests[j], metric)
        for i, j in itertools.combinations(range(len(digests)), 2)
    }
    return {pair: value for pair, value in similarities.items() if value >= threshold}


def stored(found, n):
    """Return what a sparse result stores, zeros included, each place once."""
    assert sparse.issparse(found)
    assert found.shape == (n, n)
    assert found.dtype == np.float64
    entries = found.tocoo()
    places = list(zip(entries.row.tolist(), entries.col.tolist(), strict=True))
    assert len(places) == len(set(places))
    return dict(zip(places, entries.data.tolist(), strict=True))


@given(digests=DIGESTS, threshold=st.sampled_from([0.0, 1e-9, 0.3, 0.5, 0.9, 0.95, 1.0]))
@each_metric
def test_pairs(digests, threshold, metric):
    found = mmdt_pairs(digests, threshold=threshold, metric=metric)
    expected = brute_force_pairs(digests, threshold, metric)
    assert stored(found, len(digests)) == expected


@given(digests=st.lists(ROWS, min_size=2, max_size=7).map(digests_from), data=st.data())
@each_metric
def test_pairs_exactly_at_the_threshold_are_kept(digests, data, metric):
    """The threshold is a similarity that occurs; the next double above it leaves that pair out."""
    i, j = data.draw(
        st.sampled_from(list(itertools.combinations(range(len(digests)), 2))), label="pair"
    )
    threshold = reference.mmdt_similarity(digests[i], digests[j], metric)
    for value in (threshold, np.nextafter(threshold, -1.0), np.nextafter(threshold, 2.0)):
        if 0.0 <= value <= 1.0:
            found = mmdt_pairs(digests, threshold=float(value), metric=metric)
            expected = brute_force_pairs(digests, value, metric)
            assert stored(found, len(digests)) == expected
            assert ((i, j) in expected) == (value <= threshold)


def reachable_totals(metric, rng):
    """Return totals of 16 byte differences, among them all small ones and the largest."""
    largest = {"mmdt": 16 * 255**2, "manhattan": 4080, "circular": 2048}[metric]
    drawn = rng.integers(0, 256, size=(300, 16))
    if metric == "circular":
        drawn = np.minimum(drawn, 256 - drawn)
    totals = (drawn**2 if metric == "mmdt" else drawn).sum(axis=1)
    return sorted({*range(130), *totals.tolist(), largest})


def bytes_with_total(total, metric):
    """Return 16 byte differences with a total (of squares, for "mmdt"), or None."""
    differences, largest = [], 128 if metric == "circular" else 255
    for _ in range(16):
        step = int(np.sqrt(total)) if metric == "mmdt" else total
        differences.append(min(step, largest))
        total -= differences[-1] ** 2 if metric == "mmdt" else differences[-1]
    return differences if total == 0 else None


@each_metric
def test_threshold_of_every_kind_of_total(metric, rng):
    """A bound that is rounded on its way back to an integer total would lose some of these."""
    n_checked = 0
    for total in reachable_totals(metric, rng):
        differences = bytes_with_total(total, metric)
        if differences is None:
            continue
        digests = np.zeros((2, 20), dtype=np.uint8)
        digests[1, 4:] = differences
        threshold = reference.mmdt_similarity(*digests, metric)
        found = mmdt_pairs(digests, threshold=threshold, metric=metric)
        assert stored(found, 2) == {(0, 1): threshold}, total
        if threshold < 1.0:
            above = float(np.nextafter(threshold, 2.0))
            assert stored(mmdt_pairs(digests, threshold=above, metric=metric), 2) == {}, total
        n_checked += 1
    assert n_checked > 250


@each_metric
@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_rows(n, metric):
    digests = np.zeros((n, 20), dtype=np.uint8)
    expected = {(0, 1): 1.0} if n == 2 else {}
    assert stored(mmdt_pairs(digests, metric=metric), n) == expected


@each_metric
def test_pairs_of_duplicates(metric, rng):
    digests = np.repeat(rng.integers(0, 256, size=(3, 20), dtype=np.uint8), 4, axis=0)
    found = stored(mmdt_pairs(digests, threshold=1.0, metric=metric), 12)
    assert found == {
        (i, j): 1.0 for i, j in itertools.combinations(range(12), 2) if i // 4 == j // 4
    }


@each_metric
@pytest.mark.parametrize("threshold", [0.9, 0.95])
def test_pairs_beyond_one_tile(metric, threshold, rng):
    """Groups of near copies far apart from each other, in rows shuffled over several tiles."""
    centres = rng.integers(0, 256, size=(700, 20))
    digests = np.repeat(centres, 3, axis=0) + rng.integers(-12, 13, size=(2100, 20))
    digests = rng.permutation(digests % 256).astype(np.uint8)
    similarity = mmdt_similarity(digests, metric=metric)
    i, j = np.nonzero(np.triu(similarity >= threshold, k=1))
    expected = dict(zip(zip(i.tolist(), j.tolist(), strict=True), similarity[i, j], strict=True))
    assert 100 < len(expected) < 100_000
    assert stored(mmdt_pairs(digests, threshold=threshold, metric=metric), 2100) == expected


def test_defaults_of_pairs(rng):
    digests = rng.integers(100, 110, size=(40, 20), dtype=np.uint8)
    digests[::3, 4:] += 60
    expected = brute_force_pairs(digests, 0.95, "mmdt")
    assert 0 < len(expected) < 40 * 39 // 2
    assert stored(mmdt_pairs(digests), 40) == expected


def test_pairs_of_hash_strings():
    strings = list(HASHES.values())
    found = stored(mmdt_pairs(strings, threshold=0.9), len(strings))
    assert found == brute_force_pairs(mmdt_parse(strings), 0.9, "mmdt")


@pytest.mark.parametrize("threshold", [-0.1, 1.1, np.nan, np.inf, "0.9", None])
def test_thresholds_that_are_no_similarity(threshold):
    with pytest.raises((TypeError, ValueError), match="threshold"):
        mmdt_pairs(np.zeros((2, 20), dtype=np.uint8), threshold=threshold)


@pytest.mark.parametrize(
    "digests", [np.zeros((2, 19), np.uint8), np.zeros(20, np.uint8), np.full((2, 20), 0.5), GOOD]
)
def test_pairs_want_digests(digests):
    with pytest.raises((TypeError, ValueError)):
        mmdt_pairs(digests)


def test_sensitive_bytes_alone_will_do():
    digests = np.random.default_rng(0).integers(0, 256, (6, 20), dtype=np.uint8)
    expected = mmdt_similarity(digests)
    np.testing.assert_array_equal(mmdt_similarity(digests[:, 4:], digests), expected)
    upper = mmdt_pairs(digests[:, 4:], threshold=0.0).toarray()
    np.testing.assert_array_equal(upper, np.triu(expected, 1))
