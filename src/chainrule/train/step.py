"""One step of training as a pure function: forward, backward, clipping, update.

Everything that a step depends on is an argument, and everything that it changes is returned, so
the same arguments give the same bits, and the whole step can be traced as one graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import optree

from chainrule.errors import OutputError
from chainrule.graph import describe
from chainrule.nn import functional_call
from chainrule.train.averaging import WeightedSum
from chainrule.train.clipping import clip_by_global_norm, clip_by_value, global_norm
from chainrule.transform import value_and_grad

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainrule.nn import Module
    from chainrule.train.optimisers import Optimiser

__all__ = ["Batch", "Learned", "Recipe"]


class Batch(NamedTuple):
    """Examples, what they should give, and how much each counts (None: all alike)."""

    X: Any
    y: Any
    weights: Any = None

    def __len__(self) -> int:
        return len(optree.tree_leaves(self.X)[0])

    def at(self, rows: Any) -> Batch:
        """Return the examples of some rows."""
        return Batch(*[optree.tree_map(lambda x: x[rows], part) for part in self[:3]])


class Learned(NamedTuple):
    """What changes from step to step: parameters, buffers, the optimiser's state, the average."""

    parameters: dict[str, Any]
    buffers: dict[str, Any]
    optimiser: Any
    average: Any


class Recipe(NamedTuple):
    """How to go one step; the pure functions of a training."""

    model: Module
    loss: Callable[..., Any]
    optimiser: Optimiser
    clip_norm: float | None
    clip_value: float | None
    averaging: Any

    @property
    def sums(self) -> bool:
        """Whether the loss is a sum over the examples, and not their mean."""
        return getattr(self.loss, "reduction", "mean") == "sum"

    def share(self, batch: Batch) -> float:
        """Return how much the loss of a batch counts in that of all examples."""
        if self.sums:
            return 1.0
        return float(len(batch) if batch.weights is None else np.sum(batch.weights))

    def objective(
        self, parameters: dict[str, Any], buffers: dict[str, Any], key: Any, batch: Batch
    ) -> tuple[Any, dict[str, Any]]:
        """Return the loss of a batch, and the new numbers of the buffers."""
        values = {**parameters, **buffers}
        output, changed = functional_call(self.model, values, batch.X, key=key)
        options = {} if batch.weights is None else {"weights": batch.weights}
        value = self.loss(output, batch.y, **options)
        if getattr(value, "shape", None) != ():
            raise OutputError(
                f"the loss of a batch has to be one number, got {describe(value)}.",
                advice='Use a loss with reduction="mean" or "sum".',
            )
        return value, changed

    def gradient(
        self, learned: Learned, key: Any, batch: Batch
    ) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Return loss, gradient and new buffers for one batch."""
        both = value_and_grad(self.objective, has_aux=True)
        (value, changed), gradient = both(learned.parameters, learned.buffers, key, batch)
        return value, gradient, {**learned.buffers, **changed}

    def update(
        self, learned: Learned, gradient: dict[str, Any], buffers: dict[str, Any], lr: Any
    ) -> tuple[Any, Learned]:
        """Return the norm of the gradient, before it is clipped, and what a step makes of it."""
        norm = global_norm(gradient)
        if self.clip_value is not None:
            gradient = clip_by_value(gradient, self.clip_value)
        if self.clip_norm is not None:
            gradient = clip_by_global_norm(gradient, self.clip_norm)
        parameters, state = self.optimiser.update(
            learned.parameters, gradient, learned.optimiser, lr
        )
        average = learned.average
        if self.averaging is not None:
            average = self.averaging.update(average, parameters)
        return norm, Learned(parameters, buffers, state, average)

    def step(self, learned: Learned, key: Any, lr: Any, batch: Batch) -> tuple[Any, Any, Learned]:
        """Return the loss, the norm of its gradient and what is learned from one batch."""
        value, gradient, buffers = self.gradient(learned, key, batch)
        norm, new = self.update(learned, gradient, buffers, lr)
        return value, norm, new

    def parts(
        self, learned: Learned, key: Any, lr: Any, batch: Batch, count: int
    ) -> tuple[Any, Any, Learned]:
        """Go one step on a batch in parts: gradients are added and divided once.

        For batches whose arrays do not fit into memory at once. Running statistics see each
        part as a batch.
        """
        total = WeightedSum.zero(learned.parameters)
        values = 0.0
        buffers = learned.buffers
        for rows in np.array_split(np.arange(len(batch)), min(count, len(batch))):
            part = batch.at(rows)
            share = self.share(part)
            value, gradient, buffers = self.gradient(learned._replace(buffers=buffers), key, part)
            total = total.add(gradient, share)
            values = values + value * share
        gradient, weight = (total.total, 1.0) if self.sums else (total.mean(), total.weight)
        norm, new = self.update(learned, gradient, buffers, lr)
        return values / weight, norm, new
