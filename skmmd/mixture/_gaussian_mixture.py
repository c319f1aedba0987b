"""The estimator: scikit-learn's GaussianMixture and what its users miss."""

import math
import warnings
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import DensityMixin, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state

from skmmd._chunked import gather_blocks, row_blocks, single_threaded_blas
from skmmd._validation import (
    Estimator,
    Integral,
    Interval,
    Real,
    StrOptions,
    check_is_fitted,
    check_weight,
    fit_method,
    stack_level,
    validate_data,
)
from skmmd.inspection import MixtureDisplay
from skmmd.mixture._chunks import ChunkedData, opener, survey
from skmmd.mixture._conditional import (
    condition,
    fill,
    regress,
    split_features,
    transform_missing,
)
from skmmd.mixture._data import BLOCK_SIZE, DTYPES, Data
from skmmd.mixture._fit import Outcome, complaint_of_dead, fit_mixture
from skmmd.mixture._model import Settings, build_model, check_precisions
from skmmd.mixture._online import Stream, blend, implied_state
from skmmd.mixture._parameters import (
    SHAPES,
    FloatArray,
    Model,
    Parameters,
    covariances_of_factors,
    dense,
    from_rows,
    n_free_parameters,
    products,
    public_shape,
    to_rows,
)
from skmmd.mixture._start import METHODS, from_responsibilities, overwrite
from skmmd.mixture._sweep import transform

__all__ = ["GaussianMixture"]


class GaussianMixture(DensityMixin, Estimator):
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

    # ----------------------------------------------------------------------------------
    # parameters in and out

    def _store(self, parameters: Parameters, dtype: Any) -> None:
        shape, shared = SHAPES[self.covariance_type]
        k, d = parameters.means.shape
        factors = from_rows(parameters.factors, shape, shared, d)
        arrays = (
            parameters.weights[:k].copy(),
            parameters.means,
            from_rows(parameters.covariances, shape, shared, d),
            factors,
        )
        with np.errstate(over="ignore"):
            rounded = [array.astype(dtype, copy=False) for array in arrays]
            precisions = products(factors, shape).astype(dtype, copy=False)
        if not all(np.isfinite(array).all() for array in [*rounded, precisions]):
            raise ValueError(
                f"Parameters overflow {np.dtype(dtype).name}. Pass X as float64, or scale it."
            )
        self._set_parameters(rounded)
        self.precisions_ = precisions
        if len(parameters.weights) > k:
            self.noise_weight_ = float(parameters.weights[-1])
        else:
            self._forget("noise_weight_", "noise_bounds_")

    def _forget(self, *names: str) -> None:
        for name in names:
            if hasattr(self, name):
                delattr(self, name)

    def _set_parameters(self, params: Any) -> None:
        """Take weights, means, covariances and factors of precisions, as scikit-learn does."""
        self.weights_, self.means_, self.covariances_, self.precisions_cholesky_ = params
        self.precisions_ = products(self.precisions_cholesky_, SHAPES[self.covariance_type][0])

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

    def _n_parameters(self) -> int:
        """Return the number of free parameters."""
        return n_free_parameters(
            self.covariance_type, *self.means_.shape, noise=hasattr(self, "noise_weight_")
        )

    def _parameters(self) -> Parameters:
        """Return the fitted parameters as rows.

        Raises
        ------
        ValueError
            If they do not fit together: attributes or `covariance_type` were changed.
        """
        shape, shared = SHAPES[self.covariance_type]
        k, d = np.shape(self.means_)
        wanted = public_shape(shape, shared, k, d)
        factors = np.asarray(self.precisions_cholesky_, dtype=np.float64)
        if factors.shape != wanted or np.shape(self.weights_) != (k,):
            raise ValueError(
                f"With covariance_type={self.covariance_type!r} and means_ of shape {(k, d)}, "
                f"precisions_cholesky_ must have the shape {wanted} and weights_ {(k,)}; they "
                f"have {factors.shape} and {np.shape(self.weights_)}. Was a parameter or an "
                "attribute changed after the fit? Fit anew."
            )
        covariances: Any = getattr(self, "covariances_", None)
        if np.shape(covariances) != wanted or np.asarray(covariances).dtype != np.float64:
            # Of single precision, only the factors are sure to be of full rank.
            covariances = covariances_of_factors(factors, shape)
        weights = np.array(self.weights_, dtype=np.float64)
        if hasattr(self, "noise_weight_"):
            weights = np.append(weights, self.noise_weight_)
        return Parameters(
            weights,
            np.array(self.means_, dtype=np.float64, order="C"),
            to_rows(np.asarray(covariances), shape, shared, d),
            to_rows(factors, shape, shared, d),
        )

    def _fitted_model(self) -> Model:
        shape, shared = SHAPES[self.covariance_type]
        noise = None
        if hasattr(self, "noise_weight_"):
            noise = -np.log(self.noise_bounds_[1] - self.noise_bounds_[0])
        return Model(shape, shared, np.zeros(self.means_.shape[1]), np.zeros(0), noise=noise)

    def _matrices(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return weights, means and covariance matrices of all components."""
        shape, _ = SHAPES[self.covariance_type]
        weights, means, covariances, _ = self._parameters()
        matrices = np.broadcast_to(
            dense(covariances, shape, means.shape[1]), (len(means), *(means.shape[1],) * 2)
        )
        gaussian = weights[: len(means)]
        if not gaussian.sum() > 0.0:
            raise ValueError(
                "All weight of the mixture is in its noise: there is nothing to condition on."
            )
        return gaussian / gaussian.sum(), means, matrices

    # ----------------------------------------------------------------------------------
    # rows

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Return the most probable component of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; with NaN if `missing="em"`.

        Returns
        -------
        ndarray of shape (n_samples,), dtype int64
            Numbers of components; -1 for noise.
        """
        X = self._check_rows(X)
        labels = np.empty(len(X), dtype=np.int64)
        self._map_rows(X, lambda shares, _: shares.argmax(axis=1), labels)
        labels[labels == len(self.means_)] = -1
        return labels

    def predict_proba(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return the probability of each component given a row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; with NaN if `missing="em"`.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Probabilities; one more column for the noise, if there is any.
        """
        X = self._check_rows(X)
        n_joint = np.size(self.weights_) + int(hasattr(self, "noise_weight_"))
        return self._map_rows(X, lambda shares, _: shares, np.empty((len(X), n_joint), X.dtype))

    def score_samples(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return the log density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows. Of a row with NaN, with `missing="em"`, it is that of the observed values.

        Returns
        -------
        ndarray of shape (n_samples,)
            Log densities, in nats.
        """
        X = self._check_rows(X)
        return self._map_rows(X, lambda _, density: density, np.empty(len(X), X.dtype))

    def score(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean log density of rows.

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
            Weighted mean, in nats.
        """
        density = np.asarray(self.score_samples(X), dtype=np.float64)
        if sample_weight is None:
            return float(density.mean())
        weight = check_weight(sample_weight, density[:, None], name="sample_weight")
        counts = weight > 0.0
        weight /= weight.max()
        return float(np.average(density[counts], weights=weight[counts]))

    def _check_rows(self, X: ArrayLike) -> NDArray[np.floating]:
        check_is_fitted(self)
        finite: Any = "allow-nan" if self.missing == "em" else True
        rows: NDArray[np.floating] = validate_data(
            self, X, dtype=DTYPES, ensure_all_finite=finite, reset=False
        )
        self._check_width(rows)
        return rows

    def _check_width(self, rows: NDArray[np.floating]) -> None:
        """Raise if rows do not fit the means, which may have been set by hand."""
        if rows.shape[1] != np.shape(self.means_)[1]:
            raise ValueError(
                f"X has {rows.shape[1]} features, but means_ has {np.shape(self.means_)[1]}."
            )

    def _map_rows(
        self,
        X: NDArray[np.floating],
        pick: Callable[[FloatArray, FloatArray], NDArray[Any]],
        found: NDArray[Any],
    ) -> NDArray[Any]:
        """Write what `pick` makes of responsibilities and log densities, block by block."""
        model, parameters = self._fitted_model(), self._parameters()
        gaussian = parameters.weights[: len(parameters.means)]
        center = gaussian @ parameters.means / max(gaussian.sum(), 1e-300)

        def fill(block: slice) -> None:
            rows = np.array(X[block], dtype=np.float64, order="C")
            missing = np.isnan(rows)
            if missing.any():
                found[block] = pick(*transform_missing(rows, missing, model, parameters))
            else:
                found[block] = pick(*transform(rows, model, parameters, center))

        gather_blocks(fill, row_blocks(len(X), BLOCK_SIZE), n_jobs=self.n_jobs)
        return found

    # ----------------------------------------------------------------------------------
    # criteria

    def bic(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the Bayesian information criterion.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows as frequencies: their sum is the number of rows.

        Returns
        -------
        float
            Lower is better.
        """
        return self._criteria(X, sample_weight)["bic"]

    def aic(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return Akaike's information criterion.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows as frequencies.

        Returns
        -------
        float
            Lower is better.
        """
        return self._criteria(X, sample_weight)["aic"]

    def icl(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the integrated completed likelihood criterion.

        BIC plus twice the entropy of the components given the rows: overlap costs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows as frequencies.

        Returns
        -------
        float
            Lower is better.
        """
        return self._criteria(X, sample_weight)["icl"]

    def _criteria(self, X: ArrayLike, sample_weight: ArrayLike | None) -> dict[str, float]:
        """Return all criteria from one pass over the rows."""

        def evaluate(shares: FloatArray, density: FloatArray) -> FloatArray:
            entropy = -(shares * np.log(np.maximum(shares, 1e-300))).sum(axis=1)
            return np.stack([density, entropy], axis=1)

        X = self._check_rows(X)
        rows = self._map_rows(X, evaluate, np.empty((len(X), 2)))
        weight = np.ones(len(rows))
        if sample_weight is not None:
            weight = check_weight(sample_weight, rows, name="sample_weight")
            rows, weight = rows[weight > 0.0], weight[weight > 0.0]
        log_likelihood, entropy = weight @ rows
        n, n_parameters = float(weight.sum()), self._n_parameters()
        bic = float(-2.0 * log_likelihood + n_parameters * math.log(n))
        aic = float(-2.0 * log_likelihood + 2.0 * n_parameters)
        return {"bic": bic, "aic": aic, "icl": float(bic + 2.0 * entropy)}

    # ----------------------------------------------------------------------------------
    # what a mixture tells

    def sample(self, n_samples: int = 1) -> tuple[FloatArray, NDArray[np.int64]]:
        """Draw rows from the mixture.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features), dtype float64
            Rows, component by component.
        y : ndarray of shape (n_samples,), dtype int64
            Components; -1 for noise.
        """
        check_is_fitted(self)
        if n_samples < 1:
            raise ValueError(
                f"Invalid value for 'n_samples': {n_samples}. The sampling requires at least one "
                "sample."
            )
        rng = check_random_state(self.random_state)
        weights, means, covariances, _ = self._parameters()
        matrices = dense(covariances, SHAPES[self.covariance_type][0], means.shape[1])
        lower = np.broadcast_to(np.linalg.cholesky(matrices), (len(means), *matrices.shape[1:]))
        counts = rng.multinomial(n_samples, weights / weights.sum())
        drawn = [
            mean + rng.standard_normal((count, len(mean))) @ factor.T
            for mean, factor, count in zip(means, lower, counts[: len(means)], strict=True)
        ]
        labels = np.arange(len(means))
        if hasattr(self, "noise_weight_"):
            size = (counts[-1], means.shape[1])
            drawn.append(rng.uniform(*self.noise_bounds_, size=size))
            labels = np.append(labels, -1)
        return np.vstack(drawn), np.repeat(labels, counts)

    def condition(self, indices: ArrayLike, x: ArrayLike) -> "GaussianMixture":
        """Return the mixture of the other features, given some.

        Parameters
        ----------
        indices : array-like of int
            The columns that are given.
        x : array-like of shape (len(indices),)
            Their values.

        Returns
        -------
        GaussianMixture
            A fitted mixture of the other columns, in their order. Noise is left out.

        Raises
        ------
        ValueError
            If `indices` are not different columns, none or all of them, or `x` does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from skmmd.mixture import GaussianMixture
        >>> x = np.random.default_rng(0).normal(size=2000)
        >>> X = np.column_stack([x, 2 * x + 0.1 * np.random.default_rng(1).normal(size=2000)])
        >>> given = GaussianMixture().fit(X).condition([0], [1.5])
        >>> given.means_.round(1)
        array([[3.]])
        """
        check_is_fitted(self)
        known, hidden = split_features(indices, self.means_.shape[1])
        value = np.asarray(
            check_array(np.atleast_2d(np.asarray(x)), dtype=np.float64, input_name="x")
        )
        if value.shape != (1, len(known)):
            raise ValueError(
                f"x must hold one value for each of the {len(known)} indices; got the shape "
                f"{np.shape(x)}."
            )
        shape, shared = SHAPES[self.covariance_type]
        parameters = condition(value, known, hidden, self._matrices(), shape, shared)
        other: GaussianMixture = clone(self).set_params(
            n_components=len(parameters.means), **self._no_start()
        )
        other._store(parameters, np.float64)
        other.n_features_in_ = len(hidden)
        if hasattr(self, "feature_names_in_"):
            other.feature_names_in_ = self.feature_names_in_[hidden]
        for name in ("converged_", "n_iter_", "lower_bound_", "lower_bounds_"):
            if hasattr(self, name):
                setattr(other, name, getattr(self, name))
        return other

    def _no_start(self) -> dict[str, Any]:
        """Return what a mixture of fewer features cannot take over."""
        left = dict.fromkeys(("weights_init", "means_init", "precisions_init", "noise"))
        prior: Any = self.covariance_prior
        if np.ndim(prior) > 0:
            left["covariance_prior"] = None
        return left

    def regress(
        self, X: ArrayLike, indices: ArrayLike, return_cov: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Predict the other features from some: Gaussian mixture regression.

        Parameters
        ----------
        X : array-like of shape (n_samples, len(indices))
            Values of the given columns.
        indices : array-like of int
            The columns given in X, in this order.
        return_cov : bool, default=False
            Whether to return the covariances too.

        Returns
        -------
        mean : ndarray of shape (n_samples, n_others), dtype float64
            Conditional means of the other columns, in their order. Noise is left out.
        cov : ndarray of shape (n_samples, n_others, n_others), dtype float64
            Their conditional covariances, if `return_cov`.

        Raises
        ------
        ValueError
            If `indices` are not different columns, none or all of them, or X does not fit.

        Examples
        --------
        >>> import numpy as np
        >>> from skmmd.mixture import GaussianMixture
        >>> rng = np.random.default_rng(0)
        >>> x = rng.uniform(-2, 2, size=3000)
        >>> X = np.column_stack([x, x**2 + 0.1 * rng.normal(size=3000)])
        >>> mixture = GaussianMixture(8, random_state=0).fit(X)
        >>> bool(abs(mixture.regress([[1.0]], indices=[0])[0, 0] - 1.0) < 0.1)
        True
        """
        check_is_fitted(self)
        known, hidden = split_features(indices, self.means_.shape[1])
        rows = check_array(X, dtype=np.float64, input_name="X")
        if rows.shape[1] != len(known):
            raise ValueError(f"X has {rows.shape[1]} columns, but {len(known)} indices are given.")
        mean, cov = regress(
            rows, known, hidden, self._matrices(), want_cov=return_cov, n_jobs=self.n_jobs
        )
        return mean if cov is None else (mean, cov)

    def predict_missing(
        self, X: ArrayLike, return_cov: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Fill missing values with their means given the observed values of the row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, with NaN where a value is missing, whatever `missing` is.
        return_cov : bool, default=False
            Whether to return the covariances of what was filled in.

        Returns
        -------
        filled : ndarray of shape (n_samples, n_features), dtype float64
            The rows without NaN.
        cov : ndarray of shape (n_samples, n_features, n_features), dtype float64
            Conditional covariances, zero where a value was observed, if `return_cov`.
        """
        check_is_fitted(self)
        filled = np.array(
            validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        )
        self._check_width(filled)
        cov = fill(filled, self._matrices(), want_cov=return_cov, n_jobs=self.n_jobs)
        return filled if cov is None else (filled, cov)

    def plot(self, X: ArrayLike | None = None, *, ax: Any = None, **kwargs: Any) -> Any:
        """Draw the mixture: ellipses, or densities of one feature.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), default=None
            Rows to draw too.
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw; None for new axes.
        **kwargs : dict
            Passed on to :meth:`skmmd.inspection.MixtureDisplay.from_estimator`.

        Returns
        -------
        MixtureDisplay
            The display.
        """
        return MixtureDisplay.from_estimator(self, X, **kwargs).plot(ax=ax)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "em"
        return tags
