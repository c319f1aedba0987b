"""Other packages' supervised metric learners: one evaluation of their loss, or a whole fit.

Imported by other interpreters too, so nothing of skmmd is imported here. All take X, the labels y
and a `task`: "evaluate" returns the value of the loss and its gradient with respect to the given
`components`, "fit" the components that the package learns by its defaults. What comes before an
evaluation in a fit, and is done once only, is not counted: `seconds` in the outcome are those that
are compared, not those of the whole call.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np

from benchmarks._harness import Outcome, Peer, timed


def _evaluated(seconds: float, value: float, gradient: np.ndarray) -> Outcome:
    # Lists, as the outcome may come over a pipe.
    return {"seconds": seconds, "value": float(value), "gradient": np.asarray(gradient).tolist()}


def _fitted(seconds: float, model: Any) -> Outcome:
    return {
        "seconds": seconds,
        "components": model.components_.tolist(),
        "n_iter": int(model.n_iter_),
    }


def scikit_learn_nca(
    X: np.ndarray,
    y: np.ndarray,
    components: np.ndarray | None = None,
    *,
    task: str,
    n_threads: int,
    seed: int = 0,
    **_: Any,
) -> Outcome:
    """Evaluate what its L-BFGS minimises: minus the expected number of rows classified well."""
    from sklearn.neighbors import NeighborhoodComponentsAnalysis

    model = NeighborhoodComponentsAnalysis(random_state=seed)
    if task == "fit":
        return _fitted(*timed(lambda: model.fit(X, y), n_threads))
    start = np.ravel(components)
    same_class = y[:, np.newaxis] == y[np.newaxis, :]
    model.n_iter_ = 0
    seconds, (value, gradient) = timed(
        lambda: model._loss_grad_lbfgs(start, X, same_class, -1.0), n_threads
    )
    return _evaluated(seconds, value, gradient.reshape(-1, X.shape[1]))


@contextlib.contextmanager
def renamed_arguments() -> Iterator[None]:
    """Let metric-learn name an argument of the checks as scikit-learn did before 1.8."""
    from metric_learn import _util

    def accepting(check: Callable[..., Any]) -> Callable[..., Any]:
        def renamed(*arrays: Any, force_all_finite: Any = True, **settings: Any) -> Any:
            return check(*arrays, ensure_all_finite=force_all_finite, **settings)

        return renamed

    with mock.patch.multiple(
        _util, check_array=accepting(_util.check_array), check_X_y=accepting(_util.check_X_y)
    ):
        yield


def metric_learn_lmnn(
    X: np.ndarray,
    y: np.ndarray,
    components: np.ndarray | None = None,
    *,
    task: str,
    n_threads: int,
    n_neighbors: int = 3,
    seed: int = 0,
    **_: Any,
) -> Outcome:
    """Evaluate half of the pull and half of the push term.

    The push term is the triplet loss of the target neighbours, here `push` with `push_gradient`.
    """
    from metric_learn import LMNN
    from metric_learn.lmnn import _sum_outer_products

    model = LMNN(n_neighbors=n_neighbors, random_state=seed)
    with renamed_arguments():
        if task == "fit":
            return _fitted(*timed(lambda: model.fit(X, y), n_threads))
    labels, indices = np.unique(y, return_inverse=True)
    model.labels_ = np.arange(len(labels))
    components = np.asarray(components)
    targets = model._select_targets(X, indices)
    rows = np.repeat(np.arange(len(X)), n_neighbors)
    pulled = _sum_outer_products(X, targets.ravel(), rows)
    half = model.regularization
    seconds, (gradient, value, _n_active) = timed(
        lambda: model._loss_grad(X, components, pulled, n_neighbors, half, targets, indices),
        n_threads,
    )
    pull_gradient = 2.0 * components @ pulled
    pull = 0.5 * np.sum(pull_gradient * components)
    return {
        **_evaluated(seconds, value, gradient),
        "push": float((value - half * pull) / (1.0 - half)),
        "push_gradient": ((gradient - half * pull_gradient) / (1.0 - half)).tolist(),
    }


def _torch_loss(name: str) -> Any:
    """Return the loss with the conventions of ours: plain rows, and the mean of all terms."""
    from pytorch_metric_learning import distances, losses, reducers

    mean = reducers.MeanReducer()
    if name == "triplet":
        squared = distances.LpDistance(normalize_embeddings=False, p=2, power=2)
        return losses.TripletMarginLoss(margin=1.0, distance=squared, reducer=mean)
    if name == "lifted_structure":
        plain = distances.LpDistance(normalize_embeddings=False, p=2, power=1)
        return losses.LiftedStructureLoss(
            neg_margin=1.0, pos_margin=0.0, distance=plain, reducer=mean
        )
    product = distances.DotProductSimilarity(normalize_embeddings=False)
    return losses.NTXentLoss(temperature=1.0, distance=product, reducer=mean)


def pytorch_metric_learning(
    X: np.ndarray,
    y: np.ndarray,
    components: np.ndarray,
    *,
    n_threads: int,
    loss: str = "triplet",
    **_: Any,
) -> Outcome:
    """Evaluate a loss over all pairs, backwards to the components; it has nothing that fits."""
    import torch

    function = _torch_loss(loss)
    rows, labels = torch.from_numpy(X), torch.from_numpy(y)

    def evaluate() -> tuple[float, np.ndarray]:
        leaf = torch.from_numpy(np.array(components, dtype=X.dtype)).requires_grad_()
        value = function(rows @ leaf.T, labels)
        value.backward()
        assert leaf.grad is not None
        return float(value.detach()), leaf.grad.numpy()

    seconds, (value, gradient) = timed(evaluate, n_threads)
    return _evaluated(seconds, value, gradient)


NCA, LMNN, TORCH = "scikit-learn NCA", "metric-learn LMNN", "pytorch-metric-learning"
PEERS = {
    NCA: Peer("scikit-learn", scikit_learn_nca, ("sklearn.neighbors",)),
    LMNN: Peer("metric-learn", metric_learn_lmnn, ("metric_learn",)),
    TORCH: Peer(
        "pytorch-metric-learning", pytorch_metric_learning, ("pytorch_metric_learning.losses",)
    ),
}
