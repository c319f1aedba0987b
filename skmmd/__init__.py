"""Kernel methods around the maximum mean discrepancy, as scikit-learn estimators."""

from skmmd.hashing import (
    MMDTClassifier,
    MMDTIndex,
    MMDTVectorizer,
    mmdt_digest,
    mmdt_format,
    mmdt_hash,
    mmdt_pairs,
    mmdt_parse,
    mmdt_similarity,
    mmdt_std,
)
from skmmd.inspection import (
    DomainDisplay,
    EmbeddingDisplay,
    MixtureDisplay,
    MMDTestDisplay,
    SimilarityDisplay,
    WitnessDisplay,
)
from skmmd.metric_learning import (
    MetricLearner,
    PairLoss,
    mean_average_precision_at_r,
    pair_loss,
    r_precision,
    recall_at_k,
)
from skmmd.mixture import GaussianMixture, GaussianMixtureIC
from skmmd.two_sample import (
    DriftUpdate,
    FeatureScores,
    MMDDriftDetector,
    MMDTest,
    MMDTestCV,
    MMDTestResult,
    mmd,
    mmd_test,
)

__version__ = "0.1.0.dev0"

__all__ = [
    "DomainDisplay",
    "DriftUpdate",
    "EmbeddingDisplay",
    "FeatureScores",
    "GaussianMixture",
    "GaussianMixtureIC",
    "MMDDriftDetector",
    "MMDTClassifier",
    "MMDTIndex",
    "MMDTVectorizer",
    "MMDTest",
    "MMDTestCV",
    "MMDTestDisplay",
    "MMDTestResult",
    "MetricLearner",
    "MixtureDisplay",
    "PairLoss",
    "SimilarityDisplay",
    "WitnessDisplay",
    "__version__",
    "mean_average_precision_at_r",
    "mmd",
    "mmd_test",
    "mmdt_digest",
    "mmdt_format",
    "mmdt_hash",
    "mmdt_pairs",
    "mmdt_parse",
    "mmdt_similarity",
    "mmdt_std",
    "pair_loss",
    "r_precision",
    "recall_at_k",
]
