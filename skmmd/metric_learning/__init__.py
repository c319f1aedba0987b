"""A supervised linear embedding from pair losses.

estimator: X, y, margins                               (_metric_learner, _classes)
 -> standardised rows, a start, what is compared       (_rows, _start, _groups, _mining)
 -> embedding Z -> tiles of distances -> derivatives   (_losses, _sweep, _loops)
 -> objective -> L-BFGS or Adam -> components          (_objective, _optimize)
embedding Z, labels y -> a loss by itself              (_functions)
embedding Z, labels y -> measures of retrieval         (_retrieval)
"""

from skmmd.metric_learning._functions import PairLoss, pair_loss
from skmmd.metric_learning._metric_learner import MetricLearner
from skmmd.metric_learning._retrieval import (
    mean_average_precision_at_r,
    r_precision,
    recall_at_k,
)

__all__ = [
    "MetricLearner",
    "PairLoss",
    "mean_average_precision_at_r",
    "pair_loss",
    "r_precision",
    "recall_at_k",
]
