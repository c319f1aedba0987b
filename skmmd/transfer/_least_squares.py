"""Kernel least squares on the source with the MMD of the predictions as a loss.

``sum_s a |f(x_s) - y_s|^2 + alpha |f|^2 + strength |E'f|^2`` is least for a known f in the kernel's
space. A system holds what does not depend on E, so that each solution for other columns E, for
other pseudo-labels of the target, is cheap.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from skmmd._chunked import single_threaded_blas
from skmmd.kernels import Kernel, Nystroem, kernel_products, kernel_values
from skmmd.transfer._domains import Domains
from skmmd.transfer._low_rank import feature_gram, feature_sums, landmark_features

__all__ = ["FullLeastSquares", "LowRankLeastSquares", "least_squares_of"]

FloatArray = NDArray[np.float64]
Codes = NDArray[np.intp]


def _factor(matrix: FloatArray, alpha: float) -> tuple[FloatArray, bool]:
    """Return the Cholesky factor of the matrix with `alpha` added to its diagonal, in place."""
    matrix[np.diag_indices_from(matrix)] += alpha
    try:
        factor, lower = linalg.cho_factor(matrix, overwrite_a=True)
    except linalg.LinAlgError as error:
        raise ValueError(
            f"The kernel matrix with alpha={alpha:g} on its diagonal is not positive definite: "
            "alpha is within rounding of zero beside it, or a callable kernel is not positive "
            "semi-definite. Pass a larger alpha, or another kernel."
        ) from error
    return factor, lower


def _damped(matrix: FloatArray, strength: float, right: FloatArray) -> FloatArray:
    """Return ``(I + strength * matrix)^-1 @ right`` for a positive semi-definite matrix."""
    values, axes = linalg.eigh(matrix)
    # Rounding below zero would count under a large strength.
    shares = 1.0 / (1.0 + strength * np.maximum(values, 0.0))
    return np.asarray(axes @ (shares[:, None] * (axes.T @ right)))


@dataclass(frozen=True)
class FullLeastSquares:
    """The system in coefficients of all rows.

    With B the inverse of ``K_ss + alpha A^-1``, A the source weights, the coefficients are
    ``B (Y + tau K_s E c)`` on source rows, minus ``tau E c`` on all rows, tau = strength / alpha,
    where c = E'f solves a system of the size of the few columns of E.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_rows)
        The Gram matrix K.
    source : ndarray of shape (n_source,)
        The source rows.
    root : ndarray of shape (n_source,)
        Square roots of their weights.
    factor : tuple
        Cholesky factor of ``A^1/2 K_ss A^1/2 + alpha I``.
    alpha : float
        The penalty.
    """

    values: FloatArray
    source: Codes
    root: FloatArray
    factor: tuple[FloatArray, bool]
    alpha: float

    def _inverse_times(self, right: FloatArray) -> FloatArray:
        scaled = linalg.cho_solve(self.factor, self.root[:, None] * right)
        return np.asarray(self.root[:, None] * scaled)

    def solve(self, Y: FloatArray, differences: FloatArray, strength: float) -> FloatArray:
        """Return the coefficients.

        Parameters
        ----------
        Y : ndarray of shape (n_source, n_outputs)
            What to predict on the source rows.
        differences : ndarray of shape (n_rows, n_columns)
            The columns E.
        strength : float
            Weight of the squares of E'f.

        Returns
        -------
        ndarray of shape (n_rows, n_outputs)
            Coefficients of all rows.
        """
        with single_threaded_blas():
            solution = self._inverse_times(Y)
            coef = np.zeros((len(self.values), Y.shape[1]))
            if differences.shape[1]:
                tau = strength / self.alpha
                images = self.values @ differences
                at_source = images[self.source]
                solved = self._inverse_times(at_source)
                left = differences.T @ images - at_source.T @ solved
                along = _damped(left, tau, at_source.T @ solution)
                solution += tau * (solved @ along)
                coef -= tau * (differences @ along)
            coef[self.source] += solution
        return coef

    def predict(self, coef: FloatArray) -> FloatArray:
        """Return what the solution says of all rows.

        Parameters
        ----------
        coef : ndarray of shape (n_rows, n_outputs)
            Coefficients.

        Returns
        -------
        ndarray of shape (n_rows, n_outputs)
            ``K @ coef``.
        """
        with single_threaded_blas():
            return self.values @ coef


@dataclass(frozen=True)
class LowRankLeastSquares:
    """The system in landmark features F, of the size of their number.

    ``(G + strength Q Q') b = F_s'A Y`` with ``G = F_s'A F_s + alpha I`` and Q = F'E, so that
    ``b = G^-1 (F_s'A Y - strength Q c)`` where c = Q'b solves a system of the few columns of E.

    Parameters
    ----------
    features : Nystroem
        The features of all rows.
    source : ndarray of shape (n_source,)
        The source rows.
    weight : ndarray of shape (n_rows,)
        Weights of the rows, 0 for target rows.
    factor : tuple
        Cholesky factor of G.
    n_jobs : int or None
        Number of threads.
    """

    features: Nystroem
    source: Codes
    weight: FloatArray
    factor: tuple[FloatArray, bool]
    n_jobs: int | None

    def solve(self, Y: FloatArray, differences: FloatArray, strength: float) -> FloatArray:
        """Return the coefficients.

        Parameters
        ----------
        Y : ndarray of shape (n_source, n_outputs)
            What to predict on the source rows.
        differences : ndarray of shape (n_rows, n_columns)
            The columns E.
        strength : float
            Weight of the squares of E'f.

        Returns
        -------
        ndarray of shape (n_landmarks, n_outputs)
            Coefficients of the landmarks.
        """
        columns = np.zeros((len(self.weight), Y.shape[1] + differences.shape[1]))
        columns[self.source, : Y.shape[1]] = self.weight[self.source, None] * Y
        columns[:, Y.shape[1] :] = differences
        sums = feature_sums(self.features, columns, n_jobs=self.n_jobs)
        Q = sums[:, Y.shape[1] :]
        with single_threaded_blas():
            solved = linalg.cho_solve(self.factor, sums)
            solution, solved = solved[:, : Y.shape[1]], solved[:, Y.shape[1] :]
            if differences.shape[1]:
                along = _damped(Q.T @ solved, strength, Q.T @ solution)
                solution = solution - strength * (solved @ along)
            return np.asarray(self.features.projections[0] @ solution)

    def predict(self, coef: FloatArray) -> FloatArray:
        """Return what the solution says of all rows.

        Parameters
        ----------
        coef : ndarray of shape (n_landmarks, n_outputs)
            Coefficients.

        Returns
        -------
        ndarray of shape (n_rows, n_outputs)
            Kernel values with the landmarks, times `coef`.
        """
        return kernel_products(self.features.to_landmarks, coef, n_jobs=self.n_jobs)


def least_squares_of(
    kernel: Kernel,
    gamma: float,
    rows: FloatArray,
    domains: Domains,
    weight: FloatArray,
    alpha: float,
    n_landmarks: int | None,
    *,
    n_jobs: int | None = None,
) -> tuple[FullLeastSquares | LowRankLeastSquares, FloatArray]:
    """Return the system of the rows, and the rows that coefficients are of.

    Parameters
    ----------
    kernel : str or callable
        The kernel.
    gamma : float
        Its coefficient.
    rows : ndarray of shape (n_rows, n_features)
        Rows of both domains.
    domains : Domains
        The rows of each domain.
    weight : ndarray of shape (n_rows,)
        Weights of the rows.
    alpha : float
        The penalty, positive.
    n_landmarks : int or None
        As in :func:`landmark_features`.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    system : FullLeastSquares or LowRankLeastSquares
        What gives solutions.
    landmarks : ndarray of shape (n_rows or n_landmarks, n_features)
        All rows, or the landmarks.
    """
    # Landmarks are drawn in one way: the estimators have no random_state.
    draws = np.random.default_rng(0)
    features, landmarks = landmark_features(kernel, gamma, rows, n_landmarks, draws, weight)
    source = domains.source
    if features is not None:
        at_source = np.zeros(len(rows))
        at_source[source] = weight[source]
        moments = feature_gram(features, at_source, n_jobs=n_jobs)
        with single_threaded_blas():
            factor = _factor(moments, alpha)
        return LowRankLeastSquares(features, source, at_source, factor, n_jobs), landmarks
    with single_threaded_blas():
        values = kernel_values(kernel, gamma, rows)
        root = np.sqrt(weight[source])
        matrix = root[:, None] * values[np.ix_(source, source)] * root
        factor = _factor(matrix, alpha)
    return FullLeastSquares(values, source, root, factor, alpha), landmarks
