"""Features of low rank: the Gram matrix that they stand for."""

import numpy as np
import pytest

from skmmd.kernels import nystroem
from tests import reference


def features(kernel, gamma, rows, landmarks):
    low_rank = nystroem(kernel, np.atleast_1d(gamma), rows, landmarks)
    every = slice(0, low_rank.n_landmarks)
    return [
        tile @ projection
        for tile, projection in zip(
            low_rank.blocks(slice(0, len(rows)), every), low_rank.projections, strict=True
        )
    ]


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "imq", "rq", "polynomial"])
def test_features_reproduce_the_approximation(kernel, rng):
    rows = rng.normal(size=(30, 3))
    (phi,) = features(kernel, 0.4, rows, rows[:8])
    expected = reference.nystroem_gram(rows, rows[:8], kernel, 0.4)
    np.testing.assert_allclose(phi @ phi.T, expected, rtol=1e-6, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "imq", "rq"])
def test_all_rows_as_landmarks_are_exact(kernel, rng):
    rows = rng.normal(size=(25, 2))
    (phi,) = features(kernel, 1.0, rows, rows)
    np.testing.assert_allclose(
        phi @ phi.T, reference.gram(rows, rows, kernel, 1.0), rtol=1e-6, atol=1e-7
    )


def test_linear_kernel_keeps_mean_differences(rng):
    """Centred or not, the differences of features are those of the rows."""
    rows = rng.normal(size=(20, 3)) + 5.0
    (phi,) = features("linear", 1.0, rows, rows[:6])
    difference = phi[:9].mean(axis=0) - phi[9:].mean(axis=0)
    expected = rows[:9].mean(axis=0) - rows[9:].mean(axis=0)
    assert difference @ difference == pytest.approx(expected @ expected, rel=1e-8)


def test_energy_features_have_the_mmd_of_the_energy_distance(rng):
    rows = rng.normal(size=(22, 2))
    (phi,) = features("energy", 1.0, rows, rows)
    difference = phi[:9].mean(axis=0) - phi[9:].mean(axis=0)
    expected = reference.mmd2(rows[:9], rows[9:], "energy", estimator="biased")
    assert difference @ difference == pytest.approx(expected, rel=1e-6)


def test_several_gammas(rng):
    rows = rng.normal(size=(20, 2))
    gammas = [0.25, 0.5, 1.0]
    for gamma, phi in zip(gammas, features("rbf", gammas, rows, rows[:7]), strict=True):
        np.testing.assert_allclose(
            phi @ phi.T, reference.nystroem_gram(rows, rows[:7], "rbf", gamma), rtol=1e-6, atol=1e-8
        )


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "linear", "energy"])
def test_duplicate_landmarks_and_equal_rows(kernel):
    """The landmarks' Gram matrix is singular, or zero."""
    rows = np.repeat([[0.0, 1.0], [2.0, 3.0]], 5, axis=0)
    for landmarks in (rows, rows[:3]):
        (phi,) = features(kernel, 0.3, rows, landmarks)
        assert np.all(np.isfinite(phi))
    (phi,) = features(kernel, 0.3, np.zeros((6, 2)), np.zeros((3, 2)))
    assert np.all(np.isfinite(phi))


def test_diagonal_and_norm(rng):
    rows = rng.normal(size=(18, 2))
    low_rank = nystroem("rbf", np.array([0.5, 1.0]), rows, rows[:6])
    weight = rng.integers(1, 4, size=18).astype(float)
    diagonal, norm = low_rank.diagonal_and_norm(weight)
    for k, gamma in enumerate([0.5, 1.0]):
        approximation = reference.nystroem_gram(rows, rows[:6], "rbf", gamma)
        np.testing.assert_allclose(diagonal[k], np.diagonal(approximation), rtol=1e-6)
        assert norm[k] == pytest.approx(
            reference.off_diagonal_norm(approximation, weight), rel=1e-6
        )
