"""Which rows are source and which are target: reading `sample_domain`, and stacking two samples."""

import contextlib
import warnings
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmmd._validation import Interval, StrOptions, stack_level
from skmmd.kernels import GAMMA_FREE, KERNELS, Kernel, median_gamma

__all__ = ["KERNEL_CONSTRAINTS", "Domains", "read_domains", "resolve_gamma"]

FloatArray = NDArray[np.float64]
Indices = NDArray[np.intp]

# Weights, maps and predictors need a positive definite kernel, which "energy" is not.
KERNEL_CONSTRAINTS: dict[str, list[Any]] = {
    "kernel": [StrOptions(set(KERNELS) - {"energy"}), callable],
    "gamma": [StrOptions({"median"}), Interval(Real, 0, None, closed="neither")],
}


@dataclass(frozen=True)
class Domains:
    """The rows of each domain, in their order.

    Parameters
    ----------
    source : ndarray of shape (n_source,), dtype intp
        Numbers of the source rows.
    target : ndarray of shape (n_target,), dtype intp
        Numbers of the target rows.
    """

    source: Indices
    target: Indices


def read_domains(sample_domain: ArrayLike | None, n_rows: int, *, owner: str) -> Domains:
    """Return which rows are source (0 or more) and which are target (negative).

    Parameters
    ----------
    sample_domain : array-like of shape (n_rows,) or None
        One number for each row, of which the sign decides. None: all rows are source, which is
        warned of.
    n_rows : int
        Number of rows.
    owner : str
        Who asks, for the messages.

    Returns
    -------
    Domains
        The rows of each.

    Raises
    ------
    ValueError
        If there is not one finite number for each row, or a domain has no rows.
    TypeError
        If the values are not numbers, or are booleans, which have no sign.
    """
    every = np.arange(n_rows)
    if sample_domain is None:
        warnings.warn(
            f"{owner} was fitted without sample_domain: all rows count as source, and nothing is "
            "transferred. Pass sample_domain, 0 or more for source rows and negative for target "
            "rows; stack_domains makes it from two samples.",
            UserWarning,
            stacklevel=stack_level(),
        )
        return Domains(every, every[:0])
    values = np.asarray(sample_domain)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.shape != (n_rows,):
        raise ValueError(
            f"sample_domain has shape {values.shape}, but X has {n_rows} rows. {owner} takes one "
            "number for each row: 0 or more for source, negative for target."
        )
    if values.dtype == object:
        with contextlib.suppress(TypeError, ValueError):
            values = values.astype(np.float64)
    if values.dtype.kind not in "iuf":
        raise TypeError(
            f"sample_domain has dtype {values.dtype}; expected numbers: 0 or more for source rows, "
            "negative for target rows, as np.where(is_source, 1, -1)."
        )
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise ValueError("sample_domain has NaN: each row must be source (>= 0) or target (< 0).")
    domains = Domains(every[values >= 0], every[values < 0])
    for name, rows, sign in (
        ("target", domains.target, "negative"),
        ("source", domains.source, "0 or more"),
    ):
        if rows.size == 0:
            raise ValueError(
                f"sample_domain has no {name} rows: {sign} marks them. {owner} needs rows of both "
                "domains; in a cross-validation, split by DomainKFold with groups=sample_domain."
            )
    return domains


def resolve_gamma(
    kernel: Kernel, gamma: float | str, rows: FloatArray, sample_weight: FloatArray | None = None
) -> float:
    """Return the kernel's coefficient: as given, or by the median heuristic on the pooled rows."""
    if callable(kernel) or kernel in GAMMA_FREE:
        return 1.0
    if isinstance(gamma, str):
        return median_gamma(kernel, rows, sample_weight)
    return float(gamma)
