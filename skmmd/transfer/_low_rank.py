"""Kernels of low rank: which landmarks, and sums over rows of the features they give.

Features of a row x are ``k(x, landmarks) @ projection``; those of all rows are never held.
"""

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import reduce_blocks, row_blocks
from skmmd.kernels import (
    Kernel,
    Nystroem,
    gram,
    kernel_products,
    nystroem,
    pivoted_landmarks,
)

__all__ = ["embedding_by_landmarks", "feature_gram", "feature_sums", "landmark_features"]

FloatArray = NDArray[np.float64]

_MAX_EXACT_ROWS = 5000
_MAX_LANDMARKS = 500
# Largest eigenvalue of what the landmarks miss, as a share of the number of rows.
_MISSED = 1e-6
_MAX_SUM_LANDMARKS, _MISSED_IN_SUM = 1000, 1e-7
_BLOCK = 512


def landmark_features(
    kernel: Kernel,
    gamma: float,
    rows: FloatArray,
    n_landmarks: int | None,
    draws: np.random.Generator,
    weight: FloatArray | None = None,
) -> tuple[Nystroem | None, FloatArray]:
    """Return features of low rank for `rows`, or None where the whole Gram matrix is to be used.

    Parameters
    ----------
    kernel : str or callable
        The kernel.
    gamma : float
        Its coefficient.
    rows : ndarray of shape (n_rows, n_features)
        Rows.
    n_landmarks : int or None
        Most landmarks. None: the whole matrix up to 5,000 rows, above as many landmarks as the
        spectrum asks for, at most 500.
    draws : numpy.random.Generator
        Draws the landmarks.
    weight : ndarray of shape (n_rows,), default=None
        Weights of the rows; those without are no landmarks.

    Returns
    -------
    features : Nystroem or None
        The features.
    landmarks : ndarray of shape (n_landmarks, n_features)
        The landmarks; without features, all rows.
    """
    if n_landmarks is None and len(rows) <= _MAX_EXACT_ROWS:
        return None, rows
    among = rows if weight is None else rows[weight > 0.0]
    if n_landmarks is None:
        most, missed = _MAX_LANDMARKS, _MISSED
        chosen = pivoted_landmarks(kernel, gamma, among, most, tol=missed, generator=draws)
    elif n_landmarks >= len(among):
        chosen = np.arange(len(among))
    else:
        chosen = pivoted_landmarks(kernel, gamma, among, n_landmarks, generator=draws)
    landmarks = np.ascontiguousarray(among[chosen])
    return nystroem(kernel, np.array([gamma]), rows, landmarks), landmarks


def embedding_by_landmarks(
    kernel: Kernel,
    gamma: float,
    rows: FloatArray,
    weight: FloatArray,
    draws: np.random.Generator,
    *,
    n_jobs: int | None = None,
) -> tuple[FloatArray, FloatArray, float]:
    """Return the weighted sum of the embeddings of many rows, as a sum over landmarks.

    Parameters
    ----------
    kernel : str or callable
        The kernel.
    gamma : float
        Its coefficient.
    rows : ndarray of shape (n_rows, n_features)
        Rows.
    weight : ndarray of shape (n_rows,)
        Their weights.
    draws : numpy.random.Generator
        Draws the landmarks, at most 1,000.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    landmarks : ndarray of shape (n_landmarks, n_features)
        Landmarks z.
    coefficients : ndarray of shape (n_landmarks,)
        The sum is that of ``coefficients * k(z, .)``.
    square : float
        Its squared length.
    """
    chosen = pivoted_landmarks(
        kernel, gamma, rows, _MAX_SUM_LANDMARKS, tol=_MISSED_IN_SUM, generator=draws
    )
    landmarks, gammas = rows[chosen], np.array([gamma])
    projection = nystroem(kernel, gammas, landmarks, landmarks).projections[0]
    to_rows = gram(kernel, gammas, landmarks, rows)
    embedding = projection.T @ kernel_products(to_rows, weight, n_jobs=n_jobs)
    return landmarks, projection @ embedding, float(embedding @ embedding)


def feature_sums(features: Nystroem, V: FloatArray, *, n_jobs: int | None = None) -> FloatArray:
    """Return ``F.T @ V`` with the features F of all rows.

    Parameters
    ----------
    features : Nystroem
        The features.
    V : ndarray of shape (n_rows, n_columns)
        Weights of the rows.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    ndarray of shape (n_components, n_columns)
        Weighted sums of the features.
    """
    every = slice(0, features.n_landmarks)

    def sums_of(rows: slice) -> FloatArray:
        return np.asarray(next(features.blocks(rows, every)).T @ V[rows])

    blocks = row_blocks(len(V), _BLOCK)
    return np.asarray(
        features.projections[0].T @ reduce_blocks(sums_of, blocks, _add, n_jobs=n_jobs)
    )


def feature_gram(
    features: Nystroem, weight: FloatArray, *, n_jobs: int | None = None
) -> FloatArray:
    """Return ``F.T @ diag(weight) @ F`` with the features F of all rows.

    Parameters
    ----------
    features : Nystroem
        The features.
    weight : ndarray of shape (n_rows,)
        Weights of the rows, not negative.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    ndarray of shape (n_components, n_components)
        Second moments of the features.
    """
    every = slice(0, features.n_landmarks)
    root = np.sqrt(weight)

    def gram_of(rows: slice) -> FloatArray:
        block = next(features.blocks(rows, every)) @ features.projections[0]
        block *= root[rows, None]
        return np.asarray(block.T @ block)

    return reduce_blocks(gram_of, row_blocks(len(weight), _BLOCK), _add, n_jobs=n_jobs)


def _add(total: FloatArray, more: FloatArray) -> FloatArray:
    total += more
    return total
