"""Small data sets shared by the documentation, the tests and the benchmarks.

parameters + random_state -> `make_*`       -> samples (X, Y), (X, y) or source and target
name, n_features          -> `make_density` -> log density, score and sampler in closed form

`_two_sample`: pairs that differ in a known way;  `_densities`: densities with known score;
`_mixture`: labelled clusters;  `_transfer`: source and target;  `_metric`: classes in noise.
"""

from skmmd.datasets._two_sample import (
    make_blobs_grid,
    make_hdgm,
    make_mean_shift,
    make_mixture_scale,
    make_null,
    make_perturbed_uniform,
)

__all__ = [
    "make_blobs_grid",
    "make_hdgm",
    "make_mean_shift",
    "make_mixture_scale",
    "make_null",
    "make_perturbed_uniform",
]
