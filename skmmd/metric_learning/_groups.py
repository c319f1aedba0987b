"""Rows sorted by class, and the target neighbours of each row."""

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import gather_blocks, row_blocks
from skmmd.metric_learning import _loops

__all__ = ["Groups", "Problem", "Targets", "group_rows", "select_targets"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_BLOCK = 128


@dataclass(frozen=True)
class Groups:
    """Rows of one class lie side by side: class c has the rows ``bounds[c]`` to ``bounds[c + 1]``.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), dtype int64
        The class of each row, ascending.
    bounds : ndarray of shape (n_classes + 1,), dtype int64
        Where each class begins.
    weight : ndarray of shape (n_samples,)
        Weight of each row.
    """

    codes: IntArray
    bounds: IntArray
    weight: FloatArray

    @property
    def n_classes(self) -> int:
        return len(self.bounds) - 1

    @property
    def several_classes(self) -> bool:
        return bool(np.count_nonzero(np.diff(self.bounds)) > 1)

    @functools.cached_property
    def class_weight(self) -> FloatArray:
        """The total weight of each class; an empty one has none."""
        total = np.concatenate([[0.0], np.cumsum(self.weight)])
        if np.all(self.weight == 1.0):
            return np.diff(total[self.bounds])
        pairs = itertools.pairwise(self.bounds)
        return np.array([math.fsum(self.weight[start:stop]) for start, stop in pairs])

    @functools.cached_property
    def own_weight(self) -> FloatArray:
        """The weight of the pairs of a row with its own copies, per unit of its weight."""
        return np.maximum(self.weight - 1.0, 0.0)

    @functools.cached_property
    def partner_weight(self) -> FloatArray:
        """The weight of all positives of each row."""
        others = self.class_weight[self.codes] - self.weight
        return np.maximum(others, 0.0) + self.own_weight


@dataclass(frozen=True)
class Targets:
    """The nearest rows of the own class.

    Parameters
    ----------
    index : ndarray of shape (n_samples, n_targets), dtype int64
        Rows by position.
    weight : ndarray of shape (n_samples, n_targets)
        How much of them is taken; 0 fills up where a class has too few rows.
    """

    index: IntArray
    weight: FloatArray


@dataclass(frozen=True)
class Problem:
    """What a loss needs to know beside the rows of the embedding.

    Parameters
    ----------
    groups : Groups
        Classes and weights.
    margin : ndarray of shape (n_classes, n_classes) or (1, 1)
        Margin of [class of anchor, class of negative]; a single entry stands for all.
    margin2 : float
        Margin of the second kind of quadruplet terms.
    targets : Targets or None
        The positives; None takes all rows of the class.
    mined : tuple of two ndarrays or None
        Mined triples of anchor, positive and negative, and their weights; None takes all negatives.
    n_jobs : int or None
        Number of threads.
    """

    groups: Groups
    margin: FloatArray
    margin2: float = 0.5
    targets: Targets | None = None
    mined: tuple[IntArray, FloatArray] | None = None
    n_jobs: int | None = None

    @functools.cached_property
    def target_pairs(self) -> tuple[IntArray, FloatArray]:
        """Each anchor with each of its target neighbours, and the weights of these pairs."""
        assert self.targets is not None
        index, weight = self.targets.index, self.targets.weight
        anchors = np.repeat(np.arange(len(index), dtype=np.int64), index.shape[1])
        pairs = np.column_stack([anchors, index.ravel()])
        return pairs, (self.groups.weight[:, None] * weight).ravel()


def group_rows(codes: NDArray[Any], n_classes: int, weight: FloatArray) -> tuple[IntArray, Groups]:
    """Return the order of rows that sorts them by class, stably, and the groups in this order."""
    order = np.argsort(codes, kind="stable")
    codes = np.ascontiguousarray(codes[order], dtype=np.int64)
    bounds = np.searchsorted(codes, np.arange(n_classes + 1)).astype(np.int64)
    return order, Groups(codes, bounds, np.ascontiguousarray(weight[order]))


def select_targets(
    Z: FloatArray,
    groups: Groups,
    n_neighbors: int,
    *,
    copies: bool = False,
    n_jobs: int | None = None,
) -> Targets:
    """Find the nearest rows of the own class.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_components)
        Rows, sorted by class.
    groups : Groups
        Their classes and weights.
    n_neighbors : int
        How many.
    copies : bool, default=False
        Count a row of weight w > 1 as w neighbours, and as w - 1 of itself. Else `n_neighbors` is
        a number of rows, and only the ratios of their weights matter.
    n_jobs : int or None, default=None
        Number of threads.

    Returns
    -------
    Targets
        The targets; ties go to the row that comes first.
    """
    n_rows = len(Z)
    largest = int(np.diff(groups.bounds).max(initial=0))
    # More columns than neighbours only for copies of the row itself.
    has_copies = copies and bool(np.any(groups.weight > 1.0))
    n_targets = max(min(n_neighbors, largest - 1), 0) + has_copies
    index = np.repeat(np.arange(n_rows, dtype=np.int64)[:, None], n_targets, axis=1)
    weight = np.zeros((n_rows, n_targets))
    norms = np.einsum("ij,ij->i", Z, Z)

    def select(block: tuple[int, slice]) -> None:
        first, rows = block
        last = groups.bounds[groups.codes[first] + 1]
        distances = Z[rows] @ Z[first:last].T
        _loops.squared_distances(distances, Z, norms, rows.start, first)
        _loops.nearest(
            distances,
            rows.start,
            first,
            groups.weight,
            n_neighbors,
            copies,
            index[rows],
            weight[rows],
        )

    blocks = [
        (int(first), slice(int(first) + part.start, int(first) + part.stop))
        for first, last in itertools.pairwise(groups.bounds)
        for part in row_blocks(int(last - first), _BLOCK)
    ]
    if n_targets and blocks:
        gather_blocks(select, blocks, n_jobs=n_jobs)
    if not copies and n_targets:
        # A row has as many targets as it finds, the heavier ones more.
        mean = weight.sum(axis=1) / np.maximum(np.count_nonzero(weight, axis=1), 1)
        weight /= np.where(mean > 0.0, mean, 1.0)[:, None]
    return Targets(index, weight)
