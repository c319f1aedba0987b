"""What `y` says of the source rows; target rows may hold anything."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from skmmd._validation import stack_level
from skmmd.transfer._domains import Domains

__all__ = ["source_classes", "source_values"]

FloatArray = NDArray[np.float64]
Indices = NDArray[np.intp]


def _present(y: ArrayLike | None, n_rows: int, owner: str) -> ArrayLike:
    if y is None:
        raise ValueError(
            f"This {owner} estimator requires y to be passed, but the target y is None. It is read "
            "for source rows; target rows may hold anything."
        )
    check_consistent_length(y, np.empty(n_rows))
    return y


def _column(y: ArrayLike) -> NDArray[Any]:
    """Return `y` with one axis; a column is warned of, at the line of the caller."""
    values = np.asarray(y)
    if values.ndim == 2 and values.shape[1] == 1:
        warnings.warn(
            "A column-vector y was passed when a 1d array was expected. Please change the shape of "
            "y to (n_samples,), for example using ravel().",
            DataConversionWarning,
            stacklevel=stack_level(),
        )
    return np.asarray(column_or_1d(y))


def source_classes(
    y: ArrayLike | None, domains: Domains, weight: FloatArray, *, owner: str
) -> tuple[NDArray[Any], Indices]:
    """Return the classes of the source rows, and the code of each source row.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        Labels; of target rows they are not looked at.
    domains : Domains
        The rows of each domain.
    weight : ndarray of shape (n_rows,)
        Weights of the rows: a class without weight is none.
    owner : str
        Who asks, for the messages.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        The labels, sorted.
    codes : ndarray of shape (n_source,), dtype intp
        Place of the label of each source row among them; 0 for a label without weight.

    Raises
    ------
    ValueError
        If there is no `y`, it does not fit, a source row has no label, labels are no classes, or
        there is one class only.
    """
    labels = _column(_present(y, len(weight), owner))[domains.source]
    assert_all_finite(labels, input_name="y")
    if labels.dtype == object and type_of_target(labels) == "unknown":
        # Numbers beside placeholders, such as None, in the target rows.
        labels = np.asarray(labels.tolist())
    check_classification_targets(labels)
    classes = np.unique(labels[weight[domains.source] > 0.0])
    if len(classes) < 2:
        raise ValueError(
            f"{owner} needs at least two classes among the source rows, but y has one class there: "
            f"{classes.tolist()[0]!r}. Pass source rows of each class to be told apart."
        )
    codes = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    return classes, np.where(classes[codes] == labels, codes, 0)


def source_values(y: ArrayLike | None, domains: Domains, n_rows: int, *, owner: str) -> FloatArray:
    """Return the values of the source rows.

    Parameters
    ----------
    y : array-like of shape (n_rows,) or (n_rows, n_outputs)
        Values; of target rows they are not looked at.
    domains : Domains
        The rows of each domain.
    n_rows : int
        Number of rows.
    owner : str
        Who asks, for the messages.

    Returns
    -------
    ndarray of shape (n_source,) or (n_source, n_outputs)
        The values.

    Raises
    ------
    ValueError
        If there is no `y`, it does not fit, or a source row has a value that is not finite.
    """
    values = np.asarray(_present(y, n_rows, owner))
    if values.ndim != 2 or values.shape[1] == 1:
        values = _column(values)
    values = values[domains.source]
    try:
        values = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{owner} takes numbers in y for the source rows, got values of dtype {values.dtype} "
            f"such as {values.flat[0]!r}; a classifier takes labels."
        ) from error
    assert_all_finite(values, input_name="y")
    return values
