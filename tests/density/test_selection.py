"""What chooses: sums and losses of all splits against naive twins, the gradient, honest choices."""

import numpy as np
import pytest

from skmmd.datasets import make_density
from skmmd.density import ScoreMatchingDensity
from skmmd.density._bandwidths import greedy_start, optimise
from skmmd.density._candidates import Box
from skmmd.density._fold_loss import FoldLoss
from skmmd.density._folds import fold_rows, merge_rows, noisy_folds
from tests.density import oracles

LENGTHS = {1: [0.8], 2: [0.9, 1.4], 4: [1.1, 1.6, 2.3, 1.9]}
LOW = -1.5


class Case:
    """Rows in unequal, overlapping splits with weights, some of 0, and a base for each split."""

    def __init__(self, kernel="rbf", d=2, weighted=True, domain=False, seed=0, n=60):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n, d)) + 0.5 * rng.exponential(size=(n, d))
        weight = rng.integers(0, 4, size=n).astype(float) if weighted else np.ones(n)
        index = np.arange(n)
        splits = [
            (index[: n // 3], index[n // 3 :]),
            (index[n // 2 :], index[: n // 4]),  # some rows are left out
            (index[::4], index[1::4]),
        ]
        self.kernel, self.domain, self.splits = kernel, domain, splits
        if domain:
            X = np.maximum(X, LOW + 0.01)
        self.rows, self.weight = X, weight
        self.Z = rng.normal(size=(6, d)) * 1.2
        self.rho = np.array(LENGTHS[d]) ** -2.0
        self.folds = fold_rows(X, weight, splits, rng, max_rows=10**6)
        self.means = rng.normal(scale=0.2, size=(3, d))
        mix = np.eye(d) + 0.3 * rng.normal(size=(3, d, d))
        self.precisions = [A @ A.T for A in mix]
        boundary = None
        if domain:
            boundary = Box(np.full(d, LOW), np.full(d, np.inf)).weights(self.folds.X)
        scores = np.stack([self.base_score(k, self.folds.X) for k in range(3)])
        self.loss = FoldLoss(kernel, self.Z, self.folds, scores, boundary)

    def base_score(self, k, X):
        return -(X - self.means[k]) @ self.precisions[k]

    def twins(self, rho):
        """Return (G, h, K) of the training and of the held-out rows of each split."""
        out = []
        for k, (train, test) in enumerate(self.splits):
            pair = []
            for rows in (train, test):
                X = self.rows[rows]
                settings = {"weight": self.weight[rows], "base_score": self.base_score(k, X)}
                system = oracles.lite_system
                if self.domain:
                    system = oracles.domain_system
                    settings |= {"low": LOW, "high": np.inf, "c": 1.0}
                pair.append(system(X, self.Z, self.kernel, rho**-0.5, **settings))
            out.append(pair)
        return out

    def twin_value(self, rho, alpha):
        losses = []
        for (G, h, K), (G_test, h_test, _) in self.twins(rho):
            coef = oracles.solve(G, h, K, alpha)
            losses.append(0.5 * coef @ G_test @ coef + h_test @ coef)
        return np.mean(losses)


CASES = [
    pytest.param({"kernel": kernel, "d": d, "weighted": weighted, "domain": domain}, id=name)
    for name, kernel, d, weighted, domain in (
        ("rbf", "rbf", 2, True, False),
        ("imq", "imq", 2, True, False),
        ("rq", "rq", 2, True, False),
        ("one column", "rbf", 1, False, False),
        ("four columns", "imq", 4, False, False),
        ("rbf on a domain", "rbf", 2, True, True),
        ("imq on a domain", "imq", 2, False, True),
        ("rq on a domain", "rq", 4, True, True),
    )
]


@pytest.mark.parametrize("settings", CASES)
def test_systems_of_all_splits(settings):
    case = Case(**settings)
    found = case.loss.systems(case.rho)
    for k, (train, test) in enumerate(case.twins(case.rho)):
        size = np.abs(train[0]).max()
        np.testing.assert_allclose(found.train_gram[k], train[0], rtol=1e-10, atol=1e-12 * size)
        np.testing.assert_allclose(found.train_linear[k], train[1], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.test_gram[k], test[0], rtol=1e-10, atol=1e-12 * size)
        np.testing.assert_allclose(found.test_linear[k], test[1], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(found.penalty, train[2], rtol=1e-12)


@pytest.mark.parametrize("settings", CASES)
def test_the_gradient_of_the_held_out_loss(settings):
    case, alpha, step = Case(**settings), 0.02, 1e-4
    value, by_rho, by_alpha = case.loss.value_and_gradient(case.rho, alpha)
    assert value == pytest.approx(case.twin_value(case.rho, alpha), rel=1e-9)
    assert case.loss.value(case.rho, np.array([alpha, 1.0])) == pytest.approx(
        [value, case.twin_value(case.rho, 1.0)], rel=1e-9
    )

    def slope(function):
        """Differences of fourth order at 0, in the twin's values."""
        near, far = function(step) - function(-step), function(2 * step) - function(-2 * step)
        return (8 * near - far) / (12 * step)

    for j in range(len(case.rho)):
        unit = case.rho * (np.arange(len(case.rho)) == j)
        expected = slope(lambda t, unit=unit: case.twin_value(case.rho + t * unit, alpha))
        assert by_rho[j] * case.rho[j] == pytest.approx(expected, rel=1e-7, abs=1e-9)
        assert abs(expected) > 1e-4  # it is no stationary point
    expected = slope(lambda t: case.twin_value(case.rho, alpha * (1 + t)))
    assert by_alpha * alpha == pytest.approx(expected, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("noise", [0.1, 0.4])
@pytest.mark.parametrize("d", [1, 2])
def test_denoised_systems_are_those_of_noisy_copies(d, noise):
    """The explicit loss on copies of the rows at the nodes of a quadrature of the noise."""
    case = Case(d=d)
    found = case.loss.denoised(case.rho, case.precisions, noise)
    plain = case.loss.systems(case.rho)
    for k, (train, _) in enumerate(case.splits):
        X, w, _ = oracles.noisy_rows(case.rows[train], noise, weight=case.weight[train], n_nodes=16)
        settings = {"weight": w, "base_score": case.base_score(k, X)}
        G, h, K = oracles.lite_system(X, case.Z, "rbf", case.rho**-0.5, **settings)
        np.testing.assert_allclose(found.train_gram[k], G, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(found.train_linear[k], h, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(found.penalty, K, rtol=1e-12)
        assert np.abs(plain.train_linear[k] - h).max() > 1e-3


def test_noisy_copies_keep_their_roles():
    case = Case(kernel="rq")
    noisy = noisy_folds(case.folds, 0.3, np.random.default_rng(0))
    n, copies = len(case.folds.X), len(noisy.X) // len(case.folds.X)
    gaps = noisy.X.reshape(copies, n, 2) - case.folds.X
    np.testing.assert_allclose(gaps.mean(axis=0), 0.0, atol=1e-15)  # each noise has its opposite
    assert gaps.std() == pytest.approx(0.3, rel=0.1)
    scores = np.stack([case.base_score(k, noisy.X) for k in range(3)])
    systems = FoldLoss("rq", case.Z, noisy, scores).systems(case.rho)
    for k in range(3):
        for weight, grams, linears in (
            (case.folds.train[k], systems.train_gram, systems.train_linear),
            (case.folds.test[k], systems.test_gram, systems.test_linear),
        ):
            G, h, _ = oracles.lite_system(
                noisy.X,
                case.Z,
                "rq",
                case.rho**-0.5,
                weight=np.tile(weight, copies),
                base_score=scores[k],
            )
            np.testing.assert_allclose(grams[k], G, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(linears[k], h, rtol=1e-9, atol=1e-12)


def test_the_search_ends_where_the_gradient_vanishes():
    case = Case(n=300, weighted=False)
    start = case.rho**-0.5
    lengths, alpha, value = optimise(case.loss, start, 0.01, max_iter=200, least_alpha=1e-8)
    assert value < case.loss.value(start**-2.0, np.array([0.01]))[0]

    def slopes(lengths, alpha):
        value, by_rho, by_alpha = case.loss.value_and_gradient(lengths**-2.0, alpha)
        return value, np.append(-2.0 * by_rho * lengths**-2.0, alpha * by_alpha)

    at_start, at_end = slopes(start, 0.01), slopes(lengths, alpha)
    assert at_end[0] == pytest.approx(value)
    theta = np.append(lengths, alpha)
    inside = (theta > [0.051, 0.051, 1.1e-8]) & (theta < [99, 99, 9.9])
    assert inside.any()
    # The search ends when the value no longer falls.
    assert np.abs(at_end[1][inside]).max() < 0.01 * np.abs(at_start[1]).max()
    fixed = optimise(case.loss, start, 0.01, max_iter=200, least_alpha=1e-8, fixed_alpha=True)
    assert fixed[1] == pytest.approx(0.01, rel=1e-12)
    assert fixed[2] >= value - 1e-9


def test_the_greedy_start_finds_the_coordinate_that_matters():
    """Five columns, of which the third alone has two modes."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 5))
    X[:, 2] = 0.3 * X[:, 2] + np.where(np.arange(300) % 2, 0.95, -0.95)
    folds = fold_rows(X, np.ones(300), 5, rng, max_rows=10**6)
    loss = FoldLoss("rbf", X[:40], folds, np.stack([-folds.X] * 5))
    lengths, _ = greedy_start(loss, np.array([1e-2]))
    assert lengths[2] < 2
    assert np.argmin(lengths) == 2


# --------------------------------------------------------------------------------------
# splits


@pytest.mark.parametrize("labelled", [False, True])
def test_equal_rows_are_merged(labelled):
    rng = np.random.default_rng(1)
    X = rng.integers(0, 3, size=(200, 2)).astype(float)
    weight, labels = rng.integers(0, 3, size=200).astype(float), rng.integers(0, 2, size=200)
    rows, merged, first = merge_rows(X, weight, labels if labelled else None)
    sums = {}
    for x, w, label in zip(X, weight, labels, strict=True):
        if w > 0:
            key = (*x, label) if labelled else tuple(x)
            sums[key] = sums.get(key, 0.0) + w
    keys = [(*x, labels[i]) if labelled else tuple(x) for x, i in zip(rows, first, strict=True)]
    assert keys == sorted(sums)
    assert merged.tolist() == [sums[key] for key in keys]
    np.testing.assert_array_equal(X[first], rows)


def test_roles_and_weights_of_splits():
    case = Case()
    folds, known = case.folds, {tuple(x): i for i, x in enumerate(case.rows)}
    original = np.array([known[tuple(x)] for x in folds.X])
    assert set(original) == set(np.flatnonzero(case.weight))
    for k, (train, test) in enumerate(case.splits):
        for weights, rows in ((folds.train[k], train), (folds.test[k], test)):
            expected = case.weight * np.isin(np.arange(len(case.rows)), rows)
            np.testing.assert_allclose(weights, (expected / expected.sum())[original])
    for rows, roles in zip(folds.blocks, folds.roles, strict=True):
        np.testing.assert_array_equal(
            folds.train[:, rows] > 0, (roles == 1)[:, None].repeat(rows.stop - rows.start, 1)
        )


def test_more_rows_than_are_looked_at():
    X = np.random.default_rng(0).normal(size=(500, 2))
    folds = fold_rows(X, np.ones(500), 4, np.random.default_rng(0), max_rows=100)
    assert folds.X.shape == (100, 2)
    assert len(np.unique(folds.X, axis=0)) == 100
    np.testing.assert_allclose(folds.train.sum(axis=1), 1.0)
    np.testing.assert_allclose(folds.test.sum(axis=1), 1.0)
    np.testing.assert_array_equal((folds.train > 0) + (folds.test > 0), True)


# --------------------------------------------------------------------------------------
# what is chosen in the end


@pytest.mark.filterwarnings("ignore:ScoreMatchingDensity. on held-out rows:UserWarning")
@pytest.mark.parametrize("base", ["gaussian", "auto"])
def test_rows_of_a_gaussian(base):
    """f = 0 competes: it wins, or what wins is hardly another density."""
    gaps = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X, fresh = rng.normal(size=(200, 2)), rng.normal(size=(2000, 2))
        fit = ScoreMatchingDensity(n_components=40, base=base, cv=3, random_state=seed).fit(X)
        gaussian = ScoreMatchingDensity(base="gaussian", **CLOSED).fit(X).base_
        gaps.append(np.mean(gaussian.score_samples(fresh) - fit.score_samples(fresh)))
    assert np.sum(np.array(gaps) < 0.02) >= 4, gaps
    assert max(gaps) < 0.05, gaps


CLOSED = {"bandwidth": 1.0, "alpha": 1.0, "loss": "explicit", "n_components": 5}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_catastrophe(seed):
    """The held-out loss alone may choose a density of divergence 5 for such rows."""
    truth = make_density("banana", 5)
    X, fresh = truth.sample(500, random_state=seed), truth.sample(1000, random_state=seed + 100)
    fit = ScoreMatchingDensity(n_components=100, base="gaussian", cv=3, random_state=0).fit(X)
    assert np.mean(truth.score_samples(fresh) - fit.score_samples(fresh)) < 0.5
