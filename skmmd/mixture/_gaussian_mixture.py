"""The estimator: scikit-learn's GaussianMixture and what its users miss."""

import warnings
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning

from skmmd._chunked import single_threaded_blas
from skmmd._validation import (
    Integral,
    Interval,
    Real,
    StrOptions,
    check_weight,
    fit_method,
    stack_level,
    validate_data,
)
from skmmd.mixture._chunks import ChunkedData, opener, survey
from skmmd.mixture._data import DTYPES, Data
from skmmd.mixture._fit import Outcome, complaint_of_dead, fit_mixture
from skmmd.mixture._fitted_mixture import FittedMixture
from skmmd.mixture._model import Settings, build_model, check_precisions
from skmmd.mixture._online import Stream, blend, implied_state
from skmmd.mixture._parameters import (
    SHAPES,
    FloatArray,
    Parameters,
)
from skmmd.mixture._start import METHODS, from_responsibilities, overwrite

__all__ = ["GaussianMixture"]


class GaussianMixture(FittedMixture):
    """Gaussian mixture fitted by EM, with the interface of scikit-learn's.

    With the defaults it walks the same EM iterates as
    :class:`sklearn.mixture.GaussianMixture` from the same start. What goes beyond is asked for by
    a parameter or another method: sample weights, missing values, accelerated steps, a noise
    component, priors, more starts and covariance types, conditional mixtures, and learning from
    batches or chunks.

    Parameters
    ----------
    n_components : int, default=1
        Number of Gaussians.
    covariance_type : {'full', 'tied', 'diag', 'spherical', 'tied_diag', 'tied_spherical'}, \
            default='full'
        Covariances: a matrix for each component, one for all, a variance for each component and
        feature, one for each component, one for each feature, or a single one.
    tol : float, default=1e-3
        EM stops when the lower bound changes by less. The default is scikit-learn's, and often
        stops early; 1e-6 with `accelerate="squarem"` costs little.
    reg_covar : float, default=1e-6
        Added to the variances, in squared units of the data. Not used with
        `relative_reg_covar` or `covariance_prior`.
    max_iter : int, default=100
        Largest number of passes over the data; 0 returns the start.
    n_init : int, default=1
        Number of starts, of which the best is kept.
    init_params : {'kmeans', 'k-means++', 'random', 'random_from_data', 'whitened', 'short_em', \
            'auto'}, default='kmeans'
        Where EM starts: at the clusters of k-means; at rows that are far from each other or drawn
        at random, with the covariance of all; with random responsibilities; at the clusters of
        k-means on whitened rows; at the best of ten short runs of EM from random rows; or at the
        best of short runs from all of these. Starts are made from a sample of 10,000 rows, or 100
        for each component if that is more.
    weights_init : array-like of shape (n_components,), default=None
        Initial weights.
    means_init : array-like of shape (n_components, n_features), default=None
        Initial means.
    precisions_init : array-like, default=None
        Initial precisions, in the shape of `precisions_`.
    random_state : int, RandomState instance or None, default=None
        Chooses starts and draws samples. Pass an int for the same result on each call.
    warm_start : bool, default=False
        Go on from the last fit, with a single start.
    verbose : int, default=0
        1 prints starts and steps, 2 also times and changes.
    verbose_interval : int, default=10
        Number of steps between two prints.
    missing : {'error', 'em'}, default='error'
        With 'em', NaN are values to be averaged over, in `fit` and in all that takes rows. They
        must be missing at random: what is missing may depend on what is seen, not on itself.
    accelerate : {'squarem', 'anderson'} or None, default=None
        Extrapolate the steps, as long as the lower bound rises. Same fixed points, often ten times
        fewer passes at a tight `tol`. Not with `stopping="aitken"`.
    stopping : {'change', 'aitken'}, default='change'
        Compare `tol` with the last change of the lower bound, or with what Aitken's
        extrapolation says is still to be gained.
    noise : {'uniform'} or None, default=None
        Add a component of constant density, for background and outliers: one over the volume of
        the box around the data, inside and outside of it.
    covariance_prior : {'auto'}, float, array-like of shape (n_features, n_features) or None, \
            default=None
        Scale matrix of an inverse-Wishart prior on the covariances, a float times the identity,
        or 'auto': the covariance of the data divided by ``n_components ** (2 / n_features)``
        [3]_, with a millionth of the mean variance on its diagonal; with missing values, the
        variances alone. The lower bound is then that of the posterior, and never falls. Takes
        the place of `reg_covar`.
    degrees_of_freedom_prior : float or None, default=None
        Degrees of freedom of that prior; None for the number of features plus 2, at which the
        scale matrix is the prior's mean. Diagonal and spherical covariances have priors of
        dimension one.
    relative_reg_covar : float or None, default=None
        Fraction of each feature's variance to add instead of `reg_covar`, whatever its unit.
    learning_decay : float, default=0.7
        How fast `partial_fit` forgets: batch t counts for
        ``(learning_offset + t) ** -learning_decay``. In (0.5, 1].
    learning_offset : float, default=10.0
        Larger values let the first batches of `partial_fit` count for less.
    n_jobs : int or None, default=None
        Number of threads, over rows if there are many, else over starts. The result does not
        depend on it.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Weights; they sum to one, or to ``1 - noise_weight_``.
    means_ : ndarray of shape (n_components, n_features)
        Means.
    covariances_ : ndarray
        Covariances: of shape (n_components, n_features, n_features) if 'full', (n_features,
        n_features) if 'tied', (n_components, n_features) if 'diag', (n_components,) if
        'spherical', (n_features,) if 'tied_diag', () if 'tied_spherical'.
    precisions_ : ndarray
        Inverses of the covariances, in the same shape.
    precisions_cholesky_ : ndarray
        Upper triangular factors U of the precisions U U', or their square roots.
    converged_ : bool
        Whether the best start converged; `partial_fit` leaves it as it was after the first batch.
    n_iter_ : int
        Passes over the data of the best start; after `partial_fit`, batches after the first.
    lower_bound_ : float
        Mean log-likelihood of the rows, with the prior, before the last step.
    lower_bounds_ : list of float
        The same for all steps that were accepted; of the last batch after `partial_fit`.
    noise_weight_ : float
        Weight of the noise, with `noise="uniform"`.
    noise_bounds_ : ndarray of shape (2, n_features)
        Corners of the noise's box, with `noise="uniform"`.
    n_samples_seen_ : float
        Weight of the rows seen, by `fit` and the calls of `partial_fit` after it.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if all are strings.

    See Also
    --------
    GaussianMixtureIC : Chooses the number of components and the covariance type.

    Notes
    -----
    A component that loses all its weight keeps its mean and covariance, and a warning says so.
    Without `covariance_prior`, the lower bound rises monotonically only if `reg_covar` is 0,
    since a ridge is not part of the likelihood.

    References
    ----------
    .. [1] A. P. Dempster, N. M. Laird, D. B. Rubin (1977), "Maximum likelihood from incomplete
       data via the EM algorithm", Journal of the Royal Statistical Society B 39, 1-38.
    .. [2] Z. Ghahramani, M. I. Jordan (1994), "Supervised learning from incomplete data via an
       EM approach", NIPS 6.
    .. [3] C. Fraley, A. E. Raftery (2007), "Bayesian regularization for normal mixture
       estimation and model-based clustering", Journal of Classification 24, 155-181.
    .. [4] O. Cappé, E. Moulines (2009), "On-line expectation-maximization algorithm for latent
       data models", Journal of the Royal Statistical Society B 71, 593-613.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.mixture import GaussianMixture
    >>> X = np.array([[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> mixture = GaussianMixture(n_components=2, random_state=0).fit(X)
    >>> mixture.means_[mixture.means_[:, 0].argsort()].round(6)
    array([[ 1.,  2.],
           [10.,  2.]])
    >>> labels = mixture.predict([[0, 0], [12, 3]])
    >>> bool(labels[0] != labels[1])
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions(set(SHAPES))],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions(set(METHODS))],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", Interval(Real, 0.0, None, closed="neither"), None],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
        "missing": [StrOptions({"error", "em"})],
        "accelerate": [StrOptions({"squarem", "anderson"}), None],
        "stopping": [StrOptions({"change", "aitken"})],
        "noise": [StrOptions({"uniform"}), None],
        "covariance_prior": [
            StrOptions({"auto"}),
            Interval(Real, 0.0, None, closed="neither"),
            "array-like",
            None,
        ],
        "degrees_of_freedom_prior": [Interval(Real, 0.0, None, closed="neither"), None],
        "relative_reg_covar": [Interval(Real, 0.0, None, closed="left"), None],
        "learning_decay": [Interval(Real, 0.5, 1.0, closed="right")],
        "learning_offset": [Interval(Real, 0.0, None, closed="left")],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str = "kmeans",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        missing: str = "error",
        accelerate: str | None = None,
        stopping: str = "change",
        noise: str | None = None,
        covariance_prior: str | float | ArrayLike | None = None,
        degrees_of_freedom_prior: float | None = None,
        relative_reg_covar: float | None = None,
        learning_decay: float = 0.7,
        learning_offset: float = 10.0,
        n_jobs: int | None = None,
    ):
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.missing = missing
        self.accelerate = accelerate
        self.stopping = stopping
        self.noise = noise
        self.covariance_prior = covariance_prior
        self.degrees_of_freedom_prior = degrees_of_freedom_prior
        self.relative_reg_covar = relative_reg_covar
        self.learning_decay = learning_decay
        self.learning_offset = learning_offset
        self.n_jobs = n_jobs

    # ----------------------------------------------------------------------------------
    # learning

    @fit_method
    def fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> "GaussianMixture":
        """Estimate the mixture by EM.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, of float64 or float32; others are converted. A memory map is read in blocks.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, ones if None: weight 2 is the same as the row twice. A common
            factor changes nothing, unless there is a prior, which counts rows. Weights beyond
            1e100 or below 1e-100 are divided by the largest.

        Returns
        -------
        GaussianMixture
            The fitted estimator.

        Raises
        ------
        ValueError
            If X has fewer than two rows or fewer with weight than components, NaN unless
            `missing="em"`, infinite or huge values, or if a covariance collapses.

        Warns
        -----
        ConvergenceWarning
            If the best start did not converge, or a component has lost all its weight.
        """
        data, dtype = self._check_data(X, sample_weight)
        for complaint in self._fit_data(data, dtype).complaints:
            warnings.warn(complaint, ConvergenceWarning, stacklevel=stack_level())
        return self

    def _fit_quietly(self, X: Any, sample_weight: FloatArray | None) -> Outcome:
        """Fit without warnings, which are not safe where several threads fit."""
        data, dtype = self._check_data(X, sample_weight)
        return self._fit_data(data, dtype)

    def fit_predict(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> NDArray[np.int64]:
        """Estimate the mixture and return the most probable component of each row.

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
        ndarray of shape (n_samples,), dtype int64
            Components, as `predict` returns them.
        """
        return self.fit(X, y, sample_weight).predict(X)

    @fit_method
    def fit_chunks(self, chunks: Iterable[Any] | Callable[[], Iterable[Any]]) -> "GaussianMixture":
        """Estimate the mixture from rows that come in chunks, by the same EM as `fit`.

        The chunks are read once for each step, and a few times before the first; always in one
        thread.

        Parameters
        ----------
        chunks : iterable or callable
            An iterable that can be iterated again, such as a list or a Dataset, or a callable that
            returns a fresh iterator. Its items are rows, or tuples of rows and their weights.
            NaN is refused, also with `missing="em"`: patterns of all rows are not known.

        Returns
        -------
        GaussianMixture
            The fitted estimator.

        Raises
        ------
        TypeError
            If `chunks` is an iterator, which can be read only once.
        ValueError
            If there is no chunk, or as in `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from skmmd.mixture import GaussianMixture
        >>> X = np.random.default_rng(0).normal(size=(300, 2))
        >>> whole = GaussianMixture(2, random_state=0).fit(X)
        >>> pieces = GaussianMixture(2, random_state=0).fit_chunks([X[:100], X[100:]])
        >>> np.allclose(whole.means_, pieces.means_)
        True
        """
        opened = opener(chunks)
        first = survey(opened, self.n_components)
        self._forget("feature_names_in_")
        self.n_features_in_ = first.n_features
        if first.names is not None:
            self.feature_names_in_ = first.names
        data = ChunkedData(opened, first, self.n_jobs)
        for complaint in self._fit_data(data, first.dtype).complaints:
            warnings.warn(complaint, ConvergenceWarning, stacklevel=stack_level())
        return self

    @fit_method
    def partial_fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> "GaussianMixture":
        """Learn from one batch of a stream by a step of online EM.

        The first batch is fitted as by `fit`, unless the mixture is fitted already. Each further
        batch t moves the averages of the sufficient statistics by
        ``(learning_offset + t) ** -learning_decay`` towards its own, as Cappé and Moulines (2009)
        propose.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of the batch; the first needs more than the others.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        GaussianMixture
            The estimator.
        """
        if not hasattr(self, "weights_"):
            data, dtype = self._check_data(X, sample_weight)
            # The stream goes on: nothing has to converge on the first batch.
            complaints = self._fit_data(data, dtype, must_converge=False).complaints
        else:
            complaints = self._learn_batch(X, sample_weight)
        for complaint in complaints:
            warnings.warn(complaint, ConvergenceWarning, stacklevel=stack_level())
        return self

    def _learn_batch(self, X: ArrayLike, sample_weight: ArrayLike | None) -> list[str]:
        """Take a step of online EM; return what is wrong."""
        data, _ = self._check_data(X, sample_weight, reset=False)
        parameters = self._last_parameters(data.n_features, "partial_fit")
        data.check_distance(parameters.means.mean(axis=0))
        stream: Stream | None = getattr(self, "_stream", None)
        if stream is None:
            data.check()
            stream = Stream(build_model(data, Settings.of(self)), None)
        seen = getattr(self, "n_samples_seen_", 0.0)
        state = stream.state or implied_state(stream.model, parameters, max(seen, 1.0))
        n_batches = state.n_batches + 1
        rate = (self.learning_offset + n_batches) ** -self.learning_decay
        with single_threaded_blas():
            state, parameters, objective, n_dead = blend(
                data, stream.model, state, parameters, rate, seen + data.n_effective, n_batches
            )
        n_dead_before = int(np.sum(np.asarray(self.weights_) == 0.0))
        self._store(parameters, self.means_.dtype)
        self._stream = Stream(stream.model, state)
        self.n_samples_seen_ = seen + data.n_effective
        self.n_iter_ = n_batches
        self.lower_bound_ = objective
        self.lower_bounds_ = [objective]
        return [] if n_dead <= n_dead_before else [complaint_of_dead(n_dead, self.n_components)]

    def _check_data(
        self, X: ArrayLike, sample_weight: ArrayLike | None, *, reset: bool = True
    ) -> tuple[Data, Any]:
        finite: Any = "allow-nan" if self.missing == "em" else True
        rows: NDArray[np.floating] = validate_data(
            self,
            X,
            dtype=DTYPES,
            ensure_min_samples=2 if reset else 1,
            ensure_all_finite=finite,
            reset=reset,
        )
        weight = None
        if sample_weight is not None:
            weight = check_weight(sample_weight, rows, name="sample_weight")
            if not weight.all():
                rows, weight = rows[weight > 0.0], weight[weight > 0.0]
        if reset and len(rows) < self.n_components:
            raise ValueError(
                f"Expected n_samples >= n_components but got n_components = {self.n_components}, "
                f"n_samples = {len(rows)}" + ("" if weight is None else " with positive weight")
            )
        return Data(rows, weight, self.n_jobs, may_miss=self.missing == "em"), rows.dtype

    def _fit_data(self, data: Data, dtype: Any, *, must_converge: bool = True) -> Outcome:
        """Fit, keep the result and return it."""
        before = None
        # Also what a fit goes on from: rounding does not depend on threads.
        with single_threaded_blas():
            if self.warm_start and hasattr(self, "converged_"):
                start = self._last_parameters(data.n_features, "warm_start")
                before = start, self.lower_bound_
            found = fit_mixture(data, Settings.of(self), before, must_converge=must_converge)
        self._store(found.best.parameters, dtype)
        if found.noise_bounds is not None:
            self.noise_bounds_ = found.noise_bounds
        self.converged_ = found.best.converged
        self.n_iter_ = found.best.n_iter
        self.lower_bound_ = found.best.lower_bound
        self.lower_bounds_ = found.best.lower_bounds
        self._stream = Stream(found.model, None)
        self.n_samples_seen_ = found.n_samples
        return found

    def _last_parameters(self, n_features: int, what: str) -> Parameters:
        """Return the parameters that a fit goes on from, if they fit."""
        parameters = self._parameters()
        has_noise = len(parameters.weights) > len(parameters.means)
        if parameters.means.shape != (self.n_components, n_features) or has_noise != (
            self.noise is not None
        ):
            raise ValueError(
                f"{what} goes on from {parameters.means.shape[0]} components, "
                f"{parameters.means.shape[1]} features and noise={'uniform' if has_noise else None}"
                f", but n_components={self.n_components}, X has {n_features} features and "
                f"noise={self.noise!r}. Fit anew, without warm_start."
            )
        return parameters

    def _initialize(self, X: FloatArray, resp: FloatArray) -> None:
        """Take an M step from given responsibilities, as scikit-learn does."""
        X = np.asarray(X)
        data = Data(X, None, self.n_jobs)
        model = build_model(data, Settings.of(self))
        d = data.n_features
        start = from_responsibilities(
            np.asarray(X, dtype=np.float64), np.ones(len(X)), np.asarray(resp), model
        )
        initial: dict[str, FloatArray] = {}
        if self.precisions_init is not None:
            initial["precisions"] = check_precisions(
                self.precisions_init, self.covariance_type, resp.shape[1], d
            )
        self._store(overwrite(start, initial, model), X.dtype)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "em"
        return tags
