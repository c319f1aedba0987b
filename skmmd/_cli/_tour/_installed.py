"""Files that every installation has, of several kinds: of the standard library and of packages."""

import functools
import hashlib
import importlib.util
import os
import sysconfig
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["InstalledFiles", "installed_files"]

_PACKAGES = ("matplotlib", "numba", "numpy", "scipy", "sklearn")
# Below 4 KiB a hash sees padding; large files would only take time.
_SMALLEST, _LARGEST = 4 * 1024, 128 * 1024
_FEWEST = 20  # files of a kind
_MOST_KINDS = 8


class InstalledFiles(NamedTuple):
    """Files with distinct contents, in the order of their kinds.

    Attributes
    ----------
    names : list of str
        Names of the files, without their folders and versions.
    contents : list of bytes
        What is in them.
    kinds : ndarray of shape (n_files,)
        Their suffixes.
    """

    names: list[str]
    contents: list[bytes]
    kinds: NDArray[np.str_]


@functools.cache
def installed_files(n_each: int) -> InstalledFiles:
    """Read files of the most frequent kinds, `n_each` of a kind or as many as there are.

    What cannot be read is passed over. The choice depends on the names of the files alone.
    """
    by_kind: dict[str, list[tuple[str, Path]]] = defaultdict(list)
    for name, path in _candidates():
        by_kind[path.suffix].append((name, path))
    chosen: list[tuple[str, bytes, str]] = []
    kinds = 0
    for kind in sorted(by_kind, key=lambda kind: (-len(by_kind[kind]), kind)):
        found = list(_read(by_kind[kind], n_each))
        if len(found) >= min(_FEWEST, n_each):
            chosen += [(name, content, kind) for name, content in found]
            kinds += 1
        if kinds == _MOST_KINDS:
            break
    return InstalledFiles(
        names=[name for name, _, _ in chosen],
        contents=[content for _, content, _ in chosen],
        kinds=np.array([kind for _, _, kind in chosen], dtype=str),
    )


def _candidates() -> Iterator[tuple[str, Path]]:
    """Yield name below its folder, and path, of the files that have a suffix and the right size."""
    for top in _folders():
        for folder, inner, names in os.walk(top):
            inner[:] = [name for name in inner if name not in ("site-packages", "dist-packages")]
            for name in names:
                path = Path(folder, name)
                try:
                    fits = path.is_file() and _SMALLEST <= path.stat().st_size <= _LARGEST
                except OSError:
                    continue
                if fits and path.suffix:
                    yield path.relative_to(top).as_posix(), path


def _folders() -> list[Path]:
    """Return the standard library, where it is a folder and no archive, and some packages."""
    folders = [Path(sysconfig.get_path("stdlib"))]
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        folders += [Path(place) for place in (spec and spec.submodule_search_locations) or ()]
    return [folder for folder in folders if folder.is_dir()]


def _read(files: list[tuple[str, Path]], most: int) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of readable files, none of them twice."""
    # By a hash of their names: of all folders, and the same ones on each call.
    files = sorted(files, key=lambda file: hashlib.sha256(file[0].encode()).digest())
    seen: set[bytes] = set()
    for _, path in files:
        if len(seen) == most:
            return
        try:
            content = path.read_bytes()
        except OSError:
            continue
        key = hashlib.sha256(content).digest()
        if key not in seen:
            seen.add(key)
            yield path.name.split(".")[0] + path.suffix, content
