"""Tables of text in aligned columns."""

from collections.abc import Sequence

__all__ = ["format_table"]


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
