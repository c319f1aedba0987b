"""Labels, and what is given for classes: margins of their pairs, and weights."""

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

__all__ = [
    "checked_classes",
    "checked_labels",
    "margin_matrix",
    "margins_between",
    "mean_margin",
    "ordered_labels",
    "row_weights",
]

FloatArray = NDArray[np.float64]

_UNNAMED = 1.0
_LARGEST_WEIGHT = 1e50  # products of four stay finite


def ordered_labels(y: ArrayLike, *, name: str = "y") -> NDArray[Any]:
    """Return labels as a 1-D array, whatever numbers or names they are.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels.
    name : str, default="y"
        What the caller named them.

    Returns
    -------
    ndarray of shape (n_samples,)
        The labels.

    Raises
    ------
    ValueError
        If a label is NaN or infinite.
    TypeError
        If they have no common order.
    """
    try:
        labels: NDArray[Any] = column_or_1d(y, warn=True)
        np.unique(labels)
    except TypeError as error:
        raise TypeError(
            f"{name} has labels of several types, or missing ones, which have no common order; "
            "pass labels of one type."
        ) from error
    missing = labels != labels if labels.dtype.kind == "O" else np.False_  # NaN differs from itself
    infinite = labels.dtype.kind == "f" and not np.all(np.isfinite(labels))
    if infinite or np.any(missing):
        raise ValueError(f"Input {name} contains NaN or infinity; pass a label for each row.")
    return labels


def checked_labels(y: ArrayLike) -> NDArray[Any]:
    """Return labels of classes as a 1-D array.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels.

    Returns
    -------
    ndarray of shape (n_samples,)
        The labels.

    Raises
    ------
    ValueError
        If a label is NaN or infinite, or they are not of classes.
    TypeError
        If they have no common order.
    """
    labels = ordered_labels(y)
    check_classification_targets(labels)
    return labels


def checked_classes(classes: ArrayLike) -> NDArray[Any]:
    """Return the labels that `classes` names; a ValueError says what is wrong with them."""
    if np.ndim(classes) != 1:
        raise ValueError(f"classes must be a list of labels, got {classes!r}.")
    try:
        return checked_labels(classes)
    except (TypeError, ValueError) as error:
        raise ValueError(f"classes must be a list of labels: {error}") from error


def row_weights(
    weight: FloatArray, class_weight: Any, classes: NDArray[Any], codes: NDArray[Any]
) -> FloatArray:
    """Multiply weights of rows by those of their classes.

    Parameters
    ----------
    weight : ndarray of shape (n_samples,)
        Weights of the rows, not negative.
    class_weight : dict, "balanced" or None
        Weights by label, 1 if not named; "balanced" gives all classes the same total.
    classes : ndarray of shape (n_classes,)
        The labels.
    codes : ndarray of shape (n_samples,)
        The class of each row.

    Returns
    -------
    ndarray of shape (n_samples,)
        The products.

    Raises
    ------
    ValueError
        If a label is unknown, or a weight is negative, not finite or too large.
    """
    factors = np.ones(len(classes))
    if class_weight == "balanced":
        total = np.bincount(codes, weights=weight, minlength=len(classes))
        present = total > 0.0
        factors[present] = total.sum() / (np.count_nonzero(present) * total[present])
    elif class_weight is not None:
        place = {label: code for code, label in enumerate(classes.tolist())}
        for label, value in class_weight.items():
            if label not in place:
                raise ValueError(
                    f"class_weight names the class {label!r}, which is not among the classes of y: "
                    f"{classes.tolist()[:10]}."
                )
            if not isinstance(value, Real) or not 0.0 <= float(value) < np.inf:
                raise ValueError(
                    f"class_weight of {label!r} must be a number that is 0 or more, got {value!r}."
                )
            factors[place[label]] = float(value)
    product = weight * factors[codes]
    if not np.any(product > 0.0):
        raise ValueError("class_weight leaves no row with a positive weight.")
    if product.max() > _LARGEST_WEIGHT:
        raise ValueError(
            f"A weight of {product.max():.3g} is too large: sums of products of weights would "
            "overflow. Scale sample_weight and class_weight down."
        )
    return product


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
    ndarray of shape (n_classes, n_classes) or (1, 1)
        The margins, of which the diagonal means nothing; a single entry stands for all.

    Raises
    ------
    ValueError
        If the shape is wrong, a value is not finite, a label is unknown, or it is not symmetric
        where it has to be.
    """
    n_classes = len(classes)
    if isinstance(margin, Mapping):
        matrix = _of_names(margin, classes)
    elif isinstance(margin, bool | np.bool_ | str):
        raise TypeError(f"margin must be a number, a matrix or a dict, got {margin!r}.")
    elif np.ndim(margin) == 0:
        matrix = np.full((1, 1), float(margin))
    else:
        matrix = np.array(
            check_array(margin, dtype=np.float64, ensure_2d=False, input_name="margin"), order="C"
        )
        if matrix.shape != (n_classes, n_classes):
            raise ValueError(
                f"margin has shape {matrix.shape}; as a matrix it must be [class of anchor, class "
                f"of negative] with shape {(n_classes, n_classes)}, one row and column for each of "
                f"the {n_classes} classes in y, sorted."
            )
    if len(matrix) > 1:
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


def margins_between(
    matrix: FloatArray, anchors: NDArray[Any], negatives: NDArray[Any]
) -> FloatArray:
    """Return the margins of all these anchors and negatives, given by their classes."""
    if len(matrix) == 1:
        return matrix
    result: FloatArray = matrix[anchors][:, negatives]
    return result


def mean_margin(matrix: FloatArray) -> float:
    """Return the mean margin of two different classes."""
    if len(matrix) == 1:
        return float(matrix[0, 0])
    return float(matrix[~np.eye(len(matrix), dtype=bool)].mean())


def _of_names(margin: Mapping[Any, Any], classes: NDArray[Any]) -> FloatArray:
    place = {label: code for code, label in enumerate(classes.tolist())}
    matrix = np.full((len(classes), len(classes)), np.nan)
    for pair, value in margin.items():
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ValueError(f"margin as a dict maps pairs of labels to numbers; got key {pair!r}.")
        if not isinstance(value, Real) or not math.isfinite(value):
            raise ValueError(f"margin of {pair!r} must be a number, and finite, got {value!r}.")
        unknown = [label for label in pair if label not in place]
        if unknown:
            raise ValueError(
                f"margin names the class {unknown[0]!r}, which is not among the classes of y: "
                f"{classes.tolist()[:10]}."
            )
        matrix[place[pair[0]], place[pair[1]]] = float(value)
    matrix = np.where(np.isnan(matrix), matrix.T, matrix)
    return np.where(np.isnan(matrix), _UNNAMED, matrix)
