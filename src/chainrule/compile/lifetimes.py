"""Where every array of a plan lies, and for how long.

Inputs, constants and outputs lie in memory from outside; an output may take that of an input. All
else shares the work memory: an array has a place in it from the first step that writes it to the
last that reads it. A step may compute in the memory of an array that ends with it, and an operand
of a concatenation is computed where it is wanted, so that it need not be moved.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from chainrule.compile.memory import Array, Copy, Place, WorkMemory
from chainrule.graph import Fold, Layout, Placed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chainrule.compile.fuse import Grouping
    from chainrule.compile.lowering import Seen
    from chainrule.compile.plan import Plan, Step

__all__ = ["lay_out", "placed_parts"]


def lay_out(plan: Plan) -> None:
    """Give every stored node of a plan its place.

    Parameters
    ----------
    plan
        Its steps are in order. Its places, temporaries, arrays, copies and its work are written.
    """
    _Lifetimes(plan).lay_out()


class _Lifetimes:
    """Gives every stored node its place."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.graph = plan.graph
        self.grouping = plan.grouping
        self.work = WorkMemory()
        self.when = {i: t for t, step in enumerate(plan.steps) for i in step.nodes}
        self.last = self._last_uses()

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
                plan.copies.append(Copy(index, place))

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
        wanted = (
            set().union(*[step.reads for step in self.plan.steps]) if self.plan.steps else set()
        )
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
                is_whole = math.prod(self.graph.nodes[source.source].shape) == math.prod(at.shape)
                is_alike = source.layout.is_contiguous and at.is_contiguous and is_whole
                if source.source in free and is_alike:
                    parts[source.source] = (index, at.offset)
                    free.discard(source.source)
        return {i: self._root(parts, i) for i in parts}

    def _root(self, parts: Mapping[int, tuple[int, int]], index: int) -> tuple[int, int]:
        offset = 0
        while index in parts:
            index, more = parts[index]
            offset += more
        return index, offset

    def _ends(self, stored: Sequence[int], parts: Mapping[int, tuple[int, int]]) -> dict[int, int]:
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
        count = math.prod(node.shape) * node.dtype.itemsize
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
        self.plan.places[index] = Place(
            "work", 0, self.work.take(index, count) // node.dtype.itemsize
        )

    def _keep_rows(self, step: Step) -> None:
        """Give memory for a row of what one pass of a loop computes and another reads."""
        loop = step.loop
        if loop is None or (loop.passes == 1 and not loop.rows):
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
