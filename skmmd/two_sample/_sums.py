"""Sums of kernel values within groups, under one labeling or many.

Every statistic of the area is a function of the sums of ``w_i w_j k(z_i, z_j)`` over the pairs of
each group, and of all pairs. The Gram matrix is passed once, tile by tile, upper half only, and
never stored.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import reduce_blocks, row_blocks
from skmmd.kernels import Gram, Nystroem
from skmmd.two_sample._labelings import Labels
from skmmd.two_sample._loops import add_bin_sums
from skmmd.two_sample._sample import PooledSample

__all__ = [
    "BinSums",
    "GroupSums",
    "bin_sums",
    "labeled_sums",
    "nystroem_sums",
    "row_sums",
    "sums_of_bins",
]

FloatArray = NDArray[np.float64]
Sums = TypeVar("Sums", bound=tuple[FloatArray, ...])

_TILE = 512
_NYSTROEM_BLOCK = 1024
_LABELINGS_BLOCK = 1024
_SUBSETS_BLOCK = 64
ROUNDING = 1e-12
# A single-precision product over a tile is off by some sqrt(512) * 6e-8 of its partial sums, which
# may be several times the result.
SINGLE_ROUNDING = 4e-5


@dataclass(frozen=True)
class GroupSums:
    """Sums over pairs of rows, for several kernels and labelings.

    Attributes
    ----------
    within : ndarray of shape (n_kernels, n_groups, n_labelings)
        Sums over the ordered pairs within each group.
    total : ndarray of shape (n_kernels,)
        Sum over all ordered pairs.
    weight : ndarray of shape (n_groups, n_labelings)
        Sum of the weights of each group.
    norm : ndarray of shape (n_kernels,)
        Frobenius norm of the Gram matrix with zero diagonal.
    rounding : ndarray of shape (n_kernels,)
        Statistics that differ by no more are tied: a labeling and its complement, say.
    own : ndarray of shape (n_kernels, n_groups)
        What the biased sums of the first labeling have more than the unbiased ones.
    """

    within: FloatArray
    total: FloatArray
    weight: FloatArray
    norm: FloatArray
    rounding: FloatArray
    own: FloatArray


def self_pairs(diagonal: FloatArray, weight: FloatArray, unbiased: bool) -> FloatArray:
    """Return what row i adds by pairs with itself: its copies among themselves, if unbiased."""
    return diagonal * weight * (weight - 1.0 if unbiased else weight)


def _zero_diagonal(tile: FloatArray, rows: slice, columns: slice) -> None:
    if rows == columns:
        tile.flat[:: tile.shape[1] + 1] = 0.0


def _upper_columns(n_rows: int, rows: slice) -> list[slice]:
    return [block for block in row_blocks(n_rows, _TILE) if block.start >= rows.start]


def _square_sum(tile: FloatArray, left: FloatArray, right: FloatArray, plain: bool) -> float:
    if plain:
        return float(np.vdot(tile, tile))
    return float(left @ ((tile * tile) @ right))


def _norm(square_sum: FloatArray, diagonal: FloatArray, weight: FloatArray) -> FloatArray:
    # Copies of a row are pairs too.
    copies = (diagonal**2 * weight * (weight - 1.0)).sum(axis=1)
    return np.sqrt(np.maximum(square_sum + copies, 0.0))


def _rounding(norm: FloatArray, pairs: FloatArray, weight: FloatArray) -> FloatArray:
    # Relative to the root mean square kernel value.
    n_rows = weight.sum()
    return ROUNDING * (norm / n_rows + np.abs(pairs).sum(axis=1) / n_rows**2)


def _k_sample_scale(n_groups: int, weight: FloatArray) -> float:
    # The statistic of three or more groups is of the order of n times the squared MMD.
    return 1.0 if n_groups == 2 else float(weight.sum())


def labeled_sums(
    gram: Gram,
    labels: Labels,
    weight: FloatArray,
    n_groups: int,
    *,
    unbiased: bool = True,
    single: bool = False,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> GroupSums:
    """Sum within the groups of each labeling of the rows.

    For two groups one matrix product serves: with u the indicator of the smaller group, its sum is
    u'Ku, and that of the other 1'K1 - 2u'K1 + u'Ku. Where the smaller group has few rows, its pairs
    are summed one by one instead.

    Parameters
    ----------
    gram : Gram
        Kernels between the pooled rows.
    labels : ndarray of shape (n_labelings, n_rows)
        Group of each row.
    weight : ndarray of shape (n_rows,)
        Weights of the rows.
    n_groups : int
        Number of groups.
    unbiased : bool, default=True
        Leave out the pairs of a row with itself.
    single : bool, default=False
        Beyond 512 rows, multiply in single precision, nearly twice as fast, under all labelings but
        the first. What the kernel values lie off their mean is rounded, and tiles are added up in
        double precision: the error is 1e-6 to 1e-5 of the null distribution's spread. Not done with
        weights.
    n_jobs, verbose
        As in :func:`skmmd._chunked.reduce_blocks`.

    Returns
    -------
    GroupSums
        The sums.
    """
    n_labelings, n_rows = labels.shape
    diagonal = gram.diagonal()
    sizes = np.bincount(labels[0], minlength=n_groups)
    groups = [int(np.argmin(sizes))] if n_groups == 2 else list(range(n_groups))
    few = n_groups == 2 and _pairs_are_quicker(gram, labels, int(sizes.min()), len(diagonal))
    # Up to a tile the product is no cost, and labelings of few rows tie.
    single = single and not few and n_rows > _TILE and bool(np.all(weight == 1.0))
    # The first labeling, the observed one, is summed in double precision always.
    n_double = 0 if few else min(1, n_labelings) if single else n_labelings
    n_single = n_labelings - n_double if single else 0
    shifts, scales = _typical_values(gram) if single else (np.zeros(len(diagonal)),) * 2
    # Of few binary digits, so that u less its center is exact in single precision.
    centers = (np.round(256.0 * sizes[groups] / n_rows) / 256.0).astype(np.float32)
    within, sums, squares = _tile_sums(
        gram, labels, weight, groups, (n_double, n_single), shifts, scales, centers, n_jobs, verbose
    )
    sums *= weight
    total = sums.sum(axis=1)
    if single:
        # With s = u - c: u'Ku = s'Ks + 2c u'K1 - c^2 1'K1, for K less its typical value, which is
        # put back at the end.
        size, shift = sizes[groups][None, :, None], shifts[:, None, None]
        c = centers.astype(np.float64)[None, :, None]
        to_all = _member_sums(sums, labels[1:], groups) - shift * (n_rows - 1) * size
        of_all = (total - shifts * n_rows * (n_rows - 1))[:, None, None]
        within[:, :, 1:] /= scales[:, None, None]
        within[:, :, 1:] += 2.0 * c * to_all - c * c * of_all + shift * size * (size - 1)
    if n_groups == 2:
        one = within[:, 0]
        if few:
            one = _sums_of_subsets(gram, labels == groups[0], weight, n_jobs, verbose)
        other = total[:, None] - 2.0 * _member_sums(sums, labels, groups)[:, 0] + one
        within = np.stack([one, other] if groups == [0] else [other, one], axis=1)
    pairs = self_pairs(diagonal, weight, unbiased)
    norm = _norm(squares, diagonal, weight)
    rounding = _rounding(norm, pairs, weight) * _k_sample_scale(n_groups, weight)
    if single:
        n_pairs = max(n_rows * (n_rows - 1), 1)
        spread = squares / n_pairs - 2.0 * shifts * total / n_pairs + shifts**2
        error = SINGLE_ROUNDING * np.sqrt(np.maximum(spread, 0.0)) / sizes.min()
        rounding += error * _k_sample_scale(n_groups, weight)
    if np.any(pairs):
        within = within + _member_sums(pairs, labels, range(n_groups))
    if np.all(weight == 1.0):
        mass = np.repeat(sizes[:, None].astype(np.float64), n_labelings, axis=1)
    else:
        mass = _member_sums(weight[None, :], labels, range(n_groups))[0]
    return GroupSums(
        within=within,
        total=total + pairs.sum(axis=1),
        weight=mass,
        norm=norm,
        rounding=rounding,
        own=_member_sums(diagonal * weight, labels[:1], range(n_groups))[:, :, 0],
    )


def _tile_sums(
    gram: Gram,
    labels: Labels,
    weight: FloatArray,
    groups: list[int],
    n_labelings: tuple[int, int],
    shifts: FloatArray,
    scales: FloatArray,
    centers: NDArray[np.float32],
    n_jobs: int | None,
    verbose: int,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Pass over the tiles: sums within `groups`, sums of rows, and sum of squares.

    Of the labelings, the first ``n_labelings[0]`` are multiplied as u'Ku in double precision, the
    next ``n_labelings[1]`` as s'Ks in single precision, with s = u less the group's share in
    `centers` and K less its `shifts`, times `scales`: the products then stay near 1.
    """
    n_rows, n_kernels = len(weight), len(shifts)
    n_double, n_single = n_labelings
    plain = bool(np.all(weight == 1.0))
    chunks = [(chunk, False) for chunk in row_blocks(n_double, _LABELINGS_BLOCK)]
    for chunk in row_blocks(n_single, _LABELINGS_BLOCK):
        chunks.append((slice(n_double + chunk.start, n_double + chunk.stop), True))

    def factors(units: slice) -> list[list[NDArray[Any]]]:
        return [
            [
                np.subtract(labels[chunk, units] == group, center, dtype=np.float32)
                if in_single
                else (labels[chunk, units] == group) * weight[units]
                for group, center in zip(groups, centers, strict=True)
            ]
            for chunk, in_single in chunks
        ]

    def block_stats(rows: slice) -> tuple[FloatArray, FloatArray, FloatArray]:
        within = np.zeros((n_kernels, len(groups), len(labels)))
        sums = np.zeros((n_kernels, n_rows))
        squares = np.zeros(n_kernels)
        of_rows = factors(rows)
        for columns in _upper_columns(n_rows, rows):
            same = rows == columns
            twice = 1.0 if same else 2.0
            of_columns = of_rows if same else factors(columns)
            for k, tile in enumerate(gram.blocks(rows, columns)):
                _zero_diagonal(tile, rows, columns)
                sums[k, rows] += tile @ weight[columns]
                if not same:
                    sums[k, columns] += weight[rows] @ tile
                squares[k] += twice * _square_sum(tile, weight[rows], weight[columns], plain)
                tiles: list[NDArray[Any]] = [tile]
                if n_single:
                    tiles.append(((tile - shifts[k]) * scales[k]).astype(np.float32))
                    _zero_diagonal(tiles[1], rows, columns)
                for (chunk, in_single), left, right in zip(
                    chunks, of_rows, of_columns, strict=True
                ):
                    for g in range(len(groups)):
                        product = right[g] @ tiles[in_single].T
                        within[k, g, chunk] += twice * np.einsum("bi,bi->b", product, left[g])
        return within, sums, squares

    return reduce_blocks(
        block_stats, row_blocks(n_rows, _TILE), _add, n_jobs=n_jobs, verbose=verbose, desc="tiles"
    )


def _typical_values(gram: Gram) -> tuple[FloatArray, FloatArray]:
    """Mean of the first tile's values, and the power of two that brings their spread to 1."""
    first = slice(0, min(gram.shape[0], _TILE))
    means, scales = [], []
    for tile in gram.blocks(first, first):
        _zero_diagonal(tile, first, first)
        n_pairs = max(tile.size - len(tile), 1)
        means.append(tile.sum() / n_pairs)
        tile = tile - means[-1]
        _zero_diagonal(tile, first, first)
        _, exponent = np.frexp(np.sqrt(np.vdot(tile, tile) / n_pairs))
        scales.append(2.0 ** -float(exponent))
    return np.array(means), np.array(scales)


def _pairs_are_quicker(gram: Gram, labels: Labels, n_members: int, n_kernels: int) -> bool:
    """Compare the costs of the pairs within the smaller group and of a product with all rows."""
    n_labelings, n_rows = labels.shape
    if n_labelings < 2 or not gram.sums_subsets:
        return False
    # Nanoseconds: of a pair for its distance, exp and each kernel; of a product's multiplication.
    per_pair = 0.1 * gram.left.shape[1] + 1.0 + 0.4 * n_kernels
    return n_members**2 * per_pair < 0.02 * n_rows**2 * n_kernels


def _sums_of_subsets(
    gram: Gram,
    is_member: NDArray[np.bool_],
    weight: FloatArray,
    n_jobs: int | None,
    verbose: int,
) -> FloatArray:
    """Sum within the small group of each labeling, pair by pair: (n_kernels, n_labelings)."""
    n_members = int(np.count_nonzero(is_member[0]))
    members = np.nonzero(is_member)[1].reshape(len(is_member), n_members)

    def block_stats(part: slice) -> list[FloatArray]:
        return [gram.subset_sums(members[part], weight)]

    parts = reduce_blocks(
        block_stats,
        row_blocks(len(members), _SUBSETS_BLOCK),
        lambda done, more: done + more,
        n_jobs=n_jobs,
        verbose=verbose,
        desc="labelings",
    )
    return np.concatenate(parts, axis=1)


def row_sums(
    gram: Gram, sample: PooledSample, *, n_jobs: int | None = None
) -> tuple[FloatArray, FloatArray]:
    """Sum the kernel values of each row with the rows of each group, itself left out.

    Parameters
    ----------
    gram : Gram
        Kernels between the pooled rows.
    sample : PooledSample
        The rows' groups and weights.
    n_jobs : int, default=None
        Number of threads.

    Returns
    -------
    sums : ndarray of shape (n_kernels, n_rows, n_groups)
        Weighted by the other row.
    norm : ndarray of shape (n_kernels,)
        Frobenius norm of the Gram matrix with zero diagonal.
    """
    weight, members = sample.weight, sample.members
    diagonal = gram.diagonal()
    n_rows, n_kernels = len(weight), len(diagonal)
    plain = bool(np.all(weight == 1.0))

    def block_stats(rows: slice) -> tuple[FloatArray, FloatArray]:
        sums = np.zeros((n_kernels, *members.shape))
        squares = np.zeros(n_kernels)
        for columns in _upper_columns(n_rows, rows):
            factor = 1.0 if rows == columns else 2.0
            for k, tile in enumerate(gram.blocks(rows, columns)):
                _zero_diagonal(tile, rows, columns)
                sums[k, rows] += tile @ members[columns]
                if rows != columns:
                    sums[k, columns] += tile.T @ members[rows]
                squares[k] += factor * _square_sum(tile, weight[rows], weight[columns], plain)
        return sums, squares

    sums, squares = reduce_blocks(block_stats, row_blocks(n_rows, _TILE), _add, n_jobs=n_jobs)
    return sums, _norm(squares, diagonal, weight)


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
        As in :class:`GroupSums`.
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
        As in :func:`labeled_sums`.

    Returns
    -------
    BinSums
        The sums.
    """
    n_rows, n_bins = len(bin_of), int(bin_of[-1]) + 1
    diagonal = gram.diagonal()
    n_kernels = len(diagonal)
    plain = bool(np.all(weight == 1.0))

    def block_stats(rows: slice) -> tuple[FloatArray, FloatArray]:
        upper = np.zeros((n_kernels, n_bins, n_bins))
        squares = np.zeros(n_kernels)
        for columns in _upper_columns(n_rows, rows):
            # Tiles on the diagonal hold both halves: each pair counts half, and is mirrored below.
            share = 0.5 if rows == columns else 1.0
            for k, tile in enumerate(gram.blocks(rows, columns)):
                _zero_diagonal(tile, rows, columns)
                squares[k] += 2.0 * share * _square_sum(tile, weight[rows], weight[columns], plain)
                add_bin_sums(
                    tile,
                    share * weight[rows],
                    weight[columns],
                    bin_of[rows],
                    bin_of[columns],
                    upper[k],
                )
        return upper, squares

    upper, squares = reduce_blocks(
        block_stats, row_blocks(n_rows, _TILE), _add, n_jobs=n_jobs, verbose=verbose, desc="tiles"
    )
    between = upper + upper.transpose(0, 2, 1)
    pairs = self_pairs(diagonal, weight, unbiased)
    for matrix, own in zip(between, pairs, strict=True):
        matrix.flat[:: n_bins + 1] += np.bincount(bin_of, own, n_bins)
    norm = _norm(squares, diagonal, weight)
    bin_weight = np.bincount(bin_of, weight, n_bins).astype(np.float64)
    own = np.stack([np.bincount(bin_of, values, n_bins) for values in diagonal * weight])
    return BinSums(between, bin_weight, norm, _rounding(norm, pairs, weight), own)


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
        rounding[k] = _rounding(norm[k : k + 1], counted[None], weight)[0]
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
        weight=_member_sums(bins.weight[None, :], labels, range(n_groups))[0],
        norm=bins.norm,
        rounding=bins.rounding * _k_sample_scale(n_groups, bins.weight),
        own=_member_sums(bins.own, labels[:1], range(n_groups))[:, :, 0],
    )


def _member_sums(values: FloatArray, labels: Labels, groups: Iterable[int]) -> FloatArray:
    """Sum `values`, (n_kernels, n_units), over groups: (n_kernels, n_groups, n_labelings)."""
    groups = list(groups)
    out = np.empty((len(values), len(groups), len(labels)))
    for chunk in row_blocks(len(labels), _LABELINGS_BLOCK):
        for g, group in enumerate(groups):
            out[:, g, chunk] = values @ (labels[chunk] == group).astype(np.float64).T
    return out


def _add(a: Sums, b: Sums) -> Sums:
    for mine, other in zip(a, b, strict=True):
        mine += other
    return a
