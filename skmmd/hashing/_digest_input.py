"""What the estimators share: inputs are objects or rows of numbers, or digests of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Tags

from skmmd._validation import Estimator, StrOptions, validate_data
from skmmd.hashing._features import FeatureSet, extract
from skmmd.hashing._inputs import N_BYTES, as_digests, hash_strings, parse, raw_objects
from skmmd.hashing._signals import Signals, row_dtype, value_range
from skmmd.hashing._sources import INPUTS

__all__ = ["INPUT_OPTIONS", "DigestInput", "RawInput"]

ByteArray = NDArray[np.uint8]

INPUT_OPTIONS = [StrOptions({"auto", "digest", *INPUTS})]


class RawInput(Estimator):
    """Base of the estimators whose inputs are objects, or rows of numbers as signals."""

    input: str
    n_jobs: int | None
    scale_: tuple[float, float] | None

    def _rows(self, X: Any, *, reset: bool) -> NDArray[Any]:
        return validate_data(self, X, dtype=row_dtype(X), order="C", reset=reset)

    def _forget_columns(self) -> None:
        for name in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(name, None)

    def __sklearn_tags__(self) -> Tags:
        """Return the tags: text and rows of numbers will do."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        return tags


class DigestInput(RawInput):
    """Base of the estimators on digests: inputs may be such, or are hashed first."""

    def _digests(self, X: Any, *, reset: bool) -> ByteArray:
        """Return the digests that `X` holds, or those of what it holds."""
        objects = raw_objects(X)
        if objects is None:
            return self._digests_of_rows(X, reset=reset)
        if reset:
            self._forget_scale()
        if self.input in ("auto", "digest") and objects and all(map(_is_digest, objects)):
            return np.stack(objects)
        if self.input == "digest" or (self.input == "auto" and hash_strings(objects)):
            return parse(objects)
        input = "content" if self.input == "auto" else self.input
        return extract(objects, input, FeatureSet("all"), n_jobs=self.n_jobs)[0]

    def _digests_of_rows(self, X: Any, *, reset: bool) -> ByteArray:
        # A later call is about signals if `fit` was, else about digests.
        signals = self.input in INPUTS if reset else hasattr(self, "n_features_in_")
        if self.input == "digest" or (not signals and _are_digests(X)):
            if reset:
                self._forget_scale()
            return as_digests(X)[0]
        if not reset and not signals:
            raise ValueError(
                f"{type(self).__name__} was fitted on objects or digests, so that it knows no "
                "range of numbers. Pass the same kind of input as to fit."
            )
        rows = self._rows(X, reset=reset)
        if reset:
            self.scale_ = value_range(rows)
        assert self.scale_ is not None
        signal_rows = Signals(rows, *self.scale_)
        return extract(signal_rows, "content", FeatureSet("all"), n_jobs=self.n_jobs)[0]

    def _forget_scale(self) -> None:
        self._forget_columns()
        self.scale_ = None


def _is_digest(obj: Any) -> bool:
    return isinstance(obj, np.ndarray) and obj.dtype == np.uint8 and obj.shape == (N_BYTES,)


def _are_digests(X: Any) -> bool:
    return row_dtype(X) == np.uint8 and np.shape(X)[1:] == (N_BYTES,)
