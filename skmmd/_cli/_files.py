"""What the commands on files share: options and entries -> rows of digests or features."""

import argparse
import errno
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmmd._cli._entries import Entry, batches, expand, reason, standard_input
from skmmd._cli._text import one_line
from skmmd.hashing import MMDTVectorizer, mmdt_std

__all__ = [
    "EXIT_STATUS",
    "METRICS",
    "THRESHOLD",
    "Rows",
    "add_paths",
    "check_folder",
    "named_entries",
    "progress",
    "read_digests",
    "read_rows",
    "similarity_option",
]

METRICS = ("mmdt", "manhattan", "circular")
THRESHOLD = 0.95
EXIT_STATUS = """
Exit status: 0 fine; 1 something could not be read (a line on stderr for each; the rest is done);
2 error in the call.
"""


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


def similarity_option(text: str) -> float:
    """Return a similarity that was given as an option.

    Parameters
    ----------
    text : str
        The value of the option.

    Returns
    -------
    float
        It as a number from 0 to 1.

    Raises
    ------
    ArgumentTypeError
        If it is none.
    """
    value = float(text)
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"must be from 0 to 1, got {text}")
    return value


def _std(text: str) -> float:
    value = float(text)
    if not value >= 0.0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, got {text}")
    return value


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
        type=_std,
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


def check_folder(path: str) -> None:
    """Raise if there is no folder to write a file to: before the work that it would hold.

    Parameters
    ----------
    path : str
        The file.

    Raises
    ------
    FileNotFoundError
        If its folder does not exist.
    """
    if not Path(path).parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


def _listed_paths(path: str) -> list[str]:
    content = standard_input().read() if path == "-" else Path(path).read_bytes()
    separator = b"\0" if b"\0" in content else b"\n"
    return [os.fsdecode(line) for line in content.split(separator) if line]


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
    for batch in batches(entries):
        n_entries += len(batch)
        readable = []
        for entry in batch:
            if isinstance(entry.source, Exception):
                _tell(arguments, f"{entry.name}: {reason(entry.source)}")
            else:
                readable.append(entry)
        if readable:
            values, reasons = _transform(vectorizer, [entry.source for entry in readable])
            for row, why in reasons.items():
                name = readable[row].name
                _tell(arguments, f"{name}: {why.removeprefix(f'{name} ')}")
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


def _tell(arguments: argparse.Namespace, text: str) -> None:
    print(one_line(f"skmmd {arguments.command}: {text}"), file=sys.stderr)


def _bare(reason: str) -> str:
    """Return the reason of the vectorizer without the name of the file, which is told before."""
    return re.sub(r"^\w+: (?:\[Errno -?\d+\] ([^:]*): .*)?", r"\1", reason, flags=re.DOTALL)
