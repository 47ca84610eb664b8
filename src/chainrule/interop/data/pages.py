"""Whether the pages of a Parquet file claim as many values as there are.

polars believes what the header of a page says, and asks for memory for so many values. Where
bytes were changed there, it asks for more than there is, and the process ends. So headers are
looked at before, a few hundred bytes for each page of about a megabyte. What is not understood
is left to polars.

The layout is that of ``parquet.thrift`` (Apache Parquet), in Thrift's compact protocol.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from chainrule.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["require_sound_pages"]

_LARGEST_FOOTER = 1 << 20
"""Bytes. A larger one has ten thousands of parts: to go through it here would take seconds."""
_NOT_UNDERSTOOD = (LookupError, TypeError, ValueError, OverflowError, OSError, RecursionError)
"""How reading ends where bytes are no Thrift, or hold other fields; polars says it then."""
_HEADER = 4096
"""Bytes that a page's header hardly ever needs."""
_ROW_GROUPS, _CHUNKS, _CHUNK, _COUNT, _DATA, _DICTIONARY = 4, 1, 3, 5, 9, 11  # of the footer
_SIZES, _PAGE_KINDS, _PAGE_COUNT = (2, 3), (5, 8), 1  # of a page's header: data, and data of v2


def require_sound_pages(path: Path) -> None:
    """Refuse a Parquet file whose pages claim more values than their column has.

    Raises
    ------
    DataError
        A header of a page was changed.
    """
    with path.open("rb") as file:
        for count, start in _chunks(file):
            if not _is_sound(file, count, start):
                raise DataError(
                    f"{path} is damaged: a page claims more values than its column has.",
                    f"the part of the column begins at byte {start}, and has {count} values",
                    advice="Copy the file again from where it was whole.",
                )


def _chunks(file: IO[bytes]) -> Iterator[tuple[int, int]]:
    """Yield how many values each part of a column has, and where it begins."""
    end = file.seek(0, 2)
    file.seek(max(0, end - 8))
    tail = file.read(8)
    size = int.from_bytes(tail[:4], "little")
    if tail[4:] != b"PAR1" or not 0 < size <= min(end - 8, _LARGEST_FOOTER):
        return
    file.seek(end - 8 - size)
    try:
        footer = _Compact(file.read(size)).fields()
        parts = [part[_CHUNK] for group in footer[_ROW_GROUPS] for part in group[_CHUNKS]]
        found = [(int(x[_COUNT]), int(x.get(_DICTIONARY) or x[_DATA])) for x in parts]
    except _NOT_UNDERSTOOD:
        return
    yield from found


def _is_sound(file: IO[bytes], count: int, start: int) -> bool:
    """Return whether the pages of a part of a column say what can be."""
    seen = 0
    while seen < count:
        try:
            file.seek(start)  # negative, if that was changed
            reader = _Compact(file.read(_HEADER))
            header = reader.fields()
            sizes = [header[k] for k in _SIZES]
            values = [header[k][_PAGE_COUNT] for k in _PAGE_KINDS if k in header]
            is_negative = min([*sizes, *values]) < 0
            seen += sum(values)
        except _NOT_UNDERSTOOD:
            return True
        if is_negative or seen > count:
            return False
        start += reader.at + sizes[1]
    return True


class _Compact:
    """Reads Thrift's compact protocol: fields by their numbers, lists, and plain values."""

    def __init__(self, data: bytes) -> None:
        self._data, self.at = data, 0

    def fields(self) -> dict[int, Any]:
        """Return the fields of a struct."""
        found: dict[int, Any] = {}
        number = 0
        while kind := self._byte():
            number = number + (kind >> 4) if kind >> 4 else self._signed()
            found[number] = self._value(kind & 15)
        return found

    def _value(self, kind: int) -> Any:
        if kind in {1, 2}:  # a truth value lies in the header of its field
            return kind == 1
        readers = {
            3: self._byte,
            4: self._signed,
            5: self._signed,
            6: self._signed,
            7: lambda: self._bytes(8),  # a float, which nobody here asks for
            8: lambda: self._bytes(self._unsigned()),
            9: self._list,
            10: self._list,
            12: self.fields,
        }
        return readers[kind]()

    def _list(self) -> list[Any]:
        head = self._byte()
        length = head >> 4 if head >> 4 < 15 else self._unsigned()
        kind = 3 if head & 15 in {1, 2} else head & 15  # a truth value is a byte here
        return [self._value(kind) for _ in range(length)]

    def _bytes(self, length: int) -> bytes:
        self.at += length
        return self._data[self.at - length : self.at]

    def _byte(self) -> int:
        self.at += 1
        return self._data[self.at - 1]

    def _unsigned(self) -> int:
        x = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            x |= (byte & 0x7F) << shift
            if byte < 0x80:
                return x
        raise ValueError("a number of more than 64 bits")

    def _signed(self) -> int:
        x = self._unsigned()
        return x >> 1 ^ -(x & 1)
