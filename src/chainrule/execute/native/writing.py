"""A plan written as LLVM's text: one function for each run of steps between those of NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from llvmlite import ir

from chainrule.execute.answers import SPOILT, STOPPED
from chainrule.execute.native.folds import write_gathering
from chainrule.execute.native.frame import BYTE, INT, POINTER, Frame
from chainrule.execute.native.loops import write_loop
from chainrule.execute.native.meeting import STATUS, write_leaving, write_meeting
from chainrule.execute.native.moves import write_copies, write_placed, write_scatter
from chainrule.execute.native.products import scratch, write_product

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.compile import Plan, Step
    from chainrule.execute.native.sharing import Sharing

__all__ = ["Target", "scratch_of", "segments", "text"]

_LINE = 64


class Target(NamedTuple):
    """What the code is written for.

    Attributes
    ----------
    lanes
        How many numbers of 4 bytes a vector register holds.
    masks
        Whether the machine loads and stores the first lanes of a vector by themselves.
    checked
        Whether every address is held against the array that it belongs to before it is used.
    """

    lanes: int
    masks: bool
    checked: bool = False


def segments(plan: Plan) -> list[list[Step]]:
    """Return the steps of a plan in runs: those that NumPy does stand alone."""
    runs: list[list[Step]] = [[]]
    for step in plan.steps:
        if step.kind == "host":
            runs += [[step], []]
        else:
            runs[-1].append(step)
    return runs


def text(plan: Plan, target: Target, sharing: Sharing | None = None) -> str:
    """Return the text of a plan: function ``run0`` for the first segment, and so on.

    Threads can share a plan without steps of NumPy's alone.
    """
    module = ir.Module("plan")
    runs = segments(plan)
    if sharing is not None:
        _write_shared(plan, module, target, sharing)
    else:
        _write_alone(plan, module, target, runs)
    if len(runs) == 1:
        _write_repeat(module, len(plan.arrays), sharing)
    return str(module)


def _frame(
    plan: Plan, module: ir.Module, name: str, target: Target, sharing: Sharing | None = None
) -> Frame:
    return Frame(
        plan,
        module,
        name,
        target.lanes,
        masks=target.masks,
        checked=target.checked,
        sharing=sharing,
        scratch=scratch_of(plan, target, sharing),
    )


def scratch_of(plan: Plan, target: Target, sharing: Sharing | None = None) -> tuple[int, int]:
    """Return where in work memory that of products begins, and its bytes for each thread."""
    end, threads = (plan.work, 1) if sharing is None else (sharing.work, sharing.threads)
    return -(-end // _LINE) * _LINE, scratch(plan, target.lanes, threads)


def _write_alone(
    plan: Plan, module: ir.Module, target: Target, runs: Sequence[Sequence[Step]]
) -> None:
    """Write the functions for one thread."""
    checked = False
    for k, steps in enumerate(runs):
        is_last = k == len(runs) - 1
        if steps and steps[0].kind == "host":
            continue
        frame = _frame(plan, module, f"run{k}", target)
        for step in steps:
            if step.stage and not checked:
                _write_checks(frame)
                checked = True
            _write_step(frame, step)
        following = runs[k + 1][0] if not is_last else None
        if not checked and (following is None or following.stage):
            _write_checks(frame)
            checked = True
        if is_last:
            write_copies(frame)
            _write_watch(frame)
        frame.finish()


def _write_shared(plan: Plan, module: ir.Module, target: Target, sharing: Sharing) -> None:
    """Write the function that all threads run."""
    frame = _frame(plan, module, "part", target, sharing)
    for item in sharing.items:
        if item.kind == "check":
            _tell(frame)
        if item.waits:
            write_meeting(frame)
        frame.rows = item.rows
        if item.kind == "check":
            _hear(frame)
            _write_checks(frame)
        elif item.rows and item.step is not None:
            _write_step(frame, item.step)
        else:
            with frame.only(0):
                for index in item.folds:
                    write_gathering(frame, index)
                if item.step is not None:
                    _write_step(frame, item.step)
    frame.rows = 0
    _tell(frame)
    write_meeting(frame)
    _hear(frame)
    if plan.copies:
        with frame.only(0):
            write_copies(frame)
        write_meeting(frame)
    _write_watch(frame)
    write_meeting(frame)  # before the next run, nobody reads what this one wrote
    frame.finish()
    _write_run(module, frame.function, sharing.threads)


def _tell(frame: Frame) -> None:
    """Tell the other threads if something is wrong here."""
    builder = frame.builder
    status = builder.load(frame.status, typ=INT)
    wrong = frame.function.append_basic_block("wrong")
    after = frame.function.append_basic_block("after")
    builder.cbranch(builder.icmp_signed("!=", status, frame.integer(0)), wrong, after)
    builder.position_at_end(wrong)
    builder.atomic_rmw("xchg", _shared_status(frame), status, "monotonic")
    builder.branch(after)
    builder.position_at_end(after)


def _hear(frame: Frame) -> None:
    """Take over what another thread told."""
    builder = frame.builder
    said = builder.load_atomic(_shared_status(frame), "monotonic", 8, typ=INT)
    builder.store(said, frame.status)


def _shared_status(frame: Frame) -> ir.Value:
    place = frame.function.args[3]
    return frame.builder.gep(place, [frame.integer(STATUS)], source_etype=BYTE)


def _write_step(frame: Frame, step: Step) -> None:
    if step.loop is not None:
        write_loop(frame, step.loop)
        return
    write = {"product": write_product, "placed": write_placed, "scatter": write_scatter}
    write[step.kind](frame, step.nodes[0])


def _write_checks(frame: Frame) -> None:
    """Leave, before anything is written that was there before, if something is wrong."""
    plan, builder = frame.plan, frame.builder
    for index in plan.graph.outputs[plan.results :]:
        frame.refuse_unless(frame.scalar(index).value)
    status = builder.load(frame.status, typ=INT)
    frame.leave_if(builder.icmp_signed("!=", status, frame.integer(0)), status)
    _leave_unless_finite(frame, plan.guards, STOPPED)


def _write_watch(frame: Frame) -> None:
    """Say at the end if a number that is watched is not finite."""
    _leave_unless_finite(frame, frame.plan.watched, SPOILT)


def _leave_unless_finite(frame: Frame, outputs: Sequence[int], answer: int) -> None:
    for k in outputs:
        x: Any = frame.scalar(frame.plan.graph.outputs[k])
        finite: Any = np.isfinite(x)
        frame.leave_if(frame.builder.not_(finite.value), frame.integer(answer))


def _write_run(module: ir.Module, part: ir.Function, threads: int) -> None:
    """Write ``run0`` of a shared plan: the part of each thread, and the end of all of them."""
    function = ir.Function(module, part.ftype, "run0")
    builder = ir.IRBuilder(function.append_basic_block())
    answer = builder.call(part, function.args)
    _, _, thread, place = function.args
    write_leaving(module, builder, thread, place, threads)
    builder.ret(answer)


def _write_repeat(module: ir.Module, arrays: int, sharing: Sharing | None) -> None:
    """Write ``repeat(arrays, work, …, advances, count, done)``, which runs the plan many times.

    After each run every address moves on by its advance, in bytes. It ends at the first run that
    gives up, and returns its answer; ``done`` is told how many runs came before.
    """
    run = module.get_global("run0" if sharing is None else "part")
    more = run.ftype.args[2:]
    signature = ir.FunctionType(INT, [POINTER, POINTER, *more, POINTER, INT, POINTER])
    function = ir.Function(module, signature, "repeat")
    table, work, *shared, advances, count, done = function.args
    entry, head, body, move, after, leave = (
        function.append_basic_block(name)
        for name in ("entry", "head", "body", "move", "after", "leave")
    )
    builder = ir.IRBuilder(entry)
    zero, one = ir.Constant(INT, 0), ir.Constant(INT, 1)
    builder.store(zero, done)
    builder.branch(head)
    builder.position_at_end(head)
    k = builder.load(done, typ=INT)
    is_more = builder.icmp_signed("<", k, count)
    builder.cbranch(is_more, body, leave)
    builder.position_at_end(body)
    status = builder.call(run, [table, work, *shared])
    builder.cbranch(builder.icmp_signed("==", status, zero), move, leave)
    builder.position_at_end(move)
    place = builder.phi(INT)
    place.add_incoming(zero, body)
    slot = builder.gep(table, [place], source_etype=INT)
    step = builder.load(builder.gep(advances, [place], source_etype=INT), typ=INT)
    builder.store(builder.add(builder.load(slot, typ=INT), step), slot)
    following = builder.add(place, one)
    place.add_incoming(following, move)
    again = builder.icmp_signed("<", following, ir.Constant(INT, max(arrays, 1)))
    builder.cbranch(again, move, after)
    builder.position_at_end(after)
    builder.store(builder.add(builder.load(done, typ=INT), one), done)
    builder.branch(head)
    builder.position_at_end(leave)
    answer = builder.phi(INT)
    answer.add_incoming(zero, head)
    answer.add_incoming(status, body)
    if sharing is not None:
        thread, place = shared
        write_leaving(module, builder, thread, place, sharing.threads)
    builder.ret(answer)
