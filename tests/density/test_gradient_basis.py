"""Full and Nyström bases against brute force, and against what must hold for any minimiser."""

import numpy as np
import pytest

from skmmd.datasets import make_density
from skmmd.density import _gradient_basis
from skmmd.density._gradient_basis import GradientExpansion, fit_full, fit_nystroem
from tests.density import gradient_oracles as oracles
from tests.memory import MEGABYTE, peak_of

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
@pytest.mark.parametrize("alpha", [1e-1, 1e-3, 1e-5])
@pytest.mark.parametrize("basis", ["full", "nystroem"])
def test_solutions_are_stationary(kernel, alpha, basis):
    """The derivative of the loss vanishes along each d_i k(y_m, .): at the rows, or the centres."""
    rho, X, weight, base_score = larger()
    if basis == "full":
        points, f = X, fit_full(kernel, rho, X, weight, base_score, alpha)
    else:
        points = X[::3] + 0.1
        f = fit_nystroem(kernel, rho, X, weight, base_score, points, alpha)
    slope = f.gradient(X)
    # sum_b w_b [(grad f + s0) . grad + Laplacian] k(x_b, .), the derivative without the penalty
    fitted = GradientExpansion(kernel, rho, X, weight[:, None] * (slope + base_score), weight)
    penalty = alpha * f.gradient(points)
    residual = fitted.gradient(points) + penalty
    assert np.abs(residual).max() < 3e-6 * np.abs(penalty).max()


@each_kernel
def test_nystroem_with_all_rows_lacks_what_no_gradient_sees(kernel):
    """Full less Nyström is -xi_0 / alpha, xi_0 the part of xi orthogonal to all d_i k(x_b, .).

    So the scores at the rows are equal, elsewhere they drift apart as alpha falls, and the
    losses differ by |xi_0|^2 / (2 alpha).
    """
    rho, X, weight, base_score = larger(n=40)
    fresh = X[:10] + 0.4
    lacking, gaps = [], []
    for alpha in (1e-1, 1e-3):
        full = fit_full(kernel, rho, X, weight, base_score, alpha)
        nystroem = fit_nystroem(kernel, rho, X, weight, base_score, X, alpha)
        np.testing.assert_allclose(
            nystroem.gradient(X), full.gradient(X), rtol=0, atol=1e-7 * np.abs(full.coef).max()
        )
        lacking.append(alpha * (full.values(fresh) - nystroem.values(fresh)))
        losses = [penalised_loss(f, X, weight, base_score, alpha) for f in (full, nystroem)]
        gaps.append(alpha * (losses[1] - losses[0]))
    np.testing.assert_allclose(lacking[1], lacking[0], rtol=0, atol=1e-6 * abs(lacking[0]).max())
    assert gaps[0] > 0
    assert gaps[1] == pytest.approx(gaps[0], rel=1e-5)


@each_kernel
def test_more_centers_lower_the_loss(kernel):
    rho, X, weight, base_score = larger()
    losses = [
        penalised_loss(
            fit_nystroem(kernel, rho, X, weight, base_score, X[:m], 1e-3),
            X,
            weight,
            base_score,
            1e-3,
        )
        for m in (2, 6, 20, 60)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] < 0  # f = 0


# --------------------------------------------------------------------------------------
# weights


@each_kernel
@pytest.mark.parametrize("basis", ["full", "nystroem"])
def test_integer_weights_equal_copies(kernel, basis):
    rho, X, _, base_score = larger(n=12)
    counts = np.random.default_rng(7).integers(0, 4, 12)
    assert {0, 1, 3} <= set(counts)
    rows = np.repeat(np.arange(12), counts)

    def fit(X, weight, base_score):
        weight = weight / weight.sum()
        if basis == "full":
            return fit_full(kernel, rho, X, weight, base_score, 0.02)
        return fit_nystroem(kernel, rho, X, weight, base_score, centers, 0.02)

    centers = X[:5]
    weighted = fit(X, counts.astype(float), base_score)
    copied = fit(X[rows], np.ones(len(rows)), base_score[rows])
    assert_same_function(weighted, copied, X + 0.2)
    if basis == "full":
        assert len(weighted.centers) == np.count_nonzero(counts)
    unweighted = fit(X, np.ones(12), base_score)
    assert np.abs(unweighted.values(X) - weighted.values(X)).max() > 0.01


# --------------------------------------------------------------------------------------
# conditioning and limits


@each_kernel
def test_centers_that_repeat_or_nearly_so(kernel):
    """The inner products of the basis are then singular; the span stays the same."""
    rho, X, weight, base_score = larger()
    centers = X[:8]
    once = fit_nystroem(kernel, rho, X, weight, base_score, centers, 1e-3)
    twice = fit_nystroem(kernel, rho, X, weight, base_score, np.vstack([centers, centers]), 1e-3)
    assert_same_function(twice, once, X, rtol=1e-7)
    near = np.vstack([centers, centers + 1e-9])
    assert_same_function(
        fit_nystroem(kernel, rho, X, weight, base_score, near, 1e-3), once, X, rtol=1e-6
    )


@each_kernel
def test_wide_kernels(kernel):
    """Bandwidths of 7 to 14: the condition number of the inner products is beyond 1e16."""
    rho, X, weight, base_score = larger(n=80, d=2)
    rho = 0.01 * rho
    alpha = 1e-6
    products = _gradient_basis._inner_products(kernel, rho, X, X)
    assert np.linalg.cond(products) > 1e16
    full = fit_full(kernel, rho, X, weight, base_score, alpha)
    nystroem = fit_nystroem(kernel, rho, X, weight, base_score, X, alpha)
    a, b = full.gradient(X), nystroem.gradient(X)
    assert np.abs(a - b).max() < 1e-4 * np.abs(a).max()


def test_solve_without_positive_eigenvalues_falls_back_on_the_pseudo_inverse():
    rng = np.random.default_rng(8)
    vectors = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    eigenvalues = np.array([3.0, 2.0, 1.0, 0.5, -1e-15, -1e-14])
    A = (vectors * eigenvalues) @ vectors.T
    A = 0.5 * (A + A.T)
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.cholesky(A)
    b = rng.normal(size=6)
    expected = np.linalg.pinv(A, rcond=1e-8, hermitian=True) @ b
    np.testing.assert_allclose(_gradient_basis._solve_positive(A, b), expected, rtol=1e-10)


def test_memory():
    """One system of the full solution; for Nyström nothing that grows with the rows."""
    n, rng = 1500, np.random.default_rng(11)
    X, weight, base_score = rng.normal(size=(n, 2)), np.full(n, 1 / n), rng.normal(size=(n, 2))
    system = (2 * n) ** 2 * 8 / MEGABYTE
    block = _gradient_basis._PAIRS_PER_BLOCK * 8 / MEGABYTE
    arguments = "rbf", np.ones(2), X, weight, base_score
    assert peak_of(lambda: fit_full(*arguments, 0.1)) < system + 8 * block < 2 * system
    derivatives = _gradient_basis._DERIVATIVES_PER_BLOCK * 8 / MEGABYTE
    few = peak_of(lambda: fit_nystroem(*arguments, X[:20], 0.1))
    many = np.tile(X, (40, 1))
    tiled = np.tile(base_score, (40, 1))
    spread = np.full(len(many), 1 / len(many))
    peak = peak_of(lambda: fit_nystroem("rbf", np.ones(2), many, spread, tiled, X[:20], 0.1))
    whole = many.size * 40 * 8 / MEGABYTE
    assert peak < few + 3 * derivatives < 3 * whole


def test_too_many_unknowns():
    X = np.zeros((10_001, 2))
    weight = np.full(len(X), 1 / len(X))
    with pytest.raises(ValueError, match=r"20002 unknowns.*basis=\"lite\" or basis=\"nystroem\""):
        fit_full("rbf", np.ones(2), X, weight, X, 0.1)
    with pytest.raises(ValueError, match=r"20002 unknowns.*fewer n_components"):
        fit_nystroem("rbf", np.ones(2), X, weight, X, X, 0.1)


@pytest.mark.parametrize("alpha", [0.0, -1.0, np.nan])
def test_alpha_must_be_positive(alpha):
    X, weight, base_score = problem()
    with pytest.raises(ValueError, match="alpha must be positive"):
        fit_full("rbf", RHO, X, weight, base_score, alpha)
    with pytest.raises(ValueError, match="alpha must be positive"):
        fit_nystroem("rbf", RHO, X, weight, base_score, X, alpha)


def test_far_rows():
    """f and its derivatives vanish there, without overflow on the way."""
    rho, X, weight, base_score = larger()
    for kernel in KERNELS:
        f = fit_full(kernel, rho, X, weight, base_score, 0.01)
        far = np.full((1, 3), 1e60)
        for part in (f.values(far), f.gradient(far), f.laplacian(far), f.hessian(far)):
            np.testing.assert_allclose(part, 0.0, atol=1e-30)


@pytest.mark.parametrize("basis", ["full", "nystroem"])
def test_the_score_of_a_ring_is_found(basis):
    """Against the known score at fresh rows, relative to that of the Gaussian base."""
    density = make_density("ring", 2)
    X, fresh = (density.sample(n, random_state=seed) for n, seed in ((300, 0), (1000, 1)))
    weight = np.full(len(X), 1 / len(X))
    scale = X.std()
    rho = np.full(2, 1 / (0.6 * scale) ** 2)
    if basis == "full":
        f = fit_full("rbf", rho, X, weight, -X / scale**2, 1e-3)
    else:
        f = fit_nystroem("rbf", rho, X, weight, -X / scale**2, X[:60], 1e-3)
    truth = density.score_function(fresh)
    error = f.gradient(fresh) - fresh / scale**2 - truth
    assert (error**2).sum() < 0.35 * (truth**2).sum()
    assert ((fresh / scale**2 + truth) ** 2).sum() > 0.8 * (truth**2).sum()
