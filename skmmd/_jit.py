"""Compiled loops: the decorator :func:`loop` and the shared functions :func:`exp`, :func:`log`.

This is the only file that names Numba and its flags. The two functions are frozen: Numba does not
notice that a cached caller was compiled against an older callee in another file.
"""

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

__all__ = ["exp", "log", "loop"]

# Keeps NaN and infinities right (no "nnan", no "ninf"), yet lets sums be vectorised.
_REDUCTION_FLAGS = {"nsz", "arcp", "contract", "reassoc"}


def _compile(function: Callable[..., Any], **flags: Any) -> Callable[..., Any]:
    flags = {"nogil": True, "error_model": "numpy", **flags}
    try:
        return numba.njit(cache=True, **flags)(function)
    except RuntimeError as error:
        # Neither __pycache__ nor the user's cache folder can be written: compile in memory.
        if "cannot cache" not in str(error):
            raise
        return numba.njit(**flags)(function)


def loop(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a serial loop over arrays: no GIL, cached on disk, sums may be vectorised.

    Threads run outside, over blocks of rows (:mod:`skmmd._chunked`), so that results never depend
    on their number.

    Parameters
    ----------
    function : callable
        A function of numbers and C-contiguous arrays. It is compiled at its first call.

    Returns
    -------
    callable
        The compiled function, or `function` itself where ``NUMBA_DISABLE_JIT=1``.
    """
    return _compile(function, fastmath=_REDUCTION_FLAGS)


_LOG2_E = 1.4426950408889634
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_ROUND = 6755399441055744.0  # 1.5 * 2**52: adding it rounds to an integer in the low bits
_SMALLEST = -708.0
_LARGEST = 709.0


def _exp(x):  # type: ignore[no-untyped-def]
    # x = k ln2 + r with |r| <= ln2/2; exp(x) = 2**k exp(r), 2**k written as exponent bits.
    # No branch and no table, so that LLVM can vectorise the loop around it.
    shifted = x * _LOG2_E + _ROUND
    k = shifted - _ROUND
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    bits = (np.float64(shifted).view(np.int64) + 1023) << 52
    value = p * np.int64(bits).view(np.float64)
    value = 0.0 if x < _SMALLEST else value
    return np.inf if x > _LARGEST else value


def _interpreted_exp(x: float) -> float:
    if x < _SMALLEST:
        return 0.0
    return math.inf if x > _LARGEST else math.exp(x)


# Exponential of a float64 inside a compiled loop: relative error below 3e-16 on [-708, 709],
# 0 below, inf above, NaN kept. "contract" alone: reassociation would undo the range reduction.
_disabled = getattr(numba.config, "DISABLE_JIT", 0)
exp = _interpreted_exp if _disabled else _compile(_exp, fastmath={"contract"})


_LARGEST_FINITE = 1.7976931348623157e308
_SMALLEST_NORMAL = 2.2250738585072014e-308
_TWO_54 = 18014398509481984.0
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD


def _log(x):  # type: ignore[no-untyped-def]
    # x = 2**k (1 + f) with sqrt(1/2) <= 1 + f < sqrt(2); log(1 + f) = 2 artanh(f / (2 + f)), whose
    # leading terms are summed so that they do not round: f - (f*f/2 - s (f*f/2 + rest)).
    tiny = x < _SMALLEST_NORMAL
    scaled = x * _TWO_54 if tiny else x
    bits = np.float64(scaled).view(np.int64)
    exponent = (bits - _SQRT_HALF_BITS) >> 52
    f = np.int64(bits - (exponent << 52)).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = 1.0 / 21.0
    p = p * z + 1.0 / 19.0
    p = p * z + 1.0 / 17.0
    p = p * z + 1.0 / 15.0
    p = p * z + 1.0 / 13.0
    p = p * z + 1.0 / 11.0
    p = p * z + 1.0 / 9.0
    p = p * z + 1.0 / 7.0
    p = p * z + 1.0 / 5.0
    p = p * z + 1.0 / 3.0
    half = 0.5 * f * f
    k = np.float64(exponent) - (54.0 if tiny else 0.0)
    value = k * _LN2_HIGH + ((f - (half - s * (half + 2.0 * z * p))) + k * _LN2_LOW)
    if_not_positive = -np.inf if x == 0.0 else np.nan
    if_positive = x if x > _LARGEST_FINITE else value
    return if_positive if x > 0.0 else if_not_positive


def _interpreted_log(x: float) -> float:
    if x > 0.0:
        return math.log(x)
    return -math.inf if x == 0.0 else math.nan


# Natural logarithm of a float64 inside a compiled loop: error at most 1.1 units in the last place,
# -inf at 0, NaN below and at NaN, inf kept.
log = _interpreted_log if _disabled else _compile(_log, fastmath={"contract"})
