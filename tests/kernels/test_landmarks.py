"""Landmarks by randomly pivoted Cholesky: what they leave of the kernel, and where they end."""

import numpy as np
import pytest
from scipy import linalg

from skmmd.kernels import kernel_values, pivoted_landmarks
from tests import reference

KERNELS = ("rbf", "laplacian", "imq", "rq", "polynomial")


def choose(rows, n, kernel="rbf", gamma=0.5, tol=0.0, seed=0):
    generator = np.random.default_rng(seed)
    return pivoted_landmarks(kernel, gamma, rows, n, tol=tol, generator=generator)


def residual_of(K, chosen):
    """Return what Nystroem's approximation leaves of K: eliminate one landmark after the other."""
    left, least = K.copy(), 1e-13 * np.diagonal(K).max()
    for row in chosen:
        if left[row, row] > least:
            left -= np.outer(left[:, row], left[row]) / left[row, row]
    return left


def rows_of(n=300, d=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def assert_distinct(chosen, n_rows):
    assert chosen.dtype == np.intp
    assert len(set(chosen.tolist())) == len(chosen)
    assert 0 <= chosen.min() <= chosen.max() < n_rows


# --------------------------------------------------------------------------------------
# what is left


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("tol", [1e-2, 1e-4])
def test_the_residual_is_below_the_tolerance(kernel, tol):
    rows = rows_of()
    for seed in range(3):
        chosen = choose(rows, 300, kernel, tol=tol, seed=seed)
        assert_distinct(chosen, 300)
        left = linalg.eigvalsh(residual_of(kernel_values(kernel, 0.5, rows), chosen))[-1]
        # Power steps come near the largest eigenvalue from below.
        assert left <= 1.05 * tol * 300


def test_a_smaller_tolerance_takes_more():
    rows = rows_of(600)
    sizes = [len(choose(rows, 600, gamma=2.0, tol=tol)) for tol in (1e-2, 1e-4, 1e-8)]
    assert sizes[0] < sizes[1] < sizes[2] < 600


def test_a_subset_tells_the_eigenvalue():
    """Of more rows than 1,024, the rest of so many is looked at."""
    rows = rows_of(1200)
    chosen = choose(rows, 1200, gamma=1.0, tol=1e-3)
    left = residual_of(kernel_values("rbf", 1.0, rows), chosen)
    assert linalg.eigvalsh(left, subset_by_index=[1199, 1199])[0] <= 1.2e-3 * 1200


def test_near_the_best_rank():
    """The expected trace of what is left is near that of the best matrix of the rank."""
    rows = rows_of(400)
    K = kernel_values("rbf", 0.5, rows)
    best = linalg.eigvalsh(K)[:-20].sum()
    found = np.mean([np.trace(residual_of(K, choose(rows, 40, seed=s))) for s in range(10)])
    uniform = np.random.default_rng(0)
    drawn = [uniform.choice(400, 40, replace=False) for _ in range(10)]
    by_chance = np.mean([np.trace(residual_of(K, chosen)) for chosen in drawn])
    assert found <= 2.0 * best
    assert found < 0.7 * by_chance


# --------------------------------------------------------------------------------------
# how many


@pytest.mark.parametrize("n_landmarks", [1, 2, 31, 32, 33, 100])
def test_as_many_as_are_asked_for(n_landmarks):
    chosen = choose(rows_of(), n_landmarks, gamma=200.0)
    assert len(chosen) == n_landmarks
    assert_distinct(chosen, 300)


@pytest.mark.parametrize("n_rows", [1, 2, 3, 40])
def test_more_than_there_are_rows(n_rows):
    rows = rows_of(n_rows)
    chosen = choose(rows, 10 * n_rows, gamma=200.0)
    np.testing.assert_array_equal(np.sort(chosen), np.arange(n_rows))


@pytest.mark.parametrize("kernel", [*KERNELS, "linear"])
def test_nothing_is_left_where_it_ends_early(kernel):
    rows = rows_of(80)
    chosen = choose(rows, 80, kernel)
    K = kernel_values(kernel, 0.5, rows)
    assert np.abs(residual_of(K, chosen)).max() <= 1e-8 * np.diagonal(K).max()


@pytest.mark.parametrize("d", [1, 3, 7])
def test_a_linear_kernel_has_the_rank_of_the_features(d):
    rows = rows_of(200, d) + 3.0
    chosen = choose(rows, 200, "linear")
    assert len(chosen) == d
    assert np.linalg.matrix_rank(rows[chosen]) == d


def test_a_polynomial_of_one_feature_has_rank_four():
    assert len(choose(rows_of(100, 1), 100, "polynomial")) == 4


def test_copies_are_chosen_once():
    distinct = 3.0 * rows_of(12)
    rows = distinct[np.random.default_rng(1).permutation(np.arange(120) % 12)]
    for tol in (0.0, 1e-9):
        chosen = choose(rows, 120, gamma=1.0, tol=tol)
        assert len(chosen) == 12
        assert len(np.unique(rows[chosen], axis=0)) == 12


@pytest.mark.parametrize("kernel", [*KERNELS, "linear"])
@pytest.mark.parametrize("value", [0.0, 2.5])
def test_constant_rows_have_one(kernel, value):
    chosen = choose(np.full((50, 3), value), 20, kernel)
    assert len(chosen) == 1
    assert_distinct(chosen, 50)


def test_rows_far_out_are_found():
    """One row that no other stands for."""
    rows = np.vstack([0.01 * rows_of(500), [[30.0, 30.0]]])
    for seed in range(5):
        assert 500 in choose(rows, 500, seed=seed)


# --------------------------------------------------------------------------------------
# how


def test_a_seed_gives_the_same():
    rows = rows_of(500)
    one, two, other = (choose(rows, 50, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


def test_many_rows_by_a_subset():
    """Beyond 8,192 rows; numbers are those of all rows."""
    rows = rows_of(20_000)
    chosen = choose(rows, 60)
    assert_distinct(chosen, 20_000)
    assert chosen.max() > 8192

    def left_by(landmarks):
        some = np.concatenate([rows[landmarks], rows[::100]])
        return np.trace(residual_of(kernel_values("rbf", 0.5, some), np.arange(60)))

    draws = np.random.default_rng(0)
    by_chance = [left_by(draws.choice(20_000, 60, replace=False)) for _ in range(10)]
    assert left_by(chosen) < 0.5 * np.mean(by_chance)


def test_a_callable_kernel():
    rows = rows_of(200)

    def rbf(A, B):
        return np.exp(-0.5 * ((A[:, None] - B) ** 2).sum(axis=2))

    np.testing.assert_array_equal(choose(rows, 40, rbf), choose(rows, 40, "rbf"))


def test_a_callable_kernel_of_low_rank():
    weights = np.random.default_rng(0).normal(size=(2, 6))
    rows = rows_of(90)

    def kernel(A, B):
        return np.tanh(A @ weights) @ np.tanh(B @ weights).T

    assert len(choose(rows, 90, kernel)) == 6


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_of_the_kernel_do_not_matter(scale):
    rows = rows_of(100)

    def scaled(A, B):
        return scale * kernel_values("rbf", 0.5, A, B)

    one = choose(rows, 30, lambda A, B: kernel_values("rbf", 0.5, A, B))
    np.testing.assert_array_equal(choose(rows, 30, scaled), one)


def test_rows_are_not_written_to():
    rows = rows_of(100)
    before = rows.copy()
    rows.flags.writeable = False
    choose(rows, 40)
    np.testing.assert_array_equal(rows, before)


def test_the_kernel_is_that_of_the_reference():
    """What the tests above measure by is not what they test."""
    rows = rows_of(12)
    for kernel in KERNELS:
        np.testing.assert_allclose(
            kernel_values(kernel, 0.5, rows), reference.gram(rows, rows, kernel, 0.5), rtol=1e-11
        )
