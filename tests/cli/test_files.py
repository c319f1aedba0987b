"""PATHS of the command line: folders, links, archives, standard input, and what cannot be read."""

import argparse
import gzip
import io
import os
import sys
import tarfile
import zipfile
from types import SimpleNamespace

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from skmmd._cli import _entries, _files
from skmmd._cli._entries import Entry, expand
from skmmd._cli._files import add_paths, read_digests, read_rows

posix = pytest.mark.skipif(os.name != "posix", reason="links, pipes and names of POSIX")


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    add_paths(parser)
    parser.set_defaults(command="hash")
    return parser.parse_args([str(argument) for argument in arguments])


def names(*paths, **options):
    return list(contents(expand([str(path) for path in paths], **options)))


def contents(entries):
    """Return what there is to read, by name; for errors their type."""
    found = {}
    for entry in entries:
        source = entry.source
        if isinstance(source, Exception):
            found[entry.name] = type(source)
        elif isinstance(source, bytes):
            found[entry.name] = source
        elif isinstance(source, os.PathLike):
            found[entry.name] = source.read_bytes() if source.exists() else FileNotFoundError
        else:
            with source:
                found[entry.name] = source.read()
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a working folder with t/b, t/a/z and t/c/d/e; each file holds its own name."""
    monkeypatch.chdir(tmp_path)
    for name in ("t/b", "t/a/z", "t/c/d/e"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "t/empty").mkdir()
    return tmp_path


def test_folders_stand_for_all_files_below_sorted(folder):
    assert names("t") == ["t/a/z", "t/b", "t/c/d/e"]
    assert names("t/") == ["t/a/z", "t/b", "t/c/d/e"]
    assert contents(expand(["t"])) == {name: name.encode() for name in names("t")}


def test_paths_keep_their_order_and_repetitions(folder):
    found = [entry.name for entry in expand(["t/b", "t/a", "t/b", "absent"])]
    assert found == ["t/b", "t/a/z", "t/b", "absent"]
    assert names("t/empty") == []


@posix
def test_links_are_followed_and_lead_in_no_circle(folder):
    (folder / "t/a/up").symlink_to("..")
    (folder / "t/a/self").symlink_to("self")
    (folder / "t/1").symlink_to("c/d")  # sorts before the real folder, which keeps its name
    (folder / "t/file").symlink_to("b")
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere/x").write_text("x")
    (folder / "t/out").symlink_to("../elsewhere")
    (folder / "t/out2").symlink_to("../elsewhere")
    (folder / "t/gone").symlink_to("nowhere")
    found = contents(expand(["t"]))
    assert found == {
        "t/a/self": OSError,
        "t/a/z": b"t/a/z",
        "t/b": b"t/b",
        "t/c/d/e": b"t/c/d/e",
        "t/file": b"t/b",
        "t/gone": FileNotFoundError,
        "t/out/x": b"x",
    }
    assert list(found) == sorted(found)
    assert names("t/1") == ["t/1/e"]


@posix
def test_pipes_in_folders_are_not_opened(folder):
    os.mkfifo(folder / "t/pipe")
    (folder / "t/to_pipe").symlink_to("pipe")
    assert names("t") == ["t/a/z", "t/b", "t/c/d/e"]


@posix
def test_a_folder_that_cannot_be_listed_is_an_error_of_its_own(folder, monkeypatch):
    listed = os.scandir

    def refusing(path):
        if str(path).endswith("c"):
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert contents(expand(["t"])) == {"t/a/z": b"t/a/z", "t/b": b"t/b", "t/c": PermissionError}


def write_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def write_tar(path, members, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "target"
        archive.addfile(link)
        inner = tarfile.TarInfo("folder")
        inner.type = tarfile.DIRTYPE
        archive.addfile(inner)


MEMBERS = {"z": b"last name, first member", "d/a": b"", "big": bytes(range(256)) * 20_000}


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_members_of_archives(folder, suffix):
    path = f"t/archive.{suffix}"
    if suffix == "zip":
        write_zip(path, {**MEMBERS, "folder/": b""})
    else:
        write_tar(path, MEMBERS, f"w:{suffix[4:]}")
    assert len(MEMBERS["big"]) > _entries._SMALL  # so it is held on disk
    found = contents(expand(["t"], members=True))
    inside = {f"{path}::{name}": content for name, content in MEMBERS.items()}
    assert found == {"t/a/z": b"t/a/z", **inside, "t/b": b"t/b", "t/c/d/e": b"t/c/d/e"}
    assert list(found)[1:4] == list(inside)
    assert path in names("t")


def test_hard_links_in_archives_have_the_content(folder):
    write_tar("h.tar", {"one": b"content"})
    with tarfile.open("h.tar", "a") as archive:
        link = tarfile.TarInfo("other")
        link.type, link.linkname = tarfile.LNKTYPE, "one"
        archive.addfile(link)
    found = contents(expand(["h.tar"], members=True))
    assert found == {"h.tar::one": b"content", "h.tar::other": b"content"}


def test_files_that_only_look_like_archives_are_files(folder):
    write_zip("empty.zip", {})
    with tarfile.open("empty.tar", "w"):
        pass
    (folder / "zeros").write_bytes(bytes(2048))
    (folder / "text.gz").write_bytes(gzip.compress(b"no tar"))
    (folder / "broken.gz").write_bytes(gzip.compress(b"no tar" * 99)[:12] + b"\xff" * 50)
    (folder / "nothing").write_bytes(b"")
    paths = ["empty.zip", "empty.tar", "zeros", "text.gz", "broken.gz", "nothing", "absent"]
    assert names(*paths, members=True) == paths


def test_damaged_members_leave_the_others(folder):
    write_zip("a.zip", {"one": b"1" * 1000, "two": bytes(range(256)), "three": b"3"})
    content = bytearray((folder / "a.zip").read_bytes())
    content[content.index(b"two") + 3 + 20] ^= 255
    (folder / "a.zip").write_bytes(content)
    found = contents(expand(["a.zip"], members=True))
    assert list(found) == ["a.zip::one", "a.zip::two", "a.zip::three"]
    assert found["a.zip::one"] == b"1" * 1000
    assert issubclass(found["a.zip::two"], Exception)
    assert found["a.zip::three"] == b"3"


def test_a_cut_archive_yields_what_comes_before_the_cut(folder, rng):
    members = {name: rng.bytes(20_000) for name in "abc"}
    write_tar("a.tar.gz", members, "w:gz")
    whole = (folder / "a.tar.gz").read_bytes()
    (folder / "a.tar.gz").write_bytes(whole[:30_000])
    found = contents(expand(["a.tar.gz"], members=True))
    assert found["a.tar.gz::a"] == members["a"]
    assert found["a.tar.gz"] is ValueError
    assert "a.tar.gz::c" not in found


@hypothesis.given(data=st.data())
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_random_damage_to_archives_never_raises(tmp_path, data):
    path = tmp_path / "archive"
    kind = data.draw(st.sampled_from(["zip", "w", "w:gz", "w:bz2", "w:xz"]))
    members = {"one": b"first" * 50, "two": bytes(range(256))}
    if kind == "zip":
        write_zip(path, members)
    else:
        write_tar(path, members, kind)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    assert contents(expand([str(path)], members=True))


@hypothesis.given(
    content=st.binary(max_size=300),
    head=st.sampled_from(
        [b"", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\x00"]
    ),
)
@hypothesis.settings(suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
def test_random_bytes_never_raise(tmp_path, content, head):
    path = tmp_path / "file"
    path.write_bytes(head + content)
    assert contents(expand([str(path)], members=True))


def test_standard_input(folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"typed")))
    assert contents(expand(["-"], members=True)) == {"-": b"typed"}
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ValueError, match="standard input is closed"):
        list(expand(["-"]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no PATHS"),
        (["-", "-"], "read only once"),
        (["-", "--files-from", "-"], "read only once"),
        (["t/empty"], "no files in these PATHS"),
    ],
)
def test_paths_that_cannot_be_meant(folder, arguments, message):
    with pytest.raises(ValueError, match=message):
        read_digests(parsed(*arguments))


@pytest.mark.parametrize("separator", [b"\n", b"\0"])
def test_names_from_a_file_come_after_the_others(folder, separator):
    listed = [b"t/a", b"t/b"] + ([b"t/new\nline"] if separator == b"\0" else [])
    if separator == b"\0":
        (folder / "t/new\nline").write_text("x")
    (folder / "list").write_bytes(separator.join(listed) + separator)
    found = read_digests(parsed("t/c", "--files-from", "list"))
    assert found.names[:3] == ["t/c/d/e", "t/a/z", "t/b"]
    assert found.names[3:] == (["t/new\nline"] if separator == b"\0" else [])
    with pytest.raises(FileNotFoundError):
        read_digests(parsed("--files-from", "absent"))


@pytest.mark.parametrize("jobs", [1, 2])
def test_batches_of_members_give_the_same_rows(folder, monkeypatch, rng, jobs):
    members = {f"m{number}": rng.bytes(10 + 500 * number) for number in range(20)}
    write_zip("t/a.zip", members)
    arguments = parsed("t", "--members", "--jobs", jobs)
    whole = read_digests(arguments)
    monkeypatch.setattr(_entries, "_SMALL", 4000)
    monkeypatch.setattr(_entries, "_MOST_HELD", 9000)
    batches = [contents(batch) for batch in _entries.batches(_files.named_entries(arguments))]
    assert len(batches) > 3
    assert max(map(len, batches)) < 20
    batched = read_digests(arguments)
    assert batched.names == whole.names == names("t", members=True)
    np.testing.assert_array_equal(batched.values, whole.values)
    for name, content in members.items():
        (folder / "plain").write_bytes(content)
        plain = read_digests(parsed("plain")).values[0]
        np.testing.assert_array_equal(whole.values[whole.names.index(f"t/a.zip::{name}")], plain)


def test_rows_are_those_of_what_can_be_read(folder, capsys):
    entries = [
        Entry("bad", OSError(5, "Input/output error")),
        Entry("good", b"abc"),
        Entry("worse", ValueError("no\nsense")),
        Entry("gone", folder / "gone"),
        Entry("good too", folder / "t/b"),
        Entry("folder", folder / "t"),
    ]
    found = read_rows(parsed("x"), entries)
    assert found.status == 1
    assert found.names == ["good", "good too"]
    assert found.values.shape == (2, 20)
    np.testing.assert_array_equal(found.values[0], read_rows(parsed(), entries[1:2]).values[0])
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["bad", "worse", "gone", "folder"]
    assert lines[0] == "skmmd hash: bad: Input/output error"
    assert lines[1] == r"skmmd hash: worse: no\nsense"
    assert "No such file" in lines[2]
    assert "directory" in lines[3]


def test_nothing_readable_has_no_rows(folder, capsys):
    found = read_digests(parsed("gone", "lost", "--std-min", 1))
    assert (found.names, found.status) == ([], 1)
    assert found.values.shape == (0, 20)
    assert found.values.dtype == np.uint8
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_hashes_that_tell_too_little_are_left_out_and_named(folder, capsys, rng):
    (folder / "random").write_bytes(rng.bytes(5000))
    for number in range(5):
        (folder / f"short{number}").write_bytes(b"x" * number)
    shorts = [f"short{number}" for number in range(5)]
    found = read_digests(parsed(*shorts[:3], "random", *shorts[3:], "--std-min", 10))
    assert (found.names, found.status) == (["random"], 0)
    assert found.values.shape == (1, 20)
    assert capsys.readouterr().err == (
        "skmmd hash: 5 of 6 left out, mmdt_std below 10: short0, short1, short2, ...\n"
    )
