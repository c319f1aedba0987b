"""The MMDT hash of bytes, defined to the bit: a picture, resampled twice, summed in blocks.

length -> height and width                                  (picture_shape)
rows -> 16 x 16 and 64 x 64 pixels -> sums of their blocks  (Picture; PictureBatch for short inputs)
sums -> 4 index bytes and 16 sensitive bytes                (digest_of_sums)
"""

import functools

import numpy as np
from numpy.typing import NDArray

from skmmd.hashing._loops import (
    UNROLL,
    add_rows,
    block_sums,
    column_taps,
    sum_pictures,
    weight_sums,
)

__all__ = ["N_INDEX", "N_SENSITIVE", "SMALLEST", "Picture", "digest_of_sums", "sum_short"]

ByteArray = NDArray[np.uint8]
IntArray = NDArray[np.int64]
Table = tuple[NDArray[np.int64], NDArray[np.int32]]

N_INDEX = 4
N_SENSITIVE = 16
SMALLEST = 4096  # shorter inputs are padded with zeros
_WIDTHS = (32, 64, 128, 256)

_INDEX_SHIFT = 6
_SENSITIVE_SHIFT = 5


def _constants(
    size: int, none: tuple[int, ...], double: tuple[int, ...], text: bytes
) -> NDArray[np.int32]:
    """Return factors and offsets of the pixels of a block, shape (2, size).

    The offset is 0 for a zero bit of the text; its ones become -1, 1, -1, 1, ...
    """
    factors = np.ones(size, np.int32)
    factors[list(none)] = 0
    factors[list(double)] = 2
    offsets = np.unpackbits(np.frombuffer(text, np.uint8)).astype(np.int32)
    offsets[np.flatnonzero(offsets)[::2]] = -1
    return np.stack([factors, offsets])


_INDEX_CONSTANTS = _constants(64, (26, 29, 38), (32, 51, 55), b"ddvv0327")
_SENSITIVE_CONSTANTS = _constants(
    256,
    (11, 70, 75, 76, 127, 196, 228, 251),
    (22, 29, 41, 50, 57, 182, 246),
    b"19900203199010302019052200000000",
)


def picture_shape(length: int) -> tuple[int, int]:
    """Return height and width of the picture of so many bytes."""
    size = max(length, SMALLEST)
    width = 256 if size > 131072 else 128 if size > 32768 else 64 if size > 8192 else 32
    return size // width, width


def _column_table(width: int, n_pixels: int) -> Table:
    """Return first sources and weights of a column pass."""
    n_taps = 6 * max(width // n_pixels, 1)
    n_taps = min(-(-n_taps // UNROLL) * UNROLL, width)
    sums, starts = np.empty(n_pixels), np.empty(n_pixels, np.int64)
    taps = np.empty((n_pixels, n_taps), np.int32)
    weight_sums(width, n_pixels, sums)
    column_taps(width, n_pixels, sums, starts, taps)
    return starts, taps


@functools.cache
def _column_tables(n_pixels: int) -> tuple[Table, ...]:
    return tuple(_column_table(width, n_pixels) for width in _WIDTHS)


@functools.lru_cache(maxsize=4096)  # 640 bytes each; short inputs share their heights
def _row_sums(height: int) -> NDArray[np.float64]:
    sums = np.empty(80)
    weight_sums(height, 16, sums[:16])
    weight_sums(height, 64, sums[16:])
    return sums


def sum_short(content: ByteArray, starts: IntArray, lengths: IntArray, sums: IntArray) -> None:
    """Write the block sums of inputs that stand in one array, with zeros up to SMALLEST bytes.

    Parameters
    ----------
    content : uint8 array (n_bytes,)
        The inputs.
    starts, lengths : int64 arrays (n,)
        Where they begin, and how many bytes they have.
    sums : int64 array (n, 20)
        Output.
    """
    shapes = [picture_shape(length) for length in lengths.tolist()]
    row_sums = np.empty((len(shapes), 80))
    for row, (height, _) in enumerate(shapes):
        row_sums[row] = _row_sums(height)
    sum_pictures(
        content,
        starts,
        np.array(shapes),
        row_sums,
        _column_tables(16),
        _column_tables(64),
        _INDEX_CONSTANTS,
        _SENSITIVE_CONSTANTS,
        sums,
    )


class Picture:
    """The two resampled pictures of one long input, whose bytes come in from start to end.

    Parameters
    ----------
    length : int
        Number of bytes that will come, `SMALLEST` or more.
    """

    def __init__(self, length: int) -> None:
        self._height, self._width = picture_shape(length)
        self._row = 0
        self._coarse = np.full((16, 16), 1 << 21, np.int32)
        self._fine = np.full((64, 64), 1 << 21, np.int32)

    def add(self, chunk: ByteArray) -> None:
        """Take the next bytes; unless they are the last, a multiple of 256 of them."""
        n_rows = min(len(chunk) // self._width, self._height - self._row)
        code = _WIDTHS.index(self._width)
        sums = _row_sums(self._height)
        add_rows(
            chunk[: n_rows * self._width].reshape(n_rows, self._width),
            self._row,
            self._height,
            _column_tables(16)[code],
            _column_tables(64)[code],
            sums[:16],
            sums[16:],
            self._coarse,
            self._fine,
        )
        self._row += n_rows

    def sums(self, out: IntArray) -> None:
        """Write the 4 block sums of the index hash and the 16 of the sensitive hash."""
        block_sums(self._coarse, self._fine, _INDEX_CONSTANTS, _SENSITIVE_CONSTANTS, out)


def digest_of_sums(sums: IntArray) -> ByteArray:
    """Return the bytes of the hash, shape (n, 20), from the block sums."""
    digests = np.empty(sums.shape, np.uint8)
    index, sensitive = sums[:, :N_INDEX], sums[:, N_INDEX:]
    np.right_shift(index, _INDEX_SHIFT, out=digests[:, :N_INDEX], casting="unsafe")
    np.right_shift(sensitive, _SENSITIVE_SHIFT, out=digests[:, N_INDEX:], casting="unsafe")
    return digests
