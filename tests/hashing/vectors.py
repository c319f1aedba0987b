"""The published answers of python-mmdt 0.3.1, and the inputs they belong to.

``tests/data/mmdt.json`` names each input by a formula over the standard library. Nothing here
imports skmmd.
"""

import hashlib
import json
from pathlib import Path

FILE = Path(__file__).parents[1] / "data" / "mmdt.json"
VECTORS = json.loads(FILE.read_text(encoding="utf-8"))
CASES = VECTORS["cases"]
PAIRS = VECTORS["pairs"]
HASHES = {case["id"]: case["hash"] for case in CASES}


def case_name(case):
    """Return a name that pytest can show and select by."""
    return case["name"].replace(" ", "-").replace("/", "-")


def shake(seed, n):
    return hashlib.shake_128(seed.encode()).digest(n)


def triangle(half, n):
    period = [min(j, 2 * half - 1 - j) * 255 // (half - 1) for j in range(2 * half)]
    return bytes(period[i % (2 * half)] for i in range(n))


def cells(seed, value, rep, rows, below, crep):
    per_row = 64 // crep
    drawn = shake(seed, (rows // rep + 1) * per_row)
    return bytes(
        value if drawn[(y // rep) * per_row + x // crep] < below else 0
        for y in range(rows)
        for x in range(64)
    )


def sparse(value, start, step, n):
    content = bytearray(n)
    for i in range(start, n, step):
        content[i] = value
    return bytes(content)


PRINTABLE = bytes(32 + b % 95 for b in range(256))

FORMULAS = {
    "hex": lambda hex: bytes.fromhex(hex),
    "const": lambda value, n: bytes([value]) * n,
    "shake": shake,
    "text": lambda seed, n: shake(seed, n).translate(PRINTABLE),
    "ramp": lambda mul, add, shift, n: bytes(((i * mul + add) >> shift) & 255 for i in range(n)),
    "tri": triangle,
    "square": lambda lo, hi, period, n: bytes(
        lo if (i // period) % 2 == 0 else hi for i in range(n)
    ),
    "sparse": sparse,
    "concat": lambda parts: b"".join(generate(part) for part in parts),
    "repeat": lambda of, times: generate(of) * times,
    "reverse": lambda of: generate(of)[::-1],
    "replace": lambda of, old, new: generate(of).replace(bytes.fromhex(old), bytes.fromhex(new)),
    "cells": cells,
}


def generate(formula):
    """Return the bytes that a formula of the file stands for."""
    parameters = {name: value for name, value in formula.items() if name != "kind"}
    return FORMULAS[formula["kind"]](**parameters)


def content_of(case_id):
    """Return the input of the case with this id, checked against its length and SHA-256."""
    case = next(case for case in CASES if case["id"] == case_id)
    content = generate(case["input"])
    if len(content) != case["length"]:
        raise ValueError(f"{case['name']}: {len(content)} bytes, not {case['length']}")
    if hashlib.sha256(content).hexdigest() != case["sha256"]:
        raise ValueError(f"{case['name']}: SHA-256 differs")
    return content
