"""``skmmd versions``: what is installed, and how many threads it uses."""

import argparse
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import joblib
import threadpoolctl

from skmmd import __version__
from skmmd._cli._text import format_table

__all__ = ["add_parser", "run"]

_REQUIRED = ("numpy", "scipy", "scikit-learn", "numba", "joblib", "threadpoolctl", "tqdm")
_OPTIONAL = ("matplotlib", "pandas", "polars", "pyarrow", "dask")
_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_CACHE_DIR",
    "NUMBA_DISABLE_JIT",
    "SCIPY_ARRAY_API",
)


def add_parser(commands: Any) -> None:
    """Add the command to the subparsers."""
    parser = commands.add_parser(
        "versions", help="what is installed, and how many threads it uses", description=__doc__
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print versions and threads."""
    packages = [
        ("skmmd", __version__),
        ("python", platform.python_version()),
        *((name, _installed(name)) for name in _REQUIRED),
        *((name, _installed(name)) for name in _OPTIONAL),
    ]
    threads = [
        ("platform", platform.platform()),
        ("processors", f"{os.cpu_count()}, of which {joblib.cpu_count()} may be used"),
        *(
            (
                str(pool["internal_api"]),
                f"{pool['num_threads']} threads, version {pool.get('version') or 'unknown'}",
            )
            for pool in threadpoolctl.threadpool_info()
        ),
        *((name, os.environ[name]) for name in _VARIABLES if name in os.environ),
    ]
    print(f"{format_table(packages)}\n\n{format_table(threads)}")
    return 0


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
