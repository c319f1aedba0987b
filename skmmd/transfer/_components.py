"""Mathematics of TCA and JDA: components that keep variance while they align means.

Both solve ``K H K w = theta (ridge I + strength K E E' K) w``, with ``w' (...) w = 1``; H centres
and the few columns of E are differences of means. The matrix on the right is a multiple of the
identity plus one of the rank of E: its inverse square root P is known, and ``P K H K P`` is an
ordinary symmetric eigenvalue problem.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.linalg.blas import dsymv
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from skmmd._chunked import single_threaded_blas
from skmmd.kernels import Kernel, Nystroem, kernel_products, kernel_values
from skmmd.transfer._low_rank import feature_gram, feature_sums, landmark_features

__all__ = ["Components", "FullKernel", "LowRankKernel", "kernel_of"]

FloatArray = NDArray[np.float64]

# Below so many rows, or with more components than this share of them, a dense solver is as fast.
_DENSE_ROWS = 200
_DENSE_SHARE = 0.125


@dataclass(frozen=True)
class Components:
    """Coefficients of the components and their eigenvalues, the largest first.

    Parameters
    ----------
    dual_coef : ndarray of shape (n_rows, n_components) or (n_landmarks, n_components)
        Coefficients of the rows, or of the landmarks.
    eigenvalues : ndarray of shape (n_components,)
        The eigenvalues theta, descending.
    """

    dual_coef: FloatArray
    eigenvalues: FloatArray


@dataclass(frozen=True)
class _Shrinkage:
    """The matrix ``(I + V V')^(-1/2)``, by the singular vectors of the few columns of V."""

    directions: FloatArray
    factors: FloatArray

    def __matmul__(self, x: FloatArray) -> FloatArray:
        along = self.directions.T @ x
        return np.asarray(x + self.directions @ (self.factors * along.T).T)


def _shrinkage(V: FloatArray) -> _Shrinkage:
    if not V.shape[1]:
        return _Shrinkage(V, np.empty(0))
    directions, lengths, _ = linalg.svd(V, full_matrices=False)
    return _Shrinkage(directions, 1.0 / np.hypot(1.0, lengths) - 1.0)


def _signed(columns: FloatArray) -> FloatArray:
    """Return the columns with their largest absolute value positive."""
    largest = np.take_along_axis(columns, np.abs(columns).argmax(axis=0)[None, :], axis=0)
    return np.asarray(columns * np.where(largest < 0.0, -1.0, 1.0))


def _leading(matrix: FloatArray, n_components: int) -> tuple[FloatArray, FloatArray]:
    """Return the largest eigenvalues of a symmetric matrix, descending, and their vectors."""
    n = len(matrix)
    values, vectors = linalg.eigh(matrix, subset_by_index=(n - n_components, n - 1))
    return values[::-1], vectors[:, ::-1]


@dataclass(frozen=True)
class FullKernel:
    """The whole Gram matrix of the rows: exact components.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_rows)
        The Gram matrix K.
    """

    values: FloatArray

    @property
    def rank(self) -> int:
        """How many components there can be."""
        return len(self.values)

    def components(
        self, differences: FloatArray, strength: float, ridge: float, n_components: int
    ) -> Components:
        """Return the leading components.

        Parameters
        ----------
        differences : ndarray of shape (n_rows, n_columns)
            The columns E; none aligns nothing.
        strength : float
            Weight of the alignment.
        ridge : float
            Weight of the identity.
        n_components : int
            How many.

        Returns
        -------
        Components
            Coefficients of the rows.
        """
        with single_threaded_blas():
            P = _shrinkage(np.sqrt(strength / ridge) * (self.values @ differences))
            n_rows = self.rank
            if n_rows <= _DENSE_ROWS or n_components > _DENSE_SHARE * n_rows:
                eigenvalues, vectors = self._by_dense_solver(P, n_components)
            else:
                eigenvalues, vectors = self._by_lanczos(P, n_components)
            dual_coef = _signed(P @ vectors) / np.sqrt(ridge)
        return Components(dual_coef, np.maximum(eigenvalues, 0.0) / ridge)

    def _by_dense_solver(self, P: _Shrinkage, n_components: int) -> tuple[FloatArray, FloatArray]:
        centred = (P @ self.values).T
        centred -= centred.mean(axis=0)
        return _leading(centred.T @ centred, n_components)

    def _by_lanczos(self, P: _Shrinkage, n_components: int) -> tuple[FloatArray, FloatArray]:
        # One triangle is read: half the memory traffic, which is what a product takes.
        symmetric = self.values.T

        def multiply(x: FloatArray) -> FloatArray:
            image = dsymv(1.0, symmetric, P @ x.ravel())
            return P @ dsymv(1.0, symmetric, image - image.mean())

        n_rows = self.rank
        start = np.random.default_rng(0).standard_normal(n_rows)
        operator = LinearOperator((n_rows, n_rows), matvec=multiply, dtype=np.float64)
        try:
            eigenvalues, vectors = eigsh(operator, n_components, which="LA", v0=start)
        except ArpackError:  # no convergence, or a matrix of zeros
            return self._by_dense_solver(P, n_components)
        order = np.argsort(-eigenvalues, kind="stable")
        return eigenvalues[order], vectors[:, order]

    def embed(self, dual_coef: FloatArray) -> FloatArray:
        """Return the components of the rows themselves.

        Parameters
        ----------
        dual_coef : ndarray of shape (n_rows, n_components)
            Coefficients.

        Returns
        -------
        ndarray of shape (n_rows, n_components)
            ``K @ dual_coef``.
        """
        with single_threaded_blas():
            return self.values @ dual_coef


@dataclass(frozen=True)
class LowRankKernel:
    """Landmark features F of the rows, K = F F', in the axes of their second moments.

    With ``R = diag(root)``, R R = F'F, the coefficients ``w = F R^-1 a`` turn the problem into
    ``R C R a = theta (ridge I + strength R F'E E'F R) a`` with the centred moments C.

    Parameters
    ----------
    features : Nystroem
        The features, before the turn.
    axes : ndarray of shape (n_directions, n_directions)
        What turns them.
    root : ndarray of shape (n_directions,)
        Square roots of the second moments.
    centred : ndarray of shape (n_directions, n_directions)
        The matrix R C R.
    n_jobs : int or None
        Number of threads.
    """

    features: Nystroem
    axes: FloatArray
    root: FloatArray
    centred: FloatArray
    n_jobs: int | None

    @property
    def rank(self) -> int:
        """How many components there can be."""
        return len(self.root)

    def components(
        self, differences: FloatArray, strength: float, ridge: float, n_components: int
    ) -> Components:
        """Return the leading components.

        Parameters
        ----------
        differences : ndarray of shape (n_rows, n_columns)
            The columns E; none aligns nothing.
        strength : float
            Weight of the alignment.
        ridge : float
            Weight of the identity.
        n_components : int
            How many.

        Returns
        -------
        Components
            Coefficients of the landmarks.
        """
        sums = feature_sums(self.features, differences, n_jobs=self.n_jobs)
        with single_threaded_blas():
            along = self.root[:, None] * (self.axes.T @ sums)
            P = _shrinkage(np.sqrt(strength / ridge) * along)
            eigenvalues, vectors = _leading(P @ (P @ self.centred).T, n_components)
            turned = self.axes @ (self.root[:, None] * (P @ vectors))
            dual_coef = _signed(self.features.projections[0] @ turned) / np.sqrt(ridge)
        return Components(dual_coef, np.maximum(eigenvalues, 0.0) / ridge)

    def embed(self, dual_coef: FloatArray) -> FloatArray:
        """Return the components of the rows themselves.

        Parameters
        ----------
        dual_coef : ndarray of shape (n_landmarks, n_components)
            Coefficients.

        Returns
        -------
        ndarray of shape (n_rows, n_components)
            Kernel values with the landmarks, times `dual_coef`.
        """
        return kernel_products(self.features.to_landmarks, dual_coef, n_jobs=self.n_jobs)


def kernel_of(
    kernel: Kernel,
    gamma: float,
    rows: FloatArray,
    n_landmarks: int | None,
    draws: np.random.Generator,
    *,
    n_jobs: int | None = None,
) -> tuple[FullKernel | LowRankKernel, FloatArray]:
    """Return the kernel of the rows, whole or of low rank, and the rows that coefficients are of.

    Parameters
    ----------
    kernel : str or callable
        The kernel.
    gamma : float
        Its coefficient.
    rows : ndarray of shape (n_rows, n_features)
        Rows.
    n_landmarks : int or None
        As in :func:`landmark_features`.
    draws : numpy.random.Generator
        Draws the landmarks.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    kernel : FullKernel or LowRankKernel
        What gives components.
    landmarks : ndarray of shape (n_rows or n_landmarks, n_features)
        All rows, or the landmarks.
    """
    features, landmarks = landmark_features(kernel, gamma, rows, n_landmarks, draws)
    if features is None:
        with single_threaded_blas():
            return FullKernel(kernel_values(kernel, gamma, rows)), rows
    ones = np.ones(len(rows))
    moments = feature_gram(features, ones, n_jobs=n_jobs)
    sums = feature_sums(features, ones[:, None], n_jobs=n_jobs)
    with single_threaded_blas():
        squares, axes = linalg.eigh(moments)
        root = np.sqrt(np.maximum(squares, 0.0))
        total = root * (axes.T @ sums)[:, 0]
        centred = np.diag(root**4) - np.outer(total, total) / len(rows)
    return LowRankKernel(features, axes, root, centred, n_jobs), landmarks
