"""Rounds of a classifier: pseudo-labels of the target, and the solution that they lead to."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import gather_blocks, row_blocks
from skmmd.kernels import Kernel, gram
from skmmd.transfer._differences import mean_differences
from skmmd.transfer._domains import Domains
from skmmd.transfer._least_squares import FullLeastSquares, LowRankLeastSquares

__all__ = ["Labelled", "nearest_codes", "solve_in_rounds"]

FloatArray = NDArray[np.float64]
Codes = NDArray[np.intp]

_MAX_REFERENCES = 5000
_BLOCK = 256


def nearest_codes(
    kernel: Kernel,
    gamma: float,
    rows: FloatArray,
    domains: Domains,
    weight: FloatArray,
    codes: Codes,
    *,
    n_jobs: int | None = None,
) -> Codes:
    """Return the class of the source row that is nearest to each target row.

    Nearest in the kernel's space: ``k(x, x) - 2 k(x, s) + k(s, s)`` is least.

    Parameters
    ----------
    kernel : str or callable
        The kernel.
    gamma : float
        Its coefficient.
    rows : ndarray of shape (n_rows, n_features)
        Rows of both domains.
    domains : Domains
        The rows of each domain.
    weight : ndarray of shape (n_rows,)
        Weights of the rows; source rows of weight zero are none.
    codes : ndarray of shape (n_source,), dtype intp
        Classes of the source rows.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    ndarray of shape (n_target,), dtype intp
        The classes. Beyond 5,000 source rows, so many of them at even steps are compared.
    """
    if not domains.target.size:
        return np.empty(0, dtype=np.intp)
    references = np.flatnonzero(weight[domains.source] > 0.0)
    if len(references) > _MAX_REFERENCES:
        steps = np.linspace(0, len(references) - 1, _MAX_REFERENCES)
        references = references[steps.astype(np.intp)]
    source = np.ascontiguousarray(rows[domains.source[references]])
    blocks = gram(kernel, np.array([gamma]), np.ascontiguousarray(rows[domains.target]), source)
    own = gram(kernel, np.array([gamma]), source).diagonal()[0]
    every = slice(0, len(source))

    def nearest_of(block: slice) -> Codes:
        return np.asarray((2.0 * next(blocks.blocks(block, every)) - own).argmax(axis=1))

    parts = gather_blocks(nearest_of, row_blocks(blocks.shape[0], _BLOCK), n_jobs=n_jobs)
    return np.asarray(codes[references[np.concatenate(parts)]])


@dataclass(frozen=True)
class Labelled:
    """Coefficients, and the pseudo-labels they give.

    Parameters
    ----------
    coef : ndarray of shape (n_rows, n_classes) or (n_landmarks, n_classes)
        Coefficients of one-hot labels.
    target_codes : ndarray of shape (n_target,), dtype intp
        Class of the largest prediction for each target row.
    n_iter : int
        Number of solutions.
    converged : bool
        Whether the pseudo-labels no longer changed.
    """

    coef: FloatArray
    target_codes: Codes
    n_iter: int
    converged: bool


def solve_in_rounds(
    system: FullLeastSquares | LowRankLeastSquares,
    domains: Domains,
    weight: FloatArray,
    codes: Codes,
    first: Codes | None,
    n_classes: int,
    *,
    strength: float,
    marginal: bool,
    max_iter: int,
) -> Labelled:
    """Solve for one-hot labels, again and again under the pseudo-labels that were found.

    Parameters
    ----------
    system : FullLeastSquares or LowRankLeastSquares
        What gives solutions.
    domains : Domains
        The rows of each domain.
    weight : ndarray of shape (n_rows,)
        Weights of the rows.
    codes : ndarray of shape (n_source,), dtype intp
        Classes of the source rows.
    first : ndarray of shape (n_target,), dtype intp, or None
        Pseudo-labels to start from; None: classes are not aligned, and one solution is enough.
    n_classes : int
        Number of classes.
    strength : float
        Weight of the squared differences of means.
    marginal : bool
        Whether the domains are aligned as a whole.
    max_iter : int
        Most solutions.

    Returns
    -------
    Labelled
        The last solution.
    """
    Y = np.zeros((len(domains.source), n_classes))
    Y[np.arange(len(Y)), codes] = 1.0
    known = np.full(len(weight), -1, dtype=np.intp)
    known[domains.source] = codes
    if first is not None:
        known[domains.target] = first
    n_iter, converged = 0, False
    while not converged and n_iter < max_iter:
        differences = mean_differences(domains, weight, known, n_classes, marginal=marginal)
        coef = system.solve(Y, differences, strength)
        found = system.predict(coef)[domains.target].argmax(axis=1)
        n_iter += 1
        converged = first is None or np.array_equal(found, known[domains.target])
        known[domains.target] = found
    return Labelled(coef, found, n_iter, converged)
