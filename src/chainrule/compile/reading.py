"""How a node of a loop reads its operands and writes its numbers, as strides.

A node walks the places of its own array, a fold those of what it folds. Along each axis of that
walk an array moves on by a stride: 0 where it is read again and again, or folded. Axes of length 1
are no axes here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chainrule.compile.lowering import seen
from chainrule.graph import Counted, Each, Fold, Gathered, Layout

if TYPE_CHECKING:
    from chainrule.graph import Graph, Node

__all__ = ["Reading", "Walks", "is_loop"]


class Reading(NamedTuple):
    """An operand of a node in a loop.

    Attributes
    ----------
    source
        The node whose array it lies in.
    offset
        Where in it the operand begins, in elements.
    strides
        Along the axes that the node walks, in elements; none for an operand that is read as a
        whole at each place.
    """

    source: int
    offset: int
    strides: tuple[int, ...]


class Walks:
    """How the nodes of a graph walk over arrays.

    Parameters
    ----------
    graph
        A lowered one.

    Attributes
    ----------
    places
        For each node the array that holds its numbers, and their layout in it.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.places = seen(graph)

    def _shape(self, index: int) -> tuple[int, ...]:
        """Return the shape that a node walks: of a fold, that of what it folds."""
        node = self.graph.nodes[index]
        if node.op is not None and isinstance(node.op.form, Fold):
            return self.graph.nodes[node.inputs[0]].shape
        return node.shape

    def space(self, index: int) -> tuple[int, ...]:
        """Return the lengths of the axes that a node walks, none of them 1."""
        return tuple(n for n in self._shape(index) if n > 1)

    def _reading(self, index: int, k: int) -> Reading:
        """Return how a node reads an operand, over the axes that the node walks."""
        node = self.graph.nodes[index]
        source, layout = self.places[node.inputs[k]]
        if node.op is not None and isinstance(node.op.form, Counted):
            return Reading(source, layout.offset, ())  # all of it at once
        if node.op is not None and isinstance(node.op.form, Gathered):
            table = len(self.graph.nodes[node.inputs[0]].shape)
            return _gathered_reading(node, k, source, layout, table - len(node.inputs) + 1)
        return Reading(source, layout.offset, _strides_over(layout, self._shape(index)))

    def readings(self, index: int) -> list[Reading]:
        """Return how a node reads its operands, over the axes that it walks."""
        return [self._reading(index, k) for k in range(len(self.graph.nodes[index].inputs))]

    def output_strides(self, index: int) -> tuple[int, ...]:
        """Return the strides of a node's own array over the axes that it walks; 0 is folded."""
        node = self.graph.nodes[index]
        shape = self._shape(index)
        at = self.places[index].layout
        if node.op is None or not isinstance(node.op.form, Fold):
            return _strides_over(at, shape)
        axes = node.attributes["axis"]
        strides = iter(at.strides)
        kept = [
            0 if a in axes and not node.attributes["keepdims"] else next(strides)
            for a in range(len(shape))
        ]
        return tuple(
            0 if a in axes else s for a, (n, s) in enumerate(zip(shape, kept, strict=True)) if n > 1
        )

    def folded(self, index: int) -> tuple[int, ...]:
        """Return the axes, of those that it walks, that a node folds; none for other nodes."""
        node = self.graph.nodes[index]
        if node.op is None or not isinstance(node.op.form, Fold):
            return ()
        long = [a for a, n in enumerate(self._shape(index)) if n > 1]
        return tuple(k for k, a in enumerate(long) if a in node.attributes["axis"])


def is_loop(node: Node) -> bool:
    """Return whether a node is computed in a loop, and not a step by itself."""
    form = node.op.form if node.op is not None else None
    return isinstance(form, Each | Fold | Counted | Gathered)


def _strides_over(layout: Layout, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides of an array over the axes of a shape that it broadcasts to."""
    wide = layout.broadcast(shape)
    return tuple(s for n, s in zip(wide.shape, wide.strides, strict=True) if n > 1)


def _gathered_reading(node: Node, k: int, source: int, layout: Layout, parts: int) -> Reading:
    """Return how a gather reads: places over its leading axes, parts over the rest.

    Of the table, only the strides within a part are strides of the walk.
    """
    count = len(node.inputs) - 1
    if k == 0:
        lead = len(node.shape) - parts
        shape = (*[1] * lead, *layout.shape[count:])
        strides = (*[0] * lead, *layout.strides[count:])
    else:
        lead = len(node.shape) - parts
        wide = layout.broadcast(node.shape[:lead])
        shape, strides = (*wide.shape, *[1] * parts), (*wide.strides, *[0] * parts)
    return Reading(
        source, layout.offset, _strides_over(Layout(layout.offset, shape, strides), node.shape)
    )
