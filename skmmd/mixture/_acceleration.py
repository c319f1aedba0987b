"""Extrapolation of EM steps, in coordinates in which every point is a mixture.

The coordinates are log weights, means and log-Cholesky factors of the covariances, in units of the
features' standard deviations. Steps that lower the objective are taken back.

References
----------
R. Varadhan and C. Roland (2008), "Simple and globally convergent methods for accelerating the
convergence of any EM algorithm", Scandinavian Journal of Statistics 35, 335-353 (SQUAREM, S3).

N. C. Henderson and R. Varadhan (2019), "Damped Anderson acceleration with restarts and
monotonicity control for accelerating EM and EM-like algorithms", Journal of Computational and
Graphical Statistics 28, 834-846.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from skmmd.mixture._parameters import FULL, FloatArray, Model, Parameters, factorize

if TYPE_CHECKING:
    from skmmd.mixture._em import Stop
    from skmmd.mixture._sweep import Step

_LARGEST_STEP = 4.0
_MEMORY = 5


class Coordinates:
    """The map between parameters and a vector; components without weight stay as they are."""

    def __init__(self, like: Parameters, model: Model, scale: FloatArray):
        self._model = model
        self._scale = scale
        self._shapes = [array.shape for array in like[:3]]
        self._lower = np.tril_indices(like.means.shape[1])

    def vector(self, parameters: Parameters) -> FloatArray:
        d = len(self._scale)
        weights, means, covariances, factors = parameters
        with np.errstate(divide="ignore"):
            log_weights = np.log(weights)
        if self._model.shape == FULL:
            # Covariance = L L' with L = U'^-1, where precision = U U'.
            upper = np.linalg.inv(factors.reshape(-1, d, d))
            lower = np.swapaxes(upper, 1, 2) / self._scale[:, None]
            diagonal = np.arange(d)
            lower[:, diagonal, diagonal] = np.log(lower[:, diagonal, diagonal])
            spread = lower[:, self._lower[0], self._lower[1]]
        else:
            spread = 0.5 * np.log(covariances)
        return np.concatenate([log_weights, (means / self._scale).ravel(), np.ravel(spread)])

    def parameters(self, vector: FloatArray) -> Parameters | None:
        """Return the parameters of a vector; None if they overflow."""
        d = len(self._scale)
        n_joint, n_means = self._shapes[0][0], int(np.prod(self._shapes[1]))
        with np.errstate(over="ignore", invalid="ignore"):
            weights = np.exp(vector[:n_joint] - vector[:n_joint].max())
            weights /= weights.sum()
            means = vector[n_joint : n_joint + n_means].reshape(self._shapes[1]) * self._scale
            spread = vector[n_joint + n_means :]
            if self._model.shape == FULL:
                lower = np.zeros((self._shapes[2][0], d, d))
                lower[:, self._lower[0], self._lower[1]] = spread.reshape(len(lower), -1)
                diagonal = np.arange(d)
                lower[:, diagonal, diagonal] = np.exp(lower[:, diagonal, diagonal])
                lower *= self._scale[:, None]
                covariances = np.matmul(lower, np.swapaxes(lower, 1, 2)).reshape(self._shapes[2])
            else:
                covariances = np.exp(2.0 * spread).reshape(self._shapes[2])
        if not (np.isfinite(means).all() and np.isfinite(weights).all()):
            return None
        try:
            factors = factorize(covariances, d, self._model.shape)
        except ValueError:
            return None
        return Parameters(weights, np.ascontiguousarray(means), covariances, factors)


def _difference(left: FloatArray, right: FloatArray) -> FloatArray:
    """Subtract vectors; what is infinite, the log of no weight, does not move."""
    with np.errstate(invalid="ignore"):
        difference: FloatArray = left - right
    difference[~np.isfinite(difference)] = 0.0
    return difference


def _try(step: "Callable[[Parameters], Step]", point: Parameters | None) -> "Step | None":
    """Do a step from an extrapolated point; None where it leads nowhere."""
    try:
        found = None if point is None else step(point)
    except ValueError:
        return None
    good = found is not None and np.isfinite(found.objective) and not found.collapsed
    return found if good else None


def squarem(
    step: "Callable[[Parameters], Step]",
    start: Parameters,
    model: Model,
    scale: FloatArray,
    stop: "Stop",
    max_iter: int,
) -> "tuple[Step, int]":
    """Extrapolate along the difference of two EM steps, with a length from their curvature.

    Parameters
    ----------
    step : callable
        Maps parameters to their objective and the parameters one EM step further.
    start : Parameters
        Where to start.
    model : Model
        What is estimated.
    scale : ndarray of shape (n_features,)
        Units of the features.
    stop : Stop
        Keeps the objective of accepted steps.
    max_iter : int
        Largest number of steps, at least 1.

    Returns
    -------
    found : Step
        The EM step from the last accepted point.
    n_iter : int
        Steps done, those taken back included.
    """
    coordinates = Coordinates(start, model, scale)
    largest = _LARGEST_STEP
    before, first = start, step(start)
    n_iter = 1
    stop.add(first.objective, plain=False)
    while n_iter < max_iter and not (stop.converged or first.collapsed):
        second = step(first.parameters)
        n_iter += 1
        small = stop.add(second.objective)
        if second.collapsed or n_iter >= max_iter:
            return second, n_iter
        point = None
        if not small:
            origin, middle, end = map(
                coordinates.vector, (before, first.parameters, second.parameters)
            )
            change = _difference(middle, origin)
            curvature = _difference(_difference(end, middle), change)
            norm = float(np.linalg.norm(curvature))
            length = float(np.linalg.norm(change)) / norm if norm > 0.0 else 1.0
            bounded = min(length, largest)
            if bounded > 1.0:
                ahead = origin + 2.0 * bounded * change + bounded**2 * curvature
                point = coordinates.parameters(ahead)
        if point is not None:
            extrapolated = _try(step, point)
            n_iter += 1
            if extrapolated is not None and extrapolated.objective >= second.objective:
                if length >= largest:
                    largest *= 4.0
                before, first = point, extrapolated
                stop.add(first.objective, plain=False)
                continue
            largest = max(largest / 4.0, 1.0)
            if n_iter >= max_iter:
                return second, n_iter
        elif not small:
            largest = _LARGEST_STEP
        # A plain step: after a rejected point, or to confirm that nothing is left to gain.
        before, first = second.parameters, step(second.parameters)
        n_iter += 1
        gained_little = stop.add(first.objective)
        stop.converged = small and gained_little
    return first, n_iter


def anderson(
    step: "Callable[[Parameters], Step]",
    start: Parameters,
    model: Model,
    scale: FloatArray,
    stop: "Stop",
    max_iter: int,
) -> "tuple[Step, int]":
    """Extrapolate to where a linear fit of the last steps would stand still.

    Parameters and results are those of :func:`squarem`.
    """
    coordinates = Coordinates(start, model, scale)
    here, found = coordinates.vector(start), step(start)
    n_iter = 1
    stop.add(found.objective, plain=False)
    points: list[FloatArray] = []
    residuals: list[FloatArray] = []
    n_small = 0
    while n_iter < max_iter and n_small < 2 and not found.collapsed:
        after = coordinates.vector(found.parameters)
        points, residuals = points[-_MEMORY:], residuals[-_MEMORY:]
        points.append(after)
        residuals.append(_difference(after, here))
        if len(points) > 1 and n_small == 0:
            target = _extrapolate(points, residuals)
            extrapolated = _try(step, coordinates.parameters(target))
            n_iter += 1
            if extrapolated is not None and extrapolated.objective >= found.objective:
                # A small gain is not the end unless two plain steps gain as little.
                n_small = 0
                small = abs(extrapolated.objective - found.objective) < stop.tol
                here, found = target, extrapolated
                stop.add(found.objective, plain=False)
                if not small or n_iter >= max_iter:
                    continue
                after = coordinates.vector(found.parameters)
                points, residuals = [after], [_difference(after, here)]
            else:
                points, residuals = points[-1:], residuals[-1:]
                if n_iter >= max_iter:
                    break
        here, found = after, step(found.parameters)
        n_iter += 1
        n_small = n_small + 1 if stop.add(found.objective) else 0
    stop.converged = n_small == 2
    return found, n_iter


def _extrapolate(points: list[FloatArray], residuals: list[FloatArray]) -> FloatArray:
    """Return the combination of points whose combined residual is smallest."""
    last = residuals[-1]
    changes = np.stack([_difference(last, each) for each in residuals[:-1]], axis=1)
    moves = np.stack([_difference(points[-1], each) for each in points[:-1]], axis=1)
    gram = changes.T @ changes
    # A little damping: nearly parallel residuals would give huge steps.
    gram[np.diag_indices_from(gram)] *= 1.0 + 1e-10
    share = np.linalg.lstsq(gram, changes.T @ last, rcond=1e-14)[0]
    return points[-1] - moves @ share
