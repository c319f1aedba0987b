"""Columns e of weights over rows: e'f is the difference of two means of a function f."""

import numpy as np
from numpy.typing import NDArray

from skmmd.transfer._domains import Domains

__all__ = ["mean_differences"]

FloatArray = NDArray[np.float64]
Codes = NDArray[np.intp]


def mean_differences(
    domains: Domains,
    weight: FloatArray,
    codes: Codes | None = None,
    n_classes: int = 0,
    *,
    marginal: bool = True,
) -> FloatArray:
    """Return e of the domains, and one for each class that both domains have.

    The squared MMD of the domains is ``e @ K @ e`` with the first, that of the rows of a class
    with the others.

    Parameters
    ----------
    domains : Domains
        The rows of each domain.
    weight : ndarray of shape (n_rows,)
        Weights of the rows.
    codes : ndarray of shape (n_rows,), dtype intp, default=None
        Class of each row, known or supposed; None gives no columns of classes.
    n_classes : int, default=0
        Number of classes.
    marginal : bool, default=True
        Whether there is a column of the domains.

    Returns
    -------
    ndarray of shape (n_rows, n_columns)
        The columns. None without target rows.
    """
    n_rows = len(weight)
    columns = []
    if marginal and domains.target.size:
        columns.append(_difference(domains.source, domains.target, weight))
    if codes is not None and domains.target.size:
        for code in range(n_classes):
            source = domains.source[codes[domains.source] == code]
            target = domains.target[codes[domains.target] == code]
            # A class that one domain lacks, or has without weight, has no difference of means.
            if weight[source].sum() > 0.0 and weight[target].sum() > 0.0:
                columns.append(_difference(source, target, weight))
    return np.stack(columns, axis=1) if columns else np.empty((n_rows, 0))


def _difference(source: Codes, target: Codes, weight: FloatArray) -> FloatArray:
    column = np.zeros(len(weight))
    column[source] = weight[source] / weight[source].sum()
    column[target] = -weight[target] / weight[target].sum()
    return column
