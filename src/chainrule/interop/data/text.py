"""CSV and TSV: blocks of bytes that end with a row, parsed by polars, in any order.

The first scan finds where rows end, also where quotes hide line breaks. A column is numeric if
the first rows say so; a value further down that is no number is an error with its line, never a
number that is silently missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from chainrule.errors import DataError
from chainrule.interop.data import dialect, faults
from chainrule.interop.data.libraries import pl
from chainrule.interop.data.row_ends import end_of_text, last_end, line_of, row_ends, until
from chainrule.interop.data.source import FEW, SAMPLE, Block, Source, date_format

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from chainrule.interop.data.source import Kind

__all__ = ["TextSource"]

BLOCK = 8 << 20
"""Bytes that are parsed at once."""


class TextSource(Source):
    """A CSV or TSV file.

    Parameters
    ----------
    path
        The file: UTF-8, names of columns in the first line.
    missing
        Text that stands for a missing value, beside the empty field.
    categorical
        Columns whose numbers are names of categories.
    separator
        Between fields; found in the first line if it is not said.
    block
        Bytes that are parsed at once; 8 MB if it is not said.
    """

    def __init__(
        self,
        path: Path,
        *,
        missing: Sequence[str] = (),
        categorical: Sequence[str] = (),
        separator: str = "",
        block: int = 0,
    ) -> None:
        super().__init__()
        self.name = str(path)
        self._path = path
        self._missing = list(missing)
        self._block = block or BLOCK
        self._end = end_of_text(path)
        head = dialect.first_record(path)
        self._separator = separator or dialect.found_separator(head, path)
        self._words = dialect.SEPARATOR_WORDS.get(self._separator, repr(self._separator))
        if not separator and self._separator != dialect.expected_separator(path):
            self.notes.append(f"fields are separated by {self._words}")
        self._names = dialect.header(head, self._separator, self.name)
        self._start, self._first_line = len(head), 1 + head.count(b"\n")
        self._is_padded = self._has_decimal_commas = False
        self.kinds = dict.fromkeys(self._names, "text")
        self._decide_kinds(set(categorical))

    # ------------------------------------------------------------------ the kinds of columns

    def _decide_kinds(self, categorical: set[str]) -> None:
        """Look at the first rows."""
        with self._path.open("rb") as file:
            file.seek(self._start)
            data = file.read(max(0, min(self._block, self._end - self._start)))
        whole = self._start + len(data) >= self._end
        end = len(data) if whole else last_end(data)
        data = until(data[:end], SAMPLE)
        if not data.strip():
            raise DataError(
                f"{self.name} has names of columns and no rows.",
                f"columns: {', '.join(self._names[:8])}",
                advice="Check that the file was written and copied whole.",
            )
        if dialect.is_padded(data, self._separator):
            self._is_padded = True
            self.notes.append(f"spaces beside {self._words} are not read")
        frame = self._parsed(data, self._names, self._first_line)
        self._decide_commas(frame)
        for name in frame.columns:
            if name not in categorical:
                self.kinds[name] = self._kind(name, frame[name].drop_nulls())

    def _decide_commas(self, frame: pl.DataFrame) -> None:
        """See whether numbers are written as 3,7: where that makes numbers of more columns."""
        if self._separator == ",":
            return
        points = sum(self._is_numeric(frame[name].drop_nulls()) for name in frame.columns)
        self._has_decimal_commas = True
        commas = sum(self._is_numeric(frame[name].drop_nulls()) for name in frame.columns)
        self._has_decimal_commas = commas > points
        if commas > points:
            self.notes.append("numbers are written with a decimal comma")

    def _kind(self, name: str, column: pl.Series) -> Kind:
        if self._is_numeric(column):
            return "number"
        if form := date_format(column):
            self.formats[name] = form
            return "date"
        if dialect.looks_numeric(column):
            numbers = self._numbers(column)
            odd = column.filter(numbers.is_null())[0]
            self.notes.append(f"{name!r} is read as text: {odd!r} is not written as a number")
        return "text"

    def _is_numeric(self, column: pl.Series) -> bool:
        return self._numbers(column).null_count() <= FEW * len(column)

    def _numbers(self, column: pl.Series) -> pl.Series:
        """Return the numbers that a column of text says, and null where it is no number."""
        if self._has_decimal_commas:
            column = column.str.replace(",", ".", literal=True)
        return column.cast(pl.Float64, strict=False)

    # ------------------------------------------------------------------ blocks

    def estimate(self) -> int:
        """Return the size of the file by that of its first rows."""
        with self._path.open("rb") as file:
            file.seek(self._start)
            data = file.read(1 << 16)
        rows = max(data.count(b"\n"), 1)
        return max(1, round((self._end - self._start) * rows / max(len(data), 1)))

    def scan(self, columns: Sequence[str]) -> Iterator[tuple[Block, pl.DataFrame]]:
        """Yield all blocks in order, and see that all rows are equally long."""
        self.blocks = []
        row, line, offset = 0, self._first_line, self._start
        with self._path.open("rb") as file:
            file.seek(offset)
            rest = b""
            while file.tell() < self._end:
                data = rest + file.read(min(self._block, self._end - file.tell()))
                end = last_end(data) if file.tell() < self._end else len(data)
                data, rest = data[:end], data[end:]
                if not data:  # a row longer than a block
                    continue
                frame = self._parsed(data, columns, line)
                self._require_equal_rows(data, len(frame), line)
                block = Block(row, len(frame), (offset, len(data), line))
                self.blocks.append(block)
                yield block, self.dated(frame, block)
                row += len(frame)
                offset += end
                line += data.count(b"\n") if b'"' in data else len(frame)

    def frame(self, block: Block, columns: Sequence[str]) -> pl.DataFrame:
        """Return the columns of a block."""
        return self.dated(self._parsed(self._data(block), columns, block.place[2]), block)

    def _data(self, block: Block) -> bytes:
        offset, length, _ = block.place
        with self._path.open("rb") as file:
            file.seek(offset)
            data = file.read(length)
        if len(data) < length:
            raise DataError(
                f"{self.name} became shorter while it was read.",
                f"expected: {length} bytes from byte {offset} on, found {len(data)}",
                advice="Train on a file that nobody writes to.",
            )
        return data

    def _parsed(self, data: bytes, columns: Sequence[str], line: int) -> pl.DataFrame:
        """Return columns of some rows; what cannot be parsed is an error with its line."""
        try:
            return self._read(data, columns, as_text=False)
        except pl.exceptions.PolarsError as error:
            self._complain(data, columns, line, str(error))

    def _read(self, data: bytes, columns: Sequence[str], *, as_text: bool) -> pl.DataFrame:
        schema = {
            name: pl.Float64 if self.kinds[name] == "number" and not as_text else pl.String
            for name in self._names
        }
        wanted = set(columns)
        places = [k for k, name in enumerate(self._names) if name in wanted]
        return pl.read_csv(
            self._unpadded(data),
            has_header=False,
            schema=schema,
            columns=places,
            separator=self._separator,
            null_values=["", *self._missing],
            decimal_comma=self._has_decimal_commas,
        )

    def _unpadded(self, data: bytes) -> bytes:
        return dialect.unpadded(data, self._separator) if self._is_padded else data

    # ------------------------------------------------------------------ what is wrong, and where

    def where(self, row: int) -> str:
        """Return the line that a row begins on."""
        for block in self.blocks:
            if block.start <= row < block.start + block.rows:
                data = self._data(block)
                return f"line {line_of(data, row_ends(data), row - block.start, block.place[2])}"
        return f"row {row}"

    def _complain(self, data: bytes, columns: Sequence[str], line: int, said: str) -> NoReturn:
        """Raise the error that says where text cannot be parsed."""
        data = self._unpadded(data)
        try:
            self._require_equal_rows(data, -1, line)
            frame = self._read(data, columns, as_text=True)
        except pl.exceptions.PolarsError as error:
            faults.unreadable(self.name, data, self._separator, line, str(error))
        for name in frame.columns:
            if self.kinds[name] == "number":
                column = frame[name]
                bad = (self._numbers(column).is_null() & column.is_not_null()).arg_true()
                if len(bad):
                    faults.text_in_numbers(self.name, data, line, column, bad)
        faults.unreadable(self.name, data, self._separator, line, said)

    def _require_equal_rows(self, data: bytes, rows: int, line: int) -> None:
        data = self._unpadded(data)
        faults.require_equal_rows(self.name, data, rows, line, self._names, self._separator)
