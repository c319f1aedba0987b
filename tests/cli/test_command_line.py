"""The command line: exit statuses, text, JSON and figures."""

import json
import os
import subprocess
import sys

import numpy as np
import pandas
import pytest

import skmmd
from skmmd._cli import main
from skmmd._cli._text import format_table
from skmmd.two_sample import MMDTest, mmd_test


@pytest.fixture
def files(tmp_path, rng):
    """Return a folder with a reference, a sample like it, and one whose column b is shifted."""
    for name, shift in (("reference", 0.0), ("same", 0.0), ("shifted", 1.5)):
        rows = rng.normal(size=(60, 3)) * [1.0, 10.0, 100.0] + [0.0, shift * 10.0, 0.0]
        frame = pandas.DataFrame(rows, columns=["a", "b", "c"]).assign(word="x")
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
        frame.to_parquet(tmp_path / f"{name}.parquet")
        np.save(tmp_path / f"{name}.npy", rows)
    return tmp_path


def run(capsys, *arguments):
    status = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def as_json(capsys, *arguments):
    status, out, err = run(capsys, *arguments, "--json")
    assert err == ""
    return status, json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


def test_exit_status_and_text_of_a_difference(files, capsys):
    status, out, err = run(capsys, "test", files / "reference.csv", files / "shifted.csv")
    assert status == 1
    assert err == ""
    assert "the samples differ" in out
    assert "60 rows" in out
    assert "left out   word" in out
    first, second = [line.split() for line in out.splitlines()[-3:-1]]
    assert (first[0], first[-1]) == ("b", "differs")
    assert second[-1] != "differs"


def test_exit_status_and_text_of_no_difference(files, capsys):
    status, out, err = run(capsys, "test", files / "reference.csv", files / "same.csv")
    assert status == 0
    assert err == ""
    assert "no difference found" in out
    assert "differs" not in out


def test_the_three_formats_agree(files, capsys):
    results = [
        as_json(capsys, "test", files / f"reference.{suffix}", files / f"shifted.{suffix}")[1]
        for suffix in ("csv", "parquet", "npy")
    ]
    for result in results[1:]:
        assert result["pvalue"] == results[0]["pvalue"]
        assert result["statistic"] == pytest.approx(results[0]["statistic"], rel=1e-9)
    mixed = as_json(capsys, "test", files / "reference.parquet", files / "shifted.csv")[1]
    assert mixed["statistic"] == pytest.approx(results[0]["statistic"], rel=1e-9)


def test_json_holds_the_result_of_the_functions(files, capsys):
    X, Y = (np.load(files / f"{name}.npy") for name in ("reference", "shifted"))
    both = np.concatenate([X, Y])
    both = (both - both.mean(axis=0)) / both.std(axis=0)
    expected = mmd_test(both[:60], both[60:], n_permutations=199, random_state=3)
    features = (
        MMDTest(n_permutations=199, random_state=3)
        .fit(both, np.repeat([0, 1], 60))
        .feature_scores()
    )
    status, found = as_json(
        capsys,
        *("test", files / "reference.csv", files / "shifted.csv"),
        *("--permutations", 199, "--seed", 3, "--alpha", 0.1, "--jobs", 2),
    )
    assert status == 1
    assert found["pvalue"] == expected.pvalue
    assert found["statistic"] == pytest.approx(expected.statistic, rel=1e-9)
    assert found["critical_value"] == pytest.approx(expected.critical_value(0.1), rel=1e-9)
    assert found["gamma"] == pytest.approx(list(expected.gamma), rel=1e-9)
    assert found["rejected"] is True
    assert found["alpha"] == 0.1
    assert found["n_permutations"] == 199
    assert found["seed"] == 3
    assert found["method"] == "permutation"
    assert found["columns"] == ["a", "b", "c"]
    assert found["left_out"] == ["word"]
    assert found["version"] == skmmd.__version__
    assert found["reference"] == {
        "path": str(files / "reference.csv"),
        "n_rows": 60,
        "n_dropped": 0,
    }
    by_name = {entry["name"]: entry for entry in found["features"]}
    for column, name in enumerate("abc"):
        assert by_name[name]["pvalue"] == features.pvalue[column]
        assert by_name[name]["statistic"] == pytest.approx(features.statistic[column], rel=1e-9)
    statistics = [entry["statistic"] for entry in found["features"]]
    assert statistics == sorted(statistics, reverse=True)


def test_options_reach_the_test(files, capsys):
    X, Y = (np.load(files / f"{name}.npy")[:, [0, 2]] for name in ("reference", "shifted"))
    expected = mmd_test(
        X, Y, kernel="laplacian", gamma=[0.001, 0.01], method="binned", random_state=0
    )
    _, found = as_json(
        capsys,
        *("test", files / "reference.csv", files / "shifted.csv", "--columns", "a,c"),
        *("--kernel", "laplacian", "--gamma", "0.001,0.01", "--method", "binned"),
        *("--scale", "none", "--no-features"),
    )
    assert found["pvalue"] == expected.pvalue
    assert found["statistic"] == pytest.approx(expected.statistic, rel=1e-9)
    assert found["gamma"] == [0.001, 0.01]
    assert found["kernel"] == "laplacian"
    assert found["method"] == "binned"
    assert "features" not in found


def test_numbers_that_json_lacks_are_null(files, capsys):
    _, found = as_json(
        capsys,
        *("test", files / "reference.csv", files / "same.csv"),
        *("--kernel", "energy", "--permutations", 10),
    )
    assert found["best_gamma"] is None
    assert found["gamma"] == [None]
    assert found["critical_value"] is None  # the smallest p-value of 10 permutations is 1/11


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["--gamma", "median"], ["rbf, gamma "]),
        (["--kernel", "energy"], ["kernel     energy\n"]),
        (["--method", "asymptotic"], ["method     asymptotic\n"]),
        (["--no-features"], ["p-value"]),
    ],
)
def test_text_of_other_tests(files, capsys, arguments, fragments):
    _, out, _ = run(capsys, "test", files / "reference.csv", files / "same.csv", *arguments)
    for fragment in fragments:
        assert fragment in out
    assert ("adjusted p" in out) == ("--no-features" not in arguments)


def test_one_column_of_text(tmp_path, rng, capsys):
    for name, scale in (("one", 1.0), ("two", 3.0)):
        lines = ["value", *(str(value) for value in rng.normal(size=80) * scale)]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    status, found = as_json(capsys, "test", tmp_path / "one.txt", tmp_path / "two.txt")
    assert status == 1
    assert found["columns"] == ["value"]


def test_missing_values_are_counted(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("x\n" + "\n".join(["1", "2", "NA", "4", "5", "6"]))
    (tmp_path / "b.csv").write_text("x\n" + "\n".join(["1", "2", "3", "4", "5", "6"]))
    status, out, _ = run(capsys, "test", tmp_path / "a.csv", tmp_path / "b.csv")
    assert status == 0
    assert "5 rows, 1 left out for missing values" in out
    status, _, err = run(
        capsys, "test", tmp_path / "a.csv", tmp_path / "b.csv", "--missing", "error"
    )
    assert status == 2
    assert "1 of 6 rows have missing values" in err


def test_a_figure_is_written(files, capsys):
    from matplotlib.image import imread

    for arguments in ([], ["--no-features"], ["--json"]):
        path = files / "figure.png"
        status, _, err = run(
            capsys,
            *("test", files / "reference.csv", files / "shifted.csv", "--plot", path),
            *arguments,
        )
        assert (status, err) == (1, "")
        image = imread(path)
        assert min(image.shape[:2]) > 300
        assert len(np.unique(image[:, :, 0])) > 10
        path.unlink()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.csv", "same.csv"], "nothing.csv: No such file"),
        (["reference.csv", "same.npy"], "The columns differ: only "),
        (["reference.csv", "same.csv", "--columns", "a,z"], "there is no column 'z'"),
        (["reference.csv", "same.csv", "--columns", "word"], "'word' is not numeric"),
        (["reference.csv", "same.csv", "--delimiter", ";"], "Is the delimiter right"),
        (["reference.csv", "same.csv", "--alpha", "2"], "'alpha' parameter"),
        (["reference.csv", "same.csv", "--gamma", "-1"], "'gamma' parameter"),
        (["reference.csv", "same.csv", "--method", "exact"], "method='exact'"),
        (["reference.csv", "same.csv", "--plot", "figure.nonsense"], "nonsense"),
        (["reference.csv", "same.csv", "--plot", "no/folder/figure.png"], "No such file"),
    ],
)
def test_errors_go_to_stderr_with_status_2(files, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(files)
    status, out, err = run(capsys, "test", *arguments)
    assert status == 2
    assert out == ""
    assert err.startswith("skmmd test: error: ")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["test"],
        ["test", "a.csv"],
        ["test", "a.csv", "b.csv", "--kernel", "precomputed"],
        ["test", "a.csv", "b.csv", "--permutations", "0"],
        ["test", "a.csv", "b.csv", "--gamma", "wide"],
    ],
)
def test_wrong_usage_has_status_2(capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: skmmd" in capsys.readouterr().err


def test_missing_matplotlib_is_named_before_anything_is_done(files, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for arguments in (
        ["test", files / "reference.csv", files / "same.csv", "--plot", files / "x.png"],
        ["tour", "--output", files / "tour"],
    ):
        status, out, err = run(capsys, *arguments)
        assert (status, out) == (2, "")
        assert "pip install skmmd[plot]" in err
    assert not (files / "tour").exists()


def test_columns_with_any_name_are_printed(files):
    content = (files / "reference.csv").read_text("utf-8").replace("b,c", "größe,c", 1)
    (files / "named.csv").write_text(content, "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", CALL, "test", "named.csv", "named.csv"],
        env={**os.environ, "PYTHONIOENCODING": "ascii:strict"},
        cwd=files,
        capture_output=True,
        check=True,
    )
    assert rb"gr\xf6\xdfe  " in done.stdout


def test_warnings_are_told_without_their_source(tmp_path):
    (tmp_path / "one.csv").write_text("x\n1\n")
    (tmp_path / "many.csv").write_text("x\n" + "\n".join(map(str, range(30))))
    done = subprocess.run(
        [sys.executable, "-c", CALL, "test", "one.csv", "many.csv"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert done.stderr.startswith("skmmd test: warning: A group has a single row")
    assert ".py" not in done.stderr


CALL = "import sys; from skmmd._cli import main; sys.exit(main())"


@pytest.mark.parametrize(("current", "status"), [("same", 0), ("shifted", 1), ("absent", 2)])
def test_exit_status_of_the_process(files, current, status):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CALL, "test", "reference.csv", f"{current}.csv"],
        cwd=files,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert bool(done.stderr) == (status == 2)
    assert bool(done.stdout) == (status != 2)


@pytest.mark.skipif(os.name != "posix", reason="closes a pipe")
def test_a_reader_that_goes_away_gets_no_traceback(files):
    process = subprocess.Popen(
        [sys.executable, "-c", CALL, "test", "reference.csv", "shifted.csv"],
        cwd=files,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait()


def test_versions(capsys):
    status, out, _ = run(capsys, "versions")
    assert status == 0
    found = dict(line.split(maxsplit=1) for line in out.splitlines() if line)
    assert found["skmmd"] == skmmd.__version__
    assert found["numpy"] == np.__version__
    assert found["pandas"] == pandas.__version__
    assert found["processors"].startswith(f"{os.cpu_count()},")


def test_a_package_that_is_missing_is_said(capsys, monkeypatch):
    from skmmd._cli import _versions_command

    monkeypatch.setattr(_versions_command, "_OPTIONAL", ("no-such-package-of-skmmd",))
    assert "no-such-package-of-skmmd  not installed" in run(capsys, "versions")[1]


def test_version(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"skmmd {skmmd.__version__}\n"


def test_tables_are_aligned():
    text = format_table([("long name", "1"), ("x", "200")], header=("name", "count"), right=(1,))
    assert text == ("name       count\n---------  -----\nlong name      1\nx            200")
