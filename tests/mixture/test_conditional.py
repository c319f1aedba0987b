"""Conditioning, regression and filling in, against integrals on a grid and closed forms."""

import numpy as np
import pytest
from scipy.integrate import trapezoid

from skmmd.mixture import GaussianMixture
from tests import reference
from tests.mixture.starts import TYPES, estimator, fitted, holes, initial, rows, start


def given(x, indices, d):
    """Return a row of NaN with the values of x at these columns."""
    row = np.full(d, np.nan)
    row[list(indices)] = x
    return row


def mixture_and_estimator(covariance_type, d, k=3, seed=0):
    mixture = start(rows(50, d, k, seed), k, covariance_type, seed)
    return mixture, estimator(mixture)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_an_estimator_at_given_parameters(covariance_type):
    """What these tests stand on: no iteration leaves the start as it was."""
    mixture, ours = mixture_and_estimator(covariance_type, 3)
    X = rows(20, 3, 2, seed=1)
    np.testing.assert_allclose(ours.covariances_, mixture.covariances, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        ours.score_samples(X), reference.mixture_log_density(mixture, X), rtol=1e-10
    )


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("known", [0, 1])
def test_condition_against_integration_over_a_line(covariance_type, known):
    """p(b | a) = p(a, b) / integral of p(a, b) db, with its mean and variance."""
    _, ours = mixture_and_estimator(covariance_type, 2)
    a = ours.means_[0, known] + 0.3
    b = np.linspace(-60, 60, 48_001)
    joint = np.empty((len(b), 2))
    joint[:, known], joint[:, 1 - known] = a, b
    density = np.exp(ours.score_samples(joint))
    density /= trapezoid(density, b)
    conditional = ours.condition([known], [a])
    seen = density > 1e-12
    np.testing.assert_allclose(
        np.exp(conditional.score_samples(b[seen, None])), density[seen], rtol=1e-8
    )
    mean = trapezoid(density * b, b)
    variance = trapezoid(density * (b - mean) ** 2, b)
    predicted, covariance = ours.regress([[a]], [known], return_cov=True)
    np.testing.assert_allclose(predicted, [[mean]], rtol=1e-9)
    np.testing.assert_allclose(covariance, [[[variance]]], rtol=1e-9)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_regress_against_integration_over_a_plane(covariance_type):
    _, ours = mixture_and_estimator(covariance_type, 3, k=2)
    a = ours.means_[:, 1].mean()
    grid = np.linspace(-25, 25, 401)
    u, v = (g.ravel() for g in np.meshgrid(grid, grid, indexing="ij"))
    density = np.exp(ours.score_samples(np.column_stack([u, np.full(len(u), a), v])))
    density /= density.sum()  # the sum over a fine grid is the integral of a smooth function
    points = np.column_stack([u, v])
    mean = density @ points
    covariance = (points - mean).T @ (density[:, None] * (points - mean))
    predicted, spread = ours.regress([[a]], [1], return_cov=True)
    np.testing.assert_allclose(predicted[0], mean, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(spread[0], covariance, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("indices", [[0], [2], [1, 3], [3, 0], [0, 1, 2], [3, 1, 0]], ids=str)
def test_condition_equals_the_naive_twin(covariance_type, indices):
    mixture, ours = mixture_and_estimator(covariance_type, 4)
    x = np.random.default_rng(1).normal(size=len(indices))
    expected = reference.conditional_mixture(mixture, given(x, indices, 4))
    actual = ours.condition(indices, x)
    assert isinstance(actual, GaussianMixture)
    assert actual.n_features_in_ == 4 - len(indices)
    np.testing.assert_allclose(actual.weights_, expected.weights, rtol=1e-9)
    np.testing.assert_allclose(actual.means_, expected.means, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(
        reference.mixture_matrices(fitted(actual)), expected.covariances, rtol=1e-9, atol=1e-11
    )
    Z = np.random.default_rng(2).normal(size=(7, 4 - len(indices)))
    np.testing.assert_allclose(
        actual.score_samples(Z), reference.mixture_log_density(expected, Z), rtol=1e-9
    )
    assert actual.predict(Z).shape == (7,)
    assert actual.sample(5)[0].shape == Z[:5].shape


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("indices", [[0], [1, 3], [3, 0, 1]], ids=str)
def test_regress_equals_the_naive_twin(covariance_type, indices):
    mixture, ours = mixture_and_estimator(covariance_type, 4)
    X = 2 * np.random.default_rng(1).normal(size=(9, len(indices)))
    predicted, spread = ours.regress(X, indices, return_cov=True)
    np.testing.assert_array_equal(predicted, ours.regress(X, indices))
    assert predicted.shape == (9, 4 - len(indices))
    for x, mean, covariance in zip(X, predicted, spread, strict=True):
        conditional = reference.conditional_mixture(mixture, given(x, indices, 4))
        expected = reference.mixture_moments(conditional)
        np.testing.assert_allclose(mean, expected[0], rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(covariance, expected[1], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_predict_missing_equals_the_naive_twin(covariance_type):
    mixture, ours = mixture_and_estimator(covariance_type, 3)
    X = holes(rows(40, 3, 2, seed=3), 0.4, seed=1)
    X[0], X[1] = np.nan, [0.5, 1.0, -1.0]
    filled, spread = ours.predict_missing(X, return_cov=True)
    np.testing.assert_array_equal(filled, ours.predict_missing(X))
    seen = ~np.isnan(X)
    np.testing.assert_array_equal(filled[seen], X[seen])
    assert spread.shape == (40, 3, 3)
    for x, row, covariance in zip(X, filled, spread, strict=True):
        hidden = np.isnan(x)
        expected = np.zeros((3, 3))
        if hidden.any():
            mean, expected[np.ix_(hidden, hidden)] = reference.mixture_moments(
                reference.conditional_mixture(mixture, x)
            )
            np.testing.assert_allclose(row[hidden], mean, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(covariance, expected, rtol=1e-9, atol=1e-11)
        assert not covariance[~hidden].any()


def test_an_empty_row_is_filled_with_the_mean():
    mixture, ours = mixture_and_estimator("full", 3)
    filled, spread = ours.predict_missing(np.full((1, 3), np.nan), return_cov=True)
    mean, covariance = reference.mixture_moments(mixture)
    np.testing.assert_allclose(filled[0], mean, rtol=1e-10)
    np.testing.assert_allclose(spread[0], covariance, rtol=1e-10)


def test_one_component_regresses_as_least_squares_do():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(100, 2))
    y = X @ [[1.5, 0.2], [-2.0, 1.0]] + 0.5 + 0.3 * rng.normal(size=(100, 2))
    ours = GaussianMixture(reg_covar=0.0).fit(np.hstack([y[:, :1], X, y[:, 1:]]))
    design = np.column_stack([np.ones(100), X])
    coefficients, *_ = np.linalg.lstsq(design, y, rcond=None)
    predicted, spread = ours.regress(X, [1, 2], return_cov=True)
    np.testing.assert_allclose(predicted, design @ coefficients, rtol=1e-9, atol=1e-11)
    residual = y - design @ coefficients
    np.testing.assert_allclose(
        spread, np.broadcast_to(residual.T @ residual / 100, spread.shape), rtol=1e-9, atol=1e-12
    )


def test_condition_in_two_steps_is_condition_at_once():
    _, ours = mixture_and_estimator("full", 4)
    once = ours.condition([0, 2], [0.3, -0.4])
    twice = ours.condition([0], [0.3]).condition([1], [-0.4])
    np.testing.assert_allclose(twice.weights_, once.weights_, rtol=1e-10)
    np.testing.assert_allclose(twice.means_, once.means_, rtol=1e-10)
    np.testing.assert_allclose(twice.covariances_, once.covariances_, rtol=1e-10)


def test_far_from_everything_the_weights_stay_finite():
    """All densities underflow; their ratios do not."""
    mixture, ours = mixture_and_estimator("full", 3)
    x = [300.0]
    expected = reference.conditional_mixture(mixture, given(x, [1], 3))
    actual = ours.condition([1], x)
    np.testing.assert_allclose(actual.weights_, expected.weights, rtol=1e-7, atol=1e-300)
    np.testing.assert_allclose(actual.means_, expected.means, rtol=1e-9)
    assert np.isfinite(ours.regress([x], [1])).all()


@pytest.mark.parametrize(
    ("indices", "x"),
    [
        ([4], [0.0]),
        ([-5], [0.0]),
        ([0, 0], [0.0, 0.0]),
        ([0, 1, 2, 3], [0.0] * 4),
        ([0, 1], [0.0]),
        ([0], [np.nan]),
        ([0], [np.inf]),
        ([0.5], [0.0]),
        ("a", [0.0]),
    ],
    ids=str,
)
def test_bad_conditions(indices, x):
    _, ours = mixture_and_estimator("full", 4)
    with pytest.raises((ValueError, TypeError, IndexError)) as error:
        ours.condition(indices, x)
    assert len(str(error.value)) > 15
    with pytest.raises((ValueError, TypeError, IndexError)):
        ours.regress([x], indices)


def test_the_estimator_is_not_changed_by_conditioning():
    mixture, ours = mixture_and_estimator("diag", 3)
    before = {name: np.array(value) for name, value in vars(ours).items() if name[-1] == "_"}
    ours.condition([0], [0.1])
    ours.regress([[0.1]], [0])
    ours.predict_missing([[np.nan, 0.0, 1.0]])
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(ours, name), value)
    assert initial(mixture).keys() <= ours.get_params().keys()


def test_regression_finds_a_curve():
    """Within the noise of the rows, .1, of the truth."""
    rng = np.random.default_rng(5)
    x = rng.uniform(-6, 6, size=4000)
    X = np.column_stack([x, np.sin(x) + 0.1 * rng.normal(size=4000)])
    ours = GaussianMixture(15, random_state=0, max_iter=500, tol=1e-5).fit(X)
    grid = np.linspace(-5.5, 5.5, 200)
    error = ours.regress(grid[:, None], [0])[:, 0] - np.sin(grid)
    assert np.sqrt(np.mean(error**2)) < 0.1
