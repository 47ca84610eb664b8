"""The formulas of a dense layer, by hand: activations, losses, and two layouts of examples.

How an activation and its slope are computed, which loss belongs to an output, and how the
gradients of one layer read when examples are columns (the cached network) or rows (the matrix
calculus). `DNN` puts them together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from chainrule import ops

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HIDDEN", "LAYOUTS", "OUTPUTS", "Hidden", "Layout", "Output"]


# ------------------------------------------------------------------ activations and losses


class Hidden(NamedTuple):
    """What stands between two layers."""

    activation: Callable[[Any], Any]
    """Z → A."""
    slope: Callable[[Any], Any]
    """A → ∂A/∂Z, element by element."""
    initial: str
    """What the weights before it start from."""
    gain: float = 1
    """How much larger than that."""


HIDDEN = {
    "sigmoid": Hidden(ops.sigmoid, lambda A: A * (1 - A), "glorot_uniform", gain=4),
    "tanh": Hidden(np.tanh, lambda A: 1 - A * A, "glorot_uniform"),
    "relu": Hidden(lambda Z: np.maximum(0, Z), lambda A: A > 0, "he_uniform"),
}


class Output(NamedTuple):
    """The last activation, and the loss that belongs to it: one number for each example."""

    activation: Callable[[Any], Any]
    """Z → A."""
    residual: Callable[[Any, Any], Any]
    """(A, Y) → ∂loss/∂Z of each example."""
    loss: Callable[[Any, Any], Any]
    """(Z, Y) → the losses, however large Z is."""
    loss_of_output: Callable[[Any, Any], Any]
    """(A, Y) → the losses, as exact as A is."""


def _share(p: Any, q: Any) -> Any:
    """Return p log q, which is 0 where p is, also at log 0."""
    return p * np.log(np.where(p > 0, q, 1))


def _sigmoid(axis: int) -> Output:
    return Output(
        ops.sigmoid,
        lambda A, Y: A - Y,
        lambda Z, Y: np.sum(ops.binary_cross_entropy(Z, Y), axis=axis),
        lambda A, Y: -np.sum(_share(Y, A) + _share(1 - Y, 1 - A), axis=axis),
    )


def _softmax(axis: int) -> Output:
    return Output(
        lambda Z: ops.softmax(Z, axis=axis),
        lambda A, Y: A - Y,
        lambda Z, Y: -np.sum(Y * ops.log_softmax(Z, axis=axis), axis=axis),
        lambda A, Y: -np.sum(_share(Y, A), axis=axis),
    )


def _linear(axis: int) -> Output:
    def squares(A: Any, Y: Any) -> Any:
        return np.mean((A - Y) ** 2, axis=axis)

    return Output(lambda Z: Z, lambda A, Y: 2 * (A - Y) / A.shape[axis], squares, squares)


OUTPUTS: dict[str, Callable[[int], Output]] = {
    "sigmoid": _sigmoid,
    "softmax": _softmax,
    "linear": _linear,
}
"""From the axis that the units lie along to the formulas."""


# -------------------------------------------------------------------------------- layouts


class Layout(Protocol):
    """How examples lie in arrays, and what follows for the formulas of a layer."""

    units: int
    """The axis of features and units; examples lie along the other."""

    def bias_shape(self, outputs: int) -> tuple[int, ...]:
        """Return the shape of B."""

    def affine(self, W: Any, A: Any, B: Any) -> Any:
        """Return Z."""

    def at_output(self, residual: Any) -> Any:
        """Return the first dZ, from the slope of each example's own loss."""

    def for_weights(self, dZ: Any, A: Any) -> Any:
        """Return dW."""

    def for_biases(self, dZ: Any) -> Any:
        """Return dB."""

    def for_inputs(self, dZ: Any, W: Any) -> Any:
        """Return the dA of the layer before."""


class Columns:
    """The cached network: features × m. Z and A per example, W and B averaged over m."""

    units = 0

    def bias_shape(self, outputs: int) -> tuple[int, ...]:
        """Return the shape of B."""
        return (outputs, 1)

    def affine(self, W: Any, A: Any, B: Any) -> Any:
        """Return W A + B."""
        return W @ A + B

    def at_output(self, residual: Any) -> Any:
        """Return the residual itself."""
        return residual

    def for_weights(self, dZ: Any, A: Any) -> Any:
        """Return dZ Aᵀ / m."""
        m = dZ.shape[1]
        return dZ @ A.T / m

    def for_biases(self, dZ: Any) -> Any:
        """Return the mean of the columns of dZ."""
        m = dZ.shape[1]
        return np.sum(dZ, axis=1, keepdims=True) / m

    def for_inputs(self, dZ: Any, W: Any) -> Any:
        """Return Wᵀ dZ."""
        return W.T @ dZ


class Rows:
    """The matrix calculus: N × D. The 1/N enters once, at the output, and nothing else divides."""

    units = 1

    def bias_shape(self, outputs: int) -> tuple[int, ...]:
        """Return the shape of B."""
        return (outputs,)

    def affine(self, W: Any, A: Any, B: Any) -> Any:
        """Return A W + B."""
        return A @ W + B

    def at_output(self, residual: Any) -> Any:
        """Return the residual over N."""
        N = residual.shape[0]
        return residual / N

    def for_weights(self, dZ: Any, A: Any) -> Any:
        """Return Aᵀ dZ."""
        return A.T @ dZ

    def for_biases(self, dZ: Any) -> Any:
        """Return the sum of the rows of dZ."""
        return np.sum(dZ, axis=0)

    def for_inputs(self, dZ: Any, W: Any) -> Any:
        """Return dZ Wᵀ."""
        return dZ @ W.T


LAYOUTS: dict[str, Layout] = {"columns": Columns(), "rows": Rows()}
