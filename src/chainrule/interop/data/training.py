"""From a table to a trained model.

A table that fits into memory is trained by `chainrule.train.fit`; a larger one is read anew in
each epoch and goes step by step through the same compiled step (`Trainer`).
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import nn
from chainrule.errors import DivergenceError, ForeignFileError, SettingError, StateError
from chainrule.interop.data.choosing import require_known
from chainrule.interop.data.fitting import fit_preprocessing
from chainrule.interop.data.listening import EpochReport, Listener
from chainrule.interop.data.model import TableModel, inputs_of, summed
from chainrule.interop.data.network import Architecture, TableNetwork
from chainrule.interop.data.opening import open_table
from chainrule.interop.data.settings import Settings
from chainrule.interop.data.stepping import Stepping, diverged
from chainrule.interop.data.streaming import Examples, Shuffled, row_bytes
from chainrule.train import EarlyStopping, fit, read_checkpoint
from chainrule.transform import value_and_grad

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from chainrule.interop.data.fitting import Fitted
    from chainrule.interop.data.measuring import Classified, Measured
    from chainrule.interop.data.source import Source
    from chainrule.train import Epoch, History

__all__ = ["Trained", "train_table"]

_PARTS = ("the preprocessing of the table", "the network", "the settings of the training")
_SAMPLE = 1024
"""Rows whose gradient is measured after each epoch."""
_MEASURED = 200
"""How often it is measured at most, since an epoch on a small table takes less time."""
_MEGABYTE = 1 << 20


@dataclass
class Trained:
    """What came of a training.

    Attributes
    ----------
    model
        With the final weights.
    history
        A report for each epoch.
    evaluation
        On the rows that were kept aside, or where there are none, on those trained on.
    is_kept_aside
        Which of the two.
    streamed
        Whether the table was read anew in each epoch.
    stopped
        Why the training ended before its last epoch; empty if it did not.
    notes
        What was said on the way.
    """

    model: TableModel
    history: list[EpochReport]
    evaluation: Classified | Measured
    is_kept_aside: bool
    streamed: bool
    stopped: str
    notes: list[str]


def train_table(
    table: Any,
    target: str,
    *,
    task: str = "",
    features: Sequence[str] = (),
    drop: Sequence[str] = (),
    categorical: Sequence[str] = (),
    missing: Sequence[str] = (),
    dates: str = "",
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 0,
    resume: bool = False,
    listener: Listener | None = None,
    **settings: Any,
) -> Trained:
    """Train a dense network to predict a column of a table.

    Parameters
    ----------
    table
        The path of a CSV, TSV, Parquet, Arrow IPC, NPY or NPZ file, or a data frame.
    target
        The column to predict.
    task
        "classification" or "regression"; inferred from the target if it is not said.
    features, drop
        The columns to use (all if none are named) and not to use.
    categorical
        Columns whose numbers are names of categories.
    missing
        Text that stands for a missing value, beside the empty field.
    dates
        "parts" for year, month, day, weekday and hour of dates; else they are left out.
    checkpoint
        A file for the state of the training: written on Ctrl-C, every ``checkpoint_every``
        epochs, and at the end.
    checkpoint_every
        0 for no checkpoint between.
    resume
        Whether to go on from the checkpoint, if it is there.
    listener
        Is told of notes, progress and epochs.
    **settings
        See `Settings`: ``hidden``, ``activation``, ``dropout``, ``optimiser``,
        ``learning_rate``, ``epochs``, ``batch_size``, ``validation``, ``patience``, ``clip_norm``,
        ``seed``, ``threads``, ``memory``.

    Returns
    -------
    Trained
        The model, its history and how good it is.

    Raises
    ------
    DataError
        The table cannot be read; `ColumnError` for a column, `CellError` for a value.
    SettingError
        A setting is not possible.

    Examples
    --------
    >>> import polars as pl
    >>> x = np.random.default_rng(0).uniform(-1, 1, 500)
    >>> trained = train_table(pl.DataFrame({"x": x, "y": 3 * x + 1}), "y", epochs=30)
    >>> trained.evaluation.metrics()["R²"] > 0.99
    True
    """
    chosen = Settings(**settings)
    for name, given, known in (
        ("task", task, ("", "classification", "regression")),
        ("dates", dates, ("", "parts")),
    ):
        if given not in known:
            words = " or ".join(map(repr, known[1:]))
            raise SettingError(f"{name} has to be {words}, or left out, got {given!r}.")
    listener = Listener() if listener is None else listener
    source = open_table(table, missing=missing, categorical=categorical)
    require_known(categorical, source, "categorical")
    listener.reading(source.name)
    fitted = fit_preprocessing(
        source,
        target,
        task=task,
        features=features,
        drop=drop,
        dates=dates,
        missing=missing,
        validation=chosen.validation,
        seed=chosen.seed,
    )
    training = _Training(source, fitted, chosen, listener)
    if checkpoint is not None and resume:
        training.require_same(Path(checkpoint))
    training.go(checkpoint, checkpoint_every or chosen.epochs + 1, resume=resume)
    return training.trained()


class _Training:
    """A training in the making."""

    def __init__(
        self, source: Source, fitted: Fitted, settings: Settings, listener: Listener
    ) -> None:
        self.settings, self.listener, self.fitted = settings, listener, fitted
        made = fitted.preprocessing
        self.architecture = Architecture.for_table(
            made, settings.hidden, settings.activation, settings.dropout
        )
        records = (made.to_record(), self.architecture.to_record(), settings.decisive())
        self.bound_to = tuple(map(summed, records))
        self.network = TableNetwork(self.architecture, seed=settings.seed, bound_to=self.bound_to)
        about = {"settings": settings.to_record(), "rows": fitted.rows}
        self.model = TableModel(made, self.architecture, self.network, about)
        self.loss = nn.CrossEntropyLoss() if made.target.classes else nn.MSELoss()
        self.history: list[EpochReport] = []

        budget = settings.memory * _MEGABYTE
        self.streamed = fitted.rows * row_bytes(fitted) > budget
        fill = max(1, budget // 4 // row_bytes(fitted) // settings.batch_size)
        self.shuffled = Shuffled(source, fitted, fill * settings.batch_size, settings.seed)
        self.aside = self._aside()
        self.examples = None if self.streamed else self.shuffled.in_order()
        some = self.shuffled.block(0) if self.examples is None else self.examples
        self.sample = some.at(slice(0, _SAMPLE))
        self.notes = [*source.notes, *fitted.notes, self._split_in_words()]
        for note in self.notes:
            listener.note(note)

    def _aside(self) -> Examples | None:
        frame, made = self.fitted.aside, self.fitted.preprocessing
        if not len(frame):
            return None

        def where(row: int) -> str:
            return f"row {row} of those kept aside"

        return Examples(made.encode(frame, where), made.encode_target(frame, where))

    def _split_in_words(self) -> str:
        kept = 0 if self.aside is None else len(self.aside.y)
        text = f"{self.fitted.rows:,} rows to learn from, {kept:,} kept aside for validation"
        if self.streamed:
            text += f"; read anew in each epoch, {self.shuffled.fill_rows:,} rows at a time"
        return text

    # ------------------------------------------------------------------ going on another day

    def require_same(self, checkpoint: Path) -> None:
        """Refuse to go on from the checkpoint of another training."""
        if not checkpoint.exists():
            self.listener.note(f"there is no checkpoint {checkpoint}: the training starts anew")
            return
        read = read_checkpoint(checkpoint)
        arrays, meta = read.arrays, read.meta
        try:
            found = tuple(int(x) for x in arrays["learned"]["buffers"]["bound_to"])
            then = dict(meta["settings"])
        except (KeyError, TypeError, IndexError) as error:
            raise ForeignFileError(
                "the file is a checkpoint, and not one of training on a table.",
                f"file: {checkpoint}",
            ) from error
        differ = [
            f"{what} is not what it was" if "settings" not in what else f"{what} are not as then"
            for what, a, b in zip(_PARTS, found, self.bound_to, strict=True)
            if a != b
        ]
        if differ:
            now = {**self.settings.decisive(), "validation": then.get("validation")}
            raise StateError(
                f"the checkpoint {checkpoint} is of another training.",
                *differ,
                *(
                    f"{name}: {then[name]} then, {x} now"
                    for name, x in now.items()
                    if str(then.get(name, x)).lower() != str(x).lower()
                ),
                advice="Give the same table and options as then, or leave out --resume.",
            )

    # ------------------------------------------------------------------ going

    def go(self, checkpoint: Any, checkpoint_every: int, *, resume: bool) -> None:
        """Train, in memory or in fills."""
        self.listener.begin(self.settings.epochs, self.fitted.rows)
        history = self._go(checkpoint, checkpoint_every, resume=resume)
        self.stopped = history.stopped
        done = {report.epoch for report in self.history}
        earlier = [row for row in history.rows if row.epoch not in done]
        if earlier and not done and not self.stopped:
            many = f"{len(earlier)} epoch{'s' if len(earlier) > 1 else ''}"
            self.listener.note(f"nothing was left to train: {many} were done before")
        self.history = [*(EpochReport.of(row, self.fitted.rows) for row in earlier), *self.history]

    def _go(self, checkpoint: Any, checkpoint_every: int, *, resume: bool) -> History:
        if self.examples is None:
            stepping = Stepping(self.network, self.loss, self.shuffled, self.aside, self.settings)
            return stepping.go(
                checkpoint,
                checkpoint_every,
                resume=resume,
                on_epoch=self.note_epoch,
                on_share=self.listener.share,
            )
        try:
            return self._fit(self.examples, checkpoint, checkpoint_every, resume=resume)
        except DivergenceError as error:
            raise self._in_the_table(error) from error

    def _in_the_table(self, error: DivergenceError) -> DivergenceError:
        """Return an error that names the row of the table, and not that of what is trained on."""
        facts = [
            re.sub(r"row (\d+) of X", lambda found: self.shuffled.where(int(found[1])), fact)
            for fact in error.facts
            if not fact.startswith("first:")  # a node of the step, which no user of a table wrote
        ]
        return diverged(error.what.removesuffix("; training stopped."), facts, error.history)

    def _fit(
        self, examples: Examples, checkpoint: Any, checkpoint_every: int, *, resume: bool
    ) -> History:
        s = self.settings
        validation = None if self.aside is None else (self.aside.inputs, self.aside.y)
        return fit(
            self.network,
            examples.inputs,
            examples.y,
            loss=self.loss,
            optimiser=s.made_optimiser(),
            epochs=s.epochs,
            batch_size=s.batch_size,
            validation=validation,
            clip_norm=s.clip_norm or None,
            early_stopping=EarlyStopping(s.patience) if s.patience else None,
            callbacks=[self.note_epoch],
            seed=s.seed,
            threads=s.threads or None,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            resume=resume,
        )

    def note_epoch(self, row: Epoch) -> None:
        """Keep a report of an epoch, often with the gradient of each layer."""
        every = -(-self.settings.epochs // _MEASURED)
        is_due = row.epoch % every == 0 or row.epoch in {1, self.settings.epochs}
        layers = self._gradient_norms() if is_due else {}
        report = EpochReport.of(row, self.fitted.rows, layers)
        self.history.append(report)
        self.listener.epoch(report)

    def _gradient_norms(self) -> dict[str, float]:
        """Return the norm of the gradient of each layer, on the same rows after each epoch."""
        inputs = inputs_of(self.sample.encoded)
        self.network.eval()

        def objective(parameters: dict[str, Any]) -> Any:
            return self.loss(
                nn.functional_call(self.network, parameters, *inputs)[0], self.sample.y
            )

        parameters = {name: p.data for name, p in self.network.named_parameters()}
        with np.errstate(all="ignore"):  # a step that is not finite is an error; this is a look
            _, gradient = value_and_grad(objective)(parameters)
        names, squares = self.network.layer_names(), dict[str, float]()
        for name, g in gradient.items():
            layer = names[name.rpartition(".")[0]]
            squares[layer] = squares.get(layer, 0.0) + float(np.sum(np.square(g, dtype=np.float64)))
        return {layer: math.sqrt(x) for layer, x in squares.items()}

    # ------------------------------------------------------------------ what came of it

    def trained(self) -> Trained:
        """Judge the model, and return everything."""
        model = self.model
        found = model.nothing_judged()
        judged = self.aside or self.examples or self.shuffled.fill(0, 0).examples
        model.add(found, judged.encoded, judged.y)
        model.about |= {
            "chainrule": version("chainrule"),
            "history": [asdict(report) for report in self.history],
            "metrics": found.metrics(),
            "kept aside": 0 if self.aside is None else len(self.aside.y),
        }
        return Trained(
            model,
            self.history,
            found,
            self.aside is not None,
            self.streamed,
            self.stopped,
            self.notes,
        )
