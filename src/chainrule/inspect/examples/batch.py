"""A batch of examples in a program: in which of its nodes they lie, along which axis, how many.

`chainrule.inspect.examples.where` finds it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.graph import Graph
    from chainrule.inspect.walking import Leaf

__all__ = ["Batch", "placed", "settings_among"]


class Batch(NamedTuple):
    """Where examples are.

    Attributes
    ----------
    size
        m, how many.
    axis
        0 or -1: along the first or the last axis of each array.
    data
        The nodes without an op that hold them, and along which axis.
    positions
        The arguments that hold them.
    """

    size: int
    axis: int
    data: dict[int, int]
    positions: tuple[int, ...]


def settings_among(leaves: Sequence[Leaf], graph: Graph, batch: Batch) -> set[int]:
    """Return the inputs that are no parameters: numbers without axes that follow the data."""
    last = max(batch.positions)
    return {
        leaf.index
        for leaf in leaves
        if leaf.index is not None and leaf.path[0] > last and not graph.nodes[leaf.index].shape
    }


def placed(axis: int, ndim: int) -> int:
    """Return which axis of an array counts examples: the last, where it has fewer."""
    return min(axis % max(ndim, axis + 1), ndim - 1)
