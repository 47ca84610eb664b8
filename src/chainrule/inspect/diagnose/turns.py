"""Which nodes of a recorded program are one line of a loop, run again at every turn.

A loop over time is recorded turn by turn: its lines come again in the same order, with the same
ops. What comes again so is found in the sequence of lines alone; nothing marks a loop in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from chainrule.graph import Graph

__all__ = ["Turn", "inner_turns", "turns_of"]

_MOST = 4000
"""Nodes of a program that is looked through."""


class Turn(NamedTuple):
    """Where in a loop a node is.

    Attributes
    ----------
    slot
        Which node of a turn it is, the same at every turn; no two loops share one.
    turn
        At which turn it runs; -1 for what stands in for the turn before the first.
    """

    slot: int
    turn: int


def turns_of(graph: Graph) -> Mapping[int, Turn]:
    """Return the place of each node that belongs to a loop; the longest loops first.

    Examples
    --------
    >>> from chainrule.graph import Spec, trace
    >>> def twice(x):
    ...     for _ in range(3):
    ...         x = np.tanh(2 * x)
    ...     return x
    >>> sorted(turns_of(trace(twice, Spec((2,)))).values())[:3]
    [Turn(slot=2, turn=0), Turn(slot=2, turn=1), Turn(slot=2, turn=2)]
    """
    indices = [i for i, node in enumerate(graph.nodes) if node.op is not None]
    if len(indices) > _MOST:
        return {}
    words: dict[object, int] = {}
    said = [(graph.nodes[i].where, graph.nodes[i].op) for i in indices]
    tokens = np.array([words.setdefault(word, len(words)) for word in said])
    found: dict[int, Turn] = {}
    waiting = [(0, len(tokens))]
    while waiting:
        first, end = waiting.pop()
        period, start, length = _longest(tokens[first:end])
        if not period:
            continue
        start += first
        for k in range(length):
            found[indices[start + k]] = Turn(indices[start + k % period], k // period)
        waiting += [(first, start), (start + length, end)]
    return _with_starts(graph, found)


def inner_turns(graph: Graph, turns: Mapping[int, Turn], parameters: Collection[int]) -> set[int]:
    """Return the nodes at turns between the first and the last, where all turns share a parameter.

    What goes wrong at one of them alone is nothing that a loop over time can do. A loop over layers
    has a parameter of its own at each turn.
    """
    read: dict[tuple[int, int], set[int]] = {}
    for index, at in turns.items():
        for i in graph.nodes[index].inputs:
            if i in parameters and i not in turns:
                read.setdefault((at.slot, i), set()).add(at.turn)
    if not any(len(each) > 2 for each in read.values()):
        return set()
    last = {at.slot: at.turn for at in sorted(turns.values(), key=lambda at: at.turn)}
    return {i for i, at in turns.items() if 0 < at.turn < last[at.slot]}


def _with_starts(graph: Graph, found: dict[int, Turn]) -> dict[int, Turn]:
    """Add what a loop starts with: at the first turn it is read where the turn before is later."""
    first = {at.slot: i for i, at in found.items() if at.turn == 0}
    second = {at.slot: i for i, at in found.items() if at.turn == 1}
    starts = {}
    for slot in first.keys() & second.keys():
        for i, j in zip(
            graph.nodes[first[slot]].inputs, graph.nodes[second[slot]].inputs, strict=False
        ):
            at = found.get(j)
            if i not in found and at is not None and at.turn == 0:
                starts[i] = Turn(at.slot, -1)
    return {**found, **starts}


def _longest(tokens: NDArray[np.int64]) -> tuple[int, int, int]:
    """Return the period, start and length of what repeats itself longest; zeros if nothing does."""
    x = tokens
    best = (0, 0, 0)
    for period in range(1, len(x) // 2 + 1):
        ends = np.flatnonzero(np.r_[x[period:] != x[:-period], True])
        runs = np.diff(np.r_[-1, ends]) - 1
        k = int(np.argmax(runs))
        if runs[k] >= period and runs[k] > best[2] - best[0]:
            best = (period, int(ends[k] - runs[k]), int(runs[k]) + period)
    return best
