"""The tour's part of :mod:`skmmd.two_sample`."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_wine,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmmd._cli._figures import feature_bars, hundredths, new_figure
from skmmd._cli._tour._findings import Figure, Finding, Part, timed
from skmmd.inspection import MMDTestDisplay, WitnessDisplay
from skmmd.inspection._axes import FIRST, INK, NULL, REST
from skmmd.kernels import KERNELS, median_gamma
from skmmd.two_sample import (
    DriftUpdate,
    MMDDriftDetector,
    MMDTest,
    MMDTestCV,
    MMDTestResult,
    mmd,
    mmd_test,
)

__all__ = ["PART"]

FloatArray = NDArray[np.float64]

_NULL_CAPTION = (
    "Grey: the statistic when the labels are shuffled. Red: the statistic of the real labels. The "
    "further right of the dashed critical value, the clearer the difference."
)
_WIDTH, _HEIGHT = 5.4, 4.0


def _verdict(result: MMDTestResult) -> str:
    found = "the samples differ" if result.rejected else "no difference found"
    return f"{found}, p = {result.pvalue:.3g}"


def _permutations(quick: bool) -> int:
    return 199 if quick else 999


def _null_figure(name: str, result: MMDTestResult) -> Figure:
    drawn = new_figure(_WIDTH, _HEIGHT)
    MMDTestDisplay.from_result(result).plot(ax=drawn.subplots())
    return Figure(f"{name}_null", _NULL_CAPTION, drawn)


def _digits() -> tuple[FloatArray, NDArray[np.intp]]:
    images, digits = load_digits(return_X_y=True)
    return images, digits


def _threes_and_eights(quick: bool) -> Finding:
    images, digits = _digits()
    threes, eights = images[digits == 3], images[digits == 8]
    result, seconds = timed(
        lambda: mmd_test(threes, eights, n_permutations=_permutations(quick), random_state=0)
    )
    n_reached = int((result.null_distribution >= result.statistic).sum())
    both = np.concatenate([threes, eights])
    witness = result.witness(both)
    order = np.argsort(-witness)
    rows = {
        "most like\nthe threes": order[:7],
        "in between": order[np.argsort(np.abs(witness[order]))[:7]],
        "most like\nthe eights": order[::-1][:7],
    }
    drawn = new_figure(_WIDTH, 2.7)
    axes = drawn.subplots(3, 7)
    for line, (label, members) in zip(axes, rows.items(), strict=True):
        for ax, member in zip(line, members, strict=True):
            ax.imshow(both[member].reshape(8, 8), cmap="gray_r")
            ax.set_xticks([])
            ax.set_yticks([])
            ax.spines[:].set_color(FIRST if member < len(threes) else REST)
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize="small")
    images_figure = Figure(
        "digits_3_8_witness",
        "Images ordered by the witness function, which is positive where threes are denser and "
        "negative where eights are. Blue frame: a three; red: an eight.",
        drawn,
    )
    return Finding(
        title="Threes and eights",
        question="Do images of the digit 3 come from the same distribution as those of the 8? "
        "This one must be found.",
        data=f"digits, {len(threes)} + {len(eights)} x 64",
        call="mmd_test(threes, eights)",
        outcome=_verdict(result),
        reading=f"{n_reached} of {result.n_permutations} shuffled labelings reached the statistic. "
        "The p-value counts the real labels among them, so it is never 0. No kernel width was "
        "chosen by hand: widths from fine to coarse are compared at once, and the level holds.",
        seconds=seconds,
        figures=(_null_figure("digits_3_8", result), images_figure),
    )


def _two_halves(quick: bool) -> Finding:
    images, digits = _digits()
    threes = images[digits == 3]
    rng = np.random.default_rng(0)
    n_splits = 40 if quick else 300

    def split_and_test() -> FloatArray:
        pvalues = []
        for _ in range(n_splits):
            left, right = np.array_split(rng.permutation(threes), 2)
            test = mmd_test(left, right, n_permutations=199, random_state=rng.integers(2**31))
            pvalues.append(test.pvalue)
        return np.array(pvalues)

    pvalues, seconds = timed(split_and_test)
    rejected = int((pvalues <= 0.05).sum())
    drawn = new_figure(_WIDTH, _HEIGHT)
    ax = drawn.subplots()
    ax.hist(pvalues, bins=np.linspace(0.0, 1.0, 21), color=NULL, edgecolor="white")
    ax.axhline(n_splits / 20, color=INK, linestyle="--", linewidth=1.2, label="uniform")
    ax.axvline(0.05, color=REST, linewidth=1.5, label="level 0.05")
    ax.set_xlabel("p-value")
    ax.set_ylabel("random splits")
    ax.legend(frameon=False, fontsize="small", loc="upper right")
    ax.spines[["top", "right"]].set_visible(False)
    figure = Figure(
        "digits_null_pvalues",
        "p-values where there is nothing to find: flat, as they must be. The share left of the red "
        "line is the rate of false alarms.",
        drawn,
    )
    return Finding(
        title="False alarms",
        question="The threes are split into two halves at random, many times. There is nothing "
        "to find: how often does the test say that there is?",
        data=f"digits, {n_splits} times {len(threes) // 2} + {len(threes) - len(threes) // 2} x 64",
        call="mmd_test(left, right, n_permutations=199)",
        outcome=f"{rejected} of {n_splits} rejected at 0.05 ({rejected / n_splits:.1%})",
        reading="At level 0.05 a valid test raises a false alarm in no more than about one split "
        "of twenty. Permutation makes that hold at any sample size.",
        seconds=seconds,
        figures=(figure,),
    )


def _writers(quick: bool) -> Finding:
    images, _ = _digits()
    middle = len(images) // 2
    methods = ("permutation", "binned", "nystroem", "asymptotic")
    results, times = [], []
    for method in methods:
        result, seconds = timed(
            partial(
                mmd_test,
                images[:middle],
                images[middle:],
                method=method,
                n_permutations=_permutations(quick),
                random_state=0,
            )
        )
        results.append(result)
        times.append(seconds)
    drawn = new_figure(_WIDTH, 3.0)
    ax = drawn.subplots()
    bars = ax.barh(methods, times, color=FIRST)
    labels = [
        f" {seconds:.2f} s, p = {result.pvalue:.3g}"
        for seconds, result in zip(times, results, strict=True)
    ]
    ax.bar_label(bars, labels, fontsize="small", color=INK)
    ax.invert_yaxis()
    ax.margins(x=0.45)
    ax.set_xlabel("seconds")
    ax.spines[["top", "right"]].set_visible(False)
    figure = Figure(
        "digits_writers_methods", "The same question, by four ways to a p-value.", drawn
    )
    return Finding(
        title="Is the file shuffled?",
        question="Thirteen people wrote these digits. Is the first half of the file like the "
        "second, or do the rows stand in an order that matters?",
        data=f"digits, {middle} + {len(images) - middle} x 64",
        call='mmd_test(first, second, method="permutation")',
        outcome=_verdict(results[0]),
        reading="Where the halves differ, a split without shuffling makes no fair test set. As "
        "for the methods: shuffling bins of rows, or landmarks instead of all pairs (Nystroem), "
        "keeps the level exact and costs less, which counts from some thousand rows on; the "
        "asymptotic test shuffles nothing, but is right in large samples only.",
        seconds=times[0],
        figures=(_null_figure("digits_writers", results[0]), figure),
    )


def _all_digits(quick: bool) -> Finding:
    images, digits = _digits()
    groups = [images[digits == digit] for digit in range(10)]
    # One kernel for all pairs: distances under different ones can't be compared.
    gamma = median_gamma("rbf", images)

    def all_pairs() -> FloatArray:
        distances = np.zeros((10, 10))
        for i in range(10):
            for j in range(i):
                distances[i, j] = distances[j, i] = mmd(groups[i], groups[j], gamma=gamma)
        return distances

    distances, seconds = timed(all_pairs)
    apart = distances + np.diag(np.full(10, np.inf))
    near = np.unravel_index(apart.argmin(), apart.shape)
    far = np.unravel_index(distances.argmax(), distances.shape)
    drawn = new_figure(_WIDTH, 4.6)
    ax = drawn.subplots()
    image = hundredths(ax, distances, ~np.eye(10, dtype=np.bool_), distances.max())
    ax.set_xticks(range(10))
    ax.set_yticks(range(10))
    ax.set_xlabel("digit")
    ax.set_ylabel("digit")
    drawn.colorbar(image, ax=ax, label="squared MMD", shrink=0.85)
    figure = Figure(
        "digits_distances",
        "Squared MMD of each pair of digits, times 100. Dark: far from each other.",
        drawn,
    )
    return Finding(
        title="Distances of distributions",
        question="Not whether, but how far: which two digits are written most alike?",
        data="digits, 45 pairs, about 180 x 64",
        call="mmd(images_of_i, images_of_j, gamma=gamma)",
        outcome=f"nearest {near[1]} and {near[0]}, farthest {far[1]} and {far[0]}",
        reading="The squared MMD measures how far two distributions are apart under one kernel, "
        "here with the median distance of all images as its width: 0 if they are the same. The "
        "unbiased estimate can fall a little below 0 then.",
        seconds=seconds,
        figures=(figure,),
    )


def _wine_classes(quick: bool) -> Finding:
    wine = load_wine()
    X, cultivar = wine.data, np.array(["cultivar A", "cultivar B", "cultivar C"])[wine.target]
    test = MMDTest(n_permutations=_permutations(quick), random_state=0)
    pipeline, seconds = timed(lambda: make_pipeline(StandardScaler(), test).fit(X, cultivar))
    figures = [_null_figure("wine", test.result_)]
    for letter in "AC":
        drawn = new_figure(_WIDTH, _HEIGHT)
        WitnessDisplay.from_estimator(
            pipeline,
            X,
            cultivar,
            features=("flavanoids", "proline"),
            feature_names=wine.feature_names,
            group=f"cultivar {letter}",
        ).plot(ax=drawn.subplots())
        figures.append(
            Figure(
                f"wine_witness_{letter.lower()}",
                f"The witness of cultivar {letter} against the rest, in two of the 13 measurements "
                "(the others at their median): blue where it is denser.",
                drawn,
            )
        )
    sizes = " + ".join(str(size) for size in test.result_.n_samples)
    return Finding(
        title="Three wines at once",
        question="Are wines of three cultivars chemically the same?",
        data=f"wine, {sizes} x {X.shape[1]}",
        call="make_pipeline(StandardScaler(), MMDTest()).fit(X, cultivar)",
        outcome=_verdict(test.result_),
        reading="One test for three groups: a small p-value says that they are not all alike, and "
        "the witness shows where each stands out. The scaler is fitted on all rows together, so "
        "that it knows no labels, and the p-value stays valid.",
        seconds=seconds,
        figures=tuple(figures),
    )


def _tumours(quick: bool) -> Finding:
    data = load_breast_cancer()
    X = StandardScaler().fit_transform(data.data)
    diagnosis = data.target_names[data.target]
    test = MMDTest(n_permutations=_permutations(quick), random_state=0).fit(X, diagnosis)
    scores, seconds = timed(test.feature_scores)
    different = int((scores.pvalue <= 0.05).sum())
    drawn = new_figure(_WIDTH, 5.6)
    feature_bars(drawn.subplots(), scores, data.feature_names, 0.05)
    best = scores.ranking()[0]
    curve = new_figure(_WIDTH, _HEIGHT)
    single = MMDTest(n_permutations=0).fit(data.data[:, [best]], diagnosis)
    WitnessDisplay.from_estimator(
        single, data.data[:, [best]], diagnosis, feature_names=[data.feature_names[best]]
    ).plot(ax=curve.subplots())
    sizes = " + ".join(str(size) for size in test.result_.n_samples)
    return Finding(
        title="Which measurements differ?",
        question="Benign and malignant tumours differ. In which of the 30 measurements?",
        data=f"breast_cancer, {sizes} x {X.shape[1]}",
        call="MMDTest().fit(X, diagnosis).feature_scores()",
        outcome=f"{different} of {X.shape[1]} differ; most: {data.feature_names[best]}",
        reading="Each measurement is tested by itself, under the same shuffled labels. The "
        "p-values are adjusted for their number: the chance that even one is called different when "
        "none is stays below the level.",
        seconds=seconds,
        figures=(
            Figure(
                "breast_cancer_features",
                "The measurements in the order of their statistic. Blue: differs at level 0.05 "
                "after adjustment.",
                drawn,
            ),
            Figure(
                "breast_cancer_witness",
                "The measurement that differs most: histograms of both groups, and the witness "
                "(above 0 where malignant tumours are rarer).",
                curve,
            ),
        ),
    )


def _iris_choice(quick: bool) -> Finding:
    data = load_iris()
    X, y = data.data[50:], data.target_names[data.target[50:]]
    test, seconds = timed(
        lambda: MMDTestCV(n_permutations=_permutations(quick), random_state=0).fit(X, y)
    )
    contour = new_figure(_WIDTH, _HEIGHT)
    WitnessDisplay.from_estimator(
        test, X, y, feature_names=data.feature_names, features=(2, 3)
    ).plot(ax=contour.subplots())
    return Finding(
        title="A kernel chosen by the data",
        question="Two kinds of iris that look alike: which kernel tells them apart best, and does "
        "the answer hold on flowers that did not choose it?",
        data="iris, 50 + 50 x 4",
        call="MMDTestCV().fit(X, species)",
        outcome=f"{test.kernel_}, gamma {test.best_gamma_:.2g}; p = {test.pvalue_:.3g}",
        reading="One half of the flowers chose the kernel by the power that it promises, the other "
        "half tested it once. To choose and test on the same rows would raise false alarms far "
        "above the level.",
        seconds=seconds,
        figures=(
            _power_figure(test),
            Figure(
                "iris_witness",
                "The witness of the chosen kernel in the two measurements of the petals.",
                contour,
            ),
        ),
    )


def _power_figure(test: MMDTestCV) -> Figure:
    results = test.cv_results_
    drawn = new_figure(_WIDTH, _HEIGHT)
    ax = drawn.subplots()
    kernels = np.array(results["kernel"])
    for kernel, color in (("rbf", FIRST), ("laplacian", REST)):
        mine = kernels == kernel
        ax.plot(
            results["gamma"][mine],
            results["mean_power"][mine],
            marker="o",
            color=color,
            label=kernel,
        )
    ax.plot(
        test.best_gamma_,
        results["mean_power"].max(),
        marker="*",
        markersize=16,
        color=INK,
        linestyle="",
        label="chosen",
    )
    ax.set_xscale("log")
    ax.set_xlabel("gamma")
    ax.set_ylabel("power criterion J, mean of the folds")
    ax.legend(frameon=False, fontsize="small")
    ax.spines[["top", "right"]].set_visible(False)
    return Figure(
        "iris_power",
        "The power criterion of each candidate on the first half. Higher is better.",
        drawn,
    )


def _few_flowers(quick: bool) -> Finding:
    data = load_iris()
    sepals = data.data[:, :2]
    few, others = sepals[:6], sepals[50:56]
    result, seconds = timed(lambda: mmd_test(few, others, random_state=0))
    return Finding(
        title="Twelve flowers",
        question="Six setosa and six versicolor, by their sepals alone: are so few enough?",
        data="iris, 6 + 6 x 2",
        call="mmd_test(setosa, versicolor)",
        outcome=_verdict(result),
        reading=f"With so few rows all {result.n_permutations} ways to label them are gone "
        "through, and the p-value is the exact share of those at least as far apart. The smallest "
        f"that six and six can give is 2 / {result.n_permutations}.",
        seconds=seconds,
        figures=(_null_figure("iris_exact", result),),
    )


def _kernels(quick: bool) -> Finding:
    data = load_diabetes(scaled=False)
    age, columns = data.data[:, 0], [2, 4, 5, 6, 7, 8, 9]
    X = StandardScaler().fit_transform(data.data[:, columns])
    # A moderate question: with all rows every kernel would find the difference.
    rows = np.random.default_rng(0).choice(len(X), 120, replace=False)
    young = age[rows] < np.median(age)
    pvalues, total = {}, 0.0
    for kernel in KERNELS:
        result, seconds = timed(
            partial(
                mmd_test,
                X[rows[young]],
                X[rows[~young]],
                kernel=kernel,
                n_permutations=_permutations(quick),
                random_state=0,
            )
        )
        pvalues[kernel] = result.pvalue
        total += seconds
    n_found = sum(pvalue <= 0.05 for pvalue in pvalues.values())
    return Finding(
        title="One question, many kernels",
        question="Do younger and older patients differ in body mass and blood values, as seen in "
        "120 of them?",
        data=f"diabetes, {int(young.sum())} + {int((~young).sum())} x {len(columns)}",
        call='mmd_test(young, old, kernel="laplacian"), and so on',
        outcome=f"{n_found} of {len(KERNELS)} kernels find a difference at 0.05",
        reading="Kernels look for different things: the linear kernel compares means alone, the "
        "polynomial one low moments, and the others any difference at the widths that are "
        "compared. To try all and report the smallest p-value would not be a valid test; decide "
        "before, or let MMDTestCV choose.",
        seconds=total,
        figures=(_pvalues_figure(pvalues),),
    )


def _pvalues_figure(pvalues: Mapping[str, float]) -> Figure:
    drawn = new_figure(_WIDTH, 3.6)
    ax = drawn.subplots()
    colors = [FIRST if pvalue <= 0.05 else NULL for pvalue in pvalues.values()]
    ax.scatter(list(pvalues.values()), range(len(pvalues)), s=70, color=colors, zorder=3)
    for place, pvalue in enumerate(pvalues.values()):
        ax.annotate(
            f"{pvalue:.3g}",
            (pvalue, place),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
        )
    ax.set_yticks(range(len(pvalues)), list(pvalues))
    ax.grid(axis="y", color=NULL, alpha=0.4)
    ax.axvline(0.05, color=REST, linestyle="--", linewidth=1.2)
    ax.set_xscale("log")
    ax.margins(x=0.15)
    ax.invert_yaxis()
    ax.set_xlabel("p-value (dashed: 0.05)")
    ax.spines[["top", "right"]].set_visible(False)
    return Figure(
        "diabetes_kernels",
        "The p-value under each kernel, on a logarithmic scale. Blue: at most 0.05.",
        drawn,
    )


def _patients(quick: bool) -> Finding:
    data = load_diabetes(scaled=False)
    sex = np.where(data.data[:, 1] == 1, "sex 1", "sex 2")
    names = ["age", "body mass", "blood pressure", *(f"blood serum {i}" for i in range(1, 7))]
    X = StandardScaler().fit_transform(np.delete(data.data, 1, axis=1))
    test = MMDTest(n_permutations=_permutations(quick), random_state=0)
    _, seconds = timed(lambda: test.fit(X, sex))
    scores = test.feature_scores()
    drawn = new_figure(_WIDTH, _HEIGHT)
    feature_bars(drawn.subplots(), scores, names, 0.05)
    same = [names[feature] for feature in scores.ranking()[::-1] if scores.pvalue[feature] > 0.05]
    note = f" No difference was found in: {', '.join(same)}." if same else ""
    sizes = " + ".join(str(size) for size in test.result_.n_samples)
    return Finding(
        title="Patients by sex",
        question="Do the measurements of diabetes patients differ between the sexes?",
        data=f"diabetes, {sizes} x {X.shape[1]}",
        call="MMDTest().fit(X, sex)",
        outcome=_verdict(test.result_),
        reading="The test says that they differ, the attribution says in what." + note,
        seconds=seconds,
        figures=(
            _null_figure("diabetes_sex", test.result_),
            Figure(
                "diabetes_sex_features",
                "The measurements in the order of their statistic. Blue: differs at level 0.05 "
                "after adjustment.",
                drawn,
            ),
        ),
    )


def _drift(quick: bool) -> Finding:
    images, _ = _digits()
    images = images[np.random.default_rng(0).permutation(len(images))]
    reference, stream = images[:900], images[900:1700].copy()
    change, batch = 400, 40
    stream[change:] *= 0.85
    run_time = 3000
    detector = MMDDriftDetector(
        n_permutations=_permutations(quick),
        expected_run_time=run_time,
        n_simulations=4000 if quick else None,
        random_state=0,
    ).fit(reference)
    betting = MMDDriftDetector(monitor="betting", random_state=0).fit(reference)

    def watch() -> tuple[FloatArray, list[DriftUpdate], list[DriftUpdate]]:
        batches = stream.reshape(-1, batch, stream.shape[1])
        pvalues = np.array([detector.test(rows).pvalue for rows in batches])
        window = [detector.update(row) for row in stream]
        return pvalues, window, [betting.update(row) for row in stream]

    (pvalues, window, wealth), seconds = timed(watch)
    n_before = change // batch
    false_alarms = int((pvalues[:n_before] <= 0.05).sum())
    found = int((pvalues[n_before:] <= 0.05).sum())
    return Finding(
        title="A camera that fades",
        question="Images arrive one by one. After 400 of them the pixels become 15 % fainter: "
        "who notices, and when?",
        data=f"digits, {len(reference)} kept, stream of {len(stream)} x 64",
        call="MMDDriftDetector().fit(reference), then .test(batch) or .update(image)",
        outcome=f"{found} of {len(pvalues) - n_before} batches after it, {false_alarms} of "
        f"{n_before} before",
        reading="Three ways to watch. Batches: each has a valid p-value, and one of twenty is a "
        "false alarm. Window: an alarm as soon as the last 25 images leave the threshold, which "
        f"false alarms do once in {run_time:,} images on average; "
        f"{_alarm_text(window, change)}. Betting: the evidence of the whole stream, with a chance "
        "of 5 % of ever raising a false alarm, however long it runs; slower, and safest; "
        f"{_alarm_text(wealth, change)}.",
        seconds=seconds,
        figures=(
            _batches_figure(pvalues, batch, change),
            _monitor_figure(window, change, "drift_window", "statistic of the window"),
            _monitor_figure(wealth, change, "drift_betting", "wealth"),
        ),
    )


def _first_alarm(updates: list[DriftUpdate]) -> int | None:
    return next((update.n_seen for update in updates if update.drift), None)


def _alarm_text(updates: list[DriftUpdate], change: int) -> str:
    alarm = _first_alarm(updates)
    if alarm is None:
        return "here it raised none"
    if alarm <= change:
        return f"here it raised a false one at image {alarm}"
    return f"here it came {alarm - change} images after the change"


def _batches_figure(pvalues: FloatArray, batch: int, change: int) -> Figure:
    drawn = new_figure(_WIDTH, _HEIGHT)
    ax = drawn.subplots()
    middles = batch * (np.arange(len(pvalues)) + 0.5)
    ax.scatter(middles, pvalues, color=np.where(pvalues <= 0.05, REST, FIRST), zorder=3)
    ax.axhline(0.05, color=INK, linestyle="--", linewidth=1.2, label="level 0.05")
    _mark_change(ax, change, batch * len(pvalues))
    ax.set_yscale("log")
    ax.set_ylabel("p-value of the batch")
    return Figure(
        "drift_batches", f"The p-value of each batch of {batch} images. Red: at most 0.05.", drawn
    )


def _monitor_figure(updates: list[DriftUpdate], change: int, name: str, label: str) -> Figure:
    drawn = new_figure(_WIDTH, _HEIGHT)
    ax = drawn.subplots()
    seen = [update.n_seen for update in updates]
    ax.plot(seen, [update.statistic for update in updates], color=FIRST, linewidth=1.2)
    ax.plot(
        seen,
        [update.threshold for update in updates],
        color=INK,
        linestyle="--",
        linewidth=1.2,
        label="threshold",
    )
    alarm = _first_alarm(updates)
    if alarm is not None:
        ax.plot(
            alarm,
            updates[alarm - 1].statistic,
            "o",
            color=REST,
            markersize=8,
            label=f"first alarm, image {alarm}",
            zorder=3,
        )
    if name == "drift_betting":
        ax.set_yscale("log")
    _mark_change(ax, change, len(updates))
    ax.set_ylabel(label)
    return Figure(name, f"The {label} image by image, and the first alarm.", drawn)


def _mark_change(ax: Any, change: int, end: int) -> None:
    ax.axvspan(change, end, color=NULL, alpha=0.25, label="after the change")
    ax.set_xlim(0, end)
    ax.set_xlabel("images seen")
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=3,
        frameon=False,
        fontsize="small",
        borderaxespad=0.2,
    )
    ax.spines[["top", "right"]].set_visible(False)


_FINDINGS = (
    _threes_and_eights,
    _two_halves,
    _writers,
    _all_digits,
    _wine_classes,
    _tumours,
    _patients,
    _kernels,
    _iris_choice,
    _few_flowers,
    _drift,
)


def _findings(quick: bool) -> Iterator[Finding]:
    for finding in _FINDINGS:
        yield finding(quick)


PART = Part(
    name="two_sample",
    title="Two-sample tests",
    introduction="Do samples come from the same distribution, and where do they differ? The "
    "maximum mean discrepancy (MMD) compares all of a distribution, not its mean alone, in any "
    "number of columns; shuffled labels give p-values that hold at any sample size.",
    findings=_findings,
)
