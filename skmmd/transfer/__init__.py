"""Transfer between two domains: their MMD is measured, and minimised.

two samples -> X, y, sample_domain; folds of both domains            (_stack, _splitter)
X, y, sample_domain -> rows and labels of each domain                (_domains, _source_labels)
domains -> quadratic problem -> solver -> weights, weight function   (_kmm, _problem, _smo, _newton)
held-out rows -> ridge                                               (_alpha)
weights -> estimator, functions, fits of other estimators            (_matching, _functions,
                                                                      _meta, _metadata)
domains -> columns of mean differences; landmarks of a kernel        (_differences, _low_rank)
kernel, differences -> components that align                         (_components, _embedding)
kernel, differences, pseudo-labels -> predictor with MMD as a loss   (_least_squares,
                                                                      _pseudo_labels, _regularized)
candidates, rows -> prototypes, criticisms                           (_selection, _selector)
fitted estimator -> score without labels of target rows              (_scorers)
"""

from skmmd.transfer._embedding import JointDistributionAdaptation, TransferComponentAnalysis
from skmmd.transfer._functions import kmm_weights, weighted_mmd
from skmmd.transfer._matching import KernelMeanMatching
from skmmd.transfer._meta import TransferClassifier, TransferRegressor
from skmmd.transfer._regularized import MMDRegularizedClassifier, MMDRegularizedRegressor
from skmmd.transfer._scorers import (
    CircularValidationScorer,
    ImportanceWeightedScorer,
    MMDScorer,
)
from skmmd.transfer._selector import MMDSampleSelector
from skmmd.transfer._splitter import DomainKFold
from skmmd.transfer._stack import stack_domains

__all__ = [
    "CircularValidationScorer",
    "DomainKFold",
    "ImportanceWeightedScorer",
    "JointDistributionAdaptation",
    "KernelMeanMatching",
    "MMDRegularizedClassifier",
    "MMDRegularizedRegressor",
    "MMDSampleSelector",
    "MMDScorer",
    "TransferClassifier",
    "TransferComponentAnalysis",
    "TransferRegressor",
    "kmm_weights",
    "stack_domains",
    "weighted_mmd",
]
