"""Steps that move numbers: placements, scatters, and copies at the end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir

from chainrule.compile import placed_parts
from chainrule.execute.native.frame import BYTE, INT, POINTER, Frame
from chainrule.graph import Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["write_copies", "write_placed", "write_scatter"]


def write_placed(frame: Frame, index: int) -> None:
    """Put operands into parts of an array; those that were computed there need no move."""
    plan = frame.plan
    node = plan.graph.nodes[index]
    if not node.op.form.covers:  # type: ignore[union-attr]
        _zero(frame, index)
    for seen, part in placed_parts(plan.grouping, index):
        source, target = plan.places[seen.source], plan.places[index]
        already_there = source == target._replace(offset=target.offset + part.offset)
        if not (already_there and seen.layout.is_contiguous and part.is_contiguous):
            _move(
                frame,
                node.dtype,
                (frame.array(seen.source), seen.layout),
                (frame.array(index), part),
            )


def write_copies(frame: Frame) -> None:
    """Put outputs that could not be computed in the memory of an input there."""
    plan = frame.plan
    for copy in plan.copies:
        node = plan.graph.nodes[copy.node]
        at = Layout.contiguous(node.shape)
        source, target = frame.array(copy.node), frame.array(plan.arrays[copy.target.array].which)
        _move(frame, node.dtype, (source, at), (target, at))


def write_scatter(frame: Frame, index: int) -> None:
    """Add parts to zeros at places that are checked; places that come twice add up."""
    plan, builder = frame.plan, frame.builder
    node = plan.graph.nodes[index]
    _zero(frame, index)
    (x, at), *places = (plan.grouping.places[i] for i in node.inputs)
    lead = np.broadcast_shapes(*[p.layout.shape for p in places])
    at = at.broadcast((*lead, *node.shape[len(places) :]))
    own = Layout.contiguous(node.shape)
    itemsize = node.dtype.itemsize
    target, source = frame.array(index), frame.array(x)
    with frame.nest(lead) as counters:
        start: Any = frame.integer(0)
        for axis, (holder, layout) in enumerate(places):
            start = builder.add(
                start,
                _checked(
                    frame,
                    holder,
                    layout.broadcast(lead),
                    counters,
                    node.shape[axis],
                    own.strides[axis],
                ),
            )
        row = frame.element(target, start, itemsize)
        place = frame.place(at.offset, counters, at.strides[: len(lead)])
        first = frame.element(source, place, itemsize)
        with frame.nest(node.shape[len(places) :]) as inner:
            to = frame.element(row, frame.place(0, inner, own.strides[len(places) :]), itemsize)
            of = frame.element(first, frame.place(0, inner, at.strides[len(lead) :]), itemsize)
            y = frame.load(to, node.dtype) + frame.load(of, node.dtype)
            frame.store(y.astype(node.dtype), to)


def _checked(
    frame: Frame, holder: int, at: Layout, counters: Sequence[ir.Value], length: int, stride: int
) -> ir.Value:
    """Return how far into the output a place is; out of range, note it and return 0."""
    dtype = frame.plan.graph.nodes[holder].dtype
    address = frame.element(
        frame.array(holder), frame.place(at.offset, counters, at.strides), dtype.itemsize
    )
    k: Any = frame.load(address, dtype).astype(np.int64)
    k = np.where(k < 0, k + length, k)
    inside: Any = np.logical_and(k >= 0, k < length)
    frame.refuse_unless(inside.value)
    far: Any = np.where(inside, k, 0) * stride
    return far.value


def _zero(frame: Frame, index: int) -> None:
    """Fill the array of a node with zeros."""
    node = frame.plan.graph.nodes[index]
    name = "llvm.memset.p0.i64"
    fill = frame.module.globals.get(name)
    if fill is None:
        kind = ir.FunctionType(ir.VoidType(), [POINTER, BYTE, INT, ir.IntType(1)])
        fill = ir.Function(frame.module, kind, name)
    count = math.prod(node.shape) * node.dtype.itemsize
    base = frame.array(index)
    frame.builder.call(
        fill,
        [base, ir.Constant(BYTE, 0), frame.integer(count), ir.Constant(ir.IntType(1), 0)],
    )


def _move(
    frame: Frame,
    dtype: np.dtype[Any],
    source: tuple[ir.Value, Layout],
    target: tuple[ir.Value, Layout],
) -> None:
    """Copy numbers from one layout to another of the same shape."""
    (of, at), (to, put) = source, target
    width = frame.lanes // (2 if dtype.itemsize == 8 else 1)
    lengths, reads, writes = _axes(at, put)
    if not lengths:
        lengths, reads, writes = [1], [0], [0]
    with frame.nest(lengths[:-1]) as counters:
        first = frame.element(of, frame.place(at.offset, counters, reads[:-1]), dtype.itemsize)
        last = frame.element(to, frame.place(put.offset, counters, writes[:-1]), dtype.itemsize)
        full = lengths[-1] - lengths[-1] % width if reads[-1] == writes[-1] == 1 else 0
        if full:
            with frame.count(full, width) as k:
                y = frame.load(frame.element(first, k, dtype.itemsize), dtype, width)
                frame.store(y, frame.element(last, k, dtype.itemsize))
        if full < lengths[-1]:
            with frame.count(lengths[-1], 1, full) as k:
                a = frame.element(first, frame.place(0, [k], reads[-1:]), dtype.itemsize)
                b = frame.element(last, frame.place(0, [k], writes[-1:]), dtype.itemsize)
                frame.store(frame.load(a, dtype), b)


def _axes(a: Layout, b: Layout) -> tuple[list[int], list[int], list[int]]:
    """Return the lengths and both strides of the fewest axes that walk two layouts alike."""
    lengths: list[int] = []
    first: list[int] = []
    second: list[int] = []
    for n, s, t in zip(a.shape, a.strides, b.strides, strict=True):
        if n == 1:
            continue
        if lengths and first[-1] == s * n and second[-1] == t * n:
            lengths[-1] *= n
            first[-1], second[-1] = s, t
        else:
            lengths.append(n)
            first.append(s)
            second.append(t)
    return lengths, first, second
