"""The learner beside the rest of scikit-learn: searches, pipelines, text, routed weights."""

import joblib
import numpy as np
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris, load_wine, make_circles
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.kernel_approximation import Nystroem
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    cross_val_score,
    cross_validate,
)
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmmd.metric_learning import MetricLearner, mean_average_precision_at_r
from tests import reference

LOSSES = ["contrastive", "triplet", "triplet_center", "n_pair", "quadruplet", "lifted_structure"]
FOLDS = StratifiedKFold(3, shuffle=True, random_state=0)

pytestmark = pytest.mark.filterwarnings(
    "ignore:MetricLearner stopped after:sklearn.exceptions.ConvergenceWarning"
)


def learner(loss="triplet", **options):
    return MetricLearner(loss, **{"random_state": 0, "max_iter": 20, "n_passes": 2, **options})


@pytest.fixture(scope="module")
def wine():
    return load_wine(return_X_y=True)


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


# --------------------------------------------------------------------------------------
# searches


def test_grid_search_over_losses_positives_and_components(wine):
    """Its scores are MAP@R of the rows left out, by the definition, and tell settings apart."""
    X, y = wine
    grid = {
        "loss": LOSSES,
        "positives": ["all", "neighbors"],
        "n_components": [1, 2],
    }
    search = GridSearchCV(learner(max_iter=8), grid, cv=FOLDS, error_score="raise").fit(X, y)
    results = search.cv_results_
    scores = results["mean_test_score"]
    assert scores.shape == (24,)
    assert np.all((scores > 0) & (scores <= 1))
    assert search.best_score_ > 0.85
    # One direction cannot keep three classes as far apart as two can.
    one, two = (
        np.mean(scores[np.array(results["param_n_components"], dtype=int) == k]) for k in (1, 2)
    )
    assert two > one + 0.03
    train, test = next(iter(FOLDS.split(X, y)))
    for place in (0, 23):
        ours = learner(max_iter=8).set_params(**results["params"][place]).fit(X[train], y[train])
        Z = X[test] @ ours.components_.T
        expected = reference.mean_average_precision_at_r(Z, y[test])
        assert results["split0_test_score"][place] == pytest.approx(expected, rel=1e-12)
    assert search.transform(X).shape == (178, search.best_params_["n_components"])
    assert search.best_estimator_.score(X, y) == pytest.approx(search.score(X, y))


def test_grid_search_over_margins_of_pairs_of_classes(iris):
    """Matrices, dicts and numbers side by side; margins that differ give maps that differ."""
    X, y = iris
    matrix = np.array([[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]])
    margins = [1.0, matrix, {(0, 1): 0.3, (1, 2): 3.0}]
    search = GridSearchCV(
        learner("lifted_structure", positives="all", n_components=2),
        {"margin": margins},
        cv=FOLDS,
        error_score="raise",
    ).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert len(np.unique(scores)) == 3
    assert scores.min() > 0.75
    for margin, score in zip(margins, scores, strict=True):
        alone = learner("lifted_structure", positives="all", n_components=2, margin=margin)
        assert cross_val_score(alone, X, y, cv=FOLDS).mean() == pytest.approx(score, rel=1e-12)


def test_margins_of_pairs_of_classes_in_a_pipeline():
    """Three classes as far from each other: the pair with the smaller margin ends nearer."""
    rng = np.random.default_rng(0)
    kinds = np.array(["cat", "dog", "wolf"])
    y = kinds[np.arange(90) % 3]
    X = 4.0 * (y[:, None] == kinds) + 0.5 * rng.normal(size=(90, 3))

    def ratio(margin):
        chain = make_pipeline(
            StandardScaler(), learner("contrastive", positives="all", margin=margin)
        )
        Z = chain.fit_transform(X, y)
        cat, dog, wolf = (Z[y == kind].mean(axis=0) for kind in kinds)
        return np.linalg.norm(dog - wolf) / np.linalg.norm(dog - cat)

    assert ratio(1.0) == pytest.approx(1.0, abs=0.1)
    assert ratio({("dog", "wolf"): 0.5}) == pytest.approx(0.5, abs=0.1)


def test_a_seeded_search_gives_the_same_in_threads(wine):
    X, y = wine
    grid = {"solver": ["lbfgs", "adam"], "early_stopping": [True, False]}
    search = GridSearchCV(learner(max_iter=5), grid, cv=FOLDS, error_score="raise")
    one = clone(search).fit(X, y).cv_results_["mean_test_score"]
    with joblib.parallel_config(backend="threading", n_jobs=2):
        two = clone(search).fit(X, y).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(one, two)


def test_cross_validate(wine):
    X, y = wine
    found = cross_validate(
        learner("contrastive", positives="all"),
        X,
        np.array(["red", "rose", "white"])[y],
        cv=FOLDS,
        return_estimator=True,
        return_train_score=True,
        error_score="raise",
    )
    for (train, test), estimator, held, seen in zip(
        FOLDS.split(X, y),
        found["estimator"],
        found["test_score"],
        found["train_score"],
        strict=True,
    ):
        assert mean_average_precision_at_r(estimator.transform(X[test]), y[test]) == pytest.approx(
            held, rel=1e-12
        )
        assert mean_average_precision_at_r(
            estimator.transform(X[train]), y[train]
        ) == pytest.approx(seen, rel=1e-12)
    standardised = [
        mean_average_precision_at_r(StandardScaler().fit(X[train]).transform(X[test]), y[test])
        for train, test in FOLDS.split(X, y)
    ]
    assert found["test_score"].mean() > np.mean(standardised) + 0.1


# --------------------------------------------------------------------------------------
# before other estimators


@pytest.mark.parametrize("loss", LOSSES)
def test_before_nearest_neighbors(loss, wine):
    """Features have unlike units: raw neighbours are much worse."""
    X, y = wine
    chain = make_pipeline(learner(loss), KNeighborsClassifier(5))
    raw = cross_val_score(KNeighborsClassifier(5), X, y, cv=FOLDS).mean()
    scores = cross_val_score(chain, X, y, cv=FOLDS, error_score="raise")
    assert scores.mean() > 0.94
    assert scores.mean() > raw + 0.15


def test_a_search_over_a_pipeline(wine):
    X, y = wine
    chain = make_pipeline(learner(), KNeighborsClassifier(5))
    grid = {
        "metriclearner__loss": ["contrastive", "triplet"],
        "metriclearner__n_components": [2, None],
        "kneighborsclassifier__n_neighbors": [3, 5],
    }
    search = GridSearchCV(chain, grid, cv=FOLDS, error_score="raise").fit(X, y)
    assert search.best_score_ > 0.95
    Z = search.best_estimator_[:-1].transform(X)
    np.testing.assert_array_equal(search.best_estimator_[-1].predict(Z), search.predict(X))


@pytest.mark.parametrize("loss", LOSSES)
def test_before_k_means(loss, wine):
    """Clusters of new rows are the classes that the training rows taught."""
    X, y = wine
    train, test = np.arange(0, 178, 2), np.arange(1, 178, 2)
    chain = make_pipeline(learner(loss, positives="all"), KMeans(3, n_init=5, random_state=0))
    found = chain.fit(X[train], y[train]).predict(X[test])
    raw = KMeans(3, n_init=5, random_state=0).fit(X[train]).predict(X[test])
    assert adjusted_rand_score(y[test], found) > 0.75
    assert adjusted_rand_score(y[test], found) > adjusted_rand_score(y[test], raw) + 0.2


def test_beside_other_columns(iris):
    pandas = pytest.importorskip("pandas")
    X, y = iris
    frame = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
    columns = ColumnTransformer(
        [("map", learner(n_components=2), ["a", "b", "c"]), ("rest", "passthrough", ["d"])]
    ).set_output(transform="pandas")
    found = columns.fit_transform(frame, y)
    assert list(found.columns) == ["map__metriclearner0", "map__metriclearner1", "rest__d"]
    expected = learner(n_components=2).fit_transform(X[:, :3], y)
    np.testing.assert_allclose(found.to_numpy()[:, :2], expected, rtol=1e-12)


# --------------------------------------------------------------------------------------
# what is not linear


def test_circles_are_told_apart_by_kernel_features():
    """No linear map of the plane separates circles."""
    X, y = make_circles(240, noise=0.08, factor=0.4, random_state=0)
    train, test = np.arange(0, 240, 2), np.arange(1, 240, 2)
    linear = learner("contrastive", positives="all")
    kernel = make_pipeline(Nystroem(gamma=2.0, n_components=40, random_state=0), clone(linear))
    scores = [model.fit(X[train], y[train]).score(X[test], y[test]) for model in (linear, kernel)]
    assert scores[1] > 0.95
    assert scores[0] < 0.75


# --------------------------------------------------------------------------------------
# text

SUBJECTS = {
    "weather": np.array(["rain", "wind", "storm", "cloud", "sun", "snow", "frost", "thunder"]),
    "kitchen": np.array(["oven", "butter", "flour", "sugar", "salt", "pan", "spoon", "knife"]),
    "garden": np.array(["rose", "spade", "seed", "soil", "weed", "hedge", "lawn", "tulip"]),
}
COMMON = np.array(["the", "of", "and", "with", "in", "on", "to", "some", "very", "much", "then"])


def texts(n=90, seed=0):
    """Write texts of many common words and few of their subject."""
    rng = np.random.default_rng(seed)
    kinds = np.array(list(SUBJECTS))[np.arange(n) % 3]
    written = [
        " ".join([*rng.choice(COMMON, 12), *rng.choice(SUBJECTS[kind], 3, replace=False)])
        for kind in kinds
    ]
    return written, kinds


@pytest.mark.parametrize("loss", LOSSES)
def test_text(loss):
    """Rows stay sparse up to the map, which finds the words that matter."""
    written, kinds = texts()
    new, new_kinds = texts(seed=1)
    chain = make_pipeline(
        TfidfVectorizer(),
        learner(loss, n_components=2, early_stopping=False),
        KNeighborsClassifier(5),
    ).fit(written, kinds)
    assert sparse.issparse(chain[0].transform(new))
    raw = make_pipeline(TfidfVectorizer(), KNeighborsClassifier(5)).fit(written, kinds)
    assert chain.score(new, new_kinds) >= 0.9
    dense = clone(chain[1]).fit(chain[0].transform(written).toarray(), kinds)
    np.testing.assert_allclose(
        dense.transform(chain[0].transform(new).toarray()),
        chain[:-1].transform(new),
        atol=1e-4 * np.abs(chain[:-1].transform(new)).max(),
    )
    Z = chain[:-1].transform(new)
    retrieval = mean_average_precision_at_r(Z, new_kinds)
    before = mean_average_precision_at_r(raw[0].transform(new).toarray(), new_kinds)
    assert retrieval > before + 0.2


# --------------------------------------------------------------------------------------
# routed weights


def test_weights_are_routed_through_a_pipeline(wine):
    X, y = wine
    weight = 1.0 + np.random.default_rng(0).integers(0, 3, len(y))
    expected = learner().fit(StandardScaler().fit_transform(X), y, sample_weight=weight)
    unweighted = learner().fit(StandardScaler().fit_transform(X), y)
    with sklearn.config_context(enable_metadata_routing=True):
        chain = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False),
            learner().set_fit_request(sample_weight=True),
            KNeighborsClassifier(3),
        ).fit(X, y, sample_weight=weight)
        np.testing.assert_array_equal(chain[1].components_, expected.components_)
        refused = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False),
            learner().set_fit_request(sample_weight=False),
            KNeighborsClassifier(3),
        )
        with pytest.raises((TypeError, ValueError), match="sample_weight"):
            refused.fit(X, y, sample_weight=weight)
    assert not np.allclose(expected.components_, unweighted.components_)


def test_weights_are_routed_through_a_search(wine):
    """They are cut into folds with the rows."""
    X, y = wine
    weight = np.random.default_rng(0).integers(0, 3, len(y)).astype(float)
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            learner("contrastive").set_fit_request(sample_weight=True),
            {"positives": ["all", "neighbors"]},
            cv=FOLDS,
            error_score="raise",
        ).fit(X, y, sample_weight=weight)
    for place, positives in enumerate(["all", "neighbors"]):
        for number, (train, test) in enumerate(FOLDS.split(X, y)):
            ours = learner("contrastive", positives=positives)
            ours.fit(X[train], y[train], sample_weight=weight[train])
            found = search.cv_results_[f"split{number}_test_score"][place]
            assert found == pytest.approx(ours.score(X[test], y[test]), rel=1e-12)


def test_weights_by_name_of_the_step(wine):
    X, y = wine
    weight = 1.0 + (y == 0)
    chain = make_pipeline(learner(), KNeighborsClassifier(3))
    chain.fit(X, y, metriclearner__sample_weight=weight)
    expected = learner().fit(X, y, sample_weight=weight)
    np.testing.assert_array_equal(chain[0].components_, expected.components_)
