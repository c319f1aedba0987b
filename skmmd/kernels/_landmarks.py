"""Landmarks for Nystroem features: as many as the spectrum of the kernel asks for."""

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from skmmd._chunked import row_blocks, single_threaded_blas
from skmmd.kernels._gram import Gram, Kernel, gram, kernel_values

__all__ = ["pivoted_landmarks"]

FloatArray = NDArray[np.float64]
Indices = NDArray[np.intp]

_MAX_ROWS = 8192
_PROBES = 1024
_POWER_STEPS = 8
_DRAWN = 32
_BLOCK = 512
# Residuals below this share of the largest diagonal value are rounding.
_NEGLIGIBLE = 1e-11


def pivoted_landmarks(
    kernel: Kernel,
    gamma: float,
    rows: FloatArray,
    max_landmarks: int,
    *,
    tol: float = 0.0,
    generator: np.random.Generator,
) -> Indices:
    """Choose landmarks by a randomly pivoted Cholesky factorisation of the Gram matrix.

    Rows are drawn in proportion to what the landmarks so far leave of their k(x, x), until the
    largest eigenvalue of the rest, estimated on a subset, is below ``tol`` times the number of
    rows. Equal rows count once, and the order of the rows does not matter: copies change nothing.
    Beyond 8,192 rows a random subset of them is factorised.

    Parameters
    ----------
    kernel : str or callable
        A positive definite kernel.
    gamma : float
        Its coefficient.
    rows : ndarray of shape (n_rows, n_features)
        Rows.
    max_landmarks : int
        How many to choose at most.
    tol : float, default=0.0
        Largest eigenvalue of the rest, divided by the number of rows, at which to stop; 0 goes on
        to `max_landmarks`, or until nothing but rounding is left.
    generator : numpy.random.Generator
        Draws the rows.

    Returns
    -------
    ndarray of shape (n_landmarks,), dtype intp
        Numbers of the rows, in the order of choice; at least one.

    References
    ----------
    Chen, Y., Epperly, E. N., Tropp, J. A. & Webber, R. J. (2025). Randomly pivoted Cholesky:
    practical approximation of a kernel matrix with few entry evaluations. CPAM 78(5).

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.kernels import pivoted_landmarks
    >>> rows = np.repeat([[0.0], [1.0], [5.0]], 4, axis=0)
    >>> chosen = pivoted_landmarks("rbf", 0.5, rows, 12, generator=np.random.default_rng(0))
    >>> sorted(rows[chosen, 0].tolist())
    [0.0, 1.0, 5.0]
    """
    subset = np.unique(rows, axis=0, return_index=True)[1]
    if len(subset) > _MAX_ROWS:
        n_drawn = min(max(_MAX_ROWS, max_landmarks), len(subset))
        subset = subset[np.sort(generator.choice(len(subset), n_drawn, replace=False))]
    blocks = gram(kernel, np.array([gamma]), rows[subset])
    with single_threaded_blas():
        chosen = _factorise(blocks, max_landmarks, tol, generator)
    return np.asarray(subset[chosen])


def _factorise(
    blocks: Gram, max_landmarks: int, tol: float, generator: np.random.Generator
) -> Indices:
    """Return the pivots; the factor grows by some 32 columns at a time."""
    n_rows = blocks.shape[0]
    residual = np.maximum(blocks.diagonal()[0], 0.0)
    floor = _NEGLIGIBLE * residual.max()
    max_landmarks = min(max_landmarks, n_rows)
    factor = np.empty((n_rows, max_landmarks), order="F")
    chosen = np.empty(max_landmarks, dtype=np.intp)
    probes = np.sort(generator.choice(n_rows, min(_PROBES, n_rows), replace=False))
    among_probes = kernel_values(blocks.kernel, float(blocks.gammas[0]), blocks.left[probes])
    n_chosen, next_check = 0, _DRAWN
    while n_chosen < max_landmarks:
        candidates = _draw(residual, floor, min(_DRAWN, max_landmarks - n_chosen), generator)
        if candidates.size == 0:
            break
        known = factor[:, :n_chosen]
        columns = _columns(blocks, candidates)
        columns -= known @ known[candidates].T
        kept, triangle = _independent(columns[candidates], floor)
        new = slice(n_chosen, n_chosen + kept.size)
        factor[:, new] = linalg.solve_triangular(triangle, columns[:, kept].T, lower=True).T
        chosen[new] = candidates[kept]
        residual = np.maximum(residual - np.einsum("ij,ij->i", factor[:, new], factor[:, new]), 0.0)
        residual[chosen[new]] = 0.0
        n_chosen += kept.size
        if tol > 0.0 and n_chosen >= next_check:
            next_check = n_chosen + max(_DRAWN, n_chosen // 4)
            at_probes = factor[probes, :n_chosen]
            if _largest_eigenvalue(among_probes, at_probes) <= tol * len(probes):
                break
    return chosen[: max(n_chosen, 1)] if n_chosen else np.zeros(1, dtype=np.intp)


def _draw(
    residual: FloatArray, floor: float, n_drawn: int, generator: np.random.Generator
) -> Indices:
    """Draw different rows, each with a chance in proportion to its residual."""
    eligible = np.flatnonzero(residual > floor)
    if eligible.size <= n_drawn:
        return eligible
    share = residual[eligible] / residual[eligible].sum()
    return np.asarray(generator.choice(eligible, n_drawn, replace=False, p=share))


def _columns(blocks: Gram, candidates: Indices) -> FloatArray:
    """Return the kernel values of all rows with the candidates, column by column in memory."""
    to_candidates = gram(blocks.kernel, blocks.gammas, blocks.left, blocks.left[candidates])
    out = np.empty(to_candidates.shape, order="F")
    every = slice(0, len(candidates))
    for rows in row_blocks(out.shape[0], _BLOCK):
        out[rows] = next(to_candidates.blocks(rows, every))
    return out


def _independent(among: FloatArray, floor: float) -> tuple[Indices, FloatArray]:
    """Return which candidates the others do not span, and the lower triangle of their factor."""
    floor = max(floor, 1e-3 * float(np.diagonal(among).max()))
    factor, pivots, rank, _ = linalg.lapack.dpstrf(among, lower=1, tol=floor)
    rank = max(int(rank), 1)
    return np.asarray(pivots[:rank] - 1, dtype=np.intp), np.tril(factor[:rank, :rank])


def _largest_eigenvalue(among: FloatArray, factor: FloatArray) -> float:
    """Estimate the largest eigenvalue of ``among - factor @ factor.T`` by power steps."""
    vector = np.random.default_rng(0).standard_normal(len(among))
    value = 0.0
    for _ in range(_POWER_STEPS):
        vector /= np.linalg.norm(vector)
        vector = among @ vector - factor @ (factor.T @ vector)
        value = float(np.linalg.norm(vector))
        if value == 0.0:
            break
    return value
