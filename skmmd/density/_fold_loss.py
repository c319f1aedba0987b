"""The held-out score-matching loss of a cross-validation, and its exact gradient.

For a split with training sums (G_t, h_t) and held-out sums (G_v, h_v), A = G_t + alpha K and
a = -A^(-1) h_t, the loss is V = 1/2 a'G_v a + h_v'a. With q = A^(-1)(G_v a + h_v), any parameter
changes it by dV = 1/2 a'dG_v a + dh_v'a - q'(dG_t a + dh_t) - q'd(alpha K)a. All but the last are
sums over rows of v.d(grad f) + d(Laplacian f) for fields v and functions f = f_a or f_q, so that
all splits share the same matrix products.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dposv, dpotrs

from skmmd.density._folds import Folds
from skmmd.density._lite import gradient_products, solve, weighted_squares
from skmmd.density._radial import half_distances, radial
from skmmd.density._variants import denoised_gram, denoised_linear

__all__ = ["FoldLoss", "FoldSystems"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class FoldSystems:
    """Sums of all splits for one vector of bandwidths.

    Parameters
    ----------
    penalty : ndarray of shape (n_centers, n_centers)
        Kernel matrix of the centres.
    train_gram, test_gram : ndarray of shape (n_splits, n_centers, n_centers)
        Means of the products of gradients.
    train_linear, test_linear : ndarray of shape (n_splits, n_centers)
        Means of Laplacians plus gradients along the base score.
    """

    penalty: FloatArray
    train_gram: FloatArray
    test_gram: FloatArray
    train_linear: FloatArray
    test_linear: FloatArray

    def coefficients(self, alpha: float) -> FloatArray:
        """Return the solution of each split: shape (n_splits, n_centers)."""
        return np.stack(
            [
                solve(G, h, self.penalty, alpha)
                for G, h in zip(self.train_gram, self.train_linear, strict=True)
            ]
        )

    def losses(self, coef: FloatArray) -> FloatArray:
        """Return the held-out loss of each split, less that of the base: shape (n_splits,)."""
        quadratic = np.einsum("km,kml,kl->k", coef, self.test_gram, coef, optimize=True)
        return np.asarray(0.5 * quadratic + np.einsum("km,km->k", coef, self.test_linear))


class FoldLoss:
    """The mean held-out loss of all splits as a function of bandwidths and penalty.

    Parameters
    ----------
    kernel : {"rbf", "imq", "rq"}
        The radial function.
    centers : ndarray of shape (n_centers, n_features)
        Centres.
    folds : Folds
        The rows and their roles.
    base_scores : ndarray of shape (n_splits, n, n_features)
        Score of each split's base measure at all rows.
    boundary : tuple of two ndarrays of shape (n, n_features), default=None
        Weights of the coordinates and their derivatives, on a domain with boundaries.
    """

    def __init__(
        self,
        kernel: str,
        centers: FloatArray,
        folds: Folds,
        base_scores: FloatArray,
        boundary: tuple[FloatArray, FloatArray] | None = None,
    ) -> None:
        self.kernel = kernel
        self.centers = centers
        self.folds = folds
        self.boundary = boundary
        self.base_scores = base_scores
        self.fields = base_scores
        if boundary is not None:
            self.fields = boundary[0] * base_scores + boundary[1]
        # Columns (1 for the product with x, then the field) of all splits side by side.
        self._with_one = np.column_stack([np.ones(len(centers)), centers])

    def systems(self, rho: FloatArray) -> FoldSystems:
        """Return the sums of all splits at the given precisions (one over squared bandwidths)."""
        _, first, second = self._derivatives(rho, 2)
        squares, trace = self._squares(rho)
        return self._systems(rho, first, second, squares, trace)

    def value(self, rho: FloatArray, alphas: FloatArray) -> FloatArray:
        """Return the mean held-out loss for each penalty: shape (n_alphas,)."""
        systems = self.systems(rho)
        return np.array(
            [systems.losses(systems.coefficients(float(alpha))).mean() for alpha in alphas]
        )

    def value_and_gradient(self, rho: FloatArray, alpha: float) -> tuple[float, FloatArray, float]:
        """Return the mean held-out loss and its derivatives in each rho and in alpha."""
        _, first, second, third = self._derivatives(rho, 3)
        squares, trace = self._squares(rho)
        systems = self._systems(rho, first, second, squares, trace)
        n_splits = len(systems.train_gram)
        a = np.empty((n_splits, len(self.centers)))
        q = np.empty_like(a)
        loss = 0.0
        for k in range(n_splits):
            A = systems.train_gram[k] + alpha * systems.penalty
            A.flat[:: len(A) + 1] += np.finfo(np.float64).eps * np.trace(A)
            factor, solution, failed = dposv(A.T, systems.train_linear[k], lower=1, overwrite_a=1)
            if failed:
                return np.inf, np.zeros_like(rho), 0.0
            a[k] = -solution
            product = systems.test_gram[k] @ a[k]
            q[k] = dpotrs(factor, product + systems.test_linear[k], lower=1)[0]
            loss += 0.5 * float(a[k] @ product) + float(a[k] @ systems.test_linear[k])
        # What passes through u: psi' in gradients, these two in Laplacians.
        through = third * squares
        through += second * trace[:, None]
        gradient = self._row_gradient(rho, first, second, through, a, q)
        gradient -= alpha * self._penalty_gradient(rho, a, q)
        by_alpha = -np.einsum("km,ml,kl->", q, systems.penalty, a, optimize=True)
        return loss / n_splits, gradient / n_splits, float(by_alpha) / n_splits

    def _derivatives(self, rho: FloatArray, order: int) -> tuple[FloatArray, ...]:
        return radial(self.kernel, half_distances(rho, self.folds.X, self.centers), order)

    def _squares(self, rho: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return sum_j h_bj rho_j^2 delta_j^2 of all pairs, and sum_j h_bj rho_j of all rows."""
        X, Z = self.folds.X, self.centers
        if self.boundary is None:
            return 2.0 * half_distances(rho**2, X, Z), np.full(len(X), rho.sum())
        share = self.boundary[0]
        return weighted_squares(share * rho**2, X, Z), share @ rho

    def denoised(
        self, rho: FloatArray, precisions: list[FloatArray], noise_scale: float
    ) -> FoldSystems:
        """Return the sums of the denoising loss to train by; those held out are left explicit.

        Parameters
        ----------
        rho : ndarray of shape (n_features,)
            One over the squared bandwidths, of the rbf kernel.
        precisions : list of ndarray of shape (n_features, n_features)
            Precision of each split's Gaussian base.
        noise_scale : float
            Standard deviation of the noise.

        Returns
        -------
        FoldSystems
            The held-out sums are empty.
        """
        folds, Z = self.folds, self.centers

        def block_gram(rows: slice) -> FloatArray:
            return denoised_gram(rho, Z, folds.X[rows], folds.weight[rows], noise_scale)

        linear = [
            denoised_linear(rho, Z, folds.X, weight, field, precision, noise_scale)
            for weight, field, precision in zip(folds.train, self.fields, precisions, strict=True)
        ]
        penalty = radial(self.kernel, half_distances(rho, Z, Z))[0]
        grams = self._split_grams(block_gram, roles=(1,))
        return FoldSystems(
            penalty, grams[1], np.zeros((0, 0, 0)), np.stack(linear), np.zeros((0, 0))
        )

    def _split_grams(
        self, block_gram: Callable[[slice], FloatArray], roles: tuple[int, ...] = (1, -1)
    ) -> dict[int, FloatArray]:
        """Return the mean products of gradients of each split, trained on (1) and held out (-1)."""
        folds, M = self.folds, len(self.centers)
        n_splits = len(folds.train)
        grams = {role: np.zeros((n_splits, M, M)) for role in roles}
        scales = {1: _scales(folds.train, folds.weight), -1: _scales(folds.test, folds.weight)}
        for rows, block_roles in zip(folds.blocks, folds.roles, strict=True):
            G = block_gram(rows)
            for k, role in enumerate(block_roles):
                if role in grams:
                    grams[int(role)][k] += scales[int(role)][k] * G
        return grams

    def _systems(
        self,
        rho: FloatArray,
        first: FloatArray,
        second: FloatArray,
        squares: FloatArray,
        trace: FloatArray,
    ) -> FoldSystems:
        folds, Z = self.folds, self.centers
        n_splits, (M, d) = len(folds.train), Z.shape
        penalty = radial(self.kernel, half_distances(rho, Z, Z))[0]
        share = None if self.boundary is None else self.boundary[0]

        def block_gram(rows: slice) -> FloatArray:
            part = None if share is None else share[rows]
            return gradient_products(folds.X[rows], Z, rho, first[rows], folds.weight[rows], part)

        grams = self._split_grams(block_gram)
        laplacians = second * squares
        laplacians += first * trace[:, None]
        linear = {}
        scaled = self.fields * rho
        columns = np.concatenate([np.einsum("kbj,bj->kb", scaled, folds.X)[:, :, None], scaled], 2)
        for role, weight in ((1, folds.train), (-1, folds.test)):
            weighted = (columns * weight[:, :, None]).transpose(1, 0, 2).reshape(len(folds.X), -1)
            along = (first.T @ weighted).reshape(M, n_splits, d + 1)
            h = weight @ laplacians
            h += along[:, :, 0].T - np.einsum("mj,mkj->km", Z, along[:, :, 1:])
            linear[role] = h
        return FoldSystems(penalty, grams[1], grams[-1], linear[1], linear[-1])

    def _row_gradient(
        self,
        rho: FloatArray,
        first: FloatArray,
        second: FloatArray,
        slopes: FloatArray,
        a: FloatArray,
        q: FloatArray,
    ) -> FloatArray:
        """Return the part of dV/drho that sums over rows, summed over the splits."""
        folds, Z = self.folds, self.centers
        X = folds.X
        n, d = X.shape
        functions = np.concatenate([a, q])
        n_functions = len(functions)
        # (M, n_functions (1 + d)): each function's coefficients, then times each centre's column.
        spread = (functions.T[:, :, None] * self._with_one[:, None, :]).reshape(len(Z), -1)
        sums = (first @ spread).reshape(n, n_functions, d + 1)
        gradients = rho * (X[:, None, :] * sums[:, :, :1] - sums[:, :, 1:])
        fields, weights = self._adjoint_fields(gradients, len(a))

        scaled = fields * rho
        left = np.concatenate([np.einsum("bpj,bj->bp", scaled, X)[:, :, None], -scaled], axis=2)
        along = left.reshape(n, -1) @ spread.T
        amounts = weights @ functions
        # d(grad) and d(Laplacian) through u: factor 1/2 delta_i^2.
        through = along
        through *= second
        slopes *= amounts
        through += slopes
        through *= 0.5
        gradient = _contract_squares(np.ones_like(X), through, X, Z)
        # Their explicit dependence on rho_i.
        share = np.ones_like(X) if self.boundary is None else self.boundary[0]
        gradient += rho * _contract_squares(share, 2.0 * amounts * second, X, Z)
        gradient += np.einsum("bm,bm,bj->j", amounts, first, share, optimize=True)
        gradient += np.einsum("bpj,bpj->j", fields, gradients) / rho
        return np.asarray(gradient)

    def _adjoint_fields(
        self, gradients: FloatArray, n_splits: int
    ) -> tuple[FloatArray, FloatArray]:
        """Return for f_a, then f_q of each split the fields v (n, ., d) and amounts (n, .)."""
        folds = self.folds
        share = 1.0 if self.boundary is None else self.boundary[0][:, None, :]
        train, test = folds.train.T[:, :, None], folds.test.T[:, :, None]
        of_a, of_q = gradients[:, :n_splits] * share, gradients[:, n_splits:] * share
        total = of_a + self.fields.transpose(1, 0, 2)
        fields = np.concatenate([test * total - train * of_q, -train * total], axis=1)
        return fields, np.concatenate([folds.test.T, -folds.train.T], axis=1)

    def _penalty_gradient(self, rho: FloatArray, a: FloatArray, q: FloatArray) -> FloatArray:
        """Return the derivative of the sum over splits of q'K a in each rho."""
        Z = self.centers
        _, first = radial(self.kernel, half_distances(rho, Z, Z), 1)
        return 0.5 * _contract_squares(np.ones_like(Z), first * (q.T @ a), Z, Z)


def _scales(weights: FloatArray, base: FloatArray) -> FloatArray:
    """Return by what a split's weights of its own rows exceed the weights of all rows."""
    return np.asarray(1.0 / (base @ (weights > 0.0).T))


def _contract_squares(share: FloatArray, E: FloatArray, X: FloatArray, Z: FloatArray) -> FloatArray:
    """Return sum_bm share_bi E_bm (x_bi - z_mi)^2 for each coordinate i."""
    sums = E @ np.column_stack([np.ones(len(Z)), Z, Z * Z])
    d = X.shape[1]
    by_row = X * (X * sums[:, :1] - 2.0 * sums[:, 1 : d + 1]) + sums[:, d + 1 :]
    return np.einsum("bi,bi->i", share, by_row)
