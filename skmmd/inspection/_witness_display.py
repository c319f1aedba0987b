"""The witness function of two samples, as a curve or a contour."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmmd._validation import check_rows
from skmmd.inspection._axes import FIRST, INK, MARKERS, REST, figure_and_axes

__all__ = ["WitnessDisplay"]

FloatArray = NDArray[np.float64]

_MARGIN = 0.08
_HATCHES = ("", "", "//", "..", "xx", "--")


class WitnessDisplay:
    """Where one sample is denser than another: the witness function with the samples.

    The witness is the mean kernel value to one sample minus that to the other (three or more
    groups: to all others): positive where the first is denser. One feature gives a curve over the
    samples' histograms, two give a contour. Of more features, one or two are chosen and the others
    held at their pooled median. Made by :meth:`from_result` or :meth:`from_estimator`; drawn by
    :meth:`plot`.

    Parameters
    ----------
    grid : tuple of one or two ndarray
        Values of each drawn feature, ascending.
    witness : ndarray of shape (n_values,) or (n_values_second, n_values_first)
        The witness on the grid.
    samples : sequence of ndarray of shape (n_rows, n_drawn_features)
        The drawn features of each group's rows.
    feature_names : sequence of str
        Names of the drawn features.
    group_names : sequence of str
        Names of the groups.
    group : int, default=0
        The group that is dense where the witness is positive.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes, once plotted.
    figure_ : matplotlib Figure
        The figure, once plotted.
    line_ : matplotlib Line2D or None
        The curve; None for two features.
    surface_ : matplotlib QuadContourSet or None
        The contour; None for one feature.
    points_ : list
        The groups' histograms (one feature) or points (two features).

    See Also
    --------
    MMDTestDisplay : Whether the samples differ.

    Examples
    --------
    >>> from skmmd.datasets import make_blobs_grid
    >>> from skmmd.inspection import WitnessDisplay
    >>> from skmmd.two_sample import mmd_test
    >>> X, Y = make_blobs_grid(200, random_state=0)
    >>> result = mmd_test(X, Y, random_state=0)
    >>> display = WitnessDisplay.from_result(result, grid_resolution=50)
    >>> display.witness.shape
    (50, 50)
    """

    ax_: Any
    figure_: Any
    line_: Any
    surface_: Any
    points_: list[Any]

    def __init__(
        self,
        *,
        grid: tuple[FloatArray, ...],
        witness: FloatArray,
        samples: Sequence[FloatArray],
        feature_names: Sequence[str],
        group_names: Sequence[str],
        group: int = 0,
    ) -> None:
        self.grid = grid
        self.witness = witness
        self.samples = samples
        self.feature_names = feature_names
        self.group_names = group_names
        self.group = group

    @classmethod
    def from_result(
        cls,
        result: Any,
        *,
        feature_names: Sequence[str] | None = None,
        features: Sequence[int | str] | None = None,
        group: int = 0,
        group_names: Sequence[str] | None = None,
        grid_resolution: int = 100,
    ) -> Self:
        """Compute the witness of a test's result on a grid.

        Parameters
        ----------
        result : MMDTestResult
            The result; its rows are drawn.
        feature_names : sequence of str, default=None
            Names of all features; None counts them.
        features : sequence of one or two int or str, default=None
            The features to draw, by position or name. May be None where there are no more than two.
        group : int, default=0
            Which group's witness, for three or more: its place in the order of the groups.
        group_names : sequence of str, default=None
            Names of the groups; None numbers them.
        grid_resolution : int, default=100
            Number of values of each drawn feature.

        Returns
        -------
        WitnessDisplay
            The display, not yet plotted.

        Raises
        ------
        ValueError
            If the kernel is "precomputed", or features, group or names don't fit the result.
        """
        if isinstance(result.kernel, str) and result.kernel == "precomputed":
            raise ValueError(
                "The witness can't be drawn for kernel='precomputed': the rows are not known."
            )
        sample = result._sample
        return cls._on_grid(
            result.witness,
            sample.rows,
            sample.codes,
            sample.n_groups,
            feature_names=feature_names,
            features=features,
            group=group,
            group_names=group_names,
            grid_resolution=grid_resolution,
        )

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        feature_names: Sequence[str] | None = None,
        features: Sequence[int | str] | None = None,
        group: Any = None,
        grid_resolution: int = 100,
    ) -> Self:
        """Compute a fitted estimator's witness on a grid.

        Parameters
        ----------
        estimator : MMDTest, MMDTestCV or a pipeline that ends in one
            Fitted; its ``score_samples`` is drawn.
        X : {array-like, DataFrame} of shape (n_samples, n_features)
            The rows to draw. They set the extent of the grid.
        y : array-like of shape (n_samples,)
            Their labels.
        feature_names : sequence of str, default=None
            Names of all features; None takes the columns of `X`, or counts them.
        features : sequence of one or two int or str, default=None
            The features to draw, by position or name. May be None where there are no more than two.
        group : object, default=None
            Which group's witness, by its label; None is the first of ``estimator.classes_``.
        grid_resolution : int, default=100
            Number of values of each drawn feature.

        Returns
        -------
        WitnessDisplay
            The display, not yet plotted.

        Raises
        ------
        ValueError
            If labels, features, group or names don't fit the estimator.
        AttributeError
            If the estimator is not fitted.
        """
        if not hasattr(estimator, "classes_"):
            raise AttributeError(f"{type(estimator).__name__} has no classes_; fit it first.")
        classes = np.asarray(estimator.classes_)
        labels = np.asarray(y)
        unknown = np.setdiff1d(labels, classes)
        if len(unknown):
            raise ValueError(
                f"y has labels that the estimator was not fitted on: {unknown.tolist()[:5]}; it "
                f"knows {classes.tolist()[:10]}."
            )
        if group is not None and group not in classes.tolist():
            raise ValueError(f"group={group!r} is none of the labels {classes.tolist()[:10]}.")
        code = 0 if group is None else classes.tolist().index(group)
        columns: Any = getattr(X, "columns", None)
        frame: Any = type(X)
        if feature_names is None and columns is not None:
            feature_names = [str(column) for column in columns]

        def score(points: FloatArray) -> FloatArray:
            if columns is None:
                return estimator.score_samples(points)
            # An estimator fitted on named columns wants to see the names again.
            return estimator.score_samples(frame(dict(zip(columns, points.T, strict=True))))

        rows = check_rows(X, name="X")
        if len(labels) != len(rows):
            raise ValueError(f"X has {len(rows)} rows, but y has {len(labels)} labels.")
        return cls._on_grid(
            score,
            rows,
            np.searchsorted(classes, labels),
            len(classes),
            feature_names=feature_names,
            features=features,
            group=code,
            group_names=[str(label) for label in classes],
            grid_resolution=grid_resolution,
        )

    @classmethod
    def _on_grid(
        cls,
        score: Callable[[FloatArray], FloatArray],
        rows: FloatArray,
        codes: NDArray[np.intp],
        n_groups: int,
        *,
        feature_names: Sequence[str] | None,
        features: Sequence[int | str] | None,
        group: int,
        group_names: Sequence[str] | None,
        grid_resolution: int,
    ) -> Self:
        n_features = rows.shape[1]
        names = _names(feature_names, n_features, "feature")
        groups = _names(group_names, n_groups, "group")
        drawn = _drawn_features(features, names)
        if not 0 <= group < n_groups:
            raise ValueError(f"group={group} is out of range: there are {n_groups} groups.")
        grid = tuple(_extent(rows[:, feature], grid_resolution) for feature in drawn)
        mesh = np.meshgrid(*grid)
        points = np.tile(np.median(rows, axis=0), (mesh[0].size, 1))
        points[:, drawn] = np.column_stack([values.ravel() for values in mesh])
        witness = np.asarray(score(points), dtype=np.float64)
        if witness.ndim == 2:
            witness = witness[:, group]
        elif group == 1:
            witness = -witness
        return cls(
            grid=grid,
            witness=witness.reshape(mesh[0].shape),
            samples=[rows[codes == code][:, drawn] for code in range(n_groups)],
            feature_names=[names[feature] for feature in drawn],
            group_names=groups,
            group=group,
        )

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the witness and the samples.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs : dict
            Passed to matplotlib's ``plot`` (one feature) or ``contourf`` (two features).

        Returns
        -------
        WitnessDisplay
            This display, with ``ax_``, ``figure_`` and the artists.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        self.figure_, self.ax_ = figure_and_axes(ax, type(self).__name__)
        self.line_ = self.surface_ = None
        self.points_ = []
        if len(self.grid) == 1:
            self._plot_curve(kwargs)
        else:
            self._plot_contour(kwargs)
        self.ax_.set_xlabel(self.feature_names[0])
        labels = [
            f"{name} ({len(rows)})"
            for name, rows in zip(self.group_names, self.samples, strict=True)
        ]
        handles = list(self.points_)
        if self.line_ is not None:
            handles, labels = [*handles, self.line_], [*labels, "witness"]
        # Above the axes, where it hides neither points nor curve.
        self.ax_.legend(
            handles,
            labels,
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            ncols=min(len(handles), 3),
            frameon=False,
            fontsize="small",
            borderaxespad=0.2,
        )
        return self

    def _color(self, code: int) -> str:
        return FIRST if code == self.group else REST

    def _plot_curve(self, kwargs: dict[str, Any]) -> None:
        # Densities have a scale of their own, without ticks, and lie behind the curve.
        behind = self.ax_.twinx()
        behind.set_yticks([])
        behind.spines[["top", "right"]].set_visible(False)
        self.ax_.spines[["top", "right"]].set_visible(False)
        self.ax_.set_zorder(behind.get_zorder() + 1)
        self.ax_.patch.set_visible(False)
        edges = np.histogram_bin_edges(np.concatenate([rows[:, 0] for rows in self.samples]), "fd")
        edges = np.linspace(edges[0], edges[-1], min(max(len(edges), 11), 61))
        for code, rows in enumerate(self.samples):
            _, _, bars = behind.hist(
                rows[:, 0],
                bins=edges,
                density=True,
                alpha=0.35,
                color=self._color(code),
                hatch=_HATCHES[self._place(code) % len(_HATCHES)],
            )
            self.points_.append(bars)
        style = {"color": INK, "linewidth": 2.0, **kwargs}
        (self.line_,) = self.ax_.plot(self.grid[0], self.witness, **style)
        self.ax_.axhline(0.0, color=INK, linewidth=0.8, linestyle=":")
        # Zero in the middle, so that above and below compare by eye.
        reach = 1.1 * np.abs(self.witness).max() or 1.0
        self.ax_.set_ylim(-reach, reach)
        self.ax_.set_ylabel(f"witness (> 0: more like {self.group_names[self.group]})")

    def _plot_contour(self, kwargs: dict[str, Any]) -> None:
        reach = np.abs(self.witness).max() or 1.0
        style = {"levels": np.linspace(-reach, reach, 21), "cmap": "RdBu", "alpha": 0.8, **kwargs}
        self.surface_ = self.ax_.contourf(*self.grid, self.witness, **style)
        if self.witness.min() < 0.0 < self.witness.max():
            self.ax_.contour(*self.grid, self.witness, levels=[0.0], colors=INK, linewidths=0.8)
        n_rows = sum(len(rows) for rows in self.samples)
        size = float(np.clip(9000.0 / n_rows, 9.0, 28.0))
        for code, rows in enumerate(self.samples):
            points = self.ax_.scatter(
                rows[:, 0],
                rows[:, 1],
                s=size,
                marker=MARKERS[self._place(code) % len(MARKERS)],
                color=self._color(code),
                edgecolors="white",
                linewidths=0.4,
            )
            self.points_.append(points)
        from matplotlib.ticker import MaxNLocator

        bar = self.figure_.colorbar(self.surface_, ax=self.ax_, pad=0.02, ticks=MaxNLocator(7))
        bar.set_label(f"witness (> 0: more like {self.group_names[self.group]})")
        bar.outline.set_visible(False)
        self.ax_.set_ylabel(self.feature_names[1])

    def _place(self, code: int) -> int:
        """Return 0 for the group itself, 1, 2, ... for the others, to tell those apart."""
        return 0 if code == self.group else 1 + code - (code > self.group)


def _names(given: Sequence[str] | None, count: int, what: str) -> list[str]:
    if given is None:
        return [f"{what} {number}" for number in range(count)]
    if len(given) != count:
        raise ValueError(
            f"{what}_names has {len(given)} names, but there are {count} {what}s; give one each."
        )
    return [str(name) for name in given]


def _drawn_features(features: Sequence[int | str] | None, names: list[str]) -> list[int]:
    """Return the positions of the features to draw."""
    if features is None:
        if len(names) > 2:
            raise ValueError(
                f"There are {len(names)} features, and one or two can be drawn: choose them with "
                "features=(i, j); the others are held at their median."
            )
        return list(range(len(names)))
    drawn = []
    for feature in features:
        if isinstance(feature, str):
            if feature not in names:
                raise ValueError(f"features has {feature!r}, which is none of {names[:10]}.")
            drawn.append(names.index(feature))
        elif 0 <= feature < len(names):
            drawn.append(int(feature))
        else:
            raise ValueError(f"features has {feature}, but there are {len(names)} features.")
    if len(drawn) not in (1, 2) or len(set(drawn)) < len(drawn):
        raise ValueError(f"features must be one or two different features, got {features!r}.")
    return drawn


def _extent(values: FloatArray, resolution: int) -> FloatArray:
    low, high = float(values.min()), float(values.max())
    margin = _MARGIN * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, resolution)
