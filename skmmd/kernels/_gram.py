"""Gram blocks: kernel values between blocks of rows, for one kernel and several gammas at once."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import row_blocks
from skmmd.kernels._loops import subset_sums, tile_distances, tile_values

__all__ = ["GAMMA_FREE", "KERNELS", "Gram", "gram", "kernel_values"]

FloatArray = NDArray[np.float64]
Kernel = str | Callable[[FloatArray, FloatArray], FloatArray]

# Name -> (distance, code of tile_values); "dot" is the inner product, code -1 leaves it as it is.
KERNELS: dict[str, tuple[str, int]] = {
    "rbf": ("sqeuclidean", 0),
    "laplacian": ("cityblock", 0),
    "imq": ("sqeuclidean", 1),
    "rq": ("sqeuclidean", 2),
    "energy": ("sqeuclidean", 3),
    "linear": ("dot", -1),
    "polynomial": ("dot", 4),
}
GAMMA_FREE = ("linear", "energy", "precomputed")

_PRODUCTS, _DIRECT, _CITYBLOCK, _DOT = 0, 1, 2, 3
# Up to this width summing squared differences is as fast as a matrix product, and never cancels.
_DIRECT_MAX_FEATURES = 8
# Rounding of a squared distance by inner products that the kernel may see, relative to 1 / gamma.
_PRODUCTS_MAX_ROUNDING = 1e-11
_TILE = 512
_CENTER_ROWS = 4096
_EPS = float(np.finfo(np.float64).eps)

_of_thread = threading.local()


def _scratch(n_rows: int, n_columns: int) -> FloatArray:
    """Return this thread's array for the distances of a tile: new pages cost as much as the tile.

    Only until its next tile; a new array if the tile is larger than usual.
    """
    size = n_rows * n_columns
    if size > _TILE * _TILE:
        return np.empty((n_rows, n_columns))
    buffer: FloatArray | None = getattr(_of_thread, "buffer", None)
    if buffer is None:
        buffer = _of_thread.buffer = np.empty(_TILE * _TILE)
    return buffer[:size].reshape(n_rows, n_columns)


@dataclass(frozen=True)
class Gram:
    """The Gram matrices of `left` and `right` rows under one kernel, made block by block.

    Built by :func:`gram`; nothing of size ``n_left * n_right`` is ever stored.

    Parameters
    ----------
    kernel : str or callable
        The kernel.
    gammas : ndarray of shape (n_gammas,)
        Its coefficients.
    left, right : ndarray of shape (n_left, n_features) or (n_right, n_features)
        The rows, centred where the kernel allows it; the Gram matrix itself for "precomputed".
    form : int
        How distances are computed.
    left_norms, right_norms : ndarray of shape (n_left,) or (n_right,)
        Squared norms of the rows, empty where they are not needed.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.kernels import gram
    >>> blocks = gram("rbf", np.array([0.5, 1.0]), np.array([[0.0], [1.0], [2.0]]))
    >>> blocks.shape
    (3, 3)
    >>> [block.round(3).tolist() for block in blocks.blocks(slice(0, 1), slice(0, 3))]
    [[[1.0, 0.607, 0.135]], [[1.0, 0.368, 0.018]]]
    """

    kernel: Kernel
    gammas: FloatArray
    left: FloatArray
    right: FloatArray
    form: int
    left_norms: FloatArray
    right_norms: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows on the left and on the right."""
        if self.kernel == "precomputed":
            return self.left.shape[0], self.left.shape[1]
        return len(self.left), len(self.right)

    @property
    def _squares(self) -> bool:
        """Whether each kernel is the square of the one before: one exp serves a dyadic grid."""
        doubled = bool(np.all(self.gammas[1:] == 2.0 * self.gammas[:-1]))
        return doubled and not callable(self.kernel) and KERNELS[self.kernel][1] == 0

    @property
    def sums_subsets(self) -> bool:
        """Whether `subset_sums` is offered: the kernel is a function of a distance."""
        return not callable(self.kernel) and self.kernel != "precomputed" and self.form != _DOT

    def blocks(
        self, rows: slice, columns: slice, out: FloatArray | None = None
    ) -> Iterator[FloatArray]:
        """Yield the block ``[rows, columns]`` for each gamma in turn.

        Parameters
        ----------
        rows, columns : slice
            Which rows of `left` and of `right`.
        out : ndarray of shape (n_rows, n_columns), default=None
            Where a named kernel may write them; saves a new array.

        Yields
        ------
        ndarray of shape (n_rows, n_columns)
            Kernel values. The next step overwrites them.
        """
        if self.kernel == "precomputed":
            yield np.array(self.left[rows, columns])
        elif callable(self.kernel):
            yield _call_kernel(self.kernel, self.left[rows], self.right[columns])
        else:
            yield from self._named_blocks(self.kernel, rows, columns, out)

    def _named_blocks(
        self, name: str, rows: slice, columns: slice, out: FloatArray | None
    ) -> Iterator[FloatArray]:
        code = KERNELS[name][1]
        if code < 0:
            yield self.distances(rows, columns, out)
            return
        squares = self._squares
        shape = len(self.left[rows]), len(self.right[columns])
        tile = np.empty(shape) if out is None else out
        # Not in place: where two arrays may overlap, the loop is not vectorised. A consumer may
        # make other tiles in this thread between two gammas.
        distances = _scratch(*shape) if squares or len(self.gammas) == 1 else np.empty(shape)
        self.distances(rows, columns, distances)
        for k, gamma in enumerate(self.gammas):
            if squares and k > 0:
                np.multiply(tile, tile, out=tile)
            else:
                tile_values(code, float(gamma), distances, tile)
            yield tile

    def distances(self, rows: slice, columns: slice, out: FloatArray | None = None) -> FloatArray:
        """Return what the kernel is a function of.

        Parameters
        ----------
        rows, columns : slice
            Which rows of `left` and of `right`.
        out : ndarray of shape (n_rows, n_columns), default=None
            Where to write it; None makes a new array.

        Returns
        -------
        ndarray of shape (n_rows, n_columns)
            Squared Euclidean or city block distances, or inner products.
        """
        left = np.ascontiguousarray(self.left[rows])
        right = self.right[columns]
        tile = np.empty((len(left), len(right))) if out is None else out
        if self.form in (_PRODUCTS, _DOT):
            np.matmul(left, right.T, out=tile)
        if self.form != _DOT:
            right_columns = right[:0].T if self.form == _PRODUCTS else right.T
            tolerance = _EPS * (8.0 + np.sqrt(left.shape[1]))
            tile_distances(
                self.form,
                left,
                np.ascontiguousarray(right_columns),
                np.ascontiguousarray(self.left_norms[rows]),
                self.right_norms[columns],
                tile,
                tolerance,
            )
        return tile

    def subset_sums(self, members: NDArray[np.intp], weight: FloatArray) -> FloatArray:
        """Sum the kernel over the pairs of different rows of each of many small subsets.

        Parameters
        ----------
        members : ndarray of shape (n_subsets, n_members)
            Left rows of each subset.
        weight : ndarray of shape (n_left,)
            Weights of the rows.

        Returns
        -------
        ndarray of shape (n_gammas, n_subsets)
            Weighted sums over the ordered pairs.
        """
        assert isinstance(self.kernel, str)
        code = KERNELS[self.kernel][1]
        form = _DIRECT if self.form == _PRODUCTS else self.form
        out = np.empty((len(self.gammas), len(members)))
        subset_sums(form, code, self.gammas, self._squares, self.left, weight, members, out)
        return out

    def diagonal(self) -> FloatArray:
        """Return the kernel value of each left row with itself.

        Returns
        -------
        ndarray of shape (n_gammas, n_left)
            The values k(x, x).
        """
        n_left = self.shape[0]
        if self.kernel == "precomputed":
            return np.array(np.diagonal(self.left))[None, :]
        if callable(self.kernel):
            parts = [
                np.diagonal(_call_kernel(self.kernel, self.left[rows], self.left[rows]))
                for rows in row_blocks(n_left, _TILE)
            ]
            return np.concatenate(parts)[None, :]
        distance, code = KERNELS[self.kernel]
        at_zero = np.zeros(n_left)
        if distance == "dot":
            at_zero = np.einsum("ij,ij->i", self.left, self.left)
        if code < 0:
            return at_zero[None, :]
        out = np.empty((len(self.gammas), n_left))
        for k, gamma in enumerate(self.gammas):
            tile_values(code, float(gamma), at_zero[None, :], out[k : k + 1])
        return out


def _call_kernel(
    kernel: Callable[[FloatArray, FloatArray], FloatArray], left: FloatArray, right: FloatArray
) -> FloatArray:
    block = np.array(kernel(left, right), dtype=np.float64, order="C")
    if block.shape != (len(left), len(right)):
        raise ValueError(
            f"The callable kernel returned an array of shape {block.shape} for blocks of "
            f"{len(left)} and {len(right)} rows; expected {(len(left), len(right))}. It must take "
            "two arrays of rows and return their Gram matrix."
        )
    if not np.all(np.isfinite(block)):
        raise ValueError("The callable kernel returned NaN or infinite values.")
    return block


def _center(rows: FloatArray) -> FloatArray:
    # The median, so that a few far rows can't take the digits of all others.
    step = -(-len(rows) // _CENTER_ROWS)
    center: FloatArray = np.median(rows[::step], axis=0)
    return center


def _cancels(
    kernel: str, gammas: FloatArray, left_norms: FloatArray, right_norms: FloatArray
) -> bool:
    """Tell whether squared distances by inner products lose digits that the kernel sees."""
    norms = np.concatenate([left_norms, right_norms])
    if kernel in GAMMA_FREE:
        scale = float(np.median(norms))
        sharpest = 1.0 / scale if scale > 0.0 else np.inf
    else:
        sharpest = float(gammas.max())
    largest = float(norms.max(initial=0.0))
    return largest > 0.0 and _EPS * largest * sharpest > _PRODUCTS_MAX_ROUNDING


def gram(
    kernel: Kernel,
    gammas: FloatArray,
    left: FloatArray,
    right: FloatArray | None = None,
    *,
    center_dot: bool = False,
    origin: FloatArray | None = None,
) -> Gram:
    """Prepare rows for Gram blocks: centre them, choose the form of distance, sum the squares.

    Parameters
    ----------
    kernel : str or callable
        A key of :data:`KERNELS`, "precomputed", or a callable that gives a Gram block.
    gammas : ndarray of shape (n_gammas,)
        Kernel coefficients; only the first block is given if the kernel has none.
    left : ndarray of shape (n_left, n_features)
        Rows, or the Gram matrix itself for "precomputed".
    right : ndarray of shape (n_right, n_features), default=None
        Other rows; None means `left`.
    center_dot : bool, default=False
        Centre the rows for the linear kernel too, where the caller's result allows it.
    origin : ndarray of shape (n_features,), default=None
        What to centre by; None means the median of the rows.

    Returns
    -------
    Gram
        Gives the blocks.

    Raises
    ------
    ValueError
        If distances themselves are wanted (the energy kernel) and leave the range of float64.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.kernels import gram
    >>> gram("energy", np.ones(1), np.array([[0.0], [3.0]])).diagonal()
    array([[-0., -0.]])
    """
    gammas = np.atleast_1d(np.asarray(gammas, dtype=np.float64))
    none = np.zeros(0)
    if callable(kernel) or kernel == "precomputed":
        other = left if right is None else right
        return Gram(kernel, gammas[:1], left, other, _DOT, none, none)
    distance = KERNELS[kernel][0]
    if kernel in GAMMA_FREE:
        gammas = np.ones(1)
    if distance != "dot" or (center_dot and kernel == "linear"):
        if origin is None:
            origin = _center(left if right is None else right)
        left = left - origin
        right = left if right is None else right - origin
    elif right is None:
        right = left
    if distance == "dot":
        return Gram(kernel, gammas, left, right, _DOT, none, none)
    left_norms = np.einsum("ij,ij->i", left, left)
    right_norms = left_norms if right is left else np.einsum("ij,ij->i", right, right)
    if kernel == "energy" and not np.isfinite(left_norms.sum() + right_norms.sum()):
        raise ValueError(
            "The squared distances of the rows leave the range of float64; rescale the features."
        )
    form = _CITYBLOCK
    if distance == "sqeuclidean":
        narrow = left.shape[1] <= _DIRECT_MAX_FEATURES
        form = _DIRECT if narrow or _cancels(kernel, gammas, left_norms, right_norms) else _PRODUCTS
    return Gram(kernel, gammas, left, right, form, left_norms, right_norms)


def kernel_values(
    kernel: Kernel, gamma: float, left: FloatArray, right: FloatArray | None = None
) -> FloatArray:
    """Return the whole Gram matrix of one kernel.

    Parameters
    ----------
    kernel : str or callable
        A key of :data:`KERNELS`, or a callable that gives a Gram block.
    gamma : float
        Kernel coefficient; ignored by a kernel without.
    left : ndarray of shape (n_left, n_features)
        Rows.
    right : ndarray of shape (n_right, n_features), default=None
        Other rows; None means `left`.

    Returns
    -------
    ndarray of shape (n_left, n_right)
        Kernel values.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.kernels import kernel_values
    >>> kernel_values("rq", 0.5, np.array([[0.0], [1.0]]))
    array([[1. , 0.5],
           [0.5, 1. ]])
    """
    blocks = gram(kernel, np.array([gamma]), left, right)
    out = np.empty(blocks.shape)
    for rows in row_blocks(out.shape[0], _TILE):
        for columns in row_blocks(out.shape[1], _TILE):
            out[rows, columns] = next(blocks.blocks(rows, columns))
    return out
