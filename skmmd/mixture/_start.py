"""Where EM starts: a sample of distinct rows, and parameters from it.

The sample holds the rows whose hash is smallest, with the weights of all their copies, so that a
row of weight two is the same as two rows, and neither their order nor chunks matter.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from skmmd.mixture import _loops
from skmmd.mixture._data import Data
from skmmd.mixture._em import Fit, run
from skmmd.mixture._parameters import (
    FULL,
    ILL_DEFINED,
    SPHERICAL,
    FloatArray,
    Model,
    Parameters,
    condense,
    covariances_of_factors,
    factor_precisions,
    factorize,
    to_rows,
)

# Rows that starts are made from, at least so many for each component.
SAMPLE_SIZE = 10_000
_ROWS_PER_COMPONENT = 100
_SHORT_STARTS = 10
_SHORT_STEPS = 20
_N_LONGER = 3
_LONGER_STEPS = 100
_LLOYD_STEPS = 30
_NOISE_WEIGHT = 0.05

Generator = np.random.Generator


class Sample:
    """Distinct rows and their weights, in an order that depends on nothing else.

    Parameters
    ----------
    data : Data
        All rows; missing values are filled with means.
    n_components : int
        Number of components.
    rng : Generator
        Chooses the hash.
    """

    def __init__(self, data: Data, n_components: int, rng: Generator):
        size = max(SAMPLE_SIZE, _ROWS_PER_COMPONENT * n_components)
        self.rows, self.weight = distinct_rows(data, size, np.uint64(rng.integers(2**63)))
        self.center = self.weight @ self.rows / self.weight.sum()
        self.n_components = n_components

    def covariance(self) -> FloatArray:
        """Return the covariance of all rows."""
        difference = self.rows - self.center
        covariance: FloatArray = (self.weight * difference.T) @ difference / self.weight.sum()
        return covariance


def distinct_rows(data: Data, size: int, seed: np.uint64) -> tuple[FloatArray, FloatArray]:
    """Return up to `size` distinct rows, those of the smallest hashes, and their weights."""
    hashes = np.empty(0, dtype=np.uint64)
    rows = np.empty((0, data.n_features))
    weight: FloatArray = np.empty(0)
    for X, w, _ in data.blocks():
        if data.has_missing:
            X = np.where(np.isnan(X), data.center, X)
        new = np.empty(len(X), dtype=np.uint64)
        _loops.hash_rows(X, seed, new)
        low = new <= hashes[-1] if len(hashes) == size else np.ones(len(X), dtype=bool)
        hashes = np.concatenate([hashes, new[low]])
        rows = np.concatenate([rows, X[low]])
        weight = np.concatenate([weight, w[low] if len(w) else np.ones(int(low.sum()))])
        hashes, first, which = np.unique(hashes, return_index=True, return_inverse=True)
        weight = np.bincount(which.ravel(), weights=weight)[:size].astype(np.float64)
        hashes, rows = hashes[:size], rows[first[:size]]
    return np.ascontiguousarray(rows), weight


# --------------------------------------------------------------------------------------
# parameters from points and from labels


def from_responsibilities(
    rows: FloatArray, weight: FloatArray, responsibilities: FloatArray, model: Model
) -> Parameters:
    """Return the parameters of an M step.

    Raises
    ------
    ValueError
        If a covariance is not positive definite.
    """
    n_components, d = responsibilities.shape[1], rows.shape[1]
    sums = np.zeros(n_components)
    center = weight @ rows / weight.sum()
    means = np.tile(center, (n_components, 1))
    matrices = np.zeros((n_components, d, d))
    for k in range(n_components):
        inside = np.flatnonzero(responsibilities[:, k])
        r = weight[inside] * responsibilities[inside, k]
        sums[k] = r.sum()
        if sums[k] > 0.0:
            means[k] += r @ (rows[inside] - center) / sums[k]
            difference = rows[inside] - means[k]
            matrices[k] = (r * difference.T) @ difference
    shared = matrices.sum(axis=0) / sums.sum()
    empty = sums == 0.0
    matrices /= np.where(empty, 1.0, sums)[:, None, None]
    matrices[empty] = shared
    if model.shared:
        matrices = shared[None]
    return _regularised(sums / sums.sum(), means, matrices, sums, model)


def around(points: FloatArray, covariance: FloatArray, model: Model) -> Parameters:
    """Return equal weights, means at points, and one covariance for all."""
    n_components = len(points)
    matrices = np.repeat(covariance[None], 1 if model.shared else n_components, axis=0)
    weights = np.full(n_components, 1.0 / n_components)
    return _regularised(weights, points.copy(), matrices, np.ones(n_components), model)


def _regularised(
    weights: FloatArray,
    means: FloatArray,
    matrices: FloatArray,
    sums: FloatArray,
    model: Model,
) -> Parameters:
    d = means.shape[1]
    covariances = condense(matrices, model.shape)
    counts = np.array([sums.sum()]) if model.shared else sums
    for row, count in zip(covariances, counts, strict=True):
        _loops.add_prior(row, count, d, model.shape, model.ridge, model.prior, model.strength)
    if model.noise is not None:
        weights = np.append(weights * (1.0 - _NOISE_WEIGHT), _NOISE_WEIGHT)
    factors = factorize(covariances, d, model.shape)
    return Parameters(weights, np.ascontiguousarray(means), covariances, factors)


def _in_order(start: Parameters, model: Model) -> Parameters:
    """Order clusters by their means, so that their numbers depend little on the seed."""
    return _permuted(start, np.lexsort(start.means.T[::-1]), model)


def _permuted(start: Parameters, order: NDArray[np.intp], model: Model) -> Parameters:
    every = np.append(order, np.arange(len(order), len(start.weights)))
    spread = np.zeros(1, dtype=np.intp) if model.shared else order
    return Parameters(
        start.weights[every], start.means[order], start.covariances[spread], start.factors[spread]
    )


def match(
    start: Parameters,
    weights: FloatArray | None,
    precisions: FloatArray | None,
    model: Model,
) -> Parameters:
    """Order the components of a start so that given weights and precisions suit them best.

    Which of them comes first is chance, but those that are given have an order. The pairs have the
    largest expected log-likelihood.
    """
    k, d = start.means.shape
    if model.shared:
        precisions = None
    if weights is None and precisions is None:
        return start
    cost = np.zeros((k, k))
    if weights is not None:
        cost -= 2.0 * np.log(np.maximum(weights, 1e-300))[:, None]
    if precisions is not None:
        rows = precisions.reshape(k, -1)
        factor = d / rows.shape[1] if model.shape == SPHERICAL else 1.0
        cost += factor * rows @ start.covariances.T
        if model.shape == FULL:
            cost -= np.linalg.slogdet(precisions)[1][:, None]
        else:
            cost -= factor * np.log(rows).sum(axis=1)[:, None]
    return _permuted(start, linear_sum_assignment(cost * start.weights[:k])[1], model)


def overwrite(start: Parameters | None, initial: dict[str, FloatArray], model: Model) -> Parameters:
    """Return `start` with the initial weights, means and precisions that are given."""
    if start is not None and "means" not in initial:
        start = match(start, initial.get("weights"), initial.get("precisions"), model)
    parts = {} if start is None else start._asdict()
    if "weights" in initial:
        weights = initial["weights"]
        if model.noise is not None:
            noise = parts["weights"][-1] if parts else _NOISE_WEIGHT
            weights = np.append(weights * (1.0 - noise), noise)
        parts["weights"] = weights
    if "means" in initial:
        parts["means"] = initial["means"]
    if "precisions" in initial:
        factors = factor_precisions(initial["precisions"], model.shape)
        covariances = covariances_of_factors(factors, model.shape)
        d = parts["means"].shape[1]
        parts["factors"] = to_rows(factors, model.shape, model.shared, d)
        parts["covariances"] = to_rows(covariances, model.shape, model.shared, d)
    return Parameters(**parts).copy()


# --------------------------------------------------------------------------------------
# the methods


def _cluster(rows: FloatArray, sample: Sample, rng: Generator) -> FloatArray:
    """Return labels of k-means as responsibilities."""
    centers, _ = _spread_out(rows, sample, rng)
    labels = np.empty(len(rows), dtype=np.int64)
    _loops.cluster(rows, sample.weight, centers, _LLOYD_STEPS, labels)
    return np.eye(sample.n_components)[labels]


def _spread_out(
    rows: FloatArray, sample: Sample, rng: Generator
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return the centers that k-means++ chooses, and which rows they are."""
    n_components = sample.n_components
    draws = rng.random((n_components, 2 + int(math.log(n_components))))
    centers = np.empty((n_components, rows.shape[1]))
    chosen = np.empty(n_components, dtype=np.int64)
    _loops.seed_centers(rows, sample.weight, draws, centers, chosen)
    return centers, chosen


def kmeans(sample: Sample, model: Model, rng: Generator) -> Parameters:
    """Start from the clusters of k-means."""
    labels = _cluster(sample.rows - sample.center, sample, rng)
    return _in_order(from_responsibilities(sample.rows, sample.weight, labels, model), model)


def whitened(sample: Sample, model: Model, rng: Generator) -> Parameters:
    """Start from the clusters of k-means on rows whose covariance is the identity."""
    values, vectors = np.linalg.eigh(sample.covariance())
    kept = values > 1e-12 * max(values[-1], 0.0)
    if not kept.any():
        return kmeans(sample, model, rng)
    rotation = vectors[:, kept] / np.sqrt(values[kept])
    labels = _cluster((sample.rows - sample.center) @ rotation, sample, rng)
    return _in_order(from_responsibilities(sample.rows, sample.weight, labels, model), model)


def kmeans_plusplus(sample: Sample, model: Model, rng: Generator) -> Parameters:
    """Start at rows far from each other, with the covariance of all rows."""
    _, chosen = _spread_out(sample.rows - sample.center, sample, rng)
    return around(sample.rows[chosen], sample.covariance(), model)


def random_from_data(sample: Sample, model: Model, rng: Generator) -> Parameters:
    """Start at rows drawn at random, with the covariance of all rows."""
    share = sample.weight / sample.weight.sum()
    again = len(share) < sample.n_components
    chosen = rng.choice(len(share), sample.n_components, replace=again, p=share)
    return around(sample.rows[chosen], sample.covariance(), model)


def random(sample: Sample, model: Model, rng: Generator) -> Parameters:
    """Start from random responsibilities."""
    responsibilities = rng.random((len(sample.rows), sample.n_components))
    responsibilities /= responsibilities.sum(axis=1, keepdims=True)
    return from_responsibilities(sample.rows, sample.weight, responsibilities, model)


def short_em(sample: Sample, model: Model, rng: Generator) -> Parameters:
    """Start from the best of several short runs of EM from random rows."""
    return _best(sample, model, rng, [random_from_data] * _SHORT_STARTS)


def auto(sample: Sample, model: Model, rng: Generator) -> Parameters:
    """Start from the best of short runs from k-means, plain and whitened, and random rows."""
    return _best(sample, model, rng, [kmeans, whitened] + [random_from_data] * _SHORT_STARTS)


Method = Callable[[Sample, Model, Generator], Parameters]


def _best(sample: Sample, model: Model, rng: Generator, methods: Sequence[Method]) -> Parameters:
    """Return the best of short runs; the first few of them run on before the last choice."""
    data = Data(sample.rows, sample.weight, None)
    fits: list[Fit] = []
    for method in methods:
        try:
            start = method(sample, model, rng)
        except ValueError:
            continue
        fits.append(run(data, model, start, max_iter=_SHORT_STEPS, tol=1e-4))
    if not fits:
        raise ValueError(ILL_DEFINED)
    fits.sort(key=_merit, reverse=True)
    longer = [
        run(data, model, fit.parameters, max_iter=_LONGER_STEPS, tol=1e-5, accelerate="squarem")
        for fit in fits[:_N_LONGER]
    ]
    return max(longer, key=_merit).parameters


def _merit(fit: Fit) -> tuple[bool, float]:
    """Order fits: the likelihood of a collapsing one has no bound."""
    return not fit.collapsed, fit.lower_bound


METHODS: dict[str, Method] = {
    "kmeans": kmeans,
    "k-means++": kmeans_plusplus,
    "random": random,
    "random_from_data": random_from_data,
    "whitened": whitened,
    "short_em": short_em,
    "auto": auto,
}
