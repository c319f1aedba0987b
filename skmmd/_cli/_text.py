"""What is printed: aligned tables, CSV, JSON, and names that hold anything."""

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["add_format", "format_table", "one_line", "write", "write_csv", "write_json"]


def add_format(parser: argparse.ArgumentParser) -> Any:
    """Add ``--json`` and ``--csv`` to the parser of a command; return their group."""
    output = parser.add_argument_group("output")
    formats = output.add_mutually_exclusive_group()
    formats.add_argument("--json", action="store_true", help="print JSON")
    formats.add_argument("--csv", action="store_true", help="print comma-separated values")
    return output


def format_table(
    rows: Sequence[Sequence[str]], *, header: Sequence[str] = (), right: Sequence[int] = ()
) -> str:
    """Return rows as lines with aligned columns.

    Parameters
    ----------
    rows : sequence of sequence of str
        The cells.
    header : sequence of str, default=()
        Names of the columns, underlined; none without.
    right : sequence of int, default=()
        Which columns are aligned to the right.

    Returns
    -------
    str
        The lines, without blanks at their ends.
    """
    everything = [header, *rows] if header else list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*everything, strict=True)]
    if header:
        everything.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in everything
    )


def one_line(text: str) -> str:
    """Return text with what does not show in a line, as line ends and lone bytes, as escapes.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        Printable text.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def write(text: str) -> None:
    """Print text, with escapes for what the encoding of the output lacks.

    Parameters
    ----------
    text : str
        Any text.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"  # None: the output is closed
    print(text.encode(encoding, "backslashreplace").decode(encoding))


def write_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows as comma-separated values.

    Parameters
    ----------
    header : sequence of str
        Names of the columns.
    rows : iterable of sequence
        The cells.
    """
    lines = io.StringIO()
    csv.writer(lines, lineterminator="\n").writerows([header, *rows])
    write(lines.getvalue().removesuffix("\n"))


def write_json(value: Any) -> None:
    """Print a value as JSON.

    Parameters
    ----------
    value : object
        Lists, dictionaries, text and finite numbers.
    """
    write(json.dumps(value, indent=2, allow_nan=False))
