"""Training: shuffle, step, validate, stop, and go on another day as if nothing had happened."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chainrule.errors import FileAccessError, SettingError
from chainrule.nn import Module
from chainrule.train.adaptive import Adam
from chainrule.train.averaging import EMA
from chainrule.train.data import Batch, checked, kept_aside
from chainrule.train.interruption import interruptions
from chainrule.train.optimisers import Optimiser
from chainrule.train.progress import Progress
from chainrule.train.session import EarlyStopping, Session
from chainrule.train.settings import COUNT, WHOLE, require
from chainrule.train.step import Recipe

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from chainrule.train.history import Epoch, History

__all__ = ["EarlyStopping", "fit"]


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
    drop_last: bool = False,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    accumulate: int = 1,
    averaging: EMA | None = None,
    early_stopping: EarlyStopping | None = None,
    callbacks: Sequence[Callable[[Epoch], Any]] = (),
    seed: int = 0,
    threads: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 1,
    resume: bool = False,
) -> History:
    """Train a model.

    Parameters
    ----------
    model
        Its parameters are trained where they are. It is put into training while it learns and
        left in evaluation, ready to predict. Its forward pass is recorded once and must be a
        pure function: random numbers come from `Dropout` and its kin.
    X, y
        Examples along the first axis, and what they should give: arrays or containers of them. A
        tuple X is several inputs.
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
        ``(X, y)`` or ``(X, y, weights)`` kept aside, or the fraction of the examples to keep
        aside, drawn by the seed. With averaging it is the averages that are judged.
    shuffle
        Whether each epoch has an order of its own.
    drop_last
        Whether to leave out a last batch that is shorter, as batch norm may want.
    clip_norm, clip_value
        The largest norm of a step's gradient, the largest size of an entry.
    accumulate
        In how many parts a batch is computed, to save memory; the gradient is that of the whole,
        but for what mixes examples (batch norm) and for dropout, which each part has anew.
    averaging
        Weight averaging; the model gets the averages at the end.
    early_stopping
        When to stop, and then with the best weights.
    callbacks
        Functions that are called with the `Epoch` after each, when the model has its weights;
        one that returns True ends the training. They may look, and not change the model.
    seed
        Of the order, of what is kept aside and of dropout. Same seed, same bits.
    threads
        How many threads share a step; as many as the work is worth, if it is not said. The same
        number gives the same bits.
    checkpoint
        A file to which the whole state of the training is written every ``checkpoint_every``
        epochs, at the end, and on Ctrl-C.
    resume
        Whether to go on from the checkpoint, if it is there: the result equals that of a
        training that was never interrupted, bit for bit. A training that stopped early stays
        stopped.

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
    >>> import numpy as np
    >>> from chainrule import nn
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(64, 2))
    >>> model = nn.MLP([2, 8, 1], seed=0)
    >>> history = fit(model, X, X[:, :1] * X[:, 1:], loss=lambda p, t: np.mean((p - t) ** 2))
    >>> bool(history.loss[-1] < history.loss[0])
    True
    """
    counts = {
        "epochs": epochs,
        "batch_size": batch_size,
        "accumulate": accumulate,
        "checkpoint_every": checkpoint_every,
    }
    if threads is not None:
        counts["threads"] = threads
    require(("fit", {**counts, "seed": seed}), **dict.fromkeys(counts, COUNT), seed=WHOLE)
    optimiser = Adam() if optimiser is None else optimiser
    _require_kinds(model, loss, optimiser, averaging, early_stopping, callbacks)
    _require_file(checkpoint, resume=resume)
    recipe = Recipe(model, loss, optimiser, clip_norm, clip_value, averaging)
    data = checked(Batch(X, y, sample_weight))
    recipe.checked_on(data)
    data, aside = kept_aside(data, validation, seed)
    if aside is not None:
        recipe.checked_on(aside)
    progress = Progress.start(model, recipe, seed)
    session = Session(
        recipe,
        data,
        aside,
        progress,
        batch_size,
        shuffle,
        drop_last,
        accumulate,
        early_stopping,
        seed,
        threads,
    )
    if resume and checkpoint is not None:
        progress.restore(checkpoint, session.settings)
    progress.history.settings = session.settings

    def save() -> None:
        if checkpoint is not None:
            progress.save(checkpoint, session.settings)

    try:
        with interruptions() as interrupted:
            for row in session.epochs(epochs, interrupted):
                if row is None:
                    session.give_back()
                    save()
                    raise _interrupted(progress, checkpoint)
                session.listen([callback(row) for callback in callbacks])
                if row.epoch % checkpoint_every == 0:
                    save()
        session.finish()
        save()
    finally:
        model.eval()
    progress.history.recorded = session.recorded
    return progress.history


def _require_kinds(
    model: Any, loss: Any, optimiser: Any, averaging: Any, early_stopping: Any, callbacks: Any
) -> None:
    """Raise where an argument is of another kind than it has to be."""
    is_function = callable(loss) and not isinstance(loss, type)
    several = isinstance(callbacks, list | tuple) and all(map(callable, callbacks))
    for name, x, holds, wanted in (
        ("model", model, isinstance(model, Module), "an nn.Module"),
        ("loss", loss, is_function, "a function, such as nn.CrossEntropyLoss()"),
        ("optimiser", optimiser, isinstance(optimiser, Optimiser), "one of train, as Adam()"),
        ("averaging", averaging, isinstance(averaging, EMA | None), "EMA() or None"),
        (
            "early_stopping",
            early_stopping,
            isinstance(early_stopping, EarlyStopping | None),
            "EarlyStopping(patience=5) or None",
        ),
        ("callbacks", callbacks, several, "a list of functions"),
    ):
        if not holds:
            raise SettingError(f"fit needs {name} to be {wanted}, got {x!r}.")


def _require_file(checkpoint: Any, *, resume: bool) -> None:
    """Raise before the training where a checkpoint could not be written after it."""
    if checkpoint is None:
        if resume:
            raise SettingError("resume=True needs checkpoint=, the file to go on from.")
        return
    folder = Path(checkpoint).absolute().parent
    if not folder.is_dir():
        raise FileAccessError(
            "the checkpoint cannot be written: its folder does not exist.", f"folder: {folder}"
        )


def _interrupted(progress: Progress, checkpoint: Any) -> KeyboardInterrupt:
    """Return what ends a training on Ctrl-C, after it was said."""
    where = f"; the checkpoint is {checkpoint}" if checkpoint is not None else ""
    text = f"interrupted after step {progress.step}: the model has these weights{where}"
    print(text, file=sys.stderr)  # noqa: T201 - the user pressed Ctrl-C and wants to know
    error = KeyboardInterrupt(text)
    error.history = progress.history  # type: ignore[attr-defined]
    return error
