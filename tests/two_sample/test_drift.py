"""`MMDDriftDetector`: batches against a reference, and a stream row by row."""

import copy
import pickle

import numpy as np
import pytest

from skmmd.two_sample import MMDDriftDetector, MMDTestResult, mmd_test
from tests import reference


def rows(n, seed=0, d=2, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift


def quick(**options):
    return MMDDriftDetector(**{"n_permutations": 99, "random_state": 0, **options})


def online(**options):
    return quick(**{"window_size": 5, "expected_run_time": 50, "n_simulations": 500, **options})


# --------------------------------------------------------------------------------------
# batches


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "energy"])
@pytest.mark.parametrize("gamma", ["aggregate", "median", 0.5])
def test_a_batch_is_tested_against_the_reference(kernel, gamma):
    X, batch = rows(40), rows(20, seed=1, shift=0.5)
    result = quick(kernel=kernel, gamma=gamma).fit(X).test(batch)
    assert isinstance(result, MMDTestResult)
    expected = mmd_test(X, batch, kernel=kernel, gamma=gamma, n_permutations=99, random_state=0)
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-10)
    assert result.pvalue == pytest.approx(expected.pvalue)
    assert tuple(result.n_samples) == (40, 20)


def test_batch_after_batch():
    detector = quick().fit(rows(100))
    for seed in range(3):
        assert detector.test(rows(30, seed=10 + seed, shift=2.0)).rejected
    assert not detector.test(rows(30, seed=99)).rejected
    same = [detector.test(rows(30, seed=5)) for _ in range(2)]
    assert tuple(same[0]) == tuple(same[1])


def test_a_batch_of_one_row():
    detector = quick(estimator="biased").fit(rows(60))
    assert detector.test(rows(1, shift=20.0)).pvalue <= 2 / 61
    assert detector.test(rows(1, seed=3)).pvalue > 0.01
    with pytest.warns(UserWarning, match="single row"):
        quick().fit(rows(60)).test(rows(1, shift=20.0))


def test_the_reference_is_a_copy():
    X = rows(40)
    detector = quick().fit(X)
    before = detector.score_samples(rows(5, seed=1))
    X[:] = 0.0
    np.testing.assert_array_equal(detector.score_samples(rows(5, seed=1)), before)


@pytest.mark.parametrize("n", [10, 50, 51, 500])
def test_the_reference_is_bounded(n):
    X = rows(n)
    detector = quick(max_reference=50).fit(X)
    kept = detector.reference_
    assert len(kept) == min(n, 50)
    everything = {tuple(row) for row in X}
    assert all(tuple(row) in everything for row in kept)
    assert len({tuple(row) for row in kept}) == len(kept)  # without replacement


def test_the_whole_reference_on_request():
    assert len(quick(max_reference=None).fit(rows(3000)).reference_) == 3000
    assert len(quick().fit(rows(3000)).reference_) <= 3000


def test_the_subsample_follows_the_seed():
    X = rows(200)
    kept = [quick(max_reference=50, random_state=seed).fit(X).reference_ for seed in (0, 0, 1)]
    np.testing.assert_array_equal(kept[0], kept[1])
    assert not np.array_equal(kept[0], kept[2])


@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "energy", "linear"])
def test_scores_are_mean_kernel_values(kernel):
    X, Z = rows(30), rows(6, seed=1)
    detector = quick(kernel=kernel, gamma=0.4).fit(X)
    expected = reference.gram(Z, X, kernel, 0.4).mean(axis=1)
    np.testing.assert_allclose(detector.score_samples(Z), expected, rtol=1e-9, atol=1e-11)


def test_scores_of_outliers_are_small():
    detector = quick().fit(rows(100))
    assert detector.score_samples([[0.0, 0.0]])[0] > 10 * detector.score_samples([[9.0, 9.0]])[0]


def test_bad_batches():
    detector = quick().fit(rows(30))
    with pytest.raises(ValueError, match=r"(?i)features"):
        detector.test(rows(10, d=3))
    with pytest.raises(ValueError, match="NaN"):
        detector.test(np.full((5, 2), np.nan))
    with pytest.raises(ValueError, match=r"(?i)0 sample"):
        detector.test(np.empty((0, 2)))


def test_one_row_is_no_reference():
    with pytest.raises(ValueError, match=r"(?i)1 sample|minimum of 2"):
        quick().fit(rows(1))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_reference", 1),
        ("max_reference", 2.5),
        ("kernel", "precomputed"),
        ("monitor", "cusum"),
        ("window_size", 1),
        ("expected_run_time", 1.0),
        ("n_simulations", 0),
    ],
)
def test_bad_parameters(name, value):
    with pytest.raises(ValueError, match=name):
        quick(**{name: value}).fit(rows(30))


# --------------------------------------------------------------------------------------
# the stream


@pytest.mark.parametrize("monitor", ["run_time", "betting"])
def test_rows_one_by_one_or_together(monitor):
    X, stream = rows(120), rows(30, seed=1)
    single = online(monitor=monitor).fit(X)
    steps = [single.update(row) for row in stream]
    many = online(monitor=monitor).fit(X)
    last = many.update(stream)
    assert last.statistic == pytest.approx(steps[-1].statistic, rel=1e-12)
    assert last.threshold == steps[-1].threshold
    assert last.n_seen == steps[-1].n_seen == 30
    assert last.drift == any(step.drift for step in steps)
    assert [step.n_seen for step in steps] == list(range(1, 31))


@pytest.mark.parametrize("monitor", ["run_time", "betting"])
def test_drift_is_reported(monitor):
    detector = online(monitor=monitor).fit(rows(200))
    assert detector.update(rows(60, seed=1, shift=3.0)).drift


def test_the_windowed_statistic_is_an_unbiased_mmd():
    """Once the window holds rows of the stream only: MMD^2_u of it and the rows of the reference.

    Which rows of the reference are held out is random; with a reference of equal rows they are all
    the same.
    """
    window = rows(5, seed=1)
    detector = online(gamma=0.4, n_simulations=100).fit(np.tile([0.5, -0.5], (60, 1)))
    for row in window:
        step = detector.update(row)
    K = reference.gram(window, window, "rbf", 0.4)
    cross = reference.gram(window, [[0.5, -0.5]], "rbf", 0.4).mean()
    expected = (K.sum() - 5) / 20 + 1 - 2 * cross
    assert step.statistic == pytest.approx(expected, rel=1e-9)


def test_the_statistic_only_depends_on_the_window():
    X, tail = rows(150), rows(5, seed=2)
    statistics = []
    for seed in (3, 4):
        detector = online().fit(X)
        detector.update(rows(20, seed=seed))
        statistics.append(detector.update(tail).statistic)
    assert statistics[0] == pytest.approx(statistics[1], rel=1e-9)


@pytest.mark.parametrize("monitor", ["run_time", "betting"])
def test_reset_starts_again(monitor):
    X, stream = rows(150), rows(20, seed=1)
    detector = online(monitor=monitor).fit(X)
    first = detector.update(stream)
    assert detector.n_seen_ == 20
    assert detector.reset() is detector
    assert detector.n_seen_ == 0
    again = detector.update(stream)
    assert (again.statistic, again.threshold, again.n_seen) == (
        first.statistic,
        first.threshold,
        first.n_seen,
    )


@pytest.mark.parametrize("monitor", ["run_time", "betting"])
@pytest.mark.parametrize("how", ["pickle", "deepcopy"])
def test_a_copy_goes_on_where_the_original_was(monitor, how):
    detector = online(monitor=monitor).fit(rows(150))
    detector.update(rows(13, seed=1))
    copied = pickle.loads(pickle.dumps(detector)) if how == "pickle" else copy.deepcopy(detector)
    for row in rows(10, seed=2):
        one, two = detector.update(row), copied.update(row)
        assert (one.statistic, one.threshold, one.drift) == (
            two.statistic,
            two.threshold,
            two.drift,
        )


def test_a_bad_row_is_not_taken_in():
    detector = online().fit(rows(150))
    detector.update(rows(8, seed=1))
    twin = copy.deepcopy(detector)
    for bad in ([np.nan, 0.0], [1.0, 2.0, 3.0], [[1.0, 2.0], [np.inf, 0.0]]):
        with pytest.raises(ValueError, match=r"NaN|infinity|features"):
            detector.update(bad)
    assert detector.n_seen_ == 8
    row = rows(1, seed=9)[0]
    assert detector.update(row).statistic == twin.update(row).statistic


def test_a_reference_too_small_for_the_window():
    detector = online(window_size=20).fit(rows(30))
    with pytest.raises(ValueError, match=r"window_size"):
        detector.update(rows(1)[0])


def test_betting_needs_a_bounded_kernel():
    with pytest.raises(ValueError, match=r"(?i)bounded"):
        online(monitor="betting", kernel="linear").fit(rows(60)).update(rows(1)[0])


def test_betting_ends_with_the_reference():
    detector = online(monitor="betting", gamma=0.5).fit(rows(15))
    at_end = detector.update(rows(15, seed=1))
    with pytest.warns(UserWarning, match=r"(?i)reference"):
        after = detector.update(rows(1, seed=2))
    assert after.statistic == at_end.statistic


def test_rows_that_set_gamma_are_not_bet_with():
    detector = online(monitor="betting", gamma="median").fit(rows(40))
    detector.update(rows(36, seed=1))
    with pytest.warns(UserWarning, match="paired after 36 rows"):
        detector.update(rows(1, seed=2))


def test_wealth_starts_at_one_and_is_positive():
    detector = online(monitor="betting").fit(rows(100))
    wealth = [detector.update(row).statistic for row in rows(80, seed=1, shift=0.3)]
    assert wealth[0] == pytest.approx(1.0)  # nothing learned yet, nothing to bet on
    assert min(wealth) > 0


def test_the_betting_threshold_is_the_inverse_level():
    assert online(monitor="betting", alpha=0.02).fit(rows(60)).update(
        rows(1)
    ).threshold == pytest.approx(50.0)


def test_one_feature():
    detector = online().fit(rows(100, d=1))
    assert detector.update([0.3]).n_seen == 1
    assert detector.update(0.3).n_seen == 2
    assert detector.update([[0.1], [0.2]]).n_seen == 4


def test_asking_and_testing_do_not_disturb_the_stream():
    X, stream = rows(150), rows(20, seed=1)
    plain, asked = online().fit(X), online().fit(X)
    for row in stream:
        asked.test(rows(10, seed=5))
        asked.score_samples(stream)
        assert asked.update(row).statistic == plain.update(row).statistic


# --------------------------------------------------------------------------------------
# rates


@pytest.mark.statistical
def test_level_of_batches():
    hits = 0
    for seed in range(1000):
        X = rows(60, seed=seed)
        hits += (
            quick(gamma=0.3, method="permutation", random_state=seed)
            .fit(X[:40])
            .test(X[40:])
            .rejected
        )
    low, high = reference.binomial_bounds(0.05, 1000)
    assert low <= hits <= high, hits / 1000


@pytest.mark.statistical
def test_level_of_a_subsampled_reference():
    hits = 0
    for seed in range(1000):
        X = rows(120, seed=seed)
        detector = quick(gamma=0.3, method="permutation", max_reference=30, random_state=seed)
        detector.fit(X[:100])
        hits += detector.test(X[100:]).rejected
    low, high = reference.binomial_bounds(0.05, 1000)
    assert low <= hits <= high, hits / 1000


def run_length(detector, stream):
    for row in stream:
        step = detector.update(row)
        if step.drift:
            return step.n_seen
    return len(stream)


@pytest.mark.statistical
def test_expected_run_time_without_drift():
    """Fresh reference and stream each time: the mean run is the one that was asked for.

    Streams are cut at 12 expected run times; a geometric run is longer with probability 6e-6.
    """
    asked, n_streams, lengths = 30, 200, []
    for seed in range(n_streams):
        rng = np.random.default_rng(seed)
        detector = MMDDriftDetector(
            gamma="median",
            window_size=6,
            expected_run_time=asked,
            n_simulations=1000,
            random_state=seed,
        ).fit(rng.normal(size=(300, 2)))
        lengths.append(run_length(detector, rng.normal(size=(12 * asked, 2))))
    mean, error = np.mean(lengths), np.std(lengths) / np.sqrt(n_streams)
    # A threshold from a finite reference and 1,000 simulations adds a few per cent.
    assert abs(mean - asked) < 3.5 * error + 0.1 * asked, (mean, error)


@pytest.mark.statistical
def test_detection_delay_is_far_shorter_than_the_run_time():
    delays = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        detector = MMDDriftDetector(
            gamma="median",
            window_size=8,
            expected_run_time=200,
            n_simulations=1000,
            random_state=seed,
        ).fit(rng.normal(size=(400, 2)))
        delays.append(run_length(detector, rng.normal(size=(400, 2)) + 1.5))
    assert np.mean(delays) < 20, np.mean(delays)


@pytest.mark.statistical
def test_betting_hardly_ever_alarms_without_drift():
    """Ever, over the whole stream: at most alpha."""
    alarms = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        detector = MMDDriftDetector(
            gamma=(0.2, 0.8), monitor="betting", alpha=0.1, random_state=seed
        )
        detector.fit(rng.normal(size=(60, 1)))
        alarms += detector.update(rng.normal(size=(60, 1))).drift
    assert alarms <= reference.binomial_bounds(0.1, 300)[1], alarms / 300


@pytest.mark.statistical
def test_betting_finds_drift():
    found = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        detector = MMDDriftDetector(monitor="betting", random_state=seed)
        detector.fit(rng.normal(size=(150, 1)))
        # A tenth of the reference sets gamma; the rest is there to bet with.
        found += detector.update(rng.normal(size=(135, 1)) + 1.0).drift
    assert found >= 17, found
