"""Which features differ: one-dimensional tests with shared permutations, adjusted by max-T."""

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import gather_blocks, row_blocks
from skmmd.kernels import median_gamma
from skmmd.two_sample._labelings import Labels, bin_rows, enumerate_labelings, permute_units
from skmmd.two_sample._loops import laplace_sums
from skmmd.two_sample._sample import PooledSample, choose_method
from skmmd.two_sample._statistics import group_statistic, normalized
from skmmd.two_sample._sums import ROUNDING, GroupSums, self_pairs

__all__ = ["feature_statistics", "max_t_pvalues", "score_features"]

FloatArray = NDArray[np.float64]

_LABELINGS_BLOCK = 128
_BANDWIDTH_ROWS = 500


def score_features(
    sample: PooledSample,
    *,
    unbiased: bool,
    n_permutations: int,
    n_bins: int,
    rng: np.random.Generator,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> dict[str, FloatArray]:
    """Test each feature by itself, under labelings that all features share.

    Parameters
    ----------
    sample : PooledSample
        The rows and their groups.
    unbiased : bool
        Whether pairs of a row with itself are left out.
    n_permutations, n_bins : int
        Numbers of random labelings and of bins.
    rng : Generator
        Draws labelings and bins.
    n_jobs, verbose
        As in :func:`skmmd._chunked.reduce_blocks`.

    Returns
    -------
    dict of str to ndarray of shape (n_features,)
        "statistic" (normalised), "pvalue" (adjusted), "mmd2" and "gamma".
    """
    codes, n_groups = sample.codes, sample.n_groups
    method = choose_method("auto", "laplacian", sample, n_permutations)
    units, unit_codes, n_free = np.arange(len(codes)), codes, len(codes)
    if method in ("binned", "nystroem"):
        bins = bin_rows(rng, codes, n_groups, n_bins)
        units, unit_codes, n_free = np.empty(len(codes), dtype=np.intp), bins.codes, bins.n_free
        units[bins.order] = bins.bin_of
    if method == "exact":
        labels = np.concatenate(list(enumerate_labelings(sample.sizes)))
    else:
        labels = permute_units(rng, unit_codes, n_free, n_groups, n_permutations)
    labels = np.vstack([unit_codes.astype(np.uint8), labels])
    statistics, norms, gammas = feature_statistics(
        sample, units, labels, unbiased=unbiased, n_jobs=n_jobs, verbose=verbose
    )
    normal = normalized(statistics, norms)
    if not np.all(np.isfinite(normal)):
        raise ValueError(
            "A feature's kernel values leave the range of float64; rescale the features first."
        )
    tie = ROUNDING / float(sample.weight.sum())
    return {
        "statistic": normal[:, 0],
        "pvalue": max_t_pvalues(normal, tie, method == "exact"),
        "mmd2": statistics[:, 0],
        "gamma": gammas,
    }


def feature_statistics(
    sample: PooledSample,
    units: NDArray[np.intp],
    labels: Labels,
    *,
    unbiased: bool,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return each feature's statistic under each labeling, exactly, in O(n log n) per feature.

    The one-dimensional Laplacian kernel decays along the sorted rows, so that one pass sums all
    pairs.

    Parameters
    ----------
    sample : PooledSample
        The rows and their groups.
    units : ndarray of shape (n_rows,)
        Unit (row or bin) of each row.
    labels : ndarray of shape (n_labelings, n_units)
        Group of each unit.
    unbiased : bool
        Whether pairs of a row with itself are left out.
    n_jobs, verbose
        As in :func:`skmmd._chunked.reduce_blocks`.

    Returns
    -------
    statistics : ndarray of shape (n_features, n_labelings)
        Not normalised.
    norms : ndarray of shape (n_features,)
        Frobenius norms of the Gram matrices with zero diagonal.
    gammas : ndarray of shape (n_features,)
        Kernel coefficients.

    References
    ----------
    Bodenham, D. & Kawahara, Y. (2023). euMMD: efficiently computing the MMD two-sample test
    statistic for univariate data. Statistics and Computing.
    """
    by_unit = np.ascontiguousarray(labels.T)
    n_labelings, n_groups = len(labels), sample.n_groups
    everyone = np.zeros((by_unit.shape[0], 1), dtype=np.uint8)
    weight_of_unit = np.bincount(units, sample.weight, by_unit.shape[0])
    group_weight = np.stack(
        [weight_of_unit @ (by_unit == group).astype(np.float64) for group in range(n_groups)]
    )
    own = self_pairs(np.ones((1, len(units))), sample.weight, unbiased)[0]
    own_of_unit = np.bincount(units, own, by_unit.shape[0])
    copies = self_pairs(np.ones((1, len(units))), sample.weight, True).sum()

    def score_feature(feature: int) -> tuple[FloatArray, float, float]:
        column = np.ascontiguousarray(sample.rows[:, feature])
        gamma = median_gamma(
            "laplacian", column[:, None], sample.bandwidth_weight, max_rows=_BANDWIDTH_ROWS
        )
        order = np.argsort(column, kind="stable")
        x, weight, unit = column[order], sample.weight[order], units[order]
        within = np.zeros((n_groups, n_labelings))
        for chunk in row_blocks(n_labelings, _LABELINGS_BLOCK):
            part = np.zeros((n_groups, chunk.stop - chunk.start))
            labels_of_chunk = np.ascontiguousarray(by_unit[:, chunk])
            laplace_sums(x, weight, unit, gamma, labels_of_chunk, part)
            for group in range(n_groups):
                part[group] += own_of_unit @ (labels_of_chunk == group).astype(np.float64)
            within[:, chunk] = part
        total, squares = np.zeros((1, 1)), np.zeros((1, 1))
        laplace_sums(x, weight, unit, gamma, everyone, total)
        # The square of the kernel is the kernel of twice the gamma.
        laplace_sums(x, weight, unit, 2.0 * gamma, everyone, squares)
        norm = np.sqrt(squares[0, 0] + copies)
        sums = GroupSums(
            within=within[None],
            total=total[0] + own.sum(),
            weight=group_weight,
            norm=np.array([norm]),
            rounding=np.zeros(1),
            own=np.zeros((1, n_groups)),
        )
        return group_statistic(sums, unbiased)[0], float(norm), gamma

    found = gather_blocks(
        score_feature,
        range(sample.rows.shape[1]),
        n_jobs=n_jobs,
        verbose=verbose,
        desc="features",
    )
    statistics, norms, gammas = zip(*found, strict=True)
    return np.stack(statistics), np.array(norms), np.array(gammas)


def max_t_pvalues(statistics: FloatArray, tie: float, exact: bool) -> FloatArray:
    """Return p-values adjusted by the largest statistic of each labeling.

    Parameters
    ----------
    statistics : ndarray of shape (n_features, 1 + n_permutations)
        Normalised; the observed labeling first.
    tie : float
        Differences up to this count as equal.
    exact : bool
        Whether the labelings after the first are all there are.

    Returns
    -------
    ndarray of shape (n_features,)
        In (0, 1]; NaN without permutations.

    References
    ----------
    Westfall, P. H. & Young, S. S. (1993). Resampling-based multiple testing. Wiley.
    """
    observed, largest = statistics[:, 0], np.sort(statistics[:, 1:].max(axis=0))
    n_permutations = len(largest)
    if n_permutations == 0:
        return np.full(len(observed), np.nan)
    count = n_permutations - np.searchsorted(largest, observed - tie, side="left")
    pvalues: FloatArray = count / n_permutations if exact else (1 + count) / (1 + n_permutations)
    return pvalues
