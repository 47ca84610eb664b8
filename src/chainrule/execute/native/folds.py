"""Folds of a loop: sums, products, largest and smallest, gathered up as it walks.

A fold along the row is gathered in the lanes of one register and comes together at the end of the
row; a fold over everything goes on from row to row; one over other axes is gathered in memory.
Sums of single precision are added up in double: of rows, and of parts of rows that are long, so
that a sum of millions of numbers is as right as NumPy's pairwise one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.execute.native.chunks import ONE, lane
from chainrule.execute.native.literals import BOOL
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

if TYPE_CHECKING:
    from llvmlite import ir

    from chainrule.compile import Loop
    from chainrule.execute.native.chunks import Chunk, Chunks
    from chainrule.execute.native.frame import Frame

__all__ = ["PART", "Folds", "write_gathering"]

PART = 32
"""Vectors of a row that are added up in single precision; these sums are added up in double."""

_REDUCE = {
    np.add: reduce_add,
    np.multiply: reduce_mul,
    np.maximum: reduce_max,
    np.minimum: reduce_min,
}


class _Row(NamedTuple):
    """What a fold gathers along a row.

    Attributes
    ----------
    lanes
        The register, a variable.
    width
        Its lanes.
    parts
        What the parts of a long row came to, a variable.
    """

    lanes: ir.Value
    width: int
    parts: ir.Value | None


class _Total(NamedTuple):
    """A fold in the making.

    Attributes
    ----------
    ufunc
        What it folds by.
    dtype
        Of its numbers.
    sum_dtype
        In what rows come together: single precision in double.
    row
        What it gathers along a row; None for one that is taken number by number.
    whole
        What all rows came to, a variable; None if it keeps an axis, and so gathers in memory.
    """

    ufunc: Any
    dtype: np.dtype[Any]
    sum_dtype: np.dtype[Any]
    row: _Row | None
    whole: ir.Value | None


class Folds:
    """The folds of a loop.

    Parameters
    ----------
    chunks
        The memory of the loop.
    loop
        The loop; it has axes.
    """

    def __init__(self, chunks: Chunks, loop: Loop) -> None:
        self.chunks = chunks
        self.loop = loop
        self.frame = chunks.frame
        self.space = chunks.space
        self._totals: dict[int, _Total] = {}

    # ------------------------------------------------------------------ the loop

    def begin(self) -> None:
        """Start all folds, before the loop."""
        for index in self.loop.nodes:
            if self.space.is_fold(index):
                self._start(index)

    def _start(self, index: int) -> None:
        frame, strides = self.frame, self.space.outputs[index]
        ufunc, dtype = self.space.form(index).ufunc, self.space.dtype(index)
        sum_dtype = np.dtype(np.float64) if _is_precise(ufunc, dtype) else dtype
        row, whole = self._new_row(index, sum_dtype), None
        if not any(strides):
            whole = frame.variable(register_type(sum_dtype))
            frame.builder.store(frame.number(_neutral(ufunc, dtype), sum_dtype).value, whole)
        elif not self._is_ready_by_row(index):
            self._fill(index, _neutral(ufunc, dtype))
        self._totals[index] = _Total(ufunc, dtype, sum_dtype, row, whole)

    def _new_row(self, index: int, sum_dtype: np.dtype[Any]) -> _Row | None:
        """Return the variables of a fold along the row; None for another."""
        frame, loop = self.frame, self.loop
        if index in loop.rows or self.space.outputs[index][-1]:
            return None
        together = self.space.at(loop.times[index], once_a_row=False)
        width = self.space.width(together, frame.lanes, masks=frame.masks)
        dtype = self.space.dtype(index)
        lanes, parts = frame.variable(register_type(dtype, width)), None
        is_long = self.space.lengths[-1] >= 2 * PART * width
        if is_long and _is_precise(self.space.form(index).ufunc, dtype):
            parts = frame.variable(register_type(sum_dtype))
        return _Row(lanes, width, parts)

    def _is_ready_by_row(self, index: int) -> bool:
        """Return whether a fold is complete at the end of each row."""
        *outer, last = self.space.outputs[index]
        return index not in self.loop.rows and not last and all(outer)

    def end(self) -> None:
        """Store the folds over everything, after the loop."""
        for index, total in self._totals.items():
            if total.whole is None:
                continue
            if self.frame.rows:
                self.frame.store(self._in_full(total, total.whole), self.frame.folded(index))
            elif self.frame.plan.stored(index):
                whole = self._in_full(total, total.whole)
                self.frame.store(convert(whole, total.dtype), self.frame.array(index))

    def _in_full(self, total: _Total, whole: ir.Value) -> Number:
        """Return what a fold over everything has come to, in the precision of its sums."""
        return _content(self.frame, whole, total.sum_dtype)

    # ------------------------------------------------------------------ memory that folds gather in

    def _fill(self, index: int, neutral: Any) -> None:
        """Fill the memory of a fold that gathers in it; of rows that are shared, a thread's own."""
        frame, dtype = self.frame, self.space.dtype(index)
        base, value = self.chunks.own(index), frame.number(neutral, dtype)
        if not frame.rows or 0 in frame.plan.grouping.folded(index):
            _fill_part(frame, base, value, math.prod(frame.plan.graph.nodes[index].shape))
            return
        stride = self.space.outputs[index][0]
        with frame.over(self.space.lengths[:1]) as rows:
            start = frame.element(base, frame.place(0, rows, [stride]), dtype.itemsize)
            _fill_part(frame, start, value, stride)

    # ------------------------------------------------------------------ chunks

    def take(self, index: int, x: Number, chunk: Chunk) -> None:
        """Take a chunk into a fold."""
        frame, total = self.frame, self._totals[index]
        x = convert(x, total.dtype)
        if total.row is not None:
            self._take_along(total, total.row, splat(x, chunk.width), chunk)
        elif total.whole is not None:
            _take(frame, total.whole, 1, convert(x, total.sum_dtype), total.ufunc)
        else:
            address = self.chunks.own_address(index, chunk)
            stride = 0 if chunk.start is None else 1
            before = self.chunks.load(address, total.dtype, stride, chunk)
            y = convert(total.ufunc(before, x), total.dtype)
            self.chunks.put(splat(y, chunk.width), address, chunk)

    def _take_along(self, total: _Total, row: _Row, x: Number, chunk: Chunk) -> None:
        """Take a chunk into a fold along the row."""
        if chunk.filled is not None:
            counts: Any = first_lanes(self.frame.builder, total.dtype, chunk.width, chunk.filled)
            y: Any = np.where(counts, x, x.same(_neutral(total.ufunc, total.dtype)))
            x = y
        if chunk.width < row.width:  # numbers after the last full vector
            _take_number(self.frame, row, x, total.ufunc)
        else:
            _take(self.frame, row.lanes, row.width, x, total.ufunc)

    # ------------------------------------------------------------------ rows

    def along(self, nodes: list[int]) -> list[int]:
        """Return those of some nodes that are folds along the row."""
        return [i for i in nodes if i in self._totals and self._totals[i].row is not None]

    def start_row(self, index: int) -> None:
        """Begin another row of a fold along it."""
        total, row = self._along(index)
        self._start_part(total, row)
        if row.parts is not None:
            zero = self.frame.number(0, total.sum_dtype)
            self.frame.builder.store(zero.value, row.parts)

    def has_parts(self, index: int) -> bool:
        """Return whether a fold comes together after each part of a row."""
        return self._along(index)[1].parts is not None

    def end_part(self, index: int) -> None:
        """Add the sum of a part of a long row to that of the others, and start another."""
        total, row = self._along(index)
        if row.parts is not None:
            part = convert(self._across(total, row), total.sum_dtype)
            _take(self.frame, row.parts, 1, part, np.add)
            self._start_part(total, row)

    def end_row(self, index: int) -> Number | None:
        """Complete a fold along a row; return what it came to, if that is all of it."""
        frame, (total, row) = self.frame, self._along(index)
        y = self._row_total(total, row)
        if total.whole is not None:
            _take(frame, total.whole, 1, convert(y, total.sum_dtype), total.ufunc)
            if self.chunks.counters:
                return None
            # the only row: what comes of it may be used in another pass
            return convert(self._in_full(total, total.whole), total.dtype)
        if self._is_ready_by_row(index):
            if frame.plan.stored(index):
                self.chunks.store(index, y, ONE)
            return y
        address = self.chunks.own_address(index, ONE)
        before = frame.load(address, total.dtype)
        frame.store(convert(total.ufunc(before, y), total.dtype), address)
        return None

    def _along(self, index: int) -> tuple[_Total, _Row]:
        """Return a fold that is one along the row."""
        total = self._totals[index]
        if total.row is None:
            raise ValueError(f"node {index} does not fold along the row")
        return total, total.row

    def _start_part(self, total: _Total, row: _Row) -> None:
        neutral = self.frame.number(_neutral(total.ufunc, total.dtype), total.dtype)
        self.frame.builder.store(splat(neutral, row.width).value, row.lanes)

    def _across(self, total: _Total, row: _Row) -> Number:
        """Return what all lanes come to."""
        lanes = _content(self.frame, row.lanes, total.dtype, row.width)
        return lanes if row.width == 1 else convert(_REDUCE[total.ufunc](lanes), total.dtype)

    def _row_total(self, total: _Total, row: _Row) -> Number:
        """Return the fold of a row, in the precision of the whole if it had parts."""
        y = self._across(total, row)
        if row.parts is None:
            return y
        y = _content(self.frame, row.parts, total.sum_dtype) + convert(y, total.sum_dtype)
        return y if total.whole is not None else convert(y, total.dtype)


# ---------------------------------------------------------------------- variables


def _content(frame: Frame, variable: ir.Value, dtype: np.dtype[Any], width: int = 1) -> Number:
    """Return the number that a variable holds."""
    value = frame.builder.load(variable, typ=register_type(dtype, width))
    return Number(frame.builder, value, dtype, width)


def _take(frame: Frame, variable: ir.Value, width: int, x: Number, ufunc: Any) -> None:
    """Take a number, or all lanes of a vector, into a variable of its type."""
    before = _content(frame, variable, x.dtype, width)
    frame.builder.store(convert(ufunc(before, x), x.dtype).value, variable)


def _take_number(frame: Frame, row: _Row, x: Number, ufunc: Any) -> None:
    """Take one number into the first lane of a fold."""
    builder = frame.builder
    lanes = _content(frame, row.lanes, x.dtype, row.width)
    first = Number(builder, builder.extract_element(lanes.value, lane(0)), x.dtype)
    y = convert(ufunc(first, x), x.dtype)
    builder.store(builder.insert_element(lanes.value, y.value, lane(0)), row.lanes)


def _fill_part(frame: Frame, start: ir.Value, value: Number, size: int) -> None:
    """Fill so many numbers of an array."""
    for first, last, lanes in _vectors(frame, size, value.dtype.itemsize):
        with frame.count(last, lanes, first) as k:
            address = frame.element(start, k, value.dtype.itemsize)
            frame.store(splat(value, lanes), address)


def _vectors(frame: Frame, size: int, itemsize: int) -> list[tuple[int, int, int]]:
    """Return how to walk an array: from where, to where, how many numbers at once."""
    width = frame.lanes // (2 if itemsize == 8 else 1)
    full = size - size % width
    return [part for part in ((0, full, width), (full, size, 1)) if part[0] < part[1]]


def _is_precise(ufunc: Any, dtype: np.dtype[Any]) -> bool:
    """Return whether a fold is a sum of single precision, added up in double."""
    return ufunc is np.add and dtype == np.float32


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


# ---------------------------------------------------------------------- threads


def write_gathering(frame: Frame, index: int) -> None:
    """Put together what each thread folded, in the order of the threads.

    Parameters
    ----------
    frame
        The function.
    index
        The fold.
    """
    node = frame.plan.graph.nodes[index]
    ufunc = node.op.form.ufunc  # type: ignore[union-attr]
    is_whole = math.prod(node.shape) == 1  # then rows came together in double
    in_double = _is_precise(ufunc, node.dtype) and is_whole
    dtype = np.dtype(np.float64) if in_double else node.dtype
    parts = [frame.folded(index, thread) for thread in range(frame.threads)]
    target = frame.array(index)
    for first, last, lanes in _vectors(frame, math.prod(node.shape), dtype.itemsize):
        with frame.count(last, lanes, first) as k:
            y: Any = None
            for part in parts:
                x = frame.load(frame.element(part, k, dtype.itemsize), dtype, lanes)
                y = x if y is None else convert(ufunc(y, x), dtype)
            frame.store(convert(y, node.dtype), frame.element(target, k, node.dtype.itemsize))
