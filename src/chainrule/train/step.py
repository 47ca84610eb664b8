"""One step of training as a pure function: forward, backward, clipping, update.

Everything that a step depends on is an argument, and everything that it changes is returned, so
the same arguments give the same bits, and the whole step can be traced as one graph.
"""

from __future__ import annotations

from contextlib import contextmanager
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
    from collections.abc import Callable, Iterator

    from chainrule.nn import Module
    from chainrule.train.data import Batch
    from chainrule.train.optimisers import Optimiser

__all__ = ["Learned", "Recipe", "check_of", "evaluating"]


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

    def share(self, batch: Batch) -> Any:
        """Return how much the loss of a batch counts in the mean over all examples."""
        if self.sums:
            return 1.0
        if hasattr(self.loss, "share"):  # which knows of class weights and labels to ignore
            return self.loss.share(batch.y, batch.weights)
        return float(batch.size) if batch.weights is None else np.sum(batch.weights)

    def mean(self, total: float, share: float) -> float:
        """Return the loss of examples from the sum of value times share over their batches."""
        return total if self.sums else total / share

    def checked_on(self, data: Batch, rows: int = 1024) -> None:
        """Apply model and loss to plain arrays once, so that labels and weights are looked at.

        A step is traced on shapes and sees no numbers. What is wrong with a label, an index or
        a weight is an error here, with its row.
        """
        starts = range(0, data.size, rows)
        with evaluating(self.model), np.errstate(all="ignore"):
            outputs: list[Any] = [
                functional_call(self.model, {}, *data.at(slice(s, s + rows)).inputs)[0]
                for s in starts
            ]
        first, *rest = outputs
        whole = optree.tree_map(lambda *parts: np.concatenate(parts), first, *rest)
        options = {} if data.weights is None else {"weights": data.weights}
        with np.errstate(all="ignore"):
            self.loss(whole, data.y, **options)

    def objective(
        self, parameters: dict[str, Any], buffers: dict[str, Any], key: Any, batch: Batch
    ) -> tuple[Any, dict[str, Any]]:
        """Return the loss of a batch, and the new numbers of the buffers."""
        values = {**parameters, **buffers}
        output, changed = functional_call(self.model, values, *batch.inputs, key=key)
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
        self, learned: Learned, gradient: Any, buffers: dict[str, Any], lr: Any
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

    def step(
        self, learned: Learned, key: Any, lr: Any, batch: Batch
    ) -> tuple[Any, Any, Any, Learned]:
        """Return the loss, the norm of its gradient, a check, and what is learned from a batch.

        The check is finite where all that was learned is.
        """
        value, gradient, buffers = self.gradient(learned, key, batch)
        norm, new = self.update(learned, gradient, buffers, lr)
        return value, norm, check_of(new), new

    def parts(
        self, learned: Learned, key: Any, lr: Any, batch: Batch, count: int
    ) -> tuple[Any, Any, Any, Learned]:
        """Go one step on a batch in parts: gradients are added and divided once.

        Each part has its own dropout, and running statistics see each part as a batch.
        """
        total = WeightedSum.zero(learned.parameters)
        values = 0.0
        buffers = learned.buffers
        for k, rows in enumerate(np.array_split(np.arange(batch.size), min(count, batch.size))):
            part = batch.at(rows)
            share = self.share(part)
            if share == 0:  # nothing in it counts
                continue
            value, gradient, buffers = self.gradient(
                learned._replace(buffers=buffers), np.append(key, k), part
            )
            total = total.add(gradient, share)
            values = values + value * share
        gradient, weight = (total.total, 1.0) if self.sums else (total.mean(), total.weight)
        norm, new = self.update(learned, gradient, buffers, lr)
        return values / weight, norm, check_of(new), new


def check_of(learned: Learned) -> Any:
    """Return a number that is finite if all that is learned is."""
    tree: Any = (learned.parameters, learned.buffers, learned.optimiser.memory, learned.average)
    arrays = [x for x in optree.tree_leaves(tree) if np.issubdtype(x.dtype, np.floating)]
    return sum((np.sum(x * 0) for x in arrays), np.float64(0))


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Let a model be in evaluation inside, and then in the modes that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
