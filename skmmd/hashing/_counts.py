"""What is counted of inputs while they are read: block sums of their pictures, and bytes."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmmd.hashing._digest import SMALLEST, Picture, sum_short
from skmmd.hashing._loops import count_bigrams, count_bytes
from skmmd.hashing._sources import open_source

__all__ = ["Counts", "count_batch"]

_PATIENCE = 0.001  # seconds
_BUFFER = 1 << 18  # bytes; ends with a row of every picture


class Counts(NamedTuple):
    """What is counted of a batch of inputs; without columns where no feature asks for it."""

    sums: NDArray[np.int64]  # (n, 20) block sums of the pictures
    histogram: NDArray[np.int64]  # (n, 256)
    bigrams: NDArray[np.int64]  # (n, 1024)


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
        self._has_asked = self._has_turn = False

    def take_turn(self) -> None:
        """Read while the others compute: two that read wait for the interpreter at each call.

        Where files are slow it is better to read side by side: nobody waits for long, and once
        for all files that gather before the next compiled call.
        """
        if not self._has_asked:
            self._has_asked = True
            self._has_turn = _reading.acquire(timeout=_PATIENCE)

    def _give_turn(self) -> None:
        self._has_asked = False
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
    objs: Sequence[Any], rows: range, input: str, counts: Counts, on_error: str = "raise"
) -> dict[int, str]:
    """Read some of the inputs and add to the counts; return by row why one was not read."""
    errors = {}
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
    return errors
