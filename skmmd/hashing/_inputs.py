"""What a caller passed: objects to be hashed, rows of numbers, or digests."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from skmmd.hashing._digest import N_INDEX, N_SENSITIVE
from skmmd.hashing._sources import is_raw

__all__ = ["as_digests", "as_objects", "hash_strings", "parse", "raw_objects"]

ByteArray = NDArray[np.uint8]

N_BYTES = N_INDEX + N_SENSITIVE
_HASH = re.compile(r"[0-9A-Fa-f]{8}:[0-9A-Fa-f]{32}")


def raw_objects(X: Any) -> list[Any] | None:
    """Return the objects to be hashed if `X` is a collection of them, None for rows of numbers.

    A column of objects counts as a collection: a series, an array, or a frame of one column.

    Raises
    ------
    ValueError
        If `X` is one bare object.
    """
    if is_raw(X) and not isinstance(X, np.ndarray):
        raise ValueError(
            f"One {type(X).__name__} was passed where several inputs are expected. Put it in a "
            "list: [obj]."
        )
    if sparse.issparse(X):
        return None  # refused where arrays are checked
    column = X
    if hasattr(X, "columns") and len(X.columns) == 1:
        column = X[X.columns[0]]
    if hasattr(column, "to_list"):
        # Not by way of an array: in NumPy's text zeros at the end would be lost.
        objects = column.to_list()
    elif hasattr(X, "__array__") and not isinstance(X, (list, tuple)):
        values = np.asarray(X)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.dtype.kind == "S":
            raise TypeError(
                "NumPy's arrays of bytes lose zeros at the end of an item, so that its hash would "
                "be wrong. Pass a list, or an array with dtype=object."
            )
        if values.ndim != 1 or values.dtype.kind not in "OUT":
            return None
        objects = values.tolist()
    elif isinstance(X, Iterable):
        objects = X if isinstance(X, (list, tuple)) else list(X)
    else:
        return None
    empty = isinstance(X, (list, tuple)) and not objects
    return list(objects) if empty or any(map(is_raw, objects)) else None


def as_objects(objs: Any) -> list[Any]:
    """Return a collection of objects to be hashed as a list.

    Raises
    ------
    ValueError
        If one bare object was passed.
    TypeError
        If it is no collection of inputs.
    """
    if isinstance(objs, Iterator) and not is_raw(objs):
        objs = list(objs)
    objects = raw_objects(objs)
    if objects is not None:
        return objects
    if hasattr(objs, "__len__") and len(objs) == 0 and np.ndim(objs) == 1:
        return []
    raise TypeError(
        "A list of inputs is expected (bytes, text, paths or open files), got "
        f"{type(objs).__name__}. Rows of numbers are hashed by MMDTVectorizer."
    )


def hash_strings(objects: list[Any]) -> bool:
    """Tell whether all objects are hash strings.

    Raises
    ------
    ValueError
        If only some are.
    """
    which = [isinstance(obj, str) and _HASH.fullmatch(obj) is not None for obj in objects]
    if any(which) and not all(which):
        other = which.index(False)
        raise ValueError(
            f"Input {which.index(True)} is a hash, but input {other} is not: "
            f"{str(objects[other])[:80]!r}. Pass hashes alone, or objects to be hashed alone."
        )
    return all(which)


def parse(strings: list[Any]) -> ByteArray:
    """Return the bytes of hash strings, shape (n, 20)."""
    for place, string in enumerate(strings):
        if not isinstance(string, str) or _HASH.fullmatch(string) is None:
            raise ValueError(
                f"String {place} is not an MMDT hash, 8 hexadecimal digits, a colon, and 32 more: "
                f"{str(string)[:80]!r}."
            )
    joined = bytes.fromhex("".join(strings).replace(":", ""))
    return np.frombuffer(joined, np.uint8).reshape(-1, N_BYTES).copy()


def as_digests(digests: Any, *, columns: tuple[int, ...] = (N_BYTES,)) -> tuple[ByteArray, bool]:
    """Return digests as uint8 rows, and whether it was a single one.

    Parameters
    ----------
    digests : str, list of str, or array-like of shape (n_columns,) or (n, n_columns)
        Hashes, or their bytes as integers from 0 to 255.
    columns : tuple of int
        Which numbers of columns are allowed.

    Raises
    ------
    ValueError
        If they are neither.
    """
    if isinstance(digests, str):
        return parse([digests]), True
    if isinstance(digests, (bytes, bytearray, memoryview)):
        raise ValueError("A digest is an array of bytes or a hash string, not a bytes object.")
    if not hasattr(digests, "__array__"):
        digests = list(digests)
        if not digests or any(isinstance(digest, str) for digest in digests):
            return parse(digests), False
    values = np.asarray(digests)
    if values.dtype.kind in "OUT" and values.ndim == 1:
        return parse(values.tolist()), False
    single = values.ndim == 1
    rows = values.reshape(1, -1) if single else values
    if rows.ndim != 2 or rows.shape[1] not in columns:
        expected = " or ".join(f"(n, {count})" for count in columns)
        raise ValueError(f"Digests have the shape {expected}, got {values.shape}.")
    if rows.dtype != np.uint8:
        if rows.dtype.kind not in "iu" or (rows.size and (rows.min() < 0 or rows.max() > 255)):
            raise ValueError(f"Digests are bytes, integers from 0 to 255; got {rows.dtype} values.")
        rows = rows.astype(np.uint8)
    return np.ascontiguousarray(rows), single
