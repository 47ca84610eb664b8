"""What is wrong with a text file, and on which line."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import numpy as np

from chainrule.errors import CellError, DataError
from chainrule.interop.data.row_ends import line_of, outside_quotes, row_ends

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

__all__ = [
    "require_equal_rows",
    "require_paired_quotes",
    "text_in_numbers",
    "unreadable",
    "wrong_encoding",
]

_QUOTE = ord('"')
_WIDE = (b"\xff\xfe", b"\xfe\xff")


def wrong_encoding(name: str, data: bytes, reason: str, line: int, at: int = 0) -> NoReturn:
    """Raise the error of bytes that are no UTF-8; ``line`` is that of the first of them."""
    line += data[:at].count(b"\n")
    old = "utf-16" if data.startswith(_WIDE) else "latin1"
    raise DataError(
        f"line {line} of {name} is not UTF-8: {reason}.",
        f"found: {data[max(0, at - 15) : at + 15]!r}",
        advice=f"Write the file as UTF-8, as in: iconv -f {old} -t utf-8 OLD > NEW",
    )


def require_paired_quotes(name: str, data: bytes, separator: str, line: int) -> None:
    """Refuse quotation marks that do not enclose a field.

    One that opens stands behind a separator or a line break, or is the second of two; one that
    closes stands before them.
    """
    bytes_ = np.frombuffer(data, np.uint8)
    is_quote = bytes_ == _QUOTE
    if not np.any(is_quote):
        return
    edges = np.isin(bytes_, np.frombuffer(f'{separator}\r\n"'.encode(), np.uint8))
    is_closing = is_quote & outside_quotes(bytes_)
    is_opening = is_quote & ~is_closing
    before, after = np.append(True, edges[:-1]), np.append(edges[1:], True)
    bad = np.flatnonzero((is_opening & ~before) | (is_closing & ~after))
    opened = np.flatnonzero(is_opening)
    if len(bad):
        at = int(opened[opened <= bad[0]][-1])
    elif np.count_nonzero(is_quote) % 2:
        at = int(opened[-1])
    else:
        return
    start = data.rfind(b"\n", 0, at) + 1
    text = data[start:].split(b"\n", 1)[0].decode(errors="replace").rstrip("\r")
    line += data.count(b"\n", 0, at)
    raise DataError(
        f"line {line} of {name} has a quotation mark that does not enclose a whole field.",
        f"it reads: {text[:70]!r}",
        advice="Put quotation marks around the whole field and write those inside of it twice: "
        '"5"" pipe".',
    )


def require_equal_rows(
    name: str, data: bytes, rows: int, line: int, names: Sequence[str], separator: str
) -> None:
    """Refuse rows that are shorter or longer than the first line says; -1 rows if unknown."""
    bytes_ = np.frombuffer(data, np.uint8)
    is_separator = bytes_ == ord(separator)
    expected = len(names) - 1
    if expected and rows >= 0 and np.count_nonzero(is_separator) == rows * expected:
        return
    ends = row_ends(data)
    places = np.flatnonzero(is_separator & outside_quotes(bytes_))
    starts = np.concatenate([[0], ends[:-1]])
    counts = np.searchsorted(places, ends) - np.searchsorted(places, starts)
    wrong = np.flatnonzero(counts != expected)
    if not len(wrong):
        return
    require_paired_quotes(name, data, separator, line)
    at = int(wrong[0])
    text = data[starts[at] : ends[at]].decode(errors="replace").strip("\r\n")
    found = int(counts[at]) + 1 if text else 0
    raise DataError(
        f"line {line_of(data, ends, at, line)} of {name} has {found} "
        f"field{'s' if found != 1 else ''}, where the first line names {expected + 1} "
        f"column{'s' if expected else ''}.",
        f"it reads: {text[:70]!r}" if text else "it is empty",
        f"columns: {', '.join(names[:8])}{', …' if expected >= 8 else ''}",
        advice="Correct that line; text with a separator in it needs quotes around it."
        if text
        else "Take empty lines out, as in: grep -v '^$' OLD > NEW",
    )


def text_in_numbers(
    name: str, data: bytes, line: int, column: pl.Series, bad: pl.Series
) -> NoReturn:
    """Raise the error of text where numbers were; ``bad`` are its rows."""
    ends = row_ends(data)
    shown = [(line_of(data, ends, k, line), column[k]) for k in bad[:3].to_list()]
    first = str(shown[0][1])
    raise CellError(
        f"column {column.name!r} of {name} has numbers, and text on line {shown[0][0]}.",
        *[f"line {at}: {value!r}" for at, value in shown],
        *([f"and {len(bad) - 3} further in the same block"] if len(bad) > 3 else []),
        advice=f"Correct the file; --missing {first!r} reads that text as a missing value, "
        f"--categorical {column.name} the whole column as names of categories.",
    )


def unreadable(name: str, data: bytes, separator: str, line: int, said: str) -> NoReturn:
    """Raise the error of text that cannot be parsed, for whatever reason is found."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        wrong_encoding(name, data[: error.end + 20], error.reason, line, error.start)
    require_paired_quotes(name, data, separator, line)
    raise DataError(
        f"{name} cannot be read from line {line} on.",
        said.splitlines()[0],
        advice="Compare the lines there with the rest of the file.",
    )
