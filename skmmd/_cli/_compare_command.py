"""``skmmd compare A B`` prints the similarity of two files."""

import argparse
from typing import Any

from skmmd._cli._entries import file_entry
from skmmd._cli._files import EXIT_STATUS, METRICS, read_rows
from skmmd._cli._text import add_format, write, write_csv, write_json
from skmmd.hashing import mmdt_format, mmdt_parse, mmdt_similarity

__all__ = ["add_parser", "run"]

_DESCRIPTION = """
Print the similarity of two files, from 0 to 1.

Similarities of unrelated files are around 0.6, and of small or compressed ones often above 0.95.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser = commands.add_parser(
        "compare",
        help="print the similarity of two files",
        description=_DESCRIPTION,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name in ("first", "second"):
        parser.add_argument(
            name,
            metavar=name.upper(),
            help="a hash, a file (./NAME where the name reads as a hash), or - for standard input",
        )
    parser.add_argument("--metric", choices=METRICS, default="mmdt", help="(default: mmdt)")
    add_format(parser)
    parser.set_defaults(run=run, jobs=None)


def run(arguments: argparse.Namespace) -> int:
    """Print the similarity; return 1 if a file could not be read, else 0."""
    operands = [arguments.first, arguments.second]
    if operands == ["-", "-"]:
        raise ValueError("standard input (-) can be read only once.")
    hashes = {operand: operand for operand in operands if _is_hash(operand)}
    entries = [file_entry(operand) for operand in operands if operand not in hashes]
    if entries:
        found = read_rows(arguments, entries)
        if found.status:
            return found.status
        hashes |= dict(zip(found.names, mmdt_format(found.values), strict=True))
    similarity = mmdt_similarity(*(hashes[name] for name in operands), metric=arguments.metric)
    if arguments.csv:
        write_csv(("first", "second", "similarity"), [(*operands, similarity)])
    elif arguments.json:
        write_json({"first": operands[0], "second": operands[1], "similarity": similarity})
    else:
        write(repr(similarity))
    return 0


def _is_hash(text: str) -> bool:
    try:
        mmdt_parse([text])
    except ValueError:
        return False
    return True
