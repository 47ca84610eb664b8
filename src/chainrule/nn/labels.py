"""Labels and the like: numbers that have to be of a kind, or an error that says where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import LabelError
from chainrule.graph import Value, describe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["listed", "placed", "require_below"]

SHOWN = 4
"""How many places an error lists."""


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


def placed(numbers: Any, chosen: Any, place: str = "row") -> str:
    """Return the numbers that a mask chooses, with their places.

    Examples
    --------
    >>> x = np.array([3, 0, -1])
    >>> placed(x, x != 0)
    '3 in row 0 and -1 in row 2'
    """
    places: Iterable[Any] = np.argwhere(chosen)
    return listed(
        [
            f"{numbers[tuple(p)]}" + (f" in {place} {', '.join(map(str, p))}" if p.size else "")
            for p in places
        ]
    )


def require_below(
    labels: Any, count: int, what: str, place: str, *, but: int | None = None, given: str = ""
) -> None:
    """Refuse labels that are not 0 … count - 1, with their places.

    Parameters
    ----------
    labels
        Whole numbers of any type; where only their shape is known, nothing can be said.
    count
        How many there are to name.
    what, place
        What to call them and where they stand, as in "labels" and "row".
    but
        A label that stands for none, and is fine.
    given
        The name of the argument that they came in, if it is not ``what``.
    """
    if type(labels) is Value:
        return
    with np.errstate(invalid="ignore"):
        wrong = ~((labels >= 0) & (labels < count) & (labels % 1 == 0))
    if but is not None:
        wrong = wrong & (labels != but)
    if not np.any(wrong):
        return
    given = given or what
    from_one = labels.min() == 1 and labels.max() == count
    raise LabelError(
        f"{what} need to be whole numbers from 0 to {count - 1}, got "
        f"{placed(labels, wrong, place)}.",
        f"{given}: {describe(labels)}",
        advice=f"These count from 1: pass {given} - 1." if from_one else "",
    )
