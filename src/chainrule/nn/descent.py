"""Gradient descent as the texts tell it: every parameter a step against its gradient.

What `DNN` inherits: one step, the loop over them, and what is said when it leaves the finite
numbers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import DivergenceError, StructureError
from chainrule.nn.answers import EXAMPLE, Answer
from chainrule.nn.given import like, rate, size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from chainrule.nn.formulas import Layout, Output

    Array = NDArray[Any]

__all__ = ["Descent"]


class Descent(ABC):
    """A network with a forward pass and gradients, to be trained by gradient descent."""

    parameters: dict[str, Array]
    _layout: Layout
    _output: Output

    @property
    @abstractmethod
    def depth(self) -> int:
        """The number of layers with weights."""

    @abstractmethod
    def forward(self, X: Any, Y: Any = None) -> tuple[Any, dict[str, Any]]:
        """Return the output and the cache."""

    @abstractmethod
    def loss(self, out: Any, Y: Any = None, cache: Mapping[str, Any] | None = None) -> Any:
        """Return the loss of an output."""

    @abstractmethod
    def compute_gradients(
        self, out: Any, cache: Mapping[str, Any], Y: Any = None, *, inputs: bool = False
    ) -> dict[str, Array]:
        """Return the gradients by name."""

    @abstractmethod
    def _inputs(self, X: Any, dtype: Any) -> Any:
        """Return X as an array that fits the network."""

    @abstractmethod
    def _answer(self, example: Any) -> Answer:
        """Return the form that targets take."""

    @abstractmethod
    def _targets(self, cache: Mapping[str, Any], Y: Any) -> Any:
        """Return the targets, from the call or the cache."""

    def step(self, gradients: Mapping[str, Array], learning_rate: float) -> None:
        """Move the parameters downhill: W ← W - learning_rate · dW, and B likewise.

        Parameters
        ----------
        gradients
            What `compute_gradients` returned. Only the entries of parameters count.
        learning_rate
            A positive number.

        Raises
        ------
        StructureError
            If the gradient of a parameter is missing. Then nothing has moved.
        """
        length = rate(learning_rate)
        missing = [name for name in self.parameters if name not in gradients]
        if missing:
            raise StructureError(
                f"step needs a gradient for each parameter, and {', '.join(missing)} "
                f"{'are' if missing[1:] else 'is'} missing.",
                f"got: {', '.join(gradients) or 'nothing'}",
                advice="Pass what compute_gradients returned; its keys are those of parameters "
                "(W1, not dW1).",
            )
        moved = {
            name: p - p.dtype.type(length) * like(f"the gradient of {name}", gradients[name], p)
            for name, p in self.parameters.items()
        }
        self.parameters.update(moved)  # new arrays: a cache keeps those it was computed from

    def fit(self, X: Any, Y: Any, *, learning_rate: float, epochs: int) -> Array:
        """Train by gradient descent: each epoch is one step on all examples.

        Parameters
        ----------
        X, Y
            Examples and their labels or targets, as for `forward` and `compute_gradients`.
        learning_rate
            A positive number.
        epochs
            How many steps to take. A second call goes on where the first one ended.

        Returns
        -------
        array
            Shape (epochs,): the loss before each step.

        Raises
        ------
        DivergenceError
            If the loss or a parameter is no longer finite; the network then keeps the
            parameters of the last finite loss.

        Notes
        -----
        W ← W - learning_rate · ∂L/∂W, and B likewise.

        Examples
        --------
        >>> from chainrule.nn import DNN
        >>> X = np.array([[0.0, 1.0, 2.0, 3.0]])
        >>> network = DNN([1, 1], output="linear", seed=0)
        >>> losses = network.fit(X, 2 * X + 1, learning_rate=0.1, epochs=300)
        >>> network.predict([[10.0]]).round(3)
        array([[21.]])
        """
        rate(learning_rate)
        epochs = size(epochs, "epochs")
        X = self._inputs(X, self.parameters["W1"].dtype)
        Y = self._answer(X).of(Y)
        kept, losses = dict(self.parameters), np.empty(epochs + 1)
        with np.errstate(over="ignore", invalid="ignore"):
            for epoch in range(epochs + 1):  # after the last step only to see that it went well
                out, cache = self.forward(X, Y)
                losses[epoch] = self.loss(out, Y, cache)
                if not np.isfinite(losses[epoch]):
                    self.parameters.update(kept)
                    raise self._diverged(cache, losses[:epoch], learning_rate)
                if epoch < epochs:
                    kept = dict(self.parameters)
                    self.step(self.compute_gradients(out, cache, Y), learning_rate)
        return losses[:-1]

    def _diverged(
        self, cache: dict[str, Any], losses: Array, learning_rate: float
    ) -> DivergenceError:
        """Return what to say about a forward pass whose loss is not finite."""
        axis, Z = self._layout.units, cache[f"Z{self.depth}"]
        of_each = self._output.loss(Z, self._targets(cache, None))
        example = np.flatnonzero(~np.isfinite(of_each))[:1]
        names = (f"{letter}{i}" for i in range(self.depth + 1) for letter in "WBZA")
        found = (n for n in (*names, "Y") if n in cache and not np.isfinite(cache[n]).all())
        first = next(found, "loss")
        advice = (
            "Leave examples with missing or infinite numbers out, or fill the gaps."
            if first in {"A0", "Y"}
            else f"Try learning_rate={learning_rate / 10:g}, and inputs of about unit size."
        )
        return DivergenceError(
            f"the loss is not finite after {len(losses)} steps; the network keeps the parameters "
            "of the last finite loss.",
            f"first not finite: {first}" + " (X)" * (first == "A0"),
            *[f"first example: {EXAMPLE[axis]} {k}" for k in example],
            f"losses before: {', '.join(f'{loss:.4g}' for loss in losses[-3:]) or 'none'}",
            f"learning_rate: {learning_rate:g}",
            advice=advice,
        )
