"""MMDTestDisplay: what is drawn is what the result holds."""

import math
import sys
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pytest

from skmmd.inspection import MMDTestDisplay
from skmmd.two_sample import MMDDriftDetector, MMDTest, mmd_test


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def samples(rng):
    return rng.normal(size=(40, 2)), rng.normal(size=(30, 2)) + 0.8


@pytest.fixture
def result(samples):
    return mmd_test(*samples, n_permutations=199, random_state=0)


def bars_of(display):
    edges = [bar.get_x() for bar in display.bars_] + [
        display.bars_[-1].get_x() + display.bars_[-1].get_width()
    ]
    return np.array([bar.get_height() for bar in display.bars_]), np.array(edges)


def test_histogram_counts_the_null_distribution(result):
    display = MMDTestDisplay.from_result(result).plot()
    heights, edges = bars_of(display)
    assert heights.sum() == 199
    # The smallest and the largest value lie on the outer edges, as far as rounding lets them.
    edges = [-np.inf, *edges[1:-1], np.inf]
    counted = [
        sum(low <= value < high for value in result.null_distribution)
        for low, high in pairwise(edges)
    ]
    np.testing.assert_array_equal(heights, counted)


def test_lines_stand_at_the_statistic_and_the_critical_value(result):
    display = MMDTestDisplay.from_result(result).plot()
    assert set(display.statistic_line_.get_xdata()) == {result.statistic}
    assert set(display.critical_line_.get_xdata()) == {result.threshold}
    legend = " ".join(text.get_text() for text in display.ax_.get_legend().get_texts())
    assert f"p = {result.pvalue:.3g}" in legend
    assert "at 0.05" in legend
    assert "199 labelings" in legend


def test_options_reach_the_histogram(result):
    display = MMDTestDisplay.from_result(result).plot(bins=7, color="green")
    assert len(display.bars_) == 7
    assert display.bars_[0].get_facecolor()[:3] == pytest.approx((0.0, 128 / 255, 0.0))


def test_plot_draws_into_the_given_axes(result):
    figure, axes = plt.subplots(1, 2)
    display = MMDTestDisplay.from_result(result)
    assert display.plot(ax=axes[1]) is display
    assert display.ax_ is axes[1]
    assert display.figure_ is figure
    assert not axes[0].has_data()
    assert plt.get_fignums() == [figure.number]


def test_the_method_of_the_result_draws_the_same(result):
    display = result.plot()
    assert isinstance(display, MMDTestDisplay)
    assert bars_of(display)[0].sum() == 199


def test_no_line_where_no_statistic_can_be_significant():
    # The smallest p-value of ten permutations is 1/11.
    result = mmd_test([0.0, 1.0, 2.0], [5.0, 6.0, 7.0], method="permutation", n_permutations=10)
    assert math.isinf(result.threshold)
    display = MMDTestDisplay.from_result(result).plot()
    assert display.critical_line_ is None
    assert bars_of(display)[0].sum() == 10


def test_equal_rows_can_be_drawn():
    result = mmd_test(np.ones(20), np.ones(20), n_permutations=99, random_state=0)
    heights, _ = bars_of(MMDTestDisplay.from_result(result).plot())
    assert heights.sum() == 99


def test_asymptotic_draws_the_standard_normal_density(samples):
    result = mmd_test(*samples, method="asymptotic", random_state=0)
    display = MMDTestDisplay.from_result(result).plot()
    assert display.bars_ is None
    x, y = display.curve_.get_data()
    np.testing.assert_allclose(y, [math.exp(-v * v / 2) / math.sqrt(2 * math.pi) for v in x])
    assert x[0] < result.statistic < x[-1]
    # The quantile of the normal distribution at level .05.
    assert display.critical_line_.get_xdata()[0] == pytest.approx(1.6448536269514722)


def test_a_result_without_permutations_says_what_to_do(samples):
    result = mmd_test(*samples, n_permutations=0)
    with pytest.raises(ValueError, match="n_permutations=999"):
        MMDTestDisplay.from_result(result)


def test_from_estimator_takes_the_result_and_never_fits(samples, monkeypatch):
    X = np.concatenate(samples)
    test = MMDTest(n_permutations=99, random_state=0).fit(X, np.repeat([0, 1], [40, 30]))
    monkeypatch.setattr(MMDTest, "fit", lambda *_, **__: pytest.fail("fit was called"))
    display = MMDTestDisplay.from_estimator(test)
    assert display.statistic == test.statistic_
    assert display.pvalue == test.pvalue_
    np.testing.assert_array_equal(display.null_distribution, test.null_distribution_)
    with pytest.raises(ValueError, match="X must be None"):
        MMDTestDisplay.from_estimator(test, X)


def test_from_estimator_tests_the_batch_of_a_drift_detector(samples):
    detector = MMDDriftDetector(n_permutations=99, random_state=0).fit(samples[0])
    display = MMDTestDisplay.from_estimator(detector, samples[1])
    expected = mmd_test(*samples, n_permutations=0).statistic
    assert display.statistic == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match="pass the batch"):
        MMDTestDisplay.from_estimator(detector)


def test_an_estimator_that_is_not_fitted():
    with pytest.raises(AttributeError, match="fit it first"):
        MMDTestDisplay.from_estimator(MMDTest())


def test_missing_matplotlib_is_named(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"MMDTestDisplay needs matplotlib.*skmmd\[plot\]"):
        MMDTestDisplay.from_result(result).plot()
