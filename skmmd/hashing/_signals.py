"""Rows of numbers as bytes, so that they can be hashed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmmd.hashing._digest import SMALLEST

__all__ = ["Signals", "row_dtype", "value_range"]


def row_dtype(X: Any) -> type[np.generic]:
    """Return the type in which rows are taken: bytes as they are, anything else as float64."""
    values = X if hasattr(X, "dtype") else np.asarray(X) if hasattr(X, "__array__") else None
    return np.uint8 if values is not None and values.dtype == np.uint8 else np.float64


def value_range(X: NDArray[Any]) -> tuple[float, float]:
    """Return the values that become the bytes 0 and 255; bytes stay as they are."""
    if X.dtype == np.uint8:
        return 0.0, 255.0
    return float(X.min()), float(X.max())


class Signals(Sequence[NDArray[np.uint8]]):
    """The rows of an array as bytes, one after the other, so that no second array is made.

    A row of fewer than 4096 values is stretched to 4096 by repeating each; padded with zeros, as
    a short input is, hardly a byte of its digest would tell anything.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_values)
        Of uint8 or float64.
    low, high : float
        Values that become 0 and 255, so that 0 and 255 leave bytes as they are; beyond them
        values are clipped. Where they are equal, everything is 0.
    """

    def __init__(self, X: NDArray[Any], low: float, high: float) -> None:
        self._X = X
        self._low, self._high = float(low), float(high)
        n_values = X.shape[1]
        self._stretch = np.arange(SMALLEST) * n_values // SMALLEST if n_values < SMALLEST else None

    def __len__(self) -> int:
        return len(self._X)

    def __getitem__(self, row: Any) -> Any:
        values = self._X[row]
        whole = values.dtype == np.uint8 and (self._low, self._high) == (0.0, 255.0)
        content = values if whole else self._to_bytes(values.astype(np.float64))
        return content if self._stretch is None else content[self._stretch]

    def _to_bytes(self, values: NDArray[np.float64]) -> NDArray[np.uint8]:
        low, high = self._low, self._high
        if not high > low:
            return np.zeros(len(values), np.uint8)
        if not high - low < 1e300:  # the differences would overflow
            low, high, values = low / 1024.0, high / 1024.0, values / 1024.0
        inside = np.clip(values, low, high)
        return np.rint((inside - low) * 255.0 / (high - low)).astype(np.uint8)
