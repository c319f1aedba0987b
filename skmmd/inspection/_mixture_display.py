"""A Gaussian mixture as curves or ellipses, and the criterion by which it was selected."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve_triangular
from scipy.special import logsumexp
from sklearn.utils import check_array

from skmmd.inspection._axes import INK, MARKERS, NULL, REST, figure_and_axes
from skmmd.inspection._witness_display import _drawn_features, _names

__all__ = ["MixtureDisplay"]

FloatArray = NDArray[np.float64]

_REACH = 4.0  # standard deviations that a grid covers: 99.99 % of the mass
# Narrow components keep their peak between the values of a grid, and no tail beside it.
_STEPS = np.linspace(-8.0, 8.0, 65)
_N_ANGLES = 101
_LINE_STYLES = ("-", "--", ":", "-.")
_LOG_LEVELS = np.linspace(-10.0, 0.0, 11)  # nats below the highest density
_MOST_NUMBERED = 30


class MixtureDisplay:
    """A fitted Gaussian mixture, or the search that selected it.

    One feature gives the weighted density of each component and their sum over a histogram of the
    rows; two give the components' ellipses, on request over contours of the log density. Of more
    features, one or two are chosen: the mixture is then their marginal one. A search gives the
    criterion against the number of components, a line for each covariance type. Made by
    :meth:`from_estimator` or :meth:`from_selection`; drawn by :meth:`plot`.

    Parameters
    ----------
    weights : ndarray of shape (n_components,), default=None
        Weights of the components.
    means : ndarray of shape (n_components, n_drawn_features), default=None
        Means of the drawn features.
    covariances : ndarray of shape (n_components, n_drawn_features, n_drawn_features), default=None
        Covariances of the drawn features.
    feature_names : sequence of str, default=()
        Names of the drawn features.
    grid : tuple of one or two ndarray, default=()
        Values of each drawn feature, ascending; empty where no density was asked for.
    densities : ndarray of shape (n_components, n_values) or None, default=None
        Density of each component times its weight, for one feature.
    noise_density : float or None, default=None
        The constant density of a noise component times its weight; None if there is none.
    log_density : ndarray of shape (n_values_second, n_values_first) or None, default=None
        Log density of the mixture, for two features where asked for.
    ellipses : ndarray of shape (n_components, n_levels, n_points, 2) or None, default=None
        Points of each component's ellipses, for two features; the last is the first.
    levels : sequence of float, default=()
        What the ellipses enclose, in `level_unit`.
    level_unit : {"mass", "std"}, default="mass"
        Whether `levels` are shares of a component's probability or numbers of standard deviations.
    samples : ndarray of shape (n_samples, n_drawn_features) or None, default=None
        The drawn features of the rows.
    labels : ndarray of shape (n_samples,) or None, default=None
        The component of each row, -1 for noise.
    selection : dict or None, default=None
        Of a search: "n_components", "covariance_type" and "score" of each candidate as arrays, NaN
        where the fit failed, the name of the "criterion", and "best_index".

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes, once plotted.
    figure_ : matplotlib Figure
        The figure, once plotted.
    lines_ : list of matplotlib Line2D
        One curve for each component and one for the noise (one feature), or one line for each
        covariance type (search).
    line_ : matplotlib Line2D or None
        The density of the mixture; None but for one feature.
    bars_ : matplotlib BarContainer or None
        The histogram of the rows; None but for one feature.
    points_ : matplotlib PathCollection or None
        The rows; None but for two features.
    ellipses_ : list of matplotlib LineCollection
        The ellipses of each level, for two features.
    surface_ : matplotlib QuadContourSet or None
        The log density; None where it was not asked for.
    best_ : matplotlib PathCollection or None
        The mark of the best candidate; None but for a search.

    See Also
    --------
    skmmd.mixture.GaussianMixture : What is drawn.
    skmmd.mixture.GaussianMixtureIC : The search.
    sklearn.mixture.GaussianMixture : Can be drawn, too.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.mixture import GaussianMixture
    >>> from skmmd.inspection import MixtureDisplay
    >>> X, _ = load_iris(return_X_y=True)
    >>> mixture = GaussianMixture(3, random_state=0).fit(X)
    >>> display = MixtureDisplay.from_estimator(mixture, X, features=(2, 3)).plot()
    >>> display.ellipses.shape
    (3, 2, 101, 2)
    """

    ax_: Any
    figure_: Any
    lines_: list[Any]
    line_: Any
    bars_: Any
    points_: Any
    ellipses_: list[Any]
    surface_: Any
    best_: Any

    def __init__(
        self,
        *,
        weights: FloatArray | None = None,
        means: FloatArray | None = None,
        covariances: FloatArray | None = None,
        feature_names: Sequence[str] = (),
        grid: tuple[FloatArray, ...] = (),
        densities: FloatArray | None = None,
        noise_density: float | None = None,
        log_density: FloatArray | None = None,
        ellipses: FloatArray | None = None,
        levels: Sequence[float] = (),
        level_unit: str = "mass",
        samples: FloatArray | None = None,
        labels: NDArray[np.intp] | None = None,
        selection: dict[str, Any] | None = None,
    ) -> None:
        self.weights = weights
        self.means = means
        self.covariances = covariances
        self.feature_names = feature_names
        self.grid = grid
        self.densities = densities
        self.noise_density = noise_density
        self.log_density = log_density
        self.ellipses = ellipses
        self.levels = levels
        self.level_unit = level_unit
        self.samples = samples
        self.labels = labels
        self.selection = selection

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None = None,
        *,
        features: Sequence[int | str] | None = None,
        feature_names: Sequence[str] | None = None,
        levels: Sequence[float] = (0.5, 0.95),
        level_unit: str = "mass",
        log_density: bool = False,
        grid_resolution: int = 200,
    ) -> Self:
        """Compute the curves or ellipses of a fitted mixture.

        Parameters
        ----------
        estimator : GaussianMixture, GaussianMixtureIC or scikit-learn's GaussianMixture
            Fitted; of a search, its best estimator is drawn.
        X : {array-like, DataFrame} of shape (n_samples, n_features), default=None
            Rows to draw, coloured by their component. Those with NaN in a drawn feature are left
            out.
        features : sequence of one or two int or str, default=None
            The features to draw, by position or name. May be None where there are no more than two.
        feature_names : sequence of str, default=None
            Names of all features; None takes those the mixture was fitted with, or counts them.
        levels : sequence of float, default=(0.5, 0.95)
            One ellipse of each component for each level, for two features.
        level_unit : {"mass", "std"}, default="mass"
            "mass": a level is the share in (0, 1) of a component's probability that its ellipse
            encloses. "std": a level is a Mahalanobis distance, a number of standard deviations:
            1 encloses 39 %, 2 enclose 86 %, 3 enclose 99 %.
        log_density : bool, default=False
            Whether to compute the log density of two features on a grid.
        grid_resolution : int, default=200
            Number of values of each drawn feature, over the rows and four standard deviations about
            each mean. For one feature, values about the mean of each component are added.

        Returns
        -------
        MixtureDisplay
            The display, not yet plotted.

        Raises
        ------
        ValueError
            If features, names, levels or `X` don't fit the mixture.
        AttributeError
            If the estimator is not fitted, or is no Gaussian mixture.
        """
        mixture = getattr(estimator, "best_estimator_", estimator)
        for name in ("weights_", "means_", "covariances_"):
            if not hasattr(mixture, name):
                raise AttributeError(
                    f"{type(mixture).__name__} has no {name}; pass a Gaussian mixture that is "
                    "fitted."
                )
        radii = _radii(levels, level_unit)
        all_means = np.asarray(mixture.means_, dtype=np.float64)
        if feature_names is None:
            feature_names = getattr(mixture, "feature_names_in_", None)
        names = _names(feature_names, all_means.shape[1], "feature")
        drawn = _marginal_features(features, names)
        samples, labels = _labelled_rows(mixture, X, drawn, all_means.shape[1])
        weights = np.asarray(mixture.weights_, dtype=np.float64)
        means = all_means[:, drawn]
        covariances = _full_covariances(mixture)[:, drawn][:, :, drawn]
        noise_density = _noise_density(mixture, drawn)
        held: dict[str, Any] = {}
        if len(drawn) == 1 or log_density:
            grid = _grid(means, covariances, samples, grid_resolution)
            points = np.stack(np.meshgrid(*grid), axis=-1)
            density = _log_densities(points, weights, means, covariances)
            if len(drawn) == 1:
                held = {"grid": grid, "densities": np.exp(density)}
            else:
                held = {"grid": grid, "log_density": _log_total(density, noise_density)}
        if len(drawn) == 2:
            held |= {"ellipses": _ellipses(means, covariances, radii)}
            held |= {"levels": tuple(levels), "level_unit": level_unit}
        return cls(
            weights=weights,
            means=means,
            covariances=covariances,
            feature_names=[names[feature] for feature in drawn],
            noise_density=noise_density,
            samples=samples,
            labels=labels,
            **held,
        )

    @classmethod
    def from_selection(cls, selector: Any) -> Self:
        """Take the selection curve from a fitted search.

        Parameters
        ----------
        selector : GaussianMixtureIC
            Fitted.

        Returns
        -------
        MixtureDisplay
            The display, not yet plotted.

        Raises
        ------
        AttributeError
            If the search is not fitted.
        """
        if not hasattr(selector, "results_"):
            raise AttributeError(f"{type(selector).__name__} has no results_; fit it first.")
        results = selector.results_
        return cls(
            selection={
                "n_components": np.asarray(results["n_components"]),
                "covariance_type": np.asarray(results["covariance_type"]),
                "score": np.asarray(results[selector.criterion], dtype=np.float64),
                "criterion": selector.criterion,
                "best_index": int(selector.best_index_),
            }
        )

    def plot(self, ax: Any = None, **kwargs: Any) -> Self:
        """Draw the mixture, or the selection curve.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        **kwargs : dict
            Passed to matplotlib's ``plot`` for the density of the mixture (one feature) or for each
            covariance type (search), to ``LineCollection`` for the ellipses (two features).

        Returns
        -------
        MixtureDisplay
            This display, with ``ax_``, ``figure_`` and the artists.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        self.figure_, self.ax_ = figure_and_axes(ax, type(self).__name__)
        self.lines_, self.ellipses_ = [], []
        self.line_ = self.bars_ = self.points_ = self.surface_ = self.best_ = None
        if self.selection is not None:
            self._plot_selection(self.selection, kwargs)
        elif self.densities is not None:
            self._plot_densities(self.densities, kwargs)
        else:
            self._plot_ellipses(kwargs)
        self.ax_.spines[["top", "right"]].set_visible(False)
        handles, labels = self.ax_.get_legend_handles_labels()
        if handles:
            # Above the axes, where it hides nothing.
            style = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.2}
            style |= {"ncols": 3, "frameon": False, "fontsize": "small"}
            self.ax_.legend(handles, labels, **style)
        return self

    def _plot_densities(self, densities: FloatArray, kwargs: dict[str, Any]) -> None:
        assert self.weights is not None
        (values,) = self.grid
        if self.samples is not None and len(self.samples):
            _, _, self.bars_ = self.ax_.hist(
                self.samples[:, 0], bins=_edges(self.samples[:, 0]), density=True, color=NULL
            )
        total = densities.sum(axis=0) + (self.noise_density or 0.0)
        # Each of many components would fill the legend.
        named = len(densities) <= 8
        for k, (density, color) in enumerate(zip(densities, _colors(len(densities)), strict=True)):
            label = f"component {k} ({self.weights[k]:.2g})" if named else None
            self.lines_ += self.ax_.plot(values, density, color=color, linewidth=1.2, label=label)
        if self.noise_density is not None:
            level = np.full(len(values), self.noise_density)
            style = {"color": INK, "linestyle": ":", "linewidth": 1.2, "label": "noise"}
            self.lines_ += self.ax_.plot(values, level, **style)
        style = {"color": INK, "linewidth": 2.0, "label": "mixture", **kwargs}
        (self.line_,) = self.ax_.plot(values, total, **style)
        self.ax_.set(xlabel=self.feature_names[0], ylabel="density")
        self.ax_.set_ylim(bottom=0.0)

    def _plot_ellipses(self, kwargs: dict[str, Any]) -> None:
        from matplotlib.collections import LineCollection

        assert self.means is not None
        assert self.ellipses is not None
        colors = _colors(len(self.means))
        self._plot_log_density()
        self._plot_points(colors)
        unit = "{:.3g} % of a component" if self.level_unit == "mass" else "{:.3g} std"
        for place, level in enumerate(self.levels):
            style = {
                "colors": colors,
                "linestyles": _LINE_STYLES[place % len(_LINE_STYLES)],
                "linewidths": 1.6,
                "label": unit.format(100.0 * level if self.level_unit == "mass" else level),
                **kwargs,
            }
            lines = LineCollection(list(self.ellipses[:, place]), **style)
            self.ellipses_.append(self.ax_.add_collection(lines))
        for k, mean in enumerate(self.means[:_MOST_NUMBERED]):
            # White below the digits, so that they show over points.
            box = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": colors[k]}
            style = {"ha": "center", "va": "center", "fontsize": "small", "color": INK}
            self.ax_.annotate(str(k), mean, bbox=box, **style)
        self.ax_.autoscale_view()
        self.ax_.set(xlabel=self.feature_names[0], ylabel=self.feature_names[1])

    def _plot_log_density(self) -> None:
        from matplotlib.ticker import MaxNLocator

        if self.log_density is None:
            return
        levels = self.log_density.max() + _LOG_LEVELS
        self.surface_ = self.ax_.contourf(
            *self.grid, self.log_density, levels=levels, cmap="Greys", alpha=0.5, extend="min"
        )
        bar = self.figure_.colorbar(self.surface_, ax=self.ax_, pad=0.02, ticks=MaxNLocator(6))
        bar.set_label("log density")
        bar.outline.set_visible(False)

    def _plot_points(self, colors: FloatArray) -> None:
        if self.samples is None or self.labels is None:
            return
        size = float(np.clip(9000.0 / max(len(self.samples), 1), 4.0, 20.0))
        noise = self.labels < 0
        style: dict[str, Any] = {"s": size, "linewidths": 0.0, "alpha": 0.6}
        self.points_ = self.ax_.scatter(
            *self.samples[~noise].T, c=colors[self.labels[~noise]], **style
        )
        if noise.any():
            style = {"s": size, "marker": "x", "color": INK, "linewidths": 0.8}
            self.ax_.scatter(*self.samples[noise].T, label=f"noise ({noise.sum()})", **style)

    def _plot_selection(self, selection: dict[str, Any], kwargs: dict[str, Any]) -> None:
        from matplotlib.ticker import MaxNLocator

        sizes, types, scores = (
            selection[name] for name in ("n_components", "covariance_type", "score")
        )
        in_order = list(dict.fromkeys(types.tolist()))
        for place, (name, color) in enumerate(zip(in_order, _colors(len(in_order)), strict=True)):
            rows = np.flatnonzero(types == name)
            rows = rows[np.argsort(sizes[rows], kind="stable")]
            style = {"marker": MARKERS[place % len(MARKERS)], "markersize": 4.0, "label": name}
            style |= {"color": color, "linewidth": 1.4, **kwargs}
            self.lines_ += self.ax_.plot(sizes[rows], scores[rows], **style)
        best = selection["best_index"]
        self.best_ = self.ax_.scatter(
            sizes[best],
            scores[best],
            s=130.0,
            facecolors="none",
            edgecolors=REST,
            linewidths=1.8,
            zorder=3.0,
            label=f"best: {sizes[best]} {types[best]}",
        )
        self.ax_.xaxis.set_major_locator(MaxNLocator(integer=True))
        name = selection["criterion"].upper()
        self.ax_.set(xlabel="number of components", ylabel=f"{name} (lower is better)")


def _radii(levels: Sequence[float], level_unit: str) -> FloatArray:
    """Return the Mahalanobis radius of each level."""
    if level_unit not in ("mass", "std"):
        raise ValueError(f"level_unit must be 'mass' or 'std', got {level_unit!r}.")
    given = np.asarray(levels, dtype=np.float64)
    top = 1.0 if level_unit == "mass" else np.inf
    if given.ndim != 1 or not np.all((given > 0.0) & (given < top)):
        expected = "shares in (0, 1)" if level_unit == "mass" else "positive and finite numbers"
        raise ValueError(
            f"levels must be a sequence of {expected} for level_unit={level_unit!r}, got "
            f"{levels!r}."
        )
    # The squared distance of two Gaussian features is exponential with mean 2.
    return np.sqrt(-2.0 * np.log1p(-given)) if level_unit == "mass" else given


def _marginal_features(features: Sequence[int | str] | None, names: list[str]) -> list[int]:
    if features is None and len(names) > 2:
        raise ValueError(
            f"There are {len(names)} features, and one or two can be drawn: choose them with "
            "features=(i, j); the mixture of these features alone is drawn then."
        )
    return _drawn_features(features, names)


def _labelled_rows(
    mixture: Any, X: Any, drawn: list[int], n_features: int
) -> tuple[FloatArray | None, NDArray[np.intp] | None]:
    """Return the drawn features of the rows, and their components."""
    if X is None:
        return None, None
    # Whether NaN is allowed is the mixture's to say, in `predict`.
    rows = check_array(X, dtype=np.float64, ensure_all_finite="allow-nan", input_name="X")
    if rows.shape[1] != n_features:
        raise ValueError(
            f"X has {rows.shape[1]} features, but the mixture was fitted on {n_features}."
        )
    labels = np.asarray(mixture.predict(X))
    seen = ~np.isnan(rows[:, drawn]).any(axis=1)
    return rows[seen][:, drawn], labels[seen]


def _full_covariances(mixture: Any) -> FloatArray:
    """Return the covariances as (n_components, n_features, n_features), whatever their type."""
    n_components, n_features = np.shape(mixture.means_)
    shape = (n_components, n_features, n_features)
    found = np.asarray(mixture.covariances_, dtype=np.float64)
    identity = np.eye(n_features)
    match mixture.covariance_type:
        case "full" | "tied":
            full = found
        case "diag":
            full = found[:, :, None] * identity
        case "spherical":
            full = found[:, None, None] * identity
        case "tied_diag" | "tied_spherical":
            full = found * identity
        case unknown:
            raise ValueError(f"covariance_type={unknown!r} is unknown.")
    return np.broadcast_to(full, shape)


def _noise_density(mixture: Any, drawn: list[int]) -> float | None:
    """Return weight over volume of the box of the drawn features; None without noise."""
    if not hasattr(mixture, "noise_weight_"):
        return None
    low, high = np.asarray(mixture.noise_bounds_, dtype=np.float64)[:, drawn]
    return float(mixture.noise_weight_ / np.prod(high - low))


def _grid(
    means: FloatArray, covariances: FloatArray, samples: FloatArray | None, resolution: int
) -> tuple[FloatArray, ...]:
    """Return the values of each drawn feature, over all rows and nearly all mass."""
    std = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))
    low, high = (means - _REACH * std).min(axis=0), (means + _REACH * std).max(axis=0)
    if samples is not None and len(samples):
        low, high = np.minimum(low, samples.min(axis=0)), np.maximum(high, samples.max(axis=0))
    grid = [np.linspace(*ends, resolution) for ends in zip(low, high, strict=True)]
    if len(grid) == 1:
        peaks = means + std * _STEPS
        grid[0] = np.union1d(grid[0], peaks[(peaks > grid[0][0]) & (peaks < grid[0][-1])])
    return tuple(grid)


def _log_densities(
    points: FloatArray, weights: FloatArray, means: FloatArray, covariances: FloatArray
) -> FloatArray:
    """Return log weight plus log density of each component, (n_components, *points.shape[:-1])."""
    n_features = points.shape[-1]
    rows = points.reshape(-1, n_features)
    found = np.empty((len(weights), len(rows)))
    for k, (mean, covariance) in enumerate(zip(means, covariances, strict=True)):
        factor = np.linalg.cholesky(covariance)
        whitened = solve_triangular(factor, (rows - mean).T, lower=True)
        found[k] = -0.5 * (whitened**2).sum(axis=0) - np.log(np.diagonal(factor)).sum()
    with np.errstate(divide="ignore"):  # a component may have lost all its weight
        found += np.log(weights)[:, None] - 0.5 * n_features * np.log(2.0 * np.pi)
    return found.reshape(-1, *points.shape[:-1])


def _log_total(log_densities: FloatArray, noise_density: float | None) -> FloatArray:
    total: FloatArray = logsumexp(log_densities, axis=0)
    return np.logaddexp(total, np.log(noise_density)) if noise_density else total


def _ellipses(means: FloatArray, covariances: FloatArray, radii: FloatArray) -> FloatArray:
    """Return closed curves of these Mahalanobis radii, (n_components, n_radii, n_points, 2)."""
    angles = np.linspace(0.0, 2.0 * np.pi, _N_ANGLES)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    circle[-1] = circle[0]
    circles = radii[:, None, None] * circle
    turned = circles @ np.linalg.cholesky(covariances).swapaxes(1, 2)[:, None]
    return means[:, None, None, :] + turned


def _edges(values: FloatArray) -> FloatArray:
    """Return the edges of 10 to 60 bars, by the rule of Freedman and Diaconis in between."""
    low, high = np.quantile(values, [0.25, 0.75])
    width = 2.0 * (high - low) / len(values) ** (1.0 / 3.0)
    n_bins = np.clip(np.ptp(values) / width, 10.0, 60.0) if width > 0.0 else 10.0
    return np.histogram_bin_edges(values, int(n_bins))


def _colors(count: int) -> FloatArray:
    """Return `count` colours as RGBA."""
    from matplotlib import colormaps

    if count <= 20:
        return colormaps["tab10" if count <= 10 else "tab20"](np.arange(count))
    return colormaps["turbo"](np.linspace(0.0, 1.0, count))
