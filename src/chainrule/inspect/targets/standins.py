"""Stand-ins for ``np`` and ``math`` in a user's code, while it is traced.

``out = np.zeros((n, k)); out[i] = x[i] @ W`` fills a plain array, which cannot hold a value of a
trace; here ``np.zeros`` makes a value, which can. ``np.array([a, b])`` stacks values, and
``math.exp`` of one is ``np.exp``. All else is NumPy's and Python's own.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.graph import Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainrule.graph import Tracer

__all__ = ["stand_in"]

_MAKERS: dict[str, Callable[..., Any]] = {
    "zeros": np.zeros,
    "empty": np.empty,
    "ones": np.ones,
    "full": np.full,
}
_ALIKE: dict[str, Callable[..., Any]] = {
    "zeros_like": np.zeros_like,
    "empty_like": np.empty_like,
    "ones_like": np.ones_like,
    "full_like": np.full_like,
}
_COPIES: dict[str, Callable[..., Any]] = {"array": np.array, "asarray": np.asarray}
_POWERS = {"pow": np.power, "fabs": np.absolute}


def stand_in(tracer: Tracer, x: Any) -> Any:
    """Return what stands for a module or function of NumPy's or Python's; else the thing itself."""
    if x is np or x is math:
        return _Standing(tracer, x)
    if isinstance(x, Value | ModuleType):
        return x
    name = getattr(x, "__name__", "")
    for known in (np, math):
        if name and callable(x) and getattr(known, name, None) is x:
            return _function(tracer, known, name) or x
    return x


class _Standing:
    """A module some of whose functions are others."""

    def __init__(self, tracer: Tracer, module: ModuleType) -> None:
        self._tracer, self._module = tracer, module

    def __getattr__(self, name: str) -> Any:
        found = _function(self._tracer, self._module, name)
        return getattr(self._module, name) if found is None else found


def _function(tracer: Tracer, module: ModuleType, name: str) -> Callable[..., Any] | None:
    if module is math:
        return _of_math(name)
    if name in _MAKERS:
        return _made(tracer, _MAKERS[name])
    if name in _ALIKE:
        return _alike(tracer, _ALIKE[name])
    return _copied(_COPIES[name]) if name in _COPIES else None


def _made(tracer: Tracer, make: Callable[..., Any]) -> Callable[..., Any]:
    def made(*args: Any, **options: Any) -> Any:
        if any(type(x) is Value for x in args):  # np.full(shape, value)
            shape, number = args[:2]
            return np.broadcast_to(number, shape) + np.zeros(shape)
        return _writable(tracer, make(*args, **options))

    return made


def _alike(tracer: Tracer, make: Callable[..., Any]) -> Callable[..., Any]:
    def made(x: Any, *args: Any, **options: Any) -> Any:
        like = np.empty(x.shape, x.dtype) if type(x) is Value else x
        return _writable(tracer, make(like, *args, **options))

    return made


def _writable(tracer: Tracer, x: Any) -> Any:
    """Return a new array as a value of its own; whole numbers and truth values stay an array."""
    if x.dtype.kind != "f" or not x.ndim:
        return x
    zeros = tracer.constant(x)
    return Value(tracer, zeros.index, zeros.number, zeros.active)


def _copied(make: Callable[..., Any]) -> Callable[..., Any]:
    def copied(x: Any, *args: Any, **options: Any) -> Any:
        if type(x) is Value:
            return x if make is np.asarray else np.copy(x)
        return _stacked(x) if _has_values(x) else make(x, *args, **options)

    return copied


def _has_values(x: Any) -> bool:
    return isinstance(x, list | tuple) and any(type(p) is Value or _has_values(p) for p in x)


def _stacked(x: Any) -> Any:
    return np.stack([_stacked(p) if isinstance(p, list | tuple) else p for p in x])


def _of_math(name: str) -> Callable[..., Any] | None:
    own = getattr(math, name, None)
    twin = _POWERS.get(name) or getattr(np, name, None)
    if not callable(own) or not isinstance(twin, np.ufunc):
        return None

    def either(*args: Any) -> Any:
        return twin(*args) if any(type(x) is Value for x in args) else own(*args)

    return either
