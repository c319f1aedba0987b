"""What the pages of the user guide, and README, show in examples.

Examples with prompts are doctests. Blocks of Python without are run, in the order of a page and in
one namespace, and what they print is not read; a page that speaks of files of its reader finds such
files here.
"""

import doctest
import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

# Some examples show what degenerate data do.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

ROOT = Path(__file__).parents[1]
PAGES = (*sorted((ROOT / "doc" / "user_guide").glob("*.rst")), ROOT / "README.md")
INDEX = "index.rst"  # links alone
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
DIRECTIVE = re.compile(r"^\.\. code-block:: python\n\n((?:(?: +\S.*)?\n)+)", re.MULTILINE)
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What a page measures over many data sets is measured here over a few.
SHORTER = {"range(2000)": "range(5)"}


def files_of_two_kinds(folder):
    """Return what hashing.rst names: files of two kinds, and some more."""
    rng = np.random.default_rng(0)
    paths, labels = [], []
    for i in range(20):
        kind = ("text", "noise")[i % 2]
        high = 127 if kind == "text" else 256
        path = folder / f"{kind} {i}"
        path.write_bytes(rng.integers(32, high, 4000, dtype=np.uint8).tobytes())
        paths.append(str(path))
        labels.append(kind)
    return {"paths": paths[:16], "labels": labels[:16], "new_paths": paths[16:]}


def arrays_in_files(folder):
    """Return what mixture.rst names: arrays in files."""
    rows = np.random.default_rng(0).normal(size=(90, 2))
    np.save(folder / "rows.npy", rows)
    return {"paths": [folder / "rows.npy"] * 2}


NAMED = {"hashing.rst": files_of_two_kinds, "mixture.rst": arrays_in_files}
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def plain_blocks(page):
    pattern = FENCE if page.suffix == ".md" else DIRECTIVE
    blocks = map(textwrap.dedent, pattern.findall(page.read_text(encoding="utf-8")))
    return [block for block in blocks if ">>>" not in block]


@each_page
def test_doctests(page):
    found = doctest.testfile(str(page), module_relative=False, optionflags=FLAGS, encoding="utf-8")
    assert found.failed == 0
    assert found.attempted or plain_blocks(page) or page.name == INDEX


@each_page
def test_plain_blocks(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepare = NAMED.get(page.name, lambda folder: {})
    namespace = {"__name__": page.stem, **prepare(tmp_path)}
    for number, block in enumerate(plain_blocks(page)):
        for long, short in SHORTER.items():
            block = block.replace(long, short)
        exec(compile(block, f"{page.name}, block {number}", "exec"), namespace)
