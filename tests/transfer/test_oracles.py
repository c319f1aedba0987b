"""The twins against each other and against SciPy, so that a test that fails accuses the code."""

import numpy as np
import pytest
from scipy import optimize

from tests import reference
from tests.transfer import oracles

KERNELS = ("rbf", "laplacian", "imq", "rq", "linear", "polynomial")


def domains(seed, n_source, n_target, d=2, shift=0.7):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_source, d)), shift + 0.7 * rng.normal(size=(n_target, d))


def weights(seed, n):
    return np.random.default_rng(seed).integers(1, 4, n).astype(float)


SETTINGS = {
    "free": {},
    "no ridge": {"alpha": 0.0},
    "small bound": {"max_weight": 1.5},
    "sum above": {"sum_bounds": (12.0, 14.0)},
    "sum below": {"sum_bounds": (1.0, 2.0)},
    "fixed sum": {"sum_bounds": (6.0, 6.0)},
    "sum and bound": {"max_weight": 1.2, "sum_bounds": (6.5, 7.0)},
    "weighted": {"source_weight": weights(1, 6), "target_weight": weights(2, 9)},
    "weighted, all active": {
        "source_weight": weights(1, 6),
        "target_weight": weights(2, 9),
        "max_weight": 2.0,
        "sum_bounds": (14.0, 15.0),
    },
}


@pytest.mark.parametrize("kernel", [*KERNELS, "energy"])
def test_kernels_equal_the_loops(kernel):
    expected = reference.gram(*domains(0, 6, 9), kernel, 0.4)
    np.testing.assert_allclose(oracles.gram(*domains(0, 6, 9), kernel, 0.4), expected, rtol=1e-12)


@pytest.mark.parametrize("name", SETTINGS)
def test_enumeration_equals_projected_gradient(name):
    problem = oracles.kmm_problem(*domains(0, 6, 9), "laplacian", 0.5, **SETTINGS[name])
    one = oracles.kmm_by_enumeration(problem)
    two = oracles.kmm_by_projected_gradient(problem)
    np.testing.assert_allclose(two, one, rtol=1e-5, atol=1e-6)
    assert problem.objective(two) == pytest.approx(problem.objective(one), rel=1e-11)
    assert problem.gap(one) == pytest.approx(0.0, abs=1e-10 * abs(problem.objective(one)) + 1e-9)


@pytest.mark.parametrize("name", SETTINGS)
def test_enumeration_equals_a_general_solver(name):
    problem = oracles.kmm_problem(*domains(0, 6, 9), "laplacian", 0.5, **SETTINGS[name])
    found = optimize.minimize(
        problem.objective,
        oracles.project(np.ones(6), problem),
        jac=lambda w: problem.Q @ w - problem.q,
        bounds=[(0.0, problem.upper)] * 6,
        constraints=optimize.LinearConstraint(problem.a, problem.low, problem.high),
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    )
    one = oracles.kmm_by_enumeration(problem)
    assert problem.objective(one) <= found.fun + 1e-9 * abs(found.fun)
    np.testing.assert_allclose(found.x, one, atol=1e-3)


@pytest.mark.parametrize("alpha", [0.0, 0.01])
def test_projected_gradient_equals_bounded_least_squares(alpha):
    problem = oracles.kmm_problem(*domains(3, 60, 40), "laplacian", 1.0, alpha, 2.5)
    R = np.linalg.cholesky(problem.Q).T
    target = np.linalg.solve(R.T, problem.q)
    found = optimize.lsq_linear(R, target, (0.0, 2.5), method="bvls", tol=1e-15, max_iter=500).x
    ours = oracles.kmm_by_projected_gradient(problem)
    np.testing.assert_allclose(ours, found, atol=1e-6)
    assert 0 < np.sum(ours == 2.5) < 60
    assert 0 < np.sum(ours == 0.0) < 60


@pytest.mark.parametrize("name", ["sum above", "fixed sum", "weighted, all active"])
def test_projection_is_nearest(name):
    problem = oracles.kmm_problem(*domains(0, 6, 9), "rbf", 0.5, **SETTINGS[name])
    rng = np.random.default_rng(0)
    for _ in range(20):
        z = 3 * rng.normal(size=6)
        w = oracles.project(z, problem)
        assert problem.feasible(w)
        others = [oracles.project(3 * rng.normal(size=6), problem) for _ in range(20)]
        assert max((z - w) @ (other - w) for other in others) < 1e-9


@pytest.mark.parametrize("name", ["sum above", "small bound", "weighted, all active"])
def test_gap_equals_a_linear_programme(name):
    problem = oracles.kmm_problem(*domains(0, 6, 9), "rbf", 0.5, **SETTINGS[name])
    w = oracles.project(np.random.default_rng(0).uniform(0, 3, 6), problem)
    g = problem.Q @ w - problem.q
    rows, limits = [problem.a, -problem.a], [problem.high, -problem.low]
    finite = np.isfinite(limits)
    found = optimize.linprog(
        g,
        A_ub=np.array(rows)[finite],
        b_ub=np.array(limits)[finite],
        bounds=(0.0, problem.upper),
    )
    assert problem.gap(w) == pytest.approx(g @ w - found.fun, rel=1e-8)


def test_closed_form_equals_projected_gradient():
    Xs, Xt = domains(5, 30, 25, shift=0.1)
    w = oracles.ridge_weights(Xs, Xt, "rbf", 0.3, 0.2)
    assert w.min() > 0
    problem = oracles.kmm_problem(Xs, Xt, "rbf", 0.3, 0.2)
    np.testing.assert_allclose(oracles.kmm_by_projected_gradient(problem), w, rtol=1e-6)


@pytest.mark.parametrize("bounds", [None, (40.0, 45.0), (10.0, 12.0)])
def test_weight_function_reproduces_weights(bounds):
    Xs, Xt = domains(3, 30, 25)
    a, b = weights(3, 30), weights(4, 25)
    problem = oracles.kmm_problem(Xs, Xt, "rbf", 0.5, 0.05, 3.0, bounds, a, b)
    w = oracles.kmm_by_projected_gradient(problem)
    again = oracles.weight_function(Xs, w, Xs, Xt, "rbf", 0.5, 0.05, 3.0, a, b)
    np.testing.assert_allclose(again, w, atol=1e-5)


def test_integer_weights_are_copies():
    Xs, Xt = domains(4, 6, 5)
    a, b = np.array([1, 2, 1, 3, 1, 1]), np.array([2, 1, 1, 1, 3])
    one = oracles.kmm_by_projected_gradient(
        oracles.kmm_problem(Xs, Xt, "rbf", 0.5, source_weight=a, target_weight=b)
    )
    two = oracles.kmm_by_projected_gradient(
        oracles.kmm_problem(np.repeat(Xs, a, axis=0), np.repeat(Xt, b, axis=0), "rbf", 0.5)
    )
    np.testing.assert_allclose(two, np.repeat(one, a), atol=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_two_mmds_agree(kernel):
    """MMD^2 of weights is KMM's objective without ridge, up to a constant and a scale."""
    Xs, Xt = domains(6, 7, 8)
    w = np.random.default_rng(0).uniform(0, 2, 7)
    w *= 7 / w.sum()
    f = oracles.kmm_problem(Xs, Xt, kernel, 0.4, 0.0).objective(w)
    expected = 2 * f / 49 + oracles.gram(Xt, Xt, kernel, 0.4).mean()
    assert oracles.weighted_mmd(Xs, Xt, w, None, kernel, 0.4) == pytest.approx(expected, rel=1e-9)


# --------------------------------------------------------------------------------------
# maps and predictors


def task(seed=0, n=24):
    rng = np.random.default_rng(seed)
    is_source = rng.permutation(np.arange(n) % 2 == 0)
    y = rng.integers(0, 3, n)
    X = rng.normal(size=(n, 3)) + 2 * np.eye(3)[y] + 0.6 * ~is_source[:, None]
    return X, y, is_source


def test_components_maximise_the_ratio():
    """The first column is at least as good as any other vector, and columns are P-orthonormal."""
    X, _, is_source = task()
    K = oracles.gram(X, X, "rbf", 0.3)
    values, W = oracles.transfer_components(K, is_source, 4, 2.0)
    e = oracles.marginal_vector(is_source)
    P = np.eye(24) + 2.0 * np.outer(K @ e, K @ e)
    S = K @ oracles.centring(24) @ K
    np.testing.assert_allclose(W.T @ P @ W, np.eye(4), atol=1e-10)
    np.testing.assert_allclose(W.T @ S @ W, np.diag(values), atol=1e-9)
    rng = np.random.default_rng(0)
    for v in W[:, 0] + rng.normal(size=(200, 24)) * rng.choice([0.001, 0.1, 1], (200, 1)):
        assert v @ S @ v / (v @ P @ v) <= values[0] * (1 + 1e-12)


def test_solution_for_the_loss_is_a_minimum():
    X, y, is_source = task()
    K = oracles.gram(X, X, "rbf", 0.3)
    a = np.random.default_rng(1).integers(1, 4, 24)
    Y = oracles.one_hot(y, [0, 1, 2])
    vectors = [
        oracles.marginal_vector(is_source, a),
        *oracles.shared_class_vectors(is_source, y, a),
    ]
    c = oracles.regularized_coefficients(K, is_source, Y, vectors, a=a)
    least = oracles.regularized_objective(c, K, is_source, Y, vectors, a=a)
    rng = np.random.default_rng(2)
    for size in (1e-3, 1e-1, 10.0):
        other = c + size * rng.normal(size=c.shape)
        assert oracles.regularized_objective(other, K, is_source, Y, vectors, a=a) > least


def test_solution_for_the_loss_in_features():
    """Where K = FF', the predictor is F (Fs'Fs + sigma I + ns lambda F'MF)^-1 Fs'Y."""
    X, y, is_source = task()
    F, ns = X, is_source.sum()
    Y = oracles.one_hot(y, [0, 1, 2])
    vectors = [oracles.marginal_vector(is_source), *oracles.shared_class_vectors(is_source, y)]
    c = oracles.regularized_coefficients(F @ F.T, is_source, Y, vectors, 0.1, 10.0)
    M = oracles.outer_sum(vectors, 24)
    left = F[is_source].T @ F[is_source] + 0.1 * np.eye(3) + ns * 10.0 * F.T @ M @ F
    beta = np.linalg.solve(left, F[is_source].T @ Y[is_source])
    np.testing.assert_allclose(F @ F.T @ c, F @ beta, atol=1e-9)


def test_selection_formulas():
    """Greedy by the closed form of spec and paper; MMD-critic's J is a constant minus MMD^2."""
    rng = np.random.default_rng(0)
    C, T = rng.normal(size=(14, 2)), rng.normal(size=(20, 2))
    K_cc, K_ct, K_tt = (oracles.gram(*p, "rbf", 0.5) for p in ((C, C), (C, T), (T, T)))
    chosen, path = oracles.greedy_selection(5, K_cc, K_ct, K_tt)
    taken = []
    for t in range(5):
        score = K_ct.mean(axis=1) - (K_cc[:, taken].sum(axis=1) + np.diag(K_cc) / 2) / (t + 1)
        score[taken] = -np.inf
        taken.append(int(score.argmax()))
    assert chosen == taken == oracles.critic_selection(5, K_cc, K_ct)
    assert path[-1] == pytest.approx(oracles.weighted_mmd(C[chosen], T, gamma=0.5))
    assert K_tt.mean() - path[-1] == pytest.approx(oracles.critic_objective(chosen, K_cc, K_ct))
