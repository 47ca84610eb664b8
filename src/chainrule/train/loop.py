"""Training: shuffle, step, validate, stop, and go on another day as if nothing had happened."""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import optree

from chainrule.errors import DivergenceError, SettingError, ShapeError
from chainrule.execute import Prepared
from chainrule.train.adaptive import Adam
from chainrule.train.divergence import first_non_finite
from chainrule.train.progress import Progress
from chainrule.train.schedules import ReduceOnPlateau, rate_at
from chainrule.train.settings import COUNT, NOT_NEGATIVE, require
from chainrule.train.step import Batch, Learned, Recipe

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Sequence

    from chainrule.nn import Module
    from chainrule.train.averaging import EMA
    from chainrule.train.history import Epoch, History
    from chainrule.train.optimisers import Optimiser

__all__ = ["EarlyStopping", "fit"]


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


def fit(
    model: Module,
    X: Any,
    y: Any,
    *,
    loss: Callable[..., Any],
    optimiser: Optimiser | None = None,
    epochs: int = 10,
    batch_size: int = 32,
    sample_weight: Any = None,
    validation: float | tuple[Any, Any] | None = None,
    shuffle: bool = True,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    accumulate: int = 1,
    averaging: EMA | None = None,
    early_stopping: EarlyStopping | None = None,
    callbacks: Sequence[Callable[[Epoch], Any]] = (),
    seed: int = 0,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 1,
    resume: bool = False,
) -> History:
    """Train a model.

    Parameters
    ----------
    model
        Its parameters are trained where they are.
    X, y
        Examples along the first axis, and what they should give.
    loss
        ``loss(output, target)``, one number for a batch; with example weights
        ``loss(output, target, weights=…)``.
    optimiser
        Adam with its defaults, if none is given.
    epochs, batch_size
        Passes over the examples, and examples a step; the last batch of a pass may be shorter.
    sample_weight
        Shape (N,): how much each example counts.
    validation
        ``(X, y)`` kept aside, or the fraction of the examples to keep aside, drawn by the seed.
    shuffle
        Whether each epoch has an order of its own.
    clip_norm, clip_value
        The largest norm of a step's gradient, the largest size of an entry.
    accumulate
        In how many parts a batch is computed; the gradient is that of the whole.
    averaging
        Weight averaging; the model gets the averages at the end.
    early_stopping
        When to stop, and then with the best weights.
    callbacks
        Functions that are called with the `Epoch` after each; one that returns True ends the
        training.
    seed
        Of the order, of what is kept aside and of dropout. Same seed, same bits.
    checkpoint
        A file to which the whole state of the training is written every ``checkpoint_every``
        epochs, at the end, and on Ctrl-C.
    resume
        Whether to go on from the checkpoint, if it is there: the result equals that of a
        training that was never interrupted, bit for bit.

    Returns
    -------
    History
        A row an epoch.

    Raises
    ------
    DivergenceError
        At the first step whose loss or gradient is not finite; it names the step, the first node
        that is not finite and the example. The model keeps the weights from before the step.
    KeyboardInterrupt
        On Ctrl-C, at the end of a step; the model and the checkpoint are usable.

    Examples
    --------
    >>> from chainrule import nn
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(64, 2))
    >>> model = nn.MLP([2, 8, 1], seed=0)
    >>> history = fit(model, X, X[:, :1] * X[:, 1:], loss=lambda p, t: np.mean((p - t) ** 2))
    >>> bool(history.loss[-1] < history.loss[0])
    True
    """
    settings = {
        "epochs": epochs,
        "batch_size": batch_size,
        "accumulate": accumulate,
        "checkpoint_every": checkpoint_every,
    }
    require(("fit", settings), **dict.fromkeys(settings, COUNT))
    if early_stopping is not None and not isinstance(early_stopping, EarlyStopping):
        raise SettingError(
            f"early_stopping has to be an EarlyStopping, got {early_stopping!r}.",
            advice="EarlyStopping(patience=5)",
        )
    if callable(callbacks):
        raise SettingError("callbacks has to be a list of functions, got one.", repr(callbacks))
    data = _checked(Batch(X, y, sample_weight))
    data, aside = _kept_aside(data, validation, seed)
    optimiser = Adam() if optimiser is None else optimiser
    recipe = Recipe(model, loss, optimiser, clip_norm, clip_value, averaging)
    progress = Progress.start(model, recipe, seed)
    if resume and checkpoint is not None:
        progress.restore(checkpoint)
    training = _Training(
        recipe, data, aside, progress, batch_size, shuffle, accumulate, early_stopping, seed
    )
    with _interruptions() as interrupted:
        while progress.epoch < epochs and not progress.history.stopped:
            for _ in training.steps():
                if interrupted:
                    training.give_back()
                    _save(progress, checkpoint)
                    raise KeyboardInterrupt(_said(progress, checkpoint))
            row = training.end_of_epoch()
            training.give_back()
            answers = [callback(row) for callback in callbacks]
            if any(answer is True for answer in answers):
                progress.history.stopped = "a callback asked for it"
            if progress.epoch % checkpoint_every == 0:
                _save(progress, checkpoint)
    training.finish()
    _save(progress, checkpoint)
    return progress.history


def _save(progress: Progress, checkpoint: Any) -> None:
    if checkpoint is not None:
        progress.save(checkpoint)


def _said(progress: Progress, checkpoint: Any) -> str:
    where = f"; the checkpoint is {checkpoint}" if checkpoint is not None else ""
    text = f"interrupted after step {progress.step}: the model has these weights{where}"
    print(text, file=sys.stderr)  # noqa: T201 - the user pressed Ctrl-C and wants to know
    return text


@contextmanager
def _interruptions() -> Iterator[list[bool]]:
    """Collect Ctrl-C instead of stopping in the middle of a step; a second one stops at once."""
    seen: list[bool] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return
    before = signal.getsignal(signal.SIGINT)

    def note(*_: Any) -> None:
        seen.append(True)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def _checked(data: Batch) -> Batch:
    """Return data as arrays, all with as many examples."""
    arrays = Batch(*[optree.tree_map(np.asarray, part) for part in data[:3]])
    tree: Any = tuple(arrays[:3])
    lengths = {np.shape(x)[:1] for x in optree.tree_leaves(tree)}
    if len(lengths) != 1 or () in lengths or (0,) in lengths:
        shapes = [list(np.shape(x)) for x in optree.tree_leaves(tree)]
        raise ShapeError(f"fit needs as many targets as examples, and some, got shapes {shapes}.")
    return arrays


def _kept_aside(data: Batch, validation: Any, seed: int) -> tuple[Batch, Batch | None]:
    """Return what to train on and what to validate on."""
    if validation is None:
        return data, None
    if isinstance(validation, tuple):
        return data, _checked(Batch(*validation))
    n = len(data)
    count = round(n * validation) if 0 < validation < 1 else 0
    if not 0 < count < n:
        raise SettingError(
            f"validation has to be a fraction that leaves examples on both sides of {n}, or "
            f"(X, y), got {validation}."
        )
    order = np.random.default_rng([seed, 1]).permutation(n)
    return data.at(np.sort(order[count:])), data.at(np.sort(order[:count]))


class _Training:
    """The loop's own state, around the progress that a checkpoint holds."""

    def __init__(
        self,
        recipe: Recipe,
        data: Batch,
        aside: Batch | None,
        progress: Progress,
        batch_size: int,
        shuffle: bool,
        accumulate: int,
        early_stopping: EarlyStopping | None,
        seed: int,
    ) -> None:
        self.recipe, self.data, self.aside, self.progress = recipe, data, aside, progress
        self.batch_size, self.shuffle, self.accumulate = batch_size, shuffle, accumulate
        self.early_stopping, self.seed = early_stopping, seed
        self.one_step = Prepared(recipe.step, fall_back=True)
        self.evaluate = Prepared(recipe.objective, fall_back=True)
        self.started = time.perf_counter()

    def steps(self) -> Iterator[None]:
        """Go through the rest of an epoch, and pause after each step."""
        progress, n = self.progress, len(self.data)
        if progress.position == 0:
            progress.order = progress.rng.permutation(n) if self.shuffle else np.arange(n)
            progress.start_epoch()
            self.started = time.perf_counter()
        while progress.position < n:
            rows = progress.order[progress.position : progress.position + self.batch_size]
            batch = self.data.at(rows)
            lr = self._rate()
            key = np.array([self.seed, progress.step])
            with np.errstate(all="ignore"):  # what is not finite is found below, and said
                value, norm, new = self._step(key, lr, batch)
            if not (math.isfinite(value) and math.isfinite(norm)):
                raise self._diverged(value, norm, key, batch, rows)
            progress.take(
                new, len(rows), float(value), self.recipe.share(batch), float(norm), float(lr)
            )
            yield

    def _step(self, key: Any, lr: Any, batch: Batch) -> tuple[float, float, Learned]:
        learned = self.progress.learned
        if self.accumulate > 1:
            return self.recipe.parts(learned, key, lr, batch, self.accumulate)
        return self.one_step(learned, key, lr, batch)  # type: ignore[no-any-return]

    def _rate(self) -> Any:
        progress = self.progress
        return np.float64(rate_at(self.recipe.optimiser.lr, progress.step, progress.plateau))

    def _diverged(
        self, value: float, norm: float, key: Any, batch: Batch, rows: Any
    ) -> DivergenceError:
        """Return the error that says where numbers stopped being finite."""
        self.give_back()
        what = "loss" if not math.isfinite(value) else "gradient"
        learned = self.progress.learned

        def gradient(parameters: Any, buffers: Any, key: Any, X: Any, y: Any, weights: Any) -> Any:
            given = Learned(parameters, buffers, None, None)
            return self.recipe.gradient(given, key, Batch(X, y, weights))[:2]

        arguments = (learned.parameters, learned.buffers, key, *batch[:3])
        culprit = first_non_finite(gradient, arguments, len(batch))
        facts = [f"loss {value}, norm of the gradient {norm}"]
        if culprit is not None:
            facts.append(f"first: {culprit.what}, {culprit.number} at {list(culprit.place)}")
        if culprit is not None and culprit.row is not None:
            facts.append(f"example: row {int(rows[culprit.row])} of X")
        return DivergenceError(
            f"the {what} of step {self.progress.step} is not finite; training stopped.",
            *facts,
            advice="The model has the weights from before this step. Look at the example, lower "
            "the learning rate, or clip the gradient (clip_norm=1.0).",
        )

    def end_of_epoch(self) -> Epoch:
        """Validate, note the row, and see whether to stop."""
        progress = self.progress
        seconds = time.perf_counter() - self.started
        row = progress.end_epoch(self._validation_loss(), seconds)
        watched = row.loss if math.isnan(row.validation_loss) else row.validation_loss
        lr = self.recipe.optimiser.lr
        if isinstance(lr, ReduceOnPlateau):
            progress.plateau = lr.update(progress.plateau, watched)
        stopping = self.early_stopping
        if stopping is not None and progress.is_stuck(
            watched, stopping.patience, stopping.min_delta
        ):
            progress.history.stopped = (
                f"no better loss for {stopping.patience} epochs; these are the weights of epoch "
                f"{progress.history.best_epoch}"
            )
        return row

    def _validation_loss(self) -> float:
        if self.aside is None:
            return math.nan
        model, learned = self.recipe.model, self.progress.learned
        modes = [(module, module.training) for module in model.modules()]
        model.eval()
        total = weight = 0.0
        try:
            for start in range(0, len(self.aside), 1024):
                part = self.aside.at(slice(start, start + 1024))
                key = np.array([self.seed, 0])
                value, _ = self.evaluate(learned.parameters, learned.buffers, key, part)
                share = self.recipe.share(part)
                total, weight = total + float(value) * share, weight + share
        finally:
            for module, mode in modes:
                module.training = mode
        return total / weight

    def give_back(self) -> None:
        """Write what was learned into the model."""
        self.progress.write_to(self.recipe.model)

    def finish(self) -> None:
        """Give the model its final weights: the best, or the averages, or the last."""
        self.progress.finish(self.recipe.model, use_best=self.early_stopping is not None)
