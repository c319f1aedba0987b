"""
Ring and funnel: densities and their score fields
=================================================

Score matching fits the gradient of the log density, the score, and gets the density from it. Here
the truth is known: two rings, and a funnel whose width grows exponentially. The estimate is drawn
beside the truth, measured against a kernel density estimate and a Gaussian mixture, and then asked
for new rows.
"""

# %%
# Two rings from 500 rows
# -----------------------
# Arrows show the score: where to go for the density to rise, the longer the steeper. Estimate and
# truth are drawn by the same display, which takes anything with ``score_samples`` and
# ``score_function``.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity

from skmmd.datasets import make_density
from skmmd.density import ScoreMatchingDensity
from skmmd.inspection import DensityDisplay

ring = make_density("ring")
X = ring.sample(500, random_state=0)
density = ScoreMatchingDensity(random_state=0).fit(X)

limits = [(-4.5, 4.5), (-4.5, 4.5)]


def beside_the_truth(estimate, truth, rows, limits):
    """Draw two score fields side by side."""
    axes = plt.figure(figsize=(10, 4.4), layout="constrained").subplots(1, 2)
    for ax, model, name in zip(axes, (truth, estimate), ("truth", "estimate"), strict=True):
        display = DensityDisplay.from_estimator(model, rows, kind="score", limits=limits)
        display.plot(ax=ax)
        ax.set_title(name)


# sphinx_gallery_thumbnail_number = 1
beside_the_truth(density, ring, X, limits)

# %%
# A funnel
# --------
# The first column is the logarithm of the variance of the second. A single bandwidth is too wide at
# the left or too narrow at the right, where rows are few and any estimate is uncertain.

funnel = make_density("funnel")
F = funnel.sample(500, random_state=0)
beside_the_truth(ScoreMatchingDensity(random_state=0).fit(F), funnel, F, [(-3.5, 3.5), (-8.0, 8.0)])

# %%
# How good is it?
# ---------------
# Two numbers on 2000 fresh rows, for both the smaller the better: how much log likelihood is
# lost against the truth (the Kullback-Leibler divergence), and how far the score is off, relative
# to its mean square (1 is as good as no score at all). The scores of the two others are differences
# of their log densities. The third density, four round Gaussians, is made for the mixture.


def by_differences(model, rows, step=1e-4):
    """Return the gradient of the log density."""
    return np.column_stack(
        [
            (model.score_samples(rows + shift) - model.score_samples(rows - shift)) / (2.0 * step)
            for shift in step * np.eye(rows.shape[1])
        ]
    )


def kernel_density(rows):
    """Choose the bandwidth by cross-validation."""
    grid = {"bandwidth": np.geomspace(0.05, 1.0, 25)}
    return GridSearchCV(KernelDensity(), grid, cv=5).fit(rows).best_estimator_


def mixture(rows):
    """Choose the number of components by BIC."""
    fits = [GaussianMixture(k, random_state=0).fit(rows) for k in range(1, 16)]
    return min(fits, key=lambda fit: fit.bic(rows))


def score_matching(rows):
    """Choose everything by itself."""
    with warnings.catch_warnings():
        # Told that the base measure is enough, which the table shows.
        warnings.filterwarnings("ignore", ".*the base measure alone", UserWarning)
        return ScoreMatchingDensity(random_state=0).fit(rows)


ways = {"kernel density": kernel_density, "mixture": mixture, "score matching": score_matching}
print(f"{'':8}" + "".join(f"{name:>26}" for name in ways))
for name in ("ring", "funnel", "grid"):
    truth = make_density(name)
    rows, fresh = truth.sample(500, random_state=1), truth.sample(2000, random_state=2)
    score = truth.score_function(fresh)
    line = ""
    for way in ways.values():
        model = way(rows)
        lost = np.mean(truth.score_samples(fresh) - model.score_samples(fresh))
        off = by_differences(model, fresh) - score
        line += f"{lost:10.3f} nats, score {np.sum(off**2) / np.sum(score**2):.2f}"
    print(f"{name:8}{line}")
    # The last model is the one by score matching.
    alone = "" if model.coef_.any() else ", and nothing else"
    print(f"{'':8}base measure of score matching: {model.base_.name}{alone}")

# %%
# Where the truth is a mixture of a few Gaussians, fit that. Score matching has such a mixture among
# its base measures, and lets it compete alone, too: where nothing improves upon it on held-out
# rows, it is returned as it is, with a warning. Little can be gained over a mixture then, but
# little is lost.
#
# New rows
# --------
# ``sample`` draws from the estimate. The display puts as many draws beside the rows.

display = DensityDisplay.from_estimator(density, X, kind="samples", random_state=0)
display.plot()

# %%
# Slopes say little about how much mass is in parts with hardly a row between them: rings may be
# less even than they should be.
#
# More columns
# ------------
# Of five columns, margins show two at a time: rows above the diagonal, draws below it. Here the
# first column widens all four others.

funnel = make_density("funnel", n_features=5)
F = funnel.sample(800, random_state=0)
density = ScoreMatchingDensity(random_state=0).fit(F)
display = DensityDisplay.from_estimator(
    density, F, kind="margins", features=(0, 1, 2), random_state=0
)
display.plot()

# %%
# In one or two columns the integral that makes it a density is computed on a grid. In more it
# is a mean over random draws; the estimator says how uncertain its logarithm is, and which share of
# the draws counted.

print(
    f"log normaliser {density.log_normalizer_:.4f} with a standard error of "
    f"{density.log_normalizer_std_:.4f}, effective share of the draws {density.ess_:.2f}"
)

# %%
# A slice shows the score in two columns while the others are held, here at 0 and at 2. Rows far
# from 0 in one column are likely to have a large variance, so that with two columns held at 2 the
# slice moves to the right.

figure, axes = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
for ax, value in zip(axes, (0.0, 2.0), strict=True):
    display = DensityDisplay.from_estimator(
        density,
        kind="score",
        features=(0, 1),
        at={2: value, 3: value, 4: 0.0},
        limits=[(-3.5, 3.5), (-6.0, 6.0)],
    )
    display.plot(ax=ax)

plt.show()
