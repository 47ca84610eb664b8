"""What is not the derivative and right by custom: said in a note, and no mistake.

A layer takes the mean over examples itself, as those of the cached network do; a closed form
leaves out the 1e-8 that keeps a logarithm finite.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from chainrule.inspect.finding import Finding, cause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.inspect.diagnose.account import Account

__all__ = ["averaging_layer", "left_out"]

_SMALL = 1e-4
"""What is added to a number of about 1 for safety's sake is smaller than this."""


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


@cause("CD248", "a small constant is left out", "note")
def constant_left_out(name: str, constant: float) -> Finding:
    """The gradient is right but for a small constant that keeps the forward pass finite.

    What it sees
        With the constants below 1e-4 of the forward pass taken for 0, every gradient is right.

    Why it matters
        Hardly: the constant is there for a logarithm or a quotient at 0, and the closed form
        without it is what one wants. Near 0 the two differ.

    Example
        ``dz = p - t`` for a loss with ``np.log(p + 1e-7)``.

    What to do
        Nothing; or compute the loss from the logits, where no constant is needed.
    """
    return Finding.of(
        "CD248", tensor=name, message=f"It is right for a forward pass without the {constant:g}."
    )


def left_out(accounts: Sequence[Account]) -> list[Finding]:
    """Return a note, if the gradients are those of a forward pass without its small constants."""
    wrong = sorted({name for account in accounts for name in account.wrong()})
    constants = {
        i: float(x)
        for i, x in accounts[0].graph.constants.items()
        if np.ndim(x) == 0 and 0 < abs(float(x)) < _SMALL
    }
    if not wrong or not constants or accounts[0].graph.specialised:
        return []
    for account in accounts:
        graph = account.graph
        zeros = {i: x * 0 if i in constants else x for i, x in graph.constants.items()}
        numbers = replace(graph, constants=zeros).walk(*[account.numbers[i] for i in graph.inputs])
        found = account.of_run(numbers)
        claims = [c for c in account.claims.values() if c.node is not None]
        if not all(account.agrees(c, found.get(c.node or 0, 0.0)) for c in claims):
            return []
    return [constant_left_out(wrong[0], max(constants.values(), key=abs))]


def averaging_layer(accounts: Sequence[Account]) -> tuple[list[Account], list[Finding]]:
    """Return accounts in which the 1/m of the parameters is undone, and the note that says so.

    That is for a layer which hands on what it is given the derivative of, and divides the
    gradients of all its parameters.
    """
    given = list(accounts)
    first = given[0]
    if not np.ndim(first.cotangent) or first.is_surrogate or not first.batch or first.batch == 1:
        return given, []
    counts = {
        name: first.batch in first.graph.nodes[c.node or 0].shape
        for name, c in first.claims.items()
    }
    names = [name for name, has_examples in counts.items() if not has_examples]
    if not names or len(names) + 1 != len(
        counts
    ):  # a length that something else has by chance tells nothing
        return given, []
    undone = [_undone(account, names) for account in given]
    before = {name for account in given for name in account.wrong()}
    after = {name for account in undone for name in account.wrong()}
    mended = before - after
    if not before.issuperset(names) or len(mended & set(names)) < min(2, len(names)):
        return given, []
    return undone, [mean_comes_in(sorted(names))]


def _undone(account: Account, names: Sequence[str]) -> Account:
    """Return an account in which some claims are m times what they are."""
    m = account.batch or 1
    claims = {
        name: replace(claim, array=np.asarray(claim.array) * m) if name in names else claim
        for name, claim in account.probe.claims.items()
    }
    return type(account)(replace(account.probe, claims=claims))
