"""Speed, memory and quality of :mod:`skmmd.hashing`, beside its peers where there are any.

``python -m benchmarks.bench_hashing SECTION`` from the repository's root; README.md says what each
section measures and what its figures mean.
"""

import functools
import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from benchmarks._harness import (
    Option,
    Peers,
    Report,
    Settings,
    alternate,
    open_peers,
    peers_option,
    progress,
    quickest_setting,
    resident_mebibytes,
    run_in_child,
    run_sections,
    temporary_folder,
    timed,
)
from benchmarks._hashing_data import (
    EDITS,
    installed_files,
    labelled_files,
    make_contents,
    make_text,
    version_pairs,
    windows,
    write_files,
)
from skmmd.hashing import (
    MMDTIndex,
    MMDTVectorizer,
    mmdt_digest,
    mmdt_format,
    mmdt_hash,
    mmdt_pairs,
    mmdt_parse,
    mmdt_similarity,
    mmdt_std,
)

REGISTRY = "benchmarks._hashing_peers"
MEBI = 2.0**20

Run = Callable[[], tuple[float, Any]]


# --------------------------------------------------------------------------------------
# speed

WANTED_SPEED = {
    "large": {"python-mmdt": 10.0, "py-tlsh": 2.0},
    "small": {"python-mmdt": 10.0, "py-tlsh": 1.0},
}
SLOW = ("ppdeep",)
N_SLOW = 20
"""Files that a peer in plain Python is given, of the small ones only."""


def read_all(paths: Sequence[str]) -> int:
    """Read files as fast as Python can, into one buffer; what is read lies in the page cache."""
    buffer = bytearray(1 << 20)
    total = 0
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while n_bytes := file.readinto(buffer):
                total += n_bytes
    return total


def hash_each(paths: Sequence[str]) -> list[str]:
    return [mmdt_hash(Path(path)) for path in paths]


def hash_together(paths: Sequence[str]) -> list[str]:
    return mmdt_format(mmdt_digest(paths, input="filename", n_jobs=1))


def speed(settings: Settings, report: Report) -> None:
    """Files to hashes in one thread, reading included: ratios to python-mmdt, TLSH and ssdeep."""
    rng = np.random.default_rng(settings.seed)
    half = settings.large_bytes // 2
    with (
        temporary_folder() as folder,
        open_peers(REGISTRY, settings.peers, settings.peer_python) as peers,
    ):
        report.peers(peers)
        large = [rng.bytes(half) + make_text(half, rng)]
        small = make_contents(settings.n_small, settings.small_bytes, rng)
        for kind, contents in {"large": large, "small": small}.items():
            paths = write_files(Path(folder, kind), contents)
            _speed_of(settings, report, peers, kind, paths, sum(map(len, contents)))


def _speed_of(
    settings: Settings, report: Report, peers: Peers, kind: str, paths: np.ndarray, n_bytes: int
) -> None:
    plain = paths.tolist()
    runs: dict[str, Run] = {
        "skmmd mmdt_digest": lambda: timed(lambda: hash_together(plain), 1),
        "skmmd mmdt_hash": lambda: timed(lambda: hash_each(plain), 1),
        "read only": lambda: timed(lambda: read_all(plain), 1),
    }
    peers.put({"paths": paths})
    chosen = {}
    for name in peers.runners:
        if name in SLOW:
            continue
        chosen[name] = quickest_setting(peers, name, 1, {})
        runs[name] = functools.partial(peers.time, name, 1, chosen[name])
    progress(f"{len(plain)} files, {settings.rounds} alternating rounds")
    times = alternate(runs, settings.rounds, min_seconds=settings.turn)
    own, reading = times["skmmd mmdt_digest"], times["read only"].median
    rows = []
    for name, its in times.items():
        found = its.outcome["hashes"] if name == "python-mmdt" else its.outcome
        rows.append(
            {
                "what": name,
                "seconds": its.median,
                "spread": its.spread,
                "runs": its.n_runs,
                "MB/s": n_bytes / its.median / 1e6,
                "/ skmmd": its.median / own.median,
                "of read rate": reading / its.median,
                "same hash": found == own.outcome if _is_mmdt(name) else None,
                "setting": " ".join(f"{k}={v}" for k, v in chosen.get(name, {}).items()),
            }
        )
    if kind == "small":
        rows += _slow_rows(peers, paths[:N_SLOW], n_bytes / len(paths), own.median / n_bytes)
    report.table(
        f"{len(plain)} file(s) of {n_bytes / len(plain):,.0f} bytes, one thread, reading included; "
        "'/ skmmd' is the time divided by that of mmdt_digest",
        rows,
    )
    report.remark(
        f"skmmd mmdt_digest reaches {reading / own.median:.2f} of the page cache's read rate, "
        f"{n_bytes / reading / 1e6:,.0f} MB/s"
    )
    for name, wanted in WANTED_SPEED[kind].items():
        if name in times:
            ratio = times[name].median / own.median
            report.verdict(f"{name} / skmmd, {kind} files", ratio, wanted)


def _is_mmdt(name: str) -> bool:
    return "mmdt" in name


def _slow_rows(
    peers: Peers, paths: np.ndarray, bytes_each: float, own_per_byte: float
) -> list[dict[str, Any]]:
    """Return the rows of peers that are run once, on few files."""
    rows = []
    for name in (name for name in peers.runners if name in SLOW):
        peers.put({"paths": paths})
        seconds, _ = peers.time(name, 1, {})
        n_bytes = bytes_each * len(paths)
        empty = dict.fromkeys(("spread", "of read rate", "same hash"))
        rows.append(
            {
                "what": name,
                "seconds": seconds,
                "runs": 1,
                "MB/s": n_bytes / seconds / 1e6,
                "/ skmmd": seconds / n_bytes / own_per_byte,
                "setting": f"{len(paths)} files",
                **empty,
            }
        )
    return rows


# --------------------------------------------------------------------------------------
# threads


def threads(settings: Settings, report: Report) -> None:
    """How much sooner several threads hash many files than one."""
    rng = np.random.default_rng(settings.seed)
    rows = []
    with temporary_folder() as folder:
        for n_files, n_bytes in settings.files:
            contents = make_contents(n_files, n_bytes, rng)
            paths = write_files(Path(folder, f"{n_files}-{n_bytes}"), contents).tolist()
            runs: dict[str, Run] = {}
            for n_threads in settings.threads:
                for name, objects, kind in (
                    ("paths", paths, "filename"),
                    ("contents", contents, "content"),
                ):
                    call = functools.partial(mmdt_digest, objects, input=kind, n_jobs=n_threads)
                    runs[f"{name} {n_threads}"] = functools.partial(timed, call, n_threads)
            progress(f"{n_files} files of {n_bytes} bytes")
            times = alternate(runs, settings.rounds, min_seconds=settings.turn)
            first = next(iter(times.values())).outcome
            for name, n_threads in itertools.product(("paths", "contents"), settings.threads):
                its = times[f"{name} {n_threads}"]
                one = times[f"{name} {settings.threads[0]}"]
                rows.append(
                    {
                        "files": n_files,
                        "bytes each": n_bytes,
                        "input": name,
                        "threads": n_threads,
                        "seconds": its.median,
                        "spread": its.spread,
                        "MB/s": n_files * n_bytes / its.median / 1e6,
                        "speed-up": one.median / its.median,
                        "same digests": bool(np.array_equal(its.outcome, first)),
                    }
                )
    report.table("mmdt_digest(objects, n_jobs=threads)", rows)
    for row in rows:
        if row["threads"] == 2 and row["input"] == "paths":
            claim = f"two threads / one, {row['files']:,} files of {row['bytes each']:,} bytes"
            report.verdict(claim, row["speed-up"], 1.7)


# --------------------------------------------------------------------------------------
# pairs

LOOPED = {"python-mmdt compare": "python-mmdt", "tlsh.diff": "py-tlsh", "pydeep.compare": "pydeep2"}
ARRAYS = {"python-mmdt": "mmdt", "py-tlsh": "tlsh", "pydeep2": "ssdeep"}


FILLED = "numpy: one value into a float64 matrix"


def window_digests(n_digests: int, rng: np.random.Generator) -> np.ndarray:
    """Return digests of pieces of installed files."""
    batches = []
    pieces = windows(n_digests, rng)
    while batch := list(itertools.islice(pieces, 4000)):
        batches.append(mmdt_digest(batch))
    return np.concatenate(batches)


def hash_strings(peers: Peers, paths: np.ndarray) -> dict[str, np.ndarray]:
    """Return the strings of each hash whose package is there, under the names of `ARRAYS`."""
    peers.put({"paths": paths})
    return {
        key: np.array(peers.time(name, 1, {})[1]["hashes"])
        for name, key in ARRAYS.items()
        if name in peers.runners
    }


def pairs(settings: Settings, report: Report) -> None:
    """All pairs of digests: the matrix, the near pairs alone, and memory at many digests."""
    rng = np.random.default_rng(settings.seed)
    progress(f"{max(settings.n_digests, settings.n_many)} digests of pieces of installed files")
    digests = window_digests(max(settings.n_digests, settings.n_many), rng)
    with (
        temporary_folder() as folder,
        open_peers(REGISTRY, settings.peers, settings.peer_python) as peers,
    ):
        report.peers(peers)
        contents = make_contents(settings.n_strings, 3000, rng)
        strings = hash_strings(peers, write_files(Path(folder, "strings"), contents))
        peers.put({**strings, "digests": digests[: settings.n_digests]})
        _pair_times(settings, report, peers, digests[: settings.n_digests])
        _pairs_of_many(settings, report, digests[: settings.n_many], Path(folder))


def _own_pairs(digests: np.ndarray) -> dict[str, Callable[[], float]]:
    """Return our calls; each frees its result within the time, as the peers' do."""
    calls: dict[str, Callable[[], float]] = {}
    for metric in ("mmdt", "manhattan", "circular"):
        calls[f"mmdt_similarity {metric}"] = lambda metric=metric: float(
            mmdt_similarity(digests, metric=metric)[-1, 0]
        )
        calls[f"mmdt_pairs {metric}"] = lambda metric=metric: mmdt_pairs(digests, metric=metric).nnz
    calls["mmdt_similarity mmdt float32"] = lambda: float(
        mmdt_similarity(digests, dtype=np.float32)[-1, 0]
    )
    # What any full matrix costs, whatever is written into it.
    calls[FILLED] = lambda: float(np.full((len(digests), len(digests)), 1.0)[-1, 0])
    return calls


def _pair_times(settings: Settings, report: Report, peers: Peers, digests: np.ndarray) -> None:
    n, n_strings = len(digests), settings.n_strings
    n_pairs, n_sampled = n * (n - 1) // 2, n_strings * (n_strings - 1) // 2
    calls = _own_pairs(digests)
    runs: dict[str, Run] = {name: functools.partial(timed, call, 1) for name, call in calls.items()}
    for name in peers.runners:
        if name not in ARRAYS:
            runs[name] = functools.partial(peers.time, name, 1, {})
    progress(f"all pairs of {n} digests, {settings.rounds} alternating rounds")
    times = alternate(runs, settings.rounds, min_seconds=settings.turn)
    seconds = {
        name: its.median * (n_pairs / n_sampled if name in LOOPED else 1.0)
        for name, its in times.items()
    }
    report.table(
        f"all pairs of {n:,} digests, one thread; '/ x' is the time divided by that of skmmd x",
        [
            {
                "what": f"skmmd {name}" if name.startswith("mmdt_") else name,
                "seconds": seconds[name],
                "spread": its.spread,
                "million pairs/s": n_pairs / seconds[name] / 1e6,
                **{
                    f"/ {own}": seconds[name] / seconds[own]
                    for own in ("mmdt_similarity mmdt", "mmdt_pairs mmdt")
                },
                "note": f"* {n_sampled:,} pairs" if name in LOOPED else "",
            }
            for name, its in times.items()
        ],
    )
    if set(LOOPED) & set(times):
        report.remark(
            f"* A loop over pairs of strings: timed on all pairs of {n_strings:,} hashes of other "
            "files and scaled to each pair once, as its cost is linear in the pairs."
        )
    _pair_verdicts(report, seconds)


def _pair_verdicts(report: Report, seconds: Mapping[str, float]) -> None:
    for own, peer, wanted in (
        ("mmdt_similarity mmdt", "python-mmdt compare", 1000.0),
        ("mmdt_pairs mmdt", "python-mmdt compare", 1000.0),
        ("mmdt_similarity manhattan", "cdist cityblock", 5.0),
        ("mmdt_pairs manhattan", "cdist cityblock", 5.0),
        ("mmdt_pairs manhattan", "pdist cityblock", 5.0),
    ):
        if peer in seconds:
            report.verdict(f"{peer} / skmmd {own}", seconds[peer] / seconds[own], wanted)


def near_pairs(path: str, threshold: float, metric: str) -> dict[str, Any]:
    """Find the near pairs of saved digests in this process, which does nothing else."""
    digests = np.load(path)
    mmdt_pairs(digests[:100], threshold=threshold, metric=metric)
    before = resident_mebibytes(peak=False)
    found_in, found = timed(lambda: mmdt_pairs(digests, threshold=threshold, metric=metric), 1)
    parts = [vars(found)[key] for key in vars(found)]
    n_bytes = sum(_array_bytes(part) for part in parts)
    return {"seconds": found_in, "n_found": found.nnz, "output": n_bytes / MEBI, "before": before}


def _array_bytes(part: Any) -> int:
    """Return the bytes of the arrays of a sparse matrix's attribute; COO keeps them in a tuple."""
    if isinstance(part, tuple):
        return sum(_array_bytes(each) for each in part)
    return part.nbytes if isinstance(part, np.ndarray) else 0


def _pairs_of_many(settings: Settings, report: Report, digests: np.ndarray, folder: Path) -> None:
    path = folder / "digests.npy"
    np.save(path, digests)
    n = len(digests)
    matrix = n**2 * 8 / MEBI
    rows = []
    for metric in ("mmdt", "circular"):
        progress(f"mmdt_pairs of {n} digests, {metric}")
        found = run_in_child(
            "benchmarks.bench_hashing:near_pairs", path=str(path), threshold=0.95, metric=metric
        )
        if "error" in found:
            report.remark(f"mmdt_pairs of {n:,} digests did not come to its end: {found['error']}")
            continue
        rows.append(
            {
                "metric": metric,
                "seconds": found["seconds"],
                "million pairs/s": n * (n - 1) / 2 / found["seconds"] / 1e6,
                "pairs found": found["n_found"],
                "peak MiB": found["peak_mebibytes"] - found["before"],
                "result MiB": found["output"],
                "matrix MiB": matrix,
            }
        )
    if rows:
        report.table(
            f"mmdt_pairs of {n:,} digests at .95, one thread, a fresh process; the peak is beyond "
            "imports and digests, the matrix would be float64",
            rows,
        )
    # Below that, the working memory of a tile is not small beside the matrix.
    if rows and n >= 100_000:
        worst = max(row["peak MiB"] for row in rows)
        report.verdict("peak memory / matrix", worst / matrix, 0.05, at_least=False)


# --------------------------------------------------------------------------------------
# memory


def hash_file(path: str, small: str) -> dict[str, Any]:
    """Hash a file in this process, which does nothing else."""
    mmdt_hash(Path(small))
    before = resident_mebibytes(peak=False)
    seconds, found = timed(lambda: mmdt_hash(Path(path)), 1)
    return {"seconds": seconds, "hash": found, "before": before}


def memory(settings: Settings, report: Report) -> None:
    """Peak memory while one very large sparse file is hashed."""
    rng = np.random.default_rng(settings.seed)
    n_bytes = int(settings.gibibytes * 2**30)
    with temporary_folder() as folder:
        large, small = Path(folder, "large.bin"), Path(folder, "small.bin")
        small.write_bytes(rng.bytes(1 << 18))
        with open(large, "wb") as file:
            file.truncate(n_bytes)
            for place in (0, n_bytes // 3, n_bytes - (1 << 18)):
                file.seek(place)
                file.write(rng.bytes(1 << 18))
        call = functools.partial(run_in_child, "benchmarks.bench_hashing:hash_file")
        call(path=str(small), small=str(small))  # fills the cache of compiled code
        found = call(path=str(large), small=str(small))
    if "error" in found:
        report.remark(f"did not come to its end: {found['error']}")
        return
    beyond = found["peak_mebibytes"] - found["before"]
    report.table(
        f"mmdt_hash of a sparse file of {settings.gibibytes:g} GiB, a fresh process",
        [
            {
                "seconds": found["seconds"],
                "MB/s": n_bytes / found["seconds"] / 1e6,
                "peak MiB beyond the import": beyond,
                "hash": found["hash"],
            }
        ],
    )
    report.verdict("peak MiB beyond the import", beyond, 100.0, at_least=False)


# --------------------------------------------------------------------------------------
# identical


def sized_contents(sizes: Sequence[int], rng: np.random.Generator) -> list[bytes]:
    """Return three contents of each size: random, text, and few values in long runs."""
    text = make_text(max(sizes) + 1000, rng)
    contents = []
    for size in sizes:
        start = int(rng.integers(1000))
        runs = np.repeat(rng.integers(0, 256, size=size // 50 + 1, dtype=np.uint8), 50)
        contents += [rng.bytes(size), text[start : start + size], runs[:size].tobytes()]
    return contents


def _ways(paths: Sequence[str], contents: Sequence[bytes]) -> dict[str, list[str]]:
    """Return the hashes by each way into the package."""
    return {
        "path": hash_together(paths),
        "content": mmdt_format(mmdt_digest(contents)),
        "file": [mmdt_hash(io.BytesIO(content), input="file") for content in contents],
        "two threads": mmdt_format(mmdt_digest(paths, input="filename", n_jobs=2)),
    }


def identical(settings: Settings, report: Report) -> None:
    """Hashes and similarities against python-mmdt's own, on made and on installed files."""
    rng = np.random.default_rng(settings.seed)
    around = [t + d for t in settings.thresholds for d in range(-20, 21)]
    sets = {
        "sizes 0 to 300": sized_contents(range(settings.largest_small + 1), rng),
        "sizes around the thresholds": sized_contents(around, rng),
        "sizes to 4 MB": sized_contents([int(2 ** rng.uniform(9, 22)) for _ in range(30)], rng),
        "installed files": [
            path.read_bytes() for path in _some_installed(settings.n_installed, rng)
        ],
    }
    rows = []
    with (
        temporary_folder() as folder,
        open_peers(REGISTRY, settings.peers, settings.peer_python) as peers,
    ):
        report.peers(peers)
        for name, contents in sets.items():
            progress(name)
            paths = write_files(Path(folder, name.replace(" ", "-")), contents)
            rows.append({"inputs": name, **_compare_hashes(peers, paths, contents)})
    report.table("inputs whose hash is the same by every way, and as python-mmdt's", rows)
    n_inputs = sum(row["number"] for row in rows)
    agree = sum(row["ways agree"] for row in rows) / n_inputs
    report.verdict("share on which path, content, file and threads agree", agree, 1.0)
    if "python-mmdt" in peers.runners:
        for what in ("hashes", "streamed hashes", "similarities"):
            total = sum(row[f"{what} compared"] for row in rows)
            equal = sum(row[f"{what} equal"] for row in rows) / total
            report.verdict(f"share of {total:,} {what} identical to python-mmdt's", equal, 1.0)
        report.verdict("inputs compared", n_inputs, 1000.0)


def _some_installed(n_files: int, rng: np.random.Generator) -> list[Path]:
    readable = [path for path, _, size in installed_files() if size <= 4e6]
    return [readable[i] for i in rng.permutation(len(readable))[:n_files]]


def _compare_hashes(
    peers: Peers, paths: np.ndarray, contents: Sequence[bytes]
) -> dict[str, int | None]:
    ways = _ways(paths.tolist(), contents)
    own = ways["path"]
    row: dict[str, int | None] = {
        "number": len(own),
        "ways agree": sum(len(set(each)) == 1 for each in zip(*ways.values(), strict=True)),
    }
    if "python-mmdt" not in peers.runners:
        return row
    peers.put({"paths": paths})
    for what, streaming in (("hashes", False), ("streamed hashes", True)):
        theirs = peers.time("python-mmdt", 1, {"streaming": streaming})[1]["hashes"]
        row[f"{what} compared"] = len(own)
        row[f"{what} equal"] = sum(a == b for a, b in zip(own, theirs, strict=True))
    some = np.array(own[:150])
    peers.put({"mmdt": some})
    theirs = peers.time("python-mmdt compare", 1, {})[1]["values"]
    similarity = mmdt_similarity(mmdt_parse(some.tolist()))
    ours = similarity[np.triu_indices(len(some), 1)]
    row["similarities compared"] = len(theirs)
    row["similarities equal"] = int(np.sum(ours == np.array(theirs)))
    return row


# --------------------------------------------------------------------------------------
# index

PLANTED = ("change 1 % of bytes", "insert 16 bytes", "append 1 %")
NEAR = 2600
"""The largest squared distance of a similarity above .95: (.05 * 1020)^2 = 2601."""
INFORMATIVE = 10.0
"""The least `mmdt_std` of a hash that says something about its file."""


def exhaustive_pairs(queries: np.ndarray, digests: np.ndarray) -> np.ndarray:
    """Return the pairs of query and digest more similar than .95, by SciPy; shape (n_pairs, 2)."""
    database = digests[:, 4:].astype(np.float64)
    found = []
    for start in range(0, len(queries), 200):
        block = queries[start : start + 200, 4:].astype(np.float64)
        near = np.argwhere(cdist(block, database, "sqeuclidean") <= NEAR)
        near[:, 0] += start
        found.append(near)
    return np.concatenate(found)


def _exhaustive_by_matrix(queries: np.ndarray, digests: np.ndarray) -> int:
    """Compare each query with all digests, block by block."""
    blocks = (queries[i : i + 200] for i in range(0, len(queries), 200))
    return sum(int((mmdt_similarity(block, digests) > 0.95).sum()) for block in blocks)


def index(settings: Settings, report: Report) -> None:
    """MMDTIndex beside the exhaustive search: what it finds above .95, and what it looks at."""
    rng = np.random.default_rng(settings.seed)
    progress(f"{settings.n_digests} digests of pieces of installed files")
    n_planted = settings.n_planted
    pieces = list(windows(n_planted, rng))
    digests = np.concatenate(
        [mmdt_digest(pieces), window_digests(settings.n_digests - n_planted, rng)]
    )
    edited = [mmdt_digest([EDITS[name](piece, rng) for piece in pieces]) for name in PLANTED]
    queries = np.concatenate([*edited, window_digests(n_planted, rng)])
    progress("exhaustive search")
    near = exhaustive_pairs(queries, digests)
    if not len(near):
        report.remark("no two of these pieces are more similar than .95")
        return
    kinds = _kinds_of_pairs(near, queries, digests, n_planted)
    matrix_seconds, _ = timed(lambda: _exhaustive_by_matrix(queries, digests), 1)
    rows = [
        _index_row(tolerance, digests, queries, near, kinds) for tolerance in settings.tolerances
    ]
    report.table(
        f"{len(queries):,} queries among {len(digests):,} digests of pieces of installed files, "
        f"one thread; comparing all of them takes {matrix_seconds:.3g} s by mmdt_similarity",
        rows,
    )
    counts = ", ".join(f"{kind} {mask.sum():,}" for kind, mask in kinds.items())
    report.remark(f"recall is that of the pairs above .95 that SciPy finds: {counts}")
    for row in (row for row in rows if row["tolerance"] == 1):
        for kind in kinds:
            if row[f"recall, {kind}"] is not None and kind != "coincidence":
                report.verdict(f"recall, {kind}, tolerance 1", row[f"recall, {kind}"], 0.95)
        report.verdict("share scanned, tolerance 1", row["scanned"], 0.01, at_least=False)


def _kinds_of_pairs(
    near: np.ndarray, queries: np.ndarray, digests: np.ndarray, n_planted: int
) -> dict[str, np.ndarray]:
    """Return which of the near pairs are of which kind; all are of the first."""
    query, digest = near.T
    planted = (query < len(PLANTED) * n_planted) & (query % n_planted == digest)
    informative = np.ones(len(near), dtype=bool)
    for rows, which in ((queries, query), (digests, digest)):
        distinct, place = np.unique(which, return_inverse=True)
        std = np.array([mmdt_std(rows[i]) for i in distinct])
        informative &= std[place] >= INFORMATIVE
    # Bytes wrap: blocks whose means are 32 apart have the same one.
    apart = np.abs(queries[query, :4].astype(int) - digests[digest, :4]).max(axis=1)
    return {
        "all": np.ones(len(near), dtype=bool),
        "planted": planted,
        "std >= 10": informative,
        "coincidence": apart >= 16,
    }


def _index_row(
    tolerance: int,
    digests: np.ndarray,
    queries: np.ndarray,
    near: np.ndarray,
    kinds: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    progress(f"tolerance {tolerance}")
    search = MMDTIndex(tolerance=tolerance)
    radius = float(np.sqrt(NEAR + 0.5) / 1020.0)
    search.fit(digests[:100]).radius_neighbors(queries[:10], radius)  # compiles
    fitting, _ = timed(lambda: search.fit(digests), 1)
    finding, found = timed(
        lambda: search.radius_neighbors(queries, radius, return_distance=False), 1
    )
    scanned = search.count_candidates(queries) / len(digests)
    # A pair as one number.
    wanted = near[:, 0] * len(digests) + near[:, 1]
    got = np.concatenate([i * len(digests) + np.asarray(each) for i, each in enumerate(found)])
    hit = np.isin(wanted, got)
    return {
        "tolerance": tolerance,
        "fit s": fitting,
        "query s": finding,
        "scanned": float(scanned.mean()),
        "most scanned": float(scanned.max()),
        **{
            f"recall, {kind}": float(hit[mask].mean()) if mask.any() else None
            for kind, mask in kinds.items()
        },
        "answered": len(np.unique(near[hit, 0])) / len(np.unique(near[:, 0])),
        "found in error": int((~np.isin(got, wanted)).sum()),
    }


# --------------------------------------------------------------------------------------
# quality

RECOMMENDED = "histogram + bigrams L1"
FEATURES: dict[str, tuple[Any, str]] = {
    "MMDT L2 (its similarity)": ("sensitive", "euclidean"),
    "MMDT L1": ("sensitive", "manhattan"),
    "MMDT circular (cos, sin)": ("circular", "euclidean"),
    "MMDT 20 bytes L1": ("all", "manhattan"),
    "sums L1": ("sums", "manhattan"),
    "histogram L1": ("histogram", "manhattan"),
    "bigrams L1": ("bigrams", "manhattan"),
    RECOMMENDED: (["histogram", "bigrams"], "manhattan"),
    "histogram + bigrams L2": (["histogram", "bigrams"], "euclidean"),
}
MATRICES = {
    "TLSH": ("py-tlsh", "tlsh.diff matrix"),
    "TLSH without length": ("py-tlsh", "tlsh.diffxlen matrix"),
    "ssdeep": ("pydeep2", "ssdeep matrix"),
}
Labelled = tuple[np.ndarray, np.ndarray]


def vectors(features: Any, paths: Sequence[str]) -> np.ndarray:
    found = MMDTVectorizer(input="filename", features=features).fit_transform(paths)
    return found.astype(np.float64)


def peer_distances(
    peers: Peers, name: str, queries: np.ndarray, references: np.ndarray, folder: str
) -> np.ndarray:
    """Return the matrix of a peer's distances between two arrays of paths."""
    hasher, comparer = MATRICES[name]
    strings = {}
    for key, paths in (("queries", queries), ("references", references)):
        peers.put({"paths": paths})
        strings[key] = np.array(peers.time(hasher, 1, {})[1]["hashes"])
    peers.put(strings)
    out = Path(folder, "distances.npy")
    peers.time(comparer, 1, {"out": str(out)})
    return np.load(out)


def quality(settings: Settings, report: Report) -> None:
    """Accuracy of KNN and of KMeans, and near-duplicates found, beside TLSH and ssdeep."""
    with (
        temporary_folder() as folder,
        open_peers(REGISTRY, settings.peers, settings.peer_python) as peers,
    ):
        report.peers(peers)
        for kind, n_classes, n_each in settings.data:
            found = labelled_files(
                kind,
                n_classes=n_classes,
                n_each=n_each,
                min_each=settings.min_each,
                max_bytes=settings.max_bytes,
                rng=np.random.default_rng(settings.seed),
            )
            if len(np.unique(found[1])) < 2:
                report.remark(f"skipped {kind}: fewer than two classes of {settings.min_each}")
                continue
            _classify(settings, report, peers, kind, found, folder)
            _compare_strangers(settings, report, kind, found[0])
        _find_edits(settings, report, peers, folder)
        if settings.versions:
            _find_versions(settings, report, peers, folder)


def _classify(
    settings: Settings, report: Report, peers: Peers, kind: str, found: Labelled, folder: str
) -> None:
    paths, labels = found
    folds = StratifiedKFold(5, shuffle=True, random_state=settings.seed)
    classes, counts = np.unique(labels, return_counts=True)
    rows = []
    for name, (features, metric) in FEATURES.items():
        progress(f"{kind}: {name}")
        X = vectors(features, paths.tolist())
        knn = KNeighborsClassifier(1, metric=metric, algorithm="brute")
        scores = cross_val_score(knn, X, labels, cv=folds)
        kmeans = KMeans(len(classes), n_init=settings.n_init, random_state=settings.seed)
        clusters = kmeans.fit_predict(X)
        rows.append(_quality_row(name, scores, adjusted_rand_score(labels, clusters)))
    for name in _matrices(peers):
        progress(f"{kind}: {name}")
        D = peer_distances(peers, name, paths, paths, folder)
        knn = KNeighborsClassifier(1, metric="precomputed")
        rows.append(_quality_row(name, cross_val_score(knn, D, labels, cv=folds), None))
    listed = ", ".join(f"{name} {n}" for name, n in zip(classes, counts, strict=True))
    report.table(
        f"{kind}: {len(paths):,} files, {len(classes)} classes ({listed}); 1-NN by stratified "
        "5-fold cross-validation, KMeans by the adjusted Rand index",
        rows,
    )
    accuracy = {row["what"]: row["accuracy"] for row in rows}
    for name in _matrices(peers):
        claim = f"{kind}: accuracy of {RECOMMENDED}, beside {name}"
        report.verdict(claim, accuracy[RECOMMENDED], accuracy[name])


def _compare_strangers(settings: Settings, report: Report, kind: str, paths: np.ndarray) -> None:
    """How similar files are that have nothing to do with each other."""
    digests = mmdt_digest(paths, input="filename")
    rng = np.random.default_rng(settings.seed)
    groups = {
        "all": digests,
        "mmdt_std >= 10": digests[mmdt_std(digests) >= 10],
        "4 random contents of 2 MB": mmdt_digest([rng.bytes(2_000_000) for _ in range(4)]),
    }
    rows = []
    for name, group in groups.items():
        similarities = mmdt_similarity(group)[np.triu_indices(len(group), 1)]
        if len(similarities):
            low, middle, high = np.quantile(similarities, [0.0, 0.5, 0.99])
            row = {"smallest": low, "median": middle, "99th percentile": high}
            rows.append({"what": name, "pairs": len(similarities), **row})
    report.table(f"{kind}: similarity of different files", rows)


def _matrices(peers: Peers) -> list[str]:
    return [name for name, both in MATRICES.items() if set(both) <= set(peers.runners)]


def _quality_row(name: str, scores: np.ndarray, rand_index: float | None) -> dict[str, Any]:
    return {
        "what": name,
        "accuracy": float(scores.mean()),
        "± over folds": float(scores.std(ddof=1) / np.sqrt(len(scores))),
        "KMeans ARI": rand_index,
    }


def first_found(distances: np.ndarray) -> float:
    """Return how often the nearest is the one of the same place, ties counted by their chances."""
    own = np.diag(distances)
    nearest = distances.min(axis=1)
    n_tied = (distances == nearest[:, None]).sum(axis=1)
    return float(np.mean((own == nearest) / n_tied))


def near_duplicates(
    peers: Peers, queries: np.ndarray, references: np.ndarray, folder: str
) -> dict[str, float]:
    """Return by each feature and peer how often the original is the nearest."""
    found = {}
    for name, (features, metric) in FEATURES.items():
        X, Y = (vectors(features, each.tolist()) for each in (queries, references))
        found[name] = first_found(cdist(X, Y, metric.replace("manhattan", "cityblock")))
    for name in _matrices(peers):
        found[name] = first_found(peer_distances(peers, name, queries, references, folder))
    return found


def _find_edits(settings: Settings, report: Report, peers: Peers, folder: str) -> None:
    rng = np.random.default_rng(settings.seed)
    originals, _ = labelled_files(
        "types",
        n_classes=15,
        n_each=max(1, settings.n_edited // 15),
        min_each=1,
        max_bytes=settings.max_bytes,
        rng=rng,
    )
    contents = [Path(path).read_bytes() for path in originals]
    found = {}
    for i, (name, edit) in enumerate(EDITS.items()):
        progress(f"near-duplicates: {name}")
        edited = write_files(Path(folder, f"edit{i}"), [edit(each, rng) for each in contents])
        found[name] = near_duplicates(peers, edited, originals, folder)
    report.table(
        f"share of {len(contents)} edited installed files whose nearest original is their own",
        [
            {"what": what, **{edit: rates[what] for edit, rates in found.items()}}
            for what in next(iter(found.values()))
        ],
    )


def _find_versions(settings: Settings, report: Report, peers: Peers, folder: str) -> None:
    old, new = version_pairs(*(Path(each).resolve() for each in settings.versions))
    if not old:
        report.remark("the two folders share no file whose content changed")
        return
    found = near_duplicates(peers, np.array(new), np.array(old), folder)
    report.table(
        f"share of {len(old)} files changed between {settings.versions[0]} and "
        f"{settings.versions[1]} whose nearest old file is their own",
        [{"what": what, "found": rate} for what, rate in found.items()],
    )


# --------------------------------------------------------------------------------------
# command line


def _numbers(text: str) -> tuple[int, int]:
    n_files, n_bytes = text.split(":")
    return int(n_files), int(n_bytes)


def _kind(text: str) -> tuple[str, int, int]:
    kind, n_classes, n_each = text.split(":")
    return kind, int(n_classes), int(n_each)


_ROUNDS = Option(5, 1, "alternating rounds")

SECTIONS: dict[str, tuple[Callable[[Settings, Report], None], dict[str, Option]]] = {
    "speed": (
        speed,
        {
            "large_bytes": Option(50_000_000, 200_000, "bytes of the large file"),
            "n_small": Option(1000, 6, "number of small files"),
            "small_bytes": Option(10_000, 10_000, "bytes of each small file"),
            "rounds": _ROUNDS,
            "peers": peers_option("python-mmdt", "py-tlsh", "pydeep2", "ppdeep", "numpy histogram"),
        },
    ),
    "threads": (
        threads,
        {
            "files": Option(
                ((4000, 10_000), (1000, 100_000), (200, 1_000_000)),
                ((20, 10_000), (4, 100_000)),
                "number of files and bytes of each, as n:bytes",
                _numbers,
            ),
            "threads": Option((1, 2), (1, 2), "numbers of threads"),
            "rounds": _ROUNDS,
        },
    ),
    "pairs": (
        pairs,
        {
            "n_digests": Option(20_000, 200, "digests of which all pairs are compared"),
            "n_strings": Option(600, 20, "hashes of which peers in a loop compare all pairs"),
            "n_many": Option(200_000, 300, "digests whose near pairs are found"),
            "rounds": Option(3, 1, "alternating rounds"),
            "peers": peers_option(
                *ARRAYS, *LOOPED, "cdist cityblock", "pdist cityblock", "cdist euclidean"
            ),
        },
    ),
    "memory": (memory, {"gibibytes": Option(3.0, 0.01, "GiB of the sparse file", float)}),
    "identical": (
        identical,
        {
            "largest_small": Option(300, 10, "all sizes up to that many bytes"),
            "thresholds": Option(
                (4096, 8192, 32_768, 131_072), (4096,), "bytes around which sizes are tried"
            ),
            "n_installed": Option(1000, 10, "installed files"),
            "peers": peers_option("python-mmdt", "python-mmdt compare"),
        },
    ),
    "index": (
        index,
        {
            "n_digests": Option(100_000, 300, "digests in the index"),
            "n_planted": Option(1000, 20, "pieces whose near-duplicates are looked for"),
            "tolerances": Option((0, 1, 2), (0, 1, 2), "tolerances of the index"),
        },
    ),
    "quality": (
        quality,
        {
            "data": Option(
                (("types", 15, 120), ("py packages", 12, 120), ("so packages", 8, 60)),
                (("types", 3, 8), ("py packages", 2, 6)),
                "kind of labels, most classes and files of each, as kind:classes:files",
                _kind,
            ),
            "min_each": Option(25, 5, "files that a class needs"),
            "max_bytes": Option(1_000_000, 20_000, "largest file"),
            "n_edited": Option(400, 15, "files that are edited"),
            "n_init": Option(5, 1, "starts of KMeans"),
            "versions": Option((), (), "two unpacked versions of a package: old, new", str),
            "peers": peers_option(*dict.fromkeys(itertools.chain(*MATRICES.values()))),
        },
    ),
}


def main(arguments: Sequence[str] | None = None) -> Report:
    """Run sections as the command line says."""
    return run_sections(
        "python -m benchmarks.bench_hashing", __doc__.split("\n")[0], SECTIONS, arguments
    )


if __name__ == "__main__":
    main()
