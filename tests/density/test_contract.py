"""ScoreMatchingDensity as an estimator: weights, splits, batches, odd rows, warnings, memory."""

import inspect
import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn.base import BaseEstimator, clone
from sklearn.mixture import GaussianMixture as SklearnMixture
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, cross_validate
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmmd.datasets import make_density
from skmmd.density import ScoreMatchingDensity, neg_score_matching_loss_scorer
from skmmd.density._whitening import Whitening
from skmmd.mixture import GaussianMixture
from tests.memory import peak_of

FIXED = {"bandwidth": 0.8, "alpha": 0.01, "base": "gaussian", "loss": "explicit"}
FREE = {"selection": "score_matching", "n_normalizer_samples": 0}
QUICK = {"bandwidth": "median", "base": "gaussian", "cv": 3, "n_normalizer_samples": 1000}


class ScaledLogistic(BaseEstimator):
    """Independent logistic columns around zero: an estimator of the user's."""

    def __init__(self, scale=None):
        self.scale = scale

    def fit(self, X, y=None):
        self.law_ = stats.logistic(0.0, self.scale)
        return self

    def score_samples(self, X):
        return self.law_.logpdf(X).sum(axis=1)

    def score_function(self, X):
        return -np.tanh(X / (2 * self.scale)) / self.scale

    def sample(self, n_samples=1, random_state=None):
        size = (n_samples, len(self.scale))
        return np.random.default_rng(random_state).logistic(0.0, self.scale, size)


f_is_zero = pytest.mark.filterwarnings("ignore:ScoreMatchingDensity. on held-out rows:UserWarning")


def estimator(**parameters):
    return ScoreMatchingDensity(**{"n_components": 20, "random_state": 0, **parameters})


def rows(n=120, d=2, seed=0):
    """Return rows of a ring, on a dyadic grid so that shifts are exact."""
    X = make_density("ring", d).sample(n, random_state=seed)
    return np.round(X * 1024) / 1024


# --------------------------------------------------------------------------------------
# weights and splits


@pytest.mark.parametrize("factor", [1e-3, 0.37, 1000.0])
@pytest.mark.parametrize("settings", [{}, {"loss": "denoising", "noise_scale": 0.1}])
def test_the_unit_of_the_weights_does_not_matter(factor, settings):
    X = rows()
    weight = np.random.default_rng(1).uniform(0.2, 2.0, size=len(X))
    model = estimator(**{**FIXED, **FREE, **settings})
    one, other = (clone(model).fit(X, sample_weight=c * weight) for c in (1.0, factor))
    np.testing.assert_allclose(
        other.unnormalized_log_density(X), one.unnormalized_log_density(X), rtol=1e-9, atol=1e-10
    )
    plain = clone(model).fit(X)
    gap = plain.unnormalized_log_density(X) - one.unnormalized_log_density(X)
    assert np.abs(gap).max() > 0.01  # they count


@f_is_zero
def test_splits_in_any_form():
    """An int and a splitter are applied to the rows in the same shuffled order."""
    X = rows()
    splits = list(KFold(4).split(X))

    def fits(*kinds):
        return [estimator(**{**QUICK, "cv": cv}).fit(X) for cv in kinds]

    for one, other in (fits(4, KFold(4)), fits(None, 5), fits(splits, iter(splits))):
        np.testing.assert_array_equal(one.coef_, other.coef_)
        assert one.held_out_score_ == other.held_out_score_
    of_each = [fit.held_out_score_ for fit in fits(4, 5, splits, splits[:1])]
    assert len(set(of_each)) == 4


def test_splits_of_an_iterable_are_those_of_the_rows_as_given():
    X, order = rows(), np.random.default_rng(0).permutation(120)
    place = np.argsort(order)
    splits = list(KFold(3).split(X))
    moved = [(place[train], place[test]) for train, test in splits]
    one = estimator(**{**QUICK, "cv": splits}).fit(X)
    other = estimator(**{**QUICK, "cv": moved}).fit(X[order])
    np.testing.assert_array_equal(other.score_samples(X), one.score_samples(X))


@pytest.mark.parametrize("cv", [[], [(np.arange(9), np.arange(0))], 1])
def test_splits_that_leave_nothing(cv):
    with pytest.raises(ValueError, match=r"cv|splits|fold"):
        estimator(**{**QUICK, "cv": cv}).fit(rows())


@f_is_zero
def test_equal_rows_are_never_on_both_sides():
    """A copy on the other side would make narrow kernels look good, see the spec's pitfalls."""
    X = rows(60)
    twice = np.concatenate([X, X])
    one, other = (estimator(**QUICK).fit(part) for part in (X, twice))
    # Draws for the normaliser come from a narrower proposal for more samples.
    assert other.held_out_score_ == pytest.approx(one.held_out_score_, abs=0.005)
    np.testing.assert_allclose(other.bandwidth_, one.bandwidth_)


@f_is_zero
def test_copies_that_are_mapped_with_other_rounding_errors(monkeypatch):
    """Products of matrices may round a row by its place: copies must be found before."""
    exact = Whitening.forward

    def rounded(self, X):
        odd = np.arange(len(X)) % 2
        return exact(self, X) * (1.0 + 2.0**-52 * odd[:, None])

    monkeypatch.setattr(Whitening, "forward", rounded)
    X = rows(40, d=3)
    weight = np.random.default_rng(1).integers(1, 4, size=40)
    copies = np.random.default_rng(2).permutation(np.repeat(np.arange(40), weight))
    settings = {**QUICK, "selection": "score_matching", "loss": "explicit"}
    by_weight = estimator(**settings).fit(X, sample_weight=weight)
    by_copies = estimator(**settings).fit(X[copies])
    assert by_copies.held_out_score_ == pytest.approx(by_weight.held_out_score_, rel=1e-8)


# --------------------------------------------------------------------------------------
# with scikit-learn, where KernelDensity stood


def test_in_place_of_kernel_density():
    X, new = rows(200), rows(50, seed=1)
    for name in ("fit", "score_samples", "score", "sample"):
        theirs = inspect.signature(getattr(KernelDensity, name)).parameters
        ours = inspect.signature(getattr(ScoreMatchingDensity, name)).parameters
        for (their_name, their), (our_name, our) in zip(theirs.items(), ours.items(), strict=True):
            assert (our_name, our.default) == (their_name, their.default)
    for density in (KernelDensity(), estimator(**FIXED)):
        search = GridSearchCV(density, {"bandwidth": [0.7, 1.0]}, cv=3).fit(X)
        best = search.best_estimator_
        assert best.score_samples(new).shape == (50,)
        assert best.sample(7, random_state=0).shape == (7, 2)
        assert best.sample().shape == (1, 2)
        assert np.isfinite(cross_val_score(density, X, cv=3)).all()
    assert best.score(new) == pytest.approx(best.score_samples(new).mean())  # the mean, not the sum


def test_search_by_the_score_matching_loss():
    X = rows(300)
    pipeline = make_pipeline(StandardScaler(), estimator(**{**FIXED, **FREE}))
    name = "scorematchingdensity__"
    grid = {name + "alpha": [1e-3, 1e-1], name + "bandwidth": [0.3, 1.0]}
    search = GridSearchCV(pipeline, grid, scoring=neg_score_matching_loss_scorer, cv=3)
    search.fit(X)
    default = GridSearchCV(pipeline, grid, cv=3).fit(X)  # without normaliser: minus the loss too
    assert search.best_params_ == default.best_params_
    assert search.best_score_ == pytest.approx(default.best_score_)
    scores = cross_validate(
        estimator(**FIXED),
        X,
        cv=3,
        scoring={"loss": neg_score_matching_loss_scorer, "likelihood": lambda e, X: e.score(X)},
    )
    assert np.isfinite(scores["test_loss"]).all()
    assert np.isfinite(scores["test_likelihood"]).all()


def test_a_frame_of_numbers_keeps_its_names():
    pandas = pytest.importorskip("pandas")
    X = rows()
    frame = pandas.DataFrame(X, columns=["width", "height"])
    fit = estimator(**FIXED).fit(frame)
    np.testing.assert_array_equal(
        fit.score_samples(frame), estimator(**FIXED).fit(X).score_samples(X)
    )
    with pytest.raises(ValueError, match="feature names"):
        fit.score_function(frame[["height", "width"]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit.partial_fit(frame)


# --------------------------------------------------------------------------------------
# batches


def standardised(n, d, seed):
    """Return rows of mean zero and covariance one: the coordinates of each batch are the same."""
    X = np.random.default_rng(seed).exponential(size=(n, d))
    X -= X.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(X.T, ddof=0).reshape(d, d))
    return X @ (vectors / np.sqrt(values)) @ vectors.T


@pytest.mark.parametrize(
    ("kernel", "loss"), [("rbf", "explicit"), ("imq", "explicit"), ("rbf", "denoising")]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_are_like_all_rows_at_once(kernel, loss, weighted):
    batches = [standardised(n, 3, seed) for n, seed in ((50, 0), (80, 1), (31, 2))]
    settings = {**FIXED, "loss": loss, "noise_scale": 0.1, "kernel": kernel}
    settings["centers"] = np.random.default_rng(9).normal(size=(12, 3))
    weights = [c * np.ones(len(b)) for b, c in zip(batches, (2.0, 0.5, 1.0), strict=True)]
    if not weighted:
        weights = [None] * 3
    model = estimator(**settings, **FREE)
    for batch, weight in zip(batches, weights, strict=True):
        assert model.partial_fit(batch, sample_weight=weight) is model
    whole, weight = np.concatenate(batches), np.concatenate(weights) if weighted else None
    expected = estimator(**settings, **FREE).fit(whole, sample_weight=weight)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(
        model.score_function(whole), expected.score_function(whole), atol=1e-8
    )
    first = estimator(**settings, **FREE).fit(batches[0])
    assert np.abs(first.score_function(whole) - expected.score_function(whole)).max() > 0.01


def test_batches_renormalise():
    batches = [standardised(60, 2, seed) for seed in range(2)]
    model = estimator(**{**FIXED, "alpha": 1.0})
    for batch in batches:
        model.partial_fit(batch)
    whole = np.concatenate(batches)
    expected = estimator(**{**FIXED, "alpha": 1.0}, centers=model.centers_).fit(whole)
    assert expected.log_normalizer_std_ < 1e-4  # by quadrature
    error = expected.log_normalizer_std_ + model.log_normalizer_std_
    assert model.log_normalizer_ == pytest.approx(expected.log_normalizer_, abs=error)
    first = estimator(**{**FIXED, "alpha": 1.0}, centers=model.centers_).fit(batches[0])
    assert abs(first.log_normalizer_ - expected.log_normalizer_) > 100 * error


def test_partial_fit_is_there_where_there_are_sums():
    assert hasattr(estimator(), "partial_fit")
    for settings in ({"basis": "full"}, {"basis": "nystroem"}, {"refine": True}):
        assert not hasattr(estimator(**settings), "partial_fit")


# --------------------------------------------------------------------------------------
# awkward rows


def test_a_constant_column_is_a_factor_of_its_own():
    X = rows()
    padded = np.column_stack([X[:, 0], np.full(len(X), 5.0), X[:, 1]])
    one, other = estimator(**QUICK).fit(X), estimator(**QUICK).fit(padded)
    gap = other.score_samples(padded) - one.score_samples(X)
    np.testing.assert_allclose(gap, stats.norm(5.0, 5e-3).logpdf(5.0), rtol=1e-9)
    np.testing.assert_allclose(other.score_function(padded)[:, [0, 2]], one.score_function(X))
    np.testing.assert_array_equal(other.score_function(padded)[:, 1], 0.0)
    hessian = other.hessian(padded)
    np.testing.assert_allclose(
        hessian[:, [0, 0, 2], [0, 2, 2]], one.hessian(X)[:, [0, 0, 1], [0, 1, 1]]
    )
    np.testing.assert_array_equal(hessian[:, 1, [0, 2]], 0.0)
    drawn = other.sample(500, random_state=0)
    assert drawn[:, 1].std() == pytest.approx(5e-3, rel=0.2)
    assert other.bandwidth_[1] == np.inf
    assert np.isfinite(other.score_matching_loss(padded))


def test_all_columns_constant():
    with pytest.raises(ValueError, match="distinct rows"):
        estimator().fit(np.ones((20, 3)))


@f_is_zero
@pytest.mark.parametrize("settings", [QUICK, FIXED], ids=["selected", "fixed"])
@pytest.mark.parametrize("case", ["duplicated column", "n < d", "two rows", "three equal, one not"])
def test_few_or_dependent_rows(case, settings):
    rng = np.random.default_rng(4)
    X = {
        "duplicated column": lambda: rows()[:, [0, 1, 1]],
        "n < d": lambda: rng.normal(size=(6, 9)),
        "two rows": lambda: rng.normal(size=(2, 2)),
        "three equal, one not": lambda: np.array([[0.0, 1.0]] * 3 + [[1.0, 0.0]]),
    }[case]()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*(effective sample size|standard error)", UserWarning)
        fit = estimator(**settings).fit(X)
    for values in (fit.score_samples(X), fit.score_function(X), fit.hessian(X)):
        assert np.isfinite(values).all()
    drawn = fit.sample(200, random_state=0)
    assert np.isfinite(drawn).all()
    assert fit.score_samples(X).mean() > fit.score_samples(X + 10 * X.std()).mean() + 1
    if case == "duplicated column":
        assert np.abs(drawn[:, 1] - drawn[:, 2]).max() < 0.2 * drawn[:, 1].std()


@f_is_zero
@pytest.mark.parametrize("offset", [1e4, 1e8])
@pytest.mark.parametrize("bandwidth", ["ard", "median"])
def test_rows_far_from_zero(offset, bandwidth):
    X = rows()  # on a dyadic grid: also 1e8 is added without rounding
    settings = {**QUICK, "bandwidth": bandwidth, "loss": "explicit", "alpha": 0.01}
    here, there = estimator(**settings).fit(X), estimator(**settings).fit(X + offset)
    tolerance = {"rtol": 1e-6, "atol": 1e-6}
    np.testing.assert_allclose(there.score_samples(X + offset), here.score_samples(X), **tolerance)
    np.testing.assert_allclose(
        there.score_function(X + offset), here.score_function(X), **tolerance
    )


@pytest.mark.parametrize("base", ["gaussian", "mixture", "estimator"])
def test_columns_on_very_different_scales(base):
    """With one bandwidth for all coordinates the density is equivariant."""
    X, scale = rows(d=3), np.array([1e-8, 1.0, 1e6])
    X[:, 2] += 0.5 * X[:, 0]
    bases = {
        "gaussian": lambda c: "gaussian",
        "mixture": lambda c: SklearnMixture(reg_covar=0.0),
        "estimator": lambda c: ScaledLogistic(c),
    }[base]
    here, there = (
        estimator(**{**FIXED, **FREE, "base": bases(c)}).fit(X * c) for c in (np.ones(3), scale)
    )
    tolerance = {"rtol": 1e-6, "atol": 1e-6}
    np.testing.assert_allclose(
        there.unnormalized_log_density(X * scale) + np.log(scale).sum(),
        here.unnormalized_log_density(X),
        **tolerance,
    )
    np.testing.assert_allclose(
        there.score_function(X * scale) * scale, here.score_function(X), **tolerance
    )
    np.testing.assert_allclose(
        there.hessian(X * scale) * np.outer(scale, scale), here.hessian(X), rtol=1e-4, atol=1e-5
    )
    drawn = there.sample(400, random_state=0) / scale
    usual = here.sample(400, random_state=0)
    np.testing.assert_allclose(drawn.mean(axis=0), usual.mean(axis=0), atol=0.5)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(usual.T), atol=1.2)
    # The trace of the Hessian in the data's coordinates is that of the smallest column.
    trace = np.trace(there.hessian(X * scale), axis1=1, axis2=2)
    loss = np.mean(0.5 * (there.score_function(X * scale) ** 2).sum(axis=1) + trace)
    assert there.score_matching_loss(X * scale) == pytest.approx(loss, rel=1e-9)


def test_outliers_are_left_alone():
    truth = make_density("mix3", 2)
    X = truth.sample(500, random_state=3)
    X[::20] = 30.0 * np.random.default_rng(3).normal(size=X[::20].shape)
    clean = truth.sample(2000, random_state=4)
    fit = ScoreMatchingDensity(n_components=100, random_state=0).fit(X)
    divergence = np.mean(truth.score_samples(clean) - fit.score_samples(clean))
    assert divergence < 0.2
    gaussian = stats.multivariate_normal(X.mean(axis=0), np.cov(X.T, ddof=0)).logpdf(clean)
    assert np.mean(truth.score_samples(clean) - gaussian) > 2.0


def test_rows_on_the_sides_of_a_domain():
    X = np.abs(rows())
    X[:5, 0] = 0.0
    fit = estimator(
        bandwidth=0.8, alpha=0.1, base="gaussian", loss="explicit", domain=(0.0, [np.inf, 9.0])
    )
    fit.fit(X)
    assert np.isfinite(fit.score_samples(X)).all()
    assert fit.score_samples([[-1e-9, 1.0]])[0] == -np.inf
    drawn = fit.sample(500, random_state=0)
    assert drawn.min() >= 0.0
    assert drawn[:, 1].max() <= 9.0


# --------------------------------------------------------------------------------------
# base measures of the user's


def test_a_base_without_score():
    with pytest.raises(TypeError, match="score_function"):
        estimator(**{**FIXED, "base": KernelDensity()}).fit(rows())


@pytest.mark.parametrize("base", [3, "kde", KernelDensity, object()])
def test_a_base_that_is_none(base):
    with pytest.raises((ValueError, TypeError), match=r"base|clone"):
        estimator(**{**FIXED, "base": base}).fit(rows())


@pytest.mark.parametrize("kind", [SklearnMixture, GaussianMixture])
def test_mixtures_as_base(kind):
    X = rows()
    base = kind(2, random_state=0)
    fit = estimator(**{**QUICK, "base": base}).fit(X)
    assert not hasattr(base, "means_")
    known = clone(base).fit(X[np.lexsort(X.T[::-1])])  # distinct rows come in sorted order
    np.testing.assert_allclose(fit.base_.score_samples(X), known.score_samples(X), atol=1e-4)
    assert fit.get_params()["base__n_components"] == 2


def test_a_failed_base_leaves_the_fit():
    X = rows()
    fit = estimator(**FIXED).fit(X)
    before = fit.score_samples(X)
    fit.set_params(base=KernelDensity())
    with pytest.raises(TypeError):
        fit.fit(X[:50])
    fit.set_params(base="gaussian")
    np.testing.assert_array_equal(fit.score_samples(X), before)


# --------------------------------------------------------------------------------------
# what is told


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_a_normaliser_that_cannot_be_trusted(d):
    spikes = estimator(bandwidth=0.02, alpha=1e-9, base="gaussian", loss="explicit")
    X = np.random.default_rng(0).normal(size=(100, d))
    with pytest.warns(UserWarning, match=r"effective sample size.*To mend it, use more") as caught:
        spikes.fit(X)
    assert spikes.ess_ < 0.03
    assert caught[0].filename == __file__


def test_the_base_alone():
    X = np.random.default_rng(0).normal(size=(150, 3))
    with pytest.warns(UserWarning, match=r"base measure alone \(gaussian\) was better"):
        fit = estimator(**QUICK).fit(X)
    assert not fit.coef_.any()
    np.testing.assert_allclose(fit.score_samples(X), fit.base_.score_samples(X), atol=1e-12)
    known = stats.multivariate_normal(X.mean(axis=0), np.cov(X.T, ddof=0))
    np.testing.assert_allclose(fit.score_samples(X), known.logpdf(X))
    assert fit.log_normalizer_ == pytest.approx(0.0, abs=1e-12)


def test_nothing_is_told_without_need():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator(**QUICK, kernel="imq").fit(rows(200))


def test_without_normaliser_the_score_is_the_loss():
    X = rows()
    fit = estimator(**QUICK | FREE).fit(X)
    assert np.isnan([fit.log_normalizer_, fit.log_normalizer_std_, fit.ess_]).all()
    assert fit.score(X) == pytest.approx(neg_score_matching_loss_scorer(fit, X))
    with pytest.raises(ValueError, match="n_normalizer_samples"):
        fit.score_samples(X)
    # With a normaliser on top, the score is the likelihood.
    fit = estimator(**{**FIXED, "selection": "score_matching"}).fit(X)
    assert fit.score(X) == pytest.approx(fit.score_samples(X).mean())


@pytest.mark.parametrize("d", [1, 2, 5])
def test_shapes(d):
    X = rows(d=d) if d > 1 else rows()[:, :1]
    fit = estimator(**FIXED).fit(X)
    assert fit.hessian(X[:4]).shape == (4, d, d)
    np.testing.assert_allclose(fit.hessian(X), fit.hessian(X).transpose(0, 2, 1), atol=1e-10)
    assert fit.score_function(X[:4]).shape == (4, d)
    assert fit.bandwidth_.shape == (d,)
    assert fit.centers_.shape == (20, d)
    assert fit.coef_.shape == (20,)
    trace = np.trace(fit.hessian(X), axis1=1, axis2=2)
    loss = np.mean(0.5 * (fit.score_function(X) ** 2).sum(axis=1) + trace)
    assert fit.score_matching_loss(X) == pytest.approx(loss, rel=1e-9)


@pytest.mark.parametrize("X", ["rows", [["a", "b"]], np.zeros((3, 2, 2)), np.zeros(5), None])
def test_what_is_no_table(X):
    with pytest.raises((ValueError, TypeError)):
        estimator(**FIXED).fit(X)


# --------------------------------------------------------------------------------------
# memory


def test_evaluation_in_blocks():
    fit = estimator(**{**FIXED, "n_components": 200}).fit(rows(400, d=4))
    many = np.random.default_rng(0).normal(size=(200_000, 4))  # 6 MB, by centres 320
    assert peak_of(lambda: fit.score_samples(many)) < 40
    assert peak_of(lambda: fit.score_function(many)) < 60


def test_a_fit_in_blocks():
    many = np.random.default_rng(0).exponential(size=(100_000, 4))
    model = estimator(**{**FIXED, "n_components": 200}, n_normalizer_samples=2000)
    assert peak_of(lambda: model.fit(many)) < 100  # 160 for one matrix of rows by centres
