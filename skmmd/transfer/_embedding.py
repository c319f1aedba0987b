"""The estimators of a map: transfer component analysis, joint distribution adaptation."""

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    clone,
    is_classifier,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import Tags

from skmmd._validation import (
    Estimator,
    Integral,
    Interval,
    Real,
    check_is_fitted,
    fit_method,
    generator,
    validate_data,
)
from skmmd.kernels import Kernel, gram, kernel_products
from skmmd.transfer._components import Components, FullKernel, LowRankKernel, kernel_of
from skmmd.transfer._differences import mean_differences
from skmmd.transfer._domains import KERNEL_CONSTRAINTS, Domains, read_domains, resolve_gamma
from skmmd.transfer._source_labels import source_classes

__all__ = ["JointDistributionAdaptation", "TransferComponentAnalysis"]

FloatArray = NDArray[np.float64]
Indices = NDArray[np.intp]


class DomainEmbedding(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):
    """What the estimators of a map share: the kernel of the fitted rows, and `transform`."""

    __metadata_request__fit = {"sample_domain": True}

    n_components: int | None
    kernel: Kernel
    gamma: float | str
    n_landmarks: int | None
    random_state: Any
    n_jobs: int | None
    X_fit_: FloatArray
    dual_coef_: FloatArray

    def _prepare(self, rows: FloatArray) -> tuple[FullKernel | LowRankKernel, int]:
        """Return the kernel of the rows and how many components to seek; store what is fixed."""
        self.gamma_ = resolve_gamma(self.kernel, self.gamma, rows)
        kernel, self.X_fit_ = kernel_of(
            self.kernel,
            self.gamma_,
            rows,
            self.n_landmarks,
            generator(self.random_state),
            n_jobs=self.n_jobs,
        )
        full = isinstance(kernel, FullKernel)
        self.n_landmarks_ = 0 if full else len(self.X_fit_)
        if self.n_components is None:
            return kernel, min(rows.shape[1], kernel.rank)
        if self.n_components > kernel.rank:
            limit = "rows of X" if full else "dimensions that the landmarks span"
            raise ValueError(
                f"n_components={self.n_components} of {type(self).__name__} must not be greater "
                f"than the number of {limit}, {kernel.rank} (n_samples={len(rows)})."
            )
        return kernel, int(self.n_components)

    def _store(self, found: Components) -> None:
        self.dual_coef_ = found.dual_coef
        self.eigenvalues_ = found.eigenvalues

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """Map rows of either domain to the components.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            ``k(X, X_fit_) @ dual_coef_``, not centred. float32 is kept.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=(np.float64, np.float32), order="C", reset=False)
        blocks = gram(
            self.kernel,
            np.array([self.gamma_]),
            rows.astype(np.float64, copy=False),
            self.X_fit_,
        )
        embedded = kernel_products(blocks, self.dual_coef_, n_jobs=self.n_jobs)
        result: NDArray[Any] = embedded.astype(rows.dtype, copy=False)
        return result

    @property
    def _n_features_out(self) -> int:
        return self.dual_coef_.shape[1]

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class TransferComponentAnalysis(DomainEmbedding):
    """Map two domains to components on which their means agree and their rows vary.

    The components w solve ``K H K w = theta (I + mmd_weight K L K) w``: the variance of ``K w``
    against the squared MMD of the domains along it, w'K L K w. K is the Gram matrix of the rows of
    both domains, H centres them.

    Parameters
    ----------
    n_components : int, default=None
        Number of components; None means as many as there are features, or rows if these are fewer.
    kernel : {"rbf", "laplacian", "imq", "rq", "linear", "polynomial"} or callable, default="rbf"
        The kernel; a callable takes two arrays of rows and returns their Gram matrix, which must
        be positive semi-definite.
    gamma : float or "median", default="median"
        Kernel coefficient; "median" takes the median heuristic on the rows of both domains.
    mmd_weight : float, default=1.0
        Weight mu of the MMD; the larger it is, the closer are the means. This is the form of
        [1]_; that of [2]_ has mu on the identity instead, its 1 / mu is this weight.
    n_landmarks : int, default=None
        Number of landmarks of a kernel of low rank, at most. None computes with the whole Gram
        matrix up to 5,000 rows; above, with as many landmarks as the spectrum asks for, at most
        500.
    random_state : int, RandomState instance or None, default=None
        Draws the landmarks.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Attributes
    ----------
    dual_coef_ : ndarray of shape (n_samples, n_components) or (n_landmarks, n_components)
        Coefficients W of the rows of `X_fit_`, with W'(I + mmd_weight K L K) W = I where they are
        all rows. Of each component the largest absolute one is positive.
    eigenvalues_ : ndarray of shape (n_components,)
        The eigenvalues theta, descending.
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
    JointDistributionAdaptation : Aligns the classes too, by pseudo-labels of the target.
    sklearn.decomposition.KernelPCA : Components of the variance alone.

    Notes
    -----
    ``I + mmd_weight K L K`` is the identity plus a matrix of rank one, so its inverse square root
    is known, and a symmetric eigenvalue problem is left, which the Lanczos method solves without a
    factorisation.

    References
    ----------
    .. [1] S. J. Pan, I. W. Tsang, J. T. Kwok and Q. Yang, "Domain adaptation via transfer component
       analysis", IJCAI 2009, pp. 1187-1192.
    .. [2] S. J. Pan, I. W. Tsang, J. T. Kwok and Q. Yang, "Domain adaptation via transfer component
       analysis", IEEE Transactions on Neural Networks 22(2), 2011, pp. 199-210.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.datasets import make_covariate_shift
    >>> from skmmd.transfer import TransferComponentAnalysis
    >>> Xs, Xt = make_covariate_shift(100, random_state=0)
    >>> X, sample_domain = np.vstack([Xs, Xt]), np.repeat([1, -1], 100)
    >>> analysis = TransferComponentAnalysis(2, mmd_weight=1e4)
    >>> Z = analysis.fit_transform(X, sample_domain=sample_domain)
    >>> Z.shape
    (200, 2)
    >>> distance = np.abs(Z[:100].mean(axis=0) - Z[100:].mean(axis=0))
    >>> bool(np.all(distance < 1e-3 * Z.std(axis=0)))
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        **KERNEL_CONSTRAINTS,
        "mmd_weight": [Interval(Real, 0, None, closed="left")],
        "n_landmarks": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        n_components: int | None = None,
        *,
        kernel: Kernel = "rbf",
        gamma: float | str = "median",
        mmd_weight: float = 1.0,
        n_landmarks: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.kernel = kernel
        self.gamma = gamma
        self.mmd_weight = mmd_weight
        self.n_landmarks = n_landmarks
        self.random_state = random_state
        self.n_jobs = n_jobs

    @fit_method
    def fit(self, X: ArrayLike, y: Any = None, *, sample_domain: ArrayLike | None = None) -> Self:
        """Find the components.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of both domains, in any order.
        y : Ignored
            Not used, present for the API of scikit-learn.
        sample_domain : array-like of shape (n_samples,), default=None
            0 or more for source rows, negative for target rows. None: all rows are source, and
            nothing is aligned, which is warned of.

        Returns
        -------
        TransferComponentAnalysis
            This estimator.

        Raises
        ------
        ValueError
            If the input is not finite, a domain has no rows, or there are fewer rows or landmarks
            than components.
        TypeError
            If `sample_domain` holds no numbers.
        """
        rows: FloatArray = validate_data(self, X, dtype=np.float64, order="C", copy=True)
        domains = read_domains(sample_domain, len(rows), owner=type(self).__name__)
        kernel, n_components = self._prepare(rows)
        differences = mean_differences(domains, np.ones(len(rows)))
        self._store(kernel.components(differences, float(self.mmd_weight), 1.0, n_components))
        return self


class JointDistributionAdaptation(DomainEmbedding):
    """Map two domains to components on which they agree, as a whole and in each class.

    The components w solve ``K H K w = theta (ridge I + K M K) w``, where w'K M K w is the squared
    MMD of the domains along ``K w`` plus that of each class, up to a factor. Labels of the target
    are those that a classifier predicts in the embedding, which is then computed anew.

    Parameters
    ----------
    n_components : int, default=None
        Number of components; None means as many as there are features, or rows if these are fewer.
    estimator : classifier, default=None
        Gives the pseudo-labels: fitted on the embedded source rows, it predicts the target rows,
        all divided by their length. None means the nearest neighbour.
    kernel : {"rbf", "laplacian", "imq", "rq", "linear", "polynomial"} or callable, default="rbf"
        The kernel; a callable takes two arrays of rows and returns their Gram matrix, which must
        be positive semi-definite.
    gamma : float or "median", default="median"
        Kernel coefficient; "median" takes the median heuristic on the rows of both domains.
    ridge : float, default=1.0
        Weight of the identity; the smaller it is, the closer are the means.
    max_iter : int, default=10
        Most embeddings to compute.
    n_landmarks : int, default=None
        Number of landmarks of a kernel of low rank, at most. None computes with the whole Gram
        matrix up to 5,000 rows; above, with as many landmarks as the spectrum asks for, at most
        500.
    random_state : int, RandomState instance or None, default=None
        Draws the landmarks.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Attributes
    ----------
    dual_coef_ : ndarray of shape (n_samples, n_components) or (n_landmarks, n_components)
        Coefficients W of the rows of `X_fit_`, with W'(ridge I + K M K) W = I where they are all
        rows. Of each component the largest absolute one is positive.
    eigenvalues_ : ndarray of shape (n_components,)
        The eigenvalues theta, descending.
    estimator_ : classifier
        Fitted on the embedded source rows at unit length.
    classes_ : ndarray of shape (n_classes,)
        The labels of source rows, sorted.
    pseudo_labels_ : ndarray of shape (n_target,)
        What `estimator_` predicts for the target rows, in their order.
    n_iter_ : int
        Number of embeddings that were computed.
    converged_ : bool
        Whether the pseudo-labels no longer changed.
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
    TransferComponentAnalysis : Aligns the domains as a whole, without labels.
    MMDRegularizedClassifier : Aligns the predictions of a classifier instead.

    Notes
    -----
    M is the sum of e e' over the domains and over the classes that source labels and pseudo-labels
    share, divided by its Frobenius norm, where e'f is the difference of two means of f. The first
    embedding aligns the domains alone. Pseudo-labels may come to alternate, so that `max_iter`
    ends the search.

    Use the embedding as `estimator` does: rows at unit length, by
    :class:`~sklearn.preprocessing.Normalizer`, and near neighbours.

    References
    ----------
    .. [1] M. Long, J. Wang, G. Ding, J. Sun and P. S. Yu, "Transfer feature learning with joint
       distribution adaptation", ICCV 2013, pp. 2200-2207.

    Examples
    --------
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import Normalizer
    >>> from skmmd.datasets import make_rotated_digits
    >>> from skmmd.transfer import JointDistributionAdaptation, stack_domains
    >>> Xs, ys, Xt, yt = make_rotated_digits(200, random_state=0)
    >>> X, y, sample_domain = stack_domains(Xs, ys, Xt)
    >>> adaptation = JointDistributionAdaptation(20).fit(X, y, sample_domain=sample_domain)
    >>> nearest = make_pipeline(Normalizer(), KNeighborsClassifier(1))
    >>> aligned = nearest.fit(adaptation.transform(Xs), ys).score(adaptation.transform(Xt), yt)
    >>> bool(aligned > nearest.fit(Xs, ys).score(Xt, yt))
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "estimator": [BaseEstimator, None],
        **KERNEL_CONSTRAINTS,
        "ridge": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "n_landmarks": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        n_components: int | None = None,
        *,
        estimator: Any = None,
        kernel: Kernel = "rbf",
        gamma: float | str = "median",
        ridge: float = 1.0,
        max_iter: int = 10,
        n_landmarks: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.estimator = estimator
        self.kernel = kernel
        self.gamma = gamma
        self.ridge = ridge
        self.max_iter = max_iter
        self.n_landmarks = n_landmarks
        self.random_state = random_state
        self.n_jobs = n_jobs

    @fit_method
    def fit(
        self, X: ArrayLike, y: ArrayLike | None = None, *, sample_domain: ArrayLike | None = None
    ) -> Self:
        """Find the components and the pseudo-labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of both domains, in any order.
        y : array-like of shape (n_samples,)
            Labels of at least two classes. Those of target rows are not looked at.
        sample_domain : array-like of shape (n_samples,), default=None
            0 or more for source rows, negative for target rows. None: all rows are source, and
            nothing is aligned, which is warned of.

        Returns
        -------
        JointDistributionAdaptation
            This estimator.

        Raises
        ------
        ValueError
            If the input is not finite, a domain has no rows, the source has one class, or there
            are fewer rows or landmarks than components.
        TypeError
            If `sample_domain` holds no numbers.
        """
        owner = type(self).__name__
        rows: FloatArray = validate_data(self, X, dtype=np.float64, order="C", copy=True)
        domains = read_domains(sample_domain, len(rows), owner=owner)
        weight = np.ones(len(rows))
        self.classes_, codes = source_classes(y, domains, weight, owner=owner)
        kernel, n_components = self._prepare(rows)
        known = np.full(len(rows), -1, dtype=np.intp)
        known[domains.source] = codes
        self.n_iter_, self.converged_ = 0, False
        while not self.converged_ and self.n_iter_ < self.max_iter:
            differences = mean_differences(domains, weight, known, len(self.classes_))
            # The Frobenius norm of M = E E' is that of E'E.
            norm = float(np.linalg.norm(differences.T @ differences))
            strength = 1.0 / norm if norm > 0.0 else 0.0
            self._store(kernel.components(differences, strength, float(self.ridge), n_components))
            found = self._pseudo_codes(kernel.embed(self.dual_coef_), domains, codes)
            self.n_iter_ += 1
            self.converged_ = np.array_equal(found, known[domains.target])
            known[domains.target] = found
        self.pseudo_labels_ = self.classes_[found]
        return self

    def _pseudo_codes(self, embedded: FloatArray, domains: Domains, codes: Indices) -> Indices:
        """Fit the classifier on source rows, and return the codes it predicts for target rows."""
        lengths = np.linalg.norm(embedded, axis=1, keepdims=True)
        embedded = embedded / np.where(lengths > 0.0, lengths, 1.0)
        # By brute force: trees are asked in threads of their own, for no gain here.
        nearest = KNeighborsClassifier(1, algorithm="brute")
        classifier = nearest if self.estimator is None else clone(self.estimator)
        if not is_classifier(classifier):
            raise ValueError(
                "JointDistributionAdaptation takes a classifier, which gives the target "
                f"pseudo-labels; got estimator={self.estimator!r}."
            )
        self.estimator_ = classifier.fit(embedded[domains.source], self.classes_[codes])
        if not domains.target.size:
            return np.empty(0, dtype=np.intp)
        predicted = self.estimator_.predict(embedded[domains.target])
        return np.asarray(np.searchsorted(self.classes_, predicted), dtype=np.intp)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.one_d_labels = True
        return tags
