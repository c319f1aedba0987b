"""Gaussian mixtures given some of their features."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from skmmd.mixture._parameters import (
    FULL,
    FloatArray,
    Model,
    Parameters,
    condense,
    dense,
    factorize,
)
from skmmd.mixture._sweep import transform

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


def shares_of(
    X: FloatArray, weights: FloatArray, means: FloatArray, matrices: FloatArray
) -> FloatArray:
    """Return the shares of the components in each row, of shape (n_samples, n_components).

    Raises
    ------
    ValueError
        If a covariance is not positive definite.
    """
    d = means.shape[1]
    if d == 0:
        return np.tile(weights, (len(X), 1))
    rows = condense(matrices, FULL)
    parameters = Parameters(weights, np.ascontiguousarray(means), rows, factorize(rows, d, FULL))
    model = Model(FULL, False, np.zeros(d), np.zeros(0))
    return transform(np.ascontiguousarray(X), model, parameters, weights @ means)[0]


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
    # Far components may overflow, but take no part.
    around[shares == 0.0] = 0.0
    cov = np.einsum("ik,khg->ihg", shares, covariances)
    cov += np.einsum("ik,ikh,ikg->ihg", shares, around, around)
    return mean, cov


def given(
    X: FloatArray,
    known: Indices,
    hidden: Indices,
    parameters: tuple[FloatArray, FloatArray, FloatArray],
    *,
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
    want_cov : bool, default=False
        Whether to return covariances.
    """
    weights, means, matrices = parameters
    slopes, covariances = regression(matrices, known, hidden)
    shares = shares_of(X, weights, means[:, known], matrices[:, known[:, None], known])
    difference = X[:, None, :] - means[:, known]
    component_means = means[:, hidden] + np.einsum("khc,ikc->ikh", slopes, difference)
    return mix_moments(shares, component_means, covariances, want_cov=want_cov)


def far_row(
    row: FloatArray, known: Indices, model: Model, parameters: Parameters
) -> tuple[FloatArray, float]:
    """Return shares and log density of a row with gaps whose squared distances overflow.

    Parameters
    ----------
    row : ndarray of shape (n_features,)
        Values.
    known : ndarray of intp
        The features that are observed.
    model : Model
        What was estimated.
    parameters : Parameters
        Parameters.
    """
    d = len(row)
    matrices = np.broadcast_to(
        dense(parameters.covariances, model.shape, d), (len(parameters.means), d, d)
    )
    rows = condense(matrices[:, known[:, None], known], FULL)
    marginal = Parameters(
        parameters.weights,
        np.ascontiguousarray(parameters.means[:, known]),
        rows,
        factorize(rows, len(known), FULL),
    )
    noise = None if model.noise is None else model.noise[known]
    reduced = Model(FULL, False, np.zeros(len(known)), np.zeros(0), noise=noise)
    shares, density = transform(row[known][None], reduced, marginal, np.zeros(len(known)))
    return shares[0], float(density[0])
