"""Every section of the hashing benchmarks runs at tiny sizes, on data that are what they say."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import bench_hashing
from benchmarks._harness import LocalRunner, Peer, Peers, quickest_setting
from benchmarks._hashing_data import (
    EDITS,
    labelled_files,
    make_contents,
    make_text,
    version_pairs,
    windows,
    write_files,
)
from benchmarks._hashing_peers import PEERS
from benchmarks.bench_hashing import (
    FEATURES,
    NEAR,
    RECOMMENDED,
    REGISTRY,
    SECTIONS,
    exhaustive_pairs,
    first_found,
    near_duplicates,
)


def run(section, folder, *options):
    path = folder / "figures.json"
    bench_hashing.main([section, "--tiny", "--json", str(path), *options])
    return json.loads(path.read_text(encoding="utf-8"))["sections"][section]


@pytest.mark.parametrize("section", SECTIONS)
def test_section(section, tmp_path, capsys):
    found = run(section, tmp_path)
    printed = capsys.readouterr().out
    assert found["tables"]
    for table in found["tables"]:
        assert table["title"] in printed
        for row in table["rows"]:
            for key, value in row.items():
                if key == "seconds" or key.startswith(("MB/s", "/ ")):
                    assert value > 0
    if section == "memory":
        assert [remark.split(":")[0] for remark in found["remarks"]] == ["met"]
    if section == "identical":
        assert sum("share on which path" in remark for remark in found["remarks"]) == 1
        for row in found["tables"][0]["rows"]:
            assert row["ways agree"] == row["number"] > 0
            for what in ("hashes", "streamed hashes", "similarities"):
                assert row.get(f"{what} equal") == row.get(f"{what} compared")
    if section == "threads":
        assert all(row["same digests"] for row in found["tables"][0]["rows"])
    if section == "index":
        assert all(row["found in error"] == 0 for row in found["tables"][0]["rows"])


def test_versions(tmp_path, rng):
    for version in ("old", "new"):
        (tmp_path / version / "part").mkdir(parents=True)
    same = make_text(3000, rng)
    for i in range(4):
        text = make_text(6000, rng)
        (tmp_path / f"old/part/{i}.txt").write_bytes(text)
        (tmp_path / f"new/part/{i}.txt").write_bytes(EDITS["insert 16 bytes"](text, rng))
    for version in ("old", "new"):
        (tmp_path / version / "same.txt").write_bytes(same)
    old, new = version_pairs(tmp_path / "old", tmp_path / "new")
    assert [path.replace("/old/", "/new/") for path in old] == new
    assert len(old) == 4
    folders = [str(tmp_path / version) for version in ("old", "new")]
    table = run("quality", tmp_path, "--versions", *folders)["tables"][-1]
    assert "4 files changed" in table["title"]
    assert {row["what"]: row["found"] for row in table["rows"]}[RECOMMENDED] == 1.0


def test_near_duplicates_of_files(tmp_path, rng):
    contents = [make_text(5000, rng) for _ in range(8)]
    references = write_files(tmp_path / "references", contents)
    changed = [EDITS["change 1 % of bytes"](content, rng) for content in contents]
    queries = write_files(tmp_path / "queries", changed)
    none = Peers({}, {}, {}, {})
    found = near_duplicates(none, queries, references, str(tmp_path))
    assert set(found) == set(FEATURES)
    assert found[RECOMMENDED] == 1.0
    turned = near_duplicates(none, queries, references[::-1], str(tmp_path))
    assert turned[RECOMMENDED] == 0.0


def test_first_found_counts_ties_by_their_chances():
    distances = np.array([[0.0, 1.0, 2.0], [1.0, 1.0, 5.0], [0.0, 3.0, 4.0]])
    assert first_found(distances) == pytest.approx((1.0 + 0.5 + 0.0) / 3)


def test_exhaustive_pairs(rng):
    queries = np.zeros((1, 20), dtype=np.uint8)
    digests = np.zeros((3, 20), dtype=np.uint8)
    digests[:, :4] = 200  # index bytes do not count
    digests[1, 4] = 50
    digests[1, 5] = 10  # 2600: just above .95
    digests[2, 4] = 51  # 2601: .95 itself
    assert exhaustive_pairs(queries, digests).tolist() == [[0, 0], [0, 1]]
    assert 1.0 - np.sqrt(NEAR) / 1020.0 > 0.95
    assert 1.0 - np.sqrt(NEAR + 1) / 1020.0 == 0.95


@pytest.mark.parametrize("name", EDITS)
def test_edits(name, rng):
    content = make_text(2000, rng)
    edited = EDITS[name](content, rng)
    n_bytes = {
        "append 1 %": 2020,
        "append 10 %": 2200,
        "prepend 1 %": 2020,
        "insert 16 bytes": 2016,
        "truncate to 90 %": 1800,
    }.get(name, 2000)
    assert edited != content
    assert len(edited) == n_bytes
    if name == "change 1 % of bytes":
        differ = np.frombuffer(content, np.uint8) != np.frombuffer(edited, np.uint8)
        assert differ.sum() == 20
    if name == "shuffle 8 chunks":
        assert sorted(edited) == sorted(content)


def test_contents_and_windows(rng):
    contents = make_contents(5, 1234, rng)
    assert [len(content) for content in contents] == [1234] * 5
    text = b"".join(contents[1::2])
    assert set(text) <= set(b"abcdefghijklmnopqrstuvwxyz \n")
    assert len(set(contents[0])) > 200
    pieces = list(windows(20, np.random.default_rng(0)))
    assert [4096 <= len(piece) <= 32_768 for piece in pieces] == [True] * 20
    assert pieces == list(windows(20, np.random.default_rng(0)))


def test_labelled_files(rng):
    chosen = [
        labelled_files("types", n_classes=2, n_each=7, min_each=5, max_bytes=20_000, rng=generator)
        for generator in (np.random.default_rng(0), np.random.default_rng(0))
    ]
    assert np.array_equal(chosen[0][0], chosen[1][0])
    paths, labels = chosen[0]
    assert len(np.unique(labels)) == 2
    assert len(paths) == 14
    assert all(path.lower().endswith(label) for path, label in zip(paths, labels, strict=True))
    assert len({Path(path).read_bytes() for path in paths}) == 14
    none, _ = labelled_files(
        "no such packages", n_classes=2, n_each=7, min_each=5, max_bytes=20_000, rng=rng
    )
    assert len(none) == 0


@pytest.mark.parametrize("name", ["cdist cityblock", "pdist cityblock"])
def test_scipy_peers(name, rng):
    digests = rng.integers(0, 256, size=(5, 20), dtype=np.uint8)
    last = PEERS[name].run(digests=digests)["last"]
    wanted = np.abs(digests[3:, 4:].astype(int) - digests[4, 4:]).sum(axis=1)
    assert last == (wanted[0] if name.startswith("pdist") else 0)


def test_histogram_peer_counts_each_file(tmp_path):
    paths = write_files(tmp_path / "files", [b"aab", b"cccc"])
    for setting in PEERS["numpy histogram"].settings:
        assert PEERS["numpy histogram"].run(paths=paths, **setting)["checksum"] == 2 + 4


def test_quickest_setting(monkeypatch):
    """The setting of the least time is chosen, and one setting is not tried at all."""

    class Runner:
        def time(self, name, n_threads, parameters):
            return parameters["cost"], {}

    settings = ({"cost": 3.0}, {"cost": 1.0}, {"cost": 2.0})
    peer = Peer("numpy", lambda **_: {}, ("numpy",), settings)
    peers = Peers({"a": peer}, {"a": Runner()}, {}, {})
    assert quickest_setting(peers, "a", 1, {}) == {"cost": 1.0}
    peers.registry["a"] = Peer("numpy", lambda **_: {}, ("numpy",))
    assert quickest_setting(peers, "a", 1, {}) == {}


def test_peers_agree_with_ours(tmp_path, rng):
    """python-mmdt's loop over pairs gives our similarities."""
    pytest.importorskip("python_mmdt")
    runner = LocalRunner(REGISTRY)
    paths = write_files(tmp_path / "files", make_contents(4, 5000, rng))
    runner.put({"paths": paths})
    hashes = runner.time("python-mmdt", 1, {})[1]["hashes"]
    assert hashes == bench_hashing.hash_each(paths.tolist())
    runner.put({"mmdt": np.array(hashes)})
    values = runner.time("python-mmdt compare", 1, {})[1]["values"]
    similarity = bench_hashing.mmdt_similarity(hashes)
    assert values == similarity[np.triu_indices(4, 1)].tolist()
