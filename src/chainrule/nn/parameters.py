"""What a module is made of besides code: parameters, buffers, and what stands for them.

A `Parameter` is an array and its gradient. While a module is recorded, a traced value stands
for the array: `standing_in` says which, so that the same forward pass serves plain arrays and
derivatives alike.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import StructureError
from chainrule.graph import describe
from chainrule.nn.given import numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Watch = Callable[[Any, Any], None]

__all__ = [
    "Buffer",
    "Parameter",
    "Recording",
    "accumulating",
    "number_of",
    "one_pass",
    "recording",
    "standing_in",
    "was_received",
]


class Parameter:
    """An array to be learned, and its gradient.

    Parameters
    ----------
    data
        Copied; numbers of a floating-point type keep it, others are converted to float64.
        Two parameters made of one array have nothing to do with each other: what is to be
        shared is the `Parameter`, given to several modules.

    Attributes
    ----------
    data
        The array. Modules and optimisers write into it and do not replace it.
    grad
        The gradient that the last backward pass left, None before the first.
    """

    __slots__ = ("__weakref__", "data", "grad")

    def __init__(self, data: Any) -> None:
        data = np.asarray(numbers(data, type(self).__name__))
        dtype = data.dtype if self.holds(data.dtype) else np.float64
        self.data: Any = data.astype(dtype, order="C")  # row by row, as products read it
        self.grad: Any = None

    @classmethod
    def holds(cls, dtype: np.dtype[Any]) -> bool:
        """Return whether numbers of this type are kept as they are."""
        return np.issubdtype(dtype, np.floating)

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self.data.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the entries."""
        return self.data.dtype  # type: ignore[no-any-return]

    @property
    def size(self) -> int:
        """The number of entries."""
        return self.data.size  # type: ignore[no-any-return]

    def write(self, data: Any, name: str = "") -> None:
        """Copy numbers into the array; their shape has to be its own."""
        data = numbers(data, f"parameter {name}".rstrip())
        if data.shape != self.shape:
            raise StructureError(
                f"parameter {name} has the shape {list(self.shape)}, got {list(np.shape(data))}."
            )
        self.data[...] = data

    def damage(self, data: Any) -> str:
        """Return what would become of numbers that are stored in this one's type, "" if nothing.

        Rounding to fewer digits is fine: it is what the type was chosen for.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            stored = data.astype(self.dtype)
        if np.issubdtype(self.dtype, np.inexact):
            lost = np.isfinite(data) & ~np.isfinite(stored)
        else:
            lost = stored != data
        if not np.any(lost):
            return ""
        place = tuple(np.argwhere(lost)[0])
        return f"{data[place]} would become {stored[place]} in {self.dtype}"

    def receive(self, gradient: Any) -> None:
        """Take a gradient: the first in a backward pass replaces, further ones add.

        So a parameter that is used in several places gets the sum over them, once.
        """
        seen = _PASS.get()
        first = seen is None or id(self) not in seen
        if seen is not None:
            seen.add(id(self))
        if self.grad is None or (first and not _ACCUMULATING.get()):
            self.grad = gradient
        else:
            self.grad = self.grad + gradient

    def __array__(self, *args: Any, **options: Any) -> Any:
        return np.asarray(self.data, *args, **options)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({describe(self.data)})"


class Buffer(Parameter):
    """An array that a module keeps and does not learn, such as a running mean or a count."""

    __slots__ = ()

    @classmethod
    def holds(cls, dtype: np.dtype[Any]) -> bool:  # noqa: ARG003 - a count is a whole number
        """Return True: a buffer is what it was made of."""
        return True


_PASS: ContextVar[set[int] | None] = ContextVar("_PASS", default=None)
_ACCUMULATING: ContextVar[bool] = ContextVar("_ACCUMULATING", default=False)


def was_received(parameter: Parameter) -> bool:
    """Return whether a parameter got a gradient in the backward pass that is running."""
    return id(parameter) in (_PASS.get() or ())


@contextmanager
def one_pass(*, apart: bool = False) -> Iterator[None]:
    """Count what runs inside as one backward pass, also where it starts others.

    One that is ``apart`` does not belong to the pass that it is started in.
    """
    if _PASS.get() is not None and not apart:
        yield
        return
    token = _PASS.set(set())
    try:
        yield
    finally:
        _PASS.reset(token)


@contextmanager
def accumulating() -> Iterator[None]:
    """Let backward passes inside add to the gradients that are there, instead of replacing them.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule import nn
    >>> layer = nn.Linear(1, 1)
    >>> for x in (1.0, 2.0):
    ...     with accumulating():
    ...         y = layer(np.array([[x]]))
    ...         _ = layer.backward(np.ones((1, 1)))
    >>> layer.grad["weight"]
    array([[3.]])
    """
    token = _ACCUMULATING.set(True)
    try:
        yield
    finally:
        _ACCUMULATING.reset(token)


class Recording:
    """What stands for parameters and buffers while modules are recorded.

    Attributes
    ----------
    values
        What stands for each array, by the identity of its `Parameter` or `Buffer`.
    buffers
        The new numbers of the buffers that were assigned to.
    key
        The integers that random layers draw from, None for each layer's own.
    remembers
        Whether modules inside remember what their ``backward`` needs, because the backward
        pass that calls them was written by a user.
    watch
        Called with a module and its output for each call of one, if it is not None.
    """

    def __init__(
        self, values: Mapping[int, Any], key: Any, remembers: bool, watch: Watch | None = None
    ) -> None:
        self.watch = watch
        self.values = values
        self.buffers: dict[int, Any] = {}
        self.key = None if key is None else np.atleast_1d(key)
        self.remembers = remembers
        self._sites = 0

    def number(self, parameter: Parameter) -> Any:
        """Return what stands for a parameter or buffer now."""
        key = id(parameter)
        return self.buffers[key] if key in self.buffers else self.values.get(key, parameter.data)

    def called(self, module: Any, y: Any) -> Any:
        """Let who watches know of a call of a module, and return its output."""
        if self.watch is not None:
            self.watch(module, y)
        return y

    def next_key(self) -> Any:
        """Return the key of the next random layer: the common one and the layer's number."""
        self._sites += 1
        return np.concatenate([self.key, np.array([self._sites])])


_RECORDING: ContextVar[Recording | None] = ContextVar("_RECORDING", default=None)


def recording() -> Recording | None:
    """Return what stands for parameters now, None outside of a recording."""
    return _RECORDING.get()


def number_of(parameter: Parameter) -> Any:
    """Return the array of a parameter, or what stands for it now."""
    current = _RECORDING.get()
    return parameter.data if current is None else current.number(parameter)


@contextmanager
def standing_in(
    values: Mapping[int, Any],
    key: Any = None,
    *,
    remembers: bool = False,
    watch: Watch | None = None,
) -> Iterator[Recording]:
    """Let values stand for parameters and buffers inside.

    What stands for others stays. Buffers that are assigned to inside are the caller's to keep.
    """
    outer = _RECORDING.get()
    if outer is not None:
        values = {**outer.values, **outer.buffers, **values}
        if key is None and outer.key is not None:
            key = outer.next_key()
        watch = watch or outer.watch
    current = Recording(values, key, remembers, watch)
    token = _RECORDING.set(current)
    try:
        yield current
    finally:
        _RECORDING.reset(token)
