"""
Prototypes and criticisms
=========================

A few images that stand for all: picked one by one, so that the MMD between the picked ones and the
rest falls as fast as it can. And a few that they do not stand for. Both say more about a data set
than its mean, and are what one would label, keep, or look at first.
"""

# %%
# Twenty of 1,797 digits
# ----------------------
# Without ``sample_domain`` the rows stand for themselves. ``method="critic"`` picks prototypes, and
# then criticisms: images where the two densities differ most, and that are unlike each other.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from skmmd.datasets import make_shifted_digits
from skmmd.transfer import MMDSampleSelector, stack_domains, weighted_mmd

BLUE, RED, GREY, INK = "#2166ac", "#b2182b", "#9fb3c8", "#22303c"

images, digit = load_digits(return_X_y=True)
selector = MMDSampleSelector(20, method="critic").fit(images)


def show(axes, rows, color, name):
    """Draw images, each with its digit."""
    for ax, row in zip(axes.flat, rows, strict=True):
        ax.imshow(images[row].reshape(8, 8), cmap="gray_r", vmin=0, vmax=16)
        ax.set_title(digit[row], fontsize="small", color=color, pad=2)
        ax.set(xticks=[], yticks=[])
        for spine in ax.spines.values():
            spine.set(color=color, linewidth=1.5)
    axes[0, 0].figure.suptitle(name, fontsize="medium", color=color)


# sphinx_gallery_thumbnail_number = 1
figure = plt.figure(figsize=(9, 6), layout="constrained")
for part, rows, color, name in zip(
    figure.subfigures(2, 1),
    (selector.sample_indices_, selector.criticism_indices_),
    (BLUE, RED),
    ("prototypes, in the order of picking", "criticisms"),
    strict=True,
):
    show(part.subplots(2, 10), rows, color, name)
print("digits among the prototypes:", np.bincount(digit[selector.sample_indices_], minlength=10))
print("digits among the criticisms:", np.bincount(digit[selector.criticism_indices_], minlength=10))

# %%
# Prototypes are ordinary digits. Criticisms are dark or slanted, reach the rim, or have a form of
# their own, such as the 1 with a foot.
#
# How many are enough?
# --------------------
# The squared MMD from all images after each pick, beside that of as many random images, the mean of
# twenty draws. Picked images match means that random ones need many more for.

n_picks = 200
path = MMDSampleSelector(n_picks).fit(images).mmd_path_
rng = np.random.default_rng(0)
counts = np.array([1, 2, 5, 10, 20, 50, 100, 200])


def random_mmd(n_rows):
    """Return the squared MMD of random images from all, the mean of twenty draws."""
    draws = [rng.choice(len(images), n_rows, replace=False) for _ in range(20)]
    return np.mean([weighted_mmd(images[rows], images, gamma=selector.gamma_) for rows in draws])


by_chance = np.array([random_mmd(count) for count in counts])
figure, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
ax.loglog(np.arange(1, n_picks + 1), path, color=BLUE, linewidth=2, label="picked")
ax.loglog(counts, by_chance, "o-", color=GREY, label="random")
ax.set(xlabel="images", ylabel="squared MMD from all")
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)
for count, chance in zip(counts, by_chance, strict=True):
    print(f"{count} images: {path[count - 1]:.5f} picked, {chance:.5f} random")

# %%
# What to label
# -------------
# If only so many images can be labelled, which? A nearest neighbour classifies all other images by
# those; random choices are drawn twenty times, and the shade is their range. Prototypes are ahead
# of the mean everywhere, and by most with twenty labels.

budgets = np.array([10, 20, 50, 100, 200])


def accuracy(rows):
    """Return the accuracy on all images but the labelled ones."""
    others = np.delete(np.arange(len(images)), rows)
    nearest = KNeighborsClassifier(1).fit(images[rows], digit[rows])
    return nearest.score(images[others], digit[others])


picks = MMDSampleSelector(n_picks).fit(images).sample_indices_
picked = [accuracy(picks[:budget]) for budget in budgets]
chance = np.array(
    [
        [accuracy(rng.choice(len(images), budget, replace=False)) for _ in range(20)]
        for budget in budgets
    ]
)
figure, ax = plt.subplots(figsize=(6.5, 3.6), layout="constrained")
ax.plot(budgets, picked, "o-", color=BLUE, linewidth=2, label="picked")
ax.plot(budgets, chance.mean(axis=1), "o-", color=GREY, label="random")
ax.fill_between(budgets, chance.min(axis=1), chance.max(axis=1), color=GREY, alpha=0.3, linewidth=0)
ax.set(xlabel="labelled images", ylabel="accuracy on the others", xscale="log")
ax.set_xticks(budgets, budgets)
ax.minorticks_off()
ax.legend(frameon=False, loc="lower right")
ax.spines[["top", "right"]].set_visible(False)
for budget, ours, theirs in zip(budgets, picked, chance, strict=True):
    print(
        f"{budget} labels: {ours:.2f} picked; random {theirs.mean():.2f}, "
        f"from {theirs.min():.2f} to {theirs.max():.2f}"
    )

# %%
# From one domain for another
# ---------------------------
# With ``sample_domain`` candidates are the source rows, and what they are to resemble is the
# target: which of our images look most like theirs? Here the domains are digits at the two ends of
# their first principal component.

Xs, ys, Xt, yt = make_shifted_digits(random_state=0)
X, _, sample_domain = stack_domains(Xs, ys, Xt)
selector = MMDSampleSelector(40).fit(X, sample_domain=sample_domain)
chosen = X[selector.sample_indices_]
drawn = Xs[rng.choice(len(Xs), 40, replace=False)]
for name, rows in (("picked", chosen), ("random", drawn), ("all", Xs)):
    value = weighted_mmd(rows, Xt, gamma=selector.gamma_)
    print(f"squared MMD from the target, {name} source rows: {value:.4f}")
share = [np.bincount(labels, minlength=10) / len(labels) for labels in (ys, yt)]
share.append(np.bincount(ys[selector.sample_indices_], minlength=10) / 40)
figure, ax = plt.subplots(figsize=(7.5, 3.2), layout="constrained")
for place, (values, color, name) in enumerate(
    zip(share, (GREY, RED, BLUE), ("source", "target", "picked from the source"), strict=True)
):
    ax.bar(np.arange(10) + 0.27 * (place - 1), values, 0.25, color=color, label=name)
ax.set_xticks(range(10))
ax.set(xlabel="digit", ylabel="share")
ax.legend(frameon=False, fontsize="small")
ax.spines[["top", "right"]].set_visible(False)

# %%
# The picks know nothing of the labels. They take next to no 3 and 9, of which the source is full
# and the target is not. But a selection finds only what is there: the source has next to no 4.
# Their squared MMD from the target is a tenth of that of all source rows.

plt.show()
