"""What a mixture tells by its fitted attributes: rows, samples, and some features given others."""

import math
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import DensityMixin, clone
from sklearn.utils import check_array, check_random_state

from skmmd._chunked import gather_blocks, row_blocks
from skmmd._validation import Estimator, check_is_fitted, check_weight, validate_data
from skmmd.inspection import MixtureDisplay
from skmmd.mixture._conditional import (
    condition,
    fill,
    regress,
    split_features,
    transform_missing,
)
from skmmd.mixture._data import BLOCK_SIZE, DTYPES
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
from skmmd.mixture._sweep import transform

__all__ = ["FittedMixture"]


class FittedMixture(DensityMixin, Estimator):
    """A mixture as it is after a fit, whatever set its attributes.

    A subclass has the parameters named here, and fits.
    """

    covariance_type: str
    covariance_prior: Any
    missing: str
    n_jobs: int | None
    random_state: Any

    weights_: Any
    means_: Any
    covariances_: Any
    precisions_: Any
    precisions_cholesky_: Any
    noise_weight_: float
    noise_bounds_: Any

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

    def condition(self, indices: ArrayLike, x: ArrayLike) -> Self:
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
        other = clone(self).set_params(n_components=len(parameters.means), **self._no_start())
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
