"""Where rows of text end: at a line break outside of quotes; parity of quotes says which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["end_of_text", "last_end", "line_of", "outside_quotes", "row_ends", "until"]

_QUOTE, _NEWLINE = ord('"'), ord("\n")


def end_of_text(path: Path) -> int:
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


def last_end(data: bytes) -> int:
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


def until(data: bytes, rows: int) -> bytes:
    """Return the first rows."""
    ends = row_ends(data)
    return data if len(ends) <= rows else data[: ends[rows - 1]]


def outside_quotes(bytes_: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return which bytes are outside of quotes; a quote that opens is not, one that closes is."""
    is_quote = bytes_ == _QUOTE
    if not np.any(is_quote):
        return np.ones(len(bytes_), bool)
    is_outside: NDArray[np.bool_] = ~np.bitwise_xor.accumulate(is_quote)
    return is_outside


def row_ends(data: bytes) -> NDArray[np.int64]:
    """Return where rows end, which may have line breaks between quotes."""
    bytes_ = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero((bytes_ == _NEWLINE) & outside_quotes(bytes_)) + 1
    return ends if len(ends) and ends[-1] == len(data) else np.append(ends, len(data))


def line_of(data: bytes, ends: NDArray[np.int64], row: int, first: int) -> int:
    """Return the line of the file that a row begins on; ``first`` is that of the data."""
    start = int(ends[row - 1]) if row else 0
    return first + data.count(b"\n", 0, start)
