"""Base measures: Gaussians and mixtures, estimators of others, Gaussians cut off at a box.

All take and return whitened coordinates, and have the methods of `BaseMeasure`.
"""

import copy
import functools
import inspect
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import logsumexp
from scipy.stats import truncnorm
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import ThreadpoolController

from skmmd._chunked import row_blocks

__all__ = [
    "BaseMeasure",
    "EstimatorBase",
    "MixtureBase",
    "TruncatedBase",
    "as_mixture",
    "best_mixtures",
    "copies",
    "estimator_base",
    "gaussian_base",
    "mixture_base",
]

FloatArray = NDArray[np.float64]

_LOG_2PI = float(np.log(2.0 * np.pi))
# Numbers held at a time for a block of rows.
_BLOCK_SIZE = 2**21
# Smallest eigenvalue of a covariance, as a share of the largest, that is taken as it is.
_SAFE = 1e-8
# Added to the variances of a mixture's components: rounded data would let one collapse.
_MIXTURE_FLOOR = 1e-5
_MAX_MIXTURE_ROWS = 20_000
# Rows in the smallest component of a mixture, counted by responsibilities: among many rows one
# may be an outlier, for which a component of its own is right.
_FEWEST_ROWS = 2.0
_FEWEST_AMONG_MANY, _MANY_ROWS = 0.5, 100
_ROWS_PER_COMPONENT = 8
# Of EM from a mixture of more rows: at scikit-learn's 1e-3 it would still know the held-out ones.
_TOLERANCE = 1e-5
_PATIENCE = 3
# The step of central differences at which truncation and rounding balance.
_STEP = float(np.cbrt(np.finfo(np.float64).eps))
# Fits in several threads at once would restore each other's filters of warnings.
_ONE_AT_A_TIME = threading.Lock()
_MIXTURE_ATTRIBUTES = ("weights_", "means_", "covariances_", "covariance_type")


class BaseMeasure(Protocol):
    """What a density in whitened coordinates offers."""

    def log_density(self, X: FloatArray) -> FloatArray:
        """Return the log density of each row, shape (n_rows,)."""

    def score(self, X: FloatArray) -> FloatArray:
        """Return the gradient of the log density, shape (n_rows, n_features)."""

    def laplacian(self, X: FloatArray) -> FloatArray:
        """Return the Laplacian of the log density, shape (n_rows,)."""

    def hessian(self, X: FloatArray) -> FloatArray:
        """Return the Hessian of the log density, shape (n_rows, n_features, n_features)."""

    def draw(self, n_draws: int, generator: np.random.Generator) -> FloatArray:
        """Draw points, shape (n_draws, n_features)."""


@dataclass(frozen=True)
class MixtureBase:
    """A mixture of Gaussians; with one component, a Gaussian.

    Parameters
    ----------
    weights : ndarray of shape (n_components,)
        Weights; they sum to 1.
    means : ndarray of shape (n_components, n_features)
        Means.
    covariances : ndarray of shape (n_components, n_features, n_features)
        Covariance matrices, positive definite.
    """

    weights: FloatArray
    means: FloatArray
    covariances: FloatArray

    @property
    def is_gaussian(self) -> bool:
        """Whether there is one component only."""
        return len(self.weights) == 1

    @property
    def precision(self) -> FloatArray:
        """Inverse covariance of a Gaussian, shape (n_features, n_features)."""
        if not self.is_gaussian:
            raise ValueError("Only a mixture of one component has one precision matrix.")
        return self._precisions[0]

    def inflated(self, factor: float) -> "MixtureBase":
        """Return the same mixture with all covariances times `factor`."""
        return replace(self, covariances=factor * self.covariances)

    def mapped(self, A: FloatArray) -> "MixtureBase":
        """Return the mixture of ``x @ A`` where x comes from this one."""
        return MixtureBase(self.weights, self.means @ A, A.T @ self.covariances @ A)

    def log_density(self, X: FloatArray) -> FloatArray:
        """Return the log density of each row.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Points.

        Returns
        -------
        ndarray of shape (n_rows,)
            Log density, normalised.
        """

        def block(rows: FloatArray) -> FloatArray:
            return _log_sum(self._log_components(self._standardised(rows)))

        return self._by_blocks(block, X)

    def score(self, X: FloatArray) -> FloatArray:
        """Return the gradient of the log density at each row.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Points.

        Returns
        -------
        ndarray of shape (n_rows, n_features)
            Scores.
        """
        return self._by_blocks(lambda rows: self._component_scores(rows)[2], X)

    def laplacian(self, X: FloatArray) -> FloatArray:
        """Return the Laplacian of the log density at each row.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Points.

        Returns
        -------
        ndarray of shape (n_rows,)
            Traces of the Hessians.
        """
        traces = np.trace(self._precisions, axis1=1, axis2=2)

        def block(rows: FloatArray) -> FloatArray:
            # The spread of the components' scores, not the difference of two squares.
            share, scores, mean = self._component_scores(rows)
            spread = np.square(scores - mean).sum(axis=2)
            return np.asarray((share * spread.T).sum(axis=1) - share @ traces)

        return self._by_blocks(block, X)

    def hessian(self, X: FloatArray) -> FloatArray:
        """Return the Hessian of the log density at each row.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Points.

        Returns
        -------
        ndarray of shape (n_rows, n_features, n_features)
            Hessians.
        """
        n_components, d = self.means.shape

        def block(rows: FloatArray) -> FloatArray:
            share, scores, mean = self._component_scores(rows)
            hessian = -(share @ self._precisions.reshape(n_components, -1)).reshape(-1, d, d)
            if n_components > 1:
                spread = (np.sqrt(share).T[:, :, None] * (scores - mean)).transpose(1, 2, 0)
                hessian += spread @ spread.transpose(0, 2, 1)
            return np.asarray(hessian)

        return self._by_blocks(block, X, per_row=(n_components + d) * d)

    def draw(self, n_draws: int, generator: np.random.Generator) -> FloatArray:
        """Draw points.

        Parameters
        ----------
        n_draws : int
            Number of points.
        generator : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        ndarray of shape (n_draws, n_features)
            Independent draws.
        """
        component = generator.choice(len(self.weights), size=n_draws, p=self.weights)
        points = generator.standard_normal((n_draws, self.means.shape[1]))
        for k, (mean, factor) in enumerate(zip(self.means, self._factors, strict=True)):
            mine = component == k
            points[mine] = mean + points[mine] @ factor.T
        return points

    @functools.cached_property
    def _factors(self) -> FloatArray:
        """Lower Cholesky factors of the covariances."""
        return np.asarray(np.linalg.cholesky(self.covariances), dtype=np.float64)

    @functools.cached_property
    def _inverse_factors(self) -> FloatArray:
        identity = np.eye(self.means.shape[1])
        return np.stack([solve_triangular(L, identity, lower=True) for L in self._factors])

    @functools.cached_property
    def _precisions(self) -> FloatArray:
        return np.asarray(self._inverse_factors.transpose(0, 2, 1) @ self._inverse_factors)

    @functools.cached_property
    def _log_heights(self) -> FloatArray:
        """Log weight of each component times its density at the mean."""
        diagonals = np.diagonal(self._factors, axis1=1, axis2=2)
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        return np.asarray(
            log_weights - np.log(diagonals).sum(axis=1) - 0.5 * self.means.shape[1] * _LOG_2PI
        )

    def _standardised(self, X: FloatArray) -> FloatArray:
        """Return the rows as each component's standard normal, (n_components, n_rows, d)."""
        return np.stack(
            [(X - m) @ T.T for m, T in zip(self.means, self._inverse_factors, strict=True)]
        )

    def _log_components(self, standardised: FloatArray) -> FloatArray:
        """Return log weighted densities of the components, shape (n_rows, n_components)."""
        squares = np.einsum("knd,knd->nk", standardised, standardised)
        return np.asarray(self._log_heights - 0.5 * squares)

    def _component_scores(self, X: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return responsibilities (n, k), scores of the components (k, n, d), their mean (n, d)."""
        standardised = self._standardised(X)
        log_components = self._log_components(standardised)
        share = np.exp(log_components - _log_sum(log_components)[:, None])
        scores = -(standardised @ self._inverse_factors)
        return share, scores, np.einsum("nk,knd->nd", share, scores)

    def _by_blocks(
        self,
        function: Callable[[FloatArray], FloatArray],
        X: FloatArray,
        per_row: int | None = None,
    ) -> FloatArray:
        block = max(1, _BLOCK_SIZE // (per_row or self.means.size))
        if len(X) <= block:
            return function(X)
        return np.concatenate([function(X[rows]) for rows in row_blocks(len(X), block)])


def _log_sum(log_components: FloatArray) -> FloatArray:
    """Return the log of the sum of exponentials of each row."""
    if log_components.shape[1] == 1:
        return log_components[:, 0]
    return np.asarray(logsumexp(log_components, axis=1))


# --------------------------------------------------------------------------------------
# fits


def gaussian_base(X: FloatArray, weight: FloatArray, n_samples: float) -> MixtureBase:
    """Fit a Gaussian by maximum likelihood; shrink its covariance if that is singular.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Rows.
    weight : ndarray of shape (n_rows,)
        Weights; they sum to 1.
    n_samples : float
        Number of samples the rows stand for, the sum of the weights as given.

    Returns
    -------
    MixtureBase
        Gaussian of the mean and the covariance (ddof=0), the latter shrunk as by Ledoit and Wolf
        towards its scaled identity where it is not safely positive definite.
    """
    mean = weight @ X
    centred = X - mean
    covariance = (weight[:, None] * centred).T @ centred
    if not _is_safe(covariance):
        covariance = _shrunk(centred, weight, covariance, n_samples)
    return MixtureBase(np.ones(1), mean[None], covariance[None])


def _is_safe(covariance: FloatArray) -> bool:
    eigenvalues = np.linalg.eigvalsh(covariance)
    return bool(eigenvalues[0] > _SAFE * eigenvalues[-1])


def _shrunk(
    centred: FloatArray, weight: FloatArray, covariance: FloatArray, n_samples: float
) -> FloatArray:
    """Return Ledoit and Wolf's covariance, the mean over samples one by the weights."""
    d = len(covariance)
    mean_variance = np.trace(covariance) / d
    squared_norm = np.square(covariance).sum()
    fourth = weight @ np.square(np.square(centred).sum(axis=1))
    noise = (fourth - squared_norm) / n_samples
    dispersion = squared_norm - d * mean_variance**2
    shrinkage = min(noise, dispersion) / dispersion if noise > 0.0 and dispersion > 0.0 else 0.0
    shrunk = _towards_identity(covariance, shrinkage, mean_variance)
    if _is_safe(shrunk):
        return shrunk
    # Two samples look free of noise, and equal ones have no variance to shrink towards.
    return _towards_identity(covariance, 1.0 / (n_samples + 1.0), mean_variance or _SAFE)


def _towards_identity(covariance: FloatArray, share: float, variance: float) -> FloatArray:
    return np.asarray((1.0 - share) * covariance + share * variance * np.eye(len(covariance)))


def mixture_base(
    X: FloatArray,
    weight: FloatArray,
    n_components: int,
    n_samples: float,
    random_state: int,
    *,
    shape: str = "full",
    columns: FloatArray | None = None,
    start: MixtureBase | None = None,
) -> MixtureBase:
    """Fit a mixture of Gaussians by scikit-learn's EM.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Rows.
    weight : ndarray of shape (n_rows,)
        Weights; they sum to 1.
    n_components : int
        Number of components; 1 gives :func:`gaussian_base`.
    n_samples : float
        Number of samples the rows stand for.
    random_state : int
        Seed of the start of EM, and of the subset of more than 20,000 rows.
    shape : {"full", "diag"}, default="full"
        Shape of the covariances; diagonal ones are so in the columns of the data.
    columns : ndarray of shape (n_features, n_features), default=None
        ``X @ columns`` are the columns of the data, scaled; None means those of `X`. EM runs
        there: groups may be farther apart than in whitened coordinates.
    start : MixtureBase, default=None
        A mixture for EM to start from, in place of k-means.

    Returns
    -------
    MixtureBase
        The mixture.
    """
    if n_components == 1:
        return gaussian_base(X, weight, n_samples)
    X, weight, n_samples = _subset(X, weight, n_samples, random_state)
    rows = X[copies(weight, n_samples)]
    if columns is None:
        return _fit_mixture(rows, n_components, random_state, shape, start)
    start = None if start is None else start.mapped(columns)
    fitted = _fit_mixture(rows @ columns, n_components, random_state, shape, start)
    return fitted.mapped(np.asarray(np.linalg.inv(columns), dtype=np.float64))


def best_mixtures(
    X: FloatArray,
    weight: FloatArray,
    n_samples: float,
    random_state: int,
    *,
    columns: FloatArray | None = None,
    n_best: int = 3,
    max_components: int = 10,
) -> list[tuple[str, MixtureBase]]:
    """Return the mixtures of Gaussians of lowest Bayesian information criterion, the best first.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
        Rows.
    weight : ndarray of shape (n_rows,)
        Weights; they sum to 1.
    n_samples : float
        Number of samples the rows stand for.
    random_state : int
        Seed, as in :func:`mixture_base`.
    columns : ndarray of shape (n_features, n_features), default=None
        The columns of the data, as in :func:`mixture_base`.
    n_best : int, default=3
        Number of mixtures to return.
    max_components : int, default=10
        Most components tried. The search ends once three numbers in a row were no better.

    Returns
    -------
    list of (shape, MixtureBase)
        At most `n_best`, with full or diagonal covariances; the Gaussian is among those that
        compete. None has a component of fewer than two rows.
    """
    X, weight, n_samples = _subset(X, weight, n_samples, random_state)
    d = X.shape[1]
    sizes = {"full": d * (d + 1) // 2, "diag": d}
    found: list[tuple[float, int, int, str, MixtureBase]] = []
    fewest = _FEWEST_ROWS if n_samples < _MANY_ROWS else _FEWEST_AMONG_MANY
    for shape in ("full", "diag") if d > 1 else ("full",):
        per_component = max(_ROWS_PER_COMPONENT, sizes[shape] // d + 1)
        most = min(max_components, np.count_nonzero(weight) // per_component)
        best = lowest = np.inf
        for k in range(1 if shape == "full" else 2, most + 1):
            base = mixture_base(X, weight, k, n_samples, random_state, shape=shape, columns=columns)
            log_likelihood = n_samples * (weight @ base.log_density(X))
            n_parameters = k * (1 + d + sizes[shape]) - 1
            criterion = float(n_parameters * np.log(n_samples) - 2.0 * log_likelihood)
            if k == 1 or _fewest_rows(base, X[weight > 0.0]) >= fewest:
                found.append((criterion, len(found), k, shape, base))
                if criterion < lowest:
                    best, lowest = k, criterion
            if k - best >= _PATIENCE:
                break
    if not found:
        return [("full", gaussian_base(X, weight, n_samples))]
    return [(shape, base) for _, _, _, shape, base in sorted(found)[:n_best]]


def _fewest_rows(base: MixtureBase, X: FloatArray) -> float:
    """Return the smallest number of rows, counted by responsibilities, of a component."""
    log_components = base._log_components(base._standardised(X))
    share = np.exp(log_components - _log_sum(log_components)[:, None])
    return float(share.sum(axis=0).min())


def _fit_mixture(
    X: FloatArray,
    n_components: int,
    random_state: int,
    shape: str = "full",
    start: MixtureBase | None = None,
) -> MixtureBase:
    # Late: it brings scikit-learn's clustering, which most users of the package do without.
    from sklearn.mixture import GaussianMixture

    given = {}
    if start is not None:
        diagonals = np.diagonal(start.covariances, axis1=1, axis2=2)
        precisions = start._precisions if shape == "full" else 1.0 / diagonals
        given = {
            "weights_init": start.weights,
            "means_init": start.means,
            "precisions_init": precisions,
            "tol": _TOLERANCE,
        }
    mixture = GaussianMixture(
        n_components,
        covariance_type=shape,
        reg_covar=_MIXTURE_FLOOR,
        random_state=random_state,
        **given,
    )
    # Arrays here are NumPy's, whatever the caller's configuration says of others; the sums of
    # k-means over threads of OpenMP would depend on their number.
    with (
        _ONE_AT_A_TIME,
        warnings.catch_warnings(),
        config_context(array_api_dispatch=False),
        _single_openmp(),
    ):
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(X)
    covariances = mixture.covariances_
    if shape == "diag":
        covariances = covariances[:, :, None] * np.eye(X.shape[1])
    return MixtureBase(mixture.weights_ / mixture.weights_.sum(), mixture.means_, covariances)


@functools.cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def _single_openmp() -> Any:
    return _controller().limit(limits=1, user_api="openmp")


def _subset(
    X: FloatArray, weight: FloatArray, n_samples: float, random_state: int
) -> tuple[FloatArray, FloatArray, float]:
    """Return at most 20,000 rows, their weights, and the number of samples they stand for."""
    if len(X) <= _MAX_MIXTURE_ROWS:
        return X, weight, n_samples
    generator = np.random.default_rng(random_state)
    chosen = np.sort(generator.choice(len(X), size=_MAX_MIXTURE_ROWS, replace=False))
    share = weight[chosen].sum()
    return X[chosen], weight[chosen] / share, share * n_samples


def copies(weight: FloatArray, n_samples: float) -> NDArray[np.intp]:
    """Return indices of rows, each as often as its weight says, for a fit without weights.

    Parameters
    ----------
    weight : ndarray of shape (n_rows,)
        Weights; they sum to 1.
    n_samples : float
        Number of samples the rows stand for.

    Returns
    -------
    ndarray of shape (n_copies,), dtype intp
        Each row once if all weights are equal; as many copies as samples if those are whole
        numbers and not too many; else four times as many copies as rows, each row its share of
        them rounded up or down. Rows without weight are left out.
    """
    rows = np.flatnonzero(weight)
    counts = weight[rows] * n_samples
    if np.ptp(counts) <= 1e-9 * counts[0]:
        return rows
    whole = np.rint(counts)
    is_whole = np.all(np.abs(counts - whole) <= 1e-6) and whole.min() >= 1.0
    if not is_whole or whole.sum() > max(10 * len(rows), 10_000):
        # Rounded sums: the largest remainders would leave out all rows of little weight.
        ends = np.cumsum(counts)
        whole = np.diff(np.rint(ends * (4 * len(rows) / ends[-1])), prepend=0.0)
    return np.repeat(rows, whole.astype(np.intp))


# --------------------------------------------------------------------------------------
# fitted estimators


@dataclass(frozen=True)
class EstimatorBase:
    """A fitted density estimator in the data's coordinates ``x = center + z root``.

    Parameters
    ----------
    estimator : object
        Fitted estimator with `score_samples`, `score_function` and `sample`; `hessian` is used
        where there is one, else differences of the score.
    center : ndarray of shape (n_features,)
        Centre of the whitening.
    root : ndarray of shape (n_features, n_features) or (n_features,)
        Root of the covariance, root'root, or its diagonal.
    """

    estimator: Any
    center: FloatArray
    root: FloatArray

    def log_density(self, X: FloatArray) -> FloatArray:
        """Return the log density of each row.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Points.

        Returns
        -------
        ndarray of shape (n_rows,)
            Log density of the whitened point.
        """
        log_density = self._call("score_samples", X, (len(X),))
        if self.root.ndim == 1:
            return log_density + np.log(self.root).sum()
        return np.asarray(log_density + np.linalg.slogdet(self.root)[1])

    def score(self, X: FloatArray) -> FloatArray:
        """Return the gradient of the log density at each row.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Points.

        Returns
        -------
        ndarray of shape (n_rows, n_features)
            Scores.
        """
        return _times(self._call("score_function", X, X.shape), self.root.T)

    def laplacian(self, X: FloatArray) -> FloatArray:
        """Return the Laplacian of the log density at each row.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Points.

        Returns
        -------
        ndarray of shape (n_rows,)
            Traces of the Hessians.
        """
        if hasattr(self.estimator, "hessian"):
            return np.trace(self.hessian(X), axis1=1, axis2=2)
        laplacian = np.zeros(len(X))
        for j in range(X.shape[1]):
            laplacian += self._slope(X, j)[:, j]
        return laplacian

    def hessian(self, X: FloatArray) -> FloatArray:
        """Return the Hessian of the log density at each row.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Points.

        Returns
        -------
        ndarray of shape (n_rows, n_features, n_features)
            Hessians.
        """
        if hasattr(self.estimator, "hessian"):
            hessian = self._call("hessian", X, (*X.shape, X.shape[1]))
            return _times(_times(hessian, self.root.T).transpose(0, 2, 1), self.root.T)
        hessian = np.stack([self._slope(X, j) for j in range(X.shape[1])], axis=1)
        return np.asarray(0.5 * (hessian + hessian.transpose(0, 2, 1)))

    def draw(self, n_draws: int, generator: np.random.Generator) -> FloatArray:
        """Draw points.

        Parameters
        ----------
        n_draws : int
            Number of points.
        generator : numpy.random.Generator
            Source of randomness: it gives the estimator a seed.

        Returns
        -------
        ndarray of shape (n_draws, n_features)
            Draws of the estimator's, whitened.
        """
        seed = int(generator.integers(2**31))
        estimator, seeded = self.estimator, {}
        if "random_state" in inspect.signature(estimator.sample).parameters:
            seeded = {"random_state": seed}
        elif hasattr(estimator, "random_state"):
            # A copy: the estimator's own parameter stays as it was.
            estimator = copy.copy(estimator)
            estimator.random_state = seed
        drawn = estimator.sample(n_draws, **seeded)
        points = drawn[0] if isinstance(drawn, tuple) else drawn
        shifted = np.asarray(points, dtype=np.float64) - self.center
        if self.root.ndim == 1:
            return shifted / self.root
        return np.asarray(np.linalg.solve(self.root.T, shifted.T).T, dtype=np.float64)

    def _call(self, method: str, X: FloatArray, shape: tuple[int, ...]) -> FloatArray:
        points = self.center + _times(X, self.root)
        values = np.asarray(getattr(self.estimator, method)(points), dtype=np.float64)
        if values.shape != shape:
            raise ValueError(
                f"{type(self.estimator).__name__}.{method} returned shape {values.shape} for "
                f"{len(X)} rows of {X.shape[1]} features; expected {shape}."
            )
        return values

    def _slope(self, X: FloatArray, j: int) -> FloatArray:
        """Return the derivative of the score along coordinate j, by central differences."""
        right, left = X.copy(), X.copy()
        right[:, j] += _STEP * np.maximum(1.0, np.abs(X[:, j]))
        left[:, j] -= _STEP * np.maximum(1.0, np.abs(X[:, j]))
        width = right[:, j] - left[:, j]
        return np.asarray((self.score(right) - self.score(left)) / width[:, None])


def _times(A: FloatArray, root: FloatArray) -> FloatArray:
    """Return ``A @ root``, the root a matrix or a diagonal."""
    return A * root if root.ndim == 1 else A @ root


def estimator_base(
    estimator: Any, center: FloatArray, root: FloatArray
) -> MixtureBase | EstimatorBase:
    """Return a fitted estimator as a base measure.

    Parameters
    ----------
    estimator : object
        Fitted Gaussian mixture, or an estimator with `score_samples`, `score_function` and
        `sample`, in the data's coordinates ``x = center + z root``.
    center : ndarray of shape (n_features,)
        Centre of the whitening.
    root : ndarray of shape (n_features, n_features) or (n_features,)
        Root of the covariance, root'root, or its diagonal.

    Returns
    -------
    MixtureBase or EstimatorBase
        The base measure in whitened coordinates.

    Raises
    ------
    TypeError
        If the estimator is neither.
    """
    missing = [
        method
        for method in ("score_samples", "score_function", "sample")
        if not callable(getattr(estimator, method, None))
    ]
    if all(hasattr(estimator, name) for name in _MIXTURE_ATTRIBUTES):
        if not hasattr(estimator, "noise_weight_"):
            return as_mixture(estimator, center, root)
        missing = [*missing, "a mixture without noise"]
    if missing:
        raise TypeError(
            f"base={type(estimator).__name__} lacks {', '.join(missing)}. A base measure needs the "
            "methods score_samples(X), score_function(X) (the gradient of score_samples) and "
            "sample(n_samples), or it is a mixture of Gaussians with weights_, means_, "
            "covariances_ and covariance_type, as scikit-learn's."
        )
    return EstimatorBase(estimator, center, root)


def as_mixture(estimator: Any, center: FloatArray, root: FloatArray) -> MixtureBase:
    """Return a fitted mixture of Gaussians in whitened coordinates.

    Parameters
    ----------
    estimator : object
        Fitted estimator with `weights_`, `means_`, `covariances_` and `covariance_type`, in the
        data's coordinates.
    center : ndarray of shape (n_features,)
        Centre of the whitening.
    root : ndarray of shape (n_features, n_features) or (n_features,)
        Root of the covariance, root'root, or its diagonal.

    Returns
    -------
    MixtureBase
        The mixture.
    """
    inverse = np.diag(1.0 / root) if root.ndim == 1 else np.linalg.inv(root)
    weights = np.asarray(estimator.weights_, dtype=np.float64)
    means = (np.asarray(estimator.means_, dtype=np.float64) - center) @ inverse
    shape = str(estimator.covariance_type)
    given = np.asarray(estimator.covariances_, dtype=np.float64)
    n_components, d = means.shape
    if shape in ("diag", "tied_diag"):
        given = given[..., None] * np.eye(d)
    elif shape in ("spherical", "tied_spherical"):
        given = given[..., None, None] * np.eye(d)
    elif shape not in ("full", "tied"):
        raise TypeError(f"covariance_type={shape!r} of {type(estimator).__name__} is not known.")
    covariances = inverse.T @ np.broadcast_to(given, (n_components, d, d)) @ inverse
    return MixtureBase(weights / weights.sum(), means, covariances)


# --------------------------------------------------------------------------------------
# a box


@dataclass(frozen=True)
class TruncatedBase:
    """Independent Gaussians, each cut off at the sides of a box.

    Parameters
    ----------
    mean, scale : ndarray of shape (n_features,)
        Means and standard deviations before truncation.
    low, high : ndarray of shape (n_features,)
        Sides of the box, -inf or inf where there is none.
    """

    mean: FloatArray
    scale: FloatArray
    low: FloatArray
    high: FloatArray

    def log_density(self, X: FloatArray) -> FloatArray:
        """Return the log density of each row.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Points.

        Returns
        -------
        ndarray of shape (n_rows,)
            Log density, normalised; -inf outside of the box.
        """
        mode, log_height = self._peak
        standardised = (X - self.mean) / self.scale
        log_density = log_height.sum() + 0.5 * (mode**2 - standardised**2).sum(axis=1)
        inside = np.all(np.clip(X, self.low, self.high) == X, axis=1)
        return np.where(inside, log_density, -np.inf)

    def score(self, X: FloatArray) -> FloatArray:
        """Return the gradient of the log density at each row.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Points in the box.

        Returns
        -------
        ndarray of shape (n_rows, n_features)
            Scores.
        """
        return np.asarray((self.mean - X) / self.scale**2)

    def laplacian(self, X: FloatArray) -> FloatArray:
        """Return the Laplacian of the log density at each row.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Points in the box.

        Returns
        -------
        ndarray of shape (n_rows,)
            The same number for all.
        """
        return np.full(len(X), -(self.scale**-2.0).sum())

    def hessian(self, X: FloatArray) -> FloatArray:
        """Return the Hessian of the log density at each row.

        Parameters
        ----------
        X : ndarray of shape (n_rows, n_features)
            Points in the box.

        Returns
        -------
        ndarray of shape (n_rows, n_features, n_features)
            The same diagonal matrix for all.
        """
        return np.tile(np.diag(-(self.scale**-2.0)), (len(X), 1, 1))

    def draw(self, n_draws: int, generator: np.random.Generator) -> FloatArray:
        """Draw points by the inverse of the distribution function.

        Parameters
        ----------
        n_draws : int
            Number of points.
        generator : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        ndarray of shape (n_draws, n_features)
            Independent draws.
        """
        # Not 0, which would be the end of an unbounded side.
        level = np.maximum(generator.random((n_draws, len(self.mean))), 2.0**-54)
        points = self.mean + self.scale * truncnorm.ppf(level, *self._sides)
        return np.asarray(np.clip(points, self.low, self.high))

    @functools.cached_property
    def _sides(self) -> tuple[FloatArray, FloatArray]:
        """The box in standard deviations from the mean."""
        return (self.low - self.mean) / self.scale, (self.high - self.mean) / self.scale

    @functools.cached_property
    def _peak(self) -> tuple[FloatArray, FloatArray]:
        """Each coordinate's mode, in standard deviations from the mean, and log density there."""
        mode = np.clip(0.0, *self._sides)
        return mode, np.asarray(truncnorm.logpdf(mode, *self._sides) - np.log(self.scale))
