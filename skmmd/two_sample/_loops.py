"""Compiled loops of the two-sample test: numbers in, numbers out."""

import numpy as np

from skmmd._jit import exp, loop


@loop
def draw_subsets(uniforms, order, label, labels):
    """Give `label` to a random subset of each row of `labels`, by partial Fisher-Yates shuffles.

    One row of `uniforms` for each row of `labels`, one column for each member of the subset.
    `order` holds the numbers of the columns in any order and is shuffled further.
    """
    n_labelings, n_members = uniforms.shape
    n_units = order.shape[0]
    for b in range(n_labelings):
        for i in range(n_members):
            j = i + int(uniforms[b, i] * (n_units - i))
            chosen = order[j]
            order[j] = order[i]
            order[i] = chosen
            labels[b, chosen] = label


@loop
def add_bin_sums(tile, row_weight, column_weight, row_bins, column_bins, out):
    """Add the weighted sums of `tile` over bins of rows and bins of columns to `out`.

    Rows of one bin stand together.
    """
    n_rows, n_columns = tile.shape
    sums = np.zeros(n_columns)
    for i in range(n_rows):
        weight = row_weight[i]
        for j in range(n_columns):
            sums[j] += weight * tile[i, j]
        if i + 1 == n_rows or row_bins[i + 1] != row_bins[i]:
            row_bin = row_bins[i]
            for j in range(n_columns):
                out[row_bin, column_bins[j]] += sums[j] * column_weight[j]
                sums[j] = 0.0


@loop
def laplace_sums(x, weight, units, gamma, labels, within):
    """Sum exp(-gamma |x_i - x_j|) w_i w_j over the ordered pairs i != j of each labelled group.

    `x` ascends. ``labels[u, b]`` is the group of unit `u` under labeling `b`, ``units[i]`` the unit
    of row `i`. The sums are added to ``within[group, b]``. One pass: the decayed sum of the group's
    rows before `i` is all that row `i` needs.
    """
    n_rows = x.shape[0]
    n_groups, n_labelings = within.shape
    before = np.zeros((n_groups, n_labelings))
    for i in range(n_rows):
        decay = exp(-gamma * (x[i] - x[i - 1])) if i > 0 else 0.0
        w = weight[i]
        unit = units[i]
        for g in range(n_groups):
            for b in range(n_labelings):
                decayed = before[g, b] * decay
                member = w if labels[unit, b] == g else 0.0
                within[g, b] += 2.0 * member * decayed
                before[g, b] = decayed + member
