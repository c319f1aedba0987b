"""Radial kernels psi(u) of u = 1/2 sum_i rho_i (x_i - z_i)^2, and their derivatives in u.

rbf exp(-u), imq (1 + u)^(-1/2), rq (1 + u)^(-1); rho_i = 1 / bandwidth_i^2.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["RADIAL_KERNELS", "half_distances", "radial"]

FloatArray = NDArray[np.float64]


def _rbf(u: FloatArray, order: int) -> tuple[FloatArray, ...]:
    value = np.exp(-u)
    negative = -value if order else value
    return tuple(negative if k % 2 else value for k in range(order + 1))


def _power(exponent: float) -> Callable[[FloatArray, int], tuple[FloatArray, ...]]:
    def derivatives(u: FloatArray, order: int) -> tuple[FloatArray, ...]:
        base = 1.0 + u
        value = base**-exponent
        found = [value]
        for k in range(order):
            # d/du c (1 + u)^(-p) = -p c (1 + u)^(-p - 1)
            found.append(found[-1] * (-(exponent + k)) / base)
        return tuple(found)

    return derivatives


RADIAL_KERNELS = {"rbf": _rbf, "imq": _power(0.5), "rq": _power(1.0)}


def radial(kernel: str, u: FloatArray, order: int = 0) -> tuple[FloatArray, ...]:
    """Return psi(u) and its derivatives in u up to an order.

    Parameters
    ----------
    kernel : {"rbf", "imq", "rq"}
        The radial function.
    u : ndarray
        Half squared distances, at least 0.
    order : int, default=0
        The highest derivative.

    Returns
    -------
    tuple of ndarray
        As many arrays like `u` as derivatives, plus one; they may share memory.
    """
    return RADIAL_KERNELS[kernel](u, order)


def half_distances(rho: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
    """Return u(x, z) = 1/2 sum_i rho_i (x_i - z_i)^2 of all pairs of rows.

    Parameters
    ----------
    rho : ndarray of shape (n_features,)
        One over the squared bandwidths.
    left : ndarray of shape (n_left, n_features)
        Rows.
    right : ndarray of shape (n_right, n_features)
        Other rows.

    Returns
    -------
    ndarray of shape (n_left, n_right)
        At least 0.
    """
    scaled = left * rho
    u = scaled @ right.T
    np.negative(u, out=u)
    u += 0.5 * np.einsum("ij,ij->i", scaled, left)[:, None]
    u += 0.5 * np.einsum("ij,ij,j->i", right, right, rho)
    return np.maximum(u, 0.0, out=u)
