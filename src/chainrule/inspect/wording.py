"""The words and tables of a route: where a local derivative comes from, and how it reads.

The words follow from the kind of the op's derivative; nothing here knows an op by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.ops import Bilinear, Linear, Partials, Rule, Rules, sum_to

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainrule.graph import Node
    from chainrule.inspect.opened import Walk
    from chainrule.inspect.routes import Route, Routes

__all__ = ["reason", "table"]


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
    lines = [f"{found.name}{through}, where {entry} = {_number(found.number)}", ""]
    lines += _in_full(found.terms[0]) if found.terms else ["  no route leads to the output"]
    if len(found.terms) > 1:
        more = len(found.terms) - 1
        lines += ["", f"  and {more} more route{'s' if more > 1 else ''}:"]
        lines += _columns([_in_short(term) for term in found.terms[1:]])
    if found.rest:
        lines += [f"  all other routes together = {_number(found.rest)}"]
    whole = "backward pass" if found.example is None else f"all {found.examples} examples"
    lines += ["", f"  {'sum of the routes':<20} = {_number(found.total)}"]
    lines += [f"  {whole:<20} = {_number(found.gradient)}"]
    return "\n".join(lines)


def _in_full(term: Route) -> list[str]:
    """Return a line for each step, in columns, and one for the product."""
    rows = [
        (
            f"∂{step.result}/∂{step.source}",
            f"= {step.derivative: .4g}{_fraction(step.derivative)}",
            step.why,
            str(step.where),
        )
        for step in term.steps
    ]
    rows.append(("product", f"= {term.contribution: .4g}", "", ""))
    return _columns(rows)


def _in_short(term: Route) -> tuple[str, ...]:
    """Return a route in one row; a step that only passes on (its factor is 1) is left out."""
    path, factors = [term.steps[0].source], []
    for step in term.steps:
        if step.derivative == 1 and len(path) > 1:
            path[-1] = step.result
        else:
            path.append(step.result)
            factors.append(_number(step.derivative))
    product = f"= {' × '.join(factors)}" if len(factors) > 1 else ""
    return f"{term.contribution: .4g}", product, " → ".join(path)


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _number(x: float) -> str:
    return f"{x:.4g}"


def _fraction(x: float) -> str:
    """Return `` (1/32)`` beside 0.03125."""
    if x == 0 or not np.isfinite(x):
        return ""
    whole = round(1 / x)
    return f" (1/{whole})" if abs(whole) > 1 and abs(1 / x - whole) <= 1e-9 * abs(whole) else ""
