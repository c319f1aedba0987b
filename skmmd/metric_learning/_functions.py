"""Pair losses of an embedding, as a function."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_consistent_length

from skmmd._validation import (
    Integral,
    Interval,
    Real,
    StrOptions,
    check_weight,
    validate_params,
)
from skmmd.metric_learning._classes import checked_labels, margin_matrix, row_weights
from skmmd.metric_learning._groups import Problem, group_rows, select_targets
from skmmd.metric_learning._lengths import through_lengths, unit_rows
from skmmd.metric_learning._losses import LOSSES
from skmmd.metric_learning._objective import total_of

__all__ = ["PairLoss", "pair_loss"]

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PairLoss:
    """Value and gradient of a pair loss.

    Parameters
    ----------
    value : float
        The loss.
    gradient : ndarray of shape (n_samples, n_components)
        Its gradient with respect to the embedding, in the dtype of the embedding.
    n_terms : int or float
        Number of terms; with weights, the sum of their weights.
    n_active : int or float
        The terms among them that are not 0.

    Examples
    --------
    >>> from skmmd.metric_learning import pair_loss
    >>> result = pair_loss([[0.0], [1.0], [1.5]], ["a", "a", "b"], loss="triplet")
    >>> result
    PairLoss(value=0.875, gradient of shape (3, 1), n_terms=2, n_active=1)
    """

    value: float
    gradient: NDArray[Any]
    n_terms: float
    n_active: float

    def __repr__(self) -> str:
        return (
            f"PairLoss(value={self.value:.6g}, gradient of shape {self.gradient.shape}, "
            f"n_terms={self.n_terms:g}, n_active={self.n_active:g})"
        )


_LARGEST = 1e140


def _near_origin(Z: FloatArray) -> FloatArray:
    """Move rows to the origin by numbers of few digits: rows on a grid keep equal distances."""
    moved = Z - Z[0]
    with np.errstate(divide="ignore"):
        unit = 2.0 ** np.floor(np.log2(np.abs(moved).max(axis=0)) - 4.0)
    unit = np.where(np.isfinite(unit) & (unit > 0.0), unit, 1.0)
    result: FloatArray = moved - np.round(moved.mean(axis=0) / unit) * unit
    return result


_CONSTRAINTS: dict[str, list[Any]] = {
    "Z": ["array-like"],
    "y": ["array-like"],
    "loss": [StrOptions(set(LOSSES))],
    "margin": [Real, "array-like", dict],
    "margin2": [Interval(Real, None, None, closed="neither")],
    "reduction": [StrOptions({"mean", "sum"})],
    "positives": [StrOptions({"all", "neighbors"})],
    "n_neighbors": [Interval(Integral, 1, None, closed="left")],
    "normalize": ["boolean"],
    "sample_weight": ["array-like", None],
    "n_jobs": [Integral, None],
}


@validate_params(_CONSTRAINTS, prefer_skip_nested_validation=True)
def pair_loss(
    Z: ArrayLike,
    y: ArrayLike,
    *,
    loss: str,
    margin: Any = 1.0,
    margin2: float = 0.5,
    reduction: str = "mean",
    positives: str = "all",
    n_neighbors: int = 3,
    normalize: bool = False,
    sample_weight: ArrayLike | None = None,
    n_jobs: int | None = None,
) -> PairLoss:
    r"""Compute a pair loss of an embedding, and its gradient.

    With :math:`d_{ij} = |z_i - z_j|` and :math:`D_{ij} = d_{ij}^2`, and m the margin:

    - "contrastive" [1]_: :math:`\frac12 D_{ij}` for pairs of one class and
      :math:`\frac12 (m - d_{ij})_+^2` for pairs of two;
    - "triplet" [2]_: :math:`(D_{ap} - D_{an} + m)_+` for each anchor a, positive p of its class and
      negative n of another;
    - "triplet_center" [3]_: :math:`(\frac12 |z_i - c_y|^2 - \min_{j \ne y} (\frac12 |z_i - c_j|^2 -
      m))_+` with c the means of the classes, through which the gradient flows as well;
    - "n_pair" [4]_: :math:`\log(1 + \sum_n \exp(z_a \cdot z_n - z_a \cdot z_p))` for each anchor a
      and positive p, n over all rows of other classes; it has no margin;
    - "quadruplet" [5]_: the triplets, and :math:`(D_{ij} - D_{lk} + m_2)_+` for pairs i, j of one
      class and pairs l, k of two others;
    - "lifted_structure" [6]_: :math:`\frac12 J_{ij}^2` where :math:`J_{ij} = d_{ij} +
      \log(\sum_k e^{m - d_{ik}} + \sum_l e^{m - d_{jl}})` is positive, for each pair of one class,
      k and l over the negatives of i and j;
    - "nca" [7]_: :math:`1 - \sum_{j} p_{ij}` for each row i with a positive, j over its class and
      :math:`p_{ij}` the softmax of :math:`-D_{ij}` over all other rows; it has no margin and no
      choice of positives.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_components)
        The embedding. float32 is computed in double precision.
    y : array-like of shape (n_samples,)
        Labels. A class with one row has no positives: its row is a negative of the others, and an
        anchor in "triplet_center" only.
    loss : str
        One of the names above.
    margin : float, array-like of shape (n_classes, n_classes) or dict, default=1.0
        The margin: one number, a matrix indexed [class of anchor, class of negative] in the order
        of the sorted labels, or a dict of pairs of labels, in which (a, b) stands for (b, a) too
        unless that is named, and pairs that are not named have 1.0. "contrastive" and
        "lifted_structure" need a symmetric one; "n_pair" has none and ignores it.
    margin2 : float, default=0.5
        The second margin of "quadruplet".
    reduction : {"mean", "sum"}, default="mean"
        "sum" adds all terms with weight one. "mean" divides each kind of term by its count
        (contrastive: positive and negative pairs; quadruplet: triplets and quadruplets), and adds.
    positives : {"all", "neighbors"}, default="all"
        What a row is compared with: all rows of its class, or its `n_neighbors` nearest rows of its
        class, taken as fixed by the gradient. With "neighbors" each row and each of its target
        neighbours is a pair, so that mutual neighbours are two; of equally near rows the first are
        taken. "triplet_center" has no pairs and ignores it.
    n_neighbors : int, default=3
        Number of target neighbours; fewer where the class is smaller.
    normalize : bool, default=False
        Divide the rows by their lengths first. A row of length 0 stays 0.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows. An integer weight equals so many copies of the row.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Returns
    -------
    PairLoss
        With `value`, `gradient` with respect to `Z`, `n_terms` and `n_active`.

    Raises
    ------
    ValueError
        If the input is not finite, `y` is not a set of classes, lengths differ, or `margin` does
        not fit the classes or the loss.

    See Also
    --------
    MetricLearner : Learn a linear map that makes such a loss small.

    Notes
    -----
    Memory is bounded by blocks of rows. n rows of k columns in C classes take :math:`O(n^2 k)`
    operations; all triplets :math:`O(n^2 \log n)` more, by one binary search for each negative
    among the sorted positives; quadruplets likewise among the sorted positive pairs of all classes
    and of each; "triplet_center" :math:`O(n C k)`.

    Where :math:`d_{ij} = 0`, its derivative is taken as 0.

    References
    ----------
    .. [1] R. Hadsell, S. Chopra and Y. LeCun, "Dimensionality reduction by learning an invariant
       mapping", CVPR 2006.
    .. [2] F. Schroff, D. Kalenichenko and J. Philbin, "FaceNet: A unified embedding for face
       recognition and clustering", CVPR 2015.
    .. [3] X. He, Y. Zhou, Z. Zhou, S. Bai and X. Bai, "Triplet-center loss for multi-view 3D object
       retrieval", CVPR 2018.
    .. [4] K. Sohn, "Improved deep metric learning with multi-class N-pair loss objective", NIPS
       2016.
    .. [5] W. Chen, X. Chen, J. Zhang and K. Huang, "Beyond triplet loss: a deep quadruplet network
       for person re-identification", CVPR 2017.
    .. [6] H. O. Song, Y. Xiang, S. Jegelka and S. Savarese, "Deep metric learning via lifted
       structured feature embedding", CVPR 2016.
    .. [7] J. Goldberger, G. Hinton, S. Roweis and R. Salakhutdinov, "Neighbourhood components
       analysis", NIPS 2004.

    Examples
    --------
    >>> from skmmd.metric_learning import pair_loss
    >>> result = pair_loss([[0.0], [1.0], [1.5]], ["a", "a", "b"], loss="triplet")
    >>> result.value, result.n_terms, result.n_active
    (0.875, 2, 1)
    >>> result.gradient.tolist()
    [[-1.0], [1.5], [-0.5]]
    """
    given: NDArray[Any] = check_array(Z, dtype=(np.float64, np.float32), input_name="Z")
    labels = checked_labels(y)
    check_consistent_length(given, labels)
    classes, codes = np.unique(labels, return_inverse=True)
    chosen = LOSSES[loss]
    margins = margin_matrix(margin, classes, loss=loss, symmetric=chosen.symmetric)
    weight = check_weight(sample_weight, given, name="sample_weight")
    weight = row_weights(weight, None, classes, codes)
    used = np.flatnonzero(weight > 0.0)
    rows = np.ascontiguousarray(given[used], dtype=np.float64)
    lengths = None
    if normalize:
        rows, lengths = unit_rows(rows)
    elif not chosen.products:
        rows = _near_origin(rows)
    if np.abs(rows).max() > _LARGEST:
        raise ValueError(
            f"Z has values as large as {np.abs(rows).max():.3g}; squared distances would overflow. "
            "Scale the embedding down."
        )
    order, groups = group_rows(codes[used], len(classes), weight[used])
    rows = np.ascontiguousarray(rows[order])
    targets = None
    if positives == "neighbors":
        targets = select_targets(rows, groups, n_neighbors, copies=True, n_jobs=n_jobs)
    problem = Problem(groups, margins, margin2, targets, n_jobs=n_jobs)
    factors = (1.0,) * len(chosen.kinds)
    with np.errstate(over="ignore", invalid="ignore"):
        total = total_of(rows, problem, chosen.kinds, factors, mean=reduction == "mean")
    gradient = total.gradient
    if not (np.isfinite(total.value) and np.all(np.isfinite(gradient))):
        raise ValueError(
            f"The {loss} loss is too large for a number. Scale Z, margin or sample_weight down."
        )
    if lengths is not None:
        gradient = through_lengths(gradient, rows, lengths[order])
    scattered = np.zeros_like(given)
    scattered[used[order]] = gradient
    whole = sample_weight is None
    return PairLoss(
        total.value,
        scattered,
        int(total.n_terms) if whole else total.n_terms,
        int(total.n_active) if whole else total.n_active,
    )
