"""Level and power: rates over many seeded data sets, with the bounds of the specification.

A rate of .05 over 2,000 sets lies in [.033, .067] but for 3.5 standard errors.
"""

import numpy as np
import pytest
import sklearn

from skmmd.datasets import make_blobs_grid, make_mixture_scale, make_perturbed_uniform
from skmmd.two_sample import MMDTest, mmd_test
from tests import reference

pytestmark = pytest.mark.statistical

N_SETS = 2000
LOW, HIGH = 0.033, 0.067


@pytest.fixture(autouse=True)
def unvalidated():
    """Leave out what is the same for each set: whether parameters are valid, and rows finite."""
    with sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
        yield


def rejections(run, n_sets=N_SETS, seed=0):
    rng = np.random.default_rng(seed)
    return sum(run(rng, i) for i in range(n_sets)) / n_sets


def null_pair(rng, n, m, d=3):
    return rng.normal(size=(n, d)), rng.normal(size=(m, d))


FEW_GAMMAS = (0.05, 0.2, 0.8)  # aggregated as the default grid is, in less time


@pytest.mark.parametrize(
    ("method", "gamma"),
    [("permutation", "aggregate"), ("binned", FEW_GAMMAS), ("nystroem", FEW_GAMMAS)],
)
def test_size(method, gamma):
    def run(rng, i):
        result = mmd_test(
            *null_pair(rng, 30, 30),
            gamma=gamma,
            method=method,
            n_permutations=99,
            n_components=16,
            random_state=i,
        )
        return result.rejected

    assert LOW <= rejections(run) <= HIGH


@pytest.mark.parametrize("method", ["binned", "nystroem"])
def test_size_with_wide_bins_and_left_over_rows(method):
    """37 + 67 rows in bins of two: one row of each group is left over and keeps its label."""

    def run(rng, i):
        result = mmd_test(
            *null_pair(rng, 37, 67),
            method=method,
            gamma="median",
            n_bins=20,
            n_permutations=99,
            n_components=16,
            random_state=i,
        )
        return result.rejected

    assert LOW <= rejections(run) <= HIGH


def test_size_of_unequal_groups():
    def run(rng, i):
        result = mmd_test(
            *null_pair(rng, 5, 40),
            gamma=FEW_GAMMAS,
            method="permutation",
            n_permutations=99,
            random_state=i,
        )
        return result.rejected

    assert LOW <= rejections(run) <= HIGH


def test_size_of_enumeration():
    """6 + 7 rows: 85 of 1716 labelings lie in the upper .05."""

    def run(rng, i):
        result = mmd_test(*null_pair(rng, 6, 7), gamma=FEW_GAMMAS, method="exact")
        return result.rejected

    assert LOW <= rejections(run) <= HIGH


@pytest.mark.parametrize("method", ["permutation", "binned", "nystroem"])
def test_size_of_three_groups(method):
    y = np.repeat([0, 1, 2], 20)

    def run(rng, i):
        test = MMDTest(
            gamma=0.2,
            method=method,
            n_permutations=99,
            n_components=16,
            n_bins=30,
            random_state=i,
        )
        return test.fit(rng.normal(size=(60, 3)), y).pvalue_ <= 0.05

    assert LOW <= rejections(run) <= HIGH


def test_size_with_heavy_tails_and_ties():
    """Cauchy columns beside a binary one."""

    def run(rng, i):
        X, Y = (
            np.column_stack([rng.standard_cauchy(30), rng.integers(0, 2, 30)]) for _ in range(2)
        )
        result = mmd_test(
            X, Y, gamma=FEW_GAMMAS, method="permutation", n_permutations=99, random_state=i
        )
        return result.rejected

    assert rejections(run) <= HIGH


def test_size_with_one_seed():
    """The same permutations for all data sets are as good."""

    def run(rng, i):
        result = mmd_test(
            *null_pair(rng, 20, 25),
            gamma="median",
            method="permutation",
            n_permutations=99,
            random_state=0,
        )
        return result.rejected

    assert LOW <= rejections(run) <= HIGH


def test_size_of_the_asymptotic_test():
    """An asymptotic level: looser, and only in larger samples."""

    def run(rng, i):
        result = mmd_test(*null_pair(rng, 80, 80), gamma=0.2, method="asymptotic", random_state=i)
        return result.rejected

    assert 0.025 <= rejections(run, 1000) <= 0.075


def test_weighted_pvalues_keep_their_level():
    """Weights that are independent of the rows and groups travel with the rows."""
    y = np.repeat([0, 1], 25)

    def run(rng, i):
        test = MMDTest(gamma="median", method="permutation", n_permutations=99, random_state=i)
        test.fit(rng.normal(size=(50, 2)), y, sample_weight=rng.integers(1, 5, 50))
        return test.pvalue_ <= 0.05

    assert LOW <= rejections(run) <= HIGH


def test_pvalues_are_uniform():
    """Not at .05 alone: with 99 permutations each of the 100 values is equally likely."""
    rng = np.random.default_rng(5)
    pvalues = [
        mmd_test(
            *null_pair(rng, 20, 20),
            gamma="median",
            method="permutation",
            n_permutations=99,
            random_state=i,
        ).pvalue
        for i in range(N_SETS)
    ]
    for level in (0.01, 0.1, 0.25, 0.5, 0.75, 0.9):
        low, high = reference.binomial_bounds(level, N_SETS)
        assert low <= np.sum(np.array(pvalues) <= level) <= high, level


# --------------------------------------------------------------------------------------
# power; the bounds are those of the specification, at B = 199


def power(make, n_samples, n_sets, method="auto", **options):
    def run(rng, i):
        X, Y = make(n_samples, random_state=10_000 + i)
        result = mmd_test(X, Y, method=method, n_permutations=199, random_state=i, **options)
        return result.rejected

    return rejections(run, n_sets)


def test_power_on_the_mixture():
    assert power(make_mixture_scale, 500, 60) >= 0.50


def test_power_on_perturbed_uniforms():
    assert power(make_perturbed_uniform, 500, 60) >= 0.48


def test_power_on_blobs():
    assert power(make_blobs_grid, 360, 60) >= 0.80


@pytest.mark.parametrize(
    ("make", "n", "least"),
    [
        (make_mixture_scale, 500, 0.50),
        (make_perturbed_uniform, 500, 0.48),
        (make_blobs_grid, 360, 0.80),
    ],
)
def test_bins_cost_little_power(make, n, least):
    assert power(make, n, 60, "binned", n_bins=256) >= least


def test_power_grows_with_the_sample():
    assert power(make_mixture_scale, 100, 60, "binned") <= 0.4
    assert power(make_mixture_scale, 1000, 20, "binned") >= 0.9


def test_nystroem_finds_blobs():
    """Small-scale structure with 128 landmarks (1.00 was reported at n = 1024)."""
    assert power(make_blobs_grid, 1024, 20, "nystroem", n_components=128) >= 0.8


def test_power_of_three_groups():
    """A third group that differs is found as a second one would be."""

    def run(rng, i):
        X = rng.normal(size=(90, 2))
        X[60:] *= 2.0
        test = MMDTest(method="permutation", n_permutations=199, random_state=i)
        return test.fit(X, np.repeat([0, 1, 2], 30)).pvalue_ <= 0.05

    assert rejections(run, 50) >= 0.7
