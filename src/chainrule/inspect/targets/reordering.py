"""A tuple of gradients in another order than forward's arguments."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from chainrule.inspect.finding import Finding, cause
from chainrule.inspect.targets.judging import agree, expected_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chainrule.inspect.targets.running import Outcome

__all__ = ["reordered"]


@cause("CD137", "another order")
def another_order(returned: Sequence[str], arguments: Sequence[str], where: str) -> Finding:
    """A tuple of right gradients, in another order than forward's arguments.

    It sees gradients whose shapes do not fit the arguments in their order, and which are all
    right in another one.

    Why it matters: whoever unpacks it in the order of the arguments gives a parameter the
    gradient of another.

    Example: ``return dW, db, dX`` for ``forward(X, W, b)``.

    What to do: return them in the order of the arguments, or in a dictionary by name.
    """
    return Finding.of(
        "CD137",
        tensor=returned[0],
        where=where,
        message=f"The gradients are right, and returned in the order {', '.join(returned)}; "
        f"forward takes {', '.join(arguments)}.",
        advice='Return them in the order of the arguments, or as {"W": dW}.',
    )


def reordered(outcomes: Sequence[Outcome], where: str) -> Iterator[Finding]:
    """Put the gradients of a tuple where they belong, if all are right in another order."""
    orders = [_order_of(outcome) for outcome in outcomes]
    order = orders[0]
    taken = list(outcomes[0].claims)
    if order is None or order == taken or any(other != order for other in orders):
        return
    for outcome in outcomes:
        claims = dict(outcome.claims)
        arrays = [(c.key, c.array) for c in claims.values()]
        for name, (key, array) in zip(order, arrays, strict=True):
            outcome.claims[name] = dataclasses.replace(claims[name], key=key, array=array)
    yield another_order(order, taken, where)


def _order_of(outcome: Outcome) -> list[str] | None:
    """Return whose gradient each claim of a tuple is, None where that is not plain."""
    claims = list(outcome.claims.values())
    expected = expected_of(outcome.probe)
    is_tuple = all(claim.key.startswith("gradient ") for claim in claims)
    if not is_tuple or set(expected) != set(outcome.claims):
        return None
    if all(np.shape(claim.array) == np.shape(expected[claim.name]) for claim in claims):
        return None  # in shapes that are alike they were mistaken for each other
    order = []
    for claim in claims:
        fitting = [name for name, x in expected.items() if agree(claim.array, x)]
        if len(fitting) != 1:
            return None
        order += fitting
    return order if len(set(order)) == len(claims) else None
