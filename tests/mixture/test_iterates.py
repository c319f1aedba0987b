"""The same path as scikit-learn's: parameters after any number of iterations, from one start."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import mixture as peer

from skmmd.mixture import GaussianMixture
from tests import reference
from tests.mixture.starts import (
    SCIKIT_LEARN_TYPES,
    TYPES,
    assert_same,
    covariances_like,
    fitted,
    initial,
    rows,
    start,
)
from tests.strategies import as_form, samples

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ATTRIBUTES = (
    "weights_",
    "means_",
    "covariances_",
    "precisions_",
    "precisions_cholesky_",
    "lower_bounds_",
    "lower_bound_",
)


def pair(X, mixture, n_iter, **parameters):
    """Fit both from the same start, for exactly so many iterations."""
    parameters = {**initial(mixture), "max_iter": n_iter, "tol": 0.0, **parameters}
    return GaussianMixture(**parameters).fit(X), peer.GaussianMixture(**parameters).fit(X)


def assert_equal_fits(ours, theirs, tolerance=1e-10):
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.converged_ == theirs.converged_
    names = [a for a in ATTRIBUTES if hasattr(theirs, a)]  # lower_bounds_ is of 1.7
    assert len(names) >= len(ATTRIBUTES) - 1
    for name in names:
        actual, expected = np.asarray(getattr(ours, name)), np.asarray(getattr(theirs, name))
        assert actual.shape == expected.shape, name
        scale = np.abs(expected).max()
        np.testing.assert_allclose(
            actual, expected, rtol=tolerance, atol=tolerance * scale, err_msg=name
        )


SHAPES = (
    (50, 1, 1),
    (300, 1, 3),
    (100, 3, 1),
    (255, 2, 4),
    (257, 3, 2),
    (600, 5, 8),
    (400, 16, 3),
    (150, 33, 2),
    (3000, 7, 17),
    (20_500, 2, 3),
)


@pytest.mark.parametrize("n_iter", [1, 2, 5, 20])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("covariance_type", SCIKIT_LEARN_TYPES)
def test_parameters_after_iterations(covariance_type, shape, n_iter):
    n, d, k = shape
    X = rows(n, d, k, seed=n + d + k)
    assert_equal_fits(*pair(X, start(X, k, covariance_type, seed=1), n_iter))


@pytest.mark.parametrize("covariance_type", SCIKIT_LEARN_TYPES)
@pytest.mark.parametrize("shape", [(150_001, 1, 2), (140_000, 8, 5)], ids=str)
def test_parameters_of_many_rows(covariance_type, shape):
    n, d, k = shape
    X = rows(n, d, k, seed=3)
    assert_equal_fits(*pair(X, start(X, k, covariance_type, seed=1), 5))


@pytest.mark.parametrize("covariance_type", SCIKIT_LEARN_TYPES)
def test_default_settings_stop_at_the_same_iteration(covariance_type):
    X = rows(500, 3, 3, seed=5)
    ours, theirs = pair(X, start(X, 3, covariance_type), 100, tol=1e-3)
    assert 2 < ours.n_iter_ < 100
    assert ours.converged_
    assert_equal_fits(ours, theirs)
    Z = rows(70, 3, 3, seed=6)
    for method in ("predict", "predict_proba", "score_samples", "score", "bic", "aic"):
        np.testing.assert_allclose(
            getattr(ours, method)(Z), getattr(theirs, method)(Z), rtol=1e-10, atol=1e-12
        )


@pytest.mark.parametrize("covariance_type", SCIKIT_LEARN_TYPES)
@pytest.mark.parametrize("name", ["weights_init", "precisions_init"])
def test_one_given_array_and_the_clusters_of_kmeans(covariance_type, name):
    """Where the clusters are certain, so is the start made of them and one given array.

    The array is the same for all components: nothing says which cluster is the first.
    """
    X = np.vstack([rows(60, 2, 1, seed=i) + 60 * i for i in range(3)])
    precisions = {
        "full": np.array([0.01 * np.eye(2)] * 3),
        "tied": 0.01 * np.eye(2),
        "diag": np.full((3, 2), 0.01),
        "spherical": np.full(3, 0.01),
    }[covariance_type]
    array = precisions if name == "precisions_init" else np.full(3, 1 / 3)
    options = {"covariance_type": covariance_type, "max_iter": 1, "tol": 0.0, "random_state": 0}
    ours = GaussianMixture(3, **options, **{name: array}).fit(X)
    theirs = peer.GaussianMixture(3, **options, **{name: array}).fit(X)
    by_first = [np.argsort(e.means_[:, 0]) for e in (ours, theirs)]
    np.testing.assert_allclose(ours.means_[by_first[0]], theirs.means_[by_first[1]], rtol=1e-10)
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-10)


@pytest.mark.parametrize("covariance_type", SCIKIT_LEARN_TYPES)
@pytest.mark.parametrize("form", ["Fortran", "strided", "reversed", "read-only", "list", "pandas"])
def test_forms_of_the_rows(covariance_type, form):
    if form == "pandas":
        pytest.importorskip("pandas")
    X = rows(300, 3, 2, seed=2)
    first = start(X, 2, covariance_type)
    passed = as_form(X, form)
    before = np.array(passed)
    ours, theirs = (
        GaussianMixture(**initial(first), max_iter=4, tol=0.0).fit(passed),
        peer.GaussianMixture(**initial(first), max_iter=4, tol=0.0).fit(X),
    )
    assert_equal_fits(ours, theirs)
    np.testing.assert_array_equal(np.array(passed), before)


@pytest.mark.parametrize("covariance_type", SCIKIT_LEARN_TYPES)
def test_float32_rows_are_computed_in_float64(covariance_type):
    X = rows(400, 3, 2, seed=4).astype(np.float32)
    first = start(X.astype(float), 2, covariance_type)
    ours = GaussianMixture(**initial(first), max_iter=5, tol=0.0).fit(X)
    theirs = peer.GaussianMixture(**initial(first), max_iter=5, tol=0.0).fit(X.astype(float))
    # Parameters may be returned in the precision of the rows; the path may not be in it.
    narrow = ours.means_.dtype == np.float32
    assert_equal_fits(ours, theirs, tolerance=3e-7 if narrow else 1e-10)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
def test_other_dtypes(dtype):
    X = (rows(200, 2, 2, seed=4) > 0).astype(dtype)
    parameters = {"reg_covar": 0.1, "max_iter": 3, "tol": 0.0}
    first = start(X.astype(float), 2, "diag")
    ours = GaussianMixture(**initial(first), **parameters).fit(X)
    theirs = GaussianMixture(**initial(first), **parameters).fit(X.astype(float))
    assert_same(fitted(ours), fitted(theirs), rtol=1e-14)


@pytest.mark.parametrize("reg_covar", [0.0, 0.3])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_steps_of_all_types_equal_the_naive_twin(covariance_type, reg_covar):
    X = rows(60, 3, 3, seed=8)
    first = start(X, 3, covariance_type, seed=2)
    expected, history = reference.mixture_em(first, X, 3, reg_covar=reg_covar)
    ours = GaussianMixture(**initial(first), max_iter=3, tol=0.0, reg_covar=reg_covar).fit(X)
    assert_same(fitted(ours), expected, rtol=1e-11)
    np.testing.assert_allclose(ours.lower_bounds_, history, rtol=1e-12)
    np.testing.assert_allclose(
        ours.score_samples(X), reference.mixture_log_density(expected, X), rtol=1e-10, atol=1e-10
    )
    np.testing.assert_allclose(
        ours.predict_proba(X), reference.mixture_responsibilities(expected, X), atol=1e-11
    )


@pytest.mark.parametrize("covariance_type", TYPES)
@given(
    drawn=samples(n_samples=1, min_rows=4, max_rows=14),
    k=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_a_step_on_awkward_rows_equals_the_naive_twin(covariance_type, drawn, k, seed):
    """Duplicates, constant columns, offsets and scales, in every form that callers pass."""
    (X,), scale = drawn.plain, drawn.scale
    rng = np.random.default_rng(seed)
    first = reference.Mixture(
        weights=rng.dirichlet(np.full(k, 5.0)),
        means=X.mean(axis=0) + scale * rng.normal(size=(k, X.shape[1])),
        covariances=covariances_like(covariance_type, k, X.shape[1], rng, 2 * scale**2),
        covariance_type=covariance_type,
    )
    parameters = {"reg_covar": 0.1 * scale**2}
    expected, log_likelihood = reference.mixture_em_step(first, X, **parameters)
    ours = GaussianMixture(**initial(first), max_iter=1, tol=0.0, **parameters)
    ours.fit(drawn.given[0])
    assert_same(fitted(ours), expected, rtol=3e-7 if ours.means_.dtype == np.float32 else 1e-9)
    assert ours.lower_bound_ == pytest.approx(log_likelihood, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_criteria(covariance_type):
    X = rows(40, 2, 2, seed=9)
    mixture = start(X, 3, covariance_type)
    ours = GaussianMixture(**initial(mixture), max_iter=0).fit(X)
    bic, aic, icl = reference.mixture_criteria(mixture, X)
    assert ours.bic(X) == pytest.approx(bic, rel=1e-10)
    assert ours.aic(X) == pytest.approx(aic, rel=1e-10)
    assert ours.icl(X) == pytest.approx(icl, rel=1e-10)
    weights = np.random.default_rng(0).integers(0, 4, size=40)
    bic, aic, icl = reference.mixture_criteria(mixture, X, weights)
    assert ours.bic(X, sample_weight=weights) == pytest.approx(bic, rel=1e-10)
    assert ours.aic(X, sample_weight=weights) == pytest.approx(aic, rel=1e-10)
    assert ours.icl(X, sample_weight=weights) == pytest.approx(icl, rel=1e-10)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_covariances_precisions_and_factors_agree(covariance_type):
    X = rows(200, 3, 2, seed=10)
    ours = GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(X)
    C, P = np.asarray(ours.covariances_), np.asarray(ours.precisions_)
    U = np.asarray(ours.precisions_cholesky_)
    if covariance_type in ("full", "tied"):
        np.testing.assert_allclose(C @ P, np.broadcast_to(np.eye(3), C.shape), atol=1e-10)
        np.testing.assert_allclose(U @ np.swapaxes(U, -1, -2), P, rtol=1e-10, atol=1e-12)
        assert not np.tril(U, -1).any()
    else:
        np.testing.assert_allclose(C * P, np.ones(C.shape), rtol=1e-12)
        np.testing.assert_allclose(U**2, P, rtol=1e-12)


@pytest.mark.parametrize("covariance_type", SCIKIT_LEARN_TYPES)
def test_the_limit_from_the_default_start(covariance_type):
    """k-means may draw other seeds; well separated clusters leave it no choice."""
    X = np.vstack([rows(80, 2, 1, seed=i) + 15 * i for i in range(3)])
    parameters = {"covariance_type": covariance_type, "tol": 1e-12, "random_state": 0}
    ours = GaussianMixture(3, **parameters).fit(X)
    theirs = peer.GaussianMixture(3, n_init=5, **parameters).fit(X)
    assert ours.score(X) == pytest.approx(theirs.score(X), rel=1e-9)
    np.testing.assert_allclose(
        ours.means_[np.argsort(ours.means_[:, 0])],
        theirs.means_[np.argsort(theirs.means_[:, 0])],
        rtol=1e-6,
    )


@pytest.mark.parametrize("covariance_type", TYPES)
def test_samples_have_the_moments_of_the_mixture(covariance_type):
    X = rows(300, 2, 2, seed=11)
    ours = GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(X)
    Z, labels = ours.sample(40_000)
    assert Z.shape == (40_000, 2)
    assert labels.shape == (40_000,)
    mean, covariance = reference.mixture_moments(fitted(ours))
    spread = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(Z.mean(axis=0), mean, atol=5 * spread.max() / 200)
    np.testing.assert_allclose(np.cov(Z.T), covariance, atol=0.05 * spread.max() ** 2)
    shares = np.bincount(labels, minlength=2) / len(labels)
    np.testing.assert_allclose(shares, ours.weights_, atol=5 * 0.5 / 200)
