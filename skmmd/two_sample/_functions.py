"""The test as functions of two arrays: :func:`mmd` and :func:`mmd_test`."""

import warnings
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmmd._validation import (
    Interval,
    StrOptions,
    check_rows,
    check_same_columns,
    check_weight,
    generator,
    validate_params,
)
from skmmd.kernels import KERNELS, Kernel
from skmmd.two_sample._permutation import asymptotic_test, permutation_test
from skmmd.two_sample._result import MMDTestResult
from skmmd.two_sample._sample import LONE, PooledSample, choose_method, pooled_gram, resolve_gammas
from skmmd.two_sample._statistics import group_statistic
from skmmd.two_sample._sums import GroupSums, row_sums, self_pairs

__all__ = ["TEST_CONSTRAINTS", "check_gram", "mmd", "mmd_test", "observed_statistic", "run_test"]

FloatArray = NDArray[np.float64]

KERNEL_OPTIONS = [StrOptions({*KERNELS, "precomputed"}), callable]
GAMMA_OPTIONS = [
    StrOptions({"median", "aggregate"}),
    Interval(Real, 0, None, closed="neither"),
    "array-like",
]
TEST_CONSTRAINTS: dict[str, list[Any]] = {
    "kernel": KERNEL_OPTIONS,
    "gamma": GAMMA_OPTIONS,
    "estimator": [StrOptions({"unbiased", "biased"})],
    "method": [StrOptions({"auto", "exact", "permutation", "binned", "nystroem", "asymptotic"})],
    "n_permutations": [Interval(Integral, 0, None, closed="left")],
    "n_bins": [Interval(Integral, 2, None, closed="left")],
    "n_components": [Interval(Integral, 1, None, closed="left")],
    "alpha": [Interval(Real, 0, 1, closed="neither")],
    "random_state": ["random_state"],
    "n_jobs": [None, Integral],
    "verbose": ["verbose"],
}


@validate_params(
    {
        "X": ["array-like"],
        "Y": ["array-like", Integral],
        "kernel": KERNEL_OPTIONS,
        "gamma": GAMMA_OPTIONS,
        "estimator": TEST_CONSTRAINTS["estimator"],
        "sample_weight_X": ["array-like", None],
        "sample_weight_Y": ["array-like", None],
    },
    prefer_skip_nested_validation=True,
)
def mmd(
    X: ArrayLike,
    Y: ArrayLike | int,
    *,
    kernel: Kernel = "rbf",
    gamma: float | str = "median",
    estimator: str = "unbiased",
    sample_weight_X: ArrayLike | None = None,
    sample_weight_Y: ArrayLike | None = None,
) -> float:
    """Squared maximum mean discrepancy of two samples.

    The squared distance of the mean embeddings of the two samples in the kernel's Hilbert space,
    exact, in memory linear in the number of rows.

    Parameters
    ----------
    X : array-like of shape (n_x, n_features)
        First sample; a 1-D array is one column. The Gram matrix of both samples, of shape
        (n_x + n_y, n_x + n_y), for ``kernel="precomputed"``.
    Y : array-like of shape (n_y, n_features)
        Second sample; the number n_x for ``kernel="precomputed"``.
    kernel : {"rbf", "laplacian", "imq", "rq", "linear", "polynomial", "energy", "precomputed"} \
or callable, default="rbf"
        With g = `gamma` and d the Euclidean distance: rbf exp(-g d^2), laplacian
        exp(-g L1 distance), imq (1 + 2 g d^2)^(-1/2), rq (1 + 2 g d^2)^(-1), linear x.y,
        polynomial (g x.y + 1)^3, energy -d (the energy distance). A callable takes two arrays of
        rows and returns their Gram matrix.
    gamma : float or "median", default="median"
        Kernel coefficient. "median": 1 / (2 m^2) with m the median distance of the pooled rows;
        1 / m with city block distances for the Laplacian. Beyond 2,000 rows the median is that of
        a fixed subset. Ignored by kernels without gamma.
    estimator : {"unbiased", "biased"}, default="unbiased"
        "unbiased" leaves out the pairs of a row with itself and can be negative.
    sample_weight_X, sample_weight_Y : array-like of shape (n_x,) or (n_y,), default=None
        A weight acts as so many copies of the row.

    Returns
    -------
    float
        Squared MMD.

    Raises
    ------
    ValueError
        If the samples have no rows or different columns, hold NaN or infinite values, or `gamma`
        means several values.

    See Also
    --------
    mmd_test : The same statistic with a p-value.

    References
    ----------
    Gretton, A. et al. (2012). A kernel two-sample test. JMLR 13, 723-773.

    Examples
    --------
    >>> from skmmd.two_sample import mmd
    >>> round(mmd([0.0, 1.0, 2.0], [3.0, 4.0, 5.0], gamma=0.5), 4)
    0.6964
    """
    sample = _two_samples(X, Y, kernel, sample_weight_X, sample_weight_Y)
    gammas = resolve_gammas(kernel, gamma, sample)
    if len(gammas) != 1:
        raise ValueError(
            f"mmd takes one gamma, got gamma={gamma!r}, which means {len(gammas)} values. Pass a "
            "number or 'median'; mmd_test aggregates over several."
        )
    _warn_of_single_rows(sample, estimator)
    value = float(observed_statistic(sample, kernel, gammas, estimator == "unbiased")[0])
    if not np.isfinite(value):
        raise ValueError("The kernel values leave the range of float64; rescale the features.")
    return value


def observed_statistic(
    sample: PooledSample,
    kernel: Kernel,
    gammas: FloatArray,
    unbiased: bool,
    n_jobs: int | None = None,
) -> FloatArray:
    """Return the statistic of each kernel under the observed labeling, shape (n_kernels,)."""
    blocks = pooled_gram(kernel, gammas, sample)
    sums, norm = row_sums(blocks, sample, n_jobs=n_jobs)
    pairs = self_pairs(blocks.diagonal(), sample.weight, unbiased)
    by_group = np.eye(sample.n_groups)[sample.codes]
    own = sums[:, np.arange(len(sample.codes)), sample.codes] * sample.weight + pairs
    return group_statistic(
        GroupSums(
            within=(own @ by_group)[:, :, None],
            total=(sums.sum(axis=2) * sample.weight + pairs).sum(axis=1),
            weight=(sample.weight @ by_group)[:, None],
            norm=norm,
            rounding=np.zeros_like(norm),
            own=np.zeros((len(norm), sample.n_groups)),
        ),
        unbiased,
    )[:, 0]


@validate_params(
    {"X": ["array-like"], "Y": ["array-like", Integral], **TEST_CONSTRAINTS},
    prefer_skip_nested_validation=True,
)
def mmd_test(
    X: ArrayLike,
    Y: ArrayLike | int,
    *,
    kernel: Kernel = "rbf",
    gamma: float | str | ArrayLike = "aggregate",
    estimator: str = "unbiased",
    method: str = "auto",
    n_permutations: int = 999,
    n_bins: int = 256,
    n_components: int = 256,
    alpha: float = 0.05,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> MMDTestResult:
    """Test whether two samples come from the same distribution.

    The p-value is exact at any sample size: under the null hypothesis it is at most `alpha` with
    a probability of at most `alpha`. Rows must be independent of each other.

    Parameters
    ----------
    X : array-like of shape (n_x, n_features)
        First sample; a 1-D array is one column. The Gram matrix of both samples, of shape
        (n_x + n_y, n_x + n_y), for ``kernel="precomputed"``.
    Y : array-like of shape (n_y, n_features)
        Second sample; the number n_x for ``kernel="precomputed"``.
    kernel : str or callable, default="rbf"
        As in :func:`mmd`.
    gamma : float, "median", "aggregate" or array-like of float, default="aggregate"
        Kernel coefficient. "aggregate" (or an array) combines several: each kernel's statistic is
        divided by the Frobenius norm of its Gram matrix and the largest is the statistic. The
        grid doubles gamma, with bandwidths from half the 5 % quantile of the pooled distances to
        twice their 95 % quantile, at most 14 of them.
    estimator : {"unbiased", "biased"}, default="unbiased"
        Statistic: without or with the pairs of a row with itself. Several gammas are compared
        without them in either case; "biased" then is about ``mmd2``.
    method : {"auto", "exact", "permutation", "binned", "nystroem", "asymptotic"}, default="auto"
        How the null distribution is found.

        - "exact" enumerates all labelings, up to 1e7;
        - "permutation" draws `n_permutations` of them;
        - "binned" permutes bins of rows, exact too, at a cost of one pass over the Gram matrix;
        - "nystroem" does so with an approximate kernel, linear in the number of rows; the level
          is exact, the power depends on `n_components`;
        - "asymptotic" is the cross-MMD with its normal distribution: one gamma ("aggregate" means
          "median" here), level only in large samples;
        - "auto" enumerates if there are no more than `n_permutations` + 1 labelings, else permutes
          rows up to 2,000, bins up to 20,000 (beyond for "precomputed"), and then uses Nystroem.
    n_permutations : int, default=999
        Number of random labelings; 0 computes the statistic alone, with a p-value of NaN.
    n_bins : int, default=256
        Number of bins, about; the smallest group is given at least 16. Of a group that makes up
        more than 2 * `n_bins` of them, the rest keep their label.
    n_components : int, default=256
        Number of landmarks of "nystroem", at most the number of rows.
    alpha : float, default=0.05
        Level at which the result says "rejected".
    random_state : int, RandomState instance or None, default=None
        Draws labelings, bins and landmarks.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.
    verbose : int, default=0
        Show a progress bar if positive.

    Returns
    -------
    MMDTestResult
        ``statistic``, ``pvalue`` and more; unpacks as ``statistic, pvalue``.

    Raises
    ------
    ValueError
        If the samples have no rows or different columns, hold NaN or infinite values, or there
        are too many labelings for ``method="exact"``.

    See Also
    --------
    MMDTest : The same as an estimator, for two groups or more.
    MMDTestCV : Chooses the kernel on one half of the data and tests on the other.

    Notes
    -----
    The permutations test exchangeability of the rows. For time series or grouped rows the p-value
    is not valid.

    References
    ----------
    Gretton, A. et al. (2012). A kernel two-sample test. JMLR 13, 723-773.

    Domingo-Enrich, C., Dwivedi, R. & Mackey, L. (2025). Cheap permutation testing. arXiv
    2502.07672.

    Schrab, A. et al. (2023). MMD aggregated two-sample test. JMLR 24.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.two_sample import mmd_test
    >>> rng = np.random.default_rng(0)
    >>> X, Y = rng.normal(size=(100, 2)), rng.normal(size=(120, 2)) * 1.8
    >>> result = mmd_test(X, Y, random_state=0)
    >>> bool(result.pvalue < 0.05)
    True
    """
    sample = _two_samples(X, Y, kernel, None, None)
    return run_test(
        sample,
        kernel=kernel,
        gamma=gamma,
        estimator=estimator,
        method=method,
        n_permutations=n_permutations,
        n_bins=n_bins,
        n_components=n_components,
        alpha=alpha,
        random_state=random_state,
        n_jobs=n_jobs,
        verbose=verbose,
    )


def run_test(
    sample: PooledSample,
    *,
    kernel: Kernel,
    gamma: float | str | ArrayLike,
    estimator: str,
    method: str,
    n_permutations: int,
    n_bins: int,
    n_components: int,
    alpha: float,
    random_state: Any,
    n_jobs: int | None,
    verbose: int,
) -> MMDTestResult:
    """Test a pooled sample; the parameters are those of :func:`mmd_test`."""
    _warn_of_single_rows(sample, estimator)
    method = choose_method(method, kernel, sample, n_permutations)
    if method == "asymptotic" and isinstance(gamma, str):
        gamma = "median"
    gammas = resolve_gammas(kernel, gamma, sample)
    rng = generator(random_state)
    if method == "asymptotic":
        if len(gammas) > 1:
            raise ValueError(
                f"method='asymptotic' takes one gamma, got {len(gammas)}; use method='auto'."
            )
        outcome = asymptotic_test(sample, kernel, float(gammas[0]), rng)
    else:
        outcome = permutation_test(
            sample,
            kernel,
            gammas,
            method,
            unbiased=estimator == "unbiased",
            n_permutations=n_permutations,
            n_bins=n_bins,
            n_components=n_components,
            rng=rng,
            n_jobs=n_jobs,
            verbose=verbose,
        )
    single = len(gammas) == 1
    return MMDTestResult(
        statistic=outcome.statistic,
        pvalue=outcome.pvalue,
        mmd2=float(outcome.per_kernel[0]) if single else outcome.per_kernel,
        gamma=float(gammas[0]) if single else gammas,
        best_gamma=float(gammas[outcome.best_kernel]),
        null_distribution=outcome.null,
        method=method,
        n_permutations=len(outcome.null),
        n_samples=tuple(int(size) for size in sample.sizes),
        alpha=float(alpha),
        kernel=kernel,
        _sample=sample,
    )


def check_gram(K: ArrayLike, *, name: str) -> FloatArray:
    """Return a symmetric Gram matrix as float64 rows.

    Raises
    ------
    ValueError
        If it is not square or not symmetric.
    """
    matrix = check_rows(K, name=name)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(
            f"kernel='precomputed' takes the square Gram matrix of all rows as {name}, got shape "
            f"{matrix.shape}."
        )
    if np.abs(matrix - matrix.T).max() > 1e-8 * np.abs(matrix).max():
        raise ValueError(f"The Gram matrix {name} is not symmetric.")
    return matrix


def _two_samples(
    X: ArrayLike,
    Y: ArrayLike | int,
    kernel: Kernel,
    weight_x: ArrayLike | None,
    weight_y: ArrayLike | None,
) -> PooledSample:
    if kernel == "precomputed":
        rows = check_gram(X, name="X")
        if not isinstance(Y, Integral) or not 0 < int(Y) < len(rows):
            raise ValueError(
                "With kernel='precomputed' X is the Gram matrix of both samples and Y the number "
                f"of rows of the first, from 1 to {len(rows) - 1}; got {Y!r:.80}."
            )
        n_x = int(Y)
        parts = (rows[:n_x], rows[n_x:])
    else:
        if isinstance(Y, Integral):
            raise ValueError("Y must be the second sample; a number goes with 'precomputed' only.")
        x, y = check_rows(X, name="X"), check_rows(Y, name="Y")
        check_same_columns(X, Y, (x.shape[1], y.shape[1]), ("X", "Y"))
        rows, n_x, parts = np.concatenate([x, y]), len(x), (x, y)
    weight = [
        check_weight(given, part, name=name)
        for given, part, name in zip(
            (weight_x, weight_y), parts, ("sample_weight_X", "sample_weight_Y"), strict=True
        )
    ]
    codes = np.repeat([0, 1], [n_x, len(rows) - n_x])
    return PooledSample(rows, codes, np.concatenate(weight), 2)


def _warn_of_single_rows(sample: PooledSample, estimator: str) -> None:
    without_pairs = sample.mass <= 1.0 + LONE
    if estimator == "biased" or not np.any(without_pairs):
        return
    n_rows = np.bincount(sample.codes[sample.weight > 0.0], minlength=sample.n_groups)
    if np.any(without_pairs & (n_rows > 1)):
        raise ValueError(
            f"The weights of the groups add up to {sample.mass.tolist()}, but a weight is a number "
            "of copies of its row: a total of 1 or less leaves no pair for the unbiased "
            "statistic. Rescale the weights, or use estimator='biased', which any scale suits."
        )
    if np.any(without_pairs):
        warnings.warn(
            "A group has a single row, which has no pairs: the unbiased statistic drops its term. "
            "estimator='biased' keeps it.",
            UserWarning,
            stacklevel=3,
        )
