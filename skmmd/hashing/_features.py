"""Features of inputs: inputs -> sums and counts -> columns, in batches over threads."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from skmmd._chunked import reduce_blocks, row_blocks
from skmmd.hashing._counts import Counts, count_batch
from skmmd.hashing._digest import N_INDEX, N_SENSITIVE, digest_of_sums
from skmmd.hashing._loops import N_PLACES

__all__ = ["FEATURES", "FeatureSet", "extract", "warn_of_errors"]

_N_SUMS = N_INDEX + N_SENSITIVE
_BATCH = 256


def _sensitive(counts: Counts) -> NDArray[Any]:
    return digest_of_sums(counts.sums)[:, N_INDEX:]


def _index(counts: Counts) -> NDArray[Any]:
    return digest_of_sums(counts.sums)[:, :N_INDEX]


def _all(counts: Counts) -> NDArray[Any]:
    return digest_of_sums(counts.sums)


def _sums(counts: Counts) -> NDArray[Any]:
    return counts.sums[:, N_INDEX:]


def _circular(counts: Counts) -> NDArray[Any]:
    angles = _sensitive(counts) * (2.0 * np.pi / 256.0)
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1)


def _root_of_share(counts: NDArray[np.int64]) -> NDArray[Any]:
    total = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.sqrt(counts / total)


def _histogram(counts: Counts) -> NDArray[Any]:
    return _root_of_share(counts.histogram)


def _bigrams(counts: Counts) -> NDArray[Any]:
    return _root_of_share(counts.bigrams)


def _numbered(name: str, count: int) -> list[str]:
    return [f"{name}{i}" for i in range(count)]


# By name: the function, what it reads, the names of its columns.
FEATURES = {
    "sensitive": (_sensitive, "sums", _numbered("sensitive", N_SENSITIVE)),
    "index": (_index, "sums", _numbered("index", N_INDEX)),
    "all": (_all, "sums", _numbered("index", N_INDEX) + _numbered("sensitive", N_SENSITIVE)),
    "sums": (_sums, "sums", _numbered("sums", N_SENSITIVE)),
    "circular": (
        _circular,
        "sums",
        _numbered("circular_cos", N_SENSITIVE) + _numbered("circular_sin", N_SENSITIVE),
    ),
    "histogram": (_histogram, "histogram", _numbered("histogram", 256)),
    "bigrams": (_bigrams, "bigrams", _numbered("bigrams", N_PLACES)),
}
_DIGEST_FEATURES = ("sensitive", "index", "all")


class FeatureSet:
    """Features to be computed together, in one pass over the bytes.

    Parameters
    ----------
    features : str or sequence of str
        Names from ``FEATURES``.
    dtype : dtype, default=None
        Of the columns; None takes uint8 for bytes of the digest alone, else float32.

    Raises
    ------
    ValueError
        If a name is unknown or comes twice, none is given, or the type cannot hold the values.
    """

    def __init__(self, features: str | Sequence[str], dtype: DTypeLike | None = None) -> None:
        chosen = [features] if isinstance(features, str) else list(features)
        unknown = [name for name in chosen if not isinstance(name, str) or name not in FEATURES]
        if unknown or not chosen or len(set(chosen)) < len(chosen):
            raise ValueError(
                f"features must be one or several different names of {list(FEATURES)}, "
                f"got {features!r}."
            )
        self._chosen = chosen
        self.names = [column for name in chosen for column in FEATURES[name][2]]
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"features={features!r}: 'all' holds 'index' and 'sensitive' already.")
        whole = all(name in _DIGEST_FEATURES for name in chosen)
        smallest = np.uint8 if whole else np.float32
        self.dtype = np.dtype(smallest if dtype is None else dtype)
        if self.dtype.kind not in "fiu" or not np.can_cast(smallest, self.dtype):
            raise ValueError(
                f"dtype={self.dtype} cannot hold features={features!r}; use "
                f"{np.dtype(smallest)}, or a type that holds it."
            )
        self._needs = {FEATURES[name][1] for name in chosen}

    def counts(self, n: int) -> Counts:
        """Return zeros for `n` inputs."""

        def zeros(name: str, width: int) -> NDArray[np.int64]:
            return np.zeros((n, width if name in self._needs else 0), np.int64)

        return Counts(zeros("sums", _N_SUMS), zeros("histogram", 256), zeros("bigrams", N_PLACES))

    def write(self, counts: Counts, out: NDArray[Any]) -> None:
        """Write the columns of a batch to `out`, shape (n, len(names))."""
        start = 0
        for name in self._chosen:
            function, _, columns = FEATURES[name]
            out[:, start : start + len(columns)] = function(counts)
            start += len(columns)


def extract(
    objs: Sequence[Any],
    input: str,
    features: FeatureSet,
    *,
    on_error: str = "raise",
    n_jobs: int | None = None,
    verbose: int = 0,
) -> tuple[NDArray[Any], dict[int, str]]:
    """Read all inputs and return their features, and why a row is zero.

    Parameters
    ----------
    objs : sequence
        The inputs; see :func:`skmmd.hashing._sources.open_source`.
    input : {"content", "filename", "file"}
        What bytes and text are.
    features : FeatureSet
        What to compute.
    on_error : {"raise", "warn"}, default="raise"
        With "warn" an input that cannot be read becomes a row of zeros.
    n_jobs : int, default=None
        Number of threads.
    verbose : int, default=0
        Show a progress bar if positive.

    Returns
    -------
    columns : ndarray of shape (n, n_columns)
        One row for each input.
    errors : dict of int to str
        By row, the reason.
    """
    out = np.zeros((len(objs), len(features.names)), features.dtype)
    if not len(objs):
        return out, {}

    def block_stats(block: slice) -> dict[int, str]:
        rows = range(block.start, block.stop)
        counts = features.counts(len(rows))
        errors = count_batch(objs, rows, input, counts, on_error)
        features.write(counts, out[block])
        out[list(errors)] = 0
        return errors

    # Few inputs may be long: small blocks share them evenly. Of many, blocks begin less often.
    size = -(-len(objs) // (16 if len(objs) < 512 else 8))
    blocks = row_blocks(len(objs), min(_BATCH, size))
    errors = reduce_blocks(
        block_stats, blocks, lambda a, b: a | b, n_jobs=n_jobs, verbose=verbose, desc="hashing"
    )
    return out, errors


def warn_of_errors(errors: dict[int, str], n: int) -> None:
    """Warn that inputs could not be read, if there are any."""
    if errors:
        row, reason = next(iter(errors.items()))
        warnings.warn(
            f"{len(errors)} of {n} inputs could not be read; their rows are zero. The first is "
            f"input {row}: {reason}",
            stacklevel=3,
        )
