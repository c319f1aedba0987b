"""Predictors fitted on weighted source rows: a pipeline can't hand weights to its next step."""

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin, RegressorMixin, clone, is_classifier, is_regressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if

from skmmd._validation import (
    Estimator,
    HasMethods,
    check_is_fitted,
    check_weight,
    fit_method,
    validate_data,
)
from skmmd.transfer._domains import Domains, read_domains
from skmmd.transfer._metadata import fit_reweighter, fit_weighted
from skmmd.transfer._source_labels import source_classes, source_values

__all__ = ["TransferClassifier", "TransferRegressor"]

FloatArray = NDArray[np.float64]


def _inner_has(method: str) -> Any:
    """Return a check that the estimator, fitted or to be, has a method."""

    def check(self: "TransferPredictor") -> bool:
        getattr(getattr(self, "estimator_", None) or self._estimator(), method)
        return True

    return check


class TransferPredictor(Estimator):
    """What the two meta-estimators share: the weights, and handing them over."""

    __metadata_request__fit: ClassVar[dict[str, bool]] = {"sample_domain": True}

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "estimator": [HasMethods("fit"), None],
        "reweighter": [HasMethods("fit"), None],
    }

    _default: ClassVar[type]
    estimator: Any
    reweighter: Any
    estimator_: Any

    def __init__(self, estimator: Any = None, reweighter: Any = None) -> None:
        self.estimator = estimator
        self.reweighter = reweighter

    def _estimator(self) -> Any:
        return self._default() if self.estimator is None else self.estimator

    def _check(
        self, X: ArrayLike, sample_domain: ArrayLike | None, sample_weight: ArrayLike | None
    ) -> tuple[NDArray[Any], Domains, FloatArray | None]:
        rows = validate_data(self, X, dtype=[np.float64, np.float32], order="C")
        # A reweighter warns of missing domains itself.
        warn = self.reweighter is None
        domains = read_domains(sample_domain, len(rows), owner=type(self).__name__, warn=warn)
        if sample_weight is None:
            return rows, domains, None
        weight = check_weight(sample_weight, rows, name="sample_weight")
        if not np.any(weight[domains.source] > 0.0):
            raise ValueError("sample_weight is zero for all source rows; some must be positive.")
        return rows, domains, weight

    def _fit_source(
        self,
        rows: NDArray[Any],
        y_source: NDArray[Any],
        domains: Domains,
        sample_domain: ArrayLike | None,
        weight: FloatArray | None,
    ) -> None:
        """Weigh the source rows and fit the estimator on them."""
        source = domains.source
        estimator = clone(self._estimator())
        self.reweighter_, self.weights_ = None, np.ones(len(source))
        given = None if weight is None else weight[source]
        if self.reweighter is not None:
            self.reweighter_, self.weights_ = fit_reweighter(
                self.reweighter, rows, sample_domain, len(source), weight
            )
            given = self.weights_ if given is None else given * self.weights_
        self.estimator_ = fit_weighted(estimator, rows[source], y_source, given)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Predict by the estimator that was fitted on weighted source rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, of either domain.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictions.
        """
        rows = self._rows(X)
        return np.asarray(self.estimator_.predict(rows))

    def _rows(self, X: ArrayLike) -> NDArray[Any]:
        check_is_fitted(self)
        return np.asarray(
            validate_data(self, X, dtype=[np.float64, np.float32], order="C", reset=False)
        )


class TransferClassifier(ClassifierMixin, TransferPredictor):
    """Classifier fitted on the source rows, weighted so that they look like the target.

    Parameters
    ----------
    estimator : classifier, default=None
        What is fitted; its `fit` must take `sample_weight` if there is a reweighter. A pipeline
        hands the weights to its last step. None: :class:`LogisticRegression
        <sklearn.linear_model.LogisticRegression>`.
    reweighter : estimator, default=None
        Gives `weights_` of the source rows: :class:`KernelMeanMatching`, or a pipeline that ends in
        it. None: source rows only, unweighted.

    Attributes
    ----------
    estimator_ : classifier
        The fitted classifier.
    reweighter_ : estimator or None
        The fitted reweighter.
    weights_ : ndarray of shape (n_source,)
        Weights of the source rows by the reweighter; ones without.
    classes_ : ndarray of shape (n_classes,)
        Labels of the source rows.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where X has names that are all strings.

    See Also
    --------
    KernelMeanMatching : Weights by kernel mean matching.
    MMDRegularizedClassifier : Aligns the domains in place of weighing rows.

    References
    ----------
    Shimodaira, H. (2000). Improving predictive inference under covariate shift by weighting the
    log-likelihood function. Journal of Statistical Planning and Inference 90, 227-244.

    Examples
    --------
    >>> from skmmd.datasets import make_shifted_digits
    >>> from skmmd.transfer import KernelMeanMatching, TransferClassifier, stack_domains
    >>> Xs, ys, Xt, yt = make_shifted_digits(random_state=0)
    >>> X, y, sample_domain = stack_domains(Xs, ys, Xt)
    >>> plain = TransferClassifier().fit(X, y, sample_domain=sample_domain)
    >>> matched = TransferClassifier(reweighter=KernelMeanMatching())
    >>> matched.fit(X, y, sample_domain=sample_domain).score(Xt, yt) > plain.score(Xt, yt)
    True
    """

    _default = LogisticRegression
    classes_: NDArray[Any]

    def __init__(self, estimator: Any = None, reweighter: Any = None) -> None:
        super().__init__(estimator, reweighter)

    @fit_method
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_domain: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Weigh the source rows and fit the classifier on them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of both domains, in any order.
        y : array-like of shape (n_samples,)
            Labels; of target rows they are not looked at.
        sample_domain : array-like of shape (n_samples,), default=None
            0 or more for source rows, negative for target rows. None: all rows are source, which
            is warned of.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight acts as so many copies of the row.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If a domain has no rows, the source has one class only, `sample_domain` does not fit X,
            X holds NaN or infinite values, or the classifier does not take weights.
        """
        if is_regressor(self._estimator()):
            raise ValueError(
                f"TransferClassifier takes a classifier, got {self.estimator!r}, a regressor; "
                "TransferRegressor takes it."
            )
        rows, domains, weight = self._check(X, sample_domain, sample_weight)
        counted = np.ones(len(rows)) if weight is None else weight
        classes, codes = source_classes(y, domains, counted, owner=type(self).__name__)
        self._fit_source(rows, classes[codes], domains, sample_domain, weight)
        self.classes_ = getattr(self.estimator_, "classes_", classes)
        return self

    @available_if(_inner_has("predict_proba"))
    def predict_proba(self, X: ArrayLike) -> FloatArray:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities.
        """
        rows = self._rows(X)
        return np.asarray(self.estimator_.predict_proba(rows))

    @available_if(_inner_has("predict_log_proba"))
    def predict_log_proba(self, X: ArrayLike) -> FloatArray:
        """Return the logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Log-probabilities.
        """
        rows = self._rows(X)
        return np.asarray(self.estimator_.predict_log_proba(rows))

    @available_if(_inner_has("decision_function"))
    def decision_function(self, X: ArrayLike) -> FloatArray:
        """Return the decision values of the classifier.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Decision values.
        """
        rows = self._rows(X)
        return np.asarray(self.estimator_.decision_function(rows))


class TransferRegressor(RegressorMixin, TransferPredictor):
    """Regressor fitted on the source rows, weighted so that they look like the target.

    Parameters
    ----------
    estimator : regressor, default=None
        What is fitted; its `fit` must take `sample_weight` if there is a reweighter. A pipeline
        hands the weights to its last step. None: :class:`Ridge <sklearn.linear_model.Ridge>`.
    reweighter : estimator, default=None
        Gives `weights_` of the source rows: :class:`KernelMeanMatching`, or a pipeline that ends in
        it. None: source rows only, unweighted.

    Attributes
    ----------
    estimator_ : regressor
        The fitted regressor.
    reweighter_ : estimator or None
        The fitted reweighter.
    weights_ : ndarray of shape (n_source,)
        Weights of the source rows by the reweighter; ones without.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where X has names that are all strings.

    See Also
    --------
    KernelMeanMatching : Weights by kernel mean matching.
    MMDRegularizedRegressor : Aligns the domains in place of weighing rows.

    References
    ----------
    Shimodaira, H. (2000). Improving predictive inference under covariate shift by weighting the
    log-likelihood function. Journal of Statistical Planning and Inference 90, 227-244.

    Examples
    --------
    >>> from skmmd.datasets import make_regression_shift
    >>> from skmmd.transfer import KernelMeanMatching, TransferRegressor, stack_domains
    >>> Xs, ys, Xt, yt = make_regression_shift((200, 400), random_state=0)
    >>> X, y, sample_domain = stack_domains(Xs, ys, Xt)
    >>> plain = TransferRegressor().fit(X, y, sample_domain=sample_domain)
    >>> matched = TransferRegressor(reweighter=KernelMeanMatching())
    >>> matched.fit(X, y, sample_domain=sample_domain).score(Xt, yt) > plain.score(Xt, yt)
    True
    """

    _default = Ridge

    def __init__(self, estimator: Any = None, reweighter: Any = None) -> None:
        super().__init__(estimator, reweighter)

    @fit_method
    def fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        *,
        sample_domain: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Weigh the source rows and fit the regressor on them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of both domains, in any order.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Values; of target rows they are not looked at, and may be NaN.
        sample_domain : array-like of shape (n_samples,), default=None
            0 or more for source rows, negative for target rows. None: all rows are source, which
            is warned of.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight acts as so many copies of the row.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If a domain has no rows, `sample_domain` does not fit X, X or the source values hold
            NaN or infinite values, or the regressor does not take weights.
        """
        if is_classifier(self._estimator()):
            raise ValueError(
                f"TransferRegressor takes a regressor, got {self.estimator!r}, a classifier; "
                "TransferClassifier takes it."
            )
        rows, domains, weight = self._check(X, sample_domain, sample_weight)
        values = source_values(y, domains, len(rows), owner=type(self).__name__)
        self._fit_source(rows, values, domains, sample_domain, weight)
        return self

    def __sklearn_tags__(self) -> Tags:
        """Return the tags: several outputs are the estimator's business."""
        tags = super().__sklearn_tags__()
        tags.target_tags.single_output = False
        return tags
