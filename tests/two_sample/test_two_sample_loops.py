"""The compiled loops of the two-sample test against their naive twins."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from skmmd.two_sample._loops import add_bin_sums, draw_subsets, laplace_sums

seeds = st.integers(0, 2**32 - 1)

# --------------------------------------------------------------------------------------
# random subsets


def naive_subsets(uniforms, order, label, labels):
    """Shuffle the first places of a list, one labeling after the other."""
    order, labels = list(order), [list(row) for row in labels]
    for b, row in enumerate(uniforms):
        for i, u in enumerate(row):
            j = i + math.floor(u * (len(order) - i))
            order[i], order[j] = order[j], order[i]
            labels[b][order[i]] = label
    return np.array(labels).reshape(len(labels), len(order)), np.array(order)


@given(n_units=st.integers(0, 9), n_labelings=st.integers(0, 5), data=st.data())
def test_subsets(n_units, n_labelings, data):
    n_members = data.draw(st.integers(0, n_units))
    rng = np.random.default_rng(data.draw(seeds))
    uniforms = rng.random((n_labelings, n_members))
    order = rng.permutation(n_units)
    labels = np.ones((n_labelings, n_units), dtype=np.uint8)
    expected, expected_order = naive_subsets(uniforms, order, 0, labels)
    draw_subsets(uniforms, order, 0, labels)
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(order, expected_order)
    assert np.all((labels == 0).sum(axis=1) == n_members)


@pytest.mark.parametrize("n_units", [1, 2, 3, 7, 64, 100, 1023, 4097])
def test_the_largest_uniform_stays_inside(n_units):
    uniforms = np.full((2, n_units), np.nextafter(1.0, 0.0))
    labels = np.ones((2, n_units), dtype=np.uint8)
    order = np.arange(n_units)
    draw_subsets(uniforms, order, 0, labels)
    np.testing.assert_array_equal(np.sort(order), np.arange(n_units))
    assert np.all(labels == 0)


@pytest.mark.statistical
def test_all_subsets_are_equally_likely():
    rng = np.random.default_rng(0)
    n_labelings = 60_000
    labels = np.ones((n_labelings, 6), dtype=np.uint8)
    draw_subsets(rng.random((n_labelings, 3)), np.arange(6), 0, labels)
    counts = Counter(map(bytes, labels))
    assert len(counts) == math.comb(6, 3)
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4
    # Neighbours in the sequence are independent, although the order is shuffled further.
    together = np.mean((labels[1:, 0] == 0) & (labels[:-1, 0] == 0))
    assert abs(together - 0.25) < 5 * math.sqrt(0.25 * 0.75 / n_labelings)


# --------------------------------------------------------------------------------------
# sums over bins


@given(n_rows=st.integers(0, 8), n_columns=st.integers(0, 8), n_bins=st.integers(1, 4), seed=seeds)
def test_bin_sums(n_rows, n_columns, n_bins, seed):
    rng = np.random.default_rng(seed)
    tile = rng.normal(size=(n_rows, n_columns))
    row_weight, column_weight = rng.random(n_rows), rng.random(n_columns)
    row_bins = np.sort(rng.integers(0, n_bins, n_rows))
    column_bins = rng.integers(0, n_bins, n_columns)
    out = rng.normal(size=(n_bins, n_bins))
    expected = out.copy()
    for i, j in itertools.product(range(n_rows), range(n_columns)):
        expected[row_bins[i], column_bins[j]] += row_weight[i] * column_weight[j] * tile[i, j]
    add_bin_sums(tile, row_weight, column_weight, row_bins, column_bins, out)
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-13)


# --------------------------------------------------------------------------------------
# one-dimensional Laplace kernel


def naive_laplace_sums(x, weight, units, gamma, labels, n_groups):
    n_labelings = labels.shape[1]
    out = np.zeros((n_groups, n_labelings))
    for b in range(n_labelings):
        for g in range(n_groups):
            rows = [i for i in range(len(x)) if labels[units[i], b] == g]
            out[g, b] = math.fsum(
                weight[i] * weight[j] * math.exp(-gamma * abs(x[i] - x[j]))
                for i in rows
                for j in rows
                if i != j
            )
    return out


@given(
    n_units=st.integers(1, 6),
    n_rows=st.integers(0, 10),
    n_groups=st.integers(1, 3),
    n_labelings=st.integers(0, 4),
    gamma=st.floats(1e-3, 1e3),
    ties=st.booleans(),
    seed=seeds,
)
def test_laplace_sums(n_units, n_rows, n_groups, n_labelings, gamma, ties, seed):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.integers(0, 4, n_rows).astype(float) if ties else rng.normal(size=n_rows))
    weight = rng.random(n_rows)
    units = rng.integers(0, n_units, n_rows)
    labels = rng.integers(0, n_groups, size=(n_units, n_labelings)).astype(np.uint8)
    within = np.zeros((n_groups, n_labelings))
    laplace_sums(x, weight, units, gamma, labels, within)
    expected = naive_laplace_sums(x, weight, units, gamma, labels, n_groups)
    np.testing.assert_allclose(within, expected, rtol=1e-10, atol=1e-12)


def test_laplace_sums_over_a_wide_range(rng):
    """Gaps so wide that products of decays underflow, and so narrow that sums are long."""
    x = np.sort(
        np.concatenate([rng.normal(size=60), [-1e6, 1e6, 1e300], 1e-12 * rng.normal(size=40)])
    )
    labels = rng.integers(0, 2, size=(len(x), 5)).astype(np.uint8)
    within = np.zeros((2, 5))
    units, weight = np.arange(len(x)), np.ones(len(x))
    laplace_sums(x, weight, units, 1.5, labels, within)
    np.testing.assert_allclose(
        within, naive_laplace_sums(x, weight, units, 1.5, labels, 2), rtol=1e-10
    )
