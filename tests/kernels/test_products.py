"""Products of a Gram matrix that is never stored."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skmmd.kernels import gram, kernel_products
from tests import reference, strategies

KERNELS = ("rbf", "laplacian", "imq", "rq", "linear", "polynomial", "energy")


def sine_kernel(A, B):
    return np.sin(A @ B.T)


@pytest.mark.parametrize("kernel", KERNELS)
@given(blocks=strategies.blocks(), n_columns=st.sampled_from([None, 0, 1, 3]))
def test_products_are_those_of_the_matrix(kernel, blocks, n_columns):
    left, right = blocks
    V = np.random.default_rng(len(left)).normal(
        size=len(right) if n_columns is None else (len(right), n_columns)
    )
    origin = None if len(left) and len(right) else np.zeros(left.shape[1])  # no rows, no median
    found = kernel_products(gram(kernel, np.array([0.3]), left, right, origin=origin), V)
    expected = reference.gram(left, right, kernel, 0.3) @ V
    assert found.shape == expected.shape
    size = np.abs(expected).max(initial=1.0)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * size)


# Tiles have 256 rows and 512 columns.
@pytest.mark.parametrize("n_left", [1, 255, 256, 257, 700])
@pytest.mark.parametrize("n_right", [1, 511, 512, 513, 1100])
def test_seams_of_tiles(n_left, n_right, rng):
    left, right = rng.normal(size=(n_left, 2)), rng.normal(size=(n_right, 2))
    V = rng.normal(size=(n_right, 2))
    found = kernel_products(gram("rbf", np.array([0.3]), left, right), V)
    squares = ((left[:, None] - right) ** 2).sum(axis=2)
    np.testing.assert_allclose(found, np.exp(-0.3 * squares) @ V, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kernel", [*KERNELS, sine_kernel])
def test_threads_change_nothing(kernel, rng):
    rows = rng.normal(size=(1300, 3))
    V = rng.normal(size=(1300, 2))
    blocks = gram(kernel, np.array([0.3]), rows)
    one = kernel_products(blocks, V, n_jobs=1)
    np.testing.assert_array_equal(kernel_products(blocks, V, n_jobs=2), one)
    # A vector is a single column, but for the order in which BLAS adds.
    alone = kernel_products(blocks, V[:, 0])
    assert alone.shape == (1300,)
    np.testing.assert_allclose(alone, one[:, 0], rtol=1e-11, atol=1e-11 * np.abs(one).max())


def test_a_callable_kernel(rng):
    left, right = rng.normal(size=(40, 3)), rng.normal(size=(30, 3))
    V = rng.normal(size=30)
    found = kernel_products(gram(sine_kernel, np.ones(1), left, right), V)
    np.testing.assert_allclose(found, sine_kernel(left, right) @ V, rtol=1e-12)


def test_any_layout_and_whole_numbers(rng):
    rows = rng.normal(size=(30, 2))
    blocks = gram("rbf", np.array([0.3]), rows)
    V = rng.integers(-3, 4, size=(60, 6))
    given = V[::2, ::3]
    expected = reference.gram(rows, rows, "rbf", 0.3) @ given
    for form in (given, np.asfortranarray(given), given.astype(np.float32)):
        found = kernel_products(blocks, form)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(given, V[::2, ::3])


def test_the_first_of_several_gammas_counts(rng):
    rows, V = rng.normal(size=(20, 2)), rng.normal(size=20)
    several = kernel_products(gram("rbf", np.array([0.3, 2.0]), rows), V)
    np.testing.assert_allclose(several, reference.gram(rows, rows, "rbf", 0.3) @ V, rtol=1e-10)


def test_no_rows(rng):
    rows, none = rng.normal(size=(5, 2)), np.empty((0, 2))
    origin = np.zeros(2)
    to_none = gram("rbf", np.ones(1), rows, none, origin=origin)
    np.testing.assert_array_equal(kernel_products(to_none, np.empty((0, 3))), np.zeros((5, 3)))
    of_none = gram("rbf", np.ones(1), none, rows, origin=origin)
    assert kernel_products(of_none, np.ones((5, 3))).shape == (0, 3)
