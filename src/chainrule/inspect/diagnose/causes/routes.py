"""A route that is left out altogether, found as a contribution of which nothing is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chainrule.inspect.diagnose.guessing import Guess, direction

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainrule.inspect.diagnose.sites import Site


@direction("CD226", "regularisation applied to a bias", "whole", rank=1)
def penalty_on_bias(site: Site) -> Iterator[Guess]:
    """A penalty is in the gradient of a parameter that it is not on.

    What it sees
        The gradient is the right one and a multiple of the parameter itself, where the loss has
        a penalty on other parameters.

    Why it matters
        Penalised biases cannot move to where the data are.

    Example
        ``db += lam * b`` beside ``loss += 0.5 * lam * np.sum(W ** 2)``.

    What to do
        Leave it out, or add the penalty to the loss.
    """
    if site.is_argument and penalties(site):
        yield Guess(site.number, "", "a multiple of the parameter itself was added")


@direction("CD245", "regularisation in the gradient alone", "whole", rank=8)
def penalty_in_gradient(site: Site) -> Iterator[Guess]:
    """The gradient has a penalty in it that the loss has not.

    What it sees
        The gradient is the right one and a multiple of the parameter itself, and the loss has
        no penalty at all.

    Why it matters
        What is minimised is not the loss that is printed.

    Example
        ``dW += lam * W`` with a loss that is the data's alone.

    What to do
        Add ½λ Σ w² to the loss, or let the optimiser decay the weights (AdamW).
    """
    if site.is_argument and np.ndim(site.number) and not penalties(site):
        yield Guess(site.number, "", "a multiple of the parameter itself was added")


def penalties(site: Site) -> bool:
    """Return whether the loss has a penalty on some argument."""
    account = site.account
    return any(
        type(site)(account, "edge", c.node, consumer).is_penalty
        for c in account.claims.values()
        if c.node is not None and c.kind == "argument"
        for consumer in account.consumers.get(c.node, [])
    )
