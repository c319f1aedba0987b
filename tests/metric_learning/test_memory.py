"""Memory: the matrix of all distances is never held, nor anything of its size."""

import numpy as np
import pytest
from scipy import sparse

from skmmd.metric_learning import (
    MetricLearner,
    _losses,
    mean_average_precision_at_r,
    pair_loss,
    r_precision,
    recall_at_k,
)
from tests.memory import MEGABYTE, peak_of

N, D, N_CLASSES = 4000, 8, 8
MATRIX = N * N * 8 / MEGABYTE  # 122
EVERY_PAIR = ["contrastive", "triplet", "n_pair", "lifted_structure"]
each_positives = pytest.mark.parametrize("positives", ["all", "neighbors"])

pytestmark = pytest.mark.filterwarnings("ignore:MetricLearner stopped after")


def classes(n=N, n_classes=N_CLASSES, d=D):
    rng = np.random.default_rng(0)
    y = np.arange(n) % n_classes
    return rng.normal(size=(n, d)) + rng.normal(size=(n_classes, d))[y], y


def test_the_measure_sees_numpy():
    assert peak_of(lambda: np.ones((N, N))) == pytest.approx(MATRIX, rel=0.05)


# Up to eight lanes of two tiles with 1 MB each, if as many threads run, and some numbers a row.
LANES = 10


@each_positives
@pytest.mark.parametrize("loss", [*EVERY_PAIR, "triplet_center"])
def test_of_a_loss(loss, positives):
    Z, y = classes()
    assert peak_of(lambda: pair_loss(Z, y, loss=loss, positives=positives)) < LANES


@pytest.mark.parametrize("loss", ["contrastive", "n_pair"])
def test_it_does_not_grow_with_the_square_of_the_rows(loss):
    peaks = [peak_of(lambda n=n: pair_loss(*classes(n), loss=loss)) for n in (2000, 4000)]
    # Twice the rows: a square would take four times as much.
    assert peaks[1] < 2.2 * peaks[0], peaks


def test_of_one_large_class():
    """All rows of a class are sorted beside 128 of them at a time."""
    Z, y = classes(n_classes=2)
    assert peak_of(lambda: pair_loss(Z, y, loss="triplet")) < MATRIX / 4


def test_of_weights():
    Z, y = classes()
    weight = np.random.default_rng(1).random(N)
    for loss in ("contrastive", "n_pair"):
        assert peak_of(lambda loss=loss: pair_loss(Z, y, loss=loss, sample_weight=weight)) < LANES


def test_of_quadruplets(monkeypatch):
    """Positive pairs are sorted, so many at a time, and met with all negative ones."""
    Z, y = classes(1200)
    n_positives = N_CLASSES * 150 * 151 / 2

    def run():
        return pair_loss(Z, y, loss="quadruplet")

    # Rows, threshold, sums, and a place in the histograms of eight lanes.
    assert peak_of(run) < 250 * n_positives / MEGABYTE
    expected = run()
    monkeypatch.setattr(_losses, "_MOST_PAIRS", 2**14)
    assert n_positives > 5 * 2**14
    assert peak_of(run) < LANES
    found = run()
    assert found.value == pytest.approx(expected.value, rel=1e-12)
    assert found.n_active == expected.n_active
    np.testing.assert_allclose(found.gradient, expected.gradient, atol=1e-12)


def test_of_quadruplets_with_target_neighbors():
    Z, y = classes(1200)
    assert peak_of(lambda: pair_loss(Z, y, loss="quadruplet", positives="neighbors")) < LANES


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": "contrastive", "positives": "all"},
        {"loss": "n_pair", "normalize": True},
        {"loss": "lifted_structure", "positives": "all", "n_components": 2},
        {"loss": "triplet_center"},
        {"solver": "adam"},
        {"mining": "semihard"},
    ],
    ids=str,
)
def test_of_a_fit(options):
    X, y = classes()
    learner = MetricLearner(**{"max_iter": 2, "n_passes": 1, "random_state": 0, **options})
    assert peak_of(lambda: learner.fit(X, y)) < LANES


def test_of_mining_in_all_rows():
    """Blocks of a million distances to choose from."""
    X, y = classes()
    learner = MetricLearner(
        mining="hard", solver="lbfgs", max_iter=2, n_passes=1, early_stopping=False
    )
    assert peak_of(lambda: learner.fit(X, y)) < MATRIX / 4


def test_sparse_rows_are_not_made_dense():
    """Of 2000 features, 20 are not zero in a row."""
    _, y = classes(2000)
    X = sparse.random_array((2000, 2000), density=0.01, rng=np.random.default_rng(0), format="csr")
    learner = MetricLearner(n_components=2, init="random", max_iter=2, random_state=0)
    assert peak_of(lambda: learner.fit(X, y)) < 2000 * 2000 * 8 / MEGABYTE / 3
    assert peak_of(lambda: learner.transform(X)) < 2


@pytest.mark.parametrize(
    "measure", [mean_average_precision_at_r, r_precision, lambda Z, y: recall_at_k(Z, y, 5)]
)
def test_of_retrieval(measure):
    """Blocks of a million distances, and what is nearest among them."""
    Z, y = classes()
    assert peak_of(lambda: measure(Z, y)) < MATRIX / 4
    beside = Z[:1000], y[:1000]

    def with_a_reference():
        return mean_average_precision_at_r(*beside, Z_reference=Z, y_reference=y)

    assert peak_of(with_a_reference) < MATRIX / 4


def test_of_the_score():
    X, y = classes()
    learner = MetricLearner(max_iter=1, n_passes=1, early_stopping=False).fit(X, y)
    assert peak_of(lambda: learner.score(X, y)) < MATRIX / 4
