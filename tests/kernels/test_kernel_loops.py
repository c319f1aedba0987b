"""The compiled passes over one tile against their naive twins."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skmmd.kernels._loops import tile_distances, tile_values
from tests import reference, strategies

PRODUCTS, DIRECT, CITYBLOCK = 0, 1, 2
RBF, IMQ, RQ, ENERGY, POLYNOMIAL = range(5)


def distances(form, left, right):
    """Call the loop as its caller does."""
    tile = left @ right.T if form == PRODUCTS else np.full((len(left), len(right)), np.nan)
    columns = np.ascontiguousarray(right[:0].T if form == PRODUCTS else right.T)
    norms = [np.array([row @ row for row in rows]) for rows in (left, right)]
    tile = np.ascontiguousarray(tile)
    tile_distances(form, left, columns, norms[0], norms[1], tile, 1e-15)
    return tile


def naive_distances(form, left, right):
    def one(x, y):
        if form == CITYBLOCK:
            return math.fsum(abs(a - b) for a, b in zip(x, y, strict=True))
        return math.fsum((a - b) ** 2 for a, b in zip(x, y, strict=True))

    return np.array([[one(x, y) for y in right] for x in left]).reshape(len(left), len(right))


@pytest.mark.parametrize("form", [PRODUCTS, DIRECT, CITYBLOCK])
@given(blocks=strategies.blocks(max_features=11))
def test_distances(form, blocks):
    left, right = blocks
    np.testing.assert_allclose(
        distances(form, left, right), naive_distances(form, left, right), rtol=1e-11, atol=1e-13
    )


@pytest.mark.parametrize("form", [PRODUCTS, DIRECT, CITYBLOCK])
@given(blocks=strategies.blocks(max_features=11))
def test_equal_rows_are_at_distance_zero(form, blocks):
    left, _ = blocks
    assert np.all(np.diagonal(distances(form, left, left.copy())) == 0.0)


@pytest.mark.parametrize("form", [PRODUCTS, DIRECT, CITYBLOCK])
@given(blocks=strategies.blocks())
def test_distances_are_never_negative(form, blocks):
    left, right = blocks
    near = np.vstack([right, left * (1 + 1e-15)])
    assert np.all(distances(form, left, near) >= 0.0)


def naive_value(code, gamma, t):
    return {
        RBF: lambda: math.exp(-gamma * t),
        IMQ: lambda: 1 / math.sqrt(1 + 2 * gamma * t),
        RQ: lambda: 1 / (1 + 2 * gamma * t),
        ENERGY: lambda: -math.sqrt(t),
        POLYNOMIAL: lambda: (gamma * t + 1) ** 3,
    }[code]()


@given(
    code=st.sampled_from([RBF, IMQ, RQ, ENERGY, POLYNOMIAL]),
    gamma=st.floats(1e-6, 1e6),
    shape=st.tuples(st.integers(0, 9), st.integers(0, 9)),
    seed=st.integers(0, 2**32 - 1),
    in_place=st.booleans(),
)
def test_values(code, gamma, shape, seed, in_place):
    t = np.random.default_rng(seed).exponential(size=shape)
    if code == POLYNOMIAL:
        t -= 0.5  # inner products may be negative
    tile = t.copy() if in_place else np.full(shape, np.nan)
    expected = [[naive_value(code, gamma, value) for value in row] for row in t]
    tile_values(code, gamma, tile if in_place else t, tile)
    np.testing.assert_allclose(
        tile, np.array(expected).reshape(shape), rtol=1e-12, atol=1e-300 if code == RBF else 1e-14
    )


@pytest.mark.parametrize("code", [RBF, IMQ, RQ])
def test_values_far_away_and_at_zero(code):
    t = np.array([[0.0, 1e308, 1e200, 1e-308]])
    tile = np.empty_like(t)
    with np.errstate(over="ignore"):  # warned of where nothing is compiled
        tile_values(code, 1.0, t, tile)
    assert tile[0, 0] == 1.0
    assert tile[0, 3] == 1.0
    assert np.all(tile >= 0.0)
    assert np.all(np.isfinite(tile))
    assert tile[0, 1] <= 1e-150


@pytest.mark.parametrize("code", [RBF, IMQ, RQ, ENERGY, POLYNOMIAL])
def test_nan_stays_nan(code):
    t = np.array([[np.nan, 1.0]])
    tile = np.empty_like(t)
    tile_values(code, 1.0, t, tile)
    assert np.isnan(tile[0, 0])
    assert np.isfinite(tile[0, 1])


@pytest.mark.parametrize("form", [DIRECT, CITYBLOCK])
def test_nan_in_rows_stays_nan(form):
    left = np.array([[np.nan, 0.0], [1.0, 2.0]])
    tile = distances(form, left, np.zeros((1, 2)))
    assert np.isnan(tile[0, 0])
    assert tile[1, 0] == (5.0 if form == DIRECT else 3.0)


def test_read_only_rows():
    left = np.arange(6.0).reshape(3, 2)
    left.flags.writeable = False
    np.testing.assert_array_equal(
        distances(DIRECT, left, left), naive_distances(DIRECT, left, left)
    )


def test_the_twin_is_not_the_loop():
    """The reference of the kernels is written apart from the codes above; they must agree."""
    for code, kernel in ((RBF, "rbf"), (IMQ, "imq"), (RQ, "rq"), (ENERGY, "energy")):
        value = reference.kernel_value([3.0, 1.0], [1.0, 0.0], kernel, 0.3)
        assert naive_value(code, 0.3, 5.0) == pytest.approx(value, rel=1e-15)
