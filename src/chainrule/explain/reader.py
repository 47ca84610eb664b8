"""A graph as it is read by what writes formulas: nodes by operand, and the names of some."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chainrule.graph import Spec, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainrule.graph import Graph, Node

__all__ = ["Formula", "Reader"]


@dataclass(frozen=True)
class Formula:
    """The same formula twice.

    Attributes
    ----------
    numpy
        As a line of NumPy: ``dW1 = X.T @ dy1``.
    latex
        As mathematics, without dollars.
    """

    numpy: str
    latex: str

    def __str__(self) -> str:
        return self.numpy

    def _repr_latex_(self) -> str:
        return f"${self.latex}$"


@dataclass(frozen=True)
class Reader:
    """A graph, and what the nodes are called that have a name.

    Attributes
    ----------
    graph
        What is to be written.
    texts
        The formulas of the nodes that are not written out, by node.
    lengths
        What is written for a whole number that something is divided by.
    """

    graph: Graph
    texts: Mapping[int, Formula]
    lengths: Mapping[int, Formula] = field(default_factory=dict)

    def value(self, index: int) -> Value:
        """Return what a declaration may ask of an operand: its shape, and what made it."""
        node = self.graph.nodes[index]
        tracer: Any = self
        return Value(tracer, index, Spec(node.shape, node.dtype), False)

    def operands(self, node: Node) -> list[Value]:
        """Return the operands of a node."""
        return [self.value(i) for i in node.inputs]

    def places(self, node: Node) -> dict[str, tuple[int, ...]]:
        """Return the nodes that stand for each operand of an op: several for a variadic one."""
        op = node.op
        if op is None:
            return {}
        fixed = len(op.operands) - op.variadic
        places: dict[str, tuple[int, ...]] = {}
        for name, i in zip(op.operands[:fixed], node.inputs, strict=False):
            places[name] = (i,)
        if op.variadic:
            places[op.operands[-1]] = node.inputs[fixed:]
        return places
