"""Other packages' EM for Gaussian mixtures, from a given start and for a given number of passes.

Imported by other interpreters too, so nothing of skmmd is imported here. All take X, the start
(`means`, one `variance` for all, equal weights), the `covariance_type`, the number of EM
iterations and of threads, and return the mean log-likelihood of a row in the last E step: that of
the parameters before the last M step.
"""

from typing import Any

import numpy as np

from benchmarks._harness import Outcome, Peer


def equal_start(covariance_type: str, means: np.ndarray, variance: float) -> dict[str, np.ndarray]:
    """Return scikit-learn's three parameters of a start: equal weights, round covariances."""
    k, d = means.shape
    precision = 1.0 / variance
    precisions = {
        "full": np.tile(precision * np.eye(d), (k, 1, 1)),
        "tied": precision * np.eye(d),
        "diag": np.full((k, d), precision),
        "spherical": np.full(k, precision),
    }
    return {
        "weights_init": np.full(k, 1.0 / k),
        "means_init": means,
        "precisions_init": precisions[covariance_type],
    }


def scikit_learn(
    X: np.ndarray,
    means: np.ndarray,
    *,
    variance: float,
    covariance_type: str,
    n_iterations: int,
    **_: Any,
) -> Outcome:
    """Fit; at its end scikit-learn makes one more E step, which no one can leave out."""
    from sklearn.mixture import GaussianMixture

    model = GaussianMixture(
        len(means),
        covariance_type=covariance_type,
        tol=0.0,
        reg_covar=0.0,
        max_iter=n_iterations,
        **equal_start(covariance_type, means, variance),
    ).fit(X)
    return {"log_likelihood": float(model.lower_bound_), "n_iter": int(model.n_iter_)}


def daal4py(
    X: np.ndarray,
    means: np.ndarray,
    *,
    variance: float,
    covariance_type: str,
    n_iterations: int,
    n_threads: int,
    **_: Any,
) -> Outcome:
    """Call the low-level algorithm, which stops early only where nothing changes any more."""
    import daal4py

    k, d = means.shape
    storage = {"full": "full", "diag": "diagonal"}[covariance_type]
    covariance = variance * (np.eye(d) if storage == "full" else np.ones((1, d)))
    # threadpoolctl does not know its threads.
    daal4py.daalinit(n_threads)
    found = daal4py.em_gmm(
        nComponents=k,
        maxIterations=n_iterations,
        accuracyThreshold=0.0,
        regularizationFactor=0.0,
        covarianceStorage=storage,
    ).compute(X, np.full((1, k), 1.0 / k), means, [covariance] * k)
    return {
        "log_likelihood": float(found.goalFunction[0, 0]) / len(X),
        "n_iter": int(found.nIterations[0, 0]),
    }


def pomegranate(
    X: np.ndarray,
    means: np.ndarray,
    *,
    variance: float,
    covariance_type: str,
    n_iterations: int,
    **_: Any,
) -> Outcome:
    """Run the two steps of its `fit`, so that it makes as many as wanted."""
    import torch
    from pomegranate.distributions import Normal
    from pomegranate.gmm import GeneralMixtureModel

    torch.set_default_dtype(torch.float64)  # its sums take this, whatever the parameters have
    k, d = means.shape
    covariance = variance * (np.eye(d) if covariance_type == "full" else np.ones(d))
    components = [
        Normal(torch.tensor(mean), torch.tensor(covariance), covariance_type=covariance_type)
        for mean in means
    ]
    model = GeneralMixtureModel(components, priors=torch.full((k,), 1.0 / k))
    rows = torch.from_numpy(X)
    total = 0.0
    for _i in range(n_iterations):
        total = float(model.summarize(rows))
        model.from_summaries()
    return {"log_likelihood": total / len(X), "n_iter": n_iterations}


COVARIANCE_TYPES = {
    "scikit-learn": ("full", "tied", "diag", "spherical"),
    "daal4py": ("full", "diag"),
    # It has spherical ones too, but takes no start for them.
    "pomegranate": ("full", "diag"),
}
PEERS = {
    "scikit-learn": Peer("scikit-learn", scikit_learn, ("sklearn.mixture",)),
    "daal4py": Peer("daal4py", daal4py, ("daal4py",)),
    "pomegranate": Peer("pomegranate", pomegranate, ("pomegranate.gmm",)),
}
