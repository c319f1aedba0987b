"""Online EM: every call is one step of Cappe and Moulines with a step size that shrinks."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.base import clone

from skmmd.mixture import GaussianMixture
from tests import reference
from tests.mixture.starts import TYPES, assert_same, fitted, initial, rows, start


def step_size(before, after, X, weights, reg_covar):
    """Return the step size that leads from one mixture to the next, found from the means."""

    def distance(gamma):
        stepped = reference.online_em_step(before, X, gamma, weights, reg_covar)
        return float(np.sum((stepped.means - after.means) ** 2))

    found = minimize_scalar(distance, bounds=(1e-4, 1.0), method="bounded", options={"xatol": 1e-9})
    return found.x


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_each_call_is_a_step_with_a_shrinking_size(covariance_type, weighted):
    """One number explains all parameters of a call, and it is (offset + t)**-decay."""
    X = rows(400, 2, 2, seed=1)
    rng = np.random.default_rng(0)
    ours = GaussianMixture(
        **initial(start(X, 2, covariance_type)),
        reg_covar=1e-3,
        learning_offset=3.0,
        learning_decay=0.6,
    )
    for i in range(6):
        batch = X[60 * i : 60 * i + 60]
        weights = rng.uniform(0.1, 2, size=60) if weighted else None
        before = fitted(ours) if i else None
        assert ours.partial_fit(batch, sample_weight=weights) is ours
        if i:
            gamma = step_size(before, fitted(ours), batch, weights, 1e-3)
            assert gamma == pytest.approx((3 + i) ** -0.6, rel=1e-6)
            expected = reference.online_em_step(before, batch, (3 + i) ** -0.6, weights, 1e-3)
            assert_same(fitted(ours), expected, rtol=1e-10)


def test_the_default_step_sizes_shrink_as_they_must():
    """Their sum grows without bound and that of their squares does not: decay in (.5, 1]."""
    ours = GaussianMixture()
    assert 0.5 < ours.learning_decay <= 1
    X = rows(400, 2, 2, seed=1)
    sizes = []
    for i in range(5):
        before = fitted(ours) if i else None
        ours.partial_fit(X[60 * i : 60 * i + 60])
        if i:
            sizes.append(step_size(before, fitted(ours), X[60 * i : 60 * i + 60], None, 1e-6))
    t = np.arange(1, 5)
    np.testing.assert_allclose(sizes, (ours.learning_offset + t) ** -ours.learning_decay, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_first_batch_is_fitted():
    X = rows(100, 2, 2, seed=2)
    first = GaussianMixture(**initial(start(X, 2, "full")), max_iter=7)
    assert_same(fitted(clone(first).partial_fit(X)), fitted(clone(first).fit(X)), rtol=1e-12)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_a_stream_is_learned(covariance_type):
    rng = np.random.default_rng(3)
    y = rng.integers(2, size=20_000)
    X = rng.normal(size=(20_000, 2)) + 6.0 * y[:, None]
    ours = GaussianMixture(2, covariance_type=covariance_type, random_state=0)
    for part in np.array_split(X, 100):
        ours.partial_fit(part)
    order = np.argsort(ours.means_[:, 0])
    np.testing.assert_allclose(ours.means_[order], [[0, 0], [6, 6]], atol=0.1)
    np.testing.assert_allclose(ours.weights_, [0.5, 0.5], atol=0.05)
    matrices = reference.mixture_matrices(fitted(ours))
    np.testing.assert_allclose(matrices, [np.eye(2)] * 2, atol=0.15)
    whole = GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(X)
    assert ours.score(X) > whole.score(X) - 0.01


def test_weights_of_a_batch_are_copies():
    X = rows(80, 2, 2, seed=4)
    weights = np.random.default_rng(0).integers(1, 4, size=80)
    first = GaussianMixture(**initial(start(X, 2, "full")))
    one, other = clone(first), clone(first)
    for part in np.array_split(np.arange(80), 4):
        one.partial_fit(X[part], sample_weight=weights[part])
        other.partial_fit(np.repeat(X[part], weights[part], axis=0))
    assert_same(fitted(one), fitted(other), rtol=1e-9)


def test_a_far_stream_is_learned_as_a_near_one():
    """Multiples of 1/256 so that adding 2**27 is exact."""
    X = np.round(rows(400, 2, 2, seed=5) * 256) / 256
    first = start(X, 2, "diag")
    first = reference.replace(first, means=np.round(first.means * 256) / 256)
    far = reference.replace(first, means=first.means + 2.0**27)
    near, ours = GaussianMixture(**initial(first)), GaussianMixture(**initial(far))
    for part in np.array_split(X, 5):
        near.partial_fit(part)
        ours.partial_fit(part + 2.0**27)
    np.testing.assert_allclose(ours.covariances_, near.covariances_, rtol=1e-5)
    np.testing.assert_allclose(ours.means_ - 2.0**27, near.means_, atol=1e-6)


def test_partial_fit_goes_on_after_fit_and_fit_starts_anew():
    X = rows(300, 2, 2, seed=6)
    ours = GaussianMixture(2, random_state=0).fit(X)
    before = ours.means_.copy()
    ours.partial_fit(X[:100] + 0.5)
    assert 0 < np.abs(ours.means_ - before).max() < 1.5
    again = ours.fit(X)
    np.testing.assert_allclose(again.means_, before, rtol=1e-12)


def test_a_batch_of_another_width_is_refused():
    ours = GaussianMixture(2, random_state=0).partial_fit(rows(50, 2, 2))
    before = ours.means_.copy()
    with pytest.raises(ValueError, match="features"):
        ours.partial_fit(rows(50, 3, 2))
    np.testing.assert_array_equal(ours.means_, before)


def test_a_single_row_is_a_batch():
    ours = GaussianMixture(2, random_state=0).partial_fit(rows(50, 2, 2))
    before = ours.means_.copy()
    ours.partial_fit([[0.3, 0.4]])
    assert np.isfinite(ours.covariances_).all()
    assert (ours.means_ != before).any()


def test_missing_values_in_batches():
    X = rows(300, 2, 2, seed=7)
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    ours = GaussianMixture(2, missing="em", random_state=0)
    for part in np.array_split(X, 3):
        ours.partial_fit(part)
    assert np.isfinite(ours.means_).all()
    assert np.isfinite(ours.score_samples(X)).all()
