"""The rows that EM passes over: an array in blocks, also with gaps."""

import math
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeVar

import joblib
import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import reduce_blocks, row_blocks
from skmmd.mixture import _loops
from skmmd.mixture._parameters import FloatArray, n_moments

Stats = TypeVar("Stats")
BlockStats = Callable[[FloatArray, FloatArray, int], Stats]

# What rows may hold as they come; others are converted to the first.
DTYPES = [np.float64, np.float32]
# Rows of a block that is looked at row by row.
BLOCK_SIZE = 16_384
# Up to this many numbers, an array that loops cannot read as it is gets converted in one piece.
SMALL = 1 << 20
# Squares of larger numbers may overflow in sums.
LARGEST = 1e150
NO_WEIGHT = np.empty(0)


def sum_size(n_features: int) -> int:
    """Return the rows of a block whose statistics are summed up before they are added to others'.

    Large enough for threads to be worth while, 4 MiB at most beyond some features.
    """
    return min(max((1 << 19) // n_features, 4096), 65_536)


def pattern_order(missing: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return an order of rows in which equal patterns are neighbours, and where each starts."""
    packed = np.packbits(missing, axis=1)
    order = np.lexsort(packed.T)
    changes = np.any(packed[order[1:]] != packed[order[:-1]], axis=1)
    return order, np.concatenate([[0], np.flatnonzero(changes) + 1, [len(missing)]])


def scale_of(largest_weight: float) -> float:
    """Return what weights are divided by: sums of huge ones would overflow, of tiny ones vanish."""
    return 1.0 if 1e-100 < largest_weight < 1e100 else largest_weight


def check_distance(point: FloatArray, *differences: FloatArray) -> None:
    """Raise if differences to a point are so large that their squares overflow."""
    for difference in (point - point, *differences):
        if not np.all(np.abs(difference) < LARGEST):
            raise ValueError(
                f"X has values further than {LARGEST:g} from the mean, whose squares overflow. "
                "Scale the input data."
            )


class Data:
    """Rows with weights, and what is known of all of them.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), dtype float64 or float32
        Rows; NaN where a value is missing.
    weight : ndarray of shape (n_samples,) or None
        Weights, all positive; None for ones.
    n_jobs : int or None
        Number of threads.
    may_miss : bool, default=False
        Whether there may be NaN.
    weight_scale : float or None, default=None
        Divides the weights; None for what suits them.
    """

    is_serial = False
    _weight_scale = 1.0

    def __init__(
        self,
        X: NDArray[np.floating],
        weight: FloatArray | None,
        n_jobs: int | None,
        *,
        may_miss: bool = False,
        weight_scale: float | None = None,
    ):
        self.n_jobs = n_jobs
        self.n_rows, self.n_features = X.shape
        self.has_missing = may_miss and any(
            bool(np.isnan(X[block]).any()) for block in row_blocks(len(X), BLOCK_SIZE)
        )
        if weight is not None:
            self._weight_scale = weight_scale or scale_of(float(weight.max()))
            weight = weight if self._weight_scale == 1.0 else weight / self._weight_scale
        self.weight = NO_WEIGHT if weight is None else weight
        if self.has_missing:
            missing = np.isnan(X)
            order, self._starts = pattern_order(missing)
            self._observed = (~missing[order[self._starts[:-1]]]).astype(np.uint8)
            X = np.asarray(X, dtype=np.float64)[order]
            if weight is not None:
                self.weight = weight[order]
        direct = X.dtype == np.float64 and X.flags.c_contiguous and X.flags.writeable
        if not direct and X.size <= SMALL:
            X, direct = np.array(X, dtype=np.float64, order="C"), True
        self.X = X
        # Loops read it as it is; else they get copies of blocks.
        self.is_plain = direct and not self.has_missing

    def blocks(self) -> Iterator[tuple[FloatArray, FloatArray, int]]:
        """Yield rows, weights and the number of the first row of each block."""
        for block in row_blocks(self.n_rows, BLOCK_SIZE):
            yield self._load(block)

    def _load(self, block: slice) -> tuple[FloatArray, FloatArray, int]:
        X: Any = self.X[block]
        if not (X.dtype == np.float64 and X.flags.c_contiguous and X.flags.writeable):
            X = np.array(X, dtype=np.float64, order="C")
        weight = self.weight[block] if len(self.weight) else NO_WEIGHT
        return X, weight, block.start

    def reduce(
        self, block_stats: BlockStats[Stats], merge: Callable[[Stats, Stats], Stats]
    ) -> Stats:
        """Return the merged statistics of all blocks."""
        return reduce_blocks(
            lambda block: block_stats(*self._load(block)),
            row_blocks(self.n_rows, sum_size(self.n_features)),
            merge,
            n_jobs=self.n_jobs,
        )

    @property
    def is_threaded(self) -> bool:
        return self.n_rows > sum_size(self.n_features) and joblib.effective_n_jobs(self.n_jobs) > 1

    def patterns_of(self, start: int, n_rows: int) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
        """Return where the patterns of missing values start in a block, and what they are."""
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        last = int(np.searchsorted(self._starts, start + n_rows, side="left"))
        starts = np.clip(self._starts[first : last + 1] - start, 0, n_rows)
        return starts, self._observed[first:last]

    @cached_property
    def _summary(self) -> tuple[float, FloatArray, FloatArray, FloatArray, FloatArray]:
        """Weight of all, and of each feature its mean, variance, least and largest value."""
        first = self._first_row()
        origin = np.where(np.isnan(first), 0.0, first)

        def block_stats(X: FloatArray, weight: FloatArray, start: int) -> list[Any]:
            summary = np.empty((5, X.shape[1]))
            return [_loops.summarize(X, weight, origin, summary), *summary]

        def merge(a: list[Any], b: list[Any]) -> list[Any]:
            n = a[1] + b[1]
            share = b[1] / np.maximum(n, 1e-300)
            gap = b[2] - a[2]
            mean = a[2] + share * gap
            square = a[3] + b[3] + a[1] * share * gap * gap
            least, largest = np.minimum(a[4], b[4]), np.maximum(a[5], b[5])
            return [a[0] + b[0], n, mean, square, least, largest]

        with np.errstate(over="ignore", invalid="ignore"):
            total, n, mean, square, least, largest = self.reduce(block_stats, merge)
        seen = n > 0.0
        check_distance(mean, least[seen] - mean[seen], largest[seen] - mean[seen])
        return float(total), mean, square / np.where(seen, n, 1.0), least, largest

    def check_distance(self, point: FloatArray) -> None:
        """Raise if a row is so far from `point` that squares overflow."""
        seen = self._summary[3] <= self._summary[4]
        check_distance(point, (self._summary[3] - point)[seen], (self._summary[4] - point)[seen])

    def check(self) -> None:
        """Raise if a feature is never observed, or a value so large that its square overflows."""
        unseen = np.flatnonzero(self._summary[3] > self._summary[4])
        if len(unseen):
            raise ValueError(
                f"Features {unseen.tolist()[:10]} have no observed value at all; drop them."
            )

    def _first_row(self) -> FloatArray:
        return np.asarray(self.X[0], dtype=np.float64)

    @property
    def total_weight(self) -> float:
        return self._summary[0]

    @property
    def n_effective(self) -> float:
        """Sum of the weights, as they came."""
        return self._summary[0] * self._weight_scale

    @property
    def center(self) -> FloatArray:
        return self._summary[1]

    @property
    def variance(self) -> FloatArray:
        return self._summary[2]

    @property
    def least(self) -> FloatArray:
        return self._summary[3]

    @property
    def ranges(self) -> FloatArray:
        return self._summary[4] - self._summary[3]

    def moments(self, shape: int) -> FloatArray:
        """Return the second moments of all rows about the center."""
        known = self.__dict__.setdefault("_moments", {})
        if shape not in known:
            known[shape] = self._scatter(shape)
        found: FloatArray = known[shape]
        return found

    def _scatter(self, shape: int) -> FloatArray:
        d = self.n_features
        n_columns = 1 + 4 * math.ceil((d + n_moments(shape, d)) / 4)

        def block_stats(X: FloatArray, weight: FloatArray, start: int) -> FloatArray:
            sums = np.zeros((2, n_columns))
            features = np.zeros((n_columns, 64))
            features[0] = 1.0
            ones = np.zeros((2, 64))
            _loops.scatter(X, 0, len(X), weight, self.center, shape, features, ones, sums)
            return sums

        sums = self.reduce(block_stats, lambda a, b: np.add(a, b, out=a))
        return sums[0, 1 + d : 1 + d + n_moments(shape, d)].copy()
