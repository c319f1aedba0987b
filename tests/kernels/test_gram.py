"""Gram blocks: values, forms of distance, tile seams, and the digits that survive."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import distance
from sklearn.metrics import pairwise

from skmmd.kernels import GAMMA_FREE, KERNELS, gram, kernel_values
from tests import reference, strategies

NAMED = ("rbf", "laplacian", "imq", "rq", "linear", "polynomial", "energy")


def test_the_names_are_those_of_the_contract():
    assert set(KERNELS) == set(NAMED)
    assert set(GAMMA_FREE) == {"linear", "energy", "precomputed"}


@pytest.mark.parametrize("kernel", NAMED)
@given(blocks=strategies.blocks(max_features=12), gamma=st.floats(1e-3, 1e3))
def test_values_of_two_blocks(kernel, blocks, gamma):
    left, right = blocks
    if not len(left) or not len(right):
        return
    values = kernel_values(kernel, gamma, left, right)
    expected = reference.gram(left, right, kernel, gamma)
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(values, expected, rtol=1e-10, atol=1e-11 * scale)


@pytest.mark.parametrize("kernel", NAMED)
@given(blocks=strategies.blocks(max_features=12), gamma=st.floats(1e-3, 1e3))
def test_values_of_one_block(kernel, blocks, gamma):
    rows, _ = blocks
    if not len(rows):
        return
    values = kernel_values(kernel, gamma, rows)
    expected = reference.gram(rows, rows, kernel, gamma)
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(values, expected, rtol=1e-10, atol=1e-11 * scale)
    np.testing.assert_allclose(
        gram(kernel, np.array([gamma]), rows).diagonal()[0], np.diagonal(expected), rtol=1e-10
    )


# The seams of tiles and of the two ways to square distances: few and many features, row numbers
# about powers of two.
@pytest.mark.parametrize("n_features", [1, 2, 3, 4, 5, 7, 8, 9, 13, 50])
@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (511, 513), (512, 512), (1025, 2)])
def test_against_scipy_and_scikit_learn(n_features, shape, rng):
    left, right = (rng.normal(size=(n, n_features)) for n in shape)
    gamma = 0.5 / n_features
    squared = distance.cdist(left, right, "sqeuclidean")
    expected = {
        "rbf": pairwise.rbf_kernel(left, right, gamma=gamma),
        "laplacian": pairwise.laplacian_kernel(left, right, gamma=gamma),
        "polynomial": pairwise.polynomial_kernel(left, right, degree=3, gamma=gamma, coef0=1),
        "linear": pairwise.linear_kernel(left, right),
        "energy": -distance.cdist(left, right),
        "imq": (1 + 2 * gamma * squared) ** -0.5,
        "rq": (1 + 2 * gamma * squared) ** -1.0,
    }
    for kernel, values in expected.items():
        np.testing.assert_allclose(
            kernel_values(kernel, gamma, left, right),
            values,
            rtol=1e-10,
            atol=1e-11,
            err_msg=kernel,
        )


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "imq", "rq", "polynomial"])
@pytest.mark.parametrize("gammas", [[0.5, 1.0, 2.0, 4.0], [0.3, 0.7, 5.0], [4.0, 2.0, 1.0], [1.0]])
def test_several_gammas_in_one_pass(kernel, gammas, rng):
    """Squaring serves a dyadic grid; no other grid may be taken for one."""
    rows = rng.normal(size=(30, 3))
    blocks = gram(kernel, np.array(gammas), rows)
    for gamma, tile in zip(gammas, blocks.blocks(slice(0, 20), slice(5, 30)), strict=True):
        expected = reference.gram(rows[:20], rows[5:], kernel, gamma)
        np.testing.assert_allclose(tile, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        blocks.diagonal(),
        [[reference.kernel_value(x, x, kernel, g) for x in rows] for g in gammas],
        rtol=1e-12,
    )


def test_fourteen_squarings_keep_twelve_digits(rng):
    rows = rng.normal(size=(40, 2))
    gammas = 2.0 ** np.arange(-10, 4)
    tiles = gram("rbf", gammas, rows).blocks(slice(0, 40), slice(0, 40))
    for gamma, tile in zip(gammas, tiles, strict=True):
        expected = reference.gram(rows, rows, "rbf", gamma)
        np.testing.assert_allclose(tile, expected, rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize("kernel", ["rbf", "imq", "rq", "energy"])
@pytest.mark.parametrize("n_features", [2, 20])
def test_an_offset_takes_no_digits(kernel, n_features, rng):
    """2**23 squared swallows all digits of a distance that is not centred."""
    rows = rng.integers(-512, 512, size=(60, n_features)) / 256
    near = kernel_values(kernel, 0.3, rows)
    far = kernel_values(kernel, 0.3, rows + 2.0**23)
    np.testing.assert_allclose(far, near, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("n_features", [2, 20])
def test_one_far_row_takes_no_digits_of_the_others(n_features, rng):
    rows = rng.normal(size=(50, n_features))
    expected = reference.gram(rows, rows, "rbf", 0.5)
    outlier = np.vstack([rows, np.full((1, n_features), 1e9)])
    values = kernel_values("rbf", 0.5, outlier)
    np.testing.assert_allclose(values[:-1, :-1], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(values[-1, :-1], 0.0)


@pytest.mark.parametrize("n_features", [2, 20])
def test_two_far_clusters_keep_their_digits(n_features, rng):
    """Centring cannot help here: each cluster is far from any centre."""
    rows = rng.normal(size=(40, n_features))
    apart = np.vstack([rows, rows + 2.0**20])
    values = kernel_values("rbf", 0.5, apart)
    shifted = (rows + 2.0**20) - 2.0**20
    np.testing.assert_allclose(
        values[40:, 40:], reference.gram(shifted, shifted, "rbf", 0.5), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_array_equal(values[:40, 40:], 0.0)


@pytest.mark.parametrize("n_features", [2, 20])
def test_one_dominating_column(n_features, rng):
    """Column 0 is a million times wider; a sharp kernel still sees the others."""
    rows = rng.normal(size=(40, n_features))
    rows[:, 0] = np.repeat(rng.normal(size=8) * 1e6, 5)
    np.testing.assert_allclose(
        kernel_values("rbf", 0.5, rows),
        reference.gram(rows, rows, "rbf", 0.5),
        rtol=1e-8,
        atol=1e-12,
    )


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "imq", "rq"])
@pytest.mark.parametrize("n_features", [1, 20])
def test_duplicates_have_value_one(kernel, n_features, rng):
    rows = np.repeat(rng.normal(size=(20, n_features)) * 1e3 + 17.0, 3, axis=0)
    values = kernel_values(kernel, 1e3, rows)
    same = np.arange(60)[:, None] // 3 == np.arange(60)[None, :] // 3
    np.testing.assert_array_equal(values[same], 1.0)


@pytest.mark.parametrize("scale", [1e-150, 1e-8, 1e8, 1e150])
def test_extreme_scales(scale, rng):
    rows = rng.normal(size=(20, 3))
    for kernel, gamma in (("rbf", 0.5 / scale**2), ("laplacian", 0.5 / scale)):
        expected = reference.gram(rows, rows, kernel, 0.5)
        np.testing.assert_allclose(
            kernel_values(kernel, gamma, rows * scale), expected, rtol=1e-9, atol=1e-12
        )


def test_a_callable_gives_the_block():
    left, right = np.arange(6.0).reshape(3, 2), np.ones((2, 2))
    values = kernel_values(lambda a, b: a @ b.T + 1.0, 1.0, left, right)
    np.testing.assert_array_equal(values, left @ right.T + 1.0)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (lambda a, b: np.ones(len(a)), "shape"),
        (lambda a, b: np.ones((len(b), len(a))), "shape"),
        (lambda a, b: np.full((len(a), len(b)), np.nan), "NaN"),
    ],
)
def test_a_wrong_callable_is_an_error(kernel, message):
    with pytest.raises(ValueError, match=message):
        kernel_values(kernel, 1.0, np.ones((3, 2)), np.ones((4, 2)))


def test_a_callable_may_return_float32_or_lists(rng):
    left, right = rng.normal(size=(3, 2)), rng.normal(size=(4, 2))
    values = kernel_values(lambda a, b: (a @ b.T).astype(np.float32).tolist(), 1.0, left, right)
    np.testing.assert_allclose(values, left @ right.T, rtol=1e-6)


def test_rows_are_not_written_to(rng):
    left, right = rng.normal(size=(20, 3)), rng.normal(size=(10, 3))
    left.flags.writeable = right.flags.writeable = False
    before = left.copy(), right.copy()
    for kernel in NAMED:
        kernel_values(kernel, 0.5, left, right)
    np.testing.assert_array_equal(left, before[0])
    np.testing.assert_array_equal(right, before[1])


def test_a_precomputed_matrix_is_not_written_to(rng):
    matrix = rng.normal(size=(6, 6))
    block = next(gram("precomputed", np.ones(1), matrix).blocks(slice(0, 3), slice(2, 6)))
    np.testing.assert_array_equal(block, matrix[:3, 2:])
    block[:] = 0.0
    assert np.all(matrix != 0.0)
