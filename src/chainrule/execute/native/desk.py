"""What a run of machine code works with: addresses, work memory, small arrays of its own.

Asking an array for its address takes longer than copying a few numbers, so what is small is
copied to and from arrays whose addresses are known; what is large is read where it lies.
"""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.execute.native.meeting import MEETING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainrule.compile import Plan
    from chainrule.execute.native.code import Code

__all__ = ["Desk"]

_ALIGNMENT = 64
_SMALL = 8192
"""Bytes of an array that is copied to where the code reads it: cheaper than asking its address."""


class Desk:
    """The memory of one run at a time.

    Parameters
    ----------
    code
        What runs.
    constants
        The constants of its graph, contiguous, by their nodes.
    held
        The arrays of the last inputs, which are the same in all runs and read anew in each.

    Attributes
    ----------
    addresses
        Of the arrays that the plan names.
    table, memory, meeting
        The addresses of the addresses, of the work memory, and of where threads meet.
    tables
        The addresses, for each thread.
    work
        The work memory, in bytes.
    own_inputs, own_outputs
        The arrays that inputs are copied to and outputs from; None for one that is large.
    gapped
        Copies of held arrays that have gaps, with what they are copies of.
    last
        The arrays whose addresses are in the table.
    """

    def __init__(self, code: Code, constants: Mapping[int, Any], held: Sequence[Any]) -> None:
        plan = code.plan
        self._plan: Plan = plan
        self.addresses = np.zeros(max(len(plan.arrays), 1), np.int64)
        self._memory = np.zeros(code.work + _ALIGNMENT + MEETING, np.uint8)
        start = -self._memory.ctypes.data % _ALIGNMENT
        self.meeting = self._memory.ctypes.data + start
        self.work = self._memory[start + MEETING :]
        self.table = self.addresses.ctypes.data
        self.memory = self.meeting + MEETING
        self.tables = [self.addresses]
        self.tables += [np.zeros_like(self.addresses) for _ in range(code.threads - 1)]
        self.own_inputs: list[Any] = []
        self.gapped: list[tuple[Any, Any]] = []
        self.last: list[Any] = [None] * len(plan.arrays)
        self._outputs: list[tuple[int, Any, Any]] = []
        self._truths: list[Any] = []  # what has to hold: the code looks, and nobody else
        given = len(plan.graph.inputs) - len(held)
        for k, (kind, which) in enumerate(plan.arrays):
            if kind == "constant":
                self.addresses[k] = constants[which].ctypes.data
            elif kind == "input" and k >= given:
                self._hold(k, held[k - given])
            else:
                self._add(k, kind, which)
        self.own_outputs = [own for _, own, _ in self._outputs]
        self._has_large = any(own is None for own in self.own_outputs)

    @property
    def is_small(self) -> bool:
        """Whether all that is given and returned is copied."""
        return not self._has_large and all(own is not None for own in self.own_inputs)

    def _hold(self, k: int, x: Any) -> None:
        """Read an array where it is in each run, or copy it in each where it has gaps."""
        self.put(k, x)
        if self.last[k] is not x:
            self.gapped.append((self.last[k], x))

    def _add(self, k: int, kind: str, which: int) -> None:
        """Note an input or output, with an array of the desk's own where it is small."""
        graph = self._plan.graph
        node = graph.nodes[which if kind == "input" else graph.outputs[which]]
        own = None
        if math.prod(node.shape) * node.dtype.itemsize <= _SMALL:
            own = np.zeros(node.shape, node.dtype)
            self.addresses[k] = own.ctypes.data
        if kind == "input":
            self.own_inputs.append(own)
        elif which < self._plan.results:
            self._outputs.append((k, own, node))
        else:
            self._truths.append(own)

    # ------------------------------------------------------------------ before a run

    def give(self, arrays: Sequence[Any]) -> None:
        """Put arrays where the code reads them, and new ones where it writes what is large."""
        for k, own in enumerate(self.own_inputs):
            if own is not None:
                own[...] = arrays[k]
            elif arrays[k] is not self.last[k]:
                self.put(k, arrays[k])
        self.refresh()
        if self._has_large:
            for k, own, node in self._outputs:
                if own is None:
                    self.put(k, np.empty(node.shape, node.dtype))

    def refresh(self) -> None:
        """Copy the arrays that have gaps and are read anew in each run."""
        for copy, x in self.gapped:
            copy[...] = x

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

    def share(self) -> None:
        """Give each thread the addresses, and an empty meeting place."""
        for table in self.tables[1:]:
            table[:] = self.addresses
        ctypes.memset(self.meeting, 0, MEETING)

    # ------------------------------------------------------------------ within and after it

    def compute(self, index: int) -> None:
        """Let NumPy compute a node."""
        node = self._plan.graph.nodes[index]
        xs = [self._seen(i) for i in node.inputs]
        with np.errstate(all="ignore"):
            y = node.op.forward(*xs, **node.attributes)  # type: ignore[union-attr]
        self._array(index)[...] = y

    def _seen(self, index: int) -> Any:
        """Return a node's numbers as NumPy's array over the memory in which they lie."""
        source, layout = self._plan.grouping.places[index]
        x = self._array(source)
        step = x.dtype.itemsize
        strides = [s * step for s in layout.strides]
        y: Any = np.ndarray(layout.shape, x.dtype, x, layout.offset * step, strides)
        return y if y.ndim else y[()]

    def _array(self, index: int) -> Any:
        """Return the array of a stored node."""
        node, place = self._plan.graph.nodes[index], self._plan.places[index]
        count = math.prod(node.shape) * node.dtype.itemsize
        start = place.offset * node.dtype.itemsize
        if place.kind == "work":
            return self.work[start : start + count].view(node.dtype).reshape(node.shape)
        buffer = (ctypes.c_char * count).from_address(int(self.addresses[place.array]) + start)
        return np.frombuffer(memoryview(buffer), node.dtype).reshape(node.shape)

    def results(self) -> list[Any]:
        """Return the outputs of the last run, as arrays of the caller's."""
        if not self._has_large:
            return [own.copy() if own.ndim else own[()] for own in self.own_outputs]
        results = []
        for k, own, _ in self._outputs:
            if own is None:
                results.append(self.last[k])
                self.last[k] = None
            else:
                results.append(own.copy() if own.ndim else own[()])
        return results
