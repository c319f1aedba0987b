"""``skmmd index PATHS -o FILE.npz`` keeps the hashes of files, for ``skmmd query``."""

import argparse
from typing import Any

from skmmd._cli._files import EXIT_STATUS, METRICS, add_paths, check_folder, read_digests
from skmmd._cli._text import one_line, write
from skmmd.hashing import MMDTIndex

__all__ = ["add_parser", "run"]

_DESCRIPTION = """
Hash files and keep hashes and names in an index, in which skmmd query finds similar files.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser = commands.add_parser(
        "index",
        help="keep the hashes of files in an index",
        description=_DESCRIPTION,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_paths(parser)
    index = parser.add_argument_group("index")
    index.add_argument(
        "-o", "--output", required=True, metavar="FILE.npz", help="where to write the index"
    )
    index.add_argument("--metric", choices=METRICS, default="mmdt", help="(default: mmdt)")
    index.add_argument(
        "--tolerance",
        type=_tolerance,
        default=1,
        metavar="D",
        help="compare hashes whose index bytes differ by at most D each, or none for all "
        "(default: 1)",
    )
    parser.set_defaults(run=run)


def _tolerance(text: str) -> int | None:
    if text == "none":
        return None
    if not text.isdecimal() or int(text) > 255:
        raise argparse.ArgumentTypeError(f"must be from 0 to 255, or none; got {text}")
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Write the index; return 1 if a file could not be read, else 0."""
    check_folder(arguments.output)
    found = read_digests(arguments)
    if found.names:
        index = MMDTIndex(tolerance=arguments.tolerance, metric=arguments.metric)
        index.fit(found.values, names=found.names).save(arguments.output)
        write(one_line(f"{len(found.names)} hashes in {arguments.output}"))
    elif not found.status:
        raise ValueError(f"no hash is left for {arguments.output}; lower --std-min.")
    return found.status
