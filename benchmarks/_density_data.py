"""Densities that are known, real rows, and integrals over a fitted density by other ways than its.

Known -> Drawn: rows to fit, fresh points, and the density they come from
REAL -> training and test rows
PlaneGrid -> normaliser, masses and draws of any density of two features
drawn_log_normalizer -> normaliser by many draws, with its standard error
series_log_normalizer -> exact normaliser where there are few centres, in any dimension
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln, logsumexp
from scipy.stats import multivariate_normal
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmmd.datasets import make_density

Array = np.ndarray
LogDensity = Callable[[Array], Array]


# --------------------------------------------------------------------------------------
# known densities


@dataclass(frozen=True)
class Drawn:
    """Rows to fit, fresh points to measure by, and where both come from."""

    X: Array
    fresh: Array
    density: Any


@dataclass(frozen=True)
class Known:
    """One of the densities of `make_density`."""

    name: str
    d: int

    @classmethod
    def parse(cls, text: str) -> "Known":
        """Read name:features."""
        name, d = text.split(":")
        return cls(name, int(d))

    def __str__(self) -> str:
        return f"{self.name} d={self.d}"

    def draw(self, n: int, n_fresh: int, seed: int) -> Drawn:
        """Draw; a seed is a sample."""
        density = make_density(self.name, self.d)
        rng = np.random.RandomState(seed)
        return Drawn(density.sample(n, rng), density.sample(n_fresh, rng), density)


NAMES = ("ring", "banana", "cosine", "funnel", "grid", "mix3")
SETS = (
    *(Known(name, 2) for name in NAMES),
    *(Known(name, 5) for name in NAMES),
    Known("ring", 10),
    Known("funnel", 10),
    Known("banana", 20),
    Known("mix3", 20),
)


def ring_rows(n: int, d: int, seed: int) -> Array:
    """Return rings in the first two of any number of columns; the others are standard normal."""
    rng = np.random.RandomState(seed)
    rings = make_density("ring", 2).sample(n, rng)
    return np.hstack([rings, rng.standard_normal((n, d - 2))])


# --------------------------------------------------------------------------------------
# real rows


def _rows(load: Callable[..., Any]) -> Array:
    return load(return_X_y=True)[0]


def _diabetes() -> Array:
    """Return all columns but sex, which has two values and no density."""
    return np.delete(_rows(load_diabetes), 1, axis=1)


def _real(
    load: Callable[[], Array], n_components: int | None = None, *, same_units: bool = False
) -> Callable[[int], tuple[Array, Array]]:
    def split(seed: int) -> tuple[Array, Array]:
        train, test = train_test_split(load(), test_size=0.3, random_state=seed)
        steps = [] if same_units else [StandardScaler()]
        if n_components is not None:
            steps += [PCA(n_components, svd_solver="full"), StandardScaler()]
        prepared = make_pipeline(*steps).fit(train)
        return prepared.transform(train), prepared.transform(test)

    return split


REAL: dict[str, Callable[[int], tuple[Array, Array]]] = {
    "iris": _real(lambda: _rows(load_iris)),
    "wine": _real(lambda: _rows(load_wine)),
    "diabetes": _real(_diabetes),
    "breast_cancer_10": _real(lambda: _rows(load_breast_cancer), 10),
    "digits_10": _real(lambda: _rows(load_digits), 10, same_units=True),
    "digits_20": _real(lambda: _rows(load_digits), 20, same_units=True),
}
"""Standardised by the training rows; a number is that of principal components, these too scaled.

Pixels are not scaled before: some are lit in one image only.
"""


# --------------------------------------------------------------------------------------
# two features: everything by a grid


@dataclass(frozen=True)
class PlaneGrid:
    """An even grid in whitened coordinates of some rows, and six units beyond them.

    The trapezoidal rule converges faster than any power of the step there, as what is integrated
    is smooth and nothing at the border.
    """

    points: Array
    log_cell: float
    steps: Array
    """Two edges of a cell, as rows."""
    n_side: int

    @classmethod
    def around(cls, X: Array, n_side: int, margin: float = 6.0) -> "PlaneGrid":
        """Lay `n_side` points along each axis; an odd number, so that every second is a grid."""
        mean = X.mean(axis=0)
        factor = np.linalg.cholesky(np.cov(X.T, ddof=0))
        Z = np.linalg.solve(factor, (X - mean).T).T
        sides = [
            np.linspace(low - margin, high + margin, n_side)
            for low, high in zip(Z.min(axis=0), Z.max(axis=0), strict=True)
        ]
        grid = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1).reshape(-1, 2)
        steps = np.diag([side[1] - side[0] for side in sides]) @ factor.T
        log_cell = float(np.log(abs(np.linalg.det(steps))))
        return cls(grid @ factor.T + mean, log_cell, steps, n_side)

    def values(self, log_density: LogDensity, block: int = 20_000) -> Array:
        """Return the log density at all points, by blocks."""
        starts = range(0, len(self.points), block)
        return np.concatenate([log_density(self.points[i : i + block]) for i in starts])

    def log_normalizer(self, values: Array) -> tuple[float, float]:
        """Return the log of the integral, and by how much every second point alone misses it."""
        square = values.reshape(self.n_side, self.n_side)
        fine = float(logsumexp(values)) + self.log_cell
        coarse = float(logsumexp(square[::2, ::2])) + self.log_cell + 2.0 * np.log(2.0)
        return fine, abs(fine - coarse)

    def masses(self, values: Array, group: Array, n_groups: int) -> Array:
        """Return the probability of each group of points."""
        probability = np.exp(values - logsumexp(values))
        return np.bincount(group, probability, minlength=n_groups)

    def draw(self, values: Array, n: int, rng: np.random.Generator) -> Array:
        """Draw cells by their probability, and a point in each."""
        cells = rng.choice(len(values), size=n, p=np.exp(values - logsumexp(values)))
        return self.points[cells] + rng.uniform(-0.5, 0.5, size=(n, 2)) @ self.steps


# --------------------------------------------------------------------------------------
# any dimension: far more draws than a fit makes


def drawn_log_normalizer(log_density: LogDensity, drawn: Drawn, seed: int) -> tuple[float, float]:
    """Return the log normaliser of a fit to the rows, and its standard error.

    The fresh points are half of the draws, as many more come from a Gaussian somewhat wider than
    the rows. No part of a fit is used but its density.
    """
    half, d = drawn.fresh.shape
    mean = drawn.X.mean(axis=0)
    wide = multivariate_normal(mean, 1.44 * np.cov(drawn.X.T, ddof=0))
    others = wide.rvs(half, random_state=np.random.RandomState(seed)).reshape(half, d)
    points = np.vstack([drawn.fresh, others])
    log_proposal = np.logaddexp(drawn.density.score_samples(points), wide.logpdf(points))
    log_ratio = log_density(points) - log_proposal + np.log(2.0)
    top = log_ratio.max()
    # Each half has its own mean and variance.
    halves = np.exp(log_ratio - top).reshape(2, half)
    total = float(halves.mean())
    error = float(np.sqrt(np.sum(halves.var(axis=1, ddof=1)) / half)) / 2.0 / total
    return float(np.log(total) + top), error


# --------------------------------------------------------------------------------------
# few centres: everything by a series


def _orders(n_centers: int, most: int) -> Array:
    """Return all tuples of powers of a sum up to `most`."""
    powers = np.indices((most + 1,) * n_centers).reshape(n_centers, -1).T
    return powers[powers.sum(axis=1) <= most]


def _signed_logsumexp(logs: Array, signs: Array) -> float:
    top = logs.max()
    return float(top + np.log(np.sum(signs * np.exp(logs - top))))


def series_log_normalizer(
    mean: Array, covariance: Array, metric: Array, centers: Array, coef: Array, most: int = 70
) -> float:
    """Return log E exp(f) for a Gaussian x, exactly but for the series' end.

    f(x) is the sum of coef_m exp(-1/2 (x - c_m)' metric (x - c_m)). The exponential series of f
    has products of Gaussians in x, whose means are known.
    """
    powers = _orders(len(centers), most)
    total = powers.sum(axis=1)
    precision = np.linalg.inv(covariance)
    offsets = centers - mean
    # Each product is exp(-1/2 (t y'My - 2 y'M sum_m p_m o_m + sum_m p_m o_m'Mo_m)), y = x - mean.
    linear = powers @ offsets @ metric
    constant = powers @ np.einsum("mi,ij,mj->m", offsets, metric, offsets)
    within = precision + total[:, None, None] * metric
    solved = np.linalg.solve(within, linear[:, :, None])[:, :, 0]
    log_means = 0.5 * (
        np.linalg.slogdet(precision)[1]
        - np.linalg.slogdet(within)[1]
        + np.einsum("ti,ti->t", linear, solved)
        - constant
    )
    log_factors = powers @ np.log(np.abs(coef)) - gammaln(powers + 1.0).sum(axis=1)
    signs = np.prod(np.sign(coef) ** powers, axis=1)
    return _signed_logsumexp(log_factors + log_means, signs)
