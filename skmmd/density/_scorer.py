"""Minus the score-matching loss, as a scorer for model selection."""

from typing import Any

from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline

from skmmd.density._losses import score_matching_loss

__all__ = ["neg_score_matching_loss_scorer"]


def neg_score_matching_loss_scorer(estimator: Any, X: ArrayLike, y: Any = None) -> float:
    """Return minus the score-matching loss of a fitted density on rows.

    For `scoring` in :class:`~sklearn.model_selection.GridSearchCV` and
    :func:`~sklearn.model_selection.cross_validate`. It needs no normaliser, and so ranks densities
    known up to a factor.

    Parameters
    ----------
    estimator : estimator
        Fitted, with `score_matching_loss` or `score_function`; or a pipeline that ends in such a
        one, or a fitted search for one.
    X : array-like of shape (n_samples, n_features)
        Rows. The steps of a pipeline before the last transform them.
    y : None
        Ignored.

    Returns
    -------
    float
        Minus the loss; larger is better.

    Raises
    ------
    TypeError
        If the estimator has no score, as :class:`~sklearn.neighbors.KernelDensity`.

    See Also
    --------
    score_matching_loss : The loss, with its variants.

    Notes
    -----
    Losses of rows on different scales are not comparable: the loss of a pipeline is that of the
    rows as the last step sees them. Search parameters of the density, not of the steps that rescale
    or project the rows before it; for those, compare log-likelihoods with the Jacobian.

    The loss hardly sees how mass is shared between modes that lie far apart; where it matters,
    choose by the held-out log-likelihood, `score`.

    Examples
    --------
    >>> from sklearn.model_selection import GridSearchCV
    >>> from skmmd.datasets import make_density
    >>> from skmmd.density import ScoreMatchingGaussian, neg_score_matching_loss_scorer
    >>> X = make_density("funnel", 3).sample(200, random_state=0)
    >>> search = GridSearchCV(
    ...     ScoreMatchingGaussian(), {"alpha": [0.0, 0.1]}, scoring=neg_score_matching_loss_scorer)
    >>> bool(search.fit(X).best_score_ > 0)
    True
    """
    rows: Any = X
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, Pipeline):
            if len(estimator) > 1:
                rows = estimator[:-1].transform(rows)
            estimator = estimator[-1]
        else:
            break
    if hasattr(estimator, "score_matching_loss"):
        return -float(estimator.score_matching_loss(rows))
    if hasattr(estimator, "score_function"):
        return -score_matching_loss(estimator, rows)
    raise TypeError(
        f"{type(estimator).__name__} has neither score_matching_loss nor score_function: the "
        "score-matching loss needs the gradient of the log density. ScoreMatchingDensity, "
        "ScoreMatchingGaussian and ScoreMatchingEstimator have it; others can be compared by "
        "log-likelihood, scoring=None."
    )
