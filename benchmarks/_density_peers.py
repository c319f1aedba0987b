"""What else estimates densities: scikit-learn's with their settings chosen, and kernel_exp_family.

Those of scikit-learn look like ours: fit, score_samples, and score_function in closed form. What is
in PEERS is imported by other interpreters too, so nothing of skmmd is imported here.
"""

import warnings
from typing import Any

import numpy as np
from scipy.special import softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import KernelDensity

from benchmarks._harness import Outcome, Peer, timed

Array = np.ndarray

BANDWIDTHS = (0.05, 2.0)
"""Smallest and largest, where rows are whitened."""


def tuned_kernel_density(
    Z: Array, n_bandwidths: int, seed: int = 0, **settings: Any
) -> KernelDensity:
    """Return the KernelDensity whose bandwidth is best in cross-validation."""
    search = GridSearchCV(
        KernelDensity(**settings),
        {"bandwidth": np.geomspace(*BANDWIDTHS, n_bandwidths)},
        cv=KFold(5, shuffle=True, random_state=seed),
    )
    return search.fit(Z).best_estimator_


class WhitenedKernelDensity:
    """KernelDensity on principal components of variance 1, its bandwidth by cross-validation."""

    def __init__(self, n_bandwidths: int = 25, seed: int = 0) -> None:
        self.n_bandwidths = n_bandwidths
        self.seed = seed

    def fit(self, X: Array) -> "WhitenedKernelDensity":
        self.mean_ = X.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(X.T, ddof=0))
        self.whitening_ = vectors / np.sqrt(values)
        self.log_jacobian_ = -0.5 * float(np.sum(np.log(values)))
        self.rows_ = (X - self.mean_) @ self.whitening_
        self.model_ = tuned_kernel_density(self.rows_, self.n_bandwidths, self.seed)
        return self

    @property
    def setting(self) -> str:
        """Say what was chosen."""
        return f"h={self.model_.bandwidth:.2f}"

    def score_samples(self, X: Array) -> Array:
        return self.model_.score_samples((X - self.mean_) @ self.whitening_) + self.log_jacobian_

    def score_function(self, X: Array) -> Array:
        Z = (X - self.mean_) @ self.whitening_
        squared = np.sum((Z[:, None, :] - self.rows_) ** 2, axis=2)
        h2 = float(self.model_.bandwidth) ** 2
        weights = softmax(-0.5 * squared / h2, axis=1)
        return (weights @ self.rows_ - Z) / h2 @ self.whitening_.T


class MixtureByBIC:
    """GaussianMixture of that covariance type and number of components that have the least BIC."""

    def __init__(
        self,
        types: tuple[str, ...] = ("full", "diag"),
        most: int = 10,
        n_init: int = 1,
        seed: int = 0,
    ) -> None:
        self.types = types
        self.most = most
        self.n_init = n_init
        self.seed = seed

    def fit(self, X: Array) -> "MixtureByBIC":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            models = [
                GaussianMixture(
                    k, covariance_type=each, n_init=self.n_init, random_state=self.seed
                ).fit(X)
                for each in self.types
                for k in range(1, self.most + 1)
            ]
        self.model_ = min(models, key=lambda model: model.bic(X))
        return self

    @property
    def setting(self) -> str:
        """Say what was chosen."""
        return f"{self.model_.covariance_type} k={self.model_.n_components}"

    def score_samples(self, X: Array) -> Array:
        return self.model_.score_samples(X)

    def score_function(self, X: Array) -> Array:
        model = self.model_
        responsibility = model.predict_proba(X)
        away = model.means_ - X[:, None, :]
        if model.covariance_type == "diag":
            pulls = model.precisions_ * away
        else:
            pulls = np.einsum("kij,nkj->nki", model.precisions_, away)
        return np.einsum("nk,nki->ni", responsibility, pulls)


# --------------------------------------------------------------------------------------
# kernel_exp_family


def kernel_exp_family(
    X: Array, *, bandwidth: float, alpha: float, n_threads: int, **_: Any
) -> Outcome:
    """Fit its lite estimator, all rows as centres: it has no other basis, and no base measure.

    Its kernel is exp(-|x - y|^2 / sigma). Its system is a sum over rows where ours is a mean, in
    units of 4 / sigma^2, and its penalty has the identity beside the kernel matrix.
    """
    from kernel_exp_family.estimators.lite.gaussian import KernelExpLiteGaussian

    n, d = X.shape
    sigma = 2.0 * bandwidth**2
    model = KernelExpLiteGaussian(sigma, 0.25 * n * alpha * sigma**2, d, n)
    seconds, _nothing = timed(lambda: model.fit(X), n_threads)
    return {"seconds": seconds, "values": model.log_pdf_multiple(X[:5]).tolist()}


KEF = "kernel_exp_family"
PEERS = {KEF: Peer(KEF, kernel_exp_family, ("kernel_exp_family.estimators.lite.gaussian",))}
