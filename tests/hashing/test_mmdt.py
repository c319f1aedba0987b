"""The hash itself: the published vectors, the naive twin, and the text form."""

import hashlib
import io
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skmmd.hashing import (
    MMDTVectorizer,
    mmdt_digest,
    mmdt_format,
    mmdt_hash,
    mmdt_parse,
    mmdt_std,
)
from tests import reference
from tests.hashing.vectors import CASES, HASHES, case_name, content_of

EMPTY = "00000000:02020202020202020202020202020202"
# The naive twin takes seconds beyond this; the hashes of larger inputs are compared all the same.
LARGEST_PICTURE = 6_000_000


class Stream(io.RawIOBase):
    """A stream that cannot seek, does not know its length, and gives less than it is asked for."""

    def __init__(self, content, seed=0, largest=1 << 17):
        super().__init__()
        self.content = memoryview(content)
        self.random = random.Random(seed)
        self.largest = largest

    def readable(self):
        return True

    def readinto(self, buffer):
        n = min(len(buffer), len(self.content), self.random.randint(1, self.largest))
        buffer[:n] = self.content[:n]
        self.content = self.content[n:]
        return n


def hash_through_pipe(content):
    """Return the hash of what another thread writes into a pipe."""
    read_end, write_end = os.pipe()

    def write():
        with os.fdopen(write_end, "wb") as file:
            file.write(content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with os.fdopen(read_end, "rb", buffering=0) as file:
            return mmdt_hash(file, input="file")
    finally:
        writer.join()


# --------------------------------------------------------------------------------------
# published vectors


@pytest.fixture(scope="module", params=CASES, ids=case_name)
def case(request):
    """Return a case and its input, which is made once for the tests of this module."""
    return request.param, content_of(request.param["id"])


def test_all_vectors_are_there():
    assert len(CASES) == 52
    assert len({case["name"] for case in CASES}) == 52


def test_vector_of_the_twin(case):
    expected, content = case
    if len(content) > LARGEST_PICTURE:
        pytest.skip("too large for the naive twin")
    pictures = reference.mmdt_pictures(content)
    assert [picture.shape for picture in pictures] == [(16, 16), (64, 64)]
    for picture, n in zip(pictures, (16, 64), strict=True):
        digest = hashlib.sha256(picture.tobytes()).hexdigest()
        assert digest == expected[f"picture{n}_sha256"]
    assert reference.mmdt_hash(content) == expected["hash"]


def test_vector_from_content(case):
    expected, content = case
    assert mmdt_hash(content) == expected["hash"]
    assert mmdt_hash(content, input="content") == expected["hash"]


def test_vector_from_path(case, tmp_path):
    expected, content = case
    path = tmp_path / "content"
    path.write_bytes(content)
    assert mmdt_hash(str(path), input="filename") == expected["hash"]
    assert mmdt_hash(path) == expected["hash"]
    with path.open("rb") as file:
        assert mmdt_hash(file, input="file") == expected["hash"]
    with path.open("rb", buffering=0) as file:
        assert mmdt_hash(file) == expected["hash"]


def test_vector_from_where_the_file_stands(case, tmp_path):
    expected, content = case
    file = io.BytesIO(b"\xffskipped" + content)
    file.seek(8)
    assert mmdt_hash(file, input="file") == expected["hash"]
    assert file.read() == b"", "read to the end"
    path = tmp_path / "content"
    path.write_bytes(b"\xffskipped" + content)
    with path.open("rb") as file:
        assert file.read(8) == b"\xffskipped"
        assert mmdt_hash(file, input="file") == expected["hash"]


def test_vector_from_stream(case):
    expected, content = case
    assert mmdt_hash(Stream(content), input="file") == expected["hash"]
    assert mmdt_hash(io.BufferedReader(Stream(content, seed=1)), input="file") == expected["hash"]


def test_vector_from_pipe(case):
    expected, content = case
    assert hash_through_pipe(content) == expected["hash"]


# --------------------------------------------------------------------------------------
# naive twin

THRESHOLDS = (4096, 8192, 32768, 131072)
SIZES = st.one_of(
    st.integers(0, 300),
    st.tuples(st.sampled_from(THRESHOLDS), st.integers(-257, 257)).map(sum),
    st.integers(301, 150_000),
)


def text(generator, n):
    words = [b"the ", b"of\n", b"return ", b"    ", b"kernel", b"\t", b"0.5, ", b"\xc3\xa9"]
    return b"".join(generator.choices(words, k=n + 1))[:n]


def runs(generator, n):
    content = b""
    while len(content) < n:
        content += bytes([generator.choice((0, 1, 127, 255, generator.randrange(256)))]) * (
            generator.randint(1, max(1, n // 4))
        )
    return content[:n]


CONTENTS = {
    "random": lambda generator, n: generator.randbytes(n),
    "text": text,
    "runs": runs,
    # Block sums near zero, where the absolute value within the sum counts.
    "low": lambda generator, n: bytes(b & 1 for b in generator.randbytes(n)),
    "extremes": lambda generator, n: bytes(255 * (b & 1) for b in generator.randbytes(n)),
}


@st.composite
def contents(draw):
    make = CONTENTS[draw(st.sampled_from(sorted(CONTENTS)))]
    return make(random.Random(draw(st.integers(0, 2**32))), draw(SIZES))


@given(contents())
def test_hash_is_that_of_the_twin(content):
    assert mmdt_hash(content) == reference.mmdt_hash(content)


@given(st.binary(max_size=300))
def test_hash_of_small_contents(content):
    assert mmdt_hash(content) == reference.mmdt_hash(content)


@given(contents(), st.integers(0, 100), st.integers(1, 5000))
def test_streamed_hash_is_that_of_the_twin(content, seed, largest):
    expected = reference.mmdt_hash(content)
    assert mmdt_hash(Stream(content, seed, largest), input="file") == expected


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("kind", sorted(CONTENTS))
def test_hash_around_thresholds(threshold, kind, tmp_path):
    content = CONTENTS[kind](random.Random(threshold), threshold + 257)
    path = tmp_path / "content"
    for excess in (-257, -256, -255, -64, -32, -1, 0, 1, 31, 32, 63, 64, 127, 128, 255, 256, 257):
        part = content[: threshold + excess]
        expected = reference.mmdt_hash(part)
        assert mmdt_hash(part) == expected, excess
        path.write_bytes(part)
        assert mmdt_hash(path) == expected, excess


@pytest.mark.parametrize("size", [2**20, 2**21])
def test_hash_around_the_size_of_a_buffer(size, tmp_path):
    """Long inputs are read in pieces of some power of two, the last of which is short."""
    content = text(random.Random(size), size + 257)
    path = tmp_path / "content"
    for excess in (-257, -256, -1, 0, 1, 255, 256, 257):
        part = content[: size + excess]
        expected = reference.mmdt_hash(part)
        path.write_bytes(part)
        assert mmdt_hash(part) == expected, excess
        assert mmdt_hash(path) == expected, excess
        assert mmdt_hash(Stream(part), input="file") == expected, excess


@given(contents())
def test_unwrapped_sums_are_those_of_the_twin(content):
    """The hash drops the low bits of a sum and wraps it; the sums show all of it."""
    sums = MMDTVectorizer(features="sums").transform([content])
    assert sums.tolist() == [reference.mmdt_sums(content)[4:]]


def test_every_size_up_to_300():
    content = random.Random(0).randbytes(300)
    expected = [reference.mmdt_hash(content[:n]) for n in range(301)]
    assert mmdt_format(mmdt_digest([content[:n] for n in range(301)])) == expected


def test_documented_equalities():
    """Section 1 of the format: padding with zeros up to 4096 bytes, a tail that is left out."""
    assert mmdt_hash(b"") == mmdt_hash(bytes(4096)) == EMPTY
    assert mmdt_hash(b"abc") == mmdt_hash(b"abc" + bytes(3))
    content = random.Random(1).randbytes(131_073 + 300)
    height = len(content) // 256
    assert mmdt_hash(content) == mmdt_hash(content[: height * 256])
    assert mmdt_hash(content) != mmdt_hash(content[: (height - 1) * 256])


# --------------------------------------------------------------------------------------
# digests of many

SMALL = [case for case in CASES if case["length"] <= 500_000]


@pytest.fixture(scope="module")
def small_contents():
    return [content_of(case["id"]) for case in SMALL]


@pytest.mark.parametrize("n_jobs", [None, 1, 2])
def test_digest_rows_are_the_hashes(small_contents, n_jobs):
    digests = mmdt_digest(small_contents, n_jobs=n_jobs)
    assert digests.dtype == np.uint8
    assert digests.shape == (len(SMALL), 20)
    assert digests.flags.c_contiguous
    hashes = [case["hash"] for case in SMALL]
    assert mmdt_format(digests) == hashes
    np.testing.assert_array_equal(digests, mmdt_parse(hashes))
    assert digests.tolist() == [reference.mmdt_digest(content) for content in small_contents]


def mixed_inputs(tmp_path):
    """Return 700 inputs of all sizes and forms, some of which cannot be read, and their hashes."""
    generator = random.Random(4)
    sizes = [0, 1, 300, 4095, 4096, 8193, 40_000, 131_073, 1_500_000]
    made = {n: generator.randbytes(n) for n in sizes}
    expected = {n: reference.mmdt_hash(content) for n, content in made.items()}
    inputs, answers = [], []
    for _ in range(700):
        n = generator.choices(sizes, weights=[9, 9, 9, 9, 9, 9, 9, 3, 1])[0]
        path = tmp_path / str(n)
        if not path.exists():
            path.write_bytes(made[n])
        forms = [made[n], path, io.BytesIO(made[n]), Stream(made[n]), tmp_path / "missing"]
        chosen = generator.randrange(5)
        inputs.append(forms[chosen])
        answers.append(expected[n] if chosen < 4 else "00000000:" + "00" * 16)
    return inputs, answers


@pytest.mark.parametrize("n_jobs", [1, 2, 5])
def test_digest_of_many_mixed_inputs(n_jobs, tmp_path):
    """Rows stay in place in whatever batches and buffers the inputs are gathered."""
    inputs, answers = mixed_inputs(tmp_path)
    with pytest.warns(Warning, match="missing"):
        digests = mmdt_digest(inputs, on_error="warn", n_jobs=n_jobs)
    assert mmdt_format(digests) == answers


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_digest_of_paths(small_contents, n_jobs, tmp_path):
    paths = [tmp_path / str(i) for i in range(len(SMALL))]
    for path, content in zip(paths, small_contents, strict=True):
        path.write_bytes(content)
    digests = mmdt_digest([str(path) for path in paths], input="filename", n_jobs=n_jobs)
    assert mmdt_format(digests) == [case["hash"] for case in SMALL]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_digest_of_files(small_contents, n_jobs):
    files = [io.BytesIO(content) for content in small_contents]
    digests = mmdt_digest(files, input="file", n_jobs=n_jobs)
    assert mmdt_format(digests) == [case["hash"] for case in SMALL]


def test_digest_shows_its_progress(small_contents, capsys):
    mmdt_digest(small_contents[:5])
    assert capsys.readouterr() == ("", "")
    digests = mmdt_digest(small_contents[:5], verbose=1)
    assert "5/5" in capsys.readouterr().err
    assert mmdt_format(digests) == [case["hash"] for case in SMALL[:5]]


def test_digest_does_not_change_what_it_reads():
    content = bytearray(random.Random(2).randbytes(9000))
    before = bytes(content)
    mmdt_digest([content])
    assert content == before


def test_hash_from_several_threads():
    """Hashing leaves nothing behind that another thread could see."""
    generator = random.Random(3)
    inputs = [generator.randbytes(n) for n in (10, 5000, 9000, 40_000, 140_000, 300_000)]
    expected = [reference.mmdt_hash(content) for content in inputs]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(mmdt_hash, inputs * 4)) == expected * 4


# --------------------------------------------------------------------------------------
# text form

DIGESTS = st.lists(st.binary(min_size=20, max_size=20), max_size=8)


def as_array(digests):
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 20)


@given(DIGESTS)
def test_format_and_parse_are_inverse(digests):
    expected = [f"{digest[:4].hex().upper()}:{digest[4:].hex().upper()}" for digest in digests]
    strings = mmdt_format(as_array(digests))
    assert strings == expected
    assert all(type(string) is str for string in strings)
    parsed = mmdt_parse(strings)
    assert parsed.dtype == np.uint8
    assert parsed.shape == (len(digests), 20)
    np.testing.assert_array_equal(parsed, as_array(digests))
    np.testing.assert_array_equal(mmdt_parse([s.lower() for s in strings]), parsed)


@pytest.mark.parametrize("make", [list, tuple, np.array, lambda s: np.array(s, dtype=object)])
def test_parse_takes_sequences(make):
    strings = list(HASHES.values())
    assert mmdt_format(mmdt_parse(make(strings))) == strings


def test_parse_takes_a_series():
    pd = pytest.importorskip("pandas")
    strings = list(HASHES.values())
    series = pd.Series(strings, index=range(100, 100 + len(strings)))
    assert mmdt_format(mmdt_parse(series)) == strings


GOOD = "51030000:D6E26822530202020202020202020202"


@pytest.mark.parametrize(
    "bad",
    [
        "",
        GOOD[:-1],
        GOOD + "0",
        GOOD[:-2],
        GOOD + "00",
        GOOD.replace(":", ""),
        GOOD.replace(":", "") + "0",
        GOOD.replace(":", "-"),
        GOOD.replace(":", " "),
        GOOD.replace(":", "") + ":",
        GOOD[:10].replace(":", "") + ":" + GOOD[10:],
        " " + GOOD[1:],
        GOOD + " ",
        GOOD + chr(10),
        GOOD[:-1] + "G",
        GOOD[:-1] + "-",
        GOOD[:-2] + "0x",
        GOOD[:-2] + " 0",
        GOOD[:-2] + "+1",
        GOOD[:-2] + "_1",
        GOOD[:-2] + "1_",
        GOOD[:-1] + "\N{FULLWIDTH DIGIT ONE}",
        GOOD[:-1] + "\N{ARABIC-INDIC DIGIT ONE}",
        GOOD[:-1] + chr(0),
    ],
)
def test_parse_refuses_what_is_no_hash(bad):
    with pytest.raises(ValueError, match=r"(?i)hash|hex"):
        mmdt_parse([GOOD, bad])


@pytest.mark.parametrize("bad", [GOOD.encode(), 5, None, 1.5, [GOOD], np.zeros(20, np.uint8)])
def test_parse_refuses_other_types(bad):
    with pytest.raises((TypeError, ValueError)):
        mmdt_parse([bad])


@pytest.mark.parametrize("bare", [GOOD, GOOD.encode()])
def test_parse_wants_a_list(bare):
    with pytest.raises(ValueError, match=r"(?i)list"):
        mmdt_parse(bare)


@pytest.mark.parametrize("shape", [(2, 19), (2, 21), (0, 16), (2, 20, 1)])
def test_format_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match="20"):
        mmdt_format(np.zeros(shape, dtype=np.uint8))


@pytest.mark.parametrize("value", [0.5, np.nan, -1.0, 256.0])
def test_format_refuses_what_is_no_byte(value):
    """Such values must not be cut to bytes silently."""
    with pytest.raises((TypeError, ValueError)):
        mmdt_format(np.full((1, 20), value))


@pytest.mark.parametrize("value", [-1, 256])
def test_format_refuses_integers_beyond_bytes(value):
    with pytest.raises((TypeError, ValueError)):
        mmdt_format(np.full((1, 20), value))


@pytest.mark.parametrize("form", ["Fortran", "strided", "reversed", "read-only"])
def test_format_of_other_layouts(form):
    digests = mmdt_parse(list(HASHES.values()))
    if form == "Fortran":
        digests = np.asfortranarray(digests)
    elif form == "strided":
        digests = np.repeat(np.repeat(digests, 2, axis=0), 3, axis=1)[::2, ::3]
    elif form == "reversed":
        digests = np.ascontiguousarray(digests[::-1])[::-1]
    digests.flags.writeable = form != "read-only"
    assert mmdt_format(digests) == list(HASHES.values())


# --------------------------------------------------------------------------------------
# quality figure


@given(st.binary(min_size=20, max_size=20))
def test_std(digest):
    expected = reference.mmdt_std(digest)
    (string,) = mmdt_format(as_array([digest]))
    found = mmdt_std(string)
    assert isinstance(found, float)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert mmdt_std(as_array([digest])[0]) == found


@pytest.mark.parametrize("position", range(20))
def test_std_counts_the_inner_sensitive_bytes_only(position):
    """One odd byte is dropped as the maximum; with a second odd one, that one counts."""
    digest = np.full(20, 7, dtype=np.uint8)
    digest[9] = 200
    assert mmdt_std(digest) == 0.0
    digest[position] = 200
    counts = 6 <= position < 18 and position != 9
    # Ten values, one of which differs from the others by d, deviate by d / sqrt(10).
    assert mmdt_std(digest) == pytest.approx(193 / np.sqrt(10) if counts else 0.0, rel=1e-12)


def test_std_of_the_empty_input():
    assert mmdt_std(EMPTY) == 0.0


def test_std_of_several():
    digests = np.random.default_rng(0).integers(0, 256, (5, 20), dtype=np.uint8)
    expected = [mmdt_std(digest) for digest in digests]
    np.testing.assert_array_equal(mmdt_std(digests), expected)


@pytest.mark.parametrize(
    "bad", ["", GOOD[:-1], np.zeros(19, np.uint8), np.zeros((2, 19), np.uint8)]
)
def test_std_refuses_what_is_no_hash(bad):
    with pytest.raises((TypeError, ValueError)):
        mmdt_std(bad)
