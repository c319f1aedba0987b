"""scikit-learn's own tests of its mixtures, run with the class swapped in."""

import ast
import importlib.util
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

MODULES = (
    "sklearn.mixture.tests.test_gaussian_mixture",
    "sklearn.mixture.tests.test_mixture",
)

# It replaces a private function of scikit-learn by a mock and counts how often it is called.
DESELECTED = "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters"

PLUGIN = """
import pytest
import sklearn.mixture
import skmmd.mixture

sklearn.mixture.GaussianMixture = skmmd.mixture.GaussianMixture


def pytest_collection_modifyitems(items):
    for item in items:
        if item.module.GaussianMixture is not skmmd.mixture.GaussianMixture:
            raise pytest.UsageError(f"{item.nodeid} has not got the swapped class")
"""


def functions_of(module):
    """Return the names of the test functions that a module defines."""
    source = Path(importlib.util.find_spec(module).origin).read_text(encoding="utf-8")
    return {
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Return (function, outcome) of every test that was run, and the output."""
    folder = tmp_path_factory.mktemp("swap")
    (folder / "skmmd_swap.py").write_text(PLUGIN, encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if k != "SCIPY_ARRAY_API"}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(folder), *filter(None, [environment.get("PYTHONPATH")])]
    )
    command = [sys.executable, "-m", "pytest", "-p", "skmmd_swap", "-p", "no:cacheprovider"]
    command += ["-q", "--junitxml", str(folder / "report.xml"), "-k", f"not {DESELECTED}"]
    done = subprocess.run(
        [*command, "--pyargs", *MODULES],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    report = folder / "report.xml"
    output = done.stdout[-6000:] + done.stderr[-2000:]
    assert report.exists(), output
    cases = [
        (
            case.get("name").split("[")[0],
            next((c.tag for c in case if c.tag in ("failure", "error", "skipped")), "passed"),
        )
        for case in ET.parse(report).iter("testcase")
    ]
    return cases, output


@pytest.mark.slow
def test_nothing_fails(outcomes):
    cases, output = outcomes
    failed = sorted({name for name, outcome in cases if outcome in ("failure", "error")})
    assert not failed, output


@pytest.mark.slow
def test_every_function_passed(outcomes):
    """An empty or a skipped run does not pass: but for the array API, every function has run."""
    cases, output = outcomes
    passed = {name for name, outcome in cases if outcome == "passed"}
    expected = {
        name
        for module in MODULES
        for name in functions_of(module)
        if "array_api" not in name and name != DESELECTED
    }
    assert len(expected) >= 35
    assert passed >= expected, output
    assert sum(outcome == "passed" for _, outcome in cases) >= 50
