"""Kernels of reproducing kernel Hilbert spaces: plain functions over arrays.

rows -> gram() -> Gram.blocks(rows, columns): one tile for each gamma, never the whole matrix
rows -> median_gamma(), dyadic_gammas(): coefficients from the pooled distances
rows -> gram() -> kernel_products(): K @ V, block by block
rows -> pivoted_landmarks() -> rows, landmarks -> nystroem() -> Nystroem: features of low rank
``_loops.py`` holds the compiled passes over one tile.
"""

from skmmd.kernels._bandwidth import (
    canonical_order,
    dyadic_gammas,
    median_gamma,
    pooled_quantiles,
)
from skmmd.kernels._gram import GAMMA_FREE, KERNELS, Gram, Kernel, gram, kernel_values
from skmmd.kernels._landmarks import pivoted_landmarks
from skmmd.kernels._nystroem import Nystroem, nystroem
from skmmd.kernels._products import kernel_products

__all__ = [
    "GAMMA_FREE",
    "KERNELS",
    "Gram",
    "Kernel",
    "Nystroem",
    "canonical_order",
    "dyadic_gammas",
    "gram",
    "kernel_products",
    "kernel_values",
    "median_gamma",
    "nystroem",
    "pivoted_landmarks",
    "pooled_quantiles",
]
