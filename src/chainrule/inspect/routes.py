"""The chain rule that produced one entry of a gradient, route by route, with its numbers.

An entry of an array reaches the output of a function over many routes through the entries of
what is computed between. Each route contributes the product of the local derivatives along it,
and the gradient is the sum over the routes (Bauer, *Computational Graphs and Rounding Error*,
SIAM J. Numer. Anal. 11, 1974). The walk goes forward from the entry; a local derivative is what
the op's forward rule makes of a tangent that is 1 there and 0 elsewhere. The adjoints of a
reverse walk tell what every unfinished route will come to, so the large ones are found first
and the rest is known without walking it.
"""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.errors import AxisError, InputTypeError, NotScalarError, StructureError
from chainrule.graph import Value, describe, user_line
from chainrule.inspect.opened import Leaf, Walk, walk
from chainrule.inspect.wording import reason, table
from chainrule.transform import pull_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from chainrule.graph import Where

__all__ = ["Route", "Routes", "Step", "routes"]

_PATIENCE = 200
"""Entries to visit for each route wanted, before the rest is left as one number."""


@dataclass(frozen=True)
class Step:
    """One factor of a route: how an entry changes with the entry before it.

    Attributes
    ----------
    op
        The op between them.
    source, result
        Both entries, by name: ``W3[4, 2]``, ``z3[7, 2]``.
    number
        The number of the result.
    derivative
        ∂result/∂source.
    why
        Where the derivative comes from, in words.
    where
        The line of the user's program.
    """

    op: str
    source: str
    result: str
    number: float
    derivative: float
    why: str
    where: Where


@dataclass(frozen=True)
class Route:
    """One route from the entry to the output: its contribution is the product of its steps."""

    steps: tuple[Step, ...]
    contribution: float


@dataclass(frozen=True)
class Routes:
    """The terms of one entry of a gradient; printed, they are a derivation with numbers.

    Attributes
    ----------
    name
        The entry: ``∂loss/∂W3[4, 2]``.
    number
        The number of the entry that is differentiated by.
    terms
        The routes with the largest contributions, the largest first.
    rest
        What all other routes contribute together.
    total
        Their sum: the gradient's entry, or the part of it that goes through the example.
    gradient
        The entry of the gradient, by the reverse walk.
    example, examples
        The example that the routes go through and how many there are; None for all.
    """

    name: str
    number: float
    terms: tuple[Route, ...]
    rest: float
    total: float
    gradient: float
    example: int | None = None
    examples: int | None = None

    def __str__(self) -> str:
        return table(self)


def routes(
    f: Callable[..., Any],
    *args: Any,
    wrt: int = 0,
    key: Any = None,
    index: int | tuple[int, ...] = (),
    example: int | None = None,
    limit: int = 10,
) -> Routes:
    """Return the chain rule behind one entry of the gradient of f, term by term.

    Parameters
    ----------
    f
        A function of arrays, or containers of arrays, that returns one number.
    *args
        Where to differentiate.
    wrt
        The position of the argument to differentiate by.
    key
        Its leaf, where that argument is a container: a key, or the tuple of keys of a nested
        one.
    index
        The entry of that array.
    example
        Follow only the routes through this example, where examples lie along the first axis
        of the last argument, as in ``loss(parameters, X, y)``. The parts of all examples add
        up to the gradient, as far as it comes from examples.
    limit
        The number of routes to write out; an entry of an early layer has very many.

    Returns
    -------
    Routes
        The largest terms, the sum of the rest, and the gradient's entry; ``str`` is a table.

    Raises
    ------
    NotScalarError
        If f returns an array with axes.
    StructureError
        If there is no such argument or leaf, or the last argument has no examples.
    AxisError
        If there is no such entry or example.

    Notes
    -----
    ∂f/∂x = Σ over routes x → v₁ → … → f of ∂v₁/∂x · ∂v₂/∂v₁ · … · ∂f/∂vₙ.

    Examples
    --------
    >>> import numpy as np
    >>> def area(side):
    ...     square = side * side
    ...     return np.sum(square)
    >>> found = routes(area, np.array([3.0, 5.0]), index=1)
    >>> [route.contribution for route in found.terms], found.gradient
    ([5.0, 5.0], 10.0)
    >>> print(found)
    ∂area/∂side[1], where side[1] = 5
    <BLANKLINE>
      ∂square[1]/∂side[1]  =  5  slope of multiply at (5, 5)  ...:2
      ∂area/∂square[1]     =  1  sum is linear                ...:3
      product              =  5
    <BLANKLINE>
      and 1 more route:
      5 × 1 = 5   side[1] → square[1] → area
    <BLANKLINE>
      sum of the routes    = 10
      backward pass        = 10
    """
    if not 0 <= wrt < len(args):
        raise StructureError(f"wrt={wrt} for a call with {len(args)} arguments.")
    run = walk(f, args)
    output = _scalar(run)
    leaf = _leaf(run, wrt, key)
    start = _Entry(leaf.index or 0, _flat(run.numbers[leaf.index or 0], index, leaf.name))
    chain = _Chain(run, output)
    gradient = chain.adjoint(start)
    frontier = [_Partial(1.0, (), start)]
    count = None
    if example is not None:
        count = _example_count(args, wrt, example)
        frontier = chain.through(start, example, chain.batched(count, leaf.path[0]))
    total = math.fsum(part.product * chain.adjoint(part.end) for part in frontier)
    terms = sorted(chain.largest(frontier, limit), key=lambda term: -abs(term.contribution))
    return Routes(
        name=f"∂{chain.names[output]}/∂{chain.label(start)}",
        number=chain.number(start),
        terms=tuple(terms),
        rest=_rest(total, terms),
        total=total,
        gradient=gradient,
        example=example,
        examples=count,
    )


def _rest(total: float, terms: Sequence[Route]) -> float:
    """Return what is left of the sum, 0 where only rounding is."""
    rest = math.fsum([total, *[-term.contribution for term in terms]])
    scale = max([abs(total), *[abs(term.contribution) for term in terms]])
    return 0.0 if abs(rest) <= 1e-12 * scale else rest


class _Entry(NamedTuple):
    """One entry of one node; its position is counted through the flattened array."""

    node: int
    position: int


class _Hop(NamedTuple):
    """A local derivative: by operand k of a node, from one entry to another."""

    k: int
    end: _Entry
    derivative: float


class _Partial(NamedTuple):
    """A route on its way: the product so far, the hops so far, and where it stands."""

    product: float
    hops: tuple[_Hop, ...]
    end: _Entry


class _Chain:
    """The entries of a run and the local derivatives between them."""

    def __init__(self, run: Walk, output: int) -> None:
        self.run = run
        self.output = output
        self.names = run.names()
        nodes = run.graph.nodes
        one = nodes[output].dtype.type(1)
        with np.errstate(all="ignore"):
            self._adjoints = pull_back(run.graph, run.numbers, run.active, {output: one})
        self._consumers: dict[int, list[tuple[int, int]]] = {}
        for index in sorted(self._adjoints):
            op = nodes[index].op
            for k, i in enumerate(nodes[index].inputs):
                if op is not None and not op.is_flat(k):
                    self._consumers.setdefault(i, []).append((index, k))
        self._known: dict[_Entry, list[_Hop]] = {}

    def adjoint(self, entry: _Entry) -> float:
        """Return the derivative of the output by an entry."""
        found = self._adjoints.get(entry.node)
        return 0.0 if found is None else float(np.ravel(found)[entry.position])

    def number(self, entry: _Entry) -> float:
        """Return the number of an entry."""
        return float(np.ravel(self.run.numbers[entry.node])[entry.position])

    def label(self, entry: _Entry) -> str:
        """Return ``z3[7, 2]``."""
        place = self.place(entry)
        return self.names[entry.node] + (f"[{', '.join(map(str, place))}]" if place else "")

    def place(self, entry: _Entry) -> tuple[int, ...]:
        """Return the index of an entry."""
        shape = self.run.graph.nodes[entry.node].shape
        return tuple(int(i) for i in np.unravel_index(entry.position, shape)) if shape else ()

    def hops(self, entry: _Entry) -> list[_Hop]:
        """Return the local derivatives that are not 0 from an entry to what is made of it."""
        if entry not in self._known:
            self._known[entry] = list(self._pushed(entry))
        return self._known[entry]

    def _pushed(self, entry: _Entry) -> Iterator[_Hop]:
        numbers, nodes = self.run.numbers, self.run.graph.nodes
        tangent = np.zeros(nodes[entry.node].shape, nodes[entry.node].dtype)
        tangent.flat[entry.position] = 1
        for index, k in self._consumers.get(entry.node, ()):
            node = nodes[index]
            if node.op is None:
                continue
            xs = [numbers[i] for i in node.inputs]
            dxs = [tangent[()] if place == k else None for place in range(len(xs))]
            with np.errstate(all="ignore"):
                dy = node.op.derivative.push(node.op, dxs, xs, numbers[index], node.attributes)
            slopes = np.ravel(dy) if dy is not None else np.zeros(0)
            for position in np.flatnonzero(slopes):
                yield _Hop(k, _Entry(index, int(position)), float(slopes[position]))

    def batched(self, count: int, excluded: int) -> list[bool]:
        """Return for each node whether its first axis counts the examples.

        It does where it has their number, and the node is computed from an array that has it
        too and is not part of the argument to differentiate by.
        """
        graph = self.run.graph
        ours = {leaf.index for leaf in self.run.leaves if leaf.path[0] == excluded}
        sources = [
            i
            for i in (*graph.inputs, *graph.constants)
            if i not in ours and graph.nodes[i].shape[:1] == (count,)
        ]
        depends = graph.dependents(sources)
        return [d and n.shape[:1] == (count,) for d, n in zip(depends, graph.nodes, strict=True)]

    def through(self, start: _Entry, example: int, batched: Sequence[bool]) -> list[_Partial]:
        """Return the routes from an entry to where they first meet an example, if it is this."""
        found, waiting = [], [_Partial(1.0, (), start)]
        while waiting:
            part = waiting.pop()
            if not batched[part.end.node]:
                waiting += self._longer(part)
            elif self.place(part.end)[0] == example:
                found.append(part)
        return found

    def _longer(self, part: _Partial) -> list[_Partial]:
        return [
            _Partial(part.product * hop.derivative, (*part.hops, hop), hop.end)
            for hop in self.hops(part.end)
        ]

    def largest(self, parts: Sequence[_Partial], limit: int) -> Iterator[Route]:
        """Yield the routes that these lead to, those with the most to come first."""
        order = itertools.count()
        queue = [(-self._promise(part), next(order), part) for part in parts]
        heapq.heapify(queue)
        found = 0
        for _ in range(_PATIENCE * limit):
            if not queue or found == limit:
                return
            part = heapq.heappop(queue)[-1]
            if part.end.node == self.output:
                found += 1
                yield self._route(part)
                continue
            for longer in self._longer(part):
                heapq.heappush(queue, (-self._promise(longer), next(order), longer))

    def _promise(self, part: _Partial) -> float:
        promise = abs(part.product * self.adjoint(part.end))
        return math.inf if math.isnan(promise) else promise

    def _route(self, part: _Partial) -> Route:
        nodes = self.run.graph.nodes
        steps = []
        for hop in part.hops:
            index = hop.end.node
            op = nodes[index].op
            source = self._source(part, hop)
            steps.append(
                Step(
                    op=op.name if op else "",
                    source=self.label(source),
                    result=self.label(hop.end),
                    number=self.number(hop.end),
                    derivative=hop.derivative,
                    why=reason(self, index, hop.k, source.position, hop.end.position),
                    where=nodes[index].where,
                )
            )
        return Route(tuple(steps), part.product)
