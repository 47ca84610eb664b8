"""Numbers of another moment: of an earlier batch, or of weights that were already updated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.diagnose.causes.activations import recognised, slope
from chainrule.inspect.diagnose.causes.heads import heads, sigmoid, softmax
from chainrule.inspect.diagnose.causes.products import summed_to, with_operand
from chainrule.inspect.diagnose.guessing import Guess, direction, guesses

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainrule.inspect.diagnose.sites import Site


@direction("CD227", "updated weights of the next layer", "edge", rank=8)
def updated_weights(site: Site) -> Iterator[Guess]:
    """A gradient is handed back through weights that were updated already.

    What it sees
        The gradient is off by a multiple of what it would be if the weights were their own
        gradient: the backward pass reads them after a step of the descent.

    Why it matters
        The error is as small as the learning rate, and never shows as anything but slower
        learning.

    Example
        ``W2 -= lr * dW2`` before ``dA1 = dZ2 @ W2.T``.

    What to do
        Compute all gradients first, and then update.
    """
    account = site.account
    if site.is_argument or not (site.is_product or site.is_scaled):
        return
    for weights in site.others:
        is_claimed = any(
            c.node == weights and c.kind == "argument" for c in account.claims.values()
        )
        if is_claimed and weights in account.true:
            now = with_operand(site, weights, account.numbers[weights])
            stepped = account.numbers[weights] - account.true[weights]
            then = with_operand(site, weights, stepped)
            yield Guess(then - now, f"{weights}", "the weights had made a step")


@guesses("CD228", "stale cache", "whole", "edge", "region", rank=8)
def stale(site: Site) -> Iterator[Guess]:
    """The backward pass reads values of an earlier batch.

    What it sees
        The gradient is right for the numbers that an earlier call of forward left.

    Why it matters
        It is right on the first batch, which is the one that is tested.

    Example
        ``if "A1" not in cache: cache["A1"] = A1``; or a layer that keeps its input once.

    What to do
        Let every forward pass write all that the backward pass reads.
    """
    account, before = site.account, site.account.probe.before
    if before is None or len(before.graph.nodes) != len(account.graph.nodes):
        return
    old = before.numbers

    def fits(index: int) -> bool:
        return bool(np.shape(old[index]) == np.shape(account.numbers[index]))

    if site.is_product and fits(site.others[0]):
        other = site.others[0]
        words = f"{account.name(other)} is that of the batch before"
        yield Guess(with_operand(site, other, old[other]), "operand", words)
    elif site.kind == "region" and fits(site.value) and fits(site.consumer):
        words = "the slope is that of the batch before"
        yield Guess(site.upstream * site.slope(old[site.value]), "slope", words)
        op = recognised(site)
        if op is not None:
            array = site.upstream * slope(op, site.number, old[site.consumer])
            yield Guess(array, "result", words)
    elif site.kind == "edge" and not site.is_product:
        yield from _edge(site, old)
    elif site.kind == "whole" and fits(site.value):
        yield from _at_the_end(site, old)
        found = _older(site, old)
        if found is not None:
            yield Guess(found, "all", "it is the gradient of the batch before")


def _at_the_end(site: Site, old: Any) -> Iterator[Guess]:
    """Yield the closed form at the end of the network, with an older output in it."""
    for head in heads(site):
        z = old[site.value]
        p = z if head.is_linear else sigmoid(z) if head.axis is None else softmax(z, head.axis)
        words = f"{site.account.name(site.value)} is that of the batch before"
        yield Guess(head.weight * (p - head.t), "output", words)
        t = old[head.node] if head.node is not None else None
        if t is not None and np.shape(t) == np.shape(head.t):
            yield Guess(
                head.weight * (head.p - t), "targets", "the targets are those of the batch before"
            )
            yield Guess(head.weight * (p - t), "end", words)


def _edge(site: Site, old: Any) -> Iterator[Guess]:
    """Yield what a node hands on, with older numbers for each of the arrays that its rule reads."""
    account, record = site.account, site.node
    op = record.op
    if op is None:
        return
    for index in dict.fromkeys((*record.inputs, site.consumer)):
        if np.shape(old[index]) != np.shape(account.numbers[index]):
            continue
        xs = [old[i] if i == index else account.numbers[i] for i in record.inputs]
        y = old[index] if index == site.consumer else account.numbers[site.consumer]
        places = account.places(site.consumer, site.value)
        parts = [op.derivative.pull(op, k, site.upstream, xs, y, record.attributes) for k in places]
        total = np.asarray(sum(parts[1:], parts[0]))
        if total.ndim >= np.ndim(site.number):
            total = summed_to(total, np.shape(site.number))
        if np.shape(total) == np.shape(site.number):
            words = f"{account.name(index)} is that of the batch before"
            yield Guess(total, f"#{index}", words)


def _older(site: Site, old: Any) -> Any:
    """Return the gradient of a value in the run before."""
    account = site.account
    return account.of_run(old).get(site.value)
