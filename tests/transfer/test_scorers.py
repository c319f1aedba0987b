"""Scorers without target labels: by hand, in searches with metadata routing, and their refusals."""

import pickle
import warnings

import numpy as np
import pandas
import polars
import pytest
import sklearn
from scipy import sparse
from scipy.spatial.distance import cdist, pdist
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, max_error, r2_score
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.metadata_routing import get_routing_for_object

from skmmd.transfer import (
    CircularValidationScorer,
    DomainKFold,
    ImportanceWeightedScorer,
    KernelMeanMatching,
    MMDScorer,
    TransferClassifier,
    TransferComponentAnalysis,
    TransferRegressor,
    stack_domains,
)

ROUTING = {"enable_metadata_routing": True}


class SourceOnly(ClassifierMixin, BaseEstimator):
    """A classifier that learns from source rows, and keeps what it was fitted on."""

    __metadata_request__fit = {"sample_domain": True}
    seen = []

    def __init__(self, estimator=None):
        self.estimator = estimator

    def fit(self, X, y, *, sample_domain=None):
        source = np.asarray(sample_domain) >= 0
        self.seen.append((np.array(y), source))
        model = LogisticRegression() if self.estimator is None else clone(self.estimator)
        self.model_ = model.fit(np.asarray(X)[source], np.asarray(y)[source])
        self.classes_ = self.model_.classes_
        return self

    def predict(self, X):
        return self.model_.predict(np.asarray(X))


class FirstColumn(BaseEstimator):
    """Weights that are the first column of the source rows."""

    __metadata_request__fit = {"sample_domain": True}

    def fit(self, X, y=None, *, sample_domain=None):
        self.weights_ = np.asarray(X)[np.asarray(sample_domain) >= 0, 0]
        return self


@pytest.fixture
def shifted(rng):
    """Two classes, a shifted target whose labels are placeholders, rows in any order."""
    ys = rng.integers(0, 2, 60)
    Xs = rng.normal(size=(60, 2)) + 1.5 * ys[:, None]
    Xt = rng.normal(size=(40, 2)) + 1.5 * rng.integers(0, 2, 40)[:, None] + [1.0, -0.5]
    X, y, sample_domain = stack_domains(Xs, ys, Xt)
    order = rng.permutation(100)
    return X[order], y[order], sample_domain[order]


# --------------------------------------------------------------------------------------
# importance weights


def test_accuracy_is_that_of_the_weights_on_source_rows(shifted):
    X, y, sample_domain = shifted
    X = np.abs(X)
    model = DecisionTreeClassifier(max_depth=1, random_state=0).fit(X, y)
    source = sample_domain > 0
    right = model.predict(X[source]) == y[source]
    weights = X[source, 0]
    score = ImportanceWeightedScorer(reweighter=FirstColumn())
    found = score(model, X, y, sample_domain=sample_domain)
    assert found == pytest.approx((weights * right).sum() / weights.sum(), rel=1e-12)
    assert found != pytest.approx(right.mean(), rel=1e-3)
    assert type(found) is float


def test_weights_are_those_of_kernel_mean_matching_on_the_rows(shifted):
    X, y, sample_domain = shifted
    model = LogisticRegression().fit(X, y)
    source = sample_domain > 0
    matching = KernelMeanMatching().fit(X, sample_domain=sample_domain)
    right = model.predict(X[source]) == y[source]
    expected = np.average(right, weights=matching.weights_)
    for reweighter in (None, KernelMeanMatching()):
        score = ImportanceWeightedScorer(reweighter=reweighter)
        assert score(model, X, y, sample_domain=sample_domain) == pytest.approx(expected)
    assert not hasattr(reweighter, "weights_")


@pytest.mark.parametrize("scoring", [None, "neg_mean_squared_error"])
def test_values_are_scored_with_weights(rng, scoring):
    X = np.abs(rng.normal(size=(30, 2)))
    y = X @ [1.0, -2.0] + 0.3 * rng.normal(size=30)
    sample_domain = np.where(np.arange(30) % 3, 1, -1)
    model = LinearRegression().fit(X, y)
    source = sample_domain > 0
    weights, error = X[source, 0], (y - model.predict(X))[source] ** 2
    mean = np.average(y[source], weights=weights)
    total = (weights * (y[source] - mean) ** 2).sum()
    loss = (weights * error).sum()
    expected = 1.0 - loss / total if scoring is None else -loss / weights.sum()
    score = ImportanceWeightedScorer(scoring, FirstColumn())
    assert score(model, X, y, sample_domain=sample_domain) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("routing", [False, True])
def test_a_pipeline_may_give_the_weights(shifted, routing):
    X, y, sample_domain = shifted
    X = X * [1.0, 100.0]
    model = LogisticRegression().fit(X, y)
    scaled = StandardScaler().fit_transform(X)
    weights = KernelMeanMatching().fit(scaled, sample_domain=sample_domain).weights_
    source = sample_domain > 0
    expected = np.average(model.predict(X[source]) == y[source], weights=weights)
    score = ImportanceWeightedScorer(
        reweighter=make_pipeline(StandardScaler(), KernelMeanMatching())
    )
    with sklearn.config_context(enable_metadata_routing=routing):
        assert score(model, X, y, sample_domain=sample_domain) == pytest.approx(expected)


def test_any_scorer_that_takes_weights(shifted):
    X, y, sample_domain = shifted
    model = SVC().fit(X, y)

    def own(estimator, X, y, sample_weight):
        return balanced_accuracy_score(y, estimator.predict(X), sample_weight=sample_weight)

    domains = {"sample_domain": sample_domain}
    reweighter = make_pipeline(FunctionTransformer(np.abs), FirstColumn())
    by_function = ImportanceWeightedScorer(own, reweighter)(model, X, y, **domains)
    by_name = ImportanceWeightedScorer("balanced_accuracy", reweighter)(model, X, y, **domains)
    assert by_function == by_name
    score = ImportanceWeightedScorer("roc_auc", reweighter)
    assert 0.0 <= score(model, X, y, **domains) <= 1.0
    with pytest.raises(TypeError, match="takes no sample_weight"):
        ImportanceWeightedScorer(
            lambda estimator, X, y: max_error(y, estimator.predict(X)), reweighter
        )(model, X, y, **domains)
    with pytest.raises(TypeError, match="takes no sample_weight"):
        ImportanceWeightedScorer("neg_max_error", reweighter)(model, X, y, **domains)

    def broken(estimator, X, y, sample_weight):
        return 1 + "1"

    with pytest.raises(TypeError, match="unsupported operand"):
        ImportanceWeightedScorer(broken, reweighter)(model, X, y, **domains)


def test_weights_that_do_not_serve(shifted):
    X, y, sample_domain = shifted
    model = LogisticRegression().fit(X, y)

    class Frozen(FirstColumn):
        def fit(self, X, y=None, *, sample_domain=None):
            self.weights_ = np.ones(7)
            return self

    with pytest.raises(ValueError, match=r"shape \(7,\), but there are 60 source rows"):
        ImportanceWeightedScorer(reweighter=Frozen())(model, X, y, sample_domain=sample_domain)
    with pytest.raises(TypeError, match="takes no sample_domain"):
        ImportanceWeightedScorer(reweighter=PCA())(model, X, y, sample_domain=sample_domain)
    with pytest.raises(ValueError, match="weights of all source rows are zero"):
        ImportanceWeightedScorer(reweighter=FirstColumn())(
            model, 0.0 * X, y, sample_domain=sample_domain
        )


# --------------------------------------------------------------------------------------
# circular validation


def by_hand(X, y, sample_domain, metric=accuracy_score):
    source = sample_domain > 0
    forward = LogisticRegression().fit(X[source], y[source])
    backward = LogisticRegression().fit(X[~source], forward.predict(X[~source]))
    return metric(y[source], backward.predict(X[source]))


@pytest.mark.parametrize("routing", [False, True])
def test_there_and_back_again(shifted, routing):
    X, y, sample_domain = shifted
    scaled = StandardScaler().fit_transform(X)
    with sklearn.config_context(enable_metadata_routing=routing):
        score = CircularValidationScorer()
        model = SourceOnly().fit(X, y, sample_domain=sample_domain)
        found = score(model, X, y, sample_domain=sample_domain)
        assert found == by_hand(X, y, sample_domain)
        # The steps that take the domains get them, also of a pipeline in a pipeline.
        for last in (SourceOnly(), make_pipeline(StandardScaler(), SourceOnly())):
            model = Pipeline([("scale", StandardScaler()), ("none", None), ("last", last)])
            name = "last" if isinstance(last, SourceOnly) else "last__sourceonly"
            name = "sample_domain" if routing else f"{name}__sample_domain"
            model.fit(X, y, **{name: sample_domain})
            found = score(model, X, y, sample_domain=sample_domain)
            assert found == by_hand(scaled, y, sample_domain)


@pytest.mark.parametrize("routing", [False, True])
def test_several_steps_take_the_domains(shifted, routing):
    X, y, sample_domain = shifted
    source = sample_domain > 0
    components = TransferComponentAnalysis(2)
    model = make_pipeline(components, TransferClassifier(LogisticRegression()))
    with sklearn.config_context(enable_metadata_routing=routing):
        names = ["transfercomponentanalysis__sample_domain", "transferclassifier__sample_domain"]
        names = ["sample_domain"] if routing else names
        model.fit(X, y, **dict.fromkeys(names, sample_domain))
        found = CircularValidationScorer()(model, X, y, sample_domain=sample_domain)
    predicted = model.predict(X[~source])
    Z = clone(components).fit_transform(X, sample_domain=-sample_domain)
    backward = LogisticRegression().fit(Z[~source], predicted)
    assert found == accuracy_score(y[source], backward.predict(Z[source]))


def test_what_takes_no_domains_learns_from_target_rows_alone(shifted):
    X, y, sample_domain = shifted
    source = sample_domain > 0
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[source], y[source])
    backward = clone(model).fit(X[~source], model.predict(X[~source]))
    expected = accuracy_score(y[source], backward.predict(X[source]))
    for routing in (False, True):
        with sklearn.config_context(enable_metadata_routing=routing):
            found = CircularValidationScorer()(model, X, y, sample_domain=sample_domain)
        assert found == expected


def test_the_clone_sees_no_label_of_a_source_row(shifted):
    X, y, sample_domain = shifted
    source = sample_domain > 0
    names = np.where(source, np.array(["no", "yes"])[y], "unknown")
    model = SourceOnly().fit(X, names, sample_domain=sample_domain)
    predicted = model.predict(X[~source])
    SourceOnly.seen.clear()
    score = CircularValidationScorer()
    found = score(model, X, names, sample_domain=sample_domain)
    ((labels, backward_source),) = SourceOnly.seen
    np.testing.assert_array_equal(backward_source, ~source)
    np.testing.assert_array_equal(labels[~source], predicted)
    assert labels[source].tolist() == ["no", "yes"] * 30
    # Nor does the score read y of a target row.
    names[~source] = "no"
    assert score(model, X, names, sample_domain=sample_domain) == found
    # The estimator is as before.
    np.testing.assert_array_equal(model.predict(X[~source]), predicted)


def test_values_there_and_back(rng):
    X = rng.normal(size=(50, 3))
    y = X @ [1.0, 2.0, 3.0] + 0.1 * rng.normal(size=50)
    sample_domain = rng.permutation([1] * 30 + [-1] * 20)
    source = sample_domain > 0
    model = LinearRegression().fit(X[source], y[source])
    backward = LinearRegression().fit(X[~source], model.predict(X[~source]))
    found = CircularValidationScorer()(model, X, y, sample_domain=sample_domain)
    assert found == pytest.approx(r2_score(y[source], backward.predict(X[source])), rel=1e-12)
    outputs = np.column_stack([y, -y])
    model.fit(X[source], outputs[source])
    found = CircularValidationScorer()(model, X, outputs, sample_domain=sample_domain)
    assert found == pytest.approx(r2_score(y[source], backward.predict(X[source])), rel=1e-9)


def test_one_predicted_class_is_always_predicted(shifted):
    X, y, sample_domain = shifted
    source = sample_domain > 0
    y[source] = np.arange(60) % 3 == 0  # a third is of class 1
    share = {0: 2 / 3, 1: 1 / 3}
    for label in (0, 1):
        # SVC cannot be fitted on one class.
        constant = SVC()
        constant.predict = lambda X, label=label: np.full(len(X), label)
        constant.classes_ = np.array([0, 1])
        domains = {"sample_domain": sample_domain}
        assert CircularValidationScorer()(constant, X, y, **domains) == pytest.approx(share[label])
        for scoring in ("balanced_accuracy", "roc_auc"):
            score = CircularValidationScorer(scoring)
            assert score(constant, X, y, **domains) == pytest.approx(0.5)
        assert CircularValidationScorer("neg_log_loss")(constant, X, y, **domains) < -1.0
    # A class that no source row has.
    constant.predict = lambda X: np.full(len(X), 7)
    assert CircularValidationScorer()(constant, X, y, **domains) == 0.0


def test_constant_values_are_fitted_on(rng):
    X, y = rng.normal(size=(20, 2)), rng.normal(size=20)
    sample_domain = np.repeat([1, -1], 10)
    model = LinearRegression().fit(X, np.full(20, 0.5))
    expected = r2_score(y[:10], np.full(10, 0.5))
    found = CircularValidationScorer()(model, X, y, sample_domain=sample_domain)
    assert found == pytest.approx(expected)


def test_of_a_search_the_best_estimator_is_taken(shifted):
    X, y, sample_domain = shifted
    source = sample_domain > 0
    search = GridSearchCV(LogisticRegression(), {"C": [1.0]}, cv=2).fit(X[source], y[source])
    found = CircularValidationScorer()(search, X, y, sample_domain=sample_domain)
    assert found == by_hand(X, y, sample_domain)


# --------------------------------------------------------------------------------------
# MMD after a map


def mmd_by_hand(Zs, Zt, gamma=None):
    if gamma is None:
        gamma = 0.5 / np.median(pdist(np.vstack([Zs, Zt]))) ** 2

    def mean(A, B):
        return np.exp(-gamma * cdist(A, B, "sqeuclidean")).mean()

    return mean(Zs, Zs) + mean(Zt, Zt) - 2.0 * mean(Zs, Zt)


@pytest.mark.parametrize("gamma", [None, 0.3])
def test_minus_the_squared_mmd_of_the_mapped_rows(shifted, gamma):
    X, y, sample_domain = shifted
    scale = StandardScaler().fit(X)
    Z = scale.transform(X)
    source = sample_domain > 0
    expected = -mmd_by_hand(Z[source], Z[~source], gamma)
    score = MMDScorer() if gamma is None else MMDScorer("rbf", gamma)
    assert score(scale, X, y, sample_domain=sample_domain) == pytest.approx(expected, rel=1e-9)
    assert score(scale, X, sample_domain=sample_domain) == pytest.approx(expected, rel=1e-9)
    # The steps before a predictor; a pipeline that transforms, whole.
    for model in (
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler(), FunctionTransformer()),
        GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {}, cv=2),
    ):
        model.fit(X, y)
        assert score(model, X, y, sample_domain=sample_domain) == pytest.approx(expected, rel=1e-9)


def test_a_map_to_a_point_scores_best(shifted):
    X, y, sample_domain = shifted
    to_a_point = FunctionTransformer(lambda X: np.zeros((len(X), 1)))
    found = MMDScorer()(to_a_point.fit(X), X, y, sample_domain=sample_domain)
    assert found == pytest.approx(0.0, abs=1e-12)
    identity = FunctionTransformer().fit(X)
    assert MMDScorer()(identity, X, y, sample_domain=sample_domain) < -0.01


def test_something_must_transform(shifted):
    X, y, sample_domain = shifted
    for model in (LogisticRegression(), make_pipeline(LogisticRegression())):
        with pytest.raises(AttributeError, match="pass a transformer, or a pipeline"):
            MMDScorer()(model.fit(X, y), X, y, sample_domain=sample_domain)


# --------------------------------------------------------------------------------------
# in searches and cross-validation

ALL = {
    "weighted": ImportanceWeightedScorer(),
    "circular": CircularValidationScorer("balanced_accuracy"),
    "mmd": MMDScorer(),
}


def reweighted():
    return make_pipeline(
        StandardScaler(), TransferClassifier(LogisticRegression(), KernelMeanMatching())
    )


def test_cross_validation_scores_each_fold(shifted):
    X, y, sample_domain = shifted
    metadata = {"sample_domain": sample_domain, "groups": sample_domain}
    with sklearn.config_context(**ROUTING):
        found = cross_validate(
            reweighted(),
            X,
            y,
            scoring=ALL,
            cv=DomainKFold(3),
            params=metadata,
            return_train_score=True,
            error_score="raise",
        )
        for fold, parts in enumerate(DomainKFold(3).split(X, y, sample_domain)):
            train = parts[0]
            model = reweighted().fit(X[train], y[train], sample_domain=sample_domain[train])
            for part, rows in zip(("train", "test"), parts, strict=True):
                for name, score in ALL.items():
                    expected = score(model, X[rows], y[rows], sample_domain=sample_domain[rows])
                    assert found[f"{part}_{name}"][fold] == pytest.approx(expected, rel=1e-9)
    assert np.all(found["test_mmd"] < 0.0)
    assert np.all(found["test_weighted"] > 0.5)


@pytest.mark.parametrize("name", sorted(ALL))
@pytest.mark.parametrize(
    "model",
    [reweighted(), make_pipeline(StandardScaler(), LogisticRegression())],
    ids=["reweighted", "stock"],
)
def test_searches_select_by_them(shifted, name, model):
    X, y, sample_domain = shifted
    last = model.steps[-1][0]
    parameter = f"{last}__estimator__C" if last == "transferclassifier" else f"{last}__C"
    metadata = {"groups": sample_domain, "sample_domain": sample_domain}
    with sklearn.config_context(**ROUTING):
        search = GridSearchCV(
            model,
            {parameter: [1e-4, 1.0]},
            scoring=ALL[name],
            cv=DomainKFold(3),
            error_score="raise",
        )
        search.fit(X, y, **metadata)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        again = search.score(X, y, sample_domain=sample_domain)
        expected = ALL[name](search.best_estimator_, X, y, sample_domain=sample_domain)
        assert again == pytest.approx(expected)
        # Several at once, one of which decides.
        search.set_params(scoring=ALL, refit=name).fit(X, y, **metadata)
        assert search.scorer_.keys() == ALL.keys()
        assert search.best_score_ == search.cv_results_[f"mean_test_{name}"].max()


def test_regressions_are_searched(rng):
    Xs = 0.5 + 0.5 * rng.normal(size=(60, 1))
    ys = (Xs**3 - Xs)[:, 0] + 0.1 * rng.normal(size=60)
    X, y, sample_domain = stack_domains(Xs, ys, 0.3 * rng.normal(size=(40, 1)))
    with sklearn.config_context(**ROUTING):
        for score in (ImportanceWeightedScorer(), CircularValidationScorer()):
            found = cross_validate(
                TransferRegressor(LinearRegression(), KernelMeanMatching()),
                X,
                y,
                scoring=score,
                cv=DomainKFold(3, shuffle=True, random_state=0),
                params={"sample_domain": sample_domain, "groups": sample_domain},
                error_score="raise",
            )
            assert np.isfinite(found["test_score"]).all()


@pytest.mark.parametrize("name", sorted(ALL))
def test_without_routing_a_search_says_what_to_do(shifted, name):
    X, y, sample_domain = shifted
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()),
        {},
        scoring=ALL[name],
        cv=DomainKFold(3),
        error_score="raise",
    )
    with pytest.raises(ValueError, match=r"needs sample_domain.*enable_metadata_routing=True"):
        search.fit(X, y, groups=sample_domain)


@pytest.mark.parametrize("name", sorted(ALL))
def test_calls_without_domains_say_what_to_do(shifted, name):
    X, y, sample_domain = shifted
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    score = ALL[name]
    with pytest.raises(ValueError, match=r"A direct call takes sample_domain"):
        score(model, X, y)
    with pytest.raises(ValueError, match=f"{type(score).__name__} needs rows of both"):
        score(model, X, y, sample_domain=np.ones(100))
    with pytest.raises(ValueError, match=r"shape \(99,\), but X has 100 rows"):
        score(model, X, y, sample_domain=sample_domain[1:])
    if name != "mmd":
        with pytest.raises(ValueError, match="needs y"):
            score(model, X, sample_domain=sample_domain)


@pytest.mark.parametrize(
    "scorer", [ImportanceWeightedScorer, CircularValidationScorer], ids=lambda s: s.__name__
)
@pytest.mark.parametrize("scoring", [["accuracy"], {"a": "accuracy"}, 3])
def test_scoring_is_one_measure(shifted, scorer, scoring):
    X, y, sample_domain = shifted
    with pytest.raises(ValueError, match="name of one scorer"):
        scorer(scoring)(LogisticRegression().fit(X, y), X, y, sample_domain=sample_domain)


@pytest.mark.parametrize("name", sorted(ALL))
@pytest.mark.parametrize(
    "container",
    [
        lambda X: pandas.DataFrame(X, columns=["u", "v"], index=range(100, 0, -1)),
        lambda X: polars.DataFrame(X, schema=["u", "v"]),
        lambda X: X.tolist(),
        np.asfortranarray,
    ],
    ids=["pandas", "polars", "list", "fortran"],
)
def test_containers(shifted, name, container):
    X, y, sample_domain = shifted
    model = make_pipeline(StandardScaler(), SourceOnly())
    score = ALL[name]

    def scored(X, y, sample_domain):
        fitted = clone(model).fit(X, y, sourceonly__sample_domain=sample_domain)
        return score(fitted, X, y, sample_domain=sample_domain)

    expected = scored(X, y, sample_domain)
    y.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = scored(
            container(X),
            pandas.Series(y, index=range(100, 0, -1)),
            pandas.Series(sample_domain, index=range(7, 107)),
        )
    assert found == pytest.approx(expected, rel=1e-9)


def test_sparse_rows_there_and_back(shifted):
    X, y, sample_domain = shifted
    source = sample_domain > 0
    model = LogisticRegression().fit(X[source], y[source])
    expected = CircularValidationScorer()(model, X, y, sample_domain=sample_domain)
    rows = sparse.csr_array(X)
    model = LogisticRegression().fit(rows[source], y[source])
    assert CircularValidationScorer()(model, rows, y, sample_domain=sample_domain) == expected


@pytest.mark.parametrize("name", sorted(ALL))
def test_protocol_of_scorers(name):
    score = ALL[name]
    routing = get_routing_for_object(score)
    assert routing.consumes("score", ["sample_domain", "sample_weight"]) == {"sample_domain"}
    copied = pickle.loads(pickle.dumps(score))
    assert type(copied) is type(score)
    assert repr(copied) == repr(score)
    assert vars(clone(score, safe=False)).keys() == vars(score).keys()


def test_repr():
    assert repr(MMDScorer()) == "MMDScorer()"
    assert repr(MMDScorer(gamma=0.5)) == "MMDScorer(gamma=0.5)"
    assert repr(CircularValidationScorer("r2")) == "CircularValidationScorer(scoring='r2')"
    score = ImportanceWeightedScorer(reweighter=DummyClassifier())
    assert repr(score) == "ImportanceWeightedScorer(reweighter=DummyClassifier())"
