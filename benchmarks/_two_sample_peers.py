"""Other packages' two-sample tests, each called as its own documentation has it, at its best.

Imported by other interpreters too, so nothing of skmmd is imported here. All take both samples,
`gamma` of exp(-gamma d^2) (None: the package's own choice), the grid `gammas`, the number of
permutations, a seed and the number of threads, and return the statistic, the p-value (NaN where
there is none) and whether they reject at 5 %.
"""

import contextlib
import functools
from typing import Any

import numpy as np

from benchmarks._harness import Outcome, Peer

ALPHA = 0.05


def _outcome(statistic: float, pvalue: float, rejected: float | None = None) -> Outcome:
    return {
        "statistic": float(statistic),
        "pvalue": float(pvalue),
        "rejected": float(pvalue <= ALPHA if rejected is None else rejected),
    }


def numpy_loop(
    X: np.ndarray, Y: np.ndarray, *, gamma: float, n_permutations: int, seed: int, **_: Any
) -> Outcome:
    """What one writes by hand: the Gram matrix once, then rows and columns permuted B times."""
    rng = np.random.default_rng(seed)
    Z = np.concatenate([X, Y])
    Z = Z - Z.mean(axis=0)
    squares = np.einsum("ij,ij->i", Z, Z)
    K = np.exp(-gamma * np.maximum(squares[:, None] + squares - 2.0 * Z @ Z.T, 0.0))
    np.fill_diagonal(K, 0.0)
    n, m = len(X), len(Y)

    def statistic(K: np.ndarray) -> float:
        within = K[:n, :n].sum() / (n * (n - 1)) + K[n:, n:].sum() / (m * (m - 1))
        return within - 2.0 * K[:n, n:].mean()

    observed, count = statistic(K), 0
    for _i in range(n_permutations):
        order = rng.permutation(n + m)
        count += statistic(K[np.ix_(order, order)]) >= observed
    return _outcome(observed, (1 + count) / (1 + n_permutations))


def _joblib_backend(name: str | None) -> contextlib.AbstractContextManager[Any]:
    import joblib

    return contextlib.nullcontext() if name is None else joblib.parallel_config(backend=name)


def hyppo(
    X: np.ndarray,
    Y: np.ndarray,
    *,
    gamma: float | None,
    n_permutations: int,
    seed: int,
    n_threads: int,
    backend: str | None = None,
    auto: bool = False,
    **_: Any,
) -> Outcome:
    from hyppo.ksample import MMD

    np.random.seed(seed)  # noqa: NPY002 - its random_state is not passed on
    test = MMD() if gamma is None else MMD("rbf", gamma=gamma)
    with _joblib_backend(backend if n_threads > 1 else None):
        found = test.test(X, Y, reps=n_permutations, workers=n_threads, auto=auto)
    return _outcome(found.stat, found.pvalue)


def frouros(
    X: np.ndarray,
    Y: np.ndarray,
    *,
    gamma: float,
    n_permutations: int,
    seed: int,
    n_threads: int,
    chunk_size: int | None = None,
    **_: Any,
) -> Outcome:
    from frouros.callbacks import PermutationTestDistanceBased
    from frouros.detectors.data_drift import MMD
    from frouros.utils.kernels import rbf_kernel

    # "conservative" is (1 + count) / (1 + B), and spares the integral that the default computes.
    callback = PermutationTestDistanceBased(
        n_permutations, num_jobs=n_threads, method="conservative", random_state=seed
    )
    kernel = functools.partial(rbf_kernel, sigma=(2.0 * gamma) ** -0.5)
    detector = MMD(kernel, chunk_size=chunk_size, callbacks=callback)
    detector.fit(X=X)
    distance, logs = detector.compare(X=Y)
    return _outcome(distance.distance, logs["PermutationTestDistanceBased"]["p_value"])


def dcor(
    X: np.ndarray,
    Y: np.ndarray,
    *,
    n_permutations: int,
    seed: int,
    n_threads: int,
    backend: str | None = None,
    **_: Any,
) -> Outcome:
    from dcor.homogeneity import energy_test

    with _joblib_backend(backend if n_threads > 1 else None):
        found = energy_test(X, Y, num_resamples=n_permutations, random_state=seed, n_jobs=n_threads)
    # Its statistic is the energy distance, by which ours is defined, times nm / (n + m).
    n, m = len(X), len(Y)
    return _outcome(found.statistic * (n + m) / (n * m), found.pvalue)


def alibi_detect(
    X: np.ndarray,
    Y: np.ndarray,
    *,
    gamma: float | None,
    gammas: Any = None,
    n_permutations: int,
    seed: int,
    dtype: str = "float32",
    grid: bool = False,
    **_: Any,
) -> Outcome:
    import logging

    import torch
    from alibi_detect.cd import MMDDrift

    logging.getLogger("alibi_detect").setLevel(logging.ERROR)
    torch.manual_seed(seed)
    X, Y = X.astype(dtype), Y.astype(dtype)
    chosen = gammas if grid else gamma
    sigma = None if chosen is None else np.array((2.0 * np.atleast_1d(chosen)) ** -0.5, dtype=dtype)
    detector = MMDDrift(
        X,
        backend="pytorch",
        sigma=sigma,
        configure_kernel_from_x_ref=sigma is None,
        n_permutations=n_permutations,
    )
    found = detector.predict(Y)["data"]
    return _outcome(found["distance"], found["p_val"])


def ctt(
    X: np.ndarray,
    Y: np.ndarray,
    *,
    gamma: float,
    n_permutations: int,
    seed: int,
    compression: int,
    **_: Any,
) -> Outcome:
    from goodpoints.ctt import ctt as compress_then_test

    found = compress_then_test(
        X,
        Y,
        compression,
        B=n_permutations,
        lam=gamma**-0.5,
        null_seed=seed,
        statistic_seed=seed + 1,
    )
    return _outcome(found.statistic_values, np.nan, found.rejects)


def actt(X: np.ndarray, Y: np.ndarray, *, gammas: Any, seed: int, **_: Any) -> Outcome:
    """Aggregated CTT over the given grid, numbers of permutations as it has them."""
    from goodpoints.ctt import actt as aggregated_test

    gammas = np.asarray(gammas)
    found = aggregated_test(
        X,
        Y,
        4,
        lam=gammas**-0.5,
        weights=np.full(len(gammas), 1.0 / len(gammas)),
        null_seed=seed,
        statistic_seed=seed + 1,
    )
    return _outcome(np.nan, np.nan, found.rejects)


# joblib's threads spare copies of the matrix, its processes the lock of the interpreter.
_BACKENDS = ({"backend": None}, {"backend": "threading"})

PEERS = {
    "numpy loop": Peer("numpy", numpy_loop, ("numpy",)),
    "hyppo": Peer("hyppo", hyppo, ("hyppo.ksample",), threaded_settings=_BACKENDS),
    "hyppo chi2": Peer("hyppo", functools.partial(hyppo, auto=True), ("hyppo.ksample",)),
    "alibi-detect": Peer(
        "alibi-detect",
        alibi_detect,
        ("torch", "alibi_detect.cd"),
        ({"dtype": "float32"}, {"dtype": "float64"}),
    ),
    "alibi-detect grid": Peer(
        "alibi-detect",
        functools.partial(alibi_detect, grid=True),
        ("torch", "alibi_detect.cd"),
    ),
    "frouros": Peer(
        "frouros",
        frouros,
        ("frouros.detectors.data_drift",),
        ({"chunk_size": None}, {"chunk_size": 256}),
    ),
    "dcor": Peer("dcor", dcor, ("dcor.homogeneity",), threaded_settings=_BACKENDS),
    "ctt g=3": Peer("goodpoints", functools.partial(ctt, compression=3), ("goodpoints.ctt",)),
    "ctt g=4": Peer("goodpoints", functools.partial(ctt, compression=4), ("goodpoints.ctt",)),
    "actt g=4": Peer("goodpoints", actt, ("goodpoints.ctt",)),
}
