"""The names of what a walk computed: one to show for each node, and all that lead to it.

A value is called by what was said (`chainrule.name`), else by its path among the arguments or in
a module, else by a key or variable of the program, else by its op and a number: ``exp_1``. Two
values of one name are told apart by a number: ``h``, then ``h_2``. And ``%7`` is node 7.
"""

from __future__ import annotations

import difflib
import functools
import re
from typing import TYPE_CHECKING

import numpy as np

from chainrule.errors import AxisError, UnknownNameError
from chainrule.explain.naming import variable
from chainrule.inspect.noticing import Noticed, Rank, assigned

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from chainrule.graph import Graph
    from chainrule.inspect.noticing import Instruction

__all__ = ["Names", "in_lines", "position", "written"]

_ENTRY = re.compile(r"(?P<name>.+)\[(?P<place>(-?\d+(\s*,\s*-?\d+)*)?)\]")


class Names:
    """The names of the nodes of a graph.

    Parameters
    ----------
    graph
        What was computed.
    noticed
        The names that nodes were seen to have.

    Attributes
    ----------
    labels
        The name of each node to show. No two are equal.
    is_given
        For each node, whether the label is the program's, and not made of its op.
    plain
        The label of each node before it was told apart from others.
    """

    def __init__(self, graph: Graph, noticed: Iterable[Noticed]) -> None:
        self.graph = graph
        self._found: dict[str, int] = {}
        self._of: dict[int, list[str]] = {}
        self._number: dict[str, int] = {}
        plain: dict[int, str] = {}
        for index, name, _ in sorted(dict.fromkeys(noticed), key=_order):
            plain.setdefault(index, name)
            self._add(index, name)
        self.is_given = [index in self._of for index in range(len(graph.nodes))]
        counts: dict[str, int] = {}
        for index, node in enumerate(graph.nodes):
            if not self.is_given[index]:
                word = node.op.name if node.op else "constant"
                counts[word] = counts.get(word, 0) + 1
                self._add(index, f"{word}_{counts[word]}")
        self.labels = [self._of[index][0] for index in range(len(graph.nodes))]
        self.plain = [plain.get(index, label) for index, label in enumerate(self.labels)]

    def _add(self, index: int, name: str) -> None:
        """Give a node a name, with a number if another node has it already."""
        if self._found.get(name) == index:
            return
        taken = name
        while taken in self._found:
            self._number[name] = self._number.get(name, 1) + 1
            taken = f"{name}_{self._number[name]}"
        self._found[taken] = index
        self._of.setdefault(index, []).append(taken)

    def __contains__(self, name: object) -> bool:
        return self._index(name) is not None

    def all_of(self, index: int) -> Sequence[str]:
        """Return every name of a node, the one to show first."""
        return self._of[index]

    def index(self, name: str, others: Iterable[str] = ()) -> int:
        """Return the node of a name; the others are names that are known besides.

        Raises
        ------
        UnknownNameError
            With the names that are nearest.
        """
        found = self._index(name)
        if found is None:
            raise self._unknown(name, others)
        return found

    def entry(self, name: str) -> tuple[int, int | None]:
        """Return the node of ``W1`` or ``W1[3, 4]``, and the position of the entry if there is one.

        The one entry of a number is ``x[]``.

        Raises
        ------
        AxisError
            If the array has no such entry.
        """
        if name not in self:
            parts = _ENTRY.fullmatch(str(name))
            if parts and parts["name"] in self:
                index = self.index(parts["name"])
                place = tuple(int(part) for part in parts["place"].split(",") if part)
                return index, position(place, self.graph.nodes[index].shape, parts["name"])
        return self.index(name), None

    def _index(self, name: object) -> int | None:
        if not isinstance(name, str):
            return None
        if name.startswith("%") and name[1:].isdecimal():
            index = int(name[1:])
            return index if index < len(self.graph.nodes) else None
        return self._found.get(name, self._in_lines.get(name))

    @functools.cached_property
    def _in_lines(self) -> dict[str, int]:
        """The nodes by what lines of Python call them, where that is another name."""
        found: dict[str, int] = {}
        for index, label in enumerate(self.labels):
            found.setdefault(in_lines(label), index)
            found.setdefault(variable(in_lines(label)), index)
        return found

    def _unknown(self, name: object, others: Iterable[str]) -> UnknownNameError:
        known = [*self._known(), *others]
        near = difflib.get_close_matches(str(name), known, n=4, cutoff=0.5)
        listed = ", ".join(known[:12]) + (f", … ({len(known)} in all)" if len(known) > 12 else "")
        return UnknownNameError(
            f"nothing in this pass is called {name!r}.",
            f"there are {listed or 'no values'}",
            advice=f"Did you mean {' or '.join(near)}?" if near else "",
        )

    def _known(self) -> Iterator[str]:
        """Iterate over the names, those of the program first."""
        yield from (name for name, given in zip(self.labels, self.is_given, strict=True) if given)
        nodes = self.graph.nodes
        for index, given in enumerate(self.is_given):
            if not given and nodes[index].op is not None:
                yield self.labels[index]


def in_lines(name: str) -> str:
    """Return ``layer0.weight`` for ``0.weight``, of the first module of a chain."""
    return f"layer{name}" if name[:1].isdigit() else name


def _order(one: Noticed) -> tuple[int, int]:
    return one.rank, one.node


def position(place: tuple[int, ...], shape: tuple[int, ...], name: str) -> int:
    """Return where an entry stands in the flattened array."""
    fits = len(place) == len(shape) and all(
        -length <= i < length for i, length in zip(place, shape, strict=True)
    )
    if not fits:
        raise AxisError(
            f"{name} has no entry {list(place)}: its shape is {list(shape)}.",
            advice="Give one position for each axis, as in W1[4, 2].",
        )
    front = tuple(i % length for i, length in zip(place, shape, strict=True))
    return int(np.ravel_multi_index(front, shape)) if shape else 0


def written(graph: Graph, spots: Mapping[int, Instruction]) -> Iterator[Noticed]:
    """Iterate over the variables that the lines of a program assign its nodes to.

    A call of a library may record several nodes; the last is its result, if all lead to it.
    """
    order = sorted(spots)
    for k, index in enumerate(order):
        if k + 1 < len(order) and spots[order[k + 1]] == spots[index]:
            continue
        first = k
        while first > 0 and spots[order[first - 1]] == spots[index]:
            first -= 1
        name = assigned(spots[index])
        if name and _leads(graph, order[first:k], index):
            yield Noticed(index, name, Rank.VARIABLE)


def _leads(graph: Graph, indices: Sequence[int], end: int) -> bool:
    """Return whether all nodes are used on the way to one."""
    reached, waiting = set(), [end]
    floor = indices[0] if indices else end
    while waiting:
        node = waiting.pop()
        if node >= floor and node not in reached:
            reached.add(node)
            waiting += graph.nodes[node].inputs
    return reached.issuperset(indices)
