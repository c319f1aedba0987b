"""Training rows: merged, sorted by class, standardised, dense or sparse."""

import itertools
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


def _ordered_bits(values: FloatArray) -> NDArray[Any]:
    """Return integers in the order of the values, whose bytes are in this order too."""
    bits = np.ascontiguousarray(values).view(np.uint64)
    negative = bits >> np.uint64(63) == 1
    return np.where(negative, ~bits, bits | np.uint64(1 << 63)).astype(">u8")


def _ranks(X: Any) -> NDArray[np.intp]:
    """Rank the rows by their first feature, then the second, and so on; equal rows alike."""
    if is_sparse(X):
        rows = np.array(_sparse_names(X), dtype=object)
    else:
        bits = _ordered_bits(X)
        rows = bits.view(np.dtype((np.void, bits.itemsize * bits.shape[1]))).ravel()
    ranks: NDArray[np.intp] = np.unique(rows, return_inverse=True)[1]
    return ranks


def _sparse_names(X: Any) -> list[bytes]:
    """Return bytes for each row, whose order is that of the dense rows."""
    # Where one row ends or skips a feature it has a 0: a negative value of another ranks before
    # that, the earlier the sooner, and a positive one behind it, the earlier the later.
    positive = X.data > 0.0
    tokens = np.empty(len(X.data), dtype=[("kind", "u1"), ("column", ">u8"), ("value", ">u8")])
    columns = X.indices.astype(np.uint64)
    tokens["kind"] = np.where(positive, 2, 0)
    tokens["column"] = np.where(positive, ~columns, columns)
    tokens["value"] = _ordered_bits(X.data)
    spans = itertools.pairwise(X.indptr.tolist())
    return [tokens[start:stop].tobytes() + b"\x01" for start, stop in spans]


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
    ranks = _ranks(X)
    order = np.lexsort([ranks, codes])
    new = np.diff(ranks[order]) != 0
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
