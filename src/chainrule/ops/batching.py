"""How an op acts on n examples at once, where some operands have examples along axis 0.

A batch rule is called with ``(op, n, operands, batched, attributes)`` and returns the output
with examples along axis 0. These are the ways that most ops share; NumPy's functions stand in
them for ours, because they serve arrays and traced values alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainrule.graph import Op

__all__ = ["aligned", "looped", "shifted", "single", "spread"]

BatchRule = "Callable[[Op, int, Sequence[Any], Sequence[bool], Mapping[str, Any]], Any]"


def aligned(*core: int) -> Callable[..., Any]:
    """Return the rule of an op that broadcasts all axes but the last few of each operand.

    Parameters
    ----------
    *core
        How many axes of each operand belong to one example of the op (0 for elementwise, 2
        for a matrix product); one number serves for all operands.
    """

    def rule(
        op: Op, n: int, xs: Sequence[Any], batched: Sequence[bool], attributes: Mapping[str, Any]
    ) -> Any:
        cores = core if len(core) == len(xs) else (*core, *[core[-1]] * (len(xs) - len(core)))
        ranks = [x.ndim - b - c for x, b, c in zip(xs, batched, cores, strict=True)]
        most = max(ranks)
        operands = [
            np.reshape(x, (n, *[1] * (most - r), *x.shape[1:])) if b and r < most else x
            for x, b, r in zip(xs, batched, ranks, strict=True)
        ]
        return op(*operands, **attributes)

    return rule


def spread(n: int, xs: Sequence[Any], batched: Sequence[bool]) -> list[Any]:
    """Return the operands with those that all examples share repeated for each."""
    return [x if b else np.broadcast_to(x, (n, *x.shape)) for x, b in zip(xs, batched, strict=True)]


def shifted(name: str = "axis") -> Callable[..., Any]:
    """Return the rule of an op along an axis: the axis moves up by one.

    The attribute is settled, a number or a tuple of numbers that are not negative.
    """

    def rule(
        op: Op, n: int, xs: Sequence[Any], batched: Sequence[bool], attributes: Mapping[str, Any]
    ) -> Any:
        axis = attributes[name]
        up = tuple(a + 1 for a in axis) if isinstance(axis, tuple) else axis + 1
        return op(*spread(n, xs, batched), **{**attributes, name: up})

    return rule


def single(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the rule of an op of one operand from ``function(n, x, **attributes)``."""

    def rule(
        op: Op,
        n: int,
        xs: Sequence[Any],
        batched: Sequence[bool],
        attributes: Mapping[str, Any],
    ) -> Any:
        return function(n, *spread(n, xs, batched), **attributes)

    return rule


def looped(
    op: Op, n: int, xs: Sequence[Any], batched: Sequence[bool], attributes: Mapping[str, Any]
) -> Any:
    """Apply the op to one example after the other: right for every op, and slow."""
    rows = [
        op(*[x[i] if b else x for x, b in zip(xs, batched, strict=True)], **attributes)
        for i in range(n)
    ]
    return np.stack(rows)
