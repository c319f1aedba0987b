"""Labelled mixtures: the moments of each component are those of the formula."""

import numpy as np
import pytest

from skmmd.datasets import make_gaussian_mixture, make_parallel_cigars


def test_shared_covariance_is_the_same_around_each_centre():
    n, d, k = 200_000, 3, 4
    X, y, centers = make_gaussian_mixture(n, d, k, random_state=0)
    assert X.shape == (n, d)
    assert centers.shape == (k, d)
    np.testing.assert_allclose(np.bincount(y) / n, 1 / k, atol=0.005)
    covariances = [np.cov(X[y == j].T) for j in range(k)]
    for j in range(k):
        np.testing.assert_allclose(X[y == j].mean(axis=0), centers[j], atol=0.04)
        np.testing.assert_allclose(covariances[j], np.mean(covariances, axis=0), atol=0.06)
    assert np.abs(covariances[0] - np.diag(np.diag(covariances[0]))).max() > 0.1


def test_shared_factor_has_the_stated_spread():
    # T = I + A / (2 sqrt d) with A standard normal, so E[T'T] = (1 + 1/4) I.
    d = 40
    traces = []
    for seed in range(20):
        X, y, centers = make_gaussian_mixture(4000, d, 2, random_state=seed)
        traces.append(((X - centers[y]) ** 2).mean())
    assert np.mean(traces) == pytest.approx(1.25, abs=0.03)


def test_scaled_components_are_round():
    n, k = 300_000, 3
    X, y, centers = make_gaussian_mixture(n, 2, k, covariance="scaled", random_state=1)
    for j in range(k):
        covariance = np.cov(X[y == j].T)
        assert 0.7**2 * 0.97 < covariance[0, 0] < 1.3**2 * 1.03
        np.testing.assert_allclose(covariance / covariance[0, 0], np.eye(2), atol=0.03)
        np.testing.assert_allclose(X[y == j].mean(axis=0), centers[j], atol=0.025)


def test_centres_spread_by_the_separation():
    centers = make_gaussian_mixture(1, 20, 2000, separation=3.0, random_state=0)[2]
    assert centers.std() == pytest.approx(3.0, rel=0.02)
    default = make_gaussian_mixture(1, 20, 2000, random_state=0)[2]
    assert default.std() == pytest.approx(3 / np.sqrt(2), rel=0.02)


def test_an_unknown_covariance_is_refused():
    with pytest.raises(ValueError, match="covariance must be 'shared' or 'scaled'; got 'full'"):
        make_gaussian_mixture(10, covariance="full")


def test_cigars_are_long_thin_and_parallel():
    X, y = make_parallel_cigars(100_000, random_state=0)
    assert y.mean() == pytest.approx(0.5, abs=0.007)
    for label in (0, 1):
        rows = X[y == label]
        assert rows[:, 0].mean() == pytest.approx(0.0, abs=0.2)
        assert rows[:, 1].mean() == pytest.approx(2 * label - 1, abs=0.005)
        np.testing.assert_allclose(rows.std(axis=0), (10, 0.25), rtol=0.015)


@pytest.mark.parametrize("make", [make_gaussian_mixture, make_parallel_cigars])
def test_a_seed_fixes_the_rows(make):
    first, again, other = (make(20, random_state=seed) for seed in (0, 0, 1))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], other[0])
