"""Memory: the Gram matrix is never held, whatever the method."""

import numpy as np
import pytest

from skmmd.two_sample import MMDDriftDetector, MMDTest, mmd, mmd_test
from tests.memory import MEGABYTE, peak_of


def test_the_measure_sees_numpy():
    assert peak_of(lambda: np.ones((1000, 1000))) == pytest.approx(8e6 / MEGABYTE, rel=0.05)


# 5,000 rows: the Gram matrix of one kernel takes 190 MB, the pooled distances half of it.


def big(n=2500, d=3):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)), rng.normal(size=(n, d))


@pytest.mark.parametrize("method", ["permutation", "binned", "nystroem"])
def test_of_the_test(method):
    X, Y = big()
    # A block of labels and tiles: some megabytes each.
    assert (
        peak_of(
            lambda: mmd_test(
                X,
                Y,
                gamma=(0.1, 0.2, 0.4),
                method=method,
                n_permutations=29,
                n_components=64,
                random_state=0,
            )
        )
        < 60
    )


def test_of_the_statistic():
    X, Y = big()
    assert peak_of(lambda: mmd(X, Y, gamma=0.3)) < 60


def test_of_the_bandwidth():
    """Two thousand rows have 2e6 distances of 8 bytes; sorting takes a copy or two."""
    X, Y = big()
    assert peak_of(lambda: mmd(X, Y, gamma="median")) < 130


def test_of_features():
    X, Y = big()
    test = MMDTest(gamma=0.3, n_permutations=29, method="nystroem", n_components=8, random_state=0)
    test.fit(np.vstack([X, Y]), np.repeat([0, 1], 2500))
    assert peak_of(test.feature_scores) < 60


def test_of_the_witness():
    X, Y = big()
    test = MMDTest(gamma=0.3, n_permutations=0).fit(np.vstack([X, Y]), np.repeat([0, 1], 2500))
    Z = np.random.default_rng(1).normal(size=(5000, 3))
    assert peak_of(lambda: test.score_samples(Z)) < 60


def test_of_a_bounded_reference():
    """A long reference is not kept, nor anything of its size squared."""
    X = np.random.default_rng(0).normal(size=(50_000, 3))
    detector = MMDDriftDetector(max_reference=500, n_permutations=19, random_state=0).fit(X)
    batch = X[:200] + 0.1
    assert peak_of(lambda: detector.test(batch)) < 60


def test_near_linear_growth_of_nystroem():
    peaks = []
    for n in (10_000, 40_000):
        X, Y = big(n, 3)

        def run(X=X, Y=Y):
            mmd_test(
                X,
                Y,
                gamma=0.3,
                method="nystroem",
                n_components=32,
                n_permutations=9,
                random_state=0,
            )

        peaks.append(peak_of(run))
    assert peaks[1] < 5 * peaks[0], peaks
