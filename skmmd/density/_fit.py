"""The fit of a score-matching density: rows -> coordinates -> choice -> solution -> normaliser."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmmd.density._bases import MixtureBase
from skmmd.density._candidates import BaseCandidate, Box, base_candidates
from skmmd.density._fitted import Model, normalise
from skmmd.density._folds import Folds, Rows, fold_rows, noisy_rows
from skmmd.density._gradient_basis import GradientExpansion, fit_full, fit_nystroem
from skmmd.density._judges import Choice
from skmmd.density._lite import Expansion, System, assemble, block_system, solve_accurately
from skmmd.density._normalizer import Normalizer, Proposal, make_proposal
from skmmd.density._radial import half_distances, radial
from skmmd.density._refine import held_out_refinement, refined_coefficients
from skmmd.density._selection import select
from skmmd.density._settings import Settings
from skmmd.density._variants import denoised_system, sliced_system
from skmmd.density._whitening import Whitening

__all__ = ["Fit", "extend", "fit_density"]

FloatArray = NDArray[np.float64]

_MAX_SELECTION_ROWS = 4000
# A density whose draws are worth less is not returned while there is another.
_MIN_ESS = 0.03
# After so many only f = 0 is left; penalties up to so many times larger fail alike.
_MAX_FAILED = 10
_BOLDER = 5.0
_MAX_REFINED = 4


@dataclass(frozen=True)
class Fit:
    """The result.

    Parameters
    ----------
    map_ : Whitening
        The coordinates.
    choice : Choice
        What was selected.
    model : Model
        The unnormalised density.
    proposal : Proposal
        What samples and normalisers draw from.
    normalizer : Normalizer or None
        None where no draws were wanted.
    centers : ndarray of shape (n_centers, n_features)
        Centres, in coordinates.
    system : System or None
        G and h, means over the rows, of the lite basis.
    """

    map_: Whitening
    choice: Choice
    model: Model
    proposal: Proposal
    normalizer: Normalizer | None
    centers: FloatArray
    system: System | None


def fit_density(
    settings: Settings,
    map_: Whitening,
    rows: Rows,
    given: tuple[FloatArray, FloatArray],
    box: Box | None,
    generator: np.random.Generator,
    *,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Fit:
    """Select what is open, solve for f, normalise.

    Parameters
    ----------
    settings : Settings
        What was asked for.
    map_ : Whitening
        The coordinates.
    rows : Rows
        Distinct rows in coordinates.
    given : tuple of ndarray
        Rows of the data and their weights as they came, which the splits of `cv` mean.
    box : Box or None
        The domain.
    generator : numpy.random.Generator
        Source of randomness.
    n_jobs : int, default=None
        Number of threads.
    verbose : int, default=0
        Show progress if positive.

    Returns
    -------
    Fit
        The result.
    """
    seed = int(generator.integers(2**31))
    centers = settings.centers
    if centers is None:
        size = min(settings.n_components, len(rows.X))
        centers = rows.X[generator.choice(len(rows.X), size, replace=False)]
    folds = None
    if not settings.is_closed:
        # Equal rows are merged before they are mapped, which can round copies differently.
        folds = fold_rows(*given, settings.cv, generator, max_rows=_MAX_SELECTION_ROWS)
        folds = replace(folds, X=map_.forward(folds.X))
    bases = base_candidates(settings.base, map_, rows, folds, seed, box)
    choices: Sequence[Choice]
    if folds is None:
        question = settings.question
        assert not isinstance(question.bandwidth, str)
        assert question.alpha is not None
        closed = Choice(bases[0], question.bandwidth, question.alpha, question.noises[0], np.nan)
        choices = [closed]
    else:
        choices = select(
            settings.question, bases, folds, centers, rows.n_samples, generator, box,
            n_jobs=n_jobs, verbose=verbose,
        )  # fmt: skip
    if settings.refine and folds is not None:
        refined = _refined(settings, choices, folds, centers, rows, box, generator)
        choices = [*refined, *choices]
    failed: list[Choice] = []
    for choice in choices:
        if _is_like(choice, failed):
            continue
        fit = _finish(settings, choice, map_, rows, centers, box, generator, n_jobs)
        if fit.normalizer is None or fit.normalizer.ess >= _MIN_ESS:
            return fit
        failed.append(choice)
    return fit


def _is_like(choice: Choice, failed: list[Choice]) -> bool:
    """Tell whether a choice is as bold as one that failed: same bandwidths, no larger penalty."""
    if choice.lengths is None:
        return False
    return len(failed) > _MAX_FAILED or any(
        choice.base is other.base
        and other.lengths is not None
        and np.array_equal(choice.lengths, other.lengths)
        and choice.penalty == other.penalty
        and choice.alpha <= _BOLDER * other.alpha
        for other in failed
    )


def _refined(
    settings: Settings,
    choices: Sequence[Choice],
    folds: Folds,
    centers: FloatArray,
    rows: Rows,
    box: Box | None,
    generator: np.random.Generator,
) -> list[Choice]:
    """Return what refinement by likelihood makes of the best choices, if it is better."""
    tried: set[tuple[str, bytes]] = set()
    found: list[Choice] = []
    for choice in choices:
        if choice.lengths is None:
            continue
        key = (choice.base.name, choice.lengths.tobytes())
        if key in tried:
            continue
        tried.add(key)
        proposal = _proposal(choice.base, rows, box, generator)
        refinement = held_out_refinement(
            settings.question.kernel, choice.lengths, centers, folds, choice.base.folds,
            proposal, generator,
        )  # fmt: skip
        if refinement is not None and refinement.value > choices[0].value:
            found.append(replace(choice, value=refinement.value, penalty=refinement.penalty))
        if len(tried) == _MAX_REFINED:
            break
    return sorted(found, key=lambda choice: -choice.value)


def _proposal(
    base: BaseCandidate, rows: Rows, box: Box | None, generator: np.random.Generator
) -> Proposal:
    sides: dict[str, Any] = {} if box is None else {"low": box.low, "high": box.high}
    return make_proposal(base.full, rows.X, rows.weight, rows.n_samples, generator, **sides)


def extend(
    fit: Fit,
    settings: Settings,
    rows: Rows,
    n_seen: float,
    box: Box | None,
    generator: np.random.Generator,
    *,
    n_jobs: int | None = None,
) -> Fit:
    """Add the sums G and h of more rows to a fit, whose basis and choice stay, and solve again.

    Parameters
    ----------
    fit : Fit
        What there is.
    settings : Settings
        What was asked for.
    rows : Rows
        More rows, in the coordinates of `fit`.
    n_seen : float
        Number of samples that `fit` stands for.
    box : Box or None
        The domain.
    generator : numpy.random.Generator
        Source of randomness.
    n_jobs : int, default=None
        Number of threads.

    Returns
    -------
    Fit
        With the coefficients of all rows; `fit` is not changed.
    """
    old, function = fit.system, fit.model.function
    if old is None or not isinstance(function, Expansion):
        return fit
    new = _system(settings, fit.choice, rows, fit.centers, function.rho, box, generator, n_jobs)
    share = rows.n_samples / (n_seen + rows.n_samples)
    system = System(
        old.gram + share * (new.gram - old.gram),
        old.linear + share * (new.linear - old.linear),
        1.0,
    )
    function = replace(function, coef=_coefficients(settings, fit.choice, fit.centers, system))
    model = replace(fit.model, function=function)
    normalizer = None
    if settings.n_draws:
        normalizer = normalise(model, fit.proposal, rows.X, settings.n_draws, generator)
    return replace(fit, model=model, normalizer=normalizer, system=system)


def _coefficients(
    settings: Settings, choice: Choice, centers: FloatArray, system: System
) -> FloatArray:
    assert choice.lengths is not None
    distances = half_distances(choice.lengths**-2.0, centers, centers)
    penalty = radial(settings.question.kernel, distances)[0]
    return solve_accurately(system.gram, system.linear, penalty, choice.alpha)


def _finish(
    settings: Settings,
    choice: Choice,
    map_: Whitening,
    rows: Rows,
    centers: FloatArray,
    box: Box | None,
    generator: np.random.Generator,
    n_jobs: int | None,
) -> Fit:
    """Solve for f with all rows, and normalise."""
    kernel, base = settings.question.kernel, choice.base.full
    lengths = choice.lengths
    proposal = _proposal(choice.base, rows, box, generator)
    system: System | None = None
    function: Expansion | GradientExpansion
    if lengths is None:
        function = Expansion(kernel, np.ones(rows.X.shape[1]), centers, np.zeros(len(centers)))
    elif choice.penalty is not None:
        coef = refined_coefficients(
            kernel, lengths, centers, rows.X, rows.weight, base, proposal, choice.penalty,
            settings.n_draws, generator,
        )  # fmt: skip
        function = Expansion(kernel, lengths**-2.0, centers, coef)
    elif settings.basis == "lite":
        rho = lengths**-2.0
        system = _system(settings, choice, rows, centers, rho, box, generator, n_jobs)
        coef = _coefficients(settings, choice, centers, system)
        function = Expansion(kernel, rho, centers, coef)
    else:
        rho, score = lengths**-2.0, base.score(rows.X)
        if settings.basis == "full":
            function = fit_full(kernel, rho, rows.X, rows.weight, score, choice.alpha)
        else:
            function = fit_nystroem(kernel, rho, rows.X, rows.weight, score, centers, choice.alpha)
    model = Model(base, function, box)
    normalizer = None
    if settings.n_draws:
        normalizer = normalise(model, proposal, rows.X, settings.n_draws, generator)
    return Fit(map_, choice, model, proposal, normalizer, centers, system)


def _system(
    settings: Settings,
    choice: Choice,
    rows: Rows,
    centers: FloatArray,
    rho: FloatArray,
    box: Box | None,
    generator: np.random.Generator,
    n_jobs: int | None,
) -> System:
    """Return the sums G and h of all rows for the chosen loss."""
    kernel, base, noise = settings.question.kernel, choice.base.full, choice.noise_scale
    X, weight = rows.X, rows.weight
    analytic = noise > 0.0 and choice.base.is_gaussian and kernel == "rbf"
    if noise > 0.0 and not analytic:
        X, weight = noisy_rows(X, noise, generator), weight
        weight = np.tile(weight, len(X) // len(weight))
    directions = None
    if settings.loss == "sliced":
        directions = generator.choice([-1.0, 1.0], size=(settings.n_slices, *X.shape))

    def block(part: slice) -> System:
        x, w = X[part], weight[part]
        score = base.score(x)
        if analytic:
            assert isinstance(base, MixtureBase)
            return denoised_system(rho, centers, x, w, score, base.precision, noise)
        if directions is not None:
            return sliced_system(kernel, rho, centers, x, w, score, directions[:, part])
        boundary = None if box is None else box.weights(x)
        return block_system(kernel, rho, centers, x, w, score, boundary)

    return assemble(block, len(X), n_jobs=n_jobs)
