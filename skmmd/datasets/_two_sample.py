"""Pairs of samples from two distributions that differ in a known way, or not at all."""

from collections.abc import Sequence

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from skmmd.datasets._sizes import two_sizes

Sample = NDArray[np.float64]

# Covariance of the two coordinates within each blob of the second sample (Liu et al., 2020).
_BLOB_COVARIANCES = np.array(
    [-0.02, -0.022, -0.024, -0.026, 0.0, 0.02, 0.022, 0.024, 0.026], dtype=np.float64
)
_BLOB_VARIANCE = 0.03


def _correlate(Z: Sample, covariance: Sample | float, variance: float) -> Sample:
    """Turn two independent standard normal columns into ones of given (co)variance, in place."""
    scale = np.sqrt(variance)
    slope = covariance / scale
    Z[:, 1] = slope * Z[:, 0] + np.sqrt(variance - slope**2) * Z[:, 1]
    Z[:, 0] *= scale
    return Z


def make_mixture_scale(
    n_samples: int | tuple[int, int] = 500,
    *,
    scale: float = 1.6,
    random_state: int | RandomState | None = None,
) -> tuple[Sample, Sample]:
    """Draw two Gaussian mixtures, one component of which has another scale.

    Four equally likely components sit at (+-20, +-20), each with unit covariance. In the second
    sample, the component at (20, 20) has standard deviation `scale` instead. The difference
    lives at the scale of one component, far below the median distance.

    Parameters
    ----------
    n_samples : int or tuple of (int, int), default=500
        Rows of each sample, or of the first and the second.
    scale : float, default=1.6
        Standard deviation of the component that differs.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same samples on each call.

    Returns
    -------
    X : ndarray of shape (n_samples, 2), dtype float64
        First sample.
    Y : ndarray of shape (n_samples, 2), dtype float64
        Second sample.

    Raises
    ------
    ValueError
        If `n_samples` is not one or two positive integers.

    References
    ----------
    .. [1] Biggs, F., Schrab, A. and Gretton, A. (2023). "MMD-FUSE: Learning and combining kernels
       for two-sample testing without data splitting". NeurIPS 36.

    Examples
    --------
    >>> from skmmd.datasets import make_mixture_scale
    >>> X, Y = make_mixture_scale((100, 80), random_state=0)
    >>> X.shape, Y.shape
    ((100, 2), (80, 2))
    """
    rng = check_random_state(random_state)

    def draw(size: int, last_scale: float) -> Sample:
        component = rng.randint(4, size=size)
        centers = 40.0 * np.column_stack([component // 2, component % 2]) - 20.0
        deviations = np.where(component == 3, last_scale, 1.0)
        return centers + deviations[:, None] * rng.standard_normal((size, 2))

    n_X, n_Y = two_sizes(n_samples)
    return draw(n_X, 1.0), draw(n_Y, scale)


def _perturbation(x: Sample) -> Sample:
    """Return one bump up on (-1, -1/2) and its mirror image down on (-1/2, 0)."""
    out = np.zeros_like(x)
    for center, sign in ((-0.75, 1.0), (-0.25, -1.0)):
        squared = (4.0 * (x - center)) ** 2
        inside = squared < 1.0
        out[inside] = sign * np.exp(-1.0 / (1.0 - squared[inside]))
    return out


def make_perturbed_uniform(
    n_samples: int | tuple[int, int] = 500,
    *,
    amplitude: float = 0.3,
    signs: Sequence[int] | None = None,
    random_state: int | RandomState | None = None,
) -> tuple[Sample, Sample]:
    r"""Draw a uniform sample and one whose density carries two smooth waves.

    The density of the second sample on :math:`[0, 1]` is

    .. math:: 1 + e\,a\,\sum_{j=1}^{2} t_j\,G(2x - j), \qquad t_j = \pm 1,

    with amplitude :math:`a`, :math:`G(u) = \exp(-1 / (1 - (4u + 3)^2))` on
    :math:`(-1, -1/2)`, :math:`-\exp(-1 / (1 - (4u + 1)^2))` on :math:`(-1/2, 0)`, and 0
    elsewhere. It lies between :math:`1 - a` and :math:`1 + a`.

    Parameters
    ----------
    n_samples : int or tuple of (int, int), default=500
        Rows of each sample, or of the first and the second.
    amplitude : float, default=0.3
        Height of the waves, from 0 (no difference) to 1.
    signs : sequence of two ints or None, default=None
        The :math:`t_j`, each 1 or -1. None draws them at random.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same samples on each call.

    Returns
    -------
    X : ndarray of shape (n_samples, 1), dtype float64
        Uniform sample.
    Y : ndarray of shape (n_samples, 1), dtype float64
        Perturbed sample.

    Raises
    ------
    ValueError
        If `n_samples` is not one or two positive integers, `amplitude` lies outside [0, 1] or
        `signs` is not a pair of 1 or -1.

    References
    ----------
    .. [1] Schrab, A., Kim, I., Albert, M., Laurent, B., Guedj, B. and Gretton, A. (2023). "MMD
       aggregated two-sample test". Journal of Machine Learning Research 24(194).

    Examples
    --------
    >>> from skmmd.datasets import make_perturbed_uniform
    >>> X, Y = make_perturbed_uniform(200, random_state=0)
    >>> X.shape, bool(Y.min() >= 0), bool(Y.max() <= 1)
    ((200, 1), True, True)
    """
    if not 0.0 <= amplitude <= 1.0:
        raise ValueError(f"amplitude must lie in [0, 1], to keep a density; got {amplitude!r}.")
    rng = check_random_state(random_state)
    n_X, n_Y = two_sizes(n_samples)
    t = rng.choice([-1, 1], size=2) if signs is None else np.asarray(signs)
    if t.shape != (2,) or not np.isin(t, (-1, 1)).all():
        raise ValueError(f"signs must be a pair of 1 or -1; got {signs!r}.")

    X = rng.uniform(size=(n_X, 1))
    accepted: list[Sample] = []
    missing = n_Y
    while missing > 0:  # rejection under the bound 1 + amplitude of the density
        x = rng.uniform(size=2 * missing)
        density = 1.0 + np.e * amplitude * (
            t[0] * _perturbation(2.0 * x - 1.0) + t[1] * _perturbation(2.0 * x - 2.0)
        )
        kept = x[rng.uniform(size=x.size) * (1.0 + amplitude) < density][:missing]
        accepted.append(kept)
        missing -= kept.size
    return X, np.concatenate(accepted)[:, None]


def make_blobs_grid(
    n_samples: int | tuple[int, int] = 360,
    *,
    random_state: int | RandomState | None = None,
) -> tuple[Sample, Sample]:
    """Draw two grids of nine Gaussian blobs that differ in the blobs' correlations.

    The centres form a 3 by 3 grid of unit spacing, blob i at (i // 3, i % 3), all equally likely.
    In the first sample each blob has covariance 0.03 I. In the second, the covariance between
    the two coordinates of blob i is entry i of (-.02, -.022, -.024, -.026, 0, .02, .022, .024,
    .026), at the same variances.

    Parameters
    ----------
    n_samples : int or tuple of (int, int), default=360
        Rows of each sample, or of the first and the second.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same samples on each call.

    Returns
    -------
    X : ndarray of shape (n_samples, 2), dtype float64
        Sample of round blobs.
    Y : ndarray of shape (n_samples, 2), dtype float64
        Sample of slanted blobs.

    Raises
    ------
    ValueError
        If `n_samples` is not one or two positive integers.

    References
    ----------
    .. [1] Liu, F., Xu, W., Lu, J., Zhang, G., Gretton, A. and Sutherland, D. J. (2020). "Learning
       deep kernels for non-parametric two-sample tests". ICML 37.

    Examples
    --------
    >>> from skmmd.datasets import make_blobs_grid
    >>> X, Y = make_blobs_grid(90, random_state=0)
    >>> X.shape, Y.shape
    ((90, 2), (90, 2))
    """
    rng = check_random_state(random_state)

    def draw(size: int, covariances: Sample) -> Sample:
        blob = rng.randint(9, size=size)
        noise = _correlate(rng.standard_normal((size, 2)), covariances[blob], _BLOB_VARIANCE)
        return noise + np.column_stack([blob // 3, blob % 3])

    n_X, n_Y = two_sizes(n_samples)
    return draw(n_X, np.zeros(9)), draw(n_Y, _BLOB_COVARIANCES)


def make_hdgm(
    n_samples: int | tuple[int, int] = 700,
    n_features: int = 4,
    *,
    correlation: float = 0.5,
    random_state: int | RandomState | None = None,
) -> tuple[Sample, Sample]:
    """Draw two high-dimensional Gaussian mixtures that differ in one correlation.

    Two equally likely modes of unit covariance sit at 0 and at (.5, ..., .5). In the second
    sample the first two coordinates have correlation `correlation` in the first mode and
    minus that in the second. All marginal distributions agree.

    Parameters
    ----------
    n_samples : int or tuple of (int, int), default=700
        Rows of each sample, or of the first and the second.
    n_features : int, default=4
        Number of columns, at least 2.
    correlation : float, default=0.5
        Correlation of the first two coordinates in the second sample's first mode.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same samples on each call.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), dtype float64
        Sample with independent coordinates in each mode.
    Y : ndarray of shape (n_samples, n_features), dtype float64
        Sample with correlated coordinates.

    Raises
    ------
    ValueError
        If `n_samples` is not one or two positive integers, `n_features` is below 2 or
        `correlation` lies outside [-1, 1].

    References
    ----------
    .. [1] Liu, F., Xu, W., Lu, J., Zhang, G., Gretton, A. and Sutherland, D. J. (2020). "Learning
       deep kernels for non-parametric two-sample tests". ICML 37.

    Examples
    --------
    >>> from skmmd.datasets import make_hdgm
    >>> X, Y = make_hdgm(50, random_state=0)
    >>> X.shape, Y.shape
    ((50, 4), (50, 4))
    """
    if n_features < 2:
        raise ValueError(f"n_features must be at least 2; got {n_features!r}.")
    if not -1.0 <= correlation <= 1.0:
        raise ValueError(f"correlation must lie in [-1, 1]; got {correlation!r}.")
    rng = check_random_state(random_state)

    def draw(size: int, rho: float) -> Sample:
        mode = rng.randint(2, size=size)
        out = rng.standard_normal((size, n_features))
        _correlate(out[:, :2], np.where(mode == 0, rho, -rho), 1.0)
        return out + 0.5 * mode[:, None]

    n_X, n_Y = two_sizes(n_samples)
    return draw(n_X, 0.0), draw(n_Y, correlation)


def make_mean_shift(
    n_samples: int | tuple[int, int] = 4096,
    n_features: int = 10,
    *,
    shift: float = 0.025,
    random_state: int | RandomState | None = None,
) -> tuple[Sample, Sample]:
    """Draw two Gaussian samples of unit covariance whose means differ in each coordinate.

    Parameters
    ----------
    n_samples : int or tuple of (int, int), default=4096
        Rows of each sample, or of the first and the second.
    n_features : int, default=10
        Number of columns.
    shift : float, default=0.025
        Mean of each coordinate of the second sample; the first has mean 0.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same samples on each call.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), dtype float64
        Sample of mean 0.
    Y : ndarray of shape (n_samples, n_features), dtype float64
        Sample of mean `shift`.

    Raises
    ------
    ValueError
        If `n_samples` is not one or two positive integers.

    Examples
    --------
    >>> from skmmd.datasets import make_mean_shift
    >>> X, Y = make_mean_shift(100, 3, shift=5.0, random_state=0)
    >>> bool(Y.min() > X.mean())
    True
    """
    rng = check_random_state(random_state)
    n_X, n_Y = two_sizes(n_samples)
    X = rng.standard_normal((n_X, n_features))
    return X, shift + rng.standard_normal((n_Y, n_features))


def make_null(
    n_samples: int | tuple[int, int] = 60,
    n_features: int = 3,
    *,
    random_state: int | RandomState | None = None,
) -> tuple[Sample, Sample]:
    """Draw two samples from one standard normal distribution: no difference to be found.

    Parameters
    ----------
    n_samples : int or tuple of (int, int), default=60
        Rows of each sample, or of the first and the second.
    n_features : int, default=3
        Number of columns.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same samples on each call.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), dtype float64
        First sample.
    Y : ndarray of shape (n_samples, n_features), dtype float64
        Second sample.

    Raises
    ------
    ValueError
        If `n_samples` is not one or two positive integers.

    Examples
    --------
    >>> from skmmd.datasets import make_null
    >>> X, Y = make_null((30, 40), random_state=0)
    >>> X.shape, Y.shape
    ((30, 3), (40, 3))
    """
    return make_mean_shift(n_samples, n_features, shift=0.0, random_state=random_state)
