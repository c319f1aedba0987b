"""Folds that hold rows of both domains."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.random import RandomState
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from sklearn.model_selection import BaseCrossValidator, KFold, StratifiedKFold
from sklearn.utils import check_random_state

from skmmd.transfer._domains import read_domains
from skmmd.transfer._stack import target_kind

__all__ = ["DomainKFold"]

Indices = NDArray[np.intp]


class DomainKFold(BaseCrossValidator):
    """Split rows into folds that each hold rows of both domains.

    Each domain is dealt out by itself, so that training and test rows have both in about the share
    that all rows have. Source rows are stratified by `y` where it is a classification target, as
    by :class:`sklearn.model_selection.StratifiedKFold`; target rows, whose `y` may be
    placeholders, are not.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, 2 or more. Each domain must have as many rows.
    shuffle : bool, default=False
        Whether to shuffle the rows first. Without, folds follow the order of the rows.
    random_state : int, RandomState instance or None, default=None
        The order of shuffled rows. Pass an int for the same folds on each call; None unless
        `shuffle`.

    Raises
    ------
    ValueError
        If `n_splits` is no integer of 2 or more, or there is a `random_state` without `shuffle`.
    TypeError
        If `shuffle` is not a bool.

    See Also
    --------
    stack_domains : Stack two samples, with the domain of each row.
    sklearn.model_selection.StratifiedKFold : Folds of one domain.

    Notes
    -----
    With metadata routing, ``search.fit(X, y, sample_domain=d, groups=d)`` brings the domains to
    the estimator, the scorer and the folds. ``DomainKFold().set_split_request(groups=
    "sample_domain")`` makes ``search.fit(X, y, sample_domain=d)`` do so.

    Examples
    --------
    >>> import numpy as np
    >>> from skmmd.transfer import DomainKFold
    >>> X, y = np.arange(10.0)[:, None], np.array([0, 0, 0, 1, 1, 1, 0, 1, 0, 1])
    >>> sample_domain = np.array([1] * 6 + [-1] * 4)
    >>> folds = DomainKFold(n_splits=2)
    >>> for train, test in folds.split(X, y, groups=sample_domain):
    ...     print(train, test)
    [2 4 5 8 9] [0 1 3 6 7]
    [0 1 3 6 7] [2 4 5 8 9]
    """

    # Routed without being asked for, as by scikit-learn's own splitters that use groups.
    __metadata_request__split = {"groups": True}

    def __init__(
        self,
        n_splits: int = 5,
        *,
        shuffle: bool = False,
        random_state: int | RandomState | None = None,
    ) -> None:
        KFold(n_splits, shuffle=shuffle, random_state=random_state)  # checks the parameters
        self.n_splits = n_splits
        self.shuffle = shuffle
        self.random_state = random_state

    def split(
        self, X: Any, y: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> Iterator[tuple[Indices, Indices]]:
        """Yield the numbers of the training rows and of the test rows of each fold.

        Parameters
        ----------
        X : {array-like, sparse matrix, DataFrame} of shape (n_samples, n_features)
            The rows, of which only the number is used.
        y : array-like of shape (n_samples,), default=None
            Labels or values. Classes stratify the source rows.
        groups : array-like of shape (n_samples,)
            The `sample_domain`: 0 or more for source rows, negative for target rows.

        Yields
        ------
        train : ndarray of shape (n_train,), dtype intp
            Training rows, ascending.
        test : ndarray of shape (n_test,), dtype intp
            Test rows, ascending.

        Raises
        ------
        ValueError
            If `groups` is None or names one domain only, or a domain has fewer rows than there are
            folds.
        TypeError
            If `groups` is not numeric.
        """
        yield from super().split(X, y, groups)

    def get_n_splits(
        self, X: Any = None, y: ArrayLike | None = None, groups: ArrayLike | None = None
    ) -> int:
        """Return the number of folds.

        Parameters
        ----------
        X : object, default=None
            Ignored.
        y : object, default=None
            Ignored.
        groups : object, default=None
            Ignored.

        Returns
        -------
        int
            The parameter `n_splits`.
        """
        return int(self.n_splits)

    def _iter_test_indices(self, X: Any, y: Any, groups: Any) -> Iterator[Indices]:
        owner = type(self).__name__
        if groups is None:
            raise ValueError(
                f"{owner} needs the domain of each row: pass groups=sample_domain. In GridSearchCV "
                "or cross_validate with metadata routing, pass it as sample_domain for the "
                "estimator and as groups for the folds."
            )
        domains = read_domains(groups, len(groups), owner=owner)
        for name, rows in (("source", domains.source), ("target", domains.target)):
            if len(rows) < self.n_splits:
                raise ValueError(
                    f"There are {len(rows)} {name} rows for n_splits={self.n_splits} folds, and "
                    f"each fold must hold one or more. Use n_splits={len(rows)} or less, or more "
                    f"{name} rows."
                    if len(rows) > 1
                    else f"There is one {name} row; {owner} needs two or more of each domain."
                )
        classes = _classes(y, domains.source, self.n_splits)
        # One generator for both domains, so that an integer does not shuffle them alike.
        random_state = check_random_state(self.random_state) if self.shuffle else None
        settings = {"shuffle": self.shuffle, "random_state": random_state}
        plain = KFold(self.n_splits, **settings)
        if classes is None:
            source = plain.split(domains.source)
        else:
            source = StratifiedKFold(self.n_splits, **settings).split(domains.source, classes)
        target = plain.split(domains.target)
        for (_, first), (_, second) in zip(source, target, strict=True):
            yield np.concatenate([domains.source[first], domains.target[second]])


def _classes(y: Any, source: Indices, n_splits: int) -> NDArray[Any] | None:
    """Return the classes of the source rows; None where there is nothing to stratify by."""
    if y is None or sparse.issparse(y):
        return None
    labels = np.asarray(y)[source]
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if target_kind(labels) not in ("binary", "multiclass"):
        return None
    # Integers that hardly repeat are values, not classes.
    _, counts = np.unique(labels, return_counts=True)
    return labels if counts.max() >= n_splits else None
