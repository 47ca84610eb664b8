"""Numbers that change under way: arrays written to, randomness, state kept between calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chainrule.inspect.finding import Finding, cause

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "FROM_ABOVE",
    "backward_changes_inputs",
    "backward_not_deterministic",
    "cache_overwritten",
    "forward_changes_inputs",
    "forward_not_deterministic",
    "state_between_calls",
]

FROM_ABOVE = "the gradient from above"
"""What messages call it."""


@cause("CD112", "backward changes its inputs")
def backward_changes_inputs(names: Sequence[str], where: str) -> Finding:
    """The backward pass writes to an array that forward was handed.

    It sees inputs, parameters and the gradient from above whose numbers are others after backward.

    Why it matters: the next step trains on other data, and the gradients of the layers before
    are taken with weights that forward did not use.

    Example: ``dout *= mask``, or ``W2 -= lr * dW2`` before ``dh = dy @ W2.T``.

    It is a warning where only the gradient from above is written to, which often belongs to
    nobody else, and a note if the gradients that are returned are right all the same.

    What to do: make a new array, ``dout = dout * mask``; update after all gradients are there.
    """
    return Finding.of(
        "CD112",
        tensor=names[0],
        where=where,
        message=f"Backward writes to {', '.join(names)}.",
        severity="warning" if list(names) == [FROM_ABOVE] else "error",
        advice="Make a new array: a = a * b for a *= b.",
    )


@cause("CD113", "forward changes its inputs")
def forward_changes_inputs(names: Sequence[str], where: str) -> Finding:
    """The forward pass writes to an array that it was handed.

    It sees inputs and parameters whose numbers are others after forward.

    Why it matters: a second call on the same arrays gives another result, and the data of the
    caller is gone.

    Example: ``X -= X.mean(axis=0)``.

    What to do: make a new array, ``X = X - X.mean(axis=0)``.
    """
    return Finding.of(
        "CD113",
        tensor=names[0],
        where=where,
        message=f"Forward writes to {', '.join(names)}.",
        advice="Make a new array: a = a - b for a -= b.",
    )


@cause("CD114", "cache overwritten", "note")
def cache_overwritten(names: Sequence[str], where: str, *, differs: bool) -> Finding:
    """The backward pass writes to what forward left for it.

    It sees arrays of the cache whose numbers are others after backward.

    Why it matters: the gradients are not wrong by it. A second backward pass on the same cache
    gives other numbers, and so does whatever reads the cache for a plot or a metric.

    Example: ``dy2 = probs; dy2[range(N), y] -= 1``, after which probs are no probabilities.

    What to do: ``dy2 = probs.copy()``.
    """
    again = " A second backward pass on it gives other numbers." if differs else ""
    return Finding.of(
        "CD114",
        tensor=names[0],
        where=where,
        message=f"Backward writes to {', '.join(names)}, which forward left for it.{again}",
        advice="Start from a copy: dy = probs.copy().",
    )


@cause("CD115", "forward is not deterministic")
def forward_not_deterministic(evidence: str) -> Finding:
    """The forward pass gives other numbers on the same inputs.

    It sees two calls that differ in a bit, although NumPy's and Python's generators, and all
    those that the functions refer to, start from the same state.

    Why it matters: a difference of two calls says nothing about a derivative, and a mask that is
    drawn anew in backward is not the one that forward used.

    Example: ``np.random.default_rng().random(h.shape) < p`` inside forward.

    What to do: pass the generator or the mask in, or make the generator from a fixed seed.
    """
    return Finding.of(
        "CD115",
        message="Two forward passes on the same inputs give different numbers.",
        evidence=(evidence,),
        advice="Make random generators from a fixed seed, or pass them in.",
    )


@cause("CD116", "backward is not deterministic")
def backward_not_deterministic(keys: Sequence[str], where: str) -> Finding:
    """The backward pass gives other numbers after the same forward pass.

    It sees two runs of forward and backward, from the same state, whose gradients differ in a bit
    while their outputs agree.

    Why it matters: at most one of the two is the gradient.

    Example: a dropout mask drawn in backward by a generator without a seed.

    What to do: keep the mask that forward drew in the cache.
    """
    return Finding.of(
        "CD116",
        tensor=keys[0],
        where=where,
        message=f"Two backward passes give different numbers for {', '.join(keys)}.",
        advice="Keep what forward drew in the cache, and read it there.",
    )


@cause("CD117", "state between calls")
def state_between_calls(names: Sequence[str]) -> Finding:
    """A forward pass whose result depends on how often it was called.

    It sees two calls in a row that differ, while each alone gives the same from the same state:
    something outside of the arguments remembers.

    Why it matters: it is not a function of its arguments, and neither has it a gradient.

    Example: ``global step; step += 1; rate = 0.1 / step``, with rate in the loss.

    What to do: pass what changes as an argument.
    """
    what = f": {', '.join(names)}" if names else ""
    return Finding.of(
        "CD117",
        message=f"Forward gives other numbers when it is called again on the same inputs{what}.",
        advice="Pass what changes between calls as an argument.",
    )
