"""The chain rule from the output back: reverse mode, over numbers or from graph to graph.

One walk serves both. Over the numbers of a trace it gives a gradient; over values of an outer
trace it records one, so that derivatives of any order, and whole programs for a compiler, come
from the same few lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import InputTypeError
from chainrule.graph import Graph, ShapeTracer, Spec, describe
from chainrule.ops import sum_to
from chainrule.transform.origins import marked

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["pull_back", "reverse"]


def pull_back(
    graph: Graph, numbers: Sequence[Any], active: Sequence[bool], cotangents: dict[int, Any]
) -> dict[int, Any]:
    """Walk a graph backwards and return the cotangent of every active node it reaches.

    Parameters
    ----------
    graph
        The forward program.
    numbers
        The number of each node: arrays, or values of an outer trace.
    active
        For each node, whether its cotangent is wanted or leads to one that is.
    cotangents
        The cotangents to start from, by node.

    Notes
    -----
    For y = f(x₁, …), x̄ᵢ += (∂y/∂xᵢ)ᵀ ȳ, from the last node to the first (Griewank and
    Walther, *Evaluating Derivatives*, 2008, section 3.2). What broadcasting repeated is
    summed here, once for all ops, and a cotangent has its operand's dtype.
    """
    found = dict(cotangents)
    nodes = graph.nodes
    for index in range(max(found, default=-1), -1, -1):
        node = nodes[index]
        op = node.op
        if index not in found or op is None or not active[index]:
            continue
        g, y = found[index], numbers[index]
        xs = [numbers[i] for i in node.inputs]
        with marked(y, f"{op.name} backward"):
            for k, i in enumerate(node.inputs):
                if not active[i] or op.is_flat(k):
                    continue
                x, x_bar = xs[k], op.derivative.pull(op, k, g, xs, y, node.attributes)
                if x_bar.shape != x.shape:
                    x_bar = sum_to(x_bar, x.shape)
                if x_bar.dtype != x.dtype:
                    x_bar = x_bar.astype(x.dtype)
                found[i] = found[i] + x_bar if i in found else x_bar
    return found


def reverse(graph: Graph, wrt: Sequence[int] | None = None) -> Graph:
    """Return the graph of the outputs and of the gradients of a graph.

    Parameters
    ----------
    graph
        A program with n outputs.
    wrt
        The positions of the inputs whose cotangents are wanted; if None, all that have a
        floating-point type.

    Returns
    -------
    Graph
        Its inputs are those of the program and then a cotangent for each output; its outputs
        are those of the program and then a cotangent for each input wanted. The forward nodes
        stand first; each backward node's origin names the forward node and the rule.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule.graph import trace
    >>> print(reverse(trace(np.tanh, Spec((2,)))))
    graph(%0, %2) -> %1, %6
      %0: float64[2] = input
      %1: float64[2] = tanh(%0)
      %2: float64[2] = input d1
      %3: float64[2] = multiply(%1, %1)
      %4: float64[] = constant 1.0
      %5: float64[2] = subtract(%4, %3)
      %6: float64[2] = multiply(%2, %5)
    """
    tracer = ShapeTracer()
    places = _floating(graph) if wrt is None else wrt
    for place in places:
        node = graph.nodes[graph.inputs[place]]
        if not np.issubdtype(node.dtype, np.floating):
            raise InputTypeError(
                f"input {node.name or place} has no derivative: it is {describe(node)}."
            )
    depends = graph.dependents([graph.inputs[p] for p in places])
    active = [
        d and (node.op is None or node.op.differentiable)
        for d, node in zip(depends, graph.nodes, strict=True)
    ]
    numbers = tracer.replay(graph, tracer.inputs_of(graph))
    cotangents: dict[int, Any] = {}
    for index in graph.outputs:
        spec = Spec(graph.nodes[index].shape, graph.nodes[index].dtype)
        g = tracer.input(spec, f"d{index}")
        cotangents[index] = cotangents[index] + g if index in cotangents else g
    found = pull_back(graph, numbers, active, cotangents)
    gradients = [
        found[i] if i in found else tracer.constant(np.zeros(numbers[i].shape, numbers[i].dtype))
        for i in (graph.inputs[p] for p in places)
    ]
    tracer.close()
    result = tracer.graph
    result.outputs = [*[numbers[i].index for i in graph.outputs], *[g.index for g in gradients]]
    result.specialised = graph.specialised
    return result


def _floating(graph: Graph) -> list[int]:
    """Return the positions of the inputs that have a derivative."""
    dtypes = [graph.nodes[index].dtype for index in graph.inputs]
    return [k for k, dtype in enumerate(dtypes) if np.issubdtype(dtype, np.floating)]
