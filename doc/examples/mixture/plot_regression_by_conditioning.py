"""
Regression by conditioning
==========================

A mixture of inputs and targets together knows the distribution of each column given any of the
others. So one fit predicts any column from any, with its uncertainty, copes with inputs that are
missing, and sees when there are two answers. This example shows what that is worth, and where it is
worth nothing.
"""

# %%
# One component is least squares
# ------------------------------
# The conditional mean of a single Gaussian is the line of least squares.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

from skmmd.mixture import GaussianMixture

BLUE, RED, GREY, INK = "#2166ac", "#b2182b", "#9fb3c8", "#22303c"

settings = {
    "init_params": "auto",
    "accelerate": "squarem",
    "tol": 1e-6,
    "max_iter": 2000,
    "random_state": 0,
}

X, y = load_diabetes(return_X_y=True)
table = np.column_stack([X, y])
inputs = list(range(X.shape[1]))
by_mixture = GaussianMixture(1, reg_covar=0.0).fit(table).regress(X, indices=inputs)[:, 0]
by_line = LinearRegression().fit(X, y).predict(X)
print(f"largest difference of {len(y)} predictions: {np.abs(by_mixture - by_line).max():.0e}")

# %%
# Groups with different relations
# -------------------------------
# Within each species of iris, flowers with longer petals have wider sepals. Over all species it is
# the other way round. A line sees the latter; two components see both. The band is two standard
# deviations wide: it widens between the groups, where there are two answers.

from sklearn.datasets import load_iris

iris = load_iris()
names = [iris.feature_names[2], iris.feature_names[1]]
rows = iris.data[:, [2, 1]]
grid = np.linspace(0.8, 7.2, 300)
mixture = GaussianMixture(2, **settings).fit(rows)
mean, cov = mixture.regress(grid[:, None], indices=[0], return_cov=True)
band = 2.0 * np.sqrt(cov[:, 0, 0])

# sphinx_gallery_thumbnail_number = 1
figure, ax = plt.subplots(figsize=(6.5, 4.2), layout="constrained")
ax.scatter(*rows.T, s=14, color=GREY, linewidths=0)
ax.fill_between(grid, mean[:, 0] - band, mean[:, 0] + band, color=BLUE, alpha=0.15)
ax.plot(grid, mean[:, 0], color=BLUE, linewidth=2, label="mean of two components")
line = LinearRegression().fit(rows[:, :1], rows[:, 1])
ax.plot(grid, line.predict(grid[:, None]), "--", color=RED, label="least squares")
ax.set_xlabel(names[0])
ax.set_ylabel(names[1])
ax.legend(frameon=False, fontsize="small")
ax.spines[["top", "right"]].set_visible(False)

# %%
# Is it better for flowers that were not seen? By ten-fold cross-validation:

from sklearn.model_selection import KFold


def explained(rows, n_components):
    """Return the explained variance of the second column, given the first, by cross-validation."""
    left = 0.0
    for train, test in KFold(10, shuffle=True, random_state=0).split(rows):
        mixture = GaussianMixture(n_components, relative_reg_covar=1e-6, **settings)
        predicted = mixture.fit(rows[train]).regress(rows[test, :1], indices=[0])[:, 0]
        left += np.sum((predicted - rows[test, 1]) ** 2)
    return 1.0 - left / np.sum((rows[:, 1] - rows[:, 1].mean()) ** 2)


for n_components in (1, 2, 3, 4):
    print(f"{n_components} components: {explained(rows, n_components):.2f} of the variance")

# %%
# The whole conditional distribution
# ----------------------------------
# Where there are two answers their mean is none. ``condition`` returns the mixture of the other
# columns: here the length of the petal, given the width of the sepal.

back = GaussianMixture(2, **settings).fit(rows)
given = {width: back.condition([1], [width]) for width in (2.5, 3.0, 3.5)}
lengths = np.linspace(0, 8, 400)
figure, ax = plt.subplots(figsize=(6.5, 3.4), layout="constrained")
for (width, conditional), color in zip(given.items(), (RED, INK, BLUE), strict=True):
    density = np.exp(conditional.score_samples(lengths[:, None]))
    ax.plot(lengths, density, color=color, label=f"sepal width {width} cm")
    print(
        f"sepal width {width} cm: mean {conditional.weights_ @ conditional.means_[:, 0]:.1f} cm; "
        "components at "
        + " and ".join(
            f"{m:.1f} cm ({w:.0%})"
            for w, (m,) in zip(conditional.weights_, conditional.means_, strict=True)
        )
    )
ax.set_xlabel(names[0])
ax.set_ylabel("density")
ax.legend(frameon=False, fontsize="small")
ax.spines[["top", "right"]].set_visible(False)

# %%
# Curves
# ------
# The area of a cell nucleus is a curve in its radius. More components bend more.

from sklearn.datasets import load_breast_cancer

cancer = load_breast_cancer()
radius, area = (
    cancer.data[:, list(cancer.feature_names).index(name)]
    for name in ("worst radius", "worst area")
)
cells = np.column_stack([radius, area])
cells = (cells - cells.mean(axis=0)) / cells.std(axis=0)
for n_components in (1, 2, 4, 6):
    print(f"{n_components} components: {explained(cells, n_components):.3f} of the variance")

# %%
# Inputs that are missing
# -----------------------
# Ten measurements of a patient predict how diabetes proceeds. Some are missing when it comes to
# predicting: the mixture takes what is there, least squares gets the mean of the column instead.
# With complete inputs one component gains nothing, and a second one little. With gaps the gain is
# large.

from sklearn.preprocessing import StandardScaler

shares = (0.0, 0.15, 0.3, 0.5, 0.7)
names = ("1 component", "2 components", "least squares, gaps filled with means")
left = np.zeros((len(shares), len(names)))
for row, share in enumerate(shares):
    rng = np.random.default_rng(0)
    for train, test in KFold(10, shuffle=True, random_state=0).split(table):
        scaler = StandardScaler().fit(table[train])
        seen, asked = scaler.transform(table[train]), scaler.transform(table[test])
        gone = rng.random(asked.shape) < share
        gone[:, -1] = True
        holes = np.where(gone, np.nan, asked)
        line = LinearRegression().fit(seen[:, :-1], seen[:, -1])
        predictions = [
            GaussianMixture(1).fit(seen).predict_missing(holes)[:, -1],
            GaussianMixture(2, **settings).fit(seen).predict_missing(holes)[:, -1],
            line.predict(np.where(gone, 0.0, asked)[:, :-1]),
        ]
        left[row] += [np.sum((each - asked[:, -1]) ** 2) for each in predictions]
variance = 1.0 - left / len(table)

figure, ax = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
for name, values, color, marker in zip(names, variance.T, (BLUE, INK, RED), "os^", strict=True):
    ax.plot(shares, values, color=color, marker=marker, label=name)
ax.set_xlabel("share of the inputs that is missing")
ax.set_ylabel("explained variance of held-out patients")
ax.axhline(0, color=GREY, linewidth=1)
ax.legend(frameon=False, fontsize="small")
ax.spines[["top", "right"]].set_visible(False)
for share, values in zip(shares, variance, strict=True):
    print(f"{share:.0%} missing: " + ", ".join(f"{v:.3f}" for v in values))

plt.show()
