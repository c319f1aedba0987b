"""Which rows are source and which are target: reading `sample_domain`, and stacking two samples."""

import warnings
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skmmd._validation import Interval, StrOptions, check_domain, stack_level
from skmmd.kernels import GAMMA_FREE, KERNELS, Kernel, gram, median_gamma

__all__ = ["KERNEL_CONSTRAINTS", "Domains", "read_domains", "resolve_gamma"]

FloatArray = NDArray[np.float64]
Indices = NDArray[np.intp]

_LARGEST_VALUE = 1e140

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


def read_domains(
    sample_domain: ArrayLike | None,
    n_rows: int,
    *,
    owner: str,
    verb: str = "fitted",
    warn: bool = True,
) -> Domains:
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
    verb : str, default="fitted"
        What was done without it.
    warn : bool, default=True
        Whether to warn if there is no `sample_domain`.

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
        if warn:
            message = (
                f"{owner} was {verb} without sample_domain: all rows count as source, and nothing "
                "is transferred. Pass sample_domain, 0 or more for source rows and negative for "
                "target rows; stack_domains makes it from two samples."
            )
            warnings.warn(message, UserWarning, stacklevel=stack_level())
        return Domains(every, every[:0])
    is_source = check_domain(sample_domain, n_rows, owner=owner)
    domains = Domains(every[is_source], every[~is_source])
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
    """Return the kernel's coefficient: as given, or by the median heuristic on the pooled rows.

    Raises
    ------
    ValueError
        If products of kernel values would leave the range of float64.
    """
    if callable(kernel):
        return 1.0
    if kernel in GAMMA_FREE:
        value = 1.0
    elif isinstance(gamma, str):
        value = median_gamma(kernel, rows, sample_weight)
    else:
        value = float(gamma)
    if KERNELS[kernel][0] == "dot":
        with np.errstate(over="ignore"):
            largest = float(gram(kernel, np.array([value]), rows).diagonal().max())
        if not largest < _LARGEST_VALUE:
            raise ValueError(
                f"Values of the {kernel} kernel reach {largest:.1e}, which leaves no range for "
                "their products in float64; rescale the features, or take a kernel that is bounded."
            )
    return value
