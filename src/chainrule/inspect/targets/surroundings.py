"""What lies around the functions and between the inputs: shared arrays, shared memory."""

from __future__ import annotations

import dataclasses
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors.root import is_library
from chainrule.inspect.targets import returned, situation
from chainrule.inspect.targets.frozen import referred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chainrule.inspect.finding import Finding
    from chainrule.inspect.targets.handwritten import Slot
    from chainrule.inspect.targets.pairs import WrongCount

__all__ = ["inputs_apart", "miscounted", "share_memory", "shared_by"]


def shared_by(functions: Sequence[Callable[..., Any]]) -> list[str]:
    """Return the names of floating-point arrays around all of some functions."""
    if len(functions) < 2:
        return []
    first, *others = [referred(function) for function in functions]
    return [
        name
        for name, x in first.items()
        if _is_array(x) and all(other.get(name) is x for other in others)
    ]


def miscounted(functions: Sequence[Callable[..., Any]], count: WrongCount, where: str) -> Finding:
    """Return what is wrong where there are not as many gradients as arrays."""
    around = _read_by(functions)
    if count.got > len(count.wanted) and around:
        return dataclasses.replace(situation.parameters_around(around, count), where=where)
    return returned.wrong_count(count, where)


def _read_by(functions: Sequence[Callable[..., Any]]) -> list[str]:
    """Return the names of floating-point arrays around functions, and around what they call."""
    found: dict[str, None] = {}
    waiting, seen = list(functions), set(map(id, functions))
    while waiting:
        function = waiting.pop(0)
        for name, x in referred(function).items():
            if _is_array(x):
                found[name] = None
            elif hasattr(x, "__code__") and not is_library(x.__code__.co_filename):
                waiting += [x] * (id(x) not in seen)
                seen.add(id(x))
    return list(found)


def _is_array(x: Any) -> bool:
    if isinstance(x, dict):
        return any(_is_array(part) for part in x.values())
    return isinstance(x, np.ndarray) and x.dtype.kind == "f" and x.ndim > 0


def inputs_apart(slots: Sequence[Slot]) -> Iterator[Finding]:
    """Iterate over findings about inputs that are not independent of each other."""
    arrays = [s for s in slots if s.is_array and s.is_differentiable and s.given.size > 1]
    for a, b in itertools.combinations(arrays, 2):
        if a.given is b.given:
            yield situation.shared_inputs(a.name, b.name, "is the same array as")
        elif np.may_share_memory(a.given, b.given) and share_memory(a.given, b.given):
            yield situation.shared_inputs(a.name, b.name, "shares memory with")
        else:
            how = _computed(a.given, b.given)
            if how:
                yield situation.shared_inputs(a.name, b.name, how)


def share_memory(a: Any, b: Any) -> bool:
    """Return whether two arrays share an entry, as far as that is found with little work."""
    try:
        return bool(np.shares_memory(a, b, max_work=10_000))  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return False


def _computed(a: Any, b: Any) -> str:
    """Return how one array follows from another, empty if it does not in a simple way."""
    if np.unique(a).size < 3 or not np.all(np.isfinite(a)):
        return ""  # constants, masks and labels agree by chance
    if a.shape == b.shape:
        if np.array_equal(a, b):
            return "is equal to"
        place = np.unravel_index(np.argmax(np.abs(a)), a.shape)
        ratio = b[place] / a[place]
        if ratio and np.allclose(b, ratio * a, rtol=1e-12, atol=0):
            return f"is {ratio:.6g} times"
    if a.ndim == 2 and a.shape == b.shape[::-1] and np.array_equal(a.T, b):
        return "is the transpose of"
    return ""
