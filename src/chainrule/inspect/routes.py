"""The chain rule behind one entry of a gradient, route by route, with its numbers.

An entry of an array reaches the output of a function over many routes through the entries of
what is computed between. Each route contributes the product of the local derivatives along it,
and the gradient is the sum over the routes (Bauer, *Computational Graphs and Rounding Error*,
SIAM J. Numer. Anal. 11, 1974). The walk goes forward from the entry; a local derivative is what
the op's forward rule makes of a tangent that is 1 there and 0 elsewhere. The adjoints of a
reverse walk tell what every unfinished route will come to, so the large ones are found first
and the rest is known without walking it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import AxisError, NotScalarError
from chainrule.inspect.axes import axes_of_examples, examples_beside
from chainrule.inspect.chain import Chain, Entry, Hop, Partial
from chainrule.inspect.sizes import total
from chainrule.inspect.wording import reason, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.graph import Where
    from chainrule.inspect.passes import Pass

__all__ = ["Route", "Routes", "Step", "entry_routes"]


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


@dataclass(frozen=True, repr=False)
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
    is_all
        Whether ``terms`` are all routes without a factor of 0.
    """

    name: str
    number: float
    terms: tuple[Route, ...]
    rest: float
    total: float
    gradient: float
    example: int | None = None
    examples: int | None = None
    is_all: bool = True

    def __repr__(self) -> str:
        return table(self)

    def __str__(self) -> str:
        return table(self)


def entry_routes(opened: Pass, start: Entry, example: int | None, limit: int) -> Routes:
    """Return the chain rule behind one entry of a gradient, term by term.

    Parameters
    ----------
    opened
        A pass that started from one number.
    start
        The entry.
    example
        Follow only the routes through this example. The parts of all examples add up to the
        gradient, as far as it comes from examples.
    limit
        The number of routes to write out; an entry of an early layer has very many.

    Notes
    -----
    ∂f/∂x = Σ over routes x → v₁ → … → f of ∂v₁/∂x · ∂v₂/∂v₁ · … · ∂f/∂vₙ.
    """
    if opened.start.entry is None:
        raise NotScalarError(
            f"an entry of a gradient has routes to one number, and {opened.head} is a sum.",
            advice="Open it at one entry, as in output=(0, 2), or ask for paths('Z2[0, 2]', …).",
        )
    chain = Chain(opened)
    gradient = chain.adjoint(start)
    frontier = [Partial(1.0, (), start)]
    count = None
    if example is not None:
        count = examples_beside(opened, start.node)
        if not 0 <= example < count:
            raise AxisError(f"example {example} of {count}.")
        frontier = chain.through(start, example, axes_of_examples(opened, start.node))
    whole = total(part.product * chain.adjoint(part.end) for part in frontier)
    found, is_all = chain.largest(frontier, limit)
    terms = [_route(chain, part) for part in found]
    terms.sort(key=lambda term: -abs(term.contribution))
    return Routes(
        name=f"∂{opened.head}/∂{chain.label(start)}",
        number=chain.number(start),
        terms=tuple(terms),
        rest=_rest(whole, terms, opened.graph.nodes[start.node].dtype, is_all),
        total=whole,
        gradient=gradient,
        example=example,
        examples=count,
        is_all=is_all,
    )


def _rest(whole: float, terms: Sequence[Route], dtype: Any, is_all: bool) -> float:
    """Return what is left of the sum, 0 where only rounding is."""
    rest = total([whole, *[-term.contribution for term in terms]])
    if is_all and not math.isfinite(rest):
        return 0.0
    scale = max([abs(whole), *[abs(term.contribution) for term in terms]])
    return 0.0 if abs(rest) <= 64 * np.finfo(dtype).eps * scale else rest


def _route(chain: Chain, part: Partial) -> Route:
    return Route(tuple(_step(chain, hop) for hop in part.hops), part.product)


def _step(chain: Chain, hop: Hop) -> Step:
    node = chain.run.graph.nodes[hop.end.node]
    return Step(
        op=node.op.name if node.op else "",
        source=chain.label(hop.source),
        result=chain.label(hop.end),
        number=chain.number(hop.end),
        derivative=hop.derivative,
        why=reason(
            chain.run,
            hop.end.node,
            hop.k,
            hop.source.position,
            hop.end.position,
            lambda node, position: chain.label(Entry(node, position)),
        ),
        where=node.where,
    )
