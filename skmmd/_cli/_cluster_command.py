"""``skmmd cluster PATHS`` groups files that resemble each other."""

import argparse
from collections.abc import Sequence
from typing import Any

from skmmd._cli._files import (
    EXIT_STATUS,
    METRICS,
    THRESHOLD,
    add_paths,
    named_entries,
    progress,
    read_digests,
    read_rows,
    similarity_option,
)
from skmmd._cli._text import add_format, one_line, write, write_csv, write_json
from skmmd.hashing import mmdt_pairs

__all__ = ["add_parser", "run"]

_FEATURES = ("histogram", "bigrams")
_DESCRIPTION = """
Group near-duplicates: files that are connected by similarities of at least --threshold, over
others if need be. Or, with --kmeans, put files into K clusters by KMeans on their features.

The text leaves out files that resemble no other; CSV and JSON hold them as clusters of one.
"""


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser = commands.add_parser(
        "cluster",
        help="group near-duplicates, or files of a kind",
        description=_DESCRIPTION,
        epilog=EXIT_STATUS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_paths(parser)
    duplicates = parser.add_argument_group("near-duplicates")
    duplicates.add_argument("--metric", choices=METRICS, help="(default: mmdt)")
    duplicates.add_argument(
        "--threshold",
        type=similarity_option,
        metavar="T",
        help=f"smallest similarity of near-duplicates (default: {THRESHOLD})",
    )
    kinds = parser.add_argument_group("clusters of a kind")
    kinds.add_argument("--kmeans", type=int, metavar="K", help="number of clusters")
    kinds.add_argument(
        "--features",
        type=lambda text: text.split(","),
        metavar="A,B,...",
        help="features of MMDTVectorizer: sensitive, index, all, sums, circular, histogram or "
        f"bigrams, several with commas between (default: {','.join(_FEATURES)})",
    )
    kinds.add_argument("--seed", type=int, metavar="N", help="of KMeans (default: 0)")
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the clusters; return 1 if a file could not be read, else 0."""
    without, others = (
        (("--features", "--seed"), "goes with --kmeans")
        if arguments.kmeans is None
        else (("--threshold", "--metric", "--std-min"), "is about MMDT hashes; leave out --kmeans")
    )
    for option in without:
        if getattr(arguments, option.removeprefix("--").replace("-", "_")) is not None:
            raise ValueError(f"{option} {others}.")
    if arguments.kmeans is None:
        names, labels, status = _near_duplicates(arguments)
    else:
        names, labels, status = _kinds(arguments)
    clusters: dict[int, list[str]] = {}
    for name, label in zip(names, labels, strict=True):
        clusters.setdefault(label, []).append(name)
    _print_clusters(arguments, sorted(clusters.values(), key=len, reverse=True))
    return status


def _near_duplicates(arguments: argparse.Namespace) -> tuple[list[str], Sequence[int], int]:
    from scipy.sparse.csgraph import connected_components

    found = read_digests(arguments)
    pairs = mmdt_pairs(
        found.values,
        threshold=THRESHOLD if arguments.threshold is None else arguments.threshold,
        metric=arguments.metric or "mmdt",
        n_jobs=arguments.jobs,
        verbose=progress(),
    )
    _, labels = connected_components(pairs, directed=False)
    return found.names, labels.tolist(), found.status


def _kinds(arguments: argparse.Namespace) -> tuple[list[str], Sequence[int], int]:
    from sklearn.cluster import KMeans

    found = read_rows(arguments, named_entries(arguments), arguments.features or _FEATURES)
    if not found.names:
        return [], [], found.status
    kmeans = KMeans(arguments.kmeans, n_init=10, random_state=arguments.seed or 0)
    return found.names, kmeans.fit_predict(found.values).tolist(), found.status


def _print_clusters(arguments: argparse.Namespace, clusters: list[list[str]]) -> None:
    """Print the clusters, which come with the largest first."""
    if arguments.csv:
        write_csv(
            ("cluster", "name"),
            [(number, name) for number, names in enumerate(clusters, 1) for name in names],
        )
    elif arguments.json:
        write_json(clusters)
    else:
        alone = 0 if arguments.kmeans else [len(names) for names in clusters].count(1)
        shown = clusters[: len(clusters) - alone]
        for number, names in enumerate(shown, 1):
            lines = [f"cluster {number}: {len(names)} files", *(f"  {one_line(n)}" for n in names)]
            write("\n".join([*lines, ""]))
        rest = "" if arguments.kmeans else f"; {alone} files resemble no other"
        write(f"{len(shown)} clusters{rest}")
