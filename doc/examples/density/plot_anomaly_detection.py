"""
Anomalies in real data
======================

Fit a density to rows that are known to be normal; what is unlikely under it is an anomaly. Nothing
has to be known about anomalies beforehand. This example does so for tumours and for handwritten
digits, beside a kernel density estimate and a Gaussian mixture.
"""

# %%
# Malignant tumours, from benign ones alone
# -----------------------------------------
# The Wisconsin data hold 30 measurements each of 357 benign and 212 malignant tumours. The
# densities see a part of the benign ones. A pipeline scales the columns and keeps ten principal
# components, both fitted to the same rows. Bandwidth and number of components are chosen by the log
# density of held-out rows.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KernelDensity
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmmd.density import ScoreMatchingDensity
from skmmd.inspection import DensityDisplay

BLUE, RED, GREY, INK = "#2166ac", "#b2182b", "#9fb3c8", "#22303c"


def fitted(density, normal, n_components):
    """Fit scaling, components and the density to normal rows."""
    steps = StandardScaler(), PCA(n_components, whiten=True, random_state=0)
    return make_pipeline(*steps, clone(density)).fit(normal)


mixtures = {"n_components": [1, 2, 4, 6], "covariance_type": ["full", "diag"]}
densities = {
    "kernel density": GridSearchCV(KernelDensity(), {"bandwidth": np.geomspace(0.1, 2.0, 15)}),
    "mixture": GridSearchCV(GaussianMixture(random_state=0), mixtures),
    "score matching": ScoreMatchingDensity(random_state=0),
}
colors = dict(zip(densities, (GREY, INK, RED), strict=True))

tumours = load_breast_cancer()
benign, malignant = (tumours.data[tumours.target == label] for label in (1, 0))
normal, held_out = train_test_split(benign, test_size=0.4, random_state=0)
rows = np.concatenate([held_out, malignant])
is_anomaly = np.repeat([0, 1], [len(held_out), len(malignant)])

# %%
# ROC curves
# ----------
# An anomaly's score is minus its log density. The curve shows which share of the malignant tumours
# is found for each share of false alarms among benign ones that no density has seen.

models = {name: fitted(density, normal, 10) for name, density in densities.items()}
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for name, model in models.items():
    score = -model.score_samples(rows)
    false_alarms, found, _ = roc_curve(is_anomaly, score)
    label = f"{name}: area {roc_auc_score(is_anomaly, score):.3f}"
    left.plot(false_alarms, found, color=colors[name], linewidth=2.0, label=label)
left.set(xlabel="false alarms among benign", ylabel="malignant found")
left.legend(frameon=False, loc="lower right")
score = models["score matching"].score_samples(rows)
floor = np.quantile(score, 0.02)
for place, (label, color) in enumerate((("benign", BLUE), ("malignant", RED))):
    values = np.maximum(score[is_anomaly == place], floor)
    right.hist(values, 40, range=(floor, score.max()), color=color, alpha=0.5, label=label)
right.set(xlabel="log density by score matching (lowest 2 % at the left end)", ylabel="rows")
right.legend(frameon=False)
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)

# %%
# A threshold without anomalies
# -----------------------------
# In use there are no anomalies to choose a threshold by, but a rate of false alarms that one can
# live with. A log density that 5 % of held-out normal rows fall below gives about that rate. (For
# rows that the density was fitted to, the log density is too high, and the threshold with it.)

for name, density in densities.items():
    known, validation = train_test_split(normal, test_size=0.3, random_state=0)
    model = fitted(density, known, 10)
    threshold = np.quantile(model.score_samples(validation), 0.05)
    alarm = model.score_samples(rows) < threshold
    print(
        f"{name:16} {alarm[is_anomaly == 0].mean():6.1%} false alarms, "
        f"{alarm[is_anomaly == 1].mean():6.1%} of the malignant found"
    )

# %%
# Where are they?
# ---------------
# In two principal components the contours show what counts as normal: benign tumours that
# the density has seen are dark points, malignant ones red crosses.

two = fitted(ScoreMatchingDensity(random_state=0), normal, 2)
limits = [(values.min() - 1.0, values.max() + 1.0) for values in two[:-1].transform(rows).T]
display = DensityDisplay.from_estimator(two, normal, limits=limits).plot()
display.ax_.scatter(*two[:-1].transform(malignant).T, marker="x", s=14, color=RED, linewidths=0.8)

# %%
# Several data sets, several splits
# ---------------------------------
# One split is an anecdote. Over three, and for digits as well, where eights are normal and all
# others are anomalies: the area under the ROC curve (1: all anomalies are less likely than all
# normal rows; .5: chance) and the mean log density of held-out normal rows. With ten columns and a
# hundred rows score matching may find that nothing improves upon its base measure, or that the
# draws for its normaliser are worth little. It warns then, which is counted here; what is ranked
# does not depend on the normaliser.


def compare(normal, anomalies, seeds):
    """Return area under the curve, log likelihood and number of warnings, by density."""
    found = {name: [] for name in densities}
    for seed in seeds:
        known, held_out = train_test_split(normal, test_size=0.4, random_state=seed)
        truth = np.repeat([0, 1], [len(held_out), len(anomalies)])
        for name, density in densities.items():
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                model = fitted(density, known, 10)
            score = model.score_samples(np.concatenate([held_out, anomalies]))
            area = roc_auc_score(truth, -score)
            found[name].append((area, score[truth == 0].mean(), len(caught)))
    return found


digits = load_digits()
pixels, digit = digits.data, digits.target
# Pixels that are never used have no variance to scale by.
pixels = pixels[:, pixels.std(axis=0) > 0.5]
tasks = {
    "malignant among benign": (benign, malignant),
    "other digits among eights": (pixels[digit == 8], pixels[digit != 8]),
}
areas = np.empty((len(tasks), len(densities)))
for line, (task, (normal, anomalies)) in enumerate(tasks.items()):
    found = compare(normal, anomalies, range(3))
    print(task)
    for column, (name, each) in enumerate(found.items()):
        area, likelihood, _ = np.mean(each, axis=0)
        error = np.std(each, axis=0)[0]
        told = sum(n_warnings for _, _, n_warnings in each)
        areas[line, column] = area
        print(
            f"    {name:16} area {area:.4f} +- {error:.4f}, log density {likelihood:7.2f}, "
            f"{told} warnings"
        )

figure, ax = plt.subplots(figsize=(8, 2.6), layout="constrained")
places = np.arange(len(tasks))
for name, column, marker in zip(densities, areas.T, "os^", strict=True):
    ax.plot(column, places, marker, color=colors[name], markersize=9, label=name)
ax.set_yticks(places, list(tasks))
ax.invert_yaxis()
ax.set_xlabel("area under the ROC curve")
ax.spines[["top", "right"]].set_visible(False)
ax.grid(axis="y", alpha=0.4)
ax.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3)

# %%
# No density is the best everywhere, and the one with the highest log density need not be the one
# that ranks anomalies best: the likelihood asks how well normal rows are described, the ranking
# what happens far from them, where there was nothing to learn from. Where only the ranking counts,
# and some anomalies are known, compare by these.

plt.show()
