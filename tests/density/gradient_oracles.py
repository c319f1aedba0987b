"""The kernel exponential family by brute force: Gram matrices of functionals, nothing derived.

A functional is (row, coordinate, order): f -> the derivative of f in one coordinate at one row,
represented in the RKHS by the same derivative of the kernel. Derivatives of the kernel are
Cauchy's integrals over circles in the complex plane, so no formula for a derivative is written
down. Nothing here imports skmmd.
"""

import itertools
import math

import numpy as np

_NODES = 32
_RADIUS = 0.25
_CIRCLE = _RADIUS * np.exp(2j * np.pi * np.arange(_NODES) / _NODES)

PROFILES = {
    "rbf": lambda u: np.exp(-u),
    "imq": lambda u: (1 + u) ** -0.5,
    "rq": lambda u: 1 / (1 + u),
}


def partial(kernel, rho, x, y, orders_x, orders_y):
    """Return the derivative of k(x, y) of the given orders in each coordinate of x and of y."""
    orders = np.concatenate([orders_x, orders_y])
    moved = np.flatnonzero(orders)
    steps = np.meshgrid(*[_CIRCLE] * len(moved), indexing="ij")
    point = [np.asarray(value, dtype=complex) for value in (*x, *y)]
    divisor = 1.0
    for axis, step in zip(moved, steps, strict=True):
        point[axis] = point[axis] + step
        divisor = divisor * step ** orders[axis] / math.factorial(orders[axis])
    d = len(x)
    u = sum(0.5 * rho[i] * (point[i] - point[d + i]) ** 2 for i in range(d))
    return float(np.mean(PROFILES[kernel](u) / divisor).real)


def unit(d, coordinate, order):
    orders = np.zeros(d, dtype=int)
    orders[coordinate] = order
    return orders


def gram(kernel, rho, left, right):
    """Return the inner products of functionals."""
    d = len(rho)
    return np.array(
        [
            [partial(kernel, rho, x, y, unit(d, i, p), unit(d, j, q)) for y, j, q in right]
            for x, i, p in left
        ]
    )


def functionals(X, order):
    """Return the derivatives of one order in all coordinates at all rows; values for order 0."""
    coordinates = range(X.shape[1]) if order else range(1)
    return [(x, i, order) for x in X for i in coordinates]


class Loss:
    """The penalised score matching loss of f = sum_l theta_l e_l, e_l given functionals.

    Attributes
    ----------
    gradients : ndarray of shape (n, d, n_basis)
        First derivatives of each e_l at each row.
    curvatures : ndarray of shape (n, d, n_basis)
        Second derivatives.
    penalty : ndarray of shape (n_basis, n_basis)
        Inner products of the e_l.
    """

    def __init__(self, kernel, rho, X, weight, base_score, alpha, basis):
        n, d = X.shape
        self.weight, self.base_score, self.alpha = weight, base_score, alpha
        self.gradients = gram(kernel, rho, functionals(X, 1), basis).reshape(n, d, -1)
        self.curvatures = gram(kernel, rho, functionals(X, 2), basis).reshape(n, d, -1)
        self.penalty = gram(kernel, rho, basis, basis)

    def __call__(self, theta):
        total = 0.5 * self.alpha * theta @ self.penalty @ theta
        for b, w in enumerate(self.weight):
            slope = self.gradients[b] @ theta
            total += w * (
                0.5 * slope @ slope
                + (self.curvatures[b] @ theta).sum()
                + self.base_score[b] @ slope
            )
        return float(total)

    def minimum(self):
        """Return the theta of the least loss: a quadratic is known from its values."""
        size = self.penalty.shape[0]
        eye = np.eye(size)
        single = np.array([self(e) for e in eye])
        linear = 0.5 * np.array([self(e) - self(-e) for e in eye])
        quadratic = np.zeros((size, size))
        for i, j in itertools.product(range(size), repeat=2):
            quadratic[i, j] = self(eye[i] + eye[j]) - single[i] - single[j]
        return -np.linalg.lstsq(quadratic, linear, rcond=1e-12)[0]


def evaluate(kernel, rho, basis, theta, x, orders):
    """Return a derivative at x of f = sum_l theta_l e_l."""
    d = len(rho)
    return sum(
        t * partial(kernel, rho, y, x, unit(d, i, p), orders)
        for t, (y, i, p) in zip(theta, basis, strict=True)
    )


def everything(kernel, rho, basis, theta, x):
    """Return value, gradient and Hessian at x of f = sum_l theta_l e_l."""
    d = len(rho)

    def of(orders):
        return evaluate(kernel, rho, basis, theta, x, orders)

    slope = np.array([of(unit(d, i, 1)) for i in range(d)])
    second = np.array([[of(unit(d, i, 1) + unit(d, j, 1)) for j in range(d)] for i in range(d)])
    return of(np.zeros(d, dtype=int)), slope, second
