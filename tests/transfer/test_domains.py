"""`sample_domain` in all estimators: the sign decides, labels do not, and nothing is written."""

import inspect
import subprocess
import sys
import warnings

import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skmmd.transfer import (
    DomainKFold,
    ImportanceWeightedScorer,
    JointDistributionAdaptation,
    KernelMeanMatching,
    MMDRegularizedClassifier,
    MMDRegularizedRegressor,
    MMDSampleSelector,
    TransferClassifier,
    TransferComponentAnalysis,
    TransferRegressor,
    stack_domains,
)

CLASSIFIERS = {
    "MMDRegularizedClassifier": lambda: MMDRegularizedClassifier(gamma=0.3),
    "TransferClassifier": lambda: TransferClassifier(reweighter=KernelMeanMatching(gamma=0.3)),
    "TransferClassifier, unweighted": TransferClassifier,
}
LABELLED = {
    **CLASSIFIERS,
    "JointDistributionAdaptation": lambda: JointDistributionAdaptation(2, gamma=0.3),
}
REGRESSORS = {
    "MMDRegularizedRegressor": lambda: MMDRegularizedRegressor(gamma=0.3),
    "TransferRegressor": lambda: TransferRegressor(reweighter=KernelMeanMatching(gamma=0.3)),
}
UNLABELLED = {
    "KernelMeanMatching": lambda: KernelMeanMatching(gamma=0.3),
    "TransferComponentAnalysis": lambda: TransferComponentAnalysis(2, gamma=0.3),
    "MMDSampleSelector": lambda: MMDSampleSelector(4, gamma=0.3),
}
ESTIMATORS = {**LABELLED, **REGRESSORS, **UNLABELLED}
each = pytest.mark.parametrize("name", ESTIMATORS)

N = 40
RNG = np.random.default_rng(2)
IS_SOURCE = RNG.permutation(np.arange(N) % 5 < 3)
DOMAIN = np.where(IS_SOURCE, 1, -1)
LABELS = np.arange(N) % 3
X = RNG.normal(size=(N, 3)) + np.eye(3)[LABELS] + 0.3 * ~IS_SOURCE[:, None]
VALUES = X[:, 0] ** 2 + X[:, 1]
NEW = RNG.normal(size=(9, 3)) + 0.3


def target_of(name):
    return VALUES if name in REGRESSORS else LABELS


def read(model, new=NEW):
    """Return what a fitted model says of new rows; of the selector, the rows that it picked."""
    for method in ("decision_function", "transform", "predict_weights", "predict"):
        if hasattr(model, method):
            return getattr(model, method)(new)
    return model.sample_indices_


def fit(name, rows=X, y=None, domain=DOMAIN):
    return ESTIMATORS[name]().fit(rows, target_of(name) if y is None else y, sample_domain=domain)


# --------------------------------------------------------------------------------------
# reading sample_domain

FORMS = {
    "int8": DOMAIN.astype(np.int8),
    "zero is source": np.where(IS_SOURCE, 0, -1),
    "several domains": np.where(IS_SOURCE, np.arange(N), -1 - np.arange(N)),
    "float": np.where(IS_SOURCE, 0.5, -0.25),
    "list": DOMAIN.tolist(),
    "object": DOMAIN.astype(object),
    "column": DOMAIN[:, None],
}


@each
@pytest.mark.parametrize("form", FORMS)
def test_the_sign_decides(name, form):
    np.testing.assert_array_equal(read(fit(name, domain=FORMS[form])), read(fit(name)))


BAD_DOMAINS = {
    "no target rows": (np.ones(N), ValueError, "no target rows"),
    "all zero": (np.zeros(N), ValueError, "no target rows"),
    "no source rows": (-np.ones(N), ValueError, "no source rows"),
    "short": (DOMAIN[:-1], ValueError, r"sample_domain has shape \(39,\).*40 rows"),
    "long": (np.append(DOMAIN, 1), ValueError, r"sample_domain has shape \(41,\).*40 rows"),
    "two columns": (np.ones((N, 2)), ValueError, "sample_domain has shape"),
    "scalar": (1, ValueError, "sample_domain has shape"),
    "NaN": (np.where(IS_SOURCE, 1, np.nan), ValueError, "sample_domain has NaN"),
    "bool": (IS_SOURCE, TypeError, "sample_domain has dtype bool"),
    "words": (np.where(IS_SOURCE, "source", "target"), TypeError, "sample_domain has dtype"),
    "None within": (np.where(IS_SOURCE, 1, None), (TypeError, ValueError), "sample_domain"),
}


@each
@pytest.mark.parametrize("case", BAD_DOMAINS)
def test_bad_domains_are_named(name, case):
    domain, error, words = BAD_DOMAINS[case]
    with pytest.raises(error, match=words) as caught:
        fit(name, domain=domain)
    if error is ValueError and case != "NaN":
        assert name.split(",")[0] in str(caught.value), "says who asks"


@each
def test_bad_rows_are_named(name):
    hole = np.where(np.arange(3 * N).reshape(N, 3) == 7, np.nan, X)
    with pytest.raises(ValueError, match="NaN"):
        fit(name, rows=hole)
    with pytest.raises(ValueError, match="inf"):
        fit(name, rows=np.where(np.isnan(hole), np.inf, X))
    with pytest.raises(ValueError, match="2D"):
        fit(name, rows=X[:, 0])
    with pytest.raises(ValueError, match=r"0 sample"):
        fit(name, rows=X[:0], y=target_of(name)[:0], domain=DOMAIN[:0])


@each
def test_without_domains_all_rows_are_source(name):
    """A warning at the line of the caller; the selector's rows are both domains."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = fit(name, domain=None)
    told = [w for w in caught if "sample_domain" in str(w.message)]
    if name == "MMDSampleSelector":
        assert not told
    else:
        assert told
        assert told[0].category is UserWarning
        assert told[0].filename == __file__
        # A reweighter within tells it.
        owners = (name.split(",")[0], "KernelMeanMatching")
        assert str(told[0].message).startswith(owners)
    assert np.all(np.isfinite(np.asarray(read(model), dtype=float)))


@each
def test_domains_are_a_keyword_of_fit_alone(name):
    model = ESTIMATORS[name]()
    assert (
        inspect.signature(model.fit).parameters["sample_domain"].kind
        is inspect.Parameter.KEYWORD_ONLY
    )
    for method in ("predict", "transform", "predict_weights", "decision_function"):
        if hasattr(model, method):
            assert "sample_domain" not in inspect.signature(getattr(model, method)).parameters


# --------------------------------------------------------------------------------------
# order, and labels


@each
def test_interleaved_rows_equal_sorted_rows(name):
    order = np.argsort(~IS_SOURCE, kind="stable")
    one = fit(name)
    two = fit(name, X[order], target_of(name)[order], DOMAIN[order])
    if name == "MMDSampleSelector":
        np.testing.assert_array_equal(order[two.sample_indices_], one.sample_indices_)
    else:
        np.testing.assert_allclose(read(two), read(one), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LABELLED)
@pytest.mark.parametrize("placeholder", [0.0, 2.0, 77.0, -1.0, np.nan])
def test_labels_of_target_rows_are_ignored(name, placeholder):
    y = LABELS.astype(float)
    one = fit(name, y=y)
    two = fit(name, y=np.where(IS_SOURCE, y, placeholder))
    np.testing.assert_array_equal(read(two), read(one))
    np.testing.assert_array_equal(two.classes_, [0.0, 1.0, 2.0])


@pytest.mark.parametrize("name", LABELLED)
@pytest.mark.parametrize("placeholder", ["unknown", None, np.nan, 5])
def test_placeholders_beside_words_are_ignored(name, placeholder):
    y = np.array(["ant", "bee", "cat"], dtype=object)[LABELS]
    hidden = y.copy()
    hidden[~IS_SOURCE] = placeholder
    one, two = fit(name, y=y), fit(name, y=hidden)
    np.testing.assert_array_equal(read(two), read(one))
    np.testing.assert_array_equal(two.classes_, ["ant", "bee", "cat"])


@pytest.mark.parametrize("name", REGRESSORS)
@pytest.mark.parametrize("placeholder", [0.0, 1e300, np.nan, np.inf])
def test_values_of_target_rows_are_ignored(name, placeholder):
    two = fit(name, y=np.where(IS_SOURCE, VALUES, placeholder))
    np.testing.assert_array_equal(read(two), read(fit(name)))


@pytest.mark.parametrize("name", UNLABELLED)
@pytest.mark.parametrize(
    "y", [None, np.full(N, np.nan), np.full(N, "x"), VALUES], ids=["None", "nan", "str", "float"]
)
def test_labels_are_ignored(name, y):
    model = ESTIMATORS[name]().fit(X, y, sample_domain=DOMAIN)
    np.testing.assert_array_equal(read(model), read(fit(name)))


@pytest.mark.parametrize("name", LABELLED)
def test_labels_minus_one_and_one(name):
    """Labels say nothing about domains: renamed classes give the same numbers."""
    two_classes = LABELS == 1
    one = fit(name, y=two_classes.astype(int))
    for y in (np.where(two_classes, 1, -1), np.where(two_classes, "b", "a")):
        two = fit(name, y=y)
        np.testing.assert_array_equal(read(two), read(one))
        np.testing.assert_array_equal(two.classes_, np.unique(y))
    assert one.classes_.tolist() == [0, 1]


@pytest.mark.parametrize("name", LABELLED)
@pytest.mark.parametrize("y", [np.zeros(N), np.where(IS_SOURCE, 0, 1)], ids=["all", "source"])
def test_one_class_is_refused(name, y):
    """What target rows hold is no class."""
    with pytest.raises(ValueError, match="class"):
        fit(name, y=y)


@pytest.mark.parametrize("name", {**LABELLED, **REGRESSORS})
def test_source_rows_need_labels(name):
    first = np.arange(N) == np.flatnonzero(IS_SOURCE)[0]
    with pytest.raises(ValueError, match=r"NaN|label"):
        fit(name, y=np.where(first, np.nan, target_of(name)))
    with pytest.raises((ValueError, TypeError), match=r"\by\b"):
        ESTIMATORS[name]().fit(X, None, sample_domain=DOMAIN)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_predictions_are_labels(name):
    y = np.where(LABELS == 1, 1, -1)
    found = fit(name, y=y).predict(X)
    assert set(found) == {-1, 1}
    assert found.dtype == y.dtype
    assert np.mean(found == y) > 0.6


@each
def test_nothing_is_written(name):
    arrays = [X.copy(), target_of(name).copy(), DOMAIN.copy()]
    for a in arrays:
        a.flags.writeable = False
    model = ESTIMATORS[name]().fit(arrays[0], arrays[1], sample_domain=arrays[2])
    read(model, arrays[0])
    for a, b in zip(arrays, (X, target_of(name), DOMAIN), strict=True):
        np.testing.assert_array_equal(a, b)
    mutable = [X.copy(), target_of(name).copy(), DOMAIN.copy()]
    ESTIMATORS[name]().fit(mutable[0], mutable[1], sample_domain=mutable[2])
    for a, b in zip(mutable, (X, target_of(name), DOMAIN), strict=True):
        np.testing.assert_array_equal(a, b)


@each
def test_frames(name):
    pandas = pytest.importorskip("pandas")
    index = np.arange(N)[::-1]
    frame = pandas.DataFrame(X, columns=list("abc"), index=index)
    y, domain = pandas.Series(target_of(name), index), pandas.Series(DOMAIN, index)
    model = fit(name, frame, y, domain)
    assert list(model.feature_names_in_) == list("abc")
    new = pandas.DataFrame(NEW, columns=list("abc"))
    np.testing.assert_array_equal(read(model, new), read(fit(name)))


@each
def test_float32(name):
    one = fit(name, X.astype(np.float32).astype(float))
    two = fit(name, X.astype(np.float32))
    new = NEW.astype(np.float32)
    np.testing.assert_allclose(read(two, new), read(one, new.astype(float)), rtol=1e-4, atol=1e-4)


# --------------------------------------------------------------------------------------
# beside the rest of scikit-learn


@each
def test_in_a_stock_pipeline(name):
    """With routing off by the step's name, with routing on by itself; the scaler sees all rows."""
    y = target_of(name)
    expected = fit(name, StandardScaler().fit_transform(X))
    scaled = StandardScaler().fit(X).transform(NEW)
    steps = [("scale", StandardScaler()), ("transfer", ESTIMATORS[name]())]
    off = Pipeline(steps).fit(X, y, transfer__sample_domain=DOMAIN)
    np.testing.assert_array_equal(read(off[-1], scaled), read(expected, scaled))
    with sklearn.config_context(enable_metadata_routing=True):
        on = Pipeline([("scale", StandardScaler()), ("transfer", ESTIMATORS[name]())])
        on.fit(X, y, sample_domain=DOMAIN)
        np.testing.assert_array_equal(read(on[-1], scaled), read(expected, scaled))


GRIDS = {
    "MMDRegularizedClassifier": {"mmd_weight": [0.0, 10.0]},
    "TransferClassifier": {"reweighter__alpha": [0.01, 1.0]},
    "TransferClassifier, unweighted": {"estimator__C": [0.01, 1.0]},
    "MMDRegularizedRegressor": {"mmd_weight": [0.0, 10.0]},
    "TransferRegressor": {"estimator__alpha": [0.01, 1.0], "reweighter__alpha": [0.01, 1.0]},
}


def named(name):
    """Return the estimator with its parts in place, so that a grid can name their parameters."""
    model = ESTIMATORS[name]()
    if name.startswith("TransferClassifier"):
        model.set_params(estimator=LogisticRegression())
    if name == "TransferRegressor":
        model.set_params(estimator=Ridge())
    return model


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("routing", [True, False])
def test_in_a_grid_search_over_a_pipeline(name, routing):
    """Scores are those of models fitted by hand on each fold."""
    y = target_of(name)
    folds = list(DomainKFold(2).split(X, y, groups=DOMAIN))
    grid = {f"transfer__{key}": values for key, values in GRIDS[name].items()}
    with sklearn.config_context(enable_metadata_routing=routing):
        chain = Pipeline([("scale", StandardScaler()), ("transfer", named(name))])
        search = GridSearchCV(chain, grid, cv=folds, error_score="raise")
        passed = "sample_domain" if routing else "transfer__sample_domain"
        search.fit(X, y, **{passed: DOMAIN})
    for place, options in enumerate(search.cv_results_["params"]):
        for number, (train, test) in enumerate(folds):
            scaler = StandardScaler().fit(X[train])
            model = named(name).set_params(
                **{key.removeprefix("transfer__"): value for key, value in options.items()}
            )
            model.fit(scaler.transform(X[train]), y[train], sample_domain=DOMAIN[train])
            found = search.cv_results_[f"split{number}_test_score"][place]
            assert found == pytest.approx(model.score(scaler.transform(X[test]), y[test]))
    assert search.best_estimator_.predict(NEW).shape == (9,)


def test_routed_to_folds_estimator_and_scorer():
    """One sample_domain serves all three."""
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            make_pipeline(StandardScaler(), MMDRegularizedClassifier(gamma=0.3)),
            {"mmdregularizedclassifier__mmd_weight": [0.0, 10.0]},
            cv=DomainKFold(3).set_split_request(groups="sample_domain"),
            scoring=ImportanceWeightedScorer(reweighter=KernelMeanMatching(gamma=0.3)),
            error_score="raise",
        ).fit(X, LABELS, sample_domain=DOMAIN)
    scores = search.cv_results_["mean_test_score"]
    assert np.all((scores >= 0) & (scores <= 1))
    assert len(set(scores)) == 2


@pytest.mark.parametrize("name", LABELLED)
@pytest.mark.parametrize("classes", [np.array([-1, 1]), np.array(["no", "yes"])], ids=str)
def test_stacked_domains(name, classes):
    """Two samples, the second without labels: as if they had been given as one."""
    y = classes[(LABELS == 1).astype(int)]
    rows, labels, domain = stack_domains(X[IS_SOURCE], y[IS_SOURCE], X[~IS_SOURCE])
    one, two = fit(name, rows, labels, domain), fit(name, y=y)
    np.testing.assert_allclose(read(one), read(two), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(one.classes_, classes)


def test_importing_and_fitting_leaves_the_configuration_alone():
    code = (
        "import warnings, sklearn, numpy as np; warnings.simplefilter('ignore');"
        "before = sklearn.get_config();"
        "import skmmd, skmmd.transfer as t; assert sklearn.get_config() == before;"
        "X = np.random.default_rng(0).normal(size=(20, 2)); d = np.resize([1, -1], 20);"
        "y = np.resize([0, 0, 1, 1], 20);"
        "[getattr(t, n)().fit(X, y, sample_domain=d) for n in ('KernelMeanMatching',"
        "'TransferClassifier', 'JointDistributionAdaptation', 'MMDRegularizedClassifier')];"
        "assert sklearn.get_config() == before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
