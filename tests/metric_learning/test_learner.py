"""The estimator from outside: what a fit gives, on which data, and what does not change it."""

import warnings

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import minimize_scalar
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris, load_wine
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmmd.datasets import make_scaled_classification
from skmmd.metric_learning import MetricLearner, mean_average_precision_at_r
from tests import reference
from tests.registry import LOSSES

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

each_loss = pytest.mark.parametrize("loss", LOSSES)
each_solver = pytest.mark.parametrize("solver", ["lbfgs", "adam"])
WINE, WINE_LABELS = load_wine(return_X_y=True)
IRIS, IRIS_LABELS = load_iris(return_X_y=True)


def clusters(n=60, d=4, n_classes=3, seed=0, spread=1.5):
    """Return rows on a grid of powers of two, so that shifts and scales of those round nothing."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    X = rng.normal(size=(n, d)) + spread * rng.normal(size=(n_classes, d))[y]
    return np.round(X * 2.0**16) / 2.0**16, y


def learner(loss="contrastive", **options):
    return MetricLearner(loss, **{"random_state": 0, "max_iter": 30, **options})


def brief(loss="contrastive", **options):
    """Return a learner whose few steps do not blow up rounding: no selection, five iterations."""
    return learner(loss, **{"max_iter": 5, "n_passes": 1, "early_stopping": False, **options})


# --------------------------------------------------------------------------------------
# the optimum

LINE, LINE_LABELS = np.array([[0.0], [0.8], [1.0], [1.8]]), ["a", "a", "b", "b"]
EXACT = {
    "positives": "all",
    "early_stopping": False,
    "solver": "lbfgs",
    "tol": 1e-12,
    "max_iter": 1000,
    "random_state": 0,
}


@pytest.mark.parametrize("init", ["auto", "identity", "pca", "lda", "random", np.array([[3.0]])])
def test_contrastive_finds_the_closed_form(init):
    """Of .32 l^2 + (2 (1 - l)^2 + (1 - 1.8 l)^2 + (1 - .2 l)^2)/8: l = 25/49, loss 12/49."""
    ours = MetricLearner("contrastive", init=init, **EXACT).fit(LINE, LINE_LABELS)
    assert abs(ours.components_[0, 0]) == pytest.approx(25 / 49, rel=1e-6)
    assert ours.loss_ == pytest.approx(12 / 49, rel=1e-10)
    assert ours.converged_


def test_contrastive_by_steps_of_adam_comes_close():
    ours = MetricLearner(
        "contrastive",
        positives="all",
        solver="adam",
        early_stopping=False,
        max_iter=500,
        batch_size=4,
        learning_rate=0.05,
        tol=1e-9,
        random_state=0,
    ).fit(LINE, LINE_LABELS)
    assert abs(ours.components_[0, 0]) == pytest.approx(25 / 49, rel=0.02)


@pytest.mark.parametrize("weights", [[1, 1, 1, 1], [2, 1, 1, 3], [0.5, 0.25, 1.5, 1.0]])
def test_weighted_contrastive_finds_the_optimum_on_a_line(weights):
    expected = minimize_scalar(
        lambda scale: (
            reference.pair_loss(
                LINE * scale, LINE_LABELS, loss="contrastive", sample_weight=weights
            ).value
        ),
        bounds=(0.1, 2.0),
        method="bounded",
        options={"xatol": 1e-10},
    )
    ours = MetricLearner("contrastive", **EXACT).fit(LINE, LINE_LABELS, sample_weight=weights)
    assert abs(ours.components_[0, 0]) == pytest.approx(expected.x, rel=1e-5)
    assert ours.loss_ == pytest.approx(expected.fun, rel=1e-9)


def test_an_l2_penalty_shrinks():
    """With alpha * mean |z|^2 of centred rows, the quadratic of the closed form gains a term."""
    alpha = 0.3
    spread = np.mean((LINE - LINE.mean()) ** 2)
    ours = MetricLearner("contrastive", alpha=alpha, **EXACT).fit(LINE, LINE_LABELS)
    assert abs(ours.components_[0, 0]) == pytest.approx(1 / (1.96 + 2 * alpha * spread), rel=1e-5)


@pytest.mark.parametrize("loss", ["contrastive", "lifted_structure"])
def test_no_small_step_from_the_optimum_is_better(loss):
    X, y = clusters(24, 2)
    ours = MetricLearner(loss, **EXACT).fit(X, y)
    value = reference.pair_loss(ours.transform(X), y, loss=loss).value
    assert ours.loss_ == pytest.approx(value, rel=1e-9)
    rng = np.random.default_rng(0)
    for _ in range(20):
        step = 1e-2 * np.abs(ours.components_).max() * rng.normal(size=ours.components_.shape)
        other = reference.pair_loss(X @ (ours.components_ + step).T, y, loss=loss).value
        assert other > value - 1e-8 * value


@each_loss
def test_the_loss_curve_goes_down_to_the_loss(loss):
    X, y = clusters()
    ours = learner(loss, positives="all", early_stopping=False, solver="lbfgs").fit(X, y)
    curve = np.asarray(ours.loss_curve_)
    assert len(curve) >= 2
    assert np.all(np.diff(curve) <= 1e-12 * np.abs(curve[0]))
    assert ours.loss_ == pytest.approx(curve[-1], rel=1e-12)
    assert ours.n_iter_ <= 30


# --------------------------------------------------------------------------------------
# attributes and methods


@each_loss
def test_attributes(loss):
    X, y = clusters(d=5)
    names = np.array(["wolf", "cat", "dog"])[y]
    ours = learner(loss, n_components=2).fit(X, names)
    assert ours.components_.shape == (2, 5)
    assert ours.classes_.tolist() == ["cat", "dog", "wolf"]
    assert ours.n_features_in_ == 5
    assert ours.n_iter_ >= 1
    assert ours.n_passes_ >= 1
    assert isinstance(ours.converged_, (bool, np.bool_))
    assert np.isfinite(ours.loss_)
    assert ours.get_feature_names_out().tolist() == ["metriclearner0", "metriclearner1"]
    np.testing.assert_allclose(ours.transform(X), X @ ours.components_.T, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(
        clone(ours).fit_transform(X, names), ours.transform(X), rtol=1e-12, atol=1e-13
    )
    assert ours.score(X, names) == pytest.approx(
        mean_average_precision_at_r(ours.transform(X), names), rel=1e-12
    )


@each_loss
def test_normalised_embeddings_are_unit_rows(loss):
    X, y = clusters()
    ours = learner(loss, normalize=True).fit(X + 5.0, y)
    Z = (X + 5.0 - ours.mean_) @ ours.components_.T
    np.testing.assert_allclose(
        ours.transform(X + 5.0), Z / np.linalg.norm(Z, axis=1, keepdims=True), atol=1e-10
    )
    np.testing.assert_allclose(ours.mean_, (X + 5.0).mean(axis=0), rtol=1e-10)


@pytest.mark.parametrize("normalize", [False, True])
def test_distances_agree(normalize):
    X, y = clusters(d=5)
    ours = learner(n_components=3, normalize=normalize).fit(X, y)
    pairs = np.stack([X[:20], X[20:40]], axis=1)
    Z = ours.transform(X)
    expected = np.sqrt(((Z[:20] - Z[20:40]) ** 2).sum(axis=1))
    np.testing.assert_allclose(ours.pair_distance(pairs), expected, rtol=1e-10)
    np.testing.assert_allclose(ours.pair_score(pairs), -expected, rtol=1e-10)
    metric = ours.get_metric()
    np.testing.assert_allclose([metric(u, v) for u, v in pairs], expected, rtol=1e-10)
    assert metric(X[0], X[0]) == 0.0
    M = ours.get_mahalanobis_matrix()
    np.testing.assert_allclose(M, ours.components_.T @ ours.components_, rtol=1e-12)
    np.testing.assert_array_equal(M, M.T)
    assert np.linalg.eigvalsh(M).min() >= -1e-12 * np.abs(M).max()
    if not normalize:
        difference = pairs[:, 0] - pairs[:, 1]
        squared = np.einsum("ij,jk,ik->i", difference, M, difference)
        np.testing.assert_allclose(squared, expected**2, rtol=1e-9)
        near = KNeighborsClassifier(3, metric=metric, algorithm="brute").fit(X[:40], y[:40])
        fast = KNeighborsClassifier(3).fit(Z[:40], y[:40])
        np.testing.assert_array_equal(near.predict(X[40:]), fast.predict(Z[40:]))


def test_the_metric_outlives_the_learner():
    X, y = clusters()
    ours = learner().fit(X, y)
    metric, before = ours.get_metric(), ours.pair_distance([[X[0], X[1]]])[0]
    ours.fit(X[:, ::-1] * 3, y)
    assert metric(X[0], X[1]) == pytest.approx(before, rel=1e-12)


# --------------------------------------------------------------------------------------
# what does not change the map


@each_loss
@pytest.mark.parametrize("offset", [1e3, 2.0**20])
def test_an_offset_does_not_matter(loss, offset):
    X, y = clusters()
    plain, moved = brief(loss).fit(X, y), brief(loss).fit(X + offset, y)
    np.testing.assert_allclose(
        moved.components_,
        plain.components_,
        rtol=0,
        atol=1e-6 * np.abs(plain.components_).max(),
    )
    assert moved.loss_ == pytest.approx(plain.loss_, rel=1e-6)


@each_loss
def test_scales_of_features_do_not_matter(loss):
    """2^27 is about 1e8: the map is the same in other units, to the bit."""
    X, y = clusters()
    units = 2.0 ** np.array([27, -27, 0, 3])
    plain, scaled = brief(loss).fit(X, y), brief(loss).fit(X * units, y)
    np.testing.assert_allclose(scaled.components_ * units, plain.components_, rtol=1e-9)
    for unit in (1e-8, 1e8):
        other = brief(loss).fit(X * unit, y)
        assert other.score(X * unit, y) == pytest.approx(plain.score(X, y), abs=1e-3)
        np.testing.assert_allclose(
            other.transform(X * unit), plain.transform(X), atol=1e-4 * np.abs(X).max()
        )


@each_loss
def test_the_order_of_rows_does_not_matter(loss):
    X, y = clusters()
    order = np.random.default_rng(1).permutation(len(y))
    plain, mixed = brief(loss).fit(X, y), brief(loss).fit(X[order], y[order])
    np.testing.assert_allclose(
        mixed.components_, plain.components_, atol=1e-6 * np.abs(plain.components_).max()
    )


@each_loss
def test_names_of_classes_do_not_matter(loss):
    X, y = clusters()
    plain = brief(loss).fit(X, y)
    for labels in (y.astype(float) + 1, np.array(["a", "b", "c"])[y], y.tolist(), y * 5 - 3):
        ours = brief(loss).fit(X, labels)
        np.testing.assert_array_equal(ours.components_, plain.components_)


@each_loss
@each_solver
def test_threads_do_not_matter(loss, solver):
    X, y = clusters(300, 6)
    one, two, again = (
        learner(loss, solver=solver, max_iter=5, n_jobs=n_jobs, batch_size=64).fit(X, y)
        for n_jobs in (1, 2, 1)
    )
    np.testing.assert_array_equal(one.components_, two.components_)
    np.testing.assert_array_equal(one.components_, again.components_)
    assert one.loss_curve_ == two.loss_curve_ or np.array_equal(one.loss_curve_, two.loss_curve_)


@each_loss
@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_array, sparse.coo_matrix])
def test_sparse_equals_dense(loss, form):
    X, y = clusters(60, 8)
    X[np.random.default_rng(0).uniform(size=X.shape) < 0.6] = 0
    dense, ours = brief(loss).fit(X, y), brief(loss).fit(form(X), y)
    size = np.abs(dense.components_).max()
    np.testing.assert_allclose(ours.components_, dense.components_, rtol=0, atol=1e-5 * size)
    np.testing.assert_allclose(ours.transform(form(X)), ours.transform(X), atol=1e-10 * size)
    assert isinstance(ours.transform(form(X)), np.ndarray)


@pytest.mark.parametrize("init", ["auto", "pca", "lda"])
@pytest.mark.parametrize("unit", [1.0, 2.0**-14])
def test_sparse_rows_far_from_the_origin(init, unit):
    """However far the mean is above the deviation, no negative variance is left behind."""
    X, y = clusters(60, 4)
    X = X * unit + 2.0**20
    dense, ours = (
        brief(init=init, n_components=2).fit(rows, y) for rows in (X, sparse.csr_array(X))
    )
    assert np.isfinite(ours.components_).all()
    if unit == 1.0:
        assert ours.score(X, y) == pytest.approx(dense.score(X, y), abs=0.02)


def test_balanced_weights_of_a_class_without_weight():
    """A class whose rows all have weight 0 is gone, and nothing is divided by its weight."""
    X, y = clusters(40)
    ours = brief(class_weight="balanced").fit(X, y, sample_weight=(y != 1).astype(float))
    X[y == 1] += 100.0
    again = brief(class_weight="balanced").fit(X, y, sample_weight=(y != 1).astype(float))
    assert np.isfinite(ours.components_).all()
    np.testing.assert_array_equal(again.components_, ours.components_)


@each_loss
def test_integer_weights_are_copies(loss):
    X, y = clusters(40)
    weights = np.random.default_rng(2).integers(0, 4, size=40)
    index = np.repeat(np.arange(40), weights)
    for early_stopping in (False, True):
        ours, copies = (brief(loss, early_stopping=early_stopping) for _ in range(2))
        ours.fit(X, y, sample_weight=weights)
        copies.fit(X[index], y[index])
        size = np.abs(copies.components_).max()
        np.testing.assert_allclose(ours.components_, copies.components_, atol=1e-6 * size)


@each_loss
def test_class_weights_are_weights_of_rows(loss):
    X, y = clusters(40)
    weights = np.array([2.0, 1.0, 3.0])[y]
    expected = brief(loss).fit(X, y, sample_weight=weights)
    ours = brief(loss, class_weight={0: 2.0, 1: 1.0, 2: 3.0}).fit(X, y)
    np.testing.assert_allclose(ours.components_, expected.components_, rtol=1e-9)
    both = brief(loss, class_weight={0: 2.0, 2: 3.0}).fit(X, y, sample_weight=1.0 + (y == 1))
    again = brief(loss).fit(X, y, sample_weight=np.array([2.0, 2.0, 3.0])[y])
    np.testing.assert_allclose(both.components_, again.components_, rtol=1e-9)
    uneven = y != 2
    uneven[:12] = True
    balanced = brief(loss, class_weight="balanced").fit(X[uneven], y[uneven])
    counts = np.bincount(y[uneven])
    rows = (uneven.sum() / (3 * counts))[y[uneven]]
    np.testing.assert_allclose(
        balanced.components_,
        brief(loss).fit(X[uneven], y[uneven], sample_weight=rows).components_,
        rtol=1e-9,
    )


@each_loss
def test_single_precision(loss):
    X, y = clusters()
    double, single = brief(loss).fit(X, y), brief(loss).fit(X.astype(np.float32), y)
    assert single.transform(X.astype(np.float32)).dtype == np.float32
    assert double.transform(X).dtype == np.float64
    assert single.score(X.astype(np.float32), y) == pytest.approx(double.score(X, y), abs=0.02)


def test_inputs_and_parameters_are_left_as_they_are():
    X, y = clusters()
    weights, margin, init = np.ones(60), np.full((3, 3), 1.0), np.eye(4)
    arrays = [X, y, weights, margin, init]
    before = [a.copy() for a in arrays]
    for array in arrays:
        array.flags.writeable = False
    ours = learner("triplet", margin=margin, init=init).fit(X, y, sample_weight=weights)
    ours.transform(X)
    for array, kept in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, kept)
    assert ours.margin is margin
    assert ours.init is init


# --------------------------------------------------------------------------------------
# awkward data


@each_loss
def test_constant_and_collinear_features(loss):
    X, y = clusters()
    plain = learner(loss, early_stopping=False).fit(X, y)
    wide = np.hstack([X, np.full((60, 1), 7.0), X[:, :1], X @ np.ones((4, 1)), np.zeros((60, 1))])
    for n_components in (None, 3):
        ours = learner(loss, n_components=n_components, early_stopping=False).fit(wide, y)
        assert np.isfinite(ours.components_).all()
        assert ours.score(wide, y) >= plain.score(X, y) - 0.05


@each_loss
def test_fewer_rows_than_features(loss):
    X, y = clusters(15, 40, spread=0.2)
    ours = learner(loss, n_neighbors=2).fit(X, y)
    assert ours.components_.shape == (40, 40)
    assert np.isfinite(ours.components_).all()
    assert ours.score(X, y) > mean_average_precision_at_r(X, y)


@each_loss
def test_very_unequal_classes(loss):
    rng = np.random.default_rng(4)
    X = np.vstack([rng.normal(size=(1000, 3)), rng.normal(size=(3, 3)) * 0.3 + [0, 0, 6.0]])
    y = np.repeat([0, 1], [1000, 3])
    quick = {"max_iter": 10, "n_neighbors": 2, "positives": "neighbors"}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*quadruplet")  # two classes have none
        ours = learner(loss, **quick).fit(X, y)
    assert np.isfinite(ours.components_).all()
    Z = ours.transform(X)
    small = np.linalg.norm(Z[1000:] - Z[1000:].mean(axis=0), axis=1).max()
    assert small < np.linalg.norm(Z[:1000] - Z[1000:].mean(axis=0), axis=1).min()


@each_loss
def test_lone_rows_are_kept_as_negatives(loss):
    X, y = clusters()
    y = np.append(y, 9)
    X = np.vstack([X, X[y[:-1] == 0].mean(axis=0) + 0.5])
    ours = learner(loss, early_stopping=False).fit(X, y)
    assert np.isfinite(ours.components_).all()
    assert 9 in ours.classes_


@each_loss
def test_duplicates(loss):
    X, y = clusters(30, spread=4.0)
    X = np.vstack([X, X, X[:3]])
    y = np.concatenate([y, y, (y[:3] + 1) % 3])  # the last ones in another class
    ours = learner(loss, positives="all").fit(X, y)
    assert np.isfinite(ours.components_).all()
    plain = mean_average_precision_at_r(StandardScaler().fit_transform(X), y)
    assert ours.score(X, y) > plain - 0.05


@each_loss
def test_all_rows_equal(loss):
    """Nothing can be learned, and nothing is divided by."""
    ours = learner(loss, early_stopping=False).fit(np.full((12, 3), 0.1), np.arange(12) % 3)
    assert np.isfinite(ours.components_).all()


@each_loss
def test_nothing_collapses_or_diverges(loss):
    """On two clusters a class, with noise columns; what is learned beats the plain rows."""
    X, y, X_test, y_test = make_scaled_classification(400, 16, 4, n_test=300, random_state=5)
    scaler = StandardScaler().fit(X)
    ours = learner(loss, max_iter=50).fit(X, y)
    Z, Z_test = ours.transform(X), ours.transform(X_test)
    assert np.isfinite(ours.components_).all()
    centred = Z - Z.mean(axis=0)
    assert 1e-2 < np.sqrt((centred**2).sum(axis=1).mean()) < 1e3
    between = np.linalg.norm([Z[y == c].mean(axis=0) - Z.mean(axis=0) for c in range(4)], axis=1)
    assert between.min() > 1e-3 * np.sqrt((centred**2).sum(axis=1).mean())
    plain = scaler.transform(X), scaler.transform(X_test)
    value, before = (
        mean_average_precision_at_r(a, y_test, Z_reference=b, y_reference=y)
        for a, b in ((Z_test, Z), (plain[1], plain[0]))
    )
    assert value > before


@each_loss
@pytest.mark.parametrize("name", ["iris", "wine"])
def test_classes_lie_closer_than_in_standardised_rows(loss, name):
    X, y = {"iris": (IRIS, IRIS_LABELS), "wine": (WINE, WINE_LABELS)}[name]
    model = learner(loss, positives="all", max_iter=50)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    value = cross_val_score(model, X, y, cv=folds).mean()
    assert value > cross_val_score(Scaled(), X, y, cv=folds).mean() + 0.03


class Scaled(StandardScaler):
    """Standardised rows with the score of an embedding."""

    def score(self, X, y):
        return mean_average_precision_at_r(self.transform(X), y)


# --------------------------------------------------------------------------------------
# margins of pairs of classes


@pytest.mark.parametrize("labels", [["cat", "dog", "wolf"]], ids=["animals"])
def test_margins_of_pairs_keep_the_dog_near_the_wolf(labels):
    """One margin for all pushes the wolf as far from the dog as from the cat."""
    rng = np.random.default_rng(6)
    codes = np.arange(90) % 3
    X = rng.normal(size=(90, 4)) * 0.15 + 2.0 * np.eye(4)[codes]
    y = np.array(labels)[codes]

    def gaps(margin):
        ours = learner(margin=margin, positives="all", max_iter=200, early_stopping=False)
        Z = ours.fit(X, y).transform(X)
        cat, dog, wolf = (Z[y == name].mean(axis=0) for name in labels)
        return np.linalg.norm([dog - wolf, cat - dog, cat - wolf], axis=1)

    same = gaps(2.0)
    np.testing.assert_allclose(same, same.mean(), rtol=0.15)
    named = gaps({("cat", "dog"): 2.0, ("cat", "wolf"): 2.0, ("dog", "wolf"): 0.6})
    assert named[0] == pytest.approx(0.6, abs=0.2)
    assert named[1:].min() > 1.6
    matrix = gaps(np.array([[0, 2.0, 2.0], [2.0, 0, 0.6], [2.0, 0.6, 0]]))
    np.testing.assert_allclose(matrix, named, rtol=1e-6)


# --------------------------------------------------------------------------------------
# the course of a fit


@each_solver
def test_a_callback_sees_each_iteration(solver):
    X, y = clusters()
    seen = []
    ours = learner(
        solver=solver,
        max_iter=6,
        early_stopping=False,
        callback=lambda components, n_iter: seen.append((components.copy(), n_iter)),
    ).fit(X, y)
    numbers = [n for _, n in seen]
    assert numbers == sorted(numbers)
    assert numbers[-1] == ours.n_iter_
    assert all(c.shape == ours.components_.shape and np.isfinite(c).all() for c, _ in seen)
    size = np.abs(ours.components_).max()
    np.testing.assert_allclose(seen[-1][0], ours.components_, atol=1e-9 * size)


def test_what_a_callback_raises_comes_through():
    def stop(components, n_iter):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        learner(callback=stop).fit(*clusters())


def test_what_a_callback_writes_changes_nothing():
    X, y = clusters()

    def spoil(components, n_iter):
        if components.flags.writeable:
            components[...] = np.nan

    ours, plain = learner(callback=spoil).fit(X, y), learner().fit(X, y)
    np.testing.assert_array_equal(ours.components_, plain.components_)


def test_a_warm_start_goes_on():
    X, y = clusters()
    options = {"positives": "all", "early_stopping": False, "solver": "lbfgs"}
    ours = learner(warm_start=True, max_iter=3, **options).fit(X, y)
    first = ours.loss_
    ours.set_params(max_iter=100, tol=1e-10).fit(X, y)
    assert ours.loss_ < first
    optimum = ours.loss_
    ours.fit(X, y)
    assert ours.loss_ == pytest.approx(optimum, rel=1e-6)
    assert ours.n_iter_ <= 5
    cold = learner(max_iter=3, **options).fit(X, y).fit(X, y)
    assert cold.loss_ == pytest.approx(first, rel=1e-12)


def test_a_warm_start_of_another_shape_is_an_error():
    X, y = clusters()
    ours = learner(warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=r"warm_start|n_components|shape"):
        ours.set_params(n_components=2).fit(X, y)


def test_a_seed_fixes_the_fit():
    X, y = clusters(200)
    for options in ({"init": "random"}, {"solver": "adam", "batch_size": 32}):
        first, again, other = (
            learner(random_state=seed, max_iter=5, early_stopping=False, **options).fit(X, y)
            for seed in (0, 0, 1)
        )
        np.testing.assert_array_equal(first.components_, again.components_)
        assert not np.array_equal(first.components_, other.components_)


def test_too_few_iterations_are_said():
    from sklearn.exceptions import ConvergenceWarning

    X, y = clusters()
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        ours = learner(max_iter=2, positives="all", early_stopping=False, tol=1e-12).fit(X, y)
    assert not ours.converged_


@each_loss
def test_partial_fit_learns(loss):
    X, y = clusters(240, spread=1.0)
    rng = np.random.default_rng(0)
    ours = learner(loss, batch_size=60, learning_rate=0.05)
    for epoch in range(15):
        order = rng.permutation(240)
        for start in range(0, 240, 60):
            rows = order[start : start + 60]
            ours.partial_fit(X[rows], y[rows], classes=[0, 1, 2] if epoch == 0 else None)
    assert np.isfinite(ours.components_).all()
    assert ours.score(X, y) > mean_average_precision_at_r(StandardScaler().fit_transform(X), y)
    assert ours.classes_.tolist() == [0, 1, 2]


def test_partial_fit_takes_classes_that_come_later():
    X, y = clusters()
    ours = learner().partial_fit(X[y < 2], y[y < 2], classes=[0, 1, 2])
    ours.partial_fit(X, y)
    assert ours.classes_.tolist() == [0, 1, 2]
    first, again = (learner().partial_fit(X, y).partial_fit(X[::-1], y[::-1]) for _ in range(2))
    np.testing.assert_array_equal(first.components_, again.components_)
    assert first.classes_.tolist() == [0, 1, 2]


def test_partial_fit_goes_on_from_fit():
    X, y = clusters(120)
    ours = learner(early_stopping=False, positives="all", max_iter=200).fit(X, y)
    before = ours.score(X, y)
    ours.set_params(learning_rate=1e-4).partial_fit(X, y)
    assert ours.score(X, y) == pytest.approx(before, abs=0.02)


@pytest.mark.parametrize("mining", ["hard", "semihard", "distance_weighted"])
@pytest.mark.parametrize("loss", ["triplet", "contrastive"])
def test_mined_negatives_learn(mining, loss):
    X, y = clusters(120)
    X = np.hstack([X, np.random.default_rng(1).normal(size=(120, 6))])
    first, again = (learner(loss, mining=mining).fit(X, y) for _ in range(2))
    np.testing.assert_array_equal(first.components_, again.components_)
    assert np.isfinite(first.components_).all()
    assert first.score(X, y) > mean_average_precision_at_r(StandardScaler().fit_transform(X), y)


@pytest.mark.parametrize("loss", ["triplet_center", "n_pair", "lifted_structure"])
def test_mining_is_ignored_where_all_negatives_share_a_term(loss):
    X, y = clusters()
    plain = learner(loss).fit(X, y)
    ours = learner(loss, mining="hard").fit(X, y)
    np.testing.assert_array_equal(ours.components_, plain.components_)


def test_early_stopping_keeps_the_best_pass():
    X, y = clusters(150, spread=0.8)
    ours = learner("triplet", early_stopping=True, n_passes=4).fit(X, y)
    assert 0 <= ours.validation_score_ <= 1
    assert 1 <= ours.n_passes_ <= 4
    fixed = learner("triplet", early_stopping=False, n_passes=3).fit(X, y)
    assert fixed.n_passes_ == 3


# --------------------------------------------------------------------------------------
# among other estimators


def test_in_pipelines_and_searches():
    X, y = WINE, np.array(["a", "b", "c"])[WINE_LABELS]
    folds = StratifiedKFold(2, shuffle=True, random_state=0)
    search = GridSearchCV(
        learner(max_iter=15),
        {
            "loss": ["contrastive", "triplet"],
            "positives": ["all", "neighbors"],
            "n_components": [2, None],
            "margin": [1.0, {("a", "c"): 3.0}],
        },
        cv=folds,
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ > cross_val_score(Scaled(), X, y, cv=folds).mean()
    neighbors = make_pipeline(learner(), KNeighborsClassifier(5)).fit(X[::2], y[::2])
    assert neighbors.score(X[1::2], y[1::2]) > 0.93
    labels = make_pipeline(learner(), KMeans(3, n_init=3, random_state=0)).fit(X, y).predict(X)
    assert len(np.unique(labels)) == 3
