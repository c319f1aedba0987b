"""A supervised linear embedding from pair losses.

embedding Z, labels y -> distances -> measures of retrieval   (_retrieval)
"""

from skmmd.metric_learning._retrieval import (
    mean_average_precision_at_r,
    r_precision,
    recall_at_k,
)

__all__ = ["mean_average_precision_at_r", "r_precision", "recall_at_k"]
