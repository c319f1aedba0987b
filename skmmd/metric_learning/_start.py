"""Where the components start: named transformations of standardised rows, to a common scale."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from sklearn.decomposition import TruncatedSVD

from skmmd.metric_learning._groups import select_targets
from skmmd.metric_learning._rows import Rows, is_sparse

__all__ = ["STARTS", "given_start", "scaled_start", "start"]

FloatArray = NDArray[np.float64]

STARTS = ("auto", "pca", "lda", "identity", "random")

_SHRINKAGE = 1e-3  # of the scatter within classes, towards its mean
_MOST_FEATURES = 500  # of sparse rows, to whose scatter an eigenproblem is solved as a whole


def start(rows: Rows, init: str, n_components: int, generator: np.random.Generator) -> FloatArray:
    """Return components to start from, in standardised coordinates.

    Parameters
    ----------
    rows : Rows
        Training rows.
    init : {"auto", "pca", "lda", "identity", "random"}
        "auto" is "identity" if all components are kept, else "lda".
    n_components : int
        Number of components.
    generator : numpy.random.Generator
        For "random".

    Returns
    -------
    ndarray of shape (n_components, n_features)
        The components; their scale is arbitrary.
    """
    n_features = rows.n_features
    if init == "auto":
        init = "identity" if n_components == n_features else "lda"
    if init == "identity":
        return np.eye(n_components, n_features)
    if init == "random":
        return generator.standard_normal((n_components, n_features)) / np.sqrt(n_features)
    if rows.shift is not None and n_features > _MOST_FEATURES:
        return _reduced(rows, init, n_components)
    if init == "pca":
        return _pca(_scatter(rows), n_components)
    return _lda(_scatter(rows), _between(rows), n_components)


def _scatter(rows: Rows) -> FloatArray:
    """Return the covariance of the rows."""
    share = rows.groups.weight / rows.groups.weight.sum()
    if rows.shift is None:
        product: FloatArray = (rows.X * share[:, None]).T @ rows.X
        return product
    weighted = sparse.diags_array(share) @ rows.X
    dense = np.asarray((rows.X.T @ weighted).todense())
    result: FloatArray = dense - np.outer(rows.shift, rows.shift)
    return result


def _class_means(rows: Rows) -> FloatArray:
    groups = rows.groups
    total = groups.class_weight
    share = groups.weight / total[groups.codes]
    pick = sparse.csr_array(
        (share, (groups.codes, np.arange(len(rows)))), shape=(groups.n_classes, len(rows))
    )
    means: Any = pick @ rows.X
    means = means.toarray() if is_sparse(means) else means
    if rows.shift is not None:
        means = means - rows.shift * (total > 0.0)[:, None]
    result: FloatArray = means
    return result


def _between(rows: Rows) -> FloatArray:
    """Return the covariance of the class means."""
    means = _class_means(rows)
    total = rows.groups.class_weight
    product: FloatArray = (means * (total / total.sum())[:, None]).T @ means
    return product


def _signed(vectors: FloatArray) -> FloatArray:
    """Let the largest coordinate of each row be positive: eigenvectors have no sign."""
    largest = np.abs(vectors).argmax(axis=1)
    signs = np.sign(vectors[np.arange(len(vectors)), largest])
    result: FloatArray = vectors * np.where(signs == 0.0, 1.0, signs)[:, None]
    return result


def _pca(scatter: FloatArray, n_components: int) -> FloatArray:
    _, vectors = linalg.eigh(scatter)
    return _signed(vectors[:, ::-1][:, :n_components].T)


def _lda(scatter: FloatArray, between: FloatArray, n_components: int) -> FloatArray:
    """Return discriminant directions; principal ones behind them, where the classes are too few."""
    n_features = len(scatter)
    within = scatter - between
    level = np.trace(within) / n_features
    if level <= 0.0:
        level = max(np.trace(scatter) / n_features, 1.0)
    # Rounding may have left negative variances.
    variances, axes = linalg.eigh(within)
    variances = (1.0 - _SHRINKAGE) * np.maximum(variances, 0.0) + _SHRINKAGE * level
    within = (axes * variances) @ axes.T
    values, vectors = linalg.eigh(between, within)
    useful = int(np.count_nonzero(values > 1e-10 * max(values[-1], 1e-300)))
    found = vectors[:, ::-1][:, : min(useful, n_components)].T
    if len(found) == n_components:
        return _signed(found)
    # The rest: what spreads most among the directions that those leave out, in like units.
    basis = linalg.qr(found.T, mode="economic")[0] if len(found) else np.empty((n_features, 0))
    rest = np.eye(n_features) - basis @ basis.T
    more = _pca(rest @ scatter @ rest, n_components - len(found))
    spread = np.sqrt(np.einsum("ij,jk,ik->i", more, within, more))
    more = more / np.maximum(spread, 1e-3 * spread.max(initial=1.0))[:, None]
    return _signed(np.vstack([found, more]))


def _reduced(rows: Rows, init: str, n_components: int) -> FloatArray:
    """Start in the span of the leading singular vectors of sparse rows with many features."""
    n_kept = min(max(n_components, _MOST_FEATURES // 2), min(rows.X.shape) - 1)
    svd = TruncatedSVD(n_kept, algorithm="randomized", random_state=0).fit(rows.X)
    basis = _signed(svd.components_)
    if n_kept < n_components:
        more = np.eye(n_components - n_kept, rows.n_features)
        return np.vstack([basis, more])
    if init == "pca":
        return basis[:n_components]
    Z = rows.embed(basis)
    reduced = Rows(Z, None, np.zeros(n_kept), np.ones(n_kept), rows.groups)
    result: FloatArray = _lda(_scatter(reduced), _between(reduced), n_components) @ basis
    return result


def scaled_start(
    rows: Rows, components: FloatArray, n_neighbors: int, length: float, *, n_jobs: int | None
) -> FloatArray:
    """Scale components so that target neighbours are at a mean squared distance.

    Parameters
    ----------
    rows : Rows
        Training rows.
    components : ndarray of shape (n_components, n_features)
        Any components.
    n_neighbors : int
        Number of target neighbours.
    length : float
        The mean squared distance.
    n_jobs : int or None
        Number of threads.

    Returns
    -------
    ndarray of shape (n_components, n_features)
        As they are, where all target neighbours coincide.
    """
    Z = rows.embed(components)
    targets = select_targets(Z, rows.groups, n_neighbors, n_jobs=n_jobs)
    weight = rows.groups.weight[:, None] * targets.weight
    total = 0.0
    for column in range(targets.index.shape[1]):
        difference = Z - Z[targets.index[:, column]]
        total += float(weight[:, column] @ np.einsum("ij,ij->i", difference, difference))
    if not total > 0.0:
        return components
    result: FloatArray = components * np.sqrt(length * weight.sum() / total)
    return result


def given_start(rows: Rows, given: FloatArray, name: str, n_components: int | None) -> FloatArray:
    """Return components for the data's own features as components of standardised ones.

    Parameters
    ----------
    rows : Rows
        Training rows.
    given : ndarray of shape (n_components, n_features)
        The components.
    name : str
        What they are, for messages.
    n_components : int or None
        Their number; None takes it from them.

    Returns
    -------
    ndarray of shape (n_components, n_features)
        The components.

    Raises
    ------
    ValueError
        If the shape does not fit, or all are zero.
    """
    expected = len(given) if n_components is None else n_components, rows.n_features
    if given.shape != expected:
        raise ValueError(
            f"{name} must have the shape (n_components, n_features) = {expected}, got "
            f"{given.shape}."
        )
    if expected[0] > rows.n_features:
        raise ValueError(
            f"{name} has n_components = {expected[0]} rows, which must not be more than the "
            f"number of features, {rows.n_features}."
        )
    if not np.any(given):
        raise ValueError(f"{name} is zero, where the gradient of each loss vanishes.")
    result: FloatArray = given * rows.scale
    return result
