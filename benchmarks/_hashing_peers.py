"""Other packages' hashes of files and their comparisons, each called as its documentation has it.

Imported by other interpreters too, so nothing of skmmd is imported here. Hashes take an array of
paths and return one string a file; comparisons take arrays of such strings, or of digests.
"""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks._harness import Outcome, Peer

CHUNK = 1 << 20


# --------------------------------------------------------------------------------------
# paths -> hashes


def _contents(path: str, chunked: bool) -> Iterator[bytes]:
    """Yield a file as a whole, or chunk by chunk."""
    with open(path, "rb") as file:
        if not chunked:
            yield file.read()
            return
        while chunk := file.read(CHUNK):
            yield chunk


def python_mmdt(paths: np.ndarray, *, streaming: bool = False, **_: Any) -> Outcome:
    from python_mmdt.mmdt.mmdt import MMDT

    # A path that does not exist ends the whole process: paths come from files just written.
    mmdt = MMDT()
    hash_file = mmdt.mmdt_hash_streaming if streaming else mmdt.mmdt_hash
    return {"hashes": [hash_file(path) for path in paths.tolist()]}


def py_tlsh(paths: np.ndarray, *, chunked: bool = False, **_: Any) -> Outcome:
    import tlsh

    def hash_file(path: str) -> str:
        if not chunked:
            return tlsh.hash(next(_contents(path, False)))
        state = tlsh.Tlsh()
        for chunk in _contents(path, True):
            state.update(chunk)
        state.final()
        return state.hexdigest()

    return {"hashes": [hash_file(path) for path in paths.tolist()]}


def pydeep2(paths: np.ndarray, *, whole: bool = False, **_: Any) -> Outcome:
    import pydeep

    def hash_file(path: str) -> bytes:
        return pydeep.hash_buf(next(_contents(path, False))) if whole else pydeep.hash_file(path)

    return {"hashes": [hash_file(path).decode("ascii") for path in paths.tolist()]}


def ppdeep(paths: np.ndarray, **_: Any) -> Outcome:
    import ppdeep as package

    return {"hashes": [package.hash_from_file(path) for path in paths.tolist()]}


def numpy_histogram(paths: np.ndarray, *, chunked: bool = False, **_: Any) -> Outcome:
    """What one writes by hand in place of a hash: how often each byte occurs."""

    def count(path: str) -> np.ndarray:
        parts = (np.frombuffer(chunk, np.uint8) for chunk in _contents(path, chunked))
        return sum(np.bincount(part, minlength=256) for part in parts)

    return {"checksum": int(sum(count(path).max() for path in paths.tolist()))}


# --------------------------------------------------------------------------------------
# hashes -> all pairs


def _compare_all(strings: np.ndarray, compare: Callable[[str, str], float]) -> Outcome:
    """Compare each pair once, in a loop: these packages have no other way."""
    return {"values": [compare(a, b) for a, b in itertools.combinations(strings.tolist(), 2)]}


def python_mmdt_compare(mmdt: np.ndarray, **_: Any) -> Outcome:
    from python_mmdt.mmdt.mmdt import MMDT

    return _compare_all(mmdt, MMDT().mmdt_compare_hash)


def tlsh_diff(tlsh: np.ndarray, **_: Any) -> Outcome:
    import tlsh as package

    return _compare_all(tlsh, package.diff)


def pydeep_compare(ssdeep: np.ndarray, **_: Any) -> Outcome:
    import pydeep

    return _compare_all(np.char.encode(ssdeep, "ascii"), pydeep.compare)


def scipy_pairs(digests: np.ndarray, *, metric: str, condensed: bool, **_: Any) -> Outcome:
    """All distances of the 16 sensitive bytes; `condensed` is each pair once."""
    from scipy.spatial.distance import cdist, pdist

    X = digests[:, 4:].astype(np.float64)
    distances = pdist(X, metric) if condensed else cdist(X, X, metric)
    return {"last": float(distances.flat[-1])}


# --------------------------------------------------------------------------------------
# queries and references -> matrix of distances, in a file


def _save_distances(
    distance: Callable[[Any, Any], float], queries: list[Any], references: list[Any], out: str
) -> Outcome:
    matrix = np.empty((len(queries), len(references)))
    for row, query in zip(matrix, queries, strict=True):
        row[:] = [distance(query, reference) for reference in references]
    np.save(out, matrix)
    return {}


def tlsh_matrix(
    queries: np.ndarray, references: np.ndarray, *, out: str, length: bool, **_: Any
) -> Outcome:
    """TLSH's distances, with or without what they add for unequal lengths.

    What has no TLSH, being too small or uniform, is far from everything.
    """
    import tlsh

    difference = tlsh.diff if length else tlsh.diffxlen

    def distance(a: str, b: str) -> float:
        return 1e4 if "TNULL" in (a, b) else difference(a, b)

    return _save_distances(distance, queries.tolist(), references.tolist(), out)


def ssdeep_matrix(queries: np.ndarray, references: np.ndarray, *, out: str, **_: Any) -> Outcome:
    """100 minus ssdeep's similarity."""
    import pydeep

    strings = (np.char.encode(each, "ascii").tolist() for each in (queries, references))
    return _save_distances(lambda a, b: 100 - pydeep.compare(a, b), *strings, out)


_CHUNKS = ({"chunked": False}, {"chunked": True})
_MMDT = ("python_mmdt.mmdt.mmdt",)


def _scipy(metric: str, condensed: bool) -> Peer:
    run = functools.partial(scipy_pairs, metric=metric, condensed=condensed)
    return Peer("scipy", run, ("scipy.spatial.distance",))


PEERS = {
    "python-mmdt": Peer(
        "python-mmdt", python_mmdt, _MMDT, ({"streaming": False}, {"streaming": True})
    ),
    "py-tlsh": Peer("py-tlsh", py_tlsh, ("tlsh",), _CHUNKS),
    "pydeep2": Peer("pydeep2", pydeep2, ("pydeep",), ({"whole": False}, {"whole": True})),
    "ppdeep": Peer("ppdeep", ppdeep, ("ppdeep",)),
    "numpy histogram": Peer("numpy", numpy_histogram, ("numpy",), _CHUNKS),
    "python-mmdt compare": Peer("python-mmdt", python_mmdt_compare, _MMDT),
    "tlsh.diff": Peer("py-tlsh", tlsh_diff, ("tlsh",)),
    "pydeep.compare": Peer("pydeep2", pydeep_compare, ("pydeep",)),
    "cdist cityblock": _scipy("cityblock", False),
    "pdist cityblock": _scipy("cityblock", True),
    "cdist euclidean": _scipy("euclidean", False),
    "tlsh.diff matrix": Peer("py-tlsh", functools.partial(tlsh_matrix, length=True), ("tlsh",)),
    "tlsh.diffxlen matrix": Peer(
        "py-tlsh", functools.partial(tlsh_matrix, length=False), ("tlsh",)
    ),
    "ssdeep matrix": Peer("pydeep2", ssdeep_matrix, ("pydeep",)),
}
