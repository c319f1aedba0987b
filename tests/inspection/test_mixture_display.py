"""MixtureDisplay: ellipses, densities and the selection curve are those of the fitted mixture."""

import sys
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas
import polars
import pytest
from scipy.stats import chi2, multivariate_normal, norm
from sklearn.datasets import load_iris
from sklearn.mixture import GaussianMixture

import skmmd.mixture
from skmmd.inspection import MixtureDisplay

TYPES = ("full", "tied", "diag", "spherical", "tied_diag", "tied_spherical")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def made_up(covariance_type, d, rng):
    """A mixture of three components, and the covariance of each written out."""
    spread = rng.uniform(0.3, 2.0, size=(3, d))
    roots = rng.normal(size=(3, d, d))
    full = roots @ roots.swapaxes(1, 2) + 0.3 * np.eye(d)
    covariances, dense = {
        "full": (full, list(full)),
        "tied": (full[0], [full[0]] * 3),
        "diag": (spread, [np.diag(row) for row in spread]),
        "spherical": (spread[:, 0], [row[0] * np.eye(d) for row in spread]),
        "tied_diag": (spread[0], [np.diag(spread[0])] * 3),
        "tied_spherical": (np.array(spread[0, 0]), [spread[0, 0] * np.eye(d)] * 3),
    }[covariance_type]
    mixture = SimpleNamespace(
        covariance_type=covariance_type,
        weights_=np.array([0.5, 0.3, 0.2]),
        means_=3.0 * rng.normal(size=(3, d)),
        covariances_=covariances,
    )
    return mixture, dense


def two_dimensional(rng, n=60):
    X = np.concatenate([rng.normal(size=(n, 2)), rng.normal(size=(n, 2)) * 0.3 + [4.0, 1.0]])
    return GaussianMixture(2, random_state=0).fit(X), X


# --------------------------------------------------------------------------------------
# ellipses


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("features", [(0, 1), (3, 1)])
def test_ellipses_lie_at_a_mahalanobis_distance(rng, covariance_type, features):
    mixture, dense = made_up(covariance_type, 4, rng)
    display = MixtureDisplay.from_estimator(mixture, features=features, levels=(0.3, 0.9))
    assert display.ellipses.shape == (3, 2, 101, 2)
    for k, covariance in enumerate(dense):
        inverse = np.linalg.inv(covariance[np.ix_(features, features)])
        for place, level in enumerate((0.3, 0.9)):
            away = display.ellipses[k, place] - mixture.means_[k, list(features)]
            squared = [row @ inverse @ row for row in away]
            np.testing.assert_allclose(squared, chi2.ppf(level, 2), rtol=1e-9)
            # Each is a whole turn, not an arc.
            angles = np.unwrap(np.arctan2(away[:, 1], away[:, 0]))
            assert abs(angles[-1] - angles[0]) == pytest.approx(2.0 * np.pi)
            np.testing.assert_array_equal(away[0], away[-1])


def test_levels_are_shares_of_the_mass_or_standard_deviations(rng):
    mixture, dense = made_up("full", 2, rng)
    rows = rng.multivariate_normal(mixture.means_[0], dense[0], size=100_000)

    def share_inside(ellipse):
        return plt.matplotlib.path.Path(ellipse).contains_points(rows).mean()

    by_mass = MixtureDisplay.from_estimator(mixture, levels=(0.25, 0.8))
    for place, level in enumerate((0.25, 0.8)):
        # The polygon of 100 corners is a thousandth smaller than its ellipse.
        assert share_inside(by_mass.ellipses[0, place]) == pytest.approx(level, abs=0.006)
    by_std = MixtureDisplay.from_estimator(mixture, levels=(1, 2), level_unit="std")
    inverse = np.linalg.inv(dense[2])
    for place, level in enumerate((1, 2)):
        away = by_std.ellipses[2, place] - mixture.means_[2]
        np.testing.assert_allclose([row @ inverse @ row for row in away], level**2, rtol=1e-9)
        assert share_inside(by_std.ellipses[0, place]) == pytest.approx(
            chi2.cdf(level**2, 2), abs=0.006
        )


def test_drawn_ellipses_and_points_are_those_of_the_display(rng):
    mixture, X = two_dimensional(rng)
    display = MixtureDisplay.from_estimator(mixture, X).plot(linewidths=3.0)
    assert len(display.ellipses_) == 2
    for place, lines in enumerate(display.ellipses_):
        drawn = [path.vertices for path in lines.get_paths()]
        np.testing.assert_allclose(drawn, display.ellipses[:, place])
        assert lines.get_linewidths() == [3.0]
    np.testing.assert_array_equal(display.points_.get_offsets(), X)
    labels = mixture.predict(X)
    colors = display.ellipses_[0].get_colors()
    faces = display.points_.get_facecolors()
    np.testing.assert_allclose(faces[:, :3], colors[labels][:, :3])
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["50 % of a component", "95 % of a component"]
    assert [text.get_text() for text in display.ax_.texts] == ["0", "1"]
    assert display.surface_ is None
    assert display.line_ is None


# --------------------------------------------------------------------------------------
# densities


@pytest.mark.parametrize("covariance_type", TYPES)
def test_curves_are_weighted_normal_densities(rng, covariance_type):
    mixture, dense = made_up(covariance_type, 3, rng)
    display = MixtureDisplay.from_estimator(mixture, features=(2,)).plot()
    (values,) = display.grid
    for k, weight in enumerate(mixture.weights_):
        expected = weight * norm.pdf(values, mixture.means_[k, 2], dense[k][2, 2] ** 0.5)
        np.testing.assert_allclose(display.densities[k], expected, rtol=1e-9)
        np.testing.assert_array_equal(display.lines_[k].get_ydata(), display.densities[k])
        # All but 6e-5 of a normal distribution is within four standard deviations.
        assert np.trapezoid(display.densities[k], values) == pytest.approx(weight, abs=2e-4)
    np.testing.assert_allclose(display.line_.get_ydata(), display.densities.sum(axis=0))
    assert np.trapezoid(display.line_.get_ydata(), values) == pytest.approx(1.0, abs=2e-4)


def test_the_sum_is_the_density_of_one_feature(rng):
    X = np.concatenate([rng.normal(size=80), 0.2 * rng.normal(size=40) + 3.0])[:, None]
    mixture = GaussianMixture(2, random_state=0).fit(X)
    display = MixtureDisplay.from_estimator(mixture, X).plot(color="red")
    expected = np.exp(mixture.score_samples(display.grid[0][:, None]))
    np.testing.assert_allclose(display.line_.get_ydata(), expected, rtol=1e-9)
    assert display.line_.get_color() == "red"
    assert sum(bar.get_width() * bar.get_height() for bar in display.bars_) == pytest.approx(1.0)
    assert display.ellipses is None
    assert display.grid[0][0] <= X.min()
    assert display.grid[0][-1] >= X.max()


def test_a_narrow_component_keeps_its_peak():
    mixture = SimpleNamespace(
        covariance_type="spherical",
        weights_=np.array([0.9, 0.1]),
        means_=np.array([[0.0], [1.2345]]),
        covariances_=np.array([100.0, 1e-8]),
    )
    display = MixtureDisplay.from_estimator(mixture, grid_resolution=20)
    assert display.densities[1].max() == pytest.approx(0.1 * norm.pdf(0.0, scale=1e-4))
    assert np.trapezoid(display.densities[1], display.grid[0]) == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("far", [-50.0, 50.0])
def test_the_grid_covers_far_rows(far, rng):
    mixture, X = two_dimensional(rng)
    display = MixtureDisplay.from_estimator(mixture, [*X, [far, far]], log_density=True)
    for values in display.grid:
        assert values[0] <= far <= values[-1]


def test_contours_are_the_log_density(rng):
    mixture, X = two_dimensional(rng)
    display = MixtureDisplay.from_estimator(mixture, X, log_density=True, grid_resolution=7)
    first, second = display.grid
    expected = [[mixture.score_samples([[a, b]])[0] for a in first] for b in second]
    np.testing.assert_allclose(display.log_density, expected, rtol=1e-9)
    assert first[0] < X[:, 0].min()
    assert second[-1] > X[:, 1].max()
    display.plot()
    assert display.surface_.levels[-1] == pytest.approx(display.log_density.max())
    assert MixtureDisplay.from_estimator(mixture, X).log_density is None


@pytest.mark.parametrize("covariance_type", TYPES)
def test_two_of_four_features_are_their_marginal_mixture(rng, covariance_type):
    mixture, dense = made_up(covariance_type, 4, rng)
    display = MixtureDisplay.from_estimator(
        mixture, features=(3, 0), log_density=True, grid_resolution=5
    )
    for column, a in enumerate(display.grid[0]):
        for row, b in enumerate(display.grid[1]):
            density = sum(
                weight * multivariate_normal.pdf([a, b], mean[[3, 0]], cov[np.ix_([3, 0], [3, 0])])
                for weight, mean, cov in zip(mixture.weights_, mixture.means_, dense, strict=True)
            )
            assert display.log_density[row, column] == pytest.approx(np.log(density), rel=1e-9)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("d", [1, 2])
def test_our_mixtures_of_all_types(rng, covariance_type, d):
    X = np.concatenate([rng.normal(size=(60, d)), rng.normal(size=(40, d)) * 0.3 + 4.0])
    search = skmmd.mixture.GaussianMixtureIC(2, covariance_type, random_state=0).fit(X)
    display = MixtureDisplay.from_estimator(search, X, log_density=True, grid_resolution=9)
    points = np.stack(np.meshgrid(*display.grid), axis=-1).reshape(-1, d)
    expected = search.score_samples(points)
    found = np.log(display.densities.sum(axis=0)) if d == 1 else display.log_density.ravel()
    np.testing.assert_allclose(found, expected, rtol=1e-8)
    assert display.noise_density is None


@pytest.mark.parametrize("d", [1, 2])
def test_noise_is_part_of_the_density(rng, d):
    X = np.concatenate([rng.normal(size=(150, d)), rng.uniform(-9.0, 9.0, size=(60, d))])
    mixture = skmmd.mixture.GaussianMixture(1, noise="uniform", random_state=0).fit(X)
    display = MixtureDisplay.from_estimator(mixture, X, log_density=True, grid_resolution=9).plot()
    volume = np.prod(X.max(axis=0) - X.min(axis=0))
    assert display.noise_density == pytest.approx(mixture.noise_weight_ / volume, rel=1e-9)
    points = np.stack(np.meshgrid(*display.grid), axis=-1).reshape(-1, d)
    expected = mixture.score_samples(points)
    if d == 1:
        np.testing.assert_allclose(np.log(display.line_.get_ydata()), expected, rtol=1e-9)
        np.testing.assert_allclose(display.lines_[1].get_ydata(), display.noise_density)
        return
    np.testing.assert_allclose(display.log_density.ravel(), expected, rtol=1e-9)
    n_noise = (mixture.predict(X) == -1).sum()
    assert n_noise > 10
    assert len(display.points_.get_offsets()) == len(X) - n_noise
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert f"noise ({n_noise})" in texts


def test_noise_of_one_of_three_features_is_its_marginal(rng):
    X = np.concatenate([rng.normal(size=(150, 3)), rng.uniform(-9.0, 9.0, size=(60, 3))])
    mixture = skmmd.mixture.GaussianMixture(1, noise="uniform", random_state=0).fit(X)
    display = MixtureDisplay.from_estimator(mixture, features=(1,)).plot()
    low, high = X[:, 1].min(), X[:, 1].max()
    total = display.densities.sum(axis=0) + display.noise_density
    np.testing.assert_allclose(display.line_.get_ydata(), total)
    assert display.noise_density * (high - low) == pytest.approx(mixture.noise_weight_)
    component = np.trapezoid(display.densities[0], display.grid[0])
    assert component + display.noise_density * (high - low) == pytest.approx(1.0, abs=2e-4)


def test_a_component_without_weight_is_drawn_at_zero(rng):
    mixture, _ = made_up("diag", 1, rng)
    mixture.weights_ = np.array([0.6, 0.0, 0.4])
    display = MixtureDisplay.from_estimator(mixture).plot()
    assert not display.densities[1].any()
    assert np.isfinite(display.line_.get_ydata()).all()


# --------------------------------------------------------------------------------------
# what is drawn: rows, names, axes


@pytest.mark.parametrize("frame", [pandas.DataFrame, polars.DataFrame])
def test_names_come_from_the_fit(frame):
    iris = load_iris(as_frame=True).data
    X = frame({name: iris[name].to_numpy() for name in iris.columns})
    mixture = GaussianMixture(3, random_state=0).fit(X)
    display = MixtureDisplay.from_estimator(
        mixture, X, features=("petal width (cm)", "sepal length (cm)")
    ).plot()
    assert display.ax_.get_xlabel() == "petal width (cm)"
    assert display.ax_.get_ylabel() == "sepal length (cm)"
    np.testing.assert_array_equal(display.samples, iris.to_numpy()[:, [3, 0]])
    np.testing.assert_array_equal(display.labels, mixture.predict(X))
    given = MixtureDisplay.from_estimator(mixture, features=("b",), feature_names=list("abcd"))
    np.testing.assert_array_equal(given.means[:, 0], mixture.means_[:, 1])


def test_the_best_estimator_of_a_search_is_drawn(rng):
    mixture, X = two_dimensional(rng)
    display = MixtureDisplay.from_estimator(SimpleNamespace(best_estimator_=mixture), X)
    expected = MixtureDisplay.from_estimator(mixture, X)
    np.testing.assert_array_equal(display.ellipses, expected.ellipses)


def test_rows_with_missing_values_in_a_drawn_feature_are_left_out(rng):
    mixture, _ = made_up("full", 3, rng)
    X = rng.normal(size=(10, 3))
    X[0, 0], X[1, 1], X[2, 2] = np.nan, np.nan, np.nan
    mixture.predict = lambda X: np.arange(len(X)) % 3
    display = MixtureDisplay.from_estimator(mixture, X, features=(0, 2)).plot()
    kept = [1, *range(3, 10)]
    np.testing.assert_array_equal(display.points_.get_offsets(), X[kept][:, [0, 2]])
    np.testing.assert_array_equal(display.labels, np.arange(10)[kept] % 3)


@pytest.mark.parametrize("n_components", [1, 15, 40])
def test_any_number_of_components_has_colours_of_its_own(n_components, rng):
    mixture = SimpleNamespace(
        covariance_type="tied",
        weights_=np.full(n_components, 1.0 / n_components),
        means_=rng.normal(size=(n_components, 2)),
        covariances_=np.eye(2),
    )
    display = MixtureDisplay.from_estimator(mixture).plot()
    colors = display.ellipses_[0].get_colors()
    assert len(np.unique(colors, axis=0)) == n_components
    curves = MixtureDisplay.from_estimator(mixture, features=(1,)).plot().lines_
    assert len({tuple(line.get_color()) for line in curves}) == n_components


def test_plot_draws_into_the_given_axes(rng):
    figure, axes = plt.subplots(1, 2)
    display = MixtureDisplay.from_estimator(*two_dimensional(rng))
    assert display.plot(ax=axes[1]) is display
    assert display.ax_ is axes[1]
    assert display.figure_ is figure
    assert not axes[0].has_data()
    assert plt.get_fignums() == [figure.number]


def test_no_ellipses_where_only_contours_were_asked_for(rng):
    mixture, _ = two_dimensional(rng)
    display = MixtureDisplay.from_estimator(mixture, levels=(), log_density=True).plot()
    assert display.ellipses_ == []
    assert display.ax_.get_legend() is None
    assert display.surface_ is not None


def test_never_fits_and_writes_nothing(rng, monkeypatch):
    mixture, X = two_dimensional(rng)
    X.setflags(write=False)
    for value in (mixture.weights_, mixture.means_, mixture.covariances_):
        value.setflags(write=False)
    before = dict(vars(mixture))
    monkeypatch.setattr(GaussianMixture, "fit", lambda *_, **__: pytest.fail("fit was called"))
    MixtureDisplay.from_estimator(mixture, X, log_density=True, grid_resolution=5).plot()
    assert vars(mixture) == before


# --------------------------------------------------------------------------------------
# the selection curve

SCORES = {"full": [5.0, 2.0, np.nan], "diag": [7.0, 6.0, 3.0]}


def made_up_search():
    """Candidates in no order."""
    candidates = [(k, name, SCORES[name][k - 1]) for name in SCORES for k in (3, 1, 2)]
    sizes, types, scores = zip(*candidates, strict=True)
    return SimpleNamespace(
        results_={
            "n_components": np.array(sizes),
            "covariance_type": np.array(types),
            "aic": np.array(scores),
            "bic": np.zeros(6),
        },
        criterion="aic",
        best_index_=candidates.index((2, "full", 2.0)),
    )


def test_one_line_for_each_covariance_type():
    display = MixtureDisplay.from_selection(made_up_search()).plot(linewidth=3.0)
    drawn = {line.get_label(): line for line in display.lines_}
    assert list(drawn) == ["full", "diag"]
    for name, scores in SCORES.items():
        np.testing.assert_array_equal(drawn[name].get_xdata(), [1, 2, 3])
        np.testing.assert_array_equal(drawn[name].get_ydata(), scores)
        assert drawn[name].get_linewidth() == 3.0
    np.testing.assert_array_equal(display.best_.get_offsets(), [[2.0, 2.0]])
    assert display.best_.get_label() == "best: 2 full"
    assert display.ax_.get_ylabel() == "AIC (lower is better)"
    assert display.ax_.get_xlabel() == "number of components"
    assert display.ellipses is display.densities is None


# --------------------------------------------------------------------------------------
# errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"There are 3 features.*features=\(i, j\)"),
        ({"features": (0, 5)}, "features has 5, but there are 3"),
        ({"features": ("age",)}, "none of"),
        ({"features": (0, 1, 2)}, "one or two different"),
        ({"features": (1, 1)}, "one or two different"),
        ({"features": (0,), "feature_names": ["a"]}, "feature_names has 1 names"),
        ({"features": (0, 1), "level_unit": "sigma"}, "level_unit must be 'mass' or 'std'"),
        ({"features": (0, 1), "levels": (0.5, 1.0)}, r"shares in \(0, 1\)"),
        ({"features": (0, 1), "levels": (0.0,)}, r"shares in \(0, 1\)"),
        ({"features": (0, 1), "levels": 0.5}, "must be a sequence"),
        ({"features": (0, 1), "levels": (-1,), "level_unit": "std"}, "positive and finite"),
        ({"features": (0, 1), "levels": (np.nan,), "level_unit": "std"}, "positive and finite"),
        ({"features": (0, 1), "X": np.zeros((4, 2))}, "X has 2 features.*fitted on 3"),
    ],
)
def test_wrong_choices_are_named(rng, options, message):
    mixture, _ = made_up("full", 3, rng)
    with pytest.raises(ValueError, match=message):
        MixtureDisplay.from_estimator(mixture, **options)


def test_what_is_not_fitted_is_named(rng):
    with pytest.raises(AttributeError, match=r"GaussianMixture has no weights_.*fitted"):
        MixtureDisplay.from_estimator(GaussianMixture())
    with pytest.raises(AttributeError, match="has no results_; fit it first"):
        MixtureDisplay.from_selection(SimpleNamespace(criterion="bic"))
    mixture, _ = made_up("full", 2, rng)
    mixture.covariance_type = "banded"
    with pytest.raises(ValueError, match="covariance_type='banded' is unknown"):
        MixtureDisplay.from_estimator(mixture)


def test_missing_matplotlib_is_named(rng, monkeypatch):
    display = MixtureDisplay.from_estimator(*two_dimensional(rng))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"MixtureDisplay needs matplotlib.*skmmd\[plot\]"):
        display.plot()
