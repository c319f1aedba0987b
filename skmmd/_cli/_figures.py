"""Figures of the command line, drawn without a window."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmmd._cli._files import check_folder
from skmmd.inspection import MMDTestDisplay, SimilarityDisplay
from skmmd.inspection._axes import FIRST, INK, NULL, check_matplotlib
from skmmd.two_sample import FeatureScores, MMDTestResult

__all__ = [
    "check_figure",
    "feature_bars",
    "hundredths",
    "new_figure",
    "save_similarity",
    "save_test",
]

_MOST_BARS = 20


def check_figure(path: str) -> None:
    """Raise if a figure cannot be written to `path`: before the work that it would show.

    Parameters
    ----------
    path : str
        The file.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    ValueError
        If matplotlib knows no format of that ending.
    FileNotFoundError
        If the folder does not exist.
    """
    check_matplotlib("--plot")
    from matplotlib.backend_bases import FigureCanvasBase

    endings = sorted(FigureCanvasBase.get_supported_filetypes())
    ending = Path(path).suffix[1:].lower()
    # Without an ending matplotlib appends its own.
    if ending and ending not in endings:
        raise ValueError(
            f"--plot {path}: no figure ends in .{ending}; name one of {', '.join(endings)}."
        )
    check_folder(path)


def new_figure(width: float, height: float) -> Any:
    """Return an empty matplotlib figure, in inches, that belongs to no window."""
    check_matplotlib("A figure")
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def feature_bars(ax: Any, scores: FeatureScores, names: Sequence[str], alpha: float) -> None:
    """Draw each feature's statistic, the largest on top; coloured where it differs."""
    shown = scores.ranking()[:_MOST_BARS]
    differs = scores.pvalue[shown] <= alpha
    bars = ax.barh(
        range(len(shown)),
        scores.statistic[shown],
        color=[FIRST if different else NULL for different in differs],
    )
    ax.bar_label(
        bars,
        [f" p = {pvalue:.3g}" for pvalue in scores.pvalue[shown]],
        fontsize="small",
        color=INK,
    )
    ax.set_yticks(range(len(shown)), [names[feature] for feature in shown], fontsize="small")
    ax.invert_yaxis()
    ax.margins(x=0.2)
    ax.set_xlabel("statistic of the feature by itself")
    hidden = len(scores.statistic) - len(shown)
    more = f"; {hidden} more not shown" if hidden else ""
    ax.set_title(f"features (blue: differs at {alpha:g}{more})", fontsize="small", loc="left")
    ax.spines[["top", "right"]].set_visible(False)


def hundredths(
    ax: Any, values: NDArray[np.float64], shown: NDArray[np.bool_], largest: float
) -> Any:
    """Draw a matrix, dark where it is high, with a hundred times its values; return the image."""
    image = ax.imshow(values, cmap="Blues", vmin=0.0, vmax=largest)
    for i, j in np.argwhere(shown):
        ax.text(
            j,
            i,
            f"{100 * values[i, j]:.0f}",
            ha="center",
            va="center",
            fontsize="small",
            color="white" if values[i, j] > 0.6 * largest else INK,
        )
    return image


def save_test(
    path: str, result: MMDTestResult, scores: FeatureScores | None, names: Sequence[str]
) -> None:
    """Write a test's figure: null distribution, and the features if there are scores."""
    if scores is None:
        figure = new_figure(6.0, 4.5)
        MMDTestDisplay.from_result(result).plot(ax=figure.subplots())
    else:
        n_bars = min(len(names), _MOST_BARS)
        figure = new_figure(11.0, max(4.5, 1.5 + 0.25 * n_bars))
        null, features = figure.subplots(1, 2)
        MMDTestDisplay.from_result(result).plot(ax=null)
        feature_bars(features, scores, names, result.alpha)
    figure.savefig(path, dpi=120)


def save_similarity(path: str, similarity: ArrayLike, labels: Sequence[str]) -> None:
    """Write the figure of a similarity matrix."""
    figure = new_figure(9.0, 8.0)
    SimilarityDisplay.from_matrix(similarity, labels=labels).plot(ax=figure.subplots())
    figure.savefig(path, dpi=120)
