"""The same answers as python-mmdt itself, where that is installed, on more than 1000 inputs."""

import io
import os
import random
import statistics
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from skmmd.hashing import mmdt_digest, mmdt_format, mmdt_hash, mmdt_similarity, mmdt_std
from tests import reference
from tests.hashing.vectors import CASES, content_of

peer_module = pytest.importorskip("python_mmdt.mmdt.mmdt", reason="python-mmdt is not installed")

pytestmark = pytest.mark.slow


def generated():
    """Yield contents of all small sizes, around each threshold, and of several textures."""
    generator = random.Random(20)
    words = [b"the ", b"of\n", b"return ", b"    ", b"kernel", b"\t", b"0.5, "]
    for n in range(301):
        yield generator.randbytes(n)
    for threshold in (4096, 8192, 32768, 131072):
        for k in (-257, -256, -255, -129, -65, -33, -1, 0, 1, 31, 32, 63, 64, 65, 255, 256, 257):
            content = generator.randbytes(threshold + k)
            yield content
            yield bytes(255 * (b & 1) for b in content)
            yield bytes(b & 1 for b in content)
    for _ in range(150):
        n = int(np.exp(generator.uniform(np.log(300), np.log(600_000))))
        yield b"".join(generator.choices(words, k=n // 4))
        yield b"".join(
            bytes([generator.randrange(256)]) * generator.randint(1, n // 3) for _ in range(6)
        )
    for case in CASES:
        if case["length"] <= 5_000_011:
            yield content_of(case["id"])


def real_files(n_each):
    """Return files of the standard library and of the installed packages, of all types mixed."""
    generator = random.Random(21)
    found = []
    for folder in (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib")):
        files = sorted(
            path
            for path in Path(folder).rglob("*")
            if path.is_file()
            and path.stat().st_size < 2_000_000
            and path.suffix != ".pyc"
            and "site-packages" not in path.relative_to(folder).parts
        )
        found += generator.sample(files, min(n_each, len(files)))
    return found


@pytest.fixture(scope="module")
def peer():
    return peer_module.MMDT()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return paths of inputs. The peer ends the process at a missing path, so they are checked."""
    folder = tmp_path_factory.mktemp("inputs")
    paths = real_files(300)
    for i, content in enumerate(generated()):
        paths.append(folder / str(i))
        paths[-1].write_bytes(content)
    assert len(paths) >= 1000
    assert all(path.is_file() and os.access(path, os.R_OK) for path in paths)
    return paths


@pytest.fixture(scope="module")
def expected(peer, files):
    return [peer.mmdt_hash(str(path)) for path in files]


def test_the_inputs_are_of_many_kinds(files, expected):
    assert len(set(expected)) > 900
    assert {path.stat().st_size for path in files} >= set(range(301))
    assert len({path.suffix for path in files}) > 3


def test_the_peer_agrees_with_itself(peer, files, expected):
    assert [peer.mmdt_hash_streaming(str(path)) for path in files] == expected


def test_hashes_are_identical(files, expected):
    names = [str(path) for path in files]
    assert mmdt_format(mmdt_digest(names, input="filename")) == expected


def test_content_path_and_stream_agree(files, expected):
    for path, answer in zip(files, expected, strict=True):
        content = path.read_bytes()
        assert mmdt_hash(content) == answer, path
        assert mmdt_hash(path) == answer, path
        assert mmdt_hash(io.BytesIO(content), input="file") == answer, path
        with path.open("rb", buffering=0) as file:
            assert mmdt_hash(file, input="file") == answer, path


def test_the_twin_agrees(files, expected):
    for path, answer in list(zip(files, expected, strict=True))[::5]:
        assert reference.mmdt_hash(path.read_bytes()) == answer, path


def test_similarities_are_equal_as_doubles(peer, expected):
    generator = random.Random(22)
    matrix = mmdt_similarity(expected)
    n_pairs = 20_000
    for _ in range(n_pairs):
        i, j = generator.randrange(len(expected)), generator.randrange(len(expected))
        answer = peer.mmdt_compare_hash(expected[i], expected[j])
        assert matrix[i, j].hex() == float(answer).hex()
    for _ in range(1000):
        a, b = generator.choice(expected), generator.choice(expected)
        assert mmdt_similarity(a, b).hex() == float(peer.mmdt_compare_hash(a, b)).hex()


def test_similarities_of_files(peer, files, expected):
    for i in range(0, len(files) - 1, 20):
        answer = peer.mmdt_compare(str(files[i]), str(files[i + 1]))
        assert mmdt_similarity(expected[i], expected[i + 1]) == answer


def test_std(expected):
    """The peer rounds its mean and its sum of squares, which NumPy adds up in its own order."""
    found = [mmdt_std(string) for string in expected]
    answers = [float(peer_module.mmdt_std(string)) for string in expected]
    assert statistics.fmean(answers) > 1.0
    np.testing.assert_allclose(found, answers, rtol=1e-13, atol=1e-13)
