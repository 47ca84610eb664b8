"""A piece of a network: parameters, a forward pass, and a backward pass that follows from it.

A module remembers what it was called with. ``backward`` takes the gradient at its output, leaves
the gradient of each parameter on the module, and hands the gradient at its input on to
``previous_module``, so that the last module of a chain returns the gradient at the chain's
input. Backward is derived from forward. A subclass may write its own, and then that one is used
wherever the module is: alone, in a chain, and under `chainrule.grad`.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import optree

from chainrule.errors import BackwardError, StateError
from chainrule.graph import Value
from chainrule.nn.memory import Memory, apart, as_gradient, fitting, kept, specs
from chainrule.nn.parameters import (
    Buffer,
    number_of,
    one_pass,
    recording,
    standing_in,
    was_received,
)
from chainrule.nn.parts import Parts
from chainrule.nn.written import call_written
from chainrule.transform import vjp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainrule.nn.parameters import Parameter

__all__ = ["Module", "functional_call"]


class Module(Parts):
    """The base of every layer, loss and network.

    A subclass assigns `Parameter`, `Buffer` and other modules to its attributes and writes
    ``forward``. Read inside ``forward``, ``self.weight`` is the array, or the value that stands
    for it while the module is recorded. Assigning an array to it copies the numbers.

    Attributes
    ----------
    training
        Whether the module is being trained; `train` and `eval` set it.
    last_input
        The tuple of arrays that the module was last called with: copies, so that their owner
        may write to them before ``backward``.
    previous_module
        The module whose output is this one's input, None at the start of a chain.
    grad
        The gradient of each of the module's own parameters, by name.

    Notes
    -----
    A subclass that writes ``backward(self, *gradwrtoutput)`` reads ``self.last_input``, leaves
    gradients by ``self.grad["weight"] = …``, and returns the gradient at the input or hands it
    to `propagate_gradient`. A parameter that it leaves none for has the gradient 0. With
    ``jvp(self, tangents, inputs)``, where the tangents are those of the inputs and then of the
    parameters, it has a forward mode too.

    While training, parameters may change between a call and its backward pass, whose numbers
    are those of the call. In evaluation nothing is kept but the input, and backward runs
    forward once more with the parameters as they are then. A backward pass of your own reads
    what it reads.

    Examples
    --------
    >>> from chainrule import nn
    >>> class Scale(nn.Module):
    ...     def __init__(self, size):
    ...         self.factor = nn.Parameter(np.ones(size))
    ...
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> layer = Scale(2)
    >>> y = layer(np.array([[1.0, 2.0], [3.0, 4.0]]))
    >>> layer.backward(np.ones((2, 2)))
    array([[1., 1.],
           [1., 1.]])
    >>> layer.grad["factor"]
    array([4., 6.])
    """

    writes_backward: ClassVar[bool] = False
    last_input: tuple[Any, ...]
    previous_module: Module | None
    _memory: Memory | None
    _passed_on: list[Any] | None

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """Make room for what is remembered."""
        self = super().__new__(cls)
        self.__dict__.update(
            last_input=(), previous_module=None, _memory=None, _passed_on=None, _in_chain=False
        )
        return self

    def __init_subclass__(cls, **options: Any) -> None:
        """Notice a backward pass that a subclass writes itself."""
        super().__init_subclass__(**options)
        if "backward" in cls.__dict__ and "writes_backward" not in cls.__dict__:
            cls.writes_backward = True
            cls.backward = _as_pass(cls.__dict__["backward"])  # type: ignore[method-assign]

    # ------------------------------------------------------------------ forward

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Return the output for these inputs; every subclass writes it."""
        raise NotImplementedError(f"{type(self).__name__} does not say what its output is.")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Apply the module; on plain arrays it remembers what backward needs.

        What is passed by name has no gradient.
        """
        current = recording()
        traced = current is None and any(_has_values(x) for x in inputs)
        if traced or (current is not None and not current.remembers):
            if self.writes_backward:
                y = call_written(self, inputs, options)
            else:
                y = self.forward(*inputs, **options)
            return y if current is None else current.called(self, y)
        inputs = tuple(kept(x) for x in inputs)
        self.last_input = inputs
        y, pull = self._apply(inputs, options)
        modes = [module.training for module in self.modules()]
        self._memory = Memory(options, specs(y), list(self.parameters()), pull, modes)
        return apart(y, inputs)

    def _apply(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, Any]:
        """Return the output, and how to pull a gradient back or None; new buffers are kept."""
        if self.writes_backward:
            return self.forward(*inputs, **options), None
        if any(module.training for module in self.modules()):
            y, pull, buffers = self._pulled(inputs, options)
        else:
            pull = None
            with standing_in({}) as current:
                y = self.forward(*inputs, **options)
            buffers = [current.buffers.get(id(b)) for b in self.buffers()]
        self._keep(buffers)
        return y, pull

    def _pulled(
        self, inputs: tuple[Any, ...], options: dict[str, Any]
    ) -> tuple[Any, Callable[[Any], tuple[Any, ...]], list[Any]]:
        """Return the output, its pull to (parameters, inputs), and new buffers."""
        parameters = list(self.parameters())

        def run(values: Sequence[Any], *xs: Any) -> tuple[Any, list[Any]]:
            stand = {id(p): v for p, v in zip(parameters, values, strict=True)}
            with standing_in(stand) as current:
                y = self.forward(*xs, **options)
            return y, [current.buffers.get(id(b)) for b in self.buffers()]

        return vjp(run, [number_of(p) for p in parameters], *inputs, has_aux=True)  # type: ignore[no-any-return]

    def _keep(self, numbers: Sequence[Any]) -> None:
        """Keep the new numbers of buffers, or leave that to the recording that this is part of."""
        current = recording()
        for buffer, number in zip(self.buffers(), numbers, strict=True):
            if number is None:
                continue
            if current is None:
                buffer.write(number)
            else:
                current.buffers[id(buffer)] = number

    # ------------------------------------------------------------------ backward

    def backward(self, *gradwrtoutput: Any) -> Any:
        """Pull the gradient at the output back through this module and those before it.

        Parameters
        ----------
        *gradwrtoutput
            The gradient at each output, of its shape.

        Returns
        -------
        array
            The gradient at the input of the first module of the chain; a tuple for several
            inputs. Each parameter's gradient is left on its module (`grad`): replaced, not added
            to, so that calling again gives the same numbers.

        Raises
        ------
        BackwardError
            If the module was not called before.
        ShapeError
            If a gradient does not have the shape of its output.
        """
        return self.propagate_through(gradwrtoutput, len(self.last_input))

    def propagate_through(self, gradwrtoutput: tuple[Any, ...], count: int) -> Any:
        """Do what `backward` does, and hand on the gradients at the first inputs alone."""
        memory = self.remembered()
        gs = fitting(type(self).__name__, gradwrtoutput, memory.outputs)
        pull = memory.pull or self._pull_anew(memory)
        gradients, *at_inputs = pull(gs[0] if len(gs) == 1 else tuple(gs))
        with one_pass():
            for parameter, gradient in zip(memory.parameters, gradients or (), strict=True):
                parameter.receive(gradient)
            return self.propagate_gradient(*at_inputs[:count])

    def remembered(self) -> Memory:
        """Return what the last call left for a backward pass."""
        if self._memory is None:
            raise BackwardError(
                f"{type(self).__name__}.backward before forward: there is no input to go back to.",
                advice="Call the module on its input first.",
            )
        return self._memory

    def _pull_anew(self, memory: Memory) -> Callable[[Any], tuple[Any, ...]]:
        """Run forward once more as it ran, and return the pull; nothing of the module changes."""
        modules = list(self.modules())
        now = [module.training for module in modules]
        try:
            for module, mode in zip(modules, memory.modes, strict=True):
                module.training = mode
            return self._pulled(self.last_input, memory.options)[1]
        finally:
            for module, mode in zip(modules, now, strict=True):
                module.training = mode

    def propagate_gradient(self, *gradwrtinput: Any) -> Any:
        """Hand the gradient at the input to the module before, and return what it returns."""
        passed = gradwrtinput[0] if len(gradwrtinput) == 1 else gradwrtinput
        if self._passed_on is not None:  # a backward of the user's, run for its numbers alone
            self._passed_on.append(gradwrtinput)
            return passed
        if self.previous_module is None or all(g is None for g in gradwrtinput):
            return passed
        return self.previous_module.backward(*gradwrtinput)

    @property
    def grad(self) -> Gradients:
        """The gradient of each of the module's own parameters; writing one adds within a pass."""
        return Gradients(type(self).__name__, self.__dict__["_parameters"])

    def gradients(self) -> dict[str, Any]:
        """Return the gradient of each parameter by its path."""
        return {name: p.grad for name, p in self.named_parameters()}


class Gradients(dict[str, Any]):
    """The gradients of a module's parameters; writing one leaves it on the parameter."""

    def __init__(self, module: str, parameters: Mapping[str, Parameter]) -> None:
        own = {n: p for n, p in parameters.items() if not isinstance(p, Buffer)}
        super().__init__({name: p.grad for name, p in own.items()})
        self._module = module
        self._own = own

    def __setitem__(self, name: str, gradient: Any) -> None:
        if name not in self._own:
            raise BackwardError(
                f"{self._module} has no parameter {name!r} to leave a gradient on.",
                f"it has {', '.join(self._own) or 'none'}",
                advice="Parameters of modules inside get theirs by the backward of those modules.",
            )
        parameter = self._own[name]
        parameter.receive(as_gradient(self._module, name, gradient, parameter))
        super().__setitem__(name, parameter.grad)


def _has_values(tree: Any) -> bool:
    if type(tree) is np.ndarray:
        return False
    return type(tree) is Value or any(type(x) is Value for x in optree.tree_leaves(tree))


def _as_pass(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Check what a backward pass that a user wrote is given and says, and let it go on.

    It goes on along the chain by itself, if it calls `Module.propagate_gradient`, or else with
    what it returns.
    """

    @functools.wraps(backward)
    def complete(self: Module, *gradwrtoutput: Any) -> Any:
        name, memory = type(self).__name__, self.remembered()
        given = [kept(g) for g in fitting(name, gradwrtoutput, memory.outputs)]
        went_on: list[Any] = []
        inherited = self.propagate_gradient

        def propagate(*gradwrtinput: Any) -> Any:
            went_on.append(inherited(*_at_inputs(self, gradwrtinput)))
            return went_on[-1]

        own = self.__dict__
        outer = own.get("propagate_gradient")
        own["propagate_gradient"] = propagate
        try:
            with one_pass():
                result = backward(self, *given)
                for parameter in memory.parameters:
                    if not was_received(parameter):
                        parameter.receive(np.zeros(parameter.shape, parameter.dtype))
                if went_on:
                    return went_on[-1]
                if result is None:
                    raise BackwardError(
                        f"{name}.backward returned nothing and did not call propagate_gradient.",
                        advice="Return the gradient at the input, or hand it to "
                        "self.propagate_gradient.",
                    )
                return propagate(*(result if isinstance(result, tuple) else (result,)))
        finally:
            own.pop("propagate_gradient", None)
            if outer is not None:
                own["propagate_gradient"] = outer

    return complete


def _at_inputs(module: Module, gradients: tuple[Any, ...]) -> list[Any]:
    """Return the gradients that a user's backward leaves at the inputs, if they fit them."""
    name, inputs = type(module).__name__, module.last_input
    if len(gradients) != len(inputs):
        raise BackwardError(
            f"{name}.backward passes on {len(gradients)} gradients for {len(inputs)} inputs.",
            advice="Pass on one for each input, in their order: None for one without a derivative.",
        )
    return [
        as_gradient(name, f"input {k}", g, x if hasattr(x, "dtype") else np.asarray(x))
        for k, (g, x) in enumerate(zip(gradients, inputs, strict=True))
    ]


def functional_call(
    module: Module, parameters: Mapping[str, Any], *inputs: Any, key: Any = None, **options: Any
) -> tuple[Any, dict[str, Any]]:
    """Apply a module with other parameters than its own, as a pure function.

    Parameters
    ----------
    module
        Nothing of it is changed.
    parameters
        Arrays or traced values by path, for parameters and buffers alike; what is not named is
        the module's own.
    *inputs
        What the module is called with.
    key
        Integers that random layers draw from; each gets a number of its own beside it.
    **options
        What the module is called with by name.

    Returns
    -------
    output
        What the module returns.
    buffers
        The new numbers of the buffers that it assigned to, by path.

    Examples
    --------
    >>> import chainrule
    >>> from chainrule import nn
    >>> layer = nn.Linear(2, 1)
    >>> loss = lambda p, x: np.sum(functional_call(layer, p, x)[0])
    >>> gradient = chainrule.grad(loss)(layer.state_dict(), np.ones((3, 2)))
    >>> gradient["weight"]
    array([[3., 3.]])
    """
    own = dict(module.named_state())
    unknown = [name for name in parameters if name not in own]
    if unknown:
        raise StateError(
            f"{type(module).__name__} has no parameter {', '.join(unknown)}.",
            f"it has {', '.join(own)}",
        )
    for name, x in parameters.items():
        if np.shape(x) != own[name].shape:
            raise StateError(
                f"parameter {name} has the shape {list(own[name].shape)}, got {list(np.shape(x))}."
            )
    with standing_in({id(own[name]): x for name, x in parameters.items()}, key) as current:
        y = module(*inputs, **options)
    names = {id(b): name for name, b in module.named_buffers()}
    return y, {names[k]: x for k, x in current.buffers.items()}
