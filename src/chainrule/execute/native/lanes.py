"""Vectors in registers for products: loads and stores of parts, transposing, adding up, loops."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from llvmlite import ir

from chainrule.execute.native.literals import Literal, register_type, vector_type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

__all__ = ["Lanes"]

_BIT, _INT32, _INT = ir.IntType(1), ir.IntType(32), ir.IntType(64)
_LINE = 64
"""Bytes at multiples of which memory for whole vectors begins."""
_CHUNK = 16
"""Bytes within which a vector's lanes are moved most cheaply, on every machine."""


class Lanes:
    """What writes the instructions of one function on vectors of one type.

    Parameters
    ----------
    builder
        Where they go.
    dtype
        float32 or float64.
    lanes
        How many of them a register holds.
    masks
        Whether the machine loads and stores the first lanes of a vector by themselves.
    """

    def __init__(
        self, builder: ir.IRBuilder, dtype: np.dtype[Any], lanes: int, *, masks: bool
    ) -> None:
        self.builder = builder
        self.lanes = lanes
        self.masks = masks
        self._dtype = dtype
        self._real = register_type(dtype)
        self._align = dtype.itemsize

    @property
    def registers(self) -> int:
        """How many vectors may be held at once, with a few left for what comes and goes."""
        return 28 if self.lanes * self._align == 64 else 14

    # ------------------------------------------------------------------ memory

    def at(self, start: ir.Value, steps: Sequence[tuple[Any, int]]) -> ir.Value:
        """Return an address: a start, and further by Σ count · stride elements."""
        builder, known = self.builder, 0
        for count, stride in steps:
            if isinstance(count, ir.Constant):
                known += count.constant * stride
            elif isinstance(count, int):
                known += count * stride
            elif stride:
                far = builder.mul(count, ir.Constant(_INT, stride)) if stride != 1 else count
                start = builder.gep(start, [far], source_etype=self._real, inbounds=True)
        if not known:
            return start
        far = ir.Constant(_INT, known)
        return builder.gep(start, [far], source_etype=self._real, inbounds=True)

    def memory(self, count: int) -> ir.Value:
        """Return memory of the function's own; to be called before any loop is begun."""
        memory = self.builder.alloca(ir.ArrayType(self._real, count))
        memory.align = _LINE
        memory.type = ir.PointerType()  # of anything, as all other addresses
        return memory

    def load(self, place: ir.Value, width: int) -> ir.Value:
        """Load a whole vector."""
        return self.builder.load(place, align=self._align, typ=vector_type(self._real, width))

    def load_part(self, place: ir.Value, count: int, width: int | None = None) -> ir.Value:
        """Load the first lanes of a vector, and touch no memory for the rest, which are 0."""
        width = width or self.power_above(count)
        if count == width:
            return self.load(place, width)
        if not self.masks:
            part = self.load(place, count)
            zeros = ir.Constant(part.type, None)
            lanes = [min(p, count) for p in range(width)]
            return self.shuffled(part, zeros, lanes)
        kind, mask = vector_type(self._real, width), self._first(count, width)
        load = self._intrinsic("masked.load", ".p0", kind, [place.type, _INT32, mask.type, kind])
        align = ir.Constant(_INT32, self._align)
        return self.builder.call(load, [place, align, mask, self.zero(width)])

    def store(self, value: ir.Value, place: ir.Value) -> None:
        """Store a whole vector."""
        self.builder.store(value, place, align=self._align)

    def store_part(self, value: ir.Value, place: ir.Value, count: int) -> None:
        """Store the first lanes of a vector, and touch no memory for the rest."""
        width = value.type.count
        if count == width:
            self.store(value, place)
        elif not self.masks:
            self.store(self.arranged(value, list(range(count))), place)
        else:
            mask = self._first(count, width)
            kinds = [value.type, place.type, _INT32, mask.type]
            store = self._intrinsic("masked.store", ".p0", value.type, kinds, ir.VoidType())
            align = ir.Constant(_INT32, self._align)
            self.builder.call(store, [value, place, align, mask])

    def spread(self, place: ir.Value, width: int) -> ir.Value:
        """Load one number into all lanes."""
        return self.arranged(self.load(place, 1), [0] * width)

    # ------------------------------------------------------------------ registers

    @staticmethod
    def power_above(count: int) -> int:
        """Return the least power of two that is not less."""
        return 1 << (count - 1).bit_length()

    def zero(self, width: int) -> ir.Constant:
        """Return a vector of zeros."""
        return ir.Constant(vector_type(self._real, width), None)

    def fma(self, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
        """Return x · y + z, rounded once where the machine can."""
        multiply = self._intrinsic("fmuladd", "", x.type, [x.type] * 3)
        return self.builder.call(multiply, [x, y, z])

    def total(self, values: Sequence[ir.Value]) -> ir.Value:
        """Return the sum of vectors, in pairs."""
        while len(values) > 1:
            pairs = zip(values[::2], values[1::2], strict=False)
            rest = values[len(values) & ~1 :]
            values = [*[self.builder.fadd(x, y) for x, y in pairs], *rest]
        return values[0]

    def shuffled(self, x: ir.Value, y: ir.Value, places: Sequence[int]) -> ir.Value:
        """Return lanes of two vectors, counted through."""
        return self.builder.shuffle_vector(x, y, _integers(_INT32, tuple(places)))

    def arranged(self, x: ir.Value, places: Sequence[int]) -> ir.Value:
        """Return lanes of a vector."""
        return self.shuffled(x, ir.Constant(x.type, ir.Undefined), places)

    def last_lanes(self, x: ir.Value, count: int) -> ir.Value:
        """Return a vector with 0 in all but its last lanes."""
        width = x.type.count
        places = [p if p >= width - count else width for p in range(width)]
        return self.shuffled(x, self.zero(width), places)

    def transposed(self, rows: Sequence[ir.Value]) -> list[ir.Value]:
        """Return the columns of a square, as vectors."""
        rows, width, apart = list(rows), len(rows), 1
        while apart < width:
            halves = self._halves(width, apart)
            for i in range(width):
                if not i & apart:
                    x, y = rows[i], rows[i + apart]
                    rows[i], rows[i + apart] = (self.shuffled(x, y, half) for half in halves)
            apart *= 2
        columns = self._columns(width)
        return [rows[columns.index(j)] for j in range(width)]

    def added_up(self, values: Sequence[ir.Value]) -> ir.Value:
        """Return a vector whose lanes are the sums across the lanes of others, then zeros."""
        count = self.power_above(len(values))
        width = values[0].type.count
        if width < count:
            wider = [*range(width), *[width] * (count - width)]
            values = [self.shuffled(x, self.zero(width), wider) for x in values]
            width = count
        rows = [*values, *[self.zero(width)] * (count - len(values))]
        apart = 1
        while len(rows) > 1:
            if apart * self._align >= _CHUNK:
                rows, width = [self._folded(x, count) for x in rows], count
            low, high = self._halves(width, apart)
            rows = [
                self.builder.fadd(self.shuffled(x, y, low), self.shuffled(x, y, high))
                for x, y in zip(rows[::2], rows[1::2], strict=True)
            ]
            apart *= 2
        return self._folded(rows[0], count)

    def _folded(self, x: ir.Value, count: int) -> ir.Value:
        """Return a vector of so many lanes, the sums of the pieces of a longer one."""
        width = x.type.count
        while width > count:
            width //= 2
            parts = [self.arranged(x, range(s, s + width)) for s in (0, width)]
            x = self.builder.fadd(*parts)
        return x

    def _halves(self, width: int, apart: int) -> tuple[list[int], list[int]]:
        """Return which lanes of two vectors go together in a step of transposing.

        Groups of `apart` lanes are interleaved within 16 bytes, because that is one instruction on
        every machine; then whole groups of 16 bytes are sorted, the even ones before the odd.
        """
        chunk = min(_CHUNK // self._align, width)
        both = [range(start, start + width) for start in (0, width)]
        if apart >= chunk:
            parts = [
                [x[p : p + chunk] for x in both for p in range(first, width, 2 * chunk)]
                for first in (0, chunk)
            ]
        else:
            parts = [
                [
                    x[p : p + apart]
                    for start in range(first, width, chunk)
                    for p in range(start, start + chunk // 2, apart)
                    for x in both
                ]
                for first in (0, chunk // 2)
            ]
        low, high = ([p for part in half for p in part] for half in parts)
        return low, high

    def _columns(self, width: int) -> list[int]:
        """Return which column each vector is after all steps of transposing."""
        rows = [list(range(width))] * width
        apart = 1
        while apart < width:
            halves = self._halves(width, apart)
            for i in range(width):
                if not i & apart:
                    both = rows[i] + rows[i + apart]
                    rows[i], rows[i + apart] = ([both[p] for p in half] for half in halves)
            apart *= 2
        return [row[0] for row in rows]

    # ------------------------------------------------------------------ control

    def loop(
        self,
        times: int,
        before: Sequence[ir.Value],
        body: Callable[[ir.Value, list[ir.Value]], list[ir.Value]],
    ) -> list[ir.Value]:
        """Repeat a body, which turns the values that it is given into those of the next time."""
        builder, zero = self.builder, ir.Constant(_INT, 0)
        if times < 2:
            return body(zero, list(before)) if times else list(before)
        start = builder.block
        block = builder.append_basic_block("loop")
        after = builder.append_basic_block("after")
        builder.branch(block)
        builder.position_at_end(block)
        phis = [builder.phi(x.type) for x in (zero, *before)]
        for phi, x in zip(phis, (zero, *before), strict=True):
            phi.add_incoming(x, start)
        counter = phis[0]
        values = body(counter, phis[1:])
        following = builder.add(counter, ir.Constant(_INT, 1), flags=["nuw", "nsw"])
        for phi, x in zip(phis, (following, *values), strict=True):
            phi.add_incoming(x, builder.block)
        again = builder.icmp_unsigned("<", following, ir.Constant(_INT, times))
        builder.cbranch(again, block, after)
        builder.position_at_end(after)
        return values

    def tiles(self, length: int, size: int, body: Callable[[ir.Value], None]) -> None:
        """Repeat a body for the starts of tiles; the last one ends where the length does."""

        def tile(k: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            start = k if isinstance(k, ir.Constant) else self._start(k, length, size)
            body(start)
            return []

        self.loop(-(-length // size), [], tile)

    def _start(self, k: ir.Value, length: int, size: int) -> ir.Value:
        builder = self.builder
        start = builder.mul(k, ir.Constant(_INT, size)) if size != 1 else k
        if length % size == 0:
            return start
        last = ir.Constant(_INT, length - size)
        return builder.select(builder.icmp_unsigned("<", start, last), start, last)

    # ------------------------------------------------------------------ intrinsics

    @staticmethod
    def _first(count: int, width: int) -> ir.Constant:
        return _integers(_BIT, tuple(int(p < count) for p in range(width)))

    def _intrinsic(
        self,
        name: str,
        suffix: str,
        kind: ir.VectorType,
        arguments: Sequence[ir.Type],
        answer: ir.Type | None = None,
    ) -> ir.Function:
        module = self.builder.module
        name = f"llvm.{name}.v{kind.count}{kind.element.intrinsic_name}{suffix}"
        function = module.globals.get(name)
        if function is None:
            function = ir.Function(module, ir.FunctionType(answer or kind, arguments), name)
        return function


@functools.cache
def _integers(kind: ir.Type, numbers: tuple[int, ...]) -> ir.Constant:
    """Return a constant vector, which keeps its text."""
    each = [ir.Constant(kind, x) for x in numbers]
    text = f"<{', '.join(map(str, each))}>" if any(numbers) else "zeroinitializer"
    return Literal(vector_type(kind, len(numbers)), text, each)
