"""Speed, memory, power and level of :mod:`skmmd.two_sample`, beside its peers where there are any.

``python -m benchmarks.bench_two_sample SECTION`` from the repository's root; README.md says what
each section measures and what its figures mean.
"""

import argparse
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
from scipy.spatial.distance import pdist

import skmmd.two_sample
from benchmarks._harness import (
    LocalRunner,
    Option,
    Peers,
    Report,
    Settings,
    alternate,
    limited_threads,
    open_peers,
    peers_option,
    progress,
    resident_mebibytes,
    run_code,
    run_in_child,
    run_sections,
    timed,
)
from skmmd.datasets import (
    make_blobs_grid,
    make_hdgm,
    make_mean_shift,
    make_mixture_scale,
    make_null,
    make_perturbed_uniform,
)
from skmmd.kernels import dyadic_gammas
from skmmd.two_sample import mmd_test

REGISTRY = "benchmarks._two_sample_peers"
N_FEATURES = 10
ALPHA = 0.05

Sample = np.ndarray


def median_gamma(X: Sample, Y: Sample) -> float:
    """Return 1 / (2 median^2) of the pooled distances, by SciPy: the same gamma for all."""
    Z = np.concatenate([X, Y])
    if len(Z) > 2000:
        Z = Z[np.random.default_rng(0).choice(len(Z), 2000, replace=False)]
    return float(0.5 / np.median(pdist(Z)) ** 2)


def peer_parameters(X: Sample, Y: Sample, n_permutations: int, seed: int) -> dict[str, Any]:
    """Return what every peer is told: the median gamma, the default grid, B and a seed."""
    return {
        "gamma": median_gamma(X, Y),
        "gammas": dyadic_gammas("rbf", np.concatenate([X, Y])),
        "n_permutations": n_permutations,
        "seed": seed,
    }


def timed_test(X: Sample, Y: Sample, n_threads: int, **parameters: Any) -> Callable[[], Any]:
    """Return a run for :func:`alternate`: seconds and result of one `mmd_test`."""
    call = functools.partial(mmd_test, X, Y, n_jobs=n_threads, **parameters)
    return lambda: timed(call, n_threads)


# --------------------------------------------------------------------------------------
# speed

WANTED_RATIOS = {"alibi-detect": 100.0, "frouros": 100.0, "hyppo": 1000.0, "dcor": 500.0}
WANTED_AT = (2000, 1000)


FEW = 2


@dataclass
class Plan:
    """How a peer is run: its quickest setting, and on fewer permutations if it takes too long."""

    setting: dict[str, Any]
    n_timed: int
    expected: float

    def scale(self, few: float, timed: float, n_permutations: int) -> float:
        """Return the seconds of all permutations from those of `FEW` and of `n_timed`.

        The cost of these peers is linear: they treat each permutation alike.
        """
        each = max(timed - few, 0.0) / (self.n_timed - FEW)
        return timed + each * (n_permutations - self.n_timed)


def make_plan(
    peers: Peers, name: str, n_threads: int, parameters: dict[str, Any], max_seconds: float
) -> Plan:
    """Try a peer's settings on few permutations."""
    n_permutations = parameters["n_permutations"]
    more = 8
    plans = []
    for setting in peers.registry[name].choices(n_threads):
        seconds = {}
        for count in (FEW, FEW, more):  # the first run warms up
            told = {**parameters, **setting, "n_permutations": count}
            seconds[count], _ = peers.time(name, n_threads, told)
        each = max((seconds[more] - seconds[FEW]) / (more - FEW), 1e-9)
        expected = seconds[FEW] + each * (n_permutations - FEW)
        n_timed = n_permutations
        if expected > max_seconds:
            affordable = FEW + int((max_seconds / 4 - seconds[FEW]) / each)
            n_timed = min(n_permutations, max(more, affordable))
        plans.append(Plan(setting, n_timed, expected))
    return min(plans, key=lambda plan: plan.expected)


def speed(settings: Settings, report: Report) -> None:
    """One kernel, the same gamma and number of permutations: time of a whole test, and ratios."""
    with open_peers(REGISTRY, settings.peers, settings.peer_python) as peers:
        report.peers(peers)
        for n, n_permutations in settings.sizes:
            X, Y = make_mean_shift(n, N_FEATURES, shift=0.05, random_state=settings.seed)
            peers.put({"X": X, "Y": Y})
            told = peer_parameters(X, Y, n_permutations, settings.seed)
            for n_threads in settings.threads:
                _speed_at(settings, report, peers, X, Y, told, n_threads)


def _speed_at(
    settings: Settings,
    report: Report,
    peers: Peers,
    X: Sample,
    Y: Sample,
    told: dict[str, Any],
    n_threads: int,
) -> None:
    n, n_permutations = len(X), told["n_permutations"]
    ours = {
        "permutation": {"gamma": told["gamma"], "method": "permutation"},
        "binned": {"gamma": told["gamma"], "method": "binned"},
        "energy": {"kernel": "energy", "estimator": "biased", "method": "permutation"},
        "energy binned": {"kernel": "energy", "estimator": "biased", "method": "binned"},
        "default": {},
    }
    runs: dict[str, Callable[[], tuple[float, Any]]] = {}
    for name, parameters in ours.items():
        runs[name] = timed_test(
            X,
            Y,
            n_threads,
            n_permutations=n_permutations,
            random_state=settings.seed,
            **parameters,
        )
        runs[name]()
    plans = {}
    for name in peers.runners:
        progress(f"n={n} threads={n_threads}: how long {name} takes")
        plan = make_plan(peers, name, n_threads, told, settings.max_seconds)
        plans[name] = plan
        for label, count in ((name, plan.n_timed), (f"{name}, few", FEW)):
            if label == name or plan.n_timed < n_permutations:
                parameters = {**told, **plan.setting, "n_permutations": count}
                runs[label] = functools.partial(peers.time, name, n_threads, parameters)
    progress(f"n={n} threads={n_threads}: {settings.rounds} alternating rounds")
    times = alternate(runs, settings.rounds, min_seconds=settings.turn, warm=False)

    seconds = {name: times[name].median for name in ours}
    rows = []
    for name in [*ours, *plans]:
        its, used = times[name], plans.get(name)
        median = its.median
        if used is not None and used.n_timed < n_permutations:
            median = used.scale(times[f"{name}, few"].median, median, n_permutations)
        seconds[name] = median
        found = its.outcome
        found = found if isinstance(found, dict) else vars(found)
        # Over several gammas the statistic is another quantity: not to be compared.
        statistic = None if name == "default" else float(found["statistic"])
        count = n_permutations if used is None else used.n_timed
        rows.append(
            {
                "test": f"skmmd {name}" if used is None else name,
                "seconds": median,
                "spread": its.spread,
                "runs": its.n_runs,
                "permutations": f"{count}" + ("" if count == n_permutations else " *"),
                "statistic": statistic,
                "p": float(found["pvalue"]),
                **{f"/ {mine}": median / times[mine].median for mine in ours},
                "setting": "" if used is None else _setting_text(used.setting),
            }
        )
    report.table(
        f"n = m = {n}, d = {N_FEATURES}, B = {n_permutations}, {n_threads} thread(s); "
        "'/ x' is the time divided by that of skmmd x",
        rows,
    )
    if any(plan.n_timed < n_permutations for plan in plans.values()):
        report.remark(
            f"* A full run would take over {settings.max_seconds:g} s: that many permutations were "
            f"timed and {FEW}, in turn, and the difference scaled to B. The p-value is that of the "
            "fewer permutations."
        )
    if (n, n_permutations) == WANTED_AT:
        for name in (name for name in plans if name in WANTED_RATIOS):
            mine = ["energy", "energy binned"] if name == "dcor" else ["permutation", "binned"]
            for kind in mine:
                report.verdict(
                    f"{name} / skmmd {kind}, {n_threads} thread(s)",
                    seconds[name] / seconds[kind],
                    WANTED_RATIOS[name],
                )


def _setting_text(setting: Mapping[str, Any]) -> str:
    return " ".join(f"{k}={v}" for k, v in setting.items() if v is not None)


# --------------------------------------------------------------------------------------
# default

# Not on any package index, so not run here: seconds on one thread of a server's Xeon, n = m = 500.
PUBLISHED = {
    "mmdfuse (JAX, warm), B = 999": 2.8,
    "mmdfuse (JAX, first call of a shape), B = 999": 2.8 + 7.7,
    "mmdagg (NumPy), B1 = B2 = 500": 0.73,
}
# Over a prototype of all permutations that took .24 s on that machine.
WANTED_OVER_PUBLISHED = {
    "mmdfuse (JAX, warm), B = 999": 2.8 / 0.24,
    "mmdagg (NumPy), B1 = B2 = 500": 0.73 / 0.24,
}


def default(settings: Settings, report: Report) -> None:
    """The call without options, beside the published costs of other aggregated tests."""
    for n in settings.n_samples:
        X, Y = make_mean_shift(n, N_FEATURES, shift=0.05, random_state=settings.seed)
        runs = {}
        for n_threads in settings.threads:
            runs[f"default, {n_threads} thread(s)"] = timed_test(
                X, Y, n_threads, random_state=settings.seed
            )
            runs[f"binned, {n_threads} thread(s)"] = timed_test(
                X, Y, n_threads, random_state=settings.seed, method="binned"
            )
        times = alternate(runs, settings.rounds, min_seconds=settings.turn)
        rows: list[dict[str, Any]] = [
            {
                "test": f"skmmd {name}",
                "seconds": its.median,
                "spread": its.spread,
                "method": its.outcome.method,
                "kernels": int(np.size(its.outcome.gamma)),
                "p": its.outcome.pvalue,
            }
            for name, its in times.items()
        ]
        if n == 500:
            empty = {"spread": None, "method": "published", "kernels": None, "p": None}
            rows += [{"test": name, "seconds": s, **empty} for name, s in PUBLISHED.items()]
        report.table(f"mmd_test(X, Y), n = m = {n}, d = {N_FEATURES}, B = 999", rows)
        if n == 500:
            own = times[f"default, {settings.threads[0]} thread(s)"].median
            for name, wanted in WANTED_OVER_PUBLISHED.items():
                report.verdict(f"published {name} / skmmd default", PUBLISHED[name] / own, wanted)
            report.remark("Published costs are those of another machine: the ratio is a guide.")


# --------------------------------------------------------------------------------------
# rates of rejection: power and level

DATA: dict[str, Callable[..., tuple[Sample, Sample]]] = {
    "mixture": make_mixture_scale,
    "perturbed": make_perturbed_uniform,
    "blobs": make_blobs_grid,
    "hdgm": make_hdgm,
    "shift": make_mean_shift,
    "null": make_null,
}


@dataclass(frozen=True)
class Draw:
    """A pair of samples for each seed."""

    data: str
    n: int
    options: tuple[tuple[str, Any], ...] = ()

    def __call__(self, seed: int) -> tuple[Sample, Sample]:
        return DATA[self.data](self.n, random_state=seed, **dict(self.options))


def reject(X: Sample, Y: Sample, seed: int, n_permutations: int, method: Mapping[str, Any]) -> bool:
    """Run one of our tests; `method` may name the estimator that chooses its kernel."""
    if "estimator" in method:
        estimator = getattr(skmmd.two_sample, method["estimator"])
        labels = np.repeat([0, 1], [len(X), len(Y)])
        test = estimator(n_permutations=n_permutations, random_state=seed)
        return bool(test.fit(np.concatenate([X, Y]), labels).pvalue_ <= ALPHA)
    return mmd_test(X, Y, n_permutations=n_permutations, random_state=seed, **method).rejected


def _reject_once(draw: Draw, seed: int, n_permutations: int, method: Any) -> float:
    X, Y = draw(seed)
    if isinstance(method, Mapping):
        with limited_threads(1):
            return float(reject(X, Y, seed, n_permutations, method))
    runner = LocalRunner(REGISTRY)
    runner.put({"X": X, "Y": Y})
    _, found = runner.time(method, 1, peer_parameters(X, Y, n_permutations, seed))
    return found["rejected"]


def rejections(
    draw: Draw,
    methods: Mapping[str, Any],
    peers: Peers,
    settings: Settings,
    report: Report,
    n_repetitions: int,
) -> dict[str, np.ndarray]:
    """Return which repetitions each method rejects; the same data for all.

    A method stops after `settings.budget` seconds, with the repetitions it has done. A peer that
    would need a quarter of that for a single one is left out.
    """
    found = {}
    seeds = [settings.seed + r for r in range(n_repetitions)]
    everything = {**methods, **{name: name for name in peers.runners}}
    for name, method in everything.items():
        progress(f"{draw.data} n={draw.n}: {name}, {n_repetitions} repetitions")
        if name in peers.runners:
            X, Y = draw(settings.seed)
            peers.put({"X": X, "Y": Y})
            told = peer_parameters(X, Y, settings.n_permutations, settings.seed)
            expected = make_plan(peers, name, 1, told, np.inf).expected
            if expected > settings.budget / 4:
                report.remark(
                    f"left out at {draw.data} n={draw.n}: {name}, which would take about "
                    f"{expected:.0f} s for each repetition"
                )
                continue
        start = time.perf_counter()
        results: list[float] = []
        remote = name in peers.runners and not peers.in_this_process(name)
        batch = 1 if remote else settings.jobs
        with joblib.Parallel(n_jobs=settings.jobs) as parallel:
            while len(results) < n_repetitions and time.perf_counter() - start < settings.budget:
                part = seeds[len(results) : len(results) + batch]
                if remote:
                    X, Y = draw(part[0])
                    peers.put({"X": X, "Y": Y})
                    told = peer_parameters(X, Y, settings.n_permutations, part[0])
                    results.append(peers.time(name, 1, told)[1]["rejected"])
                else:
                    results += parallel(
                        joblib.delayed(_reject_once)(draw, seed, settings.n_permutations, method)
                        for seed in part
                    )
                    # Larger batches keep the processes busy, yet end near the budget.
                    spent = time.perf_counter() - start
                    left = max(settings.budget - spent, 0.0) / (spent / len(results))
                    batch = settings.jobs * int(np.clip(left / settings.jobs / 2, 1, 50))
        found[name] = np.array(results, dtype=float)
    return found


def rate_text(values: np.ndarray, n_repetitions: int) -> str:
    """Return the rate with its standard error, and the repetitions if they are fewer."""
    rate = values.mean()
    # At 0 or 1 the plain formula gives no error at all: add one of each.
    smoothed = (values.sum() + 1.0) / (len(values) + 2.0)
    error = np.sqrt(smoothed * (1.0 - smoothed) / len(values))
    fewer = "" if len(values) == n_repetitions else f" [{len(values)}]"
    return f"{rate:.3f} ±{error:.3f}{fewer}"


def paired_difference(mine: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Return the difference of two rates on the same data, and its standard error."""
    n = min(len(mine), len(other))
    difference = mine[:n] - other[:n]
    # One repetition each way, so that agreement throughout is not taken for certainty.
    spread = np.sqrt((np.sum(difference**2) + 2.0) / (n + 2.0) - np.mean(difference) ** 2)
    return float(np.mean(difference)), float(spread / np.sqrt(n))


# The test of ours that has the peer's kernel; the median's gamma where none is named.
SAME_KERNEL = {
    "dcor": "skmmd energy",
    "actt g=4": "skmmd default",
    "alibi-detect grid": "skmmd default",
}


def compare_withpeers_option(
    report: Report, label: str, same_kernel: str, found: Mapping[str, np.ndarray], peers: Peers
) -> None:
    """Say how far we are ahead of each peer, on the repetitions that both have done.

    Twice: the default, and what has the same kernel, `same_kernel` where the peer names none.
    """
    for name in (name for name in peers.runners if name in found):
        for mine in dict.fromkeys(["skmmd default", SAME_KERNEL.get(name, same_kernel)]):
            difference, error = paired_difference(found[mine], found[name])
            behind = difference < -2.0 * error
            report.remark(
                f"{'BEHIND' if behind else 'not behind'}: {label}: {mine} - {name} = "
                f"{difference:+.3f} ±{error:.3f} (paired)"
            )


OUR_TESTS: dict[str, dict[str, Any]] = {
    "skmmd default": {},
    "skmmd median": {"gamma": "median"},
    "skmmd laplacian": {"kernel": "laplacian"},
    "skmmd imq": {"kernel": "imq"},
    "skmmd energy": {"kernel": "energy"},
    "skmmd binned": {"method": "binned"},
    "skmmd nystroem": {"method": "nystroem"},
    "skmmd asymptotic": {"method": "asymptotic"},
    "skmmd MMDTestCV": {"estimator": "MMDTestCV"},
}
WANTED_POWER = {"mixture n=500": 0.50, "perturbed n=500": 0.48, "blobs n=360": 0.80}


def _available(tests: Mapping[str, dict[str, Any]], report: Report) -> dict[str, dict[str, Any]]:
    kept = {}
    for name, method in tests.items():
        estimator = method.get("estimator")
        if estimator is None or hasattr(skmmd.two_sample, estimator):
            kept[name] = method
        else:
            report.remark(f"skipped {name}: skmmd.two_sample has no {estimator}")
    return kept


def power(settings: Settings, report: Report) -> None:
    """Rates of rejection at level .05 on data that differ, and on data that do not."""
    with open_peers(REGISTRY, settings.peers, settings.peer_python) as peers:
        report.peers(peers)
        methods = _available(OUR_TESTS, report)
        columns: dict[str, dict[str, np.ndarray]] = {}
        repetitions: dict[str, int] = {}
        for data, n in settings.data:
            label = f"{data} n={n}"
            level = data == "null"
            repetitions[label] = settings.level_repetitions if level else settings.repetitions
            columns[label] = rejections(
                Draw(data, n), methods, peers, settings, report, repetitions[label]
            )
        rows = [
            {
                "test": name,
                **{
                    label: rate_text(found[name], repetitions[label]) if name in found else None
                    for label, found in columns.items()
                },
            }
            for name in [*methods, *peers.runners]
        ]
        report.table(
            f"Rate of rejection, B = {settings.n_permutations}, {settings.repetitions} "
            f"repetitions (null: {settings.level_repetitions}), fewer in brackets after "
            f"{settings.budget:g} s",
            rows,
        )
        for label, found in columns.items():
            if label in WANTED_POWER:
                rate = found["skmmd default"].mean()
                report.verdict(f"power of the default, {label}", rate, WANTED_POWER[label])
            if not label.startswith("null"):
                compare_withpeers_option(report, label, "skmmd median", found, peers)


# --------------------------------------------------------------------------------------
# large


def _shift_at(n: int, null: bool) -> Draw:
    """Return the mean shift of .025 at n = 4096, scaled so that n shift^2 stays the same."""
    shift = 0.0 if null else 0.025 * np.sqrt(4096 / n)
    return Draw("shift", n, (("shift", float(shift)), ("n_features", N_FEATURES)))


def large(settings: Settings, report: Report) -> None:
    """Time at many rows beside goodpoints' compress-then-test, and power at the same level."""
    ours: dict[str, dict[str, Any]] = {
        "skmmd default": {},
        "skmmd nystroem": {"method": "nystroem"},
        "skmmd nystroem, median": {"method": "nystroem", "gamma": "median"},
    }
    with open_peers(REGISTRY, settings.peers, settings.peer_python) as peers:
        report.peers(peers)
        n = settings.n_samples
        X, Y = _shift_at(n, null=False)(settings.seed)
        peers.put({"X": X, "Y": Y})
        told = peer_parameters(X, Y, settings.n_permutations, settings.seed)
        runs: dict[str, Callable[[], tuple[float, Any]]] = {}
        for n_threads in settings.threads:
            for name, method in ours.items():
                label = name if n_threads == 1 else f"{name}, {n_threads} threads"
                runs[label] = timed_test(
                    X,
                    Y,
                    n_threads,
                    n_permutations=settings.n_permutations,
                    random_state=settings.seed,
                    **method,
                )
        for name in peers.runners:
            runs[name] = functools.partial(peers.time, name, 1, told)
        progress(f"n={n}: {settings.rounds} alternating rounds")
        times = alternate(runs, settings.rounds, min_seconds=settings.turn)
        mine = next(iter(times))
        report.table(
            f"n = m = {n:,}, d = {N_FEATURES}, B = {settings.n_permutations}; goodpoints has one "
            "thread",
            [
                {
                    "test": name,
                    "seconds": its.median,
                    "spread": its.spread,
                    "runs": its.n_runs,
                    f"/ {mine}": its.median / times[mine].median,
                }
                for name, its in times.items()
            ],
        )
        if "ctt g=4" in times:
            report.verdict(
                f"{mine} / ctt g=4",
                times[mine].median / times["ctt g=4"].median,
                0.2,
                at_least=False,
            )
        for n, n_null, n_shift in settings.quality:
            for null, n_repetitions in ((True, n_null), (False, n_shift)):
                if n_repetitions == 0:
                    continue
                found = rejections(_shift_at(n, null), ours, peers, settings, report, n_repetitions)
                data = "level: no shift" if null else "power: mean shift"
                report.table(
                    f"{data}, n = m = {n:,}, {n_repetitions} repetitions",
                    [
                        {"test": name, "rate": rate_text(values, n_repetitions)}
                        for name, values in found.items()
                    ],
                )
                if not null:
                    compare_withpeers_option(
                        report, f"shift n={n}", "skmmd nystroem, median", found, peers
                    )


# --------------------------------------------------------------------------------------
# growth


def default_call(n: int, seed: int, n_threads: int, n_runs: int) -> dict[str, Any]:
    """Time the default call in this process, which does nothing else."""
    small = make_null(60, N_FEATURES, random_state=seed)
    for method in ("permutation", "binned", "nystroem"):
        mmd_test(*small, method=method, n_permutations=9, random_state=seed, n_jobs=n_threads)
    before = resident_mebibytes(peak=False)
    X, Y = make_null(n, N_FEATURES, random_state=seed)
    runs = []
    for _ in range(n_runs):
        call = functools.partial(mmd_test, X, Y, random_state=seed, n_jobs=n_threads)
        seconds, result = timed(call, n_threads)
        runs.append(seconds)
    return {
        "seconds": float(np.median(runs)),
        "method": result.method,
        "pvalue": result.pvalue,
        "mebibytes_before": before,
        "mebibytes_data": (X.nbytes + Y.nbytes) / 2**20,
    }


def growth(settings: Settings, report: Report) -> None:
    """Time and peak memory of the default call as the rows grow, a fresh process for each size."""
    for n_threads in settings.threads:
        rows: list[dict[str, Any]] = []
        for n in settings.n_samples:
            progress(f"n={n} threads={n_threads}")
            found = run_in_child(
                "benchmarks.bench_two_sample:default_call",
                n=n,
                seed=settings.seed,
                n_threads=n_threads,
                n_runs=settings.rounds if n <= 20_000 else 1,
            )
            if "error" in found:
                report.remark(f"n = m = {n:,} did not come to its end: {found['error']}")
                continue
            exponent = None
            if rows:
                exponent = np.log(found["seconds"] / rows[-1]["seconds"]) / np.log(
                    n / rows[-1]["n"]
                )
            rows.append(
                {
                    "n": n,
                    "method": found["method"],
                    "seconds": found["seconds"],
                    "exponent": None if exponent is None else float(exponent),
                    "peak MiB": found["peak_mebibytes"],
                    "data MiB": found["mebibytes_data"],
                    "libraries MiB": found["mebibytes_before"],
                }
            )
        if not rows:
            continue
        report.table(
            f"mmd_test(X, Y), d = {N_FEATURES}, n = m rows, {n_threads} thread(s); the exponent "
            "is that of time since the line above; the peak includes data and libraries",
            rows,
        )
        far = [row for row in rows if row["method"] == "nystroem"]
        if len(far) > 1:
            size, seconds, memory = (
                np.log([row[key] for row in far]) for key in ("n", "seconds", "peak MiB")
            )
            for name, values in (("time", seconds), ("peak memory", memory)):
                slope = float(np.polyfit(size, values, 1)[0])
                report.verdict(
                    f"exponent of {name} from n = {far[0]['n']:,}", slope, 1.1, at_least=False
                )
        if rows[-1]["n"] >= 1_000_000:
            report.verdict("peak MiB at a million", rows[-1]["peak MiB"], 2048.0, at_least=False)


# --------------------------------------------------------------------------------------
# roofline


def roofline(settings: Settings, report: Report) -> None:
    """Which part of the machine's own matrix product and exp rate the permutation test reaches."""
    n_rows, n_permutations = settings.n_rows, settings.n_permutations
    X, Y = make_null(n_rows // 2, N_FEATURES, random_state=settings.seed)
    gamma = median_gamma(X, Y)
    rng = np.random.default_rng(settings.seed)

    def product(dtype: str) -> Callable[[], Any]:
        A = rng.standard_normal((n_rows // 2, n_rows)).astype(dtype)
        U = rng.standard_normal((n_rows, n_permutations)).astype(dtype)
        return functools.partial(np.matmul, A, U, out=np.empty((len(A), n_permutations), dtype))

    products = {"dgemm": product("float64"), "sgemm": product("float32")}
    # As many values as stay in the cache: the highest rate the library has.
    block = -rng.random(1 << 15)
    out = np.empty_like(block)
    n_blocks = 64

    def exps() -> None:
        for _ in range(n_blocks):
            np.exp(block, out=out)

    for n_threads in settings.threads:
        runs: dict[str, Callable[[], tuple[float, Any]]] = {
            "test": timed_test(
                X,
                Y,
                n_threads,
                gamma=gamma,
                method="permutation",
                n_permutations=n_permutations,
                random_state=settings.seed,
            ),
            "exp": functools.partial(timed, exps, 1),
        }
        for name, multiply in products.items():
            runs[name] = functools.partial(timed, multiply, n_threads)
        times = alternate(runs, settings.rounds, min_seconds=settings.turn)
        # Half of the pairs, two operations for each permutation.
        n_flops = 2.0 * (n_rows // 2) * n_rows * n_permutations
        exp_rate = n_blocks * len(block) / times["exp"].median * n_threads
        for_exps = n_rows**2 / 2 / exp_rate
        took = times["test"].median
        rows = [{"what": f"{n_rows**2 // 2:,} times exp at NumPy's rate", "seconds": for_exps}]
        for name in products:
            own = times[name].median
            rows.append({"what": f"one {name} of N^2 B operations", "seconds": own})
            rows.append({"what": f"{name} and exp: the limit", "seconds": own + for_exps})
        rows.append({"what": "mmd_test(method='permutation')", "seconds": took})
        report.table(f"N = {n_rows}, B = {n_permutations}, one kernel, {n_threads} thread(s)", rows)
        rates = (f"{name} {n_flops / times[name].median / 1e9:.0f} Gflop/s" for name in products)
        report.remark(f"{', '.join(rates)}, exp {exp_rate / 1e6:.0f} million/s")
        for name in products:
            fraction = (times[name].median + for_exps) / took
            report.verdict(f"fraction of {name} and exp, {n_threads} thread(s)", fraction, 0.5)


# --------------------------------------------------------------------------------------
# import

_IMPORT = """
import json, time
start = time.perf_counter()
import {modules}
print(json.dumps(time.perf_counter() - start))
"""
_FIRST_CALL = """
import json, time
import numpy as np
from skmmd.two_sample import mmd_test
rng = np.random.default_rng(0)
X, Y = rng.standard_normal((2, {n}, {d}))
seconds = []
for _ in range({runs}):
    start = time.perf_counter()
    result = mmd_test(X, Y, random_state=0, n_jobs=1)
    seconds.append(time.perf_counter() - start)
print(json.dumps([seconds[0], float(np.median(seconds[1:])), result.method]))
"""
_SKLEARN = "sklearn.base, sklearn.neighbors, sklearn.mixture"


def imports(settings: Settings, report: Report) -> None:
    """How long the import takes, and the first call of a process whose code is compiled already."""
    modules = ("skmmd", _SKLEARN)

    def run(name: str) -> Callable[[], tuple[float, None]]:
        return lambda: (run_code(_IMPORT.format(modules=name)), None)

    times = alternate({name: run(name) for name in modules}, settings.rounds, min_seconds=0.0)
    report.table(
        "Import in a fresh process, files in the system's cache",
        [
            {
                "import": name,
                "seconds": its.median,
                "spread": its.spread,
                "/ scikit-learn": its.median / times[_SKLEARN].median,
            }
            for name, its in times.items()
        ],
    )
    ratio = times["skmmd"].median / times[_SKLEARN].median
    report.verdict(f"import skmmd / import {_SKLEARN}", ratio, 1.5, at_least=False)

    rows = []
    for n in settings.n_samples:
        code = _FIRST_CALL.format(n=n, d=N_FEATURES, runs=4)
        run_code(code)  # fills the cache of compiled code
        found = [run_code(code) for _ in range(settings.rounds)]
        first, steady = (float(np.median([f[i] for f in found])) for i in (0, 1))
        rows.append(
            {
                "n": n,
                "method": found[0][2],
                "first call": first,
                "steady call": steady,
                "beyond": first - steady,
            }
        )
    report.table("First mmd_test(X, Y) of a process, its code compiled before; seconds", rows)
    for row in rows:
        report.verdict(
            f"first call beyond the steady one, {row['method']}", row["beyond"], 1.0, at_least=False
        )


# --------------------------------------------------------------------------------------
# level


def _null_pvalue(groups: Sequence[int], method: Mapping[str, Any], seed: int) -> float:
    X = np.random.default_rng(seed).standard_normal((sum(groups), 3))
    labels = np.repeat(np.arange(len(groups)), groups)
    with limited_threads(1):
        if len(groups) == 2 and "estimator" not in method:
            n = groups[0]
            return mmd_test(X[:n], X[n:], random_state=seed, **method).pvalue
        options = {k: v for k, v in method.items() if k != "estimator"}
        estimator = getattr(skmmd.two_sample, method.get("estimator", "MMDTest"))
        return estimator(random_state=seed, **options).fit(X, labels).pvalue_


def level(settings: Settings, report: Report) -> None:
    """How often a true null hypothesis is rejected at .05, method by method."""
    count = {"n_permutations": settings.n_permutations}
    # At 30 rows a bin is a row, and all rows are landmarks: the rows named "wide" and "few" below
    # have bins of several rows, and fewer landmarks than rows.
    wide = {"method": "binned", "n_bins": 32, **count}
    few = {"method": "nystroem", "n_bins": 32, "n_components": 16, **count}
    cases: list[tuple[str, tuple[int, ...], dict[str, Any], bool]] = [
        ("exact", (6, 7), {"method": "exact"}, True),
        ("permutation", (30, 30), {"method": "permutation", **count}, True),
        (
            "permutation, median",
            (30, 30),
            {"gamma": "median", "method": "permutation", **count},
            True,
        ),
        ("binned", (30, 30), {"method": "binned", **count}, True),
        ("nystroem", (30, 30), {"method": "nystroem", **count}, True),
        ("binned, wide", (64, 64), wide, True),
        ("binned, wide, left-over rows", (70, 101), wide, True),
        ("nystroem, wide, few", (64, 64), few, True),
        ("nystroem, wide, few, left-over rows", (70, 101), few, True),
        ("asymptotic (large samples only)", (30, 30), {"method": "asymptotic"}, False),
        ("permutation, unequal", (12, 48), {"method": "permutation", **count}, True),
    ]
    if hasattr(skmmd.two_sample, "MMDTest"):
        cases += [
            (f"3 groups, {method}", (20, 20, 20), {"method": method, **count}, True)
            for method in ("permutation", "binned", "nystroem")
        ]
        cases += [
            ("3 groups, binned, wide", (40, 45, 50), wide, True),
            ("3 groups, nystroem, wide, few", (40, 45, 50), few, True),
        ]
        cases.append(("3 groups, exact", (3, 3, 3), {"method": "exact"}, True))
    else:
        report.remark("skipped three groups: skmmd.two_sample has no MMDTest")
    if hasattr(skmmd.two_sample, "MMDTestCV"):
        cases.append(("MMDTestCV", (30, 30), {"estimator": "MMDTestCV", **count}, True))
    else:
        report.remark("skipped MMDTestCV: skmmd.two_sample has none")
    margin = 3.5 * np.sqrt(ALPHA * (1.0 - ALPHA) / settings.repetitions)
    low, high = ALPHA - margin, ALPHA + margin
    rows = []
    with joblib.Parallel(n_jobs=settings.jobs) as parallel:
        for name, groups, method, bounded in cases:
            progress(f"{name}, {settings.repetitions} null sets")
            pvalues = np.array(
                parallel(
                    joblib.delayed(_null_pvalue)(groups, method, settings.seed + r)
                    for r in range(settings.repetitions)
                )
            )
            size = float(np.mean(pvalues <= ALPHA))
            rows.append(
                {
                    "test": name,
                    "rows": " + ".join(map(str, groups)),
                    "size at .05": size,
                    "size at .10": float(np.mean(pvalues <= 0.1)),
                    "smallest p": float(pvalues.min()),
                    "within bounds": bool(low <= size <= high) if bounded else None,
                }
            )
    report.table(
        f"{settings.repetitions} null sets, d = 3, B = {settings.n_permutations}; bounds "
        f"[{max(low, 0.0):.3f}, {high:.3f}] are 3.5 standard errors around .05",
        rows,
    )
    n_within = sum(row["within bounds"] is True for row in rows)
    n_bounded = sum(row["within bounds"] is not None for row in rows)
    report.verdict("sizes within bounds", n_within, n_bounded)


# --------------------------------------------------------------------------------------
# command line


def _pair(text: str) -> tuple[int, int]:
    n, count = text.split(":")
    return int(n), int(count)


def _triple(text: str) -> tuple[int, int, int]:
    n, n_null, n_shift = text.split(":")
    return int(n), int(n_null), int(n_shift)


def _data(text: str) -> tuple[str, int]:
    name, n = text.split(":")
    if name not in DATA:
        raise argparse.ArgumentTypeError(f"there are {sorted(DATA)}, got {name!r}")
    return name, int(n)


_THREADS = Option((1, 2), (1,), "numbers of threads")
_BUDGET = Option(120.0, 5.0, "seconds after which a method does no more repetitions", float)
_JOBS = Option(2, 1, "processes for repetitions that are not timed")

SECTIONS: dict[str, tuple[Callable[[Settings, Report], None], dict[str, Option]]] = {
    "speed": (
        speed,
        {
            "sizes": Option(
                ((500, 200), (1000, 1000), (2000, 1000)),
                ((40, 20),),
                "rows in each sample and permutations, as n:B",
                _pair,
            ),
            "threads": _THREADS,
            "rounds": Option(3, 1, "alternating rounds"),
            "max_seconds": Option(
                60.0, 0.05, "a run expected to take longer is timed on fewer permutations", float
            ),
            "peers": peers_option(
                "numpy loop",
                "hyppo",
                "alibi-detect",
                "frouros",
                "dcor",
                tiny=("numpy loop", "hyppo", "alibi-detect", "frouros", "dcor"),
            ),
        },
    ),
    "default": (
        default,
        {
            "n_samples": Option((500, 2000), (30,), "rows in each sample"),
            "threads": _THREADS,
            "rounds": Option(5, 1, "alternating rounds"),
        },
    ),
    "large": (
        large,
        {
            "n_samples": Option(100_000, 120, "rows in each sample"),
            "n_permutations": Option(999, 19, "permutations"),
            "threads": _THREADS,
            "rounds": Option(3, 1, "alternating rounds"),
            "quality": Option(
                ((10_500, 200, 200), (100_000, 0, 40)),
                ((60, 2, 2),),
                "rows, repetitions without and with a shift, as n:null:shift",
                _triple,
            ),
            "budget": Option(
                900.0, 5.0, "seconds after which a method does no more repetitions", float
            ),
            "jobs": _JOBS,
            "peers": peers_option("ctt g=3", "ctt g=4", tiny=("ctt g=3",)),
        },
    ),
    "growth": (
        growth,
        {
            "n_samples": Option(
                (1000, 3000, 10_000, 20_000, 30_000, 100_000, 300_000, 1_000_000),
                (30, 60),
                "rows in each sample",
            ),
            "threads": Option((1,), (1,), "numbers of threads"),
            "rounds": Option(3, 1, "runs of each size up to 20,000 rows; one beyond"),
        },
    ),
    "roofline": (
        roofline,
        {
            "n_rows": Option(4000, 200, "rows of both samples together"),
            "n_permutations": Option(1000, 50, "permutations"),
            "threads": _THREADS,
            "rounds": Option(7, 1, "alternating rounds"),
        },
    ),
    "power": (
        power,
        {
            "data": Option(
                (
                    ("mixture", 500),
                    ("perturbed", 500),
                    ("blobs", 360),
                    ("hdgm", 700),
                    ("shift", 4096),
                    ("null", 60),
                ),
                (("mixture", 30), ("null", 20)),
                "data sets and rows in each sample, as name:n",
                _data,
            ),
            "n_permutations": Option(199, 19, "permutations of all tests"),
            "repetitions": Option(100, 2, "data sets of each kind"),
            "level_repetitions": Option(400, 2, "data sets without a difference"),
            "budget": _BUDGET,
            "jobs": _JOBS,
            "peers": peers_option(
                "hyppo",
                "hyppo chi2",
                "alibi-detect",
                "alibi-detect grid",
                "frouros",
                "dcor",
                "ctt g=4",
                "actt g=4",
                tiny=("numpy loop", "hyppo chi2", "dcor", "ctt g=4"),
            ),
        },
    ),
    "import": (
        imports,
        {
            "rounds": Option(7, 1, "alternating rounds"),
            "n_samples": Option((500, 1500, 11_000), (30,), "rows in each sample"),
        },
    ),
    "level": (
        level,
        {
            "repetitions": Option(2000, 5, "null sets"),
            "n_permutations": Option(199, 19, "permutations"),
            "jobs": _JOBS,
        },
    ),
}


def main(arguments: Sequence[str] | None = None) -> Report:
    """Run sections as the command line says."""
    return run_sections(
        "python -m benchmarks.bench_two_sample", __doc__.split("\n")[0], SECTIONS, arguments
    )


if __name__ == "__main__":
    main()
