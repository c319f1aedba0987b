"""MMD as a loss inside: landmarks against the whole matrix, rounds, blocks, memory."""

import tracemalloc

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from skmmd.datasets import make_rotated_digits
from skmmd.kernels import kernel_values
from skmmd.transfer import MMDRegularizedClassifier, MMDRegularizedRegressor
from skmmd.transfer import _least_squares as least_squares
from skmmd.transfer import _low_rank as low_rank
from skmmd.transfer import _pseudo_labels as pseudo_labels
from skmmd.transfer._differences import mean_differences
from skmmd.transfer._domains import Domains

MEGABYTE = 2**20
KERNELS = ("rbf", "laplacian", "imq", "rq", "linear", "polynomial")
KINDS = (MMDRegularizedClassifier, MMDRegularizedRegressor)


def two_domains(n=90, d=4, seed=0):
    """Return interleaved rows of two domains, labels of three classes, and the domains."""
    rng = np.random.default_rng(seed)
    sample_domain = np.where(rng.random(n) < 0.5, 1, -1)
    y = rng.integers(0, 3, n)
    X = rng.normal(size=(n, d)) + 0.7 * (sample_domain < 0)[:, None]
    X[:, 0] += 2.0 * y
    return X, y, sample_domain


def fit(estimator, data, weight=None):
    X, y, sample_domain = data
    return estimator.fit(X, y, weight, sample_domain=sample_domain)


def values_of(model, X):
    return model.decision_function(X) if hasattr(model, "classes_") else model.predict(X)


def domains_of(sample_domain):
    return Domains(np.flatnonzero(sample_domain > 0), np.flatnonzero(sample_domain < 0))


# --------------------------------------------------------------------------------------
# landmarks


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("mmd_weight", [0.0, 10.0, 1e4])
def test_all_rows_as_landmarks_are_the_whole_matrix(kind, kernel, mmd_weight):
    data = two_domains()
    weight = np.random.default_rng(1).integers(0, 3, 90)
    options = {"kernel": kernel, "mmd_weight": mmd_weight}
    exact = fit(kind(**options), data, weight)
    landmarks = fit(kind(**options, n_landmarks=90), data, weight)
    assert (exact.n_landmarks_, landmarks.n_landmarks_) == (0, np.sum(weight > 0))
    expected = values_of(exact, data[0])
    scale = np.abs(expected).max()
    np.testing.assert_allclose(values_of(landmarks, data[0]), expected, atol=1e-8 * scale)


@pytest.mark.parametrize("weighted", [False, True])
def test_few_landmarks_solve_the_problem_of_their_own_kernel(weighted):
    """The normal equations in all coefficients, with the kernel of low rank written out."""
    data = two_domains()
    X, y, sample_domain = data
    weight = np.random.default_rng(1).integers(0, 4, 90).astype(float) if weighted else np.ones(90)
    model = fit(MMDRegularizedRegressor(n_landmarks=12, alpha=0.3, mmd_weight=5.0), data, weight)
    to_landmarks = kernel_values("rbf", model.gamma_, X, model.X_fit_)
    among = kernel_values("rbf", model.gamma_, model.X_fit_)
    K = to_landmarks @ np.linalg.solve(among, to_landmarks.T)
    a = np.where(sample_domain > 0, weight, 0.0)
    b = np.where(sample_domain < 0, weight, 0.0)
    e = a / a.sum() - b / b.sum()
    left = a[:, None] * K + 0.3 * np.eye(90) + 5.0 * a.sum() * np.outer(e, e @ K)
    expected = K @ np.linalg.solve(left, a * y)
    np.testing.assert_allclose(model.predict(X), expected, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_more_landmarks_come_closer(kind):
    data = two_domains(500)
    expected = values_of(fit(kind(), data), data[0])
    off = [
        np.abs(values_of(fit(kind(n_landmarks=n), data), data[0]) - expected).max()
        for n in (10, 60, 300)
    ]
    assert off[0] > off[1] > off[2]
    assert off[2] < 1e-3


def test_many_rows_take_landmarks(monkeypatch):
    data = two_domains(400, d=2)
    exact = fit(MMDRegularizedClassifier(), data)
    monkeypatch.setattr(low_rank, "_MAX_EXACT_ROWS", 399)
    model = fit(MMDRegularizedClassifier(), data)
    assert 0 < model.n_landmarks_ < 200
    assert np.mean(model.predict(data[0]) == exact.predict(data[0])) > 0.98


# --------------------------------------------------------------------------------------
# the system


@pytest.mark.parametrize("n_columns", [0, 1, 5, 60])
@pytest.mark.parametrize("strength", [0.0, 1.0, 1e5])
def test_any_columns_in_both_systems(n_columns, strength):
    """Columns E of any kind, more of them than source rows too."""
    X, y, sample_domain = two_domains()
    rng = np.random.default_rng(2)
    E = rng.normal(size=(90, n_columns)) / 90
    Y = np.stack([y, rng.normal(size=90)], axis=1)
    weight = rng.random(90)
    domains = domains_of(sample_domain)
    K = kernel_values("rbf", 0.2, X)
    a = np.where(sample_domain > 0, weight, 0.0)
    left = a[:, None] * K + 0.1 * np.eye(90) + strength * E @ E.T @ K
    expected = K @ np.linalg.solve(left, a[:, None] * Y)
    for n_landmarks in (None, 90):
        system, _ = least_squares.least_squares_of("rbf", 0.2, X, domains, weight, 0.1, n_landmarks)
        coef = system.solve(Y[domains.source], E, strength)
        np.testing.assert_allclose(system.predict(coef), expected, atol=1e-8)


def test_a_solution_is_the_least_of_its_objective():
    """No step in any of many directions lowers it."""
    X, y, sample_domain = two_domains()
    model = fit(MMDRegularizedRegressor(), (X, y, sample_domain))
    K = kernel_values("rbf", model.gamma_, X)
    source = sample_domain > 0
    e = np.where(source, 1.0 / source.sum(), -1.0 / (~source).sum())

    def objective(c):
        f = K @ c
        loss = np.mean((f[source] - y[source]) ** 2)
        return loss + 0.1 / source.sum() * c @ f + 10.0 * (e @ f) ** 2

    least = objective(model.dual_coef_)
    for step in np.random.default_rng(0).normal(size=(50, 90)):
        for size in (1e-3, -1e-3):
            assert objective(model.dual_coef_ + size * step) > least


@pytest.mark.parametrize("mmd_weight", [1e4, 1e8, 1e14])
def test_a_large_weight_aligns_the_means_and_loses_no_digits(mmd_weight):
    data = two_domains()
    exact, landmarks = (
        fit(MMDRegularizedRegressor(mmd_weight=mmd_weight, n_landmarks=n), data).predict(data[0])
        for n in (None, 90)
    )
    source = data[2] > 0
    gap = abs(exact[source].mean() - exact[~source].mean())
    assert gap < 1.0 / mmd_weight + 1e-14
    np.testing.assert_allclose(landmarks, exact, atol=1e-9)


@pytest.mark.parametrize("n_landmarks", [None, 20])
def test_no_positive_definite_system(n_landmarks):
    def negative(A, B):
        return -A @ B.T

    model = MMDRegularizedRegressor(kernel=negative, n_landmarks=n_landmarks)
    with pytest.raises(ValueError, match="not positive"):
        fit(model, two_domains())


# --------------------------------------------------------------------------------------
# rounds


@pytest.mark.parametrize("kernel", KERNELS)
def test_nearest_source_rows(kernel, monkeypatch):
    X, y, sample_domain = two_domains(700)
    domains = domains_of(sample_domain)
    weight = np.random.default_rng(3).integers(0, 2, 700).astype(float)
    found = pseudo_labels.nearest_codes(kernel, 0.2, X, domains, weight, y[domains.source])
    K = kernel_values(kernel, 0.2, X)
    squares = np.diagonal(K)[:, None] - 2.0 * K + np.diagonal(K)
    squares[:, (sample_domain < 0) | (weight == 0.0)] = np.inf
    np.testing.assert_array_equal(found, y[squares.argmin(axis=1)][domains.target])
    monkeypatch.setattr(pseudo_labels, "_BLOCK", 17)
    again = pseudo_labels.nearest_codes(
        kernel, 0.2, X, domains, weight, y[domains.source], n_jobs=2
    )
    np.testing.assert_array_equal(again, found)


def test_nearest_of_some_of_many_source_rows(monkeypatch):
    X, y, sample_domain = two_domains(700)
    domains = domains_of(sample_domain)
    monkeypatch.setattr(pseudo_labels, "_MAX_REFERENCES", 50)
    codes = y[domains.source]
    found = pseudo_labels.nearest_codes("rbf", 0.2, X, domains, np.ones(700), codes)
    some = np.linspace(0, len(domains.source) - 1, 50).astype(int)
    nearest = KNeighborsClassifier(1).fit(X[domains.source[some]], codes[some])
    np.testing.assert_array_equal(found, nearest.predict(X[domains.target]))


def test_a_round_under_its_own_pseudo_labels_is_the_last():
    data = two_domains(300)
    model = fit(MMDRegularizedClassifier(max_iter=50), data)
    assert model.converged_
    X, y, sample_domain = data
    known = y.copy()
    known[sample_domain < 0] = model.pseudo_labels_
    domains = domains_of(sample_domain)
    E = mean_differences(domains, np.ones(300), known, 3)
    assert E.shape == (300, 4)
    system, _ = least_squares.least_squares_of(
        "rbf", model.gamma_, X, domains, np.ones(300), 0.1, None
    )
    coef = system.solve(np.eye(3)[y[domains.source]], E, 10.0 * len(domains.source))
    np.testing.assert_array_equal(coef, model.dual_coef_)


def test_max_iter_ends_the_rounds():
    Xs, ys, Xt, _ = make_rotated_digits(150, random_state=0)
    data = np.vstack([Xs, Xt]), np.r_[ys, np.zeros(150, int)], np.repeat([1, -1], 150)
    model = fit(MMDRegularizedClassifier(max_iter=2), data)
    assert (model.n_iter_, model.converged_) == (2, False)
    np.testing.assert_array_equal(model.pseudo_labels_, model.predict(Xt))


@pytest.mark.statistical
def test_the_start_from_nearest_rows_pays_where_classes_change_their_share():
    """Against a first solution without pseudo-labels, paired over seeds."""
    gains = []
    for seed in range(40, 48):
        Xs, ys, Xt, yt = make_rotated_digits(500, label_shift=True, random_state=seed)
        X, n = np.vstack([Xs, Xt]), len(Xs)
        data = X, np.r_[ys, np.zeros(len(Xt), int)], np.repeat([1, -1], [n, len(Xt)])
        model = fit(MMDRegularizedClassifier(), data)
        plain = fit(MMDRegularizedClassifier(conditional=False), data)
        domains, weight = domains_of(data[2]), np.ones(len(X))
        system, _ = least_squares.least_squares_of(
            "rbf", model.gamma_, X, domains, weight, 0.1, None
        )
        other = pseudo_labels.solve_in_rounds(
            system,
            domains,
            weight,
            ys,
            plain.pseudo_labels_,
            10,
            strength=10.0 * n,
            marginal=True,
            max_iter=10,
        )
        gains.append(model.score(Xt, yt) - np.mean(other.target_codes == yt))
    assert np.mean(gains) > 2.0 * np.std(gains, ddof=1) / np.sqrt(len(gains)), gains


# --------------------------------------------------------------------------------------
# weights


@pytest.mark.parametrize("n_landmarks", [None, 20])
def test_a_class_without_weight_is_none(n_landmarks):
    data = two_domains()
    weight = np.where((data[1] == 1) & (data[2] > 0), 0.0, 1.0)
    model = fit(MMDRegularizedClassifier(n_landmarks=n_landmarks), data, weight)
    np.testing.assert_array_equal(model.classes_, [0, 2])
    keep = weight > 0.0
    if n_landmarks is None:
        less = fit(MMDRegularizedClassifier(), tuple(part[keep] for part in data))
        expected = less.decision_function(data[0])
        np.testing.assert_allclose(model.decision_function(data[0]), expected, atol=1e-9)


def test_a_domain_without_weight():
    data = two_domains()
    with pytest.raises(ValueError, match="sample_weight is zero for all target rows"):
        fit(MMDRegularizedRegressor(), data, data[2] > 0)


# --------------------------------------------------------------------------------------
# blocks, threads, memory


@pytest.mark.parametrize("n_landmarks", [None, 40])
@pytest.mark.parametrize("kind", KINDS)
def test_threads_change_nothing(kind, n_landmarks):
    data = two_domains(1300)
    first = fit(kind(n_landmarks=n_landmarks, n_jobs=1), data)
    for n_jobs in (2, 3):
        model = fit(kind(n_landmarks=n_landmarks, n_jobs=n_jobs), data)
        np.testing.assert_array_equal(model.dual_coef_, first.dual_coef_)
        np.testing.assert_array_equal(values_of(model, data[0]), values_of(first, data[0]))


@pytest.mark.parametrize("kind", KINDS)
def test_size_of_blocks_changes_rounding_alone(kind, monkeypatch):
    data = two_domains(1300)
    first = values_of(fit(kind(n_landmarks=40), data), data[0])
    monkeypatch.setattr(low_rank, "_BLOCK", 77)
    second = values_of(fit(kind(n_landmarks=40), data), data[0])
    np.testing.assert_allclose(second, first, atol=1e-8)


def peak_of(run):
    run()  # compiled code and lazy imports are not what is measured
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1] / MEGABYTE
    finally:
        tracemalloc.stop()


N = 4000
MATRIX = N * N * 8 / MEGABYTE  # 122


@pytest.mark.parametrize("kind", KINDS)
def test_landmarks_hold_blocks_alone(kind):
    """Of nearest rows 256 times 2,000 at a time, and their sums; never rows times rows."""
    data = two_domains(N)
    assert peak_of(lambda: fit(kind(n_landmarks=50, gamma=0.1), data)) < MATRIX / 6


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_hold_blocks_alone(kind):
    data = two_domains(1000)
    model = fit(kind(), data)
    X = np.tile(data[0], (16, 1))
    assert peak_of(lambda: model.predict(X)) < len(X) * 1000 * 8 / MEGABYTE / 10
