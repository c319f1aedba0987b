"""What the hashing benchmarks hash: files made from a seed, and files that every Python has.

seed -> random and text contents -> write_files
folders of the interpreter -> installed_files -> labelled_files, windows
content -> EDITS -> near-duplicates
"""

import functools
import hashlib
import itertools
import os
import sysconfig
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

Generator = np.random.Generator


# --------------------------------------------------------------------------------------
# made from a seed


def make_text(n_bytes: int, rng: Generator) -> bytes:
    """Return words of a made-up language in lines, their frequencies by Zipf's law."""
    letters = np.frombuffer(b"etaoinshrdlucmfwypvbgkjqxz", dtype=np.uint8)
    commonness = 1.0 / np.arange(1, len(letters) + 1)
    vocabulary = [
        rng.choice(letters, size, p=commonness / commonness.sum()).tobytes()
        + (b"\n" if i % 12 == 11 else b" ")
        for i, size in enumerate(rng.integers(2, 11, size=2000))
    ]
    frequency = 1.0 / np.arange(1, len(vocabulary) + 1)
    # The shortest word has three bytes, its space included.
    chosen = rng.choice(len(vocabulary), n_bytes // 3 + 1, p=frequency / frequency.sum())
    return b"".join([vocabulary[i] for i in chosen.tolist()])[:n_bytes]


def make_contents(n_files: int, n_bytes: int, rng: Generator) -> list[bytes]:
    """Return contents of equal size, in turn random bytes and text."""
    text = make_text(n_files // 2 * n_bytes, rng)
    return [
        text[i // 2 * n_bytes :][:n_bytes] if i % 2 else rng.bytes(n_bytes) for i in range(n_files)
    ]


def write_files(folder: Path, contents: Sequence[bytes]) -> np.ndarray:
    """Write each content into a file of a new folder, and return the paths."""
    folder.mkdir(parents=True)
    paths = []
    for i, content in enumerate(contents):
        path = folder / f"{i:06d}.bin"
        path.write_bytes(content)
        paths.append(str(path))
    return np.array(paths)


# --------------------------------------------------------------------------------------
# found in the interpreter's folders


@functools.cache
def installed_files() -> tuple[tuple[Path, str, int], ...]:
    """Return path, package and size of the files of the standard library and of site-packages."""
    paths = sysconfig.get_paths()
    standard = {Path(paths[key]).resolve() for key in ("stdlib", "platstdlib")}
    packages = {Path(paths[key]).resolve() for key in ("purelib", "platlib")}
    found = []
    for top in sorted(standard | packages):
        for folder, inner, names in os.walk(top):
            inner[:] = sorted(set(inner) - {"site-packages", "dist-packages"})
            for name in sorted(names):
                path = Path(folder, name)
                if path.is_file() and not path.is_symlink():
                    parts = path.relative_to(top).parts
                    package = parts[0] if top in packages and len(parts) > 1 else ""
                    found.append((path, package, path.stat().st_size))
    return tuple(found)


def labelled_files(
    kind: str, *, n_classes: int, n_each: int, min_each: int, max_bytes: int, rng: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return paths and labels of files with distinct contents, in random order.

    Parameters
    ----------
    kind : {"types", "py packages", "so packages"}
        Label files by their suffix, or those of one suffix by the package they belong to.
    n_classes, n_each, min_each : int
        The largest classes up to `n_classes`, up to `n_each` files of each; a class with fewer
        than `min_each` is left out.
    max_bytes : int
        Size limit; files below 512 bytes are left out too, for the sake of TLSH and ssdeep.
    rng : Generator
        Chooses among the files.
    """
    classes: dict[str, list[Path]] = defaultdict(list)
    for path, package, size in installed_files():
        suffix = path.suffix.lower()
        label = suffix if kind == "types" else package * (suffix == f".{kind.split()[0]}")
        if label and 512 <= size <= max_bytes:
            classes[label].append(path)
    largest = sorted(classes, key=lambda label: (-len(classes[label]), label))
    chosen: list[tuple[str, str]] = []
    n_chosen = 0
    for label in largest:
        distinct = _distinct([classes[label][i] for i in rng.permutation(len(classes[label]))])
        some = [(str(path), label) for path in itertools.islice(distinct, n_each)]
        if len(some) >= min_each:
            chosen += some
            n_chosen += 1
        if n_chosen == n_classes:
            break
    order = rng.permutation(len(chosen)).tolist()
    return np.array([chosen[i][0] for i in order]), np.array([chosen[i][1] for i in order])


def _distinct(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the readable files whose content has not come before."""
    seen = set()
    for path in paths:
        try:
            key = hashlib.sha256(path.read_bytes()).digest()
        except OSError:
            continue
        if key not in seen:
            seen.add(key)
            yield path


def windows(n_windows: int, rng: Generator) -> Iterator[bytes]:
    """Yield pieces of installed files, of 4 to 32 KiB: as many real contents as are asked for."""
    files = [(path, size) for path, _, size in installed_files() if 1 << 14 <= size <= 1 << 22]
    for index in rng.integers(len(files), size=n_windows).tolist():
        path, size = files[index]
        n_bytes = min(int(2.0 ** rng.uniform(12, 15)), size)
        with open(path, "rb") as file:
            file.seek(int(rng.integers(size - n_bytes + 1)))
            yield file.read(n_bytes)


# --------------------------------------------------------------------------------------
# near-duplicates


def _append(content: bytes, rng: Generator, share: float) -> bytes:
    return content + rng.bytes(max(1, int(len(content) * share)))


def _prepend(content: bytes, rng: Generator) -> bytes:
    return rng.bytes(max(1, len(content) // 100)) + content


def _insert(content: bytes, rng: Generator) -> bytes:
    place = int(rng.integers(len(content) + 1))
    return content[:place] + rng.bytes(16) + content[place:]


def _change(content: bytes, rng: Generator) -> bytes:
    changed = np.frombuffer(content, dtype=np.uint8).copy()
    places = rng.choice(len(changed), max(1, len(changed) // 100), replace=False)
    changed[places] ^= rng.integers(1, 256, size=len(places), dtype=np.uint8)
    return changed.tobytes()


def _shuffle(content: bytes, rng: Generator) -> bytes:
    edges = np.linspace(0, len(content), 9).astype(int).tolist()
    order = rng.permutation(8)
    if (order == np.arange(8)).all():
        order = order[::-1]
    return b"".join(content[edges[i] : edges[i + 1]] for i in order.tolist())


EDITS: Mapping[str, Callable[[bytes, Generator], bytes]] = {
    "append 1 %": lambda content, rng: _append(content, rng, 0.01),
    "append 10 %": lambda content, rng: _append(content, rng, 0.1),
    "prepend 1 %": _prepend,
    "insert 16 bytes": _insert,
    "change 1 % of bytes": _change,
    "e to E": lambda content, rng: content.replace(b"e", b"E"),
    "shuffle 8 chunks": _shuffle,
    "truncate to 90 %": lambda content, rng: content[: len(content) * 9 // 10],
}


def version_pairs(old: Path, new: Path) -> tuple[list[str], list[str]]:
    """Return the files that both folders have with different contents, old and new."""
    both: tuple[list[str], list[str]] = ([], [])
    for path in sorted(old.rglob("*")):
        other = new / path.relative_to(old)
        if not (path.is_file() and other.is_file() and path.stat().st_size >= 512):
            continue
        if path.read_bytes() != other.read_bytes():
            both[0].append(str(path))
            both[1].append(str(other))
    return both
