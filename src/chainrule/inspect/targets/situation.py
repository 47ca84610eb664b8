"""The set-up: inputs, precision, kinks, and what is not seen by a check."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from chainrule.inspect.finding import Finding, cause

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.inspect.targets.pairs import WrongCount

__all__ = [
    "differences_alone",
    "loss_taken",
    "near_kink",
    "no_loss",
    "not_finite",
    "not_used",
    "parameters_around",
    "randomness_held",
    "shared_globals",
    "shared_inputs",
    "short_numbers",
]


@cause("CD118", "output does not depend on it", "warning")
def not_used(name: str, *, claimed: bool) -> Finding:
    """An input that the output does not depend on.

    It sees an array from which nothing leads to the output.

    Why it matters: its gradient is zero, whatever backward says; a parameter that nothing reads
    is never trained.

    Example: ``forward(X, W1, b1)`` that forgets ``+ b1``.

    What to do: use it, or drop it.
    """
    return Finding.of(
        "CD118",
        tensor=name,
        message="Forward's output does not depend on it, so its gradient is zero."
        + (" backward returns another one." if claimed else ""),
        severity="error" if claimed else "warning",
    )


@cause("CD119", "shared global arrays", "note")
def shared_globals(names: Sequence[str]) -> Finding:
    """Forward and backward read the same arrays around them, which are no arguments.

    It sees global arrays and dictionaries of arrays that both functions refer to; and any around
    a function that returns more gradients than it takes arrays.

    Why it matters: they are constants here. A parameter that is read this way has no gradient
    that could be checked.

    Example: ``W`` at the top of the file, read by ``forward(X)`` and ``backward(dout)``.

    What to do: pass them as arguments if they have a gradient.
    """
    return Finding.of(
        "CD119",
        tensor=names[0],
        message=f"Forward and backward both read {', '.join(names)} from around them, as "
        "constants: their gradients are not checked.",
        advice="Pass what has a gradient as an argument.",
    )


def parameters_around(names: Sequence[str], count: WrongCount) -> Finding:
    """Return the same finding for gradients of what is no argument: nothing could be checked."""
    arrays = f"{len(count.wanted)} array{'s' * (len(count.wanted) != 1)}"
    return dataclasses.replace(
        shared_globals(names),
        severity="warning",
        message=f"{count.got} gradients are returned for arguments with {arrays}, and "
        f"{', '.join(names)} are read from around the function, as constants. Nothing was checked.",
        advice=f"Pass what has a gradient as an argument, after the others: {', '.join(names)}.",
    )


@cause("CD120", "short numbers", "note")
def short_numbers(names: Sequence[str], dtype: str) -> Finding:
    """Inputs of fewer digits than a check needs.

    It sees float16 and float32 arrays.

    Why it matters: the seven digits of float32 leave none in the difference of two numbers that
    are a small step apart. The check runs in float64, and says nothing about rounding in float32.

    Example: ``X.astype(np.float32)``.

    What to do: nothing, if the code takes both types.
    """
    return Finding.of(
        "CD120",
        tensor=names[0],
        message=f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {dtype}; the check runs "
        "in float64.",
    )


@cause("CD121", "output is not finite")
def not_finite(what: str) -> Finding:
    """A forward pass that gives NaN or infinity.

    It sees an output that is not finite on the given inputs.

    Why it matters: there is no derivative at such a place.

    Example: ``np.log(p)`` with a p of exactly 0.

    What to do: check it inside its domain; `chainrule.why` names the node where it begins.
    """
    return Finding.of(
        "CD121",
        message=f"Forward gives {what} on the given inputs, so there is nothing to compare.",
    )


@cause("CD122", "inputs depend on each other", "warning")
def shared_inputs(first: str, second: str, how: str) -> Finding:
    """Two inputs that share memory, or of which one is computed from the other.

    It sees arrays that overlap, and arrays that are equal, transposed or a multiple of each other.

    Why it matters: the gradient by one is taken while the other stands still. If both are one
    array in your program, its gradient is the sum of the two. An in-place step changes both.

    Example: ``check((forward, backward), (X, X.T))``.

    What to do: pass it once, or copies if they are meant to be independent.
    """
    return Finding.of(
        "CD122",
        tensor=second,
        message=f"{second} {how} {first}: the gradient by each is taken while the other stands "
        "still.",
        advice="Pass copies, or other numbers.",
    )


@cause("CD123", "at a kink", "note")
def near_kink(kinks: Sequence[str]) -> Finding:
    """Given numbers at which the function bends.

    It sees entries at a point without a derivative, by the word of the op: 0 for relu and abs, a
    tie for maximum.

    Why it matters: any slope between the two sides may be called right there. Other numbers are
    drawn for the rest of the check.

    Example: relu of a pre-activation that is exactly 0, since weights and biases start at 0.

    What to do: nothing; or give numbers off the kink.
    """
    return Finding.of(
        "CD123",
        where=kinks[0].rsplit(" at ", 1)[-1] if " at " in kinks[0] else "",
        message=f"The given numbers lie on a kink: {', '.join(kinks)}. What differs there alone "
        "is no mistake.",
    )


@cause("CD124", "randomness held still", "note")
def randomness_held(names: Sequence[str]) -> Finding:
    """A module that draws random numbers, in training.

    It sees modules whose forward pass draws: dropout while ``training`` is true.

    Why it matters: a derivative is that of one function, so each run draws the same numbers. What
    is checked is backward with that mask.

    Example: ``Sequential(Linear(4, 4), Dropout(0.5))`` without ``eval()``.

    What to do: nothing; call ``eval()`` to check it without.
    """
    return Finding.of(
        "CD124",
        tensor=names[0],
        message=f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} in training: every run "
        "draws the same numbers.",
    )


@cause("CD125", "loss not said", "note")
def loss_taken(name: str) -> Finding:
    """Gradients of a loss that the target never computes, and that fit none of the usual ones.

    It sees ``forward(X) → (out, cache)`` with ``compute_gradients(out, cache)``. Cross-entropies
    and squared errors, summed and averaged, are tried; what agrees best is taken.

    Why it matters: whether a factor is missing depends on the loss that is meant.

    Example: a sigmoid output whose gradients fit neither cross-entropy nor squared error.

    What to do: say it, ``check(…, loss=lambda out, Y: …)``.
    """
    return Finding.of(
        "CD125",
        message=f"The loss is not computed, and {name} was taken: none of the usual ones has these "
        "gradients, and this is the nearest.",
        advice="Say the loss: loss=lambda out, Y: …",
    )


@cause("CD126", "no loss")
def no_loss(where: str) -> Finding:
    """Gradients of a loss that cannot be found: neither computed, nor are there labels.

    It sees an output that is an array, and a backward pass that takes no gradient from above.

    Why it matters: there is nothing that the gradients could be compared with.

    Example: ``forward(X) → (out, cache)`` with ``compute_gradients(out, cache, Y)``, checked
    without Y.

    What to do: pass the labels among the inputs, or ``loss=``.
    """
    return Finding.of(
        "CD126",
        where=where,
        message="Forward returns an array, backward takes no gradient of it, and there are no "
        "labels to make a loss of.",
        advice="Pass the labels after forward's arguments, or loss=lambda out, Y: …",
    )


@cause("CD127", "checked by differences alone", "note")
def differences_alone(reason: str, where: str) -> Finding:
    """A forward pass that cannot be traced.

    It sees code that leaves NumPy or fills plain arrays entry by entry, and compiled code.

    Why it matters: gradients are compared with central differences. A wrong one is found, and
    what stands between input and output is not seen, so that less can be said about why.

    Example: ``out[i] = math.exp(x[i])`` in a loop.

    What to do: nothing; or write forward with NumPy functions of whole arrays.
    """
    return Finding.of(
        "CD127",
        where=where,
        message=f"Forward cannot be traced{f' ({reason})' if reason else ''}: gradients are "
        "compared with central differences.",
    )
