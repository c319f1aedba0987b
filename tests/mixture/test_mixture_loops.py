"""The compiled loops of mixtures against their naive twins, in sizes that plain Python manages."""

import itertools
import math
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import special, stats

from skmmd.mixture import _loops
from tests import reference
from tests.mixture.starts import TYPES, covariances_like

FULL, DIAGONAL, SPHERICAL, NONE = range(4)
SHAPES = {
    "full": (FULL, False),
    "tied": (FULL, True),
    "diag": (DIAGONAL, False),
    "tied_diag": (DIAGONAL, True),
    "spherical": (SPHERICAL, False),
    "tied_spherical": (SPHERICAL, True),
}
NO_WEIGHT = np.empty(0)
LARGEST = 1.7976931348623157e308

seeds = st.integers(0, 2**32 - 1)
types = st.sampled_from(TYPES)
shapes = st.sampled_from([FULL, DIAGONAL, SPHERICAL])
each_type = pytest.mark.parametrize("covariance_type", TYPES)
each_shape = pytest.mark.parametrize("shape", [FULL, DIAGONAL, SPHERICAL])


def close(actual, expected, rtol=1e-9):
    """Compare, but for errors that are small beside the largest number."""
    expected = np.asarray(expected, dtype=float)
    finite = np.abs(expected[np.isfinite(expected)])
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * finite.max(initial=1e-3))


# --------------------------------------------------------------------------------------
# mixtures in the layout of the loops


def second_moments(rows, shape):
    """Return the products of features that a covariance of this shape needs."""
    n, d = rows.shape
    if shape == FULL:
        pairs = list(itertools.combinations_with_replacement(range(d), 2))
        return np.array([rows[:, i] * rows[:, j] for i, j in pairs]).reshape(len(pairs), n).T
    squares = rows**2
    return {DIAGONAL: squares, SPHERICAL: squares.sum(axis=1, keepdims=True), NONE: squares[:, :0]}[
        shape
    ]


def features_of(rows, shape):
    return np.column_stack([np.ones(len(rows)), rows, second_moments(rows, shape)])


def n_columns_of(d, shape):
    """Return the least 1 + 4 m that features fit into."""
    wanted = features_of(np.zeros((1, d)), shape).shape[1]
    return next(c for c in itertools.count(1, 4) if c >= wanted)


def covariance_row(matrix, shape):
    """Return a matrix as a row: all entries, the diagonal, or its mean."""
    diagonal = np.diagonal(matrix)
    return {FULL: matrix.ravel(), DIAGONAL: diagonal, SPHERICAL: diagonal[:1]}[shape].copy()


def factor_row(matrix, shape):
    """Return U with inverse = U U', U upper triangular, as a row."""
    return covariance_row(np.linalg.inv(np.linalg.cholesky(matrix)).T, shape)


def problem(covariance_type, n, d, k, *, seed=0, noise=False, zeros=False, offset=0.0):
    """Draw rows, weights and a mixture; the parameters also as the loops want them."""
    rng = np.random.default_rng(seed)
    shape, shared = SHAPES[covariance_type]
    X = offset + 2.0 * rng.normal(size=(n, d))
    weights = rng.dirichlet(np.full(k + noise, 5.0))
    mixture = reference.Mixture(
        weights=weights[:k],
        means=offset + 1.5 * rng.normal(size=(k, d)),
        covariances=covariances_like(covariance_type, k, d, rng, scale=2.0),
        covariance_type=covariance_type,
        noise_weight=weights[k] if noise else 0.0,
        noise_widths=rng.uniform(5.0, 20.0, d) if noise else None,
    )
    matrices = reference.mixture_matrices(mixture)[: 1 if shared else k]
    row_weight = rng.integers(0, 3, n) * rng.random(n) if zeros else NO_WEIGHT
    return SimpleNamespace(
        rng=rng, X=X, weight=row_weight, mixture=mixture, shape=shape, shared=shared, noise=noise,
        weights=weights, means=mixture.means,
        covariances=np.array([covariance_row(m, shape) for m in matrices]),
        factors=np.array([factor_row(m, shape) for m in matrices]),
        center=offset + rng.normal(size=d),
        log_noise=-float(np.log(mixture.noise_widths).sum()) if noise else 0.0,
        n_joint=k + noise,
    )  # fmt: skip


def parameters(p):
    return p.weights, p.means, p.covariances, p.factors


def in_panels(coefficients, n_panels, n_each):
    """Cut columns into panels, by a copy of the whole."""
    room = np.zeros((len(coefficients), n_panels * n_each))
    room[:, : coefficients.shape[1]] = coefficients
    return np.ascontiguousarray(room.reshape(len(room), n_panels, n_each).transpose(1, 0, 2))


def row_densities(p, X):
    """Return log(weight times density) of each component, and of the noise last."""
    rows = [reference.mixture_weighted_log_densities(p.mixture, x) for x in X]
    return np.array(rows, dtype=float).reshape(len(X), p.n_joint)


def naive_statistics(p, X, weight, references):
    """Return the log-likelihood and statistics about the references; hidden values are expected.

    Second moments come with the other sums of a component.
    """
    weight = np.ones(len(X)) if len(weight) == 0 else weight
    k, d = p.means.shape
    n_columns = features_of(np.zeros((1, d)), p.shape).shape[1]
    sums = np.zeros((p.n_joint, n_columns))
    likelihood = 0.0
    matrices = reference.mixture_matrices(p.mixture)
    for x, w in zip(X, weight, strict=True):
        if w == 0.0:
            continue
        likelihood += w * reference.mixture_log_density(p.mixture, x[None])[0]
        responsibilities = reference.mixture_responsibilities(p.mixture, x[None])[0]
        for j in range(k):
            completed, spread = reference.gaussian_conditional(x, p.means[j], matrices[j])
            row = features_of((completed - references[j])[None], p.shape)[0]
            row[1 + d :] += {
                FULL: spread[np.triu_indices(d)],
                DIAGONAL: np.diagonal(spread),
                SPHERICAL: np.trace(spread)[None],
            }[p.shape]
            sums[j] += w * responsibilities[j] * row
        if p.noise:
            sums[k, 0] += w * responsibilities[k]
    return likelihood, sums


def empty_sums(p):
    """Return room for sums and for second moments, of all components together if shared."""
    d = p.means.shape[1]
    n_second = features_of(np.zeros((1, d)), p.shape).shape[1] - 1 - d
    sums = np.zeros((p.n_joint, 1 + d + (0 if p.shared else n_second)))
    return sums, np.zeros(n_second if p.shared else 0)


def assert_statistics(p, sums, moments, expected):
    """Compare sums; the noise has only a weight, and shared second moments stand apart."""
    k, d = p.means.shape
    if p.noise:
        close(sums[k, 0], expected[k, 0])
    if p.shared:
        close(moments, expected[:k, 1 + d :].sum(axis=0))
        expected = expected[:, : 1 + d]
    close(sums[:k], expected[:k])


# --------------------------------------------------------------------------------------
# tiles


@pytest.mark.parametrize("size", [0, 1, 2, 5])
def test_copies(size, rng):
    source, target = rng.normal(size=size), np.full(size, np.nan)
    _loops.copy_row(source, target)
    np.testing.assert_array_equal(target, source)
    p = problem("full", 1, 2, size) if size else problem("tied", 1, 2, 1)
    room = tuple(np.full_like(array, np.nan) for array in parameters(p))
    _loops.copy_all(parameters(p), room)
    for array, copied in zip(parameters(p), room, strict=True):
        np.testing.assert_array_equal(copied, array)


@given(n=st.integers(0, 6), width=st.integers(1, 6), d=st.integers(1, 4), seed=seeds)
def test_a_tile_is_turned_centred_and_padded(n, width, d, seed):
    rng = np.random.default_rng(seed)
    X, center = rng.normal(size=(n, d)), rng.normal(size=d)
    for start in range(n + 1):
        for stop in range(start, min(n, start + width) + 1):
            tile = np.full((d + 2, width), np.nan)
            _loops.load_tile(X, start, stop, center, tile)
            np.testing.assert_array_equal(tile[:d, : stop - start], (X[start:stop] - center).T)
            np.testing.assert_array_equal(tile[:d, stop - start :], 0.0)
            assert np.isnan(tile[d:]).all()  # what is behind the features is not its own


@given(
    shape=st.integers(0, 3),
    d=st.integers(1, 4),
    width=st.sampled_from([1, 2, 7]),
    behind=st.integers(0, 3),
    seed=seeds,
)
def test_expansion(shape, d, width, behind, seed):
    rows = np.random.default_rng(seed).normal(size=(width, d))
    expected = features_of(rows, shape).T
    features = np.full((len(expected) + behind, width), np.nan)
    features[: 1 + d] = expected[: 1 + d]
    _loops.expand(features, d, shape)
    np.testing.assert_allclose(features[: len(expected)], expected, rtol=1e-15)
    assert np.isnan(features[len(expected) :]).all()


@given(
    k=st.integers(1, 5),
    n_columns=st.integers(1, 13),
    n_panels=st.integers(1, 4),
    more=st.integers(0, 2),
    width=st.sampled_from([1, 2, 8]),
    seed=seeds,
)
def test_products_by_panels(k, n_columns, n_panels, more, width, seed):
    rng = np.random.default_rng(seed)
    n_each = -(-n_columns // n_panels) + more
    coefficients = rng.normal(size=(k, n_columns))
    panels = np.zeros((n_panels, k, n_each))
    _loops.to_panels(coefficients, panels)
    np.testing.assert_array_equal(panels, in_panels(coefficients, n_panels, n_each))
    features = rng.normal(size=(n_panels * n_each, width))
    part, joint = np.full((2, k, width), np.nan)
    _loops.join(panels, features, part, joint)
    close(joint, coefficients @ features[:n_columns], rtol=1e-13)


# --------------------------------------------------------------------------------------
# softmax


def run_softmax(joint, n_components, weight, weight_start, n_rows):
    joint = joint.copy()
    top, total = np.full((2, joint.shape[1]), np.nan)
    with np.errstate(all="ignore"):
        value = _loops.softmax(joint, n_components, weight, weight_start, n_rows, top, total)
    return value, joint


@given(
    k=st.integers(1, 4),
    behind=st.integers(0, 2),
    width=st.sampled_from([1, 2, 5, 128, 131]),
    weighted=st.booleans(),
    impossible=st.booleans(),
    scale=st.sampled_from([1.0, 30.0, 1e4]),
    data=st.data(),
)
def test_softmax(k, behind, width, weighted, impossible, scale, data):
    """Weights, which may be zero; components that cannot be; and what a tile has behind."""
    n_rows = data.draw(st.integers(0, width) | st.just(width))
    start = data.draw(st.integers(0, 2))
    rng = np.random.default_rng(data.draw(seeds))
    joint = scale * rng.normal(size=(k + behind, width))
    if impossible:
        joint[rng.random(joint.shape) < 0.3] = -np.inf
        joint[rng.integers(k), :] = rng.normal(size=width)
    weight = rng.integers(0, 3, start + n_rows + 1) * 0.7 if weighted else NO_WEIGHT
    w = weight[start : start + n_rows] if weighted else np.ones(n_rows)
    likelihood, found = run_softmax(joint, k, weight, start, n_rows)
    log_density = special.logsumexp(joint[:k], axis=0)
    terms = w * log_density[:n_rows]
    assert likelihood == pytest.approx(
        math.fsum(terms), rel=0, abs=1e-14 * (1 + np.abs(terms).sum())
    )
    expected = np.exp(joint[:k, :n_rows] - log_density[:n_rows]) * w
    rtol = 1e-14 + 4e-15 * scale
    np.testing.assert_allclose(found[:k, :n_rows], expected, rtol=rtol, atol=1e-300)
    np.testing.assert_array_equal(found[:k, n_rows:], 0.0)
    np.testing.assert_array_equal(found[k:], joint[k:])
    assert np.all(found[:k, :n_rows][np.isneginf(joint[:k, :n_rows])] == 0.0)


def test_softmax_of_whole_tiles(rng):
    """The widths that fits have, and nothing but one row short of them."""
    for width in (64, 128, 256):
        joint = 20.0 * rng.normal(size=(5, width))
        log_density = special.logsumexp(joint, axis=0)
        for n_rows in (width, width - 1, width // 2):
            likelihood, found = run_softmax(joint, 5, NO_WEIGHT, 0, n_rows)
            assert likelihood == pytest.approx(math.fsum(log_density[:n_rows]), rel=1e-13)
            np.testing.assert_allclose(found.sum(axis=0), np.arange(width) < n_rows, rtol=1e-14)


@pytest.mark.parametrize("lowest", [-np.inf, -LARGEST])
@pytest.mark.parametrize("n_rows", [2, 130])
def test_softmax_of_a_row_that_nothing_explains(lowest, n_rows):
    """It is impossible, which is not NaN; without weight it is absent, as padding is."""
    joint = np.tile([[0.5], [1.5]], n_rows + 1)
    joint[:, [0, n_rows]] = [[lowest], [-np.inf]]
    density = np.logaddexp(0.5, 1.5)
    weight = np.full(n_rows, 2.0)
    weight[0] = 0.0
    value, found = run_softmax(joint, 2, weight, 0, n_rows)
    assert value == pytest.approx(2 * (n_rows - 1) * density, rel=1e-14)
    np.testing.assert_array_equal(found[:, [0, n_rows]], 0.0)
    np.testing.assert_allclose(found[:, 1], 2 * np.exp([0.5 - density, 1.5 - density]), rtol=1e-14)
    value, found = run_softmax(joint, 2, NO_WEIGHT, 0, n_rows)
    assert value == -np.inf
    # Callers look for what is not finite.
    assert not np.isfinite(found[:, 0]).all()
    assert np.isfinite(found[:, 1:]).all()
    np.testing.assert_array_equal(found[:, n_rows], 0.0)


@pytest.mark.parametrize("component", [0, 1])
def test_softmax_passes_nan_on(component):
    joint = np.zeros((2, 2))
    joint[component, 0] = np.nan
    value, found = run_softmax(joint, 2, NO_WEIGHT, 0, 2)
    assert np.isnan(value)
    assert np.isnan(found[:, 0]).all()
    np.testing.assert_array_equal(found[:, 1], 0.5)


# --------------------------------------------------------------------------------------
# sums


@given(half=st.integers(1, 5), m=st.integers(0, 3), width=st.sampled_from([1, 2, 3, 9]), seed=seeds)
def test_accumulation(half, m, width, seed):
    """2, 4, 6, 8 and 10 components: in fours and twos."""
    rng = np.random.default_rng(seed)
    responsibilities = rng.random((2 * half, width))
    features = rng.normal(size=(1 + 4 * m, width))
    features[0] = 1.0
    sums = rng.normal(size=(2 * half, 1 + 4 * m))
    expected = sums + responsibilities @ features.T
    _loops.accumulate(responsibilities, features, sums)
    np.testing.assert_allclose(sums, expected, rtol=1e-13, atol=1e-13)


@given(
    shape=shapes,
    n=st.sampled_from([0, 1, 2, 3, 4, 9]),
    d=st.integers(1, 4),
    weighted=st.booleans(),
    data=st.data(),
)
def test_scatter(shape, n, d, weighted, data):
    rng = np.random.default_rng(data.draw(seeds))
    start = data.draw(st.integers(0, n))
    stop = data.draw(st.integers(start, n))
    X, center = rng.normal(size=(n, d)), rng.normal(size=d)
    weight = rng.integers(0, 3, n) * 0.7 if weighted else NO_WEIGHT
    n_columns = n_columns_of(d, shape)
    features = np.zeros((n_columns, 4))
    features[0] = 1.0
    before = rng.normal(size=(2, n_columns))
    sums = before.copy()
    _loops.scatter(X, start, stop, weight, center, shape, features, np.empty((2, 4)), sums)
    rows = features_of(X[start:stop] - center, shape)
    own = weight[start:stop] if weighted else np.ones(stop - start)
    expected = before[0].copy()
    expected[: rows.shape[1]] += own @ rows
    np.testing.assert_allclose(sums[0], expected, rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(sums[1], before[1])


@given(
    n=st.sampled_from([0, 1, 2, 7]),
    d=st.integers(1, 3),
    weighted=st.booleans(),
    holes=st.sampled_from([0.0, 0.4, 1.0]),
    offset=st.sampled_from([0.0, 1e8]),
    seed=seeds,
)
def test_summary(n, d, weighted, holes, offset, seed):
    rng = np.random.default_rng(seed)
    X = offset + rng.normal(size=(n, d))
    X[rng.random((n, d)) < holes] = np.nan
    weight = rng.random(n) if weighted else NO_WEIGHT
    origin = offset + rng.normal(size=d)
    summary = np.full((5, d), np.nan)
    total = _loops.summarize(X, weight, origin, summary)
    w = weight if weighted else np.ones(n)
    assert total == pytest.approx(w.sum())
    for j in range(d):
        seen = ~np.isnan(X[:, j])
        x, own = X[seen, j].astype(np.longdouble), w[seen]
        if len(x) == 0:
            assert summary[:, j].tolist() == [0.0, origin[j], 0.0, np.inf, -np.inf]
            continue
        mean = (own * x).sum() / own.sum()
        square = (own * (x - mean) ** 2).sum()
        assert summary[0, j] == pytest.approx(own.sum())
        np.testing.assert_allclose(summary[1, j], float(mean), rtol=1e-15, atol=3e-15)
        np.testing.assert_allclose(summary[2, j], float(square), rtol=1e-7, atol=1e-14)
        assert summary[3:, j].tolist() == [float(x.min()), float(x.max())]


# --------------------------------------------------------------------------------------
# factors


@given(d=st.integers(0, 5), room=st.integers(0, 2), seed=seeds)
def test_inverted_cholesky(d, room, seed):
    """Also in arrays that are larger than needed, as patterns of missing values have them."""
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(d, d)) + np.eye(d)
    matrix = A @ A.T + 0.1 * np.eye(d)
    lower, inverse = np.full((2, d + room, d + room), np.nan)
    packed = np.append(matrix.ravel(), np.full(room, np.nan))
    assert _loops.invert_cholesky(packed, d, lower, inverse)
    factor = np.linalg.cholesky(matrix) if d else matrix
    close(lower[:d, :d], factor, rtol=1e-11)
    close(inverse[:d, :d], np.linalg.inv(factor) if d else factor, rtol=1e-11)
    assert np.isnan(lower[d:]).all()
    assert np.isnan(inverse[:, d:]).all()


NOT_POSITIVE = [
    [[0.0]],
    [[-1.0]],
    [[np.nan]],
    [[np.inf]],
    [[1.0, 1.0], [1.0, 1.0]],
    [[1.0, 2.0], [2.0, 1.0]],
    [[1.0, np.nan], [np.nan, 1.0]],
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, -1e-30]],
]


@pytest.mark.parametrize("matrix", NOT_POSITIVE, ids=str)
def test_what_is_not_positive_definite_has_no_factor(matrix):
    d = len(matrix)
    matrix = np.array(matrix)
    assert not _loops.invert_cholesky(matrix.ravel(), d, *np.empty((2, d, d)))
    good = np.eye(d).ravel()
    for rows in ([matrix.ravel()], [good, matrix.ravel()]):
        assert not _loops.factorize(np.array(rows), d, FULL, np.empty((len(rows), d * d)))


@pytest.mark.parametrize("shape", [DIAGONAL, SPHERICAL])
@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_variances_must_be_positive(shape, bad):
    rows = np.array([[1.0, 2.0], [3.0, bad]]) if shape == DIAGONAL else np.array([[1.0], [bad]])
    assert not _loops.factorize(rows, 2, shape, np.empty_like(rows))


@given(covariance_type=types, d=st.integers(1, 4), k=st.integers(1, 3), seed=seeds)
def test_factors_and_constants(covariance_type, d, k, seed):
    p = problem(covariance_type, 1, d, k, seed=seed)
    factors = np.full_like(p.covariances, np.nan)
    assert _loops.factorize(p.covariances, d, p.shape, factors)
    close(factors, p.factors, rtol=1e-12)
    for factor, matrix in zip(p.factors, reference.mixture_matrices(p.mixture), strict=False):
        expected = stats.multivariate_normal(np.zeros(d), matrix).logpdf(np.zeros(d))
        assert _loops.log_constant(factor, d, p.shape) == pytest.approx(expected, rel=1e-12)


# --------------------------------------------------------------------------------------
# log densities as linear functions


def linear_functions(p):
    d = p.means.shape[1]
    room = np.full((p.n_joint + p.n_joint % 2, n_columns_of(d, NONE if p.shared else p.shape)), 7.0)
    with np.errstate(divide="ignore"):
        condition = _loops.linearize(*parameters(p), p.center, p.shape, p.shared, p.log_noise, room)
    return room, condition


@given(
    covariance_type=types,
    d=st.integers(1, 4),
    k=st.integers(1, 4),
    noise=st.booleans(),
    seed=seeds,
)
def test_linear_functions_are_log_densities(covariance_type, d, k, noise, seed):
    p = problem(covariance_type, 5, d, k, noise=noise, seed=seed)
    coefficients, _ = linear_functions(p)
    centred = p.X - p.center
    features = features_of(centred, NONE if p.shared else p.shape)
    found = features @ coefficients[: p.n_joint, : features.shape[1]].T
    expected = row_densities(p, p.X)
    if p.shared:
        matrix = reference.mixture_matrices(p.mixture)[0]
        left_out = np.einsum("ni,ij,nj->n", centred, np.linalg.inv(matrix), centred)
        expected[:, :k] += 0.5 * left_out[:, None]
    close(found, expected, rtol=1e-11)
    np.testing.assert_array_equal(coefficients[:, features.shape[1] :], 0.0)
    np.testing.assert_array_equal(coefficients[p.n_joint :], 0.0)


@given(covariance_type=types, d=st.integers(1, 3), k=st.integers(1, 3), seed=seeds)
def test_the_condition_is_the_largest_sum_of_magnitudes(covariance_type, d, k, seed):
    """It is reached in a corner of the box three standard deviations around a mean."""
    p = problem(covariance_type, 1, d, k, seed=seed)
    _, condition = linear_functions(p)
    largest = 0.0
    for mean, matrix in zip(p.means, reference.mixture_matrices(p.mixture), strict=True):
        precision = np.linalg.inv(matrix)
        for signs in itertools.product([-3.0, 3.0], repeat=d):
            x = mean + signs * np.sqrt(np.diagonal(matrix)) - p.center
            largest = max(largest, np.abs(precision * np.outer(x, x)).sum())
    assert condition == pytest.approx(largest, rel=1e-9)


@each_type
def test_a_component_without_weight_is_impossible_and_does_not_count(covariance_type):
    p = problem(covariance_type, 1, 2, 3, noise=True)
    p.weights[1:] = 0.0, 0.0, 0.0
    p.means[1:] = 1e9
    coefficients, condition = linear_functions(p)
    np.testing.assert_array_equal(coefficients[1:4, 0], -np.inf)
    assert condition < 1e4
    p.weights[1] = 1e-3
    assert linear_functions(p)[1] > 1e15


# --------------------------------------------------------------------------------------
# the M step


def naive_covariance(scatter, n, shape, ridge, prior, strength):
    """Return the covariance that maximises n rows' likelihood times the prior, plus the ridge."""
    d = len(scatter)
    if shape == FULL:
        return (scatter + prior) / (n + strength) + np.diag(ridge)
    if shape == DIAGONAL:
        return (np.diagonal(scatter) + np.diagonal(prior)) / (n + strength) + ridge
    return np.array([(np.trace(scatter) + prior[0, 0]) / (n * d + strength) + ridge.mean()])


def held(d, has_prior, rng):
    """Draw a ridge, the scale matrix of a prior, and its strength."""
    if not has_prior:
        return rng.random(d), np.zeros((d, d)), 0.0
    A = rng.normal(size=(d, d))
    return np.zeros(d), A @ A.T + np.eye(d), 2.0 * d + 3.5


@given(
    covariance_type=types,
    n=st.sampled_from([1, 2, 7]),
    d=st.integers(1, 3),
    k=st.integers(1, 3),
    noise=st.booleans(),
    dead=st.booleans(),
    has_prior=st.booleans(),
    seed=seeds,
)
def test_maximisation(covariance_type, n, d, k, noise, dead, has_prior, seed):
    p = problem(covariance_type, n, d, k, noise=noise, seed=seed)
    ridge, prior, strength = held(d, has_prior, p.rng)
    r = p.rng.random((n, p.n_joint)) + 0.01
    dead = dead and p.n_joint > 1
    if dead:
        r[:, 0] = 1e-17
    references = p.rng.normal(size=(k, d))
    sums = np.zeros((p.n_joint, n_columns_of(d, p.shape)))
    moments, scatter_of_all, mass_of_all = 0.0, np.zeros((d, d)), 0.0
    expected = [r.sum(axis=0) / r.sum(), np.empty((k, d)), np.empty_like(p.covariances)]
    for j in range(k):
        rows = features_of(p.X - references[j], p.shape)
        sums[j, : rows.shape[1]] = r[:, j] @ rows
        if dead and j == 0:
            expected[0][0], expected[1][0] = 0.0, p.means[0]
            expected[2][0] = p.covariances[0]
            sums[j, 1:] = np.nan  # whatever they are
            continue
        moments = moments + r[:, j] @ rows[:, 1 + d :]
        expected[1][j] = r[:, j] @ p.X / r[:, j].sum()
        difference = p.X - expected[1][j]
        scatter = (r[:, j] * difference.T) @ difference
        scatter_of_all += scatter
        mass_of_all += r[:, j].sum()
        if not p.shared:
            held_back = (scatter, r[:, j].sum(), p.shape, ridge, prior, strength)
            expected[2][j] = naive_covariance(*held_back).ravel()
    sums[k:, 0] = r[:, k:].sum(axis=0)
    if p.shared and mass_of_all:
        held_back = (scatter_of_all, mass_of_all, p.shape, ridge, prior, strength)
        expected[2][0] = naive_covariance(*held_back).ravel()
    if p.shared:
        sums = np.ascontiguousarray(sums[:, : n_columns_of(d, NONE)])
    new = [np.full_like(array, np.nan) for array in parameters(p)]
    n_dead = _loops.maximize(
        sums, np.atleast_1d(moments) if p.shared else NO_WEIGHT, references, p.means,
        p.covariances, p.shape, p.shared, ridge, covariance_row(prior, p.shape), strength, *new,
    )  # fmt: skip
    assert n_dead == int(dead)
    for found, wanted in zip(new, expected, strict=False):
        close(found, wanted, rtol=1e-10)
    assert new[0].sum() == pytest.approx(1.0, abs=1e-15)
    factors = np.empty_like(p.factors)
    assert _loops.factorize(new[2], d, p.shape, factors)
    np.testing.assert_array_equal(new[3], factors)
    if p.shape == FULL:
        matrices = new[2].reshape(-1, d, d)
        np.testing.assert_array_equal(matrices, matrices.transpose(0, 2, 1))


@each_type
@pytest.mark.parametrize("value", [0.0, np.nan])
def test_no_parameters_from_one_point_or_nan(covariance_type, value):
    p = problem(covariance_type, 1, 2, 2)
    sums = np.zeros((2, n_columns_of(2, p.shape)))
    sums[:, 0] = 1.0, 2.0 + value
    new = [np.empty_like(array) for array in parameters(p)]
    found = _loops.maximize(
        sums, np.zeros(3), p.means, p.means, p.covariances, p.shape, p.shared, np.zeros(2),
        NO_WEIGHT, 0.0, *new,
    )  # fmt: skip
    assert found == -1


@each_shape
@pytest.mark.parametrize("has_prior", [False, True])
def test_prior_and_ridge(shape, has_prior, rng):
    """As a start uses them: on a covariance, of which a full one is an upper triangle."""
    ridge, prior, strength = held(3, has_prior, rng)
    A = rng.normal(size=(3, 3))
    scatter, n = A @ A.T, 5.5
    row = covariance_row(np.triu(scatter) / n, shape)
    if shape == SPHERICAL:
        row[0] = np.trace(scatter) / (3 * n)
    _loops.add_prior(row, n, 3, shape, ridge, covariance_row(prior, shape), strength)
    close(row, naive_covariance(scatter, n, shape, ridge, prior, strength).ravel(), rtol=1e-13)


@given(
    covariance_type=types,
    d=st.integers(1, 4),
    k=st.integers(1, 3),
    more=st.floats(0.1, 5),
    seed=seeds,
)
def test_log_prior_is_that_of_inverse_wishart_laws(covariance_type, d, k, more, seed):
    """Up to a constant, which the difference of two mixtures does not have."""
    rng = np.random.default_rng(seed)
    _, prior, _ = held(d, True, rng)
    dimension = d if SHAPES[covariance_type][0] == FULL else 1
    degrees = dimension - 1 + more

    def log_density(p):
        rows = [covariance_row(prior, p.shape)] * len(p.covariances)
        if p.shape == FULL:
            scales, values = [prior] * len(rows), p.covariances.reshape(-1, d, d)
        else:
            scales, values = np.concatenate(rows), p.covariances.ravel()
        return sum(
            stats.invwishart(df=degrees, scale=scale).logpdf(value)
            for scale, value in zip(scales, values, strict=True)
        )

    pair = [problem(covariance_type, 1, d, k, seed=number) for number in (seed, seed ^ 1)]
    found = [
        _loops.log_prior(
            p.covariances, p.factors, d, p.shape, covariance_row(prior, p.shape),
            degrees + dimension + 1,
        )
        for p in pair
    ]  # fmt: skip
    expected = [log_density(p) for p in pair]
    close(found[0] - found[1], expected[0] - expected[1], rtol=1e-8)
    assert (
        _loops.log_prior(pair[0].covariances, pair[0].factors, d, pair[0].shape, prior[0], 0.0) == 0
    )


@given(covariance_type=st.sampled_from(TYPES[1:2] + TYPES[4:]), d=st.integers(1, 4), seed=seeds)
def test_the_quadratic_form_of_a_shared_covariance(covariance_type, d, seed):
    p = problem(covariance_type, 6, d, 1, seed=seed)
    precision = np.linalg.inv(reference.mixture_matrices(p.mixture)[0])
    moments = second_moments(p.X, p.shape).sum(axis=0)
    found = _loops.shared_quadratic(moments, p.factors, d, p.shape)
    assert found == pytest.approx(np.trace(precision @ p.X.T @ p.X), rel=1e-10)


# --------------------------------------------------------------------------------------
# sweeps


def constants_of(p):
    """Return log weight plus log density at the mean, and of the noise."""
    zero = np.zeros(p.means.shape[1])
    matrices = reference.mixture_matrices(p.mixture)
    heights = [reference.gaussian_log_density(zero, zero, matrix) for matrix in matrices]
    heights += [p.log_noise] * p.noise
    return np.log(p.weights) + np.array(heights, dtype=float)


def linear_room(p, width, n_panels):
    """Return empty panels and buffers of the linear form; what rows leave behind is not zero."""
    d = p.means.shape[1]
    n_columns = n_columns_of(d, NONE if p.shared else p.shape)
    n_each = -(-n_columns // n_panels)
    features = np.zeros((n_panels * n_each, width))
    features[0] = 1.0
    n_rows = p.n_joint + p.n_joint % 2
    joint, part = np.zeros((2, n_rows, width))
    buffers = (features, joint, part, np.full(width, np.nan), np.full(width, np.nan))
    return np.zeros((n_panels, n_rows, n_each)), buffers, np.zeros((n_rows, n_columns))


def direct_room(p, width):
    d = p.means.shape[1]
    sizes = [(d, width), (2, d, width), (p.n_joint, width), (width,), (width,), (d, d)]
    return tuple(np.full(size, np.nan) for size in sizes)


sweeps = given(
    covariance_type=types,
    n=st.sampled_from([0, 1, 2, 3, 4, 9]),
    d=st.integers(1, 3),
    k=st.integers(1, 3),
    noise=st.booleans(),
    zeros=st.booleans(),
    data=st.data(),
)


@sweeps
def test_sweep(covariance_type, n, d, k, noise, zeros, data):
    # A shared quadratic form that is left out is not common to components and noise.
    noise = noise and not SHAPES[covariance_type][1]
    p = problem(covariance_type, n, d, k, noise=noise, zeros=zeros, seed=data.draw(seeds))
    start = data.draw(st.integers(0, n))
    stop = data.draw(st.integers(start, n))
    panels, buffers, sums = linear_room(p, 4, data.draw(st.integers(1, 3)))
    _loops.to_panels(linear_functions(p)[0], panels)
    used = NONE if p.shared else p.shape
    likelihood = _loops.sweep(
        p.X, start, stop, p.weight, p.center, panels, p.n_joint, used, buffers, sums
    )
    X, weight = p.X[start:stop], p.weight[start:stop]
    references = np.tile(p.center, (k, 1))
    expected, statistics = naive_statistics(p, X, weight, references)
    if p.shared:
        own = weight if zeros else np.ones(len(X))
        precision = np.linalg.inv(reference.mixture_matrices(p.mixture)[0])
        centred = X - p.center
        expected += 0.5 * own @ np.einsum("ni,ij,nj->n", centred, precision, centred)
        statistics = statistics[:, : 1 + d]
    close(likelihood, expected)
    close(sums[:k, : statistics.shape[1]], statistics[:k])
    if noise:
        close(sums[k, 0], statistics[k, 0])
    np.testing.assert_array_equal(sums[p.n_joint :], 0.0)
    np.testing.assert_array_equal(sums[:, statistics.shape[1] :], 0.0)


@sweeps
def test_sweep_by_differences(covariance_type, n, d, k, noise, zeros, data):
    p = problem(covariance_type, n, d, k, noise=noise, zeros=zeros, seed=data.draw(seeds))
    start = data.draw(st.integers(0, n))
    stop = data.draw(st.integers(start, n))
    sums, moments = empty_sums(p)
    likelihood = _loops.sweep_directly(
        p.X, start, stop, p.weight, p.center, p.means - p.center, p.factors, constants_of(p),
        noise, p.shape, p.shared, direct_room(p, 4), sums, moments,
    )  # fmt: skip
    expected, statistics = naive_statistics(p, p.X[start:stop], p.weight[start:stop], p.means)
    close(likelihood, expected)
    assert_statistics(p, sums, moments, statistics)


@each_type
def test_differences_hold_where_linear_functions_do_not(covariance_type):
    """Narrow components 1e6 of their widths apart."""
    p = problem(covariance_type, 6, 2, 3, seed=4)
    p.means[:] *= 1e6
    p.X[:] = np.repeat(p.means, 2, axis=0) + p.X
    sums, moments = empty_sums(p)
    likelihood = _loops.sweep_directly(
        p.X, 0, 6, NO_WEIGHT, p.center, p.means - p.center, p.factors, constants_of(p),
        False, p.shape, p.shared, direct_room(p, 4), sums, moments,
    )  # fmt: skip
    expected, statistics = naive_statistics(p, p.X, NO_WEIGHT, p.means)
    np.testing.assert_allclose(likelihood, expected, rtol=1e-8)
    for found, wanted in zip(sums, statistics, strict=True):
        np.testing.assert_allclose(found, wanted[: len(found)], rtol=1e-7)
    assert linear_functions(p)[1] > 1e10


@given(
    covariance_type=types,
    d=st.integers(1, 3),
    k=st.integers(1, 3),
    width=st.integers(1, 5),
    seed=seeds,
)
def test_a_tile_of_densities_and_of_sums(covariance_type, d, k, width, seed):
    """The two halves of a sweep by differences, each alone; a component may have no row."""
    p = problem(covariance_type, width, d, k, seed=seed)
    tile, rooms, joint, _, _, square = direct_room(p, width)
    _loops.load_tile(p.X, 0, width, np.zeros(d), tile)
    _loops.join_directly(tile, p.means, p.factors, constants_of(p), p.shape, p.shared, rooms, joint)
    close(joint.T, row_densities(p, p.X), rtol=1e-11)
    responsibilities = p.rng.random((k, width))
    responsibilities[0] = 0.0
    before = p.rng.normal(size=empty_sums(p)[0].shape)
    sums, moments = before.copy(), empty_sums(p)[1]
    _loops.accumulate_directly(
        tile, p.means, p.shape, p.shared, responsibilities, rooms, square, sums, moments
    )
    expected = np.array(
        [r @ features_of(p.X - m, p.shape) for r, m in zip(responsibilities, p.means, strict=True)]
    )
    assert_statistics(p, sums - before, moments, expected)
    np.testing.assert_array_equal(sums[0], before[0])


@given(
    covariance_type=types,
    n=st.sampled_from([0, 1, 2, 4, 9]),
    d=st.integers(1, 3),
    k=st.integers(1, 3),
    noise=st.booleans(),
    direct=st.booleans(),
    data=st.data(),
)
def test_transform(covariance_type, n, d, k, noise, direct, data):
    p = problem(covariance_type, n, d, k, noise=noise, seed=data.draw(seeds))
    direct = direct or (noise and p.shared)
    panels, buffers, _ = linear_room(p, 4, data.draw(st.integers(1, 3)))
    _loops.to_panels(linear_functions(p)[0], panels)
    rooms = np.full((2, d, 4), np.nan)
    responsibilities, log_density = np.full((n, p.n_joint), np.nan), np.full(n, np.nan)
    _loops.transform(
        p.X, p.center, panels, p.n_joint, p.means - p.center, p.factors, constants_of(p), p.shape,
        p.shared, direct, (*buffers, rooms), responsibilities, log_density,
    )  # fmt: skip
    expected = reference.mixture_responsibilities(p.mixture, p.X).reshape(n, p.n_joint)
    close(responsibilities, expected)
    close(log_density, reference.mixture_log_density(p.mixture, p.X))


# --------------------------------------------------------------------------------------
# missing values


def by_pattern(X):
    """Sort rows by what is observed; return them, where patterns start, and the patterns."""
    order = sorted(range(len(X)), key=lambda i: tuple(np.isnan(X[i])))
    X = X[order]
    observed = (~np.isnan(X)).astype(np.uint8)
    groups = [(key, len(list(rows))) for key, rows in itertools.groupby(map(tuple, observed))]
    starts = np.cumsum([0] + [length for _, length in groups])
    patterns = np.array([key for key, _ in groups], dtype=np.uint8).reshape(-1, X.shape[1])
    return X, starts.astype(np.intp), patterns


@given(
    covariance_type=types,
    n=st.sampled_from([0, 1, 2, 3, 8]),
    d=st.integers(1, 3),
    k=st.integers(1, 3),
    noise=st.booleans(),
    zeros=st.booleans(),
    holes=st.sampled_from([0.0, 0.3, 0.7, 1.0]),
    filling=st.sampled_from([np.nan, 1e300, 0.0]),
    seed=seeds,
)
def test_sweep_of_missing_values(covariance_type, n, d, k, noise, zeros, holes, filling, seed):
    """Conditional means and covariances; a missing value may be any number."""
    p = problem(covariance_type, n, d, k, noise=noise, zeros=zeros, seed=seed)
    p.X[p.rng.random((n, d)) < holes] = np.nan
    X, starts, observed = by_pattern(p.X)
    sums, moments = empty_sums(p)
    responsibilities, log_density = np.full((n, p.n_joint), np.nan), np.full(n, np.nan)
    likelihood = _loops.sweep_missing(
        np.where(np.isnan(X), filling, X), p.weight, starts, observed, p.means, p.covariances,
        p.weights, -np.log(p.mixture.noise_widths) if noise else np.zeros(d), p.shape, p.shared,
        sums, moments, responsibilities, log_density,
    )  # fmt: skip
    expected, statistics = naive_statistics(p, X, p.weight, p.means)
    close(likelihood, expected)
    assert_statistics(p, sums, moments, statistics)
    wanted = reference.mixture_responsibilities(p.mixture, X).reshape(n, p.n_joint)
    close(responsibilities, wanted)
    close(log_density, reference.mixture_log_density(p.mixture, X))
    np.testing.assert_array_equal(log_density[np.isnan(X).all(axis=1)], 0.0)


def test_missing_values_under_a_covariance_that_is_not_positive_definite():
    p = problem("full", 3, 2, 2)
    p.covariances[1] = 1.0, 2.0, 2.0, 1.0
    sums, moments = empty_sums(p)
    for pattern, is_fine in (([1, 1], False), ([1, 0], True)):
        found = _loops.sweep_missing(
            p.X, NO_WEIGHT, np.array([0, 3]), np.array([pattern], dtype=np.uint8), p.means,
            p.covariances, p.weights, np.zeros(2), p.shape, p.shared, sums, moments,
            np.empty((3, 2)), np.empty(3),
        )  # fmt: skip
        assert np.isfinite(found) == is_fine


@given(d=st.integers(1, 4), data=st.data())
def test_conditional_covariances(d, data):
    """From no feature given to all of them."""
    given_features = data.draw(st.lists(st.booleans(), min_size=d, max_size=d))
    p = problem("full", 1, d, 1, seed=data.draw(seeds))
    x = np.where(given_features, 1.0, np.nan)
    known, hidden = np.flatnonzero(given_features), np.flatnonzero(np.isnan(x))
    rooms = np.full((4, d, d), np.nan)
    assert _loops.condition_covariance(
        p.covariances[0], d, np.append(known, hidden), len(known), np.append(hidden, known),
        len(hidden), np.full(d * d, np.nan), *rooms,
    )  # fmt: skip
    lower, inverse, regression, conditional = rooms
    matrix = p.covariances[0].reshape(d, d)
    _, spread = reference.gaussian_conditional(x, np.zeros(d), matrix)
    size = len(hidden), len(known)
    close(conditional[: size[0], : size[0]], spread[np.ix_(hidden, hidden)])
    block = matrix[np.ix_(known, known)]
    close(lower[: size[1], : size[1]] @ lower[: size[1], : size[1]].T, block)
    close(inverse[: size[1], : size[1]] @ lower[: size[1], : size[1]], np.eye(size[1]))
    close(regression[: size[0], : size[1]] @ block, matrix[np.ix_(hidden, known)])


# --------------------------------------------------------------------------------------
# the loop


def test_convergence_by_the_change():
    for change in (-2.0, -0.1, 0.0, 0.1, 2.0):
        history = np.array([5.0, -1.0, -1.0 + change])
        assert _loops.has_converged(history, 2, 0.5, False) == (abs(change) < 0.5)
    assert not _loops.has_converged(np.array([-np.inf, -np.inf, 3.0]), 2, 1e300, False)


@given(
    gain=st.floats(1e-6, 1e3),
    ratio=st.floats(0.01, 0.999),
    step=st.integers(2, 9),
    factor=st.sampled_from([0.5, 0.9, 1.1, 2.0]),
)
def test_convergence_by_what_is_left_to_gain(gain, ratio, step, factor):
    """Gains that shrink by one ratio: the sum of all that follow is known."""
    history = -gain * ratio ** np.arange(step + 1)
    left = gain * ratio**step
    if left < 1e-9 * gain:
        return  # changes are all rounding
    assert _loops.has_converged(history, step, factor * left, True) == (factor > 1.0)


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([-np.inf, -np.inf, -3.0], False),  # the first step
        ([-np.inf, -3.0, -2.9], False),  # no gain before to compare with
        ([-3.0, -2.99, -2.9], False),  # a gain that grows
        ([-3.0, -2.9, -2.8], False),  # or stays
        ([-3.0, -2.0, -2.0], True),  # none at all
        ([-3.0, -2.0, -2.05], True),  # a loss within the tolerance
        ([-3.0, -2.0, -2.5], False),
        ([-3.0, -2.0, np.nan], False),
    ],
)
def test_convergence_where_there_is_no_ratio(history, expected):
    with np.errstate(invalid="ignore"):
        assert _loops.has_converged(np.array(history), 2, 0.1, True) == expected


class Em:
    """EM by the loop, from some parameters: each call goes on from where the last has ended."""

    def __init__(self, p, *, chunk_size=100, limit=1e5, ridge=0.0, prior=None, strength=0.0):
        self.p, self.chunk_size, self.limit, self.strength = p, chunk_size, limit, strength
        d = p.means.shape[1]
        self.ridge = np.full(d, ridge)
        self.prior = NO_WEIGHT if prior is None else covariance_row(prior, p.shape)
        self.state = tuple(array.copy() for array in parameters(p))
        own = p.weight if len(p.weight) else np.ones(len(p.X))
        self.total = float(own.sum())
        self.moments = own @ second_moments(p.X - p.center, p.shape) if p.shared else NO_WEIGHT
        self.sums = linear_room(p, 4, 2)[2]

    def __call__(self, history, *, part=0, rows=None, tol=0.0, aitken=False):
        p = self.p
        panels, buffers, _ = linear_room(p, 4, 2)
        X, first, last = (p.X, 0, len(p.X)) if rows is None else rows
        with np.errstate(all="ignore"):
            return _loops.iterate(
                X, first, last, p.weight, self.total, p.center, self.moments, self.ridge,
                self.prior, self.strength, p.log_noise, p.shape, p.shared, *self.state,
                self.chunk_size, self.limit, tol, aitken, part, panels, self.sums, history,
                buffers,
            )  # fmt: skip

    def run(self, n_steps, **options):
        history = np.full(2 + n_steps, -np.inf)
        return self(history, **options), history[2:]

    def mixture(self):
        d, k = self.p.means.shape[1], len(self.p.means)
        weights, means, covariances, _ = self.state
        each = {FULL: (d, d), DIAGONAL: (d,), SPHERICAL: ()}[self.p.shape]
        covariances = covariances.reshape(each if self.p.shared else (k, *each))
        return weights, means, covariances


@each_type
@pytest.mark.parametrize("has_prior", [False, True])
@pytest.mark.parametrize("n_steps", [0, 1, 2, 4])
def test_iterations_are_those_of_the_twin(covariance_type, has_prior, n_steps):
    shape, shared = SHAPES[covariance_type]
    p = problem(covariance_type, 25, 2, 2, noise=not shared, zeros=True, seed=7)
    dimension = 2 if shape == FULL else 1
    degrees = dimension + 2.0
    holding = {"ridge": 0.01}
    twin = {"reg_covar": 0.01}
    if has_prior:
        holding = {"prior": 0.3 * np.eye(2), "strength": degrees + dimension + 1}
        twin = {"prior": (0.3, degrees)}
    em = Em(p, chunk_size=10, **holding)
    (status, done, n_dead), history = em.run(n_steps)
    assert (status, done, n_dead) == (0, n_steps, 0)
    expected, bounds = p.mixture, []
    for _ in range(n_steps):
        log_prior = reference.mixture_log_prior(expected, 0.3, degrees) if has_prior else 0.0
        expected, bound = reference.mixture_em_step(expected, p.X, weights=p.weight, **twin)
        bounds.append(bound + log_prior / p.weight.sum())
    close(history, bounds)
    weights, means, covariances = em.mixture()
    close(weights[:2], expected.weights)
    close(weights[2:], [expected.noise_weight] * p.noise)
    close(means, expected.means)
    close(covariances, expected.covariances)


@each_type
@pytest.mark.parametrize("n", [1, 2, 23])
def test_parts_change_no_bit(covariance_type, n):
    """Steps at once, one by one, and from statistics of blocks that were merged in their order."""
    p = problem(covariance_type, n, 2, 3, noise=not SHAPES[covariance_type][1], zeros=n > 2, seed=3)
    p.X[:], p.means[:] = 0.3 * p.X, 0.3 * p.means
    options = {"chunk_size": 8, "ridge": 0.1}
    whole = Em(p, **options)
    found, history = whole.run(3)
    assert found == (0, 3, 0)
    single, parts = Em(p, **options), Em(p, **options)
    for step in range(3):
        assert single.run(1)[0] == (0, 1, 0)
        total, likelihood = np.zeros_like(parts.sums), 0.0
        before = [array.copy() for array in parts.state]
        for start in range(0, n, 8):
            values = np.full(3, -np.inf)
            assert parts(values, part=1, rows=(p.X, start, min(start + 8, n))) == (0, 0, 0)
            total += parts.sums
            likelihood += values[2]
        for array, old in zip(parts.state, before, strict=True):
            np.testing.assert_array_equal(array, old)
        parts.sums[:] = total
        values = np.array([-np.inf, -np.inf, likelihood])
        assert parts(values, part=2, rows=(np.empty((0, 2)), 0, 0)) == (0, 1, 0)
        assert values[2] == history[step]
    for other in (single, parts):
        for array, expected in zip(other.state, whole.state, strict=True):
            np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("aitken", [False, True])
def test_it_stops_where_it_has_converged(aitken):
    """The objective is that before each step; parameters are those after the last one."""
    p = problem("full", 40, 2, 2, seed=11)
    em = Em(p, ridge=0.01)
    (status, done, n_dead), history = em.run(200, tol=1e-3, aitken=aitken)
    assert (status, n_dead) == (1, 0)
    assert 2 < done < 200
    assert not np.isinf(history[:done]).any()
    assert np.isneginf(history[done:]).all()
    padded = np.concatenate([[-np.inf, -np.inf], history[:done]])
    with np.errstate(invalid="ignore"):
        stops = [_loops.has_converged(padded, i, 1e-3, aitken) for i in range(2, len(padded))]
    assert stops == [False] * (done - 1) + [True]
    same = Em(p, ridge=0.01)
    assert same.run(done)[0][:2] == (0, done)
    for array, expected in zip(em.state, same.state, strict=True):
        np.testing.assert_array_equal(array, expected)


def test_history_goes_on_from_what_was_before():
    p = problem("diag", 30, 2, 2, seed=2)
    first = Em(p, ridge=0.01)
    _, history = first.run(3)
    values = np.append(history[-2:], [-np.inf] * 4)
    change = abs(Em(p, ridge=0.01).run(4)[1][3] - history[2])
    assert first(values, tol=1.01 * change) == (1, 1, 0)


def collapsing():
    """A row far from all others, and a component that will soon be there alone."""
    p = problem("full", 20, 2, 2, seed=5)
    p.X[0] = 30.0
    p.means[1] = 25.0
    p.covariances[1] = 9.0, 0.0, 0.0, 9.0
    p.factors[1] = 1 / 3.0, 0.0, 0.0, 1 / 3.0
    return p


@pytest.mark.parametrize("ridge", [0.0, 1e-9])
def test_the_step_into_a_collapse_is_not_taken(ridge):
    """Whether it has no factor, or one that linear functions are not accurate enough for."""
    p = collapsing()
    em = Em(p, ridge=ridge)
    status, done, n_dead = em.run(20)[0]
    assert (status, n_dead) == (2, 0)
    same = Em(p, ridge=ridge)
    assert same.run(done)[0] == (0, done, 0)
    for array, expected in zip(em.state, same.state, strict=True):
        assert np.isfinite(array).all()
        np.testing.assert_array_equal(array, expected)
    assert em.run(1)[0] == (2, 0, 0)


def test_no_step_is_taken_beyond_the_limit():
    p = problem("spherical", 10, 1, 2, seed=1)
    condition = linear_functions(p)[1]
    for limit, expected in ((0.99 * condition, (2, 0, 0)), (1.01 * condition, (0, 0, 0))):
        em = Em(p, limit=limit)
        assert em.run(0)[0] == expected
        for part in (0, 1, 2):
            if expected[0] == 2:
                assert em.run(1, part=part)[0] == expected
        for array, before in zip(em.state, parameters(p), strict=True):
            np.testing.assert_array_equal(array, before)


def test_a_component_that_no_row_belongs_to_is_counted():
    p = problem("diag", 12, 2, 3, seed=1)
    p.means[2] = 500.0
    em = Em(p, limit=1e9, ridge=0.1)
    assert em.run(2)[0] == (0, 2, 1)
    assert em.state[0][2] == 0.0
    np.testing.assert_array_equal(em.state[1][2], 500.0)
    np.testing.assert_array_equal(em.state[2][2], p.covariances[2])


# --------------------------------------------------------------------------------------
# where to start


def naive_hash(row, seed):
    """Multiply and fold by whole numbers of any size."""
    value = seed
    for x in row:
        bits = struct.unpack("<Q", struct.pack("<d", x + 0.0))[0]
        value = (value ^ bits) * 0xD6E8FEB86659FD93 % 2**64
        value = (value ^ value >> 32) * 0xD6E8FEB86659FD93 % 2**64
    value = (value ^ value >> 32) * 0xD6E8FEB86659FD93 % 2**64
    return value ^ value >> 32


def hashes_of(X, seed):
    X = np.asarray(X, dtype=float)
    found = np.zeros(len(X), np.uint64)
    _loops.hash_rows(X, np.uint64(seed), found)
    return found


@given(
    X=st.lists(st.tuples(st.floats(), st.floats(-2, 2)), max_size=8),
    seed=st.integers(0, 2**64 - 1),
)
def test_hashes_are_those_of_the_twin(X, seed):
    X = np.array(X, dtype=float).reshape(-1, 2)
    X[np.isnan(X)] = np.nan  # one of many
    assert hashes_of(X, seed).tolist() == [naive_hash(row, seed) for row in X]


def test_hashes_of_zeros_orders_and_seeds(rng):
    np.testing.assert_array_equal(
        hashes_of([[0.0, -0.0, 1.0]], 5), hashes_of([[-0.0, 0.0, 1.0]], 5)
    )
    X = rng.normal(size=(50, 2))
    X[10] = X[30]
    order = rng.permutation(50)
    found = hashes_of(X, 1)
    np.testing.assert_array_equal(hashes_of(X[order], 1), found[order])
    assert len(np.unique(found)) == 49
    assert not np.isin(hashes_of(X, 2), found).any()
    assert not np.isin(hashes_of(X[:, ::-1].copy(), 1), found).any()


GRID = np.arange(2048.0)
FEW_BITS = {
    "whole numbers": GRID[:, None],
    "their fractions": GRID[:, None] * 2.0**-20,
    "a grid": np.c_[GRID % 32, GRID // 32],
    "a constant feature": np.c_[GRID, 0 * GRID],
}


@pytest.mark.parametrize("X", FEW_BITS.values(), ids=FEW_BITS.keys())
def test_small_hashes_are_a_fair_sample(X):
    """Rows with the smallest hashes are as any others, also where few bits of values differ."""
    statistics = []
    for seed in np.random.default_rng(0).integers(2**63, size=40):
        order = hashes_of(X, int(seed)).argsort()
        counts = np.zeros((16, 16))
        np.add.at(counts, (np.arange(2048) // 128, order // 128), 1)
        statistics.append(stats.chi2_contingency(counts).statistic)
    # Permutations have the moments of chi squared with 15 x 15 degrees of freedom.
    z = (np.array(statistics) - 225) / math.sqrt(450)
    assert np.abs(z).max() < 5
    assert abs(z.sum()) / math.sqrt(len(z)) < 4


def naive_seeds(Z, weight, draws, n_centers):
    """Draw candidates by weight times squared distance, and keep the one that leaves least."""
    chosen, distance = [], np.ones(len(Z))
    for k in range(n_centers):
        reached = np.cumsum(weight * distance)
        best = None
        for u in draws[k] if k else draws[k, :1]:
            candidate = min(int(np.searchsorted(reached, u * reached[-1], "right")), len(Z) - 1)
            own = ((Z - Z[candidate]) ** 2).sum(axis=1)
            closer = np.minimum(distance, own) if k else own
            if best is None or weight @ closer < best[0]:
                best = weight @ closer, candidate, closer
        chosen.append(best[1])
        distance = best[2]
    return chosen


def seeds_of(Z, weight, draws, n_centers):
    centers, chosen = np.full((n_centers, Z.shape[1]), np.nan), np.full(n_centers, -1, np.int64)
    _loops.seed_centers(Z, weight, draws, centers, chosen)
    np.testing.assert_array_equal(centers, Z[chosen])
    return chosen.tolist()


@given(
    n=st.integers(1, 9),
    d=st.integers(1, 3),
    n_centers=st.integers(1, 4),
    n_trials=st.integers(1, 3),
    seed=seeds,
)
def test_seeds_are_those_of_the_twin(n, d, n_centers, n_trials, seed):
    """Also more of them than rows: some come twice."""
    rng = np.random.default_rng(seed)
    Z, weight = rng.normal(size=(n, d)), rng.random(n) + 0.1
    draws = rng.random((n_centers, n_trials))
    # Where all rows are centers, nothing but rounding says which comes again.
    n_sure = min(n, n_centers)
    found = seeds_of(Z, weight, draws, n_centers)
    assert found[:n_sure] == naive_seeds(Z, weight, draws, n_centers)[:n_sure]
    assert len(set(found)) == n_sure


def test_probabilities_of_seeds():
    """The first by weight, the second by weight times squared distance from it."""
    Z, weight = np.array([[0.0], [1.0], [3.0]]), np.array([1.0, 2.0, 1.0])
    n_draws = 40
    grid = (np.arange(n_draws) + 0.5) / n_draws
    counts = np.zeros((3, 3))
    for u, v in itertools.product(grid, grid):
        first, second = seeds_of(Z, weight, np.array([[u], [v]]), 2)
        counts[first, second] += 1
    share = weight / weight.sum()
    square = weight * (Z - Z.T) ** 2
    expected = share[:, None] * square / square.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(counts / n_draws**2, expected, atol=1 / n_draws)
    np.testing.assert_array_equal(np.diagonal(counts), 0)


def test_the_largest_draw_and_equal_rows():
    largest = np.full((3, 2), np.nextafter(1.0, 0.0))
    Z = np.arange(6.0).reshape(3, 2)
    assert sorted(seeds_of(Z, np.ones(3), largest, 3)) == [0, 1, 2]
    assert set(seeds_of(np.ones((3, 2)), np.ones(3), largest / 2, 3)) <= {0, 1, 2}
    assert 1 not in seeds_of(Z, np.array([1.0, 0.0, 1.0]), np.full((2, 1), 0.5), 2)


def naive_nearest(Z, centers):
    distances = ((Z[:, None] - centers) ** 2).sum(axis=2)
    return distances.argmin(axis=1), distances.min(axis=1)


@given(
    n=st.sampled_from([0, 1, 2, 9, 255, 256, 258]),
    d=st.integers(1, 3),
    k=st.integers(1, 4),
    seed=seeds,
)
def test_nearest_centers(n, d, k, seed):
    """Sizes about a tile, too."""
    rng = np.random.default_rng(seed)
    Z, centers = rng.normal(size=(n, d)), rng.normal(size=(k, d))
    expected, squares = naive_nearest(Z, centers)
    labels, distances = rng.integers(0, k, n), np.full(n, np.nan)
    n_changed = int((labels != expected).sum())
    assert _loops.assign_to_nearest(Z, centers, labels, distances) == n_changed
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_allclose(distances + (Z**2).sum(axis=1), squares, rtol=1e-10, atol=1e-12)
    assert _loops.assign_to_nearest(Z, centers, labels, distances) == 0


def test_of_equal_centers_the_first_is_nearest():
    labels, distances = np.full(2, 7), np.empty(2)
    centers = np.array([[5.0], [1.0], [1.0]])
    assert _loops.assign_to_nearest(np.array([[0.0], [9.0]]), centers, labels, distances) == 2
    assert labels.tolist() == [1, 0]


def assume_clear(Z, centers):
    """Leave out rows halfway between two centers: their labels are a matter of rounding."""
    distances = np.sort(((Z[:, None] - centers) ** 2).sum(axis=2), axis=1)
    assume(np.all(np.diff(distances[:, :2]) > 1e-9))


def naive_lloyd(Z, weight, centers, max_iter):
    centers, labels = centers.copy(), np.full(len(Z), -1)
    for _ in range(max_iter):
        assume_clear(Z, centers)
        new, squares = naive_nearest(Z, centers)
        if 1000 * np.sum(new != labels) <= len(Z):
            return new, centers
        labels = new
        for k in range(len(centers)):
            own = weight * (labels == k)
            if own.sum() > 0:
                centers[k] = own @ Z / own.sum()
            else:
                farthest = squares.argmax()
                assume(np.sum(squares > squares[farthest] - 1e-9) == 1)
                centers[k], squares[farthest] = Z[farthest], -np.inf
    assume_clear(Z, centers)
    return naive_nearest(Z, centers)[0], centers


@given(
    n=st.integers(1, 12),
    d=st.integers(1, 3),
    k=st.integers(1, 4),
    max_iter=st.integers(0, 5),
    far=st.booleans(),
    zeros=st.booleans(),
    seed=seeds,
)
def test_clusters_are_those_of_the_twin(n, d, k, max_iter, far, zeros, seed):
    """A center that is far from all rows, or nearest to rows without weight, moves."""
    rng = np.random.default_rng(seed)
    Z, centers = rng.normal(size=(n, d)), rng.normal(size=(k, d))
    if far:
        centers[k // 2] = 100.0
    weight = rng.random(n) * (rng.random(n) < 0.6) if zeros else rng.random(n) + 0.1
    expected, moved = naive_lloyd(Z, weight, centers, max_iter)
    labels = np.full(n, 3)
    _loops.cluster(Z, weight, centers, max_iter, labels)
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_allclose(centers, moved, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(labels, naive_nearest(Z, centers)[0])
