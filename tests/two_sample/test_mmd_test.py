"""`mmd_test` and its result."""

import copy
import dataclasses
import math
import pickle

import numpy as np
import pytest
from scipy import stats

from skmmd.two_sample import MMDTestResult, mmd, mmd_test
from tests import reference

KERNELS = ("rbf", "laplacian", "imq", "rq", "linear", "polynomial", "energy")


@pytest.fixture
def pair(rng):
    return rng.normal(size=(21, 2)), rng.normal(size=(26, 2)) + 0.4


def run(pair, **options):
    return mmd_test(*pair, **{"n_permutations": 99, "random_state": 0, **options})


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
@pytest.mark.parametrize("method", ["permutation", "binned"])
def test_statistic_of_one_kernel_is_mmd(pair, kernel, estimator, method):
    result = run(pair, kernel=kernel, gamma="median", estimator=estimator, method=method)
    expected = mmd(*pair, kernel=kernel, gamma="median", estimator=estimator)
    assert result.statistic == pytest.approx(expected, rel=1e-9)
    assert np.atleast_1d(result.mmd2) == pytest.approx(expected, rel=1e-9)


def test_one_gamma_in_an_array_is_one_gamma(pair):
    assert run(pair, gamma=[0.5]).statistic == pytest.approx(mmd(*pair, gamma=0.5), rel=1e-10)


def test_gammas_keep_their_order(pair):
    gammas = [2.0, 0.1, 0.7]
    result = run(pair, gamma=gammas)
    np.testing.assert_array_equal(result.gamma, gammas)
    np.testing.assert_allclose(result.mmd2, [mmd(*pair, gamma=g) for g in gammas], rtol=1e-9)
    Z, labels = np.vstack(pair), np.repeat([0, 1], [21, 26])
    grams = [reference.gram(Z, Z, "rbf", g) for g in gammas]
    expected = reference.aggregated_statistic(grams, labels)
    assert result.statistic == pytest.approx(expected, rel=1e-9)


def test_aggregate_is_the_default_and_wide(pair):
    result = run(pair)
    assert result.gamma.ndim == 1
    assert 4 <= len(result.gamma) <= 14
    np.testing.assert_array_equal(result.gamma[1:], 2 * result.gamma[:-1])
    assert len(result.mmd2) == len(result.gamma)


@pytest.mark.parametrize("kernel", ["linear", "energy"])
def test_aggregate_of_a_kernel_without_gamma_is_one_kernel(pair, kernel):
    result = run(pair, kernel=kernel)
    assert result.statistic == pytest.approx(mmd(*pair, kernel=kernel), rel=1e-9)
    assert np.size(result.mmd2) == 1


def test_the_fields(pair):
    result = run(pair, alpha=0.1)
    assert isinstance(result, MMDTestResult)
    assert result.method == "permutation"
    assert result.n_permutations == 99
    assert tuple(result.n_samples) == (21, 26)
    assert result.alpha == 0.1
    assert result.rejected == (result.pvalue <= 0.1)
    assert result.threshold == result.critical_value(0.1)
    for value in (result.statistic, result.pvalue, result.threshold):
        assert type(value) is float
    assert type(result.rejected) is bool


def test_it_unpacks(pair):
    result = run(pair)
    statistic, pvalue = result
    assert (statistic, pvalue) == (result.statistic, result.pvalue)


def test_it_is_frozen(pair):
    result = run(pair)
    assert dataclasses.is_dataclass(result)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.pvalue = 0.0


def test_repr_is_short_and_tells_what_matters(pair):
    shown = repr(run(pair))
    assert shown.startswith("MMDTestResult(")
    assert len(shown) < 300
    assert "pvalue=" in shown
    assert "statistic=" in shown
    assert "\n" not in shown


def test_copies(pair):
    result = run(pair)
    Z = np.vstack(pair)[:5]
    for copied in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
        assert tuple(copied) == tuple(result)
        np.testing.assert_array_equal(copied.null_distribution, result.null_distribution)
        np.testing.assert_array_equal(copied.witness(Z), result.witness(Z))


@pytest.mark.parametrize("method", ["exact", "permutation", "binned", "nystroem"])
@pytest.mark.parametrize("shift", [0.0, 0.5, 3.0])
def test_critical_values_and_pvalues_tell_the_same(method, shift, rng):
    sizes = (4, 5) if method == "exact" else (20, 25)
    X, Y = (rng.normal(size=(n, 2)) + shift * i for i, n in enumerate(sizes))
    result = mmd_test(X, Y, method=method, n_permutations=99, random_state=0)
    for alpha in (0.004, 0.0101, 0.05, 0.0501, 0.1, 0.33, 0.5, 0.9, 0.99):
        rejected = result.pvalue <= alpha
        assert rejected == (result.statistic > result.critical_value(alpha)), alpha


def test_no_critical_value_below_the_smallest_pvalue(pair):
    """With 99 permutations no statistic reaches p <= .005."""
    assert run(pair).critical_value(0.005) == math.inf


def test_critical_values_fall_with_alpha(pair):
    result = run(pair)
    values = [result.critical_value(alpha) for alpha in np.linspace(0.01, 0.99, 50)]
    assert np.all(np.diff(values) <= 0)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 2.0, np.nan])
def test_bad_levels(pair, alpha):
    with pytest.raises(ValueError, match="alpha"):
        run(pair, alpha=alpha)
    with pytest.raises(ValueError, match="alpha"):
        run(pair).critical_value(alpha)


@pytest.mark.parametrize("gamma", ["median", "aggregate", 0.5, [0.5, 4.0]])
@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "energy"])
def test_witness(pair, gamma, kernel, rng):
    result = run(pair, kernel=kernel, gamma=gamma)
    Z = rng.normal(size=(6, 2))
    labels = np.repeat([0, 1], [21, 26])
    if kernel == "energy":
        best = None
    elif np.size(result.gamma) == 1:
        best = float(np.squeeze(result.gamma))
    else:
        norms = [
            reference.off_diagonal_norm(reference.gram(np.vstack(pair), np.vstack(pair), kernel, g))
            for g in result.gamma
        ]
        best = result.gamma[np.argmax(np.asarray(result.mmd2) / norms)]
    expected = reference.witness(Z, np.vstack(pair), labels, kernel, best)
    np.testing.assert_allclose(result.witness(Z), expected, rtol=1e-8, atol=1e-11)


def test_witness_checks_its_input(pair):
    result = run(pair)
    with pytest.raises(ValueError, match=r"(?i)features"):
        result.witness(np.ones((3, 5)))
    with pytest.raises(ValueError, match="NaN"):
        result.witness(np.full((3, 2), np.nan))


def test_mean_witness_difference_is_the_biased_mmd(pair):
    """mean w(x) - mean w(y) = MMD^2_b."""
    X, Y = pair
    result = run(pair, gamma=0.7, estimator="biased")
    difference = result.witness(X).mean() - result.witness(Y).mean()
    assert difference == pytest.approx(result.statistic, rel=1e-9)


def test_plot(pair):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    result = run(pair)
    display = result.plot()
    assert display.ax_ is not None
    _, ax = pyplot.subplots()
    assert result.plot(ax=ax).ax_ is ax
    pyplot.close("all")


@pytest.mark.parametrize("method", ["auto", "permutation", "binned", "nystroem"])
def test_no_permutations(pair, method):
    result = run(pair, gamma=0.5, n_permutations=0, method=method)
    assert math.isnan(result.pvalue)
    assert not result.rejected
    assert result.null_distribution.shape == (0,)
    assert result.n_permutations == 0
    if method != "nystroem":
        assert result.statistic == pytest.approx(mmd(*pair, gamma=0.5), rel=1e-9)


def test_positional_and_pathological_options(pair):
    with pytest.raises(TypeError):
        mmd_test(*pair, "rbf")
    for name, value in {
        "kernel": "cosine",
        "gamma": "auto",
        "estimator": "v",
        "method": "bootstrap",
        "n_permutations": -1,
        "n_bins": 0,
        "n_components": 0,
        "random_state": "a",
    }.items():
        with pytest.raises(ValueError, match=name):
            run(pair, **{name: value})


@pytest.mark.parametrize("gamma", [[], [1.0, -1.0], [1.0, np.nan], [[1.0], [2.0]], [0.0]])
def test_bad_arrays_of_gammas(pair, gamma):
    with pytest.raises(ValueError, match="gamma"):
        run(pair, gamma=gamma)


def test_verbose_shows_a_bar(pair, capsys):
    run(pair, verbose=1)
    assert capsys.readouterr().err != ""
    run(pair)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_forms_of_input(pair):
    expected = run(pair)
    for form in (lambda Z: Z.tolist(), np.asfortranarray, lambda Z: Z[::-1][::-1]):
        assert tuple(run([form(Z) for Z in pair])) == tuple(expected)
    one = [Z[:, 0] for Z in pair]
    assert tuple(run(one)) == tuple(run([Z[:, None] for Z in one]))


def test_a_difference_is_found_and_none_is_not(rng):
    X, Y = rng.normal(size=(60, 2)), rng.normal(size=(60, 2))
    assert mmd_test(X, Y + 1.0, random_state=0).pvalue <= 0.001
    assert mmd_test(X, Y, random_state=0).pvalue > 0.01


def test_agrees_with_scipy_on_the_direction_of_evidence(rng):
    """An energy test and a rank test see the same shift in one dimension."""
    x, y = rng.normal(size=50), rng.normal(size=50) + 0.9
    assert stats.mannwhitneyu(x, y).pvalue < 0.001
    assert mmd_test(x, y, kernel="energy", random_state=0).pvalue <= 0.002


def test_weights_of_the_statistic_do_not_leak_between_calls(pair):
    first = run(pair)
    run((pair[0] * 3, pair[1] - 4))
    assert tuple(run(pair)) == tuple(first)
