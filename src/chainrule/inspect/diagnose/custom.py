"""A layer that takes the mean over examples itself, as the layers of the cached network do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chainrule.inspect.finding import Finding, cause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.inspect.diagnose.account import Account

__all__ = ["averaging_layer"]


@cause("CD247", "the 1/m comes in here", "note")
def mean_comes_in(names: Sequence[str]) -> Finding:
    """A layer divides the gradients of its parameters by m, and hands on those of examples.

    What it sees
        For a gradient from above, those of the parameters are 1/m of the derivative, and what is
        handed on to the layer before is the derivative.

    Why it matters
        It is a custom, and right if what comes from above is the gradient of each example's own
        loss, as in the cached network: dZ = A - Y, and dW = dZ Aᵀ/m. With a loss that has the
        1/m in its own gradient already, m divides twice.

    Example
        ``dW = dZ @ A_prev.T / m; db = dZ.sum(axis=1, keepdims=True) / m; dA = W.T @ dZ``.

    What to do
        Nothing, if the loss hands on A − Y; else leave the 1/m to the loss.
    """
    return Finding.of(
        "CD247",
        tensor=", ".join(names),
        message="The gradient from above is taken for that of each example's own loss.",
    )


def averaging_layer(accounts: Sequence[Account]) -> list[Finding]:
    """Return a note, if all that differs from the derivative is the 1/m of the parameters."""
    first = accounts[0]
    wrong = sorted({name for account in accounts for name in account.wrong()})
    if not wrong or not np.ndim(first.cotangent) or first.is_surrogate:
        return []
    is_custom = all(
        account.batch is not None
        and account.batch > 1
        and (claim := account.claims.get(name)) is not None
        and claim.node is not None
        and account.batch not in account.graph.nodes[claim.node].shape
        and account.fits(np.asarray(claim.array) * account.batch, account.gradient(claim.node))
        for account in accounts
        for name in wrong
    )
    if not is_custom:
        return []
    right = [claim for name, claim in first.claims.items() if name not in wrong]
    counts = [first.batch in first.graph.nodes[c.node or 0].shape for c in right]
    return [mean_comes_in(wrong)] if counts and all(counts) else []  # all parameters, no data
