"""The modules that a program calls, whose parameters become arguments of it, by their paths."""

from __future__ import annotations

import functools
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors.root import is_library
from chainrule.graph import Value
from chainrule.inspect.noticing import Rank
from chainrule.nn import Module
from chainrule.nn.parameters import standing_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

__all__ = ["Modules", "Told", "modules_in", "parts"]

Told = list[tuple[Value, str, int]]
"""Values, what they are called, and the rank of the name."""

_KEY = np.array([0])
"""What random layers draw from: the same each time."""


class Modules:
    """Modules by name, with their parameters and buffers by path.

    Parameters
    ----------
    named
        The modules. A path starts with the name of its module, if that is not empty.
    """

    def __init__(self, named: Mapping[str, Module]) -> None:
        self._state: dict[str, Any] = {}
        self._paths: dict[int, list[str]] = {}
        self._aliases: dict[str, list[str]] = {}
        known: set[int] = set()
        learned: set[int] = set()
        for name, module in named.items():
            learned.update(id(parameter) for _, parameter in module.named_parameters())
            for path, parameter in module.named_state():
                if id(parameter) not in known:
                    known.add(id(parameter))
                    self._state[f"{name}.{path}" if name else path] = parameter
            for path, part in _by_every_path(name, module):
                self._paths.setdefault(id(part), []).append(path)
                first, *others = self._paths[id(part)]
                for word, _ in part.named_state() if others else ():
                    self._aliases.setdefault(_joined(first, word), []).append(_joined(path, word))
        self.buffers = frozenset(path for path, x in self._state.items() if id(x) not in learned)
        """The paths of the arrays that are not learned."""

    def values(self) -> OrderedDict[str, Any]:
        """Return the arrays of all parameters and buffers."""
        return OrderedDict((path, parameter.data) for path, parameter in self._state.items())

    def standing(self, values: Mapping[str, Any], told: Told) -> AbstractContextManager[Any]:
        """Let values stand for parameters and buffers inside, and hear what modules return.

        What a module returns that stands at several paths has them one after the other.
        """
        calls: dict[int, int] = {}
        for path, x in values.items():
            if type(x) is Value:
                told.extend((x, alias, Rank.PLACE) for alias in self._aliases.get(path, ()))

        def watch(module: Module, y: Any) -> None:
            paths = self._paths.get(id(module))
            if paths is not None:
                call = calls[id(module)] = calls.get(id(module), -1) + 1
                told.extend(parts(y, paths[min(call, len(paths) - 1)] or "output"))

        stand = {id(self._state[path]): x for path, x in values.items()}
        return standing_in(stand, _KEY, watch=watch)


_MOST = 10_000
"""Paths that are followed."""


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _by_every_path(name: str, module: Module) -> Iterator[tuple[str, Module]]:
    """Iterate over a module and all inside it, a shared one by each of its paths."""
    inside: dict[int, list[tuple[str, Module]]] = {}
    waiting = [(name, module)]
    for _ in range(_MOST):
        if not waiting:
            return
        path, part = waiting.pop()
        yield path, part
        if id(part) not in inside:
            inside[id(part)] = list(part.named_children())
        waiting += [(_joined(path, word), child) for word, child in reversed(inside[id(part)])]


def parts(y: Any, name: str) -> Told:
    """Return the values in a result, with their names."""
    if type(y) is Value:
        return [(y, name, Rank.PATH)]
    if isinstance(y, tuple | list):
        return [part for k, x in enumerate(y) for part in parts(x, f"{name}.{k}")]
    if isinstance(y, dict):
        return [part for key, x in y.items() for part in parts(x, f"{name}.{key}")]
    return []


def modules_in(f: Callable[..., Any]) -> dict[str, Module]:
    """Return the modules that a function calls by a variable around it, by this variable.

    Functions that it calls by name are looked into, those of libraries are not. The module that
    a method belongs to has no name.

    Examples
    --------
    >>> from chainrule import nn
    >>> model = nn.Linear(2, 1)
    >>> modules_in(lambda x: model(x) ** 2)
    {'model': Linear(2, 1)}
    """
    found: dict[str, Module] = {}
    waiting: list[Any] = [f]
    seen: set[int] = set()
    while waiting:
        function = waiting.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        if isinstance(function, functools.partial):
            waiting.append(function.func)
        owner = getattr(function, "__self__", None)
        if isinstance(owner, Module):
            found.setdefault("", owner)
        for name, x in _around(function):
            if isinstance(x, Module):
                found.setdefault(name, x)
            elif hasattr(x, "__code__"):
                waiting.append(x)
    return found


def _around(function: Any) -> Iterator[tuple[str, Any]]:
    """Iterate over the variables around a function that it reads."""
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None or is_library(code.co_filename):
        return
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # it has no value yet
            continue
    for name in code.co_names:
        if name in function.__globals__:
            yield name, function.__globals__[name]
