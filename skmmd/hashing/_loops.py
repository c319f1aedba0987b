"""Compiled loops: the picture of an input, counts of its bytes, and distances of digests."""

import numpy as np

from skmmd._jit import loop

# Rows of a picture that are resampled together, one to a lane; a constant, so that the compiler
# unrolls loops over them.
TILE = 64
# Rows whose column passes are done before they are summed into pixels.
GROUP = 256
# So many taps are multiplied in one statement; tables of taps are padded to a multiple.
UNROLL = 8
N_PLACES = 1024  # of hashed pairs of bytes; the shift below says the same
PAD = 16  # weights are computed in multiples of so many
_SHIFT = 22  # binary places of the coefficients
_ONE = float(1 << _SHIFT)
_HALF = 1 << (_SHIFT - 1)
_SUPPORT = 3.0  # lobes of the Lanczos window


# --------------------------------------------------------------------------------------
# Lanczos-3, quantised


@loop
def _lanczos(t):
    # sinc(t) sinc(t / 3) as a polynomial in t^2 that interpolates it at 18 Chebyshev points of
    # [0, 9]: within 1.1e-15 everywhere. No branch, so that loops around it are vectorised.
    u = t * t / 4.5 - 1.0
    p = -4.641561255470811e-10
    p = p * u + 7.006585804975854e-09
    p = p * u - 9.15151202020498e-08
    p = p * u + 1.0661923943226135e-06
    p = p * u - 1.0779356335984328e-05
    p = p * u + 9.340770635258636e-05
    p = p * u - 0.0006840753880742557
    p = p * u + 0.004160513190724469
    p = p * u - 0.020552217619187657
    p = p * u + 0.08006741399043414
    p = p * u - 0.2359681295239285
    p = p * u + 0.4925932463883715
    p = p * u - 0.640438227494888
    p = p * u + 0.33365603576582514
    p = p * u + 0.26830782787550844
    p = p * u - 0.43056441468943674
    p = p * u + 0.12934569348618227
    p = p * u + 0.019992724448748615
    return p if -_SUPPORT <= t < _SUPPORT else 0.0


@loop
def _window(i, size, n_pixels):
    # First and last source of a pixel, its centre, and the factor from sources to lobes.
    scale = size / n_pixels
    stretch = max(scale, 1.0)
    centre = (i + 0.5) * scale
    reach = _SUPPORT * stretch
    low = max(int(centre - reach + 0.5), 0)
    high = min(int(centre + reach + 0.5), size)
    return low, high, centre, 1.0 / stretch


@loop
def weight_sums(size, n_pixels, sums):
    """Sum the weights of each pixel over its sources, for a pass from `size` to `n_pixels`."""
    for i in range(n_pixels):
        low, high, centre, squeeze = _window(i, size, n_pixels)
        total = 0.0
        for j in range(low, high):
            total += _lanczos((j - centre + 0.5) * squeeze)
        sums[i] = total


@loop
def _quantise(first, low, high, centre, squeeze, weight_sum, n_weights, weights):
    # Fixed-point weights of the sources first, first + 1, ...; 0 outside of [low, high).
    unit = _ONE / weight_sum if weight_sum != 0.0 else _ONE
    start = first - centre + 0.5
    # Rounded up, since what is left over would not be vectorised: `weights` has room for it.
    for k in range(-(-n_weights // PAD) * PAD):
        value = _lanczos((start + k) * squeeze) * unit
        value = value + 0.5 if value >= 0.0 else value - 0.5
        weights[k] = np.int32(value) if low <= first + k < high else np.int32(0)


@loop
def column_taps(size, n_pixels, sums, starts, taps):
    """Fill the table of the column pass: per pixel its first source and its weights.

    A row of `taps` may hold more than the window; zeros stand for the rest, and a window at the
    edge begins further left than it needs to, so that no source lies outside.
    """
    n_taps = taps.shape[1]
    weights = np.empty(n_taps + PAD, np.int32)
    for i in range(n_pixels):
        low, high, centre, squeeze = _window(i, size, n_pixels)
        starts[i] = min(low, size - n_taps)
        _quantise(starts[i], low, high, centre, squeeze, sums[i], n_taps, weights)
        taps[i] = weights[:n_taps]


# --------------------------------------------------------------------------------------
# pictures


@loop
def _resample_columns(tile, count, starts, taps, resampled):
    # All lanes at once: one output column is a sum of source columns.
    lanes = np.empty(TILE, np.int32)
    for i in range(len(starts)):
        for lane in range(TILE):
            lanes[lane] = _HALF
        n_taps = taps.shape[1]
        symmetric = True
        for k in range(n_taps // 2):
            symmetric &= taps[i, k] == taps[i, n_taps - 1 - k]
        # Away from the edges weights are symmetric: one product serves two sources.
        n_paired = n_taps // 2 if symmetric else 0
        for k in range(0, n_paired, UNROLL // 2):
            c0, c1, c2, c3 = taps[i, k], taps[i, k + 1], taps[i, k + 2], taps[i, k + 3]
            j = starts[i] + k
            m = starts[i] + n_taps - 1 - k
            for lane in range(TILE):
                lanes[lane] = np.int32(
                    lanes[lane]
                    + np.int32(c0 * np.int32(tile[j, lane] + tile[m, lane]))
                    + np.int32(c1 * np.int32(tile[j + 1, lane] + tile[m - 1, lane]))
                    + np.int32(c2 * np.int32(tile[j + 2, lane] + tile[m - 2, lane]))
                    + np.int32(c3 * np.int32(tile[j + 3, lane] + tile[m - 3, lane]))
                )
        for k in range(2 * n_paired, n_taps, UNROLL):
            c0, c1, c2, c3 = taps[i, k], taps[i, k + 1], taps[i, k + 2], taps[i, k + 3]
            c4, c5, c6, c7 = taps[i, k + 4], taps[i, k + 5], taps[i, k + 6], taps[i, k + 7]
            j = starts[i] + k
            for lane in range(TILE):
                # Numba multiplies int32 as int64: narrowed at once, it stays in the lanes.
                lanes[lane] = np.int32(
                    lanes[lane]
                    + np.int32(c0 * tile[j, lane])
                    + np.int32(c1 * tile[j + 1, lane])
                    + np.int32(c2 * tile[j + 2, lane])
                    + np.int32(c3 * tile[j + 3, lane])
                    + np.int32(c4 * tile[j + 4, lane])
                    + np.int32(c5 * tile[j + 5, lane])
                    + np.int32(c6 * tile[j + 6, lane])
                    + np.int32(c7 * tile[j + 7, lane])
                )
        for lane in range(count):
            pixel = lanes[lane] >> np.int32(_SHIFT)
            resampled[lane, i] = min(max(pixel, np.int32(0)), np.int32(255))


@loop
def _resample_rows(n_pixels, across, first, count, height, sums, weights, picture):
    # Each row is added to the pixels in whose window it lies, eight rows in one statement; the
    # last of them may have no weight. `n_pixels` comes as a literal, which the compiler unrolls.
    scale = height / n_pixels
    reach = _SUPPORT * max(scale, 1.0) + 1.0
    begin = max(int((first - reach) / scale - 0.5), 0)
    end = min(int((first + count + reach) / scale + 0.5) + 1, n_pixels)
    for i in range(begin, end):
        low, high, centre, squeeze = _window(i, height, n_pixels)
        lane = max(low - first, 0)
        high = min(high, first + count)
        n_lanes = high - first - lane
        if n_lanes <= 0:
            continue
        _quantise(first + lane, low, high, centre, squeeze, sums[i], n_lanes, weights)
        out = picture[i]
        for k in range(0, n_lanes, UNROLL):
            w0, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
            w4, w5, w6, w7 = weights[k + 4], weights[k + 5], weights[k + 6], weights[k + 7]
            j = lane + k
            for column in range(n_pixels):
                out[column] = np.int32(
                    out[column]
                    + np.int32(w0 * np.int32(across[j, column]))
                    + np.int32(w1 * np.int32(across[j + 1, column]))
                    + np.int32(w2 * np.int32(across[j + 2, column]))
                    + np.int32(w3 * np.int32(across[j + 3, column]))
                    + np.int32(w4 * np.int32(across[j + 4, column]))
                    + np.int32(w5 * np.int32(across[j + 5, column]))
                    + np.int32(w6 * np.int32(across[j + 6, column]))
                    + np.int32(w7 * np.int32(across[j + 7, column]))
                )


@loop
def _scratch():
    # A tile of the widest picture, the rows of a group after the column passes, and weights. The
    # rows are more than a group has, since those without weight are read, too.
    return (
        np.empty((256, TILE), np.int32),
        np.zeros((GROUP + UNROLL, 16), np.uint8),
        np.zeros((GROUP + UNROLL, 64), np.uint8),
        np.empty(GROUP + PAD, np.int32),
    )


@loop
def _add_rows(rows, first, height, table16, table64, sums16, sums64, acc16, acc64, scratch):
    tile, across16, across64, weights = scratch
    n_rows, width = rows.shape
    for group in range(0, n_rows, GROUP):
        n_grouped = min(GROUP, n_rows - group)
        for top in range(0, n_grouped, TILE):
            count = min(TILE, n_grouped - top)
            for j in range(width):
                for lane in range(count):
                    tile[j, lane] = rows[group + top + lane, j]
            _resample_columns(tile, count, table16[0], table16[1], across16[top:])
            if width == 64:
                source = rows.reshape(-1)[(group + top) * 64 : (group + top + count) * 64]
                target = across64.reshape(-1)[top * 64 : (top + count) * 64]
                for j in range(len(source)):
                    target[j] = source[j]
            else:
                _resample_columns(tile, count, table64[0], table64[1], across64[top:])
        start = first + group
        _resample_rows(16, across16, start, n_grouped, height, sums16, weights, acc16)
        _resample_rows(64, across64, start, n_grouped, height, sums64, weights, acc64)


@loop
def add_rows(rows, first, height, table16, table64, sums16, sums64, acc16, acc64):
    """Add rows of the source picture to both accumulators of fixed-point pixels.

    Parameters
    ----------
    rows : uint8 array of shape (n_rows, width)
        Row by row, from the first on.
    first : int
        Which row of the source the first of them is.
    height : int
        Number of rows of the source.
    table16, table64 : tuple of int64 array (n,), int32 array (n, n_taps)
        First sources and weights from `column_taps`; the second is empty where the column pass is
        the identity.
    sums16, sums64 : float64 arrays (16,), (64,)
        From `weight_sums` of the rows.
    acc16, acc64 : int32 arrays (16, 16), (64, 64)
        Begin with 2**21 everywhere.
    """
    scratch = _scratch()
    _add_rows(rows, first, height, table16, table64, sums16, sums64, acc16, acc64, scratch)


@loop
def _block_sums(acc, factors, offsets, sums):
    # Rounded pixels; the sum of abs(factor * pixel + offset) in each block of them.
    flat = acc.reshape(-1)
    size = len(factors)
    for block in range(len(sums)):
        pixels = flat[block * size : (block + 1) * size]
        total = np.int32(0)
        for k in range(size):
            pixel = min(max(pixels[k] >> np.int32(_SHIFT), np.int32(0)), np.int32(255))
            total += np.int32(abs(np.int32(np.int32(factors[k] * pixel) + offsets[k])))
        sums[block] = total


@loop
def block_sums(acc16, acc64, constants16, constants64, sums):
    """Write the 4 block sums of the index hash and the 16 of the sensitive hash.

    Parameters
    ----------
    acc16, acc64 : int32 arrays (16, 16), (64, 64)
        From `add_rows`.
    constants16, constants64 : int32 arrays (2, 64), (2, 256)
        Factors and offsets of the pixels of a block.
    sums : int64 array (20,)
        Output.
    """
    _block_sums(acc16, constants16[0], constants16[1], sums[:4])
    _block_sums(acc64, constants64[0], constants64[1], sums[4:])


@loop
def sum_pictures(
    content, starts, shapes, row_sums, tables16, tables64, constants16, constants64, sums
):
    """Write the block sums of several short inputs that stand in one array of bytes.

    Parameters
    ----------
    content : uint8 array (n_bytes,)
        The inputs, each with zeros up to the size of its picture.
    starts : int64 array (n,)
        Where an input begins.
    shapes : int64 array (n, 2)
        Height and width of its picture.
    row_sums : float64 array (n, 80)
        From `weight_sums` of its rows, for 16 and for 64 pixels.
    tables16, tables64 : tuple of four tuples
        The tables of `add_rows` for the widths 32, 64, 128 and 256.
    constants16, constants64, sums
        As in `block_sums`; `sums` with a row for each input.
    """
    acc16, acc64 = np.empty((16, 16), np.int32), np.empty((64, 64), np.int32)
    scratch = _scratch()
    for k in range(len(starts)):
        height, width = shapes[k]
        end = starts[k] + height * width
        rows = content[starts[k] : end].reshape(height, width)
        acc16[:] = _HALF
        acc64[:] = _HALF
        code = 0 if width == 32 else 1 if width == 64 else 2 if width == 128 else 3
        table16, table64 = tables16[code], tables64[code]
        sums16, sums64 = row_sums[k, :16], row_sums[k, 16:]
        _add_rows(rows, 0, height, table16, table64, sums16, sums64, acc16, acc64, scratch)
        block_sums(acc16, acc64, constants16, constants64, sums[k])


# --------------------------------------------------------------------------------------
# counts of bytes


@loop
def count_bytes(content, counts):
    """Add the number of each byte to `counts`, shape (256,)."""
    # Runs of one byte would wait for their own counter: four of each.
    four = np.zeros((4, 256), np.int64)
    n = len(content)
    whole = n - n % 4
    for k in range(0, whole, 4):
        four[0, content[k]] += 1
        four[1, content[k + 1]] += 1
        four[2, content[k + 2]] += 1
        four[3, content[k + 3]] += 1
    for k in range(whole, n):
        four[0, content[k]] += 1
    for value in range(256):
        counts[value] += four[0, value] + four[1, value] + four[2, value] + four[3, value]


@loop
def count_bigrams(content, previous, counts):
    """Add the number of each hashed pair of neighbouring bytes to `counts`, shape (1024,).

    `previous` is the byte before the first, or -1. Each of the 1024 places stands for 64 pairs:
    the upper ten bits of the pair times an odd number, modulo 2**16.
    """
    two = np.zeros((2, N_PLACES), np.int64)
    before = previous
    for k in range(len(content)):
        byte = np.int64(content[k])
        if before >= 0:
            pair = ((before << 8) | byte) * 40503
            two[k & 1, (pair >> 6) & (N_PLACES - 1)] += 1
        before = byte
    for place in range(N_PLACES):
        counts[place] += two[0, place] + two[1, place]


# --------------------------------------------------------------------------------------
# distances of digests: sums over the 16 sensitive bytes, as integers
#
# metric 0: squares of differences; 1: absolute differences; 2: differences around the circle of
# 256. One row against many columns: the columns are lanes, 16 bits wide where the sum allows.


@loop
def _city_block(row, columns, out):
    for j in range(columns.shape[1]):
        out[j] = 0
    for k in range(0, 16, 4):
        a0, a1 = np.int16(row[k]), np.int16(row[k + 1])
        a2, a3 = np.int16(row[k + 2]), np.int16(row[k + 3])
        c0, c1, c2, c3 = columns[k], columns[k + 1], columns[k + 2], columns[k + 3]
        for j in range(columns.shape[1]):
            out[j] = np.int16(
                out[j]
                + np.int16(abs(np.int16(a0 - np.int16(c0[j]))))
                + np.int16(abs(np.int16(a1 - np.int16(c1[j]))))
                + np.int16(abs(np.int16(a2 - np.int16(c2[j]))))
                + np.int16(abs(np.int16(a3 - np.int16(c3[j]))))
            )


@loop
def _circular(row, columns, out):
    for j in range(columns.shape[1]):
        out[j] = 0
    for k in range(0, 16, 4):
        a0, a1, a2, a3 = row[k], row[k + 1], row[k + 2], row[k + 3]
        c0, c1, c2, c3 = columns[k], columns[k + 1], columns[k + 2], columns[k + 3]
        for j in range(columns.shape[1]):
            # Bytes wrap around: the shorter way is the smaller of a - c and c - a.
            d0 = min(np.uint8(a0 - c0[j]), np.uint8(c0[j] - a0))
            d1 = min(np.uint8(a1 - c1[j]), np.uint8(c1[j] - a1))
            d2 = min(np.uint8(a2 - c2[j]), np.uint8(c2[j] - a2))
            d3 = min(np.uint8(a3 - c3[j]), np.uint8(c3[j] - a3))
            out[j] = np.int16(out[j] + np.int16(d0) + np.int16(d1) + np.int16(d2) + np.int16(d3))


@loop
def _squares(row, columns, out):
    for j in range(columns.shape[1]):
        out[j] = 0
    for k in range(0, 16, 4):
        a0, a1 = np.int32(row[k]), np.int32(row[k + 1])
        a2, a3 = np.int32(row[k + 2]), np.int32(row[k + 3])
        c0, c1, c2, c3 = columns[k], columns[k + 1], columns[k + 2], columns[k + 3]
        for j in range(columns.shape[1]):
            d0, d1 = np.int32(a0 - np.int32(c0[j])), np.int32(a1 - np.int32(c1[j]))
            d2, d3 = np.int32(a2 - np.int32(c2[j])), np.int32(a3 - np.int32(c3[j]))
            out[j] = np.int32(
                out[j]
                + np.int32(d0 * d0)
                + np.int32(d1 * d1)
                + np.int32(d2 * d2)
                + np.int32(d3 * d3)
            )


@loop
def _distance(metric, a, b):
    total = np.int64(0)
    for k in range(16):
        d = abs(np.int64(a[k]) - np.int64(b[k]))
        total += d * d if metric == 0 else d if metric == 1 else min(d, 256 - d)
    return total


@loop
def _row_distances(metric, row, columns, short, out):
    if metric == 0:
        _squares(row, columns, out)
        return
    if metric == 1:
        _city_block(row, columns, short)
    else:
        _circular(row, columns, short)
    for j in range(columns.shape[1]):
        out[j] = short[j]


@loop
def distance_matrix(metric, rows, columns, out):
    """Write the distances of rows (m, 16) to columns (16, n), both uint8, to int32 (m, n)."""
    short = np.empty(columns.shape[1], np.int16)
    for i in range(len(rows)):
        _row_distances(metric, rows[i], columns, short, out[i])


@loop
def pairs_within(metric, rows, columns, same, limit, bound, found):
    """Find the pairs of a row and a column at most `limit` apart.

    Parameters
    ----------
    metric : int
        Which distance.
    rows : uint8 array (m, 16)
        Sensitive bytes, one digest in a row.
    columns : uint8 array (16, n)
        Likewise, one digest in a column.
    same : bool
        The columns are the rows: only pairs with a later column.
    limit : int
        Largest distance that counts.
    bound : int
        A pair within `limit` has at most this sum of absolute differences (metric 0), which are
        quicker to add up; `limit` itself for the others.
    found : int32 array (capacity, 3)
        Output: row, column, distance.

    Returns
    -------
    int
        How many there are; those beyond the capacity are not in `found`.
    """
    n = columns.shape[1]
    short = np.empty(n, np.int16)
    count = 0
    for i in range(len(rows)):
        row = rows[i]
        if metric == 2:
            _circular(row, columns, short)
        else:
            _city_block(row, columns, short)
        for begin in range(i + 1 if same else 0, n, TILE):
            end = min(begin + TILE, n)
            least = np.int16(32767)
            for j in range(begin, end):
                least = min(least, short[j])
            if least > bound:
                continue
            for j in range(begin, end):
                if short[j] <= bound:
                    distance = np.int64(short[j])
                    if metric == 0:
                        distance = _distance(metric, row, columns[:, j])
                    if distance <= limit:
                        if count < len(found):
                            found[count, 0] = i
                            found[count, 1] = j
                            found[count, 2] = distance
                        count += 1
    return count


@loop
def _insert(distance, place, distances, places):
    # Into lists sorted by distance, then by place; the last entry falls out.
    k = len(distances) - 1
    if distance > distances[k] or (distance == distances[k] and place > places[k]):
        return
    while k > 0 and (
        distances[k - 1] > distance or (distances[k - 1] == distance and places[k - 1] > place)
    ):
        distances[k] = distances[k - 1]
        places[k] = places[k - 1]
        k -= 1
    distances[k] = distance
    places[k] = place


@loop
def nearest(metric, rows, columns, first, distances, places):
    """Update the sorted lists of nearest columns of each row by a further block of columns.

    Parameters
    ----------
    metric : int
        Which distance.
    rows : uint8 array (m, 16)
        Sensitive bytes, one digest in a row.
    columns : uint8 array (16, n)
        Likewise, one digest in a column.
    first : int
        Place of the first column.
    distances, places : int64 arrays (m, k)
        So far; the largest integer where there is none yet.
    """
    n = columns.shape[1]
    short, out = np.empty(n, np.int16), np.empty(n, np.int32)
    for i in range(len(rows)):
        _row_distances(metric, rows[i], columns, short, out)
        for begin in range(0, n, TILE):
            end = min(begin + TILE, n)
            least = np.int32(2147483647)
            for j in range(begin, end):
                least = min(least, out[j])
            if least > distances[i, -1]:
                continue
            for j in range(begin, end):
                _insert(np.int64(out[j]), np.int64(first + j), distances[i], places[i])


# --------------------------------------------------------------------------------------
# buckets: digests whose index bytes differ by at most a tolerance each


@loop
def _first_not_below(keys, key):
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


@loop
def _candidates(query, keys, digests, tolerance, rows):
    # Write the rows whose index bytes are within the tolerance, and return their number. Digests
    # stand in the order of their index bytes, so that all near third bytes are one range.
    count = 0
    b0, b1 = np.int64(query[0]), np.int64(query[1])
    b2, b3 = np.int64(query[2]), np.int64(query[3])
    lowest, highest = max(b2 - tolerance, 0), min(b2 + tolerance, 255)
    for c0 in range(max(b0 - tolerance, 0), min(b0 + tolerance, 255) + 1):
        for c1 in range(max(b1 - tolerance, 0), min(b1 + tolerance, 255) + 1):
            prefix = (c0 << 24) | (c1 << 16)
            start = _first_not_below(keys, prefix | (lowest << 8))
            stop = _first_not_below(keys, (prefix | (highest << 8)) + 256)
            for row in range(start, stop):
                if abs(np.int64(digests[row, 3]) - b3) <= tolerance:
                    rows[count] = row
                    count += 1
    return count


@loop
def nearest_in_buckets(
    metric, queries, keys, digests, order, tolerance, distances, places, n_candidates
):
    """Fill the sorted lists of the nearest digests whose index bytes are within a tolerance.

    Parameters
    ----------
    metric : int
        Which distance.
    queries : uint8 array (m, 20)
        Digests to be looked up.
    keys : int64 array (n,)
        The index bytes of the digests as numbers, sorted.
    digests : uint8 array (n, 20)
        In the order of the keys.
    order : int64 array (n,)
        Place of each digest before they were sorted.
    tolerance : int
        How far index bytes may be apart.
    distances, places : int64 arrays (m, k)
        Begin with the largest integer.
    n_candidates : int64 array (m,)
        Output: how many distances were computed.
    """
    rows = np.empty(len(keys), np.int64)
    for i in range(len(queries)):
        n_candidates[i] = _candidates(queries[i], keys, digests, tolerance, rows)
        for row in rows[: n_candidates[i]]:
            distance = _distance(metric, queries[i, 4:], digests[row, 4:])
            _insert(distance, order[row], distances[i], places[i])


@loop
def pairs_in_buckets(metric, queries, keys, digests, order, tolerance, limit, found):
    """Find digests at most `limit` apart from a query, with index bytes within a tolerance.

    The arguments are those of `nearest_in_buckets`, `limit` and `found` those of `pairs_within`,
    and so is what is returned.
    """
    rows = np.empty(len(keys), np.int64)
    count = 0
    for i in range(len(queries)):
        for row in rows[: _candidates(queries[i], keys, digests, tolerance, rows)]:
            distance = _distance(metric, queries[i, 4:], digests[row, 4:])
            if distance <= limit:
                if count < len(found):
                    found[count, 0] = i
                    found[count, 1] = order[row]
                    found[count, 2] = distance
                count += 1
    return count
