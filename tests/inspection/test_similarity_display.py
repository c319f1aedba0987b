"""SimilarityDisplay: the drawn matrix is the given one, similar items side by side."""

import sys
from itertools import combinations, pairwise, permutations

import matplotlib.pyplot as plt
import numpy as np
import pandas
import pytest
from scipy import sparse
from scipy.cluster import hierarchy

from skmmd.inspection import SimilarityDisplay

METHODS = {"average": np.mean, "complete": np.max, "single": np.min}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def random_similarity(rng, n_items, spread=1.0):
    points = spread * rng.normal(size=(n_items, 3))
    return np.exp(-np.linalg.norm(points[:, None] - points[None], axis=-1))


def blocks(sizes, within=0.9, between=0.2):
    """Return the similarities and classes of items in shuffled blocks."""
    classes = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    similarity = np.where(classes[:, None] == classes, within, between)
    np.fill_diagonal(similarity, 1.0)
    return similarity, classes


def clusters_by_hand(similarity, method):
    """Return the merged sets with their heights, by the definition of the linkage."""
    clusters, merges = [frozenset([item]) for item in range(len(similarity))], {}
    while len(clusters) > 1:
        height, left, right = min(
            (
                (METHODS[method]([1.0 - similarity[i, j] for i in a for j in b]), a, b)
                for a, b in combinations(clusters, 2)
            ),
            key=lambda candidate: candidate[0],
        )
        clusters = [c for c in clusters if c not in (left, right)] + [left | right]
        merges[left | right] = height
    return merges


def drawn_labels(display):
    return [text.get_text() for text in display.ax_.get_yticklabels()]


@pytest.mark.parametrize("method", sorted(METHODS))
def test_clusters_are_those_of_the_definition(rng, method):
    similarity = random_similarity(rng, 9)
    expected = clusters_by_hand(similarity, method)
    display = SimilarityDisplay.from_matrix(similarity, method=method)
    place = {item: position for position, item in enumerate(display.order)}
    assert sorted(display.order) == list(range(9))
    for cluster in expected:
        places = sorted(place[item] for item in cluster)
        assert places == list(range(places[0], places[0] + len(places))), "not side by side"
    np.testing.assert_allclose(display.linkage[:, 2], sorted(expected.values()), rtol=1e-9)


def test_order_is_the_best_of_the_dendrogram(rng):
    similarity = random_similarity(rng, 7)
    clusters = list(clusters_by_hand(similarity, "average"))

    def cost(order):
        return sum(1.0 - similarity[a, b] for a, b in pairwise(order))

    def fits(order):
        places = [[order.index(item) for item in cluster] for cluster in clusters]
        return all(max(p) - min(p) == len(p) - 1 for p in places)

    best = min(cost(order) for order in permutations(range(7)) if fits(order))
    display = SimilarityDisplay.from_matrix(similarity)
    assert cost(display.order.tolist()) == pytest.approx(best, rel=1e-12)


def test_image_is_the_matrix_in_the_order_drawn(rng):
    similarity = random_similarity(rng, 12)
    display = SimilarityDisplay.from_matrix(similarity).plot()
    np.testing.assert_allclose(display.similarity, similarity, rtol=0, atol=1e-15)
    drawn = display.image_.get_array()
    for row, first in enumerate(display.order):
        for column, second in enumerate(display.order):
            assert drawn[row, column] == pytest.approx(similarity[first, second], abs=1e-15)
    assert drawn_labels(display) == [str(item) for item in display.order]
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == drawn_labels(display)


def test_blocks_come_together():
    similarity, classes = blocks([7, 4, 9])
    order = SimilarityDisplay.from_matrix(similarity).order
    assert np.count_nonzero(np.diff(classes[order])) == 2
    assert np.count_nonzero(np.diff(classes)) > 2


def test_given_order_is_kept(rng):
    display = SimilarityDisplay.from_matrix(random_similarity(rng, 6), order="given").plot()
    assert display.order.tolist() == list(range(6))
    assert display.linkage is None
    assert display.dendrogram_ is None


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.coo_matrix, sparse.lil_matrix])
@pytest.mark.parametrize("part", ["upper", "upper with diagonal", "lower", "symmetric"])
def test_sparse_pairs_are_the_dense_matrix(rng, kind, part):
    dense = random_similarity(rng, 15)
    dense[dense < 0.3] = 0.0
    assert (dense == 0.0).any()
    stored = {
        "upper": np.triu(dense, 1),
        "upper with diagonal": np.triu(dense),
        "lower": np.tril(dense, -1),
        "symmetric": dense - np.eye(15),
    }[part]
    display = SimilarityDisplay.from_matrix(kind(stored))
    expected = SimilarityDisplay.from_matrix(dense)
    np.testing.assert_array_equal(display.similarity, expected.similarity)
    np.testing.assert_array_equal(display.order, expected.order)


def test_no_pair_is_stored():
    display = SimilarityDisplay.from_matrix(sparse.csr_array((4, 4))).plot()
    np.testing.assert_array_equal(display.similarity, np.eye(4))


def test_too_many_sparse_items_are_refused_before_they_fill_the_memory():
    with pytest.raises(ValueError, match="300000 items, too many to draw"):
        SimilarityDisplay.from_matrix(sparse.csr_array((300_000, 300_000)))


@pytest.mark.parametrize("n_items", [1, 2, 5, 60, 61, 300])
@pytest.mark.parametrize("order", ["clustered", "given"])
def test_all_sizes_are_drawn(rng, n_items, order):
    display = SimilarityDisplay.from_matrix(random_similarity(rng, n_items), order=order).plot()
    display.figure_.draw_without_rendering()
    if n_items <= 60:
        assert len(drawn_labels(display)) == n_items
    else:
        assert drawn_labels(display) == []
        assert display.ax_.get_xlabel() == f"{n_items} items"
    clustered = order == "clustered" and n_items > 1
    assert (display.dendrogram_ is not None) == clustered
    assert display.colorbar_.ax.get_ylabel() == "similarity"


@pytest.mark.parametrize("n_items", [1, 2, 30])
def test_identical_items(n_items):
    display = SimilarityDisplay.from_matrix(np.ones((n_items, n_items)))
    assert sorted(display.order) == list(range(n_items))
    display.plot().figure_.draw_without_rendering()
    display.plot(vmin=None).figure_.draw_without_rendering()


@pytest.mark.parametrize("method", ["single", "average"])
def test_a_long_chain_beyond_the_optimal_order(method):
    """SciPy's dendrogram fails here: "maximum recursion depth exceeded"."""
    places = np.cumsum(np.linspace(1.0, 2.0, 1200))
    similarity = 1.0 - np.abs(places[:, None] - places) / places.max()
    display = SimilarityDisplay.from_matrix(similarity, method=method)
    np.testing.assert_array_equal(display.order, hierarchy.leaves_list(display.linkage))
    display.plot().figure_.draw_without_rendering()
    assert len(display.dendrogram_.get_segments()) == 1199


def test_dendrogram_is_that_of_scipy(rng):
    display = SimilarityDisplay.from_matrix(random_similarity(rng, 20)).plot()
    expected = hierarchy.dendrogram(display.linkage, no_plot=True)
    np.testing.assert_array_equal(expected["leaves"], display.order)
    # SciPy's leaves stand at 5, 15, 25, ..., in another order of merges.
    corners = np.stack([(np.array(expected["icoord"]) - 5.0) / 10.0, expected["dcoord"]], axis=-1)
    drawn = np.array(display.dendrogram_.get_segments())
    assert drawn.shape == (19, 4, 2)
    for bracket in corners:
        nearest = min(np.abs(bracket - other).max() for other in drawn)
        nearest = min(nearest, *(np.abs(bracket[::-1] - other).max() for other in drawn))
        assert nearest < 1e-12


def test_dendrogram_can_be_left_out(rng):
    display = SimilarityDisplay.from_matrix(random_similarity(rng, 6)).plot(dendrogram=False)
    assert display.dendrogram_ is None
    assert display.linkage is not None


@pytest.mark.parametrize("n_groups", [1, 3, 10, 15, 25])
def test_strip_has_one_colour_for_each_group(n_groups):
    similarity, classes = blocks([2] * n_groups)
    names = [f"type {code:02d}" for code in classes]
    display = SimilarityDisplay.from_matrix(similarity, groups=names).plot()
    strip = display.strip_.get_array()[0]
    in_order = [names[item] for item in display.order]
    colors = {name: tuple(color) for name, color in zip(in_order, strip, strict=True)}
    assert len(set(colors.values())) == n_groups
    for name, color in zip(in_order, strip, strict=True):
        assert tuple(color) == colors[name]
    legend = display.ax_.get_legend()
    if n_groups > 20:
        assert legend is None
        return
    named = {
        text.get_text(): patch.get_facecolor()
        for text, patch in zip(legend.get_texts(), legend.get_patches(), strict=True)
    }
    assert list(named) == sorted(set(names))
    for name, color in named.items():
        np.testing.assert_allclose(color, colors[name])


def test_no_groups_no_strip(rng):
    display = SimilarityDisplay.from_matrix(random_similarity(rng, 5)).plot()
    assert display.strip_ is None
    assert display.ax_.get_legend() is None


def test_labels_follow_their_items():
    similarity = [[1.0, 0.1, 0.9], [0.1, 1.0, 0.2], [0.9, 0.2, 1.0]]
    display = SimilarityDisplay.from_matrix(similarity, labels=["a", "b", "c"]).plot()
    assert drawn_labels(display) in (["a", "c", "b"], ["b", "c", "a"])
    frame = pandas.DataFrame(similarity, columns=["x", "y", "z"], index=["x", "y", "z"])
    assert SimilarityDisplay.from_matrix(frame).labels == ["x", "y", "z"]
    series = pandas.Series(["u", "v", "w"], index=[7, 8, 9])
    assert SimilarityDisplay.from_matrix(frame, labels=series).labels == ["u", "v", "w"]


def test_long_labels_keep_their_end(rng):
    labels = [f"{'folder/' * 20}file{item}.py" for item in range(8)]
    display = SimilarityDisplay.from_matrix(random_similarity(rng, 8), labels=labels).plot()
    assert {len(text) for text in drawn_labels(display)} == {28}
    for text, item in zip(drawn_labels(display), display.order, strict=True):
        assert text.endswith(f"file{item}.py")
    assert display.labels == labels


@pytest.mark.parametrize("n_items", [2, 8, 40, 100])
@pytest.mark.parametrize("length", [2, 40])
@pytest.mark.parametrize("n_groups", [0, 3, 10, 20])
def test_everything_stays_in_the_figure(rng, n_items, length, n_groups):
    display = SimilarityDisplay.from_matrix(
        random_similarity(rng, n_items),
        labels=[f"{item:0{length}d}" for item in range(n_items)],
        groups=[f"class {item % n_groups}" for item in range(n_items)] if n_groups else None,
    ).plot()
    display.figure_.draw_without_rendering()
    box, size = display.figure_.get_tightbbox(), display.figure_.get_size_inches()
    assert min(box.x0, box.y0) >= 0.0
    assert box.x1 <= size[0]
    assert box.y1 <= size[1]
    if n_groups:
        legend = display.ax_.get_legend().get_window_extent()
        assert legend.y0 >= display.colorbar_.ax.get_tightbbox().y1
        matrix = display.ax_.get_window_extent()
        assert legend.x0 >= matrix.x1


@pytest.mark.parametrize(("n_items", "length"), [(5, 4), (40, 11), (60, 40)])
def test_labels_do_not_overlap(rng, n_items, length):
    labels = [f"{item:0{length}d}" for item in range(n_items)]
    display = SimilarityDisplay.from_matrix(random_similarity(rng, n_items), labels=labels).plot()
    display.figure_.draw_without_rendering()
    boxes = [text.get_window_extent() for text in display.ax_.get_yticklabels()]
    assert len(boxes) == n_items
    for upper, lower in pairwise(boxes):
        assert upper.y0 >= lower.y1
    boxes = [text.get_window_extent() for text in display.ax_.get_xticklabels()]
    for left, right in pairwise(boxes):
        assert left.x1 <= right.x0


def test_small_axes_have_no_labels(rng):
    similarity = random_similarity(rng, 40)
    _, ax = plt.subplots(figsize=(2.0, 2.0))
    assert drawn_labels(SimilarityDisplay.from_matrix(similarity).plot(ax=ax)) == []
    display = SimilarityDisplay.from_matrix(similarity).plot(max_labels=39)
    assert drawn_labels(display) == []


def test_colours_and_limits_reach_the_image(rng):
    similarity = random_similarity(rng, 10)
    display = SimilarityDisplay.from_matrix(similarity).plot()
    assert display.image_.get_clim() == (0.0, 1.0)
    assert display.colorbar_.extend == "neither"
    display.plot(cmap="Blues", vmin=0.5, interpolation="nearest")
    assert display.image_.get_cmap().name == "Blues"
    assert display.image_.get_interpolation() == "nearest"
    assert display.image_.get_clim() == (0.5, 1.0)
    assert display.colorbar_.extend == "min"
    display.plot(vmin=None, vmax=0.8)
    assert display.image_.get_clim() == (pytest.approx(similarity.min()), 0.8)
    assert display.colorbar_.extend == "max"


def test_plot_draws_into_the_given_axes(rng):
    figure, axes = plt.subplots(1, 2, figsize=(8.0, 4.0))
    display = SimilarityDisplay.from_matrix(random_similarity(rng, 5), groups=list("aabba"))
    assert display.plot(ax=axes[1]) is display
    assert display.ax_ is axes[1]
    assert display.figure_ is figure
    assert figure.get_size_inches().tolist() == [8.0, 4.0]
    assert not axes[0].has_data()
    assert plt.get_fignums() == [figure.number]


def test_inputs_are_not_written_to(rng):
    dense = random_similarity(rng, 8)
    dense.setflags(write=False)
    before = dense.copy()
    display = SimilarityDisplay.from_matrix(dense).plot()
    assert not np.shares_memory(display.similarity, dense)
    np.testing.assert_array_equal(dense, before)
    pairs = sparse.csr_array(np.triu(dense, 1))
    stored = pairs.data.copy()
    SimilarityDisplay.from_matrix(pairs)
    np.testing.assert_array_equal(pairs.data, stored)


def test_single_precision_may_round(rng):
    similarity = random_similarity(rng, 8).astype(np.float32)
    similarity[0, 1] += np.float32(1e-7)
    similarity[3, 3] = np.nextafter(np.float32(1.0), np.float32(2.0))
    display = SimilarityDisplay.from_matrix(similarity)
    assert display.similarity.max() == 1.0
    np.testing.assert_array_equal(display.similarity, display.similarity.T)


def changed(entries, n_items=4):
    similarity = np.full((n_items, n_items), 0.5)
    np.fill_diagonal(similarity, 1.0)
    for place, value in entries.items():
        similarity[place] = value
    return similarity


@pytest.mark.parametrize(
    ("similarity", "message"),
    [
        (np.ones((3, 4)), r"square matrix.*got shape \(3, 4\)"),
        (np.ones(4), r"got shape \(4,\)"),
        (np.ones((2, 2, 2)), r"got shape \(2, 2, 2\)"),
        (0.5, r"got shape \(\)"),
        (np.ones((0, 0)), "at least one item"),
        (sparse.csr_array((2, 3)), r"got shape \(2, 3\)"),
        (changed({(0, 1): 0.7}), r"not symmetric: \[0, 1\] is 0.7, but \[1, 0\] is 0.5"),
        (sparse.csr_array(changed({(0, 1): 0.7})), "not symmetric"),
        (np.triu(changed({})), "sparse matrix"),
        (changed({(0, 1): np.nan, (1, 0): np.nan}), "contains NaN"),
        (sparse.lil_matrix(changed({(0, 1): np.nan})), "contains NaN"),
        (changed({(0, 1): np.inf, (1, 0): np.inf}), "contains infinity"),
        (changed({(0, 1): 1.5, (1, 0): 1.5}), r"values from 0.5 to 1.5; all must be in \[0, 1\]"),
        (changed({(0, 1): -0.1, (1, 0): -0.1}), r"values from -0.1 to 1;"),
        (sparse.csr_array(np.triu(changed({(0, 1): 2.0}), 1)), r"values from 0.5 to 2"),
        (1.0 - changed({}), r"similarity\[0, 0\] is 0.*pass 1 - distances"),
    ],
)
def test_wrong_matrices_are_named(similarity, message):
    with pytest.raises(ValueError, match=message):
        SimilarityDisplay.from_matrix(similarity)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ["a", "b"]}, "labels has 2 entries, but there are 4 items"),
        ({"groups": range(5)}, "groups has 5 entries, but there are 4 items"),
        ({"labels": "abcd"}, "labels must be a list"),
        ({"order": "sorted"}, r"order must be one of \['clustered', 'given'\], got 'sorted'"),
        ({"method": "ward"}, "method must be one of .*'average'.*got 'ward'"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        SimilarityDisplay.from_matrix(changed({}), **options)


def test_missing_matplotlib_is_named(monkeypatch):
    display = SimilarityDisplay.from_matrix(np.eye(3))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"SimilarityDisplay needs matplotlib.*skmmd\[plot\]"):
        display.plot()


def test_dollar_signs_are_no_formula():
    display = SimilarityDisplay.from_matrix(np.eye(2), labels=["$odd_{name$", "a$b$c"]).plot()
    display.figure_.canvas.draw()
    shown = sorted(label.get_text() for label in display.ax_.get_yticklabels())
    assert shown == ["$odd_{name$", "a$b$c"]
