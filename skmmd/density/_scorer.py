"""Minus the score-matching loss, as a scorer for model selection."""

from typing import Any

from numpy.typing import ArrayLike

from skmmd.density._losses import last_step, score_matching_loss

__all__ = ["neg_score_matching_loss_scorer"]


def neg_score_matching_loss_scorer(
    estimator: Any, X: ArrayLike, y: Any = None, *, sample_weight: ArrayLike | None = None
) -> float:
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
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows. Searches hand none over.

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
    estimator, rows = last_step(estimator, X)
    if hasattr(estimator, "score_matching_loss"):
        given = {} if sample_weight is None else {"sample_weight": sample_weight}
        return -float(estimator.score_matching_loss(rows, **given))
    if hasattr(estimator, "score_function"):
        return -score_matching_loss(estimator, rows, sample_weight=sample_weight)
    raise TypeError(
        f"{type(estimator).__name__} has neither score_matching_loss nor score_function: the "
        "score-matching loss needs the gradient of the log density. ScoreMatchingDensity, "
        "ScoreMatchingGaussian and ScoreMatchingEstimator have it; others can be compared by "
        "log-likelihood, scoring=None."
    )
