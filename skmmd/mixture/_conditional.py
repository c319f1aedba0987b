"""Gaussian mixtures given some of their features."""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cho_factor, cho_solve

from skmmd._chunked import gather_blocks, row_blocks
from skmmd.mixture._data import NO_WEIGHT, pattern_order
from skmmd.mixture._parameters import (
    FULL,
    FloatArray,
    Model,
    Parameters,
    condense,
    dense,
    factorize,
)
from skmmd.mixture._sweep import sweep_patterns, transform

Indices = NDArray[np.intp]

# Rows that are conditioned at a time: each has a mean for each component.
_BLOCK_SIZE = 1024


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


def split_features(indices: ArrayLike, n_features: int) -> tuple[Indices, Indices]:
    """Return the features that are given, and the others.

    Raises
    ------
    ValueError
        If `indices` are not different columns, none or all of them.
    """
    d = n_features
    known = np.atleast_1d(np.asarray(indices))
    fits = known.ndim == 1 and len(known) and np.issubdtype(known.dtype, np.integer)
    if not fits or known.min() < -d or known.max() >= d:
        raise ValueError(f"indices must be numbers of columns from 0 to {d - 1}; got {indices!r}.")
    known = np.where(known < 0, known + d, known).astype(np.intp)
    hidden = np.setdiff1d(np.arange(d), known)
    if len(np.unique(known)) < len(known) or not len(hidden):
        raise ValueError(
            f"indices must be different columns, and leave some of the {d} out; got {indices!r}."
        )
    return known, hidden


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


def condition(
    value: FloatArray,
    known: Indices,
    hidden: Indices,
    parameters: tuple[FloatArray, FloatArray, FloatArray],
    shape: int,
    shared: bool,
) -> Parameters:
    """Return the mixture of the hidden features given the known ones of one row.

    Parameters
    ----------
    value : ndarray of shape (1, n_known)
        Values of the known features.
    known, hidden : ndarray of intp
        Features.
    parameters : tuple of ndarray
        Weights, means and covariance matrices.
    shape, shared : int, bool
        Layout of the covariances.
    """
    weights, means, matrices = parameters
    shares = shares_of(value, weights, means[:, known], matrices[:, known[:, None], known])
    conditioned = [
        given(value, known, hidden, (np.ones(1), means[[k]], matrices[[k]]), want_cov=True)
        for k in range(len(means))
    ]
    covariances = np.stack([cov[0] for _, cov in conditioned if cov is not None])
    rows = condense(covariances[:1] if shared else covariances, shape)
    centers = np.concatenate([mean for mean, _ in conditioned])
    return Parameters(shares[0], centers, rows, factorize(rows, len(hidden), shape))


def regress(
    X: FloatArray,
    known: Indices,
    hidden: Indices,
    parameters: tuple[FloatArray, FloatArray, FloatArray],
    *,
    want_cov: bool,
    n_jobs: int | None,
) -> tuple[FloatArray, FloatArray | None]:
    """Return :func:`given` of rows, block by block."""
    found = gather_blocks(
        lambda block: given(X[block], known, hidden, parameters, want_cov=want_cov),
        row_blocks(len(X), _BLOCK_SIZE),
        n_jobs=n_jobs,
    )
    mean = np.concatenate([each for each, _ in found])
    return mean, np.concatenate([cov for _, cov in found if cov is not None]) if want_cov else None


def fill(
    X: FloatArray,
    parameters: tuple[FloatArray, FloatArray, FloatArray],
    *,
    want_cov: bool,
    n_jobs: int | None,
) -> FloatArray | None:
    """Replace NaN in `X` by means given the rest of the row.

    Returns the covariances, of shape (n_samples, n_features, n_features), if wanted; zero where a
    value was observed.
    """
    missing = np.isnan(X)
    cov = np.zeros((*X.shape, X.shape[1])) if want_cov else None
    order, starts = pattern_order(missing)
    pieces = [
        order[first:last][block]
        for first, last in itertools.pairwise(starts)
        for block in row_blocks(last - first, _BLOCK_SIZE)
        if missing[order[first]].any()
    ]

    def fill_piece(rows: Indices) -> None:
        hidden, known = np.flatnonzero(missing[rows[0]]), np.flatnonzero(~missing[rows[0]])
        means, around = given(X[np.ix_(rows, known)], known, hidden, parameters, want_cov=want_cov)
        X[np.ix_(rows, hidden)] = means
        if cov is not None and around is not None:
            cov[np.ix_(rows, hidden, hidden)] = around

    if pieces:
        gather_blocks(fill_piece, pieces, n_jobs=n_jobs)
    return cov


# --------------------------------------------------------------------------------------
# responsibilities of rows with gaps


def transform_missing(
    X: FloatArray, missing: NDArray[np.bool_], model: Model, parameters: Parameters
) -> tuple[FloatArray, FloatArray]:
    """Return the responsibilities and the log densities of rows, some with missing values."""
    order, starts = pattern_order(missing)
    observed = (~missing[order[starts[:-1]]]).astype(np.uint8)
    n_joint, d = len(parameters.weights), X.shape[1]
    room = np.zeros((n_joint, 1 + d + d * d)), np.zeros(d * d)
    _, shares, density = sweep_patterns(
        X[order], NO_WEIGHT, starts, observed, model, parameters, *room
    )
    back = np.argsort(order)
    shares, density = shares[back], density[back]
    for row in np.flatnonzero(~np.isfinite(shares).all(axis=1)):
        known = np.flatnonzero(~missing[row])
        shares[row], density[row] = far_row(X[row], known, model, parameters)
    return shares, density


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
