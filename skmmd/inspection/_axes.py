"""Where to draw: matplotlib, imported when a display is plotted, and the colours of the figures."""

from typing import Any

__all__ = ["FIRST", "INK", "NULL", "REST", "check_matplotlib", "figure_and_axes"]

FIRST = "#2166ac"  # the two ends of the colour map "RdBu": told apart by the colour-blind, too
REST = "#b2182b"
NULL = "#9fb3c8"
INK = "#22303c"


def check_matplotlib(caller: str) -> None:
    """Raise an ImportError that says how to get matplotlib, if it is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib. Install it with: pip install skmmd[plot]"
        ) from error


def figure_and_axes(ax: Any, caller: str) -> tuple[Any, Any]:
    """Return the figure and the axes to draw into, new ones if `ax` is None."""
    check_matplotlib(caller)
    if ax is None:
        from matplotlib import pyplot

        _, ax = pyplot.subplots(layout="constrained")
    return ax.figure, ax
