"""Runs of machine code in memory full of rubbish, and what its plan and numbers have to be."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from chainrule.execute.native.program import Desk, NativeProgram, host_target
from chainrule.execute.native.writing import Target

HOST = host_target()
TARGETS = (Target(16, masks=True), Target(8, masks=False), Target(4, masks=False))
SMALLER = TARGETS[1]
RUBBISH = 255  # NaN in every float, -1 in integers


class Run(NamedTuple):
    """What a run answers and leaves."""

    answer: int
    results: list[Any]
    inputs: list[Any]


def run(program: NativeProgram, arrays: Any) -> Run:
    """Run a program once where nothing but its inputs has been written."""
    plan = program.plan
    desk = Desk(program)
    desk.work[...] = RUBBISH
    given = [np.array(x) for x in arrays]
    nodes = [plan.graph.nodes[i] for i in plan.graph.outputs[: plan.results]]
    own = [rubbish(n) for k, n in enumerate(nodes) if k not in plan.donated]
    desk.bind(given, own)
    answer = program.run(desk)
    fresh = iter(own)
    results = [
        given[plan.donated[k]] if k in plan.donated else next(fresh) for k in range(len(nodes))
    ]
    return Run(answer, results, given)


def rubbish(node: Any) -> Any:
    """Return an array for the numbers of a node."""
    count = math.prod(node.shape) * node.dtype.itemsize
    return np.full(count, RUBBISH, np.uint8).view(node.dtype).reshape(node.shape)


def largest(numbers: Any) -> float:
    """Return the largest finite size among arrays."""
    sizes = [np.abs(np.asarray(x, float)) for x in numbers]
    return max((float(np.max(x[np.isfinite(x)], initial=0.0)) for x in sizes), default=0.0)


def agree(found: Any, wanted: Any, exact: Any, scale: float) -> None:
    """Require of each result that it is as near to the exact one as NumPy's.

    Parameters
    ----------
    found, wanted
        Machine code's and NumPy's.
    exact
        The same computation in double precision.
    scale
        The largest number that came up: one unit in its last place is no error.
    """
    assert len(found) == len(wanted)
    for k, (a, b, c) in enumerate(zip(found, wanted, exact, strict=True)):
        _agree(np.asarray(a), np.asarray(b), np.asarray(c), scale, f"output {k}")


def _agree(a: Any, b: Any, c: Any, scale: float, what: str) -> None:
    assert (a.shape, a.dtype) == (b.shape, b.dtype), what
    if a.dtype.kind != "f":
        np.testing.assert_array_equal(a, b, what)
        return
    np.testing.assert_array_equal(np.isnan(a), np.isnan(b), what)
    np.testing.assert_array_equal(np.where(np.isinf(a), a, 0), np.where(np.isinf(b), b, 0), what)
    fine = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
    unit = float(np.finfo(a.dtype).eps) * scale
    is_double = a.dtype == np.float64
    a, b, c = (np.where(fine, x, 0).astype(float) for x in (a, b, c))
    own = float(np.max(np.abs(b - c), initial=0.0))
    off = float(np.max(np.abs(a - c), initial=0.0))
    size = float(np.max(np.abs(b), initial=0.0))
    limit = unit + (1e-12 * size if is_double else 4 * own)
    assert off <= limit, f"{what}: off by {off}, NumPy by {own}; {size} of {scale} is the largest"


def check_plan(plan: Any) -> None:
    """Follow a plan and require that every step reads what was meant for it.

    Every byte knows which node was written to it last, and is where its array is.
    """
    graph, places = plan.graph, plan.grouping.places
    memory = {("work", 0): np.full(plan.work, -1)}
    for k, (kind, index) in enumerate(plan.arrays):
        node = graph.nodes[graph.outputs[index] if kind == "output" else index]
        size = math.prod(node.shape) * node.dtype.itemsize
        memory[kind, k] = np.full(size, -1 if kind == "output" else index)

    def owners(index: int) -> Any:
        place, node = plan.places[index], graph.nodes[index]
        start = place.offset * node.dtype.itemsize
        size = math.prod(node.shape) * node.dtype.itemsize
        whole = memory[place.kind, place.array]
        assert 0 <= start <= start + size <= len(whole), f"%{index} is outside"
        return whole[start : start + size]

    for seen in places:
        last = sum((n - 1) * max(s, 0) for n, s in zip(*seen.layout[1:], strict=True))
        first = sum((n - 1) * min(s, 0) for n, s in zip(*seen.layout[1:], strict=True))
        size = math.prod(graph.nodes[seen.source].shape)
        assert 0 <= seen.layout.offset + first <= seen.layout.offset + last < size
    within: dict[int, int] = {}  # what was computed in the array that it is placed in

    def holds(index: int) -> bool:
        found = set(owners(index))
        while found != {index} and index in within:
            index = within[index]
        return found == {index}

    for step in plan.steps:
        for source in step.reads:
            assert holds(source), f"{step.kind} {step.nodes} misses %{source}"
        for index in step.nodes:
            if plan.stored(index):
                assert plan.places[index].kind != "input" or step.stage, f"%{index} is early"
                before = set(owners(index)) & step.reads
                assert step.kind == "placed" or all(
                    plan.places[i] == plan.places[index] for i in before
                ), f"%{index} is written over {before}"
                within.update(dict.fromkeys(before if step.kind == "placed" else (), index))
                owners(index)[...] = index
            if index in plan.temporaries:
                start = plan.temporaries[index]
                row = step.loop.space[-1] * graph.nodes[index].dtype.itemsize
                kept = memory["work", 0][start : start + row]
                assert len(kept) == row
                assert not set(kept) & {*step.nodes, *step.reads}, f"%{index} is kept over another"
                kept[...] = -2
    for copy in plan.copies:
        assert holds(copy.node), f"%{copy.node} is gone before it is copied"
        memory[copy.target.kind, copy.target.array][...] = copy.node
    for k, index in enumerate(graph.outputs):
        copied = [c.target for c in plan.copies if c.node == index]
        place = copied[0] if copied else plan.places[index]
        assert np.all(memory[place.kind, place.array] == index), f"output {k} is lost"


def host_steps(plan: Any) -> set[str]:
    """Return the names of the ops that NumPy computes."""
    return {plan.graph.nodes[i].op.name for i in plan.hosted}

