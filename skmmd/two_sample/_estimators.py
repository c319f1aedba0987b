"""The test as a scikit-learn estimator, and what the estimators of labelled groups share."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets

from skmmd._validation import (
    Estimator,
    check_is_fitted,
    check_weight,
    feature_names,
    fit_method,
    generator,
    validate_data,
)
from skmmd.kernels import Kernel, gram
from skmmd.two_sample._features import score_features
from skmmd.two_sample._functions import TEST_CONSTRAINTS, check_gram, run_test
from skmmd.two_sample._result import FeatureScores, MMDTestResult
from skmmd.two_sample._sample import PooledSample
from skmmd.two_sample._statistics import power, witness_criterion
from skmmd.two_sample._sums import row_sums
from skmmd.two_sample._witness import group_witness

__all__ = ["GroupTest", "MMDTest", "pool_groups", "power_criterion"]

FloatArray = NDArray[np.float64]


def pool_groups(
    rows: FloatArray, y: ArrayLike, sample_weight: ArrayLike | None, *, owner: str
) -> tuple[PooledSample, NDArray[Any]]:
    """Return the rows grouped by their labels, and the sorted labels.

    Raises
    ------
    ValueError
        If there are fewer than two groups, or a group has no weight.
    """
    check_classification_targets(y)
    classes, codes = np.unique(np.asarray(y), return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"{owner} compares groups of rows, but y holds {len(classes)} class only "
            f"({classes[0]}). Label the rows of each group differently; in a cross-validation, "
            "pass cv=StratifiedKFold(), which keeps all groups in each fold."
        )
    if len(classes) > 255:
        raise ValueError(f"{owner} compares at most 255 groups, y holds {len(classes)}.")
    weight = check_weight(sample_weight, rows, name="sample_weight")
    codes = codes.reshape(-1).astype(np.intp)
    empty = np.bincount(codes, weight, len(classes)) <= 0.0
    if np.any(empty):
        raise ValueError(f"sample_weight is zero for all rows of {classes[empty].tolist()}.")
    return PooledSample(rows, codes, weight, len(classes)), classes


def power_criterion(
    sample: PooledSample, kernel: Kernel, gammas: FloatArray, n_jobs: int | None = None
) -> FloatArray:
    """Return the power criterion J of each kernel on a pooled sample, shape (n_kernels,)."""
    # Not centred: the power criterion of the linear kernel depends on the origin.
    blocks = gram(kernel, gammas, sample.rows)
    sums, _ = row_sums(blocks, sample, n_jobs=n_jobs)
    return power(sums, blocks.diagonal(), sample)


def witness_power(sample: PooledSample, fitted: PooledSample) -> float:
    """Return J of rows given by their kernel values with the rows of another sample."""
    members = fitted.members
    return witness_criterion(sample.rows @ (members / members.sum(axis=0)), sample)


class GroupTest(Estimator):
    """What the tests of labelled groups share: their outcome's attributes and the witness."""

    result_: MMDTestResult
    classes_: NDArray[Any]
    n_jobs: int | None

    def _store(self, result: MMDTestResult, classes: NDArray[Any]) -> None:
        self.result_ = result
        self.classes_ = classes
        self.statistic_ = result.statistic
        self.pvalue_ = result.pvalue
        self.mmd2_ = result.mmd2
        self.gamma_ = result.gamma
        self.best_gamma_ = result.best_gamma
        self.null_distribution_ = result.null_distribution
        self.threshold_ = result.threshold

    def score_samples(self, X: ArrayLike) -> FloatArray:
        """Return the witness function: where which group is denser.

        Parameters
        ----------
        X : array-like of shape (n_points, n_features)
            Where; kernel values with the rows of `fit` for ``kernel="precomputed"``.

        Returns
        -------
        ndarray of shape (n_points,), or (n_points, n_groups) for three or more groups
            Mean kernel to ``classes_[0]`` minus mean kernel to ``classes_[1]``; for three or more
            groups, each group against the rest. At the gamma that attained the maximum.
        """
        check_is_fitted(self)
        points = validate_data(self, X, dtype=np.float64, order="C", reset=False)
        result = self.result_
        return group_witness(
            result.kernel, self.best_gamma_, points, result._sample, n_jobs=self.n_jobs
        )

    def __sklearn_tags__(self) -> Tags:
        """Return the tags: labels are required."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.pairwise = getattr(self, "kernel", None) == "precomputed"
        return tags


class MMDTest(GroupTest):
    """MMD test of whether two or more groups of rows come from the same distribution.

    Parameters
    ----------
    kernel : {"rbf", "laplacian", "imq", "rq", "linear", "polynomial", "energy", "precomputed"} \
or callable, default="rbf"
        As in :func:`mmd`.
    gamma : float, "median", "aggregate" or array-like of float, default="aggregate"
        Kernel coefficient, as in :func:`mmd_test`.
    estimator : {"unbiased", "biased"}, default="unbiased"
        Statistic: without or with the pairs of a row with itself.
    method : {"auto", "exact", "permutation", "binned", "nystroem", "asymptotic"}, default="auto"
        How the null distribution is found, as in :func:`mmd_test`.
    n_permutations : int, default=999
        Number of random labelings; with 0 `fit` computes the statistic alone.
    n_bins : int, default=256
        Number of bins of "binned" and "nystroem".
    n_components : int, default=256
        Number of landmarks of "nystroem".
    alpha : float, default=0.05
        Level of ``threshold_``.
    random_state : int, RandomState instance or None, default=None
        Draws labelings, bins and landmarks.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.
    verbose : int, default=0
        Show a progress bar if positive.

    Attributes
    ----------
    statistic_ : float
        The statistic; see :class:`MMDTestResult`.
    pvalue_ : float
        The p-value; NaN with ``n_permutations=0``.
    mmd2_ : float or ndarray of shape (n_gammas,)
        Squared MMD of each kernel (three or more groups: K-sample statistic).
    gamma_ : float or ndarray of shape (n_gammas,)
        The gammas that were compared; NaN for a kernel without gamma.
    best_gamma_ : float
        The gamma that attained the maximum.
    null_distribution_ : ndarray of shape (n_permutations,)
        The statistic under the permutations.
    threshold_ : float
        The critical value at `alpha`.
    classes_ : ndarray of shape (n_groups,)
        The labels of the groups, sorted; the first is the reference.
    result_ : MMDTestResult
        All of these together.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where `X` had string names.

    See Also
    --------
    mmd_test : The same as a function of two arrays.
    MMDTestCV : Chooses the kernel on one half of the data and tests on the other.
    MMDDriftDetector : Keeps a reference and tests batch after batch.

    Notes
    -----
    The p-value of a single `fit` is valid. That of the ``best_estimator_`` of a grid search is
    not: its kernel was chosen for the power it showed on the same rows. `MMDTestCV` splits the
    data for that. The rows of the groups stand together in `X`, so that a cross-validation must
    be stratified: pass ``cv=StratifiedKFold(...)``, since scikit-learn's default for an estimator
    that is not a classifier would take whole groups away.

    Integer weights act as so many copies of the rows in the statistic. In permutations a weight
    travels with its row, copies would not: the p-value may differ from that of copied rows. It is
    valid where weights and rows are exchangeable together; with importance weights on one group
    alone they are not, and the statistic is right but the p-value is not.

    References
    ----------
    Gretton, A. et al. (2012). A kernel two-sample test. JMLR 13, 723-773.

    Sutherland, D. J. et al. (2017). Generative models and model criticism via optimized maximum
    mean discrepancy. ICLR.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skmmd.two_sample import MMDTest
    >>> X, y = load_iris(return_X_y=True)
    >>> test = MMDTest(random_state=0).fit(X[50:], y[50:])
    >>> test.pvalue_
    0.001
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = TEST_CONSTRAINTS

    def __init__(
        self,
        kernel: Kernel = "rbf",
        *,
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
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> "MMDTest":
        """Test whether the groups of rows that `y` labels differ.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows of all groups; their Gram matrix for ``kernel="precomputed"``.
        y : array-like of shape (n_rows,)
            Label of each row's group: two or more different ones.
        sample_weight : array-like of shape (n_rows,), default=None
            A weight acts as so many copies of the row in the statistic.

        Returns
        -------
        MMDTest
            Itself.

        Raises
        ------
        ValueError
            If there is one group only, or `X` holds NaN or infinite values.
        """
        sample, classes = self._pool(X, y, sample_weight, reset=True)
        self._store(run_test(sample, **self.get_params(deep=False)), classes)
        return self

    def _pool(
        self, X: ArrayLike, y: ArrayLike | None, sample_weight: ArrayLike | None, *, reset: bool
    ) -> tuple[PooledSample, NDArray[Any]]:
        # A copy where it is kept: the caller may go on to change X.
        rows, labels = validate_data(
            self, X, y, dtype=np.float64, order="C", reset=reset, copy=reset
        )
        if self.kernel == "precomputed":
            check_gram(rows, name="X")
        return pool_groups(rows, labels, sample_weight, owner=type(self).__name__)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the power criterion J on the given rows: larger means a more powerful test.

        ``J = MMD^2_u / sqrt(v + 1e-8)``, the unbiased squared MMD over its estimated standard
        deviation, at the gamma that attained the maximum in `fit`. It serves to compare kernels
        on held-out rows.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Rows of all groups. For ``kernel="precomputed"`` their kernel values with the rows of
            `fit`: J is then that of the witness learned in `fit`, since the rows' kernel values
            with each other are not known; those of the rows of `fit` themselves are.
        y : array-like of shape (n_rows,)
            Label of each row's group.
        sample_weight : array-like of shape (n_rows,), default=None
            A weight acts as so many copies of the row.

        Returns
        -------
        float
            J; the mean over the pairs of groups for three or more.
        """
        check_is_fitted(self)
        rows, labels = validate_data(self, X, y, dtype=np.float64, order="C", reset=False)
        sample, _ = pool_groups(rows, labels, sample_weight, owner=type(self).__name__)
        fitted = self.result_._sample
        if self.kernel == "precomputed" and not np.array_equal(rows, fitted.rows):
            if sample.n_groups != fitted.n_groups:
                raise ValueError(
                    f"y holds {sample.n_groups} groups; the test was fitted on {fitted.n_groups}."
                )
            return witness_power(sample, fitted)
        gammas = np.array([self.best_gamma_])
        return float(power_criterion(sample, self.kernel, gammas, self.n_jobs)[0])

    def feature_scores(
        self,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> FeatureScores:
        """Test each feature by itself, to see which of them differ between the groups.

        Each feature is compared by a one-dimensional Laplacian kernel with its own median
        bandwidth, under the same permutations, and the p-values are adjusted for the number of
        features.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features), default=None
            Rows of all groups; None means those of `fit`.
        y : array-like of shape (n_rows,), default=None
            Label of each row's group; None goes with `X` None.
        sample_weight : array-like of shape (n_rows,), default=None
            A weight acts as so many copies of the row.

        Returns
        -------
        FeatureScores
            ``statistic`` and ``pvalue`` of each feature.

        Raises
        ------
        ValueError
            For ``kernel="precomputed"``, which has no features.
        """
        check_is_fitted(self)
        if self.kernel == "precomputed":
            raise ValueError("feature_scores needs the features; kernel='precomputed' has none.")
        if X is None:
            if y is not None or sample_weight is not None:
                raise ValueError("feature_scores takes y and sample_weight with X only.")
            sample = self.result_._sample
        else:
            sample, _ = self._pool(X, y, sample_weight, reset=False)
        scores = score_features(
            sample,
            unbiased=self.estimator == "unbiased",
            n_permutations=self.n_permutations,
            n_bins=self.n_bins,
            rng=generator(self.random_state),
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        return FeatureScores(**scores, feature_names=feature_names(self))
