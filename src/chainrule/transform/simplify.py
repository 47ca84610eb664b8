"""The same program with less in it: constants folded, equal and idle nodes gone.

Nothing here changes a number: x·0 stays, because of NaN and infinity, and x + 0 stays, because
of -0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.graph import Graph, ShapeTracer, Spec, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainrule.graph import Node

__all__ = ["simplify"]

_LARGEST_FOLDED = 4096
"""Entries; larger constants are cheaper to compute again than to keep."""


def simplify(graph: Graph) -> Graph:
    """Return a graph with the same inputs and outputs and no needless nodes.

    Constants are folded, nodes that compute the same are one, each op's own rewrites are
    applied (a product with 1, a transpose of a transpose), and what no output needs is left
    out. Lines and origins of the nodes that stay are kept; a node whose origin is gone keeps
    its rule under the node itself.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule.graph import trace
    >>> print(simplify(trace(lambda x: np.exp(x) * 1 + np.exp(x.T).T, Spec((2, 2)))))
    graph(%0) -> %5
      %0: float64[2, 2] = input x
      %1: float64[2, 2] = exp(%0)
      %2: float64[2, 2] = transpose(%0, axes=(1, 0))
      %3: float64[2, 2] = exp(%2)
      %4: float64[2, 2] = transpose(%3, axes=(1, 0))
      %5: float64[2, 2] = add(%1, %4)
    """
    return _without_dead(_rewritten(graph))


def _rewritten(graph: Graph) -> Graph:
    """Return the graph with constants folded, equal nodes merged and rewrites applied."""
    tracer = ShapeTracer()
    values: dict[int, Value] = dict(zip(graph.inputs, tracer.inputs_of(graph), strict=True))
    seen: dict[Any, Value] = {}
    for index, node in enumerate(graph.nodes):
        if index in values:
            continue
        if node.op is None:
            constant = graph.constants[index]
            key: Any = ("constant", _frozen(constant))
            values[index] = seen[key] if key in seen else tracer.constant(constant)
        else:
            xs = [values[i] for i in node.inputs]
            source = values.get(node.origin.node) if node.origin else None
            place = source.index if source is not None else len(tracer.graph.nodes)
            origin = node.origin and node.origin._replace(node=place)
            tracer.here = (node.where, origin)
            node = node._replace(origin=origin)  # noqa: PLW2901 - the same node, in its new place
            key = (node.op, tuple(x.index for x in xs), _frozen(dict(node.attributes)))
            values[index] = seen[key] if key in seen else _simplest(tracer, node, xs)
        seen[key] = values[index]
    tracer.graph.outputs = [values[i].index for i in graph.outputs]
    tracer.graph.specialised = graph.specialised
    tracer.close()
    return tracer.graph


def _simplest(tracer: ShapeTracer, node: Node, xs: list[Value]) -> Value:
    """Return a node's value: folded, rewritten, or as it is."""
    constants = tracer.graph.constants
    known = bool(xs) and all(x.index in constants for x in xs)
    if node.op and known and Spec(node.shape).size <= _LARGEST_FOLDED:
        with np.errstate(all="ignore"):
            folded = node.op(*[constants[x.index] for x in xs], **node.attributes)
        return tracer.constant(folded)
    simpler = _rewrite(node, xs)
    if simpler is None:
        return tracer.append(node, xs)
    while True:  # what a rewrite made may be rewritten in turn
        made = tracer.graph.nodes[simpler.index]
        again = _rewrite(made, [tracer.value(i) for i in made.inputs])
        if again is None:
            return simpler
        simpler = again


def _rewrite(node: Node, xs: list[Value]) -> Value | None:
    """Return what the op's own rewrite makes of a node, if it is the same to the bit."""
    if node.op is None or node.op.rewrite is None:
        return None
    simpler: Value | None = node.op.rewrite(*xs, **node.attributes)
    same = simpler is not None and (simpler.shape, simpler.dtype) == (node.shape, node.dtype)
    return simpler if same else None


def _frozen(x: Any) -> Any:
    """Return a key that is equal for what is the same: 1 is not True, 0.0 is not -0.0."""
    if isinstance(x, np.ndarray | np.generic):
        if x.size > _LARGEST_FOLDED:  # its bytes would be a second copy of it
            return id(x)
        x = np.asarray(x)
        return (x.dtype.str, x.shape, x.tobytes())
    if type(x) is Value:
        return id(x)
    if isinstance(x, dict):
        return tuple((name, _frozen(item)) for name, item in sorted(x.items()))
    if isinstance(x, tuple):
        return tuple(_frozen(item) for item in x)
    return (type(x), repr(x))


def _without_dead(graph: Graph) -> Graph:
    """Return the graph with only what its outputs need, and its inputs."""
    needed = {*graph.inputs, *graph.outputs}
    for index in range(len(graph.nodes) - 1, -1, -1):
        if index in needed:
            needed.update(graph.nodes[index].inputs)
    places = {old: new for new, old in enumerate(sorted(needed))}
    return Graph(
        nodes=[_moved(graph.nodes[old], places, new) for old, new in places.items()],
        inputs=[places[i] for i in graph.inputs],
        outputs=[places[i] for i in graph.outputs],
        constants={places[i]: x for i, x in graph.constants.items() if i in needed},
        specialised=graph.specialised,
    )


def _moved(node: Node, places: Mapping[int, int], itself: int) -> Node:
    origin = node.origin and node.origin._replace(node=places.get(node.origin.node, itself))
    return node._replace(inputs=tuple(places[i] for i in node.inputs), origin=origin)
