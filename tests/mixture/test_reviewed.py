"""Cases of mixtures that once crashed, failed, or gave a wrong answer in silence."""

import itertools
import json
import linecache
import re
import subprocess
import sys
import threading
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn import mixture as peer
from sklearn.exceptions import ConvergenceWarning

from skmmd.mixture import GaussianMixture, GaussianMixtureIC
from tests import reference
from tests.mixture.starts import assert_same, fitted


def two_groups():
    rng = np.random.default_rng(0)
    return np.vstack([rng.normal(size=(150, 2)), rng.normal(size=(150, 2)) + 5])


X = two_groups()


def with_background():
    """Return X among 60 rows of uniform noise, on a box wider than that of X."""
    return np.vstack([X, np.random.default_rng(1).uniform(-10, 15, size=(60, 2))])


def set_by_hand(weights, means, covariances):
    """Return a mixture whose attributes were set as scikit-learn's users set them."""
    ours = GaussianMixture(len(weights))
    ours.weights_ = np.asarray(weights, dtype=float)
    ours.means_ = np.asarray(means, dtype=float)
    ours.covariances_ = np.asarray(covariances, dtype=float)
    # Upper triangular U with U U' the precision: the inverse of the transposed lower factor.
    ours.precisions_cholesky_ = np.linalg.inv(np.linalg.cholesky(ours.covariances_)).swapaxes(1, 2)
    return ours


# --------------------------------------------------------------------------------------
# shapes

# Such shapes once reached compiled code, which wrote past the end of arrays and ended the process.
SHAPES_THAT_DO_NOT_FIT = """
import json
import numpy as np
from skmmd.mixture import GaussianMixture

rng = np.random.default_rng(0)
X = np.vstack([rng.normal(size=(150, 2)), rng.normal(size=(150, 2)) + 5])


def by_hand(n_weights, n_means):
    ours = GaussianMixture(n_weights)
    ours.weights_ = np.full(n_weights, 1 / n_weights)
    ours.means_ = np.arange(2.0 * n_means).reshape(n_means, 2)
    ours.covariances_ = ours.precisions_cholesky_ = np.stack([np.eye(2)] * n_weights)
    return ours


def changed(before, after, k=2, **parameters):
    ours = GaussianMixture(k, covariance_type=before, random_state=0, **parameters).fit(X)
    return ours.set_params(covariance_type=after)


cases = {
    "as it should be": lambda: by_hand(2, 2).predict_proba(X),
    "3 weights, 2 means": lambda: by_hand(3, 2).predict_proba(X),
    "diag to full": lambda: changed("diag", "full").score(X),
    "tied to spherical": lambda: changed("tied", "spherical", 4).score(X),
    "full to tied": lambda: changed("full", "tied", 1).score(X),
    "narrow rows": lambda: by_hand(2, 2).predict_proba(np.ones((300, 1))),
    "wide rows": lambda: by_hand(2, 2).predict_proba(np.ones((300, 3))),
    "wide rows scored": lambda: by_hand(2, 2).score_samples(np.ones((300, 3))),
    "warm start": lambda: changed("diag", "full", warm_start=True).fit(X),
}
for name, case in cases.items():
    try:
        case()
    except Exception as error:
        found = f"{type(error).__name__}: {error}"
    else:
        found = "no error"
    print(json.dumps([name, found]), flush=True)
"""


@pytest.fixture(scope="module")
def errors_of_shapes():
    done = subprocess.run(
        [sys.executable, "-c", SHAPES_THAT_DO_NOT_FIT], capture_output=True, text=True, check=False
    )
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("case", "pattern"),
    [
        ("as it should be", "no error"),
        ("3 weights, 2 means", r"ValueError: .*(weights|means)"),
        ("diag to full", r"ValueError: .*(covariance_type|shape)"),
        ("tied to spherical", r"ValueError: .*(covariance_type|shape)"),
        ("full to tied", r"ValueError: .*(covariance_type|shape)"),
        ("narrow rows", r"ValueError: .*(feature|column)"),
        ("wide rows", r"ValueError: .*(feature|column)"),
        ("wide rows scored", r"ValueError: .*(feature|column)"),
        ("warm start", r"ValueError: .*(covariance_type|shape)"),
    ],
)
def test_shapes_that_do_not_fit_reach_no_compiled_code(errors_of_shapes, case, pattern):
    assert re.match(pattern, errors_of_shapes.get(case, "the process ended"))


def test_a_mixture_set_by_hand_predicts():
    """What the shapes above spoil."""
    ours = set_by_hand([0.3, 0.7], [[0, 0], [5, 5]], [np.eye(2), 2 * np.eye(2)])
    np.testing.assert_allclose(
        ours.predict_proba(X), reference.mixture_responsibilities(fitted(ours), X), atol=1e-12
    )


# --------------------------------------------------------------------------------------
# batches


def test_the_box_of_the_noise_is_that_of_the_first_batch():
    """In the box of a few rows, the uniform density would beat every Gaussian."""
    rows = with_background()
    rng = np.random.default_rng(2)
    ours = GaussianMixture(2, noise="uniform", random_state=0).partial_fit(rows)
    box, first = ours.noise_bounds_.copy(), ours.noise_weight_
    np.testing.assert_allclose(box, [rows.min(axis=0), rows.max(axis=0)], rtol=1e-14)
    assert first == pytest.approx(60 / 360, abs=0.05)
    for _ in range(300):
        ours.partial_fit(rows[rng.permutation(360)[:5]])
    assert ours.noise_weight_ == pytest.approx(first, abs=0.1)
    assert ours.weights_.sum() + ours.noise_weight_ == pytest.approx(1, abs=1e-12)
    np.testing.assert_array_equal(ours.noise_bounds_, box)


def test_a_batch_of_one_row_beside_noise():
    """The weight of the noise moves towards its share in that row, by the size of the step."""
    rows = with_background()
    ours = GaussianMixture(2, noise="uniform", random_state=0).partial_fit(rows)
    box = np.ptp(rows, axis=0)
    before = fitted(ours, noise_weight=ours.noise_weight_, noise_widths=box)
    shares = reference.mixture_responsibilities(before, rows[310:311])[0]
    rate = (10.0 + 1) ** -0.7
    ours.partial_fit(rows[310:311])
    assert ours.noise_weight_ == pytest.approx(
        (1 - rate) * before.noise_weight + rate * shares[2], rel=1e-9
    )
    np.testing.assert_allclose(
        ours.weights_, (1 - rate) * before.weights + rate * shares[:2], rtol=1e-9
    )


@pytest.mark.parametrize("first", ["fit", "partial_fit"])
def test_the_ridge_of_a_batch_is_relative_to_the_first(first):
    """One row has no variance to be relative to."""
    ours = GaussianMixture(2, relative_reg_covar=1e-6, random_state=0)
    getattr(ours, first)(X * 1e-6)
    ours.partial_fit(X[:1] * 1e-6)
    variances = np.diagonal(ours.covariances_, axis1=1, axis2=2)
    np.testing.assert_allclose(variances, 1e-12, rtol=0.6)


def test_the_prior_counts_against_all_rows_seen_by_fit():
    """9,000 rows outweigh it; against the five of the batch it would add some ten."""
    many = np.vstack([X] * 30)
    plain = GaussianMixture(2, reg_covar=0.0, random_state=0).fit(many).partial_fit(X[:5])
    ours = GaussianMixture(2, covariance_prior=50.0, random_state=0).fit(many)
    assert ours.n_samples_seen_ == 9000
    ours.partial_fit(X[:5])
    np.testing.assert_allclose(ours.covariances_, plain.covariances_, atol=0.03)


@pytest.mark.parametrize("covariance_type", ["full", "diag", "spherical", "tied"])
def test_the_prior_is_counted_once(covariance_type):
    """Between the covariances of all rows once and twice, whose averages are the same."""
    ours = GaussianMixture(1, covariance_type=covariance_type, covariance_prior=50.0)
    once = ours.fit(X).covariances_
    twice = ours.fit(np.vstack([X, X])).covariances_
    again = GaussianMixture(1, covariance_type=covariance_type, covariance_prior=50.0)
    again.partial_fit(X).partial_fit(X)
    assert np.all(again.covariances_ >= np.minimum(once, twice) - 1e-9)
    assert np.all(again.covariances_ <= np.maximum(once, twice) + 1e-9)


def test_one_row_with_a_hole_is_a_batch():
    ours = GaussianMixture(2, missing="em", random_state=0).partial_fit(X).partial_fit(X)
    before = fitted(ours)
    batch = [[1.0, np.nan]]
    ours.partial_fit(batch)
    expected = reference.online_em_step(before, batch, (10.0 + 2) ** -0.7, reg_covar=1e-6)
    assert_same(fitted(ours), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "value"), [("noise", "uniform"), ("n_components", 3), ("covariance_type", "diag")]
)
def test_a_stream_keeps_its_model(name, value):
    ours = GaussianMixture(2, random_state=0).partial_fit(X)
    before = ours.means_.copy()
    with pytest.raises(ValueError, match=name):
        ours.set_params(**{name: value}).partial_fit(X[:50])
    np.testing.assert_array_equal(ours.means_, before)


def test_a_stream_without_its_noise_is_another_model():
    ours = GaussianMixture(2, noise="uniform", random_state=0).partial_fit(with_background())
    with pytest.raises(ValueError, match="noise"):
        ours.set_params(noise=None).partial_fit(X[:50])


@pytest.mark.parametrize(("first", "second"), [("f4", "f8"), ("f8", "f4")])
def test_a_stream_keeps_the_dtype_of_its_first_batch(first, second):
    ours = GaussianMixture(2, random_state=0).partial_fit(X.astype(first))
    ours.partial_fit(X[:50].astype(second))
    for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert getattr(ours, name).dtype == np.dtype(first), name


@pytest.mark.filterwarnings("ignore:Components:sklearn.exceptions.ConvergenceWarning")
def test_a_stream_warns_of_components_without_weight():
    copies = np.repeat(X[:2], 20, axis=0)
    with pytest.warns(ConvergenceWarning, match="lost all their weight"):
        GaussianMixture(4, random_state=0).partial_fit(copies)


@pytest.mark.parametrize("first", ["fit", "partial_fit"])
def test_the_history_of_a_stream_does_not_grow(first):
    ours = getattr(GaussianMixture(2, random_state=0), first)(X)
    ours.partial_fit(X[:50])
    length = len(ours.lower_bounds_)
    for _ in range(5):
        ours.partial_fit(X[:50])
    assert len(ours.lower_bounds_) == length


@pytest.mark.parametrize("name", ["n_iter_", "converged_", "lower_bounds_"])
def test_what_a_stream_means_for_an_attribute_is_documented(name):
    from numpydoc.docscrape import ClassDoc

    described = {each.name: " ".join(each.desc) for each in ClassDoc(GaussianMixture)["Attributes"]}
    assert "partial_fit" in described[name]


# --------------------------------------------------------------------------------------
# acceleration


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("accelerate", ["squarem", "anderson"])
def test_a_small_gain_by_accident_does_not_stop_the_acceleration(accelerate):
    """Where it stops, EM would stop too; in the first three sets it is no worse than EM's end."""
    for seed in (0, 1, 3, 5, 6):
        rng = np.random.default_rng(seed)
        Y = np.concatenate([rng.normal(size=(700, 2)), rng.normal(size=(300, 2)) * 0.8 + 1.2])
        parameters = {
            "n_components": 4,
            "weights_init": np.full(4, 0.25),
            "means_init": Y[[0, 250, 720, 900]],
            "precisions_init": np.stack([np.linalg.inv(np.cov(Y.T))] * 4),
            "tol": 1e-6,
            "max_iter": 20_000,
            "reg_covar": 0,
        }
        ours = GaussianMixture(**parameters, accelerate=accelerate).fit(Y)
        further = GaussianMixture(
            **parameters
            | {
                "weights_init": ours.weights_,
                "means_init": ours.means_,
                "precisions_init": ours.precisions_,
            }
        ).fit(Y)
        assert further.score(Y) - ours.score(Y) < 1e-5, seed
        if seed < 5:
            plain = GaussianMixture(**parameters).fit(Y)
            assert ours.score(Y) >= plain.score(Y) - 1e-5, seed


@pytest.mark.parametrize("accelerate", ["squarem", "anderson"])
def test_aitkens_rule_is_not_for_accelerated_steps(accelerate):
    """Their gains are no geometric series."""
    with pytest.raises(ValueError, match=r"stopping|aitken"):
        GaussianMixture(2, accelerate=accelerate, stopping="aitken").fit(X)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("accelerate", [None, "squarem", "anderson"])
def test_acceleration_fits_what_em_fits(accelerate):
    """Ten orders of magnitude, and the last feature a copy of the first."""
    rng = np.random.default_rng(17)
    d = int(rng.integers(2, 8))
    n, k = int(rng.integers(d + 2, 80)), int(rng.integers(2, 6))
    Z = rng.normal(size=(n, d)) @ np.diag(10.0 ** rng.uniform(-7, 3, d))
    Z[:, -1] = Z[:, 0] * (1 if rng.random() < 0.5 else 1 + 1e-9)
    ours = GaussianMixture(
        k, reg_covar=1e-12, tol=1e-8, max_iter=60, random_state=0, accelerate=accelerate
    ).fit(Z)
    assert np.isfinite(ours.lower_bound_)
    assert np.isfinite(ours.score_samples(Z)).all()


# --------------------------------------------------------------------------------------
# numbers


def test_far_values_beside_holes_are_never_nan():
    ours = GaussianMixture(2, missing="em", random_state=0).fit(X)
    shares = ours.predict_proba([[np.nan, 0], [1e200, 0], [1e200, np.nan], [np.nan, -1e200]])
    assert np.isfinite(shares).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-12)


def test_far_values_regress_on_the_line_of_one_component():
    """Far out all the weight is on the widest component, whose slope is all that counts."""
    ours = set_by_hand([0.5, 0.5], [[0, 0], [5, 5]], [[[1, 0.5], [0.5, 1]], [[9, -4.5], [-4.5, 9]]])
    np.testing.assert_allclose(ours.regress([[1e200]], [0]), [[-0.5e200]], rtol=1e-9)
    np.testing.assert_allclose(
        ours.predict_missing([[1e200, np.nan]]), [[1e200, -0.5e200]], rtol=1e-9
    )
    given = ours.condition([0], [1e200])
    np.testing.assert_allclose(given.means_, [[0.5e200], [-0.5e200]], rtol=1e-9)
    np.testing.assert_allclose(given.weights_, [0, 1], atol=1e-12)
    np.testing.assert_allclose(given.covariances_[:, 0, 0], [0.75, 6.75], rtol=1e-9)


def test_nothing_but_noise_has_no_conditional():
    ours = GaussianMixture(2, noise="uniform", random_state=0).fit(with_background())
    ours.weights_, ours.noise_weight_ = np.zeros(2), 1.0
    for call in (
        lambda: ours.regress([[1.0]], [0]),
        lambda: ours.condition([0], [1.0]),
        lambda: ours.predict_missing([[1.0, np.nan]]),
    ):
        with pytest.raises(ValueError, match="noise"):
            call()


def test_nearly_collinear_rows_of_single_precision():
    """In single precision the covariance is not positive definite."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(500, 1)) * 1000
    noise = 0.3 * rng.normal(size=(2, *z.shape))
    Z = np.hstack([z, z + noise[0], 2 * z + noise[1]]).astype("f4")
    ours = GaussianMixture(1, random_state=0).fit(Z)
    drawn, _ = ours.sample(2000)
    assert np.isfinite(drawn).all()
    np.testing.assert_allclose(drawn.std(axis=0), Z.std(axis=0), rtol=0.1)
    given = ours.condition([0], [1000.0])
    np.testing.assert_allclose(given.means_, [[1000, 2000]], atol=1)
    assert np.linalg.eigvalsh(given.covariances_).min() > 0
    mean, cov = ours.regress([[1000.0, 1000.0]], [0, 1], return_cov=True)
    np.testing.assert_allclose(mean, [[2000]], atol=1)
    assert cov[0, 0, 0] > 0
    filled = ours.predict_missing([[1000.0, np.nan, 2000.0], [np.nan, np.nan, 2000.0]])
    np.testing.assert_allclose(filled[:, :2], 1000, atol=1)


def test_covariances_beyond_single_precision_ask_for_double():
    wide = X * 1e30
    with pytest.raises(ValueError, match="float64"):
        GaussianMixture(2, random_state=0).fit(wide.astype("f4"))
    assert np.isfinite(GaussianMixture(2, random_state=0).fit(wide).score_samples(wide)).all()


@pytest.mark.parametrize("first", ["fit", "partial_fit"])
def test_one_huge_value_is_refused_by_its_size(first):
    with pytest.raises(ValueError, match=r"1e\+?150"):
        getattr(GaussianMixture(1), first)([[1e155], [1.0], [2.0]])


def test_a_huge_value_of_a_later_batch_is_refused_by_its_size():
    ours = GaussianMixture(2, random_state=0).partial_fit(X)
    before = fitted(ours)
    with pytest.raises(ValueError, match=r"1e\+?150"):
        ours.partial_fit([[1e155, 1.0]])
    assert_same(fitted(ours), before, rtol=0)


@pytest.mark.parametrize("factor", [1e307, 1e-320])
@pytest.mark.parametrize("method", ["fit", "fit_chunks", "partial_fit"])
def test_only_the_ratios_of_weights_count(factor, method):
    """Their sum would overflow, or what is divided by it; small integers stay exact."""
    weights = np.random.default_rng(0).integers(1, 4, size=300) * 1.0
    weights[100:] *= 2.0

    def learn(given):
        ours = GaussianMixture(2, random_state=0)
        if method == "fit_chunks":
            return ours.fit_chunks([(X[:100], given[:100]), (X[100:], given[100:])])
        getattr(ours, method)(X, sample_weight=given)
        return ours.partial_fit(X, sample_weight=given) if method == "partial_fit" else ours

    ours, expected = learn(weights * factor), learn(weights)
    assert_same(fitted(ours), fitted(expected), rtol=1e-9)
    assert ours.score(X, sample_weight=weights * factor) == pytest.approx(
        expected.score(X, sample_weight=weights), rel=1e-9
    )


def test_weights_out_of_range_are_reported_in_the_words_of_scikit_learn():
    parameters = {"n_components": 2, "weights_init": [-0.25, 1.25]}
    with pytest.raises(ValueError, match="range") as theirs:
        peer.GaussianMixture(**parameters).fit(X)
    with pytest.raises(ValueError, match="range") as ours:
        GaussianMixture(**parameters).fit(X)
    assert str(ours.value) == str(theirs.value)


# --------------------------------------------------------------------------------------
# chunks


def readings_that_differ():
    """Yield functions that return other chunks on each call."""
    once, numbers, rng = iter([X]), itertools.count(1), np.random.default_rng(0)
    yield "none any more", lambda: once
    yield "more rows", lambda: [X] * next(numbers)
    yield "other rows", lambda: [rng.normal(size=(50, 2))]


@pytest.mark.parametrize("case", ["none any more", "more rows", "other rows"])
def test_readings_of_chunks_that_differ(case):
    opened = dict(readings_that_differ())[case]
    with pytest.raises((ValueError, TypeError), match="fresh iterator"):
        GaussianMixture(2, random_state=0).fit_chunks(opened)


def test_chunks_name_their_features():
    first = pd.DataFrame(X[:150], columns=["height", "weight"])
    second = pd.DataFrame(X[150:], columns=["height", "weight"])
    ours = GaussianMixture(2, random_state=0).fit_chunks([first, second])
    assert list(ours.feature_names_in_) == ["height", "weight"]
    np.testing.assert_array_equal(ours.predict(first), np.repeat(ours.predict(first)[:1], 150))
    for other in (["weight", "height"], ["height", "width"]):
        with pytest.raises(ValueError, match="columns"):
            GaussianMixture(2).fit_chunks([first, second.set_axis(other, axis=1)])


def test_several_starts_read_chunks_from_one_thread():
    """Files and connections to databases are seldom made for several."""
    readers = set()

    def read():
        for part in np.array_split(X, 3):
            readers.add(threading.get_ident())
            yield part

    GaussianMixture(2, n_init=4, n_jobs=2, random_state=0).fit_chunks(read)
    assert len(readers) == 1


@pytest.mark.parametrize(
    "chunks",
    [5, None, [(X, np.ones(300), 3)], X],
    ids=["number", "None", "tuple of three", "one array"],
)
def test_what_is_no_chunks_is_named(chunks):
    with pytest.raises((TypeError, ValueError), match="chunk"):
        GaussianMixture(2).fit_chunks(chunks)


# --------------------------------------------------------------------------------------
# the rest


def test_filling_in_takes_blocks_of_memory():
    """Means of each component for all rows at once would be 40 million numbers."""
    n, k, d = 80_000, 50, 10
    rng = np.random.default_rng(0)
    ours = set_by_hand(np.full(k, 1 / k), rng.normal(size=(k, d)), np.stack([np.eye(d)] * k))
    with_hole = rng.normal(size=(n, d))
    with_hole[:, 3] = np.nan
    tracemalloc.start()
    try:
        filled = ours.predict_missing(with_hole)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * n * k * d / 5
    few = [0, n // 2, n - 1]
    expected = [
        reference.mixture_moments(reference.conditional_mixture(fitted(ours), row))[0]
        for row in with_hole[few]
    ]
    np.testing.assert_allclose(filled[few, 3], np.ravel(expected), rtol=1e-9)


@pytest.mark.parametrize(
    "learn",
    [
        lambda ours: ours.fit(X),
        lambda ours: ours.fit_chunks([X]),
        lambda ours: ours.fit_predict(X),
    ],
    ids=["fit", "fit_chunks", "fit_predict"],
)
def test_warnings_point_at_the_callers_line(learn):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        learn(GaussianMixture(2, random_state=0, tol=0.0, max_iter=2))
    assert [each.category for each in found] == [ConvergenceWarning]
    assert found[0].filename == __file__
    assert "lambda ours: ours.fit" in linecache.getline(__file__, found[0].lineno)


def test_a_conditional_mixture_can_be_fitted_again():
    """The array of its prior belonged to more features."""
    prior = np.array([[0.5, 0.1], [0.1, 0.3]])
    ours = GaussianMixture(2, covariance_prior=prior, random_state=0).fit(X)
    given = ours.condition([0], [1.0])
    given.fit(X[:, 1:])
    assert given.means_.shape == (2, 1)
    np.testing.assert_allclose(np.sort(given.means_[:, 0]), [0, 5], atol=0.3)


def test_a_mixture_set_by_hand_is_conditioned():
    covariances = [[[1, 0.5], [0.5, 1]], [[2, -0.3], [-0.3, 1]]]
    ours = set_by_hand([0.4, 0.6], [[0, 0], [2, 1]], covariances)
    expected = reference.conditional_mixture(fitted(ours), np.array([0.7, np.nan]))
    assert_same(fitted(ours.condition([0], [0.7])), expected, rtol=1e-9)


@pytest.mark.parametrize("n_components", [True, (1, True), {1, 2}], ids=str)
def test_numbers_of_components_to_compare_are_integers_in_order(n_components):
    with pytest.raises((ValueError, TypeError), match="n_components"):
        GaussianMixtureIC(n_components=n_components).fit(X)


def test_rows_to_fill_fit_means_that_were_set_by_hand():
    ours = GaussianMixture(2)
    ours.weights_, ours.means_ = np.array([0.5, 0.5]), np.array([[0.0, 0.0], [5.0, 5.0]])
    ours.precisions_cholesky_ = np.stack([np.eye(2)] * 2)
    for row in ([[np.nan, 1.0, 2.0]], [[np.nan]], [[1.0]]):
        with pytest.raises(ValueError, match="features"):
            ours.predict_missing(row)


def test_a_first_batch_warns_of_a_collapse():
    Y = np.vstack([np.random.default_rng(0).normal(size=(50, 2)), [[30.0, 30.0]]])
    ours = GaussianMixture(
        2,
        reg_covar=0.0,
        tol=0.0,
        max_iter=500,
        weights_init=[0.5, 0.5],
        means_init=[[0, 0], [30, 30]],
        precisions_init=np.stack([np.eye(2)] * 2),
    )
    with pytest.warns(ConvergenceWarning, match="singular"):
        ours.partial_fit(Y)
