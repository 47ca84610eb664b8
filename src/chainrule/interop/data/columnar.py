"""Parquet, Arrow IPC, NPY, NPZ and data frames: tables whose columns have types of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import DataError, FileAccessError
from chainrule.interop.data.libraries import nw, pl
from chainrule.interop.data.source import (
    SAMPLE,
    Block,
    Source,
    as_kinds,
    kind_of,
    require_columns,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["ArraySource", "ColumnarSource", "as_polars", "from_array_file"]

_REFUSALS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
"""How polars answers to files that are damaged; the second is no `Exception`."""
_CELLS = 1 << 22
"""Values that are read at once: the larger a block, the less of a row group is read in vain."""


class ColumnarSource(Source):
    """A table that polars scans: a Parquet or Arrow IPC file, or a frame in memory.

    Parameters
    ----------
    lazy
        The table.
    name
        What it is called in messages.
    missing, categorical
        As in `TextSource`.
    """

    def __init__(
        self,
        lazy: pl.LazyFrame,
        name: str,
        *,
        missing: Sequence[str] = (),
        categorical: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.name = name
        self._lazy, self._missing = lazy, missing
        try:
            schema = lazy.collect_schema()
            self._length = int(lazy.select(pl.len()).collect().item())
        except (OSError, *_REFUSALS) as error:
            raise _unreadable(name, error) from error
        require_columns(schema.names(), name)
        if not self._length:
            raise DataError(
                f"{name} has no rows.",
                f"columns: {', '.join(schema.names()[:8])}",
                advice="Check that the file was written and copied whole.",
            )
        self.kinds = {
            column: "text" if column in categorical else kind_of(dtype)
            for column, dtype in schema.items()
        }
        self.blocks = _blocks(self._length, len(self.kinds))
        texts = [n for n, x in schema.items() if x == pl.String and n not in categorical]
        self.find_dates(self.frame(Block(0, min(SAMPLE, self._length), None), texts))

    def estimate(self) -> int:
        """Return the number of rows."""
        return self._length

    def scan(self, columns: Sequence[str]) -> Iterator[tuple[Block, pl.DataFrame]]:
        """Yield all blocks in order."""
        for block in self.blocks:
            yield block, self.frame(block, columns)

    def frame(self, block: Block, columns: Sequence[str]) -> pl.DataFrame:
        """Return the columns of a block, of which the file's other parts are not read."""
        wanted = set(columns)
        kept = [name for name in self.kinds if name in wanted]
        try:
            frame = self._lazy.slice(block.start, block.rows).select(kept).collect()
        except (OSError, *_REFUSALS) as error:
            raise _unreadable(self.name, error) from error
        return self.dated(as_kinds(frame, self.kinds, self._missing, block.start), block)


class ArraySource(Source):
    """Arrays by name, with rows along their first axis; one of a file is not read into memory."""

    def __init__(
        self,
        arrays: Mapping[str, Any],
        name: str,
        *,
        missing: Sequence[str] = (),
        categorical: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.name, self._missing = name, missing
        self._columns = dict(_columns(arrays, name))
        require_columns(list(self._columns), name)
        self._length = len(next(iter(self._columns.values())))
        if not self._length:
            raise DataError(f"{name} has no rows.", advice="Check that it was written whole.")
        self.kinds = {}
        for column, array in self._columns.items():
            is_known = array.dtype.kind in "biufUM"
            dtype = _made({column: array[:1]}, name).dtypes[0] if is_known else pl.Object()
            self.kinds[column] = "text" if column in categorical else kind_of(dtype)
        self.blocks = _blocks(self._length, len(self.kinds))
        texts = [
            n for n, x in self._columns.items() if x.dtype.kind == "U" and n not in categorical
        ]
        self.find_dates(self.frame(Block(0, min(SAMPLE, self._length), None), texts))

    def estimate(self) -> int:
        """Return the number of rows."""
        return self._length

    def scan(self, columns: Sequence[str]) -> Iterator[tuple[Block, pl.DataFrame]]:
        """Yield all blocks in order."""
        for block in self.blocks:
            yield block, self.frame(block, columns)

    def frame(self, block: Block, columns: Sequence[str]) -> pl.DataFrame:
        """Return the columns of a block."""
        rows = slice(block.start, block.start + block.rows)
        wanted = set(columns)
        kept = {n: np.array(x[rows]) for n, x in self._columns.items() if n in wanted}
        return self.dated(
            as_kinds(_made(kept, self.name), self.kinds, self._missing, block.start), block
        )


def _made(arrays: Mapping[str, Any], name: str) -> pl.DataFrame:
    """Return arrays as a frame; NumPy finds only here that the text of a file is no text."""
    try:
        return pl.DataFrame(dict(arrays))
    except (SystemError, ValueError, *_REFUSALS) as error:
        raise _damaged(name, error) from error


def _blocks(length: int, columns: int) -> list[Block]:
    """Return blocks of a table of so many rows and columns."""
    rows = max(_CELLS // columns, 1024)
    return [Block(start, min(rows, length - start), None) for start in range(0, length, rows)]


def _columns(arrays: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    """Yield the columns of arrays: x of one axis; x.0, x.1, … of two."""
    lengths = {key: x.shape[:1] for key, x in arrays.items()}
    if len(set(lengths.values())) > 1 or () in lengths.values():
        raise DataError(
            f"the arrays of {name} differ in their number of rows.",
            *[f"{key}: {x.dtype}{list(x.shape)}" for key, x in arrays.items()],
            advice="Rows lie along the first axis of each array.",
        )
    for key, x in arrays.items():
        if x.dtype.names:
            yield from ((field, x[field]) for field in x.dtype.names)
        elif x.ndim == 1:
            yield key or "0", x
        elif x.ndim == 2:
            for k in range(x.shape[1]):
                yield (f"{key}.{k}" if key else str(k)), x[:, k]
        else:
            raise DataError(
                f"the array {key or 'in'} {name} has {x.ndim} axes, where 1 or 2 were expected.",
                f"{x.dtype}{list(x.shape)}",
                advice="A table has rows and columns: np.reshape(x, (len(x), -1)).",
            )


def from_array_file(
    path: Path, *, missing: Sequence[str] = (), categorical: Sequence[str] = ()
) -> ArraySource:
    """Return the table in an NPY or NPZ file, which may hold no Python objects."""
    try:
        if path.suffix.lower() == ".npz":
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
        else:
            arrays = {"": np.load(path, mmap_mode="r", allow_pickle=False)}
    except OSError:
        raise
    except Exception as error:  # of any kind: a damaged header is parsed as Python's literals
        if any(words in str(error) for words in ("Object arrays", "Python objects")):
            raise DataError(
                f"{path} holds Python objects, which are not read: they could run something.",
                advice="Write text as text: np.savez(NEW, name=np.array(values, str)).",
            ) from error
        raise _damaged(str(path), error) from error
    return ArraySource(arrays, str(path), missing=missing, categorical=categorical)


def as_polars(frame: Any) -> pl.DataFrame | pl.LazyFrame:
    """Return a data frame of any library that narwhals knows; NaN of pandas is a missing value."""
    if isinstance(frame, pl.DataFrame | pl.LazyFrame):
        return frame
    try:
        known = nw.from_native(frame)
    except TypeError as error:
        raise DataError(
            f"a table cannot be a {type(frame).__module__}.{type(frame).__qualname__}.",
            "expected: a path, or a data frame of pandas, polars, PyArrow or another that "
            "narwhals knows",
            advice="Pass the path of a file, or a data frame.",
        ) from error
    except nw.exceptions.DuplicateError as error:
        require_columns(list(map(str, frame.columns)), "the data frame")
        raise DataError("the data frame has columns of the same name.") from error
    if isinstance(known, nw.LazyFrame):
        known = known.collect()
    names = list(map(str, known.columns))
    require_columns(names, "the data frame")
    columns = [known.get_column(name) for name in known.columns]
    return pl.DataFrame([_series(x, name) for x, name in zip(columns, names, strict=True)])


def _series(column: Any, name: str) -> pl.Series:
    """Return a column; without PyArrow, text of pandas goes through Python's strings."""
    dtype = column.dtype
    if dtype.is_numeric() and not column.is_null().any():
        return pl.Series(name, column.to_numpy())
    nulls = column.is_null().to_list()
    values = [None if no else x for no, x in zip(nulls, column.to_list(), strict=True)]
    if dtype.is_numeric():
        return pl.Series(name, values, dtype=pl.Float64)
    if isinstance(dtype, nw.Datetime | nw.Date):
        texts = [None if x is None else x.isoformat()[:26] for x in values]
        return pl.Series(name, texts, dtype=pl.String).str.to_datetime(strict=False)
    if isinstance(dtype, nw.Boolean):
        return pl.Series(name, values, dtype=pl.Boolean)
    if isinstance(dtype, nw.String | nw.Categorical | nw.Enum):
        return pl.Series(name, [None if x is None else str(x) for x in values], dtype=pl.String)
    return pl.Series(name, values, dtype=pl.Object)


def _unreadable(name: str, error: BaseException) -> DataError | FileAccessError:
    """Return what the system refused, or that a file is damaged: polars says both as OSError."""
    if isinstance(error, FileNotFoundError | PermissionError):
        return FileAccessError(f"the table cannot be read: {error}.", f"file: {name}")
    return _damaged(name, error)


def _damaged(name: str, error: BaseException) -> DataError:
    return DataError(
        f"{name} is damaged, or not of the format that its name says.",
        f"found: {(str(error).splitlines() or [type(error).__name__])[0][:200]}",
        advice="Copy the file again from where it was whole, or correct the end of its name.",
    )
