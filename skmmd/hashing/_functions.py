"""MMDT as functions: hashes and digests of objects, and similarities of digests."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy import sparse

from skmmd._validation import Integral, Interval, Real, StrOptions, validate_params
from skmmd.hashing._counts import count_batch
from skmmd.hashing._digest import N_INDEX, N_SENSITIVE, digest_of_sums
from skmmd.hashing._features import FeatureSet, extract, warn_of_errors
from skmmd.hashing._inputs import N_BYTES, as_digests, as_objects, parse
from skmmd.hashing._similarity import (
    METRICS,
    largest_distance,
    near_pairs,
    sensitive_bytes,
    similarity_matrix,
    to_similarity,
)
from skmmd.hashing._sources import INPUTS

__all__ = [
    "mmdt_digest",
    "mmdt_format",
    "mmdt_hash",
    "mmdt_pairs",
    "mmdt_parse",
    "mmdt_similarity",
    "mmdt_std",
]

ByteArray = NDArray[np.uint8]

_BYTES = FeatureSet("all")
_EITHER = (N_SENSITIVE, N_BYTES)


def mmdt_hash(obj: Any, *, input: str = "content") -> str:
    """Compute the MMDT hash of one input.

    Parameters
    ----------
    obj : bytes-like, str, path-like or binary file object
        What to hash. A path-like object is always read, in constant memory, and so is a file
        object, to its end from where it stands.
    input : {"content", "filename", "file"}, default="content"
        What bytes and text are: the content itself (text as UTF-8), or the name of a file. With
        "file" they are an error.

    Returns
    -------
    str
        The hash, as python-mmdt prints it: 8 hexadecimal digits of the index, a colon, and 32 of
        the sensitive bytes.

    Raises
    ------
    OSError
        If a file cannot be read.
    TypeError
        If `obj` is of another type, or a file that is open as text.
    ValueError
        If `input` is unknown, or a file changed its length while it was read.

    See Also
    --------
    mmdt_digest : The bytes of the hashes of many inputs.
    mmdt_similarity : How similar two hashes are.

    Examples
    --------
    >>> from skmmd.hashing import mmdt_hash
    >>> mmdt_hash(b"MMDT " * 2000)
    '43434344:1A1B1A1A1B1B1A1A1B1B1A1A1B1A1A1A'
    """
    if input not in INPUTS:
        raise ValueError(f"input must be one of {INPUTS}, got {input!r}.")
    counts = _BYTES.counts(1)
    count_batch([obj], range(1), input, counts)
    return _format(digest_of_sums(counts.sums)[0])


def _format(digest: ByteArray) -> str:
    text = digest.tobytes().hex().upper()
    return f"{text[: 2 * N_INDEX]}:{text[2 * N_INDEX :]}"


@validate_params(
    {
        "objs": "no_validation",
        "input": [StrOptions(set(INPUTS))],
        "on_error": [StrOptions({"raise", "warn"})],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def mmdt_digest(
    objs: Iterable[Any],
    *,
    input: str = "content",
    on_error: str = "raise",
    n_jobs: int | None = None,
    verbose: int = 0,
) -> ByteArray:
    """Compute the bytes of the MMDT hashes of many inputs.

    Parameters
    ----------
    objs : iterable
        The inputs, each as in :func:`mmdt_hash`: a list, a series, an array of objects, ...
    input : {"content", "filename", "file"}, default="content"
        What bytes and text are, as in :func:`mmdt_hash`.
    on_error : {"raise", "warn"}, default="raise"
        What to do about an input that cannot be read: raise, or warn and give a row of zeros.
    n_jobs : int, default=None
        Number of threads.
    verbose : int, default=0
        Show a progress bar if positive.

    Returns
    -------
    ndarray of shape (n_inputs, 20), dtype uint8
        In each row 4 index bytes and 16 sensitive bytes, in the order of the hash string.

    Raises
    ------
    ValueError
        If one bare object was passed instead of several.
    TypeError, OSError
        As in :func:`mmdt_hash`, with ``on_error="raise"``.

    Examples
    --------
    >>> from skmmd.hashing import mmdt_digest
    >>> mmdt_digest([b"", b"abc"])[:, 4:7]
    array([[ 2,  2,  2],
           [11,  2,  2]], dtype=uint8)
    """
    digests, errors = extract(
        as_objects(objs), input, _BYTES, on_error=on_error, n_jobs=n_jobs, verbose=verbose
    )
    warn_of_errors(errors, len(digests))
    return digests


def mmdt_parse(strings: Iterable[str]) -> ByteArray:
    """Turn hash strings into bytes.

    Parameters
    ----------
    strings : iterable of str
        Hashes such as ``"51030000:D6E26822530202020202020202020202"``; small letters will do.

    Returns
    -------
    ndarray of shape (n_hashes, 20), dtype uint8
        The digests.

    Raises
    ------
    ValueError
        If one bare string was passed, or one of the strings is not a hash.

    See Also
    --------
    mmdt_format : The way back.

    Examples
    --------
    >>> from skmmd.hashing import mmdt_parse
    >>> mmdt_parse(["51030000:D6E26822530202020202020202020202"])[0, :6]
    array([ 81,   3,   0,   0, 214, 226], dtype=uint8)
    """
    if isinstance(strings, (str, bytes)):
        raise ValueError("mmdt_parse takes several strings; put this one in a list: [string].")
    return parse(list(strings))


def mmdt_format(digests: ArrayLike) -> list[str]:
    """Turn the bytes of hashes into strings.

    Parameters
    ----------
    digests : array-like of shape (n_digests, 20)
        From :func:`mmdt_digest` or :func:`mmdt_parse`.

    Returns
    -------
    list of str
        The hashes.

    Raises
    ------
    ValueError
        If the shape is another, or a value is no byte.

    Examples
    --------
    >>> from skmmd.hashing import mmdt_digest, mmdt_format
    >>> mmdt_format(mmdt_digest([b"abc"]))
    ['00000000:0B020202020202020202020202020202']
    """
    return [_format(row) for row in as_digests(digests)[0]]


@validate_params(
    {
        "a": "no_validation",
        "b": "no_validation",
        "metric": [StrOptions(set(METRICS))],
        "dtype": "no_validation",
        "n_jobs": [Integral, None],
    },
    prefer_skip_nested_validation=True,
)
def mmdt_similarity(
    a: str | ArrayLike,
    b: str | ArrayLike | None = None,
    *,
    metric: str = "mmdt",
    dtype: DTypeLike = np.float64,
    n_jobs: int | None = None,
) -> float | NDArray[Any]:
    r"""Compute how similar hashes are, from 0 to 1.

    Parameters
    ----------
    a : str, iterable of str, or array-like of shape (20,) or (n_a, 20)
        One hash or several, as strings or digests. Sensitive bytes alone (16 columns) will do.
    b : str, iterable of str, or array-like, default=None
        Likewise; None compares each of `a` with each of `a`.
    metric : {"mmdt", "manhattan", "circular"}, default="mmdt"
        With differences :math:`d` of the 16 sensitive bytes: "mmdt" is
        :math:`1 - \sqrt{\sum d^2} / 1020`, the similarity of python-mmdt since 0.0.3;
        "manhattan" is :math:`1 - \sum |d| / 4080`, that of 0.0.2; "circular" is
        :math:`1 - \sum \min(|d|, 256 - |d|) / 2048`, which knows that these bytes wrap around.
    dtype : {float64, float32}, default=float64
        Type of a matrix.
    n_jobs : int, default=None
        Number of threads.

    Returns
    -------
    float or ndarray of shape (n_a, n_b)
        A float for one hash beside one, else a matrix.

    Raises
    ------
    ValueError
        If a string is not a hash, or an array has another shape or no bytes.

    See Also
    --------
    mmdt_pairs : The similar pairs alone, without the matrix.

    Notes
    -----
    The index bytes do not enter. Files that have nothing to do with each other are about .6
    similar, and one of a hundred such pairs about .9, so that only values above that mean
    anything.

    Examples
    --------
    >>> from skmmd.hashing import mmdt_hash, mmdt_similarity
    >>> text = b"The quick brown fox jumps over the lazy dog. " * 200
    >>> mmdt_similarity(mmdt_hash(text), mmdt_hash(text.replace(b"fox", b"cat")))
    0.98519...
    """
    if np.dtype(dtype) not in (np.float64, np.float32):
        raise ValueError(f"dtype must be float64 or float32, got {np.dtype(dtype)}.")
    rows, single = as_digests(a, columns=_EITHER)
    columns, both = as_digests(a if b is None else b, columns=_EITHER)
    matrix = similarity_matrix(
        sensitive_bytes(rows), sensitive_bytes(columns), metric, dtype, n_jobs
    )
    return float(matrix[0, 0]) if single and both else matrix


@validate_params(
    {
        "digests": "no_validation",
        "threshold": [Interval(Real, 0, 1, closed="both")],
        "metric": [StrOptions(set(METRICS))],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    },
    prefer_skip_nested_validation=True,
)
def mmdt_pairs(
    digests: Iterable[str] | ArrayLike,
    *,
    threshold: float = 0.95,
    metric: str = "mmdt",
    n_jobs: int | None = None,
    verbose: int = 0,
) -> sparse.csr_array:
    """Find all pairs of similar hashes, without the matrix of all similarities.

    Parameters
    ----------
    digests : iterable of str, or array-like of shape (n_digests, 20)
        Hashes as strings or digests. Sensitive bytes alone (16 columns) will do.
    threshold : float, default=0.95
        Smallest similarity that counts.
    metric : {"mmdt", "manhattan", "circular"}, default="mmdt"
        As in :func:`mmdt_similarity`.
    n_jobs : int, default=None
        Number of threads.
    verbose : int, default=0
        Show a progress bar if positive.

    Returns
    -------
    scipy.sparse.csr_array of shape (n_digests, n_digests)
        Similarities above the diagonal, in each row in the order of the columns. A pair at the
        threshold is in it, also if its similarity is 0.

    Raises
    ------
    ValueError
        If a string is not a hash, or an array has another shape or no bytes.

    See Also
    --------
    mmdt_similarity : The whole matrix.
    MMDTIndex : Neighbours of further hashes.

    Notes
    -----
    Memory grows with the number of pairs that are found. The groups of near-duplicates are the
    connected components, ``scipy.sparse.csgraph.connected_components(pairs, directed=False)``.

    Examples
    --------
    >>> from skmmd.hashing import mmdt_digest, mmdt_pairs
    >>> text = b"The quick brown fox jumps over the lazy dog. " * 200
    >>> digests = mmdt_digest([text, bytes(9000), text.replace(b"fox", b"cat")])
    >>> print(mmdt_pairs(digests).toarray().round(3))
    [[0.    0.    0.985]
     [0.    0.    0.   ]
     [0.    0.    0.   ]]
    """
    rows, single = as_digests(digests, columns=_EITHER)
    if single:
        raise ValueError("mmdt_pairs takes several digests, got a single one.")
    limit = largest_distance(threshold, metric)
    pairs = near_pairs(sensitive_bytes(rows), limit, metric, n_jobs=n_jobs, verbose=verbose)
    n = len(rows)
    starts = np.searchsorted(pairs[:, 0], np.arange(n + 1))
    values = to_similarity(pairs[:, 2], metric)
    return sparse.csr_array((values, pairs[:, 1].copy(), starts), shape=(n, n))


def mmdt_std(hash_or_digest: str | ArrayLike) -> float | NDArray[np.float64]:
    """Compute how much a hash tells: the spread of its middle bytes.

    Parameters
    ----------
    hash_or_digest : str, or array-like of shape (20,)
        One hash; several, as strings or of shape (n_digests, 20), give an array.

    Returns
    -------
    float, or ndarray of shape (n_digests,)
        The sample standard deviation of the sensitive bytes 2 to 13, without the largest and the
        smallest of them. Below 10 the hash tells too little to be compared: such are those of
        short and constant files, and of compressed and encrypted ones from about 100 KB on.

    Raises
    ------
    ValueError
        If a string is not a hash, or an array has another shape or no bytes.

    Examples
    --------
    >>> from skmmd.hashing import mmdt_hash, mmdt_std
    >>> mmdt_std(mmdt_hash(b"short"))
    0.0
    """
    rows, single = as_digests(hash_or_digest)
    middle = np.sort(rows[:, N_INDEX + 2 : N_INDEX + 14], axis=1)[:, 1:-1]
    found = middle.astype(np.float64).std(axis=1, ddof=1)
    return float(found[0]) if single else found
