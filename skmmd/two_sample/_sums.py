"""Sums of kernel values within groups, under one labeling or many.

Every statistic of the area is a function of the sums of ``w_i w_j k(z_i, z_j)`` over the pairs of
each group, and of all pairs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import gather_blocks, row_blocks
from skmmd.kernels import Gram
from skmmd.two_sample._labelings import Labels
from skmmd.two_sample._sample import PooledSample
from skmmd.two_sample._tiles import (
    TILE,
    norm_of,
    reduce_tiles,
    square_sum,
    upper_tiles,
    zero_diagonal,
)

__all__ = [
    "ROUNDING",
    "GroupSums",
    "k_sample_scale",
    "labeled_sums",
    "member_sums",
    "rounding_of",
    "row_sums",
    "self_pairs",
]

FloatArray = NDArray[np.float64]

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


def rounding_of(norm: FloatArray, pairs: FloatArray, weight: FloatArray) -> FloatArray:
    """Return up to where the sums of each kernel are rounding, (n_kernels,)."""
    # Relative to the root mean square kernel value.
    n_rows = weight.sum()
    return ROUNDING * (norm / n_rows + np.abs(pairs).sum(axis=1) / n_rows**2)


def k_sample_scale(n_groups: int, weight: FloatArray) -> float:
    """Return n for three or more groups: their statistic is of the order of n squared MMDs."""
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
    plain = bool(np.all(weight == 1.0))
    sizes = np.bincount(labels[0], minlength=n_groups)
    groups = [int(np.argmin(sizes))] if n_groups == 2 else list(range(n_groups))
    few = n_groups == 2 and _pairs_are_quicker(gram, labels, int(sizes.min()), len(diagonal))
    # Up to a tile the product is no cost, and labelings of few rows tie.
    single = single and plain and not few and n_rows > TILE
    shrunk = _shrink(gram, sizes[groups]) if single else None
    # The first labeling, the observed one, is summed in double precision always.
    n_double = 0 if few else 1 if single else n_labelings
    within, sums, squares = _tile_sums(
        gram, labels, weight, groups, n_double, shrunk, n_jobs, verbose
    )
    sums *= weight
    total = sums.sum(axis=1)
    if shrunk is not None:
        to_all = member_sums(sums, labels[1:], groups)
        within[:, :, 1:] = shrunk.restore(within[:, :, 1:], to_all, total, sizes[groups], n_rows)
    if n_groups == 2:
        one = within[:, 0]
        if few:
            one = _sums_of_subsets(gram, labels == groups[0], weight, n_jobs, verbose)
        other = total[:, None] - 2.0 * member_sums(sums, labels, groups)[:, 0] + one
        within = np.stack([one, other] if groups == [0] else [other, one], axis=1)
    pairs = self_pairs(diagonal, weight, unbiased)
    norm = norm_of(squares, diagonal, weight)
    rounding = rounding_of(norm, pairs, weight) * k_sample_scale(n_groups, weight)
    if shrunk is not None:
        error = shrunk.rounding(squares, total, n_rows) / sizes.min()
        rounding += error * k_sample_scale(n_groups, weight)
    if np.any(pairs):
        within = within + member_sums(pairs, labels, range(n_groups))
    if plain:
        mass = np.repeat(sizes[:, None].astype(np.float64), n_labelings, axis=1)
    else:
        mass = member_sums(weight[None, :], labels, range(n_groups))[0]
    return GroupSums(
        within=within,
        total=total + pairs.sum(axis=1),
        weight=mass,
        norm=norm,
        rounding=rounding,
        own=member_sums(diagonal * weight, labels[:1], range(n_groups))[:, :, 0],
    )


@dataclass(frozen=True)
class _Shrunk:
    """Kernel values and labels shrunk for single precision, so that products stay near 1.

    Attributes
    ----------
    shifts, scales : ndarray of shape (n_kernels,)
        Kernel values are taken less their typical value, and times a power of two.
    centers : ndarray of shape (n_groups,)
        The indicator of a group is taken less the group's share.
    """

    shifts: FloatArray
    scales: FloatArray
    centers: NDArray[np.float32]

    def restore(
        self,
        within: FloatArray,
        to_all: FloatArray,
        total: FloatArray,
        sizes: NDArray[np.intp],
        n_rows: int,
    ) -> FloatArray:
        """Return the sums within groups, (n_kernels, n_groups, n_labelings), from shrunk ones.

        `to_all` has the sums of the groups' rows with all rows, `total` those of all pairs.
        """
        # With s = u - c: u'Ku = s'Ks + 2c u'K1 - c^2 1'K1, for K less its typical value, which is
        # put back at the end.
        size, shift = sizes[None, :, None], self.shifts[:, None, None]
        c = self.centers.astype(np.float64)[None, :, None]
        to_all = to_all - shift * (n_rows - 1) * size
        of_all = (total - self.shifts * n_rows * (n_rows - 1))[:, None, None]
        within = within / self.scales[:, None, None]
        return within + (2.0 * c * to_all - c * c * of_all + shift * size * (size - 1))

    def rounding(self, squares: FloatArray, total: FloatArray, n_rows: int) -> FloatArray:
        """Return the error relative to the spread of the kernel values, (n_kernels,)."""
        n_pairs = max(n_rows * (n_rows - 1), 1)
        spread = squares / n_pairs - 2.0 * self.shifts * total / n_pairs + self.shifts**2
        return SINGLE_ROUNDING * np.sqrt(np.maximum(spread, 0.0))


def _shrink(gram: Gram, sizes: NDArray[np.intp]) -> _Shrunk:
    """Take the typical values, and the power of two that brings spreads to 1, of the first tile."""
    first = slice(0, min(gram.shape[0], TILE))
    shifts, scales = [], []
    for tile in gram.blocks(first, first):
        zero_diagonal(tile)
        n_pairs = max(tile.size - len(tile), 1)
        shifts.append(tile.sum() / n_pairs)
        tile = tile - shifts[-1]
        zero_diagonal(tile)
        _, exponent = np.frexp(np.sqrt(np.vdot(tile, tile) / n_pairs))
        scales.append(2.0 ** -float(exponent))
    # Of few binary digits, so that u less its center is exact in single precision.
    centers = (np.round(256.0 * sizes / gram.shape[0]) / 256.0).astype(np.float32)
    return _Shrunk(np.array(shifts), np.array(scales), centers)


def _tile_sums(
    gram: Gram,
    labels: Labels,
    weight: FloatArray,
    groups: list[int],
    n_double: int,
    shrunk: _Shrunk | None,
    n_jobs: int | None,
    verbose: int,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Pass over the tiles: sums within `groups`, sums of rows, and sum of squares.

    The first `n_double` labelings are multiplied as u'Ku in double precision; the others, if
    `shrunk` says how, as s'Ks in single precision, with s and K shrunk.
    """
    n_rows, n_kernels = len(weight), len(gram.gammas)
    plain = bool(np.all(weight == 1.0))
    chunks = [(chunk, False) for chunk in row_blocks(n_double, _LABELINGS_BLOCK)]
    if shrunk is not None:
        for chunk in row_blocks(len(labels) - n_double, _LABELINGS_BLOCK):
            chunks.append((slice(n_double + chunk.start, n_double + chunk.stop), True))

    def factors(units: slice) -> list[list[NDArray[Any]]]:
        found: list[list[NDArray[Any]]] = []
        for chunk, in_single in chunks:
            members = [labels[chunk, units] == group for group in groups]
            if in_single and shrunk is not None:
                found.append(
                    [
                        np.subtract(member, center, dtype=np.float32)
                        for member, center in zip(members, shrunk.centers, strict=True)
                    ]
                )
            else:
                found.append([member * weight[units] for member in members])
        return found

    def row_stats(rows: slice) -> tuple[FloatArray, FloatArray, FloatArray]:
        within = np.zeros((n_kernels, len(groups), len(labels)))
        sums = np.zeros((n_kernels, n_rows))
        squares = np.zeros(n_kernels)
        of_rows = factors(rows)
        for columns, times, tiles in upper_tiles(gram, rows):
            of_columns = of_rows if rows == columns else factors(columns)
            for k, tile in enumerate(tiles):
                sums[k, rows] += tile @ weight[columns]
                if rows != columns:
                    sums[k, columns] += weight[rows] @ tile
                squares[k] += times * square_sum(tile, weight[rows], weight[columns], plain)
                factor: list[NDArray[Any]] = [tile]
                if shrunk is not None:
                    small = ((tile - shrunk.shifts[k]) * shrunk.scales[k]).astype(np.float32)
                    if rows == columns:
                        zero_diagonal(small)
                    factor.append(small)
                for (chunk, in_single), left, right in zip(
                    chunks, of_rows, of_columns, strict=True
                ):
                    for g in range(len(groups)):
                        product = right[g] @ factor[in_single].T
                        within[k, g, chunk] += times * np.einsum("bi,bi->b", product, left[g])
        return within, sums, squares

    return reduce_tiles(row_stats, n_rows, n_jobs=n_jobs, verbose=verbose)


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

    parts = gather_blocks(
        lambda part: gram.subset_sums(members[part], weight),
        row_blocks(len(members), _SUBSETS_BLOCK),
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

    def row_stats(rows: slice) -> tuple[FloatArray, FloatArray]:
        sums = np.zeros((n_kernels, *members.shape))
        squares = np.zeros(n_kernels)
        for columns, times, tiles in upper_tiles(gram, rows):
            for k, tile in enumerate(tiles):
                sums[k, rows] += tile @ members[columns]
                if rows != columns:
                    sums[k, columns] += tile.T @ members[rows]
                squares[k] += times * square_sum(tile, weight[rows], weight[columns], plain)
        return sums, squares

    sums, squares = reduce_tiles(row_stats, n_rows, n_jobs=n_jobs)
    return sums, norm_of(squares, diagonal, weight)


def member_sums(values: FloatArray, labels: Labels, groups: Iterable[int]) -> FloatArray:
    """Sum `values`, (n_kernels, n_units), over groups: (n_kernels, n_groups, n_labelings)."""
    groups = list(groups)
    out = np.empty((len(values), len(groups), len(labels)))
    for chunk in row_blocks(len(labels), _LABELINGS_BLOCK):
        for g, group in enumerate(groups):
            out[:, g, chunk] = values @ (labels[chunk] == group).astype(np.float64).T
    return out
