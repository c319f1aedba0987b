"""Selection of rows that represent a sample: prototypes by greedy descent on the MMD, criticisms.

With c(x) the mean of k(x, .) over the rows to be represented, and S the rows picked so far, the
squared MMD is ``mean k over S x S - 2 mean c over S + const``. What a further pick changes of it is
known from c and from the sum of k(x, .) over S, which one kernel column updates.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import gather_blocks, row_blocks, single_threaded_blas
from skmmd.kernels import Gram, Kernel, gram, kernel_products
from skmmd.transfer._low_rank import embedding_by_landmarks

__all__ = ["Selection", "select_criticisms", "select_prototypes"]

FloatArray = NDArray[np.float64]
Indices = NDArray[np.intp]

_BLOCK = 4096
_MAX_EXACT_PAIRS = 10**9
_NEGLIGIBLE = 1e-12


@dataclass(frozen=True)
class Selection:
    """The picks, and what they say of the other candidates.

    Parameters
    ----------
    picks : ndarray of shape (n_picks,), dtype intp
        Numbers of the candidates, in the order of picking.
    mmd_path : ndarray of shape (n_picks,)
        Squared MMD (V-statistic) after each pick.
    witness : ndarray of shape (n_candidates,)
        Mean kernel value with the rows to be represented, minus that with the picks.
    """

    picks: Indices
    mmd_path: FloatArray
    witness: FloatArray


def select_prototypes(
    kernel: Kernel,
    gamma: float,
    candidates: FloatArray,
    rows: FloatArray,
    n_picks: int,
    *,
    herding: bool = False,
    generator: np.random.Generator,
    n_jobs: int | None = None,
) -> Selection:
    """Pick candidates one by one so that their MMD from `rows` falls as much as it can.

    Beyond 10^9 pairs of a candidate and a row, means over the rows are by landmarks.

    Parameters
    ----------
    kernel : str or callable
        The kernel.
    gamma : float
        Its coefficient.
    candidates : ndarray of shape (n_candidates, n_features)
        What may be picked, each row once.
    rows : ndarray of shape (n_rows, n_features)
        What is to be represented; may be the same array.
    n_picks : int
        How many to pick, at most as many as there are candidates.
    herding : bool, default=False
        Leave k(x, x) out of the criterion, as kernel herding does.
    generator : numpy.random.Generator
        Draws landmarks.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    Selection
        The picks.

    References
    ----------
    Chen, Y., Welling, M. & Smola, A. (2010). Super-samples from kernel herding. UAI.

    Kim, B., Khanna, R. & Koyejo, O. (2016). Examples are not enough, learn to criticize! NIPS 29.
    """
    gammas = np.array([gamma])
    exact = len(candidates) * len(rows) <= _MAX_EXACT_PAIRS
    means = _means if exact else partial(_means_by_landmarks, generator=generator)
    mean, square = means(kernel, gammas, candidates, rows, n_jobs=n_jobs)
    among = gram(kernel, gammas, candidates)
    diagonal = among.diagonal()[0]
    own = np.zeros(len(candidates)) if herding else 0.5 * diagonal
    sums = np.zeros(len(candidates))
    picks, path = np.empty(n_picks, dtype=np.intp), np.empty(n_picks)
    left = np.ones(len(candidates), dtype=bool)
    inside = picked_mean = 0.0
    for t in range(n_picks):
        gain = np.where(left, mean - (sums + own) / (t + 1), -np.inf)
        pick = int(np.argmax(gain))
        inside += 2.0 * sums[pick] + diagonal[pick]
        picked_mean += mean[pick]
        path[t] = max(inside / (t + 1) ** 2 - 2.0 * picked_mean / (t + 1) + square, 0.0)
        picks[t], left[pick] = pick, False
        sums += _column(among, pick, n_jobs)
    return Selection(picks, path, mean - sums / n_picks)


def _means(
    kernel: Kernel,
    gammas: FloatArray,
    candidates: FloatArray,
    rows: FloatArray,
    *,
    n_jobs: int | None,
) -> tuple[FloatArray, float]:
    """Return the mean kernel value of each candidate with the rows, and that among the rows."""
    share = np.full(len(rows), 1.0 / len(rows))
    mean = kernel_products(gram(kernel, gammas, candidates, rows), share, n_jobs=n_jobs)
    if rows is candidates:
        return mean, float(share @ mean)
    own = kernel_products(gram(kernel, gammas, rows), share, n_jobs=n_jobs)
    return mean, float(share @ own)


def _means_by_landmarks(
    kernel: Kernel,
    gammas: FloatArray,
    candidates: FloatArray,
    rows: FloatArray,
    *,
    generator: np.random.Generator,
    n_jobs: int | None,
) -> tuple[FloatArray, float]:
    """Return the same with a kernel of low rank."""
    share = np.full(len(rows), 1.0 / len(rows))
    landmarks, coefficients, square = embedding_by_landmarks(
        kernel, float(gammas[0]), rows, share, generator, n_jobs=n_jobs
    )
    to_landmarks = gram(kernel, gammas, candidates, landmarks)
    return kernel_products(to_landmarks, coefficients, n_jobs=n_jobs), square


def select_criticisms(
    kernel: Kernel,
    gamma: float,
    candidates: FloatArray,
    selection: Selection,
    n_picks: int,
    *,
    n_jobs: int | None = None,
) -> Indices:
    """Pick candidates that the prototypes represent badly, and that differ from one another.

    One by one, that with the largest ``|witness| + log det K`` of the criticisms so far and it,
    whose determinant grows by what the others leave of its k(x, x).

    Parameters
    ----------
    kernel : str or callable
        The kernel.
    gamma : float
        Its coefficient.
    candidates : ndarray of shape (n_candidates, n_features)
        What may be picked, but for the prototypes.
    selection : Selection
        The prototypes.
    n_picks : int
        How many to pick; fewer where there are no others that differ.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    ndarray of shape (n_picks,), dtype intp
        Numbers of the candidates, in the order of picking.

    References
    ----------
    Kim, B., Khanna, R. & Koyejo, O. (2016). Examples are not enough, learn to criticize! NIPS 29.
    """
    among = gram(kernel, np.array([gamma]), candidates)
    residual = among.diagonal()[0]
    floor = _NEGLIGIBLE * float(residual.max())
    left = np.ones(len(candidates), dtype=bool)
    left[selection.picks] = False
    badness = np.abs(selection.witness)
    factor = np.empty((len(candidates), n_picks), order="F")
    picks: list[int] = []
    with single_threaded_blas():
        for t in range(n_picks):
            open_rows = np.flatnonzero(left & (residual > floor))
            if not open_rows.size:
                break
            value = badness[open_rows] + np.log(residual[open_rows])
            pick = int(open_rows[np.argmax(value)])
            column = _column(among, pick, n_jobs) - factor[:, :t] @ factor[pick, :t]
            factor[:, t] = column / np.sqrt(residual[pick])
            residual = residual - factor[:, t] ** 2
            left[pick] = False
            picks.append(pick)
    return np.array(picks, dtype=np.intp)


def _column(among: Gram, pick: int, n_jobs: int | None) -> FloatArray:
    """Return the kernel values of all candidates with one of them."""
    out = np.empty((1, among.shape[1]))
    row = slice(pick, pick + 1)

    def fill(columns: slice) -> None:
        out[:, columns] = next(among.blocks(row, columns))

    gather_blocks(fill, row_blocks(out.shape[1], _BLOCK), n_jobs=n_jobs)
    return out[0]
