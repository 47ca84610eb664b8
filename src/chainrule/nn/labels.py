"""Labels and indices: whole numbers that name one of so many, or an error that says where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import LabelError
from chainrule.graph import Value, describe

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["listed", "require_below"]

SHOWN = 4
"""How many wrong labels an error lists."""


def listed(words: Sequence[str]) -> str:
    """Return ``a, b and c``, or the first few and how many more.

    Examples
    --------
    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    shown = list(words[:SHOWN])
    if len(words) > SHOWN:
        shown.append(f"{len(words) - SHOWN} more")
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if shown[1:] else shown)


def require_below(
    labels: Any, count: int, what: str, place: str, *, but: int | None = None
) -> None:
    """Refuse labels that are not 0 … count - 1, with their places.

    Parameters
    ----------
    labels
        Integers; where only their shape is known, nothing can be said.
    count
        How many there are to name.
    what, place
        What to call them and where they stand, as in "labels" and "row".
    but
        A label that stands for none, and is fine.
    """
    if type(labels) is Value:
        return
    wrong = (labels < 0) | (labels >= count)
    if but is not None:
        wrong = wrong & (labels != but)
    places = np.argwhere(wrong)
    if not len(places):
        return
    said = [
        f"{labels[tuple(p)]}" + (f" in {place} {', '.join(map(str, p))}" if p.size else "")
        for p in places
    ]
    from_one = labels.min() == 1 and labels.max() == count
    raise LabelError(
        f"{what} need to be whole numbers from 0 to {count - 1}, got {listed(said)}.",
        f"{what}: {describe(labels)}",
        advice=f"These count from 1: pass {what} - 1." if from_one else "",
    )
