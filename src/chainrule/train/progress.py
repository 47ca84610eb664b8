"""Everything that a training needs to go on: kept in one place, so that it can be saved."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from chainrule.errors import ForeignFileError, StateError
from chainrule.train.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from chainrule.train.generators import generator_from, generator_state
from chainrule.train.history import Epoch, History
from chainrule.train.rates import ReduceOnPlateau
from chainrule.train.step import Learned

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from chainrule.nn import Module
    from chainrule.train.engine import Steps
    from chainrule.train.step import Recipe

__all__ = ["Progress", "added"]


@dataclass
class Progress:
    """How far a training is.

    Attributes
    ----------
    learned
        Parameters, buffers, the optimiser's state and the averages.
    rng
        The generator of the orders.
    plateau
        The state of a schedule that follows the loss.
    step, epoch
        Steps taken and epochs completed.
    position, order
        How many examples of the present epoch are done, and the order they come in.
    sums
        Loss times weight, weight, the largest gradient norm and the last rate of this epoch.
    history
        The rows so far.
    best
        The lowest loss and what was learned then.
    """

    learned: Learned
    rng: np.random.Generator
    plateau: Any = None
    step: int = 0
    epoch: int = 0
    position: int = 0
    order: Any = field(default_factory=lambda: np.zeros(0, np.int64))
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0, 0.0])
    history: History = field(default_factory=History)
    best_loss: float = math.inf
    best: Any = None

    @classmethod
    def start(cls, model: Module, recipe: Recipe, seed: int) -> Progress:
        """Return the beginning of a training of a model as it is, with its own arrays."""
        parameters = {name: p.data for name, p in model.named_parameters()}
        buffers = {name: b.data for name, b in model.named_buffers()}
        optimiser, averaging = recipe.optimiser, recipe.averaging
        average = averaging.init(parameters) if averaging is not None else None
        learned = Learned(parameters, buffers, optimiser.init(parameters), average)
        plateau = optimiser.lr.init() if isinstance(optimiser.lr, ReduceOnPlateau) else None
        return cls(learned, np.random.default_rng(seed), plateau)

    # ------------------------------------------------------------------ within an epoch

    def start_epoch(self) -> None:
        """Forget the sums of the epoch before."""
        self.sums = [0.0, 0.0, 0.0, 0.0]

    def take(self, size: int, steps: Steps, rates: Sequence[float]) -> None:
        """Note the steps that were kept, of so many examples each.

        The sums are taken step by step, so they do not depend on how many steps come at once.
        """
        kept = steps.kept
        if not kept:
            return
        if self.step == 0:
            self.history.first_loss = float(steps.losses[0])
        self.step += kept
        self.position += size * kept
        total, weights, largest, _ = self.sums
        losses, norms, shares = (x[:kept] for x in steps[:3])
        self.sums = [
            added(total, losses * shares),
            added(weights, shares),
            max(largest, float(np.max(norms))),
            float(rates[kept - 1]),
        ]

    def end_epoch(
        self, mean: Callable[[float, float], float], validation_loss: float, seconds: float
    ) -> Epoch:
        """Note the end of an epoch and return its row."""
        self.epoch += 1
        self.position = 0
        total, weight, norm, lr = self.sums
        loss = mean(total, weight) if weight else math.nan
        row = Epoch(self.epoch, self.step, loss, validation_loss, lr, norm, seconds)
        self.history.rows.append(row)
        self.history.best_epoch = self.history.best_epoch if self.best else self.epoch
        return row

    def keep_if_best(self, loss: float, min_delta: float) -> None:
        """Keep what was learned if the loss is lower than ever."""
        if loss < self.best_loss - min_delta:
            tree: Any = self.learned
            self.best_loss, self.best = loss, optree.tree_map(np.array, tree)
            self.history.best_epoch = self.epoch

    # ------------------------------------------------------------------ the model

    def write_to(self, model: Module) -> None:
        """Write what was learned into the model."""
        _write(model, {**self.learned.parameters, **self.learned.buffers})

    def finish(self, model: Module, *, use_best: bool) -> None:
        """Write the final weights into the model: the best, or the averages, or the last."""
        learned = self.best if use_best and self.best is not None else self.learned
        parameters = learned.parameters if learned.average is None else learned.average
        _write(model, {**parameters, **learned.buffers})

    # ------------------------------------------------------------------ a file

    def save(self, path: str | os.PathLike[str], settings: dict[str, Any]) -> None:
        """Write everything into a checkpoint, beside the settings that it holds for."""
        arrays = {
            "learned": self.learned._asdict(),
            "best": self.best and self.best._asdict(),
            "order": self.order,
            "plateau": self.plateau,
        }
        meta = {
            "settings": settings,
            "step": self.step,
            "epoch": self.epoch,
            "position": self.position,
            "sums": self.sums,
            "best_loss": self.best_loss,
            "rows": [list(row) for row in self.history.rows],
            "best_epoch": self.history.best_epoch,
            "stopped": self.history.stopped,
            "first_loss": self.history.first_loss,
            "generator": generator_state(self.rng),
        }
        write_checkpoint(path, arrays, meta)

    def restore(self, path: str | os.PathLike[str], settings: dict[str, Any]) -> None:
        """Go back to where a checkpoint was written; without a file, stay at the start.

        Raises
        ------
        ForeignFileError
            It is a checkpoint of something else than a training.
        StateError
            It is of another model, optimiser or setting; all that differs is named.
        """
        if not Path(path).exists():
            return
        found = read_checkpoint(path)
        meta: Any = found.meta
        if not (isinstance(meta, dict) and {"settings", "generator"} <= meta.keys()):
            raise ForeignFileError(
                "the file is a checkpoint, and not one that fit wrote.", f"file: {path}"
            )
        differ = [
            f"{name}: {meta['settings'].get(name)!r} then, {now!r} now"
            for name, now in settings.items()
            if meta["settings"].get(name) != now
        ]
        if differ:
            raise StateError(
                f"the checkpoint {path} is of a training with other settings.",
                *differ,
                advice="Use the settings of then, or train with resume=False.",
            )
        arrays: Any = found.arrays
        like = self.learned._asdict()
        self.learned = Learned(**Checkpoint(arrays["learned"], None).arrays_like(like))
        if arrays["best"] is not None:
            self.best = Learned(**Checkpoint(arrays["best"], None).arrays_like(like))
        if arrays["plateau"] is not None:
            self.plateau = Checkpoint(arrays["plateau"], None).arrays_like(self.plateau)
        self.order = arrays["order"]
        self.step, self.epoch, self.position = meta["step"], meta["epoch"], meta["position"]
        self.sums, self.best_loss = list(meta["sums"]), meta["best_loss"]
        self.history.rows = [Epoch(*row) for row in meta["rows"]]
        self.history.best_epoch, self.history.stopped = meta["best_epoch"], meta["stopped"]
        self.history.first_loss = meta.get("first_loss")  # which files of before do not hold
        self.rng = generator_from(meta["generator"])


def _write(model: Module, numbers: dict[str, Any]) -> None:
    for named in (model.named_parameters(), model.named_buffers()):
        for name, parameter in named:
            parameter.data[...] = numbers[name]


def added(total: float, numbers: Any) -> float:
    """Return a sum to which numbers are added one by one.

    So its bits do not depend on how many come at once.

    Examples
    --------
    >>> added(added(0.0, [0.1, 0.2]), [0.3]) == added(0.0, [0.1, 0.2, 0.3])
    True
    """
    return float(np.add.accumulate([total, *numbers])[-1])
