"""Figures of results and fitted estimators.

result or fitted estimator -> arrays in a display -> plot(ax) -> figure_, ax_

Displays hold arrays, ask results and estimators for what they need by name, never fit, and import
matplotlib when they plot::

    _density_display      DensityDisplay      contours or score of a density, draws, margins
    _domain_display       DomainDisplay       two domains, weights, overlap
    _embedding_display    EmbeddingDisplay    rows before and after an embedding
    _mixture_display      MixtureDisplay      ellipses or densities of a mixture, selection curve
    _similarity_display   SimilarityDisplay   clustered similarity matrix
    _test_display         MMDTestDisplay      null distribution, statistic, critical value
    _witness_display      WitnessDisplay      where one sample is denser than another
"""

from skmmd.inspection._density_display import DensityDisplay
from skmmd.inspection._domain_display import DomainDisplay
from skmmd.inspection._embedding_display import EmbeddingDisplay
from skmmd.inspection._mixture_display import MixtureDisplay
from skmmd.inspection._similarity_display import SimilarityDisplay
from skmmd.inspection._test_display import MMDTestDisplay
from skmmd.inspection._witness_display import WitnessDisplay

__all__ = [
    "DensityDisplay",
    "DomainDisplay",
    "EmbeddingDisplay",
    "MMDTestDisplay",
    "MixtureDisplay",
    "SimilarityDisplay",
    "WitnessDisplay",
]
