"""Weights and MMD of two samples, as functions of two arrays."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmmd._validation import (
    Integral,
    Interval,
    Real,
    StrOptions,
    check_rows,
    check_same_columns,
    check_weight,
    generator,
    validate_params,
)
from skmmd.kernels import KERNELS, Gram, Kernel, gram, kernel_products
from skmmd.transfer._alpha import select_alpha
from skmmd.transfer._domains import KERNEL_CONSTRAINTS, resolve_gamma
from skmmd.transfer._kmm import Domain, Matching, MatchingOptions, match_means

__all__ = ["MATCHING_CONSTRAINTS", "kmm_weights", "match_domains", "weighted_mmd"]

FloatArray = NDArray[np.float64]

MATCHING_CONSTRAINTS: dict[str, Any] = {
    **KERNEL_CONSTRAINTS,
    "alpha": [StrOptions({"cv"}), Interval(Real, 0, None, closed="left")],
    "max_weight": [Interval(Real, 0, None, closed="neither")],
    "sum_bounds": "no_validation",  # read_sum_bounds says more
    "solver": [StrOptions({"auto", "smo", "nystroem"})],
    "n_landmarks": [Interval(Integral, 1, None, closed="left"), None],
    "tol": [Interval(Real, 0, None, closed="neither")],
    "random_state": ["random_state"],
    "n_jobs": [Integral, None],
}


@validate_params(
    {
        "Xs": ["array-like"],
        "Xt": ["array-like"],
        **MATCHING_CONSTRAINTS,
        "normalize": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def kmm_weights(
    Xs: ArrayLike,
    Xt: ArrayLike,
    *,
    kernel: Kernel = "rbf",
    gamma: float | str = "median",
    alpha: float | str = 0.01,
    max_weight: float = 1000.0,
    sum_bounds: tuple[float, float] | None = None,
    normalize: bool = False,
    solver: str = "auto",
    n_landmarks: int | None = None,
    tol: float = 1e-6,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
) -> FloatArray:
    """Weigh the rows of a source sample so that their mean embedding is nearest to the target's.

    Parameters
    ----------
    Xs : array-like of shape (n_source, n_features)
        Source rows; a 1-D array is one column.
    Xt : array-like of shape (n_target, n_features)
        Target rows.
    kernel : {"rbf", "laplacian", "imq", "rq", "linear", "polynomial"} or callable, default="rbf"
        Kernel, as in :class:`KernelMeanMatching`.
    gamma : float or "median", default="median"
        Its coefficient.
    alpha : float or "cv", default=0.01
        Ridge, as a share of the number of source rows.
    max_weight : float, default=1000.0
        Largest weight.
    sum_bounds : tuple of (float, float), default=None
        Bounds of the sum of the weights; None leaves it free.
    normalize : bool, default=False
        Divide the weights by their mean.
    solver : {"auto", "smo", "nystroem"}, default="auto"
        How to solve.
    n_landmarks : int, default=None
        Number of landmarks of the solver "nystroem"; None takes as many as the spectrum asks for.
    tol : float, default=1e-6
        Largest violation of the conditions of optimality, in units of the gradient.
    random_state : int, RandomState instance or None, default=None
        Draws landmarks, and the folds of ``alpha="cv"``.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    ndarray of shape (n_source,)
        The weights.

    Raises
    ------
    ValueError
        If the samples have no rows or different columns, hold NaN or infinite values, no weights
        meet `sum_bounds`, or with `normalize` all weights are zero.

    See Also
    --------
    KernelMeanMatching : The same as an estimator, which says how well it went.

    References
    ----------
    Huang, J., Smola, A. J., Gretton, A., Borgwardt, K. M. & Schoelkopf, B. (2006). Correcting
    sample selection bias by unlabeled data. NIPS 19.

    Examples
    --------
    >>> from skmmd.transfer import kmm_weights
    >>> kmm_weights([0.0, 1.0, 2.0, 3.0], [2.0, 3.0], gamma=0.5, normalize=True).round(1)
    array([0. , 0.1, 1.9, 2. ])
    """
    source, target = _two_samples(Xs, Xt)
    matching, _, _ = match_domains(
        Domain(source, np.ones(len(source))),
        Domain(target, np.ones(len(target))),
        MatchingOptions(
            kernel,
            resolve_gamma(kernel, gamma, np.concatenate([source, target])),
            0.0,
            float(max_weight),
            read_sum_bounds(sum_bounds),
            solver,
            n_landmarks,
            float(tol),
            n_jobs,
        ),
        alpha,
        generator(random_state),
    )
    weights = matching.weights
    if not normalize:
        return weights
    if not weights.mean() > 0.0:
        raise ValueError(
            "All weights are zero: the kernel sees no source row near a target row. Take a smaller "
            "gamma, or sum_bounds that keep the sum away from zero."
        )
    return np.asarray(weights / weights.mean())


def read_sum_bounds(sum_bounds: Any) -> tuple[float, float]:
    """Return the bounds of the sum of the weights; infinite where there are none."""
    if sum_bounds is None:
        return -np.inf, np.inf
    several = isinstance(sum_bounds, tuple | list) or np.ndim(sum_bounds) == 1
    bounds = list(sum_bounds) if several else []
    numbers = [bound is None or isinstance(bound, Real) for bound in bounds]
    if len(bounds) != 2 or not all(numbers) or any(b is not None and b != b for b in bounds):
        raise ValueError(
            f"sum_bounds must be None or a pair (lowest, highest) of numbers, got {sum_bounds!r}; "
            "None in it is no bound on that side, and (5, 5) fixes the sum at 5."
        )
    low, high = bounds
    return -np.inf if low is None else float(low), np.inf if high is None else float(high)


def match_domains(
    source: Domain,
    target: Domain,
    options: MatchingOptions,
    alpha: float | str,
    draws: np.random.Generator,
) -> tuple[Matching, float, dict[str, FloatArray] | None]:
    """Match, after a choice of alpha where that is asked for."""
    results = None
    if isinstance(alpha, str):
        alpha, results = select_alpha(source, target, options, draws)
    options = replace(options, alpha=float(alpha))
    return match_means(source, target, options, draws), float(alpha), results


def _two_samples(Xs: ArrayLike, Xt: ArrayLike) -> tuple[FloatArray, FloatArray]:
    source, target = check_rows(Xs, name="Xs"), check_rows(Xt, name="Xt")
    check_same_columns(Xs, Xt, (source.shape[1], target.shape[1]), ("Xs", "Xt"))
    return source, target


@validate_params(
    {
        "Xs": ["array-like"],
        "Xt": ["array-like"],
        "ws": ["array-like", None],
        "wt": ["array-like", None],
        "kernel": [StrOptions(set(KERNELS)), callable],
        "gamma": KERNEL_CONSTRAINTS["gamma"],
        "n_jobs": [Integral, None],
    },
    prefer_skip_nested_validation=True,
)
def weighted_mmd(
    Xs: ArrayLike,
    Xt: ArrayLike,
    ws: ArrayLike | None = None,
    wt: ArrayLike | None = None,
    *,
    kernel: Kernel = "rbf",
    gamma: float | str = "median",
    n_jobs: int | None = None,
) -> float:
    """Return the squared MMD of two weighted samples, with the pairs of a row with itself.

    The squared distance of the weighted mean embeddings (the V-statistic), exact, in memory linear
    in the number of rows.

    Parameters
    ----------
    Xs : array-like of shape (n_source, n_features)
        Source rows; a 1-D array is one column.
    Xt : array-like of shape (n_target, n_features)
        Target rows.
    ws : array-like of shape (n_source,), default=None
        Weights of the source rows, which are divided by their sum; None weighs all the same.
    wt : array-like of shape (n_target,), default=None
        Weights of the target rows, likewise.
    kernel : {"rbf", "laplacian", "imq", "rq", "linear", "polynomial", "energy"} or callable, \
default="rbf"
        Kernel, as in :func:`skmmd.two_sample.mmd`.
    gamma : float or "median", default="median"
        Its coefficient; "median" takes the median heuristic on the pooled rows, all alike: it does
        not depend on the weights, so that the same samples can be compared before and after.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    float
        Squared MMD, 0 or more.

    Raises
    ------
    ValueError
        If the samples have no rows or different columns, hold NaN or infinite values, or weights
        are negative or all zero.

    See Also
    --------
    skmmd.two_sample.mmd : Without the pairs of a row with itself, for tests.

    Examples
    --------
    >>> from skmmd.transfer import weighted_mmd
    >>> weighted_mmd([0.0, 1.0, 2.0], [1.0], [0.0, 1.0, 0.0])
    0.0
    """
    source, target = _two_samples(Xs, Xt)
    share_s = check_weight(ws, source, name="ws")
    share_t = check_weight(wt, target, name="wt")
    share_s, share_t = share_s / share_s.max(), share_t / share_t.max()  # their sum is finite
    share_s, share_t = share_s / share_s.sum(), share_t / share_t.sum()
    gammas = np.array([resolve_gamma(kernel, gamma, np.concatenate([source, target]))])
    # Rows without weight are left out, which saves their pairs.
    source, share_s = source[share_s > 0.0], share_s[share_s > 0.0]
    target, share_t = target[share_t > 0.0], share_t[share_t > 0.0]
    pooled = np.concatenate([source, target])
    shares = np.concatenate([share_s, -share_t])
    value = _square(gram(kernel, gammas, pooled, center_dot=True), shares, n_jobs)
    if not np.isfinite(value):
        raise ValueError("The kernel values leave the range of float64; rescale the features.")
    return max(value, 0.0)


def _square(blocks: Gram, shares: FloatArray, n_jobs: int | None) -> float:
    return float(shares @ kernel_products(blocks, shares, n_jobs=n_jobs))
