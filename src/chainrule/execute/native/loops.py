"""Loops: nodes that are computed in one walk over memory, as machine code.

The last axis is walked in vectors, the others number by number. What does not change along the
last axis is loaded once a row, what never changes once before the loop. A row that is walked
several times keeps in memory only what a later pass reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chainrule.execute.native.chunks import ONE, Chunk, Chunks
from chainrule.execute.native.folds import PART, Folds
from chainrule.execute.native.numbers import Number, convert, splat
from chainrule.execute.native.places import flat_place, gathered, keys
from chainrule.execute.native.sharing import UNIT
from chainrule.execute.native.space import Space
from chainrule.graph import Counted, Fold, Gathered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainrule.compile import Loop, Reading
    from chainrule.execute.native.frame import Frame

__all__ = ["write_loop"]


def write_loop(frame: Frame, loop: Loop) -> None:
    """Write the machine code of a loop at the end of a function.

    Parameters
    ----------
    frame
        The function; where it has rows, the loop is written for those of one thread.
    loop
        One of the loops of its plan.
    """
    walk = _Walk(frame, loop)
    if loop.space:
        walk.write()
    else:
        walk.write_once()


class _Walk:
    """One loop while it is being written.

    Numbers that are at hand are found by the node that makes them, or by how they are read from
    an array outside of the loop: in `before` those that never change, in `row` those that do not
    change along a row, and, while a chunk is written, its own.
    """

    def __init__(self, frame: Frame, loop: Loop) -> None:
        self.frame = frame
        self.loop = loop
        self.plan = frame.plan
        self.space = Space(frame.plan, loop, is_split=bool(frame.rows))
        self.chunks = Chunks(frame, self.space)
        self.folds = Folds(self.chunks, loop)
        self.before: dict[Any, Number] = {}
        self.row: dict[Any, Number] = {}

    # ------------------------------------------------------------------ the whole

    def write_once(self) -> None:
        """Write a loop without axes: nodes that are one number."""
        for index in self.loop.nodes:
            if self.space.is_fold(index):
                (reading,) = self.space.readings[index]
                x = convert(self._operand(reading, ONE, self.row), self.space.dtype(index))
                self._keep(index, x, ONE, self.row)
            else:
                self._compute(index, ONE, self.row)

    def write(self) -> None:
        """Write a loop over axes."""
        loop = self.loop
        self._load_before()
        self.folds.begin()
        with self.frame.over(self.space.lengths[:-1]) as self.chunks.counters:
            self.row = dict(self.before)
            self._once_a_row(-1)
            for k in range(loop.passes):
                self._pass(2 * k)
                self._once_a_row(2 * k + 1)
        self.folds.end()

    def _load_before(self) -> None:
        """Load what never changes."""
        for key, reading in self._from_outside(self.loop.nodes):
            if not any(reading.strides) and key not in self.before:
                self.before[key] = self.chunks.loaded(reading, ONE)

    def _once_a_row(self, time: int) -> None:
        for index in self.space.at(time, once_a_row=True):
            self._compute(index, ONE, self.row)

    def _pass(self, time: int) -> None:
        """Walk a row once."""
        nodes = self.space.at(time, once_a_row=False)
        if not nodes:
            return
        for key, reading in self._from_outside(nodes):
            if not reading.strides[-1] and key not in self.row:
                self.row[key] = self.chunks.loaded(reading, ONE)
        folds = self.folds.along(nodes)
        for index in folds:
            self.folds.start_row(index)
        self._along(nodes, [i for i in folds if self.folds.has_parts(i)])
        for index in folds:
            y = self.folds.end_row(index)
            if y is not None:
                self.row[index] = y

    def _from_outside(self, nodes: list[int]) -> Iterator[tuple[Any, Reading]]:
        """Yield what nodes read along with the walk from arrays that the loop does not make."""
        for index in nodes:
            if isinstance(self.space.form(index), Counted | Gathered):
                continue
            for reading in self.space.readings[index]:
                if reading.source not in self.loop.times:
                    yield _key(reading), reading

    # ------------------------------------------------------------------ along a row

    def _along(self, nodes: list[int], in_parts: list[int]) -> None:
        """Walk along the last axis in vectors, the rest of it in a shorter one or by numbers."""
        frame, length = self.frame, self.space.lengths[-1]
        width = self.space.width(nodes, frame.lanes, masks=frame.masks)
        if frame.rows and not self.chunks.counters:
            self._along_shared(nodes, in_parts, width)
            with frame.only(frame.threads - 1):
                self._rest(nodes, width, length - length % UNIT)
            return
        first = 0
        if in_parts:
            step = PART * width
            first = length - length % step
            with frame.count(first, step) as start:
                with frame.count(step, width) as k:
                    self._chunk(nodes, Chunk(frame.builder.add(start, k), width))
                self._end_parts(in_parts)
        self._rest(nodes, width, first)

    def _along_shared(self, nodes: list[int], in_parts: list[int], width: int) -> None:
        """Walk along the part of the only axis that is this thread's."""
        frame = self.frame
        with frame.between(*frame.bounds(self.space.lengths[-1], UNIT), UNIT) as start:
            with frame.count(UNIT, width) as k:
                self._chunk(nodes, Chunk(frame.builder.add(start, k), width))
            self._end_parts(in_parts)

    def _end_parts(self, folds: list[int]) -> None:
        for index in folds:
            self.folds.end_part(index)

    def _rest(self, nodes: list[int], width: int, first: int) -> None:
        """Walk along the last axis from a place on."""
        frame, length = self.frame, self.space.lengths[-1]
        full = length - length % width
        if full - first == width:
            self._chunk(nodes, Chunk(frame.integer(first), width))
        elif full > first:
            with frame.count(full, width, first) as k:
                self._chunk(nodes, Chunk(k, width))
        if full == length:
            return
        if frame.masks and width > 1:
            filled = frame.integer(length - full)
            self._chunk(nodes, Chunk(frame.integer(full), width, filled))
        else:
            with frame.count(length, 1, full) as k:
                self._chunk(nodes, Chunk(k, 1))

    def _chunk(self, nodes: list[int], chunk: Chunk) -> None:
        found: dict[Any, Number] = {}
        for index in nodes:
            self._compute(index, chunk, found)

    # ------------------------------------------------------------------ one node

    def _compute(self, index: int, chunk: Chunk, found: dict[Any, Number]) -> None:
        """Compute a node for a chunk and put it where it is needed."""
        form, readings = self.space.form(index), self.space.readings[index]
        node = self.plan.graph.nodes[index]
        y: Any
        if isinstance(form, Fold):
            (reading,) = readings
            self.folds.take(index, self._operand(reading, chunk, found), chunk)
            return
        if isinstance(form, Counted):
            place = flat_place(self.chunks, index, chunk)
            y = form.element(place, *keys(self.frame, index), **node.attributes)
        elif isinstance(form, Gathered):
            places = (self._operand(r, chunk, found) for r in readings[1:])
            y = gathered(self.chunks, index, places, chunk)
        else:
            xs = [self._operand(r, chunk, found) for r in readings]
            y = node.op.forward(*xs, **node.attributes)  # type: ignore[union-attr]
        if not isinstance(y, Number):  # a rule may give a constant
            y = self.frame.number(y, node.dtype)
        self._keep(index, splat(convert(y, node.dtype), chunk.width), chunk, found)

    def _keep(self, index: int, y: Number, chunk: Chunk, found: dict[Any, Number]) -> None:
        """Have a number at hand, and put it where another step or a later pass reads it."""
        found[index] = y
        if self.plan.stored(index):
            self.chunks.store(index, y, chunk)
        elif index in self.plan.temporaries and chunk.start is not None:
            self.chunks.put(y, self.chunks.kept(index, chunk), chunk)

    def _operand(self, reading: Reading, chunk: Chunk, found: dict[Any, Number]) -> Number:
        """Return an operand: from a register, from memory, or from a pass before."""
        is_inside = reading.source in self.loop.times
        key = reading.source if is_inside else _key(reading)
        for at_hand in (found, self.row):
            if key in at_hand:
                return at_hand[key]
        if is_inside:
            found[key] = self._from_before(reading, chunk)
        else:
            found[key] = self.chunks.loaded(reading, chunk)
        return found[key]

    def _from_before(self, reading: Reading, chunk: Chunk) -> Number:
        """Return what a pass before made at the same place."""
        source, chunks = reading.source, self.chunks
        if source in self.plan.temporaries:
            return chunks.load(chunks.kept(source, chunk), self.space.dtype(source), 1, chunk)
        return chunks.loaded(reading._replace(strides=self.space.outputs[source]), chunk)


def _key(reading: Reading) -> tuple[int, int, tuple[int, ...]]:
    """Return by what numbers from outside of the loop are found again."""
    return reading.source, reading.offset, reading.strides
