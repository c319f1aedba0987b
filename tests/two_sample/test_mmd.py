"""`mmd`: the squared maximum mean discrepancy of two samples."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.spatial import distance

from skmmd.two_sample import mmd
from tests import reference, strategies

NAMED = ("rbf", "laplacian", "imq", "rq", "linear", "polynomial", "energy")
SHIFT_FREE = ("rbf", "laplacian", "imq", "rq", "energy")
ESTIMATORS = ("biased", "unbiased")
FORMS = (*strategies.FORMS, "1-D")


def tolerance(samples, kernel, gamma):
    """Rounding relative to the largest kernel value."""
    Z = np.vstack(samples.plain)
    size = np.abs(reference.gram(Z, Z, kernel, gamma)).max()
    # A distance of nearly equal rows is the root of a difference of squares.
    return (1e-7 if kernel == "energy" else 1e-10) * max(size, samples.scale * 1e-3)


def sensible_gamma(kernel, relative, samples):
    return relative / (samples.scale if kernel == "laplacian" else samples.scale**2)


@pytest.mark.parametrize("kernel", NAMED)
@pytest.mark.parametrize("estimator", ESTIMATORS)
@given(samples=strategies.samples(forms=FORMS), relative=st.floats(0.01, 10))
def test_equals_the_double_loop(kernel, estimator, samples, relative):
    gamma = sensible_gamma(kernel, relative, samples)
    value = mmd(*samples.given, kernel=kernel, gamma=gamma, estimator=estimator)
    expected = reference.mmd2(*samples.plain, kernel, gamma, estimator)
    assert type(value) is float
    assert value == pytest.approx(expected, rel=1e-8, abs=tolerance(samples, kernel, gamma))


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "imq", "rq", "polynomial"])
@given(samples=strategies.samples(forms=("C", "float32", "1-D")))
def test_median_heuristic_on_the_pooled_sample(kernel, samples):
    value = mmd(*samples.given, kernel=kernel, gamma="median")
    gamma = reference.median_gamma(np.vstack(samples.plain), kernel)
    expected = reference.mmd2(*samples.plain, kernel, gamma)
    assert value == pytest.approx(expected, rel=1e-7, abs=tolerance(samples, kernel, gamma))


def test_defaults_are_unbiased_rbf_with_the_median(rng):
    X, Y = rng.normal(size=(9, 2)), rng.normal(size=(7, 2))
    gamma = reference.median_gamma(np.vstack([X, Y]))
    assert mmd(X, Y) == pytest.approx(reference.mmd2(X, Y, "rbf", gamma, "unbiased"), rel=1e-10)


# --------------------------------------------------------------------------------------
# tiles: enough rows for several blocks, and row numbers at their seams


@pytest.mark.parametrize("sizes", [(511, 2), (255, 257), (512, 512), (513, 1100), (1, 1024)])
@pytest.mark.parametrize("n_features", [2, 12])
def test_many_rows_against_scipy(sizes, n_features, rng):
    X, Y = (rng.normal(size=(n, n_features)) + i for i, n in enumerate(sizes))
    gamma = 0.2 / n_features
    expected = {}
    for name, pair in {"xx": (X, X), "yy": (Y, Y), "xy": (X, Y)}.items():
        expected[name] = {
            "rbf": np.exp(-gamma * distance.cdist(*pair, "sqeuclidean")),
            "laplacian": np.exp(-gamma * distance.cdist(*pair, "cityblock")),
            "energy": -distance.cdist(*pair),
            "linear": pair[0] @ pair[1].T,
        }
    for kernel in expected["xx"]:
        xx, yy, xy = (expected[name][kernel] for name in ("xx", "yy", "xy"))
        biased = xx.mean() + yy.mean() - 2 * xy.mean()
        options = {"kernel": kernel, "gamma": gamma}
        assert mmd(X, Y, estimator="biased", **options) == pytest.approx(
            biased, rel=1e-8, abs=1e-11
        )
        if min(sizes) > 1:
            (n, m) = sizes
            unbiased = (
                (xx.sum() - np.trace(xx)) / (n * (n - 1))
                + (yy.sum() - np.trace(yy)) / (m * (m - 1))
                - 2 * xy.mean()
            )
            assert mmd(X, Y, **options) == pytest.approx(unbiased, rel=1e-8, abs=1e-11)


# --------------------------------------------------------------------------------------
# identities


@pytest.mark.parametrize("kernel", NAMED)
@pytest.mark.parametrize("estimator", ESTIMATORS)
@given(samples=strategies.samples(forms=("C",), contents=("normal", "grid", "duplicates")))
def test_symmetric(kernel, estimator, samples):
    X, Y = samples.given
    options = {"kernel": kernel, "gamma": 0.5, "estimator": estimator}
    atol = tolerance(samples, kernel, 0.5)
    assert mmd(X, Y, **options) == pytest.approx(mmd(Y, X, **options), rel=1e-10, abs=atol)


@pytest.mark.parametrize("kernel", NAMED)
@given(samples=strategies.samples(forms=("C",)))
def test_biased_is_a_squared_distance(kernel, samples):
    X, Y = samples.given
    gamma = sensible_gamma(kernel, 0.5, samples)
    atol = tolerance(samples, kernel, gamma)
    assert mmd(X, Y, kernel=kernel, gamma=gamma, estimator="biased") >= -atol
    same = mmd(X, X.copy(), kernel=kernel, gamma=gamma, estimator="biased")
    assert same == pytest.approx(0.0, abs=atol)


def test_linear_is_the_squared_distance_of_means(rng):
    X, Y = rng.normal(size=(20, 3)), rng.normal(size=(30, 3)) + 1
    difference = X.mean(axis=0) - Y.mean(axis=0)
    value = mmd(X, Y, kernel="linear", estimator="biased")
    assert value == pytest.approx(difference @ difference, rel=1e-12)


@pytest.mark.parametrize("gamma", [0.1, "median", [1.0, 2.0]])
@pytest.mark.parametrize("kernel", ["linear", "energy"])
def test_gamma_is_ignored_where_there_is_none(kernel, gamma, rng):
    X, Y = rng.normal(size=(6, 2)), rng.normal(size=(8, 2))
    expected = reference.mmd2(X, Y, kernel)
    assert mmd(X, Y, kernel=kernel, gamma=gamma) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kernel", SHIFT_FREE)
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("n_features", [2, 12])
def test_offset_of_2_to_the_23(kernel, estimator, n_features, rng):
    X, Y = (rng.integers(-512, 512, size=(n, n_features)) / 256 for n in (20, 25))
    options = {"kernel": kernel, "gamma": 0.3, "estimator": estimator}
    near = mmd(X, Y, **options)
    assert mmd(X + 2.0**23, Y + 2.0**23, **options) == pytest.approx(near, rel=1e-10, abs=1e-13)


def test_offset_of_2_to_the_23_in_float32(rng):
    X, Y = (rng.integers(0, 8, size=(n, 3)).astype(np.float32) for n in (20, 25))
    near = mmd(X, Y, gamma=0.1)
    offset = np.float32(2**23)
    assert mmd(X + offset, Y + offset, gamma=0.1) == pytest.approx(near, rel=1e-12)


# --------------------------------------------------------------------------------------
# weights


@pytest.mark.parametrize("kernel", NAMED)
@pytest.mark.parametrize("estimator", ESTIMATORS)
@given(data=st.data())
def test_integer_weights_are_copies(kernel, estimator, data):
    samples = data.draw(strategies.samples(forms=("C",), contents=("normal", "grid", "duplicates")))
    X, Y = samples.plain
    w_x, w_y = (data.draw(strategies.integer_weights(len(Z))) for Z in (X, Y))
    options = {"kernel": kernel, "gamma": 0.5, "estimator": estimator}
    by_weight = mmd(X, Y, sample_weight_X=w_x, sample_weight_Y=w_y, **options)
    by_copies = mmd(X.repeat(w_x, axis=0), Y.repeat(w_y, axis=0), **options)
    atol = tolerance(samples, kernel, 0.5)
    assert by_weight == pytest.approx(by_copies, rel=1e-8, abs=atol)
    expected = reference.mmd2(X, Y, kernel, 0.5, estimator, w_x.astype(float), w_y.astype(float))
    assert by_weight == pytest.approx(expected, rel=1e-8, abs=atol)


@given(data=st.data())
def test_weights_enter_the_median(data):
    samples = data.draw(strategies.samples(forms=("C",), contents=("normal", "grid")))
    X, Y = samples.plain
    w_x, w_y = (data.draw(strategies.integer_weights(len(Z))) for Z in (X, Y))
    by_weight = mmd(X, Y, gamma="median", sample_weight_X=w_x, sample_weight_Y=w_y)
    by_copies = mmd(X.repeat(w_x, axis=0), Y.repeat(w_y, axis=0), gamma="median")
    assert by_weight == pytest.approx(by_copies, rel=1e-8, abs=1e-10)


def test_biased_weights_are_normalised_within_each_sample(rng):
    X, Y = rng.normal(size=(8, 2)), rng.normal(size=(6, 2))
    w_x, w_y = rng.random(8), rng.random(6)
    options = {"gamma": 0.5, "estimator": "biased"}
    value = mmd(X, Y, sample_weight_X=w_x, sample_weight_Y=w_y, **options)
    assert value == pytest.approx(reference.mmd2(X, Y, "rbf", 0.5, "biased", w_x, w_y), rel=1e-10)
    scaled = mmd(X, Y, sample_weight_X=7 * w_x, sample_weight_Y=w_y / 3, **options)
    assert scaled == pytest.approx(value, rel=1e-12)


def test_one_sided_weights(rng):
    X, Y = rng.normal(size=(8, 2)), rng.normal(size=(6, 2))
    w_x = rng.integers(1, 4, 8).astype(float)
    value = mmd(X, Y, gamma=0.5, sample_weight_X=w_x)
    assert value == pytest.approx(reference.mmd2(X, Y, "rbf", 0.5, "unbiased", w_x), rel=1e-10)


@pytest.mark.parametrize("argument", ["sample_weight_X", "sample_weight_Y"])
@pytest.mark.parametrize(
    "weights",
    [
        [1.0, -1.0, 1.0, 1.0],
        [1.0, np.nan, 1.0, 1.0],
        [1.0, np.inf, 1.0, 1.0],
        [0.0, 0.0, 0.0, 0.0],
        [1.0, 1.0],
        [[1.0, 1.0, 1.0, 1.0]],
    ],
    ids=["negative", "nan", "inf", "all zero", "too few", "two-dimensional"],
)
def test_bad_weights(argument, weights, rng):
    X, Y = rng.normal(size=(4, 2)), rng.normal(size=(4, 2))
    with pytest.raises(ValueError, match=r"(?i)weight"):
        mmd(X, Y, gamma=1.0, **{argument: np.array(weights)})


def test_weights_that_add_up_to_one_row_or_less(rng):
    """The unbiased mean over pairs has no meaning: never a silent number out of 1/(W(W-1))."""
    X, Y = rng.normal(size=(4, 2)), rng.normal(size=(4, 2))
    one = np.array([0.0, 1.0, 0.0, 0.0])
    with pytest.warns(UserWarning, match="single row"):
        value = mmd(X, Y, gamma=1.0, sample_weight_X=one)
    expected = reference.mmd2(X, Y, "rbf", 1.0, "unbiased", one)
    assert value == pytest.approx(expected, rel=1e-10)
    for weights in (np.full(4, 0.25), np.full(4, 0.2)):
        with pytest.raises(ValueError, match="number of copies"):
            mmd(X, Y, gamma=1.0, sample_weight_X=weights)
    # 100 * (1 / 100) adds up to a little more than 1 in floating point.
    many = rng.normal(size=(100, 2))
    with pytest.raises(ValueError, match="number of copies"):
        mmd(many, Y, gamma=1.0, sample_weight_X=np.full(100, 0.01))
    value = mmd(X, Y, gamma=1.0, estimator="biased", sample_weight_X=np.full(4, 0.25))
    assert value == pytest.approx(mmd(X, Y, gamma=1.0, estimator="biased"), rel=1e-12)


# --------------------------------------------------------------------------------------
# callable and precomputed kernels


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_callable(estimator, rng):
    X, Y = rng.normal(size=(7, 2)), rng.normal(size=(9, 2))

    def cube(a, b):
        return (a @ b.T + 0.5) ** 3

    value = mmd(X, Y, kernel=cube, estimator=estimator)
    expected = reference.MMD2[estimator](cube(X, X), cube(Y, Y), cube(X, Y))
    assert value == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_precomputed(estimator, rng):
    Z = rng.normal(size=(15, 2))
    K = reference.gram(Z, Z, "rbf", 0.5)
    value = mmd(K, 6, kernel="precomputed", estimator=estimator)
    expected = reference.mmd2(Z[:6], Z[6:], "rbf", 0.5, estimator)
    assert value == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("n_first", [0, 15, 16, -1, 2.5, "six", None])
def test_precomputed_needs_a_number_of_rows(n_first, rng):
    K = np.eye(15)
    with pytest.raises((ValueError, TypeError), match=r"(?i)rows|first sample|int"):
        mmd(K, n_first, kernel="precomputed")


def test_precomputed_must_be_square_and_symmetric():
    with pytest.raises(ValueError, match=r"(?i)square"):
        mmd(np.ones((4, 5)), 2, kernel="precomputed")
    lopsided = np.eye(4)
    lopsided[0, 3] = 0.7
    with pytest.raises(ValueError, match=r"(?i)symmetric"):
        mmd(lopsided, 2, kernel="precomputed")


# --------------------------------------------------------------------------------------
# small and degenerate samples


@pytest.mark.parametrize("kernel", NAMED)
@pytest.mark.parametrize("sizes", [(1, 1), (1, 4), (5, 1)])
def test_one_row_in_a_sample(kernel, sizes, rng):
    X, Y = (rng.normal(size=(n, 2)) for n in sizes)
    biased = mmd(X, Y, kernel=kernel, gamma=0.5, estimator="biased")
    assert biased == pytest.approx(reference.mmd2(X, Y, kernel, 0.5, "biased"), rel=1e-9, abs=1e-12)
    with pytest.warns(UserWarning, match=r"(?i)(one|single|1) row"):
        unbiased = mmd(X, Y, kernel=kernel, gamma=0.5)
    expected = reference.mmd2(X, Y, kernel, 0.5, "unbiased")
    assert unbiased == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("kernel", NAMED)
@pytest.mark.parametrize("gamma", ["median", 0.5])
def test_all_points_equal(kernel, gamma):
    X, Y = np.full((5, 2), 3.0), np.full((7, 2), 3.0)
    for estimator in ESTIMATORS:
        value = mmd(X, Y, kernel=kernel, gamma=gamma, estimator=estimator)
        assert value == pytest.approx(0.0, abs=1e-9 * 19.0**3)


def test_huge_and_tiny_scales(rng):
    X, Y = rng.normal(size=(8, 2)), rng.normal(size=(9, 2)) + 1
    expected = mmd(X, Y)
    for factor in (2.0**-300, 2.0**300):
        assert mmd(X * factor, Y * factor) == pytest.approx(expected, rel=1e-9)


# --------------------------------------------------------------------------------------
# errors


X_GOOD = np.arange(8.0).reshape(4, 2)


def with_value(value):
    bad = X_GOOD.copy()
    bad[1, 1] = value
    return bad


@pytest.mark.parametrize(
    ("X", "Y", "message"),
    [
        (with_value(np.nan), X_GOOD, r"\bX contains NaN|NaN"),
        (X_GOOD, with_value(np.nan), r"\bY contains NaN|NaN"),
        (with_value(np.inf), X_GOOD, r"(?i)infinity"),
        (X_GOOD, with_value(-np.inf), r"(?i)infinity"),
        (X_GOOD, X_GOOD[:, :1], r"(?i)features|columns"),
        (X_GOOD, X_GOOD[:, 0], r"(?i)features|columns"),
        (X_GOOD[:0], X_GOOD, r"(?i)0 sample"),
        (X_GOOD, X_GOOD[:0], r"(?i)0 sample"),
        (X_GOOD[:, :0], X_GOOD[:, :0], r"(?i)0 feature"),
        (X_GOOD[None], X_GOOD, r"(?i)dim"),
        (3.0, X_GOOD, r"(?i)scalar|dim|array"),
        (np.array([["a", "b"]]), X_GOOD, r"(?i)convert|numeric|string"),
        (X_GOOD * 1j, X_GOOD, r"(?i)complex"),
    ],
)
def test_bad_samples(X, Y, message):
    with pytest.raises(ValueError, match=message):
        mmd(X, Y)


def test_messages_name_the_sample():
    with pytest.raises(ValueError, match=r"\bX\b"):
        mmd(with_value(np.nan), X_GOOD)
    with pytest.raises(ValueError, match=r"\bY\b"):
        mmd(X_GOOD, with_value(np.nan))


def test_sparse_is_a_type_error():
    with pytest.raises(TypeError, match=r"(?i)sparse"):
        mmd(sparse.csr_array(X_GOOD), X_GOOD)
    with pytest.raises(TypeError, match=r"(?i)sparse"):
        mmd(X_GOOD, sparse.csr_array(X_GOOD))


@pytest.mark.parametrize(
    "options",
    [
        {"kernel": "gaussian"},
        {"kernel": 3},
        {"gamma": 0.0},
        {"gamma": -1.0},
        {"gamma": np.nan},
        {"gamma": np.inf},
        {"gamma": "mean"},
        {"estimator": "u"},
    ],
    ids=str,
)
def test_bad_parameters_are_named(options):
    (name,) = options
    with pytest.raises(ValueError, match=name):
        mmd(X_GOOD, X_GOOD + 1.0, **options)


def test_data_frames_with_other_columns_are_refused():
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(X_GOOD, columns=["a", "b"])
    Y = pandas.DataFrame(X_GOOD, columns=["b", "a"])
    with pytest.raises(ValueError, match=r"(?i)feature names|columns"):
        mmd(X, Y)


def test_nullable_and_boolean_columns():
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame({"a": pandas.array([1, 2, 3], dtype="Int64"), "b": [True, False, True]})
    Y = pandas.DataFrame({"a": [4.0, 5.0], "b": [0.0, 1.0]})
    plain = np.array([[1.0, 1.0], [2.0, 0.0], [3.0, 1.0]])
    assert mmd(X, Y, gamma=0.1) == pytest.approx(mmd(plain, Y.to_numpy(), gamma=0.1), rel=1e-14)


def test_inputs_are_not_written_to(rng):
    X, Y = rng.normal(size=(10, 2)), rng.normal(size=(10, 2))
    X.flags.writeable = Y.flags.writeable = False
    before = X.copy(), Y.copy()
    for kernel in NAMED:
        mmd(X, Y, kernel=kernel)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(Y, before[1])


def test_negative_zero_and_subnormal_values():
    X = np.array([[0.0], [-0.0], [5e-324]])
    Y = np.array([[0.0], [1.0]])
    value = mmd(X, Y, gamma=1.0, estimator="biased")
    expected = 1 + (1 + math.exp(-1)) / 2 - 2 * (1 + math.exp(-1)) / 2
    assert value == pytest.approx(expected, rel=1e-12)
