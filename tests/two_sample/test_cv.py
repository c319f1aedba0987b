"""`MMDTestCV`: the kernel is chosen on one half, the test is on the other."""

import numpy as np
import pytest

from skmmd.two_sample import MMDTest, MMDTestCV, mmd_test
from tests import reference


def grouped(sizes=(30, 34), d=2, seed=0, scale=1.0, shift=0.0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(sizes)), sizes)
    X = rng.normal(size=(len(y), d)) * np.where(y == 1, scale, 1.0)[:, None] + shift * y[:, None]
    order = rng.permutation(len(y))
    return X[order], y[order]


def quick(n_splits=3, **options):
    return MMDTestCV(n_splits, **{"n_permutations": 99, "random_state": 0, **options})


@pytest.mark.parametrize("sizes", [(30, 34), (20, 21, 22)])
@pytest.mark.parametrize("test_size", [0.3, 0.5, 0.7])
def test_the_halves_are_disjoint_and_stratified(sizes, test_size):
    X, y = grouped(sizes)
    test = quick(test_size=test_size).fit(X, y)
    one, other = test.selection_indices_, test.test_indices_
    np.testing.assert_array_equal(np.sort(np.concatenate([one, other])), np.arange(len(y)))
    for group, size in enumerate(sizes):
        assert abs(np.sum(y[other] == group) - test_size * size) <= 1


def test_the_test_is_that_of_the_second_half():
    """Only the chosen kernel and the rows of the second half enter."""
    X, y = grouped(shift=0.5)
    test = quick().fit(X, y)
    rows = test.test_indices_
    left, right = X[rows][y[rows] == 0], X[rows][y[rows] == 1]
    K = reference.gram(X[rows], X[rows], test.kernel_, test.gamma_)
    assert test.statistic_ == pytest.approx(reference.statistic(K, y[rows], "unbiased"), rel=1e-9)
    result = mmd_test(
        left, right, kernel=test.kernel_, gamma=test.gamma_, n_permutations=99, random_state=1
    )
    assert test.statistic_ == pytest.approx(result.statistic, rel=1e-9)
    assert abs(test.pvalue_ - result.pvalue) < 0.2
    assert tuple(test.result_.n_samples) == (len(left), len(right))
    assert test.pvalue_ == test.result_.pvalue


def test_the_second_half_does_not_choose():
    X, y = grouped(shift=0.5)
    test = quick().fit(X, y)
    spoilt = X.copy()
    spoilt[test.test_indices_] = 100.0 * np.random.default_rng(1).normal(
        size=(len(test.test_indices_), 2)
    )
    again = quick().fit(spoilt, y)
    np.testing.assert_array_equal(again.test_indices_, test.test_indices_)
    assert again.kernel_ == test.kernel_
    assert again.gamma_ == test.gamma_
    np.testing.assert_array_equal(again.cv_results_["mean_power"], test.cv_results_["mean_power"])


@pytest.mark.parametrize("sizes", [(30, 34), (24, 25, 26)])
def test_the_chosen_candidate_has_the_largest_mean_criterion(sizes):
    X, y = grouped(sizes, scale=1.7)
    test = quick().fit(X, y)
    results = test.cv_results_
    power = np.asarray(results["fold_power"])
    assert power.shape == (len(results["gamma"]), 3)
    np.testing.assert_allclose(results["mean_power"], power.mean(axis=1))
    best = int(np.argmax(results["mean_power"]))
    assert test.kernel_ == results["kernel"][best]
    assert test.gamma_ == results["gamma"][best]


def test_one_fold_is_the_criterion_of_the_first_half():
    X, y = grouped(scale=1.7)
    test = quick(1, gamma=(0.1, 1.0), kernel=("rbf", "laplacian")).fit(X, y)
    rows = test.selection_indices_
    expected = [
        reference.mean_power_criterion(reference.gram(X[rows], X[rows], kernel, gamma), y[rows])
        for kernel in ("rbf", "laplacian")
        for gamma in (0.1, 1.0)
    ]
    np.testing.assert_allclose(test.cv_results_["mean_power"], expected, rtol=1e-7)


def test_the_grid_is_laid_on_the_first_half():
    X, y = grouped()
    test = quick(kernel="rbf", gamma="median").fit(X, y)
    expected = reference.median_gamma(X[test.selection_indices_], "rbf")
    assert test.gamma_ == pytest.approx(expected, rel=1e-9)


def test_it_chooses_the_kernel_that_sees_the_difference():
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(200, 1)), 2.0 * rng.normal(size=(200, 1))])
    y = np.repeat([0, 1], 200)
    test = quick(kernel="rbf", gamma=(1e-6, 0.3, 1e6)).fit(X, y)
    assert test.gamma_ == 0.3
    assert test.pvalue_ == 0.01


@pytest.mark.parametrize("kernel", ["rbf", ["rbf"], ("energy", "linear"), ("rbf", "energy")])
def test_kernels_to_choose_from(kernel):
    X, y = grouped(shift=1.0)
    test = quick(kernel=kernel).fit(X, y)
    assert test.kernel_ in ([kernel] if isinstance(kernel, str) else kernel)
    assert 0 < test.pvalue_ <= 1
    assert np.all(np.isfinite(test.score_samples(X)))


@pytest.mark.parametrize("kernel", ["precomputed", "cosine", [], ["rbf", "cosine"], 3])
def test_bad_kernels(kernel):
    X, y = grouped()
    with pytest.raises(ValueError, match="kernel"):
        quick(kernel=kernel).fit(X, y)


@pytest.mark.parametrize("options", [{"n_splits": 0}, {"test_size": 0.0}, {"test_size": 1.0}])
def test_bad_splits(options):
    X, y = grouped()
    (name,) = options
    with pytest.raises(ValueError, match=name):
        quick().set_params(**options).fit(X, y)


def test_small_groups():
    X, y = grouped((4, 5))
    test = quick(5).fit(X, y)
    assert 0 < test.pvalue_ <= 1
    with pytest.raises(ValueError, match=r"(?i)rows"):
        quick().fit(*grouped((1, 20)))
    with pytest.raises(ValueError, match=r"1 class"):
        quick().fit(X, np.zeros(9))


def test_another_seed_splits_otherwise():
    X, y = grouped()
    one, two = (quick(random_state=seed).fit(X, y) for seed in (0, 1))
    assert not np.array_equal(one.test_indices_, two.test_indices_)
    again = quick(random_state=0).fit(X, y)
    np.testing.assert_array_equal(one.test_indices_, again.test_indices_)
    np.testing.assert_array_equal(one.null_distribution_, again.null_distribution_)


def test_the_witness_is_that_of_the_second_half():
    X, y = grouped(shift=1.0)
    test = quick().fit(X, y)
    rows = test.test_indices_
    expected = reference.witness(X[:5], X[rows], y[rows], test.kernel_, test.gamma_)
    np.testing.assert_allclose(test.score_samples(X[:5]), expected, rtol=1e-8, atol=1e-12)


@pytest.mark.statistical
def test_level_of_a_kernel_chosen_on_the_other_half():
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1], 40)
    test = MMDTestCV(
        2,
        n_permutations=99,
        kernel="rbf",
        gamma=(0.05, 0.2, 0.8),
        method="permutation",
        random_state=0,
    )
    hits = sum(test.fit(rng.normal(size=(80, 3)), y).pvalue_ <= 0.05 for _ in range(1000))
    low, high = reference.binomial_bounds(0.05, 1000)
    assert low <= hits <= high, hits / 1000


@pytest.mark.statistical
def test_a_kernel_chosen_on_the_tested_rows_does_not_keep_the_level():
    """What the documentation warns of, so that the warning stays true."""
    rng = np.random.default_rng(2)
    y = np.repeat([0, 1], 40)
    gammas = [2.0**k for k in range(-8, 4, 2)]
    hits = 0
    for _ in range(400):
        X = rng.normal(size=(80, 3))
        scored = [MMDTest(gamma=g, n_permutations=0).fit(X, y) for g in gammas]
        best = gammas[int(np.argmax([t.score(X, y) for t in scored]))]
        test = MMDTest(gamma=best, n_permutations=99, method="permutation", random_state=0)
        hits += test.fit(X, y).pvalue_ <= 0.05
    assert hits > reference.binomial_bounds(0.05, 400)[1], hits / 400
