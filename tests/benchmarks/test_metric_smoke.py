"""Every section of the metric-learning benchmarks runs at tiny sizes, on peers that are right."""

import importlib.util
import json

import numpy as np
import pytest
from scipy.optimize import check_grad
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import FunctionTransformer

from benchmarks import bench_metric_learning
from benchmarks._harness import LocalRunner, Peer, Peers, Report
from benchmarks._metric_peers import LMNN, NCA, PEERS, TORCH, renamed_arguments
from benchmarks.bench_metric_learning import (
    COMPONENTS,
    DEFAULT,
    EQUAL,
    N_NEIGHBORS,
    POINTS,
    REGISTRY,
    SECTIONS,
    TORCH_LOSSES,
    Loss,
    Size,
    Split,
    by_estimator,
    by_peer,
    evaluate,
    evaluation_data,
    mean_and_error,
    measured,
    relative_difference,
)
from tests import reference


def run(section, folder, *options):
    path = folder / "figures.json"
    bench_metric_learning.main([section, "--tiny", "--json", str(path), *options])
    return json.loads(path.read_text(encoding="utf-8"))["sections"][section]


def installed(name):
    runner = LocalRunner(REGISTRY)
    try:
        runner.version(name)
    except Exception as error:  # each package fails in its own way
        pytest.skip(f"{name}: {error}")
    return runner


@pytest.fixture
def data():
    split = Size(40, 9, 3).draw(0, 1).standardised()
    components = 0.3 * np.random.default_rng(0).standard_normal((4, 9))
    return {"X": split.X, "y": split.y, "components": components}


def twin(data, loss, **settings):
    """Return value and gradient by the naive twin, back to the components."""
    X, components = data["X"], data["components"]
    found = reference.pair_loss(X @ components.T, data["y"], **loss.settings, **settings)
    return found.value, found.gradient.T @ X


@pytest.mark.parametrize("section", SECTIONS)
def test_section(section, tmp_path, capsys):
    found = run(section, tmp_path)
    printed = capsys.readouterr().out
    assert not any(
        remark.startswith("FAILED") or "ended:" in remark or "come to its end" in remark
        for remark in found["remarks"]
    )
    there = {name for name in PEERS if not any(f"skipped {name}" in r for r in found["remarks"])}
    if section == "agreement" and there == {NCA}:
        assert found["remarks"][-1] == "no peer to agree with"
        return
    for table in found["tables"]:
        assert table["title"] in printed
        assert all(row["seconds"] > 0 for row in table["rows"] if "seconds" in row)
    rows = found["tables"][0]["rows"]
    if section == "evaluation":
        per_point = 2 + len(bench_metric_learning.GLOBAL_LOSSES) + len(there)
        assert len(rows) == len(POINTS) * per_point
        assert {row["package"] for row in found["tables"][1]["rows"]} == {"skmmd", NCA}
    elif section == "fits":
        rows = found["tables"][1]["rows"]
        names = {"skmmd", "skmmd tuned"} | (there - {TORCH})
        assert {row["learner"] for row in rows} == names
    elif section == "quality":
        assert len(found["tables"]) == 2
        for table in found["tables"]:
            assert len(table["rows"]) == 4 + len(there - {TORCH}) + 11
            for row in table["rows"]:
                assert all(0.0 < row[measure] <= 1.0 for measure in ("5-NN", "recall@1", "MAP@R"))
    elif section == "threads":
        assert [row["threads"] for row in rows] == [1, 2, 1, 2]
        assert all(row["same result"] for row in rows)
    elif section == "growth":
        assert [row["n"] for row in rows] == [100, 200]
        assert all(row["peak MiB beyond X"] >= 0 for row in rows)
    elif section == "agreement":
        assert max(max(row["difference"], row["of gradient"]) for row in rows) <= EQUAL


@pytest.mark.parametrize("loss", TORCH_LOSSES, ids=str)
def test_conventions_of_torch(loss, data):
    """The settings of pytorch-metric-learning are those under which it computes our loss."""
    runner = installed(TORCH)
    runner.put(data)
    _, found = runner.time(TORCH, 1, {"task": "evaluate", "loss": loss.name})
    value, gradient = twin(data, loss)
    assert found["value"] == pytest.approx(value, rel=1e-12)
    assert relative_difference(found["gradient"], gradient) < 1e-11


def test_push_of_lmnn():
    """LMNN's push term is the triplet loss, where target neighbours are those of the rows."""
    runner = installed(LMNN)
    data = evaluation_data(Size(40, 9, 3), "start", 0)
    runner.put(data)
    _, found = runner.time(LMNN, 1, {"task": "evaluate", "n_neighbors": N_NEIGHBORS})
    value, gradient = twin(data, DEFAULT, reduction="sum", n_neighbors=N_NEIGHBORS)
    assert found["push"] == pytest.approx(value, rel=1e-12)
    assert relative_difference(found["push_gradient"], gradient) < 1e-11
    # The pull term is there too: half of each.
    pairs = reference.positive_pairs(data["X"], data["y"].tolist(), [1.0] * 40, N_NEIGHBORS)
    Z = data["X"] @ data["components"].T
    pull = sum(np.sum((Z[a] - Z[p]) ** 2) for a, p, _ in pairs)
    assert found["value"] == pytest.approx(0.5 * pull + 0.5 * value, rel=1e-12)


def test_evaluation_of_nca(data):
    """Minus the expected number of rows that a random neighbour classifies well."""
    X, y, components = data["X"], data["y"], data["components"]

    def loss(entries):
        Z = X @ entries.reshape(components.shape).T
        closeness = np.exp(-np.sum((Z[:, None] - Z[None]) ** 2, axis=2))
        np.fill_diagonal(closeness, 0.0)
        chances = closeness / closeness.sum(axis=1, keepdims=True)
        return -float(np.sum(chances[y[:, None] == y[None]]))

    runner = installed(NCA)
    runner.put(data)
    seconds, found = runner.time(NCA, 1, {"task": "evaluate"})
    assert found["value"] == pytest.approx(loss(components.ravel()), rel=1e-10)
    assert 0 < found["seconds"] <= seconds
    gradient = np.ravel(found["gradient"])
    error = check_grad(loss, lambda _: gradient, components.ravel(), epsilon=1e-7)
    assert error < 1e-5 * np.linalg.norm(gradient)


@pytest.mark.parametrize("name", [NCA, LMNN])
def test_peers_fit(name):
    """A peer learns what tells the classes apart, and the embedding is that of its components."""
    runner = installed(name)
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    X = 3.0 * rng.standard_normal((120, 6))
    X[:, 0] = y + 0.1 * rng.standard_normal(120)
    split = Split(X[:90], y[:90], X[90:], y[90:])
    peers = Peers({name: PEERS[name]}, {name: runner}, {}, {})
    learned = measured(by_peer(peers, name, 0), split)
    plain = measured(by_estimator(FunctionTransformer), split)
    assert learned["seconds"] > 0
    assert learned["5-NN"] > plain["5-NN"] + 0.2
    assert learned["MAP@R"] > plain["MAP@R"] + 0.2


def test_metric_learn_is_left_as_it_was():
    if importlib.util.find_spec("metric_learn") is None:
        pytest.skip("metric-learn is not installed")
    from metric_learn import _util

    before = _util.check_array, _util.check_X_y
    with renamed_arguments():
        assert _util.check_array is not before[0]
        assert _util.check_array([[1.0]], force_all_finite=False).shape == (1, 1)
        with pytest.raises(ValueError, match="NaN"):
            _util.check_array([[np.nan]], force_all_finite=True)
    assert (_util.check_array, _util.check_X_y) == before


@pytest.mark.parametrize("loss", ["triplet:all", "triplet_center", "n_pair:neighbors"])
def test_evaluation_goes_back_to_components(loss, data):
    """Our part of the comparison returns what peers return: slopes of the components."""
    found = evaluate(data, Loss.parse(loss))
    value, gradient = twin(data, Loss.parse(loss), n_neighbors=N_NEIGHBORS)
    assert found["value"] == pytest.approx(value, rel=1e-12)
    assert relative_difference(found["gradient"], gradient) < 1e-11


def test_measures_query_the_training_rows():
    split = Size(60, 9, 3).draw(0, 30)
    found = measured(by_estimator(FunctionTransformer), split)
    query = (split.X_test, split.y_test.tolist())
    asked = (split.X, split.y.tolist())
    assert found["recall@1"] == pytest.approx(reference.recall_at_k(*query, 1, *asked))
    assert found["MAP@R"] == pytest.approx(reference.mean_average_precision_at_r(*query, *asked))
    five = KNeighborsClassifier().fit(split.X, split.y).score(split.X_test, split.y_test)
    assert found["5-NN"] == five


def test_points():
    """At the start the target neighbours have squared distance 1, at the identity as they are."""
    split = Size(60, 9, 3).draw(0, 1).standardised()
    Z = split.X @ COMPONENTS["start"](split.X, split.y).T
    pairs = reference.positive_pairs(Z, split.y.tolist(), [1.0] * 60, N_NEIGHBORS)
    squares = [np.sum((Z[a] - Z[p]) ** 2) for a, p, _ in pairs]
    assert np.mean(squares) == pytest.approx(1.0)
    assert np.array_equal(COMPONENTS["identity"](split.X, split.y), np.eye(9))


def test_standardised_by_training_rows():
    split = Size(50, 9, 2).draw(3, 20)
    scaled = split.standardised()
    mean, deviation = split.X.mean(axis=0), split.X.std(axis=0)
    assert np.allclose(scaled.X, (split.X - mean) / deviation)
    assert np.allclose(scaled.X_test, (split.X_test - mean) / deviation)


def test_standard_error():
    assert mean_and_error([1.0, 2.0, 3.0]) == (2.0, pytest.approx(1.0 / np.sqrt(3.0)))
    assert mean_and_error([2.0]) == (2.0, None)


def test_too_many_rows_are_said(tmp_path, capsys):
    """What is left out has no row, and a remark."""
    found = run("quality", tmp_path, "--data", "--quadruplet-rows", "10", "--lmnn-rows", "10")
    methods = {row["method"] for row in found["tables"][0]["rows"]}
    assert not any("quadruplet" in method or method == LMNN for method in methods)
    left_out = [remark for remark in found["remarks"] if remark.startswith("left out at n=90")]
    assert sum("quadruplet" in remark for remark in left_out) == 2
    assert len(left_out) == 2 + (importlib.util.find_spec("metric_learn") is not None)


class Failing:
    def put(self, arrays):
        pass

    def time(self, name, n_threads, parameters):
        raise ArithmeticError("no")


def test_a_peer_that_fails_is_said(capsys):
    """It has no row, and the others go on."""
    peers = Peers({NCA: Peer("scikit-learn", dict, ())}, {NCA: Failing()}, {}, {})
    settings = bench_metric_learning.Settings(losses=(), seed=0)
    report = Report()
    report.section("quality", "")
    splits = [Size(60, 9, 3).draw(seed, 30) for seed in range(2)]
    bench_metric_learning._compare("iris", splits, peers, settings, report)
    found = report.content["sections"]["quality"]
    assert f"FAILED: {NCA}, iris: ArithmeticError: no" in found["remarks"]
    assert len(found["tables"][0]["rows"]) == 4
