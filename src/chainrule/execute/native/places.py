"""Nodes of a loop that go by places: those that count, and those that gather parts of a table.

A place that is out of range reads the first part and is noted, so that memory outside of the
table is never touched; NumPy then says what is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir

from chainrule.execute.native.chunks import lane, no_lanes
from chainrule.execute.native.frame import INT
from chainrule.execute.native.literals import vector_type
from chainrule.execute.native.numbers import Number, first_lanes, splat

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chainrule.execute.native.chunks import Chunk, Chunks
    from chainrule.execute.native.frame import Frame

__all__ = ["flat_place", "gathered", "keys"]

_UNSIGNED = np.dtype(np.uint64)
_INTEGER = np.dtype(np.int64)


def flat_place(chunks: Chunks, index: int, chunk: Chunk) -> Number:
    """Return the row-major place of each lane in a node's own array."""
    frame, builder = chunks.frame, chunks.frame.builder
    place, _ = chunks.place(0, chunks.space.outputs[index], chunk)
    first = Number(builder, frame.integer(0) if place is None else place, _UNSIGNED)
    if chunk.width == 1:
        return first
    steps = ir.Constant(vector_type(INT, chunk.width), list(range(chunk.width)))
    return splat(first, chunk.width) + Number(builder, steps, _UNSIGNED, chunk.width)


def keys(frame: Frame, index: int) -> list[list[Number]]:
    """Return all elements of the small operands of a counted node."""
    found = []
    for i in frame.plan.graph.nodes[index].inputs:
        source, layout = frame.plan.grouping.places[i]
        dtype = frame.plan.graph.nodes[source].dtype
        base = frame.array(source)
        places = [
            layout.offset + sum(k * s for k, s in zip(at, layout.strides, strict=True))
            for at in np.ndindex(*layout.shape)
        ]
        addresses = [frame.element(base, frame.integer(k), dtype.itemsize) for k in places]
        found.append([frame.load(address, dtype) for address in addresses])
    return found


def gathered(chunks: Chunks, index: int, places: Iterable[Number], chunk: Chunk) -> Number:
    """Return parts of a table.

    Parameters
    ----------
    chunks
        The memory of the loop.
    index
        The node.
    places
        Along each of the table's first axes; looked at one after the other.
    chunk
        What is computed.
    """
    frame = chunks.frame
    at = _checked(chunks, index, places, chunk)
    table = chunks.space.readings[index][0]
    dtype = chunks.space.dtype(table.source)
    address, stride = chunks.address(table, chunk)
    if at is None:
        return chunks.load(address, dtype, stride, chunk)
    if at.width == 1:
        start = frame.element(address, at.value, dtype.itemsize)
        return chunks.load(start, dtype, stride, chunk)
    builder = frame.builder
    y = no_lanes(frame, dtype, chunk.width)
    for k in range(chunk.width):
        far = builder.extract_element(at.value, lane(k))
        if stride:
            far = builder.add(far, frame.integer(k * stride))
        one = frame.load(frame.element(address, far, dtype.itemsize), dtype)
        y = y.like(builder.insert_element(y.value, one.value, lane(k)))
    return y


def _checked(chunks: Chunks, index: int, places: Iterable[Number], chunk: Chunk) -> Number | None:
    """Return how far into a table its parts begin; None if it has no axes to go by."""
    frame = chunks.frame
    layout = frame.plan.grouping.places[frame.plan.graph.nodes[index].inputs[0]].layout
    at: Any = None
    for axis, place in enumerate(places):
        k: Any = place.astype(_INTEGER)
        n = layout.shape[axis]
        k = np.where(k < 0, k + n, k)
        inside: Any = np.logical_and(k >= 0, k < n)
        _require(frame, inside, chunk)
        term = np.where(inside, k, 0) * layout.strides[axis]
        at = term if at is None else at + term
    return at  # type: ignore[no-any-return]  # NumPy's stubs do not know its protocols


def _require(frame: Frame, condition: Any, chunk: Chunk) -> None:
    """Note if a condition does not hold in a lane that counts."""
    builder = frame.builder
    if condition.width == 1:
        frame.refuse_unless(condition.value)
        return
    if chunk.filled is not None:
        counts = first_lanes(builder, _INTEGER, chunk.width, chunk.filled)
        condition = np.logical_or(condition, np.logical_not(counts))
    bits = builder.bitcast(condition.value, ir.IntType(chunk.width))
    everywhere = builder.icmp_signed("==", bits, ir.Constant(bits.type, -1))
    frame.refuse_unless(everywhere)
