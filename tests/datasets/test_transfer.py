"""Domains: formulas by their moments, splits of real data by what must hold for a split."""

import numpy as np
import pytest
from scipy.ndimage import affine_transform
from scipy.spatial.distance import cdist
from sklearn.datasets import load_breast_cancer, load_digits

from skmmd.datasets import (
    make_biased_breast_cancer,
    make_covariate_shift,
    make_regression_shift,
    make_rotated_digits,
    make_shifted_digits,
)

MAKERS = [
    make_biased_breast_cancer,
    make_covariate_shift,
    make_regression_shift,
    make_rotated_digits,
    make_shifted_digits,
]


@pytest.mark.parametrize("make", MAKERS)
def test_a_seed_fixes_both_domains(make):
    first, again, other = (make(random_state=seed) for seed in (0, 0, 1))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[0], other[0])


def row_numbers(rows, of):
    """Return where each of the rows stands in the full data, and that it stands there once."""
    squared = cdist(rows, of, "sqeuclidean")
    assert squared.min(axis=1).max() < 1e-12
    return squared.argmin(axis=1)


def leading_direction(X):
    """Return the leading eigenvector of the covariance, by power iteration."""
    C = np.cov(X.T)
    v = np.ones(len(C))
    for _ in range(2000):
        v = C @ v
        v /= np.linalg.norm(v)
    return v


def test_covariate_shift_moments():
    Xs, Xt = make_covariate_shift((200_000, 100_000), random_state=0)
    np.testing.assert_allclose(Xs.mean(axis=0), np.zeros(5), atol=0.01)
    np.testing.assert_allclose(Xt.mean(axis=0), np.full(5, 0.5), atol=0.01)
    np.testing.assert_allclose(np.cov(Xs.T), np.eye(5), atol=0.015)
    np.testing.assert_allclose(np.cov(Xt.T), 0.49 * np.eye(5), atol=0.01)


def test_regression_shift_follows_its_curve():
    Xs, ys, Xt, yt = make_regression_shift((200_000, 100_000), random_state=0)
    assert Xs.mean() == pytest.approx(0.5, abs=0.005)
    assert Xs.std() == pytest.approx(0.5, rel=0.01)
    assert Xt.mean() == pytest.approx(0.0, abs=0.004)
    assert Xt.std() == pytest.approx(0.3, rel=0.01)
    residual = ys - (-Xs + Xs**3).ravel()
    assert residual.mean() == pytest.approx(0.0, abs=0.003)
    assert residual.std() == pytest.approx(0.3, rel=0.01)
    assert np.abs(np.corrcoef(np.column_stack([residual, Xs]).T)[0, 1]) < 0.01
    np.testing.assert_allclose(yt, (-Xt + Xt**3).ravel(), atol=1e-12)


def test_regression_shift_sizes():
    shapes = [a.shape for a in make_regression_shift(random_state=0)]
    assert shapes == [(200, 1), (200,), (4000, 1), (4000,)]


def test_breast_cancer_is_biased_in_the_source_alone():
    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    z = X @ leading_direction(X)
    means = []
    for seed in range(10):
        Xs, ys, Xt, yt = make_biased_breast_cancer(random_state=seed)
        source, target = row_numbers(Xs, X), row_numbers(Xt, X)
        assert len(target) == 269
        assert len(np.unique(np.concatenate([source, target]))) == len(source) + len(target)
        np.testing.assert_array_equal(ys, y[source])
        np.testing.assert_array_equal(yt, y[target])
        means.append((z[source].mean(), z[target].mean()))
    source_mean, target_mean = np.mean(means, axis=0)
    # What the kept rows should average, for either sign of the component.
    expected = []
    for sign in (1, -1):
        reach = (sign * z).mean() - (sign * z).min()
        centre = (sign * z).min() + reach / 3
        weight = np.exp(-0.5 * ((sign * z - centre) / (reach / 1.5)) ** 2)
        expected.append(np.average(z, weights=weight))
    assert np.abs(np.array(expected) - source_mean).min() < 0.12
    assert abs(source_mean) > 0.5
    assert target_mean == pytest.approx(0.0, abs=0.2)


def test_digits_move_along_their_first_component():
    X, y = load_digits(return_X_y=True)
    X = X / 16
    z = X @ leading_direction(X)
    z = (z - np.median(z)) / z.std()
    sizes, fractions = [], []
    for seed in range(5):
        Xs, ys, Xt, yt = make_shifted_digits(random_state=seed)
        source, target = row_numbers(Xs, X), row_numbers(Xt, X)
        assert len(np.unique(np.concatenate([source, target]))) == len(source) + len(target)
        np.testing.assert_array_equal(ys, y[source])
        np.testing.assert_array_equal(yt, y[target])
        sizes.append((len(source), len(target)))
        fractions.append(((z[source] > 0).mean(), (z[target] > 0).mean()))
    keep = 1 / (1 + np.exp(3 * z))
    np.testing.assert_allclose(
        np.mean(sizes, axis=0), (1000 * keep.mean(), 797 * (1 - keep).mean()), rtol=0.04
    )
    above = np.array([keep[z > 0].sum() / keep.sum(), (1 - keep)[z > 0].sum() / (1 - keep).sum()])
    observed = np.mean(fractions, axis=0)
    # The sign of a component is arbitrary: the other one swaps the domains.
    np.testing.assert_allclose(sorted(observed), sorted(above), atol=0.03)


def test_rotated_digits_are_turned_copies():
    X, y = load_digits(return_X_y=True)
    Xs, ys, Xt, yt = make_rotated_digits((60, 40), angle=25, noise=0.0, random_state=0)
    source = row_numbers(Xs, X / 16)
    np.testing.assert_array_equal(ys, y[source])

    # Turned by hand about the middle of the image, all images at once.
    angle = np.deg2rad(25)
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = np.array([3.5, 3.5])
    by_hand = [
        affine_transform(image, matrix, offset=middle - matrix @ middle, order=1)
        for image in X.reshape(-1, 8, 8)
    ]
    target = row_numbers(Xt, np.reshape(by_hand, (-1, 64)) / 16)
    np.testing.assert_array_equal(yt, y[target])
    assert not set(source) & set(target)


def test_rotated_digits_carry_the_stated_noise():
    clean = make_rotated_digits(noise=0.0, random_state=0)
    noisy = make_rotated_digits(random_state=0)
    np.testing.assert_array_equal(clean[0], noisy[0])
    np.testing.assert_array_equal(clean[3], noisy[3])
    difference = 16 * (noisy[2] - clean[2])
    assert difference.std() == pytest.approx(2.0, rel=0.02)
    assert difference.mean() == pytest.approx(0.0, abs=0.05)


def test_label_shift_thins_out_the_upper_digits():
    whole = make_rotated_digits(random_state=0)[3]
    sizes = np.zeros(2)
    for seed in range(10):
        ys, yt = (make_rotated_digits(label_shift=True, random_state=seed)[i] for i in (1, 3))
        assert len(ys) == 500
        sizes += (yt < 5).sum(), (yt >= 5).sum()
    assert sizes[0] / 10 == pytest.approx(500 * (whole < 5).mean(), rel=0.08)
    assert sizes[1] / sizes[0] == pytest.approx(0.2, abs=0.03)


def test_more_images_than_there_are_is_refused():
    with pytest.raises(ValueError, match="asks for 1800 images; there are 1797"):
        make_rotated_digits(900)
