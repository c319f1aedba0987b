"""Labels of near-duplicates: :class:`MMDTClassifier`."""

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, column_or_1d

from skmmd._validation import (
    Integral,
    Interval,
    Real,
    StrOptions,
    check_is_fitted,
    fit_method,
)
from skmmd.hashing._buckets import Neighbors, Store, make_store, neighbors
from skmmd.hashing._digest_input import INPUT_OPTIONS, DigestInput
from skmmd.hashing._similarity import METRICS, NONE, largest_distance

__all__ = ["MMDTClassifier"]

FloatArray = NDArray[np.float64]


class MMDTClassifier(ClassifierMixin, DigestInput):
    """Classify files by the labels of their near-duplicates.

    Parameters
    ----------
    input : {"auto", "digest", "content", "filename", "file"}, default="auto"
        What `X` holds, as in :class:`MMDTIndex`.
    method : {"knn", "bucket"}, default="knn"
        Among which digests neighbours are looked for: all, or those whose 4 index bytes differ by
        at most `tolerance` each.
    threshold : float, default=0.95
        Smallest similarity to the nearest neighbour for an answer; below it an input is rejected.
    n_neighbors : int, default=1
        Number of neighbours that vote.
    tolerance : int, default=1
        For "bucket"; 0 is the bucket of python-mmdt.
    reject_label : int, float, str or bool, default=None
        What :meth:`predict` says of a rejected input. With None none is rejected: where a bucket
        holds no digest, all are searched.
    metric : {"mmdt", "manhattan", "circular"}, default="mmdt"
        As in :func:`mmdt_similarity`.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    digests_ : ndarray of shape (n_samples_fit, 20), dtype uint8
        The digests.
    scale_ : tuple of (float, float), or None
        After a fit on rows of numbers: the values that became the bytes 0 and 255.
    n_features_in_ : int
        Number of columns, after a fit on rows of numbers.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where `X` had string names.

    See Also
    --------
    MMDTVectorizer : Features for any classifier; better ones to tell kinds of files.
    MMDTIndex : The neighbours themselves.

    Examples
    --------
    >>> from skmmd.hashing import MMDTClassifier
    >>> fox, dog = b"The quick brown fox. " * 400, b"The lazy dog sleeps. " * 400
    >>> classifier = MMDTClassifier(reject_label="?").fit([fox, dog], ["fox", "dog"])
    >>> classifier.predict([fox + b"!", dog[:-1], bytes(8000)]).tolist()
    ['fox', 'dog', '?']
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "input": INPUT_OPTIONS,
        "method": [StrOptions({"knn", "bucket"})],
        "threshold": [Interval(Real, 0, 1, closed="both")],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "tolerance": [Interval(Integral, 0, 255, closed="both")],
        "reject_label": [Real, str, "boolean", None],
        "metric": [StrOptions(set(METRICS))],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        *,
        input: str = "auto",
        method: str = "knn",
        threshold: float = 0.95,
        n_neighbors: int = 1,
        tolerance: int = 1,
        reject_label: float | str | None = None,
        metric: str = "mmdt",
        n_jobs: int | None = None,
    ) -> None:
        self.input = input
        self.method = method
        self.threshold = threshold
        self.n_neighbors = n_neighbors
        self.tolerance = tolerance
        self.reject_label = reject_label
        self.metric = metric
        self.n_jobs = n_jobs

    @fit_method
    def fit(self, X: Any, y: ArrayLike) -> Self:
        """Store digests with their labels.

        Parameters
        ----------
        X : iterable of objects, or array-like of shape (n_samples, n_features)
            Hash strings, digests, or what is hashed.
        y : array-like of shape (n_samples,)
            The labels.

        Returns
        -------
        MMDTClassifier
            This estimator.

        Raises
        ------
        ValueError
            If the lengths differ, or `reject_label` cannot stand beside the labels.
        OSError, TypeError
            If an input cannot be read.
        """
        if y is None:
            raise ValueError(
                "MMDTClassifier requires y to be passed, but the target y is None: pass a label "
                "for each input."
            )
        digests = self._digests(X, reset=True).copy()  # the caller's array stays the caller's
        if not len(digests):
            raise ValueError("MMDTClassifier needs at least one input, got none.")
        labels = column_or_1d(y, warn=True)
        assert_all_finite(labels, input_name="y")
        check_consistent_length(digests, labels)
        check_classification_targets(labels)
        self.classes_, self._codes = np.unique(labels, return_inverse=True)
        self._labels_with_rejected()
        self.digests_ = digests
        self._store: Store = make_store(digests)
        return self

    def _labels_with_rejected(self) -> NDArray[Any]:
        """Return the classes, and behind them the label of rejected inputs."""
        if self.reject_label is None:
            return self.classes_
        families = {"U": "text", "S": "text", "b": "truth", "O": "any"}
        family = families.get(self.classes_.dtype.kind, "number")
        own = families.get(np.asarray(self.reject_label).dtype.kind, "number")
        if family not in ("any", own):
            raise ValueError(
                f"reject_label={self.reject_label!r} cannot stand beside labels such as "
                f"{self.classes_[0]!r}; use one of their type."
            )
        kind = object if self.classes_.dtype.kind == "O" else None
        return np.array([*self.classes_.tolist(), self.reject_label], dtype=kind)

    def _neighbors(self, X: Any) -> Neighbors:
        check_is_fitted(self)
        queries = self._digests(X, reset=False)
        tolerance = self.tolerance if self.method == "bucket" else None
        count = min(self.n_neighbors, len(self.digests_))
        found = neighbors(self._store, queries, count, tolerance, self.metric, self.n_jobs)
        empty = found.n_candidates == 0
        if self.reject_label is None and np.any(empty):
            among_all = neighbors(
                self._store, queries[empty], count, None, self.metric, self.n_jobs
            )
            for known, better in zip(found, among_all, strict=True):
                known[empty] = better
        return found

    def predict_proba(self, X: Any) -> FloatArray:
        """Return the shares of the classes among the neighbours.

        Parameters
        ----------
        X : iterable of objects, or array-like of shape (n_samples, n_features)
            The inputs, as in `fit`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            In the order of ``classes_``. The row of a rejected input is zero.

        Raises
        ------
        NotFittedError
            If it is not fitted.
        """
        found = self._neighbors(X)
        there = found.places != NONE
        codes = self._codes[np.where(there, found.places, 0)]
        votes = np.zeros((len(codes), len(self.classes_)))
        rows = np.broadcast_to(np.arange(len(codes))[:, None], codes.shape)
        np.add.at(votes, (rows[there], codes[there]), 1.0)
        if self.reject_label is not None:
            limit = largest_distance(self.threshold, self.metric)
            votes[found.distances[:, 0] > limit] = 0.0
        shares: FloatArray = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1.0)
        return shares

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the label that most neighbours have.

        Parameters
        ----------
        X : iterable of objects, or array-like of shape (n_samples, n_features)
            The inputs, as in `fit`.

        Returns
        -------
        ndarray of shape (n_samples,)
            The labels; `reject_label` for rejected inputs. Of classes with equally many votes it
            is the first in ``classes_``.

        Raises
        ------
        NotFittedError
            If it is not fitted.
        """
        shares = self.predict_proba(X)
        rejected = ~shares.any(axis=1)
        return self._labels_with_rejected()[
            np.where(rejected, len(self.classes_), shares.argmax(axis=1))
        ]
