"""WitnessDisplay: the grid holds the mean kernel of one sample minus that of another."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas
import polars
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmmd.inspection import WitnessDisplay
from skmmd.two_sample import MMDTest, mmd_test

GAMMA = 0.7


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def mean_rbf(point, rows, gamma=GAMMA):
    return sum(np.exp(-gamma * ((point - row) ** 2).sum()) for row in rows) / len(rows)


def two_samples(rng, n_features, sizes=(15, 12)):
    return (
        rng.normal(size=(sizes[0], n_features)),
        rng.normal(size=(sizes[1], n_features)) * 1.5 + 0.5,
    )


def result_of(X, Y, **options):
    return mmd_test(X, Y, gamma=GAMMA, n_permutations=0, **options)


def test_curve_over_one_feature(rng):
    X, Y = two_samples(rng, 1)
    display = WitnessDisplay.from_result(result_of(X, Y), grid_resolution=9)
    (grid,) = display.grid
    assert grid.shape == display.witness.shape == (9,)
    assert grid[0] < min(X.min(), Y.min())
    assert grid[-1] > max(X.max(), Y.max())
    expected = [mean_rbf(value, X) - mean_rbf(value, Y) for value in grid]
    np.testing.assert_allclose(display.witness, expected, rtol=1e-9, atol=1e-12)
    display.plot()
    np.testing.assert_array_equal(display.line_.get_xdata(), grid)
    np.testing.assert_array_equal(display.line_.get_ydata(), display.witness)
    assert display.surface_ is None
    # Each histogram is a density: its area is 1.
    for bars in display.points_:
        assert sum(bar.get_width() * bar.get_height() for bar in bars) == pytest.approx(1.0)


def test_contour_over_two_features(rng):
    X, Y = two_samples(rng, 2)
    display = WitnessDisplay.from_result(result_of(X, Y), grid_resolution=6)
    first, second = display.grid
    expected = [
        [mean_rbf(np.array([a, b]), X) - mean_rbf(np.array([a, b]), Y) for a in first]
        for b in second
    ]
    np.testing.assert_allclose(display.witness, expected, rtol=1e-9, atol=1e-12)
    display.plot(cmap="viridis")
    assert display.line_ is None
    assert display.surface_.get_cmap().name == "viridis"
    np.testing.assert_array_equal(display.points_[0].get_offsets(), X)
    np.testing.assert_array_equal(display.points_[1].get_offsets(), Y)
    assert display.ax_.get_xlabel() == "feature 0"
    assert display.ax_.get_ylabel() == "feature 1"


def test_other_features_are_held_at_the_pooled_median(rng):
    X, Y = two_samples(rng, 4)
    display = WitnessDisplay.from_result(result_of(X, Y), features=(3, 1), grid_resolution=4)
    held = np.median(np.concatenate([X, Y]), axis=0)
    first, second = display.grid
    for column, a in enumerate(first):
        for row, b in enumerate(second):
            point = np.array([held[0], b, held[2], a])
            expected = mean_rbf(point, X) - mean_rbf(point, Y)
            assert display.witness[row, column] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    np.testing.assert_array_equal(display.samples[1], Y[:, [3, 1]])


def test_features_are_chosen_by_name(rng):
    X, Y = two_samples(rng, 3)
    names = ["age", "mass", "height"]
    display = WitnessDisplay.from_result(
        result_of(X, Y), feature_names=names, features=("height",), grid_resolution=5
    )
    assert list(display.feature_names) == ["height"]
    assert display.plot().ax_.get_xlabel() == "height"


@pytest.mark.parametrize("group", ["a", "b", "c"])
def test_each_of_three_groups_against_the_rest(rng, group):
    X = rng.normal(size=(24, 1)) + np.repeat([0.0, 1.0, 3.0], 8)[:, None]
    y = np.repeat(["a", "b", "c"], 8)
    test = MMDTest(gamma=GAMMA, n_permutations=0).fit(X, y)
    display = WitnessDisplay.from_estimator(test, X, y, group=group, grid_resolution=7)
    expected = [
        mean_rbf(value, X[y == group]) - mean_rbf(value, X[y != group]) for value in display.grid[0]
    ]
    np.testing.assert_allclose(display.witness, expected, rtol=1e-9, atol=1e-12)
    by_code = WitnessDisplay.from_result(test.result_, group="abc".index(group), grid_resolution=7)
    np.testing.assert_allclose(by_code.witness, display.witness)
    assert len(display.plot().points_) == 3
    assert group in display.ax_.get_ylabel()


def test_the_second_of_two_groups_turns_the_sign(rng):
    result = result_of(*two_samples(rng, 1))
    first = WitnessDisplay.from_result(result, group=0)
    second = WitnessDisplay.from_result(result, group=1)
    np.testing.assert_array_equal(second.witness, -first.witness)


@pytest.mark.parametrize("frame", [pandas.DataFrame, polars.DataFrame])
def test_data_frames_keep_their_names(rng, frame):
    X = frame({"left": rng.normal(size=20), "right": rng.normal(size=20)})
    y = np.repeat(["old", "new"], 10)
    test = MMDTest(gamma=GAMMA, n_permutations=0).fit(X, y)
    display = WitnessDisplay.from_estimator(test, X, y, grid_resolution=5).plot()
    assert display.ax_.get_ylabel() == "right"
    assert list(display.group_names) == ["new", "old"]
    plain = MMDTest(gamma=GAMMA, n_permutations=0).fit(X.to_numpy(), y)
    expected = WitnessDisplay.from_estimator(plain, X.to_numpy(), y, grid_resolution=5)
    np.testing.assert_allclose(display.witness, expected.witness)


def test_a_pipeline_is_drawn_in_the_units_of_its_input(rng):
    X = np.column_stack([rng.normal(size=30) * 1000.0, rng.normal(size=30)])
    y = np.repeat([0, 1], 15)
    pipeline = make_pipeline(StandardScaler(), MMDTest(gamma=GAMMA, n_permutations=0)).fit(X, y)
    display = WitnessDisplay.from_estimator(pipeline, X, y, grid_resolution=5)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    point = (np.array([display.grid[0][2], display.grid[1][3]]) - X.mean(axis=0)) / X.std(axis=0)
    expected = mean_rbf(point, scaled[y == 0]) - mean_rbf(point, scaled[y == 1])
    assert display.witness[3, 2] == pytest.approx(expected, rel=1e-9)
    np.testing.assert_array_equal(display.samples[0], X[y == 0])


def test_constant_rows_can_be_drawn():
    result = result_of(np.ones((5, 2)), np.ones((6, 2)))
    display = WitnessDisplay.from_result(result, grid_resolution=4).plot()
    np.testing.assert_allclose(display.witness, 0.0, atol=1e-15)


def test_plot_draws_into_the_given_axes(rng):
    figure, axes = plt.subplots(1, 2)
    display = WitnessDisplay.from_result(result_of(*two_samples(rng, 1)), grid_resolution=5)
    assert display.plot(ax=axes[0]) is display
    assert display.ax_ is axes[0]
    assert display.figure_ is figure
    assert plt.get_fignums() == [figure.number]


def test_never_fits(rng, monkeypatch):
    X, y = rng.normal(size=(20, 1)), np.repeat([0, 1], 10)
    test = MMDTest(n_permutations=0).fit(X, y)
    monkeypatch.setattr(MMDTest, "fit", lambda *_, **__: pytest.fail("fit was called"))
    WitnessDisplay.from_estimator(test, X, y, grid_resolution=5).plot()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"features=\(i, j\)"),
        ({"features": (0, 5)}, "features has 5, but there are 3"),
        ({"features": ("age",)}, "none of"),
        ({"features": (0, 1, 2)}, "one or two different"),
        ({"features": (1, 1)}, "one or two different"),
        ({"features": ()}, "one or two different"),
        ({"features": (0,), "group": 2}, "there are 2 groups"),
        ({"features": (0,), "feature_names": ["a"]}, "feature_names has 1 names"),
        ({"features": (0,), "group_names": ["a"]}, "group_names has 1 names"),
    ],
)
def test_wrong_choices_are_named(rng, options, message):
    with pytest.raises(ValueError, match=message):
        WitnessDisplay.from_result(result_of(*two_samples(rng, 3)), **options)


def test_precomputed_kernels_have_no_rows_to_draw(rng):
    rows = rng.normal(size=(12, 2))
    result = mmd_test(rows @ rows.T, 5, kernel="precomputed", n_permutations=0)
    with pytest.raises(ValueError, match="precomputed"):
        WitnessDisplay.from_result(result)


def test_wrong_labels_are_named(rng):
    X, y = rng.normal(size=(20, 1)), np.repeat([0, 1], 10)
    test = MMDTest(n_permutations=0).fit(X, y)
    with pytest.raises(ValueError, match=r"not fitted on: \[2\]"):
        WitnessDisplay.from_estimator(test, X, y + 1)
    with pytest.raises(ValueError, match="group=7 is none of"):
        WitnessDisplay.from_estimator(test, X, y, group=7)
    with pytest.raises(ValueError, match="20 rows, but y has 19"):
        WitnessDisplay.from_estimator(test, X, y[:-1])
    with pytest.raises(AttributeError, match="fit it first"):
        WitnessDisplay.from_estimator(MMDTest(), X, y)


def test_missing_matplotlib_is_named(rng, monkeypatch):
    display = WitnessDisplay.from_result(result_of(*two_samples(rng, 1)), grid_resolution=5)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"WitnessDisplay needs matplotlib.*skmmd\[plot\]"):
        display.plot()
