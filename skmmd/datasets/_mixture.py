"""Labelled draws from Gaussian mixtures."""

from typing import Literal

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.utils import check_random_state


def make_gaussian_mixture(
    n_samples: int = 10_000,
    n_features: int = 10,
    n_components: int = 10,
    *,
    separation: float = 3.0 / 2.0**0.5,
    covariance: Literal["shared", "scaled"] = "shared",
    random_state: int | RandomState | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64]]:
    r"""Draw rows from a mixture of equally likely Gaussians at random centres.

    Each centre is `separation` times a standard normal vector. With `covariance="shared"`, a row
    is its centre plus :math:`z T` with :math:`z` standard normal and one factor
    :math:`T = I + A / (2 \sqrt{d})` for all, where :math:`A` is a standard normal matrix and
    :math:`d` the number of features. With `"scaled"`, it is its centre plus :math:`s_k z` with a
    scale :math:`s_k` of the component, uniform on [0.7, 1.3].

    Parameters
    ----------
    n_samples : int, default=10000
        Number of rows.
    n_features : int, default=10
        Number of columns.
    n_components : int, default=10
        Number of Gaussians.
    separation : float, default=3 / sqrt(2)
        Standard deviation of the centres' coordinates.
    covariance : {'shared', 'scaled'}, default='shared'
        One full covariance for all components, or a round one for each.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same rows on each call.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), dtype float64
        Rows.
    y : ndarray of shape (n_samples,), dtype intp
        Component of each row.
    centers : ndarray of shape (n_components, n_features), dtype float64
        Means of the components.

    Raises
    ------
    ValueError
        If `covariance` is neither 'shared' nor 'scaled'.

    Examples
    --------
    >>> from skmmd.datasets import make_gaussian_mixture
    >>> X, y, centers = make_gaussian_mixture(100, 3, 4, random_state=0)
    >>> X.shape, y.shape, centers.shape
    ((100, 3), (100,), (4, 3))
    """
    if covariance not in ("shared", "scaled"):
        raise ValueError(f"covariance must be 'shared' or 'scaled'; got {covariance!r}.")
    rng = check_random_state(random_state)
    centers = separation * rng.standard_normal((n_components, n_features))
    y = rng.randint(n_components, size=n_samples).astype(np.intp)
    if covariance == "shared":
        A = rng.standard_normal((n_features, n_features))
        factor = np.eye(n_features) + 0.5 * A / np.sqrt(n_features)
        noise = rng.standard_normal((n_samples, n_features)) @ factor
    else:
        scales = 0.7 + 0.6 * rng.uniform(size=n_components)
        noise = scales[y, None] * rng.standard_normal((n_samples, n_features))
    return centers[y] + noise, y, centers


def make_parallel_cigars(
    n_samples: int = 1000,
    *,
    random_state: int | RandomState | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Draw two long, thin, parallel clusters, which distances alone do not tell apart.

    With label y in {0, 1}, equally likely, the first column is 10 times a standard normal number
    and the second is 2 y - 1 plus 0.25 times another.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of rows.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same rows on each call.

    Returns
    -------
    X : ndarray of shape (n_samples, 2), dtype float64
        Rows.
    y : ndarray of shape (n_samples,), dtype intp
        Cluster of each row.

    Examples
    --------
    >>> from skmmd.datasets import make_parallel_cigars
    >>> X, y = make_parallel_cigars(100, random_state=0)
    >>> bool(((X[:, 1] > 0) == y).all())
    True
    """
    rng = check_random_state(random_state)
    y = rng.randint(2, size=n_samples).astype(np.intp)
    X = rng.standard_normal((n_samples, 2)) * (10.0, 0.25)
    X[:, 1] += 2 * y - 1
    return X, y
