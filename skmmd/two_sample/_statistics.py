"""Statistics and p-values from sums within groups: pure functions over arrays."""

import itertools
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from skmmd.two_sample._sample import LONE, PooledSample
from skmmd.two_sample._sums import GroupSums

__all__ = [
    "biased_statistic",
    "comparable",
    "critical_value",
    "group_statistic",
    "normalized",
    "permutation_pvalue",
    "power",
    "tie_of",
    "witness_criterion",
]

FloatArray = NDArray[np.float64]

_POWER_RIDGE = 1e-8


def _within_means(sums: GroupSums, unbiased: bool) -> FloatArray:
    weight = sums.weight
    pairs = weight * (weight - 1.0) if unbiased else weight * weight
    # A group of one row has no pair: its term is dropped.
    defined = (weight > 0.0) & (pairs > LONE * weight * weight)
    return np.where(defined, sums.within / np.where(defined, pairs, 1.0), 0.0)


def group_statistic(sums: GroupSums, unbiased: bool) -> FloatArray:
    """Return the squared MMD of two groups, or the K-sample statistic of more.

    For K groups it is the sum over pairs of groups of ``n_g n_h / N`` times their squared MMD.

    Parameters
    ----------
    sums : GroupSums
        Sums within groups.
    unbiased : bool
        Whether the sums leave out the pairs of a row with itself.

    Returns
    -------
    ndarray of shape (n_kernels, n_labelings)
        The statistic under each kernel and labeling.
    """
    means = _within_means(sums, unbiased)
    weight = sums.weight
    between = sums.total[:, None] - sums.within.sum(axis=1)
    total = weight.sum(axis=0)
    if len(weight) == 2:
        across = weight[0] * weight[1]
        # A permutation can leave a group with rows of weight zero alone: no difference to see.
        empty = across <= 0.0
        statistic = means.sum(axis=1) - between / np.where(empty, 1.0, across)
        return np.where(empty, 0.0, statistic)
    return (means * (weight * (total - weight) / total)).sum(axis=1) - between / total


def biased_statistic(sums: GroupSums) -> FloatArray:
    """Return the biased statistic of the first labeling from unbiased sums, (n_kernels,)."""
    biased = replace(
        sums,
        within=sums.within[:, :, :1] + sums.own[:, :, None],
        total=sums.total + sums.own.sum(axis=1),
        weight=sums.weight[:, :1],
    )
    return group_statistic(biased, False)[:, 0]


def normalized(statistics: FloatArray, norm: FloatArray) -> FloatArray:
    """Divide each kernel's statistic by the Frobenius norm of its Gram matrix.

    No permutation changes the norm, so that kernels become comparable and stay exchangeable.

    Parameters
    ----------
    statistics : ndarray of shape (n_kernels, n_labelings)
        One kernel a row.
    norm : ndarray of shape (n_kernels,)
        Frobenius norms with zero diagonal.

    Returns
    -------
    ndarray of shape (n_kernels, n_labelings)
        Normalised statistics.
    """
    # A kernel that sees no pair at all (norm 0) has statistic 0.
    normal: FloatArray = statistics / np.where(norm > 0.0, norm, 1.0)[:, None]
    return normal


def comparable(statistics: FloatArray, norm: FloatArray) -> FloatArray:
    """Normalise the statistics of several kernels; a single kernel's stays as it is."""
    return statistics if len(statistics) == 1 else normalized(statistics, norm)


def tie_of(norm: FloatArray, rounding: FloatArray) -> float:
    """Return the difference of two aggregated statistics that is rounding.

    Parameters
    ----------
    norm : ndarray of shape (n_kernels,)
        Frobenius norms.
    rounding : ndarray of shape (n_kernels,)
        Rounding of each kernel's statistic.

    Returns
    -------
    float
        The difference.
    """
    return float(comparable(rounding[:, None], norm).max())


def permutation_pvalue(statistic: float, null: FloatArray, exact: bool) -> float:
    """Return the share of labelings whose statistic is at least the observed one.

    Parameters
    ----------
    statistic : float
        Observed statistic.
    null : ndarray of shape (n_labelings,)
        Statistics of random labelings, or of all of them.
    exact : bool
        Whether `null` holds all labelings, the observed one among them.

    Returns
    -------
    float
        In (0, 1]; NaN if there is no labeling.
    """
    if len(null) == 0:
        return float("nan")
    count = int(np.count_nonzero(null >= statistic))
    return count / len(null) if exact else (1 + count) / (1 + len(null))


def critical_value(null: FloatArray, alpha: float, exact: bool) -> float:
    """Return the value above which a statistic has a p-value of at most `alpha`.

    Infinite if no statistic can, NaN if there is no labeling.
    """
    if len(null) == 0:
        return float("nan")
    n_labelings = len(null) + (not exact)
    # Labelings, the observed one included, that may lie at or above the observed statistic.
    n_above = int(np.floor(alpha * n_labelings * (1.0 + 1e-12)))
    if n_above == 0:
        return float("inf")
    rank = n_above + 1 if exact else n_above
    if rank > len(null):
        return float("-inf")
    return float(np.partition(null, len(null) - rank)[len(null) - rank])


def power(sums: FloatArray, diagonal: FloatArray, sample: PooledSample) -> FloatArray:
    """Return the power criterion J of each kernel, the mean over pairs of groups.

    ``J = MMD^2_u / sqrt(v + 1e-8)`` with ``v = 4 Var(h_x) / n_x + 4 Var(h_y) / n_y``, where
    ``h_x`` of a row is its mean kernel value with the other rows of its group minus that with the
    rows of the other group; a larger J means a more powerful test.

    Parameters
    ----------
    sums : ndarray of shape (n_kernels, n_rows, n_groups)
        From :func:`skmmd.two_sample._sums.row_sums`.
    diagonal : ndarray of shape (n_kernels, n_rows)
        Kernel value of each row with itself.
    sample : PooledSample
        The rows' groups and weights.

    Returns
    -------
    ndarray of shape (n_kernels,)
        J.

    References
    ----------
    Sutherland, D. J. et al. (2017). Generative models and model criticism via optimized maximum
    mean discrepancy. ICLR.
    """
    mass, values = sample.mass, []
    for g, h in itertools.combinations(range(sample.n_groups), 2):
        mmd2, variance = 0.0, 0.0
        for own, other in ((g, h), (h, g)):
            rows = sample.codes == own
            w = sample.weight[rows]
            # The copies of a row are other rows of its group.
            within = sums[:, rows, own] + diagonal[:, rows] * (w - 1.0)
            within = within / max(mass[own] - 1.0, 1e-12) if mass[own] > 1.0 else 0.0 * within
            h_rows = within - sums[:, rows, other] / mass[other]
            mean = h_rows @ w / mass[own]
            mmd2 = mmd2 + mean
            if mass[own] > 1.0:
                spread = ((h_rows - mean[:, None]) ** 2 @ w) / (mass[own] - 1.0)
                variance = variance + 4.0 * spread / mass[own]
        values.append(mmd2 / np.sqrt(variance + _POWER_RIDGE))
    return np.mean(values, axis=0)


def witness_criterion(means: FloatArray, sample: PooledSample) -> float:
    """Return the power criterion of a witness that was learned on other rows.

    Parameters
    ----------
    means : ndarray of shape (n_rows, n_groups)
        Mean kernel value of each row with each group of the other rows.
    sample : PooledSample
        The rows' groups and weights.

    Returns
    -------
    float
        Mean difference of the witness over its standard error; the mean over pairs of groups.
    """
    values = []
    for g, h in itertools.combinations(range(sample.n_groups), 2):
        difference, variance = 0.0, 0.0
        for group, sign in ((g, 1.0), (h, -1.0)):
            rows = sample.codes == group
            weight = sample.weight[rows]
            mass = weight.sum()
            witness = means[rows, g] - means[rows, h]
            mean = np.average(witness, weights=weight)
            difference += sign * mean
            if mass > 1.0:
                squares = weight @ (witness - mean) ** 2
                variance += squares / (mass - 1.0) / mass
        values.append(difference / np.sqrt(variance + _POWER_RIDGE))
    return float(np.mean(values))
