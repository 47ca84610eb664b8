"""Randomness held still: every generator that a target reaches draws alike each time.

A forward pass with dropout in it draws a mask. For a derivative it is one function only if each
run draws the same one. NumPy's and Python's global states, and the generators that the target's
functions refer to, are put back to where they were.
"""

from __future__ import annotations

import copy
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Frozen", "Generators", "codes", "put_back", "referred", "state_of"]

Generators = np.random.Generator | np.random.RandomState | random.Random
DEPTH = 3
"""How many attributes or containers deep a generator is looked for."""


class Frozen:
    """The states of all random generators, as they were when this was made.

    Parameters
    ----------
    functions
        The user's functions, whose closures, defaults, globals and objects are searched.
    """

    def __init__(self, functions: Sequence[Callable[..., Any]]) -> None:
        self.generators = list(_generators(functions))
        self.states = [state_of(g) for g in self.generators]
        self.of_numpy = np.random.get_state()  # noqa: NPY002 - the user's code may draw from it
        self.of_python = random.getstate()

    def restore(self) -> None:
        """Put every generator back."""
        np.random.set_state(self.of_numpy)  # noqa: NPY002 - see above
        random.setstate(self.of_python)
        for generator, state in zip(self.generators, self.states, strict=True):
            put_back(generator, state)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Start from these states, and leave no trace of what is drawn."""
        self.restore()
        try:
            yield
        finally:
            self.restore()


def state_of(generator: Any) -> Any:
    """Return a copy of the state of a random generator."""
    if isinstance(generator, np.random.Generator):
        return copy.deepcopy(generator.bit_generator.state)
    return generator.getstate() if isinstance(generator, random.Random) else generator.get_state()


def put_back(generator: Any, state: Any) -> None:
    """Put a random generator back to a state."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    else:
        generator.set_state(state)


def _generators(functions: Sequence[Callable[..., Any]]) -> Iterator[Any]:
    seen: set[int] = set()
    stack = [(x, DEPTH) for f in functions for x in referred(f).values()]
    while stack:
        x, depth = stack.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        if isinstance(x, Generators):
            yield x
        elif depth:
            stack += [(part, depth - 1) for part in _parts(x)]


def _parts(x: Any) -> list[Any]:
    if isinstance(x, dict):
        return list(x.values())
    if isinstance(x, list | tuple):
        return list(x)
    if hasattr(x, "__code__") or hasattr(x, "__func__"):
        return list(referred(x).values())
    is_plain = isinstance(x, type | np.ndarray) or type(x).__module__ in {"builtins", "numpy"}
    return (
        []
        if is_plain or type(x).__name__ == "module"
        else list(getattr(x, "__dict__", {}).values())
    )


def referred(function: Callable[..., Any]) -> dict[str, Any]:
    """Return what a function refers to by name: closure, defaults, globals, its object.

    Examples
    --------
    >>> rate = 0.5
    >>> referred(lambda x, by=2: x * rate + by)["by"]
    2
    """
    found: dict[str, Any] = {}
    owner = getattr(function, "__self__", None)
    if owner is not None and not isinstance(owner, type(np)):
        found["self"] = owner
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None:
        return found | {"call": vars(function)} if hasattr(function, "__dict__") else found
    known = getattr(function, "__globals__", {})
    names = [name for part in codes(code) for name in part.co_names]
    found |= {name: known[name] for name in names if name in known}
    cells = zip(code.co_freevars, getattr(function, "__closure__", None) or (), strict=True)
    for name, cell in cells:
        try:
            found[name] = cell.cell_contents
        except ValueError:  # a cell that is not filled yet
            continue
    defaults = getattr(function, "__defaults__", None) or ()
    names = list(code.co_varnames[: code.co_argcount])
    found |= dict(zip(names[len(names) - len(defaults) :], defaults, strict=True))
    return found | (getattr(function, "__kwdefaults__", None) or {})


def codes(code: Any) -> Iterator[Any]:
    """Iterate over the code of a function and of the functions inside it."""
    yield code
    for constant in code.co_consts:
        if hasattr(constant, "co_names"):
            yield from codes(constant)
