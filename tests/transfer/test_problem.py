"""The problem of kernel mean matching: certificates and projection, against SciPy and twins."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from skmmd.transfer._problem import (
    MatchingProblem,
    feasible_start,
    gap,
    nearest_masses,
    shift_of,
    violation,
)
from tests import reference
from tests.transfer import oracles

seeds = st.integers(0, 2**32 - 1)
SUMS = ("free", "below", "above", "between", "fixed", "none", "full")


def problem_of(n, bounds="free", seed=0):
    """Return a Gram matrix and a problem whose sum of masses is bounded."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    upper = rng.uniform(0.2, 2.0, n)
    total, most = 0.4 * upper.sum(), upper.sum()
    lowest, highest = {
        "free": (-math.inf, math.inf),
        "below": (1.5 * total, math.inf),
        "above": (-math.inf, 0.5 * total),
        "between": (0.9 * total, 1.1 * total),
        "fixed": (total, total),
        "none": (0.0, 0.0),
        "full": (most, math.inf),
    }[bounds]
    problem = MatchingProblem(
        rng.normal(0.5, 1.0, n), rng.uniform(0.01, 0.5, n), upper, lowest, highest
    )
    return oracles.gram(X, X, "rbf", 0.7), problem


def twin_of(K, problem):
    """Write the same problem in shares of the upper bounds, as the twin has it."""
    u = problem.upper
    system = K + np.diag(problem.ridge)
    return oracles.WeightProblem(
        system * np.outer(u, u), problem.kappa * u, u, 1.0, problem.lowest, problem.highest
    )


def gradient_of(K, problem, mass):
    return K @ mass + problem.ridge * mass - problem.kappa


def feasible_masses(problem, rng):
    """Return some feasible masses, at bounds or between."""
    share = rng.choice([0.0, rng.uniform(), 1.0], len(problem.upper))
    return nearest_masses(share * problem.upper, np.ones(len(share)), problem)[0]


problems = st.builds(
    problem_of, st.sampled_from([1, 2, 3, 6]), bounds=st.sampled_from(SUMS), seed=seeds
)

# --------------------------------------------------------------------------------------
# projection


def nearest_by_root(wanted, stiffness, problem):
    """Find by SciPy the shift at which the sum meets its bound."""

    def masses(shift):
        return np.clip(wanted - shift / stiffness, 0.0, problem.upper)

    total = masses(0.0).sum()
    goal = min(max(total, problem.lowest), problem.highest)
    if goal == total:
        return masses(0.0), 0.0
    far = 1.0 + np.abs(stiffness * wanted).max() + (stiffness * problem.upper).max()
    ends = (-far, far)
    if goal in (problem.upper.sum(), 0.0):
        return np.where(goal > 0.0, problem.upper, 0.0), None
    shift = optimize.brentq(lambda s: masses(s).sum() - goal, *ends, xtol=1e-15, maxiter=500)
    return masses(shift), shift


@given(problem=problems, seed=seeds, spread=st.sampled_from([0.1, 2.0, 1e4]))
def test_nearest_masses_equal_a_root_by_scipy(problem, seed, spread):
    _, problem = problem
    rng = np.random.default_rng(seed)
    n = len(problem.upper)
    wanted, stiffness = spread * rng.normal(size=n), rng.uniform(0.05, 20.0, n)
    mass, shift, active = nearest_masses(wanted, stiffness, problem)
    expected, expected_shift = nearest_by_root(wanted, stiffness, problem)
    np.testing.assert_allclose(mass, expected, rtol=1e-9, atol=1e-9)
    assert active == (expected_shift != 0.0)
    if not active:
        assert shift == 0.0
    inside = (mass > 1e-9) & (mass < problem.upper - 1e-9)
    if active and np.any(inside):
        assert shift == pytest.approx(expected_shift, rel=1e-7, abs=1e-9)


@given(problem=problems, seed=seeds)
def test_nearest_masses_equal_a_quadratic_programme(problem, seed):
    """By the lengths that stiffness gives, they are the nearest point of a twin's projection."""
    _, problem = problem
    rng = np.random.default_rng(seed)
    n = len(problem.upper)
    wanted, stiffness = rng.normal(size=n), rng.uniform(0.05, 20.0, n)
    root = np.sqrt(stiffness)
    twin = oracles.WeightProblem(
        np.eye(n), np.zeros(n), 1.0 / root, root * problem.upper, problem.lowest, problem.highest
    )
    expected = oracles.project(root * wanted, twin) / root
    mass, _, _ = nearest_masses(wanted, stiffness, problem)
    np.testing.assert_allclose(mass, expected, rtol=1e-8, atol=1e-9)


def test_nearest_masses_by_hand():
    problem = MatchingProblem(np.zeros(3), np.ones(3), np.array([1.0, 1.0, 2.0]), 0.0, 2.0)
    mass, shift, active = nearest_masses(np.array([0.5, 0.0, 3.0]), np.ones(3), problem)
    # Without the sum 0.5, 0 and 2; by 0.25 less 0.25, 0 and still 2; by 0.5 it is met.
    np.testing.assert_allclose(mass, [0.0, 0.0, 2.0], atol=1e-15)
    assert active
    assert 0.5 <= shift <= 1.0


@pytest.mark.parametrize(("lowest", "highest"), [(3.5, math.inf), (-math.inf, -1.0)])
def test_sums_out_of_reach_end_at_the_bounds(lowest, highest):
    """The caller refuses them; here it must end, as near as masses can be."""
    problem = MatchingProblem(np.zeros(3), np.ones(3), np.ones(3), lowest, highest)
    mass, shift, active = nearest_masses(np.array([0.5, -2.0, 3.0]), np.ones(3), problem)
    np.testing.assert_allclose(mass, np.full(3, float(lowest > 0.0)), rtol=0, atol=1e-14)
    assert active
    assert np.isfinite(shift)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_nearest_masses_have_no_units(scale):
    rng = np.random.default_rng(0)
    wanted, stiffness = rng.normal(size=50), rng.uniform(0.1, 1.0, 50)
    upper = rng.uniform(0.5, 1.0, 50)
    here = MatchingProblem(wanted, stiffness, upper, 20.0, 21.0)
    there = MatchingProblem(wanted, stiffness, scale * upper, scale * 20.0, scale * 21.0)
    mass, shift, _ = nearest_masses(wanted, stiffness, here)
    other, other_shift, _ = nearest_masses(scale * wanted, stiffness, there)
    np.testing.assert_allclose(other / scale, mass, rtol=1e-12)
    assert other_shift / scale == pytest.approx(shift, rel=1e-12)
    assert other.sum() == pytest.approx(scale * 20.0, rel=1e-14)


@given(problem=problems)
def test_the_start_is_feasible(problem):
    _, problem = problem
    row_mass = np.random.default_rng(0).uniform(0.1, 1.0, len(problem.upper))
    start = feasible_start(problem, row_mass)
    assert np.all(start >= 0.0)
    assert np.all(start <= problem.upper)
    slack = 1e-12 * problem.upper.sum()
    assert problem.lowest - slack <= start.sum() <= problem.highest + slack


# --------------------------------------------------------------------------------------
# certificates


@given(problem=problems, seed=seeds)
def test_gap_equals_a_linear_programme(problem, seed):
    K, problem = problem
    mass = feasible_masses(problem, np.random.default_rng(seed))
    gradient = gradient_of(K, problem, mass)
    rows = np.array([np.ones(len(mass)), -np.ones(len(mass))])
    limits = np.array([problem.highest, -problem.lowest])
    finite = np.isfinite(limits)
    best = optimize.linprog(
        gradient,
        A_ub=rows[finite] if finite.any() else None,
        b_ub=limits[finite] if finite.any() else None,
        bounds=[(0.0, u) for u in problem.upper],
    )
    assert best.status == 0
    assert gap(problem, mass, gradient) == pytest.approx(gradient @ mass - best.fun, abs=1e-8)


@given(problem=problems, seed=seeds)
def test_gap_bounds_the_excess(problem, seed):
    K, problem = problem
    twin = twin_of(K, problem)
    least = twin.objective(oracles.kmm_by_enumeration(twin))
    mass = feasible_masses(problem, np.random.default_rng(seed))
    excess = twin.objective(mass / problem.upper) - least
    assert gap(problem, mass, gradient_of(K, problem, mass)) >= excess - 1e-9


@given(problem=problems)
def test_at_the_optimum_nothing_is_violated(problem):
    K, problem = problem
    mass = oracles.kmm_by_enumeration(twin_of(K, problem)) * problem.upper
    mass = np.clip(mass, 0.0, problem.upper)  # within the rounding of the twin
    mass[mass < 1e-9] = 0.0
    at_upper = mass > problem.upper - 1e-9
    mass[at_upper] = problem.upper[at_upper]
    gradient = gradient_of(K, problem, mass)
    assert violation(problem, mass, gradient) <= 1e-7
    assert gap(problem, mass, gradient) <= 1e-6
    shift = shift_of(problem, mass, gradient)
    free = (mass > 0.0) & (mass < problem.upper)
    np.testing.assert_allclose(gradient[free] + shift, 0.0, atol=1e-7)
    assert np.all(gradient[mass == 0.0] + shift >= -1e-7)
    assert np.all(gradient[at_upper] + shift <= 1e-7)
    # The shift pushes only against the bound that is met.
    if shift > 1e-7:
        assert mass.sum() == pytest.approx(problem.highest, rel=1e-9)
    if shift < -1e-7:
        assert mass.sum() == pytest.approx(problem.lowest, rel=1e-9)


@given(problem=problems, seed=seeds)
def test_violation_is_that_of_the_twin(problem, seed):
    K, problem = problem
    mass = feasible_masses(problem, np.random.default_rng(seed))
    gradient = gradient_of(K, problem, mass)
    slack = 1e-10 * max(1.0, mass.sum())
    raises = mass.sum() < problem.highest - slack
    lowers = mass.sum() > problem.lowest + slack
    expected = reference.matching_violation(gradient, mass, problem.upper, raises, lowers)
    assert violation(problem, mass, gradient) == pytest.approx(max(expected, 0.0), rel=1e-12)


def test_violation_by_hand():
    upper, mass = np.array([1.0, 1.0, 1.0]), np.array([0.0, 0.5, 1.0])
    gradient = np.array([-3.0, 1.0, 2.0])
    free = MatchingProblem(np.zeros(3), np.ones(3), upper)
    assert violation(free, mass, gradient) == 3.0  # the first could grow
    at_most = MatchingProblem(np.zeros(3), np.ones(3), upper, -math.inf, 1.5)
    assert violation(at_most, mass, gradient) == 5.0  # and the last shrink for it
    # The first should not grow, the last not shrink, and for the second there is no room.
    assert violation(at_most, mass, -gradient) == 0.0
    assert violation(free, mass, -gradient) == 1.0
    assert gap(free, mass, gradient) == 3.0 + 0.5 + 2.0
    assert gap(at_most, mass, gradient) == 3.0 + 0.5 + 2.0
    assert gap(at_most, mass, np.array([-3.0, -1.0, 2.0])) == 3.0 + 0.0 + 2.0


@pytest.mark.parametrize(("sign", "bounds"), [(-1.0, (3.0, math.inf)), (1.0, (-math.inf, 0.0))])
def test_a_bound_that_is_met_but_not_needed_does_not_push(sign, bounds):
    """All masses are where they would be without it."""
    problem = MatchingProblem(np.zeros(3), np.ones(3), np.ones(3), *bounds)
    mass = np.full(3, float(sign < 0.0))
    assert shift_of(problem, mass, sign * np.array([1.0, 2.0, 3.0])) == 0.0
    # Where it is needed, the row nearest to moving tells how much.
    assert shift_of(problem, mass, -sign * np.array([1.0, 2.0, 3.0])) == pytest.approx(3.0 * sign)
