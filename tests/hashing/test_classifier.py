"""MMDTClassifier against brute force and KNeighborsClassifier, and what it rejects."""

import math

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsClassifier

from skmmd.hashing import MMDTClassifier, mmdt_digest, mmdt_format, mmdt_similarity
from tests import reference

METRICS = ("mmdt", "manhattan", "circular")
each_metric = pytest.mark.parametrize("metric", METRICS)


def clustered(rng, n, n_groups=8):
    centres = rng.integers(0, 256, (n_groups, 20))
    digests = centres[rng.integers(0, n_groups, n)]
    digests[:, :4] += rng.integers(-1, 2, (n, 4))
    digests[:, 4:] += rng.integers(-4, 5, (n, 16))
    return np.clip(digests, 0, 255).astype(np.uint8)


@pytest.fixture
def data(rng):
    """Return digests, labels and queries, some of which are far from all."""
    digests = clustered(rng, 120)
    labels = rng.integers(0, 4, 120)
    near = digests[::4].astype(int) + rng.integers(-6, 7, (30, 20))
    queries = np.concatenate([np.clip(near, 0, 255), rng.integers(0, 256, (15, 20))])
    return digests, labels, queries.astype(np.uint8)


def brute_proba(classifier, digests, labels, queries):
    """Count the votes of the nearest by hand; a rejected query has none."""
    classes = sorted(set(labels.tolist()))
    proba = np.zeros((len(queries), len(classes)))
    tolerance = classifier.tolerance if classifier.method == "bucket" else None
    for row, query in enumerate(queries):
        found = reference.mmdt_neighbors(query, digests, classifier.metric, tolerance)
        if classifier.reject_label is None:
            found = found or reference.mmdt_neighbors(query, digests, classifier.metric)
        elif not found or (
            reference.mmdt_similarity(query, digests[found[0][1]], classifier.metric)
            < classifier.threshold
        ):
            continue
        nearest = found[: classifier.n_neighbors]
        for _, place in nearest:
            proba[row, classes.index(labels[place])] += 1 / len(nearest)
    return proba


# --------------------------------------------------------------------------------------
# votes


@each_metric
@pytest.mark.parametrize("method", ["knn", "bucket"])
@pytest.mark.parametrize("reject_label", [None, -1])
@pytest.mark.parametrize(("n_neighbors", "n_jobs"), [(1, None), (4, 2), (500, 1)])
def test_votes(metric, method, reject_label, n_neighbors, n_jobs, data):
    digests, labels, queries = data
    for tolerance, threshold in ((0, 0.97), (1, 0.99), (3, 0.0), (255, 1.0)):
        classifier = MMDTClassifier(
            metric=metric,
            method=method,
            reject_label=reject_label,
            n_neighbors=n_neighbors,
            tolerance=tolerance,
            threshold=threshold,
            n_jobs=n_jobs,
        ).fit(digests, labels)
        expected = brute_proba(classifier, digests, labels, queries)
        proba = classifier.predict_proba(queries)
        np.testing.assert_allclose(proba, expected, rtol=1e-12)
        answers = np.where(proba.any(axis=1), classifier.classes_[proba.argmax(axis=1)], -1)
        np.testing.assert_array_equal(classifier.predict(queries), answers)
        assert classifier.predict(queries).dtype == labels.dtype
        rejected = ~expected.any(axis=1)
        assert not rejected.any() or reject_label is not None
        np.testing.assert_array_equal(proba[rejected], 0.0)
        np.testing.assert_allclose(proba[~rejected].sum(axis=1), 1.0)


@pytest.mark.parametrize("n_neighbors", [1, 3, 10])
@pytest.mark.parametrize(("metric", "name"), [("mmdt", "euclidean"), ("manhattan", "manhattan")])
def test_scikit_learn_votes_alike(n_neighbors, metric, name, data):
    digests, labels, queries = data
    theirs = KNeighborsClassifier(n_neighbors, metric=name, algorithm="brute")
    theirs.fit(digests[:, 4:].astype(float), labels)
    ours = MMDTClassifier(n_neighbors=n_neighbors, metric=metric).fit(digests, labels)
    # Where the last neighbour is tied with the next, whichever may vote.
    distances = [[d for d, _ in reference.mmdt_neighbors(q, digests, metric)] for q in queries]
    clear = np.array([d[n_neighbors - 1] < d[n_neighbors] for d in distances])
    assert clear.sum() > 25
    np.testing.assert_allclose(
        ours.predict_proba(queries)[clear],
        theirs.predict_proba(queries[:, 4:].astype(float))[clear],
    )
    np.testing.assert_array_equal(
        ours.predict(queries)[clear], theirs.predict(queries[:, 4:].astype(float))[clear]
    )


def test_ties_go_to_the_first_class():
    digests = np.zeros((4, 20), np.uint8)
    classifier = MMDTClassifier(n_neighbors=4).fit(digests, ["b", "a", "b", "a"])
    assert classifier.predict(digests[:1]).tolist() == ["a"]
    assert classifier.predict_proba(digests[:1]).tolist() == [[0.5, 0.5]]
    # Of equally near ones the first are the nearest.
    assert MMDTClassifier(n_neighbors=1).fit(digests, list("baba")).predict(digests[:1]) == ["b"]


def test_an_empty_bucket():
    """With a label for the rejected, it is rejected; without, all are looked at."""
    digests = np.zeros((2, 20), np.uint8)
    digests[1] = 9
    query = np.zeros((3, 20), np.uint8)
    query[:, 0] = 5, 9, 0
    query[:, 4:] = [[9], [0], [9]]
    for n_neighbors, expected in ((1, ["b", "a", "a"]), (2, ["a", "a", "a"])):
        classifier = MMDTClassifier(method="bucket", n_neighbors=n_neighbors, tolerance=0)
        classifier.fit(digests, ["a", "b"])
        assert classifier.predict(query).tolist() == expected
    classifier.set_params(reject_label="?", threshold=0.0)
    assert classifier.predict(query).tolist() == ["?", "?", "a"]
    assert classifier.predict_proba(query).tolist() == [[0, 0], [0, 0], [1, 0]]


# --------------------------------------------------------------------------------------
# threshold


@each_metric
@pytest.mark.parametrize("method", ["knn", "bucket"])
def test_a_similarity_exactly_at_the_threshold_counts(metric, method, rng):
    stored = np.full((1, 20), 100, np.uint8)
    classifier = MMDTClassifier(metric=metric, method=method, reject_label="no")
    classifier.fit(stored, ["yes"])
    for _ in range(60):
        query = stored.copy()
        query[0, 4:] = np.clip(100 + rng.integers(-30, 31, 16) * rng.integers(0, 2), 0, 255)
        similarity = reference.mmdt_similarity(query[0], stored[0], metric)
        assert mmdt_similarity(query, stored, metric=metric) == similarity
        classifier.set_params(threshold=similarity)
        assert classifier.predict(query) == ["yes"]
        if similarity < 1.0:
            classifier.set_params(threshold=math.nextafter(similarity, 2.0))
            assert classifier.predict(query) == ["no"]


def test_a_threshold_without_a_label_rejects_none(data):
    digests, labels, queries = data
    strict = MMDTClassifier(threshold=1.0).fit(digests, labels)
    loose = MMDTClassifier(threshold=0.0).fit(digests, labels)
    np.testing.assert_array_equal(strict.predict(queries), loose.predict(queries))
    np.testing.assert_allclose(strict.predict_proba(queries).sum(axis=1), 1.0)


def test_only_the_nearest_has_to_reach_the_threshold():
    digests = np.full((3, 20), 50, np.uint8)
    digests[1:, 4:] = 250
    classifier = MMDTClassifier(n_neighbors=3, reject_label="?").fit(digests, ["a", "b", "b"])
    assert classifier.predict(digests[:1]).tolist() == ["b"]


# --------------------------------------------------------------------------------------
# labels

FAR = np.full((1, 20), 255, np.uint8)
NEAR = np.zeros((2, 20), np.uint8)
NEAR[1, 4:] = 90


def answers(labels, reject_label):
    classifier = MMDTClassifier(reject_label=reject_label).fit(NEAR, labels)
    return classifier, classifier.predict(np.concatenate([NEAR, FAR]))


@pytest.mark.parametrize(
    ("labels", "reject_label"),
    [
        (["a", "b"], "?"),
        (["a", "b"], "much longer than the others"),
        (["a", "b"], ""),
        ([1, 2], -1),
        ([1, 2], 0.5),
        ([1, 2], math.inf),
        ([1.0, 2.0], -1),
        ([2**40, 2], -(2**40)),
        ([2**62 + 1, 2**62 + 3], -1),
        (np.array(["a", "b"], dtype=object), "?"),
        (np.array(["a", "b"], dtype=object), -1),
        (np.array([200, 255], np.uint8), -1),
        (np.array([200, 255], np.uint8), 256),
        (np.array([1, 2], np.int8), 1000),
    ],
)
def test_labels_and_the_label_of_rejected(labels, reject_label):
    classifier, found = answers(labels, reject_label)
    assert found.tolist() == [*list(labels), reject_label]
    assert classifier.classes_.tolist() == sorted(labels)
    assert classifier.predict_proba(FAR).tolist() == [[0, 0]]


@pytest.mark.parametrize("reject_label", [True, False])
def test_truths_as_labels(reject_label):
    classifier, found = answers([False, True], reject_label)
    assert found.dtype == bool
    assert found.tolist() == [False, True, reject_label]
    assert classifier.classes_.dtype == bool


def test_truths_stay_truths_without_rejection():
    found = MMDTClassifier().fit(NEAR, [False, True]).predict(NEAR)
    assert found.dtype == bool
    assert found.tolist() == [False, True]


def test_nan_for_rejected():
    _, found = answers([1, 2], math.nan)
    np.testing.assert_array_equal(found, [1.0, 2.0, np.nan])


@pytest.mark.parametrize(
    ("labels", "reject_label"),
    [(["a", "b"], -1), (["a", "b"], True), ([1, 2], "?"), ([1.0, 2.0], "")],
)
def test_labels_of_different_types_clash(labels, reject_label):
    with pytest.raises(ValueError, match="reject_label"):
        MMDTClassifier(reject_label=reject_label).fit(NEAR, labels)


@pytest.mark.parametrize(("labels", "reject_label"), [([False, True], -1), ([0, 1], True)])
def test_numbers_and_truths_clash(labels, reject_label):
    """Otherwise False would come out as 0, or a rejected input as class 1."""
    with pytest.raises(ValueError, match="reject_label"):
        MMDTClassifier(reject_label=reject_label).fit(NEAR, labels)


def test_a_class_may_stand_for_the_rejected():
    """Benign files, say: what is like none of the others."""
    classifier, found = answers(["good", "bad"], "good")
    assert found.tolist() == ["good", "bad", "good"]
    assert classifier.classes_.tolist() == ["bad", "good"]


@pytest.mark.parametrize("label", ["only", 7, True])
@pytest.mark.parametrize("method", ["knn", "bucket"])
def test_a_single_class(label, method):
    classifier = MMDTClassifier(method=method).fit(NEAR, [label, label])
    assert classifier.classes_.tolist() == [label]
    assert classifier.predict(FAR).tolist() == [label]
    assert classifier.predict_proba(FAR).tolist() == [[1.0]]


@pytest.mark.parametrize("dtype", ["object", "string", "category"])
def test_labels_in_a_series(dtype):
    pd = pytest.importorskip("pandas")
    labels = pd.Series(["b", "a"], dtype=dtype, index=[5, 6])
    for reject_label in (None, "?"):
        classifier = MMDTClassifier(reject_label=reject_label).fit(NEAR, labels)
        assert classifier.predict(NEAR).tolist() == ["b", "a"]
        assert classifier.classes_.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    "y", [None, [1], [1, 2, 3], [0.5, 1.5], [[1, 0], [0, 1]], [np.nan, 1.0], [None, "a"]]
)
def test_labels_that_will_not_do(y):
    with pytest.raises((TypeError, ValueError)):
        MMDTClassifier().fit(NEAR, y)


def test_nothing_to_learn_from():
    with pytest.raises(ValueError, match=r"at least one|minimum of 1|1 is required"):
        MMDTClassifier().fit(np.empty((0, 20), np.uint8), [])


# --------------------------------------------------------------------------------------
# inputs and parameters


def test_kinds_of_inputs(tmp_path):
    text = b"The quick brown fox jumps over the lazy dog. " * 200
    contents, labels = [text, text[::-1], bytes(range(256)) * 40], ["fox", "xof", "range"]
    queries = [text.replace(b"lazy", b"tidy"), text[::-1] + b"!", contents[2][:-1] + b"!"]
    paths = [tmp_path / name for name in labels]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    digests = mmdt_digest(contents)
    for X in (contents, paths, digests, mmdt_format(digests), iter(contents)):
        classifier = MMDTClassifier(reject_label="?").fit(X, labels)
        np.testing.assert_array_equal(classifier.digests_, digests)
        for Q in (queries, mmdt_digest(queries), mmdt_format(mmdt_digest(queries))):
            assert classifier.predict(Q).tolist() == labels
    named = MMDTClassifier(input="filename").fit([str(path) for path in paths], labels)
    assert named.predict(paths).tolist() == labels
    assert named.score(paths, labels) == 1.0


def test_rows_of_numbers(rng):
    X = np.sin(np.linspace(0, 20, 300))[None] * rng.uniform(0.2, 3.0, (20, 1))
    labels = (abs(X).max(axis=1) > 1.5).astype(int)
    classifier = MMDTClassifier().fit(X[:14], labels[:14])
    assert classifier.scale_ == (X[:14].min(), X[:14].max())
    signals = [reference.stretched(reference.signal_bytes(row, *classifier.scale_)) for row in X]
    digests = np.array([reference.mmdt_digest(signal) for signal in signals])
    np.testing.assert_array_equal(classifier.digests_, digests[:14])
    expected = brute_proba(classifier, digests[:14], labels[:14], digests[14:])
    np.testing.assert_array_equal(classifier.predict_proba(X[14:]), expected)
    with pytest.raises(ValueError, match="features"):
        classifier.predict(X[:, :9])


def test_refits_leave_nothing_behind(rng):
    classifier = MMDTClassifier().fit(rng.normal(size=(3, 6)), [1, 2, 3])
    classifier.fit(NEAR, ["a", "b"])
    assert not hasattr(classifier, "n_features_in_")
    assert classifier.scale_ is None
    assert classifier.classes_.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("input", "x"),
        ("method", "nearest"),
        ("threshold", 1.1),
        ("threshold", -0.1),
        ("threshold", np.nan),
        ("n_neighbors", 0),
        ("tolerance", None),
        ("tolerance", 256),
        ("reject_label", ["?"]),
        ("reject_label", b"?"),
        ("metric", "euclidean"),
    ],
)
def test_bad_parameters(name, value):
    with pytest.raises(ValueError, match=name):
        MMDTClassifier(**{name: value}).fit(NEAR, [0, 1])


@pytest.mark.parametrize("method", ["predict", "predict_proba"])
def test_without_a_fit(method):
    with pytest.raises(NotFittedError):
        getattr(MMDTClassifier(), method)(NEAR)
