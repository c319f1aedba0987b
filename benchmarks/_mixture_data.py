"""Shapes, starts and data sets of the mixture benchmarks, each from its seed."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.lib.format import open_memmap
from sklearn.datasets import load_iris, load_wine

from skmmd.datasets import make_gaussian_mixture, make_parallel_cigars

VARIANCE = 1.5
"""Of all columns and components, at the start of the fits that are timed."""

SEPARATION = 3.0 / 2.0**0.5
COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")


@dataclass(frozen=True)
class Shape:
    """A covariance type, columns d, components k, rows n, and how many EM iterations to make."""

    covariance_type: str
    d: int
    k: int
    n: int
    n_iterations: int

    @classmethod
    def parse(cls, text: str) -> "Shape":
        """Read type:d:k:n:iterations."""
        kind, *numbers = text.split(":")
        if kind not in COVARIANCE_TYPES or len(numbers) != 4:
            raise argparse.ArgumentTypeError(
                f"expected type:d:k:n:iterations with a type of {COVARIANCE_TYPES}, got {text!r}"
            )
        return cls(kind, *(int(number) for number in numbers))

    @property
    def model(self) -> str:
        return f"{self.covariance_type} d={self.d} k={self.k}"

    def draw(self, seed: int) -> dict[str, np.ndarray]:
        """Return rows `X` and the `means` to start from, near the true ones."""
        X, _, centers = make_gaussian_mixture(self.n, self.d, self.k, random_state=seed)
        noise = np.random.default_rng(seed).standard_normal(centers.shape)
        return {"X": X, "means": centers + 0.3 * noise}


def write_rows(path: str, n: int, d: int, k: int, seed: int) -> np.ndarray:
    """Write n rows of a mixture to a .npy file, never all in memory; return the centres."""
    rng = np.random.default_rng(seed)
    centers = SEPARATION * rng.standard_normal((k, d))
    factor = np.eye(d) + 0.5 * rng.standard_normal((d, d)) / np.sqrt(d)
    rows = open_memmap(path, mode="w+", dtype=np.float64, shape=(n, d))
    for first in range(0, n, 250_000):
        part = rows[first : first + 250_000]
        part[:] = (
            centers[rng.integers(k, size=len(part))] + rng.standard_normal(part.shape) @ factor
        )
    rows.flush()
    return centers


# --------------------------------------------------------------------------------------
# slow convergence


@dataclass(frozen=True)
class Case:
    """Rows and a start from which EM is slow."""

    name: str
    covariance_type: str
    X: np.ndarray
    means: np.ndarray
    variance: float


def two_components() -> Case:
    """Return the textbook's two overlapping components, from its start."""
    rng = np.random.RandomState(0)
    first = rng.uniform(size=1000) < 0.3
    a, b = rng.standard_normal(1000), rng.standard_normal(1000)
    x = np.where(first, -2.0 + 0.5 * a, 0.5 + b)
    return Case("two components", "full", x[:, None], np.array([[0.0], [1.0]]), 1.0)


OVERLAPPING = ((1, 2, 1.0), (2, 3, 1.6), (2, 5, 2.0), (5, 4, 1.3))
"""d, k and separation."""


def slow_cases(n: int, seed: int) -> list[Case]:
    """Return overlapping mixtures, from k random rows and the mean variance."""
    cases = []
    for d, k, separation in OVERLAPPING:
        X, _, _ = make_gaussian_mixture(
            n, d, k, separation=separation, covariance="scaled", random_state=seed
        )
        rows = np.random.default_rng(seed).choice(n, k, replace=False)
        # With one column, full and diagonal are the same.
        for covariance_type in ("full", "diag") if d > 1 else ("full",):
            name = f"{covariance_type} d={d} k={k} seed={seed}"
            cases.append(Case(name, covariance_type, X, X[rows], float(X.var(axis=0).mean())))
    return cases


# --------------------------------------------------------------------------------------
# labelled sets

Labelled = tuple[np.ndarray, np.ndarray]


def _standardised(X: np.ndarray) -> np.ndarray:
    return (X - X.mean(axis=0)) / X.std(axis=0)


def _cigars_in_noise(seed: int) -> Labelled:
    X, y = make_parallel_cigars(random_state=seed)
    return np.hstack([X, np.random.default_rng(seed).standard_normal((len(X), 8))]), y


def _mixture(d: int, k: int) -> Callable[[int], Labelled]:
    return lambda seed: make_gaussian_mixture(2000, d, k, random_state=seed)[:2]


def _wine(seed: int) -> Labelled:
    X, y = load_wine(return_X_y=True)
    return _standardised(X), y


LABELLED: dict[str, Callable[[int], Labelled]] = {
    "cigars": lambda seed: make_parallel_cigars(random_state=seed),
    "cigars and 8 columns of noise": _cigars_in_noise,
    "mixture d=2 k=8": _mixture(2, 8),
    "mixture d=8 k=8": _mixture(8, 8),
    "iris": lambda seed: load_iris(return_X_y=True),
    "wine, standardised": _wine,
}
"""Rows and labels for each seed; the last two are the same for all."""
