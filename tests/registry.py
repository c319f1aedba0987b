"""One line per estimator instance puts it under every contract of test_common.py.

An instance carries what the contracts must know of it: how to make data that it can be fitted
on, which of its fitted attributes are a plain function of the data, and which symmetries hold.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import sklearn
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import Ridge, RidgeClassifier
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skmmd.density import ScoreMatchingDensity, ScoreMatchingEstimator, ScoreMatchingGaussian
from skmmd.hashing import MMDTClassifier, MMDTIndex, MMDTVectorizer
from skmmd.metric_learning import MetricLearner
from skmmd.mixture import GaussianMixture, GaussianMixtureIC
from skmmd.transfer import (
    JointDistributionAdaptation,
    KernelMeanMatching,
    MMDRegularizedClassifier,
    MMDRegularizedRegressor,
    MMDSampleSelector,
    TransferClassifier,
    TransferComponentAnalysis,
    TransferRegressor,
)
from skmmd.two_sample import MMDDriftDetector, MMDTest, MMDTestCV

# --------------------------------------------------------------------------------------
# data: (seed, number of rows) -> X, y


def two_groups(seed=0, n=26):
    """Two groups of unequal size in two dimensions, on a dyadic grid so that shifts are exact."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 13 % 2
    X = np.round((rng.normal(size=(n, 2)) + 0.7 * y[:, None]) * 1024) / 1024
    return X, y


def three_groups(seed=0, n=30):
    rng = np.random.default_rng(seed)
    y = np.array(["ash", "birch", "cedar"])[np.arange(n) % 10 // 4]
    X = np.round((rng.normal(size=(n, 3)) + (y == "cedar")[:, None]) * 1024) / 1024
    return X, y


def three_clusters(seed=0, n=48):
    """Three classes of equal size, large enough to hold out some rows."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    centers = np.random.default_rng(9).normal(size=(3, 3))
    X = np.round((rng.normal(size=(n, 3)) + 2.0 * centers[y]) * 1024) / 1024
    return X, y


def few_rows(seed=0, n=8):
    """So few that all labelings are enumerated."""
    return two_groups(seed, 8)


def gram_matrix(seed=0, n=26):
    X, y = two_groups(seed, n)
    return rbf_kernel(X, gamma=0.5), y


def one_sample(seed=0, n=40):
    return two_groups(seed, n)[0], None


def skewed_sample(seed=0, n=40):
    """One sample that is no Gaussian, positive: an arc, and a column of its own."""
    angle, radius, other = np.random.default_rng(seed).uniform(size=(3, n))
    X = np.column_stack([np.sin(3 * angle), np.cos(3 * angle), other])
    X[:, :2] *= (2 + radius / 2)[:, None]
    return np.round((X + np.array([0.1, 2.6, 0.0])) * 1024) / 1024, None


def clustered_sample(seed=0, n=40):
    return three_clusters(seed, n)[0], None


def rows_with_holes(seed=0, n=40):
    """One sample with missing values, in any feature but never in all of a row."""
    X, _ = one_sample(seed, n)
    X = np.column_stack([X, X[:, 0] - np.roll(X[:, 1], 1)])
    hole = np.random.default_rng(seed + 100).random(X.shape) < 0.2
    hole[np.arange(n), np.arange(n) % 3] = False
    return np.where(hole, np.nan, X), None


def domains_of(rows):
    """Return the domain of the rows with these numbers: of seven the first four are source."""
    rows = np.asarray(rows)
    return np.where(rows % 7 < 4, rows % 3, -1 - rows % 2)


def two_domains(seed=0, n=42):
    """Three classes; the target is shifted, and narrower."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    centers = np.random.default_rng(9).normal(size=(3, 3))
    X = rng.normal(size=(n, 3)) + centers[labels]
    X[domains_of(np.arange(n)) < 0] *= 0.8
    X[domains_of(np.arange(n)) < 0] += 0.3
    return np.round(X * 1024) / 1024, np.array(["ash", "birch", "cedar"])[labels]


def unlabelled_domains(seed=0, n=42):
    return two_domains(seed, n)[0], None


def domains_with_values(seed=0, n=42):
    X, _ = two_domains(seed, n)
    return X, np.sin(X[:, 0]) + X[:, 1] + 0.1 * np.random.default_rng(seed).normal(size=n)


def cosine_gram(A, B):
    """A kernel that a caller brings along; at module level, so that it pickles."""
    A = A / (1.0 + np.linalg.norm(A, axis=1, keepdims=True))
    B = B / (1.0 + np.linalg.norm(B, axis=1, keepdims=True))
    return A @ B.T


def logistic_score(X, theta):
    """The score of a logistic density by its place and scale."""
    return -np.tanh((X - theta[0]) / theta[1] / 2) / theta[1]


def powers(X):
    """Statistics of an exponential family."""
    return np.hstack([X, X**2, X**4])


# --------------------------------------------------------------------------------------
# starts that leave nothing to the seed: (estimator, X, shift, factor) -> parameters with which
# the estimator is fitted on factor * X + shift


def given_start(mixture, X, shift=0.0, factor=1.0):
    """Give the start that the mixture would have on X, moved along with the rows."""
    start = clone(mixture).set_params(max_iter=0).fit(X)
    return {
        "weights_init": start.weights_ / start.weights_.sum(),  # without the noise
        "means_init": factor * start.means_ + shift,
        "precisions_init": start.precisions_ / factor**2,
    }


def single_component(mixture, X, shift=0.0, factor=1.0):
    """One component starts where all rows are."""
    return {"n_components": 1}


# --------------------------------------------------------------------------------------
# instances

# What a plain BaseEstimator gets on scikit-learn 1.9: 41 checks, one more if y is required,
# seven more if fit takes weights, one less if NaN is allowed.
LABELLED, UNLABELLED = 42, 41
WEIGHTED = 7
TRANSFORMER, CLASSIFIER, REGRESSOR = 46, 55, 51
SUPERVISED_TRANSFORMER = 56


@dataclass(frozen=True, eq=False)
class Instance:
    """An estimator with parameters, and its traits."""

    id: str
    estimator: BaseEstimator
    make_data: Callable[..., tuple[np.ndarray, Any]]
    min_checks: int
    # Fitted attributes that are a plain function of the data: no random draw enters, but for the
    # choice of a start, see `pin_start`. Weights of rows move the first.
    determined: tuple[str, ...] = ()
    # Fitted attributes that are drawn at random.
    drawn: tuple[str, ...] = ()
    # Methods whose values are a plain function of the data, too, and of a row.
    functions: tuple[str, ...] = ()
    grid: dict[str, list] = field(default_factory=dict)  # for GridSearchCV
    battery: bool = True  # can be fitted on the data of check_estimator
    translation_invariant: bool = False
    scale_invariant: bool = False
    # A density, or its score, in the units of the rows.
    scale_equivariant: bool = False
    # If the seed chooses a start: parameters that leave it no choice.
    pin_start: Callable[..., dict[str, Any]] | None = None
    allow_nan: bool = False
    several_blocks: int = 1300  # rows that are not dealt with in one piece
    row_order_free: bool = True  # `determined` does not depend on the order of the rows
    swap_symmetric: bool = False  # two groups: the statistic stays, score_samples changes sign
    pairwise: bool = False
    one_class: bool = False  # one label alone is no error
    # The seed enters `determined`, and draws from rows in an order of their own, which neither that
    # of the caller nor threads change, but the rounding of numbers does.
    seeded: bool = False
    sparse: bool = False
    fixed_width: bool = False  # a parameter says how many features there are
    # Takes the same path as another instance but for its numbers: contracts on which numbers have
    # no bearing (copies, frames, pipelines, searches, what is shown) are left to that one.
    repeats: bool = False
    # Numbers of rows -> their `sample_domain`, which `fit` takes beside X and y.
    make_domain: Callable[..., np.ndarray] | None = None
    refuses: tuple[str, ...] = ()  # methods that there are, but that these parameters leave dumb

    def __str__(self):
        return self.id


DETERMINED = ("statistic_", "mmd2_", "gamma_")
DRAWN = ("null_distribution_",)
KERNEL_TRAITS = {
    "rbf": {"translation_invariant": True, "scale_invariant": True},
    "laplacian": {"translation_invariant": True, "scale_invariant": True},
    "imq": {"translation_invariant": True, "scale_invariant": True},
    "rq": {"translation_invariant": True, "scale_invariant": True},
    "energy": {"translation_invariant": True},
    "linear": {"translation_invariant": True},  # the mean cancels in MMD^2, not in the kernel
    "polynomial": {"scale_invariant": True},
}


def _mmd_test(name, data=two_groups, *, traits=None, **parameters):
    parameters = {"n_permutations": 19, "random_state": 0, **parameters}
    return Instance(
        id=f"MMDTest-{name}",
        estimator=MMDTest(**parameters),
        make_data=data,
        **{
            "min_checks": LABELLED + WEIGHTED,
            "determined": DETERMINED,
            "drawn": DRAWN,
            "grid": {"gamma": [0.1, 1.0, "median"]},
            "swap_symmetric": True,
            **(traits or {}),
        },
    )


def _kernel_instances():
    for kernel, invariances in KERNEL_TRAITS.items():
        for estimator in ("unbiased", "biased"):
            for gamma in ("median", "aggregate"):
                if kernel in ("energy", "linear") and gamma == "aggregate":
                    continue  # gamma is ignored
                yield _mmd_test(
                    f"{kernel}-{gamma}-{estimator}",
                    kernel=kernel,
                    gamma=gamma,
                    estimator=estimator,
                    traits={**invariances, "repeats": True},
                )


FITTED = ("means_", "weights_", "covariances_", "precisions_", "lower_bound_", "n_iter_")


def _mixture(name, *, traits=None, **parameters):
    return Instance(
        id=f"GaussianMixture-{name}",
        estimator=GaussianMixture(**{"n_components": 2, "random_state": 0, **parameters}),
        **{
            "make_data": one_sample,
            "min_checks": UNLABELLED + WEIGHTED,
            "determined": FITTED,
            "grid": {"n_components": [1, 2], "tol": [1e-2, 1e-3]},
            "pin_start": given_start,
            "several_blocks": 50_000,
            **(traits or {}),
        },
    )


LEARNED = ("components_", "mean_", "loss_", "n_iter_", "n_passes_", "classes_", "converged_")


def _metric(name, loss="triplet", *, traits=None, **parameters):
    parameters = {"max_iter": 4, "n_passes": 2, "early_stopping": False, **parameters}
    return Instance(
        id=f"MetricLearner-{name}",
        estimator=MetricLearner(loss, **{"random_state": 0, **parameters}),
        **{
            "make_data": three_groups,
            "min_checks": SUPERVISED_TRANSFORMER,
            "determined": LEARNED,
            "grid": {"positives": ["neighbors", "all"], "n_components": [1, 2]},
            "sparse": True,
            "several_blocks": 600,
            **(traits or {}),
        },
    )


SEEDED = {"drawn": ("components_",), "seeded": True}
CLASSES = {"battery": False}  # the margin names the classes, or is for so many
LOSSES = (
    "contrastive",
    "triplet",
    "triplet_center",
    "n_pair",
    "quadruplet",
    "lifted_structure",
)


def _transfer(name, estimator, *, traits=None):
    return Instance(
        id=f"{type(estimator).__name__}-{name}",
        estimator=estimator,
        **{"make_domain": domains_of, "several_blocks": 700, **(traits or {})},
    )


def _matching(name, *, traits=None, **parameters):
    """A tolerance at rounding, so that what is found does not depend on the path."""
    estimator = KernelMeanMatching(**{"tol": 1e-14, "random_state": 0, **parameters})
    return _transfer(
        name,
        estimator,
        traits={
            "make_data": unlabelled_domains,
            "min_checks": UNLABELLED + WEIGHTED,
            "determined": MATCHED,
            "functions": ("predict_weights",),
            "grid": {"alpha": [0.01, 0.1], "gamma": [0.3, "median"]},
            **(traits or {}),
        },
    )


MATCHED = ("effective_sample_size_", "gamma_", "mmd_before_", "mmd_after_", "shift_")
# Which rows are landmarks is drawn, or depends on their order.
DRAWN_LANDMARKS = {"seeded": True, "row_order_free": False}


def _predictor(name, kind, *, traits=None, **parameters):
    classifies = kind in (TransferClassifier, MMDRegularizedClassifier)
    return _transfer(
        name,
        kind(**parameters),
        traits={
            "make_data": two_domains if classifies else domains_with_values,
            "min_checks": (CLASSIFIER if classifies else REGRESSOR) + WEIGHTED,
            "functions": ("decision_function",) if classifies else ("predict",),
            "one_class": not classifies,
            **(traits or {}),
        },
    )


def _weighted_pipeline(estimator):
    """Under metadata routing what takes weights must say that it wants them."""
    with sklearn.config_context(enable_metadata_routing=True):
        return make_pipeline(
            FunctionTransformer(np.arcsinh),
            estimator.set_fit_request(sample_weight=True),
        )


def _transfer_instances():
    stopped_early = {"determined": ("gamma_",), "functions": (), "repeats": True}
    yield _matching("default", tol=1e-6, traits={**stopped_early, **RBF})
    yield _matching("exact", solver="smo", traits=RBF)
    for kernel in ("laplacian", "imq", "rq", "linear", "polynomial"):
        invariances = KERNEL_TRAITS[kernel] if kernel != "linear" else {}
        yield _matching(kernel, kernel=kernel, traits={**invariances, "repeats": True})
    yield _matching("callable", kernel=cosine_gram, traits={"repeats": True})
    yield _matching(
        "nystroem",
        solver="nystroem",
        n_landmarks=6,
        traits={**DRAWN_LANDMARKS, "drawn": ("weights_",), "several_blocks": 4000},
    )
    yield _matching(
        "no-ridge",
        alpha=0,
        sum_bounds=(20, 28),
        max_weight=4.0,
        traits={
            "determined": ("mmd_before_", "mmd_after_", "gamma_"),
            "functions": (),
            "grid": {},
            "refuses": ("predict_weights", "score"),
        },
    )
    by_folds = {**DRAWN_LANDMARKS, "grid": {"gamma": [0.3, "median"]}, "several_blocks": 350}
    yield _matching("alpha-cv", alpha="cv", traits=by_folds)
    yield _matching("sum-bounds", sum_bounds=(30.0, 40.0), traits={**RBF, "repeats": True})
    yield _matching("max-weight", max_weight=1.2, traits={**RBF, "repeats": True})
    for kind, inner in (
        (TransferClassifier, RidgeClassifier),
        (TransferRegressor, Ridge),
    ):
        # Logistic regression stops where rounding tells it to.
        iterative = {"functions": ()} if kind is TransferClassifier else {}
        matching = KernelMeanMatching(tol=1e-14)
        yield _predictor("default", kind, traits=iterative)
        yield _predictor(
            "reweighter",
            kind,
            estimator=inner(),
            reweighter=matching,
            traits={"grid": {"reweighter__alpha": [0.01, 0.1], "reweighter": [matching]}},
        )
        yield _predictor(
            "pipeline", kind, estimator=_weighted_pipeline(inner()), reweighter=matching
        )
    for name, parameters, more in (
        ("default", {}, RBF),
        ("components", {"n_components": 2}, {**RBF, "repeats": True}),
        ("landmarks", {"n_components": 2, "n_landmarks": 8}, DRAWN_LANDMARKS),
        ("mmd-weight", {"mmd_weight": 1e4}, {**RBF, "repeats": True}),
        ("laplacian", {"kernel": "laplacian"}, {**RBF, "repeats": True}),
    ):
        traits = {
            "make_data": unlabelled_domains,
            "min_checks": TRANSFORMER + 1,  # keeps float32
            "determined": ("eigenvalues_", "gamma_"),
            "functions": ("transform",),
            "drawn": ("dual_coef_",) if "n_landmarks" in parameters else (),
            **more,
        }
        estimator = TransferComponentAnalysis(**{"random_state": 0, **parameters})
        yield _transfer(name, estimator, traits=traits)
        if name in ("default", "components", "landmarks"):
            traits |= {"make_data": two_domains, "min_checks": TRANSFORMER + 2}
            traits |= {"determined": (*traits["determined"], "n_iter_", "converged_")}
            estimator = JointDistributionAdaptation(**{"random_state": 0, **parameters})
            yield _transfer(name, estimator, traits=traits)
            if name == "default":
                estimator = JointDistributionAdaptation(ridge=0.1, random_state=0)
                yield _transfer("ridge", estimator, traits={**traits, "repeats": True})
    for kind in (MMDRegularizedClassifier, MMDRegularizedRegressor):
        rounds = ("n_iter_", "converged_") if kind is MMDRegularizedClassifier else ()
        traits = {"determined": ("gamma_", *rounds), "grid": {"alpha": [0.01, 0.1]}}
        yield _predictor("default", kind, traits={**traits, **RBF})
        few = {**traits, "row_order_free": False}
        yield _predictor("landmarks", kind, n_landmarks=10, traits=few)
        if kind is MMDRegularizedClassifier:
            for part in ("conditional", "marginal"):
                parameters = {part: False}
                more = {**traits, **RBF, "repeats": True}
                yield _predictor(f"not-{part}", kind, traits=more, **parameters)
    for method in ("greedy", "herding", "critic"):
        yield _transfer(
            method,
            MMDSampleSelector(4, method=method, random_state=0),
            traits={
                "make_data": unlabelled_domains,
                "min_checks": UNLABELLED,
                "determined": ("mmd_path_", "gamma_"),
                "several_blocks": 8000 if method == "greedy" else 700,
                "repeats": method == "herding",
                **RBF,
            },
        )


# Which rows are centres is drawn, from the distinct rows in sorted order.
DRAWN_CENTERS = {"drawn": ("centers_",), "seeded": True}


def _density(name, *, traits=None, **parameters):
    """Few centres and draws; what is fixed leaves nothing to select."""
    small = {"n_components": 10, "n_normalizer_samples": 500, "cv": 2, "random_state": 0}
    return Instance(
        id=f"ScoreMatchingDensity-{name}",
        estimator=ScoreMatchingDensity(**{**small, **parameters}),
        **{
            "make_data": skewed_sample,
            "min_checks": UNLABELLED + WEIGHTED,
            "determined": ("log_normalizer_", "alpha_"),
            "functions": ("score_samples", "score_function"),
            "grid": {"alpha": [0.01, 0.1], "bandwidth": [0.7, "median"]},
            "several_blocks": 4200,
            "translation_invariant": True,
            "scale_equivariant": True,
            **DRAWN_CENTERS,
            **(traits or {}),
        },
    )


FIXED = {"bandwidth": 0.8, "alpha": 0.01, "base": "gaussian", "loss": "explicit"}
# A grid in place of a search, for what differs elsewhere.
QUICK = {"bandwidth": "median", "base": "gaussian"}


def _density_instances():
    again = {"repeats": True, "several_blocks": 2100}
    # check_estimator runs on one instance for each way through `fit`.
    alike = {**again, "battery": False}
    # With few rows f = 0 may be chosen, whose normaliser is 1 with any weights.
    chosen = {"determined": ("held_out_score_",)}
    # A search follows rounding errors.
    searched = {**again, "make_data": clustered_sample, "translation_invariant": False}
    yield _density("default", traits=searched)
    yield _density("selected", **QUICK, traits={"battery": False, **chosen})
    yield _density("fixed", **FIXED, traits={"several_blocks": 2100})
    unit = {"translation_invariant": False, **again}
    yield _density("imq", kernel="imq", bandwidth="cv", base="gaussian", traits=alike)
    mixture = {**alike, "make_data": clustered_sample}
    yield _density("gmm", **{**FIXED, "base": "gmm"}, traits=mixture)
    # A column that never varies, as check_estimator has, cannot be left out of a base.
    yield _density(
        "estimator",
        **{**FIXED, "base": GaussianMixture(2, reg_covar=0.0, random_state=0)},
        traits=mixture,
    )
    yield _density(
        "nonnegative", domain="nonnegative", bandwidth="median", traits={**unit, **chosen}
    )
    yield _density(
        "score-matching",
        selection="score_matching",
        n_normalizer_samples=0,
        **QUICK,
        traits={
            **alike,  # without normaliser there is no score_samples, which check_estimator calls
            "determined": ("held_out_score_", "alpha_"),
            "functions": ("score_function", "unnormalized_log_density"),
            "refuses": ("score_samples",),
        },
    )
    yield _density("nystroem", basis="nystroem", **FIXED, traits=again)
    # The cube of the number of rows; and all are centres.
    cubic = {**mixture, "several_blocks": 60, "drawn": ()}
    yield _density("full", basis="full", **FIXED, traits=cubic)
    yield _density("refined", refine=True, **QUICK, traits={**again, **chosen})
    yield _density("unwhitened", whiten=False, **QUICK, traits=alike)
    yield _density("sliced", **{**FIXED, "loss": "sliced"}, traits=alike)
    noisy = {**FIXED, "loss": "denoising", "noise_scale": 0.1}
    yield _density("denoising", **noisy, traits=alike)
    yield _density("noisy", kernel="rq", **noisy, traits=alike)
    for name, parameters, data in (
        ("default", {}, one_sample),
        ("sparse", {"alpha": 0.1}, one_sample),
        ("nonnegative", {"domain": "nonnegative"}, skewed_sample),
        ("sparse-nonnegative", {"domain": "nonnegative", "alpha": 0.1}, skewed_sample),
    ):
        yield Instance(
            f"ScoreMatchingGaussian-{name}",
            ScoreMatchingGaussian(**parameters),
            data,
            UNLABELLED + WEIGHTED,
            determined=("log_normalizer_", "covariance_", "precision_"),
            functions=("score_samples", "score_function"),
            grid={"alpha": [0.0, 0.1]},
            translation_invariant="domain" not in parameters,
            scale_equivariant=name != "sparse",
            repeats="domain" in parameters,
            battery=name != "sparse-nonnegative",
        )
    family = {"statistics": powers}
    for name, parameters in (
        ("default", {}),
        ("statistics", family),
        ("score_func", {"score_func": logistic_score, "theta0": [0.0, 1.0]}),
        ("sliced", {"loss": "sliced"}),
        ("denoising", {"loss": "denoising"}),
    ):
        seeded = name in ("sliced", "denoising")
        yield Instance(
            f"ScoreMatchingEstimator-{name}",
            ScoreMatchingEstimator(**{"random_state": 0, **parameters}),
            one_sample,
            UNLABELLED + WEIGHTED,
            determined=("loss_",),
            drawn=("theta_",) if seeded else (),
            # A search stops where rounding tells it to.
            functions=() if name == "score_func" else ("score_function",),
            seeded=seeded,
            translation_invariant=name in ("default", "denoising"),
            scale_equivariant=name != "score_func",
            grid={"loss": ["explicit", "denoising"], "noise_scale": [0.1]},
            repeats=seeded,
        )


HOLES = {
    "make_data": rows_with_holes,
    "allow_nan": True,
    "min_checks": UNLABELLED + WEIGHTED - 1,
}
RBF = KERNEL_TRAITS["rbf"]
FIXED_GAMMA = {"translation_invariant": True}
# Which rows are landmarks depends on their order.
LANDMARKS = {"row_order_free": False, "swap_symmetric": False}

INSTANCES = [
    Instance(
        "MMDTest-default",
        MMDTest(random_state=0),
        two_groups,
        LABELLED + WEIGHTED,
        DETERMINED,
        DRAWN,
        grid={"gamma": [0.1, 1.0]},
        swap_symmetric=True,
        **RBF,
    ),
    *_kernel_instances(),
    _mmd_test("gamma-number", gamma=0.3, traits=FIXED_GAMMA),
    _mmd_test("gamma-tuple", gamma=(0.1, 1.0, 3.0), traits=FIXED_GAMMA),
    _mmd_test("gamma-array", gamma=np.array([2.0, 0.5]), traits=FIXED_GAMMA),
    _mmd_test("permutation", method="permutation", traits=RBF),
    _mmd_test("binned", method="binned", n_bins=6, traits=RBF),
    _mmd_test("binned-median", method="binned", n_bins=6, gamma="median", traits=RBF),
    _mmd_test("nystroem", method="nystroem", n_components=6, traits={**RBF, **LANDMARKS}),
    _mmd_test(
        "nystroem-laplacian",
        method="nystroem",
        n_components=6,
        kernel="laplacian",
        gamma=0.7,
        traits={**FIXED_GAMMA, **LANDMARKS},
    ),
    _mmd_test("no-permutations", n_permutations=0, traits={**RBF, "drawn": ()}),
    _mmd_test("three-groups", three_groups, traits={**RBF, "swap_symmetric": False}),
    _mmd_test(
        "three-groups-biased",
        three_groups,
        estimator="biased",
        gamma="median",
        traits={**RBF, "swap_symmetric": False},
    ),
    _mmd_test(
        "three-groups-nystroem",
        three_groups,
        method="nystroem",
        n_components=6,
        traits={**RBF, **LANDMARKS},
    ),
    _mmd_test("callable", kernel=cosine_gram, gamma=1.0, traits={"grid": {}}),
    _mmd_test(
        "precomputed",
        gram_matrix,
        kernel="precomputed",
        # Three checks of weights need rows; one of shape comes instead.
        traits={
            "grid": {"estimator": ["biased", "unbiased"]},
            "pairwise": True,
            "min_checks": LABELLED + WEIGHTED - 2,
        },
    ),
    # All labelings of the data of check_estimator are too many to enumerate.
    _mmd_test(
        "enumerated", few_rows, method="auto", n_permutations=99, traits={**RBF, "drawn": ()}
    ),
    _mmd_test("exact", few_rows, method="exact", traits={**RBF, "drawn": (), "battery": False}),
    # The cross-MMD is defined for two groups only; check_estimator fits three.
    _mmd_test(
        "asymptotic",
        method="asymptotic",
        gamma="median",
        traits={
            **RBF,
            **LANDMARKS,
            "battery": False,
            "drawn": (),
        },
    ),
    Instance(
        "MMDTestCV-default",
        MMDTestCV(random_state=0),
        two_groups,
        LABELLED,
        drawn=DRAWN,
        row_order_free=False,
    ),
    Instance(
        "MMDTestCV-few-folds",
        MMDTestCV(n_splits=2, test_size=0.4, random_state=0, n_permutations=19),
        two_groups,
        LABELLED,
        drawn=DRAWN,
        row_order_free=False,
    ),
    Instance(
        "MMDDriftDetector-default",
        MMDDriftDetector(random_state=0),
        one_sample,
        UNLABELLED,
        row_order_free=False,
    ),
    Instance(
        "MMDDriftDetector-laplacian",
        MMDDriftDetector(kernel="laplacian", gamma="median", estimator="biased", random_state=0),
        one_sample,
        UNLABELLED,
        row_order_free=False,
    ),
    Instance(
        "MMDDriftDetector-bounded",
        MMDDriftDetector(max_reference=16, random_state=0),
        one_sample,
        UNLABELLED,
        row_order_free=False,
    ),
    *(
        Instance(f"MMDTVectorizer-{name}", MMDTVectorizer(**parameters), one_sample, TRANSFORMER)
        for name, parameters in {
            "default": {},
            "sums": {"features": "sums"},
            "circular": {"features": "circular", "dtype": np.float64},
            "counts": {"features": ("histogram", "bigrams"), "scaling": (-3.0, 3.0)},
            "all": {"features": ["all", "sums"], "on_error": "warn"},
        }.items()
    ),
    *(
        Instance(f"MMDTIndex-{name}", MMDTIndex(**parameters), one_sample, TRANSFORMER)
        for name, parameters in {
            "default": {},
            "exact-bucket": {"tolerance": 0, "metric": "manhattan"},
            "radius": {"tolerance": None, "radius": 0.1, "metric": "circular"},
        }.items()
    ),
    *(
        Instance(
            f"MMDTClassifier-{name}",
            MMDTClassifier(**parameters),
            data,
            CLASSIFIER,
            grid={"metric": ["mmdt", "manhattan", "circular"], "n_neighbors": [1, 3]},
            # Of two numbers a digest tells too little for the votes of several to be right, and
            # check_estimator has labels of many types, beside which one label cannot stand.
            battery=name not in ("votes", "rejecting"),
            one_class=True,
        )
        for name, parameters, data in (
            ("default", {}, two_groups),
            ("circular", {"metric": "circular", "threshold": 0.9}, two_groups),
            ("bucket", {"method": "bucket", "tolerance": 2}, three_groups),
            ("exact-bucket", {"method": "bucket", "tolerance": 0, "n_jobs": 2}, three_groups),
            ("votes", {"n_neighbors": 3, "metric": "circular"}, three_groups),
            ("rejecting", {"reject_label": "none", "threshold": 0.5}, three_groups),
        )
    ),
    *(
        _mixture(
            f"{covariance_type}-{n_components}",
            n_components=n_components,
            covariance_type=covariance_type,
            traits={"repeats": n_components != 2},
        )
        for covariance_type in ("full", "tied", "diag", "spherical", "tied_diag", "tied_spherical")
        for n_components in (1, 2, 3)
    ),
    _mixture("missing", missing="em", traits=HOLES),
    _mixture("missing-diag", missing="em", covariance_type="diag", traits=HOLES),
    _mixture("squarem", accelerate="squarem", tol=1e-6, max_iter=1000),
    _mixture("anderson", accelerate="anderson"),
    _mixture("aitken", stopping="aitken"),
    _mixture("auto", init_params="auto"),
    _mixture("short_em", init_params="short_em", n_init=2, n_jobs=2),
    _mixture("whitened", init_params="whitened"),
    _mixture("random", init_params="random"),
    _mixture("random_from_data", init_params="random_from_data"),
    _mixture("k-means++", init_params="k-means++"),
    _mixture("prior", covariance_prior="auto"),
    _mixture("relative", relative_reg_covar=1e-3),
    # check_estimator has constant features, which have no box to spread noise over.
    _mixture(
        "noise",
        noise="uniform",
        traits={"determined": (*FITTED, "noise_weight_"), "battery": False},
    ),
    *(
        Instance(
            f"GaussianMixtureIC-{name}",
            GaussianMixtureIC(random_state=0, **parameters),
            one_sample,
            UNLABELLED + WEIGHTED,
            determined=(*FITTED, "best_score_", "n_components_", "covariance_type_"),
            grid={"criterion": ["bic", "icl"]},
            pin_start=single_component,
        )
        for name, parameters in {
            "default": {},
            "icl": {"n_components": (1, 2), "criterion": "icl", "n_jobs": 2},
            "one": {"n_components": 2, "covariance_type": "tied_diag"},
        }.items()
    ),
    *(
        _metric(
            f"{loss}-default",
            loss,
            max_iter=100,
            n_passes="auto",
            early_stopping="auto",
            traits={"several_blocks": 300, "repeats": loss != "triplet"},
        )
        for loss in LOSSES
    ),
    *(
        _metric(
            f"{loss}-all",
            loss,
            positives="all",
            n_components=2,
            # Lanes of more than one block, where that is cheap.
            traits={"several_blocks": 300 if loss in ("triplet", "quadruplet") else 1100},
        )
        for loss in LOSSES
    ),
    _metric("one-component", n_components=1, n_neighbors=1, pull_weight=0.8),
    _metric("normalized", normalize=True, margin=0.3),
    _metric("penalty", "n_pair", alpha=0.2, n_components=2, init="pca"),
    # Without a penalty its few steps are long, and rounding grows with them.
    _metric("nca", "nca", alpha=0.1),
    _metric("lda", "lifted_structure", n_components=2, init="lda", class_weight="balanced"),
    _metric("random", "contrastive", init="random", pull_weight=0.3, traits=SEEDED),
    _metric(
        "held-out",
        early_stopping=True,
        n_passes=4,
        traits={"seeded": True, "drawn": ("validation_score_",), "make_data": three_clusters},
    ),
    _metric(
        "adam",
        "lifted_structure",
        solver="adam",
        early_stopping=True,
        batch_size=16,
        traits=SEEDED,
    ),
    *(
        _metric(
            mining,
            loss,
            mining=mining,
            positives=positives,
            batch_size=16,
            traits=SEEDED,
        )
        for mining, loss, positives in (
            ("hard", "triplet", "all"),
            ("semihard", "quadruplet", "neighbors"),
            ("distance_weighted", "contrastive", "neighbors"),
        )
    ),
    _metric(
        "mined-lbfgs",
        solver="lbfgs",
        mining="hard",
    ),
    _metric(
        "given-start",
        init=np.array([[1.0, 0.5, 0.0], [0.0, 1.0, -1.0]]),
        traits={"battery": False, "fixed_width": True, "grid": {"n_neighbors": [1, 3]}},
    ),
    _metric(
        "margin-matrix",
        margin=np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 0.5], [1.5, 1.0, 0.0]]),
        traits=CLASSES,
    ),
    _metric(
        "margin-names",
        "lifted_structure",
        margin={("ash", "birch"): 2.0, ("birch", "cedar"): 0.5},
        positives="all",
        traits=CLASSES,
    ),
    *_transfer_instances(),
    *_density_instances(),
]
