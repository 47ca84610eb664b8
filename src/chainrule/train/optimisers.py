"""Steps downhill, as pure functions over containers of arrays.

An optimiser is a pair: ``init`` makes its state from the parameters, ``update`` makes new
parameters and a new state. Nothing is written in place, so a whole training step (forward,
backward, update) can be traced as one graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optree

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AdamState", "Optimiser", "adam"]


class Optimiser(NamedTuple):
    """How to start, and how to go one step.

    Attributes
    ----------
    init
        ``parameters → state``
    update
        ``(parameters, gradient, state) → (parameters, state)``
    """

    init: Callable[[Any], Any]
    update: Callable[[Any, Any, Any], tuple[Any, Any]]


class AdamState(NamedTuple):
    """What Adam remembers: the steps taken, and running means of gradients and their squares."""

    step: Any
    mean: Any
    square: Any


def adam(
    lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8
) -> Optimiser:
    """Adam: steps of about equal size for every parameter, whatever its gradient's scale.

    Parameters
    ----------
    lr
        The size of a step.
    betas
        How much of the running means of the gradient and of its square is kept each step.
    eps
        Added to the root of the mean square, against division by 0.

    Returns
    -------
    Optimiser
        Parameters are containers of arrays and keep their dtypes.

    Notes
    -----
    With gradient g at step t::

        m ← β₁ m + (1 - β₁) g        v ← β₂ v + (1 - β₂) g²
        θ ← θ - lr · m / (1 - β₁ᵗ) / (√(v / (1 - β₂ᵗ)) + ε)

    Kingma and Ba, *Adam: A Method for Stochastic Optimization*, ICLR 2015, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> optimiser = adam(lr=0.1)
    >>> w = {"w": np.array([1.0, -2.0])}
    >>> state = optimiser.init(w)
    >>> w, state = optimiser.update(w, {"w": np.array([10.0, -0.5])}, state)
    >>> w["w"].round(6)  # the first step has the size lr in each entry
    array([ 0.9, -1.9])
    """
    beta_mean, beta_square = betas

    def init(parameters: Any) -> AdamState:
        zeros = optree.tree_map(lambda p: np.zeros(p.shape, p.dtype)[()], parameters)
        return AdamState(np.asarray(0)[()], zeros, zeros)

    def update(parameters: Any, gradient: Any, state: AdamState) -> tuple[Any, AdamState]:
        step = state.step + 1
        mean = optree.tree_map(
            lambda m, g: beta_mean * m + (1 - beta_mean) * g, state.mean, gradient
        )
        square = optree.tree_map(
            lambda v, g: beta_square * v + (1 - beta_square) * (g * g), state.square, gradient
        )
        # lr √(1 - β₂ᵗ) / (1 - β₁ᵗ) and ε √(1 - β₂ᵗ) are numbers, so arrays are passed over once less
        root = np.sqrt(1 - beta_square**step)
        rate, floor = lr * root / (1 - beta_mean**step), eps * root

        def moved(p: Any, m: Any, v: Any) -> Any:
            return p - rate.astype(p.dtype) * m / (np.sqrt(v) + floor.astype(p.dtype))

        return optree.tree_map(moved, parameters, mean, square), AdamState(step, mean, square)

    return Optimiser(init, update)
