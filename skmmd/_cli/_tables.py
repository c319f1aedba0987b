"""Files as tables of numeric columns, and two of them as samples with the same columns."""

import csv
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Samples", "Table", "pair_samples", "read_table"]

FloatArray = NDArray[np.float64]

# Rows of text that are turned into numbers at a time: Python's strings take much memory.
_CHUNK = 50_000
_WORDS = {
    **dict.fromkeys(["", "na", "n/a", "nan", "null", "none"], "nan"),
    "true": "1",
    "false": "0",
}


@dataclass(frozen=True)
class Table:
    """What a file holds.

    Attributes
    ----------
    path : str
        The file.
    columns : dict of str to ndarray of shape (n_rows,) or str
        The values, NaN where missing; for a column that is not numeric, a few words on why.
    """

    path: str
    columns: dict[str, FloatArray | str]


@dataclass(frozen=True)
class Samples:
    """Two samples with the same columns, without missing values.

    Attributes
    ----------
    names : list of str
        Names of the columns.
    left_out : list of str
        Columns that are not numeric in either file.
    rows : tuple of two ndarray of shape (n_rows, n_columns)
        The samples.
    dropped : tuple of two int
        Number of rows that were left out for a missing value.
    """

    names: list[str]
    left_out: list[str]
    rows: tuple[FloatArray, FloatArray]
    dropped: tuple[int, int]


def read_table(path: str, *, delimiter: str | None = None) -> Table:
    """Read a file by its suffix.

    Parameters
    ----------
    path : str
        A ``.csv``, ``.tsv`` or ``.txt`` file whose first line names the columns, or a ``.parquet``,
        ``.npy`` or ``.npz`` file.
    delimiter : str, default=None
        What separates the columns of text; None is a tab for ``.tsv``, else a comma.

    Returns
    -------
    Table
        Its columns.

    Raises
    ------
    ValueError
        If the file is missing or can't be read as what its suffix says.
    """
    suffix = Path(path).suffix.lower()
    readers: dict[str, Callable[[], dict[str, FloatArray | str]]] = {
        **dict.fromkeys([".csv", ".txt"], lambda: _read_text(path, delimiter or ",")),
        **dict.fromkeys([".tsv", ".tab"], lambda: _read_text(path, delimiter or "\t")),
        **dict.fromkeys([".parquet", ".pq"], lambda: _read_parquet(path)),
        **dict.fromkeys([".npy", ".npz"], lambda: _read_numpy(path)),
    }
    if suffix not in readers:
        raise ValueError(f"{path}: the suffix must be one of {', '.join(readers)}.")
    try:
        with open(path, "rb"):  # the same message for a missing file, whoever reads it
            pass
        return Table(path, readers[suffix]())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not text in UTF-8 ({error.reason}).") from error
    except (ValueError, EOFError, csv.Error, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: {error}") from error


def _read_text(path: str, delimiter: str) -> dict[str, FloatArray | str]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file, delimiter=delimiter, strict=True)
        names = [name.strip() for name in next(lines, [])]
        _check_header(names)
        unnamed = [f"(column {place} without a name)" for place in range(len(names))]
        names = [name or stand_in for name, stand_in in zip(names, unnamed, strict=True)]
        chunks: list[list[FloatArray | str]] = [[] for _ in names]
        records = _records(lines, len(names))
        while block := list(islice(records, _CHUNK)):
            for chunk, cells in zip(chunks, zip(*block, strict=True), strict=True):
                if not (chunk and isinstance(chunk[-1], str)):
                    chunk.append(_numbers(cells))
    if not chunks[0]:
        raise ValueError("there are no rows below the line of column names.")
    return {
        # A column without a name is mostly the row numbers that a data frame was written with.
        name: "it has no name" if name in unnamed else _joined(chunk)
        for name, chunk in zip(names, chunks, strict=True)
    }


def _records(lines: Any, n_columns: int) -> Iterator[list[str]]:
    for record in lines:
        if not record:  # a blank line
            continue
        if len(record) != n_columns:
            raise ValueError(
                f"line {lines.line_num} has {len(record)} cells, but there are {n_columns} column "
                "names. Is the delimiter right (--delimiter)?"
            )
        yield record


def _check_header(names: list[str]) -> None:
    if not any(names):
        raise ValueError("is empty; expected a line of column names, and rows below.")
    counted = names == [str(place) for place in range(len(names))]  # by a data frame
    if not counted and all(isinstance(_numbers([name]), np.ndarray) for name in names if name):
        raise ValueError(
            f"the first line holds numbers ({', '.join(names[:3])}); expected column names there."
        )
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise ValueError(f"has several columns named {_listed(twice)}; names must differ.")


def _numbers(cells: Sequence[str]) -> FloatArray | str:
    """Return text as numbers, or which cell is none."""
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        pass
    values = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            values[row] = float(_WORDS.get(cell.strip().lower(), cell))
        except ValueError:
            return f"it holds {cell!r}"
    return values


def _joined(chunk: list[FloatArray | str]) -> FloatArray | str:
    last = chunk[-1]
    return last if isinstance(last, str) else np.concatenate(chunk)


def _read_parquet(path: str) -> dict[str, FloatArray | str]:
    try:
        import polars
    except ImportError:
        return _read_parquet_by_pandas(path)
    try:
        frame = polars.read_parquet(path)
    except polars.exceptions.PolarsError as error:
        raise ValueError(str(error)) from error
    return {
        column.name: column.cast(polars.Float64).fill_null(float("nan")).to_numpy()
        if column.dtype.is_numeric() or column.dtype == polars.Boolean
        else f"its type is {column.dtype}"
        for column in frame
    }


def _read_parquet_by_pandas(path: str) -> dict[str, FloatArray | str]:
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "Parquet files need polars or pandas. Install one with: pip install polars"
        ) from error
    frame = pandas.read_parquet(path)
    return {
        str(name): column.to_numpy(dtype=np.float64, na_value=np.nan)
        if pandas.api.types.is_numeric_dtype(column.dtype)
        else f"its type is {column.dtype}"
        for name, column in frame.items()
    }


def _read_numpy(path: str) -> dict[str, FloatArray | str]:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return _array_columns(loaded)
    with loaded:
        arrays = {name: loaded[name] for name in loaded.files}
    if len(arrays) == 1:
        return _array_columns(next(iter(arrays.values())))
    if arrays and all(array.ndim == 1 for array in arrays.values()):
        if len({len(array) for array in arrays.values()}) > 1:
            raise ValueError("holds 1-D arrays of different lengths, which are no columns.")
        return {
            name: values
            for name, array in arrays.items()
            for values in _array_columns(array).values()
        }
    raise ValueError(
        f"holds {len(arrays)} arrays ({_listed(list(arrays))}); expected one, or 1-D arrays that "
        "are the columns."
    )


def _array_columns(array: NDArray[Any]) -> dict[str, FloatArray | str]:
    if array.ndim not in (1, 2) or array.dtype.kind not in "biuf":
        raise ValueError(
            f"holds an array of shape {array.shape} and type {array.dtype}; expected rows of "
            "numbers, in one or two dimensions."
        )
    rows = array.reshape(len(array), -1).astype(np.float64)
    return {f"x{number}": rows[:, number] for number in range(rows.shape[1])}


def pair_samples(
    reference: Table,
    current: Table,
    *,
    columns: Sequence[str] | None = None,
    missing: str = "drop",
) -> Samples:
    """Return the rows of two tables in the columns that they share.

    Parameters
    ----------
    reference, current : Table
        The tables; the order of their columns may differ.
    columns : sequence of str, default=None
        Which columns; None takes all that are numeric.
    missing : {"drop", "error"}, default="drop"
        What becomes of rows with missing values.

    Returns
    -------
    Samples
        The rows.

    Raises
    ------
    ValueError
        If the tables differ in their columns, no numeric column or no row is left, or values are
        missing and `missing` is "error".
    """
    if columns is None:
        kept, left_out = _numeric_names(reference, current)
    else:
        kept, left_out = list(dict.fromkeys(columns)), []
        for table in (reference, current):
            for name in kept:
                _check_numeric(table, name)
    if not kept:
        raise ValueError(
            f"There is no numeric column to compare; not numeric: {_listed(left_out)}. Is the "
            "delimiter right (--delimiter)?"
        )
    reference_rows, reference_dropped = _complete_rows(reference, kept, missing)
    current_rows, current_dropped = _complete_rows(current, kept, missing)
    return Samples(
        kept, left_out, (reference_rows, current_rows), (reference_dropped, current_dropped)
    )


def _numeric_names(reference: Table, current: Table) -> tuple[list[str], list[str]]:
    """Return the columns that are numeric in both tables, and those that are so in neither."""
    kept: list[str] = []
    left_out: list[str] = []
    for name in dict.fromkeys([*reference.columns, *current.columns]):
        values = (table.columns.get(name, "missing") for table in (reference, current))
        neither = all(isinstance(found, str) for found in values)
        (left_out if neither else kept).append(name)
    differences = [
        f"only {one.path} has {_listed(lone)}"
        for one, other in ((reference, current), (current, reference))
        if (lone := [name for name in kept if name not in other.columns])
    ]
    if differences:
        raise ValueError(
            f"The columns differ: {'; '.join(differences)}. Name the columns to compare with "
            "--columns."
        )
    for table in (reference, current):
        for name in kept:
            _check_numeric(table, name)
    return kept, left_out


def _check_numeric(table: Table, name: str) -> None:
    if name not in table.columns:
        raise ValueError(
            f"{table.path}: there is no column {name!r}; it has {_listed(list(table.columns))}."
        )
    values = table.columns[name]
    if isinstance(values, str):
        raise ValueError(
            f"{table.path}: column {name!r} is not numeric ({values:.60}). Name the columns to "
            "compare with --columns."
        )


def _complete_rows(table: Table, names: list[str], missing: str) -> tuple[FloatArray, int]:
    rows = np.column_stack([table.columns[name] for name in names]).astype(np.float64)
    holes = np.isnan(rows)
    incomplete = holes.any(axis=1)
    n_dropped = int(incomplete.sum())
    if n_dropped == 0:
        return rows, 0
    where = _listed([name for name, column in zip(names, holes.T, strict=True) if column.any()])
    if missing == "error":
        raise ValueError(
            f"{table.path}: {n_dropped} of {len(rows)} rows have missing values, in {where}."
        )
    if n_dropped == len(rows):
        raise ValueError(
            f"{table.path}: every row has a missing value, in {where}. Leave columns out with "
            "--columns."
        )
    return rows[~incomplete], n_dropped


def _listed(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more
