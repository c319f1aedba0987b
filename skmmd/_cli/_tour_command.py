"""``skmmd tour``: every estimator on real data, as a table and one page with figures."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skmmd import __version__
from skmmd.inspection._axes import check_matplotlib

if TYPE_CHECKING:
    from skmmd._cli._tour import Finding, Part

__all__ = ["add_parser", "run"]

_LINE = "{:<29}{:<38}{:<48}{:>8}"


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser = commands.add_parser(
        "tour",
        help="run every estimator on real data; prints a table, writes figures and a page",
        description="Run every estimator on the data sets that ship with scikit-learn, and on "
        "files of installed packages, print what came out, and write the figures and one HTML "
        "page that holds them all.",
    )
    parser.add_argument(
        "--output",
        default="skmmd-tour",
        metavar="DIR",
        help="folder of the page and the figures (default: skmmd-tour)",
    )
    parser.add_argument("--quick", action="store_true", help="fewer permutations and repetitions")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run all parts; print the table as it grows, and at last where the page is."""
    check_matplotlib("skmmd tour")
    # Here, so that the other commands do not wait for what the tour shows.
    from skmmd._cli._tour import PARTS, save_figures, write_page

    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    shown: list[tuple[Part, list[Finding]]] = []
    images: dict[str, dict[str, bytes]] = {}
    for part in PARTS:
        print(f"{part.title} (skmmd.{part.name})\n")
        print(_LINE.format("what", "data", "result", "time"))
        shown.append((part, []))
        images[part.name] = {}
        for finding in part.findings(arguments.quick):
            print(
                _LINE.format(
                    finding.title, finding.data, finding.outcome, f"{finding.seconds:.2f} s"
                ),
                flush=True,
            )
            shown[-1][1].append(finding)
            images[part.name] |= save_figures(folder, part, finding)
        print()
    page = folder / "index.html"
    write_page(page, shown, images, version=__version__)
    print(f"See the figures on one page: {page.resolve()}")
    return 0
