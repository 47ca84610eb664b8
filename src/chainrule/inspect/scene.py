"""What `why` and `lint` look at: a walk, its gradients, its names, and where its examples lie.

An open pass has all of it, and a walk alone is enough to make it: the functions that explain
numbers read a `Scene` and do not care where it came from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.errors import StructureError
from chainrule.inspect.examples.batch import Batch
from chainrule.inspect.examples.where import examples_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainrule.graph import Node
    from chainrule.inspect.programs import Program
    from chainrule.inspect.walking import Walk

__all__ = ["Scene", "Spot", "numbered", "pulled", "scene_of"]


class Spot(NamedTuple):
    """One entry of one node; its position is counted through the flattened array."""

    node: int
    position: int


@dataclass(frozen=True, eq=False)
class Scene:
    """A walk with everything that can be asked of it.

    Attributes
    ----------
    walk
        The run.
    output
        The node whose gradient is looked at.
    adjoints
        The gradient at each node that has one.
    names
        What each node is called.
    examples
        How many examples there are; None if that cannot be seen.
    data
        The nodes of the inputs and constants that hold examples.
    axis
        The axis that examples lie along: 0, or -1 where they are columns.
    buffers
        The nodes of arguments that are neither examples nor learned.
    """

    walk: Walk
    output: int
    adjoints: Mapping[int, Any]
    names: Sequence[str]
    examples: int | None
    data: frozenset[int]
    axis: int = 0
    buffers: frozenset[int] = frozenset()

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes of the graph."""
        return self.walk.graph.nodes

    @cached_property
    def consumers(self) -> dict[int, list[tuple[int, int]]]:
        """For each node, the nodes that read it, and as which operand."""
        found: dict[int, list[tuple[int, int]]] = {}
        for index, node in enumerate(self.nodes):
            for k, i in enumerate(node.inputs):
                found.setdefault(i, []).append((index, k))
        return found

    @cached_property
    def parameters(self) -> dict[int, str]:
        """The nodes of the arguments that hold no examples, by name."""
        leaves = [leaf.index for leaf in self.walk.leaves if leaf.index is not None]
        return {i: self.names[i] for i in leaves if i not in self.data | self.buffers}

    @cached_property
    def _follows_data(self) -> list[bool]:
        return self.walk.graph.dependents(sorted(self.data))

    def operands(self, index: int) -> list[Any]:
        """Return the numbers that a node was computed from."""
        return [np.asarray(self.walk.numbers[i]) for i in self.nodes[index].inputs]

    def number(self, spot: Spot) -> float:
        """Return the number at an entry."""
        return float(np.ravel(self.walk.numbers[spot.node])[spot.position])

    def gradient(self, spot: Spot) -> float:
        """Return the gradient at an entry."""
        found = self.adjoints.get(spot.node)
        return 0.0 if found is None else float(np.ravel(found)[spot.position])

    def place(self, spot: Spot) -> tuple[int, ...]:
        """Return the index of an entry."""
        shape = self.nodes[spot.node].shape
        return tuple(int(i) for i in np.unravel_index(spot.position, shape)) if shape else ()

    def label(self, spot: Spot) -> str:
        """Return ``Z2[0, 1]``."""
        place = self.place(spot)
        return self.name(spot.node) + (f"[{', '.join(map(str, place))}]" if place else "")

    def name(self, index: int) -> str:
        """Return what a node is called; the path of a module of a chain is but a number."""
        name = self.names[index]
        is_output = self.nodes[index].op is not None and name[:1].isdigit()
        return f"module {name}" if is_output else name

    def axis_of_examples(self, index: int) -> int | None:
        """Return the axis along which the examples of a node lie, None if it has none."""
        shape = self.nodes[index].shape
        if self.examples is None or not shape or not self._follows_data[index]:
            return None
        return self.axis % len(shape) if shape[self.axis] == self.examples else None

    def example(self, spot: Spot) -> int | None:
        """Return the example that an entry belongs to."""
        axis = self.axis_of_examples(spot.node)
        return None if axis is None else self.place(spot)[axis]

    def line(self, index: int) -> str:
        """Return the user's line of a node; of an input, that of the first node that reads it."""
        node = self.nodes[index]
        if node.op is not None:
            return str(node.where)
        readers = self.consumers.get(index, [])
        return str(self.nodes[readers[0][0]].where) if readers else ""

    def word(self, index: int) -> str:
        """Return the op of a node, or what else it is."""
        node = self.nodes[index]
        if node.op is not None:
            return node.op.name
        return "a constant" if index in self.walk.graph.constants else "an input"

    def pull(self, index: int, k: int, g: Any) -> Any:
        """Return what a gradient at a node contributes at its operand k."""
        return pulled(self.nodes[index], k, g, self.operands(index), self.walk.numbers[index])


def pulled(node: Node, k: int, g: Any, xs: Sequence[Any], y: Any) -> Any:
    """Return the contribution of a gradient at a node to its operand k, of that one's shape."""
    if node.op is None or node.op.is_flat(k) or not node.op.differentiable:
        return np.zeros(np.shape(xs[k]))
    with np.errstate(all="ignore"):
        found = node.op.derivative.pull(node.op, k, g, list(xs), y, node.attributes)
    return summed_to(found, np.shape(xs[k]))


def summed_to(x: Any, shape: tuple[int, ...]) -> Any:
    """Return an array summed back over what broadcasting repeated."""
    x = np.asarray(x)
    with np.errstate(all="ignore"):
        if x.ndim > len(shape):
            x = x.sum(axis=tuple(range(x.ndim - len(shape))))
        axes = tuple(a for a, n in enumerate(shape) if n == 1 and x.shape[a] != 1)
        x = x.sum(axis=axes, keepdims=True) if axes else x
    return np.broadcast_to(x, shape)


def scene_of(
    walk: Walk,
    output: int,
    adjoints: Mapping[int, Any],
    program: Program,
) -> Scene:
    """Return what can be asked of a walk.

    Parameters
    ----------
    walk
        The run of a program.
    output, adjoints
        The node that was differentiated, and the gradients.
    program
        What ran: it may know which arguments hold examples. A constant with as many entries
        along that axis holds examples too.
    """
    try:
        batch = examples_of(walk, program, output)
    except StructureError:
        batch = Batch(0, program.axis, {}, program.data or ())
    count, axis = batch.size or None, batch.axis
    names = list(walk.naming.labels)
    positions = batch.positions
    data = {
        leaf.index for leaf in walk.leaves if leaf.index is not None and leaf.path[0] in positions
    }
    for index, x in walk.graph.constants.items():
        for leaf in walk.leaves:
            if leaf.index is None and np.size(x) > 1 and _is_same(x, leaf.concrete):
                names[index] = leaf.key or leaf.name
                data.add(index)
        if _is_long(walk, index, count, axis):
            data.add(index)
    others = {
        leaf.index for leaf in walk.leaves if leaf.index is not None and leaf.key in program.buffers
    }
    return Scene(walk, output, adjoints, names, count, frozenset(data), axis, frozenset(others))


def _is_long(walk: Walk, index: int, count: int | None, axis: int) -> bool:
    """Return whether an array has as many entries as there are examples."""
    shape = walk.graph.nodes[index].shape
    return count is not None and bool(shape) and shape[axis] == count


def _is_same(x: Any, y: Any) -> bool:
    """Return whether arrays hold the same numbers, however they are laid out; NaN is NaN."""
    x, y = np.ravel(x), np.ravel(y)
    return x.shape == y.shape and bool(np.all((x == y) | ((x != x) & (y != y))))  # noqa: PLR0124


def numbered(x: float) -> str:
    """Return a number in four digits."""
    return f"{x:.4g}"
