"""Densities where they could go wrong unseen: domains, outliers, few rows, extreme numbers."""

import warnings

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from sklearn.base import BaseEstimator, clone
from sklearn.mixture import GaussianMixture as SklearnMixture
from sklearn.model_selection import GridSearchCV, KFold, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmmd.density import (
    ScoreMatchingDensity,
    ScoreMatchingEstimator,
    ScoreMatchingGaussian,
    neg_score_matching_loss_scorer,
    score_matching_loss,
)
from skmmd.inspection import DensityDisplay
from skmmd.mixture import GaussianMixture

GIVEN = {"base": "gaussian", "loss": "explicit", "random_state": 0}
FIXED = {**GIVEN, "bandwidth": 1.0, "alpha": 1e-3}
FREE = {"selection": "score_matching", "n_normalizer_samples": 0}

any_warning = pytest.mark.filterwarnings("ignore::UserWarning")


def two_blobs(n=120, d=2, seed=0):
    X = np.random.default_rng(seed).normal(size=(n, d))
    X[: n // 2] += 4.0
    return X


def exponential(n, seed=0):
    return np.random.default_rng(seed).exponential(size=(n, 1))


def standard(X):
    return stats.norm.logpdf(X).sum(axis=1)


class Columnwise(BaseEstimator):
    """Independent columns of one law of scipy's, whose log density has a constant slope."""

    def __init__(self, law=None, slope=None):
        self.law = law
        self.slope = slope

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def score_samples(self, X):
        return self.law.logpdf(X).sum(axis=1)

    def score_function(self, X):
        return self.slope(X)

    def sample(self, n_samples=1, random_state=None):
        size = (n_samples, self.n_features_in_)
        return self.law.rvs(size=size, random_state=np.random.default_rng(random_state))


# --------------------------------------------------------------------------------------
# domains


@pytest.mark.parametrize(
    "base",
    [
        SklearnMixture(2, random_state=0),
        GaussianMixture(2, random_state=0),
        Columnwise(stats.norm(), lambda X: -X),
    ],
    ids=["scikit-learn's mixture", "mixture", "draws that leave it"],
)
@pytest.mark.parametrize("parameters", [{}, {"bandwidth": 1.0, "alpha": 1e-3, "loss": "explicit"}])
def test_a_base_stays_on_the_domain(base, parameters):
    model = ScoreMatchingDensity(domain="nonnegative", base=base, random_state=0, **parameters)
    with pytest.raises(ValueError, match="mass outside of the domain"):
        model.fit(exponential(100))


@any_warning
def test_a_base_on_the_domain_is_normalised_there():
    base = Columnwise(stats.expon(scale=1.2), lambda X: np.full(X.shape, -1 / 1.2))
    model = ScoreMatchingDensity(
        domain="nonnegative", base=base, bandwidth=1.0, alpha=0.1, loss="explicit", random_state=0
    ).fit(exponential(300))
    mass, _ = quad(lambda x: np.exp(model.score_samples([[x]])[0]), 0.0, 60.0, limit=200)
    assert mass == pytest.approx(1.0, abs=0.01)
    assert model.sample(500, random_state=0).min() >= 0.0


def weighted_loss(model, X, scales, low, high):
    """The generalised loss, value by value."""
    score, hessian = model.score_function(X), model.hessian(X)
    total = 0.0
    for i, j in np.ndindex(*X.shape):
        below, above = (X[i, j] - low[j]) / scales[j], (high[j] - X[i, j]) / scales[j]
        h = min(below, above, 1.0)
        slope = 0.0 if h == 1.0 else (1.0 if below <= above else -1.0)
        s = score[i, j] * scales[j]
        total += h * (0.5 * s**2 + hessian[i, j, j] * scales[j] ** 2) + slope * s
    return total / len(X)


@any_warning
@pytest.mark.parametrize(
    "sides", [([0.0, 0.0], [np.inf, np.inf]), ([0.0, -np.inf], [9.0, 30.0])], ids=str
)
@pytest.mark.parametrize(
    "model", [ScoreMatchingDensity(**FIXED), ScoreMatchingGaussian()], ids=["kernels", "gaussian"]
)
def test_the_loss_on_a_domain_is_weighted(model, sides):
    """Rows of the fit have standard deviations of 1 and 10; held-out rows may have others."""
    rng = np.random.default_rng(0)
    X = np.minimum(rng.exponential(size=(200, 2)) * [1.0, 5.0], 8.5)
    Y = np.minimum(rng.exponential(size=(50, 2)) * [2.0, 4.0], 8.5)
    fitted = clone(model).set_params(domain=sides).fit(X)
    expected = weighted_loss(fitted, Y, X.std(axis=0), *sides)
    assert fitted.score_matching_loss(Y) == pytest.approx(expected, rel=1e-9)
    assert neg_score_matching_loss_scorer(fitted, Y) == pytest.approx(-expected, rel=1e-9)


@any_warning
@pytest.mark.parametrize("scoring", [None, neg_score_matching_loss_scorer], ids=["score", "scorer"])
def test_the_search_on_a_domain_finds_no_bad_penalty(scoring):
    X, alphas = exponential(400), [1e-3, 0.1, 1000.0]
    model = ScoreMatchingDensity(
        domain="nonnegative", base="gaussian", bandwidth=1.0, loss="explicit", random_state=0
    )
    held_out = [model.set_params(alpha=a).fit(X[:200]).score(X[200:]) for a in alphas]
    assert np.argmin(held_out) == 0  # by likelihood
    model.set_params(**FREE)
    losses = [model.set_params(alpha=a).fit(X[:200]).score(X[200:]) for a in alphas]
    assert np.argmin(losses) == 0
    search = GridSearchCV(model, {"alpha": alphas}, scoring=scoring, error_score="raise").fit(X)
    assert search.best_params_["alpha"] > 1e-3


@any_warning
@pytest.mark.parametrize(
    "parameters",
    [FIXED, {"base": "gaussian", "random_state": 0, "cv": 3}],
    ids=["closed", "chosen"],
)
def test_constant_columns_on_a_side_of_the_domain(parameters):
    X = np.column_stack([np.abs(two_blobs(80)), np.zeros(80)])
    model = ScoreMatchingDensity(domain="nonnegative", **parameters).fit(X)
    drawn = model.sample(50, random_state=0)
    assert drawn.min() >= 0.0
    assert np.isfinite(model.score_samples(drawn)).all()


@any_warning
@pytest.mark.parametrize(
    "model", [ScoreMatchingDensity(**FIXED), ScoreMatchingGaussian()], ids=["kernels", "gaussian"]
)
def test_outside_of_the_domain(model):
    X = 3.0 + np.random.default_rng(0).uniform(size=(60, 2))
    fitted = clone(model).set_params(domain=(3.0, 4.0)).fit(X)
    assert fitted.score_samples([[5.0, 3.5]])[0] == -np.inf
    for method in (fitted.score_function, fitted.hessian, fitted.score_matching_loss, fitted.fit):
        with pytest.raises(ValueError, match="outside of") as error:
            method([[5.0, 3.5], [3.5, 3.5]])
        assert "Negative" not in str(error.value)
        with pytest.raises(ValueError, match="Negative values in data"):
            method([[-5.0, 3.5], [3.5, 3.5]])


@any_warning
@pytest.mark.parametrize("domain", ["nonnegative", (0.5, 2.5)], ids=str)
@pytest.mark.parametrize(
    "model", [ScoreMatchingDensity(**FIXED), ScoreMatchingGaussian()], ids=["kernels", "gaussian"]
)
def test_displays_on_a_domain(model, domain):
    """The grid reaches beyond the rows, and so out of the domain."""
    X = np.random.default_rng(0).uniform(0.5, 2.5, size=(60, 2))
    low, high = (0.0, np.inf) if domain == "nonnegative" else domain
    fitted = clone(model).set_params(domain=domain).fit(X)
    limits = {"limits": ((-1.0, 4.0), (-1.0, 4.0))}
    shown = DensityDisplay.from_estimator(fitted, X, kind="density", grid_resolution=6, **limits)
    inside = [(low <= side) & (side <= high) for side in shown.grid]
    np.testing.assert_array_equal(np.isfinite(shown.log_density), np.outer(*reversed(inside)))
    arrows = DensityDisplay.from_estimator(fitted, X, kind="score", grid_resolution=6, **limits)
    inside = [(low <= side) & (side <= high) for side in arrows.score_grid]
    expected = np.outer(*reversed(inside))
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(np.isfinite(arrows.score).all(axis=2), expected)
    for i, j in np.argwhere(expected)[::7]:
        point = [[arrows.score_grid[0][j], arrows.score_grid[1][i]]]
        np.testing.assert_allclose(arrows.score[i, j], fitted.score_function(point)[0], rtol=1e-9)


@any_warning
@pytest.mark.parametrize(
    "model", [ScoreMatchingDensity(**FIXED), ScoreMatchingGaussian()], ids=["kernels", "gaussian"]
)
def test_displays_of_one_column_on_a_domain(model):
    X = exponential(80)
    fitted = clone(model).set_params(domain="nonnegative").fit(X)
    shown = DensityDisplay.from_estimator(fitted, X, kind="score", limits=((-1.0, 3.0),))
    assert np.array_equal(np.isfinite(shown.score), shown.score_grid[0] >= 0.0)


# --------------------------------------------------------------------------------------
# what is selected


@any_warning
@pytest.mark.parametrize(
    ("kernel", "parameters"),
    [
        ("rbf", {}),
        ("imq", {}),
        ("rbf", {"base": "gmm"}),
        ("imq", {"selection": "score_matching"}),
        ("rbf", {"base": "gmm", "bandwidth": 1.0}),
    ],
    ids=["default", "imq", "gmm", "score matching", "bandwidth"],
)
def test_the_denoising_loss_of_mixtures(kernel, parameters):
    X, fresh = two_blobs(400), two_blobs(2000, seed=1)
    model = ScoreMatchingDensity(
        kernel, loss="denoising", random_state=0, cv=3, n_components=50, **parameters
    ).fit(X)
    truth = np.logaddexp(standard(fresh), standard(fresh - 4.0)) - np.log(2)
    one_gaussian = (truth - ScoreMatchingGaussian().fit(X).score_samples(fresh)).mean()
    assert (truth - model.score_samples(fresh)).mean() < one_gaussian / 3
    assert model.base_.name.startswith("gmm")


@pytest.mark.parametrize("cv", [None, KFold(3), KFold(5), TimeSeriesSplit(4)], ids=str)
def test_splitters_see_shuffled_rows(cv):
    """Slices of sorted rows would have f = 0 win: each is far from all the others."""
    X = np.random.default_rng(0).normal(size=(120, 2))
    X[:60] += 3.0
    X = X[np.argsort(X[:, 0])]
    model = ScoreMatchingDensity(bandwidth=1.0, cv=cv, **GIVEN).fit(X)
    assert model.coef_.any()


def test_no_splitter_is_five_folds():
    X = two_blobs()
    none, five = (ScoreMatchingDensity(bandwidth=1.0, cv=cv, **GIVEN).fit(X) for cv in (None, 5))
    assert none.alpha_ == five.alpha_
    assert np.array_equal(none.coef_, five.coef_)


@pytest.mark.parametrize("n_draws", [0, 1000])
def test_no_refinement_without_a_likelihood(n_draws):
    model = ScoreMatchingDensity(
        refine=True, selection="score_matching", n_normalizer_samples=n_draws
    )
    with pytest.raises(ValueError, match=r"refine=True.*selection"):
        model.fit(two_blobs(40))


@any_warning
def test_one_outlier_does_not_ruin_the_others():
    X = np.random.default_rng(0).normal(size=(300, 2))
    fresh = np.random.default_rng(1).normal(size=(20_000, 2))
    model = ScoreMatchingDensity(random_state=0).fit(np.vstack([X, [30.0, 30.0]]))
    assert (standard(fresh) - model.score_samples(fresh)).mean() < 0.15


@pytest.mark.parametrize("far", [1e4, 1e6])
def test_outliers_are_named(far):
    X = np.random.default_rng(0).normal(size=(300, 2))
    with pytest.warns(UserWarning) as record:  # noqa: PT030  which one is asked below
        ScoreMatchingDensity(random_state=0, cv=3).fit(np.vstack([X, [far, far]]))
    assert any("outlier" in str(each.message) for each in record)


@pytest.mark.filterwarnings("ignore:ScoreMatchingDensity. on held-out rows:UserWarning")
def test_no_outliers_are_named_where_none_are():
    X = np.random.default_rng(0).standard_t(3, size=(150, 2))
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        ScoreMatchingDensity(random_state=0, cv=3).fit(X)
    assert not [each for each in record if "outlier" in str(each.message)]


@any_warning
@pytest.mark.parametrize("n", [5, 10, 20, 200])
def test_no_function_without_evidence(n):
    """Rows of a Gaussian have f = 0; where chance gives them another, it costs next to nothing."""
    excess, plain = [], 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X, fresh = rng.normal(size=(n, 2)), rng.normal(size=(5000, 2))
        model = ScoreMatchingDensity(random_state=0).fit(X)
        plain += not model.coef_.any()
        gaussian = ScoreMatchingGaussian().fit(X).score_samples(fresh)
        excess.append((gaussian - model.score_samples(fresh)).mean())
    assert plain >= 4
    if n == 200:
        assert np.mean(excess) < 0.01


def test_further_rows_after_no_function_were_chosen():
    X = np.random.default_rng(0).normal(size=(50, 2))
    model = ScoreMatchingDensity(base="gaussian", random_state=0)
    with pytest.warns(UserWarning, match="on held-out rows the base measure alone"):
        model.partial_fit(X)
    before = model.score_samples(X)
    assert not model.coef_.any()
    with pytest.warns(UserWarning, match=r"f = 0.*further rows do not change"):
        model.partial_fit(two_blobs())
    np.testing.assert_array_equal(model.score_samples(X), before)


@pytest.mark.parametrize(
    "parameters",
    [{"bandwidth": 0.5, "alpha": 1e-6, "centers": [[100.0]]}, {"bandwidth": 1e70, "alpha": 1.0}],
    ids=["far centers", "wide"],
)
def test_a_closed_fit_holds_nothing_out(parameters):
    X = np.random.default_rng(0).normal(size=(200, 1))
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        ScoreMatchingDensity(**GIVEN, **parameters).fit(X)
    assert not [each for each in record if "held-out" in str(each.message)]


# --------------------------------------------------------------------------------------
# extreme numbers


@pytest.mark.parametrize("n_draws", [1, 10, 99])
def test_too_few_draws(n_draws):
    with pytest.raises(ValueError, match="n_normalizer_samples"):
        ScoreMatchingDensity(n_normalizer_samples=n_draws).fit(two_blobs(40))


@pytest.mark.parametrize(
    ("parameters", "unit", "message"),
    [
        ({}, 3e307, "range of float64|overflow"),
        (GIVEN, 3e307, "range of float64|overflow"),
        ({**FIXED, "bandwidth": 1e-300}, 1.0, "bandwidth"),
        ({**FIXED, "bandwidth": 1e300}, 1.0, "bandwidth"),
        ({**FIXED, "centers": [[1e300, 1e300]]}, 1.0, "centers"),
    ],
    ids=["values", "values, gaussian", "short bandwidth", "long bandwidth", "centers"],
)
def test_numbers_out_of_range(parameters, unit, message):
    """Clear errors; a RuntimeWarning of an overflow would be an error of another type."""
    with pytest.raises(ValueError, match=message):
        ScoreMatchingDensity(**parameters).fit((two_blobs(60) - 2.0) * [1.0, unit])


@any_warning
@pytest.mark.parametrize("exponent", [-500, 660])
@pytest.mark.parametrize("one_column", [False, True], ids=["all columns", "one column"])
@pytest.mark.parametrize(
    "parameters",
    [
        {**FIXED, "n_components": 20},
        {**FIXED, "n_components": 20, "domain": (-7.0, np.inf)},
        {"random_state": 0, "cv": 3, "n_components": 20},
    ],
    ids=["closed", "domain", "default"],
)
def test_the_scale_of_the_rows_does_not_matter(parameters, one_column, exponent):
    """In units of a power of two nothing is rounded; 2^-500 is 3e-151, 2^660 is 5e198.

    Columns on very different scales have coordinates of their own: compared are two such.
    """
    X = two_blobs(100)
    unit = np.array([1.0 if one_column else 2.0**exponent, 2.0**exponent])
    near = np.array([1.0, 2.0 ** (30 * np.sign(exponent))]) if one_column else np.ones(2)

    def log_densities(scale):
        model = ScoreMatchingDensity(**parameters)
        if "domain" in parameters:
            model.set_params(domain=tuple(side * scale for side in parameters["domain"]))
        return model.fit(X * scale).score_samples(X * scale) + np.log(scale).sum()

    found, expected = log_densities(unit), log_densities(near)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@any_warning
@pytest.mark.parametrize("parameters", [FIXED, {"base": "gaussian", "cv": 3, "random_state": 0}])
def test_tiny_weights_are_equal_weights(parameters):
    X = two_blobs(80)
    expected = ScoreMatchingDensity(**parameters).fit(X).score_samples(X)
    model = ScoreMatchingDensity(**parameters).fit(X, sample_weight=np.full(80, 1e-300))
    np.testing.assert_allclose(model.score_samples(X), expected, rtol=1e-6, atol=1e-6)


# --------------------------------------------------------------------------------------
# functions of the user's


def writing(function):
    """Return a function of the same values that first spoils what it was given."""

    def spoiling(*given):
        kept = [array.copy() for array in given]
        for array in given:
            array *= -3.0
        return function(*kept)

    return spoiling


def slope(X, theta):
    return -(X - theta[0]) / theta[1] ** 2


def slope_trace(X, theta):
    return np.full(len(X), -X.shape[1] / theta[1] ** 2)


def powers(X):
    return np.hstack([X**2, X**4])


def powers_jacobian(X):
    d = X.shape[1]
    out = np.zeros((len(X), 2 * d, d))
    out[:, range(d), range(d)] = 2 * X
    out[:, range(d, 2 * d), range(d)] = 4 * X**3
    return out


def powers_laplacian(X):
    return np.hstack([np.full(X.shape, 2.0), 12 * X**2])


@pytest.mark.parametrize("loss", ["explicit", "sliced", "denoising"])
@pytest.mark.parametrize("trace", [None, lambda X: 3.0 * X[:, 0] ** 2 - 1.0])
def test_losses_of_functions_that_write(loss, trace):
    X = two_blobs(40)
    kept, options = X.copy(), {"loss": loss, "random_state": 0}
    expected = score_matching_loss(lambda Z: -np.tanh(Z), X, jacobian_trace=trace, **options)
    spoiling = None if trace is None else writing(trace)
    score = writing(lambda Z: -np.tanh(Z))
    assert score_matching_loss(score, X, jacobian_trace=spoiling, **options) == expected
    np.testing.assert_array_equal(X, kept)


@pytest.mark.parametrize(
    "functions",
    [
        {"score_func": slope},
        {"score_func": slope, "jacobian_trace": slope_trace},
        {"statistics": powers},
        {"statistics": powers, "statistics_jacobian": powers_jacobian},
        {
            "statistics": powers,
            "statistics_jacobian": powers_jacobian,
            "statistics_laplacian": powers_laplacian,
        },
    ],
    ids=lambda functions: ", ".join(functions),
)
def test_models_of_functions_that_write(functions):
    X = two_blobs(40)
    kept = X.copy()
    options = {"theta0": (1.0, 2.0)} if "score_func" in functions else {}
    model = ScoreMatchingEstimator(**functions, **options).fit(X)
    spoiling = {name: writing(function) for name, function in functions.items()}
    other = ScoreMatchingEstimator(**spoiling, **options).fit(X)
    np.testing.assert_array_equal(other.theta_, model.theta_)
    np.testing.assert_array_equal(other.score_function(X), model.score_function(X))
    np.testing.assert_array_equal(other.theta_, model.theta_)
    assert other.score_matching_loss(X) == model.score_matching_loss(X)
    np.testing.assert_array_equal(X, kept)


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ({"statistics": lambda X: X[:, :0]}, "one statistic at least"),
        (
            {"statistics": powers, "statistics_jacobian": lambda X: powers_jacobian(X)[:, :0]},
            "one statistic at least",
        ),
        (
            {"statistics": powers, "statistics_jacobian": lambda X: powers_jacobian(X)[:, :3]},
            "values: 4, Jacobian: 3",
        ),
        (
            {"statistics": powers, "statistics_laplacian": lambda X: powers_laplacian(X)[:, :3]},
            "Laplacian: 3",
        ),
        (
            {
                "statistics": lambda X: X**2,
                "statistics_jacobian": powers_jacobian,
                "statistics_laplacian": powers_laplacian,
            },
            "values: 2, Jacobian: 4, Laplacian: 4",
        ),
    ],
    ids=["none", "no Jacobian", "Jacobian", "Laplacian", "values"],
)
@pytest.mark.parametrize("loss", ["explicit", "sliced", "denoising"])
def test_statistics_and_derivatives_are_as_many(functions, message, loss):
    with pytest.raises(ValueError, match=message):
        ScoreMatchingEstimator(**functions, loss=loss, random_state=0).fit(two_blobs(30))


# --------------------------------------------------------------------------------------
# pipelines and weights


def test_the_loss_of_a_pipeline():
    X = two_blobs() * [1.0, 100.0]
    pipeline = make_pipeline(StandardScaler(), ScoreMatchingGaussian()).fit(X)
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    K = np.linalg.inv(np.cov(Z.T, ddof=0))
    expected = 0.5 * ((Z @ K) ** 2).sum(axis=1).mean() - np.trace(K)
    assert score_matching_loss(pipeline, X) == pytest.approx(expected, rel=1e-9)
    assert score_matching_loss(make_pipeline(pipeline), X) == pytest.approx(expected, rel=1e-9)
    grid = {"scorematchinggaussian__alpha": [0.0]}
    search = GridSearchCV(pipeline, grid, scoring=neg_score_matching_loss_scorer).fit(X)
    assert score_matching_loss(search, X) == pytest.approx(expected, rel=1e-9)
    with pytest.raises(TypeError, match="score_function"):
        score_matching_loss(make_pipeline(StandardScaler()).fit(X), X)


@any_warning
@pytest.mark.parametrize(
    "model",
    [
        ScoreMatchingDensity(**FIXED),
        ScoreMatchingDensity(domain=(-9.0, 9.0), **FIXED),
        ScoreMatchingGaussian(),
        ScoreMatchingGaussian(domain=(-9.0, 9.0)),
        ScoreMatchingEstimator(),
        ScoreMatchingEstimator(slope, theta0=(0.0, 1.0), max_iter=30, tol=1e-4),
        make_pipeline(StandardScaler(), ScoreMatchingGaussian()),
        Columnwise(stats.norm(), lambda X: -X),
    ],
    ids=[
        "kernels",
        "kernels on a domain",
        "gaussian",
        "gaussian on a domain",
        "quadratic",
        "score_func",
        "pipeline",
        "the user's",
    ],
)
def test_weights_of_the_scorer_are_copies(model):
    X, Y = two_blobs(60), two_blobs(30, seed=1)
    counts = np.random.default_rng(0).integers(0, 4, size=len(Y))
    fitted = clone(model).fit(X)
    expected = neg_score_matching_loss_scorer(fitted, np.repeat(Y, counts, axis=0))
    found = neg_score_matching_loss_scorer(fitted, Y, sample_weight=0.5 * counts)
    assert found == pytest.approx(expected, rel=1e-6)
    plain = neg_score_matching_loss_scorer(fitted, Y)
    assert plain != pytest.approx(expected, rel=1e-6)
    with pytest.raises(ValueError, match="sample_weight"):
        neg_score_matching_loss_scorer(fitted, Y, sample_weight=-counts)
