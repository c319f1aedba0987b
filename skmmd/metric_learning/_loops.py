"""Compiled loops of the pair losses: one tile of distances at a time.

A tile holds squared distances from some rows (anchors) to some columns (other rows). Rows are
sorted by class: ``codes`` names the class of each, ``bounds`` where a class begins. Loops over
negatives write the derivative of the loss with respect to each squared distance into
``derivatives``, and return the value of the loss and the weight of the terms that are not zero.
"""

import numpy as np

from skmmd._jit import exp, log, loop

# Below this fraction of the squared norms, a squared distance from products has lost digits.
_CLOSE = 1e-3
_STRIP = 16  # columns, in most of which no hinge is active after a while


@loop
def _margin(margin, anchor, negative):
    """Return the margin of two classes: the only entry, or that of the pair."""
    return margin[0, 0] if margin.shape[0] == 1 else margin[anchor, negative]


@loop
def squared_distances(products, Z, norms, first_row, first_column):
    """Turn inner products into squared distances, in place.

    Those of close rows are summed up again from differences: rounding would swamp them.

    Parameters
    ----------
    products : ndarray of shape (n_rows, n_columns)
        Inner products of rows of `Z`; becomes the squared distances.
    Z : ndarray of shape (n_samples, n_components)
        All rows.
    norms : ndarray of shape (n_samples,)
        Their squared lengths.
    first_row, first_column : int
        The first rows of `Z` that the tile's rows and columns stand for.
    """
    n_rows, n_columns = products.shape
    for r in range(n_rows):
        i = first_row + r
        norm = norms[i]
        n_close = 0
        for c in range(n_columns):
            total = norm + norms[first_column + c]
            distance = total - 2.0 * products[r, c]
            products[r, c] = distance
            n_close += distance < _CLOSE * total
        if n_close == 0:
            continue
        for c in range(n_columns):
            j = first_column + c
            if products[r, c] < _CLOSE * (norm + norms[j]):
                total = 0.0
                for k in range(Z.shape[1]):
                    difference = Z[i, k] - Z[j, k]
                    total += difference * difference
                products[r, c] = total


@loop
def push_close(distances, derivatives, Z, norms, first_row, first_column, moved):
    """Move the derivatives of close pairs into the gradient by differences, and count the others.

    Parameters
    ----------
    distances, derivatives : ndarray of shape (n_rows, n_columns)
        A tile. Derivatives of close pairs become 0.
    Z : ndarray of shape (n_samples, n_components)
        All rows.
    norms : ndarray of shape (n_samples,)
        Their squared lengths.
    first_row, first_column : int
        The first rows of `Z` that the tile's rows and columns stand for.
    moved : ndarray of shape (n_samples, n_components)
        Half of the gradient; is added to.

    Returns
    -------
    int
        The number of derivatives left that are not 0.
    """
    n_rows, n_columns = distances.shape
    n_left = 0
    for r in range(n_rows):
        i = first_row + r
        norm = norms[i]
        n_close = 0
        for c in range(n_columns):
            n_left += derivatives[r, c] != 0.0
            n_close += distances[r, c] < _CLOSE * (norm + norms[first_column + c])
        if n_close == 0:
            continue
        for c in range(n_columns):
            j = first_column + c
            derivative = derivatives[r, c]
            if derivative != 0.0 and distances[r, c] < _CLOSE * (norm + norms[j]):
                derivatives[r, c] = 0.0
                n_left -= 1
                for k in range(Z.shape[1]):
                    move = derivative * (Z[i, k] - Z[j, k])
                    moved[i, k] += move
                    moved[j, k] -= move
    return n_left


@loop
def push_sparse(derivatives, Z, first_row, first_column, moved):
    """Add the gradient of a tile with few derivatives that are not 0.

    Parameters
    ----------
    derivatives : ndarray of shape (n_rows, n_columns)
        A tile.
    Z : ndarray of shape (n_samples, n_components)
        All rows.
    first_row, first_column : int
        The first rows of `Z` that the tile's rows and columns stand for.
    moved : ndarray of shape (n_samples, n_components)
        Half of the gradient; is added to.
    """
    n_rows, n_columns = derivatives.shape
    for r in range(n_rows):
        i = first_row + r
        for c in range(n_columns):
            derivative = derivatives[r, c]
            if derivative != 0.0:
                j = first_column + c
                for k in range(Z.shape[1]):
                    move = derivative * (Z[i, k] - Z[j, k])
                    moved[i, k] += move
                    moved[j, k] -= move


@loop
def pair_distances(index, Z, distances):
    """Sum up the squared distances of listed pairs.

    Parameters
    ----------
    index : ndarray of shape (n_pairs, 2), dtype int64
        The pairs.
    Z : ndarray of shape (n_samples, n_components)
        All rows.
    distances : ndarray of shape (n_pairs,)
        Is filled.
    """
    for p in range(index.shape[0]):
        i = index[p, 0]
        j = index[p, 1]
        total = 0.0
        for k in range(Z.shape[1]):
            difference = Z[i, k] - Z[j, k]
            total += difference * difference
        distances[p] = total


@loop
def push_pairs(index, derivatives, Z, moved):
    """Add the gradient of listed pairs.

    Parameters
    ----------
    index : ndarray of shape (n_pairs, 2), dtype int64
        The pairs.
    derivatives : ndarray of shape (n_pairs,)
        Derivatives with respect to their squared distances.
    Z : ndarray of shape (n_samples, n_components)
        All rows.
    moved : ndarray of shape (n_samples, n_components)
        Half of the gradient; is added to.
    """
    for p in range(index.shape[0]):
        derivative = derivatives[p]
        if derivative != 0.0:
            i = index[p, 0]
            j = index[p, 1]
            for k in range(Z.shape[1]):
                move = derivative * (Z[i, k] - Z[j, k])
                moved[i, k] += move
                moved[j, k] -= move


@loop
def nearest(distances, first_row, first, weight, n_neighbors, copies, index, taken):
    """Choose the nearest rows of the own class, the first of equally near ones.

    Parameters
    ----------
    distances : ndarray of shape (n_rows, n_class)
        Squared distances to all rows of the class.
    first_row, first : int
        The rows that the first row and the first column stand for.
    weight : ndarray of shape (n_samples,)
        Weights of all rows.
    n_neighbors : int
        The weight to choose for each row, or the number of rows.
    copies : bool
        Whether a row of weight w > 1 is w neighbours, and w - 1 of itself; else each row is one.
    index : ndarray of shape (n_rows, n_targets), dtype int64
        Is filled with the chosen rows.
    taken : ndarray of shape (n_rows, n_targets)
        Is filled with how much of each is taken.
    """
    n_rows, n_class = distances.shape
    n_targets = index.shape[1]
    best = np.empty(n_targets)
    place = np.empty(n_targets, np.int64)
    for r in range(n_rows):
        i = first_row + r
        n_found = 0
        for c in range(n_class):
            j = first + c
            distance = distances[r, c]
            if j == i or (n_found == n_targets and not distance < best[n_found - 1]):
                continue
            t = n_found if n_found < n_targets else n_targets - 1
            while t > 0 and distance < best[t - 1]:
                best[t] = best[t - 1]
                place[t] = place[t - 1]
                t -= 1
            best[t] = distance
            place[t] = j
            n_found = min(n_found + 1, n_targets)
        left = float(n_neighbors)
        filled = 0
        if copies and weight[i] > 1.0:  # its own copies are nearest
            index[r, 0] = i
            taken[r, 0] = min(weight[i] - 1.0, left)
            left -= taken[r, 0]
            filled = 1
        for t in range(n_found):
            if left <= 0.0 or filled == n_targets:
                break
            w = weight[place[t]]
            slots = max(w, 1.0) if copies else 1.0
            index[r, filled] = place[t]
            taken[r, filled] = w * min(1.0, left / slots)
            left -= slots
            filled += 1


@loop
def few_hinges(
    distances,
    derivatives,
    first_row,
    first_column,
    codes,
    bounds,
    margin,
    weight,
    thresholds,
    farthest,
    taken,
    n_violators,
):
    """Sum the hinges (threshold + margin - distance)+ over the negatives, for few thresholds a row.

    Each pair of rows of different classes is met once, with either as the anchor.

    Parameters
    ----------
    distances, derivatives : ndarray of shape (n_rows, n_columns)
        A tile; the derivatives are filled.
    first_row, first_column : int
        The rows that the first row and column stand for.
    codes, bounds : ndarray, dtype int64
        The classes.
    margin : ndarray of shape (n_classes, n_classes) or (1, 1)
        Margin of [class of anchor, class of negative].
    weight : ndarray of shape (n_samples,)
        Weights of all rows.
    thresholds : ndarray of shape (n_targets, n_samples)
        Squared distances of the positives of each row.
    farthest : ndarray of shape (n_samples,)
        The largest of them.
    taken : ndarray of shape (n_targets, n_samples)
        Weights of the pairs.
    n_violators : ndarray of shape (n_targets, n_samples)
        The weight of violators of each positive; is added to.

    Returns
    -------
    value, n_active : float
        Sum of the hinges, weight of those that are not 0.
    """
    n_rows, n_columns = distances.shape
    last_column = first_column + n_columns
    value = 0.0
    n_active = 0.0
    for r in range(n_rows):
        i = first_row + r
        own = codes[i]
        for c in range(n_columns):
            derivatives[r, c] = 0.0
        begin = first_column
        while begin < last_column:
            other = codes[begin]
            end = min(bounds[other + 1], last_column)
            if other <= own:
                begin = end
                continue
            end = min(begin + _STRIP, end)
            m = _margin(margin, other, own)
            limit = farthest[i] + _margin(margin, own, other)
            n_near = 0
            for j in range(begin, end):
                n_near += distances[r, j - first_column] < max(limit, farthest[j] + m)
            for t in range(thresholds.shape[0] if n_near > 0 else 0):
                w = taken[t, i]
                threshold = thresholds[t, i] + _margin(margin, own, other) if w > 0.0 else -np.inf
                total = 0.0
                count = 0.0
                reverse_total = 0.0
                reverse_count = 0.0
                for j in range(begin, end):
                    distance = distances[r, j - first_column]
                    gap = threshold - distance
                    active = weight[j] if gap > 0.0 else 0.0
                    total += active * max(gap, 0.0)
                    count += active
                    reverse = thresholds[t, j] + m - distance
                    reverse_active = taken[t, j] if reverse > 0.0 else 0.0
                    reverse_total += reverse_active * reverse
                    reverse_count += reverse_active
                    n_violators[t, j] += weight[i] if reverse > 0.0 else 0.0
                    derivatives[r, j - first_column] -= w * active + weight[i] * reverse_active
                value += w * total + weight[i] * reverse_total
                n_active += w * count + weight[i] * reverse_count
                n_violators[t, i] += count
            begin = end
    return value, n_active


@loop
def _rank(values, size, key):
    """Return the number of the first `size` ascending values that are not greater than key."""
    step = 1
    while 2 * step <= size:
        step *= 2
    rank = 0
    while step > 0:
        if rank + step <= size and values[rank + step - 1] <= key:
            rank += step
        step //= 2
    return rank


@loop
def many_hinges(
    distances,
    derivatives,
    first_row,
    first_column,
    codes,
    bounds,
    margin,
    weight,
    thresholds,
    weight_above,
    sum_above,
    histogram,
):
    """Sum the hinges (threshold + margin - distance)+ over the negatives, thresholds sorted.

    One binary search for each negative counts the positives farther than it.

    Parameters
    ----------
    distances, derivatives : ndarray of shape (n_rows, n_columns)
        A tile; the derivatives are filled.
    first_row, first_column : int
        The rows that the first row and column stand for.
    codes, bounds : ndarray, dtype int64
        The classes.
    margin : ndarray of shape (n_classes, n_classes) or (1, 1)
        Margin of [class of anchor, class of negative].
    weight : ndarray of shape (n_samples,)
        Weights of all rows.
    thresholds : ndarray of shape (n_rows, width)
        Squared distances to the rows of the own class, ascending.
    weight_above, sum_above : ndarray of shape (n_rows, width + 1)
        Sums of the weights, and of weighted squared distances, from each position on.
    histogram : ndarray of shape (n_rows, width + 1)
        Weight of the negatives at each position; is added to.

    Returns
    -------
    value, n_active : float
        Sum of the hinges, weight of those that are not 0.
    """
    n_rows, n_columns = distances.shape
    last_column = first_column + n_columns
    value = 0.0
    n_active = 0.0
    for r in range(n_rows):
        i = first_row + r
        own = codes[i]
        size = bounds[own + 1] - bounds[own]
        for c in range(n_columns):
            derivatives[r, c] = 0.0
        begin = first_column
        while begin < last_column:
            other = codes[begin]
            end = min(bounds[other + 1], last_column)
            if other != own:
                m = _margin(margin, own, other)
                for j in range(begin, end):
                    key = distances[r, j - first_column] - m
                    if key >= thresholds[r, size - 1]:
                        continue
                    rank = _rank(thresholds[r], size, key)
                    above = weight_above[r, rank]
                    w = weight[i] * weight[j]
                    value += w * (sum_above[r, rank] - key * above)
                    n_active += w * above
                    derivatives[r, j - first_column] = -w * above
                    histogram[r, rank] += weight[j]
            begin = end
    return value, n_active


@loop
def negative_hinges(distances, derivatives, first_row, first_column, codes, bounds, margin, weight):
    """Sum 1/2 (margin - distance)+^2 over pairs of different classes, each pair once.

    Parameters
    ----------
    distances, derivatives : ndarray of shape (n_rows, n_columns)
        A tile; the derivatives are filled.
    first_row, first_column : int
        The rows that the first row and column stand for.
    codes, bounds : ndarray, dtype int64
        The classes.
    margin : ndarray of shape (n_classes, n_classes) or (1, 1)
        Margin of each pair of classes.
    weight : ndarray of shape (n_samples,)
        Weights of all rows.

    Returns
    -------
    value, n_active : float
        Sum of the terms, weight of those that are not 0.
    """
    n_rows, n_columns = distances.shape
    last_column = first_column + n_columns
    value = 0.0
    n_active = 0.0
    for r in range(n_rows):
        i = first_row + r
        own = codes[i]
        for c in range(n_columns):
            derivatives[r, c] = 0.0
        begin = first_column
        while begin < last_column:
            other = codes[begin]
            end = min(bounds[other + 1], last_column)
            m = _margin(margin, own, other)
            if other > own and m > 0.0:
                total = 0.0
                count = 0.0
                for j in range(begin, end):
                    c = j - first_column
                    square = distances[r, c]
                    if square < m * m:
                        distance = np.sqrt(square)
                        gap = m - distance
                        total += weight[j] * gap * gap
                        count += weight[j]
                        if square > 0.0:
                            derivatives[r, c] = -0.5 * weight[i] * weight[j] * gap / distance
                value += 0.5 * weight[i] * total
                n_active += weight[i] * count
            begin = end
    return value, n_active


@loop
def distance_keys(distances, keys, first_row, first_column, codes, bounds, margin):
    """Fill in margin - distance for the negatives.

    Parameters
    ----------
    distances, keys : ndarray of shape (n_rows, n_columns)
        A tile; the keys are filled.
    first_row, first_column : int
        The rows that the first row and column stand for.
    codes, bounds : ndarray, dtype int64
        The classes.
    margin : ndarray of shape (n_classes, n_classes) or (1, 1)
        Margin of each pair of classes.
    """
    n_rows, n_columns = distances.shape
    last_column = first_column + n_columns
    for r in range(n_rows):
        own = codes[first_row + r]
        begin = first_column
        while begin < last_column:
            other = codes[begin]
            end = min(bounds[other + 1], last_column)
            m = _margin(margin, own, other)
            for c in range(begin - first_column, end - first_column):
                keys[r, c] = m - np.sqrt(distances[r, c])
            begin = end


@loop
def sum_exponentials(keys, first_row, first_column, codes, bounds, weight, highest, sums):
    """Add a tile to the logarithms of weighted sums of exponentials over the negatives.

    Parameters
    ----------
    keys : ndarray of shape (n_rows, n_columns)
        A tile of exponents.
    first_row, first_column : int
        The rows that the first row and column stand for.
    codes, bounds : ndarray, dtype int64
        The classes.
    weight : ndarray of shape (n_samples,)
        Weights of all rows.
    highest, sums : ndarray of shape (n_samples,)
        The highest exponent of each row so far, and the sum relative to it; are brought up to date.
    """
    n_rows, n_columns = keys.shape
    for r in range(n_rows):
        i = first_row + r
        before = min(max(bounds[codes[i]] - first_column, 0), n_columns)
        after = min(max(bounds[codes[i] + 1] - first_column, 0), n_columns)
        top = highest[i]
        for c in range(before):
            top = max(top, keys[r, c])
        for c in range(after, n_columns):
            top = max(top, keys[r, c])
        if top == -np.inf:
            continue
        total = 0.0
        for c in range(before):
            total += weight[first_column + c] * exp(keys[r, c] - top)
        for c in range(after, n_columns):
            total += weight[first_column + c] * exp(keys[r, c] - top)
        sums[i] = sums[i] * exp(highest[i] - top) + total
        highest[i] = top


@loop
def lifted_positives(distances, derivatives, first_row, index, taken, level, share):
    """Sum 1/2 max(J, 0)^2 over positive pairs, J = distance + log(exp(level) + exp(level)).

    Parameters
    ----------
    distances, derivatives : ndarray of shape (n_rows, n_columns)
        Squared distances to the positives; the derivatives are filled.
    first_row : int
        The row that the first row stands for.
    index : ndarray of shape (n_rows, n_columns), dtype int64
        The positives.
    taken : ndarray of shape (n_rows, n_columns)
        Weights of the pairs.
    level : ndarray of shape (n_samples,)
        Logarithm of the sum of exponentials over the negatives of each row.
    share : ndarray of shape (n_samples,)
        Derivatives with respect to the levels; is added to.

    Returns
    -------
    value, n_active : float
        Sum of the terms, weight of those that are not 0.
    """
    value = 0.0
    n_active = 0.0
    for r in range(distances.shape[0]):
        i = first_row + r
        for c in range(distances.shape[1]):
            derivatives[r, c] = 0.0
            w = taken[r, c]
            j = index[r, c]
            high = max(level[i], level[j])
            if w == 0.0 or high == -np.inf:
                continue
            low = min(level[i], level[j])
            distance = np.sqrt(distances[r, c])
            ratio = exp(low - high)
            term = distance + high + log(1.0 + ratio)
            if term > 0.0:
                value += 0.5 * w * term * term
                n_active += w
                of_high = w * term / (1.0 + ratio)
                of_low = w * term - of_high
                share[i] += of_high if level[i] == high else of_low
                share[j] += of_low if level[i] == high else of_high
                if distance > 0.0:
                    derivatives[r, c] = 0.5 * w * term / distance
    return value, n_active


@loop
def lifted_negatives(
    distances, derivatives, first_row, first_column, codes, bounds, margin, weight, level, share
):
    """Fill in the derivatives of the levels with respect to the negatives, each pair once.

    Parameters
    ----------
    distances, derivatives : ndarray of shape (n_rows, n_columns)
        A tile; the derivatives are filled.
    first_row, first_column : int
        The rows that the first row and column stand for.
    codes, bounds : ndarray, dtype int64
        The classes.
    margin : ndarray of shape (n_classes, n_classes) or (1, 1)
        Margin of each pair of classes.
    weight : ndarray of shape (n_samples,)
        Weights of all rows.
    level, share : ndarray of shape (n_samples,)
        See :func:`lifted_positives`.
    """
    n_rows, n_columns = distances.shape
    last_column = first_column + n_columns
    for r in range(n_rows):
        i = first_row + r
        own = codes[i]
        for c in range(n_columns):
            derivatives[r, c] = 0.0
        begin = first_column
        while begin < last_column:
            other = codes[begin]
            end = min(bounds[other + 1], last_column)
            if other > own:
                m = _margin(margin, own, other)
                for j in range(begin, end):
                    square = distances[r, j - first_column]
                    distance = np.sqrt(square)
                    key = m - distance
                    left = share[i] * weight[j] * exp(key - level[i])
                    right = share[j] * weight[i] * exp(key - level[j])
                    inverse = -0.5 / distance if square > 0.0 else 0.0
                    derivatives[r, j - first_column] = inverse * (left + right)
            begin = end


@loop
def n_pair_positives(products, derivatives, first_row, taken, level, share):
    """Sum log(1 + exp(level - product)) over positive pairs.

    Parameters
    ----------
    products, derivatives : ndarray of shape (n_rows, n_columns)
        Inner products with the positives; the derivatives with respect to them are filled.
    first_row : int
        The row that the first row stands for.
    taken : ndarray of shape (n_rows, n_columns)
        Weights of the pairs.
    level : ndarray of shape (n_samples,)
        Logarithm of the sum of exponentials over the negatives of each row.
    share : ndarray of shape (n_samples,)
        Derivatives with respect to the levels; is added to.

    Returns
    -------
    value, n_active : float
        Sum of the terms, weight of those that are not 0.
    """
    value = 0.0
    n_active = 0.0
    for r in range(products.shape[0]):
        i = first_row + r
        total = 0.0
        for c in range(products.shape[1]):
            w = taken[r, c]
            x = level[i] - products[r, c]
            small = exp(-abs(x))
            # 1 + small loses the last digits of a small value.
            series = small * (1.0 - small * (0.5 - small * (1.0 / 3.0 - small * 0.25)))
            logarithm = log(1.0 + small) if small > 1e-3 else series
            term = max(x, 0.0) + logarithm if w > 0.0 else 0.0
            value += w * term
            n_active += w if term > 0.0 else 0.0
            probability = (1.0 if x > 0.0 else small) / (1.0 + small)
            derivatives[r, c] = -w * probability
            total += w * probability
        share[i] += total
    return value, n_active


@loop
def n_pair_negatives(
    products, derivatives, first_row, first_column, codes, bounds, weight, level, share
):
    """Fill in the derivatives of the levels with respect to inner products with the negatives.

    Parameters
    ----------
    products, derivatives : ndarray of shape (n_rows, n_columns)
        A tile; the derivatives are filled.
    first_row, first_column : int
        The rows that the first row and column stand for.
    codes, bounds : ndarray, dtype int64
        The classes.
    weight : ndarray of shape (n_samples,)
        Weights of all rows.
    level, share : ndarray of shape (n_samples,)
        See :func:`n_pair_positives`.
    """
    n_rows, n_columns = products.shape
    for r in range(n_rows):
        i = first_row + r
        before = min(max(bounds[codes[i]] - first_column, 0), n_columns)
        after = min(max(bounds[codes[i] + 1] - first_column, 0), n_columns)
        for c in range(before):
            derivatives[r, c] = share[i] * weight[first_column + c] * exp(products[r, c] - level[i])
        for c in range(before, after):
            derivatives[r, c] = 0.0
        for c in range(after, n_columns):
            derivatives[r, c] = share[i] * weight[first_column + c] * exp(products[r, c] - level[i])


@loop
def quadruplet_hinges(
    distances,
    derivatives,
    first_row,
    first_column,
    codes,
    bounds,
    weight,
    thresholds,
    starts,
    weight_above,
    sum_above,
    histogram,
):
    """Sum the hinges (threshold - distance)+ over all positives and negatives of four rows.

    The thresholds of all classes are sorted in one list, and those of each class in one more; what
    a pair of rows of two classes has to be compared with is the first less two of the others.

    Parameters
    ----------
    distances, derivatives : ndarray of shape (n_rows, n_columns)
        A tile; the derivatives are filled for pairs of different classes, each pair once.
    first_row, first_column : int
        The rows that the first row and column stand for.
    codes, bounds : ndarray, dtype int64
        The classes.
    weight : ndarray of shape (n_samples,)
        Weights of all rows.
    thresholds : ndarray of shape (n_lists,)
        The lists, one behind the other, each ascending: that of all classes first.
    starts : ndarray of shape (n_classes + 2,), dtype int64
        Where each list begins.
    weight_above, sum_above : ndarray of shape (n_lists + n_classes + 1,)
        For each list sums of the weights, and of weighted thresholds, from each position on; list l
        begins at ``starts[l] + l``.
    histogram : ndarray of shape (n_lists + n_classes + 1,)
        Weight of the negatives at each position; is added to.

    Returns
    -------
    value, n_active : float
        Sum of the hinges, weight of those that are not 0.
    """
    n_rows, n_columns = distances.shape
    last_column = first_column + n_columns
    value = 0.0
    n_active = 0.0
    n_all = starts[1]
    for r in range(n_rows):
        i = first_row + r
        own = codes[i]
        for c in range(n_columns):
            derivatives[r, c] = 0.0
        begin = first_column
        while begin < last_column:
            other = codes[begin]
            end = min(bounds[other + 1], last_column)
            if other > own and n_all > 0:
                one, two = starts[own + 1], starts[other + 1]
                n_one, n_two = starts[own + 2] - one, starts[other + 2] - two
                for j in range(begin, end):
                    key = distances[r, j - first_column]
                    if key >= thresholds[n_all - 1]:
                        continue
                    w = 2.0 * weight[i] * weight[j]
                    first, second, third = 0, one + own + 1, two + other + 1
                    if key >= thresholds[0]:  # else it is below all, at the start of each list
                        first += _rank(thresholds, n_all, key)
                        second += _rank(thresholds[one:], n_one, key)
                        third += _rank(thresholds[two:], n_two, key)
                    above = weight_above[first] - weight_above[second] - weight_above[third]
                    total = sum_above[first] - sum_above[second] - sum_above[third]
                    histogram[first] += w
                    histogram[second] += w
                    histogram[third] += w
                    value += w * (total - key * above)
                    n_active += w * above
                    derivatives[r, j - first_column] = -w * above
            begin = end
    return value, n_active


@loop
def listed_hinges(triples, taken, Z, codes, margin, moved):
    """Sum the hinges (D_ap - D_an + margin)+ over listed triples of anchor, positive, negative.

    Parameters
    ----------
    triples : ndarray of shape (n_triples, 3), dtype int64
        The triples.
    taken : ndarray of shape (n_triples,)
        Their weights.
    Z : ndarray of shape (n_samples, n_components)
        All rows.
    codes : ndarray of shape (n_samples,), dtype int64
        The classes.
    margin : ndarray of shape (n_classes, n_classes) or (1, 1)
        Margin of [class of anchor, class of negative].
    moved : ndarray of shape (n_samples, n_components)
        Half of the gradient; is added to.

    Returns
    -------
    value, n_active : float
        Sum of the hinges, weight of those that are not 0.
    """
    value = 0.0
    n_active = 0.0
    for t in range(triples.shape[0]):
        a, p, n = triples[t, 0], triples[t, 1], triples[t, 2]
        gap = _margin(margin, codes[a], codes[n])
        for k in range(Z.shape[1]):
            near = Z[a, k] - Z[p, k]
            far = Z[a, k] - Z[n, k]
            gap += near * near - far * far
        if gap > 0.0:
            w = taken[t]
            value += w * gap
            n_active += w
            for k in range(Z.shape[1]):
                moved[a, k] += w * (Z[n, k] - Z[p, k])
                moved[p, k] -= w * (Z[a, k] - Z[p, k])
                moved[n, k] += w * (Z[a, k] - Z[n, k])
    return value, n_active
