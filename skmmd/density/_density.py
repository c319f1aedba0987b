"""ScoreMatchingDensity: the kernel exponential family, normalised, with scores and samples."""

import warnings
from typing import Any, ClassVar

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from sklearn.base import DensityMixin
from sklearn.utils.metaestimators import available_if

from skmmd._chunked import row_blocks, single_threaded_blas
from skmmd._validation import (
    Estimator,
    HasMethods,
    Integral,
    Interval,
    Real,
    StrOptions,
    check_is_fitted,
    check_weight,
    fit_method,
    generator,
    stack_level,
    validate_data,
    validate_params,
)
from skmmd.density._box import box_of, check_inside, is_positive, rows_inside
from skmmd.density._candidates import Box
from skmmd.density._fit import Fit, extend, fit_density
from skmmd.density._fitted import FittedBase
from skmmd.density._folds import Rows, merge_rows
from skmmd.density._radial import RADIAL_KERNELS
from skmmd.density._sampling import sample
from skmmd.density._settings import Settings, check_parameters, settings_of
from skmmd.density._whitening import Whitening, whitening

__all__ = ["ScoreMatchingDensity"]

FloatArray = NDArray[np.float64]

_LOW_ESS = 0.03
_LARGE_ERROR = 0.05
_BLOCK = 2048
_SLACK = 1e-13
# Variance that is left, of 1 in whitened coordinates, without the farthest rows.
_SQUEEZED = 5e-3


def _has_sums(estimator: Any) -> bool:
    """Raise if there is nothing that partial_fit could add to."""
    if estimator.refine or estimator.basis != "lite":
        raise AttributeError(
            f"{type(estimator).__name__}: partial_fit adds to sums of rows, which basis='lite' "
            "without refine=True has; use these, or fit."
        )
    return True


class ScoreMatchingDensity(DensityMixin, Estimator):
    """Density estimation by score matching in a kernel exponential family.

    The density is ``p(x) = q0(x) exp(f(x)) / Z``: a base measure q0 (a Gaussian or a mixture of
    Gaussians), times the exponential of a kernel expansion f. Score matching finds f in closed
    form without ever computing Z; importance sampling then estimates Z, with its standard error.
    Where :class:`~sklearn.neighbors.KernelDensity` spreads each row over a ball of one radius, f
    bends the base measure along the directions in which the rows ask for it.

    What is not given is chosen by cross-validation: bandwidths per coordinate and the penalty by
    the exact gradient of the held-out score-matching loss; then the base measure, the scale of the
    bandwidths, the penalty and the noise of the denoising loss by the held-out log-likelihood,
    where f = 0 competes too.

    Parameters
    ----------
    kernel : {"rbf", "imq", "rq"}, default="rbf"
        With u = 1/2 sum_i (x_i - z_i)^2 / bandwidth_i^2: exp(-u), (1 + u)^(-1/2), (1 + u)^(-1).
    bandwidth : {"ard", "cv", "median"}, float or array-like of shape (n_features,), default="ard"
        In whitened coordinates. "ard" chooses one for each coordinate, "cv" one for all from a
        grid, "median" takes the median distance of the rows.
    alpha : "cv" or float, default="cv"
        Weight of the penalty ``alpha / 2 * coef' K coef``, the squared norm of f.
    n_components : int, default=200
        Number of rows drawn as centres of the basis; all distinct rows if there are fewer.
    centers : array-like of shape (n_centers, n_features), default=None
        Centres, in the data's coordinates, in place of drawn ones.
    basis : {"lite", "nystroem", "full"}, default="lite"
        What f is made of: kernel values at the centres, all first derivatives of the kernel at the
        centres, or at all rows, the exact solution in the whole function space (for small data).
    base : {"auto", "gaussian", "gmm"} or estimator, default="auto"
        The base measure. "gmm" is scikit-learn's :class:`~sklearn.mixture.GaussianMixture` with
        the number of components of lowest BIC; "auto" lets it compete with a Gaussian. An
        estimator is cloned and fitted in the data's coordinates: a mixture of Gaussians, or any
        with `score_samples`, `score_function` and `sample`.
    loss : {"auto", "explicit", "denoising", "sliced"}, default="auto"
        The explicit score-matching loss [1]_; its expectation under Gaussian noise on the rows,
        which is a smoother loss (in closed form for the rbf kernel and a Gaussian base); or its
        projection on random directions. "auto" is explicit, and with the rbf kernel and a
        Gaussian base noise of .05 and .1 competes with it.
    noise_scale : "cv" or float, default="cv"
        Standard deviation of the noise of the denoising loss, in whitened coordinates. "cv"
        chooses among .05 and .1.
    n_slices : int, default=1
        Number of random directions per row of the sliced loss.
    selection : {"log_likelihood", "score_matching"}, default="log_likelihood"
        What held-out rows are judged by. The score-matching loss does not see how the mass is
        shared out between modes far from each other.
    refine : bool, default=False
        Whether to go on from there and maximise the penalised likelihood over the same basis, a
        concave problem, if held-out rows say that it helps. Takes some times longer.
    whiten : bool, default=True
        Whether to compute in coordinates in which the rows have mean zero and covariance one (the
        symmetric root of the covariance, ddof=0; shrunk where it is singular). With a domain
        columns are only scaled. If False, all columns keep their common scale, and bandwidths,
        `alpha` and `noise_scale` are those of the data's coordinates.
    domain : None, "nonnegative" or tuple (low, high), default=None
        Where the density may be positive: everywhere, in all columns from 0 on, or between sides
        that are numbers or arrays of shape (n_features,), infinite where there is none.
    cv : int, splitter or iterable of splits, default=5
        Number of folds, or splits for the selection. An int (None: 5) and a splitter are
        applied to the distinct rows, shuffled, as equal rows must not be on both sides; splits of
        an iterable are indices of the rows as given.
    n_normalizer_samples : int, default=20_000
        Number of draws that estimate the normaliser. With 0 there is none (`score_samples`
        raises), which asks for ``selection="score_matching"``.
    n_jobs : int, default=None
        Number of threads; None means 1, -1 all processors. The result does not depend on it.
    random_state : int, RandomState instance or None, default=None
        Draws the centres, folds, starts and the points of the normaliser.
    verbose : int, default=0
        Show progress bars if positive.

    Attributes
    ----------
    coef_ : ndarray of shape (n_centers,), or (n_centers, n_features) if ``basis`` is not "lite"
        Coefficients of f; zeros where the base measure alone was better on held-out rows.
    centers_ : ndarray of shape (n_centers, n_features)
        Centres of the basis, in the data's coordinates.
    bandwidth_ : ndarray of shape (n_features,)
        Bandwidths, in whitened coordinates; infinite for columns that never vary, and where f = 0.
    alpha_ : float
        Weight of the penalty.
    noise_scale_ : float
        Noise of the denoising loss, in whitened coordinates; 0 for the explicit loss.
    base_ : object
        The base measure, in the data's coordinates: `score_samples`, `score_function`, `sample`.
    log_normalizer_ : float
        Log of the integral of ``q0 exp(f)``; NaN without normaliser.
    log_normalizer_std_ : float
        Its standard error. In one or two dimensions the integral is computed by quadrature, and
        this is a bound of its error.
    ess_ : float
        Effective sample size of the importance weights, as a fraction of the draws. Near 0, the
        normaliser cannot be trusted, whatever its standard error.
    held_out_score_ : float
        Held-out log-likelihood per row of what was selected, less one standard error of its
        normaliser; minus the held-out loss in whitened coordinates if that selects; NaN where
        nothing was selected.
    refined_ : bool
        Whether the likelihood was maximised.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if X had them as strings.

    See Also
    --------
    ScoreMatchingGaussian : A Gaussian, also sparse or truncated.
    ScoreMatchingEstimator : Unnormalised models of one's own.
    sklearn.neighbors.KernelDensity : Kernel density estimation.
    sklearn.mixture.GaussianMixture : Mixtures of Gaussians.

    Notes
    -----
    Rows that are equal are merged to one of their total weight, so that an integer weight and
    copies of a row are the same to rounding, and nothing depends on the order of the rows. The
    selection draws 4,000 of the distinct rows if there are more; the solution takes all.

    References
    ----------
    .. [1] A. Hyvärinen (2005). Estimation of non-normalized statistical models by score matching.
       Journal of Machine Learning Research 6, 695-709.
    .. [2] B. Sriperumbudur, K. Fukumizu, A. Gretton, A. Hyvärinen and R. Kumar (2017). Density
       estimation in infinite dimensional exponential families. Journal of Machine Learning
       Research 18(57), 1-59.
    .. [3] D. J. Sutherland, H. Strathmann, M. Arbel and A. Gretton (2018). Efficient and
       principled score estimation with Nyström kernel exponential families. AISTATS.
    .. [4] L. Wenliang, D. J. Sutherland, H. Strathmann and A. Gretton (2019). Learning deep
       kernels for exponential family densities. ICML.
    .. [5] P. Vincent (2011). A connection between score matching and denoising autoencoders.
       Neural Computation 23, 1661-1674.
    .. [6] S. Yu, M. Drton and A. Shojaie (2019). Generalized score matching for non-negative data.
       Journal of Machine Learning Research 20(76), 1-70.

    Examples
    --------
    >>> from skmmd.datasets import make_density
    >>> from skmmd.density import ScoreMatchingDensity
    >>> ring = make_density("ring", 2)
    >>> density = ScoreMatchingDensity(random_state=0).fit(ring.sample(500, random_state=0))
    >>> density.score_samples([[0.0, 1.0], [0.0, 2.0], [0.0, 3.0]]).round(0)
    array([-3., -8., -3.])
    >>> density.sample(3, random_state=0).shape
    (3, 2)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "kernel": [StrOptions(set(RADIAL_KERNELS))],
        "bandwidth": [
            StrOptions({"ard", "cv", "median"}),
            Interval(Real, 0, None, closed="neither"),
            "array-like",
        ],
        "alpha": [StrOptions({"cv"}), Interval(Real, 0, None, closed="neither")],
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "centers": ["array-like", None],
        "basis": [StrOptions({"lite", "nystroem", "full"})],
        "base": [StrOptions({"auto", "gaussian", "gmm"}), HasMethods(["fit", "score_samples"])],
        "loss": [StrOptions({"auto", "explicit", "denoising", "sliced"})],
        "noise_scale": [StrOptions({"cv"}), Interval(Real, 0, None, closed="neither")],
        "n_slices": [Interval(Integral, 1, None, closed="left")],
        "selection": [StrOptions({"log_likelihood", "score_matching"})],
        "refine": ["boolean"],
        "whiten": ["boolean"],
        "domain": [StrOptions({"nonnegative"}), tuple, list, None],
        "cv": ["cv_object"],
        "n_normalizer_samples": [Interval(Integral, 0, None, closed="left")],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        kernel: str = "rbf",
        *,
        bandwidth: str | float | ArrayLike = "ard",
        alpha: str | float = "cv",
        n_components: int = 200,
        centers: ArrayLike | None = None,
        basis: str = "lite",
        base: Any = "auto",
        loss: str = "auto",
        noise_scale: str | float = "cv",
        n_slices: int = 1,
        selection: str = "log_likelihood",
        refine: bool = False,
        whiten: bool = True,
        domain: str | tuple[Any, Any] | None = None,
        cv: Any = 5,
        n_normalizer_samples: int = 20_000,
        n_jobs: int | None = None,
        random_state: int | RandomState | None = None,
        verbose: int = 0,
    ) -> None:
        self.kernel = kernel
        self.bandwidth = bandwidth
        self.alpha = alpha
        self.n_components = n_components
        self.centers = centers
        self.basis = basis
        self.base = base
        self.loss = loss
        self.noise_scale = noise_scale
        self.n_slices = n_slices
        self.selection = selection
        self.refine = refine
        self.whiten = whiten
        self.domain = domain
        self.cv = cv
        self.n_normalizer_samples = n_normalizer_samples
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        """Return the tags: rows may have to be positive."""
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = is_positive(self.domain)
        return tags

    @fit_method
    def fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> "ScoreMatchingDensity":
        """Fit the density.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights; an integer weight is the same as so many copies of the row.

        Returns
        -------
        ScoreMatchingDensity
            The fitted estimator.

        Raises
        ------
        ValueError
            If there are fewer than two distinct rows, rows outside of the domain, or parameters
            that contradict each other.

        Warns
        -----
        UserWarning
            If the draws of the normaliser are worth little, its standard error is large, or the
            base measure alone was better on held-out rows.
        """
        check_parameters(self)
        rows = validate_data(self, X, dtype=np.float64, order="C", ensure_min_samples=2)
        weight = check_weight(sample_weight, rows, name="sample_weight")
        with single_threaded_blas():
            fit, settings = self._fit(rows, weight)
        self._n_seen = float(weight.sum())
        self._store(fit, settings)
        self._warn()
        return self

    @available_if(_has_sums)
    @fit_method
    def partial_fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> "ScoreMatchingDensity":
        """Add rows to the sums that the coefficients follow from.

        The first call is a fit: it chooses coordinates, base measure, centres, bandwidths and
        penalty, and those stay. Each further call adds its rows to the sums, solves for the
        coefficients again and renormalises; the rows need not be kept.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows; the first call should have enough to choose from.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights.

        Returns
        -------
        ScoreMatchingDensity
            The fitted estimator.

        Raises
        ------
        AttributeError
            If ``refine=True`` or the basis is not "lite": these have no sums to add to.
        """
        if not hasattr(self, "coef_"):
            return self.fit(X, sample_weight=sample_weight)
        rows = self._rows(X)
        weight = check_weight(sample_weight, rows, name="sample_weight")
        total = float(weight.sum())
        with single_threaded_blas():
            fit = extend(
                self._fitted,
                self._settings,
                Rows(self._map.forward(rows), weight / total, total, rows),
                self._n_seen,
                self._box(rows, self._map),
                generator(self.random_state),
                n_jobs=self.n_jobs,
            )
        self._n_seen += total
        if self._fitted.system is None:
            warnings.warn(
                f"{type(self).__name__}: the first rows chose f = 0, the base measure alone, which "
                "further rows do not change; give the first call of partial_fit more rows, or "
                "bandwidth, alpha, base and loss.",
                UserWarning,
                stacklevel=stack_level(),
            )
            return self
        self._store(fit, self._settings)
        self._warn()
        return self

    def _fit(self, X: FloatArray, weight: FloatArray) -> tuple[Fit, Settings]:
        """Put the question in whitened coordinates and have it answered."""
        name = type(self).__name__
        distinct, merged, _ = merge_rows(X, weight)
        if len(distinct) < 2:
            raise ValueError(
                f"{name} needs two distinct rows of positive weight at least, there is "
                f"{len(distinct)}: the density of one point is not defined."
            )
        with np.errstate(over="ignore"):
            if not np.all(np.isfinite(2.0 * np.ptp(distinct, axis=0))):
                raise ValueError(
                    f"{name}: the values leave the range of float64 when they are subtracted; "
                    "rescale the features to a scale near 1."
                )
        n_samples, merged, map_ = self._coordinates(distinct, merged)
        box = self._box(distinct, map_)
        rows = Rows(map_.forward(distinct), merged, n_samples, distinct)
        self._warn_of_outliers(rows)
        settings = settings_of(self, map_, rows.X, merged)
        fit = fit_density(
            settings,
            map_,
            rows,
            (X, weight),
            box,
            generator(self.random_state),
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        return fit, settings

    def _coordinates(
        self, distinct: FloatArray, merged: FloatArray
    ) -> tuple[float, FloatArray, Whitening]:
        """Return the number of samples, weights of sum 1, and whitened coordinates."""
        name = type(self).__name__
        # Copies count; weights of an arbitrary unit count as their effective number of rows.
        total, share = float(merged.sum()), merged / merged.max()
        n_samples = max(total, float(share.sum() ** 2 / np.square(share).sum()))
        merged = share / share.sum()
        kind = "columns" if self.domain is not None else "full"
        map_ = whitening(distinct, merged, n_samples, kind=kind if self.whiten else "none")
        if not np.all(np.isfinite(map_.root)):
            raise ValueError(
                f"{name}: the squares of the values leave the range of float64; rescale the "
                "features to a scale near 1."
            )
        constant = np.flatnonzero(~map_.varying)
        if len(constant) == distinct.shape[1]:
            raise ValueError(f"{name}: no feature varies by more than rounding errors.")
        if len(constant) and not isinstance(self.base, str):
            raise ValueError(
                f"{name}: the features {constant[:5].tolist()} are constant, which a base measure "
                "of your own cannot be asked to leave out; drop them."
            )
        return n_samples, merged, map_

    def _warn_of_outliers(self, rows: Rows) -> None:
        """Tell if a few rows make up most of the variance in some direction."""
        far = np.argsort(rows.weight * np.square(rows.X).sum(axis=1))
        n_far = max(1, len(far) // 100)
        if not self.whiten or len(far) <= 10 * rows.X.shape[1]:
            return
        # In directions that have variance: copies of a column leave one without.
        values, vectors = np.linalg.eigh((rows.X.T * rows.weight) @ rows.X)
        rest = far[:-n_far]
        rotated = rows.X[rest] @ vectors[:, values > 0.5 * values[-1]]
        left = np.linalg.eigvalsh((rotated.T * rows.weight[rest]) @ rotated)
        if left[0] < _SQUEEZED * values[-1]:
            warnings.warn(
                f"{type(self).__name__}: {n_far} of {len(far)} rows lie so far out that they "
                "make up most of the variance in some direction: outliers, by which the others are "
                "squeezed together. Leave them out, clip them, or transform the features.",
                UserWarning,
                stacklevel=stack_level(),
            )

    def _box(self, X: FloatArray, map_: Whitening) -> Box | None:
        """Return the domain in coordinates, after checking that all rows are inside."""
        sides = box_of(self.domain, X.shape[1])
        if sides is None:
            return None
        check_inside(X, sides, type(self).__name__)
        low, high = ((side - map_.center)[map_.varying] / map_.root for side in sides)
        # Rows on a side must not fall outside by rounding.
        return Box(low - _SLACK * (1.0 + np.abs(low)), high + _SLACK * (1.0 + np.abs(high)))

    def _store(self, fit: Fit, settings: Settings) -> None:
        """Set the fitted attributes."""
        map_, choice = fit.map_, fit.choice
        self._fitted, self._settings, self._map, self._model = fit, settings, map_, fit.model
        self.bandwidth_ = np.full(len(map_.varying), np.inf)
        if choice.lengths is not None:
            self.bandwidth_[map_.varying] = choice.lengths * map_.unit
        self.alpha_ = choice.alpha / map_.unit**2
        self.noise_scale_ = choice.noise_scale * map_.unit
        self.coef_ = fit.model.function.coef
        self.centers_ = map_.backward(fit.centers)
        self.base_ = FittedBase(map_, choice.base.full, choice.base.name)
        self.held_out_score_ = choice.value
        if self.selection == "log_likelihood":
            self.held_out_score_ += float(map_.log_jacobian(map_.center[None])[0])
        self.refined_ = choice.penalty is not None
        normalizer = fit.normalizer
        self.log_normalizer_ = np.nan if normalizer is None else normalizer.log_normalizer
        self.log_normalizer_std_ = np.nan if normalizer is None else normalizer.standard_error
        self.ess_ = np.nan if normalizer is None else normalizer.ess

    def _warn(self) -> None:
        """Tell where the density should not be trusted, or is less than was asked for."""
        name, trouble = type(self).__name__, None
        advice = "use more n_normalizer_samples, a larger bandwidth or alpha, or another base"
        if self.ess_ < _LOW_ESS:
            trouble = (
                f"the effective sample size of the normaliser is {self.ess_:.2g} of its "
                f"{self.n_normalizer_samples} draws; score_samples can be off by much more than "
                f"log_normalizer_std_ tells. To mend it, {advice}."
            )
        elif self.log_normalizer_std_ > _LARGE_ERROR:
            trouble = (
                f"the standard error of log_normalizer_ is {self.log_normalizer_std_:.2g}; to "
                f"lower it, {advice}."
            )
        elif self._settings.is_closed and self._model.is_base:
            trouble = (
                "f is 0 to rounding at these parameters: the density is that of the base measure. "
                "Put centers among the rows, and a bandwidth near 1 in whitened coordinates."
            )
        elif self._model.is_base:
            trouble = (
                f"on held-out rows the base measure alone ({self.base_.name}) was better than any "
                "f: the density is that of the base measure. That is right where the rows come "
                "from such a distribution; else more rows, or another base or kernel may help."
            )
        if trouble is not None:
            warnings.warn(f"{name}: {trouble}", UserWarning, stacklevel=stack_level())

    def score_samples(self, X: ArrayLike) -> FloatArray:
        """Return the log density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points.

        Returns
        -------
        ndarray of shape (n_samples,)
            Log density, normalised; -inf outside of the domain.

        Raises
        ------
        ValueError
            If the density was fitted without normaliser.
        """
        rows = self._rows(X)
        if np.isnan(self.log_normalizer_):
            raise ValueError(
                f"This {type(self).__name__} was fitted without normaliser "
                "(n_normalizer_samples=0); use unnormalized_log_density, or fit with "
                "n_normalizer_samples > 0."
            )
        return self._unnormalized(rows) - self.log_normalizer_

    def unnormalized_log_density(self, X: ArrayLike) -> FloatArray:
        """Return the log density of each row but for the normaliser, log q0 + f.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points.

        Returns
        -------
        ndarray of shape (n_samples,)
            Log of the base measure's density plus f.
        """
        return self._unnormalized(self._rows(X))

    def score_function(self, X: ArrayLike) -> FloatArray:
        """Return the score, the gradient of the log density, at each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Gradients with respect to the point.

        Raises
        ------
        ValueError
            If a row lies outside of the domain, where the log density has no gradient.
        """
        rows = self._inside(X)
        with single_threaded_blas():
            return self._map.pull_score(rows, self._model.score(self._map.forward(rows)))

    def hessian(self, X: ArrayLike) -> FloatArray:
        """Return the Hessian of the log density at each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points.

        Returns
        -------
        ndarray of shape (n_samples, n_features, n_features)
            Second derivatives with respect to the point.

        Raises
        ------
        ValueError
            If a row lies outside of the domain, where the log density has no derivatives.
        """
        rows = self._inside(X)
        with single_threaded_blas():
            return self._map.pull_hessian(self._model.hessian(self._map.forward(rows)))

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Return the mean log density per row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Held-out rows.
        y : None
            Ignored.

        Returns
        -------
        float
            Mean log-likelihood. Fitted with ``selection="score_matching"`` and without normaliser:
            minus :meth:`score_matching_loss`.
        """
        if self.selection == "score_matching" and self.n_normalizer_samples == 0:
            return -self.score_matching_loss(X)
        return float(np.mean(self.score_samples(X)))

    def score_matching_loss(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the score-matching loss: half the squared score plus the trace of the Hessian.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Held-out rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            Hyvärinen's loss in the data's coordinates; lower is better. On a domain it is the
            generalised loss of the fit, in units of the columns' standard deviations, with weights
            that fall to 0 at the boundary.

        Raises
        ------
        ValueError
            If a row lies outside of the domain.
        """
        rows = self._inside(X)
        weight = check_weight(sample_weight, rows, name="sample_weight")
        box = self._box(rows, self._map)
        losses = np.empty(len(rows))
        with single_threaded_blas():
            for part in row_blocks(len(rows), _BLOCK):
                x = rows[part]
                Z = self._map.forward(x)
                score, hessian = self._model.score(Z), self._model.hessian(Z)
                if box is None:
                    squares = np.square(self._map.pull_score(x, score)).sum(axis=1)
                    losses[part] = 0.5 * squares + self._map.pull_laplacian(hessian)
                else:
                    share, slope = box.weights(Z)
                    second = np.diagonal(hessian, axis1=1, axis2=2)
                    losses[part] = (share * (0.5 * score**2 + second) + slope * score).sum(axis=1)
        return float(weight @ losses / weight.sum())

    @validate_params(
        {
            "n_samples": [Interval(Integral, 1, None, closed="left")],
            "random_state": ["random_state"],
        },
        prefer_skip_nested_validation=True,
    )
    def sample(
        self, n_samples: int = 1, random_state: int | RandomState | None = None
    ) -> FloatArray:
        """Draw rows from the density.

        Points of the base measure and of a kernel density estimate are resampled by their
        importance, then moved by steps of the Metropolis-adjusted Langevin algorithm.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Pass an int for the same rows on each call.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Draws, in random order.
        """
        check_is_fitted(self)
        source, model = generator(random_state), self._model
        with single_threaded_blas():
            if model.is_base:
                points = model.base.draw(n_samples, source)
            else:
                points = sample(
                    model.log_density, model.score, self._fitted.proposal, n_samples, source
                ).points
        constant = source.standard_normal((n_samples, int(np.sum(~self._map.varying))))
        if self.domain is not None:
            constant *= 0.0  # their value may lie on the boundary
        return self._map.backward(points, constant)

    def _inside(self, X: ArrayLike) -> FloatArray:
        rows = self._rows(X)
        sides = box_of(self.domain, rows.shape[1])
        if sides is not None:
            check_inside(rows, sides, type(self).__name__)
        return rows

    def _rows(self, X: ArrayLike) -> FloatArray:
        check_is_fitted(self)
        rows: FloatArray = validate_data(self, X, dtype=np.float64, order="C", reset=False)
        return rows

    def _unnormalized(self, rows: FloatArray) -> FloatArray:
        with single_threaded_blas():
            log_density = self._model.log_density(self._map.forward(rows))
        log_density += self._map.log_jacobian(rows)
        sides = box_of(self.domain, rows.shape[1])
        if sides is not None:
            log_density[~rows_inside(rows, sides)] = -np.inf
        return log_density
