"""Environment, hypothesis profiles and fixtures shared by all tests.

The environment is set before anything of NumPy, SciPy or Numba is imported, so nothing of
them may be imported above :func:`_prepare_environment`.
"""

import hashlib
import importlib.util
import os
import tempfile
from pathlib import Path


def _package_folder():
    """Return the folder of skmmd without importing it."""
    spec = importlib.util.find_spec("skmmd")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("skmmd cannot be found; install it first: pip install -e '.[test]'")
    return Path(next(iter(spec.submodule_search_locations)))


def _compiled_sources(package):
    return sorted({package / "_jit.py", *package.rglob("_loops.py")})


def _source_hash(package):
    """Hash all compiled sources: a changed callee leaves Numba's cached caller stale."""
    digest = hashlib.sha256()
    for path in _compiled_sources(package):
        if path.exists():
            digest.update(path.relative_to(package).as_posix().encode() + b"\0")
            digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:20]


def _cache_base():
    """Return the first folder that can be written to for compiled code."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        return Path(given)
    user = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for parent in (Path(user), Path(tempfile.gettempdir())):
        base = parent / "skmmd-tests"
        try:
            base.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(base, os.W_OK):
            return base
    raise RuntimeError("no folder for compiled code can be written to; set NUMBA_CACHE_DIR")


def _prepare_environment():
    os.environ.setdefault("SCIPY_ARRAY_API", "1")  # read by SciPy at import
    os.environ["MPLBACKEND"] = "Agg"
    # Threads that spin while they wait take the processor from the other workers, a hundredfold of
    # what a small array costs.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    base, name = _cache_base(), _source_hash(_package_folder())
    # A worker of pytest-xdist inherits the folder that its parent has already chosen.
    folder = base if base.name == name else base / name
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["NUMBA_CACHE_DIR"] = str(folder)


_prepare_environment()

import hypothesis  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

hypothesis.settings.register_profile("dev", max_examples=25, deadline=None)
hypothesis.settings.register_profile(
    "ci", max_examples=200, derandomize=True, deadline=None, print_blob=True
)
hypothesis.settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)


@pytest.fixture
def rng():
    """Return a NumPy generator that starts at the same place in every test."""
    return np.random.default_rng(20250117)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Deal the tests out in two halves, and the rest of the slower half at the end.

    Fixtures of a module and what tests cache are then made once, not in each worker, and no worker
    is left with a long test while the other has nothing to do.
    """
    if config.getvalue("dist") != "load":  # another way was asked for
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)
