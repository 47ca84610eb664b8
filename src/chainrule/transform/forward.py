"""The chain rule from the inputs on: forward mode, over numbers or from graph to graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.graph import Graph, ShapeTracer, Spec
from chainrule.transform.origins import marked

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["forward", "push_forward"]


def push_forward(graph: Graph, numbers: Sequence[Any], tangents: dict[int, Any]) -> dict[int, Any]:
    """Walk a graph forwards and return the tangent of every node that has one.

    Parameters
    ----------
    graph
        The program.
    numbers
        The number of each node: arrays, or values of an outer trace.
    tangents
        The tangents to start from, by node; a node without one has tangent 0.

    Notes
    -----
    For y = f(x₁, …), ẏ = Σ ∂f/∂xᵢ ẋᵢ, from the first node to the last.
    """
    found = dict(tangents)
    for index, node in enumerate(graph.nodes):
        op = node.op
        if op is None or not op.differentiable:
            continue
        dxs = [None if op.is_flat(k) else found.get(i) for k, i in enumerate(node.inputs)]
        if all(dx is None for dx in dxs):
            continue
        xs = [numbers[i] for i in node.inputs]
        y = numbers[index]
        with marked(y, f"{op.name} forward"):
            dy = op.derivative.push(op, dxs, xs, y, node.attributes)
            found[index] = dy if dy.dtype == y.dtype else dy.astype(y.dtype)
    return found


def forward(graph: Graph) -> Graph:
    """Return the graph of the outputs and of their tangents.

    Its inputs are those of the program and then a tangent for each of them that has a
    floating-point type; its outputs are those of the program and then a tangent for each.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule.graph import trace
    >>> print(forward(trace(np.sin, Spec((2,)))))
    graph(%0, %2) -> %1, %4
      %0: float64[2] = input
      %1: float64[2] = sin(%0)
      %2: float64[2] = input d0
      %3: float64[2] = cos(%0)
      %4: float64[2] = multiply(%2, %3)
    """
    tracer = ShapeTracer()
    numbers = tracer.replay(graph, tracer.inputs_of(graph))
    tangents = {}
    for index in graph.inputs:
        x = numbers[index]
        if np.issubdtype(x.dtype, np.inexact):
            tangents[index] = tracer.input(Spec(x.shape, x.dtype), f"d{index}")
    found = push_forward(graph, numbers, tangents)
    dys = [
        found[i] if i in found else tracer.constant(np.zeros(numbers[i].shape, numbers[i].dtype))
        for i in graph.outputs
    ]
    tracer.close()
    result = tracer.graph
    result.outputs = [*[numbers[i].index for i in graph.outputs], *[dy.index for dy in dys]]
    result.specialised = graph.specialised
    return result
