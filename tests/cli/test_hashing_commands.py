"""``skmmd hash | compare | matrix | index | query | cluster`` on files."""

import csv
import io
import json
import math
import os
import signal
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from skmmd._cli import main
from tests.hashing.vectors import HASHES, PAIRS, content_of

CALL = "import sys; from skmmd._cli import main; sys.exit(main())"
posix = pytest.mark.skipif(os.name != "posix", reason="pipes, signals and names of POSIX")
ABSENT = "{}: No such file or directory\n"


def run(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def output(capsys, *arguments):
    """Return what a call prints that has nothing to complain of."""
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "")
    return out


def as_json(capsys, *arguments):
    return json.loads(output(capsys, *arguments, "--json"))


def as_csv(capsys, *arguments):
    return list(csv.reader(io.StringIO(output(capsys, *arguments, "--csv"))))


def process(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", CALL, *map(str, arguments)],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def similarity_of(first, second, metric="mmdt"):
    """Return the similarity of two hash strings by the formulas of the specification."""
    a, b = (list(bytes.fromhex(text.split(":")[1])) for text in (first, second))
    differences = [abs(x - y) for x, y in zip(a, b, strict=True)]
    if metric == "manhattan":
        return 1 - min(sum(differences), 4080) / 4080
    if metric == "circular":
        return 1 - sum(min(d, 256 - d) for d in differences) / 2048
    return 1 - math.sqrt(sum(d * d for d in differences)) / 1020


TEXTS = {"text": 54, "edited": 58, "prefixed": 60}
OTHERS = {"empty": 0, "square": 46, "triangle": 66}
CASES = {**TEXTS, **OTHERS}


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Return a working folder with files of known hashes: three texts alike, and three others."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    for name, case in CASES.items():
        (tmp_path / "d" / name).write_bytes(content_of(case))
    return tmp_path


PATHS = {f"d/{name}": HASHES[case] for name, case in sorted(CASES.items())}


# --------------------------------------------------------------------------------------
# hash


@pytest.mark.parametrize("name", CASES)
def test_one_file_prints_its_hash_alone(files, capsys, name):
    assert output(capsys, "hash", f"d/{name}") == HASHES[CASES[name]] + "\n"
    assert output(capsys, "hash", files / "d" / name, "--jobs", 2) == HASHES[CASES[name]] + "\n"


def test_several_files_print_hash_and_name(files, capsys):
    expected = "".join(f"{text}  {name}\n" for name, text in PATHS.items())
    assert output(capsys, "hash", "d") == expected
    assert output(capsys, "hash", "d", "--jobs", 2) == expected
    assert output(capsys, "hash", *PATHS) == expected
    (files / "one").mkdir()
    (files / "one/file").write_bytes(b"")
    assert output(capsys, "hash", "one") == f"{HASHES[0]}  one/file\n"
    (files / "list").write_text("one/file\n")
    assert output(capsys, "hash", "--files-from", "list") == f"{HASHES[0]}  one/file\n"
    assert output(capsys, "hash", "one/file", "one/file") == f"{HASHES[0]}  one/file\n" * 2


def test_hashes_as_json_and_csv(files, capsys):
    found = as_json(capsys, "hash", "d")
    assert {entry["name"]: entry["hash"] for entry in found} == PATHS
    rows = as_csv(capsys, "hash", "d")
    assert rows[0] == ["hash", "name", "std"]
    assert [(name, text) for text, name, _ in rows[1:]] == list(PATHS.items())
    assert [float(row[2]) for row in rows[1:]] == [entry["std"] for entry in found]
    for entry in found:
        middle = sorted(bytes.fromhex(entry["hash"].split(":")[1])[2:14])[1:-1]
        assert entry["std"] == pytest.approx(np.std(middle, ddof=1), rel=1e-12)
    assert as_json(capsys, "hash", "d/empty")[0]["hash"] == HASHES[0]


def test_members_of_archives_have_the_hashes_of_their_content(files, capsys):
    with zipfile.ZipFile("a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("text", "empty"):
            archive.write(f"d/{name}", name)
    expected = f"{HASHES[54]}  a.zip::text\n{HASHES[0]}  a.zip::empty\n"
    assert output(capsys, "hash", "a.zip", "--members") == expected
    whole = output(capsys, "hash", "a.zip").strip()
    assert whole not in (HASHES[54], HASHES[0])


def test_standard_input_is_hashed(files, capsys, monkeypatch):
    for arguments, expected in (
        (["-"], f"{HASHES[54]}\n"),
        (["-", "d/empty"], f"{HASHES[54]}  -\n{HASHES[0]}  d/empty\n"),
    ):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content_of(54))))
        assert output(capsys, "hash", *arguments) == expected


def test_a_pipe_as_standard_input(files):
    running = process("hash", "-", stdin=subprocess.PIPE)
    out, err = running.communicate(content_of(54))
    assert (running.returncode, out.decode(), err) == (0, HASHES[54] + "\n", b"")


def test_what_cannot_be_read_is_told_and_the_rest_done(files, capsys):
    status, out, err = run(capsys, "hash", "gone", "d/text", "lost", "d/empty")
    assert status == 1
    assert out == f"{HASHES[54]}  d/text\n{HASHES[0]}  d/empty\n"
    assert err == "skmmd hash: " + ABSENT.format("gone") + "skmmd hash: " + ABSENT.format("lost")
    status, out, err = run(capsys, "hash", "gone")
    assert (status, out, err) == (1, "", "skmmd hash: " + ABSENT.format("gone"))
    status, out, err = run(capsys, "hash", "gone", "--json")
    assert (status, json.loads(out)) == (1, [])


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read anything")
def test_a_file_without_permission_is_told(files, capsys):
    (files / "d/text").chmod(0)
    status, out, err = run(capsys, "hash", "d")
    assert status == 1
    assert err == "skmmd hash: d/text: Permission denied\n"
    assert len(out.splitlines()) == len(PATHS) - 1


def test_uninformative_hashes_are_left_out(files, capsys):
    status, out, err = run(capsys, "hash", "d", "--std-min", 10)
    assert status == 0
    assert "d/empty" in err
    assert "left out" in err
    assert "d/empty" not in out
    assert "d/square" in out


ONE_AFTER_THE_OTHER = """
import json, sys
from skmmd._cli import main
for arguments in json.loads(sys.argv[1]):
    main(arguments)
    print("\\0")
"""


@posix
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_with_anything_in_them_are_printed(files, encoding):
    odd = b"d/\xff new\nline \x1b[31m \xc3\xa9.bin"
    with open(odd, "wb"):
        pass
    wanted = {
        ("hash", "d"): rb"  d/\udcff new\nline \x1b[31m ",
        ("hash", "d", "--csv"): rb',"d/\udcff new' + b"\nline ",
        ("matrix", "d"): rb"  d/\udcff new\nline \x1b[31m ",
        ("matrix", "d", "--pairs", "--threshold", "0"): rb"  d/\udcff new\nline ",
        ("matrix", "d", "--csv"): b"d/",
        ("cluster", "d", "--kmeans", "1"): rb"  d/\udcff new\nline ",
        ("index", "d", "-o", "index.npz"): b"7 hashes in index.npz\n",
        ("query", "index.npz", "d"): rb"d/\udcff new\nline ",
        ("hash", "d", "--json"): b'"name"',
    }
    done = subprocess.run(
        [sys.executable, "-c", ONE_AFTER_THE_OTHER, json.dumps([*wanted])],
        env={**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"},
        capture_output=True,
        check=True,
    )
    assert done.stderr == b""
    printed = done.stdout.split(b"\0\n")
    assert len(printed) == len(wanted) + 1
    for (command, text), out in zip(wanted.items(), printed, strict=False):
        assert text in out, command
        if command[0] != "index" and "--json" not in command:
            assert (encoding == "utf-8") == (b"\xc3\xa9" in out), command
    assert os.fsdecode(odd) in {entry["name"] for entry in json.loads(printed[-2])}


@posix
def test_an_odd_name_that_is_missing_is_one_line(files):
    _, err = process("hash", b"d/\xff new\nline").communicate()
    assert len(err.splitlines()) == 1


# --------------------------------------------------------------------------------------
# compare


@pytest.mark.parametrize(
    "pair", [pair for pair in PAIRS if {pair["a"], pair["b"]} <= {*CASES.values()}]
)
def test_similarities_are_printed_as_python_prints_them(files, capsys, pair):
    names = {case: f"d/{name}" for name, case in CASES.items()}
    a, b = pair["a"], pair["b"]
    for first in (names[a], HASHES[a]):
        for second in (names[b], HASHES[b].lower()):
            assert output(capsys, "compare", first, second) == f"{pair['similarity']!r}\n"
    found = as_json(capsys, "compare", names[a], names[b], "--metric", "manhattan")
    assert found == {
        "first": names[a],
        "second": names[b],
        "similarity": pair["similarity_v002"],
    }
    expected = similarity_of(HASHES[a], HASHES[b], "circular")
    rows = as_csv(capsys, "compare", HASHES[a], names[b], "--metric", "circular")
    assert rows == [["first", "second", "similarity"], [HASHES[a], names[b], repr(expected)]]


def test_compare_has_pairs_to_check():
    assert sum({pair["a"], pair["b"]} <= {*CASES.values()} for pair in PAIRS) >= 2


def test_compare_reads_standard_input_once(files, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content_of(54))))
    assert output(capsys, "compare", "-", "d/text") == "1.0\n"
    status, out, err = run(capsys, "compare", "-", "-")
    assert (status, out) == (2, "")
    assert "read only once" in err


def test_compare_tells_what_cannot_be_read(files, capsys):
    status, out, err = run(capsys, "compare", "gone", "d/text")
    assert (status, out, err) == (1, "", "skmmd compare: " + ABSENT.format("gone"))
    status, out, err = run(capsys, "compare", "d", "d/text")
    assert (status, out) == (1, "")
    assert err.startswith("skmmd compare: d: ")
    assert "directory" in err
    status, out, err = run(capsys, "compare", HASHES[0][:-1], "gone")  # cut, so it is a name
    assert (status, out) == (1, "")
    assert len(err.splitlines()) == 2


# --------------------------------------------------------------------------------------
# matrix


@pytest.mark.parametrize("metric", ["mmdt", "manhattan", "circular"])
def test_the_matrix_holds_all_similarities(files, capsys, metric):
    expected = [
        [similarity_of(first, second, metric) for second in PATHS.values()]
        for first in PATHS.values()
    ]
    found = as_json(capsys, "matrix", "d", "--metric", metric)
    assert found["names"] == list(PATHS)
    assert found["metric"] == metric
    assert found["similarity"] == expected
    rows = as_csv(capsys, "matrix", "d", "--metric", metric)
    assert rows[0] == ["", *PATHS]
    assert [row[0] for row in rows[1:]] == list(PATHS)
    assert [[float(cell) for cell in row[1:]] for row in rows[1:]] == expected
    lines = output(capsys, "matrix", "d", "--metric", metric).splitlines()
    assert lines[0].split() == ["name", *(str(number) for number in range(1, 7))]
    for number, (line, name, row) in enumerate(zip(lines[2:], PATHS, expected, strict=True), 1):
        assert line.split() == [str(number), name, *(f"{value:.4f}" for value in row)]


def test_similar_pairs_alone(files, capsys):
    names = list(PATHS)
    expected = sorted(
        (
            (similarity_of(PATHS[first], PATHS[second]), first, second)
            for position, first in enumerate(names)
            for second in names[position + 1 :]
        ),
        key=lambda pair: (-pair[0], pair[1:]),
    )
    near = [pair for pair in expected if pair[0] >= 0.95]
    assert len(near) == 3
    for arguments, wanted in (
        ([], near),
        (["--threshold", near[0][0]], near[:1]),
        (["--threshold", 0], expected),
        (["--threshold", 1], []),
    ):
        found = as_csv(capsys, "matrix", "d", "--pairs", *arguments)
        assert found[0] == ["similarity", "first", "second"]
        assert [(float(value), *pair) for value, *pair in found[1:]] == wanted
        as_dicts = [dict(zip(found[0], pair, strict=True)) for pair in wanted]
        assert as_json(capsys, "matrix", "d", "--pairs", *arguments) == as_dicts
        lines = output(capsys, "matrix", "d", "--pairs", *arguments).splitlines()
        assert [line.split() for line in lines] == [[f"{v:.4f}", a, b] for v, a, b in wanted]


def test_a_figure_of_the_matrix(files, capsys):
    from matplotlib.image import imread

    (files / "d/$odd_{name$").write_bytes(b"x" * 5000)
    plain = output(capsys, "matrix", "d")
    assert output(capsys, "matrix", "d", "--plot", "figure.png") == plain
    image = imread("figure.png")
    assert min(image.shape[:2]) > 300
    assert len(np.unique(image[:, :, 0])) > 10


def test_a_matrix_of_one_and_of_none(files, capsys):
    assert as_json(capsys, "matrix", "d/text")["similarity"] == [[1.0]]
    for arguments, wanted in (
        (["--json"], '{\n  "metric": "mmdt",\n  "names": [],\n  "similarity": []\n}\n'),
        (["--csv"], '""\n'),
        (["--pairs", "--json"], "[]\n"),
        (["--pairs"], ""),
        (["--plot", "x.png"], ""),
    ):
        status, out, err = run(capsys, "matrix", "gone", *arguments)
        assert (status, out) == (1, wanted)
        assert err == "skmmd matrix: " + ABSENT.format("gone")


# --------------------------------------------------------------------------------------
# index and query


def test_an_index_finds_what_is_near(files, capsys):
    assert output(capsys, "index", "d", "-o", "known.npz") == "6 hashes in known.npz\n"
    (files / "new").write_bytes(content_of(54))
    wanted = sorted(
        ((similarity_of(HASHES[54], PATHS[f"d/{name}"]), f"d/{name}") for name in TEXTS),
        reverse=True,
    )
    found = as_json(capsys, "query", "known.npz", "new")
    assert [entry["name"] for entry in found] == ["new"]
    neighbors = [(near["similarity"], near["name"]) for near in found[0]["neighbors"]]
    assert neighbors == wanted
    rows = as_csv(capsys, "query", "known.npz", "new", "-k", 2)
    assert rows[0] == ["name", "similarity", "neighbor"]
    assert [(float(value), name) for _, value, name in rows[1:]] == wanted[:2]
    threshold = wanted[1][0]
    rows = as_csv(capsys, "query", "known.npz", "new", "--threshold", threshold)
    assert [(float(value), name) for _, value, name in rows[1:]] == wanted[:2]
    lines = output(capsys, "query", "known.npz", "new", "d/empty").splitlines()
    assert lines[0] == "new"
    assert [line.split() for line in lines[1:4]] == [[f"{v:.4f}", name] for v, name in wanted]
    assert lines[4] == "d/empty"
    assert lines[5].split() == ["1.0000", "d/empty"]
    assert len(lines) == 6


def test_a_file_without_neighbors_is_said(files, capsys):
    output(capsys, "index", "d/empty", "-o", "known.npz")
    assert output(capsys, "query", "known.npz", "d/square") == "d/square\n  nothing near\n"
    assert as_json(capsys, "query", "known.npz", "d/square") == [
        {"name": "d/square", "neighbors": []}
    ]
    assert as_csv(capsys, "query", "known.npz", "d/square") == [["name", "similarity", "neighbor"]]


@pytest.mark.parametrize("metric", ["manhattan", "circular"])
def test_the_metric_of_the_index_holds_for_its_queries(files, capsys, metric):
    output(capsys, "index", "d", "-o", "known.npz", "--metric", metric, "--tolerance", "none")
    found = as_json(capsys, "query", "known.npz", "d/text", "-k", 6)[0]["neighbors"]
    wanted = sorted(similarity_of(HASHES[54], text, metric) for text in PATHS.values())[::-1]
    assert [near["similarity"] for near in found] == wanted


def test_index_and_query_tell_what_cannot_be_read(files, capsys):
    status, out, err = run(capsys, "index", "gone", "d/text", "-o", "known.npz")
    assert (status, out) == (1, "1 hashes in known.npz\n")
    assert err == "skmmd index: " + ABSENT.format("gone")
    status, out, err = run(capsys, "query", "known.npz", "gone", "d/text")
    assert (status, out.splitlines()[0]) == (1, "d/text")
    assert err == "skmmd query: " + ABSENT.format("gone")
    status, out, _ = run(capsys, "index", "gone", "-o", "other.npz")
    assert (status, out) == (1, "")
    assert not (files / "other.npz").exists()
    status, out, err = run(capsys, "index", "d/empty", "-o", "other.npz", "--std-min", 10)
    assert (status, out) == (2, "")
    assert "no hash is left" in err
    assert not (files / "other.npz").exists()


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 no index", b"text"])
def test_a_file_that_is_no_index_is_refused(files, capsys, content):
    if content is not None:
        (files / "known.npz").write_bytes(content)
    status, out, err = run(capsys, "query", "known.npz", "d/text")
    assert (status, out) == (2, "")
    assert err.startswith("skmmd query: error: ")
    assert "known.npz" in err


# --------------------------------------------------------------------------------------
# cluster


def test_near_duplicates_are_grouped(files, capsys):
    alike = [name for name in PATHS if name.removeprefix("d/") in TEXTS]
    alone = [[name] for name in PATHS if name not in alike]
    assert as_json(capsys, "cluster", "d") == [alike, *alone]
    rows = as_csv(capsys, "cluster", "d")
    assert rows[0] == ["cluster", "name"]
    assert rows[1:4] == [["1", name] for name in alike]
    assert [row[0] for row in rows[4:]] == ["2", "3", "4"]
    lines = output(capsys, "cluster", "d").splitlines()
    assert lines == [
        "cluster 1: 3 files",
        *(f"  {name}" for name in alike),
        "",
        "1 clusters; 3 files resemble no other",
    ]


def test_near_duplicates_are_connected_over_others(files, capsys):
    pairs = as_json(capsys, "matrix", "d", "--pairs", "--threshold", 0)
    texts = [pair for pair in pairs if {pair["first"][2:], pair["second"][2:]} <= {*TEXTS}]
    between = texts[1]["similarity"]  # the third text is connected by its nearer neighbor alone
    assert texts[2]["similarity"] < between
    assert len(as_json(capsys, "cluster", "d", "--threshold", between)[0]) == 3
    assert len(as_json(capsys, "cluster", "d", "--threshold", texts[0]["similarity"])[0]) == 2
    assert len(as_json(capsys, "cluster", "d", "--threshold", 0)) == 1


def test_clusters_by_kmeans(files, capsys):
    (files / "k").mkdir()
    for number in range(4):
        (files / f"k/a{number}").write_bytes(content_of(54)[number * 100 :])
        (files / f"k/b{number}").write_bytes(content_of(46)[number * 100 :])
    (files / "k/b4").write_bytes(content_of(46)[900:])
    wanted = [[f"k/b{n}" for n in range(5)], [f"k/a{n}" for n in range(4)]]
    for arguments in ([], ["--features", "bigrams"], ["--features", "sums,histogram"]):
        found = as_json(capsys, "cluster", "k", "--kmeans", 2, *arguments)
        assert found == wanted
    status, out, _ = run(capsys, "cluster", "gone", "--kmeans", 2, "--json")
    assert (status, out) == (1, "[]\n")
    lines = output(capsys, "cluster", "k", "--kmeans", 9, "--seed", 3).splitlines()
    assert lines[-1] == "9 clusters"


# --------------------------------------------------------------------------------------
# calls


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hash"], "no PATHS"),
        (["hash", "no_files"], "no files in these PATHS"),
        (["hash", "--files-from", "absent"], "No such file"),
        (["matrix", "d", "--threshold", ".9"], "--threshold goes with --pairs"),
        (["matrix", "d", "--pairs", "--plot", "x.png"], "leave out --pairs"),
        (["matrix", "d", "--plot", "no/folder/x.png"], "No such file"),
        (["index", "d", "-o", "no/folder/x.npz"], "No such file"),
        (["cluster", "d", "--seed", "1"], "--seed goes with --kmeans"),
        (["cluster", "d", "--features", "sums"], "--features goes with --kmeans"),
        (["cluster", "d", "--kmeans", "2", "--threshold", "1"], "leave out --kmeans"),
        (["cluster", "d", "--kmeans", "2", "--metric", "mmdt"], "leave out --kmeans"),
        (["cluster", "d", "--kmeans", "2", "--std-min", "0"], "leave out --kmeans"),
        (["cluster", "d", "--kmeans", "2", "--features", "nonsense"], "features"),
        (["cluster", "d", "--kmeans", "7"], "n_clusters=7"),
        (["cluster", "d", "--kmeans", "0"], "n_clusters"),
    ],
)
def test_errors_in_the_call_have_status_2(files, capsys, arguments, message):
    (files / "no_files").mkdir()
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"skmmd {arguments[0]}: error: ")
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["matrix", "d", "--pairs", "--threshold", "2"], "--threshold: must be from 0 to 1"),
        (["query", "i.npz", "d", "--threshold", "95"], "--threshold: must be from 0 to 1"),
        (["cluster", "d", "--threshold", "nan"], "--threshold: must be from 0 to 1"),
        (["index", "d", "-o", "x.npz", "--tolerance", "-1"], "--tolerance: must be from 0 to 255"),
        (["index", "d", "-o", "x.npz", "--tolerance", "abc"], "--tolerance: must be from 0 to 255"),
        (["hash", "d", "--std-min", "nan"], "--std-min: must be 0 or more"),
    ],
)
def test_values_of_options(files, capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        run(capsys, *arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_query_of_an_index_of_file_names(files, capsys):
    from skmmd.hashing import MMDTIndex

    paths = ["d/text", "d/square"]
    MMDTIndex(input="filename").fit(paths, names=paths).save("names.npz")
    found = as_json(capsys, "query", "names.npz", "d/square", "-k", 10**15)
    assert found[0]["neighbors"][0] == {"similarity": 1.0, "name": "d/square"}


def test_options_may_stand_between_the_paths(files, capsys):
    expected = output(capsys, "hash", "--json", "d/text", "d/empty")
    assert output(capsys, "hash", "d/text", "--json", "d/empty") == expected
    assert output(capsys, "hash", "d/text", "d/empty", "--json") == expected
    (files / "--json").write_bytes(b"")
    assert output(capsys, "hash", "--", "--json") == f"{HASHES[0]}\n"
    output(capsys, "index", "d/text", "-o", "known.npz", "d/empty")
    assert output(capsys, "query", "known.npz", "-k", 1, "d/text").startswith("d/text\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["hash", "d", "--json", "--csv"],
        ["hash", "d", "--nonsense"],
        ["hash", "d", "--std-min", "much"],
        ["compare", "d/text"],
        ["compare", "d/text", "d/empty", "--metric", "euclidean"],
        ["index", "d"],
        ["query"],
        ["cluster", "d", "--kmeans", "two"],
    ],
)
def test_wrong_usage_has_status_2(files, capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: skmmd" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["hash", "compare", "matrix", "index", "query", "cluster"])
def test_help_names_the_exit_statuses(capsys, command):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "Exit status: 0 fine; 1 something could not be read" in capsys.readouterr().out


def test_missing_matplotlib_is_named_before_anything_is_read(files, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, out, err = run(capsys, "matrix", "gone", "--plot", "x.png")
    assert (status, out) == (2, "")
    assert "pip install skmmd[plot]" in err
    assert "gone" not in err


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ("x.txt", "--plot x.txt: no figure ends in .txt; name one of "),
        ("no/folder/x.png", "No such file or directory: 'no/folder/x.png'"),
    ],
)
@pytest.mark.parametrize("command", [["matrix", "gone"], ["test", "gone", "gone"]])
def test_a_figure_that_cannot_be_is_refused_before_anything_is_read(
    files, capsys, command, figure, message
):
    status, out, err = run(capsys, *command, "--plot", figure)
    assert (status, out) == (2, "")
    assert message in err
    assert "gone" not in err


def test_an_index_without_a_folder_is_refused_before_anything_is_read(files, capsys):
    status, out, err = run(capsys, "index", "gone", "-o", "no/folder/x.npz")
    assert (status, out) == (2, "")
    assert "No such file or directory: 'no/folder/x.npz'" in err
    assert "gone" not in err


@pytest.mark.parametrize(
    ("given", "written"), [("a", "a.png"), ("a.b.SVG", "a.b.SVG"), (".png", ".png.png")]
)
def test_endings_of_figures_are_those_of_matplotlib(files, capsys, given, written):
    output(capsys, "matrix", "d", "--plot", given)
    assert (files / written).stat().st_size > 1000


def test_progress_shows_on_a_terminal_only(files, capsys, monkeypatch):
    assert run(capsys, "hash", "d")[2] == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert "6/6" in run(capsys, "hash", "d")[2]


def test_hash_imports_neither_figures_nor_clusters(files):
    code = "from skmmd._cli import main; import sys; main(); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code, "hash", "d/text"], capture_output=True, text=True, check=True
    )
    assert done.stdout == HASHES[54] + "\n"
    loaded = done.stderr.split()
    assert "skmmd.hashing" in loaded
    assert not {"matplotlib", "tqdm", "sklearn.cluster"} & set(loaded)


@posix
@pytest.mark.parametrize(
    "arguments",
    [["hash", "d"], ["compare", "d/text", "d/empty"], ["matrix", "d"], ["cluster", "d"]],
)
def test_a_reader_that_goes_away_gets_no_traceback(files, arguments):
    running = process(*arguments)
    running.stdout.close()
    assert running.stderr.read() == b""
    running.stderr.close()
    assert running.wait() == 2


@posix
def test_a_closed_output_gets_no_traceback(files):
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", CALL, "hash", "d/text"],
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")


@posix
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interrupt_is_told_in_a_line(files, jobs):
    os.mkfifo("pipe")
    # Without warnings as errors: the signal may come between the opening and its bookkeeping.
    running = subprocess.Popen(
        [sys.executable, "-c", CALL, "hash", "pipe", "d", "--jobs", str(jobs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with open("pipe", "wb"):  # waits until the command has it open, too
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (130, b"", b"skmmd hash: interrupted\n")
