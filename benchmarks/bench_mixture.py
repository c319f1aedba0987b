"""Speed, memory and convergence of :mod:`skmmd.mixture`, beside its peers where there are any.

``python -m benchmarks.bench_mixture SECTION`` from the repository's root; README.md says what each
section measures and what its figures mean.
"""

import bisect
import contextlib
import functools
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.mixture
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from benchmarks._harness import (
    Option,
    Peers,
    Report,
    Settings,
    Times,
    alternate,
    fit_quietly,
    open_peers,
    peers_option,
    progress,
    release_memory,
    resident_mebibytes,
    run_in_child,
    run_sections,
    temporary_folder,
    timed,
)
from benchmarks._mixture_data import (
    LABELLED,
    VARIANCE,
    Case,
    Shape,
    slow_cases,
    two_components,
    write_rows,
)
from benchmarks._mixture_peers import COVARIANCE_TYPES, equal_start, scikit_learn
from skmmd._jit import exp, loop
from skmmd.mixture import GaussianMixture

REGISTRY = "benchmarks._mixture_peers"
OURS = "skmmd"

Run = Callable[[], tuple[float, Any]]


def fixed_passes(
    means: np.ndarray,
    covariance_type: str,
    n_iterations: int,
    *,
    variance: float = VARIANCE,
    n_threads: int = 1,
) -> GaussianMixture:
    """Return our model that will make so many EM iterations from the start that all share."""
    return GaussianMixture(
        len(means),
        covariance_type=covariance_type,
        tol=0.0,
        reg_covar=0.0,
        max_iter=n_iterations,
        n_jobs=n_threads,
        **equal_start(covariance_type, means, variance),
    )


# --------------------------------------------------------------------------------------
# speed, and daal

WANTED_SPEED = {
    "full d=2 k=8": 20.0,
    "full d=8 k=32": 10.0,
    "full d=16 k=32": 8.0,
    "full d=64 k=32": 2.5,
    "tied d=16 k=32": 12.0,
    "tied d=64 k=128": 30.0,
    "diag d=8 k=32": 6.0,
    "spherical d=2 k=8": 12.0,
}
EQUAL = 1e-9
"""Relative difference of log-likelihoods that are the same."""


@dataclass
class Cost:
    """What fits of one package took from the same start: of all iterations, and of a single one."""

    whole: Times
    single: Times
    n_iterations: int

    @property
    def fit(self) -> float:
        return self.whole.median

    @property
    def each(self) -> float:
        """Return the seconds that a further iteration takes; a fit's fixed costs cancel."""
        return (self.whole.median - self.single.median) / (self.n_iterations - 1)

    @property
    def log_likelihood(self) -> float:
        return self.whole.outcome["log_likelihood"]


def our_fit(data: dict[str, np.ndarray], shape: Shape, n_iterations: int, n_threads: int) -> Run:
    """Return a run for :func:`alternate`."""
    means = data["means"]

    def fit() -> dict[str, Any]:
        model = fixed_passes(means, shape.covariance_type, n_iterations, n_threads=n_threads)
        fit_quietly(model, data["X"])
        return {"log_likelihood": float(model.lower_bound_), "n_iter": int(model.n_iter_)}

    return lambda: timed(fit, n_threads)


def costs(shape: Shape, names: Sequence[str], peers: Peers, settings: Settings) -> dict[str, Cost]:
    """Time ours and the peers in turn, at one thread, on data that the peers are given here.

    A peer may stop where nothing changes any more: then all make fewer iterations.
    """
    data = shape.draw(settings.seed)
    peers.put(data)
    runs: dict[str, Run] = {}
    for name in [OURS, *names]:
        for label, count in ((name, shape.n_iterations), (f"{name}, once", 1)):
            if name == OURS:
                runs[label] = our_fit(data, shape, count, 1)
                continue
            told = {
                "variance": VARIANCE,
                "covariance_type": shape.covariance_type,
                "n_iterations": count,
            }
            runs[label] = functools.partial(peers.time, name, 1, told)
    progress(f"{shape.model}, n={shape.n}: {settings.rounds} alternating rounds")
    times = alternate(runs, settings.rounds, min_seconds=settings.turn)
    found = {
        name: Cost(times[name], times[f"{name}, once"], shape.n_iterations)
        for name in [OURS, *names]
    }
    fewest = min(cost.whole.outcome["n_iter"] for cost in found.values())
    if fewest < shape.n_iterations:
        # The last iteration of one that stopped may be half of one.
        if fewest < 3:
            raise RuntimeError(f"{shape.model}: too few iterations to compare, {fewest}")
        return costs(replace(shape, n_iterations=fewest - 1), names, peers, settings)
    return found


def _ratio_rows(shape: Shape, found: dict[str, Cost]) -> list[dict[str, Any]]:
    ours = found[OURS]
    return [
        {
            "model": shape.model,
            "n": shape.n,
            "iterations": cost.n_iterations,
            "package": name,
            "seconds": cost.fit,
            "spread": cost.whole.spread,
            "ms an iteration": 1e3 * cost.each,
            "/ fit": cost.fit / ours.fit,
            "/ iteration": cost.each / ours.each,
            "log-likelihood": cost.log_likelihood,
            "difference": abs(cost.log_likelihood / ours.log_likelihood - 1.0),
        }
        for name, cost in found.items()
    ]


def _paired(
    settings: Settings, report: Report, title: str, wanted: Callable[[str, str], Any]
) -> None:
    """Time every shape with every peer that has it; `wanted` of peer and model may be None."""
    rows: list[dict[str, Any]] = []
    with open_peers(REGISTRY, settings.peers, settings.peer_python) as peers:
        report.peers(peers)
        for shape in settings.shapes:
            names = [n for n in peers.runners if shape.covariance_type in COVARIANCE_TYPES[n]]
            rows += _ratio_rows(shape, costs(shape, names, peers, settings))
    report.table(title, rows)
    for row in rows:
        ratio = wanted(row["package"], row["model"])
        if ratio is not None:
            # Of a fit's fixed costs and of its iterations, what speaks less for us.
            report.verdict(
                f"{row['package']} / skmmd, {row['model']}, n={row['n']:,}",
                min(row["/ fit"], row["/ iteration"]),
                ratio,
            )
    others = [row["difference"] for row in rows if row["package"] != OURS]
    if others:
        claim = "largest relative difference of the log-likelihoods"
        report.verdict(claim, max(others), EQUAL, at_least=False)


def speed(settings: Settings, report: Report) -> None:
    """The same start and number of EM iterations, one thread each: ratios to scikit-learn."""
    _paired(
        settings,
        report,
        "One thread; '/ fit' and '/ iteration' are the package's time divided by that of skmmd",
        lambda package, model: WANTED_SPEED.get(model) if package == "scikit-learn" else None,
    )


def daal(settings: Settings, report: Report) -> None:
    """The same against daal4py's low-level `em_gmm`, small data included: parity or better."""
    _paired(
        settings,
        report,
        "One thread; '/ fit' and '/ iteration' are the package's time divided by that of skmmd",
        lambda package, model: 1.0 if package == "daal4py" else None,
    )


# --------------------------------------------------------------------------------------
# memory


def fit_alone(package: str, folder: str, covariance_type: str, n_iterations: int) -> dict[str, Any]:
    """Fit in this process, which does nothing else."""
    X, means = (np.load(Path(folder, f"{name}.npy")) for name in ("X", "means"))

    def fit(rows: np.ndarray) -> None:
        if package == OURS:
            fit_quietly(fixed_passes(means, covariance_type, n_iterations), rows)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            scikit_learn(
                rows,
                means,
                variance=VARIANCE,
                covariance_type=covariance_type,
                n_iterations=n_iterations,
            )

    fit(X[: len(X) // 10].copy())  # compiles, and starts what BLAS starts
    release_memory()
    before = resident_mebibytes(peak=False)
    seconds, _ = timed(lambda: fit(X), 1)
    return {"seconds": seconds, "before": before, "data": X.nbytes / 2**20}


def memory(settings: Settings, report: Report) -> None:
    """Peak memory of a fit beyond its data, ours and scikit-learn's, in fresh processes."""
    rows: list[dict[str, Any]] = []
    for shape in settings.shapes:
        beyond = {}
        with temporary_folder() as folder:
            for name, array in shape.draw(settings.seed).items():
                np.save(Path(folder, f"{name}.npy"), array)
            for package in (OURS, "scikit-learn"):
                progress(f"{shape.model}: {package}")
                found = run_in_child(
                    "benchmarks.bench_mixture:fit_alone",
                    package=package,
                    folder=folder,
                    covariance_type=shape.covariance_type,
                    n_iterations=shape.n_iterations,
                )
                if "error" in found:
                    report.remark(f"{package}, {shape.model}, ended: {found['error']}")
                    continue
                beyond[package] = found["peak_mebibytes"] - found["before"]
                rows.append(
                    {
                        "model": shape.model,
                        "n": shape.n,
                        "package": package,
                        "peak MiB beyond X": beyond[package],
                        "X MiB": found["data"],
                        "/ skmmd": None,
                    }
                )
        if len(beyond) == 2:
            rows[-1]["/ skmmd"] = beyond["scikit-learn"] / max(beyond[OURS], 2.0**-8)
            rows[-2]["/ skmmd"] = 1.0
    if not rows:
        return
    report.table(f"{settings.shapes[0].n_iterations} EM iterations, a fresh process for each", rows)
    for row in rows:
        if row["package"] == "scikit-learn" and row["/ skmmd"] is not None:
            report.verdict(f"scikit-learn / skmmd, peak, {row['model']}", row["/ skmmd"], 30.0)


# --------------------------------------------------------------------------------------
# threads


def threads(settings: Settings, report: Report) -> None:
    """How much sooner several threads fit a million rows than one."""
    rows = []
    for shape in settings.shapes:
        data = shape.draw(settings.seed)
        runs = {
            str(n_threads): our_fit(data, shape, shape.n_iterations, n_threads)
            for n_threads in settings.threads
        }
        progress(f"{shape.model}, n={shape.n}")
        times = alternate(runs, settings.rounds, min_seconds=settings.turn)
        one = times[str(settings.threads[0])]
        rows += [
            {
                "model": shape.model,
                "n": shape.n,
                "threads": n_threads,
                "seconds": times[str(n_threads)].median,
                "spread": times[str(n_threads)].spread,
                "speed-up": one.median / times[str(n_threads)].median,
                "same result": times[str(n_threads)].outcome == one.outcome,
            }
            for n_threads in settings.threads
        ]
    report.table(f"{settings.shapes[0].n_iterations} EM iterations, n_jobs=threads", rows)
    for row in rows:
        if row["threads"] == 2:
            claim = f"two threads / one, {row['model']}, n={row['n']:,}"
            report.verdict(claim, row["speed-up"], 1.7)


# --------------------------------------------------------------------------------------
# fits


def _fit_and_score(make: Callable[[], Any], X: np.ndarray, held_out: np.ndarray) -> Run:
    def run() -> tuple[float, dict[str, Any]]:
        seconds, model = timed(lambda: fit_quietly(make(), X), 1)
        return seconds, {"score": float(model.score(held_out)), "n_iter": int(model.n_iter_)}

    return run


def _default_models(k: int, seed: int) -> dict[str, Callable[[], Any]]:
    own = functools.partial(GaussianMixture, k, random_state=seed)
    return {
        OURS: own,
        "skmmd auto, squarem": functools.partial(own, init_params="auto", accelerate="squarem"),
        "scikit-learn": functools.partial(sklearn.mixture.GaussianMixture, k, random_state=seed),
    }


def fits(settings: Settings, report: Report) -> None:
    """Whole fits by the constructors' defaults: time, and log-likelihood of rows held out."""
    for d, k, n in settings.sizes:
        seconds: dict[str, list[float]] = {}
        outcomes: dict[str, list[dict[str, Any]]] = {}
        for i in range(settings.repetitions):
            seed = settings.seed + i
            shape = Shape("full", d, k, n + n // 4, 0)
            rows = shape.draw(seed)["X"]
            runs = {
                name: _fit_and_score(make, rows[:n], rows[n:])
                for name, make in _default_models(k, seed).items()
            }
            progress(f"d={d} k={k} n={n}: data set {i + 1} of {settings.repetitions}")
            times = alternate(runs, 1, min_seconds=0.0, warm=i == 0)
            for name, its in times.items():
                seconds.setdefault(name, []).append(its.median)
                outcomes.setdefault(name, []).append(its.outcome)
        _report_fits(report, f"d={d} k={k} n={n:,}", seconds, outcomes)


def _report_fits(
    report: Report,
    size: str,
    seconds: dict[str, list[float]],
    outcomes: dict[str, list[dict[str, Any]]],
) -> None:
    theirs = np.array(seconds["scikit-learn"])
    their_scores = np.array([outcome["score"] for outcome in outcomes["scikit-learn"]])
    rows = []
    for name, taken in seconds.items():
        gain = np.array([outcome["score"] for outcome in outcomes[name]]) - their_scores
        rows.append(
            {
                "model": name,
                "seconds": float(np.median(taken)),
                "scikit-learn /": float(np.median(theirs / taken)),
                "passes": float(np.median([outcome["n_iter"] for outcome in outcomes[name]])),
                "score": float(np.mean(their_scores + gain)),
                "gain": float(np.median(gain)),
                "least gain": float(gain.min()),
                "largest gain": float(gain.max()),
            }
        )
    report.table(
        f"{size}, full, {len(theirs)} data sets, one thread; 'gain' is the mean log-likelihood of "
        "a row held out, beyond scikit-learn's on the same data",
        rows,
    )
    ours = next(row for row in rows if row["model"] == OURS)
    report.verdict(f"scikit-learn / skmmd, default fit, {size}", ours["scikit-learn /"], 5.0)
    report.verdict(f"median gain of skmmd, default fit, {size}", ours["gain"], -1e-3)


# --------------------------------------------------------------------------------------
# growth


def anonymous_mebibytes() -> float:
    """Return the memory of this process that is its own: a mapped file's pages are not."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    return resident_mebibytes(peak=False)


@contextlib.contextmanager
def watched_memory(seconds: float = 0.002) -> Iterator[list[float]]:
    """Look at the own memory again and again; the system keeps no peak of it."""
    seen = [anonymous_mebibytes()]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(seconds):
            seen.append(anonymous_mebibytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()
        seen.append(anonymous_mebibytes())


def row_chunks(X: np.ndarray, n_rows: int) -> Iterator[np.ndarray]:
    for first in range(0, len(X), n_rows):
        yield np.array(X[first : first + n_rows])


def fit_file(folder: str, way: str, n: int, n_iterations: int, n_threads: int) -> dict[str, Any]:
    """Fit the first n rows of a mapped file in this process, which does nothing else."""
    X = np.load(Path(folder, "X.npy"), mmap_mode="r")[:n]
    means = np.load(Path(folder, "means.npy"))

    def fit(rows: np.ndarray) -> None:
        model = fixed_passes(means, "full", n_iterations, n_threads=n_threads)
        if way == "fit":
            fit_quietly(model, rows)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit_chunks(functools.partial(row_chunks, rows, 65_536))

    fit(np.array(X[:1000]))
    release_memory()
    before = anonymous_mebibytes()
    with watched_memory() as seen:
        seconds, _ = timed(lambda: fit(X), n_threads)
    return {
        "seconds": seconds / n_iterations,
        "before": before,
        "beyond": max(seen) - before,
        "data": n * X.shape[1] * 8 / 2**20,
    }


GROWTH_D = GROWTH_K = 8


def growth(settings: Settings, report: Report) -> None:
    """Seconds of an EM iteration and peak memory on a mapped file as the rows grow."""
    rows: list[dict[str, Any]] = []
    with temporary_folder() as folder:
        progress(f"writes {max(settings.n_samples):,} rows")
        path = str(Path(folder, "X.npy"))
        centers = write_rows(path, max(settings.n_samples), GROWTH_D, GROWTH_K, settings.seed)
        np.save(Path(folder, "means.npy"), centers)
        for way in ("fit", "fit_chunks"):
            last = None
            for n in settings.n_samples:
                progress(f"{way} n={n}")
                found = run_in_child(
                    "benchmarks.bench_mixture:fit_file",
                    folder=folder,
                    way=way,
                    n=n,
                    n_iterations=settings.n_iterations,
                    n_threads=settings.threads[0],
                )
                if "error" in found:
                    report.remark(f"{way} n={n:,} did not come to its end: {found['error']}")
                    continue
                rows.append(_growth_row(way, n, found, last))
                last = rows[-1]
    if not rows:
        return
    report.table(
        f"d = {GROWTH_D}, k = {GROWTH_K}, full, {settings.n_iterations} EM iterations, "
        f"{settings.threads[0]} thread(s), a fresh process for each; memory without the pages of "
        "the mapped file",
        rows,
    )
    for row in (row for row in rows if row["n"] == max(settings.n_samples)):
        claim = f"peak MiB beyond libraries, {row['way']}, n={row['n']:,}"
        report.verdict(claim, row["peak MiB beyond"], 64.0, at_least=False)


def _growth_row(
    way: str, n: int, found: dict[str, Any], last: dict[str, Any] | None
) -> dict[str, Any]:
    exponent = None
    if last is not None:
        exponent = float(np.log(found["seconds"] / last["seconds"]) / np.log(n / last["n"]))
    return {
        "way": way,
        "n": n,
        "seconds": found["seconds"],
        "ns a row": 1e9 * found["seconds"] / n,
        "exponent": exponent,
        "peak MiB beyond": found["beyond"],
        "libraries MiB": found["before"],
        "file MiB": found["data"],
    }


# --------------------------------------------------------------------------------------
# roofline

# Fractions of the dgemm rate that a prototype's operations alone came to.
WANTED_FRACTION = {
    "full d=2 k=8": 0.28,
    "full d=8 k=32": 0.34,
    "full d=16 k=32": 0.52,
    "full d=64 k=32": 0.52,
    "tied d=16 k=32": 0.45,
    "tied d=64 k=128": 0.45,
}
FORMULA = (
    "operations of an EM iteration: 4 n k p (a multiplication and an addition, in the E and in the "
    "M step, for each row, component and one of p features), with p = d + d(d+1)/2 if full, d if "
    "tied (products of columns are summed once for all iterations), 2d if diagonal, d + 1 if "
    "spherical; and n k exps"
)


def n_operations(shape: Shape) -> float:
    """Return the operations of an ideal EM iteration, as `FORMULA` says."""
    d = shape.d
    p = {"full": d + d * (d + 1) / 2, "tied": d, "diag": 2 * d, "spherical": d + 1}
    return 4.0 * shape.n * shape.k * p[shape.covariance_type]


@loop
def _exps(block, out, n_times):
    for _i in range(n_times):
        for j in range(block.size):
            out[j] = exp(block[j])


def machine_rates(settings: Settings) -> tuple[float, float]:
    """Return operations a second of a large dgemm, and exps a second in the cache; one thread."""
    rng = np.random.default_rng(settings.seed)
    order = settings.order
    A, B = rng.standard_normal((2, order, order))
    C = np.empty_like(A)
    block, n_times = -30.0 * rng.random(4096), 256
    out = np.empty_like(block)
    runs: dict[str, Run] = {
        "dgemm": functools.partial(timed, lambda: np.matmul(A, B, out=C), 1),
        "exp": functools.partial(timed, lambda: _exps(block, out, n_times), 1),
    }
    times = alternate(runs, settings.rounds, min_seconds=settings.turn)
    # The machine's own pace is the best it shows.
    quickest = {
        name: min(s for seconds in its.rounds for s in seconds) for name, its in times.items()
    }
    return 2.0 * order**3 / quickest["dgemm"], n_times * block.size / quickest["exp"]


def roofline(settings: Settings, report: Report) -> None:
    """Which part of an iteration its operations and exps take at the machine's own rates."""
    flops, exps = machine_rates(settings)
    report.remark(f"dgemm {flops / 1e9:.1f} Gflop/s, our exp {exps / 1e6:.0f} million/s")
    report.remark(FORMULA)
    rows = []
    nobody = Peers({}, {}, {}, {})
    for shape in settings.shapes:
        each = costs(shape, (), nobody, settings)[OURS].each
        products, entries = n_operations(shape), shape.n * shape.k
        rows.append(
            {
                "model": shape.model,
                "n": shape.n,
                "ms an iteration": 1e3 * each,
                "Gflop/s": products / each / 1e9,
                "ns an entry": 1e9 * each / entries,
                "products": products / flops / each,
                "exps": entries / exps / each,
                "both": (products / flops + entries / exps) / each,
            }
        )
    report.table(
        "One thread; the last columns are the fractions of an iteration's time that its products, "
        "its exps and both would take at the machine's rates",
        rows,
    )
    for row in rows:
        if row["model"] in WANTED_FRACTION:
            claim = f"fraction of dgemm, {row['model']}, n={row['n']:,}"
            report.verdict(claim, row["products"], WANTED_FRACTION[row["model"]])


# --------------------------------------------------------------------------------------
# convergence

NEAR = 1e-6
"""Nats a row that count as arrived."""
SLOW = 200


def long_fit(case: Case, max_iter: int, accelerate: str | None, start: Any = None) -> Any:
    """Fit to the end, from the case's start or from another model's parameters."""
    given = equal_start(case.covariance_type, case.means, case.variance)
    if start is not None:
        given = {
            "weights_init": start.weights_,
            "means_init": start.means_,
            "precisions_init": start.precisions_,
        }
    model = GaussianMixture(
        len(case.means),
        covariance_type=case.covariance_type,
        tol=1e-12,
        reg_covar=0.0,
        max_iter=max_iter,
        accelerate=accelerate,
        n_jobs=1,
        **given,
    )
    return fit_quietly(model, case.X)


def passes_to(case: Case, accelerate: str | None, model: Any, target: float) -> float:
    """Return the data passes after which the log-likelihood reached the target, or infinity.

    The history has no entry for steps taken back, so where there are such the pass is looked for
    by fits that stop earlier.
    """
    reached = np.flatnonzero(np.asarray(model.lower_bounds_) >= target)
    if len(reached) == 0:
        return np.inf
    n_back = model.n_iter_ - len(model.lower_bounds_)
    candidates = range(int(reached[0]) + 1, int(reached[0]) + n_back + 2)

    def arrives(n_passes: int) -> bool:
        return bool(long_fit(case, n_passes, accelerate).lower_bound_ >= target)

    return float(candidates[bisect.bisect_left(candidates, True, hi=n_back, key=arrives)])


def convergence_row(case: Case, max_passes: int) -> dict[str, Any]:
    """Count the passes of EM and of its accelerations to EM's own limit."""
    models = {name: long_fit(case, max_passes, name) for name in (None, "squarem", "anderson")}
    em = models[None]
    # The limit of plain EM lies near where it was stopped: there is another way to go on.
    limit = float(max(em.lower_bound_, long_fit(case, max_passes, "squarem", em).lower_bound_))
    passes = {name: passes_to(case, name, model, limit - NEAR) for name, model in models.items()}
    arrived = np.isfinite(passes[None])
    row: dict[str, Any] = {
        "case": case.name,
        "limit": limit,
        "EM": int(passes[None]) if arrived else f"> {max_passes}",
    }
    for name in ("squarem", "anderson"):
        row[name] = int(passes[name]) if np.isfinite(passes[name]) else "never"
        # Where EM did not arrive its count is too small, and the ratio too large.
        row[f"{name} / EM"] = passes[name] / (passes[None] if arrived else max_passes)
        row[f"{name} - limit"] = float(models[name].lower_bound_) - limit
    row["slow"] = bool(passes[None] > SLOW)
    return row


def convergence(settings: Settings, report: Report) -> None:
    """Data passes to within 1e-6 nats a row of EM's limit: EM, SQUAREM and Anderson."""
    cases = [two_components()]
    for i in range(settings.repetitions):
        cases += slow_cases(settings.n_samples, settings.seed + i)
    rows = []
    for case in cases:
        progress(case.name)
        rows.append(convergence_row(case, settings.max_passes))
    report.table(
        f"Passes; n = {settings.n_samples:,} but for the two components; 'x - limit' is the mean "
        "log-likelihood at the end beyond that of EM's limit",
        rows,
    )
    slow = [row for row in rows if row["slow"]]
    report.remark(f"{len(slow)} of {len(rows)} cases where EM needs more than {SLOW} passes")
    if slow:
        ratio = float(np.median([row["squarem / EM"] for row in slow]))
        report.verdict("squarem / EM, median of those", ratio, 1.0 / 3.0, at_least=False)
        ratio = float(np.median([row["anderson / EM"] for row in slow]))
        report.remark(f"anderson / EM, median of those: {ratio:.3g}")
    least = min(row["squarem - limit"] for row in rows)
    report.verdict("squarem - EM's limit, least of all cases", least, -NEAR)


# --------------------------------------------------------------------------------------
# initialisation

STARTS = ("kmeans", "k-means++", "random", "random_from_data", "whitened", "short_em", "auto")
FOUND = 0.99


def _start_models(k: int, seed: int) -> dict[str, Callable[[], Any]]:
    models: dict[str, Callable[[], Any]] = {
        f"skmmd {start}": functools.partial(
            GaussianMixture, k, init_params=start, max_iter=1000, random_state=seed
        )
        for start in STARTS
    }
    for n_init in (1, 10):
        models[f"scikit-learn kmeans, n_init={n_init}"] = functools.partial(
            sklearn.mixture.GaussianMixture, k, max_iter=1000, n_init=n_init, random_state=seed
        )
    return models


def initialisation(settings: Settings, report: Report) -> None:
    """Recovered clusters (adjusted Rand index) and time for every `init_params`."""
    for name in settings.data:
        progress(name)
        found: dict[str, list[tuple[float, float, float]]] = {}
        for i in range(settings.repetitions):
            seed = settings.seed + i
            X, y = LABELLED[name](seed)
            for label, make in _start_models(len(np.unique(y)), seed).items():
                if i == 0:
                    fit_quietly(make(), X)
                seconds, model = timed(functools.partial(fit_quietly, make(), X), 1)
                recovered = adjusted_rand_score(y, model.predict(X))
                found.setdefault(label, []).append((seconds, recovered, float(model.score(X))))
        rows = []
        for label, values in found.items():
            seconds_, recovered_, scores = np.array(values).T
            rows.append(
                {
                    "init_params": label,
                    "seconds": float(np.median(seconds_)),
                    "mean ARI": float(recovered_.mean()),
                    "least ARI": float(recovered_.min()),
                    "found": int(np.sum(recovered_ > FOUND)),
                    "mean score": float(scores.mean()),
                }
            )
        report.table(
            f"{name}: {settings.repetitions} seeds, full, one thread; 'found' counts ARI > {FOUND}",
            rows,
        )
        if name == "cigars":
            auto = next(row for row in rows if row["init_params"] == "skmmd auto")
            claim = f"seeds of {settings.repetitions} with the cigars found by auto"
            report.verdict(claim, auto["found"], settings.repetitions)


# --------------------------------------------------------------------------------------
# command line


def _size(text: str) -> tuple[int, int, int]:
    d, k, n = text.split(":")
    return int(d), int(k), int(n)


def _shapes(*texts: str) -> tuple[Shape, ...]:
    return tuple(Shape.parse(text) for text in texts)


_SPEED_SHAPES = Option(
    _shapes(
        *(
            f"{model}:{n}:20"
            for model in ("full:2:8", "full:8:32", "full:16:32", "tied:16:32", "diag:8:32")
            for n in (10_000, 100_000)
        ),
        *(f"spherical:2:8:{n}:20" for n in (10_000, 100_000)),
        *(f"{model}:{n}:5" for model in ("full:64:32", "tied:64:128") for n in (20_000, 50_000)),
    ),
    _shapes("full:2:3:400:4", "tied:3:2:400:4", "diag:3:2:400:4", "spherical:2:2:400:4"),
    "shapes, as type:d:k:n:iterations",
    Shape.parse,
)
_ROUNDS = Option(5, 1, "alternating rounds")
_REPETITIONS = "data sets of each kind"

SECTIONS: dict[str, tuple[Callable[[Settings, Report], None], dict[str, Option]]] = {
    "speed": (
        speed,
        {
            "shapes": _SPEED_SHAPES,
            "rounds": _ROUNDS,
            "peers": peers_option("scikit-learn", "pomegranate"),
        },
    ),
    "daal": (
        daal,
        {
            "shapes": Option(
                _shapes(
                    "full:1:2:100000:20",
                    "full:2:8:100000:20",
                    "full:8:8:100000:20",
                    "full:8:32:100000:10",
                    "full:16:8:100000:10",
                    "full:16:32:100000:5",
                    "full:64:8:20000:5",
                    "full:64:32:20000:5",
                    "diag:64:32:50000:10",
                    "diag:2:8:100000:20",
                    "full:2:4:200000:20",
                    "full:2:4:20000:30",
                    "full:2:4:5000:30",
                ),
                _shapes("full:2:3:400:4", "diag:3:2:400:4"),
                "shapes, as type:d:k:n:iterations",
                Shape.parse,
            ),
            "rounds": Option(7, 1, "alternating rounds"),
            "peers": peers_option("daal4py"),
        },
    ),
    "memory": (
        memory,
        {
            "shapes": Option(
                _shapes(
                    "full:8:32:300000:3",
                    "tied:8:32:300000:3",
                    "diag:8:32:300000:3",
                    "spherical:8:32:300000:3",
                    "full:2:8:300000:3",
                    "full:64:32:50000:3",
                ),
                _shapes("full:2:3:2000:2"),
                "shapes, as type:d:k:n:iterations",
                Shape.parse,
            ),
        },
    ),
    "threads": (
        threads,
        {
            "shapes": Option(
                _shapes("full:2:8:1000000:10", "full:8:8:1000000:10", "diag:8:8:1000000:10"),
                _shapes("full:2:3:4000:2"),
                "shapes, as type:d:k:n:iterations",
                Shape.parse,
            ),
            "threads": Option((1, 2), (1, 2), "numbers of threads"),
            "rounds": _ROUNDS,
        },
    ),
    "fits": (
        fits,
        {
            "sizes": Option(
                ((2, 8, 300_000), (8, 8, 200_000), (16, 16, 50_000)),
                ((2, 3, 400),),
                "columns, components and rows, as d:k:n",
                _size,
            ),
            "repetitions": Option(5, 1, _REPETITIONS),
        },
    ),
    "growth": (
        growth,
        {
            "n_samples": Option(
                (10_000, 100_000, 1_000_000, 10_000_000), (1000, 4000), "rows, ascending"
            ),
            "n_iterations": Option(5, 2, "EM iterations"),
            "threads": Option((1,), (1,), "number of threads"),
        },
    ),
    "roofline": (
        roofline,
        {
            "shapes": _SPEED_SHAPES,
            "order": Option(1024, 64, "order of the matrices of the dgemm"),
            "rounds": _ROUNDS,
        },
    ),
    "convergence": (
        convergence,
        {
            "n_samples": Option(20_000, 300, "rows of each case"),
            "max_passes": Option(20_000, 3000, "passes after which EM is stopped"),
            "repetitions": Option(3, 1, _REPETITIONS),
        },
    ),
    "initialisation": (
        initialisation,
        {
            "data": Option(tuple(LABELLED), ("cigars",), "data sets", str),
            "repetitions": Option(10, 1, "seeds"),
        },
    ),
}


def main(arguments: Sequence[str] | None = None) -> Report:
    """Run a section, or all."""
    assert __doc__ is not None
    return run_sections(
        "python -m benchmarks.bench_mixture", __doc__.split("\n")[0], SECTIONS, arguments
    )


if __name__ == "__main__":
    main()
