"""What a long formula uses more than once, as lines of its own.

A formula is a graph; written on one line, what it uses twice is written twice. That is what a
reader wants while it is short. A long one says first what its larger repeated parts are.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from chainrule.explain.latex import latex
from chainrule.explain.reader import Formula
from chainrule.explain.source import source

if TYPE_CHECKING:
    from chainrule.explain.reader import Reader
    from chainrule.graph import Graph

__all__ = ["equation"]

_LONG = 16
"""Calls in one line from which on its repeated parts are taken out."""
_PART = 3
"""Calls that a part has at least."""


def equation(left: Formula, reader: Reader, index: int) -> Formula:
    """Return the lines that compute a node: one, unless it is long and repeats itself.

    Parameters
    ----------
    left
        What the node is called.
    reader
        The graph, and what is a name in it.
    index
        The node.
    """
    texts = dict(reader.texts)
    inner = replace(reader, texts=texts)
    before: list[Formula] = []
    taken = {text.numpy for text in texts.values()}
    numbers = (k for k in itertools.count(1) if f"t{k}" not in taken)
    for place, k in zip(_repeated(reader, index), numbers, strict=False):
        part = Formula(f"t{k}", f"t_{{{k}}}")
        before.append(_assigned(part, inner, place))
        texts[place] = part
    whole = _assigned(left, inner, index)
    return Formula(
        "\n".join(line.numpy for line in (*before, whole)),
        r", \quad ".join(line.latex for line in (whole, *before)),
    )


def _assigned(left: Formula, reader: Reader, index: int) -> Formula:
    return Formula(
        f"{left.numpy} = {source(reader, index)}", f"{left.latex} = {latex(reader, index)}"
    )


def _repeated(reader: Reader, index: int) -> list[int]:
    """Return the nodes of a long formula that are used more than once, in order."""
    graph, needed = reader.graph, _needed(reader, index)
    sizes = _sizes(reader, needed, frozenset())
    if sizes[index] < _LONG:
        return []
    uses = Counter(i for place in needed for i in _operands(reader, place))
    shared: list[int] = []
    for place in needed[:-1]:
        sizes = _sizes(reader, needed, frozenset(shared))
        if uses[place] > 1 and graph.nodes[place].op is not None and sizes[place] >= _PART:
            shared.append(place)
    return shared


def _operands(reader: Reader, index: int) -> tuple[int, ...]:
    """Return what a node is written with; nothing for one that has a name."""
    return () if index in reader.texts else reader.graph.nodes[index].inputs


def _needed(reader: Reader, index: int) -> list[int]:
    """Return the nodes that a formula is made of, in order."""
    needed, waiting = set(), [index]
    while waiting:
        place = waiting.pop()
        if place not in needed:
            needed.add(place)
            waiting += _operands(reader, place)
    return sorted(needed)


def _sizes(reader: Reader, needed: list[int], names: frozenset[int]) -> dict[int, int]:
    """Return how many calls each node is written with."""
    graph: Graph = reader.graph
    sizes: dict[int, int] = {}
    for place in needed:
        is_call = graph.nodes[place].op is not None and place not in reader.texts
        inner = [0 if i in names else sizes[i] for i in _operands(reader, place)]
        sizes[place] = is_call + sum(inner)
    return sizes
