"""Kernel mean matching: from two domains to weights, and to a function that weighs any row.

A ridge lambda = alpha * n_source makes the weights a function: at the optimum

    w(x) = clip((kappa(x) - sum_j m_j k(x, x_j) - shift) / lambda, 0, max_weight),

which gives the weights of the source rows themselves, and of all others.
"""

import warnings
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from skmmd._chunked import gather_blocks, row_blocks, single_threaded_blas
from skmmd._validation import stack_level
from skmmd.kernels import Kernel, gram, kernel_products, nystroem, pivoted_landmarks
from skmmd.transfer._low_rank import embedding_by_landmarks
from skmmd.transfer._newton import FeatureForm, form_of, minimise_by_newton
from skmmd.transfer._problem import MatchingProblem, Solution, feasible_start, gap
from skmmd.transfer._smo import RowCache, minimise_by_steps

__all__ = [
    "Domain",
    "Matching",
    "MatchingOptions",
    "WeightFunction",
    "match_means",
]

FloatArray = NDArray[np.float64]

_MAX_EXACT_ROWS = 5000
_MAX_SQUARED_ROWS = 30_000
_MAX_LANDMARKS = 1000
# What the landmarks may miss of the kernel, as a share of the ridge.
_MISSED = 1e-2
_MISSED_WITHOUT_RIDGE = 1e-7
_STEPS_PER_ROW = 20
_MAX_STEPS_PER_ROW = 2000
_NEGLIGIBLE_GAP = 1e-8
_ROUNDING = 1e-12
_BLOCK = 1024


@dataclass(frozen=True)
class Domain:
    """Rows with positive weights, which act as so many copies.

    Parameters
    ----------
    rows : ndarray of shape (n_rows, n_features)
        Rows.
    weight : ndarray of shape (n_rows,)
        Their weights.
    """

    rows: FloatArray
    weight: FloatArray

    @property
    def size(self) -> float:
        """Number of rows, each as many as its weight says."""
        return float(self.weight.sum())


@dataclass(frozen=True)
class MatchingOptions:
    """How domains are matched.

    Parameters
    ----------
    kernel : str or callable
        The kernel.
    gamma : float
        Its coefficient.
    alpha : float
        Ridge, as a share of the number of source rows.
    max_weight : float
        Largest weight.
    sum_bounds : tuple of two floats
        Bounds of the sum of the weights.
    solver : {"auto", "smo", "nystroem"}
        How.
    n_landmarks : int or None
        Number of landmarks; None: as the spectrum asks.
    tol : float
        Largest violation of the conditions of optimality.
    n_jobs : int or None
        Number of threads.
    """

    kernel: Kernel
    gamma: float
    alpha: float
    max_weight: float = 1000.0
    sum_bounds: tuple[float, float] = (-np.inf, np.inf)
    solver: str = "auto"
    n_landmarks: int | None = None
    tol: float = 1e-6
    n_jobs: int | None = None


@dataclass(frozen=True)
class WeightFunction:
    """The weight of any row: a clipped sum of kernel functions.

    Parameters
    ----------
    options : MatchingOptions
        Kernel and bounds.
    ridge : float
        The number lambda, 0 or more.
    anchors : ndarray of shape (n_anchors, n_features)
        Where the kernel functions sit.
    coefficients : ndarray of shape (n_anchors,)
        Their coefficients.
    shift : float
        What is taken off.
    """

    options: MatchingOptions
    ridge: float
    anchors: FloatArray
    coefficients: FloatArray
    shift: float

    def __call__(self, rows: FloatArray) -> FloatArray:
        """Return the weight of each row; needs a positive ridge."""
        options = self.options
        blocks = gram(options.kernel, np.array([options.gamma]), rows, self.anchors)
        values = kernel_products(blocks, self.coefficients, n_jobs=options.n_jobs)
        return np.clip((values - self.shift) / self.ridge, 0.0, options.max_weight)


@dataclass(frozen=True)
class Matching:
    """The weights of the source rows, and what there is to know of them.

    Parameters
    ----------
    weights : ndarray of shape (n_source,)
        The weights.
    weigh : WeightFunction
        The weight of any row.
    shift : float
        Multiplier of the bounds of the sum.
    gap : float
        Upper bound of how far the objective is above its minimum.
    mmd_before, mmd_after : float
        Squared MMD of the domains, without and with the weights.
    noise : float
        Squared MMD that two samples of one distribution would have, of so many rows.
    n_iter : int
        Steps of the solver.
    n_landmarks : int
        Number of landmarks; 0 where there are none.
    converged : bool
        Whether the conditions of optimality hold.
    """

    weights: FloatArray
    weigh: WeightFunction
    shift: float
    gap: float
    mmd_before: float
    mmd_after: float
    noise: float
    n_iter: int
    n_landmarks: int
    converged: bool


def match_means(
    source: Domain, target: Domain, options: MatchingOptions, generator: np.random.Generator
) -> Matching:
    """Find the weights of the source rows whose mean embedding is nearest to the target's.

    Parameters
    ----------
    source, target : Domain
        The domains.
    options : MatchingOptions
        How.
    generator : numpy.random.Generator
        Draws landmarks.

    Returns
    -------
    Matching
        The weights.

    Raises
    ------
    ValueError
        If no weights meet the bounds of their sum, or the kernel leaves the range of float64.

    Warns
    -----
    ConvergenceWarning
        If the objective is not near its minimum.

    References
    ----------
    Huang, J., Smola, A. J., Gretton, A., Borgwardt, K. M. & Schoelkopf, B. (2006). Correcting
    sample selection bias by unlabeled data. NIPS 19.

    Kanamori, T., Suzuki, T. & Sugiyama, M. (2012). Statistical analysis of kernel-based
    least-squares density-ratio estimation. Machine Learning 86, 335-367.
    """
    source, options, scale = _unit_weights(source, options)
    options = replace(options, tol=_tolerance(source, options))
    _check_bounds(source, options, scale)
    low_rank = options.solver == "nystroem"
    if options.solver == "auto":
        low_rank = options.n_landmarks is not None or len(source.rows) > _MAX_EXACT_ROWS
    with single_threaded_blas(), np.errstate(over="ignore", invalid="ignore"):
        match = _match_by_landmarks if low_rank else _match_exactly
        matching = match(source, target, options, generator)
    matching = replace(matching, shift=scale * matching.shift, gap=scale**2 * matching.gap)
    if not matching.converged:
        warnings.warn(
            f"Kernel mean matching stopped before the tolerance {options.tol:g}; its objective may "
            f"be {matching.gap:.3g} above the minimum. Raise alpha (without ridge the problem is "
            "hardly determined), rescale the features, or raise tol.",
            ConvergenceWarning,
            stacklevel=stack_level(),
        )
    return matching


def _unit_weights(
    source: Domain, options: MatchingOptions
) -> tuple[Domain, MatchingOptions, float]:
    """Return the source with weights of mean 1, so that `tol` means the same on any scale."""
    scale = source.size / len(source.rows)
    low, high = options.sum_bounds
    scaled = replace(options, sum_bounds=(low / scale, high / scale))
    return Domain(source.rows, source.weight / scale), scaled, scale


def _tolerance(source: Domain, options: MatchingOptions) -> float:
    """Return the tolerance, tighter where the kernel or the ridge is small.

    A kernel of values far below 1 would have no gradient beyond it, and a violation moves the
    weights by as much as its ratio to the ridge.
    """
    blocks = gram(options.kernel, np.array([options.gamma]), source.rows)
    scales = [1.0, _spread(blocks.diagonal()[0], source.weight)]
    if options.alpha > 0.0:
        scales.append(options.alpha * source.size)
    return options.tol * max(min(scales), float(np.finfo(np.float64).tiny))


def _check_bounds(source: Domain, options: MatchingOptions, scale: float) -> None:
    low, high = options.sum_bounds
    most = options.max_weight * source.size
    if not low <= high or high < 0.0 or low > most * (1.0 + _ROUNDING):
        raise ValueError(
            f"sum_bounds=({scale * low:g}, {scale * high:g}) cannot be met: the weights of "
            f"{scale * source.size:g} source rows, each from 0 to "
            f"max_weight={options.max_weight:g}, sum to between 0 and {scale * most:g}. Pass "
            "(lowest, highest) that overlap this range."
        )


def _problem(source: Domain, kappa: FloatArray, options: MatchingOptions) -> MatchingProblem:
    if not np.all(np.isfinite(kappa)):
        raise ValueError(
            "The kernel values leave the range of float64; rescale the features, or take a kernel "
            "that is bounded."
        )
    ridge = options.alpha * source.size / source.weight
    upper = options.max_weight * source.weight
    low, high = options.sum_bounds
    return MatchingProblem(kappa, ridge, upper, min(low, float(upper.sum())), high)


def _match_exactly(
    source: Domain, target: Domain, options: MatchingOptions, generator: np.random.Generator
) -> Matching:
    """Match with the Gram matrix of the source rows, in memory or row by row."""
    kernel, gammas = options.kernel, np.array([options.gamma])
    share = source.size / target.size
    across = gram(kernel, gammas, source.rows, target.rows)
    kappa = share * kernel_products(across, target.weight, n_jobs=options.n_jobs)
    problem = _problem(source, kappa, options)
    blocks = gram(kernel, gammas, source.rows)
    cache = RowCache(blocks)
    start = feasible_start(problem, source.weight)
    per_row = _STEPS_PER_ROW if cache.complete else _MAX_STEPS_PER_ROW
    solution = minimise_by_steps(
        problem,
        blocks,
        cache,
        start,
        tol=options.tol,
        max_steps=max(per_row * len(start), 1000),
    )
    n_steps = solution.n_iter
    if not solution.converged and cache.complete:
        form = form_of(cache.rows, options.n_jobs)
        # A kernel of low rank is solved as well from the start; steps may lead astray there.
        near = start if isinstance(form, FeatureForm) else solution.mass
        solution = minimise_by_newton(problem, form, near, tol=options.tol)
        n_steps += solution.n_iter
    if cache.complete:
        embedding = cache.rows @ source.weight
    else:
        embedding = kernel_products(blocks, source.weight, n_jobs=options.n_jobs)
    field = solution.gradient - problem.ridge * solution.mass + kappa
    squares = (
        float(source.weight @ embedding),
        float(solution.mass @ field),
        _embedding_square(target, options, generator),
    )
    weigh = WeightFunction(
        options,
        options.alpha * source.size,
        np.concatenate([source.rows, target.rows]),
        np.concatenate([-solution.mass, share * target.weight]),
        solution.shift,
    )
    spread = _spread(blocks.diagonal()[0], source.weight)
    return _matching(source, target, problem, solution, weigh, squares, spread, n_steps, 0)


def _match_by_landmarks(
    source: Domain, target: Domain, options: MatchingOptions, generator: np.random.Generator
) -> Matching:
    """Match with features of low rank, whose landmarks come from both domains."""
    rows = np.concatenate([source.rows, target.rows])
    anchors = rows[_choose_landmarks(rows, options, generator)]
    kernel, gammas = options.kernel, np.array([options.gamma])
    features = nystroem(kernel, gammas, source.rows, anchors)
    every = slice(0, len(anchors))
    projection = features.projections[0]
    F = np.empty((len(source.rows), projection.shape[1]))

    def fill(block: slice) -> None:
        np.matmul(next(features.blocks(block, every)), projection, out=F[block])

    gather_blocks(fill, row_blocks(len(F), _BLOCK), n_jobs=options.n_jobs)
    to_target = gram(kernel, gammas, anchors, target.rows)
    sums = kernel_products(to_target, target.weight, n_jobs=options.n_jobs)
    goal = projection.T @ sums
    share = source.size / target.size
    form = FeatureForm(F, options.n_jobs)
    kappa = share * form.field(goal)
    # What is rounding would be weight where the domains do not overlap at all.
    size = np.sqrt(np.einsum("ij,ij->i", F, F)) * np.linalg.norm(goal) * share
    kappa[np.abs(kappa) <= _ROUNDING * size] = 0.0
    problem = _problem(source, kappa, options)
    start = feasible_start(problem, source.weight)
    solution = minimise_by_newton(problem, form, start, tol=options.tol)
    before, point = form.point(source.weight), form.point(solution.mass)
    squares = (float(before @ before), float(point @ point), float(goal @ goal))
    weigh = WeightFunction(
        options,
        options.alpha * source.size,
        anchors,
        projection @ (share * goal - point),
        solution.shift,
    )
    spread = _spread(np.einsum("ij,ij->i", F, F), source.weight)
    return _matching(
        source, target, problem, solution, weigh, squares, spread, solution.n_iter, len(anchors)
    )


def _choose_landmarks(
    rows: FloatArray, options: MatchingOptions, generator: np.random.Generator
) -> NDArray[np.intp]:
    n_landmarks = options.n_landmarks
    if n_landmarks is not None and n_landmarks >= len(rows):
        return np.arange(len(rows))
    tol = 0.0
    if n_landmarks is None:
        tol = _MISSED * options.alpha if options.alpha > 0.0 else _MISSED_WITHOUT_RIDGE
    return pivoted_landmarks(
        options.kernel,
        options.gamma,
        rows,
        _MAX_LANDMARKS if n_landmarks is None else n_landmarks,
        tol=tol,
        generator=generator,
    )


def _embedding_square(
    domain: Domain, options: MatchingOptions, generator: np.random.Generator
) -> float:
    """Return the squared length of the sum of the embeddings; of very many rows by landmarks."""
    gammas = np.array([options.gamma])
    if len(domain.rows) <= _MAX_SQUARED_ROWS:
        blocks = gram(options.kernel, gammas, domain.rows)
        sums = kernel_products(blocks, domain.weight, n_jobs=options.n_jobs)
        return float(domain.weight @ sums)
    kernel, gamma = options.kernel, options.gamma
    return embedding_by_landmarks(
        kernel, gamma, domain.rows, domain.weight, generator, n_jobs=options.n_jobs
    )[2]


def _spread(diagonal: FloatArray, weight: FloatArray) -> float:
    return float(diagonal @ weight / weight.sum())


def _matching(
    source: Domain,
    target: Domain,
    problem: MatchingProblem,
    solution: Solution,
    weigh: WeightFunction,
    squares: tuple[float, float, float],
    spread: float,
    n_iter: int,
    n_landmarks: int,
) -> Matching:
    """Put together what was found; `squares`: m'Km before and after, and that of the target."""
    mass, share = solution.mass, source.size / target.size
    before, after, of_target = squares
    of_target /= target.size**2

    def mmd(square: float, cross: float, total: float) -> float:
        if not total**2 > 0.0:
            return float("nan")
        return max(square / total**2 - 2.0 * cross / (share * target.size * total) + of_target, 0.0)

    weights = np.minimum(mass / source.weight, weigh.options.max_weight)  # but for rounding
    total, second = float(mass.sum()), float(mass @ weights)
    n_effective = total**2 / second if second > 0.0 else 0.0
    variance = max(spread - of_target, 0.0)
    of_samples = 1.0 / max(n_effective, 1.0) + 1.0 / target.size
    value = gap(problem, mass, solution.gradient)
    value = np.inf if np.isnan(value) else value  # bounds beyond the range of float64
    objective = abs(0.5 * float(mass @ (solution.gradient - problem.kappa)))
    return Matching(
        weights,
        weigh,
        solution.shift,
        value,
        mmd(before, float(source.weight @ problem.kappa), source.size),
        mmd(after, float(mass @ problem.kappa), total),
        variance * of_samples + _ROUNDING * spread,
        n_iter,
        n_landmarks,
        solution.converged or value <= _NEGLIGIBLE_GAP * objective,
    )
