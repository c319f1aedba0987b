"""A Gaussian by score matching, with a sparse precision matrix or on a box if asked for."""

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import cholesky, eigvalsh, solve_triangular
from sklearn.base import DensityMixin

from skmmd._validation import (
    Estimator,
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
from skmmd.density._box import (
    boundary_weights,
    box_log_probability,
    box_of,
    check_inside,
    draw_in_box,
    is_positive,
    rows_inside,
)
from skmmd.density._folds import merge_rows
from skmmd.density._losses import hyvarinen_loss
from skmmd.density._sparse_precision import PrecisionProblem, solve_positive, sparse_precision

__all__ = ["Moments", "ScoreMatchingGaussian", "positive_weight", "weighted_moments"]

FloatArray = NDArray[np.float64]
Box = tuple[FloatArray, FloatArray]

_LOG_2PI = float(np.log(2.0 * np.pi))
_LARGEST = 1e150
# Of the precision of columns of unit variance on a domain: flatter Gaussians look alike there.
_FLOOR = 1e-3


@dataclass(frozen=True)
class Moments:
    """Mean, standard deviations and correlations of rows.

    Parameters
    ----------
    mean, scales : ndarray of shape (d,)
        Mean and standard deviation (ddof=0) of each column.
    correlation : ndarray of shape (d, d)
        Correlations.
    """

    mean: FloatArray
    scales: FloatArray
    correlation: FloatArray

    @property
    def units(self) -> FloatArray:
        """Outer product of the standard deviations."""
        return np.outer(self.scales, self.scales)


def positive_weight(
    X: FloatArray, sample_weight: ArrayLike | None
) -> tuple[FloatArray, FloatArray]:
    """Return the rows of positive weight, and their weights, scaled to sum 1.

    Raises
    ------
    ValueError
        If a value is so large that squares overflow.
    """
    if np.abs(X).max() > _LARGEST:
        raise ValueError(
            f"X has values beyond {_LARGEST:.0e}, whose squares overflow. Scale the columns first."
        )
    weight = check_weight(sample_weight, X, name="sample_weight")
    counts = weight > 0.0
    weight = weight[counts] / weight[counts].max()
    return np.ascontiguousarray(X[counts]), weight / weight.sum()


def weighted_moments(X: FloatArray, weight: FloatArray) -> Moments:
    """Return the moments of rows, centred first.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Rows.
    weight : ndarray of shape (n,)
        Weights, of sum 1.

    Returns
    -------
    Moments
        Standard deviations are 0 for constant columns.
    """
    center = X[0]
    shifted = X - center
    mean = weight @ shifted
    shifted -= mean
    scales = np.sqrt(weight @ shifted**2)
    scales[X.max(axis=0) == X.min(axis=0)] = 0.0
    shifted /= np.where(scales > 0.0, scales, 1.0)
    correlation = (shifted * weight[:, None]).T @ shifted
    return Moments(center + mean, scales, 0.5 * (correlation + correlation.T))


def _check_not_constant(moments: Moments) -> None:
    constant = np.flatnonzero(moments.scales == 0.0)
    if constant.size:
        listed = constant[:5].tolist()
        raise ValueError(
            f"ScoreMatchingGaussian: the columns {listed}{' ...' if constant.size > 5 else ''} are "
            "constant (over the rows of positive weight; or their variance underflows), so that "
            "there is no density. Leave them out, for example with "
            "sklearn.feature_selection.VarianceThreshold."
        )


def _is_singular(matrix: FloatArray) -> bool:
    smallest = eigvalsh(matrix, subset_by_index=[0, 0])[0]
    return bool(smallest <= 10.0 * len(matrix) * np.finfo(np.float64).eps)


def _shrinkage(X: FloatArray, weight: FloatArray, moments: Moments) -> float:
    """Return how far to shrink correlations to 0: the variance over the sum of their squares.

    As Schäfer and Strimmer (2005), with variances from the distinct rows; at least one over their
    number, since two rows agree on whatever correlations they have.
    """
    rows, weight, _ = merge_rows(X, weight)
    Z = (rows - moments.mean) / moments.scales
    off = moments.correlation - np.diag(np.diag(moments.correlation))
    squares = Z**2
    spread = squares.sum(axis=1) ** 2 - (squares**2).sum(axis=1)
    spread += (off**2).sum() - 2.0 * np.einsum("ij,jk,ik->i", Z, off, Z, optimize=True)
    variance, size = float(weight**2 @ spread), float((off**2).sum())
    return float(np.clip(variance / size if size > 0.0 else 1.0, weight @ weight, 1.0))


def _shrunk(moments: Moments, shrinkage: float) -> Moments:
    correlation = (1.0 - shrinkage) * moments.correlation
    np.fill_diagonal(correlation, np.diag(moments.correlation))
    return Moments(moments.mean, moments.scales, correlation)


def _inverse(matrix: FloatArray) -> FloatArray:
    root = solve_triangular(cholesky(matrix, lower=True), np.eye(len(matrix)), lower=True)
    return np.asarray(root.T @ root)


def _solve(problem: PrecisionProblem) -> tuple[FloatArray, int]:
    """Return the precision matrix, positive definite, and the number of steps."""
    units = np.outer(problem.scales, problem.scales)
    K, n_iter = sparse_precision(problem)
    if eigvalsh(units * K, subset_by_index=[0, 0])[0] >= _FLOOR:
        return K, n_iter
    K, more = solve_positive(problem, K, floor=_FLOOR)
    return K, n_iter + more


def _box_problem(
    X: FloatArray, weight: FloatArray, moments: Moments, box: Box, alpha: float, shrinkage: float
) -> tuple[PrecisionProblem, FloatArray, FloatArray]:
    """Return the problem in standard deviations from the mean, centers, and pull.

    The linear term of the log density is eliminated: for row K_j of the precision matrix it is
    K_j . center_j - pull_j, the mean row under the boundary weights of column j, and their mean
    slope over their mean.
    """
    Z = (X - moments.mean) / moments.scales
    h, slope = boundary_weights(X, box, moments.scales)
    total = weight @ h
    if np.any(total <= 0.0):
        columns = np.flatnonzero(total <= 0.0).tolist()
        raise ValueError(f"All values of the columns {columns} lie on the sides of the domain.")
    d = Z.shape[1]
    quadratic, linear, centers = np.empty((d, d, d)), np.empty((d, d)), np.empty((d, d))
    for j in range(d):
        share = weight * h[:, j]
        centers[j] = share @ Z / total[j]
        centered = Z - centers[j]
        quadratic[j] = (centered * share[:, None]).T @ centered
        linear[j] = (weight * slope[:, j]) @ centered
        linear[j, j] += total[j]
        quadratic[j][~np.eye(d, dtype=bool)] *= 1.0 - shrinkage
    own = np.diagonal(np.diagonal(quadratic, axis1=1, axis2=2))
    if np.any(own <= 1e-14):
        columns = np.flatnonzero(own <= 1e-14).tolist()
        raise ValueError(
            f"The columns {columns} have fewer than two distinct values inside the domain; those "
            "on its sides have no weight."
        )
    quadratic += 1e-14 * np.eye(d)
    problem = PrecisionProblem(quadratic, 0.5 * (linear + linear.T), np.ones(d), alpha)
    return problem, centers, (weight @ slope) / total


@dataclass(frozen=True)
class _Fit:
    """Parameters before truncation, and the standard deviations of the rows."""

    location: FloatArray
    covariance: FloatArray
    precision: FloatArray
    n_iter: int
    shrinkage: float
    scales: FloatArray


def _fit_gaussian(X: FloatArray, weight: FloatArray, alpha: float) -> _Fit:
    """Return the Gaussian on all of the space."""
    moments = weighted_moments(X, weight)
    _check_not_constant(moments)
    shrinkage = 0.0
    if _is_singular(moments.correlation):
        shrinkage = _shrinkage(X, weight, moments)
        moments = _shrunk(moments, shrinkage)
    covariance = moments.units * moments.correlation
    if alpha == 0.0:
        precision = _inverse(moments.correlation) / moments.units
        return _Fit(moments.mean, covariance, precision, 0, shrinkage, moments.scales)
    problem = PrecisionProblem(covariance, np.eye(len(covariance)), moments.scales, alpha)
    precision, n_iter = _solve(problem)
    covariance = _inverse(moments.units * precision) * moments.units
    return _Fit(moments.mean, covariance, precision, n_iter, shrinkage, moments.scales)


def _fit_in_box(X: FloatArray, weight: FloatArray, alpha: float, box: Box) -> _Fit:
    """Return the Gaussian whose restriction to the box fits, by generalised score matching."""
    moments = weighted_moments(X, weight)
    _check_not_constant(moments)
    shrinkage = 0.0
    problem, centers, pull = _box_problem(X, weight, moments, box, alpha, shrinkage)
    if any(_is_singular(_scaled(matrix)) for matrix in problem.quadratic):
        shrinkage = _shrinkage(X, weight, moments)
        problem, centers, pull = _box_problem(X, weight, moments, box, alpha, shrinkage)
    K, n_iter = _solve(problem)
    covariance = _inverse(K)
    location = covariance @ ((K * centers).sum(axis=1) - pull)
    return _Fit(
        moments.mean + moments.scales * location,
        covariance * moments.units,
        K / moments.units,
        n_iter,
        shrinkage,
        moments.scales,
    )


def _scaled(matrix: FloatArray) -> FloatArray:
    root = np.sqrt(np.diag(matrix))
    return np.asarray(matrix / np.outer(root, root))


class ScoreMatchingGaussian(DensityMixin, Estimator):
    """Gaussian density by score matching; with a sparse precision matrix, or on a box, if wished.

    Without penalty and domain, score matching gives the sample mean and covariance exactly, as
    maximum likelihood does. It stays in closed form, or convex, where likelihood does not: with
    an L1 penalty on the precision matrix [2]_, and for a Gaussian restricted to a box, whose
    normaliser it does not need [3]_.

    Parameters
    ----------
    alpha : float, default=0.0
        Penalty on the sum of the absolute entries of the precision matrix K off the diagonal.
        Without a domain, ``1/2 tr(KSK) - tr(K) + alpha * sum(|K_ij|)`` is minimised, where S is the
        covariance as it is: scale the columns first if their units differ. From
        ``max(|S_ij| * (1 / S_ii + 1 / S_jj) / 2)`` on, K is diagonal. With a domain, loss and
        penalty are those of the columns divided by their standard deviations.
    domain : {'nonnegative'}, pair (low, high) or None, default=None
        Where the density lives: everywhere, where no column is negative, or in a box; each side a
        number or an array of shape (n_features,), infinite where there is none.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,)
        Mean, with a domain that of the Gaussian before it is cut off.
    covariance_ : ndarray of shape (n_features, n_features)
        Covariance (ddof=0), the inverse of `precision_`, with a domain before it is cut off.
    precision_ : ndarray of shape (n_features, n_features)
        Precision matrix.
    shrinkage_ : float
        How far correlations were shrunk to 0, since they were singular; else 0.
    log_normalizer_ : float
        The log of the integral of exp(`unnormalized_log_density`).
    log_normalizer_std_ : float
        Its standard error; not 0 only for a box and correlated columns.
    n_iter_ : int
        Number of steps of the solver, 0 if none was needed.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if all are strings.

    See Also
    --------
    ScoreMatchingDensity : Densities of any shape.
    sklearn.covariance.GraphicalLasso : Sparse precision matrices by likelihood.

    Notes
    -----
    If the correlations are singular, as with fewer rows than columns, they are shrunk to 0 by the
    factor that least expected squared error asks for [4]_, or one over the number of distinct rows
    if that is more, and a warning says so. A constant column is an error.

    With a domain, the loss of each coordinate is weighted by h = min(distance to the nearest side
    in standard deviations, 1), which vanishes at the sides [3]_.

    The minimum need not be positive definite. Then it is taken under the constraint that the
    smallest eigenvalue of the precision matrix, of columns divided by their standard deviations,
    is at least 1e-3, and a ValueError is raised should that fail.

    With a domain the normaliser is exact for a diagonal precision matrix. Else the probability of
    the box is averaged over 32,768 quasi-random points (Genz 1992), the same on each call.

    References
    ----------
    .. [1] A. Hyvärinen (2005), "Estimation of non-normalized statistical models by score
       matching", Journal of Machine Learning Research 6, 695-709.
    .. [2] T. Zhang, H. Zou (2014), "Sparse precision matrix estimation via lasso penalized
       D-trace loss", Biometrika 101, 103-120.
    .. [3] S. Yu, M. Drton, A. Shojaie (2019), "Generalized score matching for non-negative data",
       Journal of Machine Learning Research 20, 1-70.
    .. [4] J. Schäfer, K. Strimmer (2005), "A shrinkage approach to large-scale covariance matrix
       estimation", Statistical Applications in Genetics and Molecular Biology 4, 32.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.density import ScoreMatchingGaussian
    >>> X = np.random.default_rng(0).normal(size=(500, 3)) @ np.diag([1.0, 2.0, 3.0])
    >>> model = ScoreMatchingGaussian().fit(X)
    >>> bool(np.allclose(model.covariance_, np.cov(X.T, ddof=0)))
    True
    >>> sparse = ScoreMatchingGaussian(alpha=0.5).fit(X)
    >>> int(np.count_nonzero(sparse.precision_))
    3
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "alpha": [Interval(Real, 0.0, None, closed="left")],
        "domain": [StrOptions({"nonnegative"}), "array-like", None],
    }

    def __init__(self, *, alpha: float = 0.0, domain: Any = None):
        self.alpha = alpha
        self.domain = domain

    def __sklearn_tags__(self) -> Any:
        """Return the tags: rows may have to be positive."""
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = is_positive(self.domain)
        return tags

    @fit_method
    def fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> "ScoreMatchingGaussian":
        """Fit the Gaussian to rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows. An integer is like so many copies.

        Returns
        -------
        ScoreMatchingGaussian
            The estimator itself.

        Raises
        ------
        ValueError
            If there is one row only, a column is constant, or a row lies outside of the domain.
        """
        rows = validate_data(self, X, dtype=np.float64, order="C", ensure_min_samples=2)
        box = box_of(self.domain, rows.shape[1])
        rows, weight = positive_weight(rows, sample_weight)
        if box is None:
            found = _fit_gaussian(rows, weight, float(self.alpha))
        else:
            check_inside(rows, box, type(self).__name__)
            found = _fit_in_box(rows, weight, float(self.alpha), box)
        if found.shrinkage > 0.0:
            warnings.warn(
                "ScoreMatchingGaussian: the columns are linearly dependent, as with fewer distinct "
                f"rows than columns; correlations were shrunk by {found.shrinkage:.3g}, see "
                "shrinkage_.",
                UserWarning,
                stacklevel=stack_level(),
            )
        self.location_, self.covariance_ = found.location, found.covariance
        self.precision_, self.n_iter_ = found.precision, found.n_iter
        self.shrinkage_ = found.shrinkage
        self._box = box
        self._scales = found.scales
        self.log_normalizer_, self.log_normalizer_std_ = self._normalizer()
        return self

    def _normalizer(self) -> tuple[float, float]:
        scale = np.sqrt(np.diag(self.covariance_))
        root = cholesky(self.covariance_ / np.outer(scale, scale), lower=True)
        volume = float(
            0.5 * len(scale) * _LOG_2PI + np.log(np.diag(root)).sum() + np.log(scale).sum()
        )
        if self._box is None:
            return volume, 0.0
        log_probability, std = box_log_probability(self.location_, self.covariance_, self._box)
        return volume + log_probability, std

    def _rows(self, X: ArrayLike, *, inside: bool = False) -> FloatArray:
        check_is_fitted(self)
        rows: FloatArray = validate_data(self, X, dtype=np.float64, order="C", reset=False)
        if inside and self._box is not None:
            check_inside(rows, self._box, type(self).__name__)
        return rows

    def unnormalized_log_density(self, X: ArrayLike) -> FloatArray:
        """Return minus half the squared Mahalanobis distance to `location_`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            The log density but for its normaliser; -inf outside of the domain.
        """
        rows = self._rows(X)
        root = cholesky(self.precision_ * np.outer(self._scales, self._scales), lower=True)
        values = -0.5 * ((((rows - self.location_) / self._scales) @ root) ** 2).sum(axis=1)
        if self._box is not None:
            values = np.where(rows_inside(rows, self._box), values, -np.inf)
        return np.asarray(values)

    def score_samples(self, X: ArrayLike) -> FloatArray:
        """Return the log density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            Log densities, in nats; -inf outside of the domain.
        """
        return self.unnormalized_log_density(X) - self.log_normalizer_

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Return the mean log density of rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored.

        Returns
        -------
        float
            The mean, in nats.
        """
        return float(self.score_samples(X).mean())

    def score_function(self, X: ArrayLike) -> FloatArray:
        """Return the score, the gradient of the log density, at each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, inside the domain.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Gradients with respect to the row.
        """
        rows = self._rows(X, inside=True)
        return np.asarray((self.location_ - rows) @ self.precision_)

    def hessian(self, X: ArrayLike) -> FloatArray:
        """Return the Hessian of the log density at each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, inside the domain.

        Returns
        -------
        ndarray of shape (n_samples, n_features, n_features)
            Minus the precision matrix, for each row.
        """
        n_rows = len(self._rows(X, inside=True))
        return np.tile(-self.precision_, (n_rows, 1, 1))

    def score_matching_loss(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean score-matching loss of rows.

        Without a domain the mean of half the squared norm of the score plus the trace of its
        Jacobian, in the data's coordinates. With a domain each coordinate is weighted as in `fit`,
        and is in units of the standard deviation that it had there.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows, inside the domain.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            The loss; smaller is better.
        """
        rows = self._rows(X, inside=True)
        score, curvature = self.score_function(X), -np.diag(self.precision_)
        weight = check_weight(sample_weight, rows, name="sample_weight")
        weight /= weight.sum()
        if self._box is None:
            return hyvarinen_loss(score, np.full(len(rows), curvature.sum()), weight)
        h, slope = boundary_weights(rows, self._box, self._scales)
        score = score * self._scales
        trace = h @ (curvature * self._scales**2) + np.einsum("ij,ij->i", slope, score)
        return hyvarinen_loss(np.sqrt(h) * score, trace, weight)

    @validate_params(
        {
            "self": "no_validation",
            "n_samples": [Interval(Integral, 1, None, closed="left")],
            "random_state": ["random_state"],
        },
        prefer_skip_nested_validation=True,
    )
    def sample(
        self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None
    ) -> FloatArray:
        """Draw rows.

        On a domain the draws are exact if the columns are independent or 1 % of the Gaussian lies
        in the domain; else each is the end of a Gibbs chain of its own.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        random_state : int, RandomState instance or None, default=None
            Pass an int for the same rows on each call.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Independent draws.
        """
        check_is_fitted(self)
        source = generator(random_state)
        if self._box is not None:
            return draw_in_box(
                n_samples,
                self.location_,
                self.covariance_,
                self.precision_,
                self._box,
                source,
            )
        scale = np.sqrt(np.diag(self.covariance_))
        root = cholesky(self.covariance_ / np.outer(scale, scale), lower=True)
        normal = source.standard_normal((n_samples, len(scale)))
        return np.asarray(self.location_ + (normal @ root.T) * scale)
