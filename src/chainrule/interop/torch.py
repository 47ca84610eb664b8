"""A ``torch.autograd.Function``, or a ``torch.nn.Module`` that uses one, as something to check.

PyTorch runs forward, in double precision; no trace follows it, so what its backward returns is
compared with central differences. The backward of a Function is called as its author wrote it,
without the engine around it, so that a wrong shape or number of gradients is a finding and no
exception of the engine's.
"""

from __future__ import annotations

import copy
import inspect
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import InputTypeError, MissingExtraError
from chainrule.graph import Value, Where, describe
from chainrule.inspect.targets.handwritten import Forward, Handwritten, Slot, Stated
from chainrule.inspect.targets.pairs import WrongCount
from chainrule.interop.foreign import Foreign

try:
    import torch
except ModuleNotFoundError as error:
    raise MissingExtraError(
        "to check a torch.autograd.Function, PyTorch has to be installed.",
        advice="Install it as pytorch.org says; chainrule does not bring it.",
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["torch_target"]

EXPECTED = frozenset({"CD120", "CD127"})
"""That the check runs in double precision, and that no trace goes through PyTorch."""


class PyTorchRuns(TypeError):  # noqa: N818 - it is why forward is not traced, as the note says it
    """A trace does not go through PyTorch."""


def torch_target(target: Any, inputs: Sequence[Any]) -> Foreign:
    """Return a Function (the class itself), or a module, in the form that is run.

    Parameters
    ----------
    target
        A subclass of ``torch.autograd.Function``, or a ``torch.nn.Module``.
    inputs
        What ``apply``, or the module, is called with: tensors or arrays, and settings.

    Raises
    ------
    InputTypeError
        If it is something else of PyTorch's.
    """
    if isinstance(target, type) and issubclass(target, torch.autograd.Function):
        function: Any = target
        made = _function(function, inputs)
        return Foreign(made, {}, _line(function.backward), tuple(inputs), EXPECTED)
    if isinstance(target, torch.nn.Module):
        where = _line(type(target).forward)
        return Foreign(_module(target, inputs), {}, where, tuple(inputs), EXPECTED)
    raise InputTypeError(
        f"of PyTorch, check knows torch.autograd.Function and torch.nn.Module, got "
        f"{describe(target)}.",
        advice="Pass the class of the Function, not an object of it.",
    )


@contextmanager
def _unwatched() -> Iterator[None]:
    """Run PyTorch without a look at every line of it: what its variables hold are no arrays."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)


def _line(function: Any) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return str(Where(code.co_filename, code.co_firstlineno)) if code else ""


def _given(x: Any) -> Any:
    """Return a tensor as an array; what is floating-point in double precision."""
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu().numpy()
    if isinstance(x, np.ndarray) and x.dtype.kind == "f":
        return np.array(x, np.float64)
    return x


def _tensor(x: Any) -> Any:
    """Return an array as a tensor, which asks for a gradient if it can have one."""
    if type(x) is Value:
        raise PyTorchRuns
    if not isinstance(x, np.ndarray | np.generic):
        return x
    tensor = torch.from_numpy(np.array(x))
    return tensor.requires_grad_(tensor.is_floating_point())


def _tensors_in(y: Any) -> list[Any]:
    several = y if isinstance(y, tuple | list) else [y]
    return [t for t in several if isinstance(t, torch.Tensor) and t.is_floating_point()]


def _numbers(tensors: Sequence[Any]) -> Any:
    """Return one output as it is, and several as one vector."""
    arrays = [t.detach().numpy() for t in tensors]
    return np.array(arrays[0]) if len(arrays) == 1 else np.concatenate([a.ravel() for a in arrays])


def _cotangents(tensors: Sequence[Any], cotangent: Any) -> list[Any]:
    """Return the gradient at each output, from that at all of them."""
    flat = np.ravel(np.asarray(cotangent, float))
    ends = np.cumsum([t.numel() for t in tensors])[:-1]
    parts = np.split(flat, ends)
    return [
        torch.from_numpy(g.copy()).reshape(t.shape) for g, t in zip(parts, tensors, strict=True)
    ]


def _array(gradient: Any, shape: tuple[int, ...]) -> Any:
    """Return a gradient as an array: zeros for None, which is what the engine takes it for."""
    if gradient is None:
        return np.zeros(shape)
    if isinstance(gradient, torch.Tensor):
        return gradient.detach().numpy()
    return np.asarray(gradient)


@dataclass
class TorchFunction(Handwritten):
    """A Function of PyTorch's, whose backward its author wrote.

    Attributes
    ----------
    function
        The class.
    """

    function: Any = None
    _tensors: list[Any] = field(default_factory=list)

    def forward(self, values: Sequence[Any]) -> Forward:
        """Run ``apply``."""
        self._tensors = [_tensor(x) for x in values]
        with _unwatched():
            outputs = self.function.apply(*self._tensors)
        floating = _tensors_in(outputs)
        return Forward(_numbers(floating), (outputs,), values)

    def backward(self, ran: Forward, cotangent: Any) -> Any:
        """Call backward with the context of that forward pass."""
        (outputs,) = ran.rest
        floating = _tensors_in(outputs)
        context = next((t.grad_fn for t in floating if t.grad_fn is not None), None)
        if context is None:
            return None
        given = iter(_cotangents(floating, cotangent))
        several = outputs if isinstance(outputs, tuple | list) else (outputs,)
        upstream = [next(given) if any(t is f for f in floating) else None for t in several]
        with _unwatched():
            returned = _written(self.function)(context, *upstream)
        return returned if isinstance(returned, tuple) else (returned,)

    def stated(self, returned: Any, ran: Forward) -> list[Stated]:
        """Return a gradient for each tensor: nothing, where backward returns None, is zero."""
        if returned is None:
            return []
        given = list(returned)
        while len(given) > len(self.slots) and given[-1] is None:
            given.pop()  # as the engine does
        if len(given) != len(self.slots):
            raise WrongCount(len(given), [slot.name for slot in self.slots])
        stated = []
        for k, (g, slot) in enumerate(zip(given, self.slots, strict=True)):
            if slot.is_array and slot.is_differentiable:
                key = f"gradient {k}{' (None)' if g is None else ''}"
                stated.append(Stated(key, _array(g, np.shape(ran.values[k])), k))
        return stated


def _written(function: Any) -> Any:
    """Return the backward of a Function, which may be called vjp."""
    is_vjp = function.vjp is not torch.autograd.Function.vjp
    return function.vjp if is_vjp else function.backward


def _function(function: Any, inputs: Sequence[Any]) -> TorchFunction:
    parameters = list(inspect.signature(function.forward).parameters.values())
    has_context = function.setup_context is torch.autograd.Function.setup_context
    names = [p.name for p in parameters][int(has_context) :]
    is_open = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if is_open or len(names) < len(inputs):
        names = [f"input {k}" for k in range(len(inputs))]
    slots = [
        Slot(name, _given(x), k) for k, (name, x) in enumerate(zip(names, inputs, strict=False))
    ]
    functions = [inspect.unwrap(f) for f in (function.forward, function.backward)]
    return TorchFunction("pair", function.__name__, slots, functions, function=function)


@dataclass
class TorchModule(Handwritten):
    """A module of PyTorch's: its inputs and its parameters.

    Attributes
    ----------
    module
        A copy, in double precision.
    inputs
        How many inputs it has.
    """

    module: Any = None
    inputs: int = 0

    def forward(self, values: Sequence[Any]) -> Forward:
        """Run the module with these parameters."""
        tensors = [_tensor(x) for x in values]
        names = [slot.name for slot in self.slots[self.inputs :]]
        own = dict(zip(names, tensors[self.inputs :], strict=True))
        with _unwatched(), torch.random.fork_rng():
            torch.manual_seed(0)  # the same mask in every run
            outputs = torch.func.functional_call(self.module, own, tuple(tensors[: self.inputs]))
        return Forward(_numbers(_tensors_in(outputs)), (outputs, tensors), values)

    def backward(self, ran: Forward, cotangent: Any) -> Any:
        """Run PyTorch's backward pass."""
        outputs, tensors = ran.rest
        floating = _tensors_in(outputs)
        given = _cotangents(floating, cotangent)
        pairs = [(t, g) for t, g in zip(floating, given, strict=True) if t.requires_grad]
        if not pairs:
            return None
        wanted = [t for t in tensors if isinstance(t, torch.Tensor) and t.requires_grad]
        starts, upstream = zip(*pairs, strict=True)
        with _unwatched():
            return torch.autograd.grad(
                starts, wanted, upstream, allow_unused=True, retain_graph=True
            )

    def stated(self, returned: Any, ran: Forward) -> list[Stated]:
        """Return a gradient for each tensor, zero where none came back."""
        places = [
            k for k, slot in enumerate(self.slots) if slot.is_array and slot.is_differentiable
        ]
        pairs = zip(places, returned or (), strict=False)
        shapes = [np.shape(x) for x in ran.values]
        return [
            Stated(f"gradient of {self.slots[k].name}", _array(g, shapes[k]), k) for k, g in pairs
        ]


def _module(module: Any, inputs: Sequence[Any]) -> TorchModule:
    parameters = list(inspect.signature(module.forward).parameters.values())
    names = [p.name for p in parameters if p.kind <= p.POSITIONAL_OR_KEYWORD]
    names += [f"input {k}" for k in range(len(names), len(inputs))]
    slots = [
        Slot(name, _given(x), k) for k, (name, x) in enumerate(zip(names, inputs, strict=False))
    ]
    slots += [Slot(name, _given(p)) for name, p in module.named_parameters()]
    target = TorchModule("module", type(module).__name__, slots, [type(module).forward])
    target.module, target.inputs = copy.deepcopy(module).double(), len(inputs)
    return target
