"""Inputs as bytes of a known length: contents in memory, paths, and open files."""

import contextlib
import errno
import io
import os
import stat
import tempfile
from typing import Any

__all__ = ["INPUTS", "Source", "is_bytes_like", "is_raw", "open_source"]

INPUTS = ("content", "filename", "file")
_PART = 1 << 20
_SPOOL = 1 << 26  # a stream of unknown length is kept in memory up to here, then on disk


def is_bytes_like(obj: Any) -> bool:
    """Tell whether an object exposes its bytes: bytes, bytearray, an array of them, mmap, ..."""
    if isinstance(obj, (bytes, bytearray)):
        return True
    try:
        view = memoryview(obj)
    except (TypeError, ValueError):
        return False
    return view.ndim > 0 and view.format.lstrip("@=<>!") in ("B", "b", "c")


def is_file(obj: Any) -> bool:
    """Tell whether an object can be read; a frame may have a column of that name."""
    return callable(getattr(obj, "read", None))


def is_raw(obj: Any) -> bool:
    """Tell whether an object is one input: text, bytes, a path or an open file."""
    return isinstance(obj, (str, os.PathLike)) or is_file(obj) or is_bytes_like(obj)


class Source:
    """Bytes of known length, read from start to end; to be closed.

    Parameters
    ----------
    file : binary file object
        Stands at the first byte.
    length : int
        How many bytes there are.
    name : str, bytes or path-like
        What errors call it.
    owned : bool
        Whether `close` closes the file.
    """

    __slots__ = ("_file", "_name", "_owned", "length")

    def __init__(self, file: Any, length: int, name: Any, *, owned: bool) -> None:
        self._file = file
        self._name = name
        self._owned = owned
        self.length = length

    def fill(self, buffer: memoryview, *, last: bool) -> None:
        """Write the next bytes to the buffer, all but its last byte.

        That place is for one byte more, which does not come where the length is right: `last`
        says that it may not.
        """
        wanted = len(buffer) - 1
        count = self._read_into(buffer if last else buffer[:wanted], wanted)
        if count != wanted:
            name = os.fsdecode(self._name)
            change = "more" if count > wanted else "fewer"
            raise ValueError(
                f"{name} gave {change} bytes than its size of {self.length}: it changed while it "
                "was read, or its size is not that of its content. Copy it first."
            )

    def _read_into(self, buffer: memoryview, wanted: int) -> int:
        """Read until so many bytes have come or the file ends; return their number."""
        try:
            count: int = self._file.readinto(buffer) or 0
            while count < wanted:
                more = self._file.readinto(buffer[count:])
                if not more:
                    break
                count += more
        except OSError as error:
            raise _named(error, os.fsdecode(self._name)) from None
        return count

    def close(self) -> None:
        """Close what was opened here."""
        if self._owned:
            self._file.close()


class _Content:
    """A source in memory."""

    __slots__ = ("_position", "_view", "length")

    def __init__(self, content: Any) -> None:
        view = memoryview(content)
        whole = view.c_contiguous and view.nbytes > 0  # an empty one cannot be cast
        self._view = view.cast("B") if whole else memoryview(view.tobytes())
        self._position = 0
        self.length = len(self._view)

    def fill(self, buffer: memoryview, *, last: bool) -> None:
        end = self._position + len(buffer) - 1
        buffer[:-1] = self._view[self._position : end]
        self._position = end

    def close(self) -> None:
        self._view.release()


def open_source(obj: Any, input: str) -> Source | _Content:
    """Open one input.

    Parameters
    ----------
    obj : bytes-like, str, path or binary file object
        A path-like object is always read, and so is a file object, from where it stands.
    input : {"content", "filename", "file"}
        What bytes and text are: the content (text as UTF-8), or the name of a file.

    Returns
    -------
    Source
        With ``length``, ``fill`` and ``close``.

    Raises
    ------
    TypeError
        If the object is none of these, or a file that is open as text.
    OSError
        If a file cannot be read; IsADirectoryError for a folder.
    ValueError
        If a file is closed.
    """
    if isinstance(obj, str):
        if input == "filename":
            return _open_path(obj)
        if input == "content":
            return _Content(obj.encode("utf-8"))
    elif isinstance(obj, os.PathLike) or (input == "filename" and isinstance(obj, bytes)):
        return _open_path(obj)
    elif input == "content" and is_bytes_like(obj):
        return _Content(obj)
    elif is_file(obj):
        return _open_file(obj)
    wanted = {
        "content": "bytes, text (as UTF-8), a path-like object or a binary file object",
        "filename": "the name of a file, a path-like object or a binary file object",
        "file": "a binary file object or a path-like object",
    }[input]
    raise TypeError(f"input={input!r} takes {wanted}, got {type(obj).__name__}.")


def _open_path(path: Any) -> Source:
    file = open(path, "rb", buffering=0)  # noqa: SIM115 - the source closes it
    try:
        status = os.fstat(file.fileno())
        regular = stat.S_ISREG(status.st_mode)
        if regular and status.st_size > 0:
            return Source(file, status.st_size, path, owned=True)
        name = os.fsdecode(path)
        if not regular and (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
            raise OSError(errno.EINVAL, "Is a device, which need not end", name)
        # A pipe tells no length, and files of the kernel's say 0.
        spooled = _spool(file, name)
    except BaseException:
        file.close()
        raise
    file.close()
    return spooled


def _open_file(file: Any) -> Source:
    name = repr(getattr(file, "name", file))
    if not isinstance(file.read(0), bytes):
        raise TypeError(f"{name} is open as text; open it in binary mode, as by 'rb'.")
    start = end = 0
    if hasattr(file, "readinto"):
        # A stream cannot seek, and one that is decompressed while read may not know its end.
        with contextlib.suppress(AttributeError, OSError, ValueError):
            start, end = file.tell(), -1
            end = file.seek(0, io.SEEK_END)
            file.seek(start)
    # Files of the kernel's say that they end where they begin.
    if end > start:
        return Source(file, end - start, name, owned=False)
    return _spool(file, name)


def _spool(file: Any, name: str) -> Source:
    """Copy a stream to its end, since its length has to be known."""
    copy = tempfile.SpooledTemporaryFile(max_size=_SPOOL)  # noqa: SIM115 - the source closes it
    try:
        try:
            while part := file.read(_PART):
                copy.write(part)
        except OSError as error:
            raise _named(error, name) from None
        if part is None or not _blocks(file):
            raise BlockingIOError(
                errno.EAGAIN, "Is not blocking, so that its end cannot be told", name
            )
        length = copy.tell()
        copy.seek(0)
    except BaseException:
        copy.close()
        raise
    return Source(copy, length, name, owned=True)


def _named(error: OSError, name: str) -> OSError:
    """Return the error with the name of the file, which those of reading lack."""
    if error.errno is None or error.filename is not None:
        return error
    return type(error)(error.errno, error.strerror, name)


def _blocks(file: Any) -> bool:
    # A buffered reader says "end" where its non-blocking stream says "nothing yet".
    try:
        return os.get_blocking(file.fileno())
    except (AttributeError, OSError, ValueError):
        return True
