"""The test with its kernel chosen on one half of the data and tested on the other."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmmd._validation import (
    Integral,
    Interval,
    Real,
    StrOptions,
    fit_method,
    generator,
    validate_data,
)
from skmmd.kernels import KERNELS, Kernel
from skmmd.two_sample._estimators import GroupTest, pool_groups, power_criterion
from skmmd.two_sample._functions import TEST_CONSTRAINTS, run_test
from skmmd.two_sample._sample import PooledSample, resolve_gammas, take_rows

__all__ = ["MMDTestCV"]

FloatArray = NDArray[np.float64]

_MIN_ROWS = 2


class MMDTestCV(GroupTest):
    """MMD test with the kernel chosen for its power on held-out rows: a valid p-value.

    The rows of each group are halved. On one half the power criterion J of each kernel and gamma
    is computed on `n_splits` folds and averaged; the kernel with the largest mean is tested once on
    the other half.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds of the first half, fewer where a group is too small for two rows a fold.
    test_size : float, default=0.5
        Share of the rows of each group that is kept for the test.
    kernel : str, callable, or list or tuple of them, default=("rbf", "laplacian")
        Kernels to choose from; see :func:`mmd`.
    gamma : float, "median", "aggregate" or array-like of float, default="aggregate"
        Kernel coefficients to choose from; "aggregate" is the grid of :func:`mmd_test`, laid on the
        first half.
    estimator : {"unbiased", "biased"}, default="unbiased"
        Statistic of the test.
    method : {"auto", "exact", "permutation", "binned", "nystroem", "asymptotic"}, default="auto"
        How the null distribution is found; see :func:`mmd_test`.
    n_permutations : int, default=999
        Number of random labelings.
    n_bins : int, default=256
        Number of bins of "binned" and "nystroem".
    n_components : int, default=256
        Number of landmarks of "nystroem".
    alpha : float, default=0.05
        Level of ``threshold_``.
    random_state : int, RandomState instance or None, default=None
        Splits the rows, and draws labelings, bins and landmarks.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.
    verbose : int, default=0
        Show a progress bar if positive.

    Attributes
    ----------
    statistic_ : float
        The statistic on the second half.
    pvalue_ : float
        Its p-value.
    kernel_ : str or callable
        The kernel that was chosen.
    gamma_ : float
        The gamma that was chosen; NaN for a kernel without gamma.
    best_gamma_ : float
        The same.
    mmd2_ : float
        Squared MMD on the second half (three or more groups: K-sample statistic).
    null_distribution_ : ndarray of shape (n_permutations,)
        The statistic under the permutations of the second half.
    threshold_ : float
        The critical value at `alpha`.
    cv_results_ : dict of str to array
        "kernel", "gamma", "mean_power" and "fold_power" of each candidate.
    selection_indices_ : ndarray of int
        The rows of the first half.
    test_indices_ : ndarray of int
        The rows of the second half.
    classes_ : ndarray of shape (n_groups,)
        The labels of the groups, sorted; the first is the reference.
    result_ : MMDTestResult
        The test's result.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where `X` had string names.

    See Also
    --------
    MMDTest : Uses all rows for the test and aggregates over gammas; usually more powerful.

    References
    ----------
    Liu, F. et al. (2020). Learning deep kernels for non-parametric two-sample tests. ICML.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skmmd.two_sample import MMDTestCV
    >>> X, y = load_iris(return_X_y=True)
    >>> MMDTestCV(random_state=0).fit(X[50:], y[50:]).pvalue_
    0.001
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **TEST_CONSTRAINTS,
        "n_splits": [Interval(Integral, 1, None, closed="left")],
        "test_size": [Interval(Real, 0, 1, closed="neither")],
        "kernel": [StrOptions(set(KERNELS)), callable, list, tuple],
    }

    def __init__(
        self,
        n_splits: int = 5,
        *,
        test_size: float = 0.5,
        kernel: Kernel | list[Kernel] | tuple[Kernel, ...] = ("rbf", "laplacian"),
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
    ) -> None:
        self.n_splits = n_splits
        self.test_size = test_size
        self.kernel = kernel
        self.gamma = gamma
        self.estimator = estimator
        self.method = method
        self.n_permutations = n_permutations
        self.n_bins = n_bins
        self.n_components = n_components
        self.alpha = alpha
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @fit_method
    def fit(self, X: ArrayLike, y: ArrayLike) -> "MMDTestCV":
        """Choose the kernel on one half of the rows and test on the other.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows of all groups.
        y : array-like of shape (n_rows,)
            Label of each row's group: two or more different ones.

        Returns
        -------
        MMDTestCV
            Itself.

        Raises
        ------
        ValueError
            If a group has a single row, or there is one group only.
        """
        kernels = self._kernels()
        rows, labels = validate_data(self, X, y, dtype=np.float64, order="C")
        sample, classes = pool_groups(rows, labels, None, owner=type(self).__name__)
        rng = generator(self.random_state)
        halves = split_groups(sample, self.test_size, rng)
        folds = fold_groups([rows[0] for rows in halves], self.n_splits)
        self.selection_indices_ = np.sort(np.concatenate([rows[0] for rows in halves]))
        self.test_indices_ = np.sort(np.concatenate([rows[1] for rows in halves]))
        selection = take_rows(sample, self.selection_indices_)
        grids = [resolve_gammas(kernel, self.gamma, selection) for kernel in kernels]
        power = fold_power(sample, folds, kernels, grids, self.n_jobs)
        gammas = np.concatenate(grids)
        of_candidate = [k for k, grid in zip(kernels, grids, strict=True) for _ in grid]
        chosen = int(power.mean(axis=1).argmax())
        self.kernel_, gamma = of_candidate[chosen], float(gammas[chosen])
        self.cv_results_ = {
            "kernel": of_candidate,
            "gamma": gammas,
            "mean_power": power.mean(axis=1),
            "fold_power": power,
        }
        settings = {name: getattr(self, name) for name in TEST_CONSTRAINTS}
        settings |= {"kernel": self.kernel_, "random_state": int(rng.integers(2**31))}
        settings |= {"gamma": 1.0 if np.isnan(gamma) else gamma}
        self._store(run_test(take_rows(sample, self.test_indices_), **settings), classes)
        return self

    def _kernels(self) -> list[Kernel]:
        several = isinstance(self.kernel, list | tuple)
        kernels: list[Any] = list(self.kernel) if several else [self.kernel]  # type: ignore[arg-type]
        for kernel in kernels:
            if not (callable(kernel) or (isinstance(kernel, str) and kernel in KERNELS)):
                raise ValueError(
                    f"kernel holds {kernel!r}; each must be callable or one of {sorted(KERNELS)}."
                )
        if not kernels:
            raise ValueError("kernel is empty; pass at least one kernel to choose from.")
        return kernels


def split_groups(
    sample: PooledSample, test_size: float, rng: np.random.Generator
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Split the rows of each group at random into those to choose by and those to test.

    Raises
    ------
    ValueError
        If a group has a single row.
    """
    if sample.sizes.min() < 2:
        raise ValueError(
            f"Splitting needs at least 2 rows in each group, got groups of "
            f"{sample.sizes.tolist()} rows; MMDTest does without splitting."
        )
    halves = []
    for group in range(sample.n_groups):
        rows = rng.permutation(np.flatnonzero(sample.codes == group))
        # The test comes first where rows are few: a group of one row has no pairs.
        least, most = min(_MIN_ROWS, len(rows) - 1), len(rows) - 1
        n_test = int(np.clip(round(test_size * len(rows)), least, most))
        halves.append((rows[n_test:], rows[:n_test]))
    return halves


def fold_groups(groups: list[NDArray[np.intp]], n_splits: int) -> list[NDArray[np.intp]]:
    """Deal the rows of each group to folds with at least two rows of each."""
    n_folds = max(1, min(n_splits, min(len(rows) for rows in groups) // _MIN_ROWS))
    parts = [np.array_split(rows, n_folds) for rows in groups]
    return [np.concatenate([part[fold] for part in parts]) for fold in range(n_folds)]


def fold_power(
    sample: PooledSample,
    folds: list[NDArray[np.intp]],
    kernels: list[Kernel],
    grids: list[FloatArray],
    n_jobs: int | None,
) -> FloatArray:
    """Return the power criterion of each kernel and gamma on each fold, (n_candidates, n_folds)."""
    return np.stack(
        [
            np.concatenate(
                [
                    power_criterion(take_rows(sample, rows), kernel, grid, n_jobs)
                    for kernel, grid in zip(kernels, grids, strict=True)
                ]
            )
            for rows in folds
        ],
        axis=1,
    )
