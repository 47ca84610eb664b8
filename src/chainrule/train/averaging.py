"""Means of containers of arrays: of weights over the steps, of gradients over parts of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optree

from chainrule.train.matching import leaves_like, numbers_in, require_shapes, zeros_like
from chainrule.train.settings import FRACTION, require

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EMA", "WeightedSum"]


@dataclass(frozen=True)
class EMA:
    """Weight averaging: an exponential moving average of parameters, often better than the last.

    Parameters
    ----------
    decay
        How much of the average is kept each step.

    Notes
    -----
    ``average ← decay · average + (1 - decay) · parameters``, from the first parameters on. Polyak
    and Juditsky, *Acceleration of Stochastic Approximation by Averaging*, 1992, with weights that
    fade.

    Examples
    --------
    >>> import numpy as np
    >>> ema = EMA(decay=0.9)
    >>> average = ema.init({"w": np.array([1.0])})
    >>> ema.update(average, {"w": np.array([2.0])})
    {'w': array([1.1])}
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        require(self, decay=FRACTION)

    def init(self, parameters: Any) -> Any:
        """Return the average before the first step: the parameters, as arrays of their own."""
        return optree.tree_map(lambda p: p.copy(), parameters)

    def update(self, average: Any, parameters: Any) -> Any:
        """Return the average after one more step."""
        return _combined(
            lambda a, p: a + (1 - self.decay) * (p - a), average, parameters, "parameter"
        )


def _combined(function: Callable[[Any, Any], Any], tree: Any, other: Any, what: str) -> Any:
    """Return a container of what becomes of the arrays of two that are alike."""
    xs, structure = optree.tree_flatten(tree)
    ys = leaves_like(other, tree, f"the {what}")
    require_shapes(xs, ys, "mean", what)
    return optree.tree_unflatten(structure, list(map(function, xs, ys)))


class WeightedSum(NamedTuple):
    """A sum of containers of arrays with weights, and the mean: gradient accumulation.

    The mean gradients of parts of a batch, each with its number of examples as the weight, have
    as their mean the gradient of the whole batch.

    Attributes
    ----------
    weight
        The sum of the weights.
    total
        The sum of what was added, each times its weight.

    Notes
    -----
    ``Σ nₖ gₖ / Σ nₖ``, divided once, at the end. With example weights in the loss, nₖ is the sum
    of the weights of part k.

    Examples
    --------
    >>> import numpy as np
    >>> gradients = WeightedSum.zero({"w": np.zeros(2)})
    >>> gradients = gradients.add({"w": np.array([1.0, 2.0])}, 3)  # the mean of 3 examples
    >>> gradients = gradients.add({"w": np.array([5.0, 6.0])}, 1)
    >>> gradients.mean()
    {'w': array([2., 3.])}
    """

    weight: Any
    total: Any

    @classmethod
    def zero(cls, like: Any) -> WeightedSum:
        """Return an empty sum of containers like this one."""
        return cls(np.float64(0), zeros_like(like))

    def add(self, term: Any, weight: Any) -> WeightedSum:
        """Return the sum with one more term, times its weight."""

        def added(total: Any, x: Any) -> Any:
            (share,) = numbers_in(total.dtype, [weight])
            return total + share * x

        return WeightedSum(self.weight + weight, _combined(added, self.total, term, "term"))

    def mean(self) -> Any:
        """Return the weighted mean of the terms; not a number if there are none."""

        def divided(total: Any) -> Any:
            (weight,) = numbers_in(total.dtype, [self.weight])
            return total / weight

        with np.errstate(invalid="ignore"):
            return optree.tree_map(divided, self.total)
