"""Solvers: L-BFGS over passes, Adam over batches, and when to stop."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.neighbors import NearestNeighbors

from skmmd._chunked import kept_threads, single_threaded_blas
from skmmd.metric_learning._groups import Targets
from skmmd.metric_learning._objective import (
    Settings,
    embedding,
    evaluate,
    make_problem,
    target_neighbors,
)
from skmmd.metric_learning._rows import Rows

__all__ = [
    "LEAST_SPLIT",
    "AdamState",
    "Fit",
    "Schedule",
    "adam_epoch",
    "best_scaled",
    "call_back",
    "fit_components",
]

FloatArray = NDArray[np.float64]

LEAST_SPLIT = 4  # rows of a class from which some are held out
_N_VALIDATED = 5  # neighbours of each row held out
_STANDARD_ERRORS = 0.5  # by which a pass has to be better than one before it
_PATIENCE = 2  # passes without a better validation score
_ADAM_PATIENCE, _PATIENT_STEPS = 10, 100  # epochs and steps without a better one
_MOST_VALIDATED = 2000  # rows of the hold-out that are scored
_TOGETHER = 4  # rows of a class in a batch
_WARM_STEPS = 100.0  # of Adam, after which they fall with the square root of their number
_MOST_SCALED = 1000  # rows that tell the scale of the start
_LOOSE = 1e-3  # relative decrease at which all passes but the last stop
_CORRECTIONS = 10  # pairs that L-BFGS remembers


@dataclass(frozen=True)
class Schedule:
    """How long and by what the objective is minimised.

    Parameters
    ----------
    solver : {"lbfgs", "adam"}
        The solver.
    n_passes : int
        How often target neighbours and mined negatives are selected, at most.
    max_iter : int
        Most iterations of L-BFGS in a pass, or epochs of Adam.
    tol : float
        Relative decrease of the objective at which it stops.
    batch_size : int
        Rows in a batch of Adam.
    learning_rate : float
        Step size of Adam.
    validation_fraction : float or None
        Share of the rows that are held out to tell when to stop; None holds out none.
    rescales : bool
        Whether Adam may choose the scale of the start.
    callback : callable or None
        Called with the components, in standardised coordinates, and the number of iterations.
    report : callable or None
        Called with the loss of each iteration.
    """

    solver: str
    n_passes: int
    max_iter: int
    tol: float
    batch_size: int
    learning_rate: float
    validation_fraction: float | None
    rescales: bool
    callback: Callable[[FloatArray, int], Any] | None = None
    report: Callable[[float], Any] | None = None


class Fit(NamedTuple):
    """What came out."""

    components: FloatArray
    loss: float
    loss_curve: list[float]
    n_iter: int
    n_passes: int
    validation_score: float | None
    converged: bool


def fit_components(
    rows: Rows,
    components: FloatArray,
    settings: Settings,
    schedule: Schedule,
    generator: np.random.Generator,
) -> Fit:
    """Minimise the objective from the given components.

    Parameters
    ----------
    rows : Rows
        Training rows.
    components : ndarray of shape (n_components, n_features)
        The start, in standardised coordinates.
    settings : Settings
        The objective.
    schedule : Schedule
        The solver.
    generator : numpy.random.Generator
        Draws hold-outs, batches and mined negatives.

    Returns
    -------
    Fit
        Components in standardised coordinates, and how they were found.
    """
    # BLAS threads would wait for each other over vectors this short.
    with kept_threads(), single_threaded_blas():
        if schedule.solver == "adam":
            return _adam(rows, components, settings, schedule, generator)
        return _passes(rows, components, settings, schedule, generator)


# --------------------------------------------------------------------------------------
# hold-out


def _held_out(
    rows: Rows, fraction: float | None, generator: np.random.Generator
) -> tuple[Rows, Rows | None]:
    """Split off the same share of each class; classes of too few rows stay whole."""
    if fraction is None:
        return rows, None
    fraction = min(fraction, _MOST_VALIDATED / len(rows))
    bounds = rows.groups.bounds
    held = np.zeros(len(rows), dtype=bool)
    for first, last in itertools.pairwise(bounds):
        size = int(last - first)
        n_held = min(max(round(fraction * size), 1), size - 2) if size >= LEAST_SPLIT else 0
        held[first + generator.permutation(size)[:n_held]] = True
    if not held.any():
        return rows, None
    return rows.take(np.flatnonzero(~held)), rows.take(np.flatnonzero(held))


def _shares(train: Rows, held: Rows, components: FloatArray, settings: Settings) -> FloatArray:
    """Return for each row held out the share of its class among the nearest training rows."""
    n_neighbors = min(_N_VALIDATED, len(train))
    search = NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute")
    search.fit(embedding(train, components, settings))
    found = search.kneighbors(embedding(held, components, settings), return_distance=False)
    shares: FloatArray = np.mean(
        train.groups.codes[found] == held.groups.codes[:, None], axis=1, dtype=np.float64
    )
    return shares


# --------------------------------------------------------------------------------------
# L-BFGS


def call_back(
    callback: Callable[[FloatArray, int], Any], components: FloatArray, n_iter: int
) -> None:
    """Call a user's function, whose StopIteration would mean something to solvers.

    Parameters
    ----------
    callback : callable
        The function.
    components : ndarray of shape (n_components, n_features)
        Its first argument.
    n_iter : int
        Its second argument.

    Raises
    ------
    RuntimeError
        If it raises StopIteration.
    """
    try:
        callback(components.copy(), n_iter)
    except StopIteration as error:
        raise RuntimeError(
            "The callback raised StopIteration, which ends nothing here; use max_iter, or raise "
            "another exception."
        ) from error


@dataclass
class _Progress:
    """The iterations so far."""

    schedule: Schedule
    curve: list[float] = field(default_factory=list)

    def step(self, components: FloatArray, value: float) -> None:
        self.curve.append(value)
        if self.schedule.callback is not None:
            call_back(self.schedule.callback, components, len(self.curve))
        if self.schedule.report is not None:
            self.schedule.report(value)


def _lbfgs(
    rows: Rows,
    components: FloatArray,
    settings: Settings,
    progress: _Progress,
    generator: np.random.Generator,
    *,
    last: bool,
) -> tuple[FloatArray, float, bool]:
    """Minimise with the positives and negatives that the start selects."""
    schedule = progress.schedule
    problem = make_problem(rows, components, settings, generator)
    shape = components.shape

    def objective(flat: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = evaluate(flat.reshape(shape), rows, problem, settings)
        return value, gradient.ravel()

    def after(intermediate_result: Any) -> None:
        progress.step(intermediate_result.x.reshape(shape), float(intermediate_result.fun))

    result = minimize(
        objective,
        components.ravel(),
        jac=True,
        method="L-BFGS-B",
        callback=after,
        options={
            "maxiter": schedule.max_iter,
            "maxfun": 20 * schedule.max_iter,
            "ftol": schedule.tol if last else max(schedule.tol, _LOOSE),
            "gtol": 1e-12,
            "maxcor": _CORRECTIONS,
        },
    )
    # 1: too many iterations; anything else is as low as the line search gets.
    return result.x.reshape(shape), float(result.fun), result.status != 1


def _passes(
    rows: Rows,
    components: FloatArray,
    settings: Settings,
    schedule: Schedule,
    generator: np.random.Generator,
) -> Fit:
    """Run L-BFGS once for each selection of what is compared."""
    progress = _Progress(schedule)
    n_passes, score = schedule.n_passes, None
    train, held = _held_out(rows, schedule.validation_fraction, generator)
    if held is not None:
        components, n_done, score = _before_best(
            train, held, components, settings, progress, generator
        )
        n_passes = n_done + 1
    else:
        for _ in range(n_passes - 1):
            components, *_ = _lbfgs(rows, components, settings, progress, generator, last=False)
    components, loss, converged = _lbfgs(rows, components, settings, progress, generator, last=True)
    curve = progress.curve or [loss]  # it may start at the minimum
    return Fit(components, loss, curve, len(curve), n_passes, score, converged)


def _before_best(
    train: Rows,
    held: Rows,
    components: FloatArray,
    settings: Settings,
    progress: _Progress,
    generator: np.random.Generator,
) -> tuple[FloatArray, int, float]:
    """Find the pass that is best for rows held out: return where it started, its place and score.

    That last pass is then run on all rows.
    """
    starts, scores, errors = [], [], []
    for n_done in range(progress.schedule.n_passes):
        starts.append(components)
        components, *_ = _lbfgs(train, components, settings, progress, generator, last=False)
        shares = _shares(train, held, components, settings)
        scores.append(float(shares.mean()))
        errors.append(float(shares.std()) / math.sqrt(len(shares)))
        if n_done - int(np.argmax(scores)) >= _PATIENCE:
            break
    # The first that is not clearly worse than the best: on few rows the best is often luck.
    best = int(np.argmax(scores))
    enough = scores[best] - _STANDARD_ERRORS * errors[best]
    first = next(place for place, score in enumerate(scores) if score >= enough)
    return starts[first], first, scores[first]


# --------------------------------------------------------------------------------------
# Adam


def best_scaled(
    rows: Rows, components: FloatArray, settings: Settings, generator: np.random.Generator
) -> FloatArray:
    """Scale components to where some rows have the least loss: Adam would need many small steps.

    Parameters
    ----------
    rows : Rows
        Training rows.
    components : ndarray of shape (n_components, n_features)
        The start.
    settings : Settings
        The objective.
    generator : numpy.random.Generator
        Draws the rows.

    Returns
    -------
    ndarray of shape (n_components, n_features)
        The components times a power of two.
    """
    chosen = np.sort(generator.permutation(len(rows))[:_MOST_SCALED])
    part = rows.take(chosen)
    if not part.groups.several_classes:
        return components  # without negatives the least is at 0
    problem = make_problem(part, components, settings, generator)
    factors = 2.0 ** np.arange(-5, 4)
    values = [evaluate(factor * components, part, problem, settings)[0] for factor in factors]
    best: FloatArray = factors[int(np.argmin(values))] * components
    return best


@dataclass
class AdamState:
    """Moving moments of the gradient.

    Parameters
    ----------
    unit : float
        Mean length of the components at the start, of which the learning rate is a share.
    first, second : ndarray of shape (n_components, n_features)
        Moving means of the gradient and of its squares.
    n_steps : int
        How many steps they have seen.
    """

    unit: float
    first: FloatArray
    second: FloatArray
    n_steps: int = 0

    @classmethod
    def at(cls, components: FloatArray) -> "AdamState":
        """Return the state before the first step."""
        unit = float(np.sqrt(np.mean(components**2) * components.shape[1]))
        return cls(unit, np.zeros_like(components), np.zeros_like(components))

    def copy(self) -> "AdamState":
        """Return a state whose steps leave this one as it is."""
        return AdamState(self.unit, self.first.copy(), self.second.copy(), self.n_steps)

    def step(
        self, components: FloatArray, gradient: FloatArray, learning_rate: float
    ) -> FloatArray:
        """Return the components one step further; steps get shorter after a while."""
        rate = learning_rate * self.unit / math.sqrt(1.0 + self.n_steps / _WARM_STEPS)
        self.n_steps += 1
        self.first += 0.1 * (gradient - self.first)
        self.second += 0.001 * (gradient**2 - self.second)
        first = self.first / (1.0 - 0.9**self.n_steps)
        second = self.second / (1.0 - 0.999**self.n_steps)
        moved: FloatArray = components - rate * first / (np.sqrt(second) + 1e-8)
        return moved


def _batches(
    rows: Rows, batch_size: int, together: int, generator: np.random.Generator
) -> list[NDArray[np.intp]]:
    """Deal out the rows so that each batch has its share of each class.

    Of a class of few rows some batches have `together` rows, and others none.
    """
    n_batches = max(round(len(rows) / batch_size), 1)
    batch = np.empty(len(rows), dtype=np.intp)
    start = 0
    bounds = rows.groups.bounds
    for code in generator.permutation(rows.groups.n_classes):
        first, last = bounds[code : code + 2]
        size = int(last - first)
        n_parts = min(max(size // together, 1), n_batches)
        # The dealing goes on where the class before ended, so that batches are equally large.
        batch[first + generator.permutation(size)] = (start + np.arange(size) % n_parts) % n_batches
        start += size if n_parts == n_batches else n_parts
    order = generator.permutation(n_batches)
    return [np.flatnonzero(batch == number) for number in order]


def _with_targets(rows: Rows, anchors: NDArray[np.intp], targets: Targets) -> tuple[Rows, Targets]:
    """Return some anchors with their target neighbours; only the anchors have targets."""
    index = targets.index[anchors]
    taken = targets.weight[anchors]
    used = np.unique(np.concatenate([anchors, index[taken > 0.0]]))
    local = np.repeat(np.arange(len(used), dtype=np.int64)[:, None], index.shape[1], axis=1)
    weight = np.zeros((len(used), index.shape[1]))
    place = np.searchsorted(used, anchors)
    local[place] = np.where(taken > 0.0, np.searchsorted(used, index), local[place])
    weight[place] = taken
    return rows.take(used), Targets(local, weight)


def adam_epoch(
    rows: Rows,
    components: FloatArray,
    state: AdamState,
    settings: Settings,
    targets: Targets | None,
    batch_size: int,
    learning_rate: float,
    generator: np.random.Generator,
) -> tuple[FloatArray, float]:
    """Let Adam see all rows once.

    Parameters
    ----------
    rows : Rows
        Training rows.
    components : ndarray of shape (n_components, n_features)
        Where it is.
    state : AdamState
        Moments; are brought up to date.
    settings : Settings
        The objective.
    targets : Targets or None
        The target neighbours of all rows, if they are the positives.
    batch_size : int
        Rows in a batch, target neighbours among them.
    learning_rate : float
        Step size, as a share of the unit of `state`.
    generator : numpy.random.Generator
        Deals out the batches.

    Returns
    -------
    components : ndarray of shape (n_components, n_features)
        Where it ends.
    loss : float
        The mean objective of the batches; NaN if none had two classes.
    """
    values = []
    if targets is None:
        # Positives have to be in the batch, beside another class.
        together = max(min(_TOGETHER, batch_size // 2), 2)
        n_anchors = max(batch_size, 2 * together)
    else:
        together, n_anchors = 1, max(batch_size // (1 + targets.index.shape[1]), 2)
    for anchors in _batches(rows, n_anchors, together, generator):
        if targets is None:
            part, mine = rows.take(anchors), None
        else:
            part, mine = _with_targets(rows, anchors, targets)
        if not part.groups.several_classes:
            continue  # without negatives all rows would be pulled to one point
        problem = make_problem(part, components, settings, generator, targets=mine)
        value, gradient = evaluate(components, part, problem, settings)
        components = state.step(components, gradient, learning_rate)
        values.append(value)
    return components, float(np.mean(values)) if values else np.nan


def _adam(
    rows: Rows,
    components: FloatArray,
    settings: Settings,
    schedule: Schedule,
    generator: np.random.Generator,
) -> Fit:
    """Run Adam until rows held out, or without any the loss, get no better."""
    progress = _Progress(schedule)
    train, held = _held_out(rows, schedule.validation_fraction, generator)
    if schedule.rescales:
        components = best_scaled(train, components, settings, generator)
    state, steps = AdamState.at(components), (schedule.batch_size, schedule.learning_rate)
    best, kept, loss, since, n_then = -np.inf, components, np.inf, 0, 0
    targets, n_selected, converged = None, 0, False
    for epoch in range(schedule.max_iter):
        if settings.uses_targets and epoch * schedule.n_passes >= n_selected * schedule.max_iter:
            targets = target_neighbors(train, components, settings)
            n_selected += 1
        components, value = adam_epoch(
            train, components, state, settings, targets, *steps, generator
        )
        progress.step(components, value)
        score = 0.0
        if held is not None:
            score = float(_shares(train, held, components, settings).mean())
        since += 1
        # Of equal scores the one with the clearly lower loss.
        lower = not math.isfinite(loss) or value < loss - schedule.tol * abs(loss)
        if score > best or (score == best and lower):
            best, kept, loss, since, n_then = score, components, value, 0, state.n_steps
        converged = since >= _ADAM_PATIENCE and state.n_steps - n_then >= _PATIENT_STEPS
        if converged:
            break
    curve = progress.curve
    found = None if held is None else best
    return Fit(kept, loss, curve, len(curve), max(n_selected, 1), found, converged)
