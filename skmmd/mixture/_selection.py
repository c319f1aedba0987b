"""The mixture with the best criterion over numbers of components and covariance types."""

import warnings
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from sklearn.base import DensityMixin
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning
from sklearn.utils import check_random_state

from skmmd._chunked import gather_blocks
from skmmd._validation import (
    Estimator,
    Integral,
    Interval,
    StrOptions,
    check_is_fitted,
    check_weight,
    fit_method,
    stack_level,
    validate_data,
)
from skmmd.mixture._gaussian_mixture import GaussianMixture

__all__ = ["GaussianMixtureIC"]

FloatArray = NDArray[np.float64]

_COVARIANCE_TYPES = ("full", "tied", "diag", "spherical", "tied_diag", "tied_spherical")
_CRITERIA = ("bic", "aic", "icl")
# Starting values and warm starts belong to one number of components.
_SHARED = (
    "tol",
    "reg_covar",
    "max_iter",
    "n_init",
    "init_params",
    "missing",
    "accelerate",
    "stopping",
    "noise",
    "covariance_prior",
    "degrees_of_freedom_prior",
    "relative_reg_covar",
)
_ATTRIBUTES = (
    "weights_",
    "means_",
    "covariances_",
    "precisions_",
    "precisions_cholesky_",
    "converged_",
    "n_iter_",
    "lower_bound_",
    "lower_bounds_",
    "noise_weight_",
)


class GaussianMixtureIC(DensityMixin, Estimator):
    """Gaussian mixture with the number of components and covariance type of the best criterion.

    A mixture is fitted for each number of components with each covariance type; the one with the
    lowest information criterion is kept, and predicts.

    Parameters
    ----------
    n_components : int or sequence of int, default=(1, 2, 3, 4, 5, 6, 7, 8, 9)
        Numbers of components to compare.
    covariance_type : {"full", "tied", "diag", "spherical", "tied_diag", "tied_spherical"} or \
            sequence of them, default=("full", "tied", "diag", "spherical")
        Covariance types to compare; see :class:`GaussianMixture`.
    criterion : {"bic", "aic", "icl"}, default="bic"
        Bayesian information criterion, Akaike's, or integrated completed likelihood: BIC plus
        twice the entropy of the rows' components, which avoids components that overlap. Lower is
        better for all three.
    n_jobs : int, default=None
        Number of threads, each fitting one mixture at a time. The result does not depend on it.
    tol : float, default=1e-3
        This and the following are parameters of each mixture; see :class:`GaussianMixture`.
    reg_covar : float, default=1e-6
        Added to the diagonal of each covariance.
    max_iter : int, default=100
        Largest number of EM iterations.
    n_init : int, default=1
        Number of starts of each mixture; the best is kept.
    init_params : str, default="kmeans"
        How a mixture is started.
    random_state : int, RandomState instance or None, default=None
        Seeds the starts. All mixtures have one seed, this one if it is an int: a mixture is the
        same whichever others it is compared with, and if it is fitted alone with that seed.
    missing : {"error", "em"}, default="error"
        What becomes of NaN.
    accelerate : {"squarem", "anderson"} or None, default=None
        How EM is accelerated.
    stopping : {"change", "aitken"}, default="change"
        What `tol` is compared with.
    noise : {"uniform"} or None, default=None
        Whether there is a noise component.
    covariance_prior : float, "auto", array-like of shape (n_features, n_features) or None, \
            default=None
        Prior of the covariances.
    degrees_of_freedom_prior : float or None, default=None
        How strong that prior is.
    relative_reg_covar : float or None, default=None
        Replaces `reg_covar` by this fraction of each feature's variance.
    verbose : int, default=0
        Show a progress bar if positive.

    Attributes
    ----------
    results_ : dict of str to ndarray of shape (n_candidates,)
        What was compared: "n_components", "covariance_type", the criteria "bic", "aic" and "icl",
        "lower_bound", "n_iter", "converged", "rank" by `criterion` (1 is the best) and "error":
        why a fit failed, else empty. Numbers of a failed fit are NaN, its iterations 0.
    best_estimator_ : GaussianMixture
        The mixture with the lowest criterion.
    best_score_ : float
        Its criterion.
    best_index_ : int
        Its place in ``results_``; the first of equal ones.
    n_components_ : int
        Its number of components.
    covariance_type_ : str
        Its covariance type.
    weights_ : ndarray of shape (n_components,)
        Its weights.
    means_ : ndarray of shape (n_components, n_features)
        Its means.
    covariances_ : ndarray
        Its covariances; the shape depends on ``covariance_type_``.
    precisions_ : ndarray
        Their inverses.
    precisions_cholesky_ : ndarray
        Cholesky factors of the inverses.
    converged_ : bool
        Whether its EM converged.
    n_iter_ : int
        Number of its passes over the data.
    lower_bound_ : float
        Mean log-likelihood of its best start.
    lower_bounds_ : list of float
        The same before each of its steps.
    noise_weight_ : float
        Weight of its noise component, with ``noise="uniform"`` only.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where `X` had string names.

    See Also
    --------
    GaussianMixture : One mixture.
    skmmd.inspection.MixtureDisplay : Draws the selection curve, and the mixture.

    Notes
    -----
    The criteria count ``sample_weight`` as so many copies of a row.

    References
    ----------
    .. [1] G. Schwarz, "Estimating the dimension of a model", Annals of Statistics 6(2), 1978,
       pp. 461-464.
    .. [2] C. Biernacki, G. Celeux and G. Govaert, "Assessing a mixture model for clustering with
       the integrated completed likelihood", IEEE Transactions on Pattern Analysis and Machine
       Intelligence 22(7), 2000, pp. 719-725.
    .. [3] C. Fraley and A. E. Raftery, "Model-based clustering, discriminant analysis, and density
       estimation", Journal of the American Statistical Association 97(458), 2002, pp. 611-631.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skmmd.mixture import GaussianMixtureIC
    >>> X, _ = load_iris(return_X_y=True)
    >>> search = GaussianMixtureIC((1, 2, 3, 4), random_state=0).fit(X)
    >>> search.n_components_, search.covariance_type_
    (2, 'full')
    >>> round(search.best_score_)
    574
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **{
            name: GaussianMixture._parameter_constraints[name]
            for name in (*_SHARED, "random_state", "n_jobs")
        },
        "n_components": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "covariance_type": [StrOptions(set(_COVARIANCE_TYPES)), "array-like"],
        "criterion": [StrOptions(set(_CRITERIA))],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        n_components: int | Sequence[int] = (1, 2, 3, 4, 5, 6, 7, 8, 9),
        covariance_type: str | Sequence[str] = ("full", "tied", "diag", "spherical"),
        *,
        criterion: str = "bic",
        n_jobs: int | None = None,
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        random_state: int | np.random.RandomState | None = None,
        missing: str = "error",
        accelerate: str | None = None,
        stopping: str = "change",
        noise: str | None = None,
        covariance_prior: str | float | ArrayLike | None = None,
        degrees_of_freedom_prior: float | None = None,
        relative_reg_covar: float | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.criterion = criterion
        self.n_jobs = n_jobs
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.random_state = random_state
        self.missing = missing
        self.accelerate = accelerate
        self.stopping = stopping
        self.noise = noise
        self.covariance_prior = covariance_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.relative_reg_covar = relative_reg_covar
        self.verbose = verbose

    @fit_method
    def fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> "GaussianMixtureIC":
        """Fit all mixtures and keep the best.

        Fits that fail are recorded in ``results_`` and left out, with a warning.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; None gives each 1.

        Returns
        -------
        GaussianMixtureIC
            Itself.

        Raises
        ------
        ValueError
            If `n_components` or `covariance_type` is empty or holds what is none, `X` or
            `sample_weight` has wrong values, or all fits fail.

        Warns
        -----
        FitFailedWarning
            If some fits fail.
        ConvergenceWarning
            If the best mixture did not converge; of the others ``results_`` tells.
        """
        candidates = self._candidates()
        finite = "allow-nan" if self.missing == "em" else True
        rows = validate_data(
            self,
            X,
            dtype=[np.float64, np.float32],
            ensure_min_samples=2,
            ensure_all_finite=finite,
        )
        weight = None
        if sample_weight is not None:
            weight = check_weight(sample_weight, rows, name="sample_weight")
        records = gather_blocks(
            lambda candidate: fit_candidate(candidate, rows, weight),
            candidates,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
            desc=type(self).__name__,
        )
        complaints = [record.pop("complaints") for record in records]
        self.results_ = tabulate(candidates, records, self.criterion)
        self.best_index_ = int(np.argmin(self.results_["rank"]))
        report_trouble(
            self.results_, self.best_index_, complaints[self.best_index_], type(self).__name__
        )
        self.best_score_ = float(self.results_[self.criterion][self.best_index_])
        self.best_estimator_ = candidates[self.best_index_].set_params(n_jobs=self.n_jobs)
        if hasattr(self, "feature_names_in_"):
            self.best_estimator_.feature_names_in_ = self.feature_names_in_
        self.n_components_ = self.best_estimator_.n_components
        self.covariance_type_ = self.best_estimator_.covariance_type
        for name in _ATTRIBUTES:
            if hasattr(self.best_estimator_, name):
                setattr(self, name, getattr(self.best_estimator_, name))
        return self

    def _candidates(self) -> list[GaussianMixture]:
        """Return the mixtures to compare, not yet fitted."""
        sizes = several("n_components", self.n_components, (Integral,))
        types = several("covariance_type", self.covariance_type, (str,))
        if min(sizes) < 1:
            raise ValueError(f"n_components has {min(sizes)}; each must be at least 1.")
        unknown = [name for name in types if name not in _COVARIANCE_TYPES]
        if unknown:
            raise ValueError(
                f"covariance_type has {unknown[0]!r}, which is none of {list(_COVARIANCE_TYPES)}."
            )
        seed = self.random_state
        if not isinstance(seed, Integral):
            seed = int(check_random_state(seed).randint(np.iinfo(np.int32).max))
        shared = {name: getattr(self, name) for name in _SHARED}
        # One thread each: the threads are outside.
        return [
            GaussianMixture(
                int(size), covariance_type=str(name), random_state=seed, n_jobs=1, **shared
            )
            for name in types
            for size in sizes
        ]

    def fit_predict(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> NDArray[np.intp]:
        """Fit all mixtures and return each row's component in the best.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            The most likely component, -1 for noise.
        """
        return self.fit(X, sample_weight=sample_weight).predict(X)

    def predict(self, X: ArrayLike) -> NDArray[np.intp]:
        """Return each row's component in the best mixture.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            The most likely component, -1 for noise.
        """
        return self._best().predict(X)

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return the probability of each component of the best mixture for each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Probabilities; a last column is that of noise, with ``noise="uniform"``.
        """
        return self._best().predict_proba(X)

    def score_samples(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return the log density of the best mixture at each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            Log densities.
        """
        return self._best().score_samples(X)

    def score(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean log density of the best mixture over the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            Mean log-likelihood; higher is better.
        """
        return self._best().score(X, sample_weight=sample_weight)

    def sample(self, n_samples: int = 1) -> tuple[FloatArray, NDArray[np.intp]]:
        """Draw rows from the best mixture.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows.
        y : ndarray of shape (n_samples,)
            The component of each.
        """
        return self._best().sample(n_samples)

    def bic(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the Bayesian information criterion of the best mixture.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            The criterion; lower is better.
        """
        return self._best().bic(X, sample_weight=sample_weight)

    def aic(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the Akaike information criterion of the best mixture.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            The criterion; lower is better.
        """
        return self._best().aic(X, sample_weight=sample_weight)

    def icl(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the integrated completed likelihood criterion of the best mixture.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            The criterion; lower is better.
        """
        return self._best().icl(X, sample_weight=sample_weight)

    def plot(self, ax: Any = None) -> Any:
        """Draw the criterion against the number of components.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        MixtureDisplay
            The display, with ``ax_`` and ``figure_``.
        """
        check_is_fitted(self)
        from skmmd.inspection import MixtureDisplay

        return MixtureDisplay.from_selection(self).plot(ax=ax)

    def _best(self) -> GaussianMixture:
        check_is_fitted(self)
        return self.best_estimator_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "em"
        return tags


def several(name: str, given: Any, types: tuple[Any, ...]) -> list[Any]:
    """Return one value or a sequence of different ones as a list.

    Raises
    ------
    ValueError
        If there is none, one comes twice, or one has another type.
    """
    if isinstance(given, bool | set | frozenset | dict):
        raise ValueError(f"{name} must be one value or a sequence of some in order, got {given!r}.")
    values = [given] if isinstance(given, types) else list(given)
    if not values or not all(isinstance(value, types) for value in values):
        kind = "whole number" if Integral in types else "name"
        raise ValueError(f"{name} must be a {kind} or a sequence of some, got {given!r}.")
    if len(set(values)) < len(values):
        raise ValueError(f"{name} has some value twice: {given!r}; give each once.")
    return values


def fit_candidate(
    candidate: GaussianMixture, rows: FloatArray, weight: FloatArray | None
) -> dict[str, Any]:
    """Fit one mixture in place and return its line of ``results_``, also if the fit fails."""
    failed: dict[str, Any] = dict.fromkeys((*_CRITERIA, "lower_bound"), np.nan)
    failed |= {"n_iter": 0, "converged": False, "complaints": []}
    try:
        outcome = candidate._fit_quietly(rows, weight)
        found = candidate._criteria(rows, weight)
    except (ValueError, ArithmeticError, MemoryError) as error:
        return {**failed, "error": f"{type(error).__name__}: {error}"}
    # The likelihood of a collapsing component has no bound: it would be the best.
    if outcome.best.collapsed:
        return {**failed, "error": outcome.complaints[0]}
    infinite = [name for name, value in found.items() if not np.isfinite(value)]
    if infinite:
        return {**failed, "error": f"{infinite[0]} is {found[infinite[0]]}"}
    return {
        **found,
        "lower_bound": candidate.lower_bound_,
        "n_iter": candidate.n_iter_,
        "converged": candidate.converged_,
        "complaints": outcome.complaints,
        "error": "",
    }


def tabulate(
    candidates: list[GaussianMixture], records: list[dict[str, Any]], criterion: str
) -> dict[str, NDArray[Any]]:
    """Return the columns of ``results_``."""
    results = {
        "n_components": np.array([candidate.n_components for candidate in candidates]),
        "covariance_type": np.array([candidate.covariance_type for candidate in candidates]),
        **{name: np.array([record[name] for record in records]) for name in records[0]},
    }
    scores = results[criterion]
    results["rank"] = rankdata(np.where(np.isnan(scores), np.inf, scores), method="min").astype(int)
    return results


def report_trouble(
    results: dict[str, NDArray[Any]], best: int, complaints: list[str], owner: str
) -> None:
    """Warn of failed fits, and of what is wrong with the best.

    Raises
    ------
    ValueError
        If all fits failed.
    """
    described = [
        f"n_components={size} and covariance_type={name!r}"
        for size, name in zip(
            results["n_components"].tolist(), results["covariance_type"].tolist(), strict=True
        )
    ]
    failed = np.flatnonzero(results["error"] != "")
    if len(failed):
        reason = f"the first, with {described[failed[0]]}: {results['error'][failed[0]]}"
        if len(failed) == len(described):
            raise ValueError(f"All {len(failed)} fits of {owner} failed; {reason}")
        warnings.warn(
            f"{len(failed)} of {len(described)} fits of {owner} failed and were left out, see "
            f"results_['error']; {reason}",
            FitFailedWarning,
            stacklevel=stack_level(),
        )
    for complaint in complaints:
        warnings.warn(
            f"The best mixture, with {described[best]}: {complaint}",
            ConvergenceWarning,
            stacklevel=stack_level(),
        )
