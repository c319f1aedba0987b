"""Which features differ: one-dimensional tests, shared permutations, max-T."""

import math

import numpy as np
import pytest

from skmmd.two_sample import MMDTest, mmd
from tests import reference


def grouped(sizes=(14, 16), d=4, seed=0, shift=1.5, shifted=(2,)):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(sizes)), sizes)
    X = rng.normal(size=(len(y), d))
    for feature in shifted:
        X[:, feature] += shift * y
    return X, y


def quick(**options):
    return MMDTest(**{"n_permutations": 199, "random_state": 0, **options})


def naive(X, y, estimator="unbiased", weights=None):
    """Return each feature's gamma, statistic and normalised statistic."""
    gammas, plain, normalised = [], [], []
    for column in X.T:
        gamma = reference.median_gamma(column, "laplacian", weights)
        K = reference.gram(column, column, "laplacian", gamma)
        gammas.append(gamma)
        plain.append(reference.statistic(K, y, estimator, weights))
        norm = reference.off_diagonal_norm(K, weights)
        normalised.append(plain[-1] / norm)
    return np.array(gammas), np.array(plain), np.array(normalised)


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
@pytest.mark.parametrize("sizes", [(14, 16), (6, 7, 8)])
def test_by_double_loops(estimator, sizes):
    X, y = grouped(sizes)
    scores = quick(estimator=estimator).fit(X, y).feature_scores(X, y)
    gammas, plain, normalised = naive(X, y, estimator)
    np.testing.assert_allclose(scores.gamma, gammas, rtol=1e-9)
    np.testing.assert_allclose(scores.mmd2, plain, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(scores.statistic, normalised, rtol=1e-8, atol=1e-12)
    assert scores.pvalue.shape == (4,)


def test_mmd_of_each_column():
    X, y = grouped()
    scores = quick().fit(X, y).feature_scores(X, y)
    for i in range(4):
        expected = mmd(X[y == 0, i], X[y == 1, i], kernel="laplacian")
        assert scores.mmd2[i] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("sizes", [(3, 4), (4, 4), (2, 2, 2)])
def test_adjusted_pvalues_by_enumeration(sizes):
    """All labelings: the share whose largest statistic reaches that of the feature."""
    X, y = grouped(sizes, d=3)
    scores = quick(n_permutations=999).fit(X, y).feature_scores(X, y)
    grams, norms = [], []
    for column in X.T:
        gamma = reference.median_gamma(column, "laplacian")
        grams.append(reference.gram(column, column, "laplacian", gamma))
        norms.append(reference.off_diagonal_norm(grams[-1]))
    maxima = [
        max(
            reference.statistic(K, labels, "unbiased") / n
            for K, n in zip(grams, norms, strict=True)
        )
        for labels in reference.labelings(np.bincount(y).tolist())
    ]
    for f in range(3):
        observed = reference.statistic(grams[f], y, "unbiased") / norms[f]
        expected = np.mean(np.array(maxima) >= observed - 1e-10)
        assert scores.pvalue[f] == pytest.approx(expected, abs=1e-12)


def test_the_shifted_features_are_found():
    X, y = grouped((40, 40), d=6, shifted=(1, 4))
    scores = quick().fit(X, y).feature_scores(X, y)
    assert set(np.flatnonzero(scores.pvalue <= 0.05)) == {1, 4}
    assert set(scores.ranking()[:2]) == {1, 4}
    assert np.all(scores.pvalue >= 1 / 200)


def test_a_change_of_scale_is_found_too():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(160, 3))
    X[80:, 1] *= 3.0
    scores = quick().fit(X, np.repeat([0, 1], 80)).feature_scores()
    assert scores.pvalue[1] <= 0.01
    assert min(scores.pvalue[0], scores.pvalue[2]) > 0.01


def test_adjusted_pvalues_follow_the_statistic():
    """One distribution of maxima for all: a larger statistic never has a larger p-value."""
    X, y = grouped((20, 20), d=8, shifted=(0, 3))
    scores = quick().fit(X, y).feature_scores(X, y)
    order = np.argsort(scores.statistic)
    assert np.all(np.diff(scores.pvalue[order]) <= 0)


def test_scale_and_offset_of_a_feature_do_not_matter():
    X, y = grouped()
    X = np.round(X * 1024) / 1024
    expected = quick().fit(X, y).feature_scores(X, y)
    scaled = X * [2.0**20, 1.0, 2.0**-20, 4.0] + [0.0, 4096.0, 0.0, 0.0]
    found = quick().fit(scaled, y).feature_scores(scaled, y)
    np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-9)
    np.testing.assert_array_equal(found.pvalue, expected.pvalue)


def test_a_constant_feature_has_pvalue_one():
    X, y = grouped()
    X[:, 1] = 5.0
    scores = quick().fit(X, y).feature_scores(X, y)
    assert scores.pvalue[1] == 1.0
    assert np.all(np.isfinite(scores.statistic))
    assert scores.pvalue[2] <= 0.05


def test_all_features_constant():
    scores = quick().fit(np.ones((20, 2)), np.arange(20) % 2).feature_scores()
    np.testing.assert_array_equal(scores.pvalue, 1.0)


def test_indicator_features():
    """Two values only: the median distance is zero if one of them is rare."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 100)
    X = np.column_stack([rng.random(200) < 0.1, rng.random(200) < np.where(y, 0.6, 0.1)])
    scores = quick().fit(X.astype(float), y).feature_scores()
    assert scores.pvalue[1] <= 0.01
    assert np.all(np.isfinite(scores.gamma))


def test_nothing_given_means_the_fitted_rows():
    X, y = grouped()
    test = quick().fit(X, y)
    given, kept = test.feature_scores(X, y), test.feature_scores()
    np.testing.assert_array_equal(given.statistic, kept.statistic)
    np.testing.assert_array_equal(given.pvalue, kept.pvalue)


def test_names():
    pandas = pytest.importorskip("pandas")
    X, y = grouped()
    assert quick().fit(X, y).feature_scores(X, y).feature_names.tolist() == ["x0", "x1", "x2", "x3"]
    frame = pandas.DataFrame(X, columns=list("abcd"))
    assert quick().fit(frame, y).feature_scores(frame, y).feature_names.tolist() == list("abcd")


def test_weights_are_copies():
    X, y = grouped()
    weights = np.random.default_rng(0).integers(1, 4, len(y))
    by_weight = quick().fit(X, y).feature_scores(X, y, sample_weight=weights)
    copies = X.repeat(weights, axis=0), y.repeat(weights)
    by_copies = quick().fit(*copies).feature_scores(*copies)
    np.testing.assert_allclose(by_weight.gamma, by_copies.gamma, rtol=1e-9)
    np.testing.assert_allclose(by_weight.mmd2, by_copies.mmd2, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(by_weight.statistic, by_copies.statistic, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("n", [800, 1300])
def test_many_rows(n):
    """O(n log n): more rows than a Gram matrix would take in its stride; bins beyond 2,000."""
    X, y = grouped((n, n), d=3)
    scores = quick(n_permutations=99).fit(X, y).feature_scores(X, y)
    for i in range(3):
        gamma = float(scores.gamma[i])
        expected = mmd(X[y == 0, i], X[y == 1, i], kernel="laplacian", gamma=gamma)
        assert scores.mmd2[i] == pytest.approx(expected, rel=1e-8)
    assert scores.pvalue[2] == 1 / 100


def test_threads_and_seeds():
    X, y = grouped((60, 70), d=7)
    scores = [quick(n_jobs=n_jobs).fit(X, y).feature_scores(X, y) for n_jobs in (1, 2, None)]
    for other in scores[1:]:
        np.testing.assert_array_equal(other.statistic, scores[0].statistic)
        np.testing.assert_array_equal(other.pvalue, scores[0].pvalue)


def test_no_permutations_mean_no_pvalue():
    X, y = grouped()
    scores = quick(n_permutations=0).fit(X, y).feature_scores(X, y)
    assert np.all(np.isnan(scores.pvalue))
    assert np.all(np.isfinite(scores.statistic))


def test_a_gram_matrix_has_no_features():
    X, y = grouped()
    K = reference.gram(X, X, "rbf", 1.0)
    with pytest.raises(ValueError, match=r"(?i)precomputed"):
        quick(kernel="precomputed").fit(K, y).feature_scores()


def test_bad_input():
    X, y = grouped()
    test = quick().fit(X, y)
    with pytest.raises(ValueError, match=r"(?i)features"):
        test.feature_scores(X[:, :2], y)
    with pytest.raises(ValueError, match="NaN"):
        test.feature_scores(np.where(X > 2, np.nan, X), y)
    with pytest.raises((ValueError, TypeError)):
        test.feature_scores(X)


@pytest.mark.statistical
def test_family_wise_level():
    """Four features, none of which differs: any is called different in about .05 of the sets."""
    rng = np.random.default_rng(0)
    test, y = quick(n_permutations=99, gamma=1.0, method="permutation"), np.repeat([0, 1], 20)
    hits = 0
    for _ in range(1000):
        X = rng.normal(size=(40, 4))
        hits += test.fit(X, y).feature_scores().pvalue.min() <= 0.05
    low, high = reference.binomial_bounds(0.05, 1000)
    assert low <= hits <= high, hits / 1000
    assert math.isfinite(hits)
