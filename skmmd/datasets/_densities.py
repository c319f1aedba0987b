"""Densities whose logarithm, score and sampler are known in closed form."""

from abc import ABC, abstractmethod

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp, ndtr
from sklearn.utils import check_array, check_random_state

Array = NDArray[np.float64]

_LOG_2PI = float(np.log(2.0 * np.pi))


class KnownDensity(ABC):
    """A density of which everything is known.

    The methods are named as those of scikit-learn's density estimators, so that both can be
    handed to the same function. Made by :func:`make_density`.

    Parameters
    ----------
    n_features : int
        Dimension of the space.
    """

    def __init__(self, n_features: int) -> None:
        self.n_features = n_features

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n_features={self.n_features})"

    def score_samples(self, X: ArrayLike) -> Array:
        """Return the log density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points.

        Returns
        -------
        ndarray of shape (n_samples,), dtype float64
            Log density, normalised.
        """
        return self._log_density(self._check(X))

    def score_function(self, X: ArrayLike) -> Array:
        """Return the score, the gradient of the log density, at each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points.

        Returns
        -------
        ndarray of shape (n_samples, n_features), dtype float64
            Gradient of the log density with respect to the point.
        """
        return self._score(self._check(X))

    def sample(self, n_samples: int = 1, random_state: int | RandomState | None = None) -> Array:
        """Draw points from the density.

        Parameters
        ----------
        n_samples : int, default=1
            Number of points.
        random_state : int, RandomState instance or None, default=None
            Pass an int for the same points on each call.

        Returns
        -------
        ndarray of shape (n_samples, n_features), dtype float64
            Independent draws.
        """
        return self._draw(n_samples, check_random_state(random_state))

    def _check(self, X: ArrayLike) -> Array:
        checked: Array = check_array(X, dtype=np.float64, input_name="X")
        if checked.shape[1] != self.n_features:
            raise ValueError(
                f"X has {checked.shape[1]} features, but this density has {self.n_features}."
            )
        return checked

    @abstractmethod
    def _log_density(self, X: Array) -> Array: ...

    @abstractmethod
    def _score(self, X: Array) -> Array: ...

    @abstractmethod
    def _draw(self, n_samples: int, rng: RandomState) -> Array: ...


class _Ring(KnownDensity):
    """Two concentric rings in the first two coordinates; the others are standard normal."""

    radii = np.array([1.0, 3.0])
    weights = radii / 4.0
    width = 0.25

    def _log_components(self, r: Array) -> Array:
        """Return the planar log density of each weighted ring at the given radii."""
        R, s = self.radii, self.width
        # The integral of r exp(-(r-R)^2 / 2s^2) over r > 0, the angle's 2 pi included.
        mass = (
            2.0
            * np.pi
            * (s**2 * np.exp(-0.5 * (R / s) ** 2) + R * s * np.sqrt(2.0 * np.pi) * ndtr(R / s))
        )
        return np.log(self.weights / mass) - 0.5 * ((r[:, None] - R) / s) ** 2

    def _log_density(self, X: Array) -> Array:
        r = np.hypot(X[:, 0], X[:, 1])
        rest = X[:, 2:]
        normal = -0.5 * ((rest**2).sum(axis=1) + rest.shape[1] * _LOG_2PI)
        return logsumexp(self._log_components(r), axis=1) + normal

    def _score(self, X: Array) -> Array:
        r = np.hypot(X[:, 0], X[:, 1])
        log_components = self._log_components(r)
        responsibility = np.exp(log_components - logsumexp(log_components, axis=1, keepdims=True))
        slope = (responsibility * (self.radii - r[:, None])).sum(axis=1) / self.width**2
        score = -X
        # At the centre the density has a tip: no direction is better than another.
        direction = np.divide(X[:, :2], r[:, None], out=np.zeros((len(X), 2)), where=r[:, None] > 0)
        score[:, :2] = slope[:, None] * direction
        return score

    def _draw(self, n_samples: int, rng: RandomState) -> Array:
        X = rng.standard_normal((n_samples, self.n_features))
        R = self.radii[rng.choice(2, size=n_samples, p=self.weights)]
        r = np.zeros(n_samples)
        waiting = np.arange(n_samples)
        # Since r <= R exp((r - R) / R), the radial density lies below a shifted Gaussian.
        while waiting.size:
            target = R[waiting]
            proposal = target + self.width**2 / target
            proposal += self.width * rng.standard_normal(waiting.size)
            bound = target * np.exp((proposal - target) / target)
            accepted = rng.uniform(size=waiting.size) * bound < proposal
            r[waiting[accepted]] = proposal[accepted]
            waiting = waiting[~accepted]
        angle = rng.uniform(0.0, 2.0 * np.pi, size=n_samples)
        X[:, 0], X[:, 1] = r * np.cos(angle), r * np.sin(angle)
        return X


class _Curve(KnownDensity):
    """x1 is normal with deviation 2, x2 is normal around a curve over x1, the rest standard."""

    width: float

    @abstractmethod
    def _curve(self, x: Array) -> Array: ...

    @abstractmethod
    def _slope(self, x: Array) -> Array: ...

    def _standardise(self, X: Array) -> Array:
        Z = X.copy()
        Z[:, 0] = X[:, 0] / 2.0
        Z[:, 1] = (X[:, 1] - self._curve(X[:, 0])) / self.width
        return Z

    def _log_density(self, X: Array) -> Array:
        Z = self._standardise(X)
        constant = np.log(2.0 * self.width) + 0.5 * self.n_features * _LOG_2PI
        return -0.5 * (Z**2).sum(axis=1) - constant

    def _score(self, X: Array) -> Array:
        Z = self._standardise(X)
        score = -Z
        score[:, 0] = -Z[:, 0] / 2.0 + Z[:, 1] * self._slope(X[:, 0]) / self.width
        score[:, 1] = -Z[:, 1] / self.width
        return score

    def _draw(self, n_samples: int, rng: RandomState) -> Array:
        X = rng.standard_normal((n_samples, self.n_features))
        X[:, 0] *= 2.0
        X[:, 1] = self._curve(X[:, 0]) + self.width * X[:, 1]
        return X


class _Banana(_Curve):
    """The curve is a parabola."""

    width = 0.6

    def _curve(self, x: Array) -> Array:
        return 0.4 * (x**2 - 4.0)

    def _slope(self, x: Array) -> Array:
        return 0.8 * x


class _Cosine(_Curve):
    """The curve is a cosine."""

    width = 0.4

    def _curve(self, x: Array) -> Array:
        return 1.5 * np.cos(1.5 * x)

    def _slope(self, x: Array) -> Array:
        return -2.25 * np.sin(1.5 * x)


class _Funnel(KnownDensity):
    """x1 is standard normal and the logarithm of the variance of all the others."""

    def _log_density(self, X: Array) -> Array:
        first, others = X[:, 0], X[:, 1:]
        squares = first**2 + np.exp(-first) * (others**2).sum(axis=1)
        return -0.5 * (squares + others.shape[1] * first + self.n_features * _LOG_2PI)

    def _score(self, X: Array) -> Array:
        first, others = X[:, 0], X[:, 1:]
        precision = np.exp(-first)
        score = -precision[:, None] * X
        score[:, 0] = 0.5 * (precision * (others**2).sum(axis=1) - others.shape[1]) - first
        return score

    def _draw(self, n_samples: int, rng: RandomState) -> Array:
        X = rng.standard_normal((n_samples, self.n_features))
        X[:, 1:] *= np.exp(0.5 * X[:, :1])
        return X


class _Mixture(KnownDensity):
    """A mixture of Gaussians."""

    weights: Array
    means: Array
    covariances: Array

    def _log_components(self, X: Array) -> tuple[Array, Array]:
        """Return log weighted component densities and each component's own score."""
        log_density = np.empty((len(X), len(self.weights)))
        score = np.empty((len(self.weights), *X.shape))
        for k, (weight, mean, covariance) in enumerate(
            zip(self.weights, self.means, self.covariances, strict=True)
        ):
            score[k] = np.linalg.solve(covariance, (mean - X).T).T
            squares = ((mean - X) * score[k]).sum(axis=1)
            log_determinant = np.linalg.slogdet(covariance)[1]
            log_density[:, k] = np.log(weight) - 0.5 * (
                squares + log_determinant + self.n_features * _LOG_2PI
            )
        return log_density, score

    def _log_density(self, X: Array) -> Array:
        return logsumexp(self._log_components(X)[0], axis=1)

    def _score(self, X: Array) -> Array:
        log_density, score = self._log_components(X)
        responsibility = np.exp(log_density - logsumexp(log_density, axis=1, keepdims=True))
        return np.einsum("nk,knd->nd", responsibility, score)

    def _draw(self, n_samples: int, rng: RandomState) -> Array:
        component = rng.choice(len(self.weights), size=n_samples, p=self.weights)
        factors = np.linalg.cholesky(self.covariances)
        noise = rng.standard_normal((n_samples, self.n_features))
        return self.means[component] + np.einsum("nij,nj->ni", factors[component], noise)


class _Grid(_Mixture):
    """Equal round Gaussians at vertices of a cube."""

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        n_components = max(n_features, 4)
        if n_features == 2:
            vertices = np.arange(4)
        else:
            rng = np.random.default_rng(0)
            vertices = rng.choice(2**n_features, size=n_components, replace=False)
        bits = (vertices[:, None] >> np.arange(n_features)[::-1]) & 1
        self.weights = np.full(n_components, 1.0 / n_components)
        self.means = np.where(bits == 1, 1.5, -1.5)
        self.covariances = np.tile(0.25 * np.eye(n_features), (n_components, 1, 1))


class _Mix3(_Mixture):
    """Three Gaussians with covariances of their own."""

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features)
        rng = np.random.default_rng(1)
        means, covariances = [], []
        for _ in range(3):
            A = rng.standard_normal((n_features, n_features))
            means.append(1.5 * rng.standard_normal(n_features))
            covariances.append(A @ A.T / n_features + 0.2 * np.eye(n_features))
        self.weights = np.array([0.5, 0.3, 0.2])
        self.means = np.array(means)
        self.covariances = np.array(covariances)


_DENSITIES: dict[str, type[KnownDensity]] = {
    "ring": _Ring,
    "banana": _Banana,
    "cosine": _Cosine,
    "funnel": _Funnel,
    "grid": _Grid,
    "mix3": _Mix3,
}

# The grid numbers the vertices of its cube with 64-bit integers.
_MAX_FEATURES = 62


def make_density(name: str, n_features: int = 2) -> KnownDensity:
    r"""Make a density whose logarithm, score and sampler are known.

    ========== ================================================================================
    Name       Density
    ========== ================================================================================
    `ring`     Rings of radius R = 1 and 3 in the first two coordinates, weights R / 4; radial
               density proportional to :math:`r \exp(-(r - R)^2 / (2 \cdot 0.25^2))`; the other
               coordinates standard normal.
    `banana`   :math:`x_1 \sim N(0, 2^2)`, :math:`x_2 \sim N(0.4 (x_1^2 - 4), 0.6^2)`, the other
               coordinates standard normal.
    `cosine`   :math:`x_1 \sim N(0, 2^2)`, :math:`x_2 \sim N(1.5 \cos(1.5 x_1), 0.4^2)`, the
               other coordinates standard normal.
    `funnel`   :math:`x_1 \sim N(0, 1)`, all others :math:`N(0, e^{x_1})`.
    `grid`     Equally likely round Gaussians of standard deviation 0.5 at vertices of the cube
               with sides from -1.5 to 1.5: all four in two dimensions, else `max(n_features, 4)`
               of them, chosen once for all.
    `mix3`     Three Gaussians of weight .5, .3 and .2, with means and full covariances that
               depend on `n_features` alone.
    ========== ================================================================================

    Parameters
    ----------
    name : {'ring', 'banana', 'cosine', 'funnel', 'grid', 'mix3'}
        Which density.
    n_features : int, default=2
        Dimension of the space, from 2 to 62.

    Returns
    -------
    KnownDensity
        Object with the methods `score_samples(X)` (log density of each row, shape (n_samples,)),
        `score_function(X)` (its gradient, shape (n_samples, n_features)) and
        `sample(n_samples, random_state)`.

    Raises
    ------
    ValueError
        If there is no density of that name, or `n_features` lies outside 2 to 62.

    Examples
    --------
    >>> from skmmd.datasets import make_density
    >>> density = make_density("funnel", n_features=3)
    >>> X = density.sample(5, random_state=0)
    >>> density.score_samples(X).shape, density.score_function(X).shape
    ((5,), (5, 3))
    """
    if name not in _DENSITIES:
        raise ValueError(f"name must be one of {sorted(_DENSITIES)}; got {name!r}.")
    if not 2 <= n_features <= _MAX_FEATURES:
        raise ValueError(f"n_features must lie from 2 to {_MAX_FEATURES}; got {n_features!r}.")
    return _DENSITIES[name](n_features)
