"""``skmmd hash PATHS`` prints the MMDT hash of files."""

import argparse
from typing import Any

import numpy as np

from skmmd._cli._files import EXIT_STATUS, add_paths, read_digests
from skmmd._cli._text import add_format, one_line, write, write_csv, write_json
from skmmd.hashing import mmdt_format, mmdt_std

__all__ = ["add_parser", "run"]

_DESCRIPTION = """
Print the MMDT hash of files: the hash alone for one file, else a line "HASH  NAME" for each.

JSON and CSV add mmdt_std, which says how much the hash tells: below 10 it is too little.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser = commands.add_parser(
        "hash",
        help="print the MMDT hash of files",
        description=_DESCRIPTION,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_paths(parser)
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the hashes; return 1 if a file could not be read, else 0."""
    found = read_digests(arguments)
    hashes = mmdt_format(found.values)
    if arguments.json or arguments.csv:
        figures = np.asarray(mmdt_std(found.values)).tolist()
        rows = list(zip(hashes, found.names, figures, strict=True))
        if arguments.csv:
            write_csv(("hash", "name", "std"), rows)
        else:
            write_json([dict(zip(("hash", "name", "std"), row, strict=True)) for row in rows])
    elif found.names == arguments.paths and len(hashes) == 1 and not arguments.files_from:
        write(hashes[0])
    elif hashes:
        write(
            "\n".join(
                f"{text}  {one_line(name)}" for text, name in zip(hashes, found.names, strict=True)
            )
        )
    return found.status
