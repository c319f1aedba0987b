"""Known densities: normalised, with the gradient and the sampler that belong to them."""

import numpy as np
import pytest
from scipy import integrate, stats

from skmmd.datasets import make_density

NAMES = ["ring", "banana", "cosine", "funnel", "grid", "mix3"]

# Where the mass of each planar density is; the funnel's second coordinate needs room.
BOXES = {
    "ring": ((-5, 5), (-5, 5)),
    "banana": ((-14, 14), (-6, 82)),
    "cosine": ((-14, 14), (-5, 5)),
    "funnel": ((-7, 7), (-180, 180)),
    "grid": ((-6, 6), (-6, 6)),
    "mix3": ((-12, 12), (-12, 12)),
}


def ring_log_density(X):
    total = 0.0
    r = np.hypot(X[:, 0], X[:, 1])
    for radius in (1.0, 3.0):

        def radial(t, radius=radius):
            return t * np.exp(-((t - radius) ** 2) / (2 * 0.25**2))

        mass = integrate.quad(radial, 0, 10, points=[radius])[0]
        # Spread over a circle of length 2 pi r.
        total += radius / 4 * radial(r) / mass / (2 * np.pi * r)
    return np.log(total) + stats.norm.logpdf(X[:, 2:]).sum(axis=1)


def curve_log_density(X, mean, width):
    return (
        stats.norm.logpdf(X[:, 0], 0, 2)
        + stats.norm.logpdf(X[:, 1], mean(X[:, 0]), width)
        + stats.norm.logpdf(X[:, 2:]).sum(axis=1)
    )


def banana_log_density(X):
    return curve_log_density(X, lambda x: 0.4 * (x**2 - 4), 0.6)


def cosine_log_density(X):
    return curve_log_density(X, lambda x: 1.5 * np.cos(1.5 * x), 0.4)


def funnel_log_density(X):
    deviation = np.sqrt(np.exp(X[:, :1]))
    return stats.norm.logpdf(X[:, 0]) + stats.norm.logpdf(X[:, 1:], 0, deviation).sum(axis=1)


def grid_log_density(X):
    d = X.shape[1]
    if d == 2:
        vertices = [(a, b) for a in (-1.5, 1.5) for b in (-1.5, 1.5)]
    else:
        numbers = np.random.default_rng(0).choice(2**d, size=max(d, 4), replace=False)
        vertices = [[1.5 if bit == "1" else -1.5 for bit in f"{n:0{d}b}"] for n in numbers]
    return np.log(
        np.mean([stats.multivariate_normal(v, 0.25 * np.eye(d)).pdf(X) for v in vertices], axis=0)
    )


def mix3_log_density(X):
    d = X.shape[1]
    rng = np.random.default_rng(1)
    total = 0.0
    for weight in (0.5, 0.3, 0.2):
        A = rng.standard_normal((d, d))
        mean = 1.5 * rng.standard_normal(d)
        covariance = A @ A.T / d + 0.2 * np.eye(d)
        total += weight * stats.multivariate_normal(mean, covariance).pdf(X)
    return np.log(total)


FORMULAS = {
    "ring": ring_log_density,
    "banana": banana_log_density,
    "cosine": cosine_log_density,
    "funnel": funnel_log_density,
    "grid": grid_log_density,
    "mix3": mix3_log_density,
}


@pytest.mark.parametrize("n_features", [2, 3, 6])
@pytest.mark.parametrize("name", NAMES)
def test_log_density_is_the_formula(name, n_features):
    X = np.random.default_rng(5).normal(size=(200, n_features)) * 1.5
    actual = make_density(name, n_features).score_samples(X)
    np.testing.assert_allclose(actual, FORMULAS[name](X), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_density_integrates_to_one(name):
    density = make_density(name)
    axes = [np.linspace(low, high, 4001) for low, high in BOXES[name]]
    inner = []
    for x in axes[0][::10]:
        values = density.score_samples(np.column_stack([np.full(4001, x), axes[1]]))
        inner.append(integrate.simpson(np.exp(values), x=axes[1]))
    assert integrate.simpson(inner, x=axes[0][::10]) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("n_features", [2, 5])
@pytest.mark.parametrize("name", NAMES)
def test_score_is_the_gradient_of_the_log_density(name, n_features):
    density = make_density(name, n_features)
    X = density.sample(100, random_state=0)
    step = 1e-5
    gradient = np.column_stack(
        [
            (density.score_samples(X + step * e) - density.score_samples(X - step * e)) / (2 * step)
            for e in np.eye(n_features)
        ]
    )
    np.testing.assert_allclose(density.score_function(X), gradient, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_sampler_follows_the_density(name):
    # Counts in the cells of a coarse grid against the density's integral over each cell.
    density = make_density(name)
    n = 100_000
    X = density.sample(n, random_state=0)
    edges = [np.quantile(column, np.linspace(0.02, 0.98, 9)) for column in X.T]
    counts = np.histogram2d(X[:, 0], X[:, 1], bins=edges)[0].ravel()
    midpoints, widths = [], []
    for edge in edges:
        fine = np.interp(np.arange(8 * 60 + 1), 60 * np.arange(9), edge)
        midpoints.append((fine[1:] + fine[:-1]) / 2)
        widths.append(np.diff(fine))
    points = np.stack(np.meshgrid(*midpoints, indexing="ij"), axis=-1).reshape(-1, 2)
    mass = np.exp(density.score_samples(points)) * np.outer(*widths).ravel()
    expected = n * mass.reshape(8, 60, 8, 60).sum(axis=(1, 3)).ravel()
    # Each cell, and what is outside of all of them.
    counts, expected = np.append(counts, n - counts.sum()), np.append(expected, n - expected.sum())
    kept = expected > 5
    assert kept.sum() > 20
    statistic = ((counts - expected)[kept] ** 2 / expected[kept]).sum()
    assert stats.chi2(kept.sum() - 1).sf(statistic) > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_sampler_in_more_dimensions_satisfies_stein(name):
    # E[score(X)_i X_j] = -(i == j) under the density that the score belongs to.
    density = make_density(name, 4)
    X = density.sample(200_000, random_state=1)
    product = density.score_function(X)[:, :, None] * X[:, None, :]
    error = product.std(axis=0) / np.sqrt(len(X))
    deviation = (product.mean(axis=0) + np.eye(4)) / error
    assert np.abs(deviation).max() < 4.5


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_fixes_the_sample(name):
    density = make_density(name, 3)
    X = density.sample(5, random_state=2)
    assert X.shape == (5, 3)
    assert X.dtype == np.float64
    np.testing.assert_array_equal(X, density.sample(5, random_state=2))
    assert not np.array_equal(X, density.sample(5, random_state=3))


def test_ring_has_a_finite_score_at_its_centre():
    assert (make_density("ring").score_function([[0.0, 0.0]]) == 0.0).all()


def test_wrong_requests_are_refused():
    with pytest.raises(ValueError, match=r"name must be one of \['banana'.*got 'donut'"):
        make_density("donut")
    for n_features in (1, 63):
        with pytest.raises(ValueError, match=f"from 2 to 62; got {n_features}"):
            make_density("ring", n_features)
    with pytest.raises(ValueError, match="X has 2 features, but this density has 3"):
        make_density("ring", 3).score_samples(np.zeros((4, 2)))
    with pytest.raises(ValueError, match="contains NaN"):
        make_density("ring").score_samples([[np.nan, 0.0]])


def test_the_largest_grid_has_distinct_vertices():
    X = make_density("grid", 62).sample(500, random_state=0)
    assert len(np.unique(np.rint(X / 3 + 0.5), axis=0)) > 62  # rounding strays, but none merge


def test_ring_radii_follow_their_density():
    X = make_density("ring", 3).sample(1_000_000, random_state=0)
    grid = np.linspace(1e-9, 6, 60_001)
    radial = np.exp(ring_log_density(np.column_stack([grid, np.zeros_like(grid)]))) * grid
    cumulative = integrate.cumulative_trapezoid(2 * np.pi * radial, x=grid, initial=0.0)
    assert cumulative[-1] == pytest.approx(1.0, abs=1e-6)
    radii = np.hypot(X[:, 0], X[:, 1])
    assert stats.kstest(radii, lambda r: np.interp(r, grid, cumulative)).pvalue > 1e-3
