"""A trace that writes down what a person would: each call in the form that reads best.

The rules of the ops are recorded here on shapes. What is recorded is simplified on the way:
calls on numbers are their results, equal calls are one, and each op's own rewrites apply,
those that change nothing (`rewrite`) and those that read better (`written.simpler`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.graph import Each, ShapeTracer, Value, Where
from chainrule.ops.readable import repeated_last

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainrule.explain.reader import Formula
    from chainrule.graph import Node, Op

__all__ = ["TidyTracer"]


class TidyTracer(ShapeTracer):
    """Records formulas rather than programs: equal to what is recorded but for rounding.

    Attributes
    ----------
    texts
        What is written for the nodes that have a name, constants among them.
    exact
        Whether calls are recorded as they are made, for what has to be equal to the bit: where x
        is the largest is asked by x == y.
    """

    def __init__(self) -> None:
        super().__init__()
        self.here = (Where("", 0), None)
        self.texts: dict[int, Formula] = {}
        self.exact = False
        self._known: dict[Any, Value] = {}

    def constant(self, number: Any) -> Value:
        """Return the constant of this number: the same value for equal numbers."""
        number = np.asarray(number)[()]
        key = ("constant", number.dtype.str, number.shape, number.tobytes())
        if key not in self._known:
            self._known[key] = super().constant(number)
        return self._known[key]

    def record(self, op: Op, operands: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """Record one call in its best form."""
        y: Value = super().record(op, operands, attributes)
        node = self.graph.nodes[y.index]
        key = _key(op, node.inputs, node.attributes)
        if (key, self.exact) not in self._known:
            self._known[key, self.exact] = y  # before it is rewritten: a rewrite may lead back
            self._known[key, self.exact] = self._best(node, y)
            self._known.setdefault((key, False), self._known[key, self.exact])
        return self._known[key, self.exact]

    def name(self, value: Value, node: Node, xs: Sequence[Value]) -> None:
        """Let a call be written as a value that has a name: what computes it is known."""
        key = _key(node.op, [x.index for x in xs], node.attributes)
        self._known[key, True] = self._known[key, False] = value

    def _best(self, node: Node, y: Value) -> Value:
        """Return the best form of a call: its result, another call, or itself."""
        op = node.op
        if op is None:
            return y
        constants = self.graph.constants
        numbers = [None if i in self.texts else constants.get(i) for i in node.inputs]
        if op.written.folded and y.shape == () and all(x is not None for x in numbers):
            with np.errstate(all="ignore"):
                return self.constant(op(*numbers, **node.attributes))
        xs = [self.value(i) for i in node.inputs]
        rewrites = [op.rewrite]
        if not self.exact:
            rewrites += [_repeated_last(op, y.shape), op.written.simpler]
        for rewrite in rewrites:
            simpler = None if rewrite is None else rewrite(*xs, **node.attributes)
            if simpler is not None and (simpler.shape, simpler.dtype) == (y.shape, y.dtype):
                return simpler  # type: ignore[no-any-return]
        return y


def _key(op: Op | None, inputs: Sequence[int], attributes: Mapping[str, Any]) -> Any:
    return (op, tuple(inputs), repr(sorted(attributes.items())))


def _repeated_last(op: Op, shape: tuple[int, ...]) -> Callable[..., Any] | None:
    """Return the rewrite of ops that act on each element: what they repeat, repeated after them."""
    if not (isinstance(op.form, Each) or op.derivative.kind == "partials"):
        return None
    return lambda *xs, **attributes: repeated_last(op, xs, attributes, shape)
