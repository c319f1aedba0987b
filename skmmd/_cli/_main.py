"""The entry point: which commands there are, and how their errors are told."""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from skmmd import __version__
from skmmd._cli._cluster_command import add_parser as add_cluster
from skmmd._cli._compare_command import add_parser as add_compare
from skmmd._cli._hash_command import add_parser as add_hash
from skmmd._cli._index_command import add_parser as add_index
from skmmd._cli._matrix_command import add_parser as add_matrix
from skmmd._cli._query_command import add_parser as add_query
from skmmd._cli._test_command import add_parser as add_test
from skmmd._cli._tour_command import add_parser as add_tour
from skmmd._cli._versions_command import add_parser as add_versions

__all__ = ["main"]

_COMMANDS = (
    add_tour,
    add_test,
    add_hash,
    add_compare,
    add_matrix,
    add_index,
    add_query,
    add_cluster,
    add_versions,
)
_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    Parameters
    ----------
    argv : sequence of str, default=None
        Arguments; None takes those of the process.

    Returns
    -------
    int
        Exit status: 2 for an error, else what the command returns.
    """
    arguments = _parser().parse_args(argv)
    name = f"skmmd {arguments.command}"
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: print(
                f"{name}: warning: {message}", file=sys.stderr
            )
            status: int = arguments.run(arguments)
        if sys.stdout is not None:  # None: the caller has closed it
            sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader has gone, as in `skmmd test ... | head`: nothing is left to say to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _ERROR
    except (ValueError, TypeError, OSError, ImportError, MemoryError) as error:
        print(f"{name}: error: {error or type(error).__name__}", file=sys.stderr)
        return _ERROR
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="skmmd", description="Kernel methods around the maximum mean discrepancy (MMD)."
    )
    parser.add_argument("--version", action="version", version=f"skmmd {__version__}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=_CommandParser
    )
    for add_parser in _COMMANDS:
        add_parser(commands)
    return parser


class _CommandParser(argparse.ArgumentParser):
    """Takes options between the files, too, as in `skmmd query INDEX.npz -k 2 PATHS`."""

    _mixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        # The mixing calls this very method, and takes "--" for the end of the files.
        if self._mixing or "--" in args:
            return super().parse_known_args(args, namespace)
        self._mixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False
