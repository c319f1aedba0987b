"""
Which features tell kinds of files apart?
=========================================

A folder is full of files without names. Some are programs, some tables, some fonts. This example
tells them apart by what is in them: with labels by nearest neighbours, without labels by KMeans.
:class:`~skmmd.hashing.MMDTVectorizer` offers several features. The MMDT hash is one of them, and
for this task not the right one.
"""

# %%
# Files that are there
# --------------------
# Python and its packages bring files of many kinds. Of each suffix with enough files of 4 to 128
# KiB, 50 are read, all with different contents.

import sysconfig
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import sklearn

BLUE, RED, GREY, INK = "#2166ac", "#b2182b", "#9fb3c8", "#22303c"
N_EACH, N_KINDS = 50, 6

rng = np.random.default_rng(0)
paths_of = defaultdict(list)
for top in (sysconfig.get_path("stdlib"), *sklearn.__path__, *plt.matplotlib.__path__):
    for path in sorted(Path(top).rglob("*.*")):
        installed = "site-packages" in path.relative_to(top).parts
        if path.is_file() and not installed and 4096 <= path.stat().st_size <= 131072:
            paths_of[path.suffix].append(path)

files, kinds = [], []
for kind in sorted(paths_of, key=lambda kind: -len(paths_of[kind]))[:N_KINDS]:
    contents = [paths_of[kind][i].read_bytes() for i in rng.permutation(len(paths_of[kind]))[:99]]
    distinct = list(dict.fromkeys(contents))[:N_EACH]
    files += distinct
    kinds += [kind] * len(distinct)
kinds = np.array(kinds)
for kind in np.unique(kinds):
    print(f"{kind:10} {np.sum(kinds == kind):3} files")

# %%
# A list of ``bytes`` is what the vectorizer takes by default. Paths do as well, without reading
# them first: ``MMDTVectorizer(input="filename")`` hashes files of any size in constant memory.

from skmmd.hashing import MMDTVectorizer

MMDTVectorizer(features=["histogram", "bigrams"]).fit_transform(files).shape

# %%
# With labels: nearest neighbours
# -------------------------------
# The features are a parameter like any other, and a grid search can choose among them. In the
# figure: the accuracy on folds that the neighbours have not seen.
#
# - ``"sensitive"``, the 16 bytes of the hash: each holds some middle bits of the sum of one part
#   of the file, and starts again at 0 whenever the mean of that part grows by 32.
# - ``"circular"``: the same as angles, so that 255 is near 0.
# - ``"sums"``: the 16 sums themselves, which don't wrap around.
# - ``"histogram"``: how frequent each byte is. ``"bigrams"``: how frequent pairs of neighbouring
#   bytes are, hashed to 1024 columns.

from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline

features = [
    "sensitive",
    "circular",
    "sums",
    "histogram",
    "bigrams",
    ["histogram", "bigrams"],
]
folds = StratifiedKFold(5, shuffle=True, random_state=0)
search = GridSearchCV(
    make_pipeline(MMDTVectorizer(), KNeighborsClassifier(1, metric="manhattan")),
    {"mmdtvectorizer__features": features},
    cv=folds,
)
search.fit(files, kinds)
print("best:", search.best_params_["mmdtvectorizer__features"])

results = search.cv_results_
names = [each if isinstance(each, str) else " + ".join(each) for each in features]
best = results["rank_test_score"] == 1

figure, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
bars = ax.barh(
    names,
    results["mean_test_score"],
    xerr=results["std_test_score"],
    color=np.where(best, BLUE, GREY),
    ecolor=INK,
)
ax.bar_label(bars, fmt=" %.2f", fontsize="small", padding=3)
ax.invert_yaxis()
ax.set_xlim(0, 1.12)
ax.set_xlabel("accuracy (black: standard deviation over the folds)")
ax.spines[["top", "right"]].set_visible(False)

# %%
# What is confused with what? With the histogram and the bigrams, hardly anything; with the hash a
# lot.

from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import cross_val_predict

figure, axes = plt.subplots(1, 2, figsize=(9, 4.4), layout="constrained")
for ax, chosen, name in zip(
    axes, ("sensitive", ["histogram", "bigrams"]), ("the hash", "histogram + bigrams"), strict=True
):
    pipeline = make_pipeline(
        MMDTVectorizer(features=chosen), KNeighborsClassifier(1, metric="manhattan")
    )
    predicted = cross_val_predict(pipeline, files, kinds, cv=folds)
    ConfusionMatrixDisplay.from_predictions(
        kinds, predicted, ax=ax, cmap="Blues", colorbar=False, xticks_rotation=45
    )
    ax.set_title(f"{name}: accuracy {np.mean(predicted == kinds):.2f}", fontsize="medium")
    ax.set_xlabel("predicted kind")
    ax.set_ylabel("kind")

# %%
# Without labels: KMeans
# ----------------------
# KMeans gets as many clusters as there are kinds, and no label. The adjusted Rand index compares
# its clusters with the kinds: 1 if they are the same, about 0 for clusters at random. The picture
# shows the two directions in which the features vary most, and the colours are the kinds.

from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

# sphinx_gallery_thumbnail_number = 3
figure, axes = plt.subplots(1, 3, figsize=(9.5, 4), layout="constrained")
for ax, chosen, name in zip(
    axes,
    ("sensitive", "sums", ["histogram", "bigrams"]),
    ("the hash", "sums", "histogram + bigrams"),
    strict=True,
):
    X = MMDTVectorizer(features=chosen, dtype=float).fit_transform(files)
    clusters = KMeans(len(np.unique(kinds)), n_init=5, random_state=0).fit_predict(X)
    points = PCA(2, svd_solver="randomized", random_state=0).fit_transform(X)
    for number, kind in enumerate(np.unique(kinds)):
        ax.scatter(*points[kinds == kind].T, s=12, color=f"C{number}", linewidths=0, label=kind)
    ax.set_title(
        f"{name}\nadjusted Rand index {adjusted_rand_score(kinds, clusters):.2f}",
        fontsize="medium",
    )
    ax.set_xticks([])
    ax.set_yticks([])
handles, labels = axes[0].get_legend_handles_labels()
figure.legend(handles, labels, loc="outside lower center", ncols=6, frameon=False, markerscale=2)

# %%
# When to take which
# ------------------
# For kinds of files, languages or formats: ``features=["histogram", "bigrams"]``. For copies of
# one and the same file: the hash, which is 20 bytes long and quick to compare; that is the other
# example, :ref:`sphx_glr_auto_examples_hashing_plot_near_duplicates.py`.

plt.show()
