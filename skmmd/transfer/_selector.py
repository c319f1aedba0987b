"""Selection of rows as an estimator."""

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmmd._chunked import kept_threads
from skmmd._validation import (
    Estimator,
    Integral,
    Interval,
    StrOptions,
    fit_method,
    generator,
    validate_data,
)
from skmmd.kernels import Kernel
from skmmd.transfer._domains import KERNEL_CONSTRAINTS, Domains, read_domains, resolve_gamma
from skmmd.transfer._selection import select_criticisms, select_prototypes

__all__ = ["MMDSampleSelector"]


class MMDSampleSelector(Estimator):
    """Pick source rows that represent the target, by greedy descent on their MMD.

    Without `sample_domain`, rows that represent the whole sample: prototypes, and with
    ``method="critic"`` criticisms, which the prototypes represent badly.

    Parameters
    ----------
    n_samples : int, default=10
        How many rows to pick, without replacement.
    method : {"greedy", "herding", "critic"}, default="greedy"
        "greedy" picks what lowers the MMD most. "herding" picks where the mean embeddings differ
        most, which weighs k(x, x) less; both are the same order for kernels with constant k(x, x).
        "critic" is "greedy" followed by criticisms.
    kernel : {"rbf", "laplacian", "imq", "rq", "linear", "polynomial"} or callable, default="rbf"
        Kernel, as in :class:`KernelMeanMatching`.
    gamma : float or "median", default="median"
        Its coefficient; "median" takes the median heuristic on all rows.
    n_criticisms : int, default=None
        How many criticisms to pick with ``method="critic"``; None takes `n_samples`, or as many as
        there are candidates left.
    random_state : int, RandomState instance or None, default=None
        Draws landmarks, by which means over the target are computed beyond 10^9 pairs of a
        candidate and a target row; below, nothing is random.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Attributes
    ----------
    sample_indices_ : ndarray of shape (n_samples,), dtype intp
        Numbers of the picked rows in X as given, in the order of picking.
    criticism_indices_ : ndarray of shape (n_criticisms,), dtype intp
        With ``method="critic"``: numbers of the criticisms, in the order of picking. They are
        candidates that are no prototypes; fewer than asked for where the kernel spans the others.
    mmd_path_ : ndarray of shape (n_samples,)
        Squared MMD (V-statistic) of the picked rows from what they represent, after each pick.
    gamma_ : float
        The kernel coefficient.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features, where X has names that are all strings.

    References
    ----------
    Chen, Y., Welling, M. & Smola, A. (2010). Super-samples from kernel herding. UAI.

    Kim, B., Khanna, R. & Koyejo, O. (2016). Examples are not enough, learn to criticize! NIPS 29.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.transfer import MMDSampleSelector
    >>> X = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]])
    >>> MMDSampleSelector(2).fit(X).sample_indices_
    array([2, 4])
    """

    __metadata_request__fit: ClassVar[dict[str, bool]] = {"sample_domain": True}

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "method": [StrOptions({"greedy", "herding", "critic"})],
        **KERNEL_CONSTRAINTS,
        "n_criticisms": [Interval(Integral, 0, None, closed="left"), None],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        n_samples: int = 10,
        *,
        method: str = "greedy",
        kernel: Kernel = "rbf",
        gamma: float | str = "median",
        n_criticisms: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_samples = n_samples
        self.method = method
        self.kernel = kernel
        self.gamma = gamma
        self.n_criticisms = n_criticisms
        self.random_state = random_state
        self.n_jobs = n_jobs

    @fit_method
    def fit(self, X: ArrayLike, y: None = None, *, sample_domain: ArrayLike | None = None) -> Self:
        """Pick the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of both domains, in any order.
        y : None
            Ignored.
        sample_domain : array-like of shape (n_samples,), default=None
            0 or more for source rows, which are the candidates; negative for target rows, which
            are to be represented. None: all rows are both.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If a domain has no rows, `sample_domain` does not fit X, X holds NaN or infinite values,
            or more rows are to be picked than there are candidates.
        """
        rows = validate_data(self, X, dtype=np.float64, order="C")
        candidates, of_candidates = rows, np.arange(len(rows))
        wanted = rows
        if sample_domain is not None:
            domains: Domains = read_domains(sample_domain, len(rows), owner=type(self).__name__)
            of_candidates = domains.source
            candidates, wanted = rows[domains.source], rows[domains.target]
        n_criticisms = self._check_sizes(len(candidates))
        self.__dict__.pop("criticism_indices_", None)
        self.gamma_ = resolve_gamma(self.kernel, self.gamma, rows)
        with kept_threads():
            selection = select_prototypes(
                self.kernel,
                self.gamma_,
                candidates,
                wanted,
                self.n_samples,
                herding=self.method == "herding",
                generator=generator(self.random_state),
                n_jobs=self.n_jobs,
            )
            self.sample_indices_ = of_candidates[selection.picks]
            self.mmd_path_ = selection.mmd_path
            if self.method == "critic":
                criticisms: NDArray[np.intp] = select_criticisms(
                    self.kernel,
                    self.gamma_,
                    candidates,
                    selection,
                    n_criticisms,
                    n_jobs=self.n_jobs,
                )
                self.criticism_indices_ = of_candidates[criticisms]
        return self

    def _check_sizes(self, n_candidates: int) -> int:
        """Return the number of criticisms; raise if there are too few candidates."""
        left = n_candidates - self.n_samples
        if left < 0:
            raise ValueError(
                f"MMDSampleSelector is to pick n_samples={self.n_samples} rows, but there "
                f"{'is 1 sample' if n_candidates == 1 else f'are {n_candidates} samples'} to pick "
                "from. Pass a smaller n_samples."
            )
        if self.n_criticisms is None:
            return min(self.n_samples, left)
        if self.method == "critic" and self.n_criticisms > left:
            raise ValueError(
                f"MMDSampleSelector is to pick n_criticisms={self.n_criticisms} rows besides "
                f"n_samples={self.n_samples}, but there are {n_candidates} candidates. Pass a "
                "smaller n_criticisms."
            )
        return self.n_criticisms
