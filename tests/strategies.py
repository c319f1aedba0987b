"""Hypothesis strategies for samples: awkward contents in every form that callers pass."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

try:
    import pandas as pd
except ImportError:
    pd = None
try:
    import polars as pl
except ImportError:
    pl = None

CONTENTS = ("normal", "grid", "duplicates", "constant column", "offset", "small", "large")
FORMS = (
    "C",
    "Fortran",
    "strided",
    "reversed",
    "read-only",
    "float32",
    "integer",
    "list",
    *(["pandas"] if pd is not None else []),
    *(["polars"] if pl is not None else []),
)
INTEGER_CONTENTS = ("grid", "duplicates")


@dataclass(frozen=True)
class Samples:
    """Samples as a caller would pass them, and as plain float64 for the oracle.

    ``scale`` is the typical distance of two rows: a gamma of c / scale**2 is sensible.
    """

    given: tuple[Any, ...]
    plain: tuple[np.ndarray, ...]
    scale: float
    content: str
    form: str

    def __repr__(self):
        rows = [f"{len(p)}x{p.shape[1]}" for p in self.plain]
        return f"Samples({self.content}, {self.form}, {rows}, {[p.tolist() for p in self.plain]})"


def as_form(X, form):
    """Return the values of X in one of FORMS; only float32 and integer may need exact values."""
    if form == "C":
        return np.ascontiguousarray(X)
    if form == "Fortran":
        return np.asfortranarray(X)
    if form == "strided":
        wide = np.full((X.shape[0] * 2, X.shape[1] * 3), np.nan)
        wide[::2, ::3] = X
        return wide[::2, ::3]
    if form == "reversed":
        return np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]
    if form == "read-only":
        X = np.array(X)
        X.flags.writeable = False
        return X
    if form == "float32":
        return X.astype(np.float32)
    if form == "integer":
        return X.astype(np.int64)
    if form == "list":
        return X.tolist()
    columns = [f"column {i}" for i in range(X.shape[1])]
    if form == "pandas":
        return pd.DataFrame(np.array(X), columns=columns)
    if form == "polars":
        return pl.DataFrame(np.array(X), schema=columns)
    if form == "1-D":
        return X[:, 0].copy()
    raise ValueError(form)


def _content(rng, content, sizes, d):
    """Return arrays of float64 and the scale of their distances."""
    shifts = rng.normal(size=(len(sizes), d)) * rng.choice([0.0, 0.5, 2.0])
    if content in INTEGER_CONTENTS:
        high = 2 if content == "duplicates" else 6
        return [rng.integers(0, high, size=(n, d)).astype(float) for n in sizes], 1.0
    arrays = [rng.normal(size=(n, d)) + s for n, s in zip(sizes, shifts, strict=True)]
    if content == "constant column":
        for X in arrays:
            X[:, 0] = 3.25
        return arrays, 1.0
    if content == "offset":
        return [X + 1000.0 for X in arrays], 1.0
    factor = {"normal": 1.0, "small": 1e-6, "large": 1e6}[content]
    return [X * factor for X in arrays], factor


@st.composite
def samples(
    draw, n_samples=2, min_rows=2, max_rows=12, max_features=4, forms=FORMS, contents=CONTENTS
):
    """Draw samples with the same number of columns, all in one form."""
    form = draw(st.sampled_from(forms))
    allowed = [c for c in contents if form != "integer" or c in INTEGER_CONTENTS]
    content = draw(st.sampled_from(allowed))
    d = 1 if form == "1-D" else draw(st.integers(1, max_features))
    sizes = [draw(st.integers(min_rows, max_rows)) for _ in range(n_samples)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    arrays, scale = _content(rng, content, sizes, d)
    if form == "float32":
        arrays = [X.astype(np.float32).astype(np.float64) for X in arrays]
    return Samples(
        given=tuple(as_form(X, form) for X in arrays),
        plain=tuple(arrays),
        scale=scale,
        content=content,
        form=form,
    )


def integer_weights(n, max_weight=4):
    """Draw n integer weights of which at least two rows count."""
    return (
        st.lists(st.integers(0, max_weight), min_size=n, max_size=n)
        .map(np.array)
        .filter(lambda w: w.sum() >= 2)
    )


def blocks(max_rows=9, max_features=5):
    """Draw two float64 blocks of rows with equal columns; zero rows are allowed."""

    def build(args):
        n, m, d, seed = args
        rng = np.random.default_rng(seed)
        return rng.normal(size=(n, d)), rng.normal(size=(m, d))

    return st.tuples(
        st.integers(0, max_rows),
        st.integers(0, max_rows),
        st.integers(1, max_features),
        st.integers(0, 2**32 - 1),
    ).map(build)
