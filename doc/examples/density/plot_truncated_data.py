"""
Data that end at a boundary
===========================

Waiting times, amounts and concentrations are never negative, and often densest at zero. A kernel
density estimate spreads mass over the boundary, and is too low next to it. Score matching can be
told the domain: the loss is then weighted by the distance to the boundary, and the density is
normalised within.
"""

# %%
# One column
# ----------
# 500 waiting times from an exponential distribution, whose density is highest at zero. The usual
# remedy for a kernel density estimate, to take logarithms, is shown as well.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import expon, multivariate_normal
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity

from skmmd.density import ScoreMatchingDensity, ScoreMatchingGaussian
from skmmd.inspection import DensityDisplay

BLUE, RED, GREY, INK = "#2166ac", "#b2182b", "#9fb3c8", "#22303c"


def kernel_density(rows):
    """Choose the bandwidth by cross-validation."""
    grid = {"bandwidth": np.geomspace(0.02, 1.0, 25)}
    return GridSearchCV(KernelDensity(), grid, cv=5).fit(rows).best_estimator_


class OfLogarithms:
    """A kernel density estimate of the logarithms, as a density of the values."""

    def __init__(self, rows):
        self.density = kernel_density(np.log(rows))

    def score_samples(self, rows):
        """Return the log density."""
        return self.density.score_samples(np.log(rows)) - np.log(rows).sum(axis=1)


def score_matching(rows, domain=None):
    """Choose everything by itself."""
    with warnings.catch_warnings():
        # Told that the base measure is enough: here that is no trouble.
        warnings.filterwarnings("ignore", ".*the base measure alone", UserWarning)
        return ScoreMatchingDensity(domain=domain, random_state=0).fit(rows)


rng = np.random.default_rng(0)
times, fresh = rng.exponential(size=(500, 1)), rng.exponential(size=(5000, 1))
models = {
    "kernel density": kernel_density(times),
    "kernel density of logarithms": OfLogarithms(times),
    "score matching, domain unknown": score_matching(times),
    "score matching, nonnegative": score_matching(times, "nonnegative"),
}

# sphinx_gallery_thumbnail_number = 1
figure, axes = plt.subplots(2, 2, figsize=(9, 5.6), sharex=True, sharey=True, layout="constrained")
values = np.linspace(0.004, 4.0, 1000)[:, None]
for ax, (name, model) in zip(axes.flat, models.items(), strict=True):
    ax.hist(times, 40, range=(0.0, 4.0), density=True, color=GREY, alpha=0.5)
    ax.plot(values, expon.pdf(values), "--", color=INK, label="truth")
    ax.plot(values, np.exp(model.score_samples(values)), color=RED, linewidth=2.0, label="estimate")
    lost = np.mean(expon.logpdf(fresh[:, 0]) - model.score_samples(fresh))
    at_zero = np.exp(model.score_samples([[1e-3]]))[0]
    ax.set_title(f"{name}: {lost:.3f} nats lost", fontsize="medium")
    ax.spines[["top", "right"]].set_visible(False)
    print(f"{name:32} loses {lost:.4f} nats a row, density at 0.001: {at_zero:.2f} (truth 1.00)")
axes[0, 0].legend(frameon=False)
axes[0, 0].set(xlim=(0.0, 4.0), ylim=(0.0, 1.4))

# %%
# Logarithms avoid most of the loss. Next to zero, where the logarithms have a tail, their estimate
# is too high. With the domain, the base measure of score matching is a Gaussian cut off at zero,
# which can be as good as exponential. If nothing on top of it helps on held-out rows, the base is
# returned, with a warning.
#
# How much mass is on the other side? Draws tell: a waiting time below zero is none.

for name in ("kernel density", "score matching, domain unknown", "score matching, nonnegative"):
    draws = models[name].sample(5000, random_state=0)
    print(f"{name:32} {np.mean(draws < 0):6.2%} of the draws are negative")

# %%
# Two columns
# -----------
# A Gaussian with correlated columns, of which only the rows with both columns positive are seen.
# The lower left corner is the densest part, and the one that a kernel density estimate blurs.

mean, covariance = np.array([0.3, 0.6]), np.array([[1.0, -0.5], [-0.5, 0.8]])


def truncated(n_rows, seed):
    """Return rows of the Gaussian that are positive in both columns."""
    rows = np.random.default_rng(seed).multivariate_normal(mean, covariance, size=8 * n_rows)
    return rows[(rows > 0.0).all(axis=1)][:n_rows]


class Truncated:
    """The truth: the Gaussian's density over its probability of the positive quadrant."""

    n_features = 2
    # The probability that both are positive is that of the opposite signs being negative.
    log_mass = np.log(multivariate_normal(-mean, covariance).cdf(np.zeros(2)))

    def score_samples(self, rows):
        """Return the log density."""
        rows = np.asarray(rows)
        log_density = multivariate_normal(mean, covariance).logpdf(rows) - self.log_mass
        return np.where((rows >= 0.0).all(axis=1), log_density, -np.inf)


rows, fresh = truncated(800, 0), truncated(5000, 1)
truth = Truncated()
nonnegative = score_matching(rows, "nonnegative")
models = {
    "truth": truth,
    "kernel density": kernel_density(rows),
    "score matching, nonnegative": nonnegative,
}
figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
for ax, (name, model) in zip(axes, models.items(), strict=True):
    display = DensityDisplay.from_estimator(model, limits=[(-0.5, 3.0), (-0.5, 3.0)])
    display.plot(ax=ax, scale="linear", levels=np.linspace(0.0, 0.65, 14), extend="max")
    lost = np.mean(truth.score_samples(fresh) - model.score_samples(fresh))
    ax.set_title(f"{name}: {lost:.3f} nats lost", fontsize="medium")
    print(f"{name:32} loses {lost:.4f} nats a row")

# %%
# The Gaussian behind
# -------------------
# If it is known that the rows come from a truncated Gaussian, its parameters can be asked for. The
# mean and covariance of the rows are not those of the Gaussian, and maximum likelihood
# needs the probability of the quadrant, an integral that is out of reach for many columns. Score
# matching on the domain does without, in closed form.

many = truncated(20_000, 2)
gaussian = ScoreMatchingGaussian(domain="nonnegative").fit(many)
for name, found in (
    ("truth", (mean, covariance)),
    ("of the rows", (many.mean(axis=0), np.cov(many.T, ddof=0))),
    ("score matching", (gaussian.location_, gaussian.covariance_)),
):
    location, spread = (np.array2string(part.ravel(), precision=2) for part in found)
    print(f"{name:16} mean {location}, covariance {spread}")

plt.show()
