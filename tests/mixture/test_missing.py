"""EM over missing values: the slow loop's steps, its limits, and every pattern of holes."""

import itertools

import numpy as np
import pytest

from skmmd.mixture import GaussianMixture
from tests import reference
from tests.mixture.starts import TYPES, assert_same, fitted, holes, initial, rows, start

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

# Variances may be updated from the cells that are there: other steps, the same limit.
STEPS_ARE_FIXED = ("full", "tied")


def patterns(n, d, seed=0):
    """Return rows in which each of the 2**d patterns occurs, the empty row too."""
    X = rows(n, d, 2, seed)
    for row, hidden in zip(
        X, itertools.cycle(itertools.product([False, True], repeat=d)), strict=False
    ):
        row[list(hidden)] = np.nan
    return X


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_iter", [1, 3])
@pytest.mark.parametrize("covariance_type", STEPS_ARE_FIXED)
def test_steps_equal_the_slow_loop(covariance_type, n_iter, weighted):
    X = holes(rows(45, 3, 2, seed=1), 0.25)
    weights = np.random.default_rng(0).uniform(0, 2, size=45) if weighted else None
    first = start(X, 2, covariance_type)
    expected, history = reference.mixture_em(first, X, n_iter, weights=weights, reg_covar=1e-4)
    ours = GaussianMixture(
        **initial(first), missing="em", reg_covar=1e-4, max_iter=n_iter, tol=0.0
    ).fit(X, sample_weight=weights)
    assert_same(fitted(ours), expected, rtol=1e-10)
    np.testing.assert_allclose(ours.lower_bounds_, history, rtol=1e-11)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_the_limit_is_a_fixed_point_of_the_slow_loop(covariance_type, weighted):
    X = holes(rows(80, 3, 2, seed=2, separation=4), 0.2)
    weights = np.random.default_rng(0).uniform(0.2, 2, size=80) if weighted else None
    ours = GaussianMixture(
        **initial(start(X, 2, covariance_type)),
        missing="em",
        reg_covar=0.0,
        max_iter=20_000,
        tol=1e-15,
    ).fit(X, sample_weight=weights)
    stepped, log_likelihood = reference.mixture_em_step(fitted(ours), X, weights)
    assert_same(stepped, fitted(ours), rtol=1e-5)
    assert ours.lower_bound_ == pytest.approx(log_likelihood, rel=1e-9)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_every_pattern(covariance_type):
    X = patterns(64, 3)
    first = start(X, 2, covariance_type)
    parameters = {"missing": "em", "reg_covar": 1e-3, "tol": 0.0}
    ours = GaussianMixture(**initial(first), max_iter=1, **parameters).fit(X)
    _, log_likelihood = reference.mixture_em_step(first, X, reg_covar=1e-3)
    assert ours.lower_bound_ == pytest.approx(log_likelihood, rel=1e-11)
    mixture = fitted(ours)
    np.testing.assert_allclose(
        ours.score_samples(X), reference.mixture_log_density(mixture, X), rtol=1e-10, atol=1e-12
    )
    proba = ours.predict_proba(X)
    np.testing.assert_allclose(
        proba, reference.mixture_responsibilities(mixture, X), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_array_equal(ours.predict(X), proba.argmax(axis=1))


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("shape", ["one column", "each row its own", "monotone", "mostly missing"])
def test_likelihood_never_falls(covariance_type, shape):
    X = rows(120, 4, 3, seed=3)
    rng = np.random.default_rng(0)
    if shape == "one column":
        X[rng.random(120) < 0.6, 2] = np.nan
    elif shape == "each row its own":
        X[np.arange(120), rng.integers(4, size=120)] = np.nan
    elif shape == "monotone":
        X[np.arange(4) > rng.integers(0, 4, size=(120, 1))] = np.nan
    else:
        X[rng.random(X.shape) < 0.6] = np.nan
    first = start(X, 2, covariance_type)
    ours = GaussianMixture(**initial(first), missing="em", reg_covar=0.0, max_iter=40, tol=0.0).fit(
        X
    )
    steps = np.diff(ours.lower_bounds_)
    assert len(steps) == 39
    assert steps.min() >= -1e-12
    assert ours.lower_bounds_[-1] > ours.lower_bounds_[0]


@pytest.mark.parametrize("covariance_type", TYPES)
def test_without_holes_it_is_plain_em(covariance_type):
    X = rows(300, 3, 2, seed=4)
    parameters = {**initial(start(X, 2, covariance_type)), "max_iter": 7, "tol": 0.0}
    plain = GaussianMixture(**parameters).fit(X)
    ours = GaussianMixture(**parameters, missing="em").fit(X)
    assert_same(fitted(ours), fitted(plain), rtol=1e-12)
    np.testing.assert_allclose(ours.lower_bounds_, plain.lower_bounds_, rtol=1e-12)
    np.testing.assert_allclose(ours.score_samples(X), plain.score_samples(X), rtol=1e-12)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_empty_rows_say_nothing(covariance_type):
    """An all-NaN row has the weights as its posterior, and no likelihood: the limit stays."""
    X = rows(90, 2, 2, seed=5, separation=4)
    padded = np.vstack([np.full((1, 2), np.nan), X, np.full((9, 2), np.nan)])
    parameters = {**initial(start(X, 2, covariance_type)), "missing": "em", "reg_covar": 0.0}
    parameters |= {"max_iter": 5000, "tol": 1e-14}
    without = GaussianMixture(**parameters).fit(X)
    ours = GaussianMixture(**parameters).fit(padded)
    assert_same(fitted(ours), fitted(without), rtol=1e-5)
    assert ours.lower_bound_ == pytest.approx(without.lower_bound_ * 90 / 100, rel=1e-9)
    empty = np.full((3, 2), np.nan)
    np.testing.assert_allclose(ours.score_samples(empty), 0.0, atol=1e-14)
    np.testing.assert_allclose(ours.predict_proba(empty), [ours.weights_] * 3, rtol=1e-12)


def test_one_gaussian_with_one_column_missing_at_random_has_a_closed_form():
    """Monotone data (Anderson, 1957): regress the second column on the first where both are."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    y = 0.7 * x + 0.5 * rng.normal(size=200)
    seen = np.arange(200) < 120
    slope, intercept = np.polyfit(x[seen], y[seen], 1)
    residual = np.var(y[seen] - slope * x[seen] - intercept)
    mean, variance = x.mean(), x.var()
    X = np.column_stack([x, np.where(seen, y, np.nan)])
    ours = GaussianMixture(missing="em", reg_covar=0.0, tol=1e-15, max_iter=5000).fit(X)
    np.testing.assert_allclose(ours.means_[0], [mean, intercept + slope * mean], rtol=1e-6)
    np.testing.assert_allclose(
        ours.covariances_[0],
        [[variance, slope * variance], [slope * variance, residual + slope**2 * variance]],
        rtol=1e-6,
    )


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "whitened", "short_em", "auto"])
def test_clusters_are_found_with_a_fifth_missing(init_params):
    rng = np.random.default_rng(1)
    y = rng.integers(2, size=600)
    complete = rng.normal(size=(600, 4)) + 5.0 * y[:, None]
    ours = GaussianMixture(
        2, missing="em", init_params=init_params, random_state=0, tol=1e-8, max_iter=2000
    ).fit(holes(complete, 0.2))
    order = np.argsort(ours.means_[:, 0])
    truth = np.array([complete[y == c].mean(axis=0) for c in (0, 1)])
    # Standard error of a mean over 240 seen cells is .065.
    np.testing.assert_allclose(ours.means_[order], truth, atol=0.26)
    assert np.isfinite(ours.covariances_).all()


@pytest.mark.parametrize("covariance_type", TYPES)
def test_order_of_rows_and_columns_does_not_matter(covariance_type):
    X = holes(rows(60, 3, 2, seed=6), 0.3)
    first = start(X, 2, covariance_type)
    parameters = {"missing": "em", "max_iter": 5, "tol": 0.0, "reg_covar": 1e-3}
    ours = GaussianMixture(**initial(first), **parameters).fit(X)
    shuffled = np.random.default_rng(0).permutation(60)
    other = GaussianMixture(**initial(first), **parameters).fit(X[shuffled])
    assert_same(fitted(other), fitted(ours), rtol=1e-10)


def test_offset_and_holes():
    """Multiples of 1/256 so that adding 2**27 is exact."""
    X = np.round(rows(80, 3, 2, seed=7) * 256) / 256
    X = holes(X, 0.2)
    first = start(X, 2, "full")
    first = reference.replace(first, means=np.round(first.means * 256) / 256)
    far = reference.replace(first, means=first.means + 2.0**27)
    parameters = {"missing": "em", "max_iter": 5, "tol": 0.0}
    near = GaussianMixture(**initial(first), **parameters).fit(X)
    ours = GaussianMixture(**initial(far), **parameters).fit(X + 2.0**27)
    np.testing.assert_allclose(ours.covariances_, near.covariances_, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(ours.means_ - 2.0**27, near.means_, atol=1e-7)
    np.testing.assert_allclose(ours.lower_bounds_, near.lower_bounds_, rtol=1e-6)


def test_a_column_without_values_is_refused_or_finite():
    X = rows(40, 2, 2, seed=8)
    X[:, 1] = np.nan
    with pytest.raises(ValueError, match=r"(?i)column|feature|missing|NaN"):
        GaussianMixture(2, missing="em", random_state=0).fit(X)


def test_nan_is_an_error_by_default():
    X = holes(rows(40, 2, 2, seed=9), 0.1)
    with pytest.raises(ValueError, match="NaN"):
        GaussianMixture(2).fit(X)
    ours = GaussianMixture(2, random_state=0).fit(rows(40, 2, 2, seed=9))
    for method in ("predict", "predict_proba", "score_samples", "score"):
        with pytest.raises(ValueError, match="NaN"):
            getattr(ours, method)(X)


def test_inf_is_an_error_with_missing_values_too():
    X = holes(rows(40, 2, 2, seed=9), 0.1)
    X[3, 0] = np.inf
    with pytest.raises(ValueError, match="inf"):
        GaussianMixture(2, missing="em").fit(X)


def test_tags_say_whether_nan_is_allowed():
    from sklearn.utils import get_tags

    assert get_tags(GaussianMixture(missing="em")).input_tags.allow_nan
    assert not get_tags(GaussianMixture()).input_tags.allow_nan
