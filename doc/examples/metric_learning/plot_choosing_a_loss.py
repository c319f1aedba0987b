"""
Choosing a loss
===============

Six losses, each over all pairs of a class or over target neighbours: which is good for what? This
example sets them beside each other on small real data, where most of them tie, and on classes that
consist of several clusters, where they do not.
"""

# %%
# One data set, six losses
# ------------------------
# Every other wine is learned from; the rest is shown, in two dimensions. MAP@R is the mean average
# precision at R: 1 if each row is nearest to all others of its class, before any row of another.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris, load_wine

from skmmd.metric_learning import MetricLearner, mean_average_precision_at_r

BLUE, RED, INK = "#2166ac", "#b2182b", "#22303c"

LOSSES = ("contrastive", "triplet", "triplet_center", "n_pair", "quadruplet", "lifted_structure")

X, cultivar = load_wine(return_X_y=True)
figure, axes = plt.subplots(2, 3, figsize=(9, 5.6), layout="constrained")
for ax, loss in zip(axes.flat, LOSSES, strict=True):
    learner = MetricLearner(loss, positives="all", n_components=2).fit(X[::2], cultivar[::2])
    Z = learner.transform(X[1::2])
    for label, color, marker in zip(range(3), (BLUE, RED, INK), "os^", strict=True):
        rows = Z[cultivar[1::2] == label]
        ax.scatter(*rows.T, s=16, color=color, marker=marker, alpha=0.7, linewidths=0)
    score = learner.score(X[1::2], cultivar[1::2])
    ax.set_title(f"{loss}\nMAP@R {score:.2f}", fontsize="medium")
    ax.set_aspect("equal", adjustable="datalim")
    ax.spines[["top", "right"]].set_visible(False)

# %%
# Lengths differ, and mean nothing: a margin is a unit of length. What counts is which rows are
# near.
#
# Neighbours, or retrieval?
# -------------------------
# Five-fold cross-validation with two measures: the accuracy of five nearest neighbours, and MAP@R
# of held-out rows among training rows. The former asks for a few neighbours of the class, the
# latter for the whole class. For comparison, nothing but standardisation, LDA, and scikit-learn's
# neighbourhood components analysis (NCA).

from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier, NeighborhoodComponentsAnalysis
from sklearn.preprocessing import FunctionTransformer, StandardScaler


def measure(transformer, train, test):
    """Return accuracy of 5-NN and MAP@R of test rows, standardised and transformed."""
    (X, y), (X_test, y_test) = train, test
    scaler = StandardScaler().fit(X)
    transformer.fit(scaler.transform(X), y)
    Z, Z_test = (transformer.transform(scaler.transform(rows)) for rows in (X, X_test))
    accuracy = KNeighborsClassifier(5).fit(Z, y).score(Z_test, y_test)
    return accuracy, mean_average_precision_at_r(Z_test, y_test, Z_reference=Z, y_reference=y)


def cross_validate(transformer, X, y):
    """Return the means of both measures over five folds."""
    folds = StratifiedKFold(5, shuffle=True, random_state=0).split(X, y)
    found = [measure(transformer, (X[a], y[a]), (X[b], y[b])) for a, b in folds]
    return np.mean(found, axis=0)


def learners(**settings):
    """Return all losses with both kinds of positives; triplet_center knows none."""
    pairs = {
        f"{loss}, {positives}": MetricLearner(loss, positives=positives, random_state=0, **settings)
        for loss in LOSSES
        if loss != "triplet_center"
        for positives in ("all", "neighbors")
    }
    return {**pairs, "triplet_center": MetricLearner("triplet_center", **settings)}


methods = {
    "standardised": FunctionTransformer(),
    "LDA": LinearDiscriminantAnalysis(),
    "NCA": NeighborhoodComponentsAnalysis(random_state=0),
    **learners(),
}


def style(name):
    """Return colour and marker of a method."""
    if name.endswith("all"):
        return {"color": BLUE, "marker": "o"}
    if name.endswith("neighbors"):
        return {"color": RED, "marker": "D"}
    return {"color": INK, "marker": "s"}


def draw(axes, found):
    """Draw a line for each method, and a column for each measure."""
    names = list(found)
    for ax, column, title in zip(axes, (0, 1), ("accuracy of 5-NN", "MAP@R"), strict=True):
        for place, name in enumerate(names):
            ax.scatter(found[name][column], place, s=30, **style(name))
        ax.set_yticks(range(len(names)), names, fontsize="small")
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.grid(axis="x", color="#e3e8ee")
        ax.set_axisbelow(True)
        ax.set_xlabel(title)
        ax.spines[["top", "right"]].set_visible(False)


figure, axes = plt.subplots(2, 2, figsize=(9, 7.5), sharey=True, layout="constrained")
for line, (title, load) in zip(axes, {"iris": load_iris, "wine": load_wine}.items(), strict=True):
    X, y = load(return_X_y=True)
    found = {name: cross_validate(method, X, y) for name, method in methods.items()}
    draw(line, found)
    line[0].set_title(title, loc="left")
    for name, (accuracy, score) in found.items():
        print(f"{title}, {name}: accuracy {accuracy:.3f}, MAP@R {score:.3f}")

# %%
# The accuracies lie within what folds make of chance; nobody should choose a loss by them. MAP@R
# tells more: most losses over all pairs of a class (blue) are ahead, since they draw the whole
# class together.
#
# Classes of several clusters
# ---------------------------
# Six clusters lie like the fields of a chess board, three in each class, and eight columns of wide
# noise hide them. Whoever draws all of a class together, draws its clusters over those of the other
# one. (With two classes LDA has but one component, and quadruplets are triplets: both are left
# out.)


def draw_board(n_samples, seed):
    """Draw clusters of two classes in turn, in two columns out of ten."""
    rng = np.random.default_rng(seed)
    centers = 4.0 * np.array([[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]])
    cluster = rng.integers(6, size=n_samples)
    board = centers[cluster] + 0.8 * rng.normal(size=(n_samples, 2))
    noise = 3.0 * rng.normal(size=(n_samples, 8))
    return np.column_stack([board, noise]), np.array([0, 1, 0, 1, 0, 1])[cluster]


train, test = draw_board(600, 0), draw_board(1000, 1)
found = {
    name: measure(method, train, test)
    for name, method in methods.items()
    if not name.startswith(("LDA", "quadruplet"))
}
figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
draw(axes, found)
for name, (accuracy, score) in found.items():
    print(f"{name}: accuracy {accuracy:.3f}, MAP@R {score:.3f}")

# %%
# Two maps of the test rows, seen in their first two principal components. With target neighbours
# (``positives="neighbors"``, the default) the clusters come out, the noise is gone, and no two of
# one class had to meet.

figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.4), layout="constrained")
maps = {
    "standardised": StandardScaler().fit(train[0]),
    'positives="all"': MetricLearner("contrastive", positives="all").fit(*train),
    'positives="neighbors"': MetricLearner("contrastive", random_state=0).fit(*train),
}
for ax, (name, method) in zip(axes, maps.items(), strict=True):
    Z = method.transform(test[0])
    Z = Z - Z.mean(axis=0)
    directions = np.linalg.svd(Z, full_matrices=False)[2][:2]
    for label, color, marker in zip((0, 1), (BLUE, RED), "os", strict=True):
        rows = Z[test[1] == label] @ directions.T
        ax.scatter(*rows.T, s=8, color=color, marker=marker, alpha=0.6, linewidths=0)
    ax.set_title(name, fontsize="medium")
    ax.set_aspect("equal", adjustable="datalim")
    ax.spines[["top", "right"]].set_visible(False)

# %%
# How many passes
# ---------------
# Target neighbours under the first metric are not those under the learned one. So they are selected
# anew, and the fit goes on: a pass. Passes help where noise chose the neighbours at the start, and
# not for ever. ``n_passes="auto"`` chooses by rows held out. On the left classes of two clusters
# each, among 20 columns of noise; on the right wine, where one pass is as good as ten.

from skmmd.datasets import make_scaled_classification

rows = make_scaled_classification(1000, n_test=1000)
X, y = load_wine(return_X_y=True)
sets = {
    "1000 rows, two clusters a class": (rows[:2], rows[2:]),
    "89 wines": ((X[::2], y[::2]), (X[1::2], y[1::2])),
}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for ax, (name, (train, test)) in zip(axes, sets.items(), strict=True):
    passes = np.arange(1, 11)
    found = [measure(MetricLearner(n_passes=n), train, test) for n in passes.tolist()]
    ax.plot(passes, [accuracy for accuracy, _ in found], "o-", color=BLUE, label="accuracy of 5-NN")
    ax.plot(passes, [score for _, score in found], "s-", color=RED, label="MAP@R")
    auto = MetricLearner(random_state=0)
    accuracy, score = measure(auto, train, test)
    ax.axvline(auto.n_passes_, color=INK, linestyle=":", label='"auto"')
    ax.set_title(name, fontsize="medium")
    ax.set_xlabel("passes")
    ax.set_ylim(0, 1.05)
    ax.spines[["top", "right"]].set_visible(False)
    print(f"{name}, auto: {auto.n_passes_} passes, accuracy {accuracy:.3f}, MAP@R {score:.3f}")
    for n, (accuracy, score) in zip(passes, found, strict=True):
        print(f"{name}, {n} passes: accuracy {accuracy:.3f}, MAP@R {score:.3f}")
axes[0].legend(frameon=False, fontsize="small")

plt.show()
