"""Normalisers by quadrature, in one and two dimensions."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import row_blocks

__all__ = ["quadrature"]

FloatArray = NDArray[np.float64]

_MAX_POINTS = 2**18
_BLOCK = 2**14
_TOLERANCE = 1e-5
# Gregory's weights: the trapezoidal rule, exact up to degree 5 also where the ends are not zero.
_END = np.array([95.0 / 288.0, 317.0 / 240.0, 23.0 / 30.0, 793.0 / 720.0, 157.0 / 160.0])


def quadrature(
    log_density_function: Callable[[FloatArray], FloatArray],
    low: FloatArray,
    high: FloatArray,
    resolution: float,
) -> tuple[float, float] | None:
    """Integrate a density over a box of one or two dimensions.

    Parameters
    ----------
    log_density_function : callable
        ``log_density_function(points) -> (n_points,)``, -inf where the density is 0.
    low, high : ndarray of shape (n_features,)
        Sides of the box, finite, with ``low < high``.
    resolution : float
        Distance of neighbouring points of the grid; it is made larger where there would be more
        than 2^18 points.

    Returns
    -------
    log_integral : float
        Log of the integral. With `error`, or None in place of both if the error exceeds 1e-5.
    error : float
        Difference to the log integral by every second point, a cautious estimate of the error.
    """
    d = len(low)
    most = int(_MAX_POINTS ** (1.0 / d)) - 1
    n_intervals = [int(min(most, max(20.0, np.ceil(w / resolution)))) for w in high - low]
    # Even, for the grid of every second point.
    axes = [
        np.linspace(a, b, n // 2 * 2 + 1) for a, b, n in zip(low, high, n_intervals, strict=True)
    ]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)
    blocks = [log_density_function(points[rows]) for rows in row_blocks(len(points), _BLOCK)]
    log_density = np.concatenate(blocks).reshape([len(axis) for axis in axes])
    fine = _log_integral(log_density, axes)
    every_second = tuple(slice(None, None, 2) for _ in axes)
    coarse = _log_integral(log_density[every_second], [axis[::2] for axis in axes])
    error = abs(fine - coarse)
    return (fine, error) if error <= _TOLERANCE else None


def _log_integral(log_density: FloatArray, axes: list[FloatArray]) -> float:
    largest = log_density.max()
    if not np.isfinite(largest):
        return float("nan")
    sums = np.exp(log_density - largest)
    for axis in axes:
        weights = np.full(len(axis), axis[1] - axis[0])
        weights[: len(_END)] *= _END
        weights[-len(_END) :] *= _END[::-1]
        sums = np.tensordot(weights, sums, axes=1)
    return float(np.log(sums) + largest)
