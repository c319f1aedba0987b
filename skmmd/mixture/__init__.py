"""Gaussian mixtures by EM.

estimator: X, sample_weight                     (_gaussian_mixture, _selection)
 -> Settings -> Model                           (_model)
 -> Data: blocks, patterns of NaN, chunks       (_data, _chunks)
 -> Sample -> where to start -> best fit        (_start, _fit)
 -> steps: block_stats -> merge -> maximize     (_em, _acceleration, _sweep, _loops)
 -> Parameters                                  (_parameters) -> conditional ones (_conditional)
 -> what the fitted mixture tells               (_fitted_mixture)
"""

from skmmd.mixture._gaussian_mixture import GaussianMixture
from skmmd.mixture._selection import GaussianMixtureIC

__all__ = ["GaussianMixture", "GaussianMixtureIC"]
