"""Training on a table that is read anew in each epoch, one fill of memory at a time.

The steps are those of `chainrule.train.Trainer`, the state of the training is its `Progress`, so
a checkpoint here is one like `fit` writes; early stopping and Ctrl-C mean the same too.
"""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, Any

from chainrule import nn
from chainrule.errors import DivergenceError
from chainrule.interop.data.model import inputs_of
from chainrule.train import Trainer
from chainrule.train.loop import _interruptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainrule.interop.data.settings import Settings
    from chainrule.interop.data.streaming import Examples, Fill, Shuffled
    from chainrule.train import Epoch, History

__all__ = ["Stepping"]


class Stepping:
    """A training on fills.

    Parameters
    ----------
    network, loss
        What is trained, and on what.
    shuffled
        The rows.
    aside
        Rows for validation.
    settings
        How.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Any,
        shuffled: Shuffled,
        aside: Examples | None,
        settings: Settings,
    ) -> None:
        self.network, self.loss, self.shuffled, self.aside = network, loss, shuffled, aside
        self.settings = settings
        self.trainer = Trainer(
            network,
            loss=loss,
            optimiser=settings.made_optimiser(),
            clip_norm=settings.clip_norm or None,
            seed=settings.seed,
            threads=settings.threads or None,
        )
        self.record = {
            **settings.decisive(),
            "examples": shuffled.rows,
            "fill": shuffled.fill_rows,
            "validation": 0 if aside is None else len(aside.y),
        }

    def go(
        self,
        checkpoint: Any,
        checkpoint_every: int,
        *,
        resume: bool,
        on_epoch: Callable[[Epoch], None],
        on_share: Callable[[int, float, float], None],
    ) -> History:
        """Train to the end, or to Ctrl-C."""
        progress, epochs = self.trainer.progress, self.settings.epochs
        if resume and checkpoint is not None:
            progress.restore(checkpoint, self.record)
        progress.history.settings = self.record
        with _interruptions() as interrupted:
            while progress.epoch < epochs and not progress.history.stopped:
                self._epoch(interrupted, on_share)
                if not interrupted:
                    on_epoch(self._end_of_epoch())
                if checkpoint is not None and (
                    interrupted or progress.epoch % checkpoint_every == 0
                ):
                    progress.save(checkpoint, self.record)
                if interrupted:
                    self._leave(checkpoint)
        self.trainer.give_back()
        progress.finish(self.network, use_best=bool(self.settings.patience))
        if checkpoint is not None:
            progress.save(checkpoint, self.record)
        return progress.history

    def _epoch(self, interrupted: Sequence[bool], on_share: Callable[..., None]) -> None:
        progress = self.trainer.progress
        if progress.position == 0:
            progress.start_epoch()
        self._started = time.perf_counter()
        self.network.train()
        for fill in self.shuffled.fills_from(progress.epoch, progress.position):
            for _ in self._steps(fill):
                if interrupted:
                    return
            total, weight, *_ = progress.sums
            on_share(progress.epoch, progress.position / self.shuffled.rows, total / weight)

    def _steps(self, fill: Fill) -> Any:
        """Go through the rest of a fill, and pause after each step."""
        progress, size = self.trainer.progress, self.settings.batch_size
        offset = progress.position % self.shuffled.fill_rows
        lr = self.settings.learning_rate
        for start in range(offset, len(fill.order), size):
            batch = fill.examples.at(fill.order[start : start + size])
            loss = self.trainer.step(batch.inputs, batch.y)
            if progress.step == 1:
                progress.history.first_loss = loss
            count = len(batch.y)
            total, weight, *_ = progress.sums
            progress.sums = [total + loss * count, weight + count, math.nan, lr]
            progress.position += count
            yield

    def _end_of_epoch(self) -> Epoch:
        """Validate, and note the row."""
        trainer, progress, patience = self.trainer, self.trainer.progress, self.settings.patience
        trainer.give_back()
        validation = self._validation_loss()
        seconds = time.perf_counter() - self._started
        row = progress.end_epoch(trainer.recipe.mean, validation, seconds)
        if patience:
            progress.keep_if_best(row.loss if math.isnan(validation) else validation, 0.0)
            if progress.epoch - progress.history.best_epoch >= patience:
                progress.history.stopped = (
                    f"no better loss for {patience} epochs; these are the weights of epoch "
                    f"{progress.history.best_epoch}"
                )
        return row

    def _validation_loss(self) -> float:
        if self.aside is None:
            return math.nan
        outputs = nn.predict(self.network, *inputs_of(self.aside.encoded))
        loss = float(self.loss(outputs, self.aside.y))
        if not math.isfinite(loss):
            raise DivergenceError(
                f"the validation loss after epoch {self.trainer.progress.epoch + 1} is {loss}; "
                "training stopped."
            )
        return loss

    def _leave(self, checkpoint: Any) -> None:
        self.trainer.give_back()
        where = f"; the checkpoint is {checkpoint}" if checkpoint is not None else ""
        text = f"interrupted after step {self.trainer.progress.step}{where}"
        print(text, file=sys.stderr)  # noqa: T201 - the user pressed Ctrl-C and wants to know
        raise KeyboardInterrupt(text)
