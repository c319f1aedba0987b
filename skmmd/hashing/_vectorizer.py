"""Inputs and rows of numbers as features: :class:`MMDTVectorizer`."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn.base import TransformerMixin
from sklearn.utils import Tags

from skmmd._validation import (
    Integral,
    Real,
    StrOptions,
    check_is_fitted,
    feature_names,
    fit_method,
)
from skmmd.hashing._digest_input import RawInput
from skmmd.hashing._features import FeatureSet, extract, warn_of_errors
from skmmd.hashing._inputs import raw_objects
from skmmd.hashing._signals import Signals, value_range
from skmmd.hashing._sources import INPUTS, is_raw

__all__ = ["MMDTVectorizer", "check_scaling"]


def check_scaling(scaling: str | tuple[float, float]) -> None:
    """Raise unless `scaling` is "fit" or a range."""
    if isinstance(scaling, str):
        return
    numbers = all(isinstance(value, Real) and np.isfinite(value) for value in scaling)
    if len(scaling) != 2 or not numbers or scaling[0] > scaling[1]:
        raise ValueError(
            f"scaling must be 'fit' or a tuple (low, high) of finite numbers, got {scaling!r}."
        )


class MMDTVectorizer(TransformerMixin, RawInput):
    """Turn files, bytes, text or rows of numbers into vectors of fixed length.

    Parameters
    ----------
    input : {"content", "filename", "file"}, default="content"
        What bytes and text in `X` are: the content itself (text as UTF-8), or the name of a file.
        Path-like objects and open files are always read.
    features : str or list of str, default="sensitive"
        The columns, one kind or several side by side:

        - "sensitive": the 16 sensitive bytes of the MMDT hash.
        - "index": its 4 index bytes.
        - "all": both, index bytes first.
        - "sums": the 16 block sums from which the sensitive bytes are cut, so without their
          wrapping around.
        - "circular": cosine and sine of the 16 sensitive bytes as angles, 32 columns in which
          Euclidean distances respect that they wrap around.
        - "histogram": the square roots of the shares of the 256 bytes.
        - "bigrams": the square roots of the shares of pairs of neighbouring bytes, hashed to 1024
          columns.
    scaling : "fit" or tuple of (float, float), default="fit"
        For rows of numbers: which values become the bytes 0 and 255. "fit" takes the smallest and
        the largest value of all of `X` in `fit`.
    on_error : {"raise", "warn"}, default="raise"
        What to do about an input that cannot be read: raise, or warn, give a row of zeros, and
        keep the reason in ``errors_``.
    dtype : dtype, default=None
        Type of the columns; None takes uint8 for "sensitive", "index" and "all", else float32.
    n_jobs : int, default=None
        Number of threads. The result does not depend on it.
    verbose : int, default=0
        Show a progress bar if positive.

    Attributes
    ----------
    scale_ : tuple of (float, float), or None
        The values that become the bytes 0 and 255; None after a fit on objects with
        ``scaling="fit"``.
    errors_ : dict of int to str
        By row, why an input of the last call could not be read.
    n_features_in_ : int
        Number of columns, after a fit on rows of numbers.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, where `X` had string names.

    See Also
    --------
    mmdt_hash : The hash as a string.
    MMDTIndex : Near-duplicates among many hashes.

    Notes
    -----
    `X` is a list, series or array of objects, or a two-dimensional array of numbers in which each
    row is a signal: bytes (uint8) stay as they are, other numbers are scaled to bytes; after a fit
    on other numbers, bytes are scaled as those were. A row of fewer than 4096 values is stretched
    to 4096; longer ones are hashed as they are. Arrays in a list are contents, and not rows.
    Objects need no `fit`.

    The MMDT hash tells near-copies of a file, and not what kind of file it is. To classify or to
    cluster files, take ``features=["histogram", "bigrams"]``; the user guide has the figures.

    References
    ----------
    The MMDT hash is that of python-mmdt 0.3.1, bit by bit.

    Examples
    --------
    >>> from skmmd.hashing import MMDTVectorizer
    >>> fox, dog = b"The quick brown fox. " * 400, b"The lazy dog sleeps. " * 400
    >>> MMDTVectorizer().transform([fox, fox.upper(), dog])[:, :5]
    array([[203, 206, 206, 203, 205],
           [ 22,  23,  23,  21,  22],
           [200, 203, 199, 194, 198]], dtype=uint8)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "input": [StrOptions(set(INPUTS))],
        "features": [str, list, tuple],
        "scaling": [StrOptions({"fit"}), tuple],
        "on_error": [StrOptions({"raise", "warn"})],
        "dtype": "no_validation",  # type: ignore[dict-item]
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        input: str = "content",
        *,
        features: str | Sequence[str] = "sensitive",
        scaling: str | tuple[float, float] = "fit",
        on_error: str = "raise",
        dtype: DTypeLike | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.input = input
        self.features = features
        self.scaling = scaling
        self.on_error = on_error
        self.dtype = dtype
        self.n_jobs = n_jobs
        self.verbose = verbose

    @fit_method
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the range of the values, if `X` holds rows of numbers.

        Parameters
        ----------
        X : iterable of objects, or array-like of shape (n_samples, n_features)
            The inputs. Objects are not read.
        y : None
            Ignored.

        Returns
        -------
        MMDTVectorizer
            This estimator.

        Raises
        ------
        ValueError
            If a parameter is out of its range, one bare object was passed, or numbers are missing
            or infinite.
        """
        FeatureSet(self.features, self.dtype)
        check_scaling(self.scaling)
        given = None if isinstance(self.scaling, str) else self.scaling
        if raw_objects(X) is None:
            rows = self._rows(X, reset=True)
            self.scale_ = given or value_range(rows)
        else:
            self._forget_columns()
            self.scale_ = given
        self.errors_: dict[int, str] = {}
        return self

    def fit_transform(self, X: Any, y: Any = None) -> NDArray[Any]:
        """Fit, and return the features of the same inputs.

        Parameters
        ----------
        X : iterable of objects, or array-like of shape (n_samples, n_features)
            The inputs.
        y : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
            The features.
        """
        # An iterator can be gone through only once.
        return super().fit_transform(list(X) if isinstance(X, Iterator) and not is_raw(X) else X, y)

    def transform(self, X: Any) -> NDArray[Any]:
        """Compute the features.

        Parameters
        ----------
        X : iterable of objects, or array-like of shape (n_samples, n_features)
            The inputs. Numbers need a `fit` before, objects do not.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
            The features, one row for each input.

        Raises
        ------
        OSError, TypeError
            If an input cannot be read, with ``on_error="raise"``.
        ValueError
            If one bare object was passed, or numbers after a fit on objects without a range in
            `scaling`.
        NotFittedError
            For numbers, without a `fit`.
        """
        objects = raw_objects(X)
        if objects is None:
            return self._transform_rows(X)
        self._validate_params()
        features = FeatureSet(self.features, self.dtype)
        columns, self.errors_ = extract(
            objects,
            self.input,
            features,
            on_error=self.on_error,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        warn_of_errors(self.errors_, len(objects))
        return columns

    def _transform_rows(self, X: Any) -> NDArray[Any]:
        check_is_fitted(self, "scale_")
        rows = self._rows(X, reset=False)
        scale = self.scale_
        # A range that was learned holds for all rows; otherwise bytes stay as they are.
        if rows.dtype == np.uint8 and (scale is None or not isinstance(self.scaling, str)):
            scale = (0.0, 255.0)
        if scale is None:
            raise ValueError(
                "MMDTVectorizer was fitted on objects, so that it knows no range of numbers. Fit "
                "it on rows of numbers, or pass scaling=(low, high)."
            )
        signals = Signals(rows, *scale)
        features = FeatureSet(self.features, self.dtype)
        columns, self.errors_ = extract(
            signals, "content", features, n_jobs=self.n_jobs, verbose=self.verbose
        )
        return columns

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Return the names of the columns: "sensitive0", "sensitive1", ...

        Parameters
        ----------
        input_features : array-like of str, default=None
            Checked against the names of `fit`, otherwise ignored.

        Returns
        -------
        ndarray of str objects
            The names.

        Raises
        ------
        ValueError
            If `input_features` are not those of `fit`.
        """
        check_is_fitted(self, "scale_")
        if hasattr(self, "n_features_in_"):
            feature_names(self, input_features)
        return np.array(FeatureSet(self.features, self.dtype).names, dtype=object)

    def __sklearn_tags__(self) -> Tags:
        """Return the tags: the columns' type is that of the features, or `dtype`."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags
