"""Figures of other packages, papers and closed forms."""

import math

import numpy as np
import pytest
from scipy import special, stats
from scipy.spatial import distance

from skmmd.kernels import kernel_values
from skmmd.two_sample import MMDTest, mmd, mmd_test


def frouros_samples():
    state = np.random.RandomState(31)
    X = state.multivariate_normal([1, 1], [[2, 0], [0, 2]], 100)
    Y = state.multivariate_normal([0, 0], [[2, 1], [1, 2]], 100)
    return X, Y


@pytest.mark.parametrize(
    ("sigma", "published"), [(0.5, 0.02146955300299802), (1.0, 0.05643613752975596)]
)
def test_frouros_docstring(sigma, published):
    X, Y = frouros_samples()
    gamma = 1 / (2 * sigma**2)
    assert mmd(X, Y, gamma=gamma) == pytest.approx(published, rel=1e-12)
    result = mmd_test(X, Y, gamma=gamma, n_permutations=9, random_state=0)
    assert result.statistic == pytest.approx(published, rel=1e-12)
    test = MMDTest(gamma=gamma, n_permutations=0).fit(np.vstack([X, Y]), np.repeat([0, 1], 100))
    assert test.statistic_ == pytest.approx(published, rel=1e-12)


def test_mmdagg_docstring():
    """sum over i != j of k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(y_i, x_j)."""
    state = np.random.RandomState(0)
    X = state.uniform(size=(500, 10))
    Y = state.uniform(size=(500, 10)) + 1
    published, gamma, n = 122196.9529089949, 1 / 2.42038079739479, 500
    K_xx = kernel_values("laplacian", gamma, X)
    K_yy = kernel_values("laplacian", gamma, Y)
    K_xy = kernel_values("laplacian", gamma, X, Y)
    total = K_xx.sum() + K_yy.sum() - 2 * K_xy.sum()
    diagonals = np.trace(K_xx) + np.trace(K_yy) - 2 * np.trace(K_xy)
    assert total - diagonals == pytest.approx(published, rel=1e-12)
    # The same by the two estimators, without any Gram matrix: biased and unbiased give the sums
    # within and across.
    options = {"kernel": "laplacian", "gamma": gamma}
    biased, unbiased = (mmd(X, Y, estimator=e, **options) for e in ("biased", "unbiased"))
    cross = n * (n * (n - 1) * unbiased - n**2 * biased + 2 * n) / 2
    within = n**2 * biased - 2 * n + 2 * cross
    paired = sum(math.exp(-gamma * distance.cityblock(x, y)) for x, y in zip(X, Y, strict=True))
    assert within - 2 * (cross - paired) == pytest.approx(published, rel=1e-9)


@pytest.mark.parametrize("sizes", [(20, 20), (7, 31), (1, 5)])
def test_energy_distance_of_scipy(sizes):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=sizes[0]), rng.exponential(size=sizes[1])
    expected = stats.energy_distance(x, y) ** 2
    assert mmd(x, y, kernel="energy", estimator="biased") == pytest.approx(expected, rel=1e-10)


def test_weighted_energy_distance_of_scipy():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=20), rng.exponential(size=15)
    w_x, w_y = rng.random(20), rng.random(15)
    expected = stats.energy_distance(x, y, w_x, w_y) ** 2
    value = mmd(x, y, kernel="energy", estimator="biased", sample_weight_X=w_x, sample_weight_Y=w_y)
    assert value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 7])
def test_smallest_exact_pvalue(n):
    x = np.arange(n, dtype=float)
    result = mmd_test(x, x + 1000.0, method="exact")
    assert result.pvalue == 2 / special.comb(2 * n, n, exact=True)


def test_energy_test_agrees_with_a_permutation_test_of_scipy():
    """scipy enumerates all labelings of the energy distance by itself."""
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=5), rng.normal(size=6) + 0.8
    theirs = stats.permutation_test(
        (x, y),
        lambda a, b: stats.energy_distance(a, b) ** 2,
        alternative="greater",
        n_resamples=np.inf,
    )
    ours = mmd_test(x, y, kernel="energy", estimator="biased", method="exact")
    assert ours.statistic == pytest.approx(theirs.statistic, rel=1e-10)
    assert ours.pvalue == pytest.approx(theirs.pvalue, abs=1e-12)
    np.testing.assert_allclose(
        np.sort(ours.null_distribution), np.sort(theirs.null_distribution), rtol=1e-9
    )


def test_linear_test_agrees_with_the_difference_of_means():
    """|mean x - mean y| orders the labelings as the biased linear statistic does."""
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=5), rng.normal(size=6) + 0.8
    theirs = stats.permutation_test(
        (x, y),
        lambda a, b: abs(np.mean(a) - np.mean(b)),
        alternative="greater",
        n_resamples=np.inf,
        vectorized=False,
    )
    ours = mmd_test(x, y, kernel="linear", estimator="biased", method="exact")
    assert ours.statistic == pytest.approx(theirs.statistic**2, rel=1e-10)
    assert ours.pvalue == pytest.approx(theirs.pvalue, abs=1e-12)


def test_population_mmd_of_two_gaussians():
    """N(0, 1) and N(mu, 1), rbf: 2 c (1 - exp(-mu^2 / (2 (s^2 + 2)))), s^2 = 1/(2 gamma)."""
    mu, gamma, n = 1.0, 0.5, 60
    rng = np.random.default_rng(0)
    s2 = 1 / (2 * gamma)
    c = math.sqrt(s2 / (s2 + 2))
    expected = 2 * c * (1 - math.exp(-(mu**2) / (2 * (s2 + 2))))
    values = [mmd(rng.normal(size=n), rng.normal(size=n) + mu, gamma=gamma) for _ in range(1000)]
    assert abs(np.mean(values) - expected) < 4 * np.std(values) / math.sqrt(1000)
    assert np.std(values) / math.sqrt(1000) < 0.02 * expected


def test_unbiased_has_mean_zero_under_the_null_and_biased_has_not():
    rng = np.random.default_rng(0)
    draws = [
        [mmd(x, y, gamma=0.5, estimator=estimator) for estimator in ("unbiased", "biased")]
        for x, y in (rng.normal(size=(2, 20)) for _ in range(1500))
    ]
    unbiased, biased = np.array(draws).T
    assert abs(unbiased.mean()) < 4 * unbiased.std() / math.sqrt(1500)
    # E[MMD^2_b] = 2/n (E k(x, x) - E k(x, x')), E k(x, x') = (1 + 4 gamma)**-1/2.
    assert biased.mean() == pytest.approx(2 / 20 * (1 - (1 + 4 * 0.5) ** -0.5), rel=0.05)
