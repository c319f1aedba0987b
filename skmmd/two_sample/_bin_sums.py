"""Sums of kernel values between bins of rows, from which those within groups of bins follow.

rows in bins -> BinSums, exact or of the Nystroem approximation -> GroupSums of each labeling
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import reduce_blocks, row_blocks
from skmmd.kernels import Gram, Nystroem
from skmmd.two_sample._labelings import Labels
from skmmd.two_sample._loops import add_bin_sums
from skmmd.two_sample._sums import (
    GroupSums,
    k_sample_scale,
    member_sums,
    rounding_of,
    self_pairs,
)
from skmmd.two_sample._tiles import norm_of, reduce_tiles, square_sum, upper_tiles

__all__ = ["BinSums", "bin_sums", "nystroem_sums", "sums_of_bins"]

FloatArray = NDArray[np.float64]

_NYSTROEM_BLOCK = 1024
_LABELINGS_BLOCK = 1024


@dataclass(frozen=True)
class BinSums:
    """Sums of kernel values between bins of rows.

    The pairs of a row with itself are in the bin's own entry, as the estimator wants them.

    Attributes
    ----------
    between : ndarray of shape (n_kernels, n_bins, n_bins)
        Sums over the pairs of two bins.
    weight : ndarray of shape (n_bins,)
        Sum of the weights of each bin.
    norm, rounding : ndarray of shape (n_kernels,)
        As in :class:`skmmd.two_sample._sums.GroupSums`.
    own : ndarray of shape (n_kernels, n_bins)
        What the biased sums have more than the unbiased ones.
    """

    between: FloatArray
    weight: FloatArray
    norm: FloatArray
    rounding: FloatArray
    own: FloatArray


def bin_sums(
    gram: Gram,
    bin_of: NDArray[np.intp],
    weight: FloatArray,
    *,
    unbiased: bool = True,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> BinSums:
    """Sum the kernel values between all pairs of bins.

    Parameters
    ----------
    gram : Gram
        Kernels between the pooled rows, bin by bin.
    bin_of : ndarray of shape (n_rows,)
        Bin of each row, ascending.
    weight, unbiased, n_jobs, verbose
        As in :func:`skmmd.two_sample._sums.labeled_sums`.

    Returns
    -------
    BinSums
        The sums.
    """
    n_rows, n_bins = len(bin_of), int(bin_of[-1]) + 1
    diagonal = gram.diagonal()
    n_kernels = len(diagonal)
    plain = bool(np.all(weight == 1.0))

    def row_stats(rows: slice) -> tuple[FloatArray, FloatArray]:
        upper = np.zeros((n_kernels, n_bins, n_bins))
        squares = np.zeros(n_kernels)
        for columns, times, tiles in upper_tiles(gram, rows):
            # Tiles on the diagonal hold both halves: each pair counts half, and is mirrored below.
            left = 0.5 * times * weight[rows]
            for k, tile in enumerate(tiles):
                squares[k] += times * square_sum(tile, weight[rows], weight[columns], plain)
                add_bin_sums(tile, left, weight[columns], bin_of[rows], bin_of[columns], upper[k])
        return upper, squares

    upper, squares = reduce_tiles(row_stats, n_rows, n_jobs=n_jobs, verbose=verbose)
    between = upper + upper.transpose(0, 2, 1)
    pairs = self_pairs(diagonal, weight, unbiased)
    for matrix, own in zip(between, pairs, strict=True):
        matrix.flat[:: n_bins + 1] += np.bincount(bin_of, own, n_bins)
    norm = norm_of(squares, diagonal, weight)
    bin_weight = np.bincount(bin_of, weight, n_bins).astype(np.float64)
    own = np.stack([np.bincount(bin_of, values, n_bins) for values in diagonal * weight])
    return BinSums(between, bin_weight, norm, rounding_of(norm, pairs, weight), own)


def nystroem_sums(
    features: Nystroem,
    bin_of: NDArray[np.intp],
    weight: FloatArray,
    *,
    unbiased: bool = True,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> BinSums:
    """Sum the Nystroem approximation of the kernel between all pairs of bins.

    The features of the rows of a bin are summed before they are multiplied: the cost is linear in
    the number of rows.

    Parameters
    ----------
    features : Nystroem
        Kernels between the pooled rows, bin by bin, and the landmarks.
    bin_of, weight, unbiased, n_jobs, verbose
        As in :func:`bin_sums`. Beyond 4,096 rows what a row adds by itself, and the norm, are
        estimated from as many rows.

    Returns
    -------
    BinSums
        The sums.
    """
    n_rows, n_bins = len(bin_of), int(bin_of[-1]) + 1
    n_kernels, n_landmarks = len(features.projections), features.n_landmarks
    every_landmark = slice(0, n_landmarks)
    landmark_weight, landmark_bins = np.ones(n_landmarks), np.arange(n_landmarks)

    def block_stats(rows: slice) -> FloatArray:
        sums = np.zeros((n_kernels, n_bins, n_landmarks))
        for k, tile in enumerate(features.blocks(rows, every_landmark)):
            add_bin_sums(tile, weight[rows], landmark_weight, bin_of[rows], landmark_bins, sums[k])
        return sums

    sums = reduce_blocks(
        block_stats,
        row_blocks(n_rows, _NYSTROEM_BLOCK),
        lambda a, b: np.add(a, b, out=a),
        n_jobs=n_jobs,
        verbose=verbose,
        desc="rows",
    )
    projected = [s @ p for s, p in zip(sums, features.projections, strict=True)]
    between = np.stack([p @ p.T for p in projected])
    diagonal, norm = features.diagonal_and_norm(weight)
    rounding, own = np.empty(n_kernels), np.empty((n_kernels, n_bins))
    # All pairs are in; put the pairs of a row with itself right, one kernel at a time to save room.
    for k in range(n_kernels):
        counted, wanted = diagonal[k] * weight**2, self_pairs(diagonal[k], weight, unbiased)
        between[k].flat[:: n_bins + 1] += np.bincount(bin_of, wanted - counted, n_bins)
        own[k] = np.bincount(bin_of, diagonal[k] * weight, n_bins)
        rounding[k] = rounding_of(norm[k : k + 1], counted[None], weight)[0]
    bin_weight = np.bincount(bin_of, weight, n_bins).astype(np.float64)
    return BinSums(between, bin_weight, norm, rounding, own)


def sums_of_bins(bins: BinSums, labels: Labels, n_groups: int) -> GroupSums:
    """Sum within the groups of each labeling of the bins, shape (n_labelings, n_bins)."""
    n_labelings = len(labels)
    within = np.empty((len(bins.between), n_groups, n_labelings))
    for chunk in row_blocks(n_labelings, _LABELINGS_BLOCK):
        for group in range(n_groups):
            member = (labels[chunk] == group).astype(np.float64)
            for k, between in enumerate(bins.between):
                within[k, group, chunk] = np.einsum("bi,bi->b", member @ between, member)
    return GroupSums(
        within=within,
        total=bins.between.sum(axis=(1, 2)),
        weight=member_sums(bins.weight[None, :], labels, range(n_groups))[0],
        norm=bins.norm,
        rounding=bins.rounding * k_sample_scale(n_groups, bins.weight),
        own=member_sums(bins.own, labels[:1], range(n_groups))[:, :, 0],
    )
