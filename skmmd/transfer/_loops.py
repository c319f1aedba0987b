"""Compiled loops of the transfer area: numbers in, numbers out."""

import numpy as np

from skmmd._jit import loop

_DONE, _NEEDS_ROW, _STEPS_USED, _STUCK = 0, 1, 2, 3


@loop
def matching_steps(
    cache, slots, diagonal, ridge, upper, lowest, highest, mass, gradient, tol, max_steps, counts
):
    """Descend on 1/2 m'(K + diag(ridge)) m - kappa'm by steps of one or two coordinates.

    0 <= mass <= upper, lowest <= sum(mass) <= highest. ``cache[slots[i]]`` is row i of K, a
    negative slot means that it is not there; `diagonal` is that of K + diag(ridge). `mass` and its
    `gradient` are updated in place. Returns 0: the violation of the optimality conditions is at
    most `tol`; 1: row ``counts[1]`` is needed; 2: `max_steps` were made; 3: no step lowers the
    objective. ``counts[0]`` is the number of steps.
    """
    n = mass.shape[0]
    total = 0.0
    for i in range(n):
        total += mass[i]
    slack = 1e-12 * max(1.0, abs(total))
    steps = 0
    while True:
        up, down, best = -1, -1, -1
        lowest_gradient, highest_gradient, best_gain = np.inf, -np.inf, 0.0
        raises, lowers = total < highest - slack, total > lowest + slack
        for i in range(n):
            g = gradient[i]
            if g < lowest_gradient and mass[i] < upper[i]:
                lowest_gradient, up = g, i
            if g > highest_gradient and mass[i] > 0.0:
                highest_gradient, down = g, i
            if (raises and g < 0.0 and mass[i] < upper[i]) or (
                lowers and g > 0.0 and mass[i] > 0.0
            ):
                step = -g / diagonal[i]
                step = min(max(step, -mass[i]), upper[i] - mass[i])
                gain = -step * (g + 0.5 * diagonal[i] * step)
                if gain > best_gain:
                    best_gain, best = gain, i
        violation = -np.inf
        if raises and up >= 0:
            violation = max(violation, -lowest_gradient)
        if lowers and down >= 0:
            violation = max(violation, highest_gradient)
        if not (raises and lowers) and up >= 0 and down >= 0:
            violation = max(violation, highest_gradient - lowest_gradient)
        counts[0] += steps
        steps = 0
        if violation <= tol:
            return _DONE
        if counts[0] >= max_steps:
            return _STEPS_USED
        # The best partner of `up`, by the gain of a step that keeps the sum.
        other = -1
        if up >= 0 and down >= 0:
            slot = slots[up]
            if slot < 0:
                counts[1] = up
                return _NEEDS_ROW
            for j in range(n):
                difference = gradient[j] - lowest_gradient
                if difference > 0.0 and mass[j] > 0.0:
                    curvature = diagonal[up] + diagonal[j] - 2.0 * cache[slot, j]
                    curvature = max(curvature, 1e-12 * diagonal[up])
                    gain = 0.5 * difference * difference / curvature
                    if gain > best_gain:
                        best_gain, other = gain, j
        if other < 0 and best < 0:
            return _STUCK
        first = up if other >= 0 else best
        second = other
        for k in (first, second):
            if k >= 0 and slots[k] < 0:
                counts[1] = k
                return _NEEDS_ROW
        if second < 0:
            step = -gradient[first] / diagonal[first]
            step = min(max(step, -mass[first]), upper[first] - mass[first])
            step = min(max(step, lowest - total), highest - total)
        else:
            curvature = diagonal[first] + diagonal[second] - 2.0 * cache[slots[first], second]
            curvature = max(curvature, 1e-12 * diagonal[first])
            step = (gradient[second] - gradient[first]) / curvature
            step = min(step, upper[first] - mass[first], mass[second])
        before = mass[first]
        mass[first] = min(max(before + step, 0.0), upper[first])
        if mass[first] == before and second < 0:
            return _STUCK
        row = slots[first]
        if second < 0:
            for j in range(n):
                gradient[j] += step * cache[row, j]
            total += step
        else:
            mass[second] = max(mass[second] - step, 0.0)
            row_2 = slots[second]
            for j in range(n):
                gradient[j] += step * (cache[row, j] - cache[row_2, j])
            gradient[second] -= step * ridge[second]
        gradient[first] += step * ridge[first]
        steps = 1
