"""A graph in the words that a plan is made of: composites by their parts, moves made explicit.

What comes out computes the same to rounding. Every node then has one of the simple forms, every
view can be walked in memory as it lies, and every output is computed and not just seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.errors import ChainruleError
from chainrule.graph import Composite, Fold, Graph, Layout, Product, ShapeTracer, Viewed
from chainrule.ops import stop_gradient as copied
from chainrule.transform import simplify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainrule.graph import Node, Value

__all__ = ["Lowered", "Seen", "lowered", "seen"]


class Lowered(NamedTuple):
    """A graph for planning.

    Attributes
    ----------
    graph
        Its outputs are those of the original and then what has to hold: arrays of truth.
    results
        How many of the outputs are the original's.
    """

    graph: Graph
    results: int


class Seen(NamedTuple):
    """Where the numbers of a node lie: in the array of another, the source, in a layout."""

    source: int
    layout: Layout


def lowered(graph: Graph) -> Lowered:
    """Return a graph for planning that computes the same to rounding.

    Parameters
    ----------
    graph
        Not specialised.
    """
    results = len(graph.outputs)
    before, now = (0, 0), _composites(graph)
    while now[0] and now != before:  # what cannot be said by parts stays, and adds nothing
        graph = _passed(graph, _by_parts)
        before, now = now, _composites(graph)
    graph = _passed(simplify(graph), _without_idle_folds)
    graph = simplify(_passed(graph, _Products(graph)))
    graph.outputs[results:] = [i for i in graph.outputs[results:] if not _is_true(graph, i)]
    return Lowered(_with_own_outputs(_passed(graph, _moved)), results)


def seen(graph: Graph) -> list[Seen]:
    """Return for each node the array that holds its numbers and their layout in it."""
    found: list[Seen] = []
    for index, node in enumerate(graph.nodes):
        at = None
        if node.op is not None and isinstance(node.op.form, Viewed):
            source, layout = found[node.inputs[0]]
            at = node.op.form.layout(layout, **node.attributes)
            if at is not None:
                found.append(Seen(source, at))
                continue
        found.append(Seen(index, Layout.contiguous(node.shape)))
    return found


class _New(NamedTuple):
    """The graph that a rewrite writes, and the values in it that have to hold."""

    tracer: ShapeTracer
    holding: list[Value]


def _passed(graph: Graph, rewrite: Callable[[_New, Node, list[Value]], Value | None]) -> Graph:
    """Return the graph with each node as a rewrite gives it, or as it was where that is None."""
    tracer = ShapeTracer()
    values: dict[int, Value] = dict(zip(graph.inputs, tracer.inputs_of(graph), strict=True))
    new = _New(tracer, [])
    for index, node in enumerate(graph.nodes):
        if index in values:
            continue
        if node.op is None:
            values[index] = tracer.constant(graph.constants[index])
            continue
        source = values.get(node.origin.node) if node.origin else None
        origin = node.origin and node.origin._replace(node=0 if source is None else source.index)
        tracer.here = (node.where, origin)
        node = node._replace(origin=origin)  # noqa: PLW2901 - the same node, in its new place
        xs = [values[i] for i in node.inputs]
        value = rewrite(new, node, xs)
        values[index] = tracer.append(node, xs) if value is None else value
    outputs = [*[values[i] for i in graph.outputs], *new.holding]
    tracer.graph.outputs = [x.index for x in outputs]
    tracer.close()
    return tracer.graph


def _is_true(graph: Graph, index: int) -> bool:
    """Return whether what has to hold is known to."""
    return bool(graph.constants.get(index, False))


def _composites(graph: Graph) -> tuple[int, int]:
    """Return how many nodes are composites, and how many there are."""
    return sum(map(_is_composite, graph.nodes)), len(graph.nodes)


def _is_composite(node: Node) -> bool:
    return node.op is not None and isinstance(node.op.form, Composite)


def _by_parts(new: _New, node: Node, xs: Sequence[Value]) -> Value | None:
    """Return a composite by its parts, cast to what it says of itself."""
    if node.op is None or not isinstance(node.op.form, Composite):
        return None
    form = node.op.form
    y = (form.parts or node.op.forward)(*xs, **node.attributes)
    if y is None:
        return None
    if form.holds is not None:
        new.holding.append(np.all(form.holds(*xs, **node.attributes)))  # type: ignore[arg-type]
    if (y.shape, y.dtype) != (node.shape, node.dtype):
        raise ChainruleError(f"the parts of {node.op.name} give {y}, not {node.shape}")
    return y  # type: ignore[no-any-return]


def _without_idle_folds(_: _New, node: Node, xs: Sequence[Value]) -> Value | None:
    """Return a reduction over axes of length 1 as the reshape that it is."""
    if node.op is None or not isinstance(node.op.form, Fold):
        return None
    if any(xs[0].shape[a] != 1 for a in node.attributes["axis"]):
        return None
    x: Any = xs[0] if xs[0].dtype == node.dtype else np.astype(xs[0], node.dtype)  # type: ignore[call-overload]
    y: Value = np.reshape(x, node.shape)  # type: ignore[assignment]
    return y


class _Products:
    """Turns a transposed product into the product of the transposed, where nobody else sees it."""

    def __init__(self, graph: Graph) -> None:
        self.places = seen(graph)
        self.graph = graph
        self.uses = [0] * len(graph.nodes)
        for node in graph.nodes:
            for i in node.inputs:
                self.uses[i] += 1
        for i in graph.outputs:
            self.uses[i] += 1

    def __call__(self, new: _New, node: Node, xs: Sequence[Value]) -> Value | None:
        if node.op is None or not isinstance(node.op.form, Viewed) or len(node.shape) != 2:
            return None
        made = new.tracer.graph.nodes[xs[0].index]
        if made.op is None or not isinstance(made.op.form, Product):
            return None
        turned = Layout.contiguous(made.shape).transposed((1, 0))
        if node.op.form.layout(Layout.contiguous(made.shape), **node.attributes) != turned:
            return None
        if self.uses[node.inputs[0]] > 1:  # others see it as it is
            return None
        a, b = (new.tracer.value(i) for i in made.inputs)
        return made.op(np.transpose(b), np.transpose(a))  # type: ignore[no-any-return]


def _moved(new: _New, node: Node, xs: list[Value]) -> Value | None:
    """Copy an operand into rows where its view cannot be walked in memory as it lies."""
    if node.op is None:
        return None
    if isinstance(node.op.form, Product):
        xs = [np.astype(x, node.dtype) for x in xs]  # type: ignore[call-overload]
        return node.op(*[x if _is_matrix(_layout(new.tracer, x)) else copied(x) for x in xs])  # type: ignore[no-any-return]
    if isinstance(node.op.form, Viewed):
        at = node.op.form.layout(_layout(new.tracer, xs[0]), **node.attributes)
        if at is None:
            return node.op(copied(xs[0]), **node.attributes)  # type: ignore[no-any-return]
    return None


def _layout(tracer: ShapeTracer, x: Value) -> Layout:
    """Return how a value lies in the array that holds it."""
    node = tracer.graph.nodes[x.index]
    if node.op is not None and isinstance(node.op.form, Viewed):
        below = _layout(tracer, tracer.value(node.inputs[0]))
        at = node.op.form.layout(below, **node.attributes)
        if at is not None:
            return at
    return Layout.contiguous(x.shape)


def _is_matrix(layout: Layout) -> bool:
    """Return whether a product can read matrices in this layout: rows or columns without gaps."""
    (m, n), (s, t) = layout.shape[-2:], layout.strides[-2:]
    by_rows = (t == 1 or n == 1) and (s >= n or m == 1)
    by_columns = (s == 1 or m == 1) and (t >= m or n == 1)
    return by_rows or by_columns


def _with_own_outputs(graph: Graph) -> Graph:
    """Return the graph with a computed node of its own for each output."""
    places = seen(graph)
    tracer = ShapeTracer()
    values = tracer.replay(graph, tracer.inputs_of(graph))
    taken: set[int] = set()
    outputs: list[Value] = []
    for i in graph.outputs:
        is_given = graph.nodes[places[i].source].op is None
        if places[i].source != i or is_given or i in taken:
            tracer.here = (graph.nodes[i].where, None)
            outputs.append(copied(values[i]))
        else:
            outputs.append(values[i])
        taken.add(i)
    tracer.graph.outputs = [x.index for x in outputs]
    tracer.close()
    return tracer.graph
