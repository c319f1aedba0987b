"""Small data sets shared by the documentation, the tests and the benchmarks.

Parameters and a `random_state` go into one function, plain arrays come out::

    _two_sample   make_...      -> (X, Y), two samples that differ in a known way or not at all
    _mixture      make_...      -> (X, y), labelled clusters
    _metric       make_...      -> training and test rows of classes in columns of all scales
    _transfer     make_...      -> (Xs, ys, Xt, yt), source and target domains
    _densities    make_density  -> an object: log density, score and sampler in closed form
"""

from skmmd.datasets._densities import make_density
from skmmd.datasets._metric import (
    make_scaled_classification,
)
from skmmd.datasets._mixture import (
    make_gaussian_mixture,
    make_parallel_cigars,
)
from skmmd.datasets._transfer import (
    make_biased_breast_cancer,
    make_covariate_shift,
    make_regression_shift,
    make_rotated_digits,
    make_shifted_digits,
)
from skmmd.datasets._two_sample import (
    make_blobs_grid,
    make_hdgm,
    make_mean_shift,
    make_mixture_scale,
    make_null,
    make_perturbed_uniform,
)

__all__ = [
    "make_biased_breast_cancer",
    "make_blobs_grid",
    "make_covariate_shift",
    "make_density",
    "make_gaussian_mixture",
    "make_hdgm",
    "make_mean_shift",
    "make_mixture_scale",
    "make_null",
    "make_parallel_cigars",
    "make_perturbed_uniform",
    "make_regression_shift",
    "make_rotated_digits",
    "make_scaled_classification",
    "make_shifted_digits",
]
