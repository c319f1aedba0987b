"""The compiled steps of kernel mean matching against their naive twin."""

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skmmd.transfer._loops import matching_steps
from tests import reference
from tests.transfer import oracles

DONE, NEEDS_ROW, STEPS_USED, STUCK = range(4)
seeds = st.integers(0, 2**32 - 1)


@dataclass(frozen=True)
class Task:
    """A problem, and feasible masses to start from."""

    K: np.ndarray
    ridge: np.ndarray
    kappa: np.ndarray
    upper: np.ndarray
    lowest: float
    highest: float
    mass: np.ndarray

    @property
    def bounds(self):
        return self.upper, self.lowest, self.highest

    @property
    def system(self):
        return self.K + np.diag(self.ridge)

    def gradient(self, mass):
        return self.system @ mass - self.kappa

    def objective(self, mass):
        return 0.5 * mass @ self.system @ mass - self.kappa @ mass

    def optimum(self):
        """Enumerate the sets of masses at their bounds."""
        problem = oracles.WeightProblem(
            self.system * np.outer(self.upper, self.upper),
            self.kappa * self.upper,
            self.upper,
            1.0,
            self.lowest,
            self.highest,
        )
        return oracles.kmm_by_enumeration(problem) * self.upper


SUMS = ("free", "below", "above", "between", "fixed", "none")


def task_of(n, content="normal", ridged=True, bounds="free", start="zero", seed=0):
    """Return a task with n rows, of which copies may be and which the sum binds."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    if content == "copies":
        X = X[rng.integers(0, max(n // 2, 1), n)]
    K = oracles.gram(X, X, "rbf", 0.7)
    upper = rng.uniform(0.5, 2.0, n)
    share = {"zero": 0.0, "inside": rng.uniform(0.0, 1.0, n), "corner": rng.integers(0, 2, n)}
    mass = upper * share[start]
    total = mass.sum()
    lowest, highest = {
        "free": (-math.inf, math.inf),
        "below": (total, math.inf),
        "above": (-math.inf, total),
        "between": (0.9 * total, 1.1 * total),
        "fixed": (total, total),
        "none": (0.0, 0.0),
    }[bounds]
    if bounds == "none":
        mass = np.zeros(n)
    ridge = rng.uniform(0.01, 0.5, n) if ridged else np.zeros(n)
    return Task(K, ridge, rng.normal(0.5, 1.0, n), upper, lowest, highest, mass)


tasks = st.builds(
    task_of,
    st.sampled_from([0, 1, 2, 3, 5, 8]),
    ridged=st.booleans(),
    bounds=st.sampled_from(SUMS),
    start=st.sampled_from(["zero", "inside", "corner"]),
    seed=seeds,
)


def run(task, tol=1e-6, max_steps=500, cache=None, slots=None, counts=None, at=None):
    """Call the loop; return what it says, the masses, their gradient and the counts."""
    mass, gradient = (task.mass.copy(), task.gradient(task.mass)) if at is None else at
    counts = np.zeros(2, dtype=np.int64) if counts is None else counts
    status = matching_steps(
        task.K.copy() if cache is None else cache,
        np.arange(len(mass)) if slots is None else slots,
        np.diagonal(task.system).copy(),
        task.ridge,
        *task.bounds,
        mass,
        gradient,
        tol,
        max_steps,
        counts,
    )
    return status, mass, gradient, counts


# --------------------------------------------------------------------------------------
# the path


def satisfied(task, mass, tol=1e-6):
    slack = 1e-12 * max(1.0, mass.sum())
    raises, lowers = mass.sum() < task.highest - slack, mass.sum() > task.lowest + slack
    found = reference.matching_violation(task.gradient(mass), mass, task.upper, raises, lowers)
    return found <= tol


def best_of(choices, mass):
    """Tell whether these masses are among the choices, and none promises more."""
    most = max(gain for gain, _ in choices)
    return any(
        gain >= most - 1e-9 * abs(most) - 1e-15 and np.allclose(mass, after, rtol=1e-9, atol=1e-12)
        for gain, after in choices
    )


def check_path(task, n_steps):
    """Compare step by step: after an exchange two gradients are equal, and rounding decides."""
    for _ in range(n_steps):
        status, mass, gradient, counts = run(task, max_steps=1)
        np.testing.assert_allclose(gradient, task.gradient(mass), rtol=1e-9, atol=1e-11)
        if satisfied(task, task.mass):
            assert status == DONE
            assert counts[0] == 0
            np.testing.assert_array_equal(mass, task.mass)
            return
        assert counts[0] == 1
        choices = reference.matching_choices(
            task.K, task.ridge, task.kappa, *task.bounds, task.mass
        )
        assert any(best_of(listed, mass) for listed in choices)
        task = replace(task, mass=mass)
        assert status == (DONE if satisfied(task, mass) else STEPS_USED)


@given(task=tasks)
def test_steps_are_those_of_the_twin(task):
    check_path(task, 25)


@pytest.mark.parametrize("bounds", SUMS)
def test_many_rows(bounds):
    check_path(task_of(60, bounds=bounds, start="inside", seed=4), 30)


def test_no_rows_are_done():
    status, _, _, counts = run(task_of(0))
    assert status == DONE
    assert counts[0] == 0


# --------------------------------------------------------------------------------------
# the end


@given(
    task=st.builds(
        task_of,
        st.integers(1, 5),
        content=st.sampled_from(["normal", "copies"]),
        ridged=st.just(True),
        bounds=st.sampled_from(SUMS),
        start=st.sampled_from(["zero", "inside", "corner"]),
        seed=seeds,
    )
)
def test_the_end_is_the_optimum(task):
    status, mass, _, _ = run(task, tol=1e-10, max_steps=20_000)
    assert status == DONE
    least = task.objective(task.optimum())
    assert task.objective(mass) == pytest.approx(least, abs=1e-9)


@given(
    task=tasks | st.builds(task_of, st.integers(2, 9), st.just("copies"), st.booleans(), seed=seeds)
)
def test_no_step_rises_or_leaves_the_bounds(task):
    values, slack = [task.objective(task.mass)], 1e-12 * (1.0 + task.upper.sum())
    for max_steps in range(1, 12):
        status, mass, _, _ = run(task, tol=1e-9, max_steps=max_steps)
        assert np.all(mass >= 0.0)
        assert np.all(mass <= task.upper)
        assert task.lowest - slack <= mass.sum() <= task.highest + slack
        values.append(task.objective(mass))
        if status != STEPS_USED:
            break
    assert np.all(np.diff(values) <= 1e-12 * (1.0 + np.abs(values[0])))


def test_an_optimum_is_left_alone():
    task = task_of(6, seed=3)
    _, mass, _, _ = run(task, tol=1e-12)
    status, again, _, counts = run(replace(task, mass=mass), tol=1e-10)
    assert status == DONE
    assert counts[0] == 0
    np.testing.assert_array_equal(again, mass)


def test_steps_before_count():
    task = task_of(8, start="inside", seed=1)
    counts = np.array([5, 0])
    status, mass, _, counts = run(task, max_steps=7, counts=counts)
    assert status == STEPS_USED
    assert counts[0] == 7
    np.testing.assert_array_equal(mass, run(task, max_steps=2)[1])


@pytest.mark.parametrize(
    ("mass", "kappa"),
    # A step that is lost beside the mass, and one whose gain is no number above zero.
    [(1e18, 1e18 + 4096.0), (0.0, 1e-200)],
)
def test_steps_that_move_nothing_are_told(mass, kappa):
    gradient = np.array([mass - kappa if mass == 0.0 else -1.0])
    masses, counts = np.array([mass]), np.zeros(2, dtype=np.int64)
    one = np.ones((1, 1))
    status = matching_steps(
        one,
        np.zeros(1, dtype=np.int64),
        one[0],
        np.zeros(1),
        np.array([1e19]),
        -np.inf,
        np.inf,
        masses,
        gradient,
        0.0,
        100,
        counts,
    )
    assert status == STUCK
    assert counts[0] == 0
    assert masses[0] == mass


# --------------------------------------------------------------------------------------
# rows that are not there


def run_with_few_rows(task, n_slots):
    """Fetch rows as they are asked for, in the place of the oldest; rows not there are NaN."""
    n = len(task.mass)
    cache, slots, held = np.full((n_slots, n), np.nan), np.full(n, -1), []
    at, counts = (task.mass.copy(), task.gradient(task.mass)), np.zeros(2, dtype=np.int64)
    for n_fetched in range(5000):
        status, mass, gradient, counts = run(task, cache=cache, slots=slots, counts=counts, at=at)
        if status != NEEDS_ROW:
            return status, mass, counts[0], n_fetched
        np.testing.assert_allclose(gradient, task.gradient(mass), rtol=1e-9, atol=1e-11)
        row = counts[1]
        assert slots[row] == -1
        slot = len(held)
        if len(held) == n_slots:
            slot = slots[held[0]]
            slots[held.pop(0)] = -1
        held.append(row)
        cache[slot], slots[row] = task.K[row], slot
    raise AssertionError("it goes on asking for rows")


@given(task=tasks, n_slots=st.sampled_from([2, 3, 8]))
def test_rows_are_asked_for(task, n_slots):
    """Neither which rows there are nor their places matter, but for the rounding of the sum."""
    status, mass, n_steps, _ = run_with_few_rows(task, min(n_slots, len(task.mass)))
    known_status, known, _, counts = run(task)
    if np.isinf(task.lowest) and np.isinf(task.highest):
        assert (status, n_steps) == (known_status, counts[0])
        np.testing.assert_array_equal(mass, known)
    assert status == DONE or n_steps == 500
    assert satisfied(task, mass, tol=1.001e-6) == (status == DONE)


def test_a_row_is_asked_for_once_where_all_fit():
    task = task_of(8, start="inside", seed=2)
    status, _, n_steps, n_fetched = run_with_few_rows(task, 8)
    assert status == DONE
    assert 2 <= n_fetched <= 8 < n_steps
