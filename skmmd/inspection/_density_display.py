"""A density: contours or a curve, its score field, draws from it, and their margins."""

import contextlib
import copy
import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmmd._validation import check_is_fitted, check_rows, check_weight, column_names
from skmmd.inspection._axes import (
    FIRST,
    INK,
    NULL,
    check_matplotlib,
    figure_and_axes,
    figure_and_panels,
)
from skmmd.inspection._mixture_display import _edges
from skmmd.inspection._views import view_of
from skmmd.inspection._witness_display import _names

__all__ = ["DensityDisplay"]

FloatArray = NDArray[np.float64]

_KINDS = ("density", "score", "samples", "margins")
_MARGIN = 0.1
_LOG_LEVELS = np.arange(-10.0, 1.0)  # nats below the highest density
_LONGEST_ARROW = 0.95  # of the distance between two arrows
_HALF_LENGTH = 0.25  # the quantile of the scores' lengths that is drawn half as long
_MOST_ELONGATED = 1.5
_DRAWS_WITHOUT_ROWS, _MOST_DRAWS = 1000, 5000
_MOST_MARGINS = 8


class DensityDisplay:
    """A density as contours or a curve, as a field of scores, or by what is drawn from it.

    Four kinds. "density": the log density of two features as contours, the density of one as a
    curve over a histogram of the rows. "score": the gradient of the log density, as arrows over the
    contours (two features) or as a curve (one). "samples": draws from the density beside the rows.
    "margins": a panel for each pair of features, the rows above the diagonal, draws below it, and
    the histograms of both on it. Of more than two features, "density" and "score" show a slice: the
    features not drawn are held at their mean or where asked for, and the title says so. Made by
    :meth:`from_estimator`; drawn by :meth:`plot`.

    Parameters
    ----------
    kind : {"density", "score", "samples", "margins"}
        What is drawn.
    feature_names : sequence of str
        Names of the drawn features.
    grid : tuple of one or two ndarray, default=()
        Values of each drawn feature, ascending, for the kinds "density" and "score".
    log_density : ndarray of shape (n_values,) or (n_values_second, n_values_first), default=None
        Log density on the grid; minus infinity where it is zero.
    normalized : bool, default=True
        Whether the density integrates to 1 over all features.
    held : dict of str to float, default=None
        The features that are not drawn and where they are held; None or empty if all are drawn.
    score_grid : tuple of one or two ndarray, default=()
        Where the score is known, for the kind "score".
    score : ndarray of shape (n_values,) or (n_values_second, n_values_first, 2), default=None
        The score's drawn coordinates on `score_grid`; NaN where the density is zero.
    samples : ndarray of shape (n_samples, n_drawn_features), default=None
        The drawn features of the rows.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of the rows.
    draws : ndarray of shape (n_draws, n_drawn_features), default=None
        The drawn features of the draws, for the kinds "samples" and "margins".

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes, once plotted; the first of several.
    axes_ : ndarray of matplotlib Axes
        All axes: of shape (n_drawn_features, n_drawn_features) for margins, else 1-D.
    figure_ : matplotlib Figure
        The figure, once plotted.
    line_ : matplotlib Line2D or None
        The curve; None but for the density or score of one feature.
    surface_ : matplotlib QuadContourSet or None
        The contours; None but for the density or score of two features.
    arrows_ : matplotlib Quiver or None
        The score; None but for the score of two features.
    points_ : list of matplotlib PathCollection or Line2D
        The rows as points, or as ticks below a curve.
    draws_ : list of matplotlib PathCollection or Polygon
        The draws as points, or as outlines of histograms.
    bars_ : list of matplotlib BarContainer
        Histograms of the rows.

    See Also
    --------
    MixtureDisplay : The components of a Gaussian mixture.
    WitnessDisplay : Where one sample is denser than another.
    sklearn.neighbors.KernelDensity : Can be drawn.
    sklearn.mixture.GaussianMixture : Can be drawn, too.

    Notes
    -----
    An estimator is asked for what it has: ``score_samples`` (the log density),
    ``score_function`` (the score) and ``sample``. A density without a normalising constant is drawn
    by its ``unnormalized_log_density``, and the label says so.

    Contours of the log density are 1 nat apart, at integers, down to 10 below the highest. Arrows
    cross the contours at right angles: either one unit of both features is equally long, or, where
    one ranges over more than 1.5 times as much as the other, their ranges are, and the score is
    taken by these units. As the score has no bound in the tails, the length of an arrow is
    :math:`|s| / (|s| + q)`, with q the lower quartile of :math:`|s|` over all arrows.

    Examples
    --------
    >>> from skmmd.datasets import make_density
    >>> from skmmd.inspection import DensityDisplay
    >>> ring = make_density("ring")
    >>> X = ring.sample(200, random_state=0)
    >>> display = DensityDisplay.from_estimator(ring, X, kind="score", n_arrows=15)
    >>> display.log_density.shape, display.score.shape
    ((100, 100), (15, 15, 2))
    >>> _ = display.plot()
    """

    ax_: Any
    axes_: NDArray[Any]
    figure_: Any
    line_: Any
    surface_: Any
    arrows_: Any
    points_: list[Any]
    draws_: list[Any]
    bars_: list[Any]

    def __init__(
        self,
        *,
        kind: str,
        feature_names: Sequence[str],
        grid: tuple[FloatArray, ...] = (),
        log_density: FloatArray | None = None,
        normalized: bool = True,
        held: dict[str, float] | None = None,
        score_grid: tuple[FloatArray, ...] = (),
        score: FloatArray | None = None,
        samples: FloatArray | None = None,
        sample_weight: FloatArray | None = None,
        draws: FloatArray | None = None,
    ) -> None:
        self.kind = kind
        self.feature_names = feature_names
        self.grid = grid
        self.log_density = log_density
        self.normalized = normalized
        self.held = held
        self.score_grid = score_grid
        self.score = score
        self.samples = samples
        self.sample_weight = sample_weight
        self.draws = draws

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        kind: str = "density",
        features: Sequence[int | str] | None = None,
        feature_names: Sequence[str] | None = None,
        at: ArrayLike | Mapping[Any, float] | None = None,
        limits: Sequence[tuple[float, float]] | None = None,
        sample_weight: ArrayLike | None = None,
        grid_resolution: int = 100,
        n_arrows: int = 20,
        n_samples: int | None = None,
        random_state: Any = None,
    ) -> Self:
        """Evaluate a density on a grid, or draw from it.

        Parameters
        ----------
        estimator : density, or pipeline or search that ends in one
            Fitted, and not fitted again; anything with what `kind` needs: ``score_samples``,
            ``score_function`` or ``sample``. Of a search, the best estimator is drawn; of a
            pipeline the last step, over the rows that the steps before it give.
        X : {array-like, DataFrame} of shape (n_samples, n_features), default=None
            Rows to draw. They set the extent of the grid and where features are held; without
            them, draws do.
        kind : {"density", "score", "samples", "margins"}, default="density"
            What to draw.
        features : sequence of int or str, default=None
            The features to draw, by position or name: one or two, for margins two or more. None
            takes all; of more than two, "samples" shows two principal components, "margins" no more
            than eight, and the other kinds want a choice.
        feature_names : sequence of str, default=None
            Names of all features; None takes those of the fit or of `X`, or counts them.
        at : array-like of shape (n_features,) or mapping of feature to float, default=None
            Where to hold the features that are not drawn, for "density" and "score". Those that a
            mapping leaves out are held at the mean of the rows, as all are by None.
        limits : sequence of (low, high), default=None
            Ends of the grid for each drawn feature, for "density" and "score". None takes those of
            the rows and a margin.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows: for their mean, for histograms, and for the areas of points.
        grid_resolution : int, default=100
            Number of values of each drawn feature.
        n_arrows : int, default=20
            Number of arrows along the longer side, for the score of two features.
        n_samples : int, default=None
            Number of draws. None: as many as rows, 5000 at most; 1000 without rows.
        random_state : int, RandomState instance or None, default=None
            Passed to ``sample``; in place of the estimator's own where that takes none, as
            scikit-learn's GaussianMixture.

        Returns
        -------
        DensityDisplay
            The display, not yet plotted.

        Raises
        ------
        ValueError
            If `kind` is unknown, features, names, limits or `X` don't fit the density, or the
            density is zero on the whole grid.
        AttributeError
            If the estimator lacks what `kind` needs.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        """
        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {list(_KINDS)}, got {kind!r}.")
        density, rows, names = _density_and_rows(estimator, X, feature_names)
        weight = None
        if sample_weight is not None:
            if rows is None:
                raise ValueError("sample_weight weighs the rows; pass X, too.")
            weight = check_weight(sample_weight, rows, name="sample_weight")
        chosen = _chosen(features, names, kind)
        if n_samples is None:
            n_samples = _DRAWS_WITHOUT_ROWS if rows is None else min(len(rows), _MOST_DRAWS)
        if kind in ("samples", "margins"):
            draws = _draws(density, n_samples, random_state)
            return cls(kind=kind, sample_weight=weight, **_seen(rows, draws, chosen, names))
        assert chosen is not None
        drawn_names = [names[feature] for feature in chosen]
        held = _held(at, names, chosen)
        reference = rows
        if rows is None and (limits is None or None in held.values()):
            reference = _draws(density, n_samples, random_state)
        point = _point(held, reference, weight)
        ends = _ends(limits, reference, chosen, drawn_names)
        parts: dict[str, Any] = {"samples": None if rows is None else rows[:, chosen]}
        if kind == "score":
            parts |= _score_on_grid(density, point, chosen, ends, (grid_resolution, n_arrows))
        return cls(
            kind=kind,
            feature_names=drawn_names,
            sample_weight=weight,
            held={names[j]: float(point[j]) for j in range(len(names)) if j not in chosen},
            **parts,
            **_log_density_on_grid(density, point, chosen, ends, grid_resolution, kind),
        )

    def plot(
        self, ax: Any = None, *, scale: str = "auto", overlay: bool = False, **kwargs: Any
    ) -> Self:
        """Draw the density, its score, the draws or their margins.

        Parameters
        ----------
        ax : matplotlib Axes or array of them, default=None
            Where to draw; None makes a new figure. Samples of two features have a panel for rows
            and one for draws, margins one for each pair of features: pass as many axes, or one that
            is divided.
        scale : {"auto", "log", "linear"}, default="auto"
            Whether to draw the log density or the density. "auto": the log density of two features,
            the density of one.
        overlay : bool, default=False
            Whether to draw samples over the rows, in one panel.
        **kwargs : dict
            Passed to matplotlib's ``contourf`` or ``plot`` for the density, to ``quiver`` or
            ``plot`` for the score, to ``scatter`` or ``hist`` for draws; to ``scatter`` for the
            draws of margins.

        Returns
        -------
        DensityDisplay
            This display, with ``ax_``, ``axes_``, ``figure_`` and the artists.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `scale` is unknown, or `ax` is an array of another size.
        """
        if scale not in ("auto", "log", "linear"):
            raise ValueError(f"scale must be 'auto', 'log' or 'linear', got {scale!r}.")
        self.line_ = self.surface_ = self.arrows_ = None
        self.points_, self.draws_, self.bars_ = [], [], []
        if self.kind == "margins":
            self._plot_margins(ax, kwargs)
            return self
        if self.kind == "samples":
            self._plot_samples(ax, overlay, kwargs)
            return self
        self.figure_, self.ax_ = figure_and_axes(ax, type(self).__name__)
        self.axes_ = np.array([self.ax_], dtype=object)
        if len(self.feature_names) == 1:
            self._plot_curve(scale == "log", kwargs)
        else:
            self._plot_contours(scale != "linear", kwargs)
        self.ax_.set_xlabel(self.feature_names[0], parse_math=False)
        self.ax_.spines[["top", "right"]].set_visible(False)
        if self.held:
            self.ax_.set_title(_slice_title(self.held), fontsize="medium", parse_math=False)
        return self

    def _values(self, log: bool) -> tuple[FloatArray, str]:
        """Return what to draw on the grid, and its name."""
        assert self.log_density is not None
        if log:
            return self.log_density, "log density" + ("" if self.normalized else ", unnormalized")
        if self.normalized:
            return np.exp(self.log_density), "density"
        return np.exp(self.log_density - self.log_density.max()), "density / its highest value"

    def _plot_curve(self, log: bool, kwargs: dict[str, Any]) -> None:
        style = {"color": FIRST, "linewidth": 2.0, **kwargs}
        if self.kind == "score":
            assert self.score is not None
            (self.line_,) = self.ax_.plot(*self.score_grid, self.score, **style)
            self.ax_.axhline(0.0, color=INK, linewidth=0.8, linestyle=":")
            self.ax_.set_ylabel("score")
            self._plot_ticks()
            return
        values, name = self._values(log)
        if log or self.held or not self.normalized:
            self._plot_ticks()
        elif self.samples is not None:
            self._plot_bars(self.ax_, 0, _edges(self.samples[:, 0]))
        (self.line_,) = self.ax_.plot(*self.grid, values, **style)
        if log:
            top = values.max()
            self.ax_.set_ylim(bottom=max(values.min(), top + _LOG_LEVELS[0]), top=top + 0.5)
        else:
            self.ax_.set_ylim(bottom=0.0)
        self.ax_.set_ylabel(name)

    def _plot_ticks(self) -> None:
        """Draw the rows as ticks at the bottom, where no histogram is on the curve's scale."""
        if self.samples is not None:
            style = {"linestyle": "", "marker": "|", "color": INK, "alpha": 0.5}
            across = self.ax_.get_xaxis_transform()
            heights = np.full(len(self.samples), 0.02)
            self.points_ += self.ax_.plot(self.samples[:, 0], heights, transform=across, **style)

    def _plot_contours(self, log: bool, kwargs: dict[str, Any]) -> None:
        as_field = self.kind == "score"
        if self.log_density is not None:
            values, name = self._values(log)
            style: dict[str, Any] = {"levels": _levels(values, log), "cmap": "Blues"}
            style |= {"extend": "min" if log else "neither", **({} if as_field else kwargs)}
            if np.ndim(style["levels"]) == 1:
                # The dark end of the colours is left out, so that rows and arrows show.
                low, high = style["levels"][0], style["levels"][-1]
                style = {"vmin": low, "vmax": 1.6 * high - 0.6 * low, **style}
            self.surface_ = self.ax_.contourf(*self.grid, values, **style)
            ticks = self.surface_.levels[::2]
            bar = self.figure_.colorbar(self.surface_, ax=self.ax_, pad=0.02, ticks=ticks)
            bar.set_label(name)
            bar.outline.set_visible(False)
        if self.samples is not None:
            self._plot_rows(self.ax_, (0, 1), alpha=0.3 if as_field else 0.6)
        if as_field:
            self._plot_arrows(kwargs)
        self.ax_.set_ylabel(self.feature_names[1], parse_math=False)
        limits = [(values[0], values[-1]) for values in self.grid or self.score_grid]
        self.ax_.set(xlim=limits[0], ylim=limits[1])

    def _plot_arrows(self, kwargs: dict[str, Any]) -> None:
        assert self.score is not None
        units = _units([float(np.ptp(values)) for values in self.grid])
        # Drawn equally long, the units make the gradient by them perpendicular to the contours.
        self.ax_.set_aspect(units[0] / units[1])
        arrows = self.score * units
        lengths = np.linalg.norm(arrows, axis=-1)
        known = np.isfinite(lengths)
        half = np.quantile(lengths[known], _HALF_LENGTH) if known.any() else 0.0
        shown = arrows / (lengths + (half or 1.0))[..., None]
        style = {"color": INK, "pivot": "mid", "width": 0.003, "headwidth": 3.5, "headlength": 4.0}
        style |= {"headaxislength": 3.5, "angles": "uv", "scale_units": "width", "minlength": 0.3}
        style |= {"scale": len(self.score_grid[0]) / _LONGEST_ARROW, **kwargs}
        mesh = np.meshgrid(*self.score_grid)
        self.arrows_ = self.ax_.quiver(*(each[known] for each in mesh), *shown[known].T, **style)

    def _plot_rows(self, panel: Any, columns: tuple[int, int], alpha: float = 0.6) -> None:
        assert self.samples is not None
        area: Any = _area(len(self.samples))
        if self.sample_weight is not None:
            area = area * self.sample_weight / self.sample_weight.mean()
        style = {"s": area, "color": INK, "alpha": alpha, "linewidths": 0.0}
        self.points_.append(panel.scatter(*self.samples[:, columns].T, **style))

    def _plot_draws(self, panel: Any, columns: tuple[int, int], kwargs: dict[str, Any]) -> None:
        assert self.draws is not None
        style = {"s": _area(len(self.draws)), "color": FIRST, "alpha": 0.6, "linewidths": 0.0}
        self.draws_.append(panel.scatter(*self.draws[:, columns].T, **style | kwargs))

    def _plot_bars(self, panel: Any, column: int, edges: FloatArray) -> None:
        assert self.samples is not None
        label = f"rows ({len(self.samples)})"
        style = {"bins": edges, "density": True, "color": NULL, "label": label}
        values = self.samples[:, column]
        self.bars_.append(panel.hist(values, weights=self.sample_weight, **style)[2])

    def _plot_histograms(self, panel: Any, column: int, kwargs: dict[str, Any]) -> None:
        assert self.draws is not None
        values = self.draws[:, column]
        edges = _edges(values)
        if self.samples is not None:
            edges = _edges(np.concatenate([values, self.samples[:, column]]))
            self._plot_bars(panel, column, edges)
        style = {"bins": edges, "density": True, "color": FIRST, "histtype": "step"}
        style |= {"linewidth": 1.6, "label": f"draws ({len(values)})", **kwargs}
        self.draws_ += panel.hist(values, **style)[2]

    def _plot_samples(self, ax: Any, overlay: bool, kwargs: dict[str, Any]) -> None:
        assert self.draws is not None
        two = len(self.feature_names) == 2
        n_panels = 2 if two and self.samples is not None and not overlay else 1
        if n_panels == 1:
            self.figure_, self.ax_ = figure_and_axes(ax, type(self).__name__)
            panels = [self.ax_]
        else:
            self.figure_, panels = figure_and_panels(ax, n_panels, type(self).__name__)
            self.ax_ = panels[0]
        self.axes_ = np.array(panels, dtype=object)
        if not two:
            self._plot_histograms(self.ax_, 0, kwargs)
            self.ax_.set_ylabel("density")
        else:
            if self.samples is not None:
                self._plot_rows(panels[0], (0, 1))
                self.points_[0].set_label(f"rows ({len(self.samples)})")
            self._plot_draws(panels[-1], (0, 1), kwargs)
            self.draws_[0].set_label(f"draws ({len(self.draws)})")
        for panel in panels:
            panel.set_xlabel(self.feature_names[0], parse_math=False)
            if two:
                panel.set_ylabel(self.feature_names[1], parse_math=False)
                panel.set(xlim=self._limits(0), ylim=self._limits(1))
            panel.spines[["top", "right"]].set_visible(False)
            _legend_above(panel)

    def _limits(self, column: int) -> tuple[float, float]:
        assert self.draws is not None
        parts = [self.draws] if self.samples is None else [self.draws, self.samples]
        return _extent(np.concatenate([part[:, column] for part in parts]), 0.5 * _MARGIN)

    def _plot_margins(self, ax: Any, kwargs: dict[str, Any]) -> None:
        count = len(self.feature_names)
        self.figure_, self.axes_ = _figure_and_square(ax, count, type(self).__name__)
        self.ax_ = self.axes_[0, 0]
        for (i, j), panel in np.ndenumerate(self.axes_):
            if i == j:
                self._plot_histograms(panel, i, {})
                panel.set_yticks([])
            elif i > j:
                self._plot_draws(panel, (j, i), kwargs)
            elif self.samples is not None:
                self._plot_rows(panel, (j, i))
            else:
                panel.set_axis_off()
            panel.set_xlim(self._limits(j))
            if i != j:
                panel.set_ylim(self._limits(i))
            panel.locator_params(axis="x", nbins=4)
            panel.spines[["top", "right"]].set_visible(False)
            panel.tick_params(labelleft=j == 0, labelbottom=i == count - 1, labelsize="small")
            if j == 0:
                panel.set_ylabel(self.feature_names[i], parse_math=False)
            if i == count - 1:
                panel.set_xlabel(self.feature_names[j], parse_math=False)
        _legend_above(self.ax_, 1)


# --------------------------------------------------------------------------------------
# what the estimator says


def _density_and_rows(
    estimator: Any, X: Any, names: Sequence[str] | None
) -> tuple[Any, FloatArray | None, list[str]]:
    """Return the density, the rows as it takes them (None if there are none), and their names."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    steps = getattr(estimator, "steps", [("", estimator)])
    density = steps[-1][1]
    if hasattr(density, "fit"):
        check_is_fitted(density)
    given: Any = getattr(density, "feature_names_in_", None)
    if len(steps) > 1:
        if X is not None:
            X = estimator[:-1].transform(X)
        if given is None:
            # Some transformers don't name what they give.
            with contextlib.suppress(AttributeError):
                given = estimator[:-1].get_feature_names_out()
    rows = None if X is None else check_rows(X, name="X")
    columns = column_names(X) if X is not None else None
    if given is not None and columns is not None and list(given) != list(columns):
        raise ValueError(
            f"The columns of X are named {list(columns)[:5]}, but the density was fitted on "
            f"{list(given)[:5]}. X must have the same columns in the same order."
        )
    count = getattr(density, "n_features_in_", getattr(density, "n_features", None))
    if rows is not None:
        if count is not None and rows.shape[1] != count:
            raise ValueError(
                f"X has {rows.shape[1]} features, but the density was fitted on {count}."
            )
        count = rows.shape[1]
    if count is None:
        raise ValueError(
            f"{type(density).__name__} has no n_features_in_: pass X, so that the number of "
            "features is known."
        )
    known: Any = columns if given is None else given
    return density, rows, _names(known if names is None else names, int(count), "feature")


def _asked(density: Any, method: str, points: FloatArray) -> FloatArray:
    """Return the method's values at points, which have the columns of the fit in their order."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
        return np.asarray(getattr(density, method)(points), dtype=np.float64)


def _draws(density: Any, n_samples: int, random_state: Any) -> FloatArray:
    """Return rows drawn from the density."""
    if not hasattr(density, "sample"):
        raise AttributeError(
            f"{type(density).__name__} has no sample to draw from; pass X to draw "
            "kind='density' or 'score' over the rows."
        )
    if "random_state" in inspect.signature(density.sample).parameters:
        drawn = density.sample(n_samples, random_state=random_state)
    else:
        if random_state is not None:
            density = copy.copy(density)
            density.random_state = random_state
        drawn = density.sample(n_samples)
    # Those of scikit-learn's GaussianMixture come with their components.
    return check_rows(drawn[0] if isinstance(drawn, tuple) else drawn, name="the draws")


def _seen(
    rows: FloatArray | None, draws: FloatArray, chosen: list[int] | None, names: list[str]
) -> dict[str, Any]:
    """Return what is drawn of rows and draws: the chosen features, or two components of both."""
    if chosen is not None:
        return {
            "feature_names": [names[feature] for feature in chosen],
            "samples": None if rows is None else rows[:, chosen],
            "draws": draws[:, chosen],
        }
    pooled = draws if rows is None else np.concatenate([rows, draws])
    view, components = view_of(pooled, pooled, "feature")
    n_rows = len(pooled) - len(draws)
    samples = None if rows is None else view[:n_rows]
    return {"feature_names": components, "samples": samples, "draws": view[n_rows:]}


# --------------------------------------------------------------------------------------
# where to look


def _position(feature: Any, names: list[str], argument: str) -> int:
    """Return the position of a feature given by position or name."""
    if isinstance(feature, str):
        if feature not in names:
            raise ValueError(f"{argument} has {feature!r}, which is none of {names[:10]}.")
        return names.index(feature)
    if not 0 <= feature < len(names):
        raise ValueError(f"{argument} has {feature}, but there are {len(names)} features.")
    return int(feature)


def _chosen(features: Sequence[int | str] | None, names: list[str], kind: str) -> list[int] | None:
    """Return the positions of the features to draw; None for two components of all."""
    count = len(names)
    if features is None:
        if kind == "samples" and count > 2:
            return None
        if kind == "margins" and count > _MOST_MARGINS:
            raise ValueError(
                f"There are {count} features, too many for margins of all: choose two or more with "
                "features=(i, j, ...)."
            )
        if kind != "margins" and count > 2:
            raise ValueError(
                f"There are {count} features, and one or two can be drawn: choose them with "
                "features=(i, j); the others are held at their mean, or where `at` says. "
                "kind='margins' draws all pairs."
            )
        features = range(count)
    chosen = [_position(feature, names, "features") for feature in features]
    fitting = len(chosen) >= 2 if kind == "margins" else len(chosen) in (1, 2)
    if not fitting or len(set(chosen)) < len(chosen):
        number = "two or more" if kind == "margins" else "one or two"
        raise ValueError(
            f"kind={kind!r} draws {number} different features, got {list(features)!r}."
        )
    return chosen


def _held(at: Any, names: list[str], chosen: list[int]) -> dict[int, float | None]:
    """Return where each feature that is not drawn is held; None is the mean."""
    if at is None:
        given: dict[int, float] = {}
    elif isinstance(at, Mapping):
        given = {_position(key, names, "at"): float(value) for key, value in at.items()}
    else:
        values = np.asarray(at, dtype=np.float64)
        if values.shape != (len(names),):
            raise ValueError(
                f"at has shape {values.shape}, expected a value for each of {len(names)} features, "
                "or a mapping of some features to values."
            )
        given = dict(enumerate(values.tolist()))
    if not np.isfinite(list(given.values())).all():
        raise ValueError("at has values that are not finite.")
    return {
        feature: given.get(feature) if feature not in chosen else 0.0
        for feature in range(len(names))
    }


def _point(
    held: dict[int, float | None], reference: FloatArray | None, weight: FloatArray | None
) -> FloatArray:
    """Return a point with the held features; the drawn ones are to be filled in."""
    means = np.zeros(len(held))
    if reference is not None:
        means = np.average(reference, axis=0, weights=weight)
    return np.array([means[feature] if value is None else value for feature, value in held.items()])


def _ends(
    limits: Any, reference: FloatArray | None, chosen: list[int], names: list[str]
) -> list[tuple[float, float]]:
    """Return the ends of the grid for each drawn feature."""
    if limits is None:
        assert reference is not None
        return [_extent(reference[:, feature], _MARGIN) for feature in chosen]
    ends = np.asarray(limits, dtype=np.float64)
    if ends.shape != (len(chosen), 2) or not np.all(np.isfinite(ends)):
        raise ValueError(
            f"limits must be a finite pair (low, high) for each of the features {names}, got "
            f"{limits!r}."
        )
    if not np.all(ends[:, 0] < ends[:, 1]):
        raise ValueError(f"Each of the limits must have low < high, got {limits!r}.")
    return [(float(low), float(high)) for low, high in ends]


def _extent(values: FloatArray, margin: float) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = margin * (high - low) or 1.0
    return low - margin, high + margin


def _units(extents: Sequence[float]) -> FloatArray:
    """Return what is drawn equally long of two features."""
    if max(extents) <= _MOST_ELONGATED * min(extents):
        return np.ones(2)
    return np.asarray(extents)


def _points(point: FloatArray, chosen: list[int], grid: tuple[FloatArray, ...]) -> FloatArray:
    """Return the points of a grid, the last feature's values the slowest to change."""
    mesh = np.meshgrid(*grid)
    points = np.tile(point, (mesh[0].size, 1))
    points[:, chosen] = np.column_stack([values.ravel() for values in mesh])
    return points


def _log_density_on_grid(
    density: Any,
    point: FloatArray,
    chosen: list[int],
    ends: list[tuple[float, float]],
    resolution: int,
    kind: str,
) -> dict[str, Any]:
    """Return the grid, the log density there, and whether that is normalised."""
    grid = tuple(np.linspace(*pair, resolution) for pair in ends)
    method = _log_density_method(density)
    if not hasattr(density, method):
        if kind == "score":
            return {"grid": grid}
        raise AttributeError(f"{type(density).__name__} has no score_samples, the log density.")
    values = _asked(density, method, _points(point, chosen, grid))
    if not np.any(values > -np.inf):
        raise ValueError(
            "The density is zero on the whole grid; choose other limits, or hold the other "
            "features elsewhere with at."
        )
    shape = tuple(len(each) for each in reversed(grid))
    parts = {"grid": grid, "log_density": values.reshape(shape)}
    return {**parts, "normalized": method == "score_samples"}


def _log_density_method(density: Any) -> str:
    """Return the name of the log density: unnormalised where there is no normaliser."""
    unnormalized = "unnormalized_log_density"
    if hasattr(density, unnormalized) and not np.isfinite(
        getattr(density, "log_normalizer_", np.nan)
    ):
        return unnormalized
    return "score_samples"


def _score_on_grid(
    density: Any,
    point: FloatArray,
    chosen: list[int],
    ends: list[tuple[float, float]],
    sizes: tuple[int, int],
) -> dict[str, Any]:
    """Return where arrows stand or the curve runs, and the score there."""
    if not hasattr(density, "score_function"):
        raise AttributeError(
            f"{type(density).__name__} has no score_function; kind='density' draws its log density."
        )
    resolution, n_arrows = sizes
    if len(chosen) == 1:
        grid: tuple[FloatArray, ...] = (np.linspace(*ends[0], resolution),)
    else:
        extents = np.array([high - low for low, high in ends])
        drawn = extents / _units(extents.tolist())
        counts = np.maximum(np.rint(n_arrows * drawn / drawn.max()), 2).astype(int)
        # In the middle of cells, away from the frame.
        grid = tuple(
            low + (np.arange(count) + 0.5) * (high - low) / count
            for (low, high), count in zip(ends, counts, strict=True)
        )
    points = _points(point, chosen, grid)
    # Where there is no mass there is no score, and those with a domain raise outside of it.
    inside = np.ones(len(points), dtype=bool)
    method = _log_density_method(density)
    if hasattr(density, method):
        inside = ~np.isneginf(_asked(density, method, points))
    score = np.full((len(points), len(chosen)), np.nan)
    if inside.any():
        score[inside] = _asked(density, "score_function", points[inside])[:, chosen]
    if len(chosen) == 1:
        return {"score_grid": grid, "score": score[:, 0]}
    return {"score_grid": grid, "score": score.reshape(len(grid[1]), len(grid[0]), 2)}


# --------------------------------------------------------------------------------------
# how it is drawn


def _slice_title(held: dict[str, float]) -> str:
    said = [f"{name} = {value:.3g}" for name, value in list(held.items())[:2]]
    more = f" and {len(held) - 2} more" if len(held) > 2 else ""
    return f"slice at {', '.join(said)}{more}"


def _levels(values: FloatArray, log: bool) -> FloatArray:
    """Return the levels of contours, at round numbers."""
    from matplotlib.ticker import MaxNLocator

    top = values[np.isfinite(values)].max()
    if log:
        return np.ceil(top) + _LOG_LEVELS
    return np.asarray(MaxNLocator(10).tick_values(0.0, top))


def _area(count: int) -> float:
    """Return the area of a point, smaller where there are many."""
    return float(np.clip(9000.0 / max(count, 1), 3.0, 20.0))


def _legend_above(panel: Any, n_columns: int = 3) -> None:
    """Name the artists above the panel, where that hides nothing."""
    style = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.2}
    panel.legend(**style, ncols=n_columns, frameon=False, fontsize="small")


def _figure_and_square(ax: Any, count: int, caller: str) -> tuple[Any, NDArray[Any]]:
    """Return the figure and `count` times `count` axes: new, given, or one axes divided."""
    check_matplotlib(caller)
    if ax is None:
        from matplotlib import pyplot

        size = (1.9 * count + 0.8, 1.7 * count + 0.8)
        return pyplot.subplots(count, count, squeeze=False, figsize=size, layout="constrained")
    panels = np.asarray(ax, dtype=object)
    if panels.size == 1:
        whole = panels.item()
        whole.set_axis_off()
        side = 1.0 / (count + 0.1 * (count - 1))
        panels = np.empty((count, count), dtype=object)
        for i, j in np.ndindex(count, count):
            low = 1.1 * side * (count - 1 - i)
            panels[i, j] = whole.inset_axes((1.1 * side * j, low, side, side))
    if panels.size != count * count:
        raise ValueError(
            f"ax has {panels.size} axes; pass None, one axes to be divided, or {count} times "
            f"{count} for the margins of {count} features."
        )
    panels = panels.reshape(count, count)
    return panels[0, 0].figure, panels
