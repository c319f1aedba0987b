"""Source and target domains: drawn from formulas, or split from data that scikit-learn ships."""

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from scipy.ndimage import rotate
from scipy.special import expit
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state

from skmmd.datasets._sizes import two_sizes

Array = NDArray[np.float64]
Labels = NDArray[np.intp]


def make_covariate_shift(
    n_samples: int | tuple[int, int] = 200,
    n_features: int = 5,
    *,
    random_state: int | RandomState | None = None,
) -> tuple[Array, Array]:
    """Draw source rows from N(0, I) and target rows from N(0.5, 0.49 I).

    The density ratio is known and bounded, so that weights can be compared with it.

    Parameters
    ----------
    n_samples : int or tuple of (int, int), default=200
        Rows of each domain, or of source and target.
    n_features : int, default=5
        Number of columns.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same rows on each call.

    Returns
    -------
    Xs : ndarray of shape (n_source, n_features), dtype float64
        Source rows.
    Xt : ndarray of shape (n_target, n_features), dtype float64
        Target rows.

    Raises
    ------
    ValueError
        If `n_samples` is not one or two positive integers.

    Examples
    --------
    >>> from skmmd.datasets import make_covariate_shift
    >>> Xs, Xt = make_covariate_shift((60, 40), random_state=0)
    >>> Xs.shape, Xt.shape
    ((60, 5), (40, 5))
    """
    rng = check_random_state(random_state)
    n_source, n_target = two_sizes(n_samples)
    Xs = rng.standard_normal((n_source, n_features))
    return Xs, 0.5 + 0.7 * rng.standard_normal((n_target, n_features))


def make_regression_shift(
    n_samples: int | tuple[int, int] = (200, 4000),
    *,
    noise: float = 0.3,
    random_state: int | RandomState | None = None,
) -> tuple[Array, Array, Array, Array]:
    """Draw a cubic curve seen at other places in the target domain than in the source domain.

    Source x is N(0.5, 0.5^2), target x is N(0, 0.3^2), and y = -x + x^3. Source values carry
    noise; target values are free of it, to measure errors against.

    Parameters
    ----------
    n_samples : int or tuple of (int, int), default=(200, 4000)
        Rows of each domain, or of source and target.
    noise : float, default=0.3
        Standard deviation of the noise of the source values.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same rows on each call.

    Returns
    -------
    Xs : ndarray of shape (n_source, 1), dtype float64
        Source rows.
    ys : ndarray of shape (n_source,), dtype float64
        Source values, noisy.
    Xt : ndarray of shape (n_target, 1), dtype float64
        Target rows.
    yt : ndarray of shape (n_target,), dtype float64
        Target values, free of noise.

    Raises
    ------
    ValueError
        If `n_samples` is not one or two positive integers.

    References
    ----------
    .. [1] Shimodaira, H. (2000). "Improving predictive inference under covariate shift by
       weighting the log-likelihood function". Journal of Statistical Planning and Inference 90.

    Examples
    --------
    >>> from skmmd.datasets import make_regression_shift
    >>> Xs, ys, Xt, yt = make_regression_shift((20, 10), random_state=0)
    >>> bool(abs(yt - (Xt**3 - Xt).ravel()).max() < 1e-12)
    True
    """
    rng = check_random_state(random_state)
    n_source, n_target = two_sizes(n_samples)
    xs = 0.5 + 0.5 * rng.standard_normal(n_source)
    ys = xs**3 - xs + noise * rng.standard_normal(n_source)
    xt = 0.3 * rng.standard_normal(n_target)
    return xs[:, None], ys, xt[:, None], xt**3 - xt


def _first_component(X: Array) -> Array:
    """Return the first principal component of each row."""
    return PCA(n_components=1, svd_solver="full").fit_transform(X)[:, 0]


def make_biased_breast_cancer(
    n_candidates: int = 300,
    *,
    random_state: int | RandomState | None = None,
) -> tuple[Array, Labels, Array, Labels]:
    """Split scikit-learn's breast cancer data into a biased source and an unbiased target.

    Of random candidates, those whose first principal component lies near a third of the way from
    its minimum to its mean are most likely to stay in the source. All other rows are the target;
    candidates that were turned down are in neither. Columns are standardised over all rows.

    Parameters
    ----------
    n_candidates : int, default=300
        Rows that may become source rows, out of 569.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same split on each call.

    Returns
    -------
    Xs : ndarray of shape (n_source, 30), dtype float64
        Source rows.
    ys : ndarray of shape (n_source,), dtype intp
        Source labels.
    Xt : ndarray of shape (569 - n_candidates, 30), dtype float64
        Target rows.
    yt : ndarray of shape (569 - n_candidates,), dtype intp
        Target labels.

    References
    ----------
    .. [1] Huang, J., Smola, A. J., Gretton, A., Borgwardt, K. M. and Schoelkopf, B. (2007).
       "Correcting sample selection bias by unlabeled data". NeurIPS 19.

    Examples
    --------
    >>> from skmmd.datasets import make_biased_breast_cancer
    >>> Xs, ys, Xt, yt = make_biased_breast_cancer(random_state=0)
    >>> Xt.shape, bool(len(Xs) < 300)
    ((269, 30), True)
    """
    rng = check_random_state(random_state)
    X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    z = _first_component(X)
    reach = z.mean() - z.min()
    keep_probability = np.exp(-0.5 * ((z - z.min() - reach / 3.0) / (reach / 1.5)) ** 2)
    order = rng.permutation(len(X))
    candidates, target = order[:n_candidates], order[n_candidates:]
    source = candidates[rng.uniform(size=candidates.size) < keep_probability[candidates]]
    y = y.astype(np.intp)
    return X[source], y[source], X[target], y[target]


def make_shifted_digits(
    *,
    random_state: int | RandomState | None = None,
) -> tuple[Array, Labels, Array, Labels]:
    """Split scikit-learn's digits into domains at the two ends of their first component.

    A thousand random rows may become source rows, the other 797 target rows. With z the first
    principal component, centred at its median and divided by its standard deviation, a source
    row is kept with probability 1 / (1 + exp(3 z)) and a target row with 1 / (1 + exp(-3 z)).
    Pixels are divided by 16.

    Parameters
    ----------
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same split on each call.

    Returns
    -------
    Xs : ndarray of shape (n_source, 64), dtype float64
        Source rows.
    ys : ndarray of shape (n_source,), dtype intp
        Source labels.
    Xt : ndarray of shape (n_target, 64), dtype float64
        Target rows.
    yt : ndarray of shape (n_target,), dtype intp
        Target labels.

    Examples
    --------
    >>> from skmmd.datasets import make_shifted_digits
    >>> Xs, ys, Xt, yt = make_shifted_digits(random_state=0)
    >>> Xs.shape[1], Xt.shape[1], bool(Xs.max() <= 1)
    (64, 64, True)
    """
    rng = check_random_state(random_state)
    X, y = load_digits(return_X_y=True)
    X = X / 16.0
    z = _first_component(X)
    z = (z - np.median(z)) / z.std()
    order = rng.permutation(len(X))
    kept = rng.uniform(size=len(X)) < expit(
        np.where(np.arange(len(X)) < 1000, -3.0, 3.0) * z[order]
    )
    source, target = order[:1000][kept[:1000]], order[1000:][kept[1000:]]
    y = y.astype(np.intp)
    return X[source], y[source], X[target], y[target]


def make_rotated_digits(
    n_samples: int | tuple[int, int] = 500,
    *,
    angle: float = 25.0,
    noise: float = 2.0,
    label_shift: bool = False,
    random_state: int | RandomState | None = None,
) -> tuple[Array, Labels, Array, Labels]:
    """Split scikit-learn's digits into upright source images and turned, noisy target images.

    Parameters
    ----------
    n_samples : int or tuple of (int, int), default=500
        Rows of each domain, or of source and target; at most 1797 together.
    angle : float, default=25.0
        By how many degrees target images are turned, with bilinear interpolation.
    noise : float, default=2.0
        Standard deviation of the noise added to each target pixel, whose values go from 0 to 16.
        Pixels are divided by 16 after that.
    label_shift : bool, default=False
        Keep only 20 % of the target images of the digits 5 to 9.
    random_state : int, RandomState instance or None, default=None
        Pass an int for the same images on each call.

    Returns
    -------
    Xs : ndarray of shape (n_source, 64), dtype float64
        Source rows.
    ys : ndarray of shape (n_source,), dtype intp
        Source labels.
    Xt : ndarray of shape (n_target, 64), dtype float64
        Target rows; fewer of them with `label_shift`.
    yt : ndarray of shape (n_target,), dtype intp
        Target labels.

    Raises
    ------
    ValueError
        If `n_samples` is not one or two positive integers, or asks for more images than exist.

    Examples
    --------
    >>> from skmmd.datasets import make_rotated_digits
    >>> Xs, ys, Xt, yt = make_rotated_digits(100, random_state=0)
    >>> Xs.shape, Xt.shape
    ((100, 64), (100, 64))
    """
    rng = check_random_state(random_state)
    n_source, n_target = two_sizes(n_samples)
    images, y = load_digits(return_X_y=True)
    if n_source + n_target > len(images):
        raise ValueError(
            f"n_samples asks for {n_source + n_target} images; there are {len(images)}."
        )
    images, y = images.reshape(-1, 8, 8), y.astype(np.intp)
    order = rng.permutation(len(images))
    source, target = order[:n_source], order[n_source : n_source + n_target]
    if label_shift:
        target = target[(y[target] < 5) | (rng.uniform(size=target.size) < 0.2)]
    turned = rotate(images[target], angle, axes=(1, 2), reshape=False, order=1)
    turned = turned + noise * rng.standard_normal(turned.shape)
    return (
        images[source].reshape(-1, 64) / 16.0,
        y[source],
        turned.reshape(-1, 64) / 16.0,
        y[target],
    )
