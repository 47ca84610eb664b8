"""Norms, means and sums of any numbers that a type holds: huge ones, infinite ones, NaN.

A square overflows long before the number does, and a pass is asked about most where its numbers
are bad. So what is squared is scaled first if it has to be, and nothing here warns or raises.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["mean_and_deviation", "norm", "rms", "total"]

_SAFE = 1e-100, 1e100
"""Between these, squares and their sums neither overflow nor vanish."""


def norm(x: Any) -> float:
    """Return the Euclidean norm of all entries.

    Examples
    --------
    >>> norm([3.0, -4.0]), norm([0.0, 1e200]), norm([3.0, np.inf])
    (5.0, 1e+200, inf)
    """
    x, scale = _scaled(x)
    return float(scale * np.linalg.norm(x)) if math.isfinite(scale) else scale


def rms(x: Any) -> float:
    """Return the root of the mean of the squares; 0 of nothing.

    Examples
    --------
    >>> rms([1e200, -1e200])
    1e+200
    """
    x, scale = _scaled(x)
    if not x.size or not math.isfinite(scale):
        return scale if x.size else 0.0
    return float(scale * np.sqrt(np.mean(np.square(x))))


def mean_and_deviation(x: Any) -> tuple[float, float]:
    """Return the mean and the standard deviation of finite entries.

    Examples
    --------
    >>> mean_and_deviation([1e200, 3e200])
    (2e+200, 1e+200)
    """
    x, scale = _scaled(x)
    return float(scale * np.mean(x)), float(scale * np.std(x))


def total(numbers: Iterable[float]) -> float:
    """Return a sum without rounding on the way; with infinities and NaN, what they make of it.

    Examples
    --------
    >>> total([1e308, 1e308, -1e308]), total([math.inf, 1.0]), total([math.inf, -math.inf])
    (1e+308, inf, nan)
    """
    found = [*numbers]
    try:
        return math.fsum(found)
    except ValueError:  # infinities of both signs
        return math.nan
    except OverflowError:  # only on the way, or in the end, too
        half = math.fsum(x / 2**8 for x in found)
        return half * 2**8


def _scaled(x: Any) -> tuple[Any, float]:
    """Return an array in one row, and what it was divided by: a power of 2, which is exact.

    With infinities or NaN among them nothing is divided, and it is infinite or NaN.
    """
    x = np.ravel(np.asarray(x))
    x = x.astype(np.result_type(x.dtype, np.float64), copy=False)
    largest = float(np.max(np.abs(x), initial=0.0))
    low, high = _SAFE
    if not math.isfinite(largest):
        return x, largest
    if largest == 0 or low < largest < high:
        return x, 1.0
    scale = math.ldexp(1.0, min(math.frexp(largest)[1], 1023))
    return x / scale, scale
