"""`weighted_mmd`: the squared V-statistic with normalised weights."""

import numpy as np
import pytest

from skmmd.transfer import weighted_mmd
from skmmd.two_sample import mmd
from tests import reference
from tests.transfer import oracles

POSITIVE_DEFINITE = ("rbf", "laplacian", "imq", "rq", "linear", "polynomial")
NAMED = (*POSITIVE_DEFINITE, "energy")


def domains(rng, n_source=13, n_target=11, d=3):
    return rng.normal(size=(n_source, d)), 0.6 + 0.8 * rng.normal(size=(n_target, d))


@pytest.mark.parametrize("kernel", NAMED)
@pytest.mark.parametrize("weighted", ["none", "source", "target", "both"])
def test_equals_the_double_sum(kernel, weighted, rng):
    Xs, Xt = domains(rng)
    ws = rng.uniform(0, 3, 13) if weighted in ("source", "both") else None
    wt = rng.uniform(0, 3, 11) if weighted in ("target", "both") else None
    found = weighted_mmd(Xs, Xt, ws, wt, kernel=kernel, gamma=0.4)
    assert type(found) is float
    expected = oracles.weighted_mmd(Xs, Xt, ws, wt, kernel, 0.4)
    assert found == pytest.approx(expected, rel=1e-9)


def test_a_callable_kernel(rng):
    Xs, Xt = domains(rng)
    ws = rng.uniform(0, 3, 13)
    found = weighted_mmd(Xs, Xt, ws, kernel=lambda A, B: np.exp(A @ B.T / 5))
    expected = oracles.weighted_mmd(Xs, Xt, ws, None, lambda A, B: np.exp(A @ B.T / 5))
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "imq", "rq", "polynomial"])
def test_median_gamma_is_that_of_the_pooled_rows(kernel, rng):
    Xs, Xt = domains(rng)
    gamma = reference.median_gamma(np.vstack([Xs, Xt]), kernel)
    expected = oracles.weighted_mmd(Xs, Xt, None, None, kernel, gamma)
    assert weighted_mmd(Xs, Xt, kernel=kernel) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kernel", NAMED)
def test_without_weights_it_is_the_biased_mmd(kernel, rng):
    Xs, Xt = domains(rng)
    expected = mmd(Xs, Xt, kernel=kernel, gamma=0.3, estimator="biased")
    assert weighted_mmd(Xs, Xt, kernel=kernel, gamma=0.3) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kernel", NAMED)
def test_integer_weights_are_copies(kernel, rng):
    Xs, Xt = domains(rng)
    ws, wt = rng.integers(1, 4, 13), rng.integers(0, 3, 11)
    copies = np.repeat(Xs, ws, axis=0), np.repeat(Xt, wt, axis=0)
    found = weighted_mmd(Xs, Xt, ws, wt, kernel=kernel, gamma=0.3)
    expected = weighted_mmd(*copies, kernel=kernel, gamma=0.3)
    assert found == pytest.approx(expected, rel=1e-9)


def test_only_proportions_of_weights_matter(rng):
    Xs, Xt = domains(rng)
    ws, wt = rng.uniform(0, 3, 13), rng.uniform(0, 3, 11)
    one = weighted_mmd(Xs, Xt, ws, wt, gamma=0.3)
    for factor in (1e-8, 7.0, 1e8):
        two = weighted_mmd(Xs, Xt, factor * ws, wt / factor, gamma=0.3)
        assert two == pytest.approx(one, rel=1e-9)


def test_a_row_without_weight_is_absent(rng):
    Xs, Xt = domains(rng)
    ws = np.where(np.arange(13) < 9, 1.0, 0.0)
    found = weighted_mmd(Xs, Xt, ws, gamma=0.3)
    assert found == pytest.approx(weighted_mmd(Xs[:9], Xt, gamma=0.3), rel=1e-9)


def test_symmetry_and_identity(rng):
    Xs, Xt = domains(rng)
    ws, wt = rng.uniform(0, 3, 13), rng.uniform(0, 3, 11)
    one = weighted_mmd(Xs, Xt, ws, wt, gamma=0.3)
    assert weighted_mmd(Xt, Xs, wt, ws, gamma=0.3) == pytest.approx(one, rel=1e-12)
    assert weighted_mmd(Xs, Xs, ws, ws, gamma=0.3) == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "imq", "rq"])
def test_one_row_each(kernel):
    found = weighted_mmd([[0.0, 1.0]], [[1.0, 1.5]], kernel=kernel, gamma=0.7)
    expected = 2 - 2 * reference.kernel_value([0.0, 1.0], [1.0, 1.5], kernel, 0.7)
    assert found == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "imq", "rq", "energy"])
def test_a_huge_offset_changes_nothing(kernel, rng):
    """Rows are multiples of 2^-10, so that the offset itself does not round."""
    Xs, Xt = (np.round(1024 * Z) / 1024 for Z in domains(rng))
    ws = rng.uniform(0, 3, 13)
    one = weighted_mmd(Xs, Xt, ws, kernel=kernel)
    assert weighted_mmd(Xs + 1e6, Xt + 1e6, ws, kernel=kernel) == pytest.approx(one, rel=1e-7)


def test_float32_lists_and_frames(rng):
    pandas = pytest.importorskip("pandas")
    Xs, Xt = (Z.astype(np.float32) for Z in domains(rng))
    one = weighted_mmd(Xs.astype(float), Xt.astype(float), gamma=0.3)
    assert weighted_mmd(Xs, Xt, gamma=0.3) == pytest.approx(one, rel=1e-12)
    assert weighted_mmd(Xs.tolist(), Xt.tolist(), gamma=0.3) == pytest.approx(one, rel=1e-12)
    frames = (pandas.DataFrame(Z, columns=["a", "b", "c"]) for Z in (Xs, Xt))
    assert weighted_mmd(*frames, gamma=0.3) == pytest.approx(one, rel=1e-12)


def test_many_rows(rng):
    """More rows than one block of the Gram matrix holds."""
    Xs, Xt = domains(rng, 900, 1100, 4)
    ws = rng.uniform(0, 3, 900)

    def rbf(A, B):
        squares = (A**2).sum(axis=1)[:, None] + (B**2).sum(axis=1)[None, :] - 2 * A @ B.T
        return np.exp(-0.3 * squares)

    expected = oracles.weighted_mmd(Xs, Xt, ws, None, rbf)
    assert weighted_mmd(Xs, Xt, ws, gamma=0.3) == pytest.approx(expected, rel=1e-9)


def test_nothing_is_written(rng):
    arrays = [*domains(rng), rng.uniform(0, 3, 13), rng.uniform(0, 3, 11)]
    before = [a.copy() for a in arrays]
    for a in arrays:
        a.flags.writeable = False
    weighted_mmd(*arrays)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


NAN = np.array([[0.0, np.nan], [1.0, 2.0]])
GOOD = np.array([[0.0, 1.0], [1.0, 2.0], [3.0, 1.0]])
BAD = {
    "NaN in Xs": ((NAN, GOOD), {}, "NaN"),
    "NaN in Xt": ((GOOD, NAN), {}, "NaN"),
    "inf": ((GOOD, np.full((2, 2), np.inf)), {}, "inf"),
    "no source rows": ((GOOD[:0], GOOD), {}, "0 sample|[Nn]o rows|minimum of 1"),
    "no target rows": ((GOOD, GOOD[:0]), {}, "0 sample|[Nn]o rows|minimum of 1"),
    "features": ((GOOD, GOOD[:, :1]), {}, "feature|column"),
    "length of ws": ((GOOD, GOOD, [1.0, 2.0]), {}, r"ws|weight"),
    "length of wt": ((GOOD, GOOD, None, [1.0, 2.0]), {}, r"wt|weight"),
    "negative weight": ((GOOD, GOOD, [1.0, -1.0, 1.0]), {}, "[Nn]egative|>= 0|non-negative"),
    "NaN weight": ((GOOD, GOOD, [1.0, np.nan, 1.0]), {}, "NaN"),
    "no weight": ((GOOD, GOOD, np.zeros(3)), {}, "zero|positive|sum"),
    "kernel": ((GOOD, GOOD), {"kernel": "gauss"}, "kernel"),
    "gamma 0": ((GOOD, GOOD), {"gamma": 0.0}, "gamma"),
    "gamma word": ((GOOD, GOOD), {"gamma": "scale"}, "gamma"),
    "shape of a callable": ((GOOD, GOOD), {"kernel": lambda A, B: A}, "callable kernel"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    given, options, words = BAD[case]
    with pytest.raises((ValueError, TypeError), match=words):
        weighted_mmd(*given, **options)
