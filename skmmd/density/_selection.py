"""What a fit leaves open, chosen by held-out rows: base measure, bandwidths, penalty, noise.

bandwidths    local optima of the held-out score-matching loss, or a grid
each of them  with each base measure, a few factors, penalties and noise scales, and f = 0
the best      by held-out log-likelihood (score matching does not see the weights of modes), the
              normaliser by importance sampling, less its standard error
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmmd._chunked import gather_blocks
from skmmd.density._bandwidths import greedy_start, optimise
from skmmd.density._candidates import BaseCandidate, Box
from skmmd.density._fold_loss import FoldLoss, FoldSystems
from skmmd.density._folds import Folds
from skmmd.density._normalizer import log_normalizers, make_proposal
from skmmd.density._radial import half_distances, radial

__all__ = ["Choice", "Question", "noisy_rows", "select"]

FloatArray = NDArray[np.float64]

_N_DRAWS = 3000
_N_GREEDY_CENTERS = 100
_MAX_ITER = 30
_START_ALPHA = 1e-2
_SCALES = (0.7, 1.0, 1.4)
_ISOTROPIC_LENGTHS = np.geomspace(0.2, 10.0, 9)
_ALPHA_FACTORS = np.geomspace(1e-2, 10.0, 7)
_ALPHAS = np.geomspace(1e-7, 1.0, 8)
_NOISE_COPIES = 5
# Held-out normalisers from fewer effective draws than this share are not trusted.
_MIN_ESS = 0.01


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


@dataclass(frozen=True)
class Choice:
    """One answer: a base measure with a function f, or without.

    Parameters
    ----------
    base : BaseCandidate
        The base measure.
    lengths : ndarray of shape (n_features,) or None
        Bandwidths; None for f = 0.
    alpha : float
        Penalty.
    noise_scale : float
        Scale of the denoising loss, 0 for the explicit one.
    value : float
        Held-out log-likelihood per row less the standard error of its normaliser, or minus the
        held-out loss.
    penalty : float or None
        Penalty of the refinement by likelihood, None without.
    """

    base: BaseCandidate
    lengths: FloatArray | None
    alpha: float
    noise_scale: float
    value: float
    penalty: float | None = None


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
        if question.by_likelihood:
            return _by_likelihood(question, bases[k], losses[k], places, n_samples, own, box)
        return _by_loss(question, bases[k], losses[k], places, own)

    chosen = gather_blocks(
        answers, list(range(len(bases))), n_jobs=n_jobs, verbose=verbose, desc="base measures"
    )
    return sorted((c for part in chosen for c in part), key=lambda c: -c.value)


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
    smaller = FoldLoss(
        loss.kernel, loss.centers[:_N_GREEDY_CENTERS], loss.folds, loss.base_scores, loss.boundary
    )
    alpha = np.array([_START_ALPHA]) if given is None else given
    if start == "greedy":
        lengths, _ = greedy_start(smaller, alpha)
    else:
        lengths = np.full(d, np.sqrt(d))
    lengths, best, _ = optimise(
        smaller, lengths, float(alpha[0]), max_iter=_MAX_ITER, fixed_alpha=given is not None
    )
    alphas = best * _ALPHA_FACTORS if given is None else given
    return [(scale * lengths, alphas) for scale in _SCALES]


def _noises(question: Question, base: BaseCandidate) -> tuple[float, ...]:
    return question.noises if base.is_gaussian or question.noise_of_all else (0.0,)


def _systems(
    question: Question,
    base: BaseCandidate,
    loss: FoldLoss,
    rho: FloatArray,
    generator: np.random.Generator,
) -> list[tuple[float, FoldSystems]]:
    """Return the sums of all splits for each scale of noise."""
    found = []
    for noise in _noises(question, base):
        if noise == 0.0:
            found.append((noise, loss.systems(rho)))
        elif base.is_gaussian and question.kernel == "rbf":
            precisions = [part.precision for part in base.folds]  # type: ignore[attr-defined]
            found.append((noise, loss.denoised(rho, precisions, noise)))
        else:
            noisy = noisy_folds(loss.folds, noise, generator)
            scores = np.stack([part.score(noisy.X) for part in base.folds])
            noisy_loss = FoldLoss(loss.kernel, loss.centers, noisy, scores)
            found.append((noise, noisy_loss.systems(rho)))
    return found


def noisy_rows(X: FloatArray, noise: float, generator: np.random.Generator) -> FloatArray:
    """Return copies of rows with Gaussian noise and its opposite: shape (n_copies n, d)."""
    parts = []
    for _ in range(_NOISE_COPIES):
        shift = noise * generator.standard_normal(X.shape)
        parts += [X + shift, X - shift]
    return np.concatenate(parts)


def noisy_folds(folds: Folds, noise: float, generator: np.random.Generator) -> Folds:
    """Return the splits with each row replaced by noisy copies in the same role."""
    n_copies, n = 2 * _NOISE_COPIES, len(folds.X)
    blocks = tuple(
        slice(rows.start + k * n, rows.stop + k * n)
        for k in range(n_copies)
        for rows in folds.blocks
    )
    return replace(
        folds,
        X=noisy_rows(folds.X, noise, generator),
        weight=np.tile(folds.weight, n_copies) / n_copies,
        roles=np.tile(folds.roles, (n_copies, 1)),
        blocks=blocks,
        train=np.tile(folds.train, n_copies) / n_copies,
        test=np.tile(folds.test, n_copies) / n_copies,
    )


def _by_likelihood(
    question: Question,
    base: BaseCandidate,
    loss: FoldLoss,
    places: list[tuple[FloatArray, FloatArray]],
    n_samples: float,
    generator: np.random.Generator,
    box: Box | None,
) -> list[Choice]:
    """Return the answers with one base measure by held-out log-likelihood."""
    folds, centers = loss.folds, loss.centers
    sides: dict[str, Any] = {} if box is None else {"low": box.low, "high": box.high}
    proposal = make_proposal(base.full, folds.X, folds.weight, n_samples, generator, **sides)
    draws = proposal.draw(_N_DRAWS, generator)
    log_proposal = proposal.log_density(draws)
    log_base = np.stack([part.log_density(draws) for part in base.folds])
    held_out = np.stack([part.log_density(folds.X) for part in base.folds])
    base_value = np.einsum("kb,kb->k", folds.test, held_out)
    found = [Choice(base, None, 1.0, 0.0, float(base_value.mean()))]
    n_splits = len(folds.test)
    for lengths, alphas in places:
        rho = lengths**-2.0
        at_draws = radial(loss.kernel, half_distances(rho, draws, centers))[0]
        at_rows = radial(loss.kernel, half_distances(rho, folds.X, centers))[0]
        test_means = folds.test @ at_rows
        for noise, systems in _systems(question, base, loss, rho, generator):
            coef = np.stack([systems.coefficients(float(alpha)) for alpha in alphas], axis=1)
            values = np.empty((n_splits, len(alphas)))
            ess = np.empty_like(values)
            for k in range(n_splits):
                normalizer = log_normalizers(log_base[k], at_draws @ coef[k].T, log_proposal)
                log_z = normalizer.log_normalizer + normalizer.standard_error
                values[k] = coef[k] @ test_means[k] - log_z
                ess[k] = normalizer.ess
            trusted = np.all(ess > _MIN_ESS, axis=0) & np.all(np.isfinite(values), axis=0)
            for a in np.flatnonzero(trusted):
                value = float(np.mean(base_value + values[:, a]))
                found.append(Choice(base, lengths, float(alphas[a]), noise, value))
    return found


def _by_loss(
    question: Question,
    base: BaseCandidate,
    loss: FoldLoss,
    places: list[tuple[FloatArray, FloatArray]],
    generator: np.random.Generator,
) -> list[Choice]:
    """Return the answers with one base measure by minus the held-out score-matching loss."""
    folds = loss.folds
    boundary = loss.boundary
    base_loss = []
    for k, part in enumerate(base.folds):
        score, laplacian = loss.base_scores[k], part.laplacian(folds.X)
        if boundary is None:
            row = 0.5 * np.square(score).sum(axis=1) + laplacian
        else:
            share, slope = boundary
            second = np.diagonal(part.hessian(folds.X), axis1=1, axis2=2)
            row = (share * (0.5 * score**2 + second) + slope * score).sum(axis=1)
        base_loss.append(folds.test[k] @ row)
    base_value = -float(np.mean(base_loss))
    found = [Choice(base, None, 1.0, 0.0, base_value)]
    for lengths, alphas in places:
        rho = lengths**-2.0
        explicit = loss.systems(rho)
        for noise, systems in _systems(question, base, loss, rho, generator):
            for alpha in alphas:
                value = base_value - float(
                    explicit.losses(systems.coefficients(float(alpha))).mean()
                )
                found.append(Choice(base, lengths, float(alpha), noise, value))
    return found
