"""Activations as modules, and by name."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import ops
from chainrule.errors import SettingError
from chainrule.nn.given import numbers
from chainrule.nn.module import Module

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ACTIVATIONS",
    "ELU",
    "GELU",
    "SELU",
    "Identity",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
    "activation",
]


class Identity(Module):
    """The input itself."""

    def forward(self, x: Any) -> Any:
        """Return x."""
        return x


def _elementwise(name: str, function: Callable[[Any], Any], formula: str) -> type[Module]:
    """Return a module without settings that applies a function to each element."""

    def forward(self: Module, x: Any) -> Any:  # noqa: ARG001 - a method
        return function(numbers(x, f"the input of {name}"))

    forward.__doc__ = f"Return {formula}."
    body = {"__doc__": f"{formula}, element by element.", "forward": forward}
    return type(name, (Module,), {**body, "__module__": __name__})


ReLU = _elementwise("ReLU", ops.relu, "max(0, x)")
ReLU6 = _elementwise("ReLU6", ops.relu6, "min(max(0, x), 6)")
Sigmoid = _elementwise("Sigmoid", ops.sigmoid, "1 / (1 + e^-x)")
Tanh = _elementwise("Tanh", np.tanh, "tanh x")
SiLU = _elementwise("SiLU", ops.silu, "x σ(x)")
GELU = _elementwise("GELU", ops.gelu, "x Φ(x), exactly")
SELU = _elementwise("SELU", ops.selu, "the self-normalising exponential unit")
Softsign = _elementwise("Softsign", ops.softsign, "x / (1 + |x|)")
LogSigmoid = _elementwise("LogSigmoid", ops.log_sigmoid, "-log(1 + e^-x)")
Mish = _elementwise("Mish", ops.mish, "x tanh(log(1 + e^x))")


class Softplus(Module):
    """log(1 + e^βx) / β, without overflow."""

    def __init__(self, beta: float = 1.0) -> None:
        if not beta > 0:
            raise SettingError(f"beta has to be positive, got {beta}.")
        self.beta = beta

    def forward(self, x: Any) -> Any:
        """Return the smooth rectifier of x."""
        x = numbers(x, "the input of Softplus")
        return ops.softplus(x) if self.beta == 1 else ops.softplus(x * self.beta) / self.beta


class LeakyReLU(Module):
    """x where it is positive, a small multiple of it elsewhere."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        """Return max(x, slope · x)."""
        return ops.leaky_relu(numbers(x, "the input of LeakyReLU"), slope=self.negative_slope)


class ELU(Module):
    """x where it is positive, α(e^x - 1) elsewhere."""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        """Return the exponential linear unit of x."""
        return ops.elu(numbers(x, "the input of ELU"), alpha=self.alpha)


class Softmax(Module):
    """Exponentials over their sum along an axis."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        """Return the softmax of x."""
        return ops.softmax(numbers(x, "the input of Softmax"), axis=self.axis)


class LogSoftmax(Module):
    """The logarithm of the softmax along an axis."""

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, x: Any) -> Any:
        """Return the logarithm of the softmax of x."""
        return ops.log_softmax(numbers(x, "the input of LogSoftmax"), axis=self.axis)


ACTIVATIONS: dict[str, Callable[[], Module]] = {
    "identity": Identity,
    "relu": ReLU,
    "relu6": ReLU6,
    "leaky_relu": LeakyReLU,
    "sigmoid": Sigmoid,
    "logistic": Sigmoid,  # scikit-learn's name
    "tanh": Tanh,
    "elu": ELU,
    "selu": SELU,
    "gelu": GELU,
    "silu": SiLU,
    "softplus": Softplus,
    "softsign": Softsign,
    "log_sigmoid": LogSigmoid,
    "mish": Mish,
}
"""Every activation that has no axis, by its name."""


def activation(name: str) -> Module:
    """Return the activation of a name.

    Raises
    ------
    SettingError
        If there is none, with the nearest name.
    """
    if name not in ACTIVATIONS:
        near = difflib.get_close_matches(name, ACTIVATIONS, n=1, cutoff=0.0)[0]
        raise SettingError(
            f"there is no activation {name!r}.",
            f"there are {', '.join(ACTIVATIONS)}",
            advice=f"Did you mean {near!r}?",
        )
    return ACTIVATIONS[name]()
