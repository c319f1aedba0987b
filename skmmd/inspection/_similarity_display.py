"""A similarity matrix as a heat map, similar items side by side."""

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.cluster import hierarchy
from scipy.spatial.distance import squareform
from sklearn.utils import check_array

from skmmd.inspection._axes import INK, figure_and_axes

__all__ = ["SimilarityDisplay"]

FloatArray = NDArray[np.float64]

# The other methods of SciPy assume Euclidean distances.
_METHODS = ("average", "complete", "single", "weighted")
_TOLERANCE = 1e-6  # what single precision may leave of 0, 1 and symmetry
_MOST_OPTIMAL = 1_000  # items; the time of the optimal order grows with the cube
_MOST_SPARSE = 10_000  # items; 800 MB as a dense matrix
_MOST_NAMED_GROUPS = 20
_LABEL_LENGTH = 28
_SMALLEST_FONT, _LARGEST_FONT = 5.0, 10.0  # points
# Sizes relative to the side of the heat map.
_GAP, _STRIP, _TREE, _BAR = 0.012, 0.03, 0.18, 0.04


class SimilarityDisplay:
    """Similarity matrix as a heat map, its items in the order of a hierarchical clustering.

    Groups of similar items show as bright blocks along the diagonal. Made by :meth:`from_matrix`;
    drawn by :meth:`plot`.

    Parameters
    ----------
    similarity : ndarray of shape (n_items, n_items)
        The similarities in [0, 1], symmetric, in the order they were given.
    labels : sequence of str of length n_items
        Names of the items, in the order they were given.
    order : ndarray of shape (n_items,)
        The items in the order they are drawn, by position.
    linkage : ndarray of shape (n_items - 1, 4) or None, default=None
        The clustering, as :func:`scipy.cluster.hierarchy.linkage` returns it, with `order` as its
        leaves; None if the items were not clustered.
    groups : sequence of str of length n_items or None, default=None
        A known class of each item, drawn as a strip of colours.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes of the heat map, once plotted.
    figure_ : matplotlib Figure
        The figure, once plotted.
    image_ : matplotlib AxesImage
        The heat map.
    colorbar_ : matplotlib Colorbar
        The colour bar.
    dendrogram_ : matplotlib LineCollection or None
        The dendrogram; None if it was not asked for or the items were not clustered.
    strip_ : matplotlib AxesImage or None
        The strip of the groups; None without `groups`.

    See Also
    --------
    scipy.cluster.hierarchy.linkage : The clustering.
    scipy.cluster.hierarchy.optimal_leaf_ordering : The order of its leaves.

    References
    ----------
    .. [1] Z. Bar-Joseph, D. K. Gifford and T. S. Jaakkola, "Fast optimal leaf ordering for
       hierarchical clustering", Bioinformatics 17 (suppl. 1), 2001, pp. S22-S29.

    Examples
    --------
    >>> from skmmd.inspection import SimilarityDisplay
    >>> similarity = [[1.0, 0.1, 0.9], [0.1, 1.0, 0.2], [0.9, 0.2, 1.0]]
    >>> display = SimilarityDisplay.from_matrix(similarity, labels=["a", "b", "c"]).plot()
    >>> display.linkage[:, 2].round(2)
    array([0.1 , 0.85])
    """

    ax_: Any
    figure_: Any
    image_: Any
    colorbar_: Any
    dendrogram_: Any
    strip_: Any

    def __init__(
        self,
        *,
        similarity: FloatArray,
        labels: list[str],
        order: NDArray[np.intp],
        linkage: FloatArray | None = None,
        groups: list[str] | None = None,
    ) -> None:
        self.similarity = similarity
        self.labels = labels
        self.order = order
        self.linkage = linkage
        self.groups = groups

    @classmethod
    def from_matrix(
        cls,
        similarity: Any,
        *,
        labels: Iterable[Any] | None = None,
        groups: Iterable[Any] | None = None,
        order: str = "clustered",
        method: str = "average",
    ) -> Self:
        """Cluster the items of a similarity matrix.

        Parameters
        ----------
        similarity : {array-like, sparse matrix, DataFrame} of shape (n_items, n_items)
            Symmetric, with values in [0, 1] and ones on the diagonal. A sparse matrix may be
            symmetric or hold one triangle, as :func:`skmmd.hashing.mmdt_pairs` returns it: a pair
            that is not stored has similarity 0, an item has similarity 1 to itself.
        labels : iterable of length n_items, default=None
            Names of the items; None takes the columns of a data frame, or counts the items.
        groups : iterable of length n_items, default=None
            A known class of each item, to compare with the clusters.
        order : {"clustered", "given"}, default="clustered"
            "clustered" orders the items by hierarchical clustering with distance 1 - similarity;
            up to 1000 items, so that neighbours are as similar as the clustering allows [1]_.
            "given" keeps the order of `similarity`.
        method : {"average", "complete", "single", "weighted"}, default="average"
            The linkage of the clustering.

        Returns
        -------
        SimilarityDisplay
            The display, not yet plotted.

        Raises
        ------
        ValueError
            If `similarity` is not a symmetric matrix with values in [0, 1] and ones on the
            diagonal, `labels` or `groups` have another length, `order` or `method` is unknown, or
            a sparse matrix has more than 10,000 items.

        References
        ----------
        .. [1] Z. Bar-Joseph, D. K. Gifford and T. S. Jaakkola, "Fast optimal leaf ordering for
           hierarchical clustering", Bioinformatics 17 (suppl. 1), 2001, pp. S22-S29.
        """
        for name, value, known in (
            ("order", order, ("clustered", "given")),
            ("method", method, _METHODS),
        ):
            if value not in known:
                raise ValueError(f"{name} must be one of {list(known)}, got {value!r}.")
        matrix = _check_similarity(similarity)
        n_items = len(matrix)
        names = getattr(similarity, "columns", range(n_items)) if labels is None else labels
        linkage = None
        drawn: NDArray[np.intp] = np.arange(n_items)
        if order == "clustered" and n_items > 1:
            linkage = _clustering(matrix, method)
            drawn = hierarchy.leaves_list(linkage).astype(np.intp)
        return cls(
            similarity=matrix,
            labels=_one_each(names, n_items, "labels"),
            order=drawn,
            linkage=linkage,
            groups=None if groups is None else _one_each(groups, n_items, "groups"),
        )

    def plot(
        self,
        ax: Any = None,
        *,
        dendrogram: bool = True,
        cmap: Any = "viridis",
        vmin: float | None = 0.0,
        vmax: float | None = 1.0,
        max_labels: int = 60,
        **kwargs: Any,
    ) -> Self:
        """Draw the heat map with the dendrogram, the groups and a colour bar.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure that is large enough for the labels.
        dendrogram : bool, default=True
            Whether to draw the dendrogram, if the items were clustered.
        cmap : str or matplotlib Colormap, default="viridis"
            The colours.
        vmin : float or None, default=0.0
            The similarity of the first colour; None takes the smallest one.
        vmax : float or None, default=1.0
            The similarity of the last colour; None takes the largest one.
        max_labels : int, default=60
            Up to this many items are labelled, if there is room for a legible font. Labels of more
            than 28 characters lose their beginning.
        **kwargs : dict
            Passed to matplotlib's ``imshow``.

        Returns
        -------
        SimilarityDisplay
            This display, with ``ax_``, ``figure_`` and the artists.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        self.figure_, self.ax_ = figure_and_axes(ax, type(self).__name__)
        if ax is None:
            self._fit_figure(max_labels)
        self.image_ = self.ax_.imshow(
            self.similarity[np.ix_(self.order, self.order)],
            **{"cmap": cmap, "vmin": vmin, "vmax": vmax, **kwargs},
        )
        self.ax_.spines[:].set_visible(False)
        self._label_items(max_labels)
        self.strip_ = self.dendrogram_ = None
        top = 1.0 + _GAP
        if self.groups is not None:
            self._plot_groups(top)
            top += _STRIP + _GAP
        if dendrogram and self.linkage is not None:
            self._plot_dendrogram(self.linkage, top)
            top += _TREE
        self._plot_colorbar()
        if ax is None:
            # Where labels are long, the layout takes two rounds; saving the figure is the second.
            self.figure_.get_layout_engine().execute(self.figure_)
        return self

    def _fit_figure(self, max_labels: int) -> None:
        """Make a new figure large enough for the labels."""
        n_items = len(self.order)
        inches = 7.0
        if n_items <= max_labels:
            inches = float(np.clip(0.2 * n_items, 6.5, 12.0)) + 0.06 * self._longest_label()
        self.figure_.set_size_inches(inches, inches)
        # Constrained layout for axes of fixed aspect.
        self.figure_.set_layout_engine("compressed")

    def _side(self) -> float:
        """Return the side of the axes in points, before any layout."""
        box = self.ax_.get_window_extent()
        return 72.0 / self.figure_.dpi * float(min(box.width, box.height))

    def _longest_label(self) -> int:
        return max(len(_shorten(label)) for label in self.labels)

    def _label_items(self, max_labels: int) -> None:
        """Label the items if there is room, else say how many there are."""
        n_items = len(self.order)
        # A line is 4/3 of the font's size high, a character 0.6 wide; both may share the room.
        font = min(self._side() / (n_items / 0.75 + 0.6 * self._longest_label()), _LARGEST_FONT)
        if n_items > max_labels or font < _SMALLEST_FONT:
            self.ax_.set(xticks=[], yticks=[], xlabel=f"{n_items} items")
            return
        names = [_shorten(self.labels[item]) for item in self.order]
        # Names of files may hold a dollar sign: no formula.
        self.ax_.set_xticks(range(n_items), names, rotation=90, fontsize=font, parse_math=False)
        self.ax_.set_yticks(range(n_items), names, fontsize=font, parse_math=False)
        self.ax_.tick_params(length=0)

    def _plot_groups(self, bottom: float) -> None:
        from matplotlib import colormaps
        from matplotlib.patches import Patch

        assert self.groups is not None
        names = sorted(set(self.groups))
        if len(names) <= _MOST_NAMED_GROUPS:
            palette = colormaps["tab10" if len(names) <= 10 else "tab20"]
            colors = palette(np.arange(len(names)))
        else:
            colors = colormaps["turbo"](np.linspace(0.0, 1.0, len(names)))
        codes = [names.index(self.groups[item]) for item in self.order]
        above = self.ax_.inset_axes((0.0, bottom, 1.0, _STRIP))
        self.strip_ = above.imshow(colors[None, codes], aspect="auto", interpolation="nearest")
        above.set_axis_off()
        if len(names) <= _MOST_NAMED_GROUPS:
            n_columns = 1 if len(names) <= 10 else 2
            n_lines = -(-len(names) // n_columns)
            self.ax_.legend(
                [Patch(color=color) for color in colors],
                [_shorten(name) for name in names],
                loc="upper left",
                bbox_to_anchor=(1.0 + 2.0 * _GAP, 1.0),
                frameon=False,
                # A line is 1.7 of the font's size high; the colour bar takes the lower half.
                fontsize=min(0.5 * self._side() / (1.7 * n_lines), 8.5),
                ncols=n_columns,
                borderaxespad=0.0,
                handlelength=1.0,
            )

    def _plot_dendrogram(self, linkage: FloatArray, bottom: float) -> None:
        from matplotlib.collections import LineCollection

        n_items = len(self.order)
        above = self.ax_.inset_axes((0.0, bottom, 1.0, _TREE))
        width = float(np.clip(60.0 / n_items, 0.4, 1.2))
        brackets = list(_brackets(linkage, self.order))
        lines = LineCollection(brackets, colors=INK, linewidths=width)
        self.dendrogram_ = above.add_collection(lines)
        above.set(xlim=(-0.5, n_items - 0.5), ylim=(0.0, 1.03 * linkage[:, 2].max() or 1.0))
        above.set_axis_off()

    def _plot_colorbar(self) -> None:
        # Next to the matrix and as high, half as high below the names of groups.
        height = 1.0 if self.ax_.get_legend() is None else 0.45
        beside = self.ax_.inset_axes((1.0 + 2.0 * _GAP, 0.0, _BAR, height))
        low, high = self.image_.get_clim()
        below, beyond = self.similarity.min() < low, self.similarity.max() > high
        extend = {(1, 0): "min", (0, 1): "max", (1, 1): "both"}.get((below, beyond), "neither")
        self.colorbar_ = self.figure_.colorbar(self.image_, cax=beside, extend=extend)
        self.colorbar_.set_label("similarity")
        self.colorbar_.outline.set_visible(False)


def _check_similarity(similarity: Any) -> FloatArray:
    """Return a new symmetric dense matrix in [0, 1] with ones on the diagonal."""
    shape = np.shape(similarity)
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ValueError(
            f"similarity must be a square matrix of shape (n_items, n_items), got shape {shape}."
        )
    if shape[0] == 0:
        raise ValueError("similarity is empty; it must have at least one item.")
    stored: Any = check_array(
        similarity, accept_sparse="csr", dtype=np.float64, copy=True, input_name="similarity"
    )
    matrix: FloatArray = _from_pairs(stored) if sparse.issparse(stored) else stored
    if matrix.min() < -_TOLERANCE or matrix.max() > 1.0 + _TOLERANCE:
        raise ValueError(
            f"similarity has values from {matrix.min():.6g} to {matrix.max():.6g}; all must be in "
            "[0, 1]."
        )
    gap = np.abs(matrix - matrix.T)
    if gap.max() > _TOLERANCE:
        row, column = np.unravel_index(int(gap.argmax()), shape)
        raise ValueError(
            f"similarity is not symmetric: [{row}, {column}] is {matrix[row, column]:.6g}, but "
            f"[{column}, {row}] is {matrix[column, row]:.6g}. One triangle alone may be passed as "
            "a sparse matrix."
        )
    diagonal = matrix.diagonal()
    if diagonal.min() < 1.0 - _TOLERANCE:
        item = int(diagonal.argmin())
        raise ValueError(
            f"similarity[{item}, {item}] is {diagonal[item]:.6g}, but an item's similarity to "
            "itself must be 1. For distances in [0, 1], pass 1 - distances."
        )
    symmetric: FloatArray = np.clip(0.5 * (matrix + matrix.T), 0.0, 1.0)
    return symmetric


def _from_pairs(pairs: Any) -> FloatArray:
    """Return the dense matrix of stored pairs: one triangle is mirrored, the diagonal is 1."""
    n_items = pairs.shape[0]
    if n_items > _MOST_SPARSE:
        raise ValueError(
            f"similarity has {n_items} items, too many to draw (at most {_MOST_SPARSE}). Select "
            "some first, such as the items that are in any pair."
        )
    matrix: FloatArray = pairs.toarray()
    np.fill_diagonal(matrix, 1.0)
    upper, lower = np.triu(matrix, 1), np.tril(matrix, -1)
    if not (upper.any() and lower.any()):
        matrix += (upper + lower).T
    return matrix


def _one_each(names: Iterable[Any], n_items: int, what: str) -> list[str]:
    if isinstance(names, str):
        raise ValueError(f"{what} must be a list with one name for each item, got {names!r}.")
    listed = [str(name) for name in names]
    if len(listed) != n_items:
        raise ValueError(
            f"{what} has {len(listed)} entries, but there are {n_items} items; give one each."
        )
    return listed


def _clustering(matrix: FloatArray, method: Any) -> FloatArray:
    distance = squareform(1.0 - matrix, checks=False)
    linkage: FloatArray = hierarchy.linkage(distance, method=method)
    if len(matrix) <= _MOST_OPTIMAL:
        linkage = hierarchy.optimal_leaf_ordering(linkage, distance)
    return linkage


def _brackets(linkage: FloatArray, order: NDArray[np.intp]) -> FloatArray:
    """Return the corners of each merge's bracket, shape (n_items - 1, 4, 2).

    SciPy's own dendrogram recurses, and fails on long chains.
    """
    n_items = len(order)
    place, height = np.empty(2 * n_items - 1), np.zeros(2 * n_items - 1)
    place[order] = np.arange(n_items)
    corners = np.empty((n_items - 1, 4, 2))
    for merge, (first, second, top, _) in enumerate(linkage):
        left, right = int(first), int(second)
        corners[merge, :, 0] = np.repeat([place[left], place[right]], 2)
        corners[merge, :, 1] = height[left], top, top, height[right]
        place[n_items + merge] = 0.5 * (place[left] + place[right])
        height[n_items + merge] = top
    return corners


def _shorten(name: str) -> str:
    """Keep the end of a long name, of paths it tells most, and what is not Unicode as escapes."""
    name = name.encode("utf-8", "backslashreplace").decode("utf-8")
    return name if len(name) <= _LABEL_LENGTH else "…" + name[1 - _LABEL_LENGTH :]
