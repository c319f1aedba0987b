"""Base measures: densities and derivatives against SciPy, scikit-learn and differences."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import kstest, multivariate_normal, norm, truncnorm
from sklearn.covariance import ledoit_wolf
from sklearn.mixture import BayesianGaussianMixture, GaussianMixture
from sklearn.neighbors import KernelDensity

import skmmd.mixture
from skmmd.datasets import make_density
from skmmd.density._bases import (
    EstimatorBase,
    MixtureBase,
    TruncatedBase,
    as_mixture,
    best_mixtures,
    copies,
    estimator_base,
    gaussian_base,
    mixture_base,
)


def positive_definite(rng, d):
    A = rng.normal(size=(d, d))
    return A @ A.T / d + 0.3 * np.eye(d)


def a_mixture(rng, k, d):
    covariances = np.stack([positive_definite(rng, d) for _ in range(k)])
    return MixtureBase(rng.dirichlet(np.full(k, 3.0)), rng.normal(size=(k, d)), covariances)


def gradient(function, X, step=1e-5):
    """Return central differences of a function of rows; the new axis comes last."""
    slopes = []
    for e in step * np.eye(X.shape[1]):
        slopes.append((function(X + e) - function(X - e)) / (2.0 * step))
    return np.stack(slopes, axis=-1)


# --------------------------------------------------------------------------------------
# mixtures


@pytest.mark.parametrize(("k", "d"), [(1, 1), (1, 4), (3, 1), (3, 4)])
def test_mixture_density_is_that_of_scipy(k, d, rng):
    base, X = a_mixture(rng, k, d), 2.0 * rng.normal(size=(30, d))
    expected = sum(
        w * multivariate_normal(m, C).pdf(X)
        for w, m, C in zip(base.weights, base.means, base.covariances, strict=True)
    )
    np.testing.assert_allclose(base.log_density(X), np.log(expected), rtol=1e-12)


@pytest.mark.parametrize(("k", "d"), [(1, 1), (1, 4), (3, 1), (3, 4)])
def test_derivatives_of_a_mixture_are_slopes(k, d, rng):
    base, X = a_mixture(rng, k, d), 2.0 * rng.normal(size=(30, d))
    score, hessian = base.score(X), base.hessian(X)
    np.testing.assert_allclose(score, gradient(base.log_density, X), atol=1e-8)
    np.testing.assert_allclose(hessian, gradient(base.score, X), atol=1e-8)
    np.testing.assert_allclose(base.laplacian(X), np.trace(hessian, axis1=1, axis2=2), rtol=1e-11)


def test_far_from_a_mixture_nothing_overflows():
    base = MixtureBase(np.array([0.4, 0.6]), np.array([[0.0], [3.0]]), np.ones((2, 1, 1)))
    X = np.array([[1e6], [-1e6]])
    np.testing.assert_allclose(base.score(X), [[3.0 - 1e6], [1e6]], rtol=1e-12)
    np.testing.assert_allclose(base.laplacian(X), -1.0, rtol=1e-12)
    np.testing.assert_allclose(base.hessian(X), -1.0, rtol=1e-12)
    expected = np.log([0.6, 0.4]) + norm.logpdf([1e6 - 3.0, 1e6])
    np.testing.assert_allclose(base.log_density(X), expected, rtol=1e-12)


def test_blocks_of_rows_change_nothing(rng, monkeypatch):
    base, X = a_mixture(rng, 3, 4), rng.normal(size=(50, 4))
    functions = (base.log_density, base.score, base.laplacian, base.hessian)
    whole = [function(X) for function in functions]
    monkeypatch.setattr("skmmd.density._bases._BLOCK_SIZE", 100)
    for function, expected in zip(functions, whole, strict=True):
        np.testing.assert_allclose(function(X), expected, rtol=1e-12)
    assert base.score(X[:0]).shape == (0, 4)


def test_draws_of_a_mixture_have_its_moments(rng):
    base = a_mixture(rng, 3, 2)
    X = base.draw(200_000, rng)
    mean = base.weights @ base.means
    second = sum(
        w * (C + np.outer(m, m))
        for w, m, C in zip(base.weights, base.means, base.covariances, strict=True)
    )
    np.testing.assert_allclose(X.mean(axis=0), mean, atol=0.015)
    np.testing.assert_allclose(X.T @ X / len(X), second, atol=0.04)


def test_draws_of_a_mixture_go_to_the_right_components(rng):
    weights, means = np.array([0.2, 0.0, 0.8]), np.array([[-50.0], [0.0], [50.0]])
    X = MixtureBase(weights, means, np.ones((3, 1, 1))).draw(20_000, rng)
    assert np.mean(X < -25.0) == pytest.approx(0.2, abs=0.012)
    assert not np.any(np.abs(X) < 25.0)
    assert kstest(X[X > 25.0] - 50.0, "norm").pvalue > 1e-3


def test_inflated_and_precision(rng):
    base = a_mixture(rng, 1, 3)
    assert base.is_gaussian
    np.testing.assert_allclose(base.precision @ base.covariances[0], np.eye(3), atol=1e-12)
    wide = base.inflated(2.5)
    X = rng.normal(size=(5, 3))
    expected = multivariate_normal(base.means[0], 2.5 * base.covariances[0]).logpdf(X)
    np.testing.assert_allclose(wide.log_density(X), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="one component"):
        _ = a_mixture(rng, 2, 3).precision


# --------------------------------------------------------------------------------------
# fits


def test_gaussian_is_maximum_likelihood(rng):
    X, weight = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 3)), rng.dirichlet(np.ones(40))
    base = gaussian_base(X, weight, 40)
    np.testing.assert_allclose(base.means[0], np.average(X, axis=0, weights=weight), rtol=1e-12)
    expected = np.cov(X.T, aweights=weight, ddof=0)
    np.testing.assert_allclose(base.covariances[0], expected, rtol=1e-10)


@pytest.mark.parametrize(("n", "d"), [(6, 9), (9, 9), (3, 30), (20, 25)])
def test_few_rows_are_shrunk_as_scikit_learn_does(n, d, rng):
    X = rng.normal(size=(n, d)) * rng.uniform(0.5, 2.0, d) + 3.0
    found = gaussian_base(X, np.full(n, 1.0 / n), n).covariances[0]
    np.testing.assert_allclose(found, ledoit_wolf(X)[0], rtol=1e-9, atol=1e-12)


def test_shrinkage_with_whole_weights_equals_copies(rng):
    X, counts = rng.normal(size=(6, 9)), np.array([1, 3, 2, 1, 1, 4])
    found = gaussian_base(X, counts / 12.0, 12)
    expected = ledoit_wolf(np.repeat(X, counts, axis=0))[0]
    np.testing.assert_allclose(found.covariances[0], expected, rtol=1e-9, atol=1e-12)


def test_two_rows_are_shrunk_though_they_look_free_of_noise(rng):
    """Ledoit and Wolf's estimate is singular for two samples."""
    X = rng.normal(size=(2, 5))
    found = np.linalg.eigvalsh(gaussian_base(X, np.full(2, 0.5), 2).covariances[0])
    variance = np.square(X - X.mean(axis=0)).sum() / 2
    np.testing.assert_allclose(found[:4], variance / 15, rtol=1e-10)
    assert found.sum() == pytest.approx(variance, rel=1e-12)


@pytest.mark.parametrize("X", [np.ones((4, 2)), np.array([[0.0], [0.0]]), np.ones((1, 3))])
def test_equal_rows_give_a_proper_gaussian(X):
    base = gaussian_base(X, np.full(len(X), 1.0 / len(X)), len(X))
    assert np.all(np.isfinite(base.log_density(X)))
    assert np.linalg.eigvalsh(base.covariances[0])[0] > 0.0


def test_mixture_is_that_of_scikit_learn(rng):
    """The same optimum, found from starts of scikit-learn's own."""
    X = make_density("grid", 2).sample(600, random_state=0)
    weight = np.full(600, 1.0 / 600)
    base = mixture_base(X, weight, 4, 600, 0)
    peer = GaussianMixture(4, n_init=5, random_state=1).fit(X)
    assert weight @ base.log_density(X) == pytest.approx(peer.score(X), abs=1e-3)
    assert base.weights.sum() == pytest.approx(1.0, abs=1e-14)
    peer.weights_, peer.means_, peer.covariances_ = base.weights, base.means, base.covariances
    peer.precisions_cholesky_ = np.linalg.cholesky(np.linalg.inv(base.covariances))
    np.testing.assert_allclose(base.log_density(X), peer.score_samples(X), rtol=1e-10)


def test_one_component_is_the_gaussian(rng):
    X, weight = rng.normal(size=(30, 2)), rng.dirichlet(np.ones(30))
    found, expected = mixture_base(X, weight, 1, 30, 0), gaussian_base(X, weight, 30)
    np.testing.assert_array_equal(found.covariances, expected.covariances)


def test_mixture_of_whole_weights_equals_copies(rng):
    X, counts = rng.normal(size=(80, 2)), rng.integers(1, 4, 80)
    X[40:] += 6.0
    order = np.repeat(np.arange(80), counts)
    n = int(counts.sum())
    weighted = mixture_base(X, counts / n, 2, n, 3)
    copied = mixture_base(X[order], np.full(n, 1.0 / n), 2, n, 3)
    np.testing.assert_array_equal(weighted.means, copied.means)


def test_mixture_follows_fractional_weights(rng):
    """Two far groups: the mixture is that of their weighted moments, but for rounding."""
    X = np.concatenate([rng.normal(size=(1000, 1)), 30.0 + rng.normal(size=(1000, 1))])
    weight = np.exp(np.where(X < 15.0, X, 31.0 - X))[:, 0]
    weight /= weight.sum()
    base = mixture_base(X, weight, 2, 2000.0, 0)
    order = np.argsort(base.means[:, 0])
    for k, group in zip(order, (slice(0, 1000), slice(1000, 2000)), strict=True):
        mean = np.average(X[group, 0], weights=weight[group])
        assert abs(mean - X[group].mean()) > 0.7
        assert base.means[k, 0] == pytest.approx(mean, abs=0.05)
        variance = np.cov(X[group, 0], aweights=weight[group], ddof=0)
        assert base.covariances[k, 0, 0] == pytest.approx(variance, rel=0.05)
        assert base.weights[k] == pytest.approx(weight[group].sum(), abs=0.01)


@pytest.mark.parametrize(
    ("name", "d", "expected"), [("grid", 2, 4), ("grid", 5, 5), ("mix3", 5, 3)]
)
def test_bic_finds_the_components_there_are(name, d, expected):
    for seed in range(3):
        X = make_density(name, d).sample(600, random_state=seed)
        found = best_mixtures(X, np.full(600, 1.0 / 600), 600, seed, columns=np.eye(d))
        assert len(found[0][1].weights) == expected


def test_bic_is_as_low_as_that_of_scikit_learn():
    """The criterion by scikit-learn's formula, beside its fits."""
    X = make_density("banana", 2).sample(300, random_state=1)
    weight = np.full(300, 1.0 / 300)
    lowest = min(GaussianMixture(k, random_state=0).fit(X).bic(X) for k in range(1, 8))
    base = best_mixtures(X, weight, 300, 0, columns=np.eye(2))[0][1]
    peer = GaussianMixture(len(base.weights))
    peer.weights_, peer.means_, peer.covariances_ = base.weights, base.means, base.covariances
    peer.precisions_cholesky_ = np.linalg.cholesky(np.linalg.inv(base.covariances))
    assert peer.bic(X) < lowest + 1.0


def test_the_search_ends_after_three_numbers_without_gain(rng, monkeypatch):
    """Two and three components gain nothing, four do, five to ten never."""
    X = make_density("grid", 2).sample(400, random_state=0)
    weight = np.full(400, 1.0 / 400)
    one, four = gaussian_base(X, weight, 400), mixture_base(X, weight, 4, 400, 0)
    tried = []

    def fit(rows, k, random_state, shape, start):
        tried.append(k)
        best = one if k < 4 else four
        split = max(1, k // len(best.weights))
        shares = np.repeat(best.weights / split, split)
        return MixtureBase(
            shares, *(np.repeat(a, split, 0) for a in (best.means, best.covariances))
        )

    monkeypatch.setattr("skmmd.density._bases._fit_mixture", fit)
    assert len(best_mixtures(X, weight, 400, 0)[0][1].weights) == 4
    assert tried == [2, 3, 4, 5, 6, 7] * 2


def test_components_hold_enough_rows(rng):
    X = rng.normal(size=(11, 3))
    X[:1] += 1e3
    weight = np.full(11, 1.0 / 11)
    assert len(best_mixtures(X, weight, 11, 0)[0][1].weights) == 1
    assert len(best_mixtures(X[:3], np.full(3, 1.0 / 3), 3, 0)[0][1].weights) == 1


def test_more_than_20_000_rows_are_a_subset(rng):
    X = rng.normal(size=(20_001, 1))
    X[::2] += 10.0
    base = mixture_base(X, np.full(20_001, 1.0 / 20_001), 2, 20_001, 0)
    np.testing.assert_allclose(np.sort(base.means[:, 0]), [0.0, 10.0], atol=0.05)
    again = mixture_base(X, np.full(20_001, 1.0 / 20_001), 2, 20_001, 0)
    np.testing.assert_array_equal(base.means, again.means)


def test_copies_of_equal_and_whole_weights():
    np.testing.assert_array_equal(copies(np.full(3, 1 / 3), 3), [0, 1, 2])
    np.testing.assert_array_equal(copies(np.array([0.5, 0.0, 0.5]), 7.3), [0, 2])
    np.testing.assert_array_equal(copies(np.array([1, 3, 0, 2]) / 6, 6), [0, 1, 1, 1, 3, 3])


def test_copies_of_other_weights_are_in_proportion(rng):
    weight = rng.dirichlet(np.ones(50))
    for n_samples in (50.0, 1.0, 1e6):
        counts = np.bincount(copies(weight, n_samples), minlength=50)
        assert counts.sum() == 200
        assert np.all(np.abs(counts - 200 * weight) < 1.0)
    whole = np.array([1.0, 99_999.0])
    counts = np.bincount(copies(whole / whole.sum(), whole.sum()), minlength=2)
    np.testing.assert_array_equal(counts, [0, 8])


# --------------------------------------------------------------------------------------
# fitted estimators


class Wrapped:
    """A known density that offers what a base measure must."""

    def __init__(self, density, hessian=None):
        self.density = density
        if hessian is not None:
            self.hessian = hessian

    def score_samples(self, X):
        return self.density.log_density(X)

    def score_function(self, X):
        return self.density.score(X)

    def sample(self, n_samples=1, random_state=None):
        return self.density.draw(n_samples, np.random.default_rng(random_state))


def whitened(base, center, root):
    """Return what a mixture becomes in whitened coordinates, by the rule for linear maps."""
    root = np.diag(root) if root.ndim == 1 else root
    inverse = np.linalg.inv(root)
    means = np.stack([inverse @ (m - center) for m in base.means])
    return MixtureBase(
        base.weights, means, np.stack([inverse @ C @ inverse.T for C in base.covariances])
    )


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("own_hessian", [False, True])
def test_an_estimator_in_whitened_coordinates(diagonal, own_hessian, rng):
    data, center = a_mixture(rng, 2, 3), np.array([1.0, -2.0, 0.5])
    root = np.array([0.5, 2.0, 1.2]) if diagonal else positive_definite(rng, 3)
    estimator = Wrapped(data, data.hessian if own_hessian else None)
    base, expected = estimator_base(estimator, center, root), whitened(data, center, root)
    assert isinstance(base, EstimatorBase)
    Z = rng.normal(size=(20, 3))
    np.testing.assert_allclose(base.log_density(Z), expected.log_density(Z), rtol=1e-11)
    np.testing.assert_allclose(base.score(Z), expected.score(Z), atol=1e-10)
    np.testing.assert_allclose(base.hessian(Z), expected.hessian(Z), atol=1e-7)
    np.testing.assert_allclose(base.laplacian(Z), expected.laplacian(Z), atol=1e-7)
    drawn = base.draw(40_000, rng)
    np.testing.assert_allclose(drawn.mean(axis=0), expected.weights @ expected.means, atol=0.15)
    same = [base.draw(3, np.random.default_rng(5)) for _ in range(2)]
    np.testing.assert_array_equal(*same)


def test_drawing_leaves_the_parameter_of_the_estimator(rng):
    """A mixture's `sample` has labels, and its seed is a parameter of the estimator."""
    X = rng.normal(size=(50, 2))
    mixture = GaussianMixture(2, random_state=7).fit(X)
    base = EstimatorBase(mixture, np.array([5.0, 0.0]), np.eye(2))
    first = base.draw(4, np.random.default_rng(0))
    assert first.shape == (4, 2)
    assert mixture.random_state == 7
    assert not np.array_equal(first, base.draw(4, np.random.default_rng(1)))
    assert base.draw(2000, rng)[:, 0].mean() == pytest.approx(X[:, 0].mean() - 5.0, abs=0.15)


@pytest.mark.parametrize("shape", ["full", "tied", "diag", "spherical"])
def test_a_mixture_of_scikit_learn(shape, rng):
    X = rng.normal(size=(100, 3)) @ positive_definite(rng, 3) + 2.0
    mixture = GaussianMixture(2, covariance_type=shape, random_state=0).fit(X)
    root, center = positive_definite(rng, 3), X.mean(axis=0)
    base = estimator_base(mixture, center, root)
    assert isinstance(base, MixtureBase)
    Z = rng.normal(size=(10, 3))
    expected = mixture.score_samples(center + Z @ root) + np.linalg.slogdet(root)[1]
    np.testing.assert_allclose(base.log_density(Z), expected, rtol=1e-10)


@pytest.mark.parametrize(
    "shape", ["full", "tied", "diag", "spherical", "tied_diag", "tied_spherical"]
)
def test_a_mixture_of_our_own(shape, rng):
    X = rng.normal(size=(100, 3)) @ positive_definite(rng, 3) + 2.0
    mixture = skmmd.mixture.GaussianMixture(2, covariance_type=shape, random_state=0).fit(X)
    root, center = np.array([0.5, 1.0, 3.0]), X.mean(axis=0)
    base = estimator_base(mixture, center, root)
    assert isinstance(base, MixtureBase)
    Z = rng.normal(size=(10, 3))
    expected = mixture.score_samples(center + Z * root) + np.log(root).sum()
    np.testing.assert_allclose(base.log_density(Z), expected, rtol=1e-10)


def test_a_bayesian_mixture_is_normalised(rng):
    X = rng.normal(size=(60, 1))
    base = as_mixture(
        BayesianGaussianMixture(n_components=2, random_state=0).fit(X), np.zeros(1), np.ones(1)
    )
    mass = quad(lambda x: np.exp(base.log_density(np.array([[x]]))[0]), -20, 20, limit=200)[0]
    assert mass == pytest.approx(1.0, abs=1e-7)


def test_what_an_estimator_lacks_is_named(rng):
    X = rng.normal(size=(20, 2))
    with pytest.raises(TypeError, match="KernelDensity lacks score_function"):
        estimator_base(KernelDensity().fit(X), np.zeros(2), np.ones(2))
    with pytest.raises(TypeError, match="object lacks score_samples, score_function, sample"):
        estimator_base(object(), np.zeros(2), np.ones(2))
    mixture = GaussianMixture(1).fit(X)
    mixture.covariance_type = "banded"
    with pytest.raises(TypeError, match="banded"):
        estimator_base(mixture, np.zeros(2), np.ones(2))


def test_a_score_of_the_wrong_shape_is_an_error(rng):
    estimator = Wrapped(a_mixture(rng, 1, 2))
    estimator.score_function = lambda X: X[:, 0]
    with pytest.raises(ValueError, match=r"score_function returned shape \(4,\)"):
        estimator_base(estimator, np.zeros(2), np.ones(2)).score(np.zeros((4, 2)))


# --------------------------------------------------------------------------------------
# a box

BOXES = [(-np.inf, np.inf), (0.0, np.inf), (-np.inf, -1.0), (-0.5, 2.0), (2.5, 2.6)]


@pytest.mark.parametrize("box", BOXES)
def test_truncated_density_is_normalised(box):
    mean, scale = 0.3, 0.8
    base = TruncatedBase(*(np.array([value]) for value in (mean, scale, *box)))
    mass = quad(lambda x: np.exp(base.log_density(np.array([[x]]))[0]), *np.clip(box, -15, 15))[0]
    assert mass == pytest.approx(1.0, abs=1e-7)


def test_truncated_density_far_in_the_tail():
    """The hazard of a normal variable at 40, by its asymptotic series."""
    x = 40.0
    hazard = x + 1 / x - 2 / x**3 + 10 / x**5 - 74 / x**7
    for sign in (1.0, -1.0):
        low, high = sorted((sign * x, sign * np.inf))
        base = TruncatedBase(np.zeros(1), np.ones(1), np.array([low]), np.array([high]))
        assert base.log_density(np.array([[sign * x]]))[0] == pytest.approx(
            np.log(hazard), rel=1e-11
        )
    drawn = TruncatedBase(np.zeros(1), np.ones(1), np.array([x]), np.array([np.inf]))
    X = drawn.draw(20_000, np.random.default_rng(0))
    assert X.min() >= x
    assert kstest(X[:, 0], truncnorm(x, np.inf).cdf).pvalue > 1e-3
    assert X.mean() == pytest.approx(hazard, abs=5 / x / np.sqrt(20_000))


def test_truncated_in_several_dimensions(rng):
    low, high = (np.array(side) for side in zip(*BOXES, strict=True))
    mean, scale = rng.normal(size=5), rng.uniform(0.5, 2.0, 5)
    base = TruncatedBase(mean, scale, low, high)
    X = base.draw(5000, rng)
    assert np.all((low <= X) & (high >= X))
    a, b = (low - mean) / scale, (high - mean) / scale
    peers = [truncnorm(a[j], b[j], mean[j], scale[j]) for j in range(5)]
    for x, peer in zip(X.T, peers, strict=True):
        assert kstest(x, peer.cdf).pvalue > 1e-3
    expected = sum(peer.logpdf(x) for x, peer in zip(X.T, peers, strict=True))
    np.testing.assert_allclose(base.log_density(X), expected, rtol=1e-10)
    inner = np.clip(X[:20], low + 1e-3, high - 1e-3)
    np.testing.assert_allclose(base.score(inner), gradient(base.log_density, inner), atol=1e-6)
    np.testing.assert_allclose(base.hessian(inner), gradient(base.score, inner), atol=1e-7)
    traces = np.trace(base.hessian(inner), axis1=1, axis2=2)
    np.testing.assert_allclose(base.laplacian(inner), traces, rtol=1e-12)
    outside = X[:5].copy()
    outside[:, 1] = -1e-9
    assert np.all(base.log_density(outside) == -np.inf)
    on_the_side = X[:5].copy()
    on_the_side[:, 1] = 0.0
    assert np.all(np.isfinite(base.log_density(on_the_side)))
