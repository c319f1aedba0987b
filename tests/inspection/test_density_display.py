"""DensityDisplay: grids, scores and draws are those of the estimator, and drawn as they are."""

import sys
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas
import polars
import pytest
from matplotlib.colors import to_rgba
from scipy.stats import norm
from sklearn.base import BaseEstimator
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import skmmd.mixture
from skmmd.datasets import make_density
from skmmd.inspection import DensityDisplay
from skmmd.inspection._axes import FIRST, INK

KINDS = ("density", "score", "samples", "margins")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def known(name="funnel", d=2, n=80):
    density = make_density(name, d)
    return density, density.sample(n, random_state=0)


def texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# --------------------------------------------------------------------------------------
# density


@pytest.mark.parametrize("name", ["ring", "funnel", "mix3"])
def test_the_grid_holds_the_log_density(name):
    density, X = known(name)
    display = DensityDisplay.from_estimator(density, X, grid_resolution=7)
    first, second = display.grid
    expected = [[density.score_samples([[a, b]])[0] for a in first] for b in second]
    np.testing.assert_allclose(display.log_density, expected, rtol=1e-12)
    for values, column in zip(display.grid, X.T, strict=True):
        assert len(values) == 7
        assert values[0] < column.min() < column.max() < values[-1]
    np.testing.assert_array_equal(display.samples, X)
    assert display.score is display.draws is None
    assert display.held == {}
    assert display.normalized


def test_one_feature_is_a_curve_over_its_histogram():
    X = np.random.default_rng(0).normal(2.0, 3.0, size=200)
    kde = KernelDensity(bandwidth=0.5).fit(X[:, None])
    display = DensityDisplay.from_estimator(kde, X, limits=[(-15.0, 20.0)]).plot(color="red")
    np.testing.assert_array_equal(display.grid[0], np.linspace(-15.0, 20.0, 100))
    expected = norm.pdf(display.grid[0][:, None], X, 0.5).mean(axis=1)
    np.testing.assert_allclose(display.line_.get_ydata(), expected, rtol=1e-6)
    assert display.line_.get_color() == "red"
    (bars,) = display.bars_
    assert sum(bar.get_width() * bar.get_height() for bar in bars) == pytest.approx(1.0)
    assert display.ax_.get_ylabel() == "density"
    assert display.ax_.get_xlabel() == "feature 0"
    assert display.surface_ is display.arrows_ is None
    display.plot(scale="log")
    np.testing.assert_array_equal(display.line_.get_ydata(), display.log_density)
    assert display.bars_ == []
    np.testing.assert_array_equal(display.points_[0].get_xdata(), X)
    assert display.ax_.get_ylabel() == "log density"


def test_contours_are_at_round_levels_below_the_highest():
    density, X = known("ring")
    display = DensityDisplay.from_estimator(density, X, grid_resolution=30).plot()
    levels = display.surface_.levels
    np.testing.assert_array_equal(levels, np.round(levels))
    np.testing.assert_array_equal(np.diff(levels), 1.0)
    assert len(levels) == 11
    assert levels[-2] < display.log_density.max() <= levels[-1]
    np.testing.assert_array_equal(display.points_[0].get_offsets(), X)
    bar = display.figure_.axes[1]
    assert bar.get_ylabel() == "log density"
    display.plot(scale="linear", cmap="Reds")
    assert display.surface_.levels[0] == 0.0
    highest = np.exp(display.log_density.max())
    assert display.surface_.levels[-2] < highest <= display.surface_.levels[-1]
    assert display.surface_.get_cmap().name == "Reds"
    assert display.figure_.axes[1].get_ylabel() == "density"
    given = [0.0, 0.01, 0.02, 0.05]
    display.plot(scale="linear", levels=given)
    np.testing.assert_array_equal(display.surface_.levels, given)
    np.testing.assert_array_equal(display.figure_.axes[1].get_yticks(), given[::2])
    assert len(display.plot(levels=3).surface_.levels) <= 6


def test_where_the_density_is_zero_nothing_is_drawn():
    X = np.random.default_rng(0).uniform(size=(50, 2))
    kde = KernelDensity(kernel="tophat", bandwidth=0.2).fit(X)
    display = DensityDisplay.from_estimator(kde, X, limits=[(-2.0, 3.0)] * 2)
    assert np.isneginf(display.log_density).any()
    for scale in ("log", "linear"):
        display.plot(scale=scale).figure_.draw_without_rendering()
    curve = KernelDensity(kernel="tophat", bandwidth=0.1).fit(X[:, :1])
    display = DensityDisplay.from_estimator(curve, X[:, 0], limits=[(-2.0, 3.0)])
    for scale in ("log", "linear"):
        display.plot(scale=scale).figure_.draw_without_rendering()
        assert np.isfinite(display.ax_.get_ylim()).all()
    assert display.line_.get_ydata()[0] == 0.0
    with pytest.raises(ValueError, match="density is zero on the whole grid"):
        DensityDisplay.from_estimator(kde, X, limits=[(5.0, 6.0)] * 2)


def test_without_rows_draws_set_the_grid():
    density, _ = known("mix3")
    display = DensityDisplay.from_estimator(
        density, grid_resolution=9, n_samples=300, random_state=3
    ).plot()
    draws = density.sample(300, random_state=3)
    for values, column in zip(display.grid, draws.T, strict=True):
        margin = 0.1 * np.ptp(column)
        assert values[0] == pytest.approx(column.min() - margin)
        assert values[-1] == pytest.approx(column.max() + margin)
    assert display.samples is display.draws is None
    assert display.points_ == []
    # Limits need neither.
    silent = SimpleNamespace(n_features=2, score_samples=density.score_samples)
    display = DensityDisplay.from_estimator(silent, limits=[(0.0, 1.0), (2.0, 4.0)])
    assert display.grid[1][-1] == 4.0
    with pytest.raises(AttributeError, match="no sample to draw from; pass X"):
        DensityDisplay.from_estimator(silent)


@pytest.mark.parametrize("without", [{}, {"log_normalizer_": np.nan}])
def test_an_unnormalized_density_is_named_so(without):
    density, X = known()
    unnormalized = SimpleNamespace(
        n_features=2,
        unnormalized_log_density=lambda X: density.score_samples(X) + 7.0,
        score_samples=lambda X: pytest.fail("there is no normaliser"),
        **without,
    )
    display = DensityDisplay.from_estimator(unnormalized, X, grid_resolution=6).plot()
    assert not display.normalized
    expected = DensityDisplay.from_estimator(density, X, grid_resolution=6)
    np.testing.assert_allclose(display.log_density, expected.log_density + 7.0)
    assert display.figure_.axes[1].get_ylabel() == "log density, unnormalized"
    display.plot(scale="linear")
    assert display.figure_.axes[1].get_ylabel() == "density / its highest value"
    unnormalized.log_normalizer_ = 7.0
    unnormalized.score_samples = density.score_samples
    display = DensityDisplay.from_estimator(unnormalized, X, grid_resolution=6)
    assert display.normalized
    np.testing.assert_array_equal(display.log_density, expected.log_density)


# --------------------------------------------------------------------------------------
# slices


@pytest.mark.parametrize("features", [(0, 2), (2, 1), (1,)])
def test_a_slice_holds_the_others_at_their_mean(features):
    density, X = known("banana", 4)
    weight = np.arange(len(X)) % 3
    for sample_weight in (None, weight):
        display = DensityDisplay.from_estimator(
            density, X, features=features, sample_weight=sample_weight, grid_resolution=4
        )
        mean = X.mean(axis=0) if sample_weight is None else weight @ X / weight.sum()
        held = [j for j in range(4) if j not in features]
        assert display.held == pytest.approx({f"feature {j}": mean[j] for j in held})
        for place, value in np.ndenumerate(display.log_density):
            point = mean.copy()
            point[list(features)] = [
                grid[index] for grid, index in zip(display.grid, place[::-1], strict=True)
            ]
            assert value == pytest.approx(density.score_samples(point[None])[0])
        np.testing.assert_array_equal(display.samples, X[:, features])


def test_where_a_slice_is_and_that_its_title_says_so():
    density, X = known("funnel", 4)
    held = np.array([9.0, 9.0, 0.25, 1.5])
    options = {"features": (0, 1), "grid_resolution": 4, "feature_names": list("abcd")}
    by_point = DensityDisplay.from_estimator(density, X, at=held, **options)
    by_names = DensityDisplay.from_estimator(density, X, at={"c": 0.25, 3: 1.5}, **options)
    np.testing.assert_array_equal(by_point.log_density, by_names.log_density)
    assert by_point.held == by_names.held == {"c": 0.25, "d": 1.5}
    assert by_point.plot().ax_.get_title() == "slice at c = 0.25, d = 1.5"
    some = DensityDisplay.from_estimator(density, X, at={"d": 1.5}, **options)
    assert some.held == {"c": pytest.approx(X[:, 2].mean()), "d": 1.5}
    one = DensityDisplay.from_estimator(density, X, at=held, **options | {"features": ("b",)})
    one.plot()
    assert one.ax_.get_title() == "slice at a = 9, c = 0.25 and 1 more"
    # A slice is not on the scale of a histogram.
    assert one.bars_ == []
    np.testing.assert_array_equal(one.points_[0].get_xdata(), X[:, 1])
    whole = DensityDisplay.from_estimator(*known()).plot()
    assert whole.ax_.get_title() == ""


# --------------------------------------------------------------------------------------
# score


@pytest.mark.parametrize("d", [2, 3])
def test_arrows_stand_in_cells_and_hold_the_score(d):
    density, X = known("banana", d)
    display = DensityDisplay.from_estimator(
        density, X, kind="score", features=(1, 0), n_arrows=6, grid_resolution=11
    )
    assert display.log_density.shape == (11, 11)
    first, second = display.score_grid
    mean = X.mean(axis=0)
    for place in np.ndindex(len(second), len(first)):
        point = mean.copy()
        point[0], point[1] = second[place[0]], first[place[1]]
        expected = density.score_function(point[None])[0, [1, 0]]
        np.testing.assert_allclose(display.score[place], expected, rtol=1e-12)
    for values, grid in zip(display.score_grid, display.grid, strict=True):
        step = (grid[-1] - grid[0]) / len(values)
        np.testing.assert_allclose(np.diff(values), step)
        assert values[0] == pytest.approx(grid[0] + 0.5 * step)
        assert values[-1] == pytest.approx(grid[-1] - 0.5 * step)


@pytest.mark.parametrize("stretch", [1.0, 1.2, 40.0])
def test_arrows_are_perpendicular_to_contours_on_the_page(stretch):
    """A density that changes along one direction of the page has all arrows along it."""

    def log_density(X):
        return -0.5 * (X[:, 0] + X[:, 1] / stretch) ** 2

    def score(X):
        slope = -(X[:, 0] + X[:, 1] / stretch)
        return np.column_stack([slope, slope / stretch])

    slanted = SimpleNamespace(n_features=2, score_samples=log_density, score_function=score)
    display = DensityDisplay.from_estimator(
        slanted, kind="score", limits=[(0.5, 2.5), (0.5 * stretch, 2.5 * stretch)]
    ).plot()
    display.figure_.draw_without_rendering()
    page = display.ax_.transData.transform([[0.0, 0.0], [1.0, -stretch]])
    along = page[1] - page[0]
    arrows = np.column_stack([display.arrows_.U, display.arrows_.V])
    cosine = arrows @ along / np.linalg.norm(arrows, axis=1) / np.linalg.norm(along)
    np.testing.assert_allclose(cosine, 0.0, atol=1e-6)
    assert display.arrows_.angles == "uv"


def test_arrows_have_the_length_that_is_documented():
    density, X = known("ring")
    display = DensityDisplay.from_estimator(density, X, kind="score").plot(color="red")
    lengths = np.linalg.norm(display.score, axis=-1).ravel()
    quartile = np.quantile(lengths, 0.25)
    drawn = np.hypot(display.arrows_.U, display.arrows_.V)
    np.testing.assert_allclose(drawn, lengths / (lengths + quartile), rtol=1e-12)
    assert display.arrows_.scale == pytest.approx(len(display.score_grid[0]) / 0.95)
    assert tuple(display.arrows_.get_facecolors()[0]) == to_rgba("red")
    assert display.surface_ is not None
    assert display.ax_.get_aspect() == 1.0


def test_the_score_without_a_density_and_where_it_is_not_known():
    density, X = known()

    def score(X):
        return np.where(X[:, :1] > 0.0, density.score_function(X), np.nan)

    alone = SimpleNamespace(n_features=2, score_function=score)
    display = DensityDisplay.from_estimator(alone, X, kind="score").plot()
    display.figure_.draw_without_rendering()
    assert display.log_density is display.surface_ is None
    assert len(display.arrows_.U) == np.isfinite(display.score).all(axis=-1).sum()
    assert (display.arrows_.X > 0.0).all()
    # Nor where the density is zero.
    bounded = SimpleNamespace(
        n_features=2,
        score_function=density.score_function,
        score_samples=lambda X: np.where(X[:, 0] > 0.0, density.score_samples(X), -np.inf),
    )
    display = DensityDisplay.from_estimator(bounded, X, kind="score").plot()
    outside = display.score_grid[0] <= 0.0
    assert outside.any()
    np.testing.assert_array_equal(np.isnan(display.score[..., 0]).all(axis=0), outside)
    assert (display.arrows_.X > 0.0).all()
    curve = DensityDisplay.from_estimator(bounded, X, kind="score", features=(0,))
    np.testing.assert_array_equal(np.isnan(curve.score), curve.score_grid[0] <= 0.0)
    flat = SimpleNamespace(n_features=2, score_function=np.zeros_like)
    DensityDisplay.from_estimator(flat, X, kind="score").plot().figure_.draw_without_rendering()


def test_the_score_of_one_feature_is_a_curve():
    density, X = known("mix3", 3)
    display = DensityDisplay.from_estimator(density, X, kind="score", features=(2,)).plot()
    (values,) = display.score_grid
    points = np.tile(X.mean(axis=0), (len(values), 1))
    points[:, 2] = values
    expected = density.score_function(points)[:, 2]
    np.testing.assert_allclose(display.line_.get_ydata(), expected, rtol=1e-12)
    assert display.ax_.get_ylabel() == "score"
    assert display.arrows_ is None
    np.testing.assert_array_equal(display.points_[0].get_xdata(), X[:, 2])


# --------------------------------------------------------------------------------------
# draws


def test_samples_are_beside_or_over_the_rows():
    density, X = known()
    display = DensityDisplay.from_estimator(density, X, kind="samples", random_state=5)
    expected = density.sample(len(X), random_state=5)
    np.testing.assert_array_equal(display.draws, expected)
    np.testing.assert_array_equal(display.samples, X)
    display.plot(s=3.0)
    left, right = display.axes_
    assert (texts(left), texts(right)) == (["rows (80)"], ["draws (80)"])
    np.testing.assert_array_equal(display.points_[0].get_offsets(), X)
    np.testing.assert_array_equal(display.draws_[0].get_offsets(), expected)
    assert display.draws_[0].get_sizes() == [3.0]
    assert left.get_xlim() == right.get_xlim()
    assert left.get_ylim() == right.get_ylim()
    display.plot(overlay=True)
    assert len(display.axes_) == 1
    assert texts(display.ax_) == ["rows (80)", "draws (80)"]
    for artist, color in ((display.points_[0], INK), (display.draws_[0], FIRST)):
        assert tuple(artist.get_facecolors()[0][:3]) == to_rgba(color)[:3]
    alone = DensityDisplay.from_estimator(density, kind="samples").plot()
    assert len(alone.draws) == 1000
    assert texts(alone.ax_) == ["draws (1000)"]


def test_samples_of_many_features_are_components_of_rows_and_draws():
    density, X = known("banana", 5)
    display = DensityDisplay.from_estimator(
        density, X, kind="samples", n_samples=30, random_state=0
    )
    pooled = np.vstack([X, density.sample(30, random_state=0)])
    expected = PCA(2).fit_transform(pooled)
    found = np.vstack([display.samples, display.draws])
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-9)
    assert len(display.draws) == 30
    assert display.feature_names[0].startswith("principal component 0 (")
    chosen = DensityDisplay.from_estimator(
        density, X, kind="samples", features=(3, 0), n_samples=30, random_state=0
    )
    np.testing.assert_array_equal(chosen.draws, pooled[80:][:, [3, 0]])
    without = DensityDisplay.from_estimator(density, kind="samples", random_state=0)
    assert without.draws.shape == (1000, 2)


def test_samples_of_one_feature_are_histograms():
    density, X = known("mix3", 3)
    display = DensityDisplay.from_estimator(
        density, X, kind="samples", features=(1,), sample_weight=np.arange(80)
    ).plot(linewidth=4.0)
    (bars,), (outline,) = display.bars_, display.draws_
    edges = np.array([bar.get_x() for bar in bars] + [bars[-1].get_x() + bars[-1].get_width()])
    # The ends are rows, up to rounding.
    edges[[0, -1]] += [-1e-9, 1e-9]
    expected, _ = np.histogram(X[:, 1], edges, weights=np.arange(80), density=True)
    np.testing.assert_allclose([bar.get_height() for bar in bars], expected, rtol=1e-6)
    heights, _ = np.histogram(display.draws[:, 0], edges, density=True)
    assert outline.get_xy()[:, 1].max() == pytest.approx(heights.max(), rel=1e-6)
    assert outline.get_linewidth() == 4.0
    assert texts(display.ax_) == ["rows (80)", "draws (80)"]


@pytest.mark.parametrize("with_rows", [True, False])
def test_margins(with_rows):
    density, X = known("banana", 4)
    display = DensityDisplay.from_estimator(
        density,
        X if with_rows else None,
        kind="margins",
        features=(3, 0, 1),
        n_samples=70,
        random_state=2,
    ).plot()
    draws = density.sample(70, random_state=2)[:, [3, 0, 1]]
    assert display.axes_.shape == (3, 3)
    assert display.ax_ is display.axes_[0, 0]
    below = [(1, 0), (2, 0), (2, 1)]
    scattered = [points for points in display.draws_ if hasattr(points, "get_offsets")]
    assert len(scattered) == 3
    for (i, j), points in zip(below, scattered, strict=True):
        assert points.axes is display.axes_[i, j]
        np.testing.assert_array_equal(points.get_offsets(), draws[:, [j, i]])
    assert len(display.draws_) == 6
    assert [ax.get_xlabel() for ax in display.axes_[2]] == ["feature 3", "feature 0", "feature 1"]
    assert [ax.get_ylabel() for ax in display.axes_[:, 0]] == [
        "feature 3",
        "feature 0",
        "feature 1",
    ]
    for j in range(3):
        assert len({ax.get_xlim() for ax in display.axes_[:, j]}) == 1
    assert display.axes_[2, 0].get_ylim() == display.axes_[2, 1].get_ylim()
    if not with_rows:
        assert display.points_ == display.bars_ == []
        assert not display.axes_[0, 1].axison
        assert texts(display.ax_) == ["draws (70)"]
        return
    rows = X[:, [3, 0, 1]]
    for (i, j), points in zip([(0, 1), (0, 2), (1, 2)], display.points_, strict=True):
        assert points.axes is display.axes_[i, j]
        np.testing.assert_array_equal(points.get_offsets(), rows[:, [j, i]])
    assert len(display.bars_) == 3
    assert texts(display.ax_) == ["rows (80)", "draws (70)"]


def test_points_are_as_large_as_their_weights():
    density, X = known()
    weight = np.arange(80.0)
    display = DensityDisplay.from_estimator(density, X, sample_weight=weight).plot()
    sizes = display.points_[0].get_sizes()
    np.testing.assert_allclose(sizes / sizes[-1], weight / weight[-1])


# --------------------------------------------------------------------------------------
# estimators


def test_mixtures_give_draws_without_their_components():
    _, X = known()
    for mixture in (GaussianMixture(2), skmmd.mixture.GaussianMixture(2)):
        mixture.fit(X)
        display = DensityDisplay.from_estimator(mixture, X, kind="samples", random_state=4)
        assert mixture.random_state is None
        mixture.random_state = 4
        expected, _ = mixture.sample(len(X))
        np.testing.assert_array_equal(display.draws, expected)
        # Its own where none is given.
        again = DensityDisplay.from_estimator(mixture, X, kind="samples")
        np.testing.assert_array_equal(again.draws, expected)


def test_a_pipeline_is_drawn_where_its_density_lives():
    X = load_iris().data
    model = make_pipeline(StandardScaler(), PCA(2), KernelDensity(bandwidth=0.3)).fit(X)
    display = DensityDisplay.from_estimator(model, X, grid_resolution=5)
    np.testing.assert_allclose(display.samples, model[:-1].transform(X))
    points = np.stack(np.meshgrid(*display.grid), axis=-1).reshape(-1, 2)
    expected = model[-1].score_samples(points)
    np.testing.assert_allclose(display.log_density.ravel(), expected)
    assert display.feature_names == ["pca0", "pca1"]
    drawn = DensityDisplay.from_estimator(model, kind="samples", random_state=0)
    np.testing.assert_array_equal(drawn.draws, model[-1].sample(1000, random_state=0))
    nameless = make_pipeline(FunctionTransformer(np.sqrt), KernelDensity()).fit(X[:, :2])
    display = DensityDisplay.from_estimator(nameless, X[:, :2], grid_resolution=5)
    assert display.feature_names == ["feature 0", "feature 1"]
    np.testing.assert_array_equal(display.samples, np.sqrt(X[:, :2]))


def test_the_best_estimator_of_a_search_is_drawn():
    _, X = known()
    search = GridSearchCV(KernelDensity(), {"bandwidth": [0.1, 0.5]}).fit(X)
    display = DensityDisplay.from_estimator(search, X, grid_resolution=5)
    expected = DensityDisplay.from_estimator(search.best_estimator_, X, grid_resolution=5)
    np.testing.assert_array_equal(display.log_density, expected.log_density)


@pytest.mark.parametrize("frame", [pandas.DataFrame, polars.DataFrame])
@pytest.mark.parametrize("kind", KINDS)
def test_data_frames_name_the_axes(frame, kind):
    density, X = known("mix3", 3)

    class Named(KernelDensity):
        def score_function(self, X):
            return density.score_function(X)

    given = frame({"age": X[:, 0], "$x^2": X[:, 1], "size": X[:, 2]})
    fitted = Named().fit(given)
    for rows in (given, None):
        display = DensityDisplay.from_estimator(
            fitted, rows, kind=kind, features=("size", "$x^2"), grid_resolution=5
        ).plot()
        assert display.feature_names == ["size", "$x^2"]
        last = display.axes_[-1]
        bottom = np.atleast_1d(last)[0]
        assert bottom.get_xlabel() == "size"
        assert bottom.get_ylabel() == "$x^2"
        display.figure_.draw_without_rendering()
    # Of a density without names, those of the frame.
    display = DensityDisplay.from_estimator(density, given, kind=kind, features=("age", "size"))
    assert display.feature_names == ["age", "size"]
    with pytest.raises(ValueError, match=r"named \['size', 'age'.*fitted on \['age'"):
        DensityDisplay.from_estimator(
            fitted, frame({"size": X[:, 0], "age": X[:, 1], "$x^2": X[:, 2]}), features=(0, 1)
        )


def test_names_with_dollars_and_the_slice():
    density, X = known("mix3", 3)
    names = ["$x", "$y", "$z"]
    for options in ({"features": (0, 1)}, {"features": (0,)}, {"kind": "margins"}):
        display = DensityDisplay.from_estimator(density, X, feature_names=names, **options).plot()
        display.figure_.draw_without_rendering()


# --------------------------------------------------------------------------------------
# axes, and what is left as it was


@pytest.mark.parametrize("kind", KINDS)
def test_plot_draws_into_the_given_axes(kind):
    density, X = known()
    figure, axes = plt.subplots(1, 2)
    display = DensityDisplay.from_estimator(density, X, kind=kind, random_state=0)
    assert display.plot(ax=axes[1]) is display
    assert display.figure_ is figure
    assert not axes[0].has_data()
    assert plt.get_fignums() == [figure.number]
    if kind in ("density", "score"):
        assert list(display.axes_) == [display.ax_] == [axes[1]]
    else:
        assert not axes[1].axison  # divided
    panels = {"samples": (1, 2), "margins": (2, 2)}.get(kind)
    if panels is not None:
        figure, axes = plt.subplots(*panels)
        display.plot(ax=axes)
        assert list(display.axes_.flat) == list(axes.flat)
        three = plt.subplots(1, 3)[1]
        with pytest.raises(ValueError, match="ax has 3 axes; pass None, one axes"):
            display.plot(ax=three)


@pytest.mark.parametrize("kind", KINDS)
def test_never_fits_and_writes_nothing(kind, monkeypatch):
    density, X = known("mix3", 3)
    mixture = GaussianMixture(2, random_state=0).fit(X)
    mixture.score_function = density.score_function
    X.setflags(write=False)
    before = dict(vars(mixture))
    monkeypatch.setattr(GaussianMixture, "fit", lambda *_, **__: pytest.fail("fit was called"))
    features = (0, 1)
    display = DensityDisplay.from_estimator(
        mixture, X, kind=kind, features=features, random_state=1, grid_resolution=5
    )
    display.plot()
    assert vars(mixture) == before
    assert not np.shares_memory(display.samples, X)


def test_missing_matplotlib_is_named(monkeypatch):
    density, X = known()
    displays = [DensityDisplay.from_estimator(density, X, kind=kind) for kind in KINDS]
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for display in displays:
        with pytest.raises(ImportError, match=r"DensityDisplay needs matplotlib.*skmmd\[plot\]"):
            display.plot()


# --------------------------------------------------------------------------------------
# errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "contour"}, r"kind must be one of \['density', 'score', 'samples', 'margins'\]"),
        ({}, r"There are 3 features, and one or two.*features=\(i, j\)"),
        ({"kind": "score"}, "There are 3 features, and one or two"),
        ({"features": (0, 3)}, "features has 3, but there are 3 features"),
        ({"features": ("age",)}, "features has 'age', which is none of"),
        ({"features": (0, 1, 2)}, r"kind='density' draws one or two different features.*0, 1, 2"),
        ({"features": (1, 1)}, "one or two different"),
        ({"kind": "samples", "features": ()}, "one or two different"),
        ({"kind": "margins", "features": (1,)}, "two or more different"),
        ({"feature_names": ["a"]}, "feature_names has 1 names, but there are 3"),
        ({"features": (0, 1), "at": [1.0]}, r"at has shape \(1,\), expected a value for each of 3"),
        ({"features": (0, 1), "at": {"c": 1.0}}, "at has 'c', which is none of"),
        ({"features": (0, 1), "at": {2: np.nan}}, "at has values that are not finite"),
        ({"features": (0, 1), "limits": [(0, 1)]}, r"finite pair \(low, high\) for each"),
        ({"features": (0,), "limits": [(0, np.inf)]}, "finite pair"),
        ({"features": (0,), "limits": [(1, 1)]}, "low < high"),
        ({"features": (0,), "X": np.zeros((4, 2))}, "X has 2 features.*fitted on 3"),
        ({"features": (0,), "X": [[np.nan, 0.0, 0.0]]}, "X contains NaN"),
        ({"features": (0,), "X": None, "sample_weight": [1.0]}, "pass X, too"),
        ({"features": (0,), "sample_weight": -np.ones(80)}, "sample_weight has negative"),
        ({"features": (0,), "sample_weight": np.ones(5)}, "sample_weight.shape"),
    ],
)
def test_wrong_choices_are_named(options, message):
    density, X = known("mix3", 3)
    with pytest.raises(ValueError, match=message):
        DensityDisplay.from_estimator(density, **{"X": X, **options})


def test_margins_of_many_features_are_not_drawn_unasked():
    density, X = known("mix3", 9)
    with pytest.raises(ValueError, match="There are 9 features, too many for margins"):
        DensityDisplay.from_estimator(density, X, kind="margins")
    display = DensityDisplay.from_estimator(density, X, kind="margins", features=range(9))
    assert display.draws.shape == (80, 9)
    with pytest.raises(ValueError, match="scale must be 'auto', 'log' or 'linear'"):
        display.plot(scale="log10")


def test_what_an_estimator_lacks_is_named():
    _, X = known()
    kde = KernelDensity().fit(X)
    with pytest.raises(AttributeError, match="KernelDensity has no score_function; kind='density'"):
        DensityDisplay.from_estimator(kde, X, kind="score")
    with pytest.raises(AttributeError, match="PCA has no score_function"):
        DensityDisplay.from_estimator(PCA().fit(X), X, kind="score")
    scaler = StandardScaler().fit(X)
    with pytest.raises(AttributeError, match="StandardScaler has no score_samples"):
        DensityDisplay.from_estimator(scaler, X)
    with pytest.raises(AttributeError, match="StandardScaler has no sample to draw from"):
        DensityDisplay.from_estimator(scaler, X, kind="margins")
    with pytest.raises(ValueError, match="SimpleNamespace has no n_features_in_: pass X"):
        DensityDisplay.from_estimator(SimpleNamespace(sample=None), kind="samples")


@pytest.mark.parametrize(
    "model",
    [
        KernelDensity(),
        GaussianMixture(),
        make_pipeline(StandardScaler(), KernelDensity()),
        GridSearchCV(KernelDensity(), {}),
    ],
    ids=lambda model: type(model).__name__,
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_fitted_is_named(model, kind):
    assert isinstance(model, BaseEstimator)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        DensityDisplay.from_estimator(model, np.zeros((5, 2)), kind=kind)
