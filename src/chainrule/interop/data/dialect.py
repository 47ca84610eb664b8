"""How a text file is written: separators, spaces, decimal commas, dates, and its first line."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING

import numpy as np

from chainrule.errors import DataError
from chainrule.interop.data.faults import wrong_encoding
from chainrule.interop.data.row_ends import outside_quotes
from chainrule.interop.data.source import FEW, require_columns

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

__all__ = [
    "SEPARATOR_WORDS",
    "expected_separator",
    "first_record",
    "found_separator",
    "header",
    "is_padded",
    "looks_numeric",
    "unpadded",
]

SEPARATOR_WORDS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_NUMERIC = r"^[-+]?[$€£]?\s?\d[\d.,'\s]*\s?[%$€£]?$"
"""Numbers as people write them: 1,234.50, 1 000, 5 %, 3,7."""


def first_record(path: Path) -> bytes:
    """Return the first line, which may have line breaks between quotes.

    Raises
    ------
    DataError
        It is empty, or no UTF-8 text.
    """
    with path.open("rb") as file:
        head = file.readline()
        while head.count(b'"') % 2 and (more := file.readline()):
            head += more
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head:
        wrong_encoding(str(path), head, "it is not UTF-8 text", 1)
    if head.startswith(b"\x1f\x8b"):
        raise DataError(
            f"{path} is compressed by gzip, and not UTF-8 text.",
            advice="Unpack it: gunzip -c OLD > NEW",
        )
    if b"\r" in head.rstrip(b"\r\n") and not head.endswith(b"\n"):
        raise DataError(
            f"the lines of {path} end with \\r alone.",
            "expected: \\n or \\r\\n at the end of each line",
            advice="Write its lines anew, as in: tr '\\r' '\\n' < OLD > NEW",
        )
    if not head.strip(b"\xef\xbb\xbf\r\n\t "):
        is_empty = not path.stat().st_size
        raise DataError(
            f"{path} is empty." if is_empty else f"the first line of {path} is empty.",
            "expected: names of columns in the first line, and rows below",
            advice="Check that the file was written and copied whole.",
        )
    return head


def expected_separator(path: Path) -> str:
    """Return what the end of a name says of its separator."""
    return "\t" if path.suffix.lower() in {".tsv", ".tab"} else ","


def found_separator(head: bytes, path: Path) -> str:
    """Return what stands between the fields of the first line."""
    expected = expected_separator(path)
    bare = b"".join(head.split(b'"')[::2])
    counts = {s: bare.count(s.encode()) for s in SEPARATOR_WORDS}
    best = max(counts, key=lambda s: counts[s])
    return expected if counts[expected] or not counts[best] else best


def header(head: bytes, separator: str, name: str) -> list[str]:
    """Return the names of columns that a first line says.

    Raises
    ------
    DataError
        They are not UTF-8, not there, or two are the same.
    """
    try:
        text = head.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        wrong_encoding(name, head, str(error.reason), 1)
    try:
        fields = next(csv.reader([text], delimiter=separator, skipinitialspace=True), [])
    except csv.Error as error:
        raise DataError(
            f"the first line of {name} cannot be read: {error}.",
            f"line 1: {text[:70]!r}",
            advice="Write the names of the columns into the first line.",
        ) from error
    names = [field.strip() for field in fields]
    require_columns(names, f"the first line of {name}")
    if "" in names:
        raise DataError(
            f"column {names.index('') + 1} of {name} has no name.",
            f"names: {', '.join(map(repr, names[:8]))}",
            advice="Give each column a name in the first line; pandas leaves its index out with "
            "to_csv(index=False).",
        )
    if all(_is_number(field) for field in names):
        raise DataError(
            f"the first line of {name} is numbers, where names of columns were expected.",
            f"line 1: {text[:70]}",
            advice="Write the names of the columns into the first line.",
        )
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# ---------------------------------------------------------------------- spaces beside separators


def is_padded(data: bytes, separator: str) -> bool:
    """Return whether fields have spaces before them: nine in ten of the separators do."""
    bytes_ = np.frombuffer(data, np.uint8)
    is_separator = (bytes_[:-1] == ord(separator)) & outside_quotes(bytes_)[:-1]
    count = np.count_nonzero(is_separator)
    spaces = np.count_nonzero(is_separator & (bytes_[1:] == ord(" ")))
    return bool(count and spaces >= (1 - FEW) * count)


def unpadded(data: bytes, separator: str) -> bytes:
    """Return rows without the spaces on both sides of their fields."""
    mark = re.escape(separator.encode())
    spaces = re.compile(rb"(?:(?<=" + mark + rb")|^) +| +(?=" + mark + rb"|\r?$)", re.MULTILINE)
    parts = data.split(b'"')
    parts[::2] = [spaces.sub(b"", part) for part in parts[::2]]  # the others are between quotes
    return b'"'.join(parts)


# ---------------------------------------------------------------------- columns of text


def looks_numeric(column: pl.Series) -> bool:
    """Return whether a reader would take a column of text for numbers."""
    count = int(column.str.contains(_NUMERIC).sum())
    return bool(len(column)) and count >= (1 - FEW) * len(column)
