"""A plan as machine code, and calls of it."""

from __future__ import annotations

import ctypes
import functools
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.execute.native.blas import blas_threads
from chainrule.execute.native.code import code_of, host_target
from chainrule.execute.native.desk import Desk
from chainrule.execute.native.team import let_run
from chainrule.execute.native.writing import Target, segments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainrule.graph import Graph

__all__ = ["NativeProgram"]

_RUN = (ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)
_RUN_FREE, _RUN_HELD = ctypes.CFUNCTYPE(*_RUN), ctypes.PYFUNCTYPE(*_RUN)
_SHARED_RUN = ctypes.CFUNCTYPE(*_RUN, ctypes.c_int64, ctypes.c_void_p)
_MANY = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
_REPEAT = ctypes.CFUNCTYPE(*_RUN, *_MANY)
_SHARED_REPEAT = ctypes.CFUNCTYPE(*_RUN, ctypes.c_int64, ctypes.c_void_p, *_MANY)
_QUICK = 2e5
"""Operations that are over before another thread could use the interpreter meanwhile."""


class _Segment(NamedTuple):
    """Steps that run one after the other: those of a function of the code, or one of NumPy's.

    Attributes
    ----------
    function
        Takes the addresses of the arrays and of work memory, and returns an answer; None for
        NumPy's.
    node
        What NumPy computes.
    """

    function: Callable[..., Any] | None
    node: int = -1


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
        self.is_quick = made.cost < _QUICK and not made.hosted and self.sharing is None
        self._segments = [
            _Segment(None, steps[0].nodes[0])
            if steps and steps[0].kind == "host"
            else _Segment(self._run_of(k))
            for k, steps in enumerate(segments(made))
        ]
        self._function = self._segments[0].function  # all of it, if there are no steps of NumPy's
        self._repeat: Callable[..., Any] | None = None
        if not made.hosted:
            kind = _REPEAT if self.sharing is None else _SHARED_REPEAT
            self._repeat = kind(self.code.library.function("repeat"))
        self._limits = self.code.calls_blas
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
            desk = self.desk()
        try:
            desk.give(arrays)
            return None if self.run(desk) else desk.results()
        finally:
            self._desks.append(desk)

    def desk(self) -> Desk:
        """Return new memory to run in."""
        return Desk(self.code, self._constants, self.held)

    def quick(self) -> Callable[[Sequence[Any]], list[Any] | None] | None:
        """Return what does the same as a call in the fewest steps of Python; None for large work.

        For a network of a few thousand numbers, looking at the arguments takes longer than the
        computation.
        """
        run = self._function
        if run is None or not self.is_quick or self._limits or not self.desk().is_small:
            return None
        free: list[tuple[Desk, list[Any], Any, list[Any]]] = []

        def call(arrays: Sequence[Any]) -> list[Any] | None:
            try:
                desk, inputs, start, outputs = taken = free.pop()
            except IndexError:
                desk = self.desk()
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
        desk = self.desk()
        desk.bind(inputs, outputs)
        first = len(inputs)
        own, code = desk.own_inputs[first:], self._function
        is_small = all(x is not None for x in own)
        if code is None or not self.is_quick or self._limits or not is_small:

            def run(others: Sequence[Any]) -> int:
                for k, x in enumerate(others, first):
                    if x is not desk.last[k]:
                        desk.put(k, x)
                return self.run(desk)

            return run
        start = functools.partial(code, desk.table, desk.memory)

        # the desk is an argument to be held: the code works in its memory
        def run_quickly(others: Sequence[Any], _desk: Desk = desk) -> int:
            for copy, x in zip(own, others, strict=True):
                copy[...] = x
            return start()  # type: ignore[no-any-return]

        return run_quickly

    def _alone(self) -> AbstractContextManager[Any]:
        """Hold BLAS at one thread if it is called: to wake its threads again has a price."""
        return blas_threads(1) if self._limits else nullcontext()

    def run(self, desk: Desk) -> int:
        """Run once on what lies on a desk, and return the answer."""
        if self.sharing is None and not self._limits:
            return self._run_alone(desk)
        run = self._function
        with self._alone():
            if self.sharing is None or run is None:
                return self._run_alone(desk)
            desk.share()
            jobs = [
                functools.partial(run, table.ctypes.data, desk.memory, k, desk.meeting)
                for k, table in enumerate(desk.tables)
            ]
            return int(let_run(jobs))

    def _run_alone(self, desk: Desk) -> int:
        for function, node in self._segments:
            if function is None:
                desk.compute(node)
                continue
            status: int = function(desk.table, desk.memory)
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
            with self._alone():
                return self._repeat_in_code(self._repeat, desk, advances, count)
        finally:
            desk.forget(advances)

    def _repeat_in_parts(self, desk: Desk, advances: Any, count: int) -> tuple[int, int]:
        for k in range(count):
            status = self.run(desk)
            if status:
                return k, status
            desk.addresses += advances
        return count, 0

    def _repeat_in_code(
        self, repeat: Callable[..., Any], desk: Desk, advances: Any, count: int
    ) -> tuple[int, int]:
        done = [ctypes.c_int64(0) for _ in range(self.threads)]
        last = [(advances.ctypes.data, count, ctypes.byref(each)) for each in done]
        if self.sharing is None:
            status = repeat(desk.table, desk.memory, *last[0])
        else:
            desk.share()
            jobs = [
                functools.partial(repeat, table.ctypes.data, desk.memory, k, desk.meeting, *last[k])
                for k, table in enumerate(desk.tables)
            ]
            status = let_run(jobs)
        return done[0].value, int(status)
