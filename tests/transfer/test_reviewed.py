"""Cases at the edge: units of weights, bounds, overflow, routing, odd estimators, refits."""

import functools
import re
import warnings

import numpy as np
import pytest
import sklearn
from scipy.optimize import lsq_linear
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_breast_cancer, load_wine
from sklearn.ensemble import StackingClassifier, StackingRegressor, VotingClassifier
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.svm import SVC

from skmmd.inspection import DomainDisplay
from skmmd.transfer import (
    CircularValidationScorer,
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
    kmm_weights,
    stack_domains,
    weighted_mmd,
)
from tests.transfer import oracles

little_overlap = pytest.mark.filterwarnings("ignore:(The|All) (weights|domains):UserWarning")

N_SOURCE, N_TARGET = 60, 45
N = N_SOURCE + N_TARGET


def draw(seed=3, n_source=N_SOURCE, n_target=N_TARGET, d=2):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_source, d)), 0.6 + 0.7 * rng.normal(size=(n_target, d))


Xs, Xt = draw()
X, DOMAIN = np.vstack([Xs, Xt]), np.repeat([1, -1], [N_SOURCE, N_TARGET])
LABELS = (np.random.default_rng(5).normal(size=N) + X[:, 0] > 0).astype(int)
VALUES = X[:, 0] ** 2 + X[:, 1]
FEW = X[:6], X[-9:]
MATCHING = KernelMeanMatching(gamma=0.5, tol=1e-10)


def recorded(run):
    """Return what `run` returns, and what was warned of meanwhile."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = run()
    return result, caught


def fit(estimator, rows=X, y=LABELS, domain=DOMAIN, **parameters):
    return estimator.fit(rows, y, sample_domain=domain, **parameters)


# --------------------------------------------------------------------------------------
# the scale of sample weights

COPIES = np.random.default_rng(3).uniform(0.5, 2.0, N)
SCALES = [1e-8, 1e-5, 1.0, 1e5, 1e8]


@pytest.mark.parametrize("solver", ["smo", "nystroem"])
@pytest.mark.parametrize("bounds", [None, (20.0, 25.0), (110.0, 120.0)], ids=str)
@pytest.mark.parametrize("scale", SCALES)
def test_the_scale_of_sample_weights_does_not_matter(scale, bounds, solver):
    """Bounds are those of sum(a w), which have the units of a."""
    a, b = COPIES[:N_SOURCE], COPIES[N_SOURCE:]
    problem = oracles.kmm_problem(
        Xs, Xt, "rbf", 0.5, sum_bounds=bounds, source_weight=a, target_weight=b
    )
    best = oracles.kmm_by_projected_gradient(problem)
    scaled = None if bounds is None else (scale * bounds[0], scale * bounds[1])
    options = {} if solver == "smo" else {"n_landmarks": N}
    ours = KernelMeanMatching(gamma=0.5, sum_bounds=scaled, solver=solver, tol=1e-9, **options)
    ours.fit(X, sample_domain=DOMAIN, sample_weight=scale * COPIES)
    assert ours.converged_
    np.testing.assert_allclose(ours.weights_, best, atol=1e-5)
    expected = oracles.weight_function(
        X, best, Xs, Xt, "rbf", 0.5, 0.01, 1000.0, source_weight=a, target_weight=b
    )
    np.testing.assert_allclose(ours.predict_weights(X), expected, atol=1e-4)
    mmd = oracles.weighted_mmd(Xs, Xt, a * best, b, "rbf", 0.5)
    assert ours.mmd_after_ == pytest.approx(mmd, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("scale", SCALES)
def test_the_scale_matters_neither_to_tolerance_nor_to_the_choice_of_alpha(scale):
    """Under the defaults, whose tolerance is absolute in the units of the gradient."""
    problem = oracles.kmm_problem(
        Xs, Xt, "rbf", 0.5, 0.01, source_weight=COPIES[:N_SOURCE], target_weight=COPIES[N_SOURCE:]
    )
    ours = KernelMeanMatching(gamma=0.5).fit(X, sample_domain=DOMAIN, sample_weight=scale * COPIES)
    best = oracles.kmm_by_projected_gradient(problem)
    np.testing.assert_allclose(ours.weights_, best, atol=1e-4)
    chosen = [
        KernelMeanMatching(gamma=0.5, alpha="cv", random_state=0)
        .fit(X, sample_domain=DOMAIN, sample_weight=c * COPIES)
        .alpha_
        for c in (1.0, scale)
    ]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize("gamma", [0.5, "median"])
def test_landmarks_do_not_see_copies(gamma):
    copies = np.random.default_rng(0).integers(1, 4, N)
    index = np.repeat(np.arange(N), copies)
    options = {"gamma": gamma, "n_landmarks": 10}
    matching = KernelMeanMatching(random_state=0, **options)
    one = clone(matching).fit(X, sample_domain=DOMAIN, sample_weight=copies)
    two = clone(matching).fit(X[index], sample_domain=DOMAIN[index])
    np.testing.assert_allclose(np.repeat(one.weights_, copies[:N_SOURCE]), two.weights_, atol=1e-8)
    model = MMDRegularizedRegressor(**options)
    one = fit(clone(model), y=VALUES, sample_weight=copies)
    two = fit(clone(model), X[index], VALUES[index], DOMAIN[index])
    np.testing.assert_allclose(one.predict(X), two.predict(X), atol=1e-8)


# --------------------------------------------------------------------------------------
# bounds

BAD_BOUNDS = {
    "NaN": (np.nan, 2.0),
    "second NaN": (2.0, np.nan),
    "strings": ("a", "b"),
    "ragged": (10, [5]),
    "nested": ((1.0, 2.0),),
    "three": (1.0, 2.0, 3.0),
    "number": 5,
    "array of no axes": np.array(5.0),
}


@pytest.mark.parametrize("case", BAD_BOUNDS)
def test_bad_bounds_of_the_sum(case):
    words = re.escape("pair (lowest, highest)")
    with pytest.raises(ValueError, match=rf"(?s)sum_bounds.*{words}"):
        kmm_weights(*FEW, sum_bounds=BAD_BOUNDS[case])
    with pytest.raises(ValueError, match=rf"(?s)sum_bounds.*{words}"):
        KernelMeanMatching(sum_bounds=BAD_BOUNDS[case]).fit(X, sample_domain=DOMAIN)


@pytest.mark.parametrize("number", [5, 5.0])
def test_one_number_is_told_as_the_pair_it_may_mean(number):
    with pytest.raises(ValueError, match=r"\(5, 5\)"):
        kmm_weights(*FEW, sum_bounds=number)


@pytest.mark.parametrize(
    ("bounds", "meant"),
    [
        ((None, 2.0), (0.0, 2.0)),
        ((12.0, None), (12.0, np.inf)),
        ([None, None], (0.0, np.inf)),
        ((-np.inf, 2.0), (0.0, 2.0)),
        (np.array([12.0, np.inf]), (12.0, np.inf)),
    ],
    ids=str,
)
def test_no_bound_on_one_side(bounds, meant):
    problem = oracles.kmm_problem(*FEW, "rbf", 0.5, sum_bounds=meant)
    best = oracles.kmm_by_enumeration(problem)
    found = kmm_weights(*FEW, gamma=0.5, sum_bounds=bounds, tol=1e-11)
    np.testing.assert_allclose(found, best, atol=1e-6)


@little_overlap
def test_bounds_that_are_met_up_to_rounding():
    """6 * 1.2 is below 7.2 in floating point."""
    assert 6 * 1.2 < 7.2
    bounds = (7.2, 9.0)
    options = {"gamma": 0.5, "max_weight": 1.2}
    np.testing.assert_allclose(kmm_weights(*FEW, sum_bounds=bounds, **options), 1.2)
    ours = KernelMeanMatching(sum_bounds=bounds, solver="nystroem", **options)
    ours.fit(np.vstack(FEW), sample_domain=np.repeat([1, -1], [6, 9]))
    np.testing.assert_allclose(ours.weights_, 1.2)
    assert ours.weights_.max() <= 1.2
    assert np.isfinite(ours.dual_gap_)
    with pytest.raises(ValueError, match="sum_bounds"):
        kmm_weights(*FEW, sum_bounds=(7.2001, 9.0), **options)


# --------------------------------------------------------------------------------------
# extremes


@little_overlap
@pytest.mark.parametrize("solver", ["smo", "nystroem"])
@pytest.mark.parametrize(
    "options",
    [{"alpha": 1e300}, {"max_weight": 1e-300}, {"max_weight": 1e308}, {"max_weight": 1e100}],
    ids=str,
)
def test_extremes_of_the_ridge_and_of_the_bound(options, solver):
    """All weights are at the bound, next to zero, or what they are without a bound."""
    ours = KernelMeanMatching(gamma=0.5, solver=solver, n_landmarks=None, tol=1e-9, **options)
    ours.fit(X, sample_domain=DOMAIN)
    assert not np.isnan(ours.dual_gap_)
    assert ours.dual_gap_ >= 0.0
    bound = options.get("max_weight", 1000.0)
    if bound < 1.0:
        expected = np.full(N_SOURCE, bound)
    elif "alpha" in options:
        expected = np.zeros(N_SOURCE)
    else:
        expected = oracles.kmm_by_projected_gradient(oracles.kmm_problem(Xs, Xt, "rbf", 0.5))
    atol = 1e-12 * bound if bound < 1.0 else 1e-4 if solver == "smo" else 2e-2
    for found in (ours.weights_, ours.predict_weights(Xs)):
        assert np.all(found >= 0.0)
        assert np.all(found <= bound)
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=atol)


def linear_optimum(source, target):
    """Return the weights by bounded least squares on the columns, with rows for the ridge."""
    n = len(source)
    columns = np.vstack([source.T, np.sqrt(0.01 * n) * np.eye(n)])
    goal = np.append(n * target.mean(axis=0), np.zeros(n))
    return lsq_linear(columns, goal, (0.0, 1000.0), method="bvls", tol=1e-15).x


@functools.cache
def scaled_task(scale, n_source):
    source, target = (scale * rows for rows in draw(0, n_source, 80, 3))
    return source, target, linear_optimum(source, target)


@little_overlap
@pytest.mark.parametrize("solver", ["smo", "nystroem"])
@pytest.mark.parametrize("n_source", [60, 200])
@pytest.mark.parametrize("scale", [1e-6, 1e-4, 1e-2, 1.0, 1e2, 1e3])
def test_linear_kernel_on_unscaled_columns(scale, n_source, solver):
    """Kernel values far below 1 and far above it."""
    source, target, best = scaled_task(scale, n_source)
    X, domain = np.vstack([source, target]), np.repeat([1, -1], [n_source, 80])
    ours = KernelMeanMatching(kernel="linear", solver=solver).fit(X, sample_domain=domain)
    assert ours.converged_
    size = best.max()
    np.testing.assert_allclose(ours.weights_, best, atol=1e-3 * size)
    np.testing.assert_allclose(ours.predict_weights(source), best, atol=1e-2 * size)


@little_overlap
@pytest.mark.parametrize("solver", ["smo", "nystroem"])
@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_linear_kernel_on_raw_data(load, solver):
    rows, y = load(return_X_y=True)
    source, target = rows[::2], rows[1::2][y[1::2] > 0]
    best = linear_optimum(source, target)
    problem = oracles.kmm_problem(source, target, "linear")
    found = kmm_weights(source, target, kernel="linear", solver=solver)
    assert problem.feasible(found)
    least = problem.objective(best)
    assert problem.objective(found) <= least + 1e-8 * abs(least)
    np.testing.assert_allclose(found, best, atol=1e-3)


@pytest.mark.parametrize("solver", ["smo", "nystroem"])
@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_the_scale_of_a_kernel_does_not_matter(scale, solver):
    """If the ridge has it too, the weights are those of the kernel itself."""

    def kernel(A, B):
        return scale * np.exp(-0.5 * cdist(A, B, "sqeuclidean"))

    problem = oracles.kmm_problem(Xs, Xt, "rbf", 0.5, sum_bounds=(60.0, 60.0))
    best = oracles.kmm_by_projected_gradient(problem)
    options = {} if solver == "smo" else {"n_landmarks": N}
    ours = KernelMeanMatching(
        kernel=kernel, alpha=0.01 * scale, sum_bounds=(60.0, 60.0), solver=solver, **options
    )
    ours.fit(X, sample_domain=DOMAIN)
    np.testing.assert_allclose(ours.weights_, best, atol=1e-3)


@little_overlap
@pytest.mark.filterwarnings("ignore:Kernel mean matching stopped")
@pytest.mark.parametrize("n_source", [60, 600])
def test_polynomial_kernel_on_unscaled_columns(n_source):
    """Near the optimum, by the certificate of the twin, though rounding may keep it from `tol`."""
    source, target = (5.0 * rows for rows in draw(0, n_source, 80, 3))
    found = kmm_weights(source, target, kernel="polynomial", gamma=1.0)
    problem = oracles.kmm_problem(source, target, "polynomial", 1.0)
    assert problem.feasible(found)
    assert problem.gap(found) <= 1e-6 * abs(problem.objective(found))


EMBEDDINGS = {
    "TransferComponentAnalysis": TransferComponentAnalysis,
    "JointDistributionAdaptation": JointDistributionAdaptation,
}
SOLVERS_OF_KERNELS = {
    "KernelMeanMatching": KernelMeanMatching,
    **EMBEDDINGS,
    "MMDRegularizedClassifier": MMDRegularizedClassifier,
    "MMDRegularizedRegressor": MMDRegularizedRegressor,
}
each_solver = pytest.mark.parametrize("name", SOLVERS_OF_KERNELS)


@each_solver
@pytest.mark.parametrize("n_landmarks", [None, 5])
@pytest.mark.parametrize("kernel", ["linear", "polynomial"])
def test_kernel_values_that_overflow(name, kernel, n_landmarks):
    """Told by the estimator; warnings, which are errors here, come from no line within."""
    model = SOLVERS_OF_KERNELS[name](kernel=kernel, gamma=1.0, n_landmarks=n_landmarks)
    with pytest.raises(ValueError, match=r"(?s)float64.*rescale|rescale.*float64"):
        fit(model, 1e160 * X)


def test_kernel_values_that_overflow_in_the_function():
    with pytest.raises(ValueError, match=r"float64.*rescale|rescale.*float64"):
        kmm_weights(1e160 * Xs, 1e160 * Xt, kernel="linear")


@pytest.mark.parametrize("name", EMBEDDINGS)
@pytest.mark.parametrize("n", [20, 210, 400])
def test_a_gram_matrix_of_zeros(name, n):
    """Nothing varies: all components are zero, whatever the solver of eigenvalues."""
    rows = np.zeros((n, 3))
    model = EMBEDDINGS[name](2, kernel="linear")
    y, domain = np.arange(n) % 2, np.where(np.arange(n) % 3 > 0, 1, -1)
    fit(model, rows, y, domain)
    np.testing.assert_array_equal(model.eigenvalues_, 0.0)
    assert np.all(np.isfinite(model.dual_coef_))
    np.testing.assert_array_equal(model.transform(rows), 0.0)
    np.testing.assert_array_equal(model.transform(np.ones((2, 3))), 0.0)


@each_solver
def test_kernels_that_are_not_positive_with_landmarks(name):
    """What is advised can be done: no transfer estimator has a method "binned"."""
    model = SOLVERS_OF_KERNELS[name](kernel=lambda A, B: -cdist(A, B) - 1.0, n_landmarks=5)
    with pytest.raises(ValueError, match="positive") as caught:
        fit(model)
    assert "binned" not in str(caught.value)


# --------------------------------------------------------------------------------------
# what is told


def far_apart(distance=25.0):
    return np.vstack([Xs, Xt + distance])


@pytest.mark.parametrize("solver", ["smo", "nystroem"])
def test_no_overlap_at_all_has_its_own_warning(solver):
    ours = KernelMeanMatching(gamma=0.5, solver=solver)
    _, caught = recorded(lambda: ours.fit(far_apart(), sample_domain=DOMAIN))
    assert [w.category for w in caught] == [UserWarning]
    message = str(caught[0].message)
    assert re.search(r"(?i)no source row.* near", message), message
    assert "Raise alpha" not in message
    assert caught[0].filename == __file__
    np.testing.assert_allclose(ours.weights_, 0.0, atol=1e-9)


@little_overlap
@pytest.mark.parametrize("solver", ["smo", "nystroem"])
def test_nothing_is_learned_without_any_overlap(solver):
    """What rounding leaves of the weights is no weight."""
    matching = KernelMeanMatching(gamma=0.5, solver=solver)
    with pytest.raises(ValueError, match="overlap"):
        fit(TransferClassifier(reweighter=matching), far_apart())
    with pytest.raises(ValueError, match="All weights are zero"):
        kmm_weights(Xs, Xt + 25.0, gamma=0.5, solver=solver, normalize=True)


@pytest.mark.parametrize("sizes", [(10, 7), (45, 7), (60, 45), (70, 33)], ids=str)
@pytest.mark.parametrize("value", [0.1, 1.0, 3.7, 1e6])
@pytest.mark.parametrize("kernel", ["rbf", "laplacian", "imq", "rq", "linear"])
def test_constant_rows_overlap(kernel, value, sizes):
    """Whatever rounding leaves of their MMD."""
    ours, domain = KernelMeanMatching(kernel=kernel), np.repeat([1, -1], sizes)
    rows = np.full((sum(sizes), 2), value)
    _, caught = recorded(lambda: ours.fit(rows, sample_domain=domain))
    assert not [str(w.message) for w in caught]
    assert 0.0 <= ours.mmd_before_ <= 1e-12 * max(1.0, value**2)


def test_converged_is_what_is_warned_of():
    """Kernels without ridge and huge values are where solvers give up; then, and only then."""
    told = {}
    for kernel, scale, alpha in [
        ("rbf", 1.0, 0.01),
        ("rbf", 1.0, 0.0),
        ("linear", 1.0, 0.01),
        ("polynomial", 1e3, 0.0),
    ]:
        for solver in ("smo", "nystroem"):
            ours = KernelMeanMatching(kernel=kernel, alpha=alpha, solver=solver)
            _, caught = recorded(lambda m=ours, c=scale: m.fit(c * X, sample_domain=DOMAIN))
            warned = any(issubclass(w.category, ConvergenceWarning) for w in caught)
            assert isinstance(ours.converged_, bool)
            assert ours.converged_ is not warned, (kernel, scale, alpha, solver)
            told[kernel, alpha] = ours.converged_
    assert told["rbf", 0.01]
    assert told["linear", 0.01]
    ours, _ = recorded(lambda: KernelMeanMatching().fit(X))
    assert ours.converged_ is True


def test_a_score_without_domains_is_refused():
    """It would be NaN for each candidate of a search, which then takes the first."""
    ours = clone(MATCHING).fit(X, sample_domain=DOMAIN)
    words = r"(?s)score needs sample_domain.*routing"
    with pytest.raises(ValueError, match=words):
        ours.score(X)
    search = GridSearchCV(ours, {"alpha": [0.01, 0.1]}, cv=DomainKFold(3), error_score="raise")
    with pytest.raises(ValueError, match=words):
        search.fit(X, sample_domain=DOMAIN, groups=DOMAIN)
    with sklearn.config_context(enable_metadata_routing=True):
        search.fit(X, sample_domain=DOMAIN, groups=DOMAIN)
    assert np.all(np.isfinite(search.cv_results_["mean_test_score"]))


def test_a_score_without_target_rows():
    """Of a fit without them: NaN, and a warning that speaks of the score."""
    ours, _ = recorded(lambda: clone(MATCHING).fit(X))
    value, caught = recorded(lambda: ours.score(X))
    assert np.isnan(value)
    assert [w.category for w in caught] == [UserWarning]
    message = str(caught[0].message)
    assert "scored without sample_domain" in message
    assert "fitted" not in message
    assert caught[0].filename == __file__


@pytest.mark.parametrize("Transfer", [TransferClassifier, TransferRegressor])
def test_missing_domains_are_told_once(Transfer):
    _, caught = recorded(lambda: Transfer(reweighter=KernelMeanMatching()).fit(X, LABELS))
    assert len([w for w in caught if "sample_domain" in str(w.message)]) == 1


@pytest.mark.parametrize(
    "Estimator",
    [
        TransferClassifier,
        TransferRegressor,
        MMDRegularizedClassifier,
        MMDRegularizedRegressor,
        JointDistributionAdaptation,
    ],
)
def test_labels_in_a_column_are_told_at_the_line_of_the_caller(Estimator):
    _, caught = recorded(lambda: Estimator().fit(X, LABELS[:, None], sample_domain=DOMAIN))
    told = [w for w in caught if w.category is DataConversionWarning]
    assert [w.filename for w in told] == [__file__]


# --------------------------------------------------------------------------------------
# refits


def test_a_refit_forgets_the_search_for_alpha():
    ours = KernelMeanMatching(alpha="cv", gamma=0.5).fit(X, sample_domain=DOMAIN)
    assert hasattr(ours, "cv_results_")
    ours.set_params(alpha=0.1).fit(X, sample_domain=DOMAIN)
    assert not hasattr(ours, "cv_results_")
    ours.set_params(alpha="cv").fit(X, sample_domain=DOMAIN)
    recorded(lambda: ours.fit(X))
    assert not hasattr(ours, "cv_results_")


def test_a_refit_forgets_criticisms():
    ours = MMDSampleSelector(3, method="critic").fit(X)
    assert ours.criticism_indices_.shape == (3,)
    ours.set_params(method="greedy").fit(X)
    assert not hasattr(ours, "criticism_indices_")


def test_criticisms_of_a_kernel_of_rank_two():
    """A third row is a combination of two others: the determinant is zero for all."""
    rows = np.random.default_rng(3).normal(size=(40, 2))
    ours = MMDSampleSelector(3, method="critic", kernel="linear", n_criticisms=6).fit(rows)
    K = rows @ rows.T
    expected = oracles.criticisms(2, ours.sample_indices_, K, K)
    np.testing.assert_array_equal(ours.criticism_indices_, expected)


# --------------------------------------------------------------------------------------
# the squared MMD of many target rows


@little_overlap
@pytest.mark.parametrize(
    "options",
    [
        {"n_landmarks": 5, "solver": "smo", "gamma": 0.3},
        {"gamma": 20.0, "alpha": 1.0},
    ],
    ids=str,
)
def test_the_mmd_of_many_target_rows_is_exact(options):
    source, target = draw(0, 200, 10_001, 3)
    X, domain = np.vstack([source, target]), np.repeat([1, -1], [200, 10_001])
    ours = KernelMeanMatching(**options).fit(X, sample_domain=domain)
    gamma = options["gamma"]
    before = weighted_mmd(source, target, gamma=gamma)
    after = weighted_mmd(source, target, ours.weights_, gamma=gamma)
    assert ours.mmd_before_ == pytest.approx(before, rel=1e-9)
    assert ours.mmd_after_ == pytest.approx(after, rel=1e-6)


@little_overlap
@pytest.mark.parametrize(
    "options", [{"n_landmarks": 5, "solver": "smo"}, {"alpha": 1.0}, {"alpha": 100.0}], ids=str
)
def test_the_mmd_of_very_many_target_rows_is_near(options):
    """Each target row is there eleven times, so that few pairs give the exact value."""
    source, target = draw(0, 200, 3000, 3)
    X = np.vstack([source, np.repeat(target, 11, axis=0)])
    ours = KernelMeanMatching(gamma=0.3, **options)
    ours.fit(X, sample_domain=np.repeat([1, -1], [200, 33_000]))
    before = weighted_mmd(source, target, gamma=0.3)
    after = weighted_mmd(source, target, ours.weights_, gamma=0.3)
    assert ours.mmd_before_ == pytest.approx(before, rel=1e-3)
    assert ours.mmd_after_ == pytest.approx(after, rel=1e-3, abs=1e-3 * before)


# --------------------------------------------------------------------------------------
# estimators within


@pytest.mark.parametrize("Transfer", [TransferClassifier, TransferRegressor])
@pytest.mark.parametrize("reweighter", [None, MATCHING], ids=["none", "matching"])
def test_no_source_row_with_weight(Transfer, reweighter):
    weight = np.where(DOMAIN > 0, 0.0, 1.0)
    with pytest.raises(ValueError, match="sample_weight is zero for all source rows"):
        fit(Transfer(reweighter=reweighter), sample_weight=weight)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (TransferClassifier(Ridge()), "classifier"),
        (TransferClassifier(make_pipeline(StandardScaler(), Ridge())), "classifier"),
        (TransferClassifier(GridSearchCV(Ridge(), {"alpha": [1.0]})), "classifier"),
        (TransferRegressor(LogisticRegression()), "regressor"),
        (TransferRegressor(make_pipeline(StandardScaler(), SVC())), "regressor"),
        (JointDistributionAdaptation(estimator=Ridge()), "classifier"),
        (JointDistributionAdaptation(estimator=KMeans(2)), "classifier"),
    ],
    ids=str,
)
def test_estimators_of_the_wrong_kind(model, expected):
    with pytest.raises(ValueError, match=rf"\ba {expected}\b"):
        fit(model)


def test_pipelines_and_searches_of_the_right_kind():
    nearest = make_pipeline(Normalizer(), KNeighborsClassifier(1))
    search = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 3]})
    for inner in (nearest, search):
        assert fit(TransferClassifier(inner)).predict(Xt).shape == (N_TARGET,)
        assert fit(JointDistributionAdaptation(2, estimator=inner)).classes_.tolist() == [0, 1]
    regression = GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__alpha": [1.0]})
    assert fit(TransferRegressor(regression), y=VALUES).predict(Xt).shape == (N_TARGET,)


def stacked_classifier():
    return StackingClassifier([("bayes", GaussianNB()), ("linear", LogisticRegression())])


def stacked_regressor():
    return StackingRegressor([("one", Ridge()), ("two", LinearRegression())], Ridge())


@pytest.mark.parametrize(
    ("Transfer", "stacked", "y"),
    [
        (TransferClassifier, stacked_classifier, LABELS),
        (TransferRegressor, stacked_regressor, VALUES),
    ],
    ids=["classifier", "regressor"],
)
def test_stacked_estimators(Transfer, stacked, y):
    """They have no `predict` before they are fitted."""
    weights = kmm_weights(Xs, Xt, gamma=0.5, tol=1e-10)
    model = fit(Transfer(stacked(), MATCHING), y=y)
    expected = stacked().fit(Xs, y[:N_SOURCE], sample_weight=weights)
    np.testing.assert_allclose(model.predict(Xt), expected.predict(Xt), atol=1e-4)
    if Transfer is TransferClassifier:
        found = model.predict_proba(Xt)
        np.testing.assert_allclose(found, expected.predict_proba(Xt), atol=1e-4)


@pytest.mark.parametrize("reweighter", [TransferComponentAnalysis(2), StandardScaler()], ids=str)
def test_reweighters_that_give_no_weights(reweighter):
    with pytest.raises(TypeError, match=r"(?s)reweighter.*KernelMeanMatching"):
        fit(TransferClassifier(reweighter=reweighter))
    with pytest.raises(TypeError, match=r"(?s)reweighter.*KernelMeanMatching"):
        fit(TransferClassifier(reweighter=make_pipeline(StandardScaler(), reweighter)))
    model = LogisticRegression().fit(Xs, LABELS[:N_SOURCE])
    score = ImportanceWeightedScorer(reweighter=reweighter)
    with pytest.raises(TypeError, match=r"(?s)reweighter.*KernelMeanMatching"):
        score(model, X, LABELS, sample_domain=DOMAIN)


# --------------------------------------------------------------------------------------
# metadata routing

each_routing = pytest.mark.parametrize("routing", [False, True], ids=["off", "on"])
WEIGHTS = kmm_weights(Xs, Xt, gamma=0.5, tol=1e-10)
SOURCE_LABELS = LABELS[:N_SOURCE]
EXACT = {"tol": 1e-10, "max_iter": 1000}


def requests_of(estimator):
    """Return which metadata the last step requests, in words."""
    return str(estimator[-1].get_metadata_routing())


@each_routing
def test_a_pipeline_within(routing):
    """Its last step takes the weights, and no step has to ask for them."""
    scaler = StandardScaler().fit(Xs)
    expected = LogisticRegression(**EXACT)
    expected.fit(scaler.transform(Xs), SOURCE_LABELS, sample_weight=WEIGHTS)
    inner = make_pipeline(StandardScaler(), LogisticRegression(**EXACT))
    with sklearn.config_context(enable_metadata_routing=routing):
        before = requests_of(inner)
        model = fit(TransferClassifier(inner, MATCHING))
        assert requests_of(inner) == before, "the user's estimator is left as it is"
        assert sklearn.get_config()["enable_metadata_routing"] == routing
    np.testing.assert_allclose(model.estimator_[-1].coef_, expected.coef_, atol=1e-5)
    nested = make_pipeline(StandardScaler(), inner)
    with sklearn.config_context(enable_metadata_routing=routing):
        model = fit(TransferClassifier(nested, MATCHING))
    np.testing.assert_allclose(model.estimator_[-1][-1].coef_, expected.coef_, atol=1e-5)


@each_routing
def test_a_pipeline_within_a_regression(routing):
    scaler = StandardScaler().fit(Xs)
    expected = Ridge().fit(scaler.transform(Xs), VALUES[:N_SOURCE], sample_weight=WEIGHTS)
    with sklearn.config_context(enable_metadata_routing=routing):
        model = TransferRegressor(make_pipeline(StandardScaler(), Ridge()), MATCHING)
        fit(model, y=VALUES)
    np.testing.assert_allclose(model.estimator_[-1].coef_, expected.coef_, atol=1e-5)


@each_routing
def test_a_vote_within(routing):
    members = [("linear", LogisticRegression(**EXACT)), ("bayes", GaussianNB())]
    expected = np.mean(
        [
            clone(member).fit(Xs, SOURCE_LABELS, sample_weight=WEIGHTS).predict_proba(Xt)
            for _, member in members
        ],
        axis=0,
    )
    with sklearn.config_context(enable_metadata_routing=routing):
        model = fit(TransferClassifier(VotingClassifier(members, voting="soft"), MATCHING))
    np.testing.assert_allclose(model.predict_proba(Xt), expected, atol=1e-5)


@each_routing
def test_a_search_within(routing):
    search = GridSearchCV(LogisticRegression(**EXACT), {"C": [0.01, 1.0]}, cv=3)
    with sklearn.config_context(enable_metadata_routing=routing):
        model = fit(TransferClassifier(search, MATCHING))
    best = clone(LogisticRegression(**EXACT)).set_params(**model.estimator_.best_params_)
    best.fit(Xs, SOURCE_LABELS, sample_weight=WEIGHTS)
    np.testing.assert_allclose(model.estimator_.best_estimator_.coef_, best.coef_, atol=1e-5)


@each_routing
def test_a_search_over_a_pipeline_within(routing):
    inner = make_pipeline(StandardScaler(), LogisticRegression(**EXACT))
    search = GridSearchCV(inner, {"logisticregression__C": [0.01, 1.0]}, cv=3)
    scaled = StandardScaler().fit_transform(Xs)
    with sklearn.config_context(enable_metadata_routing=routing):
        model = fit(TransferClassifier(search, MATCHING))
    best = LogisticRegression(**EXACT, C=model.estimator_.best_params_["logisticregression__C"])
    best.fit(scaled, SOURCE_LABELS, sample_weight=WEIGHTS)
    found = model.estimator_.best_estimator_[-1].coef_
    np.testing.assert_allclose(found, best.coef_, atol=1e-5)


@each_routing
def test_a_pipeline_that_weighs_weighted_rows(routing):
    expected = clone(MATCHING).fit(
        StandardScaler().fit_transform(X), sample_domain=DOMAIN, sample_weight=COPIES
    )
    with sklearn.config_context(enable_metadata_routing=routing):
        reweighter = make_pipeline(StandardScaler(), MATCHING)
        model = fit(TransferClassifier(reweighter=reweighter), sample_weight=COPIES)
    np.testing.assert_allclose(model.weights_, expected.weights_, atol=1e-6)


@each_routing
def test_steps_that_take_domains_before_the_one_that_weighs_weighted_rows(routing):
    mapped = TransferComponentAnalysis(2).fit_transform(X, sample_domain=DOMAIN)
    expected = clone(MATCHING).fit(mapped, sample_domain=DOMAIN, sample_weight=COPIES)
    with sklearn.config_context(enable_metadata_routing=routing):
        reweighter = make_pipeline(TransferComponentAnalysis(2), MATCHING)
        model = fit(TransferClassifier(reweighter=reweighter), sample_weight=COPIES)
    np.testing.assert_allclose(model.weights_, expected.weights_, atol=1e-6)


def test_requests_of_steps_are_honoured():
    """A scaler that asks for the weights gets them, in the estimator and in the reweighter."""
    scaler = StandardScaler().fit(Xs, sample_weight=WEIGHTS)
    expected = LogisticRegression(**EXACT)
    expected.fit(scaler.transform(Xs), SOURCE_LABELS, sample_weight=WEIGHTS)
    scaled = StandardScaler().fit(X, sample_weight=COPIES).transform(X)
    matching = clone(MATCHING).fit(scaled, sample_domain=DOMAIN, sample_weight=COPIES)
    with sklearn.config_context(enable_metadata_routing=True):
        asking = StandardScaler().set_fit_request(sample_weight=True)
        linear = LogisticRegression(**EXACT).set_fit_request(sample_weight=True)
        model = fit(TransferClassifier(make_pipeline(asking, linear), MATCHING))
        reweighter = make_pipeline(asking, clone(MATCHING).set_fit_request(sample_weight=True))
        weighed = fit(TransferClassifier(reweighter=reweighter), sample_weight=COPIES)
    np.testing.assert_allclose(model.estimator_[0].mean_, scaler.mean_, atol=1e-6)
    np.testing.assert_allclose(model.estimator_[-1].coef_, expected.coef_, atol=1e-5)
    np.testing.assert_allclose(weighed.weights_, matching.weights_, atol=1e-6)


def test_a_refusal_of_weights_is_honoured():
    scaler = StandardScaler().fit(Xs)
    expected = LogisticRegression(**EXACT)
    expected.fit(scaler.transform(Xs), SOURCE_LABELS, sample_weight=WEIGHTS)
    with sklearn.config_context(enable_metadata_routing=True):
        refusing = StandardScaler().set_fit_request(sample_weight=False)
        linear = LogisticRegression(**EXACT).set_fit_request(sample_weight=True)
        model = fit(TransferClassifier(make_pipeline(refusing, linear), MATCHING))
    np.testing.assert_allclose(model.estimator_[0].mean_, scaler.mean_, rtol=1e-12)
    np.testing.assert_allclose(model.estimator_[-1].coef_, expected.coef_, atol=1e-5)


@pytest.mark.parametrize("scoring", [ImportanceWeightedScorer(), CircularValidationScorer()])
def test_pipelines_within_are_searched_without_requests(scoring):
    inner = make_pipeline(StandardScaler(), LogisticRegression())
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            TransferClassifier(inner, KernelMeanMatching(gamma=0.5)),
            {"estimator__logisticregression__C": [1e-3, 1.0]},
            scoring=scoring,
            cv=DomainKFold(3),
        ).fit(X, LABELS, sample_domain=DOMAIN, groups=DOMAIN)
    assert np.all(np.isfinite(search.cv_results_["mean_test_score"]))


# --------------------------------------------------------------------------------------
# domains and labels

DOMAINS_WITHOUT_SIGN = {
    "booleans": DOMAIN > 0,
    "booleans as objects": (DOMAIN > 0).astype(object),
    "words": np.where(DOMAIN > 0, "source", "target"),
    "words as objects": np.where(DOMAIN > 0, "source", "target").astype(object),
    "digits": DOMAIN.astype(str),
    "digits as objects": DOMAIN.astype(str).astype(object),
    "list of booleans": (DOMAIN > 0).tolist(),
    "list of digits": DOMAIN.astype(str).tolist(),
}


@pytest.mark.parametrize("form", DOMAINS_WITHOUT_SIGN)
def test_domains_without_a_sign(form):
    """By estimators and by the picture alike."""
    domain = DOMAINS_WITHOUT_SIGN[form]
    with pytest.raises(TypeError, match="sample_domain"):
        fit(TransferClassifier(), domain=domain)
    model = clone(MATCHING).fit(X, sample_domain=DOMAIN)
    with pytest.raises(TypeError, match="sample_domain"):
        DomainDisplay.from_estimator(model, X, domain)


@pytest.mark.parametrize(
    "domain", [DOMAIN[:, None], DOMAIN.astype(object), DOMAIN.tolist(), DOMAIN.astype(np.int8)]
)
def test_the_picture_reads_domains_as_estimators_do(domain):
    model = clone(MATCHING).fit(X, sample_domain=domain)
    display = DomainDisplay.from_estimator(model, X, domain)
    assert display.source_before.shape == (N_SOURCE, 2)
    assert display.target_before.shape == (N_TARGET, 2)
    np.testing.assert_allclose(display.weights, WEIGHTS, atol=1e-5)


def test_the_picture_refuses_what_estimators_refuse():
    model = clone(MATCHING).fit(X, sample_domain=DOMAIN)
    for domain in (DOMAIN[:-1], np.ones(N), -np.ones(N), np.where(DOMAIN > 0, 1, np.nan)):
        with pytest.raises(ValueError, match="sample_domain"):
            DomainDisplay.from_estimator(model, X, domain)


def test_the_picture_finds_weights_of_a_pipeline():
    reweighter = make_pipeline(StandardScaler(), MATCHING)
    model = fit(TransferClassifier(SVC(), reweighter))
    scaled = StandardScaler().fit_transform(X)
    expected = kmm_weights(scaled[:N_SOURCE], scaled[N_SOURCE:], gamma=0.5, tol=1e-10)
    display = DomainDisplay.from_estimator(model, X, DOMAIN)
    np.testing.assert_allclose(display.weights, expected, atol=1e-5)
    display = DomainDisplay.from_estimator(model.reweighter_, X, DOMAIN)
    np.testing.assert_allclose(display.weights, expected, atol=1e-5)


@pytest.mark.parametrize("alpha", [0.01, 0.0])
def test_the_picture_finds_weights_of_a_pipeline_without_a_weight_function(alpha):
    reweighter = make_pipeline(StandardScaler(), KernelMeanMatching(gamma=0.5, alpha=alpha))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = fit(TransferRegressor(reweighter=reweighter))
    display = DomainDisplay.from_estimator(model, X, DOMAIN)
    np.testing.assert_allclose(display.weights, model.weights_, atol=1e-4)


def test_the_picture_finds_weights_of_a_search():
    with sklearn.config_context(enable_metadata_routing=True):
        search = GridSearchCV(MATCHING, {"alpha": [0.01, 0.1]}, cv=DomainKFold(3))
        search.fit(X, sample_domain=DOMAIN, groups=DOMAIN)
    expected = kmm_weights(Xs, Xt, gamma=0.5, tol=1e-10, **search.best_params_)
    display = DomainDisplay.from_estimator(search, X, DOMAIN)
    np.testing.assert_allclose(display.weights, expected, atol=1e-5)


def test_integers_as_objects_are_stacked():
    labels = np.array([0, 1, 2, 1, 0, 2] * 10, dtype=object)
    _, y, domain = stack_domains(Xs, labels, Xt)
    assert y.tolist() == [0, 1, 2, 1, 0, 2] * 10 + [0, 1, 2] * 15
    assert fit(TransferClassifier(), y=y, domain=domain).classes_.tolist() == [0, 1, 2]
    _, y, _ = stack_domains(Xs, labels, Xt, labels[:N_TARGET])
    assert y.tolist() == labels.tolist() + labels[:N_TARGET].tolist()
    _, y, _ = stack_domains(Xs, VALUES[:N_SOURCE].astype(object), Xt)
    np.testing.assert_allclose(y[N_SOURCE:].astype(float), VALUES[:N_SOURCE].mean())


@pytest.mark.parametrize("dtype", [str, object])
@pytest.mark.parametrize("Estimator", [TransferRegressor, MMDRegularizedRegressor])
def test_values_that_are_words(Estimator, dtype):
    words = np.array(["a", "b"], dtype=dtype)[np.arange(N) % 2]
    with pytest.raises(ValueError, match="number"):
        fit(Estimator(), y=words)


@pytest.mark.parametrize(
    "scorer", [ImportanceWeightedScorer(), CircularValidationScorer()], ids=str
)
@pytest.mark.parametrize("length", [N - 1, N_SOURCE, 10, N + 1])
def test_scores_of_labels_of_the_wrong_length(scorer, length):
    model = fit(TransferClassifier())
    with pytest.raises(ValueError, match=rf"(?s){length}.*{N}|{N}.*{length}"):
        scorer(model, X, np.resize(LABELS, length), sample_domain=DOMAIN)
