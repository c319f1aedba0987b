"""TCA and JDA against dense generalised eigenproblems, on interleaved rows."""

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from skmmd.datasets import make_rotated_digits
from skmmd.transfer import JointDistributionAdaptation, TransferComponentAnalysis
from tests import reference
from tests.transfer import oracles

KERNELS = ("rbf", "laplacian", "imq", "rq", "linear", "polynomial")
SHIFT_FREE = KERNELS[:4]
ESTIMATORS = (TransferComponentAnalysis, JointDistributionAdaptation)
each_kernel = pytest.mark.parametrize("kernel", KERNELS)
each_estimator = pytest.mark.parametrize("Estimator", ESTIMATORS)


def task(seed=0, n=50, shift=0.7, spread=2.0):
    """Return rows of three classes in random order; the second domain is shifted."""
    rng = np.random.default_rng(seed)
    is_source = rng.permutation(np.arange(n) % 5 < 3)
    y = rng.integers(0, 3, n)
    X = rng.normal(size=(n, 4)) * [1.0, 0.8, 0.6, 0.5] + shift * ~is_source[:, None]
    return X + spread * np.eye(4)[y], y, is_source


def domain(is_source):
    return np.where(is_source, 1, -1)


def assert_columns_equal(found, expected, rel=1e-6):
    """Within `rel` of the largest entry of each column, signs included."""
    size = np.abs(expected).max(axis=0)
    assert found.shape == expected.shape
    assert np.max(np.abs(found - expected) / size) < rel


def mean_difference(Z, is_source):
    return Z[is_source].mean(axis=0) - Z[~is_source].mean(axis=0)


# --------------------------------------------------------------------------------------
# transfer component analysis


@each_kernel
@pytest.mark.parametrize("mmd_weight", [0.0, 1.0, 10.0, 1000.0])
def test_components_equal_dense_brute_force(kernel, mmd_weight):
    """mmd_weight 10 and 1000 are where a solver for a matrix that is not symmetric goes wrong."""
    X, _, is_source = task()
    new = np.random.default_rng(1).normal(size=(9, 4))
    K = oracles.gram(X, X, kernel, 0.2)
    values, W = oracles.transfer_components(K, is_source, 3, mmd_weight)
    model = TransferComponentAnalysis(3, kernel=kernel, gamma=0.2, mmd_weight=mmd_weight)
    Z = model.fit_transform(X, sample_domain=domain(is_source))
    np.testing.assert_allclose(model.eigenvalues_, values, rtol=1e-6)
    assert_columns_equal(Z, K @ W)
    assert_columns_equal(model.transform(new), oracles.gram(new, X, kernel, 0.2) @ W)
    assert_columns_equal(model.transform(X), Z, 1e-12)


def test_all_components_are_found():
    X, _, is_source = task(n=20)
    K = oracles.gram(X, X, "laplacian", 1.0)
    values, W = oracles.transfer_components(K, is_source, 19, 5.0)
    model = TransferComponentAnalysis(19, kernel="laplacian", gamma=1.0, mmd_weight=5.0)
    Z = model.fit_transform(X, sample_domain=domain(is_source))
    np.testing.assert_allclose(model.eigenvalues_, values, rtol=1e-6)
    assert_columns_equal(Z, K @ W)


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "polynomial"])
def test_defaults(kernel):
    """As many components as features; the median of the pooled rows."""
    X, _, is_source = task()
    gamma = reference.median_gamma(X, kernel)
    K = oracles.gram(X, X, kernel, gamma)
    _, W = oracles.transfer_components(K, is_source, 4, 1.0)
    model = TransferComponentAnalysis(kernel=kernel).fit(X, sample_domain=domain(is_source))
    assert model.gamma_ == pytest.approx(gamma, rel=1e-9)
    assert_columns_equal(model.transform(X), K @ W)
    few = TransferComponentAnalysis(kernel="rbf").fit(X[:3], sample_domain=[1, -1, 1])
    assert few.transform(X).shape == (50, 3)


@each_kernel
def test_a_large_weight_aligns_the_means(kernel):
    """W'PW = I bounds the squared difference of means by 1/mmd_weight, column by column."""
    X, _, is_source = task()
    for mmd_weight in (1.0, 1e3, 1e6, 1e9):
        model = TransferComponentAnalysis(2, kernel=kernel, gamma=0.2, mmd_weight=mmd_weight)
        Z = model.fit_transform(X, sample_domain=domain(is_source))
        relative = mean_difference(Z, is_source) ** 2 / Z.var(axis=0)
        assert np.all(mmd_weight * mean_difference(Z, is_source) ** 2 <= 1 + 1e-3)
    assert relative.max() < 1e-9
    none = TransferComponentAnalysis(2, kernel=kernel, gamma=0.2, mmd_weight=0.0)
    Z = none.fit_transform(X, sample_domain=domain(is_source))
    assert np.max(mean_difference(Z, is_source) ** 2 / Z.var(axis=0)) > 0.01


def test_components_of_a_callable_kernel():
    X, _, is_source = task()
    models = [
        TransferComponentAnalysis(3, kernel=kernel, gamma=0.2).fit(
            X, sample_domain=domain(is_source)
        )
        for kernel in ("rbf", lambda A, B: oracles.gram(A, B, "rbf", 0.2))
    ]
    assert_columns_equal(models[1].transform(X), models[0].transform(X), 1e-8)


@pytest.mark.filterwarnings("ignore:TransferComponentAnalysis was fitted without sample_domain")
def test_all_rows_source_have_no_penalty():
    X, _, _ = task()
    K = oracles.gram(X, X, "rbf", 0.2)
    _, W = oracles.transfer_components(K, np.ones(50, dtype=bool), 3)
    assert_columns_equal(TransferComponentAnalysis(3, gamma=0.2).fit_transform(X), K @ W)


# --------------------------------------------------------------------------------------
# joint distribution adaptation


@each_kernel
@pytest.mark.parametrize("ridge", [0.1, 1.0])
@pytest.mark.parametrize("max_iter", [2, 10])
def test_rounds_equal_dense_brute_force(kernel, ridge, max_iter):
    X, y, is_source = task(spread=1.2)
    K = oracles.gram(X, X, kernel, 0.2)
    values, W, pseudo, n_rounds = oracles.joint_distribution_adaptation(
        K, is_source, y, 3, ridge, max_iter
    )
    model = JointDistributionAdaptation(
        3, kernel=kernel, gamma=0.2, ridge=ridge, max_iter=max_iter
    ).fit(X, y, sample_domain=domain(is_source))
    np.testing.assert_allclose(model.eigenvalues_, values, rtol=1e-6)
    assert_columns_equal(model.transform(X), K @ W)
    new = np.random.default_rng(1).normal(size=(9, 4))
    assert_columns_equal(model.transform(new), oracles.gram(new, X, kernel, 0.2) @ W)
    np.testing.assert_array_equal(model.pseudo_labels_, pseudo)
    assert model.n_iter_ == n_rounds


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "linear"])
def test_the_end_of_the_rounds_is_a_fixed_point(kernel):
    """Whatever the way there: the map is that of its own pseudo-labels."""
    X, y, is_source = task()
    model = JointDistributionAdaptation(3, kernel=kernel, gamma=0.2, max_iter=30)
    model.fit(X, y, sample_domain=domain(is_source))
    assert model.converged_
    assert 2 <= model.n_iter_ < 30
    labels = y.copy()
    labels[~is_source] = model.pseudo_labels_
    K = oracles.gram(X, X, kernel, 0.2)
    _, W = oracles.joint_components(K, is_source, 3, 1.0, labels)
    assert_columns_equal(model.transform(X), K @ W)
    Z = oracles.unit_rows(K @ W)
    again = oracles.nearest_labels(Z[is_source], y[is_source], Z[~is_source])
    np.testing.assert_array_equal(again, model.pseudo_labels_)


def test_classes_that_the_target_lacks():
    """A class without pseudo-labels has no term."""
    X, y, is_source = task(3)
    keep = is_source | (y != 2)
    X, y, is_source = X[keep], y[keep], is_source[keep]
    K = oracles.gram(X, X, "rbf", 0.2)
    _, W, pseudo, _ = oracles.joint_distribution_adaptation(K, is_source, y, 3)
    assert 2 not in pseudo
    model = JointDistributionAdaptation(3, gamma=0.2).fit(X, y, sample_domain=domain(is_source))
    assert_columns_equal(model.transform(X), K @ W)


def test_another_estimator_gives_the_pseudo_labels():
    X, y, is_source = task()
    estimator = LogisticRegression()
    model = JointDistributionAdaptation(3, gamma=0.2, estimator=estimator, max_iter=30)
    model.fit(X, y, sample_domain=domain(is_source))
    Z = oracles.unit_rows(model.transform(X))
    expected = clone(estimator).fit(Z[is_source], y[is_source]).predict(Z[~is_source])
    np.testing.assert_array_equal(model.pseudo_labels_, expected)
    assert not hasattr(estimator, "coef_"), "the estimator itself is never fitted"


def test_no_class_is_worse_aligned():
    """With a strong MMD term the means of classes meet, where TCA leaves them apart."""
    X, y, is_source = task(5, 90, spread=3.0)
    X[~is_source & (y == 1)] += [0.0, 0.8, -0.8, 0.0]
    tca = TransferComponentAnalysis(3, gamma=0.1, mmd_weight=1e3)
    jda = JointDistributionAdaptation(3, gamma=0.1, ridge=1e-3)

    def mismatch(model):
        Z = model.fit(X, y, sample_domain=domain(is_source)).transform(X)
        classes = [mean_difference(Z[y == c], is_source[y == c]) for c in range(3)]
        return np.mean(np.square(classes)) / Z.var()

    assert mismatch(jda) < 0.1 * mismatch(tca)


LABELS = {
    "strings": np.array(["cat", "dog", "wolf"]),
    "signs": np.array([-1, 1, 3]),
    "floats": np.array([-1.0, 0.0, 1.0]),
    "objects": np.array(["cat", "dog", "wolf"], dtype=object),
}


@pytest.mark.parametrize("form", LABELS)
def test_labels_of_any_kind(form):
    X, y, is_source = task()
    one = JointDistributionAdaptation(3, gamma=0.2).fit(X, y, sample_domain=domain(is_source))
    names = LABELS[form]
    two = JointDistributionAdaptation(3, gamma=0.2)
    two.fit(X, names[y], sample_domain=domain(is_source))
    np.testing.assert_array_equal(two.transform(X), one.transform(X))
    np.testing.assert_array_equal(two.pseudo_labels_, names[one.pseudo_labels_])
    np.testing.assert_array_equal(two.classes_, names)


def test_two_classes_named_minus_one_and_one():
    X, y, is_source = task()
    sign = np.where(y == 0, -1, 1)
    K = oracles.gram(X, X, "rbf", 0.2)
    _, W, pseudo, _ = oracles.joint_distribution_adaptation(K, is_source, sign, 3)
    model = JointDistributionAdaptation(3, gamma=0.2)
    model.fit(X, sign, sample_domain=domain(is_source))
    assert_columns_equal(model.transform(X), K @ W)
    np.testing.assert_array_equal(model.pseudo_labels_, pseudo)


# --------------------------------------------------------------------------------------
# both


def fit_transform(Estimator, X, y, is_source, **options):
    model = Estimator(**{"n_components": 3, "gamma": 0.2, **options})
    return model.fit_transform(X, y, sample_domain=domain(is_source))


@each_estimator
def test_interleaved_rows_equal_sorted_rows(Estimator):
    X, y, is_source = task()
    one = fit_transform(Estimator, X, y, is_source)
    order = np.argsort(~is_source, kind="stable")
    two = fit_transform(Estimator, X[order], y[order], is_source[order])
    assert_columns_equal(two, one[order])


@each_estimator
@pytest.mark.parametrize(
    "name", ["true labels", "other labels", "one label", "unseen label", "NaN"]
)
def test_labels_of_target_rows_are_ignored(Estimator, name):
    X, y, is_source = task()
    y = y.astype(float)
    one = fit_transform(Estimator, X, y, is_source)
    placeholder = {
        "true labels": y,
        "other labels": (y + 1) % 3,
        "one label": 0.0,
        "unseen label": 77.0,
        "NaN": np.nan,
    }[name]
    two = fit_transform(Estimator, X, np.where(is_source, y, placeholder), is_source)
    np.testing.assert_array_equal(two, one)


@each_estimator
def test_nothing_is_written(Estimator):
    X, y, is_source = task()
    arrays = [X, y, domain(is_source)]
    before = [a.copy() for a in arrays]
    for a in arrays:
        a.flags.writeable = False
    Estimator(3).fit(X, y, sample_domain=arrays[2]).transform(X)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


@each_estimator
@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "linear", "polynomial"])
def test_all_rows_as_landmarks_are_exact(Estimator, kernel):
    X, y, is_source = task()
    one = fit_transform(Estimator, X, y, is_source, kernel=kernel)
    two = fit_transform(Estimator, X, y, is_source, kernel=kernel, n_landmarks=50, random_state=0)
    signs = np.sign((one * two).sum(axis=0))
    assert_columns_equal(two * signs, one, 1e-5)


@each_estimator
def test_landmarks_are_seeded_and_near(Estimator):
    X, y, is_source = task(1, 300)
    options = {"n_landmarks": 100, "n_components": 2, "gamma": 0.05}
    one, two = (
        fit_transform(Estimator, X, y, is_source, random_state=4, **options) for _ in range(2)
    )
    np.testing.assert_array_equal(one, two)
    options.pop("n_landmarks")
    exact = fit_transform(Estimator, X, y, is_source, **options)
    signs = np.sign((exact * one).sum(axis=0))
    assert_columns_equal(one * signs, exact, 0.02)


@each_estimator
@pytest.mark.parametrize("n_landmarks", [None, 30])
def test_threads_do_not_matter(Estimator, n_landmarks):
    X, y, is_source = task(1, 120)
    options = {"n_landmarks": n_landmarks, "random_state": 0}
    one, two = (
        fit_transform(Estimator, X, y, is_source, n_jobs=n_jobs, **options) for n_jobs in (1, 2)
    )
    np.testing.assert_array_equal(one, two)
    with joblib.parallel_config(backend="threading", n_jobs=2):
        three = fit_transform(Estimator, X, y, is_source, **options)
    np.testing.assert_array_equal(one, three)


@each_estimator
@pytest.mark.parametrize("kernel", SHIFT_FREE)
def test_a_huge_offset_changes_nothing(Estimator, kernel):
    """Rows are multiples of 2^-10, so that the offset itself does not round."""
    X, y, is_source = task()
    X = np.round(1024 * X) / 1024
    one = fit_transform(Estimator, X, y, is_source, kernel=kernel, gamma="median")
    two = fit_transform(Estimator, X + 1e6, y, is_source, kernel=kernel, gamma="median")
    assert_columns_equal(two, one)


@each_estimator
def test_float32_and_frames(Estimator):
    pandas = pytest.importorskip("pandas")
    X, y, is_source = task()
    X = X.astype(np.float32)
    one = fit_transform(Estimator, X.astype(float), y, is_source)
    assert_columns_equal(fit_transform(Estimator, X, y, is_source), one, 1e-5)
    frame = pandas.DataFrame(X, columns=list("abcd"), index=np.arange(50)[::-1])
    model = Estimator(3, gamma=0.2).set_output(transform="pandas")
    found = model.fit_transform(
        frame,
        pandas.Series(y, index=frame.index),
        sample_domain=pandas.Series(domain(is_source), index=frame.index),
    )
    assert list(found.columns) == list(model.get_feature_names_out())
    assert list(found.index) == list(frame.index)
    assert_columns_equal(found.to_numpy(), one, 1e-5)


@each_estimator
def test_duplicated_rows(Estimator):
    """K is singular; copies of both domains move with their originals."""
    X, y, is_source = task()
    X2, y2, source2 = np.vstack([X, X]), np.tile(y, 2), np.tile(is_source, 2)
    Z = fit_transform(Estimator, X2, y2, source2)
    assert_columns_equal(Z[50:], Z[:50], 1e-9)
    K = oracles.gram(X2, X2, "rbf", 0.2)
    if Estimator is TransferComponentAnalysis:
        _, W = oracles.transfer_components(K, source2, 3)
    else:
        _, W, _, _ = oracles.joint_distribution_adaptation(K, source2, y2, 3)
    assert_columns_equal(np.abs(Z), np.abs(K @ W))  # copies tie for the largest coefficient


@each_estimator
def test_constant_rows_give_numbers(Estimator):
    """Nothing varies, so nothing is asked but finite values, alike for all rows."""
    X = np.full((12, 3), 2.5)
    y, is_source = np.arange(12) % 2, np.arange(12) < 7
    Z = fit_transform(Estimator, X, y, is_source, n_components=2)
    assert np.all(np.isfinite(Z))
    np.testing.assert_allclose(Z, np.broadcast_to(Z[0], Z.shape), atol=1e-6)


def test_one_row_each():
    X = np.array([[0.0, 1.0], [1.0, 1.5]])
    model = TransferComponentAnalysis(1, gamma=0.5).fit(X, sample_domain=[1, -1])
    K = oracles.gram(X, X, "rbf", 0.5)
    values, W = oracles.transfer_components(K, np.array([True, False]), 1)
    np.testing.assert_allclose(model.eigenvalues_, values, rtol=1e-9)
    np.testing.assert_allclose(np.abs(model.transform(X)), np.abs(K @ W), rtol=1e-9)


# --------------------------------------------------------------------------------------
# warnings and errors


@each_estimator
def test_all_rows_source_is_told(Estimator):
    X, y, _ = task()
    with pytest.warns(UserWarning, match="sample_domain"):
        Z = Estimator(3).fit(X, y).transform(X)
    assert np.all(np.isfinite(Z))


BAD_OPTIONS = {
    TransferComponentAnalysis: {
        "n_components": (0, -1, 2.5, "all"),
        "kernel": ("gauss", "energy", None),
        "gamma": (0.0, -1.0, "scale", np.nan, None),
        "mmd_weight": (-1.0, np.nan, "large", None),
        "n_landmarks": (0, -3, 2.5, "many"),
    },
    JointDistributionAdaptation: {
        "n_components": (0, -1, 2.5, "all"),
        "kernel": ("gauss", "energy", None),
        "ridge": (0.0, -1.0, np.nan, "small", None),
        "max_iter": (0, -1, 2.5, None),
        "estimator": ("svm", 3),
    },
}
CASES = [
    (Estimator, name, value)
    for Estimator, options in BAD_OPTIONS.items()
    for name, values in options.items()
    for value in values
]


@pytest.mark.parametrize(("Estimator", "name", "value"), CASES)
def test_bad_options(Estimator, name, value):
    X, y, is_source = task()
    with pytest.raises((ValueError, TypeError), match=name):
        Estimator(**{name: value}).fit(X, y, sample_domain=domain(is_source))


def test_labels_must_fit():
    X, y, is_source = task()
    model, where = JointDistributionAdaptation(3), domain(is_source)
    with pytest.raises(ValueError, match=r"inconsistent|\by\b"):
        model.fit(X, y[:-1], sample_domain=where)
    with pytest.raises(ValueError, match=r"requires y|\by\b"):
        model.fit(X, sample_domain=where)
    with pytest.raises(ValueError, match=r"NaN|label"):
        model.fit(
            X,
            np.where(np.arange(50) == np.flatnonzero(is_source)[0], np.nan, y),
            sample_domain=where,
        )
    with pytest.raises(ValueError, match=r"[Cc]lassif|continuous|label"):
        model.fit(X, X[:, 0], sample_domain=where)


@each_estimator
def test_transform_of_bad_rows(Estimator):
    X, y, is_source = task()
    with pytest.raises(NotFittedError):
        Estimator().transform(X)
    model = Estimator(3).fit(X, y, sample_domain=domain(is_source))
    with pytest.raises(ValueError, match="features"):
        model.transform(X[:, :2])
    with pytest.raises(ValueError, match="NaN"):
        model.transform(np.where(np.arange(200).reshape(50, 4) == 9, np.nan, X))


def test_a_nearest_neighbour_after_the_map():
    """Rotated digits in random order: labels that come of the map are far better than of pixels."""
    Xs, ys, Xt, yt = make_rotated_digits(250, random_state=1)
    order = np.random.default_rng(1).permutation(500)
    X, y, is_source = np.vstack([Xs, Xt])[order], np.append(ys, yt)[order], order < 250
    model = JointDistributionAdaptation(30).fit(X, y, sample_domain=domain(is_source))
    raw = KNeighborsClassifier(1).fit(Xs, ys).score(Xt, yt)
    assert np.mean(model.pseudo_labels_ == y[~is_source]) > raw + 0.08
