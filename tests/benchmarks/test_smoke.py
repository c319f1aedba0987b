"""Every section of the benchmarks runs at tiny sizes, and the harness pairs fairly."""

import json
import sys
import time

import numpy as np
import pytest

from benchmarks import _two_sample_peers, bench_two_sample
from benchmarks._harness import (
    CPU_CLOCK,
    LocalRunner,
    Peer,
    RemoteRunner,
    alternate,
    open_peers,
    timed,
)
from benchmarks.bench_two_sample import (
    FEW,
    REGISTRY,
    SECTIONS,
    Plan,
    paired_difference,
    rate_text,
)
from skmmd.datasets import make_mean_shift
from skmmd.two_sample import mmd


@pytest.mark.parametrize("section", SECTIONS)
def test_section(section, tmp_path, capsys):
    path = tmp_path / "figures.json"
    bench_two_sample.main([section, "--tiny", "--json", str(path)])
    content = json.loads(path.read_text(encoding="utf-8"))
    tables = content["sections"][section]["tables"]
    assert content["machine"]["skmmd"]
    assert tables
    printed = capsys.readouterr().out
    for table in tables:
        assert table["title"] in printed
        for row in table["rows"]:
            assert all(row[key] > 0 for key in ("seconds", "peak MiB") if key in row)


def speed_rows(path, *options):
    arguments = ["speed", "--tiny", "--peers", "numpy loop", "--json", str(path), *options]
    bench_two_sample.main(arguments)
    (table,) = json.loads(path.read_text(encoding="utf-8"))["sections"]["speed"]["tables"]
    return {row["test"]: row for row in table["rows"]}


def test_speed_compares_equal_results(tmp_path):
    """The loop written by hand finds what ours finds."""
    rows = speed_rows(tmp_path / "figures.json", "--max-seconds", "60")
    loop, ours = rows["numpy loop"], rows["skmmd permutation"]
    assert loop["statistic"] == pytest.approx(ours["statistic"], rel=1e-9)
    assert loop["/ permutation"] == pytest.approx(loop["seconds"] / ours["seconds"])
    assert loop["permutations"] == "20"


def test_speed_marks_fewer_permutations(tmp_path):
    rows = speed_rows(tmp_path / "figures.json", "--max-seconds", "0", "--sizes", "150:2000")
    assert rows["numpy loop"]["permutations"] == "8 *"
    # Scaled up: 2,000 times 300 x 300 values cannot be copied in 20 ms.
    assert rows["numpy loop"]["seconds"] > 0.02
    assert rows["skmmd permutation"]["permutations"] == "2000"


def test_cpu_time(monkeypatch):
    """A sleep takes no CPU seconds; without the option it takes as long as it says."""
    wall, _ = timed(lambda: time.sleep(0.2), 1)
    monkeypatch.setenv(CPU_CLOCK, "1")
    cpu, _ = timed(lambda: time.sleep(0.2), 1)
    assert cpu < 0.1 < 0.2 <= wall


def test_plan_scales_only_the_permutations():
    plan = Plan({}, n_timed=12, expected=0.0)
    fixed, each = 3.0, 0.25
    few, timed = (fixed + each * count for count in (FEW, 12))
    assert plan.scale(few, timed, 1000) == pytest.approx(fixed + each * 1000)


def test_alternate():
    calls = []

    def run(name):
        calls.append(name)
        return 1.0, name

    times = alternate({"a": lambda: run("a"), "b": lambda: run("b")}, 2)
    assert calls == ["a", "b"] * 3  # the first pair warms up
    assert [times[name].n_runs for name in "ab"] == [2, 2]
    assert times["b"].outcome == "b"
    assert times["a"].median == 1.0


@pytest.fixture
def samples():
    X, Y = make_mean_shift(30, 2, shift=1.0, random_state=0)
    return {"X": X, "Y": Y}


def test_another_interpreter_answers_as_this_one(samples):
    told = {"gamma": 0.3, "gammas": np.array([0.3, 0.6]), "n_permutations": 50, "seed": 1}
    local, remote = LocalRunner(REGISTRY), RemoteRunner(REGISTRY, sys.executable)
    try:
        found = []
        for runner in (local, remote):
            runner.put(samples)
            assert runner.version("numpy loop") == np.__version__
            seconds, outcome = runner.time("numpy loop", 1, told)
            assert seconds > 0
            found.append(outcome)
        assert found[0] == found[1]
        assert found[0]["statistic"] == pytest.approx(mmd(*samples.values(), gamma=0.3))
        with pytest.raises(RuntimeError, match="n_permutations"):
            remote.time("numpy loop", 1, {"gamma": 0.3, "seed": 1})
    finally:
        remote.close()


def test_absent_peer_is_skipped_with_its_reason(monkeypatch):
    absent = Peer("absent", lambda **_: {}, ("no_such_module",))
    monkeypatch.setitem(_two_sample_peers.PEERS, "absent", absent)
    with open_peers(REGISTRY, ["absent", "numpy loop"], []) as peers:
        assert list(peers.versions) == ["numpy loop"]
        assert "no_such_module" in peers.skipped["absent"]
    with (
        pytest.raises(ValueError, match="unknown peers"),
        open_peers(REGISTRY, ["no such peer"], []),
    ):
        pass


def test_rates():
    mine, other = np.array([1.0, 1.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0, 0.0])
    difference, error = paired_difference(mine, other[:3])
    assert difference == pytest.approx(2 / 3)
    assert 0 < error < 1
    assert paired_difference(mine, mine)[0] == 0
    assert paired_difference(mine, mine)[1] > 0
    assert rate_text(np.ones(3), 5).startswith("1.000 ±")
    assert rate_text(np.ones(3), 5).endswith("[3]")
