"""Whitened coordinates: z = (x - center) root^(-1), with the covariance root'root of the rows.

Columns that never vary have no coordinate: they stay a Gaussian of almost no width.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmmd.density._bases import gaussian_base

__all__ = ["Whitening", "whitening"]

FloatArray = NDArray[np.float64]

_LOG_2PI = float(np.log(2.0 * np.pi))
# Standard deviation of a column that never varies, relative to its value (at least 1).
_DEGENERATE = 1e-3
# Covariances whose eigenvalues differ by more are those of columns on different scales.
_ILL_SCALED = 1e-8


@dataclass(frozen=True)
class Whitening:
    """An affine map of rows to coordinates of mean zero and covariance one, and back.

    Parameters
    ----------
    varying : ndarray of shape (n_features,), dtype bool
        Columns that vary; only these have coordinates.
    center : ndarray of shape (n_features,)
        Mean of each column.
    root : ndarray of shape (n_coordinates, n_coordinates) or (n_coordinates,)
        Root of the covariance, root'root, or its diagonal; symmetric but for columns on very
        different scales.
    inverse : ndarray like `root`
        Its inverse.
    log_determinant : float
        Log determinant of the root.
    degenerate_scale : ndarray of shape (n_features - n_coordinates,)
        Standard deviation given to the columns that never vary.
    unit : float
        Length of one unit of the coordinates in that of the data, where they have no other scale.
    """

    varying: NDArray[np.bool_]
    center: FloatArray
    root: FloatArray
    inverse: FloatArray
    log_determinant: float
    degenerate_scale: FloatArray
    unit: float = 1.0

    def forward(self, X: FloatArray) -> FloatArray:
        """Return the coordinates of rows."""
        return np.ascontiguousarray(_times((X - self.center)[:, self.varying], self.inverse))

    def backward(self, Z: FloatArray, degenerate: FloatArray | None = None) -> FloatArray:
        """Return rows from coordinates; `degenerate` are standard deviates of constant columns."""
        X = np.empty((len(Z), len(self.center)))
        X[:, self.varying] = _times(Z, self.root)
        X[:, ~self.varying] = 0.0 if degenerate is None else degenerate * self.degenerate_scale
        X += self.center
        return X

    def log_jacobian(self, X: FloatArray) -> FloatArray:
        """Return what the log density in coordinates lacks to that of the rows: shape (n,)."""
        off = self._off(X)
        constant = np.log(self.degenerate_scale).sum() + 0.5 * off.shape[1] * _LOG_2PI
        return np.asarray(-0.5 * np.square(off).sum(axis=1) - constant - self.log_determinant)

    def pull_score(self, X: FloatArray, score: FloatArray) -> FloatArray:
        """Return scores of rows from scores in coordinates."""
        out = np.empty_like(X)
        out[:, self.varying] = _times(score, self.inverse.T)
        out[:, ~self.varying] = -self._off(X) / self.degenerate_scale
        return out

    def pull_hessian(self, hessian: FloatArray) -> FloatArray:
        """Return Hessians of rows from Hessians in coordinates."""
        n, d = len(hessian), len(self.center)
        out = np.zeros((n, d, d))
        back = self.inverse.T
        pulled = _times(_times(hessian, back).transpose(0, 2, 1), back)
        columns = np.flatnonzero(self.varying)
        out[:, columns[:, None], columns] = pulled
        constant = np.flatnonzero(~self.varying)
        out[:, constant, constant] = -(self.degenerate_scale**-2.0)
        return out

    def pull_laplacian(self, hessian: FloatArray) -> FloatArray:
        """Return traces of the Hessians of rows from Hessians in coordinates: shape (n,)."""
        inverse = np.diag(self.inverse) if self.inverse.ndim == 1 else self.inverse
        traces = np.einsum("nij,ij->n", hessian, inverse.T @ inverse)
        return np.asarray(traces - np.sum(self.degenerate_scale**-2.0))

    def _off(self, X: FloatArray) -> FloatArray:
        """Return by how many standard deviations constant columns are off."""
        constant = ~self.varying
        return np.asarray((X[:, constant] - self.center[constant]) / self.degenerate_scale)


def _times(A: FloatArray, root: FloatArray) -> FloatArray:
    return A * root if root.ndim == 1 else A @ root


def whitening(
    X: FloatArray, weight: FloatArray, n_samples: float, *, kind: str = "full"
) -> Whitening:
    """Fit the coordinates.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Rows.
    weight : ndarray of shape (n,)
        Weights; they sum to 1.
    n_samples : float
        Number of samples the rows stand for.
    kind : {"full", "columns", "none"}
        The symmetric root of the covariance (ZCA), the standard deviations of the columns, or one
        scale for all. A covariance that is not safely positive definite is shrunk as Ledoit and
        Wolf do; columns that differ by more than four orders of magnitude are scaled first.

    Returns
    -------
    Whitening
        The map.
    """
    center = X[0] + weight @ (X - X[0])
    centred = X - center
    largest = np.abs(centred).max(axis=0)
    largest[largest == 0.0] = 1.0
    # Squares of 1e-200 would be 0.
    spread = largest * np.sqrt(weight @ np.square(centred / largest))
    resolution = 8.0 * np.finfo(np.float64).eps * np.abs(X).max(axis=0)
    varying = (spread > resolution) & (np.ptp(X, axis=0) > 0.0)
    center[~varying] = X[0, ~varying]
    degenerate = _DEGENERATE * np.maximum(1.0, np.abs(center[~varying]))
    spread, centred = spread[varying], np.ascontiguousarray(centred[:, varying])
    unit = 1.0
    if kind == "none":
        unit = float(np.sqrt(np.mean(spread**2))) if varying.any() else 1.0
        root = np.full(int(varying.sum()), unit)
    elif kind == "columns" or not varying.any():
        root = spread
    else:
        root, inverse = _symmetric_root(centred, weight, spread, n_samples)
        determinant = float(np.linalg.slogdet(root)[1])
        return Whitening(varying, center, root, inverse, determinant, degenerate)
    determinant = float(np.log(root).sum())
    return Whitening(varying, center, root, 1.0 / root, determinant, degenerate, unit)


def _symmetric_root(
    centred: FloatArray, weight: FloatArray, spread: FloatArray, n_samples: float
) -> tuple[FloatArray, FloatArray]:
    """Return the root and its inverse; columns of very different scales are scaled first."""
    uneven = (spread.min() / spread.max()) ** 2 < _ILL_SCALED
    scale = spread if uneven else np.ones_like(spread)
    largest = (spread / scale).max()
    unit = largest * np.sqrt(np.mean((spread / scale / largest) ** 2))
    covariance = gaussian_base(centred / (scale * unit), weight, n_samples).covariances[0]
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(values)) @ vectors.T * (scale * unit)
    inverse = (vectors / np.sqrt(values)) @ vectors.T / (scale * unit)[:, None]
    return root, inverse
