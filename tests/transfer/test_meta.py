"""`TransferClassifier` and `TransferRegressor`: what reaches the estimator within."""

import numpy as np
import pytest
import sklearn
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.svm import SVC

from skmmd.datasets import make_regression_shift
from skmmd.transfer import (
    DomainKFold,
    KernelMeanMatching,
    TransferClassifier,
    TransferRegressor,
    kmm_weights,
    stack_domains,
)

N = 60
RNG = np.random.default_rng(4)
IS_SOURCE = RNG.permutation(np.arange(N) % 5 < 3)
DOMAIN = np.where(IS_SOURCE, 1, -1)
LABELS = np.arange(N) % 3
X = RNG.normal(size=(N, 3)) + np.eye(3)[LABELS] + 0.3 * ~IS_SOURCE[:, None]
VALUES = X[:, 0] ** 2 + X[:, 1]
NEW = RNG.normal(size=(9, 3)) + 0.3
WEIGHTS = kmm_weights(X[IS_SOURCE], X[~IS_SOURCE], gamma=0.3, tol=1e-10)
MATCHING = KernelMeanMatching(gamma=0.3, tol=1e-10)


class Spy(BaseEstimator):
    """Keeps what `fit` was given."""

    def fit(self, X, y, sample_weight=None):
        self.seen_ = (np.array(X), np.array(y), sample_weight)
        self.n_features_in_ = X.shape[1]
        if hasattr(self, "predict_proba"):
            self.classes_ = np.unique(y)
        return self


class SpyClassifier(ClassifierMixin, Spy):
    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


class SpyRegressor(RegressorMixin, Spy):
    def predict(self, X):
        return np.zeros(len(X))


KINDS = {
    "classifier": (TransferClassifier, SpyClassifier, LABELS),
    "regressor": (TransferRegressor, SpyRegressor, VALUES),
}
each_kind = pytest.mark.parametrize("kind", KINDS)

# --------------------------------------------------------------------------------------
# the weights


@each_kind
def test_source_rows_and_their_weights_reach_the_estimator(kind):
    Transfer, Inner, y = KINDS[kind]
    inner = Inner()
    model = Transfer(inner, MATCHING).fit(X, y, sample_domain=DOMAIN)
    rows, targets, weight = model.estimator_.seen_
    np.testing.assert_array_equal(rows, X[IS_SOURCE])
    np.testing.assert_array_equal(targets, y[IS_SOURCE])
    np.testing.assert_allclose(weight, WEIGHTS, atol=1e-6)
    np.testing.assert_allclose(model.weights_, WEIGHTS, atol=1e-6)
    np.testing.assert_array_equal(model.reweighter_.weights_, model.weights_)
    assert not hasattr(inner, "seen_"), "a clone is fitted"
    assert not hasattr(MATCHING, "weights_")
    assert isinstance(model.estimator_, Inner)


@each_kind
def test_without_reweighter_source_rows_alone(kind):
    Transfer, Inner, y = KINDS[kind]
    model = Transfer(Inner()).fit(X, y, sample_domain=DOMAIN)
    rows, targets, weight = model.estimator_.seen_
    np.testing.assert_array_equal(rows, X[IS_SOURCE])
    np.testing.assert_array_equal(targets, y[IS_SOURCE])
    assert weight is None or np.ptp(weight) == 0


@each_kind
def test_sample_weights_multiply(kind):
    """And count as copies of rows in the matching itself."""
    Transfer, Inner, y = KINDS[kind]
    a = np.random.default_rng(0).uniform(0.5, 2.0, N)
    model = Transfer(Inner(), MATCHING).fit(X, y, sample_domain=DOMAIN, sample_weight=a)
    matching = clone(MATCHING).fit(X, sample_domain=DOMAIN, sample_weight=a)
    expected = matching.weights_ * a[IS_SOURCE]
    np.testing.assert_allclose(model.estimator_.seen_[2], expected, atol=1e-6)
    plain = Transfer(Inner()).fit(X, y, sample_domain=DOMAIN, sample_weight=a)
    np.testing.assert_allclose(plain.estimator_.seen_[2], a[IS_SOURCE], rtol=1e-12)


@each_kind
@pytest.mark.parametrize("reweighter", [None, MATCHING], ids=["none", "matching"])
def test_integer_weights_are_copies(kind, reweighter):
    Transfer, _, y = KINDS[kind]
    inner = Ridge() if kind == "regressor" else LogisticRegression(tol=1e-10, max_iter=1000)
    a = np.random.default_rng(0).integers(1, 4, N)
    one = Transfer(inner, reweighter).fit(X, y, sample_domain=DOMAIN, sample_weight=a)
    two = Transfer(inner, reweighter).fit(
        np.repeat(X, a, axis=0), np.repeat(y, a), sample_domain=np.repeat(DOMAIN, a)
    )
    np.testing.assert_allclose(one.estimator_.coef_, two.estimator_.coef_, atol=1e-5)


@each_kind
def test_weights_of_any_reweighter(kind):
    """All it takes is `fit` with sample_domain, and `weights_`."""

    class Fixed(BaseEstimator):
        def fit(self, X, y=None, *, sample_domain=None):
            self.weights_ = np.arange(float((np.asarray(sample_domain) >= 0).sum()))
            return self

    Transfer, Inner, y = KINDS[kind]
    model = Transfer(Inner(), Fixed()).fit(X, y, sample_domain=DOMAIN)
    np.testing.assert_array_equal(model.estimator_.seen_[2], np.arange(36.0))


@each_kind
@pytest.mark.parametrize("routing", [False, True])
def test_a_pipeline_within(kind, routing):
    """Weights reach its last step, after steps that are fitted on the source rows."""
    Transfer, Inner, y = KINDS[kind]
    with sklearn.config_context(enable_metadata_routing=routing):
        inner, scaler = Inner(), StandardScaler()
        if routing:
            inner.set_fit_request(sample_weight=True)
            scaler.set_fit_request(sample_weight=False)
        model = Transfer(make_pipeline(PolynomialFeatures(2), scaler, inner), MATCHING)
        model.fit(X, y, sample_domain=DOMAIN)
        rows, targets, weight = model.estimator_[-1].seen_
        assert rows.shape == (36, 10)
        np.testing.assert_array_equal(targets, y[IS_SOURCE])
        np.testing.assert_allclose(weight, WEIGHTS, atol=1e-6)
        assert model.predict(NEW).shape == (9,)


@each_kind
def test_meta_within_a_pipeline_within_routing(kind):
    """The whole chain under routing: no request of the inner estimator is needed."""
    Transfer, _, y = KINDS[kind]
    inner = Ridge() if kind == "regressor" else LogisticRegression()
    expected = Transfer(inner, MATCHING).fit(
        StandardScaler().fit_transform(X), y, sample_domain=DOMAIN
    )
    with sklearn.config_context(enable_metadata_routing=True):
        chain = make_pipeline(StandardScaler(), Transfer(clone(inner), clone(MATCHING)))
        chain.fit(X, y, sample_domain=DOMAIN)
    np.testing.assert_allclose(chain[-1].estimator_.coef_, expected.estimator_.coef_, rtol=1e-9)


UNWEIGHTED = {
    "classifier": KNeighborsClassifier(3),
    "regressor": KNeighborsRegressor(3),
}


@each_kind
@pytest.mark.parametrize("piped", [False, True])
def test_an_estimator_without_weights(kind, piped):
    """A clear error with a reweighter, none without."""
    Transfer, _, y = KINDS[kind]
    inner = UNWEIGHTED[kind]
    if piped:
        inner = make_pipeline(StandardScaler(), inner)
    with pytest.raises((TypeError, ValueError), match="sample_weight") as caught:
        Transfer(inner, MATCHING).fit(X, y, sample_domain=DOMAIN)
    assert "KNeighbors" in str(caught.value)
    with pytest.raises((TypeError, ValueError), match="sample_weight"):
        Transfer(inner).fit(X, y, sample_domain=DOMAIN, sample_weight=np.arange(N) + 1.0)
    model = Transfer(inner).fit(X, y, sample_domain=DOMAIN)
    alone = clone(inner).fit(X[IS_SOURCE], y[IS_SOURCE])
    np.testing.assert_array_equal(model.predict(NEW), alone.predict(NEW))


# --------------------------------------------------------------------------------------
# predictions are the estimator's own


@pytest.mark.parametrize(
    "inner",
    [
        LogisticRegression(),
        make_pipeline(StandardScaler(), LogisticRegression()),
        RandomForestClassifier(10, random_state=0),
    ],
    ids=["logistic", "pipeline", "forest"],
)
def test_predictions_of_a_classifier(inner):
    alone = clone(inner)
    step = {"logisticregression__sample_weight": WEIGHTS}
    if not hasattr(inner, "steps"):
        step = {"sample_weight": WEIGHTS}
    alone.fit(X[IS_SOURCE], LABELS[IS_SOURCE], **step)
    model = TransferClassifier(inner, MATCHING).fit(X, LABELS, sample_domain=DOMAIN)
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])
    np.testing.assert_array_equal(model.predict(NEW), alone.predict(NEW))
    np.testing.assert_allclose(model.predict_proba(NEW), alone.predict_proba(NEW), atol=1e-4)
    assert hasattr(model, "decision_function") == hasattr(alone, "decision_function")
    assert model.score(X, LABELS) == accuracy_score(LABELS, model.predict(X))


def test_methods_that_the_estimator_lacks():
    model = TransferClassifier(SVC(), MATCHING).fit(X, LABELS, sample_domain=DOMAIN)
    assert not hasattr(model, "predict_proba")
    assert model.decision_function(NEW).shape == (9, 3)


def test_predictions_of_a_regressor():
    alone = Ridge().fit(X[IS_SOURCE], VALUES[IS_SOURCE], sample_weight=WEIGHTS)
    model = TransferRegressor(reweighter=MATCHING).fit(X, VALUES, sample_domain=DOMAIN)
    np.testing.assert_allclose(model.predict(NEW), alone.predict(NEW), atol=1e-6)
    assert isinstance(model.estimator_, Ridge)
    assert model.score(X, VALUES) == pytest.approx(r2_score(VALUES, model.predict(X)))


def test_default_classifier():
    alone = LogisticRegression().fit(X[IS_SOURCE], LABELS[IS_SOURCE])
    model = TransferClassifier().fit(X, LABELS, sample_domain=DOMAIN)
    assert isinstance(model.estimator_, LogisticRegression)
    np.testing.assert_allclose(model.predict_proba(NEW), alone.predict_proba(NEW), atol=1e-9)


@pytest.mark.filterwarnings("ignore:Transfer.* was fitted without sample_domain:UserWarning")
@pytest.mark.filterwarnings("ignore:KernelMeanMatching was fitted without:UserWarning")
@each_kind
def test_all_rows_source(kind):
    Transfer, Inner, y = KINDS[kind]
    model = Transfer(Inner(), MATCHING).fit(X, y)
    rows, targets, weight = model.estimator_.seen_
    np.testing.assert_array_equal(rows, X)
    np.testing.assert_array_equal(targets, y)
    assert weight is None or np.all(weight == 1.0)


def test_classes_of_target_rows_alone_are_unknown():
    """A label that only target rows carry is a placeholder."""
    y = np.where(IS_SOURCE, LABELS, 9)
    model = TransferClassifier(reweighter=MATCHING).fit(X, y, sample_domain=DOMAIN)
    np.testing.assert_array_equal(model.classes_, [0, 1, 2])


# --------------------------------------------------------------------------------------
# what it is for


def test_the_error_on_the_target_falls():
    """A line through a cubic curve, seen elsewhere than it is wanted."""
    errors = []
    for seed in range(5):
        Xs, ys, Xt, yt = make_regression_shift(random_state=seed)
        rows, y, domain = stack_domains(Xs, ys, Xt[:200])
        pair = [
            TransferRegressor(LinearRegression(), reweighter).fit(rows, y, sample_domain=domain)
            for reweighter in (None, KernelMeanMatching())
        ]
        errors.append([np.mean((model.predict(Xt) - yt) ** 2) for model in pair])
    unweighted, weighted = np.mean(errors, axis=0)
    assert weighted < 0.15 * unweighted
    assert weighted < 0.03


# --------------------------------------------------------------------------------------
# parameters, searches, errors


def test_parameters_of_the_parts():
    model = TransferClassifier(LogisticRegression(C=3.0), KernelMeanMatching(alpha=0.2))
    assert model.get_params()["estimator__C"] == 3.0
    model.set_params(reweighter__alpha=0.5, estimator__C=0.1)
    assert model.reweighter.alpha == 0.5
    assert clone(model).estimator.C == 0.1


@pytest.mark.parametrize("routing", [False, True])
def test_cross_validation(routing):
    folds = list(DomainKFold(3).split(X, LABELS, groups=DOMAIN))
    with sklearn.config_context(enable_metadata_routing=routing):
        model = TransferClassifier(LogisticRegression(), MATCHING)
        found = cross_validate(
            model,
            X,
            LABELS,
            cv=folds,
            params={"sample_domain": DOMAIN},
            return_estimator=True,
            error_score="raise",
        )
    for (train, _), fitted in zip(folds, found["estimator"], strict=True):
        inside = IS_SOURCE[train]
        expected = kmm_weights(X[train][inside], X[train][~inside], gamma=0.3, tol=1e-10)
        np.testing.assert_allclose(fitted.weights_, expected, atol=1e-6)


@pytest.mark.parametrize("routing", [False, True])
def test_a_search_over_reweighters(routing):
    """With and without weights side by side; the scores are those of the settings alone."""
    folds = list(DomainKFold(2).split(X, LABELS, groups=DOMAIN))
    reweighters = [None, KernelMeanMatching(gamma=3.0, alpha=1e-3)]
    with sklearn.config_context(enable_metadata_routing=routing):
        search = GridSearchCV(
            TransferClassifier(LogisticRegression()),
            {"reweighter": reweighters},
            cv=folds,
            error_score="raise",
        ).fit(X, LABELS, sample_domain=DOMAIN)
    for place, reweighter in enumerate(reweighters):
        for number, (train, test) in enumerate(folds):
            model = TransferClassifier(LogisticRegression(), reweighter)
            model.fit(X[train], LABELS[train], sample_domain=DOMAIN[train])
            found = search.cv_results_[f"split{number}_test_score"][place]
            assert found == model.score(X[test], LABELS[test])


def test_sample_weights_are_routed():
    a = np.random.default_rng(0).uniform(0.5, 2.0, N)
    expected = TransferClassifier(reweighter=MATCHING)
    expected.fit(X, LABELS, sample_domain=DOMAIN, sample_weight=a)
    with sklearn.config_context(enable_metadata_routing=True):
        meta = TransferClassifier(reweighter=clone(MATCHING)).set_fit_request(sample_weight=True)
        chain = make_pipeline(StandardScaler(with_mean=False, with_std=False), meta)
        chain[0].set_fit_request(sample_weight=False)
        chain.fit(X, LABELS, sample_domain=DOMAIN, sample_weight=a)
    np.testing.assert_allclose(chain[-1].weights_, expected.weights_, atol=1e-9)


@each_kind
def test_bad_parts(kind):
    Transfer, Inner, y = KINDS[kind]
    for options in ({"estimator": "svm"}, {"estimator": 3}, {"reweighter": "kmm"}):
        with pytest.raises((ValueError, TypeError), match=next(iter(options))):
            Transfer(**options).fit(X, y, sample_domain=DOMAIN)
    with pytest.raises((ValueError, TypeError, AttributeError), match="reweighter"):
        Transfer(Inner(), StandardScaler()).fit(X, y, sample_domain=DOMAIN)


@each_kind
def test_bad_labels_and_weights(kind):
    Transfer, Inner, y = KINDS[kind]
    first = np.arange(N) == np.flatnonzero(IS_SOURCE)[0]
    with pytest.raises(ValueError, match=r"inconsistent|\by\b"):
        Transfer(Inner()).fit(X, y[:-1], sample_domain=DOMAIN)
    with pytest.raises(ValueError, match=r"NaN|label"):
        Transfer(Inner()).fit(X, np.where(first, np.nan, y), sample_domain=DOMAIN)
    for weight, words in (
        (np.where(first, np.nan, 1.0), "NaN"),
        (np.ones(N - 1), "sample_weight"),
    ):
        with pytest.raises(ValueError, match=words):
            Transfer(Inner(), MATCHING).fit(X, y, sample_domain=DOMAIN, sample_weight=weight)


@pytest.mark.filterwarnings("ignore:All weights are zero:UserWarning")
@each_kind
def test_domains_without_any_overlap(kind):
    """All weights are 0: told, before the estimator within fails on them."""
    Transfer, Inner, y = KINDS[kind]
    with pytest.raises(ValueError, match="overlap"):
        Transfer(Inner(), MATCHING).fit(X + 90.0 * ~IS_SOURCE[:, None], y, sample_domain=DOMAIN)


def test_one_class():
    """The source has one; the second is a placeholder in the target."""
    with pytest.raises(ValueError, match="class"):
        TransferClassifier().fit(X, np.where(IS_SOURCE, 0, 1), sample_domain=DOMAIN)


@each_kind
def test_before_fit(kind):
    Transfer, _, _ = KINDS[kind]
    with pytest.raises(NotFittedError):
        Transfer().predict(NEW)


@each_kind
def test_prediction_of_bad_rows(kind):
    Transfer, _, y = KINDS[kind]
    model = Transfer(reweighter=MATCHING).fit(X, y, sample_domain=DOMAIN)
    with pytest.raises(ValueError, match="features"):
        model.predict(NEW[:, :2])
    with pytest.raises(ValueError, match="NaN"):
        model.predict(np.where(np.arange(27).reshape(9, 3) == 9, np.nan, NEW))
