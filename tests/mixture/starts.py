"""Rows, starting parameters, and mixtures with given parameters, for all covariance types."""

import numpy as np

from skmmd.mixture import GaussianMixture
from tests import reference

TYPES = ("full", "tied", "diag", "spherical", "tied_diag", "tied_spherical")
SCIKIT_LEARN_TYPES = TYPES[:4]


def rows(n, d, k, seed=0, separation=2.0):
    """Draw rows around k centres, with correlated columns."""
    rng = np.random.default_rng(seed)
    centers = separation * rng.normal(size=(k, d))
    factor = np.eye(d) + 0.5 * rng.normal(size=(d, d)) / np.sqrt(d)
    return centers[rng.integers(k, size=n)] + rng.normal(size=(n, d)) @ factor


def holes(X, fraction, seed=0):
    """Return X with entries missing at random."""
    X = np.array(X, dtype=float)
    X[np.random.default_rng(seed).random(X.shape) < fraction] = np.nan
    return X


def covariances_like(covariance_type, k, d, rng, scale=1.0):
    """Draw covariances of the shape that belongs to the type."""
    factors = rng.normal(size=(k, d, d)) * 0.4 / np.sqrt(d) + np.eye(d)
    matrices = scale * factors @ factors.transpose(0, 2, 1)
    variances = scale * rng.uniform(0.7, 1.5, size=(k, d))
    return {
        "full": lambda: matrices,
        "tied": lambda: matrices[0],
        "diag": lambda: variances,
        "spherical": lambda: variances[:, 0],
        "tied_diag": lambda: variances[0],
        "tied_spherical": lambda: np.array(variances[0, 0]),
    }[covariance_type]()


def precisions_of(covariances, covariance_type):
    if covariance_type in ("full", "tied"):
        P = np.linalg.inv(covariances)
        return (P + np.swapaxes(P, -1, -2)) / 2
    return 1 / np.asarray(covariances)


def start(X, k, covariance_type, seed=0):
    """Return a reference mixture to start from, near rows of X."""
    rng = np.random.default_rng(seed)
    X = np.where(np.isnan(X), np.nanmean(X, axis=0), X)
    means = X[rng.choice(len(X), size=k, replace=False)] + 0.1 * rng.normal(size=(k, X.shape[1]))
    return reference.Mixture(
        weights=rng.dirichlet(np.full(k, 5.0)),
        means=means,
        covariances=covariances_like(
            covariance_type, k, X.shape[1], rng, scale=float(X.var(axis=0).mean())
        ),
        covariance_type=covariance_type,
    )


def initial(mixture):
    """Return the constructor's parameters that start at this mixture."""
    return {
        "n_components": len(mixture.weights),
        "covariance_type": mixture.covariance_type,
        "weights_init": mixture.weights,
        "means_init": mixture.means,
        "precisions_init": precisions_of(mixture.covariances, mixture.covariance_type),
    }


def estimator(mixture, **parameters):
    """Return an estimator that is fitted to exactly this mixture: no iteration is made."""
    d = mixture.means.shape[1]
    X = mixture.means.mean(axis=0) + np.vstack([np.eye(d), -np.eye(d)])
    X = np.vstack([X] * len(mixture.weights))
    return GaussianMixture(**initial(mixture), max_iter=0, **parameters).fit(X)


def fitted(estimator, **noise):
    """Return what was fitted as a reference mixture."""
    return reference.Mixture(
        weights=estimator.weights_,
        means=estimator.means_,
        covariances=estimator.covariances_,
        covariance_type=estimator.covariance_type,
        **noise,
    )


def assert_same(actual, expected, rtol=1e-10, atol=None):
    """Compare two mixtures; `atol` is a fraction of the data's scale, as the means are moved."""
    atol = rtol if atol is None else atol
    assert actual.covariance_type == expected.covariance_type
    for name in ("weights", "means", "covariances"):
        a, e = np.asarray(getattr(actual, name)), np.asarray(getattr(expected, name))
        assert a.shape == e.shape, name
        np.testing.assert_allclose(a, e, rtol=rtol, atol=atol * np.abs(e).max(), err_msg=name)
