"""One training in the making: the steps, the ends of epochs, and what stops it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from chainrule.errors import DivergenceError, SettingError, TraceError
from chainrule.execute import Prepared
from chainrule.train.data import Batch
from chainrule.train.divergence import first_non_finite
from chainrule.train.engine import Engine, Steps
from chainrule.train.rates import ReduceOnPlateau, rate_at
from chainrule.train.settings import COUNT, NOT_NEGATIVE, require
from chainrule.train.step import Learned, Recipe, evaluating

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chainrule.train.history import Epoch
    from chainrule.train.progress import Progress

__all__ = ["EarlyStopping", "Session"]

_ROWS = 1024
"""Examples that are validated at once."""


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the loss no longer falls, and go back to the best weights.

    The loss is that of validation, or of training where nothing is kept aside.

    Parameters
    ----------
    patience
        After how many epochs without a better loss.
    min_delta
        By how much a loss has to be lower to be better.
    """

    patience: int = 10
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        require(self, patience=COUNT, min_delta=NOT_NEGATIVE)


@dataclass
class Session:
    """A training: how to go a step, on what, and how far it is."""

    recipe: Recipe
    data: Batch
    aside: Batch | None
    progress: Progress
    batch_size: int
    shuffle: bool
    drop_last: bool
    accumulate: int
    early_stopping: EarlyStopping | None
    seed: int
    threads: int | None = None

    def __post_init__(self) -> None:
        self.evaluate = Prepared(self.recipe.objective, fall_back=True, threads=self.threads)
        self.recorded = self.accumulate == 1
        self._engine: Engine | None = None
        self.started = time.perf_counter()

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the bits of a training besides the data, for a checkpoint to hold."""
        return {
            "optimiser": type(self.recipe.optimiser).__name__,
            "examples": self.data.size,
            "validation": None if self.aside is None else self.aside.size,
            "batch_size": int(self.batch_size),
            "shuffle": bool(self.shuffle),
            "drop_last": bool(self.drop_last),
            "accumulate": int(self.accumulate),
            "seed": int(self.seed),
        }

    def epochs(self, count: int, interrupted: Sequence[bool]) -> Iterator[Epoch | None]:
        """Go on to the end, and pause after each epoch with its row; with None on Ctrl-C."""
        while self.progress.epoch < count and not self.progress.history.stopped:
            for _ in self.steps():
                if interrupted:
                    yield None
            yield self.end_of_epoch()
            if interrupted:
                yield None

    def listen(self, answers: Sequence[Any]) -> None:
        """Note whether a callback asked to stop."""
        if answers and self._engine is not None:  # it may have changed the examples
            self._engine.save()
        if any(isinstance(answer, bool | np.bool_) and answer for answer in answers):
            self.progress.history.stopped = "a callback asked for it"

    def steps(self) -> Iterator[None]:
        """Go through the rest of an epoch, and pause after each step."""
        progress, n = self.progress, self.data.size
        self.recipe.model.train()
        if progress.position == 0:
            progress.order = progress.rng.permutation(n) if self.shuffle else np.arange(n)
            progress.start_epoch()
            self.started = time.perf_counter()
        end = n - n % self.batch_size if self.drop_last and n > self.batch_size else n
        while progress.position < end:
            size = min(self.batch_size, end - progress.position)
            engine = self._engine_for(size)
            if engine is not None:
                self._go_many(engine, size, (end - progress.position) // size)
            else:
                self._go(progress.order[progress.position : progress.position + size])
            yield

    def _engine_for(self, size: int) -> Engine | None:
        """Return what goes steps of a size; None if they have to be walked."""
        if not self.recorded:
            return None
        try:
            engine = self._engine
            if engine is None:
                engine = Engine(self.recipe, self.progress.learned, self.data, self.threads)
                self._engine, self.progress.learned = engine, engine.learned
            engine.prepare(size)
        except TraceError:  # a step that branches on numbers is walked
            self.recorded = False
            return None
        return engine

    def _go_many(self, engine: Engine, size: int, most: int) -> None:
        """Go some steps by the engine, until it is time to listen to the user."""
        progress = self.progress
        count = min(most, engine.count(size))
        rates = self._rates(count)
        numbers = np.arange(progress.step, progress.step + len(rates))
        keys = np.stack([np.full(len(rates), self.seed), numbers], axis=1)
        places = progress.order[progress.position : progress.position + size * count]
        if not np.isfinite(rates[0]):
            found = (math.nan, math.nan, math.nan)
            self._stop("learning rate", found, keys[0], places[:size])
        finite = int(np.argmin(np.isfinite(rates))) or count
        steps = engine.go(places[: finite * size], size, keys[:finite], rates[:finite])
        progress.take(size, steps, rates)
        if len(steps.losses) > steps.kept:
            self._not_kept(steps, keys[steps.kept], places[steps.kept * size :][:size])

    def _rates(self, count: int) -> Any:
        """Return the learning rates of the next steps."""
        lr, progress = self.recipe.optimiser.lr, self.progress
        if isinstance(lr, int | float | ReduceOnPlateau):
            return np.full(count, rate_at(lr, progress.step, progress.plateau), np.float64)
        steps = range(progress.step, progress.step + count)
        return np.array([rate_at(lr, step, progress.plateau) for step in steps], np.float64)

    def _not_kept(self, steps: Steps, key: Any, rows: Any) -> None:
        """Pass over a step in which nothing counts, and stop at one that is not finite."""
        loss, norm, share, check = (float(x[-1]) for x in steps[:4])
        if share == 0:
            self.progress.position += len(rows)
            return
        for what, number in {"loss": loss, "gradient": norm, "update": check}.items():
            if not math.isfinite(number):
                self._stop(what, (loss, norm, check), key, rows)
        raise AssertionError(f"a step was not kept: {steps}")

    def _stop(self, what: str, found: Any, key: Any, rows: Any) -> NoReturn:
        """Raise the error of a step that is not finite."""
        batch = self.data.at(rows)
        raise self._diverged(f"the {what} of step {self.progress.step}", found, key, batch, rows)

    def _go(self, rows: Any) -> None:
        """Go one step by walking, if all that comes of it is finite."""
        progress, batch = self.progress, self.data.at(rows)
        share = self.recipe.share(batch)
        if share == 0:  # nothing in it counts, so there is nothing to learn
            progress.position += len(rows)
            return
        lr = np.float64(rate_at(self.recipe.optimiser.lr, progress.step, progress.plateau))
        key = np.array([self.seed, progress.step])
        with np.errstate(all="ignore"):  # what is not finite is found here, and said
            if self.accumulate > 1:
                found = self.recipe.parts(progress.learned, key, lr, batch, self.accumulate)
            else:
                found = self.recipe.step(progress.learned, key, lr, batch)
        value, norm, check, new = found
        for what, number in {
            "learning rate": lr,
            "loss": value,
            "gradient": norm,
            "update": check,
        }.items():
            if not math.isfinite(number):
                self._stop(what, found, key, rows)
        progress.learned = new
        progress.take(len(rows), Steps.one(value, norm, share), [lr])

    def _diverged(
        self, what: str, found: Any, key: Any, batch: Batch, rows: Any
    ) -> DivergenceError:
        """Return the error that says where numbers stopped being finite."""
        self.give_back()
        self.progress.history.diverged = what
        learned, recipe = self.progress.learned, self.recipe

        def gradient(parameters: Any, buffers: Any, key: Any, X: Any, y: Any, weights: Any) -> Any:
            given = Learned(parameters, buffers, None, None)
            return recipe.gradient(given, key, Batch(X, y, weights))[:2]

        arguments = (learned.parameters, learned.buffers, key, *batch)
        culprit = first_non_finite(gradient, arguments, ("X", "y", "weights"), batch.size)
        facts = [f"loss {float(found[0])}, norm of the gradient {float(found[1])}"]
        if culprit is not None:
            facts.append(f"first: {culprit.what}, {culprit.number} at {list(culprit.place)}")
        if culprit is not None and culprit.row is not None:
            facts.append(f"example: row {int(rows[culprit.row])} of X")
        error = DivergenceError(
            f"{what} is not finite; training stopped.",
            *facts,
            advice="The model has the weights from before this step. Look at the example, lower "
            "the learning rate, or clip the gradient (clip_norm=1.0).",
        )
        error.history = self.progress.history
        return error

    def end_of_epoch(self) -> Epoch:
        """Validate, note the row, and see whether to stop."""
        progress, lr, stopping = self.progress, self.recipe.optimiser.lr, self.early_stopping
        self.recipe.model.eval()
        validation = self._validation_loss()
        seconds = time.perf_counter() - self.started
        row = progress.end_epoch(self.recipe.mean, validation, seconds)
        watched = row.loss if self.aside is None else validation
        if isinstance(lr, ReduceOnPlateau):
            progress.plateau = lr.update(progress.plateau, watched)
        if stopping is not None:
            progress.keep_if_best(watched, stopping.min_delta)
            if progress.epoch - progress.history.best_epoch >= stopping.patience:
                progress.history.stopped = (
                    f"no better loss for {stopping.patience} epochs; these are the weights of "
                    f"epoch {progress.history.best_epoch}"
                )
        self.give_back()
        return row

    def _validation_loss(self) -> float:
        """Return the loss on what is kept aside, of the weights that the model would get."""
        if self.aside is None:
            return math.nan
        learned = self.progress.learned
        parameters = learned.parameters if learned.average is None else learned.average
        total = weight = 0.0
        with evaluating(self.recipe.model), np.errstate(all="ignore"):
            for start in range(0, self.aside.size, _ROWS):
                part = self.aside.at(slice(start, start + _ROWS))
                share = self.recipe.share(part)
                if share == 0:  # nothing in it counts
                    continue
                key = np.array([self.seed, 0])
                value, _ = self.evaluate(parameters, learned.buffers, key, part)
                total, weight = total + float(value) * share, weight + share
        if weight == 0:
            raise SettingError("the weights of all examples that are kept aside are 0.")
        loss = self.recipe.mean(total, weight)
        if not math.isfinite(loss):
            self.give_back()
            what = f"the validation loss after epoch {self.progress.epoch + 1}"
            self.progress.history.diverged = what
            error = DivergenceError(
                f"{what} is {loss}; training stopped.",
                advice="Look for missing numbers in the examples that are kept aside.",
            )
            error.history = self.progress.history
            raise error
        return loss

    def give_back(self) -> None:
        """Write what was learned into the model."""
        if self._engine is not None:
            self._engine.let_go()
        self.progress.write_to(self.recipe.model)

    def finish(self) -> None:
        """Give the model its final weights: the best, or the averages, or the last."""
        self.progress.finish(self.recipe.model, use_best=self.early_stopping is not None)
