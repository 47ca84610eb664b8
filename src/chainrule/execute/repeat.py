"""A graph that runs many times where its arrays lie, as steps of training do.

Some inputs and all outputs have a part for each run; other inputs are the same in all runs, and
some of these are what the run writes to. A run whose guards are not finite writes nothing, and
ends the repetition.
"""

from __future__ import annotations

import copy
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.execute.answers import REFUSED, SPOILT, STOPPED
from chainrule.execute.executor import native
from chainrule.execute.numpy import Program

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainrule.compile import Plan
    from chainrule.graph import Graph

__all__ = ["Repeated"]


class Repeated:
    """A graph for many runs.

    Parameters
    ----------
    graph
        Not specialised.
    donated
        Output by input, counted: this output is written to the memory of this input.
    guards, watched
        Outputs, counted, that have to be finite for anything to be written, and after it was.
    advancing
        Inputs, counted, of which each run reads a part of its own.
    threads
        How many threads share a run; as many as the work is worth, if it is not said.

    Examples
    --------
    >>> from chainrule.graph import Spec, trace
    >>> graph = trace(lambda w, x: (np.sum(w * x), w - x), Spec((2,)), Spec((2,)))
    >>> repeated = Repeated(graph, donated={1: 0}, advancing=[1])
    >>> w, x, values = np.array([10.0, 10.0]), np.array([[1.0, 2.0], [3.0, 4.0]]), np.zeros(2)
    >>> repeated([w, x], [values], 2)
    (2, 0)
    >>> w, values
    (array([6., 4.]), array([30., 59.]))
    """

    def __init__(
        self,
        graph: Graph,
        donated: Mapping[int, int],
        guards: Sequence[int] = (),
        watched: Sequence[int] = (),
        advancing: Sequence[int] = (),
        threads: int | None = None,
    ) -> None:
        self.graph = graph
        self.donated = dict(donated)
        self.guards, self.watched = tuple(guards), tuple(watched)
        self.advancing = tuple(advancing)
        self.own = [k for k in range(len(graph.outputs)) if k not in self.donated]
        package = native(graph)
        self._native = None
        if package is not None:
            self._native = package.NativeProgram(
                graph, self.donated, guards, watched, threads=threads
            )
            self._lock = threading.Lock()
            self._desk = self._native.desk()
            self._advances = self._steps(self._native.plan)
        self.plan = None if self._native is None else self._native.plan

    def again(self) -> Repeated:
        """Return the same program for another caller, with memory of its own to run in."""
        twin = copy.copy(self)
        if self._native is not None:
            twin._lock, twin._desk = threading.Lock(), self._native.desk()  # noqa: SLF001 - our own
        return twin

    @property
    def dtypes(self) -> list[Any]:
        """The types of the outputs that are not donated."""
        return [self.graph.nodes[self.graph.outputs[k]].dtype for k in self.own]

    def __call__(
        self, inputs: Sequence[Any], outputs: Sequence[Any], count: int
    ) -> tuple[int, int]:
        """Run.

        Parameters
        ----------
        inputs
            Contiguous arrays; those that advance have a first axis of runs.
        outputs
            An array for each output that is not donated, with a first axis of runs.
        count
            How many runs.

        Returns
        -------
        done, answer
            How many runs were complete, and 0 or why the next was not.
        """
        if self._native is None:
            return self._by_numpy(inputs, outputs, count)
        with self._lock:  # one desk serves one caller
            self._desk.bind(inputs, outputs)
            if count == 1:
                answer = self._native.run(self._desk)
                done = 0 if answer else 1
            else:
                done, answer = self._native.repeat(self._desk, self._advances, count)
        if answer == REFUSED:
            self._program(*self._at(inputs, done))  # which says what is wrong
        return done, answer

    def single(
        self, inputs: Sequence[Any], outputs: Sequence[Any]
    ) -> Callable[[Sequence[Any]], int]:
        """Return what runs once on inputs of which only the last differ from run to run.

        Parameters
        ----------
        inputs
            All but those that differ; the same arrays in each run.
        outputs
            As for a call, of one run.

        Returns
        -------
        function
            Takes the other inputs, and returns the answer; `complain` says what is refused.
        """
        if self._native is not None:
            return self._native.single(inputs, outputs)  # type: ignore[no-any-return]
        return lambda others: self([*inputs, *map(np.ascontiguousarray, others)], outputs, 1)[1]

    def complain(self, inputs: Sequence[Any]) -> None:
        """Raise what NumPy has against inputs that were refused."""
        self._program(*self._at(inputs, 0))

    def _steps(self, plan: Plan) -> Any:
        """Return by how many bytes each array of the plan moves on from run to run."""
        nodes = self.graph.nodes
        advances = np.zeros(max(len(plan.arrays), 1), np.int64)
        for place, (kind, index) in enumerate(plan.arrays):
            if kind == "input" and place in self.advancing:
                node = nodes[self.graph.inputs[place]]
            elif kind == "output" and index < len(self.graph.outputs):
                node = nodes[self.graph.outputs[index]]
            else:
                continue
            advances[place] = int(np.prod(node.shape, dtype=np.int64)) * node.dtype.itemsize
        return advances

    @property
    def _program(self) -> Program:
        return Program(self.graph)

    def _at(self, inputs: Sequence[Any], k: int) -> list[Any]:
        """Return the inputs of a run."""
        found = []
        for place, (x, index) in enumerate(zip(inputs, self.graph.inputs, strict=True)):
            shape = self.graph.nodes[index].shape
            part = x.reshape(-1, *shape)[k] if place in self.advancing else x
            found.append(part.reshape(shape)[()])
        return found

    def _by_numpy(
        self, inputs: Sequence[Any], outputs: Sequence[Any], count: int
    ) -> tuple[int, int]:
        program = self._program
        for k in range(count):
            with np.errstate(all="ignore"):
                results = program(*self._at(inputs, k))
            for own, x in zip(self.own, outputs, strict=True):
                shape = self.graph.nodes[self.graph.outputs[own]].shape
                x.reshape(-1, *shape)[k] = results[own]
            if not all(np.isfinite(results[g]) for g in self.guards):
                return k, STOPPED
            for place, target in self.donated.items():
                inputs[target][...] = results[place]
            if not all(np.isfinite(results[w]) for w in self.watched):
                return k, SPOILT
        return count, 0
