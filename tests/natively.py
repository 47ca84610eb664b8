"""Runs of machine code in memory full of rubbish, and what its plan and numbers have to be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.execute.native.code import host_target
from chainrule.execute.native.writing import Target

if TYPE_CHECKING:
    from chainrule.execute.native.program import NativeProgram

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
    desk = program.desk()
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


def nudged(arrays: Any) -> list[Any]:
    """Return inputs moved by their last digit, up and down by chance."""
    rng = np.random.default_rng(0)
    moved = [np.asarray(x) for x in arrays]
    return [
        np.nextafter(x, np.where(rng.random(x.shape) < 0.5, -np.inf, np.inf).astype(x.dtype))
        if x.dtype.kind == "f"
        else x
        for x in moved
    ]


def agree(
    found: Any,
    wanted: Any,
    exact: Any,
    scale: float,
    dtype: Any = np.float64,
    moved: Any = None,
) -> None:
    """Require of each result that it is as near to the exact one as NumPy's.

    Parameters
    ----------
    found, wanted
        Machine code's and NumPy's.
    exact
        The same computation in double precision.
    scale
        The largest number that came up: one unit in its last place is no error.
    dtype
        The least precise of what came up.
    moved
        NumPy's for inputs that differ in their last digit: so much no computation can promise.
    """
    assert len(found) == len(wanted)
    others = wanted if moved is None else moved
    for k, each in enumerate(zip(found, wanted, exact, others, strict=True)):
        _agree(*map(np.asarray, each), scale, (dtype, f"output {k}"))


def _agree(a: Any, b: Any, c: Any, d: Any, scale: float, run: tuple[Any, str]) -> None:
    dtype, what = run
    assert (a.shape, a.dtype) == (b.shape, b.dtype), what
    if a.dtype.kind != "f":
        np.testing.assert_array_equal(a, b, what)
        return
    np.testing.assert_array_equal(np.isnan(a), np.isnan(b), what)
    np.testing.assert_array_equal(np.where(np.isinf(a), a, 0), np.where(np.isinf(b), b, 0), what)
    fine = np.isfinite(a) & np.isfinite(b) & np.isfinite(c)
    d = np.where(np.isfinite(d), d, b)  # what overflows when it is moved excuses nothing
    a, b, c, d = (np.where(fine, x, 0).astype(float) for x in (a, b, c, d))
    own = float(np.max(np.maximum(np.abs(b - c), np.abs(d - b)), initial=0.0))
    off = float(np.max(np.abs(a - c), initial=0.0))
    size = float(np.max(np.abs(b), initial=0.0))
    unit = float(np.finfo(dtype).eps) * max(scale, size)
    limit = unit + (1e-12 * size if dtype == np.float64 else 4 * own)
    assert off <= limit, f"{what}: off by {off}, NumPy by {own}; {size} of {scale} is the largest"


def check_plan(plan: Any) -> None:
    """Follow a plan and require that every step reads what was meant for it, where it is."""
    for seen in plan.grouping.places:
        reach = [(n - 1) * s for n, s in zip(*seen.layout[1:], strict=True)]
        first = seen.layout.offset + sum(min(far, 0) for far in reach)
        last = seen.layout.offset + sum(max(far, 0) for far in reach)
        assert 0 <= first <= last < math.prod(plan.graph.nodes[seen.source].shape)
    memory = _Memory(plan)
    for step in plan.steps:
        memory.follow(step)
    memory.end()


class _Memory:
    """Every byte that a plan uses, and which node was written to it last."""

    def __init__(self, plan: Any) -> None:
        self.plan, self.graph = plan, plan.graph
        self.bytes = {("work", 0): np.full(plan.work, -1)}
        self.within: dict[int, int] = {}  # what was computed in the array that it is placed in
        for k, (kind, index) in enumerate(plan.arrays):
            node = self.graph.nodes[self.graph.outputs[index] if kind == "output" else index]
            size = math.prod(node.shape) * node.dtype.itemsize
            self.bytes[kind, k] = np.full(size, -1 if kind == "output" else index)

    def of(self, index: int) -> Any:
        """Return the bytes of a node."""
        place, node = self.plan.places[index], self.graph.nodes[index]
        start = place.offset * node.dtype.itemsize
        size = math.prod(node.shape) * node.dtype.itemsize
        whole = self.bytes[place.kind, place.array]
        assert 0 <= start <= start + size <= len(whole), f"%{index} is outside"
        return whole[start : start + size]

    def holds(self, index: int) -> bool:
        """Return whether the numbers of a node are there."""
        found = set(self.of(index))
        while found != {index} and index in self.within:
            index = self.within[index]
        return found == {index}

    def follow(self, step: Any) -> None:
        """Read and write what a step does."""
        for source in step.reads:
            assert self.holds(source), f"{step.kind} {step.nodes} misses %{source}"
        for index in step.nodes:
            if self.plan.stored(index):
                self.write(index, step)
            if index in self.plan.temporaries:
                self.keep(index, step)

    def write(self, index: int, step: Any) -> None:
        """Write a node where nothing is, or where the step has no more readers."""
        assert self.plan.places[index].kind != "input" or step.stage, f"%{index} is early"
        over = set(self.of(index)) & step.reads
        if step.kind == "placed":
            self.within.update(dict.fromkeys(over, index))
        elif over:
            assert all(self.plan.places[i] == self.plan.places[index] for i in over)
            at = (step.loop.times[index], index)
            for node in step.nodes:
                read = {r.source for r in self.plan.grouping.readings(node)}
                assert not read & over or (step.loop.times[node], node) <= at, f"%{node} is late"
        self.of(index)[...] = index

    def keep(self, index: int, step: Any) -> None:
        """Keep a row of a node's numbers for another pass."""
        start = self.plan.temporaries[index]
        size = step.loop.space[-1] * self.graph.nodes[index].dtype.itemsize
        row = self.bytes["work", 0][start : start + size]
        assert len(row) == size
        assert not set(row) & {*step.nodes, *step.reads}, f"%{index} is kept over another"
        row[...] = -2

    def end(self) -> None:
        """Copy what has to be copied, and look at all outputs."""
        copied = {}
        for copy in self.plan.copies:
            assert self.holds(copy.node), f"%{copy.node} is gone before it is copied"
            self.bytes[copy.target.kind, copy.target.array][...] = copy.node
            copied[copy.node] = copy.target
        for k, index in enumerate(self.graph.outputs):
            place = copied.get(index, self.plan.places[index])
            assert np.all(self.bytes[place.kind, place.array] == index), f"output {k} is lost"


def host_steps(plan: Any) -> set[str]:
    """Return the names of the ops that NumPy computes."""
    return {plan.graph.nodes[i].op.name for i in plan.hosted}
