"""Where threads wait for each other, as machine code.

A meeting place is memory: how many have arrived, and how often all have met, on lines of their
own. Who arrives last lets the others go. They look again and again for a while, and then give
their core to whoever wants it between two looks: on a busy machine the thread that they wait for
may need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llvmlite import binding, ir

if TYPE_CHECKING:
    from chainrule.execute.native.frame import Frame

__all__ = ["MEETING", "STATUS", "write_meeting"]

MEETING = 256
"""Bytes of a meeting place."""
STATUS = 128
"""Where in it the threads tell each other that something is wrong."""

_MET = 64
_LOOKS = 4000

INT = ir.IntType(64)
BYTE = ir.IntType(8)
POINTER = ir.PointerType()


def write_meeting(frame: Frame) -> None:
    """Let the threads of a function meet: none goes on before all have come."""
    module = frame.module
    function = module.globals.get("meet") or _meet(module, frame.threads)
    frame.builder.call(function, [frame.function.args[3]])


def _meet(module: ir.Module, threads: int) -> ir.Function:
    """Write the function ``meet(place)``."""
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER]), "meet")
    function.linkage = "internal"
    (place,) = function.args
    entry, last, look, leave_core, wait, done = (
        function.append_basic_block(name)
        for name in ("entry", "last", "look", "leave_core", "wait", "done")
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
    builder.position_at_end(look)
    looks = builder.phi(INT)
    looks.add_incoming(zero, entry)
    now = builder.load_atomic(met, "acquire", 8, typ=INT)
    following = builder.add(looks, one)
    looks.add_incoming(following, wait)
    patience = builder.icmp_signed("<", following, ir.Constant(INT, _LOOKS))
    is_met = builder.icmp_signed("!=", now, before)
    check = function.append_basic_block("check")
    builder.cbranch(is_met, done, check)
    builder.position_at_end(check)
    builder.cbranch(patience, wait, leave_core)
    builder.position_at_end(leave_core)
    builder.call(_outside(module, "chainrule_yield", ir.IntType(32)), [])
    builder.branch(wait)
    builder.position_at_end(wait)
    _pause(module, builder)
    builder.branch(look)
    builder.position_at_end(done)
    builder.ret_void()
    return function


def _pause(module: ir.Module, builder: ir.IRBuilder) -> None:
    """Tell the processor that this is waiting, where there are words for it."""
    if binding.get_process_triple().startswith(("x86_64", "i686", "i386")):
        builder.call(_outside(module, "llvm.x86.sse2.pause", ir.VoidType()), [])


def _outside(module: ir.Module, name: str, returns: ir.Type) -> ir.Function:
    found = module.globals.get(name)
    if found is None:
        found = ir.Function(module, ir.FunctionType(returns, []), name)
    return found
