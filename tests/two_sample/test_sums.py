"""Sums within groups: the quick ways against the plain one, and that against a double loop."""

import numpy as np
import pytest

from skmmd.kernels import gram, kernel_values
from skmmd.two_sample import _sums
from skmmd.two_sample._labelings import draw_labelings
from skmmd.two_sample._statistics import group_statistic
from skmmd.two_sample._sums import labeled_sums

DISTANCE_KERNELS = ["rbf", "laplacian", "imq", "rq", "energy"]


def make(n_small, n_large, n_features, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n_small + n_large, n_features))
    rows[:n_small] += 0.3
    codes = np.repeat([0, 1], [n_small, n_large])
    drawn = draw_labelings(rng, codes, 2, 40)
    return rows, np.vstack([codes.astype(np.uint8), drawn])


@pytest.mark.parametrize("kernel", DISTANCE_KERNELS)
@pytest.mark.parametrize("n_features", [1, 3, 12])
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_pairs_of_a_small_group(kernel, n_features, swap, weighted, monkeypatch):
    rows, labels = make(5, 60, n_features)
    if swap:
        labels = 1 - labels
    rng = np.random.default_rng(1)
    weight = rng.integers(1, 4, len(rows)).astype(float) if weighted else np.ones(len(rows))
    gammas = np.array([0.05, 0.1, 0.2])
    blocks = gram(kernel, gammas, rows)
    found = {}
    for quick in (True, False):
        monkeypatch.setattr(_sums, "_pairs_are_quicker", lambda *_, quick=quick: quick)
        found[quick] = labeled_sums(blocks, labels, weight, 2)
    for name in ("within", "total", "weight", "norm"):
        expected = getattr(found[False], name)
        np.testing.assert_allclose(getattr(found[True], name), expected, rtol=1e-12)
    for k, gamma in enumerate(gammas[: len(found[True].within)]):
        K = kernel_values(kernel, gamma, rows)
        for b in (0, 7):
            for group in (0, 1):
                own = np.flatnonzero(labels[b] == group)
                brute = sum(
                    weight[i] * (weight[j] if i != j else weight[i] - 1.0) * K[i, j]
                    for i in own
                    for j in own
                )
                assert found[True].within[k, group, b] == pytest.approx(brute, rel=1e-12)


def test_a_small_group_takes_the_pairs():
    rows, labels = make(20, 1000, 5)
    assert _sums._pairs_are_quicker(gram("rbf", np.ones(1), rows), labels, 20, 8)
    assert not _sums._pairs_are_quicker(gram("rbf", np.ones(1), rows), labels, 500, 8)
    assert not _sums._pairs_are_quicker(gram("linear", np.ones(1), rows), labels, 20, 1)


@pytest.mark.parametrize("kernel", [*DISTANCE_KERNELS, "linear", "polynomial"])
@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("n_groups", [2, 3])
def test_single_precision_stays_within_the_rounding_it_states(kernel, unbiased, n_groups):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(900, 4)) + 3.0
    codes = np.repeat(np.arange(n_groups), [400, 500] if n_groups == 2 else [200, 300, 400])
    labels = np.vstack([codes.astype(np.uint8), draw_labelings(rng, codes, n_groups, 50)])
    gammas = np.array([0.001, 0.1, 10.0])
    single, double = (
        labeled_sums(
            gram(kernel, gammas, rows),
            labels,
            np.ones(len(rows)),
            n_groups,
            unbiased=unbiased,
            single=single,
        )
        for single in (True, False)
    )
    np.testing.assert_allclose(single.within[:, :, 0], double.within[:, :, 0], rtol=1e-12)
    error = np.abs(group_statistic(single, unbiased) - group_statistic(double, unbiased))
    assert np.all(error.max(axis=1) <= single.rounding)
    spread = group_statistic(double, unbiased)[:, 1:].std(axis=1)
    assert np.all(error.max(axis=1) < 4e-5 * spread)
    assert error.max() > 0.0  # the path was taken


def test_weights_and_few_rows_stay_in_double_precision():
    rng = np.random.default_rng(0)
    for n_rows, weight in ((400, np.ones(400)), (900, np.full(900, 2.0))):
        rows = rng.normal(size=(n_rows, 2))
        codes = np.repeat([0, 1], n_rows // 2)
        labels = np.vstack([codes.astype(np.uint8), draw_labelings(rng, codes, 2, 5)])
        blocks = gram("rbf", np.ones(1), rows)
        single = labeled_sums(blocks, labels, weight, 2, single=True)
        double = labeled_sums(blocks, labels, weight, 2, single=False)
        np.testing.assert_allclose(single.within, double.within, rtol=1e-13)
