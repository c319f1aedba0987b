"""What is minimised: kinds of terms put together, as a function of embedding or components."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmmd.metric_learning._groups import Problem, Targets, select_targets
from skmmd.metric_learning._lengths import through_lengths, unit_rows
from skmmd.metric_learning._losses import LOSSES, PULL, Kind
from skmmd.metric_learning._mining import mine
from skmmd.metric_learning._rows import Rows

__all__ = [
    "Settings",
    "Total",
    "embedding",
    "evaluate",
    "make_problem",
    "target_neighbors",
    "total_of",
]

FloatArray = NDArray[np.float64]

# Most negatives are far behind the margin: so many times the mean over all of them weighs as much
# as the mean distance to the target neighbours.
_PUSH = 10.0


class Total(NamedTuple):
    """A loss put together from its kinds."""

    value: float
    gradient: FloatArray
    n_terms: float
    n_active: float


def total_of(
    Z: FloatArray,
    problem: Problem,
    kinds: tuple[Kind, ...],
    factors: tuple[float, ...],
    *,
    mean: bool,
) -> Total:
    """Add up kinds of terms: factors times their sums or their means.

    Parameters
    ----------
    Z : ndarray of shape (n_samples, n_components)
        Rows, sorted by class.
    problem : Problem
        Classes, margins and positives.
    kinds : tuple of Kind
        The kinds.
    factors : tuple of float
        One for each.
    mean : bool
        Divide each kind by its count.

    Returns
    -------
    Total
        Value, gradient, and counts. A kind without terms adds nothing.
    """
    total = Total(0.0, np.zeros_like(Z), 0.0, 0.0)
    for kind, factor in zip(kinds, factors, strict=True):
        count = kind.count(problem)
        if count == 0.0 or factor == 0.0:
            continue
        terms = kind.evaluate(Z, problem)
        scale = factor / count if mean else factor
        terms.gradient[...] *= scale
        total = Total(
            total.value + scale * terms.value,
            np.add(total.gradient, terms.gradient, out=total.gradient),
            total.n_terms + count,
            total.n_active + terms.n_active,
        )
    return total


@dataclass(frozen=True)
class Settings:
    """What the objective is made of.

    Parameters
    ----------
    loss : str
        A name of :data:`LOSSES`.
    margin : ndarray of shape (n_classes, n_classes)
        Margin of [class of anchor, class of negative].
    margin2 : float
        Margin of quadruplets.
    positives : {"all", "neighbors"}
        What a row is compared with.
    n_neighbors : int
        Number of target neighbours.
    mining : str
        A name of :data:`MINERS`.
    normalize : bool
        Whether rows are divided by their lengths.
    alpha : float
        Weight of the mean squared length of the rows.
    pull_weight : float
        Weight of the distances to positives against the terms that push negatives away.
    n_jobs : int or None
        Number of threads.
    """

    loss: str
    margin: FloatArray
    margin2: float
    positives: str
    n_neighbors: int
    mining: str
    normalize: bool
    alpha: float
    pull_weight: float
    n_jobs: int | None

    @property
    def uses_targets(self) -> bool:
        return self.positives == "neighbors" and LOSSES[self.loss].pairs

    @property
    def mines(self) -> bool:
        return self.mining != "all" and bool(LOSSES[self.loss].mined)

    @property
    def selects_anew(self) -> bool:
        """Whether what is compared depends on where the components are."""
        return self.uses_targets or self.mines


def embedding(rows: Rows, components: FloatArray, settings: Settings) -> FloatArray:
    """Return the rows as the loss sees them."""
    Z = rows.embed(components)
    return unit_rows(Z)[0] if settings.normalize else Z


def target_neighbors(rows: Rows, components: FloatArray, settings: Settings) -> Targets:
    """Select the target neighbours under the current components."""
    Z = embedding(rows, components, settings)
    return select_targets(Z, rows.groups, settings.n_neighbors, n_jobs=settings.n_jobs)


def make_problem(
    rows: Rows,
    components: FloatArray,
    settings: Settings,
    generator: np.random.Generator,
    *,
    targets: Targets | None = None,
) -> Problem:
    """Select what is compared under the current components: target neighbours and negatives.

    Parameters
    ----------
    rows : Rows
        Training rows.
    components : ndarray of shape (n_components, n_features)
        Components of standardised features.
    settings : Settings
        The objective.
    generator : numpy.random.Generator
        For miners that draw.
    targets : Targets or None, default=None
        Target neighbours that were selected before.

    Returns
    -------
    Problem
        Classes, margins, positives and negatives.
    """
    groups = rows.groups
    mined = None
    if settings.uses_targets and targets is None:
        targets = target_neighbors(rows, components, settings)
    if settings.mines:
        Z = embedding(rows, components, settings)
        mined = mine(Z, groups, targets, settings.margin, settings.mining, generator)
    return Problem(groups, settings.margin, settings.margin2, targets, mined, settings.n_jobs)


def _weighted_kinds(
    settings: Settings, problem: Problem
) -> tuple[tuple[Kind, ...], tuple[float, ...]]:
    """Return the kinds of terms and the factors of their means."""
    loss = LOSSES[settings.loss]
    kinds = loss.kinds if problem.mined is None else loss.mined
    pull, push = 2.0 * settings.pull_weight, 2.0 * (1.0 - settings.pull_weight)
    if loss.pull == "first":
        return kinds, (pull, *[push] * (len(kinds) - 1))
    if loss.pull == "targets" and problem.targets is not None:
        push *= _PUSH if problem.mined is None else 1.0
        return (PULL, *kinds), (pull, *[push] * len(kinds))
    return kinds, (1.0,) * len(kinds)


def evaluate(
    components: FloatArray, rows: Rows, problem: Problem, settings: Settings
) -> tuple[float, FloatArray]:
    """Return the objective and its gradient with respect to the components.

    Parameters
    ----------
    components : ndarray of shape (n_components, n_features)
        Components of standardised features.
    rows : Rows
        Training rows.
    problem : Problem
        Their classes, positives and negatives.
    settings : Settings
        The objective.

    Returns
    -------
    value : float
        The objective.
    gradient : ndarray of shape (n_components, n_features)
        Its gradient.

    Raises
    ------
    ValueError
        If it is not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        Z = rows.embed(components)
        unit, lengths = unit_rows(Z) if settings.normalize else (Z, None)
        kinds, factors = _weighted_kinds(settings, problem)
        total = total_of(unit, problem, kinds, factors, mean=True)
        gradient = total.gradient
        if lengths is not None:
            gradient = through_lengths(gradient, unit, lengths)
        value = total.value
        if settings.alpha > 0.0:
            share = settings.alpha / rows.groups.weight.sum() * rows.groups.weight
            value += float(share @ np.einsum("ij,ij->i", Z, Z))
            gradient += 2.0 * share[:, None] * Z
        result = rows.pull_back(gradient)
    if not (np.isfinite(value) and np.all(np.isfinite(result))):
        raise ValueError(
            f"The {settings.loss} loss or its gradient became {value} where the components reach "
            f"{np.abs(components).max():.3g}: it has no finite minimum here, or the step was too "
            "long. Use a larger alpha, normalize=True, or a smaller margin or learning_rate."
        )
    return value, result
