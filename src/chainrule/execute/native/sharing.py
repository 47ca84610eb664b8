"""How threads share a plan: who computes what, and where they have to wait for each other.

All threads run the same function. A step is split by the rows of what it computes, its first
axis: a product by the rows of its result, a loop by the first axis of its space. What a fold
over that axis gathers is gathered by each thread for itself, and put together by one of them in
a fixed order, so the same number of threads gives the same bits. Nothing has to be known of
batches or examples: a gradient of weights is split by its own rows, as the network is.

A thread waits only where it has to. Every step is held against what the others may have read and
written since the last time all met; rows that a thread wrote itself it may read at once, so the
whole way from the first layer to the loss and back needs no meeting but for the folds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from chainrule.compile import placed_parts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainrule.compile import Loop, Plan, Step

__all__ = ["UNIT", "Item", "Sharing", "share"]

_LINE = 64
UNIT = 1024
"""Elements of an array with one axis that are given to a thread together."""
_WORTH = 5e4
"""Operations of a step below which one thread does it: a meeting takes about as long."""


_BY_ONE = (-1, 0, 0, 0)
"""The rows of a step that the first thread does alone: it is never in its own way."""


class _Access(NamedTuple):
    """Memory that a step reads or writes.

    Attributes
    ----------
    kind, array
        Of the place: what is in another array does not meet.
    first, last
        Bytes.
    writes
        Whether it is written.
    rows
        Where the first row begins, its bytes, how many rows there are and how many of them are
        given out together, if each thread keeps to its own; None if any may reach all of it.
    """

    kind: str
    array: int
    first: int
    last: int
    writes: bool
    rows: tuple[int, int, int, int] | None

    def meets(self, other: _Access) -> bool:
        """Return whether two threads may be in each other's way here."""
        if not (self.writes or other.writes):
            return False
        if (self.kind, self.array) != (other.kind, other.array):
            return False
        if self.last <= other.first or other.last <= self.first:
            return False
        return self.rows is None or self.rows != other.rows


@dataclass
class Item:
    """Something that threads do together, or one of them.

    Attributes
    ----------
    kind
        "step", "gather" (put together what the threads folded) or "check" (look whether the
        second stage may begin).
    step
        The step, if it is one.
    rows
        How many rows are split; 0 if one thread does it.
    waits
        Whether all have to meet before.
    folds
        The nodes that are put together.
    """

    kind: str
    step: Step | None = None
    rows: int = 0
    waits: bool = True
    folds: tuple[int, ...] = ()


@dataclass
class Sharing:
    """A plan, shared.

    Attributes
    ----------
    threads
        How many there are.
    items
        In order.
    private
        For what each thread keeps for itself: where that of the first thread begins in work
        memory, and the distance to that of the next, in bytes.
    work
        Bytes of work memory.
    """

    threads: int
    items: list[Item] = field(default_factory=list)
    private: dict[object, tuple[int, int]] = field(default_factory=dict)
    work: int = 0

    @property
    def is_any(self) -> bool:
        """Whether there is anything that threads do together."""
        return any(item.rows for item in self.items)

    @property
    def key(self) -> str:
        """What the code depends on besides the plan, as text."""
        items = [(item.kind, item.rows, item.waits, item.folds) for item in self.items]
        return f"{self.threads}|{items}|{self.private}"


def share(plan: Plan, threads: int) -> Sharing:
    """Return how so many threads share a plan without steps of NumPy's."""
    return _Sharer(plan, threads).run()


class _Sharer:
    """The plan while it is being shared."""

    def __init__(self, plan: Plan, threads: int) -> None:
        self.plan = plan
        self.graph = plan.graph
        self.grouping = plan.grouping
        self.sharing = Sharing(threads, work=plan.work)
        self.since: list[_Access] = []
        self.pending: list[int] = []

    def run(self) -> Sharing:
        """Share all steps."""
        checked = False
        for step in self.plan.steps:
            if step.stage and not checked:
                self._check()
                checked = True
            self._add(step)
        if checked:
            self._gather()
        else:
            self._check()
        return self.sharing

    def _check(self) -> None:
        self._gather()
        self.sharing.items.append(Item("check"))
        self.since = []

    # ------------------------------------------------------------------ steps

    def _add(self, step: Step) -> None:
        rows = self._rows(step)
        accesses = list(self._accesses(step, rows))
        if not rows:
            accesses = [access._replace(rows=_BY_ONE) for access in accesses]
        if any(self._is_pending(access) for access in accesses):
            self._gather()
        waits = any(a.meets(b) for a in accesses for b in self.since)
        if waits:
            self.since = []
        self.sharing.items.append(Item("step", step, rows, waits))
        self.since += accesses
        if not rows or step.loop is None:
            return
        for index in step.nodes:
            if index in self.plan.temporaries:
                node = self.graph.nodes[index]
                self._keep(("row", index), step.loop.space[-1] * node.dtype.itemsize)
            if self._is_gathered(index):
                self._keep(("fold", index), self._bytes(index))
                self.pending.append(index)

    def _gather(self) -> None:
        """Let all meet, and one put together what was folded."""
        if self.pending:
            self.sharing.items.append(Item("gather", folds=tuple(self.pending)))
            whole = [self._whole(i, writes=True) for i in self.pending]
            self.since = [access._replace(rows=_BY_ONE) for access in whole]
            self.pending = []

    def _is_pending(self, access: _Access) -> bool:
        return any(access.meets(self._whole(i, writes=True)) for i in self.pending)

    def _keep(self, key: object, count: int) -> None:
        """Give each thread memory of its own."""
        step = -(-max(count, 8) // _LINE) * _LINE
        self.sharing.private[key] = (self.sharing.work, step)
        self.sharing.work += step * self.sharing.threads

    def _bytes(self, index: int) -> int:
        node = self.graph.nodes[index]
        return max(math.prod(node.shape) * node.dtype.itemsize, 8)

    # ------------------------------------------------------------------ rows

    def _rows(self, step: Step) -> int:
        """Return how many rows of a step are split; 0 if one thread does it."""
        threads = self.sharing.threads
        if step.kind == "product":
            node = self.graph.nodes[step.nodes[0]]
            is_worth = self._cost(step) >= _WORTH
            return node.shape[0] if is_worth and node.shape[0] >= threads else 0
        loop = step.loop
        if loop is None or not loop.space or loop.space[0] < threads:
            return 0
        if len(loop.space) == 1 and loop.space[0] < threads * UNIT:
            return 0
        if self._cost(step) < _WORTH or self._is_read_whole(loop):
            return 0
        return loop.space[0]

    def _cost(self, step: Step) -> float:
        if step.loop is not None:
            return float(math.prod(step.loop.space) * len(step.nodes))
        node = self.graph.nodes[step.nodes[0]]
        return 2.0 * math.prod(node.shape) * self.graph.nodes[node.inputs[0]].shape[-1]

    def _is_read_whole(self, loop: Loop) -> bool:
        """Return whether a loop reads what it folds over its first axis itself."""
        gathered = {i for i in loop.nodes if self._is_gathered(i)}
        return any(
            reading.source in gathered for i in loop.nodes for reading in self.grouping.readings(i)
        )

    def _is_gathered(self, index: int) -> bool:
        """Return whether a node of a loop folds over the axis that is split."""
        return 0 in self.grouping.folded(index)

    # ------------------------------------------------------------------ memory

    def _whole(self, index: int, *, writes: bool) -> _Access:
        """Return the access of a step that may reach all of an array."""
        node, place = self.graph.nodes[index], self.plan.places[index]
        first = place.offset * node.dtype.itemsize
        last = first + math.prod(node.shape) * node.dtype.itemsize
        return _Access(place.kind, place.array, first, last, writes, None)

    def _by_rows(
        self, index: int, rows: tuple[int, int], offset: int, stride: int, *, writes: bool
    ) -> _Access:
        """Return the access of a step whose threads keep to rows of their own."""
        whole = self._whole(index, writes=writes)
        itemsize = self.graph.nodes[index].dtype.itemsize
        size = math.prod(self.graph.nodes[index].shape)
        count, unit = rows
        if not count or stride * count != size or offset:
            return whole
        return whole._replace(rows=(whole.first, stride * itemsize, count, unit))

    def _accesses(self, step: Step, rows: int) -> Iterator[_Access]:
        if step.kind == "product":
            yield from self._of_product(step.nodes[0], rows)
        elif step.loop is not None:
            yield from self._of_loop(step.loop, rows)
        else:
            (index,) = step.nodes
            yield self._whole(index, writes=True)
            for source in step.reads:
                yield self._whole(source, writes=False)
            if step.kind == "placed":  # what was computed there has to be complete
                for seen, _ in placed_parts(self.grouping, index):
                    yield self._whole(seen.source, writes=False)

    def _of_product(self, index: int, rows: int) -> Iterator[_Access]:
        node = self.graph.nodes[index]
        size = math.prod(node.shape)
        split = (rows, 1)
        yield self._by_rows(index, split, 0, size // max(rows, 1), writes=True)
        for k, i in enumerate(node.inputs):
            source, layout = self.grouping.places[i]
            stride = 0 if k or len(layout.shape) < len(node.shape) else layout.strides[0]
            if len(layout.shape) == len(node.shape) > 2:
                stride = layout.strides[0]
            yield self._by_rows(source, split, layout.offset, stride, writes=False)

    def _of_loop(self, loop: Loop, rows: int) -> Iterator[_Access]:
        split = (rows, UNIT if len(loop.space) == 1 else 1)
        for index in loop.nodes:
            if not rows and index in self.plan.temporaries:
                first = self.plan.temporaries[index]
                last = first + loop.space[-1] * self.graph.nodes[index].dtype.itemsize
                yield _Access("work", 0, first, last, True, None)
            if self.plan.stored(index) and not (rows and self._is_gathered(index)):
                strides = self.grouping.output_strides(index)
                stride = strides[0] if strides else 0
                yield self._by_rows(index, split, 0, stride, writes=True)
            for reading in self.grouping.readings(index):
                if reading.source not in loop.times:
                    stride = reading.strides[0] if reading.strides else 0
                    yield self._by_rows(reading.source, split, reading.offset, stride, writes=False)
