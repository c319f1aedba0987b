"""SQUAREM and Anderson: EM's limit in fewer passes, positive definite and monotone; stopping."""

import numpy as np
import pytest
from sklearn import mixture as peer
from sklearn.exceptions import ConvergenceWarning

from skmmd.datasets import make_gaussian_mixture
from skmmd.mixture import GaussianMixture
from tests import reference
from tests.mixture.starts import TYPES, fitted, holes, initial, rows, start

SCHEMES = ("squarem", "anderson")


def slow_case(seed=1, n=400, d=2, k=2):
    """Return overlapping rows, on which EM takes hundreds of steps."""
    return rows(n, d, k, seed, separation=1.0)


def smallest_eigenvalue(ours):
    return np.linalg.eigvalsh(reference.mixture_matrices(fitted(ours))).min()


@pytest.mark.parametrize("accelerate", SCHEMES)
@pytest.mark.parametrize("covariance_type", TYPES)
def test_the_limit_is_one_of_em(covariance_type, accelerate):
    """No step of the naive twin moves it, and it is no worse than where EM went.

    Anderson's scheme saves passes on the whole, not on every data set.
    """
    X = slow_case()
    first = start(X, 2, covariance_type)
    parameters = {**initial(first), "reg_covar": 0.0, "max_iter": 20_000, "tol": 1e-13}
    plain = GaussianMixture(**parameters).fit(X)
    ours = GaussianMixture(**parameters, accelerate=accelerate).fit(X)
    assert ours.converged_
    assert ours.score(X) >= plain.score(X) - 1e-6
    assert accelerate == "anderson" or ours.n_iter_ < plain.n_iter_
    stepped, _ = reference.mixture_em_step(fitted(ours), X)
    np.testing.assert_allclose(stepped.weights, ours.weights_, atol=1e-4)
    np.testing.assert_allclose(stepped.means, ours.means_, atol=1e-4)
    assert smallest_eigenvalue(ours) > 0


@pytest.mark.parametrize("accelerate", SCHEMES)
@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("k", [2, 5])
def test_history_is_monotone_and_all_stays_positive_definite(covariance_type, accelerate, k):
    X = slow_case(seed=k, d=3, k=k)
    first = start(X, k, covariance_type)
    parameters = {**initial(first), "reg_covar": 0.0, "tol": 0.0, "accelerate": accelerate}
    for max_iter in (1, 2, 3, 4, 5, 8, 13, 40):
        with pytest.warns(ConvergenceWarning):
            ours = GaussianMixture(**parameters, max_iter=max_iter).fit(X)
        assert ours.n_iter_ <= max_iter + 2  # a started extrapolation may be finished
        assert smallest_eigenvalue(ours) > 0
        assert ours.weights_.min() >= 0
        assert ours.weights_.sum() == pytest.approx(1, abs=1e-12)
    assert len(ours.lower_bounds_) > 3
    assert np.diff(ours.lower_bounds_).min() >= -1e-12
    assert ours.score(X) >= ours.lower_bound_ - 1e-12


@pytest.mark.parametrize("accelerate", SCHEMES)
@pytest.mark.parametrize("noise", [None, "uniform"])
@pytest.mark.parametrize("missing", ["error", "em"])
@pytest.mark.parametrize("prior", [None, 0.1])
def test_combined_with_the_other_options(accelerate, noise, missing, prior):
    """There may be other limits than EM's: it is one that no step of the naive twin moves."""
    X = slow_case(n=150)
    if missing == "em":
        X = holes(X, 0.15)
    parameters = {**initial(start(X, 2, "full")), "noise": noise, "missing": missing}
    parameters |= {"covariance_prior": prior, "reg_covar": 0.0, "max_iter": 5000, "tol": 1e-13}
    ours = GaussianMixture(**parameters, accelerate=accelerate).fit(X)
    assert ours.converged_
    assert np.diff(ours.lower_bounds_).min() >= -1e-11
    mixture = fitted(ours)
    if noise:
        widths = np.nanmax(X, axis=0) - np.nanmin(X, axis=0)
        mixture = fitted(ours, noise_weight=ours.noise_weight_, noise_widths=widths)
    stepped, _ = reference.mixture_em_step(mixture, X, prior=None if prior is None else (prior, 4))
    np.testing.assert_allclose(stepped.weights, ours.weights_, atol=1e-4)
    np.testing.assert_allclose(stepped.means, ours.means_, atol=1e-4)
    np.testing.assert_allclose(stepped.covariances, ours.covariances_, atol=1e-3)


@pytest.mark.parametrize("accelerate", SCHEMES)
def test_with_the_default_regularisation_the_limit_is_that_of_em(accelerate):
    """The regularised step has a fixed point too, though no likelihood of its own."""
    X = slow_case()
    parameters = {**initial(start(X, 2, "full")), "max_iter": 20_000, "tol": 1e-13}
    plain = GaussianMixture(**parameters).fit(X)
    ours = GaussianMixture(**parameters, accelerate=accelerate).fit(X)
    assert ours.score(X) == pytest.approx(plain.score(X), abs=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_aitken_stops_where_the_predicted_gain_is_small():
    """At the first t with D_t a / (1 - a) < tol, a = D_t / D_(t-1), read off the full history."""
    X = slow_case()
    first = initial(start(X, 2, "full"))
    history = GaussianMixture(**first, reg_covar=0.0, tol=0.0, max_iter=3000).fit(X).lower_bounds_
    gains = np.diff(history)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = gains[1:] / gains[:-1]
        predicted = gains[1:] * ratios / (1 - ratios)
    for tol in (1e-2, 1e-4, 1e-6, 1e-8):
        stops = (ratios > 0) & (ratios < 1) & (predicted < tol)
        expected = int(np.argmax(stops)) + 3  # the third bound is the first with a ratio
        ours = GaussianMixture(
            **first, reg_covar=0.0, tol=tol, max_iter=3000, stopping="aitken"
        ).fit(X)
        assert ours.converged_
        assert ours.n_iter_ == expected
    # The last tolerance is met for what is still to be gained, which is more than the last gain.
    plain = GaussianMixture(**first, reg_covar=0.0, tol=tol, max_iter=3000).fit(X)
    assert history[-1] - ours.lower_bound_ < 2e-8 < history[-1] - plain.lower_bound_


# --------------------------------------------------------------------------------------
# passes


def case(d, k, separation, covariance_type, n=20_000):
    rng = np.random.RandomState(7)
    X, _, _ = make_gaussian_mixture(
        n, d, k, separation=separation, covariance="scaled", random_state=rng
    )
    means = X[rng.choice(n, size=k, replace=False)]
    variance = X.var(axis=0).mean()
    precisions = np.full((k, d), 1 / variance)
    if covariance_type == "full":
        precisions = np.array([np.eye(d) / variance] * k)
    first = {
        "n_components": k,
        "covariance_type": covariance_type,
        "weights_init": np.full(k, 1 / k),
        "means_init": means,
        "precisions_init": precisions,
        "reg_covar": 0.0,
    }
    return X, first


@pytest.mark.statistical
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_squarem_takes_a_third_of_the_passes_where_em_takes_many():
    """To within 1e-6 of the optimum, on the median of the cases where EM takes more than 200."""
    arrived = []
    for d, k, separation in ((1, 2, 1.0), (2, 3, 1.6), (2, 5, 2.0), (5, 4, 1.3)):
        for covariance_type in ("full", "diag"):
            X, first = case(d, k, separation, covariance_type, n=5000)
            options = {"max_iter": 8000, "tol": 1e-13}
            plain = GaussianMixture(**first, **options).fit(X)
            ours = GaussianMixture(**first, accelerate="squarem", **options).fit(X)
            assert ours.score(X) >= plain.score(X) - 1e-6
            assert smallest_eigenvalue(ours) > 0
            history = np.array(plain.lower_bounds_)
            n_plain = int(np.argmax(history >= history[-1] - 1e-6)) + 1
            if n_plain <= 200:
                continue
            # Passes are counted by the estimator, which is allowed no more.
            short = GaussianMixture(
                **first, accelerate="squarem", max_iter=n_plain // 3, tol=0.0
            ).fit(X)
            arrived.append(short.score(X) >= history[-1] - 1e-6)
    assert len(arrived) >= 3
    assert np.mean(arrived) > 0.5


def test_plain_passes_are_scikit_learns_iterations():
    X = slow_case()
    first = initial(start(X, 2, "full"))
    theirs = peer.GaussianMixture(**first, tol=1e-5, max_iter=1000).fit(X)
    ours = GaussianMixture(**first, tol=1e-5, max_iter=1000).fit(X)
    assert ours.n_iter_ == theirs.n_iter_ == len(ours.lower_bounds_)
