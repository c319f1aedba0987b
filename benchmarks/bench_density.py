"""Quality, speed, memory and honesty of :mod:`skmmd.density`, beside its peers.

``python -m benchmarks.bench_density SECTION`` from the repository's root; README.md says what each
section measures and what its figures mean.
"""

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import chi2
from sklearn.neighbors import KernelDensity

from benchmarks._density_data import (
    NAMES,
    REAL,
    SETS,
    Drawn,
    Known,
    PlaneGrid,
    drawn_log_normalizer,
    ring_rows,
    series_log_normalizer,
)
from benchmarks._density_peers import (
    KEF,
    MixtureByBIC,
    WhitenedKernelDensity,
    tuned_kernel_density,
)
from benchmarks._harness import (
    Option,
    Peers,
    Report,
    Settings,
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
from skmmd.density import ScoreMatchingDensity
from skmmd.two_sample import mmd_test

REGISTRY = "benchmarks._density_peers"
HERE = "benchmarks.bench_density"

Array = np.ndarray
Run = Callable[[], tuple[float, Any]]

KDE, GMM, GMM_FULL, GMM_STARTS, GAUSS = "KDE", "GMM", "GMM full", "GMM n_init=5", "Gauss"
OURS, REFINED = "skmmd", "skmmd refined"

METHODS: dict[str, Callable[[int], Any]] = {
    GAUSS: lambda seed: MixtureByBIC(("full",), 1, seed=seed),
    KDE: lambda seed: WhitenedKernelDensity(seed=seed),
    GMM: lambda seed: MixtureByBIC(seed=seed),
    GMM_FULL: lambda seed: MixtureByBIC(("full",), seed=seed),
    GMM_STARTS: lambda seed: MixtureByBIC(n_init=5, seed=seed),
    OURS: lambda seed: ScoreMatchingDensity(random_state=seed),
    REFINED: lambda seed: ScoreMatchingDensity(refine=True, random_state=seed),
}
TINY: dict[str, Any] = {"cv": 2, "n_components": 20}
SMALL: dict[str, Callable[[int], Any]] = {
    **METHODS,
    GMM: lambda seed: MixtureByBIC(most=2, seed=seed),
    GMM_FULL: lambda seed: MixtureByBIC(("full",), 2, seed=seed),
    GMM_STARTS: lambda seed: MixtureByBIC(most=2, n_init=5, seed=seed),
    KDE: lambda seed: WhitenedKernelDensity(5, seed=seed),
    OURS: lambda seed: ScoreMatchingDensity(**TINY, random_state=seed),
    REFINED: lambda seed: ScoreMatchingDensity(**TINY, refine=True, random_state=seed),
}
"""Of a smoke run."""

FIXED: dict[str, Any] = {"bandwidth": 1.0, "alpha": 1e-3, "base": "gaussian", "loss": "explicit"}
"""With these nothing is selected."""
GROWING: dict[str, dict[str, Any]] = {"fixed": FIXED, "default": {}}


@dataclass
class Fitted:
    """A model, the seconds of its fit, and the warnings that came."""

    model: Any
    seconds: float
    warned: list[str]


def fit_and_listen(model: Any, X: Array) -> Fitted:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        seconds, fitted = timed(lambda: model.fit(X), 1)
    return Fitted(fitted, seconds, [str(each.message) for each in caught])


def mean_and_error(values: Sequence[float] | Array) -> tuple[float, float | None]:
    """Return the mean and its standard error."""
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else None
    return float(np.mean(values)), None if error is None else float(error)


def over_sets(groups: Iterable[Sequence[float]]) -> tuple[float, float | None]:
    """Return the mean over sets of their means over seeds, and its standard error.

    The sets are these and no others, so only seeds are drawn.
    """
    pairs = [mean_and_error(group) for group in groups]
    mean = float(np.mean([mean for mean, _ in pairs]))
    errors = [error for _, error in pairs if error is not None]
    if len(errors) < len(pairs):
        return mean, None
    return mean, float(np.sqrt(np.sum(np.square(errors))) / len(pairs))


# --------------------------------------------------------------------------------------
# quality

PUBLISHED = {(OURS, 2): 0.090, (OURS, 5): 0.239, (REFINED, 2): 0.078, (REFINED, 5): 0.216}
"""Mean KL over the six densities, by dimension: what the project holds itself to."""


@dataclass
class Scores:
    """What one method reached on one set, seed by seed."""

    kl: list[float] = field(default_factory=list)
    fisher: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    log_z: list[float] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    n_warned: int = 0

    def add(self, drawn: Drawn, fitted: Fitted) -> None:
        kl, fisher = divergences(drawn, fitted.model)
        self.kl.append(kl)
        self.fisher.append(fisher)
        self.seconds.append(fitted.seconds)
        self.warned += fitted.warned
        self.n_warned += bool(fitted.warned)

    def row(self, name: str) -> dict[str, Any]:
        (kl, kl_error), (fisher, fisher_error) = map(mean_and_error, (self.kl, self.fisher))
        return {
            "method": name,
            "KL": kl,
            "s.e.": kl_error,
            "worst": max(self.kl),
            "rel. Fisher": fisher,
            "its s.e.": fisher_error,
            "seconds": float(np.median(self.seconds)),
            "fits that warned": self.n_warned,
            "log Z off by": max(map(abs, self.log_z)) if self.log_z else None,
        }


def divergences(drawn: Drawn, model: Any) -> tuple[float, float]:
    """Return E[log p - log q] and E|s_q - s_p|^2 / E|s_p|^2, over the fresh points."""
    points, density = drawn.fresh, drawn.density
    kl = np.mean(density.score_samples(points) - model.score_samples(points))
    score = density.score_function(points)
    missed = np.sum((model.score_function(points) - score) ** 2)
    return float(kl), float(missed / np.sum(score**2))


Found = dict[Known, dict[str, Scores]]


def run_set(known: Known, settings: Settings, report: Report) -> dict[str, Scores]:
    """Fit every method to every seed; what fails once is left out, and said."""
    makers = SMALL if settings.tiny else METHODS
    found: dict[str, Scores] = {name: Scores() for name in settings.methods}
    for seed in range(settings.first_seed, settings.first_seed + settings.seeds):
        progress(f"{known}: seed {seed}")
        drawn = known.draw(settings.n_samples, settings.n_fresh, seed)
        grid = PlaneGrid.around(drawn.X, settings.n_side) if known.d == 2 else None
        for name in list(found):
            try:
                fitted = fit_and_listen(makers[name](seed), drawn.X)
                found[name].add(drawn, fitted)
                if grid is not None and name in (OURS, REFINED):
                    values = grid.values(fitted.model.unnormalized_log_density)
                    true, _ = grid.log_normalizer(values)
                    found[name].log_z.append(true - fitted.model.log_normalizer_)
            except Exception as error:  # said, and the others go on
                del found[name]
                report.remark(
                    f"FAILED: {name}, {known}, seed {seed}: {type(error).__name__}: {error}"
                )
    return found


def _print_warnings(name: str, scores: Iterable[Scores], report: Report) -> None:
    warned = [message for each in scores for message in each.warned]
    for message in sorted(set(warned)):
        first = " ".join(message.split())
        report.remark(f"{name} warned {warned.count(message)} times: {first}")


def _pairs(found: Found, d: int, mine: str, theirs: str) -> list[tuple[Scores, Scores]]:
    return [
        (scores[mine], scores[theirs])
        for known, scores in found.items()
        if known.d == d and mine in scores and theirs in scores
    ]


def _differences(pairs: list[tuple[Scores, Scores]], key: str) -> list[Array]:
    return [np.subtract(getattr(mine, key), getattr(theirs, key)) for mine, theirs in pairs]


def paired_rows(found: Found, methods: Sequence[str]) -> list[dict[str, Any]]:
    """Compare each of ours with each peer, on the sets of a dimension that both have done."""
    rows = []
    for d in sorted({known.d for known in found}):
        for mine in (name for name in (OURS, REFINED) if name in methods):
            for theirs in (name for name in methods if name not in (OURS, REFINED)):
                pairs = _pairs(found, d, mine, theirs)
                if not pairs:
                    continue
                kl, kl_error = over_sets(_differences(pairs, "kl"))
                fisher, fisher_error = over_sets(_differences(pairs, "fisher"))
                rows.append(
                    {
                        "ours": mine,
                        "peer": theirs,
                        "d": d,
                        "sets": len(pairs),
                        "KL ours - peer": kl,
                        "s.e.": kl_error,
                        "worst set": float(max(map(np.mean, _differences(pairs, "kl")))),
                        "Fisher ours - peer": fisher,
                        "its s.e.": fisher_error,
                        "within one s.e.": kl <= (kl_error or 0.0),
                    }
                )
    return rows


def _judge_quality(found: Found, rows: list[dict[str, Any]], report: Report) -> None:
    for row in rows:
        claim = f"{row['ours']} - {row['peer']}, d={row['d']}"
        if row["peer"] == KDE and row["d"] >= 5:
            report.verdict(
                f"KL, largest of all sets, {claim}", row["worst set"], 0.0, at_least=False
            )
        if row["peer"] in (GMM, GMM_STARTS):
            text = f"KL, mean over sets, {claim} (one standard error)"
            report.verdict(text, row["KL ours - peer"], row["s.e."] or 0.0, at_least=False)
        if row["peer"] in (KDE, GMM):
            text = f"relative Fisher divergence, mean over sets, {claim}"
            report.verdict(text, row["Fisher ours - peer"], 0.0, at_least=False)
    for (name, d), wanted in PUBLISHED.items():
        six = [scores[name] for known, scores in found.items() if known.d == d and name in scores]
        if len(six) == len(NAMES):
            mean, _ = over_sets([each.kl for each in six])
            report.verdict(f"mean KL of {name} over six sets, d={d}", mean, wanted, at_least=False)


def quality(settings: Settings, report: Report) -> None:
    """KL and relative Fisher divergence on known densities."""
    found: Found = {}
    for known in settings.sets:
        found[known] = run_set(known, settings, report)
        rows = [scores.row(name) for name, scores in found[known].items()]
        if rows:
            report.table(f"{known}, n={settings.n_samples}, {settings.seeds} seed(s)", rows)
    for name in (OURS, REFINED):
        scores = [each[name] for each in found.values() if name in each]
        _print_warnings(name, scores, report)
        if scores:
            report.remark(f"largest KL of {name}: {max(max(each.kl) for each in scores):.3g}")
    rows = paired_rows(found, settings.methods)
    if rows:
        report.table("paired differences, below 0 where ours is better", rows)
        _judge_quality(found, rows, report)


# --------------------------------------------------------------------------------------
# real


def _real_values(name: str, settings: Settings, report: Report) -> dict[str, list[float]]:
    makers = SMALL if settings.tiny else METHODS
    values: dict[str, list[float]] = {each: [] for each in settings.methods}
    for seed in range(settings.first_seed, settings.first_seed + settings.seeds):
        progress(f"{name}: split {seed}")
        train, test = REAL[name](seed)
        for method in list(values):
            try:
                fitted = fit_and_listen(makers[method](seed), train)
                values[method].append(float(np.mean(fitted.model.score_samples(test))))
            except Exception as error:  # said, and the others go on
                del values[method]
                report.remark(
                    f"FAILED: {method}, {name}, split {seed}: {type(error).__name__}: {error}"
                )
                continue
            for message in fitted.warned if method in (OURS, REFINED) else ():
                report.remark(f"{method}, {name}, split {seed}: {' '.join(message.split())}")
    return values


def real(settings: Settings, report: Report) -> None:
    """Held-out log-likelihood of a row on real data."""
    for name in settings.data:
        values = _real_values(name, settings, report)
        rows = []
        for method, scores in values.items():
            mean, error = mean_and_error(scores)
            row: dict[str, Any] = {"method": method, "log-likelihood": mean, "s.e.": error}
            for mine in (OURS, REFINED):
                gain, its = None, None
                if mine in values and method not in (OURS, REFINED):
                    gain, its = mean_and_error(np.subtract(values[mine], scores))
                row |= {f"{mine} - it": gain, f"s.e. of {mine}": its}
            rows.append(row)
        if not rows:
            continue
        report.table(f"{name}, {settings.seeds} split(s) of 70 and 30 %", rows)
        for row in (row for row in rows if row["method"] in (KDE, GMM, GMM_STARTS)):
            for mine in (OURS, REFINED):
                if row[f"{mine} - it"] is not None:
                    claim = f"{mine} - {row['method']}, {name} (minus one standard error)"
                    least = -(row[f"s.e. of {mine}"] or 0.0)
                    report.verdict(claim, row[f"{mine} - it"], least)


# --------------------------------------------------------------------------------------
# speed

TREES: tuple[dict[str, Any], ...] = (
    {},
    {"algorithm": "ball_tree"},
    {"leaf_size": 400},
    {"breadth_first": False},
)
"""Settings of KernelDensity, whose answers are the same, of which the quickest is measured."""


def _median_ratio(rows: list[dict[str, Any]], first: str, second: str) -> float:
    seconds = {row["what"]: row["seconds"] for row in rows}
    return seconds[first] / seconds[second]


def _time_rows(runs: Mapping[str, Run], settings: Settings, **common: Any) -> list[dict[str, Any]]:
    times = alternate(runs, settings.rounds, min_seconds=settings.turn)
    return [
        {"what": name, **common, "seconds": its.median, "spread": its.spread}
        for name, its in times.items()
    ]


def _quickest(make: Callable[[dict[str, Any]], Callable[[], Any]]) -> dict[str, Any]:
    """Return that of `TREES` with which the call is quickest, of two runs each."""
    seconds = [min(timed(make(tree), 1)[0] for _ in range(2)) for tree in TREES]
    return TREES[int(np.argmin(seconds))]


def _whitened(X: Array) -> Array:
    factor = np.linalg.cholesky(np.cov(X.T, ddof=0))
    return np.linalg.solve(factor, (X - X.mean(axis=0)).T).T.copy()


def _default_fits(settings: Settings, report: Report) -> None:
    """A default fit beside KernelDensity with its bandwidth by cross-validation."""
    n_bandwidths = 5 if settings.tiny else 20
    ours = (SMALL if settings.tiny else METHODS)[OURS]
    for known in settings.sets:
        X = known.draw(settings.n_samples, 1, settings.seed).X
        Z = _whitened(X)

        def tuned(tree: dict[str, Any], Z: Array = Z) -> Callable[[], Any]:
            return functools.partial(tuned_kernel_density, Z, n_bandwidths, **tree)

        tree = _quickest(tuned)
        progress(f"default fits, {known}, KernelDensity({tree})")
        runs: dict[str, Run] = {
            KDE: functools.partial(timed, tuned(tree), 1),
            f"{KDE}, default tree": functools.partial(timed, tuned({}), 1),
            OURS: lambda X=X: (fit_and_listen(ours(0), X).seconds, None),
        }
        rows = _time_rows(runs, settings, set=str(known), n=len(X))
        report.table(f"fit with everything chosen, KernelDensity({tree})", rows)
        ratio = _median_ratio(rows, OURS, KDE)
        claim = f"default fit / KernelDensity by CV, {known}, n={len(X):,}"
        report.verdict(claim, ratio, 10.0, at_least=False)


def _evaluation(settings: Settings, report: Report) -> None:
    """Log density of many points."""
    known = settings.sets[0]
    drawn = known.draw(settings.n_fit, settings.n_points, settings.seed)
    model = fit_and_listen(ScoreMatchingDensity(**FIXED, random_state=0), drawn.X).model
    Z, points = _whitened(drawn.X), _whitened(drawn.fresh)
    bandwidth = len(Z) ** (-1.0 / (known.d + 4.0))
    mine = f"{OURS}, M={len(model.centers_)}"
    runs: dict[str, Run] = {mine: lambda: timed(lambda: model.score_samples(drawn.fresh), 1)}
    trees = {}
    for rtol in (0.0, 1e-4, 1e-2):

        def evaluate(tree: dict[str, Any], rtol: float = rtol) -> Callable[[], Any]:
            density = KernelDensity(bandwidth=bandwidth, rtol=rtol, **tree).fit(Z)
            return functools.partial(density.score_samples, points)

        name = f"{KDE}, rtol={rtol:g}"
        trees[name] = _quickest(evaluate)
        runs[name] = functools.partial(timed, evaluate(trees[name]), 1)
    progress(f"evaluation, {trees}")
    rows = _time_rows(runs, settings, n=len(Z), points=len(points), d=known.d)
    report.table(f"score_samples, KernelDensity with h={bandwidth:.2f} and {trees}", rows)
    for name in trees:
        claim = f"{name} / {mine}, {len(points):,} points, n={len(Z):,}"
        ratio = _median_ratio(rows, name, mine)
        if name == f"{KDE}, rtol=0":
            report.verdict(claim, ratio, 20.0)
        else:
            report.remark(f"{claim}: {ratio:.3g}")


NO_NORMALIZER: dict[str, Any] = {"n_normalizer_samples": 0, "selection": "score_matching"}


def _fixed_runs(X: Array, n_components: int, peers: Peers) -> dict[str, Run]:
    def ours(**given: Any) -> Run:
        model = ScoreMatchingDensity(**FIXED, **given, random_state=0)
        return lambda: (fit_and_listen(model, X).seconds, None)

    def theirs() -> tuple[float, Any]:
        told = {"bandwidth": FIXED["bandwidth"], "alpha": FIXED["alpha"]}
        _, outcome = peers.time(KEF, 1, told)
        return outcome["seconds"], outcome

    few, all_rows = {"n_components": n_components}, {"n_components": len(X)}
    runs: dict[str, Run] = {
        f"{OURS}, M={n_components}, no normaliser": ours(**few, **NO_NORMALIZER),
        f"{OURS}, M={n_components}": ours(**few),
        f"{OURS}, M=n, no normaliser": ours(**all_rows, **NO_NORMALIZER),
    }
    if KEF in peers.runners:
        peers.put({"X": _whitened(X)})
        runs[KEF] = theirs
    return runs


def _fixed_fits(settings: Settings, report: Report) -> None:
    """Fits at given parameters."""
    known = settings.sets[0]
    X = known.draw(settings.n_lite, 1, settings.seed).X
    with open_peers(REGISTRY, settings.peers, settings.peer_python) as peers:
        report.peers(peers)
        runs = _fixed_runs(X, settings.n_components, peers)
        progress("fits at given parameters")
        rows = _time_rows(runs, settings, n=len(X), d=known.d)
    report.table("fit at given parameters; kernel_exp_family has M=n and no normaliser", rows)
    if KEF not in runs:
        report.remark(f"not run: {KEF}")
        return
    for i, ours in enumerate(list(runs)[:3]):
        claim, ratio = f"{KEF} / {ours}, n={len(X):,}", _median_ratio(rows, KEF, ours)
        if i == 0:
            report.verdict(claim, ratio, 30.0)
        else:
            report.remark(f"{claim}: {ratio:.3g}")


def first_fits(way: str, n: int, seed: int) -> dict[str, float]:
    """Fit twice in this process, which has fitted nothing before."""
    X = ring_rows(n, 5, seed)
    seconds = [
        fit_and_listen(ScoreMatchingDensity(**GROWING[way], random_state=0), X).seconds
        for _ in range(2)
    ]
    return {"first": seconds[0], "second": seconds[1]}


def _first_call(settings: Settings, report: Report) -> None:
    rows = []
    # The first process fills the cache of compiled code, and is not counted.
    for way in ("fixed",) if settings.tiny else ("default", "fixed", "default"):
        progress(f"first call, {way}")
        found = run_in_child(
            f"{HERE}:first_fits", way=way, n=settings.n_samples, seed=settings.seed
        )
        if "error" in found:
            report.remark(f"FAILED: first call, {way}: {found['error']}")
            continue
        rows.append({"way": way, "first": found["first"], "second": found["second"]})
    if rows:
        report.table("seconds of the first two fits of a fresh process, d=5", rows[-2:])


def speed(settings: Settings, report: Report) -> None:
    """Fits and evaluations beside KernelDensity and kernel_exp_family, one thread."""
    _default_fits(settings, report)
    _evaluation(settings, report)
    _fixed_fits(settings, report)
    _first_call(settings, report)


# --------------------------------------------------------------------------------------
# growth


def fit_alone(way: str, n: int, d: int, seed: int) -> dict[str, Any]:
    """Fit in this process, which does nothing else."""

    def fit(X: Array) -> Fitted:
        return fit_and_listen(ScoreMatchingDensity(**GROWING[way], random_state=0), X)

    fit(ring_rows(min(n, 300), d, seed + 1))
    X = ring_rows(n, d, seed)
    release_memory()
    before = resident_mebibytes(peak=False)
    fitted = fit(X)
    return {
        "seconds": fitted.seconds,
        "beyond": resident_mebibytes(peak=True) - before,
        "data": X.nbytes / 2**20,
        "ess": float(fitted.model.ess_),
        "warned": len(fitted.warned),
    }


def _growth_rows(
    way: str, sizes: Sequence[tuple[int, int]], settings: Settings, report: Report
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for n, d in sizes:
        progress(f"{way}, n={n}, d={d}")
        found = run_in_child(f"{HERE}:fit_alone", way=way, n=n, d=d, seed=settings.seed)
        if "error" in found:
            report.remark(f"FAILED: {way}, n={n:,}, d={d}: {found['error']}")
            continue
        exponent = None
        if rows:
            last = rows[-1]
            grown = n / last["n"] if n != last["n"] else d / last["d"]
            exponent = float(np.log(found["seconds"] / last["seconds"]) / np.log(grown))
        rows.append(
            {
                "way": way,
                "n": n,
                "d": d,
                "seconds": found["seconds"],
                "exponent": exponent,
                "peak MiB beyond X": found["beyond"],
                "X MiB": found["data"],
                "ESS": found["ess"],
                "warnings": found["warned"],
            }
        )
    return rows


def growth(settings: Settings, report: Report) -> None:
    """Seconds and peak memory of a fit as rows and columns grow, in fresh processes, one thread."""
    for title, sizes in (
        ("rows", [(n, settings.n_features) for n in settings.n_samples]),
        ("columns", [(settings.n_rows, d) for d in settings.columns]),
    ):
        rows = [row for way in settings.ways for row in _growth_rows(way, sizes, settings, report)]
        if rows:
            report.table(f"as {title} grow", rows)


# --------------------------------------------------------------------------------------
# normalizer


@dataclass
class Truth:
    """A log normaliser known by another way, up to an error."""

    reported: float
    std: float
    true: float
    error: float
    ess: float
    warned: bool

    @property
    def z(self) -> float:
        """Return the deviation in standard errors, both ways' together."""
        return (self.reported - self.true) / float(np.hypot(self.std, self.error))

    @classmethod
    def of(cls, fitted: Fitted, true: float, error: float) -> "Truth":
        model = fitted.model
        std, ess = float(model.log_normalizer_std_), float(model.ess_)
        return cls(float(model.log_normalizer_), std, true, error, ess, bool(fitted.warned))


def by_grid(known: Known, given: dict[str, Any], seed: int, settings: Settings) -> Truth:
    drawn = known.draw(settings.n_samples, 1, seed)
    fitted = fit_and_listen(ScoreMatchingDensity(**given, random_state=seed), drawn.X)
    grid = PlaneGrid.around(drawn.X, settings.n_side)
    true, error = grid.log_normalizer(grid.values(fitted.model.unnormalized_log_density))
    # Rounding of a sum of so many numbers; a difference of nought would promise too much.
    return Truth.of(fitted, true, max(error, 1e-9))


def by_series(known: Known, given: dict[str, Any], seed: int, settings: Settings) -> Truth:
    """Fit three centres, with whose expansion the integral is a series."""
    X = known.draw(settings.n_samples, 1, seed).X
    model = ScoreMatchingDensity(**{**FIXED, **given}, centers=X[:3], random_state=seed)
    fitted = fit_and_listen(model, X)
    values, vectors = np.linalg.eigh(np.cov(X.T, ddof=0))
    root = (vectors / np.sqrt(values)) @ vectors.T
    metric = root @ np.diag(fitted.model.bandwidth_**-2.0) @ root
    true = series_log_normalizer(
        X.mean(axis=0),
        (vectors * values) @ vectors.T,
        metric,
        fitted.model.centers_,
        fitted.model.coef_,
    )
    return Truth.of(fitted, true, 1e-9)


def by_draws(known: Known, given: dict[str, Any], seed: int, settings: Settings) -> Truth:
    drawn = known.draw(settings.n_samples, settings.n_draws // 2, seed)
    fitted = fit_and_listen(ScoreMatchingDensity(**given, random_state=seed), drawn.X)
    true, error = drawn_log_normalizer(fitted.model.unnormalized_log_density, drawn, seed + 1)
    return Truth.of(fitted, true, error)


WAYS: dict[str, Callable[[Known, dict[str, Any], int, Settings], Truth]] = {
    "grid": by_grid,
    "series": by_series,
    "draws": by_draws,
}
GIVEN: dict[str, dict[str, Any]] = {
    "default": {},
    "fixed": FIXED,
    "narrow": {**FIXED, "bandwidth": 0.5, "alpha": 1e-4},
    "by score matching": {**NO_NORMALIZER, "n_normalizer_samples": 20_000},
}
"""The last is that by which a good score is found with a density that is none."""


@dataclass(frozen=True)
class Case:
    """Which set, which fit, and how its normaliser is known."""

    known: Known
    given: str
    way: str

    @classmethod
    def parse(cls, text: str) -> "Case":
        """Read name:features:fit:way."""
        name, d, given, way = text.split(":")
        if given not in GIVEN or way not in WAYS:
            raise ValueError(text)
        return cls(Known(name, int(d)), given, way)

    def truth(self, seed: int, settings: Settings) -> Truth:
        return WAYS[self.way](self.known, GIVEN[self.given], seed, settings)


CASES = (
    *(Case(Known(name, 2), given, "grid") for given in ("default", "fixed") for name in NAMES),
    *(Case(Known("banana", d), "fixed", "series") for d in (2, 5, 10, 20)),
    *(Case(Known("mix3", d), "narrow", "series") for d in (2, 5, 10)),
    *(Case(Known(name, 5), "fixed", "draws") for name in NAMES),
    *(Case(Known(name, 5), "default", "draws") for name in ("ring", "mix3")),
    Case(Known("ring", 10), "fixed", "draws"),
    Case(Known("banana", 5), "by score matching", "draws"),
    Case(Known("banana", 20), "by score matching", "draws"),
)


def _truth_row(case: Case, truths: list[Truth]) -> dict[str, Any]:
    z = np.array([each.z for each in truths])
    return {
        "set": str(case.known),
        "fit": case.given,
        "truth by": case.way,
        "fits": len(truths),
        "within 1.96": float(np.mean(np.abs(z) <= 1.96)),
        "mean z": float(z.mean()),
        "largest error": max(abs(each.reported - each.true) for each in truths),
        "median s.e.": float(np.median([each.std for each in truths])),
        "truth's s.e.": float(np.median([each.error for each in truths])),
        "least ESS": min(each.ess for each in truths),
        "warned": sum(each.warned for each in truths),
    }


def normalizer(settings: Settings, report: Report) -> None:
    """Coverage of the normaliser's standard error, and warnings where it is not to be had."""
    rows, every = [], []
    for case in settings.cases:
        truths = []
        for seed in range(settings.first_seed, settings.first_seed + settings.seeds):
            progress(f"{case.known}, {case.given}, {case.way}: seed {seed}")
            try:
                truths.append(case.truth(seed, settings))
            except Exception as error:  # said, and the others go on
                report.remark(f"FAILED: {case}, seed {seed}: {type(error).__name__}: {error}")
        if truths:
            rows.append(_truth_row(case, truths))
            every += truths
    if not rows:
        return
    report.table("log_normalizer_ and its standard error beside the truth", rows)
    silent = [each for each in every if not each.warned]
    if silent:
        covered = float(np.mean([abs(each.z) <= 1.96 for each in silent]))
        least = 0.95 - 2.0 * float(np.sqrt(0.95 * 0.05 / len(silent)))
        claim = f"coverage of 1.96 standard errors, {len(silent)} fits without a warning"
        report.verdict(f"{claim} (.95, two binomial standard errors)", covered, least)
    for most in (0.001, 0.01, 0.03):
        low = [each for each in every if each.ess < most]
        report.remark(
            f"ESS below {most:g}: {len(low)} of {len(every)} fits, "
            f"{sum(each.warned for each in low)} with a warning"
        )
    near_zero = [each.warned for each in every if each.ess < 0.01]
    if near_zero:
        report.verdict("share that warns, of fits with ESS < .01", float(np.mean(near_zero)), 1.0)


# --------------------------------------------------------------------------------------
# samples


def _rejected(A: Array, B: Array, seed: int) -> bool:
    return bool(mmd_test(A, B, n_permutations=199, random_state=seed).rejected)


def _nearest(points: Array, means: Array) -> Array:
    squared = np.sum((points[:, None, :] - means) ** 2, axis=2)
    return np.argmin(squared, axis=1)


@dataclass
class Tally:
    """What came of the samples of one set."""

    n: int = 0
    exact: int = 0
    model: int = 0
    sampler: int = 0
    grids: int = 0
    mass_pvalues: list[float] = field(default_factory=list)
    mass_errors: list[float] = field(default_factory=list)
    model_errors: list[float] = field(default_factory=list)

    def row(self, known: Known) -> dict[str, Any]:
        low = [pvalue < 0.05 for pvalue in self.mass_pvalues]
        return {
            "set": str(known),
            "seeds": self.n,
            "exact/exact": self.exact / self.n,
            "ours/exact": self.model / self.n,
            "ours/its density": self.sampler / self.grids if self.grids else None,
            "masses off by": max(self.mass_errors) if low else None,
            "masses rejected": float(np.mean(low)) if low else None,
            "density's own off by": max(self.model_errors) if low else None,
        }


def _weigh_modes(
    tally: Tally, model: Any, grid: PlaneGrid, values: Array, drawn: Drawn, n: int, seed: int
) -> None:
    """Count draws by nearest mean, beside the fitted density's masses and the true ones."""
    means = drawn.density.means
    group = _nearest(grid.points, means)
    masses = grid.masses(values, group, len(means))
    true = grid.masses(grid.values(drawn.density.score_samples), group, len(means))
    draws = model.sample(n, random_state=seed + 20_000)
    counts = np.bincount(_nearest(draws, means), minlength=len(means))
    statistic = float(np.sum((counts - n * masses) ** 2 / (n * masses)))
    tally.mass_pvalues.append(float(chi2.sf(statistic, len(means) - 1)))
    tally.mass_errors.append(float(np.abs(counts / n - masses).max()))
    tally.model_errors.append(float(np.abs(masses - true).max()))


def _tally(known: Known, settings: Settings) -> Tally:
    tally, m = Tally(), settings.n_draws
    makers = SMALL if settings.tiny else METHODS
    for seed in range(settings.first_seed, settings.first_seed + settings.seeds):
        progress(f"{known}: seed {seed}")
        drawn = known.draw(settings.n_samples, 2 * m, seed)
        model = fit_and_listen(makers[OURS](seed), drawn.X).model
        ours = model.sample(m, random_state=seed + 10_000)
        tally.n += 1
        tally.exact += _rejected(drawn.fresh[:m], drawn.fresh[m:], seed)
        tally.model += _rejected(ours, drawn.fresh[:m], seed)
        if known.d != 2:
            continue
        grid = PlaneGrid.around(drawn.X, settings.n_side)
        values = grid.values(model.unnormalized_log_density)
        tally.grids += 1
        by_cells = grid.draw(values, m, np.random.default_rng(seed))
        tally.sampler += _rejected(ours, by_cells, seed)
        if hasattr(drawn.density, "means"):
            _weigh_modes(tally, model, grid, values, drawn, settings.n_counted, seed)
    return tally


def samples(settings: Settings, report: Report) -> None:
    """Rates at which two-sample tests tell draws of the fit from exact ones; masses of modes."""
    rows = [_tally(known, settings).row(known) for known in settings.sets]
    report.table(
        f"rates of rejection at level .05, {settings.n_draws} draws each, fits to "
        f"{settings.n_samples} rows; masses of {settings.n_counted} draws",
        rows,
    )
    # Three binomial standard errors: of many sets some are beyond two.
    bound = 0.05 + 3.0 * float(np.sqrt(0.05 * 0.95 / settings.seeds))
    for row in rows:
        for key in ("ours/exact", "ours/its density", "masses rejected"):
            if row[key] is not None:
                claim = f"{key}, {row['set']} (.05, three binomial standard errors)"
                report.verdict(claim, row[key], bound, at_least=False)


# --------------------------------------------------------------------------------------
# command line


def _of(names: Iterable[str]) -> Callable[[str], str]:
    known = tuple(names)

    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(text)
        return text

    return parse


_SEEDS = Option(5, 1, "samples of each set")
_FIRST_SEED = Option(0, 0, "seed of the first sample")
_N_SAMPLES = Option(500, 60, "rows to fit")
_N_SIDE = Option(601, 101, "points along each axis of a grid, an odd number")
_METHODS = tuple(name for name in METHODS if name != GAUSS)
_PARSE_METHOD = _of(METHODS)
_SET_HELP = f"name:features, names of {', '.join(NAMES)}"

SECTIONS: dict[str, tuple[Callable[[Settings, Report], None], dict[str, Option]]] = {
    "quality": (
        quality,
        {
            "sets": Option(SETS, (Known("mix3", 2),), _SET_HELP, Known.parse),
            "methods": Option(
                _METHODS, (KDE, GMM, OURS, REFINED), f"of {', '.join(METHODS)}", _PARSE_METHOD
            ),
            "n_samples": _N_SAMPLES,
            "n_fresh": Option(1000, 100, "fresh points to measure by"),
            "seeds": _SEEDS,
            "first_seed": _FIRST_SEED,
            "n_side": _N_SIDE,
        },
    ),
    "real": (
        real,
        {
            "data": Option(tuple(REAL), ("iris",), f"of {', '.join(REAL)}", _of(REAL)),
            "methods": Option(
                (GAUSS, *_METHODS),
                (GAUSS, KDE, GMM, OURS),
                f"of {', '.join(METHODS)}",
                _PARSE_METHOD,
            ),
            "seeds": Option(5, 1, "splits"),
            "first_seed": Option(0, 0, "seed of the first split"),
        },
    ),
    "speed": (
        speed,
        {
            "sets": Option(
                (Known("ring", 5), Known("banana", 5), Known("mix3", 5)),
                (Known("ring", 2),),
                f"{_SET_HELP}; beyond default fits only the first",
                Known.parse,
            ),
            "n_samples": _N_SAMPLES,
            "n_fit": Option(2000, 100, "rows fitted before points are evaluated"),
            "n_points": Option(10_000, 100, "points to evaluate"),
            "n_lite": Option(1500, 80, "rows of fits at given parameters"),
            "n_components": Option(200, 20, "our centres in these"),
            "rounds": Option(3, 1, "alternating rounds"),
            "peers": peers_option(KEF),
        },
    ),
    "growth": (
        growth,
        {
            "ways": Option(tuple(GROWING), ("fixed",), f"of {', '.join(GROWING)}", _of(GROWING)),
            "n_samples": Option((1000, 10_000, 100_000, 1_000_000), (200,), "rows, ascending"),
            "n_features": Option(5, 2, "columns where rows grow"),
            "columns": Option((2, 10, 30, 100), (), "columns, ascending"),
            "n_rows": Option(2000, 100, "rows where columns grow"),
        },
    ),
    "normalizer": (
        normalizer,
        {
            "cases": Option(
                CASES,
                tuple(Case(Known("mix3", 2), "fixed", way) for way in WAYS),
                f"set:features:fit:way, fits of {', '.join(GIVEN)}, ways of {', '.join(WAYS)}",
                Case.parse,
            ),
            "n_samples": _N_SAMPLES,
            "seeds": Option(20, 2, "fits of each case"),
            "first_seed": _FIRST_SEED,
            "n_draws": Option(400_000, 4000, "draws by which a normaliser is known"),
            "n_side": _N_SIDE,
        },
    ),
    "samples": (
        samples,
        {
            "sets": Option(
                (*(Known(name, 2) for name in NAMES), Known("mix3", 5), Known("funnel", 5)),
                (Known("mix3", 2),),
                _SET_HELP,
                Known.parse,
            ),
            "n_samples": _N_SAMPLES,
            "n_draws": Option(500, 50, "draws in each sample of a test"),
            "n_counted": Option(5000, 200, "draws whose modes are counted"),
            "seeds": Option(20, 1, "fits of each set"),
            "first_seed": _FIRST_SEED,
            "n_side": _N_SIDE,
        },
    ),
}


def main(arguments: Sequence[str] | None = None) -> Report:
    """Run a section, or all."""
    assert __doc__ is not None
    return run_sections(
        "python -m benchmarks.bench_density", __doc__.split("\n")[0], SECTIONS, arguments
    )


if __name__ == "__main__":
    main()
