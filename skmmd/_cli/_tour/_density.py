"""The tour's part of :mod:`skmmd.density`."""

import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import vonmises
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmmd._chunked import single_threaded_blas
from skmmd._cli._figures import new_figure
from skmmd._cli._tour._findings import Figure, Finding, Part, timed
from skmmd.datasets import make_density
from skmmd.density import (
    ScoreMatchingDensity,
    ScoreMatchingEstimator,
    ScoreMatchingGaussian,
    neg_score_matching_loss_scorer,
    score_matching_loss,
)
from skmmd.inspection import DensityDisplay
from skmmd.inspection._axes import FIRST, INK, NULL, REST

__all__ = ["PART"]

FloatArray = NDArray[np.float64]

_WIDTH, _HEIGHT = 5.4, 4.0
_WIDE = 8.4


def _plain(ax: Any) -> None:
    ax.spines[["top", "right"]].set_visible(False)


def _kernel_density(X: FloatArray, unit: float = 1.0) -> Any:
    """Return scikit-learn's kernel density estimate of the best bandwidth on held-out rows."""
    bandwidths = {"bandwidth": unit * np.geomspace(0.1, 1.0, 10)}
    return GridSearchCV(KernelDensity(), bandwidths).fit(X).best_estimator_


def _rivals(X: FloatArray) -> dict[str, Any]:
    """Return densities of scikit-learn's, chosen by held-out rows."""
    numbers = {"n_components": [1, 2, 3, 4, 6]}
    search = GridSearchCV(GaussianMixture(random_state=0), numbers)
    with warnings.catch_warnings():
        # Mixtures of too many components, which then are not chosen.
        warnings.simplefilter("ignore")
        search.fit(X)
    return {"KernelDensity": _kernel_density(X), "GaussianMixture": search.best_estimator_}


def _listed(values: dict[str, float], digits: int) -> str:
    return ", ".join(f"{name} {value:.{digits}f}" for name, value in values.items())


# --------------------------------------------------------------------------------------
# densities of any shape


def _rings(quick: bool) -> Finding:
    n_features, n_rows = (4, 300) if quick else (6, 500)
    truth = make_density("ring", n_features)
    X, fresh = truth.sample(n_rows, random_state=0), truth.sample(5000, random_state=1)
    density, seconds = timed(lambda: ScoreMatchingDensity(base="gaussian", random_state=0).fit(X))
    models = {"score matching": density, **_rivals(X)}
    known = truth.score_samples(fresh)
    lost = {name: np.mean(known - model.score_samples(fresh)) for name, model in models.items()}
    score = truth.score_function(fresh)
    off = np.sum((density.score_function(fresh) - score) ** 2) / np.sum(score**2)
    drawn = new_figure(_WIDTH, _WIDTH)
    DensityDisplay.from_estimator(
        density, X, kind="margins", features=(0, 1, 2), random_state=0
    ).plot(ax=drawn.subplots(3, 3))
    return Finding(
        title="Two rings and noise",
        question=f"Two of {n_features} columns lie on rings, the others are noise. How near does "
        f"an estimate from {n_rows} rows come to the density?",
        data=f"{n_rows} rows of a known density",
        call='density = ScoreMatchingDensity(base="gaussian").fit(X); '
        "density.score_samples(X_new); density.score_function(X_new); density.sample(1000)",
        outcome=f"{lost['score matching']:.2f} nats lost, of a mixture "
        f"{lost['GaussianMixture']:.2f}",
        reading="Against the true density, on fresh rows, the log likelihood of a row is lower by "
        f"(nats) {_listed(lost, 2)}. The score, the gradient of the log density, is off by "
        f"{off:.0%} of its mean square. Bandwidths differ by column, from "
        f"{density.bandwidth_.min():.2f} to {density.bandwidth_.max():.0f}: columns of noise are "
        "left to the base measure. The normaliser is a mean over random draws; the standard error "
        f"of its logarithm is {density.log_normalizer_std_:.3f}, and the draws are worth "
        f"{density.ess_:.0%} of their number.",
        seconds=seconds,
        figures=(
            Figure(
                "rings_and_draws",
                "Three of the columns, two at a time: rows above the diagonal, as many draws from "
                "the estimate below it.",
                drawn,
            ),
        ),
    )


def _unlike_the_benign(quick: bool) -> Finding:
    tumours = load_breast_cancer()
    benign, malignant = (tumours.data[tumours.target == label] for label in (1, 0))
    n_seeds, n_parts = (1, 3) if quick else (3, 10)
    areas: dict[str, list[float]] = {}
    spent = []
    for seed in range(n_seeds):
        normal, held_out = train_test_split(benign, test_size=0.4, random_state=seed)
        scaled = make_pipeline(StandardScaler(), PCA(n_parts, whiten=True, random_state=0))
        scaled.fit(normal)
        X, rows = scaled.transform(normal), scaled.transform(np.concatenate([held_out, malignant]))
        is_malignant = np.repeat([0, 1], [len(held_out), len(malignant)])
        density, seconds = timed(partial(ScoreMatchingDensity(random_state=0).fit, X))
        spent.append(seconds)
        for name, model in {"score matching": density, **_rivals(X)}.items():
            area = roc_auc_score(is_malignant, -model.score_samples(rows))
            areas.setdefault(name, []).append(float(area))
    two = make_pipeline(
        StandardScaler(),
        PCA(2, whiten=True, random_state=0),
        ScoreMatchingDensity(base="gaussian", random_state=0),
    ).fit(normal)
    others = two[:-1].transform(malignant)
    seen = two[:-1].transform(tumours.data)
    ends = [(values.min() - 0.5, values.max() + 0.5) for values in seen.T]
    drawn = new_figure(_WIDTH, _HEIGHT)
    display = DensityDisplay.from_estimator(two, normal, limits=ends)
    display.plot(ax=drawn.subplots())
    display.ax_.scatter(*others.T, marker="x", s=12, color=REST, linewidths=0.7)
    mean = {name: float(np.mean(each)) for name, each in areas.items()}
    repeated = "one split" if quick else f"{len(spent)} splits"
    return Finding(
        title="Tumours unlike the benign",
        question="Of the benign tumours alone, learn what is normal. Are malignant ones less "
        "likely under that density?",
        data=f"breast cancer, {len(X)} + {len(rows)} tumours",
        call=f"make_pipeline(StandardScaler(), PCA({n_parts}, whiten=True), ScoreMatchingDensity())"
        ".fit(X_benign).score_samples(X)",
        outcome=f"area under the ROC curve {mean['score matching']:.3f}",
        reading=f"Of a malignant and a benign tumour that was held out, the malignant one is less "
        f"likely in {mean['score matching']:.1%} of all pairs ({repeated}). Area by density: "
        f"{_listed(mean, 3)}. What is far from all rows is told by any density; they differ in "
        "what lies between.",
        seconds=float(np.mean(spent)),
        figures=(
            Figure(
                "benign_density",
                "The density of benign tumours in two principal components (points are rows it was "
                "fitted to), and the malignant ones as red crosses.",
                drawn,
            ),
        ),
    )


def _never_negative(quick: bool) -> Finding:
    tumours = load_breast_cancer()
    column = list(tumours.feature_names).index("mean concavity")
    X = 100.0 * tumours.data[:, [column]]
    train, test = train_test_split(X, test_size=0.3, random_state=0)
    density, seconds = timed(
        lambda: ScoreMatchingDensity(domain="nonnegative", random_state=0).fit(train)
    )
    kernel = _kernel_density(train, float(train.std()))
    models = {"KernelDensity": kernel, "score matching on the domain": density}
    likelihood = {name: float(model.score_samples(test).mean()) for name, model in models.items()}
    negative = float(np.mean(kernel.sample(1000, random_state=0) < 0.0))
    drawn = new_figure(_WIDE, 3.4)
    axes = drawn.subplots(1, 2, sharey=True)
    for ax, (name, model) in zip(axes, models.items(), strict=True):
        display = DensityDisplay.from_estimator(
            model, train, limits=[(-5.0, float(X.max()))], feature_names=["100 x mean concavity"]
        )
        display.plot(ax=ax)
        ax.set_title(name, fontsize="medium")
    below = int(np.sum(density.sample(1000, random_state=0) < 0.0))
    return Finding(
        title="Nothing below zero",
        question="The concavity of a nucleus is never negative, and often near zero. Does the "
        "density know?",
        data=f"breast cancer, {len(train)} + {len(test)} samples",
        call='ScoreMatchingDensity(domain="nonnegative").fit(X).score(X_test)',
        outcome=f"log likelihood {likelihood['score matching on the domain']:.3f}, KernelDensity "
        f"{likelihood['KernelDensity']:.3f}",
        reading=f"A kernel density estimate has {negative:.1%} of its mass below zero, where "
        f"nothing can be; of 1,000 draws from the density on the domain {below} are there. Mean "
        f"log likelihood of held-out rows: {_listed(likelihood, 3)}. The loss of each row is "
        "weighted by its distance to the boundary, so that the edge itself is not taken for a "
        "slope.",
        seconds=seconds,
        figures=(
            Figure(
                "nothing_below_zero",
                "The density of the mean concavity by a kernel density estimate, and by score "
                "matching on the domain; bars are rows.",
                drawn,
            ),
        ),
    )


# --------------------------------------------------------------------------------------
# models with parameters


def _draw_matrices(figure: Any, matrices: dict[str, FloatArray], names: list[str]) -> None:
    """Draw partial correlations, from -1 to 1, for each precision matrix."""
    axes = figure.subplots(1, len(matrices), sharey=True)
    for ax, (title, precision) in zip(axes, matrices.items(), strict=True):
        root = np.sqrt(np.diag(precision))
        partial = -precision / np.outer(root, root)
        np.fill_diagonal(partial, np.nan)
        image = ax.imshow(partial, cmap="RdBu", vmin=-0.8, vmax=0.8)
        ax.set_title(title, fontsize="medium")
        ax.set_xticks(range(len(names)), names, rotation=90, fontsize="x-small")
        ax.set_yticks(range(len(names)), names, fontsize="x-small")
    figure.colorbar(image, ax=axes, label="partial correlation")


def _what_goes_together(quick: bool) -> Finding:
    wine = load_wine()
    X = StandardScaler().fit_transform(wine.data)
    dense = ScoreMatchingGaussian().fit(X)
    error = np.abs(dense.covariance_ - np.cov(X.T, ddof=0)).max()
    alphas = np.geomspace(0.01, 1.0, 7 if quick else 13)
    search = GridSearchCV(
        ScoreMatchingGaussian(),
        {"alpha": alphas},
        scoring=neg_score_matching_loss_scorer,
        cv=KFold(5, shuffle=True, random_state=0),
    )
    sparse, seconds = timed(lambda: search.fit(X).best_estimator_)
    pairs = np.triu_indices(X.shape[1], 1)
    left = np.count_nonzero(sparse.precision_[pairs])
    drawn = new_figure(_WIDE, _HEIGHT)
    matrices = {"no penalty": dense.precision_, "chosen penalty": sparse.precision_}
    names = [name.split("/")[0].replace("_", " ") for name in wine.feature_names]
    _draw_matrices(drawn, matrices, names)
    return Finding(
        title="What goes together in wine",
        question="Which measurements depend on each other, once all others are known?",
        data=f"wine, {len(X)} samples, {X.shape[1]} columns",
        call='GridSearchCV(ScoreMatchingGaussian(), {"alpha": alphas}, '
        "scoring=neg_score_matching_loss_scorer).fit(X); neg_score_matching_loss_scorer(model, X)",
        outcome=f"{left} of {len(pairs[0])} pairs, alpha {sparse.alpha:.3g}",
        reading="Without penalty, score matching of a Gaussian is maximum likelihood: its "
        f"covariance differs from that of the rows by at most {error:.0e}. With a penalty on the "
        f"precision matrix, alpha {sparse.alpha:.3g} has the lowest held-out loss, "
        f"{-search.best_score_:.3f}, and leaves {left} of {len(pairs[0])} pairs that depend on "
        "each other given the rest. No determinant is computed on the way.",
        seconds=seconds,
        figures=(
            Figure(
                "wine_partial_correlations",
                "Partial correlations of the measurements of wine, without penalty and with the "
                "one of lowest held-out loss; white pairs are independent given the rest.",
                drawn,
            ),
        ),
    )


def _directions(images: FloatArray) -> FloatArray:
    """Return twice the angle of the longer axis of each image: a line has no head."""
    row, column = np.mgrid[:8, :8]
    mass = images.sum(axis=(1, 2))
    right = column - ((images * column).sum(axis=(1, 2)) / mass)[:, None, None]
    up = ((images * row).sum(axis=(1, 2)) / mass)[:, None, None] - row
    sine = 2.0 * (images * right * up).sum(axis=(1, 2))
    cosine = (images * (right**2 - up**2)).sum(axis=(1, 2))
    return np.asarray(np.arctan2(sine, cosine)[:, None])


def _cosine_and_sine(X: FloatArray) -> FloatArray:
    return np.hstack([np.cos(X), np.sin(X)])


def _slant_of_sevens(quick: bool) -> Finding:
    images, digits = load_digits(return_X_y=True)
    X = _directions(images[digits == 7].reshape(-1, 8, 8))
    model = ScoreMatchingEstimator(statistics=_cosine_and_sine)
    _, seconds = timed(lambda: model.fit(X))
    concentration, location = np.hypot(*model.theta_), np.arctan2(*model.theta_[::-1])
    likely, center, _ = vonmises.fit(X[:, 0], fscale=1)
    of_likelihood = score_matching_loss(lambda x: -likely * np.sin(x - center), X)
    angles = np.linspace(np.pi / 3.0, np.pi / 1.8, 400)
    drawn = new_figure(_WIDTH, _HEIGHT)
    ax = drawn.subplots()
    degrees = np.rad2deg(X[:, 0] % (2.0 * np.pi)) / 2.0
    ax.hist(degrees, 40, density=True, color=NULL, alpha=0.6, label="images")
    # Per degree of the axis, which is half the angle.
    each = 2.0 * np.pi / 180.0
    for name, color, (kappa, mu) in (
        ("score matching", FIRST, (concentration, location)),
        ("maximum likelihood", INK, (likely, center)),
    ):
        style = "-" if color == FIRST else ":"
        values = each * vonmises.pdf(2.0 * angles, kappa, loc=mu)
        ax.plot(np.rad2deg(angles), values, style, color=color, linewidth=2.0, label=name)
    ax.set(xlim=(60.0, 100.0), xlabel="direction of the longer axis, degrees", ylabel="density")
    ax.legend(frameon=False, fontsize="small")
    _plain(ax)
    return Finding(
        title="The slant of sevens",
        question="Directions have no Gaussian. The von Mises distribution, exp(kappa cos(x - mu)), "
        "needs a Bessel function to be normalised: can it be fitted without?",
        data=f"digits, {len(X)} images of 7",
        call="ScoreMatchingEstimator(statistics=lambda X: np.hstack([np.cos(X), np.sin(X)]))"
        ".fit(X).theta_; score_matching_loss(score, X)",
        outcome=f"kappa {concentration:.2f}, by likelihood {likely:.2f}",
        reading=f"In closed form, from the statistics alone: kappa {concentration:.2f} about "
        f"{np.rad2deg(location % (2.0 * np.pi)) / 2.0:.1f} degrees. Maximum likelihood, with the "
        f"Bessel function, has {likely:.2f} about "
        f"{np.rad2deg(center % (2.0 * np.pi)) / 2.0:.1f}. The score-matching loss of the "
        f"first is {model.loss_:.4f}, that of the second {of_likelihood:.4f}.",
        seconds=seconds,
        figures=(
            Figure(
                "slant_of_sevens",
                "How the longer axes of images of 7 are turned, and the von Mises distribution by "
                "score matching and by maximum likelihood.",
                drawn,
            ),
        ),
    )


_FINDINGS = (
    _rings,
    _unlike_the_benign,
    _never_negative,
    _what_goes_together,
    _slant_of_sevens,
)


def _findings(quick: bool) -> Iterator[Finding]:
    for finding in _FINDINGS:
        # Products of small matrices: threads of BLAS would wait for each other.
        with single_threaded_blas(), warnings.catch_warnings():
            # Where a base measure alone is best, a table says so.
            warnings.filterwarnings("ignore", "ScoreMatchingDensity. on held-out rows")
            found = finding(quick)
        yield found


PART = Part(
    name="density",
    title="Densities",
    introduction="How likely is a row, in which direction does it become likelier, and what would "
    "more rows look like? Score matching fits the gradient of the log density, for which no "
    "normaliser is needed, and gets the density from it.",
    findings=_findings,
)
