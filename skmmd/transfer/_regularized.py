"""The estimators that predict with MMD as a loss: classes, and values."""

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils import Tags

from skmmd._validation import (
    Estimator,
    Integral,
    Interval,
    Real,
    check_is_fitted,
    check_weight,
    fit_method,
    validate_data,
)
from skmmd.kernels import Kernel, gram, kernel_products
from skmmd.transfer._differences import mean_differences
from skmmd.transfer._domains import KERNEL_CONSTRAINTS, Domains, read_domains, resolve_gamma
from skmmd.transfer._least_squares import (
    FullLeastSquares,
    LowRankLeastSquares,
    least_squares_of,
)
from skmmd.transfer._pseudo_labels import nearest_codes, solve_in_rounds
from skmmd.transfer._source_labels import source_classes, source_values

__all__ = ["MMDRegularizedClassifier", "MMDRegularizedRegressor"]

FloatArray = NDArray[np.float64]


class MMDRegularizedPredictor(Estimator):
    """What the two estimators share: the system of the fitted rows, and its solution elsewhere."""

    __metadata_request__fit = {"sample_domain": True}

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **KERNEL_CONSTRAINTS,
        "alpha": [Interval(Real, 0, None, closed="neither")],
        "mmd_weight": [Interval(Real, 0, None, closed="left")],
        "n_landmarks": [Interval(Integral, 1, None, closed="left"), None],
        "n_jobs": [Integral, None],
    }

    kernel: Kernel
    gamma: float | str
    alpha: float
    mmd_weight: float
    n_landmarks: int | None
    n_jobs: int | None
    dual_coef_: FloatArray

    def _check(
        self, X: ArrayLike, sample_weight: ArrayLike | None, sample_domain: ArrayLike | None
    ) -> tuple[FloatArray, Domains, FloatArray]:
        """Return rows, domains and weights; each domain has weight."""
        owner = type(self).__name__
        rows = validate_data(self, X, dtype=np.float64, order="C", copy=True)
        domains = read_domains(sample_domain, len(rows), owner=owner)
        weight = check_weight(sample_weight, rows, name="sample_weight")
        for name, members in (("source", domains.source), ("target", domains.target)):
            if members.size and not weight[members].max() > 0.0:
                raise ValueError(
                    f"sample_weight is zero for all {name} rows. {owner} needs weight in both "
                    "domains; leave out sample_domain to fit on source rows alone."
                )
        return rows, domains, weight

    def _system(
        self, rows: FloatArray, domains: Domains, weight: FloatArray
    ) -> FullLeastSquares | LowRankLeastSquares:
        """Return the system; store what is known before it is solved."""
        # The median of unweighted rows is found faster, by a partial sort.
        uneven = None if np.all(weight == 1.0) else weight
        self.gamma_ = resolve_gamma(self.kernel, self.gamma, rows, uneven)
        system, self.X_fit_ = least_squares_of(
            self.kernel,
            self.gamma_,
            rows,
            domains,
            weight,
            float(self.alpha),
            self.n_landmarks,
            n_jobs=self.n_jobs,
        )
        self.n_landmarks_ = 0 if isinstance(system, FullLeastSquares) else len(self.X_fit_)
        return system

    def _strength(self, domains: Domains, weight: FloatArray) -> float:
        """Return the weight of the MMD beside a sum, not a mean, over source rows."""
        return float(self.mmd_weight) * float(weight[domains.source].sum())

    def _values_at(self, X: ArrayLike) -> FloatArray:
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, order="C", reset=False)
        blocks = gram(self.kernel, np.array([self.gamma_]), rows, self.X_fit_)
        return kernel_products(blocks, self.dual_coef_, n_jobs=self.n_jobs)


class MMDRegularizedClassifier(ClassifierMixin, MMDRegularizedPredictor):
    r"""Classify the target by kernel least squares on the source, with MMD as a loss.

    One function f of the kernel's space for each class fits its 0/1 labels on the source, and is
    to have equal means over source and target: over all rows, and over those of each class. For
    the target these are pseudo-labels: first that of the nearest source row, then what the last
    solution predicts, until they no longer change.

    Parameters
    ----------
    kernel : {"rbf", "laplacian", "imq", "rq", "linear", "polynomial"} or callable, default="rbf"
        The kernel; a callable takes two arrays of rows and returns their Gram matrix, which must
        be positive semi-definite.
    gamma : float or "median", default="median"
        Kernel coefficient; "median" takes the median heuristic on the rows of both domains.
    alpha : float, default=0.1
        Weight sigma of the squared norms of f.
    mmd_weight : float, default=10.0
        Weight lambda of the squared differences of means; 0 leaves kernel least squares on the
        source.
    conditional : bool, default=True
        Whether means are to agree in each class that the source and the pseudo-labels of the
        target share.
    marginal : bool, default=True
        Whether means are to agree over all rows.
    max_iter : int, default=10
        Most systems to solve, one for each change of the pseudo-labels. Without `conditional` it
        is a single one.
    n_landmarks : int, default=None
        Number of landmarks of a kernel of low rank, at most. None computes with the whole Gram
        matrix up to 5,000 rows; above, with as many landmarks as the spectrum asks for, at most
        500.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels of source rows, sorted.
    dual_coef_ : ndarray of shape (n_samples, n_classes) or (n_landmarks, n_classes)
        Coefficients of the rows of `X_fit_`: ``f(x) = k(x, X_fit_) @ dual_coef_``.
    X_fit_ : ndarray of shape (n_samples, n_features) or (n_landmarks, n_features)
        The rows of `fit`, or the landmarks.
    pseudo_labels_ : ndarray of shape (n_target,)
        Predictions for the target rows, in their order.
    n_iter_ : int
        Number of systems that were solved.
    converged_ : bool
        Whether the pseudo-labels no longer changed.
    gamma_ : float
        The kernel coefficient; 1 where the kernel has none.
    n_landmarks_ : int
        Number of landmarks; 0 with the whole Gram matrix.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where `X` had string names.

    See Also
    --------
    MMDRegularizedRegressor : The same for values.
    JointDistributionAdaptation : Aligns the rows in a map instead.

    Notes
    -----
    Minimised is, for each class, with the number of source rows :math:`n_s`,

    .. math:: \frac{1}{n_s} \sum_s (f(x_s) - y_s)^2 + \frac{\sigma}{n_s} |f|^2
       + \lambda \sum_e (e' f)^2

    where each :math:`e' f` is the mean of f over source rows minus that over target rows, all or
    of a class. There is no intercept. An integer weight of a row equals so many copies of it.
    This is [1]_ without its manifold term. One Cholesky factorisation serves all solutions, which
    differ by a matrix of rank n_classes + 1 at most.

    "Nearest" is meant in the kernel's space; beyond 5,000 source rows so many of them, at even
    steps, are compared. Beside a start from the solution without pseudo-labels, accuracy on the
    target gained 0.02 to 0.1 where images were turned or classes changed their share, and lost
    0.01 under covariate shift. Where the domains are so far apart that the first pseudo-labels are
    mostly wrong, those that follow will be, too.
    Pseudo-labels may come to alternate, so that `max_iter` ends the search.

    References
    ----------
    .. [1] M. Long, J. Wang, G. Ding, S. J. Pan and P. S. Yu, "Adaptation regularization: a general
       framework for transfer learning", IEEE Transactions on Knowledge and Data Engineering 26(5),
       2014, pp. 1076-1089.

    Examples
    --------
    >>> from skmmd.datasets import make_rotated_digits
    >>> from skmmd.transfer import MMDRegularizedClassifier, stack_domains
    >>> Xs, ys, Xt, yt = make_rotated_digits(300, random_state=0)
    >>> X, y, sample_domain = stack_domains(Xs, ys, Xt)
    >>> aligned = MMDRegularizedClassifier().fit(X, y, sample_domain=sample_domain)
    >>> unaligned = MMDRegularizedClassifier(mmd_weight=0).fit(X, y, sample_domain=sample_domain)
    >>> bool(aligned.score(Xt, yt) > unaligned.score(Xt, yt))
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **MMDRegularizedPredictor._parameter_constraints,
        "conditional": ["boolean"],
        "marginal": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        *,
        kernel: Kernel = "rbf",
        gamma: float | str = "median",
        alpha: float = 0.1,
        mmd_weight: float = 10.0,
        conditional: bool = True,
        marginal: bool = True,
        max_iter: int = 10,
        n_landmarks: int | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.kernel = kernel
        self.gamma = gamma
        self.alpha = alpha
        self.mmd_weight = mmd_weight
        self.conditional = conditional
        self.marginal = marginal
        self.max_iter = max_iter
        self.n_landmarks = n_landmarks
        self.n_jobs = n_jobs

    @fit_method
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        sample_domain: ArrayLike | None = None,
    ) -> Self:
        """Fit the source labels, and align the predictions of both domains.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of both domains, in any order.
        y : array-like of shape (n_samples,)
            Labels of at least two classes. Those of target rows are not looked at.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows of both domains. An integer weight equals so many copies.
        sample_domain : array-like of shape (n_samples,), default=None
            0 or more for source rows, negative for target rows. None: all rows are source, and
            nothing is aligned, which is warned of.

        Returns
        -------
        MMDRegularizedClassifier
            This estimator.

        Raises
        ------
        ValueError
            If the input is not finite, a domain has no rows or no weight, or the source has one
            class.
        TypeError
            If `sample_domain` holds no numbers.
        """
        rows, domains, weight = self._check(X, sample_weight, sample_domain)
        self.classes_, codes = source_classes(y, domains, weight, owner=type(self).__name__)
        system = self._system(rows, domains, weight)
        first = None
        if self.conditional:
            first = nearest_codes(
                self.kernel, self.gamma_, rows, domains, weight, codes, n_jobs=self.n_jobs
            )
        found = solve_in_rounds(
            system,
            domains,
            weight,
            codes,
            first,
            len(self.classes_),
            strength=self._strength(domains, weight),
            marginal=bool(self.marginal),
            max_iter=int(self.max_iter),
        )
        self.dual_coef_ = found.coef
        self.pseudo_labels_ = self.classes_[found.target_codes]
        self.n_iter_, self.converged_ = found.n_iter, found.converged
        return self

    def decision_function(self, X: ArrayLike) -> FloatArray:
        """Return the values that are compared to predict a class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            The value f of each class; for two classes that of the second minus that of the first.
        """
        values = self._values_at(X)
        return values[:, 1] - values[:, 0] if len(self.classes_) == 2 else values

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict the class of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            The class with the largest value.
        """
        values = self._values_at(X)
        labels: NDArray[Any] = self.classes_[values.argmax(axis=1)]
        return labels


class MMDRegularizedRegressor(RegressorMixin, MMDRegularizedPredictor):
    """Predict values in the target by kernel least squares on the source, with MMD as a loss.

    A function f of the kernel's space fits the values of the source, and is to have equal means
    over source and target rows. That suits a shift under which values keep their distribution;
    where the values themselves shift with the rows, weights of rows do better.

    Parameters
    ----------
    kernel : {"rbf", "laplacian", "imq", "rq", "linear", "polynomial"} or callable, default="rbf"
        The kernel; a callable takes two arrays of rows and returns their Gram matrix, which must
        be positive semi-definite.
    gamma : float or "median", default="median"
        Kernel coefficient; "median" takes the median heuristic on the rows of both domains.
    alpha : float, default=0.1
        Weight sigma of the squared norm of f.
    mmd_weight : float, default=10.0
        Weight lambda of the squared difference of means; 0 leaves kernel least squares on the
        source.
    n_landmarks : int, default=None
        Number of landmarks of a kernel of low rank, at most. None computes with the whole Gram
        matrix up to 5,000 rows; above, with as many landmarks as the spectrum asks for, at most
        500.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Attributes
    ----------
    dual_coef_ : ndarray of shape (n_samples, ...) or (n_landmarks, ...)
        Coefficients of the rows of `X_fit_`, ``f(x) = k(x, X_fit_) @ dual_coef_``; with a second
        axis for several outputs.
    X_fit_ : ndarray of shape (n_samples, n_features) or (n_landmarks, n_features)
        The rows of `fit`, or the landmarks.
    gamma_ : float
        The kernel coefficient; 1 where the kernel has none.
    n_landmarks_ : int
        Number of landmarks; 0 with the whole Gram matrix.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where `X` had string names.

    See Also
    --------
    MMDRegularizedClassifier : The same for classes.
    sklearn.kernel_ridge.KernelRidge : Without a second domain.

    Notes
    -----
    The objective is that of :class:`MMDRegularizedClassifier` with the means over all rows alone:
    values have no classes. There is no intercept: centre `y` where its mean is far from 0.

    References
    ----------
    .. [1] M. Long, J. Wang, G. Ding, S. J. Pan and P. S. Yu, "Adaptation regularization: a general
       framework for transfer learning", IEEE Transactions on Knowledge and Data Engineering 26(5),
       2014, pp. 1076-1089.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.transfer import MMDRegularizedRegressor
    >>> x = np.linspace(0.0, 2.0, 40)
    >>> X = np.concatenate([x, x + 0.5])[:, None]
    >>> y = np.concatenate([np.sin(x), np.full(40, np.nan)])
    >>> sample_domain = np.repeat([1, -1], 40)
    >>> model = MMDRegularizedRegressor(alpha=1e-3).fit(X, y, sample_domain=sample_domain)
    >>> source, target = model.predict(X[:40]), model.predict(X[40:])
    >>> bool(abs(source.mean() - target.mean()) < 0.01)
    True
    """

    def __init__(
        self,
        *,
        kernel: Kernel = "rbf",
        gamma: float | str = "median",
        alpha: float = 0.1,
        mmd_weight: float = 10.0,
        n_landmarks: int | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.kernel = kernel
        self.gamma = gamma
        self.alpha = alpha
        self.mmd_weight = mmd_weight
        self.n_landmarks = n_landmarks
        self.n_jobs = n_jobs

    @fit_method
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        sample_domain: ArrayLike | None = None,
    ) -> Self:
        """Fit the source values, and align the predictions of both domains.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of both domains, in any order.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Values. Those of target rows are not looked at, and may be NaN.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows of both domains. An integer weight equals so many copies.
        sample_domain : array-like of shape (n_samples,), default=None
            0 or more for source rows, negative for target rows. None: all rows are source, and
            nothing is aligned, which is warned of.

        Returns
        -------
        MMDRegularizedRegressor
            This estimator.

        Raises
        ------
        ValueError
            If the input is not finite, or a domain has no rows or no weight.
        TypeError
            If `sample_domain` holds no numbers.
        """
        rows, domains, weight = self._check(X, sample_weight, sample_domain)
        values = source_values(y, domains, len(rows), owner=type(self).__name__)
        system = self._system(rows, domains, weight)
        Y = values.reshape(len(values), -1)
        differences = mean_differences(domains, weight)
        coef = system.solve(Y, differences, self._strength(domains, weight))
        self.dual_coef_ = coef.reshape(len(coef), *values.shape[1:])
        return self

    def predict(self, X: ArrayLike) -> FloatArray:
        """Predict the values of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The values.
        """
        return self._values_at(X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
