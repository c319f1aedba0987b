"""The pooled sample: rows, groups and weights, and the kernels that a request means on them."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmmd.kernels import GAMMA_FREE, Gram, Kernel, dyadic_gammas, gram, median_gamma
from skmmd.two_sample._labelings import count_labelings

__all__ = ["PooledSample", "choose_method", "pooled_gram", "resolve_gammas", "take_rows"]

FloatArray = NDArray[np.float64]

MAX_LABELINGS = 10**7
_PERMUTATION_MAX_ROWS = 2000
# A group of total weight 1, to rounding, has no pairs.
LONE = 1e-9
_BINNED_MAX_ROWS = 20_000


@dataclass(frozen=True)
class PooledSample:
    """Rows of all groups together.

    Attributes
    ----------
    rows : ndarray of shape (n_rows, n_features)
        The rows, or their Gram matrix where the kernel is "precomputed".
    codes : ndarray of shape (n_rows,)
        Group of each row: 0, 1, ...
    weight : ndarray of shape (n_rows,)
        Weights of the rows.
    n_groups : int
        Number of groups.
    """

    rows: FloatArray
    codes: NDArray[np.intp]
    weight: FloatArray
    n_groups: int

    @property
    def sizes(self) -> NDArray[np.intp]:
        """Number of rows of each group."""
        return np.bincount(self.codes, minlength=self.n_groups)

    @property
    def mass(self) -> FloatArray:
        """Sum of the weights of each group."""
        return np.bincount(self.codes, self.weight, self.n_groups).astype(np.float64)

    @property
    def members(self) -> FloatArray:
        """Weight of each row in the column of its group, else 0: (n_rows, n_groups)."""
        return np.eye(self.n_groups)[self.codes] * self.weight[:, None]

    @property
    def bandwidth_weight(self) -> FloatArray | None:
        """The weights, None if all are 1."""
        return None if np.all(self.weight == 1.0) else self.weight


def resolve_gammas(
    kernel: Kernel, gamma: str | float | ArrayLike, sample: PooledSample
) -> FloatArray:
    """Return the gammas that `gamma` means on the pooled sample, ascending for the grid.

    A kernel without gamma gets a single NaN.

    Raises
    ------
    ValueError
        If an array of gammas is empty, has two dimensions, or holds values that are not positive
        and finite.
    """
    if callable(kernel) or kernel in GAMMA_FREE:
        return np.array([np.nan])
    if isinstance(gamma, str):
        if gamma == "median":
            return np.array([median_gamma(kernel, sample.rows, sample.bandwidth_weight)])
        return dyadic_gammas(kernel, sample.rows, sample.bandwidth_weight)
    gammas = np.array(gamma, dtype=np.float64, ndmin=1)
    if gammas.ndim != 1 or gammas.size == 0:
        raise ValueError(
            f"gamma has shape {gammas.shape}; expected a number, or a one-dimensional array with "
            "at least one value."
        )
    if not np.all(np.isfinite(gammas) & (gammas > 0.0)):
        raise ValueError(f"gamma must be positive and finite, got {gamma!r}.")
    return gammas


def take_rows(sample: PooledSample, rows: NDArray[np.intp], kernel: Kernel = "rbf") -> PooledSample:
    """Return some rows of a sample, in the order given; of a Gram matrix the columns too."""
    taken = sample.rows[np.ix_(rows, rows)] if kernel == "precomputed" else sample.rows[rows]
    return PooledSample(taken, sample.codes[rows], sample.weight[rows], sample.n_groups)


def choose_method(method: str, kernel: Kernel, sample: PooledSample, n_permutations: int) -> str:
    """Return the method that "auto" means, or check that `method` can be used.

    Raises
    ------
    ValueError
        If there are too many labelings to enumerate, or the method can't take the kernel.
    """
    sizes = sample.sizes
    n_rows = int(sizes.sum())
    # The kernel that stands in for the energy kernel has the same MMD only with all terms.
    lone_energy = kernel == "energy" and not can_center(sample)
    if method == "auto":
        if n_permutations > 0 and _few_labelings(sizes, n_permutations + 1):
            return "exact"
        if n_rows <= _PERMUTATION_MAX_ROWS:
            return "permutation"
        if n_rows <= _BINNED_MAX_ROWS or kernel == "precomputed" or lone_energy:
            return "binned"
        return "nystroem"
    if method == "exact" and not _few_labelings(sizes, MAX_LABELINGS):
        raise ValueError(
            f"method='exact' would enumerate more than {MAX_LABELINGS:.0e} labelings of groups of "
            f"{sizes.tolist()} rows; use method='permutation' or 'auto'."
        )
    if method == "nystroem" and kernel == "precomputed":
        raise ValueError(
            "method='nystroem' saves computing the Gram matrix, which kernel='precomputed' already "
            "has; use method='binned' or 'auto'."
        )
    if method == "nystroem" and lone_energy:
        raise ValueError(
            "method='nystroem' with kernel='energy' needs at least 2 rows (a total weight above 1) "
            f"in each group, got {sample.mass.tolist()}; use method='binned'."
        )
    if method == "asymptotic" and kernel == "precomputed":
        raise ValueError("method='asymptotic' does not take kernel='precomputed'.")
    if method == "asymptotic" and len(sizes) > 2:
        raise ValueError(
            f"method='asymptotic' compares two groups, got {len(sizes)}; use method='auto'."
        )
    return method


def _few_labelings(sizes: NDArray[np.intp], most: int) -> bool:
    # The logarithm first: the exact count of large groups has thousands of digits.
    n_rows = int(sizes.sum())
    log_count = math.lgamma(n_rows + 1) - sum(math.lgamma(int(size) + 1) for size in sizes)
    return log_count < math.log(most) + 1.0 and count_labelings(sizes) <= most


def can_center(sample: PooledSample) -> bool:
    """Whether each group has pairs, so that the MMD does not see the linear kernel's origin."""
    return bool(sample.mass.min() > 1.0 + LONE)


def pooled_gram(kernel: Kernel, gammas: FloatArray, sample: PooledSample) -> Gram:
    """Prepare Gram blocks of the pooled rows for sums within groups.

    The linear kernel's rows are centred where that changes nothing.
    """
    return gram(kernel, gammas, sample.rows, center_dot=can_center(sample))
