"""A number for each layer in one line: all of a few, the ends and the worst place of many."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["course"]

_SHOWN = 12
"""The most numbers that stand in a line."""


def course(numbers: Sequence[float], place: int, between: str) -> str:
    """Return numbers as text, of many the first, the last and those around a place.

    Examples
    --------
    >>> course([1.0, 0.5, 0.25], 1, ", ")
    '1, 0.5, 0.25'
    >>> course(range(40), 20, ", ")
    '0, 1, 2, … 16 more, 19, 20, 21, 22, … 14 more, 37, 38, 39'
    """
    count = len(numbers)
    if count <= _SHOWN:
        return between.join(f"{x:.2g}" for x in numbers)
    kept = sorted({0, 1, 2, *range(place - 1, place + 3), *range(count - 3, count)})
    kept = [k for k in kept if 0 <= k < count]
    words = []
    for before, k in zip([-1, *kept], kept, strict=False):
        if k > before + 1:
            words.append(f"… {k - before - 1} more")
        words.append(f"{numbers[k]:.2g}")
    return between.join(words)
