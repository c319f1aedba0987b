"""Rows that come in chunks: checked at each reading, and Data of them."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array

from skmmd._validation import column_names
from skmmd.mixture._data import DTYPES, BlockStats, Data, Stats, scale_of
from skmmd.mixture._parameters import FloatArray

Opener = Callable[[], Iterable[Any]]
Chunk = tuple[NDArray[np.floating], FloatArray | None]


class Survey(NamedTuple):
    """What the first reading of all chunks has found.

    Attributes
    ----------
    n_rows : int
        Rows with weight.
    n_features : int
        Columns.
    dtype : dtype
        That of all chunks together.
    largest_weight : float
        Largest weight of a row.
    names : ndarray of shape (n_features,) or None
        Names of the columns, of the first chunk that has any.
    """

    n_rows: int
    n_features: int
    dtype: Any
    largest_weight: float
    names: NDArray[Any] | None


def opener(chunks: Any) -> Opener:
    """Return a function that opens the chunks anew at each call.

    Raises
    ------
    TypeError
        If `chunks` cannot be read many times.
    """
    if isinstance(chunks, np.ndarray) or not (callable(chunks) or isinstance(chunks, Iterable)):
        raise TypeError(
            "chunks must be a list of arrays, or a function that returns an iterator over "
            f"them; got {type(chunks).__name__}."
        )
    if isinstance(chunks, Iterator):
        raise TypeError(
            "chunks is an iterator, which can be read only once, but EM reads the data many "
            "times. Pass a list, or a function that returns a fresh iterator."
        )
    return chunks if callable(chunks) else lambda: chunks


def survey(opened: Opener, n_components: int) -> Survey:
    """Read all chunks once.

    Raises
    ------
    ValueError
        If a chunk is not what it should be, they do not fit together, or rows are too few.
    """
    n_rows, n_features, dtype, largest, names = 0, None, np.dtype(np.float32), 0.0, None
    for chunk in opened():
        X, weight, its_names = _checked(chunk)
        names = its_names if names is None else names
        if not len(X):
            continue
        if n_features is not None and X.shape[1] != n_features:
            raise ValueError(
                f"A chunk has {X.shape[1]} features, but the first one has {n_features}."
            )
        n_features = X.shape[1]
        n_rows += len(X)
        dtype = np.promote_types(dtype, X.dtype)
        largest = max(largest, 1.0 if weight is None else float(weight.max()))
    if n_features is None:
        raise ValueError("chunks has no rows with positive weight: there is nothing to fit.")
    if n_rows < max(2, n_components):
        raise ValueError(
            f"The chunks have {n_rows} rows with positive weight, but at least "
            f"{max(2, n_components)} are needed for n_components={n_components}."
        )
    return Survey(n_rows, n_features, dtype, largest, names)


def read(opened: Opener, first: Survey) -> Iterator[Chunk]:
    """Yield rows and weights of the chunks, which must be like those of the first reading."""
    for chunk in opened():
        X, weight, names = _checked(chunk)
        if names is not None and first.names is not None and list(names) != list(first.names):
            raise ValueError(
                f"The feature names of a chunk are {list(names)[:5]}, those of the first "
                f"{list(first.names)[:5]}. All chunks need the same columns in the same order."
            )
        if X.shape[1] != first.n_features:
            raise ValueError(
                f"A chunk has {X.shape[1]} features, but {first.n_features} are expected."
            )
        if len(X):
            yield X, weight


def _checked(
    chunk: Any,
) -> tuple[NDArray[np.floating], FloatArray | None, NDArray[Any] | None]:
    """Return rows, weights and names of the columns; rows without weight are left out."""
    if isinstance(chunk, tuple) and len(chunk) != 2:
        raise ValueError(
            f"A chunk is a tuple of {len(chunk)}; it must be rows, or a tuple of rows and "
            "their weights."
        )
    rows, weight = chunk if isinstance(chunk, tuple) else (chunk, None)
    X = check_array(rows, dtype=DTYPES, ensure_min_samples=0, input_name="chunk")
    if weight is not None:
        weight = np.asarray(check_array(weight, dtype=np.float64, ensure_2d=False))
        if weight.shape != (len(X),) or np.any(weight < 0.0):
            raise ValueError(
                f"The weights of a chunk must be {len(X)} numbers of 0 or more, one for "
                f"each row; got the shape {weight.shape}."
            )
        X, weight = X[weight > 0.0], weight[weight > 0.0]
    return X, weight, column_names(rows)


class ChunkedData(Data):
    """Rows that come in chunks, as often as they are asked for; the same each time.

    Parameters
    ----------
    opened : callable
        Opens the chunks.
    first : Survey
        What the first reading has found.
    n_jobs : int or None
        Number of threads for each chunk.
    """

    # Readers of files are seldom safe in several threads.
    is_serial = True

    def __init__(self, opened: Opener, first: Survey, n_jobs: int | None):
        self._opened = opened
        self._first = first
        self._weight_scale = scale_of(first.largest_weight)
        self._total: float | None = None
        self.n_rows = first.n_rows
        self.n_features = first.n_features
        self.n_jobs = n_jobs
        self.has_missing = False
        self.is_plain = False

    def _pieces(self) -> Iterator[Data]:
        n_rows, total, magnitude = 0, 0.0, 0.0
        for X, weight in read(self._opened, self._first):
            n_rows += len(X)
            total += float(X.sum(dtype=np.float64))
            magnitude += float(np.abs(X).sum(dtype=np.float64))
            yield Data(X, weight, self.n_jobs, weight_scale=self._weight_scale)
        if self._total is None:
            self._total = total
        if n_rows != self.n_rows or not abs(total - self._total) <= 1e-9 * magnitude:
            raise ValueError(
                f"The chunks had {self.n_rows} rows of sum {self._total} at first, and now "
                f"{n_rows} of sum {total}. They are read many times: pass a list, or a function "
                "that returns a fresh iterator over the same rows on each call."
            )

    def blocks(self) -> Iterator[tuple[FloatArray, FloatArray, int]]:
        for piece in self._pieces():
            yield from piece.blocks()

    def reduce(
        self, block_stats: BlockStats[Stats], merge: Callable[[Stats, Stats], Stats]
    ) -> Stats:
        merged = None
        for piece in self._pieces():
            stats = piece.reduce(block_stats, merge)
            merged = stats if merged is None else merge(merged, stats)
        if merged is None:
            raise ValueError("There are no chunks any more.")
        return merged

    def _first_row(self) -> FloatArray:
        for X, _ in read(self._opened, self._first):
            return np.asarray(X[0], dtype=np.float64)
        raise ValueError(
            "There are no chunks at the second reading. Pass a list, or a function that returns a "
            "fresh iterator on each call."
        )

    @property
    def is_threaded(self) -> bool:
        return False
