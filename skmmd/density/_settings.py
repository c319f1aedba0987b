"""From the parameters of ScoreMatchingDensity to the question in whitened coordinates."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmmd._validation import check_rows
from skmmd.density._selection import Question
from skmmd.density._whitening import Whitening
from skmmd.kernels import pooled_quantiles

__all__ = ["Settings", "check_parameters", "settings_of"]

FloatArray = NDArray[np.float64]

# Scales of the denoising loss that compete, in whitened coordinates; more than .1 blurs.
_NOISES = (0.0, 0.05, 0.1)
_FEWEST_DRAWS = 100
# Lengths in whitened coordinates whose squares and quotients stay numbers.
_SHORTEST, _LONGEST = 1e-75, 1e75


@dataclass(frozen=True)
class Settings:
    """What the user asked for, lengths in whitened coordinates.

    Parameters
    ----------
    question : Question
        What is given and what is open.
    base : {"auto", "gaussian", "gmm"} or estimator
        The base measure.
    basis : {"lite", "nystroem", "full"}
        The functions f is made of.
    loss : {"explicit", "denoising", "sliced"}
        The loss.
    n_slices : int
        Directions per row of the sliced loss.
    n_components : int
        Number of centres.
    centers : ndarray of shape (n_centers, n_features) or None
        Centres, in coordinates.
    cv : int, splitter or iterable
        The splits.
    n_draws : int
        Draws of the normaliser; 0 for none.
    is_closed : bool
        Whether nothing is selected.
    refine : bool
        Whether to maximise the likelihood afterwards.
    """

    question: Question
    base: Any
    basis: str
    loss: str
    n_slices: int
    n_components: int
    centers: FloatArray | None
    cv: Any
    n_draws: int
    is_closed: bool
    refine: bool


def check_parameters(params: Any) -> None:
    """Raise where parameters contradict each other."""
    name = type(params).__name__
    if params.n_normalizer_samples == 0 and params.selection == "log_likelihood":
        raise ValueError(
            f"{name}: n_normalizer_samples=0 leaves no normaliser, which "
            "selection='log_likelihood' needs; set selection='score_matching' too."
        )
    if 0 < params.n_normalizer_samples < _FEWEST_DRAWS:
        raise ValueError(
            f"{name}: {params.n_normalizer_samples} draws say nothing of a normaliser; set "
            f"n_normalizer_samples to {_FEWEST_DRAWS} at least, or to 0 for none."
        )
    if params.refine and (params.selection != "log_likelihood" or params.basis != "lite"):
        raise ValueError(
            f"{name}: refine=True maximises the likelihood over the lite basis, if that is better "
            "on held-out rows; it needs basis='lite' and selection='log_likelihood'."
        )
    special = params.loss in ("denoising", "sliced")
    if special and params.basis != "lite":
        raise ValueError(
            f"{name}: loss={params.loss!r} is offered with basis='lite' only, got "
            f"basis={params.basis!r}."
        )
    if params.domain is None:
        return
    if special:
        raise ValueError(
            f"{name}: loss={params.loss!r} knows of no boundaries; with a domain use "
            "loss='explicit' (or 'auto')."
        )
    if isinstance(params.base, str) and params.base == "gmm":
        raise ValueError(
            f"{name}: base='gmm' has mass outside of the domain; use base='gaussian', which is "
            "truncated, or an estimator of your own on the domain."
        )
    if params.basis != "lite":
        raise ValueError(f"{name}: a domain needs basis='lite', got basis={params.basis!r}.")


def settings_of(params: Any, map_: Whitening, rows: FloatArray, weight: FloatArray) -> Settings:
    """Return the parameters of an estimator in whitened coordinates.

    Parameters
    ----------
    params : ScoreMatchingDensity
        The estimator.
    map_ : Whitening
        The coordinates.
    rows : ndarray of shape (n, n_coordinates)
        Distinct rows, in coordinates.
    weight : ndarray of shape (n,)
        Their weights.

    Returns
    -------
    Settings
        The parameters.

    Raises
    ------
    ValueError
        If bandwidths or centres do not fit the data.
    """
    unit = map_.unit
    alpha = None if isinstance(params.alpha, str) else float(params.alpha) * unit**2
    noises, noise_of_all = _noises(params, unit)
    bandwidth = _bandwidth(params.bandwidth, map_, rows, weight)
    question = Question(
        params.kernel,
        bandwidth,
        alpha,
        noises,
        noise_of_all,
        by_likelihood=params.selection == "log_likelihood",
    )
    is_closed = (
        not isinstance(bandwidth, str)
        and alpha is not None
        and not (isinstance(params.base, str) and params.base == "auto")
        and params.loss != "auto"
        and len(noises) == 1
        and not params.refine
    )
    return Settings(
        question,
        params.base,
        params.basis,
        "explicit" if params.loss == "auto" else params.loss,
        params.n_slices,
        params.n_components,
        _centers(params.centers, map_),
        params.cv,
        params.n_normalizer_samples,
        is_closed,
        params.refine,
    )


def _noises(params: Any, unit: float) -> tuple[tuple[float, ...], bool]:
    """Return the scales of noise that compete, and whether for all base measures."""
    if params.loss in ("explicit", "sliced") or params.basis != "lite":
        return (0.0,), False
    given = None if isinstance(params.noise_scale, str) else float(params.noise_scale) / unit
    if params.loss == "denoising":
        return (_NOISES[1:] if given is None else (given,)), True
    if params.kernel != "rbf" or params.domain is not None:
        return (0.0,), False
    return (_NOISES if given is None else (0.0, given)), False


def _bandwidth(
    bandwidth: Any, map_: Whitening, rows: FloatArray, weight: FloatArray
) -> str | FloatArray:
    """Return "ard", "cv", or the bandwidths."""
    d = len(map_.varying)
    if isinstance(bandwidth, str):
        if bandwidth != "median":
            return bandwidth
        median = pooled_quantiles("rbf", rows, (0.5,), weight)[0]
        return np.full(rows.shape[1], median)
    lengths = np.asarray(bandwidth, dtype=np.float64)
    if lengths.ndim == 0:
        lengths = np.full(d, float(lengths))
    if lengths.shape != (d,):
        raise ValueError(
            f"bandwidth has shape {lengths.shape}, but X has {d} features; expected a number, or "
            f"an array of {d}."
        )
    if not np.all(lengths > 0.0):
        raise ValueError("bandwidth has values that are not positive.")
    whitened = lengths[map_.varying] / map_.unit
    if not np.all((whitened > _SHORTEST) & (whitened < _LONGEST)):
        raise ValueError(
            f"bandwidth={bandwidth!r} is out of all proportion to the rows, which have standard "
            "deviation 1 in whitened coordinates."
        )
    return np.asarray(whitened)


def _centers(centers: Any, map_: Whitening) -> FloatArray | None:
    if centers is None:
        return None
    if np.shape(centers)[:1] == (0,):
        raise ValueError("centers has no row; give some points, or None to draw rows as centres.")
    points = check_rows(centers, name="centers")
    d = len(map_.varying)
    if points.shape[1] != d:
        raise ValueError(
            f"centers has {points.shape[1]} columns, but X has {d} features; centers are points "
            "in the coordinates of X."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        whitened = map_.forward(points)
        far = not np.all(np.abs(whitened) < _LONGEST)
    if far:
        raise ValueError("centers has points out of all proportion to the rows of X.")
    return whitened
