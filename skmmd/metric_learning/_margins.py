"""Margins: one number, a matrix over pairs of classes, or named pairs."""

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array

__all__ = ["margin_matrix"]

FloatArray = NDArray[np.float64]

_UNNAMED = 1.0


def margin_matrix(margin: Any, classes: NDArray[Any], *, loss: str, symmetric: bool) -> FloatArray:
    """Return the margin of each [class of anchor, class of negative].

    Parameters
    ----------
    margin : float, array-like of shape (n_classes, n_classes) or dict
        As users give it.
    classes : ndarray of shape (n_classes,)
        The sorted labels.
    loss : str
        The loss, for messages.
    symmetric : bool
        Whether the loss asks for a symmetric matrix.

    Returns
    -------
    ndarray of shape (n_classes, n_classes)
        The margins; the diagonal means nothing.

    Raises
    ------
    ValueError
        If the shape is wrong, a value is not finite, a label is unknown, or it is not symmetric
        where it has to be.
    """
    n_classes = len(classes)
    if isinstance(margin, Mapping):
        matrix = _of_names(margin, classes)
    elif isinstance(margin, Real):
        matrix = np.full((n_classes, n_classes), float(margin))
    else:
        matrix = check_array(margin, dtype=np.float64, ensure_2d=False, input_name="margin")
        if matrix.shape != (n_classes, n_classes):
            raise ValueError(
                f"margin has shape {matrix.shape}; as a matrix it must be [class of anchor, class "
                f"of negative] with shape {(n_classes, n_classes)}, one row and column for each of "
                f"the {n_classes} classes in y, sorted."
            )
        matrix = np.array(matrix, order="C")
    np.fill_diagonal(matrix, 0.0)
    if not np.all(np.isfinite(matrix)):
        raise ValueError(f"margin must be finite, got {margin!r}.")
    if symmetric and not np.array_equal(matrix, matrix.T):
        raise ValueError(
            f"loss={loss!r} compares pairs without an order and needs a symmetric margin; got one "
            "that depends on which class is the anchor's. Use its mean with its transpose, or "
            "loss='triplet'."
        )
    return matrix


def _of_names(margin: Mapping[Any, Any], classes: NDArray[Any]) -> FloatArray:
    place = {label: code for code, label in enumerate(classes.tolist())}
    matrix = np.full((len(classes), len(classes)), np.nan)
    for pair, value in margin.items():
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ValueError(f"margin as a dict maps pairs of labels to numbers; got key {pair!r}.")
        if not isinstance(value, Real):
            raise ValueError(f"margin of {pair!r} must be a number, got {value!r}.")
        unknown = [label for label in pair if label not in place]
        if unknown:
            raise ValueError(
                f"margin names the class {unknown[0]!r}, which is not among the classes of y: "
                f"{classes.tolist()[:10]}."
            )
        matrix[place[pair[0]], place[pair[1]]] = float(value)
    matrix = np.where(np.isnan(matrix), matrix.T, matrix)
    return np.where(np.isnan(matrix), _UNNAMED, matrix)
