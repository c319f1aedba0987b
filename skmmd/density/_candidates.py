"""Base measures that compete: fitted to all rows, and anew to the training rows of each split."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from skmmd.density._bases import (
    BaseMeasure,
    MixtureBase,
    TruncatedBase,
    best_mixtures,
    estimator_base,
    gaussian_base,
    mixture_base,
)
from skmmd.density._box import boundary_weights, rows_inside
from skmmd.density._folds import Folds, Rows
from skmmd.density._whitening import Whitening

__all__ = ["BaseCandidate", "Box", "base_candidates"]

FloatArray = NDArray[np.float64]

# Wider than fitted: f takes away what is too much, but cannot reach where the base is not.
_INFLATIONS = (1.5, 1.0, 2.5)
# Least precision of a truncated Gaussian, in units of one over the variance of the rows.
_LEAST_PRECISION = 1e-3
_N_CHECKED = 1000


@dataclass(frozen=True)
class Box:
    """The domain of truncated data, in coordinates scaled by column.

    Parameters
    ----------
    low, high : ndarray of shape (n_features,)
        Sides, -inf or inf where there is none.
    """

    low: FloatArray
    high: FloatArray

    def weights(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return min(distance to the nearest side, 1) of each coordinate, and its slope."""
        return boundary_weights(X, (self.low, self.high), np.ones(X.shape[1]))


@dataclass(frozen=True)
class BaseCandidate:
    """A base measure for all rows and one for each split.

    Parameters
    ----------
    name : str
        What it is.
    full : BaseMeasure
        Fitted to all rows.
    folds : tuple of BaseMeasure
        Fitted to the training rows of each split.
    group : str
        Candidates of one group share their bandwidths; those of the first are optimised.
    """

    name: str
    full: BaseMeasure
    folds: tuple[BaseMeasure, ...]
    group: str

    @property
    def is_gaussian(self) -> bool:
        """Whether the analytic denoising loss applies."""
        return isinstance(self.full, MixtureBase) and self.full.is_gaussian


def base_candidates(
    base: Any,
    map_: Whitening,
    rows: Rows,
    folds: Folds | None,
    seed: int,
    box: Box | None,
) -> list[BaseCandidate]:
    """Fit the base measures that compete.

    Parameters
    ----------
    base : {"auto", "gaussian", "gmm"} or estimator
        Which.
    map_ : Whitening
        The coordinates.
    rows : Rows
        Rows in coordinates.
    folds : Folds or None
        The splits, in coordinates; None where nothing is selected.
    seed : int
        Of the starts of EM.
    box : Box or None
        The domain.

    Returns
    -------
    list of BaseCandidate
        One, or several to choose from if there are splits.
    """
    parts = [rows]
    if folds is not None:
        for weight in folds.train:
            size = rows.n_samples * float(folds.weight @ (weight > 0.0))
            parts.append(Rows(folds.X, weight, size, folds.data))
    if not isinstance(base, str):
        fitted = [_fitted(base, map_, part) for part in parts]
        if box is not None:
            _check_inside(fitted[0], box, base, seed)
        return [_candidate("estimator", fitted)]
    if box is not None:
        return [_candidate("gaussian", [_truncated(part, box) for part in parts])]
    found = []
    if base in ("auto", "gaussian"):
        fitted = [gaussian_base(part.X, part.weight, part.n_samples) for part in parts]
        found.append(_candidate("gaussian", fitted))
    if base in ("auto", "gmm"):
        shape, mixtures = _mixtures(map_, parts, folds, seed)
        k = len(mixtures[0].weights)
        if base == "auto" and k == 1:
            return found
        for factor in _INFLATIONS if folds is not None else (1.0,):
            name = f"gmm, {k} components ({shape}), covariances x {factor:g}"
            found.append(_candidate(name, [m.inflated(factor) for m in mixtures], "gmm"))
    return found


def _candidate(name: str, fitted: Sequence[BaseMeasure], group: str | None = None) -> BaseCandidate:
    return BaseCandidate(name, fitted[0], tuple(fitted[1:]), group or name)


def _mixtures(
    map_: Whitening, parts: list[Rows], folds: Folds | None, seed: int
) -> tuple[str, list[MixtureBase]]:
    """Return the shape of a mixture of Gaussians, its fit to all rows and to each split.

    Of those of lowest BIC the best on held-out rows. Each split starts from the mixture of all
    rows: else another local optimum than the one that is used would be judged.
    """
    rows = parts[0]
    columns = map_.root if map_.root.ndim == 2 else np.diag(map_.root)
    columns = columns / np.abs(columns).max(axis=0)
    columns /= np.linalg.norm(columns, axis=0)
    best = best_mixtures(rows.X, rows.weight, rows.n_samples, seed, columns=columns)
    shape, chosen = best[0][0], [best[0][1]] * len(parts)
    if folds is None or len(chosen[0].weights) == 1:
        return shape, chosen
    highest = -np.inf
    for trial, mixture in best:
        k = len(mixture.weights)
        if k == 1:
            continue
        fits = [
            mixture_base(
                part.X, part.weight, k, part.n_samples, seed,
                shape=trial, columns=columns, start=mixture,
            )
            for part in parts[1:]
        ]  # fmt: skip
        value = np.mean(
            [test @ fit.log_density(folds.X) for test, fit in zip(folds.test, fits, strict=True)]
        )
        if value > highest:
            shape, chosen, highest = trial, [mixture, *fits], float(value)
    return shape, chosen


def _fitted(estimator: Any, map_: Whitening, rows: Rows) -> BaseMeasure:
    """Fit a clone of the user's estimator in the data's coordinates."""
    kept = rows.weight > 0.0
    X, weight = rows.data[kept], rows.weight[kept]
    fitted = clone(estimator)
    if np.ptp(weight) > 1e-12 * weight.max() and has_fit_parameter(fitted, "sample_weight"):
        fitted.fit(X, sample_weight=weight * (len(weight) / weight.sum()))
    else:
        fitted.fit(X)
    return estimator_base(fitted, map_.center, map_.root)


def _check_inside(measure: BaseMeasure, box: Box, estimator: Any, seed: int) -> None:
    """Raise if a base measure of the user's has mass outside of the domain."""
    draws = measure.draw(_N_CHECKED, np.random.default_rng(seed))
    if isinstance(measure, MixtureBase) or not rows_inside(draws, (box.low, box.high)).all():
        raise ValueError(
            f"base={type(estimator).__name__} has mass outside of the domain, where the density is "
            "0; use base='gaussian', which is truncated, or an estimator whose density and draws "
            "stay on the domain."
        )


def _truncated(rows: Rows, box: Box) -> TruncatedBase:
    """Fit independent truncated Gaussians by generalised score matching, in closed form."""
    X, weight = rows.X, rows.weight
    share, slope = box.weights(X)
    # Score eta - kappa x: minimise E[1/2 h (eta - kappa x)^2 + h'(eta - kappa x) - h kappa].
    h0, h1, h2 = (weight @ (share * X**power) for power in range(3))
    d0, d1 = weight @ slope, weight @ (slope * X)
    determinant = np.maximum(h0 * h2 - h1**2, np.finfo(np.float64).tiny)
    kappa = (h0 * (h0 + d1) - h1 * d0) / determinant
    mean = weight @ X
    variance = np.maximum(weight @ np.square(X - mean), np.finfo(np.float64).tiny)
    kappa = np.maximum(kappa, _LEAST_PRECISION / variance)
    eta = (kappa * h1 - d0) / h0
    return TruncatedBase(eta / kappa, kappa**-0.5, box.low, box.high)
