"""Digits: offsets, float32, duplicates, and scales at which naive formulas fail."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import distance

from skmmd.two_sample import MMDTest, mmd, mmd_test
from tests import reference

METHODS = ("permutation", "binned", "nystroem")
KERNELS = ("rbf", "laplacian", "imq", "rq", "energy")


def dyadic(n, d, seed):
    """Multiples of 1/256, so that adding 2**23 is exact in float64."""
    return np.random.default_rng(seed).integers(-512, 512, size=(n, d)) / 256


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("n_features", [2, 12])
def test_offset_of_2_to_the_23(method, kernel, n_features):
    X, Y = dyadic(30, n_features, 0), dyadic(35, n_features, 1)
    options = {
        "kernel": kernel,
        "gamma": "median",
        "method": method,
        "n_components": 20,
        "n_permutations": 99,
        "random_state": 0,
    }
    near = mmd_test(X, Y, **options)
    far = mmd_test(X + 2.0**23, Y + 2.0**23, **options)
    assert far.statistic == pytest.approx(near.statistic, rel=1e-7, abs=1e-10)
    np.testing.assert_allclose(far.null_distribution, near.null_distribution, rtol=1e-5, atol=1e-9)
    assert far.pvalue == near.pvalue


def test_offset_of_2_to_the_23_aggregated():
    X, Y = dyadic(30, 3, 0), dyadic(35, 3, 1) + 0.5
    near = mmd_test(X, Y, random_state=0, n_permutations=99)
    far = mmd_test(X + 2.0**23, Y + 2.0**23, random_state=0, n_permutations=99)
    np.testing.assert_allclose(far.gamma, near.gamma, rtol=1e-12)
    assert far.statistic == pytest.approx(near.statistic, rel=1e-9)
    assert far.pvalue == near.pvalue


def test_different_offsets_of_columns():
    X, Y = dyadic(25, 3, 0), dyadic(25, 3, 1)
    offset = np.array([2.0**23, -(2.0**30), 0.0])
    assert mmd(X + offset, Y + offset, gamma=0.2) == pytest.approx(mmd(X, Y, gamma=0.2), rel=1e-11)


@pytest.mark.parametrize("method", METHODS)
def test_float32_gives_the_statistic_of_its_values(method):
    """Not merely close: float32 GEMMs lose 7e-4 of MMD^2 at n = 500."""
    rng = np.random.default_rng(0)
    X, Y = (rng.normal(size=(500, 10)).astype(np.float32) for _ in range(2))
    options = {"method": method, "gamma": 0.05, "n_permutations": 19, "random_state": 0}
    narrow = mmd_test(X, Y, **options)
    wide = mmd_test(X.astype(np.float64), Y.astype(np.float64), **options)
    assert narrow.statistic == pytest.approx(wide.statistic, rel=1e-6, abs=1e-9)
    assert narrow.pvalue == wide.pvalue


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.uint8, np.int64, bool])
def test_other_dtypes(dtype):
    rng = np.random.default_rng(0)
    X, Y = (rng.integers(0, 2, size=(20, 3)).astype(dtype) for _ in range(2))
    value = mmd(X, Y, gamma=0.5)
    assert value == pytest.approx(mmd(X.astype(float), Y.astype(float), gamma=0.5), rel=1e-14)


def test_unsigned_integers_do_not_wrap():
    X, Y = np.array([[0], [250]], dtype=np.uint8), np.array([[255], [1]], dtype=np.uint8)
    assert mmd(X, Y, gamma=1e-4) == pytest.approx(
        reference.mmd2(X.astype(float), Y.astype(float), "rbf", 1e-4), rel=1e-10
    )


@pytest.mark.parametrize("gamma", ["median", "aggregate"])
@pytest.mark.parametrize("kernel", ["rbf", "laplacian"])
def test_duplicates_with_median_zero(gamma, kernel):
    """hyppo issue 92: the median distance is 0 and gamma infinite."""
    X = np.concatenate([np.zeros(20), [1.0, 2.0]])[:, None]
    Y = np.concatenate([np.zeros(22), [3.0, 7.0]])[:, None]
    result = mmd_test(X, Y, kernel=kernel, gamma=gamma, n_permutations=99, random_state=0)
    assert np.all(np.isfinite(result.gamma))
    assert np.isfinite(result.statistic)
    assert 0.05 < result.pvalue <= 1.0
    if gamma == "median":
        expected = reference.median_gamma(np.vstack([X, Y]), kernel)
        assert result.gamma == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("method", ["exact", *METHODS])
def test_two_distinct_values(method):
    """Equal points within each group, and a gap between the groups."""
    n = 4 if method == "exact" else 20
    X, Y = np.zeros((n, 2)), np.ones((n + 1, 2))
    result = mmd_test(X, Y, method=method, n_permutations=99, random_state=0)
    assert result.pvalue <= 0.011
    assert np.all(np.isfinite(result.null_distribution))


def test_all_rows_equal_in_many_groups():
    test = MMDTest(random_state=0, n_permutations=19).fit(np.full((30, 2), 1e5), np.arange(30) % 3)
    assert test.pvalue_ == 1.0
    assert np.isfinite(test.statistic_)
    assert np.all(np.isfinite(test.score_samples(np.full((4, 2), 1e5))))
    assert np.isfinite(test.score(np.full((30, 2), 1e5), np.arange(30) % 3))


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-9, 12345.678])
@pytest.mark.parametrize("kernel", ["rbf", "linear", "energy", "polynomial", "laplacian"])
@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
@pytest.mark.parametrize("n_features", [2, 9])
def test_equal_rows_of_unround_values(value, kernel, estimator, n_features):
    """All labelings tie, whatever rounding makes of their sums."""
    X, Y = np.full((7, n_features), value), np.full((9, n_features), value)
    options = {"kernel": kernel, "estimator": estimator, "n_permutations": 49, "random_state": 0}
    for gamma in ("median", "aggregate", 0.3):
        assert mmd_test(X, Y, gamma=gamma, method="permutation", **options).pvalue == 1.0


@pytest.mark.parametrize("method", ["exact", "permutation", "binned"])
def test_same_rows_in_both_groups(method):
    """The observed statistic is the smallest: no evidence whatever."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5 if method == "exact" else 30, 2))
    result = mmd_test(
        X, X[::-1].copy(), estimator="biased", gamma=0.5, method=method, random_state=0
    )
    assert result.pvalue == 1.0


def test_tied_complement_labelings_count_twice():
    """n1 = n2: rounding of 1e-17 may not break the tie of a labeling and its complement."""
    for seed in range(30):
        rng = np.random.default_rng(seed)
        X, Y = rng.normal(size=(5, 3)) * 1e3, rng.normal(size=(5, 3)) * 1e3
        pvalue = mmd_test(X, Y, method="exact").pvalue
        count = pvalue * 252
        assert round(count) % 2 == 0
        assert count == pytest.approx(round(count), abs=1e-9)


@pytest.mark.parametrize("scale", [1e-100, 1e100])
def test_extreme_scales(scale):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(30, 2)), rng.normal(size=(30, 2)) + 2.0
    result = mmd_test(X * scale, Y * scale, random_state=0, n_permutations=99)
    assert np.isfinite(result.statistic)
    assert result.pvalue == pytest.approx(0.01)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_scales_whose_squares_leave_float64_are_refused(scale):
    """All distances would be 0, or infinite: the p-value would silently be 1."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(30, 2)), rng.normal(size=(30, 2)) + 2.0
    with pytest.raises(ValueError, match=r"(?i)rescale"):
        mmd_test(X * scale, Y * scale, random_state=0, n_permutations=99)


def test_one_outlier_does_not_blind_the_test():
    """The outlier takes the mean, and naive distances lose all digits of the others."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(60, 10)), rng.normal(size=(60, 10)) + 1.0
    X[0] = 1e12
    result = mmd_test(X, Y, random_state=0, n_permutations=99)
    assert result.pvalue == pytest.approx(0.01)
    assert mmd(X, Y, gamma=0.05) == pytest.approx(reference.mmd2(X, Y, "rbf", 0.05), rel=1e-6)


def test_one_dimensional_input():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=30), rng.normal(size=25)
    options = {"random_state": 0, "n_permutations": 49}
    flat, column = mmd_test(x, y, **options), mmd_test(x[:, None], y[:, None], **options)
    assert tuple(flat) == tuple(column)
    np.testing.assert_array_equal(flat.witness(x), column.witness(x[:, None]))
    assert tuple(mmd_test(x.tolist(), y.tolist(), **options)) == tuple(flat)
    mixed = mmd_test(x, y[:, None], **options)
    assert tuple(mixed) == tuple(flat)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_series(library):
    module = pytest.importorskip(library)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=30), rng.normal(size=25)
    options = {"random_state": 0, "n_permutations": 49}
    series = mmd_test(module.Series(x), module.Series(y), **options)
    assert tuple(series) == tuple(mmd_test(x, y, **options))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", [0, 1])
def test_nan_and_infinity(bad, which):
    samples = [np.ones((5, 2)), np.zeros((6, 2))]
    samples[which][2, 1] = bad
    with pytest.raises(ValueError, match=r"NaN|(?i:infinity)"):
        mmd_test(*samples)


def test_values_that_overflow_when_squared():
    """1e200 squared is infinite; the kernel value of such a pair is 0, not NaN."""
    X, Y = np.array([[0.0], [1.0], [1e200]]), np.array([[0.5], [2.0], [3.0]])
    with np.errstate(over="ignore"):
        value = mmd(X, Y, gamma=0.5, estimator="biased")
    near = reference.gram([[0.0], [1.0]], [[0.5], [2.0], [3.0]], "rbf", 0.5)
    K_xx = np.eye(3)
    K_xx[0, 1] = K_xx[1, 0] = np.exp(-0.5)
    K_xy = np.vstack([near, np.zeros(3)])
    K_yy = reference.gram(Y, Y, "rbf", 0.5)
    assert value == pytest.approx(reference.mmd2_biased(K_xx, K_yy, K_xy), rel=1e-9)


def test_many_features_few_rows():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(6, 5000)), rng.normal(size=(7, 5000)) + 0.5
    gamma = 1e-4
    squared = ((np.vstack([X, Y])[:, None] - np.vstack([X, Y])[None]) ** 2).sum(axis=-1)
    K = np.exp(-gamma * squared)
    labels = np.repeat([0, 1], [6, 7])
    assert mmd(X, Y, gamma=gamma) == pytest.approx(
        reference.statistic(K, labels, "unbiased"), rel=1e-8
    )


# More rows than a tile: products in single precision may be taken there, whose range is 1e±38.


def scaled_tests(kernel, gamma, factor, n=(400, 300), d=3, **options):
    """Return the test of two samples, and of the same samples rescaled by a power of two."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(n[0], d)), rng.normal(size=(n[1], d)) * 1.1 + 0.05
    options = {"kernel": kernel, "n_permutations": 99, "random_state": 0, **options}
    return [mmd_test(X * f, Y * f, gamma=gamma, **options) for f in (1.0, factor)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("kernel", "power"),
    [("linear", 2), ("energy", 1), ("polynomial", 0), ("rbf", 0), ("laplacian", 0)],
)
@pytest.mark.parametrize("factor", [2.0**-80, 2.0**80])
def test_many_rows_of_extreme_scale(method, kernel, power, factor):
    near, far = scaled_tests(kernel, "median", factor, method=method, n_components=64)
    assert far.statistic == pytest.approx(near.statistic * factor**power, rel=1e-8)
    spread = np.std(near.null_distribution)
    np.testing.assert_allclose(
        far.null_distribution / factor**power, near.null_distribution, atol=1e-4 * spread
    )
    assert far.pvalue == near.pvalue


def test_many_rows_and_one_outlier():
    """One huge kernel value may not drown the others; nor may its mean."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(400, 2)), rng.normal(size=(300, 2)) + 0.4
    plain = mmd_test(X, Y, gamma=0.3, method="permutation", n_permutations=99, random_state=0)
    X[0] = 1e9
    far = mmd_test(X, Y, gamma=0.3, method="permutation", n_permutations=99, random_state=0)
    assert plain.pvalue == far.pvalue == pytest.approx(0.01)
    assert far.statistic == pytest.approx(plain.statistic, rel=0.1)


@pytest.mark.parametrize("kernel", ["rbf", "energy", "linear", "polynomial"])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_many_rows_against_doubles(kernel, offset):
    """Labelings drawn and summed here in double precision have the same quantiles."""
    rng = np.random.default_rng(1)
    Z = rng.normal(size=(700, 3)) + offset
    gamma = 0.01 if offset == 0.0 else 1e-7
    squared = distance.cdist(Z, Z, "sqeuclidean")
    K = {
        "rbf": lambda: np.exp(-gamma * squared),
        "energy": lambda: -np.sqrt(squared),
        "linear": lambda: Z @ Z.T,
        "polynomial": lambda: (gamma * Z @ Z.T + 1) ** 3,
    }[kernel]()
    result = mmd_test(
        Z[:400],
        Z[400:],
        kernel=kernel,
        gamma=gamma,
        method="permutation",
        n_permutations=1000,
        random_state=0,
    )
    np.fill_diagonal(K, 0.0)
    K -= (K.sum() / (700 * 699)) * (1 - np.eye(700))  # a constant cancels in MMD^2
    U = rng.permuted(np.tile(np.repeat([1.0, 0.0], [400, 300]), (1000, 1)), axis=1)
    U[0] = np.repeat([1.0, 0.0], [400, 300])
    V = 1 - U
    drawn = (
        ((U @ K) * U).sum(axis=1) / (400 * 399)
        + ((V @ K) * V).sum(axis=1) / (300 * 299)
        - 2 * ((U @ K) * V).sum(axis=1) / (400 * 300)
    )
    assert result.statistic == pytest.approx(drawn[0], rel=1e-5, abs=1e-8 * np.std(drawn))
    assert stats.ks_2samp(result.null_distribution, drawn).pvalue > 1e-3


@pytest.mark.parametrize("kernel", ["rbf", "linear", "energy"])
def test_many_equal_rows(kernel):
    for value in (0.1, 1e5):
        X, Y = np.full((400, 3), value), np.full((300, 3), value)
        result = mmd_test(
            X, Y, kernel=kernel, method="permutation", n_permutations=19, random_state=0
        )
        assert result.pvalue == 1.0


def test_many_rows_of_few_values():
    """Binary columns: rows repeat, labelings hardly ever tie, and nothing is split that does."""
    rng = np.random.default_rng(0)
    X, Y = rng.integers(0, 2, size=(400, 1)), rng.integers(0, 2, size=(300, 1))
    result = mmd_test(X, Y, gamma=1.0, method="permutation", n_permutations=999, random_state=0)
    # The statistic is a function of the number of ones in the first group alone.
    ones, n = int(X.sum() + Y.sum()), np.arange(0, 401)
    k = np.exp(-1.0)

    def statistic(a):  # a ones among the first 400 rows, the others among the 300
        b = ones - a
        x = 1 - 2 * (1 - k) * a * (400 - a) / (400 * 399)
        y = 1 - 2 * (1 - k) * b * (300 - b) / (300 * 299)
        cross = 1 - (1 - k) * (a * (300 - b) + (400 - a) * b) / (400 * 300)
        return x + y - 2 * cross

    possible = statistic(n[(ones - n >= 0) & (ones - n <= 300)].astype(float))
    observed = statistic(float(X.sum()))
    assert result.statistic == pytest.approx(observed, rel=1e-8, abs=1e-14)
    null, spread = result.null_distribution, np.std(result.null_distribution)
    nearest = np.abs(null[:, None] - possible[None, :]).argmin(axis=1)
    np.testing.assert_allclose(null, possible[nearest], atol=1e-4 * spread)
    expected = (1 + np.sum(possible[nearest] >= observed - 1e-12)) / 1000
    assert result.pvalue == pytest.approx(expected, abs=1e-12)
