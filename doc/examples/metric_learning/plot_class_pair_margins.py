"""
Margins between pairs of classes
================================

Dogs and wolves are alike, cats are not. A loss with one margin for all does not know: it pushes
wolves as far from dogs as cats are. A margin for each pair of classes says how far is far enough.
"""

# %%
# Three animals
# -------------
# Eight measurements of 300 animals. Two of them tell the classes apart: the first sets cats off,
# the second, by half of that, dogs from wolves. The others are noise.

import matplotlib.pyplot as plt
import numpy as np

from skmmd.inspection import EmbeddingDisplay
from skmmd.metric_learning import MetricLearner

BLUE, RED, INK = "#2166ac", "#b2182b", "#22303c"

PAIRS = (("dog", "wolf"), ("cat", "dog"), ("cat", "wolf"))


def draw_animals(n_each, seed):
    """Draw measurements of three kinds of animals."""
    rng = np.random.default_rng(seed)
    centers = {"dog": (0.0, 0.0), "wolf": (0.6, 2.0), "cat": (4.0, 0.0)}
    kind = np.repeat(list(centers), n_each)
    told = np.array([centers[name] for name in kind]) + rng.normal(size=(len(kind), 2)) * [0.7, 0.3]
    return np.column_stack([told, rng.normal(size=(len(kind), 6))]), kind


def distances(Z, kind):
    """Return the distances between the means of each pair of classes."""
    mean = {name: Z[kind == name].mean(axis=0) for name in np.unique(kind)}
    return [float(np.linalg.norm(mean[a] - mean[b])) for a, b in PAIRS]


def tell(name, found):
    """Print the distances."""
    print(
        f"{name}: " + ", ".join(f"{a}-{b} {d:.2f}" for (a, b), d in zip(PAIRS, found, strict=True))
    )


X, kind = draw_animals(100, seed=0)
X_test, kind_test = draw_animals(100, seed=1)
tell("measured", distances(X_test, kind_test))

# %%
# One margin for all
# ------------------
# Contrastive loss draws rows of one class together, and pushes those of two classes apart as long
# as they are nearer than the margin. With one margin, 2, wolves end up about as far from dogs as
# cats do, though they were half as far.

settings = {"loss": "contrastive", "positives": "all", "n_components": 2}
one = MetricLearner(margin=2.0, **settings).fit(X, kind)
tell("one margin", distances(one.transform(X_test), kind_test))

# %%
# A margin for each pair
# ----------------------
# Dogs and wolves need to be .6 apart. A dict names pairs of classes, in any order; a pair that is
# not named has a margin of 1. A matrix [class of anchor, class of negative] will do as well.

margin = {("dog", "wolf"): 0.6, ("cat", "dog"): 2.0, ("cat", "wolf"): 2.0}
pairs = MetricLearner(margin=margin, **settings).fit(X, kind)
tell("a margin for each pair", distances(pairs.transform(X_test), kind_test))

display = EmbeddingDisplay.from_embeddings(
    one.transform(X_test),
    pairs.transform(X_test),
    kind_test,
    titles=("one margin, 2", "dog and wolf 0.6, others 2"),
)
# sphinx_gallery_thumbnail_number = 1
figure, axes = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
display.plot(ax=axes, means=True)
axes[0].set(xlabel="component 0", ylabel="component 1")

# %%
# The numbers are distances between the means of test animals. They are near the margins, not equal
# to them: each class draws its own rows together, too, and two measurements leave little choice.
#
# From like to unlike
# -------------------
# The margin of dogs and wolves, from nearly none to that of the others:

margins = np.array([0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0])
found = []
scores = []
for value in margins:
    learner = MetricLearner(margin={**margin, ("dog", "wolf"): value}, **settings).fit(X, kind)
    found.append(distances(learner.transform(X_test), kind_test))
    scores.append(learner.score(X_test, kind_test))
    tell(f"margin {value:.2f}, MAP@R {scores[-1]:.2f}", found[-1])

figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for (a, b), values, color, shape in zip(
    PAIRS, np.transpose(found), (RED, BLUE, INK), "os^", strict=True
):
    axes[0].plot(margins, values, color=color, marker=shape, label=f"{a} to {b}")
axes[0].set_ylabel("distance of the means")
axes[0].legend(frameon=False, fontsize="small")
axes[1].plot(margins, scores, "o-", color=INK)
axes[1].set_ylabel("MAP@R, three classes")
for ax in axes:
    ax.set_xlabel("margin between dogs and wolves")
    ax.set_ylim(bottom=0)
    ax.spines[["top", "right"]].set_visible(False)

# %%
# It has its price: with a margin below the spread of the rows, dogs and wolves mix, and MAP@R,
# which knows no degrees of likeness, falls. Ask what the distances are for. If confusing a dog with
# a cat is worse than with a wolf, they should say so.
#
# Which losses take margins of pairs
# ----------------------------------
# All but N-pair, which has none. Contrastive and lifted structure compare pairs without order, and
# want the same margin both ways. Only in contrastive loss is the margin a distance at which pushing
# ends; in the others it is how much further a negative has to be than a positive, so that it bounds
# nothing from above:

for loss in ("contrastive", "triplet", "triplet_center", "quadruplet", "lifted_structure"):
    for name, value in (("one", 2.0), ("pairs", margin)):
        learner = MetricLearner(loss, margin=value, positives="all", n_components=2).fit(X, kind)
        first, second, third = distances(learner.transform(X_test), kind_test)
        print(
            f"{loss}, {name}: dog-wolf {first / (second + third) * 2:.2f} of their distance to cats"
        )

plt.show()
