"""The kernel exponential family over derivatives of the kernel: the full solution and Nyström.

The score matching loss of f in the RKHS, with rows x_b of weight w_b and the score s0 of the base,

    sum_b w_b [1/2 |grad f|^2 + Laplacian f + s0 . grad f](x_b) + alpha/2 |f|^2,

is minimised over all f ("full", Sriperumbudur et al. 2017, theorem 4), or over the span of the
derivatives d_i k(y_m, .) at some centres y_m ("nystroem", Sutherland et al. 2018, section 3).

With delta = x - y, g = rho * delta and derivatives psi', psi'', ... at u(x, y), taken at y:

    d_i k(y, x)         = -psi' g_i
    Laplacian k(y, x)   = psi'' |g|^2 + psi' sum(rho)
    d_i d_j k(y, x)     = -psi'' g_i g_j - psi' rho_i [i = j]     (one at y, one at x)
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigh

from skmmd._chunked import row_blocks
from skmmd.density._radial import half_distances, radial

__all__ = ["GradientExpansion", "fit_full", "fit_nystroem"]

FloatArray = NDArray[np.float64]

# Numbers in one array of a block of rows: 8 and 32 MiB.
_PAIRS_PER_BLOCK = 2**20
_DERIVATIVES_PER_BLOCK = 2**22

# The system of the full solution then takes 3.2 GB, and so do the four matrices of Nyström.
_MAX_FULL = 20_000
_MAX_NYSTROEM = 10_000

# Eigenvalues below this fraction of the largest are taken for rounding.
_TRUNCATION = 1e-10


@dataclass(frozen=True)
class GradientExpansion:
    """A sum of derivatives of the kernel at centres, with its own derivatives.

    f(x) = sum_m [coef_m . grad k(y_m, x) + laplacian_coef_m Laplacian k(y_m, x)], the derivatives
    of k taken at y_m, in whitened coordinates.

    Parameters
    ----------
    kernel : {"rbf", "imq", "rq"}
        The radial function.
    rho : ndarray of shape (n_features,)
        One over the squared bandwidths.
    centers : ndarray of shape (n_centers, n_features)
        The y_m.
    coef : ndarray of shape (n_centers, n_features)
        Coefficients of the first derivatives.
    laplacian_coef : ndarray of shape (n_centers,)
        Coefficients of the Laplacians: zeros for Nyström.
    """

    kernel: str
    rho: FloatArray
    centers: FloatArray
    coef: FloatArray
    laplacian_coef: FloatArray

    def values(self, X: FloatArray) -> FloatArray:
        """Return f at each row: shape (n,)."""
        c, trace = self.laplacian_coef, self.rho.sum()
        out = np.empty(len(X))
        for rows in self._blocks(X):
            first, second = self._radial(X[rows], 2)[1:]
            even = (second * self._steepness(X[rows]) + trace * first) @ c
            out[rows] = even - (first * self._along(X[rows])).sum(axis=1)
        return out

    def gradient(self, X: FloatArray) -> FloatArray:
        """Return the gradient of f at each row: shape (n, n_features)."""
        rho, Z = self.rho, self.centers
        out = np.empty_like(X)
        for rows in self._blocks(X):
            x = X[rows]
            first, second, third = self._radial(x, 3)[1:]
            once, twice = self._slopes(x, second, third)
            block = rho * (x * once.sum(axis=1)[:, None] - once @ Z)
            block += rho**2 * (x * twice.sum(axis=1)[:, None] - twice @ Z)
            out[rows] = block - first @ (rho * self.coef)
        return out

    def laplacian(self, X: FloatArray) -> FloatArray:
        """Return the sum of the second derivatives of f at each row: shape (n,)."""
        rho, c = self.rho, self.laplacian_coef
        trace = rho.sum()
        out = np.empty(len(X))
        for rows in self._blocks(X):
            x = X[rows]
            second, third, fourth = self._radial(x, 4)[2:]
            steep = self._steepness(x)
            even = (fourth * steep + 2.0 * trace * third) * steep
            even += 8.0 * third * half_distances(rho**3, x, self.centers)
            even += (trace**2 + 2.0 * np.sum(rho**2)) * second
            odd = (third * steep + trace * second) * self._along(x)
            odd += 2.0 * second * self._along(x, power=2)
            out[rows] = even @ c - odd.sum(axis=1)
        return out

    def hessian(self, X: FloatArray) -> FloatArray:
        """Return the second derivatives of f at each row: shape (n, n_features, n_features)."""
        rho, c = self.rho, self.laplacian_coef
        n, d = X.shape
        out = np.empty((n, d, d))
        for rows in self._blocks(X, n_arrays=d):
            x = X[rows]
            second, third, fourth = self._radial(x, 4)[2:]
            once, twice = self._slopes(x, second, third)
            both = c * (fourth * self._steepness(x) + rho.sum() * third) - third * self._along(x)
            g = rho * (x[:, None, :] - self.centers)
            # The Hessian less its diagonal part is half + half', half = sum_m g_i other_j.
            other = (0.5 * both[:, :, None] + (2.0 * c * third)[:, :, None] * rho) * g
            other -= second[:, :, None] * (rho * self.coef)
            half = g.transpose(0, 2, 1) @ other
            block = half + half.transpose(0, 2, 1)
            sums = once.sum(axis=1)[:, None], twice.sum(axis=1)[:, None]
            block[:, range(d), range(d)] += rho * sums[0] + rho**2 * sums[1]
            out[rows] = block
        return out

    def _blocks(self, X: FloatArray, n_arrays: int = 1) -> Iterator[slice]:
        """Yield slices of the rows: n_arrays arrays of all pairs with the centres fit a block."""
        size = _PAIRS_PER_BLOCK // (n_arrays * max(len(self.centers), 1))
        yield from row_blocks(len(X), max(size, 1))

    def _radial(self, x: FloatArray, order: int) -> tuple[FloatArray, ...]:
        return radial(self.kernel, half_distances(self.rho, x, self.centers), order)

    def _steepness(self, x: FloatArray) -> FloatArray:
        """Return |g|^2 = sum_i rho_i^2 delta_i^2 of all pairs."""
        return 2.0 * half_distances(self.rho**2, x, self.centers)

    def _along(self, x: FloatArray, power: int = 1) -> FloatArray:
        """Return sum_i rho_i^power delta_i coef_i of all pairs."""
        scaled = self.rho**power * self.coef
        return x @ scaled.T - np.einsum("mi,mi->m", self.centers, scaled)

    def _slopes(
        self, x: FloatArray, second: FloatArray, third: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the factors of g_i and of rho_i g_i in the gradient, of all pairs."""
        c = self.laplacian_coef
        once = c * (third * self._steepness(x) + self.rho.sum() * second)
        once -= second * self._along(x)
        return once, 2.0 * c * second


def fit_full(
    kernel: str,
    rho: FloatArray,
    X: FloatArray,
    weight: FloatArray,
    base_score: FloatArray,
    alpha: float,
) -> GradientExpansion:
    """Return the minimiser of the penalised score matching loss over the whole RKHS.

    f = -xi / alpha + sum_(b,i) beta_bi d_i k(x_b, .), where xi represents the linear part of the
    loss. Setting the derivative of the loss to zero gives, with G the inner products of the
    d_i k(x_b, .), (W G + alpha I) beta = W h / alpha and h_bi = d_i xi(x_b), W = diag(w_b).

    Parameters
    ----------
    kernel : {"rbf", "imq", "rq"}
        The radial function.
    rho : ndarray of shape (n_features,)
        One over the squared bandwidths.
    X : ndarray of shape (n, n_features)
        Rows.
    weight : ndarray of shape (n,)
        Weights of the rows, of sum 1; none is negative.
    base_score : ndarray of shape (n, n_features)
        Score of the base measure at the rows.
    alpha : float
        Weight of the penalty, positive.

    Returns
    -------
    GradientExpansion
        The function f; rows without weight are not among its centres.

    Raises
    ------
    ValueError
        If alpha is not positive, or the n n_features unknowns are too many for a dense system.

    Notes
    -----
    Both terms of f grow like 1 / alpha and nearly cancel along the rows: below an alpha of about
    1e-8 rounding shows. There f overfits anyway: the part of xi that is orthogonal to all
    d_i k(x_b, .) is unseen by the gradients at the rows and is only held back by the penalty.
    Nyström with all rows as centres is f without that part, and has the same score at the rows.
    """
    _check_alpha(alpha)
    X, weight, base_score = _weighted_rows(X, weight, base_score)
    _check_size(
        X.size, _MAX_FULL, "full", "rows times features", 'Use basis="lite" or basis="nystroem".'
    )
    representer = _linear_part(kernel, rho, X, weight, base_score)
    h = representer.gradient(X).ravel()
    # In sqrt(w_b) beta_bi / w_b the system is symmetric, and no eigenvalue is below alpha.
    root = np.repeat(np.sqrt(weight), X.shape[1])
    system = _inner_products(kernel, rho, X, X)
    system *= root[:, None]
    system *= root
    system.flat[:: len(system) + 1] += alpha
    beta = root * _solve_positive(system, root * h) / alpha
    return GradientExpansion(
        kernel,
        rho,
        X,
        beta.reshape(X.shape) - representer.coef / alpha,
        -representer.laplacian_coef / alpha,
    )


def fit_nystroem(
    kernel: str,
    rho: FloatArray,
    X: FloatArray,
    weight: FloatArray,
    base_score: FloatArray,
    centers: FloatArray,
    alpha: float,
) -> GradientExpansion:
    """Return the minimiser of the penalised loss among sums of d_i k(y_m, .) at the centres.

    beta = -(B' W B + alpha G)^+ h with B the inner products of the d_j k(x_b, .) and the
    d_i k(y_m, .), G those of the latter, and h_mi = d_i xi(y_m) as in :func:`fit_full`.

    Parameters
    ----------
    kernel : {"rbf", "imq", "rq"}
        The radial function.
    rho : ndarray of shape (n_features,)
        One over the squared bandwidths.
    X : ndarray of shape (n, n_features)
        Rows.
    weight : ndarray of shape (n,)
        Weights of the rows, of sum 1; none is negative.
    base_score : ndarray of shape (n, n_features)
        Score of the base measure at the rows.
    centers : ndarray of shape (n_centers, n_features)
        The y_m.
    alpha : float
        Weight of the penalty, positive.

    Returns
    -------
    GradientExpansion
        The function f.

    Raises
    ------
    ValueError
        If alpha is not positive, or the n_centers n_features unknowns are too many.
    """
    _check_alpha(alpha)
    X, weight, base_score = _weighted_rows(X, weight, base_score)
    _check_size(
        centers.size,
        _MAX_NYSTROEM,
        "nystroem",
        "centres times features",
        'Use fewer n_components, or basis="lite".',
    )
    h = _linear_part(kernel, rho, X, weight, base_score).gradient(centers).ravel()
    values, vectors = eigh(_inner_products(kernel, rho, centers, centers), overwrite_a=True)
    kept = values > _TRUNCATION * values[-1]
    # Columns are orthonormal in the RKHS, so the penalty is alpha I: they are put into the rows
    # before products are summed, where rounding cannot outgrow a small alpha.
    basis = vectors[:, kept] / np.sqrt(values[kept])
    system = alpha * np.eye(basis.shape[1])
    size = max(_DERIVATIVES_PER_BLOCK // (X.shape[1] * len(basis)), 1)
    for rows in row_blocks(len(X), size):
        block = _inner_products(kernel, rho, X[rows], centers) @ basis
        block *= np.repeat(np.sqrt(weight[rows]), X.shape[1])[:, None]
        system += block.T @ block
    beta = -basis @ _solve_positive(system, basis.T @ h)
    return GradientExpansion(
        kernel, rho, centers, beta.reshape(centers.shape), np.zeros(len(centers))
    )


def _check_alpha(alpha: float) -> None:
    if not alpha > 0:
        raise ValueError(
            f"alpha must be positive, got {alpha!r}: without a penalty the loss has no minimum in "
            "the space of the kernel."
        )


def _check_size(n_unknowns: int, limit: int, basis: str, of_what: str, advice: str) -> None:
    if n_unknowns > limit:
        raise ValueError(
            f'basis="{basis}" solves for {n_unknowns} unknowns ({of_what}) at once, in memory that '
            f"grows with their square; at most {limit} are supported. {advice}"
        )


def _weighted_rows(
    X: FloatArray, weight: FloatArray, base_score: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the rows that have weight: the others would only be unknowns."""
    kept = weight > 0
    if kept.all():
        return X, weight, base_score
    return X[kept], weight[kept], base_score[kept]


def _linear_part(
    kernel: str, rho: FloatArray, X: FloatArray, weight: FloatArray, base_score: FloatArray
) -> GradientExpansion:
    """Return xi: <f, xi> = sum_b w_b [Laplacian f + s0 . grad f](x_b) for all f in the RKHS."""
    return GradientExpansion(kernel, rho, X, weight[:, None] * base_score, weight)


def _inner_products(kernel: str, rho: FloatArray, X: FloatArray, Y: FloatArray) -> FloatArray:
    """Return <d_i k(x_b, .), d_j k(y_m, .)>: shape (n d, m d), the coordinates of a row together.

    The matrix is filled by blocks of rows: nothing else of its size is held.
    """
    n, d = X.shape
    out = np.empty((n, d, len(Y), d))
    size = max(_PAIRS_PER_BLOCK // max(Y.size, 1), 1)
    for rows in row_blocks(n, size):
        _, first, second = radial(kernel, half_distances(rho, X[rows], Y), 2)
        g = rho * (X[rows][:, None, :] - Y)
        curved = -second[:, :, None] * g
        for i in range(d):
            np.multiply(curved[:, :, i, None], g, out=out[rows, i])
            out[rows, i, :, i] -= rho[i] * first
    return out.reshape(n * d, len(Y) * d)


def _solve_positive(A: FloatArray, b: FloatArray) -> FloatArray:
    """Return the solution of A x = b, A positive definite but for rounding; A is overwritten."""
    diagonal = A.diagonal().copy()
    columns = A.T  # the same matrix, in LAPACK's order: factored in place
    try:
        factor = cho_factor(columns, lower=True, overwrite_a=True, check_finite=False)
        return np.asarray(cho_solve(factor, b, check_finite=False))
    except LinAlgError:
        # Only the lower triangle and the diagonal were touched.
        A.flat[:: len(A) + 1] = diagonal
        values, vectors = eigh(columns, lower=False, overwrite_a=True)
        kept = values > _TRUNCATION * values[-1]
        vectors = vectors[:, kept]
        return np.asarray(vectors @ ((vectors.T @ b) / values[kept]))
