"""Rows of a cross-validation: equal rows merged, rows of one role together."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold, check_cv

__all__ = ["Folds", "Rows", "fold_rows", "merge_rows", "noisy_folds", "noisy_rows"]

FloatArray = NDArray[np.float64]

# Pairs of opposite noise for each row.
_NOISE_PAIRS = 5


@dataclass(frozen=True)
class Rows:
    """Distinct rows in coordinates.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Rows.
    weight : ndarray of shape (n,)
        Weights; they sum to 1.
    n_samples : float
        Number of samples the rows stand for.
    data : ndarray of shape (n, n_columns)
        Rows in the data's coordinates.
    """

    X: FloatArray
    weight: FloatArray
    n_samples: float
    data: FloatArray


@dataclass(frozen=True)
class Folds:
    """Rows with their roles in each split.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Rows, those of one role in all splits next to each other.
    weight : ndarray of shape (n,)
        Their weights, of sum 1.
    roles : ndarray of shape (n_blocks, n_splits)
        1 where the block is trained on, -1 where it is held out, 0 where it is left out.
    blocks : tuple of slice
        Rows of each block.
    train, test : ndarray of shape (n_splits, n)
        Weights of the rows in each split, of sum 1.
    data : ndarray of shape (n, n_columns)
        Rows in the data's coordinates.
    """

    X: FloatArray
    weight: FloatArray
    roles: NDArray[np.int8]
    blocks: tuple[slice, ...]
    train: FloatArray
    test: FloatArray
    data: FloatArray


def merge_rows(
    X: FloatArray, weight: FloatArray, labels: NDArray[Any] | None = None
) -> tuple[FloatArray, FloatArray, NDArray[np.intp]]:
    """Merge equal rows (of equal labels) of positive weight; their weights add up.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Rows.
    weight : ndarray of shape (n,)
        Weights.
    labels : ndarray of shape (n,), default=None
        Rows with different labels stay apart.

    Returns
    -------
    rows : ndarray of shape (n_distinct, n_features)
        Distinct rows in sorted order.
    weight : ndarray of shape (n_distinct,)
        Their weights.
    first : ndarray of shape (n_distinct,)
        Where each of them stands in `X`.
    """
    positive = np.flatnonzero(weight > 0.0)
    keys = [] if labels is None else [labels[positive]]
    columns = X[positive].T
    order = positive[np.lexsort((*keys, *columns[::-1]))]
    ordered = X[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = np.any(ordered[1:] != ordered[:-1], axis=1)
    if labels is not None:
        new[1:] |= labels[order][1:] != labels[order][:-1]
    starts = np.flatnonzero(new)
    return ordered[starts], np.add.reduceat(weight[order], starts), order[starts]


def fold_rows(
    X: FloatArray,
    weight: FloatArray,
    cv: Any,
    generator: np.random.Generator,
    *,
    max_rows: int,
) -> Folds:
    """Give each row its role in each split of a cross-validation.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Rows as they came.
    weight : ndarray of shape (n,)
        Their weights, 0 allowed.
    cv : int, splitter or iterable of splits
        An int (None: 5) or a splitter is applied to the distinct rows, shuffled; indices of an
        iterable are those of the rows as they came.
    generator : numpy.random.Generator
        Shuffles the rows before they are split, and draws rows if there are too many.
    max_rows : int
        More distinct rows than this are drawn from.

    Returns
    -------
    Folds
        The rows.

    Raises
    ------
    ValueError
        If a split has no row to train on or none held out.
    """
    if isinstance(cv, Iterable) and not hasattr(cv, "split"):
        roles = _roles(list(cv), len(X))
        _, labels = np.unique(roles, axis=0, return_inverse=True)
        rows, row_weight, first = merge_rows(X, weight, labels.reshape(-1))
        row_roles = roles[first]
    else:
        rows, row_weight, _ = merge_rows(X, weight)
        if len(rows) < 2:
            raise ValueError(
                f"Cross-validation needs two distinct rows at least, there is {len(rows)}."
            )
        # Sorted rows would make folds that are slices of the first feature.
        order = generator.permutation(len(rows))
        rows, row_weight = rows[order], row_weight[order]
        number = 5 if cv is None else cv
        splitter = KFold(min(int(number), len(rows))) if isinstance(number, Integral) else cv
        row_roles = _roles(list(check_cv(splitter).split(rows)), len(rows))
    if len(rows) > max_rows:
        kept = np.sort(generator.choice(len(rows), max_rows, replace=False))
        rows, row_weight, row_roles = rows[kept], row_weight[kept], row_roles[kept]
    return _grouped(rows, row_weight / row_weight.sum(), row_roles)


def _roles(splits: list[Any], n_rows: int) -> NDArray[np.int8]:
    if not splits:
        raise ValueError("cv has no split; expected at least one pair of (train, test) indices.")
    roles = np.zeros((n_rows, len(splits)), dtype=np.int8)
    for k, (train, test) in enumerate(splits):
        roles[np.asarray(train), k] = 1
        roles[np.asarray(test), k] = -1
    return roles


def _grouped(X: FloatArray, weight: FloatArray, roles: NDArray[np.int8]) -> Folds:
    patterns, labels = np.unique(roles, axis=0, return_inverse=True)
    labels = labels.reshape(-1)
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(len(patterns) + 1))
    blocks = tuple(slice(a, b) for a, b in itertools.pairwise(starts))
    X, weight, roles = np.ascontiguousarray(X[order]), weight[order], roles[order]
    train, test = weight * (roles.T == 1), weight * (roles.T == -1)
    sums = np.minimum(train.sum(axis=1), test.sum(axis=1))
    if not np.all(sums > 0.0):
        raise ValueError(
            f"Split {int(np.argmin(sums))} of cv has no row (of positive weight) to train on, or "
            "none that is held out; use fewer folds or other splits."
        )
    train /= train.sum(axis=1, keepdims=True)
    test /= test.sum(axis=1, keepdims=True)
    return Folds(X, weight, patterns.astype(np.int8), blocks, train, test, data=X)


def noisy_rows(X: FloatArray, noise: float, generator: np.random.Generator) -> FloatArray:
    """Return copies of rows with Gaussian noise and its opposite: shape (n_copies n, d)."""
    parts = []
    for _ in range(_NOISE_PAIRS):
        shift = noise * generator.standard_normal(X.shape)
        parts += [X + shift, X - shift]
    return np.concatenate(parts)


def noisy_folds(folds: Folds, noise: float, generator: np.random.Generator) -> Folds:
    """Return the splits with each row replaced by noisy copies in the same role."""
    n_copies, n = 2 * _NOISE_PAIRS, len(folds.X)
    blocks = tuple(
        slice(rows.start + k * n, rows.stop + k * n)
        for k in range(n_copies)
        for rows in folds.blocks
    )
    return replace(
        folds,
        X=noisy_rows(folds.X, noise, generator),
        weight=np.tile(folds.weight, n_copies) / n_copies,
        roles=np.tile(folds.roles, (n_copies, 1)),
        blocks=blocks,
        train=np.tile(folds.train, n_copies) / n_copies,
        test=np.tile(folds.test, n_copies) / n_copies,
    )
