"""Losses of any score, against closed forms, quadrature and loops; the scorer."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skmmd.datasets import make_density
from skmmd.density._gaussian import ScoreMatchingGaussian
from skmmd.density._losses import column_scales, score_matching_loss
from skmmd.density._model import ScoreMatchingEstimator
from skmmd.density._scorer import neg_score_matching_loss_scorer


def gaussian_score(mean, precision):
    return lambda X: (mean - X) @ precision


def student_score(X):
    """Of independent Student t with 3 degrees of freedom."""
    return -4.0 * X / (3.0 + X**2)


def student_loss(X):
    trace = (-4.0 * (3.0 - X**2) / (3.0 + X**2) ** 2).sum(axis=1)
    return 0.5 * (student_score(X) ** 2).sum(axis=1) + trace


def mixing_score(X):
    """A field whose Jacobian has all entries."""
    return np.column_stack([np.sin(X[:, 0] + 2 * X[:, 1]), X[:, 0] ** 2 * X[:, 1]])


def mixing_trace(X):
    return np.cos(X[:, 0] + 2 * X[:, 1]) + X[:, 0] ** 2


@pytest.fixture
def X(rng):
    return rng.normal(size=(80, 2)) @ np.array([[1.0, 0.3], [0.0, 0.7]])


def test_the_tutorials_example():
    """Score -0.4 and loss -0.364444 at x = 1.2, mean 0.3, standard deviation 1.5."""

    def score(x):
        return -(x - 0.3) / 1.5**2

    assert_allclose(score(1.2), -0.4)
    expected = 0.9**2 / (2 * 1.5**4) - 1 / 1.5**2
    assert round(expected, 6) == -0.364444
    assert_allclose(score_matching_loss(score, [[1.2]]), expected, rtol=1e-9)
    assert_allclose(score_matching_loss(score, [1.2]), expected, rtol=1e-9)
    exact = score_matching_loss(
        score, [[1.2]], jacobian_trace=lambda x: np.full(len(x), -1 / 1.5**2)
    )
    assert_allclose(exact, expected, rtol=1e-14)


def test_explicit_loss_is_the_closed_form(X):
    pairs = zip(mixing_score(X), mixing_trace(X), strict=True)
    expected = np.mean([0.5 * s @ s + t for s, t in pairs])
    exact = score_matching_loss(mixing_score, X, jacobian_trace=mixing_trace)
    assert_allclose(exact, expected, rtol=1e-13)
    assert_allclose(score_matching_loss(mixing_score, X), expected, rtol=1e-8)
    assert_allclose(score_matching_loss(student_score, X), student_loss(X).mean(), rtol=1e-8)


@pytest.mark.parametrize(
    ("shift", "scales"),
    [
        (0.0, (1.0, 1.0)),
        (1e4, (1.0, 1.0)),
        (-1e8, (1.0, 1.0)),
        (0.0, (1e-6, 1e5)),
        (1e4, (1e-6, 1e5)),
    ],
)
def test_differences_see_units_and_offsets(rng, shift, scales):
    """The trace of a Gaussian's score is known; steps follow each column."""
    scales = np.asarray(scales)
    X = rng.normal(size=(50, 2)) * scales + shift
    precision = np.array([[1.5, 0.4], [0.4, 2.0]]) / np.outer(scales, scales)
    score = gaussian_score(X.mean(axis=0), precision)
    expected = 0.5 * (score(X) ** 2).sum(axis=1).mean() - np.trace(precision)
    tol = 1e-9 if shift == 0.0 else 1e-5
    assert_allclose(score_matching_loss(score, X), expected, rtol=tol)


def test_an_outlier_does_not_lengthen_the_steps(rng):
    X = rng.standard_t(3, size=(200, 1))
    X[0] = 1e7
    assert_allclose(column_scales(X, np.full(200, 1 / 200)), 1.2, atol=0.4)
    assert_allclose(score_matching_loss(student_score, X), student_loss(X).mean(), rtol=1e-8)


def test_more_features_than_fit_in_a_block(rng, monkeypatch):
    X = rng.normal(size=(40, 7))
    whole = score_matching_loss(student_score, X)
    monkeypatch.setattr("skmmd.density._losses._BLOCK", 300)
    assert_allclose(score_matching_loss(student_score, X), whole, rtol=1e-13)
    assert_allclose(whole, student_loss(X).mean(), rtol=1e-8)


def test_sliced_is_exact_for_diagonal_jacobians(rng):
    X = rng.standard_t(5, size=(60, 3)) * [1e-3, 1.0, 1e3]

    def score(X):
        return student_score(X / [1e-3, 1.0, 1e3]) / [1e-3, 1.0, 1e3]

    explicit = score_matching_loss(score, X)
    sliced = score_matching_loss(score, X, loss="sliced", random_state=0)
    assert_allclose(sliced, explicit, rtol=1e-8)


def test_sliced_has_the_expectation_of_explicit(X):
    """The mean over many slices, within four of its standard errors."""
    explicit = score_matching_loss(mixing_score, X)
    draws = [
        score_matching_loss(mixing_score, X, loss="sliced", n_slices=3, random_state=seed)
        for seed in range(400)
    ]
    error = np.std(draws) / np.sqrt(len(draws))
    assert error > 0
    assert abs(np.mean(draws) - explicit) < 4 * error
    many = score_matching_loss(mixing_score, X, loss="sliced", n_slices=300, random_state=0)
    assert abs(many - explicit) < 4 * np.std(draws) / 10


def test_denoising_against_quadrature(rng):
    """Gauss-Hermite over the noise, row by row."""
    X = rng.normal(size=(30, 1)) * 2.0 + 1.0
    sigma = 0.3 * X.std()
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    points = (X + sigma * nodes).reshape(-1, 1)
    inner = (student_score(points).reshape(len(X), -1) + nodes / sigma) ** 2 @ weights
    expected = 0.5 * inner.mean()
    draws = [
        score_matching_loss(
            student_score, X, loss="denoising", noise_scale=0.3, n_slices=20, random_state=seed
        )
        for seed in range(100)
    ]
    error = np.std(draws) / 10
    assert 0 < error < 0.01
    assert abs(np.mean(draws) - expected) < 4 * error


def test_denoising_is_explicit_at_noisy_rows_plus_the_constant(rng):
    """For a linear score both expectations are in closed form."""
    X = rng.normal(size=(200, 2)) * [1.0, 3.0]
    precision = np.array([[1.0, 0.1], [0.1, 0.3]])
    score = gaussian_score(X.mean(axis=0), precision)
    noise = 0.2 * X.std(axis=0)
    noisy = np.cov(X.T, ddof=0) + np.diag(noise**2)
    explicit = 0.5 * np.trace(precision @ noisy @ precision) - np.trace(precision)
    constant = 0.5 * (noise**-2).sum()
    loss = score_matching_loss(
        score, X, loss="denoising", noise_scale=0.2, n_slices=2000, random_state=0
    )
    assert_allclose(loss, explicit + constant, atol=4e-3)


@pytest.mark.parametrize("loss", ["explicit", "sliced", "denoising"])
def test_weights_are_copies(rng, loss):
    """In expectation, where noise is drawn; to rounding for a linear score with a diagonal."""
    X = rng.normal(size=(20, 2))
    counts = rng.integers(0, 4, size=20)
    score = gaussian_score(np.zeros(2), np.diag([1.0, 0.5]))
    n_slices = 1 if loss != "denoising" else 3000
    one = score_matching_loss(
        score, X, loss=loss, sample_weight=counts, n_slices=n_slices, random_state=0
    )
    two = score_matching_loss(
        score, np.repeat(X, counts, axis=0), loss=loss, n_slices=n_slices, random_state=0
    )
    assert_allclose(one, two, rtol=1e-9 if loss != "denoising" else 2e-3)


def test_rows_of_weight_zero_are_not_looked_at():
    X = np.array([[0.5], [-1.0], [99.0]])

    def score(X):
        return np.where(X > 50, np.nan, -X)

    loss = score_matching_loss(score, X, sample_weight=[1, 1, 0])
    assert_allclose(loss, 0.5 * 1.25 / 2 - 1, rtol=1e-9)


def test_an_estimator_as_score(X):
    model = ScoreMatchingGaussian().fit(X)
    expected = -0.5 * np.trace(np.linalg.inv(np.cov(X.T, ddof=0)))
    assert_allclose(score_matching_loss(model, X), expected, rtol=1e-12)
    assert_allclose(score_matching_loss(model.score_function, X), expected, rtol=1e-9)


def test_an_estimator_fitted_on_a_frame(X):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b"])
    model = ScoreMatchingGaussian().fit(frame)
    assert_allclose(score_matching_loss(model, frame), score_matching_loss(model, X))
    with pytest.raises(ValueError, match="was fitted on"):
        score_matching_loss(model, frame[["b", "a"]])


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (lambda X: X[:, 0], "has shape"),
        (lambda X: X.T @ X, "has shape"),
        (lambda X: X * np.nan, "NaN or infinite"),
        (lambda X: np.where(X > 0, np.inf, X), "NaN or infinite"),
    ],
)
@pytest.mark.parametrize("loss", ["explicit", "sliced", "denoising"])
def test_bad_scores(X, score, message, loss):
    with pytest.raises(ValueError, match=message):
        score_matching_loss(score, X, loss=loss)


def test_bad_arguments(X):
    with pytest.raises(TypeError, match="expected a callable"):
        score_matching_loss(3.0, X)
    with pytest.raises(TypeError, match="score_function"):
        score_matching_loss(GaussianMixture().fit(X), X)
    with pytest.raises(ValueError, match="one trace for each row"):
        score_matching_loss(mixing_score, X, jacobian_trace=lambda X: 1.0)
    with pytest.raises(ValueError, match="NaN or infinite"):
        score_matching_loss(mixing_score, X, jacobian_trace=lambda X: X[:, 0] * np.nan)
    with pytest.raises(ValueError, match="loss"):
        score_matching_loss(mixing_score, X, loss="exact")
    with pytest.raises(ValueError, match="NaN"):
        score_matching_loss(mixing_score, np.where(X > 1, np.nan, X))
    with pytest.raises(ValueError, match="n_slices"):
        score_matching_loss(mixing_score, X, n_slices=0)
    with pytest.raises(ValueError, match=r"columns \[1\] are constant"):
        score_matching_loss(mixing_score, X * [1, 0], loss="denoising")
    with pytest.raises(ValueError, match="negative"):
        score_matching_loss(mixing_score, X, sample_weight=-np.ones(len(X)))


def test_constant_columns_and_one_row(X):
    expected = 0.5 * (mixing_score(X[:1]) ** 2).sum() + mixing_trace(X[:1])[0]
    assert_allclose(score_matching_loss(mixing_score, X[:1]), expected, rtol=1e-6)
    flat = X * [1, 0]
    assert_allclose(
        score_matching_loss(mixing_score, flat),
        (0.5 * (mixing_score(flat) ** 2).sum(axis=1) + mixing_trace(flat)).mean(),
        rtol=1e-8,
    )


def test_inputs_are_not_written_to(X):
    X.flags.writeable = False
    for loss in ("explicit", "sliced", "denoising"):
        score_matching_loss(student_score, X.astype(np.float32), loss=loss, random_state=0)
        score_matching_loss(student_score, X, loss=loss, random_state=0)


# --------------------------------------------------------------------------------------
# the scorer


def test_scorer_is_minus_the_loss(X):
    model = ScoreMatchingGaussian().fit(X)
    assert neg_score_matching_loss_scorer(model, X) == -model.score_matching_loss(X)

    class OnlyScore:
        def score_function(self, X):
            return student_score(X)

    assert_allclose(neg_score_matching_loss_scorer(OnlyScore(), X), -student_loss(X).mean())


def test_scorer_in_pipelines(X):
    pipeline = make_pipeline(StandardScaler(), PCA(), ScoreMatchingGaussian()).fit(X)
    Z = pipeline[:-1].transform(X)
    # Uncorrelated columns of variance v: the loss is -1/2 sum(1 / v).
    expected = 0.5 * (1 / Z.var(axis=0)).sum()
    assert_allclose(neg_score_matching_loss_scorer(pipeline, X), expected, rtol=1e-12)
    nested = Pipeline([("all", pipeline)]).fit(X)
    assert_allclose(neg_score_matching_loss_scorer(nested, X), expected, rtol=1e-12)


def test_scorer_in_searches(rng):
    X = make_density("banana", 3).sample(120, random_state=0)
    X[:, 2] += X[:, 0]
    search = GridSearchCV(
        make_pipeline(StandardScaler(), ScoreMatchingGaussian()),
        {"scorematchinggaussian__alpha": [0.0, 0.1, 5.0]},
        scoring=neg_score_matching_loss_scorer,
        error_score="raise",
    ).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_["scorematchinggaussian__alpha"] < 5.0
    assert neg_score_matching_loss_scorer(search, X) == neg_score_matching_loss_scorer(
        search.best_estimator_, X
    )
    scores = cross_val_score(ScoreMatchingEstimator(), X, scoring=neg_score_matching_loss_scorer)
    others = cross_val_score(ScoreMatchingGaussian(), X, scoring=neg_score_matching_loss_scorer)
    assert_allclose(scores, others, rtol=1e-10)


def test_scorer_needs_a_score(X):
    for model in (KernelDensity(), GaussianMixture(), make_pipeline(PCA(), KernelDensity())):
        with pytest.raises(TypeError, match="neither score_matching_loss nor score_function"):
            neg_score_matching_loss_scorer(model.fit(X), X)
    with pytest.raises(TypeError, match="SelectKBest"):
        neg_score_matching_loss_scorer(SelectKBest(), X)
