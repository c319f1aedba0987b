"""
Accelerated EM: how far has it come when it stops?
==================================================

EM takes many small steps where components overlap, and a loose tolerance mistakes a small step for
the end. This example looks at how far from the maximum EM stops, and how many passes over the data
SQUAREM and Anderson acceleration save.
"""

# %%
# A slow case
# -----------
# Measurements of cell nuclei, in their first two principal components, and three components from
# one start. After each number of passes: how much log-likelihood a row is still to be gained?

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from skmmd.inspection import MixtureDisplay
from skmmd.mixture import GaussianMixture

BLUE, RED, GREY, INK = "#2166ac", "#b2182b", "#9fb3c8", "#22303c"
COLORS = {None: RED, "squarem": BLUE, "anderson": INK}
NAMES = {None: "EM", "squarem": "SQUAREM", "anderson": "Anderson"}

cells = StandardScaler().fit_transform(load_breast_cancer().data)
cells = PCA(2, svd_solver="full").fit_transform(cells)


def fit(rows, n_components, covariance_type="full", **settings):
    """Fit from the clusters of k-means, silently."""
    mixture = GaussianMixture(
        n_components, covariance_type=covariance_type, random_state=0, **settings
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return mixture.fit(rows)


def reached(rows, passes, **settings):
    """Return the mean log-likelihood after each number of passes."""
    return np.array(
        [fit(rows, 3, tol=0.0, max_iter=int(n), **settings).score(rows) for n in passes]
    )


passes = np.unique(np.geomspace(1, 1000, 40).astype(int))
curves = {name: reached(cells, passes, accelerate=name) for name in COLORS}
best = max(curve.max() for curve in curves.values())

figure, ax = plt.subplots(figsize=(7, 4.4), layout="constrained")
for name, curve in curves.items():
    ax.loglog(
        passes, np.maximum(best - curve, 1e-13), color=COLORS[name], marker=".", label=NAMES[name]
    )
for tol in (1e-3, 1e-6):
    stopped = fit(cells, 3, tol=tol, max_iter=1000)
    gap = best - stopped.score(cells)
    ax.plot(stopped.n_iter_, gap, "o", color=RED, markersize=9, fillstyle="none")
    ax.annotate(
        f"EM stops, tol={tol:g}",
        (stopped.n_iter_, gap),
        xytext=(8, 6),
        textcoords="offset points",
        fontsize="small",
    )
    print(f"tol={tol:g}: EM stops after {stopped.n_iter_} passes, {gap:.1e} nats a row too low")
ax.set_xlabel("passes over the data")
ax.set_ylabel("log-likelihood a row still to gain")
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)

# %%
# ``tol`` compares with the *last step*, and says nothing of all the steps to come: that is a sum of
# many small ones.
#
# What the difference looks like
# ------------------------------
# Two hundredths of a nat do not sound much. The components say otherwise.

early, late = fit(cells, 3), fit(cells, 3, tol=1e-9, accelerate="squarem", max_iter=1000)
figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharex=True, sharey=True, layout="constrained")
for ax, mixture, name in zip(axes, (early, late), ("tol=1e-3", "at the maximum"), strict=True):
    MixtureDisplay.from_estimator(
        mixture, cells, feature_names=["first direction", "second direction"]
    ).plot(ax=ax)
    ax.get_legend().remove()
    ax.set_title(f"{name}, weights {np.sort(mixture.weights_).round(2)}", fontsize="medium")

# %%
# Aitken's rule
# -------------
# ``stopping="aitken"`` estimates from the last two steps how much all further ones will gain, and
# compares that with ``tol``. It stops later, and nearer to what was meant. It is an estimate: EM
# may slow down after it, as it does here, and then more is left than it thought.

for tol in (1e-3, 1e-4, 1e-6):
    for stopping in ("change", "aitken"):
        mixture = fit(cells, 3, tol=tol, max_iter=1000, stopping=stopping)
        gap = best - mixture.score(cells)
        print(f"tol={tol:g}, {stopping:7} {mixture.n_iter_:3} passes, {gap:.1e} nats a row too low")

# %%
# More data sets
# --------------
# Passes until a step gains less than 1e-8, each from the same start. All three go to a maximum of
# the likelihood, and that need not be the same one: "lower" and "higher" say where one ended
# elsewhere than EM.

digits = load_digits().data
cases = {
    "cells in 2 directions, 3 full": (cells, 3, "full"),
    "iris, 3 full": (load_iris().data, 3, "full"),
    "iris, 5 tied": (load_iris().data, 5, "tied"),
    "wine, 3 diag": (StandardScaler().fit_transform(load_wine().data), 3, "diag"),
    "digits in 8 directions, 10 full": (
        PCA(8, svd_solver="full").fit_transform(digits),
        10,
        "full",
    ),
    "digits in 16 directions, 10 full": (
        PCA(16, svd_solver="full").fit_transform(digits),
        10,
        "full",
    ),
    "digits in 30 directions, 10 tied": (
        PCA(30, svd_solver="full").fit_transform(digits),
        10,
        "tied",
    ),
}
counts = {name: [] for name in COLORS}
for case, (rows, n_components, covariance_type) in cases.items():
    scores = []
    for name in COLORS:
        mixture = fit(rows, n_components, covariance_type, tol=1e-8, max_iter=5000, accelerate=name)
        counts[name].append(mixture.n_iter_)
        scores.append(mixture.score(rows))
    for name, score in list(zip(COLORS, scores, strict=True))[1:]:
        if abs(score - scores[0]) > 1e-5:
            where = "higher" if score > scores[0] else "lower"
            print(f"{case}: {NAMES[name]} ended {abs(score - scores[0]):.1e} {where}")

figure, ax = plt.subplots(figsize=(8, 4.4), layout="constrained")
for place, (name, color) in enumerate(COLORS.items()):
    bars = ax.barh(
        np.arange(len(cases)) + 0.27 * (place - 1),
        counts[name],
        height=0.27,
        color=color,
        label=NAMES[name],
    )
    ax.bar_label(bars, fontsize="x-small", padding=2)
ax.set_yticks(range(len(cases)), cases, fontsize="small")
ax.invert_yaxis()
ax.set_xlabel("passes over the data")
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)
for name in ("squarem", "anderson"):
    ratios = np.array(counts[None]) / np.array(counts[name])
    print(
        f"{NAMES[name]}: {np.median(ratios):.1f} times fewer passes than EM in the median, "
        f"{ratios.min():.1f} to {ratios.max():.1f} times"
    )

# %%
# Where EM needs few passes there is little to save, and a pass that was extrapolated in vain counts
# too. The slower EM is, the more is saved. SQUAREM is the safe choice; Anderson acceleration
# sometimes beats it and sometimes loses to EM itself.
#
# Neither finds a better maximum than the start leads to: that is what ``init_params="auto"`` and
# ``n_init`` are for.

plt.show()
