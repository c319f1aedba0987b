"""ScoreMatchingDensity with everything fixed, against the naive twins; public names only."""

import numpy as np
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, clone
from sklearn.mixture import GaussianMixture as SklearnMixture
from sklearn.utils import check_random_state

from skmmd.density import ScoreMatchingDensity
from skmmd.mixture import GaussianMixture
from tests.density import oracles

KERNELS = oracles.KERNELS
DIMENSIONS = (1, 2, 3, 7, 12)
STEP = 1e-5

# No normaliser: what is compared does not need it.
FREE = {"selection": "score_matching", "n_normalizer_samples": 0}


def data(seed=0, n=60, d=2):
    """Return skewed, correlated rows away from the origin."""
    rng = np.random.default_rng(seed)
    mix = np.eye(d) + 0.4 * rng.normal(size=(d, d)) / d**0.5
    return 3 + (rng.normal(size=(n, d)) + rng.exponential(size=(n, d))) @ mix


def centers(X, seed=1, m=6):
    """Return centres apart from each other: K is well conditioned at the bandwidths used here."""
    d = X.shape[1]
    rng = np.random.default_rng(seed)
    Z = np.linspace(-1.8, 1.8, m)[:, None] if d == 1 else 1.3 * rng.normal(size=(m, d))
    return oracles.whitening(X).backward(Z)


def bandwidths(d, name):
    return {"scalar": 0.7 * d**0.5, "each": d**0.5 * np.linspace(0.6, 0.9, d)}[name]


def estimator(**settings):
    fixed = {"bandwidth": 0.8, "alpha": 0.01, "base": "gaussian", "loss": "explicit"}
    return ScoreMatchingDensity(**(fixed | {"random_state": 0} | settings))


def fitted_f(model, X, base):
    """Return f of a fitted model; `base` gives log q0."""
    return model.unnormalized_log_density(X) - np.atleast_1d(base(X))


def gaussian(X, weight=None):
    map = oracles.whitening(X, weight)
    return oracles.normal(map.mean, map.covariance).logpdf


def assert_same_f(found, expected, rel=1e-8):
    np.testing.assert_allclose(found, expected, atol=rel * np.abs(expected).max(), rtol=0)


def central(function, X, i):
    """Return the central difference of a function of rows in coordinate i."""
    shift = STEP * np.eye(X.shape[1])[i]
    return (function(X + shift) - function(X - shift)) / (2 * STEP)


# --------------------------------------------------------------------------------------
# the closed form


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", ["scalar", "each"])
@pytest.mark.parametrize("d", DIMENSIONS)
def test_coefficients_and_f(kernel, name, d):
    X = data(d=d)
    Z, given = centers(X), {"kernel": kernel, "bandwidth": bandwidths(d, name)}
    expected = oracles.fit(X, Z, alpha=0.01, **given)
    whitened = expected.map.forward(Z)
    assert np.linalg.cond(oracles.gram(whitened, whitened, **given)) < 1e5
    model = estimator(centers=Z, **given, **FREE).fit(X)
    np.testing.assert_allclose(
        model.coef_, expected.coef, rtol=1e-7, atol=1e-8 * np.abs(expected.coef).max()
    )
    fresh = data(9, d=d)
    for rows in (X, fresh):
        f = expected.value(rows)
        assert np.ptp(f) > 0.01  # something was learned
        assert_same_f(fitted_f(model, rows, gaussian(X)), f)
        score = -np.linalg.solve(expected.map.covariance, (rows - expected.map.mean).T).T
        assert_same_f(model.score_function(rows), score + expected.gradient(rows))


@pytest.mark.parametrize("d", [2, 7])
@pytest.mark.parametrize("alpha", [1e-6, 1.0, 100.0])
def test_alpha(d, alpha):
    X = data(2, d=d)
    Z, given = centers(X), {"bandwidth": bandwidths(d, "scalar"), "alpha": alpha}
    model = estimator(centers=Z, **given, **FREE).fit(X)
    assert_same_f(fitted_f(model, X, gaussian(X)), oracles.fit(X, Z, **given).value(X), 1e-7)
    assert model.alpha_ == alpha


# Against 60 digits the plain solution has errors of 3e-8 and 4e-6 here, and one that drops
# eigenvalues of K below 1e-10 of the largest has 2e-4 and 3e-3.
@pytest.mark.parametrize(("alpha", "rel"), [(0.1, 1e-5), (1e-3, 5e-5)])
def test_f_where_the_kernel_matrix_is_singular_to_rounding(alpha, rel):
    X = data(3, n=80, d=1)
    Z, given = centers(X, m=25), {"bandwidth": 1.5, "alpha": alpha}
    expected = oracles.fit(X, Z, **given)
    whitened = expected.map.forward(Z)
    assert np.linalg.cond(oracles.gram(whitened, whitened, "rbf", 1.5)) > 1e14
    model = estimator(centers=Z, **given, **FREE).fit(X)
    assert_same_f(fitted_f(model, X, gaussian(X)), expected.value(X), rel)


@pytest.mark.parametrize("d", [2, 7])
def test_chosen_centers_and_fitted_attributes(d):
    X, bandwidth = data(4, d=d), bandwidths(d, "each")
    model = estimator(n_components=8, bandwidth=bandwidth, **FREE).fit(X)
    assert model.centers_.shape == (8, d)
    assert model.coef_.shape == (8,)
    np.testing.assert_allclose(model.bandwidth_, bandwidth)
    assert model.alpha_ == 0.01
    assert model.noise_scale_ == 0
    expected = oracles.fit(X, model.centers_, bandwidth=bandwidth, alpha=0.01)
    assert_same_f(fitted_f(model, X, gaussian(X)), expected.value(X), 1e-6)
    scalar = estimator(n_components=8, bandwidth=0.7, **FREE).fit(X)
    np.testing.assert_allclose(scalar.bandwidth_, np.full(d, 0.7))


def test_more_components_than_rows():
    X = data(5, n=15)
    model = estimator(n_components=200, **FREE).fit(X)
    assert len(model.centers_) <= 15
    expected = oracles.fit(X, model.centers_, bandwidth=0.8, alpha=0.01)
    assert_same_f(fitted_f(model, X, gaussian(X)), expected.value(X), 1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("d", [1, 3, 7])
def test_weights(kernel, d):
    X = data(6, d=d)
    weight = np.random.default_rng(6).uniform(0, 2, len(X))
    Z, given = centers(X), {"kernel": kernel, "bandwidth": bandwidths(d, "each")}
    model = estimator(centers=Z, **given, **FREE).fit(X, sample_weight=weight)
    expected = oracles.fit(X, Z, alpha=0.01, weight=weight, **given)
    assert_same_f(fitted_f(model, X, gaussian(X, weight)), expected.value(X))


@pytest.mark.parametrize("settings", [{}, {"n_components": 10}, {"base": "gmm"}])
def test_integer_weights_are_copies(settings):
    X = data(7)
    weight = np.random.default_rng(7).integers(0, 4, len(X))
    if not settings:
        settings = {"centers": centers(X)}
    if settings == {"base": "gmm"}:
        settings = {"base": "gmm", "centers": centers(X)}
    weighted = estimator(**settings).fit(X, sample_weight=weight)
    copied = estimator(**settings).fit(np.repeat(X, weight, axis=0))
    fresh = data(8)
    np.testing.assert_allclose(
        weighted.score_samples(fresh), copied.score_samples(fresh), rtol=1e-7, atol=1e-7
    )
    np.testing.assert_allclose(weighted.score_function(fresh), copied.score_function(fresh), 1e-6)


@pytest.mark.parametrize("d", DIMENSIONS)
@pytest.mark.parametrize("noise_scale", [0.05, 0.1, 0.4])
@pytest.mark.parametrize("weighted", [False, True])
def test_denoising(d, noise_scale, weighted):
    X = data(9, n=40, d=d)
    weight = np.random.default_rng(9).uniform(0, 2, len(X)) if weighted else None
    Z, given = centers(X), {"bandwidth": bandwidths(d, "each"), "alpha": 0.01}
    expected = oracles.fit(X, Z, weight=weight, noise_scale=noise_scale, **given)
    model = estimator(centers=Z, loss="denoising", noise_scale=noise_scale, **given, **FREE)
    model.fit(X, sample_weight=weight)
    assert model.noise_scale_ == noise_scale
    assert_same_f(fitted_f(model, X, gaussian(X, weight)), expected.value(X), 1e-7)
    plain = oracles.fit(X, Z, weight=weight, **given).value(X)
    assert np.abs(plain - expected.value(X)).max() > 1e-3 * np.abs(plain).max()


def test_slices_approach_the_explicit_loss():
    X = data(11, n=200, d=3)
    Z, given = centers(X), {"bandwidth": bandwidths(3, "scalar"), "alpha": 0.3}
    exact = oracles.fit(X, Z, **given).value(X)

    def gap(n_slices, seed):
        settings = {"loss": "sliced", "n_slices": n_slices, "random_state": seed}
        model = estimator(centers=Z, **given, **settings, **FREE).fit(X)
        return np.abs(fitted_f(model, X, gaussian(X)) - exact).max() / np.abs(exact).max()

    few = np.array([gap(1, seed) for seed in range(5)])
    many = np.array([gap(400, seed) for seed in range(5)])
    assert few.min() > 1e-4  # it does slice
    assert many.mean() < few.mean() / 8  # a factor of 20 in expectation
    assert many.max() < 0.1


# --------------------------------------------------------------------------------------
# other base measures


class LogisticBase(BaseEstimator):
    """Independent logistic columns by moments: an estimator of the user's."""

    def fit(self, X, y=None, sample_weight=None):
        self.loc_ = np.average(X, axis=0, weights=sample_weight)
        spread = np.average((X - self.loc_) ** 2, axis=0, weights=sample_weight)
        self.scale_ = np.sqrt(3 * spread) / np.pi
        return self

    def score_samples(self, X):
        return stats.logistic(self.loc_, self.scale_).logpdf(X).sum(axis=1)

    def score_function(self, X):
        return -np.tanh((X - self.loc_) / (2 * self.scale_)) / self.scale_

    def sample(self, n_samples=1, random_state=None):
        rng = check_random_state(random_state)
        return rng.logistic(self.loc_, self.scale_, size=(n_samples, len(self.loc_)))


def two_clusters(n=80, d=2, seed=12):
    rng = np.random.default_rng(seed)
    return np.where(np.arange(n)[:, None] % 3 == 0, -2.0, 2.0) + rng.normal(size=(n, d)) * [
        0.5 + 0.4 * i for i in range(d)
    ]


def mixture(d, covariance_type="full", kind=SklearnMixture):
    means = np.array([np.full(d, -2.0), np.full(d, 2.0)])
    settings = {"covariance_type": covariance_type, "means_init": means}
    return kind(2, tol=1e-10, max_iter=500, random_state=0, **settings)


@pytest.mark.parametrize("d", [1, 2, 7])
@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("kind", [SklearnMixture, GaussianMixture], ids=["sklearn", "ours"])
def test_a_given_mixture(d, covariance_type, kind):
    X = two_clusters(d=d)
    base = mixture(d, covariance_type, kind)
    Z, bandwidth = centers(X), bandwidths(d, "scalar")
    model = estimator(base=base, centers=Z, bandwidth=bandwidth, **FREE).fit(X)
    assert not hasattr(base, "means_")  # it was cloned
    known = clone(base).fit(X)
    covariances = {
        "full": lambda c: c,
        "tied": lambda c: np.array([c, c]),
        "diag": lambda c: np.array([np.diag(v) for v in c]),
        "spherical": lambda c: np.array([v * np.eye(d) for v in c]),
    }[covariance_type](known.covariances_)
    twin = oracles.MixtureBase(known.weights_, known.means_, covariances)
    np.testing.assert_allclose(model.base_.score_samples(X), twin.log_density(X), atol=1e-5)
    np.testing.assert_allclose(model.base_.score_function(X), twin.score(X), atol=1e-4)
    expected = oracles.fit(X, Z, bandwidth=bandwidth, alpha=0.01, base_score=twin.score)
    assert_same_f(fitted_f(model, X, twin.log_density), expected.value(X), 1e-4)
    expected = oracles.fit(
        X, Z, bandwidth=bandwidth, alpha=0.01, base_score=model.base_.score_function
    )
    assert_same_f(fitted_f(model, X, model.base_.score_samples), expected.value(X), 1e-8)


@pytest.mark.parametrize("d", [1, 3])
def test_an_estimator_as_base(d):
    X = data(13, d=d)
    base = LogisticBase()
    Z, bandwidth = centers(X), bandwidths(d, "each")
    model = estimator(base=base, centers=Z, bandwidth=bandwidth, **FREE).fit(X)
    assert not hasattr(base, "loc_")
    known = LogisticBase().fit(X)
    expected = oracles.fit(X, Z, bandwidth=bandwidth, alpha=0.01, base_score=known.score_function)
    assert_same_f(fitted_f(model, X, known.score_samples), expected.value(X))
    assert_same_f(model.score_function(X), known.score_function(X) + expected.gradient(X))


@pytest.mark.parametrize("base", ["gaussian", "gmm"])
def test_named_bases(base):
    X = two_clusters()
    Z = centers(X)
    model = estimator(base=base, centers=Z, **FREE).fit(X)
    expected = oracles.fit(X, Z, bandwidth=0.8, alpha=0.01, base_score=model.base_.score_function)
    assert_same_f(fitted_f(model, X, model.base_.score_samples), expected.value(X))
    for i in range(2):
        slope = central(model.base_.score_samples, X, i)
        np.testing.assert_allclose(model.base_.score_function(X)[:, i], slope, atol=1e-7)
    box = (X.min(axis=0) - 12, X.max(axis=0) + 12, 301)
    assert oracles.log_integral(model.base_.score_samples, *box) == pytest.approx(0, abs=1e-8)
    if base == "gaussian":
        np.testing.assert_allclose(model.base_.score_samples(X), gaussian(X)(X), rtol=1e-9)
    else:  # BIC sees the clusters
        gap = model.base_.score_samples(X).mean() - gaussian(X)(X).mean()
        assert gap > 0.3
    drawn = model.base_.sample(4000, random_state=0)
    drawn = drawn[0] if isinstance(drawn, tuple) else drawn
    np.testing.assert_allclose(drawn.mean(axis=0), X.mean(axis=0), atol=0.2)


@pytest.mark.parametrize("case", ["imq", "rq", "mixture"])
def test_denoising_without_a_closed_form(case):
    """The noise is drawn; on the average over seeds f is that of the quadrature."""
    X, sigma = two_clusters(), 0.3
    Z, map = centers(X), oracles.whitening(X)
    kernel = "rbf" if case == "mixture" else case
    base = mixture(2) if case == "mixture" else "gaussian"
    known = clone(base).fit(X) if case == "mixture" else None
    twin = (
        oracles.MixtureBase(np.ones(1), map.mean[None], map.covariance[None])
        if known is None
        else oracles.MixtureBase(known.weights_, known.means_, known.covariances_)
    )
    Y, z = map.forward(X), map.forward(Z)
    rows, w, _ = oracles.noisy_rows(Y, sigma, n_nodes=16)
    s0 = twin.score(map.backward(rows)) @ map.root
    noisy = oracles.lite_system(rows, z, kernel, 0.9, weight=w, base_score=s0)
    expected = oracles.Expansion(oracles.solve(*noisy, 0.3), z, kernel, 0.9).value(Y)
    s0 = twin.score(X) @ map.root
    plain = oracles.lite_system(Y, z, kernel, 0.9, base_score=s0)
    plain = oracles.Expansion(oracles.solve(*plain, 0.3), z, kernel, 0.9).value(Y)
    settings = {"loss": "denoising", "noise_scale": sigma, "bandwidth": 0.9, "alpha": 0.3}
    settings |= {"kernel": kernel, "base": base, "centers": Z} | FREE
    found = np.array(
        [
            fitted_f(estimator(**settings | {"random_state": seed}).fit(X), X, twin.log_density)
            for seed in range(40)
        ]
    )
    error = found.std(axis=0, ddof=1) / 40**0.5
    assert np.mean(np.abs(found.mean(axis=0) - expected) < 4 * error + 1e-6) > 0.95
    assert np.mean(np.abs(found.mean(axis=0) - plain) < 4 * error + 1e-6) < 0.6  # it can tell


# --------------------------------------------------------------------------------------
# derivatives, losses, normaliser

BASES = {
    "gaussian": lambda d: "gaussian",
    "gmm": lambda d: "gmm",
    "mixture": mixture,
    "estimator": lambda d: LogisticBase(),
}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("d", [1, 2, 7])
def test_score_and_hessian_by_differences(base, kernel, d):
    X = two_clusters(d=d)
    settings = {"kernel": kernel, "bandwidth": bandwidths(d, "each"), "base": BASES[base](d)}
    model = estimator(centers=centers(X), **settings, **FREE).fit(X)
    rows = two_clusters(12, d=d, seed=14)
    score, hessian = model.score_function(rows), model.hessian(rows)
    assert score.shape == (12, d)
    assert hessian.shape == (12, d, d)
    tolerance = 1e-5 if base == "estimator" else 1e-7
    for i in range(d):
        slope = central(model.unnormalized_log_density, rows, i)
        np.testing.assert_allclose(score[:, i], slope, rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(
            hessian[:, i], central(model.score_function, rows, i), rtol=tolerance, atol=tolerance
        )


def test_score_of_the_normalised_density():
    X = data(15)
    model = estimator(centers=centers(X)).fit(X)
    for i in range(2):
        slope = central(model.score_samples, X, i)
        np.testing.assert_allclose(model.score_function(X)[:, i], slope, atol=1e-7)
    np.testing.assert_allclose(
        model.score_samples(X), model.unnormalized_log_density(X) - model.log_normalizer_
    )
    assert model.score(X) == pytest.approx(model.score_samples(X).mean())


@pytest.mark.parametrize("loss", ["explicit", "denoising", "sliced"])
@pytest.mark.parametrize("d", [1, 3])
def test_score_matching_loss(loss, d):
    """Mean of 1/2 |s|^2 + trace of the Jacobian, in the data's coordinates, whatever was fitted."""
    X = data(16, d=d)
    noise = {"noise_scale": 0.1} if loss == "denoising" else {}
    model = estimator(centers=centers(X), loss=loss, **noise, **FREE).fit(X)
    rows = data(17, d=d)
    trace = sum(central(model.score_function, rows, i)[:, i] for i in range(d))
    expected = np.mean(0.5 * (model.score_function(rows) ** 2).sum(axis=1) + trace)
    assert model.score_matching_loss(rows) == pytest.approx(expected, rel=1e-7)


def test_the_loss_is_least_among_neighbours():
    """Without a penalty to speak of, no other coefficients have a lower loss on the rows."""
    X = data(18)
    Z = centers(X)
    model = estimator(centers=Z, alpha=1e-12, **FREE).fit(X)
    whitened = oracles.whitening(X)
    Y, z = whitened.forward(X), whitened.forward(Z)
    least = oracles.explicit_loss(oracles.Expansion(model.coef_, z, "rbf", 0.8), Y)
    for e in np.eye(6):
        for step in (-1e-3, 1e-3):
            moved = oracles.Expansion(model.coef_ + step * e, z, "rbf", 0.8)
            assert oracles.explicit_loss(moved, Y) > least


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("kernel", KERNELS)
def test_integrates_to_one(kernel, d):
    X = data(19, d=d)
    model = estimator(kernel=kernel, centers=centers(X), bandwidth=bandwidths(d, "each")).fit(X)
    reach = 8.0 if d == 3 else 11.0
    spread, n_nodes = X.std(axis=0), {1: 2001, 2: 241, 3: 71}[d]
    box = (X.mean(axis=0) - reach * spread, X.mean(axis=0) + reach * spread, n_nodes)
    gap = oracles.log_integral(model.score_samples, *box)
    assert abs(gap) <= 4 * model.log_normalizer_std_ + 1e-6
    assert 0 <= model.log_normalizer_std_ < 0.05
    assert 0 < model.ess_ <= 1


@pytest.mark.parametrize("base", ["gmm", "mixture", "estimator"])
@pytest.mark.parametrize("d", [1, 2])
def test_integrates_to_one_with_other_bases(base, d):
    X = two_clusters(d=d)
    model = estimator(base=BASES[base](d), centers=centers(X), bandwidth=0.9).fit(X)
    reach = 60.0 if base == "estimator" else 16.0
    box = (X.mean(axis=0) - reach, X.mean(axis=0) + reach, {1: 4001, 2: 401}[d])
    gap = oracles.log_integral(model.score_samples, *box)
    assert abs(gap) <= 4 * model.log_normalizer_std_ + 1e-6


# --------------------------------------------------------------------------------------
# domains


def quantiles(p, n):
    """Return rows that stand for the distribution without the noise of a sample."""
    return p.ppf((np.arange(n) + 0.5) / n)


DOMAINS = {
    "nonnegative": ("nonnegative", 0.0, np.inf, 1.0),
    "low": ((0.0, np.inf), 0.0, np.inf, 1.0),
    "box": ((-0.5, 1.2), -0.5, 1.2, 0.3),
    "box, arrays": ((np.array([-1.0]), np.array([1.0])), -1.0, 1.0, 1.0),
}


@pytest.mark.parametrize("name", DOMAINS)
def test_truncated_gaussian(name):
    """The score -(x - mu) is found to the bounds; the loss without weights is off by 2 and more."""
    domain, low, high, mu = DOMAINS[name]
    p = stats.truncnorm(low - mu, high - mu, loc=mu)
    X = quantiles(p, 1000)[:, None]
    Z = np.quantile(X, np.linspace(0.01, 0.99, 12), axis=0)
    model = estimator(domain=domain, centers=Z, bandwidth=1.5, alpha=1e-5).fit(X)
    rows = quantiles(p, 333)[:, None]
    truth = -(rows - mu)
    assert np.mean((model.score_function(rows) - truth) ** 2) < 0.03 * np.mean(truth**2)
    gap = p.logpdf(rows[:, 0]) - model.score_samples(rows)
    assert -4 * model.log_normalizer_std_ - 1e-3 <= gap.mean() < 0.02
    # Twelve wide kernels on a line are dependent to rounding: their coefficients are large, and
    # leave noise of 1e-10 in f.
    np.testing.assert_allclose(
        model.score_function(rows)[:, 0],
        central(model.unnormalized_log_density, rows, 0),
        rtol=1e-4,
        atol=1e-4,
    )
    drawn = model.sample(300, random_state=0)
    assert drawn.min() >= low
    assert drawn.max() <= high
    ends = ([low], [min(high, 9.0)], 20_001)
    total = oracles.log_integral(model.score_samples, *ends)
    assert abs(total) <= 4 * model.log_normalizer_std_ + 1e-5
    beyond = np.array([[low - 0.5]])
    assert model.score_samples(beyond)[0] == -np.inf


def test_truncated_gaussian_in_two_dimensions():
    """Independent columns, one bounded from both sides, one from above."""
    cut = [stats.truncnorm(-1.5, 1.0, loc=0.5), stats.truncnorm(-9.0, 0.5, loc=0.0, scale=2)]
    grids = [quantiles(p, 80) for p in cut]
    X = np.stack(np.meshgrid(*grids), axis=-1).reshape(-1, 2)
    Z = np.stack(np.meshgrid(*[g[4::18] for g in grids]), axis=-1).reshape(-1, 2)
    domain = (np.array([-1.0, -np.inf]), np.array([1.5, 1.0]))
    model = estimator(domain=domain, centers=Z, bandwidth=1.5, alpha=1e-6, **FREE).fit(X)
    truth = -(X - [0.5, 0.0]) / [1.0, 4.0]
    error = np.mean((model.score_function(X) - truth) ** 2, axis=0)
    assert np.all(error < 0.05 * np.mean(truth**2, axis=0))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", ["scalar", "each"])
@pytest.mark.parametrize("d", [1, 2, 7])
def test_coefficients_on_a_domain(kernel, name, d):
    """h_j = min(distance to the nearest bound, c), c one standard deviation of the column."""
    X = np.random.default_rng(37).gamma(1.5, size=(60, d)) * np.geomspace(0.1, 10, d)
    weight = np.random.default_rng(38).uniform(0.1, 2, 60)
    low, high = np.zeros(d), np.full(d, np.inf)
    high[::2] = X.max(axis=0)[::2] * 1.01
    map = oracles.column_whitening(X, weight)
    Z = map.backward(oracles.whitening(X).forward(centers(X)))
    given = {"kernel": kernel, "bandwidth": bandwidths(d, name)}
    model = estimator(domain=(low, high), centers=Z, **given, **FREE).fit(X, sample_weight=weight)
    Y, z, spread = map.forward(X), map.forward(Z), np.diag(map.root)
    system = oracles.domain_system(
        Y,
        z,
        **given,
        low=(low - map.mean) / spread,
        high=(high - map.mean) / spread,
        c=1.0,
        weight=weight,
        base_score=model.base_.score_function(X) * spread,
    )
    expected = oracles.Expansion(oracles.solve(*system, 0.01), z, **given)
    assert_same_f(fitted_f(model, X, model.base_.score_samples), expected.value(Y))
    np.testing.assert_allclose(model.coef_, expected.coef, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_rows_on_the_bounds(seed):
    """A closed domain: its faces belong to it, whatever whitening rounds."""
    rng = np.random.default_rng(seed)
    X = 10.0 ** rng.uniform(-3, 3, 2) * rng.uniform(-1, 2, (60, 2))
    low, high = X.min(axis=0), X.max(axis=0)
    faces = np.vstack([low, high, [low[0], high[1]]])
    model = estimator(domain=(low, high), n_components=10).fit(X)
    for rows in (X, faces):
        assert np.isfinite(model.score_samples(rows)).all()
        assert np.isfinite(model.score_function(rows)).all()
    beyond = faces + [[0.0, -1e-6], [1e-6, 0.0], [-1e-6, 0.0]] * np.ptp(X, axis=0)
    np.testing.assert_array_equal(model.score_samples(beyond), -np.inf)


def test_bounds_from_above_mirror_those_from_below():
    X = np.random.default_rng(20).exponential(size=(80, 2))
    Z = np.random.default_rng(21).exponential(size=(6, 2))
    below = estimator(domain="nonnegative", centers=Z, **FREE).fit(X)
    above = estimator(domain=(-np.inf, 0.0), centers=-Z, **FREE).fit(-X)
    np.testing.assert_allclose(above.coef_, below.coef_, rtol=1e-8)
    np.testing.assert_allclose(above.score_function(-X), -below.score_function(X), rtol=1e-8)


def test_a_domain_far_away_and_rows_outside():
    X = data(22)
    with pytest.raises(ValueError, match="domain"):
        estimator(domain=(0.0, 4.0), centers=centers(X)).fit(X)
    with pytest.raises(ValueError, match="domain"):
        estimator(domain="nonnegative").fit(-X)
    with pytest.raises(ValueError, match="domain"):
        estimator(domain=(20.0, -20.0)).fit(X)
    with pytest.raises(ValueError, match="domain"):
        estimator(domain=(np.zeros(3), np.full(3, 99.0))).fit(X)


# --------------------------------------------------------------------------------------
# invariances


@pytest.mark.parametrize("d", [1, 2, 3, 7])
@pytest.mark.parametrize("loss", ["explicit", "denoising"])
def test_affine_equivariance(d, loss):
    """Rows A x + b: log densities fall by log |det A|, since whitening leaves a rotation only."""
    X, rng = data(23, d=d), np.random.default_rng(23)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    A, b = turn * np.geomspace(0.01, 50, d) @ turn.T @ np.diag(rng.uniform(1, 3, d)), 7.0
    Z, bandwidth = centers(X), bandwidths(d, "scalar")
    settings = {"bandwidth": bandwidth, "loss": loss, "noise_scale": 0.1, "n_components": 6}
    settings |= {} if d <= 2 else FREE
    plain = estimator(centers=Z, **settings).fit(X)
    moved = estimator(centers=Z @ A.T + b, **settings).fit(X @ A.T + b)
    np.testing.assert_allclose(moved.coef_, plain.coef_, rtol=1e-6, atol=1e-7)
    jacobian = np.linalg.slogdet(A)[1]
    rows = data(24, d=d)
    images = rows @ A.T + b
    np.testing.assert_allclose(
        moved.unnormalized_log_density(images),
        plain.unnormalized_log_density(rows) - jacobian,
        rtol=1e-7,
        atol=1e-7,
    )
    np.testing.assert_allclose(
        moved.score_function(images) @ A, plain.score_function(rows), rtol=1e-6, atol=1e-6
    )
    if d <= 2:
        error = 4 * np.hypot(plain.log_normalizer_std_, moved.log_normalizer_std_) + 1e-6
        np.testing.assert_allclose(
            moved.score_samples(images), plain.score_samples(rows) - jacobian, atol=error, rtol=0
        )


@pytest.mark.parametrize("offset", [1e4, 1e6])
@pytest.mark.parametrize("d", [2, 7])
@pytest.mark.parametrize("base", ["gaussian", "gmm"])
def test_offset(offset, d, base):
    X = np.round(data(25, d=d) * 2**20) / 2**20  # the offset can be added without rounding
    Z = np.round(centers(X) * 2**20) / 2**20
    settings = {"bandwidth": bandwidths(d, "scalar"), "base": base} | ({} if d <= 2 else FREE)
    plain = estimator(centers=Z, **settings).fit(X)
    moved = estimator(centers=Z + offset, **settings).fit(X + offset)
    tolerance = 1e-7 if base == "gaussian" else 1e-5
    function = "score_samples" if d <= 2 else "unnormalized_log_density"
    np.testing.assert_allclose(
        getattr(moved, function)(X + offset), getattr(plain, function)(X), atol=tolerance, rtol=0
    )
    np.testing.assert_allclose(
        moved.score_function(X + offset), plain.score_function(X), atol=tolerance
    )


@pytest.mark.parametrize("settings", [{}, {"n_components": 10}, {"base": "gmm"}])
def test_order_of_rows(settings):
    X = data(26, d=3)
    if "n_components" not in settings:
        settings = settings | {"centers": centers(X)}
    order = np.random.default_rng(26).permutation(len(X))
    plain = estimator(bandwidth=1.2, **settings)
    plain, moved = clone(plain).fit(X), clone(plain).fit(X[order])
    np.testing.assert_allclose(moved.coef_, plain.coef_, rtol=1e-12)
    np.testing.assert_allclose(moved.score_samples(X), plain.score_samples(X), rtol=1e-12)
    np.testing.assert_allclose(plain.score_samples(X)[order], plain.score_samples(X[order]), 1e-12)


def test_order_of_columns():
    X, bandwidth = data(27, d=7), bandwidths(7, "each")
    Z, order = centers(X), np.random.default_rng(27).permutation(7)
    plain = estimator(centers=Z, bandwidth=bandwidth, **FREE).fit(X)
    moved = estimator(centers=Z[:, order], bandwidth=bandwidth[order], **FREE).fit(X[:, order])
    np.testing.assert_allclose(moved.coef_, plain.coef_, rtol=1e-8)
    np.testing.assert_allclose(
        moved.score_function(X[:, order]), plain.score_function(X)[:, order], rtol=1e-8, atol=1e-10
    )


@pytest.mark.parametrize("d", [2, 7])
@pytest.mark.parametrize("name", ["scalar", "each"])
def test_without_whitening(d, name):
    """Bandwidths are in the units of the data."""
    X = data(28, d=d)
    Z, given = centers(X), {"bandwidth": 1.5 * bandwidths(d, name), "alpha": 0.01}
    model = estimator(whiten=False, centers=Z, **given, **FREE).fit(X)
    expected = oracles.fit(
        X, Z, map=oracles.no_whitening(d), base_score=model.base_.score_function, **given
    )
    assert_same_f(fitted_f(model, X, model.base_.score_samples), expected.value(X))
    np.testing.assert_allclose(model.bandwidth_, np.broadcast_to(given["bandwidth"], (d,)))


# --------------------------------------------------------------------------------------
# input


@pytest.mark.parametrize("d", [2, 7])
def test_float32(d):
    X = data(29, d=d).astype(np.float32)
    Z = centers(X.astype(float)).astype(np.float32)
    settings = {"bandwidth": bandwidths(d, "scalar")} | FREE
    narrow = estimator(centers=Z, **settings).fit(X)
    wide = estimator(centers=Z.astype(float), **settings).fit(X.astype(float))
    np.testing.assert_allclose(narrow.coef_, wide.coef_, rtol=1e-6)
    np.testing.assert_allclose(
        narrow.unnormalized_log_density(X), wide.unnormalized_log_density(X.astype(float)), 1e-6
    )
    np.testing.assert_allclose(
        narrow.score_function(X), wide.score_function(X.astype(float)), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("order", ["C", "F"])
def test_input_is_read_only_and_left_alone(order):
    X = np.array(data(30), order=order)
    Z, bandwidth, weight = centers(X), np.array([0.7, 0.9]), np.linspace(0, 2, len(X))
    before = X.copy()
    for array in (X, Z, bandwidth, weight):
        array.setflags(write=False)
    model = estimator(centers=Z, bandwidth=bandwidth).fit(X, sample_weight=weight)
    values = [model.score_samples(X), model.score_function(X), model.hessian(X)]
    assert all(np.isfinite(v).all() for v in values)
    assert model.sample(5, random_state=0).shape == (5, 2)
    assert model.centers is Z
    assert model.bandwidth is bandwidth
    np.testing.assert_array_equal(X, before)
    expected = oracles.fit(X, Z, bandwidth=bandwidth, alpha=0.01, weight=weight)
    assert_same_f(fitted_f(model, X, gaussian(X, weight)), expected.value(X))


def test_without_normaliser():
    X = data(31)
    model = estimator(centers=centers(X), **FREE).fit(X)
    assert model.score(X) == pytest.approx(-model.score_matching_loss(X))
    with pytest.raises((ValueError, AttributeError, RuntimeError), match="n_normalizer_samples"):
        model.score_samples(X)
    assert np.isfinite(model.unnormalized_log_density(X)).all()


BAD = {
    "alpha zero": ({"alpha": 0.0}, "alpha"),
    "alpha negative": ({"alpha": -0.1}, "alpha"),
    "alpha nan": ({"alpha": np.nan}, "alpha"),
    "bandwidth zero": ({"bandwidth": 0.0}, "bandwidth"),
    "bandwidth negative": ({"bandwidth": -1.0}, "bandwidth"),
    "bandwidth nan": ({"bandwidth": np.array([1.0, np.nan])}, "bandwidth"),
    "bandwidth partly zero": ({"bandwidth": np.array([1.0, 0.0])}, "bandwidth"),
    "bandwidth too long": ({"bandwidth": np.ones(3)}, "bandwidth"),
    "bandwidth as matrix": ({"bandwidth": np.ones((1, 2))}, "bandwidth"),
    "unknown bandwidth": ({"bandwidth": "scott"}, "bandwidth"),
    "centers too wide": ({"centers": np.ones((4, 3))}, "centers"),
    "centers nan": ({"centers": np.array([[0.0, np.nan]])}, "centers"),
    "centers flat": ({"centers": np.ones(2)}, "centers"),
    "no centers": ({"centers": np.empty((0, 2))}, "centers"),
    "kernel": ({"kernel": "laplacian"}, "kernel"),
    "loss": ({"loss": "implicit"}, "loss"),
    "base": ({"base": "student"}, "base"),
    "noise": ({"loss": "denoising", "noise_scale": -0.1}, "noise_scale"),
    "slices": ({"loss": "sliced", "n_slices": 0}, "n_slices"),
    "components": ({"n_components": 0}, "n_components"),
    "domain": ({"domain": "positive"}, "domain"),
    "selection": ({"selection": "aic"}, "selection"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_parameters(name):
    settings, match = BAD[name]
    with pytest.raises(ValueError, match=match):
        estimator(**settings).fit(data(32))


def test_bad_rows():
    X = data(34)
    with pytest.raises(ValueError, match=r"1 sample|one row|single row|at least 2|minimum of 2"):
        estimator().fit(X[:1])
    hole = X.copy()
    hole[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        estimator().fit(hole)
    model = estimator(centers=centers(X)).fit(X)
    methods = ("score_samples", "unnormalized_log_density", "score_function", "hessian", "score")
    for method in (*methods, "score_matching_loss"):
        with pytest.raises(ValueError, match="NaN"):
            getattr(model, method)(hole)
        with pytest.raises(ValueError, match="features"):
            getattr(model, method)(X[:, :1])
    with pytest.raises(ValueError, match="weight"):
        estimator().fit(X, sample_weight=np.full(len(X), -1.0))


# --------------------------------------------------------------------------------------
# selection


@pytest.mark.filterwarnings("ignore::UserWarning")  # f = 0 is better here, as it says
@pytest.mark.parametrize("d", [1, 3])
def test_gaussian_rows_stay_gaussian(d):
    rng = np.random.default_rng(36)
    X, fresh = rng.normal(size=(300, d)), rng.normal(size=(2000, d))
    model = ScoreMatchingDensity(n_components=50, base="gaussian", random_state=0).fit(X)
    divergence = np.mean(gaussian(X)(fresh) - model.score_samples(fresh))
    assert abs(divergence) < 0.05
