"""The tour's part of :mod:`skmmd.transfer`."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn import config_context
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from sklearn.svm import SVC

from skmmd._chunked import single_threaded_blas
from skmmd._cli._figures import new_figure
from skmmd._cli._tour._findings import Figure, Finding, Part, timed
from skmmd.datasets import make_biased_breast_cancer, make_rotated_digits, make_shifted_digits
from skmmd.inspection import DomainDisplay
from skmmd.inspection._axes import FIRST, INK, REST
from skmmd.transfer import (
    CircularValidationScorer,
    DomainKFold,
    ImportanceWeightedScorer,
    JointDistributionAdaptation,
    KernelMeanMatching,
    MMDRegularizedClassifier,
    MMDRegularizedRegressor,
    MMDSampleSelector,
    MMDScorer,
    TransferClassifier,
    TransferComponentAnalysis,
    TransferRegressor,
    kmm_weights,
    stack_domains,
    weighted_mmd,
)

__all__ = ["PART"]

FloatArray = NDArray[np.float64]
Labels = NDArray[np.intp]

_WIDTH, _HEIGHT = 5.4, 4.0
_WIDE = 8.4
_GREY = "#9fb3c8"


def _plain(ax: Any) -> None:
    ax.spines[["top", "right"]].set_visible(False)


def _draw_bars(ax: Any, found: Mapping[str, FloatArray], n_before: int) -> None:
    """Draw a bar for the mean of each method, the first ones grey, and a point for each draw."""
    for place, (name, values) in enumerate(found.items()):
        before = place < n_before
        ax.barh(place, values.mean(), height=0.7, color=_GREY if before else FIRST)
        ax.scatter(values, np.full(len(values), place), s=10, color=INK, zorder=3)
        ax.text(
            0.01, place, f"{values.mean():.2f} {name}", va="center", color=INK if before else "w"
        )
    ax.set_yticks([])
    ax.set_ylim(len(found) - 0.5, -0.5)
    ax.set_xlim(0.0, 1.0)
    ax.set_xlabel("accuracy on the target", fontsize="small")
    _plain(ax)


# --------------------------------------------------------------------------------------
# weights


def _another_mix_of_digits(quick: bool) -> Finding:
    n_draws = 2 if quick else 5
    plain, weighted = [], []
    for seed in reversed(range(n_draws)):
        Xs, ys, Xt, yt = make_shifted_digits(random_state=seed)
        X, y, domain = stack_domains(Xs, ys, Xt)
        model = TransferClassifier(LogisticRegression(max_iter=1000))
        plain.append(model.fit(X, y, sample_domain=domain).score(Xt, yt))
        model.set_params(reweighter=KernelMeanMatching())
        fitted, seconds = timed(partial(model.fit, X, y, sample_domain=domain))
        weighted.append(fitted.score(Xt, yt))
    # What is told of one draw is of the last, seed 0.
    matching: Any = fitted.reweighter_
    before = weighted_mmd(Xs, Xt, gamma=matching.gamma_)
    after = weighted_mmd(Xs, Xt, matching.weights_, gamma=matching.gamma_)
    drawn = new_figure(_WIDE, _HEIGHT)
    DomainDisplay.from_estimator(fitted, X, domain).plot(kind="domains", ax=drawn.subplots(1, 2))
    return Finding(
        title="Another mix of digits",
        question="A classifier learns from digits at one end of their first principal component, "
        "and reads those at the other. Do weights help?",
        data=f"digits, {len(Xs)} + {len(Xt)} images",
        call="X, y, d = stack_domains(Xs, ys, Xt); TransferClassifier(LogisticRegression(), "
        "KernelMeanMatching()).fit(X, y, sample_domain=d); weighted_mmd(Xs, Xt, weights)",
        outcome=f"accuracy {np.mean(plain):.2f}, weighted {np.mean(weighted):.2f}",
        reading=f"Over {n_draws} draws, {np.mean(plain):.1%} of the other digits are read right "
        f"as it is, and {np.mean(weighted):.1%} with weights for those that look like them. The "
        f"squared MMD falls from {before:.3f} to {after:.3f}, and {len(Xs)} images weigh as much "
        f"as {matching.effective_sample_size_:.0f} even ones. Labels of the target were not used.",
        seconds=seconds,
        figures=(
            Figure(
                "digits_reweighted",
                "Digits in two principal components; on the right the source is drawn as large as "
                "its weights.",
                drawn,
            ),
        ),
    )


def _small_from_large() -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return mean radius and mean area of mostly large nuclei, and of the others."""
    measured = load_breast_cancer().data
    radius, area = measured[:, 0], measured[:, 3]
    unit = (radius - radius.mean()) / radius.std()
    large = np.random.default_rng(0).random(len(unit)) < expit(2.0 * unit)
    return unit[large, None], area[large], unit[~large, None], area[~large]


def _draw_lines(
    ax: Any, source: Sequence[FloatArray], target: Sequence[FloatArray], lines: Sequence[FloatArray]
) -> None:
    """Draw rows, the source by weight, and two lines over all of them in ascending order."""
    (Xs, ys), (Xt, yt) = source, target
    X, _, domain = stack_domains(Xs, ys, Xt)
    weights = KernelMeanMatching().fit(X, sample_domain=domain).weights_
    ax.scatter(Xt, yt, s=8, color=REST, linewidths=0, alpha=0.5, label="target")
    ax.scatter(
        Xs, ys, s=8.0 * weights / weights.mean() + 1.0, color=FIRST, linewidths=0, label="source"
    )
    for line, color, name in zip(lines, (_GREY, INK), ("as it is", "weighted"), strict=True):
        ax.plot(np.sort(X, axis=0), line, color=color, label=name)
    # Where predictions are wanted.
    ax.set(xlim=(Xt.min() - 0.1, Xt.max() + 0.1), ylim=(-200.0, 1.1 * yt.max()))
    ax.set(xlabel="mean radius, standardised", ylabel="mean area")
    ax.legend(frameon=False, fontsize="small")
    _plain(ax)


def _a_line_elsewhere(quick: bool) -> Finding:
    Xs, ys, Xt, yt = _small_from_large()
    X, y, domain = stack_domains(Xs, ys, Xt)
    model = TransferRegressor(LinearRegression())
    plain = model.fit(X, y, sample_domain=domain).score(Xt, yt)
    lines = [model.predict(np.sort(X, axis=0))]
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(
            model,
            {"reweighter": [None, KernelMeanMatching()]},
            scoring=ImportanceWeightedScorer("neg_mean_absolute_error"),
            cv=DomainKFold(5),
        )
        found, seconds = timed(
            lambda: search.fit(X, y, sample_domain=domain, groups=domain).best_estimator_
        )
    score = found.score(Xt, yt)
    lines.append(found.predict(np.sort(X, axis=0)))
    errors = -search.cv_results_["mean_test_score"]
    centre = ys.mean()
    of_loss = [
        MMDRegularizedRegressor(mmd_weight=mmd_weight)
        .fit(X, (y - centre) / ys.std(), sample_domain=domain)
        .score(Xt, (yt - centre) / ys.std())
        for mmd_weight in (0.0, 10.0)
    ]
    drawn = new_figure(_WIDTH, _HEIGHT)
    _draw_lines(drawn.subplots(), (Xs, ys), (Xt, yt), lines)
    chosen = "none" if found.reweighter is None else "weights"
    return Finding(
        title="A line elsewhere",
        question="A straight line for the area of cell nuclei by their radius, from mostly large "
        "ones: does it hold for the small, and can that be told without their areas?",
        data=f"breast cancer, {len(Xs)} + {len(Xt)} samples",
        call="GridSearchCV(TransferRegressor(LinearRegression()), "
        '{"reweighter": [None, KernelMeanMatching()]}, '
        'scoring=ImportanceWeightedScorer("neg_mean_absolute_error"), cv=DomainKFold(5)).fit(X, y, '
        "sample_domain=d, groups=d); MMDRegularizedRegressor().fit(X, y, sample_domain=d)",
        outcome=f"R2 {plain:.2f}, weighted {score:.2f}",
        reading=f"On the small ones the line has an R2 of {plain:.2f}. Of no weights and weights "
        f"the search takes {chosen}, at an error of {errors.min():.0f} in place of "
        f"{errors.max():.0f}, both estimated on the large ones alone; R2 is {score:.2f} then. "
        "MMDRegularizedRegressor is the wrong tool: it asks for predictions with the same mean in "
        "both domains, and small nuclei have small areas; its R2 goes from "
        f"{of_loss[0]:.2f} without that to {of_loss[1]:.2f}.",
        seconds=seconds,
        figures=(
            Figure(
                "area_by_radius",
                "Area of cell nuclei by radius, source rows as large as their weights, and the "
                "line fitted with and without them.",
                drawn,
            ),
        ),
    )


def _patients_kept_by_chance(quick: bool) -> Finding:
    seeds = range(3 if quick else 10)
    found: list[tuple[float, float]] = []
    for seed in seeds:
        Xs, ys, Xt, yt = make_biased_breast_cancer(random_state=seed)
        X, y, domain = stack_domains(Xs, ys, Xt)
        model = TransferClassifier(SVC(kernel="linear", C=0.1))
        plain = model.fit(X, y, sample_domain=domain).score(Xt, yt)
        model.set_params(reweighter=KernelMeanMatching())
        found.append((plain, model.fit(X, y, sample_domain=domain).score(Xt, yt)))
    difference = np.diff(found, axis=1).ravel()
    error = difference.std(ddof=1) / np.sqrt(len(difference))

    Xs, _, Xt, _ = make_biased_breast_cancer(random_state=0)
    known = np.arange(len(Xs)) % 2 == 0
    X, _, domain = stack_domains(Xs[known], np.zeros(known.sum()), Xt)
    matching, seconds = timed(
        lambda: KernelMeanMatching(alpha="cv", random_state=0).fit(X, sample_domain=domain)
    )
    foretold = matching.predict_weights(Xs[~known])
    every = kmm_weights(Xs, Xt, alpha=matching.alpha_, gamma=matching.gamma_)[~known]
    agreement = np.corrcoef(foretold, every)[0, 1]
    drawn = new_figure(_WIDTH, _HEIGHT)
    ax = drawn.subplots()
    largest = 1.05 * max(foretold.max(), every.max())
    ax.plot([0.0, largest], [0.0, largest], color=_GREY)
    ax.scatter(every, foretold, s=14, color=FIRST, linewidths=0, alpha=0.7)
    ax.set(xlabel="weight, fitted with the row", ylabel="weight, foretold without it")
    _plain(ax)
    means = np.mean(found, axis=0)
    return Finding(
        title="Weights of rows not seen",
        question="Patients were kept by what was measured, so that some kinds are rare. What would "
        "those weigh that were not in the fit, and do weights help?",
        data=f"breast cancer, {known.sum()} + {len(Xt)} patients",
        call='KernelMeanMatching(alpha="cv").fit(X, sample_domain=d).predict_weights(X_new); '
        "kmm_weights(Xs, Xt)",
        outcome=f"correlation {agreement:.2f} with a fit to them",
        reading="With a ridge, weights are a function of the row. Those of the half that was left "
        f"out correlate by {agreement:.2f} with what they get in a fit to all; the ridge, "
        f"{matching.alpha_:.3g}, was chosen without labels. To the classifier they matter little: "
        f"over {len(difference)} draws a linear SVC is right for {means[0]:.1%} as it is and "
        f"{means[1]:.1%} weighted, a difference of {100 * difference.mean():.1f} points with a "
        f"standard error of {100 * error:.1f}.",
        seconds=seconds,
        figures=(
            Figure(
                "weights_foretold",
                "Weights of patients that the fit has not seen, against those of a fit that has; "
                "on the line they are the same.",
                drawn,
            ),
        ),
    )


# --------------------------------------------------------------------------------------
# alignment


def _no_overlap(quick: bool) -> Finding:
    size = 300 if quick else 500
    Xs, ys, Xt, _ = make_rotated_digits(size, random_state=0)
    X, _, domain = stack_domains(Xs, ys, Xt)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        matching, seconds = timed(lambda: KernelMeanMatching().fit(X, sample_domain=domain))
    display = DomainDisplay.from_estimator(matching, X, domain)
    drawn = new_figure(_WIDE, _HEIGHT)
    display.plot(kind="overlap", ax=drawn.subplots(1, 2))
    told = f"It warns: “{caught[0].message}”" if caught else "It does not warn."
    return Finding(
        title="Domains without overlap",
        question="Digits turned by 25 degrees, with noise: can weights of upright ones make them "
        "look alike?",
        data=f"digits, {len(Xs)} + {len(Xt)} images",
        call="KernelMeanMatching().fit(X, sample_domain=d)",
        outcome=f"MMD^2 {matching.mmd_before_:.3f}, {matching.mmd_after_:.3f} weighted, "
        + ("warned" if caught else "not warned"),
        reading=f"They can't: the squared MMD is {matching.mmd_before_:.3f} before and "
        f"{matching.mmd_after_:.3f} after. {told}",
        seconds=seconds,
        figures=(
            Figure(
                "digits_without_overlap",
                "The MMD's witness of upright and turned digits, before and after weighting: the "
                "two stay apart.",
                drawn,
            ),
        ),
    )


def _told_without_labels(
    maps: Sequence[Any], models: Sequence[Any], X: FloatArray, y: Labels, domain: Labels
) -> tuple[list[float], list[float]]:
    """Return the squared MMD after each map, and the circular score of each model."""
    left = [-MMDScorer()(embedding, X, sample_domain=domain) for embedding in maps]
    circular = CircularValidationScorer()
    return left, [circular(model, X, y, sample_domain=domain) for model in models]


def _turned_digits(quick: bool) -> Finding:
    n_draws, size = (1, 200) if quick else (2, 400)
    nearest = make_pipeline(Normalizer(), KNeighborsClassifier(1))
    names = ("nearest neighbour", "kernel least squares", "TCA, neighbour", "JDA, neighbour")
    found: dict[str, list[float]] = {name: [] for name in (*names, "MMD as a loss")}
    for seed in reversed(range(n_draws)):
        Xs, ys, Xt, yt = make_rotated_digits(size, random_state=seed)
        X, y, domain = stack_domains(Xs, ys, Xt)
        found[names[0]].append(nearest.fit(Xs, ys).score(Xt, yt))
        unaligned = MMDRegularizedClassifier(mmd_weight=0.0).fit(X, y, sample_domain=domain)
        found[names[1]].append(unaligned.score(Xt, yt))
        maps = TransferComponentAnalysis(30), JointDistributionAdaptation(30)
        for name, embedding in zip(names[2:], maps, strict=True):
            embedding.fit(X, y, sample_domain=domain)
            nearest.fit(embedding.transform(Xs), ys)
            found[name].append(nearest.score(embedding.transform(Xt), yt))
        aligned, seconds = timed(
            partial(MMDRegularizedClassifier().fit, X, y, sample_domain=domain)
        )
        found["MMD as a loss"].append(aligned.score(Xt, yt))
    # What is told of one draw is of the last, seed 0.
    left, circular = _told_without_labels(maps, (unaligned, aligned), X, y, domain)
    bars = new_figure(_WIDTH, _HEIGHT)
    _draw_bars(bars.subplots(), {name: np.array(each) for name, each in found.items()}, 2)
    drawn = new_figure(_WIDE, _HEIGHT)
    DomainDisplay.from_estimator(maps[1], X, domain).plot(kind="domains", ax=drawn.subplots(1, 2))
    mean = {name: float(np.mean(each)) for name, each in found.items()}
    agrees = (circular[1] > circular[0]) == (mean["MMD as a loss"] > mean[names[1]])
    verdict = "the right order" if agrees else "the wrong order, which such scores can have"
    return Finding(
        title="Turned digits",
        question="The labels are those of upright digits. How many turned ones are read right?",
        data=f"digits, {len(Xs)} + {len(Xt)} images",
        call="MMDRegularizedClassifier().fit(X, y, sample_domain=d); TransferComponentAnalysis(30)"
        ".fit(X, sample_domain=d); JointDistributionAdaptation(30).fit(X, y, sample_domain=d); "
        "CircularValidationScorer()(model, X, y, sample_domain=d); MMDScorer()(embedding, X, "
        "sample_domain=d)",
        outcome=f"accuracy {mean['MMD as a loss']:.2f}, without MMD {mean[names[1]]:.2f}",
        reading="On the target, over "
        + ("one draw: " if n_draws == 1 else f"{n_draws} draws: ")
        + ", ".join(f"{name} {value:.1%}" for name, value in mean.items())
        + f". The squared MMD is {left[0]:.3f} after TCA and {left[1]:.3f} after JDA, which aligns "
        "each class. Circular validation, which needs no label of the target, has "
        f"{circular[0]:.2f} for kernel least squares and {circular[1]:.2f} with MMD as a loss: "
        f"{verdict}.",
        seconds=seconds,
        figures=(
            Figure(
                "digits_turned",
                "Accuracy on turned digits; grey has seen upright digits only. Points are draws.",
                bars,
            ),
            Figure(
                "digits_aligned",
                "Upright and turned digits in two principal components: left pixels, right the "
                "components of joint distribution adaptation.",
                drawn,
            ),
        ),
    )


# --------------------------------------------------------------------------------------
# selection


def _draw_images(figure: Any, images: FloatArray, digits: Labels, rows: Sequence[Labels]) -> None:
    """Draw a line of images for each group of rows, blue and red."""
    axes = figure.subplots(len(rows), len(rows[0]))
    for line, group, color in zip(axes, rows, (FIRST, REST), strict=True):
        for ax, row in zip(line, group, strict=True):
            ax.imshow(images[row].reshape(8, 8), cmap="gray_r", vmin=0.0, vmax=16.0)
            ax.set_title(str(digits[row]), fontsize="small", color=color, pad=2)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set(color=color, linewidth=1.5)


def _prototypes(quick: bool) -> Finding:
    images, digits = load_digits(return_X_y=True)
    n_picks = 10
    selector, seconds = timed(lambda: MMDSampleSelector(n_picks, method="critic").fit(images))
    rng = np.random.default_rng(0)
    chance = [
        weighted_mmd(
            images[rng.choice(len(images), n_picks, replace=False)], images, gamma=selector.gamma_
        )
        for _ in range(5 if quick else 20)
    ]
    picks = selector.sample_indices_
    drawn = new_figure(_WIDE, 2.6)
    _draw_images(drawn, images, digits, (picks, selector.criticism_indices_))
    return Finding(
        title="Ten images for all",
        question=f"Which ten of {len(images):,} digits stand for all, and which are not stood for?",
        data=f"digits, {len(images)} images",
        call='MMDSampleSelector(10, method="critic").fit(X)',
        outcome=f"MMD^2 {selector.mmd_path_[-1]:.3f}, random {np.mean(chance):.3f}",
        reading=f"Picked one by one, ten images have a squared MMD of {selector.mmd_path_[-1]:.3f} "
        f"from all; ten random ones have {np.mean(chance):.3f}, the mean of {len(chance)} draws. "
        f"Among them are {len(set(digits[picks]))} different digits. Criticisms are where images "
        "are denser or rarer than the ten suggest.",
        seconds=seconds,
        figures=(
            Figure(
                "digits_prototypes",
                "Ten prototypes in the order of picking (blue), and ten criticisms (red), with "
                "the digits they show.",
                drawn,
            ),
        ),
    )


_FINDINGS = (
    _another_mix_of_digits,
    _a_line_elsewhere,
    _patients_kept_by_chance,
    _no_overlap,
    _turned_digits,
    _prototypes,
)


def _findings(quick: bool) -> Iterator[Finding]:
    for finding in _FINDINGS:
        # Products of small matrices: threads of BLAS would wait for each other.
        with single_threaded_blas():
            found = finding(quick)
        yield found


PART = Part(
    name="transfer",
    title="Transfer",
    introduction="What was learned from one domain is to hold in another, of which no label is "
    "known. The MMD of the two is measured, and made small: by weights of rows, by a map, inside "
    "a predictor, or by a choice of rows.",
    findings=_findings,
)
