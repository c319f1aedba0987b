"""Precision matrices as minima of a quadratic loss with an L1 penalty off the diagonal.

    min over symmetric K:  sum_j [1/2 K_j A_j K_j' - b_j K_j'] + alpha sum_{i != j} |K_ij|

With A_j = S and b_j = e_j for all rows j it is the D-trace loss 1/2 tr(KSK) - tr K (Zhang & Zou
2014). Steps are taken in the metric W_ij = (A_j,ii + A_i,jj) / 2: the rate then depends on the
correlations, not on the units of the columns.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, eigvalsh
from sklearn.exceptions import ConvergenceWarning

from skmmd._validation import stack_level

__all__ = ["PrecisionProblem", "solve_positive", "sparse_precision"]

FloatArray = NDArray[np.float64]

_CHECK_EVERY = 20
_TOL = 1e-10
# Of the precision of columns of unit variance; unpenalised it is at least 1 / n_features without
# a domain.
_FLOOR = 1e-3


@dataclass(frozen=True)
class PrecisionProblem:
    """The quadratic loss.

    Parameters
    ----------
    quadratic : ndarray of shape (d, d) or (d, d, d)
        The positive definite A_j; one matrix stands for all rows.
    linear : ndarray of shape (d, d)
        Rows b_j, made symmetric.
    scales : ndarray of shape (d,)
        Standard deviations of the columns: ``K_ij * scales_i * scales_j`` has no unit.
    alpha : float
        The penalty.
    """

    quadratic: FloatArray
    linear: FloatArray
    scales: FloatArray
    alpha: float

    def gradient(self, K: FloatArray) -> FloatArray:
        """Return the gradient of the quadratic loss at K."""
        return self.product(K) - self.linear

    def product(self, K: FloatArray) -> FloatArray:
        """Return the Hessian of the loss times K."""
        if self.quadratic.ndim == 2:
            rows = K @ self.quadratic
        else:
            rows = np.matmul(K[:, None, :], self.quadratic)[:, 0]
        return np.asarray(0.5 * (rows + rows.T))

    @property
    def penalty(self) -> FloatArray:
        """The penalty of each entry, 0 on the diagonal."""
        penalty = np.full(self.linear.shape, self.alpha)
        np.fill_diagonal(penalty, 0.0)
        return penalty

    @property
    def metric(self) -> FloatArray:
        """The diagonal of the Hessian."""
        if self.quadratic.ndim == 2:
            diagonal = np.tile(np.diag(self.quadratic), (len(self.scales), 1))
        else:
            diagonal = np.diagonal(self.quadratic, axis1=1, axis2=2)
        return np.asarray(0.5 * (diagonal + diagonal.T))

    def largest(self) -> float:
        """Return a bound on the Hessian in its metric."""
        stack = self.quadratic[None] if self.quadratic.ndim == 2 else self.quadratic
        bound = 0.0
        for matrix in stack:
            root = np.sqrt(np.diag(matrix))
            last = len(root) - 1
            scaled = matrix / np.outer(root, root)
            bound = max(bound, float(eigvalsh(scaled, subset_by_index=[last, last])[0]))
        return bound

    def residual(self, K: FloatArray) -> float:
        """Return by how much K fails the conditions of the minimum, in units of none."""
        gradient, penalty = self.gradient(K), self.penalty
        active = np.abs(gradient + penalty * np.sign(K))
        idle = np.maximum(np.abs(gradient) - penalty, 0.0)
        wrong = np.where(K != 0.0, active, idle)
        return float((wrong / self.metric * np.outer(self.scales, self.scales)).max())


def _soft(K: FloatArray, threshold: FloatArray) -> FloatArray:
    return np.asarray(np.sign(K) * np.maximum(np.abs(K) - threshold, 0.0))


def _polish(problem: PrecisionProblem, K: FloatArray, tol: float) -> FloatArray:
    """Solve for the entries that are not 0, their signs given, by conjugate gradients."""
    metric, penalty = problem.metric, problem.penalty
    units = np.outer(problem.scales, problem.scales) / metric
    support = (K != 0.0) | (penalty == 0.0)
    residual = np.where(support, -problem.gradient(K) - penalty * np.sign(K), 0.0)
    direction = residual / metric
    energy = float((residual * direction).sum())
    for _ in range(2000):
        if energy == 0.0 or np.abs(residual * units).max() <= 0.1 * tol:
            break
        image = np.where(support, problem.product(direction), 0.0)
        step = energy / float((direction * image).sum())
        K = K + step * direction
        residual = residual - step * image
        before, energy = energy, float((residual**2 / metric).sum())
        direction = residual / metric + energy / before * direction
    return K


def sparse_precision(
    problem: PrecisionProblem, *, tol: float = _TOL, max_iter: int = 20_000
) -> tuple[FloatArray, int]:
    """Return the minimum and the number of steps that led there.

    Accelerated proximal gradient steps find which entries are 0; conjugate gradients solve for the
    others.

    Parameters
    ----------
    problem : PrecisionProblem
        The loss and the penalty.
    tol : float, default=1e-10
        Largest residual of the conditions of the minimum.
    max_iter : int, default=20000
        Largest number of steps.

    Returns
    -------
    K : ndarray of shape (d, d)
        Symmetric; perhaps not positive definite.
    n_iter : int
        Number of steps.
    """
    metric = problem.metric
    K = np.diag(np.diag(problem.linear) / np.diag(metric))
    K = _polish(problem, K, tol)
    if problem.residual(K) <= tol:
        return K, 0
    step = 1.0 / (problem.largest() * metric)
    threshold = step * problem.penalty
    ahead, momentum, signs, check = K, 1.0, np.sign(K), _CHECK_EVERY
    for n_iter in range(1, max_iter + 1):
        new = _soft(ahead - step * problem.gradient(ahead), threshold)
        if float((metric * (ahead - new) * (new - K)).sum()) > 0.0:
            momentum = 1.0
        following = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
        ahead = new + (momentum - 1.0) / following * (new - K)
        K, momentum = new, following
        if n_iter == check:
            wait = _CHECK_EVERY
            if np.array_equal(np.sign(K), signs):
                polished = _polish(problem, K, tol)
                if problem.residual(polished) <= tol:
                    return polished, n_iter
                # A wrong guess costs as much as many steps.
                wait = max(wait, n_iter // 2)
            signs, check = np.sign(K), n_iter + wait
    _warn_unconverged(max_iter, problem.residual(K), tol)
    return K, max_iter


def solve_positive(
    problem: PrecisionProblem,
    start: FloatArray,
    *,
    floor: float = _FLOOR,
    tol: float = 1e-8,
    max_iter: int = 5000,
) -> tuple[FloatArray, int]:
    """Return the minimum over the K whose smallest eigenvalue is at least `floor`.

    Primal-dual steps (Condat 2013, Vu 2013), diagonally preconditioned; eigenvalues are those of
    ``K_ij * scales_i * scales_j``.

    Parameters
    ----------
    problem : PrecisionProblem
        The loss and the penalty.
    start : ndarray of shape (d, d)
        Where to start.
    floor : float, default=1e-3
        The smallest eigenvalue, for columns of unit variance.
    tol : float, default=1e-8
        Stop when no entry, without its unit, changes by more.
    max_iter : int, default=5000
        Largest number of steps.

    Returns
    -------
    K : ndarray of shape (d, d)
        Symmetric positive definite, with the zeros that the penalty makes.
    n_iter : int
        Number of steps.

    Raises
    ------
    ValueError
        If no positive definite matrix was found.
    """
    units = np.outer(problem.scales, problem.scales)
    metric = problem.largest() * problem.metric
    # Measured: fewest steps among multiples of the smallest.
    dual_step = 10.0 * float((metric / units**2).min())
    step = 1.0 / (0.5 * metric + dual_step * units**2)
    threshold = step * problem.penalty
    K, dual = start, np.zeros_like(start)
    for n_iter in range(1, max_iter + 1):  # noqa: B007
        new = _soft(K - step * (problem.gradient(K) + units * dual), threshold)
        target = dual / dual_step + units * (2.0 * new - K)
        values, vectors = eigh(target)
        inside = (vectors * np.maximum(values, floor)) @ vectors.T
        change = max(
            float(np.abs(units * (new - K)).max()), float(np.abs(units * new - inside).max())
        )
        K, dual = new, dual_step * (target - inside)
        if change <= tol:
            break
    K = 0.5 * (K + K.T)
    if not eigvalsh(units * K, subset_by_index=[0, 0])[0] > 0.5 * floor:
        raise ValueError(
            f"No positive definite precision matrix was found at alpha={problem.alpha:g} in "
            f"{max_iter} steps. Use a larger alpha, or scale the columns to unit variance first."
        )
    if change > tol:
        _warn_unconverged(max_iter, change, tol)
    return K, n_iter


def _warn_unconverged(max_iter: int, residual: float, tol: float) -> None:
    warnings.warn(
        f"The precision matrix has not converged in {max_iter} steps: residual {residual:.1e}, "
        f"tolerance {tol:.0e}. Use a larger alpha, or scale the columns to unit variance first.",
        ConvergenceWarning,
        stacklevel=stack_level(),
    )
