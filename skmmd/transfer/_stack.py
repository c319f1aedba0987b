"""One X of two samples: source rows above target rows, with a sign for each."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.utils import check_array
from sklearn.utils.multiclass import type_of_target

from skmmd._validation import check_same_columns

__all__ = ["placeholders", "stack_domains", "take_rows", "target_kind"]


def stack_domains(
    Xs: Any, ys: ArrayLike, Xt: Any, yt: ArrayLike | None = None
) -> tuple[Any, NDArray[Any], NDArray[np.int64]]:
    """Stack a source and a target sample into one, with `sample_domain` to tell them apart.

    Transfer estimators take both domains as one `X`, so that pipelines transform and
    cross-validation splits them together. Where the target has no labels, `y` is filled with
    placeholders, which transfer estimators ignore and stratified splitters can split.

    Parameters
    ----------
    Xs : {array-like, sparse matrix, DataFrame} of shape (n_source, n_features)
        Source rows.
    ys : array-like of shape (n_source,) or (n_source, n_outputs)
        Their labels or values: strings, integers, floats or booleans.
    Xt : {array-like, sparse matrix, DataFrame} of shape (n_target, n_features)
        Target rows, with the columns of `Xs` in their order.
    yt : array-like of shape (n_target,) or (n_target, n_outputs), default=None
        Labels or values of the target rows, where they are known. None fills in the classes of
        `ys` in turn, or the mean of `ys` where its values are continuous.

    Returns
    -------
    X : {ndarray, sparse matrix, DataFrame} of shape (n_source + n_target, n_features)
        The source rows, then the target rows. pandas and polars frames stay frames, with rows
        numbered anew; of sparse matrices comes CSR. dtypes are kept where both samples agree.
    y : ndarray of shape (n_source + n_target,) or (n_source + n_target, n_outputs)
        Labels or values, with placeholders where they are not known.
    sample_domain : ndarray of shape (n_source + n_target,), dtype int64
        1 for source rows, -1 for target rows.

    Raises
    ------
    ValueError
        If a sample has no rows, the samples differ in the number or the names of their columns,
        labels do not fit their rows or those of the other sample, or `ys` is neither classes nor
        numbers.
    TypeError
        If one sample is a data frame and the other is not one of the same library.

    See Also
    --------
    DomainKFold : Folds with rows of both domains.

    Examples
    --------
    >>> from skmmd.transfer import stack_domains
    >>> Xs, ys = [[0.0, 1.0], [1.0, 1.0], [2.0, 0.0]], ["cat", "dog", "dog"]
    >>> Xt = [[0.5, 3.0], [1.5, 2.0]]
    >>> X, y, sample_domain = stack_domains(Xs, ys, Xt)
    >>> X.shape
    (5, 2)
    >>> y
    array(['cat', 'dog', 'dog', 'cat', 'dog'], dtype='<U3')
    >>> sample_domain
    array([ 1,  1,  1, -1, -1])
    """
    X, n_source = _stack_rows(Xs, Xt)
    n_target = X.shape[0] - n_source
    source = _labels(ys, n_source, ("ys", "Xs"))
    if yt is None:
        target = placeholders(source, n_target)
    else:
        target = _labels(yt, n_target, ("yt", "Xt"))
        if source.shape[1:] != target.shape[1:]:
            raise ValueError(
                f"ys has shape {source.shape}, but yt has {target.shape}. Both must have one value "
                "for each row, or the same number of outputs."
            )
    y = _joined(source, target, ("ys", "yt"))
    return X, y, np.repeat(np.array([1, -1], dtype=np.int64), (n_source, n_target))


def placeholders(y: NDArray[Any], n_rows: int) -> NDArray[Any]:
    """Return labels for rows that have none: the classes of `y` in turn, or its mean.

    Parameters
    ----------
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Known labels or values.
    n_rows : int
        For how many rows.

    Returns
    -------
    ndarray of shape (n_rows,) or (n_rows, n_outputs)
        Labels or values that occur in `y` (of multi-label indicators, whole rows), or means.

    Raises
    ------
    ValueError
        If `y` is neither classes nor numbers.
    """
    kind = target_kind(y)
    if kind.startswith("continuous"):
        return np.repeat(np.mean(y, axis=0, keepdims=True), n_rows, axis=0)
    if kind == "unknown":
        raise ValueError(
            "The labels are neither classes nor numbers, or of several types at once; pass yt, or "
            "labels that are all strings or all numbers."
        )
    if kind == "multiclass-multioutput":
        return np.column_stack([np.resize(np.unique(column), n_rows) for column in y.T])
    classes = np.unique(y, axis=0) if y.ndim == 2 else np.unique(y)
    return np.asarray(classes[np.arange(n_rows) % len(classes)])


def target_kind(y: NDArray[Any]) -> str:
    """Return what scikit-learn takes `y` for: "binary", "multiclass", "continuous", ..."""
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        # Some versions warn of integers that look like values, which is for the caller to judge.
        warnings.simplefilter("ignore", UserWarning)
        try:
            return str(type_of_target(y, input_name="y"))
        except TypeError:  # objects that can't be ordered
            return "unknown"


def take_rows(X: Any, rows: NDArray[np.intp]) -> Any:
    """Return some rows of an array, a sparse matrix, or a data frame, as what it is."""
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if hasattr(X, "tocsr"):
        return X.tocsr()[rows]
    if _library(X) == "polars":
        return X[rows]
    return np.asarray(X)[rows]


def _library(X: Any) -> str | None:
    """Return which library a data frame is of; None if it is no data frame."""
    if hasattr(X, "iloc"):
        return "pandas"
    return "polars" if type(X).__module__.split(".")[0] == "polars" else None


def _stack_rows(Xs: Any, Xt: Any) -> tuple[Any, int]:
    """Return the stacked rows, and how many of them are source."""
    libraries = _library(Xs), _library(Xt)
    if libraries[0] != libraries[1]:
        raise TypeError(
            f"Xs is a {type(Xs).__name__}, but Xt a {type(Xt).__name__}. Pass both as arrays, or "
            "both as data frames of one library."
        )
    source, target = (
        check_array(X, accept_sparse="csr", dtype=None, ensure_all_finite=False, input_name=name)
        for X, name in ((Xs, "Xs"), (Xt, "Xt"))
    )
    check_same_columns(Xs, Xt, (source.shape[1], target.shape[1]), ("Xs", "Xt"))
    n_source = source.shape[0]
    if libraries[0] == "pandas":
        import pandas

        return pandas.concat([Xs, Xt], ignore_index=True), n_source
    if libraries[0] == "polars":
        import polars

        return polars.concat([Xs, Xt], how="vertical_relaxed"), n_source
    if sparse.issparse(source) or sparse.issparse(target):
        return sparse.vstack([source, target], format="csr"), n_source
    return _joined(source, target, ("Xs", "Xt")), n_source


def _labels(y: ArrayLike, n_rows: int, names: tuple[str, str]) -> NDArray[Any]:
    labels = np.asarray(y)
    if labels.dtype == object:
        # Numbers as objects, of a data frame; strings stay as they are.
        plain = np.asarray(labels.tolist())
        labels = plain if plain.dtype.kind in "biuf" and plain.shape == labels.shape else labels
    if labels.ndim not in (1, 2) or len(labels) != n_rows:
        raise ValueError(
            f"{names[0]} has shape {labels.shape}, but {names[1]} has {n_rows} rows; expected "
            f"({n_rows},) or ({n_rows}, n_outputs)."
        )
    return labels


def _joined(first: NDArray[Any], second: NDArray[Any], names: tuple[str, str]) -> NDArray[Any]:
    """Concatenate, unless that would turn numbers into strings."""
    text = [values.dtype.kind in "US" for values in (first, second)]
    numeric = [values.dtype.kind in "biufc" for values in (first, second)]
    if any(text) and any(numeric):
        raise ValueError(
            f"{names[0]} has dtype {first.dtype}, but {names[1]} {second.dtype}; both must be "
            "strings, or both numbers."
        )
    return np.concatenate([first, second])
