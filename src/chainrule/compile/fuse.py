"""Which nodes are computed in one walk over memory.

A loop walks an iteration space: the axes of the arrays that its nodes have in common. A node is
computed at every place of the space, or once a row, which is the space without its last axis.
Folds along the last axis are ready at the end of a row and may be used in another pass over it,
as a softmax uses its maximum and its sum; folds over other axes are ready after the loop. Nodes
may join a loop if each reads what the others compute at the same place, and if no other step
has to run between them.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from chainrule.compile.reading import Walks, is_loop
from chainrule.graph import Counted, Gathered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from chainrule.compile.reading import Reading
    from chainrule.graph import Graph

__all__ = ["Grouping", "Loop", "Refusal", "group"]

_MOST_PASSES = 6
_MOST_ARRAYS = 24
"""Arrays that one loop may walk; with more, their addresses no longer fit into registers."""

BEFORE = -1
"""The time of what is computed for a row before its first pass."""


class Refusal(NamedTuple):
    """Why two steps are not one.

    Attributes
    ----------
    reason
        In words.
    nodes
        One that stands between or reads in a way of its own, or one of each of the two.
    """

    reason: str
    nodes: tuple[int, ...] = ()


_NO_LOOP = Refusal("one of them is no loop")
_BETWEEN = "another step has to run between"
_OTHER_STAGE = Refusal("one runs before the checks and the other after")


@dataclass
class Loop:
    """Nodes that are computed in one walk.

    Attributes
    ----------
    space
        The lengths of its axes, none of them 1.
    nodes
        In order.
    times
        When a node is computed within a row: 0, 2, … in the first, second pass over it; 1, 3, …
        after these passes, -1 before them.
    rows
        The nodes that are computed once a row.
    """

    space: tuple[int, ...]
    nodes: list[int]
    times: dict[int, int] = field(default_factory=dict)
    rows: frozenset[int] = frozenset()

    @property
    def passes(self) -> int:
        """How often each row is walked."""
        return max((t for t in self.times.values() if t % 2 == 0), default=0) // 2 + 1

    def walked(self, node: int) -> tuple[int, ...]:
        """Return the axes that a node walks: all of the space, or all but the last."""
        return self.space[:-1] if node in self.rows else self.space


class Grouping:
    """The steps of a graph: loops, and nodes that are steps by themselves.

    Parameters
    ----------
    graph
        A lowered one.
    stages
        For each node the stage of the plan that it belongs to; loops do not mix them.
    able
        Whether the executor can compute a node of a loop.
    """

    def __init__(
        self, graph: Graph, stages: Sequence[int], able: Callable[[Graph, int], bool]
    ) -> None:
        self.graph = graph
        self._walks = Walks(graph)
        self.places = self._walks.places
        self.stages = stages
        self.step_of: dict[int, int] = {}
        self.steps: dict[int, Loop | int] = {}
        self.before: dict[int, int] = {}
        self.after: dict[int, int] = {}
        self._readings: dict[int, list[Reading]] = {}
        for index, node in enumerate(graph.nodes):
            if node.op is None or self.places[index].source != index:
                continue
            self.step_of[index] = index
            self.before[index] = self._all_before(index)
            self.after[index] = 0
            for other in _bits(self.before[index]):
                self.after[other] |= 1 << index
            if is_loop(node) and able(graph, index):
                self._readings[index] = self._walks.readings(index)
                loop = Loop(self._walks.space(index), [index])
                self._schedule(loop)
                self.steps[index] = loop
            else:
                self.steps[index] = index

    def _all_before(self, index: int) -> int:
        """Return the set, as bits, of the steps that a node comes after."""
        found = 0
        for i in self.graph.nodes[index].inputs:
            source = self.places[i].source
            if source in self.step_of:
                found |= 1 << source | self.before[source]
        return found

    def readings(self, index: int) -> list[Reading]:
        """Return how a node of a loop reads its operands."""
        return self._readings[index]

    def output_strides(self, index: int) -> tuple[int, ...]:
        """Return the strides of a node's own array over the axes that it walks; 0 is folded."""
        return self._walks.output_strides(index)

    def folded(self, index: int) -> tuple[int, ...]:
        """Return the axes, of those that it walks, that a node folds; none for other nodes."""
        return self._walks.folded(index)

    # ------------------------------------------------------------------ joining

    def loop(self, index: int) -> Loop | None:
        """Return the loop that a node is computed in."""
        step = self.steps[self.step_of[index]]
        return step if isinstance(step, Loop) else None

    def join(self, one: int, other: int) -> bool:
        """Compute the steps of two nodes in one loop, if that is possible."""
        a, b = sorted((self.step_of[one], self.step_of[other]))
        if a == b:
            return True
        loop = self._common(a, b)
        if isinstance(loop, Refusal):
            return False
        self._replace(a, b, loop)
        return True

    def refusal(self, one: int, other: int) -> Refusal | None:
        """Return why the steps of two nodes are not one; None where they are, or could be."""
        a, b = sorted((self.step_of[one], self.step_of[other]))
        found = None if a == b else self._common(a, b)
        if not isinstance(found, Refusal):
            return None
        if found.reason == _BETWEEN:  # a product says more than a loop
            rest = sorted(self._between(a, b), key=lambda x: isinstance(self.steps[x], Loop))
            return Refusal(_BETWEEN, tuple(rest[:1]))
        return found

    def _common(self, a: int, b: int) -> Loop | Refusal:
        """Return the loop that two steps could be, or why they cannot be one."""
        first, second = self.steps[a], self.steps[b]
        if not isinstance(first, Loop) or not isinstance(second, Loop):
            return _NO_LOOP
        if self.stages[first.nodes[0]] != self.stages[second.nodes[0]]:
            return _OTHER_STAGE
        between = next(self._between(a, b), None)
        if between is not None:
            return Refusal(_BETWEEN, (between,))
        loop = self._joined(first, second)
        if loop is None:
            return Refusal("they walk other spaces", (first.nodes[0], second.nodes[0]))
        return self._schedule(loop) or loop

    def _between(self, a: int, b: int) -> Iterator[int]:
        """Yield the steps that have to run between two."""
        yield from _bits(self.after[a] & self.before[b] | self.after[b] & self.before[a])

    def _joined(self, a: Loop, b: Loop) -> Loop | None:
        """Return the loop of both, its times unsaid; None where their spaces differ."""
        if len(a.space) < len(b.space):
            a, b = b, a
        rows = a.rows | b.rows
        if a.space != b.space:
            if len(a.space) < 2 or a.space[:-1] != b.space or b.rows or not b.space:
                return None
            rows |= frozenset(b.nodes)
        return Loop(a.space, sorted(a.nodes + b.nodes), rows=rows)

    def _replace(self, a: int, b: int, loop: Loop) -> None:
        """Let one step be what two were."""
        self.steps[a] = loop
        del self.steps[b]
        for index in loop.nodes:
            self.step_of[index] = a
        both = 1 << a | 1 << b
        earlier = (self.before[a] | self.before.pop(b)) & ~both
        later = (self.after[a] | self.after.pop(b)) & ~both
        self.before[a], self.after[a] = earlier, later
        for step in _bits(later):
            self.before[step] = (self.before[step] & ~(1 << b)) | 1 << a | earlier
        for step in _bits(earlier):
            self.after[step] = (self.after[step] & ~(1 << b)) | 1 << a | later

    def _schedule(self, loop: Loop) -> Refusal | None:
        """Say when each node of a loop is computed, or return why that is not possible."""
        loop.times = times = {}
        members = set(loop.nodes)
        arrays = set()
        for index in loop.nodes:
            in_row = index in loop.rows
            time = BEFORE if in_row else 0
            for reading in self._readings[index]:
                if reading.source not in members:
                    arrays.add(reading.source)
                    continue
                ready = self._ready(loop, index, reading)
                if isinstance(ready, Refusal):
                    return ready
                time = max(time, ready + (ready % 2 if not in_row else 0))
            times[index] = time
        arrays |= members - {r.source for i in members for r in self._readings[i]}
        if loop.passes > _MOST_PASSES:
            return Refusal(f"more than {_MOST_PASSES} passes over each row")
        if len(arrays) > _MOST_ARRAYS:
            return Refusal(f"more than {_MOST_ARRAYS} arrays in one walk")
        return None

    def _ready(self, loop: Loop, index: int, reading: Reading) -> int | Refusal:
        """Return from when on a node can read another in the loop, or why it never can."""
        source, rank = reading.source, len(loop.space)
        folded = self.folded(source)
        if folded and (source in loop.rows or folded != (rank - 1,)):
            return Refusal("a fold is whole only after its loop", (index,))
        made = _extended(self.output_strides(source), rank)
        if reading.offset or _extended(reading.strides, rank) != made:
            return Refusal("read in another order, or again and again", (index,))
        node = self.graph.nodes[index]
        if node.op is not None and isinstance(node.op.form, Counted | Gathered):
            return Refusal("read at other places than the reader's own", (index,))
        return loop.times[source] + bool(folded)


def group(
    graph: Graph, stages: Sequence[int], able: Callable[[Graph, int], bool] = lambda *_: True
) -> Grouping:
    """Return the steps of a lowered graph, with as few walks over memory as possible.

    What only one loop reads goes with its reader, from the end of the graph on, so that it need
    not be kept until then; then all others go with what they read, and last those that read the
    same arrays.
    """
    grouping = Grouping(graph, stages, able)
    readers = _readers(grouping)
    kept = _kept(grouping)
    for alone in (True, False, True):
        for source, nodes in sorted(readers.items(), reverse=alone):
            if source not in grouping.step_of:
                continue
            steps = {grouping.step_of[index] for index in nodes}
            if not alone or (len(steps) == 1 and source not in kept):
                for index in nodes:
                    grouping.join(index, source)
    for source, nodes in readers.items():
        if graph.nodes[source].shape:
            _join_alike(grouping, nodes)
    return grouping


def _readers(grouping: Grouping) -> dict[int, list[int]]:
    """Return for each array the nodes of loops that read it."""
    readers: dict[int, list[int]] = {}
    for index in grouping.step_of:
        if grouping.loop(index) is not None:
            for source in {r.source for r in grouping.readings(index)}:
                readers.setdefault(source, []).append(index)
    return readers


def _kept(grouping: Grouping) -> set[int]:
    """Return the arrays that have to be in memory: outputs, and what is read by other steps."""
    graph, places = grouping.graph, grouping.places
    others = [i for i in grouping.step_of if grouping.loop(i) is None]
    read = {places[i].source for k in others for i in graph.nodes[k].inputs}
    return read | {places[i].source for i in graph.outputs}


def _join_alike(grouping: Grouping, nodes: Sequence[int]) -> None:
    """Join neighbours among the readers of an array if they walk the same space."""
    for one, other in itertools.pairwise(nodes):
        a, b = grouping.loop(one), grouping.loop(other)
        if a is not None and b is not None and a.space == b.space:
            grouping.join(one, other)


def _extended(strides: tuple[int, ...], rank: int) -> tuple[int, ...]:
    return strides + (0,) * (rank - len(strides))


def _bits(number: int) -> Iterable[int]:
    """Return the places of the ones in a number."""
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low
