"""Kernel mean matching: optimal to high precision, its weight function, and what it reports."""

import functools
import warnings

import joblib
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.exceptions import NotFittedError

from skmmd.transfer import KernelMeanMatching, kmm_weights, weighted_mmd
from tests import reference
from tests.transfer import oracles

KERNELS = ("rbf", "laplacian", "imq", "rq", "linear", "polynomial")
SHIFT_FREE = KERNELS[:4]
EXACT = ("auto", "smo")
TIGHT = 1e-11

# Few rows, no ridge and the like are meant here: the advice to the user is tested below.
pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")


def draw(seed=0, n_source=60, n_target=45, d=2, shift=0.6):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_source, d)), shift + 0.7 * rng.normal(size=(n_target, d))


def interleave(Xs, Xt, seed=7):
    """Return rows in random order, and the domain of each."""
    order = np.random.default_rng(seed).permutation(len(Xs) + len(Xt))
    return np.vstack([Xs, Xt])[order], np.repeat([1, -1], [len(Xs), len(Xt)])[order]


def rbf(gamma):
    return lambda A, B: np.exp(-gamma * cdist(A, B, "sqeuclidean"))


def assert_optimal(w, problem, best, rel=1e-8):
    """Feasible, and within `rel` of the least objective."""
    assert w.min() >= 0
    assert w.max() <= problem.upper
    size = max(1.0, problem.a @ w)
    assert problem.low - 1e-9 * size <= problem.a @ w <= problem.high + 1e-9 * size
    least = problem.objective(best)
    assert problem.objective(w) <= least + rel * abs(least)


# --------------------------------------------------------------------------------------
# the optimum

SETTINGS = {
    "default": {},
    "no ridge": {"alpha": 0.0},
    "strong ridge": {"alpha": 1.0},
    "small bound": {"max_weight": 1.5},
    "tiny bound": {"max_weight": 0.01},
    "sum at its lower end": {"sum_bounds": (12.0, 14.0)},
    "sum at its upper end": {"sum_bounds": (1.0, 2.0)},
    "sum inside": {"sum_bounds": (0.0, 100.0)},
    "fixed sum": {"sum_bounds": (6.0, 6.0)},
    "sum and bound": {"max_weight": 1.2, "sum_bounds": (6.5, 7.0)},
    "all at the bound": {"max_weight": 1.25, "sum_bounds": (7.5, 9.0)},
    "paper": {"alpha": 0.0, "sum_bounds": (6 - 6**0.5 + 1, 6 + 6**0.5 - 1)},
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", SETTINGS)
def test_equals_enumeration_of_active_sets(name, kernel):
    for seed in range(2):
        Xs, Xt = draw(seed, 6, 9)
        problem = oracles.kmm_problem(Xs, Xt, kernel, 0.5, **SETTINGS[name])
        best = oracles.kmm_by_enumeration(problem)
        found = kmm_weights(Xs, Xt, kernel=kernel, gamma=0.5, tol=TIGHT, **SETTINGS[name])
        assert found.shape == (6,)
        assert found.dtype == np.float64
        assert_optimal(found, problem, best)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_sum_of_zero(kernel):
    found = kmm_weights(*draw(0, 6, 9), kernel=kernel, gamma=0.5, sum_bounds=(0.0, 0.0))
    np.testing.assert_array_equal(found, np.zeros(6))


@pytest.mark.parametrize("n_source", [1, 2, 3, 8])
@pytest.mark.parametrize("n_target", [1, 4])
@pytest.mark.parametrize("alpha", [0.0, 0.01])
def test_small_sizes(n_source, n_target, alpha):
    Xs, Xt = draw(n_source, n_source, n_target)
    bounds = (0.8 * n_source, 1.2 * n_source)
    problem = oracles.kmm_problem(Xs, Xt, "rbf", 0.5, alpha, 3.0, bounds)
    best = oracles.kmm_by_enumeration(problem)
    found = kmm_weights(
        Xs, Xt, gamma=0.5, alpha=alpha, max_weight=3.0, sum_bounds=bounds, tol=TIGHT
    )
    assert_optimal(found, problem, best)


LARGER = {
    "default": {},
    "weak ridge": {"alpha": 1e-3},
    "no ridge": {"alpha": 0.0},
    "bound active": {"max_weight": 2.0},
    "no ridge, bound active": {"alpha": 0.0, "max_weight": 2.0},
    "lower end": {"sum_bounds": (80.0, 90.0)},
    "upper end": {"sum_bounds": (20.0, 30.0)},
    "both": {"max_weight": 1.5, "sum_bounds": (60.0, 60.0)},
}


# K itself is well conditioned, so that the twin converges without a ridge too.
SHARP = {"rbf": 30.0, "laplacian": 1.0, "imq": 30.0}


@functools.cache
def optimum(name, kernel):
    """Return the problem of `draw(3)` with rows in that order, and its solution by the twin."""
    problem = oracles.kmm_problem(*draw(3), kernel, SHARP[kernel], **LARGER[name])
    return problem, oracles.kmm_by_projected_gradient(problem)


@pytest.mark.parametrize("solver", EXACT)
@pytest.mark.parametrize("kernel", SHARP)
@pytest.mark.parametrize("name", LARGER)
def test_equals_projected_gradient(name, kernel, solver):
    """Of 60 rows."""
    problem, best = optimum(name, kernel)
    options = {"kernel": kernel, "gamma": SHARP[kernel], **LARGER[name]}
    found = kmm_weights(*draw(3), solver=solver, tol=TIGHT, **options)
    assert_optimal(found, problem, best)
    np.testing.assert_allclose(found, best, atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_equals_projected_gradient_by_the_median(kernel):
    Xs, Xt = draw(4)
    gamma = reference.median_gamma(np.vstack([Xs, Xt]), kernel)
    problem = oracles.kmm_problem(Xs, Xt, kernel, gamma)
    best = oracles.kmm_by_projected_gradient(problem, 1e-12)
    found = kmm_weights(Xs, Xt, kernel=kernel, tol=TIGHT)
    assert_optimal(found, problem, best)


@pytest.mark.parametrize("alpha", [0.0, 0.01])
@pytest.mark.parametrize("bounds", [None, (400.0, 450.0), (900.0, 1000.0)])
def test_certificate_of_many_rows(alpha, bounds):
    """700 rows: the gap of the twin, an upper bound of the excess, is small by itself."""
    Xs, Xt = draw(5, 700, 500, 4)
    problem = oracles.kmm_problem(Xs, Xt, rbf(0.2), None, alpha, max_weight=8.0, sum_bounds=bounds)
    found = kmm_weights(Xs, Xt, gamma=0.2, alpha=alpha, max_weight=8.0, sum_bounds=bounds, tol=1e-8)
    assert problem.feasible(found, 1e-9)
    assert problem.gap(found) <= 1e-7 * abs(problem.objective(found))


def test_defaults_are_those_of_the_contract():
    Xs, Xt = draw(6, 8, 9)
    gamma = reference.median_gamma(np.vstack([Xs, Xt]))
    best = oracles.kmm_by_enumeration(oracles.kmm_problem(Xs, Xt, "rbf", gamma, 0.01, 1000.0))
    np.testing.assert_allclose(kmm_weights(Xs, Xt), best, atol=1e-3)


@pytest.mark.parametrize("kernel", KERNELS)
def test_closed_form_without_active_bounds(kernel):
    Xs, Xt = draw(8, 30, 25, shift=0.1)
    alpha = 50.0 if kernel == "polynomial" else 5.0
    expected = oracles.ridge_weights(Xs, Xt, kernel, 0.3, alpha)
    assert kernel == "linear" or expected.min() > 0
    if kernel == "linear":  # inner products with the target have both signs: weights are cut
        problem = oracles.kmm_problem(Xs, Xt, kernel, 0.3, alpha)
        expected = oracles.kmm_by_projected_gradient(problem)
        assert (expected == 0).any()
    found = kmm_weights(Xs, Xt, kernel=kernel, gamma=0.3, alpha=alpha, tol=1e-12)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-10)


def test_a_callable_kernel():
    Xs, Xt = draw(9)
    one = kmm_weights(Xs, Xt, gamma=0.4, tol=1e-10)
    two = kmm_weights(Xs, Xt, kernel=rbf(0.4), tol=1e-10)
    np.testing.assert_allclose(two, one, atol=1e-6)


def test_normalize_divides_by_the_mean():
    Xs, Xt = draw(9)
    raw = kmm_weights(Xs, Xt)
    np.testing.assert_allclose(kmm_weights(Xs, Xt, normalize=True), raw / raw.mean(), rtol=1e-12)
    assert abs(raw.mean() - 1) > 1e-6


# --------------------------------------------------------------------------------------
# degenerate input


def test_duplicates_without_ridge():
    """Optima are not unique: compare objectives, not weights."""
    Xs, Xt = draw(10, 4, 9)
    Xs = np.vstack([Xs, Xs])
    for bounds in (None, (7.0, 7.5)):
        problem = oracles.kmm_problem(Xs, Xt, "rbf", 0.5, 0.0, 3.0, bounds)
        best = oracles.kmm_by_enumeration(problem)
        found = kmm_weights(
            Xs, Xt, gamma=0.5, alpha=0.0, max_weight=3.0, sum_bounds=bounds, tol=TIGHT
        )
        assert_optimal(found, problem, best)


def test_duplicates_with_ridge_share_their_weight():
    Xs, Xt = draw(10, 20, 15)
    found = kmm_weights(np.vstack([Xs, Xs]), Xt, gamma=0.5, tol=1e-10)
    np.testing.assert_allclose(found[:20], found[20:], atol=1e-6)
    np.testing.assert_allclose(found[:20], kmm_weights(Xs, Xt, gamma=0.5, tol=1e-10), atol=1e-6)


@pytest.mark.parametrize("kernel", SHIFT_FREE)
@pytest.mark.parametrize("alpha", [0.01, 0.5])
def test_constant_rows(kernel, alpha):
    """K is all ones: n w + alpha n w = n."""
    ones = np.full((7, 2), 3.0)
    found = kmm_weights(ones, ones[:4], kernel=kernel, alpha=alpha, tol=1e-10)
    np.testing.assert_allclose(found, 1 / (1 + alpha), rtol=1e-7)


def test_constant_rows_without_ridge():
    ones = np.full((7, 2), 3.0)
    assert kmm_weights(ones, ones[:4], alpha=0.0, tol=1e-10).mean() == pytest.approx(1, rel=1e-7)


@pytest.mark.parametrize("kernel", KERNELS)
def test_one_row_each(kernel):
    x, z = np.array([[0.5, 1.0]]), np.array([[1.0, 1.5]])
    expected = reference.kernel_value(x[0], z[0], kernel, 0.3) / (
        reference.kernel_value(x[0], x[0], kernel, 0.3) + 0.01
    )
    found = kmm_weights(x, z, kernel=kernel, gamma=0.3, tol=1e-10)
    np.testing.assert_allclose(found, [expected], rtol=1e-8)


def test_a_linear_kernel_of_zeros_without_ridge():
    """K and kappa vanish: all weights are optimal, and none may be NaN or out of bounds."""
    zeros = np.zeros((5, 2))
    found = kmm_weights(zeros, zeros, kernel="linear", alpha=0.0, max_weight=3.0)
    assert np.all((found >= 0) & (found <= 3))


def test_duplicated_target_changes_nothing():
    Xs, Xt = draw(11)
    one = kmm_weights(Xs, Xt, gamma=0.5, tol=1e-10)
    two = kmm_weights(Xs, np.repeat(Xt, 3, axis=0), gamma=0.5, tol=1e-10)
    np.testing.assert_allclose(two, one, atol=1e-7)


def test_order_of_rows_does_not_matter():
    Xs, Xt = draw(12)
    order = np.random.default_rng(0).permutation(60)
    one = kmm_weights(Xs, Xt, tol=1e-10)
    np.testing.assert_allclose(kmm_weights(Xs[order], Xt[::-1], tol=1e-10), one[order], atol=1e-6)


@pytest.mark.parametrize("kernel", SHIFT_FREE)
def test_a_huge_offset_changes_nothing(kernel):
    """Rows are multiples of 2^-10, so that the offset itself does not round."""
    Xs, Xt = (np.round(1024 * Z) / 1024 for Z in draw(13))
    one = kmm_weights(Xs, Xt, kernel=kernel, tol=1e-10)
    two = kmm_weights(Xs + 1e6, Xt + 1e6, kernel=kernel, tol=1e-10)
    np.testing.assert_allclose(two, one, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_units_do_not_matter(scale):
    Xs, Xt = draw(13)
    one = kmm_weights(Xs, Xt, tol=1e-10)
    np.testing.assert_allclose(kmm_weights(scale * Xs, scale * Xt, tol=1e-10), one, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_of_the_kernel_do_not_matter(scale):
    """k(x, y) = scale x.y with lambda scaled alike: the same weights."""
    Xs, Xt = (1 + 0.3 * Z for Z in draw(13))
    root = np.sqrt(scale)
    one = kmm_weights(Xs, Xt, kernel="linear", alpha=0.1, tol=1e-10)
    two = kmm_weights(root * Xs, root * Xt, kernel="linear", alpha=0.1 * scale, tol=1e-10 * scale)
    np.testing.assert_allclose(two, one, atol=1e-5)


def test_float32_lists_and_frames():
    pandas = pytest.importorskip("pandas")
    Xs, Xt = (Z.astype(np.float32) for Z in draw(14))
    one = kmm_weights(Xs.astype(float), Xt.astype(float))
    for form in (np.asarray, np.asfortranarray, pandas.DataFrame, lambda Z: Z.tolist()):
        np.testing.assert_allclose(kmm_weights(form(Xs), form(Xt)), one, atol=1e-8)


# --------------------------------------------------------------------------------------
# the estimator


def fitted(Xs, Xt, *, sample_weight=None, **options):
    """Fit on interleaved rows; return the model, and X and the source mask in that order."""
    X, domain = interleave(Xs, Xt)
    model = KernelMeanMatching(**{"tol": 1e-10, **options})
    assert model.fit(X, sample_domain=domain, sample_weight=sample_weight) is model
    return model, X, domain > 0


@pytest.mark.parametrize("name", LARGER)
def test_estimator_equals_the_function(name):
    """Interleaved rows: weights are those of the source rows, in their order."""
    Xs, Xt = draw(3)
    model, X, is_source = fitted(Xs, Xt, kernel="laplacian", gamma=1.0, **LARGER[name])
    expected = kmm_weights(
        X[is_source], X[~is_source], kernel="laplacian", gamma=1.0, tol=1e-10, **LARGER[name]
    )
    assert model.weights_.shape == (60,)
    np.testing.assert_allclose(model.weights_, expected, atol=1e-6)


def test_interleaved_rows_equal_sorted_rows():
    Xs, Xt = draw(3)
    model, _, is_source = fitted(Xs, Xt)
    rows = np.vstack([Xs, Xt])
    ordered = KernelMeanMatching(tol=1e-10).fit(rows, sample_domain=np.repeat([1, -1], [60, 45]))
    place = np.random.default_rng(7).permutation(105)[is_source]
    np.testing.assert_allclose(model.weights_, ordered.weights_[place], atol=1e-7)


REPRODUCED = {
    "default": {},
    "weak ridge": {"alpha": 1e-3},
    "bound active": {"max_weight": 2.0},
    "lower end": {"sum_bounds": (80.0, 90.0)},
    "upper end": {"sum_bounds": (20.0, 30.0)},
    "both": {"max_weight": 1.5, "sum_bounds": (60.0, 60.0)},
}


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "polynomial"])
@pytest.mark.parametrize("name", REPRODUCED)
def test_weight_function_reproduces_the_weights(name, kernel):
    """And equals its formula on new rows."""
    options = {"kernel": kernel, "gamma": 0.5, "alpha": 0.01, "max_weight": 1000.0}
    options |= REPRODUCED[name]
    model, X, is_source = fitted(*draw(3), **options, **{"tol": TIGHT})
    np.testing.assert_allclose(model.predict_weights(X[is_source]), model.weights_, atol=1e-5)
    new = np.random.default_rng(0).normal(size=(20, 2))
    bounds = options.pop("sum_bounds", None)
    expected = oracles.weight_function(new, model.weights_, X[is_source], X[~is_source], **options)
    found = model.predict_weights(new)
    assert found.shape == (20,)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert np.all((found >= 0) & (found <= options["max_weight"]))
    if bounds is None:
        assert model.shift_ == pytest.approx(0.0, abs=1e-6)
    else:
        assert model.shift_ * {"lower end": -1, "upper end": 1}.get(name, model.shift_) > 0
        assert abs(model.shift_) > 1e-3


def test_weight_function_reproduces_weighted_weights():
    rng = np.random.default_rng(1)
    a = rng.uniform(0.5, 3.0, 105)
    for bounds in (None, (130.0, 150.0)):
        model, X, is_source = fitted(
            *draw(3), gamma=0.5, sum_bounds=bounds, sample_weight=a, tol=TIGHT
        )
        np.testing.assert_allclose(model.predict_weights(X[is_source]), model.weights_, atol=1e-5)
        new = rng.normal(size=(20, 2))
        expected = oracles.weight_function(
            new,
            model.weights_,
            X[is_source],
            X[~is_source],
            "rbf",
            0.5,
            0.01,
            1000.0,
            a[is_source],
            a[~is_source],
        )
        np.testing.assert_allclose(model.predict_weights(new), expected, atol=1e-4)


@pytest.mark.parametrize("bounds", [None, (12.0, 15.0), (1.0, 2.0)])
@pytest.mark.parametrize("max_weight", [1.7, 1000.0])
def test_weighted_problem(bounds, max_weight):
    rng = np.random.default_rng(2)
    a = rng.uniform(0.5, 3.0, 15)
    options = {"gamma": 0.5, "max_weight": max_weight, "sum_bounds": bounds}
    model, X, is_source = fitted(*draw(2, 6, 9), sample_weight=a, **options, tol=TIGHT)
    problem = oracles.kmm_problem(
        X[is_source],
        X[~is_source],
        "rbf",
        **options,
        source_weight=a[is_source],
        target_weight=a[~is_source],
    )
    assert_optimal(model.weights_, problem, oracles.kmm_by_enumeration(problem))


@pytest.mark.parametrize("gamma", [0.5, "median"])
@pytest.mark.parametrize(
    "options", [{}, {"max_weight": 1.5}, {"sum_bounds": (120.0, 130.0)}], ids=str
)
def test_integer_weights_are_copies(gamma, options):
    Xs, Xt = draw(3)
    a = np.random.default_rng(3).integers(1, 4, 105)
    model, X, is_source = fitted(Xs, Xt, gamma=gamma, sample_weight=a, **options)
    domain = np.repeat(np.where(is_source, 1, -1), a)
    copies = KernelMeanMatching(gamma=gamma, tol=1e-10, **options)
    copies.fit(np.repeat(X, a, axis=0), sample_domain=domain)
    expected = np.repeat(model.weights_, a[is_source])
    np.testing.assert_allclose(copies.weights_, expected, atol=1e-6)
    new = np.random.default_rng(0).normal(size=(20, 2))
    np.testing.assert_allclose(copies.predict_weights(new), model.predict_weights(new), atol=1e-5)
    assert copies.mmd_after_ == pytest.approx(model.mmd_after_, rel=1e-5)
    assert copies.mmd_before_ == pytest.approx(model.mmd_before_, rel=1e-9)
    assert copies.effective_sample_size_ == pytest.approx(model.effective_sample_size_, rel=1e-5)
    assert copies.shift_ == pytest.approx(model.shift_, abs=1e-5)


def test_rows_without_weight_are_absent():
    Xs, Xt = draw(3)
    a = (np.random.default_rng(3).uniform(size=105) < 0.7).astype(float)
    model, X, is_source = fitted(Xs, Xt, gamma=0.5, sample_weight=a)
    assert model.weights_.shape == (60,)
    keep = a > 0
    less = KernelMeanMatching(gamma=0.5, tol=1e-10)
    less.fit(X[keep], sample_domain=np.where(is_source, 1, -1)[keep])
    np.testing.assert_allclose(model.weights_[keep[is_source]], less.weights_, atol=1e-6)
    new = np.random.default_rng(0).normal(size=(20, 2))
    np.testing.assert_allclose(model.predict_weights(new), less.predict_weights(new), atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS)
def test_reported_figures(kernel):
    Xs, Xt = draw(3)
    model, X, is_source = fitted(Xs, Xt, kernel=kernel)
    w = model.weights_
    gamma = reference.median_gamma(X, kernel)
    if kernel != "linear":
        assert model.gamma_ == pytest.approx(gamma, rel=1e-9)
    assert model.alpha_ == 0.01
    assert model.n_landmarks_ == 0
    assert model.n_iter_ >= 1
    assert model.n_features_in_ == 2
    assert model.effective_sample_size_ == pytest.approx(w.sum() ** 2 / (w @ w), rel=1e-10)
    S, T = X[is_source], X[~is_source]
    before = oracles.weighted_mmd(S, T, None, None, kernel, gamma)
    after = oracles.weighted_mmd(S, T, w, None, kernel, gamma)
    assert model.mmd_before_ == pytest.approx(before, rel=1e-8)
    assert model.mmd_after_ == pytest.approx(after, rel=1e-6, abs=1e-12)
    assert model.mmd_after_ == pytest.approx(
        weighted_mmd(S, T, w, kernel=kernel, gamma=gamma), rel=1e-6, abs=1e-12
    )
    assert model.mmd_after_ < model.mmd_before_


@pytest.mark.parametrize("name", ["default", "bound active", "lower end", "upper end", "both"])
@pytest.mark.parametrize("tol", [1e-1, 1e-3])
def test_gap_bounds_the_excess(name, tol):
    """Stopped early, so that there is an excess to bound."""
    model, X, is_source = fitted(*draw(3), kernel="laplacian", gamma=1.0, tol=tol, **LARGER[name])
    problem = oracles.kmm_problem(X[is_source], X[~is_source], "laplacian", 1.0, **LARGER[name])
    other, best = optimum(name, "laplacian")  # the same rows in another order: the same minimum
    least = other.objective(best)
    excess, rounding = problem.objective(model.weights_) - least, 1e-11 * abs(least)
    assert model.dual_gap_ >= excess - rounding
    assert model.dual_gap_ == pytest.approx(problem.gap(model.weights_), rel=1e-6, abs=rounding)


def test_a_loose_tolerance_takes_fewer_steps():
    Xs, Xt = draw(3)
    steps = [fitted(Xs, Xt, tol=tol)[0].n_iter_ for tol in (1.0, 1e-3, 1e-9)]
    assert steps == sorted(steps)
    assert steps[0] < steps[2]


# --------------------------------------------------------------------------------------
# landmarks


@pytest.mark.parametrize("name", ["default", "bound active", "lower end", "upper end", "both"])
@pytest.mark.parametrize("kernel", ["rbf", "laplacian"])
def test_all_rows_as_landmarks_are_exact(name, kernel):
    Xs, Xt = draw(3)
    options = {"kernel": kernel, "gamma": 0.5, **LARGER[name]}
    exact, X, is_source = fitted(Xs, Xt, **options)
    all_rows, _, _ = fitted(Xs, Xt, solver="nystroem", n_landmarks=105, random_state=0, **options)
    assert 0 < all_rows.n_landmarks_ <= 105
    problem = oracles.kmm_problem(X[is_source], X[~is_source], **options)
    assert_optimal(all_rows.weights_, problem, exact.weights_, rel=1e-6)
    np.testing.assert_allclose(all_rows.weights_, exact.weights_, atol=1e-3)
    new = np.random.default_rng(0).normal(size=(20, 2))
    np.testing.assert_allclose(all_rows.predict_weights(new), exact.predict_weights(new), atol=1e-2)


def test_landmarks_are_seeded():
    Xs, Xt = draw(3, 400, 300, 3)
    options = {"solver": "nystroem", "n_landmarks": 40}
    one, two = (fitted(Xs, Xt, random_state=5, **options)[0] for _ in range(2))
    np.testing.assert_array_equal(one.weights_, two.weights_)
    assert one.n_landmarks_ == 40
    exact = fitted(Xs, Xt)[0]
    error = np.abs(one.weights_ - exact.weights_).mean() / exact.weights_.mean()
    assert error < 0.1


def test_weights_of_landmarks_are_their_weight_function():
    Xs, Xt = draw(3, 400, 300, 3)
    model, X, is_source = fitted(Xs, Xt, solver="nystroem", n_landmarks=60, random_state=0)
    np.testing.assert_allclose(model.predict_weights(X[is_source]), model.weights_, atol=1e-3)


@pytest.mark.parametrize("options", [{}, {"solver": "nystroem", "n_landmarks": 40}], ids=str)
def test_threads_do_not_matter(options):
    Xs, Xt = draw(3, 300, 200, 3)
    one = fitted(Xs, Xt, random_state=0, n_jobs=1, **options)[0]
    three = fitted(Xs, Xt, random_state=0, n_jobs=2, **options)[0]
    np.testing.assert_array_equal(one.weights_, three.weights_)
    np.testing.assert_array_equal(one.predict_weights(Xt), three.predict_weights(Xt))
    with joblib.parallel_config(backend="threading", n_jobs=2):
        two = fitted(Xs, Xt, random_state=0, **options)[0]
    np.testing.assert_array_equal(one.weights_, two.weights_)


# --------------------------------------------------------------------------------------
# alpha="cv"


def test_alpha_by_cross_validation():
    """A fit with the chosen alpha is the same fit; on fresh rows far other values do worse."""
    Xs, Xt = draw(3, 200, 200)
    model, _, _ = fitted(Xs, Xt, alpha="cv", gamma=0.5, random_state=0)
    assert model.alpha == "cv"
    assert 0 < model.alpha_ < np.inf
    again, _, _ = fitted(Xs, Xt, alpha=model.alpha_, gamma=0.5)
    np.testing.assert_allclose(model.weights_, again.weights_, atol=1e-6)
    fresh = draw(4, 2000, 2000)

    def criterion(alpha):
        other, _, _ = fitted(Xs, Xt, alpha=alpha, gamma=0.5)
        return oracles.label_free_criterion(*(other.predict_weights(Z) for Z in fresh))

    chosen = criterion(model.alpha_)
    assert chosen < criterion(1000 * model.alpha_)
    assert chosen < criterion(model.alpha_ / 1000)


def test_alpha_by_cross_validation_is_seeded():
    Xs, Xt = draw(3, 100, 80)
    one, two = (fitted(Xs, Xt, alpha="cv", random_state=3)[0] for _ in range(2))
    assert one.alpha_ == two.alpha_
    np.testing.assert_array_equal(one.weights_, two.weights_)


# --------------------------------------------------------------------------------------
# domains, labels, and what must not change

DOMAINS = {
    "int8": lambda s: np.where(s, 1, -1).astype(np.int8),
    "zero is source": lambda s: np.where(s, 0, -1),
    "numbers of several domains": lambda s: np.where(s, np.arange(len(s)), -1 - np.arange(len(s))),
    "float": lambda s: np.where(s, 0.5, -0.25),
    "float32": lambda s: np.where(s, 1, -1).astype(np.float32),
    "inf": lambda s: np.where(s, np.inf, -np.inf),
    "list": lambda s: np.where(s, 1, -1).tolist(),
    "object": lambda s: np.where(s, 1, -1).astype(object),
    "column": lambda s: np.where(s, 1, -1)[:, None],
}


@pytest.mark.parametrize("form", DOMAINS)
def test_the_sign_decides(form):
    model, X, is_source = fitted(*draw(3))
    other = KernelMeanMatching(tol=1e-10).fit(X, sample_domain=DOMAINS[form](is_source))
    np.testing.assert_array_equal(other.weights_, model.weights_)


def test_a_series_as_domain():
    pandas = pytest.importorskip("pandas")
    model, X, is_source = fitted(*draw(3))
    frame = pandas.DataFrame(X, columns=["a", "b"], index=np.arange(105)[::-1])
    domain = pandas.Series(np.where(is_source, 1, -1), index=frame.index)
    other = KernelMeanMatching(tol=1e-10).fit(frame, sample_domain=domain)
    np.testing.assert_array_equal(other.weights_, model.weights_)
    assert list(other.feature_names_in_) == ["a", "b"]
    np.testing.assert_array_equal(
        other.predict_weights(frame), model.predict_weights(X), strict=True
    )


@pytest.mark.parametrize(
    "y", [np.full(105, np.nan), np.full(105, "garbage"), np.arange(105)], ids=["nan", "str", "int"]
)
def test_y_is_ignored(y):
    model, X, is_source = fitted(*draw(3))
    domain = np.where(is_source, 1, -1)
    other = KernelMeanMatching(tol=1e-10).fit(X, y, sample_domain=domain)
    np.testing.assert_array_equal(other.weights_, model.weights_)


def test_nothing_is_written():
    Xs, Xt = draw(3)
    X, domain = interleave(Xs, Xt)
    weight = np.ones(105)
    y = np.arange(105.0)
    arrays = [X, domain, weight, y]
    before = [a.copy() for a in arrays]
    for a in arrays:
        a.flags.writeable = False
    model = KernelMeanMatching().fit(X, y, sample_domain=domain, sample_weight=weight)
    model.predict_weights(X)
    kmm_weights(X[:50], X[50:])
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


def test_sample_domain_is_a_keyword():
    X, domain = interleave(*draw(3))
    with pytest.raises(TypeError):
        KernelMeanMatching().fit(X, None, domain)


# --------------------------------------------------------------------------------------
# warnings and errors


def recorded(action):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = action()
    return value, [str(w.message) for w in caught if issubclass(w.category, UserWarning)]


def test_all_rows_source():
    """Weights are 1, and the user is told."""
    Xs, _ = draw(3)
    model, told = recorded(lambda: KernelMeanMatching().fit(Xs))
    np.testing.assert_array_equal(model.weights_, np.ones(60))
    assert len(told) == 1
    assert "sample_domain" in told[0]


def test_domains_apart_are_told():
    Xs, Xt = draw(3, shift=5.0)
    _, told = recorded(lambda: fitted(Xs, Xt))
    assert any("overlap" in text or "effective" in text for text in told)


def test_domains_that_overlap_are_not():
    Xs, Xt = draw(3, 200, 200, shift=0.3)
    _, told = recorded(lambda: fitted(Xs, Xt))
    assert told == []


def test_few_effective_rows_are_told():
    """One source row in a hundred lies in the target's region."""
    Xs, Xt = draw(3, 200, 100, shift=0.0)
    Xs = np.vstack([Xs[:2], Xs[2:] + 12.0])
    model, told = recorded(lambda: fitted(Xs, 0.5 * Xt, gamma=0.5)[0])
    assert model.effective_sample_size_ < 20
    assert any("overlap" in text or "effective" in text for text in told)


X_GOOD, DOMAIN_GOOD = interleave(*draw(3, 12, 10))
NAN = np.where(np.arange(44).reshape(22, 2) == 7, np.nan, X_GOOD)
BAD_FITS = {
    "no target rows": (X_GOOD, np.ones(22), ValueError, "target"),
    "all zero": (X_GOOD, np.zeros(22), ValueError, "target"),
    "no source rows": (X_GOOD, -np.ones(22), ValueError, "source"),
    "short": (X_GOOD, DOMAIN_GOOD[:-1], ValueError, "sample_domain.*22"),
    "two columns": (X_GOOD, np.ones((22, 2)), ValueError, "sample_domain"),
    "scalar": (X_GOOD, 1, ValueError, "sample_domain"),
    "NaN domain": (X_GOOD, np.where(DOMAIN_GOOD > 0, 1, np.nan), ValueError, "sample_domain.*NaN"),
    "bool": (X_GOOD, DOMAIN_GOOD > 0, TypeError, "sample_domain.*bool"),
    "words": (X_GOOD, np.where(DOMAIN_GOOD > 0, "s", "t"), TypeError, "sample_domain"),
    "NaN": (NAN, DOMAIN_GOOD, ValueError, "NaN"),
    "inf": (np.where(np.isnan(NAN), np.inf, NAN), DOMAIN_GOOD, ValueError, "inf"),
    "one dimension": (X_GOOD[:, 0], DOMAIN_GOOD, ValueError, "2D"),
}


@pytest.mark.parametrize("case", BAD_FITS)
def test_bad_rows_and_domains(case):
    X, domain, error, words = BAD_FITS[case]
    with pytest.raises(error, match=words):
        KernelMeanMatching().fit(X, sample_domain=domain)


BAD_OPTIONS = {
    "kernel": ("gauss", "energy", None, 3),
    "gamma": (0.0, -1.0, "scale", np.nan, None),
    "alpha": (-0.1, np.nan, "best", None),
    "max_weight": (0.0, -1.0, np.nan, "large", None),
    "solver": ("osqp", None),
    "tol": (-1e-3, np.nan, "small", None),
    "sum_bounds": ((5.0, 4.0), (-2.0, -1.0), (1.0,), 3.0, "auto"),
    "n_landmarks": (0, -3, 2.5, "many"),
}


@pytest.mark.parametrize(
    ("name", "value"), [(n, v) for n, values in BAD_OPTIONS.items() for v in values]
)
def test_bad_options(name, value):
    with pytest.raises((ValueError, TypeError), match=name):
        KernelMeanMatching(**{name: value}).fit(X_GOOD, sample_domain=DOMAIN_GOOD)
    if name != "n_landmarks":
        with pytest.raises((ValueError, TypeError), match=name):
            kmm_weights(X_GOOD[:12], X_GOOD[12:], **{name: value})


def test_bounds_that_no_weights_meet():
    with pytest.raises(ValueError, match="sum_bounds"):
        kmm_weights(X_GOOD[:12], X_GOOD[12:], max_weight=2.0, sum_bounds=(24.5, 30.0))


BAD_PAIRS = {
    "no source": (X_GOOD[:0], X_GOOD, "0 sample|[Nn]o rows|minimum of 1"),
    "no target": (X_GOOD, X_GOOD[:0], "0 sample|[Nn]o rows|minimum of 1"),
    "NaN": (X_GOOD, NAN, "NaN"),
    "features": (X_GOOD, X_GOOD[:, :1], "feature|column"),
}


@pytest.mark.parametrize("case", BAD_PAIRS)
def test_bad_samples(case):
    Xs, Xt, words = BAD_PAIRS[case]
    with pytest.raises(ValueError, match=words):
        kmm_weights(Xs, Xt)


BAD_WEIGHTS = {
    "negative": (np.where(np.arange(22) == 3, -1.0, 1.0), "[Nn]egative|sample_weight"),
    "NaN": (np.where(np.arange(22) == 3, np.nan, 1.0), "NaN"),
    "short": (np.ones(21), "sample_weight"),
    "no source": (np.where(DOMAIN_GOOD > 0, 0.0, 1.0), "source|sample_weight"),
    "no target": (np.where(DOMAIN_GOOD < 0, 0.0, 1.0), "target|sample_weight"),
}


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_bad_sample_weights(case):
    weight, words = BAD_WEIGHTS[case]
    with pytest.raises(ValueError, match=words):
        KernelMeanMatching().fit(X_GOOD, sample_domain=DOMAIN_GOOD, sample_weight=weight)


def test_weight_function_needs_a_ridge_and_a_fit():
    with pytest.raises(NotFittedError):
        KernelMeanMatching().predict_weights(X_GOOD)
    model = KernelMeanMatching(alpha=0.0).fit(X_GOOD, sample_domain=DOMAIN_GOOD)
    with pytest.raises((ValueError, AttributeError), match="alpha"):
        model.predict_weights(X_GOOD)


@pytest.mark.parametrize(
    ("X", "words"), [(X_GOOD[:, :1], "features"), (NAN, "NaN"), (X_GOOD[:, 0], "2D")]
)
def test_weight_function_of_bad_rows(X, words):
    model = KernelMeanMatching().fit(X_GOOD, sample_domain=DOMAIN_GOOD)
    with pytest.raises(ValueError, match=words):
        model.predict_weights(X)
