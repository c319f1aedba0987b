"""The denoising and the sliced loss: other sums G and h for the same lite system."""

import numpy as np
from numpy.typing import NDArray

from skmmd.density._lite import System
from skmmd.density._radial import half_distances, radial

__all__ = ["denoised_gram", "denoised_linear", "denoised_system", "sliced_system"]

FloatArray = NDArray[np.float64]


def denoised_system(
    rho: FloatArray,
    Z: FloatArray,
    X: FloatArray,
    weight: FloatArray,
    base_score: FloatArray,
    base_precision: FloatArray,
    noise_scale: float,
) -> System:
    """Return the expected sums over Gaussian noise on the rows: rbf kernel, Gaussian base.

    Products and derivatives of Gaussians are Gaussians, so that the expectation is in closed form:
    no noise is drawn. As the base score is linear, E[s0 . grad phi] is s0(x) . grad E[phi] less
    noise_scale^2 trace(P Hessian of E[phi]), by Stein's identity.

    Parameters
    ----------
    rho : ndarray of shape (n_features,)
        One over the squared bandwidths.
    Z : ndarray of shape (n_centers, n_features)
        Centres.
    X : ndarray of shape (n, n_features)
        Rows.
    weight : ndarray of shape (n,)
        Weights of the rows.
    base_score : ndarray of shape (n, n_features)
        Score -P(x - m) of the Gaussian base at the rows.
    base_precision : ndarray of shape (n_features, n_features)
        Its precision P.
    noise_scale : float
        Standard deviation of the noise, positive.

    Returns
    -------
    System
        Expected G and h of the block, not divided by the weight.
    """
    gram = denoised_gram(rho, Z, X, weight, noise_scale)
    linear = denoised_linear(rho, Z, X, weight, base_score, base_precision, noise_scale)
    return System(gram, linear, float(weight.sum()))


def denoised_linear(
    rho: FloatArray,
    Z: FloatArray,
    X: FloatArray,
    weight: FloatArray,
    base_score: FloatArray,
    base_precision: FloatArray,
    noise_scale: float,
) -> FloatArray:
    """Return the h of :func:`denoised_system`."""
    variance = noise_scale**2
    c = rho * variance
    smooth_rho = rho / (1.0 + c)
    smooth = np.exp(-half_distances(smooth_rho, X, Z)) / np.sqrt(np.prod(1.0 + c))
    second = np.eye(len(rho)) - variance * base_precision
    left, right = X * smooth_rho, Z * smooth_rho
    curvature = (left @ (-2.0 * second)) @ right.T
    curvature += np.einsum("ij,ij->i", left @ second, left)[:, None]
    curvature += np.einsum("ij,ij->i", right @ second, right)
    curvature -= smooth_rho @ np.diag(second)
    curvature *= smooth
    h = curvature.T @ weight
    scaled = base_score * smooth_rho * weight[:, None]
    along = smooth.T @ np.column_stack([np.einsum("ij,ij->i", scaled, X), scaled])
    h -= along[:, 0] - np.einsum("mj,mj->m", Z, along[:, 1:])
    return np.asarray(h)


def denoised_gram(
    rho: FloatArray, Z: FloatArray, X: FloatArray, weight: FloatArray, noise_scale: float
) -> FloatArray:
    """Return the G of :func:`denoised_system`."""
    variance = noise_scale**2
    c = rho * variance
    widened = 1.0 + 2.0 * c
    omega = (rho / widened) ** 2
    kappa = np.exp(-half_distances(rho / widened, X, Z))
    kappa *= np.sqrt(weight)[:, None]
    inner = X @ (-Z * omega).T
    inner += 0.5 * np.einsum("ij,ij,j->i", X, X, omega)[:, None]
    inner *= kappa
    half = inner.T @ kappa
    squares = Z**2 @ (omega * c * (1.0 + c))
    constant = (Z * (omega * ((1.0 + c) ** 2 + c**2))) @ Z.T
    constant -= squares[:, None] + squares
    constant += variance * np.sum(rho**2 / widened)
    gram = kappa.T @ kappa
    gram *= constant
    gram += half
    gram += half.T
    gram *= np.exp(-half_distances(rho * c / widened, Z, Z)) / np.sqrt(np.prod(widened))
    return np.asarray(gram)


def sliced_system(
    kernel: str,
    rho: FloatArray,
    Z: FloatArray,
    X: FloatArray,
    weight: FloatArray,
    base_score: FloatArray,
    directions: FloatArray,
) -> System:
    """Return the sums of the sliced loss: derivatives along random directions only.

    Parameters
    ----------
    kernel : {"rbf", "imq", "rq"}
        The radial function.
    rho : ndarray of shape (n_features,)
        One over the squared bandwidths.
    Z : ndarray of shape (n_centers, n_features)
        Centres.
    X : ndarray of shape (n, n_features)
        Rows.
    weight : ndarray of shape (n,)
        Weights of the rows.
    base_score : ndarray of shape (n, n_features)
        Score of the base measure at the rows.
    directions : ndarray of shape (n_slices, n, n_features)
        Random directions v with E[v v'] = I; the sums are means over them.

    Returns
    -------
    System
        G and h of the block, not divided by the weight.
    """
    u = half_distances(rho, X, Z)
    _, first, second = radial(kernel, u, 2)
    G = np.zeros((len(Z), len(Z)))
    h = np.zeros(len(Z))
    for v in directions:
        scaled = v * rho
        along = np.einsum("ij,ij->i", scaled, X)[:, None] - scaled @ Z.T
        slope = first * along
        weighted = slope * weight[:, None]
        G += weighted.T @ slope
        h += (second * along**2).T @ weight + first.T @ (weight * np.einsum("ij,ij->i", scaled, v))
        h += weighted.T @ np.einsum("ij,ij->i", base_score, v)
    return System(G / len(directions), h / len(directions), float(weight.sum()))
