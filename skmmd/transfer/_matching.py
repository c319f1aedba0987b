"""Kernel mean matching as an estimator."""

import warnings
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmmd._validation import (
    Estimator,
    check_is_fitted,
    check_weight,
    fit_method,
    generator,
    stack_level,
    validate_data,
)
from skmmd.kernels import Kernel
from skmmd.transfer._alpha import ratio_criterion
from skmmd.transfer._domains import Domains, read_domains, resolve_gamma
from skmmd.transfer._functions import MATCHING_CONSTRAINTS, match_domains, read_sum_bounds
from skmmd.transfer._kmm import Domain, Matching, MatchingOptions, WeightFunction

__all__ = ["KernelMeanMatching"]

FloatArray = NDArray[np.float64]

_FEW_EFFECTIVE = 0.1
# Beyond so many times what samples of one distribution have, and so much of what was there before.
_CLEARLY_ABOVE, _MUCH_LEFT = 4.0, 0.4
_NEGLIGIBLE_WEIGHT = 1e-9


class KernelMeanMatching(Estimator):
    r"""Weights of source rows that make their mean embedding that of the target rows.

    The weights w minimise

    .. math::

        \tfrac12 w^\top (K + \lambda I) w - \kappa^\top w, \quad 0 \le w \le B, \quad
        \lambda = \alpha n_s,\ \kappa_i = \tfrac{n_s}{n_t} \sum_j k(x_i, x^t_j),

    which without the ridge is the squared MMD of the weighted source and the target. The ridge
    keeps weights from piling up on few rows, and makes them a function of the row: an estimate of
    the density ratio of target and source.

    Parameters
    ----------
    kernel : {"rbf", "laplacian", "imq", "rq", "linear", "polynomial"} or callable, default="rbf"
        With g = `gamma` and d the Euclidean distance: rbf exp(-g d^2), laplacian
        exp(-g L1 distance), imq (1 + 2 g d^2)^(-1/2), rq (1 + 2 g d^2)^(-1), linear x.y,
        polynomial (g x.y + 1)^3. A callable takes two arrays of rows and returns their Gram matrix,
        which must be positive semi-definite.
    gamma : float or "median", default="median"
        Kernel coefficient. "median": 1 / (2 m^2) with m the median distance of the rows of both
        domains; 1 / m with city block distances for the Laplacian.
    alpha : float or "cv", default=0.01
        Ridge, as a share of the number of source rows. "cv" takes the value with the least
        squared error as a density ratio on held-out rows (see :meth:`score`), which needs no
        labels, and leaves the sum free; which rows are held out depends on the seed, and on how
        often a row occurs. With 0 there is no ridge, and no weight function.
    max_weight : float, default=1000.0
        Largest weight B.
    sum_bounds : tuple of (float, float), default=None
        Bounds of the sum of the weights. None leaves it free, which is right with a ridge: whoever
        needs a sum divides by it afterwards.
    solver : {"auto", "smo", "nystroem"}, default="auto"
        "smo": exact, by steps of one or two weights, with rows of the Gram matrix made as they are
        needed. "nystroem": a kernel of low rank through landmarks, by a semismooth Newton method.
        "auto": landmarks beyond 5,000 source rows, or where `n_landmarks` is given.
    n_landmarks : int, default=None
        Number of landmarks of the solver "nystroem"; None takes as many as the spectrum of the
        kernel asks for, at most 1,000.
    tol : float, default=1e-6
        Largest violation of the conditions of optimality, in units of the gradient, at which to
        stop.
    random_state : int, RandomState instance or None, default=None
        Draws landmarks, and the folds of ``alpha="cv"``.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Attributes
    ----------
    weights_ : ndarray of shape (n_source,)
        Weights of the source rows, in their order in X.
    alpha_, gamma_ : float
        The ridge and the kernel coefficient.
    effective_sample_size_ : float
        ``sum(w)^2 / sum(w^2)``: as many evenly weighted rows would make an average as certain.
    mmd_before_, mmd_after_ : float
        Squared MMD (V-statistic) of the domains without and with the weights; weights divided by
        their sum. NaN without target rows, and after if all weights are zero. By landmarks where
        the solver takes them, or the target has more than 30,000 rows.
    dual_gap_ : float
        How far the objective is above its minimum at most, in its own units; it grows with
        `max_weight`. With landmarks, the minimum is that of the kernel of low rank.
    converged_ : bool
        Whether the conditions of optimality hold up to `tol`, or the objective is at its minimum up
        to 1e-8 of its value.
    shift_ : float
        Multiplier of `sum_bounds`; 0 while they are not active.
    n_iter_ : int
        Steps of the solver.
    n_landmarks_ : int
        Number of landmarks; 0 where the kernel is exact.
    cv_results_ : dict of str to ndarray
        With ``alpha="cv"``: "alpha", and the "criterion" of each.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where X has names that are all strings.

    See Also
    --------
    TransferClassifier : Hands the weights to a classifier.
    TransferRegressor : Hands the weights to a regressor.
    kmm_weights : The same as a function of two samples.
    skmmd.inspection.DomainDisplay : Pictures of the weights and the domains.

    References
    ----------
    Huang, J., Smola, A. J., Gretton, A., Borgwardt, K. M. & Schoelkopf, B. (2006). Correcting
    sample selection bias by unlabeled data. NIPS 19.

    Kanamori, T., Suzuki, T. & Sugiyama, M. (2012). Statistical analysis of kernel-based
    least-squares density-ratio estimation. Machine Learning 86, 335-367.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.datasets import make_covariate_shift
    >>> from skmmd.transfer import KernelMeanMatching, stack_domains
    >>> Xs, Xt = make_covariate_shift(200, 2, random_state=0)
    >>> X, _, sample_domain = stack_domains(Xs, np.zeros(200), Xt)
    >>> matching = KernelMeanMatching().fit(X, sample_domain=sample_domain)
    >>> bool(matching.mmd_after_ < matching.mmd_before_ / 10)
    True
    >>> matching.predict_weights([[0.5, 0.5], [-2.0, -2.0]]).round(1)
    array([2.4, 0. ])
    """

    __metadata_request__fit: ClassVar[dict[str, bool]] = {"sample_domain": True}
    __metadata_request__score: ClassVar[dict[str, bool]] = {"sample_domain": True}

    _parameter_constraints: ClassVar[dict[str, Any]] = MATCHING_CONSTRAINTS

    def __init__(
        self,
        *,
        kernel: Kernel = "rbf",
        gamma: float | str = "median",
        alpha: float | str = 0.01,
        max_weight: float = 1000.0,
        sum_bounds: tuple[float, float] | None = None,
        solver: str = "auto",
        n_landmarks: int | None = None,
        tol: float = 1e-6,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.kernel = kernel
        self.gamma = gamma
        self.alpha = alpha
        self.max_weight = max_weight
        self.sum_bounds = sum_bounds
        self.solver = solver
        self.n_landmarks = n_landmarks
        self.tol = tol
        self.random_state = random_state
        self.n_jobs = n_jobs

    @fit_method
    def fit(
        self,
        X: ArrayLike,
        y: None = None,
        *,
        sample_domain: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Find the weights of the source rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of both domains, in any order.
        y : None
            Ignored.
        sample_domain : array-like of shape (n_samples,), default=None
            0 or more for source rows, negative for target rows. None: all rows are source and
            weigh 1, which is warned of.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight acts as so many copies of the row, in either domain.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If a domain has no rows, `sample_domain` does not fit X, X holds NaN or infinite values,
            or no weights meet `sum_bounds`.

        Warns
        -----
        UserWarning
            If the domains hardly overlap: few source rows carry all the weight, or the weighted
            source still differs from the target.
        """
        rows = validate_data(self, X, dtype=np.float64, order="C")
        self.__dict__.pop("cv_results_", None)  # of an earlier fit
        domains = read_domains(sample_domain, len(rows), owner=type(self).__name__)
        weight = check_weight(sample_weight, rows, name="sample_weight")
        source, target = _domain(rows, weight, domains.source), None
        if domains.target.size:
            target = _domain(rows, weight, domains.target)
        self.gamma_ = resolve_gamma(
            self.kernel, self.gamma, rows, None if sample_weight is None else weight
        )
        if target is None:
            self._store_ones(domains, source)
            return self
        options = MatchingOptions(
            self.kernel,
            self.gamma_,
            0.0,
            float(self.max_weight),
            read_sum_bounds(self.sum_bounds),
            self.solver,
            self.n_landmarks,
            float(self.tol),
            self.n_jobs,
        )
        draws = generator(self.random_state)
        matching, self.alpha_, results = match_domains(source, target, options, self.alpha, draws)
        if results is not None:
            self.cv_results_ = results
        self._store(matching, rows[domains.source], weight[domains.source])
        self._warn_of_little_overlap(matching, source)
        return self

    def _store_ones(self, domains: Domains, source: Domain) -> None:
        """Without target rows nothing is to be matched."""
        self.alpha_ = 0.01 if isinstance(self.alpha, str) else float(self.alpha)
        self.weights_ = np.ones(len(domains.source))
        self.effective_sample_size_ = source.size
        self.mmd_before_ = self.mmd_after_ = float("nan")
        self.dual_gap_ = self.shift_ = 0.0
        self.n_iter_ = self.n_landmarks_ = 0
        self.converged_ = True
        self._weigh: WeightFunction | None = None

    def _store(self, matching: Matching, rows: FloatArray, weight: FloatArray) -> None:
        self._weigh = matching.weigh
        weights = np.zeros(len(rows))
        weights[weight > 0.0] = matching.weights
        if self.alpha_ > 0.0 and not np.all(weight > 0.0):
            weights[weight == 0.0] = matching.weigh(rows[weight == 0.0])
        self.weights_ = weights
        total, second = float(weight @ weights), float(weight @ weights**2)
        self.effective_sample_size_ = total**2 / second if second > 0.0 else 0.0
        self.mmd_before_, self.mmd_after_ = matching.mmd_before, matching.mmd_after
        self.dual_gap_, self.shift_ = matching.gap, matching.shift
        self.n_iter_, self.n_landmarks_ = matching.n_iter, matching.n_landmarks
        self.converged_ = matching.converged

    def _warn_of_little_overlap(self, matching: Matching, source: Domain) -> None:
        if not matching.weights.max() > _NEGLIGIBLE_WEIGHT:
            message = (
                "All weights are zero: no source row is near any target row, as far as the kernel "
                "looks. Weights can't bring such domains together; check that both have the same "
                "features on the same scale, or take a smaller gamma."
            )
        elif self.effective_sample_size_ < _FEW_EFFECTIVE * source.size:
            message = (
                f"The weights rest on few source rows: the effective sample size is "
                f"{self.effective_sample_size_:.3g} of {source.size:g}. What is fitted with them "
                "will be uncertain. Raise alpha, or align the domains instead of weighing them "
                "(TransferComponentAnalysis, MMDRegularizedClassifier)."
            )
        elif self.mmd_after_ > max(_CLEARLY_ABOVE * matching.noise, _MUCH_LEFT * self.mmd_before_):
            message = (
                f"The domains hardly overlap: with the weights their squared MMD is still "
                f"{self.mmd_after_:.3g} (before: {self.mmd_before_:.3g}), where samples of one "
                f"distribution would have about {matching.noise:.3g}. Weights can't move source "
                "rows to where there are none; align the domains instead "
                "(TransferComponentAnalysis, MMDRegularizedClassifier)."
            )
        else:
            return
        warnings.warn(message, UserWarning, stacklevel=stack_level())

    def predict_weights(self, X: ArrayLike) -> FloatArray:
        """Return the weight of any rows, by the weight function of the fit.

        For the source rows of the fit these are their `weights_`, up to ``tol`` divided by the
        ridge ``alpha_ * n_source``, and rounding.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            Weights, from 0 to `max_weight`.

        Raises
        ------
        ValueError
            If the fit had no ridge (``alpha=0``): the weights are then no function of the row.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, order="C", reset=False)
        return self._weight_function()(rows) if self._weigh is not None else np.ones(len(rows))

    def _weight_function(self) -> WeightFunction:
        assert self._weigh is not None
        if self.alpha_ == 0.0:
            raise ValueError(
                "Without ridge (alpha=0) the weights are no function of the row. Fit "
                "KernelMeanMatching with alpha > 0 to weigh rows that it was not fitted on."
            )
        return self._weigh

    def score(
        self,
        X: ArrayLike,
        y: None = None,
        *,
        sample_domain: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return how well the weights of other rows estimate the density ratio, without labels.

        ``mean(w(x)) over target rows - 1/2 mean(w(x)^2) over source rows``: up to a constant, minus
        half the mean squared error. Larger is better, so that :class:`GridSearchCV
        <sklearn.model_selection.GridSearchCV>` can choose `gamma` and `alpha`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of both domains.
        y : None
            Ignored.
        sample_domain : array-like of shape (n_samples,), default=None
            0 or more for source rows, negative for target rows. Searches and cross-validation hand
            it over with metadata routing only.
        sample_weight : array-like of shape (n_samples,), default=None
            A weight acts as so many copies of the row, in either domain.

        Returns
        -------
        float
            The score; NaN if neither the fit nor this call has target rows.

        Raises
        ------
        ValueError
            If the fit had target rows and `sample_domain` is missing, or the fit had no ridge.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, order="C", reset=False)
        owner = type(self).__name__
        if sample_domain is None and self._weigh is not None:
            raise ValueError(
                f"{owner}.score needs sample_domain. GridSearchCV and cross_validate hand it over "
                "with metadata routing only: within sklearn.config_context("
                "enable_metadata_routing=True), call search.fit(X, sample_domain=..., groups=...)."
            )
        domains = read_domains(sample_domain, len(rows), owner=owner, verb="scored")
        if not domains.target.size:
            return float("nan")
        weight = check_weight(sample_weight, rows, name="sample_weight")
        source, target = (_domain(rows, weight, part) for part in (domains.source, domains.target))
        if self._weigh is None:
            return 0.5
        return -ratio_criterion(self._weight_function(), source, target)


def _domain(rows: FloatArray, weight: FloatArray, members: NDArray[np.intp]) -> Domain:
    """Return the rows of a domain that have weight."""
    weight = weight[members]
    if not np.any(weight > 0.0):
        raise ValueError("sample_weight is zero for all rows of a domain; some must be positive.")
    return Domain(np.ascontiguousarray(rows[members][weight > 0.0]), weight[weight > 0.0])
