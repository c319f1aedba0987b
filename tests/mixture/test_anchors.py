"""Values known from elsewhere: closed forms, published figures, and a long computed limit."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score

from skmmd.datasets import make_parallel_cigars
from skmmd.mixture import GaussianMixture

unconverged = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def two_components():
    r = np.random.RandomState(0)
    z = r.uniform(size=1000) < 0.3
    a, b = r.standard_normal(1000), r.standard_normal(1000)
    return np.where(z, -2 + 0.5 * a, 0.5 + b)[:, None]


START = {
    "n_components": 2,
    "weights_init": [0.5, 0.5],
    "means_init": [[0.0], [1.0]],
    "reg_covar": 0.0,
}


@pytest.mark.parametrize(
    ("covariance_type", "ones"), [("full", np.ones((2, 1, 1))), ("diag", np.ones((2, 1)))]
)
@pytest.mark.parametrize("accelerate", [None, "squarem", "anderson"])
def test_limit_of_the_two_component_example(two_components, covariance_type, ones, accelerate):
    ours = GaussianMixture(
        **START,
        covariance_type=covariance_type,
        precisions_init=ones,
        tol=1e-15,
        max_iter=5000,
        accelerate=accelerate,
    ).fit(two_components)
    order = np.argsort(ours.means_[:, 0])
    np.testing.assert_allclose(
        ours.weights_[order], [0.321090823955, 0.678909176045], rtol=0, atol=1e-6
    )
    np.testing.assert_allclose(
        ours.means_[order, 0], [-1.94851540164, 0.501958053979], rtol=0, atol=1e-6
    )
    np.testing.assert_allclose(
        np.sqrt(ours.covariances_.ravel()[order]),
        [0.482955662478, 0.917151540296],
        rtol=0,
        atol=1e-6,
    )
    assert ours.score(two_components) == pytest.approx(-1.64859181906, abs=2e-11)


@unconverged
def test_first_step_takes_the_variance_about_the_new_mean(two_components):
    """About the old mean, as some tutorials have it, it is (1.516052, 1.123192)."""
    ours = GaussianMixture(**START, precisions_init=np.ones((2, 1, 1)), max_iter=1, tol=0.0).fit(
        two_components
    )
    np.testing.assert_allclose(
        np.sqrt(ours.covariances_.ravel()), [1.265238, 1.071037], rtol=0, atol=5e-7
    )


@pytest.mark.parametrize(("k", "bic"), [(2, 574.0178), (3, 580.8389)])
def test_bic_of_iris(k, bic):
    X = load_iris().data
    ours = GaussianMixture(k, reg_covar=0.0, tol=1e-9, max_iter=5000, n_init=5, random_state=0).fit(
        X
    )
    assert ours.bic(X) == pytest.approx(bic, abs=6e-5)


def test_one_component_is_the_moments():
    X = load_iris().data
    ours = GaussianMixture(reg_covar=0.0).fit(X)
    np.testing.assert_allclose(ours.means_[0], X.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(ours.covariances_[0], np.cov(X.T, bias=True), rtol=1e-12)
    n, d = X.shape
    expected = -(d * np.log(2 * np.pi) + np.linalg.slogdet(np.cov(X.T, bias=True))[1] + d) / 2
    assert ours.score(X) == pytest.approx(expected, rel=1e-12)
    assert ours.weights_[0] == 1.0
    assert ours.aic(X) == pytest.approx(-2 * n * expected + 2 * 14, rel=1e-12)


@pytest.mark.statistical
@pytest.mark.parametrize("seed", range(10))
def test_parallel_cigars_are_found(seed):
    X, y = make_parallel_cigars(random_state=seed)
    ours = GaussianMixture(2, init_params="auto", random_state=seed).fit(X)
    assert adjusted_rand_score(y, ours.predict(X)) > 0.99


@pytest.mark.statistical
def test_parallel_cigars_are_not_found_by_plain_kmeans():
    """What the check above proves: from k-means the short axis is lost."""
    X, y = make_parallel_cigars(random_state=0)
    ours = GaussianMixture(2, random_state=0).fit(X)
    assert adjusted_rand_score(y, ours.predict(X)) < 0.5
