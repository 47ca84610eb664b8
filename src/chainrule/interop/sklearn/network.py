"""The network behind an estimator: weights in, outputs out, and the penalty on the way.

scikit-learn's weights are ``coefs_`` of shape (in, out); here they lie as (out, in), in which the
compiled step reads them fastest. While training, the output comes with the L2 penalty of the
weights, so that loss and penalty are one graph. Its strength is a buffer and not a constant: a
search over ``alpha`` runs the same machine code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import ops
from chainrule.errors import ShapeError
from chainrule.nn import ACTIVATIONS, Buffer, Module, Parameter
from chainrule.nn.parameters import recording

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Function = Callable[[Any], Any]

__all__ = ["LINKS", "Network", "function_of", "outputs", "weights_in"]

LINKS: dict[str, Function] = {
    "identity": lambda z: z,
    "exp": np.exp,
    "logistic": ops.sigmoid,
    "softmax": lambda z: ops.softmax(z, axis=-1),
}
"""From what the last layer computes to what is predicted, by scikit-learn's name."""


def function_of(activation: str | Function) -> Function:
    """Return an activation as a function of arrays and traced values alike."""
    if isinstance(activation, str):
        return ACTIVATIONS[activation]().forward  # a module's call would remember its input
    function = activation.forward if isinstance(activation, Module) else activation

    def activated(x: Any) -> Any:
        y = function(x)
        if getattr(y, "shape", None) != x.shape:
            raise ShapeError(
                f"activation needs to return an array of its input's shape {list(x.shape)}, got "
                f"{list(y.shape) if hasattr(y, 'shape') else type(y).__name__}.",
                advice="It is applied to each number by itself, as np.tanh is.",
            )
        return y

    return activated


class Network(Module):
    """Dense layers whose output, while training, is a pair with the penalty of their weights.

    Parameters
    ----------
    coefs, intercepts
        Arrays of shape (in, out) and (out,), one of each for a layer.
    activations
        Functions, one after each layer but the last.
    dropout
        The probability of dropping an activation while training, one after each of those.
    alpha
        α in the penalty ½ α Σ w² over all weights, intercepts left out.
    """

    alpha: Any

    def __init__(
        self,
        coefs: Sequence[Any],
        intercepts: Sequence[Any],
        activations: Sequence[Function],
        dropout: Sequence[float] = (),
        alpha: float = 0.0,
    ) -> None:
        self.activations = list(activations)
        self.dropout = list(dropout)
        self.sizes = [coefs[0].shape[0], *[len(b) for b in intercepts]]
        self.alpha = Buffer(np.asarray(alpha, coefs[0].dtype))
        for k, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
            setattr(self, f"weight{k}", Parameter(coef.T))
            setattr(self, f"bias{k}", Parameter(intercept))

    def forward(self, x: Any, rows: Any = None) -> Any:
        """Return the output for x of shape (N, in); in training, and the penalty.

        Parameters
        ----------
        x
            Examples.
        rows
            Shape (N,): a whole number for each example, which decides what is dropped for it.
        """
        penalty: Any = 0.0
        for k in range(len(self.sizes) - 1):
            weight = getattr(self, f"weight{k}")
            x = x @ np.transpose(weight) + getattr(self, f"bias{k}")
            penalty = penalty + np.sum(weight * weight)
            if k < len(self.activations):
                x = self._dropped(self.activations[k](x), k, rows)
        return (x, 0.5 * self.alpha * penalty) if self.training else x

    def _dropped(self, x: Any, k: int, rows: Any) -> Any:
        """Drop entries of a layer, in a recording with a key; the rest grows in their place."""
        current = recording()
        if not self.training or rows is None or current is None or not self.dropout[k]:
            return x
        key, p = current.next_key(), self.dropout[k]
        state: Any = np.int64(0)
        for place in range(3):  # the seed, the step and the layer
            state = ops.scrambled(state, key[place])
        drawn = ops.scrambled(ops.scrambled(state, rows)[:, None], np.arange(x.shape[1]))
        least = np.int64(round(p * 2**64) - 2**63)  # of the bits, as a signed number
        return np.where(drawn >= least, x * (1 / (1 - p)), 0)

    @staticmethod
    def named(coefs: Sequence[Any], intercepts: Sequence[Any]) -> dict[str, Any]:
        """Return weights by the names of the network's parameters, as views."""
        return {f"weight{k}": coef.T for k, coef in enumerate(coefs)} | {
            f"bias{k}": intercept for k, intercept in enumerate(intercepts)
        }

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"{self.sizes}"


def weights_in(parameters: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return parameters of a `Network`, by their names, as copies under scikit-learn's names."""
    count = range(len(parameters) // 2)
    return {
        "coefs_": [np.array(parameters[f"weight{k}"].T, order="C") for k in count],
        "intercepts_": [np.array(parameters[f"bias{k}"]) for k in count],
    }


def outputs(
    coefs: Sequence[Any], intercepts: Sequence[Any], activations: Sequence[Function], x: Any
) -> Any:
    """Return what the last layer computes, by NumPy; x may be sparse.

    Parameters
    ----------
    coefs, intercepts
        Arrays of shape (in, out) and (out,).
    activations
        Functions, one after each layer but the last.
    x
        Shape (N, in).
    """
    for k, (coef, intercept) in enumerate(zip(coefs, intercepts, strict=True)):
        x = x @ coef + intercept
        if k < len(activations):
            x = activations[k](x)
    return x
