"""Naive twins of transfer: dense, slow, each step the formula itself.

Nothing here imports skmmd. Source rows are told by a boolean mask, in whatever order they come.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy import linalg


def gram(A, B, kernel, gamma=None):
    """Return k(a, b) for all pairs, of all differences at once; reference.gram has it by loops."""
    A, B = np.asarray(A, dtype=float), np.asarray(B, dtype=float)
    if callable(kernel):
        return np.asarray(kernel(A, B))
    if kernel == "linear":
        return A @ B.T
    if kernel == "polynomial":
        return (gamma * A @ B.T + 1) ** 3
    differences = A[:, None, :] - B[None, :, :]
    squares = (differences**2).sum(axis=2)
    if kernel == "laplacian":
        return np.exp(-gamma * np.abs(differences).sum(axis=2))
    return {
        "rbf": lambda: np.exp(-gamma * squares),
        "imq": lambda: 1 / np.sqrt(1 + 2 * gamma * squares),
        "rq": lambda: 1 / (1 + 2 * gamma * squares),
        "energy": lambda: -np.sqrt(squares),
    }[kernel]()


def weighted_mmd(Xs, Xt, ws=None, wt=None, kernel="rbf", gamma=None):
    """Return the squared V-statistic for weights that are normalised to sum 1."""
    ws = np.ones(len(Xs)) if ws is None else np.asarray(ws, dtype=float)
    wt = np.ones(len(Xt)) if wt is None else np.asarray(wt, dtype=float)
    ws, wt = ws / ws.sum(), wt / wt.sum()
    within = ws @ gram(Xs, Xs, kernel, gamma) @ ws + wt @ gram(Xt, Xt, kernel, gamma) @ wt
    return within - 2 * ws @ gram(Xs, Xt, kernel, gamma) @ wt


# --------------------------------------------------------------------------------------
# kernel mean matching


@dataclass(frozen=True)
class WeightProblem:
    """Minimise 1/2 w'Qw - q'w over 0 <= w <= upper, low <= a'w <= high."""

    Q: np.ndarray
    q: np.ndarray
    a: np.ndarray
    upper: float
    low: float
    high: float

    def objective(self, w):
        return 0.5 * w @ self.Q @ w - self.q @ w

    def feasible(self, w, slack=1e-9):
        total = self.a @ w
        return (
            np.all(w >= -slack)
            and np.all(w <= self.upper + slack)
            and self.low - slack * max(1.0, self.low) <= total
            and (total <= self.high + slack * max(1.0, abs(self.high)))
        )

    def gap(self, w):
        """Return the largest g'(w - s) over feasible s: fill the best coordinates first."""
        g = self.Q @ w - self.q
        s, total = np.zeros(len(w)), 0.0
        for i in np.argsort(g / self.a):
            room = (self.high if g[i] < 0 else self.low) - total
            s[i] = np.clip(room / self.a[i], 0.0, self.upper)
            total += self.a[i] * s[i]
        return g @ (w - s)


def kmm_problem(
    Xs,
    Xt,
    kernel="rbf",
    gamma=None,
    alpha=0.01,
    max_weight=1000.0,
    sum_bounds=None,
    source_weight=None,
    target_weight=None,
):
    """Return the quadratic programme of the contract; a weight counts as so many copies."""
    a = np.ones(len(Xs)) if source_weight is None else np.asarray(source_weight, dtype=float)
    b = np.ones(len(Xt)) if target_weight is None else np.asarray(target_weight, dtype=float)
    K = gram(Xs, Xs, kernel, gamma)
    kappa = a.sum() / b.sum() * gram(Xs, Xt, kernel, gamma) @ b
    D = np.diag(a)
    low, high = (0.0, np.inf) if sum_bounds is None else sum_bounds
    return WeightProblem(D @ K @ D + alpha * a.sum() * D, D @ kappa, a, max_weight, low, high)


def kmm_by_enumeration(problem):
    """Return the best of all stationary points: each weight at 0, at its bound, or free.

    Any feasible point is at least the optimum, and the optimum is among them: where the free
    block is singular, an optimum with fewer free weights is reached along its null space.
    """
    Q, q, a = problem.Q, problem.q, problem.a
    n, best, value = len(q), None, np.inf
    totals = {None, *(x for x in (problem.low, problem.high) if np.isfinite(x))}
    for free, total in itertools.product(itertools.product((False, True), repeat=n), totals):
        free = np.array(free)
        left = Q[np.ix_(free, free)]
        if total is not None:
            left = np.block([[left, a[free, None]], [a[None, free], np.zeros((1, 1))]])
        inverse = np.linalg.pinv(left)
        bounds = list(itertools.product((0.0, problem.upper), repeat=n - free.sum()))
        W = np.zeros((len(bounds), n))
        W[:, ~free] = bounds
        right = (q - W @ Q)[:, free]
        if total is not None:
            right = np.column_stack([right, total - W @ a])
        W[:, free] = (right @ inverse)[:, : free.sum()]
        inside = (W.min(axis=1) >= -1e-9) & (W.max(axis=1) <= problem.upper + 1e-9)
        for w in W[inside]:
            if problem.feasible(w) and problem.objective(w) < value:
                best, value = w, problem.objective(w)
    return best


def project(z, problem):
    """Return the nearest feasible point, exactly: one shift, found between its breakpoints."""
    a, upper = problem.a, problem.upper
    w = np.clip(z, 0.0, upper)
    total = min(max(a @ w, problem.low), problem.high)
    if total == a @ w:
        return w
    breakpoints = np.sort(np.concatenate([z / a, (z - upper) / a]))
    sums = np.array([a @ np.clip(z - shift * a, 0.0, upper) for shift in breakpoints])
    shift = np.interp(-total, -sums, breakpoints)  # the sums fall, piecewise linearly
    return np.clip(z - shift * a, 0.0, upper)


def kmm_by_projected_gradient(problem, relative_gap=1e-12, max_iter=100_000):
    """Return the minimum by accelerated projected gradient, restarted where it goes uphill."""
    step = 1.0 / np.linalg.eigvalsh(problem.Q)[-1]
    w = v = project(np.ones(len(problem.q)), problem)
    t = 1.0
    for iteration in range(max_iter):
        new = project(v - step * (problem.Q @ v - problem.q), problem)
        if (v - new) @ (new - w) > 0:
            t, v = 1.0, w
            continue
        t_new = (1 + np.sqrt(1 + 4 * t * t)) / 2
        w, v, t = new, new + (t - 1) / t_new * (new - w), t_new
        if iteration % 20 == 0 and problem.gap(w) <= relative_gap * abs(problem.objective(w)):
            return w
    raise RuntimeError(f"relative gap {problem.gap(w) / abs(problem.objective(w))}")


def ridge_weights(Xs, Xt, kernel, gamma, alpha):
    """Return (K + alpha ns I)^-1 kappa, the minimum if no bound is active."""
    K = gram(Xs, Xs, kernel, gamma)
    kappa = len(Xs) * gram(Xs, Xt, kernel, gamma).mean(axis=1)
    return np.linalg.solve(K + alpha * len(Xs) * np.eye(len(Xs)), kappa)


def weight_function(
    X, w, Xs, Xt, kernel, gamma, alpha, max_weight, source_weight=None, target_weight=None
):
    """Return clip((kappa(x) - sum_j a_j w_j k(x, x_j) - nu) / lambda, 0, B).

    nu is what makes the formula true for the weights strictly between the bounds.
    """
    a = np.ones(len(Xs)) if source_weight is None else np.asarray(source_weight, dtype=float)
    b = np.ones(len(Xt)) if target_weight is None else np.asarray(target_weight, dtype=float)
    ridge = alpha * a.sum()

    def unshifted(rows):
        kappa = a.sum() / b.sum() * gram(rows, Xt, kernel, gamma) @ b
        return kappa - gram(rows, Xs, kernel, gamma) @ (a * w)

    inside = (w > 1e-3) & (w < max_weight - 1e-3)
    nu = np.mean((unshifted(Xs) - ridge * w)[inside])
    return np.clip((unshifted(X) - nu) / ridge, 0.0, max_weight)


def label_free_criterion(source_weights, target_weights):
    """Return J = mean_s w^2 / 2 - mean_t w."""
    return 0.5 * np.mean(np.square(source_weights)) - np.mean(target_weights)


# --------------------------------------------------------------------------------------
# maps: transfer component analysis, joint distribution adaptation


def centring(n):
    return np.eye(n) - np.ones((n, n)) / n


def marginal_vector(is_source, a=None):
    """Return e: a_i / sum of a over the source, -a_i / sum of a over the target."""
    a = np.ones(len(is_source)) if a is None else np.asarray(a, dtype=float)
    return np.where(is_source, a / a[is_source].sum(), -a / a[~is_source].sum())


def class_vector(is_source, labels, label, a=None):
    """Return e of one class, 0 for other rows; no row of a domain: no terms of that domain."""
    a = np.ones(len(is_source)) if a is None else np.asarray(a, dtype=float)
    e = np.zeros(len(is_source))
    for domain, sign in ((is_source, 1.0), (~is_source, -1.0)):
        rows = domain & (labels == label)
        if rows.any():
            e[rows] = sign * a[rows] / a[rows].sum()
    return e


def shared_class_vectors(is_source, labels, a=None):
    """Return e of each class that has rows in both domains."""
    shared = sorted(set(labels[is_source]) & set(labels[~is_source]))
    return [class_vector(is_source, labels, label, a) for label in shared]


def outer_sum(vectors, n):
    return sum((np.outer(e, e) for e in vectors), np.zeros((n, n)))


def embedding(K, penalty, n_components):
    """Return theta and W of K H K w = theta P w, W'PW = I, theta descending, signs fixed."""
    H = centring(len(K))
    values, W = linalg.eigh((K @ H @ K + (K @ H @ K).T) / 2, (penalty + penalty.T) / 2)
    values, W = values[::-1][:n_components], W[:, ::-1][:, :n_components]
    largest = np.abs(W).argmax(axis=0)
    return values, W * np.sign(W[largest, np.arange(W.shape[1])])


def transfer_components(K, is_source, n_components, mmd_weight=1.0):
    """Return TCA's eigenvalues and coefficients: P = I + mmd_weight K e e' K."""
    n = len(K)
    both = is_source.any() and not is_source.all()
    L = outer_sum([marginal_vector(is_source)] if both else [], n)
    return embedding(K, np.eye(n) + mmd_weight * K @ L @ K, n_components)


def joint_components(K, is_source, n_components, ridge=1.0, labels=None):
    """Return one round of JDA: P = ridge I + K M K, M of Frobenius norm 1.

    `labels` holds true labels of source rows and pseudo-labels of target rows; None: the
    marginal term alone.
    """
    n = len(K)
    vectors = [marginal_vector(is_source)]
    if labels is not None:
        vectors += shared_class_vectors(is_source, labels)
    M = outer_sum(vectors, n)
    M = M / np.sqrt((M**2).sum())
    return embedding(K, ridge * np.eye(n) + K @ M @ K, n_components)


def unit_rows(Z):
    return Z / np.linalg.norm(Z, axis=1, keepdims=True)


def nearest_labels(Z, y, Z_new):
    """Return the label of the nearest row, by all distances."""
    distances = np.linalg.norm(Z_new[:, None, :] - Z[None, :, :], axis=2)
    return y[distances.argmin(axis=1)]


def joint_distribution_adaptation(K, is_source, y, n_components, ridge=1.0, max_iter=10):
    """Return eigenvalues, coefficients, pseudo-labels and rounds of JDA with a 1-NN."""
    labels = None
    for n_rounds in range(1, max_iter + 1):  # noqa: B007
        values, W = joint_components(K, is_source, n_components, ridge, labels)
        Z = unit_rows(K @ W)
        pseudo = nearest_labels(Z[is_source], y[is_source], Z[~is_source])
        new = np.array(y)
        new[~is_source] = pseudo
        if labels is not None and np.array_equal(new, labels):
            break
        labels = new
    return values, W, pseudo, n_rounds


# --------------------------------------------------------------------------------------
# MMD as a loss


def regularized_coefficients(K, is_source, Y, vectors, alpha=0.1, mmd_weight=10.0, a=None):
    """Return c of f = K c that minimises the objective below; rows of Y for targets are ignored.

    1/ns sum_s a_i |f(x_i) - Y_i|^2 + alpha/ns |f|^2 + mmd_weight tr(f'Mf), ns = sum_s a_i.
    """
    n = len(K)
    a = np.ones(n) if a is None else np.asarray(a, dtype=float)
    E = np.diag(np.where(is_source, a, 0.0))
    ns = E.sum()
    Y = np.where(is_source[:, None], Y, 0.0)
    M = outer_sum(vectors, n)
    return np.linalg.solve(E @ K + alpha * np.eye(n) + ns * mmd_weight * M @ K, E @ Y)


def regularized_objective(c, K, is_source, Y, vectors, alpha=0.1, mmd_weight=10.0, a=None):
    """Return the objective for coefficients c, term by term."""
    a = np.ones(len(K)) if a is None else np.asarray(a, dtype=float)
    f = K @ c
    ns = a[is_source].sum()
    loss = sum(a[i] * np.sum((f[i] - Y[i]) ** 2) for i in np.flatnonzero(is_source)) / ns
    mismatch = sum(np.sum((e @ f) ** 2) for e in vectors)
    return loss + alpha / ns * np.trace(c.T @ K @ c) + mmd_weight * mismatch


def one_hot(labels, classes):
    return (np.asarray(labels)[:, None] == np.asarray(classes)[None, :]).astype(float)


def regularized_classifier(
    K,
    is_source,
    y,
    alpha=0.1,
    mmd_weight=10.0,
    conditional=True,
    marginal=True,
    max_iter=10,
    a=None,
):
    """Return coefficients, pseudo-labels and rounds; first they are of the nearest source row."""
    classes = np.unique(y[is_source])
    Y = one_hot(y, classes)
    fixed = [marginal_vector(is_source, a)] if marginal else []
    labels = np.array(y)
    labels[~is_source] = nearest_labels_in_kernel_space(K, is_source, y)
    for n_rounds in range(1, max_iter + 1):  # noqa: B007
        vectors = fixed + (shared_class_vectors(is_source, labels, a) if conditional else [])
        c = regularized_coefficients(K, is_source, Y, vectors, alpha, mmd_weight, a)
        new = np.array(y)
        new[~is_source] = classes[(K @ c).argmax(axis=1)][~is_source]
        if not conditional or np.array_equal(new, labels):
            break
        labels = new
    return c, new[~is_source], n_rounds


def nearest_labels_in_kernel_space(K, is_source, y):
    """Return for each target row the label of the source row nearest by k(x,x)-2k(x,z)+k(z,z)."""
    squares = np.diag(K)[:, None] - 2 * K + np.diag(K)[None, :]
    return y[is_source][squares[np.ix_(~is_source, is_source)].argmin(axis=1)]


# --------------------------------------------------------------------------------------
# selection


def subset_mmd2(chosen, K_cc, K_ct, K_tt):
    """Return the squared V-statistic between candidates `chosen` and all target rows."""
    chosen = list(chosen)
    within = K_cc[np.ix_(chosen, chosen)].mean()
    return within + K_tt.mean() - 2 * K_ct[chosen].mean()


def greedy_selection(n_samples, K_cc, K_ct, K_tt):
    """Return the candidates, each the one that makes MMD^2 of all chosen so far least."""
    chosen, path = [], []
    for _ in range(n_samples):
        rest = [i for i in range(len(K_cc)) if i not in chosen]
        values = [subset_mmd2([*chosen, i], K_cc, K_ct, K_tt) for i in rest]
        chosen.append(rest[int(np.argmin(values))])
        path.append(min(values))
    return chosen, path


def herding_selection(n_samples, K_cc, K_ct, K_tt):
    """Return the candidates by herding: argmax mean_t k(x_i, .) - sum_S k(x_i, .) / (t + 1)."""
    chosen, path = [], []
    for t in range(n_samples):
        rest = [i for i in range(len(K_cc)) if i not in chosen]
        values = [K_ct[i].mean() - sum(K_cc[i, j] for j in chosen) / (t + 1) for i in rest]
        chosen.append(rest[int(np.argmax(values))])
        path.append(subset_mmd2(chosen, K_cc, K_ct, K_tt))
    return chosen, path


def critic_objective(chosen, K_cc, K_ct):
    """Return MMD-critic's J(S) = 2/(n |S|) sum k - 1/|S|^2 sum k."""
    chosen = list(chosen)
    return 2 * K_ct[chosen].mean() - K_cc[np.ix_(chosen, chosen)].mean()


def critic_selection(n_samples, K_cc, K_ct):
    """Return the candidates, each the one that makes J of all chosen so far largest."""
    chosen = []
    for _ in range(n_samples):
        rest = [i for i in range(len(K_cc)) if i not in chosen]
        values = [critic_objective([*chosen, i], K_cc, K_ct) for i in rest]
        chosen.append(rest[int(np.argmax(values))])
    return chosen


def criticisms(n_criticisms, prototypes, K_cc, K_ct):
    """Return candidates that make sum |witness| + log det K_CC largest, one after the other."""
    prototypes = list(prototypes)
    witness = K_ct.mean(axis=1) - K_cc[:, prototypes].mean(axis=1)
    found = []
    for _ in range(n_criticisms):
        rest = [i for i in range(len(K_cc)) if i not in prototypes and i not in found]
        values = []
        for i in rest:
            C = [*found, i]
            sign, log_det = np.linalg.slogdet(K_cc[np.ix_(C, C)])
            values.append(np.abs(witness[C]).sum() + log_det if sign > 0 else -np.inf)
        found.append(rest[int(np.argmax(values))])
    return found
