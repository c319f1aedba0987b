"""Other packages' domain adaptation: weights of source rows, or both domains mapped.

Imported by other interpreters too, so nothing of skmmd is imported here. All take the source rows
Xs with their labels ys, the target rows Xt, and a `method`; they never see a target label. They
return either `weights`, one for each source row, or the mapped rows `Zs` and `Zt`, and the
`seconds` of the fit with that. `gamma` is that of exp(-gamma |x - y|^2) in all of them.
"""

import os
from typing import Any

import numpy as np

from benchmarks._harness import Outcome, Peer, timed

# adapt imports TensorFlow, which talks while it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

Array = np.ndarray


def _weighted(seconds: float, weights: Array) -> Outcome:
    # Lists, as the outcome may come over a pipe.
    return {"seconds": seconds, "weights": np.ravel(weights).tolist()}


def _mapped(seconds: float, rows: tuple[Array, Array]) -> Outcome:
    Zs, Zt = rows
    return {"seconds": seconds, "Zs": np.asarray(Zs).tolist(), "Zt": np.asarray(Zt).tolist()}


# --------------------------------------------------------------------------------------
# adapt


def adapt(
    Xs: Array,
    Xt: Array,
    *,
    method: str,
    n_threads: int,
    seed: int = 0,
    exact: bool = False,
    ys: Array | None = None,
    **given: Any,
) -> Outcome:
    """Fit one of its estimators; `exact` makes its KMM solve one problem in place of batches."""
    from adapt import feature_based, instance_based

    common = {"verbose": 0, "random_state": seed}
    if method in ("CORAL", "SA", "TCA"):
        model = getattr(feature_based, method)(**common, **given)

        def embed() -> tuple[Array, Array]:
            return model.fit_transform(Xs, Xt), model.transform(Xt, domain="tgt")

        return _mapped(*timed(embed, n_threads))
    if exact:
        given["max_size"] = len(Xs)
    model = getattr(instance_based, method)(**common, **given)
    return _weighted(*timed(lambda: model.fit_weights(Xs, Xt), n_threads))


# --------------------------------------------------------------------------------------
# skada


def skada(
    Xs: Array,
    Xt: Array,
    *,
    method: str,
    n_threads: int,
    seed: int = 0,
    gamma: float | None = None,
    ys: Array | None = None,
    **given: Any,
) -> Outcome:
    """Fit one of its adapters, on source rows first: its TCA returns them so in any case."""
    import skada as package

    X = np.vstack([Xs, Xt])
    sample_domain = np.repeat([1, -2], [len(Xs), len(Xt)])
    if method == "KMM":
        kmm = package.KMMReweightAdapter(gamma=gamma, **given)
        seconds, _ = timed(lambda: kmm.fit(X, sample_domain=sample_domain), n_threads)
        return _weighted(seconds, kmm.source_weights_)
    if method == "TCA":
        model = package.TransferComponentAnalysisAdapter(**given)
        if gamma is not None:
            # Its kernel has gamma = 1 / n_features always, so the rows are scaled instead.
            X = X * np.sqrt(gamma * X.shape[1])
    elif method == "SA":
        model = package.SubspaceAlignmentAdapter(random_state=seed, **given)
    else:
        model = package.CORALAdapter(**given)
    seconds, Z = timed(lambda: model.fit_transform(X, sample_domain=sample_domain), n_threads)
    return _mapped(seconds, (Z[: len(Xs)], Z[len(Xs) :]))


# --------------------------------------------------------------------------------------
# POT


def pot(
    Xs: Array, ys: Array, Xt: Array, *, method: str, n_threads: int, seed: int = 0, **given: Any
) -> Outcome:
    """Carry the source rows over to the target; it has no randomness."""
    import ot

    model = getattr(ot.da, f"{method}Transport")(**given)

    def carry() -> tuple[Array, Array]:
        return model.fit(Xs=Xs, ys=ys, Xt=Xt).transform(Xs=Xs), Xt

    return _mapped(*timed(carry, n_threads))


# --------------------------------------------------------------------------------------
# cvxopt


def cvxopt(
    Xs: Array,
    Xt: Array,
    *,
    n_threads: int,
    gamma: float,
    ridge: float,
    max_weight: float,
    bounds: tuple[float, float] | None,
    tol: float = 1e-10,
    **_: Any,
) -> Outcome:
    """Solve a problem of kernel mean matching by its interior point method.

    That is min 1/2 w'(K + ridge I)w - kappa'w, 0 <= w <= max_weight, `bounds` on the sum of w.
    """
    from cvxopt import matrix, solvers
    from sklearn.metrics.pairwise import rbf_kernel

    n = len(Xs)

    def solve() -> Array:
        K = rbf_kernel(Xs, gamma=gamma) + ridge * np.eye(n)
        kappa = n * rbf_kernel(Xs, Xt, gamma=gamma).mean(axis=1)
        left, right = [np.eye(n), -np.eye(n)], [np.full(n, max_weight), np.zeros(n)]
        if bounds is not None:
            left += [np.ones((1, n)), -np.ones((1, n))]
            right += [np.array([bounds[1]]), np.array([-bounds[0]])]
        told = {"show_progress": False, "abstol": tol, "reltol": tol, "feastol": tol}
        found = solvers.qp(
            matrix(K),
            matrix(-kappa),
            matrix(np.vstack(left)),
            matrix(np.concatenate(right)),
            options=told,
        )
        return np.ravel(found["x"])

    return _weighted(*timed(solve, n_threads))


ADAPT, SKADA, POT, CVXOPT = "adapt", "skada", "POT", "cvxopt"
PEERS = {
    ADAPT: Peer("adapt", adapt, ("adapt.instance_based", "adapt.feature_based")),
    SKADA: Peer("skada", skada, ("skada",)),
    POT: Peer("POT", pot, ("ot.da",)),
    CVXOPT: Peer("cvxopt", cvxopt, ("cvxopt",)),
}
