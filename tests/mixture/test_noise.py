"""A uniform component for rows that belong to no Gaussian."""

import numpy as np
import pytest

from skmmd.mixture import GaussianMixture
from tests import reference
from tests.mixture.starts import TYPES, assert_same, fitted, holes, initial, rows, start

unconverged = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def with_background(n=400, share=0.3, seed=0):
    """Draw two tight clusters and a uniform background on a box; labels -1 are background."""
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(n) < share, -1, rng.integers(2, size=n))
    X = rng.normal(size=(n, 2)) * 0.5 + np.where(y[:, None] == 1, 4.0, -4.0)
    X[y == -1] = rng.uniform(-20, 20, size=(int((y == -1).sum()), 2))
    return X, y


def after(X, first, n_iter, weights=None, **parameters):
    """Return the estimator and the mixture with noise after so many iterations."""
    ours = GaussianMixture(
        **initial(first), noise="uniform", max_iter=n_iter, tol=0.0, **parameters
    ).fit(X, sample_weight=weights)
    noise = {"noise_weight": ours.noise_weight_, "noise_widths": np.ptp(X, axis=0)}
    return ours, fitted(ours, **noise)


@unconverged
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_a_step_equals_the_naive_twin(covariance_type, weighted):
    """From the state after one iteration, whatever weight the noise starts with."""
    X, _ = with_background(60)
    weights = np.random.default_rng(1).uniform(0.1, 2, size=60) if weighted else None
    first = start(X, 2, covariance_type)
    _, before = after(X, first, 1, weights, reg_covar=1e-3)
    assert 0 < before.noise_weight < 1
    expected, log_likelihood = reference.mixture_em_step(before, X, weights, reg_covar=1e-3)
    ours, actual = after(X, first, 2, weights, reg_covar=1e-3)
    assert_same(actual, expected, rtol=1e-10)
    assert actual.noise_weight == pytest.approx(expected.noise_weight, rel=1e-10)
    assert ours.lower_bound_ == pytest.approx(log_likelihood, rel=1e-11)


@unconverged
@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_a_step_with_missing_values_equals_the_naive_twin(covariance_type):
    """The noise of a row is uniform on the sides of the box that the row has values for."""
    X = holes(with_background(60)[0], 0.2)
    first = start(X, 2, covariance_type)
    parameters = {**initial(first), "noise": "uniform", "missing": "em", "tol": 0.0}
    one, two = (GaussianMixture(**parameters, max_iter=n).fit(X) for n in (1, 2))
    widths = np.nanmax(X, axis=0) - np.nanmin(X, axis=0)
    before = fitted(one, noise_weight=one.noise_weight_, noise_widths=widths)
    expected, log_likelihood = reference.mixture_em_step(before, X, reg_covar=1e-6)
    assert_same(fitted(two), reference.replace(expected, noise_weight=0.0), rtol=1e-10)
    assert two.noise_weight_ == pytest.approx(expected.noise_weight, rel=1e-10)
    assert two.lower_bound_ == pytest.approx(log_likelihood, rel=1e-11)


@unconverged
@pytest.mark.parametrize("covariance_type", TYPES)
def test_scores_and_posteriors_include_the_noise(covariance_type):
    X, _ = with_background(60)
    ours, mixture = after(X, start(X, 2, covariance_type), 5)
    np.testing.assert_allclose(
        ours.score_samples(X), reference.mixture_log_density(mixture, X), rtol=1e-10
    )
    proba = ours.predict_proba(X)
    assert proba.shape == (60, 3)
    np.testing.assert_allclose(proba, reference.mixture_responsibilities(mixture, X), atol=1e-11)
    labels = ours.predict(X)
    np.testing.assert_array_equal(labels, np.array([0, 1, -1])[proba.argmax(axis=1)])
    assert ours.weights_.sum() + ours.noise_weight_ == pytest.approx(1, abs=1e-12)


@unconverged
@pytest.mark.parametrize("covariance_type", TYPES)
def test_likelihood_never_falls(covariance_type):
    X, _ = with_background(300)
    ours, _ = after(X, start(X, 2, covariance_type), 60, reg_covar=0.0)
    assert np.diff(ours.lower_bounds_).min() >= -1e-12


def test_clusters_are_found_under_a_background():
    X, y = with_background(2000, seed=1)
    ours = GaussianMixture(
        2, noise="uniform", covariance_type="spherical", random_state=0, tol=1e-8, max_iter=1000
    ).fit(X)
    order = np.argsort(ours.means_[:, 0])
    # .5 / sqrt(700) = .019 is the standard error of a mean.
    np.testing.assert_allclose(ours.means_[order], [[-4, -4], [4, 4]], atol=0.08)
    np.testing.assert_allclose(ours.covariances_, [0.25, 0.25], rtol=0.2)
    # sqrt(.3 * .7 / 2000) = .010
    assert ours.noise_weight_ == pytest.approx(0.3, abs=0.045)
    labels = ours.predict(X)
    assert set(np.unique(labels)) == {-1, 0, 1}
    # Background falls among the clusters too: 2 * pi * 2**2 / 1600 = 1.6 % of it.
    assert np.mean((labels == -1) == (y == -1)) > 0.97
    plain = GaussianMixture(2, covariance_type="spherical", random_state=0).fit(X)
    assert plain.covariances_.max() > 10


def test_without_background_there_is_little_noise():
    X = np.vstack([rows(300, 2, 1, seed=i) + 10 * i for i in range(2)])
    ours = GaussianMixture(2, noise="uniform", random_state=0, tol=1e-8, max_iter=2000).fit(X)
    plain = GaussianMixture(2, random_state=0, tol=1e-8, max_iter=2000).fit(X)
    assert ours.noise_weight_ < 0.2
    assert ours.score(X) >= plain.score(X) - 1e-6


def test_no_noise_has_no_noise_weight():
    X, _ = with_background(100)
    ours = GaussianMixture(2, random_state=0).fit(X)
    assert not hasattr(ours, "noise_weight_")
    assert ours.predict_proba(X).shape == (100, 2)
    assert ours.predict(X).min() >= 0


@unconverged
def test_offset_and_scale_of_the_box():
    X, _ = with_background(200)
    X = np.round(X * 256) / 256
    first = start(X, 2, "diag")
    first = reference.replace(first, means=np.round(first.means * 256) / 256)
    far = reference.replace(first, means=first.means + 2.0**27)
    near, _ = after(X, first, 5)
    ours, _ = after(X + 2.0**27, far, 5)
    assert ours.noise_weight_ == pytest.approx(near.noise_weight_, rel=1e-6)
    np.testing.assert_allclose(ours.covariances_, near.covariances_, rtol=1e-6)


@unconverged
def test_chunks_share_one_box():
    X, _ = with_background(300)
    X = X[np.argsort(X[:, 0])]  # no chunk spans the box
    first = initial(start(X, 2, "full"))
    parameters = {**first, "noise": "uniform", "max_iter": 6, "tol": 0.0}
    whole = GaussianMixture(**parameters).fit(X)
    ours = GaussianMixture(**parameters).fit_chunks(np.array_split(X, 4))
    assert_same(fitted(ours), fitted(whole), rtol=1e-12)
    assert ours.noise_weight_ == pytest.approx(whole.noise_weight_, rel=1e-12)


def test_a_constant_column_has_no_box():
    """Its width is zero and the density of the noise infinite: refused, or a finite answer."""
    X, _ = with_background(100)
    X[:, 1] = 2.0
    try:
        ours = GaussianMixture(2, noise="uniform", random_state=0).fit(X)
    except ValueError:
        return
    assert np.isfinite(ours.score_samples(X)).all()
    assert np.isfinite(ours.noise_weight_)


def test_samples_of_the_noise_are_in_the_box():
    X, _ = with_background(500)
    ours = GaussianMixture(
        2, covariance_type="spherical", noise="uniform", random_state=0, max_iter=1000
    ).fit(X)
    Z, labels = ours.sample(4000)
    assert set(np.unique(labels)) == {-1, 0, 1}
    share = np.mean(labels == -1)
    assert share == pytest.approx(ours.noise_weight_, abs=5 * 0.5 / np.sqrt(4000))
    noise = Z[labels == -1]
    assert (noise >= X.min(axis=0)).all()
    assert (noise <= X.max(axis=0)).all()
