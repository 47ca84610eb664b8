"""Numbers, columns and tables as text: for a terminal, in Markdown, in LaTeX."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.sizes import mean_and_deviation

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "columns",
    "fraction",
    "markdown_table",
    "number",
    "shape",
    "short",
    "summary",
    "wrapped",
]

WIDTH = 100
"""No line is longer."""

_ROUNDING = 1e-14


def number(x: float) -> str:
    """Return four digits.

    Examples
    --------
    >>> number(0.123456), number(-1e-9)
    ('0.1235', '-1e-09')
    """
    return f"{x:.4g}"


def fraction(x: float) -> str:
    """Return `` (1/32)`` beside 0.03125.

    Examples
    --------
    >>> fraction(0.03125), fraction(0.3)
    (' (1/32)', '')
    """
    if x == 0 or not np.isfinite(x):
        return ""
    whole = round(1 / x)
    return f" (1/{whole})" if abs(whole) > 1 and abs(1 / x - whole) <= 1e-9 * abs(whole) else ""


def shape(lengths: Sequence[int]) -> str:
    """Return ``3×4`` for an array's shape, empty for a number's.

    Examples
    --------
    >>> shape((3, 4)), shape((5,)), shape(())
    ('3×4', '5', '')
    """
    return "×".join(map(str, lengths))


def summary(x: Any) -> str:
    """Return an array in a few words: mean, spread, ends; a number as it is.

    Examples
    --------
    >>> summary(np.array([1.0, 2.0, 6.0])), summary(np.float64(0.5))
    ('3 ± 2.16, 1 … 6', '0.5')
    """
    x = np.asarray(x)
    if not x.size:
        return "empty"
    if not x.shape:
        return number(x.item())
    finite = x[np.isfinite(x)]
    odd = x.size - finite.size
    note = f", {odd} not finite" if odd else ""
    if not finite.size:
        return f"none of {x.size} finite"
    x = finite.astype(float)
    low, high = (f"{end:.3g}" for end in (np.min(x), np.max(x)))
    if low == high:
        return f"all {low}{note}"
    mean, deviation = mean_and_deviation(x)
    if abs(mean) < _ROUNDING * np.max(np.abs(x)):  # a sum that is 0 but for rounding
        mean = 0.0
    return f"{mean:.3g} ± {deviation:.3g}, {low} … {high}{note}"


def short(text: str, width: int) -> str:
    """Return a text in so many signs at most."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def wrapped(title: str, text: str) -> list[str]:
    """Return a text in lines that are no wider than a page, the first with a title.

    Examples
    --------
    >>> wrapped("gradient  ", "dW = X.T @ dZ")
    ['  gradient  dW = X.T @ dZ']
    """
    room = " " * (len(title) + 2)
    lines: list[str] = []
    for line in text.splitlines():
        lines += textwrap.wrap(
            line,
            WIDTH,
            initial_indent=room if lines else f"  {title}",
            subsequent_indent=f"{room}    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def columns(rows: Sequence[Sequence[str]], indent: str = "  ") -> list[str]:
    """Return rows as lines with columns under each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=True)]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines


def markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows, the first of them a head, as a table in Markdown."""
    head, *body = [f"| {' | '.join(text.replace('|', '∣') for text in row)} |" for row in rows]
    return [head, "|" + " --- |" * len(rows[0]), *body]
