"""Bad input: an error that names what was wrong and what to do."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import DataConversionWarning, NotFittedError

from skmmd.metric_learning import MetricLearner, pair_loss
from tests.registry import LOSSES

RNG = np.random.default_rng(3)
Y = np.repeat([0, 1, 2], [7, 5, 4])
X = RNG.normal(size=(16, 3)) + Y[:, None]
NAN = np.where(np.arange(48).reshape(16, 3) == 7, np.nan, X)
INF = np.where(np.arange(48).reshape(16, 3) == 7, np.inf, X)

each_loss = pytest.mark.parametrize("loss", LOSSES)

# --------------------------------------------------------------------------------------
# margins, alike in the function and the estimator

BAD_MARGINS = {
    "word": ("large", "margin"),
    "None": (None, "margin"),
    "NaN": (np.nan, "margin must be finite"),
    "inf": (np.inf, "margin must be finite"),
    "too few classes": (np.ones((2, 2)), r"margin has shape \(2, 2\).*\(3, 3\)"),
    "not square": (np.ones((3, 2)), r"margin has shape \(3, 2\).*\(3, 3\)"),
    "vector": (np.ones(3), r"margin has shape \(3,\).*\(3, 3\)"),
    "NaN matrix": (np.full((3, 3), np.nan), "margin.*NaN"),
    "inf matrix": (np.full((3, 3), np.inf), "margin.*inf"),
    "words": ([["a"] * 3] * 3, "could not convert string to float|margin"),
    "unknown class": ({(0, 9): 2.0}, "margin names the class 9"),
    "no pair": ({0: 2.0}, "margin as a dict maps pairs of labels"),
    "triple": ({(0, 1, 2): 2.0}, "margin as a dict maps pairs of labels"),
    "word in a dict": ({(0, 1): "x"}, r"margin of \(0, 1\) must be a number"),
    "None in a dict": ({(0, 1): None}, r"margin of \(0, 1\) must be a number"),
    "NaN in a dict": ({(0, 1): np.nan}, "margin.*(finite|NaN|number)"),
    "inf in a dict": ({(0, 1): np.inf}, "margin.*(finite|inf|number)"),
}


@pytest.mark.parametrize("case", BAD_MARGINS)
@pytest.mark.parametrize("loss", [x for x in LOSSES if x != "n_pair"])
def test_bad_margins_are_named(loss, case):
    margin, words = BAD_MARGINS[case]
    with pytest.raises((ValueError, TypeError), match=words):
        pair_loss(X, Y, loss=loss, margin=margin)
    with pytest.raises((ValueError, TypeError), match=words):
        MetricLearner(loss, margin=margin).fit(X, Y)


@pytest.mark.parametrize("loss", ["contrastive", "lifted_structure"])
@pytest.mark.parametrize("margin", [np.triu(np.ones((3, 3))), {(0, 1): 1.0, (1, 0): 2.0}], ids=str)
def test_pairs_without_an_order_need_symmetric_margins(loss, margin):
    with pytest.raises(ValueError, match=f"loss='{loss}'.*symmetric"):
        pair_loss(X, Y, loss=loss, margin=margin)
    with pytest.raises(ValueError, match=f"loss='{loss}'.*symmetric"):
        MetricLearner(loss, margin=margin).fit(X, Y)


# --------------------------------------------------------------------------------------
# pair_loss

BAD_OPTIONS = (
    ("loss", "hinge"),
    ("loss", None),
    ("loss", ["triplet"]),
    ("margin2", np.nan),
    ("margin2", np.inf),
    ("margin2", None),
    ("margin2", "half"),
    ("reduction", "none"),
    ("reduction", None),
    ("positives", "nearest"),
    ("positives", None),
    ("n_neighbors", 0),
    ("n_neighbors", 1.5),
    ("n_neighbors", None),
    ("normalize", "yes"),
    ("normalize", None),
    ("n_jobs", 1.5),
    ("n_jobs", "two"),
)


@pytest.mark.parametrize(("name", "value"), BAD_OPTIONS, ids=str)
def test_bad_options_are_named(name, value):
    with pytest.raises((ValueError, TypeError), match=f"'{name}' parameter of pair_loss"):
        pair_loss(X, Y, **{"loss": "triplet", name: value})


def test_a_loss_has_to_be_named():
    with pytest.raises(TypeError, match="loss"):
        pair_loss(X, Y)
    with pytest.raises(TypeError, match="positional"):
        pair_loss(X, Y, "triplet")


BAD_ROWS = {
    "NaN": (NAN, "NaN"),
    "inf": (INF, "infinity"),
    "no rows": (np.empty((0, 3)), r"0 sample\(s\)"),
    "no columns": (np.empty((16, 0)), r"0 feature\(s\)"),
    "complex": (X + 1j, "Complex data not supported"),
    "words": (np.full((16, 3), "a"), "could not convert string to float"),
    "vector": (X[:, 0], "Expected 2D array"),
    "cube": (X[:, :, None], "dim 3"),
    "other length": (X[:9], "inconsistent numbers of samples"),
}
BAD_LABELS = {
    "continuous": (Y + 0.5, "continuous"),
    "too short": (Y[:5], "inconsistent numbers of samples"),
    "two columns": (np.column_stack([Y, Y]), r"1d array.*\(16, 2\)"),
    "NaN": (np.where(Y == 1, np.nan, Y), "NaN"),
    "None": (None, "y"),
    "mixed": (np.array([1, "a"] * 8, dtype=object), "(?i)label|str"),
}
BAD_WEIGHTS = {
    "negative": (np.where(Y == 1, -1.0, 1.0), "negative"),
    "NaN": (np.full(16, np.nan), "sample_weight.*NaN"),
    "inf": (np.full(16, np.inf), "sample_weight.*inf"),
    "too short": (np.ones(5), "sample_weight"),
    "two columns": (np.ones((16, 2)), "(?i)sample.weight"),
    "all zero": (np.zeros(16), "(?i)sample.weight"),
    "words": (np.full(16, "a"), "(?i)sample.weight|could not convert"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_embeddings_are_named(case):
    Z, words = BAD_ROWS[case]
    with pytest.raises(ValueError, match=words):
        pair_loss(Z, Y, loss="triplet")


@pytest.mark.parametrize("case", BAD_LABELS)
def test_bad_labels_of_an_embedding_are_named(case):
    y, words = BAD_LABELS[case]
    with pytest.raises((ValueError, TypeError), match=words):
        pair_loss(X, y, loss="triplet")


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_bad_weights_of_an_embedding_are_named(case):
    weights, words = BAD_WEIGHTS[case]
    with pytest.raises(ValueError, match=words):
        pair_loss(X, Y, loss="triplet", sample_weight=weights)


def test_sparse_embeddings_are_refused():
    with pytest.raises((TypeError, ValueError), match=r"(?i)sparse"):
        pair_loss(sparse.csr_array(X), Y, loss="triplet")


def test_a_column_of_labels_is_read_with_a_warning():
    with pytest.warns(DataConversionWarning, match="column-vector"):
        ours = pair_loss(X, Y[:, None], loss="triplet")
    assert ours.value == pair_loss(X, Y, loss="triplet").value


@each_loss
@pytest.mark.parametrize("positives", ["all", "neighbors"])
def test_rows_too_large_are_an_error_not_a_number(loss, positives):
    """Squares overflow: no NaN, no infinity, and no 0 that looks like a good embedding."""
    with pytest.raises(ValueError, match=r"(?i)large|overflow|finite|scale"):
        pair_loss(X * 1e200, Y, loss=loss, positives=positives)


@pytest.mark.parametrize("loss", [x for x in LOSSES if x != "n_pair"])
def test_margins_too_large_are_an_error_not_a_number(loss):
    with pytest.raises(ValueError, match=r"(?i)large|overflow|finite|scale"):
        pair_loss(X, Y, loss=loss, margin=1e308)


@pytest.mark.parametrize("loss", ["contrastive", "triplet", "triplet_center", "quadruplet"])
def test_only_ratios_of_small_weights_count(loss):
    """In means of terms; in the logarithm of a sum over negatives a weight counts as it is."""
    weights = RNG.uniform(0.1, 1.0, size=16)
    plain = pair_loss(X, Y, loss=loss, sample_weight=weights)
    for unit in (1e-3, 1e-60):
        small = pair_loss(X, Y, loss=loss, sample_weight=weights * unit)
        assert small.value == pytest.approx(plain.value, rel=1e-12)
        np.testing.assert_allclose(small.gradient, plain.gradient, rtol=1e-9, atol=1e-12)


@each_loss
def test_weights_too_large_are_an_error_not_a_number(loss):
    with pytest.raises(ValueError, match=r"(?i)weight"):
        pair_loss(X, Y, loss=loss, sample_weight=np.full(16, 1e200))


# --------------------------------------------------------------------------------------
# MetricLearner

BAD_PARAMETERS = (
    ("loss", "hinge"),
    ("loss", None),
    ("n_components", 0),
    ("n_components", -1),
    ("n_components", 1.5),
    ("n_components", "2"),
    ("n_components", 4),
    ("margin", "large"),
    ("margin2", np.nan),
    ("margin2", "half"),
    ("margin2", None),
    ("positives", "nearest"),
    ("positives", None),
    ("n_neighbors", 0),
    ("n_neighbors", 1.5),
    ("n_passes", 0),
    ("n_passes", "many"),
    ("n_passes", 1.5),
    ("n_passes", None),
    ("mining", "easy"),
    ("mining", None),
    ("normalize", "yes"),
    ("normalize", None),
    ("alpha", -1.0),
    ("alpha", np.nan),
    ("alpha", "small"),
    ("pull_weight", -0.1),
    ("pull_weight", 1.1),
    ("pull_weight", None),
    ("init", "best"),
    ("init", None),
    ("init", np.ones((2, 2))),
    ("init", np.full((3, 3), np.nan)),
    ("init", np.ones(3)),
    ("solver", "sgd"),
    ("solver", None),
    ("batch_size", 0),
    ("batch_size", 1.5),
    ("batch_size", "large"),
    ("learning_rate", 0.0),
    ("learning_rate", -1.0),
    ("learning_rate", np.nan),
    ("learning_rate", None),
    ("max_iter", -1),
    ("max_iter", 1.5),
    ("max_iter", None),
    ("tol", -1.0),
    ("tol", np.nan),
    ("tol", None),
    ("early_stopping", "yes"),
    ("early_stopping", None),
    ("validation_fraction", 0.0),
    ("validation_fraction", 1.0),
    ("validation_fraction", -0.1),
    ("validation_fraction", "quarter"),
    ("class_weight", "uneven"),
    ("class_weight", 3),
    ("warm_start", "yes"),
    ("callback", 3),
    ("callback", "print"),
    ("n_jobs", 1.5),
    ("n_jobs", "two"),
    ("random_state", "seed"),
    ("random_state", 1.5),
    ("verbose", -1),
    ("verbose", "loud"),
)


@pytest.mark.parametrize(("name", "value"), BAD_PARAMETERS, ids=str)
def test_bad_parameters_are_named(name, value):
    with pytest.raises((ValueError, TypeError), match=name):
        MetricLearner(**{name: value}).fit(X, Y)


def test_every_parameter_has_a_bad_value():
    assert {name for name, _ in BAD_PARAMETERS} == set(MetricLearner().get_params())


def test_too_many_components_are_named():
    with pytest.raises(ValueError, match=r"n_components=4.*3"):
        MetricLearner(n_components=4).fit(X, Y)


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_are_named(case):
    rows, words = BAD_ROWS[case]
    with pytest.raises(ValueError, match=words):
        MetricLearner().fit(rows, Y)


@pytest.mark.parametrize("case", BAD_LABELS)
def test_bad_labels_are_named(case):
    y, words = BAD_LABELS[case]
    with pytest.raises((ValueError, TypeError), match=words):
        MetricLearner().fit(X, y)


@pytest.mark.parametrize("case", BAD_WEIGHTS)
def test_bad_weights_are_named(case):
    weights, words = BAD_WEIGHTS[case]
    with pytest.raises(ValueError, match=words):
        MetricLearner().fit(X, Y, sample_weight=weights)


@each_loss
def test_one_class_is_named(loss):
    with pytest.raises(ValueError, match=r"(?i)class.*'cat'"):
        MetricLearner(loss).fit(X, np.full(16, "cat"))


@each_loss
def test_classes_of_one_row_each_are_an_error(loss):
    with pytest.raises(ValueError, match=r"(?i)class.*(two|2|more than one)"):
        MetricLearner(loss).fit(X, np.arange(16))


def test_weights_that_leave_one_class_are_an_error():
    with pytest.raises(ValueError, match=r"(?i)class"):
        MetricLearner().fit(X, Y, sample_weight=(Y == 0).astype(float))


@pytest.mark.parametrize(
    "class_weight", [{0: -1.0}, {9: 1.0}, {0: np.nan}, {0: "x"}, {0: 0.0, 1: 0.0, 2: 0.0}], ids=str
)
def test_bad_class_weights_are_named(class_weight):
    with pytest.raises((ValueError, TypeError), match=r"(?i)class.weight|sample.weight"):
        MetricLearner(class_weight=class_weight).fit(X, Y)


def test_a_column_of_labels_is_fitted_with_a_warning():
    with pytest.warns(DataConversionWarning):
        ours = MetricLearner("contrastive").fit(X, Y[:, None])
    np.testing.assert_array_equal(
        ours.components_, MetricLearner("contrastive").fit(X, Y).components_
    )


def test_more_neighbours_than_mates_warn():
    """A class of k rows has k - 1 neighbours for each; a row is no neighbour of itself."""
    learner = MetricLearner("triplet", n_neighbors=4, early_stopping=False, n_passes=1)
    with pytest.warns(UserWarning, match="n_neighbors=4"):
        learner.fit(X, Y)
    assert np.isfinite(learner.components_).all()
    learner.set_params(n_neighbors=3).fit(X, Y)  # warnings are errors here


def test_quadruplets_of_two_classes_warn():
    two = Y < 2
    learner = MetricLearner("quadruplet", positives="all", early_stopping=False)
    with pytest.warns(UserWarning, match=r"quadruplet.*(two|2|three|3) classes"):
        learner.fit(X[two], Y[two])
    assert np.isfinite(learner.components_).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.transform(X),
        lambda m: m.score(X, Y),
        lambda m: m.pair_distance([[X[0], X[1]]]),
        lambda m: m.pair_score([[X[0], X[1]]]),
        lambda m: m.get_metric(),
        lambda m: m.get_mahalanobis_matrix(),
        lambda m: m.get_feature_names_out(),
    ],
)
def test_an_unfitted_learner_says_so(call):
    with pytest.raises(NotFittedError, match="MetricLearner"):
        call(MetricLearner())


@pytest.fixture
def fitted():
    return MetricLearner("contrastive", n_components=2, early_stopping=False).fit(X, Y)


@pytest.mark.parametrize("case", ["NaN", "inf", "no rows", "complex", "words", "vector", "cube"])
def test_bad_rows_to_transform_are_named(fitted, case):
    rows, words = BAD_ROWS[case]
    for call in (fitted.transform, lambda Z: fitted.score(Z, Y)):
        with pytest.raises(ValueError, match=words):
            call(rows)


def test_other_features_are_named(fitted):
    for call in (fitted.transform, lambda Z: fitted.score(Z, Y)):
        with pytest.raises(ValueError, match=r"2 features.*3 features"):
            call(X[:, :2])


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (X, r"(?i)pairs|dim"),
        (X[:3][None], r"(?i)pairs|shape"),
        (np.ones((4, 2, 2)), r"(?i)2 features|shape"),
        (np.full((4, 2, 3), np.nan), "NaN"),
        (np.ones((4, 1, 3)), r"(?i)pairs|shape"),
    ],
    ids=["rows", "triples", "other features", "NaN", "single"],
)
def test_bad_pairs_are_named(fitted, pairs, words):
    for call in (fitted.pair_distance, fitted.pair_score):
        with pytest.raises(ValueError, match=words):
            call(pairs)


def test_bad_vectors_of_the_metric_are_named(fitted):
    metric = fitted.get_metric()
    for u, v in ((X[0, :2], X[1]), (X[0], X[:2]), (X[0], [1.0, 2.0])):
        with pytest.raises(ValueError, match=r"(?i)shape|features|1-D|dimension|vector|length"):
            metric(u, v)


def test_batches_of_other_classes_or_features_are_named():
    learner = MetricLearner("contrastive", random_state=0).partial_fit(X, Y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match=r"9.*not among the classes \[0, 1, 2\]"):
        learner.partial_fit(X, np.where(Y == 1, 9, Y))
    with pytest.raises(ValueError, match=r"2 features.*3 features"):
        learner.partial_fit(X[:, :2], Y)
    with pytest.raises(ValueError, match=r"(?i)classes"):
        learner.partial_fit(X, Y, classes=[0, 1, 2, 3])


def test_a_failed_fit_leaves_the_learner_as_it_was(fitted):
    before = fitted.components_.copy()
    for rows, y, words in ((NAN, Y, "NaN"), (X, np.zeros(16), "class"), (X[:, :1], Y, "n_comp")):
        with pytest.raises(ValueError, match=words):
            fitted.fit(rows, y)
        np.testing.assert_array_equal(fitted.components_, before)
        assert fitted.n_features_in_ == 3


@each_loss
@pytest.mark.parametrize("scale", [1e150, 1e200, 1e300])
def test_huge_rows_never_leave_nan_components(loss, scale):
    """Either an error that speaks of the size, or a finite map."""
    learner = MetricLearner(loss, early_stopping=False, n_passes=1)
    try:
        learner.fit(X * scale, Y)
    except ValueError as error:
        message = str(error).lower()
    else:
        message = "scale" if np.isfinite(learner.transform(X * scale)).all() else "not finite"
    assert "scale" in message or "large" in message
