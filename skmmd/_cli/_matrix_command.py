"""``skmmd matrix PATHS`` prints the similarities of files with each other."""

import argparse
from typing import Any

from skmmd._cli._figures import check_figure, save_similarity
from skmmd._cli._files import (
    EXIT_STATUS,
    METRICS,
    THRESHOLD,
    Rows,
    add_paths,
    progress,
    read_digests,
    similarity_option,
)
from skmmd._cli._text import add_format, format_table, one_line, write, write_csv, write_json
from skmmd.hashing import mmdt_pairs, mmdt_similarity

__all__ = ["add_parser", "run"]

_DESCRIPTION = """
Print the similarities of files with each other, from 0 to 1: the matrix, or with --pairs the
similar pairs only, for which the matrix is never held.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser = commands.add_parser(
        "matrix",
        help="print the similarities of files with each other, or the similar pairs",
        description=_DESCRIPTION,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_paths(parser)
    similarity = parser.add_argument_group("similarity")
    similarity.add_argument("--metric", choices=METRICS, default="mmdt", help="(default: mmdt)")
    similarity.add_argument("--pairs", action="store_true", help="print the similar pairs only")
    similarity.add_argument(
        "--threshold",
        type=similarity_option,
        metavar="T",
        help=f"smallest similarity of --pairs (default: {THRESHOLD})",
    )
    add_format(parser).add_argument(
        "--plot", metavar="FILE.png", help="write a figure of the matrix, similar files together"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the matrix or the pairs; return 1 if a file could not be read, else 0."""
    if arguments.threshold is not None and not arguments.pairs:
        raise ValueError("--threshold goes with --pairs: the matrix has all similarities.")
    if arguments.plot and arguments.pairs:
        raise ValueError("--plot draws the matrix; leave out --pairs.")
    if arguments.plot:
        check_figure(arguments.plot)
    found = read_digests(arguments)
    if arguments.pairs:
        _print_pairs(arguments, found)
    else:
        _print_matrix(arguments, found)
    return found.status


def _print_pairs(arguments: argparse.Namespace, found: Rows) -> None:
    threshold = THRESHOLD if arguments.threshold is None else arguments.threshold
    similar = mmdt_pairs(
        found.values,
        threshold=threshold,
        metric=arguments.metric,
        n_jobs=arguments.jobs,
        verbose=progress(),
    ).tocoo()
    positions = zip(similar.row.tolist(), similar.col.tolist(), strict=True)
    pairs = [
        (similarity, found.names[first], found.names[second])
        for similarity, (first, second) in sorted(
            zip(similar.data.tolist(), positions, strict=True), key=lambda pair: (-pair[0], pair[1])
        )
    ]
    header = ("similarity", "first", "second")
    if arguments.csv:
        write_csv(header, pairs)
    elif arguments.json:
        write_json([dict(zip(header, pair, strict=True)) for pair in pairs])
    elif pairs:
        write(
            format_table(
                [
                    (f"{similarity:.4f}", one_line(first), one_line(second))
                    for similarity, first, second in pairs
                ]
            )
        )


def _print_matrix(arguments: argparse.Namespace, found: Rows) -> None:
    names = found.names
    matrix = mmdt_similarity(found.values, metric=arguments.metric, n_jobs=arguments.jobs)
    if arguments.plot and names:
        save_similarity(arguments.plot, matrix, [one_line(name) for name in names])
    if arguments.csv:
        write_csv(
            ("", *names),
            ((name, *row.tolist()) for name, row in zip(names, matrix, strict=True)),
        )
    elif arguments.json:
        write_json({"metric": arguments.metric, "names": names, "similarity": matrix.tolist()})
    elif names:
        numbers = [str(number) for number in range(1, len(names) + 1)]
        rows = [
            (number, one_line(name), *(f"{value:.4f}" for value in row))
            for number, name, row in zip(numbers, names, matrix, strict=True)
        ]
        right = (0, *range(2, len(names) + 2))
        write(format_table(rows, header=("", "name", *numbers), right=right))
