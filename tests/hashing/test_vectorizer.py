"""MMDTVectorizer: each kind of column against plain NumPy, rows of numbers, inputs and fits."""

import array
import gzip
import io
import itertools
import os
import random

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skmmd.hashing import MMDTVectorizer
from tests import reference

KINDS = ("sensitive", "index", "all", "sums", "circular", "histogram", "bigrams")
WIDTHS = dict(zip(KINDS, (16, 4, 20, 16, 32, 256, 1024), strict=True))
each_kind = pytest.mark.parametrize("kind", KINDS)


def root_of_share(counts):
    counts = np.array(counts, float)
    return np.sqrt(counts / max(counts.sum(), 1.0))


def expected_columns(content, kind):
    """Return the columns of one input in double precision, by the naive twins."""
    if kind == "histogram":
        return root_of_share(reference.byte_counts(content))
    if kind == "bigrams":
        return root_of_share(reference.bigram_counts(content))
    sums = np.array(reference.mmdt_sums(content))
    index, sensitive = sums[:4] >> 6 & 255, sums[4:] >> 5 & 255
    angles = 2 * np.pi * sensitive / 256
    return {
        "sensitive": sensitive,
        "index": index,
        "all": np.concatenate([index, sensitive]),
        "sums": sums[4:],
        "circular": np.concatenate([np.cos(angles), np.sin(angles)]),
    }[kind]


def assert_columns(found, contents, kind):
    expected = np.array([expected_columns(content, kind) for content in contents])
    if kind in ("sensitive", "index", "all", "sums"):
        np.testing.assert_array_equal(found, expected)
    else:
        np.testing.assert_allclose(found, expected, rtol=3e-7, atol=3e-8)


@pytest.fixture(scope="module")
def contents():
    generator = random.Random(5)
    made = [b"", b"a", b"ab", bytes(5000), bytes([255]) * 4096, bytes(range(256)) * 40]
    made += [generator.randbytes(n) for n in (3, 100, 4097, 9000)]
    return [*made, b"The quick brown fox jumps over the lazy dog.\n" * 300]


# --------------------------------------------------------------------------------------
# columns


@each_kind
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_columns(kind, n_jobs, contents):
    found = MMDTVectorizer(features=kind, n_jobs=n_jobs).transform(contents)
    assert found.shape == (len(contents), WIDTHS[kind])
    assert found.dtype == (np.uint8 if kind in ("sensitive", "index", "all") else np.float32)
    assert found.flags.c_contiguous
    assert found.flags.writeable
    assert_columns(found, contents, kind)


@pytest.mark.parametrize(
    "kinds",
    [
        *itertools.permutations(["bigrams", "index", "circular"]),
        ("histogram", "sensitive"),
        ("sensitive", "index"),
        ("all",),
        ("sums", "all", "histogram", "bigrams", "circular"),
    ],
)
@pytest.mark.parametrize("make", [list, tuple])
def test_lists_of_kinds_stand_side_by_side(kinds, make, contents):
    found = MMDTVectorizer(features=make(kinds)).fit(contents)
    columns = found.transform(contents)
    alone = [MMDTVectorizer(features=kind).transform(contents) for kind in kinds]
    np.testing.assert_array_equal(columns, np.concatenate(alone, axis=1))
    assert columns.dtype == np.result_type(*alone)
    names = [MMDTVectorizer(features=kind).fit(contents).get_feature_names_out() for kind in kinds]
    assert found.get_feature_names_out().tolist() == np.concatenate(names).tolist()


@each_kind
def test_names(kind):
    names = MMDTVectorizer(features=kind).fit([b""]).get_feature_names_out()
    assert names.dtype == object
    expected = {
        "all": [f"index{i}" for i in range(4)] + [f"sensitive{i}" for i in range(16)],
        "circular": [f"circular_{of}{i}" for of in ("cos", "sin") for i in range(16)],
    }
    assert names.tolist() == expected.get(kind, [f"{kind}{i}" for i in range(WIDTHS[kind])])


def test_names_of_rows_of_numbers():
    vectorizer = MMDTVectorizer(features="index").fit(np.eye(3))
    assert vectorizer.get_feature_names_out(["a", "b", "c"]).tolist() == [
        f"index{i}" for i in range(4)
    ]
    with pytest.raises(ValueError, match="input_features"):
        vectorizer.get_feature_names_out(["a", "b"])


@each_kind
@pytest.mark.parametrize("dtype", [np.float32, np.float64, "float64"])
def test_dtype(kind, dtype, contents):
    found = MMDTVectorizer(features=kind, dtype=dtype).transform(contents)
    assert found.dtype == np.dtype(dtype)
    assert_columns(found, contents, kind)


@pytest.mark.parametrize("kind", ["histogram", "bigrams", "circular"])
def test_double_precision_is_that(kind, contents):
    found = MMDTVectorizer(features=kind, dtype=np.float64).transform(contents)
    expected = [expected_columns(content, kind) for content in contents]
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, np.uint16])
def test_integers_hold_the_bytes_of_the_digest(dtype, contents):
    found = MMDTVectorizer(features="all", dtype=dtype).transform(contents)
    assert found.dtype == dtype
    assert_columns(found, contents, "all")


@pytest.mark.parametrize(
    ("features", "dtype"),
    [
        ("histogram", np.uint8),
        (["sensitive", "circular"], np.int64),
        ("sums", np.uint16),
        ("all", np.int8),  # 128 to 255 would become negative
        ("sensitive", np.complex128),
        ("sensitive", object),
        ("sensitive", "U5"),
    ],
)
def test_types_that_cannot_hold_the_columns(features, dtype):
    with pytest.raises((TypeError, ValueError), match="dtype"):
        MMDTVectorizer(features=features, dtype=dtype).fit_transform([b"\xff" * 5000])


@pytest.mark.parametrize(
    "features",
    ["", "bytes", [], (), ["index", "index"], ["all", "index"], ["sensitive", "all"], ["x"], [1]],
)
def test_unknown_or_doubled_features(features):
    with pytest.raises(ValueError, match="features"):
        MMDTVectorizer(features=features).fit([b"abc"])
    with pytest.raises(ValueError, match="features"):
        MMDTVectorizer(features=features).transform([b"abc"])


@pytest.mark.parametrize("features", [None, 5, {"index"}])
def test_features_of_another_type(features):
    with pytest.raises((TypeError, ValueError), match="features"):
        MMDTVectorizer(features=features).fit([b"abc"])


# --------------------------------------------------------------------------------------
# inputs longer than the buffer


MIB = 1 << 20


@pytest.mark.parametrize("size", [MIB - 1, MIB, MIB + 1, 2 * MIB, 2 * MIB + 1, 3 * MIB + 300])
def test_counts_do_not_break_at_buffers(size, tmp_path):
    """Each pair across a break counts, and none is counted twice; pairs there are rare ones."""
    content = np.random.default_rng(size).integers(0, 100, size).astype(np.uint8)
    for edge in range(MIB, size, MIB):
        content[edge - 1 : edge + 1] = 201 + edge // MIB, 251 - edge // MIB
    pairs = content[:-1].astype(int) << 8 | content[1:]
    places = pairs * 40503 % 65536 >> 6
    path = tmp_path / "content"
    path.write_bytes(content.tobytes())
    features = ["histogram", "bigrams", "sums"]
    found = MMDTVectorizer(features=features, dtype=np.float64).transform(
        [content.tobytes(), path, io.BytesIO(content.tobytes())]
    )
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])
    counts = found[0, :256] ** 2 * size
    np.testing.assert_allclose(counts, np.bincount(content, minlength=256), atol=0.1)
    counts = found[0, 256:1280] ** 2 * (size - 1)
    np.testing.assert_allclose(counts, np.bincount(places, minlength=1024), atol=0.1)
    assert found[0, 1280:].tolist() == reference.mmdt_sums(content.tobytes())[4:]


@pytest.mark.parametrize("kind", ["histogram", "bigrams"])
def test_counts_alone_are_those_beside_sums(kind):
    """Without block sums inputs do not gather in the buffer."""
    generator = random.Random(6)
    sizes = [0, 1, 5000, MIB, 700_000, 600_000, MIB + 5, 3, 4096]
    made = [generator.randbytes(n) for n in sizes]
    alone = MMDTVectorizer(features=kind).transform(made)
    beside = MMDTVectorizer(features=["sums", kind]).transform(made)
    np.testing.assert_array_equal(alone, beside[:, 16:])
    np.testing.assert_allclose((alone.astype(float) ** 2).sum(axis=1)[2:], 1.0, rtol=1e-5)


# --------------------------------------------------------------------------------------
# rows of numbers


def bytes_of_rows(X, low, high):
    return [reference.stretched(reference.signal_bytes(row, low, high)) for row in X]


def assert_signals(X, low, high, kind="all", **parameters):
    """Check a fit on all of X, as a whole and row by row."""
    vectorizer = MMDTVectorizer(features=kind, **parameters).fit(X)
    found = vectorizer.transform(X)
    assert vectorizer.scale_ == (low, high)
    assert vectorizer.n_features_in_ == X.shape[1]
    assert_columns(found, bytes_of_rows(X, low, high), kind)
    for row in range(len(X)):
        np.testing.assert_array_equal(vectorizer.transform(X[row : row + 1]), found[[row]])


@each_kind
def test_rows_are_scaled_over_all_of_them(kind, rng):
    X = rng.normal(size=(5, 40)) * [[1], [2], [10], [0.1], [0]]
    assert_signals(X, X.min(), X.max(), kind)


@pytest.mark.parametrize("n", [1, 2, 3, 64, 1000, 4095, 4096, 4097, 8193])
def test_lengths_of_rows(n, rng):
    """Short rows are stretched to 4096 values; longer ones are hashed as they are."""
    X = rng.normal(size=(3, n)).cumsum(axis=1)
    assert_signals(X, X.min(), X.max())
    assert_signals(X, X.min(), X.max(), "histogram")


@pytest.mark.parametrize(
    "offset_and_width",
    [
        (0.0, 1e-300),
        (1e15, 1e3),
        (-1e15, 1e-2 * 2**10),
        (1e300, 1e290),
        (0.0, 0.1e308),
        (-1e308, 1e307),
        (0.0, 5e-324 * 1000),
    ],
)
def test_offsets_and_ranges(offset_and_width, rng):
    offset, width = offset_and_width
    X = offset + width * rng.uniform(-1, 1, size=(3, 6))
    assert X.min() < X.max()
    assert_signals(X, X.min(), X.max(), "histogram")
    assert_signals(X, X.min(), X.max())


def test_the_whole_range_of_floats():
    """High minus low overflows."""
    largest = np.finfo(float).max
    X = np.array([[-largest, largest, -largest / 2.1, largest / 2.3, 1e300, 5e306, -3e307]])
    assert_signals(X, -largest, largest, "histogram")
    given = MMDTVectorizer(scaling=(np.float64(-largest), np.float64(largest)), features="all")
    assert_columns(given.fit_transform(X), bytes_of_rows(X, -largest, largest), "all")


@pytest.mark.parametrize("value", [0.0, -5.0, 1e308, 255.0, 5e-324])
def test_constant_data_are_zeros(value):
    X = np.full((3, 10), value)
    found = MMDTVectorizer(features="all").fit_transform(X)
    assert_columns(found, [bytes(4096)] * 3, "all")
    given = MMDTVectorizer(features="all", scaling=(value, value)).fit(X)
    assert_columns(given.transform(X + 1), [bytes(4096)] * 3, "all")


@pytest.mark.parametrize("scaling", [(0, 1), (-3.0, 3.0), (-1e-3, 1e9), (-1e308, 1.5e308), (5, 6)])
def test_given_range(scaling, rng):
    X = rng.normal(size=(4, 50))
    vectorizer = MMDTVectorizer(features="histogram", scaling=scaling).fit(X[:1])
    assert vectorizer.scale_ == scaling
    assert_columns(vectorizer.transform(X), bytes_of_rows(X, *scaling), "histogram")


def test_values_beyond_the_learned_range_are_clipped():
    X = np.linspace(-1.0, 1.0, 30).reshape(2, 15)
    vectorizer = MMDTVectorizer(features="histogram").fit(X)
    far = X * [[1e300], [1e5]]
    assert_columns(vectorizer.transform(far), bytes_of_rows(far, -1.0, 1.0), "histogram")


def test_halves_round_to_even():
    """Bytes as floats with a half: rint, not the school's rounding."""
    X = np.arange(20)[None] + 0.5
    vectorizer = MMDTVectorizer(features="histogram", scaling=(0, 255)).fit(X)
    rounded = np.rint(X[0]).astype(np.uint8)
    assert set(rounded % 2) == {0}
    assert_columns(vectorizer.transform(X), [reference.stretched(rounded.tobytes())], "histogram")


@each_kind
@pytest.mark.parametrize("n", [7, 4096, 5000])
def test_bytes_stay_as_they_are(kind, n, rng):
    X = rng.integers(50, 60, size=(3, n), dtype=np.uint8)
    expected = [reference.stretched(row.tobytes()) for row in X]
    for scaling in ("fit", (0.0, 1.0)):
        vectorizer = MMDTVectorizer(features=kind, scaling=scaling)
        assert_columns(vectorizer.fit_transform(X), expected, kind)
    # After a fit on other numbers they are numbers like those.
    vectorizer = MMDTVectorizer(features=kind).fit(X / 7)
    np.testing.assert_array_equal(vectorizer.transform(X), vectorizer.transform(X.astype(float)))


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float32, np.int8, np.int16, np.int64, np.uint16, np.uint64, bool]
)
def test_other_types_of_numbers(dtype, rng):
    X = rng.integers(0, 100, size=(3, 30)).astype(dtype)
    low, high = float(X.min()), float(X.max())
    assert_signals(X, low, high, "histogram")


def test_subsets_and_copies(rng):
    """Neither the other rows nor the layout of the array changes a row."""
    X = rng.normal(size=(20, 33))
    vectorizer = MMDTVectorizer(features=["all", "bigrams"]).fit(X)
    found = vectorizer.transform(X)
    order = rng.permutation(20)
    np.testing.assert_array_equal(vectorizer.transform(X[order]), found[order])
    np.testing.assert_array_equal(vectorizer.transform(np.asfortranarray(X)), found)
    np.testing.assert_array_equal(vectorizer.transform(X.tolist()), found)
    wide = np.repeat(X, 2, axis=1)
    np.testing.assert_array_equal(vectorizer.transform(wide[:, ::2]), found)
    locked = X.copy()
    locked.flags.writeable = False
    np.testing.assert_array_equal(clone(vectorizer).fit(locked).transform(locked), found)
    np.testing.assert_array_equal(clone(vectorizer).fit_transform(X), found)
    np.testing.assert_array_equal(clone(vectorizer).set_params(n_jobs=2).fit_transform(X), found)
    bytes_ = rng.integers(0, 255, (4, 9), np.uint8)
    bytes_.flags.writeable = False
    np.testing.assert_array_equal(
        clone(vectorizer).fit_transform(bytes_), clone(vectorizer).fit_transform(bytes_.copy())
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_missing_and_infinite_numbers(bad):
    X = np.ones((3, 4))
    X[1, 2] = bad
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        MMDTVectorizer().fit(X)
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        MMDTVectorizer().fit(np.ones((3, 4))).transform(X)


@pytest.mark.parametrize(
    "scaling", ["whole", None, 5, (1,), (1, 2, 3), (2, 1), (np.nan, 1), (0, np.inf), ("a", "b")]
)
@pytest.mark.parametrize("X", [np.eye(3), [b"abc"]])
def test_scalings_that_are_no_range(scaling, X):
    with pytest.raises((TypeError, ValueError), match="scaling"):
        MMDTVectorizer(scaling=scaling).fit(X)


# --------------------------------------------------------------------------------------
# frames


@pytest.mark.parametrize("kind", ["numbers", "bytes"])
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_of_numbers(library, kind, rng):
    frames = pytest.importorskip(library)
    X = rng.integers(0, 256, (6, 5), np.uint8)
    X = X if kind == "bytes" else X / 3
    names = list("pqrst")
    columns = dict(zip(names, X.T, strict=True))
    index = {"index": [3, 1, 4, 1, 5, 9]} if library == "pandas" else {}
    frame = frames.DataFrame(columns, **index)
    expected = MMDTVectorizer(features=["index", "circular"]).fit_transform(X)
    vectorizer = MMDTVectorizer(features=["index", "circular"]).set_output(transform=library)
    found = vectorizer.fit_transform(frame)
    assert isinstance(found, frames.DataFrame)
    assert list(found.columns) == list(vectorizer.get_feature_names_out())
    assert vectorizer.feature_names_in_.tolist() == names
    np.testing.assert_array_equal(found.to_numpy(), expected)
    if library == "pandas":
        assert found.index.tolist() == frame.index.tolist()
    with pytest.raises(ValueError, match="feature names"):
        vectorizer.transform(frame[names[::-1]])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_out_of_objects(library, contents):
    """A list has no index of rows, although it has a method of that name."""
    frames = pytest.importorskip(library)
    vectorizer = MMDTVectorizer().set_output(transform=library)
    for X in (contents, np.array(contents, dtype=object), frames.Series(contents)):
        found = vectorizer.fit_transform(X)
        assert isinstance(found, frames.DataFrame)
        assert list(found.columns) == [f"sensitive{i}" for i in range(16)]
        assert_columns(found.to_numpy(), contents, "sensitive")


def test_index_of_a_series_is_kept(contents):
    pd = pytest.importorskip("pandas")
    series = pd.Series(contents, index=range(50, 50 + len(contents)))
    found = MMDTVectorizer().set_output(transform="pandas").fit_transform(series)
    assert found.index.tolist() == series.index.tolist()


TEXTS = ["fox", "dog " * 2000, "", "ä"]


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("name", ["text", "read", "toarray", "dtype", "shape"])
def test_one_column_frames_of_text(library, name):
    """A column is a collection, whatever it is called."""
    frames = pytest.importorskip(library)
    found = MMDTVectorizer().fit_transform(frames.DataFrame({name: TEXTS}))
    assert_columns(found, [text.encode() for text in TEXTS], "sensitive")


@pytest.mark.parametrize("label", ["read", "toarray", "__array__"])
def test_labels_of_rows_are_no_methods(label):
    pd = pytest.importorskip("pandas")
    series = pd.Series(TEXTS, index=[label, "a", "b", "c"])
    assert_columns(MMDTVectorizer().fit_transform(series), [t.encode() for t in TEXTS], "sensitive")
    frame = pd.DataFrame({label: [1.0, 2.0], "other": [3.0, 5.0]})
    np.testing.assert_array_equal(
        MMDTVectorizer().fit_transform(frame), MMDTVectorizer().fit_transform(frame.to_numpy())
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda texts: np.array(texts),
        lambda texts: np.array(texts, dtype=object),
        lambda texts: np.array(texts)[:, None],
        lambda texts: np.array(texts, dtype=object)[:, None],
        *(
            [
                lambda texts: np.array(texts, dtype=np.dtypes.StringDType()),
                lambda texts: np.array(texts, dtype=np.dtypes.StringDType())[:, None],
            ]
            if hasattr(np, "dtypes") and hasattr(np.dtypes, "StringDType")
            else []
        ),
        tuple,
    ],
)
def test_arrays_and_columns_of_text(make):
    expected = [text.encode() for text in TEXTS]
    assert_columns(MMDTVectorizer().fit_transform(make(TEXTS)), expected, "sensitive")


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_zeros_at_the_end_of_a_text_count(library):
    """An array of fixed width would cut them off."""
    frames = pytest.importorskip(library)
    texts = ["ab" * 3000 + chr(0) * 3000, "c", chr(0) * 5000]
    for X in (frames.Series(texts), frames.DataFrame({"text": texts})):
        found = MMDTVectorizer(features="all").fit_transform(X)
        assert_columns(found, [text.encode() for text in texts], "all")


@pytest.mark.parametrize("dtype", ["object", "string", "category"])
def test_series_of_text(dtype):
    pd = pytest.importorskip("pandas")
    expected = [text.encode() for text in TEXTS]
    series = pd.Series(TEXTS, dtype=dtype)
    assert_columns(MMDTVectorizer().fit_transform(series), expected, "sensitive")
    assert_columns(MMDTVectorizer().fit_transform(series.to_frame("t")), expected, "sensitive")


# --------------------------------------------------------------------------------------
# one bare object, generators


@pytest.mark.parametrize(
    "bare",
    [
        "text",
        b"bytes",
        bytearray(b"bytes"),
        memoryview(b"bytes"),
        array.array("B", b"bytes"),
        io.BytesIO(b"bytes"),
        np.str_("text"),
        np.bytes_(b"bytes"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "transform", "fit_transform"])
def test_one_bare_object(bare, method):
    with pytest.raises(ValueError, match="list"):
        getattr(MMDTVectorizer(), method)(bare)


def test_one_bare_path(tmp_path):
    with pytest.raises(ValueError, match="list"):
        MMDTVectorizer().fit(tmp_path)


def test_iterators_are_gone_through_once(contents):
    expected = MMDTVectorizer().transform(contents)
    np.testing.assert_array_equal(MMDTVectorizer().fit_transform(c for c in contents), expected)
    np.testing.assert_array_equal(MMDTVectorizer().transform(iter(contents)), expected)
    rows = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(
        MMDTVectorizer().fit_transform(row for row in rows.tolist()),
        MMDTVectorizer().fit_transform(rows),
    )


def test_open_files_are_read_once(contents):
    """`fit` leaves them where they stand, so that `transform` reads all of them."""
    files = [io.BytesIO(content) for content in contents]
    found = MMDTVectorizer(input="file").fit_transform(files)
    assert_columns(found, contents, "sensitive")


# --------------------------------------------------------------------------------------
# fits


def test_objects_need_no_fit():
    vectorizer = MMDTVectorizer(features="sums")
    assert_columns(vectorizer.transform([b"abc"]), [b"abc"], "sums")
    with pytest.raises(NotFittedError):
        vectorizer.transform(np.eye(3))
    with pytest.raises(NotFittedError):
        vectorizer.get_feature_names_out()


def test_a_transform_of_objects_alone_is_checked_too():
    with pytest.raises(ValueError, match="on_error"):
        MMDTVectorizer(on_error="ignore").transform([b"abc"])
    with pytest.raises(ValueError, match="input"):
        MMDTVectorizer(input="contents").transform([b"abc"])


def test_numbers_after_a_fit_on_objects():
    vectorizer = MMDTVectorizer().fit([b"abc"])
    assert vectorizer.scale_ is None
    with pytest.raises(ValueError, match="fitted on objects"):
        vectorizer.transform(np.eye(3))


def test_numbers_after_a_fit_on_objects_with_a_range(rng):
    X = rng.uniform(size=(2, 9))
    vectorizer = MMDTVectorizer(scaling=(0, 1), features="all").fit([b"abc"])
    assert_columns(vectorizer.transform(X), bytes_of_rows(X, 0, 1), "all")


def test_objects_after_a_fit_on_numbers(rng):
    vectorizer = MMDTVectorizer().fit(rng.normal(size=(3, 5)))
    assert_columns(vectorizer.transform([b"abc"]), [b"abc"], "sensitive")
    assert vectorizer.n_features_in_ == 5


def test_refits_leave_nothing_behind(rng):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(rng.normal(size=(4, 3)), columns=list("abc"))
    vectorizer = MMDTVectorizer().fit(frame)
    assert vectorizer.feature_names_in_.tolist() == list("abc")
    vectorizer.fit(["text", "more"])
    assert not hasattr(vectorizer, "n_features_in_")
    assert not hasattr(vectorizer, "feature_names_in_")
    assert vectorizer.scale_ is None
    wide = rng.normal(size=(2, 7))
    vectorizer.fit(wide)
    assert vectorizer.n_features_in_ == 7
    assert not hasattr(vectorizer, "feature_names_in_")
    assert vectorizer.scale_ == (wide.min(), wide.max())
    with pytest.raises(ValueError, match="features"):
        vectorizer.transform(frame.to_numpy())


def test_a_failed_fit_changes_nothing(rng):
    X = rng.normal(size=(4, 3))
    vectorizer = MMDTVectorizer().fit(X)
    for bad in (np.full((2, 2), np.nan), "bare", np.empty((0, 3))):
        with pytest.raises(ValueError, match=r"NaN|list|minimum"):
            vectorizer.fit(bad)
        assert vectorizer.n_features_in_ == 3
        assert vectorizer.scale_ == (X.min(), X.max())


@pytest.mark.parametrize("X", [np.zeros(5), np.zeros((2, 2, 2)), 5, None, [1, 2], [[]], [None]])
def test_what_is_neither(X):
    with pytest.raises((TypeError, ValueError)):
        MMDTVectorizer().fit(X)


def test_sparse_matrices_are_refused():
    from scipy import sparse

    with pytest.raises(TypeError, match=r"[Ss]parse"):
        MMDTVectorizer().fit(sparse.csr_array(np.eye(3)))


# --------------------------------------------------------------------------------------
# errors of single inputs


@pytest.mark.parametrize("features", ["all", "circular", ["histogram", "sums"]])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_unreadable_inputs_are_rows_of_zeros(features, n_jobs, tmp_path):
    """The cosine of a zero byte is 1, yet here all columns are zero."""
    good = tmp_path / "good"
    good.write_bytes(b"abc" * 3000)
    X = [good] * 40
    X[3], X[17], X[39] = tmp_path / "missing", tmp_path, 3.5
    vectorizer = MMDTVectorizer(features=features, on_error="warn", n_jobs=n_jobs)
    with pytest.warns(UserWarning, match="3 of 40") as caught:
        found = vectorizer.fit_transform(X)
    assert caught[0].filename
    assert len(caught) == 1
    assert sorted(vectorizer.errors_) == [3, 17, 39]
    for row, word in ((3, "missing"), (17, "directory"), (39, "float")):
        assert word in vectorizer.errors_[row]
    alone = MMDTVectorizer(features=features).transform([good])
    expected = np.repeat(alone, 40, axis=0)
    expected[[3, 17, 39]] = 0
    np.testing.assert_array_equal(found, expected)


def test_errors_are_those_of_the_last_call(tmp_path):
    vectorizer = MMDTVectorizer(on_error="warn").fit([b"abc"])
    assert vectorizer.errors_ == {}
    with pytest.warns(UserWarning, match="1 of 2"):
        vectorizer.transform([tmp_path / "missing", b"abc"])
    assert list(vectorizer.errors_) == [0]
    vectorizer.transform([b"abc"])
    assert vectorizer.errors_ == {}
    with pytest.warns(UserWarning, match="1 of 2"):
        vectorizer.transform([tmp_path / "missing", b"abc"])
    vectorizer.fit([b"abc"])
    assert vectorizer.errors_ == {}


def test_numbers_have_no_errors(tmp_path):
    vectorizer = MMDTVectorizer(on_error="warn").fit(np.eye(3))
    with pytest.warns(UserWarning, match="1 of 1"):
        vectorizer.transform([tmp_path / "missing"])
    vectorizer.transform(np.eye(3))
    assert vectorizer.errors_ == {}


def test_an_error_names_the_input(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        MMDTVectorizer().fit_transform([b"a", b"b", tmp_path / "missing"])
    assert any("input 2 of 3" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("column", [False, True])
def test_arrays_that_lose_zeros_are_refused(column):
    contents = np.array([b"a\0\0", b"bc"])
    with pytest.raises(TypeError, match="dtype=object"):
        MMDTVectorizer().transform(contents[:, None] if column else contents)


def test_empty_lists():
    assert MMDTVectorizer().transform([]).shape == (0, 16)
    assert MMDTVectorizer(features="bigrams").fit([b"a"]).transform([]).shape == (0, 1024)


def test_errors_of_streams_are_of_any_kind(tmp_path):
    class Broken(io.RawIOBase):
        def readable(self):
            return True

        def readinto(self, buffer):
            raise RuntimeError("no such thing")

    (tmp_path / "cut.gz").write_bytes(gzip.compress(bytes(range(256)) * 3000)[:-9])
    vectorizer = MMDTVectorizer(on_error="warn")
    with gzip.open(tmp_path / "cut.gz") as cut:
        inputs = [b"fine", cut, Broken()]
        with pytest.warns(UserWarning, match="2 of 3"):
            columns = vectorizer.transform(inputs)
    np.testing.assert_array_equal(columns[:1], MMDTVectorizer().transform([b"fine"]))
    assert not columns[1:].any()
    assert "EOFError" in vectorizer.errors_[1]
    assert vectorizer.errors_[2] == "RuntimeError: no such thing"


def test_errors_of_reading_name_the_file():
    if not os.path.exists("/proc/self/mem"):
        pytest.skip("no such file here")
    with pytest.raises(OSError, match="/proc/self/mem"):
        MMDTVectorizer("filename").transform(["/proc/self/mem"])
