"""The tour's part of :mod:`skmmd.hashing`."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, confusion_matrix, pairwise_distances_argmin
from sklearn.model_selection import StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

from skmmd._cli._figures import hundredths, new_figure
from skmmd._cli._tour._findings import Figure, Finding, Part, timed
from skmmd._cli._tour._installed import InstalledFiles, installed_files
from skmmd.hashing import (
    MMDTClassifier,
    MMDTIndex,
    MMDTVectorizer,
    mmdt_digest,
    mmdt_format,
    mmdt_hash,
    mmdt_pairs,
    mmdt_parse,
    mmdt_similarity,
    mmdt_std,
)
from skmmd.inspection import SimilarityDisplay
from skmmd.inspection._axes import FIRST, INK, NULL, REST

__all__ = ["PART"]

FloatArray = NDArray[np.float64]
Generator = np.random.Generator

_WIDTH, _HEIGHT = 5.4, 4.0
_RECOMMENDED = ["histogram", "bigrams"]
_FEATURES: Mapping[str, str | list[str]] = {
    "the hash\n(sensitive)": "sensitive",
    "circular": "circular",
    "sums": "sums",
    "histogram": "histogram",
    "bigrams": "bigrams",
    "histogram\n+ bigrams": _RECOMMENDED,
}


def _files(quick: bool) -> InstalledFiles:
    return installed_files(25 if quick else 60)


def _share(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean()) if len(hits) else 0.0


def _some_files(quick: bool) -> InstalledFiles:
    """Return every so many of the files, which are enough to be edited."""
    files = _files(quick)
    step = max(1, len(files.names) // (48 if quick else 150))
    return InstalledFiles(files.names[::step], files.contents[::step], files.kinds[::step])


# --------------------------------------------------------------------------------------
# edits


def _change(content: bytes, rng: Generator, share: float = 0.01) -> bytes:
    changed = np.frombuffer(content, dtype=np.uint8).copy()
    places = rng.choice(len(changed), max(1, int(share * len(changed))), replace=False)
    changed[places] ^= rng.integers(1, 256, len(places), dtype=np.uint8)
    return changed.tobytes()


def _append(content: bytes, rng: Generator, share: float) -> bytes:
    """Append a piece of the file itself, as more of the same."""
    n_bytes = max(1, int(share * len(content)))
    start = int(rng.integers(len(content) - n_bytes + 1))
    return content + content[start : start + n_bytes]


def _insert(content: bytes, rng: Generator) -> bytes:
    middle = len(content) // 2
    return content[:middle] + rng.bytes(16) + content[middle:]


def _shuffle(content: bytes, rng: Generator) -> bytes:
    edges = np.linspace(0, len(content), 9).astype(int)
    order = np.roll(rng.permutation(8), 1)
    return b"".join(content[edges[i] : edges[i + 1]] for i in order)


_EDITS: Mapping[str, Callable[[bytes, Generator], bytes]] = {
    "1 % of bytes changed": _change,
    "every e made an E": lambda content, rng: content.replace(b"e", b"E"),
    "16 bytes inserted": _insert,
    "1 % appended": lambda content, rng: _append(content, rng, 0.01),
    "10 % appended": lambda content, rng: _append(content, rng, 0.1),
    "last 10 % cut off": lambda content, rng: content[: len(content) * 9 // 10],
    "8 pieces shuffled": _shuffle,
}


# --------------------------------------------------------------------------------------
# figures


def _accuracy_bars(ax: Any, names: Sequence[str], values: Sequence[float], chance: float) -> None:
    """Draw accuracies as bars, the last one, which is recommended, in a colour of its own."""
    colors = [NULL] * (len(values) - 1) + [FIRST]
    bars = ax.barh(range(len(values)), values, color=colors)
    ax.bar_label(bars, [f" {value:.2f}" for value in values], fontsize="small", color=INK)
    ax.set_yticks(range(len(values)), names, fontsize="small")
    ax.invert_yaxis()
    ax.set_xlim(0.0, 1.1)
    ax.axvline(chance, color=INK, linestyle="--", linewidth=1.0)
    ax.set_xlabel("accuracy (dashed: the largest class, always)")
    ax.spines[["top", "right"]].set_visible(False)


def _confusion_figure(kinds: NDArray[np.str_], predicted: NDArray[np.str_]) -> Figure:
    labels = np.unique(kinds)
    shares = confusion_matrix(kinds, predicted, labels=labels, normalize="true")
    drawn = new_figure(_WIDTH, 4.6)
    ax = drawn.subplots()
    hundredths(ax, shares, shares > 0.0, 1.0)
    ax.set_xticks(range(len(labels)), labels, rotation=45, fontsize="small")
    ax.set_yticks(range(len(labels)), labels, fontsize="small")
    ax.set_xlabel("predicted kind")
    ax.set_ylabel("kind")
    return Figure(
        "kinds_confusion",
        "Of the files of a kind (row), how many in a hundred were taken for which kind (column).",
        drawn,
    )


def _scatter(ax: Any, X: FloatArray, kinds: NDArray[np.str_], title: str) -> None:
    from matplotlib import colormaps

    points = PCA(2, svd_solver="randomized", random_state=0).fit_transform(X)
    for number, kind in enumerate(np.unique(kinds)):
        mine = points[kinds == kind]
        color = colormaps["tab10"](number)
        ax.scatter(*mine.T, s=12, color=color, alpha=0.75, linewidths=0, label=kind)
    ax.set_title(title, fontsize="medium")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel("first component", fontsize="small")
    ax.set_ylabel("second component", fontsize="small")


# --------------------------------------------------------------------------------------
# findings


def _one_file(quick: bool) -> Finding:
    files = _files(quick)
    # Files of these sizes are pictures of 128 columns. Of them the one with the most varied parts.
    sizes = np.array([len(content) for content in files.contents])
    fits = np.flatnonzero((sizes > 32768) & (sizes <= 131072))
    fits = fits if len(fits) else np.arange(len(sizes))
    spread = MMDTVectorizer(features="sums").transform([files.contents[i] for i in fits])
    chosen = int(fits[spread.std(axis=1).argmax()])
    name, content = files.names[chosen], files.contents[chosen]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(content)
        text, seconds = timed(lambda: mmdt_hash(path))
    figure = _one_file_figure(content)
    return Finding(
        title="A file and its hash",
        question="What does the hash see of a file?",
        data=f"{name[-20:]}, {len(content):,} bytes",
        call="mmdt_hash(path)",
        outcome=text,
        reading="The file is taken as a picture, which is shrunk to 64 x 64 and to 16 x 16. Each "
        "of the 16 bytes behind the colon sums up one of 16 successive parts of the file; the 4 "
        "bytes before it sum up quarters. So the hash knows how high the bytes are and where, and "
        "nothing of their order within a part. A sensitive byte is about 8 times the mean, and "
        "starts again at 0 from 256: parts whose means differ by 32 look the same. "
        f"mmdt_std(hash) is {mmdt_std(text):.1f}; below 10 a hash tells too little. "
        "mmdt_parse([hash]) turns hashes into bytes, mmdt_format(digests) bytes into hashes.",
        seconds=seconds,
        figures=(figure,),
    )


def _one_file_figure(content: bytes) -> Figure:
    width = 128
    n_rows = len(content) // width
    picture = np.frombuffer(content, np.uint8)[: n_rows * width].reshape(n_rows, width)
    sums = MMDTVectorizer(features="sums").transform([content])[0] / 256.0
    digest = mmdt_parse(mmdt_format(mmdt_digest([content])))[0]
    drawn = new_figure(_WIDTH, 4.6)
    left, middle, right = drawn.subplots(1, 3, width_ratios=(1.5, 1.0, 1.0))
    left.imshow(picture, cmap="gray", aspect="auto", extent=(0, width, 16, 0))
    left.hlines(range(1, 16), 0, width, color=REST, linewidth=0.6)
    left.set_xticks([])
    left.set_ylabel("part of the file")
    left.set_title("bytes", fontsize="small")
    parts = np.arange(16) + 0.5
    for ax, values, color, title in (
        (middle, sums, FIRST, "mean byte (sums)"),
        (right, digest[4:], REST, "sensitive byte"),
    ):
        ax.barh(parts, values, height=0.9, color=color)
        ax.set_xlim(0, 256)
        ax.set_xticks([0, 128, 255])
        ax.set_ylim(16, 0)
        ax.set_title(title, fontsize="small")
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_yticks([])
    left.set_yticks(parts, range(1, 17), fontsize="x-small")
    return Figure(
        "one_file",
        "Left: the bytes of the file, row by row, dark where they are low, in 16 parts. Middle: "
        "the mean of each part. Right: the byte of the hash, 8 times the mean, wrapped around.",
        drawn,
    )


def _kinds(quick: bool) -> Finding:
    files = _files(quick)
    folds = StratifiedKFold(5, shuffle=True, random_state=0)

    def knn() -> KNeighborsClassifier:
        return KNeighborsClassifier(1, metric="manhattan", algorithm="brute")

    predicted, seconds = timed(
        lambda: cross_val_predict(
            make_pipeline(MMDTVectorizer(features=_RECOMMENDED), knn()),
            files.contents,
            files.kinds,
            cv=folds,
        )
    )
    accuracies = []
    for features in _FEATURES.values():
        # Without a fold in between, since none of these features learns anything.
        X = MMDTVectorizer(features=features, dtype=np.float64).transform(files.contents)
        accuracies.append(float(cross_val_score(knn(), X, files.kinds, cv=folds).mean()))
    counts = np.unique(files.kinds, return_counts=True)[1]
    drawn = new_figure(_WIDTH, _HEIGHT)
    ax = drawn.subplots()
    _accuracy_bars(ax, list(_FEATURES), accuracies, counts.max() / counts.sum())
    accuracy = float(np.mean(predicted == files.kinds))
    features_figure = Figure(
        "kinds_features",
        "Accuracy of the nearest neighbour by the features it looks at, in 5-fold "
        "cross-validation.",
        drawn,
    )
    return Finding(
        title="Kinds of files: KNN",
        question="Here are files of several kinds, without their names. Which kind is each?",
        data=f"{len(files.names)} files of {len(counts)} kinds",
        call='make_pipeline(MMDTVectorizer(features=["histogram", "bigrams"]), '
        "KNeighborsClassifier(1))",
        outcome=f"accuracy {accuracy:.2f}; by the hash {accuracies[0]:.2f}",
        reading="The hash tells near-copies of a file. Of its kind it tells much less: it knows "
        "the mean of each part, and its bytes wrap around. Which bytes occur, and which follow "
        "each other, tells far more. For kinds of files take the histogram with bigrams.",
        seconds=seconds,
        figures=(features_figure, _confusion_figure(files.kinds, predicted)),
    )


def _clusters(quick: bool) -> Finding:
    files = _files(quick)
    n_kinds = len(np.unique(files.kinds))

    def rand_index(features: str | list[str]) -> float:
        pipeline = make_pipeline(
            MMDTVectorizer(features=features), KMeans(n_kinds, n_init=3, random_state=0)
        )
        return float(adjusted_rand_score(files.kinds, pipeline.fit_predict(files.contents)))

    found, seconds = timed(lambda: rand_index(_RECOMMENDED))
    by_hash = rand_index("sensitive")
    drawn = new_figure(7.6, 3.9)
    left, right = drawn.subplots(1, 2)
    for ax, features, title in (
        (left, _RECOMMENDED, f"histogram + bigrams, ARI {found:.2f}"),
        (right, "sensitive", f"the hash, ARI {by_hash:.2f}"),
    ):
        X = MMDTVectorizer(features=features, dtype=np.float64).transform(files.contents)
        _scatter(ax, X, files.kinds, title)
    handles, labels = left.get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, markerscale=2)
    figure = Figure(
        "clusters",
        "Each dot is a file, in the two directions in which the features vary most. Colour: its "
        "kind, which the clustering did not see.",
        drawn,
    )
    return Finding(
        title="Kinds of files: KMeans",
        question="The same files, and no labels at all: do they fall into groups by themselves?",
        data=f"{len(files.names)} files of {n_kinds} kinds",
        call='make_pipeline(MMDTVectorizer(features=["histogram", "bigrams"]), '
        f"KMeans({n_kinds})).fit_predict(files)",
        outcome=f"Rand index {found:.2f}; by the hash {by_hash:.2f}",
        reading="The adjusted Rand index is 1 if clusters and kinds are the same, and 0 on average "
        "for clusters at random. Clusters need not be the suffixes of names: some kinds are alike "
        "inside, and some hold several sorts of content.",
        seconds=seconds,
        figures=(figure,),
    )


def _near_copies(quick: bool) -> Finding:
    files = _some_files(quick)
    rng = np.random.default_rng(0)
    edited = {name: [edit(c, rng) for c in files.contents] for name, edit in _EDITS.items()}
    digests = mmdt_digest(files.contents)
    between = mmdt_similarity(digests)
    similarities = {
        name: np.diag(mmdt_similarity(digests, mmdt_digest(contents)))
        for name, contents in edited.items()
    }
    unrelated = between[np.triu_indices(len(between), 1)]
    first, last = next(iter(similarities.values())), similarities["8 pieces shuffled"]
    family_figure, groups, seconds = _families(files)
    return Finding(
        title="Edited copies",
        question="Files were edited. How similar are a file and its edited copy, beside files that "
        "have nothing to do with each other?",
        data=f"{len(files.names)} files, {len(_EDITS)} edits",
        call="mmdt_pairs(mmdt_digest(files), threshold=0.95)",
        outcome=f"bytes changed {np.median(first):.3f}, shuffled {np.median(last):.2f}",
        reading=f"Unrelated files reach {np.median(unrelated):.2f} in the middle, so that "
        f"mmdt_similarity(a, b) means something from about .9 on only. The hash is strong where "
        "bytes change and stay in their places. It is weak where contents move: after bytes were "
        "appended or cut off, all 16 parts lie elsewhere. Connected pairs above .95 make groups of "
        f"near-copies; in the heat map they are {groups}.",
        seconds=seconds,
        figures=(
            _edits_figure(similarities, unrelated),
            _nearest_figure(files.contents, edited),
            family_figure,
        ),
    )


def _edits_figure(similarities: Mapping[str, FloatArray], unrelated: FloatArray) -> Figure:
    drawn = new_figure(_WIDTH, _HEIGHT)
    ax = drawn.subplots()
    rows = [*similarities.values(), unrelated]
    for place, values in enumerate(rows):
        low, lower, middle, upper, high = np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95))
        color = REST if place == len(similarities) else FIRST
        ax.hlines(place, low, high, color=color, linewidth=1.2)
        ax.barh(place, upper - lower, left=lower, height=0.55, color=color, alpha=0.6)
        ax.vlines(middle, place - 0.3, place + 0.3, color=INK, linewidth=2.0)
    ax.set_yticks(range(len(rows)), [*similarities, "unrelated files"], fontsize="small")
    ax.invert_yaxis()
    ax.axvline(0.95, color=INK, linestyle="--", linewidth=1.0)
    ax.set_xlabel("similarity (dashed: .95)")
    ax.spines[["top", "right"]].set_visible(False)
    return Figure(
        "edits_similarity",
        "Similarity of a file and its edited copy: black is the median, the bar holds half "
        "of the files, the line nine of ten. Red: files that have nothing to do with each other.",
        drawn,
    )


def _nearest_figure(contents: list[bytes], edited: Mapping[str, list[bytes]]) -> Figure:
    """Draw how often the nearest original is the own one, by the hash and by better features."""
    places = np.arange(len(contents))
    shares: dict[str, list[float]] = {}
    for label, features in (("the hash", "sensitive"), ("histogram + bigrams", _RECOMMENDED)):
        vectorizer = MMDTVectorizer(features=features, dtype=np.float64)
        X = vectorizer.transform(contents)
        nearest = [
            pairwise_distances_argmin(vectorizer.transform(copies), X, metric="manhattan")
            for copies in edited.values()
        ]
        shares[label] = [float(np.mean(found == places)) for found in nearest]
    drawn = new_figure(_WIDTH, _HEIGHT)
    ax = drawn.subplots()
    rows = np.arange(len(edited))
    for offset, color, (label, values) in zip(
        (-0.2, 0.2), (NULL, FIRST), shares.items(), strict=True
    ):
        bars = ax.barh(rows + offset, values, height=0.38, color=color, label=label)
        ax.bar_label(bars, [f" {value:.2f}" for value in values], fontsize="x-small", color=INK)
    ax.set_yticks(rows, list(edited), fontsize="small")
    ax.invert_yaxis()
    ax.set_xlim(0.0, 1.12)
    ax.set_xlabel("share of copies whose nearest file is their original")
    ax.legend(frameon=False, fontsize="small", loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    ax.spines[["top", "right"]].set_visible(False)
    return Figure(
        "edits_nearest",
        "How often the nearest of all originals is the right one, by the 16 bytes of the hash and "
        "by histogram and bigrams (city block distances).",
        drawn,
    )


def _families(files: InstalledFiles) -> tuple[Figure, str, float]:
    """Draw the similarities of some files and their copies; say which groups pairs make."""
    rng = np.random.default_rng(1)
    tells = np.asarray(mmdt_std(mmdt_digest(files.contents))) >= 10.0
    some = np.flatnonzero(tells)
    some = some[np.linspace(0, len(some) - 1, 7).astype(int)] if len(some) > 7 else some
    names: list[str] = []
    families: list[str] = []
    contents: list[bytes] = []
    for number, place in enumerate(some, 1):
        content = files.contents[place]
        copies = {
            "": content,
            " changed": _change(content, rng),
            " inserted": _insert(content, rng),
            " appended": _append(content, rng, 0.01),
        }
        name = f"{number} {files.names[place][-16:]}"
        contents += copies.values()
        families += [name] * len(copies)
        names += [name + edit for edit in copies]
    pairs, seconds = timed(lambda: mmdt_pairs(mmdt_digest(contents), threshold=0.95))
    n_groups, _ = connected_components(pairs, directed=False)
    drawn = new_figure(7.6, 6.4)
    SimilarityDisplay.from_matrix(
        mmdt_similarity(mmdt_digest(contents)), labels=_literal(names), groups=_literal(families)
    ).plot(ax=drawn.subplots(), vmin=0.6)
    figure = Figure(
        "families",
        "Similarities of some files and three edited copies of each, clustered. Bright blocks "
        "along the diagonal: files with their copies.",
        drawn,
    )
    return figure, f"{n_groups} groups of {len(some)} files and {3 * len(some)} copies", seconds


def _literal(names: Sequence[str]) -> list[str]:
    return [name.replace("$", r"\$") for name in names]


def _search(quick: bool) -> Finding:
    files = _files(quick)
    rng = np.random.default_rng(0)
    n_bytes, n_queries = 8192, 150 if quick else 400
    pieces = list(
        {
            content[start : start + n_bytes]: None
            for content in files.contents
            for start in range(0, len(content) - n_bytes + 1, n_bytes if quick else n_bytes // 2)
        }
    )
    digests = mmdt_digest(pieces)
    tells = np.flatnonzero(np.asarray(mmdt_std(digests)) >= 10.0)
    places = rng.choice(tells, min(n_queries, len(tells)), replace=False)
    queries = mmdt_digest([_change(pieces[place], rng) for place in places])
    tolerances = (0, 1, 2, None)
    index = MMDTIndex(tolerance=1, n_neighbors=1).fit(digests)
    _, seconds = timed(lambda: index.kneighbors(queries))
    found, looked = [], []
    for tolerance in tolerances:
        index.set_params(tolerance=tolerance)
        nearest = np.asarray(index.kneighbors(queries, return_distance=False))[:, 0]
        found.append(float(np.mean(nearest == places)))
        looked.append(float(index.count_candidates(queries).mean() / len(digests)))
    return Finding(
        title="Search in an index",
        question="Thousands of pieces of files are known. Copies of some, a hundredth of their "
        "bytes changed, are looked up. Are their originals found without looking at all pieces?",
        data=f"{len(digests):,} pieces of 8 KiB, {len(places)} queries",
        call="MMDTIndex(tolerance=1).fit(pieces).kneighbors(queries)",
        outcome=f"{found[1]:.0%} found, {looked[1]:.1%} looked at",
        reading="The index looks at digests whose 4 index bytes differ by at most the tolerance "
        f"each. Among all pieces the original is the nearest for {found[3]:.0%}: since sensitive "
        "bytes wrap around, strangers can come nearer, and index bytes, which don't wrap, keep "
        "them out. Tolerance 0 is the bucket of python-mmdt. MMDTIndex.save keeps "
        "an index in a file without pickle.",
        seconds=seconds,
        figures=(_search_figure(found, looked),),
    )


def _search_figure(found: Sequence[float], looked: Sequence[float]) -> Figure:
    drawn = new_figure(_WIDTH, 3.4)
    left, right = drawn.subplots(1, 2, sharey=True)
    for ax, values, color, label in (
        (left, found, FIRST, "originals found"),
        (right, looked, NULL, "pieces looked at (log scale)"),
    ):
        bars = ax.barh(range(4), values, color=color)
        ax.bar_label(bars, [f" {value:.2%}" for value in values], fontsize="small", color=INK)
        ax.set_xticks([])
        ax.set_xlabel(label, fontsize="small")
        ax.spines[["top", "right", "bottom"]].set_visible(False)
    right.set_xscale("log")
    left.set_xlim(0.0, 1.5)
    right.set_xlim(max(min(looked) / 3, 1e-6), 30.0)
    right.minorticks_off()
    left.set_yticks(range(4), ["tolerance 0", "tolerance 1", "tolerance 2", "all pieces"])
    left.invert_yaxis()
    return Figure(
        "search",
        "What is found by looking at how much: a wider tolerance finds more, and looks at more.",
        drawn,
    )


def _rejection(quick: bool) -> Finding:
    files = _files(quick)
    rng = np.random.default_rng(0)
    known = np.zeros(len(files.names), dtype=bool)
    known[rng.permutation(len(known))[: len(known) // 2]] = True
    known_files = [content for content, mine in zip(files.contents, known, strict=True) if mine]
    others = [content for content, mine in zip(files.contents, known, strict=True) if not mine]
    copies = [_change(content, rng) for content in known_files]
    classifier = MMDTClassifier(threshold=0.95, reject_label="unknown")
    classifier.fit(known_files, files.kinds[known])
    predicted, seconds = timed(lambda: classifier.predict(copies))
    thresholds = np.linspace(0.8, 1.0, 41)
    queries = {
        "copies of known files": mmdt_digest(copies),
        "other files": mmdt_digest(others),
    }
    strangers = classifier.predict(others)

    def share_answered(digests: NDArray[np.uint8], metric: str) -> list[float]:
        classifier.set_params(metric=metric)
        shares = []
        for threshold in thresholds:
            found = classifier.set_params(threshold=threshold).predict(digests)
            shares.append(float(np.mean(found != "unknown")))
        return shares

    answered = {
        f"{name}, {metric}": share_answered(digests, metric)
        for metric in ("mmdt", "circular")
        for name, digests in queries.items()
    }
    answers = predicted != "unknown"
    right = _share((predicted == files.kinds[known])[answers])
    relatives = strangers != "unknown"
    right_relatives = _share((strangers == files.kinds[~known])[relatives])
    return Finding(
        title="Known, or unknown",
        question="Half of the files are known, with their kinds. Come copies of these with a "
        "hundredth of their bytes changed, and files never seen: who gets an answer?",
        data=f"{known.sum()} known files, {len(others)} others",
        call='MMDTClassifier(threshold=0.95, reject_label="unknown")',
        outcome=f"answered: copies {answers.mean():.0%}, others {relatives.mean():.0%}",
        reading=f"Where a copy gets an answer, it is right in {right:.0%}. A file that resembles "
        "no known one is best left unanswered: with reject_label the classifier does so below the "
        f"threshold. The others that get one are relatives, or files that the hash can't tell "
        f"apart, and {right_relatives:.0%} of their answers are right. Copies without one "
        'have a byte that wrapped around; metric="circular" knows of that, and wants a lower '
        "threshold. Without reject_label the nearest label is returned, whatever it is worth.",
        seconds=seconds,
        figures=(_rejection_figure(thresholds, answered),),
    )


def _rejection_figure(thresholds: FloatArray, answered: Mapping[str, list[float]]) -> Figure:
    drawn = new_figure(_WIDTH, _HEIGHT)
    ax = drawn.subplots()
    styles = ((FIRST, "-"), (REST, "-"), (FIRST, ":"), (REST, ":"))
    for (name, shares), (color, style) in zip(answered.items(), styles, strict=True):
        ax.plot(thresholds, shares, color=color, linestyle=style, linewidth=2, label=name)
    ax.axvline(0.95, color=INK, linestyle="--", linewidth=1.0)
    ax.set_ylim(0.0, 1.03)
    ax.set_xlabel("threshold (dashed: the default)")
    ax.set_ylabel("share that gets an answer")
    ax.legend(frameon=False, fontsize="small", loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    ax.spines[["top", "right"]].set_visible(False)
    return Figure(
        "rejection",
        "Share of files that get an answer, by the threshold and the metric. The further apart "
        "blue and red, the better copies are told from strangers.",
        drawn,
    )


def _signals(quick: bool) -> Finding:
    images, digits = load_digits(return_X_y=True)
    if quick:
        images, digits = images[:600], digits[:600]
    folds = StratifiedKFold(5, shuffle=True, random_state=0)

    def accuracy(features: str | None) -> float:
        knn = KNeighborsClassifier(1)
        model = knn if features is None else make_pipeline(MMDTVectorizer(features=features), knn)
        return float(cross_val_score(model, images, digits, cv=folds).mean())

    names = {
        "histogram": "histogram",
        "the hash\n(sensitive)": "sensitive",
        "circular": "circular",
        "sums": "sums",
    }
    by_sums, seconds = timed(lambda: accuracy("sums"))
    accuracies = [accuracy(features) for features in list(names.values())[:-1]]
    pixels = accuracy(None)
    drawn = new_figure(_WIDTH, 3.0)
    ax = drawn.subplots()
    chance = float(np.bincount(digits).max() / len(digits))
    _accuracy_bars(ax, [*names, "64 numbers\nas they are"], [*accuracies, by_sums, pixels], chance)
    return Finding(
        title="Rows of numbers",
        question="Rows of numbers can be hashed as well. Are digits told apart by the sums of "
        "their 16 parts, four pixels each?",
        data=f"digits, {len(images)} x {images.shape[1]}",
        call='make_pipeline(MMDTVectorizer(features="sums"), KNeighborsClassifier(1))',
        outcome=f"accuracy {by_sums:.2f}; all 64 numbers {pixels:.2f}",
        reading="Values are scaled to bytes by the range that fit has seen. Sixteen sums keep much "
        "of a row. The bytes of the hash don't: over the range of a sum they start again seven "
        "times, and sums of one digit differ by more than that. Where rows are as short as here, "
        "the numbers themselves are better still: these features are for rows of thousands.",
        seconds=seconds,
        figures=(
            Figure("digits_features", "Accuracy of the nearest neighbour by features.", drawn),
            _digits_figure(images, digits),
        ),
    )


def _digits_figure(images: FloatArray, digits: NDArray[np.intp]) -> Figure:
    sums = MMDTVectorizer(features="sums").fit(images).transform(images) / 256.0
    drawn = new_figure(_WIDTH, 3.4)
    axes = drawn.subplots(2, 5, height_ratios=(1.0, 0.8))
    for column, digit in enumerate((0, 1, 3, 4, 7)):
        place = int(np.flatnonzero(digits == digit)[0])
        picture, bars = axes[:, column]
        picture.imshow(images[place].reshape(8, 8), cmap="gray_r")
        picture.set_axis_off()
        bars.bar(range(16), sums[place], color=FIRST, width=0.9)
        bars.set_ylim(0, 256)
        bars.set_xticks([])
        bars.set_yticks([0, 255] if column == 0 else [])
        bars.spines[["top", "right"]].set_visible(False)
    axes[1, 0].set_ylabel("mean byte", fontsize="small")
    return Figure(
        "digits_sums", "Some digits, and the 16 means that are left of each: of half a line.", drawn
    )


_OF_FILES = (_one_file, _kinds, _clusters, _near_copies, _search, _rejection)


def _findings(quick: bool) -> Iterator[Finding]:
    # An interpreter may come without files: all in one archive.
    if len(np.unique(_files(quick).kinds)) > 1:
        for finding in _OF_FILES:
            yield finding(quick)
    yield _signals(quick)


PART = Part(
    name="hashing",
    title="Hashes of files",
    introduction="The MMDT hash turns a file of any kind and size into 20 bytes, which can be "
    "compared: near-copies have near hashes. Beside it there are features that tell kinds of files "
    "apart. The files here are those of this Python and of the packages that skmmd needs.",
    findings=_findings,
)
