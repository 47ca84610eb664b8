"""The words and tables of a route: where a local derivative comes from, and how it reads.

The words follow from the kind of the op's derivative; nothing here knows an op by name.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.printing import WIDTH, columns, fraction, number, short
from chainrule.ops import Bilinear, Linear, Partials, Rule, Rules, sum_to

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainrule.graph import Node, Op
    from chainrule.inspect.routes import Route, Routes
    from chainrule.inspect.walking import Walk

__all__ = ["reason", "rule", "table"]


def reason(
    run: Walk, index: int, k: int, source: int, end: int, label: Callable[[int, int], str]
) -> str:
    """Return in words where a local derivative comes from.

    Parameters
    ----------
    run
        The run that it belongs to.
    index, k
        The node, and the operand that it is differentiated by.
    source, end
        The positions of the entries of that operand and of the result.
    label
        The name of an entry, by node and position.
    """
    node = run.graph.nodes[index]
    op = node.op
    if op is None:
        return ""
    xs = [run.numbers[i] for i in node.inputs]
    derivative = op.derivative
    if isinstance(derivative, Partials):
        if not isinstance(derivative.slopes[k], Rule):
            return f"slope of {op.name}, everywhere"
        here = ", ".join(f"{np.ravel(np.broadcast_to(x, node.shape))[end]:.4g}" for x in xs)
        return f"slope of {op.name} at {here if len(xs) == 1 else f'({here})'}"
    if isinstance(derivative, Bilinear):
        factor = _other_factor(node, xs, k, source, end)
        return f"the other factor, {label(*factor)}" if factor else f"product rule of {op.name}"
    if isinstance(derivative, Linear):
        return f"{op.name} is linear"
    note = derivative.note if isinstance(derivative, Rules) else ""
    return note or f"the rule of {op.name}"


def rule(op: Op, k: int) -> str:
    """Return in words how the gradient at the output of an op becomes that of its operand k."""
    derivative = op.derivative
    if isinstance(derivative, Partials):
        slope = derivative.slopes[k]
        if isinstance(slope, Rule):
            return "acts on each element alone: times its slope"
        return f"acts on each element alone, with slope {slope:g}"
    if isinstance(derivative, Bilinear):
        return "product rule: times the other factor"
    if isinstance(derivative, Linear):
        return "linear: its transpose"
    note = derivative.note if isinstance(derivative, Rules) else ""
    return note or f"{derivative.kind}: as it was declared"


def _other_factor(
    node: Node, xs: list[Any], k: int, source: int, end: int
) -> tuple[int, int] | None:
    """Return the one entry of the other operand that a derivative of a product equals.

    With a one-hot operand k, an entry of the product is linear in the other operand; its
    coefficients are what the other transpose makes of a one-hot cotangent.
    """
    if len(xs) != 2 or node.op is None:
        return None
    other = 1 - k
    operands = list(xs)
    operands[k] = _one_hot(xs[k].shape, xs[k].dtype, source)
    g = _one_hot(node.shape, node.dtype, end)
    found = node.op.derivative.pull(node.op, other, g, operands, None, node.attributes)
    if found.shape != xs[other].shape:
        found = sum_to(found, xs[other].shape)
    places = np.flatnonzero(found)
    if len(places) == 1 and np.ravel(found)[places[0]] == 1:
        return node.inputs[other], int(places[0])
    return None


def _one_hot(shape: tuple[int, ...], dtype: Any, position: int) -> Any:
    x = np.zeros(shape, dtype)
    x.flat[position] = 1
    return x[()]


# ------------------------------------------------------------------ the table


def table(found: Routes) -> str:
    """Return the text of routes: the largest in full, the others a line each, and the sum."""
    through = ""
    if found.example is not None:
        through = f" through example {found.example} of {found.examples}"
    entry = found.name.split("/∂", 1)[1]
    lines = [f"{found.name}{through}, where {entry} = {number(found.number)}", ""]
    lines += _in_full(found.terms[0]) if found.terms else [f"  {_none_told(found)}"]
    if len(found.terms) > 1:
        more = len(found.terms) - 1
        lines += ["", f"  and {more} more route{'s' if more > 1 else ''}:"]
        lines += columns([_in_short(term) for term in found.terms[1:]])
    if found.rest:
        lines += [f"  all other routes together = {number(found.rest)}"]
    whole = "backward pass" if found.example is None else f"all {found.examples} examples"
    lines += ["", f"  {'sum of the routes':<20} = {number(found.total)}"]
    lines += [f"  {whole:<20} = {number(found.gradient)}"]
    return "\n".join(lines)


def _none_told(found: Routes) -> str:
    """Return why no route is told."""
    if not found.is_all:
        return "more routes than can be followed; none is written out"
    entry, head = found.name.split("/∂", 1)[1], found.name.split("/∂", 1)[0].removeprefix("∂")
    return f"every route from {entry} to {head} has a factor of 0: why(…, '{entry}') tells which"


def _in_full(term: Route) -> list[str]:
    """Return a line for each step, in columns, and one for the product; long names shortened."""
    lines: list[str] = []
    longest = max((len(str(step.where)) for step in term.steps), default=0)
    room = WIDTH + max(0, longest - _WHERE)  # a long name of a file is nobody's to shorten
    for length, words in ((WIDTH, WIDTH), (24, 34), (16, 34), (10, 34), (10, 18)):
        rows = [
            (
                f"∂{_fitted(step.result, length)}/∂{_fitted(step.source, length)}",
                f"= {step.derivative: .4g}{fraction(step.derivative)}",
                short(step.why, words),
                str(step.where),
            )
            for step in term.steps
        ]
        rows.append(("product", f"= {term.contribution: .4g}", "", ""))
        lines = columns(rows)
        if max(map(len, lines)) <= room:
            break
    return lines


def _fitted(label: str, length: int) -> str:
    """Return ``encoder_w…[1, 2]`` for the entry of a value with a long name."""
    name, bracket, place = label.partition("[")
    return short(name, length) + bracket + place


def _in_short(term: Route) -> tuple[str, ...]:
    """Return a route in one row; a step that only passes on (its factor is 1) is left out."""
    path: list[str] = [term.steps[0].source]
    factors: list[float] = []
    for step in term.steps:
        if step.derivative == 1 and len(path) > 1:
            path[-1] = step.result
        else:
            path.append(step.result)
            factors.append(step.derivative)
    product = f"= {_product(factors)}" if len(factors) > 1 else ""
    if len(path) > _SHOWN:
        path[2 : len(path) - 3] = ["…"]
    route = " → ".join(path)
    if len(route) > _ROOM:
        ends = [_fitted(entry, 10) for entry in (*path[:2], path[-1])]
        route = " → ".join([*ends[:2], "…", ends[2]] if len(path) > 2 else [ends[0], ends[2]])
    return f"{term.contribution: .4g}", product, route


def _product(factors: Sequence[float]) -> str:
    """Return factors as a product: of many, those that are farthest from 1."""
    far = sorted(range(len(factors)), key=lambda k: -_distance(factors[k]))
    kept = {*far[:_FACTORS]} if len(factors) > _FACTORS + 1 else {*far}
    words: list[str] = []
    for k, factor in enumerate(factors):
        if k in kept:
            words.append(number(factor))
        elif words[-1:] != ["…"]:
            words.append("…")
    return " × ".join(words)


def _distance(factor: float) -> float:
    """Return how far a factor is from 1, in powers of e."""
    return abs(math.log(abs(factor))) if factor and math.isfinite(factor) else math.inf


_SHOWN, _FACTORS, _ROOM = 6, 3, 48
"""The most entries, factors and signs of a route that is told in one line."""

_WHERE = 24
"""The signs that a line of the program may have on a page."""
