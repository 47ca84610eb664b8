"""A pass as a table: each value with its shape and numbers, its gradient, its line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.inspect.printing import WIDTH, columns, markdown_table, number, shape, short, summary
from chainrule.inspect.sizes import norm

if TYPE_CHECKING:
    from chainrule.inspect.passes import Pass

__all__ = ["markdown_overview", "overview"]

_NAME, _WHERE = 26, 22
"""The most signs of a name, and of a line of the program."""


def overview(opened: Pass, *, everything: bool = False, limit: int | None = None) -> str:
    """Return a pass as lines of text; values without a name of their own only if asked for.

    Of more than ``limit`` values the first and the last are shown.
    """
    head = _HEAD if opened.has_lines else (*_HEAD[:-1], "")
    rows = [
        (short(name, _NAME), size, numbers, gradient, _end(where, _WHERE))
        for name, size, numbers, gradient, where in _rows(opened, everything)
    ]
    count = len(rows)
    if limit is not None and count > limit:
        rows[limit // 2 : count - limit // 2] = [("…", "", f"{count - limit} more", "", "")]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    room = WIDTH - sum(widths) + widths[2] - 2 * len(widths)
    fitting = [(*row[:2], short(row[2], room), *row[3:]) for row in [head, *rows]]
    return "\n".join([_title(opened, count), "", *columns(fitting)])


def markdown_overview(opened: Pass, *, everything: bool = False) -> str:
    """Return a pass as a table in Markdown."""
    rows = _rows(opened, everything)
    rows = [(f"`{name}`", *rest) for name, *rest in rows]  # type: ignore[misc]
    return "\n".join([_title(opened, len(rows)), "", *markdown_table([_HEAD, *rows])])


_HEAD = ("value", "shape", "mean ± std, smallest … largest", "‖gradient‖", "line")


def _title(opened: Pass, shown: int) -> str:
    label = opened.names.labels[opened.output]
    hidden = len(opened.values) - shown
    rest = f"; not shown: {hidden} without a name" if hidden > 0 else ""
    return f"{label} = {summary(opened.walk.numbers[opened.output])}{rest}"


def _rows(opened: Pass, everything: bool) -> list[tuple[str, str, str, str, str]]:
    graph, names = opened.graph, opened.names
    rows = []
    for index, node in enumerate(graph.nodes):
        if not names.is_given[index] and (not everything or index in graph.constants):
            continue
        is_active = opened.walk.active[index]
        rows.append(
            (
                names.labels[index],
                shape(node.shape),
                summary(opened.walk.numbers[index]),
                number(norm(opened.gradient(index))) if is_active else "",
                str(node.where) if opened.has_lines else "",
            )
        )
    return rows


def _end(text: str, width: int) -> str:
    """Return the end of a text that is too long, which tells lines apart."""
    return text if len(text) <= width else f"…{text[1 - width :]}"
