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

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import AxisError, InputTypeError, NotScalarError, StructureError
from chainrule.graph import Value, describe
from chainrule.inspect.chain import Chain, Entry, Hop, Partial
from chainrule.inspect.opened import Leaf, Walk, walk
from chainrule.inspect.wording import reason, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainrule.graph import Where

__all__ = ["Route", "Routes", "Step", "routes"]


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
       5    side[1] → area
    <BLANKLINE>
      sum of the routes    = 10
      backward pass        = 10
    """
    if not 0 <= wrt < len(args):
        raise StructureError(f"wrt={wrt} for a call with {len(args)} arguments.")
    run = walk(f, args)
    output = _scalar(run)
    leaf = _leaf(run, wrt, key)
    start = Entry(leaf.index or 0, _position(run.numbers[leaf.index or 0], index, leaf.name))
    chain = Chain(run, output)
    gradient = chain.adjoint(start)
    frontier = [Partial(1.0, (), start)]
    count = None
    if example is not None:
        count = _example_count(args, wrt, example)
        frontier = chain.through(start, example, chain.batched(count, leaf.path[0]))
    total = math.fsum(part.product * chain.adjoint(part.end) for part in frontier)
    terms = [_route(chain, part) for part in chain.largest(frontier, limit)]
    terms.sort(key=lambda term: -abs(term.contribution))
    return Routes(
        name=f"∂{chain.names[output]}/∂{chain.label(start)}",
        number=chain.number(start),
        terms=tuple(terms),
        rest=_rest(total, terms, run.graph.nodes[output].dtype),
        total=total,
        gradient=gradient,
        example=example,
        examples=count,
    )


def _rest(total: float, terms: Sequence[Route], dtype: Any) -> float:
    """Return what is left of the sum, 0 where only rounding is."""
    rest = math.fsum([total, *[-term.contribution for term in terms]])
    scale = max([abs(total), *[abs(term.contribution) for term in terms]])
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


# ------------------------------------------------------------------ what was asked for


def _scalar(run: Walk) -> int:
    """Return the node of the output, which has to be one number."""
    y = run.outputs[0] if len(run.outputs) == 1 else run.outputs
    if isinstance(y, tuple) or np.shape(y):
        raise NotScalarError(
            f"routes needs a function that returns one number, got {describe(y)}.",
            advice="Return np.sum(y), or the entry that you want to know about.",
        )
    if type(y) is not Value:
        raise NotScalarError(
            f"the function returned {describe(y)}, which depends on none of its arguments.",
        )
    return y.index


def _leaf(run: Walk, wrt: int, key: Any) -> Leaf:
    """Return the leaf of an argument that a key names."""
    keys = () if key is None else key if isinstance(key, tuple) else (key,)
    mine = [leaf for leaf in run.leaves if leaf.path[0] == wrt]
    found = [leaf for leaf in mine if leaf.path[1:] == keys]
    if not found:
        choices = ", ".join(repr(leaf.path[1:]) for leaf in mine)
        raise StructureError(
            f"argument {wrt} has no leaf {keys!r}.",
            f"it has {choices or 'none'}",
            advice="Say which with key=…, as in key='W1'.",
        )
    if found[0].index is None:
        raise InputTypeError(
            f"{found[0].name} has no derivative: it is not of a floating-point type.",
        )
    return found[0]


def _position(x: Any, index: int | tuple[int, ...], name: str) -> int:
    """Return where an entry stands in the flattened array."""
    place = index if isinstance(index, tuple) else (index,)
    shape = np.shape(x)
    fits = len(place) == len(shape) and all(
        -length <= i < length for i, length in zip(place, shape, strict=True)
    )
    if not fits:
        raise AxisError(
            f"{name} has no entry {list(place)}: it is {describe(x)}.",
            advice="Give one position for each axis: index=(4, 2).",
        )
    front = tuple(i % length for i, length in zip(place, shape, strict=True))
    return int(np.ravel_multi_index(front, shape)) if shape else 0


def _example_count(args: Sequence[Any], wrt: int, example: int) -> int:
    """Return how many examples the last argument has."""
    shape = np.shape(args[-1]) if len(args) - 1 != wrt else ()
    if not shape:
        raise StructureError(
            "routes through one example need a last argument with examples along its first axis, "
            f"got {describe(args[-1])}{' itself' if len(args) - 1 == wrt else ''}.",
            advice="Let the data be arguments of the function: routes(loss, parameters, X, y, …).",
        )
    if not 0 <= example < shape[0]:
        raise AxisError(f"example {example} of {shape[0]}.")
    return int(shape[0])
