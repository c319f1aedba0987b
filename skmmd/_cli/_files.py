"""What the commands on files share: PATHS -> entries -> rows of digests or features."""

import argparse
import contextlib
import heapq
import os
import re
import shutil
import stat
import sys
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from skmmd._cli._text import one_line
from skmmd.hashing import MMDTVectorizer, mmdt_std

__all__ = [
    "EXIT_STATUS",
    "METRICS",
    "THRESHOLD",
    "Entry",
    "Rows",
    "add_paths",
    "expand",
    "file_entry",
    "named_entries",
    "progress",
    "read_digests",
    "read_rows",
]

METRICS = ("mmdt", "manhattan", "circular")
THRESHOLD = 0.95
EXIT_STATUS = """
Exit status: 0 fine; 1 something could not be read (a line on stderr for each; the rest is done);
2 error in the call.
"""

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
    """

    name: str
    source: Path | bytes | IO[bytes] | Exception


@dataclass(frozen=True)
class Rows:
    """What was read.

    Attributes
    ----------
    names : list of str
        Names of the entries that could be read.
    values : ndarray of shape (len(names), n_columns)
        Their digests or features.
    status : int
        Exit status: 1 if an entry could not be read, else 0.
    """

    names: list[str]
    values: NDArray[Any]
    status: int


def add_paths(parser: argparse.ArgumentParser) -> None:
    """Add PATHS, and the options on how they are read, to the parser of a command."""
    files = parser.add_argument_group("files")
    files.add_argument(
        "paths",
        metavar="PATHS",
        nargs="*",
        help="files, folders with all below them (symbolic links are followed; each folder is "
        "entered once), or - for standard input",
    )
    files.add_argument(
        "--files-from",
        metavar="FILE",
        help="take further PATHS from the lines of FILE, or between its NUL bytes if it has some",
    )
    files.add_argument(
        "--members",
        action="store_true",
        help="take the members of zip and tar archives, as ARCHIVE::MEMBER, for the archives",
    )
    files.add_argument(
        "--std-min",
        type=float,
        metavar="S",
        help="leave out hashes that say too little: those with an mmdt_std below S (try 10)",
    )
    files.add_argument("--jobs", type=int, metavar="N", help="threads; the result is the same")


def read_digests(arguments: argparse.Namespace) -> Rows:
    """Return the digests of PATHS, without those below ``--std-min``; say what is left out.

    Parameters
    ----------
    arguments : Namespace
        With what :func:`add_paths` adds.

    Returns
    -------
    Rows
        Digests of shape (n, 20), dtype uint8.

    Raises
    ------
    ValueError
        If there are no PATHS, or no files in them.
    """
    found = read_rows(arguments, named_entries(arguments))
    if arguments.std_min is None:
        return found
    kept = np.asarray(mmdt_std(found.values)) >= arguments.std_min
    left_out = [name for name, keep in zip(found.names, kept, strict=True) if not keep]
    if left_out:
        more = ", ..." if len(left_out) > 3 else ""
        _tell(
            arguments,
            f"{len(left_out)} of {len(found.names)} left out, mmdt_std below "
            f"{arguments.std_min:g}: {', '.join(left_out[:3])}{more}",
        )
    names = [name for name, keep in zip(found.names, kept, strict=True) if keep]
    return Rows(names, found.values[kept], found.status)


def named_entries(arguments: argparse.Namespace) -> Iterator[Entry]:
    """Return what PATHS and ``--files-from`` name.

    Parameters
    ----------
    arguments : Namespace
        With what :func:`add_paths` adds.

    Returns
    -------
    iterator of Entry
        The entries, in the order of the PATHS.

    Raises
    ------
    ValueError
        If there are no PATHS, or standard input is named twice.
    """
    paths = list(arguments.paths)
    if [*paths, arguments.files_from].count("-") > 1:
        raise ValueError("standard input (-) can be read only once.")
    if arguments.files_from:
        paths += _listed_paths(arguments.files_from)
    if not paths:
        raise ValueError("there are no PATHS; name files or folders, or - for standard input.")
    return expand(paths, members=arguments.members)


def _listed_paths(path: str) -> list[str]:
    content = _standard_input().read() if path == "-" else Path(path).read_bytes()
    separator = b"\0" if b"\0" in content else b"\n"
    return [os.fsdecode(line) for line in content.split(separator) if line]


def _standard_input() -> IO[bytes]:
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
    return Entry(path, _standard_input() if path == "-" else Path(path))


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
        yield Entry(entry.name, ValueError(f"damaged archive: {_reason(error)}"))
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
                if member.isfile():
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
                return Entry(name, content)
            with contextlib.ExitStack() as open_until_hashed:
                file = open_until_hashed.enter_context(tempfile.TemporaryFile())
                file.write(content)
                shutil.copyfileobj(stream, file)
                file.seek(0)
                open_until_hashed.pop_all()
            return Entry(name, file)
    except Exception as error:
        return Entry(name, error)


def read_rows(
    arguments: argparse.Namespace,
    entries: Iterable[Entry],
    features: str | Sequence[str] = "all",
) -> Rows:
    """Return features of all entries that can be read; tell which cannot, and why.

    Parameters
    ----------
    arguments : Namespace
        With the command and ``jobs``.
    entries : iterable of Entry
        What to read.
    features : str or sequence of str, default="all"
        As in MMDTVectorizer; "all" is the digest.

    Returns
    -------
    Rows
        The features.

    Raises
    ------
    ValueError
        If there are no entries.
    """
    vectorizer = MMDTVectorizer(
        features=features,
        on_error="warn",
        n_jobs=arguments.jobs,
        verbose=progress(),
    )
    names: list[str] = []
    blocks: list[NDArray[Any]] = []
    n_entries = 0
    for batch in _batches(entries):
        n_entries += len(batch)
        readable = []
        for entry in batch:
            if isinstance(entry.source, Exception):
                _tell(arguments, f"{entry.name}: {_reason(entry.source)}")
            else:
                readable.append(entry)
        if readable:
            values, reasons = _transform(vectorizer, [entry.source for entry in readable])
            for row, reason in reasons.items():
                _tell(arguments, f"{readable[row].name}: {reason}")
            kept = [row for row in range(len(readable)) if row not in reasons]
            names += [readable[row].name for row in kept]
            blocks.append(values[kept])
    if n_entries == 0:
        raise ValueError("there are no files in these PATHS.")
    values = np.concatenate(blocks) if blocks else np.empty((0, 20), np.uint8)
    return Rows(names, values, int(len(names) < n_entries))


def _transform(
    vectorizer: MMDTVectorizer, sources: list[Any]
) -> tuple[NDArray[Any], dict[int, str]]:
    """Return the features, and by row why there are none; close what was held for it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the same reasons, with less care
            values = vectorizer.transform(sources)
    finally:
        for source in sources:
            if hasattr(source, "close") and source is not getattr(sys.stdin, "buffer", None):
                source.close()
    return values, {row: _bare(reason) for row, reason in vectorizer.errors_.items()}


def progress() -> int:
    """Return the verbosity of long work: a progress bar is for terminals.

    Returns
    -------
    int
        1 or 0.
    """
    return int(sys.stderr is not None and sys.stderr.isatty())


def _batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Yield the entries in lists: all at once, but for what members of archives would hold."""
    batch: list[Entry] = []
    held = 0
    for entry in entries:
        batch.append(entry)
        if isinstance(entry.source, bytes):
            held += len(entry.source)
        elif not isinstance(entry.source, (Path, Exception)):
            held += _SMALL
        if held >= _MOST_HELD:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _tell(arguments: argparse.Namespace, text: str) -> None:
    print(one_line(f"skmmd {arguments.command}: {text}"), file=sys.stderr)


def _reason(error: Exception) -> str:
    """Return an error in a few words, without the name of the file where it has one."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _bare(reason: str) -> str:
    """Return the reason of the vectorizer without the name of the file, which is told before."""
    return re.sub(r"^\w+: (?:\[Errno -?\d+\] ([^:]*): .*)?", r"\1", reason, flags=re.DOTALL)
