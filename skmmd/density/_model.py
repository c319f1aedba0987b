"""Unnormalised models of the user's, fitted by score matching.

statistics T -> derivatives (given, or by differences) -> linear system -> theta  (`_Family`)
neither -> moments of x and xx' -> theta                                          (`_fit_quadratic`)
score_func -> loss of theta -> BFGS -> theta                                      (`_minimize`)
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from scipy.optimize import minimize
from sklearn.base import DensityMixin
from sklearn.exceptions import ConvergenceWarning

from skmmd._chunked import row_blocks
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
)
from skmmd.density._folds import merge_rows
from skmmd.density._gaussian import positive_weight
from skmmd.density._losses import (
    LOSSES,
    NonFiniteError,
    ScoreLoss,
    checked_score,
    checked_trace,
    divided_trace,
    hyvarinen_loss,
    plan_loss,
    step_sizes,
)

__all__ = ["ScoreMatchingEstimator"]

FloatArray = NDArray[np.float64]
Function = Callable[[FloatArray], FloatArray]
UserFunction = Callable[..., ArrayLike]

# Numbers in the derivatives of the statistics of a block of rows.
_BLOCK = 2**21
# Steps of second differences, as fractions of a column's scale, from which each column chooses.
_FRACTIONS = 2.0 ** np.array([-11.0, -9.0, -7.0, -5.0, -3.0])
_N_PROBES = 200
# Eigenvalues of the scaled system below this are taken for rounding.
_RANK_TOL = 1e-12
# Steps of the parameters in the gradient of the loss, in units of theta0.
_THETA_STEP = 1e-3
_MAX_RUNS = 3


def _difference(function: Function, X: FloatArray, j: int, h: float) -> tuple[Any, Any]:
    """Return first and second derivatives along column j, of fourth order."""
    moved = [X.copy() for _ in range(4)]
    for rows, step in zip(moved, (-2.0, -1.0, 1.0, 2.0), strict=True):
        rows[:, j] += step * h
    below2, below, above, above2 = (function(rows) for rows in moved)
    here = function(X)
    first = (below2 - above2 + 8.0 * (above - below)) / (12.0 * h)
    second = (16.0 * (above + below) - above2 - below2 - 30.0 * here) / (12.0 * h**2)
    return first, second


@dataclass(frozen=True)
class _Family:
    """Sufficient statistics with their derivatives.

    Parameters
    ----------
    statistics : callable
        ``(n, d) -> (n, k)``.
    given_jacobian : callable or None
        ``(n, d) -> (n, k, d)``.
    given_laplacian : callable or None
        ``(n, d) -> (n, k)``.
    steps : ndarray of shape (d,)
        Steps of the differences of `values`.
    scales : ndarray of shape (d,)
        Scales of the columns, on which the steps of differences of the Jacobian are a fraction.
    """

    statistics: UserFunction
    given_jacobian: UserFunction | None
    given_laplacian: UserFunction | None
    steps: FloatArray
    scales: FloatArray

    def values(self, X: FloatArray) -> FloatArray:
        """Return the statistics: shape (n, k)."""
        found = np.asarray(self.statistics(X.copy()), dtype=np.float64)
        if found.ndim != 2 or len(found) != len(X) or not found.shape[1]:
            raise ValueError(
                f"statistics returned shape {found.shape} for {len(X)} rows; expected "
                f"({len(X)}, n_statistics), with one statistic at least."
            )
        return found

    def jacobian(self, X: FloatArray) -> FloatArray:
        """Return the gradients: shape (n, k, d)."""
        if self.given_jacobian is None:
            return np.stack(
                [_difference(self.values, X, j, h)[0] for j, h in enumerate(self.steps)], axis=2
            )
        found = np.asarray(self.given_jacobian(X.copy()), dtype=np.float64)
        if found.ndim != 3 or (len(found), found.shape[2]) != X.shape or not found.shape[1]:
            raise ValueError(
                f"The Jacobian of the statistics has shape {found.shape} for rows of shape "
                f"{X.shape}; expected ({len(X)}, n_statistics, {X.shape[1]}), with one "
                "statistic at least."
            )
        return _finite(found, "The Jacobian of the statistics")

    def laplacian(self, X: FloatArray) -> FloatArray:
        """Return the Laplacians: shape (n, k)."""
        if self.given_laplacian is not None:
            found = np.asarray(self.given_laplacian(X.copy()), dtype=np.float64)
            if found.ndim != 2 or len(found) != len(X):
                raise ValueError(
                    f"The Laplacian of the statistics has shape {found.shape}; expected "
                    f"({len(X)}, n_statistics)."
                )
            return _finite(found, "The Laplacian of the statistics")
        if self.given_jacobian is None:
            seconds = (_difference(self.values, X, j, h)[1] for j, h in enumerate(self.steps))
            return np.asarray(sum(seconds))
        steps = step_sizes(X, self.scales)
        n_statistics = self.jacobian(X[:1]).shape[1]
        return np.stack(
            [
                divided_trace(lambda rows, k=k: self.jacobian(rows)[:, k], X, steps)  # type: ignore[misc]
                for k in range(n_statistics)
            ],
            axis=1,
        )

    def derivatives(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return gradients and Laplacians, from the same differences if neither is given."""
        if self.given_jacobian is not None or self.given_laplacian is not None:
            return self.jacobian(X), self.laplacian(X)
        pairs = [_difference(self.values, X, j, h) for j, h in enumerate(self.steps)]
        return np.stack([first for first, _ in pairs], axis=2), sum(second for _, second in pairs)

    def sliced_laplacian(self, X: FloatArray, signs: FloatArray) -> FloatArray:
        """Return the Laplacians, estimated along random diagonals: shape (n, k)."""
        steps = step_sizes(X, self.scales)
        total: Any = 0.0
        for sign in signs:
            ahead, behind = X + steps * sign, X - steps * sign
            rise = self.jacobian(ahead) - self.jacobian(behind)
            total = total + np.einsum("nkd,nd->nk", rise, 1.0 / (ahead - behind))
        return np.asarray(total / len(signs))

    def score(self, X: FloatArray, theta: FloatArray) -> FloatArray:
        """Return the gradient of theta . T, in blocks of rows."""
        size = max(1, _BLOCK // (len(theta) * X.shape[1]))
        return np.concatenate(
            [
                np.einsum("nkd,k->nd", self.jacobian(X[rows]), theta)
                for rows in row_blocks(len(X), size)
            ]
        )


def _finite(values: FloatArray, what: str) -> FloatArray:
    if not np.isfinite(values).all():
        raise ValueError(f"{what} has NaN or infinite values.")
    return values


def _choose_steps(values: Function, X: FloatArray, scales: FloatArray) -> FloatArray:
    """Return for each column the step at which second derivatives change least with the step.

    Too short a step loses digits, too long a one the curve; between them lies a plateau.
    """
    probes = X[np.unique(np.linspace(0, len(X) - 1, _N_PROBES).astype(int))]
    spread = _finite(values(probes), "statistics").std(axis=0)
    spread = np.where(spread > 0.0, spread, 1.0)
    steps = np.empty(X.shape[1])
    for j, scale in enumerate(scales):
        # Powers of two times a short number: adding them to a value loses less.
        tried = 2.0 ** np.round(np.log2(scale)) * _FRACTIONS
        with np.errstate(all="ignore"):
            found = [_difference(values, probes, j, h)[1] * scale**2 / spread for h in tried]
            change = [
                np.sqrt(np.mean((one - two) ** 2))
                for one, two in zip(found[1:], found[:-1], strict=True)
            ]
        finite = np.isfinite(change)
        if not finite.any():
            raise ValueError(
                f"statistics is NaN or infinite where column {j} of the rows is shifted by "
                f"{tried[0]:.1e}. Pass statistics_jacobian and statistics_laplacian, then nothing "
                "is shifted."
            )
        steps[j] = tried[1:][int(np.argmin(np.where(finite, change, np.inf)))]
    return steps


def _make_family(
    statistics: Any,
    jacobian: UserFunction | None,
    laplacian: UserFunction | None,
    planned: ScoreLoss,
) -> _Family:
    """Return the statistics with the derivatives that are known, and steps for the others."""
    family = _Family(
        statistics,
        jacobian or getattr(statistics, "jacobian", None),
        laplacian or getattr(statistics, "laplacian", None),
        planned.scales,
        planned.scales,
    )
    if family.given_jacobian is None:
        steps = _choose_steps(family.values, planned.rows, planned.scales)
        family = replace(family, steps=steps)
    # Derivatives that come with the statistics may make calls of these needless, or impossible.
    _check_numbers(family, planned.rows[:1], count=jacobian is not None or laplacian is not None)
    return family


def _check_numbers(family: _Family, row: FloatArray, *, count: bool) -> None:
    """Raise unless all derivatives are those of as many statistics, which are counted too."""
    numbers = {"Jacobian": family.jacobian(row).shape[1]}
    if count:
        numbers = {"values": family.values(row).shape[1], **numbers}
    if family.given_laplacian is not None:
        numbers["Laplacian"] = family.laplacian(row).shape[1]
    if len(set(numbers.values())) > 1:
        said = ", ".join(f"{what}: {number}" for what, number in numbers.items())
        raise ValueError(
            f"ScoreMatchingEstimator: the statistics and their derivatives differ in number "
            f"({said}); statistics and statistics_laplacian return (n, n_statistics), "
            "statistics_jacobian (n, n_statistics, n_features)."
        )


def _linear_system(family: _Family, planned: ScoreLoss) -> tuple[FloatArray, FloatArray]:
    """Return G and h of the loss 1/2 theta'G theta + h'theta + constant."""
    X, weight = planned.rows, planned.weight
    n_statistics = family.jacobian(X[:1]).shape[1]
    G, h = np.zeros((n_statistics, n_statistics)), np.zeros(n_statistics)

    def add(D: FloatArray, share: FloatArray) -> None:
        _finite(D, "The Jacobian of the statistics, by differences,")
        scaled = (D * np.sqrt(share)[:, None, None]).transpose(1, 0, 2).reshape(n_statistics, -1)
        np.add(G, scaled @ scaled.T, out=G)

    pairs = planned.noisy() if planned.noise is not None else []
    for rows in row_blocks(len(X), max(1, _BLOCK // (n_statistics * X.shape[1]))):
        if pairs:
            for points, pull in pairs:
                D = family.jacobian(points[rows])
                add(D, weight[rows] / len(pairs))
                h += np.einsum("n,nkd,nd->k", weight[rows], D, pull[rows]) / len(pairs)
        elif planned.signs is not None:
            add(family.jacobian(X[rows]), weight[rows])
            h += weight[rows] @ family.sliced_laplacian(X[rows], planned.signs[:, rows])
        else:
            D, laplacian = family.derivatives(X[rows])
            add(D, weight[rows])
            h += weight[rows] @ _finite(
                laplacian, "The Laplacian of the statistics, by differences,"
            )
    return G, h


def _solve_min_norm(G: FloatArray, h: FloatArray) -> FloatArray:
    """Return -G^+ h, of least norm in units of the statistics' gradients."""
    root = np.sqrt(np.diag(G))
    root = np.where(root > 0.0, root, 1.0)
    values, vectors = eigh(G / np.outer(root, root))
    kept = values > _RANK_TOL * max(values[-1], np.finfo(np.float64).tiny)
    if not kept.all():
        _warn_singular(vectors[:, ~kept], "gradients of the statistics")
    inverse = np.where(kept, 1.0 / np.where(kept, values, 1.0), 0.0)
    return np.asarray(-(vectors @ (inverse * (vectors.T @ (h / root)))) / root)


def _warn_singular(null: FloatArray, what: str) -> None:
    involved = np.flatnonzero((null**2).sum(axis=1) > 1e-6).tolist()
    warnings.warn(
        f"ScoreMatchingEstimator: the {what} {involved[:10]}{' ...' if len(involved) > 10 else ''} "
        "are linearly dependent on these rows, so that the loss has no unique minimum: the "
        "solution of least norm is taken. Leave some out, or use more rows.",
        UserWarning,
        stacklevel=stack_level(),
    )


@dataclass(frozen=True)
class _LinearModel:
    """The score of theta . T."""

    family: _Family
    theta: FloatArray

    def score(self, X: FloatArray) -> FloatArray:
        return self.family.score(X, self.theta)

    def trace(self, X: FloatArray) -> FloatArray:
        size = max(1, _BLOCK // (len(self.theta) * X.shape[1]))
        blocks = row_blocks(len(X), size)
        return np.concatenate([self.family.laplacian(X[rows]) @ self.theta for rows in blocks])


@dataclass(frozen=True)
class _QuadraticModel:
    """The score -K (x - center)."""

    center: FloatArray
    precision: FloatArray

    @property
    def theta(self) -> FloatArray:
        """The parameters of x, and of x_i x_j with i <= j."""
        row, column = np.triu_indices(len(self.center))
        pairs = np.where(row == column, -0.5, -1.0) * self.precision[row, column]
        return np.concatenate([self.precision @ self.center, pairs])

    def score(self, X: FloatArray) -> FloatArray:
        return (self.center - X) @ self.precision

    def trace(self, X: FloatArray) -> FloatArray:
        return np.full(len(X), -np.trace(self.precision))


@dataclass(frozen=True)
class _UserModel:
    """A score function at its parameters."""

    score_func: UserFunction
    jacobian_trace: UserFunction | None
    theta: FloatArray
    scales: FloatArray

    def score(self, X: FloatArray) -> FloatArray:
        return np.asarray(self.score_func(X, self.theta.copy()), dtype=np.float64)

    def trace(self, X: FloatArray) -> FloatArray:
        if self.jacobian_trace is not None:
            return np.asarray(self.jacobian_trace(X, self.theta.copy()), dtype=np.float64)
        return divided_trace(
            lambda rows: checked_score(self.score, rows), X, step_sizes(X, self.scales)
        )


@dataclass(frozen=True)
class _Outcome:
    """A fitted model, its loss, and how it was found."""

    model: _LinearModel | _QuadraticModel | _UserModel
    loss: float
    n_iter: int = 1
    converged: bool = True


def _fit_statistics(family: _Family, planned: ScoreLoss) -> _Outcome:
    """Return the minimum in closed form."""
    G, h = _linear_system(family, planned)
    theta = _solve_min_norm(G, h)
    loss = 0.5 * theta @ G @ theta + h @ theta + planned.constant
    return _Outcome(_LinearModel(family, theta), float(loss))


def _fit_quadratic(planned: ScoreLoss) -> _Outcome:
    """Return the minimum for statistics x and xx': the loss is 1/2 tr(KSK) - sum(K * C).

    C is the identity for the explicit loss, and one in expectation for the others. Noise comes
    with both signs: it moves no mean.
    """
    X, weight = planned.rows, planned.weight
    center = X[0] + weight @ (X - X[0])
    center = center + weight @ (X - center)
    if planned.noise is not None:
        pairs = planned.noisy()
        share = np.tile(weight / len(pairs), len(pairs))[:, None]
        points = np.concatenate([one for one, _ in pairs]) - center
        S = (points * share).T @ points
        C = (np.concatenate([pull for _, pull in pairs]) * share).T @ points
    else:
        points = X - center
        S = (points * weight[:, None]).T @ points
        C = np.eye(len(center))
    if planned.signs is not None:
        C = np.mean([(sign * weight[:, None]).T @ sign for sign in planned.signs], axis=0)
        C *= planned.scales / planned.scales[:, None]
    if planned.noise is None and planned.signs is None:
        # The inverse of S can be had in any units.
        varies = (X.max(axis=0) > X.min(axis=0)) & (np.diag(S) > 0.0)
        scales = np.where(varies, np.sqrt(np.diag(S)), 1.0)
        units = np.outer(scales, scales)
        K = _solve_lyapunov(np.where(np.outer(varies, varies), S, 0.0) / units, C) / units
    else:
        K = _solve_lyapunov(S, C)
    loss = 0.5 * float(np.sum((K @ S) * K)) - float(np.sum(K * C)) + planned.constant
    return _Outcome(_QuadraticModel(center, K), loss)


def _solve_lyapunov(S: FloatArray, C: FloatArray) -> FloatArray:
    """Return the symmetric K of least norm with SK + KS = C + C'."""
    values, vectors = eigh(S)
    kept = values > _RANK_TOL * max(values[-1], np.finfo(np.float64).tiny)
    if not kept.all():
        _warn_singular(vectors[:, ~kept], "columns")
    values = np.where(kept, values, 0.0)
    total = values[:, None] + values
    rotated = vectors.T @ (C + C.T) @ vectors
    solution = np.where(total > 0.0, rotated / np.where(total > 0.0, total, 1.0), 0.0)
    return np.asarray(vectors @ solution @ vectors.T)


@dataclass(frozen=True)
class _Search:
    """The loss as a function of parameters in units of `units`."""

    score_func: UserFunction
    jacobian_trace: UserFunction | None
    planned: ScoreLoss
    units: FloatArray

    def model(self, u: FloatArray) -> _UserModel:
        return _UserModel(self.score_func, self.jacobian_trace, u * self.units, self.planned.scales)

    def evaluate(self, u: FloatArray) -> float:
        """Return the loss, without its constant."""
        candidate = self.model(u)
        trace = None if self.jacobian_trace is None else candidate.trace
        return self.planned.evaluate(candidate.score, trace) - self.planned.constant

    def loss(self, u: FloatArray) -> float:
        """Return the loss; a trial step may leave where the model is defined."""
        try:
            with np.errstate(all="ignore"):
                return self.evaluate(u)
        except NonFiniteError:
            return np.inf

    def gradient(self, u: FloatArray) -> FloatArray:
        """Return the gradient by differences of fourth order."""
        steps = _THETA_STEP * np.maximum(np.abs(u), 1.0)
        slope = np.empty_like(u)
        for i, step in enumerate(steps):
            shift = np.zeros_like(u)
            shift[i] = step
            far = self.loss(u - 2.0 * shift) - self.loss(u + 2.0 * shift)
            slope[i] = (far + 8.0 * (self.loss(u + shift) - self.loss(u - shift))) / (12.0 * step)
        return slope


def _minimize(
    score_func: UserFunction,
    jacobian_trace: UserFunction | None,
    planned: ScoreLoss,
    theta0: FloatArray,
    *,
    max_iter: int,
    tol: float,
) -> _Outcome:
    """Return the minimum over the parameters of a score function, by BFGS from theta0."""
    theta, n_iter, slope = theta0, 0, np.inf
    for _ in range(_MAX_RUNS):
        # A later run has the units of what the one before it has found.
        search = _Search(
            score_func, jacobian_trace, planned, np.where(theta != 0.0, np.abs(theta), 1.0)
        )
        start = theta / search.units
        size = 1.0 + abs(search.evaluate(start))
        with np.errstate(all="ignore"):
            found: Any = minimize(  # type: ignore[call-overload]
                lambda u, size=size, search=search: search.loss(u) / size,
                start,
                jac=lambda u, size=size, search=search: search.gradient(u) / size,
                method="BFGS",
                options={"gtol": tol, "maxiter": max_iter - n_iter},
            )
        slope, n_iter = float(np.abs(found.jac).max()), n_iter + found.nit
        if not np.isfinite(search.loss(found.x)):
            break
        theta = found.x * search.units
        if slope <= tol or n_iter >= max_iter:
            break
    if not slope <= tol:
        warnings.warn(
            f"ScoreMatchingEstimator has not converged: after {n_iter} steps the gradient of the "
            f"loss is {slope:.1e}, tol is {tol:.1e}. Use a better theta0, whose values also set "
            "the units of the parameters, more steps, or a larger tol.",
            ConvergenceWarning,
            stacklevel=stack_level(),
        )
    loss = search.evaluate(theta / search.units) + planned.constant
    return _Outcome(search.model(theta / search.units), loss, max(1, n_iter), slope <= tol)


class ScoreMatchingEstimator(DensityMixin, Estimator):
    r"""Unnormalised model of one's own, fitted by score matching.

    Either an exponential family :math:`p(x) \propto \exp(\theta\cdot T(x))`, given by its
    statistics T and fitted in closed form, or any score function with parameters, fitted by
    minimising a loss. Neither needs the normaliser.

    Parameters
    ----------
    score_func : callable, default=None
        ``score_func(X, theta) -> array of shape (n_samples, n_features)``, the gradient of the
        log density with respect to the row, row by row. Needs `theta0`.
    statistics : callable, default=None
        ``statistics(X) -> array of shape (n_samples, n_statistics)``, row by row. If it has
        attributes ``jacobian`` and ``laplacian``, they are used as `statistics_jacobian` and
        `statistics_laplacian`. If neither this nor `score_func` is given, the statistics are all
        :math:`x_i`, then all :math:`x_i x_j` with i <= j in the order of
        :func:`numpy.triu_indices`: the Gaussian.
    loss : {'explicit', 'sliced', 'denoising'}, default='explicit'
        What is minimised, see :func:`score_matching_loss`.
    jacobian_trace : callable, default=None
        ``jacobian_trace(X, theta) -> array of shape (n_samples,)``, the trace of the Jacobian of
        `score_func`; None for central differences.
    statistics_jacobian : callable, default=None
        ``statistics_jacobian(X) -> array of shape (n_samples, n_statistics, n_features)``; None
        for differences of fourth order, with a step that is chosen for each column.
    statistics_laplacian : callable, default=None
        ``statistics_laplacian(X) -> array of shape (n_samples, n_statistics)``; None for
        differences of the Jacobian if that is given, else of the statistics.
    theta0 : array-like of shape (n_parameters,) or float, default=None
        Where the search for the parameters of `score_func` starts. The magnitudes of its values,
        or 1 for a 0, are the units in which parameters are changed.
    n_slices : int, default=1
        Number of random directions, or of antithetic pairs of noise, for each distinct row.
    noise_scale : float, default=0.1
        Standard deviation of the noise, in units of each column's standard deviation.
    max_iter : int, default=200
        Largest number of steps of the search.
    tol : float, default=1e-6
        The search ends when no derivative of the loss is larger, in units of `theta0` (later of
        what was found) and of 1 plus the absolute loss at the start. Traces by differences have an
        error that leaves no room for much less than the default.
    random_state : int, RandomState instance or None, default=None
        Draws directions and noise. Pass an int for the same result on each call.

    Attributes
    ----------
    theta_ : ndarray of shape (n_parameters,)
        Parameters.
    loss_ : float
        What was minimised, at the minimum.
    n_iter_ : int
        Number of steps of the search, 1 in closed form.
    converged_ : bool
        Whether the search reached `tol`; True in closed form.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, if all are strings.

    See Also
    --------
    ScoreMatchingGaussian : The Gaussian, normalised.
    score_matching_loss : The losses, for any score.

    Notes
    -----
    For an exponential family the explicit loss is quadratic, and
    :math:`\theta = -(\sum w DD^\top)^{-1} \sum w \Delta T` with the gradients D and the Laplacians
    of T. If the gradients are linearly dependent on the rows, the solution of least norm is taken,
    in units of the statistics' gradients, and a warning names the statistics.

    The loss is that of the data's coordinates: where units differ by orders of magnitude, columns
    of small spread decide, and digits are lost. Scale the columns first.

    The loss assumes that the density vanishes at the boundary of its support, and is smooth.

    References
    ----------
    .. [1] A. Hyvärinen (2005), "Estimation of non-normalized statistical models by score
       matching", Journal of Machine Learning Research 6, 695-709.
    .. [2] A. Hyvärinen (2007), "Some extensions of score matching", Computational Statistics &
       Data Analysis 51, 2499-2512.

    Examples
    --------
    A logistic density by its scale, and the density proportional to
    :math:`\exp(\theta_1 x^2 + \theta_2 x^4)`:

    >>> import numpy as np
    >>> from skmmd.density import ScoreMatchingEstimator
    >>> X = np.random.default_rng(0).logistic(scale=2.0, size=(5000, 1))
    >>> model = ScoreMatchingEstimator(lambda X, theta: -np.tanh(X / theta / 2) / theta, theta0=1.0)
    >>> float(model.fit(X).theta_[0])
    2.0
    >>> family = ScoreMatchingEstimator(statistics=lambda X: np.hstack([X**2, X**4]))
    >>> family.fit(X).theta_.shape
    (2,)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "score_func": [callable, None],
        "statistics": [callable, None],
        "loss": [StrOptions(set(LOSSES))],
        "jacobian_trace": [callable, None],
        "statistics_jacobian": [callable, None],
        "statistics_laplacian": [callable, None],
        "theta0": ["array-like", Real, None],
        "n_slices": [Interval(Integral, 1, None, closed="left")],
        "noise_scale": [Interval(Real, 0.0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0.0, None, closed="neither")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        score_func: UserFunction | None = None,
        statistics: UserFunction | None = None,
        *,
        loss: str = "explicit",
        jacobian_trace: UserFunction | None = None,
        statistics_jacobian: UserFunction | None = None,
        statistics_laplacian: UserFunction | None = None,
        theta0: ArrayLike | None = None,
        n_slices: int = 1,
        noise_scale: float = 0.1,
        max_iter: int = 200,
        tol: float = 1e-6,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.score_func = score_func
        self.statistics = statistics
        self.loss = loss
        self.jacobian_trace = jacobian_trace
        self.statistics_jacobian = statistics_jacobian
        self.statistics_laplacian = statistics_laplacian
        self.theta0 = theta0
        self.n_slices = n_slices
        self.noise_scale = noise_scale
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    @fit_method
    def fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> "ScoreMatchingEstimator":
        """Fit the parameters to rows.

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
        ScoreMatchingEstimator
            The estimator itself.

        Raises
        ------
        ValueError
            If parameters contradict each other, `theta0` is missing, there is one row only, or a
            callable returns another shape than expected, NaN or infinite values.
        """
        self._check_combination()
        rows = validate_data(self, X, dtype=np.float64, order="C", ensure_min_samples=2)
        rows, weight = positive_weight(rows, sample_weight)
        if self.loss != "explicit":
            # So that what is drawn depends neither on copies nor on the order.
            rows, weight, _ = merge_rows(rows, weight)
        planned = plan_loss(
            rows,
            weight,
            self.loss,
            n_slices=self.n_slices,
            noise_scale=self.noise_scale,
            generator=generator(self.random_state),
        )
        found = self._fit_model(planned)
        self._model, self.theta_, self.loss_ = found.model, found.model.theta, found.loss
        self.n_iter_, self.converged_ = found.n_iter, found.converged
        return self

    def _check_combination(self) -> None:
        if self.score_func is not None and self.statistics is not None:
            raise ValueError(
                "ScoreMatchingEstimator: score_func and statistics are both given; pass one."
            )
        if self.score_func is not None and self.theta0 is None:
            raise ValueError(
                "ScoreMatchingEstimator: score_func needs theta0, the parameters to start from."
            )
        needs = {
            "score_func": ("jacobian_trace", "theta0"),
            "statistics": ("statistics_jacobian", "statistics_laplacian"),
        }
        for owner, names in needs.items():
            for name in names:
                if getattr(self, name) is not None and getattr(self, owner) is None:
                    raise ValueError(
                        f"ScoreMatchingEstimator: {name} is given without {owner}, to which it "
                        "belongs."
                    )

    def _fit_model(self, planned: ScoreLoss) -> _Outcome:
        if self.statistics is not None:
            family = _make_family(
                self.statistics, self.statistics_jacobian, self.statistics_laplacian, planned
            )
            return _fit_statistics(family, planned)
        if self.score_func is None:
            return _fit_quadratic(planned)
        theta0 = np.array(self.theta0, dtype=np.float64, ndmin=1)
        if theta0.ndim != 1 or not theta0.size or not np.isfinite(theta0).all():
            raise ValueError(f"theta0 is {self.theta0!r}; expected a vector of finite numbers.")
        return _minimize(
            self.score_func,
            self.jacobian_trace,
            planned,
            theta0,
            max_iter=self.max_iter,
            tol=self.tol,
        )

    def score_function(self, X: ArrayLike) -> FloatArray:
        """Return the score, the gradient of the log density, at each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Gradients with respect to the row.
        """
        return checked_score(self._model_of().score, self._rows(X))

    def score_matching_loss(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the mean explicit loss of rows, whatever `loss` was minimised.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            The mean of half the squared norm of the score plus the trace of its Jacobian.
        """
        model, rows = self._model_of(), self._rows(X)
        weight = check_weight(sample_weight, rows, name="sample_weight")
        score, trace = checked_score(model.score, rows), checked_trace(model.trace, rows)
        return hyvarinen_loss(score, trace, weight / weight.sum())

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Return minus the mean explicit loss of rows, see `score_matching_loss`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.
        y : None
            Ignored.

        Returns
        -------
        float
            Minus the loss; larger is better. The model is not normalised: there is no likelihood.
        """
        return -self.score_matching_loss(X)

    def _model_of(self) -> Any:
        check_is_fitted(self)
        return self._model

    def _rows(self, X: ArrayLike) -> FloatArray:
        rows: FloatArray = validate_data(self, X, dtype=np.float64, order="C", reset=False)
        return rows
