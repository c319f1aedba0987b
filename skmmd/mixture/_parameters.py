"""Parameters of a mixture as rows of numbers, and what covariance types mean for them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmmd.mixture import _loops

FloatArray = NDArray[np.float64]

FULL, DIAGONAL, SPHERICAL, NONE = 0, 1, 2, 3
SHAPES = {
    "full": (FULL, False),
    "tied": (FULL, True),
    "diag": (DIAGONAL, False),
    "tied_diag": (DIAGONAL, True),
    "spherical": (SPHERICAL, False),
    "tied_spherical": (SPHERICAL, True),
}

ILL_DEFINED = (
    "Fitting the mixture model failed because some components have ill-defined empirical "
    "covariance (for instance caused by singleton or collapsed samples). Try to decrease the "
    "number of components, increase reg_covar, or scale the input data."
)


class Parameters(NamedTuple):
    """Parameters of a mixture; noise has the last weight and no mean.

    Covariances, and factors U of the precisions U U', are rows of d*d, d or 1 numbers: one for
    each component, or one for all.
    """

    weights: FloatArray
    means: FloatArray
    covariances: FloatArray
    factors: FloatArray

    def copy(self) -> "Parameters":
        return Parameters(*(array.copy() for array in self))


class Model(NamedTuple):
    """What is estimated, and how it is held away from the edge.

    Attributes
    ----------
    shape : int
        FULL, DIAGONAL or SPHERICAL.
    shared : bool
        One covariance for all components.
    ridge : ndarray of shape (n_features,)
        Added to the variances.
    prior : ndarray
        Scale of the inverse-Wishart prior, in the layout of a row of covariances.
    strength : float
        Rows that the prior counts for in the denominator; 0 without a prior.
    noise : ndarray of shape (n_features,) or None
        Log density of the noise in each feature.
    """

    shape: int
    shared: bool
    ridge: FloatArray
    prior: FloatArray
    strength: float = 0.0
    noise: FloatArray | None = None

    @property
    def log_noise(self) -> float:
        return 0.0 if self.noise is None else float(self.noise.sum())


def row_length(shape: int, n_features: int) -> int:
    """Return the length of a row of covariances."""
    return (n_features * n_features, n_features, 1)[shape]


def n_moments(shape: int, n_features: int) -> int:
    """Return how many second moments a component has."""
    return (n_features * (n_features + 1) // 2, n_features, 1, 0)[shape]


def n_free_parameters(
    covariance_type: str, n_components: int, n_features: int, *, noise: bool
) -> int:
    """Return the number of free parameters."""
    shape, shared = SHAPES[covariance_type]
    covariances = n_moments(shape, n_features) * (1 if shared else n_components)
    return covariances + n_features * n_components + n_components - 1 + int(noise)


def factorize(covariances: FloatArray, n_features: int, shape: int) -> FloatArray:
    """Return the factors of the precisions of rows of covariances.

    Raises
    ------
    ValueError
        If one is not positive definite.
    """
    factors = np.empty_like(covariances)
    if not _loops.factorize(covariances, n_features, shape, factors):
        raise ValueError(ILL_DEFINED)
    return factors


def public_shape(shape: int, shared: bool, n_components: int, n_features: int) -> tuple[int, ...]:
    """Return the shape of covariances in their public layout."""
    each = ((n_features, n_features), (n_features,), ())[shape]
    return each if shared else (n_components, *each)


def to_rows(array: NDArray[np.floating], shape: int, shared: bool, n_features: int) -> FloatArray:
    """Return covariances in their public layout as rows."""
    length = row_length(shape, n_features)
    return np.array(array, dtype=np.float64, order="C").reshape(1 if shared else -1, length)


def from_rows(rows: FloatArray, shape: int, shared: bool, n_features: int) -> FloatArray:
    """Return rows in their public layout, without a copy."""
    each = ((n_features, n_features), (n_features,), ())[shape]
    return rows.reshape(each if shared else (-1, *each))


def products(factors: FloatArray, shape: int) -> FloatArray:
    """Return the precisions of factors, both in their public layout."""
    if shape == FULL:
        return np.matmul(factors, np.swapaxes(factors, -1, -2))
    return np.square(factors, out=np.empty_like(factors))


def dense(rows: FloatArray, shape: int, n_features: int) -> FloatArray:
    """Return rows of covariances as matrices of shape (n_rows, n_features, n_features)."""
    if shape == FULL:
        return rows.reshape(-1, n_features, n_features)
    return np.broadcast_to(rows, (len(rows), n_features))[:, :, None] * np.eye(n_features)


def condense(matrices: FloatArray, shape: int) -> FloatArray:
    """Return matrices as rows: their entries, their diagonals, or the means of those."""
    if shape == FULL:
        return np.array(matrices, order="C").reshape(len(matrices), -1)
    diagonals = np.diagonal(matrices, axis1=1, axis2=2).copy()
    return diagonals if shape == DIAGONAL else diagonals.mean(axis=1, keepdims=True)


def factor_precisions(precisions: FloatArray, shape: int) -> FloatArray:
    """Return factors U with precision U U', U upper triangular, in the public layout."""
    if shape != FULL:
        return np.asarray(np.sqrt(precisions))
    # Rows and columns reversed, the lower Cholesky factor becomes an upper one.
    reverse = np.linalg.cholesky(np.flip(precisions, axis=(-1, -2)))
    return np.ascontiguousarray(np.flip(reverse, axis=(-1, -2)))


def covariances_of_factors(factors: FloatArray, shape: int) -> FloatArray:
    """Return the covariances (U U')^-1 of factors, in the public layout."""
    if shape != FULL:
        return np.asarray(1.0 / factors**2)
    inverse = np.linalg.inv(factors)
    return np.matmul(np.swapaxes(inverse, -1, -2), inverse)
