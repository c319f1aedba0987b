"""The median heuristic and the dyadic grid."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import distance

from skmmd.kernels import dyadic_gammas, median_gamma, pooled_quantiles
from tests import reference, strategies

BY_DISTANCE = ("rbf", "imq", "rq", "polynomial")
SCALED = (*BY_DISTANCE, "laplacian")


@pytest.mark.parametrize("kernel", SCALED)
@given(samples=strategies.samples(n_samples=1, min_rows=2, max_rows=14, forms=("C",)))
def test_median(kernel, samples):
    (Z,) = samples.plain
    assert median_gamma(kernel, Z) == pytest.approx(reference.median_gamma(Z, kernel), rel=1e-8)


@pytest.mark.parametrize("kernel", ["rbf", "laplacian"])
@given(data=st.data())
def test_weighted_median(kernel, data):
    samples = data.draw(
        strategies.samples(
            n_samples=1, min_rows=2, max_rows=10, forms=("C",), contents=("normal", "duplicates")
        )
    )
    (Z,) = samples.plain
    weights = data.draw(strategies.integer_weights(len(Z))).astype(float)
    by_weight = median_gamma(kernel, Z, weights)
    repeated = Z.repeat(weights.astype(int), axis=0)
    assert by_weight == pytest.approx(reference.median_gamma(repeated, kernel), rel=1e-9)
    assert by_weight == pytest.approx(reference.median_gamma(Z, kernel, weights), rel=1e-9)


def test_the_twin_agrees_with_numpy(rng):
    Z = rng.normal(size=(30, 3))
    distances = distance.pdist(Z)
    for q in (0.05, 0.5, 0.95):
        expected = np.quantile(distances, q, method="averaged_inverted_cdf")
        ones = np.ones(len(distances))
        assert reference.averaged_inverted_cdf(distances, ones, q) == expected
        assert pooled_quantiles("rbf", Z, (q,))[0] == pytest.approx(expected, rel=1e-12)
    weights = rng.integers(0, 4, len(distances)).astype(float)
    for q in (0.05, 0.5, 0.95):
        assert reference.averaged_inverted_cdf(distances, weights, q) == np.quantile(
            distances.repeat(weights.astype(int)), q, method="averaged_inverted_cdf"
        )


def test_even_numbers_of_pairs_average_two():
    # Distances 1, 2, 3 of three points; 1, 1, 2, 2, 3, 4 would be six: median (2 + 2) / 2.
    assert median_gamma("rbf", np.array([[0.0], [1.0], [3.0]])) == pytest.approx(1 / (2 * 4.0))
    four = np.array([[0.0], [1.0], [3.0], [7.0]])  # 1 2 3 4 6 7: median 3.5
    assert median_gamma("rbf", four) == pytest.approx(1 / (2 * 3.5**2))
    assert median_gamma("laplacian", four) == pytest.approx(1 / 3.5)


def test_two_rows():
    assert median_gamma("rbf", np.array([[0.0, 0.0], [3.0, 4.0]])) == pytest.approx(1 / 50)
    assert median_gamma("laplacian", np.array([[0.0, 0.0], [3.0, 4.0]])) == pytest.approx(1 / 7)


def test_median_zero_takes_the_positive_distances():
    # Eight equal rows and two others: 29 of 45 distances are 0.
    Z = np.concatenate([np.zeros(8), [2.0, 6.0]])[:, None]
    # Positive: 2 (8 times), 6 (8 times), 4 once; median 4.
    assert median_gamma("rbf", Z) == pytest.approx(1 / (2 * 4.0**2))


@pytest.mark.parametrize("kernel", SCALED)
@pytest.mark.parametrize("n", [1, 2, 5])
def test_all_rows_equal(kernel, n):
    Z = np.full((n, 3), 7.5)
    gamma = median_gamma(kernel, Z)
    assert np.isfinite(gamma)
    assert gamma > 0
    grid = dyadic_gammas(kernel, Z)
    assert np.all(np.isfinite(grid) & (grid > 0))


def test_all_rows_equal_means_gamma_one():
    assert median_gamma("laplacian", np.full((5, 2), 3.0)) == 1.0
    assert median_gamma("rbf", np.full((5, 2), 3.0)) == 1.0


@pytest.mark.parametrize("kernel", SCALED)
def test_gamma_follows_the_scale(kernel, rng):
    Z = rng.normal(size=(25, 3))
    power = 1 if kernel == "laplacian" else 2
    for factor in (2.0**-30, 8.0, 2.0**30):
        assert median_gamma(kernel, Z * factor) == pytest.approx(
            median_gamma(kernel, Z) / factor**power, rel=1e-12
        )
        np.testing.assert_allclose(
            dyadic_gammas(kernel, Z * factor), dyadic_gammas(kernel, Z) / factor**power, rtol=1e-12
        )


@pytest.mark.parametrize("n", [30, 2500])
@pytest.mark.parametrize("kernel", SCALED)
def test_the_order_of_the_rows_does_not_matter(kernel, n, rng):
    """Beyond 2,000 rows too: the order tells the groups, and may not choose the subsample."""
    Z = rng.normal(size=(n, 3))
    Z[: n // 2] += 3.0
    for order in (rng.permutation(n), np.arange(n)[::-1]):
        assert median_gamma(kernel, Z[order]) == pytest.approx(median_gamma(kernel, Z), rel=1e-9)
        np.testing.assert_allclose(
            dyadic_gammas(kernel, Z[order]), dyadic_gammas(kernel, Z), rtol=1e-9
        )


def test_the_subsample_is_close_to_the_whole(rng):
    Z = rng.normal(size=(5000, 2))
    Z[2500:] += 2.0
    median = np.median(distance.pdist(Z))
    assert 1 / np.sqrt(2 * median_gamma("rbf", Z)) == pytest.approx(median, rel=0.05)


def test_two_thousand_rows_are_used_whole(rng):
    Z = rng.normal(size=(2000, 2))
    median = np.quantile(distance.pdist(Z), 0.5, method="averaged_inverted_cdf")
    assert median_gamma("rbf", Z) == pytest.approx(1 / (2 * median**2), rel=1e-12)


@pytest.mark.parametrize("kernel", SCALED)
@given(samples=strategies.samples(n_samples=1, min_rows=3, max_rows=14, forms=("C",)))
def test_dyadic_grid(kernel, samples):
    (Z,) = samples.plain
    grid = dyadic_gammas(kernel, Z)
    assert 1 <= len(grid) <= 14
    ratio = grid[1] / grid[0] if len(grid) > 1 else 2.0
    assert ratio == 2.0 ** round(np.log2(ratio))
    np.testing.assert_array_equal(grid[1:], ratio * grid[:-1])
    assert np.all(np.isfinite(grid) & (grid > 0))
    distances, counts = reference.pooled_distances(Z, "l1" if kernel == "laplacian" else "l2")
    low, high = (reference.averaged_inverted_cdf(distances, counts, q) for q in (0.05, 0.95))
    if low == 0:
        return
    if kernel == "laplacian":
        widest, narrowest = 1 / (2 * high), 1 / (low / 2)
    else:
        widest, narrowest = 1 / (2 * (2 * high) ** 2), 1 / (2 * (low / 2) ** 2)
    # It starts at the narrow end and stops within a step of the wide one.
    assert grid[-1] == pytest.approx(narrowest, rel=1e-7)
    assert widest / ratio * (1 - 1e-7) < grid[0] < widest * (1 + 1e-7)
    # The step is the smallest with which 14 kernels span the distances.
    octaves = np.log2(narrowest / widest)
    assert ratio == 2.0 or octaves / np.log2(ratio / 2.0) > 13 * (1 - 1e-7)


@given(data=st.data())
def test_weighted_grid(data):
    samples = data.draw(
        strategies.samples(n_samples=1, min_rows=3, max_rows=9, forms=("C",), contents=("normal",))
    )
    (Z,) = samples.plain
    weights = data.draw(strategies.integer_weights(len(Z), 3))
    repeated = Z.repeat(weights, axis=0)
    np.testing.assert_allclose(
        dyadic_gammas("rbf", Z, weights.astype(float)), dyadic_gammas("rbf", repeated), rtol=1e-9
    )


@pytest.mark.parametrize("scale", [1e-140, 1e140])
def test_near_the_edge_of_float64(scale, rng):
    Z = rng.normal(size=(12, 2))
    expected = median_gamma("rbf", Z) / scale**2
    assert median_gamma("rbf", Z * scale) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-160, 1e160])
def test_beyond_the_edge_of_float64(scale, rng):
    """Squares of these leave float64: no gamma, rather than one that means nothing."""
    with pytest.raises(ValueError, match=r"(?i)rescale"):
        median_gamma("rbf", rng.normal(size=(12, 2)) * scale)
