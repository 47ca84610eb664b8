"""Loops: nodes that are computed in one walk over memory, as machine code.

The last axis is walked in vectors, the others number by number. What does not change along the
last axis is loaded once a row, what never changes once before the loop. A row that is walked
several times keeps in memory only what a later pass reads.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from llvmlite import ir

from chainrule.execute.native.frame import INT, Frame
from chainrule.execute.native.literals import BOOL, vector_type
from chainrule.execute.native.numbers import (
    Number,
    convert,
    first_lanes,
    reduce_add,
    reduce_max,
    reduce_min,
    reduce_mul,
    register_type,
    splat,
)
from chainrule.execute.native.sharing import UNIT
from chainrule.graph import Counted, Fold, Gathered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.compile import Loop, Reading

__all__ = ["write_gathering", "write_loop"]

_PART = 32
"""Vectors of a row that are added up in single precision; these sums are added up in double."""

_UNSIGNED = np.dtype(np.uint64)
_INTEGER = np.dtype(np.int64)

_REDUCE = {
    np.add: reduce_add,
    np.multiply: reduce_mul,
    np.maximum: reduce_max,
    np.minimum: reduce_min,
}


class _Chunk(NamedTuple):
    """The part of a row that is computed at once: where it begins, its lanes, how many count."""

    start: ir.Value | None
    width: int
    count: ir.Value | None  # type: ignore[assignment]  # a tuple has a method of this name


class _Total(NamedTuple):
    """A fold in the making: of one row, of its parts if it is long, and of all rows if folded."""

    row: ir.Value | None
    width: int
    parts: ir.Value | None
    whole: ir.Value | None
    dtype: np.dtype[Any]


def write_loop(frame: Frame, loop: Loop) -> None:
    """Write the machine code of a loop at the end of a function."""
    _Walk(frame, loop).write()


def write_gathering(frame: Frame, index: int) -> None:
    """Put together what each thread folded, in the order of the threads."""
    node = frame.plan.graph.nodes[index]
    ufunc = node.op.form.ufunc  # type: ignore[union-attr]
    is_precise = node.dtype == np.float32 and ufunc is np.add
    dtype = np.dtype(np.float64) if is_precise and not node.shape else node.dtype
    parts = [frame.folded(index, thread) for thread in range(frame.threads)]
    target = frame.array(index)
    size = math.prod(node.shape)
    width = frame.lanes // (2 if dtype.itemsize == 8 else 1)
    full = size - size % width
    for first, last, lanes in ((0, full, width), (full, size, 1)):
        if first == last:
            continue
        with frame.count(last, lanes, first) as k:
            y: Any = None
            for part in parts:
                x = frame.load(frame.element(part, k, dtype.itemsize), dtype, lanes)
                y = x if y is None else _combined(ufunc, y, x, dtype)
            frame.store(convert(y, node.dtype), frame.element(target, k, node.dtype.itemsize))


class _Walk:
    """One loop while it is being written."""

    def __init__(self, frame: Frame, loop: Loop) -> None:
        self.frame = frame
        self.loop = loop
        self.plan = frame.plan
        self.graph = frame.plan.graph
        self.grouping = frame.plan.grouping
        self.rank = len(loop.space)
        self.axes = self._merged_axes()
        self.lengths = [math.prod(loop.space[a] for a in axis) for axis in self.axes]
        self.readings = {
            i: [self._reading(i, r) for r in self.grouping.readings(i)] for i in loop.nodes
        }
        self.outputs = {i: self._over_axes(self.grouping.output_strides(i)) for i in loop.nodes}
        self.before: dict[Any, Number] = {}  # what never changes
        self.row: dict[Any, Any] = {}  # what does not change along a row
        self.counters: list[ir.Value] = []
        self.totals: dict[int, _Total] = {}

    # ------------------------------------------------------------------ axes

    def _merged_axes(self) -> list[list[int]]:
        """Return groups of axes of the space that every array walks as one."""
        strides = [
            _wide(s, self.rank)
            for i in self.loop.nodes
            for s in [
                self.grouping.output_strides(i),
                *[r.strides for r in self.grouping.readings(i) if self._walks(i)],
            ]
        ]
        groups: list[list[int]] = []
        for axis, n in enumerate(self.loop.space):
            is_split = axis == 1 and self.frame.rows  # threads share the first axis
            if groups and not is_split and all(s[axis - 1] == s[axis] * n for s in strides):
                groups[-1].append(axis)
            else:
                groups.append([axis])
        return groups

    def _walks(self, index: int) -> bool:
        """Return whether a node reads all of its operands along with the walk."""
        return not isinstance(self._form(index), Counted)

    def _over_axes(self, strides: Sequence[int]) -> tuple[int, ...]:
        """Return strides over the merged axes."""
        wide = _wide(strides, self.rank)
        return tuple(wide[axis[-1]] for axis in self.axes)

    def _reading(self, index: int, reading: Reading) -> Reading:
        if not self._walks(index):
            return reading
        return reading._replace(strides=self._over_axes(reading.strides))

    def _form(self, index: int) -> Any:
        op = self.graph.nodes[index].op
        return op.form if op is not None else None

    # ------------------------------------------------------------------ the whole

    def write(self) -> None:
        """Write the loop."""
        frame, loop = self.frame, self.loop
        if not self.lengths:
            chunk = _Chunk(None, 1, None)
            for index in loop.nodes:
                self._compute(index, chunk, self.row)
            return
        self._begin()
        with frame.over(self.lengths[:-1]) as self.counters:
            self.row = dict(self.before)
            self._row_nodes(-1)
            for k in range(loop.passes):
                self._pass(2 * k)
                self._row_nodes(2 * k + 1)
        self._end()

    def _row_nodes(self, time: int) -> None:
        for index in self.loop.nodes:
            if index in self.loop.rows and self.loop.times[index] == time:
                self._compute(index, _Chunk(None, 1, None), self.row)

    def _pass(self, time: int) -> None:
        """Walk a row once."""
        nodes = [
            i for i in self.loop.nodes if i not in self.loop.rows and self.loop.times[i] == time
        ]
        if not nodes:
            return
        for index in nodes:
            self._load_ahead(index)
        folds = [i for i in nodes if self._is_fold(i) and self.totals[i].row is not None]
        for index in folds:
            self._start_row(index)
        self._chunks(nodes, folds)
        for index in folds:
            self._end_row(index)

    def _chunks(self, nodes: list[int], folds: list[int]) -> None:
        """Walk along the last axis in vectors, the rest of it in a shorter one or by numbers."""
        frame, length = self.frame, self.lengths[-1]
        width = self._width(nodes)
        full = length - length % width
        first = 0
        in_parts = [i for i in folds if self.totals[i].parts is not None]
        if frame.rows and not self.counters:
            self._shared_chunks(nodes, in_parts, width)
            with frame.only(frame.threads - 1):
                self._rest(nodes, width, length - length % UNIT)
            return
        if in_parts:
            step = _PART * width
            first = full - full % step
            with frame.count(first, step) as start:
                with frame.count(step, width) as k:
                    place = frame.builder.add(start, k)
                    self._chunk(nodes, _Chunk(place, width, None))
                for index in in_parts:
                    self._flush(index)
        self._rest(nodes, width, first)

    def _shared_chunks(self, nodes: list[int], in_parts: list[int], width: int) -> None:
        """Walk along the part of the only axis that is this thread's."""
        frame = self.frame
        with frame.between(*frame.bounds(self.lengths[-1], UNIT), UNIT) as start:
            with frame.count(UNIT, width) as k:
                self._chunk(nodes, _Chunk(frame.builder.add(start, k), width, None))
            for index in in_parts:
                self._flush(index)

    def _rest(self, nodes: list[int], width: int, first: int) -> None:
        """Walk along the last axis from a place on."""
        frame, length = self.frame, self.lengths[-1]
        full = length - length % width
        if full - first == width:
            self._chunk(nodes, _Chunk(frame.integer(first), width, None))
        elif full > first:
            with frame.count(full, width, first) as k:
                self._chunk(nodes, _Chunk(k, width, None))
        if full == length:
            return
        if frame.masks and width > 1:
            rest = frame.integer(length - full)
            self._chunk(nodes, _Chunk(frame.integer(full), width, rest))
        else:
            with frame.count(length, 1, full) as k:
                self._chunk(nodes, _Chunk(k, 1, None))

    def _width(self, nodes: list[int]) -> int:
        """Return the lanes of a pass: a full register of the widest type that most nodes have."""
        sizes = [self.graph.nodes[i].dtype.itemsize for i in nodes]
        lanes = self.frame.lanes // 2 if min(sizes) == 8 else self.frame.lanes
        length = self.lengths[-1]
        if length >= lanes:
            return lanes
        return 1 << (length - 1).bit_length() if self.frame.masks else 1 << length.bit_length() - 1

    def _chunk(self, nodes: list[int], chunk: _Chunk) -> None:
        found: dict[int, Number] = {}
        for index in nodes:
            self._compute(index, chunk, found)

    # ------------------------------------------------------------------ one node

    def _compute(self, index: int, chunk: _Chunk, found: dict[int, Any]) -> None:
        """Compute a node for a chunk and put it where it is needed."""
        frame, node, form = self.frame, self.graph.nodes[index], self._form(index)
        if isinstance(form, Fold):
            (reading,) = self.readings[index]
            self._fold(index, self._operand(reading, chunk, found), chunk)
            return
        if isinstance(form, Counted):
            y = form.element(self._flat_place(index, chunk), *self._keys(index), **node.attributes)
        elif isinstance(form, Gathered):
            y = self._gathered(index, chunk, found)
        else:
            xs = [self._operand(r, chunk, found) for r in self.readings[index]]
            y = node.op.forward(*xs, **node.attributes)  # type: ignore[union-attr]
        if not isinstance(y, Number):  # a rule may give a constant
            y = frame.number(y, node.dtype)
        y = splat(convert(y, node.dtype), chunk.width)
        found[index] = y
        if self.plan.stored(index):
            self._store(index, y, chunk)
        elif index in self.plan.temporaries and chunk.start is not None:
            base = frame.temporary(index, self.lengths[-1])
            self._put(y, frame.element(base, chunk.start, node.dtype.itemsize), chunk)

    def _operand(self, reading: Reading, chunk: _Chunk, found: dict[Any, Any]) -> Number:
        """Return an operand: from a register, from memory, or from a pass before."""
        source = reading.source
        if source in found:
            return found[source]  # type: ignore[no-any-return]
        if source in self.loop.times:
            if source in self.row:
                return self.row[source]  # type: ignore[no-any-return]
            node = self.graph.nodes[source]
            if source in self.plan.temporaries:
                row = self.frame.temporary(source, self.lengths[-1])
                address = self.frame.element(row, chunk.start, node.dtype.itemsize)
                y = self._get(address, node.dtype, 1, chunk)
            else:
                reading = reading._replace(strides=self.outputs[source])
                y = self._loaded(reading, chunk)
            found[source] = y
            return y
        key = (source, reading.offset, reading.strides)
        if key in self.row:
            return self.row[key]  # type: ignore[no-any-return]
        if key not in found:
            found[key] = self._loaded(reading, chunk)
        return found[key]  # type: ignore[no-any-return]

    def _load_ahead(self, index: int) -> None:
        """Load what a node reads and what does not change along the row."""
        form = self._form(index)
        for reading in self.readings[index]:
            key = (reading.source, reading.offset, reading.strides)
            is_inside = reading.source in self.loop.times
            if isinstance(form, Counted | Gathered) or is_inside or key in self.row:
                continue
            if not reading.strides[-1]:
                self.row[key] = self._loaded(reading, _Chunk(None, 1, None))

    def _loaded(self, reading: Reading, chunk: _Chunk) -> Number:
        """Return numbers of an array outside of the loop."""
        graph, frame = self.graph, self.frame
        node = graph.nodes[reading.source]
        constant = graph.constants.get(reading.source)
        if constant is not None and not node.shape:
            return frame.number(constant, node.dtype)
        address, stride = self._address(reading, chunk)
        return self._get(address, node.dtype, stride, chunk)

    def _address(self, reading: Reading, chunk: _Chunk) -> tuple[ir.Value, int]:
        """Return where a chunk of an array begins, and its stride along the row."""
        frame = self.frame
        dtype = self.graph.nodes[reading.source].dtype
        base = frame.array(reading.source)
        strides = reading.strides
        outer = strides[: len(self.counters)]
        place = frame.place(reading.offset, self.counters, outer)
        stride = strides[-1] if len(strides) > len(self.counters) else 0
        if chunk.start is not None and stride:
            along = frame.place(0, [chunk.start], [stride])
            place = along if place is None else frame.builder.add(place, along)
        return frame.element(base, place, dtype.itemsize), stride

    def _get(self, address: ir.Value, dtype: np.dtype[Any], stride: int, chunk: _Chunk) -> Number:
        """Return a chunk from memory: a vector, one number, or numbers with gaps between."""
        if chunk.width == 1 or not stride:
            return self.frame.load(address, dtype)
        if stride == 1:
            if chunk.count is None:
                return self.frame.load(address, dtype, chunk.width)
            return self.frame.load_first(address, dtype, chunk.width, chunk.count)
        return self._spread(address, dtype, stride, chunk)

    def _spread(
        self, address: ir.Value, dtype: np.dtype[Any], stride: int, chunk: _Chunk
    ) -> Number:
        """Return a vector of numbers that are not next to each other."""
        frame, builder = self.frame, self.frame.builder
        y = Number(
            builder, ir.Constant(register_type(dtype, chunk.width), None), dtype, chunk.width
        )
        for k in range(chunk.width):
            far: Any = frame.integer(k * stride)
            if chunk.count is not None:  # lanes that do not count read the first number again
                inside = builder.icmp_signed("<", frame.integer(k), chunk.count)
                far = builder.select(inside, far, frame.integer(0))
            one = frame.load(frame.element(address, far, dtype.itemsize), dtype)
            y = y.like(builder.insert_element(y.value, one.value, ir.Constant(ir.IntType(32), k)))
        return y

    def _store(self, index: int, y: Number, chunk: _Chunk) -> None:
        from_start = self.outputs[index]
        address, _ = self._address_of(index, from_start, chunk)
        self._put(y, address, chunk)

    def _address_of(
        self, index: int, strides: tuple[int, ...], chunk: _Chunk
    ) -> tuple[ir.Value, int]:
        frame, dtype = self.frame, self.graph.nodes[index].dtype
        base = self._own(index)
        place = frame.place(0, self.counters, strides[: len(self.counters)])
        stride = strides[-1] if len(strides) > len(self.counters) else 0
        if chunk.start is not None and stride:
            along = frame.place(0, [chunk.start], [stride])
            place = along if place is None else frame.builder.add(place, along)
        return frame.element(base, place, dtype.itemsize), stride

    def _own(self, index: int) -> ir.Value:
        """Return where a node of the loop puts its numbers: a fold of shared rows apart."""
        if self.frame.rows and 0 in self.grouping.folded(index):
            return self.frame.folded(index)
        return self.frame.array(index)

    def _put(self, y: Number, address: ir.Value, chunk: _Chunk) -> None:
        if chunk.count is None:
            self.frame.store(y, address)
        else:
            self.frame.store_first(y, address, chunk.count)

    # ------------------------------------------------------------------ places

    def _flat_place(self, index: int, chunk: _Chunk) -> Number:
        """Return the row-major place of each lane in a node's own array."""
        frame, builder = self.frame, self.frame.builder
        strides = self.outputs[index]
        place = frame.place(0, self.counters, strides[: len(self.counters)])
        if chunk.start is not None and strides[-1]:
            along = frame.place(0, [chunk.start], [strides[-1]])
            place = along if place is None else builder.add(place, along)
        first = Number(builder, frame.integer(0) if place is None else place, _UNSIGNED)
        if chunk.width == 1:
            return first
        steps = ir.Constant(vector_type(INT, chunk.width), list(range(chunk.width)))
        return splat(first, chunk.width) + Number(builder, steps, _UNSIGNED, chunk.width)

    def _keys(self, index: int) -> list[list[Number]]:
        """Return all elements of the small operands of a counted node."""
        frame = self.frame
        keys = []
        for i in self.graph.nodes[index].inputs:
            source, layout = self.grouping.places[i]
            dtype = self.graph.nodes[source].dtype
            base = frame.array(source)
            places = [
                layout.offset + sum(k * s for k, s in zip(at, layout.strides, strict=True))
                for at in np.ndindex(*layout.shape)
            ]
            addresses = [frame.element(base, frame.integer(k), dtype.itemsize) for k in places]
            keys.append([frame.load(address, dtype) for address in addresses])
        return keys

    def _gathered(self, index: int, chunk: _Chunk, found: dict[int, Any]) -> Number:
        """Return parts of a table, at places that are checked."""
        frame, builder = self.frame, self.frame.builder
        table, *places = self.readings[index]
        layout = self.grouping.places[self.graph.nodes[index].inputs[0]].layout
        at: Any = None
        for axis, reading in enumerate(places):
            k: Any = self._operand(reading, chunk, found).astype(_INTEGER)
            n = layout.shape[axis]
            k = np.where(k < 0, k + n, k)
            inside = np.logical_and(k >= 0, k < n)
            self._require(inside, chunk)
            term = np.where(inside, k, 0) * layout.strides[axis]
            at = term if at is None else at + term
        dtype = self.graph.nodes[table.source].dtype
        address, stride = self._address(table, chunk)
        if at is None:
            return self._get(address, dtype, stride, chunk)
        if at.width == 1:
            start = frame.element(address, at.value, dtype.itemsize)
            return self._get(start, dtype, stride, chunk)
        y = Number(
            builder, ir.Constant(register_type(dtype, chunk.width), None), dtype, chunk.width
        )
        for k in range(chunk.width):
            lane = ir.Constant(ir.IntType(32), k)
            far = builder.extract_element(at.value, lane)
            if stride:
                far = builder.add(far, frame.integer(k * stride))
            one = frame.load(frame.element(address, far, dtype.itemsize), dtype)
            y = y.like(builder.insert_element(y.value, one.value, lane))
        return y

    def _require(self, condition: Number, chunk: _Chunk) -> None:
        """Note if a condition does not hold in a lane that counts."""
        builder = self.frame.builder
        if condition.width == 1:
            self.frame.refuse_unless(condition.value)
            return
        if chunk.count is not None:
            counts = first_lanes(builder, _INTEGER, chunk.width, chunk.count)
            condition = np.logical_or(condition, np.logical_not(counts))  # type: ignore[assignment]
        bits = builder.bitcast(condition.value, ir.IntType(chunk.width))
        everywhere = builder.icmp_signed("==", bits, ir.Constant(bits.type, -1))
        self.frame.refuse_unless(everywhere)

    # ------------------------------------------------------------------ folds

    def _is_fold(self, index: int) -> bool:
        return isinstance(self._form(index), Fold)

    def _is_precise(self, index: int) -> bool:
        dtype = self.graph.nodes[index].dtype
        return dtype == np.float32 and self._form(index).ufunc is np.add

    def _keeps_rows(self, index: int) -> bool:
        """Return whether a fold keeps the last axis, and so adds up in memory."""
        return bool(self.outputs[index][-1])

    def _total_type(self, index: int) -> np.dtype[Any]:
        """Return in what a fold adds up rows: single precision in double."""
        dtype = self.graph.nodes[index].dtype
        return np.dtype(np.float64) if self._is_precise(index) else dtype

    def _begin(self) -> None:
        """Before the loop: load what never changes, and start the folds."""
        frame = self.frame
        for index in self.loop.nodes:
            for reading in self.readings[index]:
                key = (reading.source, reading.offset, reading.strides)
                if isinstance(self._form(index), Counted | Gathered) or any(reading.strides):
                    continue
                if reading.source not in self.loop.times and key not in self.before:
                    chunk = _Chunk(None, 1, None)
                    node = self.graph.nodes[reading.source]
                    constant = self.graph.constants.get(reading.source)
                    if constant is not None and not node.shape:
                        self.before[key] = frame.number(constant, node.dtype)
                    else:
                        base = frame.array(reading.source)
                        place = frame.integer(reading.offset) if reading.offset else None
                        address = frame.element(base, place, node.dtype.itemsize)
                        self.before[key] = self._get(address, node.dtype, 0, chunk)
        for index in self.loop.nodes:
            if self._is_fold(index):
                self._start_fold(index)

    def _start_fold(self, index: int) -> None:
        frame, strides = self.frame, self.outputs[index]
        dtype = self.graph.nodes[index].dtype
        total = self._total_type(index)
        neutral = _neutral(self._form(index).ufunc, dtype)
        row = parts = whole = None
        width = 1
        in_row = index in self.loop.rows
        if not in_row and not strides[-1]:
            time = self.loop.times[index]
            same = [
                i for i in self.loop.nodes if i not in self.loop.rows and self.loop.times[i] == time
            ]
            width = self._width(same)
            row = frame.variable(register_type(dtype, width))
            if self._is_precise(index) and self.lengths[-1] >= 2 * _PART * width:
                parts = frame.variable(register_type(total))
        if not any(strides):
            whole = frame.variable(register_type(total))
            frame.builder.store(frame.number(neutral, total).value, whole)
        elif not self._is_ready_by_row(index):  # each thread has memory of its own for it
            self._fill(index, neutral)
        self.totals[index] = _Total(row, width, parts, whole, total)

    def _is_ready_by_row(self, index: int) -> bool:
        """Return whether a fold is complete at the end of each row."""
        if index in self.loop.rows or self.outputs[index][-1]:
            return False
        lengths = zip(self.outputs[index][:-1], self.lengths[:-1], strict=True)
        return all(s for s, _ in lengths)

    def _fill(self, index: int, neutral: Any) -> None:
        """Fill the memory of a fold that adds up in it; of rows that are shared, a thread's own."""
        frame, node = self.frame, self.graph.nodes[index]
        base, value = self._own(index), frame.number(neutral, node.dtype)
        if not frame.rows or 0 in self.grouping.folded(index):
            self._fill_part(base, value, math.prod(node.shape))
            return
        stride = self.outputs[index][0]
        with frame.over(self.lengths[:1]) as rows:
            start = frame.element(base, frame.place(0, rows, [stride]), node.dtype.itemsize)
            self._fill_part(start, value, stride)

    def _fill_part(self, start: ir.Value, value: Number, size: int) -> None:
        frame, itemsize = self.frame, value.dtype.itemsize
        width = frame.lanes // (2 if itemsize == 8 else 1)
        full = size - size % width
        if full:
            with frame.count(full, width) as k:
                frame.store(splat(value, width), frame.element(start, k, itemsize))
        if full < size:
            with frame.count(size, 1, full) as k:
                frame.store(value, frame.element(start, k, itemsize))

    def _fold(self, index: int, x: Number, chunk: _Chunk) -> None:
        """Take a chunk into a fold."""
        frame, builder = self.frame, self.frame.builder
        dtype, ufunc = self.graph.nodes[index].dtype, self._form(index).ufunc
        total = self.totals.get(index, None)
        x = convert(x, dtype)
        if total is None:  # of one number, in a loop without axes
            self.row[index] = x
            if self.plan.stored(index):
                self._store(index, x, chunk)
            return
        if total.row is not None:
            x = splat(x, chunk.width)
            if chunk.count is not None:
                counts = first_lanes(builder, dtype, chunk.width, chunk.count)
                x = np.where(counts, x, x.same(_neutral(ufunc, dtype)))  # type: ignore[assignment]
            if chunk.width < total.width:  # numbers after the last full vector
                self._take_number(total, x, ufunc, dtype)
                return
            self._take(total.row, total.width, x, ufunc, dtype)
        elif total.whole is not None:
            self._take(total.whole, 1, convert(x, total.dtype), ufunc, total.dtype)
        else:
            address, _ = self._address_of(index, self.outputs[index], chunk)
            if chunk.start is None:
                before = frame.load(address, dtype)
            else:
                before = self._get(address, dtype, 1, chunk)
            self._put(splat(_combined(ufunc, before, x, dtype), chunk.width), address, chunk)
        del frame

    def _take(
        self, variable: ir.Value, width: int, x: Number, ufunc: Any, dtype: np.dtype[Any]
    ) -> None:
        builder = self.frame.builder
        before = Number(
            builder, builder.load(variable, typ=register_type(dtype, width)), dtype, width
        )
        builder.store(_combined(ufunc, before, x, dtype).value, variable)

    def _take_number(self, total: _Total, x: Number, ufunc: Any, dtype: np.dtype[Any]) -> None:
        """Take one number into the first lane of a fold."""
        builder = self.frame.builder
        first = ir.Constant(ir.IntType(32), 0)
        vector = builder.load(total.row, typ=register_type(dtype, total.width))
        lane = Number(builder, builder.extract_element(vector, first), dtype)
        y = _combined(ufunc, lane, x, dtype)
        builder.store(builder.insert_element(vector, y.value, first), total.row)

    def _start_row(self, index: int) -> None:
        """Begin to add up another row."""
        total = self.totals[index]
        self._start_part(index)
        if total.parts is not None:
            zero = self.frame.number(0, total.dtype)
            self.frame.builder.store(zero.value, total.parts)

    def _start_part(self, index: int) -> None:
        total, dtype = self.totals[index], self.graph.nodes[index].dtype
        neutral = self.frame.number(_neutral(self._form(index).ufunc, dtype), dtype)
        self.frame.builder.store(splat(neutral, total.width).value, total.row)

    def _flush(self, index: int) -> None:
        """Add the sum of a part of a long row to that of the others, and start another."""
        total = self.totals[index]
        self._take(total.parts, 1, convert(self._part(index), total.dtype), np.add, total.dtype)
        self._start_part(index)

    def _part(self, index: int) -> Number:
        """Return what all lanes come to."""
        total, dtype = self.totals[index], self.graph.nodes[index].dtype
        builder = self.frame.builder
        kind = register_type(dtype, total.width)
        lanes = Number(builder, builder.load(total.row, typ=kind), dtype, total.width)
        ufunc = self._form(index).ufunc
        return lanes if total.width == 1 else convert(_REDUCE[ufunc](lanes), dtype)

    def _row_total(self, index: int) -> Number:
        """Return the fold of a row, in the precision of the whole if it had parts."""
        total, y = self.totals[index], self._part(index)
        if total.parts is None:
            return y
        builder = self.frame.builder
        before = builder.load(total.parts, typ=register_type(total.dtype))
        y = Number(builder, before, total.dtype) + convert(y, total.dtype)
        return y if total.whole is not None else convert(y, self.graph.nodes[index].dtype)

    def _end_row(self, index: int) -> None:
        """Complete a fold along a row."""
        total, y = self.totals[index], self._row_total(index)
        ufunc, dtype = self._form(index).ufunc, self.graph.nodes[index].dtype
        if total.whole is not None:
            self._take(total.whole, 1, convert(y, total.dtype), ufunc, total.dtype)
            if not self.counters:  # the only row: what comes of it may be used in another pass
                self.row[index] = self._whole(index)
            return
        strides = self.outputs[index]
        chunk = _Chunk(None, 1, None)
        if self._is_ready_by_row(index):
            self.row[index] = y
            if self.plan.stored(index):
                self._store(index, y, chunk)
            return
        address, _ = self._address_of(index, strides, chunk)
        before = self.frame.load(address, dtype)
        self.frame.store(_combined(ufunc, before, y, dtype), address)

    def _end(self) -> None:
        """After the loop: store the folds over everything."""
        for index, total in self.totals.items():
            if total.whole is None:
                continue
            if self.frame.rows:
                self.frame.store(self._in_full(index), self.frame.folded(index))
            elif self.plan.stored(index):
                self.frame.store(self._whole(index), self.frame.array(index))

    def _whole(self, index: int) -> Number:
        """Return what a fold over everything has come to."""
        return convert(self._in_full(index), self.graph.nodes[index].dtype)

    def _in_full(self, index: int) -> Number:
        """Return the same in the precision in which it was added up."""
        builder, total = self.frame.builder, self.totals[index]
        value = builder.load(total.whole, typ=register_type(total.dtype))
        return Number(builder, value, total.dtype)


def _combined(ufunc: Any, a: Number, b: Number, dtype: np.dtype[Any]) -> Number:
    return convert(ufunc(a, b), dtype)


def _neutral(ufunc: Any, dtype: np.dtype[Any]) -> Any:
    """Return the number that changes nothing."""
    if ufunc is np.add:
        return 0
    if ufunc is np.multiply:
        return 1
    is_largest = ufunc is np.maximum
    if dtype.kind == "f":
        return -math.inf if is_largest else math.inf
    if dtype == BOOL:
        return not is_largest
    limits = np.iinfo(dtype)
    return limits.min if is_largest else limits.max


def _wide(strides: Sequence[int], rank: int) -> tuple[int, ...]:
    return (*strides, *[0] * (rank - len(strides)))
