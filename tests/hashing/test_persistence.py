"""MMDTIndex in a file: there and back, damage, files made by others, and writing that fails."""

import io
import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from skmmd.hashing import MMDTIndex
from skmmd.hashing._persistence import write_arrays

NAMES = ["", "a", "line\nbreak\r\n", "nul\0", "\0", "ä€𝄞", "\udcff\udc80", "trailing ", "\ud800"]


@pytest.fixture
def digests(rng):
    return rng.integers(0, 256, (len(NAMES), 20), np.uint8)


@pytest.fixture
def saved(tmp_path, digests):
    """Return an index and the file it was saved to."""
    index = MMDTIndex(tolerance=None, metric="circular", n_neighbors=2, radius=0.25)
    index.fit(digests, names=NAMES)
    path = tmp_path / "index.npz"
    index.save(path)
    return index, path


def fitted(index):
    """Return all that makes an index, in a form that can be compared."""
    kept = {name: value for name, value in vars(index).items() if not name.startswith("_")}
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name, value in kept.items()
    } | {name: type(value) for name, value in index.get_params().items()}


# --------------------------------------------------------------------------------------
# there and back


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"tolerance": None, "metric": "circular", "n_neighbors": 3, "radius": 0.25, "n_jobs": 2},
        {"tolerance": 0, "metric": "manhattan", "radius": 0, "input": "digest", "n_jobs": -1},
        {"tolerance": np.int64(255), "n_neighbors": np.int32(1), "radius": np.float32(0.5)},
    ],
)
@pytest.mark.parametrize("names", [None, NAMES])
@pytest.mark.parametrize("as_path", [str, Path])
def test_there_and_back(parameters, names, as_path, digests, tmp_path):
    index = MMDTIndex(**parameters).fit(digests, names=names)
    path = as_path(tmp_path / "any name")
    assert index.save(path) is None
    assert [file.name for file in tmp_path.iterdir()] == ["any name"], "no ending is added"
    loaded = MMDTIndex.load(path)
    assert type(loaded) is MMDTIndex
    assert loaded.get_params() == index.get_params()
    assert loaded.names_ == names
    assert loaded.digests_.dtype == np.uint8
    assert loaded.digests_.tolist() == digests.tolist()
    assert vars(loaded).keys() == vars(index).keys()
    for found, expected in zip(loaded.kneighbors(), index.kneighbors(), strict=True):
        np.testing.assert_array_equal(found, expected)
    queries = index.digests_ if parameters.get("input") != "content" else None
    assert (loaded.transform(queries) != index.transform(queries)).nnz == 0


def test_numbers_there_and_back(tmp_path, rng):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(rng.normal(size=(6, 3)) * 1e300, columns=["a\nb", "", "nul\0"])
    index = MMDTIndex(n_neighbors=2).fit(frame)
    index.save(tmp_path / "index")
    loaded = MMDTIndex.load(tmp_path / "index")
    assert loaded.scale_ == index.scale_
    assert loaded.n_features_in_ == 3
    assert loaded.feature_names_in_.tolist() == frame.columns.tolist()
    assert loaded.feature_names_in_.dtype == object
    for found, expected in zip(loaded.kneighbors(frame), index.kneighbors(frame), strict=True):
        np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="feature names"):
        loaded.kneighbors(frame[["", "a\nb", "nul\0"]])


def test_saving_twice_gives_the_same_index(saved, tmp_path):
    index, path = saved
    loaded = MMDTIndex.load(path)
    loaded.save(tmp_path / "second")
    assert fitted(MMDTIndex.load(tmp_path / "second")) == fitted(index)


def test_no_array_holds_objects(saved):
    _, path = saved
    with np.load(path, allow_pickle=False) as arrays:
        assert all(not arrays[name].dtype.hasobject for name in arrays.files)


def test_pickle_too(saved):
    index, _ = saved
    assert fitted(pickle.loads(pickle.dumps(index))) == fitted(index)


# --------------------------------------------------------------------------------------
# damage


def assert_refused_or_equal(path, index):
    """Nothing but the two documented errors comes out, and never another index."""
    try:
        loaded = MMDTIndex.load(path)
    except (ValueError, OSError):
        return True
    assert fitted(loaded) == fitted(index)
    return False


def test_truncated_anywhere(saved):
    index, path = saved
    content = path.read_bytes()
    for length in [*range(0, len(content), 7), *range(len(content) - 40, len(content))]:
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="index"):
            MMDTIndex.load(path)
    path.write_bytes(content)
    assert fitted(MMDTIndex.load(path)) == fitted(index)


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_flipped_bytes(mask, saved):
    """A flip that nothing reads, such as of a date, may pass; any other is an error."""
    index, path = saved
    content = path.read_bytes()
    n_refused = 0
    places = range(mask % 5, len(content), 5)
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= mask
        path.write_bytes(damaged)
        n_refused += assert_refused_or_equal(path, index)
    assert n_refused > 0.5 * len(places)


def test_every_byte_of_the_arrays_counts(saved):
    """The checksums of the archive stand for all of the digests and names."""
    index, path = saved
    content = path.read_bytes()
    first = content.index(index.digests_.tobytes())
    for place in range(first, first + index.digests_.nbytes, 3):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="index"):
            MMDTIndex.load(path)


def test_bytes_before_and_between(saved):
    index, path = saved
    content = path.read_bytes()
    for cut in range(0, len(content), 41):
        path.write_bytes(content[:cut] + b"\0\xff\0" + content[cut:])
        assert_refused_or_equal(path, index)
        path.write_bytes(content[:cut] + content[cut + 5 :])
        assert_refused_or_equal(path, index)


# --------------------------------------------------------------------------------------
# other files


@pytest.mark.parametrize(
    "content",
    [b"", b"PK", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"text\n", b"\x93NUMPY", bytes(500)],
)
def test_what_is_no_archive(content, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"file is no index"):
        MMDTIndex.load(path)


def test_other_archives(tmp_path):
    path = tmp_path / "file.npz"
    np.savez(path, x=np.arange(3))
    with pytest.raises(ValueError, match="is no index"):
        MMDTIndex.load(path)
    np.save(path.with_suffix(".npy"), np.arange(3))
    path = path.with_suffix(".npy")
    with pytest.raises(ValueError, match="is no index"):
        MMDTIndex.load(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "text")
    with pytest.raises(ValueError, match="is no index"):
        MMDTIndex.load(path)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError):
        MMDTIndex.load(tmp_path / "missing")
    with pytest.raises(IsADirectoryError):
        MMDTIndex.load(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        MMDTIndex.load(tmp_path / "file" / "below")


class Executes:
    """An object whose unpickling leaves a trace."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def arrays_of(path):
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files if name != "checksum"}


def write(path, arrays):
    """Write arrays as `save` does, with a checksum that is right: it shall not be all there is."""
    if any(values.dtype.hasobject for values in arrays.values()):
        with path.open("wb") as file:
            np.savez(file, **arrays)
    else:
        write_arrays(path, {name: arrays[name] for name in arrays if name != "checksum"})


def all_arrays(saved):
    return arrays_of(saved[1])


def test_pickles_are_never_executed(saved, tmp_path):
    _, path = saved
    arrays = all_arrays(saved)
    trace = tmp_path / "trace"
    bomb = np.array([Executes(trace)], dtype=object)
    for name in arrays:
        write(path, arrays | {name: bomb})
        with pytest.raises(ValueError, match=r"[Oo]bject|pickle"):
            MMDTIndex.load(path)
    path.write_bytes(pickle.dumps(Executes(trace)))
    with pytest.raises(ValueError, match="is no index"):
        MMDTIndex.load(path)
    # Beside the known arrays, too: neither read nor executed.
    write(path, arrays | {"further": bomb})
    with pytest.raises(ValueError, match=r"[Oo]bject|pickle"):
        MMDTIndex.load(path)
    assert not trace.exists()


def test_any_array_may_be_missing(saved):
    index, path = saved
    arrays = all_arrays(saved)
    for name in arrays:
        write(path, {k: v for k, v in arrays.items() if k != name})
        try:
            loaded = MMDTIndex.load(path)
        except ValueError as error:
            assert "index" in str(error)  # noqa: PT017
            continue
        assert name.startswith("parameter ") or name == "names"
        assert loaded.digests_.tolist() == index.digests_.tolist()


STRANGE = {
    "a number": np.array(7),
    "a negative number": np.array(-3),
    "a fraction": np.array(0.5),
    "nan": np.array(np.nan),
    "infinity": np.array(np.inf),
    "text": np.array("text"),
    "bytes": np.array(b"bytes"),
    "complex": np.array(1j),
    "none": np.empty(0),
    "several": np.arange(5),
    "a matrix": np.zeros((3, 4)),
    "bytes in a row": np.zeros(20, np.uint8),
    "bytes in a cube": np.zeros((2, 20, 1), np.uint8),
    "sixteen columns": np.zeros((9, 16), np.uint8),
    "fewer rows": np.zeros((2, 20), np.uint8),
    "no rows": np.zeros((0, 20), np.uint8),
    "wide integers": np.zeros((9, 20), np.int64),
    "dates": np.array(["2020-01-01"], "M8[D]"),
    "records": np.zeros(2, [("a", "i4")]),
    "truths": np.ones((9, 20), bool),
}


@pytest.fixture
def saved_numbers(tmp_path, rng):
    """Return an index of rows of numbers with names everywhere, so with every array."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(rng.normal(size=(9, 3)), columns=["a", "b", "c"])
    index = MMDTIndex(radius=0.5, n_jobs=1).fit(frame, names=NAMES)
    index.save(tmp_path / "index.npz")
    return frame, tmp_path / "index.npz"


@pytest.mark.parametrize("kind", sorted(STRANGE))
def test_arrays_of_other_shapes_and_types(kind, saved_numbers):
    """Refused by `load`; what passes it has to answer."""
    frame, path = saved_numbers
    arrays = arrays_of(path)
    assert {"scale", "n_features", "feature names", "names"} <= set(arrays)
    for name in arrays:
        write(path, arrays | {name: STRANGE[kind]})
        try:
            loaded = MMDTIndex.load(path)
        except ValueError:
            continue
        assert name.startswith("parameter "), f"{name} was taken from {kind}"
        loaded.set_params(n_jobs=1).kneighbors(frame, n_neighbors=1)


@pytest.mark.parametrize("scale", [(np.nan, 1.0), (0.0, np.inf), (2.0, 1.0), (0.0,), (1, 2, 3)])
def test_scales_that_are_no_range(scale, saved_numbers):
    _, path = saved_numbers
    write(path, arrays_of(path) | {"scale": np.array(scale)})
    with pytest.raises(ValueError, match="is no index"):
        MMDTIndex.load(path)


@pytest.mark.parametrize("member", ["digests", "scale", "names", "format", "n_features"])
@pytest.mark.parametrize("content", [b"", b"raw bytes", b"\x93NUMPY\x01\x00"])
def test_members_that_are_no_arrays(member, content, saved_numbers):
    """NumPy gives the bytes of a member that is no array."""
    _, path = saved_numbers
    arrays = arrays_of(path)
    arrays.pop(member)
    write(path, arrays)
    for ending in ("", ".npy"):
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(member + ending, content)
        with pytest.raises(ValueError, match="is no index"):
            MMDTIndex.load(path)
        write(path, arrays)


@pytest.mark.parametrize(
    "ends",
    [
        [1, 2, 3],
        [-1] * 9,
        list(range(9, 0, -1)),
        [10**9] * 9,
        [0] * 8 + [2**62],
        [0.5] * 9,
        [[0] * 9],
    ],
)
def test_ends_of_names_that_do_not_fit(ends, saved):
    _, path = saved
    write(path, all_arrays(saved) | {"ends of names": np.array(ends)})
    with pytest.raises(ValueError, match="is no index"):
        MMDTIndex.load(path)


def test_names_that_are_no_text(saved):
    _, path = saved
    arrays = all_arrays(saved)
    broken = np.full(len(arrays["names"]), 0xFF, np.uint8)
    write(path, arrays | {"names": broken})
    with pytest.raises(ValueError, match="is no index"):
        MMDTIndex.load(path)


def test_a_header_that_claims_too_much(saved):
    """An array that does not fit into memory, or not into its member, is damage."""
    _, path = saved
    arrays = all_arrays(saved)
    for shape in ((10**15, 20), (10**6, 20), (-1, 20)):
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )
        rest = {name: value for name, value in arrays.items() if name != "digests"}
        write(path, rest)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("digests.npy", header.getvalue() + bytes(100))
        with pytest.raises(ValueError, match="is no index"):
            MMDTIndex.load(path)


# --------------------------------------------------------------------------------------
# writing that fails


def other_index(digests):
    return MMDTIndex().fit(digests[::-1].copy())


@pytest.mark.parametrize("error", [OSError("no space"), KeyboardInterrupt(), MemoryError()])
def test_a_failure_half_way_keeps_the_old_file(error, saved, digests, monkeypatch):
    index, path = saved
    write = zipfile.ZipFile.close

    def fails(self):
        self.fp.write(b"half")
        write(self)
        raise error

    monkeypatch.setattr(zipfile.ZipFile, "close", fails)
    with pytest.raises(type(error)):
        other_index(digests).save(path)
    monkeypatch.undo()
    assert [file.name for file in path.parent.iterdir()] == ["index.npz"], "nothing is left"
    assert fitted(MMDTIndex.load(path)) == fitted(index)


KILLED = """
import sys, time, zipfile
import numpy as np
from skmmd.hashing import MMDTIndex

index = MMDTIndex().fit(np.zeros((9, 20), np.uint8))
write = zipfile.ZipFile.close

def waits(self):
    self.fp.flush()
    print("half", flush=True)
    time.sleep(60)

zipfile.ZipFile.close = waits
index.save(sys.argv[1])
"""


@pytest.mark.skipif(os.name != "posix", reason="a signal that cannot be caught")
def test_a_kill_half_way_keeps_the_old_file(saved):
    index, path = saved
    process = subprocess.Popen([sys.executable, "-c", KILLED, path], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"half\n"
    assert len(list(path.parent.iterdir())) == 2, "it was under way"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert fitted(MMDTIndex.load(path)) == fitted(index)


@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be replaced")
def test_who_reads_the_old_file_reads_on(saved, digests):
    """The new one takes its place as a whole; nothing is written into the old one."""
    _, path = saved
    before = path.read_bytes()
    with path.open("rb") as file:
        other_index(digests).save(path)
        assert file.read() == before
    assert path.read_bytes() != before


def test_targets_that_cannot_be_written(saved, tmp_path):
    index, path = saved
    before = sorted(tmp_path.iterdir())
    for target in (
        tmp_path / "missing" / "index",
        tmp_path,
        path / "below",
        tmp_path / ("x" * 300),
    ):
        with pytest.raises(OSError, match=r"\w"):
            index.save(target)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("length", [200, 220, 250, 255])
def test_long_names_of_files(length, saved, tmp_path):
    """Whatever stands in for the file while it is written, its name may not be too long."""
    index, _ = saved
    target = tmp_path / ("x" * length)
    index.save(target)
    assert fitted(MMDTIndex.load(target)) == fitted(index)


@pytest.mark.parametrize("target", ["", ".", "..", "/"])
def test_names_that_are_no_file(target, saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match=r"\w"):
        saved[0].save(target)


def test_a_new_file_has_the_usual_mode(saved, tmp_path):
    usual = tmp_path / "usual"
    usual.touch()
    assert saved[1].stat().st_mode == usual.stat().st_mode


def test_loading_is_quick_and_closes_the_file(saved):
    """An unclosed file would warn, which is an error here."""
    _, path = saved
    begin = time.perf_counter()
    for _ in range(20):
        MMDTIndex.load(path)
    assert time.perf_counter() - begin < 5.0


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="no devices here")
def test_devices_are_not_replaced(saved):
    index, _ = saved
    with pytest.raises(OSError, match="device"):
        index.save("/dev/null")
    assert not os.path.isfile("/dev/null")


def test_a_link_at_the_target_leads_to_the_new_file(saved, tmp_path):
    index, path = saved
    link = tmp_path / "link.npz"
    link.symlink_to(path)
    before = path.read_bytes()
    MMDTIndex().fit(index.digests_[:2]).save(link)
    assert link.is_symlink()
    assert path.read_bytes() != before
    assert len(MMDTIndex.load(path).digests_) == 2
