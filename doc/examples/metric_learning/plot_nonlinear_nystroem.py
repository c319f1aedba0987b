"""
Non-linear embeddings: Nystroem first
=====================================

A linear map cannot unroll a circle. The features of a kernel approximation are curved, and a linear
map of these is a non-linear one of the rows: ``make_pipeline(Nystroem(), MetricLearner())``.
"""

# %%
# Two circles among noise
# -----------------------
# Two circles, one inside the other, and eight columns of noise.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_circles
from sklearn.kernel_approximation import Nystroem
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skmmd.inspection import EmbeddingDisplay
from skmmd.metric_learning import MetricLearner, mean_average_precision_at_r

rng = np.random.default_rng(0)
circles, y = make_circles(600, noise=0.08, factor=0.5, random_state=0)
X = np.column_stack([circles, 0.7 * rng.normal(size=(600, 8))])
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)


def tell(name, transformer):
    """Print accuracy of 5-NN and MAP@R of test rows."""
    Z, Z_test = transformer.transform(X_train), transformer.transform(X_test)
    accuracy = KNeighborsClassifier(5).fit(Z, y_train).score(Z_test, y_test)
    score = mean_average_precision_at_r(Z_test, y_test)
    print(f"{name}: accuracy of 5-NN {accuracy:.3f}, MAP@R {score:.3f}")
    return score


before = tell("as they are", FunctionTransformer().fit(X_train))

# %%
# A linear map
# ------------
# It can find the plane of the circles, and drop the noise. This is all that nearest neighbours
# need. But the inner circle stays inside the outer one, and a row of the outer circle has most of
# its own class on the far side.

linear = MetricLearner(random_state=0).fit(X_train, y_train)
tell("linear, target neighbours", linear)
tell("linear, all pairs", MetricLearner("contrastive", positives="all").fit(X_train, y_train))

# %%
# A linear map of curved features
# -------------------------------
# 200 features of a Gaussian kernel, and contrastive loss over all pairs. Two classes need but one
# direction to be apart, and are nearly on a line.

curved = make_pipeline(
    Nystroem(gamma=0.05, n_components=200, random_state=0),
    MetricLearner("contrastive", positives="all", n_components=2, max_iter=500, tol=1e-4),
).fit(X_train, y_train)
after = tell("Nystroem first", curved)

# sphinx_gallery_thumbnail_number = 1
EmbeddingDisplay.from_embeddings(
    X_test[:, :2],
    curved.transform(X_test),
    y_test,
    map_at_r=(before, after),
    titles=("the two columns that matter", "Nystroem, then MetricLearner"),
).plot()

# %%
# The left picture shows the two columns that matter; its MAP@R is that of all ten, which is what
# the learner was given.
#
# How curved?
# -----------
# ``gamma`` and ``n_components`` of ``Nystroem`` matter more than the loss. Both can be searched
# for, by MAP@R of held-out rows: a pipeline has the ``score`` of its last step.

search = GridSearchCV(
    curved,
    {"nystroem__gamma": [0.005, 0.02, 0.1], "nystroem__n_components": [50, 100]},
    cv=3,
).fit(X_train, y_train)
for settings, score in zip(
    search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
):
    words = ", ".join(f"{name.split('__')[1]} {value}" for name, value in settings.items())
    print(f"{words}: MAP@R {score:.3f}")
tell("best of them, on test rows", search.best_estimator_)

# %%
# When it goes wrong
# ------------------
# Target neighbours are those under the metric at the start. With few components that start decides:
# two principal components of 200 features hold nothing of the circles, rows have the wrong
# neighbours, and what is learned holds for training rows alone. All components, or those of LDA
# (``init="lda"``), are a better start. Always look at rows that were not trained on.

for name, settings in {
    "all components": {},
    "two, from principal components": {"n_components": 2, "init": "pca"},
    "two, from LDA": {"n_components": 2, "init": "lda"},
}.items():
    pipeline = make_pipeline(
        Nystroem(gamma=0.05, n_components=200, random_state=0),
        MetricLearner(max_iter=1000, tol=1e-4, random_state=0, **settings),
    ).fit(X_train, y_train)
    Z = pipeline.transform(X_train)
    seen = KNeighborsClassifier(5).fit(Z, y_train).score(Z, y_train)
    tell(f"{name}, accuracy on training rows {seen:.3f}", pipeline)

plt.show()
