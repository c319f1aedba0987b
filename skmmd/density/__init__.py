"""Density and score estimation by score matching.

rows -> whitening() -> coordinates of mean zero and covariance one (``_whitening``)
coordinates -> base_candidates() -> base measures q0 (``_bases``, ``_candidates``)
q0 -> select() -> bandwidths, penalty and noise, by held-out rows (``_selection``): ``_folds`` and
``_fold_loss`` -> ``_bandwidths`` -> ``_judges``; refined by likelihood if wanted (``_refine``)
choice -> assemble(), solve() -> f = sum of kernels (``_radial``, ``_lite``; ``_variants`` denoising
and sliced), or of their derivatives (``_gradient_basis``)
q0 exp(f) -> normalise() -> log Z with its error (``_normalizer``, ``_quadrature``, ``_fitted``);
sample() -> draws (``_sampling``)
``_settings``, ``_fit`` and ``_density`` put these together to ScoreMatchingDensity. Parametric
models: ``_gaussian`` (with ``_sparse_precision``; domains in ``_box``) and ``_model``; ``_losses``
and ``_scorer`` judge any score.
"""

from skmmd.density._density import ScoreMatchingDensity
from skmmd.density._gaussian import ScoreMatchingGaussian
from skmmd.density._losses import score_matching_loss
from skmmd.density._model import ScoreMatchingEstimator
from skmmd.density._scorer import neg_score_matching_loss_scorer

__all__ = [
    "ScoreMatchingDensity",
    "ScoreMatchingEstimator",
    "ScoreMatchingGaussian",
    "neg_score_matching_loss_scorer",
    "score_matching_loss",
]
