"""The contracts that every registered estimator instance keeps."""

import copy
import dataclasses
import functools
import inspect
import pickle
import threading
import warnings
from collections.abc import Mapping

import joblib
import numpy as np
import pytest
import sklearn
from numpydoc.docscrape import ClassDoc
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_validate
from sklearn.neighbors import KDTree
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator
from sklearn.utils.fixes import parse_version
from sklearn.utils.metadata_routing import MetadataRequest
from sklearn.utils.validation import has_fit_parameter
from threadpoolctl import threadpool_limits

import skmmd
from skmmd.transfer import DomainKFold
from tests import registry

# --------------------------------------------------------------------------------------
# what an estimator knows and says, as flat dictionaries of plain values

READ_METHODS = ("predict", "predict_proba", "decision_function", "transform", "score_samples")
READ_ALONE = (  # in no Pipeline
    "bic",
    "aic",
    "icl",
    "predict_missing",
    "predict_weights",
    "unnormalized_log_density",
    "score_function",
    "hessian",
    "score_matching_loss",
)


def flatten(value, path, out):
    """Collect the leaves of nested values under their paths."""
    if isinstance(value, np.ndarray) or np.isscalar(value) or value is None:
        out[path] = value
    elif isinstance(value, MetadataRequest):
        flatten(value._serialize(), path, out)
    elif isinstance(value, KDTree):
        flatten([np.asarray(array) for array in value.get_arrays()], path, out)
    elif isinstance(value, np.random.RandomState):
        flatten(value.get_state(legacy=True), path, out)
    elif isinstance(value, np.random.Generator):
        flatten(value.bit_generator.state, path, out)
    elif isinstance(value, Mapping):
        out[f"{path} keys"] = tuple(map(str, value))
        for key, item in value.items():
            flatten(item, f"{path}[{key}]", out)
    elif isinstance(value, (list, tuple)):
        out[f"{path} length"] = len(value)
        for i, item in enumerate(value):
            flatten(item, f"{path}[{i}]", out)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for item in dataclasses.fields(value):
            flatten(getattr(value, item.name), f"{path}.{item.name}", out)
    elif callable(value):
        out[path] = getattr(value, "__qualname__", repr(value))
    elif hasattr(value, "__dict__") or hasattr(type(value), "__slots__"):
        names = list(getattr(value, "__dict__", {}))
        for base in type(value).__mro__:
            slots = getattr(base, "__slots__", ())
            names += [slots] if isinstance(slots, str) else list(slots)
        for name in names:
            if hasattr(value, name):
                flatten(getattr(value, name), f"{path}.{name}", out)
    else:
        raise TypeError(f"{path}: cannot compare a {type(value)}")
    return out


def state(estimator):
    """Return everything that the estimator holds, in whatever order it came."""
    return flatten(dict(sorted(vars(estimator).items())), type(estimator).__name__, {})


def signature(method):
    """Return the parameters of a method."""
    return inspect.signature(method).parameters


def replies(instance, estimator, X, y):
    """Return what the fitted estimator says about X, the rows of the instance."""
    out = {}
    for method in (*READ_METHODS, *READ_ALONE):
        if offers(instance, estimator, method):
            flatten(getattr(estimator, method)(X), f"{method}()", out)
    if hasattr(estimator, "sample"):
        seed = {"random_state": 3} if "random_state" in signature(estimator.sample) else {}
        flatten(estimator.sample(7, **seed), "sample()", out)
    if offers(instance, estimator, "score"):
        score = estimator.score(X, y, **beside_score(instance, X))
        flatten(score, "score()", out)
    if hasattr(estimator, "test"):
        flatten(estimator.test(X), "test()", out)
    return out


def fitted_attributes(estimator):
    return {
        name: value
        for name, value in vars(estimator).items()
        if name.endswith("_") and not name.startswith("_")
    }


def assert_identical(first, second):
    """Assert equality to the bit; NaN equals NaN."""
    assert first.keys() == second.keys()
    for path, one in first.items():
        two = second[path]
        assert type(one) is type(two), path
        if isinstance(one, np.ndarray):
            assert one.dtype == two.dtype, path
            np.testing.assert_array_equal(one, two, err_msg=path)
        elif isinstance(one, (float, np.floating)) and np.isnan(one):
            assert np.isnan(two), path
        else:
            assert one == two, path


def assert_close(first, second, rtol=1e-9, atol=1e-11):
    """Assert that the numbers are equal to rounding and everything else equal."""
    assert first.keys() == second.keys()
    for path, one in first.items():
        two = second[path]
        try:
            numeric = np.asarray(one, dtype=float), np.asarray(two, dtype=float)
        except (TypeError, ValueError):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(two), err_msg=path)
        else:
            np.testing.assert_allclose(*numeric, rtol=rtol, atol=atol, err_msg=path)


def determined(instance, estimator):
    """Return the fitted attributes that do not depend on random draws."""
    return flatten({name: getattr(estimator, name) for name in instance.determined}, "", {})


def assert_same_functions(instance, first, first_X, second, second_X, rtol=1e-9, atol=1e-11):
    """Assert that methods which are functions of a row, and of the data, say the same."""
    for method in instance.functions:
        found, expected = getattr(first, method)(first_X), getattr(second, method)(second_X)
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol, err_msg=method)


def assert_same_pvalue(instance, first, second):
    """Assert that two hypothesis tests came to the same p-value; others have none."""
    if "statistic_" in instance.determined:
        np.testing.assert_allclose(first.pvalue_, second.pvalue_)


def rows_of(y, rows):
    """Return the labels of some rows, if there are labels."""
    return None if y is None else y[rows]


def beside(instance, X, rows=None):
    """Return what `fit` takes beside X and y, which are these rows of the instance's data."""
    if instance.make_domain is None:
        return {}
    n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
    return {"sample_domain": instance.make_domain(np.arange(n_rows) if rows is None else rows)}


def beside_score(instance, X, rows=None):
    """Return what `score` takes beside X and y."""
    takes = inspect.signature(instance.estimator.score).parameters
    return {k: v for k, v in beside(instance, X, rows).items() if k in takes}


def fit_on(instance, X, y, estimator=None, rows=None, **parameters):
    """Fit a clone, or the estimator, to these rows of the instance's data."""
    estimator = clone(instance.estimator) if estimator is None else estimator
    return estimator.fit(X, y, **{**beside(instance, X, rows), **parameters})


def pinned(instance, X, shift=0.0, factor=1.0):
    """Return an unfitted clone for ``factor * X + shift``, whose start the seed cannot choose."""
    estimator = clone(instance.estimator)
    if instance.pin_start is not None:
        estimator.set_params(**instance.pin_start(estimator, X, shift, factor))
    return estimator


def fitted(instance, seed=0, n=None, **parameters):
    """Return a fitted clone, and the data it was fitted on."""
    X, y = instance.make_data(seed) if n is None else instance.make_data(seed, n)
    estimator = clone(instance.estimator).set_params(**parameters)
    return fit_on(instance, X, y, estimator), X, y


@functools.cache
def fitted_once(instance):
    """Return what a fit to the instance's data knows and says, and the fitted one, pickled.

    Of fits that several contracts compare with, one is enough; neither dictionary is written to.
    """
    estimator, X, y = fitted(instance)
    pickled = pickle.dumps(estimator)
    return state(estimator), replies(instance, estimator, X, y), pickled


def instances(*conditions):
    """Parametrise a contract over the instances for which all conditions hold."""
    chosen = [i for i in registry.INSTANCES if all(condition(i) for condition in conditions)]
    assert chosen, "a contract without instances checks nothing"
    return pytest.mark.parametrize("instance", chosen, ids=str)


def has_parameter(name):
    return lambda instance: name in instance.estimator.get_params(deep=False)


def offers(instance, estimator, method):
    return hasattr(estimator, method) and method not in instance.refuses


def has_method(name):
    return lambda instance: offers(instance, instance.estimator, name)


def labelled(instance):
    return instance.make_data()[1] is not None


def on_rows(instance):
    return not instance.pairwise


def takes_weights(instance, method):
    return "sample_weight" in inspect.signature(getattr(instance.estimator, method)).parameters


def weighted(instance):
    return has_fit_parameter(instance.estimator, "sample_weight")


def complete(instance):
    return not np.isnan(instance.make_data()[0]).any()


def mixture(instance):
    return "means_" in instance.determined


def kernel_density(instance):
    return isinstance(instance.estimator, skmmd.ScoreMatchingDensity)


def embedding(instance):
    return "components_" in instance.determined


def trait(name):
    return lambda instance: getattr(instance, name)


def settled(instance):
    """Tell whether something is a plain function of the data."""
    return bool(instance.determined or instance.functions)


def first_of_its_path(instance):
    """Leave out instances that differ from another in nothing but numbers, see `repeats`."""
    return not instance.repeats


pytestmark = [
    # Of few rows, a component may get one alone, or copies of one.
    pytest.mark.filterwarnings(
        "ignore:.*Components .* have a variance of little more:"
        "sklearn.exceptions.ConvergenceWarning"
    ),
    # Some checks have two classes, or classes of one row; contracts hold after few iterations.
    pytest.mark.filterwarnings("ignore:n_neighbors=.* a class has only:UserWarning"),
    pytest.mark.filterwarnings("ignore:loss='quadruplet' compares pairs of two:UserWarning"),
    # Few rows, few draws; copies of a column.
    pytest.mark.filterwarnings(
        "ignore:ScoreMatchingDensity. (on held-out rows the base|the first rows chose f = 0|"
        "the (standard error|effective)):UserWarning"
    ),
    pytest.mark.filterwarnings(
        "ignore:ScoreMatching(Gaussian|Estimator). the .* are linearly dependent:UserWarning"
    ),
    pytest.mark.filterwarnings(
        "ignore:The precision matrix has not converged:sklearn.exceptions.ConvergenceWarning"
    ),
    pytest.mark.filterwarnings(
        "ignore:MetricLearner stopped after:sklearn.exceptions.ConvergenceWarning"
    ),
]


# --------------------------------------------------------------------------------------
# scikit-learn's own checks, which know of X and y alone

without_domains = pytest.mark.filterwarnings(
    "ignore:.* was (fitted|scored) without sample_domain:UserWarning"
)


class Plain(BaseEstimator):
    """The least that fits: which checks does scikit-learn run on such an estimator?"""

    def __init__(self, instance=None, random_state=None):
        self.instance = instance
        self.random_state = random_state

    def fit(self, X, y=None):
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = labelled(self.instance)
        tags.input_tags.pairwise = self.instance.pairwise
        tags.input_tags.allow_nan = self.instance.allow_nan
        return tags


class PlainWeighted(Plain):
    def fit(self, X, y=None, sample_weight=None):
        return self


def names_of_checks(estimator):
    return [
        estimator_checks._check_name(check) for _, check in estimator_checks_generator(estimator)
    ]


@instances(trait("battery"))
@without_domains
# Some checks label the rows by rounding a column, which can leave a group of one row.
@pytest.mark.filterwarnings("ignore:A group has a single row:UserWarning")
def test_check_estimator(instance):
    with warnings.catch_warnings():
        warnings.simplefilter("error", SkipTestWarning)
        results = check_estimator(clone(instance.estimator), on_skip=None, on_fail=None)
    trouble = [
        f"{r['check_name']}: {r['status']}: {type(r['exception']).__name__}: {r['exception']}"
        for r in results
        if r["status"] != "passed"
    ]
    assert not trouble, "\n" + "\n".join(trouble)
    # A wrong tag shrinks the battery and still reports success.
    assert not any(r["expected_to_fail"] for r in results)
    model = PlainWeighted(instance) if weighted(instance) else Plain(instance)
    missing = set(names_of_checks(model)) - {r["check_name"] for r in results}
    assert not missing, f"not run: {sorted(missing)}"
    if parse_version(sklearn.__version__) >= parse_version("1.9"):
        assert len(results) >= instance.min_checks


@instances()
def test_tags_tell_the_truth(instance):
    tags = get_tags(instance.estimator)
    assert tags.target_tags.required == labelled(instance)
    assert tags.input_tags.pairwise == instance.pairwise
    assert tags.input_tags.sparse == instance.sparse
    assert tags.input_tags.allow_nan == instance.allow_nan
    assert not tags.non_deterministic  # with a seed, that is
    assert not tags.no_validation
    assert tags.requires_fit


@instances(first_of_its_path)
@without_domains
def test_check_param_validation(instance):
    name = type(instance.estimator).__name__
    estimator_checks.check_param_validation(name, clone(instance.estimator))


@instances(trait("battery"), on_rows, first_of_its_path)
@without_domains
def test_check_dataframe_column_names_consistency(instance):
    estimator_checks.check_dataframe_column_names_consistency(
        type(instance.estimator).__name__, clone(instance.estimator)
    )


NAMES_OUT = (
    "check_get_feature_names_out_error",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
)
SET_OUTPUT = (
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
)


@instances(has_method("transform"), trait("battery"))
@without_domains
# Fitted on a frame they are asked to transform an array, and the other way round.
@pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names:UserWarning")
@pytest.mark.parametrize("check", NAMES_OUT)
def test_names_of_a_transformer(instance, check):
    estimator = clone(instance.estimator)
    getattr(estimator_checks, check)(type(estimator).__name__, estimator)


@instances(has_method("transform"), trait("battery"), first_of_its_path)
@without_domains
@pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names:UserWarning")
@pytest.mark.parametrize("check", SET_OUTPUT)
def test_set_output(instance, check):
    estimator = clone(instance.estimator)
    getattr(estimator_checks, check)(type(estimator).__name__, estimator)


@instances(lambda instance: not hasattr(instance.estimator, "transform"))
def test_no_transformer(instance):
    assert not hasattr(instance.estimator, "get_feature_names_out")
    assert not hasattr(instance.estimator, "set_output")


# --------------------------------------------------------------------------------------
# construction


def classes():
    return sorted({type(i.estimator) for i in registry.INSTANCES}, key=lambda c: c.__name__)


def test_every_public_estimator_is_registered():
    public = {
        value
        for name in skmmd.__all__
        if inspect.isclass(value := getattr(skmmd, name)) and issubclass(value, BaseEstimator)
    }
    assert public == set(classes())


@pytest.mark.parametrize("estimator_class", classes())
def test_constructible_without_arguments(estimator_class):
    estimator = estimator_class()
    assert vars(estimator) == estimator.get_params(deep=False)


@pytest.mark.parametrize("estimator_class", classes())
def test_defaults_are_immutable(estimator_class):
    def immutable(value):
        if isinstance(value, tuple):
            return all(map(immutable, value))
        return value is None or isinstance(value, (bool, int, float, str))

    for name, parameter in inspect.signature(estimator_class).parameters.items():
        assert parameter.default is not inspect.Parameter.empty, name
        assert immutable(parameter.default), name


@pytest.mark.parametrize("estimator_class", classes())
def test_parameters_are_keyword_only_after_the_second(estimator_class):
    positional = [
        name
        for name, parameter in inspect.signature(estimator_class).parameters.items()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    assert len(positional) <= 2, positional


@instances()
def test_fit_leaves_the_parameters_alone(instance):
    X, y = instance.make_data()
    estimator = clone(instance.estimator)
    before = estimator.get_params()
    content = joblib.hash({k: v for k, v in before.items() if not callable(v)})
    fit_on(instance, X, y, estimator)
    after = estimator.get_params()
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert after[name] is value, name
    assert joblib.hash({k: v for k, v in after.items() if not callable(v)}) == content


@instances(first_of_its_path)
def test_clone_is_unfitted_and_equal(instance):
    estimator, _, _ = fitted(instance)
    copied = clone(estimator)
    assert not fitted_attributes(copied)
    assert_identical(flatten(copied.get_params(), "", {}), flatten(estimator.get_params(), "", {}))


# --------------------------------------------------------------------------------------
# fitted state: copies, repeated fits, failed fits


@instances()
def test_fit_returns_self_and_sets_documented_attributes(instance):
    X, y = instance.make_data()
    estimator = clone(instance.estimator)
    assert fit_on(instance, X, y, estimator) is estimator
    documented = {
        name.strip()
        for parameter in ClassDoc(type(estimator))["Attributes"]
        for name in parameter.name.split(",")
    }
    assert set(fitted_attributes(estimator)) <= documented
    assert estimator.n_features_in_ == X.shape[1]


@instances(labelled)
def test_no_labels_is_an_error(instance):
    X, _ = instance.make_data()
    with pytest.raises(ValueError, match="requires y to be passed"):
        fit_on(instance, X, None)


@instances(first_of_its_path)
@pytest.mark.parametrize("how", ["pickle", "joblib", "deepcopy"])
def test_fitted_copies_know_and_say_the_same(instance, how, tmp_path):
    estimator, X, y = fitted(instance)
    if how == "pickle":
        copied = pickle.loads(pickle.dumps(estimator))
    elif how == "joblib":
        joblib.dump(estimator, tmp_path / "estimator")
        copied = joblib.load(tmp_path / "estimator")
    else:
        copied = copy.deepcopy(estimator)
    assert_identical(state(copied), state(estimator))
    assert_identical(replies(instance, copied, X, y), replies(instance, estimator, X, y))


@instances()
def test_a_second_fit_forgets_the_first(instance):
    other_X, other_y = instance.make_data(seed=1, n=34)
    if on_rows(instance) and not instance.fixed_width:
        other_X = np.column_stack([other_X, other_X[:, :1] ** 2])
    X, y = instance.make_data()
    twice = fit_on(instance, X, y, fit_on(instance, other_X, other_y))
    assert_identical(state(twice), state(fit_on(instance, X, y)))


@instances(on_rows, first_of_its_path)
def test_a_second_fit_forgets_feature_names(instance):
    pandas = pytest.importorskip("pandas")
    X, y = instance.make_data()
    estimator = fit_on(instance, pandas.DataFrame(X).add_prefix("f"), y)
    assert hasattr(estimator, "feature_names_in_")
    fit_on(instance, X, y, estimator)
    assert not hasattr(estimator, "feature_names_in_")


def _nan(instance, X, y):
    X = X.copy()
    X[3, 1] = np.nan
    return X, y, {}


def _wider_with_nan(instance, X, y):
    return np.column_stack([X, np.full(len(X), np.nan)]), y, {}


def _wider_with_one_class(instance, X, y):
    return np.column_stack([X, X]), np.full(len(X), y[0]), {}


def _wider_with_bad_labels(instance, X, y):
    return np.column_stack([X, X]), y[:-1], {}


def _frame_with_nan(instance, X, y):
    pandas = pytest.importorskip("pandas")
    X = X.copy()
    X[0, 0] = np.inf
    return pandas.DataFrame(X).add_prefix("other"), y, {}


def _bad_parameter(instance, X, y):
    return X, y, {"random_state": "seven"}


def _bad_number(instance, X, y):
    return X, y, {"n_permutations": -3}


def _all_rows_equal(instance, X, y):
    """No variance, and nothing that makes up for it: noticed only in the midst of fitting."""
    return np.ones((len(X), 5)), y, {"reg_covar": 0.0}


def _one_distinct_row(instance, X, y):
    return np.ones((len(X), 5)), y, {}


def _bad_weights(instance, X, y):
    wider = X if instance.pairwise else np.column_stack([X, X])
    return wider, y, {"sample_weight": np.full(len(X), np.nan)}


def _one_domain(instance, X, y):
    return np.column_stack([X, X]), y, {"sample_domain": np.ones(len(X))}


def _domain_too_short(instance, X, y):
    return np.column_stack([X, X]), y, {"sample_domain": np.tile([1, -1], len(X))[: len(X) - 1]}


FAILURES = {
    _nan: (lambda instance: not instance.allow_nan,),
    _wider_with_nan: (),
    _wider_with_one_class: (labelled, on_rows, lambda instance: not instance.one_class),
    _wider_with_bad_labels: (labelled, on_rows),
    _frame_with_nan: (),
    _bad_parameter: (has_parameter("random_state"),),
    _bad_number: (has_parameter("n_permutations"),),
    _all_rows_equal: (has_parameter("reg_covar"),),
    _one_distinct_row: (kernel_density,),
    _bad_weights: (weighted,),
    _one_domain: (trait("make_domain"),),
    _domain_too_short: (trait("make_domain"),),
}


@pytest.mark.parametrize(
    ("instance", "failure"),
    [
        pytest.param(instance, failure, id=f"{instance}-{failure.__name__.strip('_')}")
        for failure, conditions in FAILURES.items()
        for instance in registry.INSTANCES
        if all(condition(instance) for condition in conditions)
    ],
)
def test_a_failed_fit_leaves_the_fitted_state(instance, failure):
    before, said, pickled = fitted_once(instance)
    estimator = pickle.loads(pickled)
    X, y = instance.make_data()
    bad_X, bad_y, extra = failure(instance, X, y)
    given = {name: extra.pop(name) for name in list(extra) if name.startswith("sample_")}
    kept = {name: getattr(estimator, name) for name in extra}
    estimator.set_params(**extra)
    with pytest.raises((ValueError, TypeError)):
        fit_on(instance, bad_X, bad_y, estimator, **given)
    estimator.set_params(**kept)
    assert_identical(state(estimator), before)
    assert_identical(replies(instance, estimator, X, y), said)


@instances()
def test_a_failed_first_fit_leaves_the_estimator_unfitted(instance):
    X, y = instance.make_data()
    X = X.copy()
    X[0, 0] = np.inf if instance.allow_nan else np.nan
    estimator = clone(instance.estimator)
    with pytest.raises(ValueError, match="infinity" if instance.allow_nan else "NaN"):
        fit_on(instance, X, y, estimator)
    with pytest.raises(NotFittedError):
        sklearn.utils.validation.check_is_fitted(estimator)


@instances(has_method("partial_fit"))
def test_a_failed_partial_fit_leaves_the_fitted_state(instance):
    estimator, X, y = fitted(instance)
    estimator.partial_fit(X, y)
    before = state(estimator)
    bad = X.copy()
    bad[-1, 0] = np.inf
    for batch in (bad, np.column_stack([X, X])):
        with pytest.raises(ValueError, match=r"infinity|features"):
            estimator.partial_fit(batch, y)
        assert_identical(state(estimator), before)


@instances(has_method("fit_predict"))
def test_fit_predict_is_fit_then_predict(instance):
    expected, X, y = fitted(instance)
    estimator = clone(instance.estimator)
    labels = estimator.fit_predict(X, y)
    assert_identical({"labels": labels}, {"labels": expected.predict(X)})
    assert_identical(state(estimator), state(expected))


@pytest.mark.parametrize(
    ("instance", "method"),
    [
        pytest.param(instance, method, id=f"{instance}-{method}")
        for instance in filter(first_of_its_path, registry.INSTANCES)
        for method in (*READ_METHODS, *READ_ALONE, "score", "test", "update", "reset", "sample")
        if hasattr(instance.estimator, method)
    ],
)
def test_unfitted_methods_say_so(instance, method):
    X, y = instance.make_data()
    other = {"score": (X, y), "update": (X[:1],), "reset": (), "sample": ()}
    arguments = other.get(method, (X,))
    with pytest.raises(NotFittedError, match=type(instance.estimator).__name__):
        getattr(clone(instance.estimator), method)(*arguments)


@instances()
def test_asking_does_not_change_the_state(instance):
    estimator, X, y = fitted(instance)
    before = state(estimator)
    replies(instance, estimator, X, y)
    assert_identical(state(estimator), before)


# --------------------------------------------------------------------------------------
# inputs


@instances()
def test_inputs_are_not_written_to(instance):
    X, y = instance.make_data()
    inputs = {"X": X, "y": y, **beside(instance, X)}
    if weighted(instance):
        inputs["sample_weight"] = np.random.default_rng(0).integers(1, 4, len(X)).astype(float)
    for value in inputs.values():
        if value is not None:
            value.flags.writeable = False
    before = joblib.hash(inputs)
    estimator = fit_on(instance, **inputs)
    replies(instance, estimator, X, y)
    assert joblib.hash(inputs) == before


@instances()
@pytest.mark.parametrize("form", ["Fortran", "strided", "negative strides", "read-only", "list"])
def test_memory_layout_does_not_matter(instance, form):
    X, y = instance.make_data()
    other = {
        "Fortran": lambda: np.asfortranarray(X),
        "strided": lambda: np.repeat(np.repeat(X, 2, axis=0), 3, axis=1)[::2, ::3],
        "negative strides": lambda: X[::-1, ::-1].copy()[::-1, ::-1],
        "read-only": lambda: np.frombuffer(X.tobytes(), dtype=X.dtype).reshape(X.shape),
        "list": lambda: X.tolist(),
    }[form]()
    given = y.tolist() if form == "list" and y is not None else y
    known, said, _ = fitted_once(instance)
    lists = form == "list"
    domain = {k: v.tolist() if lists else v for k, v in beside(instance, X).items()}
    estimator = fit_on(instance, other, given, **domain)
    assert_identical(state(estimator), known)
    assert_identical(replies(instance, estimator, other, given), said)


@instances(on_rows, first_of_its_path)
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames(instance, library):
    module = pytest.importorskip(library)
    X, y = instance.make_data()
    names = [f"feature {i}" for i in range(X.shape[1])]
    frame = module.DataFrame(dict(zip(names, X.T.copy(), strict=True)))
    labels = None if y is None else module.Series(y)
    domain = {k: module.Series(v) for k, v in beside(instance, X).items()}
    estimator = fit_on(instance, frame, labels, **domain)
    assert estimator.feature_names_in_.tolist() == names
    # A column of strings becomes objects.
    expected = fit_on(instance, X, None if y is None else np.asarray(labels))
    nameless = copy.deepcopy(estimator)
    del nameless.feature_names_in_
    if hasattr(nameless, "best_estimator_"):
        del nameless.best_estimator_.feature_names_in_
    assert_identical(state(nameless), state(expected))
    assert_identical(replies(instance, estimator, frame, labels), replies(instance, expected, X, y))


@instances(lambda instance: not instance.seeded)
def test_float32_is_close(instance):
    X, y = instance.make_data()
    X = X + 1e-5 * np.random.default_rng(0).normal(size=X.shape)  # not exact in float32
    if instance.pairwise:
        X = (X + X.T) / 2
    wide = fit_on(instance, X, y, pinned(instance, X))
    narrow = fit_on(instance, X.astype(np.float32), y, pinned(instance, X))
    assert_close(determined(instance, narrow), determined(instance, wide), rtol=1e-4, atol=1e-5)
    assert_same_functions(instance, narrow, X.astype(np.float32), wide, X, rtol=1e-3, atol=1e-4)
    if offers(instance, wide, "score_samples"):
        np.testing.assert_allclose(
            narrow.score_samples(X.astype(np.float32)), wide.score_samples(X), rtol=1e-3, atol=1e-5
        )


@instances()
def test_float32_is_computed_as_the_same_numbers_in_float64(instance):
    X, y = instance.make_data()
    narrow = X.astype(np.float32)
    if instance.pairwise:
        narrow = ((narrow + narrow.T) / 2).astype(np.float32)
    wide = narrow.astype(np.float64)
    found = determined(instance, fit_on(instance, narrow, y))
    expected = determined(instance, fit_on(instance, wide, y))
    if not mixture(instance):
        assert_close(found, expected, rtol=1e-9)
        return
    # As with scikit-learn's mixtures, fitted arrays have the dtype of X. A criterion is that of
    # the rounded parameters.
    arrays = {path for path, value in expected.items() if isinstance(value, np.ndarray)}
    rounded = {path: expected[path].astype(np.float32) for path in arrays}
    assert_identical({path: found[path] for path in arrays}, rounded)
    assert_close(found, expected, rtol=1e-6)


@instances(on_rows, complete)
def test_integers(instance):
    X, y = instance.make_data()
    whole = np.round(4 * X)
    assert_identical(
        state(fit_on(instance, whole.astype(np.int32), y)),
        state(fit_on(instance, whole, y)),
    )


@instances(on_rows, lambda instance: not instance.sparse)
def test_sparse_input_is_a_clear_error(instance):
    from scipy import sparse

    X, y = instance.make_data()
    with pytest.raises(TypeError, match=r"(?i)sparse"):
        fit_on(instance, sparse.csr_array(X), y)


@instances(trait("sparse"), lambda instance: not instance.seeded)
@pytest.mark.parametrize("form", ["csr_array", "csc_array", "coo_matrix"])
def test_sparse_input_is_not_different(instance, form):
    from scipy import sparse

    X, y = instance.make_data()
    X = np.where(np.random.default_rng(0).random(X.shape) < 0.4, 0.0, X)
    given = getattr(sparse, form)(X)
    before = given.copy()
    expected = fit_on(instance, X, y)
    estimator = fit_on(instance, given, y)
    assert_close(
        determined(instance, estimator), determined(instance, expected), rtol=1e-6, atol=1e-8
    )
    assert_close(
        replies(instance, estimator, given, y),
        replies(instance, estimator, X, y),
        rtol=1e-9,
        atol=1e-11,
    )
    assert (given != before).nnz == 0


# --------------------------------------------------------------------------------------
# randomness, threads


@instances(has_parameter("random_state"))
@pytest.mark.parametrize("make_seed", [lambda: 5, lambda: np.random.RandomState(5)])
def test_the_same_seed_gives_the_same_bits(instance, make_seed):
    first, X, y = fitted(instance, random_state=make_seed())
    second, _, _ = fitted(instance, random_state=make_seed())

    def without_seed(estimator):
        return {k: v for k, v in state(estimator).items() if "random_state" not in k}

    assert_identical(without_seed(first), without_seed(second))
    assert_identical(replies(instance, first, X, y), replies(instance, second, X, y))


@instances(trait("drawn"))
def test_another_seed_gives_another_draw(instance):
    first, _, _ = fitted(instance, random_state=1)
    second, _, _ = fitted(instance, random_state=2)
    for name in instance.drawn:
        assert not np.array_equal(getattr(first, name), getattr(second, name)), name


@instances(trait("pin_start"))
@pytest.mark.filterwarnings("ignore:.*did not converge:sklearn.exceptions.ConvergenceWarning")
def test_another_seed_gives_another_start(instance):
    """Two seeds may choose the same start, several do not."""
    starts = [
        fitted(instance, random_state=seed, n_components=3, max_iter=0)[0].means_
        for seed in range(5)
    ]
    assert any(not np.array_equal(start, starts[0]) for start in starts[1:])


@instances(
    has_parameter("random_state"),
    settled,
    trait("row_order_free"),
    lambda instance: not instance.seeded,
)
def test_seeds_do_not_enter_what_is_determined(instance):
    X, y = instance.make_data()
    first, second = (
        fit_on(instance, X, y, pinned(instance, X).set_params(random_state=seed)) for seed in (1, 2)
    )
    # Bins are summed in the order they were drawn.
    assert_close(determined(instance, first), determined(instance, second), rtol=1e-11)
    assert_same_functions(instance, first, X, second, X, rtol=1e-11)


@instances(has_parameter("random_state"))
def test_a_seed_leaves_the_global_generator_alone(instance):
    before = flatten(np.random.get_state(legacy=True), "", {})  # noqa: NPY002
    estimator, X, y = fitted(instance)
    replies(instance, estimator, X, y)
    assert_identical(flatten(np.random.get_state(legacy=True), "", {}), before)  # noqa: NPY002


@instances(has_parameter("n_jobs"))
# Bounds that suit few rows.
@pytest.mark.filterwarnings("ignore:The (domains hardly overlap|weights rest on few):UserWarning")
def test_the_result_does_not_depend_on_the_threads(instance):
    """Nor on those of BLAS, of which a worker of pytest-xdist has one.

    The library asks joblib how many threads a number stands for. Without a number there is one,
    whatever the size, so that few rows tell; where -1 means two, it stands for 2 as well.
    """

    def of(n_jobs, n_blas, n=instance.several_blocks):
        with threadpool_limits(n_blas, user_api="blas"):
            estimator, X, y = fitted(instance, n=n, n_jobs=n_jobs)
            said = replies(instance, estimator, X, y)
        return {k: v for k, v in state(estimator).items() if "n_jobs" not in k}, said

    def assert_same(one, other):
        for found, expected in zip(one, other, strict=True):
            assert_identical(found, expected)

    reference = of(1, 2)
    if instance.repeats:
        assert_same(of(2, 1), reference)
        return
    assert_same(of(-1, 1), reference)
    if joblib.effective_n_jobs(-1) != 2:
        assert_same(of(2, 1), reference)
    assert_same(of(None, 1, n=None), of(1, 2, n=None))


@instances()
def test_fits_in_several_threads_at_once(instance):
    expected, _, _ = fitted_once(instance)
    found, filters = [], list(warnings.filters)

    def work():
        found.append(state(fitted(instance)[0]))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(found) == 4
    for known in found:
        assert_identical(known, expected)
    # Fits that end in another order than they began would leave each other's filters behind.
    assert warnings.filters == filters


@instances(has_parameter("verbose"), first_of_its_path)
def test_silent_by_default(instance, capsys):
    estimator, X, y = fitted(instance)
    replies(instance, estimator, X, y)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


# --------------------------------------------------------------------------------------
# weights


@instances(weighted, settled, trait("row_order_free"), on_rows)
def test_integer_weights_are_copies_of_the_row(instance):
    X, y = instance.make_data()
    weights = np.random.default_rng(3).integers(0, 4, size=len(X))
    if y is not None:
        weights[np.unique(y, return_index=True)[1]] = 2  # no group without weight
    copies = np.arange(len(X)).repeat(weights)
    by_weight = fit_on(instance, X, y, sample_weight=weights)
    by_copies = fit_on(instance, X[copies], rows_of(y, copies), rows=copies)
    assert_close(determined(instance, by_weight), determined(instance, by_copies))
    assert_same_functions(instance, by_weight, X, by_copies, X)
    if offers(instance, by_weight, "score_samples"):
        np.testing.assert_allclose(
            by_weight.score_samples(X), by_copies.score_samples(X), rtol=1e-9, atol=1e-12
        )


@instances(weighted, settled)
def test_weights_of_one_change_nothing(instance):
    X, y = instance.make_data()
    expected, _, _ = fitted(instance)
    estimator = fit_on(instance, X, y, sample_weight=np.ones(len(X)))
    assert_close(determined(instance, estimator), determined(instance, expected))
    assert_same_functions(instance, estimator, X, expected, X)
    assert_same_pvalue(instance, estimator, expected)


@instances(weighted, settled)
def test_weights_matter(instance):
    X, y = instance.make_data()
    weights = np.ones(len(X))
    weights[0] = 5.0
    expected = fit_on(instance, X, y, pinned(instance, X))
    estimator = fit_on(instance, X, y, pinned(instance, X), sample_weight=weights)
    for name in instance.determined[:1]:
        found, without = (np.asarray(getattr(e, name)) for e in (estimator, expected))
        assert np.all(np.abs(found - without) > 1e-6 * np.abs(without)), name
    for method in instance.functions:
        found, without = (getattr(e, method)(X) for e in (estimator, expected))
        assert np.any(np.abs(found - without) > 1e-6 * np.abs(without)), method


@instances(weighted)
@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_bad_weights_are_an_error(instance, bad):
    X, y = instance.make_data()
    weights = np.ones(len(X))
    weights[2] = bad
    with pytest.raises(ValueError, match=r"(?i)weight"):
        fit_on(instance, X, y, sample_weight=weights)


# --------------------------------------------------------------------------------------
# symmetries


@instances(trait("translation_invariant"), settled)
def test_translation_invariance(instance):
    X, y = instance.make_data()  # on a dyadic grid: the shift is exact
    here, _, _ = fitted(instance)
    shifted = X + np.array([1024.0, -4096.0, 8.0])[: X.shape[1]]
    there = fit_on(instance, shifted, y)
    assert_close(determined(instance, there), determined(instance, here), rtol=1e-8, atol=1e-9)
    assert_same_functions(instance, there, shifted, here, X, rtol=1e-7, atol=1e-8)
    assert_same_pvalue(instance, there, here)


@instances(mixture)
def test_a_mixture_moves_with_the_rows(instance):
    X, y = instance.make_data()  # on a dyadic grid: the shift is exact
    shift = np.array([1024.0, -4096.0, 8.0])[: X.shape[1]]
    here = fit_on(instance, X, y, pinned(instance, X))
    there = pinned(instance, X, shift=shift).fit(X + shift, y)
    assert there.n_iter_ == here.n_iter_
    np.testing.assert_allclose(there.means_ - shift, here.means_, rtol=1e-9, atol=1e-9)
    for name in ("weights_", "covariances_", "lower_bound_"):
        np.testing.assert_allclose(getattr(there, name), getattr(here, name), rtol=1e-8, atol=1e-10)
    for method in ("predict_proba", "score_samples"):
        np.testing.assert_allclose(
            getattr(there, method)(X + shift), getattr(here, method)(X), rtol=1e-8, atol=1e-10
        )


@instances(mixture)
def test_a_mixture_scales_with_the_rows(instance):
    """Without `reg_covar`, which has a unit; powers of two are exact."""
    X, y = instance.make_data()
    here = pinned(instance, X).set_params(reg_covar=0.0).fit(X, y)
    for factor in (2.0**-20, 2.0**20):
        there = pinned(instance, X, factor=factor).set_params(reg_covar=0.0).fit(X * factor, y)
        assert there.n_iter_ == here.n_iter_
        np.testing.assert_allclose(there.means_ / factor, here.means_, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(there.covariances_ / factor**2, here.covariances_, rtol=1e-9)
        np.testing.assert_allclose(there.weights_, here.weights_, rtol=1e-9)
        np.testing.assert_allclose(
            there.predict_proba(X * factor), here.predict_proba(X), rtol=1e-9, atol=1e-12
        )
        n_seen = (~np.isnan(X)).sum(axis=1)
        np.testing.assert_allclose(
            there.score_samples(X * factor) + n_seen * np.log(factor), here.score_samples(X)
        )


@instances(trait("scale_equivariant"))
@pytest.mark.parametrize("factor", [2.0**-20, 2.0**20])
def test_a_score_scales_with_the_rows(instance, factor):
    """Powers of two are exact."""
    X, y = instance.make_data()
    here, there = fit_on(instance, X, y), fit_on(instance, X * factor, y)
    for method, places in (("score_samples", X), ("sample", None)):
        if not offers(instance, here, method):
            continue
        if places is None:
            found, expected = (e.sample(9, random_state=0) for e in (there, here))
            found = found / factor
        else:
            found, expected = there.score_samples(X * factor), here.score_samples(X)
            found = found + X.shape[1] * np.log(factor)
        np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-8, err_msg=method)
    found, expected = there.score_function(X * factor) * factor, here.score_function(X)
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-8)


@instances(embedding, lambda instance: not instance.seeded and not instance.fixed_width)
@pytest.mark.parametrize(
    ("shift", "factor"),
    [
        ([1024.0, -4096.0, 8.0], [1.0, 1.0, 1.0]),
        ([0.0, 0.0, 0.0], [2.0**-20, 2.0**20, 1.0]),
        ([2.0**20, 0.0, -1.0], [2.0**20, 2.0**10, 2.0**-10]),
    ],
)
def test_an_embedding_has_neither_origin_nor_units(instance, shift, factor):
    """Powers of two and shifts on the grid are exact."""
    X, y = instance.make_data()
    here, _, _ = fitted(instance)
    moved = X * factor + shift
    there = fit_on(instance, moved, y)
    np.testing.assert_allclose(there.loss_, here.loss_, rtol=1e-8)
    np.testing.assert_allclose(there.mean_, here.mean_ * factor + shift, rtol=1e-9, atol=1e-12)
    size = np.abs(here.components_).max()
    np.testing.assert_allclose(
        there.components_ * factor, here.components_, rtol=1e-7, atol=1e-7 * size
    )


@instances(trait("scale_invariant"), settled)
def test_scale_invariance(instance):
    """The bandwidth follows the data; powers of two are exact."""
    X, y = instance.make_data()
    here, _, _ = fitted(instance)
    for factor in (2.0**-20, 2.0**20):
        scaled = fit_on(instance, X * factor, y)
        names = [name for name in instance.determined if name != "gamma_"]
        for name in names:
            np.testing.assert_allclose(getattr(scaled, name), getattr(here, name), rtol=1e-9)
        assert_same_functions(instance, scaled, X * factor, here, X)
        assert_same_pvalue(instance, scaled, here)


@instances(trait("row_order_free"), settled)
def test_the_order_of_the_rows_does_not_matter(instance):
    X, y = instance.make_data()
    order = np.random.default_rng(0).permutation(len(X))
    here, _, _ = fitted(instance)
    moved = X[np.ix_(order, order)] if instance.pairwise else X[order]
    there = fit_on(instance, moved, rows_of(y, order), rows=order)
    assert_close(determined(instance, there), determined(instance, here))
    assert_same_functions(instance, there, X, here, X)
    if not instance.drawn:
        assert_same_pvalue(instance, there, here)
    if offers(instance, here, "score_samples"):
        Z = X[:, order] if instance.pairwise else X
        np.testing.assert_allclose(
            there.score_samples(Z), here.score_samples(X), rtol=1e-9, atol=1e-12
        )


@instances(trait("swap_symmetric"))
def test_swapping_two_groups(instance):
    X, y = instance.make_data()
    here, _, _ = fitted(instance)
    there = fit_on(instance, X, 1 - y)
    assert_close(determined(instance, there), determined(instance, here))
    if not instance.drawn:
        np.testing.assert_allclose(there.pvalue_, here.pvalue_)
    np.testing.assert_allclose(
        there.score_samples(X), -here.score_samples(X), rtol=1e-9, atol=1e-12
    )
    np.testing.assert_allclose(there.score(X, 1 - y), here.score(X, y))


# --------------------------------------------------------------------------------------
# together with scikit-learn


@instances(on_rows, first_of_its_path)
def test_in_a_pipeline(instance):
    X, y = instance.make_data()
    X = X * [100.0, 0.01, 1.0][: X.shape[1]] if X.shape[1] == 3 else X * [100.0, 0.01]
    scaled = StandardScaler().fit_transform(X)
    alone = fit_on(instance, scaled, y)
    given = beside(instance, X)
    with sklearn.config_context(enable_metadata_routing=bool(given)):
        pipeline = make_pipeline(StandardScaler(), clone(instance.estimator)).fit(X, y, **given)
        assert_identical(state(pipeline[-1]), state(alone))
        for method in (*READ_METHODS, "score"):
            if not offers(instance, alone, method):
                continue
            if method == "score" and given and not takes_weights(instance, "score"):
                continue  # under routing, Pipeline.score of scikit-learn hands on None
            rest = {"y": y, **beside_score(instance, X)} if method == "score" else {}
            assert_identical(
                flatten(getattr(pipeline, method)(X, **rest), method, {}),
                flatten(getattr(alone, method)(scaled, **rest), method, {}),
            )


@instances(trait("make_domain"), first_of_its_path)
def test_in_a_pipeline_without_routing(instance):
    X, y = instance.make_data()
    pipeline = Pipeline([("scale", StandardScaler()), ("last", clone(instance.estimator))])
    pipeline.fit(X, y, last__sample_domain=instance.make_domain(np.arange(len(X))))
    alone = fit_on(instance, StandardScaler().fit_transform(X), y)
    assert_identical(state(pipeline[-1]), state(alone))


def split_data(instance):
    """Return rows, labels, folds, and what a search routes to `fit`, `score` and the folds."""
    X, y = instance.make_data(n=60)
    given = beside(instance, X)
    if given:
        folds = DomainKFold(3, shuffle=True, random_state=0)
        return X, y, folds, {**given, "groups": given["sample_domain"]}
    kind = KFold if y is None else StratifiedKFold
    return X, y, kind(3, shuffle=True, random_state=0), {}


@instances(has_method("score"), trait("grid"), first_of_its_path)
def test_in_grid_search(instance):
    X, y, folds, routed = split_data(instance)
    search = GridSearchCV(clone(instance.estimator), instance.grid, cv=folds, error_score="raise")
    with sklearn.config_context(enable_metadata_routing=bool(routed)):
        search.fit(X, y, **routed)
    scores = search.cv_results_["mean_test_score"]
    assert np.all(np.isfinite(scores))
    by_hand = []
    for train, test in folds.split(X, y, **{k: v for k, v in routed.items() if k == "groups"}):
        best = clone(instance.estimator).set_params(**search.best_params_)
        if instance.pairwise:
            best.fit(X[np.ix_(train, train)], y[train])
            by_hand.append(best.score(X[np.ix_(test, train)], y[test]))
        else:
            fit_on(instance, X[train], rows_of(y, train), best, rows=train)
            rest = beside_score(instance, X, test)
            by_hand.append(best.score(X[test], rows_of(y, test), **rest))
    assert search.best_score_ == pytest.approx(np.mean(by_hand), rel=1e-12)


@instances(has_method("score"), first_of_its_path)
def test_in_cross_validate(instance):
    X, y, folds, routed = split_data(instance)
    with sklearn.config_context(enable_metadata_routing=bool(routed)):
        result = cross_validate(
            clone(instance.estimator),
            X,
            y,
            cv=folds,
            params=routed or None,
            error_score="raise",
            return_estimator=True,
        )
    assert np.all(np.isfinite(result["test_score"]))
    assert len(result["estimator"]) == 3


@instances(first_of_its_path)
def test_html_and_text(instance):
    estimator, _, _ = fitted(instance)
    name = type(estimator).__name__
    for shown in (clone(instance.estimator), estimator):
        html = shown._repr_html_()
        assert name in html
        assert repr(shown).startswith(f"{name}(")
    link = estimator._get_doc_link()
    assert name in link
    assert link in html
