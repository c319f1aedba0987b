"""Methods of transfer under one roof: ours and those of peers, each with a grid of settings.

Problem -> Method.find -> Found: weights, mapped rows or predictions -> scores, learner by learner
"""

import itertools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks._harness import Peers, timed
from benchmarks._transfer_data import LOSS, LOSS_REGRESSION, WEIGHTS, Problem, Task
from benchmarks._transfer_peers import ADAPT, POT, SKADA
from skmmd.transfer import (
    JointDistributionAdaptation,
    KernelMeanMatching,
    MMDRegularizedClassifier,
    MMDRegularizedRegressor,
    TransferComponentAnalysis,
    stack_domains,
)

Array = np.ndarray
OURS = "skmmd"
N_COMPONENTS = 30
"""Of TCA and JDA, ours and skada's."""


@dataclass(frozen=True)
class Found:
    """What a method makes of a problem; one of the three."""

    seconds: float
    weights: Array | None = None
    mapped: tuple[Array, Array] | None = None
    predicted: Array | None = None

    def scores(self, task: Task, problem: Problem) -> dict[str, float]:
        """Return the measure of every learner that can use this."""
        if self.predicted is not None:
            return {"its own": task.measure(problem.y_test, self.predicted)}
        found = {}
        for name, make in task.learners.items():
            learner = make()
            if self.mapped is not None:
                Zs, Zt = self.mapped
                predicted = learner.fit(Zs, problem.ys).predict(Zt)
            elif self.weights is None:
                predicted = learner.fit(problem.Xs, problem.ys).predict(problem.X_test)
            elif name == next(iter(task.learners)):
                learner.fit(problem.Xs, problem.ys, sample_weight=self.weights)
                predicted = learner.predict(problem.X_test)
            else:
                continue
            found[name] = task.measure(problem.y_test, predicted)
        return found


Settings = dict[str, Any]


def _with_gamma(settings: Settings, problem: Problem) -> Settings:
    """Replace multiples of the median's gamma, `times`, by what they are on these rows."""
    if "times" not in settings:
        return settings
    given = {key: value for key, value in settings.items() if key != "times"}
    times = settings["times"]
    if isinstance(times, tuple):
        return {**given, "gamma": [each * problem.gamma for each in times]}
    return {**given, "gamma": times * problem.gamma}


@dataclass(frozen=True)
class Method:
    """One method of a package.

    Attributes
    ----------
    package : str
        Ours, or the peer.
    name : str
        What it is called in tables and, of a peer, in `benchmarks._transfer_peers`.
    settings : tuple of dict
        The first is "the default" of the tables, the others complete a grid.
    own : callable or None
        Of ours: (problem, seed, **settings) -> keywords of :class:`Found`.
    maps, classifies : bool
        Methods that map take part where the mapped rows are those that are measured, methods that
        classify not in a regression.
    """

    package: str
    name: str
    settings: tuple[Settings, ...] = ({},)
    own: Callable[..., dict[str, Any]] | None = field(default=None, repr=False)
    maps: bool = False
    classifies: bool = False
    regresses: bool = False

    @property
    def title(self) -> str:
        return f"{self.package} {self.name}"

    def suits(self, task: Task) -> bool:
        if task.regression:
            return not (self.maps or self.classifies)
        return not self.regresses

    def find(self, problem: Problem, settings: Settings, peers: Peers | None, seed: int) -> Found:
        """Run on a problem, which a peer was given before."""
        given = _with_gamma(settings, problem)
        if self.own is not None:
            own = self.own
            seconds, found = timed(lambda: quietly(own, problem, seed, **given), 1)
            return Found(seconds, **found)
        assert peers is not None
        told = {"method": self.name, "seed": seed, **given}
        _, outcome = peers.time(self.package, 1, told)
        if "weights" in outcome:
            return Found(outcome["seconds"], weights=np.array(outcome["weights"]))
        return Found(outcome["seconds"], mapped=(np.array(outcome["Zs"]), np.array(outcome["Zt"])))


def quietly(function: Callable[..., Any], *arguments: Any, **settings: Any) -> Any:
    """Call; that domains hardly overlap is what some of the tasks are about."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return function(*arguments, **settings)


def _grid(**values: Sequence[Any]) -> tuple[Settings, ...]:
    """Return all combinations; the first values are the default."""
    return tuple(
        dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())
    )


# --------------------------------------------------------------------------------------
# ours


def _source_only(problem: Problem, seed: int) -> dict[str, Any]:
    return {}


def _kmm(problem: Problem, seed: int, **settings: Any) -> dict[str, Any]:
    X, _, sample_domain = stack_domains(problem.Xs, problem.ys, problem.Xt)
    model = KernelMeanMatching(random_state=seed, **settings).fit(X, sample_domain=sample_domain)
    return {"weights": model.weights_}


def _tca(problem: Problem, seed: int, **settings: Any) -> dict[str, Any]:
    X, _, sample_domain = stack_domains(problem.Xs, problem.ys, problem.Xt)
    model = TransferComponentAnalysis(random_state=seed, **settings)
    model.fit(X, sample_domain=sample_domain)
    return {"mapped": (model.transform(problem.Xs), model.transform(problem.Xt))}


def _jda(problem: Problem, seed: int, **settings: Any) -> dict[str, Any]:
    X, y, sample_domain = stack_domains(problem.Xs, problem.ys, problem.Xt)
    model = JointDistributionAdaptation(random_state=seed, **settings)
    model.fit(X, y, sample_domain=sample_domain)
    # Rows of length 1, as the classifier sees them that its pseudo-labels come from.
    Zs, Zt = (model.transform(rows) for rows in (problem.Xs, problem.Xt))
    Zs, Zt = (Z / np.linalg.norm(Z, axis=1, keepdims=True) for Z in (Zs, Zt))
    return {"mapped": (Zs, Zt)}


def _mmd_loss(problem: Problem, seed: int, **settings: Any) -> dict[str, Any]:
    X, y, sample_domain = stack_domains(problem.Xs, problem.ys, problem.Xt)
    model = MMDRegularizedClassifier(**settings)
    model.fit(X, y, sample_domain=sample_domain)
    return {"predicted": model.predict(problem.X_test)}


def _mmd_loss_regressor(problem: Problem, seed: int, **settings: Any) -> dict[str, Any]:
    X, y, sample_domain = stack_domains(problem.Xs, problem.ys, problem.Xt)
    model = MMDRegularizedRegressor(**settings)
    model.fit(X, y, sample_domain=sample_domain)
    return {"predicted": model.predict(problem.X_test)}


SOURCE_ONLY = Method("source", "only", own=_source_only)
_PENALTIES = {"alpha": (0.1, 0.01, 1.0), "mmd_weight": (10.0, 1.0, 100.0)}


def our_methods(alphas: Sequence[float] = ()) -> list[Method]:
    """Return ours, the defaults first in their grids; of KMM other `alphas` too."""
    further = [Method(OURS, f"KMM, alpha={each:g}", ({"alpha": each},), _kmm) for each in alphas]
    weightless = ({"mmd_weight": 0.0},)
    return [
        Method(OURS, WEIGHTS, _grid(times=(1.0, 0.25, 4.0), alpha=(0.01, 0.001, 0.1)), _kmm),
        Method(OURS, 'KMM, alpha="cv"', ({"alpha": "cv"},), _kmm),
        *further,
        Method(
            OURS,
            "TCA",
            _grid(n_components=(N_COMPONENTS, 10), mmd_weight=(1.0, 10.0, 100.0)),
            _tca,
            maps=True,
        ),
        Method(OURS, "JDA", _grid(n_components=(N_COMPONENTS, 10)), _jda, maps=True),
        Method(OURS, LOSS, _grid(**_PENALTIES), _mmd_loss, classifies=True),
        Method(OURS, f"{LOSS} of weight 0", weightless, _mmd_loss, classifies=True),
        Method(OURS, LOSS_REGRESSION, _grid(**_PENALTIES), _mmd_loss_regressor, regresses=True),
        Method(
            OURS, f"{LOSS_REGRESSION} of weight 0", weightless, _mmd_loss_regressor, regresses=True
        ),
    ]


# --------------------------------------------------------------------------------------
# peers


_TIMES = (1.0, 0.25, 4.0)
_SELECTED = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Multiples of the median's gamma, from which adapt's ratio methods choose by their own score."""
_PACKAGE_GAMMA: Settings = {"gamma": None}
_OWN_CHOICE: Settings = {"times": _SELECTED, "lambdas": [0.001, 0.01, 0.1, 1.0, 10.0]}

PEER_METHODS = (
    Method(
        ADAPT,
        "KMM",
        (*_grid(times=_TIMES, B=(1000.0, 10.0)), _PACKAGE_GAMMA),
    ),
    Method(ADAPT, "KLIEP", _grid(times=(*_TIMES, _SELECTED))),
    Method(
        ADAPT,
        "ULSIF",
        (*_grid(times=_TIMES, lambdas=(1.0, 0.1, 0.01)), _OWN_CHOICE),
    ),
    Method(
        ADAPT,
        "RULSIF",
        (*_grid(times=_TIMES, lambdas=(1.0, 0.1, 0.01), alpha=(0.1, 0.5)), _OWN_CHOICE),
    ),
    Method(SKADA, "KMM", (*_grid(times=_TIMES), _PACKAGE_GAMMA)),
    Method(ADAPT, "CORAL", _grid(lambda_=(1e-5, 0.01, 0.1, 1.0, 10.0)), maps=True),
    Method(SKADA, "CORAL", _grid(reg=("auto", 0.1, 0.5, 0.9)), maps=True),
    Method(ADAPT, "SA", _grid(n_components=(None, 5, 10, 20)), maps=True),
    Method(SKADA, "SA", _grid(n_components=(None, 5, 10, 20)), maps=True),
    Method(
        SKADA,
        "TCA",
        _grid(n_components=(N_COMPONENTS, 10), mu=(1.0, 0.1, 10.0), times=(1.0, 0.25)),
        maps=True,
    ),
    Method(POT, "EMD", maps=True),
    Method(
        POT,
        "Sinkhorn",
        (*_grid(reg_e=(1.0, 0.1, 5.0)), *_grid(norm=("max",), reg_e=(0.1, 0.01))),
        maps=True,
    ),
    Method(
        POT,
        "SinkhornLpl1",
        _grid(reg_e=(1.0, 0.1, 5.0, 10.0), reg_cl=(0.1, 1.0, 5.0, 10.0)),
        maps=True,
    ),
    Method(POT, "Linear", _grid(reg=(1e-8, 0.01, 0.1, 1.0)), maps=True),
)
"""Kernels have the median's gamma; all else of the first settings is the package's default.

Of skada's TCA the number of components and mu are ours.
"""
