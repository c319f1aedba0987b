"""Full and Nyström bases against brute force, and against what must hold for any minimiser."""

import numpy as np
import pytest

from skmmd.density import _gradient_basis
from skmmd.density._gradient_basis import GradientExpansion, fit_full, fit_nystroem
from tests.density import gradient_oracles as oracles

KERNELS = ("rbf", "imq", "rq")
each_kernel = pytest.mark.parametrize("kernel", KERNELS)
RHO = np.array([0.8, 1.7])


def problem(seed=0, n=5, d=2):
    """Return rows, their weights and the score of a base that is no Gaussian."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    weight = rng.uniform(0.5, 2.0, n)
    return X, weight / weight.sum(), -X + 0.3 * np.sin(X)


def larger(seed=1, n=60, d=3):
    X, weight, base_score = problem(seed, n, d)
    X[:, 0] += 0.5 * X[:, 1] ** 2
    return np.array([0.9, 0.5, 1.4])[:d], X, weight, base_score


def loss(f, X, weight, base_score):
    slope = f.gradient(X)
    each = 0.5 * (slope**2).sum(axis=1) + f.laplacian(X) + (base_score * slope).sum(axis=1)
    return weight @ each


def squared_norm(f):
    """Return |f|^2 by the reproducing property: <f, d_i k(y, .)> = d_i f(y)."""
    return (f.coef * f.gradient(f.centers)).sum() + f.laplacian_coef @ f.laplacian(f.centers)


def penalised_loss(f, X, weight, base_score, alpha):
    return loss(f, X, weight, base_score) + 0.5 * alpha * squared_norm(f)


def terms(f):
    """Return an expansion as functionals of the oracle and their coefficients."""
    basis = oracles.functionals(f.centers, 1) + oracles.functionals(f.centers, 2)
    return basis, np.concatenate([f.coef.ravel(), np.repeat(f.laplacian_coef, f.coef.shape[1])])


def assert_same_function(f, other, X, rtol=1e-9):
    for name in ("values", "gradient", "laplacian", "hessian"):
        expected = getattr(other, name)(X)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(getattr(f, name)(X), expected, rtol=0, atol=rtol * scale)


# --------------------------------------------------------------------------------------
# the expansion


def expansion(kernel, seed=3, n_centers=4, d=3):
    rng = np.random.default_rng(seed)
    return GradientExpansion(
        kernel,
        rng.uniform(0.4, 1.5, d),
        rng.normal(size=(n_centers, d)),
        rng.normal(size=(n_centers, d)),
        rng.normal(size=n_centers),
    )


@each_kernel
def test_the_oracle_differentiates(kernel):
    """Against derivatives by hand in one dimension, k = psi(1/2 rho t^2) at t = 0.6."""
    rho, t = 1.3, 0.6
    u = 0.5 * rho * t**2
    first, second = {
        "rbf": (-np.exp(-u), np.exp(-u)),
        "imq": (-0.5 * (1 + u) ** -1.5, 0.75 * (1 + u) ** -2.5),
        "rq": (-1 / (1 + u) ** 2, 2 / (1 + u) ** 3),
    }[kernel]

    def partial(p, q):
        return oracles.partial(kernel, [rho], [t], [0.0], np.array([p]), np.array([q]))

    assert partial(1, 0) == pytest.approx(first * rho * t, rel=1e-11)
    assert partial(0, 1) == pytest.approx(-first * rho * t, rel=1e-11)
    assert partial(1, 1) == pytest.approx(-second * (rho * t) ** 2 - first * rho, rel=1e-11)


@each_kernel
def test_expansion_against_brute_force(kernel):
    f = expansion(kernel)
    basis, theta = terms(f)
    X = np.random.default_rng(4).normal(size=(3, 3))
    X[0] = f.centers[0]
    found = f.values(X), f.gradient(X), f.hessian(X), f.laplacian(X)
    for b, x in enumerate(X):
        value, slope, second = oracles.everything(kernel, f.rho, basis, theta, x)
        for got, expected in zip(
            (part[b] for part in found), (value, slope, second, np.trace(second)), strict=True
        ):
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-8)


@each_kernel
def test_expansion_against_finite_differences(kernel):
    f = expansion(kernel)
    X = np.random.default_rng(5).normal(size=(6, 3))
    step = 1e-5
    for i in range(3):
        e = step * np.eye(3)[i]
        slope = (f.values(X + e) - f.values(X - e)) / (2 * step)
        np.testing.assert_allclose(f.gradient(X)[:, i], slope, rtol=0, atol=1e-8)
        second = (f.gradient(X + e) - f.gradient(X - e)) / (2 * step)
        np.testing.assert_allclose(f.hessian(X)[:, :, i], second, rtol=0, atol=1e-8)
    trace = np.trace(f.hessian(X), axis1=1, axis2=2)
    np.testing.assert_allclose(f.laplacian(X), trace, rtol=0, atol=1e-11)


@each_kernel
def test_blocks_change_nothing(kernel, monkeypatch):
    rho, X, weight, base_score = larger(n=20)
    fits = [
        (fit_full, (kernel, rho, X, weight, base_score, 0.01)),
        (fit_nystroem, (kernel, rho, X, weight, base_score, X[:6], 0.01)),
    ]
    whole = [fit(*arguments) for fit, arguments in fits]
    points = X + 0.1
    expected = [(f.values(points), f.hessian(points)) for f in whole]
    monkeypatch.setattr(_gradient_basis, "_PAIRS_PER_BLOCK", 150)
    monkeypatch.setattr(_gradient_basis, "_DERIVATIVES_PER_BLOCK", 150)
    for (fit, arguments), f, (values, hessian) in zip(fits, whole, expected, strict=True):
        np.testing.assert_allclose(f.values(points), values, rtol=1e-11, atol=1e-11)
        np.testing.assert_allclose(f.hessian(points), hessian, rtol=1e-10, atol=1e-10)
        assert_same_function(fit(*arguments), f, points)


# --------------------------------------------------------------------------------------
# the minimisers


@each_kernel
def test_full_is_the_minimum_by_brute_force(kernel):
    """Over a span larger than the theorem's: each second derivative has its own coefficient."""
    X, weight, base_score = problem()
    alpha = 0.05
    basis = oracles.functionals(X, 1) + oracles.functionals(X, 2)
    brute = oracles.Loss(kernel, RHO, X, weight, base_score, alpha, basis)
    theta = brute.minimum()
    f = fit_full(kernel, RHO, X, weight, base_score, alpha)
    _, own = terms(f)
    assert brute(own) == pytest.approx(brute(theta), rel=1e-9)
    assert penalised_loss(f, X, weight, base_score, alpha) == pytest.approx(brute(own), rel=1e-9)
    for x in X[:2] + 0.3:
        value, slope, second = oracles.everything(kernel, RHO, basis, theta, x)
        np.testing.assert_allclose(f.values(x[None])[0], value, rtol=0, atol=1e-6)
        np.testing.assert_allclose(f.gradient(x[None])[0], slope, rtol=0, atol=1e-6)
        np.testing.assert_allclose(f.hessian(x[None])[0], second, rtol=0, atol=1e-6)


@each_kernel
def test_nystroem_is_the_minimum_by_brute_force(kernel):
    X, weight, base_score = problem()
    alpha, centers = 0.05, np.array([[0.1, -0.4], [1.2, 0.3], [-0.5, 0.9]])
    basis = oracles.functionals(centers, 1)
    brute = oracles.Loss(kernel, RHO, X, weight, base_score, alpha, basis)
    theta = brute.minimum()
    f = fit_nystroem(kernel, RHO, X, weight, base_score, centers, alpha)
    np.testing.assert_allclose(f.coef.ravel(), theta, rtol=1e-6, atol=1e-7)
    assert not f.laplacian_coef.any()
    assert penalised_loss(f, X, weight, base_score, alpha) == pytest.approx(brute(theta), rel=1e-9)


@each_kernel
def test_the_full_loss_is_below_that_of_any_basis(kernel):
    X, weight, base_score = problem()
    alpha = 0.05
    full = fit_full(kernel, RHO, X, weight, base_score, alpha)
    least = penalised_loss(full, X, weight, base_score, alpha)
    lite = oracles.Loss(kernel, RHO, X, weight, base_score, alpha, oracles.functionals(X, 0))
    assert least < lite(lite.minimum())
    some = fit_nystroem(kernel, RHO, X, weight, base_score, X[:3], alpha)
    all_rows = fit_nystroem(kernel, RHO, X, weight, base_score, X, alpha)
    losses = [penalised_loss(f, X, weight, base_score, alpha) for f in (some, all_rows)]
    assert losses[0] > losses[1] > least


@each_kernel
@pytest.mark.parametrize("alpha", [1e-2, 1e-4, 1e-6])
def test_the_full_solution_is_stationary(kernel, alpha):
    """C f + xi + alpha f = 0, tested by inner products with d_i k(x_b, .)."""
    rho, X, weight, base_score = larger()
    f = fit_full(kernel, rho, X, weight, base_score, alpha)
    slope = f.gradient(X)
    along = GradientExpansion(kernel, rho, X, weight[:, None] * (slope + base_score), weight)
    residual = along.gradient(X) + alpha * slope
    assert np.abs(residual).max() < 1e-8 * np.abs(along.gradient(X)).max() / alpha**0.5


def test_nystroem_with_all_rows_lacks_only_the_linear_part():
    """xi is no sum of first derivatives; how far off depends on alpha, and little on the score."""
    rho, X, weight, base_score = larger(n=80, d=2)
    for alpha, gap in ((1e-1, 0.2), (1e-2, 0.05), (1e-3, 0.02)):
        full = fit_full("rbf", rho, X, weight, base_score, alpha)
        nystroem = fit_nystroem("rbf", rho, X, weight, base_score, X, alpha)
        a, b = full.gradient(X), nystroem.gradient(X)
        print(alpha, ((a - b) ** 2).sum() / (a**2).sum(),
              penalised_loss(full, X, weight, base_score, alpha),
              penalised_loss(nystroem, X, weight, base_score, alpha))
