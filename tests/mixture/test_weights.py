"""A weight is a number of copies: weighted equals replicated, zero is removed, no unit matters."""

import numpy as np
import pytest

from skmmd.mixture import GaussianMixture
from tests import reference
from tests.mixture.starts import TYPES, assert_same, fitted, holes, initial, rows, start

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

INIT_PARAMS = (
    "kmeans",
    "k-means++",
    "random",
    "random_from_data",
    "whitened",
    "short_em",
    "auto",
)


def weighted_rows(n=80, d=2, k=3, seed=0):
    """Return rows, integer weights, and the rows repeated and shuffled."""
    rng = np.random.default_rng(seed)
    X = rows(n, d, k, seed)
    weights = rng.integers(0, 4, size=n)
    return X, weights, rng.permutation(np.repeat(X, weights, axis=0))


@pytest.mark.parametrize("covariance_type", TYPES)
def test_weighted_steps_equal_the_naive_twin(covariance_type):
    X = rows(50, 3, 2, seed=1)
    weights = np.random.default_rng(0).uniform(0, 3, size=50)
    first = start(X, 2, covariance_type)
    expected, history = reference.mixture_em(first, X, 3, weights=weights, reg_covar=1e-3)
    ours = GaussianMixture(**initial(first), max_iter=3, tol=0.0, reg_covar=1e-3)
    ours.fit(X, sample_weight=weights)
    assert_same(fitted(ours), expected, rtol=1e-11)
    np.testing.assert_allclose(ours.lower_bounds_, history, rtol=1e-12)
    score = np.average(reference.mixture_log_density(expected, X), weights=weights)
    assert ours.score(X, sample_weight=weights) == pytest.approx(score, rel=1e-11)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_weighted_equals_replicated_from_one_start(covariance_type):
    X, weights, copies = weighted_rows()
    first = start(X, 3, covariance_type)
    parameters = {**initial(first), "max_iter": 10, "tol": 0.0}
    weighted = GaussianMixture(**parameters).fit(X, sample_weight=weights)
    replicated = GaussianMixture(**parameters).fit(copies)
    assert_same(fitted(weighted), fitted(replicated), rtol=1e-10)
    np.testing.assert_allclose(weighted.lower_bounds_, replicated.lower_bounds_, rtol=1e-11)
    for criterion in ("bic", "aic", "icl"):
        assert getattr(weighted, criterion)(X, sample_weight=weights) == pytest.approx(
            getattr(replicated, criterion)(copies), rel=1e-10
        )


@pytest.mark.parametrize("init_params", INIT_PARAMS)
@pytest.mark.parametrize("covariance_type", TYPES)
def test_weighted_equals_replicated_from_every_initialisation(covariance_type, init_params):
    """Also with the copies in any order: what is drawn depends on the weighted rows alone."""
    X, weights, copies = weighted_rows(seed=2)
    parameters = {
        "n_components": 3,
        "covariance_type": covariance_type,
        "init_params": init_params,
        "random_state": 3,
        "reg_covar": 1e-3,
        "max_iter": 5,
        "tol": 0.0,
    }
    weighted = GaussianMixture(**parameters).fit(X, sample_weight=weights)
    replicated = GaussianMixture(**parameters).fit(copies)
    assert_same(fitted(weighted), fitted(replicated), rtol=1e-8)


@pytest.mark.parametrize("init_params", INIT_PARAMS)
def test_zero_weight_is_removed(init_params):
    """Whatever the row holds: an outlier there moves nothing."""
    X = rows(60, 2, 2, seed=3)
    weights = np.random.default_rng(0).uniform(0.5, 2, size=60)
    far = np.array([[1e6, -1e6], [1e-6, 5.0]])
    parameters = {"n_components": 2, "init_params": init_params, "random_state": 0}
    parameters |= {"reg_covar": 1e-3, "max_iter": 5, "tol": 0.0}
    without = GaussianMixture(**parameters).fit(X, sample_weight=weights)
    padded = GaussianMixture(**parameters).fit(
        np.vstack([far[:1], X, far[1:]]), sample_weight=np.concatenate([[0], weights, [0]])
    )
    assert_same(fitted(padded), fitted(without), rtol=1e-9)
    np.testing.assert_allclose(padded.lower_bounds_, without.lower_bounds_, rtol=1e-9)


def test_zero_weight_is_removed_with_noise():
    """The box of the noise is that of the rows that count."""
    X = rows(60, 2, 2, seed=3)
    padded = np.vstack([X, [[1e3, 1e3]]])
    parameters = {**initial(start(X, 2, "full")), "noise": "uniform", "max_iter": 4, "tol": 0.0}
    without = GaussianMixture(**parameters).fit(X)
    zero = GaussianMixture(**parameters).fit(padded, sample_weight=[*np.ones(60), 0])
    assert zero.noise_weight_ == pytest.approx(without.noise_weight_, rel=1e-10)
    assert_same(fitted(zero), fitted(without), rtol=1e-10)


@pytest.mark.parametrize("init_params", ["kmeans", "random", "auto"])
@pytest.mark.parametrize("factor", [1e-9, 7.3, 1e12])
def test_a_common_factor_changes_nothing(init_params, factor):
    X = rows(60, 2, 2, seed=4)
    weights = np.random.default_rng(0).uniform(0.1, 2, size=60)
    parameters = {"n_components": 2, "init_params": init_params, "random_state": 0, "max_iter": 6}
    one = GaussianMixture(**parameters, tol=0.0).fit(X, sample_weight=weights)
    other = GaussianMixture(**parameters, tol=0.0).fit(X, sample_weight=factor * weights)
    assert_same(fitted(other), fitted(one), rtol=1e-9)
    np.testing.assert_allclose(other.lower_bounds_, one.lower_bounds_, rtol=1e-10)


def test_equal_weights_are_no_weights():
    X = rows(100, 2, 3, seed=5)
    parameters = {"n_components": 3, "random_state": 0, "max_iter": 6, "tol": 0.0}
    plain = GaussianMixture(**parameters).fit(X)
    for weights in (np.ones(100), np.full(100, 2.5), 2.5, None):
        ours = GaussianMixture(**parameters).fit(X, sample_weight=weights)
        assert_same(fitted(ours), fitted(plain), rtol=1e-9)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_weighted_equals_replicated_with_missing_values(covariance_type):
    X, weights, _ = weighted_rows(n=70, d=3, seed=6)
    X = holes(X, 0.2)
    copies = np.repeat(X, weights, axis=0)
    parameters = {**initial(start(X, 3, covariance_type)), "missing": "em"}
    parameters |= {"max_iter": 6, "tol": 0.0, "reg_covar": 1e-4}
    weighted = GaussianMixture(**parameters).fit(X, sample_weight=weights)
    replicated = GaussianMixture(**parameters).fit(copies)
    assert_same(fitted(weighted), fitted(replicated), rtol=1e-9)


@pytest.mark.parametrize("accelerate", ["squarem", "anderson"])
def test_weighted_equals_replicated_accelerated(accelerate):
    X, weights, copies = weighted_rows(seed=7)
    parameters = {**initial(start(X, 3, "full")), "accelerate": accelerate, "tol": 1e-12}
    weighted = GaussianMixture(**parameters, max_iter=2000).fit(X, sample_weight=weights)
    replicated = GaussianMixture(**parameters, max_iter=2000).fit(copies)
    assert weighted.lower_bound_ == pytest.approx(replicated.lower_bound_, rel=1e-8)


def test_fit_predict_takes_weights():
    X, weights, _ = weighted_rows(seed=8)
    parameters = {"n_components": 2, "random_state": 0}
    labels = GaussianMixture(**parameters).fit_predict(X, sample_weight=weights)
    fit = GaussianMixture(**parameters).fit(X, sample_weight=weights)
    np.testing.assert_array_equal(labels, fit.predict(X))
