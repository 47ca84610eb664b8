"""The function that a plan becomes: its memory, its loops, and what it reports.

In C its signature is ``int64_t run(char **arrays, char *work)``. The arrays are those that the
plan names, the work memory is as large as it says. The answer is 0, or says why the function
gave up (`STOPPED`, `REFUSED`, `SPOILT`).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from llvmlite import ir

from chainrule.execute.native.numbers import Number, constant, load

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from chainrule.compile import Place, Plan

__all__ = ["BYTE", "INT", "POINTER", "REFUSED", "SPOILT", "STOPPED", "Frame"]

INT = ir.IntType(64)
BYTE = ir.IntType(8)
POINTER = ir.PointerType()

STOPPED = 1
"""A number that guards the second stage is not finite; nothing of it was written."""
REFUSED = 2
"""A label or an index is out of range, or another condition does not hold."""
SPOILT = 3
"""A number that was watched is not finite after everything was written."""


class Frame:
    """One function while it is being written.

    Parameters
    ----------
    plan
        What it computes.
    module
        Where it goes.
    name
        What it is called there.
    lanes
        How many numbers of 4 bytes a vector register holds.
    masks
        Whether the machine loads and stores the first lanes of a vector by themselves.
    """

    def __init__(
        self, plan: Plan, module: ir.Module, name: str, lanes: int, *, masks: bool
    ) -> None:
        self.plan = plan
        self.module = module
        self.lanes = lanes
        self.masks = masks
        function = ir.Function(module, ir.FunctionType(INT, [POINTER, POINTER]), name)
        for argument in function.args:
            argument.add_attribute("noalias")
        self.function = function
        self.entry = ir.IRBuilder(function.append_basic_block("entry"))
        body = function.append_basic_block("body")
        self.builder = ir.IRBuilder(body)
        self._bases: dict[int, ir.Value] = {}
        self.status = self.variable(INT)
        self._end_entry = self.entry.branch(body)
        self.entry.position_before(self._end_entry)
        self.entry.store(self.integer(0), self.status)

    # ------------------------------------------------------------------ numbers and memory

    @staticmethod
    def integer(x: int) -> ir.Constant:
        """Return a constant of 64 bits."""
        return ir.Constant(INT, x)

    def number(self, value: Any, dtype: np.dtype[Any]) -> Number:
        """Return a constant of the graph as a number."""
        return constant(self.builder, value, dtype)

    def variable(self, kind: ir.Type) -> ir.Value:
        """Return a place for a value that changes; it becomes a register."""
        return self.entry.alloca(kind)

    def base(self, place: Place, itemsize: int) -> ir.Value:
        """Return the address where the numbers of a node begin."""
        if place.kind == "work":
            return self._shifted(self.function.args[1], place.offset * itemsize)
        if place.array not in self._bases:
            slot = self._shifted(self.function.args[0], place.array * 8, self.entry)
            self._bases[place.array] = self.entry.load(slot, typ=POINTER)
        return self._shifted(self._bases[place.array], place.offset * itemsize)

    def _shifted(self, pointer: ir.Value, count: int, builder: Any = None) -> ir.Value:
        if not count:
            return pointer
        return (builder or self.builder).gep(
            pointer, [self.integer(count)], source_etype=BYTE, inbounds=True
        )

    def element(self, base: ir.Value, place: ir.Value | None, itemsize: int) -> ir.Value:
        """Return the address of an element, counted from a base."""
        if place is None:
            return base
        kind = ir.IntType(8 * itemsize)
        return self.builder.gep(base, [place], source_etype=kind, inbounds=True)

    def place(self, offset: int, counters: Sequence[ir.Value], strides: Sequence[int]) -> Any:
        """Return offset + Σ counter · stride, or None where that is always 0."""
        total: ir.Value | None = self.integer(offset) if offset else None
        for counter, stride in zip(counters, strides, strict=True):
            if not stride:
                continue
            term = counter if stride == 1 else self.builder.mul(counter, self.integer(stride))
            total = term if total is None else self.builder.add(total, term)
        return total

    def scalar(self, index: int) -> Number:
        """Return the number of a node without axes that is stored."""
        node = self.plan.graph.nodes[index]
        base = self.base(self.plan.places[index], node.dtype.itemsize)
        return load(self.builder, base, node.dtype)

    # ------------------------------------------------------------------ control

    @contextmanager
    def count(self, length: int, step: int = 1, start: int = 0) -> Iterator[ir.Value]:
        """Repeat what is written inside for start, start + step, … below length."""
        builder = self.builder
        counter = self.variable(INT)
        builder.store(self.integer(start), counter)
        body = self.function.append_basic_block("loop")
        after = self.function.append_basic_block("after")
        builder.branch(body)
        builder.position_at_end(body)
        k = builder.load(counter, typ=INT)
        yield k
        following = builder.add(k, self.integer(step), flags=["nuw", "nsw"])
        builder.store(following, counter)
        again = builder.icmp_signed("<", following, self.integer(length))
        builder.cbranch(again, body, after)
        builder.position_at_end(after)

    @contextmanager
    def nest(self, lengths: Sequence[int]) -> Iterator[list[ir.Value]]:
        """Repeat what is written inside for all places of some axes, row by row."""
        if not lengths:
            yield []
            return
        with self.count(lengths[0]) as first, self.nest(lengths[1:]) as rest:
            yield [first, *rest]

    def refuse_unless(self, condition: ir.Value) -> None:
        """Note that a condition does not hold; the function goes on to its end."""
        builder = self.builder
        before = builder.load(self.status, typ=INT)
        now = builder.select(condition, before, self.integer(REFUSED))
        builder.store(now, self.status)

    def leave_if(self, condition: ir.Value, answer: ir.Value) -> None:
        """Return an answer if a condition holds."""
        leave = self.function.append_basic_block("leave")
        stay = self.function.append_basic_block("stay")
        self.builder.cbranch(condition, leave, stay)
        self.builder.position_at_end(leave)
        self.builder.ret(answer)
        self.builder.position_at_end(stay)

    def finish(self) -> None:
        """End the function: its answer is what was noted."""
        self.builder.ret(self.builder.load(self.status, typ=INT))
