"""Training rows: merged, sorted by class, standardised, dense or sparse."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils.sparsefuncs import inplace_column_scale, mean_variance_axis

from skmmd.metric_learning._groups import Groups, group_rows

__all__ = ["Rows", "is_sparse", "standardised_rows"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def is_sparse(X: Any) -> bool:
    return bool(sparse.issparse(X))


@dataclass(frozen=True)
class Rows:
    """Standardised rows, sorted by class.

    Parameters
    ----------
    X : ndarray or CSR array of shape (n_samples, n_features)
        Rows; sparse ones are scaled and not centred.
    shift : ndarray of shape (n_features,) or None
        What still has to be taken from each row; None if `X` is centred.
    mean, scale : ndarray of shape (n_features,)
        What the features of the data were centred with and divided by.
    groups : Groups
        Classes and weights.
    """

    X: Any
    shift: FloatArray | None
    mean: FloatArray
    scale: FloatArray
    groups: Groups

    def __len__(self) -> int:
        n_rows: int = self.X.shape[0]
        return n_rows

    @property
    def n_features(self) -> int:
        n_features: int = self.X.shape[1]
        return n_features

    def embed(self, components: FloatArray) -> FloatArray:
        """Return the embedding of all rows."""
        Z = np.asarray(self.X @ components.T)
        if self.shift is not None:
            Z -= components @ self.shift
        return np.ascontiguousarray(Z)

    def pull_back(self, gradient: FloatArray) -> FloatArray:
        """Turn the gradient with respect to the embedding into that for the components."""
        result: FloatArray = np.asarray(self.X.T @ gradient).T
        if self.shift is not None:
            result = result - np.outer(gradient.sum(axis=0), self.shift)
        return result

    def take(self, index: NDArray[np.intp]) -> "Rows":
        """Return some of the rows, by ascending position."""
        codes, n_classes = self.groups.codes[index], self.groups.n_classes
        _, groups = group_rows(codes, n_classes, self.groups.weight[index])
        return replace(self, X=self.X[index], groups=groups)


def _keys(X: Any) -> NDArray[np.intp]:
    """Give numbers to the rows: equal rows the same, whatever order they come in."""
    if is_sparse(X):
        ends = zip(X.indptr[:-1], X.indptr[1:], strict=True)
        spans = [slice(*pair) for pair in ends]
        names = [(X.indices[span].tobytes(), X.data[span].tobytes()) for span in spans]
        places = {name: place for place, name in enumerate(sorted(set(names)))}
        return np.array([places[name] for name in names], dtype=np.intp)
    bytes_of_row = np.dtype((np.void, X.itemsize * X.shape[1]))
    order = np.argsort(X.view(bytes_of_row).ravel(), kind="stable")
    new = np.any(np.diff(X[order], axis=0) != 0.0, axis=1)
    numbers = np.empty(len(X), dtype=np.intp)
    numbers[order] = np.concatenate([[0], np.cumsum(new)])
    return numbers


def _merged(
    X: Any, codes: NDArray[Any], weight: FloatArray
) -> tuple[Any, NDArray[Any], FloatArray]:
    """Let equal rows of one class be one row with the sum of their weights."""
    used = np.flatnonzero(weight > 0.0)
    X, codes, weight = X[used], codes[used], weight[used]
    if is_sparse(X):
        X.sum_duplicates()
        X.eliminate_zeros()
    else:
        X = np.ascontiguousarray(X + 0.0)  # one zero, not two
    keys = _keys(X)
    order = np.lexsort([keys, codes])
    new = np.diff(keys[order]) != 0
    new |= np.diff(codes[order]) != 0
    first = np.flatnonzero(np.concatenate([[True], new]))
    # Weights in ascending order, so that their sum does not depend on the order of the rows.
    order = order[np.lexsort([weight[order], np.cumsum(np.concatenate([[0], new]))])]
    kept = order[first]
    return X[kept], codes[kept], np.add.reduceat(weight[order], first)


def standardised_rows(
    X: Any,
    codes: NDArray[Any],
    n_classes: int,
    weight: FloatArray,
    units: tuple[FloatArray, FloatArray] | None = None,
) -> Rows:
    """Merge, sort and standardise rows.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (n_samples, n_features), dtype float64
        The rows; not written to.
    codes : ndarray of shape (n_samples,)
        The class of each.
    n_classes : int
        Number of classes.
    weight : ndarray of shape (n_samples,)
        Weight of each; rows without are left out.
    units : tuple of two ndarrays of shape (n_features,) or None, default=None
        Mean and scale to use; None takes those of the rows.

    Returns
    -------
    Rows
        A feature that is constant has the scale 1.
    """
    X, codes, weight = _merged(X, codes, weight)
    shift = None
    if is_sparse(X):
        mean, scale = _sparse_units(X, weight) if units is None else units
        X = X.copy()
        inplace_column_scale(X, 1.0 / scale)
        shift = mean / scale
    elif units is None:
        X, mean, scale = _standardised(X, weight)
    else:
        mean, scale = units
        X = (X - mean) / scale
    _, groups = group_rows(codes, n_classes, weight)
    return Rows(X, shift, mean, scale, groups)


def _standardised(X: FloatArray, weight: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    share = weight / weight.sum()
    # Differences to a row keep the digits of features with a large offset; the largest of them is
    # the unit in which squares neither overflow nor vanish.
    first = X[0].copy()
    X = X - first
    unit = np.abs(X).max(axis=0)
    unit[unit == 0.0] = 1.0
    X /= unit
    center = share @ X
    X -= center
    deviation = np.sqrt(share @ X**2)
    deviation[deviation == 0.0] = 1.0
    X /= deviation
    return X, first + unit * center, unit * deviation


def _sparse_units(X: Any, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    mean, variance = mean_variance_axis(X, axis=0, weights=weight)
    # What rounding leaves of the variance of a constant feature.
    rounding = X.shape[0] * np.finfo(np.float64).eps
    variance[variance <= rounding * variance + (rounding * mean) ** 2] = 0.0
    return mean, np.where(variance > 0.0, np.sqrt(variance), 1.0)
