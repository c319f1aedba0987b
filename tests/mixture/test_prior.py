"""The inverse-Wishart prior: steps to the posterior's mode, and an objective that never falls."""

import numpy as np
import pytest

from skmmd.mixture import GaussianMixture
from tests import reference
from tests.mixture.starts import TYPES, assert_same, fitted, holes, initial, rows, start

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def degrees_of_freedom(covariance_type, d):
    """Return p + 2 for the p columns of a covariance: the prior's mean is then its scale."""
    return d + 2 if covariance_type in ("full", "tied") else 3


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scale", [0.01, 2.0])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_steps_equal_the_naive_twin(covariance_type, scale, weighted):
    X = rows(50, 3, 2, seed=1)
    weights = np.random.default_rng(0).uniform(0.1, 2, size=50) if weighted else None
    first = start(X, 2, covariance_type)
    prior = (scale, degrees_of_freedom(covariance_type, 3))
    expected, _ = reference.mixture_em(first, X, 3, weights=weights, prior=prior)
    ours = GaussianMixture(
        **initial(first), covariance_prior=scale, reg_covar=0.0, max_iter=3, tol=0.0
    ).fit(X, sample_weight=weights)
    assert_same(fitted(ours), expected, rtol=1e-10)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_objective_is_the_penalised_likelihood(covariance_type):
    """Its increments: the log prior is stated up to a constant."""
    X = rows(50, 3, 2, seed=2)
    first = start(X, 2, covariance_type)
    prior = (0.5, degrees_of_freedom(covariance_type, 3))
    objective, mixture = [], first
    for _ in range(5):
        stepped, log_likelihood = reference.mixture_em_step(mixture, X, prior=prior)
        objective.append(log_likelihood + reference.mixture_log_prior(mixture, *prior) / len(X))
        mixture = stepped
    ours = GaussianMixture(
        **initial(first), covariance_prior=0.5, reg_covar=0.0, max_iter=5, tol=0.0
    ).fit(X)
    np.testing.assert_allclose(np.diff(ours.lower_bounds_), np.diff(objective), atol=1e-11)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("prior", ["auto", 0.3, 1e-8])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_objective_never_falls(covariance_type, prior, missing):
    """With the default reg_covar too, which makes EM without a prior fall."""
    X = rows(80, 2, 3, seed=3) * 1e-3
    if missing:
        X = holes(X, 0.15)
    ours = GaussianMixture(
        **initial(start(X, 3, covariance_type)),
        covariance_prior=prior,
        missing="em" if missing else "error",
        max_iter=60,
        tol=0.0,
    ).fit(X)
    steps = np.diff(ours.lower_bounds_)
    assert len(steps) == 59
    assert steps.min() >= -1e-11
    assert ours.lower_bounds_[-1] > ours.lower_bounds_[0]


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_a_matrix_as_scale(covariance_type):
    """One component, one step: (S + Psi) / (n + nu + d + 1)."""
    X = rows(40, 2, 1, seed=4)
    Psi = np.array([[2.0, 0.7], [0.7, 1.0]])
    ours = GaussianMixture(
        covariance_type=covariance_type, covariance_prior=Psi, reg_covar=0.0
    ).fit(X)
    expected = (40 * np.cov(X.T, bias=True) + Psi) / (40 + 4 + 2 + 1)
    np.testing.assert_allclose(reference.mixture_matrices(fitted(ours))[0], expected, rtol=1e-11)


@pytest.mark.parametrize("covariance_type", ["diag", "tied_diag"])
def test_a_matrix_as_scale_of_variances(covariance_type):
    X = rows(40, 2, 1, seed=4)
    ours = GaussianMixture(
        covariance_type=covariance_type, covariance_prior=np.diag([2.0, 1.0]), reg_covar=0.0
    ).fit(X)
    expected = (40 * X.var(axis=0) + [2.0, 1.0]) / (40 + 3 + 1 + 1)
    np.testing.assert_allclose(ours.covariances_.ravel(), expected, rtol=1e-11)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_the_prior_fades_with_rows(covariance_type):
    X = rows(30, 2, 1, seed=5)
    far = []
    for copies in (1, 1000):
        parameters = {"covariance_type": covariance_type, "reg_covar": 0.0}
        weights = np.full(30, float(copies))
        plain = GaussianMixture(**parameters).fit(X, sample_weight=weights)
        ours = GaussianMixture(**parameters, covariance_prior=5.0).fit(X, sample_weight=weights)
        far.append(np.abs(ours.covariances_ - plain.covariances_).max())
    assert far[1] < far[0] / 500


@pytest.mark.parametrize("covariance_type", TYPES)
def test_auto_has_no_unit(covariance_type):
    X = rows(100, 2, 2, seed=6)
    first = start(X, 2, covariance_type)
    small = reference.replace(
        first, means=first.means * 2.0**-20, covariances=first.covariances * 2.0**-40
    )
    parameters = {"covariance_prior": "auto", "reg_covar": 0.0, "max_iter": 5, "tol": 0.0}
    unit = GaussianMixture(**initial(first), **parameters).fit(X)
    ours = GaussianMixture(**initial(small), **parameters).fit(X * 2.0**-20)
    np.testing.assert_allclose(ours.covariances_ * 2.0**40, unit.covariances_, rtol=1e-10)


def test_more_components_than_rows_can_carry_stay_finite():
    X = rows(30, 4, 2, seed=7)
    ours = GaussianMixture(
        10, covariance_prior="auto", reg_covar=0.0, random_state=0, max_iter=500
    ).fit(X)
    assert np.isfinite(ours.covariances_).all()
    assert np.linalg.eigvalsh(ours.covariances_).min() > 0
