"""Which value a stated gradient belongs to: by its key, in every way that people write it.

``dW1``, ``grad_W1``, ``W1_grad`` and ``W1`` are the gradient of W1; ``dy2`` that of what forward
calls y2, by a variable or by a key of its cache. Shapes decide where a key fits several values.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.probe import Claim
from chainrule.inspect.targets.handing import LABELS
from chainrule.inspect.targets.returned import comparable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chainrule.inspect.targets.handwritten import Slot, Stated
    from chainrule.inspect.targets.tracing import Traced

__all__ = ["Unmatched", "claims_of", "fitting_slots", "named_by"]

_PREFIXES = (
    "grad_wrt_", "gradient_", "gradients_", "grads_", "grad_", "nabla_", "delta_", "dloss_d",
    "dLoss_d", "dJ_d", "dL_d", "dl_d", "dE_d", "dC_d", "dJd", "dLd", "dE", "dL", "dJ", "d_", "g_",
    "grad", "∂", "d", "g",
)  # fmt: skip
_SUFFIXES = ("_gradient", "_grads", "_grad", "_g", "_d", "Grad", "grad")


class Unmatched(Exception):  # noqa: N818 - it is an answer
    """A key that names no value.

    Attributes
    ----------
    near
        The nearest names that there are.
    """

    def __init__(self, near: list[str]) -> None:
        super().__init__()
        self.near = near


def named_by(key: str) -> Iterator[str]:
    """Iterate over the names that a key may stand for, the likeliest first.

    Examples
    --------
    >>> list(named_by("dW1"))
    ['W1', 'dW1']
    >>> list(named_by("W1_grad"))[0]
    'W1'
    """
    owner, dot, own = key.rpartition(".")
    for prefix in _PREFIXES:
        if own.startswith(prefix) and len(own) > len(prefix):
            yield owner + dot + own[len(prefix) :]
    for suffix in _SUFFIXES:
        if own.endswith(suffix) and len(own) > len(suffix):
            yield owner + dot + own[: -len(suffix)]
    yield key


def claims_of(
    stated: Sequence[Stated], slots: Sequence[Slot], values: Sequence[Any], found: Traced | None
) -> tuple[dict[str, Claim], dict[str, list[str]]]:
    """Return the claims by the names of the values, and the keys that name none.

    Parameters
    ----------
    stated
        What backward returned.
    slots, values
        What forward was handed, and its numbers.
    found
        The traced forward pass, if there is one.
    """
    claims: dict[str, Claim] = {}
    unknown: dict[str, list[str]] = {}
    by_name = {slot.name: k for k, slot in enumerate(slots)}
    known = _Known(found)
    for one in stated:
        array = np.array(one.array)
        position = one.slot
        if position is None:
            position = _slot_for(one.key, array, by_name, values)
        if position is not None:
            name = slots[position].name
            node = found.nodes[position] if found is not None else None
            if found is None or node is not None:  # what is not followed has no derivative
                claims.setdefault(name, Claim(name, one.key, array, node))
            continue
        try:
            name, node = known.value_for(one.key, array)
        except Unmatched as none:
            unknown[one.key] = none.near or _near(one.key, by_name)
            continue
        claims.setdefault(name, Claim(name, one.key, array, node, "intermediate"))
    return claims, unknown


class _Known:
    """The values between input and output, by their names."""

    def __init__(self, found: Traced | None) -> None:
        self.names = found.names if found is not None else {}
        self.nodes = found.walk.graph.nodes if found is not None else []
        self.leading = found.leading() if found is not None else set()

    def value_for(self, key: str, array: Any) -> tuple[str, int]:
        """Return the name and the node of what a key stands for.

        Of several the last that has the shape and leads to the output: a variable that is
        assigned again, or written to, means its last value.
        """
        loose: list[tuple[str, int]] = []
        for name in named_by(key):
            nodes = sorted(self.names.get(name, ()), key=lambda i: (i in self.leading, i))
            fitting = [i for i in nodes if self.nodes[i].shape == array.shape]
            if fitting:
                return name, fitting[-1]
            loose += [(name, i) for i in nodes if i in self.leading]
        if loose:
            return loose[-1]
        raise Unmatched(_near(key, self.names))


def _slot_for(
    key: str, array: Any, by_name: Mapping[str, int], values: Sequence[Any]
) -> int | None:
    names = list(named_by(key))
    found = [by_name[name] for name in names if name in by_name]
    if not found:
        lowered = {name.lower(): k for name, k in by_name.items()}
        if len(lowered) == len(by_name):
            found = [lowered[name.lower()] for name in names if name.lower() in lowered]
    fitting = [k for k in found if np.shape(values[k]) == array.shape]
    return next(iter(fitting or found), None)


def _near(key: str, names: Any) -> list[str]:
    plain = [name for name in names if re.fullmatch(r"\w+", name)]
    return difflib.get_close_matches(next(named_by(key)), plain, n=3, cutoff=0.3)


def fitting_slots(
    gradients: Sequence[Any], slots: Sequence[Slot], values: Sequence[Any]
) -> list[int] | None:
    """Return the slot of each gradient of a tuple; None where that cannot be told.

    In the order of the slots: all of them, those of floating-point arrays, or those of
    floating-point numbers, if there are as many. Else the choice, in that order, whose shapes
    agree best: one gradient may have a wrong shape, as long as most have the right one.
    """
    every = list(range(len(slots)))
    floating = [k for k in every if slots[k].is_differentiable]
    arrays = [k for k in floating if np.ndim(values[k])]
    own = [k for k in every if slots[k].argument is not None]
    choices = [every, own, arrays, floating, [k for k in own if k in arrays]]
    same = [c for c in choices if len(c) == len(gradients) and _may_fit(gradients, c, slots)]
    fits = [_exact(gradients, c, values) for c in same]
    if same and max(fits) == len(gradients):
        return same[fits.index(max(fits))]
    chosen = _best(gradients, arrays, slots, values)
    if chosen is not None and (not same or _exact(gradients, chosen, values) > max(fits)):
        return chosen
    return same[fits.index(max(fits))] if same else None


def _may_fit(gradients: Sequence[Any], some: Sequence[int], slots: Sequence[Slot]) -> bool:
    """Return whether what has no gradient is given none."""
    pairs = zip(gradients, some, strict=True)
    return all(g is None or slots[k].is_differentiable for g, k in pairs)


def _exact(gradients: Sequence[Any], some: Sequence[int], values: Sequence[Any]) -> int:
    """Return how many gradients have the shape of what they stand for."""
    pairs = zip(gradients, some, strict=True)
    return sum(g is None or np.shape(g) == np.shape(values[k]) for g, k in pairs)


def _best(
    gradients: Sequence[Any], places: Sequence[int], slots: Sequence[Slot], values: Sequence[Any]
) -> list[int] | None:
    """Return the choice of places, in their order, that most shapes speak for.

    By dynamic programming over the first gradients and the first places. Data have no gradient
    where something else fits as well, and gradients that follow each other are of neighbours.
    """
    score: dict[tuple[int, int], tuple[int, list[int]]] = {}
    for j in range(len(places) + 1):
        score[0, j] = 0, []
    for i, g in enumerate(gradients, start=1):
        for j in range(i, len(places) + 1):
            k = places[j - 1]
            got, wanted = np.shape(g), np.shape(values[k])
            fit = 8 if got == wanted else 5 if comparable(got, wanted) else 0
            before, taken = score[i - 1, j - 1]
            skipped = bool(taken) and taken[-1] != places[j - 2]
            here = before + fit + _likelihood(slots[k]) - 4 * skipped, [*taken, k]
            without = score.get((i, j - 1))
            score[i, j] = here if without is None or here[0] >= without[0] else without
    found = score.get((len(gradients), len(places)))
    if found is None or 2 * _exact(gradients, found[1], values) < len(gradients):
        return None
    return found[1]


def _likelihood(slot: Slot) -> int:
    """Return what a name says for a gradient: parameters have one, then data, then labels."""
    if slot.name in LABELS:
        return -1
    return 0 if slot.name in {"X", "x", "inputs", "data", "A0"} else 2
