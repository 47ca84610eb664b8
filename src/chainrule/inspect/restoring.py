"""A run that leaves the user's objects as they were: a layer that keeps its input keeps its own.

While a program is walked its arrays are values of a trace, which are of no use afterwards. What a
method keeps of them in its object (``self.last_input = x``) would be, too. So the attributes of
each object that the program can reach are noted before the run and put back after it, and so are
lists and dictionaries. What lies in variables around a function is put back only where it would
hold a value of the trace: a list that a function appends numbers to is meant to be read.
"""

from __future__ import annotations

import functools
import sys
from collections import deque
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.errors.root import is_library
from chainrule.graph import Value
from chainrule.nn import Module
from chainrule.nn.parameters import Parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["restoring"]

_MOST, _LONG = 2000, 1000
"""Objects that are looked at, the nearest; entries of a container that are looked at, if so few."""

_NUMBERS = (np.ndarray, np.generic, float, int, complex, str, bytes, type(None), Value, Parameter)

_PLAIN: tuple[type, ...] = (*_NUMBERS, type, ModuleType, BuiltinFunctionType, CodeType)
"""What has no state, or another one than attributes."""


def restoring(run: Callable[..., Any], *roots: Any) -> Callable[..., Any]:
    """Return a function that runs another and then puts back what that left in objects.

    Parameters
    ----------
    run
        The function.
    *roots
        What the run can reach: the user's function, module or object, and its arguments.

    Examples
    --------
    >>> class Layer:
    ...     last_input = None
    ...
    ...     def forward(self, x):
    ...         self.last_input = x
    ...         return 2 * x
    >>> layer = Layer()
    >>> restoring(layer.forward, layer)(1.5), layer.last_input
    (3.0, None)
    """

    @functools.wraps(run)
    def restored(*args: Any) -> Any:
        states = list(_states(roots))
        try:
            return run(*args)
        finally:
            for state in states:
                state.restore()

    return restored


class _State(NamedTuple):
    """What something held before a run, and how to put it back.

    Attributes
    ----------
    read
        Returns what it holds.
    write
        Puts back what it held.
    before
        What it held.
    is_owned
        Whether all of it is put back, and not only where it holds a value of a trace.
    """

    read: Callable[[], list[Any]]
    write: Callable[[list[Any]], None]
    before: list[Any]
    is_owned: bool

    def restore(self) -> None:
        now = self.read()
        is_same = len(now) == len(self.before) and all(map(_same, now, self.before))
        if not is_same and (self.is_owned or any(map(_holds_value, now))):
            self.write(self.before)


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is tuple and type(b) is tuple and all(map(_same, a, b)))


def _holds_value(x: Any, depth: int = 3) -> bool:
    if type(x) is Value:
        return True
    if depth == 0 or not isinstance(x, tuple | list | dict):
        return False
    return any(_holds_value(part, depth - 1) for part in (x.values() if type(x) is dict else x))


def _states(roots: tuple[Any, ...]) -> Iterator[_State]:
    """Iterate over the state of all that can be reached, each once."""
    waiting: deque[tuple[Any, bool]] = deque((root, False) for root in roots)
    seen: set[int] = set()
    kept: list[Any] = []  # so that no other object gets the number of one that was seen
    while waiting and len(seen) < _MOST:
        x, is_owned = waiting.popleft()
        if isinstance(x, _PLAIN) or id(x) in seen:
            continue
        seen.add(id(x))
        kept.append(x)
        if isinstance(x, FunctionType):
            yield from _of_variables(x)
            waiting += [(part, False) for part in _around(x)]
        elif isinstance(x, MethodType):
            waiting += [(x.__func__, False), (x.__self__, True)]
        elif isinstance(x, functools.partial):
            waiting += [(part, False) for part in (x.func, *x.args, *x.keywords.values())]
        elif isinstance(x, tuple):
            waiting += [(part, is_owned) for part in x]
        elif isinstance(x, list | dict | set | deque):
            yield _of_container(x, is_owned)
            if len(x) <= _LONG:
                waiting += [(part, is_owned) for part in (x.values() if isinstance(x, dict) else x)]
        elif _is_users(x):
            yield from _of_attributes(x)
            waiting += [(part, True) for part in _attributes(x)]
            waiting += [(part, False) for part in _methods(x)]


def _is_users(x: Any) -> bool:
    """Return whether an object is of a class of the user's, or a module of a network."""
    if isinstance(x, Module):
        return True
    written = [part.__code__.co_filename for part in _methods(x)]
    home = sys.modules.get(type(x).__module__)
    files = written or [getattr(home, "__file__", None) or ""]
    return type(x).__module__ != "builtins" and not all(map(is_library, files))


def _methods(x: Any) -> Iterator[Any]:
    """Iterate over the functions of an object's classes."""
    for kind in type(x).__mro__:
        if kind is not Module:
            yield from (part for part in vars(kind).values() if isinstance(part, FunctionType))


def _attributes(x: Any) -> list[Any]:
    """Return what the attributes of an object hold."""
    names = [name for name in _slots(x) if hasattr(x, name)]
    return [*getattr(x, "__dict__", {}).values(), *[getattr(x, name) for name in names]]


def _slots(x: Any) -> Iterator[str]:
    """Iterate over the attributes of an object that have a place of their own."""
    for kind in type(x).__mro__:
        named = vars(kind).get("__slots__", ())
        names = [named] if isinstance(named, str) else named
        yield from (name for name in names if not name.startswith("__"))


def _of_attributes(x: Any) -> Iterator[_State]:
    """Iterate over the state of an object: its dictionary, and its slots."""
    attributes = getattr(x, "__dict__", None)
    if type(attributes) is dict:
        yield _of_container(attributes, is_owned=True)
    for name in _slots(x):
        read = functools.partial(_read_slot, x, name)
        yield _State(read, functools.partial(_write_slot, x, name), read(), is_owned=True)


_EMPTY = object()
"""What an attribute is that was not set."""


def _read_slot(x: Any, name: str) -> list[Any]:
    return [getattr(x, name, _EMPTY)]


def _write_slot(x: Any, name: str, before: list[Any]) -> None:
    if before[0] is _EMPTY:
        object.__delattr__(x, name)
    else:
        object.__setattr__(x, name, before[0])


def _of_container(x: Any, is_owned: bool) -> _State:
    """Return the state of a list, dictionary, set or queue."""

    def read() -> list[Any]:
        return list(x.items()) if isinstance(x, dict) else list(x)

    def write(before: list[Any]) -> None:
        x.clear()
        (x.update if isinstance(x, dict | set) else x.extend)(before)

    return _State(read, write, read(), is_owned)


def _of_variables(function: FunctionType) -> Iterator[_State]:
    """Iterate over the state of the variables around a function: of functions, of the module."""
    if is_library(function.__code__.co_filename):
        return
    for cell in function.__closure__ or ():
        try:
            held = [cell.cell_contents]
        except ValueError:  # it has no value yet
            continue
        yield _State(
            functools.partial(_read_cell, cell), functools.partial(_write_cell, cell), held, False
        )
    around = function.__globals__
    for name in _names(function.__code__):
        if name in around:
            yield _State(
                functools.partial(_read_global, around, name),
                functools.partial(_write_global, around, name),
                [around[name]],
                is_owned=False,
            )


def _read_cell(cell: Any) -> list[Any]:
    return [cell.cell_contents]


def _write_cell(cell: Any, before: list[Any]) -> None:
    cell.cell_contents = before[0]


def _read_global(around: dict[str, Any], name: str) -> list[Any]:
    return [around.get(name)]


def _write_global(around: dict[str, Any], name: str, before: list[Any]) -> None:
    around[name] = before[0]


def _around(function: FunctionType) -> Iterator[Any]:
    """Iterate over what the variables around a function hold."""
    if is_library(function.__code__.co_filename):
        return
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue
    yield from function.__defaults__ or ()
    for name in _names(function.__code__):
        if name in function.__globals__:
            yield function.__globals__[name]


def _names(code: CodeType) -> Iterator[str]:
    """Iterate over the variables of the module that a function and those inside it name."""
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _names(inner)
