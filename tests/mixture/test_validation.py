"""Bad input: an error that names what was wrong, and a fitted estimator left as it was."""

import copy

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from skmmd.mixture import GaussianMixture
from tests.mixture.starts import TYPES, holes, initial, rows, start

X = rows(40, 2, 2, seed=0)

BAD_PARAMETERS = (
    ("n_components", 0),
    ("n_components", -1),
    ("n_components", 1.5),
    ("n_components", "2"),
    ("n_components", None),
    ("covariance_type", "round"),
    ("covariance_type", None),
    ("covariance_type", 3),
    ("tol", -1e-3),
    ("tol", "small"),
    ("tol", np.nan),
    ("reg_covar", -1e-6),
    ("reg_covar", None),
    ("max_iter", -1),
    ("max_iter", 1.5),
    ("n_init", 0),
    ("n_init", 1.5),
    ("init_params", "k-mean"),
    ("init_params", None),
    ("random_state", "seed"),
    ("random_state", 1.5),
    ("warm_start", "yes"),
    ("verbose", -1),
    ("verbose", "loud"),
    ("verbose_interval", 0),
    ("missing", "impute"),
    ("missing", None),
    ("accelerate", "fast"),
    ("accelerate", True),
    ("stopping", "never"),
    ("stopping", None),
    ("noise", "gaussian"),
    ("noise", 0.1),
    ("covariance_prior", "default"),
    ("covariance_prior", -1.0),
    ("covariance_prior", 0.0),
    ("covariance_prior", np.nan),
    ("covariance_prior", np.ones(3)),
    ("covariance_prior", np.eye(3)),
    ("covariance_prior", [[1.0, 2.0], [2.0, 1.0]]),
    ("covariance_prior", [[1.0, 0.5], [0.0, 1.0]]),
    ("covariance_prior", [[1.0, np.nan], [np.nan, 1.0]]),
    ("degrees_of_freedom_prior", -1.0),
    ("degrees_of_freedom_prior", "auto"),
    ("learning_decay", 0.5),
    ("learning_decay", 1.1),
    ("learning_offset", -1.0),
    ("learning_offset", "late"),
    ("relative_reg_covar", -0.1),
    ("relative_reg_covar", "auto"),
    ("relative_reg_covar", np.nan),
    ("n_jobs", 1.5),
    ("n_jobs", "two"),
)


@pytest.mark.parametrize(("name", "value"), BAD_PARAMETERS, ids=str)
def test_bad_parameters_are_named(name, value):
    with pytest.raises((ValueError, TypeError), match=name):
        GaussianMixture(**{name: value}).fit(X)


def test_every_parameter_has_a_bad_value():
    starts = {"weights_init", "means_init", "precisions_init"}
    assert {name for name, _ in BAD_PARAMETERS} | starts == set(GaussianMixture().get_params())


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("weights_init", [0.5, 0.5, 0.0], "weights"),
        ("weights_init", [0.7, 0.7], "weights"),
        ("weights_init", [-0.5, 1.5], "weights"),
        ("weights_init", [np.nan, 1.0], "weights|NaN"),
        ("weights_init", "even", "weights_init"),
        ("means_init", [[0.0, 0.0]], "means"),
        ("means_init", [[0.0], [1.0]], "means"),
        ("means_init", [[0.0, np.nan], [1.0, 1.0]], "means|NaN"),
        ("means_init", [[0.0, np.inf], [1.0, 1.0]], "means|inf"),
        ("precisions_init", np.eye(2), "precision"),
        ("precisions_init", [np.eye(2), -np.eye(2)], "precision"),
        ("precisions_init", [np.eye(2), [[1.0, 0.5], [0.0, 1.0]]], "precision"),
        ("precisions_init", [np.eye(2), [[1.0, 2.0], [2.0, 1.0]]], "precision"),
        ("precisions_init", [np.eye(2), np.full((2, 2), np.nan)], "precision|NaN"),
    ],
    ids=str,
)
def test_bad_starts_are_named(name, value, word):
    with pytest.raises(ValueError, match=rf"(?i){word}"):
        GaussianMixture(2, **{name: value}).fit(X)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_precisions_of_the_wrong_shape_or_sign(covariance_type):
    good = np.asarray(initial(start(X, 2, covariance_type))["precisions_init"])
    for bad in (-good, np.zeros_like(good), good[None], np.ones((3, 1, 2))):
        with pytest.raises(ValueError, match=r"precision|dim"):
            GaussianMixture(2, covariance_type=covariance_type, precisions_init=bad).fit(X)


BAD_ROWS = {
    "NaN": (np.where(np.arange(80).reshape(40, 2) == 7, np.nan, X), "NaN"),
    "inf": (np.where(np.arange(80).reshape(40, 2) == 7, np.inf, X), "(?i)inf"),
    "minus inf": (np.where(np.arange(80).reshape(40, 2) == 7, -np.inf, X), "(?i)inf"),
    "no rows": (np.empty((0, 2)), "sample"),
    "no columns": (np.empty((5, 0)), "feature"),
    "one row": (X[:1], "sample"),
    "one-dimensional": (X[:, 0], "2D|1D|reshape"),
    "three-dimensional": (X[None], "3|dim"),
    "text": (np.array([["a", "b"], ["c", "d"], ["e", "f"]]), "(?i)string|numeric|convert"),
    "complex": (X + 1j, "(?i)complex"),
    "fewer rows than components": (X[:2], "n_components|n_samples"),
}


@pytest.mark.parametrize("method", ["fit", "fit_predict", "partial_fit"])
@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows(case, method):
    bad, word = BAD_ROWS[case]
    with pytest.raises((ValueError, TypeError), match=word):
        getattr(GaussianMixture(3), method)(bad)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "score_samples", "score", "bic"])
@pytest.mark.parametrize("case", ["NaN", "inf", "no rows", "one-dimensional", "text", "complex"])
def test_bad_rows_of_a_fitted_estimator(case, method):
    bad, word = BAD_ROWS[case]
    ours = GaussianMixture(2, random_state=0).fit(X)
    with pytest.raises((ValueError, TypeError), match=word):
        getattr(ours, method)(bad)
    with pytest.raises(ValueError, match="features"):
        getattr(ours, method)(rows(5, 3, 1))


def test_sparse_rows_are_refused():
    from scipy import sparse

    with pytest.raises(TypeError, match=r"(?i)sparse"):
        GaussianMixture(2).fit(sparse.csr_array(X))


@pytest.mark.parametrize(
    ("weights", "word"),
    [
        (np.ones(39), "sample_weight|shape|length|inconsistent"),
        (np.ones((40, 2)), "sample_weight|1D|2D|dim"),
        (-np.ones(40), "(?i)negative"),
        (np.zeros(40), "(?i)weight"),
        (np.full(40, np.nan), "NaN"),
        (np.full(40, np.inf), "(?i)inf"),
        (["a"] * 40, "(?i)string|numeric|convert|weight"),
    ],
    ids=["short", "2-D", "negative", "all zero", "NaN", "inf", "text"],
)
@pytest.mark.parametrize("method", ["fit", "fit_predict", "partial_fit", "score"])
def test_bad_weights(method, weights, word):
    ours = GaussianMixture(2, random_state=0)
    if method == "score":
        ours.fit(X)
    with pytest.raises((ValueError, TypeError), match=word):
        getattr(ours, method)(X, sample_weight=weights)


def test_fewer_weighted_rows_than_components():
    weights = np.zeros(40)
    weights[:2] = 1
    with pytest.raises(ValueError, match=r"(?i)component|sample|weight"):
        GaussianMixture(3).fit(X, sample_weight=weights)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("predict", (X,)),
        ("predict_proba", (X,)),
        ("score_samples", (X,)),
        ("score", (X,)),
        ("sample", ()),
        ("bic", (X,)),
        ("aic", (X,)),
        ("icl", (X,)),
        ("condition", ([0], [0.0])),
        ("predict_missing", (X,)),
        ("regress", (X[:, :1], [0])),
    ],
)
def test_not_fitted(method, arguments):
    with pytest.raises(NotFittedError, match="This GaussianMixture instance is not fitted"):
        getattr(GaussianMixture(2), method)(*arguments)


@pytest.mark.parametrize("n_samples", [0, -3])
def test_no_samples(n_samples):
    with pytest.raises(ValueError, match="n_samples"):
        GaussianMixture(2, random_state=0).fit(X).sample(n_samples)


def state(ours):
    return copy.deepcopy(vars(ours))


def assert_same_state(ours, before):
    assert vars(ours).keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_equal(vars(ours)[name], value, err_msg=name)


@pytest.mark.parametrize(
    "bad",
    [
        BAD_ROWS["NaN"][0],
        np.full((20, 2), 3.0),
        X[:1],
        np.full((20, 3), 3.0),
        BAD_ROWS["inf"][0],
    ],
    ids=["NaN", "no spread", "one row", "another width", "inf"],
)
@pytest.mark.parametrize("method", ["fit", "fit_predict", "partial_fit"])
def test_a_failed_fit_leaves_the_fitted_estimator_as_it_was(method, bad):
    ours = GaussianMixture(2, reg_covar=0.0, random_state=0).fit(X)
    before = state(ours)
    try:
        getattr(ours, method)(bad)
    except ValueError:
        assert_same_state(ours, before)
    else:  # a batch of equal rows beside what was learned before is no failure
        assert method == "partial_fit"
        assert np.isfinite(ours.covariances_).all()
        return
    np.testing.assert_array_equal(
        ours.predict(X), GaussianMixture(2, reg_covar=0.0, random_state=0).fit_predict(X)
    )


def test_a_failed_fit_of_chunks_leaves_the_fitted_estimator_as_it_was():
    ours = GaussianMixture(2, random_state=0).fit(X)
    before = state(ours)
    with pytest.raises(ValueError, match="NaN"):
        ours.fit_chunks([X, BAD_ROWS["NaN"][0]])
    assert_same_state(ours, before)


def test_a_bad_parameter_leaves_the_fitted_estimator_as_it_was():
    ours = GaussianMixture(2, random_state=0).fit(X).set_params(means_init=[[0.0]])
    before = state(ours)
    with pytest.raises(ValueError, match="means"):
        ours.fit(X)
    assert_same_state(ours, before)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_fit_writes_to_no_parameter_and_no_input(covariance_type):
    parameters = initial(start(X, 2, covariance_type))
    given = {name: copy.deepcopy(value) for name, value in parameters.items()}
    ours = GaussianMixture(**parameters)
    rows_before, weights = X.copy(), np.random.default_rng(0).uniform(size=40)
    weights_before = weights.copy()
    ours.fit(X, sample_weight=weights)
    for name, value in ours.get_params().items():
        if name in given:
            assert value is parameters[name]
            np.testing.assert_equal(value, given[name])
    np.testing.assert_array_equal(X, rows_before)
    np.testing.assert_array_equal(weights, weights_before)


def test_predict_missing_leaves_its_input():
    ours = GaussianMixture(2, random_state=0).fit(X)
    with_holes = holes(X, 0.3)
    before = with_holes.copy()
    ours.predict_missing(with_holes)
    np.testing.assert_array_equal(with_holes, before)


def test_results_share_no_memory_with_the_estimator():
    parameters = initial(start(X, 2, "full"))
    ours = GaussianMixture(**parameters, max_iter=0).fit(X)
    for name in ("weights", "means", "precisions"):
        assert not np.shares_memory(getattr(ours, f"{name}_"), parameters[f"{name}_init"])
    conditional = ours.condition([0], [0.0])
    assert not np.shares_memory(conditional.means_, ours.means_)
    assert not np.shares_memory(conditional.covariances_, ours.covariances_)
