"""Every section of the transfer benchmarks runs at tiny sizes, on peers that are right."""

import itertools
import json

import numpy as np
import pytest
import scipy.linalg
import sklearn
from scipy.optimize import minimize
from sklearn.linear_model import LinearRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC

from benchmarks import bench_transfer
from benchmarks._harness import LocalRunner, Peers, Report
from benchmarks._transfer_data import N_SAMPLES, N_TEST, TASKS, Problem
from benchmarks._transfer_methods import (
    OURS,
    PEER_METHODS,
    SOURCE_ONLY,
    Found,
    Method,
    our_methods,
)
from benchmarks._transfer_peers import ADAPT, CVXOPT, PEERS, SKADA
from benchmarks.bench_transfer import (
    EQUAL,
    MAX_WEIGHT,
    REGISTRY,
    SECTIONS,
    Matching,
    Results,
    Settings,
    Sizes,
    best_of,
    dense_components,
    effective_size,
    left_over,
    mean_kernel,
    opened_peers,
    paper_bounds,
    run_task,
)


def run(section, folder, *options):
    path = folder / "figures.json"
    bench_transfer.main([section, "--tiny", "--json", str(path), *options])
    return json.loads(path.read_text(encoding="utf-8"))["sections"][section]


@pytest.fixture
def no_routing():
    """Importing skada turns routing on; tests leave it as it was."""
    with sklearn.config_context(enable_metadata_routing=False):
        yield


def installed(name):
    runner = LocalRunner(REGISTRY)
    try:
        runner.version(name)
    except Exception as error:  # each package fails in its own way
        pytest.skip(f"{name}: {error}")
    return runner


def peers_with(runner, name):
    return Peers({name: PEERS[name]}, {name: runner}, {}, {})


@pytest.fixture
def domains():
    rng = np.random.default_rng(0)
    Xs, Xt = rng.standard_normal((30, 3)), 0.5 + 0.7 * rng.standard_normal((25, 3))
    return Xs, Xt


@pytest.fixture
def problem(domains):
    Xs, Xt = domains
    Xs, Xt = np.abs(Xs), np.abs(Xt)
    ys, yt = np.arange(len(Xs)) % 2, np.arange(len(Xt)) % 2
    Xs[:, 0] += 4.0 * ys
    Xt[:, 0] += 4.0 * yt
    return Problem(Xs, ys, Xt, Xt, yt)


# --------------------------------------------------------------------------------------
# sections


@pytest.mark.parametrize("section", SECTIONS)
def test_section(section, tmp_path, capsys):
    found = run(section, tmp_path)
    printed = capsys.readouterr().out
    assert not any(
        remark.startswith("FAILED") or "come to its end" in remark for remark in found["remarks"]
    )
    skipped = {name for name in PEERS if any(f"skipped {name}" in r for r in found["remarks"])}
    for table in found["tables"]:
        assert table["title"] in printed
        assert all(row["seconds"] > 0 for row in table["rows"] if row.get("seconds") is not None)
    check = globals().get(f"_check_{section}")
    check([table["rows"] for table in found["tables"]], skipped)


def _check_agreement(tables, skipped):
    matched, components = tables
    there = {CVXOPT: CVXOPT, ADAPT: f"{ADAPT} KMM", SKADA: f"{SKADA} KMM"}
    wanted = {name for package, name in there.items() if package not in skipped}
    assert {row["weights"] for row in matched} == {OURS} | wanted
    for row in matched:
        assert row["gap"] >= -1e-12
        if row["weights"] == OURS:
            assert row["gap"] <= EQUAL
            assert row["outside"] <= 1e-12
        elif row["weights"] != f"{SKADA} KMM":
            assert abs(row["above ours"]) <= EQUAL
    assert max(max(row["difference"], row["of embedding"]) for row in components) < 1e-6


def _check_quality(tables, skipped):
    assert len(tables) == 2
    for rows, task in zip(tables, (TASKS["regression"], TASKS["breast_cancer"]), strict=True):
        methods = [
            each
            for each in (SOURCE_ONLY, *our_methods(), *PEER_METHODS)
            if each.suits(task) and each.package not in skipped
        ]
        assert {row["method"] for row in rows} == {each.title for each in methods}
        assert all(np.isfinite(row["mean"]) for row in rows)


def _check_kmm(tables, skipped):
    (rows,) = tables
    assert len(rows) == 3 + (ADAPT not in skipped) + (SKADA not in skipped)
    assert all(row["excess MMD²"] >= -1e-12 for row in rows)
    tightest = next(row for row in rows if row["weights"] == f"{OURS}, tol=1e-06")
    assert tightest["excess MMD²"] < 1e-6


def _check_components(tables, skipped):
    (rows,) = tables
    assert {row["package"] for row in rows} == {OURS, SKADA, ADAPT} - skipped


def _check_selection(tables, skipped):
    (rows,) = tables
    mmd = {row["rows"]: row["MMD²"] for row in rows}
    assert mmd[f"{OURS} greedy"] < mmd["random target"]
    assert mmd["random target"] < mmd["random source"]


def _check_growth(tables, skipped):
    (rows,) = tables
    assert [row["n"] for row in rows] == [150, 300]
    assert all(row["peak MiB beyond X"] >= 0 for row in rows)


@pytest.mark.parametrize("method", bench_transfer.GROWING)
def test_what_grows(method):
    """Every method of the growth table fits, and says what it took."""
    found = bench_transfer.fit_alone(method, 200, 5, 0)
    assert found["seconds"] > 0
    assert found["data"] == pytest.approx(400 * 5 * 8 / 2**20)
    assert found["landmarks"] == 0


def test_grid_of_peers(tmp_path, no_routing):
    """The best of a grid stands below the default, and says which it is."""
    installed(ADAPT)
    found = run("quality", tmp_path, "--data", "regression", "--peers", ADAPT, "--peer-grid", "yes")
    rows = [row for row in found["tables"][0]["rows"] if row["method"] == f"{ADAPT} KMM"]
    assert [row["settings"].split(":")[0] for row in rows] == ["default", "best of 7"]
    assert rows[1]["mean"] <= rows[0]["mean"]


# --------------------------------------------------------------------------------------
# what the figures rest on


def test_matching_bounds_the_distance_from_the_optimum(domains):
    """A general solver finds the optimum; the gap of any weights is no less than its excess."""
    Xs, Xt = domains
    matching = Matching.of(Xs, Xt, 0.3, bounds=paper_bounds(len(Xs)))
    n = len(Xs)
    optimum = minimize(
        matching.value,
        np.ones(n),
        jac=lambda w: matching.K @ w - matching.kappa,
        bounds=[(0.0, MAX_WEIGHT)] * n,
        constraints={
            "type": "ineq",
            "fun": lambda w: np.array([w.sum() - matching.bounds[0], matching.bounds[1] - w.sum()]),
        },
        options={"maxiter": 1000, "ftol": 1e-15},
    )
    assert matching.gap(optimum.x) < 1e-4 * abs(optimum.fun)
    rng = np.random.default_rng(1)
    for _ in range(20):
        w = rng.uniform(size=n)
        w *= rng.uniform(*matching.bounds) / w.sum()
        assert matching.gap(w) >= matching.value(w) - optimum.fun - 1e-9


@pytest.mark.parametrize("bounds", [(3.0, 5.0), (0.0, 4000.0), (2500.0, 4000.0)])
def test_gap_is_the_largest_of_all_vertices(bounds):
    """A linear function is largest at a vertex: entries at their limits, but for one."""
    rng = np.random.default_rng(0)
    Xs, Xt = rng.standard_normal((4, 2)), rng.standard_normal((5, 2))
    matching = Matching.of(Xs, Xt, 0.5, 0.2, bounds)
    w = rng.uniform(size=4)
    gradient = matching.K @ w + 0.2 * w - matching.kappa
    vertices = []
    for corner in itertools.product([0.0, MAX_WEIGHT], repeat=4):
        vertices.append(np.array(corner))
        for i, total in itertools.product(range(4), bounds):
            at = np.array(corner)
            at[i] = total - (at.sum() - at[i])
            vertices.append(at)
    allowed = [
        s
        for s in vertices
        if s.min() >= 0.0 and s.max() <= MAX_WEIGHT and bounds[0] <= s.sum() <= bounds[1]
    ]
    assert matching.gap(w) == pytest.approx(max(gradient @ (w - s) for s in allowed), rel=1e-12)


def test_matching_is_a_squared_distance(domains):
    Xs, Xt = domains
    w = np.random.default_rng(2).uniform(size=len(Xs))
    matching = Matching.of(Xs, Xt, 0.3)
    p, q = w / len(Xs), np.full(len(Xt), 1.0 / len(Xt))
    among = p @ rbf_kernel(Xs, gamma=0.3) @ p + q @ rbf_kernel(Xt, gamma=0.3) @ q
    squared = among - 2.0 * p @ rbf_kernel(Xs, Xt, gamma=0.3) @ q
    assert matching.as_mmd(matching.value(w)) == pytest.approx(squared, rel=1e-12)


def test_outside():
    matching = Matching(np.eye(4), np.ones(4), 1.0, 0.0, (2.0, 6.0))
    assert matching.outside(np.ones(4)) == 0.0
    assert matching.outside(np.array([-0.4, 1.0, 1.0, 1.0])) == pytest.approx(0.1)
    assert matching.outside(np.full(4, 2.0)) == pytest.approx(0.5)
    assert matching.outside(np.full(4, 0.25)) == pytest.approx(0.25)


def test_mean_kernel_by_blocks(domains):
    Xs, Xt = domains
    assert mean_kernel(Xs, Xt, 0.3, block=7) == pytest.approx(rbf_kernel(Xs, Xt, gamma=0.3).mean())


def test_effective_size():
    assert effective_size(np.full(5, 0.3)) == pytest.approx(5.0)
    assert effective_size(np.array([0.0, 0.0, 2.0])) == pytest.approx(1.0)


def test_dense_components(domains):
    """They solve the equation that TCA is defined by."""
    X, sample_domain = np.vstack(domains), np.repeat([1, -1], [30, 25])
    values, Z = dense_components(X, sample_domain, 0.3, 4)
    K = rbf_kernel(X, gamma=0.3)
    W = scipy.linalg.solve(K, Z)
    e = np.where(sample_domain > 0, 1.0 / 30.0, -1.0 / 25.0)
    H = np.eye(55) - 1.0 / 55.0
    right = np.eye(55) + K @ np.outer(e, e) @ K
    assert np.all(np.diff(values) < 0.0)
    assert np.allclose(K @ H @ K @ W, right @ W * values, atol=1e-6)
    assert np.allclose(W.T @ right @ W, np.eye(4), atol=1e-6)


def test_left_over():
    Z = np.random.default_rng(0).standard_normal((50, 3))
    assert left_over(Z, Z) == 0.0
    shifted = Z + np.array([1.0, 0.0, 0.0])
    pooled = np.var(np.vstack([Z, shifted]), axis=0).sum()
    assert left_over(Z, shifted) == pytest.approx(1.0 / pooled)


def test_sizes():
    assert Sizes.parse("30:20") == Sizes(30, 20)


# --------------------------------------------------------------------------------------
# tasks and methods


@pytest.mark.parametrize("name", TASKS)
def test_tasks(name):
    """A seed is a problem; a peer is not given labels of the target."""
    task = TASKS[name]
    problem, again, other = (task.draw(seed) for seed in (3, 3, 4))
    assert set(problem.arrays) == {"Xs", "ys", "Xt"}
    assert all(np.array_equal(problem.arrays[key], again.arrays[key]) for key in problem.arrays)
    assert problem.Xs.shape != other.Xs.shape or not np.array_equal(problem.Xs, other.Xs)
    assert len(problem.Xs) == len(problem.ys)
    assert len(problem.X_test) == len(problem.y_test)
    if len(problem.X_test) == N_TEST:
        assert len(problem.Xs) == len(problem.Xt) == N_SAMPLES
    else:
        assert problem.X_test is problem.Xt
    assert f"{OURS} {task.ours}" in {each.title for each in our_methods() if each.suits(task)}


def test_biased_rows_differ():
    """The source of the biased sets is not drawn as the target is."""
    for name in ("wine", "diabetes"):
        problem = TASKS[name].draw(0)
        rows = {tuple(row) for row in problem.Xs}
        assert rows.isdisjoint(tuple(row) for row in problem.Xt)
        spread = problem.Xt.std(axis=0)
        shift = (problem.Xs.mean(axis=0) - problem.Xt.mean(axis=0)) / spread
        assert np.abs(shift).max() > 0.5


def test_weights_reach_the_first_learner(problem):
    task = TASKS["breast_cancer"]
    weights = np.where(np.arange(len(problem.Xs)) < 20, 1.0, 0.0)
    found = Found(0.0, weights=weights).scores(task, problem)
    plain = SVC(C=0.1, kernel="linear").fit(problem.Xs[:20], problem.ys[:20])
    assert found == {"linear SVC": plain.score(problem.Xt, problem.y_test)}


def test_mapped_rows_reach_every_learner(problem):
    task = TASKS["breast_cancer"]
    Zs, Zt = -problem.Xs, -problem.Xt
    found = Found(0.0, mapped=(Zs, Zt)).scores(task, problem)
    assert found == {
        name: make().fit(Zs, problem.ys).score(Zt, problem.y_test)
        for name, make in task.learners.items()
    }


def test_errors_of_a_regression(problem):
    task = TASKS["regression"]
    line = LinearRegression().fit(problem.Xs, problem.ys).predict(problem.X_test)
    wanted = np.mean((line - problem.y_test) ** 2)
    assert Found(0.0).scores(task, problem) == {"linear": pytest.approx(wanted)}
    own = Found(0.0, predicted=problem.y_test + 2.0).scores(task, problem)
    assert own == {"its own": pytest.approx(4.0)}


def test_settings_are_multiples_of_the_median(problem):
    seen = []

    def own(problem, seed, **settings):
        seen.append(settings)
        return {}

    method = Method("none", "recorder", own=own)
    for settings in ({"times": 2.0, "B": 3}, {"times": (1.0, 4.0)}, {"gamma": None}):
        method.find(problem, settings, None, 0)
    gamma = problem.gamma
    assert seen == [
        {"gamma": 2.0 * gamma, "B": 3},
        {"gamma": [gamma, 4.0 * gamma]},
        {"gamma": None},
    ]


def results(title, scores, position=0):
    return Results(Method("p", title, ({}, {"a": 1})), position, "1-NN", list(scores), [1.0])


def test_best_of():
    low, high = results("low", [0.1, 0.3]), results("high", [0.5, 0.2], 1)
    assert best_of([low, high], TASKS["wine"]) is high
    assert best_of([low, high], TASKS["curve"]) is low
    assert high.setting == "a=1"


@pytest.mark.parametrize(("ours", "met"), [(0.70, True), (0.50, False)])
def test_held_against_the_best_peer(ours, met, capsys):
    """Peers' means are .3 and .7 with a standard error of .1: ours may be .6."""
    report = Report()
    report.section("quality", "")
    rivals = [results("worse", [0.2, 0.4]), results("better", [0.6, 0.8])]
    bench_transfer._held_against(
        results("ours", [ours, ours]), rivals, TASKS["wine"], report, "claim"
    )
    (remark,) = report.content["sections"]["quality"]["remarks"]
    assert remark.startswith("met" if met else "NOT MET")
    assert "p better + 1-NN" in remark


def test_a_method_that_fails_is_said(capsys):
    """It has no row, and the others go on."""

    def failing(problem, seed):
        raise ArithmeticError("no")

    report = Report()
    report.section("quality", "")
    methods = [(Method("p", "bad", own=failing), 0), (SOURCE_ONLY, 0)]
    settings = Settings(seeds=2, first_seed=0)
    found = run_task(TASKS["wine"], methods, Peers({}, {}, {}, {}), settings, report, "wine")
    assert {each.method.title for each in found} == {"source only"}
    assert all(len(each.scores) == 2 for each in found)
    (remark,) = report.content["sections"]["quality"]["remarks"]
    assert remark == "FAILED: p bad, settings {}, wine, seed 0: ArithmeticError: no"


@pytest.mark.parametrize("method", PEER_METHODS, ids=lambda each: each.title)
def test_peers_find_something(method, problem, no_routing):
    """Weights are one for each source row, maps leave what tells the classes apart."""
    runner = installed(method.package)
    runner.put(problem.arrays)
    settings = dict(method.settings[0])
    if "n_components" in settings:
        settings["n_components"] = 3
    found = method.find(problem, settings, peers_with(runner, method.package), 0)
    assert found.seconds > 0
    assert method.maps == (found.mapped is not None)
    if method.maps:
        assert [len(rows) for rows in found.mapped] == [30, 25]
        assert found.scores(TASKS["breast_cancer"], problem)["1-NN"] > 0.7
    else:
        assert found.weights.shape == (30,)
        assert found.weights.min() >= -1e-6


def test_routing_is_left_as_it_was(no_routing, capsys):
    installed(SKADA)
    report = Report()
    report.section("agreement", "")
    with opened_peers(Settings(peers=(SKADA,), peer_python=[]), report):
        assert not sklearn.get_config()["enable_metadata_routing"]


@pytest.mark.parametrize("package", [SKADA, ADAPT])
def test_components_of_peers(package, domains, no_routing):
    """Gamma reaches skada's kernel too, and both read the same triangle of the same matrix."""
    runner = installed(package)
    Xs, Xt = domains
    runner.put({"Xs": Xs, "Xt": Xt})
    told = {"method": "TCA", "gamma": 0.4, "n_components": 2, "mu": 0.5}
    _, found = runner.time(package, 1, told)
    Z = np.vstack([found["Zs"], found["Zt"]])
    K = rbf_kernel(np.vstack(domains), gamma=0.4)
    e = np.repeat([1.0 / 30.0, -1.0 / 25.0], [30, 25])
    H = np.eye(55) - 1.0 / 55.0
    solution = np.linalg.solve(np.eye(55) + 0.5 * K @ np.outer(e, e) @ K, K @ H @ K)
    values, vectors = np.linalg.eigh(solution)
    wanted = K @ vectors[:, np.argsort(np.abs(values))[:-3:-1]]
    assert np.allclose(np.abs(Z), np.abs(wanted), atol=1e-6)


@pytest.mark.parametrize(("ridge", "bounds"), [(0.0, (3.0, 57.0)), (0.6, None)])
def test_cvxopt_solves_the_problem(ridge, bounds, domains):
    runner = installed(CVXOPT)
    Xs, Xt = domains
    runner.put({"Xs": Xs, "Xt": Xt})
    told = {"gamma": 0.3, "ridge": ridge, "max_weight": MAX_WEIGHT, "bounds": bounds}
    w = np.array(runner.time(CVXOPT, 1, told)[1]["weights"])
    matching = Matching.of(Xs, Xt, 0.3, ridge, bounds)
    assert matching.gap(w) < 1e-7 * abs(matching.value(w))
    assert matching.outside(w) < 1e-8
