"""`MMDTest`: groups by label, the power criterion, the witness."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.utils import get_tags

from skmmd.two_sample import MMDTest, MMDTestResult, mmd, mmd_test
from tests import reference, strategies

KERNELS = ("rbf", "laplacian", "imq", "rq", "linear", "polynomial", "energy")


def grouped(sizes, seed=0, d=2, shift=0.5, offset=0.0):
    rng = np.random.default_rng(seed)
    X = np.vstack([rng.normal(size=(n, d)) + shift * i for i, n in enumerate(sizes)]) + offset
    y = np.repeat(np.arange(len(sizes)), sizes)
    order = rng.permutation(len(y))
    return X[order], y[order]


def quick(**options):
    return MMDTest(**{"n_permutations": 19, "random_state": 0, **options})


# --------------------------------------------------------------------------------------
# the test


@pytest.mark.parametrize("kernel", KERNELS)
def test_two_groups_are_mmd_test(kernel):
    X, y = grouped((12, 15))
    order = np.argsort(y, kind="stable")
    test = quick(kernel=kernel).fit(X[order], y[order])
    result = mmd_test(X[y == 0], X[y == 1], kernel=kernel, n_permutations=19, random_state=0)
    assert (test.statistic_, test.pvalue_) == tuple(result)
    np.testing.assert_array_equal(test.null_distribution_, result.null_distribution)


def test_the_attributes_are_those_of_the_result():
    X, y = grouped((12, 15))
    test = quick().fit(X, y)
    assert isinstance(test.result_, MMDTestResult)
    assert (test.statistic_, test.pvalue_) == tuple(test.result_)
    np.testing.assert_array_equal(test.mmd2_, test.result_.mmd2)
    np.testing.assert_array_equal(test.gamma_, test.result_.gamma)
    np.testing.assert_array_equal(test.null_distribution_, test.result_.null_distribution)
    assert test.threshold_ == test.result_.threshold
    assert test.threshold_ == test.result_.critical_value(test.alpha)
    assert test.n_features_in_ == 2
    assert tuple(test.result_.n_samples) == (12, 15)


@pytest.mark.parametrize(
    "labels",
    [
        ("b", "a"),
        (True, False),
        (2.0, -1.0),
        (7, 3),
        (np.datetime64("2020"), np.datetime64("2019")),
    ],
    ids=str,
)
def test_any_labels_in_sorted_order(labels):
    """The group of the smaller label plays X."""
    X, y = grouped((9, 11))
    named = np.array(labels)[1 - y]  # code 0 gets the smaller label
    test = quick().fit(X, named)
    np.testing.assert_array_equal(test.classes_, np.sort(np.array(labels)))
    plain = quick().fit(X, y)
    assert test.statistic_ == plain.statistic_
    np.testing.assert_array_equal(test.score_samples(X), plain.score_samples(X))


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("sizes", [(6, 7, 8), (5, 5, 5, 5), (2, 9, 3)])
def test_more_groups_by_double_loops(estimator, kernel, sizes):
    X, y = grouped(sizes)
    test = quick(kernel=kernel, gamma=0.4, estimator=estimator).fit(X, y)
    K = reference.gram(X, X, kernel, 0.4)
    expected = reference.k_sample_statistic(K, y, estimator)
    assert test.statistic_ == pytest.approx(expected, rel=1e-8, abs=1e-10)


def test_biased_statistic_of_more_groups_in_its_other_form():
    """T = sum_g S_gg / n_g - S / N."""
    X, y = grouped((6, 7, 8))
    K = reference.gram(X, X, "rbf", 0.4)
    expected = sum(K[np.ix_(y == g, y == g)].sum() / (y == g).sum() for g in range(3))
    expected -= K.sum() / len(y)
    test = quick(gamma=0.4, estimator="biased").fit(X, y)
    assert test.statistic_ == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("method", ["permutation", "binned", "nystroem"])
@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_aggregated_statistic_of_more_groups(method, estimator):
    X, y = grouped((10, 11, 12))
    test = quick(method=method, estimator=estimator, n_components=100).fit(X, y)
    grams = [reference.gram(X, X, "rbf", g) for g in test.gamma_]
    expected = reference.aggregated_statistic(grams, y)
    rtol = 1e-4 if method == "nystroem" else 1e-8
    assert test.statistic_ == pytest.approx(expected, rel=rtol)


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
@pytest.mark.parametrize("gamma", [0.4, (0.2, 0.7)])
@pytest.mark.parametrize("sizes", [(8, 9), (5, 6, 7)])
def test_weighted_statistics_by_double_loops(estimator, gamma, sizes):
    X, y = grouped(sizes)
    weights = np.random.default_rng(1).integers(1, 4, len(y)).astype(float)
    test = quick(gamma=gamma, estimator=estimator).fit(X, y, sample_weight=weights)
    grams = [reference.gram(X, X, "rbf", g) for g in np.atleast_1d(gamma)]
    if len(grams) == 1:
        expected = reference.statistic(grams[0], y, estimator, weights)
    else:
        expected = reference.aggregated_statistic(grams, y, weights)
    assert test.statistic_ == pytest.approx(expected, rel=1e-9)


def test_many_groups():
    """More groups than fit a signed byte."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(150), 2)
    X = rng.normal(size=(300, 1))
    test = quick(gamma=0.5, n_permutations=5).fit(X, y)
    K = np.exp(-0.5 * (X - X.T) ** 2)
    within = sum((K[i, i + 1]) for i in range(0, 300, 2))  # mean over the one pair
    weights = 2 * 298 / 300
    between = (K.sum() - sum(K[i : i + 2, i : i + 2].sum() for i in range(0, 300, 2))) / 300
    assert test.statistic_ == pytest.approx(within * weights - between, rel=1e-9)
    assert len(test.classes_) == 150


def test_as_many_groups_as_can_be_told_apart():
    y = np.repeat(np.arange(256), 3)
    X = np.random.default_rng(0).normal(size=(768, 1)) + 10.0 * y[:, None]
    assert quick(gamma=0.5).fit(X[:-3], y[:-3]).pvalue_ == pytest.approx(1 / 20)
    with pytest.raises(ValueError, match="groups"):
        quick().fit(X, y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(20), r"1 class"),
        (np.array(["a"] * 20), r"1 class"),
        (np.arange(19) % 2, r"(?i)inconsistent"),
        (np.where(np.arange(20) % 2, 1.0, np.nan), r"(?i)NaN"),
        (np.random.default_rng(0).normal(size=20), r"(?i)continuous|label"),
        (np.arange(40).reshape(20, 2) % 2, r"(?i)1d|shape"),
    ],
)
def test_bad_labels(y, message):
    X, _ = grouped((10, 10))
    with pytest.raises(ValueError, match=message):
        quick().fit(X, y)


def test_one_row_in_a_group():
    X, y = grouped((1, 20))
    biased = quick(estimator="biased", gamma=0.5).fit(X, y)
    assert 1 / 20 <= biased.pvalue_ <= 1
    K = reference.gram(X, X, "rbf", 0.5)
    assert biased.statistic_ == pytest.approx(reference.statistic(K, y, "biased"), rel=1e-9)
    with pytest.warns(UserWarning, match="single row"):
        unbiased = quick(gamma=0.5).fit(X, y)
    assert unbiased.statistic_ == pytest.approx(reference.statistic(K, y, "unbiased"), rel=1e-9)
    assert np.all(np.isfinite(unbiased.null_distribution_))


def test_every_group_has_one_row():
    X, y = grouped((1, 1, 1))
    test = quick(estimator="biased", gamma=0.5).fit(X, y)
    assert test.pvalue_ == 1.0  # all labelings are alike
    with pytest.warns(UserWarning, match="single row"):
        assert quick(gamma=0.5).fit(X, y).pvalue_ == 1.0


def test_no_permutations():
    X, y = grouped((12, 15))
    test = MMDTest(n_permutations=0, gamma=0.5).fit(X, y)
    assert math.isnan(test.pvalue_)
    assert test.null_distribution_.shape == (0,)
    assert test.statistic_ == pytest.approx(mmd(X[y == 0], X[y == 1], gamma=0.5), rel=1e-9)
    assert test.score(X, y) == quick(gamma=0.5).fit(X, y).score(X, y)


# --------------------------------------------------------------------------------------
# weights under permutations


@pytest.mark.parametrize("method", ["exact", "permutation", "binned"])
@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_permutations_may_leave_a_group_without_weight(method, estimator):
    """Weights travel with their rows: some labelings give a group nothing, or one row's worth."""
    X, _ = grouped((3, 4))
    y = np.array([0, 0, 0, 1, 1, 1, 1])
    weights = np.array([1.0, 0.0, 0.0, 2.0, 0.0, 0.0, 0.0])
    test = quick(gamma=0.5, estimator=estimator, method=method, n_permutations=60)
    test.fit(X, y, sample_weight=weights)
    assert np.isfinite(test.statistic_)
    assert 0 < test.pvalue_ <= 1
    assert not np.any(np.isnan(test.null_distribution_))


def test_a_group_without_weight_is_an_error():
    X, y = grouped((5, 6))
    with pytest.raises(ValueError, match=r"(?i)weight"):
        quick().fit(X, y, sample_weight=(y == 1).astype(float))


@pytest.mark.parametrize("kernel", KERNELS)
def test_weight_zero_removes_a_row_from_statistic_witness_and_score(kernel):
    X, y = grouped((9, 11))
    keep = np.ones(len(y), dtype=bool)
    keep[[0, 3, 7]] = False
    spoilt = np.where(keep[:, None], X, 50.0)  # must not be felt
    weighted = quick(kernel=kernel, gamma=0.5).fit(spoilt, y, sample_weight=keep.astype(float))
    removed = quick(kernel=kernel, gamma=0.5).fit(X[keep], y[keep])
    atol = 1e-6 if kernel == "polynomial" else 1e-10
    assert weighted.statistic_ == pytest.approx(removed.statistic_, rel=1e-9, abs=atol)
    np.testing.assert_allclose(
        weighted.score_samples(X), removed.score_samples(X), rtol=1e-8, atol=atol
    )


# --------------------------------------------------------------------------------------
# the power criterion


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("sizes", [(8, 8), (7, 12), (5, 6, 7)])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_score_by_double_loops(kernel, sizes, offset):
    X, y = grouped(sizes, offset=offset)
    new_X, new_y = grouped(sizes, seed=1, offset=offset)
    test = quick(kernel=kernel, gamma=0.4).fit(X, y)
    for Z, labels in ((X, y), (new_X, new_y)):
        K = reference.gram(Z, Z, kernel, 0.4)
        expected = reference.mean_power_criterion(K, labels)
        assert test.score(Z, labels) == pytest.approx(expected, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_score_is_always_unbiased(estimator):
    X, y = grouped((8, 9))
    test = quick(gamma=0.4, estimator=estimator).fit(X, y)
    expected = reference.mean_power_criterion(reference.gram(X, X, "rbf", 0.4), y)
    assert test.score(X, y) == pytest.approx(expected, rel=1e-8)


def test_score_in_liu_s_form_is_close_at_equal_sizes():
    """4/n^3 sum_i (sum_j H_ij)^2 - 4/n^4 (sum H)^2 estimates n times the same variance."""
    n = 400
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(n, 2)), rng.normal(size=(n, 2)) + 0.5
    K = np.exp(-0.4 * ((np.vstack([X, Y])[:, None] - np.vstack([X, Y])[None]) ** 2).sum(-1))
    xx, yy, xy = K[:n, :n], K[n:, n:], K[:n, n:]
    H = xx + yy - xy - xy.T
    variance = 4 / n**3 * (H.sum(axis=1) ** 2).sum() - 4 / n**4 * H.sum() ** 2
    mmd2 = (H.sum() - np.trace(H)) / (n * (n - 1))
    test = quick(gamma=0.4, n_permutations=0).fit(np.vstack([X, Y]), np.repeat([0, 1], n))
    score = test.score(np.vstack([X, Y]), np.repeat([0, 1], n))
    # They differ by the sample correlation of two independent columns, of order n**-1/2.
    assert score == pytest.approx(mmd2 / math.sqrt(variance / n), rel=0.1)


def test_score_uses_the_gamma_of_the_fit():
    X, y = grouped((10, 12))
    other_X, other_y = X * 10, y
    test = quick(gamma="median").fit(X, y)
    gamma = reference.median_gamma(X)
    K = reference.gram(other_X, other_X, "rbf", gamma)
    expected = reference.mean_power_criterion(K, other_y)
    assert test.score(other_X, other_y) == pytest.approx(expected, rel=1e-7)


def test_score_and_witness_use_the_gamma_that_attained_the_maximum():
    X, y = grouped((14, 15), shift=1.0)
    test = quick(gamma=(0.01, 0.3, 9.0)).fit(X, y)
    norms = [reference.off_diagonal_norm(reference.gram(X, X, "rbf", g)) for g in test.gamma_]
    best = test.gamma_[np.argmax(test.mmd2_ / norms)]
    assert best > 0.01
    expected = reference.mean_power_criterion(reference.gram(X, X, "rbf", best), y)
    assert test.score(X, y) == pytest.approx(expected, rel=1e-8)
    np.testing.assert_allclose(
        test.score_samples(X), reference.witness(X, X, y, "rbf", best), rtol=1e-8, atol=1e-12
    )


@pytest.mark.parametrize("sizes", [(511, 515), (700, 300, 41)])
def test_score_over_several_tiles(sizes):
    X, y = grouped(sizes, d=3)
    test = quick(gamma=0.2, n_permutations=0).fit(X, y)
    K = np.exp(-0.2 * ((X[:, None] - X[None]) ** 2).sum(axis=-1))
    np.fill_diagonal(K, 0.0)
    scores = []
    for g in range(len(sizes)):
        for h in range(g):
            mmd2, variance = 0.0, 0.0
            for one, two in ((y == g, y == h), (y == h, y == g)):
                rows = K[np.ix_(one, one)].sum(axis=1) / (one.sum() - 1)
                rows -= K[np.ix_(one, two)].mean(axis=1)
                mmd2 += rows.mean()
                variance += 4 * rows.var(ddof=1) / one.sum()
            scores.append(mmd2 / math.sqrt(variance + 1e-8))
    assert test.score(X, y) == pytest.approx(np.mean(scores), rel=1e-8)


def test_score_orders_kernels_by_power():
    """A kernel that sees the difference scores higher than one that smooths it away."""
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(150, 1)), 1.6 * rng.normal(size=(150, 1))])
    y = np.repeat([0, 1], 150)
    scores = [quick(gamma=g, n_permutations=0).fit(X, y).score(X, y) for g in (1e-5, 0.5)]
    assert scores[1] > scores[0] + 0.5


def test_score_of_labels_that_cannot_be_compared():
    X, y = grouped((10, 10))
    test = quick().fit(X, y)
    with pytest.raises(ValueError, match=r"1 class"):
        test.score(X, np.zeros(20, dtype=int))
    with pytest.raises(ValueError, match=r"(?i)features"):
        test.score(X[:, :1], y)
    with pytest.raises((ValueError, TypeError)):
        test.score(X, None)


def test_score_of_identical_rows_is_finite():
    X, y = grouped((10, 10))
    test = quick(gamma=1.0).fit(X, y)
    assert test.score(np.ones((20, 2)), y) == pytest.approx(0.0, abs=1e-6)


def test_grid_search_finds_the_better_gamma():
    rng = np.random.default_rng(3)
    X = np.vstack([rng.normal(size=(80, 1)), 2.0 * rng.normal(size=(80, 1))])
    y = np.repeat([0, 1], 80)
    search = GridSearchCV(
        MMDTest(n_permutations=0),
        {"gamma": [1e-6, 0.3, 1e6]},
        cv=StratifiedKFold(4, shuffle=True, random_state=0),
        error_score="raise",
    ).fit(X, y)
    assert search.best_params_ == {"gamma": 0.3}


# --------------------------------------------------------------------------------------
# the witness


@pytest.mark.parametrize("kernel", KERNELS)
@given(
    sizes=st.sampled_from([(4, 7), (3, 4, 5), (2, 2, 2, 3)]),
    weighted=st.booleans(),
    samples=strategies.samples(n_samples=1, min_rows=1, contents=("normal",), forms=("C",)),
)
def test_witness_by_double_loops(kernel, sizes, weighted, samples):
    (Z,) = samples.plain
    X, y = grouped(sizes, d=Z.shape[1])
    weights = np.random.default_rng(0).integers(1, 4, len(y)).astype(float) if weighted else None
    test = quick(kernel=kernel, gamma=0.4, n_permutations=1, method="permutation")
    test.fit(X, y, sample_weight=weights)
    expected = reference.witness(Z, X, y, kernel, 0.4, weights)
    shape = (len(Z),) if len(sizes) == 2 else (len(Z), len(sizes))
    assert test.score_samples(Z).shape == shape
    np.testing.assert_allclose(test.score_samples(Z), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("method", ["binned", "nystroem"])
def test_witness_is_that_of_the_kernel_whatever_the_method(method):
    X, y = grouped((20, 20))
    test = quick(gamma=0.4, method=method, n_components=5, n_bins=4).fit(X, y)
    np.testing.assert_allclose(
        test.score_samples(X), reference.witness(X, X, y, "rbf", 0.4), rtol=1e-9, atol=1e-12
    )


def test_witness_over_several_blocks():
    X, y = grouped((900, 700))
    Z = np.random.default_rng(5).normal(size=(1300, 2))
    test = quick(gamma=0.4, n_permutations=0).fit(X, y)
    K = np.exp(-0.4 * ((Z[:, None] - X[None]) ** 2).sum(axis=-1))
    expected = K[:, y == 0].mean(axis=1) - K[:, y == 1].mean(axis=1)
    np.testing.assert_allclose(test.score_samples(Z), expected, rtol=1e-8, atol=1e-12)


def test_witness_points_at_the_denser_group():
    X, y = grouped((100, 100), shift=4.0)
    test = quick(gamma=0.5, n_permutations=0).fit(X, y)
    assert test.score_samples([[0.0, 0.0]])[0] > 0
    assert test.score_samples([[4.0, 4.0]])[0] < 0


def test_witness_far_from_everything_is_zero():
    X, y = grouped((20, 20))
    test = quick(gamma=1.0, n_permutations=0).fit(X, y)
    np.testing.assert_allclose(test.score_samples([[1e8, -1e8]]), 0.0, atol=1e-300)


# --------------------------------------------------------------------------------------
# precomputed


def test_precomputed_is_pairwise():
    assert get_tags(MMDTest(kernel="precomputed")).input_tags.pairwise
    assert not get_tags(MMDTest()).input_tags.pairwise
    assert get_tags(clone(MMDTest()).set_params(kernel="precomputed")).input_tags.pairwise


@pytest.mark.parametrize("sizes", [(9, 11), (6, 7, 8)])
def test_precomputed_equals_the_kernel(sizes):
    X, y = grouped(sizes)
    Z = np.random.default_rng(1).normal(size=(5, 2))
    rows = quick(gamma=0.4).fit(X, y)
    matrix = quick(kernel="precomputed").fit(reference.gram(X, X, "rbf", 0.4), y)
    assert matrix.statistic_ == pytest.approx(rows.statistic_, rel=1e-9)
    assert matrix.pvalue_ == rows.pvalue_
    np.testing.assert_allclose(
        matrix.score_samples(reference.gram(Z, X, "rbf", 0.4)),
        rows.score_samples(Z),
        rtol=1e-9,
        atol=1e-12,
    )
    assert matrix.score(reference.gram(X, X, "rbf", 0.4), y) == pytest.approx(rows.score(X, y))


@pytest.mark.parametrize("sizes", [(12, 14), (9, 10, 11)])
def test_precomputed_score_of_held_out_rows(sizes):
    """Their kernel values with each other are not known: the learned witness is judged instead."""
    X, y = grouped(sizes)
    new_X, new_y = grouped(sizes, seed=1)
    test = quick(kernel="precomputed").fit(reference.gram(X, X, "rbf", 0.4), y)
    K = reference.gram(new_X, X, "rbf", 0.4)
    expected = reference.held_out_criterion(K, new_y, y)
    assert test.score(K, new_y) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(ValueError, match=r"(?i)features"):
        test.score(K[:, :5], new_y)


def test_precomputed_must_be_square_and_symmetric():
    X, y = grouped((9, 11))
    with pytest.raises(ValueError, match=r"(?i)square"):
        quick(kernel="precomputed").fit(X, y)
    K = reference.gram(X, X, "rbf", 0.4)
    K[0, 1] += 0.1
    with pytest.raises(ValueError, match=r"(?i)symmetric"):
        quick(kernel="precomputed").fit(K, y)


def test_precomputed_has_no_nystroem():
    X, y = grouped((9, 11))
    with pytest.raises(ValueError, match=r"(?i)precomputed"):
        quick(kernel="precomputed", method="nystroem").fit(reference.gram(X, X, "rbf", 1.0), y)
