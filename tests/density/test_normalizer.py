"""Normalisers: the proposal's density, and estimates beside closed forms and quadrature."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import logsumexp
from scipy.stats import kstest, multivariate_normal, truncnorm

from skmmd.density._bases import MixtureBase, TruncatedBase
from skmmd.density._normalizer import (
    Proposal,
    log_normalizer,
    log_normalizers,
    make_proposal,
    systematic,
)


def standard_normal(d):
    return MixtureBase(np.ones(1), np.zeros((1, d)), np.eye(d)[None])


def a_proposal(d, rng, n=200):
    X = rng.normal(size=(n, d))
    return make_proposal(standard_normal(d), X, np.full(n, 1.0 / n), n, rng)


def estimate(proposal, f, n_draws, rng):
    X = proposal.draw(n_draws, rng)
    log_base = proposal.base.log_density(X)
    return log_normalizer(log_base, f(X), proposal.log_density(X, log_base))


# --------------------------------------------------------------------------------------
# the proposal


def test_proposal_is_half_base_and_half_kernels(rng):
    X, weight = rng.normal(size=(15, 3)), rng.dirichlet(np.ones(15))
    weight[4] = 0.0
    weight /= weight.sum()
    proposal = make_proposal(standard_normal(3), X, weight, 40, rng)
    h = 0.9 * 40 ** (-1 / 7)
    assert proposal.bandwidth == pytest.approx(h, rel=1e-14)
    points = 2.0 * rng.normal(size=(20, 3))
    kernels = sum(
        w * multivariate_normal(c, h**2 * np.eye(3)).pdf(points)
        for w, c in zip(weight, X, strict=True)
    )
    expected = np.log(0.5 * multivariate_normal(np.zeros(3)).pdf(points) + 0.5 * kernels)
    np.testing.assert_allclose(proposal.log_density(points), expected, rtol=1e-11)
    log_base = proposal.base.log_density(points)
    np.testing.assert_array_equal(
        proposal.log_density(points, log_base), proposal.log_density(points)
    )


def test_proposal_in_blocks_and_far_away(rng, monkeypatch):
    proposal = a_proposal(2, rng)
    points = np.concatenate([rng.normal(size=(50, 2)), [[80.0, 0.0], [0.0, -300.0]]])
    whole = proposal.log_density(points)
    assert np.all(np.isfinite(whole))
    monkeypatch.setattr("skmmd.density._normalizer._BLOCK_SIZE", 2000)
    np.testing.assert_allclose(proposal.log_density(points), whole, rtol=1e-13)


def test_half_of_the_draws_come_from_each_part(rng):
    base = MixtureBase(np.ones(1), np.full((1, 2), -50.0), np.eye(2)[None])
    centers, weights = np.array([[50.0, 0.0], [0.0, 50.0]]), np.array([0.25, 0.75])
    proposal = Proposal(base, centers, weights, 0.5)
    X = proposal.draw(10_001, rng)
    assert np.all(X[:5001, 0] < -25.0)
    kernels = X[5001:]
    assert np.all(kernels.sum(axis=1) > 25.0)
    first = kernels[:, 0] > 25.0
    assert first.mean() == pytest.approx(0.25, abs=4 * np.sqrt(0.25 * 0.75 / 5000))
    assert kstest((kernels[first, 0] - 50.0) / 0.5, "norm").pvalue > 1e-3


def test_more_than_2000_rows_are_drawn_by_weight(rng):
    X, weight = np.arange(5000.0)[:, None], np.zeros(5000)
    weight[:4000] = rng.uniform(size=4000)
    weight /= weight.sum()
    proposal = make_proposal(standard_normal(1), X, weight, 5000, rng)
    assert proposal.centers.shape == (2000, 1)
    assert proposal.centers.max() < 4000
    expected = weight @ X[:, 0]
    assert proposal.weights @ proposal.centers[:, 0] == pytest.approx(expected, abs=2.0)


def in_a_box(rng, d, low, high, n=60):
    low, high = np.full(d, low), np.full(d, high)
    base = TruncatedBase(np.zeros(d), np.ones(d), low, high)
    X = base.draw(n, rng)
    # A row in the corner: half of its kernel, or more, is cut off.
    X[0] = np.where(np.isfinite(low), low, high)
    return make_proposal(base, X, np.full(n, 1.0 / n), n, rng, low=low, high=high)


@pytest.mark.parametrize("box", [(-0.5, np.inf), (-np.inf, 0.2), (-0.4, 0.7)])
def test_proposal_in_a_box_is_normalised(box, rng):
    proposal = in_a_box(rng, 1, *box)

    def density(x):
        return np.exp(proposal.log_density(np.array([[x]]))[0])

    assert quad(density, *np.clip(box, -12, 12), limit=300)[0] == pytest.approx(1.0, abs=1e-8)


def test_draws_in_a_box_follow_the_density(rng):
    proposal = in_a_box(rng, 1, -0.4, 0.7)
    X = proposal.draw(40_000, rng)
    assert np.all((X >= -0.4) & (X <= 0.7))
    h = proposal.bandwidth
    c = proposal.centers[:, 0]
    parts = truncnorm((-0.4 - c) / h, (0.7 - c) / h, c, h)

    def distribution(x):
        return parts.cdf(np.asarray(x)[:, None]).mean(axis=1)

    assert kstest(X[20_000:, 0], distribution).pvalue > 1e-3


def test_normaliser_in_a_box_of_several_dimensions(rng):
    """The mass of the upper half of a truncated Gaussian, whose density is known."""
    proposal = in_a_box(rng, 3, -0.5, np.inf)
    found = estimate(proposal, lambda X: -np.abs(X).sum(axis=1), 40_000, rng)
    peer = truncnorm(-0.5, np.inf)
    one = quad(lambda x: np.exp(-abs(x)) * peer.pdf(x), -0.5, 12, points=[0.0])[0]
    assert found.standard_error < 0.01
    assert abs(found.log_normalizer - 3 * np.log(one)) < 4 * found.standard_error


# --------------------------------------------------------------------------------------
# the estimate


def test_estimate_by_hand(rng):
    """Both halves count alike; the ratio of base and proposal is regressed on within them."""
    n, m = 31, 16
    log_base, f, log_proposal = rng.normal(size=(3, n))
    found = log_normalizer(log_base, f, log_proposal)
    ratio, w = np.exp(log_base - log_proposal), np.exp(log_base + f - log_proposal)
    halves = [slice(0, m), slice(m, n)]

    def covariance(a, b):
        return sum(np.cov(a[half], b[half], ddof=0)[0, 1] / len(a[half]) for half in halves) / 4

    mean = {name: (v[:m].mean() + v[m:].mean()) / 2 for name, v in (("w", w), ("r", ratio))}
    slope = covariance(w, ratio) / covariance(ratio, ratio)
    Z = mean["w"] - slope * (mean["r"] - 1.0)
    # Else there is no correction.
    assert mean["w"] < 2.0 * Z
    e = w - slope * ratio
    assert found.log_normalizer == pytest.approx(np.log(Z), rel=1e-12)
    assert found.standard_error == pytest.approx(np.sqrt(covariance(e, e)) / Z, rel=1e-12)
    assert found.ess == pytest.approx(w.sum() ** 2 / (n * (w**2).sum()), rel=1e-12)


def test_many_functions_are_as_each_alone(rng):
    log_base, log_proposal, f = rng.normal(size=30), rng.normal(size=30), rng.normal(size=(30, 4))
    f[:, 2] *= 500.0
    f_before = f.copy()
    together = log_normalizers(log_base, f, log_proposal)
    np.testing.assert_array_equal(f, f_before)
    for j in range(4):
        alone = log_normalizer(log_base, f[:, j], log_proposal)
        assert together.log_normalizer[j] == pytest.approx(alone.log_normalizer, rel=1e-12)
        assert together.standard_error[j] == pytest.approx(alone.standard_error, rel=1e-9)
        assert together.ess[j] == pytest.approx(alone.ess, rel=1e-12)


def test_without_f_the_normaliser_is_one(rng):
    found = estimate(a_proposal(3, rng), lambda X: np.zeros(len(X)), 501, rng)
    assert found.log_normalizer == pytest.approx(0.0, abs=1e-14)
    assert found.standard_error < 1e-14
    shifted = estimate(a_proposal(3, rng), lambda X: np.full(len(X), 900.0), 500, rng)
    assert shifted.log_normalizer == pytest.approx(900.0, rel=1e-14)
    assert shifted.standard_error < 1e-12


@pytest.mark.parametrize("height", [30.0, 2000.0])
def test_a_spike_has_no_effective_draws(height, rng):
    def spike(X):
        return np.where(np.arange(len(X)) == 7, height, 0.0)

    found = estimate(a_proposal(2, rng), spike, 4000, rng)
    assert found.ess == pytest.approx(1 / 4000, rel=1e-3)
    assert found.standard_error == pytest.approx(1.0, abs=0.1)
    assert np.isfinite(found.log_normalizer)


def test_functions_that_are_minus_infinity(rng):
    proposal = a_proposal(1, rng)
    half = estimate(proposal, lambda X: np.where(X[:, 0] > 0, 0.0, -np.inf), 20_000, rng)
    assert abs(half.log_normalizer - np.log(0.5)) < 4 * half.standard_error
    nothing = estimate(proposal, lambda X: np.full(len(X), -np.inf), 100, rng)
    assert np.isnan(nothing.log_normalizer)


@pytest.mark.statistical
@pytest.mark.parametrize(("d", "a"), [(1, 1.0), (2, 1.0), (5, 1.0), (10, 0.3)])
def test_the_standard_error_covers_a_closed_form(d, a):
    """The integral of N(0, I) exp(-a |x|^2 / 2) is (1 + a)^(-d / 2)."""
    truth = -0.5 * d * np.log1p(a)
    errors = np.empty(400)
    for seed in range(400):
        rng = np.random.default_rng(seed)
        proposal = a_proposal(d, rng)
        found = estimate(proposal, lambda X: -0.5 * a * (X**2).sum(axis=1), 1000, rng)
        errors[seed] = (found.log_normalizer - truth) / found.standard_error
    # Three standard errors of a share of 400.
    assert np.mean(np.abs(errors) < 1.96) == pytest.approx(0.95, abs=0.033)
    assert np.mean(np.abs(errors) < 1.0) == pytest.approx(0.683, abs=0.07)


@pytest.mark.statistical
@pytest.mark.parametrize("d", [1, 2])
def test_the_standard_error_covers_quadrature(d):
    """A bump f that is no Gaussian; the truth by the trapezoidal rule."""

    def f(X):
        return 2.0 * np.exp(-2.0 * ((X - 0.7) ** 2).sum(axis=1)) - np.exp(-(X**2).sum(axis=1))

    axis = np.linspace(-9, 9, 601)
    grid = np.stack(np.meshgrid(*[axis] * d), axis=-1).reshape(-1, d)
    base = standard_normal(d)
    truth = logsumexp(base.log_density(grid) + f(grid)) + d * np.log(axis[1] - axis[0])
    errors = np.empty(400)
    for seed in range(400):
        rng = np.random.default_rng(seed)
        found = estimate(a_proposal(d, rng), f, 1000, rng)
        errors[seed] = (found.log_normalizer - truth) / found.standard_error
    assert np.mean(np.abs(errors) < 1.96) == pytest.approx(0.95, abs=0.033)
    assert np.mean(np.abs(errors) < 1.0) == pytest.approx(0.683, abs=0.07)


def test_the_control_variate_lowers_the_error(rng):
    """Beside the plain mean of the weights, of the same draws."""
    proposal = a_proposal(5, rng)
    X = proposal.draw(4000, rng)
    log_base, log_proposal = proposal.base.log_density(X), proposal.log_density(X)
    f = -0.05 * (X**2).sum(axis=1)
    found = log_normalizer(log_base, f, log_proposal)
    w = np.exp(log_base + f - log_proposal)
    assert found.standard_error < 0.5 * w.std() / (w.mean() * np.sqrt(4000))


# --------------------------------------------------------------------------------------
# systematic resampling


def test_systematic_draws_are_as_often_as_expected(rng):
    weights = rng.dirichlet(np.ones(30))
    weights[[0, 29]] = 0.0
    weights /= weights.sum()
    total = np.zeros(30)
    for _ in range(300):
        drawn = systematic(weights, 100, rng)
        assert len(drawn) == 100
        counts = np.bincount(drawn, minlength=30)
        assert np.all(np.abs(counts - 100 * weights) < 1.0)
        assert counts[0] == counts[29] == 0
        total += counts
    np.testing.assert_allclose(total / 300, 100 * weights, atol=0.15)
