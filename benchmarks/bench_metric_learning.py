"""Speed and quality of :mod:`skmmd.metric_learning`, beside its peers.

``python -m benchmarks.bench_metric_learning SECTION`` from the repository's root; README.md says
what each section measures and what its figures mean.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from benchmarks._harness import (
    LocalRunner,
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
from benchmarks._metric_peers import LMNN, NCA, TORCH
from skmmd.datasets import make_scaled_classification
from skmmd.metric_learning import (
    MetricLearner,
    mean_average_precision_at_r,
    pair_loss,
    recall_at_k,
)

REGISTRY = "benchmarks._metric_peers"
HERE = "benchmarks.bench_metric_learning"
OURS = "skmmd"
N_NEIGHBORS = 3
"""Target neighbours of a row in evaluations: the default, of LMNN too."""

Run = Callable[[], tuple[float, Any]]


# --------------------------------------------------------------------------------------
# what all sections share


@dataclass(frozen=True)
class Size:
    """Rows n, columns d and classes of a synthetic set."""

    n: int
    d: int
    n_classes: int

    @classmethod
    def parse(cls, text: str) -> "Size":
        """Read n:d:classes."""
        n, d, n_classes = text.split(":")
        return cls(int(n), int(d), int(n_classes))

    @property
    def name(self) -> str:
        return f"n={self.n:,} d={self.d} classes={self.n_classes}"

    def tenth(self) -> "Size":
        """Return a size for a run that is not counted."""
        return Size(max(self.n // 10, 20 * self.n_classes), self.d, self.n_classes)

    def draw(self, seed: int, n_test: int) -> "Split":
        return Split(
            *make_scaled_classification(
                self.n, self.d, self.n_classes, n_test=n_test, random_state=seed
            )
        )


@dataclass(frozen=True)
class Split:
    """Rows to learn from, and rows that are asked about."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    def standardised(self) -> "Split":
        scaler = StandardScaler().fit(self.X)
        return Split(scaler.transform(self.X), self.y, scaler.transform(self.X_test), self.y_test)


@dataclass(frozen=True)
class Loss:
    """One of our losses, and over which positives; no positives where it ignores them."""

    name: str
    positives: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Loss":
        """Read loss:positives, or the loss alone."""
        return cls(*text.split(":"))

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.name, self.positives)))

    @property
    def settings(self) -> dict[str, Any]:
        given = {} if self.positives is None else {"positives": self.positives}
        return {"loss": self.name, **given}


def _losses(*texts: str) -> tuple[Loss, ...]:
    return tuple(Loss.parse(text) for text in texts)


GLOBAL_LOSSES = _losses(
    "contrastive:all",
    "triplet:all",
    "triplet_center",
    "n_pair:all",
    "quadruplet:all",
    "lifted_structure:all",
)
LOCAL_LOSSES = _losses(
    "triplet:neighbors",
    "contrastive:neighbors",
    "n_pair:neighbors",
    "quadruplet:neighbors",
    "lifted_structure:neighbors",
)
DEFAULT = LOCAL_LOSSES[0]
COUNTERPARTS = {TORCH: GLOBAL_LOSSES[1]}
"""Of a peer's evaluation; of all others that is the default loss."""


def affordable(settings: Settings, names: Sequence[Any], n: int, report: Report) -> list[Any]:
    """Leave out what would take too long, or too much memory, on so many rows; and say so."""
    kept = []
    for name in names:
        most = np.inf
        if name == LMNN:
            most = settings.lmnn_rows
        elif name == TORCH:
            most = settings.torch_rows
        elif isinstance(name, Loss) and name.name == "quadruplet":
            most = settings.quadruplet_rows
        if n <= most:
            kept.append(name)
        else:
            report.remark(f"left out at n={n:,}, which is above {most:,} rows: {name}")
    return kept


Learned = tuple[float, Callable[[np.ndarray], np.ndarray]]
Learner = Callable[[np.ndarray, np.ndarray], Learned]
"""From standardised rows and labels to the seconds of a fit and the embedding."""


def by_estimator(make: Callable[[], Any]) -> Learner:
    def learn(X: np.ndarray, y: np.ndarray) -> Learned:
        seconds, model = timed(lambda: fit_quietly(make(), X, y), 1)
        return seconds, model.transform

    return learn


def by_peer(peers: Peers, name: str, seed: int) -> Learner:
    def learn(X: np.ndarray, y: np.ndarray) -> Learned:
        peers.put({"X": X, "y": y})
        _, found = peers.time(name, 1, {"task": "fit", "seed": seed})
        components = np.array(found["components"])
        return found["seconds"], lambda rows: rows @ components.T

    return learn


def retrieval(
    embed: Callable[[np.ndarray], np.ndarray], X: np.ndarray, y: np.ndarray, split: Split
) -> dict[str, float]:
    """Measure an embedding by test rows that query the rows learned from."""
    Z, Z_test = embed(X), embed(split.X_test)
    reference = {"Z_reference": Z, "y_reference": y}
    return {
        "5-NN": float(KNeighborsClassifier(5).fit(Z, y).score(Z_test, split.y_test)),
        "recall@1": float(recall_at_k(Z_test, split.y_test, 1, **reference)),
        "MAP@R": float(mean_average_precision_at_r(Z_test, split.y_test, **reference)),
    }


def measured(learner: Learner, split: Split) -> dict[str, float]:
    """Learn, and return the seconds of that beside the measures of the test rows."""
    seconds, embed = learner(split.X, split.y)
    return {"seconds": seconds, **retrieval(embed, split.X, split.y, split)}


def mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and its standard error, as if the values were independent."""
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else None
    return float(np.mean(values)), None if error is None else float(error)


# --------------------------------------------------------------------------------------
# evaluation

POINTS = ("start", "identity")
WANTED_SPEED = {(NCA, 2000): 1.0, (NCA, 10_000): 3.0, (LMNN, 2000): 50.0}
WANTED_MEMORY = {10_000: 5.0}


def identity(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the components with which scikit-learn and metric-learn start from these rows."""
    return np.eye(X.shape[1])


def unit_neighbors(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the identity, scaled so that target neighbours have squared distance 1 in the mean."""
    squares = []
    for label in np.unique(y):
        own = X[y == label]
        nearest = NearestNeighbors(n_neighbors=min(N_NEIGHBORS, len(own) - 1)).fit(own)
        squares.append(np.ravel(nearest.kneighbors()[0]) ** 2)
    return np.eye(X.shape[1]) / np.sqrt(np.mean(np.concatenate(squares)))


COMPONENTS = {"start": unit_neighbors, "identity": identity}


def evaluate(data: Mapping[str, np.ndarray], loss: Loss, **settings: Any) -> dict[str, Any]:
    """Evaluate our loss, with its gradient back to the components, as peers do."""
    X, components = data["X"], data["components"]
    Z = X @ components.T
    found = pair_loss(Z, data["y"], **loss.settings, n_neighbors=N_NEIGHBORS, **settings)
    return {"value": float(found.value), "gradient": found.gradient.T @ X}


def our_evaluation(data: Mapping[str, np.ndarray], loss: Loss) -> Run:
    return lambda: timed(lambda: evaluate(data, loss, n_jobs=1), 1)


def peer_evaluation(peers: Peers, name: str) -> Run:
    """Return a run that counts the evaluation alone, and not what a fit does once before."""

    def run() -> tuple[float, Any]:
        _, outcome = peers.time(name, 1, {"task": "evaluate", "n_neighbors": N_NEIGHBORS})
        return outcome["seconds"], outcome

    return run


def evaluation_data(size: Size, point: str, seed: int) -> dict[str, np.ndarray]:
    split = size.draw(seed, n_test=1).standardised()
    return {"X": split.X, "y": split.y, "components": COMPONENTS[point](split.X, split.y)}


def evaluation_times(
    size: Size,
    point: str,
    peers: Peers,
    names: Sequence[str],
    losses: Sequence[Loss],
    settings: Settings,
) -> dict[str, Times]:
    data = evaluation_data(size, point, settings.seed)
    peers.put(data)
    single = {
        key: array.astype(np.float32) if array.dtype == np.float64 else array
        for key, array in data.items()
    }
    runs = {str(DEFAULT): our_evaluation(data, DEFAULT)}
    runs[f"{DEFAULT}, float32"] = our_evaluation(single, DEFAULT)
    runs |= {name: peer_evaluation(peers, name) for name in names}
    runs |= {str(loss): our_evaluation(data, loss) for loss in losses}
    progress(f"{size.name}, {point}: {len(runs)} evaluations, {settings.rounds} rounds")
    return alternate(runs, settings.rounds, min_seconds=settings.turn)


def _evaluation_rows(
    size: Size, point: str, times: dict[str, Times], names: Sequence[str]
) -> list[dict[str, Any]]:
    rows = []
    for name, its in times.items():
        ours = times.get(str(COUNTERPARTS.get(name, DEFAULT)))
        compared = name in names and ours is not None
        rows.append(
            {
                "evaluation": name,
                "n": size.n,
                "d": size.d,
                "components": point,
                "seconds": its.median,
                "spread": its.spread,
                "/ skmmd": its.median / ours.median if compared else None,
                "value": its.outcome["value"],
            }
        )
    return rows


def evaluation(settings: Settings, report: Report) -> None:
    """One evaluation of loss and gradient, one thread: seconds, ratios, and peak memory."""
    rows: list[dict[str, Any]] = []
    with open_peers(REGISTRY, settings.peers, settings.peer_python) as peers:
        report.peers(peers)
        for size in settings.sizes:
            names = affordable(settings, list(peers.runners), size.n, report)
            losses = affordable(settings, settings.losses, size.n, report)
            for point in settings.points:
                times = evaluation_times(size, point, peers, names, losses, settings)
                rows += _evaluation_rows(size, point, times, names)
    report.table(
        f"'/ skmmd' is the peer's time divided by that of {DEFAULT}, for {TORCH} by that of "
        f"{COUNTERPARTS[TORCH]}",
        rows,
    )
    for row in rows:
        wanted = WANTED_SPEED.get((row["evaluation"], row["n"]))
        if wanted is not None and row["/ skmmd"] is not None:
            claim = f"{row['evaluation']} / skmmd, n={row['n']:,} d={row['d']}, {row['components']}"
            report.verdict(claim, row["/ skmmd"], wanted)
    _evaluation_memory(settings, report)


def evaluate_alone(package: str, folder: str) -> dict[str, Any]:
    """Evaluate in this process, which does nothing else."""
    data = {name: np.load(Path(folder, f"{name}.npy")) for name in ("X", "y", "components")}
    local = LocalRunner(REGISTRY)

    def run(arrays: Mapping[str, np.ndarray]) -> None:
        if package == OURS:
            timed(lambda: evaluate(arrays, DEFAULT, n_jobs=1), 1)
            return
        local.put(arrays)
        local.time(package, 1, {"task": "evaluate", "n_neighbors": N_NEIGHBORS})

    # Compiles, and starts what BLAS starts.
    few = np.sort(np.random.default_rng(0).permutation(len(data["X"]))[: len(data["X"]) // 10])
    run({"X": data["X"][few], "y": data["y"][few], "components": data["components"]})
    release_memory()
    before = resident_mebibytes(peak=False)
    run(data)
    return {"before": before, "data": data["X"].nbytes / 2**20}


def _evaluation_memory(settings: Settings, report: Report) -> None:
    rows: list[dict[str, Any]] = []
    for size in settings.sizes:
        peaks = {}
        with temporary_folder() as folder:
            for name, array in evaluation_data(size, "start", settings.seed).items():
                np.save(Path(folder, f"{name}.npy"), array)
            for package in (OURS, NCA):
                progress(f"{size.name}, memory: {package}")
                found = run_in_child(f"{HERE}:evaluate_alone", package=package, folder=folder)
                if "error" in found:
                    report.remark(f"{package}, {size.name}, ended: {found['error']}")
                    continue
                peaks[package] = found["peak_mebibytes"] - found["before"]
                rows.append(
                    {
                        "package": package,
                        "n": size.n,
                        "d": size.d,
                        "peak MiB beyond X": peaks[package],
                        "X MiB": found["data"],
                    }
                )
        if size.n in WANTED_MEMORY and len(peaks) == 2:
            ratio = peaks[NCA] / max(peaks[OURS], 2.0**-8)
            claim = f"{NCA} / skmmd, peak memory, {size.name}"
            report.verdict(claim, ratio, WANTED_MEMORY[size.n])
    if rows:
        report.table(f"{DEFAULT}; a fresh process for each", rows)


# --------------------------------------------------------------------------------------
# fits

TUNED = {"n_neighbors": 5, "n_passes": 20}
"""Chosen by the test rows of seed 0, so that the other seeds are to be believed."""


def our_learners(seed: int) -> dict[str, Learner]:
    own = functools.partial(MetricLearner, n_jobs=1, random_state=seed)
    return {OURS: by_estimator(own), f"{OURS} tuned": by_estimator(lambda: own(**TUNED))}


def fits(settings: Settings, report: Report) -> None:
    """Whole fits by default and tuned: seconds, and retrieval by test rows."""
    with open_peers(REGISTRY, settings.peers, settings.peer_python) as peers:
        report.peers(peers)
        warm = Size(200, 16, 2).draw(0, 10).standardised()
        for learner in our_learners(0).values():
            learner(warm.X, warm.y)
        for size in settings.sizes:
            names = affordable(settings, list(peers.runners), size.n, report)
            found: dict[str, list[dict[str, float]]] = {}
            for i in range(settings.repetitions):
                seed = settings.seed + i
                split = size.draw(seed, settings.n_test).standardised()
                learners = our_learners(seed)
                learners |= {name: by_peer(peers, name, seed) for name in names}
                for name, learner in learners.items():
                    progress(f"{size.name}, seed {seed}: {name}")
                    found.setdefault(name, []).append(measured(learner, split))
            _report_fits(report, size, found, settings.seed)


def _report_fits(
    report: Report, size: Size, found: dict[str, list[dict[str, float]]], first_seed: int
) -> None:
    seconds = {name: np.array([each["seconds"] for each in its]) for name, its in found.items()}
    report.table(
        f"{size.name}, each seed",
        [
            {"learner": name, "seed": first_seed + i, **each}
            for name, its in found.items()
            for i, each in enumerate(its)
        ],
    )
    rows = []
    for name, its in found.items():
        row: dict[str, Any] = {"learner": name, "seconds": float(np.median(seconds[name]))}
        for ours in (OURS, f"{OURS} tuned"):
            row[f"/ {ours}"] = float(np.median(seconds[name] / seconds[ours]))
        for measure in ("5-NN", "recall@1", "MAP@R"):
            row[measure], row[f"+- {measure}"] = mean_and_error([each[measure] for each in its])
        rows.append(row)
    report.table(
        f"{size.name}, {len(seconds[OURS])} data sets, one thread: median of the seconds and of "
        "their ratios, mean of the measures with its standard error",
        rows,
    )
    by_name = {row["learner"]: row for row in rows}
    for peer, wanted in ((NCA, 3.0), (LMNN, 10.0)):
        for ours in (OURS, f"{OURS} tuned") if peer in by_name else ():
            claim = f"{ours}, {size.name}"
            report.verdict(f"{peer} / {claim}: seconds", by_name[peer][f"/ {ours}"], wanted)
            gain = by_name[ours]["5-NN"] - by_name[peer]["5-NN"]
            report.verdict(f"5-NN beyond {peer}, {claim}", gain, 0.0)


# --------------------------------------------------------------------------------------
# quality

REAL = {
    "iris": (load_iris, 4),
    "wine": (load_wine, 4),
    "breast_cancer": (load_breast_cancer, 2),
    "digits": (load_digits, 1),
}
"""The loaders, and how often the folds are drawn anew."""
MEASURES = ("5-NN", "recall@1", "MAP@R")
BASELINES = ("raw", "standardised", "PCA 95%", "LDA")
MOST_GLOBAL = GLOBAL_LOSSES[-1]
"""The one that is held to the MAP@R of the peers, on all sets: none is chosen by test rows."""
WANTED_ACCURACY = {
    ("wine", str(GLOBAL_LOSSES[0])): 0.985,
    ("digits", str(DEFAULT)): 0.98,
}


def real_splits(name: str, settings: Settings) -> list[Split]:
    load, n_repeats = REAL[name]
    X, y = load(return_X_y=True)
    folds = RepeatedStratifiedKFold(
        n_splits=settings.folds,
        n_repeats=settings.repeats or n_repeats,
        random_state=settings.seed,
    )
    return [Split(X[train], y[train], X[test], y[test]) for train, test in folds.split(X, y)]


def quality_learners(
    peers: Peers, names: Sequence[str], losses: Sequence[Loss], seed: int
) -> dict[str, Learner]:
    """Return all that is compared; "raw" gets rows that are not standardised."""
    plain = by_estimator(FunctionTransformer)
    learners = {
        "raw": plain,
        "standardised": plain,
        "PCA 95%": by_estimator(lambda: PCA(0.95)),
        "LDA": by_estimator(LinearDiscriminantAnalysis),
    }
    learners |= {name: by_peer(peers, name, seed) for name in names}
    for loss in losses:
        make = functools.partial(MetricLearner, **loss.settings, n_jobs=1, random_state=seed)
        learners[str(loss)] = by_estimator(make)
    return learners


def quality(settings: Settings, report: Report) -> None:
    """5-NN accuracy, recall@1 and MAP@R of all losses, beside baselines and peers."""
    with open_peers(REGISTRY, settings.peers, settings.peer_python) as peers:
        report.peers(peers)
        for name in settings.data:
            _compare(name, real_splits(name, settings), peers, settings, report)
        for size in settings.sizes:
            # Of seed 0 the published figures are, and by it settings were chosen.
            seeds = range(settings.seed + 1, settings.seed + 1 + settings.repetitions)
            splits = [size.draw(seed, settings.n_test) for seed in seeds]
            _compare(size.name, splits, peers, settings, report)


def _compare(
    name: str, splits: list[Split], peers: Peers, settings: Settings, report: Report
) -> None:
    n = len(splits[0].X)
    names = affordable(settings, list(peers.runners), n, report)
    losses = affordable(settings, settings.losses, n, report)
    found: dict[str, list[dict[str, float]]] = {}
    failed: dict[str, str] = {}
    for i, split in enumerate(splits):
        scaled = split.standardised()
        for label, learner in quality_learners(peers, names, losses, settings.seed + i).items():
            if label in failed:
                continue
            progress(f"{name}, {i + 1} of {len(splits)}: {label}")
            try:
                its = measured(learner, split if label == "raw" else scaled)
            except Exception as error:  # one that fails must not end the others' hours
                failed[label] = f"{type(error).__name__}: {error}"
                continue
            found.setdefault(label, []).append(its)
    for label, reason in failed.items():
        found.pop(label, None)
        report.remark(f"FAILED: {label}, {name}: {reason}")
    rows = []
    for label, each in found.items():
        row: dict[str, Any] = {"method": label}
        row["seconds"] = float(np.median([one["seconds"] for one in each]))
        for measure in MEASURES:
            row[measure], row[f"+- {measure}"] = mean_and_error([one[measure] for one in each])
        rows.append(row)
    report.table(
        f"{name}: means over {len(splits)} splits, with their standard errors as if these were "
        "independent; test rows query training rows",
        rows,
    )
    _quality_verdicts(name, rows, name in REAL, report)


def _quality_verdicts(name: str, rows: list[dict[str, Any]], real: bool, report: Report) -> None:
    by_name = {row["method"]: row for row in rows}
    peers = [row for row in rows if row["method"] in (*BASELINES, NCA, LMNN)]
    ours = [row for row in rows if row not in peers]
    for measure in MEASURES if ours else ():
        first, other = (max(of, key=lambda row: row[measure]) for of in (ours, peers))
        report.remark(
            f"{name}, best {measure}: {first[measure]:.4f} of ours ({first['method']}), "
            f"{other[measure]:.4f} of the others ({other['method']})"
        )
    most_global, default = by_name.get(str(MOST_GLOBAL)), by_name.get(str(DEFAULT))
    if real and most_global:
        gain = most_global["MAP@R"] - max(row["MAP@R"] for row in peers)
        report.verdict(f"MAP@R of {MOST_GLOBAL} beyond the best peer, {name}", gain, 0.0)
    if real and default:
        best = max(rows, key=lambda row: row["5-NN"])
        error = best["+- 5-NN"] or 0.0
        gain = default["5-NN"] - best["5-NN"]
        claim = f"5-NN of {DEFAULT} beyond the best, {best['method']}, {name}; one standard error"
        report.verdict(claim, gain, -error)
    for peer in (NCA, LMNN):
        if not real and default and peer in by_name:
            gain = default["5-NN"] - by_name[peer]["5-NN"]
            report.verdict(f"5-NN of {DEFAULT} beyond {peer}, {name}", gain, 0.0)
    for (data, label), accuracy in WANTED_ACCURACY.items():
        if data == name and label in by_name:
            report.verdict(f"5-NN of {label}, {name}", by_name[label]["5-NN"], accuracy)


# --------------------------------------------------------------------------------------
# threads


def threaded_fit(split: Split, n_threads: int) -> Run:
    def fit() -> dict[str, Any]:
        model = MetricLearner(n_jobs=n_threads, random_state=0)
        fit_quietly(model, split.X, split.y)
        return {"result": model.components_}

    return lambda: timed(fit, n_threads)


def threaded_evaluation(data: Mapping[str, np.ndarray], n_threads: int) -> Run:
    Z = data["X"] @ data["components"].T

    def run() -> dict[str, Any]:
        settings = {**DEFAULT.settings, "n_neighbors": N_NEIGHBORS, "n_jobs": n_threads}
        return {"result": pair_loss(Z, data["y"], **settings).gradient}

    return lambda: timed(run, n_threads)


def threads(settings: Settings, report: Report) -> None:
    """How much sooner two threads evaluate a loss, and make a whole fit, than one."""
    rows: list[dict[str, Any]] = []
    for size in settings.sizes:
        data = evaluation_data(size, "start", settings.seed)
        split = size.draw(settings.seed, 1).standardised()
        evaluations = {str(n): threaded_evaluation(data, n) for n in settings.threads}
        progress(f"{size.name}: {settings.rounds} alternating rounds of evaluations")
        times = alternate(evaluations, settings.rounds, min_seconds=settings.turn)
        rows += _thread_rows("evaluation", size, times)
        fitting = {str(n): threaded_fit(split, n) for n in settings.threads}
        progress(f"{size.name}: {settings.fit_rounds} alternating rounds of whole fits")
        threaded_fit(size.tenth().draw(settings.seed, 1).standardised(), 1)()  # compiles
        times = alternate(fitting, settings.fit_rounds, min_seconds=0.0, warm=False)
        rows += _thread_rows("whole fit", size, times)
    report.table(f"{DEFAULT}, n_jobs=threads", rows)
    for row in rows:
        if row["threads"] == 2:
            claim = f"two threads / one, {row['what']}, n={row['n']:,} d={row['d']}"
            report.verdict(claim, row["speed-up"], 1.6)


def _thread_rows(what: str, size: Size, times: dict[str, Times]) -> list[dict[str, Any]]:
    first = next(iter(times.values()))
    return [
        {
            "what": what,
            "n": size.n,
            "d": size.d,
            "threads": int(count),
            "seconds": its.median,
            "spread": its.spread,
            "speed-up": first.median / its.median,
            "same result": bool(np.array_equal(its.outcome["result"], first.outcome["result"])),
        }
        for count, its in times.items()
    ]


# --------------------------------------------------------------------------------------
# growth


def fit_alone(n: int, d: int, n_classes: int, n_test: int, solver: str, seed: int) -> dict:
    """Fit in this process, which does nothing else."""
    split = Size(n, d, n_classes).draw(seed, n_test).standardised()
    few = Size(n, d, n_classes).tenth().draw(seed, 1).standardised()

    def fit(its: Split) -> Any:
        model = MetricLearner(solver=solver, n_jobs=1, random_state=seed)
        return fit_quietly(model, its.X, its.y)

    fit(few)
    release_memory()
    before = resident_mebibytes(peak=False)
    seconds, model = timed(lambda: fit(split), 1)
    return {
        "seconds": seconds,
        "before": before,
        "beyond": resident_mebibytes(peak=True) - before,
        "n_iter": int(model.n_iter_),
        "data": split.X.nbytes / 2**20,
        **retrieval(model.transform, split.X, split.y, split),
    }


def growth(settings: Settings, report: Report) -> None:
    """Seconds and peak memory of a fit as the rows grow, in fresh processes."""
    rows: list[dict[str, Any]] = []
    for solver in settings.solvers:
        last = None
        for n in settings.n_samples:
            progress(f"{solver}, n={n}")
            found = run_in_child(
                f"{HERE}:fit_alone",
                n=n,
                d=settings.n_features,
                n_classes=settings.n_classes,
                n_test=settings.n_test,
                solver=solver,
                seed=settings.seed,
            )
            if "error" in found:
                report.remark(f"{solver}, n={n:,} did not come to its end: {found['error']}")
                continue
            exponent = None
            if last is not None:
                ratio = found["seconds"] / last["seconds"]
                exponent = float(np.log(ratio) / np.log(n / last["n"]))
            last = {
                "solver": solver,
                "n": n,
                "seconds": found["seconds"],
                "exponent": exponent,
                "iterations": found["n_iter"],
                "peak MiB beyond X": found["beyond"],
                "X MiB": found["data"],
                "5-NN": found["5-NN"],
                "MAP@R": found["MAP@R"],
            }
            rows.append(last)
    if rows:
        report.table(
            f"d = {settings.n_features}, {settings.n_classes} classes, {DEFAULT}, one thread", rows
        )


# --------------------------------------------------------------------------------------
# agreement

EQUAL = 1e-12
"""Largest relative difference of values, and of gradients by their largest entry."""
TORCH_LOSSES = _losses("triplet:all", "lifted_structure:all", "n_pair:all")


def relative_difference(found: Any, wanted: Any) -> float:
    found, wanted = np.asarray(found), np.asarray(wanted)
    return float(np.max(np.abs(found - wanted)) / np.max(np.abs(wanted)))


def _agreement_row(
    size: Size, point: str, peer: str, loss: Loss, ours: dict[str, Any], theirs: dict[str, Any]
) -> dict[str, Any]:
    return {
        "peer": peer,
        "loss": str(loss),
        "n": size.n,
        "d": size.d,
        "components": point,
        "value": theirs["value"],
        "difference": relative_difference(ours["value"], theirs["value"]),
        "of gradient": relative_difference(ours["gradient"], theirs["gradient"]),
    }


def agreement(settings: Settings, report: Report) -> None:
    """Values and gradients beside those of peers, where the conventions are the same."""
    rows: list[dict[str, Any]] = []
    with open_peers(REGISTRY, settings.peers, settings.peer_python) as peers:
        report.peers(peers)
        for size in settings.sizes:
            for point in POINTS:
                data = evaluation_data(size, point, settings.seed)
                peers.put(data)
                told = {"task": "evaluate", "n_neighbors": N_NEIGHBORS}
                for loss in TORCH_LOSSES if TORCH in peers.runners else ():
                    _, theirs = peers.time(TORCH, 1, {**told, "loss": loss.name})
                    ours = evaluate(data, loss)
                    rows.append(_agreement_row(size, point, TORCH, loss, ours, theirs))
                if LMNN in peers.runners:
                    _, found = peers.time(LMNN, 1, told)
                    theirs = {"value": found["push"], "gradient": found["push_gradient"]}
                    ours = evaluate(data, DEFAULT, reduction="sum")
                    rows.append(_agreement_row(size, point, LMNN, DEFAULT, ours, theirs))
    if not rows:
        report.remark("no peer to agree with")
        return
    report.table(
        "Relative differences of values and of gradients with respect to the components; of LMNN "
        "the push term",
        rows,
    )
    largest = max(max(row["difference"], row["of gradient"]) for row in rows)
    report.verdict("largest relative difference", largest, EQUAL, at_least=False)


# --------------------------------------------------------------------------------------
# command line


def _sizes(*texts: str) -> tuple[Size, ...]:
    return tuple(Size.parse(text) for text in texts)


def _size_option(*texts: str, tiny: tuple[str, ...]) -> Option:
    text = "sizes of the synthetic set, as n:d:classes"
    return Option(_sizes(*texts), _sizes(*tiny), text, Size.parse)


_ROUNDS = Option(3, 1, "alternating rounds")
_REPETITIONS = Option(3, 1, "data sets of each synthetic size, by ascending seeds")
_N_TEST = Option(2000, 40, "test rows of the synthetic sets")
_MOST = "largest number of rows at which it runs: "
_LMNN_ROWS = _MOST + LMNN
_QUADRUPLET_ROWS = Option(5000, 200, _MOST + "the quadruplet loss")
_LOSSES_HELP = "our losses, as loss:positives"

SECTIONS: dict[str, tuple[Callable[[Settings, Report], None], dict[str, Option]]] = {
    "evaluation": (
        evaluation,
        {
            "sizes": _size_option(
                "500:32:5", "2000:64:10", "5000:64:10", "10000:128:10", tiny=("60:9:3",)
            ),
            "points": Option(POINTS, POINTS, f"components to evaluate at: {POINTS}", str),
            "losses": Option(GLOBAL_LOSSES, GLOBAL_LOSSES, _LOSSES_HELP, Loss.parse),
            "rounds": _ROUNDS,
            "peers": peers_option(NCA, LMNN, TORCH),
            "lmnn_rows": Option(2000, 200, _LMNN_ROWS),
            "torch_rows": Option(500, 200, _MOST + TORCH),
            "quadruplet_rows": _QUADRUPLET_ROWS,
        },
    ),
    "fits": (
        fits,
        {
            "sizes": _size_option("2000:32:5", "5000:64:10", tiny=("90:9:3",)),
            "repetitions": _REPETITIONS,
            "n_test": _N_TEST,
            "peers": peers_option(NCA, LMNN),
            "lmnn_rows": Option(5000, 200, _LMNN_ROWS),
        },
    ),
    "quality": (
        quality,
        {
            "data": Option(tuple(REAL), ("iris",), f"real sets: {', '.join(REAL)}", str),
            "sizes": _size_option("2000:32:5", "5000:64:10", tiny=("90:9:3",)),
            "folds": Option(5, 2, "folds of the real sets"),
            "repeats": Option(None, 1, "times that folds are drawn; given for each set if left"),
            "repetitions": _REPETITIONS,
            "n_test": _N_TEST,
            "losses": Option(
                (*LOCAL_LOSSES, *GLOBAL_LOSSES),
                (*LOCAL_LOSSES, *GLOBAL_LOSSES),
                _LOSSES_HELP,
                Loss.parse,
            ),
            "peers": peers_option(NCA, LMNN),
            "lmnn_rows": Option(5000, 200, _LMNN_ROWS),
            "quadruplet_rows": Option(2000, 200, _MOST + "the quadruplet loss"),
        },
    ),
    "threads": (
        threads,
        {
            "sizes": _size_option("10000:128:10", tiny=("90:9:3",)),
            "threads": Option((1, 2), (1, 2), "numbers of threads"),
            "rounds": _ROUNDS,
            "fit_rounds": Option(1, 1, "alternating rounds of whole fits"),
        },
    ),
    "growth": (
        growth,
        {
            "n_samples": Option(
                (1000, 2000, 5000, 10_000, 20_000, 50_000), (100, 200), "rows, ascending"
            ),
            "n_features": Option(64, 9, "columns"),
            "n_classes": Option(10, 3, "classes"),
            "n_test": _N_TEST,
            "solvers": Option(("adam",), ("adam",), "solvers", str),
        },
    ),
    "agreement": (
        agreement,
        {
            "sizes": _size_option("60:9:2", "90:16:3", "120:32:5", tiny=("60:9:3",)),
            "peers": peers_option(LMNN, TORCH),
        },
    ),
}


def main(arguments: Sequence[str] | None = None) -> Report:
    """Run a section, or all."""
    assert __doc__ is not None
    return run_sections(
        "python -m benchmarks.bench_metric_learning",
        __doc__.split("\n")[0],
        SECTIONS,
        arguments,
    )


if __name__ == "__main__":
    main()
