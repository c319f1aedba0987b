"""Cases at the edge: small classes, heavy weights, ties, collapse, interrupted fits, odd input."""

import copy
import re
import tracemalloc
import warnings

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.pipeline import FeatureUnion

from skmmd.metric_learning import (
    MetricLearner,
    _losses,
    _objective,
    _optimize,
    mean_average_precision_at_r,
    pair_loss,
)
from tests import reference, registry

pytestmark = pytest.mark.filterwarnings("ignore:MetricLearner stopped after")

LOSSES = (*registry.LOSSES, "nca")
each_loss = pytest.mark.parametrize("loss", LOSSES)
each_solver = pytest.mark.parametrize("solver", ["lbfgs", "adam"])
WINE, WINE_LABELS = load_wine(return_X_y=True)
IRIS, IRIS_LABELS = load_iris(return_X_y=True)


def clusters(n=60, d=4, n_classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    return rng.normal(size=(n, d)) + 1.5 * rng.normal(size=(n_classes, d))[y], y


def brief(loss="triplet", **options):
    """Return a learner of few steps, whose rounding errors do not grow."""
    few = {"max_iter": 5, "n_passes": 1, "early_stopping": False, "random_state": 0}
    return MetricLearner(loss, **{**few, **options})


def warned(run):
    """Return the categories and messages of what is warned."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run()
    return [(one.category, str(one.message)) for one in caught]


# --------------------------------------------------------------------------------------
# batches of many small classes


def batches_of(learner, X, y, monkeypatch):
    """Return for each step of Adam the classes of the rows it sees."""
    seen = []
    evaluate = _optimize.evaluate

    def watched(components, rows, *others):
        seen.append(np.repeat(learner.classes_, np.diff(rows.groups.bounds)))
        return evaluate(components, rows, *others)

    monkeypatch.setattr(_optimize, "evaluate", watched)
    learner.fit(X, y)
    return seen


@pytest.mark.parametrize("batch_size", [16, 50])
@pytest.mark.parametrize("seed", range(3))
def test_batches_keep_rows_of_a_class_together(batch_size, seed, monkeypatch):
    rng = np.random.default_rng(seed)
    sizes = np.concatenate([[1, 2, 3, 4, 5, 6, 7, 8, 9, 90], rng.integers(1, 30, size=15)])
    y = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    X = rng.normal(size=(len(y), 3))
    adam = brief("n_pair", positives="all", solver="adam", batch_size=batch_size, init=np.eye(3))
    seen = batches_of(adam.set_params(max_iter=1), X, y, monkeypatch)
    assert len(seen) >= len(y) // (4 * batch_size)
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.sort(y))
    for batch in seen:
        counts = np.bincount(batch, minlength=len(sizes))
        together = np.minimum(sizes, 4)
        assert np.all((counts == 0) | (counts >= together)), counts
        assert np.count_nonzero(counts) > 1
        assert len(batch) <= 2 * batch_size


@pytest.mark.parametrize("loss", ["triplet", "contrastive", "lifted_structure", "n_pair"])
def test_adam_comes_near_lbfgs_with_many_small_classes(loss):
    rng = np.random.default_rng(0)
    y = np.arange(3000) % 250
    centers = rng.normal(size=(250, 16))
    own = centers[y] + 0.3 * rng.normal(size=(3000, 16))
    X = np.hstack([own, 3.0 * rng.normal(size=(3000, 8))])
    options = {"positives": "all", "early_stopping": False, "random_state": 0}
    lbfgs = MetricLearner(loss, solver="lbfgs", max_iter=5, **options).fit(X, y)
    adam = MetricLearner(loss, solver="adam", learning_rate=0.03, max_iter=12, **options).fit(X, y)
    expected, found = lbfgs.score(X, y), adam.score(X, y)
    assert expected > 0.9
    assert found > expected - 0.05
    assert adam.loss_ > 0.0


@pytest.mark.parametrize("positives", ["neighbors", "all"])
@pytest.mark.parametrize("batch_size", [2, 4, 8, 16, 32])
def test_small_batches_are_learned_from(batch_size, positives):
    X, y = clusters()
    options = {"positives": positives, "solver": "adam", "early_stopping": False, "max_iter": 20}
    ours = MetricLearner(batch_size=batch_size, random_state=0, **options).fit(X, y)
    assert ours.loss_ > 0.0
    assert ours.score(X, y) > mean_average_precision_at_r(X / X.std(axis=0), y) + 0.04


def test_most_rows_of_a_large_class_are_seen_beside_a_rare_one(monkeypatch):
    """Of 150 batches of eight anchors, each can have one of the 200 rows of the rare class."""
    y = np.repeat([0, 1], [1000, 200])
    X = np.random.default_rng(0).normal(size=(1200, 3))
    anchors = []
    evaluate = _optimize.evaluate

    def watched(components, rows, problem, settings):
        anchors.append(np.count_nonzero(problem.targets.weight.sum(axis=1)))
        return evaluate(components, rows, problem, settings)

    monkeypatch.setattr(_optimize, "evaluate", watched)
    brief(solver="adam", batch_size=32, init=np.eye(3), max_iter=1).fit(X, y)
    assert sum(anchors) > 1000


@each_loss
def test_a_batch_of_one_class_moves_nothing(loss):
    X, y = clusters()
    ours = MetricLearner(loss, positives="all", random_state=0)
    ours.partial_fit(X, y, classes=[0, 1, 2])
    before = ours.components_.copy()
    ours.partial_fit(X[y == 1], y[y == 1])
    np.testing.assert_array_equal(ours.components_, before)
    ours.partial_fit(X[:1], y[:1])
    np.testing.assert_array_equal(ours.components_, before)
    ours.partial_fit(X, y)
    assert not np.array_equal(ours.components_, before)


# --------------------------------------------------------------------------------------
# weights and target neighbours


@pytest.mark.parametrize("loss", ["contrastive", "triplet", "triplet_center", "quadruplet"])
@pytest.mark.parametrize("weight", [0.01, 4.0, 10.0, 1e40])
def test_the_scale_of_weights_does_not_matter(loss, weight):
    """Of the losses that are means; others take logarithms of sums over copies."""
    X, y = WINE[::2], WINE_LABELS[::2]
    plain = brief(loss).fit(X, y)
    ours = brief(loss).fit(X, y, sample_weight=np.full(len(y), weight))
    size = np.abs(plain.components_).max()
    np.testing.assert_allclose(ours.components_, plain.components_, rtol=1e-6, atol=1e-9 * size)


def test_heavy_rows_are_learned_from():
    """Under the defaults, and with the class that is rare made as heavy as the others."""
    plain = MetricLearner(random_state=0).fit(WINE, WINE_LABELS).score(WINE, WINE_LABELS)
    heavy = MetricLearner(random_state=0).fit(WINE, WINE_LABELS, sample_weight=np.full(178, 10.0))
    assert heavy.score(WINE, WINE_LABELS) > plain - 0.02
    assert heavy.loss_ > 0.0
    kept = np.flatnonzero((WINE_LABELS > 0) | (np.arange(178) < 8))
    X, y = WINE[kept], WINE_LABELS[kept]
    balanced = MetricLearner(class_weight="balanced", random_state=0).fit(X, y)
    assert balanced.loss_ > 0.0
    found, without = (
        reference.mean_average_precision_at_r(Z[y == 0], y[y == 0], Z, y)
        for Z in (balanced.transform(X), MetricLearner(random_state=0).fit_transform(X, y))
    )
    assert found >= without


@each_loss
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_integer_weights_are_copies(loss, solver):
    X, y = clusters()
    copies = np.random.default_rng(1).integers(0, 6, size=len(y))
    index = np.random.default_rng(2).permutation(np.repeat(np.arange(len(y)), copies))
    weighted = brief(loss, solver=solver).fit(X, y, sample_weight=copies)
    repeated = brief(loss, solver=solver).fit(X[index], y[index])
    size = np.abs(weighted.components_).max()
    np.testing.assert_allclose(
        repeated.components_, weighted.components_, rtol=1e-6, atol=1e-7 * size
    )


@pytest.mark.parametrize("weight", [1.0, 0.5, 7.0])
def test_targets_are_the_nearest_other_rows(weight):
    """One step on a line: the target of each row, and with it the loss, is known."""
    X = np.array([[0.0], [1.0], [3.0], [10.0], [11.0], [14.0]])
    y = np.array([0, 0, 0, 1, 1, 1])
    ours = brief("contrastive", n_neighbors=1, init=[[0.3]], max_iter=1, margin=9.0)
    ours.fit(X, y, sample_weight=np.full(6, weight))
    z = ours.components_[0, 0] * X[:, 0]
    pairs = [(0, 1), (1, 0), (2, 1), (3, 4), (4, 3), (5, 4)]
    pull = np.mean([0.5 * (z[i] - z[j]) ** 2 for i, j in pairs])
    apart = [(i, j) for i in range(3) for j in range(3, 6)]
    push = np.mean([0.5 * max(9.0 - abs(z[i] - z[j]), 0.0) ** 2 for i, j in apart])
    assert ours.loss_ == pytest.approx(pull + push, rel=1e-9)


def test_neighbours_that_are_missing_are_counted_in_rows():
    X, y = clusters(30)
    assert not warned(lambda: brief(max_iter=200).fit(X, y, sample_weight=np.full(30, 0.01)))
    y = np.r_[np.zeros(2, dtype=int), np.ones(28, dtype=int)]
    for weight in (0.1, 1.0, 10.0):
        said = warned(lambda w=weight: brief().fit(X, y, sample_weight=np.full(30, w)))
        assert any("only 1 other" in message for _, message in said), said


# --------------------------------------------------------------------------------------
# pair_loss on grids: ties and duplicates


def assert_equals_twin(Z, y, **options):
    ours, expected = pair_loss(Z, y, **options), reference.pair_loss(Z, y, **options)
    assert ours.value == pytest.approx(expected.value, rel=1e-10, abs=1e-12)
    np.testing.assert_allclose(ours.gradient, expected.gradient, rtol=1e-9, atol=1e-10)
    assert (ours.n_terms, ours.n_active) == (expected.n_terms, expected.n_active)


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("loss", ["lifted_structure", "contrastive", "triplet"])
def test_ties_of_neighbours_go_to_the_first_row(loss, offset):
    for seed in range(100):
        rng = np.random.default_rng(seed)
        n, d = int(rng.integers(4, 12)), int(rng.integers(1, 4))
        Z = rng.integers(-2, 3, size=(n, d)).astype(float)
        y = rng.integers(0, 2, size=n)
        n_neighbors = int(rng.integers(1, 4))
        assert_equals_twin(Z + offset, y, loss=loss, positives="neighbors", n_neighbors=n_neighbors)


def test_ties_of_neighbours_in_a_known_case():
    Z = [[1, -1], [0, -2], [2, 0], [2, 1], [1, -1], [1, -2], [0, 0], [2, -2], [2, -2]]
    y = [1, 1, 1, 0, 1, 1, 1, 0, 1]
    ours = pair_loss(Z, y, loss="lifted_structure", positives="neighbors", n_neighbors=2)
    assert ours.value == pytest.approx(3.0764895205270246, rel=1e-12)


# --------------------------------------------------------------------------------------
# collapse


@pytest.mark.parametrize("scale", [None, 1.0, 3.0, 10.0])
def test_a_collapse_is_said(scale):
    """Of one feature: where the start is too long, the first step leads to 0."""
    ours = MetricLearner("triplet_center", random_state=0)
    if scale is not None:
        ours.set_params(init=[[scale]])
    said = warned(lambda: ours.fit(IRIS[:, :1], IRIS_LABELS))
    told = any(c is ConvergenceWarning and "collapsed" in message for c, message in said)
    assert told == (np.abs(ours.components_[0, 0]) < 1e-6), said
    assert told == (scale == 10.0)


@each_loss
def test_no_collapse_is_not_said(loss):
    said = warned(lambda: brief(loss, max_iter=30).fit(IRIS, IRIS_LABELS))
    assert not [message for _, message in said if "collapse" in message or "margin" in message]


NO_MARGIN = {
    "zero": 0.0,
    "negative": -1.0,
    "matrix": np.diag([1.0, 2.0, 3.0]),
    "dict": {(0, 1): 0.0, (0, 2): -1.0, (1, 2): 0.0},
}


@pytest.mark.parametrize("margin", list(NO_MARGIN.values()), ids=list(NO_MARGIN))
@pytest.mark.parametrize("loss", ["contrastive", "triplet", "triplet_center", "quadruplet"])
@each_solver
def test_no_positive_margin_is_said(loss, margin, solver):
    said = warned(lambda: brief(loss, margin=margin, solver=solver).fit(IRIS, IRIS_LABELS))
    about = [m for c, m in said if c is UserWarning and re.search(r"\bmargin\b", m)]
    assert len(about) == 1, said


@pytest.mark.parametrize(
    ("loss", "margin"),
    [
        ("contrastive", {(0, 1): 0.0, (0, 2): 0.0}),
        ("triplet", [[0.0, 0.0, 0.0], [0.0, 0.0, 0.5], [0.0, 0.0, 0.0]]),
        ("lifted_structure", 0.0),
        ("lifted_structure", -1.0),
        ("n_pair", 0.0),
        ("nca", 0.0),
    ],
)
def test_margins_that_leave_something_to_learn_are_not_warned_of(loss, margin):
    said = warned(lambda: brief(loss, margin=margin).fit(IRIS, IRIS_LABELS))
    assert not [message for _, message in said if re.search(r"\bmargin\b", message)]


@pytest.mark.parametrize("loss", ["n_pair", "nca"])
@each_solver
@pytest.mark.parametrize("positives", ["neighbors", "all"])
def test_a_margin_that_is_none_does_not_matter(loss, solver, positives):
    found = [
        brief(loss, margin=margin, solver=solver, positives=positives)
        .fit(IRIS, IRIS_LABELS)
        .components_
        for margin in (1.0, 1e-8, 1e6, -1.0, {(0, 1): 5.0})
    ]
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


# --------------------------------------------------------------------------------------
# quadruplets in ranges, memory of many classes


@pytest.mark.parametrize("most", [1, 7, 50, 333])
@pytest.mark.parametrize("content", ["normal", "grid", "weights"])
def test_quadruplets_in_ranges_equal_those_in_one(most, content, monkeypatch):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, size=40)
    Z = rng.normal(size=(40, 2))
    options = {"loss": "quadruplet", "positives": "all"}
    if content == "grid":
        Z = rng.integers(-2, 3, size=(40, 2)).astype(float)
    if content == "weights":
        options["sample_weight"] = rng.integers(0, 4, size=40) * 0.75
    expected = pair_loss(Z, y, **options)
    monkeypatch.setattr(_losses, "_MOST_PAIRS", most)
    found = pair_loss(Z, y, **options)
    assert found.value == pytest.approx(expected.value, rel=1e-12)
    assert found.n_terms == expected.n_terms
    assert found.n_active == pytest.approx(expected.n_active, rel=1e-12)
    size = np.abs(expected.gradient).max()
    np.testing.assert_allclose(found.gradient, expected.gradient, rtol=1e-12, atol=1e-12 * size)


def test_quadruplets_in_ranges_equal_their_twin(monkeypatch):
    monkeypatch.setattr(_losses, "_MOST_PAIRS", 5)
    for seed in range(10):
        rng = np.random.default_rng(seed)
        Z = rng.integers(-2, 3, size=(10, 2)).astype(float)
        assert_equals_twin(Z, rng.integers(0, 4, size=10), loss="quadruplet")


def peak_of(run):
    """Return the peak of memory in MiB."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("loss", "positives"),
    [
        ("triplet", "neighbors"),
        ("contrastive", "all"),
        ("n_pair", "all"),
        ("triplet_center", "all"),
    ],
)
def test_one_margin_is_no_matrix(loss, positives):
    y = np.arange(6000) % 3000
    Z = np.random.default_rng(0).normal(size=(6000, 2))
    few = pair_loss(Z[:60], y[:60] % 5, loss=loss, positives=positives)  # compiles
    assert few.n_terms > 0
    assert peak_of(lambda: pair_loss(Z, y, loss=loss, positives=positives)) < 30


def test_one_margin_is_no_matrix_in_a_fit():
    y = np.arange(6000) % 3000
    X = np.random.default_rng(0).normal(size=(6000, 2))
    ours = brief("contrastive", positives="all", solver="adam", max_iter=1)
    ours.fit(X[:60], y[:60] % 5)
    assert peak_of(lambda: ours.fit(X, y)) < 30


# --------------------------------------------------------------------------------------
# passes


@pytest.mark.parametrize("max_iter", [3, 5])
def test_one_pass_holds_nothing_out(max_iter):
    ours = MetricLearner(n_passes=1, solver="lbfgs", max_iter=max_iter, random_state=0)
    for early_stopping in ("auto", True):
        ours.set_params(early_stopping=early_stopping).fit(WINE, WINE_LABELS)
        assert ours.validation_score_ is None
        assert ours.n_passes_ == 1
        assert ours.n_iter_ <= max_iter
    without = clone(ours).set_params(early_stopping=False).fit(WINE, WINE_LABELS)
    np.testing.assert_array_equal(ours.components_, without.components_)


@each_solver
@pytest.mark.parametrize("n_passes", [1, 2, 3, 10])
def test_passes_are_the_most_there_are(n_passes, solver):
    ours = MetricLearner(n_passes=n_passes, solver=solver, max_iter=12, random_state=0)
    ours.fit(WINE, WINE_LABELS)
    assert 1 <= ours.n_passes_ <= n_passes


# --------------------------------------------------------------------------------------
# odd input


def unordered_labels():
    yield "numbers and strings", np.array([1, "a"] * 30, dtype=object)
    yield "None", np.array(["a", None] * 30, dtype=object)
    yield "NaN", np.array(["a", np.nan] * 30, dtype=object)
    yield "only None", np.array([None] * 60, dtype=object)


def assert_labels_are_named(y):
    X, codes = clusters()
    fitted = MetricLearner("contrastive", max_iter=2, random_state=0).fit(X, codes)
    calls = [
        lambda: pair_loss(X, y, loss="triplet"),
        lambda: MetricLearner().fit(X, y),
        lambda: MetricLearner().partial_fit(X, y),
        lambda: fitted.partial_fit(X, y),
        lambda: fitted.score(X, y),
    ]
    for call in calls:
        with pytest.raises((TypeError, ValueError), match=r"\by\b"):
            call()


@pytest.mark.parametrize(
    "y", [y for _, y in unordered_labels()], ids=[name for name, _ in unordered_labels()]
)
def test_labels_without_an_order_are_named(y):
    assert_labels_are_named(y)


@pytest.mark.parametrize("dtype", ["string", "category", "Int64"])
def test_missing_labels_of_pandas_are_named(dtype):
    pandas = pytest.importorskip("pandas")
    values = [1, None] if dtype == "Int64" else ["a", None]
    assert_labels_are_named(pandas.Series(values * 30, dtype=dtype))


def test_a_start_with_more_rows_than_features_is_named():
    with pytest.raises(
        ValueError, match=r"init.*6 .*number of features, 4|6 .*4 features"
    ) as caught:
        MetricLearner(init=np.ones((6, 4))).fit(*clusters())
    assert "n_components" in str(caught.value)


def test_a_margin_may_be_an_array_without_axes():
    X, y = clusters()
    for loss in ("triplet", "contrastive"):
        ours, expected = (pair_loss(X, y, loss=loss, margin=m) for m in (np.array(2.0), 2.0))
        assert ours.value == expected.value
        np.testing.assert_array_equal(ours.gradient, expected.gradient)
        ours, expected = (brief(loss, margin=m).fit(X, y) for m in (np.array(2.0), 2.0))
        np.testing.assert_array_equal(ours.components_, expected.components_)


@pytest.mark.parametrize("margin", [True, False, np.True_])
def test_a_margin_is_not_a_truth(margin):
    X, y = clusters()
    for call in (
        lambda: pair_loss(X, y, loss="triplet", margin=margin),
        lambda: brief(margin=margin).fit(X, y),
        lambda: brief(margin=margin).partial_fit(X, y),
    ):
        with pytest.raises((TypeError, ValueError), match=r"\bmargin\b"):
            call()


# --------------------------------------------------------------------------------------
# callbacks and interrupts


class Enough(Exception):
    pass


def raising(error):
    def callback(components, n_iter):
        if n_iter == 2:
            raise error

    return callback


def state_of(learner):
    return joblib.hash({name: each for name, each in vars(learner).items() if name != "callback"})


@each_solver
def test_a_callback_that_stops_iteration_is_an_error(solver):
    X, y = clusters()
    ours = brief(solver=solver).fit(X, y)
    ours.set_params(callback=raising(StopIteration("enough")))
    before, components = dict(vars(ours)), ours.components_.copy()
    with pytest.raises(RuntimeError, match="callback"):
        ours.fit(X[:40], y[:40])
    assert vars(ours).keys() == before.keys()
    assert all(vars(ours)[name] is before[name] for name in before)
    np.testing.assert_array_equal(ours.components_, components)


@each_solver
@pytest.mark.parametrize("error", [Enough, RuntimeError, KeyboardInterrupt, StopAsyncIteration])
def test_what_else_a_callback_raises_passes_through(solver, error):
    thrown = error("enough")
    with pytest.raises(error) as caught:
        brief(solver=solver, callback=raising(thrown)).fit(*clusters())
    assert caught.value is thrown


def test_partial_fit_calls_back():
    X, y = clusters()
    seen = []
    ours = MetricLearner(
        random_state=0, callback=lambda components, n_iter: seen.append((components.copy(), n_iter))
    )
    for step in range(1, 4):
        ours.partial_fit(X, y)
        assert [n_iter for _, n_iter in seen] == list(range(1, step + 1))
        np.testing.assert_allclose(seen[-1][0], ours.components_, rtol=1e-12)
    plain = MetricLearner(random_state=0)
    for _ in range(3):
        plain.partial_fit(X, y)
    np.testing.assert_array_equal(ours.components_, plain.components_)


def test_a_callback_that_stops_iteration_in_a_batch_is_an_error():
    X, y = clusters()
    ours = MetricLearner(random_state=0).partial_fit(X, y)
    ours.set_params(callback=raising(StopIteration("enough")))
    state = state_of(ours)
    with pytest.raises(RuntimeError, match="callback"):
        ours.partial_fit(X, y)
    assert state_of(ours) == state


def interrupted(monkeypatch, call, n_calls):
    """Interrupt at the n-th evaluation of the objective."""
    total_of = _objective.total_of
    left = [n_calls]

    def once_more(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        return total_of(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(_objective, "total_of", once_more)
        with pytest.raises(KeyboardInterrupt):
            call()


@each_solver
@pytest.mark.parametrize("n_calls", [1, 4])
def test_an_interrupted_fit_leaves_the_state(solver, n_calls, monkeypatch):
    X, y = clusters()
    ours = brief(solver=solver, batch_size=16).fit(X, y)
    state = state_of(ours)
    interrupted(monkeypatch, lambda: ours.fit(X[:40, :3], y[:40]), n_calls)
    assert state_of(ours) == state
    fresh = clone(ours)
    interrupted(monkeypatch, lambda: fresh.fit(X[:40, :3], y[:40]), n_calls)
    with pytest.raises(NotFittedError):
        fresh.transform(X)
    np.testing.assert_array_equal(fresh.fit(X, y).components_, ours.components_)


@pytest.mark.parametrize("positives", ["all", "neighbors"])
def test_an_interrupted_batch_leaves_the_state(positives, monkeypatch):
    X, y = clusters()
    ours = MetricLearner(positives=positives, batch_size=32, random_state=0)
    interrupted(monkeypatch, lambda: ours.partial_fit(X[:, :3], y), 10)
    with pytest.raises(NotFittedError):
        ours.transform(X)
    ours.partial_fit(X, y).partial_fit(X, y)
    twin = copy.deepcopy(ours)
    state = state_of(ours)
    interrupted(monkeypatch, lambda: ours.partial_fit(X[::-1] + 1.0, y[::-1]), 2)
    assert state_of(ours) == state
    for _ in range(2):
        ours.partial_fit(X, y)
        twin.partial_fit(X, y)
    np.testing.assert_array_equal(ours.components_, twin.components_)
    assert ours.loss_curve_ == twin.loss_curve_


# --------------------------------------------------------------------------------------
# batches that do not fit


@pytest.mark.parametrize(
    "classes",
    [[0.0, 1.0, np.nan], [0.0, 1.0, np.inf], [[0, 1, 2]], [[0], [1], [2]], [0, 1, None], 2],
    ids=str,
)
def test_bad_classes_are_named(classes):
    X, y = clusters()
    ours = MetricLearner()
    with pytest.raises((TypeError, ValueError), match=r"\bclasses\b"):
        ours.partial_fit(X, y, classes=classes)
    assert not hasattr(ours, "components_")
    ours.partial_fit(X, y, classes=[2, 0, 1, 1]).partial_fit(X, y, classes=(0, 1, 2))
    with pytest.raises((TypeError, ValueError), match=r"\bclasses\b"):
        ours.partial_fit(X, y, classes=classes)


@pytest.mark.parametrize(("first", "then"), [(None, 2), (2, 3), (3, None)])
def test_other_components_between_batches_are_an_error(first, then):
    X, y = clusters()
    ours = MetricLearner(n_components=first, random_state=0).partial_fit(X, y)
    shape = ours.components_.shape
    with pytest.raises(ValueError, match="n_components"):
        ours.set_params(n_components=then).partial_fit(X, y)
    assert ours.components_.shape == shape
    ours.set_params(n_components=shape[0]).partial_fit(X, y)
    assert ours.components_.shape == shape


def test_a_first_batch_of_one_row_is_an_error():
    X, y = clusters()
    ours = MetricLearner()
    with pytest.raises(ValueError, match=r"(?i)row|sample"):
        ours.partial_fit(X[:1], y[:1], classes=[0, 1, 2])
    assert not hasattr(ours, "components_")


# --------------------------------------------------------------------------------------
# objects


def test_results_compare_by_identity():
    X, y = clusters()
    one, other = (pair_loss(X, y, loss="triplet") for _ in range(2))
    assert one == one
    assert one != other
    assert len({one, other, one}) == 2


def test_clones_and_copies():
    X, y = clusters()
    margin = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 0.5], [2.0, 0.5, 0.0]])
    ours = brief(margin=margin, init=np.eye(2, 4), class_weight={0: 2.0}).fit(X, y)
    again = clone(ours)
    assert not hasattr(again, "components_")
    np.testing.assert_array_equal(again.margin, margin)
    np.testing.assert_array_equal(again.fit(X, y).components_, ours.components_)
    deep = copy.deepcopy(ours)
    assert not np.shares_memory(deep.components_, ours.components_)
    expected = ours.transform(X)
    ours.components_[...] = 0.0
    np.testing.assert_array_equal(deep.transform(X), expected)
    batches = MetricLearner(random_state=0).partial_fit(X, y)
    twin = copy.deepcopy(batches)
    batches.partial_fit(X, y)
    kept = batches.components_.copy()
    twin.partial_fit(X[::-1], y[::-1]).partial_fit(X, y)
    np.testing.assert_array_equal(batches.components_, kept)
    assert (batches.n_iter_, twin.n_iter_) == (2, 3)


def test_in_unions_and_column_transformers():
    X, y = clusters()
    one, other = brief("contrastive", n_components=2), brief("n_pair", n_components=1)
    expected = np.hstack([clone(one).fit_transform(X, y), clone(other).fit_transform(X, y)])
    union = FeatureUnion([("near", one), ("far", other)])
    np.testing.assert_array_equal(union.fit_transform(X, y), expected)
    assert union.get_feature_names_out().tolist() == [
        "near__metriclearner0",
        "near__metriclearner1",
        "far__metriclearner0",
    ]
    columns = ColumnTransformer([("near", one, [0, 1, 2]), ("far", other, [1, 3])])
    found = columns.fit(X, y).transform(X)
    np.testing.assert_array_equal(found[:, :2], clone(one).fit_transform(X[:, :3], y))
    np.testing.assert_array_equal(found[:, 2:], clone(other).fit_transform(X[:, [1, 3]], y))


# --------------------------------------------------------------------------------------
# rows that cannot be held out, and starts that nothing is known of


def test_classes_too_small_to_be_split_are_not_held_out():
    """Without rows that choose the pass, twenty of them would only overfit."""
    X = np.random.default_rng(0).normal(size=(30, 3))
    y = np.arange(30) % 10
    options = {"n_neighbors": 2, "max_iter": 4, "tol": 0.1, "random_state": 0}
    ours = MetricLearner(early_stopping=True, **options).fit(X, y)
    plain = MetricLearner(early_stopping=False, **options).fit(X, y)
    assert ours.validation_score_ is None
    assert ours.n_passes_ == plain.n_passes_
    np.testing.assert_array_equal(ours.components_, plain.components_)


@pytest.mark.parametrize("loss", ["contrastive", "triplet"])
def test_a_first_batch_of_one_class_has_no_say_in_the_scale(loss):
    """All rows of one class are least apart where they are one point."""
    X, y = clusters()
    ours = MetricLearner(loss, random_state=0).partial_fit(X[y == 0], y[y == 0], classes=[0, 1, 2])
    Z = ours.transform(X[y == 0])
    D = np.sum((Z[:, None] - Z) ** 2, axis=2)
    np.fill_diagonal(D, np.inf)
    # The start: target neighbours at the margin, 1, in the mean of their squared distances.
    assert np.sort(D, axis=1)[:, :3].mean() == pytest.approx(1.0, rel=1e-9)
