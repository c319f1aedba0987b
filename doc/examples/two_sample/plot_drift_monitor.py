"""
A drift monitor on a stream
===========================

A model was built on reference data, and new rows keep coming in. Do they still look like the
reference? :class:`~skmmd.two_sample.MMDDriftDetector` answers in two ways: it tests batch after
batch, with a valid p-value each time, or it watches row by row, with a controlled rate of false
alarms. The data are scikit-learn's images of handwritten digits, and the drift is a lens that goes
out of focus.
"""

# %%
# The stream
# ----------
# The images were collected writer by writer. The test assumes that the rows are independent, so
# they are shuffled first; what happens otherwise comes at the end. From image 300 on the stream
# is slightly blurred.

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits

BLUE, RED, GREY, INK = "#2166ac", "#b2182b", "#9fb3c8", "#22303c"
N_REFERENCE, CHANGE, N_STREAM = 900, 300, 600

digits, _ = load_digits(return_X_y=True)


def blur(images):
    """Put the lens out of focus by half a pixel."""
    return gaussian_filter(images.reshape(-1, 8, 8), sigma=(0, 0.5, 0.5)).reshape(-1, 64)


def make_stream(seed):
    """Return reference rows, and a stream that drifts after CHANGE rows."""
    rows = np.random.default_rng(seed).permutation(digits)
    stream = rows[N_REFERENCE : N_REFERENCE + N_STREAM]
    return rows[:N_REFERENCE], np.concatenate([stream[:CHANGE], blur(stream[CHANGE:])])


reference, stream = make_stream(seed=0)

figure, axes = plt.subplots(2, 10, figsize=(8, 2.1), layout="constrained")
for line, images, name in zip(
    axes, np.split(stream[CHANGE - 10 : CHANGE + 10], 2), ("before", "after"), strict=True
):
    for ax, image in zip(line, images, strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_color(GREY)
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")

# %%
# Batch by batch
# --------------
# ``fit`` keeps the reference, ``test`` compares a batch with it. Nothing is assumed about the
# distribution, and the p-value is valid for any size of the batch.

from skmmd.two_sample import MMDDriftDetector

BATCH, ALPHA = 50, 0.05

detector = MMDDriftDetector(n_permutations=999, alpha=ALPHA, random_state=0).fit(reference)
starts = np.arange(0, N_STREAM, BATCH)
results = [detector.test(stream[start : start + BATCH]) for start in starts]
pvalues = np.array([result.pvalue for result in results])

# %%
# Of many batches without drift a share of ``alpha`` is rejected: the price of testing again and
# again. Testing each of the :math:`m` batches at level :math:`\alpha / m` (Bonferroni) holds the
# chance of *any* false alarm at :math:`\alpha`; the number of permutations has to be large enough
# for p-values so small.


def plot_pvalues(ax, starts, pvalues, batch):
    """Draw the p-value of each batch over its rows."""
    n_batches = len(pvalues)
    for start, pvalue in zip(starts, pvalues, strict=True):
        color = RED if pvalue <= ALPHA / n_batches else BLUE
        ax.plot([start, start + batch], [pvalue, pvalue], color=color, linewidth=4)
    ax.axhline(ALPHA, color=INK, linestyle=":", linewidth=1)
    ax.axhline(ALPHA / n_batches, color=INK, linestyle="--", linewidth=1)
    for level, name in ((ALPHA, f"{ALPHA}"), (ALPHA / n_batches, f"{ALPHA} / {n_batches}")):
        ax.annotate(
            name,
            (1.0, level),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
        )
    ax.set_yscale("log")
    ax.set_ylabel("p-value of the batch")
    ax.spines[["top", "right"]].set_visible(False)


def mark_change(ax):
    """Shade the rows after the change."""
    ax.axvspan(CHANGE, N_STREAM, color=GREY, alpha=0.2, linewidth=0)
    ax.annotate(
        "out of focus",
        (N_STREAM, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(-5, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize="small",
    )


figure, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
plot_pvalues(ax, starts, pvalues, BATCH)
mark_change(ax)
ax.set_xlabel("row of the stream")
ax.set_title("red: rejected at the level divided by the number of batches", fontsize="medium")

# %%
# What has changed
# ----------------
# The batches that were rejected are compared with the reference pixel by pixel. On average the
# lines lose ink in their middle and gain it at their sides. The feature scores compare
# distributions and not only means: they single out the border, where pixels used to be blank and
# now hold a trace of ink.

from skmmd.two_sample import MMDTest

rejected = starts[pvalues <= ALPHA / len(starts)]
drifted = np.concatenate([stream[start : start + BATCH] for start in rejected])
labels = np.repeat(["reference", "drifted"], [len(reference), len(drifted)])
test = MMDTest(n_permutations=499, random_state=0).fit(np.concatenate([reference, drifted]), labels)
scores = test.feature_scores()

figure, axes = plt.subplots(1, 3, figsize=(8.6, 3), layout="constrained")
panels = {
    "mean of the reference": (reference.mean(axis=0), "gray_r", (0, 16)),
    "drifted minus reference": (drifted.mean(axis=0) - reference.mean(axis=0), "RdBu_r", (-3, 3)),
    "feature score": (np.maximum(scores.statistic, 0), "Reds", (0, None)),
}
for ax, (title, (values, colors, (low, high))) in zip(axes, panels.items(), strict=True):
    image = ax.imshow(values.reshape(8, 8), cmap=colors, vmin=low, vmax=high)
    figure.colorbar(image, ax=ax, shrink=0.75).outline.set_visible(False)
    ax.set_title(title, fontsize="medium")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_color(GREY)
n_different = np.sum(scores.pvalue <= ALPHA)
axes[2].set_xlabel(f"adjusted p ≤ {ALPHA} for {n_different} of 64 pixels", fontsize="small")

# %%
# Row by row
# ----------
# ``update`` takes the rows as they come. Two monitors differ in what they promise:
#
# - ``monitor="run_time"`` compares the last 25 rows with the reference. Without drift a false
#   alarm comes after ``expected_run_time`` rows *on average*. It is quick, and fit for a stream
#   that runs for ever, with someone who looks into an alarm.
# - ``monitor="betting"`` bets on the next row being different, with what it has learned so far.
#   Without drift the wealth does not grow on average, and the chance that it *ever* reaches
#   1 / ``alpha`` is at most ``alpha``. It needs more evidence.
#
# Dashed are the thresholds, red is the first alarm after the change. The peak of the upper curve
# just before the change is a false alarm.

monitors = {
    # 2,000 simulated streams for the threshold instead of 5,000, to be quick here.
    "run_time": MMDDriftDetector(expected_run_time=500, n_simulations=2000, random_state=0),
    "betting": MMDDriftDetector(monitor="betting", alpha=ALPHA, random_state=0),
}
traces = {}
for name, monitor in monitors.items():
    monitor.fit(reference)
    traces[name] = [monitor.update(row) for row in stream]

# sphinx_gallery_thumbnail_number = 4
figure, axes = plt.subplots(2, 1, figsize=(8, 5.4), sharex=True, layout="constrained")
for ax, (name, updates), what in zip(
    axes, traces.items(), ("MMD² of the last 25 rows", "wealth"), strict=True
):
    rows = np.arange(1, N_STREAM + 1)
    ax.plot(rows, [update.statistic for update in updates], color=BLUE, linewidth=1.5)
    ax.plot(rows, [update.threshold for update in updates], color=INK, linestyle="--", linewidth=1)
    mark_change(ax)
    drift = np.array([update.drift for update in updates])
    alarm = next(iter(rows[drift & (rows > CHANGE)]), None)
    if alarm is not None:
        ax.axvline(alarm, color=RED, linewidth=2)
        ax.annotate(
            f"alarm after {alarm - CHANGE} rows",
            (alarm, 0.06),
            xycoords=("data", "axes fraction"),
            xytext=(6, 0),
            textcoords="offset points",
            color=RED,
            fontsize="small",
        )
    ax.set_ylabel(what)
    ax.set_title(f'monitor="{name}"', fontsize="medium", loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.margins(y=0.15)
axes[1].set_yscale("log")
axes[1].set_xlabel("row of the stream")

# %%
# Delay and false alarms
# ----------------------
# One stream says little. Here are eight, each with images in another order. Alarms before the
# change are false. With an expected run time of 500 rows, a share of :math:`1 - (1 - 1/500)^{300}
# \approx 0.45` of streams has one in the first 300 rows; the betting monitor has one in at most a
# twentieth of all streams. In return the run-time monitor detects the drift much sooner.

N_STREAMS, STEP = 8, 10


def first_alarms(monitor, stream):
    """Return the first alarm before the change, and the delay of the first after it."""
    alarms = [
        start + STEP
        for start in range(0, len(stream), STEP)
        if monitor.update(stream[start : start + STEP]).drift
    ]
    return (
        next((row for row in alarms if row <= CHANGE), np.nan),
        next((row - CHANGE for row in alarms if row > CHANGE), np.nan),
    )


found = {name: [] for name in monitors}
for seed in range(1, N_STREAMS + 1):
    reference_again, stream_again = make_stream(seed)
    for name, monitor in monitors.items():
        monitor.fit(reference_again)
        found[name].append(first_alarms(monitor, stream_again))

figure, axes = plt.subplots(2, 1, figsize=(8, 4.2), sharex=True, layout="constrained")
for ax, (name, pairs) in zip(axes, found.items(), strict=True):
    for place, (false_alarm, delay) in enumerate(pairs):
        ax.plot([0, N_STREAM], [place, place], color=GREY, linewidth=0.6, zorder=0)
        ax.plot(false_alarm, place, marker="x", color=INK, linestyle="")
        ax.plot(CHANGE + delay, place, marker="o", color=RED, linestyle="")
    mark_change(ax)
    n_false = sum(np.isfinite(pair[0]) for pair in pairs)
    delays = [pair[1] for pair in pairs]
    ax.set_title(
        f'monitor="{name}": false alarms in {n_false} of {N_STREAMS} streams, '
        f"median delay {np.nanmedian(delays):.0f} rows",
        fontsize="medium",
        loc="left",
    )
    ax.set_yticks([])
    ax.set_ylabel("streams")
    ax.spines[["top", "right", "left"]].set_visible(False)
axes[1].set_xlabel("row of the stream (cross: false alarm, dot: first alarm after the change)")

# %%
# Why the rows have to be independent
# -----------------------------------
# Now the images in their own order: the first 900 are the reference, the rest is the stream.
# Nothing is blurred, yet every batch is rejected at level .05. The test is right: a batch holds
# the digits of a few writers, and other writers than the reference. But it was asked the wrong
# question. Where rows come in groups or depend on time, a batch always differs from the
# reference, and a small p-value does not mean that anything *changed*. Use one row per group, or
# rows far enough apart.

in_order = np.arange(0, len(digits) - N_REFERENCE - BATCH, BATCH)
as_collected = MMDDriftDetector(n_permutations=999, random_state=0).fit(digits[:N_REFERENCE])
pvalues_in_order = np.array(
    [
        as_collected.test(digits[N_REFERENCE + start : N_REFERENCE + start + BATCH]).pvalue
        for start in in_order
    ]
)
print(f"batches with p <= {ALPHA}: {np.sum(pvalues_in_order <= ALPHA)} of {len(in_order)}")

figure, ax = plt.subplots(figsize=(8, 3), layout="constrained")
plot_pvalues(ax, in_order, pvalues_in_order, BATCH)
ax.set_ylim(top=1)
ax.set_xlabel("row of the stream, in the order of collection")
plt.show()
