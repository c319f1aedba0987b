"""Bandwidths and penalty by the held-out score-matching loss: greedy start, then its gradient."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from skmmd.density._fold_loss import FoldLoss

__all__ = ["greedy_start", "optimise"]

FloatArray = NDArray[np.float64]

# Whitened coordinates: at 50 a coordinate is as good as left out.
WIDE = 50.0
_START_LENGTHS = (0.4, 1.0)
_GREEDY_DEPTH = 3
_LOG_LENGTHS = (np.log(0.05), np.log(100.0))
_LARGEST_ALPHA = 10.0


def greedy_start(loss: FoldLoss, alphas: FloatArray) -> tuple[FloatArray, float]:
    """Add coordinates one at a time, each where it lowers the held-out loss most.

    Parameters
    ----------
    loss : FoldLoss
        The loss.
    alphas : ndarray of shape (n_alphas,)
        Penalties to try at each step.

    Returns
    -------
    lengths : ndarray of shape (n_features,)
        Bandwidths; 50 where a coordinate was left out. The first coordinate is taken even without
        gain.
    alpha : float
        The best penalty with them.
    """
    d = loss.centers.shape[1]
    lengths, best, alpha = np.full(d, WIDE), np.inf, float(alphas[0])
    for _ in range(min(_GREEDY_DEPTH, d)):
        found: tuple[float, int, float, float] | None = None
        for j in map(int, np.flatnonzero(lengths == WIDE)):
            for length in _START_LENGTHS:
                trial = lengths.copy()
                trial[j] = length
                values = loss.value(trial**-2.0, alphas)
                k = int(np.argmin(values))
                if found is None or values[k] < found[0]:
                    found = float(values[k]), j, length, float(alphas[k])
        if found is None or found[0] >= best:
            break
        best, j, length, alpha = found
        lengths[j] = length
    return lengths, alpha


def optimise(
    loss: FoldLoss,
    lengths: FloatArray,
    alpha: float,
    *,
    max_iter: int,
    least_alpha: float,
    fixed_alpha: bool = False,
) -> tuple[FloatArray, float, float]:
    """Follow the exact gradient of the held-out loss down in log bandwidths and log penalty.

    Parameters
    ----------
    loss : FoldLoss
        The loss.
    lengths : ndarray of shape (n_features,)
        Bandwidths to start from.
    alpha : float
        Penalty to start from.
    max_iter : int
        Most iterations of L-BFGS.
    least_alpha : float
        Smallest penalty.
    fixed_alpha : bool, default=False
        Keep the penalty as it is.

    Returns
    -------
    lengths : ndarray of shape (n_features,)
        Bandwidths.
    alpha : float
        Penalty.
    value : float
        The held-out loss there.
    """

    def function(theta: FloatArray) -> tuple[float, FloatArray]:
        rho = np.exp(-2.0 * theta[:-1])
        penalty = float(np.exp(theta[-1]))
        value, by_rho, by_alpha = loss.value_and_gradient(rho, penalty)
        return value, np.append(-2.0 * rho * by_rho, penalty * by_alpha)

    theta = np.append(np.log(lengths), np.log(alpha))
    bounds = [_LOG_LENGTHS] * len(lengths)
    free = (np.log(least_alpha), np.log(_LARGEST_ALPHA))
    bounds.append((theta[-1], theta[-1]) if fixed_alpha else free)
    found = minimize(
        function, theta, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": max_iter}
    )
    return np.exp(found.x[:-1]), float(np.exp(found.x[-1])), float(found.fun)
