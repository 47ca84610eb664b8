"""The same stage for every run: random generators, global arrays and the target's object put back.

User code keeps things in globals, in closures and on itself: a cache, a counter, a gradient that
adds up. A run that follows another on the same stage finds what was there at first.
"""

from __future__ import annotations

import copy
import math
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.targets.frozen import Frozen, codes
from chainrule.inspect.targets.standins import stand_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chainrule.inspect.targets.handwritten import Handwritten

__all__ = ["Stage", "copied", "private"]


class Stage:
    """Where a target is run.

    Parameters
    ----------
    target
        In the form that is run.

    Attributes
    ----------
    refusal
        Why forward could not be traced, if it could not.
    """

    def __init__(self, target: Handwritten) -> None:
        self.target = target
        self.refusal: BaseException | None = None
        self.frozen = Frozen(target.functions)
        self._places = list(_places(target.functions))
        self._held = [(place, _kept(place.get())) for place in self._places]

    def restore(self) -> None:
        """Put back what runs may have changed."""
        for place, kept in self._held:
            kept(place)
        self.target.renew()
        self.frozen.restore()

    @contextmanager
    def set(self) -> Iterator[None]:
        """Run something on the stage as it was, and leave it as it was."""
        self.restore()
        try:
            yield
        finally:
            self.restore()

    def follow(self, tracer: Any) -> None:
        """Let global arrays be values of a trace, until the stage is restored.

        ``X.dot(W)`` asks the plain array X to multiply a value, which it cannot; a value can.
        For the same reason ``np`` is another one meanwhile: see `stand_in`.
        """
        for place, kept in self._held:
            x = kept.object
            if isinstance(x, dict):
                place.put({key: _value(tracer, key, part) for key, part in x.items()})
            elif type(x) in {list, tuple} and any(isinstance(p, np.ndarray) for p in x):
                place.put(type(x)(_value(tracer, place.name, part) for part in x))
            else:
                place.put(stand_in(tracer, _value(tracer, place.name, x)))

    def changed(self) -> list[str]:
        """Return the names of global variables that are not what they were."""
        return [place.name for place, kept in self._held if not kept.holds(place)]


class _Global:
    """A global variable of a function."""

    def __init__(self, name: str, scope: dict[str, Any]) -> None:
        self.name, self._scope = name, scope

    def get(self) -> Any:
        return self._scope[self.name]

    def put(self, x: Any) -> None:
        self._scope[self.name] = x


class _Cell:
    """A variable of an enclosing function."""

    def __init__(self, name: str, cell: Any) -> None:
        self.name, self._cell = name, cell

    def get(self) -> Any:
        return self._cell.cell_contents

    def put(self, x: Any) -> None:
        self._cell.cell_contents = x


class _Part:
    """An attribute of the object that a method belongs to."""

    def __init__(self, name: str, owner: Any) -> None:
        self.name, self._owner = name, owner

    def get(self) -> Any:
        return getattr(self._owner, self.name, None)

    def put(self, x: Any) -> None:
        setattr(self._owner, self.name, x)


_Place = _Global | _Cell | _Part


def _value(tracer: Any, name: Any, x: Any) -> Any:
    """Return a constant of a trace for an array of floating-point numbers, under its name."""
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f" or not x.ndim:
        return x
    value = tracer.constant(x)
    if isinstance(name, str):
        tracer.label(value.index, name)
    return value


class _kept:  # noqa: N801 - called like a function, it returns how to put something back
    """What a variable holds: the object itself, and its contents."""

    def __init__(self, x: Any) -> None:
        self.object = x
        self.contents = _contents(x)

    def __call__(self, place: _Place) -> None:
        """Put it back."""
        if place.get() is not self.object:
            place.put(self.object)
        _refill(self.object, self.contents)

    def holds(self, place: _Place) -> bool:
        """Return whether it is still there."""
        return place.get() is self.object and _same(self.object, self.contents)


def _contents(x: Any) -> Any:
    if isinstance(x, np.ndarray):
        return x.copy()
    if isinstance(x, dict):
        return {key: (part, _contents(part)) for key, part in x.items()}
    return [(part, _contents(part)) for part in x] if isinstance(x, list) else None


def _refill(x: Any, contents: Any) -> None:
    if isinstance(x, np.ndarray):
        if x.flags.writeable and not np.array_equal(x, contents, equal_nan=x.dtype.kind == "f"):
            x[...] = contents
        return
    if isinstance(x, dict):
        if not _same(x, contents):
            x.clear()
            x.update({key: part for key, (part, _) in contents.items()})
        for part, inside in contents.values():
            _refill(part, inside)
    elif isinstance(x, list):
        if not _same(x, contents):
            x[:] = [part for part, _ in contents]
        for part, inside in contents:
            _refill(part, inside)


def _same(x: Any, contents: Any) -> bool:
    if isinstance(x, np.ndarray):
        return np.array_equal(x, contents, equal_nan=x.dtype.kind == "f")
    if isinstance(x, dict):
        return x.keys() == contents.keys() and all(
            x[key] is part and _same(part, inside) for key, (part, inside) in contents.items()
        )
    if isinstance(x, list):
        return len(x) == len(contents) and all(
            own is part and _same(part, inside)
            for own, (part, inside) in zip(x, contents, strict=True)
        )
    return True


def _places(functions: Sequence[Callable[..., Any]]) -> Iterator[_Place]:
    """Iterate over the variables that functions, and those that they call, share with others."""
    seen: set[tuple[int, str]] = set()
    stack = list(functions)
    while stack:
        function: Any = stack.pop()
        owner = getattr(function, "__self__", None)
        if owner is not None and hasattr(owner, "__dict__") and not isinstance(owner, ModuleType):
            yield from (_Part(name, owner) for name, x in vars(owner).items() if _is_state(x))
            stack += _methods(owner, function, seen)
        for key, place in _variables(getattr(function, "__func__", function)):
            if (key, place.name) in seen:
                continue
            seen.add((key, place.name))
            x = place.get()
            if _is_state(x):
                yield place
            elif hasattr(x, "__code__"):
                stack.append(x)
            elif isinstance(x, type):
                stack += _methods(x, function, seen)


def _methods(owner: Any, function: Any, seen: set[tuple[int, str]]) -> list[Any]:
    """Return the methods of a class, or of an object's, that stands in the user's own file."""
    kind = owner if isinstance(owner, type) else type(owner)
    file = getattr(getattr(function, "__code__", None), "co_filename", "")
    if (id(kind), "methods") in seen:
        return []
    seen.add((id(kind), "methods"))
    found = [getattr(x, "__func__", x) for c in kind.__mro__ for x in vars(c).values()]
    return [
        f for f in found if hasattr(f, "__code__") and (not file or f.__code__.co_filename == file)
    ]


def _variables(function: Any) -> Iterator[tuple[int, _Place]]:
    """Iterate over the variables around a function, and where they are."""
    code, scope = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    if code is None:
        return
    for name in dict.fromkeys(name for part in codes(code) for name in part.co_names):
        if name in scope:
            yield id(scope), _Global(name, scope)
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        if _is_filled(cell):
            yield id(cell), _Cell(name, cell)


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - it raises where there is nothing
    except ValueError:
        return False
    return True


def _is_state(x: Any) -> bool:
    """Return whether a variable may be changed by a run, or stands for a library in a trace."""
    return (
        x is None
        or x is np
        or x is math
        or isinstance(x, np.ndarray | dict | list | int | float | tuple | np.generic)
        or any(getattr(m, getattr(x, "__name__", ""), None) is x for m in (np, math))
    )


def private(x: Any) -> Any:
    """Return a copy that shares nothing, or the thing itself where it cannot be copied."""
    try:
        return copy.deepcopy(x)
    except Exception:  # noqa: BLE001 - what is inside may refuse in any way
        return x


def copied(values: Sequence[Any]) -> list[Any]:
    """Return values that belong to nobody else: arrays, containers, settings, generators."""
    return [x if callable(x) else private(x) for x in values]
