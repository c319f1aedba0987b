"""The tour's part of :mod:`skmmd.mixture`."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import sklearn.mixture
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

from skmmd._chunked import single_threaded_blas
from skmmd._cli._figures import new_figure
from skmmd._cli._tour._findings import Figure, Finding, Part, timed
from skmmd.inspection import MixtureDisplay
from skmmd.inspection._axes import FIRST, INK, NULL, REST
from skmmd.mixture import GaussianMixture, GaussianMixtureIC

__all__ = ["PART"]

FloatArray = NDArray[np.float64]
Labels = NDArray[np.intp]

_WIDTH, _HEIGHT = 5.4, 4.0
_BETTER: Mapping[str, Any] = {
    "init_params": "auto",
    "accelerate": "squarem",
    "tol": 1e-6,
    "max_iter": 2000,
    "random_state": 0,
}
_BETTER_CALL = 'init_params="auto", accelerate="squarem", tol=1e-6'
_TYPES = ("full", "tied", "diag", "spherical")


def _rand_index(labels: Labels, mixture: GaussianMixture, X: FloatArray) -> float:
    return float(adjusted_rand_score(labels, mixture.predict(X)))


def _scaled(load: Any) -> tuple[FloatArray, Labels]:
    X, labels = load(return_X_y=True)
    return StandardScaler().fit_transform(X), labels


def _grouped_bars(
    ax: Any, groups: Sequence[str], bars: Mapping[str, Sequence[float]], form: str = ".2f"
) -> None:
    """Draw a bar for each group and name, with its value; the first name in a colour of its own."""
    height = 0.8 / len(bars)
    colors = [FIRST, NULL, "#d1d9e0", INK]
    for place, (name, values) in enumerate(bars.items()):
        drawn = ax.barh(
            np.arange(len(groups)) + (place - (len(bars) - 1) / 2) * height,
            values,
            height=height,
            color=colors[place],
            label=name,
        )
        texts = [f" {value:{form}}" for value in values]
        ax.bar_label(drawn, texts, fontsize="x-small", color=INK)
    ax.set_yticks(range(len(groups)), groups, fontsize="small")
    ax.invert_yaxis()
    ax.margins(x=0.15)
    ax.spines[["top", "right"]].set_visible(False)


def _legend(drawn: Any, ax: Any, n_columns: int) -> None:
    handles, labels = ax.get_legend_handles_labels()
    drawn.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=n_columns,
        frameon=False,
        fontsize="small",
    )


# --------------------------------------------------------------------------------------
# how many components


def _kinds_of_iris(quick: bool) -> Finding:
    iris = load_iris()
    X, species = iris.data, iris.target
    search, seconds = timed(lambda: GaussianMixtureIC(relative_reg_covar=1e-3, **_BETTER).fit(X))
    # With the ridge of scikit-learn, which is far below what the measurements are rounded to.
    bare = GaussianMixtureIC(**_BETTER).fit(X)
    narrow = bare.best_estimator_.covariances_.min()
    three = GaussianMixture(3, relative_reg_covar=1e-3, **_BETTER).fit(X)
    found = adjusted_rand_score(species, search.predict(X))
    known = _rand_index(species, three, X)
    curve = new_figure(_WIDTH, _HEIGHT)
    search.plot(ax=curve.subplots())
    ellipses = new_figure(_WIDTH, _HEIGHT)
    MixtureDisplay.from_estimator(three, X, features=(2, 3), feature_names=iris.feature_names).plot(
        ax=ellipses.subplots()
    )
    return Finding(
        title="Kinds of iris",
        question="Nobody says how many species there are. How many components does BIC find?",
        data=f"iris, {X.shape[0]} x {X.shape[1]}",
        call=f"GaussianMixtureIC(relative_reg_covar=1e-3, {_BETTER_CALL}).fit(X)",
        outcome=f"{search.n_components_} {search.covariance_type_}, ARI {found:.2f}; "
        f"told 3: ARI {known:.2f}",
        reading=f"There are three species. BIC prefers {search.n_components_} components "
        f"({search.best_score_:.1f}) to three ({three.bic(X):.1f}; lower is better): two of the "
        "species overlap, and 150 flowers do not pay for another covariance. Without the relative "
        f"ridge, {bare.n_components_} {bare.covariance_type_} components look best "
        f"({bare.best_score_:.1f}), one of them with a variance of {narrow:.0e}: widths are "
        "rounded to a millimetre, and a component may sit on one value. Good starts find such "
        "maxima; a ridge as wide as the rounding takes them away.",
        seconds=seconds,
        figures=(
            Figure(
                "iris_bic",
                "BIC by the number of components, a line for each covariance type; the ring marks "
                "the lowest.",
                curve,
            ),
            Figure(
                "iris_components",
                "Three components in two of the four measurements: ellipses hold half and 95 % of "
                "a component, colours are the most probable one.",
                ellipses,
            ),
        ),
    )


# --------------------------------------------------------------------------------------
# missing values


def _filled_in(
    X: FloatArray, labels: Labels, share: float, seed: int
) -> tuple[list[float], list[float]]:
    """Delete values; return root mean squared errors and ARIs by EM, neighbours and means."""
    gone = np.random.default_rng(seed).random(X.shape) < share
    rows = np.where(gone, np.nan, X)
    mixture = GaussianMixture(3, covariance_type="tied", missing="em", **_BETTER).fit(rows)
    errors = [float(np.sqrt(np.mean((mixture.predict_missing(rows) - X)[gone] ** 2)))]
    indices = [_rand_index(labels, mixture, rows)]
    for imputer in (KNNImputer(n_neighbors=5), SimpleImputer()):
        filled = imputer.fit_transform(rows)
        errors.append(float(np.sqrt(np.mean((filled - X)[gone] ** 2))))
        after = GaussianMixture(3, covariance_type="tied", **_BETTER).fit(filled)
        indices.append(_rand_index(labels, after, filled))
    return errors, indices


def _a_fifth_is_missing(quick: bool) -> Finding:
    share, seeds = 0.2, range(3 if quick else 10)
    sets = {"iris": _scaled(load_iris), "wine": _scaled(load_wine)}
    found, seconds = timed(
        lambda: {
            name: np.mean([_filled_in(*rows, share, seed) for seed in seeds], axis=0)
            for name, rows in sets.items()
        }
    )
    names = ("EM", "5 nearest neighbours", "means")
    drawn = new_figure(7.6, 3.2)
    axes = drawn.subplots(1, 2)
    for ax, row, label in (
        (axes[0], 0, "error of what was filled in (std = 1)"),
        (axes[1], 1, "ARI of the components with the classes"),
    ):
        bars = {name: [found[each][row, i] for each in sets] for i, name in enumerate(names)}
        _grouped_bars(ax, list(sets), bars)
        ax.set_xlabel(label, fontsize="small")
    _legend(drawn, axes[0], 3)
    iris, wine = found["iris"], found["wine"]
    better = names[int(np.argmax(wine[1]))]
    return Finding(
        title="A fifth is missing",
        question="One value in five is deleted at random. Are the classes still found, and how "
        "near to the truth is what is filled in?",
        data=f"iris, wine, {len(seeds)} times 20 % NaN",
        call=f'GaussianMixture(3, covariance_type="tied", missing="em", {_BETTER_CALL})'
        ".fit(X).predict_missing(X)",
        outcome=f"iris: error {iris[0, 0]:.2f}, by means {iris[0, 2]:.2f}",
        reading="EM averages over what is missing, given what is there: nothing is filled in "
        f"before the fit. On iris the ARI is {iris[1, 0]:.2f}, after filling in means "
        f"{iris[1, 2]:.2f}, by neighbours {iris[1, 1]:.2f}. On wine, 13 columns that tell less of "
        f"each other, EM's error is {wine[0, 0]:.2f}, the neighbours' {wine[0, 1]:.2f}; the best "
        f"ARI there, {wine[1].max():.2f}, is that of: {better}.",
        seconds=seconds,
        figures=(
            Figure(
                "missing_values",
                "Left: root mean squared error of deleted values, in standard deviations; shorter "
                "is better. Right: agreement of three components with the classes; longer is "
                "better.",
                drawn,
            ),
        ),
    )


# --------------------------------------------------------------------------------------
# noise


def _rows_that_belong_nowhere(quick: bool) -> Finding:
    iris = load_iris()
    X, species = iris.data, iris.target
    n_strangers, draws = 30, range(2 if quick else 6)
    low, span = X.min(axis=0), np.ptp(X, axis=0)

    def fit(seed: int, noise: str | None) -> tuple[GaussianMixture, FloatArray]:
        rng = np.random.default_rng(seed)
        strangers = rng.uniform(low - span / 2, low + 1.5 * span, (n_strangers, X.shape[1]))
        rows = np.vstack([X, strangers])
        return GaussianMixture(3, covariance_type="tied", noise=noise, **_BETTER).fit(rows), rows

    with_noise, seconds = timed(lambda: [fit(seed, "uniform") for seed in draws])
    without = [fit(seed, None) for seed in draws]
    better, plain = (
        np.array([_rand_index(species, mixture, X) for mixture, _ in fits])
        for fits in (with_noise, without)
    )
    caught = np.mean([(m.predict(rows[len(X) :]) == -1).mean() for m, rows in with_noise])
    lost = np.mean([(m.predict(X) == -1).mean() for m, _ in with_noise])
    weight = np.mean([mixture.noise_weight_ for mixture, _ in with_noise])
    drawn = new_figure(8.4, 4.0)
    for ax, (mixture, rows), title in zip(
        drawn.subplots(1, 2, sharey=True),
        (without[0], with_noise[0]),
        ("three components", 'three and noise="uniform"'),
        strict=True,
    ):
        MixtureDisplay.from_estimator(
            mixture, rows, features=(2, 3), feature_names=iris.feature_names
        ).plot(ax=ax)
        ax.get_legend().remove()
        ax.set_title(title, fontsize="medium")
    return Finding(
        title="Rows that belong nowhere",
        question=f"Among the flowers are {n_strangers} rows of random numbers. Does the mixture "
        "still see the species?",
        data=f"iris, {len(draws)} times {len(X)} + {n_strangers} random",
        call=f'GaussianMixture(3, covariance_type="tied", noise="uniform", {_BETTER_CALL}).fit(X)',
        outcome=f"ARI of the flowers {plain.mean():.2f}, with noise {better.mean():.2f}",
        reading=f"The noise is one more component, of constant density. It takes {caught:.0%} of "
        f"the random rows and {lost:.1%} of the flowers, as label -1; its weight comes out as "
        f"{weight:.2f}, and {n_strangers / (n_strangers + len(X)):.2f} are random.",
        seconds=seconds,
        figures=(
            Figure(
                "noise",
                "Flowers and random rows in two of four measurements. Left: components stretch to "
                "cover what belongs to none. Right: the noise takes it.",
                drawn,
            ),
        ),
    )


# --------------------------------------------------------------------------------------
# regression


def _explained(
    rows: FloatArray, share: float, seeds: Sequence[int], mixtures: Mapping[str, GaussianMixture]
) -> tuple[dict[str, float], float]:
    """Return R2 of the last column in cross-validation, and how often 90 % intervals cover it.

    Each method gets the same rows, a share of whose inputs is deleted.
    """
    squares = dict.fromkeys([*mixtures, "least squares"], 0.0)
    covered = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        for train, test in KFold(10, shuffle=True, random_state=seed).split(rows):
            scaler = StandardScaler().fit(rows[train])
            seen, asked = scaler.transform(rows[train]), scaler.transform(rows[test])
            gone = rng.random(asked.shape) < share
            gone[:, -1] = True
            truth, holes = asked[:, -1], np.where(gone, np.nan, asked)
            for name, mixture in mixtures.items():
                filled, cov = mixture.fit(seen).predict_missing(holes, return_cov=True)
                squares[name] += float(((filled[:, -1] - truth) ** 2).sum())
                if name == next(iter(mixtures)):
                    far = np.abs(filled[:, -1] - truth) / np.sqrt(cov[:, -1, -1])
                    covered.append(far < 1.6449)
            line = LinearRegression().fit(seen[:, :-1], seen[:, -1])
            # Columns are scaled: the mean of each is zero.
            guess = line.predict(np.where(gone, 0.0, asked)[:, :-1])
            squares["least squares"] += float(((guess - truth) ** 2).sum())
    total = len(rows) * len(seeds)
    return {name: 1.0 - value / total for name, value in squares.items()}, float(
        np.concatenate(covered).mean()
    )


def _regression_with_gaps(quick: bool) -> Finding:
    X, progression = load_diabetes(return_X_y=True)
    rows = np.column_stack([X, progression])
    mixtures = {
        "1 component": GaussianMixture(1),
        "2 components": GaussianMixture(2, covariance_type="full", **_BETTER),
    }
    shares = (0.0, 0.3, 0.5)
    seeds = range(1 if quick else 3)
    found, seconds = timed(lambda: [_explained(rows, share, seeds, mixtures) for share in shares])
    explained = [each for each, _ in found]
    drawn = new_figure(_WIDTH, _HEIGHT)
    ax = drawn.subplots()
    for name, color, marker in (
        ("1 component", FIRST, "o"),
        ("2 components", INK, "s"),
        ("least squares", REST, "^"),
    ):
        values = [each[name] for each in explained]
        ax.plot(shares, values, color=color, marker=marker, linewidth=1.4, label=name)
    ax.set_xlabel("share of the inputs that is missing")
    ax.set_ylabel("explained variance of held-out patients")
    ax.set_ylim(bottom=0.0)
    ax.legend(frameon=False, fontsize="small")
    ax.spines[["top", "right"]].set_visible(False)
    complete, gaps = explained[0], explained[1]
    return Finding(
        title="Regression with gaps",
        question="Ten measurements of a patient predict how diabetes proceeds. What if some of "
        "them are missing?",
        data=f"diabetes, {rows.shape[0]} x {rows.shape[1]}, 10 folds",
        call="GaussianMixture(1).fit(all_columns).predict_missing(X, return_cov=True)",
        outcome=f"R2 {gaps['1 component']:.2f}, least squares {gaps['least squares']:.2f}, "
        "30 % gone",
        reading="A mixture of inputs and target together predicts the target from whatever is "
        "there. Least squares needs all inputs, and here gets the mean where one is missing. With "
        f"complete inputs there is nothing to gain: one component is least squares "
        f"({complete['1 component']:.4f} and {complete['least squares']:.4f}), and a second "
        f"one hardly changes it ({complete['2 components']:.4f}). Of the intervals that should "
        f"cover 90 %, {found[1][1]:.0%} do.",
        seconds=seconds,
        figures=(
            Figure(
                "diabetes_gaps",
                "Explained variance of held-out patients against the share of inputs that was "
                "deleted.",
                drawn,
            ),
            _iris_regression(),
        ),
    )


def _iris_regression() -> Figure:
    iris = load_iris()
    columns = [2, 1]
    rows = iris.data[:, columns]
    grid = np.linspace(rows[:, 0].min(), rows[:, 0].max(), 200)
    mixture = GaussianMixture(2, **_BETTER).fit(rows)
    mean, cov = mixture.regress(grid[:, None], indices=[0], return_cov=True)
    band = 2.0 * np.sqrt(cov[:, 0, 0])
    line = LinearRegression().fit(rows[:, :1], rows[:, 1])
    drawn = new_figure(_WIDTH, _HEIGHT)
    ax = drawn.subplots()
    ax.scatter(*rows.T, s=12, color=NULL, linewidths=0)
    ax.fill_between(grid, mean[:, 0] - band, mean[:, 0] + band, color=FIRST, alpha=0.15)
    ax.plot(grid, mean[:, 0], color=FIRST, linewidth=2.0, label="2 components, 2 std")
    ax.plot(grid, line.predict(grid[:, None]), color=REST, linestyle="--", label="least squares")
    ax.set_xlabel(iris.feature_names[columns[0]])
    ax.set_ylabel(iris.feature_names[columns[1]])
    ax.legend(frameon=False, fontsize="small")
    ax.spines[["top", "right"]].set_visible(False)
    return Figure(
        "iris_regression",
        "Where relations differ between groups a line is wrong for each: width of the sepal, "
        "given the length of the petal, for two components, and the line of least squares.",
        drawn,
    )


# --------------------------------------------------------------------------------------
# EM itself


def _slow_cases() -> dict[str, tuple[FloatArray, int, str]]:
    cells = _scaled(load_breast_cancer)[0]
    digits = load_digits(return_X_y=True)[0]
    return {
        "digits in 8 directions,\n10 full": (_directions(digits, 8), 10, "full"),
        "breast_cancer in 2,\n3 full": (_directions(cells, 2), 3, "full"),
        "iris, 5 tied": (load_iris(return_X_y=True)[0], 5, "tied"),
        "breast_cancer, 3 tied": (cells, 3, "tied"),
    }


def _directions(X: FloatArray, count: int) -> FloatArray:
    found: FloatArray = PCA(count, svd_solver="full").fit_transform(X)
    return found


def _fewer_passes(quick: bool) -> Finding:
    cases = _slow_cases()
    methods: dict[str, str | None] = {"squarem": "squarem", "anderson": "anderson", "EM": None}

    def fit(case: str, accelerate: str | None, tol: float) -> tuple[int, float]:
        X, n_components, covariance_type = cases[case]
        mixture = GaussianMixture(
            n_components,
            covariance_type=covariance_type,
            accelerate=accelerate,
            tol=tol,
            max_iter=5000,
            random_state=0,
        ).fit(X)
        return mixture.n_iter_, mixture.score(X)

    found, seconds = timed(
        lambda: {
            name: [fit(case, accelerate, 1e-8) for case in cases]
            for name, accelerate in methods.items()
        }
    )
    passes = {name: np.array([n for n, _ in each]) for name, each in found.items()}
    scores = {name: np.array([score for _, score in each]) for name, each in found.items()}
    saved = {name: float(np.median(passes["EM"] / passes[name])) for name in methods}
    early = [fit(case, None, 1e-3) for case in cases]
    short = scores["EM"] - np.array([score for _, score in early])
    apart = max(float(np.abs(scores[name] - scores["EM"]).max()) for name in methods)
    drawn = new_figure(_WIDTH, 4.4)
    ax = drawn.subplots()
    _grouped_bars(ax, list(cases), {name: n.tolist() for name, n in passes.items()}, form="d")
    ax.set_xlabel("passes over the data until a step gains less than 1e-8")
    _legend(drawn, ax, 3)
    return Finding(
        title="Fewer passes",
        question="EM creeps where components overlap. How many passes does acceleration save?",
        data=f"{len(cases)} sets, tol 1e-8",
        call='GaussianMixture(k, accelerate="squarem", tol=1e-8).fit(X)',
        outcome=f"{saved['squarem']:.1f} x fewer; Anderson {saved['anderson']:.1f} x (median)",
        reading="From the same starts: SQUAREM extrapolates along two steps, Anderson along up to "
        f"five. Their likelihoods differ from EM's by at most {apart:.0e} nats a row. At "
        "the tol of 1e-3 that is scikit-learn's default EM makes "
        f"{', '.join(str(n) for n, _ in early)} passes, and stops up to {short.max():.2f} nats a "
        "row short.",
        seconds=seconds,
        figures=(
            Figure(
                "passes", "Passes over the data, by data set and method; shorter is better.", drawn
            ),
        ),
    )


def _parameters_after(
    kind: Any, X: FloatArray, n_components: int, covariance_type: str, n_steps: int
) -> tuple[FloatArray, FloatArray]:
    """Return means and covariances after EM steps from the first rows, equally wide."""
    d, k, precision = X.shape[1], n_components, 1.0 / X.var(axis=0).mean()
    precisions = {
        "full": np.tile(np.eye(d) * precision, (k, 1, 1)),
        "tied": np.eye(d) * precision,
        "diag": np.full((k, d), precision),
        "spherical": np.full(k, precision),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture = kind(
            k,
            covariance_type=covariance_type,
            tol=0.0,
            max_iter=n_steps,
            weights_init=np.full(k, 1.0 / k),
            means_init=X[:k],
            precisions_init=precisions[covariance_type],
        ).fit(X)
    return mixture.means_, mixture.covariances_


def _steps_apart(X: FloatArray, covariance_type: str, n_steps: int) -> float:
    """Return how far apart our and scikit-learn's parameters are, relative to the largest."""
    ours, theirs = (
        _parameters_after(kind, X, 10, covariance_type, n_steps)
        for kind in (GaussianMixture, sklearn.mixture.GaussianMixture)
    )
    return max(
        float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(ours, theirs, strict=True)
    )


def _draw_steps_apart(steps: Sequence[int], found: Mapping[str, Sequence[float]]) -> Any:
    drawn = new_figure(_WIDTH, _HEIGHT)
    ax = drawn.subplots()
    for (name, values), marker in zip(found.items(), "os^D", strict=True):
        ax.loglog(steps, values, marker=marker, linewidth=1.2, label=name)
    ax.axhline(np.finfo(np.float64).eps, color=INK, linestyle=":", label="rounding of one number")
    ax.set_xlabel("EM steps")
    ax.set_ylabel("largest relative difference")
    ax.legend(frameon=False, fontsize="small")
    ax.spines[["top", "right"]].set_visible(False)
    return drawn


def _own_steps(quick: bool) -> Finding:
    X = _directions(load_digits(return_X_y=True)[0], 8)
    steps = (1, 2, 5, 10, 20) if quick else (1, 2, 5, 10, 20, 50, 100)
    found, seconds = timed(
        lambda: {name: [_steps_apart(X, name, n_steps) for n_steps in steps] for name in _TYPES}
    )
    largest = max(max(values) for values in found.values())
    apart = _chunks_apart(X)
    return Finding(
        title="scikit-learn's own steps",
        question="From the same start, are means and covariances those of scikit-learn after "
        "each step?",
        data=f"digits in {X.shape[1]} directions, {len(X)} rows",
        call="GaussianMixture(10, means_init=..., tol=0, max_iter=n).fit(X)",
        outcome=f"after up to {steps[-1]} steps: {largest:.0e} apart",
        reading="Rounding, and no more: with the defaults it is the same algorithm. So it is in "
        f"pieces: after fit_chunks on seven of them the means are {apart:.0e} from those of fit.",
        seconds=seconds,
        figures=(
            Figure(
                "same_steps",
                "Largest difference of a mean or covariance from scikit-learn's, relative to the "
                "largest of them, by EM steps from the same start.",
                _draw_steps_apart(steps, found),
            ),
        ),
    )


def _chunks_apart(X: FloatArray) -> float:
    """Return how far apart the means of `fit` and `fit_chunks` are, relative to the largest."""
    whole = GaussianMixture(10, random_state=0).fit(X).means_
    pieces = GaussianMixture(10, random_state=0).fit_chunks(np.array_split(X, 7)).means_
    return float(np.abs(whole - pieces).max() / np.abs(whole).max())


def _likelihood_is_not_class(quick: bool) -> Finding:
    X, cultivar = _scaled(load_wine)

    def fit(covariance_type: str, init_params: str) -> GaussianMixture:
        settings = {**_BETTER, "init_params": init_params}
        return GaussianMixture(3, covariance_type=covariance_type, **settings).fit(X)

    found, seconds = timed(lambda: {name: fit(name, "auto") for name in _TYPES})
    clustered = {name: fit(name, "kmeans") for name in _TYPES}
    indices = {
        'init_params="auto"': [_rand_index(cultivar, found[name], X) for name in _TYPES],
        'init_params="kmeans"': [_rand_index(cultivar, clustered[name], X) for name in _TYPES],
    }
    by_type = dict(zip(_TYPES, indices['init_params="auto"'], strict=True))
    sizes = {name: found[name]._n_parameters() for name in _TYPES}
    gain = found["full"].score(X) - clustered["full"].score(X)
    drawn = new_figure(_WIDTH, _HEIGHT)
    ax = drawn.subplots()
    _grouped_bars(ax, [f"{name}\n({sizes[name]} parameters)" for name in _TYPES], indices)
    ax.set_xlabel("ARI of three components with the three cultivars")
    _legend(drawn, ax, 2)
    other = indices['init_params="kmeans"'][_TYPES.index("full")]
    return Finding(
        title="Likelihood is not class",
        question="Better starts find a better likelihood. Are the components nearer to the "
        "classes, too?",
        data=f"wine, {X.shape[0]} x {X.shape[1]}",
        call=f'GaussianMixture(3, covariance_type="diag", {_BETTER_CALL}).fit(X)',
        outcome=f"ARI full {by_type['full']:.2f}, diag {by_type['diag']:.2f}",
        reading=f"Not where parameters outnumber rows. With full covariances the better start "
        f"gains {gain:.2f} nats a row over the k-means start, and its ARI is {by_type['full']:.2f} "
        f"beside {other:.2f}: {sizes['full']} parameters fit {X.shape[0]} wines in many "
        "ways that have nothing to do with cultivars. Few rows want a sparser covariance_type, "
        "or a prior.",
        seconds=seconds,
        figures=(
            Figure(
                "wine_covariances",
                "Agreement of components and cultivars by covariance type, for two ways to start.",
                drawn,
            ),
        ),
    )


_FINDINGS = (
    _kinds_of_iris,
    _a_fifth_is_missing,
    _rows_that_belong_nowhere,
    _regression_with_gaps,
    _fewer_passes,
    _own_steps,
    _likelihood_is_not_class,
)


def _findings(quick: bool) -> Iterator[Finding]:
    for finding in _FINDINGS:
        # Products of small matrices, of scikit-learn's: its threads would wait for each other.
        with single_threaded_blas():
            found = finding(quick)
        yield found


PART = Part(
    name="mixture",
    title="Gaussian mixtures",
    introduction="Which groups do rows fall into, how dense are they where, and what is a column "
    "likely to be, given others? A Gaussian mixture, fitted by EM, answers all three, also with "
    "values missing and rows that belong to no group.",
    findings=_findings,
)
