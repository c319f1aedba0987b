"""The witness: where the mean kernel of one sample lies above that of another."""

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import gather_blocks, row_blocks
from skmmd.kernels import Kernel, gram
from skmmd.two_sample._sample import PooledSample

__all__ = ["group_witness", "mean_kernel"]

FloatArray = NDArray[np.float64]

_BLOCK = 512


def mean_kernel(
    kernel: Kernel,
    gamma: float,
    points: FloatArray,
    rows: FloatArray,
    weight: FloatArray | None = None,
    *,
    n_jobs: int | None = None,
) -> FloatArray:
    """Return the mean of ``k(point, row)`` over `rows` at each point.

    Parameters
    ----------
    kernel : str or callable
        The kernel.
    gamma : float
        Its coefficient.
    points : ndarray of shape (n_points, n_features)
        Where; for "precomputed" their kernel values with `rows`.
    rows : ndarray of shape (n_rows, n_features)
        The sample; not used for "precomputed".
    weight : ndarray of shape (n_rows,) or (n_rows, n_means), default=None
        Weights of the rows, one column for each mean; None means 1.
    n_jobs : int, default=None
        Number of threads.

    Returns
    -------
    ndarray of shape (n_points,) or (n_points, n_means)
        The means.
    """
    n_rows = points.shape[1] if kernel == "precomputed" else len(rows)
    shares = np.ones(n_rows) if weight is None else weight
    shares = shares / shares.sum(axis=0)
    blocks = gram(kernel, np.array([gamma]), points, rows)

    def block_means(part: slice) -> FloatArray:
        means = np.zeros((part.stop - part.start, *shares.shape[1:]))
        for columns in row_blocks(n_rows, _BLOCK):
            (tile,) = blocks.blocks(part, columns)
            means += tile @ shares[columns]
        return means

    parts = gather_blocks(block_means, row_blocks(len(points), _BLOCK), n_jobs=n_jobs)
    return np.concatenate(parts)


def group_witness(
    kernel: Kernel,
    gamma: float,
    points: FloatArray,
    sample: PooledSample,
    *,
    n_jobs: int | None = None,
) -> FloatArray:
    """Return the witness of two groups, or of each of more against the rest.

    Parameters
    ----------
    kernel, gamma, points, n_jobs
        As in :func:`mean_kernel`.
    sample : PooledSample
        The groups.

    Returns
    -------
    ndarray of shape (n_points,) or (n_points, n_groups)
        Mean kernel to group 0 minus mean kernel to group 1; for three or more groups one column
        each, mean kernel to the group minus mean kernel to all other rows.
    """
    weight, n_groups = sample.members, sample.n_groups
    if n_groups > 2:
        weight = np.hstack([weight, sample.weight[:, None] - weight])
    means = mean_kernel(kernel, gamma, points, sample.rows, weight, n_jobs=n_jobs)
    if n_groups > 2:
        return means[:, :n_groups] - means[:, n_groups:]
    return means[:, 0] - means[:, 1]
