"""Where threads wait for each other, as machine code.

A meeting place is memory: how many have arrived, and how often all have met, on lines of their
own. Who arrives last lets the others go. They look again and again for a while, and then rest
between two looks: on a busy machine the thread that they wait for may need their core. To offer
the core to others without a rest is worse there: who wants it keeps it for milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llvmlite import binding, ir

if TYPE_CHECKING:
    from chainrule.execute.native.frame import Frame

__all__ = ["MEETING", "STATUS", "write_leaving", "write_meeting"]

MEETING = 256
"""Bytes of a meeting place."""
STATUS = 128
"""Where in it the threads tell each other that something is wrong."""

_MET = 64
_LEFT = 192
_LOOKS = 6000
"""How often a thread looks before it rests: some 100 µs, longer than another may oversleep."""
_REST = 20
"""Microseconds of rest, if the system counts in these."""

INT = ir.IntType(64)
BYTE = ir.IntType(8)
POINTER = ir.PointerType()


def write_meeting(frame: Frame) -> None:
    """Let the threads of a function meet: none goes on before all have come."""
    module = frame.module
    function = module.globals.get("meet") or _meet(module, frame.threads)
    frame.builder.call(function, [frame.function.args[3]])


def write_leaving(
    module: ir.Module, builder: ir.IRBuilder, thread: ir.Value, place: ir.Value, threads: int
) -> None:
    """Let the first thread wait until all others are done, as the last that each of them does.

    What they worked in is the caller's again when the first thread returns.
    """
    function = module.globals.get("leave") or _leave(module, threads)
    builder.call(function, [thread, place])


def _meet(module: ir.Module, threads: int) -> ir.Function:
    """Write the function ``meet(place)``."""
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER]), "meet")
    function.linkage = "internal"
    (place,) = function.args
    entry, last, look, done = (
        function.append_basic_block(name) for name in ("entry", "last", "look", "done")
    )
    one, zero = ir.Constant(INT, 1), ir.Constant(INT, 0)
    builder = ir.IRBuilder(entry)
    met = builder.gep(place, [ir.Constant(INT, _MET)], source_etype=BYTE)
    before = builder.load_atomic(met, "acquire", 8, typ=INT)
    arrived = builder.atomic_rmw("add", place, one, "acq_rel")
    is_last = builder.icmp_signed("==", arrived, ir.Constant(INT, threads - 1))
    builder.cbranch(is_last, last, look)
    builder.position_at_end(last)
    builder.atomic_rmw("xchg", place, zero, "release")
    builder.atomic_rmw("xchg", met, builder.add(before, one), "release")
    builder.branch(done)
    _write_looking(function, (look, done), met, "!=", before)
    ir.IRBuilder(done).ret_void()
    return function


def _leave(module: ir.Module, threads: int) -> ir.Function:
    """Write the function ``leave(thread, place)``."""
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [INT, POINTER]), "leave")
    function.linkage = "internal"
    thread, place = function.args
    entry, other, look, done = (
        function.append_basic_block(name) for name in ("entry", "other", "look", "done")
    )
    builder = ir.IRBuilder(entry)
    left = builder.gep(place, [ir.Constant(INT, _LEFT)], source_etype=BYTE)
    builder.cbranch(builder.icmp_signed("==", thread, ir.Constant(INT, 0)), look, other)
    builder.position_at_end(other)
    builder.atomic_rmw("add", left, ir.Constant(INT, 1), "release")
    builder.branch(done)
    _write_looking(function, (look, done), left, "==", ir.Constant(INT, threads - 1))
    ir.IRBuilder(done).ret_void()
    return function


def _write_looking(
    function: ir.Function,
    blocks: tuple[ir.Block, ir.Block],
    cell: ir.Value,
    comparison: str,
    value: ir.Value,
) -> None:
    """Look at a cell of memory until it compares so with a value; then go to the second block."""
    module, (look, done) = function.module, blocks
    check, rest, wait = (function.append_basic_block(name) for name in ("check", "rest", "wait"))
    builder = ir.IRBuilder(look)
    looks = builder.phi(INT)
    now = builder.load_atomic(cell, "acquire", 8, typ=INT)
    following = builder.add(looks, ir.Constant(INT, 1))
    builder.cbranch(builder.icmp_signed(comparison, now, value), done, check)
    builder.position_at_end(check)
    is_patient = builder.icmp_signed("<", following, ir.Constant(INT, _LOOKS))
    builder.cbranch(is_patient, wait, rest)
    builder.position_at_end(rest)
    pause = ir.Constant(ir.IntType(32), _REST)
    builder.call(_outside(module, "chainrule_rest", ir.IntType(32), ir.IntType(32)), [pause])
    builder.branch(wait)
    builder.position_at_end(wait)
    _pause(module, builder)
    builder.branch(look)
    looks.add_incoming(ir.Constant(INT, 0), function.entry_basic_block)
    looks.add_incoming(following, wait)


def _pause(module: ir.Module, builder: ir.IRBuilder) -> None:
    """Tell the processor that this is waiting, where there are words for it."""
    if binding.get_process_triple().startswith(("x86_64", "i686", "i386")):
        builder.call(_outside(module, "llvm.x86.sse2.pause", ir.VoidType()), [])


def _outside(module: ir.Module, name: str, returns: ir.Type, *takes: ir.Type) -> ir.Function:
    found = module.globals.get(name)
    if found is None:
        found = ir.Function(module, ir.FunctionType(returns, takes), name)
    return found
