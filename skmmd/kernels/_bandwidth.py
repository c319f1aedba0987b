"""Kernel coefficients from the pooled distances: the median heuristic and the dyadic grid."""

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import row_blocks, single_threaded_blas
from skmmd.kernels._gram import Kernel, gram

__all__ = ["canonical_order", "dyadic_gammas", "median_gamma", "pooled_quantiles"]

FloatArray = NDArray[np.float64]

MAX_ROWS = 2000
_MAX_GAMMAS = 14
_BLOCK = 512
_SMALLEST_SCALE, _LARGEST_SCALE = 1e-140, 1e150
_NEGLIGIBLE = 1e-13


def canonical_order(Z: FloatArray) -> NDArray[np.intp]:
    """Rank the rows along a fixed random direction: an order that does not depend on theirs.

    Parameters
    ----------
    Z : ndarray of shape (n, n_features)
        Rows.

    Returns
    -------
    ndarray of shape (n,)
        Indices of the rows, by rank.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.kernels import canonical_order
    >>> Z = np.array([[3.0], [1.0], [2.0]])
    >>> bool(np.all(Z[canonical_order(Z)] == Z[::-1][canonical_order(Z[::-1])]))
    True
    """
    direction = np.random.default_rng(1).standard_normal(Z.shape[1])
    return np.argsort((Z - Z.min(axis=0)) @ direction, kind="stable")


def _subsample(
    Z: FloatArray, sample_weight: FloatArray | None, max_rows: int
) -> tuple[FloatArray, FloatArray]:
    """Return at most `max_rows` rows, the same ones in whatever order they come, and their weights.

    The order of the rows tells the groups: a choice by position would see the labels, and the
    bandwidth would not be a symmetric function of the pooled sample. So rows are ranked along a
    fixed random direction, and fixed ranks are taken.
    """
    weight = np.ones(len(Z)) if sample_weight is None else sample_weight
    if len(Z) <= max_rows:
        return Z, weight
    ranks = np.random.default_rng(0).choice(len(Z), max_rows, replace=False)
    rows = canonical_order(Z)[np.sort(ranks)]
    return Z[rows], weight[rows]


def _pair_distances(kernel: Kernel, Z: FloatArray) -> FloatArray:
    """Distances of all pairs i < j, row by row: Euclidean, or city block for the Laplacian."""
    cityblock = kernel == "laplacian"
    distance = gram("laplacian" if cityblock else "energy", np.ones(1), Z)
    n = len(Z)
    out = np.empty(n * (n - 1) // 2)
    filled = 0
    for rows in row_blocks(n, _BLOCK):
        columns = slice(rows.start, n)
        tile = distance.distances(rows, columns)
        for i in range(len(tile)):
            row = tile[i, i + 1 :]
            out[filled : filled + len(row)] = row
            filled += len(row)
    return out if cityblock else np.sqrt(out, out=out)


def _quantiles(
    values: FloatArray, weight: FloatArray | None, levels: tuple[float, ...]
) -> FloatArray:
    """Quantiles by the averaged inverted distribution function; weights count as copies."""
    if weight is None:
        # "averaged_inverted_cdf", by a partial sort.
        positions = [level * len(values) for level in levels]
        lower = [max(int(np.ceil(p)) - 1, 0) for p in positions]
        upper = [min(int(np.floor(p)), len(values) - 1) for p in positions]
        ranked = np.partition(values, sorted({*lower, *upper}))
        return np.asarray((ranked[lower] + ranked[upper]) / 2.0)
    order = np.argsort(values, kind="stable")
    cumulative = np.cumsum(weight[order])
    targets = np.asarray(levels) * cumulative[-1]
    tolerance = 1e-12 * cumulative[-1]
    last = len(values) - 1
    low = np.minimum(np.searchsorted(cumulative, targets - tolerance), last)
    high = np.minimum(np.searchsorted(cumulative, targets + tolerance, side="right"), last)
    return np.asarray((values[order[low]] + values[order[high]]) / 2.0)


def pooled_quantiles(
    kernel: Kernel,
    Z: FloatArray,
    levels: tuple[float, ...],
    sample_weight: FloatArray | None = None,
    *,
    max_rows: int = MAX_ROWS,
) -> FloatArray:
    """Compute quantiles of the distances between the rows of the pooled sample.

    Euclidean distances, city block for the Laplacian kernel. Weights count as copies of a row.
    Zero distances (up to 1e-13 of the largest) are left out if the lowest quantile asked for would
    be zero. Rows of weight zero are left out. Beyond `max_rows`
    rows a fixed subset of them is used.

    Parameters
    ----------
    kernel : str or callable
        The kernel.
    Z : ndarray of shape (n, n_features)
        Pooled rows.
    levels : tuple of float
        Levels in (0, 1), ascending.
    sample_weight : ndarray of shape (n,), default=None
        Weights of the rows.
    max_rows : int, default=2000
        Number of rows to use at most.

    Returns
    -------
    ndarray of shape (n_levels,)
        Positive numbers; all 0 if all rows are equal.

    Raises
    ------
    ValueError
        If the distances or their squares leave the range of float64.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.kernels import pooled_quantiles
    >>> pooled_quantiles("rbf", np.array([[0.0], [1.0], [3.0]]), (0.5,))
    array([2.])
    """
    weighted = sample_weight is not None
    if sample_weight is not None:
        Z, sample_weight = Z[sample_weight > 0], sample_weight[sample_weight > 0]
    rows, weight = _subsample(Z, sample_weight, max_rows)
    with single_threaded_blas():
        distances = _pair_distances(kernel, rows)
    pair_weight = None
    if weighted:
        i, j = np.triu_indices(len(rows), 1)
        # Copies of a row are at distance zero from each other.
        copies = np.sum(weight * np.maximum(weight - 1.0, 0.0)) / 2.0
        distances = np.append(distances, 0.0)
        pair_weight = np.append(weight[i] * weight[j], copies)
    largest = distances.max(initial=0.0)
    if np.ptp(rows, axis=0).max(initial=0.0) == 0.0:
        return np.zeros(len(levels))
    if not _SMALLEST_SCALE < largest < _LARGEST_SCALE:
        raise ValueError(
            f"The rows are up to {largest:.1e} apart, which leaves no range for squares in "
            "float64; rescale the features to a scale near 1."
        )
    quantiles = _quantiles(distances, pair_weight, levels)
    # Distances within rounding of zero are those of duplicates.
    negligible = _NEGLIGIBLE * largest
    if quantiles[0] <= negligible:
        positive = distances > negligible
        pair_weight = None if pair_weight is None else pair_weight[positive]
        quantiles = _quantiles(distances[positive], pair_weight, levels)
    return quantiles


def median_gamma(
    kernel: Kernel,
    Z: FloatArray,
    sample_weight: FloatArray | None = None,
    *,
    max_rows: int = MAX_ROWS,
) -> float:
    """Return gamma by the median heuristic on the pooled rows.

    ``1 / (2 m**2)`` with m the median distance; ``1 / m`` for the Laplacian, whose exponent is
    linear in the distance: the kernel then does not change when all features are rescaled.

    Parameters
    ----------
    kernel : str or callable
        The kernel.
    Z : ndarray of shape (n, n_features)
        Pooled rows.
    sample_weight : ndarray of shape (n,), default=None
        Weights of the rows.
    max_rows : int, default=2000
        Number of rows to use at most.

    Returns
    -------
    float
        The value of gamma; 1 if all rows are equal.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.kernels import median_gamma
    >>> median_gamma("rbf", np.array([[0.0], [1.0], [3.0]]))
    0.125
    """
    median = float(pooled_quantiles(kernel, Z, (0.5,), sample_weight, max_rows=max_rows)[0])
    return _gamma_of(kernel, median)


def _gamma_of(kernel: Kernel, sigma: float) -> float:
    if sigma == 0.0:
        return 1.0
    power = 1.0 / sigma if kernel == "laplacian" else 1.0 / (2.0 * sigma * sigma)
    return float(power)


def dyadic_gammas(
    kernel: Kernel, Z: FloatArray, sample_weight: FloatArray | None = None
) -> FloatArray:
    """Return ascending gammas, each twice the one before, that span the pooled distances.

    The bandwidths run from half the 5 % quantile of the pooled distances up to twice the 95 %
    quantile, at most 14 of them; where that takes more, each gamma is 4, 8, ... times the one
    before. Each kernel matrix of the Gaussian and Laplacian families is then
    the elementwise square of the one before.

    Parameters
    ----------
    kernel : str or callable
        The kernel.
    Z : ndarray of shape (n, n_features)
        Pooled rows.
    sample_weight : ndarray of shape (n,), default=None
        Weights of the rows.

    Returns
    -------
    ndarray of shape (n_gammas,)
        The grid; the value 1 alone if all rows are equal.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.kernels import dyadic_gammas
    >>> dyadic_gammas("rbf", np.array([[0.0], [1.0], [3.0]]))
    array([0.0078125, 0.015625 , 0.03125  , 0.0625   , 0.125    , 0.25     ,
           0.5      , 1.       , 2.       ])
    """
    low, high = pooled_quantiles(kernel, Z, (0.05, 0.95), sample_weight)
    # Laid from the narrow end, which matters most where samples differ in detail.
    last = _gamma_of(kernel, 0.5 * float(low))
    ratio = last / _gamma_of(kernel, 2.0 * float(high))
    n_octaves = max(float(np.log2(ratio)), 0.0)
    # Wider steps rather than scales left out, where the distances span many octaves.
    octaves_a_step = int(max(np.ceil((n_octaves - 1e-9) / (_MAX_GAMMAS - 1)), 1))
    n_gammas = int(np.ceil((n_octaves - 1e-9) / octaves_a_step)) + 1
    steps = octaves_a_step * np.arange(n_gammas)[::-1]
    return np.asarray(last * 0.5**steps, dtype=np.float64)
