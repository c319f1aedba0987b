"""What PATHS stand for: files, what is below folders, members of archives, standard input."""

import contextlib
import heapq
import os
import shutil
import stat
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

__all__ = ["Entry", "batches", "expand", "file_entry", "reason", "standard_input"]

# Members of archives are held while they wait for each other: small ones in memory.
_SMALL = 1 << 22
_MOST_HELD = 1 << 26

_Opened = Callable[[], Any]


@dataclass(frozen=True)
class Entry:
    """Something to be hashed.

    Attributes
    ----------
    name : str
        What it is called in the output.
    source : Path, bytes, binary file or Exception
        Where its bytes are; or why it cannot be read.
    n_held : int
        Number of bytes that are kept in memory or in a temporary file until it is hashed.
    """

    name: str
    source: Path | bytes | IO[bytes] | Exception
    n_held: int = 0


def standard_input() -> IO[bytes]:
    """Return standard input, to be read as bytes."""
    if sys.stdin is None:
        raise ValueError("standard input is closed.")
    return sys.stdin.buffer


def expand(paths: Iterable[str], *, members: bool = False) -> Iterator[Entry]:
    """Yield the entries that paths stand for.

    Parameters
    ----------
    paths : iterable of str
        Files, folders, and "-" for standard input.
    members : bool, default=False
        Whether zip and tar archives stand for their members.

    Yields
    ------
    Entry
        Those of a folder sorted by name, those of an archive in its own order.
    """
    for path in paths:
        for entry in _below(path) if os.path.isdir(path) else [file_entry(path)]:
            if members and isinstance(entry.source, Path) and entry.source.is_file():
                yield from _members(entry)
            else:
                yield entry


def file_entry(path: str) -> Entry:
    """Return the entry of a file.

    Parameters
    ----------
    path : str
        Its path; "-" for standard input.

    Returns
    -------
    Entry
        The file, named as it was given.
    """
    return Entry(path, standard_input() if path == "-" else Path(path))


def _below(top: str) -> list[Entry]:
    """Return the regular files below a folder, sorted.

    Each folder is entered once, links to folders last: so links can neither lead in circles nor
    take the place of the real name.
    """
    entries: list[Entry] = []
    entered: set[tuple[int, int]] = set()
    folders, links = [top], list[str]()
    while folders or links:
        folder = folders.pop() if folders else heapq.heappop(links)
        try:
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in entered:
                continue
            entered.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as scanned:
                children = sorted(scanned, key=lambda child: child.name)
        except OSError as error:
            entries.append(Entry(folder, error))
            continue
        for child in children:
            try:
                mode = child.stat().st_mode
            except OSError as error:  # a dangling link, say
                entries.append(Entry(child.path, error))
                continue
            if stat.S_ISREG(mode):
                entries.append(Entry(child.path, Path(child.path)))
            elif stat.S_ISDIR(mode) and child.is_symlink():
                heapq.heappush(links, child.path)
            elif stat.S_ISDIR(mode):
                folders.append(child.path)
    return sorted(entries, key=lambda entry: entry.name)


def _members(entry: Entry) -> Iterator[Entry]:
    """Yield the members of an archive; the file itself if it is none, or has no members."""
    n_members = 0
    try:
        for name, opened in _opened_members(entry.source):
            n_members += 1
            yield _held(f"{entry.name}::{name}", opened)
    except Exception as error:  # damaged archives raise errors of a dozen kinds
        yield Entry(entry.name, ValueError(f"damaged archive: {reason(error)}"))
        return
    if n_members == 0:
        yield entry


def _opened_members(path: Any) -> Iterator[tuple[str, _Opened]]:
    """Yield the name of each regular file in an archive, and what opens it."""
    if _is_archive(zipfile.is_zipfile, path):
        with zipfile.ZipFile(path) as zipped:
            for info in zipped.infolist():
                if not info.is_dir():
                    yield info.filename, partial(zipped.open, info)
    elif _is_archive(tarfile.is_tarfile, path):
        with tarfile.open(path) as tarred:
            for member in tarred:
                if member.isfile() or member.islnk():  # a hard link has the content, too
                    yield member.name, partial(tarred.extractfile, member)


def _is_archive(test: Callable[[Any], bool], path: Any) -> bool:
    try:
        return test(path)
    except Exception:  # a damaged compressed file, say: a file like any other
        return False


def _held(name: str, opened: _Opened) -> Entry:
    """Return a member that outlives the reading of its archive, or why it cannot be read."""
    try:
        with opened() as stream:
            content = stream.read(_SMALL)
            if len(content) < _SMALL:
                return Entry(name, content, len(content))
            with contextlib.ExitStack() as open_until_hashed:
                file = open_until_hashed.enter_context(tempfile.TemporaryFile())
                file.write(content)
                shutil.copyfileobj(stream, file)
                size = file.tell()
                file.seek(0)
                open_until_hashed.pop_all()
            return Entry(name, file, size)
    except Exception as error:
        return Entry(name, error)


def batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Put entries in lists: in one, but for what members of archives would hold.

    Parameters
    ----------
    entries : iterable of Entry
        The entries.

    Yields
    ------
    list of Entry
        Those to be read together.
    """
    batch: list[Entry] = []
    held = 0
    for entry in entries:
        batch.append(entry)
        held += entry.n_held
        if held >= _MOST_HELD:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def reason(error: Exception) -> str:
    """Return an error in a few words, without the name of the file where it has one."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
