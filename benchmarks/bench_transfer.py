"""Quality, speed and memory of :mod:`skmmd.transfer`, beside its peers.

``python -m benchmarks.bench_transfer SECTION`` from the repository's root; README.md says what each
section measures and what its figures mean.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
import sklearn
from sklearn.metrics.pairwise import rbf_kernel

from benchmarks._harness import (
    Option,
    Peers,
    Report,
    Settings,
    Times,
    alternate,
    open_peers,
    peers_option,
    progress,
    release_memory,
    resident_mebibytes,
    run_in_child,
    run_sections,
    timed,
)
from benchmarks._transfer_data import TASKS, Task
from benchmarks._transfer_methods import (
    OURS,
    PEER_METHODS,
    SOURCE_ONLY,
    Method,
    our_methods,
    quietly,
)
from benchmarks._transfer_peers import ADAPT, CVXOPT, POT, SKADA
from skmmd.datasets import make_covariate_shift
from skmmd.kernels import median_gamma
from skmmd.transfer import (
    KernelMeanMatching,
    MMDRegularizedClassifier,
    MMDSampleSelector,
    TransferComponentAnalysis,
    kmm_weights,
)

REGISTRY = "benchmarks._transfer_peers"
HERE = "benchmarks.bench_transfer"
MAX_WEIGHT = 1000.0
"""Of kernel mean matching, in the paper and as all peers have it."""

Array = np.ndarray
Run = Callable[[], tuple[float, Any]]


@contextlib.contextmanager
def opened_peers(settings: Settings, report: Report) -> Iterator[Peers]:
    """Open the peers; importing skada turns metadata routing on, which is undone."""
    routing = sklearn.get_config()["enable_metadata_routing"]
    with open_peers(REGISTRY, settings.peers, settings.peer_python) as peers:
        sklearn.set_config(enable_metadata_routing=routing)
        report.peers(peers)
        yield peers


def domains_of(n_source: int, n_target: int) -> Array:
    return np.repeat([1, -1], [n_source, n_target])


# --------------------------------------------------------------------------------------
# kernel mean matching, by definition


@dataclass(frozen=True)
class Matching:
    """The problem min 1/2 w'(K + ridge I)w - kappa'w, 0 <= w <= max_weight, bounds on sum w."""

    K: Array
    kappa: Array
    target_mean: float
    ridge: float
    bounds: tuple[float, float]

    @classmethod
    def of(
        cls,
        Xs: Array,
        Xt: Array,
        gamma: float,
        ridge: float = 0.0,
        bounds: tuple[float, float] | None = None,
    ) -> "Matching":
        kappa = len(Xs) * rbf_kernel(Xs, Xt, gamma=gamma).mean(axis=1)
        free = (0.0, MAX_WEIGHT * len(Xs))
        return cls(
            rbf_kernel(Xs, gamma=gamma),
            kappa,
            mean_kernel(Xt, Xt, gamma),
            ridge,
            free if bounds is None else bounds,
        )

    def value(self, w: Array) -> float:
        return float(0.5 * w @ (self.K @ w) + 0.5 * self.ridge * (w @ w) - self.kappa @ w)

    def gap(self, w: Array) -> float:
        """Return the largest gradient'(w - s) over all feasible s: w is that near, or nearer."""
        gradient = self.K @ w + self.ridge * w - self.kappa
        descending = MAX_WEIGHT * np.count_nonzero(gradient < 0.0)
        total = np.clip(descending, *self.bounds)
        # The cheapest s of that sum: as much as allowed where the gradient is least.
        filled = np.clip(total - MAX_WEIGHT * np.arange(len(w)), 0.0, MAX_WEIGHT)
        return float(gradient @ w - np.sort(gradient) @ filled)

    def outside(self, w: Array) -> float:
        """Return by how much a constraint is violated most, relative to the number of rows."""
        total = float(w.sum())
        beyond = (-w.min(), w.max() - MAX_WEIGHT, self.bounds[0] - total, total - self.bounds[1])
        return max(0.0, *beyond) / len(w)

    def as_mmd(self, value: float) -> float:
        """Return the squared MMD that belongs to a value, where there is no ridge."""
        return 2.0 * value / len(self.K) ** 2 + self.target_mean


def mean_kernel(A: Array, B: Array, gamma: float, block: int = 500) -> float:
    """Return the mean of all exp(-gamma |a - b|^2), by blocks of rows."""
    sums = [rbf_kernel(A[i : i + block], B, gamma=gamma).sum() for i in range(0, len(A), block)]
    return float(np.sum(sums)) / (len(A) * len(B))


def paper_bounds(n: int) -> tuple[float, float]:
    """Return those of the sum of n weights, by the epsilon of the paper and of all peers."""
    epsilon = (np.sqrt(n) - 1.0) / np.sqrt(n)
    return n * (1.0 - epsilon), n * (1.0 + epsilon)


def effective_size(w: Array) -> float:
    return float(w.sum() ** 2 / (w @ w))


# --------------------------------------------------------------------------------------
# agreement

EQUAL = 1e-8
"""Relative difference of objectives and eigenvalues that are the same."""


def _matching_rows(n: int, d: int, peers: Peers, settings: Settings) -> list[dict[str, Any]]:
    Xs, Xt = make_covariate_shift(n, d, random_state=settings.seed)
    gamma = median_gamma("rbf", np.vstack([Xs, Xt]))
    peers.put({"Xs": Xs, "Xt": Xt})
    rows = []
    for alpha, bounds in ((0.0, paper_bounds(n)), (0.01, None)):
        matching = Matching.of(Xs, Xt, gamma, alpha * n, bounds)
        told = {"gamma": gamma, "ridge": alpha * n, "max_weight": MAX_WEIGHT, "bounds": bounds}
        asked: dict[str, tuple[str, dict[str, Any]]] = {CVXOPT: (CVXOPT, told)}
        if alpha == 0.0:
            kmm = {"method": "KMM", "gamma": gamma}
            asked[f"{ADAPT} KMM"] = (ADAPT, {**kmm, "exact": True, "tol": 1e-10})
            asked[f"{SKADA} KMM"] = (SKADA, kmm)
        ours = kmm_weights(
            Xs, Xt, gamma=gamma, alpha=alpha, sum_bounds=bounds, solver="smo", tol=settings.tol
        )
        value = matching.value(ours)
        found = {OURS: ours}
        for name, (package, parameters) in asked.items():
            if package in peers.runners:
                found[name] = np.array(peers.time(package, 1, parameters)[1]["weights"])
        rows += [
            {
                "weights": name,
                "n": n,
                "alpha": alpha,
                "objective": matching.value(w),
                "above ours": (matching.value(w) - value) / abs(value),
                "gap": matching.gap(w) / abs(value),
                "outside": matching.outside(w),
            }
            for name, w in found.items()
        ]
    return rows


def dense_components(
    X: Array, sample_domain: Array, gamma: float, n_components: int
) -> tuple[Array, Array]:
    """Return eigenvalues and embedding of TCA, mmd_weight=1, from the whole matrices."""
    n, source = len(X), sample_domain >= 0
    K = rbf_kernel(X, gamma=gamma)
    e = np.where(source, 1.0 / source.sum(), -1.0 / (~source).sum())
    H = np.eye(n) - 1.0 / n
    Ke = K @ e
    values, vectors = scipy.linalg.eigh(
        K @ H @ K,
        np.eye(n) + np.outer(Ke, Ke),
        subset_by_index=[n - n_components, n - 1],
    )
    return values[::-1], K @ vectors[:, ::-1]


def _component_rows(n: int, d: int, settings: Settings) -> list[dict[str, Any]]:
    Xs, Xt = make_covariate_shift(n, d, random_state=settings.seed)
    # Interleaved, as a shuffled sample is.
    order = np.random.default_rng(settings.seed).permutation(2 * n)
    X, sample_domain = np.vstack([Xs, Xt])[order], domains_of(n, n)[order]
    gamma = median_gamma("rbf", X)
    model = TransferComponentAnalysis(settings.n_components, gamma=gamma)
    model.fit(X, sample_domain=sample_domain)
    values, Z = dense_components(X, sample_domain, gamma, settings.n_components)
    found = model.transform(X)
    signs = np.sign(np.sum(found * Z, axis=0))
    return [
        {
            "component": i + 1,
            "rows": 2 * n,
            "eigenvalue": float(values[i]),
            "difference": abs(float(model.eigenvalues_[i] / values[i]) - 1.0),
            "of embedding": float(
                np.max(np.abs(found[:, i] * signs[i] - Z[:, i])) / np.max(np.abs(Z[:, i]))
            ),
        }
        for i in range(settings.n_components)
    ]


def agreement(settings: Settings, report: Report) -> None:
    """Objectives of kernel mean matching beside exact solvers, TCA beside a dense solver."""
    matched: list[dict[str, Any]] = []
    components: list[dict[str, Any]] = []
    with opened_peers(settings, report) as peers:
        for n in settings.n_samples:
            matched += _matching_rows(n, settings.n_features, peers, settings)
            components += _component_rows(n, settings.n_features, settings)
    report.table(
        "'above ours' and 'gap' are relative to our objective: the latter bounds how far weights "
        "are from the optimum",
        matched,
    )
    exact = [row for row in matched if row["weights"] in (CVXOPT, f"{ADAPT} KMM")]
    if exact:
        largest = max(abs(row["above ours"]) for row in exact)
        report.verdict("largest difference from an exact solver", largest, EQUAL, at_least=False)
    else:
        report.remark("no peer to agree with")
    certified = max(row["gap"] for row in matched if row["weights"] == OURS)
    report.remark(f"largest gap of ours: {certified:.2g}")
    report.table("TCA beside scipy.linalg.eigh on the whole matrices", components)
    largest = max(max(row["difference"], row["of embedding"]) for row in components)
    report.verdict("largest difference from the dense solver", largest, 1e-6, at_least=False)


# --------------------------------------------------------------------------------------
# quality


def mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and its standard error."""
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else None
    return float(np.mean(values)), None if error is None else float(error)


@dataclass
class Results:
    """Scores of one method at one setting by one learner, seed by seed."""

    method: Method
    position: int
    learner: str
    scores: list[float]
    seconds: list[float]

    @property
    def setting(self) -> str:
        given = self.method.settings[self.position]
        return ", ".join(f"{key}={value}" for key, value in given.items())

    @property
    def named(self) -> str:
        name = f"{self.method.title} + {self.learner}"
        return f"{name} ({self.setting})" if self.position else name

    @property
    def mean(self) -> float:
        return float(np.mean(self.scores))

    def row(self, note: str) -> dict[str, Any]:
        mean, error = mean_and_error(self.scores)
        return {
            "method": self.method.title,
            "learner": self.learner,
            "mean": mean,
            "s.e.": error,
            "seconds": float(np.median(self.seconds)),
            "settings": note,
        }


def run_task(
    task: Task,
    methods: Sequence[tuple[Method, int]],
    peers: Peers,
    settings: Settings,
    report: Report,
    name: str,
) -> list[Results]:
    """Score every method at its settings on all seeds; what fails once is left out, and said."""
    found: dict[tuple[str, int, str], Results] = {}
    failed: set[tuple[str, int]] = set()
    for i in range(settings.seeds):
        seed = settings.first_seed + i
        progress(f"{name}: seed {seed}")
        problem = task.draw(seed)
        peers.put(problem.arrays)
        for method, position in methods:
            key = (method.title, position)
            if key in failed:
                continue
            try:
                outcome = method.find(problem, method.settings[position], peers, seed)
                scores = quietly(outcome.scores, task, problem)
            except Exception as error:  # said, and the others go on
                failed.add(key)
                text = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
                setting = f"settings {method.settings[position]}"
                report.remark(f"FAILED: {method.title}, {setting}, {name}, seed {seed}: {text}")
                continue
            for learner, score in scores.items():
                results = found.setdefault(
                    (*key, learner), Results(method, position, learner, [], [])
                )
                results.scores.append(score)
                results.seconds.append(outcome.seconds)
    return [
        results
        for results in found.values()
        if (results.method.title, results.position) not in failed
    ]


def best_of(results: Sequence[Results], task: Task) -> Results:
    """Return the one with the best mean."""
    return (min if task.regression else max)(results, key=lambda each: each.mean)


def _quality_rows(results: list[Results], task: Task) -> list[dict[str, Any]]:
    """Return each method by default, and below it the best of its grid."""
    rows = []
    families: dict[tuple[str, str], list[Results]] = {}
    for each in results:
        families.setdefault((each.method.title, each.learner), []).append(each)
    for family in families.values():
        rows += [each.row("default") for each in family if each.position == 0]
        if len(family) > 1:
            best = best_of(family, task)
            rows.append(best.row(f"best of {len(family)}: {best.setting}"))
    return rows


def _held_against(
    ours: Results, rivals: Sequence[Results], task: Task, report: Report, claim: str
) -> None:
    """Say by how many of its standard errors we are ahead of the best of these."""
    if not rivals:
        return
    best = best_of(rivals, task)
    sign = -1.0 if task.regression else 1.0
    gain = sign * (np.array(ours.scores) - np.array(best.scores))
    mean, error = mean_and_error(list(gain))
    _, own_error = mean_and_error(best.scores)
    if error is None or own_error is None:
        return
    # A peer that never varies has no standard error to be within.
    ahead = mean / own_error if own_error > 0.0 else np.sign(mean) * np.inf if mean else 0.0
    report.verdict(
        f"{claim}: {ours.method.title} less {best.named}: {mean:+.4f} (standard error of the "
        f"difference {error:.4f}), in standard errors of the peer ({own_error:.4f})",
        ahead,
        -1.0,
    )


def quality(settings: Settings, report: Report) -> None:
    """Scores on the target, over seeds, of ours and all peers."""
    with opened_peers(settings, report) as peers:
        for name in settings.data:
            task = TASKS[name]
            theirs = [each for each in PEER_METHODS if each.package in peers.runners]
            methods = [
                each
                for each in (SOURCE_ONLY, *our_methods(settings.alphas), *theirs)
                if each.suits(task)
            ]
            chosen = [
                (each, position)
                for each in methods
                for position in range(len(each.settings))
                if position == 0
                or (settings.own_grid if each.package == OURS else settings.peer_grid)
            ]
            results = run_task(task, chosen, peers, settings, report, name)
            _report_task(name, task, results, settings, report)


def _report_task(
    name: str, task: Task, results: list[Results], settings: Settings, report: Report
) -> None:
    measure = "mean squared error, less is better" if task.regression else "accuracy"
    last = settings.first_seed + settings.seeds - 1
    report.table(
        f"{name}: {measure}; seeds {settings.first_seed} to {last}", _quality_rows(results, task)
    )
    rivals = [each for each in results if each.method.package not in (OURS, SOURCE_ONLY.package)]
    # Chosen before the figures were seen, unlike the best of the peers.
    title = f"{OURS} {task.ours}"
    for ours in (each for each in results if each.method.title == title and each.position == 0):
        # Weights are compared by what they do for one learner; a predictor stands against all.
        alike = [each for each in rivals if ours.learner in ("its own", each.learner)]
        defaults = [each for each in alike if each.position == 0]
        _held_against(ours, defaults, task, report, f"{name}, best peer by default")
        if settings.peer_grid:
            _held_against(ours, alike, task, report, f"{name}, best peer of all grids")
    for whose, group in (
        ("ours", [each for each in results if each.method.package == OURS]),
        ("the peers", rivals),
    ):
        if group:
            best = best_of(group, task)
            report.remark(
                f"{name}, best of {whose} with any learner, chosen by these figures: "
                f"{best.named}, {best.mean:.4f}"
            )


# --------------------------------------------------------------------------------------
# kmm

WANTED_EXCESS = 1e-6
WANTED_EXACT, WANTED_LOOSE = 30.0, 10.0
"""Ratios at n = 2000: adapt's exact solver, and skada at its own objective."""
EXACT, BATCHES, LOOSE = f"{ADAPT}, exact", f"{ADAPT}, default batches", SKADA
RIDGE = f"{OURS}, default ridge"
ADAPT_BATCH = 1000
"""Rows beyond which adapt by default solves parts of the problem, one by one."""


def _matching_runs(
    Xs: Array, Xt: Array, gamma: float, peers: Peers, settings: Settings
) -> dict[str, Run]:
    """Return runs of all solvers; of ours for each tolerance, and of the default."""
    n = len(Xs)
    same = {"gamma": gamma, "alpha": 0.0, "sum_bounds": paper_bounds(n), "solver": "smo"}

    def ours(**given: Any) -> Run:
        return lambda: timed(lambda: quietly(kmm_weights, Xs, Xt, **given), 1)

    def theirs(package: str, **given: Any) -> Run:
        told = {"method": "KMM", "gamma": gamma, **given}

        def run() -> tuple[float, Array]:
            _, outcome = peers.time(package, 1, told)
            return outcome["seconds"], np.array(outcome["weights"])

        return run

    runs = {f"{OURS}, tol={tol:g}": ours(**same, tol=tol) for tol in settings.tols}
    runs[RIDGE] = ours(gamma=gamma)
    if ADAPT in peers.runners:
        if n > ADAPT_BATCH:
            runs[BATCHES] = theirs(ADAPT)
        if n <= settings.adapt_rows:
            runs[EXACT] = theirs(ADAPT, exact=True)
    if SKADA in peers.runners:
        runs[LOOSE] = theirs(SKADA)
    return runs


def _matching_times(
    n: int, peers: Peers, settings: Settings
) -> tuple[list[dict[str, Any]], dict[str, Times]]:
    Xs, Xt = make_covariate_shift(n, settings.n_features, random_state=settings.seed)
    gamma = median_gamma("rbf", np.vstack([Xs, Xt]))
    peers.put({"Xs": Xs, "Xt": Xt})
    runs = _matching_runs(Xs, Xt, gamma, peers, settings)
    progress(f"n={n}: {len(runs)} solvers, {settings.rounds} rounds")
    times = alternate(runs, settings.rounds, min_seconds=settings.turn)
    matching = Matching.of(Xs, Xt, gamma, bounds=paper_bounds(n))
    # No weights are better than that, whoever found them.
    least = max(matching.value(its.outcome) - matching.gap(its.outcome) for its in times.values())
    rows = []
    for name, its in times.items():
        w, value = its.outcome, matching.value(its.outcome)
        rows.append(
            {
                "weights": name,
                "n": n,
                "seconds": its.median,
                "spread": its.spread,
                "excess MMD²": matching.as_mmd(value) - matching.as_mmd(least),
                "MMD²": matching.as_mmd(value),
                "effective": effective_size(w) / n,
                "outside": matching.outside(w),
            }
        )
    return rows, times


def _ratio(
    rows: list[dict[str, Any]], peer: str, most_excess: float | None
) -> tuple[float, str] | None:
    """Return the peer's time over ours, the quickest of ours that is good enough, and which."""
    theirs = next((row for row in rows if row["weights"] == peer), None)
    if theirs is None:
        return None
    most = theirs["excess MMD²"] if most_excess is None else most_excess
    enough = [
        row
        for row in rows
        if row["weights"].startswith(f"{OURS}, tol") and row["excess MMD²"] <= most
    ]
    if not enough:
        return 0.0, "none of ours is good enough"
    ours = min(enough, key=lambda row: row["seconds"])
    return theirs["seconds"] / ours["seconds"], ours["weights"]


def kmm(settings: Settings, report: Report) -> None:
    """Kernel mean matching, the same problem for all, one thread: seconds at what excess MMD²."""
    rows: list[dict[str, Any]] = []
    with opened_peers(settings, report) as peers:
        for n in settings.n_samples:
            if ADAPT in peers.runners and n > settings.adapt_rows:
                report.remark(f"left out at n={n:,}, above {settings.adapt_rows:,} rows: {EXACT}")
            rows += _matching_times(n, peers, settings)[0]
    report.table(
        "No ridge, weights up to 1000, the paper's epsilon, but the default ridge, another "
        "problem; 'excess' bounds the distance from the optimum from above",
        rows,
    )
    for n in settings.n_samples:
        same = [row for row in rows if row["n"] == n]
        for peer, most, wanted, text in (
            (EXACT, WANTED_EXCESS, WANTED_EXACT, f"ours at an excess of {WANTED_EXCESS:g}"),
            (BATCHES, None, None, "ours at its objective or better"),
            (LOOSE, None, WANTED_LOOSE, "ours at its objective or better"),
        ):
            found = _ratio(same, peer, most)
            if found is None:
                continue
            claim = f"{peer} / skmmd, n={n:,}, {text} ({found[1]})"
            if wanted is not None and n == 2000:
                report.verdict(claim, found[0], wanted)
            else:
                report.remark(f"{claim}: {found[0]:.3g}")


# --------------------------------------------------------------------------------------
# components

WANTED_COMPONENTS = 20.0


def left_over(Zs: Array, Zt: Array) -> float:
    """Return the squared distance of the domains' means, as a part of the variance."""
    between = np.sum((Zs.mean(axis=0) - Zt.mean(axis=0)) ** 2)
    return float(between / np.sum(np.var(np.vstack([Zs, Zt]), axis=0)))


def _component_runs(
    Xs: Array, Xt: Array, gamma: float, mmd_weight: float, peers: Peers, settings: Settings
) -> dict[str, Run]:
    X, sample_domain = np.vstack([Xs, Xt]), domains_of(len(Xs), len(Xt))

    def ours() -> tuple[Array, Array]:
        model = TransferComponentAnalysis(settings.n_components, gamma=gamma, mmd_weight=mmd_weight)
        Z = model.fit(X, sample_domain=sample_domain).transform(X)
        return Z[: len(Xs)], Z[len(Xs) :]

    def theirs(package: str) -> Run:
        told = {
            "method": "TCA",
            "gamma": gamma,
            "n_components": settings.n_components,
            "mu": mmd_weight,
        }

        def run() -> tuple[float, tuple[Array, Array]]:
            _, outcome = peers.time(package, 1, told)
            return outcome["seconds"], (np.array(outcome["Zs"]), np.array(outcome["Zt"]))

        return run

    return {
        OURS: lambda: timed(ours, 1),
        **{name: theirs(name) for name in (SKADA, ADAPT) if name in peers.runners},
    }


def components(settings: Settings, report: Report) -> None:
    """TCA, the same kernel and weight of the MMD for all, one thread: fit and embedding."""
    rows: list[dict[str, Any]] = []
    with opened_peers(settings, report) as peers:
        for n in settings.n_rows:
            Xs, Xt = make_covariate_shift(n // 2, settings.n_features, random_state=settings.seed)
            gamma = median_gamma("rbf", np.vstack([Xs, Xt]))
            peers.put({"Xs": Xs, "Xt": Xt})
            for mmd_weight in settings.mmd_weights:
                runs = _component_runs(Xs, Xt, gamma, mmd_weight, peers, settings)
                progress(f"N={n}, mu={mmd_weight:g}: {settings.rounds} rounds")
                times = alternate(runs, settings.rounds, min_seconds=settings.turn)
                rows += [
                    {
                        "package": name,
                        "N": n,
                        "mu": mmd_weight,
                        "seconds": its.median,
                        "spread": its.spread,
                        "/ skmmd": its.median / times[OURS].median,
                        "MMD²/variance": left_over(*its.outcome),
                    }
                    for name, its in times.items()
                ]
    report.table(
        f"{settings.n_components} components; what is left of the distance between the domains",
        rows,
    )
    for row in rows:
        if row["package"] != OURS and row["N"] == 2000 and row["mu"] == 1.0:
            claim = f"{row['package']} / skmmd, TCA, N={row['N']:,}"
            report.verdict(claim, row["/ skmmd"], WANTED_COMPONENTS)


# --------------------------------------------------------------------------------------
# selection


@dataclass(frozen=True)
class Sizes:
    """Candidates, and rows to match."""

    n_source: int
    n_target: int

    @classmethod
    def parse(cls, text: str) -> "Sizes":
        """Read source:target."""
        return cls(*map(int, text.split(":")))


def selection(settings: Settings, report: Report) -> None:
    """Rows chosen to match the target: seconds, and MMD² beside random subsets."""
    rows: list[dict[str, Any]] = []
    for sizes in settings.sizes:
        rows += _selection_rows(sizes, settings)
    report.table(
        f"{settings.n_chosen} source rows chosen; 'random' is the mean of {settings.draws} draws",
        rows,
    )


def _selection_rows(sizes: Sizes, settings: Settings) -> list[dict[str, Any]]:
    n_source, n_target, chosen = sizes.n_source, sizes.n_target, settings.n_chosen
    Xs, Xt = make_covariate_shift(
        (n_source, n_target), settings.n_features, random_state=settings.seed
    )
    X, sample_domain = np.vstack([Xs, Xt]), domains_of(n_source, n_target)
    gamma = median_gamma("rbf", X)
    among_target = mean_kernel(Xt, Xt, gamma)

    def squared_mmd(subset: Array) -> float:
        within = mean_kernel(subset, subset, gamma)
        return within + among_target - 2.0 * mean_kernel(subset, Xt, gamma)

    def choose(method: str, rows: Array, domain: Array, n_samples: int) -> Array:
        model = MMDSampleSelector(n_samples, method=method, gamma=gamma)
        return model.fit(rows, sample_domain=domain).sample_indices_

    found: list[tuple[str, float | None, float]] = []
    few = np.r_[:50, len(X) - 50 : len(X)]
    for method in settings.methods:
        choose(method, X[few], sample_domain[few], 5)
        progress(f"{method}: {chosen} of {n_source}")
        seconds, indices = timed(functools.partial(choose, method, X, sample_domain, chosen), 1)
        found.append((f"{OURS} {method}", seconds, squared_mmd(X[indices])))
    rng = np.random.default_rng(settings.seed)
    for name, pool in (("random source", Xs), ("random target", Xt)):
        draws = [
            squared_mmd(pool[rng.choice(len(pool), chosen, replace=False)])
            for _ in range(settings.draws)
        ]
        found.append((name, None, float(np.mean(draws))))
    return [
        {"rows": name, "of": n_source, "to match": n_target, "seconds": seconds, "MMD²": mmd}
        for name, seconds, mmd in found
    ]


# --------------------------------------------------------------------------------------
# growth

GROWING: dict[str, Callable[[int], Any]] = {
    "KMM": lambda seed: KernelMeanMatching(random_state=seed),
    "TCA": lambda seed: TransferComponentAnalysis(10, random_state=seed),
    "MMD loss": lambda seed: MMDRegularizedClassifier(),
    "selection": lambda seed: MMDSampleSelector(100),
}


WARM_ROWS = 6000
"""Rows at which every estimator has begun to use landmarks."""


def fit_alone(method: str, n: int, d: int, seed: int) -> dict[str, Any]:
    """Fit in this process, which does nothing else."""

    def drawn(rows: int) -> tuple[Array, Array, Array]:
        Xs, Xt = make_covariate_shift(rows, d, random_state=seed)
        X = np.vstack([Xs, Xt])
        return X, (np.sin(2.0 * X).sum(axis=1) > 0.0).astype(np.intp), domains_of(rows, rows)

    def fit(X: Array, y: Array, sample_domain: Array) -> Any:
        return quietly(GROWING[method](seed).fit, X, y, sample_domain=sample_domain)

    # Large enough to take the way of all larger sizes, whose compiled loops are then there.
    fit(*drawn(min(n, WARM_ROWS)))
    rows = drawn(n)
    release_memory()
    before = resident_mebibytes(peak=False)
    seconds, model = timed(lambda: fit(*rows), 1)
    return {
        "seconds": seconds,
        "beyond": resident_mebibytes(peak=True) - before,
        "data": rows[0].nbytes / 2**20,
        "landmarks": int(getattr(model, "n_landmarks_", 0) or 0),
    }


def growth(settings: Settings, report: Report) -> None:
    """Seconds and peak memory of a fit by default as the rows grow, in fresh processes."""
    rows: list[dict[str, Any]] = []
    for method in settings.methods:
        last = None
        for n in settings.n_samples:
            progress(f"{method}, n={n}")
            found = run_in_child(
                f"{HERE}:fit_alone", method=method, n=n, d=settings.n_features, seed=settings.seed
            )
            if "error" in found:
                report.remark(f"{method}, n={n:,} did not come to its end: {found['error']}")
                continue
            exponent = None
            if last is not None:
                ratio = found["seconds"] / last["seconds"]
                exponent = float(np.log(ratio) / np.log(n / last["n"]))
            last = {
                "method": method,
                "n": n,
                "seconds": found["seconds"],
                "exponent": exponent,
                "peak MiB beyond X": found["beyond"],
                "X MiB": found["data"],
                "landmarks": found["landmarks"],
            }
            rows.append(last)
    if rows:
        report.table(
            f"n rows in each domain, {settings.n_features} columns, by default, one thread", rows
        )


# --------------------------------------------------------------------------------------
# command line


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError(text)
    return text == "yes"


_FEATURES = Option(5, 5, "columns")
_ROUNDS = Option(3, 1, "alternating rounds")
_ALL_DATA = tuple(TASKS)

SECTIONS: dict[str, tuple[Callable[[Settings, Report], None], dict[str, Option]]] = {
    "agreement": (
        agreement,
        {
            "n_samples": Option((60, 300), (40,), "rows of each domain"),
            "n_features": _FEATURES,
            "n_components": Option(5, 3, "components of TCA"),
            "tol": Option(1e-10, 1e-10, "tolerance of ours", float),
            "peers": peers_option(CVXOPT, ADAPT, SKADA),
        },
    ),
    "quality": (
        quality,
        {
            "data": Option(
                _ALL_DATA, ("regression", "breast_cancer"), f"tasks: {', '.join(_ALL_DATA)}", str
            ),
            "seeds": Option(20, 2, "problems of each task"),
            "first_seed": Option(100, 100, "seed of the first problem"),
            "peer_grid": Option(
                False, False, "yes: report the best of a grid too, which flatters", _yes_or_no
            ),
            "own_grid": Option(False, False, "yes: the same for ours, as flattering", _yes_or_no),
            "alphas": Option((), (), "further ridges of our KMM", float),
            "peers": peers_option(ADAPT, SKADA, POT),
        },
    ),
    "kmm": (
        kmm,
        {
            "n_samples": Option((500, 2000), (40,), "rows of each domain"),
            "n_features": _FEATURES,
            "tols": Option(
                (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6), (1e-4, 1e-6), "tolerances of ours", float
            ),
            "adapt_rows": Option(2000, 200, "largest number of rows for adapt's exact solver"),
            "rounds": _ROUNDS,
            "peers": peers_option(ADAPT, SKADA),
        },
    ),
    "components": (
        components,
        {
            "n_rows": Option((1000, 2000), (60,), "rows of both domains"),
            "n_features": _FEATURES,
            "n_components": Option(10, 3, "components"),
            "mmd_weights": Option((1.0, 100.0), (1.0,), "mu", float),
            "rounds": _ROUNDS,
            "peers": peers_option(SKADA, ADAPT),
        },
    ),
    "selection": (
        selection,
        {
            "sizes": Option(
                (Sizes(2000, 2000), Sizes(100_000, 100_000)),
                (Sizes(200, 150),),
                "candidates and rows to match, as source:target",
                Sizes.parse,
            ),
            "n_features": _FEATURES,
            "n_chosen": Option(100, 10, "rows to choose"),
            "methods": Option(
                ("greedy",), ("greedy", "herding", "critic"), "greedy, herding, critic", str
            ),
            "draws": Option(20, 3, "random subsets"),
        },
    ),
    "growth": (
        growth,
        {
            "methods": Option(tuple(GROWING), ("selection",), f"of {', '.join(GROWING)}", str),
            "n_samples": Option((1000, 10_000, 100_000), (150, 300), "rows, ascending"),
            "n_features": _FEATURES,
        },
    ),
}


def main(arguments: Sequence[str] | None = None) -> Report:
    """Run a section, or all."""
    assert __doc__ is not None
    return run_sections(
        "python -m benchmarks.bench_transfer", __doc__.split("\n")[0], SECTIONS, arguments
    )


if __name__ == "__main__":
    main()
