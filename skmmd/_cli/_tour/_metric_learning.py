"""The tour's part of :mod:`skmmd.metric_learning`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from sklearn.datasets import load_digits, load_iris, load_wine
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.kernel_approximation import Nystroem
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.neighbors import KNeighborsClassifier, NeighborhoodComponentsAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skmmd._chunked import single_threaded_blas
from skmmd._cli._figures import new_figure
from skmmd._cli._tour._findings import Figure, Finding, Part, timed
from skmmd.inspection import EmbeddingDisplay
from skmmd.inspection._axes import FIRST, INK, REST
from skmmd.metric_learning import (
    MetricLearner,
    mean_average_precision_at_r,
    pair_loss,
    r_precision,
    recall_at_k,
)

__all__ = ["PART"]

FloatArray = NDArray[np.float64]
Labels = NDArray[np.intp]
Rows = tuple[FloatArray, Labels]

_WIDTH, _HEIGHT = 5.4, 4.0
_WIDE = 8.4
_LOSSES = ("contrastive", "triplet", "triplet_center", "n_pair", "quadruplet", "lifted_structure")
_BEFORE = "standardised"
_RETRIEVAL: Mapping[str, Any] = {"loss": "contrastive", "positives": "all"}


def _measures(transformer: Any, train: Rows, test: Rows) -> tuple[float, float]:
    """Return accuracy of 5-NN and MAP@R of test rows among the rows that were learned from."""
    (X, y), (X_test, y_test) = train, test
    Z, Z_test = transformer.fit(X, y).transform(X), transformer.transform(X_test)
    accuracy = float(KNeighborsClassifier(5).fit(Z, y).score(Z_test, y_test))
    return accuracy, mean_average_precision_at_r(Z_test, y_test, Z_reference=Z, y_reference=y)


def _cross_validated(
    transformers: Mapping[str, Any], X: FloatArray, y: Labels, n_splits: int
) -> dict[str, FloatArray]:
    """Return both measures of each transformer, means over the same folds."""
    folds = StratifiedKFold(n_splits, shuffle=True, random_state=0)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in transformers}
    for train, test in folds.split(X, y):
        scaler = StandardScaler().fit(X[train])
        seen, asked = scaler.transform(X[train]), scaler.transform(X[test])
        for name, transformer in transformers.items():
            found[name].append(_measures(transformer, (seen, y[train]), (asked, y[test])))
    return {name: np.mean(each, axis=0) for name, each in found.items()}


def _draw_methods(axes: Sequence[Any], found: Mapping[str, FloatArray]) -> None:
    """Draw a line for each method: the first panel accuracy, the second MAP@R."""
    names = list(found)
    for ax, column, label in zip(axes, (0, 1), ("accuracy of 5-NN", "MAP@R"), strict=True):
        for place, name in enumerate(names):
            color, marker = INK, "s"
            if name.endswith(", all"):
                color, marker = FIRST, "o"
            elif name.endswith(", neighbors"):
                color, marker = REST, "D"
            ax.scatter(found[name][column], place, s=26, color=color, marker=marker)
        ax.set_yticks(range(len(names)), names, fontsize="small")
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_xlabel(label, fontsize="small")
        ax.grid(axis="x", color="#e3e8ee")
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)


# --------------------------------------------------------------------------------------
# nearest neighbours


def _wine_before_neighbours(quick: bool) -> Finding:
    X, cultivar = load_wine(return_X_y=True)
    n_splits = 3 if quick else 10
    ours = "MetricLearner"
    found, seconds = timed(
        lambda: _cross_validated({ours: MetricLearner(random_state=0)}, X, cultivar, n_splits)
    )
    others = {
        _BEFORE: FunctionTransformer(),
        "LDA": LinearDiscriminantAnalysis(),
        "NCA": NeighborhoodComponentsAnalysis(random_state=0),
    }
    beside = _cross_validated(others, X, cultivar, n_splits)
    train, test = np.arange(0, len(X), 2), np.arange(1, len(X), 2)
    scaler = StandardScaler().fit(X[train])
    learner = MetricLearner(random_state=0).fit(X[train], cultivar[train])
    before, after = scaler.transform(X[test]), learner.transform(X[test])
    scores = [mean_average_precision_at_r(Z, cultivar[test]) for Z in (before, after)]
    drawn = new_figure(_WIDE, _HEIGHT)
    EmbeddingDisplay.from_embeddings(
        before, after, cultivar[test], map_at_r=scores, titles=(_BEFORE, "learned")
    ).plot(ax=drawn.subplots(1, 2), means=True)
    mine = found[ours]
    return Finding(
        title="A distance for wine",
        question="Thirteen measurements tell three cultivars apart. Which combinations of them "
        "should nearest neighbours compare?",
        data=f"wine, {X.shape[0]} x {X.shape[1]}, {n_splits} folds",
        call="make_pipeline(MetricLearner(random_state=0), KNeighborsClassifier(5)).fit(X, y)",
        outcome=f"MAP@R {mine[1]:.2f}, {_BEFORE} {beside[_BEFORE][1]:.2f}",
        reading=f"Five neighbours are right for {mine[0]:.1%} of held-out wines; "
        + ", ".join(f"{name} {values[0]:.1%}" for name, values in beside.items())
        + ", which are all within a few wines. MAP@R asks whether the whole class comes first: "
        f"{mine[1]:.2f}; "
        + ", ".join(f"{name} {values[1]:.2f}" for name, values in beside.items())
        + ".",
        seconds=seconds,
        figures=(
            Figure(
                "wine_embedding",
                "Every other wine, which was not learned from, in two principal components: left "
                "standardised, right under the learned map. Lines join the means of the cultivars.",
                drawn,
            ),
        ),
    )


def _six_losses(quick: bool) -> Finding:
    n_splits = 3 if quick else 10
    methods = {
        f"{loss}, {positives}": MetricLearner(loss, positives=positives, random_state=0)
        for loss in _LOSSES
        if loss != "triplet_center"
        for positives in ("all", "neighbors")
    }
    methods["triplet_center"] = MetricLearner("triplet_center")
    X, y = load_iris(return_X_y=True)
    found, seconds = timed(lambda: _cross_validated(methods, X, y, n_splits))
    others = {
        _BEFORE: FunctionTransformer(),
        "LDA": LinearDiscriminantAnalysis(),
        "NCA": NeighborhoodComponentsAnalysis(random_state=0),
    }
    beside = _cross_validated(others, X, y, n_splits)
    accuracy, precision = (
        {name: float(values[column]) for name, values in found.items()} for column in (0, 1)
    )
    best = max(precision, key=lambda name: precision[name])
    worst = min(precision, key=lambda name: precision[name])
    drawn = new_figure(_WIDE, 4.6)
    _draw_methods(drawn.subplots(1, 2, sharey=True), {**beside, **found})
    return Finding(
        title="Six losses",
        question="Which loss is best, over all pairs of a class or over target neighbours?",
        data=f"iris, {X.shape[0]} x {X.shape[1]}, {n_splits} folds",
        call='MetricLearner("lifted_structure", positives="all").fit(X, y)',
        outcome=f"MAP@R {precision[worst]:.2f} to {precision[best]:.2f}",
        reading=f"By the accuracy of five neighbours nobody can say: all lie between "
        f"{min(accuracy.values()):.1%} and {max(accuracy.values()):.1%}, and one flower is "
        f"{1 / len(y):.1%}. By MAP@R the best is {best} ({precision[best]:.3f}), the last {worst} "
        f"({precision[worst]:.3f}); LDA has {beside['LDA'][1]:.3f}, NCA {beside['NCA'][1]:.3f}. "
        "Losses over all pairs draw the whole class together, which is what MAP@R asks for; target "
        "neighbours are for classes of several clusters, and iris has none.",
        seconds=seconds,
        figures=(
            Figure(
                "iris_losses",
                "Accuracy of five neighbours and MAP@R of held-out flowers, by loss: circles over "
                "all pairs of a class, diamonds over target neighbours, squares all others.",
                drawn,
            ),
        ),
    )


# --------------------------------------------------------------------------------------
# margins


def _mean_distances(Z: FloatArray, labels: Labels) -> FloatArray:
    means = np.stack([Z[labels == label].mean(axis=0) for label in range(labels.max() + 1)])
    return cdist(means, means)


def _alike_and_unlike(quick: bool) -> Finding:
    X, cultivar = load_wine(return_X_y=True)
    margin = {(0, 1): 0.5, (0, 2): 2.0, (1, 2): 2.0}
    one = MetricLearner(**_RETRIEVAL, n_components=2, margin=2.0).fit(X, cultivar)
    pairs, seconds = timed(
        lambda: MetricLearner(**_RETRIEVAL, n_components=2, margin=margin).fit(X, cultivar)
    )
    ratios = []
    for learner in (one, pairs):
        distances = _mean_distances(learner.transform(X), cultivar)
        ratios.append(float(2.0 * distances[0, 1] / (distances[0, 2] + distances[1, 2])))
    scores = [learner.score(X, cultivar) for learner in (one, pairs)]
    drawn = new_figure(_WIDE, _HEIGHT)
    axes = drawn.subplots(1, 2)
    EmbeddingDisplay.from_embeddings(
        one.transform(X),
        pairs.transform(X),
        cultivar,
        map_at_r=scores,
        titles=("one margin, 2", "0 and 1: 0.5, others 2"),
    ).plot(ax=axes, means=True)
    axes[0].set(xlabel="component 0", ylabel="component 1")
    return Finding(
        title="Alike and unlike",
        question="Say that to confuse cultivars 0 and 1 costs little, and 2 with either a lot. Can "
        "a distance be told so?",
        data=f"wine, {X.shape[0]} x {X.shape[1]}",
        call='MetricLearner("contrastive", positives="all", n_components=2, '
        "margin={(0, 1): 0.5, (0, 2): 2, (1, 2): 2}).fit(X, y)",
        outcome=f"alike : unlike {ratios[1]:.2f}, one margin {ratios[0]:.2f}",
        reading="One margin for all asks each pair of cultivars to be equally far apart, and the "
        f"distance of 0 from 1 is {ratios[0]:.2f} of their distance from 2. With a margin for each "
        f"pair of classes it is {ratios[1]:.2f}. It has its price: where cultivars may be near "
        f"they mix, and MAP@R is {scores[1]:.2f} beside {scores[0]:.2f}.",
        seconds=seconds,
        figures=(
            Figure(
                "wine_margins",
                "Wines under two learned maps: left one margin, right margins for pairs of "
                "cultivars. Numbers are distances between the means.",
                drawn,
            ),
        ),
    )


# --------------------------------------------------------------------------------------
# retrieval


def _digits_that_look_alike(quick: bool) -> Finding:
    X, digit = load_digits(return_X_y=True)
    size = 600 if quick else 900
    train, test, known, truth = train_test_split(
        X, digit, train_size=size, test_size=800, stratify=digit, random_state=0
    )
    curved = make_pipeline(
        Nystroem(gamma=0.001, n_components=200, random_state=0),
        MetricLearner(**_RETRIEVAL, n_components=20, tol=1e-3),
    )
    methods = {
        "pixels": FunctionTransformer(),
        "linear": MetricLearner(**_RETRIEVAL, n_components=20, tol=1e-3),
        "Nystroem first": curved,
    }
    _, seconds = timed(lambda: curved.fit(train, known))
    found = {}
    for name, method in methods.items():
        Z, Z_test = method.fit(train, known).transform(train), method.transform(test)
        reference = {"Z_reference": Z, "y_reference": known}
        found[name] = (
            mean_average_precision_at_r(Z_test, truth, **reference),
            r_precision(Z_test, truth, **reference),
            recall_at_k(Z_test, truth, 1, **reference),
        )
    drawn = new_figure(_WIDTH, _HEIGHT)
    ax = drawn.subplots()
    names = ("MAP@R", "R-precision", "recall at 1")
    for place, (name, color) in enumerate(zip(found, ("#9fb3c8", INK, FIRST), strict=True)):
        where = np.arange(3) + 0.27 * (place - 1)
        drawn_bars = ax.bar(where, found[name], width=0.25, color=color, label=name)
        ax.bar_label(drawn_bars, [f"{value:.2f}" for value in found[name]], fontsize="x-small")
    ax.set_xticks(range(3), names)
    ax.set_ylim(0.0, 1.15)
    ax.legend(frameon=False, fontsize="small", ncols=3, loc="upper left")
    ax.spines[["top", "right"]].set_visible(False)
    pixels, linear, bent = found.values()
    return Finding(
        title="Digits that look alike",
        question=f"A digit is looked for among {size} others. Do all of its kind come before the "
        "rest?",
        data=f"digits, {size} + {len(test)} images",
        call="mean_average_precision_at_r(Z, y, ...), r_precision(Z, y, ...), recall_at_k(Z, y, 1, "
        "...) after make_pipeline(Nystroem(gamma=0.001, n_components=200), "
        'MetricLearner("contrastive", positives="all", n_components=20)).transform(X)',
        outcome=f"MAP@R {bent[0]:.2f}, pixels {pixels[0]:.2f}",
        reading=f"By pixels MAP@R is {pixels[0]:.2f}, after a linear map {linear[0]:.2f}, after "
        f"one of curved features {bent[0]:.2f}. The first one found is of the right kind in "
        f"{pixels[2]:.1%}, {linear[2]:.1%} and {bent[2]:.1%}: for the single nearest neighbour "
        "pixels are as good as they get, since they all have the same unit.",
        seconds=seconds,
        figures=(
            Figure(
                "digits_retrieval",
                "How well images of the same digit are found, by three measures and three spaces; "
                "higher is better.",
                drawn,
            ),
        ),
    )


# --------------------------------------------------------------------------------------
# the losses themselves


def _listed_triplets(Z: FloatArray, y: Labels, margin: float) -> tuple[float, int]:
    """Return the mean over all triplets, one anchor at a time, and their number."""
    distances = cdist(Z, Z, "sqeuclidean")
    total, count = 0.0, 0
    for anchor in range(len(Z)):
        same = y == y[anchor]
        same[anchor] = False
        positives, negatives = distances[anchor, same], distances[anchor, y != y[anchor]]
        hinges = np.maximum(positives[:, None] - negatives + margin, 0.0)
        total += float(hinges.sum())
        count += hinges.size
    return total / count, count


def _every_triplet(quick: bool) -> Finding:
    X, y = load_digits(return_X_y=True)
    n_rows = 600 if quick else len(X)
    Z, y = X[:n_rows] / 16.0, y[:n_rows]
    margins = np.array([0.0, 1.0, 2.0, 4.0, 8.0])
    pair_loss(Z, y, loss="triplet")  # compiles
    found, seconds = timed(lambda: [pair_loss(Z, y, loss="triplet", margin=m) for m in margins])
    listed = [_listed_triplets(Z, y, m) for m in margins]
    apart = max(
        abs(ours.value - value) / value for ours, (value, _) in zip(found, listed, strict=True)
    )
    active = [ours.n_active / ours.n_terms for ours in found]
    drawn = new_figure(_WIDTH, _HEIGHT)
    ax = drawn.subplots()
    ax.plot(margins, active, "o-", color=FIRST)
    ax.set_xlabel("margin, squared distance")
    ax.set_ylabel("share of triplets that violate it")
    ax.set_ylim(0.0, 1.0)
    ax.spines[["top", "right"]].set_visible(False)
    return Finding(
        title="Every triplet",
        question="How many triplets of digits are wrong, the other digit nearer than the one of "
        "the same kind?",
        data=f"digits, {n_rows} images",
        call='pair_loss(X, y, loss="triplet", margin=m)',
        outcome=f"{active[0]:.2%} of {found[0].n_terms:,}",
        reading=f"There are {found[0].n_terms:,} triplets, and none is listed: for each image "
        "distances to its kind are sorted, and each other image finds by a binary search how many "
        f"of them it violates. Their mean at margin 0 is {found[0].value:.6f}; summed one by one "
        f"it is the same, up to {apart:.0e} for all five margins. With a margin of {margins[-1]:g} "
        f"{active[-1]:.0%} are violated.",
        seconds=seconds,
        figures=(
            Figure(
                "digits_triplets",
                "Share of triplets of digits whose negative is not farther than the positive by "
                "the margin.",
                drawn,
            ),
        ),
    )


_FINDINGS = (
    _wine_before_neighbours,
    _six_losses,
    _alike_and_unlike,
    _digits_that_look_alike,
    _every_triplet,
)


def _findings(quick: bool) -> Iterator[Finding]:
    for finding in _FINDINGS:
        # Products of small matrices: threads of BLAS would wait for each other.
        with single_threaded_blas():
            found = finding(quick)
        yield found


PART = Part(
    name="metric_learning",
    title="Metric learning",
    introduction="How should rows be compared, so that those of one class are near each other? A "
    "linear map is learned from labels by one of six pair losses, for nearest neighbours, "
    "retrieval and pictures.",
    findings=_findings,
)
