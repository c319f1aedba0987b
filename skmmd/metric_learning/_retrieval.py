"""Measures of retrieval: whether the rows nearest to a row belong to its class."""

import math
from collections.abc import Callable
from numbers import Integral
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length

from skmmd._chunked import gather_blocks, row_blocks
from skmmd._validation import Interval, check_rows, check_same_columns, validate_params
from skmmd.metric_learning._classes import ordered_labels

__all__ = [
    "Retrieval",
    "mean_average_precision_at_r",
    "r_precision",
    "recall_at_k",
    "retrieval",
]

FloatArray = NDArray[np.float64]
CodeArray = NDArray[np.intp]
BoolArray = NDArray[np.bool_]

_BLOCK_DISTANCES = 2**20
_LARGEST_EXPONENT = 500  # squares of coordinates below 2^500 can be summed
_DIFFERENCES = 2**18

_CONSTRAINTS: dict[str, list[Any]] = {
    "Z": ["array-like"],
    "y": ["array-like"],
    "Z_reference": ["array-like", None],
    "y_reference": ["array-like", None],
    "n_jobs": [None, Integral],
}


class Retrieval(NamedTuple):
    """What each row retrieves; NaN for a row whose class has no (other) reference row.

    Attributes
    ----------
    average_precision : ndarray of shape (n_samples,)
        Mean over i = 1..R of precision at i where the i-th nearest row is of the class, else 0.
    precision : ndarray of shape (n_samples,)
        Share of the class among the R nearest rows.
    """

    average_precision: FloatArray
    precision: FloatArray


@validate_params(_CONSTRAINTS, prefer_skip_nested_validation=True)
def mean_average_precision_at_r(
    Z: ArrayLike,
    y: ArrayLike,
    *,
    Z_reference: ArrayLike | None = None,
    y_reference: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> float:
    """Return the mean average precision at R, MAP@R, of an embedding.

    Each row asks for the R reference rows nearest to it, R being the number of reference rows of
    its class. Its average precision is 1/R times the sum of the precisions among the i nearest,
    over those i = 1..R whose i-th nearest row is of its class [1]_. It is 1 if the class comes
    before all others, and depends on order alone, hence neither on scale nor on the loss that was
    fitted.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_components)
        Embedded rows that ask; a 1-D array is one column.
    y : array-like of shape (n_samples,)
        Their classes: numbers or strings.
    Z_reference : array-like of shape (n_reference, n_components), default=None
        Embedded rows to be found; None takes, for each row of `Z`, all others.
    y_reference : array-like of shape (n_reference,), default=None
        Their classes; given if and only if `Z_reference` is.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    float
        Mean over the rows of `Z`, in [0, 1]. Rows whose class has no (other) reference row are left
        out.

    Raises
    ------
    ValueError
        If no row is left, the shapes don't match, or a value is NaN or infinite.
    TypeError
        If the labels are of several types that have no common order.

    See Also
    --------
    r_precision : The share of the class among the R nearest rows, whatever their order.
    recall_at_k : Whether any of the k nearest rows is of the class.

    Notes
    -----
    Distances are Euclidean; of rows at the same distance, the first comes first. Time is
    O(n_samples * n_reference * n_components); memory grows with n_samples + n_reference.

    References
    ----------
    .. [1] K. Musgrave, S. Belongie and S.-N. Lim, "A metric learning reality check", ECCV 2020,
       pp. 681-699.

    Examples
    --------
    >>> from skmmd.metric_learning import mean_average_precision_at_r
    >>> mean_average_precision_at_r([0.0, 1.0, 2.0, 9.0, 10.0], ["a", "a", "a", "b", "b"])
    1.0
    >>> mean_average_precision_at_r([0.0, 1.0, 3.0, 9.0, 10.0], ["a", "b", "a", "a", "b"])
    0.15
    """
    asked = _checked(Z, y, Z_reference, y_reference)
    return _mean(retrieval(*asked, n_jobs=n_jobs).average_precision, asked[3] is None)


@validate_params(_CONSTRAINTS, prefer_skip_nested_validation=True)
def r_precision(
    Z: ArrayLike,
    y: ArrayLike,
    *,
    Z_reference: ArrayLike | None = None,
    y_reference: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> float:
    """Return the mean share of a row's class among the R rows nearest to it.

    R is the number of reference rows of its class: the share is 1 if these are the nearest ones
    [1]_.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_components)
        Embedded rows that ask; a 1-D array is one column.
    y : array-like of shape (n_samples,)
        Their classes: numbers or strings.
    Z_reference : array-like of shape (n_reference, n_components), default=None
        Embedded rows to be found; None takes, for each row of `Z`, all others.
    y_reference : array-like of shape (n_reference,), default=None
        Their classes; given if and only if `Z_reference` is.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    float
        Mean over the rows of `Z`, in [0, 1]. Rows whose class has no (other) reference row are left
        out.

    Raises
    ------
    ValueError
        If no row is left, the shapes don't match, or a value is NaN or infinite.
    TypeError
        If the labels are of several types that have no common order.

    See Also
    --------
    mean_average_precision_at_r : Counts the order of the R rows, too.
    recall_at_k : Whether any of the k nearest rows is of the class.

    Notes
    -----
    Distances are Euclidean; of rows at the same distance, the first comes first.

    References
    ----------
    .. [1] K. Musgrave, S. Belongie and S.-N. Lim, "A metric learning reality check", ECCV 2020,
       pp. 681-699.

    Examples
    --------
    >>> from skmmd.metric_learning import r_precision
    >>> r_precision([0.0, 1.0, 3.0, 9.0, 10.0], ["a", "b", "a", "a", "b"])
    0.3
    """
    asked = _checked(Z, y, Z_reference, y_reference)
    return _mean(retrieval(*asked, n_jobs=n_jobs).precision, asked[3] is None)


@validate_params(
    {**_CONSTRAINTS, "k": [Interval(Integral, 1, None, closed="left")]},
    prefer_skip_nested_validation=True,
)
def recall_at_k(
    Z: ArrayLike,
    y: ArrayLike,
    k: int,
    *,
    Z_reference: ArrayLike | None = None,
    y_reference: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> float:
    """Return the share of rows that have a row of their class among the k nearest.

    For k = 1 this is the accuracy of the nearest neighbour. Recall at k [1]_ is also known as hit
    rate.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_components)
        Embedded rows that ask; a 1-D array is one column.
    y : array-like of shape (n_samples,)
        Their classes: numbers or strings.
    k : int
        How many of the nearest rows are looked at, at most the number of (other) reference rows.
    Z_reference : array-like of shape (n_reference, n_components), default=None
        Embedded rows to be found; None takes, for each row of `Z`, all others.
    y_reference : array-like of shape (n_reference,), default=None
        Their classes; given if and only if `Z_reference` is.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    float
        Share of the rows of `Z`, in [0, 1]. Rows whose class has no (other) reference row are left
        out.

    Raises
    ------
    ValueError
        If no row is left, `k` is too large, the shapes don't match, or a value is NaN or infinite.
    TypeError
        If the labels are of several types that have no common order.

    See Also
    --------
    mean_average_precision_at_r : Looks at as many rows as the class has.

    Notes
    -----
    Distances are Euclidean; of rows at the same distance, the first comes first.

    References
    ----------
    .. [1] H. Jegou, M. Douze and C. Schmid, "Product quantization for nearest neighbor search",
       IEEE Transactions on Pattern Analysis and Machine Intelligence 33, 2011, pp. 117-128.

    Examples
    --------
    >>> from skmmd.metric_learning import recall_at_k
    >>> Z, y = [0.0, 1.0, 3.0, 9.0, 10.0], ["a", "b", "a", "a", "b"]
    >>> recall_at_k(Z, y, 1), recall_at_k(Z, y, 2)
    (0.0, 0.6)
    """
    asked = _checked(Z, y, Z_reference, y_reference)
    search = _Search.of(*asked)
    n_found = len(search.reference) - search.same
    if k > n_found:
        raise ValueError(
            f"k={k} rows cannot be found for each row: there are {n_found} "
            f"{'others' if search.same else 'reference rows'}. Pass a smaller k."
        )
    sizes = np.where(search.n_relevant() > 0, k, 0)
    return _mean(_over_rows(search, sizes, _any_hit, 1, n_jobs)[:, 0], search.same)


def retrieval(
    Z: NDArray[Any],
    codes: NDArray[np.integer[Any]],
    Z_reference: NDArray[Any] | None = None,
    codes_reference: NDArray[np.integer[Any]] | None = None,
    n_jobs: int | None = None,
) -> Retrieval:
    """Return the average precision at R and the R-precision of each row.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_components)
        Finite rows that ask.
    codes : ndarray of shape (n_samples,)
        Their classes, as numbers from 0.
    Z_reference, codes_reference : ndarray, default=None
        Rows to be found, with their classes in the same code; None takes all others of `Z`.
    n_jobs : int, default=None
        Number of threads.

    Returns
    -------
    Retrieval
        Two values for each row, NaN for those without (other) reference rows of their class.
    """
    search = _Search.of(Z, codes, Z_reference, codes_reference)
    values = _over_rows(search, search.n_relevant(), _precisions, 2, n_jobs)
    return Retrieval(average_precision=values[:, 0], precision=values[:, 1])


def _precisions(hits: BoolArray) -> FloatArray:
    """Return the average precision at R and the R-precision of rows of R hits."""
    n_nearest = hits.shape[1]
    precision = np.cumsum(hits, axis=1) / np.arange(1, n_nearest + 1)
    average = np.sum(precision * hits, axis=1) / n_nearest
    return np.column_stack([average, precision[:, -1]])


def _any_hit(hits: BoolArray) -> BoolArray:
    found: BoolArray = np.any(hits, axis=1, keepdims=True)
    return found


class _Search(NamedTuple):
    """Rows that ask and rows to be found, ready for distances.

    `centred`, `centred_reference` and their squared `norms` give distances by one product of
    matrices, to within a known error; `rows` and `reference` decide where that is too coarse.
    """

    rows: FloatArray
    reference: FloatArray
    centred: FloatArray
    centred_reference: FloatArray
    norms: FloatArray
    norms_reference: FloatArray
    codes: CodeArray
    codes_reference: CodeArray
    same: bool  # each row asks for the others

    @classmethod
    def of(
        cls,
        Z: NDArray[Any],
        codes: NDArray[np.integer[Any]],
        Z_reference: NDArray[Any] | None,
        codes_reference: NDArray[np.integer[Any]] | None,
    ) -> Self:
        same = Z_reference is None or codes_reference is None
        given = (Z,) if Z_reference is None else (Z, Z_reference)
        # By a power of two, which rounds nothing: no square over- or underflows.
        largest = max(float(np.abs(rows).max(initial=0.0)) for rows in given)
        exponent = _LARGEST_EXPONENT - math.frexp(largest)[1]
        scaled = [np.ldexp(np.asarray(rows, dtype=np.float64), exponent) for rows in given]
        center = scaled[-1].mean(axis=0)
        centred = [rows - center for rows in scaled]
        norms = [np.einsum("ij,ij->i", rows, rows) for rows in centred]
        coded = np.asarray(codes, dtype=np.intp)
        return cls(
            rows=scaled[0],
            reference=scaled[-1],
            centred=centred[0],
            centred_reference=centred[-1],
            norms=norms[0],
            norms_reference=norms[-1],
            codes=coded,
            codes_reference=coded if same else np.asarray(codes_reference, dtype=np.intp),
            same=same,
        )

    def n_relevant(self) -> CodeArray:
        """Return R, the number of (other) reference rows of each row's class."""
        n_classes = 1 + max(self.codes.max(initial=0), self.codes_reference.max(initial=0))
        counts = np.bincount(self.codes_reference, minlength=n_classes)
        return counts[self.codes] - int(self.same)

    def hits(self, queries: CodeArray, n_nearest: int) -> BoolArray:
        """Return whether the 1st, 2nd, ... nearest row is of the class of these rows."""
        nearest = self.nearest(queries, n_nearest)
        return self.codes_reference[nearest] == self.codes[queries, None]

    def nearest(self, queries: CodeArray, n_nearest: int) -> CodeArray:
        """Return the nearest reference rows, the nearest first, of equal ones the first first."""
        distance = (-2.0 * self.centred[queries]) @ self.centred_reference.T
        distance += self.norms_reference
        distance += self.norms[queries, None]
        if self.same:
            distance[np.arange(len(queries)), queries] = np.inf
        last = np.partition(distance, n_nearest - 1, axis=1)[:, n_nearest - 1, None]
        # Which rows beyond the last may be as near, or nearer?
        candidate = distance <= last + 3.0 * self._error(queries, last)
        count = np.count_nonzero(candidate, axis=1)
        used = np.arange(count.max()) < count[:, None]
        found = np.zeros(used.shape, dtype=np.intp)
        value = np.full(used.shape, np.inf)
        found[used] = np.nonzero(candidate)[1]  # in the order of the rows
        value[used] = distance[candidate]
        order = np.argsort(value, axis=1)
        ahead = np.take_along_axis(value, order, axis=1)
        with np.errstate(invalid="ignore"):  # of unused places
            close = np.diff(ahead, axis=1) <= 2.0 * self._error(queries, ahead[:, 1:])
        close &= used[:, 1:]
        doubtful = np.zeros(used.shape, dtype=np.bool_)
        doubtful[:, 1:] = close
        doubtful[:, :-1] |= close
        row, place = np.nonzero(doubtful)
        place = order[row, place]
        value[row, place] = self._by_differences(queries[row], found[row, place])
        again = np.unique(row)
        order[again] = np.argsort(value[again], axis=1, kind="stable")
        return np.take_along_axis(found, order[:, :n_nearest], axis=1)

    def _error(self, queries: CodeArray, distance: FloatArray) -> FloatArray:
        """Return a bound of the rounding errors of squared distances by products."""
        # At most (k + 6) eps (|a|^2 + |b|^2), and |b|^2 <= 2 |a|^2 + 2 |a - b|^2.
        scale = 4.0 * (self.rows.shape[1] + 6) * np.finfo(np.float64).eps
        return scale * (self.norms[queries, None] + np.maximum(distance, 0.0))

    def _by_differences(self, queries: CodeArray, found: CodeArray) -> FloatArray:
        """Return the squared distances of pairs: 0 for equal rows, equal for equal differences."""
        distance = np.empty(len(queries))
        for pairs in row_blocks(len(queries), max(1, _DIFFERENCES // self.rows.shape[1])):
            difference = self.rows[queries[pairs]] - self.reference[found[pairs]]
            distance[pairs] = np.square(difference).sum(axis=1)
        return distance


def _over_rows(
    search: _Search,
    sizes: CodeArray,
    measure: Callable[[BoolArray], NDArray[Any]],
    n_values: int,
    n_jobs: int | None,
) -> FloatArray:
    """Return the measure of each row's `sizes` nearest rows, NaN where that is 0."""
    values = np.full((len(sizes), n_values), np.nan)
    length = max(1, _BLOCK_DISTANCES // max(1, len(search.reference)))
    # Rows of a block look at the same number of others.
    blocks = [
        queries[block]
        for size in np.unique(sizes[sizes > 0])
        for queries in [np.flatnonzero(sizes == size)]
        for block in row_blocks(len(queries), length)
    ]
    if blocks:
        found = gather_blocks(
            lambda queries: measure(search.hits(queries, int(sizes[queries[0]]))),
            blocks,
            n_jobs=n_jobs,
        )
        values[np.concatenate(blocks)] = np.concatenate(found)
    return values


def _mean(values: FloatArray, same: bool) -> float:
    """Return the mean of the rows that have something to find."""
    known = values[~np.isnan(values)]
    if not len(known):
        raise ValueError(
            "There is nothing to retrieve: no row has "
            + ("another" if same else "a reference")
            + " row of its class. Pass rows of which some share a class."
        )
    return math.fsum(known) / len(known)


def _checked(
    Z: ArrayLike, y: ArrayLike, Z_reference: ArrayLike | None, y_reference: ArrayLike | None
) -> tuple[FloatArray, CodeArray, FloatArray | None, CodeArray | None]:
    """Return rows, and labels as codes that mean the same in both samples."""
    if (Z_reference is None) != (y_reference is None):
        missing = "Z_reference" if Z_reference is None else "y_reference"
        raise ValueError(f"{missing} is missing: pass both Z_reference and y_reference, or none.")
    rows = check_rows(Z, name="Z")
    labels = ordered_labels(y)
    check_consistent_length(rows, labels)
    if Z_reference is None or y_reference is None:
        return rows, _codes(labels), None, None
    reference = check_rows(Z_reference, name="Z_reference")
    check_same_columns(Z, Z_reference, (rows.shape[1], reference.shape[1]), ("Z", "Z_reference"))
    labels_reference = ordered_labels(y_reference, name="y_reference")
    check_consistent_length(reference, labels_reference)
    both = [labels, labels_reference]
    if any(given.dtype.kind not in "biuf" for given in both):
        # Joined as they are, the number 1 would become the string "1".
        both = [given.astype(object) for given in both]
    codes = _codes(ordered_labels(np.concatenate(both), name="y, joined with y_reference,"))
    return rows, codes[: len(rows)], reference, codes[len(rows) :]


def _codes(labels: NDArray[Any]) -> CodeArray:
    codes: CodeArray = np.unique(labels, return_inverse=True)[1]
    return codes.reshape(-1)
