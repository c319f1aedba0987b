"""MMDTIndex against brute force, as a part of scikit-learn's own searches, and its inputs."""

import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.cluster import DBSCAN
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.pipeline import make_pipeline

from skmmd.hashing import MMDTIndex, mmdt_digest, mmdt_format
from tests import reference

METRICS = ("mmdt", "manhattan", "circular")
TOLERANCES = (0, 1, 2, None, 255)
each_metric = pytest.mark.parametrize("metric", METRICS)
each_tolerance = pytest.mark.parametrize("tolerance", TOLERANCES)


def as_float(distance, metric):
    if metric == "mmdt":
        return math.sqrt(distance) / 1020.0
    return distance / (4080.0 if metric == "manhattan" else 2048.0)


def clustered(rng, n, n_groups=12):
    """Return digests in groups, with duplicates, ties, and index bytes a step or two apart."""
    centres = rng.integers(0, 256, (n_groups, 20))
    digests = centres[rng.integers(0, n_groups, n)]
    digests[:, :4] += rng.integers(-1, 2, (n, 4))
    digests[:, 4:] += rng.integers(-1, 2, (n, 16)) * (rng.random((n, 16)) < 0.2)
    return np.clip(digests, 0, 255).astype(np.uint8)


def brute_neighbors(index, queries, k, *, without_self=False):
    """Return distances and places with inf and -1 where there is no neighbour."""
    distances, places = np.full((len(queries), k), np.inf), np.full((len(queries), k), -1)
    for row, query in enumerate(queries):
        found = reference.mmdt_neighbors(query, index.digests_, index.metric, index.tolerance)
        kept = [(d, p) for d, p in found if not (without_self and p == row)][:k]
        for column, (distance, place) in enumerate(kept):
            distances[row, column] = as_float(distance, index.metric)
            places[row, column] = place
    return distances, places


def brute_radius(index, queries, radius, *, without_self=False):
    out = []
    for row, query in enumerate(queries):
        found = reference.mmdt_neighbors(query, index.digests_, index.metric, index.tolerance)
        near = [(as_float(d, index.metric), p) for d, p in found]
        out.append([(d, p) for d, p in near if d <= radius and not (without_self and p == row)])
    return out


def rows_of(distances, places):
    return [
        list(zip(row.tolist(), near.tolist(), strict=True))
        for row, near in zip(distances, places, strict=True)
    ]


# --------------------------------------------------------------------------------------
# neighbours


@each_metric
@each_tolerance
def test_kneighbors(metric, tolerance, rng):
    digests, queries = clustered(rng, 150), clustered(np.random.default_rng(20250117), 40)
    index = MMDTIndex(metric=metric, tolerance=tolerance).fit(digests)
    np.testing.assert_array_equal(index.digests_, digests)
    assert index.n_samples_fit_ == 150
    for k in (1, 7, 160):
        expected = brute_neighbors(index, queries, k)
        found = index.kneighbors(queries, n_neighbors=k)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])
        assert found[1].dtype == np.int64
        alone = index.kneighbors(queries, n_neighbors=k, return_distance=False)
        np.testing.assert_array_equal(alone, expected[1])
    assert (expected[1] == -1).any()


@each_metric
@each_tolerance
def test_kneighbors_without_self(metric, tolerance, rng):
    digests = clustered(rng, 90)
    index = MMDTIndex(metric=metric, tolerance=tolerance, n_neighbors=3).fit(digests)
    for k in (None, 1, 89, 90, 95):
        expected = brute_neighbors(index, digests, k or 3, without_self=True)
        found = index.kneighbors(n_neighbors=k)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


@each_metric
@each_tolerance
def test_radius_neighbors(metric, tolerance, rng):
    digests, queries = clustered(rng, 120), clustered(np.random.default_rng(20250117), 25)
    index = MMDTIndex(metric=metric, tolerance=tolerance).fit(digests)
    for radius in (None, 0.0, 0.003, 0.05, 0.4, 1.0):
        expected = brute_radius(index, queries, 0.05 if radius is None else radius)
        found = index.radius_neighbors(queries, radius=radius)
        assert [found[0].shape, found[1].shape] == [(25,), (25,)]
        assert rows_of(*found) == expected
        alone = index.radius_neighbors(queries, radius=radius, return_distance=False)
        assert [p.tolist() for p in alone] == [[p for _, p in row] for row in expected]
        own = brute_radius(index, digests, 0.05 if radius is None else radius, without_self=True)
        assert rows_of(*index.radius_neighbors(radius=radius)) == own


@each_metric
def test_a_radius_exactly_at_a_distance(metric, rng):
    """The next float below leaves the neighbour out."""
    digests = clustered(rng, 40)
    index = MMDTIndex(metric=metric, tolerance=None).fit(digests)
    distances, _ = index.kneighbors(n_neighbors=10)
    for radius in np.unique(distances)[1:]:
        for value in (radius, np.nextafter(radius, 0.0), np.nextafter(radius, 1.0)):
            expected = brute_radius(index, digests[:5], value)
            assert rows_of(*index.radius_neighbors(digests[:5], radius=value)) == expected


@each_tolerance
def test_count_candidates(tolerance, rng):
    digests, queries = clustered(rng, 100), clustered(np.random.default_rng(20250117), 30)
    index = MMDTIndex(tolerance=tolerance).fit(digests)
    gaps = abs(queries[:, None, :4].astype(int) - digests[None, :, :4])
    near = np.full((30, 100), True) if tolerance is None else (gaps <= tolerance).all(axis=2)
    np.testing.assert_array_equal(index.count_candidates(queries), near.sum(axis=1))


DIGEST = st.lists(st.sampled_from([0, 1, 2, 128, 254, 255]), min_size=20, max_size=20)
# All alike but for two bytes: ties everywhere.
TIED = st.tuples(st.integers(0, 2), st.integers(0, 2)).map(lambda ends: [ends[0]] * 19 + [ends[1]])
SETS = st.lists(st.one_of(DIGEST, TIED), min_size=1, max_size=8)


@settings(max_examples=40)
@given(
    digests=SETS,
    queries=SETS,
    metric=st.sampled_from(METRICS),
    tolerance=st.sampled_from(TOLERANCES),
    k=st.integers(1, 10),
)
def test_small_sets(digests, queries, metric, tolerance, k):
    digests, queries = np.array(digests, np.uint8), np.array(queries, np.uint8)
    index = MMDTIndex(metric=metric, tolerance=tolerance).fit(digests)
    for found, expected in (
        (index.kneighbors(queries, k), brute_neighbors(index, queries, k)),
        (index.kneighbors(None, k), brute_neighbors(index, digests, k, without_self=True)),
    ):
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.parametrize("k", [1, 3, 5, 6])
@each_tolerance
def test_duplicates_leave_out_only_self(k, tolerance):
    """Six equal digests: self is not the first of its neighbours, and may not be among k + 1."""
    index = MMDTIndex(tolerance=tolerance).fit(np.full((6, 20), 7, np.uint8))
    distances, places = index.kneighbors(n_neighbors=k)
    for row in range(6):
        others = [place for place in range(6) if place != row][:k]
        assert places[row].tolist() == others + [-1] * (k - len(others))
        assert distances[row].tolist() == [0.0] * len(others) + [np.inf] * (k - len(others))


@pytest.mark.parametrize("tolerance", [1, None])
def test_threads_change_nothing(tolerance, rng):
    """More queries than a block, more digests than a tile."""
    digests, queries = clustered(rng, 2100), clustered(np.random.default_rng(1), 600)
    one = MMDTIndex(tolerance=tolerance, n_neighbors=4).fit(digests)
    two = clone(one).set_params(n_jobs=2).fit(digests)
    for found, expected in zip(two.kneighbors(queries), one.kneighbors(queries), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert rows_of(*two.radius_neighbors(queries)) == rows_of(*one.radius_neighbors(queries))
    # The whole is checked in a few rows of each block.
    some = [0, 255, 256, 511, 512, 599]
    distances, places = brute_neighbors(one, queries[some], 4)
    np.testing.assert_array_equal(one.kneighbors(queries)[0][some], distances)
    np.testing.assert_array_equal(one.kneighbors(queries)[1][some], places)
    radius = one.radius_neighbors(queries)
    assert rows_of(radius[0][some], radius[1][some]) == brute_radius(one, queries[some], 0.05)


@pytest.mark.parametrize("metric", ["mmdt", "manhattan"])
def test_distances_are_those_of_scikit_learn(metric, rng):
    digests, queries = clustered(rng, 200), clustered(rng, 30)
    index = MMDTIndex(metric=metric, tolerance=None).fit(digests)
    name, largest = {"mmdt": ("euclidean", 1020), "manhattan": ("manhattan", 4080)}[metric]
    theirs = NearestNeighbors(n_neighbors=6, algorithm="brute", metric=name)
    theirs.fit(digests[:, 4:].astype(float))
    distances, _ = theirs.kneighbors(queries[:, 4:].astype(float))
    np.testing.assert_allclose(
        index.kneighbors(queries, 6)[0], distances / largest, rtol=1e-7, atol=1e-9
    )


# --------------------------------------------------------------------------------------
# graph


@each_metric
@each_tolerance
def test_graph_of_nearest(metric, tolerance, rng):
    digests, queries = clustered(rng, 60), clustered(np.random.default_rng(20250117), 20)
    index = MMDTIndex(metric=metric, tolerance=tolerance, n_neighbors=4).fit(digests)
    graph = index.transform(queries)
    assert isinstance(graph, sparse.csr_array)
    assert graph.shape == (20, 60)
    distances, places = brute_neighbors(index, queries, 4)
    for row, (start, stop) in enumerate(zip(graph.indptr, graph.indptr[1:], strict=False)):
        there = places[row] >= 0
        assert graph.indices[start:stop].tolist() == places[row][there].tolist()
        assert graph.data[start:stop].tolist() == distances[row][there].tolist()


@each_metric
@each_tolerance
def test_graph_within_radius(metric, tolerance, rng):
    """Zeros are stored, and self is a neighbour."""
    digests = clustered(rng, 60)
    index = MMDTIndex(metric=metric, tolerance=tolerance, radius=0.02).fit(digests)
    graph = index.transform(digests)
    expected = brute_radius(index, digests, 0.02)
    found = [
        sorted(zip(graph.data[a:b].tolist(), graph.indices[a:b].tolist(), strict=True))
        for a, b in zip(graph.indptr, graph.indptr[1:], strict=False)
    ]
    assert found == expected
    assert all((0.0, row) in near for row, near in enumerate(expected))


@pytest.mark.parametrize("radius", [0.01, 0.05])
def test_graph_in_dbscan(radius, rng):
    """No warning either: scikit-learn warns of rows that are not sorted by distance."""
    digests = clustered(rng, 120)
    graph = MMDTIndex(tolerance=None, radius=radius).fit(digests).transform(digests)
    found = DBSCAN(eps=radius, min_samples=3, metric="precomputed").fit_predict(graph)
    direct = DBSCAN(eps=1020 * radius + 1e-6, min_samples=3).fit_predict(
        digests[:, 4:].astype(float)
    )
    np.testing.assert_array_equal(found, direct)
    assert len(set(found)) > 3


def test_graph_in_k_nearest_neighbours(rng):
    digests = clustered(rng, 150)
    labels = rng.integers(0, 3, 150)
    queries = clustered(rng, 40)
    chain = make_pipeline(
        MMDTIndex(tolerance=None, n_neighbors=5),
        KNeighborsClassifier(n_neighbors=5, metric="precomputed", weights="distance"),
    )
    proba = chain.fit(digests, labels).predict_proba(queries)
    for row, query in enumerate(queries):
        found = reference.mmdt_neighbors(query, digests, "mmdt")[:5]
        exact = [place for distance, place in found if distance == 0]
        weights = [
            (1.0 if place in exact else 0.0) if exact else 1.0 / math.sqrt(distance)
            for distance, place in found
        ]
        votes = np.zeros(3)
        for (_, place), weight in zip(found, weights, strict=True):
            votes[labels[place]] += weight
        np.testing.assert_allclose(proba[row], votes / votes.sum(), rtol=1e-12)


# --------------------------------------------------------------------------------------
# inputs


@pytest.fixture(scope="module")
def contents():
    text = b"The quick brown fox jumps over the lazy dog. " * 200
    return [text, text[::-1], text.replace(b"fox", b"cat"), bytes(range(256)) * 40, b"short"]


def test_kinds_of_inputs(contents, tmp_path):
    pd = pytest.importorskip("pandas")
    digests = mmdt_digest(contents)
    hashes = mmdt_format(digests)
    paths = [tmp_path / str(i) for i in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    names = [str(path) for path in paths]
    kinds = {
        "auto": [
            digests,
            hashes,
            [text.lower() for text in hashes],
            np.array(hashes),
            np.array(hashes, dtype=object),
            pd.Series(hashes),
            pd.DataFrame({"hash": hashes}),
            pd.DataFrame(digests),
            contents,
            paths,
            [io.BytesIO(content) for content in contents],
            [contents[0], paths[1], io.BytesIO(contents[2]), *contents[3:]],
        ],
        "digest": [digests, digests.astype(int), hashes, digests.tolist(), list(digests)],
        "content": [contents, pd.Series(contents), paths],
        "filename": [names, np.array(names), pd.Series(names), paths],
        "file": [[io.BytesIO(content) for content in contents], paths],
    }
    expected = MMDTIndex().fit(digests).kneighbors(digests)
    for input, examples in kinds.items():
        for X in examples:
            index = MMDTIndex(input=input).fit(X)
            np.testing.assert_array_equal(index.digests_, digests)
            assert index.digests_.dtype == np.uint8
            assert index.scale_ is None
            # A path is read whatever text and bytes are.
            queries = digests if input in ("auto", "digest") else paths
            for values, wanted in zip(index.kneighbors(queries), expected, strict=True):
                np.testing.assert_array_equal(values, wanted)


@pytest.mark.parametrize("place", [0, 2])
def test_hashes_among_others_are_an_error(place, contents):
    mixed = mmdt_format(mmdt_digest(contents))
    mixed[place] = "text"
    for X in (mixed, np.array(mixed, dtype=object)):
        with pytest.raises(ValueError, match="hash"):
            MMDTIndex().fit(X)
        with pytest.raises(ValueError, match="hash"):
            MMDTIndex().fit(contents).kneighbors(X)
    mixed[place] = b"bytes"
    with pytest.raises(ValueError, match="hash"):
        MMDTIndex().fit(mixed)


def test_text_that_looks_like_a_hash(contents):
    """Under "content" it is what it is: text."""
    hashes = mmdt_format(mmdt_digest(contents))
    index = MMDTIndex(input="content").fit(hashes)
    np.testing.assert_array_equal(index.digests_, mmdt_digest(hashes))


def test_rows_of_numbers(rng):
    X, queries = rng.normal(size=(30, 25)), rng.normal(size=(4, 25))
    low, high = X.min(), X.max()
    index = MMDTIndex(tolerance=None).fit(X)
    assert index.scale_ == (low, high)
    assert index.n_features_in_ == 25

    def twin(rows):
        signals = [reference.stretched(reference.signal_bytes(row, low, high)) for row in rows]
        return np.array([reference.mmdt_digest(signal) for signal in signals])

    np.testing.assert_array_equal(index.digests_, twin(X))
    expected = brute_neighbors(index, twin(queries), 5)
    for found, wanted in zip(index.kneighbors(queries), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(ValueError, match="features"):
        index.kneighbors(queries[:, :9])


def test_rows_of_20_numbers_are_signals_unless_they_are_bytes(rng):
    X = rng.integers(0, 256, (5, 20))
    assert not np.array_equal(MMDTIndex().fit(X).digests_, X)
    assert MMDTIndex().fit(X).n_features_in_ == 20
    bytes_ = X.astype(np.uint8)
    np.testing.assert_array_equal(MMDTIndex().fit(bytes_).digests_, bytes_)
    signals = [reference.mmdt_digest(reference.stretched(row.tobytes())) for row in bytes_]
    assert MMDTIndex(input="content").fit(bytes_).digests_.tolist() == signals
    # What a fit on 20 numbers has learned holds for bytes, too.
    assert MMDTIndex().fit(X.astype(float)).count_candidates(bytes_).shape == (5,)


def test_digests_that_are_none():
    for bad in (np.zeros((3, 16), np.uint8), np.full((3, 20), 256), np.zeros((2, 20, 1), int)):
        with pytest.raises(ValueError, match=r"(?i)digest"):
            MMDTIndex(input="digest").fit(bad)
    with pytest.raises(ValueError, match="hash"):
        MMDTIndex(input="digest").fit(["text"])


def test_numbers_after_a_fit_on_digests(rng):
    index = MMDTIndex().fit(clustered(rng, 5))
    with pytest.raises(ValueError, match="fitted on"):
        index.kneighbors(rng.normal(size=(2, 20)))


def test_refits_leave_nothing_behind(rng):
    pd = pytest.importorskip("pandas")
    index = MMDTIndex().fit(
        pd.DataFrame(rng.normal(size=(3, 2)), columns=["a", "b"]), names=list("xyz")
    )
    assert index.feature_names_in_.tolist() == ["a", "b"]
    for X in (clustered(rng, 4), mmdt_format(clustered(rng, 4)), ["text"] * 4):
        index.fit(X)
        assert not hasattr(index, "n_features_in_")
        assert not hasattr(index, "feature_names_in_")
        assert index.scale_ is None
        assert index.names_ is None
        assert index.n_samples_fit_ == 4
        index.fit(rng.normal(size=(3, 6)))
        assert index.n_features_in_ == 6


def test_iterators_and_open_files_are_read_once(contents):
    """`fit_transform` is `fit` and `transform`: neither may find nothing left."""
    expected = MMDTIndex(tolerance=None).fit(contents).transform(contents).toarray()
    generator = (content for content in contents)
    found = MMDTIndex(tolerance=None).fit_transform(generator)
    np.testing.assert_array_equal(found.toarray(), expected)
    files = [io.BytesIO(content) for content in contents]
    found = MMDTIndex(tolerance=None).fit_transform(files)
    np.testing.assert_array_equal(found.toarray(), expected)


def test_the_digests_are_its_own(rng):
    """What the caller does to the array afterwards changes no answer."""
    digests = clustered(rng, 20)
    index = MMDTIndex(n_neighbors=3, tolerance=None).fit(digests)
    before = index.kneighbors()
    digests[:] = 0
    for found, expected in zip(index.kneighbors(), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_no_queries(rng):
    index = MMDTIndex(n_neighbors=2).fit(clustered(rng, 5))
    none = np.empty((0, 20), np.uint8)
    try:
        found = index.kneighbors(none)
    except ValueError as error:
        # scikit-learn's words for it.
        assert "sample" in str(error) or "digest" in str(error)  # noqa: PT017
    else:
        assert [values.shape for values in found] == [(0, 2), (0, 2)]


@pytest.mark.parametrize("X", [np.empty((0, 20), np.uint8), [], np.empty((0, 5))])
def test_no_digests(X):
    with pytest.raises(ValueError, match=r"at least one|minimum of 1|Expected 2D|1 is required"):
        MMDTIndex().fit(X)


# --------------------------------------------------------------------------------------
# parameters and names


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input", "hash"),
        ("tolerance", -1),
        ("tolerance", 256),
        ("tolerance", 0.5),
        ("metric", "euclidean"),
        ("n_neighbors", 0),
        ("radius", -0.1),
        ("radius", 1.1),
        ("radius", np.nan),
    ],
)
def test_bad_parameters(name, value, rng):
    with pytest.raises(ValueError, match=name):
        MMDTIndex(**{name: value}).fit(clustered(rng, 3))


@pytest.mark.parametrize("count", [0, -1, 1.0, "3", np.nan])
def test_bad_counts(count, rng):
    with pytest.raises((TypeError, ValueError), match="n_neighbors"):
        MMDTIndex().fit(clustered(rng, 3)).kneighbors(n_neighbors=count)


@pytest.mark.parametrize("radius", [-1e-9, 1.1, np.nan, np.inf])
def test_bad_radii(radius, rng):
    with pytest.raises(ValueError, match="radius"):
        MMDTIndex().fit(clustered(rng, 3)).radius_neighbors(radius=radius)


@pytest.mark.parametrize("method", ["kneighbors", "radius_neighbors", "transform", "save"])
def test_without_a_fit(method, tmp_path):
    with pytest.raises(NotFittedError):
        getattr(MMDTIndex(), method)(tmp_path / "index.npz")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(NotFittedError):
        MMDTIndex().count_candidates(np.zeros((1, 20), np.uint8))


def test_names(rng):
    digests = clustered(rng, 3)
    assert MMDTIndex().fit(digests).names_ is None
    for names in (["b", "", "b"], ("b", "", "b"), iter(["b", "", "b"]), np.array(["b", "", "b"])):
        index = MMDTIndex().fit(digests, names=names)
        assert index.names_ == ["b", "", "b"]
        assert all(type(name) is str for name in index.names_)
    for names in ([], ["a"], ["a"] * 4):
        with pytest.raises(ValueError, match="names"):
            MMDTIndex().fit(digests, names=names)


def test_one_bare_name(rng):
    """Three letters are no three names."""
    with pytest.raises((TypeError, ValueError), match="names"):
        MMDTIndex().fit(clustered(rng, 3), names="abc")


@pytest.mark.parametrize("input", ["content", "filename", "file"])
def test_digests_are_queries_whatever_was_fitted(input, rng, tmp_path):
    contents = [rng.bytes(6000) for _ in range(5)]
    digests = mmdt_digest(contents)
    paths = [tmp_path / str(i) for i in range(5)]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    index = MMDTIndex(input=input).fit(paths)
    distances, places = index.kneighbors(digests, n_neighbors=1)
    assert places.ravel().tolist() == list(range(5))
    assert not distances.any()
    for numbers in (np.zeros((2, 21), np.uint8), np.zeros((2, 3))):
        with pytest.raises(ValueError, match="fitted on objects"):
            index.kneighbors(numbers)


def test_digests_in_a_list(rng):
    digests = clustered(rng, 12)
    index = MMDTIndex(tolerance=None).fit(list(digests))
    np.testing.assert_array_equal(index.digests_, digests)
    distances, _ = index.kneighbors([digests[7]], 1)
    assert distances[0, 0] == 0.0


def test_more_neighbors_than_there_are(rng):
    digests = clustered(rng, 4)
    distances, places = MMDTIndex(tolerance=None).fit(digests).kneighbors(digests, 7)
    assert distances.shape == places.shape == (4, 7)
    assert np.all(np.isinf(distances[:, 4:]))
    assert np.all(places[:, 4:] == -1)
    assert np.all(places[:, :4] >= 0)


def test_no_queries_in_a_list(rng):
    index = MMDTIndex(n_neighbors=2).fit(clustered(rng, 5))
    assert [values.shape for values in index.kneighbors([])] == [(0, 2), (0, 2)]
    assert index.transform([]).shape == (0, 5)
