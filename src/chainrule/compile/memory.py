"""Work memory, given out by lifetimes: what is no longer needed is used again."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Array", "Copy", "Place", "WorkMemory"]

_LINE = 64
"""Bytes of a cache line: every array begins at one."""


class Place(NamedTuple):
    """Where the numbers of a node begin.

    Attributes
    ----------
    kind
        "input", "output" and "constant" are passed from outside, "work" is shared memory.
    array
        Which of those that are passed.
    offset
        In elements.
    """

    kind: str
    array: int
    offset: int


class Array(NamedTuple):
    """A piece of memory from outside.

    Attributes
    ----------
    kind
        "input", "constant" or "output".
    which
        The node that it holds; of an output, which of the outputs it is.
    """

    kind: str
    which: int


class Copy(NamedTuple):
    """An output that is put into the memory of an input at the very end.

    Attributes
    ----------
    node
        The output.
    target
        Where the input begins.
    """

    node: int
    target: Place


class WorkMemory:
    """One piece of memory in which arrays come and go.

    Examples
    --------
    >>> memory = WorkMemory()
    >>> memory.take("a", 100), memory.take("b", 4)
    (0, 128)
    >>> memory.release("a")
    >>> memory.take("c", 8)
    0
    >>> memory.size
    192
    """

    def __init__(self) -> None:
        self.size = 0
        self._free: list[tuple[int, int]] = []
        self._taken: dict[Hashable, tuple[int, int, int]] = {}

    def take(self, key: Hashable, count: int) -> int:
        """Return where an array of so many bytes begins; the smallest gap that it fits into."""
        if key in self._taken:
            return self._taken[key][0]
        needed = max(-(-count // _LINE) * _LINE, _LINE)
        fitting = [(length, start) for start, length in self._free if length >= needed]
        if fitting:
            length, start = min(fitting)
            self._free.remove((start, length))
            if length > needed:
                self._free.append((start + needed, length - needed))
        else:
            start = self.size
            for gap, length in self._free:
                if gap + length == self.size:  # the last gap grows
                    self._free.remove((gap, length))
                    start = gap
                    break
            self.size = start + needed
        self._taken[key] = (start, needed, count)
        return start

    def bytes_of(self, key: Hashable) -> int:
        """Return how many bytes an array has, -1 if it is not here."""
        return self._taken[key][2] if key in self._taken else -1

    def hand_over(self, old: Hashable, new: Hashable) -> None:
        """Let an array be where another was."""
        self._taken[new] = self._taken.pop(old)

    def release(self, key: Hashable) -> None:
        """Give back the memory of an array; one that was handed over is no longer here."""
        if key not in self._taken:
            return
        start, length, _ = self._taken.pop(key)
        self._free.append((start, length))
        self._free.sort()
        merged: list[tuple[int, int]] = []
        for gap, more in self._free:
            if merged and merged[-1][0] + merged[-1][1] == gap:
                merged[-1] = (merged[-1][0], merged[-1][1] + more)
            else:
                merged.append((gap, more))
        self._free = merged
