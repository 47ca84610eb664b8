"""A module whose backward pass a user wrote, as one node of a graph.

The node's forward rule is the module's forward pass, and its derivative the module's backward
pass and nothing else. Under an outer trace the backward pass is recorded like any code, where
it can be; one that writes in place or leaves NumPy becomes a node of its own, which runs it on
plain arrays.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import optree

from chainrule.errors import BackwardError, InPlaceError, NoRuleError, OutputError, TraceError
from chainrule.graph import Derivative, Op, ShapeTracer, Spec, Value, describe
from chainrule.nn.memory import Memory, specs
from chainrule.nn.parameters import number_of, one_pass, recording, standing_in
from chainrule.ops.batching import looped

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainrule.nn.module import Module

__all__ = ["call_written"]

_CALLS = itertools.count()


def call_written(module: Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Record one call of a module that writes its own backward pass."""
    current = recording()
    key = np.array([next(_CALLS)]) if current is None or current.key is None else current.next_key()
    run = _Run(_private(module), len(inputs), options, key)
    operands = [*inputs, *[number_of(p) for p in module.parameters()]]
    if type(key) is Value:  # another one each time that the program runs
        operands.append(key)
    y = _op(type(module).__name__, run.forward, _Written(run), len(operands), run.result)(*operands)
    if current is not None:
        for buffer, number in zip(module.buffers(), run.buffers, strict=False):
            if number is not None:
                current.buffers[id(buffer)] = number
    return y


def _private(module: Module) -> Module:
    """Return a copy that remembers and collects for itself; parameters share their numbers."""
    memo: dict[int, Any] = {id(module.previous_module): None}
    for _, parameter in module.named_state():
        own = copy.copy(parameter)
        own.data, own.grad = number_of(parameter), None
        memo[id(parameter)] = own
    for part in module.modules():
        leaves: list[Any] = optree.tree_leaves(list(vars(part).values()))  # type: ignore[arg-type]
        for x in leaves:
            if type(x) is Value:  # what a forward pass left behind; a trace is not copied
                memo[id(x)] = x
    return copy.deepcopy(module, memo)


class _Run:
    """The module behind a node, applied to any inputs and parameters.

    Parameters
    ----------
    module
        A copy that belongs to the node.
    inputs
        How many operands are inputs; the rest are parameters.
    options
        What the module is called with by name.
    key
        What random layers inside draw from, so that running again draws alike; if it is traced,
        it is the last operand.
    """

    def __init__(self, module: Module, inputs: int, options: dict[str, Any], key: Any) -> None:
        self.module = module
        self.inputs = inputs
        self.options = options
        self.key = key
        self.parameters = list(module.parameters())
        self.buffers: list[Any] = []
        self._ran: tuple[Any, ...] = ()
        self._pulled: tuple[tuple[Any, ...], list[Any]] = ((), [])

    def _stand(self, xs: tuple[Any, ...]) -> Any:
        """Let the operands stand for parameters and key."""
        end = self.inputs + len(self.parameters)
        values = zip(self.parameters, xs[self.inputs : end], strict=True)
        key = xs[end] if len(xs) > end else self.key
        return standing_in({id(p): x for p, x in values}, key, remembers=True)

    def forward(self, *xs: Any) -> Any:
        """Return the module's output; it remembers what its backward needs."""
        module, inputs = self.module, xs[: self.inputs]
        module.last_input = inputs
        with self._stand(xs) as current:
            y = module.forward(*inputs, **self.options)
        if not hasattr(y, "dtype"):
            raise OutputError(
                f"{type(module).__name__} writes its own backward pass, and is one node of a "
                f"graph: its forward has to return one array, got {describe(y)}.",
            )
        self.buffers = [current.buffers.get(id(b)) for b in module.buffers()]
        module.__dict__["_memory"] = Memory(self.options, specs(y), self.parameters, None, [])
        self._ran = xs
        return y

    def gradients(self, g: Any, *xs: Any) -> list[Any]:
        """Return the gradient of every input and parameter, as the module's backward says."""
        if _same((g, *xs), self._pulled[0]):  # asked for the next operand of the same call
            return self._pulled[1]
        if not _same(xs, self._ran):
            self.forward(*xs)
        self._ran = ()  # a backward pass may use up what forward left for it
        passed: list[Any] = []
        self.module.__dict__["_passed_on"] = passed
        for parameter in self.parameters:
            parameter.grad = None
        with one_pass(apart=True), self._stand(xs):
            self.module.backward(g)
        gradients = [
            np.zeros(x.shape, x.dtype) if d is None else d
            for d, x in zip([*passed[-1], *[p.grad for p in self.parameters]], xs, strict=False)
        ]
        self._pulled = ((g, *xs), gradients)
        return gradients

    def push(self, tangents: Sequence[Any], *xs: Any) -> Any:
        """Return the tangent of the output, as the module's ``jvp`` says."""
        name = type(self.module).__name__
        written = getattr(self.module, "jvp", None)
        if written is None:
            raise NoRuleError(
                f"{name} writes its own backward pass, which has no forward mode.",
                advice="Write jvp(self, tangents, inputs) beside it, or use reverse mode "
                "(grad, vjp).",
            )
        with self._stand(xs):
            return written(tuple(tangents[: self.inputs + len(self.parameters)]), xs[: self.inputs])

    def result(self, *xs: Any) -> tuple[tuple[int, ...], Any]:
        """Return the shape and dtype of the output: by a trace, or by a run on ones."""
        given = [Spec(x.shape, x.dtype) for x in xs]
        tracer = ShapeTracer()
        try:
            y = self.forward(*[tracer.input(spec) for spec in given])
        except TraceError:
            y = self.forward(*[np.ones(spec.shape, spec.dtype) for spec in given])
        finally:
            tracer.close()
        if any(number is not None for number in self.buffers):
            raise InPlaceError(
                f"{type(self.module).__name__} writes its own backward pass and assigns to "
                "buffers, and a program for all inputs has no place for their new numbers.",
                advice="Keep running numbers in a module whose backward is derived, or put the "
                "module into evaluation.",
            )
        return y.shape, y.dtype


def _same(xs: tuple[Any, ...], ys: tuple[Any, ...]) -> bool:
    """Return whether these are the very same arrays."""
    return len(xs) == len(ys) and all(x is y for x, y in zip(xs, ys, strict=True))


@dataclass(frozen=True, eq=False)
class _Written(Derivative):
    """The derivative that a user wrote."""

    run: _Run
    kind: ClassVar[str] = "written"

    def bind(self, op: Op) -> _Written:  # noqa: ARG002 - there is nothing to fit
        """Return itself."""
        return self

    def pull(
        self, op: Op, k: int, g: Any, xs: Sequence[Any], y: Any, attributes: Mapping[str, Any]
    ) -> Any:
        """Return the gradient of operand k by the module's backward pass."""
        del y, attributes
        if not any(type(x) is Value for x in (g, *xs)):
            return self.run.gradients(g, *xs)[k]
        try:
            return self.run.gradients(g, *xs)[k]
        except TraceError:
            return self._on_arrays(op, k, g, xs)

    def _on_arrays(self, op: Op, k: int, g: Any, xs: Sequence[Any]) -> Any:
        """Record the backward pass as a node that runs it on plain arrays."""

        def backward(g: Any, *xs: Any) -> Any:
            return self.run.gradients(g, *xs)[k]

        def result(_: Any, *xs: Any) -> tuple[tuple[int, ...], Any]:
            return xs[k].shape, xs[k].dtype

        name = f"{op.name}_backward"
        return _op(name, backward, _NoRule(), len(xs) + 1, result)(g, *xs)

    def push(
        self, op: Op, dxs: Sequence[Any], xs: Sequence[Any], y: Any, attributes: Mapping[str, Any]
    ) -> Any:
        """Return the tangent that the module's ``jvp`` says, if it has one."""
        del attributes
        tangents = [
            np.zeros(x.shape, x.dtype) if d is None and np.issubdtype(x.dtype, np.floating) else d
            for d, x in zip(dxs, xs, strict=True)
        ]
        dy = self.run.push(tangents, *xs)
        if dy.shape != y.shape:
            raise BackwardError(
                f"{op.name}.jvp returns {describe(dy)} as the tangent of an output that is "
                f"{describe(y)}."
            )
        return dy


@dataclass(frozen=True, eq=False)
class _NoRule(Derivative):
    """No derivative, though there would be one: nobody wrote it."""

    kind: ClassVar[str] = "unwritten"

    def bind(self, op: Op) -> _NoRule:  # noqa: ARG002 - there is nothing to fit
        """Return itself."""
        return self

    def _refuse(self, op: Op) -> NoRuleError:
        return NoRuleError(
            f"{op.name} cannot be differentiated again: it ran on plain arrays.",
            advice="Write the backward pass without in-place steps, so that it can be recorded.",
        )

    def pull(
        self, op: Op, k: int, g: Any, xs: Sequence[Any], y: Any, attributes: Mapping[str, Any]
    ) -> Any:
        """Refuse."""
        del k, g, xs, y, attributes
        raise self._refuse(op)

    def push(
        self, op: Op, dxs: Sequence[Any], xs: Sequence[Any], y: Any, attributes: Mapping[str, Any]
    ) -> Any:
        """Refuse."""
        del dxs, xs, y, attributes
        raise self._refuse(op)


def _op(
    name: str,
    forward: Callable[..., Any],
    derivative: Derivative,
    operands: int,
    result: Callable[..., tuple[tuple[int, ...], Any]],
) -> Op:
    """Return an op for one node; it is entered nowhere."""
    return Op(
        name=name,
        doc="",
        operands=tuple(f"x{k}" for k in range(operands)),
        variadic=False,
        attributes={},
        forward=forward,
        result=result,
        settle=None,
        derivative=derivative,
        flat=frozenset(),
        batch=looped,
        rewrite=None,
        latex=rf"\mathrm{{{name}}}",
        onnx=None,
        numpy=(),
        domain=((-1.0, 1.0),) * operands,
        kink=None,
        cases=(),
        cost=lambda *_, y: float(y.size),
    )
