"""Where to draw: matplotlib, imported when a display is plotted, and the colours of the figures."""

from typing import Any

import numpy as np

__all__ = [
    "FIRST",
    "INK",
    "MARKERS",
    "NULL",
    "REST",
    "check_matplotlib",
    "figure_and_axes",
    "figure_and_panels",
]

FIRST = "#2166ac"  # the two ends of the colour map "RdBu": told apart by the colour-blind, too
REST = "#b2182b"
NULL = "#9fb3c8"
INK = "#22303c"
MARKERS = "osD^vP*X"


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


def figure_and_panels(ax: Any, n_panels: int, caller: str) -> tuple[Any, list[Any]]:
    """Return the figure and `n_panels` axes side by side.

    `ax` is None for a new figure, so many axes, or one axes to be divided.
    """
    check_matplotlib(caller)
    if ax is None:
        from matplotlib import pyplot

        size = (4.8 * n_panels + 0.8, 4.4)
        figure, drawn = pyplot.subplots(
            1, n_panels, squeeze=False, figsize=size, layout="constrained"
        )
        return figure, list(drawn[0])
    panels = list(np.ravel(np.asarray(ax, dtype=object)))
    if len(panels) == 1 and n_panels > 1:
        panels[0].set_axis_off()
        width = 1.0 / (n_panels + 0.2 * (n_panels - 1))
        panels = [
            panels[0].inset_axes((1.2 * width * place, 0.0, width, 1.0))
            for place in range(n_panels)
        ]
    if len(panels) != n_panels:
        raise ValueError(
            f"ax has {len(panels)} axes; pass None, one axes to be divided, or as many axes as "
            f"there are panels: {n_panels}."
        )
    return panels[0].figure, panels
