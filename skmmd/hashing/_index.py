"""Near-duplicates among many digests: :class:`MMDTIndex`."""

import itertools
import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags

from skmmd._validation import (
    Integral,
    Interval,
    Real,
    StrOptions,
    check_is_fitted,
    fit_method,
)
from skmmd.hashing._buckets import Store, make_store, neighbors, neighbors_within
from skmmd.hashing._digest_input import INPUT_OPTIONS, DigestInput
from skmmd.hashing._inputs import N_BYTES
from skmmd.hashing._persistence import decode_names, encode_names, read_arrays, write_arrays
from skmmd.hashing._similarity import METRICS, NONE, Pairs, largest_within, to_distance

__all__ = ["MMDTIndex"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

_FORMAT = "skmmd.hashing.MMDTIndex 1"
_RADIUS = 0.05


class MMDTIndex(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DigestInput):
    """Nearest neighbours among MMDT digests, found in the buckets of near index bytes.

    Parameters
    ----------
    input : {"auto", "digest", "content", "filename", "file"}, default="auto"
        What `X` holds. "auto" takes hash strings and uint8 arrays of 20 columns as digests, and
        hashes anything else as :class:`MMDTVectorizer` does, text and bytes being the content;
        so digests in another type of integers, as a file of text gives them, need "digest".
    tolerance : int or None, default=1
        By how much each of the 4 index bytes may differ for a digest to be looked at. 0 is the
        bucket of python-mmdt; None looks at all digests.
    metric : {"mmdt", "manhattan", "circular"}, default="mmdt"
        The distance is 1 - similarity, as in :func:`mmdt_similarity`.
    n_neighbors : int, default=5
        Number of neighbours of :meth:`kneighbors`.
    radius : float, default=None
        Largest distance of :meth:`radius_neighbors`; None stands for 0.05, a similarity of .95.
        If it is given, :meth:`transform` gives the graph of all neighbours within it.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.

    Attributes
    ----------
    digests_ : ndarray of shape (n_samples_fit, 20), dtype uint8
        The digests.
    names_ : list of str, or None
        What was passed as `names`.
    n_samples_fit_ : int
        Number of digests.
    scale_ : tuple of (float, float), or None
        After a fit on rows of numbers: the values that became the bytes 0 and 255.
    n_features_in_ : int
        Number of columns, after a fit on rows of numbers.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where `X` had string names.

    See Also
    --------
    mmdt_pairs : All similar pairs of one collection.
    MMDTClassifier : The label of the nearest.

    Notes
    -----
    Near-copies of a file have nearly the same index bytes, so that with ``tolerance=1`` nearly all
    of them are found while less than one digest of a hundred is looked at.

    Examples
    --------
    >>> from skmmd.hashing import MMDTIndex
    >>> text = b"The quick brown fox jumps over the lazy dog. " * 200
    >>> index = MMDTIndex().fit([text, text[::-1]], names=["fox", "xof"])
    >>> distances, places = index.kneighbors([text.replace(b"fox", b"cat")], n_neighbors=1)
    >>> [index.names_[place] for place in places[0]], distances.round(3)
    (['fox'], array([[0.015]]))
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "input": INPUT_OPTIONS,
        "tolerance": [Interval(Integral, 0, 255, closed="both"), None],
        "metric": [StrOptions(set(METRICS))],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "radius": [Interval(Real, 0, 1, closed="both"), None],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        *,
        input: str = "auto",
        tolerance: int | None = 1,
        metric: str = "mmdt",
        n_neighbors: int = 5,
        radius: float | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.input = input
        self.tolerance = tolerance
        self.metric = metric
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.n_jobs = n_jobs

    @fit_method
    def fit(self, X: Any, y: Any = None, *, names: Iterable[str] | None = None) -> Self:
        """Store digests.

        Parameters
        ----------
        X : iterable of objects, or array-like of shape (n_samples, n_features)
            Hash strings, digests, or what is hashed.
        y : None
            Ignored.
        names : iterable of str, default=None
            A name for each, kept in ``names_`` and saved.

        Returns
        -------
        MMDTIndex
            This estimator.

        Raises
        ------
        ValueError
            If there are not as many names as digests, or no digest.
        OSError, TypeError
            If an input cannot be read.
        """
        digests = self._digests(X, reset=True).copy()  # the caller's array stays the caller's
        if not len(digests):
            raise ValueError("MMDTIndex needs at least one digest, got none.")
        if isinstance(names, str):
            raise ValueError("names must hold a name for each digest, got a single string.")
        labels = None if names is None else [str(name) for name in names]
        if labels is not None and len(labels) != len(digests):
            raise ValueError(f"{len(labels)} names were passed for {len(digests)} digests.")
        self.names_ = labels
        self._store_digests(digests)
        return self

    def _store_digests(self, digests: NDArray[np.uint8]) -> None:
        self.digests_ = digests
        self.n_samples_fit_ = len(digests)
        self._store: Store = make_store(digests)

    def kneighbors(
        self,
        X: Any = None,
        n_neighbors: int | None = None,
        return_distance: bool = True,
    ) -> tuple[FloatArray, IntArray] | IntArray:
        """Find the nearest digests.

        Parameters
        ----------
        X : iterable of objects, or array-like, default=None
            The queries, as in `fit`; None takes those of `fit`, each without itself.
        n_neighbors : int, default=None
            How many; None takes that of the constructor.
        return_distance : bool, default=True
            Return the distances, too.

        Returns
        -------
        distances : ndarray of shape (n_queries, n_neighbors)
            1 - similarity, ascending; infinite where the buckets hold no further digest.
        places : ndarray of shape (n_queries, n_neighbors)
            Which digests of `fit`; -1 where there is no further one. Equal distances are in the
            order of the places.

        Raises
        ------
        NotFittedError
            If it is not fitted.
        ValueError
            If `n_neighbors` is less than 1.
        """
        check_is_fitted(self)
        count = self.n_neighbors if n_neighbors is None else n_neighbors
        if not isinstance(count, Integral) or count < 1:
            raise ValueError(f"n_neighbors must be an integer of 1 or more, got {count!r}.")
        queries = self.digests_ if X is None else self._digests(X, reset=False)
        found = self._search(queries, min(int(count) + (X is None), self.n_samples_fit_))
        distances, places = found.distances, found.places
        if X is None:
            distances, places = _without_self(distances, places)
        missing = ((0, 0), (0, int(count) - places.shape[1]))
        distances = np.pad(distances, missing, constant_values=NONE)
        places = np.pad(places, missing, constant_values=NONE)
        none = places == NONE
        places = np.where(none, -1, places)
        if not return_distance:
            return places
        distances = np.where(none, np.inf, to_distance(np.where(none, 0, distances), self.metric))
        return distances, places

    def _search(self, queries: NDArray[np.uint8], count: int) -> Any:
        return neighbors(self._store, queries, count, self.tolerance, self.metric, self.n_jobs)

    def radius_neighbors(
        self,
        X: Any = None,
        radius: float | None = None,
        return_distance: bool = True,
    ) -> tuple[NDArray[Any], NDArray[Any]] | NDArray[Any]:
        """Find all digests within a distance.

        Parameters
        ----------
        X : iterable of objects, or array-like, default=None
            The queries, as in `fit`; None takes those of `fit`, each without itself.
        radius : float, default=None
            Largest distance; None takes that of the constructor, or 0.05.
        return_distance : bool, default=True
            Return the distances, too.

        Returns
        -------
        distances : ndarray of shape (n_queries,) of arrays
            1 - similarity, ascending.
        places : ndarray of shape (n_queries,) of arrays
            Which digests of `fit`.

        Raises
        ------
        NotFittedError
            If it is not fitted.
        ValueError
            If the radius is not in [0, 1].
        """
        check_is_fitted(self)
        queries = self.digests_ if X is None else self._digests(X, reset=False)
        pairs = self._pairs_within(queries, self.radius if radius is None else radius)
        if X is None:
            pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        graph = self._graph(len(queries), *pairs.T)
        distances = np.empty(graph.shape[0], dtype=object)
        places = np.empty(graph.shape[0], dtype=object)
        for row, (start, stop) in enumerate(itertools.pairwise(graph.indptr)):
            order = np.argsort(graph.data[start:stop], kind="stable")
            distances[row] = graph.data[start:stop][order]
            places[row] = graph.indices[start:stop][order].astype(np.int64)
        return (distances, places) if return_distance else places

    def _pairs_within(self, queries: NDArray[np.uint8], radius: float | None) -> Pairs:
        radius = _RADIUS if radius is None else radius
        if not isinstance(radius, Real) or not 0.0 <= radius <= 1.0:
            raise ValueError(f"radius must be between 0 and 1, got {radius!r}.")
        limit = largest_within(radius, self.metric)
        return neighbors_within(
            self._store, queries, limit, self.tolerance, self.metric, self.n_jobs
        )

    def _graph(
        self, n_queries: int, rows: NDArray[Any], places: NDArray[Any], distances: NDArray[Any]
    ) -> sparse.csr_array:
        starts = np.searchsorted(rows, np.arange(n_queries + 1))
        values = to_distance(distances, self.metric)
        shape = (n_queries, self.n_samples_fit_)
        return sparse.csr_array((values, places.astype(np.int32), starts), shape=shape)

    def transform(self, X: Any) -> sparse.csr_array:
        """Return the graph of neighbours, with their distances.

        Parameters
        ----------
        X : iterable of objects, or array-like
            The queries, as in `fit`. A digest of `fit` is a neighbour of itself.

        Returns
        -------
        scipy.sparse.csr_array of shape (n_queries, n_samples_fit)
            Distances to the `n_neighbors` nearest, or to all within `radius` if that was given. A
            distance of 0 is stored, as scikit-learn's ``metric="precomputed"`` wants it. A row has
            fewer where the buckets hold fewer; estimators that need them all need
            ``tolerance=None``.

        Raises
        ------
        NotFittedError
            If it is not fitted.
        """
        check_is_fitted(self)
        return self._neighbor_graph(self._digests(X, reset=False))

    def fit_transform(
        self, X: Any, y: Any = None, *, names: Iterable[str] | None = None
    ) -> sparse.csr_array:
        """Store digests, and return the graph of their neighbours.

        Parameters
        ----------
        X : iterable of objects, or array-like of shape (n_samples, n_features)
            As in `fit`; read once.
        y : None
            Ignored.
        names : iterable of str, default=None
            As in `fit`.

        Returns
        -------
        scipy.sparse.csr_array of shape (n_samples, n_samples)
            As of `transform`.
        """
        return self.fit(X, y, names=names)._neighbor_graph(self.digests_)

    def _neighbor_graph(self, queries: NDArray[np.uint8]) -> sparse.csr_array:
        if self.radius is not None:
            return self._graph(len(queries), *self._pairs_within(queries, self.radius).T)
        found = self._search(queries, min(self.n_neighbors, self.n_samples_fit_))
        rows, columns = np.nonzero(found.places != NONE)
        return self._graph(
            len(queries), rows, found.places[rows, columns], found.distances[rows, columns]
        )

    def count_candidates(self, X: Any) -> IntArray:
        """Count the digests that are looked at for each query.

        Parameters
        ----------
        X : iterable of objects, or array-like
            The queries, as in `fit`.

        Returns
        -------
        ndarray of shape (n_queries,)
            How many of the digests of `fit` have index bytes within the tolerance.

        Raises
        ------
        NotFittedError
            If it is not fitted.
        """
        check_is_fitted(self)
        counts: IntArray = self._search(self._digests(X, reset=False), 1).n_candidates
        return counts

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a file, in NumPy's npz format.

        Parameters
        ----------
        path : str or path-like
            The file. It is replaced at once when all is written, so that it is never half there.

        Raises
        ------
        NotFittedError
            If it is not fitted.
        OSError
            If the file cannot be written.
        """
        check_is_fitted(self)
        write_arrays(path, _to_arrays(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read an index that `save` has written.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        MMDTIndex
            The fitted index. Nothing in the file is executed.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it holds no index, or is damaged.
        """
        try:
            return _from_arrays(cls, read_arrays(path))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{os.fspath(path)} is no index that MMDTIndex.save has written, or it is damaged "
                f"({error})."
            ) from error

    @property
    def _n_features_out(self) -> int:
        return self.n_samples_fit_

    def __sklearn_tags__(self) -> Tags:
        """Return the tags: a graph of float64 comes out, whatever goes in."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


def _without_self(distances: IntArray, places: IntArray) -> tuple[IntArray, IntArray]:
    """Take each query out of its own neighbours, or else the last of them."""
    keep = places != np.arange(len(places))[:, None]
    keep[keep.all(axis=1), -1] = False
    shape = (len(places), places.shape[1] - 1)
    return distances[keep].reshape(shape), places[keep].reshape(shape)


def _to_arrays(index: MMDTIndex) -> dict[str, NDArray[Any]]:
    """Return all that makes the index, without objects."""
    given = {name: value for name, value in index.get_params().items() if value is not None}
    arrays = {f"parameter {name}": np.array(value) for name, value in given.items()}
    arrays |= {"format": np.array(_FORMAT), "digests": index.digests_}
    if index.names_ is not None:
        arrays["names"], arrays["ends of names"] = encode_names(index.names_)
    if index.scale_ is not None:
        arrays["scale"] = np.array(index.scale_, np.float64)
    if hasattr(index, "n_features_in_"):
        arrays["n_features"] = np.array(index.n_features_in_, np.int64)
    if hasattr(index, "feature_names_in_"):
        names = encode_names(index.feature_names_in_.tolist())
        arrays["feature names"], arrays["ends of feature names"] = names
    return arrays


def _from_arrays(cls: type[MMDTIndex], arrays: Mapping[str, NDArray[Any]]) -> MMDTIndex:
    """Return the index that the arrays are of."""
    if str(arrays["format"]) != _FORMAT:
        raise ValueError(f"its format is {str(arrays['format'])!r}, not {_FORMAT!r}")
    given: dict[str, Any] = {}
    for name in cls._get_param_names():
        value = arrays.get(f"parameter {name}")  # None itself is not saved
        given[name] = None if value is None else value.item()
    index = cls(**given)
    index._validate_params()
    digests = _checked(arrays["digests"], "digests", "u1", (-1, N_BYTES))
    if not len(digests):
        raise ValueError("it holds no digest")
    index.names_ = _names(arrays, "names", len(digests)) if "names" in arrays else None
    index.scale_ = None
    if "scale" in arrays:
        low, high = _checked(arrays["scale"], "scale", "f8", (2,)).tolist()
        if not -np.inf < low <= high < np.inf:
            raise ValueError(f"its scale is no range: {low}, {high}")
        index.scale_ = (low, high)
    if "n_features" in arrays:
        index.n_features_in_ = int(_checked(arrays["n_features"], "n_features", "i8", ()))
        if index.n_features_in_ < 1:
            raise ValueError(f"it has {index.n_features_in_} features")
    if "feature names" in arrays:
        found = _names(arrays, "feature names", index.n_features_in_)
        index.feature_names_in_ = np.array(found, dtype=object)
    index._store_digests(digests)
    return index


def _checked(values: NDArray[Any], name: str, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return the values if they have the type and the shape, in which -1 is any length."""
    fits = len(values.shape) == len(shape) and all(
        wanted in (-1, found) for wanted, found in zip(shape, values.shape, strict=True)
    )
    if values.dtype != np.dtype(dtype) or not fits:
        raise ValueError(f"its {name} are {values.dtype} of shape {values.shape}")
    return np.ascontiguousarray(values) if shape else values


def _names(arrays: Mapping[str, NDArray[Any]], name: str, n: int) -> list[str]:
    """Return `n` names."""
    content = _checked(arrays[name], name, "u1", (-1,))
    ends = _checked(arrays[f"ends of {name}"], f"ends of {name}", "i8", (-1,))
    names = decode_names(content, ends)
    if len(names) != n:
        raise ValueError(f"it has {len(names)} {name} for {n}")
    return names
