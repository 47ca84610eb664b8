"""A plan: which steps run, in what order, and in which memory the numbers lie.

Steps are loops, matrix products, placements, scatters, and what NumPy has to do. The memory is
that of the inputs, the outputs, the constants, and one piece of work memory that steps share by
lifetimes. An output may be donated the memory of an input: parameters are then updated where
they are. What an output must not touch before it is known to be wanted (a parameter, before the
loss is known to be finite) comes in a second stage.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from chainrule.compile.explain import explain
from chainrule.compile.fuse import Loop, group
from chainrule.compile.lifetimes import lay_out
from chainrule.compile.lowering import lowered
from chainrule.errors import ChainruleError
from chainrule.graph import Placed, Product, Scattered, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainrule.compile.fuse import Grouping
    from chainrule.compile.memory import Array, Copy, Place
    from chainrule.graph import Graph, Node

__all__ = ["Plan", "Step", "plan"]


@dataclass
class Step:
    """One step: a loop, or a node by itself.

    Attributes
    ----------
    kind
        "loop", "product", "placed", "scatter" or "host".
    nodes
        What it computes, in order.
    reads
        The arrays that it reads, by the nodes that made them.
    stage
        0 before, 1 after it is known that what comes of the first stage is finite.
    loop
        The loop, if it is one.
    """

    kind: str
    nodes: list[int]
    reads: set[int]
    stage: int
    loop: Loop | None = None


class _Sized(NamedTuple):
    """A node as the cost of an op sees it."""

    node: Node

    @property
    def size(self) -> int:
        return math.prod(self.node.shape)


@dataclass
class Plan:
    """What runs.

    Attributes
    ----------
    graph
        Lowered: its outputs are the results, then what has to hold.
    results
        How many of the outputs are results.
    grouping
        The loops, and how their nodes read.
    steps
        In order.
    places
        Where the numbers of each stored node begin.
    temporaries
        Where a row of a node's numbers is kept from one pass of its loop to another.
    arrays
        What comes from outside, in the order in which it is passed.
    donated
        Which output takes the memory of which input.
    guards
        The outputs that have to be finite before the second stage begins.
    watched
        The outputs that have to be finite at the end.
    copies
        Outputs that could not be computed in the memory of their input.
    work
        Bytes of work memory.
    """

    graph: Graph
    results: int
    grouping: Grouping
    steps: list[Step]
    donated: Mapping[int, int]
    guards: tuple[int, ...]
    watched: tuple[int, ...]
    places: dict[int, Place] = field(default_factory=dict)
    temporaries: dict[int, int] = field(default_factory=dict)
    arrays: list[Array] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    work: int = 0

    @property
    def hosted(self) -> list[int]:
        """The nodes that NumPy has to compute."""
        return [step.nodes[0] for step in self.steps if step.kind == "host"]

    @property
    def cost(self) -> float:
        """Floating-point operations of a run, about."""
        nodes = self.graph.nodes
        return sum(
            node.op.cost(*[nodes[i] for i in node.inputs], y=_Sized(node), **node.attributes)
            for node in nodes
            if node.op is not None
        )

    @property
    def key(self) -> str:
        """What the code of the plan depends on, as text."""
        constants = self.graph.constants
        # the text of a graph has no number for infinities and NaN, and code has scalars within it
        scalars = {i: x.tobytes() for i, x in constants.items() if not self.graph.nodes[i].shape}
        parts = (dict(self.donated), self.guards, self.watched, self.results, self.hosted)
        return f"{self.graph}|{parts}|{scalars}"

    def __str__(self) -> str:
        """Return what runs, step by step, as `explain` says it."""
        return explain(self)

    def stored(self, index: int) -> bool:
        """Return whether a node's numbers are in memory, and not in registers alone.

        Parameters
        ----------
        index
            The node, of the plan's own graph.
        """
        return index in self.places


def plan(
    graph: Graph,
    donated: Mapping[int, int] | None = None,
    guards: Sequence[int] = (),
    watched: Sequence[int] = (),
    able: Callable[[Graph, int], bool] = lambda *_: True,
    *,
    shared: bool = False,
) -> Plan:
    """Return a plan of a graph.

    Parameters
    ----------
    graph
        Not specialised, without arrays of no elements.
    donated
        Output by input, counted: this output may take the memory of this input.
    guards
        Outputs, counted, numbers that have to be finite for donated outputs to be written.
    watched
        Outputs, counted, numbers that have to be finite after that.
    able
        ``(graph, node) → bool``: whether the executor can compute this node of a loop, or has
        matrix products of its type; NumPy does what it cannot.
    shared
        Whether threads will share it. Products that read what all of them computed then come
        together, after what each thread can do by itself.

    Raises
    ------
    ChainruleError
        If an array has no elements, or an output has another shape or dtype than the input whose
        memory it is to take.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule.graph import Spec, trace
    >>> graph = trace(lambda w, g: w - 0.1 * np.tanh(g), Spec((1000,)), Spec((1000,)))
    >>> made = plan(graph, donated={0: 0})
    >>> len(made.steps), made.work, made.stored(made.graph.outputs[0])
    (1, 0, True)
    """
    low, results = lowered(graph)
    if any(0 in node.shape for node in low.nodes):
        raise ChainruleError("a loop begins before it looks for its end: no array may be empty.")
    donated = dict(donated or {})
    for k, i in donated.items():
        one, other = low.nodes[low.outputs[k]], low.nodes[low.inputs[i]]
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            raise ChainruleError(
                f"output {k}, {describe(one)}, cannot take the memory of input {i}, "
                f"{describe(other)}."
            )
    stages = _stages(low, results, donated, guards)
    grouping = group(low, stages, able)
    steps = _ordered(grouping, able, shared=shared)
    made = Plan(low, results, grouping, steps, donated, tuple(guards), tuple(watched))
    lay_out(made)
    return made


def _stages(
    graph: Graph, results: int, donated: Mapping[int, int], guards: Sequence[int]
) -> list[int]:
    """Return for each node whether it may be computed before the guards are known."""
    stages = [0] * len(graph.nodes)
    if not donated:
        return stages
    early = {*graph.outputs[results:], *[graph.outputs[k] for k in guards]}
    for index in range(len(graph.nodes) - 1, -1, -1):
        if index in early:
            early.update(graph.nodes[index].inputs)
    return [0 if i in early else 1 for i in range(len(graph.nodes))]


def _kind(grouping: Grouping, index: int, able: Callable[[Graph, int], bool]) -> str:
    op = grouping.graph.nodes[index].op
    form = op.form if op is not None else None
    if not able(grouping.graph, index):
        return "host"
    kinds = ((Product, "product"), (Placed, "placed"), (Scattered, "scatter"))
    return next((kind for form_type, kind in kinds if isinstance(form, form_type)), "host")


def _ordered(grouping: Grouping, able: Callable[[Graph, int], bool], *, shared: bool) -> list[Step]:
    """Return the steps in an order in which they can run, near that of the program."""
    steps: dict[int, Step] = {}
    for key, found in grouping.steps.items():
        loop = found if isinstance(found, Loop) else None
        nodes = loop.nodes if loop is not None else [key]
        reads = {
            grouping.places[i].source for n in nodes for i in grouping.graph.nodes[n].inputs
        } - set(nodes)
        kind = "loop" if loop is not None else _kind(grouping, key, able)
        steps[key] = Step(kind, nodes, reads, grouping.stages[key], loop)
    waiting: dict[int, set[int]] = {}
    after: dict[int, list[int]] = {key: [] for key in steps}
    for key, step in steps.items():
        waiting[key] = {grouping.step_of[i] for i in step.reads if i in grouping.step_of}
        for other in waiting[key]:
            after[other].append(key)
    later = {key for key, step in steps.items() if shared and _reads_columns(grouping, step)}

    def rank(key: int) -> tuple[int, bool, int]:
        return steps[key].stage, key in later, key

    ready = [rank(key) for key, others in waiting.items() if not others]
    heapq.heapify(ready)
    order: list[Step] = []
    while ready:
        *_, key = heapq.heappop(ready)
        order.append(steps[key])
        for other in after[key]:
            waiting[other].discard(key)
            if not waiting[other]:
                heapq.heappush(ready, rank(other))
    return order


def _reads_columns(grouping: Grouping, step: Step) -> bool:
    """Return whether a product's rows are columns of its first operand, as in dyᵀ x."""
    if step.kind != "product":
        return False
    first = grouping.places[grouping.graph.nodes[step.nodes[0]].inputs[0]]
    return first.layout.strides[-1] != 1 and first.layout.shape[-1] > 1
