"""Compiled loops over one tile of kernel values: numbers in, numbers out.

Integer codes choose inside the loops; :mod:`skmmd.kernels._gram` names them.
"""

import numpy as np

from skmmd._jit import exp, loop


@loop
def tile_distances(form, left, right_columns, left_norms, right_norms, tile, tolerance):
    """Turn `tile` into distances, in place.

    form 0: squared Euclidean from the inner products that `tile` holds; 1: squared Euclidean,
    summed directly; 2: city block. A squared distance within rounding of zero is zero.
    """
    n_rows, n_columns = tile.shape
    n_features = right_columns.shape[0]
    for i in range(n_rows):
        if form == 0:
            for j in range(n_columns):
                size = left_norms[i] + right_norms[j]
                value = size - 2.0 * tile[i, j]
                tile[i, j] = 0.0 if value <= tolerance * size else value
        else:
            for j in range(n_columns):
                tile[i, j] = 0.0
            # Four features a sweep: the row of the tile is read and written a quarter as often.
            f = 0
            while f + 4 <= n_features:
                a, b, c, d = left[i, f], left[i, f + 1], left[i, f + 2], left[i, f + 3]
                for j in range(n_columns):
                    p = a - right_columns[f, j]
                    q = b - right_columns[f + 1, j]
                    r = c - right_columns[f + 2, j]
                    s = d - right_columns[f + 3, j]
                    if form == 1:
                        tile[i, j] += (p * p + q * q) + (r * r + s * s)
                    else:
                        tile[i, j] += (abs(p) + abs(q)) + (abs(r) + abs(s))
                f += 4
            for g in range(f, n_features):
                x = left[i, g]
                for j in range(n_columns):
                    p = x - right_columns[g, j]
                    tile[i, j] += p * p if form == 1 else abs(p)


@loop
def tile_values(code, gamma, distances, tile):
    """Write the kernel values of `distances` into `tile`.

    It may be the same array, at a quarter of the speed.

    code 0: exp(-gamma t); 1: (1 + 2 gamma t)**-1/2; 2: (1 + 2 gamma t)**-1; 3: -sqrt(t);
    4: (gamma t + 1)**3.
    """
    n_rows, n_columns = tile.shape
    for i in range(n_rows):
        if code == 0:
            for j in range(n_columns):
                tile[i, j] = exp(-gamma * distances[i, j])
        elif code == 1:
            for j in range(n_columns):
                tile[i, j] = 1.0 / np.sqrt(1.0 + 2.0 * gamma * distances[i, j])
        elif code == 2:
            for j in range(n_columns):
                tile[i, j] = 1.0 / (1.0 + 2.0 * gamma * distances[i, j])
        elif code == 3:
            for j in range(n_columns):
                tile[i, j] = -np.sqrt(distances[i, j])
        else:
            for j in range(n_columns):
                base = gamma * distances[i, j] + 1.0
                tile[i, j] = base * base * base


@loop
def subset_sums(form, code, gammas, squares, rows, weight, members, out):
    """Sum kernel values over the ordered pairs i != j of each subset of rows.

    ``members[b]`` lists the rows of subset b, ``out[k, b]`` receives the sum under the k-th gamma,
    each pair weighted. `squares`: each gamma is twice the one before, and code is 0.
    """
    n_subsets, n_members = members.shape
    n_features = rows.shape[1]
    left = np.empty((n_members, n_features))
    right_columns = np.empty((n_features, n_members))
    w = np.empty(n_members)
    distances = np.empty((n_members, n_members))
    tile = np.empty((n_members, n_members))
    for b in range(n_subsets):
        for i in range(n_members):
            row = members[b, i]
            w[i] = weight[row]
            for f in range(n_features):
                left[i, f] = rows[row, f]
                right_columns[f, i] = rows[row, f]
        tile_distances(form, left, right_columns, w, w, distances, 0.0)
        for k in range(gammas.shape[0]):
            if squares and k > 0:
                for i in range(n_members):
                    for j in range(n_members):
                        tile[i, j] *= tile[i, j]
            else:
                tile_values(code, gammas[k], distances, tile)
            total = 0.0
            for i in range(n_members):
                of_row = 0.0
                for j in range(n_members):
                    of_row += w[j] * tile[i, j]
                total += w[i] * (of_row - w[i] * tile[i, i])
            out[k, b] = total
