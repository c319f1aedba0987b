"""The lite kernel exponential family: f = sum_m coef_m psi(u(x, z_m)), and its score matching.

With J_b the gradients of all basis functions at row b, G = sum_b w_b J_b J_b' and
h = sum_b w_b (Laplacians + J_b s0_b), the loss 1/2 c'Gc + h'c + alpha/2 c'Kc has the minimum
c = -(G + alpha K)^(-1) h (Sutherland et al. 2018, eq. 5 with all data as rows). On a domain with
boundaries each coordinate of each row has a weight h_bj (Yu, Drton & Shojaie 2019).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh, solve_triangular
from scipy.linalg.lapack import dposv, dpstrf

from skmmd._chunked import reduce_blocks, row_blocks
from skmmd.density._radial import half_distances, radial

__all__ = [
    "Expansion",
    "System",
    "add_systems",
    "assemble",
    "block_system",
    "solve",
    "solve_accurately",
]

FloatArray = NDArray[np.float64]

_BLOCK = 2048


@dataclass(frozen=True)
class Expansion:
    """A function f = sum_m coef_m psi(u(x, z_m)) with its derivatives, in whitened coordinates.

    Parameters
    ----------
    kernel : {"rbf", "imq", "rq"}
        The radial function.
    rho : ndarray of shape (n_features,)
        One over the squared bandwidths.
    centers : ndarray of shape (n_centers, n_features)
        The z_m.
    coef : ndarray of shape (n_centers,)
        Coefficients.
    """

    kernel: str
    rho: FloatArray
    centers: FloatArray
    coef: FloatArray

    def values(self, X: FloatArray) -> FloatArray:
        """Return f at each row: shape (n,)."""
        if not self.coef.any():
            return np.zeros(len(X))
        out = np.empty(len(X))
        for rows in row_blocks(len(X), _BLOCK):
            u = half_distances(self.rho, X[rows], self.centers)
            out[rows] = radial(self.kernel, u)[0] @ self.coef
        return out

    def gradient(self, X: FloatArray) -> FloatArray:
        """Return the gradient of f at each row: shape (n, n_features)."""
        out = np.empty_like(X)
        weighted = np.column_stack([self.coef, self.coef[:, None] * self.centers])
        for rows in row_blocks(len(X), _BLOCK):
            u = half_distances(self.rho, X[rows], self.centers)
            sums = radial(self.kernel, u, 1)[1] @ weighted
            out[rows] = self.rho * (X[rows] * sums[:, :1] - sums[:, 1:])
        return out

    def laplacian(self, X: FloatArray) -> FloatArray:
        """Return the sum of the second derivatives of f at each row: shape (n,)."""
        out = np.empty(len(X))
        for rows in row_blocks(len(X), _BLOCK):
            u = half_distances(self.rho, X[rows], self.centers)
            _, first, second = radial(self.kernel, u, 2)
            steep = 2.0 * half_distances(self.rho**2, X[rows], self.centers)
            out[rows] = (second * steep) @ self.coef + self.rho.sum() * (first @ self.coef)
        return out

    def hessian(self, X: FloatArray) -> FloatArray:
        """Return the second derivatives of f at each row: shape (n, n_features, n_features)."""
        n, d = X.shape
        out = np.empty((n, d, d))
        c, Z = self.coef[:, None], self.centers
        pairs = np.einsum("mi,mj->mij", Z, Z).reshape(len(Z), d * d)
        weighted = np.concatenate([c, c * Z, c * pairs], axis=1)
        for rows in row_blocks(n, _BLOCK):
            x = X[rows]
            u = half_distances(self.rho, x, Z)
            _, first, second = radial(self.kernel, u, 2)
            sums = second @ weighted
            zz = sums[:, d + 1 :].reshape(-1, d, d)
            xz = np.einsum("bi,bj->bij", x, sums[:, 1 : d + 1])
            xx = np.einsum("b,bi,bj->bij", sums[:, 0], x, x)
            block = (xx - xz - xz.transpose(0, 2, 1) + zz) * np.outer(self.rho, self.rho)
            block[:, range(d), range(d)] += self.rho * (first @ self.coef)[:, None]
            out[rows] = block
        return out


@dataclass(frozen=True)
class System:
    """Sums over rows from which the coefficients follow: G, h, and the weight of the rows.

    Parameters
    ----------
    gram : ndarray of shape (n_centers, n_centers)
        Sum of w_b J_b J_b'.
    linear : ndarray of shape (n_centers,)
        Sum of w_b (Laplacians + J_b s0_b).
    weight : float
        Sum of w_b.
    """

    gram: FloatArray
    linear: FloatArray
    weight: float


def add_systems(left: System, right: System) -> System:
    """Merge the sums of two sets of rows; the memory of the first is used again."""
    np.add(left.gram, right.gram, out=left.gram)
    np.add(left.linear, right.linear, out=left.linear)
    return System(left.gram, left.linear, left.weight + right.weight)


def gradient_products(
    X: FloatArray,
    Z: FloatArray,
    rho: FloatArray,
    slopes: FloatArray,
    weight: FloatArray,
    boundary: FloatArray | None = None,
) -> FloatArray:
    """Return G = sum_b w_b sum_j h_bj (d_j phi)(d_j phi)' of rows with slopes psi'(u).

    Without boundary weights h the sum over coordinates is taken inside the inner products, so
    that the two matrix products have no factor of the number of features.
    """
    if boundary is None:
        scaled = X * rho
        A = slopes * np.sqrt(weight)[:, None]
        # (x - z)'R^2(x - z') = |Rx|^2 - r_z - r_z' + z'R^2 z', shared out between both factors.
        inner = scaled @ (-Z * rho).T
        inner += 0.5 * np.einsum("ij,ij->i", scaled, scaled)[:, None]
        inner *= A
        half = inner.T @ A
        scaled_centers = Z * rho
        products = A.T @ A
        products *= scaled_centers @ scaled_centers.T
        products += half
        products += half.T
        return products
    G = np.zeros((len(Z), len(Z)))
    for j in range(X.shape[1]):
        root = np.sqrt(weight * boundary[:, j])
        column = slopes * (rho[j] * (X[:, j, None] - Z[:, j]))
        column *= root[:, None]
        G += column.T @ column
    return G


def block_system(
    kernel: str,
    rho: FloatArray,
    Z: FloatArray,
    X: FloatArray,
    weight: FloatArray,
    base_score: FloatArray,
    boundary: tuple[FloatArray, FloatArray] | None = None,
) -> System:
    """Return the sums of one block of rows.

    Parameters
    ----------
    kernel : {"rbf", "imq", "rq"}
        The radial function.
    rho : ndarray of shape (n_features,)
        One over the squared bandwidths.
    Z : ndarray of shape (n_centers, n_features)
        Centres.
    X : ndarray of shape (n, n_features)
        Rows.
    weight : ndarray of shape (n,)
        Weights of the rows.
    base_score : ndarray of shape (n, n_features)
        Score of the base measure at the rows.
    boundary : tuple of two ndarrays of shape (n, n_features), default=None
        Weights of the coordinates and their derivatives, on a domain with boundaries.

    Returns
    -------
    System
        G and h of the block, not divided by the weight.
    """
    u = half_distances(rho, X, Z)
    _, first, second = radial(kernel, u, 2)
    if boundary is None:
        G = gradient_products(X, Z, rho, first, weight)
        second_order = 2.0 * half_distances(rho**2, X, Z)
        h = (second * second_order).T @ weight + rho.sum() * (first.T @ weight)
        field = base_score
    else:
        share, slope = boundary
        G = gradient_products(X, Z, rho, first, weight, share)
        second_order = second * weighted_squares(share * rho**2, X, Z)
        second_order += first * (share @ rho)[:, None]
        h = second_order.T @ weight
        field = share * base_score + slope
    scaled = field * rho * weight[:, None]
    along = first.T @ np.column_stack([np.einsum("ij,ij->i", scaled, X), scaled])
    h += along[:, 0] - np.einsum("mj,mj->m", Z, along[:, 1:])
    return System(G, h, float(weight.sum()))


def assemble(block: Callable[[slice], System], n_rows: int, *, n_jobs: int | None = None) -> System:
    """Return the sums of all rows, by blocks of rows over threads.

    Parameters
    ----------
    block : callable
        ``block(rows) -> System`` of the rows of a slice.
    n_rows : int
        Number of rows.
    n_jobs : int, default=None
        Number of threads, as in :func:`skmmd._chunked.reduce_blocks`.

    Returns
    -------
    System
        G and h, divided by the weight of the rows.
    """
    total = reduce_blocks(block, row_blocks(n_rows, _BLOCK), add_systems, n_jobs=n_jobs)
    return System(total.gram / total.weight, total.linear / total.weight, total.weight)


def weighted_squares(share: FloatArray, X: FloatArray, Z: FloatArray) -> FloatArray:
    """Return sum_j share_bj (x_bj - z_mj)^2 of all pairs: shape (n, n_centers)."""
    out = (-2.0 * share * X) @ Z.T
    out += share @ (Z * Z).T
    out += np.einsum("ij,ij,ij->i", share, X, X)[:, None]
    return np.maximum(out, 0.0, out=out)


def solve(G: FloatArray, h: FloatArray, K: FloatArray, alpha: float) -> FloatArray:
    """Return c = -(G + alpha K)^(-1) h, by one Cholesky factor.

    Parameters
    ----------
    G : ndarray of shape (n_centers, n_centers)
        Mean of the products of gradients.
    h : ndarray of shape (n_centers,)
        Right-hand side.
    K : ndarray of shape (n_centers, n_centers)
        Kernel matrix of the centres.
    alpha : float
        Weight of the penalty.

    Returns
    -------
    ndarray of shape (n_centers,)
        The coefficients.
    """
    A = G + alpha * K
    # What makes it positive definite where rounding does not leave it so.
    A.flat[:: len(A) + 1] += np.finfo(np.float64).eps * np.trace(A)
    # LAPACK itself: this is called a thousand times, and the checks take as long.
    _, solution, failed = dposv(A.T, h, lower=1, overwrite_a=1)
    return solve_accurately(G, h, K, alpha) if failed else np.asarray(-solution)


def solve_accurately(
    G: FloatArray, h: FloatArray, K: FloatArray, alpha: float, *, truncation: float = 1e-14
) -> FloatArray:
    """Return c = -(G + alpha K)^(-1) h in coordinates in which K is the identity.

    A kernel matrix of smooth kernels is singular to rounding. Centres whose kernels the others span
    to rounding get no coefficient; it takes longer than :func:`solve`, and loses fewer digits.

    Parameters
    ----------
    G : ndarray of shape (n_centers, n_centers)
        Mean of the products of gradients.
    h : ndarray of shape (n_centers,)
        Right-hand side.
    K : ndarray of shape (n_centers, n_centers)
        Kernel matrix of the centres.
    alpha : float
        Weight of the penalty.
    truncation : float, default=1e-14
        Smallest squared pivot that counts, relative to the diagonal of K.

    Returns
    -------
    ndarray of shape (n_centers,)
        The coefficients.
    """
    # K = LL' with pivots: the kernels of the first columns span all others to rounding.
    factor, pivots, rank, _ = dpstrf(K, lower=1, tol=truncation * float(K.diagonal().max()))
    kept = pivots[:rank] - 1
    L = np.tril(factor[:rank, :rank])
    whitened = solve_triangular(L, G[np.ix_(kept, kept)], lower=True, check_finite=False)
    whitened = solve_triangular(L, whitened.T, lower=True, check_finite=False)
    right = solve_triangular(L, h[kept], lower=True, check_finite=False)
    shifted = whitened + alpha * np.eye(rank)
    try:
        solution = cho_solve(cho_factor(shifted, check_finite=False), right, check_finite=False)
    except LinAlgError:
        # Rounding left curvatures below -alpha: none is below 0.
        curvatures, vectors = eigh(whitened, check_finite=False)
        solution = vectors @ ((vectors.T @ right) / (np.maximum(curvatures, 0.0) + alpha))
    coef = np.zeros(len(h))
    coef[kept] = -solve_triangular(L, solution, lower=True, trans=1, check_finite=False)
    return coef
