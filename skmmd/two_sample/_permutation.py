"""The test itself: the statistic of the observed labeling against that of others."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from skmmd._chunked import single_threaded_blas
from skmmd.kernels import Kernel, canonical_order, nystroem
from skmmd.two_sample._bin_sums import bin_sums, nystroem_sums, sums_of_bins
from skmmd.two_sample._labelings import Bins, Labels, bin_rows, enumerate_labelings, permute_units
from skmmd.two_sample._sample import PooledSample, can_center, pooled_gram, take_rows
from skmmd.two_sample._statistics import (
    biased_statistic,
    comparable,
    group_statistic,
    permutation_pvalue,
    tie_of,
)
from skmmd.two_sample._sums import GroupSums, labeled_sums
from skmmd.two_sample._witness import group_witness

__all__ = ["Outcome", "asymptotic_test", "permutation_test"]

FloatArray = NDArray[np.float64]
SumsUnder = Callable[[Labels], GroupSums]

_EXACT_CHUNK = 8192


@dataclass(frozen=True)
class Outcome:
    """What a test found.

    Attributes
    ----------
    statistic, pvalue : float
        The observed statistic and its p-value.
    per_kernel : ndarray of shape (n_kernels,)
        The observed statistic of each kernel, not normalised.
    best_kernel : int
        The kernel that attained the maximum.
    null : ndarray of shape (n_labelings,)
        The statistic under the other labelings; under all of them for the exact test.
    """

    statistic: float
    pvalue: float
    per_kernel: FloatArray
    best_kernel: int
    null: FloatArray


def permutation_test(
    sample: PooledSample,
    kernel: Kernel,
    gammas: FloatArray,
    method: str,
    *,
    unbiased: bool,
    n_permutations: int,
    n_bins: int,
    n_components: int,
    rng: np.random.Generator,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Outcome:
    """Compare the observed labeling with random ones, or with all.

    Parameters
    ----------
    sample : PooledSample
        The rows and their groups.
    kernel : str or callable
        The kernel.
    gammas : ndarray of shape (n_kernels,)
        Its coefficients.
    method : {"exact", "permutation", "binned", "nystroem"}
        Enumerate the labelings, permute rows, permute bins of rows, or permute bins of rows
        with Nystroem features.
    unbiased : bool
        Whether pairs of a row with itself are left out.
    n_permutations, n_bins, n_components : int
        Numbers of random labelings, of bins and of landmarks.
    rng : Generator
        Draws labelings, bins and landmarks.
    n_jobs, verbose
        As in :func:`skmmd._chunked.reduce_blocks`.

    Returns
    -------
    Outcome
        What was found.
    """
    exact = method == "exact"
    # The pairs of a row with itself would decide between kernels, not the samples: several are
    # compared without them.
    compared_unbiased = unbiased or len(gammas) > 1
    options: dict[str, Any] = {
        "unbiased": compared_unbiased,
        "n_jobs": n_jobs,
        "verbose": verbose,
    }
    if method in ("exact", "permutation"):
        units, n_free = sample.codes, len(sample.codes)
        sums_under = _sums_of_rows(sample, kernel, gammas, {**options, "single": not exact})
    else:
        n_landmarks = n_components if method == "nystroem" else 0
        # Landmarks are drawn first: which rows they are may not depend on the labels.
        landmarks = rng.permutation(len(sample.codes))[:n_landmarks]
        if len(landmarks) > 0:
            landmarks = canonical_order(sample.rows)[landmarks]
        bins = bin_rows(rng, sample.codes, sample.n_groups, n_bins)
        units, n_free = bins.codes, bins.n_free
        sums_under = _sums_of_bins(sample, kernel, gammas, bins, np.sort(landmarks), options)
    if exact:
        batches = enumerate_labelings(sample.sizes, _EXACT_CHUNK)
    else:
        batches = iter([permute_units(rng, units, n_free, sample.n_groups, n_permutations)])
    first, per_kernel, pooled = _statistics_under(batches, units, sums_under, compared_unbiased)
    best_kernel = int(comparable(per_kernel[:, None], first.norm).argmax())
    if compared_unbiased and not unbiased:
        per_kernel = biased_statistic(first)
    statistic, null = float(pooled[0]), pooled[1:]
    tie = tie_of(first.norm, first.rounding)
    if not (np.all(np.isfinite(pooled)) and np.isfinite(tie)):
        raise ValueError(
            "The kernel values leave the range of float64, so that the statistic is not finite; "
            "rescale the features, or choose gamma nearer to 1 / (squared distance)."
        )
    # Ties come out equal, so that whoever counts the null distribution finds the p-value.
    null[np.abs(null - statistic) <= tie] = statistic
    return Outcome(
        statistic=statistic,
        pvalue=permutation_pvalue(statistic, null, exact),
        per_kernel=per_kernel,
        best_kernel=best_kernel,
        null=null,
    )


def _sums_of_rows(
    sample: PooledSample, kernel: Kernel, gammas: FloatArray, options: dict[str, Any]
) -> SumsUnder:
    blocks = pooled_gram(kernel, gammas, sample)

    def sums_under(labels: Labels) -> GroupSums:
        return labeled_sums(blocks, labels, sample.weight, sample.n_groups, **options)

    return sums_under


def _sums_of_bins(
    sample: PooledSample,
    kernel: Kernel,
    gammas: FloatArray,
    bins: Bins,
    landmarks: NDArray[np.intp],
    options: dict[str, Any],
) -> SumsUnder:
    ordered = take_rows(sample, bins.order, kernel)
    if len(landmarks) > 0:
        features = nystroem(
            kernel,
            gammas,
            ordered.rows,
            sample.rows[landmarks],
            center_dot=can_center(sample),
        )
        between = nystroem_sums(features, bins.bin_of, ordered.weight, **options)
    else:
        blocks = pooled_gram(kernel, gammas, ordered)
        between = bin_sums(blocks, bins.bin_of, ordered.weight, **options)

    def sums_under(labels: Labels) -> GroupSums:
        return sums_of_bins(between, labels, sample.n_groups)

    return sums_under


def _statistics_under(
    batches: Iterator[Labels], units: NDArray[np.intp], sums_under: SumsUnder, unbiased: bool
) -> tuple[GroupSums, FloatArray, FloatArray]:
    """Return the first sums, the observed statistic of each kernel, and the largest, pooled.

    The observed labeling is the first, and goes through the same sums as those it is compared with.
    """

    def largest(sums: GroupSums) -> FloatArray:
        return comparable(group_statistic(sums, unbiased), sums.norm).max(axis=0)

    with single_threaded_blas():
        first = sums_under(np.vstack([units.astype(np.uint8), next(batches)]))
        pooled = [largest(first), *(largest(sums_under(labels)) for labels in batches)]
    return first, group_statistic(first, unbiased)[:, 0].copy(), np.concatenate(pooled)


def asymptotic_test(
    sample: PooledSample, kernel: Kernel, gamma: float, rng: np.random.Generator
) -> Outcome:
    """Test by the cross-MMD, whose null distribution is normal: no permutations.

    Each group is halved at random; the witness learned on two halves is averaged over the other
    two, and the difference divided by its standard error.

    Parameters
    ----------
    sample : PooledSample
        Two groups of at least four rows each.
    kernel : str or callable
        The kernel.
    gamma : float
        Its coefficient.
    rng : Generator
        Halves the groups.

    Returns
    -------
    Outcome
        The studentised statistic and its one-sided normal p-value; ``per_kernel`` is the
        difference itself, an unbiased estimate of the squared MMD.

    References
    ----------
    Shekhar, S., Kim, I. & Ramdas, A. (2022). A permutation-free kernel two-sample test. NeurIPS.
    """
    if sample.sizes.min() < 4:
        raise ValueError(
            "method='asymptotic' needs at least 4 rows in each group, got "
            f"{sample.sizes.tolist()}; use method='auto'."
        )
    halves = []
    for group in range(2):
        rows = rng.permutation(np.flatnonzero(sample.codes == group))
        halves.append((rows[: len(rows) // 2], rows[len(rows) // 2 :]))
        if any(sample.weight[half].sum() <= 0.0 for half in halves[-1]):
            raise ValueError("method='asymptotic' drew rows of weight zero alone; use 'auto'.")
    (x, x_other), (y, y_other) = halves
    learned = take_rows(sample, np.concatenate([x_other, y_other]))
    difference, variance = 0.0, 0.0
    for half, sign in ((x, 1.0), (y, -1.0)):
        values = group_witness(kernel, gamma, sample.rows[half], learned)
        weight = sample.weight[half]
        mean = np.average(values, weights=weight)
        difference += sign * mean
        variance += np.average((values - mean) ** 2, weights=weight) / weight.sum()
    # No spread: the rows of each half are all alike; equal halves show no difference.
    if variance > 0.0:
        statistic = float(difference / np.sqrt(variance))
        pvalue = float(special.ndtr(-statistic))
    else:
        statistic, pvalue = (0.0, 1.0) if difference <= 0.0 else (float("inf"), 0.0)
    return Outcome(
        statistic=statistic,
        pvalue=pvalue,
        per_kernel=np.array([difference]),
        best_kernel=0,
        null=np.zeros(0),
    )
