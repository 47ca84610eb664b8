"""A trace that follows writes: ``dy[rows, y] -= 1`` makes the value another node.

Code in plain NumPy writes to arrays as it goes. Nodes never change, so here the value that
stands for the array becomes a new node, for every name that it has in the user's program. What
NumPy would do through a view is not followed: a value that may be a view refuses the write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import InPlaceError, ShapeError
from chainrule.graph import NUMPY, Tracer, Value, Viewed, describe
from chainrule.inspect.noticing import Noticing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainrule.graph import Op

__all__ = ["Writing", "WritingAndNoticing"]

MOST = 20_000
"""Nodes of a graph."""


class Writing(Tracer):
    """Builds a graph of a function that may write to its arrays."""

    follows_writes = True
    _part: Value | None = None
    """A view that was written to, and that has to be put back where it is from.

    ``a[i] += x`` takes a part, writes to it, and puts it back, with nothing in between.
    """

    def record(self, op: Op, operands: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """Record a call, unless there were too many: a loop over entries need not be followed."""
        if self._part is not None:
            raise _of_view(self._part)
        if len(self.graph.nodes) > MOST:
            raise InPlaceError(f"a trace of more than {MOST} nodes is not followed.")
        return super().record(op, operands, attributes)

    def write(self, value: Value, index: Any, x: Any) -> None:
        """Let a value stand for itself with ``x`` at an index."""
        if x is self._part:
            self._part = None
        places = np.arange(value.size).reshape(value.shape)[_plain(index)]
        is_there = np.zeros(value.size, bool)
        is_there[places] = True
        mask = is_there.reshape(value.shape)
        if np.ndim(x):
            source = np.zeros(value.size, int)
            count = int(np.prod(np.shape(places)))
            source[places] = np.arange(count).reshape(np.shape(places))
            x = _spread(x, np.shape(places))[source.reshape(value.shape)] if count else value
        self.replace(value, np.where(mask, x, self._now(value)))

    def update(self, value: Value, call: Callable[..., Any], x: Any) -> Any:
        """Let a value stand for ``value op x``; a number without axes is made anew by Python."""
        if not value.shape:
            return NotImplemented
        y = call(self._now(value), x)
        if not self._is_view(value):
            return self.replace(value, y)
        self._stand_for(value, y)
        self._part = value
        return value

    def update_at(self, value: Value, ufunc: np.ufunc, index: Any, x: Any = None) -> None:
        """Let a value stand for itself with a ufunc applied at places, one after the other."""
        if ufunc is np.subtract:
            ufunc, x = np.add, -x
        if ufunc is not np.add:
            raise InPlaceError(
                f"np.{ufunc.__name__}.at is not followed by a trace.", describe(value)
            )
        places = np.arange(value.size).reshape(value.shape)[_plain(index)]
        shares = np.zeros((value.size, int(np.size(places))))
        shares[np.ravel(places), np.arange(np.size(places))] = 1.0
        added = shares @ _spread(x, np.shape(places))
        self.replace(value, self._now(value) + np.reshape(added, value.shape))

    def replace(self, value: Value, y: Any) -> Value:
        """Let a value stand for another node from here on, and return it."""
        if self._is_view(value):
            raise _of_view(value)
        return self._stand_for(value, y)

    def _is_view(self, value: Value) -> bool:
        node = self.graph.nodes[value.index]
        return node.op is not None and isinstance(node.op.form, Viewed)

    def _stand_for(self, value: Value, y: Any) -> Value:
        if y.shape != value.shape:
            raise ShapeError(f"an array of shape {list(value.shape)} cannot hold {list(y.shape)}.")
        new = self.lift(NUMPY[np.astype](y, value.dtype) if type(y) is Value else np.asarray(y))
        value.index, value.number, value.active = new.index, new.number, new.active
        return value

    def _now(self, value: Value) -> Value:
        """Return a value that stays the node which this one stands for now."""
        return Value(self, value.index, value.number, value.active)


class WritingAndNoticing(Writing, Noticing):
    """Follows writes, and sees what the program calls its values."""


def _of_view(value: Value) -> InPlaceError:
    return InPlaceError(
        "a write to what may be a view of another array is not followed by a trace.",
        describe(value),
    )


def _spread(x: Any, shape: tuple[int, ...]) -> Any:
    """Return an array in one row, after it is broadcast to a shape."""
    x = x if np.shape(x) == shape else np.broadcast_to(x, shape)
    return np.ravel(x) if len(shape) > 1 else x


def _plain(index: Any) -> Any:
    """Return an index with plain arrays in it."""
    if isinstance(index, tuple):
        return tuple(_plain(part) for part in index)
    return index.ask("an index") if isinstance(index, Value) else index
