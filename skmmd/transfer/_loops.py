"""Compiled loops of the transfer area: numbers in, numbers out."""

import numpy as np

from skmmd._jit import loop

_DONE, _NEEDS_ROW, _STEPS_USED, _STUCK = 0, 1, 2, 3


@loop
def extreme_coordinates(mass, gradient, diagonal, upper, raises, lowers):
    """Return where to add mass, where to take it, the best single step (-1: none) and its gain.

    `raises` and `lowers` tell whether the sum of the masses may change so.
    """
    up, down, best = -1, -1, -1
    lowest_gradient, highest_gradient, best_gain = np.inf, -np.inf, 0.0
    for i in range(mass.shape[0]):
        g = gradient[i]
        if g < lowest_gradient and mass[i] < upper[i]:
            lowest_gradient, up = g, i
        if g > highest_gradient and mass[i] > 0.0:
            highest_gradient, down = g, i
        if (raises and g < 0.0 and mass[i] < upper[i]) or (lowers and g > 0.0 and mass[i] > 0.0):
            step = -g / diagonal[i]
            step = min(max(step, -mass[i]), upper[i] - mass[i])
            gain = -step * (g + 0.5 * diagonal[i] * step)
            if gain > best_gain:
                best_gain, best = gain, i
    return up, down, best, best_gain


@loop
def best_partner(row, up, mass, gradient, diagonal, least_gain):
    """Return from where to move mass to `up`, by the gain of a full step; -1: `least_gain` stays.

    `row` is that of K for `up`.
    """
    other = -1
    for j in range(mass.shape[0]):
        difference = gradient[j] - gradient[up]
        if difference > 0.0 and mass[j] > 0.0:
            curvature = diagonal[up] + diagonal[j] - 2.0 * row[j]
            curvature = max(curvature, 1e-12 * diagonal[up])
            gain = 0.5 * difference * difference / curvature
            if gain > least_gain:
                least_gain, other = gain, j
    return other


@loop
def single_step(row, i, diagonal, ridge, upper, least, most, mass, gradient):
    """Change one mass, by `least` to `most`; return by how much."""
    step = -gradient[i] / diagonal[i]
    step = min(max(step, -mass[i]), upper[i] - mass[i])
    step = min(max(step, least), most)
    before = mass[i]
    mass[i] = min(max(before + step, 0.0), upper[i])
    if mass[i] == before:
        return 0.0
    for j in range(mass.shape[0]):
        gradient[j] += step * row[j]
    gradient[i] += step * ridge[i]
    return step


@loop
def pair_step(row_i, row_j, i, j, diagonal, ridge, upper, mass, gradient):
    """Move mass from j to i."""
    curvature = max(diagonal[i] + diagonal[j] - 2.0 * row_i[j], 1e-12 * diagonal[i])
    step = min((gradient[j] - gradient[i]) / curvature, upper[i] - mass[i], mass[j])
    mass[i] = min(mass[i] + step, upper[i])
    mass[j] = max(mass[j] - step, 0.0)
    for k in range(mass.shape[0]):
        gradient[k] += step * (row_i[k] - row_j[k])
    gradient[i] += step * ridge[i]
    gradient[j] -= step * ridge[j]


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
    total = 0.0
    for i in range(mass.shape[0]):
        total += mass[i]
    slack = 1e-12 * max(1.0, abs(total))
    while True:
        raises, lowers = total < highest - slack, total > lowest + slack
        up, down, best, gain = extreme_coordinates(mass, gradient, diagonal, upper, raises, lowers)
        violation = -np.inf
        if raises and up >= 0:
            violation = max(violation, -gradient[up])
        if lowers and down >= 0:
            violation = max(violation, gradient[down])
        if not (raises and lowers) and up >= 0 and down >= 0:
            violation = max(violation, gradient[down] - gradient[up])
        if violation <= tol:
            return _DONE
        if counts[0] >= max_steps:
            return _STEPS_USED
        other = -1
        if up >= 0 and down >= 0:
            if slots[up] < 0:
                counts[1] = up
                return _NEEDS_ROW
            other = best_partner(cache[slots[up]], up, mass, gradient, diagonal, gain)
        needed = best if other < 0 else other
        if needed < 0:
            return _STUCK
        if slots[needed] < 0:
            counts[1] = needed
            return _NEEDS_ROW
        row = cache[slots[needed]]
        if other < 0:
            least, most = lowest - total, highest - total
            step = single_step(row, best, diagonal, ridge, upper, least, most, mass, gradient)
            if step == 0.0:
                return _STUCK
            total += step
        else:
            row_up = cache[slots[up]]
            pair_step(row_up, row, up, other, diagonal, ridge, upper, mass, gradient)
        counts[0] += 1
