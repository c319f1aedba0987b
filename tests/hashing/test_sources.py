"""Where bytes come from: every kind of input, and the error of each that cannot be read."""

import array
import errno
import gzip
import io
import mmap
import os
import random
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from skmmd.hashing import mmdt_digest, mmdt_format, mmdt_hash
from tests import reference

CONTENT = random.Random(11).randbytes(10_000)
HASH = reference.mmdt_hash(CONTENT)
OTHER = random.Random(12).randbytes(40_000)
LARGE = random.Random(13).randbytes(700_001)
EMPTY = reference.mmdt_hash(b"")

needs_posix = pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX only")


@pytest.fixture
def path(tmp_path):
    """Return the path of a file that holds CONTENT."""
    path = tmp_path / "content.bin"
    path.write_bytes(CONTENT)
    return path


def hashes(objs, **parameters):
    return mmdt_format(mmdt_digest(objs, **parameters))


# --------------------------------------------------------------------------------------
# contents

EXPANDED = np.repeat(np.frombuffer(CONTENT, dtype=np.uint8), 3)
BYTES_LIKE = {
    "bytes": CONTENT,
    "bytearray": bytearray(CONTENT),
    "memoryview": memoryview(CONTENT),
    "part of a memoryview": memoryview(b"\xff" + CONTENT + b"\xff")[1:-1],
    "strided memoryview": memoryview(EXPANDED)[::3],
    "reversed memoryview": memoryview(CONTENT[::-1])[::-1],
    "memoryview of two dimensions": memoryview(CONTENT).cast("B", (100, 100)),
    "memoryview of int8": memoryview(CONTENT).cast("b"),
    "array of the standard library": array.array("B", CONTENT),
    "array": np.frombuffer(CONTENT, dtype=np.uint8),
    "writable array": np.frombuffer(CONTENT, dtype=np.uint8).copy(),
    "strided array": EXPANDED[::3],
    "reversed array": np.frombuffer(CONTENT[::-1], dtype=np.uint8)[::-1],
}
each_bytes_like = pytest.mark.parametrize("kind", BYTES_LIKE)


@each_bytes_like
def test_bytes_like(kind):
    assert mmdt_hash(BYTES_LIKE[kind]) == HASH


@each_bytes_like
def test_bytes_like_in_a_list(kind):
    if kind == "memoryview of two dimensions":
        pytest.skip("a list with it looks like an array of three dimensions")
    found = hashes([BYTES_LIKE[kind], OTHER])
    assert found == [HASH, reference.mmdt_hash(OTHER)]


def test_mapped_file(path):
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert mmdt_hash(mapped) == HASH


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float32, "U1", object])
def test_arrays_of_other_types_are_no_bytes(dtype):
    with pytest.raises((TypeError, ValueError)):
        mmdt_hash(np.zeros(10, dtype=dtype))


@pytest.mark.parametrize("empty", [b"", bytearray(), memoryview(b""), "", np.zeros(0, np.uint8)])
def test_empty_contents(empty):
    assert mmdt_hash(empty) == EMPTY


@pytest.mark.parametrize("string", ["abc", "naïve ≤ 3", "\N{SNOWMAN}" * 3000, "a\0b", "\n\r\n"])
def test_text_is_utf8(string):
    expected = reference.mmdt_hash(string.encode("utf-8"))
    assert mmdt_hash(string) == expected
    assert hashes([string]) == [expected]


def test_text_without_an_encoding():
    with pytest.raises(ValueError, match=r"(?i)surrogate|utf-8"):
        mmdt_hash("\ud800")


def test_text_is_not_a_path_under_content(path):
    assert mmdt_hash(str(path)) == reference.mmdt_hash(os.fsencode(path)) != HASH


def test_a_path_object_is_read_under_content_too(path):
    class OwnPath:
        def __fspath__(self):
            return str(path)

    for form in (path, OwnPath()):
        assert mmdt_hash(form) == HASH
        assert mmdt_hash(form, input="filename") == HASH
        assert hashes([form, b"abc"]) == [HASH, reference.mmdt_hash(b"abc")]


def test_a_file_object_is_read_under_content_too(path):
    with path.open("rb") as file:
        file.seek(4000)
        assert mmdt_hash(file) == reference.mmdt_hash(CONTENT[4000:])
        assert file.tell() == len(CONTENT)
        assert not file.closed


# --------------------------------------------------------------------------------------
# collections

TEXTS = ["abc", "", "naïve", "x" * 5000]


def object_array(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


@pytest.mark.parametrize("make", [list, tuple, object_array])
def test_collections_of_bytes(make):
    items = [b"abc", b"", CONTENT, OTHER, b"abc\0\0\0"]
    assert hashes(make(items)) == [reference.mmdt_hash(item) for item in items]


@pytest.mark.parametrize("make", [list, tuple, object_array, np.array])
def test_collections_of_text(make):
    assert hashes(make(TEXTS)) == [reference.mmdt_hash(text.encode()) for text in TEXTS]


@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_series(dtype):
    pd = pytest.importorskip("pandas")
    series = pd.Series(["abc", "", "abc", "x" * 5000], index=[9, 7, 5, 3], dtype=dtype)
    assert hashes(series) == [reference.mmdt_hash(text.encode()) for text in series]
    assert hashes(series.iloc[1:3]) == [EMPTY, reference.mmdt_hash(b"abc")]


def test_polars_series():
    pl = pytest.importorskip("polars")
    expected = [reference.mmdt_hash(text.encode()) for text in TEXTS]
    assert hashes(pl.Series(TEXTS)) == expected
    assert hashes(pl.Series([text.encode() for text in TEXTS])) == expected


def test_mixed_kinds(path):
    items = [path, b"abc", "abc", io.BytesIO(CONTENT), bytearray(CONTENT)]
    abc = reference.mmdt_hash(b"abc")
    assert hashes(items) == [HASH, abc, abc, HASH, HASH]


@pytest.mark.parametrize("make", [list, tuple, object_array])
def test_empty_collections(make):
    digests = mmdt_digest(make([]))
    assert digests.shape == (0, 20)
    assert digests.dtype == np.uint8


@pytest.mark.parametrize("input", ["content", "filename", "file"])
@pytest.mark.parametrize("bare", ["text", b"bytes", bytearray(b"bytes"), np.str_("text")], ids=repr)
def test_a_bare_string_is_no_list(bare, input):
    with pytest.raises(ValueError, match=r"(?i)list"):
        mmdt_digest(bare, input=input)


def test_generators():
    np.testing.assert_array_equal(mmdt_digest(c for c in [b"a", b"b"]), mmdt_digest([b"a", b"b"]))
    assert mmdt_digest(iter([])).shape == (0, 20)
    with pytest.raises(TypeError, match="list"):
        mmdt_digest(number for number in [1, 2])


@pytest.mark.parametrize("bare", [5, None, 1.5, Path("content.bin")], ids=repr)
def test_what_is_no_collection(bare):
    with pytest.raises((TypeError, ValueError)):
        mmdt_digest(bare)


@pytest.mark.parametrize("input", ["content", "filename", "file"])
@pytest.mark.parametrize("bad", [5, 0, True, None, 1.5, ["a"], ("a",), {"a": 1}, object], ids=repr)
def test_what_holds_no_bytes(bad, input):
    """Integers are no file descriptors."""
    with pytest.raises((TypeError, ValueError)):
        mmdt_hash(bad, input=input)
    with pytest.raises((TypeError, ValueError)):
        mmdt_digest([CONTENT if input == "content" else bad, bad], input=input)


@pytest.mark.parametrize("input", ["files", "", None, "FILENAME", 1])
def test_unknown_inputs(input):
    with pytest.raises(ValueError, match="input"):
        mmdt_hash(b"abc", input=input)
    with pytest.raises(ValueError, match="input"):
        mmdt_digest([b"abc"], input=input)


@pytest.mark.parametrize("on_error", ["drop", "ignore", "", None])
def test_unknown_ways_with_errors(on_error):
    with pytest.raises(ValueError, match="on_error"):
        mmdt_digest([b"abc"], on_error=on_error)


# --------------------------------------------------------------------------------------
# names of files


def test_names_of_files(path, monkeypatch):
    assert mmdt_hash(str(path), input="filename") == HASH
    assert mmdt_hash(os.fsencode(path), input="filename") == HASH
    monkeypatch.chdir(path.parent)
    assert mmdt_hash(path.name, input="filename") == HASH
    names = [str(path), path, os.fsencode(path)]
    assert hashes(names, input="filename") == [HASH] * 3
    assert hashes(np.array([str(path)] * 2), input="filename") == [HASH] * 2


@needs_posix
@pytest.mark.parametrize(
    "name",
    [b"\xff\xfe.bin", "naïve \N{SNOWMAN}".encode(), b" ", b"-", b"a\nb", b"%s{0}"],
)
def test_unusual_names(name, tmp_path):
    path = os.path.join(os.fsencode(tmp_path), name)
    try:
        Path(os.fsdecode(path)).write_bytes(CONTENT)
    except OSError:
        pytest.skip("the file system refuses this name")
    assert mmdt_hash(path, input="filename") == HASH
    assert mmdt_hash(os.fsdecode(path), input="filename") == HASH
    assert mmdt_hash(Path(os.fsdecode(path))) == HASH
    missing = os.fsdecode(path) + ".missing"
    with pytest.raises(FileNotFoundError):
        mmdt_hash(missing, input="filename")
    with pytest.warns(Warning, match="missing"):
        assert not mmdt_digest([missing], input="filename", on_error="warn").any()


def test_a_link_is_followed(path, tmp_path):
    link = tmp_path / "link"
    try:
        link.symlink_to(path)
    except OSError:
        pytest.skip("no links here")
    assert mmdt_hash(link) == HASH
    link.unlink()
    link.symlink_to(link)
    with pytest.raises(OSError, match="link"):
        mmdt_hash(link)


def test_empty_file(tmp_path):
    path = tmp_path / "empty"
    path.touch()
    assert mmdt_hash(path) == EMPTY


def test_sparse_file_is_read_in_pieces(tmp_path):
    """A file larger than any buffer, whose picture is known: zeros and a tail of ones."""
    path = tmp_path / "sparse"
    content = bytes(6_000_000) + b"\xff" * 2_000_000
    with path.open("wb") as file:
        file.seek(6_000_000)
        file.write(b"\xff" * 2_000_000)
    expected = reference.mmdt_hash(content)
    assert mmdt_hash(path) == expected
    with path.open("rb") as file:
        assert mmdt_hash(file, input="file") == expected


@pytest.mark.parametrize("name", ["/proc/version", "/proc/filesystems", "/proc/self/cmdline"])
def test_files_that_claim_to_be_empty(name):
    if not os.path.exists(name):
        pytest.skip(f"no {name} here")
    content = Path(name).read_bytes()
    assert os.path.getsize(name) == 0 < len(content)
    expected = reference.mmdt_hash(content)
    assert mmdt_hash(name, input="filename") == expected
    with open(name, "rb") as file:
        assert mmdt_hash(file, input="file") == expected
    with open(name, "rb") as file:
        file.seek(3)
        assert mmdt_hash(file, input="file") == reference.mmdt_hash(content[3:])


# --------------------------------------------------------------------------------------
# files that cannot be read


def test_missing_file(tmp_path):
    missing = tmp_path / "missing.bin"
    for form in (missing, str(missing), os.fsencode(missing)):
        with pytest.raises(FileNotFoundError, match=r"missing\.bin"):
            mmdt_hash(form, input="filename")
        with pytest.raises(FileNotFoundError, match=r"missing\.bin"):
            mmdt_digest([form], input="filename")
    with pytest.raises(OSError, match=r"content\.bin|missing"):
        mmdt_hash(tmp_path / "missing" / "content.bin")
    with pytest.raises(FileNotFoundError):
        mmdt_hash("", input="filename")


def test_directory(tmp_path):
    for form in (tmp_path, str(tmp_path), os.fsencode(tmp_path)):
        with pytest.raises(OSError, match=r"(?i)directory") as caught:
            mmdt_hash(form, input="filename")
        assert os.fsdecode(tmp_path) in str(caught.value)
    with pytest.raises(OSError, match=r"(?i)directory"):
        mmdt_digest([tmp_path])


def test_a_file_is_no_directory(path):
    with pytest.raises(NotADirectoryError):
        mmdt_hash(path / "content.bin")


def test_unreadable_file(path):
    path.chmod(0)
    try:
        path.open("rb").close()
    except PermissionError:
        pass
    else:
        pytest.skip("this user may read any file")
    with pytest.raises(PermissionError, match=r"content\.bin"):
        mmdt_hash(path)


WITHOUT_END = """
import resource
from skmmd.hashing import mmdt_hash
resource.setrlimit(resource.RLIMIT_FSIZE, (2**28, 2**28))
mmdt_hash("/dev/zero", input="filename")
"""


def test_device_without_end():
    """Its size is 0 by the books, and reading it would never end."""
    pytest.importorskip("resource")
    if not os.path.exists("/dev/zero"):
        pytest.skip("no /dev/zero here")
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_END],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "Error" in last
    assert "/dev/zero" in last


def test_name_with_a_null():
    with pytest.raises(ValueError, match="null"):
        mmdt_hash("a\0b", input="filename")


def test_name_that_is_too_long():
    with pytest.raises(OSError, match=r"(?i)name"):
        mmdt_hash("x" * 5000, input="filename")


def test_text_mode_file(path):
    path.write_text("text", encoding="utf-8")
    for read in (lambda: path.open(encoding="utf-8"), lambda: io.StringIO("text")):
        with read() as file:
            for input in ("file", "content"):
                with pytest.raises((TypeError, ValueError), match=r"(?i)binary|bytes"):
                    mmdt_hash(file, input=input)


@pytest.mark.parametrize("input", ["file", "content"])
def test_closed_file(path, input):
    with path.open("rb") as file:
        pass
    memory = io.BytesIO(b"abc")
    memory.close()
    for closed in (file, memory):
        with pytest.raises(ValueError, match=r"closed"):
            mmdt_hash(closed, input=input)


def test_file_for_writing(path):
    with path.open("wb") as file, pytest.raises((OSError, ValueError, TypeError)):
        mmdt_hash(file, input="file")


class Failing(io.RawIOBase):
    """A stream that breaks after its first bytes, as a disk or a network does."""

    def __init__(self, error):
        super().__init__()
        self.error = error
        self.n_reads = 0

    def readable(self):
        return True

    def readinto(self, buffer):
        self.n_reads += 1
        if self.n_reads > 1:
            raise self.error
        buffer[:5] = b"first"
        return 5


def test_read_error():
    with pytest.raises(OSError, match="broken") as caught:
        mmdt_hash(Failing(OSError(errno.EIO, "broken")), input="file")
    assert caught.value.errno == errno.EIO


def test_other_errors_of_a_stream_are_not_swallowed():
    with pytest.raises(KeyboardInterrupt):
        mmdt_hash(Failing(KeyboardInterrupt()), input="file")
    with pytest.raises(KeyboardInterrupt):
        mmdt_digest([Failing(KeyboardInterrupt())], input="file", on_error="warn")
    with pytest.raises(ZeroDivisionError):
        mmdt_hash(Failing(ZeroDivisionError("own")), input="file")


class OnlyRead:
    """What is asked of a file object, and nothing else."""

    def __init__(self, content):
        self.memory = io.BytesIO(content)

    def read(self, size=-1):
        return self.memory.read(size)


class Gives(OnlyRead):
    """An object whose method read gives something other than bytes."""

    def __init__(self, answer):
        self.answer = answer

    def read(self, size=-1):
        return self.answer


def test_read_is_enough_for_a_file():
    assert mmdt_hash(OnlyRead(CONTENT), input="file") == HASH
    assert mmdt_hash(OnlyRead(LARGE), input="file") == reference.mmdt_hash(LARGE)


@pytest.mark.parametrize("answer", ["text", "", 5, [1, 2]], ids=repr)
def test_read_has_to_give_bytes(answer):
    with pytest.raises((TypeError, ValueError)):
        mmdt_hash(Gives(answer), input="file")


def test_read_that_has_nothing_yet():
    """None means that a non-blocking stream has nothing now: that is not its end."""
    with pytest.raises((OSError, TypeError, ValueError)):
        mmdt_hash(Gives(None), input="file")


def test_a_name_is_no_file_object(path):
    for form in (str(path), os.fsencode(path)):
        with pytest.raises((TypeError, ValueError)):
            mmdt_hash(form, input="file")


def test_a_file_is_not_left_open(path, tmp_path):
    """An unclosed file would be a ResourceWarning, an error in these tests, or fill the table."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(opened + 20, hard), hard))
    try:
        for _ in range(60):
            assert mmdt_hash(path) == HASH
            with pytest.raises(IsADirectoryError):
                mmdt_hash(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --------------------------------------------------------------------------------------
# files that change while they are read


@pytest.fixture
def change_after_length(monkeypatch):
    """Return a function: once the length of a file has been looked up, it is changed."""
    real = os.fstat

    def arrange(path, change):
        pending = [os.stat(path).st_ino]

        def fstat(descriptor):
            found = real(descriptor)
            if pending and found.st_ino == pending[0]:
                pending.clear()
                change()
            return found

        monkeypatch.setattr(os, "fstat", fstat)
        return pending

    return arrange


SHORTER = {"nothing": 0, "part": 300_000, "one row": 256, "all but one": len(LARGE) - 1}
LONGER = {"one byte": 1, "a row": 256, "much": 900_000}


@pytest.mark.parametrize("left", SHORTER)
def test_file_that_shrinks_while_read(left, tmp_path, change_after_length):
    path = tmp_path / "shrinking.bin"
    path.write_bytes(LARGE)
    pending = change_after_length(path, lambda: os.truncate(path, SHORTER[left]))
    with pytest.raises((OSError, ValueError), match=r"shrinking\.bin"):
        mmdt_hash(path)
    assert not pending, "its length was looked up"


@pytest.mark.parametrize("more", LONGER)
def test_file_that_grows_while_read(more, tmp_path, change_after_length):
    path = tmp_path / "growing.bin"
    path.write_bytes(LARGE)

    def append():
        with path.open("ab") as file:
            file.write(b"\xff" * LONGER[more])

    pending = change_after_length(path, append)
    with pytest.raises((OSError, ValueError), match=r"growing\.bin"):
        mmdt_hash(path)
    assert not pending, "its length was looked up"


@pytest.mark.parametrize("size", [0, 1, 4096, 20_000])
def test_small_files_that_change(size, tmp_path, change_after_length):
    path = tmp_path / "changing.bin"
    path.write_bytes(OTHER[:size])

    def append():
        with path.open("ab") as file:
            file.write(b"\xff" * 5)

    change_after_length(path, append)
    # A file whose size is 0 by the books is read to its end, so growing is no change to it.
    if size == 0:
        assert mmdt_hash(path) in (EMPTY, reference.mmdt_hash(b"\xff" * 5))
    else:
        with pytest.raises((OSError, ValueError), match=r"changing\.bin"):
            mmdt_hash(path)


class Changing(io.FileIO):
    """An open file whose length changes once it was looked up, or once the first bytes came."""

    def __init__(self, path, length, moment):
        super().__init__(path, "rb")
        self.pending = True
        self.length = length
        self.moment = moment

    def change(self, moment):
        if self.pending and moment == self.moment:
            self.pending = False
            os.truncate(self.name, self.length)

    def seek(self, offset, whence=os.SEEK_SET):
        position = super().seek(offset, whence)
        if whence == os.SEEK_END:
            self.change("seek")
        return position

    def readinto(self, buffer):
        count = super().readinto(buffer)
        if count:
            self.change("read")
        return count


@pytest.mark.parametrize("moment", ["seek", "read"])
@pytest.mark.parametrize("length", [0, 300_000, 2_999_999, 3_000_001, 4_500_000])
def test_open_file_that_changes_while_read(length, moment, tmp_path):
    path = tmp_path / "changing.bin"
    path.write_bytes(bytes(3_000_000))
    with Changing(path, length, moment) as file:
        with pytest.raises((OSError, ValueError), match=r"changing\.bin"):
            mmdt_hash(file, input="file")
        assert not file.pending


def test_a_changed_file_is_warned_of_and_the_others_are_done(tmp_path, change_after_length):
    path = tmp_path / "shrinking.bin"
    path.write_bytes(LARGE)
    change_after_length(path, lambda: os.truncate(path, 5))
    with pytest.warns(Warning, match=r"shrinking\.bin"):
        digests = mmdt_digest([CONTENT, path, OTHER], on_error="warn")
    assert mmdt_format(digests[[0, 2]]) == [HASH, reference.mmdt_hash(OTHER)]
    assert not digests[1].any()


# --------------------------------------------------------------------------------------
# pipes and their like


def write_into(fifo, content, deadline=20.0):
    """Write once somebody reads; give up rather than wait for ever."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        try:
            descriptor = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads yet
            time.sleep(0.002)
            continue
        os.set_blocking(descriptor, True)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        return


@needs_posix
def test_open_fifo(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=write_into, args=(fifo, LARGE))
    writer.start()
    with fifo.open("rb") as file:
        assert mmdt_hash(file, input="file") == reference.mmdt_hash(LARGE)
    writer.join()


@needs_posix
def test_named_fifo(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=write_into, args=(fifo, LARGE))
    writer.start()
    try:
        assert mmdt_hash(fifo) == reference.mmdt_hash(LARGE)
    finally:
        writer.join()


@needs_posix
@pytest.mark.parametrize("buffering", [0, -1])
def test_pipe_that_has_nothing_yet(buffering):
    """What came so far is not all that will come."""
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    writer = os.fdopen(write_end, "wb", buffering=0)
    with writer, os.fdopen(read_end, "rb", buffering=buffering) as file:
        writer.write(b"first")
        with pytest.raises((OSError, ValueError, TypeError)):
            mmdt_hash(file, input="file")


def test_standard_input():
    code = "import sys; from skmmd.hashing import mmdt_hash; print(mmdt_hash(sys.stdin.buffer))"
    done = subprocess.run(
        [sys.executable, "-c", code], input=LARGE, capture_output=True, check=True, timeout=60
    )
    assert done.stdout.decode().strip() == reference.mmdt_hash(LARGE)


def test_spooled_and_temporary_files():
    with tempfile.SpooledTemporaryFile() as spooled, tempfile.TemporaryFile() as temporary:
        for file in (spooled, temporary):
            file.write(CONTENT)
            file.seek(0)
            assert mmdt_hash(file, input="file") == HASH


def test_what_was_written_but_not_flushed_counts(tmp_path):
    with (tmp_path / "file").open("wb+") as file:
        file.write(CONTENT)
        file.seek(0, os.SEEK_END)
        file.write(b"tail")
        file.seek(0)
        file.read(1)
        file.seek(0)
        assert mmdt_hash(file, input="file") == reference.mmdt_hash(CONTENT + b"tail")


def test_compressed_and_archived_files(tmp_path):
    """The length of the file below is not that of what it reads as."""
    with gzip.open(tmp_path / "a.gz", "wb") as file:
        file.write(b"abc" * 30_000)
    expected = reference.mmdt_hash(b"abc" * 30_000)
    with gzip.open(tmp_path / "a.gz", "rb") as file:
        assert mmdt_hash(file, input="file") == expected
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("member", b"abc" * 30_000)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive, archive.open("member") as file:
        assert mmdt_hash(file, input="file") == expected
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(tmp_path / "a.zip", "member")
    with tarfile.open(tmp_path / "a.tar") as archive:
        member = archive.extractfile("member")
        content = (tmp_path / "a.zip").read_bytes()
        assert mmdt_hash(member, input="file") == reference.mmdt_hash(content)


# --------------------------------------------------------------------------------------
# the others are still done


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_unreadable_ones_are_rows_of_zeros(n_jobs, path, tmp_path):
    missing = tmp_path / "missing.bin"
    other = tmp_path / "other.bin"
    other.write_bytes(OTHER)
    paths = [missing, path, tmp_path, other, path]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        digests = mmdt_digest(
            [str(p) for p in paths], input="filename", on_error="warn", n_jobs=n_jobs
        )
    text = "\n".join(str(warning.message) for warning in caught)
    assert "missing.bin" in text
    assert "irectory" in text
    assert "other.bin" not in text
    assert not digests[[0, 2]].any()
    assert mmdt_format(digests[[1, 3, 4]]) == [HASH, reference.mmdt_hash(OTHER), HASH]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_the_first_error_is_raised(n_jobs, path, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing\.bin"):
        mmdt_digest([path, tmp_path / "missing.bin", path], n_jobs=n_jobs)


def test_warn_is_silent_without_errors(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        digests = mmdt_digest([path, b"abc"], on_error="warn")
    assert mmdt_format(digests) == [HASH, reference.mmdt_hash(b"abc")]


def test_streams_that_break_are_warned_of():
    files = [io.BytesIO(CONTENT), Failing(OSError(errno.EIO, "broken")), io.BytesIO(OTHER)]
    with pytest.warns(Warning, match="broken"):
        digests = mmdt_digest(files, input="file", on_error="warn")
    assert mmdt_format(digests[[0, 2]]) == [HASH, reference.mmdt_hash(OTHER)]
    assert not digests[1].any()
