"""The solvers of kernel mean matching on the problem itself: steps, and Newton's method."""

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skmmd.kernels import gram
from skmmd.transfer import kmm_weights, weighted_mmd
from skmmd.transfer._newton import FeatureForm, GramForm, minimise_by_newton
from skmmd.transfer._problem import MatchingProblem, feasible_start, gap
from skmmd.transfer._smo import RowCache, minimise_by_steps
from tests.transfer import oracles

seeds = st.integers(0, 2**32 - 1)
SUMS = ("free", "below", "above", "fixed", "none", "full")
TIGHT = 1e-12


def task_of(n, bounds="free", ridge="some", seed=0, gamma=0.7, copies=False):
    """Return rows and a problem whose linear term is that of a matching."""
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(n, 2)), 0.5 + 0.8 * rng.normal(size=(n + 3, 2))
    if copies:
        X = X[rng.integers(0, max(n // 2, 1), n)]
    kappa = n * oracles.gram(X, Y, "rbf", gamma).mean(axis=1)
    upper = rng.uniform(0.5, 4.0, n)
    total = 0.4 * upper.sum()
    lowest, highest = {
        "free": (-math.inf, math.inf),
        "below": (2.0 * total, math.inf),
        "above": (-math.inf, 0.4 * total),
        "fixed": (total, total),
        "none": (0.0, 0.0),
        "full": (upper.sum(), math.inf),
    }[bounds]
    ridges = {
        "some": 0.01 * n * rng.uniform(0.5, 2.0, n),
        "none": np.zeros(n),
        # Rows of which only some have a ridge do not come from a matching, but are a problem.
        "mixed": 0.01 * n * (np.arange(n) % 2),
    }
    return X, gamma, MatchingProblem(kappa, ridges[ridge], upper, lowest, highest)


def kernel_of(X, gamma):
    return oracles.gram(X, X, "rbf", gamma)


def features_of(K):
    values, vectors = np.linalg.eigh(K)
    return np.ascontiguousarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def start_of(problem):
    return feasible_start(problem, np.full(len(problem.upper), 0.5))


def objective(K, problem, mass):
    return 0.5 * mass @ K @ mass + 0.5 * problem.ridge @ mass**2 - problem.kappa @ mass


def least_of(K, problem):
    """Return the exact minimum: that of the best set of active bounds."""
    u = problem.upper
    system = (K + np.diag(problem.ridge)) * np.outer(u, u)
    twin = oracles.WeightProblem(system, problem.kappa * u, u, 1.0, problem.lowest, problem.highest)
    return twin.objective(oracles.kmm_by_enumeration(twin))


def steps(X, gamma, problem, n_bytes=2**28, tol=TIGHT, max_steps=200_000, kernel="rbf"):
    blocks = gram(kernel, np.array([gamma]), X)
    cache = RowCache(blocks, n_bytes)
    start = start_of(problem)
    return minimise_by_steps(problem, blocks, cache, start, tol=tol, max_steps=max_steps), cache


def newton(form, problem, tol=TIGHT):
    return minimise_by_newton(problem, form, start_of(problem), tol=tol)


def assert_solves(solution, K, problem, rel=1e-9):
    mass = solution.mass
    assert solution.converged
    assert np.all(mass >= 0.0)
    assert np.all(mass <= problem.upper)
    slack = 1e-9 * max(1.0, mass.sum())
    assert problem.lowest - slack <= mass.sum() <= problem.highest + slack
    gradient = K @ mass + problem.ridge * mass - problem.kappa
    size = np.abs(problem.kappa).max()
    np.testing.assert_allclose(solution.gradient, gradient, rtol=0, atol=1e-10 * size)
    scale = max(abs(objective(K, problem, mass)), 1e-3)
    assert gap(problem, mass, gradient) <= rel * scale


# --------------------------------------------------------------------------------------
# the minimum


@functools.cache
def solved_task(bounds, ridge, seed):
    """Return a task of few rows with its exact minimum, found once for all solvers."""
    X, gamma, problem = task_of(5, bounds, ridge, seed)
    return X, gamma, problem, least_of(kernel_of(X, gamma), problem)


# The solvers of a task come one after another, in the worker that has solved it.
@pytest.mark.parametrize("solver", ["steps", "gram", "features"])
@pytest.mark.parametrize("ridge", ["some", "mixed", "none"])
@pytest.mark.parametrize("bounds", SUMS)
def test_the_minimum_is_that_of_the_best_active_set(solver, bounds, ridge):
    for seed in range(4):
        X, gamma, problem, least = solved_task(bounds, ridge, seed)
        K = kernel_of(X, gamma)
        if solver == "steps":
            solution, _ = steps(X, gamma, problem)
        else:
            form = GramForm(K) if solver == "gram" else FeatureForm(features_of(K))
            solution = newton(form, problem)
        assert_solves(solution, K, problem)
        assert objective(K, problem, solution.mass) == pytest.approx(least, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("ridge", ["some", "none"])
@pytest.mark.parametrize("bounds", SUMS)
def test_solvers_agree_on_many_rows(bounds, ridge):
    """Without ridge masses are hardly determined, but the objective is."""
    X, gamma, problem = task_of(150, bounds, ridge, seed=5, gamma=5.0)
    K = kernel_of(X, gamma)
    by_steps, _ = steps(X, gamma, problem, tol=1e-9)
    by_gram = newton(GramForm(K), problem, tol=1e-9)
    by_features = newton(FeatureForm(features_of(K)), problem, tol=1e-9)
    for solution in (by_steps, by_gram, by_features):
        assert_solves(solution, K, problem, rel=1e-8)
        if ridge == "some":
            np.testing.assert_allclose(solution.mass, by_gram.mass, atol=1e-7)
            assert solution.shift == pytest.approx(by_gram.shift, abs=1e-7)


@given(
    task=st.builds(
        task_of,
        st.sampled_from([1, 2, 3, 5]),
        st.sampled_from(SUMS),
        st.just("some"),
        seeds,
        copies=st.booleans(),
    )
)
def test_newton_meets_the_conditions_anywhere(task):
    X, gamma, problem = task
    K = kernel_of(X, gamma)
    for form in (GramForm(K), FeatureForm(features_of(K))):
        assert_solves(newton(form, problem), K, problem)


@pytest.mark.parametrize("bounds", SUMS)
def test_newton_takes_few_steps(bounds):
    X, gamma, problem = task_of(400, bounds, seed=1)
    solution = newton(GramForm(kernel_of(X, gamma)), problem, tol=1e-8)
    assert solution.converged
    assert solution.n_iter <= 25


def test_without_bounds_the_minimum_solves_a_system():
    X, gamma, problem = task_of(30, seed=2)
    K = kernel_of(X, gamma)
    target = np.random.default_rng(0).uniform(1.0, 2.0, 30)
    wide = replace(problem, kappa=K @ target + problem.ridge * target, upper=np.full(30, 100.0))
    for form in (GramForm(K), FeatureForm(features_of(K))):
        solution = newton(form, wide)
        np.testing.assert_allclose(solution.mass, target, rtol=1e-7)
        assert solution.shift == 0.0
    np.testing.assert_allclose(steps(X, gamma, wide)[0].mass, target, rtol=1e-7)


def test_copies_without_ridge():
    """K is singular, and so is every system of free rows."""
    X, gamma, problem = task_of(40, "free", "none", seed=3, copies=True)
    K = kernel_of(X, gamma)
    assert np.linalg.matrix_rank(K) < 25
    for form in (GramForm(K), FeatureForm(features_of(K))):
        assert_solves(newton(form, problem, tol=1e-8), K, problem, rel=1e-6)


@pytest.mark.parametrize("solver", ["smo", "nystroem"])
@pytest.mark.parametrize("bounds", [None, (100.0, 100.0), (0.0, 20.0)])
@pytest.mark.filterwarnings("ignore:Kernel mean matching stopped")
def test_a_ridge_of_rounding_is_like_none(solver, bounds):
    rng = np.random.default_rng(0)
    Xs, Xt = np.repeat(rng.normal(size=(20, 2)), 5, axis=0), rng.normal(size=(60, 2)) + 0.4
    options = {"gamma": 0.4, "solver": solver, "sum_bounds": bounds, "random_state": 0}
    with_ridge, without = (kmm_weights(Xs, Xt, alpha=alpha, **options) for alpha in (1e-20, 0.0))
    found, least = (weighted_mmd(Xs, Xt, w, gamma=0.4) for w in (with_ridge, without))
    assert found == pytest.approx(least, abs=1e-7)


@pytest.mark.parametrize("tied", [False, True])
def test_directions_of_both_forms_are_the_same(tied):
    X, gamma, problem = task_of(25, seed=4)
    K = kernel_of(X, gamma)
    F, rng = features_of(K), np.random.default_rng(1)
    at, mass = rng.uniform(size=25), rng.uniform(0.0, 2.0, 25)
    free = rng.random(25) < 0.5
    given = (mass, free, problem.ridge, tied)
    one = GramForm(K).direction(at, K @ at, *given)
    two = FeatureForm(F).direction(F.T @ at, K @ at, *given)
    np.testing.assert_allclose(one.field, two.field, rtol=1e-6, atol=1e-7)
    for name in ("along", "square", "slope"):
        assert getattr(one, name) == pytest.approx(getattr(two, name), rel=1e-6)
    assert one.slope < 0.0
    np.testing.assert_allclose(F.T @ one.step, two.step, atol=1e-7)


def test_blocks_of_features_and_threads_change_nothing():
    """Blocks are added in their order."""
    F = np.random.default_rng(0).normal(size=(5000, 12)) / 12
    kappa = 40.0 * np.random.default_rng(1).normal(size=5000)
    problem = MatchingProblem(kappa, np.full(5000, 20.0), np.full(5000, 2.0), 5000.0, 9000.0)
    one, two = (newton(FeatureForm(F, n_jobs), problem, tol=1e-9) for n_jobs in (1, 2))
    assert one.converged
    assert 0 < np.sum(one.mass == 0.0) < np.sum(one.mass < 2.0) < 5000
    assert one.mass.sum() == pytest.approx(5000.0)
    np.testing.assert_array_equal(one.mass, two.mass)
    gradient = F @ (F.T @ one.mass) + problem.ridge * one.mass - problem.kappa
    assert gap(problem, one.mass, gradient) <= 1e-6 * abs(problem.kappa @ one.mass)


def test_steps_that_are_used_up_are_told():
    X, gamma, problem = task_of(60, seed=7)
    few, _ = steps(X, gamma, problem, max_steps=5)
    assert not few.converged
    assert few.n_iter == 5
    all_of_them, _ = steps(X, gamma, problem)
    K = kernel_of(X, gamma)
    assert objective(K, problem, few.mass) > objective(K, problem, all_of_them.mass)


# --------------------------------------------------------------------------------------
# rows of the Gram matrix


@pytest.mark.parametrize("n_bytes", [0, 3 * 8 * 90, 40 * 8 * 90])
@pytest.mark.parametrize("bounds", ["free", "below", "above"])
def test_few_rows_at_a_time_give_the_same(bounds, n_bytes):
    X, gamma, problem = task_of(90, bounds, seed=8)
    complete, whole = steps(X, gamma, problem, tol=1e-10)
    found, cache = steps(X, gamma, problem, n_bytes, tol=1e-10)
    assert whole.complete
    assert not cache.complete
    assert cache.rows.nbytes <= max(n_bytes, 2 * 8 * 90)
    assert found.converged
    np.testing.assert_allclose(found.mass, complete.mass, atol=1e-9)
    assert found.shift == pytest.approx(complete.shift, abs=1e-9)


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "polynomial", np.inner])
@pytest.mark.parametrize("n_slots", [2, 3, 7])
def test_a_cache_holds_the_rows_fetched_last(kernel, n_slots):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 2))
    K = oracles.gram(X, X, kernel, 0.4)
    cache = RowCache(gram(kernel, np.array([0.4]), X), n_slots * 8 * 20)
    assert cache.n_slots == n_slots
    fetched = []
    for row in rng.integers(0, 20, 60):
        if cache.slots[row] >= 0:
            continue
        cache.fetch(int(row))
        fetched.append(row)
        held = np.flatnonzero(cache.slots >= 0)
        assert set(held) == set(fetched[-n_slots:])
        assert len(set(cache.slots[held])) == len(held)
        np.testing.assert_allclose(cache.rows[cache.slots[held]], K[held], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 600])
def test_a_complete_cache_is_the_gram_matrix(n):
    X = np.random.default_rng(1).normal(size=(n, 3))
    cache = RowCache(gram("rbf", np.array([0.4]), X))
    assert cache.complete
    np.testing.assert_array_equal(cache.slots, np.arange(n))
    np.testing.assert_allclose(cache.rows, kernel_of(X, 0.4), rtol=1e-12, atol=1e-14)


def test_no_bytes_hold_two_rows():
    X = np.random.default_rng(1).normal(size=(9, 3))
    assert RowCache(gram("rbf", np.array([0.4]), X), 0).n_slots == 2
