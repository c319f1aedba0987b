"""Labelings: which unit (a row, or a bin of rows) belongs to which group under each permutation."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmmd.two_sample._loops import draw_subsets

__all__ = [
    "Bins",
    "bin_rows",
    "count_labelings",
    "draw_labelings",
    "enumerate_labelings",
    "permute_units",
]

Labels = NDArray[np.uint8]

_CHUNK = 256
_BIN_MIN_PER_GROUP = 16


def count_labelings(sizes: NDArray[np.intp]) -> int:
    """Return in how many ways rows can be dealt to groups of these sizes."""
    count, left = 1, int(np.sum(sizes))
    for size in sizes:
        count *= math.comb(left, int(size))
        left -= int(size)
    return count


def enumerate_labelings(sizes: NDArray[np.intp], chunk: int = 4096) -> Iterator[Labels]:
    """Yield all labelings, in chunks of shape (n_labelings, n_units)."""
    n_units = int(np.sum(sizes))

    def deal(free: tuple[int, ...], group: int) -> Iterator[tuple[tuple[int, ...], ...]]:
        if group == len(sizes) - 1:
            yield (free,)
            return
        for members in itertools.combinations(free, int(sizes[group])):
            taken = set(members)
            rest = tuple(unit for unit in free if unit not in taken)
            for tail in deal(rest, group + 1):
                yield (members, *tail)

    deals = deal(tuple(range(n_units)), 0)
    if len(sizes) == 2:
        # The members of one group say all; the smaller one is quicker to list.
        small = int(np.argmin(sizes))
        listed = itertools.combinations(range(n_units), int(sizes[small]))
        while part := list(itertools.islice(listed, chunk)):
            labels = np.full((len(part), n_units), 1 - small, dtype=np.uint8)
            np.put_along_axis(labels, np.array(part, dtype=np.intp), small, axis=1)
            yield labels
        return
    while groups := list(itertools.islice(deals, chunk)):
        labels = np.empty((len(groups), n_units), dtype=np.uint8)
        for row, dealt in enumerate(groups):
            for group, members in enumerate(dealt):
                labels[row, list(members)] = group
        yield labels


def draw_labelings(
    rng: np.random.Generator, codes: NDArray[np.intp], n_groups: int, n_labelings: int
) -> Labels:
    """Draw random labelings with the group sizes of `codes`, shape (n_labelings, n_units)."""
    n_units = len(codes)
    if n_groups > 2:
        labels = np.tile(codes.astype(np.uint8), (n_labelings, 1))
        for start in range(0, n_labelings, _CHUNK):
            rng.permuted(labels[start : start + _CHUNK], axis=1, out=labels[start : start + _CHUNK])
        return labels
    sizes = np.bincount(codes, minlength=2)
    small = int(np.argmin(sizes))
    labels = np.full((n_labelings, n_units), 1 - small, dtype=np.uint8)
    order = np.arange(n_units)
    for start in range(0, n_labelings, _CHUNK):
        part = labels[start : start + _CHUNK]
        draw_subsets(rng.random((len(part), int(sizes[small]))), order, small, part)
    return labels


def permute_units(
    rng: np.random.Generator,
    codes: NDArray[np.intp],
    n_free: int,
    n_groups: int,
    n_permutations: int,
) -> Labels:
    """Permute the labels of the first `n_free` units and keep those of the rest."""
    labels = np.empty((n_permutations, len(codes)), dtype=np.uint8)
    labels[:, :n_free] = draw_labelings(rng, codes[:n_free], n_groups, n_permutations)
    labels[:, n_free:] = codes[n_free:]
    return labels


@dataclass(frozen=True)
class Bins:
    """Rows dealt to bins, each within one group.

    ``order`` lists the rows bin by bin, ``bin_of`` the bin of each row so listed, ``codes`` the
    group of each bin. The first `n_free` bins have equally many rows and may be permuted; each of
    the rest holds the left-over rows of a group and keeps its label.
    """

    order: NDArray[np.intp]
    bin_of: NDArray[np.intp]
    codes: NDArray[np.intp]
    n_free: int


def bin_width(sizes: NDArray[np.intp], n_bins: int) -> int:
    """Return the number of rows in a bin: about `n_bins` bins, but 16 in the smallest group."""
    n_rows, smallest = int(np.sum(sizes)), int(np.min(sizes))
    return max(1, min(n_rows // n_bins, smallest // _BIN_MIN_PER_GROUP))


def bin_rows(rng: np.random.Generator, codes: NDArray[np.intp], n_groups: int, n_bins: int) -> Bins:
    """Deal the rows of each group to bins at random.

    Permutations of whole bins, with the left-over rows held fixed, are a subgroup of all
    permutations: the test that draws from it is exact too.
    """
    sizes = np.bincount(codes, minlength=n_groups)
    width = bin_width(sizes, n_bins)
    free, fixed, free_codes, fixed_codes = [], [], [], []
    for group in range(n_groups):
        rows = rng.permutation(np.flatnonzero(codes == group))
        # A group much larger than the others leaves most rows in place: its free bins suffice to
        # draw from, and the sums between bins stay small.
        n_group_bins = min(len(rows) // width, 2 * max(n_bins, _BIN_MIN_PER_GROUP))
        free.append(rows[: n_group_bins * width])
        free_codes += [group] * n_group_bins
        if n_group_bins * width < len(rows):
            fixed.append(rows[n_group_bins * width :])
            fixed_codes.append(group)
    widths = [width] * len(free_codes) + [len(rows) for rows in fixed]
    return Bins(
        order=np.concatenate(free + fixed),
        bin_of=np.repeat(np.arange(len(widths)), widths),
        codes=np.array(free_codes + fixed_codes, dtype=np.intp),
        n_free=len(free_codes),
    )
