"""Rows before and after an embedding, coloured by their class."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.spatial.distance import cdist
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from skmmd.inspection._axes import INK, MARKERS, figure_and_panels
from skmmd.inspection._views import rows_of, view_of

__all__ = ["EmbeddingDisplay"]

FloatArray = NDArray[np.float64]

# Petroff's cycle; with eight markers, the first 40 classes differ in colour or marker.
_COLORS = (
    "#3f90da",
    "#bd1f01",
    "#ffa90e",
    "#832db6",
    "#94a4a2",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)
_ALONG = (0.4, 0.6)  # where a line is labelled: not in the middle, where lines cross
_MOST_NAMED = 20
_MOST_JOINED = 6


class EmbeddingDisplay:
    """Rows before and after an embedding, side by side, coloured by their class.

    What has more than two columns is projected onto its first two principal components; one column
    is drawn with a line of its own for each class. Both axes of a panel have the same unit, so that
    lengths are distances. The ten colours are told apart by the colour-blind [1]_. Made by
    :meth:`from_estimator` or :meth:`from_embeddings`; drawn by :meth:`plot`.

    Parameters
    ----------
    before : ndarray of shape (n_samples, 1) or (n_samples, 2)
        View of the rows before.
    after : ndarray of shape (n_samples, 1) or (n_samples, 2)
        View of the rows after.
    labels : ndarray of shape (n_samples,)
        Class of each row.
    classes : ndarray of shape (n_classes,)
        The classes, in the order of their colours.
    names_before, names_after : sequence of str
        Names of the columns of the views.
    distances_before, distances_after : ndarray of shape (n_classes, n_classes)
        Distances of the class means, of the whole rows, not of their views; NaN for a class without
        rows.
    map_at_r : tuple of two float or None, default=(None, None)
        The mean average precision at R of the rows before and after.
    titles : tuple of two str, default=("before", "after")
        Titles of the panels.

    Attributes
    ----------
    axes_ : list of matplotlib Axes
        The panels, once plotted.
    ax_ : matplotlib Axes
        The first panel.
    figure_ : matplotlib Figure
        The figure, once plotted.
    points_ : list of list of matplotlib PathCollection
        The rows of each class that has any, for each panel.
    means_ : list of list of matplotlib PathCollection
        The mean of each class that has rows, for each panel; empty if not asked for.
    joins_ : list of matplotlib LineCollection
        The lines between the class means of each panel; empty if there are none.
    legend_ : matplotlib Legend or None
        The names of the classes; None beyond 20 classes.

    See Also
    --------
    skmmd.metric_learning.MetricLearner : What is drawn.
    sklearn.neighbors.NeighborhoodComponentsAnalysis : Can be drawn, too, as any transformer.

    References
    ----------
    .. [1] M. A. Petroff, "Accessible color sequences for data visualization", arXiv:2107.02270,
       2021.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    >>> from skmmd.inspection import EmbeddingDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> embedding = LinearDiscriminantAnalysis(n_components=2).fit(X, y)
    >>> display = EmbeddingDisplay.from_estimator(embedding, X, y).plot(means=True)
    >>> display.before.shape, display.after.shape
    ((150, 2), (150, 2))
    >>> display.distances_after.round(1)
    array([[ 0. ,  9.6, 13.5],
           [ 9.6,  0. ,  4.2],
           [13.5,  4.2,  0. ]])
    """

    axes_: list[Any]
    ax_: Any
    figure_: Any
    points_: list[list[Any]]
    means_: list[list[Any]]
    joins_: list[Any]
    legend_: Any

    def __init__(
        self,
        *,
        before: FloatArray,
        after: FloatArray,
        labels: NDArray[Any],
        classes: NDArray[Any],
        names_before: Sequence[str],
        names_after: Sequence[str],
        distances_before: FloatArray,
        distances_after: FloatArray,
        map_at_r: tuple[float | None, float | None] = (None, None),
        titles: tuple[str, str] = ("before", "after"),
    ) -> None:
        self.before = before
        self.after = after
        self.labels = labels
        self.classes = classes
        self.names_before = names_before
        self.names_after = names_after
        self.distances_before = distances_before
        self.distances_after = distances_after
        self.map_at_r = map_at_r
        self.titles = titles

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        map_at_r: Sequence[float | None] | None = None,
        titles: Sequence[str] = ("before", "after"),
    ) -> Self:
        """Embed rows with a fitted transformer.

        Parameters
        ----------
        estimator : MetricLearner, or a transformer or pipeline
            Fitted; its ``transform`` is called. Classes have their colours in the order of its
            ``classes_``, if it has them, then come those that it was not fitted on.
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            The rows, drawn as they are before. Of features of unequal scale, the largest prevail,
            as they do in Euclidean distances.
        y : array-like of shape (n_samples,)
            Their classes.
        map_at_r : sequence of two float or None, default=None
            For the titles: :func:`skmmd.metric_learning.mean_average_precision_at_r` before and
            after; None where it is not known.
        titles : sequence of two str, default=("before", "after")
            Titles of the panels.

        Returns
        -------
        EmbeddingDisplay
            The display, not yet plotted.

        Raises
        ------
        AttributeError
            If the estimator has no ``transform``.
        ValueError
            If `X` and `y` don't fit the estimator or each other.
        """
        if not hasattr(estimator, "transform"):
            raise AttributeError(
                f"{type(estimator).__name__} has no transform; pass a fitted transformer."
            )
        return cls.from_embeddings(
            X,
            estimator.transform(X),
            y,
            classes=getattr(estimator, "classes_", None),
            map_at_r=map_at_r,
            titles=titles,
        )

    @classmethod
    def from_embeddings(
        cls,
        before: Any,
        after: Any,
        y: ArrayLike,
        *,
        classes: ArrayLike | None = None,
        map_at_r: Sequence[float | None] | None = None,
        titles: Sequence[str] = ("before", "after"),
    ) -> Self:
        """Take the same rows in two spaces.

        Parameters
        ----------
        before : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            The rows in the first space, at least two.
        after : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_components)
            The same rows in the second space.
        y : array-like of shape (n_samples,)
            Their classes.
        classes : array-like of shape (n_classes,), default=None
            The order of the classes' colours; those not named come last. None sorts them.
        map_at_r : sequence of two float or None, default=None
            For the titles: :func:`skmmd.metric_learning.mean_average_precision_at_r` before and
            after; None where it is not known.
        titles : sequence of two str, default=("before", "after")
            Titles of the panels.

        Returns
        -------
        EmbeddingDisplay
            The display, not yet plotted.

        Raises
        ------
        ValueError
            If the numbers of rows and labels differ, there is a NaN or infinite value, or
            `map_at_r` or `titles` has not two entries.
        """
        rows_before, rows_after = rows_of(before, "before"), rows_of(after, "after")
        labels: NDArray[Any] = column_or_1d(
            check_array(y, ensure_2d=False, dtype=None, input_name="y"), warn=True
        )
        check_consistent_length(rows_before, rows_after, labels)
        ordered = _ordered_classes(labels, classes)
        view_before, names_before = view_of(before, rows_before, "feature")
        view_after, names_after = view_of(after, rows_after, "component")
        return cls(
            before=view_before,
            after=view_after,
            labels=labels,
            classes=ordered,
            names_before=names_before,
            names_after=names_after,
            distances_before=_mean_distances(rows_before, labels, ordered),
            distances_after=_mean_distances(rows_after, labels, ordered),
            map_at_r=_pair((None, None) if map_at_r is None else map_at_r, "map_at_r"),
            titles=_pair(titles, "titles"),
        )

    def plot(
        self, ax: Any = None, *, which: str = "both", means: bool = False, **kwargs: Any
    ) -> Self:
        """Draw the rows before, after, or both side by side.

        Parameters
        ----------
        ax : matplotlib Axes or sequence of them, default=None
            Where to draw: one axes for each panel, or one that is divided. None makes a new figure.
        which : {"both", "before", "after"}, default="both"
            The panels to draw.
        means : bool, default=False
            Whether to mark the class means. Those of up to 6 classes are joined by lines with their
            distances, which are those of the whole rows: a view of more than two columns can show
            them shorter.
        **kwargs : dict
            Passed to matplotlib's ``scatter`` for the rows.

        Returns
        -------
        EmbeddingDisplay
            This display, with ``axes_``, ``figure_`` and the artists.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `which` is unknown, or `ax` is a sequence of another length.
        """
        known = {"both": (0, 1), "before": (0,), "after": (1,)}
        if which not in known:
            raise ValueError(f"which must be one of {list(known)}, got {which!r}.")
        drawn = known[which]
        self.figure_, self.axes_ = figure_and_panels(ax, len(drawn), type(self).__name__)
        self.ax_ = self.axes_[0]
        self.points_, self.means_, self.joins_ = [], [], []
        self.legend_ = None
        codes = _codes(self.labels, self.classes)
        for panel, side in zip(self.axes_, drawn, strict=True):
            view = (self.before, self.after)[side]
            # One column: classes beside each other, in the order of the legend.
            points = view if view.shape[1] == 2 else np.column_stack([view, -codes])
            self._plot_points(panel, points, codes, kwargs)
            if means:
                self._plot_means(panel, points, codes, side)
            self._name_panel(panel, view, side)
        self._plot_legend(codes)
        return self

    def _plot_points(
        self, panel: Any, points: FloatArray, codes: NDArray[np.intp], kwargs: dict[str, Any]
    ) -> None:
        size = float(np.clip(9000.0 / len(points), 10.0, 28.0))
        drawn = []
        for code in np.unique(codes):
            style = {"s": size, "linewidths": 0.0, "alpha": 0.7, **_class_style(code), **kwargs}
            drawn.append(panel.scatter(*points[codes == code].T, **style))
        self.points_.append(drawn)

    def _plot_means(
        self, panel: Any, points: FloatArray, codes: NDArray[np.intp], side: int
    ) -> None:
        from matplotlib.collections import LineCollection

        present = np.unique(codes)
        centers = np.stack([points[codes == code].mean(axis=0) for code in present])
        pairs = list(combinations(range(len(present)), 2))
        if 1 < len(present) <= _MOST_JOINED:
            ends = [centers[[first, second]] for first, second in pairs]
            lines = LineCollection(ends, colors=INK, linewidths=1.0, zorder=2.5)
            self.joins_.append(panel.add_collection(lines))
            distances = (self.distances_before, self.distances_after)[side]
            box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "alpha": 0.8, "linewidth": 0}
            text = {"ha": "center", "va": "center", "fontsize": "small", "color": INK}
            for place, (first, second) in enumerate(pairs):
                along = _ALONG[place % len(_ALONG)]
                middle = (1.0 - along) * centers[first] + along * centers[second]
                distance = distances[present[first], present[second]]
                panel.annotate(f"{distance:.3g}", middle, bbox=box, **text)
        marks = {"s": 90.0, "edgecolors": INK, "linewidths": 1.2, "zorder": 3.0}
        self.means_.append(
            [
                panel.scatter(*center, **_class_style(code), **marks)
                for code, center in zip(present, centers, strict=True)
            ]
        )

    def _name_panel(self, panel: Any, view: FloatArray, side: int) -> None:
        names = (self.names_before, self.names_after)[side]
        score = self.map_at_r[side]
        known = "" if score is None else f" (MAP@R {score:.3f})"
        panel.set_title(f"{self.titles[side]}{known}", fontsize="medium", parse_math=False)
        panel.set_xlabel(names[0], parse_math=False)
        panel.spines[["top", "right"]].set_visible(False)
        if view.shape[1] == 1:
            panel.set(yticks=[], ylabel="class")
            return
        panel.set_ylabel(names[1], parse_math=False)
        # One unit for both axes: lengths are distances.
        panel.set_aspect("equal", adjustable="datalim")

    def _plot_legend(self, codes: NDArray[np.intp]) -> None:
        from matplotlib.lines import Line2D

        present = np.unique(codes)
        if len(present) > _MOST_NAMED:
            return
        handles = [Line2D([], [], linestyle="", **_class_style(code)) for code in present]
        # Beside the last panel, where it hides nothing.
        place = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2}
        self.legend_ = self.axes_[-1].legend(
            handles, [""] * len(handles), frameon=False, fontsize="small", **place
        )
        # Set here, a name may begin with an underscore, and a dollar sign is no formula.
        for text, code in zip(self.legend_.get_texts(), present, strict=True):
            text.set(text=str(self.classes[code]), parse_math=False)


def _class_style(code: int) -> dict[str, Any]:
    """Return the colour and the marker of a class."""
    return {"color": _COLORS[code % len(_COLORS)], "marker": MARKERS[code % len(MARKERS)]}


def _ordered_classes(labels: NDArray[Any], classes: ArrayLike | None) -> NDArray[Any]:
    """Return the given classes, then those labels that are none of them."""
    present = np.unique(labels)
    if classes is None:
        return present
    given: NDArray[Any] = column_or_1d(classes)
    known = set(given.tolist())
    new = [label for label in present.tolist() if label not in known]
    # As objects, since a number among strings would become a string.
    return np.array([*given.tolist(), *new], dtype=object) if new else given


def _codes(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.intp]:
    """Return the place of each label among the classes."""
    place = {label: code for code, label in enumerate(classes.tolist())}
    return np.array([place[label] for label in labels.tolist()], dtype=np.intp)


def _mean_distances(rows: Any, labels: NDArray[Any], classes: NDArray[Any]) -> FloatArray:
    """Return the Euclidean distances of the class means, NaN for classes without rows."""
    codes = _codes(labels, classes)
    counts = np.bincount(codes, minlength=len(classes))
    averaging = sparse.csr_array(
        (1.0 / counts[codes], (codes, np.arange(len(codes)))), shape=(len(classes), len(codes))
    )
    means: Any = averaging @ rows
    centers: Any = means.toarray() if sparse.issparse(rows) else means
    centers[counts == 0] = np.nan
    return cdist(centers, centers)


def _pair(given: Any, name: str) -> tuple[Any, Any]:
    if isinstance(given, str) or np.shape(given) != (2,):
        raise ValueError(f"{name} must have two entries, before and after, got {given!r}.")
    first, second = given
    return first, second
