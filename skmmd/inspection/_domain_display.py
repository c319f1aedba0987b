"""Two domains: before and after they are aligned, the weights of source rows, and the overlap."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.metrics.pairwise import euclidean_distances, rbf_kernel
from sklearn.model_selection import StratifiedKFold
from sklearn.utils import gen_batches

from skmmd._validation import check_domain, check_same_columns, check_weight
from skmmd.inspection._axes import FIRST, INK, MARKERS, REST, figure_and_axes, figure_and_panels
from skmmd.inspection._views import rows_of, view_of

__all__ = ["DomainDisplay"]

FloatArray = NDArray[np.float64]
Indices = NDArray[np.intp]

_KINDS = ("auto", "weights", "domains", "overlap")
_N_FOLDS = 5
_MOST_REFERENCES = 1000
_BATCH = 4096
_LEAST_BINS, _MOST_BINS = 20, 40
_LARGEST_POINT = 12.0  # in multiples of the mean weight


class DomainDisplay:
    r"""Source and target rows, before and after weights or a map bring them together.

    Three kinds of figure: the domains side by side before and after, source rows drawn as large as
    their weights; a histogram of the weights with their effective sample size
    :math:`(\sum w)^2 / \sum w^2`; and the overlap, the distribution of the MMD's witness over the
    rows of each domain. Made by :meth:`from_estimator` or :meth:`from_domains`; drawn
    by :meth:`plot`.

    Parameters
    ----------
    source_before, target_before : ndarray of shape (n_rows, 1) or (n_rows, 2)
        Views of the rows before.
    source_after, target_after : ndarray of shape (n_rows, 1) or (n_rows, 2), or None
        Views of the rows after a map; None where there is none.
    names_before, names_after : sequence of str
        Names of the columns of the views.
    weights : ndarray of shape (n_source,) or None
        Weights of the source rows, which count after.
    scores_before, scores_after : tuple of two ndarray, or None
        Witness of the source rows and of the target rows, or their only column; None without
        target rows, and after if there was no map.

    Attributes
    ----------
    effective_sample_size : float or None
        Of the weights: as many rows of equal weight have means of the same variance.
    overlap_before, overlap_after : float or None
        1 minus the largest difference between the two domains' distribution functions of the
        score (1 minus the Kolmogorov-Smirnov statistic), with the weights after. That is the
        smallest sum of the two error rates at telling the domains apart by a threshold on the
        score: 1 where its distributions are the same, 0 where a threshold separates them. None
        without target rows; after, without weights and map.
    axes_ : list of matplotlib Axes
        The panels, once plotted.
    ax_ : matplotlib Axes
        The first panel.
    figure_ : matplotlib Figure
        The figure, once plotted.
    points_ : list of list of matplotlib PathCollection
        The rows of source and target in each panel of the domains; else empty.
    bars_ : list of list of matplotlib BarContainer or StepPatch
        The histograms of each panel of weights or overlap; else empty.
    legend_ : matplotlib Legend or None
        The names of the domains, for the domains and the overlap.

    See Also
    --------
    skmmd.transfer.KernelMeanMatching : Gives weights.
    skmmd.transfer.TransferComponentAnalysis : Gives a map.
    EmbeddingDisplay : The classes before and after an embedding.

    Notes
    -----
    The witness of a row is its mean kernel value to source rows minus that to target rows:
    positive where source rows are denser. The kernel is Gaussian, its coefficient by the median of
    the distances. Each row is scored by the other four fifths of the rows, of which no more than
    1000 of a domain, so that many columns do not seem to separate domains that are alike. With
    weights only, the witness is the same before and after: the weights change how many rows a row
    counts for. A single column is its own score. The overlap is that of whole rows: a view can
    show domains mixed that other components tell apart. By chance alone, the overlap of equal
    domains lies below 1 by about :math:`0.87 \sqrt{1 / n_s + 1 / n_t}`.

    Examples
    --------
    >>> from skmmd.datasets import make_covariate_shift
    >>> from skmmd.inspection import DomainDisplay
    >>> from skmmd.transfer import KernelMeanMatching, stack_domains
    >>> Xs, Xt = make_covariate_shift(200, random_state=0)
    >>> X, _, sample_domain = stack_domains(Xs, [0] * 200, Xt)
    >>> matching = KernelMeanMatching().fit(X, sample_domain=sample_domain)
    >>> display = DomainDisplay.from_estimator(matching, X, sample_domain)
    >>> display.overlap_before < display.overlap_after
    True
    >>> _ = display.plot(kind="weights")
    """

    axes_: list[Any]
    ax_: Any
    figure_: Any
    points_: list[list[Any]]
    bars_: list[list[Any]]
    legend_: Any

    def __init__(
        self,
        *,
        source_before: FloatArray,
        target_before: FloatArray,
        source_after: FloatArray | None = None,
        target_after: FloatArray | None = None,
        names_before: Sequence[str] = (),
        names_after: Sequence[str] = (),
        weights: FloatArray | None = None,
        scores_before: tuple[FloatArray, FloatArray] | None = None,
        scores_after: tuple[FloatArray, FloatArray] | None = None,
    ) -> None:
        self.source_before = source_before
        self.target_before = target_before
        self.source_after = source_after
        self.target_after = target_after
        self.names_before = names_before
        self.names_after = names_after
        self.weights = weights
        self.scores_before = scores_before
        self.scores_after = scores_after
        self.effective_sample_size = None
        self.overlap_before = self.overlap_after = None
        if weights is not None:
            self.effective_sample_size = _effective_sample_size(weights)
        if scores_before is not None:
            self.overlap_before = _overlap(*scores_before)
            if scores_after is not None or weights is not None:
                self.overlap_after = _overlap(*(scores_after or scores_before), weights)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        sample_domain: ArrayLike | None = None,
    ) -> Self:
        """Take weights, a map or both from a fitted estimator.

        Parameters
        ----------
        estimator : estimator or pipeline
            Fitted, and not fitted again. :class:`~skmmd.transfer.KernelMeanMatching` gives weights,
            as do :class:`~skmmd.transfer.TransferClassifier` and ``TransferRegressor`` with a
            reweighter: ``predict_weights`` of the source rows, or ``weights_`` of those it was
            fitted on where there is no weight function (``alpha=0``). Of all others,
            ``transform`` maps, as that of :class:`~skmmd.transfer.TransferComponentAnalysis`. Of a
            pipeline, the steps before the last map, and the last gives weights or maps on.
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            The rows of both domains.
        sample_domain : array-like of shape (n_samples,), default=None
            0 or more for source rows, negative for target rows. None: all are source rows, whose
            weights can be drawn.

        Returns
        -------
        DomainDisplay
            The display, not yet plotted.

        Raises
        ------
        AttributeError
            If the estimator gives neither weights nor a map.
        ValueError
            If `X` and `sample_domain` do not fit each other or the estimator, or all weights
            are 0.
        """
        rows = rows_of(X, "X")
        source = _source_rows(sample_domain, rows.shape[0])
        mapped, weights = _mapped_and_weights(estimator, X, source)
        if mapped is None and weights is None:
            raise AttributeError(
                f"{type(estimator).__name__} has neither weights of source rows nor transform; "
                "pass a fitted reweighter, a meta-estimator that has one, or a transformer."
            )
        after = None if mapped is None else rows_of(mapped, "the embedding")
        names = (X, X if mapped is None else mapped)
        return cls._from_rows(rows, after, source, weights, names)

    @classmethod
    def from_domains(
        cls,
        Xs: Any,
        Xt: Any,
        weights: ArrayLike | None = None,
        *,
        after: tuple[Any, Any] | None = None,
    ) -> Self:
        """Take the rows of both domains.

        Parameters
        ----------
        Xs : {array-like, sparse matrix, DataFrame} of shape (n_source, n_features)
            Source rows.
        Xt : {array-like, sparse matrix, DataFrame} of shape (n_target, n_features)
            Target rows.
        weights : array-like of shape (n_source,), default=None
            Weights of the source rows, as from :func:`skmmd.transfer.kmm_weights`.
        after : tuple of two {array-like, sparse matrix, DataFrame}, default=None
            Source and target rows after a map. None: there was none.

        Returns
        -------
        DomainDisplay
            The display, not yet plotted.

        Raises
        ------
        ValueError
            If the domains differ in their columns, or weights or mapped rows do not fit them.
        """
        rows, n_source = _pooled(Xs, Xt, ("Xs", "Xt"))
        source = np.arange(rows.shape[0]) < n_source
        names, mapped = (Xs, Xs), None
        if after is not None:
            if not isinstance(after, tuple | list) or len(after) != 2:
                raise ValueError("after must be two samples: source and target rows after a map.")
            mapped, n_mapped = _pooled(*after, ("the mapped Xs", "the mapped Xt"))
            if (mapped.shape[0], n_mapped) != (rows.shape[0], n_source):
                raise ValueError(
                    f"Xs and Xt have {n_source} and {rows.shape[0] - n_source} rows, but after a "
                    f"map {n_mapped} and {mapped.shape[0] - n_mapped}."
                )
            names = (Xs, after[0])
        checked = None if weights is None else check_weight(weights, rows[source], name="weights")
        return cls._from_rows(rows, mapped, source, checked, names)

    @classmethod
    def _from_rows(
        cls,
        before: Any,
        after: Any,
        source: NDArray[np.bool_],
        weights: FloatArray | None,
        names: tuple[Any, Any],
    ) -> Self:
        view, names_before = view_of(names[0], before, "feature")
        parts: dict[str, Any] = {
            "source_before": view[source],
            "target_before": view[~source],
            "names_before": names_before,
            "scores_before": _scores(before, source),
        }
        if after is not None:
            view, parts["names_after"] = view_of(names[1], after, "component")
            parts["source_after"], parts["target_after"] = view[source], view[~source]
            parts["scores_after"] = _scores(after, source)
        return cls(weights=weights, **parts)

    def plot(self, kind: str = "auto", ax: Any = None, **kwargs: Any) -> Self:
        """Draw the domains, the weights or the overlap.

        Parameters
        ----------
        kind : {"auto", "weights", "domains", "overlap"}, default="auto"
            What to draw. "auto" draws the weights where there are some and no map, else the
            domains.
        ax : matplotlib Axes or sequence of them, default=None
            Where to draw: one axes for each panel, or one that is divided. None makes a new figure.
            Weights have one panel; domains and overlap have two, before and after, or one if there
            are neither weights nor a map.
        **kwargs : dict
            Passed to matplotlib's ``scatter`` (domains) or ``hist``.

        Returns
        -------
        DomainDisplay
            This display, with ``axes_``, ``figure_`` and the artists.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If `kind` is unknown or needs weights or target rows that there are not, or `ax` is a
            sequence of another length.
        """
        if kind not in _KINDS:
            raise ValueError(f"kind must be one of {list(_KINDS)}, got {kind!r}.")
        if kind == "auto":
            only_weights = self.weights is not None and self.source_after is None
            kind = "weights" if only_weights else "domains"
        if kind == "weights" and self.weights is None:
            raise ValueError("There are no weights to draw; kind='domains' draws the rows.")
        if kind == "overlap" and self.scores_before is None:
            raise ValueError("The overlap needs target rows; pass sample_domain with both domains.")
        self.points_, self.bars_, self.legend_ = [], [], None
        if kind == "weights":
            self._plot_weights(ax, kwargs)
            return self
        n_panels = 1 if self.weights is None and self.source_after is None else 2
        self.figure_, self.axes_ = figure_and_panels(ax, n_panels, type(self).__name__)
        self.ax_ = self.axes_[0]
        for side, panel in enumerate(self.axes_):
            if kind == "domains":
                self._plot_rows(panel, side, kwargs)
            else:
                self._plot_scores(panel, side, kwargs)
            panel.set_title(self._title(side, n_panels), fontsize="medium")
            panel.spines[["top", "right"]].set_visible(False)
        if self.source_after is None and n_panels == 2:
            # The same rows: the panels compare by eye.
            for name in ("xlim", "ylim"):
                limits = [getattr(panel, f"get_{name}")() for panel in self.axes_]
                for panel in self.axes_:
                    panel.set(**{name: (min(limits)[0], max(high for _, high in limits))})
        self._plot_legend(kind)
        return self

    def _title(self, side: int, n_panels: int) -> str:
        overlap = (self.overlap_before, self.overlap_after)[side]
        number = "" if overlap is None else f"overlap {overlap:.2f}"
        if n_panels == 1:
            return number
        what = "before" if side == 0 else "after, weighted" if self.weights is not None else "after"
        return f"{what} ({number})" if number else what

    def _plot_weights(self, ax: Any, kwargs: dict[str, Any]) -> None:
        assert self.weights is not None
        assert self.effective_sample_size is not None
        self.figure_, self.ax_ = figure_and_axes(ax, type(self).__name__)
        self.axes_ = [self.ax_]
        style = {"bins": _edges(self.weights), "color": FIRST, "edgecolor": "white", **kwargs}
        _, _, bars = self.ax_.hist(self.weights, **{"linewidth": 0.5, **style})
        self.bars_ = [[bars]]
        mean = self.weights.mean()
        self.ax_.axvline(mean, color=INK, linewidth=1.0, linestyle="--")
        self.ax_.annotate(
            f" mean {mean:.3g}",
            (mean, 1.0),
            xycoords=("data", "axes fraction"),
            va="top",
            fontsize="small",
            color=INK,
        )
        n_rows = len(self.weights)
        share = self.effective_sample_size / n_rows
        self.ax_.set_title(
            f"effective sample size {self.effective_sample_size:.0f} of {n_rows} ({share:.0%})",
            fontsize="medium",
        )
        self.ax_.set(xlabel="weight", ylabel="source rows")
        self.ax_.spines[["top", "right"]].set_visible(False)

    def _plot_rows(self, panel: Any, side: int, kwargs: dict[str, Any]) -> None:
        mapped = side == 1 and self.source_after is not None
        source = self.source_after if mapped else self.source_before
        target = self.target_after if mapped else self.target_before
        assert source is not None
        assert target is not None
        names = self.names_after if mapped else self.names_before
        size = float(np.clip(9000.0 / (len(source) + len(target)), 8.0, 28.0))
        sizes = np.full(len(source), size)
        if side == 1 and self.weights is not None:
            sizes = size * np.minimum(self.weights / self.weights.mean(), _LARGEST_POINT)
        drawn = []
        for domain, (rows, area) in enumerate(((source, sizes), (target, size))):
            # One column: the domains beside each other.
            points = rows if rows.shape[1] == 2 else np.column_stack([rows, _spread(rows, domain)])
            style = {**_style(domain), "s": area, "alpha": 0.6, "linewidths": 0.0, **kwargs}
            drawn.append(panel.scatter(*points.T, **style))
        self.points_.append(drawn)
        panel.set_xlabel(names[0], parse_math=False)
        if source.shape[1] == 1:
            panel.set(yticks=[], ylabel="")
        else:
            panel.set_ylabel(names[1], parse_math=False)

    def _plot_scores(self, panel: Any, side: int, kwargs: dict[str, Any]) -> None:
        mapped = side == 1 and self.scores_after is not None
        scores = self.scores_after if mapped else self.scores_before
        assert scores is not None
        weights = self.weights if side == 1 else None
        edges = _edges(np.concatenate(scores))
        drawn = []
        for domain, (places, counted) in enumerate(zip(scores, (weights, None), strict=True)):
            color = _style(domain)["color"]
            style = {"bins": edges, "density": True, "color": color, "alpha": 0.45, **kwargs}
            _, _, bars = panel.hist(places, weights=counted, **style)
            drawn.append(bars)
        self.bars_.append(drawn)
        names = self.names_after if mapped else self.names_before
        witness = "MMD witness (> 0: more like the source)"
        panel.set_xlabel(names[0] if len(names) == 1 else witness, parse_math=False)
        panel.set_ylabel("density")
        panel.locator_params(axis="x", nbins=6)

    def _plot_legend(self, kind: str) -> None:
        from matplotlib.lines import Line2D
        from matplotlib.patches import Patch

        handles: list[Any] = []
        for domain, (name, rows) in enumerate(
            (("source", self.source_before), ("target", self.target_before))
        ):
            if len(rows):
                label = f"{name} ({len(rows)})"
                if kind == "domains":
                    handles.append(Line2D([], [], linestyle="", label=label, **_style(domain)))
                else:
                    color = _style(domain)["color"]
                    handles.append(Patch(color=color, alpha=0.45, linewidth=0.0, label=label))
        # Beside the last panel, where it hides nothing.
        self.legend_ = self.axes_[-1].legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
            frameon=False,
            fontsize="small",
            borderaxespad=0.2,
        )


def _style(domain: int) -> dict[str, Any]:
    """Return the colour and the marker of the source, 0, or the target, 1."""
    return {"color": (FIRST, REST)[domain], "marker": MARKERS[domain]}


def _spread(rows: FloatArray, domain: int) -> FloatArray:
    """Return heights within the domain's band, so that equal values are seen to be many."""
    heights = np.random.default_rng(0).uniform(-0.35, 0.35, len(rows))
    return np.asarray(heights - domain)


def _edges(values: FloatArray) -> FloatArray:
    """Return the edges of bins: as many as the data ask for, between 20 and 40."""
    edges = np.histogram_bin_edges(values, "fd")
    n_bins = int(np.clip(len(edges) - 1, _LEAST_BINS, _MOST_BINS))
    return np.linspace(edges[0], edges[-1], n_bins + 1)


def _source_rows(sample_domain: ArrayLike | None, n_rows: int) -> NDArray[np.bool_]:
    """Return which rows are source."""
    if sample_domain is None:
        return np.ones(n_rows, dtype=bool)
    source = check_domain(sample_domain, n_rows, owner="DomainDisplay")
    if source.all() or not source.any():
        raise ValueError(
            "sample_domain marks all rows as one domain; 0 or more marks source rows, negative "
            "marks target rows."
        )
    return source


def _pooled(Xs: Any, Xt: Any, names: tuple[str, str]) -> tuple[Any, int]:
    """Return the rows of both samples in one matrix, and how many are of the first."""
    source, target = rows_of(Xs, names[0]), rows_of(Xt, names[1])
    check_same_columns(Xs, Xt, (source.shape[1], target.shape[1]), names)
    if sparse.issparse(source) or sparse.issparse(target):
        return sparse.vstack([source, target], format="csr"), source.shape[0]
    return np.vstack([source, target]), source.shape[0]


def _mapped_and_weights(
    estimator: Any, X: Any, source: NDArray[np.bool_]
) -> tuple[Any, FloatArray | None]:
    """Return the mapped rows and the weights of source rows, each None if there are none."""
    estimator = getattr(estimator, "best_estimator_", estimator)
    steps = getattr(estimator, "steps", [("", estimator)])
    mapped = estimator[:-1].transform(X) if len(steps) > 1 else None
    weights = _weights_of(steps[-1][1], X if mapped is None else mapped, source)
    if weights is None and hasattr(estimator, "transform"):
        mapped = estimator.transform(X)
    return mapped, weights


def _weights_of(estimator: Any, X: Any, source: NDArray[np.bool_]) -> FloatArray | None:
    """Return the weights of the source rows of X, None if the estimator gives none."""
    reweighter = getattr(estimator, "reweighter_", estimator)
    if reweighter is None:
        return None
    if len(getattr(reweighter, "steps", [])) > 1:
        X, reweighter = reweighter[:-1].transform(X), reweighter[-1]
    # Without ridge the weights are no function of the row.
    if hasattr(reweighter, "predict_weights") and getattr(reweighter, "alpha_", None) != 0.0:
        if hasattr(reweighter, "feature_names_in_"):
            return np.asarray(reweighter.predict_weights(X), dtype=np.float64)[source]
        return np.asarray(reweighter.predict_weights(rows_of(X, "X")[source]), dtype=np.float64)
    if not hasattr(reweighter, "weights_"):
        return None
    weights = np.asarray(reweighter.weights_, dtype=np.float64)
    if weights.shape != (int(source.sum()),):
        raise ValueError(
            f"The estimator has weights of {len(weights)} source rows, but X has "
            f"{int(source.sum())}; pass the rows it was fitted on."
        )
    return weights


def _effective_sample_size(weights: FloatArray) -> float:
    if not weights.any():
        raise ValueError("All weights are 0: no source row is near the target rows.")
    return float(weights.sum() ** 2 / (weights @ weights))


def _scores(rows: Any, source: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray] | None:
    """Return the scores of source and target rows: the witness, or the only column."""
    smaller = min(int(source.sum()), int((~source).sum()))
    if smaller == 0:
        return None
    n_rows, n_columns = rows.shape
    if n_columns == 1:
        return rows[source, 0], rows[~source, 0]
    every = np.arange(n_rows)
    folds: Any = [(every, every)]
    if smaller > 1:
        splitter = StratifiedKFold(min(_N_FOLDS, smaller), shuffle=True, random_state=0)
        folds = splitter.split(every, source)
    gamma = _median_gamma(rows)
    scores = np.empty(n_rows)
    for known, scored in folds:
        near, far = (known[source[known] == domain] for domain in (True, False))
        scores[scored] = _mean_kernel(rows, scored, near, gamma) - _mean_kernel(
            rows, scored, far, gamma
        )
    return scores[source], scores[~source]


def _mean_kernel(rows: Any, scored: Indices, known: Indices, gamma: float) -> FloatArray:
    """Return the mean kernel value of each scored row to known rows."""
    references = rows[_some(known)]
    return np.concatenate(
        [
            rbf_kernel(rows[scored[part]], references, gamma=gamma).mean(axis=1)
            for part in gen_batches(len(scored), _BATCH)
        ]
    )


def _median_gamma(rows: Any) -> float:
    """Return 1 / (2 m^2) with m the median distance of some rows, 1 if all are equal."""
    some = rows[_some(np.arange(rows.shape[0]))]
    distances = euclidean_distances(some)[np.triu_indices(some.shape[0], 1)]
    positive = distances[distances > 0.0]
    return 0.5 / float(np.median(positive)) ** 2 if len(positive) else 1.0


def _some(numbers: Indices) -> Indices:
    """Return no more than a thousand of the numbers, always the same."""
    if len(numbers) <= _MOST_REFERENCES:
        return numbers
    return np.random.default_rng(0).choice(numbers, _MOST_REFERENCES, replace=False)


def _overlap(source: FloatArray, target: FloatArray, weights: FloatArray | None = None) -> float:
    """Return 1 minus the largest difference of the two (weighted) distribution functions."""
    shares = np.full(len(source), 1.0) if weights is None else weights
    places = np.concatenate([source, target])
    steps = np.concatenate([shares / shares.sum(), np.full(len(target), -1.0 / len(target))])
    order = np.argsort(places, kind="stable")
    # Equal places step at once: the difference counts after the last of them.
    ends = np.append(np.diff(places[order]) > 0.0, True)
    return float(1.0 - np.abs(np.cumsum(steps[order])[ends]).max())
