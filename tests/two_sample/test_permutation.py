"""Null distributions and p-values: enumeration against brute force, and the (1 + count)/(1 + B)."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from skmmd.two_sample import MMDTest, mmd_test
from tests import reference, strategies

KERNELS = ("rbf", "laplacian", "imq", "rq", "linear", "polynomial", "energy")
ESTIMATORS = ("biased", "unbiased")


def two_samples(sizes, seed=0, shift=0.8, d=2):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n, d)) + shift * i for i, n in enumerate(sizes)]


def labels_of(sizes):
    return np.repeat(np.arange(len(sizes)), sizes)


def brute_force(Z, labels, kernel, gammas, estimator):
    """Return the observed statistic and those of all labelings."""
    grams = [reference.gram(Z, Z, kernel, g) for g in gammas]
    if len(grams) == 1:
        grams = grams[0]
        observed = reference.statistic(grams, labels, estimator)
    else:
        observed = reference.aggregated_statistic(grams, labels)
    return observed, reference.enumerated_null(grams, labels, estimator)


# --------------------------------------------------------------------------------------
# enumeration


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("sizes", [(3, 4), (4, 4), (2, 5), (5, 2)])
def test_two_groups_by_brute_force(kernel, estimator, sizes):
    X, Y = two_samples(sizes)
    Z, labels = np.vstack([X, Y]), labels_of(sizes)
    result = mmd_test(X, Y, kernel=kernel, gamma=0.4, estimator=estimator, method="exact")
    observed, null = brute_force(Z, labels, kernel, [0.4], estimator)
    assert result.statistic == pytest.approx(observed, rel=1e-9)
    np.testing.assert_allclose(
        np.sort(result.null_distribution), np.sort(null), rtol=1e-9, atol=1e-12
    )
    scale = np.abs(reference.gram(Z, Z, kernel, 0.4)).mean()
    assert result.pvalue == reference.exact_pvalue(null, observed, scale)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("sizes", [(2, 2, 3), (2, 2, 2), (1, 2, 4), (2, 2, 2, 2)])
@pytest.mark.filterwarnings("ignore:.*[Oo]ne row.*:UserWarning")
@pytest.mark.filterwarnings("ignore:.*single row.*:UserWarning")
def test_more_groups_by_brute_force(estimator, sizes):
    Z, labels = np.vstack(two_samples(sizes, shift=0.6)), labels_of(sizes)
    test = MMDTest(gamma=0.5, estimator=estimator, method="exact").fit(Z, labels)
    observed, null = brute_force(Z, labels, "rbf", [0.5], estimator)
    assert test.statistic_ == pytest.approx(observed, rel=1e-9)
    np.testing.assert_allclose(
        np.sort(test.null_distribution_), np.sort(null), rtol=1e-9, atol=1e-12
    )
    assert test.pvalue_ == reference.exact_pvalue(null, observed, 1.0)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("sizes", [(3, 4), (2, 2, 3)])
def test_aggregated_by_brute_force(estimator, sizes):
    Z, labels = np.vstack(two_samples(sizes)), labels_of(sizes)
    test = MMDTest(gamma="aggregate", estimator=estimator, method="exact").fit(Z, labels)
    gammas = np.atleast_1d(test.result_.gamma)
    observed, null = brute_force(Z, labels, "rbf", gammas, estimator)
    assert len(gammas) > 1
    assert test.statistic_ == pytest.approx(observed, rel=1e-8)
    np.testing.assert_allclose(
        np.sort(test.null_distribution_), np.sort(null), rtol=1e-8, atol=1e-11
    )
    assert test.pvalue_ == reference.exact_pvalue(null, observed, 1.0)


@given(
    sizes=st.tuples(st.integers(2, 4), st.integers(2, 4)),
    kernel=st.sampled_from(KERNELS),
    estimator=st.sampled_from(ESTIMATORS),
    content=st.sampled_from(["normal", "duplicates", "grid", "constant column"]),
    data=st.data(),
)
def test_enumeration_with_ties(sizes, kernel, estimator, content, data):
    """Duplicates tie labelings by the dozen; rounding may not split the ties."""
    seed = data.draw(st.integers(0, 2**32 - 1))
    arrays, _ = strategies._content(np.random.default_rng(seed), content, sizes, 2)
    Z, labels = np.vstack(arrays), labels_of(sizes)
    result = mmd_test(*arrays, kernel=kernel, gamma=0.5, estimator=estimator, method="exact")
    observed, null = brute_force(Z, labels, kernel, [0.5], estimator)
    scale = np.abs(reference.gram(Z, Z, kernel, 0.5)).mean() + 1e-3
    assert result.pvalue == pytest.approx(reference.exact_pvalue(null, observed, scale), abs=1e-12)


@pytest.mark.parametrize("n", [3, 4, 5, 6])
def test_smallest_pvalue_of_equal_groups(n):
    """A labeling ties its complement, so 2 / C(2n, n)."""
    X, Y = two_samples((n, n), shift=50.0)
    result = mmd_test(X, Y, method="exact")
    assert result.pvalue == 2 / math.comb(2 * n, n)
    assert len(result.null_distribution) == math.comb(2 * n, n)


def test_smallest_pvalue_of_unequal_groups():
    X, Y = two_samples((4, 6), shift=50.0)
    assert mmd_test(X, Y, method="exact").pvalue == 1 / math.comb(10, 4)


def test_smallest_pvalue_of_three_equal_groups():
    Z = np.vstack(two_samples((2, 2, 2), shift=50.0))
    test = MMDTest(gamma=1e-4, method="exact").fit(Z, labels_of((2, 2, 2)))
    # Equal distances between the groups would tie more: 0, 50, 100 on a line do not.
    assert test.pvalue_ == math.factorial(3) / reference.n_labelings((2, 2, 2))


def test_exact_pvalue_is_never_zero_and_counts_itself():
    for seed in range(20):
        X, Y = two_samples((3, 4), seed=seed, shift=0.0)
        pvalue = mmd_test(X, Y, method="exact").pvalue
        assert pvalue >= 1 / 35
        assert pvalue * 35 == pytest.approx(round(pvalue * 35), abs=1e-9)


def test_mean_of_all_unbiased_statistics_is_zero():
    """Within and across pairs are the same pairs on average."""
    X, Y = two_samples((4, 5))
    null = mmd_test(X, Y, gamma=0.7, method="exact").null_distribution
    assert null.mean() == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize(("sizes", "enumerated"), [((5, 5), True), ((6, 6), True), ((6, 7), False)])
def test_auto_enumerates_when_the_labelings_are_few(sizes, enumerated):
    """252 and 924 labelings are no more than 1000, 1716 are."""
    X, Y = two_samples(sizes)
    result = mmd_test(X, Y, random_state=0)
    assert (result.method == "exact") == enumerated
    expected = math.comb(sum(sizes), sizes[0]) if enumerated else 999
    assert len(result.null_distribution) == expected


@pytest.mark.parametrize(("n_permutations", "enumerated"), [(34, True), (33, False), (35, True)])
def test_auto_at_its_edge(n_permutations, enumerated):
    X, Y = two_samples((3, 4))  # 35 labelings
    result = mmd_test(X, Y, n_permutations=n_permutations, random_state=0)
    assert (result.method == "exact") == enumerated


def test_auto_by_size():
    rng = np.random.default_rng(0)
    for n, method in ((1000, "permutation"), (1001, "binned"), (10_001, "nystroem")):
        result = mmd_test(
            rng.normal(size=(n, 1)),
            rng.normal(size=(n, 1)),
            gamma=1.0,
            n_permutations=9,
            n_components=8,
            random_state=0,
        )
        assert result.method == method, n


@pytest.mark.parametrize("n_permutations", [0, 1, 5])
def test_exact_enumerates_whatever_the_number_of_permutations(n_permutations):
    X, Y = two_samples((3, 4))
    result = mmd_test(X, Y, method="exact", n_permutations=n_permutations)
    assert len(result.null_distribution) == 35
    assert result.pvalue == mmd_test(X, Y, method="exact").pvalue


def test_too_many_labelings_to_enumerate():
    X, Y = two_samples((13, 14))  # C(27, 13) = 20,058,300
    with pytest.raises(ValueError, match=r"(?i)labelings"):
        mmd_test(X, Y, method="exact")
    X, Y = two_samples((400, 500))  # the count does not fit a float
    with pytest.raises(ValueError, match=r"(?i)labelings"):
        mmd_test(X, Y, method="exact")


def test_exact_does_not_depend_on_the_seed():
    X, Y = two_samples((4, 4))
    results = [mmd_test(X, Y, method="exact", random_state=seed) for seed in (0, 1, None)]
    assert len({r.pvalue for r in results}) == 1


# --------------------------------------------------------------------------------------
# random permutations


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_permuted_statistic_is_that_of_a_labeling(kernel, estimator):
    X, Y = two_samples((3, 4))
    Z = np.vstack([X, Y])
    result = mmd_test(
        X,
        Y,
        kernel=kernel,
        gamma=0.4,
        estimator=estimator,
        method="permutation",
        n_permutations=400,
        random_state=0,
    )
    _, possible = brute_force(Z, labels_of((3, 4)), kernel, [0.4], estimator)
    scale = np.abs(possible).max()
    distances = np.abs(result.null_distribution[:, None] - possible[None, :])
    assert distances.min(axis=1).max() < 1e-9 * scale
    # 400 draws of 35: each labeling is missed with probability e**-11.
    assert len(set(distances.argmin(axis=1))) == len(np.unique(np.round(possible / scale, 9)))


@pytest.mark.parametrize("sizes", [(2, 2, 3), (2, 3, 2)])
def test_every_permuted_statistic_of_three_groups(sizes):
    Z, labels = np.vstack(two_samples(sizes)), labels_of(sizes)
    test = MMDTest(gamma=0.4, method="permutation", n_permutations=300, random_state=0)
    null = test.fit(Z, labels).null_distribution_
    _, possible = brute_force(Z, labels, "rbf", [0.4], "unbiased")
    assert np.abs(null[:, None] - possible[None, :]).min(axis=1).max() < 1e-10
    # The two groups of two rows may be swapped: half of the 210 labelings differ.
    assert len(np.unique(np.round(null, 9))) > 80


@pytest.mark.parametrize("sizes", [(3, 4), (4, 4)])
def test_random_pvalues_approach_the_exact_one(sizes):
    X, Y = two_samples(sizes, shift=0.5)
    exact = mmd_test(X, Y, gamma=0.5, method="exact").pvalue
    drawn = mmd_test(
        X, Y, gamma=0.5, method="permutation", n_permutations=9999, random_state=0
    ).pvalue
    assert abs(drawn - exact) < 5 * math.sqrt(exact * (1 - exact) / 9999) + 1e-4


METHODS = ("permutation", "binned", "nystroem")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("gamma", [0.5, "aggregate"])
@pytest.mark.parametrize("n_permutations", [1, 19, 99])
def test_pvalue_counts_the_null_distribution(method, gamma, n_permutations):
    for seed in range(5):
        X, Y = two_samples((12, 15), seed=seed, shift=0.3)
        result = mmd_test(
            X, Y, gamma=gamma, method=method, n_permutations=n_permutations, random_state=seed
        )
        assert result.null_distribution.shape == (n_permutations,)
        expected = reference.permutation_pvalue(result.null_distribution, result.statistic, 1e-2)
        assert result.pvalue == pytest.approx(expected, abs=1e-15)
        assert result.pvalue >= 1 / (1 + n_permutations)


@pytest.mark.parametrize("method", METHODS)
def test_pvalue_is_never_zero(method):
    X, Y = two_samples((30, 30), shift=100.0)
    result = mmd_test(X, Y, method=method, n_permutations=49, random_state=0)
    assert result.pvalue == pytest.approx(1 / 50)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("gamma", ["median", "aggregate", 0.5])
@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "energy", "linear"])
def test_all_points_equal_gives_one(method, gamma, kernel):
    X, Y = np.full((9, 3), 2.5), np.full((11, 3), 2.5)
    result = mmd_test(
        X, Y, kernel=kernel, gamma=gamma, method=method, n_permutations=29, random_state=0
    )
    assert result.pvalue == 1.0
    assert np.isfinite(result.statistic)
    assert np.all(np.isfinite(result.null_distribution))


@pytest.mark.parametrize("method", ["permutation", "nystroem"])
def test_null_distribution_agrees_with_brute_force_draws(method):
    """Several tiles; the null is compared with labelings drawn and computed here."""
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(400, 3)), rng.normal(size=(300, 3))
    gamma = 0.2
    Z = np.vstack([X, Y])
    K = np.exp(-gamma * distance.cdist(Z, Z, "sqeuclidean"))
    np.fill_diagonal(K, 0.0)
    U = rng.permuted(np.tile(np.repeat([1.0, 0.0], [400, 300]), (1500, 1)), axis=1)
    V = 1 - U
    drawn = (
        ((U @ K) * U).sum(axis=1) / (400 * 399)
        + ((V @ K) * V).sum(axis=1) / (300 * 299)
        - 2 * ((U @ K) * V).sum(axis=1) / (400 * 300)
    )
    result = mmd_test(
        X, Y, gamma=gamma, method=method, n_permutations=1500, n_components=700, random_state=3
    )
    rtol = 1e-9 if method == "permutation" else 1e-5
    observed = np.repeat([1.0, 0.0], [400, 300])
    K_u, K_v = K @ observed, K @ (1 - observed)
    expected = (
        observed @ K_u / (400 * 399)
        + (1 - observed) @ K_v / (300 * 299)
        - 2 * (observed @ K_v) / (400 * 300)
    )
    assert result.statistic == pytest.approx(expected, rel=rtol, abs=1e-9)
    assert stats.ks_2samp(result.null_distribution, drawn).pvalue > 1e-4
    assert np.mean(result.null_distribution) == pytest.approx(
        0.0, abs=5 * np.std(drawn) / math.sqrt(1500)
    )


def test_binned_null_is_that_of_bins():
    """Two bins a group: six labelings of the bins, of which the observed is one.

    Rows within a bin are equal, so the bins can be seen in the null distribution whichever rows
    are dealt to them: only if whole bins move together are there so few values.
    """
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(32, 2)), rng.normal(size=(32, 2)) + 0.2
    result = mmd_test(
        X, Y, gamma=0.5, method="binned", n_bins=4, n_permutations=4000, random_state=0
    )
    # Width min(64 // 4, 32 // 16) = 2: sixteen bins a group.
    assert len(np.unique(np.round(result.null_distribution, 10))) > 1000
    wide = mmd_test(
        *(rng.normal(size=(16, 2)) for _ in range(2)),
        gamma=0.5,
        method="binned",
        n_bins=4,
        n_permutations=50,
        random_state=0,
    )
    assert len(np.unique(np.round(wide.null_distribution, 10))) > 40  # width 1


@pytest.mark.parametrize("sizes", [(30, 30), (33, 47), (40, 100), (5, 300)])
@pytest.mark.parametrize("n_bins", [2, 3, 7, 64, 1000])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_binned_statistic_uses_all_rows(sizes, n_bins, estimator):
    """Left-over rows stay in the statistic, whatever the width of the bins."""
    X, Y = two_samples(sizes)
    options = {"gamma": 0.5, "estimator": estimator, "n_permutations": 9, "random_state": 0}
    binned = mmd_test(X, Y, method="binned", n_bins=n_bins, **options)
    full = mmd_test(X, Y, method="permutation", **options)
    assert binned.statistic == pytest.approx(full.statistic, rel=1e-9)
    assert len(np.unique(binned.null_distribution)) > 1


@pytest.mark.parametrize("method", ["permutation", "binned"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_aggregated_statistic_by_double_loops(method, estimator):
    X, Y = two_samples((10, 13))
    result = mmd_test(
        X, Y, method=method, estimator=estimator, n_permutations=9, n_bins=8, random_state=0
    )
    Z, labels = np.vstack([X, Y]), labels_of((10, 13))
    grams = [reference.gram(Z, Z, "rbf", g) for g in result.gamma]
    expected = reference.aggregated_statistic(grams, labels)
    assert result.statistic == pytest.approx(expected, rel=1e-8)
    np.testing.assert_allclose(
        result.mmd2, [reference.statistic(K, labels, estimator) for K in grams], rtol=1e-8
    )


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("gamma", [0.5, (0.3, 0.9)])
def test_nystroem_with_all_rows_as_landmarks_is_exact(estimator, gamma):
    X, Y = two_samples((14, 17))
    options = {"gamma": gamma, "estimator": estimator, "n_permutations": 9, "random_state": 0}
    low_rank = mmd_test(X, Y, method="nystroem", n_components=1000, **options)
    full = mmd_test(X, Y, method="permutation", **options)
    assert low_rank.statistic == pytest.approx(full.statistic, rel=1e-5)
    np.testing.assert_allclose(low_rank.mmd2, full.mmd2, rtol=1e-5)


def test_nystroem_statistic_is_that_of_some_landmarks():
    """Two landmarks of nine rows: one of the 36 choices gives the statistic."""
    X, Y = two_samples((4, 5))
    Z, labels = np.vstack([X, Y]), labels_of((4, 5))
    result = mmd_test(
        X,
        Y,
        gamma=0.5,
        estimator="biased",
        method="nystroem",
        n_components=2,
        n_permutations=5,
        random_state=0,
    )
    possible = [
        reference.statistic(reference.nystroem_gram(Z, Z[[i, j]], "rbf", 0.5), labels, "biased")
        for i in range(9)
        for j in range(i)
    ]
    assert np.abs(np.array(possible) - result.statistic).min() < 1e-10


# --------------------------------------------------------------------------------------
# seeds


@pytest.mark.parametrize("method", METHODS)
def test_seeds(method):
    X, Y = two_samples((40, 40))

    def null(seed):
        return mmd_test(X, Y, method=method, n_permutations=29, random_state=seed).null_distribution

    np.testing.assert_array_equal(null(7), null(7))
    np.testing.assert_array_equal(null(np.random.RandomState(7)), null(np.random.RandomState(7)))
    assert not np.array_equal(null(7), null(8))
    generator = np.random.RandomState(7)
    assert not np.array_equal(null(generator), null(generator))
    assert not np.array_equal(null(None), null(None))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("gamma", ["aggregate", 1.0])
def test_threads_do_not_change_a_bit(method, gamma):
    X, Y = two_samples((700, 650), d=10)
    results = [
        mmd_test(X, Y, gamma=gamma, method=method, n_permutations=39, random_state=0, n_jobs=n_jobs)
        for n_jobs in (1, 2, None, -1)
    ]
    for result in results[1:]:
        assert result.statistic == results[0].statistic
        np.testing.assert_array_equal(result.mmd2, results[0].mmd2)
        np.testing.assert_array_equal(result.null_distribution, results[0].null_distribution)


@pytest.mark.parametrize("method", ["exact", "permutation", "binned"])
def test_a_gram_matrix_gives_the_same_test(method):
    sizes = (4, 4) if method == "exact" else (20, 25)
    X, Y = two_samples(sizes)
    Z = np.vstack([X, Y])
    K = reference.gram(Z, Z, "rbf", 0.5)
    options = {"method": method, "n_permutations": 49, "random_state": 0, "n_bins": 8}
    rows = mmd_test(X, Y, gamma=0.5, **options)
    matrix = mmd_test(K, sizes[0], kernel="precomputed", **options)
    assert matrix.statistic == pytest.approx(rows.statistic, rel=1e-10)
    assert matrix.pvalue == rows.pvalue
    np.testing.assert_allclose(
        matrix.null_distribution, rows.null_distribution, rtol=1e-8, atol=1e-12
    )


# --------------------------------------------------------------------------------------
# cross-MMD


def test_asymptotic_is_the_cross_mmd_of_some_halves():
    """Four and four rows: the p-value is that of one of the 36 splits into halves."""
    X, Y = two_samples((4, 4), shift=0.4)
    K = reference.gram(np.vstack([X, Y]), np.vstack([X, Y]), "rbf", 0.5)
    result = mmd_test(X, Y, gamma=0.5, method="asymptotic", random_state=0)
    possible = []
    for x1 in itertools.combinations(range(4), 2):
        for y1 in itertools.combinations(range(4, 8), 2):
            x2 = [i for i in range(4) if i not in x1]
            y2 = [i for i in range(4, 8) if i not in y1]
            for ddof in (0, 1):
                studentised = reference.cross_mmd(K, x1, x2, y1, y2, ddof)
                possible.append(reference.cross_mmd_pvalue(studentised))
    assert np.abs(np.array(possible) - result.pvalue).min() < 1e-10


def test_asymptotic_is_for_two_groups_and_one_kernel():
    Z = np.vstack(two_samples((8, 8, 8)))
    with pytest.raises(ValueError, match=r"(?i)asymptotic|two groups|2 groups"):
        MMDTest(method="asymptotic", gamma=1.0).fit(Z, labels_of((8, 8, 8)))
    X, Y = two_samples((20, 20))
    with pytest.raises(ValueError, match=r"(?i)gamma"):
        mmd_test(X, Y, method="asymptotic", gamma=[0.5, 1.0])


def test_asymptotic_of_equal_points_is_no_evidence():
    result = mmd_test(np.ones((6, 2)), np.ones((6, 2)), gamma=1.0, method="asymptotic")
    assert result.pvalue >= 0.5
    assert not result.rejected


def test_asymptotic_finds_a_large_difference():
    X, Y = two_samples((60, 50), shift=1.5)
    result = mmd_test(X, Y, gamma="median", method="asymptotic", random_state=0)
    assert result.pvalue < 1e-4
    assert result.method == "asymptotic"
