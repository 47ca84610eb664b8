"""The function that a plan becomes: its memory, its loops, and what it reports.

In C its signature is ``int64_t run(char **arrays, char *work)``. The arrays are those that the
plan names, the work memory is as large as it says. The answer is 0, or says why the function
gave up (`STOPPED`, `REFUSED`, `SPOILT`, `OUTSIDE`).

All memory is read and written through `Frame.load` and its like, so that a checked build can
look at every address before it is used.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from llvmlite import ir

from chainrule.execute.answers import OUTSIDE, REFUSED
from chainrule.execute.native.numbers import (
    Number,
    constant,
    load,
    load_masked,
    store,
    store_masked,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

    from chainrule.compile import Place, Plan
    from chainrule.execute.native.sharing import Sharing

__all__ = ["BYTE", "INT", "POINTER", "Frame"]

INT = ir.IntType(64)
BYTE = ir.IntType(8)
POINTER = ir.PointerType()


class _Extent(NamedTuple):
    """The bytes of an array that an address may reach."""

    first: ir.Value
    size: int


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
    checked
        Whether every address is held against the array that it belongs to.
    sharing
        How threads share the plan. The function then has two more arguments: the number of the
        thread, and where threads meet, four lines of memory that are 0 at first.
    scratch
        Where in work memory that of products begins, and how many bytes each thread has of it.

    Attributes
    ----------
    rows
        How many rows of the present step are split among threads; 0 if they are not.
    """

    def __init__(
        self,
        plan: Plan,
        module: ir.Module,
        name: str,
        lanes: int,
        *,
        masks: bool,
        checked: bool = False,
        sharing: Sharing | None = None,
        scratch: tuple[int, int] = (0, 0),
    ) -> None:
        self.plan = plan
        self.module = module
        self.lanes = lanes
        self.masks = masks
        self.checked = checked
        self._is_shared = sharing is not None
        self._private = {} if sharing is None else sharing.private
        self._scratch = scratch
        self.threads = 1 if sharing is None else sharing.threads
        self.rows = 0
        more = [] if sharing is None else [INT, POINTER]
        function = ir.Function(module, ir.FunctionType(INT, [POINTER, POINTER, *more]), name)
        if sharing is None:
            for argument in function.args:
                argument.add_attribute("noalias")
        self.function = function
        self.entry = ir.IRBuilder(function.append_basic_block("entry"))
        body = function.append_basic_block("body")
        self.builder = ir.IRBuilder(body)
        self._bases: dict[int, ir.Value] = {}
        self._extents: dict[ir.Value, _Extent] = {}
        self.status = self.variable(INT)
        self._end_entry = self.entry.branch(body)
        self.entry.position_before(self._end_entry)
        self.entry.store(self.integer(0), self.status)

    # ------------------------------------------------------------------ numbers and addresses

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

    def array(self, index: int) -> ir.Value:
        """Return the address where the numbers of a stored node begin."""
        node = self.plan.graph.nodes[index]
        return self.part(self.plan.places[index], math.prod(node.shape), node.dtype.itemsize)

    def part(self, place: Place, count: int, itemsize: int) -> ir.Value:
        """Return the address where so many numbers begin, and no more belong to it."""
        return self._limited(self.base(place, itemsize), count * itemsize)

    def temporary(self, index: int, count: int) -> ir.Value:
        """Return the address where a row of a node's numbers is kept between passes."""
        itemsize = self.plan.graph.nodes[index].dtype.itemsize
        if self.rows:
            first = self.private(("row", index))
        else:
            first = self._shifted(self.function.args[1], self.plan.temporaries[index])
        return self._limited(first, count * itemsize)

    def folded(self, index: int, thread: int | None = None) -> ir.Value:
        """Return where a thread, this one if none is said, keeps what it folded."""
        node = self.plan.graph.nodes[index]
        count = max(math.prod(node.shape) * node.dtype.itemsize, 8)  # a sum may be in double
        return self._limited(self.private(("fold", index), thread), count)

    def private(self, key: object, thread: int | None = None) -> ir.Value:
        """Return where memory begins that a thread has for itself."""
        first, step = self._private[key]
        start = self._shifted(self.function.args[1], first)
        if thread is not None:
            return self._shifted(start, thread * step)
        far = self.builder.mul(self.thread, self.integer(step))
        return self.builder.gep(start, [far], source_etype=BYTE, inbounds=True)

    def scratch(self) -> ir.Value:
        """Return where memory begins that a product of this thread may use."""
        first, step = self._scratch
        start = self._shifted(self.function.args[1], first)
        if not self._is_shared:
            return start
        far = self.builder.mul(self.thread, self.integer(step))
        return self.builder.gep(start, [far], source_etype=BYTE, inbounds=True)

    @property
    def thread(self) -> ir.Value:
        """The number of the thread that runs the function."""
        return self.function.args[2]

    def base(self, place: Place, itemsize: int) -> ir.Value:
        """Return the address of a place."""
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

    def _limited(self, first: ir.Value, size: int) -> ir.Value:
        """Return an address that is known as the beginning of an array."""
        if not self.checked:
            return first
        own = self.builder.gep(first, [self.integer(0)], source_etype=BYTE)
        self._extents[own] = _Extent(own, size)
        return own

    def element(self, base: ir.Value, place: ir.Value | None, itemsize: int) -> ir.Value:
        """Return the address of an element, counted from a base."""
        if place is None:
            return base
        kind = ir.IntType(8 * itemsize)
        y = self.builder.gep(base, [place], source_etype=kind, inbounds=not self.checked)
        if base in self._extents:
            self._extents[y] = self._extents[base]
        return y

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
        return self.load(self.array(index), self.plan.graph.nodes[index].dtype)

    # ------------------------------------------------------------------ memory

    def load(self, address: ir.Value, dtype: np.dtype[Any], width: int = 1) -> Number:
        """Load as many numbers as there are lanes."""
        self._check(address, self.integer(width * dtype.itemsize))
        return load(self.builder, address, dtype, width)

    def load_first(
        self, address: ir.Value, dtype: np.dtype[Any], width: int, count: ir.Value
    ) -> Number:
        """Load the first lanes, as many as are counted; the rest is 0."""
        self._check(address, self.builder.mul(count, self.integer(dtype.itemsize)))
        return load_masked(self.builder, address, dtype, width, count)

    def store(self, number: Number, address: ir.Value) -> None:
        """Store all lanes of a number."""
        self._check(address, self.integer(number.width * number.dtype.itemsize))
        store(number, address)

    def store_first(self, number: Number, address: ir.Value, count: ir.Value) -> None:
        """Store the first lanes, as many as are counted."""
        self._check(address, self.builder.mul(count, self.integer(number.dtype.itemsize)))
        store_masked(number, address, count)

    def _check(self, address: ir.Value, size: ir.Value) -> None:
        """In a checked build, leave unless so many bytes lie in the array of an address."""
        if not self.checked:
            return
        builder, extent = self.builder, self._extents[address]
        first, here = (builder.ptrtoint(p, INT) for p in (extent.first, address))
        far = builder.sub(here, first)
        is_before = builder.icmp_signed("<", far, self.integer(0))
        is_behind = builder.icmp_signed(">", builder.add(far, size), self.integer(extent.size))
        self.leave_if(builder.or_(is_before, is_behind), self.integer(OUTSIDE))

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

    def bounds(self, rows: int, unit: int = 1) -> tuple[ir.Value, ir.Value]:
        """Return the first row of this thread, and the first that is no longer its own."""
        builder, count = self.builder, self.integer(rows // unit)
        ends = []
        for k in (self.thread, builder.add(self.thread, self.integer(1))):
            part = builder.udiv(builder.mul(count, k), self.integer(self.threads))
            ends.append(builder.mul(part, self.integer(unit)) if unit > 1 else part)
        return ends[0], ends[1]

    @contextmanager
    def between(self, first: ir.Value, last: ir.Value, step: int = 1) -> Iterator[ir.Value]:
        """Repeat what is written inside for first, first + step, … below last; perhaps never."""
        builder = self.builder
        counter = self.variable(INT)
        builder.store(first, counter)
        body = self.function.append_basic_block("rows")
        after = self.function.append_basic_block("after")
        builder.cbranch(builder.icmp_signed("<", first, last), body, after)
        builder.position_at_end(body)
        k = builder.load(counter, typ=INT)
        yield k
        following = builder.add(k, self.integer(step), flags=["nuw", "nsw"])
        builder.store(following, counter)
        builder.cbranch(builder.icmp_signed("<", following, last), body, after)
        builder.position_at_end(after)

    @contextmanager
    def only(self, thread: int) -> Iterator[None]:
        """Let one thread do what is written inside."""
        builder = self.builder
        own = self.function.append_basic_block("own")
        after = self.function.append_basic_block("after")
        is_own = builder.icmp_signed("==", self.thread, self.integer(thread))
        builder.cbranch(is_own, own, after)
        builder.position_at_end(own)
        yield
        builder.branch(after)
        builder.position_at_end(after)

    @contextmanager
    def over(self, lengths: Sequence[int]) -> Iterator[list[ir.Value]]:
        """Repeat as `nest` does; if the step is shared, for the rows of this thread."""
        if not (self.rows and lengths):
            with self.nest(lengths) as counters:
                yield counters
            return
        with self.between(*self.bounds(lengths[0])) as first, self.nest(lengths[1:]) as rest:
            yield [first, *rest]

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
