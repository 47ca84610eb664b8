"""What a backward pass returned, before its numbers are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.graph import describe
from chainrule.inspect.finding import Finding, cause

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainrule.inspect.targets.pairs import WrongCount

__all__ = [
    "aliased",
    "another_dtype",
    "gradient_missing",
    "loss_alone",
    "no_number",
    "returns_nothing",
    "unknown_key",
    "wrong_count",
    "wrong_shape",
]


@cause("CD104", "backward returns nothing")
def returns_nothing(name: str, where: str) -> Finding:
    """The backward pass returns None, and leaves no gradient anywhere.

    It sees a function without ``return``, or a module's backward that neither returns the
    gradient at its input nor hands it to ``propagate_gradient``, and leaves none on itself.

    Why it matters: the layers before get no gradient, and nothing says so.

    Example: ``def backward(self, dout): dx = dout @ self.W.T`` without a return.

    What to do: return the gradients, in the order of forward's arguments or by name.
    """
    return Finding.of(
        "CD104",
        where=where,
        message=f"{name} returns nothing and leaves no gradient on its object.",
        advice="Return a tuple in the order of forward's arguments, or a dictionary by name.",
    )


@cause("CD129", "no gradients beside the loss")
def loss_alone(name: str, got: Any, where: str) -> Finding:
    """A function alone that does not return a loss together with its gradients.

    It sees a function which is checked by itself and returns one thing, or None.

    Why it matters: there is nothing to check.

    Example: ``check(loss, w)`` with ``def loss(w): return np.sum(w**2)``.

    What to do: return ``(loss, gradients)``, or pass the pair ``(forward, backward)``.
    """
    return Finding.of(
        "CD129",
        where=where,
        message=f"{name} has to return a loss and its gradients, and returns {describe(got)}.",
        advice="Return (loss, gradients), as scipy.optimize.minimize(jac=True) takes it, or pass "
        "(forward, backward).",
    )


@cause("CD105", "wrong number of gradients")
def wrong_count(count: WrongCount, where: str) -> Finding:
    """A tuple of gradients that are not one for each argument.

    It sees a tuple whose length is neither the number of forward's arguments, nor that of its
    floating-point arrays, and whose shapes do not tell which of them are meant.

    Why it matters: it cannot be told which gradient belongs to which argument; whoever unpacks
    the tuple gives a parameter the gradient of another.

    Example: ``return dW, db`` for ``forward(X, W1, b1, W2, b2)``.

    What to do: return one for each argument, None for one without a gradient; or a dictionary.
    """
    return Finding.of(
        "CD105",
        where=where,
        message=f"Backward returns {count.got} gradients for {len(count.wanted)} arrays.",
        evidence=(f"arrays with a gradient: {', '.join(count.wanted) or 'none'}",),
        advice='Return one for each argument, in order, or a dictionary such as {"W1": dW1}.',
    )


@cause("CD106", "not an array of numbers")
def no_number(key: str, tensor: str, x: Any, where: str) -> Finding:
    """A gradient that is no array of real numbers.

    It sees text, objects, complex numbers, and lists whose rows have different lengths.

    Why it matters: it cannot be added to a parameter.

    Example: ``grads["W1"] = "todo"``, or a generator in place of an array.

    What to do: return an array of the parameter's shape.
    """
    return Finding.of(
        "CD106",
        tensor=tensor,
        where=where,
        message=f"{key} is no array of real numbers: {describe(x)}.",
    )


@cause("CD107", "wrong shape")
def wrong_shape(key: str, tensor: str, shapes: tuple[Any, Any], where: str) -> Finding:
    """A gradient whose shape is not that of what it belongs to.

    It sees a shape with a length that nothing in the forward pass has. Any other may come from a
    product or a sum that went wrong, which have causes of their own.

    Why it matters: an update either raises or broadcasts, and a broadcast changes the parameter's
    shape without a word.

    Example: ``dW1`` of shape (7, 9) for a W1 of shape (4, 5) and 6 examples.

    What to do: a gradient has the shape of its array; look at the operands of its last product.
    """
    got, wanted = shapes
    return Finding.of(
        "CD107",
        tensor=tensor,
        where=where,
        message=f"{key} has the shape {list(got)}, and {tensor} has {list(wanted)}.",
    )


@cause("CD108", "another dtype", "note")
def another_dtype(
    key: str, tensor: str, dtype: Any, where: str, *, is_cut: bool = False
) -> Finding:
    """A gradient of another type than the array that it belongs to.

    It sees float32 gradients of float64 arrays, and whole numbers or truth values.

    Why it matters: seven digits are left of sixteen, which no check can tell from a small
    mistake; whole numbers lose all that is behind the point.

    Example: ``dW = np.zeros(W.shape, dtype=int); dW += X.T @ dZ`` raises or rounds.

    What to do: let the gradient take the type of its operands; look for ``dtype=``, ``astype``
    and ``zeros(…, int)``.
    """
    lost = " What is behind the point is lost." if is_cut else ""
    return Finding.of(
        "CD108",
        tensor=tensor,
        where=where,
        message=f"{key} is {dtype}, and {tensor} is float64.{lost}",
        severity="error" if is_cut else "note",
    )


def was_cut(claimed: Any, expected: Any) -> bool:
    """Return whether whole numbers are what is left of a gradient."""
    x, y = np.asarray(claimed), np.asarray(expected)
    if x.dtype.kind not in "iub" or y.dtype.kind != "f" or x.shape != y.shape:
        return False
    rounded = (np.trunc(y), np.rint(y), np.floor(y))
    return bool(np.any(x != y)) and any(np.array_equal(x, kept) for kept in rounded)


@cause("CD109", "gradient shares memory", "note")
def aliased(key: str, tensor: str, others: Sequence[str], where: str) -> Finding:
    """A gradient that is the memory of something else: an input, the cache, what came from above.

    It sees arrays that overlap in memory.

    Why it matters: the numbers are right now. Whoever adds to the gradient in place, as
    optimisers with weight decay do, writes to the other array too.

    Example: ``dy2 = probs`` followed by in-place steps, with probs in the cache.

    What to do: start from a copy, ``dy2 = probs.copy()``.
    """
    return Finding.of(
        "CD109",
        tensor=tensor,
        where=where,
        message=f"{key} is the same memory as {', '.join(others)}.",
        advice="Take a copy before you write to it.",
    )


@cause("CD110", "unknown gradient", "note")
def unknown_key(key: str, near: Sequence[str], where: str) -> Finding:
    """A key among the gradients that names no argument and no value of the forward pass.

    It sees keys which, without d, grad_ and the like, are no parameter, no variable of forward
    and no key of its cache.

    Why it matters: this gradient is not checked.

    Example: ``{"dWeight1": dW1}`` for an argument W1.

    What to do: name it after its array, with or without a d in front.
    """
    return Finding.of(
        "CD110",
        tensor=key,
        where=where,
        message="No value of the forward pass is called so, so it is not checked."
        + (f" The nearest: {', '.join(near)}." if near else ""),
    )


@cause("CD111", "gradient missing", "warning")
def gradient_missing(missing: Sequence[str], found: Sequence[str], where: str) -> Finding:
    """A parameter without a gradient among others of its kind that have one.

    It sees a dictionary with dW1, db1 and dW2 where forward reads b2 too.

    Why it matters: the parameter is never trained.

    Example: ``return {"W1": dW1, "b1": db1, "W2": dW2}``.

    What to do: return its gradient too.
    """
    return Finding.of(
        "CD111",
        tensor=missing[0],
        where=where,
        message=f"There are gradients of {', '.join(found)}, and none of {', '.join(missing)}.",
    )


def comparable(got: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Return whether a shape is the right one turned, unsummed or summed.

    Examples
    --------
    >>> comparable((3, 4), (4, 3)), comparable((7, 3), (3,)), comparable((7, 3), (4, 5))
    (True, True, False)
    """
    if sorted(got) == sorted(wanted):
        return True
    plain = [n for n in got if n != 1], [n for n in wanted if n != 1]
    longer, shorter = sorted(plain, key=len, reverse=True)
    rest = list(longer)
    for n in shorter:
        if n not in rest:
            return False
        rest.remove(n)
    return True


def family(name: str) -> str:
    """Return ``W`` for ``W1``."""
    return name.rstrip("0123456789_")


def missing_of(claimed: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    """Return the arrays of a numbered family of which others have a gradient."""
    families = {family(name) for name in claimed if name[-1:].isdigit()}
    return [n for n in names if n not in claimed and n[-1:].isdigit() and family(n) in families]
