"""Telling the outer traces where the nodes of a derivative come from."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from chainrule.graph import Origin, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["marked"]


@contextmanager
def _marked(y: Value, rule: str) -> Iterator[None]:
    levels = []
    level: Any = y
    while type(level) is Value:
        tracer = level.tracer
        levels.append((tracer, tracer.here))
        tracer.here = (tracer.graph.nodes[level.index].where, Origin(level.index, rule))
        level = level.number
    try:
        yield
    finally:
        for tracer, before in levels:
            tracer.here = before


class _Unmarked:
    """The context for plain numbers: nothing to tell."""

    def __enter__(self) -> None:
        """Enter."""

    def __exit__(self, *_: object) -> None:
        """Leave."""


_PLAIN = _Unmarked()


def marked(y: Any, rule: str) -> Any:
    """Return a context in which what is recorded comes from the node of y, by this rule."""
    return _marked(y, rule) if type(y) is Value else _PLAIN
