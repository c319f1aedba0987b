"""The one door: checks of arrays and parameters, and every private import from scikit-learn.

Arrays come out C-contiguous in float64. The private names of scikit-learn that the package needs
live here alone, since they change between versions.
"""

import contextlib
import functools
import inspect
import os
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
import sklearn
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, _fit_context
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions, validate_params
from sklearn.utils.validation import (
    _check_feature_names_in,
    _check_sample_weight,
    _get_feature_names,
    check_is_fitted,
    validate_data,
)

__all__ = [
    "Estimator",
    "HasMethods",
    "Integral",
    "Interval",
    "Real",
    "StrOptions",
    "check_domain",
    "check_is_fitted",
    "check_rows",
    "check_same_columns",
    "check_weight",
    "column_names",
    "feature_names",
    "fit_method",
    "generator",
    "stack_level",
    "validate_data",
    "validate_params",
]

FloatArray = NDArray[np.float64]
Method = TypeVar("Method", bound=Callable[..., Any])


class Estimator(BaseEstimator):
    """Base of all estimators: scikit-learn's, with links from its HTML view to our pages."""

    _doc_link_module = "skmmd"
    _doc_link_template = (
        "https://skmmd.readthedocs.io/en/stable/api/generated/"
        "{estimator_module}.{estimator_name}.html"
    )


def generator(random_state: Any) -> np.random.Generator:
    """Return a NumPy generator seeded from `random_state`, as scikit-learn understands it.

    An integer gives the same generator each time; a RandomState is advanced by the call.
    """
    legacy = check_random_state(random_state)
    return np.random.default_rng(legacy.randint(0, 2**32, size=4, dtype=np.uint32))


def check_rows(X: ArrayLike, *, name: str) -> FloatArray:
    """Return `X` as C-contiguous float64 rows; a 1-D array is one column.

    Raises
    ------
    ValueError
        If there is no row or no column, more than two dimensions, or a NaN or infinite value.
    TypeError
        If the values are not numbers, or a sparse matrix was passed.
    """
    if np.ndim(X) == 1 if not hasattr(X, "ndim") else X.ndim == 1:
        X = np.asarray(X).reshape(-1, 1)
    rows: FloatArray = check_array(X, dtype=np.float64, order="C", input_name=name)
    return rows


def check_same_columns(X: Any, Y: Any, n_columns: tuple[int, int], names: tuple[str, str]) -> None:
    """Raise if two samples differ in the number or the names of their columns."""
    if n_columns[0] != n_columns[1]:
        raise ValueError(
            f"{names[0]} has {n_columns[0]} features, but {names[1]} has {n_columns[1]}. Both "
            "samples must have the same columns in the same order."
        )
    left, right = _get_feature_names(X), _get_feature_names(Y)
    if left is not None and right is not None and list(left) != list(right):
        raise ValueError(
            f"The columns of {names[0]} are named {list(left)[:5]}, those of {names[1]} "
            f"{list(right)[:5]}. Both samples must have the same columns in the same order."
        )


def check_domain(sample_domain: ArrayLike, n_rows: int, *, owner: str) -> NDArray[np.bool_]:
    """Return which rows are source: those whose number is 0 or more.

    Raises
    ------
    ValueError
        If there is not one number for each row, or one is NaN.
    TypeError
        If the values are not numbers, or are booleans, which have no sign.
    """
    values = np.asarray(sample_domain)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (n_rows,):
        raise ValueError(
            f"sample_domain has shape {values.shape}, but X has {n_rows} rows. {owner} takes one "
            "number for each row: 0 or more for source, negative for target."
        )
    if values.dtype == object and not any(isinstance(v, bool | np.bool_ | str) for v in values):
        with contextlib.suppress(TypeError, ValueError):
            values = values.astype(np.float64)
    if values.dtype.kind not in "iuf":
        raise TypeError(
            f"sample_domain has dtype {values.dtype}; expected numbers: 0 or more for source rows, "
            "negative for target rows, as np.where(is_source, 1, -1)."
        )
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise ValueError("sample_domain has NaN: each row must be source (>= 0) or target (< 0).")
    return np.asarray(values >= 0)


def check_weight(sample_weight: ArrayLike | None, rows: Any, *, name: str) -> FloatArray:
    """Return weights as float64, ones if None: one for each row, not negative, some positive."""
    weight = _check_sample_weight(sample_weight, rows, dtype=np.float64)
    if np.any(weight < 0.0):
        raise ValueError(f"{name} has negative values; weights must be 0 or more.")
    if not weight.max() > 0.0:
        raise ValueError(f"{name} is zero for all rows; at least one weight must be positive.")
    return np.array(weight)


def feature_names(estimator: Any, input_features: ArrayLike | None = None) -> NDArray[Any]:
    """Return the names of the features an estimator was fitted on, "x0", "x1", ... without any.

    Given names are checked against them.
    """
    names: NDArray[Any] = _check_feature_names_in(estimator, input_features)
    return names


def column_names(X: Any) -> NDArray[Any] | None:
    """Return the names of the columns of a data frame, None if X has none that are strings."""
    names: NDArray[Any] | None = _get_feature_names(X)
    return names


def stack_level() -> int:
    """Return the `stacklevel` at which a warning points at the line outside of the package."""
    inside = tuple(
        os.path.join(os.path.dirname(module), "") for module in (__file__, sklearn.__file__)
    )
    level, frame = 1, inspect.currentframe()
    frame = frame.f_back if frame is not None else None
    while frame is not None and frame.f_code.co_filename.startswith(inside):
        level, frame = level + 1, frame.f_back
    return level


def fit_method(method: Method) -> Method:
    """Check the constructor's parameters first; if the method raises, undo what it stored."""
    checked = _fit_context(prefer_skip_nested_validation=True)(method)

    @functools.wraps(method)
    def fit(self: Any, *args: Any, **kwargs: Any) -> Any:
        before = dict(vars(self))
        try:
            return checked(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return fit  # type: ignore[return-value]
