"""A plan as machine code, and calls of it."""

from __future__ import annotations

import ctypes
import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.execute.native.blas import blas_threads
from chainrule.execute.native.code import code_of, host_target
from chainrule.execute.native.meeting import MEETING
from chainrule.execute.native.team import let_run
from chainrule.execute.native.writing import Target, segments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainrule.compile import Plan
    from chainrule.graph import Graph

__all__ = ["Desk", "NativeProgram"]

_RUN = (ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
_RUN_FREE, _RUN_HELD = ctypes.CFUNCTYPE(*_RUN), ctypes.PYFUNCTYPE(*_RUN)
_SHARED_RUN = ctypes.CFUNCTYPE(*_RUN, ctypes.c_int64, ctypes.c_void_p)
_MANY = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
_REPEAT = ctypes.CFUNCTYPE(*_RUN, *_MANY)
_SHARED_REPEAT = ctypes.CFUNCTYPE(*_RUN, ctypes.c_int64, ctypes.c_void_p, *_MANY)
_ALIGNMENT = 64
_SMALL = 8192
"""Bytes of an array that is copied to where the code reads it: cheaper than asking its address."""
_QUICK = 2e5
"""Operations that are over before another thread could use the interpreter meanwhile."""


class NativeProgram:
    """A graph as machine code.

    It takes arrays of the shapes and dtypes of the graph's inputs, and does not look whether
    they are: whoever calls it has chosen it by them.

    Parameters
    ----------
    graph
        Not specialised, without arrays of no elements.
    donated
        Output by input, counted: this output is computed in the memory of this input.
    guards, watched
        Outputs, counted, that have to be finite: for donated outputs to be written, and after.
    target
        What to write code for, this machine if it is not said.
    held
        The arrays of the last inputs, which are the same in all calls and read anew in each.
    threads
        How many share the work, `threads_for` it if that is not said; one, if there are steps
        of NumPy's.

    Attributes
    ----------
    plan
        What runs.
    """

    def __init__(
        self,
        graph: Graph,
        donated: Mapping[int, int] | None = None,
        guards: Sequence[int] = (),
        watched: Sequence[int] = (),
        target: Target | None = None,
        held: Sequence[Any] = (),
        threads: int | None = None,
    ) -> None:
        finite = (guards, watched)
        self.code = code_of(graph, donated or {}, finite, target or host_target(), threads)
        self.plan = made = self.code.plan
        self.sharing, self.threads = self.code.sharing, self.code.threads
        self.work = self.code.work
        self.is_quick = made.cost < _QUICK and not made.hosted and self.sharing is None
        self._runs = [
            steps[0].nodes[0] if steps and steps[0].kind == "host" else self._run_of(k)
            for k, steps in enumerate(segments(made))
        ]
        self._repeat = None
        if not made.hosted:
            kind = _REPEAT if self.sharing is None else _SHARED_REPEAT
            self._repeat = kind(self.code.library.function("repeat"))
        self._limits = _has_large_products(made)
        self._constants = {i: np.ascontiguousarray(x) for i, x in made.graph.constants.items()}
        self.held = tuple(held)
        self._desks: list[Desk] = []

    def _run_of(self, k: int) -> Any:
        """Return what calls a segment."""
        kind = _RUN_HELD if self.is_quick else _RUN_FREE
        kind = kind if self.sharing is None else _SHARED_RUN
        return kind(self.code.library.function(f"run{k}"))

    def __call__(self, arrays: Sequence[Any]) -> list[Any] | None:
        """Return the outputs for these inputs, or None where NumPy will say what is wrong."""
        try:
            desk = self._desks.pop()
        except IndexError:  # all are in use, in other threads
            desk = Desk(self)
        try:
            desk.give(arrays)
            return None if desk.run() else desk.results()
        finally:
            self._desks.append(desk)

    def quick(self) -> Callable[[Sequence[Any]], list[Any] | None] | None:
        """Return what does the same as a call in the fewest steps of Python; None for large work.

        For a network of a few thousand numbers, looking at the arguments takes longer than the
        computation.
        """
        if not self.is_quick or self._limits or not Desk(self).is_small:
            return None
        (run,) = self._runs
        free: list[tuple[Desk, list[Any], Any, list[Any]]] = []

        def call(arrays: Sequence[Any]) -> list[Any] | None:
            try:
                desk, inputs, start, outputs = taken = free.pop()
            except IndexError:
                desk = Desk(self)
                inputs, outputs = desk.own_inputs, desk.own_outputs
                start = functools.partial(run, desk.table, desk.memory)
                taken = desk, inputs, start, outputs
            for own, x in zip(inputs, arrays, strict=False):
                own[...] = x
            if desk.gapped:
                desk.refresh()
            if start():
                return None
            results = [y.copy() if y.ndim else y[()] for y in outputs]
            free.append(taken)
            return results

        return call

    def single(
        self, inputs: Sequence[Any], outputs: Sequence[Any]
    ) -> Callable[[Sequence[Any]], int]:
        """Return what runs once on inputs of which only the last differ from run to run."""
        desk = Desk(self)
        desk.bind(inputs, outputs)
        first = len(inputs)
        if not self.is_quick or self._limits or any(own is None for own in desk.own_inputs[first:]):

            def run(others: Sequence[Any]) -> int:
                for k, x in enumerate(others, first):
                    if x is not desk.last[k]:
                        desk.put(k, x)
                return self.run(desk)

            return run
        own = desk.own_inputs[first:]
        start = functools.partial(self._runs[0], desk.table, desk.memory)

        def run_quickly(others: Sequence[Any]) -> int:
            for copy, x in zip(own, others, strict=True):
                copy[...] = x
            return start()  # type: ignore[no-any-return]

        run_quickly.desk = desk  # type: ignore[attr-defined] # whose memory the code works in
        return run_quickly

    def run(self, desk: Desk) -> int:
        """Run once on what lies on a desk, and return the answer."""
        if self.sharing is None and not self._limits:
            return self._run_alone(desk)
        with blas_threads(1):
            if self.sharing is None:
                return self._run_alone(desk)
            desk.share()
            (run,) = self._runs
            jobs = [
                functools.partial(run, table.ctypes.data, desk.memory, k, desk.meeting)
                for k, table in enumerate(desk.tables)
            ]
            return int(let_run(jobs))

    def _run_alone(self, desk: Desk) -> int:
        for run in self._runs:
            if type(run) is int:
                _host(self, run, desk)
                continue
            status: int = run(desk.table, desk.memory)
            if status:
                return status
        return 0

    def repeat(self, desk: Desk, advances: Any, count: int) -> tuple[int, int]:
        """Run often, and move each address on by its advance in bytes after each run.

        Returns
        -------
        done, status
            How many runs went well, and the answer of the one that did not, or 0.
        """
        try:
            if self._repeat is None:
                return self._repeat_in_parts(desk, advances, count)
            with blas_threads(1):
                return self._repeat_in_code(desk, advances, count)
        finally:
            desk.forget(advances)

    def _repeat_in_parts(self, desk: Desk, advances: Any, count: int) -> tuple[int, int]:
        for k in range(count):
            status = self.run(desk)
            if status:
                return k, status
            desk.addresses += advances
        return count, 0

    def _repeat_in_code(self, desk: Desk, advances: Any, count: int) -> tuple[int, int]:
        done = [ctypes.c_int64(0) for _ in range(self.threads)]
        last = [(advances.ctypes.data, count, ctypes.byref(each)) for each in done]
        if self.sharing is None:
            status = self._repeat(desk.table, desk.memory, *last[0])  # type: ignore[misc]
        else:
            desk.share()
            jobs = [
                functools.partial(
                    _with, (advances, done), self._repeat, table.ctypes.data, desk.memory, k,
                    desk.meeting, *last[k],
                )
                for k, table in enumerate(desk.tables)
            ]
            status = let_run(jobs)
        return done[0].value, int(status)


def _with(held: Any, run: Any, *arguments: Any) -> Any:
    """Call a function while something that it works on is held."""
    del held
    return run(*arguments)


def _has_large_products(plan: Plan) -> bool:
    """Return whether a run may call BLAS, whose threads then have to be held back."""
    return any(step.kind == "product" for step in plan.steps) and plan.cost >= _QUICK


class Desk:
    """What runs of a program work with: addresses, work memory, small arrays of its own.

    One desk serves one run at a time.
    """

    def __init__(self, program: NativeProgram) -> None:
        plan = program.plan
        graph = plan.graph
        self.program = program
        self.addresses = np.zeros(max(len(plan.arrays), 1), np.int64)
        self._work = np.zeros(program.work + _ALIGNMENT + MEETING, np.uint8)
        start = -self._work.ctypes.data % _ALIGNMENT
        self.meeting = self._work.ctypes.data + start
        self.work = self._work[start + MEETING :]
        self.table = self.addresses.ctypes.data
        self.memory = self.meeting + MEETING
        self.tables = [self.addresses]
        self.tables += [np.zeros_like(self.addresses) for _ in range(program.threads - 1)]
        self._small: list[Any] = []
        self._inputs: list[Any] = []
        self.gapped: list[tuple[Any, Any]] = []
        self._outputs: list[tuple[int, Any, Any]] = []
        self.last: list[Any] = [None] * len(plan.arrays)
        given = len(graph.inputs) - len(program.held)
        for k, (kind, index) in enumerate(plan.arrays):
            if kind == "constant":
                self.addresses[k] = program._constants[index].ctypes.data
            elif kind == "input" and k >= given:
                self._hold(k, program.held[k - given])
            else:
                self._add(k, kind, index)
        self._has_large = any(own is None for _, own, _ in self._outputs)

    @property
    def is_small(self) -> bool:
        """Whether all that is given and returned is copied."""
        return not self._has_large and all(own is not None for own in self._inputs)

    @property
    def own_inputs(self) -> list[Any]:
        """The arrays that inputs are copied to."""
        return self._inputs

    @property
    def own_outputs(self) -> list[Any]:
        """The arrays that outputs are copied from."""
        return [own for _, own, _ in self._outputs]

    def refresh(self) -> None:
        """Copy the arrays that have gaps and are read anew in each run."""
        for copy, x in self.gapped:
            copy[...] = x

    def _hold(self, k: int, x: Any) -> None:
        """Read an array where it is in each run, or copy it in each where it has gaps."""
        self.put(k, x)
        if self.last[k] is not x:
            self.gapped.append((self.last[k], x))

    def _add(self, k: int, kind: str, index: int) -> None:
        """Note an input or output, with an array of the desk's own where it is small."""
        plan = self.program.plan
        node = plan.graph.nodes[index if kind == "input" else plan.graph.outputs[index]]
        own = None
        if math.prod(node.shape) * node.dtype.itemsize <= _SMALL:
            own = np.zeros(node.shape, node.dtype)
            self.addresses[k] = own.ctypes.data
        if kind == "input":
            self._inputs.append(own)
        elif index < plan.results:
            self._outputs.append((k, own, node))
        else:
            self._small.append(own)

    def share(self) -> None:
        """Give each thread the addresses, and an empty meeting place."""
        for table in self.tables[1:]:
            table[:] = self.addresses
        ctypes.memset(self.meeting, 0, MEETING)

    def give(self, arrays: Sequence[Any]) -> None:
        """Put arrays where the code reads them."""
        for k, own in enumerate(self._inputs):
            if own is not None:
                own[...] = arrays[k]
            elif arrays[k] is not self.last[k]:
                self.put(k, arrays[k])
        self.refresh()

    def put(self, k: int, x: Any) -> None:
        """Let the code read, or write, an array where it is; it is held until the next one."""
        x = np.ascontiguousarray(x) if x.ndim else x
        self.addresses[k] = x.ctypes.data
        self.last[k] = x

    def bind(self, arrays: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Let the code read inputs and write outputs, those that are not donated, where they are.

        The arrays are contiguous, and stay what they are as long as the desk is used.
        """
        last = self.last
        for k, x in enumerate(arrays):
            if x is not last[k]:
                self.put(k, x)
        for (k, _, _), x in zip(self._outputs, outputs, strict=True):
            if x is not last[k]:
                self.put(k, x)

    def forget(self, advances: Any) -> None:
        """Forget the addresses that moved on."""
        for k in np.flatnonzero(advances):
            self.last[k] = None

    def run(self) -> int:
        """Run the program on what lies here."""
        if self._has_large:
            for k, own, node in self._outputs:
                if own is None:
                    self.put(k, np.empty(node.shape, node.dtype))
        return self.program.run(self)

    def results(self) -> list[Any]:
        """Return the outputs of the last run, as arrays of the caller's."""
        if not self._has_large:
            return [own.copy() if own.ndim else own[()] for _, own, _ in self._outputs]
        results = []
        for k, own, _ in self._outputs:
            if own is None:
                results.append(self.last[k])
                self.last[k] = None
            else:
                results.append(own.copy() if own.ndim else own[()])
        return results


def _host(program: NativeProgram, index: int, desk: Desk) -> None:
    """Let NumPy compute a node."""
    node = program.plan.graph.nodes[index]
    xs = [_seen(program, i, desk) for i in node.inputs]
    with np.errstate(all="ignore"):
        y = node.op.forward(*xs, **node.attributes)  # type: ignore[union-attr]
    _array(program, index, desk)[...] = y


def _seen(program: NativeProgram, i: int, desk: Desk) -> Any:
    """Return a node's numbers as NumPy's array over the memory in which they lie."""
    source, layout = program.plan.grouping.places[i]
    x = _array(program, source, desk)
    step = x.dtype.itemsize
    y: Any = np.ndarray(
        layout.shape, x.dtype, x, layout.offset * step, [s * step for s in layout.strides]
    )
    return y if y.ndim else y[()]


def _array(program: NativeProgram, index: int, desk: Desk) -> Any:
    """Return the array of a stored node."""
    node, place = program.plan.graph.nodes[index], program.plan.places[index]
    count = math.prod(node.shape) * node.dtype.itemsize
    if place.kind == "work":
        start = place.offset * node.dtype.itemsize
        return desk.work[start : start + count].view(node.dtype).reshape(node.shape)
    address = int(desk.addresses[place.array]) + place.offset * node.dtype.itemsize
    buffer = (ctypes.c_char * count).from_address(address)
    return np.frombuffer(buffer, node.dtype).reshape(node.shape)
