"""The pairs of samples follow the distributions that their papers state."""

import itertools

import numpy as np
import pytest
from scipy import integrate, stats

from skmmd import datasets

LARGE = 200_000

MAKERS = [
    datasets.make_blobs_grid,
    datasets.make_hdgm,
    datasets.make_mean_shift,
    datasets.make_mixture_scale,
    datasets.make_null,
    datasets.make_perturbed_uniform,
]


@pytest.mark.parametrize("make", MAKERS)
def test_a_seed_fixes_both_samples(make):
    first, again, other = (make((7, 5), random_state=seed) for seed in (3, 3, 4))
    for sample, size in zip(first, (7, 5), strict=True):
        assert sample.shape[0] == size
        assert sample.dtype == np.float64
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])
    assert not np.array_equal(first[1], other[1])


@pytest.mark.parametrize("make", MAKERS)
def test_one_size_stands_for_both(make):
    X, Y = make(6, random_state=np.random.RandomState(0))
    assert X.shape == Y.shape
    assert X.shape[0] == 6


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(
    ("n_samples", "error", "message"),
    [
        (0, ValueError, "n_samples == 0"),
        ((4, -1), ValueError, "n_samples == -1"),
        ((1, 2, 3), ValueError, "pair of ints"),
        (2.5, TypeError, "n_samples must be an instance of int"),
    ],
)
def test_impossible_sizes_are_refused(make, n_samples, error, message):
    with pytest.raises(error, match=message):
        make(n_samples)


def test_mixture_differs_in_the_scale_of_one_component():
    samples = datasets.make_mixture_scale(LARGE, scale=1.6, random_state=0)
    for sample, last in zip(samples, (1.0, 1.6), strict=True):
        scales = {}
        for sign_x in (-1, 1):
            for sign_y in (-1, 1):
                rows = sample[(np.sign(sample) == (sign_x, sign_y)).all(axis=1)]
                assert len(rows) / LARGE == pytest.approx(0.25, abs=0.005)
                np.testing.assert_allclose(
                    rows.mean(axis=0), (20 * sign_x, 20 * sign_y), atol=0.035
                )
                scales[sign_x, sign_y] = rows.std(axis=0)
                assert np.corrcoef(rows.T)[0, 1] == pytest.approx(0.0, abs=0.02)
        np.testing.assert_allclose(scales.pop((1, 1)), last, rtol=0.015)
        np.testing.assert_allclose(list(scales.values()), 1.0, rtol=0.015)


def perturbed_density(x, amplitude, signs):
    """The density as Schrab et al. write it, point by point."""
    total = 0.0
    for j, sign in zip((1, 2), signs, strict=True):
        u = 2 * x - j
        if -1 < u < -0.5:
            total += sign * np.exp(-1 / (1 - (4 * u + 3) ** 2))
        elif -0.5 < u < 0:
            total -= sign * np.exp(-1 / (1 - (4 * u + 1) ** 2))
    return 1 + np.e * amplitude * total


@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_perturbed_uniform_follows_its_density(signs):
    X, Y = datasets.make_perturbed_uniform(LARGE, amplitude=0.7, signs=signs, random_state=1)
    edges = np.linspace(0, 1, 17)
    expected = [
        LARGE * integrate.quad(perturbed_density, a, b, args=(0.7, signs))[0]
        for a, b in itertools.pairwise(edges)
    ]
    assert sum(expected) == pytest.approx(LARGE, rel=1e-8)
    counts = np.histogram(Y, edges)[0]
    assert stats.chisquare(counts, np.array(expected) * LARGE / sum(expected)).pvalue > 1e-3
    flipped = 2 * LARGE / 16 - np.array(expected)  # the opposite waves
    assert stats.chisquare(counts, flipped * LARGE / sum(flipped)).pvalue < 1e-9
    assert stats.kstest(X[:, 0], "uniform").pvalue > 1e-3


def test_perturbed_uniform_draws_its_signs():
    def rising(seed, half):
        inside = datasets.make_perturbed_uniform(4000, amplitude=1.0, random_state=seed)[1]
        start = 0.5 * half
        up = ((inside > start) & (inside < start + 0.25)).sum()
        down = ((inside > start + 0.25) & (inside < start + 0.5)).sum()
        return bool(up > down)

    seen = {(rising(seed, 0), rising(seed, 1)) for seed in range(30)}
    assert len(seen) == 4


def test_perturbed_uniform_without_amplitude_is_uniform():
    Y = datasets.make_perturbed_uniform(LARGE, amplitude=0.0, random_state=2)[1]
    assert stats.kstest(Y[:, 0], "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"amplitude": 1.2}, "amplitude must lie in"),
        ({"amplitude": -0.1}, "amplitude must lie in"),
        ({"signs": (1, 0)}, "signs must be a pair"),
        ({"signs": (1, 1, 1)}, "signs must be a pair"),
    ],
)
def test_perturbed_uniform_refuses_what_is_no_density(arguments, message):
    with pytest.raises(ValueError, match=message):
        datasets.make_perturbed_uniform(10, **arguments)


def test_blobs_differ_in_their_correlations_alone():
    # Neighbouring blobs overlap a little, so each unit cell is compared with the mixture's
    # density there, integrated over a fine grid.
    offset = (np.arange(100) + 0.5) / 100 - 0.5
    slants = (-0.02, -0.022, -0.024, -0.026, 0.0, 0.02, 0.022, 0.024, 0.026)
    centers = [(i // 3, i % 3) for i in range(9)]
    for sample, slanted in zip(
        datasets.make_blobs_grid(LARGE, random_state=0), (0.0, 1.0), strict=True
    ):
        blobs = [
            stats.multivariate_normal(center, [[0.03, slanted * slant], [slanted * slant, 0.03]])
            for center, slant in zip(centers, slants, strict=True)
        ]
        cell = np.rint(sample)
        for center in centers:
            grid = np.stack(np.meshgrid(*(c + offset for c in center)), axis=-1).reshape(-1, 2)
            density = sum(blob.pdf(grid) for blob in blobs) / 9
            rows = sample[(cell == center).all(axis=1)]
            assert len(rows) / LARGE == pytest.approx(density.mean(), rel=0.03)
            expected = np.cov(grid.T, aweights=density)
            np.testing.assert_allclose(np.cov(rows.T), expected, atol=0.0012)


def test_hdgm_flips_the_correlation_between_the_modes():
    # Modes half a unit apart overlap, so the mixture's own moments are compared. With m = .5 u,
    # u in {0, 1}: cov(x0, x1) = var(m) = 1/16 in both samples. The third mixed moment
    # E[(x0 - 1/4)(x1 - 1/4)(x2 - 1/4)] = E[(m - 1/4) rho(u)] = -rho/4 only in the second.
    for sample, rho in zip(
        datasets.make_hdgm(2 * LARGE, 4, correlation=0.5, random_state=0), (0.0, 0.5), strict=True
    ):
        np.testing.assert_allclose(sample.mean(axis=0), 0.25, atol=0.008)
        np.testing.assert_allclose(np.cov(sample.T), np.eye(4) + 1 / 16, atol=0.012)
        third = sample - 0.25
        assert third[:, :3].prod(axis=1).mean() == pytest.approx(-rho / 4, abs=0.01)
        assert third[:, [0, 2, 3]].prod(axis=1).mean() == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"n_features": 1}, "n_features must be at least 2"), ({"correlation": 1.5}, "correlation")],
)
def test_hdgm_refuses_what_is_no_mixture(arguments, message):
    with pytest.raises(ValueError, match=message):
        datasets.make_hdgm(10, **arguments)


def test_mean_shift_moves_each_coordinate_alike():
    X, Y = datasets.make_mean_shift((LARGE, LARGE // 2), 3, shift=0.3, random_state=0)
    np.testing.assert_allclose(X.mean(axis=0), 0.0, atol=0.01)
    np.testing.assert_allclose(Y.mean(axis=0), 0.3, atol=0.014)
    for sample in (X, Y):
        np.testing.assert_allclose(np.cov(sample.T), np.eye(3), atol=0.015)


def test_null_samples_are_independent_standard_normal():
    X, Y = datasets.make_null(LARGE, random_state=0)
    assert X.shape == Y.shape == (LARGE, 3)
    for column in (*X.T, *Y.T):
        assert stats.kstest(column, "norm").pvalue > 1e-3
    np.testing.assert_allclose(np.corrcoef(np.hstack([X, Y]).T), np.eye(6), atol=0.01)
