"""GaussianMixtureIC: each candidate is the mixture fitted alone, the best is the lowest."""

import math
import threading
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas
import pytest
import sklearn.mixture
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, FitFailedWarning, NotFittedError
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import check_estimator

from skmmd.mixture import GaussianMixture, GaussianMixtureIC

TYPES = ("full", "tied", "diag", "spherical", "tied_diag", "tied_spherical")
IRIS = load_iris().data
CRITERIA = ("bic", "aic", "icl")


def search(n_components=(1, 2, 3), covariance_type=("full", "diag"), **options):
    return GaussianMixtureIC(
        n_components, covariance_type, **{"random_state": 0, "tol": 1e-6, "max_iter": 500} | options
    )


def n_parameters(covariance_type, k, d):
    covariances = {
        "full": k * d * (d + 1) // 2,
        "tied": d * (d + 1) // 2,
        "diag": k * d,
        "spherical": k,
        "tied_diag": d,
        "tied_spherical": 1,
    }
    return covariances[covariance_type] + k * d + k - 1


def line(results, place):
    return {name: column[place] for name, column in results.items()}


# --------------------------------------------------------------------------------------
# what is compared


@pytest.mark.parametrize("random_state", [3, np.int64(3)])
def test_each_candidate_is_the_mixture_fitted_alone(random_state):
    found = search((1, 3), TYPES, random_state=random_state).fit(IRIS)
    results = found.results_
    expected = [(k, name) for name in TYPES for k in (1, 3)]
    assert list(zip(results["n_components"], results["covariance_type"], strict=True)) == expected
    for place, (k, name) in enumerate(expected):
        alone = GaussianMixture(k, covariance_type=name, random_state=3, tol=1e-6, max_iter=500)
        alone.fit(IRIS)
        assert results["lower_bound"][place] == alone.lower_bound_
        assert results["n_iter"][place] == alone.n_iter_
        assert results["converged"][place] == alone.converged_
        assert results["error"][place] == ""
        for criterion in CRITERIA:
            assert results[criterion][place] == getattr(alone, criterion)(IRIS)


def test_criteria_by_their_definition():
    found = search((1, 2, 4), TYPES).fit(IRIS)
    for place in range(18):
        one = line(found.results_, place)
        k, name = int(one["n_components"]), str(one["covariance_type"])
        mixture = GaussianMixture(k, covariance_type=name, random_state=0, tol=1e-6, max_iter=500)
        mixture.fit(IRIS)
        likelihood = math.fsum(mixture.score_samples(IRIS))
        size = n_parameters(name, k, 4)
        assert one["bic"] == pytest.approx(size * math.log(150) - 2.0 * likelihood, rel=1e-10)
        assert one["aic"] == pytest.approx(2.0 * size - 2.0 * likelihood, rel=1e-10)
        entropy = math.fsum(-p * math.log(p) for p in mixture.predict_proba(IRIS).ravel() if p > 0)
        assert one["icl"] == pytest.approx(one["bic"] + 2.0 * entropy, rel=1e-10)


def test_bic_is_that_of_scikit_learn_from_the_same_start():
    """From one component, and where it is well separated, each start leads to one optimum."""
    rng = np.random.default_rng(5)
    X = np.concatenate([rng.normal(size=(60, 3)) * scale + 20.0 * scale for scale in (1, 2, 4)])
    found = search((1, 3), TYPES[:4], tol=1e-10).fit(X)
    for place in range(8):
        one = line(found.results_, place)
        peer = sklearn.mixture.GaussianMixture(
            one["n_components"],
            covariance_type=one["covariance_type"],
            tol=1e-10,
            max_iter=500,
            random_state=0,
        ).fit(X)
        assert one["bic"] == pytest.approx(peer.bic(X), rel=1e-9)
        assert one["aic"] == pytest.approx(peer.aic(X), rel=1e-9)
    assert (found.n_components_, found.covariance_type_) == (3, "spherical")


def test_iris_has_the_published_bic():
    """What mclust reports as VVV: 574.0178 for two components, 580.8389 for three."""
    found = search((2, 3), "full", tol=1e-9, max_iter=5000, reg_covar=0.0, n_init=5).fit(IRIS)
    np.testing.assert_allclose(found.results_["bic"], [574.0178, 580.8389], atol=1e-3)
    assert found.n_components_ == 2


def test_other_candidates_do_not_matter():
    together = search((1, 2, 3, 4), TYPES).fit(IRIS)
    for place in (2, 7, 21):
        one = line(together.results_, place)
        alone = search(int(one["n_components"]), str(one["covariance_type"])).fit(IRIS)
        assert line(alone.results_, 0) == one | {"rank": 1}


@pytest.mark.parametrize("n_jobs", [2, -1])
@pytest.mark.parametrize("seed", [0, np.random.RandomState(0)])
def test_threads_do_not_matter(n_jobs, seed):
    one = clone(search(random_state=seed)).fit(IRIS)
    other = clone(search(random_state=seed, n_jobs=n_jobs)).fit(IRIS)
    for name, column in one.results_.items():
        np.testing.assert_array_equal(column, other.results_[name])
    np.testing.assert_array_equal(one.means_, other.means_)


def test_fits_run_in_threads(monkeypatch):
    genuine, both = GaussianMixture._fit_quietly, threading.Barrier(2)

    def fit(self, X, sample_weight):
        both.wait(60)  # raises unless a second fit runs at the same time
        return genuine(self, X, sample_weight)

    monkeypatch.setattr(GaussianMixture, "_fit_quietly", fit)
    search((1, 2), n_jobs=2).fit(IRIS)


def test_the_seed_matters():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    options = {"max_iter": 3, "tol": 1e-1, "init_params": "random_from_data"}
    scores = [
        search(5, "full", random_state=seed, **options).fit(X).best_score_
        for seed in (0, 1, np.random.RandomState(0), np.random.RandomState(1))
    ]
    assert len(set(scores)) == 4


# --------------------------------------------------------------------------------------
# the best


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_best_is_the_lowest(criterion):
    found = search((1, 2, 3, 5), TYPES, criterion=criterion).fit(IRIS)
    results = found.results_
    scores = results[criterion].tolist()
    place = scores.index(min(scores))
    assert found.best_index_ == place
    assert found.best_score_ == scores[place]
    assert found.n_components_ == results["n_components"][place]
    assert found.covariance_type_ == results["covariance_type"][place]
    assert results["rank"].tolist() == [1 + sum(b < a for b in scores) for a in scores]
    best = found.best_estimator_
    assert type(best) is GaussianMixture
    assert getattr(best, criterion)(IRIS) == found.best_score_
    assert getattr(found, criterion)(IRIS) == found.best_score_


def test_criteria_can_disagree():
    """One cluster with long tails: BIC describes it by two Gaussians, ICL calls it one."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(600, 2)) * rng.choice([1.0, 3.0], size=(600, 1))
    sizes = {name: search((1, 2), "full", criterion=name).fit(X).n_components_ for name in CRITERIA}
    assert sizes == {"bic": 2, "aic": 2, "icl": 1}


def test_what_was_drawn_is_found():
    rng = np.random.default_rng(1)
    X = np.concatenate([rng.normal(size=(80, 2)) * [1.0, 0.2] + [0.0, 5.0 * k] for k in range(3)])
    found = GaussianMixtureIC(tuple(range(1, 7)), TYPES, random_state=0).fit(X)
    assert (found.n_components_, found.covariance_type_) == (3, "tied_diag")
    labels = found.predict(X)
    for k in range(3):
        assert len(set(labels[80 * k : 80 * (k + 1)])) == 1


def test_the_fitted_mixture_shows_through():
    found = search().fit(IRIS)
    best = found.best_estimator_
    for name in (
        "weights_",
        "means_",
        "covariances_",
        "precisions_",
        "precisions_cholesky_",
        "converged_",
        "n_iter_",
        "lower_bound_",
        "lower_bounds_",
    ):
        np.testing.assert_array_equal(getattr(found, name), getattr(best, name))
    for name in ("predict", "predict_proba", "score_samples", "score", *CRITERIA):
        expected = getattr(best, name)(IRIS[:20])
        np.testing.assert_array_equal(getattr(found, name)(IRIS[:20]), expected)
    for mine, others in zip(found.sample(7), best.sample(7), strict=True):
        np.testing.assert_array_equal(mine, others)
    np.testing.assert_array_equal(search().fit_predict(IRIS), found.predict(IRIS))
    assert not hasattr(found, "noise_weight_")


def test_names_reach_the_best_estimator():
    frame = pandas.DataFrame(IRIS, columns=list("abcd"))
    found = search().fit(frame)
    assert found.feature_names_in_.tolist() == list("abcd")
    np.testing.assert_array_equal(found.predict(frame), search().fit(IRIS).predict(IRIS))
    np.testing.assert_array_equal(found.best_estimator_.predict(frame), found.predict(frame))
    with pytest.raises(ValueError, match="feature names"):
        found.predict(frame[list("badc")])


@pytest.mark.parametrize(
    "options",
    [
        {"accelerate": "squarem"},
        {"init_params": "k-means++"},
        {"covariance_prior": "auto"},
        {"relative_reg_covar": 1e-4},
        {"noise": "uniform"},
        {"stopping": "aitken"},
        {"n_init": 2},
    ],
)
def test_parameters_reach_the_mixtures(options):
    found = search((2, 3), "full", tol=1e-3, **options).fit(IRIS)
    for place, k in enumerate((2, 3)):
        alone = GaussianMixture(k, random_state=0, max_iter=500, **options).fit(IRIS)
        assert found.results_["lower_bound"][place] == alone.lower_bound_
    assert hasattr(found, "noise_weight_") == ("noise" in options)


def test_the_best_estimator_has_all_parameters():
    options = {
        "tol": 1e-4,
        "reg_covar": 1e-5,
        "max_iter": 70,
        "n_init": 2,
        "init_params": "random",
        "random_state": 4,
        "missing": "em",
        "accelerate": "squarem",
        "noise": "uniform",
        "covariance_prior": 0.5,
        "degrees_of_freedom_prior": 9.0,
        "relative_reg_covar": 1e-4,
        "n_jobs": 2,
    }
    best = GaussianMixtureIC(2, "diag", **options).fit(IRIS).best_estimator_.get_params()
    default = GaussianMixture().get_params()
    assert all(default[name] != value for name, value in options.items())
    assert best == default | options | {"n_components": 2, "covariance_type": "diag"}
    # Not together with an acceleration.
    other = GaussianMixtureIC(2, "diag", stopping="aitken").fit(IRIS).best_estimator_
    assert other.stopping == "aitken"


# --------------------------------------------------------------------------------------
# weights, missing values


def test_weights_are_copies():
    rng = np.random.default_rng(2)
    weights = rng.integers(1, 4, size=len(IRIS))
    options = {"tol": 1e-9, "max_iter": 5000}
    by_weight = search((1, 2), TYPES, **options).fit(IRIS, sample_weight=weights)
    by_copies = search((1, 2), TYPES, **options).fit(IRIS.repeat(weights, axis=0))
    for criterion in CRITERIA:
        np.testing.assert_allclose(
            by_weight.results_[criterion], by_copies.results_[criterion], rtol=1e-6
        )
    assert by_weight.best_index_ == by_copies.best_index_
    unweighted = search((1, 2), TYPES, **options).fit(IRIS)
    assert abs(unweighted.results_["bic"] / by_weight.results_["bic"] - 1.0).min() > 0.01
    score = by_weight.score(IRIS, sample_weight=weights)
    assert score == pytest.approx(by_copies.score(IRIS.repeat(weights, axis=0)), rel=1e-6)
    again = search((1, 2), TYPES, **options)
    labels = again.fit_predict(IRIS, sample_weight=weights)
    np.testing.assert_array_equal(labels, by_weight.predict(IRIS))
    np.testing.assert_array_equal(again.means_, by_weight.means_)
    assert not np.array_equal(unweighted.means_, by_weight.means_)
    for criterion in CRITERIA:
        one, other = getattr(by_weight, criterion), getattr(by_copies, criterion)
        expected = other(IRIS.repeat(weights, axis=0))
        assert one(IRIS, sample_weight=weights) == pytest.approx(expected, rel=1e-6)


def test_missing_values():
    X = IRIS.copy()
    X[::7, 1] = np.nan
    found = search((1, 2), ("full", "diag"), missing="em").fit(X)
    alone = GaussianMixture(2, random_state=0, tol=1e-6, max_iter=500, missing="em").fit(X)
    assert found.results_["bic"][1] == alone.bic(X)
    assert get_tags(found).input_tags.allow_nan
    assert not get_tags(search()).input_tags.allow_nan
    with pytest.raises(ValueError, match="NaN"):
        search().fit(X)


# --------------------------------------------------------------------------------------
# failures


@pytest.mark.filterwarnings("ignore:The best mixture.*sits on one point")
def test_more_components_than_rows_are_recorded():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(5, 2))
    with pytest.warns(FitFailedWarning, match=r"2 of 6 fits .* failed.*n_components=6") as caught:
        found = search((1, 2, 6), ("full", "spherical")).fit(X)
    assert caught[0].filename == __file__
    results = found.results_
    failed = results["n_components"] == 6
    assert all("6" in reason for reason in results["error"][failed])
    assert not any(results["error"][~failed])
    for name in (*CRITERIA, "lower_bound"):
        np.testing.assert_array_equal(np.isnan(results[name]), failed)
    assert not results["converged"][failed].any()
    assert not results["n_iter"][failed].any()
    assert results["rank"][failed].tolist() == [5, 5]
    assert sorted(results["rank"][~failed]) == [1, 2, 3, 4]
    assert found.n_components_ < 6
    found.predict(X)


def test_if_all_fail_the_first_reason_is_told():
    X = np.random.default_rng(0).normal(size=(4, 2))
    estimator = search((7, 8), "diag")
    with pytest.raises(ValueError, match=r"All 2 fits .*n_components=7 .*'diag': .*ValueError"):
        estimator.fit(X)
    assert not hasattr(estimator, "results_")


def test_a_failed_fit_leaves_the_others(monkeypatch):
    genuine = GaussianMixture._fit_quietly

    def fit(self, X, sample_weight):
        if self.covariance_type == "tied":
            raise np.linalg.LinAlgError("not positive definite")
        return genuine(self, X, sample_weight)

    expected = search((1, 2), ("full", "diag")).fit(IRIS)
    monkeypatch.setattr(GaussianMixture, "_fit_quietly", fit)
    with pytest.warns(FitFailedWarning, match="LinAlgError: not positive definite"):
        found = search((1, 2), ("tied", "full", "diag")).fit(IRIS)
    np.testing.assert_array_equal(found.results_["bic"][2:], expected.results_["bic"])
    assert found.best_index_ == expected.best_index_ + 2


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_criterion_that_is_not_finite_never_wins(monkeypatch, value):
    genuine = GaussianMixture._criteria

    def criteria(self, X, sample_weight):
        found = genuine(self, X, sample_weight)
        return {**found, "bic": value} if self.n_components == 2 else found

    monkeypatch.setattr(GaussianMixture, "_criteria", criteria)
    with pytest.warns(FitFailedWarning, match=f"1 of 3 .*bic is {value}"):
        found = search(covariance_type="full").fit(IRIS)
    assert found.n_components_ != 2


def test_only_of_the_best_a_warning_tells_that_it_did_not_converge():
    X = np.random.default_rng(0).normal(size=(300, 2))
    found = search((1, 4), "full", max_iter=3, tol=1e-12).fit(X)  # any warning is an error here
    assert found.n_components_ == 1
    assert found.results_["converged"].tolist() == [True, False]
    with pytest.warns(ConvergenceWarning) as caught:
        search((4, 5), ("full", "diag"), max_iter=3, tol=1e-12).fit(X)
    assert len(caught) == 1
    assert "The best mixture, with n_components=4 and covariance_type='diag'" in str(
        caught[0].message
    )
    assert caught[0].filename == __file__


def test_mistakes_of_the_program_are_raised(monkeypatch):
    monkeypatch.setattr(GaussianMixture, "_fit_quietly", lambda *_: {}["missing key"])
    with pytest.raises(KeyError, match="missing key"):
        search().fit(IRIS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_components": ()}, "n_components must be a whole number or a sequence"),
        ({"n_components": (1, 2.5)}, "n_components must be a whole number or a sequence"),
        ({"n_components": (1, 0)}, "n_components has 0; each must be at least 1"),
        ({"n_components": 0}, "n_components"),
        ({"n_components": (2, 1, 2)}, "n_components has some value twice"),
        ({"covariance_type": ()}, "covariance_type must be a name or a sequence"),
        ({"covariance_type": ("full", 3)}, "covariance_type must be a name or a sequence"),
        ({"covariance_type": ("full", "banded")}, "covariance_type has 'banded'.*none of"),
        ({"covariance_type": "banded"}, "covariance_type"),
        ({"covariance_type": ("full", "full")}, "covariance_type has some value twice"),
        ({"criterion": "mdl"}, "criterion"),
        ({"tol": -1.0}, "tol"),
        ({"init_params": "guess"}, "init_params"),
    ],
)
def test_wrong_parameters_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        search(**options).fit(IRIS)


@pytest.mark.parametrize("weights", [-np.ones(150), np.zeros(150), np.ones(149)])
def test_wrong_weights_are_named(weights):
    with pytest.raises(ValueError, match=r"(?i)sample.weight"):
        search().fit(IRIS, sample_weight=weights)


@pytest.mark.parametrize("sizes", [range(1, 4), [1, 2, 3], np.arange(1, 4), (1, np.int32(2), 3)])
def test_any_sequence_of_sizes(sizes):
    found = search(sizes, np.array(["full", "diag"])).fit(IRIS)
    expected = search().fit(IRIS)
    np.testing.assert_array_equal(found.results_["bic"], expected.results_["bic"])
    assert type(found.n_components_) is int
    assert type(found.covariance_type_) is str


@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "score_samples", "score", "bic", "aic", "icl", "plot"]
)
def test_what_is_not_fitted_says_so(method):
    with pytest.raises(NotFittedError, match="GaussianMixtureIC"):
        getattr(search(), method)(*(() if method == "plot" else (IRIS,)))
    with pytest.raises(NotFittedError, match="GaussianMixtureIC"):
        search().sample()


# --------------------------------------------------------------------------------------
# with others


@pytest.mark.parametrize(
    "estimator",
    [
        GaussianMixtureIC(random_state=0),
        GaussianMixtureIC(2, "diag", random_state=0, criterion="icl"),
        GaussianMixtureIC((1, 2), TYPES, random_state=0, n_jobs=2, criterion="aic"),
    ],
    ids=["default", "single", "six-types"],
)
def test_check_estimator(estimator):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # On a dozen rows the best of nine sizes may well sit on single points, and says so.
        warnings.filterwarnings("ignore", category=ConvergenceWarning)
        results = check_estimator(estimator, on_skip=None, on_fail=None)
    trouble = [(r["check_name"], r["exception"]) for r in results if r["status"] != "passed"]
    assert not trouble
    assert len(results) >= 48


def test_the_progress_is_shown_on_request(capsys):
    search().fit(IRIS)
    assert capsys.readouterr().err == ""
    search(verbose=1).fit(IRIS)
    assert "6/6" in capsys.readouterr().err


def test_plot_draws_the_selection_curve():
    found = search(criterion="icl").fit(IRIS)
    display = found.plot()
    assert [line.get_label() for line in display.lines_] == ["full", "diag"]
    for name, drawn in zip(("full", "diag"), display.lines_, strict=True):
        rows = found.results_["covariance_type"] == name
        np.testing.assert_array_equal(drawn.get_ydata(), found.results_["icl"][rows])
    best = [[found.n_components_, found.best_score_]]
    np.testing.assert_array_equal(display.best_.get_offsets(), best)
    _, ax = plt.subplots()
    assert found.plot(ax=ax).ax_ is ax
    plt.close("all")
