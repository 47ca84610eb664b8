"""A table somewhere, read in blocks of rows: what all formats have in common.

A `Source` names its columns with their kinds, goes through all rows once in order (`scan`), and
then gives any block again (`frame`), so that a table larger than memory is read in any order of
its blocks. What a block's values mean is decided elsewhere; here numbers are float64 columns,
text is text, and an empty field is null.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from chainrule.errors import CellError, ColumnError, DataError
from chainrule.interop.data.libraries import pl

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "FEW",
    "SAMPLE",
    "Block",
    "Kind",
    "Source",
    "as_kinds",
    "date_format",
    "kind_of",
    "require_columns",
]

Kind = Literal["number", "text", "date", "other"]
FEW = 0.1
"""The part of a column's first rows that may be of another kind; more, and it is text."""
SAMPLE = 10_000
"""Rows that decide about the kinds of columns of text."""
_DATE_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y/%m/%d",
    "%d.%m.%Y",
)


class Block(NamedTuple):
    """Some rows that are read together.

    Attributes
    ----------
    start, rows
        The first row, and how many there are.
    place
        Where they lie, in the terms of the format.
    """

    start: int
    rows: int
    place: Any


class Source(ABC):
    """A table, read in blocks of rows.

    Attributes
    ----------
    name
        What it is called in messages.
    kinds
        The kind of each column by its name, in the order of the table.
    formats
        How the dates of a column are written, where they are text.
    blocks
        All of them, once the table was scanned.
    notes
        What a user should know of how the table is read.
    """

    name: str
    kinds: dict[str, Kind]

    def __init__(self) -> None:
        self.formats: dict[str, str] = {}
        self.blocks: list[Block] = []
        self.notes: list[str] = []

    @abstractmethod
    def estimate(self) -> int:
        """Return about how many rows there are, without reading them."""

    @abstractmethod
    def scan(self, columns: Sequence[str]) -> Iterator[tuple[Block, pl.DataFrame]]:
        """Yield all blocks in order with their columns, and find out where they lie."""

    @abstractmethod
    def frame(self, block: Block, columns: Sequence[str]) -> pl.DataFrame:
        """Return the columns of a block."""

    def expect(self, numbers: Iterable[str], dates: Mapping[str, str]) -> None:
        """Read columns as those of another table were read, whatever their first rows look like.

        Parameters
        ----------
        numbers
            Columns of numbers.
        dates
            How the dates of columns are written, where they are text.
        """
        self.kinds.update(dict.fromkeys(numbers, "number"))
        self.kinds.update(dict.fromkeys(dates, "date"))
        self.formats = {**dates, **self.formats}

    def find_dates(self, frame: pl.DataFrame) -> None:
        """Take columns of text for dates whose first rows are so, as in a file of text."""
        for name in frame.columns:
            if form := date_format(frame[name].drop_nulls()):
                self.kinds[name], self.formats[name] = "date", form

    def dated(self, frame: pl.DataFrame, block: Block) -> pl.DataFrame:
        """Return a block with its dates as dates, where they are text.

        Raises
        ------
        CellError
            A text is no date.
        """
        for name in frame.columns:
            if self.kinds[name] == "date":
                column = frame[name]
                if column.dtype == pl.String:
                    column = self._dates(column, block)
                frame = frame.with_columns(column.cast(pl.Datetime("us")))
        return frame

    def _dates(self, column: pl.Series, block: Block) -> pl.Series:
        form = self.formats.get(column.name) or "%Y-%m-%d"
        dates = column.str.to_datetime(form, strict=False)
        bad = (dates.is_null() & column.is_not_null()).arg_true()
        if len(bad):
            at = self.where(block.start + bad[0])
            raise CellError(
                f"column {column.name!r} needs dates, written as {form}; {at} has "
                f"{column[bad[0]]!r}.",
                advice="Correct the date, leave it empty, or do not use the column.",
            )
        return dates

    def where(self, row: int) -> str:
        """Return the place of a row as a reader of the table finds it."""
        return f"row {row}"

    @property
    def rows(self) -> int:
        """How many rows there are, once the table was scanned."""
        return sum(block.rows for block in self.blocks)


def date_format(column: pl.Series) -> str:
    """Return how the dates of a column of text are written, or nothing if it has none."""
    if not len(column):
        return ""
    misses = {
        form: column.str.to_datetime(form, strict=False).null_count() for form in _DATE_FORMATS
    }
    best = min(misses, key=lambda form: misses[form])
    return best if misses[best] <= FEW * len(column) else ""


def kind_of(dtype: Any) -> Kind:
    """Return the kind of a column from its type."""
    if dtype.is_numeric():
        return "number"
    if isinstance(dtype, pl.Date | pl.Datetime):
        return "date"
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Boolean | pl.Null):
        return "text"
    return "other"


def as_kinds(
    frame: pl.DataFrame, kinds: Mapping[str, Kind], missing: Sequence[str] = (), start: int = 0
) -> pl.DataFrame:
    """Return columns in the types of their kinds: float64 numbers, text, and dates as they are.

    Raises
    ------
    CellError
        A number was expected, and is text; ``start`` is the row that the frame begins with.
    """
    nan_is_missing = any(text.lower() == "nan" for text in missing)
    schema = frame.schema
    _require_types(schema, kinds)
    expressions: list[pl.Expr | pl.Series] = []
    for name in frame.columns:
        column = pl.col(name)
        if kinds[name] == "number" and schema[name] == pl.String:
            given = frame[name].set(frame[name].is_in(["", *missing]), None)
            expressions.append(_parsed(given, start).alias(name))
        elif kinds[name] == "number":
            number = column.cast(pl.Float64)
            expressions.append(number.fill_nan(None) if nan_is_missing else number)
        elif kinds[name] == "text" or schema[name] == pl.String:
            text = _as_text(column, schema[name])
            expressions.append(pl.when(~text.is_in(["", *missing])).then(text).alias(name))
        else:
            expressions.append(column)
    return frame.select(expressions)


def _require_types(schema: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
    """Refuse what polars would make into numbers, text or dates that nobody meant."""
    for name, dtype in schema.items():
        wanted, found = kinds[name], kind_of(dtype)
        fits = wanted in {found, "other"} or isinstance(dtype, pl.String | pl.Null)
        if fits or (wanted == "text" and found != "other"):
            continue
        if wanted == "number" and isinstance(dtype, pl.Boolean):
            continue
        raise ColumnError(
            f"column {name!r} needs {wanted if wanted == 'text' else f'{wanted}s'}, and holds "
            f"{dtype}.",
            advice="Pass a table whose columns are of the kinds that they had in training.",
        )


def _parsed(column: pl.Series, start: int) -> pl.Series:
    """Return the numbers that a column of text says."""
    found = column.cast(pl.Float64, strict=False)
    bad = (found.is_null() & column.is_not_null()).arg_true()
    if len(bad):
        raise CellError(
            f"column {column.name!r} needs numbers, and has text in row {start + bad[0]}.",
            *[f"row {start + k}: {column[k]!r}" for k in bad[:3].to_list()],
            advice="Correct the value, or pass numbers.",
        )
    return found


def _as_text(column: pl.Expr, dtype: Any) -> pl.Expr:
    """Return numbers that are categories as they are written: 3, and not 3.0."""
    if dtype.is_float():
        whole = column.is_finite() & (column == column.round())
        return (
            pl.when(whole)
            .then(column.cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(column.cast(pl.String))
        )
    return column.cast(pl.String)


def require_columns(names: Sequence[str], where: str) -> None:
    """Refuse a table without columns, or with two of one name."""
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise DataError(
            f"{where} has columns of the same name: {', '.join(map(repr, twice))}.",
            *[
                f"{name!r} stands in the places "
                + ", ".join(str(k + 1) for k, other in enumerate(names) if other == name)
                for name in twice
            ],
            advice="Give each column a name of its own.",
        )
    if not names:
        raise DataError(f"{where} has no columns.", advice="A table needs a target and features.")
