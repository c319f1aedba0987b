"""`MMDSampleSelector` against brute force: MMD^2 of every candidate set is computed anew."""

import itertools
import warnings

import joblib
import numpy as np
import pytest

from skmmd.transfer import MMDSampleSelector, weighted_mmd
from tests import reference
from tests.transfer import oracles

KERNELS = ("rbf", "laplacian", "imq", "rq", "linear", "polynomial")
SHIFT_FREE = KERNELS[:4]
METHODS = ("greedy", "herding", "critic")
each_method = pytest.mark.parametrize("method", METHODS)
each_kernel = pytest.mark.parametrize("kernel", KERNELS)


def task(seed=0, n=45, d=3):
    """Return rows in random order; two in three are source, target rows lie in a part of them."""
    rng = np.random.default_rng(seed)
    is_source = rng.permutation(np.arange(n) % 3 > 0)
    X = rng.normal(size=(n, d))
    X[~is_source] = 0.8 + 0.5 * X[~is_source]
    return X, is_source


def grams(X, is_source, kernel, gamma=0.3):
    S, T = X[is_source], X[~is_source]
    return tuple(oracles.gram(*pair, kernel, gamma) for pair in ((S, S), (S, T), (T, T)))


def select(X, is_source, **options):
    options = {"n_samples": 8, "gamma": 0.3, **options}
    model = MMDSampleSelector(**options)
    assert model.fit(X, sample_domain=np.where(is_source, 1, -1)) is model
    return model


def brute_force(method, n_samples, K_cc, K_ct, K_tt):
    if method == "herding":
        return oracles.herding_selection(n_samples, K_cc, K_ct, K_tt)
    chosen, path = oracles.greedy_selection(n_samples, K_cc, K_ct, K_tt)
    if method == "critic":
        assert chosen == oracles.critic_selection(n_samples, K_cc, K_ct)
    return chosen, path


@each_method
@each_kernel
def test_picks_equal_brute_force(method, kernel):
    """Numbers are those of rows of X as given, in picking order."""
    for seed in range(3):
        X, is_source = task(seed)
        K_cc, K_ct, K_tt = grams(X, is_source, kernel)
        chosen, path = brute_force(method, 8, K_cc, K_ct, K_tt)
        model = select(X, is_source, method=method, kernel=kernel, n_criticisms=1)
        assert model.sample_indices_.shape == (8,)
        assert model.sample_indices_.dtype.kind == "i"
        np.testing.assert_array_equal(model.sample_indices_, np.flatnonzero(is_source)[chosen])
        np.testing.assert_allclose(
            model.mmd_path_, path, rtol=1e-7, atol=1e-11 * np.abs(K_cc).max()
        )


@each_method
@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "polynomial"])
def test_one_sample_is_both(method, kernel):
    """Without sample_domain: prototypes of the sample itself, and no warning."""
    X, _ = task(4, 30)
    K = oracles.gram(X, X, kernel, 0.3)
    chosen, path = brute_force(method, 6, K, K, K)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = MMDSampleSelector(6, method=method, kernel=kernel, gamma=0.3).fit(X)
    np.testing.assert_array_equal(model.sample_indices_, chosen)
    np.testing.assert_allclose(model.mmd_path_, path, rtol=1e-7, atol=1e-11 * K.max())


@pytest.mark.parametrize("kernel", SHIFT_FREE)
@pytest.mark.parametrize("both", [True, False])
def test_criticisms_equal_brute_force(kernel, both):
    for seed in range(3):
        X, is_source = task(seed)
        rows = np.arange(45) if both else np.flatnonzero(is_source)
        T = X if both else X[~is_source]
        S = X[rows]
        K_cc, K_ct = oracles.gram(S, S, kernel, 0.3), oracles.gram(S, T, kernel, 0.3)
        model = MMDSampleSelector(5, method="critic", kernel=kernel, gamma=0.3, n_criticisms=7).fit(
            X, sample_domain=None if both else np.where(is_source, 1, -1)
        )
        prototypes = [int(np.flatnonzero(rows == i)[0]) for i in model.sample_indices_]
        expected = oracles.criticisms(7, prototypes, K_cc, K_ct)
        np.testing.assert_array_equal(model.criticism_indices_, rows[expected])


def test_criticisms_by_default_are_as_many():
    X, is_source = task()
    model = select(X, is_source, method="critic", n_samples=4)
    assert model.criticism_indices_.shape == (4,)
    assert not set(model.criticism_indices_) & set(model.sample_indices_)
    assert set(model.criticism_indices_) <= set(np.flatnonzero(is_source))


def test_no_criticisms():
    X, is_source = task()
    model = select(X, is_source, method="critic", n_criticisms=0)
    assert model.criticism_indices_.shape == (0,)


@pytest.mark.parametrize("kernel", ["rbf", "laplacian"])
def test_criticisms_never_repeat_a_row(kernel):
    """A copy of a criticism has determinant 0."""
    X, is_source = task(0, 24)
    X, is_source = np.vstack([X, X]), np.tile(is_source, 2)
    model = select(X, is_source, method="critic", kernel=kernel, n_samples=3, n_criticisms=8)
    rows = X[model.criticism_indices_]
    assert len(np.unique(rows, axis=0)) == 8


@pytest.mark.parametrize("kernel", ["rbf", "imq"])
def test_the_median_is_that_of_all_rows(kernel):
    X, is_source = task()
    gamma = reference.median_gamma(X, kernel)
    one = select(X, is_source, kernel=kernel, gamma="median")
    two = select(X, is_source, kernel=kernel, gamma=gamma)
    np.testing.assert_array_equal(one.sample_indices_, two.sample_indices_)
    np.testing.assert_allclose(one.mmd_path_, two.mmd_path_, rtol=1e-8)


def test_a_callable_kernel():
    X, is_source = task()
    one = select(X, is_source)
    two = select(X, is_source, kernel=lambda A, B: oracles.gram(A, B, "rbf", 0.3))
    np.testing.assert_array_equal(two.sample_indices_, one.sample_indices_)


@each_method
def test_all_candidates(method):
    """No replacement: in the end each is picked once, and MMD is that of the two samples."""
    X, is_source = task(0, 24)
    model = select(X, is_source, method=method, n_samples=16)
    assert sorted(model.sample_indices_) == sorted(np.flatnonzero(is_source))
    expected = oracles.weighted_mmd(X[is_source], X[~is_source], None, None, "rbf", 0.3)
    assert model.mmd_path_[-1] == pytest.approx(expected, rel=1e-9)


def test_first_picks_do_not_depend_on_the_number():
    X, is_source = task()
    few, many = (select(X, is_source, n_samples=n).sample_indices_ for n in (4, 20))
    np.testing.assert_array_equal(few, many[:4])


@each_method
def test_path_is_the_mmd_of_the_picks(method):
    """Many rows: enough for several blocks."""
    X, is_source = task(2, 1500, 5)
    model = select(X, is_source, method=method, n_samples=40, gamma="median", n_criticisms=3)
    path = [
        weighted_mmd(X[model.sample_indices_[:t]], X[~is_source], gamma=reference_gamma(X))
        for t in (1, 7, 40)
    ]
    np.testing.assert_allclose(model.mmd_path_[[0, 6, 39]], path, rtol=1e-6)
    target = np.random.default_rng(0).permutation(np.flatnonzero(~is_source))
    pieces = [weighted_mmd(X[c], X[~is_source]) for c in target[:480].reshape(12, 40)]
    assert model.mmd_path_[-1] < min(pieces), "better than as many rows of the target itself"


def reference_gamma(X):
    """Return 1 / (2 median^2) of all distances."""
    distances = [np.sqrt(((X[i + 1 :] - X[i]) ** 2).sum(axis=1)) for i in range(len(X) - 1)]
    return 1 / (2 * np.median(np.concatenate(distances)) ** 2)


def test_two_of_a_few_are_the_best_pair_or_near_it():
    """Greedy is not exact, but never worse than the best single row with its best partner."""
    X, is_source = task(1, 15)
    grams_ = grams(X, is_source, "rbf")
    pairs = [oracles.subset_mmd2(p, *grams_) for p in itertools.combinations(range(10), 2)]
    single = [oracles.subset_mmd2([i], *grams_) for i in range(10)]
    path = select(X, is_source, n_samples=2).mmd_path_
    assert path[0] == pytest.approx(min(single), rel=1e-9)
    assert min(pairs) * (1 - 1e-9) <= path[1] <= path[0]


# --------------------------------------------------------------------------------------
# what must not matter


def test_order_of_rows():
    X, is_source = task()
    order = np.random.default_rng(0).permutation(45)
    one, two = select(X, is_source), select(X[order], is_source[order])
    np.testing.assert_array_equal(order[two.sample_indices_], one.sample_indices_)


def test_duplicated_target():
    X, is_source = task()
    more = np.vstack([X, X[~is_source]])
    one = select(X, is_source)
    two = select(more, np.append(is_source, np.zeros(15, dtype=bool)))
    np.testing.assert_array_equal(two.sample_indices_, one.sample_indices_)
    np.testing.assert_allclose(two.mmd_path_, one.mmd_path_, rtol=1e-9)


@each_method
@pytest.mark.parametrize("kernel", SHIFT_FREE)
def test_a_huge_offset(method, kernel):
    """Rows are multiples of 2^-10, so that the offset itself does not round."""
    X, is_source = task()
    X = np.round(1024 * X) / 1024
    options = {"kernel": kernel, "gamma": "median", "method": method}
    one, two = (select(rows, is_source, **options) for rows in (X, X + 1e6))
    np.testing.assert_array_equal(two.sample_indices_, one.sample_indices_)
    np.testing.assert_allclose(two.mmd_path_, one.mmd_path_, rtol=1e-6)


def test_float32_frames_and_labels():
    pandas = pytest.importorskip("pandas")
    X, is_source = task()
    X = X.astype(np.float32)
    one = select(X.astype(float), is_source)
    np.testing.assert_array_equal(select(X, is_source).sample_indices_, one.sample_indices_)
    frame = pandas.DataFrame(X, columns=list("abc"), index=np.arange(45)[::-1])
    two = MMDSampleSelector(8, gamma=0.3).fit(
        frame,
        np.full(45, "anything"),
        sample_domain=pandas.Series(np.where(is_source, 0, -7), index=frame.index),
    )
    np.testing.assert_array_equal(two.sample_indices_, one.sample_indices_)
    assert list(two.feature_names_in_) == list("abc")


@each_method
def test_threads(method):
    X, is_source = task(1, 900)
    one = select(X, is_source, method=method, n_jobs=1)
    three = select(X, is_source, method=method, n_jobs=2)
    np.testing.assert_array_equal(three.sample_indices_, one.sample_indices_)
    np.testing.assert_array_equal(three.mmd_path_, one.mmd_path_)
    with joblib.parallel_config(backend="threading", n_jobs=2):
        two = select(X, is_source, method=method)
    np.testing.assert_array_equal(two.sample_indices_, one.sample_indices_)
    np.testing.assert_array_equal(two.mmd_path_, one.mmd_path_)


@each_method
def test_nothing_is_written(method):
    X, is_source = task()
    arrays = [X, np.where(is_source, 1, -1), np.arange(45.0)]
    before = [a.copy() for a in arrays]
    for a in arrays:
        a.flags.writeable = False
    MMDSampleSelector(5, method=method).fit(X, arrays[2], sample_domain=arrays[1])
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


# --------------------------------------------------------------------------------------
# degenerate input


@each_method
@each_kernel
def test_constant_rows(method, kernel):
    """All picks are as good: any rows, but each at most once."""
    X, is_source = np.full((20, 2), 1.5), np.arange(20) < 14
    model = select(X, is_source, method=method, kernel=kernel, n_samples=6, n_criticisms=1)
    assert len(set(model.sample_indices_)) == 6
    assert set(model.sample_indices_) <= set(range(14))
    np.testing.assert_allclose(model.mmd_path_, 0.0, atol=1e-9)


def test_one_row_each():
    X = np.array([[0.0, 1.0], [1.0, 1.5]])
    model = MMDSampleSelector(1, gamma=0.3).fit(X, sample_domain=[-1, 1])
    np.testing.assert_array_equal(model.sample_indices_, [1])
    expected = 2 - 2 * reference.kernel_value(X[0], X[1], "rbf", 0.3)
    np.testing.assert_allclose(model.mmd_path_, [expected], rtol=1e-9)


@each_method
def test_duplicated_candidates(method):
    """Ties are free, so compare the path."""
    X, is_source = task(0, 30)
    X2, source2 = np.vstack([X, X]), np.tile(is_source, 2)
    K_cc, K_ct, K_tt = grams(X2, source2, "rbf")
    _, path = brute_force(method, 8, K_cc, K_ct, K_tt)
    model = select(X2, source2, method=method, n_criticisms=1)
    assert len(set(model.sample_indices_)) == 8
    np.testing.assert_allclose(model.mmd_path_, path, rtol=1e-7)


# --------------------------------------------------------------------------------------
# errors

BAD_OPTIONS = {
    "n_samples": (0, -1, 2.5, "all", None),
    "method": ("random", None),
    "kernel": ("gauss", "energy", None),
    "gamma": (0.0, -1.0, "scale", np.nan, None),
    "n_criticisms": (-1, 2.5, "all"),
}


@pytest.mark.parametrize(
    ("name", "value"), [(n, v) for n, values in BAD_OPTIONS.items() for v in values]
)
def test_bad_options(name, value):
    X, is_source = task()
    with pytest.raises((ValueError, TypeError), match=name):
        select(X, is_source, **{"method": "critic", name: value})


def test_more_samples_than_candidates():
    X, is_source = task()
    with pytest.raises(ValueError, match=r"n_samples.*30"):
        select(X, is_source, n_samples=31)


def test_more_criticisms_than_candidates():
    X, is_source = task()
    with pytest.raises(ValueError, match="n_criticisms"):
        select(X, is_source, n_samples=10, method="critic", n_criticisms=21)
