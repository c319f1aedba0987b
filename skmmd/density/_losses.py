"""Score-matching losses of any score function: explicit, sliced, and denoising.

score: callable or estimator -> rows, weights, probes: `ScoreLoss` -> the mean over the rows.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline

from skmmd._chunked import row_blocks
from skmmd._validation import (
    Integral,
    Interval,
    Real,
    StrOptions,
    check_rows,
    check_weight,
    column_names,
    generator,
    validate_params,
)

__all__ = [
    "LOSSES",
    "NonFiniteError",
    "ScoreLoss",
    "checked_score",
    "checked_trace",
    "column_scales",
    "divided_trace",
    "hyvarinen_loss",
    "last_step",
    "plan_loss",
    "score_matching_loss",
    "standard_deviations",
    "step_sizes",
]

FloatArray = NDArray[np.float64]
Function = Callable[[FloatArray], FloatArray]

LOSSES = ("explicit", "sliced", "denoising")

_EPS = float(np.finfo(np.float64).eps)
# Numbers in the shifted rows of one call of the score.
_BLOCK = 2**21


class NonFiniteError(ValueError):
    """A score or a trace is NaN or infinite."""


def hyvarinen_loss(score: FloatArray, trace: FloatArray, weight: FloatArray) -> float:
    """Return the weighted sum over the rows of 1/2 |score|^2 + trace.

    Parameters
    ----------
    score : ndarray of shape (n, n_features)
        Scores of the rows.
    trace : ndarray of shape (n,)
        Traces of the scores' Jacobians.
    weight : ndarray of shape (n,)
        Weights, of sum 1.

    Returns
    -------
    float
        The loss.
    """
    return float(weight @ (0.5 * np.einsum("ij,ij->i", score, score) + trace))


def standard_deviations(X: FloatArray, weight: FloatArray) -> FloatArray:
    """Return the standard deviation (ddof=0) of each column, under weights of sum 1."""
    centered = X - weight @ X
    centered -= weight @ centered
    return np.asarray(np.sqrt(weight @ centered**2))


def column_scales(X: FloatArray, weight: FloatArray) -> FloatArray:
    """Return a positive scale of each column that a few outliers do not move.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Rows.
    weight : ndarray of shape (n,)
        Weights, of sum 1.

    Returns
    -------
    ndarray of shape (n_features,)
        The range between the quartiles divided by 1.35, as for a Gaussian the standard deviation;
        the standard deviation where the range is 0; and for a constant column its magnitude, at
        most 1, or 1 if it is 0.
    """
    order = np.argsort(X, axis=0)
    below = np.cumsum(weight[order], axis=0)
    ordered = np.take_along_axis(X, order, axis=0)
    first, third = (
        np.take_along_axis(ordered, np.argmax(below >= share, axis=0)[None], axis=0)[0]
        for share in (0.25, 0.75)
    )
    scales = (third - first) / 1.35
    scales = np.where(scales > 0.0, scales, standard_deviations(X, weight))
    magnitude = np.abs(X).max(axis=0)
    floor = np.where(magnitude > 0.0, np.minimum(magnitude, 1.0), 1.0)
    return np.where(scales > 1e-14 * magnitude, scales, floor)


def step_sizes(X: FloatArray, scales: FloatArray) -> FloatArray:
    """Return the steps of central differences at each value, large enough to change it."""
    return np.maximum(np.cbrt(_EPS) * scales, 64.0 * _EPS * np.abs(X))


def checked_score(score: Function, X: FloatArray) -> FloatArray:
    """Return the scores of rows; the score has a copy, which it may write into.

    Raises
    ------
    ValueError
        If they have not the shape of the rows, or some are NaN or infinite.
    """
    values = np.asarray(score(X.copy()), dtype=np.float64)
    if values.shape != X.shape:
        raise ValueError(
            f"The score of rows of shape {X.shape} has shape {values.shape}. It must have one "
            "value for each row and feature: the gradient of the log density."
        )
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise NonFiniteError(f"The score is NaN or infinite, first at the row {X[row]}.")
    return values


def checked_trace(jacobian_trace: Function, X: FloatArray) -> FloatArray:
    """Return the traces of the score's Jacobian at rows; the function has a copy of the rows.

    Raises
    ------
    ValueError
        If there is not one for each row, or some are NaN or infinite.
    """
    values = np.asarray(jacobian_trace(X.copy()), dtype=np.float64)
    if values.shape != (len(X),):
        raise ValueError(
            f"The trace of the Jacobian has shape {values.shape} for {len(X)} rows; expected "
            f"({len(X)},): one trace for each row."
        )
    if not np.isfinite(values).all():
        raise NonFiniteError("The trace of the Jacobian is NaN or infinite at some rows.")
    return values


def divided_trace(score: Function, X: FloatArray, steps: FloatArray) -> FloatArray:
    """Return the trace of the score's Jacobian at each row, by central differences.

    Parameters
    ----------
    score : callable
        ``score(X) -> ndarray`` of the shape of X, checked.
    X : ndarray of shape (n, n_features)
        Rows.
    steps : ndarray of shape (n, n_features)
        Half the distance between the two points of a difference.

    Returns
    -------
    ndarray of shape (n,)
        Traces.
    """
    n_features = X.shape[1]
    axis = np.arange(n_features)
    trace = np.empty(len(X))
    for rows in row_blocks(len(X), max(1, _BLOCK // (2 * n_features**2))):
        shifted = np.tile(X[rows], (2, n_features, 1, 1))
        shifted[0, axis, :, axis] += steps[rows].T
        shifted[1, axis, :, axis] -= steps[rows].T
        values = score(shifted.reshape(-1, n_features)).reshape(shifted.shape)
        rise = (values[0] - values[1])[axis, :, axis]
        # What was added is not to the bit the distance.
        trace[rows] = (rise / (shifted[0] - shifted[1])[axis, :, axis]).sum(axis=0)
    return trace


def _sliced_trace(
    score: Function, X: FloatArray, steps: FloatArray, signs: FloatArray
) -> FloatArray:
    """Return the trace of the score's Jacobian, estimated along random diagonals.

    With u = steps * signs, the sum over i of (J u)_i / u_i has the expectation tr(J): it is v'Jv
    with E vv' = I in units of the steps.
    """
    trace = np.zeros(len(X))
    for sign in signs:
        ahead, behind = X + steps * sign, X - steps * sign
        trace += ((score(ahead) - score(behind)) / (ahead - behind)).sum(axis=1)
    return trace / len(signs)


@dataclass(frozen=True)
class ScoreLoss:
    """A loss with everything random drawn: the same score has the same loss.

    Parameters
    ----------
    rows : ndarray of shape (n, n_features)
        Rows.
    weight : ndarray of shape (n,)
        Weights, of sum 1.
    scales : ndarray of shape (n_features,)
        Scales of the columns, on which steps of differences are a fraction.
    signs : ndarray of shape (n_slices, n, n_features) or None
        Random signs of the sliced loss.
    noise : ndarray of shape (n_slices, n, n_features) or None
        Standard normal noise of the denoising loss, used with both signs.
    noise_scales : ndarray of shape (n_features,) or None
        Standard deviations of the noise in the data's coordinates.
    """

    rows: FloatArray
    weight: FloatArray
    scales: FloatArray
    signs: FloatArray | None = None
    noise: FloatArray | None = None
    noise_scales: FloatArray | None = None

    def evaluate(self, score: Function, jacobian_trace: Function | None = None) -> float:
        """Return the loss of a score.

        Parameters
        ----------
        score : callable
            ``score(X) -> ndarray`` of the shape of X.
        jacobian_trace : callable, default=None
            ``jacobian_trace(X) -> ndarray of shape (n,)``; differences if None. The sliced and
            the denoising loss have no use for it.

        Returns
        -------
        float
            The loss.
        """

        def checked(X: FloatArray) -> FloatArray:
            return checked_score(score, X)

        if self.noise is not None:
            return self.constant + self._denoising(checked)
        values = checked(self.rows)
        if self.signs is not None:
            steps = step_sizes(self.rows, self.scales)
            trace = _sliced_trace(checked, self.rows, steps, self.signs)
        elif jacobian_trace is not None:
            trace = checked_trace(jacobian_trace, self.rows)
        else:
            trace = divided_trace(checked, self.rows, step_sizes(self.rows, self.scales))
        return hyvarinen_loss(values, trace, self.weight)

    @property
    def constant(self) -> float:
        """What the loss has on top of a function of the score, 1/2 E|e / noise_scale|^2."""
        return 0.0 if self.noise_scales is None else 0.5 * float((self.noise_scales**-2.0).sum())

    def _denoising(self, score: Function) -> float:
        losses = []
        for points, pull in self.noisy():
            values = score(points)
            along = np.einsum("ij,ij->i", values, pull)
            losses.append(hyvarinen_loss(values, along, self.weight))
        return float(np.mean(losses))

    def noisy(self) -> list[tuple[FloatArray, FloatArray]]:
        """Return the noisy rows with the noise in units of its variance, e / noise_scale."""
        assert self.noise is not None
        assert self.noise_scales is not None
        return [
            (self.rows + sign * self.noise_scales * noise, sign * noise / self.noise_scales)
            for noise in self.noise
            for sign in (1.0, -1.0)
        ]


def plan_loss(
    X: FloatArray,
    weight: FloatArray,
    loss: str,
    *,
    n_slices: int,
    noise_scale: float,
    generator: np.random.Generator,
) -> ScoreLoss:
    """Draw what a loss needs.

    Parameters
    ----------
    X : ndarray of shape (n, n_features)
        Rows.
    weight : ndarray of shape (n,)
        Weights, not negative; rows of weight 0 are left out.
    loss : {"explicit", "sliced", "denoising"}
        The loss.
    n_slices : int
        Number of random directions, or pairs of noise, for each row.
    noise_scale : float
        Standard deviation of the noise, in units of that of each column.
    generator : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ScoreLoss
        The loss, ready to be evaluated.

    Raises
    ------
    ValueError
        If a column is constant and the loss is denoising.
    """
    counts = weight > 0.0
    X, weight = X[counts], weight[counts] / weight[counts].sum()
    scales = column_scales(X, weight)
    shape = (n_slices, *X.shape)
    if loss == "sliced":
        signs = 2.0 * generator.integers(0, 2, size=shape).astype(np.float64) - 1.0
        return ScoreLoss(X, weight, scales, signs=signs)
    if loss == "denoising":
        constant = np.flatnonzero(X.max(axis=0) == X.min(axis=0))
        if constant.size:
            raise ValueError(
                f"The columns {constant.tolist()} are constant, so that noise of noise_scale "
                "times their standard deviation is none. Leave them out, or use another loss."
            )
        noise_scales = noise_scale * standard_deviations(X, weight)
        return ScoreLoss(
            X,
            weight,
            scales,
            noise=generator.standard_normal(shape),
            noise_scales=noise_scales,
        )
    return ScoreLoss(X, weight, scales)


@validate_params(
    {
        "score": "no_validation",
        "X": "no_validation",
        "jacobian_trace": [callable, None],
        "loss": [StrOptions(set(LOSSES))],
        "sample_weight": ["array-like", None],
        "n_slices": [Interval(Integral, 1, None, closed="left")],
        "noise_scale": [Interval(Real, 0.0, None, closed="neither")],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def score_matching_loss(
    score: Any,
    X: ArrayLike,
    *,
    jacobian_trace: Callable[[FloatArray], ArrayLike] | None = None,
    loss: str = "explicit",
    sample_weight: ArrayLike | None = None,
    n_slices: int = 1,
    noise_scale: float = 0.1,
    random_state: int | np.random.RandomState | None = None,
) -> float:
    r"""Return the score-matching loss of a score function on rows.

    It needs no normaliser. Up to a constant of the data's density, its expectation is half the
    mean squared distance between the score and that of the data [1]_: smaller is better, among
    scores on the same rows in the same units.

    Parameters
    ----------
    score : callable or estimator
        ``score(X) -> array of shape (n_samples, n_features)``, the gradient of a log density with
        respect to the row, row by row; or a fitted estimator with `score_function`, a pipeline
        that ends in one, or a search for one.
    X : array-like of shape (n_samples, n_features)
        Rows. The steps of a pipeline before the last transform them; the loss is that of the rows
        as the last step sees them.
    jacobian_trace : callable, default=None
        ``jacobian_trace(X) -> array of shape (n_samples,)``, the trace of the score's Jacobian,
        for the explicit loss. None takes the estimator's `hessian` if it has one, or central
        differences, which call `score` on ``2 * n_features`` shifted copies of the rows; steps
        are a fraction of each column's scale.
    loss : {'explicit', 'sliced', 'denoising'}, default='explicit'
        The mean over the rows of :math:`\frac12|s|^2 + \operatorname{tr}\nabla s` [1]_; the same
        with the trace estimated along random directions, two calls of `score` for each [2]_; or
        :math:`\frac12 E|s(x + \sigma\varepsilon) + \varepsilon/\sigma|^2` [3]_.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows. An integer is like so many copies.
    n_slices : int, default=1
        Number of random directions, or of antithetic pairs of noise, for each row.
    noise_scale : float, default=0.1
        Standard deviation of the noise, in units of each column's standard deviation.
    random_state : int, RandomState instance or None, default=None
        Draws directions and noise. Pass an int for the same result on each call.

    Returns
    -------
    float
        The loss.

    Raises
    ------
    ValueError
        If the score or the trace has another shape than expected, or is NaN or infinite; or with
        ``loss="denoising"`` if a column is constant.
    TypeError
        If `score` is neither a callable nor an estimator, or a pipeline that ends in one, with
        `score_function`.

    See Also
    --------
    neg_score_matching_loss_scorer : The same for `scoring` in model selection.

    Notes
    -----
    The sliced loss keeps :math:`|s|^2` exact, the form of less variance in [2]_. Directions have
    random signs times each column's scale, with the inverse scales on the left side: unbiased,
    whatever the units of the columns, and exact for a diagonal Jacobian.

    The denoising loss is the explicit loss at noisy rows plus :math:`\frac12\sum_j 1/\sigma_j^2`,
    in expectation over the noise. This constant takes the place of its noisy estimate
    :math:`\frac12|\varepsilon/\sigma|^2`.

    References
    ----------
    .. [1] A. Hyvärinen (2005), "Estimation of non-normalized statistical models by score
       matching", Journal of Machine Learning Research 6, 695-709.
    .. [2] Y. Song, S. Garg, J. Shi, S. Ermon (2019), "Sliced score matching: a scalable approach
       to density and score estimation", UAI.
    .. [3] P. Vincent (2011), "A connection between score matching and denoising autoencoders",
       Neural Computation 23, 1661-1674.

    Examples
    --------
    The Gaussian of mean 0.3 and standard deviation 1.5 at one point:

    >>> from skmmd.density import score_matching_loss
    >>> loss = score_matching_loss(lambda x: -(x - 0.3) / 1.5**2, [[1.2]])
    >>> round(loss, 6)
    -0.364444
    """
    score, seen = last_step(score, X)
    rows = check_rows(seen, name="X")
    weight = check_weight(sample_weight, rows, name="sample_weight")
    function, trace = _as_functions(score, seen)
    planned = plan_loss(
        rows,
        weight,
        loss,
        n_slices=n_slices,
        noise_scale=noise_scale,
        generator=generator(random_state),
    )
    return planned.evaluate(function, jacobian_trace if jacobian_trace is not None else trace)  # type: ignore[arg-type]


def last_step(estimator: Any, X: Any) -> tuple[Any, Any]:
    """Return what searches and pipelines end in, and rows as it sees them."""
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, Pipeline):
            if len(estimator) > 1:
                X = estimator[:-1].transform(X)
            estimator = estimator[-1]
        else:
            return estimator, X


def _as_functions(score: Any, X: Any) -> tuple[Function, Function | None]:
    """Return the score of rows, and the trace of its Jacobian if an estimator knows it."""
    if not hasattr(score, "score_function"):
        if callable(score):
            return score, None
        raise TypeError(
            f"score is a {type(score).__name__}; expected a callable (n, d) -> (n, d), or a fitted "
            "estimator with a method score_function."
        )
    named, fitted_on = column_names(X), getattr(score, "feature_names_in_", None)
    if named is not None and fitted_on is not None and list(named) != list(fitted_on):
        raise ValueError(
            f"X has the columns {list(named)[:5]}, but {type(score).__name__} was fitted on "
            f"{list(fitted_on)[:5]}."
        )

    def function(rows: FloatArray) -> FloatArray:
        return np.asarray(_on_plain_rows(score.score_function, rows))

    def trace(rows: FloatArray) -> FloatArray:
        return np.concatenate(
            [
                np.trace(_on_plain_rows(score.hessian, rows[block]), axis1=1, axis2=2)
                for block in row_blocks(len(rows), max(1, _BLOCK // rows.shape[1] ** 2))
            ]
        )

    return function, trace if hasattr(score, "hessian") else None


def _on_plain_rows(method: Callable[[FloatArray], Any], rows: FloatArray) -> Any:
    """Call a method of an estimator that may have been fitted on a data frame."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
        return method(rows)
