"""What a user's lines leave in their variables: a copy of each array, line by line.

Python tells a trace function of every line that is about to run. After a line the local arrays
are compared with what they were before it: what is new or changed belongs to that line. Only
frames of the user's code are watched, and whatever traced before goes on afterwards.
"""

from __future__ import annotations

import ast
import functools
import linecache
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors.root import is_library
from chainrule.graph import Value, Where
from chainrule.inspect.probe import Observed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

__all__ = ["Named", "Watcher", "is_users", "statement"]

_PYTHON = f"{Path(ast.__file__).parent}{os.sep}"
LARGEST = 1 << 21
"""Entries; a larger array is not copied at every line."""
MOST = 4000
"""Observations; a loop over entries leaves no more."""


def is_users(frame: FrameType) -> bool:
    """Return whether what runs is the user's, and neither ours, nor NumPy's, nor Python's own."""
    file = frame.f_code.co_filename
    if is_library(file):
        return False
    if file == "<string>" and str(frame.f_globals.get("__name__", "")).startswith("chainrule."):
        return False  # the __init__ of a dataclass of ours stands in no file
    return not file.startswith(_PYTHON) or "-packages" in file


class _Lines:
    """Follows the user's lines while it is entered."""

    def __enter__(self) -> Any:
        self._outer = sys.gettrace()
        self._last: dict[FrameType, int] = {}
        sys.settrace(self._enter)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        sys.settrace(self._outer)

    def _enter(self, frame: FrameType, event: str, _: Any) -> Any:
        if event != "call" or not is_users(frame):
            return None
        self.begin(frame)
        self._last[frame] = frame.f_lineno
        return self._follow

    def _follow(self, frame: FrameType, event: str, _: Any) -> Any:
        if event in {"line", "return"}:
            self.after(frame, Where(frame.f_code.co_filename, self._last[frame]))
            self._last[frame] = frame.f_lineno
        return self._follow

    def begin(self, frame: FrameType) -> None:
        """See a function begin."""

    def after(self, frame: FrameType, where: Where) -> None:
        """See a line that has run."""


class Watcher(_Lines):
    """Copies every array that a line of the user's leaves in a variable.

    Attributes
    ----------
    observed
        In the order in which the lines ran.
    """

    def __init__(self) -> None:
        self.observed: list[Observed] = []
        self._known: dict[FrameType, dict[str, Any]] = {}

    def begin(self, frame: FrameType) -> None:
        """Remember what a function is called with, which no line of it has made."""
        self._known[frame] = {name: np.array(x) for name, x in _arrays(frame)}

    def after(self, frame: FrameType, where: Where) -> None:
        """Copy what is new or changed."""
        known = self._known[frame]
        for name, x in _arrays(frame):
            before = known.get(name)
            if len(self.observed) >= MOST or (before is not None and _same(before, x)):
                continue
            known[name] = np.array(x)
            self.observed.append(Observed(name, known[name], where, statement(where)))


class Named(_Lines):
    """Finds the variables of the user's that stand for the values of a trace.

    Attributes
    ----------
    nodes
        For each name the nodes that it stood for, in their order.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, list[int]] = {}

    def after(self, frame: FrameType, where: Where) -> None:
        """Note what names stand for."""
        del where
        for name, x in _held(frame, Value):
            nodes = self.nodes.setdefault(name, [])
            if not nodes or nodes[-1] != x.index:
                nodes.append(x.index)


def _arrays(frame: FrameType) -> Iterator[tuple[str, Any]]:
    for name, x in _held(frame, (np.ndarray, np.floating)):
        if x.dtype.kind in "fiub" and x.size <= LARGEST:
            yield name, x


def _held(frame: FrameType, kind: Any) -> Iterator[tuple[str, Any]]:
    """Iterate over what local variables hold, themselves or one container or object deep."""
    for name, x in frame.f_locals.items():
        if isinstance(x, kind):
            yield name, x
        elif isinstance(x, dict):
            yield from ((f"{name}[{k!r}]", v) for k, v in list(x.items()) if isinstance(v, kind))
        elif isinstance(x, list) and len(x) < 100:
            yield from ((f"{name}[{k}]", v) for k, v in enumerate(x) if isinstance(v, kind))
        elif name == "self":
            for attribute, v in list(getattr(x, "__dict__", {}).items()):
                if isinstance(v, kind):
                    yield f"self.{attribute}", v
                elif isinstance(v, dict):
                    yield from (
                        (f"self.{attribute}[{k!r}]", part)
                        for k, part in list(v.items())
                        if isinstance(part, kind)
                    )


def _same(a: Any, b: Any) -> bool:
    return a.shape == np.shape(b) and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)


def statement(where: Where) -> str:
    """Return the statement that a line belongs to, on one line.

    Examples
    --------
    >>> statement(Where("no such file", 1))
    ''
    """
    for start, end, text in _statements(where.file):
        if start <= where.line <= end:
            return text
    return linecache.getline(where.file, where.line).strip()


@functools.lru_cache(maxsize=64)
def _statements(file: str) -> tuple[tuple[int, int, str], ...]:
    """Return the simple statements of a file that take several lines."""
    source = "".join(linecache.getlines(file))
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ()
    return tuple(
        (node.lineno, node.end_lineno or node.lineno, ast.unparse(node))
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Return | ast.Expr)
        and node.end_lineno != node.lineno
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    )
