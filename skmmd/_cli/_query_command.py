"""``skmmd query INDEX PATHS`` finds the files of an index that resemble others."""

import argparse
from typing import Any

from skmmd._cli._files import EXIT_STATUS, Rows, add_paths, read_digests, similarity_option
from skmmd._cli._text import add_format, one_line, write, write_csv, write_json
from skmmd.hashing import MMDTIndex

__all__ = ["add_parser", "run"]

_DESCRIPTION = """
Print the files of an index that are most similar to each of PATHS, the nearest first.

Only files whose hashes begin alike are compared, within the --tolerance of the index.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser = commands.add_parser(
        "query",
        help="find the files of an index that resemble others",
        description=_DESCRIPTION,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("index", metavar="INDEX.npz", help="an index that skmmd index has written")
    add_paths(parser)
    near = parser.add_argument_group("neighbors")
    near.add_argument(
        "-k",
        type=int,
        default=5,
        metavar="K",
        help="print at most K for each file (default: 5)",
    )
    near.add_argument(
        "--threshold",
        type=similarity_option,
        metavar="T",
        help="print only similarities of at least T",
    )
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the neighbors; return 1 if a file could not be read, else 0."""
    index = MMDTIndex.load(arguments.index).set_params(n_jobs=arguments.jobs)
    found = read_digests(arguments)
    near = _neighbors(index, found, arguments)
    if arguments.csv:
        write_csv(
            ("name", "similarity", "neighbor"),
            [
                (name, *pair)
                for name, pairs in zip(found.names, near, strict=True)
                for pair in pairs
            ],
        )
    elif arguments.json:
        write_json(
            [
                {
                    "name": name,
                    "neighbors": [{"similarity": s, "name": known} for s, known in pairs],
                }
                for name, pairs in zip(found.names, near, strict=True)
            ]
        )
    else:
        for name, pairs in zip(found.names, near, strict=True):
            lines = [f"  {similarity:.4f}  {one_line(known)}" for similarity, known in pairs]
            write("\n".join([one_line(name), *(lines or ["  nothing near"])]))
    return found.status


def _neighbors(
    index: MMDTIndex, found: Rows, arguments: argparse.Namespace
) -> list[list[tuple[float, str]]]:
    """Return similarity and name of the neighbors of each digest."""
    if not found.names:
        return []
    threshold = 0.0 if arguments.threshold is None else arguments.threshold
    known = index.names_ or [str(place) for place in range(index.n_samples_fit_)]
    count = min(arguments.k, index.n_samples_fit_)
    distances, places = index.kneighbors(found.values, n_neighbors=count)
    return [
        [
            (1.0 - distance, known[place])
            for distance, place in zip(*row, strict=True)
            if place >= 0 and 1.0 - distance >= threshold
        ]
        for row in zip(distances.tolist(), places.tolist(), strict=True)
    ]
