"""Named arrays in a file without pickle: written whole or not at all, read with suspicion."""

import contextlib
import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["decode_names", "encode_names", "read_arrays", "write_arrays"]

Arrays = Mapping[str, NDArray[Any]]

_CHECKSUM = "checksum"


def _checksum(arrays: Arrays) -> NDArray[np.uint8]:
    """Return the SHA-256 of names, types, shapes and contents."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        digest.update(f"{name!r} {values.dtype.str} {np.shape(arrays[name])} ".encode())
        digest.update(values.tobytes())
    return np.frombuffer(digest.digest(), np.uint8)


def write_arrays(path: str | os.PathLike[str], arrays: Arrays) -> None:
    """Write an npz file; until all is written, a file that was there stays as it is."""
    target = Path(path)
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "Is a folder or a device, not a file", os.fspath(path))
    target = target.resolve()  # a link goes on to lead to what is replaced
    temporary = target.parent / f".{uuid.uuid4().hex}"
    try:
        with open(temporary, "xb") as file:
            np.savez(file, **arrays, **{_CHECKSUM: _checksum(arrays)})  # type: ignore[arg-type]
        if target.exists():
            shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def read_arrays(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Read all arrays of an npz file.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is no file of `write_arrays`, or damaged.
    """
    with open(path, "rb") as file:
        # Each damage raises something else: of zip, of the header, of its evaluation.
        try:
            with np.load(file, allow_pickle=False) as members:
                arrays = {name: members[name] for name in members.files}
        except Exception as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
    if not all(isinstance(values, np.ndarray) for values in arrays.values()):
        raise ValueError("it holds something else than arrays")
    known = arrays.pop(_CHECKSUM, None)
    if known is None or not np.array_equal(known, _checksum(arrays)):
        raise ValueError("its checksum does not fit its contents")
    return arrays


def encode_names(names: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return names as UTF-8, one after the other, and where they end."""
    encoded = [name.encode("utf-8", "surrogatepass") for name in names]
    ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), ends


def decode_names(content: NDArray[np.uint8], ends: NDArray[np.int64]) -> list[str]:
    """Return the names of `encode_names`."""
    if np.any(np.diff(ends, prepend=0) < 0) or (len(ends) and ends[-1] != len(content)):
        raise ValueError("the ends of the names are not in their text")
    starts = np.concatenate([[0], ends[:-1]])
    text = content.tobytes()
    return [
        text[start:end].decode("utf-8", "surrogatepass")
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]
