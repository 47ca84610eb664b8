"""A plan: which steps run, in what order, and in which memory the numbers lie.

Steps are loops, matrix products, placements, scatters, and what NumPy has to do. The memory is
that of the inputs, the outputs, the constants, and one piece of work memory that steps share by
lifetimes. An output may be donated the memory of an input: parameters are then updated where
they are. What an output must not touch before it is known to be wanted (a parameter, before the
loss is known to be finite) comes in a second stage.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from chainrule.compile.explain import explain
from chainrule.compile.fuse import Loop, group
from chainrule.compile.lowering import lowered
from chainrule.compile.memory import Place, WorkMemory
from chainrule.errors import ChainruleError
from chainrule.graph import Fold, Layout, Placed, Product, Scattered, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from chainrule.compile.fuse import Grouping
    from chainrule.compile.lowering import Seen
    from chainrule.graph import Graph, Node

__all__ = ["Array", "Copy", "Plan", "Step", "plan"]


class Array(NamedTuple):
    """A piece of memory from outside: an input, an output or a constant of the graph."""

    kind: str
    index: int  # type: ignore[assignment]  # a tuple has a method of this name


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
        return _size(self.node.shape)


class Copy(NamedTuple):
    """An output that is put into the memory of an input at the very end."""

    source: Place
    target: Place
    node: int


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
        """Return whether a node's numbers are in memory, and not in registers alone."""
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
    """
    low, results = lowered(graph)
    if any(0 in node.shape for node in low.nodes):
        raise ChainruleError("a loop begins before it looks for its end: no array may be empty")
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
    _Memory(made).lay_out()
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


def _ordered(
    grouping: Grouping, able: Callable[[Graph, int], bool], *, shared: bool
) -> list[Step]:
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


class _Memory:
    """Gives every stored node its place."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.graph = plan.graph
        self.grouping = plan.grouping
        self.work = WorkMemory()
        self.when = {i: t for t, step in enumerate(plan.steps) for i in step.nodes}
        self.last = self._last_uses()
        self.roots: dict[int, int] = {}

    def _last_uses(self) -> dict[int, int]:
        """Return for each source the last step that reads it."""
        last: dict[int, int] = {}
        for t, step in enumerate(self.plan.steps):
            for source in step.reads:
                last[source] = t
        return last

    def lay_out(self) -> None:
        """Give places to what comes from outside, then to what is computed, by lifetimes."""
        plan, graph = self.plan, self.graph
        given = [*[("input", i) for i in graph.inputs], *[("constant", i) for i in graph.constants]]
        for kind, index in given:
            plan.places[index] = Place(kind, len(plan.arrays), 0)
            plan.arrays.append(Array(kind, index))
        self._place_outputs()
        stored = self._stored()
        parts = self._parts(stored)
        ends = self._ends(stored, parts)
        dying: dict[int, list[int]] = {}
        for index, end in ends.items():
            dying.setdefault(end, []).append(index)
        starts = self._starts(stored, parts)
        for t, step in enumerate(plan.steps):
            for index in starts.get(t, []):
                self._place(index, step, dying.get(t, []))
            self._keep_rows(step)
            for index in dying.get(t, []):
                self.work.release(index)
        for index, (root, offset) in parts.items():
            place = plan.places[root]
            plan.places[index] = place._replace(offset=place.offset + offset)
        plan.work = self.work.size

    def _place_outputs(self) -> None:
        """Give the outputs their own memory, or that of the inputs which is donated to them."""
        plan, graph = self.plan, self.graph
        for k, index in enumerate(graph.outputs):
            of_input = plan.donated.get(k)
            if of_input is None:
                place = Place("output", len(plan.arrays), 0)
                plan.arrays.append(Array("output", k))
                plan.places[index] = place
                continue
            place = plan.places[graph.inputs[of_input]]
            if self._may_overwrite(index, graph.inputs[of_input]):
                plan.places[index] = place
            else:
                plan.copies.append(Copy(place, place, index))

    def _may_overwrite(self, index: int, given: int) -> bool:
        """Return whether a node can be computed in the memory of an input."""
        graph = self.graph
        same = (graph.nodes[index].shape, graph.nodes[index].dtype)
        if same != (graph.nodes[given].shape, graph.nodes[given].dtype):
            return False
        step = self.plan.steps[self.when[index]]
        if step.stage == 0 or self.last.get(given, -1) > self.when[index]:
            return False
        if self.last.get(given, -1) < self.when[index]:
            return step.kind in {"loop", "product"} and index not in self._outer_folds(step)
        return self._in_step(step, index, given)

    def _in_step(self, step: Step, index: int, source: int) -> bool:
        """Return whether a node of a loop reads an array only at the places where it writes."""
        loop = step.loop
        if loop is None or index in self._outer_folds(step) or index in loop.rows:
            return False
        written = self.grouping.output_strides(index)
        readings = [
            (node, reading)
            for node in loop.nodes
            for reading in self.grouping.readings(node)
            if reading.source == source
        ]
        return not self.grouping.folded(index) and all(
            node not in loop.rows
            and reading.offset == 0
            and reading.strides == written
            and (loop.times[node], node) <= (loop.times[index], index)
            for node, reading in readings
        )

    def _outer_folds(self, step: Step) -> set[int]:
        """Return the nodes of a loop that gather up in memory from row to row."""
        return {i for i in step.nodes if isinstance(self._form(i), Fold)}

    def _form(self, index: int) -> object:
        op = self.graph.nodes[index].op
        return op.form if op is not None else None

    # ------------------------------------------------------------------ what is stored

    def _stored(self) -> list[int]:
        """Return the nodes that need work memory, or share that of another."""
        wanted = set().union(*[step.reads for step in self.plan.steps]) if self.plan.steps else set()
        wanted |= {copy.node for copy in self.plan.copies} | set(self.graph.outputs)
        nodes = [i for step in self.plan.steps for i in step.nodes]
        alone = {i for step in self.plan.steps if step.loop is None for i in step.nodes}
        return [i for i in nodes if (i in wanted or i in alone) and i not in self.plan.places]

    def _parts(self, stored: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Return what can be computed as a part of what it is placed in: its root and offset."""
        parts: dict[int, tuple[int, int]] = {}
        free = set(stored)
        for step in self.plan.steps:
            (index,) = step.nodes if step.kind == "placed" else [-1]
            if index < 0 or not self._form(index).covers:  # type: ignore[attr-defined]
                continue
            for source, at in placed_parts(self.grouping, index):
                if source.source in free and source.layout.is_contiguous and at.is_contiguous:
                    whole = self.graph.nodes[source.source].shape
                    if Layout.contiguous(whole).is_contiguous and _size(whole) == _size(at.shape):
                        parts[source.source] = (index, at.offset)
                        free.discard(source.source)
        return {i: self._root(parts, i) for i in parts}

    def _root(self, parts: Mapping[int, tuple[int, int]], index: int) -> tuple[int, int]:
        offset = 0
        while index in parts:
            index, more = parts[index]
            offset += more
        return index, offset

    def _ends(
        self, stored: Sequence[int], parts: Mapping[int, tuple[int, int]]
    ) -> dict[int, int]:
        """Return the last step that uses the memory of each root in work memory."""
        copied = {copy.node for copy in self.plan.copies}
        ends: dict[int, int] = {}
        for index in stored:
            root = parts[index][0] if index in parts else index
            if root in self.plan.places:
                continue
            end = max(self.last.get(index, -1), self.when[index])
            ends[root] = max(ends.get(root, -1), len(self.plan.steps) if index in copied else end)
        return ends

    def _starts(
        self, stored: Sequence[int], parts: Mapping[int, tuple[int, int]]
    ) -> dict[int, list[int]]:
        """Return the roots in work memory by the first step that writes to them."""
        first: dict[int, int] = {}
        for index in stored:
            root = parts[index][0] if index in parts else index
            if root not in self.plan.places:
                first[root] = min(first.get(root, len(self.plan.steps)), self.when[index])
        starts: dict[int, list[int]] = {}
        for root, t in first.items():
            starts.setdefault(t, []).append(root)
        return starts

    def _place(self, index: int, step: Step, dying: Iterable[int]) -> None:
        """Give a node memory: that of an array that ends here if it may be overwritten."""
        node = self.graph.nodes[index]
        count = _size(node.shape) * node.dtype.itemsize
        if index in step.nodes:
            for old in dying:
                if (
                    old != index
                    and self.work.bytes_of(old) == count
                    and self._in_step(step, index, old)
                    and self.graph.nodes[old].dtype == node.dtype
                ):
                    self.work.hand_over(old, index)
                    break
        self.plan.places[index] = Place("work", 0, self.work.take(index, count) // node.dtype.itemsize)

    def _keep_rows(self, step: Step) -> None:
        """Give memory for a row of what one pass of a loop computes and another reads."""
        loop = step.loop
        if loop is None or loop.passes == 1 and not loop.rows:
            return
        kept = []
        for index in loop.nodes:
            for reading in self.grouping.readings(index):
                source = reading.source
                is_inside = source in loop.times and source not in loop.rows
                if not is_inside or self.grouping.folded(source) or self.plan.stored(source):
                    continue
                if loop.times[source] < loop.times[index] and source not in self.plan.temporaries:
                    node = self.graph.nodes[source]
                    count = loop.space[-1] * node.dtype.itemsize
                    self.plan.temporaries[source] = self.work.take(("row", source), count)
                    kept.append(("row", source))
        for key in kept:
            self.work.release(key)


def placed_parts(grouping: Grouping, index: int) -> list[tuple[Seen, Layout]]:
    """Return for each operand of a placement how it lies and where it goes in the output."""
    node = grouping.graph.nodes[index]
    operands = [grouping.graph.nodes[i] for i in node.inputs]
    form = node.op.form if node.op is not None else None
    if not isinstance(form, Placed):
        return []
    at = form.parts(Layout.contiguous(node.shape), operands, **node.attributes)
    return [(grouping.places[i], part) for i, part in zip(node.inputs, at, strict=True)]


def _size(shape: Sequence[int]) -> int:
    return list(itertools.accumulate(shape, lambda a, b: a * b, initial=1))[-1]
