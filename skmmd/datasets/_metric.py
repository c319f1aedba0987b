"""Classes hidden among columns of very different scale."""

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray
from sklearn.datasets import make_classification

Array = NDArray[np.float64]
Labels = NDArray[np.intp]


def make_scaled_classification(
    n_samples: int = 2000,
    n_features: int = 32,
    n_classes: int = 5,
    *,
    n_test: int = 2000,
    random_state: int | RandomState | None = 0,
) -> tuple[Array, Labels, Array, Labels]:
    """Draw classes of two clusters each, with noise columns, and blow columns up at random.

    The rows come from :func:`sklearn.datasets.make_classification`, with
    `max(8, n_features // 6)` informative and `n_features // 8` redundant columns. Each column is
    then multiplied by exp(z), with z standard normal and the same for each `random_state`, so
    that plain distances mislead.

    Parameters
    ----------
    n_samples : int, default=2000
        Training rows.
    n_features : int, default=32
        Number of columns, at least 9.
    n_classes : int, default=5
        Number of classes.
    n_test : int, default=2000
        Test rows.
    random_state : int, RandomState instance or None, default=0
        Pass an int for the same rows on each call.

    Returns
    -------
    X_train : ndarray of shape (n_samples, n_features), dtype float64
        Training rows.
    y_train : ndarray of shape (n_samples,), dtype intp
        Training labels.
    X_test : ndarray of shape (n_test, n_features), dtype float64
        Test rows.
    y_test : ndarray of shape (n_test,), dtype intp
        Test labels.

    Examples
    --------
    >>> from skmmd.datasets import make_scaled_classification
    >>> X_train, y_train, X_test, y_test = make_scaled_classification(100, n_test=50)
    >>> X_train.shape, X_test.shape
    ((100, 32), (50, 32))
    """
    X, y = make_classification(
        n_samples + n_test,
        n_features,
        n_informative=max(8, n_features // 6),
        n_redundant=n_features // 8,
        n_classes=n_classes,
        n_clusters_per_class=2,
        class_sep=1.5,
        flip_y=0.01,
        random_state=random_state,
    )
    X = X * np.exp(RandomState(1).standard_normal(n_features))
    y = y.astype(np.intp)
    return X[:n_samples], y[:n_samples], X[n_samples:], y[n_samples:]
