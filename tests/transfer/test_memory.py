"""Memory: no matrix of all pairs is held, where the number of rows leaves a choice."""

import tracemalloc

import numpy as np
import pytest

from skmmd.kernels import gram
from skmmd.transfer import KernelMeanMatching, MMDSampleSelector, _smo, kmm_weights, weighted_mmd
from skmmd.transfer._smo import RowCache

MEGABYTE = 2**20
N, D = 20_000, 3
MATRIX = N * N * 8 / MEGABYTE  # 3052
COLUMN = N * 8 / MEGABYTE  # 0.15


def peak_of(run):
    """Return the largest amount of memory held at once; what is compiled is compiled before."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1] / MEGABYTE
    finally:
        tracemalloc.stop()


def domains(n=N, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, D)), 0.3 + 0.8 * rng.normal(size=(n, D))


@pytest.fixture(scope="module", autouse=True)
def _compiled():
    Xs, Xt = domains(300)
    kmm_weights(Xs, Xt)
    kmm_weights(Xs, Xt, solver="nystroem", n_landmarks=20)
    weighted_mmd(Xs, Xt)
    MMDSampleSelector(3, method="critic").fit(Xs)


def test_the_measure_sees_numpy():
    assert peak_of(lambda: np.ones((N // 50, N))) == pytest.approx(MATRIX / 50, rel=0.05)


@pytest.mark.parametrize("n_landmarks", [None, 100])
def test_of_matching_by_landmarks(n_landmarks):
    """Features of the rows, and room for those of the 8,192 among which landmarks are sought."""
    Xs, Xt = domains()
    X, sample_domain = np.vstack([Xs, Xt]), np.repeat([1, -1], N)
    matching = KernelMeanMatching(
        gamma=0.3, solver="nystroem", n_landmarks=n_landmarks, random_state=0
    )
    peak = peak_of(lambda: matching.fit(X, sample_domain=sample_domain))
    most = n_landmarks or 1000
    assert 0 < matching.n_landmarks_ <= most
    assert peak < 8192 * most * 8 / MEGABYTE + 1.5 * matching.n_landmarks_ * COLUMN + 15


def test_of_matching_many_rows_by_default():
    Xs, Xt = domains()
    assert peak_of(lambda: kmm_weights(Xs, Xt, gamma=0.3, random_state=0)) < MATRIX / 20


def test_of_the_weight_function():
    Xs, Xt = domains()
    X = np.vstack([Xs[:2000], Xt[:2000]])
    matching = KernelMeanMatching(gamma=0.3, n_landmarks=50, random_state=0)
    matching.fit(X, sample_domain=np.repeat([1, -1], 2000))
    assert peak_of(lambda: matching.predict_weights(Xs)) < 4


def test_of_weighted_mmd():
    """A tile and its distances for a thread, and some columns."""
    Xs, Xt = domains(N // 2)
    assert peak_of(lambda: weighted_mmd(Xs, Xt, gamma=0.3)) < 8


@pytest.mark.parametrize("method", ["greedy", "herding", "critic"])
def test_of_selection(method):
    X, sample_domain = np.vstack(domains(N // 2)), np.repeat([1, -1], N // 2)
    selector = MMDSampleSelector(20, method=method, gamma=0.3)
    assert peak_of(lambda: selector.fit(X, sample_domain=sample_domain)) < 20 * COLUMN + 6


# --------------------------------------------------------------------------------------
# steps


def test_rows_by_default_take_a_quarter_gigabyte():
    X, _ = domains()
    cache = RowCache(gram("rbf", np.array([0.3]), X))
    assert not cache.complete
    assert 200 * MEGABYTE < cache.rows.nbytes <= 256 * MEGABYTE
    assert cache.n_slots == 2**28 // (8 * N)
    for row in range(cache.n_slots + 50):
        cache.fetch(row)
    assert cache.rows.shape == (cache.n_slots, N)
    assert np.count_nonzero(cache.slots >= 0) == cache.n_slots


def test_of_matching_by_steps(monkeypatch):
    """As many rows as there is room for, and no more, give the same weights."""
    n = 2000
    Xs, Xt = domains(n)
    matrix = n * n * 8 / MEGABYTE  # 31

    def run():
        return kmm_weights(Xs, Xt, gamma=0.3, alpha=0.1, solver="smo", tol=1e-4)

    expected = run()
    assert peak_of(run) > matrix
    room = 2 * MEGABYTE
    cache_of = _smo.RowCache.__init__
    monkeypatch.setattr(
        _smo.RowCache, "__init__", lambda self, blocks: cache_of(self, blocks, room)
    )
    found = run()
    assert peak_of(run) < matrix / 3
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_it_does_not_grow_with_the_square_of_the_rows():
    peaks = []
    for n in (10_000, 20_000):
        Xs, Xt = domains(n)
        options = {"gamma": 0.3, "solver": "nystroem", "n_landmarks": 60, "random_state": 0}
        peaks.append(peak_of(lambda Xs=Xs, Xt=Xt, o=options: kmm_weights(Xs, Xt, **o)))
    # Twice the rows: a square would take four times as much.
    assert peaks[1] < 2.2 * peaks[0], peaks
