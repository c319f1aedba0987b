"""EmbeddingDisplay: the points are the rows before and after, the distances those of the rows."""

import sys
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas
import polars
import pytest
from matplotlib.colors import to_rgba
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmmd
from skmmd.inspection import EmbeddingDisplay


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def animals(rng, n=15):
    """Dogs beside wolves, cats far off; the second space halves the second column."""
    centers = np.array([[0.0, 0.0], [1.0, 0.0], [4.0, 3.0]])
    y = np.repeat(["dog", "wolf", "cat"], n)
    X = np.repeat(centers, n, axis=0) + 0.2 * rng.normal(size=(3 * n, 2))
    return X, X * [1.0, 0.5], y


def means_by_hand(rows, y):
    return {
        label: np.mean([r for r, c in zip(rows, y, strict=True) if c == label], axis=0)
        for label in set(y)
    }


def legend(display):
    return [text.get_text() for text in display.legend_.get_texts()]


# --------------------------------------------------------------------------------------
# what it holds


def test_two_columns_are_drawn_as_they_are(rng):
    before, after, y = animals(rng)
    display = EmbeddingDisplay.from_embeddings(before, after, y)
    np.testing.assert_array_equal(display.before, before)
    np.testing.assert_array_equal(display.after, after)
    np.testing.assert_array_equal(display.labels, y)
    assert display.classes.tolist() == ["cat", "dog", "wolf"]
    assert display.names_before == ["feature 0", "feature 1"]
    assert display.names_after == ["component 0", "component 1"]


@pytest.mark.parametrize("shape", [(40, 5), (6, 30), (2, 3), (700, 4)])
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array, sparse.coo_matrix])
def test_more_columns_are_their_principal_components(rng, shape, container):
    rows = rng.normal(size=shape) * np.linspace(1.0, 3.0, shape[1]) + 5.0
    y = np.arange(shape[0]) % 2
    display = EmbeddingDisplay.from_embeddings(container(rows), rows[:, :2], y)
    centred = rows - rows.mean(axis=0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    expected = centred @ axes[:2].T
    scale = np.abs(expected).max()
    for found, column in zip(display.before.T, expected.T, strict=True):
        error = min(np.abs(found - column).max(), np.abs(found + column).max())  # either direction
        assert error < 1e-6 * scale
    share = values[:2] ** 2 / np.sum(values**2)
    assert display.names_before == [
        f"principal component {place} ({share[place]:.0%})" for place in range(2)
    ]


def test_distances_are_those_of_the_whole_rows(rng):
    before, after = rng.normal(size=(50, 7)), rng.normal(size=(50, 4))
    y = rng.permutation(np.arange(50) % 4)
    for kind in (np.asarray, sparse.csr_array):
        display = EmbeddingDisplay.from_embeddings(kind(before), kind(after), y)
        for rows, found in (
            (before, display.distances_before),
            (after, display.distances_after),
        ):
            means = means_by_hand(rows, y)
            expected = [[np.linalg.norm(means[a] - means[b]) for b in range(4)] for a in range(4)]
            np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_rows_that_are_all_the_same_are_drawn(rng):
    before, _, y = animals(rng)
    display = EmbeddingDisplay.from_embeddings(before, np.ones((45, 5)), y).plot(means=True)
    assert not display.after.any()
    assert display.names_after == ["principal component 0", "principal component 1"]
    assert not display.distances_after.any()
    display.figure_.draw_without_rendering()


def test_transformers_are_asked_to_transform():
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis(n_components=2))
    model.fit(X, names)
    display = EmbeddingDisplay.from_estimator(model, X, names, map_at_r=(0.5, 0.75))
    np.testing.assert_array_equal(display.after, model.transform(X))
    expected = PCA(2).fit_transform(X)
    np.testing.assert_allclose(np.abs(display.before), np.abs(expected), atol=1e-9)
    assert display.classes.tolist() == ["setosa", "versicolor", "virginica"]
    assert display.map_at_r == (0.5, 0.75)
    without_classes = NeighborhoodComponentsAnalysis(2, max_iter=2, random_state=0).fit(X, y)
    display = EmbeddingDisplay.from_estimator(without_classes, X, y)
    np.testing.assert_array_equal(display.after, without_classes.transform(X))
    assert display.classes.tolist() == [0, 1, 2]


def test_classes_keep_their_colours(rng):
    """In another sample some classes are missing, and some are new."""
    model = SimpleNamespace(transform=lambda X: 2.0 * X, classes_=np.array(["c", "a", "b"]))
    X = rng.normal(size=(6, 2))
    first = EmbeddingDisplay.from_estimator(model, X, list("aabbcc")).plot()
    other = EmbeddingDisplay.from_estimator(model, X, list("aazzcc")).plot()
    assert first.classes.tolist() == ["c", "a", "b"]
    assert other.classes.tolist() == ["c", "a", "b", "z"]
    assert legend(first) == ["c", "a", "b"]
    assert legend(other) == ["c", "a", "z"]

    def looks(display):
        drawn = zip(legend(display), display.points_[0], strict=True)
        return {name: tuple(points.get_facecolors()[0]) for name, points in drawn}

    assert looks(first)["a"] == looks(other)["a"]
    assert looks(first)["c"] == looks(other)["c"]
    assert looks(other)["z"] not in looks(first).values()
    assert np.isnan(other.distances_before[2]).all()
    assert np.isfinite(other.distances_before[np.ix_([0, 1, 3], [0, 1, 3])]).all()


@pytest.mark.parametrize("classes", [["a", "b"], [0, 1]])
def test_labels_that_are_none_of_the_classes_come_last(rng, classes):
    X = rng.normal(size=(4, 2))
    display = EmbeddingDisplay.from_embeddings(X, X, [7, 7, 5, 5], classes=classes).plot()
    assert display.classes.tolist() == [*classes, 5, 7]
    assert legend(display) == ["5", "7"]


@pytest.mark.parametrize("frame", [pandas.DataFrame, polars.DataFrame])
def test_data_frames_name_the_axes(rng, frame):
    X = rng.normal(size=(8, 2))
    before = frame({"width": X[:, 0], "length": X[:, 1]})
    y = pandas.Series([0, 1] * 4)
    display = EmbeddingDisplay.from_embeddings(before, frame({"z": X[:, 1]}), y).plot()
    assert [axes.get_xlabel() for axes in display.axes_] == ["width", "z"]
    assert [axes.get_ylabel() for axes in display.axes_] == ["length", "class"]


# --------------------------------------------------------------------------------------
# what is drawn


def test_points_are_the_rows_of_each_class(rng):
    before, after, y = animals(rng)
    display = EmbeddingDisplay.from_embeddings(before, after, y).plot(alpha=0.25)
    assert len(display.axes_) == len(display.points_) == 2
    for axes, panel, rows in zip(display.axes_, display.points_, (before, after), strict=True):
        for name, points in zip(["cat", "dog", "wolf"], panel, strict=True):
            np.testing.assert_array_equal(points.get_offsets(), rows[y == name])
            assert points.get_alpha() == 0.25
            assert points.axes is axes
        assert axes.get_aspect() == 1.0
    left, right = (axes.get_position().bounds for axes in display.axes_)
    assert left[0] + left[2] < right[0]
    assert [axes.get_title() for axes in display.axes_] == ["before", "after"]
    assert legend(display) == ["cat", "dog", "wolf"]
    assert display.legend_.axes is display.axes_[-1]
    assert display.means_ == display.joins_ == []
    assert display.ax_ is display.axes_[0]


@pytest.mark.parametrize(("which", "place"), [("before", 0), ("after", 1)])
def test_one_panel_alone(rng, which, place):
    embeddings = animals(rng)
    display = EmbeddingDisplay.from_embeddings(*embeddings, map_at_r=(0.25, None))
    assert display.plot(which=which, means=True) is display
    assert len(display.figure_.axes) == len(display.axes_) == 1
    rows, y = embeddings[place], embeddings[2]
    np.testing.assert_array_equal(display.points_[0][0].get_offsets(), rows[y == "cat"])
    assert display.ax_.get_title() == ("before (MAP@R 0.250)", "after")[place]
    distances = (display.distances_before, display.distances_after)[place]
    assert display.ax_.texts[0].get_text() == f"{distances[0, 1]:.3g}"


def test_class_means_are_joined_by_lines_with_their_distances(rng):
    before, after, y = animals(rng)
    display = EmbeddingDisplay.from_embeddings(before, after, y).plot(means=True)
    pairs = [("cat", "dog"), ("cat", "wolf"), ("dog", "wolf")]
    for place, rows in enumerate((before, after)):
        means = means_by_hand(rows, y)
        for name, mark in zip(["cat", "dog", "wolf"], display.means_[place], strict=True):
            np.testing.assert_allclose(mark.get_offsets(), [means[name]])
        segments = display.joins_[place].get_segments()
        texts = display.axes_[place].texts
        for (first, second), segment, text in zip(pairs, segments, texts, strict=True):
            np.testing.assert_allclose(segment, [means[first], means[second]])
            away = np.linalg.norm(means[first] - means[second])
            assert float(text.get_text()) == pytest.approx(away, rel=0.01)
            # The text stands on its line.
            along = (np.array(text.xy) - means[first]) / (means[second] - means[first])
            assert along[0] == pytest.approx(along[1])
            assert 0.0 < along[0] < 1.0


@pytest.mark.parametrize(("n_classes", "n_lines"), [(1, 0), (2, 1), (6, 15), (7, 0)])
def test_few_class_means_are_joined(rng, n_classes, n_lines):
    X, y = rng.normal(size=(21, 2)), np.arange(21) % n_classes
    display = EmbeddingDisplay.from_embeddings(X, X, y).plot(means=True)
    assert [len(means) for means in display.means_] == [n_classes, n_classes]
    assert sum(len(lines.get_segments()) for lines in display.joins_) == 2 * n_lines
    assert [len(axes.texts) for axes in display.axes_] == [n_lines, n_lines]


def test_one_column_has_a_line_for_each_class(rng):
    X, y = rng.normal(size=(12, 3)), np.arange(12) % 3
    for after in (X[:, 0], X[:, :1], sparse.csr_array(X[:, :1])):
        display = EmbeddingDisplay.from_embeddings(X, after, y).plot(which="after", means=True)
        assert display.after.shape == (12, 1)
        heights = [np.unique(points.get_offsets()[:, 1]) for points in display.points_[0]]
        assert [len(height) for height in heights] == [1, 1, 1]
        assert heights[0] > heights[1] > heights[2]
        for code, points in enumerate(display.points_[0]):
            np.testing.assert_array_equal(points.get_offsets()[:, 0], X[y == code, 0])
        means = [X[y == code, 0].mean() for code in range(3)]
        expected = np.abs(np.subtract.outer(means, means))
        np.testing.assert_allclose(display.distances_after, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("n_classes", [1, 20, 21, 40])
def test_classes_differ_in_colour_or_marker(rng, n_classes):
    X, y = rng.normal(size=(80, 2)), np.arange(80) % n_classes
    display = EmbeddingDisplay.from_embeddings(X, X, y).plot()
    looks = {
        (tuple(points.get_facecolors()[0]), points.get_paths()[0].vertices.tobytes())
        for points in display.points_[0]
    }
    assert len(looks) == n_classes
    if n_classes > 20:
        assert display.legend_ is None
        return
    assert legend(display) == [str(code) for code in range(n_classes)]
    handles = zip(display.legend_.legend_handles, display.points_[0], strict=True)
    for handle, points in handles:
        face = points.get_facecolors()[0]
        assert to_rgba(handle.get_color())[:3] == pytest.approx(tuple(face[:3]))


def test_the_legend_hides_no_point(rng):
    before, after, y = animals(rng)
    display = EmbeddingDisplay.from_embeddings(before, after, y).plot()
    display.figure_.draw_without_rendering()
    assert display.legend_.get_window_extent().x0 >= display.axes_[-1].get_window_extent().x1
    assert display.legend_.get_window_extent().x1 <= display.figure_.bbox.x1


def test_names_are_no_formulas(rng):
    X = rng.normal(size=(4, 2))
    y = ["_a", "_a", "$b_{", "$b_{"]
    frame = pandas.DataFrame(X, columns=["$x_{", "y"])
    display = EmbeddingDisplay.from_embeddings(frame, X, y, titles=("$raw_{", "new")).plot()
    display.figure_.draw_without_rendering()
    assert legend(display) == ["$b_{", "_a"]
    assert display.axes_[0].get_title() == "$raw_{"


# --------------------------------------------------------------------------------------
# axes


def test_plot_draws_into_the_given_axes(rng):
    figure, axes = plt.subplots(2, 2)
    display = EmbeddingDisplay.from_embeddings(*animals(rng))
    for given in (axes[0], tuple(axes[0]), list(axes[0])):
        display.plot(given)
        assert display.axes_ == list(axes[0])
        assert display.figure_ is figure
    display.plot(ax=axes[1, 1], which="after")
    assert display.axes_ == [axes[1, 1]]
    assert not axes[1, 0].has_data()
    assert plt.get_fignums() == [figure.number]


def test_one_axes_is_divided(rng):
    figure, ax = plt.subplots()
    display = EmbeddingDisplay.from_embeddings(*animals(rng)).plot(ax)
    assert display.figure_ is figure
    figure.draw_without_rendering()
    left, right = (panel.get_window_extent() for panel in display.axes_)
    outer = ax.get_window_extent()
    assert left.x0 == pytest.approx(outer.x0)
    assert left.x1 < right.x0
    assert right.x1 == pytest.approx(outer.x1)
    assert not ax.axison


def test_never_fits_and_writes_nothing(monkeypatch):
    X, y = load_iris(return_X_y=True)
    model = LinearDiscriminantAnalysis().fit(X, y)
    X.setflags(write=False)
    y.setflags(write=False)
    before = dict(vars(model))
    monkeypatch.setattr(
        LinearDiscriminantAnalysis, "fit", lambda *_, **__: pytest.fail("fit was called")
    )
    EmbeddingDisplay.from_estimator(model, X, y).plot(means=True)
    assert vars(model) == before


def test_the_display_keeps_what_it_was_given(rng):
    before, after, y = animals(rng)
    display = EmbeddingDisplay.from_embeddings(before, after, y)
    held = display.before.copy()
    before[:] = 0.0
    np.testing.assert_array_equal(display.before, held)


# --------------------------------------------------------------------------------------
# errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"before": np.zeros((4, 2))}, "inconsistent numbers of samples"),
        ({"y": ["a", "b"]}, "inconsistent numbers of samples"),
        ({"y": [0.0, 1.0, np.nan]}, "y contains NaN"),
        ({"before": [[0.0], [1.0], [np.inf]]}, "before contains infinity"),
        ({"after": [[0.0], [1.0], [np.nan]]}, "after contains NaN"),
        ({"map_at_r": (0.5,)}, "map_at_r must have two entries"),
        ({"map_at_r": 0.5}, "map_at_r must have two entries"),
        ({"titles": "ab"}, "titles must have two entries"),
    ],
)
def test_wrong_arrays_are_named(options, message):
    given = {"before": np.zeros((3, 2)), "after": np.zeros((3, 1)), "y": [0, 1, 1], **options}
    with pytest.raises(ValueError, match=message):
        EmbeddingDisplay.from_embeddings(**given)


def test_one_row_is_refused():
    with pytest.raises(ValueError, match="minimum of 2 is required"):
        EmbeddingDisplay.from_embeddings([[0.0, 1.0]], [[0.0]], [1])


def test_wrong_panels_are_named(rng):
    display = EmbeddingDisplay.from_embeddings(*animals(rng))
    with pytest.raises(ValueError, match=r"which must be one of \['both', 'before', 'after'\]"):
        display.plot(which="left")
    _, axes = plt.subplots(1, 3)
    with pytest.raises(ValueError, match=r"ax has 3 axes; .* panels: 2"):
        display.plot(axes)
    with pytest.raises(ValueError, match=r"ax has 3 axes; .* panels: 1"):
        display.plot(axes, which="after")


def test_what_cannot_transform_is_named(rng):
    X, _, y = animals(rng)
    with pytest.raises(AttributeError, match=r"SimpleNamespace has no transform.*fitted"):
        EmbeddingDisplay.from_estimator(SimpleNamespace(), X, y)
    with pytest.raises(NotFittedError):
        EmbeddingDisplay.from_estimator(PCA(), X, y)


def test_without_matplotlib_the_error_says_what_to_install(rng, monkeypatch):
    display = EmbeddingDisplay.from_embeddings(*animals(rng))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"EmbeddingDisplay needs matplotlib.*skmmd\[plot\]"):
        display.plot()


def test_it_is_public():
    assert skmmd.EmbeddingDisplay is EmbeddingDisplay
