"""Tasks of transfer: two domains, what learns on the source, and how a prediction is measured."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.datasets import load_diabetes, load_wine
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from skmmd.datasets import (
    make_biased_breast_cancer,
    make_covariate_shift,
    make_regression_shift,
    make_rotated_digits,
    make_shifted_digits,
)
from skmmd.kernels import median_gamma

Array = np.ndarray


@dataclass(frozen=True)
class Problem:
    """What a method sees, Xs, ys and Xt; and the rows that it is measured by.

    These are the target rows themselves, where there is no endless supply of them.
    """

    Xs: Array
    ys: Array
    Xt: Array
    X_test: Array
    y_test: Array

    @functools.cached_property
    def gamma(self) -> float:
        """Return 1 / (2 m^2), m the median distance of the pooled rows."""
        return median_gamma("rbf", np.vstack([self.Xs, self.Xt]))

    @property
    def arrays(self) -> dict[str, Array]:
        """Return what a peer is given."""
        return {"Xs": self.Xs, "ys": self.ys, "Xt": self.Xt}


def _as_it_is(Xs: Array, ys: Array, Xt: Array, yt: Array) -> Problem:
    return Problem(Xs, ys, Xt, Xt, yt)


# --------------------------------------------------------------------------------------
# regression

N_SAMPLES, N_TEST = 200, 4000
"""Rows of each domain that a method sees, and rows that it is measured by."""


def _cut(Xs: Array, ys: Array, X: Array, y: Array) -> Problem:
    return Problem(Xs, ys, X[:N_SAMPLES], X[N_SAMPLES:], y[N_SAMPLES:])


def regression(seed: int) -> Problem:
    """Return a cubic curve in one dimension, learned as a line."""
    sizes = (N_SAMPLES, N_SAMPLES + N_TEST)
    return _cut(*make_regression_shift(sizes, random_state=seed))


def curve(seed: int) -> Problem:
    """Return a curve in five dimensions, learned as a plane."""
    sizes = (N_SAMPLES, N_SAMPLES + N_TEST)
    Xs, X = make_covariate_shift(sizes, 5, random_state=seed)
    noise = 0.3 * np.random.default_rng(seed).standard_normal(N_SAMPLES)

    def height(rows: Array) -> Array:
        return np.sum(np.sin(2.0 * rows), axis=1) / np.sqrt(5.0)

    return _cut(Xs, height(Xs) + noise, X, height(X))


# --------------------------------------------------------------------------------------
# biased selections that skmmd.datasets lacks


def _biased(X: Array, y: Array, n_candidates: int, seed: int) -> Problem:
    """Choose source rows by their first component, as `make_biased_breast_cancer` does."""
    rng = np.random.default_rng(seed)
    X = StandardScaler().fit_transform(X)
    z = PCA(n_components=1, svd_solver="full").fit_transform(X)[:, 0]
    reach = z.mean() - z.min()
    kept = np.exp(-0.5 * ((z - z.min() - reach / 3.0) / (reach / 1.5)) ** 2)
    order = rng.permutation(len(X))
    candidates, target = order[:n_candidates], order[n_candidates:]
    source = candidates[rng.uniform(size=n_candidates) < kept[candidates]]
    return _as_it_is(X[source], y[source], X[target], y[target])


def wine(seed: int) -> Problem:
    """Return the wines, with the source rows biased."""
    return _biased(*load_wine(return_X_y=True), 100, seed)


def diabetes(seed: int) -> Problem:
    """Return the progression of diabetes in standard deviations, with the source rows biased."""
    X, y = load_diabetes(return_X_y=True)
    return _biased(X, (y - y.mean()) / y.std(), 250, seed)


# --------------------------------------------------------------------------------------
# tasks


@dataclass(frozen=True)
class Task:
    """How problems are drawn, what learns on the source rows, and what of ours stands for us.

    Attributes
    ----------
    draw : callable
        Seed -> Problem.
    learners : mapping of str to callable
        Makes each learner; the first one takes weights.
    ours : str
        The method of ours, by its defaults, that is held against the best peer. Named here, before
        any figure is seen.
    """

    draw: Callable[[int], Problem]
    learners: Mapping[str, Callable[[], Any]]
    ours: str
    regression: bool = False

    def measure(self, y: Array, predicted: Array) -> float:
        """Return the mean squared error, or the accuracy."""
        if self.regression:
            return float(np.mean((predicted - y) ** 2))
        return float(np.mean(predicted == y))


def _logistic() -> Any:
    return LogisticRegression(max_iter=1000)


def _support_vectors() -> Any:
    return SVC(C=0.1, kernel="linear")


def _nearest() -> Any:
    return KNeighborsClassifier(1)


_LINE = {"linear": LinearRegression}
_MARGIN = {"linear SVC": _support_vectors, "1-NN": _nearest}
_LOGISTIC = {"logistic": _logistic, "1-NN": _nearest}
WEIGHTS, LOSS, LOSS_REGRESSION = "KMM", "MMD loss", "MMD loss, regressor"


def _rotated(**settings: Any) -> Task:
    def draw(seed: int) -> Problem:
        return _as_it_is(*make_rotated_digits(500, random_state=seed, **settings))

    return Task(draw, _LOGISTIC, LOSS)


TASKS = {
    "regression": Task(regression, _LINE, WEIGHTS, regression=True),
    "breast_cancer": Task(
        lambda seed: _as_it_is(*make_biased_breast_cancer(random_state=seed)), _MARGIN, WEIGHTS
    ),
    "shifted_digits": Task(
        lambda seed: _as_it_is(*make_shifted_digits(random_state=seed)), _LOGISTIC, WEIGHTS
    ),
    "rotated_digits": _rotated(),
    "label_shift": _rotated(label_shift=True),
    "no_shift": _rotated(angle=0.0, noise=0.0),
    "curve": Task(curve, _LINE, WEIGHTS, regression=True),
    "wine": Task(wine, _MARGIN, WEIGHTS),
    "diabetes": Task(diabetes, {"ridge": Ridge}, WEIGHTS, regression=True),
}
