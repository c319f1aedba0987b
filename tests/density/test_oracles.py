"""The twins against each other, by differences and quadrature: a failing test accuses the code."""

import itertools

import numpy as np
import pytest
from scipy import integrate, stats

from tests.density import oracles

KERNELS = oracles.KERNELS
STEP = 1e-5


def central(function, X, i):
    """Return the central difference of a function of rows in coordinate i."""
    shift = STEP * np.eye(X.shape[1])[i]
    return (function(X + shift) - function(X - shift)) / (2 * STEP)


def data(seed, n=30, n_centers=5, d=2):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * np.linspace(0.7, 1.4, d) + 0.2 * rng.exponential(size=(n, d))
    return X, rng.normal(size=(n_centers, d)), rng.integers(1, 4, n).astype(float)


def bandwidths(d):
    return {"scalar": 0.8, "each": np.linspace(0.6, 1.3, d)}


def mixture(d):
    rng = np.random.default_rng(8)
    roots = rng.normal(size=(2, d, d)) / 3
    return oracles.MixtureBase(
        np.array([0.3, 0.7]),
        rng.normal(size=(2, d)),
        np.array([A @ A.T + np.eye(d) for A in roots]),
    )


# --------------------------------------------------------------------------------------
# derivatives


@pytest.mark.parametrize("kernel", KERNELS)
def test_psi_at_known_points_and_its_derivatives(kernel):
    u = np.array([0.0, 0.3, 2.0, 15.0])
    value, first, second = oracles.radial(u, kernel)
    known = {"rbf": np.exp(-3), "imq": 0.5, "rq": 0.25}
    assert oracles.radial(3.0, kernel)[0] == pytest.approx(known[kernel], rel=1e-15)
    assert value[0] == 1
    np.testing.assert_allclose(
        first,
        (oracles.radial(u + STEP, kernel)[0] - oracles.radial(u - STEP, kernel)[0]) / (2 * STEP),
        atol=1e-9,
    )
    np.testing.assert_allclose(
        second,
        (oracles.radial(u + STEP, kernel)[1] - oracles.radial(u - STEP, kernel)[1]) / (2 * STEP),
        atol=1e-9,
    )


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", ["scalar", "each"])
@pytest.mark.parametrize("d", [1, 3])
def test_derivatives_of_phi(kernel, name, d):
    X, Z, _ = data(0, d=d)
    given = (Z[0], kernel, bandwidths(d)[name])
    gradient = oracles.phi_gradient(X, *given)
    hessian = oracles.phi_hessian(X, *given)
    for i in range(d):
        slope = central(lambda A: oracles.phi(A, *given), X, i)
        np.testing.assert_allclose(gradient[:, i], slope, atol=1e-9)
        curvature = central(lambda A: oracles.phi_gradient(A, *given), X, i)
        np.testing.assert_allclose(hessian[:, i], curvature, atol=1e-9)
    diagonal = np.einsum("nii->ni", hessian)
    np.testing.assert_allclose(oracles.phi_second(X, *given), diagonal, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(
        oracles.phi_laplacian(X, *given), diagonal.sum(axis=1), rtol=1e-12, atol=1e-14
    )


def test_expansion_sums_its_parts():
    X, Z, _ = data(1, d=3)
    coef = np.arange(5) - 2.5
    expansion = oracles.Expansion(coef, Z, "imq", 0.9)
    np.testing.assert_allclose(expansion.value(X), oracles.gram(X, Z, "imq", 0.9) @ coef)
    for i in range(3):
        np.testing.assert_allclose(
            expansion.gradient(X)[:, i], central(expansion.value, X, i), atol=1e-9
        )
    np.testing.assert_allclose(
        expansion.laplacian(X), np.trace(expansion.hessian(X), axis1=1, axis2=2)
    )


@pytest.mark.parametrize("d", [1, 3])
def test_mixture_base(d):
    X, _, _ = data(2, d=d)
    base = mixture(d)
    laplacian = np.zeros(len(X))
    for i in range(d):
        slope = central(base.log_density, X, i)
        np.testing.assert_allclose(base.score(X)[:, i], slope, atol=1e-8)
        laplacian += central(base.score, X, i)[:, i]
    np.testing.assert_allclose(base.laplacian(X), laplacian, atol=1e-8)
    plain = oracles.standard_normal(d)
    np.testing.assert_allclose(plain.score(X), -X)
    np.testing.assert_allclose(plain.laplacian(X), -d)
    np.testing.assert_allclose(plain.log_density(X), stats.norm.logpdf(X).sum(axis=1))


# --------------------------------------------------------------------------------------
# the lite system


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("base", ["gaussian", "mixture"])
def test_quadratic_form_is_the_loss(kernel, base):
    X, Z, weight = data(3, d=3)
    base = oracles.standard_normal(3) if base == "gaussian" else mixture(3)
    given = (kernel, bandwidths(3)["each"])
    G, h, _ = oracles.lite_system(X, Z, *given, weight=weight, base_score=base.score(X))
    coef = np.random.default_rng(3).normal(size=5)
    assert oracles.quadratic_loss(coef, G, h, X, base=base, weight=weight) == pytest.approx(
        oracles.explicit_loss(oracles.Expansion(coef, Z, *given), X, base=base, weight=weight),
        rel=1e-12,
    )


@pytest.mark.parametrize("kernel", KERNELS)
def test_solution_is_stationary(kernel):
    X, Z, weight = data(4, d=2)
    given = (kernel, 0.8)
    system = oracles.lite_system(X, Z, *given, weight=weight)
    coef, K = oracles.solve(*system, 0.02), system[2]

    def penalised(c):
        loss = oracles.explicit_loss(oracles.Expansion(c, Z, *given), X, weight=weight)
        return loss + 0.01 * c @ K @ c

    gradient = [
        (penalised(coef + STEP * e) - penalised(coef - STEP * e)) / (2 * STEP) for e in np.eye(5)
    ]
    np.testing.assert_allclose(gradient, 0, atol=1e-8)
    assert penalised(coef) < penalised(0 * coef) - 1e-3


def test_weights_are_copies():
    X, Z, weight = data(5)
    copies = np.repeat(X, weight.astype(int), axis=0)
    for ours, theirs in zip(
        oracles.lite_system(X, Z, "rq", 0.8, weight=weight),
        oracles.lite_system(copies, Z, "rq", 0.8),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_loss_is_the_fisher_divergence_but_for_a_constant():
    """E [1/2 s^2 + s'] = 1/2 E (s - s_p)^2 - 1/2 E s_p^2, by quadrature over p: signs count."""
    x = np.linspace(-9, 9, 2001)[:, None]
    p = oracles.MixtureBase(
        np.array([0.4, 0.6]), np.array([[-1.0], [1.0]]), np.array([[[0.5]], [[0.8]]])
    )
    weight = np.exp(p.log_density(x))
    expansion = oracles.Expansion(np.array([0.7, -0.4]), np.array([[-0.5], [1.2]]), "rbf", 0.9)
    score, target = -x + expansion.gradient(x), p.score(x)
    w = oracles.shares(weight, len(x))[:, None]
    divergence = 0.5 * np.sum(w * ((score - target) ** 2 - target**2))
    assert oracles.explicit_loss(expansion, x, weight=weight) == pytest.approx(divergence, rel=1e-9)


def test_a_model_that_holds_the_truth_recovers_it():
    """p = N(0, 1) exp(f): with quadrature for data and no penalty to speak of, coef is f's."""
    x = np.linspace(-9, 9, 2001)[:, None]
    Z, coef = np.array([[-1.0], [0.2], [1.5]]), np.array([0.8, -0.5, 0.6])
    weight = np.exp(-0.5 * x[:, 0] ** 2 + oracles.Expansion(coef, Z, "imq", 0.7).value(x))
    found = oracles.solve(*oracles.lite_system(x, Z, "imq", 0.7, weight=weight), 0.0)
    np.testing.assert_allclose(found, coef, rtol=1e-6)


def test_leave_one_out_equals_the_rank_d_update():
    """2.4: -[A^-1 v + A^-1 J (I - J' A^-1 J)^-1 J' A^-1 v], A = n (G + alpha K), v = n h - h_b."""
    X, Z, _ = data(6, n=12, d=2)
    given, n = ("rbf", 0.9), 12
    G, h, K = oracles.lite_system(X, Z, *given)
    inverse = np.linalg.inv(n * (G + 0.05 * K))
    for b, coef in enumerate(oracles.leave_one_out(X, Z, *given, 0.05)):
        row = X[b : b + 1]
        J = np.vstack([oracles.phi_gradient(row, z, *given) for z in Z])
        v = n * h - oracles.lite_system(row, Z, *given)[1]
        inner = np.linalg.solve(np.eye(2) - J.T @ inverse @ J, J.T @ inverse @ v)
        np.testing.assert_allclose(coef, -(inverse @ v + inverse @ J @ inner), rtol=1e-9)


# --------------------------------------------------------------------------------------
# domains, noise, slices


def test_boundary_weight():
    value, slope = oracles.boundary_weight(np.array([[0.3], [2.0], [4.6], [5.0]]), 0.0, 5.0, 1.5)
    np.testing.assert_allclose(value[:, 0], [0.3, 1.5, 0.4, 0.0], atol=1e-12)
    np.testing.assert_array_equal(slope[:, 0], [1, 0, -1, -1])


@pytest.mark.parametrize(("low", "high"), [(0.0, np.inf), (-0.5, 1.2)])
def test_loss_of_a_domain(low, high):
    """E [1/2 h s^2 + h s' + h' s] = 1/2 E h (s - s_p)^2 - 1/2 E h s_p^2 for p cut to the domain."""
    c, base = 0.4, oracles.standard_normal(1)
    p = stats.norm(0.3, 0.8)
    expansion = oracles.Expansion(np.array([0.7, -0.4]), np.array([[-0.5], [1.2]]), "rbf", 0.9)
    ends = [low, low + c, min(high, 9.0) - c, min(high, 9.0)]

    def parts(t):
        x = np.array([[t]])
        h = oracles.boundary_weight(x, low, high, c)[0].item()
        score, target = (base.score(x) + expansion.gradient(x)).item(), -(t - 0.3) / 0.64
        divergence = 0.5 * h * ((score - target) ** 2 - target**2)
        loss = oracles.domain_loss(expansion, x, low=low, high=high, c=c, base=base)
        return p.pdf(t) * np.array([divergence, loss])

    pieces = list(itertools.pairwise(ends))
    divergence, loss = sum(integrate.quad_vec(parts, a, b, epsabs=1e-11)[0] for a, b in pieces)
    assert loss == pytest.approx(divergence, rel=1e-8)


def test_domain_system_is_its_loss_and_without_bounds_the_lite_one():
    X, Z, weight = data(7, d=1)
    base, given = oracles.standard_normal(1), ("imq", 0.8)
    bounds = {"low": X.min() - 0.01, "high": X.max() + 0.3, "c": 0.5}
    G, h, _ = oracles.domain_system(X, Z, *given, weight=weight, **bounds)
    coef = np.random.default_rng(7).normal(size=5)

    def loss(c):
        return oracles.domain_loss(
            oracles.Expansion(c, Z, *given), X, base=base, weight=weight, **bounds
        )

    assert 0.5 * coef @ G @ coef + h @ coef == pytest.approx(loss(coef) - loss(0 * coef), rel=1e-12)
    X, Z, weight = data(7, d=2)
    free = oracles.domain_system(X, Z, *given, low=-np.inf, high=np.inf, c=1.0, weight=weight)
    for ours, theirs in zip(free, oracles.lite_system(X, Z, *given, weight=weight), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("d", [1, 2])
def test_denoising_is_the_lite_system_of_noisy_rows(kernel, d):
    X, Z, weight = data(8, n=8, d=d)
    sigma, given = 0.2, (kernel, bandwidths(d)["each"])
    denoising = oracles.denoising_system(X, Z, *given, sigma, weight=weight, n_nodes=16)
    rows, w, _ = oracles.noisy_rows(X, sigma, weight=weight, n_nodes=16)
    for ours, theirs in zip(denoising, oracles.lite_system(rows, Z, *given, weight=w), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("d", [1, 2])
def test_denoising_by_factors(d):
    X, Z, weight = data(15, n=8, d=d)
    sigma, bandwidth = 0.3, bandwidths(d)["each"]
    factored = oracles.factored_denoising_system(X, Z, bandwidth, sigma, weight=weight)
    whole = oracles.denoising_system(X, Z, "rbf", bandwidth, sigma, weight=weight, n_nodes=24)
    for ours, theirs in zip(factored, whole, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_denoising_by_factors_against_draws():
    """In more dimensions than quadrature of all at once can do: within 4 standard errors."""
    X, Z, _ = data(16, n=10, n_centers=3, d=5)
    sigma, rng, batches = 0.3, np.random.default_rng(16), []
    for _ in range(40):
        noise = rng.normal(size=(100, *X.shape))
        rows = np.concatenate([*(X + sigma * noise), *(X - sigma * noise)])
        G, h, _ = oracles.lite_system(rows, Z, "rbf", 1.5)
        batches.append([*G.ravel(), *h])
    error = np.std(batches, axis=0, ddof=1) / 40**0.5
    G, h, _ = oracles.factored_denoising_system(X, Z, 1.5, sigma)
    gap = np.array([*G.ravel(), *h]) - np.mean(batches, axis=0)
    assert np.all(np.abs(gap) < 4 * error)
    plain, h, _ = oracles.lite_system(X, Z, "rbf", 1.5)
    gap = np.array([*plain.ravel(), *h]) - np.mean(batches, axis=0)
    assert not np.any(np.abs(gap) < 4 * error)  # the draws can tell


def test_denoising_against_the_smoothed_kernel():
    """2.5: h = mean [(1 - sigma^2) lap phi_ + s0 grad phi_], phi_ of rho / (1 + rho sigma^2)."""
    X, Z, _ = data(9, n=8, d=2)
    sigma, bandwidth = 0.15, np.array([0.8, 1.1])
    _, h, _ = oracles.denoising_system(X, Z, "rbf", bandwidth, sigma)
    smoothed = ("rbf", np.sqrt(bandwidth**2 + sigma**2))
    factor = np.prod((1 + sigma**2 / bandwidth**2) ** -0.5)
    for m, z in enumerate(Z):
        laplacian = oracles.phi_laplacian(X, z, *smoothed)
        slope = (-X * oracles.phi_gradient(X, z, *smoothed)).sum(axis=1)
        assert h[m] == pytest.approx(
            factor * np.mean((1 - sigma**2) * laplacian + slope), rel=1e-10, abs=1e-12
        )


def test_slices_along_the_axes_give_the_lite_system():
    X, Z, weight = data(10, d=3)
    directions = np.tile(np.sqrt(3) * np.eye(3), (len(X), 1, 1))
    base = mixture(3).score(X)
    given = ("rq", bandwidths(3)["each"])
    sliced = oracles.sliced_system(X, Z, *given, directions, weight=weight, base_score=base)
    exact = oracles.lite_system(X, Z, *given, weight=weight, base_score=base)
    for ours, theirs in zip(sliced, exact, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


# --------------------------------------------------------------------------------------
# normaliser and coordinates


@pytest.mark.parametrize("d", [1, 2])
def test_log_integral(d):
    box = (np.full(d, -14.0), np.full(d, 14.0), 281)
    assert oracles.log_integral(mixture(d).log_density, *box) == pytest.approx(0, abs=1e-9)
    _, Z, _ = data(11, d=d)
    coef = np.array([0.9, -0.7, 0.4, -0.2, 0.5])
    expansion = oracles.Expansion(coef, Z, "imq", 0.6)
    base = oracles.standard_normal(d)
    found = oracles.log_integral(lambda X: base.log_density(X) + expansion.value(X), *box)
    assert coef[coef < 0].sum() < found < coef[coef > 0].sum()  # 2.8: psi is in [0, 1]
    draws = np.random.default_rng(11).normal(size=(100_000, d))
    ratio = np.exp(expansion.value(draws))
    assert found == pytest.approx(np.log(ratio.mean()), abs=4 * ratio.std() / 100_000**0.5)


def test_whitening():
    X, _, weight = data(12, d=3)
    X = X @ np.random.default_rng(12).normal(size=(3, 3)) + 50
    map = oracles.whitening(X, weight)
    Y = map.forward(X)
    np.testing.assert_allclose(np.average(Y, axis=0, weights=weight), 0, atol=1e-10)
    covariance = np.cov(Y.T, aweights=weight, ddof=0)
    np.testing.assert_allclose(covariance, np.eye(3), atol=1e-10)
    np.testing.assert_allclose(map.root, map.root.T, atol=1e-12)
    assert np.linalg.eigvalsh(map.root).min() > 0
    np.testing.assert_allclose(map.backward(Y), X, rtol=1e-12)
    copies = oracles.whitening(np.repeat(X, weight.astype(int), axis=0))
    np.testing.assert_allclose(copies.root, map.root, rtol=1e-10, atol=1e-12)
    columns = oracles.column_whitening(X, weight).forward(X)
    np.testing.assert_allclose(np.average(columns**2, axis=0, weights=weight), 1, rtol=1e-10)


def test_fit_in_the_coordinates_of_the_data():
    """A Gaussian base given as a score function is the Gaussian base; gradients by differences."""
    X, Z, weight = data(13, d=2)
    X, Z = 3 + 2 * X @ [[1.0, 0.4], [0, 0.6]], 3 + 2 * Z
    settings = {"bandwidth": 0.9, "alpha": 0.01, "weight": weight, "kernel": "imq"}
    plain = oracles.fit(X, Z, **settings)
    map = oracles.whitening(X, weight)
    given = oracles.fit(
        X, Z, base_score=lambda A: -np.linalg.solve(map.covariance, (A - map.mean).T).T, **settings
    )
    np.testing.assert_allclose(given.coef, plain.coef, rtol=1e-8)
    for i in range(2):
        np.testing.assert_allclose(plain.gradient(X)[:, i], central(plain.value, X, i), atol=1e-8)


def test_fit_with_little_noise_is_nearly_the_one_without():
    X, Z, weight = data(14, n=15, d=1)
    settings = {"bandwidth": 0.9, "alpha": 0.01, "weight": weight}
    plain = oracles.fit(X, Z, **settings).value(X)
    gaps = [
        np.abs(oracles.fit(X, Z, noise_scale=s, **settings).value(X) - plain).max()
        for s in (0.1, 0.01)
    ]
    assert gaps[1] < 0.02 * gaps[0]
    assert gaps[1] < 1e-3
