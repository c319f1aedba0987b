"""
Reweighting under covariate shift
=================================

A model is fitted where measurements were made, and used where they were not. If it is simpler than
the truth, the best fit in one place is not the best in the other. Kernel mean matching weighs the
source rows so that they look like the target, without a single label from there.
"""

# %%
# A line through a curve
# ----------------------
# The curve is :math:`x^3 - x`. Two hundred noisy values were measured around .5; predictions are
# wanted around 0. A straight line rises in the source and falls in the target.

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import norm
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_squared_error

from skmmd.datasets import make_covariate_shift, make_regression_shift
from skmmd.inspection import DomainDisplay
from skmmd.transfer import KernelMeanMatching, TransferRegressor, stack_domains

BLUE, RED, GREY, INK = "#2166ac", "#b2182b", "#9fb3c8", "#22303c"

Xs, ys, Xt, yt = make_regression_shift((200, 500), random_state=0)
X, y, sample_domain = stack_domains(Xs, ys, Xt)

plain = TransferRegressor(LinearRegression()).fit(X, y, sample_domain=sample_domain)
matched = TransferRegressor(LinearRegression(), KernelMeanMatching())
matched = matched.fit(X, y, sample_domain=sample_domain)

grid = np.linspace(-1.0, 2.0, 301)[:, None]
# sphinx_gallery_thumbnail_number = 1
figure, axes = plt.subplots(
    2, 1, figsize=(8, 6), sharex=True, height_ratios=(3, 1), layout="constrained"
)
size = 14.0 * matched.weights_ / matched.weights_.mean()
axes[0].scatter(Xs, ys, s=5, color=GREY, linewidths=0)
axes[0].scatter(Xs, ys, s=size, color=BLUE, alpha=0.5, linewidths=0, label="source, by weight")
axes[0].plot(grid, grid**3 - grid, "--", color=INK, label="truth")
for model, color, name in ((plain, GREY, "all rows alike"), (matched, RED, "weighted")):
    error = mean_squared_error(yt, model.predict(Xt))
    label = f"line, {name}: error on the target {error:.3f}"
    axes[0].plot(grid, model.predict(grid), color=color, linewidth=2.5, label=label)
    print(label)
axes[0].set(ylim=(-1.3, 2.2), ylabel="y")
axes[0].legend(frameon=False, fontsize="small", loc="upper left")
bins = np.linspace(-1.0, 2.0, 46)
axes[1].hist(Xs[:, 0], bins, density=True, color=BLUE, alpha=0.5, label="source")
axes[1].hist(Xt[:, 0], bins, density=True, color=RED, alpha=0.5, label="target")
axes[1].legend(frameon=False, fontsize="small")
axes[1].set(xlim=(-1.0, 2.0), xlabel="x", yticks=[])
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)

# %%
# Blue points are source rows, as large as their weights. Those above 1 hardly count any more, and
# the line follows the curve where the target is.
#
# The weights against the truth
# -----------------------------
# Both densities are known here, and so is their ratio, which the weights estimate. With a ridge
# they are a function of the row that can be asked anywhere. A small ridge follows single rows, a
# large one flattens the weights and, as their sum is free, shrinks them; ``alpha="cv"`` chooses
# without labels.

from_target, from_source = norm(0.0, 0.3), norm(0.5, 0.5)
ratio = from_target.pdf(grid) / from_source.pdf(grid)
figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), sharey=True, layout="constrained")
for ax, alpha in zip(axes, (1e-4, "cv", 1.0), strict=True):
    matching = KernelMeanMatching(alpha=alpha, random_state=0).fit(X, sample_domain=sample_domain)
    true = from_target.pdf(Xs[:, 0]) / from_source.pdf(Xs[:, 0])
    error = np.sqrt(np.mean((matching.weights_ - true) ** 2))
    ax.plot(grid, ratio, "--", color=INK, label="true ratio of densities")
    ax.plot(grid, matching.predict_weights(grid), color=RED, label="weight function")
    ax.scatter(Xs, matching.weights_, s=16, color=BLUE, linewidths=0, zorder=3, label="source rows")
    name = f'"cv": {matching.alpha_:.3f}' if alpha == "cv" else f"{alpha:g}"
    ax.set_title(f"alpha={name}, error {error:.2f}", fontsize="medium")
    ax.set_xlabel("x")
    ax.spines[["top", "right"]].set_visible(False)
    print(
        f"alpha {name}: effective sample size {matching.effective_sample_size_:.0f} of {len(Xs)}, "
        f"squared MMD {matching.mmd_before_:.3f} before, {matching.mmd_after_:.5f} after"
    )
axes[0].set_ylabel("weight")
axes[0].legend(frameon=False, fontsize="small")

# %%
# The smallest MMD is not the best estimate: what is matched below the noise of the samples is
# noise.
#
# More columns
# ------------
# With five columns the domains are drawn in two principal components; after, source rows are as
# large as their weights. The overlap says how well the domains could be told apart by the MMD's
# witness: 1 would be not at all.

As, At = make_covariate_shift(400, random_state=0)
A, _, domain = stack_domains(As, np.zeros(len(As)), At)
matching = KernelMeanMatching().fit(A, sample_domain=domain)
display = DomainDisplay.from_estimator(matching, A, domain)
display.plot(kind="domains")

# %%
# The same by the witness itself, row by row: positive where source rows are denser. The weights
# move the mass of the source to where the target is.

display.plot(kind="overlap")

# %%
# And the weights. They are never negative, and many are next to zero; the effective sample size is
# what remains of 400 rows.

display.plot(kind="weights")
true = np.prod(norm(0.5, 0.7).pdf(As) / norm(0.0, 1.0).pdf(As), axis=1)
correlation = np.corrcoef(matching.weights_, true)[0, 1]
print(f"correlation of the weights with the true ratio: {correlation:.2f}")

# %%
# When not to
# -----------
# A model that can follow the truth everywhere needs no weights, and loses by them: fewer rows
# count. Over ten draws, polynomials of several degrees:

from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures

degrees = (1, 2, 3, 4, 5)
found = {None: [], "weighted": []}
for name, errors in found.items():
    for degree in degrees:
        polynomial = make_pipeline(PolynomialFeatures(degree), LinearRegression())
        each = []
        for seed in range(10):
            Xs, ys, Xt, yt = make_regression_shift((200, 500), random_state=seed)
            X, y, sample_domain = stack_domains(Xs, ys, Xt)
            model = TransferRegressor(polynomial, None if name is None else KernelMeanMatching())
            model.fit(X, y, sample_domain=sample_domain)
            each.append(mean_squared_error(yt, model.predict(Xt)))
        errors.append(np.mean(each))

figure, ax = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
ax.plot(degrees, found[None], "o-", color=INK, label="all rows alike")
ax.plot(degrees, found["weighted"], "o-", color=RED, label="weighted")
ax.set(xlabel="degree of the polynomial", ylabel="error on the target", yscale="log")
ax.set_xticks(degrees)
ax.legend(frameon=False)
ax.spines[["top", "right"]].set_visible(False)
for degree, before, after in zip(degrees, *found.values(), strict=True):
    print(f"degree {degree}: error {before:.4f} as it is, {after:.4f} weighted")

plt.show()
