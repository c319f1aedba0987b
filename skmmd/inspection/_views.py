"""Rows as displays take them, and views of them in one or two columns."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.utils import check_array

from skmmd._validation import column_names

__all__ = ["rows_of", "view_of"]

FloatArray = NDArray[np.float64]


def rows_of(given: Any, name: str) -> Any:
    """Return rows of float64, dense or sparse; a 1-D array is one column."""
    if np.ndim(given) == 1:
        given = np.asarray(given).reshape(-1, 1)
    rows: Any = check_array(
        given, accept_sparse="csr", dtype=np.float64, ensure_min_samples=2, input_name=name
    )
    # What is narrow needs no sparse solver, nor do the few rows that it can't take.
    if sparse.issparse(given) and min(rows.shape) <= 2:
        return rows.toarray()
    return rows


def view_of(given: Any, rows: Any, what: str) -> tuple[FloatArray, list[str]]:
    """Return one or two columns to draw, and their names."""
    n_columns = rows.shape[1]
    if n_columns <= 2:
        columns: Any = column_names(given)
        if columns is None:
            columns = [f"{what} {column}" for column in range(n_columns)]
        return rows.copy(), list(columns)
    projection = PCA(2, random_state=0)
    with np.errstate(invalid="ignore"):  # rows that are all the same have no variance to share
        view: FloatArray = projection.fit_transform(rows)
    shares = projection.explained_variance_ratio_
    names = [f"principal component {place}" for place in range(2)]
    if np.isfinite(shares).all():
        names = [f"{name} ({share:.0%})" for name, share in zip(names, shares, strict=True)]
    return view, names
