"""Products of a Gram matrix with other matrices, made block by block."""

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import gather_blocks, row_blocks
from skmmd.kernels._gram import Gram

__all__ = ["kernel_products"]

FloatArray = NDArray[np.float64]

_ROWS, _COLUMNS = 256, 512


def kernel_products(blocks: Gram, V: FloatArray, *, n_jobs: int | None = None) -> FloatArray:
    """Return ``K @ V`` without ever holding K, under the first gamma.

    Parameters
    ----------
    blocks : Gram
        Gives the blocks of K, of shape (n_left, n_right).
    V : ndarray of shape (n_right, n_columns) or (n_right,)
        What to multiply by; a single vector gives a vector.
    n_jobs : int, default=None
        Number of threads, as in :func:`skmmd._chunked.reduce_blocks`. The result does not depend
        on it.

    Returns
    -------
    ndarray of shape (n_left, n_columns) or (n_left,)
        The product.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.kernels import gram, kernel_products
    >>> rows = np.array([[0.0], [1.0], [2.0]])
    >>> kernel_products(gram("rbf", np.array([0.5]), rows), np.ones(3)).round(3)
    array([1.742, 2.213, 1.742])
    """
    V = np.ascontiguousarray(V, dtype=np.float64)
    n_left, n_right = blocks.shape
    out = np.zeros((n_left, *V.shape[1:]))

    def multiply(rows: slice) -> None:
        buffer = np.empty((rows.stop - rows.start) * min(_COLUMNS, n_right))
        for columns in row_blocks(n_right, _COLUMNS):
            shape = rows.stop - rows.start, columns.stop - columns.start
            tile = buffer[: shape[0] * shape[1]].reshape(shape)
            out[rows] += next(blocks.blocks(rows, columns, tile)) @ V[columns]

    if n_left:
        gather_blocks(multiply, row_blocks(n_left, _ROWS), n_jobs=n_jobs)
    return out
