"""DomainDisplay: weights, domains before and after, and the overlap, by hand and as drawn."""

import sys
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas
import polars
import pytest
from matplotlib.colors import to_rgba
from scipy import sparse
from scipy.stats import ks_2samp
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmmd
from skmmd.inspection import DomainDisplay
from skmmd.inspection._axes import FIRST, REST
from skmmd.transfer import (
    JointDistributionAdaptation,
    KernelMeanMatching,
    TransferClassifier,
    TransferComponentAnalysis,
    stack_domains,
)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def shifted(rng, n_source=40, n_target=30, n_features=2):
    return (
        rng.normal(size=(n_source, n_features)),
        1.0 + 0.7 * rng.normal(size=(n_target, n_features)),
    )


def interleaved(rng, **sizes):
    Xs, Xt = shifted(rng, **sizes)
    X, y, sample_domain = stack_domains(Xs, np.arange(len(Xs)) % 2, Xt)
    order = rng.permutation(len(X))
    return X[order], y[order], sample_domain[order]


def legend(display):
    return [text.get_text() for text in display.legend_.get_texts()]


# --------------------------------------------------------------------------------------
# what it holds


def test_two_columns_are_drawn_as_they_are(rng):
    Xs, Xt = shifted(rng)
    display = DomainDisplay.from_domains(Xs, Xt)
    np.testing.assert_array_equal(display.source_before, Xs)
    np.testing.assert_array_equal(display.target_before, Xt)
    assert display.names_before == ["feature 0", "feature 1"]
    assert display.source_after is display.target_after is display.weights is None
    assert display.effective_sample_size is display.overlap_after is None


@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
def test_more_columns_are_the_components_of_both_domains(rng, container):
    Xs, Xt = shifted(rng, n_features=6)
    Zs, Zt = shifted(rng, n_features=4)
    display = DomainDisplay.from_domains(
        container(Xs), container(Xt), after=(container(Zs), container(Zt))
    )
    for rows, source, target in (
        (np.vstack([Xs, Xt]), display.source_before, display.target_before),
        (np.vstack([Zs, Zt]), display.source_after, display.target_after),
    ):
        expected = PCA(2).fit_transform(rows)
        found = np.vstack([source, target])
        np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-6)
    assert display.names_before[0].startswith("principal component 0 (")
    dense = DomainDisplay.from_domains(Xs, Xt)
    np.testing.assert_allclose(display.scores_before[0], dense.scores_before[0], rtol=1e-9)


@pytest.mark.parametrize("weights", [[1.0] * 40, [1.0, 0.0] * 20, list(range(1, 41))])
def test_effective_sample_size(rng, weights):
    display = DomainDisplay.from_domains(*shifted(rng), weights)
    expected = sum(weights) ** 2 / sum(weight**2 for weight in weights)
    assert display.effective_sample_size == pytest.approx(expected)
    np.testing.assert_array_equal(display.weights, weights)


def test_the_overlap_is_one_minus_the_kolmogorov_smirnov_statistic(rng):
    for columns in (1, 3):
        Xs, Xt = shifted(rng, n_features=columns)
        weights = rng.integers(0, 4, len(Xs))
        display = DomainDisplay.from_domains(Xs, Xt, weights)
        source, target = display.scores_before
        assert display.overlap_before == pytest.approx(1.0 - ks_2samp(source, target).statistic)
        # A weight is so many copies.
        copies = np.repeat(source, weights)
        assert display.overlap_after == pytest.approx(1.0 - ks_2samp(copies, target).statistic)
        if columns == 1:
            np.testing.assert_array_equal(source, Xs[:, 0])


def test_ties_and_ends_of_the_overlap():
    def overlap(source, target, weights=None):
        rows = [np.asarray(values, dtype=float)[:, None] for values in (source, target)]
        return DomainDisplay.from_domains(*rows, weights)

    assert overlap([1, 2, 3], [1, 2, 3]).overlap_before == pytest.approx(1.0)
    assert overlap([1, 1, 1, 1], [1, 1]).overlap_before == pytest.approx(1.0)
    assert overlap([1, 2], [3, 4]).overlap_before == pytest.approx(0.0)
    assert overlap([1, 1, 2, 2], [1, 2, 2, 2]).overlap_before == pytest.approx(0.75)
    assert overlap([1, 2], [1, 2, 2, 2], [1, 3]).overlap_after == pytest.approx(1.0)


def test_the_score_is_the_witness_of_the_other_rows(rng):
    """With two folds known by hand: a domain of two rows makes two folds."""
    Xs, Xt = shifted(rng, n_source=2, n_target=2, n_features=3)
    display = DomainDisplay.from_domains(Xs, Xt)
    rows = np.vstack([Xs, Xt])
    squares = ((rows[:, None] - rows) ** 2).sum(axis=-1)
    distances = np.sqrt(squares[np.triu_indices(4, 1)])
    kernel = np.exp(-squares / (2.0 * np.median(distances) ** 2))
    found = np.concatenate(display.scores_before)
    for row in range(4):
        own = row // 2
        other = own * 2 + 1 - row % 2
        candidates = []
        for across in (2 * (1 - own), 2 * (1 - own) + 1):
            near, far = (other, across) if own == 0 else (across, other)
            candidates.append(kernel[row, near] - kernel[row, far])
        assert np.abs(found[row] - np.array(candidates)).min() < 1e-12


def test_equal_domains_overlap_though_columns_are_many(rng):
    overlaps = [
        DomainDisplay.from_domains(*rng.normal(size=(2, 60, 100))).overlap_before for _ in range(10)
    ]
    # 1 minus the mean of Kolmogorov's distribution.
    expected = 1.0 - 0.8687 * np.sqrt(2.0 / 60.0)
    # Its standard deviation is 0.26 sqrt(2 / 60), of the mean of ten 0.015.
    assert np.mean(overlaps) == pytest.approx(expected, abs=0.06)
    apart = DomainDisplay.from_domains(rng.normal(size=(60, 100)), 2.0 + rng.normal(size=(60, 100)))
    assert apart.overlap_before < 0.05


def test_large_samples_are_scored_by_some_rows(rng):
    Xs, Xt = shifted(rng, n_source=6000, n_target=5000)
    display = DomainDisplay.from_domains(Xs, Xt)
    fewer = DomainDisplay.from_domains(Xs[:800], Xt[:800])
    assert display.overlap_before == pytest.approx(fewer.overlap_before, abs=0.06)
    again = DomainDisplay.from_domains(Xs, Xt)
    np.testing.assert_array_equal(display.scores_before[0], again.scores_before[0])


def test_rows_that_are_all_the_same(rng):
    display = DomainDisplay.from_domains(np.ones((5, 3)), np.ones((4, 3)))
    assert display.overlap_before == pytest.approx(1.0)
    for kind in ("domains", "overlap"):
        display.plot(kind).figure_.draw_without_rendering()


# --------------------------------------------------------------------------------------
# estimators


def test_weights_of_kernel_mean_matching(rng):
    X, _, sample_domain = interleaved(rng)
    matching = KernelMeanMatching().fit(X, sample_domain=sample_domain)
    display = DomainDisplay.from_estimator(matching, X, sample_domain)
    np.testing.assert_allclose(display.weights, matching.weights_, rtol=1e-4, atol=1e-4)
    assert display.effective_sample_size == pytest.approx(matching.effective_sample_size_, rel=1e-3)
    np.testing.assert_array_equal(display.source_before, X[sample_domain > 0])
    np.testing.assert_array_equal(display.target_before, X[sample_domain < 0])
    assert display.source_after is None
    assert display.overlap_before < display.overlap_after
    # Other rows than those of the fit.
    other, _, domains = interleaved(rng, n_source=7, n_target=5)
    display = DomainDisplay.from_estimator(matching, other, domains)
    expected = matching.predict_weights(other[domains > 0])
    np.testing.assert_array_equal(display.weights, expected)
    # Without a weight function, those of the fit.
    matching = KernelMeanMatching(alpha=0.0, max_weight=5.0).fit(X, sample_domain=sample_domain)
    display = DomainDisplay.from_estimator(matching, X, sample_domain)
    np.testing.assert_array_equal(display.weights, matching.weights_)
    with pytest.raises(ValueError, match="has weights of 40 source rows, but X has 7"):
        DomainDisplay.from_estimator(matching, other, domains)


def test_source_rows_alone_have_weights(rng):
    X, _, sample_domain = interleaved(rng)
    matching = KernelMeanMatching().fit(X, sample_domain=sample_domain)
    display = DomainDisplay.from_estimator(matching, X[:9])
    np.testing.assert_array_equal(display.weights, matching.predict_weights(X[:9]))
    display.plot("weights")
    assert display.overlap_before is display.overlap_after is None
    display.plot("domains")
    assert legend(display) == ["source (9)"]
    with pytest.raises(ValueError, match="needs target rows"):
        display.plot("overlap")


def test_weights_of_a_meta_estimator(rng):
    X, y, sample_domain = interleaved(rng)
    model = TransferClassifier(LogisticRegression(), KernelMeanMatching())
    model.fit(X, y, sample_domain=sample_domain)
    display = DomainDisplay.from_estimator(model, X, sample_domain)
    np.testing.assert_allclose(display.weights, model.weights_, rtol=1e-4, atol=1e-4)
    model = TransferClassifier(LogisticRegression()).fit(X, y, sample_domain=sample_domain)
    with pytest.raises(AttributeError, match="neither weights of source rows nor transform"):
        DomainDisplay.from_estimator(model, X, sample_domain)


@pytest.mark.parametrize(
    "model",
    [TransferComponentAnalysis(3), JointDistributionAdaptation(2, max_iter=2)],
    ids=["tca", "jda"],
)
def test_maps(rng, model):
    X, y, sample_domain = interleaved(rng, n_features=4)
    model.fit(X, y, sample_domain=sample_domain)
    display = DomainDisplay.from_estimator(model, X, sample_domain)
    Z = model.transform(X)
    expected = Z if Z.shape[1] == 2 else PCA(2).fit_transform(Z)
    np.testing.assert_allclose(
        np.abs(display.source_after), np.abs(expected[sample_domain > 0]), atol=1e-9
    )
    np.testing.assert_allclose(
        np.abs(display.target_after), np.abs(expected[sample_domain < 0]), atol=1e-9
    )
    assert display.weights is None
    assert display.overlap_after == pytest.approx(
        DomainDisplay.from_domains(Z[sample_domain > 0], Z[sample_domain < 0]).overlap_before,
        abs=0.1,  # rows fall into other folds
    )
    assert [axes.get_title()[:6] for axes in display.plot().axes_] == ["before", "after "]


def test_pipelines_map_then_weigh(rng):
    X, y, sample_domain = interleaved(rng)
    X = X * [1.0, 50.0]
    scaled = StandardScaler().fit_transform(X)
    weights = KernelMeanMatching().fit(scaled, sample_domain=sample_domain).weights_
    for last, name in (
        (KernelMeanMatching(), "kernelmeanmatching"),
        (TransferClassifier(LogisticRegression(), KernelMeanMatching()), "transferclassifier"),
    ):
        model = make_pipeline(StandardScaler(), last)
        model.fit(X, y, **{f"{name}__sample_domain": sample_domain})
        display = DomainDisplay.from_estimator(model, X, sample_domain)
        np.testing.assert_allclose(display.weights, weights, rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(display.source_before, X[sample_domain > 0])
        np.testing.assert_array_equal(display.source_after, scaled[sample_domain > 0])
    # Without weights only the map is left, whole where the last step maps.
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    display = DomainDisplay.from_estimator(model, X, sample_domain)
    assert display.weights is None
    np.testing.assert_array_equal(display.target_after, scaled[sample_domain < 0])
    model = make_pipeline(StandardScaler(), PCA(2)).fit(X)
    display = DomainDisplay.from_estimator(model, X, sample_domain)
    np.testing.assert_array_equal(display.target_after, model.transform(X)[sample_domain < 0])


@pytest.mark.parametrize("frame", [pandas.DataFrame, polars.DataFrame])
def test_data_frames_name_the_axes(rng, frame):
    X, y, sample_domain = interleaved(rng)
    given = frame({"width": X[:, 0], "length": X[:, 1]})
    matching = KernelMeanMatching().fit(given, sample_domain=sample_domain)
    meta = TransferClassifier(LogisticRegression(), KernelMeanMatching())
    meta.fit(given, y, sample_domain=sample_domain)
    for model in (matching, meta):
        display = DomainDisplay.from_estimator(model, given, sample_domain).plot("domains")
        np.testing.assert_allclose(display.weights, matching.weights_, rtol=1e-4, atol=1e-4)
        assert [axes.get_xlabel() for axes in display.axes_] == ["width", "width"]
        assert [axes.get_ylabel() for axes in display.axes_] == ["length", "length"]


# --------------------------------------------------------------------------------------
# what is drawn


def test_histogram_of_weights(rng):
    weights = rng.gamma(1.0, size=40)
    display = DomainDisplay.from_domains(*shifted(rng), weights).plot(color="green")
    ((bars,),) = display.bars_
    assert sum(bar.get_height() for bar in bars) == 40
    assert bars[0].get_facecolor() == to_rgba("green")
    assert bars[0].get_x() == pytest.approx(weights.min())
    size = display.effective_sample_size
    assert display.ax_.get_title() == f"effective sample size {size:.0f} of 40 ({size / 40:.0%})"
    (line,) = display.ax_.get_lines()
    assert line.get_xdata()[0] == pytest.approx(weights.mean())
    assert display.axes_ == [display.ax_]
    assert display.points_ == []
    assert display.legend_ is None


def test_points_are_as_large_as_their_weights(rng):
    Xs, Xt = shifted(rng)
    weights = rng.integers(0, 5, 40).astype(float)
    display = DomainDisplay.from_domains(Xs, Xt, weights).plot("domains")
    for panel in display.points_:
        np.testing.assert_array_equal(panel[0].get_offsets(), Xs)
        np.testing.assert_array_equal(panel[1].get_offsets(), Xt)
        assert tuple(panel[0].get_facecolors()[0][:3]) == to_rgba(FIRST)[:3]
        assert tuple(panel[1].get_facecolors()[0][:3]) == to_rgba(REST)[:3]
    (before, _), (after, target) = display.points_
    assert len(np.unique(before.get_sizes())) == 1
    unit = target.get_sizes()[0]
    np.testing.assert_allclose(after.get_sizes(), unit * weights / weights.mean())
    assert legend(display) == ["source (40)", "target (30)"]
    assert display.bars_ == []
    # The same rows in both panels: they compare by eye.
    left, right = display.axes_
    assert left.get_xlim() == right.get_xlim()
    assert left.get_ylim() == right.get_ylim()
    overlaps = display.overlap_before, display.overlap_after
    assert left.get_title() == f"before (overlap {overlaps[0]:.2f})"
    assert right.get_title() == f"after, weighted (overlap {overlaps[1]:.2f})"


def test_histograms_of_the_overlap(rng):
    Xs, Xt = shifted(rng)
    weights = rng.gamma(1.0, size=40)
    display = DomainDisplay.from_domains(Xs, Xt, weights).plot("overlap")
    assert len(display.bars_) == len(display.axes_) == 2
    source, target = display.scores_before
    edges = [bar.get_x() for bar in display.bars_[0][0]]
    edges.append(display.bars_[0][0][-1].get_x() + display.bars_[0][0][-1].get_width())
    for panel, counted in zip(display.bars_, (None, weights), strict=True):
        for bars, scores, weight in zip(panel, (source, target), (counted, None), strict=True):
            expected, _ = np.histogram(scores, edges, weights=weight, density=True)
            np.testing.assert_allclose([bar.get_height() for bar in bars], expected, atol=1e-9)
    assert display.axes_[0].get_xlim() == display.axes_[1].get_xlim()
    assert display.axes_[0].get_xlabel() == "MMD witness (> 0: more like the source)"
    single = DomainDisplay.from_domains(Xs[:, :1], Xt[:, :1]).plot("overlap")
    assert single.ax_.get_xlabel() == "feature 0"
    assert single.ax_.get_title() == f"overlap {single.overlap_before:.2f}"


def test_one_column_has_a_band_for_each_domain(rng):
    Xs, Xt = shifted(rng, n_features=1)
    display = DomainDisplay.from_domains(Xs, Xt).plot("domains")
    (panel,) = display.points_
    heights = [points.get_offsets()[:, 1] for points in panel]
    np.testing.assert_array_equal(panel[0].get_offsets()[:, 0], Xs[:, 0])
    assert heights[0].min() > heights[1].max()


@pytest.mark.parametrize("kind", ["domains", "overlap"])
def test_the_legend_hides_nothing(rng, kind):
    display = DomainDisplay.from_domains(*shifted(rng), np.ones(40)).plot(kind)
    display.figure_.draw_without_rendering()
    assert display.legend_.get_window_extent().x0 >= display.axes_[-1].get_window_extent().x1
    assert display.legend_.get_window_extent().x1 <= display.figure_.bbox.x1


def test_auto_draws_weights_unless_there_is_a_map(rng):
    Xs, Xt = shifted(rng)
    weights = np.ones(40)
    assert DomainDisplay.from_domains(Xs, Xt, weights).plot().bars_
    assert DomainDisplay.from_domains(Xs, Xt).plot().points_
    assert DomainDisplay.from_domains(Xs, Xt, weights, after=(Xs, Xt)).plot().points_


def test_names_are_no_formulas(rng):
    Xs, Xt = (pandas.DataFrame(rows, columns=["$x_{", "y"]) for rows in shifted(rng))
    display = DomainDisplay.from_domains(Xs, Xt, np.ones(40)).plot("domains")
    display.figure_.draw_without_rendering()


# --------------------------------------------------------------------------------------
# axes


def test_plot_draws_into_the_given_axes(rng):
    figure, axes = plt.subplots(2, 2)
    display = DomainDisplay.from_domains(*shifted(rng), np.ones(40))
    assert display.plot("domains", axes[0]) is display
    assert display.axes_ == list(axes[0])
    assert display.figure_ is figure
    display.plot("weights", ax=axes[1, 0])
    assert display.axes_ == [axes[1, 0]]
    assert not axes[1, 1].has_data()
    display.plot("overlap", ax=axes[1, 1])
    assert len(display.axes_) == 2
    assert plt.get_fignums() == [figure.number]
    with pytest.raises(ValueError, match="ax has 4 axes"):
        display.plot("overlap", axes)


def test_never_fits_and_writes_nothing(rng, monkeypatch):
    X, _, sample_domain = interleaved(rng)
    model = KernelMeanMatching().fit(X, sample_domain=sample_domain)
    for given in (X, sample_domain):
        given.setflags(write=False)
    before = dict(vars(model))
    monkeypatch.setattr(KernelMeanMatching, "fit", lambda *_, **__: pytest.fail("fit was called"))
    display = DomainDisplay.from_estimator(model, X, sample_domain)
    for kind in ("weights", "domains", "overlap"):
        display.plot(kind)
    assert vars(model) == before


def test_the_display_keeps_what_it_was_given(rng):
    Xs, Xt = shifted(rng)
    weights = np.ones(40)
    display = DomainDisplay.from_domains(Xs, Xt, weights)
    held = display.source_before.copy()
    Xs[:], weights[:] = 0.0, 0.0
    np.testing.assert_array_equal(display.source_before, held)
    np.testing.assert_array_equal(display.weights, np.ones(40))


def test_matplotlib_is_imported_when_plotting(rng, monkeypatch):
    display = DomainDisplay.from_domains(*shifted(rng))
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install skmmd\[plot\]"):
        display.plot()


def test_the_face_exports_it():
    assert skmmd.DomainDisplay is DomainDisplay


# --------------------------------------------------------------------------------------
# errors


def test_what_does_not_fit(rng):
    Xs, Xt = shifted(rng)
    X, sample_domain = np.vstack([Xs, Xt]), np.repeat([1, -1], [40, 30])
    model = SimpleNamespace(transform=lambda X: X)
    for wrong, message in (
        (sample_domain[1:], r"shape \(69,\), but X has 70 rows"),
        (np.where(np.arange(70) == 3, np.nan, sample_domain), "sample_domain has NaN"),
        (np.ones(70), "marks all rows as one domain"),
    ):
        with pytest.raises(ValueError, match=message):
            DomainDisplay.from_estimator(model, X, wrong)
    with pytest.raises(ValueError, match="Xs has 2 features, but Xt has 1"):
        DomainDisplay.from_domains(Xs, Xt[:, :1])
    with pytest.raises(ValueError, match="Xs and Xt have 40 and 30 rows, but after a map 30"):
        DomainDisplay.from_domains(Xs, Xt, after=(Xt, Xs))
    with pytest.raises(ValueError, match="after must be two samples"):
        DomainDisplay.from_domains(Xs, Xt, after=X)
    with pytest.raises(ValueError, match="weights has negative values"):
        DomainDisplay.from_domains(Xs, Xt, -np.ones(40))
    with pytest.raises(ValueError, match="zero"):
        DomainDisplay.from_domains(Xs, Xt, np.zeros(40))
    nothing = SimpleNamespace(weights_=np.zeros(40))
    with pytest.raises(ValueError, match="All weights are 0"):
        DomainDisplay.from_estimator(nothing, X, sample_domain)
    with pytest.raises(AttributeError, match="neither weights of source rows nor transform"):
        DomainDisplay.from_estimator(LogisticRegression(), X, sample_domain)
    display = DomainDisplay.from_domains(Xs, Xt)
    with pytest.raises(ValueError, match="kind must be one of"):
        display.plot("scatter")
    with pytest.raises(ValueError, match="no weights to draw"):
        display.plot("weights")
