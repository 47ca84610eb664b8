"""Central differences in float64, with a step for each entry and an estimate of their error.

For an entry x the step is ``eps · max(1, |x|)``. Each quotient is taken with the step and with
half of it: (4 q(h/2) - q(h)) / 3 has an error of order h⁴ (Richardson), and the difference of
the two says how far the first may be off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["EPS", "Difference", "difference", "step_at"]

EPS = 1e-4
"""About the fifth root of the rounding of float64, which suits an error of order h⁴."""
LARGEST = 4096
"""Entries; of a larger array no gradient is taken by differences."""


@dataclass(frozen=True)
class Difference:
    """A gradient by differences.

    Attributes
    ----------
    gradient
        In the shape of the array.
    error
        For each entry how far the gradient may be off; large at a kink.
    """

    gradient: Any
    error: Any


def step_at(x: float, eps: float = EPS) -> float:
    """Return the step at a number: exactly representable, so that x + h - x is h."""
    h = eps * max(1.0, abs(x))
    return float((x + h) - x)


def difference(
    f: Callable[..., Any], values: Sequence[Any], k: int, eps: float = EPS
) -> Difference | None:
    """Return the gradient of a number by one of the arrays, or None if that is too large.

    Parameters
    ----------
    f
        From the values to one number.
    values
        What f is handed.
    k
        Which of them.
    eps
        The relative step.
    """
    x = np.asarray(values[k], float)
    if x.size > LARGEST:
        return None
    gradient, error = np.zeros(x.shape), np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        h = step_at(float(x[place]), eps)
        wide, narrow = (_quotient(f, values, k, place, s) for s in (h, h / 2))
        gradient[place] = (4 * narrow - wide) / 3
        error[place] = abs(narrow - wide)
    return Difference(gradient, error)


def _quotient(
    f: Callable[..., Any], values: Sequence[Any], k: int, place: tuple[int, ...], h: float
) -> float:
    ys = []
    for step in (h, -h):
        moved = list(values)
        x = np.array(values[k], float)
        x[place] += step
        moved[k] = x if x.ndim else float(x)
        with np.errstate(all="ignore"):
            ys.append(float(f(*moved)))
    return (ys[0] - ys[1]) / (2 * h)
