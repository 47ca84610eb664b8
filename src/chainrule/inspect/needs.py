"""Which stored arrays a gradient is made of: what a backward pass has to keep.

A rule is recorded on shapes, and what its result depends on is what it reads. What has no name
in the user's program is left out on the way: its gradient is made of other gradients, and a
value that is only turned around is made of the one that it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from chainrule.errors import ChainruleError
from chainrule.graph import ShapeTracer, Spec, Value
from chainrule.inspect.naming import in_lines
from chainrule.ops import Linear

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainrule.inspect.passes import Pass

__all__ = ["Need", "Needs", "needs_of", "read_by"]


@dataclass(frozen=True)
class Need:
    """One array that a gradient is made of.

    Attributes
    ----------
    name
        The value, ``A1``; or the gradient at a value, ``dZ2``.
    is_gradient
        Whether it is a gradient, computed before on the way back.
    shape
        Its shape.
    where
        The line of the user's program that computes the value.
    """

    name: str
    is_gradient: bool
    shape: tuple[int, ...]
    where: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.shape}"


class Needs(tuple[Need, ...]):  # noqa: SLOT001 - a tuple of any length has no slots
    """The arrays that a gradient is made of, gradients first; printed, a sentence.

    Attributes
    ----------
    name
        The gradient.
    shape
        Its shape.
    reason
        Why it is made of nothing, if it is.
    """

    name: str
    shape: tuple[int, ...]
    reason: str

    def __new__(
        cls, name: str, shape: tuple[int, ...], needs: tuple[Need, ...], reason: str = ""
    ) -> Self:
        """Return what a gradient is made of."""
        self = super().__new__(cls, needs)
        self.name, self.shape, self.reason = name, shape, reason
        return self

    def __getnewargs__(self) -> Any:
        return self.name, self.shape, tuple(self), self.reason

    @property
    def names(self) -> tuple[str, ...]:
        """The names alone."""
        return tuple(need.name for need in self)

    def __str__(self) -> str:
        words = [str(need) for need in self]
        listed = ", ".join([*words[:-2], " and ".join(words[-2:])])
        return f"{self.name} {self.shape} is made of {listed or self.reason}"

    def __repr__(self) -> str:
        return f"<{self}>"


def read_by(opened: Pass, index: int, k: int) -> tuple[bool, list[int]]:
    """Return what the gradient at operand k of a node is computed from.

    Returns
    -------
    reads_gradient
        Whether from the gradient at the node.
    values
        The operands, or the node itself, whose numbers it reads.
    """
    nodes = opened.graph.nodes
    node = nodes[index]
    op = node.op
    if op is None:
        return False, []
    tracer = ShapeTracer()

    def entered(i: int) -> Value:
        return tracer.input(Spec(nodes[i].shape, nodes[i].dtype))

    xs, y, g = [entered(i) for i in node.inputs], entered(index), entered(index)
    try:
        result: Any = op.derivative.pull(op, k, g, xs, y, node.attributes)
    except (ChainruleError, TypeError):  # a backward of the user's that cannot be recorded
        return True, list(node.inputs)
    finally:
        tracer.close()
    if type(result) is not Value:
        return False, []
    read = {
        i
        for i in (*[x.index for x in xs], y.index, g.index)
        if tracer.graph.dependents([i])[result.index]
    }
    values = [i for i, x in zip(node.inputs, xs, strict=True) if x.index in read]
    return g.index in read, values + [index] * (y.index in read)


def needs_of(opened: Pass, index: int) -> Needs:
    """Return what the gradient at a node is made of, by names of the user's program."""
    names, nodes = opened.names.labels, opened.graph.nodes
    found: dict[tuple[bool, int], None] = dict.fromkeys(_collected(opened, index))
    needs = [
        Need(
            f"d{in_lines(names[i])}" if is_gradient else in_lines(names[i]),
            is_gradient,
            nodes[i].shape,
            str(nodes[i].where),
        )
        for is_gradient, i in sorted(found, key=lambda one: (not one[0], -one[1]))
    ]
    reason = "" if needs else _reason(opened, index)
    return Needs(f"d{in_lines(names[index])}", nodes[index].shape, tuple(needs), reason)


def _reason(opened: Pass, index: int) -> str:
    """Return why a gradient is made of nothing."""
    if index in opened.start.cotangents:
        return "nothing: it starts the walk"
    if index not in opened.adjoints:
        return f"nothing: {opened.head} does not depend on {opened.names.labels[index]}"
    return "nothing: it is the same for all numbers"


def _collected(opened: Pass, start: int) -> Iterator[tuple[bool, int]]:
    """Iterate over (is a gradient, node) of all that the line of a gradient reads."""
    if start not in opened.adjoints or start in opened.start.cotangents:
        return
    try:
        read = opened.explainer.made_of(start)
    except (ChainruleError, TypeError):  # a backward of the user's that cannot be recorded
        read = None
    if read is None:
        yield from _by_rules(opened, start)
        return
    for is_gradient, index in read:
        if is_gradient:
            yield True, index
        else:
            yield from _stored(opened, index)


def _by_rules(opened: Pass, start: int) -> Iterator[tuple[bool, int]]:
    """Iterate over the same by the rules on the way, where the line is too long to be traced."""
    is_given = opened.names.is_given
    waiting, seen = [start], {start}
    while waiting:
        index = waiting.pop()
        for consumer, k in opened.consumers.get(index, ()):
            reads_gradient, values = read_by(opened, consumer, k)
            if reads_gradient and (is_given[consumer] or consumer in opened.start.cotangents):
                yield True, consumer
            elif reads_gradient and consumer not in seen:
                seen.add(consumer)
                waiting.append(consumer)
            for value in values:
                yield from _stored(opened, value)


def _is_known(x: Any) -> bool:
    """Return whether nobody has to keep a constant: it is one number, or counts from 0."""
    return bool(np.size(x) <= 1 or np.array_equal(np.ravel(x), np.arange(np.size(x))))


def _stored(opened: Pass, index: int) -> Iterator[tuple[bool, int]]:
    """Iterate over the value that has to be kept for a number; a small constant need not be."""
    nodes, is_given = opened.graph.nodes, opened.names.is_given
    while not is_given[index]:
        node = nodes[index]
        if node.op is None:
            if not _is_known(opened.graph.constants[index]):
                yield False, index
            return
        moved = isinstance(node.op.derivative, Linear) and len(node.inputs) == 1
        source = node.inputs[0] if moved else index
        if not moved or np.prod(nodes[source].shape) != np.prod(node.shape):
            break
        index = source
    yield False, index
