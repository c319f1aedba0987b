"""The further lanes: `nox` lists them by `nox -l`, and runs one by `nox -s NAME`.

Each session has a virtual environment of its own, so `nox` itself may be installed anywhere.
"""

import os
import re
import shutil
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.error_on_missing_interpreters = False

ENVIRONMENT = {"SCIPY_ARRAY_API": "1", "MPLBACKEND": "Agg"}
# What the slow lanes leave out: rates over many data sets say nothing about the lane.
QUICK = ("-m", "not statistical and not slow")


@nox.session
def lint(session):
    """Run the linters, with the versions that pyproject.toml pins."""
    session.install("--editable", ".[dev]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")
    session.run("lint-imports")
    session.run("numpydoc", "lint", *map(str, sorted(Path("skmmd").rglob("*.py"))))


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def tests(session):
    """Run all tests with the newest of everything."""
    session.install("--editable", ".[test]")
    session.run("pytest", "-n", "2", *session.posargs, env=ENVIRONMENT)


@nox.session
def no_jit(session):
    """Run the loops as plain Python, where a debugger and coverage see what they compute."""
    session.install("--editable", ".[test]")
    env = ENVIRONMENT | {"NUMBA_DISABLE_JIT": "1"}
    # Machine code does not warn of an overflow to infinity, NumPy's scalars do.
    quiet = ("-W", "ignore:overflow encountered:RuntimeWarning")
    loops = map(str, sorted(Path("tests").glob("*/test_*loops.py")))
    session.run("pytest", *quiet, *loops, *session.posargs, env=env)


@nox.session(python="3.11")
def lowest(session):
    """Run the tests with the lowest versions that pyproject.toml allows."""
    project = nox.project.load_toml("pyproject.toml")["project"]
    extra = project["optional-dependencies"]["test"]
    frames = [d for d in extra if d.startswith(("matplotlib", "pandas", "polars", "pyarrow"))]
    pins = [re.sub(r">=(.*)", r"==\1.*", d) for d in [*project["dependencies"], *frames]]
    session.install(*pins, "--editable", ".[test]")
    session.run("pip", "list")
    # Doctests show how NumPy 2 prints, so only `tests` runs.
    session.run("pytest", "-n", "2", "tests", *QUICK, *session.posargs, env=ENVIRONMENT)


@nox.session
def read_only(session):
    """Run the doctests of an installed wheel that finds no folder for compiled code."""
    session.install(".", "pytest", "matplotlib", "pandas")
    purelib = session.run(
        "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", silent=True
    )
    package = Path(purelib.strip(), "skmmd")
    # A file in the place of the cache's folder holds even for root, whom permissions do not.
    for folder in {path.parent for path in package.rglob("*.py")}:
        shutil.rmtree(folder / "__pycache__", ignore_errors=True)
        (folder / "__pycache__").touch()
    empty = session.create_tmp()
    session.chdir(empty)
    env = ENVIRONMENT | {
        "HOME": os.devnull,
        "XDG_CACHE_HOME": os.devnull,
        "NUMBA_CACHE_DIR": None,
        "MPLCONFIGDIR": empty,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    options = ["--doctest-modules", "--pyargs", "skmmd", "-p", "no:cacheprovider", "-W", "error"]
    options += ["-c", os.devnull]  # the checkout's settings would import the checkout
    options += ["-o", "doctest_optionflags=ELLIPSIS NORMALIZE_WHITESPACE NUMBER"]
    session.run("pytest", *options, *session.posargs, env=env)


@nox.session
def workqueue(session):
    """Run the tests with the threading layer of Numba that aborts on concurrent calls."""
    session.install("--editable", ".[test]")
    env = ENVIRONMENT | {"NUMBA_THREADING_LAYER": "workqueue"}
    session.run("pytest", "-n", "2", "tests", *QUICK, *session.posargs, env=env)


@nox.session
def doc(session):
    """Build the documentation and its gallery; a warning is an error."""
    session.install("--editable", ".[doc]")
    session.run(
        "sphinx-build",
        "-W",
        "--keep-going",
        "-b",
        "html",
        "doc",
        "doc/_build/html",
        env=ENVIRONMENT,
    )
