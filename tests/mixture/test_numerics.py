"""Digits: offsets, scales, chunks, threads, and the inputs on which naive formulas fail."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from skmmd.mixture import GaussianMixture
from tests import reference
from tests.mixture.starts import TYPES, assert_same, estimator, fitted, initial, rows, start

unconverged = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def dyadic(X):
    """Round to multiples of 1/256, so that adding 2**27 is exact in float64."""
    return np.round(np.asarray(X) * 256) / 256


def dyadic_start(X, k, covariance_type):
    mixture = start(X, k, covariance_type)
    return reference.replace(mixture, means=dyadic(mixture.means))


# --------------------------------------------------------------------------------------
# offset


@unconverged
@pytest.mark.parametrize("offset", [2.0**20, 2.0**27, -(2.0**30)])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_an_offset_loses_nothing(covariance_type, offset):
    """scikit-learn's tied, diag and spherical covariances are wrong at 1e6, and raise at 1e8."""
    X = dyadic(rows(400, 3, 3, seed=1))
    first = dyadic_start(X, 3, covariance_type)
    far = reference.replace(first, means=first.means + offset)
    near = GaussianMixture(**initial(first), max_iter=10, tol=0.0).fit(X)
    ours = GaussianMixture(**initial(far), max_iter=10, tol=0.0).fit(X + offset)
    # Each of ten steps may round a mean by half a last digit of the offset.
    digit = np.spacing(abs(offset))
    np.testing.assert_allclose(ours.means_ - offset, near.means_, rtol=0, atol=5 * digit)
    np.testing.assert_allclose(ours.weights_, near.weights_, rtol=20 * digit)
    np.testing.assert_allclose(
        ours.covariances_, near.covariances_, rtol=20 * digit, atol=20 * digit
    )
    np.testing.assert_allclose(ours.lower_bounds_, near.lower_bounds_, rtol=20 * digit)
    np.testing.assert_allclose(
        ours.score_samples(X + offset), near.score_samples(X), rtol=1e-10, atol=200 * digit
    )


@pytest.mark.parametrize("init_params", ["kmeans", "whitened", "auto"])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_an_offset_of_1e8_from_the_default_start(covariance_type, init_params):
    X = np.vstack([rows(100, 2, 1, seed=i) + 20 * i for i in range(2)])
    parameters = {"covariance_type": covariance_type, "init_params": init_params, "n_init": 5}
    near = GaussianMixture(2, random_state=0, **parameters).fit(X)
    ours = GaussianMixture(2, random_state=0, **parameters).fit(X + 1e8)
    order, other = np.argsort(near.means_[:, 0]), np.argsort(ours.means_[:, 0])
    np.testing.assert_allclose(ours.means_[other] - 1e8, near.means_[order], atol=1e-5)
    if covariance_type.startswith("tied"):
        np.testing.assert_allclose(ours.covariances_, near.covariances_, rtol=1e-5)
    else:
        np.testing.assert_allclose(
            ours.covariances_[other], near.covariances_[order], rtol=1e-5, atol=1e-5
        )


@unconverged
@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("mean", [1e3, 1e4])
def test_float32_rows_far_from_the_origin(covariance_type, mean):
    """Wrong by half the variance in scikit-learn at 1e3; it raises at 1e4."""
    X = (rows(500, 2, 1, seed=2) + mean).astype(np.float32)
    ours = GaussianMixture(covariance_type=covariance_type).fit(X)
    wide = GaussianMixture(covariance_type=covariance_type).fit(X.astype(np.float64))
    np.testing.assert_allclose(ours.covariances_, wide.covariances_, rtol=1e-6, atol=1e-6)
    columns = np.cov(X.astype(np.float64).T, bias=True)
    np.testing.assert_allclose(
        reference.mixture_matrices(fitted(ours))[0].trace(), columns.trace(), rtol=1e-5
    )


@unconverged
@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("separation", [1e3, 1e4, 1e6, 1e9])
def test_far_apart_clusters_keep_their_covariances(covariance_type, separation):
    """Moments about a common centre lose digits by the square of the separation."""
    separation = 2.0 ** round(np.log2(separation))
    near = [dyadic(rows(200, 2, 1, seed=i)) for i in (3, 4)]
    X = np.vstack([near[0], near[1] + separation])
    first = reference.Mixture(
        weights=np.array([0.5, 0.5]),
        means=np.array([[0.0, 0.0], [separation, separation]]),
        covariances=start(X[:200], 2, covariance_type).covariances,
        covariance_type=covariance_type,
    )
    ours = GaussianMixture(**initial(first), max_iter=3, tol=0.0, reg_covar=0.0).fit(X)
    scatters = np.array([200 * np.cov(part.T, bias=True) for part in near])
    expected = reference.mixture_covariances(covariance_type, np.array([200.0, 200.0]), scatters)
    np.testing.assert_allclose(ours.covariances_, expected, rtol=1e-8, atol=1e-9)


# --------------------------------------------------------------------------------------
# scale


@unconverged
@pytest.mark.parametrize("scale", [2.0**-40, 2.0**40, 2.0**-400, 2.0**400, 1e-6])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_relative_regularisation_has_no_unit(covariance_type, scale):
    X = rows(300, 3, 2, seed=5)
    first = start(X, 2, covariance_type)
    small = reference.replace(
        first, means=first.means * scale, covariances=first.covariances * scale**2
    )
    parameters = {"relative_reg_covar": 1e-4, "max_iter": 10, "tol": 0.0}
    unit = GaussianMixture(**initial(first), **parameters).fit(X)
    ours = GaussianMixture(**initial(small), **parameters).fit(X * scale)
    np.testing.assert_allclose(ours.weights_, unit.weights_, rtol=1e-10)
    np.testing.assert_allclose(ours.means_ / scale, unit.means_, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(
        ours.covariances_ / scale**2, unit.covariances_, rtol=1e-9, atol=1e-10
    )
    np.testing.assert_array_equal(ours.predict(X * scale), unit.predict(X))


@pytest.mark.parametrize("init_params", ["kmeans", "whitened", "short_em", "auto"])
def test_small_data_are_clustered_with_relative_regularisation(init_params):
    """With the absolute 1e-6 of the default, the clusters of data of size 1e-6 are one."""
    X = np.vstack([rows(100, 2, 1, seed=i) + 8 * i for i in range(2)])
    truth = np.repeat([0, 1], 100)
    ours = GaussianMixture(2, relative_reg_covar=1e-6, init_params=init_params, random_state=0).fit(
        X * 1e-6
    )
    labels = ours.predict(X * 1e-6)
    assert max(np.mean(labels == truth), np.mean(labels != truth)) > 0.98


@unconverged
@pytest.mark.parametrize("covariance_type", ["full", "diag", "tied", "tied_diag"])
def test_relative_regularisation_is_a_fraction_of_each_features_variance(covariance_type):
    X = rows(200, 2, 1, seed=6) * [1.0, 100.0]
    plain = GaussianMixture(covariance_type=covariance_type, reg_covar=0.0).fit(X)
    ours = GaussianMixture(covariance_type=covariance_type, relative_reg_covar=0.1).fit(X)
    added = (
        reference.mixture_matrices(fitted(ours))[0] - reference.mixture_matrices(fitted(plain))[0]
    )
    np.testing.assert_allclose(added, np.diag(0.1 * X.var(axis=0)), rtol=1e-9, atol=1e-9)


def test_relative_regularisation_ignores_the_absolute_one():
    X = rows(200, 2, 1, seed=6)
    one, other = (
        GaussianMixture(relative_reg_covar=0.01, reg_covar=r).fit(X).covariances_
        for r in (0.0, 5.0)
    )
    np.testing.assert_array_equal(one, other)


# --------------------------------------------------------------------------------------
# chunks and threads

CUTS = (
    [],
    [1],
    [999],
    [500],
    [3, 10, 11, 700],
    list(range(37, 1000, 37)),
    [256, 512, 768],
)


def chunked(X, cuts):
    return np.split(X, cuts)


@unconverged
@pytest.mark.parametrize("covariance_type", TYPES)
def test_any_chunks_give_the_fit_of_the_whole(covariance_type):
    X = rows(1000, 3, 3, seed=7)
    parameters = {**initial(start(X, 3, covariance_type)), "max_iter": 8, "tol": 0.0}
    whole = GaussianMixture(**parameters).fit(X)
    for cuts in CUTS:
        ours = GaussianMixture(**parameters).fit_chunks(chunked(X, cuts))
        assert_same(fitted(ours), fitted(whole), rtol=1e-12)
        np.testing.assert_allclose(ours.lower_bounds_, whole.lower_bounds_, rtol=1e-12)
        assert ours.n_iter_ == whole.n_iter_
        assert ours.n_features_in_ == 3


@unconverged
@pytest.mark.parametrize("offset", [0.0, 2.0**27])
def test_chunks_with_weights_from_a_callable(offset):
    X = dyadic(rows(1000, 2, 3, seed=8))
    weights = np.random.default_rng(0).uniform(0, 2, size=1000)
    first = dyadic_start(X, 3, "full")
    first = reference.replace(first, means=first.means + offset)
    parameters = {**initial(first), "max_iter": 8, "tol": 0.0}
    whole = GaussianMixture(**parameters).fit(X + offset, sample_weight=weights)

    def chunks():
        for part in np.array_split(np.arange(1000), 7):
            yield X[part] + offset, weights[part]

    ours = GaussianMixture(**parameters).fit_chunks(chunks)
    assert_same(fitted(ours), fitted(whole), rtol=1e-12, atol=1e-12 if not offset else 1e-9)


@unconverged
def test_chunks_of_a_memmap(tmp_path):
    X = rows(5000, 4, 3, seed=9)
    stored = np.memmap(tmp_path / "rows", dtype=np.float64, mode="w+", shape=X.shape)
    stored[:] = X
    stored.flush()
    stored = np.memmap(tmp_path / "rows", dtype=np.float64, mode="r", shape=X.shape)
    parameters = {**initial(start(X, 3, "full")), "max_iter": 6, "tol": 0.0}
    whole = GaussianMixture(**parameters).fit(X)
    mapped = GaussianMixture(**parameters).fit(stored)
    assert_same(fitted(mapped), fitted(whole), rtol=0)
    parts = [stored[i : i + 777] for i in range(0, 5000, 777)]
    assert_same(fitted(GaussianMixture(**parameters).fit_chunks(parts)), fitted(whole), rtol=1e-12)


@unconverged
def test_chunks_from_the_default_start():
    X = np.vstack([rows(300, 2, 1, seed=i) + 20 * i for i in range(3)])
    X = np.random.default_rng(0).permutation(X)
    ours = GaussianMixture(3, tol=1e-10, random_state=0).fit_chunks(np.array_split(X, 5))
    whole = GaussianMixture(3, tol=1e-10, random_state=0).fit(X)
    order, other = np.argsort(ours.means_[:, 0]), np.argsort(whole.means_[:, 0])
    np.testing.assert_allclose(ours.means_[order], whole.means_[other], rtol=1e-6)


def test_a_generator_cannot_be_read_again():
    X = rows(100, 2, 2)
    with pytest.raises(TypeError, match=r"(?i)generator|iterat|callable|list"):
        GaussianMixture(2).fit_chunks(X[i : i + 10] for i in range(0, 100, 10))


@pytest.mark.parametrize(
    ("chunks", "word"),
    [
        ([], "chunk|sample|empty"),
        ([np.zeros((5, 2)), np.zeros((5, 3))], "feature|column"),
        ([np.full((5, 2), np.nan)], "NaN"),
        ([np.zeros((1, 2))], "row"),
        ([np.zeros(5)], "2D|1D|dim"),
    ],
    ids=["none", "other width", "NaN", "one row", "one-dimensional"],
)
def test_bad_chunks(chunks, word):
    with pytest.raises(ValueError, match=word):
        GaussianMixture(2).fit_chunks(chunks)


@unconverged
@pytest.mark.parametrize("covariance_type", TYPES)
def test_threads_change_no_bit(covariance_type):
    X = rows(60_000, 3, 4, seed=10)
    parameters = {**initial(start(X, 4, covariance_type)), "max_iter": 4, "tol": 0.0}
    fits = [GaussianMixture(**parameters, n_jobs=n_jobs).fit(X) for n_jobs in (None, 1, 2, 3, -1)]
    for other in fits[1:]:
        assert_same(fitted(other), fitted(fits[0]), rtol=0)
        assert list(other.lower_bounds_) == list(fits[0].lower_bounds_)
        np.testing.assert_array_equal(other.predict_proba(X), fits[0].predict_proba(X))


@unconverged
def test_threads_over_starts_change_no_bit():
    X = rows(2000, 2, 4, seed=11)
    parameters = {"n_components": 4, "n_init": 4, "max_iter": 5, "random_state": 0}
    one = GaussianMixture(**parameters, n_jobs=1).fit(X)
    two = GaussianMixture(**parameters, n_jobs=2).fit(X)
    assert_same(fitted(two), fitted(one), rtol=0)


@unconverged
def test_threads_over_patterns_of_holes_change_no_bit():
    X = rows(30_000, 3, 2, seed=11)
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    parameters = {**initial(start(X, 2, "full")), "missing": "em", "max_iter": 2, "tol": 0.0}
    one = GaussianMixture(**parameters, n_jobs=1).fit(X)
    two = GaussianMixture(**parameters, n_jobs=2).fit(X)
    assert_same(fitted(two), fitted(one), rtol=0)


# --------------------------------------------------------------------------------------
# degenerate rows


@pytest.mark.parametrize("covariance_type", TYPES)
def test_a_constant_feature_has_the_regularisation_as_variance(covariance_type):
    X = rows(100, 2, 1, seed=12)
    X[:, 1] = 7.5
    ours = GaussianMixture(covariance_type=covariance_type, reg_covar=1e-4).fit(X)
    matrix = reference.mixture_matrices(fitted(ours))[0]
    if covariance_type.endswith("spherical"):
        assert matrix[1, 1] == pytest.approx(X[:, 0].var() / 2 + 1e-4, rel=1e-12)
    else:
        assert matrix[1, 1] == pytest.approx(1e-4, rel=1e-12)
    assert ours.means_[0, 1] == pytest.approx(7.5, rel=1e-14)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_no_regularisation_of_a_constant_feature_is_refused(covariance_type):
    X = np.full((20, 2), 3.0)
    with pytest.raises(ValueError, match="reg_covar"):
        GaussianMixture(covariance_type=covariance_type, reg_covar=0.0).fit(X)


@unconverged
@pytest.mark.parametrize("covariance_type", TYPES)
def test_an_empty_component_keeps_its_place(covariance_type):
    """scikit-learn moves its mean to the origin, silently."""
    X = rows(100, 2, 1, seed=13) + 5
    shape = start(X, 2, covariance_type).covariances
    first = reference.Mixture(
        weights=np.array([0.5, 0.5]),
        means=np.array([[5.0, 5.0], [1e6, 1e6]]),
        covariances=np.ones_like(shape) if covariance_type != "full" else np.array([np.eye(2)] * 2),
        covariance_type=covariance_type,
    )
    if covariance_type == "tied":
        first = reference.replace(first, covariances=np.eye(2))
    with pytest.warns(UserWarning, match=r"(?i)component"):
        ours = GaussianMixture(**initial(first), max_iter=5).fit(X)
    np.testing.assert_allclose(ours.means_[1], [1e6, 1e6], rtol=1e-9)
    assert ours.weights_[1] == pytest.approx(0, abs=1e-12)
    assert ours.weights_[0] == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(ours.means_[0], X.mean(axis=0), rtol=1e-9)
    for value in (ours.covariances_, ours.precisions_, ours.lower_bound_, ours.score_samples(X)):
        assert np.isfinite(value).all()
    np.testing.assert_allclose(ours.predict_proba(X), np.tile([1.0, 0.0], (100, 1)), atol=1e-12)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "auto"])
def test_fewer_distinct_rows_than_components(covariance_type, init_params):
    """An error, a warning, or all rows shared out: no silent components of weight 1e-17."""
    X = np.repeat([[0.0, 0.0], [1.0, 1.0]], 20, axis=0)
    ours = GaussianMixture(
        5, covariance_type=covariance_type, init_params=init_params, random_state=0
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            ours.fit(X)
        except ValueError:
            return
    assert caught or ours.weights_.min() > 1e-6
    for name in ("weights_", "means_", "covariances_", "precisions_", "lower_bound_"):
        assert np.isfinite(getattr(ours, name)).all(), name
    assert ours.weights_.sum() == pytest.approx(1, abs=1e-10)
    assert np.isfinite(ours.predict_proba(X)).all()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_outlier_does_not_get_a_component_of_no_width_with_a_prior():
    X = np.vstack([rows(200, 2, 1, seed=14), [[40.0, 40.0]]])
    first = reference.Mixture(
        weights=np.array([0.9, 0.1]),
        means=np.array([[0.0, 0.0], [40.0, 40.0]]),
        covariances=np.array([np.eye(2)] * 2),
        covariance_type="full",
    )
    bare = GaussianMixture(**initial(first)).fit(X)
    assert np.linalg.eigvalsh(bare.covariances_[1]).max() < 1e-5
    ours = GaussianMixture(**initial(first), covariance_prior="auto").fit(X)
    assert np.linalg.eigvalsh(ours.covariances_[1]).min() > 1e-3


def test_an_outlier_with_a_component_of_its_own_is_warned_of():
    X = np.vstack([rows(200, 2, 1, seed=14), [[40.0, 40.0]]])
    with pytest.warns(UserWarning, match=r"(?i)component|covariance|variance"):
        GaussianMixture(2, random_state=0).fit(X)


def nearest_component(x, means, precisions):
    """Return which (x - m)' P (x - m) is the smallest, in exact arithmetic."""

    def exact(values):
        return [Fraction(float(v)) for v in values]

    distances = []
    for m, P in zip(means, precisions, strict=True):
        difference = [a - b for a, b in zip(exact(x), exact(m), strict=True)]
        distances.append(
            sum(
                u * p * v
                for u, row in zip(difference, P, strict=True)
                for p, v in zip(exact(row), difference, strict=True)
            )
        )
    ordered = sorted(distances)
    assert ordered[1] - ordered[0] > 4000  # twice what makes exp underflow
    return distances.index(ordered[0])


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("far", [1e10, 1e150, 1e200, 1e300])
def test_posteriors_of_rows_whose_square_overflows(covariance_type, far):
    mixture = start(rows(60, 2, 2, seed=15), 3, covariance_type)
    ours = estimator(mixture)
    X = np.array([[far, 0.0], [-far, far], [0.0, -far]])
    precisions = reference.mixture_matrices(
        reference.replace(mixture, covariances=np.asarray(ours.precisions_))
    )
    nearest = [nearest_component(x, ours.means_, precisions) for x in X]
    np.testing.assert_array_equal(ours.predict(X), nearest)
    np.testing.assert_array_equal(ours.predict_proba(X), np.eye(3)[nearest])
    assert not np.isnan(ours.score_samples(X)).any()
    if far < 1e150:
        np.testing.assert_allclose(
            ours.score_samples(X), reference.mixture_log_density(mixture, X), rtol=1e-9
        )


@unconverged
@pytest.mark.parametrize("factor", [1e120, 1e-120, 1e150, 1e-150, 1e200, 1e-200])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_huge_and_tiny_rows_are_fitted_or_refused(covariance_type, factor):
    X = rows(100, 2, 2, seed=16) * factor
    ours = GaussianMixture(
        2, covariance_type=covariance_type, relative_reg_covar=1e-6, random_state=0
    )
    try:
        ours.fit(X)
    except ValueError:
        return
    assert np.isfinite(ours.means_).all()
    assert np.isfinite(ours.covariances_).all()
    assert np.isfinite(ours.predict_proba(X)).all()
    columns = reference.mixture_moments(fitted(ours))[0] / factor
    np.testing.assert_allclose(columns, (X / factor).mean(axis=0), rtol=1e-6)


def test_lower_bound_belongs_to_the_parameters_before_the_last_step():
    X = rows(200, 2, 2, seed=17)
    first = initial(start(X, 2, "full"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        third = GaussianMixture(**first, max_iter=3, tol=0.0).fit(X)
        fourth = GaussianMixture(**first, max_iter=4, tol=0.0).fit(X)
    assert fourth.lower_bound_ == pytest.approx(third.score(X), rel=1e-12)
    assert list(fourth.lower_bounds_[:3]) == list(third.lower_bounds_)
