"""Rows of unit length, and the gradient through them."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["through_lengths", "unit_rows"]

FloatArray = NDArray[np.float64]


def unit_rows(Z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return rows divided by their lengths, and the lengths; a row of length 0 stays 0."""
    # The largest coordinate first, so that squares neither overflow nor vanish.
    largest = np.abs(Z).max(axis=1, keepdims=True, initial=0.0)
    scaled = np.divide(Z, largest, out=np.zeros_like(Z), where=largest > 0.0)
    lengths = np.sqrt(np.einsum("ij,ij->i", scaled, scaled))[:, None]
    unit = np.divide(scaled, lengths, out=scaled, where=lengths > 0.0)
    return unit, (lengths * largest)[:, 0]


def through_lengths(gradient: FloatArray, unit: FloatArray, lengths: FloatArray) -> FloatArray:
    """Turn the gradient with respect to unit rows into that with respect to the rows themselves."""
    along = np.einsum("ij,ij->i", gradient, unit)[:, None]
    across = gradient - along * unit
    inverse = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0.0)
    result: FloatArray = across * inverse[:, None]
    return result
