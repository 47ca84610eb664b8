"""Reading and writing the arrays of a loop, a part of a row at a time.

What lies without gaps is one load or store of a vector; numbers with gaps between are put
together lane by lane. A row's rest that does not fill a vector is loaded and stored by a mask
where the machine has masks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llvmlite import ir

from chainrule.execute.native.numbers import Number, register_type

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from chainrule.compile import Reading
    from chainrule.execute.native.frame import Frame
    from chainrule.execute.native.space import Space

__all__ = ["ONE", "Chunk", "Chunks", "lane", "no_lanes"]


class Chunk(NamedTuple):
    """The part of a row that is computed at once.

    Attributes
    ----------
    start
        Where it begins along the row; None for what is computed once a row.
    width
        Its lanes.
    filled
        How many of them count, where that is not all.
    """

    start: ir.Value | None
    width: int
    filled: ir.Value | None = None


ONE = Chunk(None, 1)
"""What is computed once a row."""


class Chunks:
    """The memory of a loop, seen from where the walk is.

    Attributes
    ----------
    counters
        The places on the axes that are walked, all but the last.
    """

    def __init__(self, frame: Frame, space: Space) -> None:
        self.frame = frame
        self.space = space
        self.counters: list[ir.Value] = []

    # ------------------------------------------------------------------ arrays

    def loaded(self, reading: Reading, chunk: Chunk) -> Number:
        """Return numbers of an array, a constant without memory if it is one number."""
        graph = self.frame.plan.graph
        node = graph.nodes[reading.source]
        constant = graph.constants.get(reading.source)
        if constant is not None and not node.shape:
            return self.frame.number(constant, node.dtype)
        address, stride = self.address(reading, chunk)
        return self.load(address, node.dtype, stride, chunk)

    def address(self, reading: Reading, chunk: Chunk) -> tuple[ir.Value, int]:
        """Return where a chunk of an array begins, and its stride along the row."""
        base = self.frame.array(reading.source)
        dtype = self.space.dtype(reading.source)
        return self._moved(base, reading.offset, reading.strides, dtype, chunk)

    def store(self, index: int, y: Number, chunk: Chunk) -> None:
        """Store a chunk of a node's own array."""
        self.put(y, self.own_address(index, chunk), chunk)

    def own_address(self, index: int, chunk: Chunk) -> ir.Value:
        """Return where a chunk of a node's own array begins."""
        strides, dtype = self.space.outputs[index], self.space.dtype(index)
        address, _ = self._moved(self.own(index), 0, strides, dtype, chunk)
        return address

    def own(self, index: int) -> ir.Value:
        """Return where a node of the loop puts its numbers: a fold of shared rows apart."""
        if self.frame.rows and 0 in self.frame.plan.grouping.folded(index):
            return self.frame.folded(index)
        return self.frame.array(index)

    def kept(self, index: int, chunk: Chunk) -> ir.Value:
        """Return where a chunk is kept from one pass over a row to another."""
        row = self.frame.temporary(index, self.space.lengths[-1])
        return self.frame.element(row, chunk.start, self.space.dtype(index).itemsize)

    def place(self, offset: int, strides: Sequence[int], chunk: Chunk) -> tuple[Any, int]:
        """Return the place of a chunk in an array, None where that is always 0; and its stride."""
        frame, rank = self.frame, len(self.counters)
        place = frame.place(offset, self.counters, strides[:rank])
        stride = strides[-1] if len(strides) > rank else 0
        if chunk.start is not None and stride:
            along = frame.place(0, [chunk.start], [stride])
            place = along if place is None else frame.builder.add(place, along)
        return place, stride

    def _moved(
        self,
        base: ir.Value,
        offset: int,
        strides: Sequence[int],
        dtype: np.dtype[Any],
        chunk: Chunk,
    ) -> tuple[ir.Value, int]:
        place, stride = self.place(offset, strides, chunk)
        return self.frame.element(base, place, dtype.itemsize), stride

    # ------------------------------------------------------------------ vectors

    def load(self, address: ir.Value, dtype: np.dtype[Any], stride: int, chunk: Chunk) -> Number:
        """Return a chunk from memory: a vector, one number, or numbers with gaps between."""
        frame = self.frame
        if chunk.width == 1 or not stride:
            return frame.load(address, dtype)
        if stride != 1:
            return self._spread(address, dtype, stride, chunk)
        if chunk.filled is None:
            return frame.load(address, dtype, chunk.width)
        return frame.load_first(address, dtype, chunk.width, chunk.filled)

    def _spread(self, address: ir.Value, dtype: np.dtype[Any], stride: int, chunk: Chunk) -> Number:
        """Return a vector of numbers that are not next to each other."""
        frame, builder = self.frame, self.frame.builder
        y = no_lanes(frame, dtype, chunk.width)
        for k in range(chunk.width):
            far: Any = frame.integer(k * stride)
            if chunk.filled is not None:  # lanes that do not count read the first number again
                inside = builder.icmp_signed("<", frame.integer(k), chunk.filled)
                far = builder.select(inside, far, frame.integer(0))
            one = frame.load(frame.element(address, far, dtype.itemsize), dtype)
            y = y.like(builder.insert_element(y.value, one.value, lane(k)))
        return y

    def put(self, y: Number, address: ir.Value, chunk: Chunk) -> None:
        """Store a chunk: the lanes that count."""
        if chunk.filled is None:
            self.frame.store(y, address)
        else:
            self.frame.store_first(y, address, chunk.filled)


def no_lanes(frame: Frame, dtype: np.dtype[Any], width: int) -> Number:
    """Return a vector whose lanes are put in one after the other."""
    return Number(frame.builder, ir.Constant(register_type(dtype, width), None), dtype, width)


def lane(k: int) -> ir.Constant:
    """Return the number of a lane, as instructions take it."""
    return ir.Constant(ir.IntType(32), k)
