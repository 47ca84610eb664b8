"""Running a graph with NumPy: the same numbers as `Graph.evaluate`, and less memory and talk.

A `Program` is a graph prepared once: each node is its op's forward rule with the attributes in
place, and an array is let go after its last use.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainrule.graph import Graph

__all__ = ["Program", "run"]

_Step = tuple["Callable[..., Any]", tuple[int, ...], int, tuple[int, ...]]


class Program:
    """A graph prepared to run many times.

    Parameters
    ----------
    graph
        Not specialised: traced on shapes, or without branches.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule.graph import Spec, trace
    >>> program = Program(trace(lambda x: np.sum(x * x), Spec((3,))))
    >>> program(np.array([1.0, 2.0, 3.0]))
    [np.float64(14.0)]
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._constants = list(graph.constants.items())
        self._steps = _steps(graph)

    def __call__(self, *given: Any) -> list[Any]:
        """Return the outputs for these inputs; the errors are those of `Graph.evaluate`."""
        graph = self.graph
        arrays = graph.accept(given)
        numbers: list[Any] = [None] * len(graph.nodes)
        for index, x in zip(graph.inputs, arrays, strict=True):
            numbers[index] = x
        for index, constant in self._constants:
            numbers[index] = constant
        for forward, inputs, index, done in self._steps:
            numbers[index] = forward(*[numbers[i] for i in inputs])
            for i in done:
                numbers[i] = None
        return graph.results(numbers)


def _steps(graph: Graph) -> list[_Step]:
    """Return what to call, with which numbers, where the result goes, and what ends there."""
    last = {i: index for index, node in enumerate(graph.nodes) for i in node.inputs}
    kept = {*graph.outputs, *graph.inputs, *graph.constants}
    steps: list[_Step] = []
    for index, node in enumerate(graph.nodes):
        if node.op is None:
            continue
        forward = node.op.forward
        if node.attributes:
            forward = functools.partial(forward, **node.attributes)
        done = tuple(i for i in set(node.inputs) if last[i] == index and i not in kept)
        steps.append((forward, node.inputs, index, done))
    return steps


def run(graph: Graph, *arrays: Any) -> list[Any]:
    """Return the outputs of a graph for these inputs, by NumPy."""
    return Program(graph)(*arrays)
