"""Memory stays constant whatever the length of a file, and its hash is still the formula's."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from skmmd.hashing import mmdt_digest, mmdt_hash, mmdt_pairs
from tests import reference
from tests.memory import peak_of

GIGABYTE = 2**30

CHILD = """
import json, resource, sys
from skmmd.hashing import mmdt_hash
mmdt_hash(b"compiled before it is measured" * 20000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = mmdt_hash(sys.argv[1], input="filename")
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([found, (after - before) / 1024]))
"""


def sparse_file(path, length, parts):
    """Write a file of zeros, with contents at some offsets; the zeros take no space."""
    with open(path, "wb") as file:
        file.truncate(length)
        for offset, content in parts.items():
            file.seek(offset)
            file.write(content)


def sparse_hash(length, parts):
    """Hash such a file by the formula: rows of zeros add nothing to any pixel."""
    height, width = reference.mmdt_shape(length)
    rows = {}
    for offset, content in parts.items():
        first, last = offset // width, min((offset + len(content) - 1) // width, height - 1)
        padded = np.zeros((last + 2 - first) * width + len(content), np.uint8)
        padded[offset - first * width :][: len(content)] = np.frombuffer(content, np.uint8)
        for row in range(first, last + 1):
            rows[row] = padded[(row - first) * width :][:width]
    places = np.array(sorted(rows))
    kept = np.array([rows[place] for place in places])
    sums = []
    for n_pixels, (weights, offsets) in zip((16, 64), reference.MMDT_BLOCKS, strict=True):
        columns = reference.resize_rows(np.ascontiguousarray(kept.T), n_pixels).T
        pixels = []
        for first, coefficients in reference.lanczos_coefficients(height, n_pixels):
            inside = (places >= first) & (places < first + len(coefficients))
            own = coefficients[places[inside] - first].astype(np.int64)
            total = 2**21 + own @ columns[inside].astype(np.int64)
            pixels.append(np.clip(total >> 22, 0, 255))
        for block in np.array(pixels).reshape(-1, len(weights)):
            sums.append(np.abs(np.array(weights) * block + np.array(offsets)).sum())
    digits = [total >> 6 & 255 for total in sums[:4]] + [total >> 5 & 255 for total in sums[4:]]
    text = "".join(f"{digit:02X}" for digit in digits)
    return f"{text[:8]}:{text[8:]}"


PARTS = {
    0: b"\x7fELF" * 9000,
    700_000: bytes(range(256)) * 4000,
    3_000_000: b"\xff" * 600_000,
}


def test_the_twin_of_sparse_files():
    length = 4_000_123
    content = bytearray(length)
    for offset, part in PARTS.items():
        content[offset : offset + len(part)] = part
    assert sparse_hash(length, PARTS) == reference.mmdt_hash(bytes(content)) == mmdt_hash(content)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="files are not sparse there by themselves")
def test_more_than_two_gigabytes(tmp_path):
    if shutil.disk_usage(tmp_path).free < GIGABYTE // 4:
        pytest.skip("no room")
    length = 2 * GIGABYTE + 12_000_077  # offsets beyond a signed 32-bit number
    # As much as leaves a trace: a pixel is the mean of 200,000 rows.
    contents = bytes(range(256)) * 40_000
    parts = {0: b"\xd0" * 5_000_000, 2 * GIGABYTE + 5000: contents, length - 9: b"end"}
    path = tmp_path / "sparse"
    sparse_file(path, length, parts)
    try:
        done = subprocess.run(
            [sys.executable, "-c", CHILD, os.fspath(path)],
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        path.unlink()
    found, mebibytes = json.loads(done.stdout)
    expected = sparse_hash(length, parts)
    assert expected != mmdt_hash(b"")  # which zeros have, too
    assert found == expected
    assert mebibytes < 100


def test_pairs_take_less_than_the_matrix():
    digests = np.random.default_rng(0).integers(0, 256, (20_000, 20), dtype=np.uint8)
    assert peak_of(lambda: mmdt_pairs(digests)) < 20  # the matrix: 3,052


def test_digests_of_many_hold_no_contents(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(5_000_000))
    assert peak_of(lambda: mmdt_digest([path] * 20)) < 2
