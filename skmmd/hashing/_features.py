"""Features of inputs: inputs -> sums and counts -> columns, in batches over threads."""

import contextlib
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from skmmd._chunked import reduce_blocks, row_blocks
from skmmd.hashing._digest import N_INDEX, N_SENSITIVE, SMALLEST, Picture, digest_of_sums, sum_short
from skmmd.hashing._loops import N_PLACES, count_bigrams, count_bytes
from skmmd.hashing._sources import open_source

__all__ = ["FEATURES", "FeatureSet", "count_batch", "extract", "warn_of_errors"]

_N_SUMS = N_INDEX + N_SENSITIVE
_BATCH = 256
_PATIENCE = 0.001  # seconds
_BUFFER = 1 << 18  # bytes; ends with a row of every picture


class Counts(NamedTuple):
    """What is counted of a batch of inputs; without columns where no feature asks for it."""

    sums: NDArray[np.int64]  # (n, 20) block sums of the pictures
    histogram: NDArray[np.int64]  # (n, 256)
    bigrams: NDArray[np.int64]  # (n, 1024)


def _sensitive(counts: Counts) -> NDArray[Any]:
    return digest_of_sums(counts.sums)[:, N_INDEX:]


def _index(counts: Counts) -> NDArray[Any]:
    return digest_of_sums(counts.sums)[:, :N_INDEX]


def _all(counts: Counts) -> NDArray[Any]:
    return digest_of_sums(counts.sums)


def _sums(counts: Counts) -> NDArray[Any]:
    return counts.sums[:, N_INDEX:]


def _circular(counts: Counts) -> NDArray[Any]:
    angles = _sensitive(counts) * (2.0 * np.pi / 256.0)
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def _root_of_share(counts: NDArray[np.int64]) -> NDArray[Any]:
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.sqrt(counts / total)


def _histogram(counts: Counts) -> NDArray[Any]:
    return _root_of_share(counts.histogram)


def _bigrams(counts: Counts) -> NDArray[Any]:
    return _root_of_share(counts.bigrams)


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name}{i}" for i in range(count)]


# By name: the function, what it reads, the names of its columns.
FEATURES = {
    "sensitive": (_sensitive, "sums", _numbered("sensitive", N_SENSITIVE)),
    "index": (_index, "sums", _numbered("index", N_INDEX)),
    "all": (_all, "sums", _numbered("index", N_INDEX) + _numbered("sensitive", N_SENSITIVE)),
    "sums": (_sums, "sums", _numbered("sums", N_SENSITIVE)),
    "circular": (
        _circular,
        "sums",
        _numbered("circular_cos", N_SENSITIVE) + _numbered("circular_sin", N_SENSITIVE),
    ),
    "histogram": (_histogram, "histogram", _numbered("histogram", 256)),
    "bigrams": (_bigrams, "bigrams", _numbered("bigrams", N_PLACES)),
}
_DIGEST_FEATURES = ("sensitive", "index", "all")


class FeatureSet:
    """Features to be computed together, in one pass over the bytes.

    Parameters
    ----------
    features : str or sequence of str
        Names from ``FEATURES``.
    dtype : dtype, default=None
        Of the columns; None takes uint8 for bytes of the digest alone, else float32.

    Raises
    ------
    ValueError
        If a name is unknown or comes twice, none is given, or the type cannot hold the values.
    """

    def __init__(self, features: str | Sequence[str], dtype: DTypeLike | None = None) -> None:
        chosen = [features] if isinstance(features, str) else list(features)
        unknown = [name for name in chosen if not isinstance(name, str) or name not in FEATURES]
        if unknown or not chosen or len(set(chosen)) < len(chosen):
            raise ValueError(
                f"features must be one or several different names of {list(FEATURES)}, "
                f"got {features!r}."
            )
        self._chosen = chosen
        self.names = [column for name in chosen for column in FEATURES[name][2]]
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"features={features!r}: 'all' holds 'index' and 'sensitive' already.")
        whole = all(name in _DIGEST_FEATURES for name in chosen)
        smallest = np.uint8 if whole else np.float32
        self.dtype = np.dtype(smallest if dtype is None else dtype)
        if self.dtype.kind not in "fiu" or not np.can_cast(smallest, self.dtype):
            raise ValueError(
                f"dtype={self.dtype} cannot hold features={features!r}; use "
                f"{np.dtype(smallest)}, or a type that holds it."
            )
        self._needs = {FEATURES[name][1] for name in chosen}

    def counts(self, n: int) -> Counts:
        """Return zeros for `n` inputs."""

        def zeros(name: str, width: int) -> NDArray[np.int64]:
            return np.zeros((n, width if name in self._needs else 0), np.int64)

        return Counts(zeros("sums", _N_SUMS), zeros("histogram", 256), zeros("bigrams", N_PLACES))

    def write(self, counts: Counts, out: NDArray[Any]) -> None:
        """Write the columns of a batch to `out`, shape (n, len(names))."""
        start = 0
        for name in self._chosen:
            function, _, columns = FEATURES[name]
            out[:, start : start + len(columns)] = function(counts)
            start += len(columns)


class _Reader:
    """A buffer for one batch: short inputs gather in it and are hashed in one compiled call.

    That keeps threads out of each other's way, since between two such calls all of them want the
    interpreter.
    """

    def __init__(self) -> None:
        self._bytes = np.empty(_BUFFER + 1, np.uint8)
        self._buffer = self._bytes.data
        self._used = 0
        self._waiting: list[tuple[int, int, int]] = []
        self._has_turn = False

    def take_turn(self) -> None:
        """Read while the others compute: two that read wait for the interpreter at each call.

        Where files are slow it is better to read side by side: nobody waits for long.
        """
        if not self._has_turn:
            self._has_turn = _reading.acquire(timeout=_PATIENCE)

    def _give_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            _reading.release()

    def count(self, source: Any, counts: Counts, row: int) -> None:
        """Count the bytes of one input; the block sums of a short one come by `flush`."""
        length = source.length
        room = max(length, SMALLEST)
        if room > _BUFFER:
            self._count_long(source, counts, row)
            return
        if self._used + room > _BUFFER:
            self.flush(counts)
        start, end = self._used, self._used + length
        source.fill(self._buffer[start : end + 1], last=True)
        if not counts.sums.size or counts.histogram.size or counts.bigrams.size:
            self._count_bytes(self._bytes[start:end], -1, counts, row)
        if counts.sums.size:
            if length < room:
                self._bytes[end : start + room] = 0
            self._waiting.append((row, start, length))
            self._used += room

    def _count_long(self, source: Any, counts: Counts, row: int) -> None:
        self.flush(counts)
        self._give_turn()
        picture = Picture(source.length)
        previous = -1
        for start in range(0, source.length, _BUFFER):
            size = min(_BUFFER, source.length - start)
            source.fill(self._buffer[: size + 1], last=start + size == source.length)
            part = self._bytes[:size]
            if counts.sums.size:
                picture.add(part)
            self._count_bytes(part, previous, counts, row)
            previous = int(part[-1])
        if counts.sums.size:
            picture.sums(counts.sums[row])

    def _count_bytes(self, part: Any, previous: int, counts: Counts, row: int) -> None:
        if counts.histogram.size:
            count_bytes(part, counts.histogram[row])
        if counts.bigrams.size:
            count_bigrams(part, previous, counts.bigrams[row])

    def flush(self, counts: Counts) -> None:
        """Write the block sums of the inputs that wait."""
        if self._waiting:
            self._give_turn()
            rows, starts, lengths = np.array(self._waiting).T.copy()
            sums = np.empty((len(rows), counts.sums.shape[1]), np.int64)
            sum_short(self._bytes, starts, lengths, sums)
            counts.sums[rows] = sums
        self.clear()

    def clear(self) -> None:
        """Forget the inputs that wait."""
        self._give_turn()
        self._waiting.clear()
        self._used = 0


_reading = threading.Lock()
# Readers that are not in use: taken and given back, so that a small input does not pay for one.
_idle: list[_Reader] = []


@contextlib.contextmanager
def _reader() -> Iterator[_Reader]:
    try:
        reader = _idle.pop()
    except IndexError:
        reader = _Reader()
    try:
        yield reader
    finally:
        reader.clear()
        _idle.append(reader)


def count_batch(
    objs: Sequence[Any], rows: range, input: str, features: FeatureSet, on_error: str = "raise"
) -> tuple[Counts, dict[int, str]]:
    """Read some of the inputs; return what is counted of them, and by row why one was not read."""
    errors = {}
    counts = features.counts(len(rows))
    with _reader() as reader:
        for place, row in enumerate(rows):
            if input != "content":
                reader.take_turn()
            try:
                source = open_source(objs[row], input)
                try:
                    reader.count(source, counts, place)
                finally:
                    source.close()
            except Exception as error:  # streams raise what they like
                if on_error == "raise":
                    if len(objs) > 1:
                        error.add_note(f"This was input {row} of {len(objs)}.")
                    raise
                errors[row] = f"{type(error).__name__}: {error}"
        reader.flush(counts)
    return counts, errors


def extract(
    objs: Sequence[Any],
    input: str,
    features: FeatureSet,
    *,
    on_error: str = "raise",
    n_jobs: int | None = None,
    verbose: int = 0,
) -> tuple[NDArray[Any], dict[int, str]]:
    """Read all inputs and return their features, and why a row is zero.

    Parameters
    ----------
    objs : sequence
        The inputs; see :func:`open_source`.
    input : {"content", "filename", "file"}
        What bytes and text are.
    features : FeatureSet
        What to compute.
    on_error : {"raise", "warn"}, default="raise"
        With "warn" an input that cannot be read becomes a row of zeros.
    n_jobs : int, default=None
        Number of threads.
    verbose : int, default=0
        Show a progress bar if positive.

    Returns
    -------
    columns : ndarray of shape (n, n_columns)
        One row for each input.
    errors : dict of int to str
        By row, the reason.
    """
    out = np.zeros((len(objs), len(features.names)), features.dtype)
    if not len(objs):
        return out, {}

    def block_stats(block: slice) -> dict[int, str]:
        rows = range(block.start, block.stop)
        counts, errors = count_batch(objs, rows, input, features, on_error)
        features.write(counts, out[block])
        out[list(errors)] = 0
        return errors

    # Few inputs may be long: small blocks share them evenly. Of many, blocks begin less often.
    size = -(-len(objs) // (16 if len(objs) < 512 else 8))
    blocks = row_blocks(len(objs), min(_BATCH, size))
    errors = reduce_blocks(
        block_stats, blocks, lambda a, b: a | b, n_jobs=n_jobs, verbose=verbose, desc="hashing"
    )
    return out, errors


def warn_of_errors(errors: dict[int, str], n: int) -> None:
    """Warn that inputs could not be read, if there are any."""
    if errors:
        row, reason = next(iter(errors.items()))
        warnings.warn(
            f"{len(errors)} of {n} inputs could not be read; their rows are zero. The first is "
            f"input {row}: {reason}",
            stacklevel=3,
        )
