"""Naive twins of density: each step the formula itself, a loop over centres and coordinates.

Nothing here imports skmmd. Names follow the mathematics: X rows, Z centres, both in whitened
coordinates unless a function says otherwise; delta = x - z, rho_i = 1 / bandwidth_i^2,
u = 1/2 sum_i rho_i delta_i^2, phi_m(x) = psi(u(x, z_m)), f = sum_m coef_m phi_m.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import linalg, special, stats

KERNELS = ("rbf", "imq", "rq")


# --------------------------------------------------------------------------------------
# one kernel function and its derivatives


def radial(u, kernel):
    """Return psi, psi' and psi'' at u."""
    if kernel == "rbf":
        return np.exp(-u), -np.exp(-u), np.exp(-u)
    if kernel == "imq":
        return (1 + u) ** -0.5, -0.5 * (1 + u) ** -1.5, 0.75 * (1 + u) ** -2.5
    if kernel == "rq":
        return (1 + u) ** -1.0, -((1 + u) ** -2.0), 2 * (1 + u) ** -3.0
    raise ValueError(kernel)


def inverse_squares(bandwidth, d):
    """Return rho, one number for each coordinate."""
    return 1 / np.broadcast_to(np.asarray(bandwidth, dtype=float), (d,)) ** 2


def half_distance(X, z, bandwidth):
    """u = 1/2 sum_i rho_i delta_i^2, for each row of X."""
    rho = inverse_squares(bandwidth, len(z))
    u = np.zeros(len(X))
    for i in range(len(z)):
        u += 0.5 * rho[i] * (X[:, i] - z[i]) ** 2
    return u


def phi(X, z, kernel, bandwidth):
    """phi = psi(u)."""
    return radial(half_distance(X, z, bandwidth), kernel)[0]


def phi_gradient(X, z, kernel, bandwidth):
    """d_i phi = psi' rho_i delta_i."""
    rho = inverse_squares(bandwidth, len(z))
    _, first, _ = radial(half_distance(X, z, bandwidth), kernel)
    return np.column_stack([first * rho[i] * (X[:, i] - z[i]) for i in range(len(z))])


def phi_hessian(X, z, kernel, bandwidth):
    """d_i d_j phi = psi'' rho_i delta_i rho_j delta_j + psi' rho_i [i = j]."""
    d = len(z)
    rho = inverse_squares(bandwidth, d)
    _, first, second = radial(half_distance(X, z, bandwidth), kernel)
    hessian = np.zeros((len(X), d, d))
    for i, j in itertools.product(range(d), repeat=2):
        hessian[:, i, j] = second * rho[i] * (X[:, i] - z[i]) * rho[j] * (X[:, j] - z[j])
        if i == j:
            hessian[:, i, i] += first * rho[i]
    return hessian


def phi_second(X, z, kernel, bandwidth):
    """d_i^2 phi = psi'' rho_i^2 delta_i^2 + psi' rho_i."""
    rho = inverse_squares(bandwidth, len(z))
    _, first, second = radial(half_distance(X, z, bandwidth), kernel)
    return np.column_stack(
        [second * rho[i] ** 2 * (X[:, i] - z[i]) ** 2 + first * rho[i] for i in range(len(z))]
    )


def phi_laplacian(X, z, kernel, bandwidth):
    """Laplacian of phi = psi'' sum rho_i^2 delta_i^2 + psi' sum rho_i."""
    return phi_second(X, z, kernel, bandwidth).sum(axis=1)


def gram(A, B, kernel, bandwidth):
    """K_ml = phi_l(a_m)."""
    return np.column_stack([phi(A, b, kernel, bandwidth) for b in B])


@dataclass(frozen=True)
class Expansion:
    """f = sum_m coef_m phi_m with its derivatives."""

    coef: np.ndarray
    Z: np.ndarray
    kernel: str
    bandwidth: object

    def _sum(self, function, X):
        X = np.asarray(X, dtype=float)
        return sum(
            c * function(X, z, self.kernel, self.bandwidth)
            for c, z in zip(self.coef, self.Z, strict=True)
        )

    def value(self, X):
        return self._sum(phi, X)

    def gradient(self, X):
        return self._sum(phi_gradient, X)

    def laplacian(self, X):
        return self._sum(phi_laplacian, X)

    def hessian(self, X):
        return self._sum(phi_hessian, X)


# --------------------------------------------------------------------------------------
# base measures


@dataclass(frozen=True)
class MixtureBase:
    """Gaussian mixture: log density, score and Laplacian of the log density."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray

    def _parts(self, X):
        """log w_k N_k, its score, and responsibilities."""
        logs, scores = [], []
        for weight, mean, covariance in zip(
            self.weights, self.means, self.covariances, strict=True
        ):
            logs.append(np.log(weight) + np.atleast_1d(normal(mean, covariance).logpdf(X)))
            scores.append(-np.linalg.solve(covariance, (X - mean).T).T)
        logs = np.array(logs)
        return logs, np.array(scores), np.exp(logs - special.logsumexp(logs, axis=0))

    def log_density(self, X):
        return special.logsumexp(self._parts(X)[0], axis=0)

    def score(self, X):
        _, scores, r = self._parts(X)
        return sum(r[k][:, None] * scores[k] for k in range(len(r)))

    def laplacian(self, X):
        """sum_k r_k (|s_k|^2 - tr inv(C_k)) - |s|^2."""
        _, scores, r = self._parts(X)
        total = -(self.score(X) ** 2).sum(axis=1)
        for k, covariance in enumerate(self.covariances):
            trace = np.trace(np.linalg.inv(covariance))
            total += r[k] * ((scores[k] ** 2).sum(axis=1) - trace)
        return total


def normal(mean, covariance):
    return stats.multivariate_normal(mean, covariance)


def standard_normal(d):
    """N(0, I): s0 = -x, Laplacian -d."""
    return MixtureBase(np.ones(1), np.zeros((1, d)), np.eye(d)[None])


# --------------------------------------------------------------------------------------
# the systems of equations; rows and their weights may as well be the nodes of a quadrature


def shares(weight, n):
    """Return weights that sum to 1."""
    weight = np.ones(n) if weight is None else np.asarray(weight, dtype=float)
    return weight / weight.sum()


def lite_system(X, Z, kernel, bandwidth, *, weight=None, base_score=None):
    """2.1: G = sum_b w_b J_b J_b', h = sum_b w_b (lap phi(x_b) + J_b s0(x_b)), and K_ZZ."""
    w = shares(weight, len(X))
    s0 = -X if base_score is None else base_score
    gradients = [phi_gradient(X, z, kernel, bandwidth) for z in Z]
    G, h = np.zeros((len(Z), len(Z))), np.zeros(len(Z))
    for m, z in enumerate(Z):
        inner = (gradients[m] * s0).sum(axis=1)
        h[m] = w @ (phi_laplacian(X, z, kernel, bandwidth) + inner)
        for k in range(len(Z)):
            G[m, k] = w @ (gradients[m] * gradients[k]).sum(axis=1)
    return G, h, gram(Z, Z, kernel, bandwidth)


def solve(G, h, K, alpha):
    """2.1: coef = -(G + alpha K_ZZ)^-1 h."""
    return -np.linalg.solve(G + alpha * K, h)


def boundary_weight(X, low, high, c):
    """2.7: h_j = min(distance to the nearest bound, c) and its derivative, per coordinate."""
    value, slope = np.empty_like(X), np.empty_like(X)
    d = X.shape[1]
    low, high = np.broadcast_to(low, (d,)), np.broadcast_to(high, (d,))
    for (b, j), x in np.ndenumerate(X):
        below, above = x - low[j], high[j] - x
        value[b, j] = min(below, above, c)
        slope[b, j] = 0.0 if value[b, j] == c else (1.0 if below < above else -1.0)
    return value, slope


def domain_system(X, Z, kernel, bandwidth, *, low, high, c, weight=None, base_score=None):
    """2.7: lite_system with coordinate j weighted by h_j(x).

    G = sum_j h_j d_j phi d_j phi', h = sum_j [h_j d_j^2 phi + h_j' d_j phi + h_j d_j phi s0_j].
    """
    w = shares(weight, len(X))
    s0 = -X if base_score is None else base_score
    value, slope = boundary_weight(X, low, high, c)
    gradients = [phi_gradient(X, z, kernel, bandwidth) for z in Z]
    G, h = np.zeros((len(Z), len(Z))), np.zeros(len(Z))
    for m, z in enumerate(Z):
        second = phi_second(X, z, kernel, bandwidth)
        for j in range(X.shape[1]):
            first = gradients[m][:, j]
            h[m] += w @ (value[:, j] * (second[:, j] + first * s0[:, j]) + slope[:, j] * first)
            for k in range(len(Z)):
                G[m, k] += w @ (value[:, j] * first * gradients[k][:, j])
    return G, h, gram(Z, Z, kernel, bandwidth)


def noisy_rows(X, noise_scale, *, weight=None, n_nodes=12):
    """Return x + noise_scale * e, weights and e: Gauss-Hermite nodes of e ~ N(0, I) at each row."""
    nodes, masses = np.polynomial.hermite_e.hermegauss(n_nodes)
    masses = masses / masses.sum()
    w = shares(weight, len(X))
    rows, weights, noises = [], [], []
    for index in itertools.product(range(n_nodes), repeat=X.shape[1]):
        noise = nodes[list(index)]
        rows.append(X + noise_scale * noise)
        weights.append(w * masses[list(index)].prod())
        noises.append(np.tile(noise, (len(X), 1)))
    return np.concatenate(rows), np.concatenate(weights), np.concatenate(noises)


def denoising_system(X, Z, kernel, bandwidth, noise_scale, *, weight=None, n_nodes=12):
    """2.5 by quadrature, base N(0, I): what E 1/2 |s(x + sigma e) + e / sigma|^2 is in coef."""
    rows, w, noise = noisy_rows(X, noise_scale, weight=weight, n_nodes=n_nodes)
    gradients = [phi_gradient(rows, z, kernel, bandwidth) for z in Z]
    G, h = np.zeros((len(Z), len(Z))), np.zeros(len(Z))
    for m in range(len(Z)):
        h[m] = w @ (gradients[m] * (-rows + noise / noise_scale)).sum(axis=1)
        for k in range(len(Z)):
            G[m, k] = w @ (gradients[m] * gradients[k]).sum(axis=1)
    return G, h, gram(Z, Z, kernel, bandwidth)


def factored_denoising_system(X, Z, bandwidth, noise_scale, *, weight=None, n_nodes=24):
    """2.5 in any d: phi = prod_i exp(-1/2 rho_i delta_i^2), so each mean is one of products.

    The inner means are Gauss-Hermite quadratures over the noise of one coordinate.
    """
    n, d, M = len(X), X.shape[1], len(Z)
    w, rho = shares(weight, n), inverse_squares(bandwidth, d)
    nodes, masses = np.polynomial.hermite_e.hermegauss(n_nodes)
    masses = masses / masses.sum()
    G, h = np.zeros((M, M)), np.zeros(M)
    for b in range(n):
        value, slope = np.empty((d, M, n_nodes)), np.empty((d, M, n_nodes))
        target = np.empty((d, n_nodes))
        for i in range(d):
            x = X[b, i] + noise_scale * nodes
            target[i] = -x + nodes / noise_scale
            for m in range(M):
                value[i, m] = np.exp(-0.5 * rho[i] * (x - Z[m, i]) ** 2)
                slope[i, m] = -rho[i] * (x - Z[m, i]) * value[i, m]
        plain = np.einsum("imq,ilq,q->iml", value, value, masses)
        steep = np.einsum("imq,ilq,q->iml", slope, slope, masses)
        single = value @ masses
        for i in range(d):
            others = [j for j in range(d) if j != i]
            G += w[b] * steep[i] * plain[others].prod(axis=0)
            h += w[b] * (slope[i] * target[i] @ masses) * single[others].prod(axis=0)
    return G, h, gram(Z, Z, "rbf", bandwidth)


def sliced_system(X, Z, kernel, bandwidth, directions, *, weight=None, base_score=None):
    """2.6: G = E (J_b v)(J_b v)', h = E [v' hess phi v + (J_b v)(s0 v)]; directions (n, S, d)."""
    w = shares(weight, len(X))
    s0 = -X if base_score is None else base_score
    n_slices = directions.shape[1]
    G, h = np.zeros((len(Z), len(Z))), np.zeros(len(Z))
    for s in range(n_slices):
        v = directions[:, s]
        slopes = [(phi_gradient(X, z, kernel, bandwidth) * v).sum(axis=1) for z in Z]
        for m, z in enumerate(Z):
            curvature = np.array(
                [a @ H @ a for a, H in zip(v, phi_hessian(X, z, kernel, bandwidth), strict=True)]
            )
            h[m] += w @ (curvature + slopes[m] * (s0 * v).sum(axis=1)) / n_slices
            for k in range(len(Z)):
                G[m, k] += w @ (slopes[m] * slopes[k]) / n_slices
    return G, h, gram(Z, Z, kernel, bandwidth)


# --------------------------------------------------------------------------------------
# losses


def explicit_loss(expansion, X, *, base=None, weight=None):
    """2.1: mean of 1/2 |s|^2 + div s for s = s0 + grad f, from f itself: no G, no h."""
    base = base or standard_normal(X.shape[1])
    score = base.score(X) + expansion.gradient(X)
    divergence = base.laplacian(X) + expansion.laplacian(X)
    return shares(weight, len(X)) @ (0.5 * (score**2).sum(axis=1) + divergence)


def quadratic_loss(coef, G, h, X, *, base=None, weight=None):
    """2.1: 1/2 coef' G_v coef + h_v' coef + mean (1/2 |s0|^2 + lap log q0)."""
    base = base or standard_normal(X.shape[1])
    constant = 0.5 * (base.score(X) ** 2).sum(axis=1) + base.laplacian(X)
    return 0.5 * coef @ G @ coef + h @ coef + shares(weight, len(X)) @ constant


def domain_loss(expansion, X, *, low, high, c, base, weight=None):
    """2.7: mean of sum_j (1/2 h_j s_j^2 + h_j d_j s_j + h_j' s_j); in one dimension only."""
    value, slope = boundary_weight(X, low, high, c)
    score = base.score(X) + expansion.gradient(X)
    slope_of_score = base.laplacian(X) + expansion.laplacian(X)
    inner = 0.5 * value * score**2 + value * slope_of_score[:, None] + slope * score
    return shares(weight, len(X)) @ inner[:, 0]


def leave_one_out(X, Z, kernel, bandwidth, alpha):
    """2.4 by n refits, Z and n * alpha * K fixed: the coefficients without row b, for all b."""
    n = len(X)
    coefs = []
    for b in range(n):
        G, h, K = lite_system(np.delete(X, b, axis=0), Z, kernel, bandwidth)
        coefs.append(solve((n - 1) * G, (n - 1) * h, K, n * alpha))
    return np.array(coefs)


# --------------------------------------------------------------------------------------
# normaliser


def log_integral(log_density, low, high, n_nodes):
    """2.8 for few coordinates: log of the integral over a box, by the trapezoidal rule.

    `log_density` takes rows; `low` and `high` have one number for each coordinate. Where the
    integrand vanishes at the faces, the rule converges faster than any power of the step.
    """
    axes, masses = [], []
    for a, b in zip(low, high, strict=True):
        axes.append(np.linspace(a, b, n_nodes))
        mass = np.full(n_nodes, (b - a) / (n_nodes - 1))
        mass[[0, -1]] /= 2
        masses.append(mass)
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    volume = np.ones(1)
    for mass in masses:
        volume = np.multiply.outer(volume, mass).ravel()
    return special.logsumexp(log_density(grid), b=volume)


# --------------------------------------------------------------------------------------
# whitening


@dataclass(frozen=True)
class Whitening:
    """z = (x - mean) root^-1, root the symmetric square root of the covariance."""

    mean: np.ndarray
    covariance: np.ndarray
    root: np.ndarray

    def forward(self, X):
        return np.linalg.solve(self.root, (X - self.mean).T).T

    def backward(self, Z):
        return self.mean + Z @ self.root


def whitening(X, weight=None):
    """ZCA with the weighted maximum-likelihood covariance (ddof = 0)."""
    w = shares(weight, len(X))
    mean = w @ X
    covariance = sum(a * np.outer(x - mean, x - mean) for a, x in zip(w, X, strict=True))
    return Whitening(mean, covariance, np.real(linalg.sqrtm(covariance)))


def column_whitening(X, weight=None):
    """Mean and standard deviation of each column: axes stay where they are."""
    whole = whitening(X, weight)
    covariance = np.diag(np.diag(whole.covariance))
    return Whitening(whole.mean, covariance, np.sqrt(covariance))


def no_whitening(d):
    return Whitening(np.zeros(d), np.eye(d), np.eye(d))


# --------------------------------------------------------------------------------------
# a fit of everything, in the data's coordinates


@dataclass(frozen=True)
class Fit:
    """f and its derivatives with respect to x, fitted in whitened coordinates."""

    map: Whitening
    expansion: Expansion

    @property
    def coef(self):
        return self.expansion.coef

    def value(self, X):
        return self.expansion.value(self.map.forward(X))

    def gradient(self, X):
        return np.linalg.solve(self.map.root, self.expansion.gradient(self.map.forward(X)).T).T


def fit(
    X,
    centers,
    *,
    kernel="rbf",
    bandwidth,
    alpha,
    weight=None,
    base_score: Callable | None = None,
    noise_scale=0.0,
    map=None,
):
    """2.1 in the data's coordinates; `base_score` maps rows there to scores, None: the Gaussian."""
    map = map or whitening(X, weight)
    Y, Z = map.forward(X), map.forward(centers)
    if noise_scale:
        if base_score is not None or kernel != "rbf":
            raise ValueError("the Gaussian kernel and base only")
        system = factored_denoising_system(Y, Z, bandwidth, noise_scale, weight=weight)
    else:
        # d/dz of log q0(x(z)) with x = mean + root z: the score times the root.
        s0 = None if base_score is None else base_score(X) @ map.root
        system = lite_system(Y, Z, kernel, bandwidth, weight=weight, base_score=s0)
    return Fit(map, Expansion(solve(*system, alpha), Z, kernel, bandwidth))
