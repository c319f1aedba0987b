"""Naive twins: each function spells out its formula, with loops and no tricks.

Nothing here imports skmmd. Slow on purpose; use a few dozen rows.
"""

import itertools
import math
import statistics
from fractions import Fraction

import numpy as np
from scipy import special, stats

# --------------------------------------------------------------------------------------
# kernels


def kernel_value(x, y, kernel, gamma=None):
    """Return k(x, y) for two vectors."""
    difference = [float(a) - float(b) for a, b in zip(x, y, strict=True)]
    squared = math.fsum(d * d for d in difference)
    inner = math.fsum(float(a) * float(b) for a, b in zip(x, y, strict=True))
    if kernel == "rbf":
        return math.exp(-gamma * squared)
    if kernel == "laplacian":
        return math.exp(-gamma * math.fsum(abs(d) for d in difference))
    if kernel == "imq":
        return 1 / math.sqrt(1 + 2 * gamma * squared)
    if kernel == "rq":
        return 1 / (1 + 2 * gamma * squared)
    if kernel == "linear":
        return inner
    if kernel == "polynomial":
        return (gamma * inner + 1) ** 3
    if kernel == "energy":
        return -math.sqrt(squared)
    raise ValueError(kernel)


def gram(A, B, kernel, gamma=None):
    """Return the matrix of k(a, b)."""
    A, B = as_rows(A), as_rows(B)
    return np.array([[kernel_value(a, b, kernel, gamma) for b in B] for a in A]).reshape(
        len(A), len(B)
    )


def as_rows(X):
    """Return X as float64 rows; one-dimensional input is one column."""
    X = np.asarray(X, dtype=np.float64)
    return X[:, None] if X.ndim == 1 else X


def distance(x, y, metric):
    if metric == "l1":
        return math.fsum(abs(a - b) for a, b in zip(x, y, strict=True))
    return math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(x, y, strict=True)))


# --------------------------------------------------------------------------------------
# bandwidths


def averaged_inverted_cdf(values, weights, q):
    """Quantile q of weighted values: the mean of the two values where the steps meet.

    With weights 1 this is ``np.quantile(values, q, method="averaged_inverted_cdf")``; with
    integer weights it is that of the repeated values.
    """
    order = np.argsort(values, kind="stable")
    values, weights = np.asarray(values, float)[order], np.asarray(weights, float)[order]
    values, weights = values[weights > 0], weights[weights > 0]
    cumulated = np.cumsum(weights)
    target = q * cumulated[-1]
    lower = min(int(np.searchsorted(cumulated, target, side="left")), len(values) - 1)
    upper = min(int(np.searchsorted(cumulated, target, side="right")), len(values) - 1)
    return (values[lower] + values[upper]) / 2


def pooled_distances(Z, metric="l2", weights=None):
    """Return the distances of all pairs of rows, and how often each pair occurs.

    A row with weight w stands for w copies: a pair of rows occurs w_i w_j times, and a row
    has w_i (w_i - 1) / 2 pairs with itself, at distance zero.
    """
    Z = as_rows(Z)
    w = np.ones(len(Z)) if weights is None else np.asarray(weights, dtype=float)
    distances, counts = [], []
    for i, j in itertools.combinations(range(len(Z)), 2):
        distances.append(distance(Z[i], Z[j], metric))
        counts.append(w[i] * w[j])
    if weights is not None:
        for i in range(len(Z)):
            distances.append(0.0)
            counts.append(max(w[i] * (w[i] - 1) / 2, 0.0))
    return np.array(distances), np.array(counts)


def median_distance(Z, metric="l2", weights=None):
    """Return the median distance; of the positive ones if it is zero; else None."""
    distances, counts = pooled_distances(Z, metric, weights)
    if not counts.sum():
        return None
    median = averaged_inverted_cdf(distances, counts, 0.5)
    if median > 0:
        return median
    positive = (distances > 0) & (counts > 0)
    if not positive.any():
        return None
    return averaged_inverted_cdf(distances[positive], counts[positive], 0.5)


def median_gamma(Z, kernel="rbf", weights=None):
    """Return the median heuristic: 1/(2 m^2), or 1/m of the L1 distances for laplacian."""
    median = median_distance(Z, "l1" if kernel == "laplacian" else "l2", weights)
    if median is None:
        return 1.0
    return 1 / median if kernel == "laplacian" else 1 / (2 * median**2)


# --------------------------------------------------------------------------------------
# MMD of two samples


def mmd2_biased(K_xx, K_yy, K_xy, w_x=None, w_y=None):
    """Return sum_ij p_i p_j k_ij within both samples minus twice the mean across."""
    w_x = np.ones(len(K_xx)) if w_x is None else np.asarray(w_x, dtype=float)
    w_y = np.ones(len(K_yy)) if w_y is None else np.asarray(w_y, dtype=float)
    terms = []
    for K, p, q, sign in (
        (K_xx, w_x / w_x.sum(), w_x / w_x.sum(), 1),
        (K_yy, w_y / w_y.sum(), w_y / w_y.sum(), 1),
        (K_xy, w_x / w_x.sum(), w_y / w_y.sum(), -2),
    ):
        for i in range(len(p)):
            for j in range(len(q)):
                terms.append(sign * p[i] * q[j] * K[i][j])
    return math.fsum(terms)


def _within_unbiased(K, w):
    total = float(w.sum())
    if total <= 1:  # a single row has no pair: the term is dropped
        return 0.0
    pairs = math.fsum(w[i] * w[j] * K[i][j] for i in range(len(w)) for j in range(len(w)))
    diagonal = math.fsum(w[i] * K[i][i] for i in range(len(w)))
    return (pairs - diagonal) / (total * (total - 1))


def mmd2_unbiased(K_xx, K_yy, K_xy, w_x=None, w_y=None):
    """Return the same without the pairs of a row (or of a copy) with itself."""
    w_x = np.ones(len(K_xx)) if w_x is None else np.asarray(w_x, dtype=float)
    w_y = np.ones(len(K_yy)) if w_y is None else np.asarray(w_y, dtype=float)
    cross = math.fsum(
        w_x[i] * w_y[j] * K_xy[i][j] for i in range(len(w_x)) for j in range(len(w_y))
    ) / (w_x.sum() * w_y.sum())
    return _within_unbiased(K_xx, w_x) + _within_unbiased(K_yy, w_y) - 2 * cross


MMD2 = {"biased": mmd2_biased, "unbiased": mmd2_unbiased}


def mmd2(X, Y, kernel, gamma=None, estimator="unbiased", w_x=None, w_y=None):
    """Return the squared MMD of two samples."""
    return MMD2[estimator](
        gram(X, X, kernel, gamma),
        gram(Y, Y, kernel, gamma),
        gram(X, Y, kernel, gamma),
        w_x,
        w_y,
    )


def pair_mmd2(K, labels, g, h, estimator, weights=None):
    """Return the squared MMD of groups g and h from the pooled Gram matrix."""
    weights = np.ones(len(K)) if weights is None else np.asarray(weights, dtype=float)
    i, j = np.flatnonzero(labels == g), np.flatnonzero(labels == h)
    return MMD2[estimator](
        K[np.ix_(i, i)], K[np.ix_(j, j)], K[np.ix_(i, j)], weights[i], weights[j]
    )


def k_sample_statistic(K, labels, estimator, weights=None):
    """Return sum over pairs of n_g n_h / N times their squared MMD."""
    labels = np.asarray(labels)
    weights = np.ones(len(K)) if weights is None else np.asarray(weights, dtype=float)
    return math.fsum(
        weights[labels == g].sum()
        * weights[labels == h].sum()
        / weights.sum()
        * pair_mmd2(K, labels, g, h, estimator, weights)
        for g, h in itertools.combinations(np.unique(labels), 2)
    )


def statistic(K, labels, estimator, weights=None):
    """Return MMD^2 for two groups and the K-sample statistic for more."""
    labels = np.asarray(labels)
    groups = np.unique(labels)
    if len(groups) == 2:
        return pair_mmd2(K, labels, groups[0], groups[1], estimator, weights)
    return k_sample_statistic(K, labels, estimator, weights)


def off_diagonal_norm(K, weights=None):
    """Return the Frobenius norm of K without its diagonal (or the pairs of copies with itself)."""
    w = np.ones(len(K)) if weights is None else np.asarray(weights, dtype=float)
    n = range(len(K))
    pairs = math.fsum(w[i] * w[j] * K[i][j] ** 2 for i in n for j in n if i != j)
    copies = math.fsum(w[i] * (w[i] - 1) * K[i][i] ** 2 for i in n)
    return math.sqrt(pairs + copies)


def aggregated_statistic(grams, labels, weights=None):
    """Return max_k statistic_k / ||K_k without diagonal||_F, each statistic unbiased.

    With the pairs of a row with itself, a constant over the norm would decide between kernels.
    """
    return max(
        statistic(K, labels, "unbiased", weights) / off_diagonal_norm(K, weights) for K in grams
    )


# --------------------------------------------------------------------------------------
# labelings and p-values


def labelings(sizes):
    """Yield every assignment of the labels 0, 1, ... with these group sizes."""
    n = sum(sizes)

    def place(free, group):
        if group == len(sizes) - 1:
            yield dict.fromkeys(free, group)
            return
        for chosen in itertools.combinations(free, sizes[group]):
            rest = [i for i in free if i not in chosen]
            for assignment in place(rest, group + 1):
                yield {**dict.fromkeys(chosen, group), **assignment}

    for assignment in place(list(range(n)), 0):
        yield np.array([assignment[i] for i in range(n)])


def n_labelings(sizes):
    """Return the multinomial coefficient."""
    return math.factorial(sum(sizes)) // math.prod(math.factorial(s) for s in sizes)


def enumerated_null(grams, labels, estimator):
    """Return the statistic of every labeling with the group sizes of `labels`.

    `grams` is one Gram matrix, or a list of them for the aggregated statistic.
    """
    _, sizes = np.unique(labels, return_counts=True)

    def value(candidate):
        if isinstance(grams, list):
            return aggregated_statistic(grams, candidate)
        return statistic(grams, candidate, estimator)

    return np.array([value(candidate) for candidate in labelings(sizes.tolist())])


def exact_pvalue(null, observed, scale):
    """Return #{T >= T_observed} / #labelings; ties up to rounding count."""
    return float(np.mean(null >= observed - 1e-10 * scale))


def permutation_pvalue(null, observed, scale):
    """Return (1 + #{T_b >= T_0}) / (1 + B)."""
    return (1 + int(np.sum(null >= observed - 1e-10 * scale))) / (1 + len(null))


def max_t_pvalues(null, observed, scale):
    """Return single-step max-T p-values; `null` is (labelings, tests)."""
    maxima = null.max(axis=1)
    return np.array([permutation_pvalue(maxima, t, scale) for t in observed])


# --------------------------------------------------------------------------------------
# power criterion, witness


def power_criterion(K, labels, g, h):
    """Return MMD^2_u / sqrt(v + 1e-8), v = 4 Var(hx)/n1 + 4 Var(hy)/n2."""
    x, y = np.flatnonzero(labels == g), np.flatnonzero(labels == h)
    h_x = [
        math.fsum(K[i][j] for j in x if j != i) / (len(x) - 1)
        - math.fsum(K[i][j] for j in y) / len(y)
        for i in x
    ]
    h_y = [
        math.fsum(K[i][j] for j in y if j != i) / (len(y) - 1)
        - math.fsum(K[i][j] for j in x) / len(x)
        for i in y
    ]
    variance = 4 * np.var(h_x, ddof=1) / len(x) + 4 * np.var(h_y, ddof=1) / len(y)
    return pair_mmd2(K, labels, g, h, "unbiased") / math.sqrt(variance + 1e-8)


def mean_power_criterion(K, labels):
    """Return the mean of the criterion over all pairs of groups."""
    labels = np.asarray(labels)
    pairs = list(itertools.combinations(np.unique(labels), 2))
    return math.fsum(power_criterion(K, labels, g, h) for g, h in pairs) / len(pairs)


def held_out_criterion(K, labels, fitted_labels):
    """Return the criterion of a learned witness: its mean difference over its standard error.

    `K` holds the kernel values of the labelled rows with the rows that it was learned on; the mean
    over the pairs of groups.
    """
    values = []
    for g, h in itertools.combinations(np.unique(labels), 2):
        w = K[:, fitted_labels == g].mean(axis=1) - K[:, fitted_labels == h].mean(axis=1)
        x, y = w[labels == g], w[labels == h]
        variance = np.var(x, ddof=1) / len(x) + np.var(y, ddof=1) / len(y)
        values.append((x.mean() - y.mean()) / math.sqrt(variance + 1e-8))
    return sum(values) / len(values)


def witness(Z, X, labels, kernel, gamma=None, weights=None):
    """Return mean kernel to one group minus mean kernel to the rest.

    Two groups: a vector, the first group against the second; more: one column per group.
    """
    X, labels = as_rows(X), np.asarray(labels)
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=float)
    K = gram(Z, X, kernel, gamma)
    columns = []
    for g in np.unique(labels):
        inside, outside = labels == g, labels != g
        columns.append(
            K[:, inside] @ weights[inside] / weights[inside].sum()
            - K[:, outside] @ weights[outside] / weights[outside].sum()
        )
    return columns[0] if len(columns) == 2 else np.column_stack(columns)


# --------------------------------------------------------------------------------------
# one-dimensional Laplace kernel, cross-MMD, low rank


def laplace_sum_1d(x, y, gamma):
    """Return the sum over all pairs of exp(-gamma |x_i - y_j|)."""
    return math.fsum(math.exp(-gamma * abs(a - b)) for a in x for b in y)


def cross_mmd(K, x1, x2, y1, y2, ddof):
    """Return the studentised cross-MMD of Shekhar, Kim and Ramdas (2022).

    The halves x1, y1 are compared with the witness of the halves x2, y2; `K` is the pooled Gram
    matrix and the others are row numbers.
    """

    def second_witness(rows):
        return np.array(
            [
                math.fsum(K[i][j] for j in x2) / len(x2) - math.fsum(K[i][j] for j in y2) / len(y2)
                for i in rows
            ]
        )

    u, v = second_witness(x1), second_witness(y1)
    variance = np.var(u, ddof=ddof) / len(u) + np.var(v, ddof=ddof) / len(v)
    return (u.mean() - v.mean()) / math.sqrt(variance)


def cross_mmd_pvalue(studentised):
    """Return the upper tail of the standard normal."""
    return float(stats.norm.sf(studentised))


def nystroem_gram(Z, landmarks, kernel, gamma):
    """Return K_zl pinv(K_ll) K_lz, the Gram matrix that Nystroem features reproduce."""
    K_zl = gram(Z, landmarks, kernel, gamma)
    values, vectors = np.linalg.eigh(gram(landmarks, landmarks, kernel, gamma))
    keep = values > values.max() * len(landmarks) * np.finfo(float).eps
    half = K_zl @ vectors[:, keep] / np.sqrt(values[keep])
    return half @ half.T


# --------------------------------------------------------------------------------------
# bounds of statistical claims


def binomial_bounds(rate, n, error=5e-4):
    """Return the counts between which a Binomial(n, rate) falls but for `error` on each side."""
    return int(stats.binom.ppf(error, n, rate)), int(stats.binom.isf(error, n, rate))


def exact_exp(x):
    """Return exp(x) correctly rounded to the long double that the machine has."""
    return np.exp(np.asarray(x, dtype=np.longdouble))


def binomial_coefficient(n, k):
    return int(special.comb(n, k, exact=True))


# --------------------------------------------------------------------------------------
# MMDT hash


def mmdt_shape(length):
    """Return (height, width) of the picture that `length` bytes make."""
    padded = max(length, 4096)
    width = 32
    for threshold, wider in ((8192, 64), (32768, 128), (131072, 256)):
        if padded > threshold:
            width = wider
    return padded // width, width


def mmdt_picture(content):
    """Return the bytes as rows of pixels: zeros fill the picture up, the rest is left out."""
    height, width = mmdt_shape(len(content))
    kept = np.frombuffer(content, dtype=np.uint8)[: height * width]
    picture = np.zeros(height * width, dtype=np.uint8)
    picture[: len(kept)] = kept
    return picture.reshape(height, width)


def lanczos_coefficients(n_in, n_out):
    """Return for each output pixel its first source pixel and the integer weights from there."""
    scale = n_in / n_out
    stretch = max(scale, 1.0)
    support = 3.0 * stretch
    table = []
    for i in range(n_out):
        centre = (i + 0.5) * scale
        first = max(math.trunc(centre - support + 0.5), 0)
        last = min(math.trunc(centre + support + 0.5), n_in)
        t = (np.arange(first, last) - centre + 0.5) * (1.0 / stretch)
        weights = np.where((t >= -3.0) & (t < 3.0), np.sinc(t) * np.sinc(t / 3.0), 0.0)
        total = np.cumsum(weights)[-1]
        if total != 0.0:
            weights = weights / total
        scaled = weights * 2.0**22
        table.append((first, np.trunc(np.where(weights < 0, scaled - 0.5, scaled + 0.5))))
    return table


def resize_rows(picture, n_out):
    """Return the picture with `n_out` rows, rounded to bytes."""
    rows = []
    for first, weights in lanczos_coefficients(len(picture), n_out):
        sources = picture[first : first + len(weights)].astype(np.int64)
        total = 2**21 + weights.astype(np.int64) @ sources
        rows.append(np.clip(total >> 22, 0, 255).astype(np.uint8))
    return np.array(rows)


def mmdt_pictures(content):
    """Return the pictures of 16 x 16 and of 64 x 64 pixels: columns are resized before rows."""
    original = mmdt_picture(content)
    return tuple(
        resize_rows(resize_rows(np.ascontiguousarray(original.T), n).T, n) for n in (16, 64)
    )


def mmdt_weights(n_pixels, zeros, twos):
    weights = [1] * n_pixels
    for position in zeros:
        weights[position] = 0
    for position in twos:
        weights[position] = 2
    return weights


def mmdt_offsets(text):
    """Return an offset for each bit of the text: the ones become -1, +1, -1, ... in turn."""
    offsets, sign = [], -1
    for bit in "".join(f"{letter:08b}" for letter in text.encode("ascii")):
        offsets.append(sign if bit == "1" else 0)
        sign = -sign if bit == "1" else sign
    return offsets


MMDT_BLOCKS = (
    (mmdt_weights(64, [26, 29, 38], [32, 51, 55]), mmdt_offsets("ddvv0327")),
    (
        mmdt_weights(256, [11, 70, 75, 76, 127, 196, 228, 251], [22, 29, 41, 50, 57, 182, 246]),
        mmdt_offsets("19900203199010302019052200000000"),
    ),
)


def mmdt_sums(content):
    """Return the sums of the 4 blocks of the small picture, then of the 16 of the large one."""
    sums = []
    for picture, (weights, offsets) in zip(mmdt_pictures(content), MMDT_BLOCKS, strict=True):
        for block in picture.reshape(-1, len(weights)):
            pixels = [int(pixel) for pixel in block]
            terms = zip(weights, pixels, offsets, strict=True)
            sums.append(sum(abs(w * pixel + o) for w, pixel, o in terms))
    return sums


def mmdt_digest(content):
    """Return the 4 index bytes, then the 16 sensitive bytes; the latter wrap around."""
    sums = mmdt_sums(content)
    return [(s >> 6) & 255 for s in sums[:4]] + [(s >> 5) & 255 for s in sums[4:]]


def mmdt_hash(content):
    text = bytes(mmdt_digest(content)).hex().upper()
    return f"{text[:8]}:{text[8:]}"


def mmdt_similarity(a, b, metric):
    """Return the similarity of two digests of 20 bytes; the index bytes do not count."""
    differences = [abs(int(x) - int(y)) for x, y in zip(a, b, strict=True)][4:]
    if metric == "mmdt":
        return 1.0 - math.sqrt(sum(d * d for d in differences)) / 1020.0
    if metric == "manhattan":
        return 1.0 - min(sum(differences), 4080) / 4080
    if metric == "circular":
        return 1.0 - sum(min(d, 256 - d) for d in differences) / 2048
    raise ValueError(metric)


def mmdt_std(digest):
    """Return the deviation of the sensitive bytes 2 to 13 but one largest and one smallest."""
    kept = sorted(int(x) for x in digest[4:][2:14])[1:-1]
    return statistics.stdev(kept)


def mmdt_distance(a, b, metric):
    """Return the integer from which the similarity of two digests of 20 bytes is made."""
    differences = [abs(int(x) - int(y)) for x, y in zip(a, b, strict=True)][4:]
    if metric == "mmdt":
        return sum(d * d for d in differences)
    return sum(min(d, 256 - d) if metric == "circular" else d for d in differences)


def mmdt_near_index(a, b, tolerance):
    """Tell whether each of the 4 index bytes differs by at most the tolerance; None is any."""
    return tolerance is None or all(
        abs(int(x) - int(y)) <= tolerance for x, y in zip(a[:4], b[:4], strict=True)
    )


def mmdt_neighbors(query, digests, metric, tolerance=None):
    """Return (distance, place) of all digests with near index bytes, the nearest first."""
    return sorted(
        (mmdt_distance(query, digest, metric), place)
        for place, digest in enumerate(digests)
        if mmdt_near_index(query, digest, tolerance)
    )


def byte_counts(content):
    return [content.count(bytes([value])) for value in range(256)]


def bigram_counts(content):
    """Count neighbouring pairs: bits 6 to 15 of the pair times 40503 are its place."""
    counts = [0] * 1024
    for first, second in itertools.pairwise(content):
        counts[((256 * first + second) * 40503 % 2**16) // 2**6] += 1
    return counts


def signal_bytes(row, low, high):
    """Return numbers as bytes, `low` as 0 and `high` as 255, in exact arithmetic."""
    low, high = Fraction(float(low)), Fraction(float(high))
    if low == high:
        return bytes(len(row))
    shares = [(Fraction(float(x)) - low) * 255 / (high - low) for x in row]
    return bytes(min(max(round(share), 0), 255) for share in shares)


def stretched(content):
    """Return a short signal as 4096 bytes, each the nearest to its left."""
    n = len(content)
    return content if n >= 4096 else bytes(content[k * n // 4096] for k in range(4096))
