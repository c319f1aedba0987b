"""Compiled parts of EM: sweeps over rows, the M step, the whole loop, and seeding.

Covariances are rows of numbers: d*d, d or 1 of them by `shape` (0 full, 1 diagonal, 2 spherical),
in one row for all components if `shared`, else in a row for each. `factors` holds U with
precision = U U' in the same layout (U upper triangular; 1 / standard deviation otherwise).

Statistics are rows ``[n, sum r x, second moments]`` of a component about its reference point; the
second moments are those of `shape` (upper triangle by rows, squares, or one sum). If shared, they
stand apart, summed over the components. Tiles are transposed: a row of a tile is a feature.
"""

import math

import numpy as np

from skmmd._jit import exp, log, loop

_HALF_LOG_2PI = 0.9189385332046727
# A component with less weight than this keeps its mean and covariance.
_DEAD = 2.3e-15


@loop
def copy_row(source, target):
    """Copy numbers: an assignment of slices compiles ten times as long.

    Parameters
    ----------
    source : array
        Read.
    target : array
        Written, of the same length.
    """
    for i in range(source.shape[0]):
        target[i] = source[i]


@loop
def copy_all(source, target):
    """Copy weights, means, covariances and factors.

    Parameters
    ----------
    source : tuple of array
        Read.
    target : tuple of array
        Written.
    """
    copy_row(source[0], target[0])
    for k in range(source[1].shape[0]):
        copy_row(source[1][k], target[1][k])
    for k in range(source[2].shape[0]):
        copy_row(source[2][k], target[2][k])
        copy_row(source[3][k], target[3][k])


# --------------------------------------------------------------------------------------
# tiles


@loop
def load_tile(X, start, stop, center, tile):
    """Write rows `start` to `stop` about `center` into `tile`, one feature a row, zeros behind.

    Parameters
    ----------
    X : array
        Rows.
    start, stop : int
        Range of rows, no more than the tile has columns.
    center : array
        Point to subtract.
    tile : array
        Features by rows; written.
    """
    n_features = X.shape[1]
    width = tile.shape[1]
    n_rows = stop - start
    for b in range(n_rows):
        for j in range(n_features):
            tile[j, b] = X[start + b, j] - center[j]
    if n_rows < width:
        for j in range(n_features):
            for b in range(n_rows, width):
                tile[j, b] = 0.0


@loop
def expand(features, n_features, shape):
    """Fill the rows of second moments of `features`, whose rows 1 to d are a tile.

    Parameters
    ----------
    features : array
        Row 0 is ones, then the tile; the rows behind are written.
    n_features : int
        Number of features d.
    shape : int
        0 full, 1 diagonal, 2 spherical, 3 none.
    """
    width = features.shape[1]
    row = 1 + n_features
    if shape == 0:
        for i in range(n_features):
            for j in range(i, n_features):
                for b in range(width):
                    features[row, b] = features[1 + i, b] * features[1 + j, b]
                row += 1
    elif shape == 1:
        for i in range(n_features):
            for b in range(width):
                features[row, b] = features[1 + i, b] * features[1 + i, b]
            row += 1
    elif shape == 2:
        for b in range(width):
            features[row, b] = 0.0
        for i in range(n_features):
            for b in range(width):
                features[row, b] += features[1 + i, b] * features[1 + i, b]


@loop
def to_panels(coefficients, panels):
    """Cut the columns of coefficients into panels, each contiguous.

    Parameters
    ----------
    coefficients : array
        Components by features.
    panels : array
        Panels by components by features of a panel; written, but for the padding of zeros.
    """
    width = panels.shape[2]
    for column in range(coefficients.shape[1]):
        for k in range(coefficients.shape[0]):
            panels[column // width, k, column % width] = coefficients[k, column]


@loop
def join(panels, features, part, joint):
    """Write ``coefficients @ features`` into `joint`, panel by panel.

    Products of small matrices are much quicker than those of large ones: BLAS does not pack them.

    Parameters
    ----------
    panels : array
        Coefficients in panels.
    features : array
        As many rows as all panels have columns; rows of a tile.
    part : array
        Room for another `joint`.
    joint : array
        Components by rows of the tile; written.
    """
    width = panels.shape[2]
    np.dot(panels[0], features[:width], joint)
    for panel in range(1, panels.shape[0]):
        np.dot(panels[panel], features[panel * width : (panel + 1) * width], part)
        for k in range(joint.shape[0]):
            for b in range(joint.shape[1]):
                joint[k, b] += part[k, b]


@loop
def softmax(joint, n_components, weight, weight_start, n_rows, top, total):
    """Turn log joint densities of a tile into weighted responsibilities.

    Parameters
    ----------
    joint : array
        Components by rows; log densities come in, responsibilities go out.
    n_components : int
        Number of components; rows behind are not touched.
    weight : array
        Weights of all rows, or none.
    weight_start : int
        Row of `weight` where the tile starts.
    n_rows : int
        Rows of the tile that count; the others get zero.
    top, total : array
        Written for each row: the largest log density, and what the others were multiplied by, the
        weight over the sum of their ratios to it.

    Returns
    -------
    float
        Weighted sum of the log densities.
    """
    width = joint.shape[1]
    for b in range(width):
        # A row that no component explains at all: -inf - -inf would be NaN.
        top[b] = max(joint[0, b], -1.7e308)
        total[b] = 0.0
    for k in range(1, n_components):
        for b in range(width):
            top[b] = max(top[b], joint[k, b])
    for k in range(n_components):
        for b in range(width):
            value = exp(joint[k, b] - top[b])
            joint[k, b] = value
            total[b] += value
    likelihood = 0.0
    if weight.shape[0] > 0:
        for b in range(n_rows):
            w = weight[weight_start + b]
            # A row without weight counts as absent, even where its density is zero.
            likelihood += w * (top[b] + log(total[b])) if w > 0.0 else 0.0
    else:
        for b in range(n_rows):
            likelihood += top[b]
        # Sums are between 1 and the number of components: one logarithm is enough for four.
        n_whole = n_rows - n_rows % 128
        for first in range(0, n_whole, 128):
            for b in range(first, first + 32):
                likelihood += log((total[b] * total[b + 32]) * (total[b + 64] * total[b + 96]))
        for b in range(n_whole, n_rows):
            likelihood += log(total[b])
    for b in range(width):
        total[b] = 1.0 / total[b]
    if weight.shape[0] > 0:
        for b in range(n_rows):
            w = weight[weight_start + b]
            total[b] = w * total[b] if w > 0.0 else 0.0
    for b in range(n_rows, width):
        total[b] = 0.0
    for k in range(n_components):
        for b in range(width):
            joint[k, b] *= total[b]
    return likelihood


@loop
def accumulate_four(responsibilities, features, k, p, sums):
    """Add the products of four components and four features to `sums`.

    Parameters
    ----------
    responsibilities, features : array
        As in `accumulate`.
    k, p : int
        The first component, and the first feature.
    sums : array
        Components by features; added to.
    """
    width = features.shape[1]
    s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = 0.0
    s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = 0.0
    for b in range(width):
        f0 = features[p, b]
        f1 = features[p + 1, b]
        f2 = features[p + 2, b]
        f3 = features[p + 3, b]
        r0 = responsibilities[k, b]
        r1 = responsibilities[k + 1, b]
        r2 = responsibilities[k + 2, b]
        r3 = responsibilities[k + 3, b]
        s00 += r0 * f0
        s01 += r0 * f1
        s02 += r0 * f2
        s03 += r0 * f3
        s10 += r1 * f0
        s11 += r1 * f1
        s12 += r1 * f2
        s13 += r1 * f3
        s20 += r2 * f0
        s21 += r2 * f1
        s22 += r2 * f2
        s23 += r2 * f3
        s30 += r3 * f0
        s31 += r3 * f1
        s32 += r3 * f2
        s33 += r3 * f3
    sums[k, p] += s00
    sums[k, p + 1] += s01
    sums[k, p + 2] += s02
    sums[k, p + 3] += s03
    sums[k + 1, p] += s10
    sums[k + 1, p + 1] += s11
    sums[k + 1, p + 2] += s12
    sums[k + 1, p + 3] += s13
    sums[k + 2, p] += s20
    sums[k + 2, p + 1] += s21
    sums[k + 2, p + 2] += s22
    sums[k + 2, p + 3] += s23
    sums[k + 3, p] += s30
    sums[k + 3, p + 1] += s31
    sums[k + 3, p + 2] += s32
    sums[k + 3, p + 3] += s33


@loop
def accumulate_two(responsibilities, features, k, p, sums):
    """Add the products of two components and four features to `sums`.

    Parameters
    ----------
    responsibilities, features : array
        As in `accumulate`.
    k, p : int
        The first component, and the first feature.
    sums : array
        Components by features; added to.
    """
    width = features.shape[1]
    s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = 0.0
    for b in range(width):
        f0 = features[p, b]
        f1 = features[p + 1, b]
        f2 = features[p + 2, b]
        f3 = features[p + 3, b]
        r0 = responsibilities[k, b]
        r1 = responsibilities[k + 1, b]
        s00 += r0 * f0
        s01 += r0 * f1
        s02 += r0 * f2
        s03 += r0 * f3
        s10 += r1 * f0
        s11 += r1 * f1
        s12 += r1 * f2
        s13 += r1 * f3
    sums[k, p] += s00
    sums[k, p + 1] += s01
    sums[k, p + 2] += s02
    sums[k, p + 3] += s03
    sums[k + 1, p] += s10
    sums[k + 1, p + 1] += s11
    sums[k + 1, p + 2] += s12
    sums[k + 1, p + 3] += s13


@loop
def accumulate(responsibilities, features, sums):
    """Add ``responsibilities @ features.T`` to `sums`: few of both, in loops.

    Parameters
    ----------
    responsibilities : array
        An even number of components by rows.
    features : array
        1 + 4 m rows, the first of ones.
    sums : array
        Components by 1 + 4 m; added to.
    """
    width = features.shape[1]
    n_components = responsibilities.shape[0]
    n_columns = features.shape[0]
    for k in range(n_components):
        total = 0.0
        for b in range(width):
            total += responsibilities[k, b]
        sums[k, 0] += total
    n_fours = n_components - n_components % 4
    for p in range(1, n_columns, 4):
        for k in range(0, n_fours, 4):
            accumulate_four(responsibilities, features, k, p, sums)
        for k in range(n_fours, n_components, 2):
            accumulate_two(responsibilities, features, k, p, sums)


# --------------------------------------------------------------------------------------
# parameters


@loop
def invert_cholesky(covariance, n_features, lower, inverse):
    """Factorise a covariance and invert the factor.

    Parameters
    ----------
    covariance : array
        Row of d*d numbers.
    n_features : int
        Number of features d.
    lower, inverse : array
        Square; the Cholesky factor and its inverse are written to their lower triangles, zeros
        above.

    Returns
    -------
    bool
        Whether the covariance is positive definite.
    """
    d = n_features
    for i in range(d):
        for j in range(d):
            lower[i, j] = 0.0
            inverse[i, j] = 0.0
    for j in range(d):
        for i in range(j + 1):
            value = covariance[j * d + i]
            for m in range(i):
                value -= lower[j, m] * lower[i, m]
            if i < j:
                lower[j, i] = value / lower[i, i]
            else:
                if not (value > 0.0 and value < np.inf):
                    return False
                lower[j, j] = math.sqrt(value)
    for j in range(d):
        inverse[j, j] = 1.0
        for i in range(j):
            step = lower[j, i]
            for m in range(i + 1):
                inverse[j, m] -= step * inverse[i, m]
        scale = 1.0 / lower[j, j]
        for m in range(j + 1):
            inverse[j, m] *= scale
    return True


@loop
def factorize(covariances, n_features, shape, factors):
    """Write the factors of the precisions of all rows of `covariances`.

    Parameters
    ----------
    covariances : array
        Rows of covariances.
    n_features : int
        Number of features.
    shape : int
        0 full, 1 diagonal, 2 spherical.
    factors : array
        Written, in the same layout.

    Returns
    -------
    bool
        Whether all are positive definite.
    """
    d = n_features
    if shape == 0:
        lower = np.empty((d, d))
        inverse = np.empty((d, d))
        for k in range(covariances.shape[0]):
            if not invert_cholesky(covariances[k], d, lower, inverse):
                return False
            for i in range(d):
                for j in range(d):
                    factors[k, i * d + j] = inverse[j, i]
        return True
    for k in range(covariances.shape[0]):
        for i in range(covariances.shape[1]):
            value = covariances[k, i]
            if not (value > 0.0 and value < np.inf):
                return False
            factors[k, i] = 1.0 / math.sqrt(value)
    return True


@loop
def log_constant(factor, n_features, shape):
    """Return the log density of a Gaussian at its mean.

    Parameters
    ----------
    factor : array
        Factor of the precision.
    n_features : int
        Number of features.
    shape : int
        0 full, 1 diagonal, 2 spherical.

    Returns
    -------
    float
        The logarithm.
    """
    d = n_features
    value = -_HALF_LOG_2PI * d
    for i in range(d):
        if shape == 0:
            value += math.log(factor[i * d + i])
        elif shape == 1:
            value += math.log(factor[i])
        else:
            value += math.log(factor[0])
    return value


@loop
def linearize(weights, means, covariances, factors, center, shape, shared, noise, coefficients):
    """Write log joint densities as linear functions of the features of a tile.

    Parameters
    ----------
    weights, means, covariances, factors : array
        Parameters; one more weight than means if there is noise.
    center : array
        The point that tiles are about.
    shape : int
        0 full, 1 diagonal, 2 spherical.
    shared : bool
        One covariance for all: its quadratic form is left out, the same for all components.
    noise : float
        Log density of the noise.
    coefficients : array
        Components by features; written.

    Returns
    -------
    float
        Condition: the largest sum of the magnitudes of the terms of a quadratic form, over points
        within three standard deviations of a component. Rounding errors are this times 1e-16.
    """
    n_components, d = means.shape
    precision = np.empty((d, d))
    offset = np.empty(d)
    reach = np.empty(d)
    worst = 0.0
    coefficients[:] = 0.0
    for k in range(n_components):
        row = 0 if shared else k
        factor = factors[row]
        covariance = covariances[row]
        for i in range(d):
            offset[i] = means[k, i] - center[i]
        if shape == 0:
            square = factor.reshape(d, d)
            if not shared or k == 0:
                np.dot(square, square.T, precision)
            for i in range(d):
                reach[i] = abs(offset[i]) + 3.0 * math.sqrt(covariance[i * d + i])
        else:
            for i in range(d):
                u = factor[i] if shape == 1 else factor[0]
                precision[i, i] = u * u
                reach[i] = abs(offset[i]) + 3.0 / u
        condition = 0.0
        constant = log_constant(factor, d, shape)
        constant += math.log(weights[k]) if weights[k] > 0.0 else -np.inf
        column = 1 + d
        for i in range(d):
            linear = 0.0
            if shape == 0:
                row_condition = 0.0
                for j in range(d):
                    linear += precision[i, j] * offset[j]
                    row_condition += abs(precision[i, j]) * reach[j]
                condition += row_condition * reach[i]
                if not shared:
                    coefficients[k, column] = -0.5 * precision[i, i]
                    for j in range(i + 1, d):
                        coefficients[k, column + j - i] = -precision[i, j]
                    column += d - i
            else:
                linear = precision[i, i] * offset[i]
                condition += precision[i, i] * reach[i] * reach[i]
                if not shared and shape == 1:
                    coefficients[k, column] = -0.5 * precision[i, i]
                    column += 1
            coefficients[k, 1 + i] = linear
            constant -= 0.5 * linear * offset[i]
        if not shared and shape == 2:
            coefficients[k, column] = -0.5 * precision[0, 0]
        coefficients[k, 0] = constant
        if weights[k] > 0.0:
            worst = max(worst, condition)
    if weights.shape[0] > n_components:
        w = weights[n_components]
        coefficients[n_components, 0] = (math.log(w) if w > 0.0 else -np.inf) + noise
    return worst


@loop
def divide_shared(moments, n, n_features, shape, row):
    """Add the second moments to a shared covariance and divide by the weight.

    Parameters
    ----------
    moments : array
        Second moments, summed over components.
    n : float
        Weight of the components.
    n_features : int
        Number of features.
    shape : int
        0 full, 1 diagonal, 2 spherical.
    row : array
        The covariance; changed.
    """
    d = n_features
    column = 0
    if shape == 0:
        for i in range(d):
            for j in range(i, d):
                row[i * d + j] = (row[i * d + j] + moments[column]) / n
                column += 1
    elif shape == 1:
        for i in range(d):
            row[i] = (row[i] + moments[i]) / n
    else:
        row[0] = (row[0] + moments[0] / d) / n


@loop
def maximize(
    sums, moments, references, old_means, old_covariances, shape, shared, ridge, prior, strength,
    weights, means, covariances, factors,
):  # fmt: skip
    """M step: parameters from statistics.

    Parameters
    ----------
    sums : array
        Statistics of each component, and of the noise if there is one more weight than means.
    moments : array
        Second moments about the references, summed over components, if shared.
    references : array
        Reference point of each component.
    old_means, old_covariances : array
        Kept where a component has lost all its weight.
    shape : int
        0 full, 1 diagonal, 2 spherical.
    shared : bool
        One covariance for all.
    ridge : array
        Added to the variance of each feature.
    prior : array
        Scale of the inverse-Wishart prior, in the layout of a row of covariances.
    strength : float
        Rows that the prior counts for in the denominator; 0 without a prior.
    weights, means, covariances, factors : array
        Written.

    Returns
    -------
    int
        Number of components without weight; -1 if a covariance is not positive definite.
    """
    n_components, d = means.shape
    total = 0.0
    for k in range(weights.shape[0]):
        total += sums[k, 0]
    n_dead = 0
    gaussian = 0.0
    covariances[:] = 0.0
    shift = np.empty(d)
    for k in range(n_components):
        n = sums[k, 0]
        if not n > _DEAD * total:
            if n != n:
                return -1
            n_dead += 1
            weights[k] = 0.0
            for i in range(d):
                means[k, i] = old_means[k, i]
            if not shared:
                copy_row(old_covariances[k], covariances[k])
            continue
        weights[k] = n / total
        gaussian += n
        for i in range(d):
            shift[i] = sums[k, 1 + i] / n
            means[k, i] = references[k, i] + shift[i]
        row = covariances[0 if shared else k]
        lost = n if shared else 1.0
        column = 1 + d
        if shape == 0:
            for i in range(d):
                for j in range(i, d):
                    second = 0.0 if shared else sums[k, column] / n
                    row[i * d + j] += second - lost * shift[i] * shift[j]
                    column += 1
        elif shape == 1:
            for i in range(d):
                second = 0.0 if shared else sums[k, column + i] / n
                row[i] += second - lost * shift[i] * shift[i]
        else:
            square = 0.0
            for i in range(d):
                square += shift[i] * shift[i]
            row[0] += ((0.0 if shared else sums[k, column] / n) - lost * square) / d
        if not shared:
            add_prior(row, n, d, shape, ridge, prior, strength)
    for k in range(n_components, weights.shape[0]):
        weights[k] = sums[k, 0] / total
    if shared and gaussian > 0.0:
        divide_shared(moments, gaussian, d, shape, covariances[0])
        add_prior(covariances[0], gaussian, d, shape, ridge, prior, strength)
    elif shared:
        copy_row(old_covariances[0], covariances[0])
    if not factorize(covariances, d, shape, factors):
        return -1
    return n_dead


@loop
def add_prior(row, n, n_features, shape, ridge, prior, strength):
    """Mix a prior into a covariance, add the ridge and mirror the upper triangle.

    Parameters
    ----------
    row : array
        The covariance; for a full one, its upper triangle. Changed.
    n : float
        Weight of its rows.
    n_features : int
        Number of features.
    shape : int
        0 full, 1 diagonal, 2 spherical.
    ridge, prior : array
        As in `maximize`.
    strength : float
        As in `maximize`.
    """
    d = n_features
    if strength > 0.0:
        count = n * d if shape == 2 else n
        for i in range(row.shape[0]):
            row[i] = (row[i] * count + prior[i]) / (count + strength)
    if shape == 0:
        for i in range(d):
            row[i * d + i] += ridge[i]
            for j in range(i):
                row[i * d + j] = row[j * d + i]
    elif shape == 1:
        for i in range(d):
            row[i] += ridge[i]
    else:
        mean = 0.0
        for i in range(d):
            mean += ridge[i]
        row[0] += mean / d


@loop
def log_prior(covariances, factors, n_features, shape, prior, strength):
    """Return the log density of the inverse-Wishart prior, up to a constant.

    Parameters
    ----------
    covariances, factors : array
        Covariances and factors of the precisions.
    n_features : int
        Number of features.
    shape : int
        0 full, 1 diagonal, 2 spherical.
    prior : array
        Scale, in the layout of a row of covariances.
    strength : float
        Degrees of freedom plus dimension plus one; 0 for no prior.

    Returns
    -------
    float
        Sum over all covariances.
    """
    if not strength > 0.0:
        return 0.0
    d = n_features
    value = 0.0
    for k in range(covariances.shape[0]):
        factor = factors[k]
        if shape == 0:
            for i in range(d):
                value += strength * math.log(factor[i * d + i])
                for j in range(d):
                    # trace(prior U U') = sum over the columns u of U of u' prior u
                    inner = 0.0
                    for m in range(d):
                        inner += prior[i * d + m] * factor[m * d + j]
                    value -= 0.5 * factor[i * d + j] * inner
        else:
            for i in range(covariances.shape[1]):
                value += strength * math.log(factor[i])
                value -= 0.5 * prior[i] * factor[i] * factor[i]
    return value


@loop
def shared_quadratic(moments, factors, n_features, shape):
    """Return trace(precision times second moments) of a shared covariance.

    Parameters
    ----------
    moments : array
        Second moments: upper triangle, squares or their sum.
    factors : array
        Factor of the shared precision.
    n_features : int
        Number of features.
    shape : int
        0 full, 1 diagonal, 2 spherical.

    Returns
    -------
    float
        The trace.
    """
    d = n_features
    value = 0.0
    if shape == 0:
        column = 0
        for i in range(d):
            for j in range(i, d):
                entry = 0.0
                for m in range(j, d):
                    entry += factors[0, i * d + m] * factors[0, j * d + m]
                value += (1.0 if i == j else 2.0) * entry * moments[column]
                column += 1
    else:
        for i in range(moments.shape[0]):
            value += moments[i] * factors[0, i] * factors[0, i]
    return value


# --------------------------------------------------------------------------------------
# sweeps over rows


@loop
def sweep(X, start, stop, weight, center, panels, n_joint, shape, buffers, sums):
    """E step by linear features: one pass that keeps no responsibilities.

    Parameters
    ----------
    X : array
        Rows.
    start, stop : int
        Range of rows.
    weight : array
        Weights of all rows, or none.
    center : array
        The point that features are about.
    panels : array
        Linear functions of the features, an even number of them, in panels.
    n_joint : int
        Number of rows that are components or noise.
    shape : int
        Which second moments: 0 full, 1 diagonal, 2 spherical, 3 none.
    buffers : tuple of array
        Features by rows of a tile, the first row of ones and padding of zeros; twice coefficients'
        rows by rows of a tile; two numbers for each row of a tile.
    sums : array
        Statistics; added to.

    Returns
    -------
    float
        Weighted sum of the log densities.
    """
    features, joint, part, top, total = buffers
    width = features.shape[1]
    d = X.shape[1]
    used = features[: sums.shape[1]]
    likelihood = 0.0
    for first in range(start, stop, width):
        last = min(first + width, stop)
        load_tile(X, first, last, center, features[1:])
        expand(features, d, shape)
        join(panels, features, part, joint)
        likelihood += softmax(joint, n_joint, weight, first, last - first, top, total)
        accumulate(joint, used, sums)
    return likelihood


@loop
def scatter(X, start, stop, weight, center, shape, features, ones, sums):
    """Add up the weight, the sum and the second moments of rows about a point.

    Parameters
    ----------
    X : array
        Rows.
    start, stop : int
        Range of rows.
    weight : array
        Weights of all rows, or none.
    center : array
        The point.
    shape : int
        0 full, 1 diagonal, 2 spherical.
    features : array
        Room for the features of a tile.
    ones : array
        Room for two rows of a tile.
    sums : array
        Two rows of statistics; the first is added to.
    """
    width = features.shape[1]
    for first in range(start, stop, width):
        last = min(first + width, stop)
        load_tile(X, first, last, center, features[1:])
        expand(features, X.shape[1], shape)
        for b in range(width):
            inside = b < last - first
            ones[1, b] = 0.0
            ones[0, b] = 1.0 if inside else 0.0
            if inside and weight.shape[0] > 0:
                ones[0, b] = weight[first + b]
        accumulate(ones, features, sums)


@loop
def summarize(X, weight, origin, summary):
    """Summarise the observed values of each feature.

    Parameters
    ----------
    X : array
        Rows; NaN where a value is missing.
    weight : array
        Weight of each row, or none.
    origin : array
        A point near the data; sums are taken about it.
    summary : array
        Five rows of features: weight, mean, sum of squares about the mean, least and largest
        value; written.

    Returns
    -------
    float
        Sum of the weights.
    """
    n, d = X.shape
    total = 0.0
    for j in range(d):
        summary[0, j] = 0.0
        summary[1, j] = 0.0
        summary[2, j] = 0.0
        summary[3, j] = np.inf
        summary[4, j] = -np.inf
    for i in range(n):
        w = weight[i] if weight.shape[0] > 0 else 1.0
        total += w
        for j in range(d):
            value = X[i, j]
            if value == value:
                summary[0, j] += w
                summary[1, j] += w * (value - origin[j])
                summary[3, j] = min(summary[3, j], value)
                summary[4, j] = max(summary[4, j], value)
    for j in range(d):
        if summary[0, j] > 0.0:
            summary[1, j] /= summary[0, j]
    for i in range(n):
        w = weight[i] if weight.shape[0] > 0 else 1.0
        for j in range(d):
            value = X[i, j]
            if value == value:
                difference = (value - origin[j]) - summary[1, j]
                summary[2, j] += w * difference * difference
    for j in range(d):
        summary[1, j] += origin[j]
    return total


@loop
def join_directly(tile, means, factors, constants, shape, shared, rooms, joint):
    """Write log joint densities of a tile from differences to the means: nothing cancels.

    Parameters
    ----------
    tile : array
        Features by rows, about the same point as `means`.
    means, factors : array
        Parameters.
    constants : array
        Log density at the mean plus log weight of each component.
    shape : int
        0 full, 1 diagonal, 2 spherical.
    shared : bool
        One covariance for all.
    rooms : array
        Room for two tiles.
    joint : array
        Components by rows; written.
    """
    n_components, d = means.shape
    width = tile.shape[1]
    difference = rooms[0]
    whitened = rooms[1]
    moved = np.zeros(d)
    for k in range(n_components):
        factor = factors[0 if shared else k]
        if shared and shape == 0:
            square = factor.reshape(d, d)
            if k == 0:
                np.dot(square.T, tile, whitened)
            for j in range(d):
                moved[j] = 0.0
                for i in range(j + 1):
                    moved[j] += square[i, j] * means[k, i]
        else:
            for i in range(d):
                for b in range(width):
                    difference[i, b] = tile[i, b] - means[k, i]
            if shape == 0:
                np.dot(factor.reshape(d, d).T, difference, whitened)
            else:
                for i in range(d):
                    u = factor[i] if shape == 1 else factor[0]
                    for b in range(width):
                        whitened[i, b] = u * difference[i, b]
        for b in range(width):
            joint[k, b] = 0.0
        for j in range(d):
            for b in range(width):
                y = whitened[j, b] - moved[j]
                joint[k, b] += y * y
        for b in range(width):
            joint[k, b] = constants[k] - 0.5 * joint[k, b]


@loop
def accumulate_directly(tile, means, shape, shared, responsibilities, rooms, square, sums, moments):
    """Add the statistics of a tile about the means.

    Parameters
    ----------
    tile : array
        Features by rows.
    means : array
        Reference points.
    shape : int
        0 full, 1 diagonal, 2 spherical.
    shared : bool
        Second moments are added to `moments`, else to `sums`.
    responsibilities : array
        Components by rows.
    rooms : array
        Room for two tiles.
    square : array
        Room for d by d numbers.
    sums, moments : array
        Added to.
    """
    n_components, d = means.shape
    width = tile.shape[1]
    difference = rooms[0]
    scaled = rooms[1]
    for k in range(n_components):
        n = 0.0
        for b in range(width):
            n += responsibilities[k, b]
        if n == 0.0:
            continue
        sums[k, 0] += n
        for i in range(d):
            first = 0.0
            second = 0.0
            for b in range(width):
                value = tile[i, b] - means[k, i]
                weighted = responsibilities[k, b] * value
                difference[i, b] = value
                scaled[i, b] = weighted
                first += weighted
                second += weighted * value
            sums[k, 1 + i] += first
            square[i, i] = second
        if shape == 0 and d > 1:
            np.dot(difference, scaled.T, square)
        into = moments if shared else sums[k, 1 + d :]
        column = 0
        for i in range(d):
            if shape == 0:
                for j in range(i, d):
                    into[column] += square[i, j]
                    column += 1
            else:
                into[i if shape == 1 else 0] += square[i, i]


@loop
def sweep_directly(
    X, start, stop, weight, center, means, factors, constants, noise, shape, shared, buffers,
    sums, moments,
):  # fmt: skip
    """E step from differences to the means: slower than `sweep`, for ill-conditioned data.

    Parameters
    ----------
    X : array
        Rows.
    start, stop : int
        Range of rows.
    weight : array
        Weights of all rows, or none.
    center : array
        A point near the data.
    means : array
        Means about `center`.
    factors : array
        Factors of the precisions.
    constants : array
        Log density at the mean plus log weight of each component; of the noise, if it has one.
    noise : bool
        Whether the last constant is that of noise.
    shape : int
        0 full, 1 diagonal, 2 spherical.
    shared : bool
        One covariance for all.
    buffers : tuple of array
        One tile; two tiles; joint densities; two numbers for each row; d by d numbers.
    sums, moments : array
        Statistics about the means; added to.

    Returns
    -------
    float
        Weighted sum of the log densities.
    """
    tile, rooms, joint, top, total, square = buffers
    width = tile.shape[1]
    n_components = means.shape[0]
    n_joint = n_components + 1 if noise else n_components
    likelihood = 0.0
    for first in range(start, stop, width):
        last = min(first + width, stop)
        load_tile(X, first, last, center, tile)
        join_directly(tile, means, factors, constants, shape, shared, rooms, joint)
        if noise:
            for b in range(width):
                joint[n_components, b] = constants[n_components]
        likelihood += softmax(joint, n_joint, weight, first, last - first, top, total)
        accumulate_directly(tile, means, shape, shared, joint, rooms, square, sums, moments)
        if noise:
            for b in range(width):
                sums[n_components, 0] += joint[n_components, b]
    return likelihood


@loop
def transform(
    X, center, panels, n_joint, means, factors, constants, shape, shared, direct, buffers,
    responsibilities, log_density,
):  # fmt: skip
    """Write responsibilities and log densities of rows.

    Parameters
    ----------
    X : array
        Rows.
    center : array
        A point near the data.
    panels : array
        As in `sweep`; not used if `direct`.
    n_joint : int
        Number of components, and noise.
    means, factors, constants : array
        As in `sweep_directly`.
    shape : int
        0 full, 1 diagonal, 2 spherical.
    shared : bool
        One covariance for all.
    direct : bool
        Which of the two ways.
    buffers : tuple of array
        As in `sweep`, and room for two tiles.
    responsibilities : array
        Rows by components; written.
    log_density : array
        Written.
    """
    features, joint, part, top, total, rooms = buffers
    width = joint.shape[1]
    d = X.shape[1]
    tile = features[1 : 1 + d]
    no_weight = np.empty(0)
    for first in range(0, X.shape[0], width):
        last = min(first + width, X.shape[0])
        load_tile(X, first, last, center, features[1:])
        if direct:
            join_directly(tile, means, factors, constants, shape, shared, rooms, joint)
            for k in range(means.shape[0], n_joint):
                for b in range(width):
                    joint[k, b] = constants[k]
        else:
            expand(features, d, 3 if shared else shape)
            join(panels, features, part, joint)
        softmax(joint, n_joint, no_weight, 0, last - first, top, total)
        if shared and not direct:
            # The quadratic form that is the same for all components.
            if shape == 0:
                np.dot(factors[0].reshape(d, d).T, tile, rooms[0])
            for i in range(d):
                u = 1.0 if shape == 0 else factors[0, i if shape == 1 else 0]
                for b in range(width):
                    value = rooms[0, i, b] if shape == 0 else u * tile[i, b]
                    top[b] -= 0.5 * value * value
        for b in range(last - first):
            log_density[first + b] = top[b] - log(total[b])
            for k in range(n_joint):
                responsibilities[first + b, k] = joint[k, b]


# --------------------------------------------------------------------------------------
# missing values


@loop
def split_pattern(observed, known, hidden):
    """Write the features of a pattern that are observed, and the others.

    Parameters
    ----------
    observed : array
        1 where observed.
    known, hidden : array of int
        Written.

    Returns
    -------
    int
        How many are observed.
    """
    n_known = 0
    n_hidden = 0
    for i in range(observed.shape[0]):
        if observed[i] != 0:
            known[n_known] = i
            n_known += 1
        else:
            hidden[n_hidden] = i
            n_hidden += 1
    return n_known


@loop
def normalize_pattern(first, last, weight, n_known, likelihood, responsibilities, log_density):
    """Turn log joint densities of the rows of a pattern into responsibilities.

    Parameters
    ----------
    first, last : int
        Range of rows.
    weight : array
        Weight of each row, or none.
    n_known : int
        Number of features that are observed.
    likelihood : float
        What log densities are added to.
    responsibilities : array
        Changed.
    log_density : array
        Written.

    Returns
    -------
    float
        The likelihood, with these rows.
    """
    n_joint = responsibilities.shape[1]
    for row in range(first, last):
        top = -1.7e308
        for k in range(n_joint):
            top = max(top, responsibilities[row, k])
        total = 0.0
        for k in range(n_joint):
            responsibilities[row, k] = exp(responsibilities[row, k] - top)
            total += responsibilities[row, k]
        for k in range(n_joint):
            responsibilities[row, k] /= total
        log_density[row] = (top + math.log(total)) if n_known > 0 else 0.0
        w = weight[row] if weight.shape[0] > 0 else 1.0
        likelihood += w * log_density[row] if w > 0.0 else 0.0
    return likelihood


@loop
def accumulate_pattern(
    X, first, last, weight, known, hidden, means, covariances, shape, shared, rooms, regressions,
    conditionals, responsibilities, sums, moments,
):  # fmt: skip
    """Add the statistics of the rows of a pattern about the means.

    Parameters
    ----------
    X : array
        Rows.
    first, last : int
        Range of rows.
    weight : array
        Weight of each row, or none.
    known, hidden : array of int
        Features that are observed, and the others.
    means, covariances, shape, shared
        As in `sweep_missing`.
    rooms : tuple of array
        Room for d by d numbers; twice d numbers.
    regressions, conditionals, responsibilities : array
        As `join_pattern` and `normalize_pattern` have written them.
    sums, moments : array
        Added to.
    """
    second, difference, whitened = rooms
    n_components, d = means.shape
    n_joint = responsibilities.shape[1]
    n_known = known.shape[0]
    n_hidden = hidden.shape[0]
    for k in range(n_joint):
        n = 0.0
        second[:] = 0.0
        for row in range(first, last):
            w = weight[row] if weight.shape[0] > 0 else 1.0
            r = responsibilities[row, k] * w if w > 0.0 else 0.0
            if r == 0.0:
                continue
            n += r
            if k == n_components:
                continue
            for i in range(d):
                difference[i] = 0.0
            for i in range(n_known):
                difference[known[i]] = X[row, known[i]] - means[k, known[i]]
            if shape == 0:
                for i in range(n_hidden):
                    filled = 0.0
                    for j in range(n_known):
                        filled += regressions[k, i, j] * difference[known[j]]
                    whitened[i] = filled
                for i in range(n_hidden):
                    difference[hidden[i]] = whitened[i]
                for i in range(d):
                    sums[k, 1 + i] += r * difference[i]
                    for j in range(i, d):
                        second[i, j] += r * difference[i] * difference[j]
            else:
                for i in range(d):
                    sums[k, 1 + i] += r * difference[i]
                    second[i, i] += r * difference[i] * difference[i]
        sums[k, 0] += n
        if k == n_components:
            continue
        covariance = covariances[0 if shared else k]
        for i in range(n_hidden):
            a = hidden[i]
            if shape == 0:
                for j in range(i, n_hidden):
                    second[a, hidden[j]] += n * conditionals[k, i, j]
            else:
                second[a, a] += n * (covariance[a] if shape == 1 else covariance[0])
        into = moments if shared else sums[k, 1 + d :]
        column = 0
        for i in range(d):
            if shape == 0:
                for j in range(i, d):
                    into[column] += second[i, j]
                    column += 1
            else:
                into[i if shape == 1 else 0] += second[i, i]


@loop
def sweep_missing(
    X, weight, starts, observed, means, covariances, weights, noise, shape, shared, sums, moments,
    responsibilities, log_density,
):  # fmt: skip
    """E step of rows with missing values, sorted by pattern.

    Parameters
    ----------
    X : array
        Rows; a missing value may be any number.
    weight : array
        Weight of each row, or none.
    starts : array
        Where each pattern starts, and the number of rows.
    observed : array
        Patterns by features: 1 where observed.
    means, covariances, weights : array
        Parameters; one more weight than means if there is noise.
    noise : array
        Log density of the noise in each feature.
    shape : int
        0 full, 1 diagonal, 2 spherical.
    shared : bool
        One covariance for all.
    sums, moments : array
        Statistics about the means; added to.
    responsibilities : array
        Rows by components; written.
    log_density : array
        Log density of the observed values; written.

    Returns
    -------
    float
        Weighted sum of the log densities; NaN if a covariance is not positive definite.
    """
    n_components, d = means.shape
    room = np.empty(d, np.int64), np.empty(d, np.int64)
    lower, inverse, second = np.empty((d, d)), np.empty((d, d)), np.empty((d, d))
    packed, difference, whitened = np.empty(d * d), np.empty(d), np.empty(d)
    shapes = (n_components, d, d)
    regressions, conditionals = np.zeros(shapes), np.zeros(shapes)
    likelihood = 0.0
    for pattern in range(observed.shape[0]):
        n_known = split_pattern(observed[pattern], room[0], room[1])
        known, hidden = room[0][:n_known], room[1][: d - n_known]
        first, last = starts[pattern], starts[pattern + 1]
        # Densities are joined in place: compiled apart, this loop rounds otherwise once cached.
        for k in range(n_components):
            covariance = covariances[0 if shared else k]
            constant = math.log(weights[k]) if weights[k] > 0.0 else -np.inf
            constant -= _HALF_LOG_2PI * n_known
            if shape == 0:
                if not condition_covariance(
                    covariance, d, known, n_known, hidden, hidden.shape[0], packed, lower, inverse,
                    regressions[k], conditionals[k],
                ):  # fmt: skip
                    return np.nan
                for i in range(n_known):
                    constant -= math.log(lower[i, i])
            else:
                for i in range(n_known):
                    constant -= 0.5 * math.log(covariance[known[i] if shape == 1 else 0])
            for row in range(first, last):
                square = 0.0
                for i in range(n_known):
                    difference[i] = X[row, known[i]] - means[k, known[i]]
                if shape == 0:
                    for i in range(n_known):
                        y = 0.0
                        for j in range(i + 1):
                            y += inverse[i, j] * difference[j]
                        square += y * y
                else:
                    for i in range(n_known):
                        v = covariance[known[i]] if shape == 1 else covariance[0]
                        square += difference[i] * difference[i] / v
                responsibilities[row, k] = constant - 0.5 * square
        if weights.shape[0] > n_components:
            w = weights[n_components]
            constant = math.log(w) if w > 0.0 else -np.inf
            for i in range(n_known):
                constant += noise[known[i]]
            for row in range(first, last):
                responsibilities[row, n_components] = constant
        likelihood = normalize_pattern(
            first, last, weight, n_known, likelihood, responsibilities, log_density
        )
        accumulate_pattern(
            X, first, last, weight, known, hidden, means, covariances, shape, shared,
            (second, difference, whitened), regressions, conditionals, responsibilities, sums,
            moments,
        )  # fmt: skip
    return likelihood


@loop
def condition_covariance(
    covariance, n_features, known, n_known, hidden, n_hidden, packed, lower, inverse, regression,
    conditional,
):  # fmt: skip
    """Condition a Gaussian on some of its features.

    Parameters
    ----------
    covariance : array
        Row of d*d numbers.
    n_features : int
        Number of features d.
    known, hidden : array
        Features that are given, and the others.
    n_known, n_hidden : int
        How many they are.
    packed : array
        Room for d*d numbers.
    lower, inverse : array
        Cholesky factor of the covariance of the known features and its inverse; written.
    regression : array
        Hidden by known: the slopes of the hidden features' means; written.
    conditional : array
        Covariance of the hidden features given the known; written.

    Returns
    -------
    bool
        Whether the covariance of the known features is positive definite.
    """
    d = n_features
    for i in range(n_known):
        for j in range(n_known):
            packed[i * n_known + j] = covariance[known[i] * d + known[j]]
    if not invert_cholesky(packed, n_known, lower, inverse):
        return False
    for i in range(n_hidden):
        for j in range(n_known):
            # whitened covariance of hidden and known, kept for a moment
            value = 0.0
            for m in range(j + 1):
                value += inverse[j, m] * covariance[hidden[i] * d + known[m]]
            packed[i * n_known + j] = value
        for j in range(n_known):
            value = 0.0
            for m in range(j, n_known):
                value += packed[i * n_known + m] * inverse[m, j]
            regression[i, j] = value
    for i in range(n_hidden):
        for j in range(n_hidden):
            value = covariance[hidden[i] * d + hidden[j]]
            for m in range(n_known):
                value -= packed[i * n_known + m] * packed[j * n_known + m]
            conditional[i, j] = value
    return True


# --------------------------------------------------------------------------------------
# the loop


@loop
def has_converged(history, step, tol, aitken):
    """Tell whether the objective has stopped rising.

    Parameters
    ----------
    history : array
        Objective, with minus infinity for the two steps before the first.
    step : int
        The last step, at least 2.
    tol : float
        Tolerance.
    aitken : bool
        Compare what is still to be gained, extrapolated from the last two changes, instead of
        the last change.

    Returns
    -------
    bool
        The answer.
    """
    change = history[step] - history[step - 1]
    if not aitken or change <= 0.0:
        return abs(change) < tol
    before = history[step - 1] - history[step - 2]
    # A gain that grows, or none to compare with, says nothing about the limit.
    if not (before < np.inf and change < before):
        return False
    ratio = change / before
    return change * ratio / (1.0 - ratio) < tol


@loop
def sweep_chunks(
    X, start, stop, weight, center, panels, n_joint, shape, chunk_size, buffers, chunk_sums, sums
):
    """E step by linear features, chunk by chunk: many small terms are not added to a large sum.

    Parameters
    ----------
    X, start, stop, weight, center, panels, n_joint, shape, buffers
        As in `sweep`.
    chunk_size : int
        Rows whose sums are added up before they are added to the others'.
    chunk_sums : array
        Room for statistics.
    sums : array
        Statistics; written.

    Returns
    -------
    float
        Weighted sum of the log densities.
    """
    sums[:] = 0.0
    likelihood = 0.0
    for first in range(start, stop, chunk_size):
        chunk_sums[:] = 0.0
        last = min(first + chunk_size, stop)
        likelihood += sweep(
            X, first, last, weight, center, panels, n_joint, shape, buffers, chunk_sums
        )
        for k in range(sums.shape[0]):
            for column in range(sums.shape[1]):
                sums[k, column] += chunk_sums[k, column]
    return likelihood


@loop
def iterate(
    X, first, last, weight, total_weight, center, moments, ridge, prior, strength, noise, shape,
    shared, weights, means, covariances, factors, chunk_size, limit, tol, aitken, part, panels,
    sums, history, buffers,
):  # fmt: skip
    """Run plain EM by linear features in one thread, or a part of a step.

    All parts are in this one function, since the same loop compiled twice may round differently:
    steps do not depend on how their parts were called.

    Parameters
    ----------
    X : array
        Rows.
    first, last : int
        Range of rows.
    weight : array
        Weight of each row, or none.
    total_weight : float
        Sum of the weights of all rows.
    center : array
        The point that features are about.
    moments : array
        Second moments of all rows about `center`, if shared.
    ridge, prior, strength : array, array, float
        As in `maximize`.
    noise : float
        Log density of the noise.
    shape : int
        0 full, 1 diagonal, 2 spherical.
    shared : bool
        One covariance for all.
    weights, means, covariances, factors : array
        Parameters; changed, unless `part` is 1.
    chunk_size : int
        Rows whose sums are added up before they are added to the others'.
    limit : float
        Largest condition for which this form is accurate enough.
    tol : float
        Tolerance.
    aitken : bool
        Rule for stopping.
    part : int
        0: whole steps. 1: only the statistics of the rows. 2: one step from statistics.
    panels : array
        Room for coefficients in panels, zeros.
    sums : array
        Statistics; written, or read if `part` is 2.
    history : array
        Objective; the first two numbers are those before, the others are written. If `part` is not
        0, the third is the log-likelihood of the statistics: written or read.
    buffers : tuple of array
        As in `sweep`.

    Returns
    -------
    status : int
        0: all steps done, 1: converged, 2: the next step needs differences to the means.
    n_steps : int
        Steps done.
    n_dead : int
        Components without weight.
    """
    d = X.shape[1]
    coefficients = np.zeros(sums.shape)
    chunk_sums = np.empty(sums.shape)
    old = (weights.copy(), means.copy(), covariances.copy(), factors.copy())
    references = np.empty(means.shape)
    for k in range(means.shape[0]):
        copy_row(center, references[k])
    n_dead = 0
    dead = 0
    for step in range(2, history.shape[0] + 1):
        # Each step is judged at the start of the next: by the condition of what it led to.
        condition = linearize(
            weights, means, covariances, factors, center, shape, shared, noise, coefficients
        )
        if not condition <= limit:
            if step > 2:
                copy_all(old, (weights, means, covariances, factors))
            return 2, max(step - 3, 0), n_dead
        if step > 2:
            n_dead = dead
            if has_converged(history, step - 1, tol, aitken):
                return 1, step - 2, n_dead
        if step == history.shape[0]:
            return 0, step - 2, n_dead
        if part < 2:
            to_panels(coefficients, panels)
            likelihood = sweep_chunks(
                X, first, last, weight, center, panels, weights.shape[0], 3 if shared else shape,
                chunk_size, buffers, chunk_sums, sums,
            )  # fmt: skip
            if part == 1:
                history[2] = likelihood
                return 0, 0, 0
        else:
            likelihood = history[2]
        if shared:
            likelihood -= 0.5 * shared_quadratic(moments, factors, d, shape)
        likelihood += log_prior(covariances, factors, d, shape, prior, strength)
        history[step] = likelihood / total_weight
        copy_all((weights, means, covariances, factors), old)
        dead = maximize(
            sums, moments, references, old[1], old[2], shape, shared, ridge, prior, strength,
            weights, means, covariances, factors,
        )  # fmt: skip
        if dead < 0:
            copy_all(old, (weights, means, covariances, factors))
            return 2, step - 2, n_dead
    return 0, history.shape[0] - 2, n_dead


# --------------------------------------------------------------------------------------
# where to start


@loop
def hash_rows(X, seed, hashes):
    """Write a number for each row that depends on its values alone.

    Parameters
    ----------
    X : array
        Rows.
    seed : uint64
        Another seed gives other numbers.
    hashes : array of uint64
        Written.
    """
    half = np.uint64(32)
    factor = np.uint64(0xD6E8FEB86659FD93)
    for row in range(X.shape[0]):
        value = seed
        for j in range(X.shape[1]):
            bits = np.uint64(np.float64(X[row, j]).view(np.int64))
            if X[row, j] == 0.0:
                bits = np.uint64(0)  # 0.0 and -0.0 are the same
            value = (value ^ bits) * factor
            value = (value ^ (value >> half)) * factor
        value = (value ^ (value >> half)) * factor
        hashes[row] = value ^ (value >> half)


@loop
def seed_centers(Z, weight, draws, centers, chosen):
    """Choose rows far from each other: k-means++, the best of several candidates each time.

    Parameters
    ----------
    Z : array
        Rows.
    weight : array
        Weight of each row.
    draws : array
        Uniform random numbers, centers by candidates.
    centers : array
        Written.
    chosen : array of int64
        Numbers of the rows; written.
    """
    n, d = Z.shape
    nearest = np.full(n, np.inf)
    closer = np.empty(n)
    best = np.empty(n)
    mass = 0.0
    for i in range(n):
        mass += weight[i]
    for k in range(centers.shape[0]):
        best_potential = np.inf
        for trial in range(draws.shape[1] if k > 0 else 1):
            target = draws[k, trial] * mass
            reached = 0.0
            candidate = n - 1
            for i in range(n):
                reached += weight[i] * (nearest[i] if k > 0 else 1.0)
                if reached > target:
                    candidate = i
                    break
            potential = 0.0
            for i in range(n):
                distance = 0.0
                for j in range(d):
                    step = Z[i, j] - Z[candidate, j]
                    distance += step * step
                closer[i] = min(nearest[i], distance)
                potential += weight[i] * closer[i]
            if trial == 0 or potential < best_potential:
                best_potential = potential
                chosen[k] = candidate
                copy_row(closer, best)
        copy_row(best, nearest)
        mass = best_potential
        copy_row(Z[chosen[k]], centers[k])


@loop
def assign_to_nearest(Z, centers, labels, distances):
    """Find the nearest center of each row.

    Parameters
    ----------
    Z : array
        Rows, centred, so that little cancels.
    centers : array
        Centers.
    labels : array of int64
        Written.
    distances : array
        Squared distances, up to the squared norms of the rows; written.

    Returns
    -------
    int
        Number of labels that changed.
    """
    n = Z.shape[0]
    n_centers = centers.shape[0]
    width = 256
    norms = np.empty(n_centers)
    for k in range(n_centers):
        norm = 0.0
        for j in range(Z.shape[1]):
            norm += centers[k, j] * centers[k, j]
        norms[k] = norm
    products = np.empty((width, n_centers))
    n_changed = 0
    for first in range(0, n, width):
        last = min(first + width, n)
        if last - first < width:
            products = np.empty((last - first, n_centers))
        np.dot(Z[first:last], centers.T, products)
        for row in range(first, last):
            nearest = np.inf
            label = 0
            for k in range(n_centers):
                distance = norms[k] - 2.0 * products[row - first, k]
                if distance < nearest:
                    nearest = distance
                    label = k
            distances[row] = nearest
            if labels[row] != label:
                n_changed += 1
                labels[row] = label
    return n_changed


@loop
def cluster(Z, weight, centers, max_iter, labels):
    """Run Lloyd's k-means from given centers.

    Parameters
    ----------
    Z : array
        Rows, centred.
    weight : array
        Weight of each row.
    centers : array
        Changed.
    max_iter : int
        Largest number of steps.
    labels : array of int64
        Nearest center of each row; written.
    """
    n, d = Z.shape
    n_centers = centers.shape[0]
    distances = np.empty(n)
    masses = np.empty(n_centers)
    labels[:] = -1
    for _ in range(max_iter):
        if assign_to_nearest(Z, centers, labels, distances) * 1000 <= n:
            return
        centers[:] = 0.0
        masses[:] = 0.0
        for i in range(n):
            masses[labels[i]] += weight[i]
            for j in range(d):
                centers[labels[i], j] += weight[i] * Z[i, j]
        for k in range(n_centers):
            if masses[k] > 0.0:
                for j in range(d):
                    centers[k, j] /= masses[k]
            else:
                # An empty cluster moves to the row that is farthest from its center.
                farthest = 0
                largest = -np.inf
                for i in range(n):
                    distance = distances[i]
                    for j in range(d):
                        distance += Z[i, j] * Z[i, j]
                    if distance > largest:
                        largest = distance
                        farthest = i
                distances[farthest] = -np.inf
                copy_row(Z[farthest], centers[k])
    assign_to_nearest(Z, centers, labels, distances)
