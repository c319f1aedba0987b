"""
Which kernel, and where do the samples differ?
==============================================

A kernel sees differences at its own scale. This example shows what that means for the power of
the test, why the default compares several scales at once, and how to find out *where* two samples
differ: by points, with the witness function, and by columns, with feature scores.
"""

# %%
# Two samples that look alike
# ---------------------------
# Both samples lie in nine blobs. In the second, most blobs are slanted: the mean, the variances
# and each column by itself are the same in both.

import matplotlib.pyplot as plt
import numpy as np

from skmmd.datasets import make_blobs_grid

BLUE, RED, INK = "#2166ac", "#b2182b", "#22303c"

X, Y = make_blobs_grid(360, random_state=0)

figure, axes = plt.subplots(1, 2, figsize=(8, 4), sharex=True, sharey=True, layout="constrained")
for ax, rows, color, name in zip(axes, (X, Y), (BLUE, RED), ("X", "Y"), strict=True):
    ax.scatter(*rows.T, s=9, color=color, alpha=0.7, linewidths=0)
    ax.set_title(f"sample {name}, {len(rows)} rows")
    ax.set_aspect("equal")
    ax.spines[["top", "right"]].set_visible(False)

# %%
# One scale, or several
# ---------------------
# The *median heuristic* sets the scale of the kernel to the median distance of the rows. Here
# that is the distance between blobs, and the slant lives within a blob. The default,
# ``gamma="aggregate"``, compares scales from fine to coarse, and takes account of the search: its
# p-value is valid.

from skmmd.two_sample import mmd_test

results = {
    "median heuristic": mmd_test(X, Y, gamma="median", random_state=0),
    "aggregate (default)": mmd_test(X, Y, random_state=0),
}
for name, result in results.items():
    print(f"{name:20} p = {result.pvalue:.3f}, {np.size(result.gamma)} scale(s)")

# %%
# The null distribution is the statistic under shuffled labels. The red line is the statistic of
# the real labels; to the right of the dashed line the samples differ significantly.

figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.6), layout="constrained")
for ax, (name, result) in zip(axes, results.items(), strict=True):
    result.plot(ax=ax)
    ax.set_title(name, fontsize="medium", pad=48)

# %%
# The power of kernels
# --------------------
# How often is a difference found? Each cell is the share of 30 pairs of samples for which
# the p-value was at most .05 (standard error: up to .09). No column is best in every row:
#
# - the median heuristic, the energy distance and the linear kernel look at the data as a whole.
#   They are strong for a shift of the mean, and blind to what happens within clusters;
# - aggregation sees all of the differences. It pays for its search where a coarse scale alone
#   would have done;
# - :class:`~skmmd.two_sample.MMDTestCV` chooses the kernel on one half of the rows and tests on
#   the other, which costs it half of the data. Use it to choose between kernels of different kinds,
#   where aggregation compares scales of one;
# - without a difference no column is above .05 by more than chance, as it has to be.

from skmmd.datasets import (
    make_mean_shift,
    make_mixture_scale,
    make_null,
    make_perturbed_uniform,
)
from skmmd.two_sample import MMDTestCV

N_PAIRS, N_PERMUTATIONS, ALPHA = 30, 99, 0.05


def make_heavy_tails(n_samples, *, random_state):
    """Draw normal rows, and t-distributed ones of the same variance."""
    rng = np.random.default_rng(random_state)
    return rng.normal(size=(n_samples, 2)), rng.standard_t(3, (n_samples, 2)) / np.sqrt(3)


differences = {
    "no difference": (make_null, 150, {}),
    "shifted mean": (make_mean_shift, 150, {"shift": 0.12}),
    "heavy tails": (make_heavy_tails, 150, {}),
    "waves": (make_perturbed_uniform, 150, {"amplitude": 0.6}),
    "wider cluster": (make_mixture_scale, 150, {"scale": 2.5}),
    "slanted blobs": (make_blobs_grid, 360, {}),
}
kernels = {
    "rbf,\naggregate": {},
    "rbf,\nmedian": {"gamma": "median"},
    "laplacian,\naggregate": {"kernel": "laplacian"},
    "energy": {"kernel": "energy"},
    "linear": {"kernel": "linear"},
}


def pvalues_of(X, Y, seed):
    """Return the p-value of each kernel, that of MMDTestCV last."""
    options = {"n_permutations": N_PERMUTATIONS, "random_state": seed}
    found = [mmd_test(X, Y, **kernel, **options).pvalue for kernel in kernels.values()]
    labels = np.repeat([0, 1], [len(X), len(Y)])
    return [*found, MMDTestCV(**options).fit(np.vstack([X, Y]), labels).pvalue_]


power = np.array(
    [
        np.mean(
            [
                np.array(pvalues_of(*make(n, random_state=seed, **options), seed)) <= ALPHA
                for seed in range(N_PAIRS)
            ],
            axis=0,
        )
        for make, n, options in differences.values()
    ]
)

# sphinx_gallery_thumbnail_number = 4
figure, ax = plt.subplots(figsize=(8, 4.4), layout="constrained")
ax.imshow(power, cmap="Blues", vmin=0, vmax=1, aspect="auto")
for (row, column), value in np.ndenumerate(power):
    ink = "white" if value > 0.55 else INK
    ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink)
rows = [f"{name}\n({n} + {n} rows)" for name, (_, n, _) in differences.items()]
ax.set_xticks(range(power.shape[1]), [*kernels, "MMDTestCV"], fontsize="small")
ax.set_yticks(range(len(rows)), rows, fontsize="small")
ax.set_title(f"share of {N_PAIRS} pairs of samples with p ≤ {ALPHA}", fontsize="medium")
ax.spines[:].set_visible(False)
ax.tick_params(length=0)

# %%
# Where: the witness function
# ---------------------------
# The witness is the mean kernel value with the first sample minus that with the second: it is
# positive where the first is denser, negative where the second is. It is drawn at the scale that
# showed the difference most clearly. Red along the diagonals: this is where the slanted blobs
# have more rows.

from skmmd.inspection import WitnessDisplay

figure, ax = plt.subplots(figsize=(6.4, 5.4), layout="constrained")
display = WitnessDisplay.from_result(
    results["aggregate (default)"], group_names=["X", "Y"], grid_resolution=120
)
display.plot(ax=ax)

# %%
# In one dimension the curve can be read beside the two histograms.

X_wave, Y_wave = make_perturbed_uniform(1000, amplitude=0.6, signs=(1, -1), random_state=0)
result = mmd_test(X_wave, Y_wave, random_state=0)
print(f"p = {result.pvalue:.3f}")

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
WitnessDisplay.from_result(result, group_names=["uniform", "waves"]).plot(ax=ax)

# %%
# Which columns: feature scores
# -----------------------------
# Do the measurements of the two sexes differ in the diabetes data, and which of them? The columns
# have different units, so they are scaled first, both groups together: a scaler in a pipeline
# does not see the groups, and the p-value stays valid.

from sklearn.datasets import load_diabetes
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmmd.two_sample import MMDTest

measurements, _ = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
sex = measurements.pop("sex").astype(int)

scaler = StandardScaler().set_output(transform="pandas")
pipeline = make_pipeline(scaler, MMDTest(random_state=0)).fit(measurements, sex)
test = pipeline[-1]
print(test.result_)

# %%
# ``feature_scores`` tests each column by itself, with a Laplacian kernel of its own scale, under
# permutations that all columns share. The p-values are adjusted for the number of columns.

scores = test.feature_scores()
order = scores.ranking()[::-1]
different = scores.pvalue[order] <= ALPHA

figure, ax = plt.subplots(figsize=(7, 3.8), layout="constrained")
ax.barh(
    scores.feature_names[order],
    scores.statistic[order],
    color=np.where(different, RED, "#9fb3c8"),
)
reach = scores.statistic.max()
for place, index in enumerate(order):
    label = f"adjusted p = {scores.pvalue[index]:.3f}"
    ax.text(
        max(scores.statistic[index], 0) + 0.015 * reach, place, label, va="center", fontsize="small"
    )
ax.axvline(0, color=INK, linewidth=0.8)
ax.set_xlim(right=1.28 * reach)
ax.set_xticks([])
ax.set_xlabel("normalised MMD² of the column")
ax.set_title(f"red: differs at level {ALPHA}", fontsize="medium")
ax.spines[:].set_visible(False)
ax.tick_params(length=0)

# %%
# The witness of a test of the two leading columns shows the difference itself: in group 1 more
# HDL cholesterol (``s3``) and a smaller ratio of total to HDL cholesterol (``s4``), in group 2
# the other way round.

leading = list(scores.feature_names[order[:-3:-1]])
columns = scaler.transform(measurements)[leading]
pair = MMDTest(random_state=0).fit(columns, sex)

figure, ax = plt.subplots(figsize=(6.4, 5), layout="constrained")
WitnessDisplay.from_estimator(pair, columns, sex).plot(ax=ax)
ax.set_xlabel("s3, HDL cholesterol (standardised)")
ax.set_ylabel("s4, total to HDL cholesterol (standardised)")
plt.show()
