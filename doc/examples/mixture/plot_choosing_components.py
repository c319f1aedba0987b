"""
How many components, of which covariance?
=========================================

More components always fit better. Information criteria charge for parameters, and
:class:`~skmmd.mixture.GaussianMixtureIC` fits all candidates and keeps the best. This example shows
the curves, what the criteria disagree about, and how a search is led astray.
"""

# %%
# Iris
# ----
# Four covariance types, up to nine components, the default criterion BIC. With
# ``relative_reg_covar`` the ridge is a fraction of each column's variance, whatever its unit.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score

from skmmd.inspection import MixtureDisplay
from skmmd.mixture import GaussianMixture, GaussianMixtureIC

settings = {
    "init_params": "auto",
    "accelerate": "squarem",
    "tol": 1e-6,
    "max_iter": 2000,
    "random_state": 0,
}

iris = load_iris()
X, species = iris.data, iris.target
search = GaussianMixtureIC(relative_reg_covar=1e-3, **settings).fit(X)
search.plot()

# %%
# BIC finds two components, though three are close: *versicolor* and *virginica* overlap, and 150
# flowers do not pay for the 15 parameters of another component. Whoever knows that there are three
# asks for three.

three = GaussianMixture(3, relative_reg_covar=1e-3, **settings).fit(X)
for mixture in (search.best_estimator_, three):
    agreement = adjusted_rand_score(species, mixture.predict(X))
    print(
        f"{mixture.n_components} components: BIC {mixture.bic(X):.1f}, ICL {mixture.icl(X):.1f}, "
        f"adjusted Rand index with the species {agreement:.2f}"
    )

figure, axes = plt.subplots(1, 2, figsize=(9, 4.2), sharey=True, layout="constrained")
for ax, mixture in zip(axes, (search.best_estimator_, three), strict=True):
    MixtureDisplay.from_estimator(
        mixture, X, features=(2, 3), feature_names=iris.feature_names
    ).plot(ax=ax)

# %%
# A maximum that is none
# ----------------------
# With the ridge of scikit-learn's default, 1e-6, the same search finds something else.

bare = GaussianMixtureIC(**settings).fit(X)
narrowest = bare.best_estimator_.covariances_.min()
print(
    f"{bare.n_components_} {bare.covariance_type_} components, BIC {bare.best_score_:.1f}, "
    f"narrowest variance {narrowest:.0e}"
)
values, counts = np.unique(X[:, 3], return_counts=True)
common = counts.argmax()
print(f"{counts[common]} of {len(X)} flowers have the petal width {values[common]} cm")

# %%
# Widths are rounded to a millimetre, so that many flowers share one value. A component that sits on
# it has a density as high as the ridge lets it, and a likelihood to match. Poor starts rarely find
# such maxima, good ones do; the criterion cannot know. Three ways out: a ridge as wide as the
# rounding, as above; a prior on the covariances, with which the variance of a component never
# vanishes; and a look at the narrowest variance.

guarded = GaussianMixtureIC(covariance_prior="auto", **settings).fit(X)
print(f"with a prior: {guarded.n_components_} {guarded.covariance_type_}")

figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
for ax, found in zip(axes, (bare, guarded), strict=True):
    found.plot(ax=ax)

# %%
# BIC or ICL: densities or clusters
# ---------------------------------
# BIC asks how many Gaussians describe the *density*. A group that is not Gaussian takes several of
# them. ICL adds what it costs that components overlap, and leans towards *clusters*. Here are two
# groups: one round, one bent.

rng = np.random.default_rng(0)
angle = rng.uniform(0.2 * np.pi, 0.9 * np.pi, 400)
bent = 6.0 * np.column_stack([np.cos(angle), np.sin(angle)]) + 0.5 * rng.normal(size=(400, 2))
rows = np.vstack([bent, rng.normal(loc=[6.0, -3.0], size=(300, 2))])
found = {
    criterion: GaussianMixtureIC(
        (1, 2, 3, 4, 5, 6, 7, 8), "full", criterion=criterion, **settings
    ).fit(rows)
    for criterion in ("aic", "bic", "icl")
}
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.6), sharey=True, layout="constrained")
for ax, (criterion, each) in zip(axes, found.items(), strict=True):
    MixtureDisplay.from_estimator(each, rows).plot(ax=ax)
    ax.get_legend().remove()
    ax.set_title(f"{criterion.upper()}: {each.n_components_}", fontsize="medium")

# %%
# All give the bent group several components, ICL the fewest. None returns two: a bent group is no
# Gaussian, and no criterion makes it one.
#
# On real data
# ------------
# The digits in their first eight principal components: ten classes, each written in several ways.
# AIC takes all it can get. Where the criterion still falls at the end of the range, the range was
# too short.

from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

digits, labels = load_digits(return_X_y=True)
points = PCA(8, svd_solver="full").fit_transform(digits)
search = GaussianMixtureIC(
    tuple(range(4, 33, 4)), **{**settings, "init_params": "kmeans", "tol": 1e-4}
).fit(points)
for criterion in ("aic", "bic", "icl"):
    best = np.argmin(search.results_[criterion])
    print(
        f"{criterion.upper()}: {search.results_['n_components'][best]} components, "
        f"{search.results_['covariance_type'][best]}"
    )

# sphinx_gallery_thumbnail_number = 5
search.plot()

# %%
# ``search.results_`` holds all criteria of all candidates, so that one search serves them all; a
# fit that fails is recorded there and left out. ``search`` itself predicts with the best mixture,
# and stands in a pipeline where a mixture would.

plt.show()
