"""Quadrature of a density in one and two dimensions, beside closed forms."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from skmmd.density._quadrature import quadrature


@pytest.mark.parametrize("d", [1, 2])
def test_a_gaussian_that_vanishes_at_the_sides(d, rng):
    covariance = np.diag([0.3, 1.5][:d])
    covariance[0, -1] = covariance[-1, 0] = 0.3 if d == 1 else 0.4
    density = multivariate_normal(np.full(d, 0.4), covariance)
    found = quadrature(
        lambda X: density.logpdf(X).reshape(-1) + 700.0, np.full(d, -12.0), np.full(d, 12.0), 0.1
    )
    assert found is not None
    assert found[0] == pytest.approx(700.0, abs=1e-12)
    assert found[1] < 1e-8


@pytest.mark.parametrize("d", [1, 2])
def test_a_gaussian_cut_off_at_a_side(d):
    """No loss of order where the density ends at its highest."""
    found = quadrature(lambda X: norm.logpdf(X).sum(axis=1), np.full(d, 0.0), np.full(d, 9.0), 0.05)
    assert found is not None
    assert found[0] == pytest.approx(d * np.log(0.5), abs=1e-8)
    assert abs(found[0] - d * np.log(0.5)) <= found[1] < 1e-5


def test_the_rule_is_exact_for_polynomials_of_degree_five():
    for n in (0.1, 1 / 45):
        found = quadrature(lambda X: 5 * np.log(X[:, 0]), np.ones(1), np.full(1, 2.0), n)
        assert found == pytest.approx((np.log(63 / 6), 0.0), abs=1e-12)


def test_too_coarse_a_grid_is_refused():
    def narrow(X):
        return norm.logpdf(X, scale=0.02).sum(axis=1)

    assert quadrature(narrow, np.full(2, -9.0), np.full(2, 9.0), 0.01) is None
    assert quadrature(narrow, np.full(1, -9.0), np.full(1, 9.0), 0.5) is None
    found = quadrature(narrow, np.full(1, -9.0), np.full(1, 9.0), 0.01)
    assert found is not None
    assert found[0] == pytest.approx(0.0, abs=1e-12)


def test_the_error_is_no_smaller_than_it_says():
    """A kink: the rule converges slowly, and says so."""
    for resolution in (0.05, 0.01, 0.001):
        found = quadrature(
            lambda X: -np.abs(X[:, 0] - 0.123), np.full(1, -40.0), np.full(1, 40.0), resolution
        )
        if found is not None:
            assert abs(found[0] - np.log(2.0)) <= 2.0 * found[1] + 1e-12


def test_points_are_limited_and_come_in_blocks():
    sizes = []

    def count(X):
        sizes.append(len(X))
        return norm.logpdf(X).sum(axis=1)

    assert quadrature(count, np.full(2, -9.0), np.full(2, 9.0), 1e-4) is not None
    assert 2**17 < sum(sizes) <= 2**18
    assert max(sizes) <= 2**14


def test_a_density_that_is_zero_or_undefined_is_refused():
    for value in (-np.inf, np.nan):
        assert (
            quadrature(lambda X, value=value: np.full(len(X), value), np.zeros(1), np.ones(1), 0.1)
            is None
        )
