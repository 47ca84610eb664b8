"""Single steps and epochs, for a training loop of one's own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import optree

from chainrule.errors import DivergenceError, ShapeError
from chainrule.execute import SPOILT
from chainrule.graph import describe
from chainrule.train.adaptive import Adam
from chainrule.train.data import Batch, checked
from chainrule.train.engine import Engine
from chainrule.train.progress import Progress, added
from chainrule.train.rates import ReduceOnPlateau, rate_at
from chainrule.train.settings import COUNT, require
from chainrule.train.step import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    from chainrule.execute import Repeated
    from chainrule.nn import Module
    from chainrule.train.averaging import EMA
    from chainrule.train.engine import Single
    from chainrule.train.optimisers import Optimiser

__all__ = ["Trainer"]


class Trainer:
    """A model in training, step by step.

    `fit` does what most trainings need. This is for loops of one's own: batches that are made on
    the way, several models in turn, measurements between the steps.

    Parameters
    ----------
    model
        Put into training. It gets what was learned by `give_back`.
    loss, optimiser, clip_norm, clip_value, averaging
        As in `fit`.
    seed
        Of dropout.
    threads
        How many threads share a step; as many as the work is worth, if it is not said.
    recordings
        A dictionary, empty at first, to be shared by trainings that differ in numbers alone: the
        weights, the learning rate, the examples. Then each step is recorded only once for all.

    Examples
    --------
    >>> from chainrule import nn
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(32, 2))
    >>> model = nn.MLP([2, 8, 1], seed=0)
    >>> trainer = Trainer(model, loss=lambda p, t: np.mean((p - t) ** 2))
    >>> losses = [trainer.step(X, X[:, :1] * X[:, 1:]) for _ in range(100)]
    >>> losses[-1] < losses[0]
    True
    >>> _ = trainer.give_back()
    """

    def __init__(
        self,
        model: Module,
        *,
        loss: Callable[..., Any],
        optimiser: Optimiser | None = None,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        averaging: EMA | None = None,
        seed: int = 0,
        threads: int | None = None,
        recordings: dict[Any, Repeated] | None = None,
    ) -> None:
        optimiser = Adam() if optimiser is None else optimiser
        self.model = model
        self.recipe = Recipe(model.train(), loss, optimiser, clip_norm, clip_value, averaging)
        self.progress = Progress.start(model, self.recipe, seed)
        self._engine: Engine | None = None
        self._threads, self._recordings = threads, recordings
        self._key = np.array([seed, 0])
        lr = optimiser.lr
        self._constant = None if callable(lr) or isinstance(lr, ReduceOnPlateau) else float(lr)
        self._rate = np.array([0.0 if self._constant is None else self._constant])
        self._singles: dict[Any, Single] = {}

    @property
    def parameters(self) -> dict[str, Any]:
        """What was learned so far, by name, as views that the next step changes."""
        return self.progress.learned.parameters

    def step(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Go one step on a batch, and return its loss before the step.

        Parameters
        ----------
        X, y
            Arrays or containers of arrays, with an example in each row. A batch of other shapes
            than those before is recorded anew.
        sample_weight
            One number for each example; all count once if none are given.

        Raises
        ------
        DivergenceError
            If the loss, its gradient or the update is not finite. The error says from which step
            what was learned is then.
        """
        arrays: Any = (X, y) if sample_weight is None else (X, y, sample_weight)
        if all(type(x) is np.ndarray for x in arrays):
            key: Any = tuple([(x.shape, x.dtype) for x in arrays])
        else:
            tree: Any = tuple(checked(Batch(X, y, sample_weight)))
            arrays, form = optree.tree_flatten(tree)
            key = (form, *[(x.shape, x.dtype) for x in arrays])
        single = self._singles.get(key)
        if single is None:
            single = self._single(Batch(X, y, sample_weight), key)
        progress = self.progress
        self._key[1] = progress.step
        if self._constant is None:
            self._rate[0] = rate_at(self.recipe.optimiser.lr, progress.step)
        answer = single.go(arrays)
        loss = float(single.loss[0])
        if answer:
            self._stopped(loss, answer)
        progress.step += 1
        return loss

    def _single(self, batch: Batch, key: Any) -> Single:
        """Return what goes one step on batches like this one."""
        batch = checked(batch)
        engine = self._start(batch) if self._engine is None else self._engine
        self._singles[key] = single = engine.single(batch, self._key, self._rate)
        return single

    def epoch(
        self, X: Any, y: Any, batch_size: int, order: Any = None, sample_weight: Any = None
    ) -> float:
        """Go through examples once, and return their mean loss.

        Parameters
        ----------
        X, y
            All examples; the same arrays in each epoch.
        batch_size
            Examples a step; the last may have fewer.
        order
            The places of the examples in the order in which they come; as they are if not said.
        sample_weight
            One number for each example, the same array in each epoch; all count once if none
            are given.

        Raises
        ------
        DivergenceError
            As in `step`.
        """
        require(("epoch", {"batch_size": batch_size}), batch_size=COUNT)
        data = Batch(X, y, sample_weight)
        engine, progress = self._engine, self.progress
        if engine is None or not engine.holds(data):
            engine = self._start(checked(data))
        order = np.arange(data.size) if order is None else np.asarray(order)
        if order.dtype.kind not in "iu" or order.ndim != 1:
            raise ShapeError(f"the order has to be places of examples, got {describe(order)}.")
        total = weight = 0.0
        position = 0
        while position < len(order):
            size = min(batch_size, len(order) - position)
            count = min((len(order) - position) // size, engine.count(size))
            numbers = np.arange(progress.step, progress.step + count)
            keys = np.stack([np.full(count, self._key[0]), numbers], axis=1)
            if self._constant is None:
                rates: Any = [rate_at(self.recipe.optimiser.lr, k) for k in numbers]
            else:
                rates = np.full(count, self._constant)
            steps = engine.go(order[position : position + size * count], size, keys, rates)
            kept = steps.kept
            progress.step += kept
            if kept < len(steps.losses) and steps.shares[-1] != 0:
                is_spoilt = np.isfinite(steps.losses[-1]) and np.isfinite(steps.norms[-1])
                self._stopped(float(steps.losses[-1]), SPOILT if is_spoilt else 0)
            position += size * max(kept, 1)
            total = added(total, steps.losses[:kept] * steps.shares[:kept])
            weight = added(weight, steps.shares[:kept])
        return self.recipe.mean(total, weight) if weight else math.nan

    def give_back(self) -> Module:
        """Write what was learned into the model, put it into evaluation and return it."""
        if self._engine is not None:
            self._engine.let_go()
        self.progress.finish(self.model, use_best=False)
        return self.model.eval()

    def _start(self, data: Batch) -> Engine:
        """Make what goes the steps, from where the training stands."""
        self.recipe.checked_on(data)
        self.model.train()
        self._singles = {}  # which go steps of the engine before
        self._engine = engine = Engine(
            self.recipe, self.progress.learned, data, self._threads, self._recordings
        )
        self.progress.learned = engine.learned
        return engine

    def _stopped(self, loss: float, answer: int) -> NoReturn:
        """Raise the error of a step that is not finite."""
        progress = self.progress
        what = "update" if answer == SPOILT else "loss or gradient"
        step, progress.step = progress.step, int(progress.learned.optimiser.step)
        raise DivergenceError(
            f"the {what} of step {step} is not finite.",
            f"loss {loss}",
            f"what was learned is as it was before step {progress.step}",
            advice="Lower the learning rate, or look for numbers in the batch that are missing.",
        )
