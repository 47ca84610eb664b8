"""Training on a table that is read anew in each epoch, one fill of memory at a time.

The steps are those of `chainrule.train.fit`, the state of the training is its `Progress`, so a
checkpoint here is one like `fit` writes; early stopping and Ctrl-C mean the same too.
"""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from chainrule import nn
from chainrule.errors import DivergenceError
from chainrule.interop.data.model import inputs_of
from chainrule.train.data import Batch
from chainrule.train.engine import Engine
from chainrule.train.interruption import interruptions
from chainrule.train.progress import Progress
from chainrule.train.step import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chainrule.interop.data.settings import Settings
    from chainrule.interop.data.streaming import Examples, Fill, Shuffled
    from chainrule.train import Epoch, History
    from chainrule.train.engine import Steps

__all__ = ["Stepping", "diverged"]


def diverged(what: str, facts: Sequence[str], history: Any) -> DivergenceError:
    """Return the error of a training on a table whose numbers are no longer finite."""
    error = DivergenceError(
        f"{what}; training stopped.",
        *facts,
        advice="Take a smaller learning rate (--learning-rate), or clip the gradient "
        "(--clip-norm 1); look at the example, if only few are so.",
    )
    error.history = history
    return error


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
        optimiser, clip_norm = settings.made_optimiser(), settings.clip_norm or None
        self.recipe = Recipe(network.train(), loss, optimiser, clip_norm, None, None)
        self.progress = Progress.start(network, self.recipe, settings.seed)
        self._rows = shuffled.room()  # the program reads there, whichever fill it is
        self._data = Batch(self._rows.inputs, self._rows.y)
        self._engine: Engine | None = None
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
        progress, epochs = self.progress, self.settings.epochs
        if resume and checkpoint is not None:
            progress.restore(checkpoint, self.record)
        progress.history.settings = self.record
        with interruptions() as interrupted:
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
        self._give_back()
        progress.finish(self.network, use_best=bool(self.settings.patience))
        if checkpoint is not None:
            progress.save(checkpoint, self.record)
        return progress.history

    # ------------------------------------------------------------------ within an epoch

    def _epoch(self, interrupted: Sequence[bool], on_share: Callable[..., None]) -> None:
        progress = self.progress
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

    def _steps(self, fill: Fill) -> Iterator[None]:
        """Go through the rest of a fill, and pause after every few steps."""
        engine = self._engine_on(fill)
        offset = self.progress.position % self.shuffled.fill_rows
        left = fill.order[offset:]
        while len(left):
            size = min(self.settings.batch_size, len(left))
            engine.prepare(size)
            count = min(len(left) // size, engine.count(size))
            numbers = np.arange(self.progress.step, self.progress.step + count)
            keys = np.stack([np.full(count, self.settings.seed), numbers], axis=1)
            rates: Any = np.full(count, self.settings.learning_rate)
            steps = engine.go(left[: size * count], size, keys, rates)
            self.progress.take(size, steps, rates)
            left = left[size * steps.kept :]
            if len(steps.losses) > steps.kept:
                self._diverged(steps, left[:size])
            yield

    def _engine_on(self, fill: Fill) -> Engine:
        """Return what goes steps on the rows of a fill."""
        if self._engine is not None:
            self._engine.save()  # it cannot go back to steps on rows that are written over
        self._rows.write(0, fill.examples)
        if self._engine is None:
            self.recipe.checked_on(self._data.at(slice(0, self.settings.batch_size)))
            threads = self.settings.threads or None
            self._engine = Engine(self.recipe, self.progress.learned, self._data, threads)
            self.progress.learned = self._engine.learned
        return self._engine

    def _diverged(self, steps: Steps, rows: Any) -> NoReturn:
        """Raise the error of a step that is not finite, with the first row that makes it so."""
        self._give_back()
        progress, batch = self.progress, self._data.at(rows)
        loss, norm = float(steps.losses[-1]), float(steps.norms[-1])
        numbers = {"loss": loss, "gradient": norm}
        what = next((name for name, x in numbers.items() if not math.isfinite(x)), "update")
        with np.errstate(all="ignore"):
            squares = np.square(nn.predict(self.network.eval(), *batch.inputs))
        facts = [f"loss {loss}, norm of the gradient {norm}"]
        bad = np.flatnonzero(~np.isfinite(squares).all(axis=1))
        if len(bad):
            fill = progress.position // self.shuffled.fill_rows
            place = fill * self.shuffled.fill_rows + int(rows[bad[0]])
            facts.append(f"example: {self.shuffled.where(place, progress.epoch)}")
        raise diverged(f"the {what} of step {progress.step} is not finite", facts, progress.history)

    # ------------------------------------------------------------------ the end of an epoch

    def _end_of_epoch(self) -> Epoch:
        """Validate, and note the row."""
        progress, patience = self.progress, self.settings.patience
        self._give_back()
        validation = self._validation_loss()
        seconds = time.perf_counter() - self._started
        row = progress.end_epoch(self.recipe.mean, validation, seconds)
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
        with np.errstate(all="ignore"):  # what is not finite is said below
            loss = float(self.loss(outputs, self.aside.y))
        if not math.isfinite(loss):
            raise DivergenceError(
                f"the validation loss after epoch {self.progress.epoch + 1} is {loss}; "
                "training stopped."
            )
        return loss

    def _give_back(self) -> None:
        """Write what was learned into the network."""
        if self._engine is not None:
            self._engine.let_go()
        self.progress.write_to(self.network)
        self.network.eval()

    def _leave(self, checkpoint: Any) -> NoReturn:
        self._give_back()
        where = f"; the checkpoint is {checkpoint}" if checkpoint is not None else ""
        text = f"interrupted after step {self.progress.step}{where}"
        print(text, file=sys.stderr)  # noqa: T201 - the user pressed Ctrl-C and wants to know
        raise KeyboardInterrupt(text)
