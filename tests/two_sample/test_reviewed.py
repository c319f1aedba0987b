"""Cases that once gave a wrong answer in silence."""

import numpy as np
import pytest

from skmmd.kernels import median_gamma
from skmmd.two_sample import MMDDriftDetector, MMDTest, mmd, mmd_test


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_values_across_hundreds_of_orders_are_tested_or_refused(rng):
    """Likelihoods, some of them around 1e-150: never a NaN called a rejection."""
    y = np.arange(300) % 2
    wide = np.exp(-rng.uniform(300, 380, (300, 1)))
    X = np.where(rng.random((300, 1)) < 0.3, rng.uniform(0.5, 1, (300, 1)), wide)
    test = MMDTest(random_state=0).fit(X, y)
    assert np.isfinite(test.statistic_)
    assert test.pvalue_ > 0.01
    for tiny in (1e-158, 2.3e-162):
        Z = np.r_[rng.normal(size=100) * tiny, rng.normal(size=60)]
        result = mmd_test(Z[::2], Z[1::2], random_state=0)
        assert np.isfinite(result.statistic)
        assert 0.001 < result.pvalue <= 1


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_kernel_values_beyond_float64_are_an_error(rng):
    A, B = rng.normal(size=(6, 2)), rng.normal(size=(6, 2))
    K = np.eye(8)
    K[:4, :4] = K[4:, 4:] = 1e160
    for call in (
        lambda: mmd_test(A * 1e80, B * 1e80, kernel="linear"),
        lambda: mmd_test(A * 1e52, B * 1e52, kernel="polynomial", gamma=1.0),
        lambda: mmd_test(K, 4, kernel="precomputed"),
        lambda: mmd(A * 1e160, B * 1e160, kernel="linear"),
    ):
        with pytest.raises(ValueError, match="rescale"):
            call()


@pytest.mark.parametrize("seed", range(10))
def test_rows_of_weight_zero_do_not_reach_the_bandwidth(seed):
    rng = np.random.default_rng(seed)
    Z = rng.normal(size=(12000, 2))
    weight = np.zeros(12000)
    kept = [0, 1, 2, 6000, 6001, 6002]
    weight[kept] = 1.0
    test = MMDTest(n_permutations=0, gamma="median", method="binned")
    test.fit(Z, np.repeat([0, 1], 6000), sample_weight=weight)
    assert test.gamma_ == pytest.approx(median_gamma("rbf", Z[kept]))
    assert test.mmd2_ == pytest.approx(mmd(Z[[0, 1, 2]], Z[[6000, 6001, 6002]]))


def test_biased_statistics_choose_the_same_kernel(rng):
    """Divided by the norm, the constant of the biased statistic would pick the narrowest one."""
    X, Y = rng.normal(size=(60, 2)), rng.normal(size=(60, 2)) + 0.6
    unbiased = mmd_test(X, Y, random_state=0)
    biased = mmd_test(X, Y, estimator="biased", random_state=0)
    assert biased.best_gamma == unbiased.best_gamma
    assert biased.pvalue == unbiased.pvalue
    expected = [mmd(X, Y, gamma=gamma, estimator="biased") for gamma in biased.gamma]
    np.testing.assert_allclose(biased.mmd2, expected, rtol=1e-10)


@pytest.mark.parametrize("method", ["permutation", "binned", "nystroem"])
@pytest.mark.parametrize("n_groups", [2, 3])
def test_biased_values_of_each_kernel(method, n_groups, rng):
    X = rng.normal(size=(90, 2))
    y = np.arange(90) % n_groups
    weight = rng.integers(1, 4, 90).astype(float)
    settings = {"estimator": "biased", "method": method, "n_components": 90, "n_permutations": 5}
    several = MMDTest(gamma=(0.1, 0.2, 1.0), **settings).fit(X, y, sample_weight=weight)
    for gamma, value in zip(several.gamma_, several.mmd2_, strict=True):
        alone = MMDTest(gamma=gamma, **settings).fit(X, y, sample_weight=weight)
        assert value == pytest.approx(alone.statistic_, rel=1e-7)


@pytest.mark.parametrize("noise", [0.0, 1e-3, 1e-9])
def test_close_pairs_do_not_hide_the_wide_scales(noise):
    """A third of the rows at zero but for tiny noise; the rest shifted."""
    found = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)

        def draw(shift, rng=rng):
            at_zero = rng.random(200) < 0.35
            return np.where(at_zero, rng.normal(size=200) * noise, rng.normal(size=200) + 5 + shift)

        found += mmd_test(draw(0.0), draw(1.0), n_permutations=199, random_state=0).rejected
    assert found >= 9


def test_nystroem_of_the_linear_kernel_with_one_row_in_a_group(rng):
    X, Y = rng.normal(size=(1, 2)), rng.normal(size=(700, 2)) + 3.0
    with pytest.warns(UserWarning, match="single row"):
        result = mmd_test(X, Y, kernel="linear", method="nystroem", n_permutations=9)
    with pytest.warns(UserWarning, match="single row"):
        assert result.statistic == pytest.approx(mmd(X, Y, kernel="linear"), rel=1e-9)


def test_nystroem_self_pairs_of_kernels_whose_diagonal_varies(rng):
    """Full rank beyond the rows that are probed, groups of unequal size and spread."""
    X, Y = rng.normal(size=(500, 3)), 3.0 * rng.normal(size=(4500, 3))
    result = mmd_test(X, Y, kernel="linear", method="nystroem", n_permutations=9, random_state=0)
    assert result.statistic == pytest.approx(mmd(X, Y, kernel="linear"), abs=1e-9)


def test_nystroem_refuses_an_indefinite_callable(rng):
    def minus_distance(A, B):
        return -np.sqrt(((A[:, None] - B[None]) ** 2).sum(axis=2))

    X, Y = rng.normal(size=(40, 2)), rng.normal(size=(50, 2))
    with pytest.raises(ValueError, match="positive semi-definite"):
        mmd_test(X, Y, kernel=minus_distance, method="nystroem")


def test_asymptotic_of_equal_points():
    result = mmd_test(np.full((20, 3), 3.3), np.full((30, 3), 3.3), method="asymptotic")
    assert (result.statistic, result.pvalue) == (0.0, 1.0)


def test_few_bins_leave_the_rows_free(rng):
    X, Y = rng.normal(size=100), rng.normal(size=100) + 3.0
    assert mmd_test(X, Y, method="binned", n_bins=2, random_state=0).pvalue == 0.001


def test_the_callers_rows_may_change_after_fit(rng):
    X, y = rng.normal(size=(40, 2)), np.arange(40) % 2
    points = rng.normal(size=(5, 2))
    test = MMDTest(random_state=0).fit(X, y)
    before = test.score_samples(points)
    X[:] = 0.0
    np.testing.assert_array_equal(test.score_samples(points), before)


def test_feature_scores_take_labels_with_rows_only(rng):
    test = MMDTest(n_permutations=9).fit(rng.normal(size=(20, 2)), np.arange(20) % 2)
    with pytest.raises(ValueError, match="with X only"):
        test.feature_scores(y=np.arange(20) % 2)


def test_simulating_a_wide_window_takes_little_memory(rng):
    import tracemalloc

    detector = MMDDriftDetector(
        window_size=100, expected_run_time=50, n_simulations=300, random_state=0
    ).fit(rng.normal(size=(800, 2)))
    tracemalloc.start()
    detector.update(rng.normal(size=2))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300e6


def test_landmarks_are_the_same_rows_in_whatever_order_they_come(rng):
    Z, y = rng.normal(size=(80, 2)), np.arange(80) % 2
    order = rng.permutation(80)
    settings = {"method": "nystroem", "n_components": 7, "random_state": 0, "gamma": 0.5}
    here = MMDTest(**settings).fit(Z, y)
    there = MMDTest(**settings).fit(Z[order], y[order])
    assert there.statistic_ == pytest.approx(here.statistic_, rel=1e-9)
