"""CSV and TSV: blocks of bytes that end with a row, parsed by polars, in any order.

The first scan finds where rows end, also where quotes hide line breaks. A column is numeric if
the first rows say so; a value further down that is no number is an error with its line, never a
number that is silently missing.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from chainrule.errors import CellError, DataError
from chainrule.interop.data.libraries import pl
from chainrule.interop.data.source import Block, Source, require_columns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from chainrule.interop.data.source import Kind

__all__ = ["TextSource"]

BLOCK = 8 << 20
"""Bytes that are parsed at once."""
_SAMPLE = 10_000
"""Rows that decide about the kinds of columns."""
_FEW = 0.1
"""The part of a numeric column's first rows that may be text; more, and it is text."""
_SEPARATORS = ",;\t|"
_WORDS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y/%m/%d",
)
_QUOTE, _NEWLINE = ord('"'), ord("\n")


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
        self._end = _end_of_text(path)
        head = self._first_record()
        self._separator = separator or self._found_separator(head)
        self._names = self._header(head)
        self._start, self._first_line = len(head), 1 + head.count(b"\n")
        self.kinds = dict.fromkeys(self._names, "text")
        self._decide_kinds(set(categorical))

    # ------------------------------------------------------------------ the header

    def _first_record(self) -> bytes:
        """Return the first line, which may have line breaks between quotes."""
        with self._path.open("rb") as file:
            head = file.readline()
            while head.count(b'"') % 2 and (more := file.readline()):
                head += more
        if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head:
            self._wrong_encoding(head, "it is not UTF-8 text", 1)
        if not head.strip(b"\xef\xbb\xbf\r\n\t "):
            is_empty = not self._end
            raise DataError(
                f"{self.name} is empty."
                if is_empty
                else f"the first line of {self.name} is empty.",
                "expected: names of columns in the first line, and rows below",
                advice="Check that the file was written and copied whole.",
            )
        return head

    def _found_separator(self, head: bytes) -> str:
        expected = "\t" if self._path.suffix.lower() in {".tsv", ".tab"} else ","
        bare = b"".join(head.split(b'"')[::2])
        counts = {s: bare.count(s.encode()) for s in _SEPARATORS}
        if counts[expected]:
            return expected
        best = max(counts, key=lambda s: counts[s])
        if counts[best]:
            self.notes.append(f"fields are separated by {_WORDS[best]}")
            return best
        return expected

    def _header(self, head: bytes) -> list[str]:
        try:
            text = head.decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError as error:
            self._wrong_encoding(head, str(error.reason), 1)
        names = next(csv.reader([text], delimiter=self._separator), [])
        names = [name.strip() for name in names]
        require_columns(names, f"the first line of {self.name}")
        if "" in names:
            raise DataError(
                f"column {names.index('') + 1} of {self.name} has no name.",
                f"names: {', '.join(map(repr, names[:8]))}",
                advice="Give each column a name in the first line.",
            )
        if all(_is_number(name) for name in names):
            raise DataError(
                f"the first line of {self.name} is numbers, where names of columns were expected.",
                f"line 1: {text[:70]}",
                advice="Write the names of the columns into the first line.",
            )
        return names

    # ------------------------------------------------------------------ the kinds of columns

    def _decide_kinds(self, categorical: set[str]) -> None:
        """Look at the first rows."""
        with self._path.open("rb") as file:
            file.seek(self._start)
            data = file.read(max(0, min(self._block, self._end - self._start)))
        whole = self._start + len(data) >= self._end
        end = len(data) if whole else _last_end(data)
        data = _until(data[:end], _SAMPLE)
        if not data.strip():
            raise DataError(
                f"{self.name} has names of columns and no rows.",
                f"columns: {', '.join(self._names[:8])}",
                advice="Check that the file was written and copied whole.",
            )
        frame = self._parsed(data, self._names, self._first_line)
        there = frame.select((pl.all() != "").sum()).row(0)
        numbers = frame.select(pl.all().cast(pl.Float64, strict=False).count()).row(0)
        for name, count, numeric in zip(frame.columns, there, numbers, strict=True):
            if name not in categorical:
                is_numeric = count - numeric <= _FEW * count
                self.kinds[name] = "number" if is_numeric else self._kind(name, frame[name])

    def _kind(self, name: str, column: pl.Series) -> Kind:
        column = column.drop_nulls()
        column = column.filter(column != "")
        for form in _FORMATS:
            if not column.str.to_datetime(form, strict=False).null_count():
                self.formats[name] = form
                return "date"
        return "text"

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
                end = _last_end(data) if file.tell() < self._end else len(data)
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
            data,
            has_header=False,
            schema=schema,
            columns=places,
            separator=self._separator,
            null_values=["", *self._missing],
        )

    # ------------------------------------------------------------------ what is wrong, and where

    def where(self, row: int) -> str:
        """Return the line that a row begins on."""
        for block in self.blocks:
            if block.start <= row < block.start + block.rows:
                data = self._data(block)
                return f"line {_line(data, _ends(data), row - block.start, block.place[2])}"
        return f"row {row}"

    def _complain(self, data: bytes, columns: Sequence[str], line: int, said: str) -> NoReturn:
        """Raise the error that says where text cannot be parsed."""
        try:
            data.decode()
        except UnicodeDecodeError as error:
            self._wrong_encoding(data[: error.end + 20], error.reason, line, error.start)
        self._require_equal_rows(data, -1, line)
        frame = self._read(data, columns, as_text=True)
        for name in frame.columns:
            if self.kinds[name] != "number":
                continue
            column = frame[name]
            bad = (
                column.cast(pl.Float64, strict=False).is_null() & column.is_not_null()
            ).arg_true()
            if len(bad):
                self._text_in_numbers(data, line, name, column, bad)
        raise DataError(
            f"{self.name} cannot be read from line {line} on.",
            said.splitlines()[0],
            advice="Compare the lines there with the rest of the file.",
        )

    def _text_in_numbers(
        self, data: bytes, line: int, name: str, column: pl.Series, bad: pl.Series
    ) -> None:
        ends = _ends(data)
        shown = [(_line(data, ends, k, line), column[k]) for k in bad[:3].to_list()]
        first = str(shown[0][1])
        raise CellError(
            f"column {name!r} of {self.name} has numbers, and text on line {shown[0][0]}.",
            *[f"line {at}: {value!r}" for at, value in shown],
            *([f"and {len(bad) - 3} further in the same block"] if len(bad) > 3 else []),
            advice=f"Correct the file; --missing {first!r} reads that text as a missing value, "
            f"--categorical {name} the whole column as names of categories.",
        )

    def _require_equal_rows(self, data: bytes, rows: int, line: int) -> None:
        """Refuse rows that are shorter or longer than the first line says."""
        bytes_ = np.frombuffer(data, np.uint8)
        is_separator = bytes_ == ord(self._separator)
        expected = len(self._names) - 1
        if expected and rows >= 0 and np.count_nonzero(is_separator) == rows * expected:
            return
        ends = _ends(data)
        places = np.flatnonzero(is_separator & _bare(bytes_))
        starts = np.concatenate([[0], ends[:-1]])
        counts = np.searchsorted(places, ends) - np.searchsorted(places, starts)
        wrong = np.flatnonzero(counts != expected)
        if not len(wrong):
            return
        at = int(wrong[0])
        text = data[starts[at] : ends[at]].decode(errors="replace").strip("\r\n")
        found = int(counts[at]) + 1 if text else 0
        raise DataError(
            f"line {_line(data, ends, at, line)} of {self.name} has {found} fields, where the "
            f"first line names {expected + 1} columns.",
            f"it reads: {text[:70]!r}",
            f"columns: {', '.join(self._names[:8])}{', …' if expected >= 8 else ''}",
            advice="Correct that line; text with a separator in it needs quotes around it.",
        )

    def _wrong_encoding(self, data: bytes, reason: str, line: int, at: int = 0) -> NoReturn:
        line += data[:at].count(b"\n")
        around = data[max(0, at - 15) : at + 15]
        raise DataError(
            f"line {line} of {self.name} is not UTF-8: {reason}.",
            f"found: {around!r}",
            advice="Write the file as UTF-8, as in: iconv -f latin1 -t utf-8 OLD > NEW",
        )


def _end_of_text(path: Path) -> int:
    """Return where a file ends without the empty lines at its end."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        while end:
            start = max(0, end - 4096)
            file.seek(start)
            rest = file.read(end - start).rstrip(b"\r\n")
            end = start + len(rest)
            if rest:
                break
    return end


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _last_end(data: bytes) -> int:
    """Return where the last whole row ends: behind a line break outside of quotes, 0 for none."""
    end = data.rfind(b"\n") + 1
    if data.find(b'"') < 0:
        return end
    quotes = data.count(b'"', 0, end)
    while end and quotes % 2:
        before = data.rfind(b"\n", 0, end - 1) + 1
        quotes -= data.count(b'"', before, end)
        end = before
    return end


def _until(data: bytes, rows: int) -> bytes:
    """Return the first rows."""
    ends = _ends(data)
    return data if len(ends) <= rows else data[: ends[rows - 1]]


def _bare(bytes_: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which bytes are outside of quotes."""
    is_quote = bytes_ == _QUOTE
    if not np.any(is_quote):
        return np.ones(len(bytes_), bool)
    is_outside: NDArray[np.bool_] = ~np.bitwise_xor.accumulate(is_quote)
    return is_outside


def _ends(data: bytes) -> NDArray[np.int64]:
    """Return where rows end, which may have line breaks between quotes."""
    bytes_ = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero((bytes_ == _NEWLINE) & _bare(bytes_)) + 1
    return ends if len(ends) and ends[-1] == len(data) else np.append(ends, len(data))


def _line(data: bytes, ends: NDArray[np.int64], row: int, first: int) -> int:
    """Return the line of the file that a row begins on."""
    start = int(ends[row - 1]) if row else 0
    return first + data.count(b"\n", 0, start)
