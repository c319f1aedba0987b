"""MMD as a loss: classifier and regressor against dense normal equations, on interleaved rows."""

import joblib
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.kernel_ridge import KernelRidge

from skmmd.datasets import make_rotated_digits
from skmmd.transfer import MMDRegularizedClassifier, MMDRegularizedRegressor
from tests import reference
from tests.transfer import oracles

KERNELS = ("rbf", "laplacian", "imq", "rq", "linear", "polynomial")
SHIFT_FREE = KERNELS[:4]
ESTIMATORS = (MMDRegularizedClassifier, MMDRegularizedRegressor)
each_kernel = pytest.mark.parametrize("kernel", KERNELS)
each_estimator = pytest.mark.parametrize("Estimator", ESTIMATORS)


def task(seed=0, n=50, n_classes=3, shift=0.7):
    """Return rows of some classes in random order; the second domain is shifted."""
    rng = np.random.default_rng(seed)
    is_source = rng.permutation(np.arange(n) % 5 < 3)
    y = rng.integers(0, n_classes, n)
    X = rng.normal(size=(n, 4)) * [1.0, 0.8, 0.6, 0.5] + shift * ~is_source[:, None]
    return X + 1.5 * np.eye(4)[y], y, is_source


def domain(is_source):
    return np.where(is_source, 1, -1)


def fit(Estimator, X, y, is_source, sample_weight=None, **options):
    model = Estimator(**{"gamma": 0.2, **options})
    found = model.fit(X, y, sample_domain=domain(is_source), sample_weight=sample_weight)
    assert found is model
    return model


def values(model, X):
    """Return what the least squares fit, before any argmax."""
    read = getattr(model, "decision_function", model.predict)
    return read(X)


NEW = np.random.default_rng(11).normal(size=(15, 4)) + 0.5

# --------------------------------------------------------------------------------------
# the classifier


@each_kernel
@pytest.mark.parametrize(("conditional", "marginal"), [(1, 1), (1, 0), (0, 1), (0, 0)])
@pytest.mark.parametrize("max_iter", [1, 2, 10])
def test_rounds_equal_dense_normal_equations(kernel, conditional, marginal, max_iter):
    X, y, is_source = task()
    K = oracles.gram(X, X, kernel, 0.2)
    options = {
        "conditional": bool(conditional),
        "marginal": bool(marginal),
        "max_iter": max_iter,
    }
    c, pseudo, n_rounds = oracles.regularized_classifier(K, is_source, y, **options)
    model = fit(MMDRegularizedClassifier, X, y, is_source, kernel=kernel, **options)
    found = model.decision_function(X)
    assert found.shape == (50, 3)
    np.testing.assert_allclose(found, K @ c, atol=1e-6 * np.abs(K @ c).max())
    expected = oracles.gram(NEW, X, kernel, 0.2) @ c
    np.testing.assert_allclose(
        model.decision_function(NEW), expected, atol=1e-6 * np.abs(expected).max()
    )
    np.testing.assert_array_equal(model.predict(NEW), expected.argmax(axis=1))
    np.testing.assert_array_equal(model.pseudo_labels_, pseudo)
    assert model.n_iter_ == n_rounds


@each_kernel
@pytest.mark.parametrize(("alpha", "mmd_weight"), [(1e-3, 10), (0.1, 0), (0.1, 1e4), (10, 1)])
def test_weights_of_the_terms(kernel, alpha, mmd_weight):
    X, y, is_source = task(2)
    K = oracles.gram(X, X, kernel, 0.2)
    c, pseudo, _ = oracles.regularized_classifier(K, is_source, y, alpha, mmd_weight)
    model = fit(
        MMDRegularizedClassifier,
        X,
        y,
        is_source,
        kernel=kernel,
        alpha=alpha,
        mmd_weight=mmd_weight,
    )
    np.testing.assert_array_equal(model.pseudo_labels_, pseudo)
    np.testing.assert_allclose(model.decision_function(X), K @ c, atol=1e-6 * np.abs(K @ c).max())


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "linear"])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_end_of_the_rounds_is_a_fixed_point(kernel, weighted):
    """Whatever the way there: the predictor is that of its own predictions on the target."""
    X, y, is_source = task(1)
    a = np.random.default_rng(0).integers(1, 4, 50) if weighted else None
    model = fit(MMDRegularizedClassifier, X, y, is_source, a, kernel=kernel, max_iter=50)
    assert model.converged_
    assert 2 <= model.n_iter_ < 50
    labels = np.where(is_source, y, model.predict(X))
    vectors = [oracles.marginal_vector(is_source, a)]
    vectors += oracles.shared_class_vectors(is_source, labels, a)
    K, Y = oracles.gram(X, X, kernel, 0.2), oracles.one_hot(y, range(3))
    c = oracles.regularized_coefficients(K, is_source, Y, vectors, a=a)
    np.testing.assert_allclose(model.decision_function(X), K @ c, atol=1e-6 * np.abs(K @ c).max())


def test_defaults_are_those_of_the_contract():
    X, y, is_source = task()
    gamma = reference.median_gamma(X)
    K = oracles.gram(X, X, "rbf", gamma)
    c, _, _ = oracles.regularized_classifier(K, is_source, y, 0.1, 10.0, True, True, 10)
    model = MMDRegularizedClassifier().fit(X, y, sample_domain=domain(is_source))
    assert model.gamma_ == pytest.approx(gamma, rel=1e-9)
    np.testing.assert_allclose(model.decision_function(X), K @ c, atol=1e-6)


LABELS = {
    "signs": np.array([-1, 1]),
    "zero and one": np.array([0, 1]),
    "strings": np.array(["dog", "cat"]),
    "objects": np.array(["dog", "cat"], dtype=object),
    "floats": np.array([-1.0, 1.0]),
    "bool": np.array([False, True]),
}


@pytest.mark.parametrize("form", LABELS)
def test_two_classes_have_one_column(form):
    """The second class's function minus the first's; its sign decides."""
    X, y, is_source = task(n_classes=2)
    names = LABELS[form]
    K = oracles.gram(X, X, "rbf", 0.2)
    c, _, _ = oracles.regularized_classifier(K, is_source, names[y])
    model = fit(MMDRegularizedClassifier, X, names[y], is_source)
    np.testing.assert_array_equal(model.classes_, np.unique(names))
    f = oracles.gram(NEW, X, "rbf", 0.2) @ c
    found = model.decision_function(NEW)
    assert found.shape == (15,)
    np.testing.assert_allclose(found, f[:, 1] - f[:, 0], atol=1e-7)
    np.testing.assert_array_equal(model.predict(NEW), model.classes_[(found > 0).astype(int)])
    assert len(set(model.predict(NEW))) == 2


def test_three_names_are_three_numbers():
    X, y, is_source = task()
    names = np.array(["ant", "bee", "cat"])
    one = fit(MMDRegularizedClassifier, X, y, is_source)
    two = fit(MMDRegularizedClassifier, X, names[y], is_source)
    np.testing.assert_array_equal(two.decision_function(NEW), one.decision_function(NEW))
    np.testing.assert_array_equal(two.predict(NEW), names[one.predict(NEW)])
    np.testing.assert_array_equal(two.pseudo_labels_, names[one.pseudo_labels_])


def test_classes_that_the_target_lacks():
    X, y, is_source = task(2)
    keep = is_source | (y == 0)
    X, y, is_source = X[keep], y[keep], is_source[keep]
    K = oracles.gram(X, X, "rbf", 0.2)
    c, pseudo, _ = oracles.regularized_classifier(K, is_source, y, marginal=False)
    assert set(pseudo) == {0, 1}
    model = fit(MMDRegularizedClassifier, X, y, is_source, marginal=False)
    np.testing.assert_allclose(model.decision_function(X), K @ c, atol=1e-6)


def test_the_loss_helps():
    """Rotated digits in random order."""
    Xs, ys, Xt, yt = make_rotated_digits(250, random_state=1)
    order = np.random.default_rng(1).permutation(500)
    X, y, is_source = np.vstack([Xs, Xt])[order], np.append(ys, yt)[order], order < 250
    with_loss, without = (
        fit(MMDRegularizedClassifier, X, y, is_source, gamma="median", mmd_weight=m).score(Xt, yt)
        for m in (10.0, 0.0)
    )
    assert with_loss > without + 0.1


# --------------------------------------------------------------------------------------
# the regressor


def curve(seed=0, n=50):
    X, _, is_source = task(seed, n)
    y = np.sin(X[:, 0]) + X[:, 1] + 0.1 * np.random.default_rng(seed).normal(size=n)
    return X, y, is_source


@each_kernel
@pytest.mark.parametrize(("alpha", "mmd_weight"), [(0.1, 10), (1e-3, 1), (0.1, 0), (0.1, 1e5)])
def test_values_equal_dense_normal_equations(kernel, alpha, mmd_weight):
    X, y, is_source = curve()
    K = oracles.gram(X, X, kernel, 0.2)
    vectors = [oracles.marginal_vector(is_source)]
    c = oracles.regularized_coefficients(K, is_source, y[:, None], vectors, alpha, mmd_weight)[:, 0]
    model = fit(
        MMDRegularizedRegressor,
        X,
        y,
        is_source,
        kernel=kernel,
        alpha=alpha,
        mmd_weight=mmd_weight,
    )
    for rows in (X, NEW):
        expected = oracles.gram(rows, X, kernel, 0.2) @ c
        found = model.predict(rows)
        assert found.shape == (len(rows),)
        np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


def test_without_the_loss_it_is_kernel_ridge():
    X, y, is_source = curve()
    model = fit(MMDRegularizedRegressor, X, y, is_source, mmd_weight=0.0, alpha=0.3)
    ridge = KernelRidge(alpha=0.3, kernel="rbf", gamma=0.2).fit(X[is_source], y[is_source])
    np.testing.assert_allclose(model.predict(NEW), ridge.predict(NEW), atol=1e-9)


def test_a_large_weight_aligns_the_means():
    X, y, is_source = curve()
    gaps = []
    for mmd_weight in (0.0, 1.0, 1e4, 1e8):
        found = fit(MMDRegularizedRegressor, X, y, is_source, mmd_weight=mmd_weight).predict(X)
        gaps.append(abs(found[is_source].mean() - found[~is_source].mean()))
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] > 0.05
    assert gaps[-1] < 1e-7


@pytest.mark.parametrize("placeholder", [np.nan, np.inf, 1e300, 0.0])
def test_target_values_are_ignored(placeholder):
    X, y, is_source = curve()
    expected = fit(MMDRegularizedRegressor, X, y, is_source).predict(NEW)
    found = fit(MMDRegularizedRegressor, X, np.where(is_source, y, placeholder), is_source)
    np.testing.assert_array_equal(found.predict(NEW), expected)


def test_several_outputs():
    X, y, is_source = curve()
    Y = np.stack([y, -2 * y + 1], axis=1)
    found = fit(MMDRegularizedRegressor, X, Y, is_source).predict(NEW)
    assert found.shape == (15, 2)
    for j in range(2):
        alone = fit(MMDRegularizedRegressor, X, Y[:, j], is_source).predict(NEW)
        np.testing.assert_allclose(found[:, j], alone, atol=1e-9)


# --------------------------------------------------------------------------------------
# both


def data(Estimator, seed=0, n=50):
    return task(seed, n) if Estimator is MMDRegularizedClassifier else curve(seed, n)


@each_estimator
@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_real_weights_equal_dense_normal_equations(Estimator, kernel):
    X, y, is_source = data(Estimator)
    a = np.random.default_rng(5).uniform(0.2, 3.0, 50)
    K = oracles.gram(X, X, kernel, 0.2)
    if Estimator is MMDRegularizedClassifier:
        c, _, _ = oracles.regularized_classifier(K, is_source, y, a=a)
    else:
        vectors = [oracles.marginal_vector(is_source, a)]
        c = oracles.regularized_coefficients(K, is_source, y[:, None], vectors, a=a)[:, 0]
    found = values(fit(Estimator, X, y, is_source, a, kernel=kernel), X)
    np.testing.assert_allclose(found, K @ c, atol=1e-6 * np.abs(K @ c).max())


@each_estimator
@pytest.mark.parametrize("gamma", [0.2, "median"])
def test_integer_weights_are_copies(Estimator, gamma):
    X, y, is_source = data(Estimator)
    a = np.random.default_rng(5).integers(0, 4, 50)
    one = fit(Estimator, X, y, is_source, a, gamma=gamma)
    two = fit(
        Estimator,
        np.repeat(X, a, axis=0),
        np.repeat(y, a),
        np.repeat(is_source, a),
        gamma=gamma,
    )
    assert one.gamma_ == pytest.approx(two.gamma_, rel=1e-12)
    np.testing.assert_allclose(values(one, NEW), values(two, NEW), atol=1e-7)


@each_estimator
def test_interleaved_rows_equal_sorted_rows(Estimator):
    X, y, is_source = data(Estimator)
    order = np.argsort(~is_source, kind="stable")
    one = values(fit(Estimator, X, y, is_source), NEW)
    two = values(fit(Estimator, X[order], y[order], is_source[order]), NEW)
    np.testing.assert_allclose(two, one, atol=1e-9)


@pytest.mark.parametrize("form", ["other", "one", "unseen", "NaN"])
def test_target_labels_are_ignored(form):
    X, y, is_source = task()
    y = y.astype(float)
    one = fit(MMDRegularizedClassifier, X, y, is_source)
    placeholder = {"other": (y + 1) % 3, "one": 0.0, "unseen": 77.0, "NaN": np.nan}[form]
    two = fit(MMDRegularizedClassifier, X, np.where(is_source, y, placeholder), is_source)
    np.testing.assert_array_equal(two.decision_function(NEW), one.decision_function(NEW))
    np.testing.assert_array_equal(two.classes_, [0.0, 1.0, 2.0])


@pytest.mark.parametrize("placeholder", ["unknown", "", None, np.nan])
def test_target_labels_beside_strings_are_ignored(placeholder):
    X, y, is_source = task()
    names = np.array(["ant", "bee", "cat"], dtype=object)[y]
    one = fit(MMDRegularizedClassifier, X, names, is_source)
    hidden = names.copy()
    hidden[~is_source] = placeholder
    two = fit(MMDRegularizedClassifier, X, hidden, is_source)
    np.testing.assert_array_equal(two.decision_function(NEW), one.decision_function(NEW))
    np.testing.assert_array_equal(two.classes_, ["ant", "bee", "cat"])


@each_estimator
def test_nothing_is_written(Estimator):
    X, y, is_source = data(Estimator)
    arrays = [X, y, domain(is_source), np.ones(50)]
    before = [a.copy() for a in arrays]
    for a in arrays:
        a.flags.writeable = False
    model = Estimator().fit(X, y, sample_domain=arrays[2], sample_weight=arrays[3])
    model.predict(X)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


@each_estimator
@each_kernel
def test_all_rows_as_landmarks_are_exact(Estimator, kernel):
    X, y, is_source = data(Estimator)
    one = values(fit(Estimator, X, y, is_source, kernel=kernel), NEW)
    two = values(fit(Estimator, X, y, is_source, kernel=kernel, n_landmarks=50), NEW)
    np.testing.assert_allclose(two, one, atol=1e-5 * np.abs(one).max())


@each_estimator
def test_landmarks_are_near_and_alike_each_time(Estimator):
    X, y, is_source = data(Estimator, 1, 300)
    options = {"gamma": 0.05, "n_landmarks": 80}
    one, two = (values(fit(Estimator, X, y, is_source, **options), NEW) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    exact = values(fit(Estimator, X, y, is_source, gamma=0.05), NEW)
    np.testing.assert_allclose(one, exact, atol=0.05 * np.abs(exact).max())


@each_estimator
@pytest.mark.parametrize("n_landmarks", [None, 30])
def test_threads_do_not_matter(Estimator, n_landmarks):
    X, y, is_source = data(Estimator, 1, 120)
    one, two = (
        values(fit(Estimator, X, y, is_source, n_jobs=n, n_landmarks=n_landmarks), NEW)
        for n in (1, 2)
    )
    np.testing.assert_array_equal(one, two)
    with joblib.parallel_config(backend="threading", n_jobs=2):
        three = values(fit(Estimator, X, y, is_source, n_landmarks=n_landmarks), NEW)
    np.testing.assert_array_equal(one, three)


@each_estimator
def test_a_callable_kernel(Estimator):
    X, y, is_source = data(Estimator)
    one = values(fit(Estimator, X, y, is_source), NEW)
    two = fit(Estimator, X, y, is_source, kernel=lambda A, B: oracles.gram(A, B, "rbf", 0.2))
    np.testing.assert_allclose(values(two, NEW), one, atol=1e-9)


@each_estimator
@pytest.mark.parametrize("kernel", SHIFT_FREE)
def test_a_huge_offset_changes_nothing(Estimator, kernel):
    """Rows are multiples of 2^-10, so that the offset itself does not round."""
    X, y, is_source = data(Estimator)
    X, new = np.round(1024 * X) / 1024, np.round(1024 * NEW) / 1024
    options = {"kernel": kernel, "gamma": "median"}
    one = values(fit(Estimator, X, y, is_source, **options), new)
    two = values(fit(Estimator, X + 1e6, y, is_source, **options), new + 1e6)
    np.testing.assert_allclose(two, one, atol=1e-6)


@each_estimator
def test_float32_and_frames(Estimator):
    pandas = pytest.importorskip("pandas")
    X, y, is_source = data(Estimator)
    X, new = X.astype(np.float32), NEW.astype(np.float32)
    one = values(fit(Estimator, X.astype(float), y, is_source), new.astype(float))
    np.testing.assert_allclose(values(fit(Estimator, X, y, is_source), new), one, atol=1e-5)
    index = np.arange(50)[::-1]
    model = Estimator(gamma=0.2).fit(
        pandas.DataFrame(X, columns=list("abcd"), index=index),
        pandas.Series(y, index=index),
        sample_domain=pandas.Series(domain(is_source), index=index),
    )
    assert list(model.feature_names_in_) == list("abcd")
    found = values(model, pandas.DataFrame(new, columns=list("abcd")))
    np.testing.assert_allclose(found, one, atol=1e-5)


@each_estimator
def test_duplicated_rows(Estimator):
    """K is singular; alpha counts against twice the rows, so it is doubled too."""
    X, y, is_source = data(Estimator)
    one = values(fit(Estimator, X, y, is_source), NEW)
    two = fit(Estimator, np.vstack([X, X]), np.tile(y, 2), np.tile(is_source, 2), alpha=0.2)
    np.testing.assert_allclose(values(two, NEW), one, atol=1e-7)


def test_constant_rows():
    """f is one number: ns/(ns + alpha) times the share of the class, or the mean."""
    X, is_source = np.full((12, 3), 2.5), np.arange(12) % 2 == 0
    y = np.array([0, 0, 0, 0, 1, 0, 1, 0, 2, 0, 1, 0])
    model = fit(MMDRegularizedClassifier, X, y, is_source, alpha=0.5)
    expected = np.array([2, 3, 1]) / 6.5
    np.testing.assert_allclose(model.decision_function(X[:1])[0], expected, rtol=1e-9)
    values_ = np.arange(12.0)
    model = fit(MMDRegularizedRegressor, X, values_, is_source, alpha=0.5)
    np.testing.assert_allclose(model.predict(X[:1]), values_[::2].sum() / 6.5, rtol=1e-9)


def test_one_row_each():
    """f = c_1 k(., s) + c_2 k(., t) by the two-by-two system."""
    X, is_source = np.array([[0.0, 1.0], [1.0, 1.5]]), np.array([True, False])
    K = oracles.gram(X, X, "rbf", 0.2)
    vectors = [np.array([1.0, -1.0])]
    Y = np.array([[3.0], [0.0]])
    c = oracles.regularized_coefficients(K, is_source, Y, vectors)[:, 0]
    model = fit(MMDRegularizedRegressor, X, np.array([3.0, np.nan]), is_source)
    np.testing.assert_allclose(model.predict(X), K @ c, rtol=1e-9)


# --------------------------------------------------------------------------------------
# warnings and errors


@each_estimator
def test_all_rows_source(Estimator):
    """Told, and fitted without the loss."""
    X, y, _ = data(Estimator)
    with pytest.warns(UserWarning, match="sample_domain"):
        found = values(Estimator(gamma=0.2).fit(X, y), NEW)
    Y = oracles.one_hot(y, range(3)) if Estimator is MMDRegularizedClassifier else y
    ridge = KernelRidge(alpha=0.1, kernel="rbf", gamma=0.2).fit(X, Y)
    np.testing.assert_allclose(found, ridge.predict(NEW), atol=1e-8)


def test_one_class():
    X, _, is_source = task()
    with pytest.raises(ValueError, match="class"):
        fit(MMDRegularizedClassifier, X, np.zeros(50), is_source)


def test_one_class_in_the_source_alone():
    """Placeholders of target rows are no class."""
    X, _, is_source = task()
    with pytest.raises(ValueError, match="class"):
        fit(MMDRegularizedClassifier, X, np.where(is_source, 0, 1), is_source)


BAD_OPTIONS = {
    "kernel": ("gauss", "energy", None),
    "gamma": (0.0, -1.0, "scale", np.nan, None),
    "alpha": (0.0, -1.0, np.nan, "small", None),
    "mmd_weight": (-1.0, np.nan, "large", None),
    "n_landmarks": (0, -3, 2.5, "many"),
}
CASES = [
    (Estimator, name, value)
    for Estimator in ESTIMATORS
    for name, options in BAD_OPTIONS.items()
    for value in options
] + [(MMDRegularizedClassifier, "max_iter", value) for value in (0, -1, 2.5, None)]


@pytest.mark.parametrize(("Estimator", "name", "value"), CASES)
def test_bad_options(Estimator, name, value):
    X, y, is_source = data(Estimator)
    with pytest.raises((ValueError, TypeError), match=name):
        Estimator(**{name: value}).fit(X, y, sample_domain=domain(is_source))


@each_estimator
def test_bad_labels_and_weights(Estimator):
    X, y, is_source = data(Estimator)
    first = np.arange(50) == np.flatnonzero(is_source)[0]
    with pytest.raises(ValueError, match=r"NaN|label"):
        fit(Estimator, X, np.where(first, np.nan, y), is_source)
    with pytest.raises(ValueError, match=r"inconsistent|\by\b"):
        Estimator().fit(X, y[:-1], sample_domain=domain(is_source))
    for weight, words in (
        (np.where(first, -1.0, 1.0), "[Nn]egative|sample_weight"),
        (np.where(first, np.nan, 1.0), "NaN"),
        (np.ones(49), "sample_weight"),
        (np.where(is_source, 0.0, 1.0), "source|sample_weight"),
        (np.where(is_source, 1.0, 0.0), "target|sample_weight"),
    ):
        with pytest.raises(ValueError, match=words):
            fit(Estimator, X, y, is_source, weight)


@each_estimator
def test_prediction_of_bad_rows(Estimator):
    X, y, is_source = data(Estimator)
    with pytest.raises(NotFittedError):
        Estimator().predict(X)
    model = fit(Estimator, X, y, is_source)
    with pytest.raises(ValueError, match="features"):
        model.predict(X[:, :2])
    with pytest.raises(ValueError, match="NaN"):
        model.predict(np.where(np.arange(200).reshape(50, 4) == 9, np.nan, X))
