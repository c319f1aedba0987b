"""Samples by resampling and Langevin steps, beside distributions that are known."""

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import kstest, truncnorm

from skmmd.density._bases import MixtureBase, TruncatedBase
from skmmd.density._normalizer import make_proposal
from skmmd.density._sampling import _langevin, sample


def standard_normal(d):
    return MixtureBase(np.ones(1), np.zeros((1, d)), np.eye(d)[None])


def a_proposal(base, rng, n=300, **box):
    d = len(base.mean) if isinstance(base, TruncatedBase) else base.means.shape[1]
    X = base.draw(n, rng)
    assert X.shape == (n, d)
    return make_proposal(base, X, np.full(n, 1.0 / n), n, rng, **box)


@pytest.mark.parametrize("d", [1, 3, 10])
def test_a_gaussian(d, rng):
    """Base N(0, I) times exp(-|x - 1|^2 / 2) is a Gaussian of mean 1/2 and variance 1/2."""
    base = standard_normal(d)
    draws = sample(
        lambda X: base.log_density(X) - 0.5 * ((X - 1.0) ** 2).sum(axis=1),
        lambda X: base.score(X) + 1.0 - X,
        a_proposal(base, rng),
        4000,
        rng,
    )
    assert draws.points.shape == (4000, d)
    assert draws.acceptance == pytest.approx(0.574, abs=0.04)
    assert 0.0 < draws.ess <= 1.0
    for x in draws.points.T:
        assert kstest((x - 0.5) * np.sqrt(2.0), "norm").pvalue > 1e-3


def test_modes_get_their_masses(rng):
    base = MixtureBase(
        np.array([0.5, 0.5]), np.array([[-3.0, 0.0], [3.0, 0.0]]), np.tile(np.eye(2), (2, 1, 1))
    )

    # Three times the mass on the right, though the base gives both sides the same.
    def log_density(X):
        return base.log_density(X) + np.log(3.0) * ndtr(4.0 * X[:, 0])

    def score(X):
        slope = np.zeros_like(X)
        density = np.exp(-8.0 * X[:, 0] ** 2) / np.sqrt(2.0 * np.pi)
        slope[:, 0] = np.log(3.0) * 4.0 * density
        return base.score(X) + slope

    draws = sample(log_density, score, a_proposal(base, rng), 10_000, rng)
    # The cut is smooth: a few rows at 0, where the base has a hundredth of its height.
    assert np.mean(draws.points[:, 0] > 0.0) == pytest.approx(0.75, abs=0.02)
    assert kstest(draws.points[:, 1], "norm").pvalue > 1e-3


def test_no_point_is_drawn_twice_and_their_order_is_random(rng):
    """A narrow target: many copies of few points of the pool, told apart by the steps."""
    base = standard_normal(2)

    def log_density(X):
        return -0.5 * ((X - 2.0) ** 2).sum(axis=1) / 0.02**2

    draws = sample(log_density, lambda X: (2.0 - X) / 0.02**2, a_proposal(base, rng), 2000, rng)
    assert draws.ess < 0.01
    assert len(np.unique(draws.points, axis=0)) == 2000
    assert kstest((draws.points[:, 0] - 2.0) / 0.02, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(draws.points[1:, 0], draws.points[:-1, 0])[0, 1]) < 0.1


def test_modes_come_in_random_order(rng):
    """Copies of one point of the pool stay in its mode, but not side by side."""
    base = MixtureBase(np.ones(1), np.zeros((1, 1)), 36.0 * np.eye(1)[None])
    target = MixtureBase(np.full(2, 0.5), np.array([[-9.0], [9.0]]), np.full((2, 1, 1), 1e-4))
    draws = sample(target.log_density, target.score, a_proposal(base, rng), 4000, rng)
    right = draws.points[:, 0] > 0.0
    assert 0.0 < right.mean() < 1.0
    assert abs(np.corrcoef(right[1:], right[:-1])[0, 1]) < 4 / np.sqrt(4000)


def test_a_domain_is_not_left(rng):
    low, high = np.array([0.0, -np.inf]), np.array([np.inf, 1.0])
    base = TruncatedBase(np.zeros(2), np.ones(2), low, high)
    proposal = a_proposal(base, rng, low=low, high=high)

    def score(X):
        # What a model says beyond its domain is nobody's business.
        inside = np.isfinite(base.log_density(X))
        return np.where(inside[:, None], base.score(X), np.nan)

    draws = sample(base.log_density, score, proposal, 3000, rng)
    assert np.all(np.isfinite(base.log_density(draws.points)))
    assert kstest(draws.points[:, 0], truncnorm(0.0, np.inf).cdf).pvalue > 1e-3
    assert kstest(draws.points[:, 1], truncnorm(-np.inf, 1.0).cdf).pvalue > 1e-3


@pytest.mark.parametrize("n_draws", [1, 2, 150])
def test_few_draws_and_the_same_generator(n_draws):
    base = standard_normal(2)
    proposal = a_proposal(base, np.random.default_rng(0))
    first, second = (
        sample(base.log_density, base.score, proposal, n_draws, np.random.default_rng(4))
        for _ in range(2)
    )
    assert first.points.shape == (n_draws, 2)
    np.testing.assert_array_equal(first.points, second.points)
    assert first.acceptance == pytest.approx(0.574, abs=0.12)


def test_steps_keep_a_distribution_whose_score_is_wrong(rng):
    """The rule of acceptance alone makes the target right: here the score points elsewhere."""
    base = standard_normal(1)
    points = rng.normal(size=(20_000, 1))
    moved, acceptance = _langevin(
        base.log_density,
        lambda X: np.cos(3.0 * X) - 0.3 * X,
        points,
        base.log_density(points),
        rng,
    )
    assert 0.4 < acceptance < 0.75
    assert kstest(moved[:, 0], "norm").pvalue > 1e-3


def test_steps_reach_the_distribution_from_elsewhere(rng):
    """Without the resampling: chains that start too narrow and off the centre."""
    base = standard_normal(2)
    points = 1.0 + 0.1 * rng.normal(size=(5000, 2))
    before = points.copy()
    moved, _ = _langevin(base.log_density, base.score, points, base.log_density(points), rng)
    np.testing.assert_array_equal(points, before)
    for x in moved.T:
        assert kstest(x, "norm").pvalue > 1e-3
