"""Models of one's own: exponential families in closed form, score functions by minimisation."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize, root
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator

from skmmd.density._gaussian import ScoreMatchingGaussian
from skmmd.density._losses import score_matching_loss
from skmmd.density._model import ScoreMatchingEstimator

LOSSES = ("explicit", "sliced", "denoising")
dependent = pytest.mark.filterwarnings("ignore:.*are linearly dependent:UserWarning")


def quadratic(X):
    row, column = np.triu_indices(X.shape[1])
    return np.hstack([X, X[:, row] * X[:, column]])


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


class Powers:
    """Statistics that know their derivatives."""

    def __call__(self, X):
        raise AssertionError("not needed")

    jacobian = staticmethod(powers_jacobian)
    laplacian = staticmethod(powers_laplacian)


def location_scale(X, theta):
    return -(X - theta[0]) / theta[1] ** 2


def location_scale_trace(X, theta):
    return np.full(len(X), -X.shape[1] / theta[1] ** 2)


def logistic(X, theta):
    return -np.tanh((X - theta[0]) / (2 * theta[1])) / theta[1]


# Named: what functions print as differs from process to process.
INSTANCES = {
    "gaussian": ScoreMatchingEstimator(),
    "gaussian, sliced": ScoreMatchingEstimator(loss="sliced"),
    "gaussian, denoising": ScoreMatchingEstimator(loss="denoising", n_slices=2),
    "powers": ScoreMatchingEstimator(statistics=powers),
    "powers, sliced": ScoreMatchingEstimator(
        statistics=powers, statistics_jacobian=powers_jacobian, loss="sliced"
    ),
    "location and scale": ScoreMatchingEstimator(
        location_scale, theta0=(0.0, 1.0), max_iter=30, tol=1e-4
    ),
}


@dependent
@pytest.mark.parametrize("model", INSTANCES.values(), ids=INSTANCES.keys())
def test_check_estimator(model):
    results = check_estimator(clone(model), on_fail=None, on_skip=None)
    trouble = [(r["check_name"], repr(r["exception"])) for r in results if r["status"] == "failed"]
    assert not trouble
    assert len(results) >= 44
    names = {r["check_name"] for r in results if r["status"] == "passed"}
    assert "check_sample_weight_equivalence_on_dense_data" in names


@pytest.fixture
def X(rng):
    return rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3)) + [1.0, -2.0, 0.5]


# --------------------------------------------------------------------------------------
# neither: the Gaussian


@pytest.mark.parametrize("shift", [0.0, 1e8])
def test_the_default_is_the_gaussian(X, shift):
    X = np.round(X * 64) / 64 + shift
    model, gaussian = ScoreMatchingEstimator().fit(X), ScoreMatchingGaussian().fit(X)
    assert_allclose(model.score_function(X), gaussian.score_function(X), rtol=1e-10, atol=1e-10)
    assert_allclose(model.score_matching_loss(X), gaussian.score_matching_loss(X), rtol=1e-10)
    assert_allclose(model.loss_, -np.trace(gaussian.precision_) / 2, rtol=1e-10)
    assert model.score(X) == -model.score_matching_loss(X)
    K = gaussian.precision_
    row, column = np.triu_indices(3)
    assert_allclose(model.theta_[:3], K @ gaussian.location_, rtol=1e-10)
    assert_allclose(model.theta_[3:], np.where(row == column, -0.5, -1) * K[row, column], rtol=1e-9)
    assert model.n_iter_ == 1
    assert model.converged_


@pytest.mark.parametrize("loss", LOSSES)
def test_the_default_is_like_its_statistics(X, loss):
    """Moments in closed form and the general system, its derivatives by differences."""
    options = {"loss": loss, "random_state": 0, "n_slices": 3}
    model = ScoreMatchingEstimator(**options).fit(X)
    family = ScoreMatchingEstimator(statistics=quadratic, **options).fit(X)
    assert_allclose(family.theta_, model.theta_, rtol=1e-8, atol=1e-9)
    assert_allclose(family.loss_, model.loss_, rtol=1e-8)


@pytest.mark.parametrize("units", [(1.0, 1.0, 1.0), (0.1, 1.0, 10.0)])
@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_differences_of_statistics(X, units, shift):
    """Steps follow the columns; the statistics of uncentred rows are large."""
    Y = (X + shift) * units
    family = ScoreMatchingEstimator(statistics=quadratic).fit(Y)
    expected = ScoreMatchingGaussian().fit(Y).score_function(Y)
    assert_allclose(family.score_function(Y) * units, expected * units, atol=1e-4)


def test_sliced_and_denoising_tend_to_explicit(X):
    explicit = ScoreMatchingEstimator().fit(X)
    options = {"n_slices": 400, "random_state": 0}
    sliced = ScoreMatchingEstimator(loss="sliced", **options).fit(X)
    # 80,000 directions: entries of the mean of vv' have a standard error of 0.0035.
    difference = sliced.score_function(X) - explicit.score_function(X)
    assert 0 < np.linalg.norm(difference) < 0.03 * np.linalg.norm(explicit.score_function(X))
    denoised = ScoreMatchingEstimator(loss="denoising", noise_scale=0.2, **options).fit(X)
    noisy = np.cov(X.T, ddof=0) + np.diag((0.2 * X.std(axis=0)) ** 2)
    expected = (X.mean(axis=0) - X) @ np.linalg.inv(noisy)
    assert np.linalg.norm(denoised.score_function(X) - expected) < 0.03 * np.linalg.norm(expected)


def test_a_singular_covariance(rng):
    X = rng.normal(size=(40, 2))
    X = np.column_stack([X, X[:, 0] - X[:, 1], rng.normal(size=40), np.ones(40)])
    with pytest.warns(UserWarning, match=r"columns \[0, 1, 2, 4\] are linearly dependent"):
        model = ScoreMatchingEstimator().fit(X)
    scale = np.where(np.arange(5) < 4, X.std(axis=0), 1.0)
    Z = (X - X.mean(axis=0)) / scale
    expected = -(X - X.mean(axis=0)) / scale @ np.linalg.pinv(Z.T @ Z / 40, rcond=1e-10) / scale
    assert_allclose(model.score_function(X), expected, atol=1e-9)


# --------------------------------------------------------------------------------------
# statistics


def test_closed_form_against_loops(rng):
    X = rng.normal(size=(60, 2))
    weight = rng.random(60)
    G, h = np.zeros((4, 4)), np.zeros(4)
    for x, w in zip(X, weight / weight.sum(), strict=True):
        D = powers_jacobian(x[None])[0]
        G += w * D @ D.T
        h += w * powers_laplacian(x[None])[0]
    expected = -np.linalg.solve(G, h)
    for options in (
        {"statistics": powers},
        {"statistics": powers, "statistics_jacobian": powers_jacobian},
        {"statistics": powers, "statistics_laplacian": powers_laplacian},
        {"statistics": Powers()},
    ):
        model = ScoreMatchingEstimator(**options).fit(X, sample_weight=weight)
        assert_allclose(model.theta_, expected, rtol=1e-7)
        assert_allclose(model.loss_, 0.5 * h @ expected, rtol=1e-7)
        score = powers_jacobian(X).transpose(0, 2, 1) @ expected
        assert_allclose(model.score_function(X), score, rtol=1e-6, atol=1e-7)
        loss = score_matching_loss(model.score_function, X)
        assert_allclose(model.score_matching_loss(X), loss, rtol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_closed_form_is_the_minimum_of_the_loss(rng, loss):
    """Of the same rows, the same draws: found by a search that knows nothing of the form."""
    X = np.unique(rng.normal(size=(80, 1)), axis=0)
    options = {"loss": loss, "n_slices": 2, "random_state": 3}
    family = ScoreMatchingEstimator(statistics=Powers(), **options).fit(X)

    def score(X, theta):
        return 2 * theta[0] * X + 4 * theta[1] * X**3

    searched = ScoreMatchingEstimator(score, theta0=[-1.0, -0.1], **options).fit(X)
    assert_allclose(searched.theta_, family.theta_, rtol=1e-4)
    assert_allclose(searched.loss_, family.loss_, rtol=1e-7)
    outside = minimize(
        lambda theta: score_matching_loss(lambda X: score(X, theta), X, **options), [-1.0, -0.1]
    )
    assert_allclose(outside.fun, family.loss_, rtol=1e-7)
    assert_allclose(outside.x, family.theta_, rtol=1e-3)


def test_blocks_of_rows(rng, monkeypatch):
    X = rng.normal(size=(100, 2))
    for loss in LOSSES:
        model = ScoreMatchingEstimator(statistics=Powers(), loss=loss, random_state=0)
        whole = model.fit(X).theta_
        with monkeypatch.context() as patch:
            patch.setattr("skmmd.density._model._BLOCK", 60)
            assert_allclose(clone(model).fit(X).theta_, whole, rtol=1e-10)


def test_dependent_statistics(rng):
    X = rng.normal(size=(50, 1))

    def statistics(X):
        return np.hstack([X, X**2, 3 * X**2 + 1, np.ones_like(X)])

    with pytest.warns(UserWarning, match=r"statistics \[1, 2, 3\] are linearly dependent"):
        model = ScoreMatchingEstimator(statistics=statistics).fit(X)
    expected = ScoreMatchingGaussian().fit(X).score_function(X)
    assert_allclose(model.score_function(X), expected, atol=1e-6)
    # In units of the gradients both squares weigh the same; the constant not at all.
    assert_allclose(model.theta_[1], 3 * model.theta_[2], rtol=1e-6)
    assert model.theta_[3] == 0


def test_parameters_are_recovered(rng):
    """p ~ exp(-x^4): by rejection from a Gaussian."""
    draws = rng.normal(size=400_000)
    keep = rng.random(400_000) < np.exp(0.5 * draws**2 - draws**4 - 0.0625)
    X = draws[keep][:50_000, None]
    theta = ScoreMatchingEstimator(statistics=powers).fit(X).theta_
    assert_allclose(theta, [0, -1], atol=0.05)


# --------------------------------------------------------------------------------------
# score functions


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("start", [(0.0, 1.0), (-5.0, 40.0)])
def test_location_and_scale(rng, loss, start):
    X = np.unique(3.0 + 2.0 * rng.normal(size=(150, 1)), axis=0)
    model = ScoreMatchingEstimator(
        location_scale, theta0=start, loss=loss, random_state=0, tol=1e-7
    ).fit(X)
    gaussian = ScoreMatchingEstimator(loss=loss, random_state=0).fit(X)
    assert model.converged_
    assert_allclose(model.score_function(X), gaussian.score_function(X), atol=1e-4)
    assert_allclose(model.loss_, gaussian.loss_, rtol=1e-7)
    if loss == "explicit":
        assert_allclose(model.theta_[0], X.mean(), rtol=1e-5)
        assert_allclose(abs(model.theta_[1]), X.std(), rtol=1e-5)


def test_a_given_trace(rng):
    X = 3.0 + 2.0 * rng.normal(size=(150, 2))
    model = ScoreMatchingEstimator(
        location_scale, theta0=[0.0, 1.0], jacobian_trace=location_scale_trace, tol=1e-9
    ).fit(X)
    assert_allclose(model.theta_[0], X.mean(), rtol=1e-7)
    assert_allclose(
        model.theta_[1], np.sqrt(X.var(axis=0).mean() + X.mean(axis=0).var()), rtol=1e-7
    )
    assert_allclose(
        model.score_matching_loss(X), score_matching_loss(model.score_function, X), rtol=1e-8
    )


def test_the_logistic_against_its_estimating_equations(rng):
    X = rng.logistic(loc=1.0, scale=2.0, size=(300, 1))

    def derivatives(theta):
        """Of the loss, in closed form: tanh^2 / (2 s^2) - sech^2 / (2 s^2)."""
        m, s = theta
        t = np.tanh((X - m) / (2 * s))
        sech2 = 1 - t**2
        slope = 2 * t * sech2 / s**2
        return [
            (slope * (-1 / (2 * s))).mean(),
            (slope * (-(X - m) / (2 * s**2)) - (t**2 - sech2) / s**3).mean(),
        ]

    solved = root(derivatives, [1.0, 2.0], tol=1e-12)
    assert solved.success
    model = ScoreMatchingEstimator(logistic, theta0=[0.0, 1.0]).fit(X)
    assert_allclose(model.theta_, solved.x, rtol=1e-4)


def test_a_start_that_leaves_the_model(rng):
    """Trial steps with a negative variance have no score; the search steps back."""

    def by_variance(X, theta):
        return -X / (np.sqrt(theta[0]) ** 2)

    X = rng.normal(size=(100, 1))
    model = ScoreMatchingEstimator(by_variance, theta0=0.2).fit(X)
    assert_allclose(model.theta_, (X**2).mean(), rtol=1e-4)


def test_no_minimum_and_too_few_steps(rng):
    X = rng.normal(size=(50, 1))
    with pytest.warns(ConvergenceWarning, match="has not converged"):
        model = ScoreMatchingEstimator(location_scale, theta0=[9.0, 30.0], max_iter=1).fit(X)
    assert not model.converged_
    with pytest.warns(ConvergenceWarning, match="has not converged"):
        # A slope without curvature: the trace falls for ever.
        ScoreMatchingEstimator(
            lambda X, t: X * 0.0, jacobian_trace=lambda X, t: np.full(len(X), t[0]), theta0=1.0
        ).fit(X)


# --------------------------------------------------------------------------------------
# contracts


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    "options", [{}, {"statistics": Powers()}, {"score_func": location_scale, "theta0": (0.0, 1.0)}]
)
def test_weights_are_copies_in_any_order(rng, loss, options):
    X = rng.normal(size=(30, 2))
    counts = rng.integers(0, 4, 30)
    model = ScoreMatchingEstimator(loss=loss, random_state=0, **options)
    one = clone(model).fit(X, sample_weight=counts / 3)
    two = clone(model).fit(np.repeat(X, counts, axis=0)[::-1])
    tol = 1e-8 if "theta0" not in options else 1e-5
    assert_allclose(one.theta_, two.theta_, rtol=tol, atol=tol)
    assert_allclose(one.loss_, two.loss_, rtol=1e-7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score_func": location_scale, "statistics": powers}, "both given"),
        ({"score_func": location_scale}, "needs theta0"),
        ({"theta0": [1.0]}, "theta0 is given without score_func"),
        ({"jacobian_trace": location_scale_trace}, "without score_func"),
        ({"statistics_jacobian": powers_jacobian}, "without statistics"),
        ({"score_func": location_scale, "theta0": [np.nan, 1]}, "finite numbers"),
        ({"score_func": location_scale, "theta0": [[0.0, 1.0]]}, "vector"),
        ({"score_func": lambda X, t: X[:, 0], "theta0": 1.0}, "has shape"),
        ({"score_func": lambda X, t: X * np.nan, "theta0": 1.0}, "NaN or infinite"),
        ({"statistics": lambda X: X[:, 0]}, "n_statistics"),
        ({"statistics": lambda X: X * np.nan}, "NaN or infinite"),
        ({"statistics": powers, "statistics_jacobian": lambda X: X}, "Jacobian .* has shape"),
        ({"statistics": powers, "statistics_laplacian": lambda X: X[:, 0]}, "Laplacian .* has"),
        ({"statistics": 3}, "The 'statistics' parameter"),
        ({"loss": "noise"}, "The 'loss' parameter"),
        ({"loss": "denoising", "noise_scale": 0.0}, "The 'noise_scale' parameter"),
    ],
)
def test_bad_parameters(rng, options, message):
    model = ScoreMatchingEstimator(**options)
    with pytest.raises(ValueError, match=message):
        model.fit(rng.normal(size=(20, 2)))
    assert not hasattr(model, "theta_")


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_statistics_that_end_at_a_boundary(rng):
    """The logarithm of small values: what cannot be shifted asks for derivatives."""
    X = rng.gamma(3.0, size=(100, 1))
    X[0] = 1e-9
    model = ScoreMatchingEstimator(statistics=lambda X: np.hstack([X, np.log(X)]))
    with pytest.raises(ValueError, match="statistics"):
        model.fit(X)


def test_bad_rows(rng):
    X = rng.normal(size=(20, 2))
    bad = np.where(X > 1.5, np.nan, X)
    with pytest.raises(ValueError, match="NaN"):
        ScoreMatchingEstimator().fit(bad if np.isnan(bad).any() else bad * np.nan)
    with pytest.raises(ValueError, match="1 sample"):
        ScoreMatchingEstimator().fit(X[:1])
    with pytest.raises(ValueError, match=r"columns \[0\] are constant"):
        ScoreMatchingEstimator(loss="denoising").fit(X * [0, 1])


def test_forms_of_input(X):
    pandas = pytest.importorskip("pandas")
    X = np.round(X * 256) / 256
    expected = ScoreMatchingEstimator(statistics=powers).fit(X)
    frozen = X.copy()
    frozen.flags.writeable = False
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    for form in (frozen, np.asfortranarray(X), X.astype(np.float32), X.tolist(), frame):
        model = ScoreMatchingEstimator(statistics=powers).fit(form)
        assert_allclose(model.theta_, expected.theta_, rtol=1e-10)
        assert_allclose(model.score_function(form), expected.score_function(X), rtol=1e-10)
    copy = pickle.loads(pickle.dumps(model))
    assert np.array_equal(copy.score_function(frame), model.score_function(frame))


def test_in_a_search(X):
    search = GridSearchCV(
        ScoreMatchingEstimator(location_scale, theta0=(0.0, 1.0), random_state=0),
        {"loss": ["explicit", "denoising"], "noise_scale": [0.1, 0.5]},
        error_score="raise",
    ).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
