"""Naive twins: each function spells out its formula, with loops and no tricks.

Nothing here imports skmmd. Slow on purpose; use a few dozen rows.
"""

import itertools
import math
import statistics
from dataclasses import dataclass, replace
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


def exact_log(x):
    """Return log(x) correctly rounded to the long double that the machine has."""
    return np.log(np.asarray(x, dtype=np.longdouble))


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


# --------------------------------------------------------------------------------------
# mixtures


@dataclass(frozen=True)
class Mixture:
    """Parameters of a Gaussian mixture, the covariances in the shape of their type.

    With noise, `noise_widths` are the sides of the box on which it is uniform.
    """

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    covariance_type: str
    noise_weight: float = 0.0
    noise_widths: np.ndarray | None = None


def mixture_matrices(mixture):
    """Return one full covariance matrix for each component."""
    k, d = mixture.means.shape
    C = mixture.covariances
    return np.array(
        [
            {
                "full": lambda j: C[j],
                "tied": lambda j: C,
                "diag": lambda j: np.diag(C[j]),
                "spherical": lambda j: C[j] * np.eye(d),
                "tied_diag": lambda j: np.diag(C),
                "tied_spherical": lambda j: C * np.eye(d),
            }[mixture.covariance_type](j)
            for j in range(k)
        ]
    )


def lower_factor(matrix):
    """Return the Cholesky factor in long double."""
    A = np.asarray(matrix, dtype=np.longdouble)
    L = np.zeros_like(A)
    for i in range(len(A)):
        for j in range(i + 1):
            rest = A[i, j] - sum(L[i, m] * L[j, m] for m in range(j))
            L[i, j] = np.sqrt(rest) if i == j else rest / L[j, j]
    return L


def gaussian_log_density(x, mean, covariance):
    """Return log N(x; mean, covariance) in long double; 0 where x has no column."""
    L = lower_factor(covariance)
    difference = np.asarray(x, dtype=np.longdouble) - np.asarray(mean, dtype=np.longdouble)
    z = np.zeros_like(difference)
    for i in range(len(z)):
        z[i] = (difference[i] - sum(L[i, m] * z[m] for m in range(i))) / L[i, i]
    logarithms = sum((np.log(L[i, i]) for i in range(len(z))), np.longdouble(0))
    constant = len(z) * np.log(2 * np.longdouble(np.pi))
    return -(constant + (z * z).sum()) / 2 - logarithms


def mixture_weighted_log_densities(mixture, x):
    """Return log(w_k N(x_o; k)) of each component, and of the noise last if there is one.

    Only the columns of x that are not NaN count.
    """
    seen = np.flatnonzero(~np.isnan(x))
    terms = [
        np.log(np.longdouble(w)) + gaussian_log_density(x[seen], m[seen], C[np.ix_(seen, seen)])
        if w > 0
        else np.longdouble(-np.inf)
        for w, m, C in zip(mixture.weights, mixture.means, mixture_matrices(mixture), strict=True)
    ]
    if mixture.noise_widths is not None:
        volume = math.prod(float(mixture.noise_widths[j]) for j in seen)
        terms.append(np.log(np.longdouble(mixture.noise_weight)) - np.log(np.longdouble(volume)))
    return np.array(terms)


def log_sum_exp(terms):
    top = max(terms)
    return top + np.log(sum(np.exp(t - top) for t in terms))


def mixture_log_density(mixture, X):
    """Return log p(x) of each row; an all-NaN row has 0."""
    values = [log_sum_exp(mixture_weighted_log_densities(mixture, x)) for x in as_rows(X)]
    return np.array(values, dtype=np.float64)


def mixture_responsibilities(mixture, X):
    """Return the posterior of each component (the noise last) for each row."""
    rows = []
    for x in as_rows(X):
        terms = mixture_weighted_log_densities(mixture, x)
        rows.append(np.exp(terms - log_sum_exp(terms)))
    return np.array(rows, dtype=np.float64)


def gaussian_conditional(x, mean, covariance):
    """Return E[x | x_o] and the covariance of x given x_o, zero where x is not NaN."""
    seen, hidden = np.flatnonzero(~np.isnan(x)), np.flatnonzero(np.isnan(x))
    completed, spread = np.array(x), np.zeros_like(covariance)
    gain = (
        np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[np.ix_(seen, hidden)]).T
        if len(seen)
        else np.zeros((len(hidden), 0))
    )
    completed[hidden] = mean[hidden] + gain @ (x[seen] - mean[seen])
    spread[np.ix_(hidden, hidden)] = (
        covariance[np.ix_(hidden, hidden)] - gain @ covariance[np.ix_(seen, hidden)]
    )
    return completed, spread


def mixture_statistics(mixture, X, weights=None):
    """Return mean log p(x_o), the mass, means and scatter matrices of the E step, and of noise.

    The scatter is about the new means; a hidden x has its conditional mean and covariance.
    """
    X = as_rows(X)
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=float)
    responsibilities = mixture_responsibilities(mixture, X) * weights[:, None]
    k, d = mixture.means.shape
    masses, means, scatters = np.zeros(k), np.zeros((k, d)), np.zeros((k, d, d))
    for j, covariance in enumerate(mixture_matrices(mixture)):
        r = responsibilities[:, j]
        completed = [gaussian_conditional(x, mixture.means[j], covariance) for x in X]
        masses[j] = math.fsum(r)
        means[j] = sum(r[i] * completed[i][0] for i in range(len(X))) / masses[j]
        for i in range(len(X)):
            difference = completed[i][0] - means[j]
            scatters[j] += r[i] * (np.outer(difference, difference) + completed[i][1])
    log_likelihood = math.fsum(weights * mixture_log_density(mixture, X)) / weights.sum()
    noise = math.fsum(responsibilities[:, k]) if mixture.noise_widths is not None else 0.0
    return log_likelihood, masses, means, scatters, noise


def mixture_covariances(covariance_type, masses, scatters, reg_covar=0.0, prior=None):
    """Return the covariances of the M step.

    `prior` is (scale, degrees of freedom) of an inverse-Wishart law, whose mode given n rows of
    p columns and their scatter S is (S + scale) / (n + degrees of freedom + p + 1).
    """
    k, d, _ = scatters.shape

    def estimate(scatter, n, scale, p):
        if prior is None:
            return scatter / n + reg_covar * (np.eye(d) if np.ndim(scatter) else 1.0)
        return (scatter + scale) / (n + prior[1] + p + 1)

    scale = np.zeros((d, d)) if prior is None else prior[0] * np.eye(d)
    pooled, n = sum(scatters), sum(masses)
    if covariance_type == "full":
        return np.array([estimate(scatters[j], masses[j], scale, d) for j in range(k)])
    if covariance_type == "tied":
        return estimate(pooled, n, scale, d)
    if covariance_type == "diag":
        return np.array(
            [
                [estimate(S[i, i], m, scale[i, i], 1) for i in range(d)]
                for S, m in zip(scatters, masses, strict=True)
            ]
        )
    if covariance_type == "tied_diag":
        return np.array([estimate(pooled[i, i], n, scale[i, i], 1) for i in range(d)])
    if covariance_type == "spherical":
        return np.array(
            [
                estimate(np.trace(S), m * d, scale[0, 0], 1)
                for S, m in zip(scatters, masses, strict=True)
            ]
        )
    return np.array(estimate(np.trace(pooled), n * d, scale[0, 0], 1))


def mixture_em_step(mixture, X, weights=None, reg_covar=0.0, prior=None):
    """Return the mixture after one step of EM, and the mean log-likelihood before it."""
    log_likelihood, masses, means, scatters, noise = mixture_statistics(mixture, X, weights)
    total = masses.sum() + noise
    stepped = replace(
        mixture,
        weights=masses / total,
        means=means,
        covariances=mixture_covariances(
            mixture.covariance_type, masses, scatters, reg_covar, prior
        ),
        noise_weight=noise / total,
    )
    return stepped, log_likelihood


def mixture_em(mixture, X, n_steps, **options):
    """Return the mixture after so many steps, and the log-likelihoods before each of them."""
    history = []
    for _ in range(n_steps):
        mixture, log_likelihood = mixture_em_step(mixture, X, **options)
        history.append(log_likelihood)
    return mixture, history


def mixture_log_prior(mixture, scale, degrees_of_freedom):
    """Return the log prior of the covariances but for constants.

    Each covariance matrix of p columns, or each variance (p = 1), adds
    -(degrees of freedom + p + 1)/2 log|C| - tr(scale C^-1)/2.
    """
    C = np.asarray(mixture.covariances)
    if mixture.covariance_type in ("full", "tied"):
        d = C.shape[-1]
        return sum(
            -(degrees_of_freedom + d + 1) / 2 * np.linalg.slogdet(c)[1]
            - scale * np.trace(np.linalg.inv(c)) / 2
            for c in C.reshape(-1, d, d)
        )
    return sum(
        -(degrees_of_freedom + 2) / 2 * math.log(c) - scale / c / 2 for c in C.ravel().tolist()
    )


def mixture_n_parameters(covariance_type, k, d):
    """Count the free parameters: covariances, means, weights that add up to one."""
    covariances = {
        "full": k * d * (d + 1) // 2,
        "tied": d * (d + 1) // 2,
        "diag": k * d,
        "spherical": k,
        "tied_diag": d,
        "tied_spherical": 1,
    }[covariance_type]
    return covariances + k * d + k - 1


def mixture_criteria(mixture, X, weights=None):
    """Return BIC, AIC and ICL, the lower the better; weights are counts of rows.

    ICL is BIC plus twice the entropy of the responsibilities.
    """
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, dtype=float)
    log_likelihood = math.fsum(weights * mixture_log_density(mixture, X))
    n_parameters = mixture_n_parameters(mixture.covariance_type, *mixture.means.shape)
    bic = -2 * log_likelihood + n_parameters * math.log(weights.sum())
    entropy = -math.fsum(
        w * r * math.log(r)
        for w, row in zip(weights, mixture_responsibilities(mixture, X), strict=True)
        for r in row
        if r > 0
    )
    return bic, -2 * log_likelihood + 2 * n_parameters, bic + 2 * entropy


def conditional_mixture(mixture, x):
    """Return the mixture of the columns of x that are NaN given the others, with full matrices."""
    hidden = np.flatnonzero(np.isnan(x))
    terms = mixture_weighted_log_densities(mixture, x)
    parts = [
        gaussian_conditional(x, m, C)
        for m, C in zip(mixture.means, mixture_matrices(mixture), strict=True)
    ]
    return Mixture(
        weights=np.exp(terms - log_sum_exp(terms)).astype(np.float64),
        means=np.array([mean[hidden] for mean, _ in parts]),
        covariances=np.array([spread[np.ix_(hidden, hidden)] for _, spread in parts]),
        covariance_type="full",
    )


def mixture_moments(mixture):
    """Return the mean and the covariance matrix of the mixture."""
    mean = sum(w * m for w, m in zip(mixture.weights, mixture.means, strict=True))
    second = sum(
        w * (C + np.outer(m, m))
        for w, m, C in zip(mixture.weights, mixture.means, mixture_matrices(mixture), strict=True)
    )
    return mean, second - np.outer(mean, mean)


def online_em_step(mixture, X, step_size, weights=None, reg_covar=0.0):
    """Return the mixture after one step of online EM (Cappe and Moulines, 2009).

    The statistics (mass, first and second moment of each component, per unit of weight) move to
    those of the batch by `step_size`; the M step follows.
    """
    _, masses, means, scatters, _ = mixture_statistics(mixture, X, weights)
    total = masses.sum()
    d = mixture.means.shape[1]
    old = mixture_matrices(mixture) - reg_covar * np.eye(d)

    def outer(m):
        return np.array([np.outer(row, row) for row in m])

    def moved(before, batch):
        return (1 - step_size) * before + step_size * batch

    s0 = moved(mixture.weights, masses / total)
    s1 = moved(mixture.weights[:, None] * mixture.means, masses[:, None] * means / total)
    s2 = moved(
        mixture.weights[:, None, None] * (old + outer(mixture.means)),
        (scatters + masses[:, None, None] * outer(means)) / total,
    )
    new_means = s1 / s0[:, None]
    new_scatters = s2 - s0[:, None, None] * outer(new_means)
    return replace(
        mixture,
        weights=s0,
        means=new_means,
        covariances=mixture_covariances(mixture.covariance_type, s0, new_scatters, reg_covar),
    )


# --------------------------------------------------------------------------------------
# pair losses


@dataclass(frozen=True)
class Term:
    """One term of a loss, how often it counts, and its derivative as (row, vector) pairs."""

    kind: str
    weight: float
    value: float
    slopes: tuple


@dataclass(frozen=True)
class PairLossTwin:
    value: float
    gradient: np.ndarray
    n_terms: float
    n_active: float


def squared_distance(Z, i, j):
    return math.fsum((a - b) ** 2 for a, b in zip(Z[i].tolist(), Z[j].tolist(), strict=True))


def squared_slopes(Z, i, j, factor=1.0):
    """Return the derivative of factor * |z_i - z_j|^2."""
    step = 2 * factor * (Z[i] - Z[j])
    return ((i, step), (j, -step))


def distance_slopes(Z, i, j, factor=1.0):
    """Return the derivative of factor * |z_i - z_j|, zero where the rows are equal."""
    d = math.sqrt(squared_distance(Z, i, j))
    return squared_slopes(Z, i, j, factor / (2 * d)) if d > 0 else ()


def margin_between(margin, classes, a, b):
    """Return the margin of an anchor of class a and a negative of class b."""
    if isinstance(margin, dict):
        return margin.get((a, b), margin.get((b, a), 1.0))
    if np.ndim(margin) == 2:
        return float(margin[classes.index(a)][classes.index(b)])
    return float(margin)


def positive_pairs(Z, y, w, n_neighbors=None):
    """Return (anchor, positive, weight): all ordered pairs of a class, or the target neighbours.

    A row of weight w stands for w copies: it has w (w - 1) ordered pairs with itself, and it
    fills w of the places that an anchor has for neighbours, one place if w is below 1.
    """
    pairs = []
    for a in range(len(Z)):
        mates = [p for p in range(len(Z)) if y[p] == y[a] and w[p] > 0]
        left = math.inf if n_neighbors is None else n_neighbors
        for p in sorted(mates, key=lambda p: (squared_distance(Z, a, p), p)):
            copies = max(w[a] - 1, 0.0) if p == a else w[p]
            places = copies if p == a else max(w[p], 1.0)
            if min(places, left) > 0:
                pairs.append((a, p, w[a] * copies * min(left / places, 1.0)))
                left -= places
    return pairs


def contrastive_terms(Z, y, w, pairs, margin, margin2, once):
    """Yield D/2 of positive pairs and (m - d)+^2 / 2 of negative ones, unordered."""
    for i, j, weight in pairs:
        yield Term(
            "positive", weight * once, squared_distance(Z, i, j) / 2, squared_slopes(Z, i, j, 0.5)
        )
    for i, j in itertools.combinations(range(len(Z)), 2):
        if y[i] != y[j]:
            gap = max(margin(y[i], y[j]) - math.sqrt(squared_distance(Z, i, j)), 0.0)
            yield Term("negative", w[i] * w[j], gap**2 / 2, distance_slopes(Z, i, j, -gap))


def triplet_terms(Z, y, w, pairs, margin, margin2, once):
    """Yield (D_ap - D_an + m)+."""
    for a, p, weight in pairs:
        for n in range(len(Z)):
            if y[n] != y[a]:
                value = squared_distance(Z, a, p) - squared_distance(Z, a, n) + margin(y[a], y[n])
                slopes = (*squared_slopes(Z, a, p), *squared_slopes(Z, a, n, -1.0))
                yield Term("triplet", weight * w[n], max(value, 0.0), slopes if value > 0 else ())


def quadruplet_terms(Z, y, w, pairs, margin, margin2, once):
    """Yield the terms of triplets and (D_ij - D_lk + margin2)+ of three classes."""
    yield from triplet_terms(Z, y, w, pairs, margin, margin2, once)
    for i, j, weight in pairs:
        for m, n in itertools.permutations(range(len(Z)), 2):
            if len({y[i], y[m], y[n]}) == 3:
                value = squared_distance(Z, i, j) - squared_distance(Z, m, n) + margin2
                slopes = (*squared_slopes(Z, i, j), *squared_slopes(Z, m, n, -1.0))
                yield Term(
                    "second", weight * w[m] * w[n], max(value, 0.0), slopes if value > 0 else ()
                )


def lifted_structure_terms(Z, y, w, pairs, margin, margin2, once):
    """Yield max(J, 0)^2 / 2 with J = d_ij + log(sum of exp(m - d) over negatives of i and j)."""
    for i, j, weight in pairs:
        negatives = [
            (e, k, margin(y[e], y[k]) - math.sqrt(squared_distance(Z, e, k)) + math.log(w[k]))
            for e in (i, j)
            for k in range(len(Z))
            if y[k] != y[e] and w[k] > 0
        ]
        if not negatives:
            yield Term("pair", weight * once, 0.0, ())
            continue
        top = max(exponent for _, _, exponent in negatives)
        log_sum = top + math.log(math.fsum(math.exp(e - top) for _, _, e in negatives))
        J = max(math.sqrt(squared_distance(Z, i, j)) + log_sum, 0.0)
        slopes = list(distance_slopes(Z, i, j, J))
        for e, k, exponent in negatives:
            slopes += distance_slopes(Z, e, k, -J * math.exp(exponent - log_sum))
        yield Term("pair", weight * once, J**2 / 2, tuple(slopes))


def n_pair_terms(Z, y, w, pairs, margin, margin2, once):
    """Yield log(1 + sum_n exp(z_i.z_n - z_i.z_p))."""
    for i, p, weight in pairs:
        negatives = [n for n in range(len(Z)) if y[n] != y[i] and w[n] > 0]
        exponents = [math.fsum((Z[i] * (Z[n] - Z[p])).tolist()) + math.log(w[n]) for n in negatives]
        top = max([0.0, *exponents])
        value = (
            top + math.log(math.fsum([math.exp(-top), *(math.exp(e - top) for e in exponents)]))
            if top > 0
            else math.log1p(math.fsum(math.exp(e) for e in exponents))
        )
        slopes = []
        for n, exponent in zip(negatives, exponents, strict=True):
            share = math.exp(exponent - value)
            slopes += [(i, share * (Z[n] - Z[p])), (n, share * Z[i]), (p, -share * Z[i])]
        yield Term("pair", weight, value, tuple(slopes))


def triplet_center_terms(Z, y, w, pairs, margin, margin2, once):
    """Yield (|z_i - c_y|^2 / 2 - min_j (|z_i - c_j|^2 / 2 - m))+ with the means c of classes."""
    members = {c: [i for i in range(len(Z)) if y[i] == c and w[i] > 0] for c in sorted(set(y))}
    members = {c: rows for c, rows in members.items() if rows}
    mass = {c: math.fsum(w[i] for i in rows) for c, rows in members.items()}
    means = {
        c: np.array([math.fsum(w[i] * Z[i, f] for i in rows) / mass[c] for f in range(Z.shape[1])])
        for c, rows in members.items()
    }
    half = {
        (i, c): math.fsum(((Z[i] - means[c]) ** 2).tolist()) / 2
        for c in members
        for i in range(len(Z))
    }
    for i in (i for rows in members.values() for i in rows):
        others = [(half[i, c] - margin(y[i], c), c) for c in members if c != y[i]]
        value = half[i, y[i]] - min(others)[0] if others else 0.0
        slopes = []
        if value > 0:
            for c, sign in ((y[i], 1.0), (min(others)[1], -1.0)):
                step = sign * (Z[i] - means[c])
                slopes += [(i, step), *((r, -w[r] / mass[c] * step) for r in members[c])]
        yield Term("row", w[i], max(value, 0.0), tuple(slopes))


def nca_terms(Z, y, w, pairs, margin, margin2, once):
    """Yield 1 - sum of softmax(-D) over the own class, a row left out of its own softmax."""
    for i in sorted({a for a, _, weight in pairs if weight > 0}):
        copies = {j: max(w[j] - 1, 0.0) if j == i else w[j] for j in range(len(Z))}
        others = [j for j in copies if copies[j] > 0]
        D = {j: squared_distance(Z, i, j) for j in others}
        least = min(D.values())
        share = {j: copies[j] * math.exp(least - D[j]) for j in others}
        total = math.fsum(share.values())
        p = math.fsum(share[j] for j in others if y[j] == y[i]) / total
        far = math.fsum(share[j] for j in others if y[j] != y[i]) / total
        slopes = []
        for j in others:
            slopes += squared_slopes(Z, i, j, share[j] / total * (far if y[j] == y[i] else -p))
        yield Term("row", w[i], far, tuple(slopes))


PAIR_LOSS_TERMS = {
    "contrastive": contrastive_terms,
    "triplet": triplet_terms,
    "triplet_center": triplet_center_terms,
    "n_pair": n_pair_terms,
    "quadruplet": quadruplet_terms,
    "lifted_structure": lifted_structure_terms,
    "nca": nca_terms,
}


def pair_loss(
    Z,
    y,
    *,
    loss,
    margin=1.0,
    margin2=0.5,
    reduction="mean",
    positives="all",
    n_neighbors=3,
    normalize=False,
    sample_weight=None,
):
    """Return the value, the derivative in each row, and the numbers of terms, term by term."""
    given = as_rows(Z)
    y = np.asarray(y).tolist()
    w = [1.0] * len(y) if sample_weight is None else np.asarray(sample_weight, float).tolist()
    lengths = [math.sqrt(math.fsum((row * row).tolist())) for row in given]
    rows = given
    if normalize:
        rows = np.array([z / s if s > 0 else z for z, s in zip(given, lengths, strict=True)])
    classes = sorted(set(y))
    terms = [
        term
        for term in PAIR_LOSS_TERMS[loss](
            rows,
            y,
            w,
            positive_pairs(rows, y, w, n_neighbors if positives == "neighbors" else None),
            lambda a, b: margin_between(margin, classes, a, b),
            margin2,
            # Two ordered pairs are one unordered pair.
            0.5 if positives == "all" else 1.0,
        )
        if term.weight > 0
    ]
    value, gradient = 0.0, np.zeros_like(rows)
    for kind in sorted({term.kind for term in terms}):
        chosen = [term for term in terms if term.kind == kind]
        divisor = math.fsum(t.weight for t in chosen) if reduction == "mean" else 1.0
        value += math.fsum(t.weight * t.value for t in chosen) / divisor
        for term in chosen:
            for row, slope in term.slopes:
                gradient[row] += term.weight / divisor * slope
    if normalize:
        gradient = np.array(
            [
                (g - (g @ z) * z) / s if s > 0 else np.zeros_like(g)
                for g, z, s in zip(gradient, rows, lengths, strict=True)
            ]
        )
    return PairLossTwin(
        value,
        gradient,
        math.fsum(t.weight for t in terms),
        math.fsum(t.weight for t in terms if t.value > 0),
    )


# --------------------------------------------------------------------------------------
# retrieval


def retrieved(Z, y, Z_reference=None, y_reference=None):
    """Yield for each query the relevance of all reference rows, the nearest first, and R.

    R is the number of reference rows of its class; without a reference each row queries all
    other rows. Queries with R = 0 are left out.
    """
    Z, alone = as_rows(Z), Z_reference is None
    reference, labels = (Z, y) if alone else (as_rows(Z_reference), y_reference)
    for q in range(len(Z)):
        others = [r for r in range(len(reference)) if not (alone and r == q)]
        distances = {
            r: math.fsum(((Z[q] - reference[r]) ** 2).tolist()) for r in range(len(reference))
        }
        ranked = sorted(others, key=lambda r: (distances[r], r))
        relevant = [labels[r] == y[q] for r in ranked]
        if sum(relevant):
            yield relevant, sum(relevant)


def mean_average_precision_at_r(*args):
    """Return the mean over queries of 1/R sum_{i <= R} [i-th is relevant] * precision at i."""
    values = []
    for relevant, R in retrieved(*args):
        precisions = [sum(relevant[: i + 1]) / (i + 1) for i in range(R) if relevant[i]]
        values.append(math.fsum(precisions) / R)
    return math.fsum(values) / len(values)


def r_precision(*args):
    """Return the mean over queries of the share of relevant rows among the R nearest."""
    values = [sum(relevant[:R]) / R for relevant, R in retrieved(*args)]
    return math.fsum(values) / len(values)


def recall_at_k(Z, y, k, *reference):
    """Return the share of queries that have a relevant row among the k nearest."""
    values = [any(relevant[:k]) for relevant, _ in retrieved(Z, y, *reference)]
    return sum(values) / len(values)


# --------------------------------------------------------------------------------------
# kernel mean matching, by steps


def matching_violation(gradient, mass, upper, raises, lowers):
    """Return how much the best move of one mass, or exchange of two, promises per unit."""
    down = [g for g, m, u in zip(gradient, mass, upper, strict=True) if m < u]
    up = [g for g, m in zip(gradient, mass, strict=True) if m > 0]
    found = [-math.inf]
    if raises and down:
        found.append(-min(down))
    if lowers and up:
        found.append(max(up))
    if not (raises and lowers) and down and up:
        found.append(max(up) - min(down))
    return max(found)


def matching_choices(K, ridge, kappa, upper, lowest, highest, mass):
    """Return the steps of one or two masses to choose from, each with what it promises.

    Of two that exchange mass, the one that grows has the least gradient; where several have, up to
    rounding, there is a list of choices for each. What a step promises heeds the bounds of a single
    mass, but neither those of two nor those of the sum, which shorten it afterwards.
    """
    H, n = K + np.diag(ridge), len(mass)
    g, total = H @ mass - kappa, mass.sum()
    slack = 1e-12 * max(1.0, abs(total))
    alone = []
    for i in range(n):
        if (g[i] < 0 and total < highest - slack) or (g[i] > 0 and total > lowest + slack):
            step = min(max(-g[i] / H[i, i], -mass[i]), upper[i] - mass[i])
            after = mass.copy()
            after[i] += min(max(step, lowest - total), highest - total)
            alone.append((-step * (g[i] + H[i, i] * step / 2), after))
    growing = [i for i in range(n) if mass[i] < upper[i]]
    least = min((g[i] for i in growing), default=None)
    choices = []
    for i in growing:
        if g[i] > least + 1e-12:
            continue
        pairs = []
        for j in range(n):
            if mass[j] > 0 and g[j] > g[i]:
                curvature = max(H[i, i] + H[j, j] - 2 * K[i, j], 1e-12 * H[i, i])
                step = min((g[j] - g[i]) / curvature, upper[i] - mass[i], mass[j])
                after = mass.copy()
                after[i], after[j] = mass[i] + step, mass[j] - step
                pairs.append(((g[j] - g[i]) ** 2 / curvature / 2, after))
        choices.append(alone + pairs)
    return choices or [alone]
