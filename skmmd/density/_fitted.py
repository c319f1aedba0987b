"""A fitted density in whitened coordinates: base measure, function f, normaliser, proposal."""

import warnings
from dataclasses import dataclass, field

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray

from skmmd._validation import check_rows, generator, stack_level
from skmmd.density._bases import BaseMeasure, EstimatorBase, MixtureBase, TruncatedBase
from skmmd.density._candidates import Box
from skmmd.density._gradient_basis import GradientExpansion
from skmmd.density._lite import Expansion
from skmmd.density._normalizer import Normalizer, Proposal, ess_with_peak, log_normalizer
from skmmd.density._quadrature import quadrature
from skmmd.density._whitening import Whitening

__all__ = ["FittedBase", "Model", "normalise"]

FloatArray = NDArray[np.float64]

# Standard deviations of the base that quadrature covers, and grid points in each of the smallest.
_REACH = 9.0
_POINTS_PER_WIDTH = 4.0
# What rounding and the tails beyond may add to the error of quadrature.
_LEAST_ERROR = 1e-6
# By how much the integral of a user's base may be off without a warning.
_NOT_ONE = 0.02
# How much finer the grid gets until the error is small.
_REFINEMENTS = (2.0, 8.0)
# What log densities outside of the box must be below the log integral; how often the box may grow,
# and points along each axis of the frame that is looked at.
_NEGLIGIBLE, _MAX_GROWTH, _N_FRAME = 25.0, 4, 121


@dataclass(frozen=True)
class Model:
    """The unnormalised density q0 exp(f) with its derivatives.

    Parameters
    ----------
    base : BaseMeasure
        The base measure q0.
    function : Expansion or GradientExpansion
        The function f.
    box : Box or None
        The domain.
    """

    base: BaseMeasure
    function: Expansion | GradientExpansion
    box: Box | None = None

    @property
    def is_base(self) -> bool:
        """Whether f = 0."""
        return isinstance(self.function, Expansion) and not self.function.coef.any()

    def log_density(self, Z: FloatArray) -> FloatArray:
        """Return log q0 + f of rows in coordinates; -inf outside of the domain."""
        log_density = self.base.log_density(Z) + self.function.values(Z)
        if self.box is not None:
            inside = np.all((self.box.low <= Z) & (self.box.high >= Z), axis=1)
            log_density[~inside] = -np.inf
        return log_density

    def score(self, Z: FloatArray) -> FloatArray:
        """Return the gradient of log q0 + f."""
        return self.base.score(Z) + self.function.gradient(Z)

    def hessian(self, Z: FloatArray) -> FloatArray:
        """Return the Hessian of log q0 + f."""
        return self.base.hessian(Z) + self.function.hessian(Z)


@dataclass(frozen=True)
class FittedBase:
    """A base measure in the data's coordinates.

    Parameters
    ----------
    map_ : Whitening
        The whitened coordinates.
    measure : BaseMeasure
        The base measure in them.
    name : str
        What it is.
    """

    map_: Whitening = field(repr=False)
    measure: BaseMeasure = field(repr=False)
    name: str

    def score_samples(self, X: ArrayLike) -> FloatArray:
        """Return the log density of each row: shape (n_samples,)."""
        rows = check_rows(X, name="X")
        return self.measure.log_density(self.map_.forward(rows)) + self.map_.log_jacobian(rows)

    def score_function(self, X: ArrayLike) -> FloatArray:
        """Return the gradient of the log density: shape (n_samples, n_features)."""
        rows = check_rows(X, name="X")
        return self.map_.pull_score(rows, self.measure.score(self.map_.forward(rows)))

    def sample(
        self, n_samples: int = 1, random_state: int | RandomState | None = None
    ) -> FloatArray:
        """Draw rows: shape (n_samples, n_features)."""
        source = generator(random_state)
        points = self.measure.draw(n_samples, source)
        n_constant = int(np.sum(~self.map_.varying))
        return self.map_.backward(points, source.standard_normal((n_samples, n_constant)))


def normalise(
    model: Model, proposal: Proposal, rows: FloatArray, n_draws: int, generator: np.random.Generator
) -> Normalizer:
    """Estimate the log normaliser from fresh draws; by quadrature too in one or two dimensions.

    Parameters
    ----------
    model : Model
        The density.
    proposal : Proposal
        What is drawn from.
    rows : ndarray of shape (n, n_features)
        Rows, which quadrature must cover.
    n_draws : int
        Number of draws.
    generator : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    Normalizer
        The estimate; the effective sample size is always that of the draws.
    """
    draws = proposal.draw(n_draws, generator)
    log_base = model.base.log_density(draws)
    log_proposal = proposal.log_density(draws, log_base)
    if isinstance(model.base, EstimatorBase):
        _check_normalised(model.base, log_base - log_proposal)
    found = log_normalizer(log_base, model.function.values(draws), log_proposal)
    if model.is_base:
        return found
    centers = model.function.centers
    peaks = model.log_density(centers) - proposal.log_density(centers)
    peak = peaks[np.isfinite(peaks)].max(initial=-np.inf) - found.log_normalizer
    ess = float(ess_with_peak(found.ess, peak, n_draws))
    missed = np.sqrt(found.standard_error**2 + (1.0 / ess - 1.0 / found.ess) / n_draws)
    found = Normalizer(found.log_normalizer, float(missed), ess)
    sides = _sides(model, rows) if rows.shape[1] <= 2 else None
    if sides is None:
        return found
    exact = _integral(model, *sides)
    if exact is None:
        return found
    return Normalizer(exact[0], max(exact[1], _LEAST_ERROR), found.ess)


def _integral(
    model: Model, low: FloatArray, high: FloatArray, resolution: float
) -> tuple[float, float] | None:
    """Return log Z by quadrature and its error; the box grows until no mass is at its sides."""
    for _ in range(_MAX_GROWTH):
        exact = None
        for finer in _REFINEMENTS:
            exact = quadrature(model.log_density, low, high, resolution / finer)
            if exact is not None:
                break
        if exact is None or not np.isfinite(exact[0]):
            return None
        outer_low, outer_high = low - (high - low) / 4.0, high + (high - low) / 4.0
        if model.box is not None:
            outer_low = np.maximum(outer_low, model.box.low)
            outer_high = np.minimum(outer_high, model.box.high)
        frame = _frame(outer_low, outer_high, low, high)
        if not len(frame) or model.log_density(frame).max() < exact[0] - _NEGLIGIBLE:
            return exact
        low, high = outer_low, outer_high
    return None


def _frame(
    outer_low: FloatArray, outer_high: FloatArray, low: FloatArray, high: FloatArray
) -> FloatArray:
    """Return points of a grid over the outer box that are not inside of the inner one."""
    axes = [np.linspace(a, b, _N_FRAME) for a, b in zip(outer_low, outer_high, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    return np.asarray(points[~np.all((points > low) & (points < high), axis=1)])


def _check_normalised(base: EstimatorBase, log_ratio: FloatArray) -> None:
    """Warn if a user's density does not integrate to 1, or is not that of its draws."""
    ratio = np.exp(log_ratio)
    error = 6.0 * ratio.std() / np.sqrt(len(ratio)) + _NOT_ONE
    if not abs(ratio.mean() - 1.0) < error:
        warnings.warn(
            f"base={type(base.estimator).__name__}: its score_samples do not seem to be the log of "
            "a density that integrates to 1 and that its sample draws from; log_normalizer_ is not "
            "to be trusted.",
            UserWarning,
            stacklevel=stack_level(),
        )


def _sides(model: Model, rows: FloatArray) -> tuple[FloatArray, FloatArray, float] | None:
    """Return a box that holds all but nothing of the mass, and the distance of grid points."""
    base = model.base
    if isinstance(base, MixtureBase):
        scales = np.sqrt(np.diagonal(base.covariances, axis1=1, axis2=2))
        low = (base.means - _REACH * scales).min(axis=0)
        high = (base.means + _REACH * scales).max(axis=0)
        finest = float(np.sqrt(np.linalg.eigvalsh(base.covariances).min()))
    elif isinstance(base, TruncatedBase):
        low = np.maximum(base.low, np.minimum(base.mean, rows.min(axis=0)) - _REACH * base.scale)
        high = np.minimum(base.high, np.maximum(base.mean, rows.max(axis=0)) + _REACH * base.scale)
        finest = float(base.scale.min())
    else:
        return None
    low, high = np.minimum(low, rows.min(axis=0)), np.maximum(high, rows.max(axis=0))
    finest = min(finest, float(model.function.rho.max()) ** -0.5)
    return low, high, finest / _POINTS_PER_WIDTH
