"""From the columns of a table to the numbers of a network, by plain numbers and strings.

A `Preprocessing` says what becomes of each column: a number is standardised, (x - mean) / scale,
and a missing one becomes the mean, beside an indicator; a category is a column of zeros and ones
for each value, or an index into an embedding where there are many. It holds nothing that could
run, so it lies in the model file as it is, and prediction needs nothing else.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.errors import CellError
from chainrule.interop.data.libraries import pl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["DATE_PARTS", "Category", "Encoded", "Numeric", "Preprocessing", "Target", "raw_numbers"]

DATE_PARTS = ("year", "month", "day", "weekday", "hour")
_SHOWN = 3


@dataclass(frozen=True)
class Numeric:
    """A column of numbers, or a part of a date: (x - mean) / scale, and 0 where x is missing.

    Attributes
    ----------
    name
        The column.
    part
        Of a date: "year", "month", "day", "weekday" (Monday is 1) or "hour".
    mean, scale
        Over the rows that were trained on, without the missing; the scale of a constant is 1.
    indicator
        Whether a column of the network's says where x is missing.
    """

    name: str
    mean: float
    scale: float
    indicator: bool = False
    part: str = ""


@dataclass(frozen=True)
class Category:
    """A column of categories.

    Attributes
    ----------
    name
        The column.
    values
        What it may be; others are taken together.
    indicator
        Whether a missing value is a category of its own.
    width
        The numbers that an embedding learns for each value; 0 for a column of zeros and ones
        for each value.
    """

    name: str
    values: list[str]
    indicator: bool = False
    width: int = 0

    @property
    def codes(self) -> int:
        """How many rows the embedding has: the values, one for all others, one for missing."""
        return len(self.values) + 1 + self.indicator


@dataclass(frozen=True)
class Target:
    """What is predicted.

    Attributes
    ----------
    name
        The column.
    classes
        Text or numbers in the order of the network's outputs; empty for a regression.
    mean, scale
        Of a regression: the network learns (y - mean) / scale.
    """

    name: str
    classes: list[Any] = field(default_factory=list)
    mean: float = 0.0
    scale: float = 1.0

    @property
    def is_text(self) -> bool:
        """Whether the column has to be read as text."""
        return bool(self.classes) and isinstance(self.classes[0], str)

    @property
    def labels(self) -> list[str]:
        """The classes as they are shown: 3 for a number 3.0."""
        return [x if isinstance(x, str) else f"{x:.15g}" for x in self.classes]


class Encoded(NamedTuple):
    """Rows as the network takes them: numbers (N, d), and indices (N, k) for embeddings."""

    X: NDArray[np.float32]
    codes: NDArray[np.int64]


@dataclass(frozen=True)
class Preprocessing:
    """What becomes of the columns of a table.

    Attributes
    ----------
    numeric, categories
        The columns that are used.
    dates
        How the dates that were text are written, by column.
    left_out
        The columns that are not used, each with the reason.
    missing
        Text that stands for a missing value.
    target
        What is predicted.
    """

    numeric: tuple[Numeric, ...]
    categories: tuple[Category, ...]
    dates: dict[str, str]
    left_out: dict[str, str]
    missing: list[str]
    target: Target

    # ------------------------------------------------------------------ what it is

    @property
    def columns(self) -> list[str]:
        """The columns of the table that are used, in order."""
        return list(
            dict.fromkeys([*(x.name for x in self.numeric), *(x.name for x in self.categories)])
        )

    @property
    def one_hot(self) -> list[Category]:
        """The categories that become columns of zeros and ones."""
        return [x for x in self.categories if not x.width]

    @property
    def embedded(self) -> list[Category]:
        """The categories that become indices."""
        return [x for x in self.categories if x.width]

    @property
    def features(self) -> list[str]:
        """What each column of `Encoded.X` is."""
        numeric = [f"{x.name} {x.part}".rstrip() for x in self.numeric]
        indicators = [
            f"{name} is missing"
            for name, x in zip(numeric, self.numeric, strict=True)
            if x.indicator
        ]
        shown = [f"{x.name} = {value}" for x in self.one_hot for value in _values(x)]
        return [*numeric, *indicators, *shown]

    def to_record(self) -> dict[str, Any]:
        """Return plain dictionaries, lists, numbers and strings."""
        record = asdict(self)
        return {
            **record,
            "numeric": list(record["numeric"]),
            "categories": list(record["categories"]),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Preprocessing:
        """Return what `to_record` was made from."""
        return cls(
            numeric=tuple(Numeric(**x) for x in record["numeric"]),
            categories=tuple(Category(**x) for x in record["categories"]),
            dates=dict(record["dates"]),
            left_out=dict(record["left_out"]),
            missing=list(record["missing"]),
            target=Target(**record["target"]),
        )

    # ------------------------------------------------------------------ what it does

    def encode(self, frame: pl.DataFrame, where: Callable[[int], str]) -> Encoded:
        """Return the rows of a block as the network takes them.

        Parameters
        ----------
        frame
            With the columns that are used, in the types of their kinds.
        where
            Says the place of a row of the block.

        Raises
        ------
        CellError
            A number is not finite.
        """
        raw, nulls = raw_numbers(self.numeric, frame)
        is_missing = np.isnan(raw)
        if np.count_nonzero(is_missing) > nulls:
            self.require_usable(frame, where)
        X = np.zeros((len(frame), len(self.features)), np.float32)
        count = len(self.numeric)
        with np.errstate(all="ignore"):
            raw -= [x.mean for x in self.numeric]
            raw /= [x.scale for x in self.numeric]
            raw[is_missing] = 0
            X[:, :count] = raw
            is_finite = np.isfinite(np.sum(X))
        if not is_finite:
            self.require_usable(frame, where)
        indicated = [k for k, x in enumerate(self.numeric) if x.indicator]
        X[:, count : count + len(indicated)] = is_missing[:, indicated]
        place = count + len(indicated)
        for x in self.one_hot:
            codes = _codes(x, frame[x.name])
            rows = np.flatnonzero(codes)
            X[rows, place + codes[rows] - 1] = 1
            place += len(_values(x))
        codes = np.zeros((len(frame), len(self.embedded)), np.int64)
        for k, x in enumerate(self.embedded):
            codes[:, k] = _codes(x, frame[x.name])
        return Encoded(X, codes)

    def unseen(self, frame: pl.DataFrame) -> dict[str, int]:
        """Return how many values of each category were not there in training."""
        return {
            x.name: count
            for x in self.categories
            if (count := int((~frame[x.name].drop_nulls().is_in(x.values)).sum()))
        }

    def require_usable(self, frame: pl.DataFrame, where: Callable[[int], str]) -> None:
        """Refuse numbers that are not finite and dates that are none, with their rows."""
        for name in dict.fromkeys(x.name for x in self.numeric):
            column = frame[name]
            if column.dtype.is_float():
                _complain(name, column, ~column.is_finite(), where, "finite numbers")
        for x in self.numeric:
            if not x.part:
                column = frame[x.name]
                scaled = ((column - x.mean) / x.scale).abs()
                bad = scaled > float(np.finfo(np.float32).max)
                _complain(x.name, column, bad, where, f"numbers of about {x.mean:.3g}")

    def encode_target(self, frame: pl.DataFrame, where: Callable[[int], str]) -> NDArray[Any]:
        """Return class numbers (N,), or standardised numbers (N, 1).

        Raises
        ------
        CellError
            A target is missing, not finite, or of a class that is not known.
        """
        target = self.target
        column = frame[target.name]
        require_target(column, where)
        if not target.classes:
            y = (column.to_numpy() - target.mean) / target.scale
            return y.astype(np.float32)[:, None]
        codes = _places(column, target.classes)
        known = ", ".join(target.labels[:8]) + (", …" if len(target.classes) > 8 else "")
        _complain(target.name, column, pl.Series(codes < 0), where, f"one of {known}")
        return codes


def raw_numbers(numeric: Sequence[Numeric], frame: pl.DataFrame) -> tuple[NDArray[np.float64], int]:
    """Return numbers (N, columns) before they are standardised, and how many are missing.

    Those that are missing are NaN; more NaN than that are in the table itself.
    """
    columns = [x.name for x in numeric if not x.part]
    parts = [
        getattr(pl.col(x.name).dt, x.part)().alias(f"\0{x.part}{k}")
        for k, x in enumerate(numeric)
        if x.part
    ]
    wide = frame.select(*columns, *(part.cast(pl.Float64) for part in parts))
    if not wide.width:
        return np.zeros((len(frame), 0)), 0
    nulls = sum(wide.null_count().row(0))
    return np.array(wide.to_numpy(), np.float64, order="C"), nulls


def _codes(x: Category, column: pl.Series) -> NDArray[np.int64]:
    """Return 1, 2, … for the known values and then for a missing one, and 0 for all others."""
    codes = _places(column, x.values) + 1
    codes[column.is_null().to_numpy()] = len(x.values) + 1 if x.indicator else 0
    return codes


def _places(column: pl.Series, values: Sequence[Any]) -> NDArray[np.int64]:
    """Return the place of each value among some, -1 for one that is not among them."""
    if column.dtype == pl.String:  # three times as fast as a lookup of any type
        known = column.cast(pl.Enum(values), strict=False).to_physical()
        return known.cast(pl.Int64).fill_null(-1).to_numpy(writable=True)
    found = column.replace_strict(values, range(len(values)), default=-1, return_dtype=pl.Int64)
    return found.to_numpy(writable=True)


def require_target(column: pl.Series, where: Callable[[int], str]) -> None:
    """Refuse targets that are missing or not finite."""
    _complain(column.name, column, column.is_null(), where, "a target in each row")
    if column.dtype.is_float():
        _complain(column.name, column, ~column.is_finite(), where, "finite numbers")


def _values(x: Category) -> list[str]:
    return [*x.values, *(["missing"] if x.indicator else [])]


def _complain(
    name: str, column: pl.Series, bad: pl.Series, where: Callable[[int], str], expected: str
) -> None:
    """Raise the error that says which values of a column cannot be used, if there are any."""
    rows = bad.arg_true()
    if not len(rows):
        return
    first = rows[:_SHOWN].to_list()
    shown = [f"{where(k)}: {'nothing' if column[k] is None else repr(column[k])}" for k in first]
    is_nan = column.dtype.is_float() and any(
        column[k] != column[k] for k in first if column[k] is not None
    )
    raise CellError(
        f"column {name!r} needs {expected}; {shown[0].replace(': ', ' has ', 1)}.",
        *shown,
        *([f"and {len(rows) - _SHOWN} further in the same block"] if len(rows) > _SHOWN else []),
        advice="Correct these rows or leave them out"
        + (
            "; where NaN stands for a missing value, say so: --missing NaN (missing=['NaN'])."
            if is_nan
            else "."
        ),
    )
