"""Gaussian mixtures given some of their features."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import logsumexp

from skmmd.mixture._parameters import FloatArray

Indices = NDArray[np.intp]


class Regression(NamedTuple):
    """The hidden features of each component as linear functions of the known ones.

    Attributes
    ----------
    slopes : ndarray of shape (n_components, n_hidden, n_known)
        Slopes of the means.
    covariances : ndarray of shape (n_components, n_hidden, n_hidden)
        Covariances around them.
    """

    slopes: FloatArray
    covariances: FloatArray


def split(indices: Indices, n_features: int) -> Indices:
    """Return the features that are not in `indices`."""
    return np.setdiff1d(np.arange(n_features), indices)


def regression(matrices: FloatArray, known: Indices, hidden: Indices) -> Regression:
    """Return the regressions of hidden features on known ones.

    Parameters
    ----------
    matrices : ndarray of shape (n_components, n_features, n_features)
        Covariances.
    known, hidden : ndarray of intp
        Features.
    """
    slopes = np.empty((len(matrices), len(hidden), len(known)))
    covariances = np.empty((len(matrices), len(hidden), len(hidden)))
    for k, matrix in enumerate(matrices):
        cross = matrix[np.ix_(known, hidden)]
        inside = matrix[np.ix_(hidden, hidden)]
        if len(known):
            slopes[k] = cho_solve(cho_factor(matrix[np.ix_(known, known)], lower=True), cross).T
            inside = inside - slopes[k] @ cross
        covariances[k] = 0.5 * (inside + inside.T)
    return Regression(slopes, covariances)


def log_joint(
    X: FloatArray, weights: FloatArray, means: FloatArray, matrices: FloatArray
) -> FloatArray:
    """Return log weight plus log density of each component, of shape (n_samples, n_components)."""
    joint = np.empty((len(X), len(means)))
    with np.errstate(divide="ignore"):
        log_weights = np.log(weights)
    for k, (mean, matrix) in enumerate(zip(means, matrices, strict=True)):
        joint[:, k] = log_weights[k]
        if X.shape[1]:
            lower = np.linalg.cholesky(matrix)
            whitened = np.linalg.solve(lower, (X - mean).T)
            joint[:, k] -= 0.5 * (whitened**2).sum(axis=0)
            joint[:, k] -= np.log(np.diagonal(lower)).sum() + 0.5 * len(mean) * np.log(2 * np.pi)
    return joint


def responsibilities(joint: FloatArray) -> FloatArray:
    """Return the shares of the components in each row."""
    shares: FloatArray = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    return shares


def mix_moments(
    shares: FloatArray, component_means: FloatArray, covariances: FloatArray, *, want_cov: bool
) -> tuple[FloatArray, FloatArray | None]:
    """Return the means, and covariances if wanted, of mixtures with given component means.

    Parameters
    ----------
    shares : ndarray of shape (n_samples, n_components)
        Weights.
    component_means : ndarray of shape (n_samples, n_components, n_hidden)
        Means.
    covariances : ndarray of shape (n_components, n_hidden, n_hidden)
        Covariances of the components, the same for all rows.
    want_cov : bool
        Whether to return covariances.
    """
    mean = np.einsum("ik,ikh->ih", shares, component_means)
    if not want_cov:
        return mean, None
    around = component_means - mean[:, None]
    cov = np.einsum("ik,khg->ihg", shares, covariances)
    cov += np.einsum("ik,ikh,ikg->ihg", shares, around, around)
    return mean, cov


def given(
    X: FloatArray,
    known: Indices,
    hidden: Indices,
    parameters: tuple[FloatArray, FloatArray, FloatArray],
    *,
    shares: FloatArray | None = None,
    want_cov: bool = False,
) -> tuple[FloatArray, FloatArray | None]:
    """Return means and covariances of the hidden features given the known ones.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_known)
        Values of the known features.
    known, hidden : ndarray of intp
        Features.
    parameters : tuple of ndarray
        Weights, means and covariance matrices.
    shares : ndarray of shape (n_samples, n_components) or None, default=None
        Weights of the components in each row, computed if None.
    want_cov : bool, default=False
        Whether to return covariances.
    """
    weights, means, matrices = parameters
    slopes, covariances = regression(matrices, known, hidden)
    if shares is None:
        inside = matrices[:, known[:, None], known]
        shares = responsibilities(log_joint(X, weights, means[:, known], inside))
    difference = X[:, None, :] - means[:, known]
    component_means = means[:, hidden] + np.einsum("khc,ikc->ikh", slopes, difference)
    return mix_moments(shares, component_means, covariances, want_cov=want_cov)
