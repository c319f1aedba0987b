"""The entry point: which commands there are, and how their errors are told."""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence

from skmmd import __version__
from skmmd._cli._test_command import add_parser as add_test
from skmmd._cli._tour_command import add_parser as add_tour
from skmmd._cli._versions_command import add_parser as add_versions

__all__ = ["main"]

_COMMANDS = (add_tour, add_test, add_versions)
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
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add_parser in _COMMANDS:
        add_parser(commands)
    return parser
