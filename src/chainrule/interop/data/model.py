"""A trained network with all that it needs to read a table: what a model file holds."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import nn
from chainrule.errors import (
    CheckpointError,
    ColumnError,
    FileAccessError,
    ForeignFileError,
    NewerFileError,
)
from chainrule.interop.data.ahead import ahead
from chainrule.interop.data.libraries import pl
from chainrule.interop.data.measuring import Classified, Measured
from chainrule.interop.data.network import Architecture, TableNetwork
from chainrule.interop.data.opening import open_table
from chainrule.interop.data.preprocessing import Preprocessing
from chainrule.train import read_checkpoint, write_checkpoint

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from chainrule.interop.data.preprocessing import Encoded
    from chainrule.interop.data.source import Block, Source

__all__ = ["Reading", "TableModel", "read_model", "summed"]

_FORMAT, _VERSION = "chainrule table model", 1
_ABOUT = ("settings", "rows", "kept aside", "history", "metrics", "chainrule")


class Reading:
    """How a table is read with the eyes of a model: what is used of it, and what was not known.

    Attributes
    ----------
    source
        The table.
    ignored
        Its columns that the model does not know.
    unseen
        How many values of each category were not there in training.
    """

    def __init__(self, source: Source, ignored: list[str]) -> None:
        self.source = source
        self.ignored = ignored
        self.unseen: dict[str, int] = {}

    @property
    def notes(self) -> list[str]:
        """What a user should know of it."""
        shown = ", ".join(map(repr, self.ignored[:6])) + (", …" if len(self.ignored) > 6 else "")
        ignored = [f"columns that the model does not use: {shown}"] if self.ignored else []
        return ignored + [
            f"{name!r} has {count:,} values that were not there in training; they count as 'other'"
            for name, count in self.unseen.items()
        ]


@dataclass
class TableModel:
    """A network, the preprocessing of its table, and how it came to be.

    Attributes
    ----------
    preprocessing
        From columns to numbers.
    architecture
        The shape of the network.
    network
        The weights.
    about
        How it was trained, as plain numbers and strings.

    Examples
    --------
    >>> import polars as pl
    >>> from chainrule.interop.data import train_table
    >>> x = np.linspace(-1, 1, 200)
    >>> table = pl.DataFrame({"x": x, "side": np.where(x < 0, "left", "right")})
    >>> model = train_table(table, "side", epochs=30, seed=0).model
    >>> model.predict(pl.DataFrame({"x": [-0.8, 0.9]}))["side"].to_list()
    ['left', 'right']
    """

    preprocessing: Preprocessing
    architecture: Architecture
    network: TableNetwork
    about: dict[str, Any]

    # ------------------------------------------------------------------ predictions

    def outputs(self, encoded: Encoded) -> NDArray[Any]:
        """Return what the network says of encoded rows: logits, or standardised numbers."""
        rows: NDArray[Any] = nn.predict(self.network, *inputs_of(encoded))
        return rows

    def open(self, table: Any, *, with_target: bool = False) -> Reading:
        """Return a table, opened as the one of the training was.

        Raises
        ------
        ColumnError
            A column that is needed is not there.
        """
        made = self.preprocessing
        categorical = [x.name for x in made.categories]
        categorical += [made.target.name] if made.target.is_text else []
        source = open_table(table, missing=made.missing, categorical=categorical)
        needed = [*made.columns, *([made.target.name] if with_target else [])]
        absent = [name for name in needed if name not in source.kinds]
        if absent:
            raise ColumnError(
                f"{source.name} lacks {', '.join(map(repr, absent[:6]))}, which the model needs.",
                f"columns: {', '.join(map(repr, list(source.kinds)[:12]))}",
                advice="Pass a table with the columns of the training, in any order.",
            )
        source.expect(
            numbers=[
                *[x.name for x in made.numeric if not x.part],
                *([made.target.name] if with_target and not made.target.is_text else []),
            ],
            dates={x.name: made.dates.get(x.name, "") for x in made.numeric if x.part},
        )
        known = {*made.columns, made.target.name, *made.left_out}
        return Reading(source, [name for name in source.kinds if name not in known])

    def predictions(self, reading: Reading) -> Iterator[pl.DataFrame]:
        """Yield what is predicted of a table, block by block; see `predict`."""
        source, made = reading.source, self.preprocessing
        for block, frame in ahead(source.scan(made.columns)):
            encoded = made.encode(frame, place_in(source, block))
            _add(reading.unseen, made.unseen(frame))
            yield self._frame(self.outputs(encoded))

    def predict(self, table: Any) -> pl.DataFrame:
        """Return what the model predicts of a table.

        Parameters
        ----------
        table
            A path or a data frame, with the columns of the training in any order; further ones
            are not used.

        Returns
        -------
        polars.DataFrame
            A column with the name of the target; of a classification also one with the
            probability of each class.

        Raises
        ------
        ColumnError
            A column that is needed is not there.
        CellError
            A value cannot be used.
        """
        return pl.concat(list(self.predictions(self.open(table))))

    def _frame(self, outputs: NDArray[Any]) -> pl.DataFrame:
        target = self.preprocessing.target
        if not target.classes:
            return pl.DataFrame({target.name: _unscaled(outputs, target)})
        logits = outputs.astype(np.float64)
        p = np.exp(logits - np.max(logits, axis=1, keepdims=True))
        p /= np.sum(p, axis=1, keepdims=True)
        classes = pl.Series(target.classes)
        if not target.is_text and all(x == round(x) for x in target.classes):
            classes = classes.cast(pl.Int64)
        names = [f"probability of {label}" for label in target.labels]
        shares = {name: p[:, k] for k, name in enumerate(names)}
        return pl.DataFrame({target.name: classes.gather(np.argmax(p, axis=1)), **shares})

    # ------------------------------------------------------------------ how good they are

    def evaluate(self, table: Any) -> Classified | Measured:
        """Return how good the model is on a table that has the target.

        Parameters
        ----------
        table
            A path or a data frame.

        Raises
        ------
        ColumnError
            A column that is needed, or the target, is not there.
        CellError
            A value cannot be used, or a target is of a class that the model does not know.
        """
        return self.judge(self.open(table, with_target=True))

    def judge(self, reading: Reading) -> Classified | Measured:
        """Return how good the model is on a table that was opened; see `evaluate`."""
        source, made = reading.source, self.preprocessing
        found = self.nothing_judged()
        for block, frame in ahead(source.scan([*made.columns, made.target.name])):
            where = place_in(source, block)
            _add(reading.unseen, made.unseen(frame))
            self.add(found, made.encode(frame, where), made.encode_target(frame, where))
        return found

    def nothing_judged(self) -> Classified | Measured:
        """Return the beginning of an evaluation."""
        target = self.preprocessing.target
        return Classified(target.labels) if target.classes else Measured()

    def add(self, found: Classified | Measured, encoded: Encoded, y: NDArray[Any]) -> None:
        """Add encoded rows to an evaluation."""
        outputs = self.outputs(encoded)
        if isinstance(found, Classified):
            found.take(outputs, y)
        else:
            target = self.preprocessing.target
            found.take(_unscaled(outputs, target), _unscaled(y, target))

    # ------------------------------------------------------------------ the file

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model into one file: weights as tensors, all else as text in its header.

        Raises
        ------
        FileAccessError
            The folder or the disk refuses; the file is as it was.
        """
        meta = {
            "table model": _FORMAT,
            "table version": _VERSION,
            "preprocessing": self.preprocessing.to_record(),
            "architecture": self.architecture.to_record(),
            "about": self.about,
        }
        write_checkpoint(path, self.network.state_dict(), meta)


def read_model(path: str | os.PathLike[str]) -> TableModel:
    """Read a model that `TableModel.save` wrote; nothing in the file is run.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    FileAccessError
        There is no such file, or it cannot be read.
    ForeignFileError
        It is something else than a model of a table.
    NewerFileError
        It was written by a later release.
    CheckpointError
        It is damaged.
    """
    try:
        found = read_checkpoint(path)
    except FileAccessError as error:
        said = error.what.replace("The checkpoint", "the model")
        raise FileAccessError(said, *error.facts) from error
    except CheckpointError as error:
        if type(error) is not CheckpointError:
            raise
        raise CheckpointError(
            "the file is no model, or a damaged one.",
            *(fact for fact in error.facts if not fact.startswith("expected")),
            advice="Pass a file that `chainrule train` or TableModel.save wrote; if it is one, "
            "copy it again from where it was whole.",
        ) from error
    meta = found.meta
    if not isinstance(meta, dict) or meta.get("table model") != _FORMAT:
        raise ForeignFileError(
            "the file is a checkpoint, and not a model of a table.",
            f"file: {path}",
            advice="Pass a file that `chainrule train` or TableModel.save wrote.",
        )
    version = meta.get("table version")
    if not isinstance(version, int) or version > _VERSION:
        raise NewerFileError(
            f"this model has version {version}, and this release reads up to {_VERSION}.",
            f"file: {path}",
        )
    try:
        preprocessing = Preprocessing.from_record(meta["preprocessing"])
        architecture = Architecture.from_record(meta["architecture"])
        bound_to = tuple(int(x) for x in found.arrays["bound_to"])
        network = TableNetwork(architecture, bound_to=bound_to)
        network.load_state_dict(found.arrays)
        about = {name: meta["about"][name] for name in _ABOUT}
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            "the file is a model with parts that do not fit each other.",
            f"file: {path}",
            f"found: {(str(error).splitlines() or ['nothing'])[0][:200]}",
        ) from error
    return TableModel(preprocessing, architecture, network.eval(), about)


def inputs_of(encoded: Encoded) -> tuple[NDArray[Any], ...]:
    """Return what a network is called with: what has no columns is left out."""
    return tuple(x for x in encoded if x.shape[1])


def place_in(source: Source, block: Block) -> Callable[[int], str]:
    """Return a function that says where a row of a block is."""
    return lambda row: source.where(block.start + row)


def summed(*parts: Any) -> int:
    """Return a number that changes with what some records say."""
    return zlib.crc32(repr(parts).encode())


def _unscaled(y: NDArray[Any], target: Any) -> NDArray[np.float64]:
    numbers: NDArray[np.float64] = y[:, 0].astype(np.float64) * target.scale + target.mean
    return numbers


def _add(counts: dict[str, int], more: dict[str, int]) -> None:
    for name, count in more.items():
        counts[name] = counts.get(name, 0) + count
