"""Files become the columns that another reader finds in them, or a clear error."""

import sys

import numpy as np
import pandas
import polars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skmmd._cli import _tables
from skmmd._cli._tables import Table, pair_samples, read_table


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return str(path)


MIXED = """\
age,name,height,member,score
1,Ann,1.5,true,1e3
2,Bob,,False,-2
NA, ,1.7,TRUE,nan
4,Dan,1.8,false,0.5
"""


def test_text_is_read_as_pandas_reads_it(tmp_path):
    path = write(tmp_path / "mixed.csv", MIXED)
    table = read_table(path)
    frame = pandas.read_csv(path)
    assert list(table.columns) == list(frame.columns)
    for name in ("age", "height", "score"):
        np.testing.assert_array_equal(table.columns[name], frame[name].to_numpy())
    np.testing.assert_array_equal(table.columns["member"], [1.0, 0.0, 1.0, 0.0])
    assert "'Ann'" in table.columns["name"]


@given(
    rows=st.lists(
        st.tuples(*[st.floats(allow_infinity=False)] * 3),
        min_size=1,
        max_size=12,
    ),
    chunk=st.integers(1, 5),
)
def test_numbers_survive_the_way_through_text(tmp_path_factory, rows, chunk):
    """Whatever the size of the chunks that the file is read in."""
    path = tmp_path_factory.mktemp("numbers") / "numbers.csv"
    lines = ["a,b,c", *(",".join(map(repr, row)) for row in rows)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_tables, "_CHUNK", chunk)
        table = read_table(write(path, "\n".join(lines)))
    np.testing.assert_array_equal(np.column_stack(list(table.columns.values())), np.array(rows))


def test_a_word_in_any_chunk_makes_the_column_text(tmp_path, monkeypatch):
    monkeypatch.setattr(_tables, "_CHUNK", 2)
    path = write(tmp_path / "late.csv", "a,b\n1,1\n2,2\n3,x\n4,4\n5,5\n")
    columns = read_table(path).columns
    assert columns["b"] == "it holds 'x'"
    np.testing.assert_array_equal(columns["a"], [1.0, 2.0, 3.0, 4.0, 5.0])


@pytest.mark.parametrize(
    ("name", "text", "delimiter"),
    [
        ("one.txt", "value\n1\n2.5\n-3\n", None),
        ("one.csv", "value\r\n1\r\n2.5\r\n-3\r\n", None),
        ("one.tsv", "value\tname\n1\tx\n2.5\ty\n-3\tz\n", None),
        ("one.csv", "value;name\n1;x\n2.5;y\n-3;z\n", ";"),
        ("one.csv", '\ufeff"value"\n"1"\n" 2.5"\n"-3"\n', None),
        ("one.csv", "value\n1\n\n2.5\n-3\n\n", None),
    ],
)
def test_forms_of_text(tmp_path, name, text, delimiter):
    table = read_table(write(tmp_path / name, text), delimiter=delimiter)
    np.testing.assert_array_equal(table.columns["value"], [1.0, 2.5, -3.0])


def test_a_column_of_row_numbers_without_a_name_is_no_sample(tmp_path):
    frame = pandas.DataFrame({"a": [3.0, 4.0], "b": [5.0, 6.0]})
    frame.to_csv(tmp_path / "index.csv")
    table = read_table(str(tmp_path / "index.csv"))
    samples = pair_samples(table, table)
    assert samples.names == ["a", "b"]
    assert samples.left_out == ["(column 0 without a name)"]


def test_names_counted_by_a_data_frame_are_names(tmp_path):
    pandas.DataFrame([[1.5, 2.5]]).to_csv(tmp_path / "counted.csv", index=False)
    assert list(read_table(str(tmp_path / "counted.csv")).columns) == ["0", "1"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", "", "is empty"),
        ("header.csv", "a,b\n", "no rows below"),
        ("bare.csv", "1.5,2\n3,4\n", r"first line holds numbers \(1.5, 2\)"),
        ("ragged.csv", "a,b\n1,2\n1,2,3\n", "line 3 has 3 cells, but there are 2"),
        ("short.csv", "a,b\n1\n", "line 2 has 1 cells"),
        ("twice.csv", "a,b,a\n1,2,3\n", "several columns named 'a'"),
        ("quote.csv", 'a,b\n"1,2\n', "unexpected end of data"),
        ("data.xlsx", "", "suffix must be one of .csv"),
        ("text.npy", "not an array", "text.npy"),
        ("text.npz", "not an archive", "text.npz"),
        ("text.parquet", "not a table", "text.parquet"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, name, content, message):
    path = write(tmp_path / name, content)
    with pytest.raises(ValueError, match=message) as caught:
        read_table(path)
    assert str(caught.value).startswith(path)


def test_text_that_is_not_utf8(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes("größe\n1\n".encode("latin-1"))
    with pytest.raises(ValueError, match="not text in UTF-8"):
        read_table(str(path))


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npy", "npz"])
def test_missing_files_and_folders(tmp_path, suffix):
    with pytest.raises(ValueError, match=r"nothing\.\w+: No such file"):
        read_table(str(tmp_path / f"nothing.{suffix}"))
    (tmp_path / f"folder.{suffix}").mkdir()
    with pytest.raises(ValueError, match=r"folder\.\w+: Is a directory"):
        read_table(str(tmp_path / f"folder.{suffix}"))


FRAME = {
    "real": [1.5, None, -2.0],
    "whole": [1, 2, 3],
    "flag": [True, False, None],
    "word": ["a", "b", "c"],
}


@pytest.mark.parametrize("reader", ["polars", "pandas"])
@pytest.mark.parametrize("writer", ["polars", "pandas"])
def test_parquet(tmp_path, monkeypatch, reader, writer):
    path = tmp_path / "table.parquet"
    if writer == "polars":
        polars.DataFrame(FRAME).write_parquet(path)
    else:
        pandas.DataFrame(FRAME).astype({"flag": "boolean", "whole": "Int32"}).to_parquet(path)
    if reader == "pandas":
        monkeypatch.setitem(sys.modules, "polars", None)
    else:
        monkeypatch.setattr(pandas, "read_parquet", lambda *_: pytest.fail("pandas was used"))
    columns = read_table(str(path)).columns
    assert list(columns) == list(FRAME)
    np.testing.assert_array_equal(columns["real"], [1.5, np.nan, -2.0])
    np.testing.assert_array_equal(columns["whole"], [1.0, 2.0, 3.0])
    if writer == "polars" and reader == "pandas":
        # pandas has no missing value in its plain booleans and falls back to objects.
        assert isinstance(columns["flag"], str)
    else:
        np.testing.assert_array_equal(columns["flag"], [1.0, 0.0, np.nan])
    assert isinstance(columns["word"], str)


def test_parquet_without_a_reader(tmp_path, monkeypatch):
    path = tmp_path / "table.parquet"
    polars.DataFrame(FRAME).write_parquet(path)
    monkeypatch.setitem(sys.modules, "polars", None)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="pip install polars"):
        read_table(str(path))


@pytest.mark.parametrize("dtype", ["float32", "int16", "bool", "uint8"])
def test_arrays(tmp_path, dtype):
    array = np.array([[0, 1], [1, 1], [1, 0]]).astype(dtype)
    np.save(tmp_path / "rows.npy", array)
    np.savez(tmp_path / "rows.npz", rows=array)
    np.savez(tmp_path / "columns.npz", first=array[:, 0], second=array[:, 1])
    for name, columns in (
        ("rows.npy", ["x0", "x1"]),
        ("rows.npz", ["x0", "x1"]),
        ("columns.npz", ["first", "second"]),
    ):
        table = read_table(str(tmp_path / name))
        assert list(table.columns) == columns
        np.testing.assert_array_equal(np.column_stack(list(table.columns.values())), array)


def test_one_dimensional_arrays_are_one_column(tmp_path):
    np.save(tmp_path / "column.npy", np.arange(4))
    np.testing.assert_array_equal(read_table(str(tmp_path / "column.npy")).columns["x0"], range(4))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2, 2)), r"shape \(2, 2, 2\)"),
        (np.array(["a", "b"]), "type <U1"),
        (np.array(1.0), r"shape \(\)"),
        (np.array([1j]), "complex128"),
    ],
)
def test_arrays_that_are_no_rows(tmp_path, array, message):
    np.save(tmp_path / "wrong.npy", array)
    with pytest.raises(ValueError, match=message):
        read_table(str(tmp_path / "wrong.npy"))


def test_archives_that_are_no_columns(tmp_path):
    np.savez(tmp_path / "two.npz", a=np.zeros((2, 2)), b=np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"holds 2 arrays \('a', 'b'\)"):
        read_table(str(tmp_path / "two.npz"))
    np.savez(tmp_path / "uneven.npz", a=np.zeros(2), b=np.zeros(3))
    with pytest.raises(ValueError, match="different lengths"):
        read_table(str(tmp_path / "uneven.npz"))


def test_pickled_objects_are_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was executed",))

    np.save(tmp_path / "trap.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        read_table(str(tmp_path / "trap.npy"))


# --------------------------------------------------------------------------------------
# two tables as samples


def table(name, **columns):
    return Table(
        name,
        {
            key: values if isinstance(values, str) else np.array(values, dtype=float)
            for key, values in columns.items()
        },
    )


def test_columns_are_matched_by_name():
    samples = pair_samples(table("r", a=[1, 2], b=[3, 4]), table("c", b=[5], a=[6]))
    np.testing.assert_array_equal(samples.rows[0], [[1, 3], [2, 4]])
    np.testing.assert_array_equal(samples.rows[1], [[6, 5]])


def test_columns_can_be_chosen():
    reference = table("r", a=[1, 2], b=[3, 4], word="it holds 'x'")
    samples = pair_samples(reference, table("c", b=[5], other=[6]), columns=["b", "b"])
    assert samples.names == ["b"]
    assert samples.left_out == []
    np.testing.assert_array_equal(samples.rows[0], [[3], [4]])


def test_text_columns_are_left_out_and_named():
    reference = table("r", a=[1], word="it holds 'x'")
    samples = pair_samples(reference, table("c", a=[1], word="it holds 'y'", note="it holds 'z'"))
    assert samples.names == ["a"]
    assert samples.left_out == ["word", "note"]


def test_rows_with_missing_values_are_dropped_and_counted():
    reference = table("r", a=[1, np.nan, 3], b=[np.nan, np.nan, 4])
    current = table("c", a=[5, 6], b=[7, 8])
    samples = pair_samples(reference, current)
    assert samples.dropped == (2, 0)
    np.testing.assert_array_equal(samples.rows[0], [[3, 4]])
    with pytest.raises(ValueError, match="r: 2 of 3 rows have missing values, in 'a', 'b'"):
        pair_samples(reference, current, missing="error")
    # A hole in a column that is not compared costs no row.
    assert pair_samples(reference, current, columns=["a"]).dropped == (1, 0)


@pytest.mark.parametrize(
    ("reference", "current", "columns", "message"),
    [
        (table("r", a=[1], b=[1]), table("c", a=[1], d=[1]), None, "only r has 'b'; only c has"),
        (table("r", a=[1]), table("c", a="it holds 'x'"), None, "c: column 'a' is not numeric"),
        (table("r", a=[1]), table("c", a=[1]), ["z"], "r: there is no column 'z'; it has 'a'"),
        (table("r", w="it holds 'x'"), table("c", w=[1]), ["w"], "r: column 'w' is not numeric"),
        (table("r", w="it holds 'x'"), table("c", w="it holds 'y'"), None, "no numeric column"),
        (table("r", a=[np.nan]), table("c", a=[1]), None, "every row has a missing value"),
    ],
)
def test_tables_that_do_not_match(reference, current, columns, message):
    with pytest.raises(ValueError, match=message):
        pair_samples(reference, current, columns=columns)
