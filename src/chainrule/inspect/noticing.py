"""What the user's program calls its values: seen while it runs, and read in its lines afterwards.

Whenever an op is recorded, the variables of the functions that are running are looked at: one
that holds a value of the trace is a name of it, and so is the key of a dictionary that does. What
is assigned last before a function returns is not seen that way. For this, each node keeps the
instruction that recorded it, and the source says what the result of the instruction is assigned
to, if anybody asks.
"""

from __future__ import annotations

import ast
import functools
import itertools
import linecache
import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.errors.root import is_library
from chainrule.graph import Tracer, Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import CodeType, FrameType

    from chainrule.graph import Op

__all__ = ["Instruction", "Noticed", "Noticing", "Rank", "assigned"]

_MOST = 64
"""Entries of a dictionary that are looked at, the newest."""


class Rank:
    """Which of several names of a value is shown: that of the lowest rank."""

    SAID = 0
    """By `chainrule.name`."""
    PATH = 1
    """An argument, a key of a container of arguments, a path in a module."""
    KEY = 2
    """A key of a dictionary of the program."""
    VARIABLE = 3
    PLACE = 4
    """A place in a container of arguments."""
    RESULT = 5
    """What the function as a whole is called."""
    ROLE = 6
    """What a value is in any pass: the loss, the output."""


class Noticed(NamedTuple):
    """A name that a node was seen to have."""

    node: int
    name: str
    rank: int


class Instruction(NamedTuple):
    """The instruction of the user's program that recorded a node."""

    code: CodeType
    offset: int


Span = tuple[int | None, int | None, int | None, int | None]
"""First line, last line, first column, last column of an expression."""


class Noticing(Tracer):
    """A tracer that sees what the program calls its values.

    Attributes
    ----------
    noticed
        Names in the order in which they were seen.
    spots
        For each node of an op, the instruction that recorded it.
    """

    def __init__(self, *, keep_flat: bool = False) -> None:
        super().__init__(keep_flat=keep_flat)
        self.noticed: dict[Noticed, None] = {}
        self.spots: dict[int, Instruction] = {}
        self._floor = id(sys._getframe(1))  # noqa: SLF001 - functions below are not asked
        self._running: dict[FrameType, dict[Any, int]] = {}

    def record(self, op: Op, operands: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """Record a call, and look at the variables that there are."""
        frames = [] if self.here else list(self._frames())
        self._look(frames)
        y = super().record(op, operands, attributes)
        if frames and type(y) is Value:
            self.spots[y.index] = Instruction(frames[0].f_code, frames[0].f_lasti)
            for x, index in zip(operands, self.graph.nodes[y.index].inputs, strict=True):
                if type(x) is np.ndarray and x.shape:
                    self._notice_constant(frames[0], x, index)
        return y

    def close(self) -> None:
        """End the trace, and let go of the functions that ran."""
        super().close()
        self._running = {}

    def label(self, index: int, text: str) -> None:
        """Call a node by a name."""
        super().label(index, text)
        self.noticed[Noticed(index, text, Rank.SAID)] = None

    def _frames(self) -> Iterator[FrameType]:
        """Iterate over the functions of the user's that are running, the innermost first."""
        frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - the way to what is running
        while frame is not None and id(frame) != self._floor:
            if not is_library(frame.f_code.co_filename):
                yield frame
            frame = frame.f_back

    def _look(self, frames: Sequence[FrameType]) -> None:
        """Notice the values that variables hold: of all functions, if another one is running."""
        looked_at = frames[:1]
        if list(self._running) != frames:
            looked_at = frames
            before = self._running
            self._running = {f: before[f] if f in before else _arguments(f) for f in frames}
        for frame in reversed(looked_at):
            if frame.f_locals is frame.f_globals:
                continue
            seen = self._running[frame]
            for name, x in frame.f_locals.items():
                if type(x) is Value:
                    if seen.get(name) != x.index:
                        seen[name] = x.index
                        self._notice(x, name, Rank.VARIABLE)
                elif type(x) is dict:
                    for key, inside in itertools.islice(reversed(x.items()), _MOST):
                        if (
                            type(inside) is Value
                            and type(key) is str
                            and seen.get((name, key)) != inside.index
                        ):
                            seen[name, key] = inside.index
                            self._notice(inside, key, Rank.KEY)

    def _notice_constant(self, frame: FrameType, x: Any, index: int) -> None:
        """Notice the variable that holds an array from around the function, or its attribute."""
        around = frame.f_globals
        read = [(name, around[name]) for name in frame.f_code.co_names if name in around]
        variables = [*frame.f_locals.items(), *read]
        for name, known in variables:
            if known is x or _is_turned(x, known):
                self.noticed[Noticed(index, name + ".T" * (known is not x), Rank.VARIABLE)] = None
                return
        for owner, known in variables:
            for name, part in itertools.islice(_inside(known), _MOST):
                if type(name) is str and (part is x or _is_turned(x, part)):
                    turned = ".T" * (part is not x)
                    self.noticed[Noticed(index, name + turned, Rank.VARIABLE)] = None
                    self.noticed[Noticed(index, f"{owner}.{name}{turned}", Rank.PLACE)] = None
                    return

    def _notice(self, value: Value, name: str, rank: int) -> None:
        level: Any = value
        while type(level) is Value and level.tracer is not self:
            level = level.number
        if type(level) is Value and name.isprintable() and not name.startswith("."):
            self.noticed[Noticed(level.index, name, rank)] = None


def _is_turned(x: Any, known: Any) -> bool:
    """Return whether an array is another one's transpose."""
    return type(known) is np.ndarray and x.base is known and x.strides == known.strides[::-1]


def _inside(x: Any) -> Iterator[tuple[Any, Any]]:
    """Iterate over the attributes of an object of the user's, or the keys of a dictionary."""
    kind = type(x)
    if kind is dict:
        return iter(x.items())
    if isinstance(x, type | ModuleType | FunctionType):
        return iter(())
    return iter(getattr(x, "__dict__", {}).items())


def _arguments(frame: FrameType) -> dict[Any, int]:
    """Return the nodes that the arguments of a function stand for: those are others' values."""
    code, here = frame.f_code, frame.f_locals
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return {name: here[name].index for name in names if type(here.get(name)) is Value}


# ------------------------------------------------------------------ what the lines say


def assigned(spot: Instruction) -> str:
    """Return what the result of an instruction is assigned to, empty if it is not."""
    positions = list(spot.code.co_positions())
    place = spot.offset // 2
    if not 0 <= place < len(positions):
        return ""
    lines = linecache.getlines(spot.code.co_filename)
    return _targets("".join(lines)).get(positions[place], "")


@functools.lru_cache(maxsize=32)
def _targets(source: str) -> dict[Span, str]:
    """Return what each expression of a program is assigned to, by its span."""
    found: dict[Span, str] = {}
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return found
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Assign):
            found[_span(statement.value)] = _text(statement.targets[-1])
        elif isinstance(statement, ast.AnnAssign | ast.NamedExpr) and statement.value is not None:
            found[_span(statement.value)] = _text(statement.target)
        elif isinstance(statement, ast.AugAssign):
            found[_span(statement)] = _text(statement.target)
    return found


def _span(node: ast.expr | ast.stmt) -> Span:
    return node.lineno, node.end_lineno, node.col_offset, node.end_col_offset


def _text(target: ast.expr) -> str:
    """Return ``hidden`` for a variable, ``hidden`` for ``self.hidden``, ``h[0]``, ``W1`` by key."""
    if isinstance(target, ast.Name):
        return target.id
    if isinstance(target, ast.Attribute):
        return target.attr
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        key = target.slice.value
        return key if isinstance(key, str) else ""
    return ""
