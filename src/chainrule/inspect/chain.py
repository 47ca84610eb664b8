"""The entries of a pass, the local derivatives between them, and the search for large routes."""

from __future__ import annotations

import heapq
import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chainrule.inspect.passes import Pass

__all__ = ["Chain", "Entry", "Hop", "Partial"]

_PATIENCE = 200
"""Entries to visit for each route wanted, before the rest is left as one number."""


class Entry(NamedTuple):
    """One entry of one node; its position is counted through the flattened array."""

    node: int
    position: int


class Hop(NamedTuple):
    """A local derivative: from one entry, as operand k of a node, to an entry of that node."""

    source: Entry
    k: int
    end: Entry
    derivative: float


class Partial(NamedTuple):
    """A route on its way: the product so far, the hops so far, and where it stands."""

    product: float
    hops: tuple[Hop, ...]
    end: Entry


class Chain:
    """The entries of a pass and the local derivatives between them."""

    def __init__(self, opened: Pass) -> None:
        self.opened = opened
        self.run = opened.walk
        self.output = opened.output
        self.names = opened.names.labels
        self._known: dict[Entry, list[Hop]] = {}

    def adjoint(self, entry: Entry) -> float:
        """Return the derivative of the output by an entry."""
        found = self.opened.adjoints.get(entry.node)
        return 0.0 if found is None else float(np.ravel(found)[entry.position])

    def number(self, entry: Entry) -> float:
        """Return the number of an entry."""
        return float(np.ravel(self.run.numbers[entry.node])[entry.position])

    def label(self, entry: Entry) -> str:
        """Return ``z3[7, 2]``."""
        place = self.place(entry)
        return self.names[entry.node] + (f"[{', '.join(map(str, place))}]" if place else "")

    def place(self, entry: Entry) -> tuple[int, ...]:
        """Return the index of an entry."""
        shape = self.run.graph.nodes[entry.node].shape
        return tuple(int(i) for i in np.unravel_index(entry.position, shape)) if shape else ()

    def hops(self, entry: Entry) -> list[Hop]:
        """Return the local derivatives that are not 0 from an entry to what is made of it."""
        if entry not in self._known:
            self._known[entry] = list(self._pushed(entry))
        return self._known[entry]

    def _pushed(self, entry: Entry) -> Iterator[Hop]:
        numbers, nodes = self.run.numbers, self.run.graph.nodes
        tangent = np.zeros(nodes[entry.node].shape, nodes[entry.node].dtype)
        tangent.flat[entry.position] = 1
        for index, k in self.opened.consumers.get(entry.node, ()):
            node = nodes[index]
            if node.op is None:
                continue
            xs = [numbers[i] for i in node.inputs]
            dxs = [tangent[()] if place == k else None for place in range(len(xs))]
            with np.errstate(all="ignore"):
                dy = node.op.derivative.push(node.op, dxs, xs, numbers[index], node.attributes)
            slopes = np.ravel(dy) if dy is not None else np.zeros(0)
            for position in np.flatnonzero(slopes):
                yield Hop(entry, k, Entry(index, int(position)), float(slopes[position]))

    def through(self, start: Entry, example: int, axes: Sequence[int | None]) -> list[Partial]:
        """Return the routes from an entry to where they first meet an example, if it is this.

        ``axes`` holds, for each node, the axis along which examples lie in it.
        """
        found, waiting = [], [Partial(1.0, (), start)]
        while waiting:
            part = waiting.pop()
            axis = axes[part.end.node]
            if axis is None:
                waiting += self._longer(part)
            elif self.place(part.end)[axis] == example:
                found.append(part)
        return found

    def _longer(self, part: Partial) -> list[Partial]:
        return [
            Partial(part.product * hop.derivative, (*part.hops, hop), hop.end)
            for hop in self.hops(part.end)
        ]

    def largest(self, parts: Sequence[Partial], limit: int) -> tuple[list[Partial], bool]:
        """Return the routes that these lead to, those with the most to come first.

        Returns
        -------
        found
            So many at most.
        is_all
            Whether there are no others.
        """
        order = itertools.count()
        queue = [(-self._promise(part), next(order), part) for part in parts]
        heapq.heapify(queue)
        found: list[Partial] = []
        for _ in range(_PATIENCE * limit):
            if not queue or len(found) == limit:
                break
            part = heapq.heappop(queue)[-1]
            if part.end.node == self.output:
                if self.adjoint(part.end) != 0:  # another entry than the one asked for
                    found.append(part)
                continue
            for longer in self._longer(part):
                heapq.heappush(queue, (-self._promise(longer), next(order), longer))
        return found, not queue

    def _promise(self, part: Partial) -> float:
        promise = abs(part.product * self.adjoint(part.end))
        return math.inf if math.isnan(promise) else promise
