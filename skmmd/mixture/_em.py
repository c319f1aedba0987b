"""The loop around the steps of EM: when to stop, and what a fit returns."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from skmmd.mixture import _loops
from skmmd.mixture._acceleration import anderson, squarem
from skmmd.mixture._data import Data
from skmmd.mixture._parameters import FloatArray, Model, Parameters
from skmmd.mixture._sweep import em_step, empty_sums, is_linear, run_loop

# The compiled loop returns to Python after some products, about half a second, or steps, so that
# it can be interrupted.
_PRODUCTS, _STEPS = 1e10, 64

Report = Callable[[int, float], None]


class Fit(NamedTuple):
    """What EM found from one start.

    Attributes
    ----------
    parameters : Parameters
        After the last step.
    lower_bounds : list of float
        The objective before each accepted step.
    converged : bool
        Whether it stopped by itself.
    n_iter : int
        Passes over the data.
    n_dead : int
        Components that have lost all their weight.
    collapsed : bool
        Whether it stopped because the next step would have led to a singular covariance.
    """

    parameters: Parameters
    lower_bounds: list[float]
    converged: bool
    n_iter: int
    n_dead: int
    collapsed: bool = False

    @property
    def lower_bound(self) -> float:
        return self.lower_bounds[-1] if self.lower_bounds else -np.inf


def run(
    data: Data,
    model: Model,
    start: Parameters,
    *,
    max_iter: int,
    tol: float,
    stopping: str = "change",
    accelerate: str | None = None,
    previous: float = -np.inf,
    report: Report | None = None,
    report_interval: int = 10,
) -> Fit:
    """Run EM from `start`.

    Parameters
    ----------
    data : Data
        Rows.
    model : Model
        What is estimated.
    start : Parameters
        Not changed.
    max_iter : int
        Largest number of passes over the data.
    tol : float
        Tolerance of the objective's change.
    stopping : {'change', 'aitken'}, default='change'
        Rule for stopping.
    accelerate : {'squarem', 'anderson'} or None, default=None
        Extrapolation of the steps.
    previous : float, default=-inf
        Objective before the first step, if the fit goes on from another.
    report : callable or None, default=None
        Called with the number of a step and the change of the objective.
    report_interval : int, default=10
        How many steps are between two reports.

    Returns
    -------
    Fit
        The result.
    """
    stop = Stop(tol, stopping == "aitken", previous, report, report_interval)
    if accelerate is not None and max_iter > 0:
        method = {"squarem": squarem, "anderson": anderson}[accelerate]
        scale = np.sqrt(np.where(data.variance > 0.0, data.variance, 1.0))
        step, n_iter = method(
            lambda parameters: em_step(data, model, parameters), start, model, scale, stop, max_iter
        )
        converged = stop.converged and not step.collapsed
        return Fit(step.parameters, stop.accepted, converged, n_iter, step.n_dead, step.collapsed)
    parameters, n_dead = start.copy(), 0
    plain = data.is_plain and not data.is_threaded and is_linear(data, model)
    while len(stop.accepted) < max_iter and not stop.converged:
        if plain:
            cost = data.n_rows * empty_sums(model, parameters).size
            quick = min(max(int(_PRODUCTS / cost), 1), _STEPS)
            steps = min(max_iter - len(stop.accepted), report_interval if report else quick)
            status, n_dead = _advance(data, model, parameters, stop, steps, n_dead)
            if status < 2:
                continue
        step = em_step(data, model, parameters)
        parameters, n_dead = step.parameters, step.n_dead
        stop.add(step.objective)
        if step.collapsed:
            n_iter = len(stop.accepted)
            return Fit(parameters, stop.accepted, False, n_iter, n_dead, collapsed=True)
    return Fit(parameters, stop.accepted, stop.converged, len(stop.accepted), n_dead)


def _advance(
    data: Data, model: Model, parameters: Parameters, stop: "Stop", steps: int, n_dead: int
) -> tuple[int, int]:
    """Run steps in the compiled loop, which changes `parameters`."""
    history = np.empty(2 + steps)
    history[:2] = stop.last_two
    X: Any = data.X
    rows = (X, 0, data.n_rows, data.weight)
    sums = empty_sums(model, parameters)
    status, n_steps, dead = run_loop(
        data, model, parameters, rows, history, sums, part=0, tol=stop.tol, aitken=stop.aitken
    )
    for value in history[2 : 2 + n_steps]:
        stop.add(float(value))
    return status, dead if n_steps else n_dead


class Stop:
    """The objective so far, and whether it has converged."""

    def __init__(
        self,
        tol: float,
        aitken: bool,
        previous: float = -np.inf,
        report: Report | None = None,
        report_interval: int = 10,
    ):
        self.tol = tol
        self.aitken = aitken
        self.accepted: list[float] = []
        self.converged = False
        self._before = (-np.inf, previous)
        self._report = report
        self._report_interval = report_interval

    @property
    def last_two(self) -> FloatArray:
        return np.array([*self._before, *self.accepted[-2:]])[-2:]

    def add(self, objective: float, *, plain: bool = True) -> bool:
        """Note the objective of an accepted step; return whether to stop.

        What is gained on the way to an extrapolated point says nothing of what is left.
        """
        history = np.append(self.last_two, objective)
        self.accepted.append(objective)
        self.converged = plain and bool(_loops.has_converged(history, 2, self.tol, self.aitken))
        if self._report is not None and len(self.accepted) % self._report_interval == 0:
            self._report(len(self.accepted), objective - history[1])
        return self.converged
