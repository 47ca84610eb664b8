"""Modules made of modules: chains, shortcuts, and the dense network."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar, Self

from chainrule.errors import InputTypeError, SettingError, ShapeError
from chainrule.graph import describe
from chainrule.nn.activations import activation as named_activation
from chainrule.nn.given import layer_sizes
from chainrule.nn.initialise import generator
from chainrule.nn.layers import Dropout, Linear
from chainrule.nn.memory import fitting
from chainrule.nn.module import Module
from chainrule.nn.parameters import one_pass

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np

__all__ = ["MLP", "Residual", "Sequential"]


class Sequential(Module):
    """Modules one after the other, linked into a chain.

    Each module's ``previous_module`` is the one before it. ``backward`` starts the last module
    alone; the others follow by `Module.propagate_gradient`, so nothing is propagated twice. A
    module that stands in a chain several times, or in several chains, keeps a memory for each
    place, and its gradients add. A subclass with a ``forward`` of its own is a module like any
    other: its backward follows from that.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule import nn
    >>> model = nn.Sequential(nn.Linear(3, 4, seed=0), nn.Tanh(), nn.Linear(4, 2, seed=1))
    >>> y = model(np.ones((5, 3)))
    >>> model.backward(np.ones(y.shape)).shape
    (5, 3)
    >>> sorted(model.gradients())
    ['0.bias', '0.weight', '2.bias', '2.weight']
    """

    writes_backward: ClassVar[bool] = False
    _links: tuple[Module, ...]

    def __init__(self, *modules: Module) -> None:
        self._chain: tuple[Module, ...] = ()
        self._links = ()
        for k, module in enumerate(modules):  # before any is linked
            self._require(module, k)
        for module in modules:
            self.append(module)

    def append(self, module: Module) -> Self:
        """Put a module at the end of the chain; return the chain.

        Examples
        --------
        >>> len(Sequential(Linear(3, 4)).append(Linear(4, 2)))
        2
        """
        self._require(module, len(self))
        self._links = (*self._links, _linked(module, self._links[-1] if self._links else None))
        self._chain = (*self._chain, module)
        self._memory = None  # that was of a call without it
        return self

    def _require(self, module: Any, k: int) -> None:
        """Refuse what cannot stand in place k of the chain."""
        if not isinstance(module, Module):
            raise InputTypeError(
                f"Sequential takes modules, got {describe(module)} in place {k}.",
                advice="Make one of a class, as in nn.ReLU(); a list is passed with a star.",
            )
        if any(part is self for part in module.modules()):
            raise SettingError(
                f"a chain cannot stand inside itself, as it would in place {k}.",
                advice="Append a part of it, such as chain[:], or a deep copy.",
            )

    def _inside(self) -> Iterator[tuple[str, Any]]:
        for k, module in enumerate(self._chain):
            yield str(k), module
        yield from super()._inside()

    def forward(self, *inputs: Any) -> Any:
        """Return the last module's output."""
        y: Any = inputs[0] if len(inputs) == 1 else inputs
        for module in self._links:
            y = module(*(y if isinstance(y, tuple) else (y,)))
        return y

    def _apply(self, inputs: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, Any]:
        """Let each link remember what it needs."""
        if self._is_chain:
            return self.forward(*inputs, **options), None
        return super()._apply(inputs, options)

    @property
    def _is_chain(self) -> bool:
        """Whether the output is that of the last link, and not of a subclass's forward."""
        return type(self).forward is Sequential.forward

    def backward(self, *gradwrtoutput: Any) -> Any:
        """Start the last module of the chain; see `Module.backward`."""
        if not self._is_chain:
            return super().backward(*gradwrtoutput)
        g: Any = tuple(fitting(type(self).__name__, gradwrtoutput, self.remembered().outputs))
        with one_pass():
            if self._links:
                g = self._links[-1].backward(*g)
            return self.propagate_gradient(*(g if isinstance(g, tuple) else (g,)))

    def __len__(self) -> int:
        return len(self._chain)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._chain)

    def __getitem__(self, k: int | slice) -> Module:
        return Sequential(*self._chain[k]) if isinstance(k, slice) else self._chain[k]


class _Again(Module):
    """A module that stands in a chain already: its parameters and mode, and a memory apart."""

    def __init__(self, module: Module) -> None:
        self.module = module

    @property
    def training(self) -> bool:
        """Whether the module that it stands for is being trained."""
        return self.module.training

    @training.setter
    def training(self, mode: bool) -> None:
        self.module.training = mode

    def forward(self, *inputs: Any) -> Any:
        """Return the output of the module."""
        return self.module(*inputs)


def _linked(module: Module, previous: Module | None) -> Module:
    """Link a module to the one before; for one that is linked already, a link beside it."""
    taken = module.__dict__["_in_chain"] or module.previous_module is not None
    link = _Again(module) if taken else module
    link.__dict__["_in_chain"] = True
    link.previous_module = previous
    return link


class Residual(Module):
    """A module and a shortcut around it: y = x + f(x) (He, Zhang, Ren and Sun, 2016).

    Parameters
    ----------
    inside
        f, whose output has the shape of its input.
    """

    def __init__(self, inside: Module) -> None:
        self.inside = inside

    def forward(self, x: Any) -> Any:
        """Return x + f(x)."""
        y = self.inside(x)
        if y.shape != x.shape:
            raise ShapeError(
                "Residual needs a module whose output has the shape of its input, got "
                f"{describe(x)} and {describe(y)}."
            )
        return x + y


class MLP(Sequential):
    """A dense network: linear layers with an activation, and dropout, after all but the last.

    Parameters
    ----------
    sizes
        The number of features before, between and after the layers: at least two numbers.
    activation
        The name of an activation of `chainrule.nn`, such as "relu" or "tanh".
    dropout
        The probability of dropping an activation while training.
    initialiser
        A name of `chainrule.nn.INITIALISERS`.
    seed
        A number or generator that all weights are drawn from, and then the seeds of dropout:
        networks of equal seeds are equal while training too.

    Examples
    --------
    >>> MLP([64, 32, 10])
    MLP(
      (0): Linear(64, 32)
      (1): ReLU()
      (2): Linear(32, 10)
    )
    """

    def __init__(
        self,
        sizes: Sequence[int],
        activation: str = "relu",
        *,
        dropout: float = 0.0,
        initialiser: str = "fan_in_uniform",
        seed: int | np.random.Generator | None = None,
        dtype: Any = "float64",
    ) -> None:
        rng = generator(seed)
        layers = [
            Linear(inputs, outputs, initialiser=initialiser, seed=rng, dtype=dtype)
            for inputs, outputs in itertools.pairwise(layer_sizes(sizes))
        ]
        super().__init__(layers[0])
        for layer in layers[1:]:
            self.append(named_activation(activation))
            if dropout:
                self.append(Dropout(dropout, seed=int(rng.integers(2**32))))
            self.append(layer)
