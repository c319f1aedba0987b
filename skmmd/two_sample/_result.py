"""What the tests return: small frozen results with scipy's names."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from skmmd._validation import check_rows, check_same_columns
from skmmd.kernels import Kernel
from skmmd.two_sample._sample import PooledSample
from skmmd.two_sample._statistics import critical_value
from skmmd.two_sample._witness import group_witness

__all__ = ["FeatureScores", "MMDTestResult"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MMDTestResult:
    """The result of an MMD test. Unpacks as ``statistic, pvalue``.

    Attributes
    ----------
    statistic : float
        With one kernel and one gamma the squared MMD (three or more groups: the K-sample
        statistic); over several gammas the largest of them, each divided by the Frobenius norm of
        its Gram matrix with zero diagonal. For ``method="asymptotic"`` the studentised cross-MMD.
    pvalue : float
        ``(1 + #{null >= statistic}) / (1 + n_permutations)``, the share of all labelings for
        ``method="exact"``; NaN without permutations.
    mmd2 : float or ndarray of shape (n_gammas,)
        Squared MMD (K-sample statistic) of each kernel.
    gamma : float or ndarray of shape (n_gammas,)
        The gammas that were compared; NaN for a kernel without gamma.
    best_gamma : float
        The gamma that attained the maximum.
    null_distribution : ndarray of shape (n_permutations,)
        The statistic under the permutations; all labelings for ``method="exact"``.
    method : str
        "exact", "permutation", "binned", "nystroem" or "asymptotic".
    n_permutations : int
        Number of labelings in `null_distribution`.
    n_samples : tuple of int
        Number of rows of each group.
    alpha : float
        Significance level.
    kernel : str or callable
        The kernel.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.two_sample import mmd_test
    >>> rng = np.random.default_rng(0)
    >>> result = mmd_test(rng.normal(size=50), rng.normal(size=60) + 1.0, random_state=0)
    >>> statistic, pvalue = result
    >>> result.rejected
    True
    """

    statistic: float
    pvalue: float
    mmd2: float | FloatArray
    gamma: float | FloatArray
    best_gamma: float
    null_distribution: FloatArray = field(repr=False)
    method: str
    n_permutations: int
    n_samples: tuple[int, ...]
    alpha: float
    kernel: Kernel
    _sample: PooledSample = field(repr=False)

    def __iter__(self) -> Iterator[float]:
        """Iterate over ``statistic, pvalue``."""
        return iter((self.statistic, self.pvalue))

    def __repr__(self) -> str:
        """Return the statistic, the p-value, the decision and how it was reached."""
        sizes = " + ".join(str(size) for size in self.n_samples)
        if np.isnan(self.pvalue):
            decision = "not tested"
        else:
            decision = f"{'rejected' if self.rejected else 'not rejected'} at {self.alpha:g}"
        return (
            f"MMDTestResult(statistic={self.statistic:.6g}, pvalue={self.pvalue:.4g}, {decision}; "
            f"{self.method}, {self.n_permutations} labelings, {sizes} rows)"
        )

    @property
    def rejected(self) -> bool:
        """Whether the p-value is at most `alpha`: the samples differ."""
        return bool(self.pvalue <= self.alpha * (1.0 + 1e-12))

    @property
    def threshold(self) -> float:
        """The critical value at `alpha`."""
        return self.critical_value(self.alpha)

    def critical_value(self, alpha: float) -> float:
        """Return the value above which the statistic is significant.

        Parameters
        ----------
        alpha : float
            Level in (0, 1).

        Returns
        -------
        float
            A statistic above it has a p-value of at most `alpha`. Infinite if there are too few
            labelings for any to have; NaN if there are none.

        Raises
        ------
        ValueError
            If `alpha` is not in (0, 1).
        """
        if not 0.0 < alpha < 1.0:
            raise ValueError(f"alpha must lie in (0, 1), got {alpha!r}.")
        if self.method == "asymptotic":
            return float(-special.ndtri(alpha))
        return critical_value(self.null_distribution, alpha, self.method == "exact")

    def witness(self, Z: ArrayLike) -> FloatArray:
        """Return the witness function: positive where the first sample is denser.

        Parameters
        ----------
        Z : array-like of shape (n_points, n_features)
            Where; kernel values with the pooled rows for ``kernel="precomputed"``.

        Returns
        -------
        ndarray of shape (n_points,), or (n_points, n_groups) for three or more groups
            Mean kernel to the first sample minus mean kernel to the second, at `best_gamma`; for
            three or more groups, each group against the rest.
        """
        points = check_rows(Z, name="Z")
        check_same_columns(
            None, None, (points.shape[1], self._sample.rows.shape[1]), ("Z", "the test's sample")
        )
        return group_witness(self.kernel, self.best_gamma, points, self._sample)

    def plot(self, ax: Any = None) -> Any:
        """Draw the null distribution, the statistic and the critical value.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        MMDTestDisplay
            The display, with ``ax_`` and ``figure_``.
        """
        from skmmd.inspection import MMDTestDisplay

        return MMDTestDisplay.from_result(self).plot(ax=ax)


@dataclass(frozen=True, eq=False)
class FeatureScores:
    """How much each feature differs between the groups.

    Attributes
    ----------
    statistic : ndarray of shape (n_features,)
        Squared MMD of each feature by itself under the one-dimensional Laplacian kernel (three or
        more groups: the K-sample statistic), divided by the Frobenius norm of its Gram matrix with
        zero diagonal, so that features can be compared.
    pvalue : ndarray of shape (n_features,)
        Adjusted for the number of features by the distribution of the largest statistic (max-T):
        the chance that any feature is called different when none is, is at most the level.
    mmd2 : ndarray of shape (n_features,)
        Squared MMD, not normalised.
    gamma : ndarray of shape (n_features,)
        Coefficient of each feature's kernel, by the median heuristic.
    feature_names : ndarray of shape (n_features,)
        Names of the features.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skmmd.two_sample import MMDTest
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> scores = MMDTest(random_state=0).fit(X[50:], y[50:]).feature_scores()
    >>> scores.feature_names[scores.ranking()[0]]
    'petal width (cm)'
    """

    statistic: FloatArray
    pvalue: FloatArray
    mmd2: FloatArray = field(repr=False)
    gamma: FloatArray = field(repr=False)
    feature_names: NDArray[Any]

    def ranking(self) -> NDArray[np.intp]:
        """Rank the features, the most different first.

        Returns
        -------
        ndarray of shape (n_features,)
            Their indices.
        """
        return np.argsort(-self.statistic, kind="stable")
