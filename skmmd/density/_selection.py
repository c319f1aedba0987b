"""What a fit leaves open, chosen by held-out rows: base measure, bandwidths, penalty, noise.

bandwidths    local optima of the held-out score-matching loss, or a grid
each of them  with each base measure, a few factors, penalties and noise scales, and f = 0
the best      by held-out log-likelihood (score matching does not see the weights of modes), the
              normaliser by importance sampling, less its standard error
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import gather_blocks
from skmmd.density._bandwidths import greedy_start, optimise
from skmmd.density._candidates import BaseCandidate, Box
from skmmd.density._fold_loss import FoldLoss
from skmmd.density._folds import Folds
from skmmd.density._judges import Choice, LikelihoodJudge, LossJudge
from skmmd.density._normalizer import make_proposal

__all__ = ["Question", "select"]

FloatArray = NDArray[np.float64]

_N_GREEDY_CENTERS = 100
_MAX_ITER = 20
_START_ALPHA = 1e-2
_SCALES = (0.7, 1.4)
_ISOTROPIC_LENGTHS = np.geomspace(0.2, 10.0, 9)
_ALPHA_FACTORS = np.geomspace(1e-2, 10.0, 7)
_ALPHAS = np.geomspace(1e-7, 1.0, 8)
# Times the number of rows: a smaller penalty leaves polynomials that fall off beyond the rows.
_LEAST_ALPHA = 5e-5


@dataclass(frozen=True)
class Question:
    """What is given and what is open.

    Parameters
    ----------
    kernel : {"rbf", "imq", "rq"}
        The radial function.
    bandwidth : {"ard", "cv"} or ndarray of shape (n_features,)
        Bandwidths, or how to choose them.
    alpha : float or None
        Penalty; None to choose it.
    noises : tuple of float
        Scales of the denoising loss that compete; 0 is the explicit loss.
    noise_of_all : bool
        Whether noise is for all base measures, not for Gaussian ones alone.
    by_likelihood : bool
        Whether held-out log-likelihood decides, not the held-out loss.
    """

    kernel: str
    bandwidth: str | FloatArray
    alpha: float | None
    noises: tuple[float, ...]
    noise_of_all: bool
    by_likelihood: bool


def select(
    question: Question,
    bases: Sequence[BaseCandidate],
    folds: Folds,
    centers: FloatArray,
    n_samples: float,
    generator: np.random.Generator,
    box: Box | None = None,
    *,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> list[Choice]:
    """Return all answers, the best first.

    Parameters
    ----------
    question : Question
        What is open.
    bases : sequence of BaseCandidate
        Base measures, those of one group next to each other.
    folds : Folds
        Rows in coordinates.
    centers : ndarray of shape (n_centers, n_features)
        Centres of the basis.
    n_samples : float
        Number of samples the rows stand for.
    generator : numpy.random.Generator
        Source of the draws.
    box : Box, default=None
        The domain.
    n_jobs : int, default=None
        Number of threads.
    verbose : int, default=0
        Show progress if positive.

    Returns
    -------
    list of Choice
        Sorted by value.
    """
    boundary = None if box is None else box.weights(folds.X)
    losses = [_fold_loss(question, base, folds, centers, boundary) for base in bases]
    leaders = {base.group: k for k, base in reversed(list(enumerate(bases)))}
    jobs = [(group, start) for group in leaders for start in _starts(question, centers.shape[1])]

    def optimum(job: tuple[str, str]) -> list[tuple[FloatArray, FloatArray]]:
        group, start = job
        return _local_optimum(question, losses[leaders[group]], start)

    found = gather_blocks(optimum, jobs, n_jobs=n_jobs, verbose=verbose, desc="bandwidths")
    seeds = generator.integers(2**63, size=len(bases))

    def answers(k: int) -> list[Choice]:
        places = [
            place
            for (group, _), part in zip(jobs, found, strict=True)
            if group == bases[k].group
            for place in part
        ]
        own = np.random.default_rng(seeds[k])
        judge: LikelihoodJudge | LossJudge
        if question.by_likelihood:
            sides: dict[str, Any] = {} if box is None else {"low": box.low, "high": box.high}
            proposal = make_proposal(bases[k].full, folds.X, folds.weight, n_samples, own, **sides)
            judge = LikelihoodJudge(bases[k], losses[k], proposal, n_samples, own)
        else:
            judge = LossJudge(bases[k], losses[k], own)
        return _answers(question, judge, places)

    chosen = gather_blocks(
        answers, list(range(len(bases))), n_jobs=n_jobs, verbose=verbose, desc="base measures"
    )
    return sorted((c for part in chosen for c in part), key=lambda c: -c.value)


def _answers(
    question: Question,
    judge: LikelihoodJudge | LossJudge,
    places: list[tuple[FloatArray, FloatArray]],
) -> list[Choice]:
    """Return the answers with one base measure; the best bandwidths are tried scaled, too."""
    noises: tuple[float, ...] = (0.0,)
    if judge.base.is_gaussian or question.noise_of_all:
        noises = question.noises
    found = []
    for lengths, alphas in places:
        found += judge.choices(lengths, alphas, noises)
    if found and isinstance(question.bandwidth, str) and question.bandwidth == "ard":
        best = max(found, key=lambda choice: choice.value)
        for lengths, alphas in places:
            if best.lengths is lengths:
                for scale in _SCALES:
                    found += judge.choices(scale * lengths, alphas, (best.noise_scale,))
    return [judge.without_f(), *found]


def _fold_loss(
    question: Question,
    base: BaseCandidate,
    folds: Folds,
    centers: FloatArray,
    boundary: tuple[FloatArray, FloatArray] | None,
) -> FoldLoss:
    scores = np.stack([part.score(folds.X) for part in base.folds])
    return FoldLoss(question.kernel, centers, folds, scores, boundary)


def _starts(question: Question, n_features: int) -> tuple[str, ...]:
    if isinstance(question.bandwidth, str) and question.bandwidth == "ard":
        return ("greedy", "median") if n_features > 1 else ("greedy",)
    return ("given",)


def _local_optimum(
    question: Question, loss: FoldLoss, start: str
) -> list[tuple[FloatArray, FloatArray]]:
    """Return pairs of bandwidths and penalties to try with them."""
    d = loss.centers.shape[1]
    given = None if question.alpha is None else np.array([question.alpha])
    if start == "given":
        alphas = _ALPHAS if given is None else given
        if isinstance(question.bandwidth, str):
            return [(np.full(d, length), alphas) for length in _ISOTROPIC_LENGTHS]
        return [(question.bandwidth, alphas)]
    least = _LEAST_ALPHA / len(loss.folds.X)
    smaller = FoldLoss(
        loss.kernel, loss.centers[:_N_GREEDY_CENTERS], loss.folds, loss.base_scores, loss.boundary
    )
    alpha = np.array([_START_ALPHA]) if given is None else given
    if start == "greedy":
        lengths, _ = greedy_start(smaller, alpha)
    else:
        lengths = np.full(d, np.sqrt(d))
    lengths, best, _ = optimise(
        smaller,
        lengths,
        float(alpha[0]),
        max_iter=_MAX_ITER,
        least_alpha=least,
        fixed_alpha=given is not None,
    )
    alphas = np.unique(np.maximum(best * _ALPHA_FACTORS, least)) if given is None else given
    return [(lengths, alphas)]
