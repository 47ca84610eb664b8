"""A product of matrices: its two gradients are products too, and their order is easily lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.diagnose.guessing import GUESSES, Guess, also, guesses, same_shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainrule.inspect.diagnose.sites import Site


def _operands(site: Site) -> tuple[Any, Any]:
    """Return the gradient from above and the other operand of a product."""
    return site.upstream, site.account.numbers[site.others[0]]


def _fits(site: Site, array: Any) -> bool:
    """Return whether a guess may stand for the gradient: an argument's may have any shape."""
    return site.is_argument or array.shape == np.shape(site.number)


def _turned(x: Any, turn: bool) -> Any:
    return x.T if turn else x


def _products(site: Site) -> Iterator[tuple[Any, bool, str]]:
    """Yield every product of the two that may stand here, and whether their order is kept."""
    g, x = _operands(site)
    gx = site.node.inputs[0] == site.value  # the value stands on the left: its gradient is g xᵀ
    for first, second, kept in ((g, x, gx), (x, g, not gx)):
        for turn_first in (False, True):
            for turn_second in (False, True):
                a, b = _turned(first, turn_first), _turned(second, turn_second)
                if a.shape[1] != b.shape[0]:
                    continue
                key = f"{'g' if first is g else 'x'}{turn_first}{turn_second}"
                y = a @ b
                if _fits(site, y):
                    yield y, kept, key


@guesses("CD207", "transpose missing or extra", "edge", "whole", rank=4)
def transpose(site: Site) -> Iterator[Guess]:
    """A factor of a product, or the gradient itself, is transposed where it should not be.

    What it sees
        The gradient is the product of the right matrices in the right order, one of them
        turned; or it is the right gradient turned.

    Why it matters
        With square matrices nothing complains. With others, shapes do, and the transpose that
        makes them fit is not always the right one.

    Example
        ``dA1 = dZ2 @ W2`` in place of ``dZ2 @ W2.T``, where W2 is square.

    What to do
        For Z = A W the gradients are ``dA = dZ @ W.T`` and ``dW = A.T @ dZ``: each has the
        shape of what it is the gradient of.
    """
    if site.kind == "whole":
        if site.is_argument and np.ndim(site.true) == 2:
            yield Guess(site.true.T, "turned", "the right gradient was turned")
        return
    if site.is_product:
        for y, kept, key in _products(site):
            if kept:
                yield Guess(y, key, "a factor was turned")


@guesses("CD208", "wrong operand order", "edge", rank=4)
def order(site: Site) -> Iterator[Guess]:
    """The factors of a product stand in the wrong order.

    What it sees
        The product of the right matrices, the other way round.

    Why it matters
        Products of matrices do not commute. Where shapes fit by chance, nothing complains.

    Example
        ``dW1 = dZ1.T @ X`` in place of ``X.T @ dZ1``, which is its transpose.

    What to do
        For Z = A W the gradients are ``dA = dZ @ W.T`` and ``dW = A.T @ dZ``.
    """
    if site.is_product:
        for y, kept, key in _products(site):
            if not kept:
                yield Guess(y, key, "the factors are the other way round")


@guesses("CD209", "elementwise instead of a matrix product", "edge", rank=5)
def elementwise(site: Site) -> Iterator[Guess]:
    """Two matrices are multiplied entry by entry where their product is meant.

    What it sees
        The entries are those of ``g * x``, where ``@`` is right.

    Why it matters
        Shapes that happen to be equal, or to broadcast, hide it.

    Example
        ``dA1 = dZ2 * W2.T`` in place of ``dZ2 @ W2.T``.

    What to do
        A sum over units or examples, as in the forward pass, needs ``@`` in the backward pass.
    """
    if not site.is_product:
        return
    g, x = _operands(site)
    for turn_g in (False, True):
        for turn_x in (False, True):
            a, b = _turned(g, turn_g), _turned(x, turn_x)
            try:
                y = a * b
            except ValueError:
                continue
            if _fits(site, y):
                yield Guess(y, f"{turn_g}{turn_x}", "the factors were multiplied entry by entry")


@guesses("CD210", "matrix product instead of elementwise", "region", "edge", rank=5)
def product(site: Site) -> Iterator[Guess]:
    """Two arrays are multiplied as matrices where each entry has its own slope.

    What it sees
        ``g @ slope`` where ``g * slope`` is right.

    Why it matters
        An activation acts on each element alone: its Jacobian is diagonal, and a product with
        the full matrix of slopes mixes units or examples.

    Example
        ``dZ1 = dA1 @ (1 - A1 ** 2)``.

    What to do
        Write ``*``.
    """
    if site.kind == "edge" and (not site.acts_alone or site.was_repeated):
        return
    slope = site.slope(site.number) if site.kind == "region" else site.factor
    g = site.upstream
    if np.ndim(g) != 2 or np.shape(slope) != np.shape(g):
        return
    for key, a, b in (("gs", g, slope), ("sg", slope, g), ("gsT", g, slope.T), ("sTg", slope.T, g)):
        if a.shape[1] == b.shape[0] and (a.shape[0], b.shape[1]) == np.shape(site.number):
            yield Guess(a @ b, key, "the slopes were multiplied as a matrix")


@guesses("CD242", "another array used", "edge", rank=5)
def another_array(site: Site) -> Iterator[Guess]:
    """A product is formed with another array than the one that the forward pass used.

    What it sees
        The gradient is the right product with another array of the same shape in it: of the
        layer before, or the pre-activation for the activation.

    Why it matters
        Where layers have equal sizes no shape complains.

    Example
        ``dW2 = Z1.T @ dZ2`` in place of ``A1.T @ dZ2``.

    What to do
        Take what the forward pass multiplied by.
    """
    account = site.account
    if not (site.is_product or site.is_scaled):
        return
    for other in site.others:
        for index in same_shape(account, other):
            words = "it was formed with {} in place of {}".format(*_said(site, index, other))
            y = with_operand(site, other, account.numbers[index])
            if np.shape(y) == np.shape(site.number):
                yield Guess(y, f"#{other} #{index}", words)


_TURNS = {-1: "the turn before", 0: "this turn", 1: "the next turn"}


def _said(site: Site, *indices: int) -> list[str]:
    """Return what values are called; in a loop also of which turn, where that differs."""
    account = site.account
    turns = [account.turns.get(i) for i in (site.consumer, *indices)]
    if any(at is None for at in turns):
        return [account.name(i) for i in indices]
    here, *others = [at.turn for at in turns if at is not None]
    names = [account.once(i) for i in indices]
    if len(set(others)) == 1 or not _TURNS.keys() >= {at - here for at in others}:
        return names if len(set(names)) > 1 else [account.name(i) for i in indices]
    return [f"{name} of {_TURNS[at - here]}" for name, at in zip(names, others, strict=True)]


@guesses("CD218", "upstream gradient ignored", "edge", "region", rank=8)
def upstream_ignored(site: Site) -> Iterator[Guess]:
    """The gradient from above is not multiplied by.

    What it sees
        The local derivative alone, as if the gradient from above were 1.

    Why it matters
        The chain rule is a product; without its first factor the loss has no say.

    Example
        ``dZ1 = 1 - A1 ** 2`` in place of ``dA1 * (1 - A1 ** 2)``.

    What to do
        Multiply by the gradient of what the layer returned.
    """
    m = site.account.batch or 1
    for scale in (1, m) if m > 1 else (1,):  # where the 1/m comes in later, or here
        for array, key, words, _ in _alone(site):
            yield Guess(array / scale, f"{key} {scale != 1}", words)
        if site.kind == "region":
            words = "the slope was added to the gradient from above"
            y = site.slope(site.number) / scale + site.upstream
            yield Guess(y, f"sum {scale != 1}", words)


def _alone(site: Site) -> Iterator[Guess]:
    """Yield what a place hands on without the gradient from above."""
    if site.kind == "region":
        slope = site.slope(site.number)
        yield Guess(slope, "slope", "the slope stands alone")
    elif site.acts_alone and not site.was_repeated:
        yield Guess(np.array(site.factor), "factor", "the other factor stands alone")
    elif site.is_product:
        ones = np.ones(np.shape(site.upstream))
        account, node = site.account, site.consumer
        (place, *_) = account.places(node, site.value)
        yield Guess(
            account.pulled(node, place, ones), "ones", "1 stands for the gradient from above"
        )
        x = account.numbers[site.others[0]]
        for key, array in (("x", x), ("xT", x.T)):
            if array.shape == np.shape(site.number):
                yield Guess(array, key, "the other factor stands alone")


@guesses("CD244", "a factor is left out", "edge", rank=4)
def factor_left_out(site: Site) -> Iterator[Guess]:
    """What the forward pass multiplied by is missing in the backward pass.

    What it sees
        The gradient from above is handed on as it is, or summed as it is.

    Why it matters
        The gradient has the wrong size, and often the wrong sign.

    Example
        ``dxhat = dy`` in place of ``dy * gamma`` behind ``y = gamma * xhat + beta``.

    What to do
        Multiply by the other factor, whatever the forward pass multiplied by.
    """
    if not site.acts_alone or site.is_penalty or np.all(np.abs(site.factor) == 1):
        return
    g = np.broadcast_to(site.upstream, site.node.shape)
    if site.was_repeated:
        g = summed_to(g, np.shape(site.number))
    yield Guess(np.array(g), "", "the other factor is not there")


@also(GUESSES, "CD244", "region")
def part_of_the_slope(site: Site) -> Iterator[Guess]:
    """Yield the gradient from above with one of the factors of the slope alone."""
    a = site.account.numbers[site.consumer]
    for key, part in (("a", a), ("1 - a", 1 - a), ("1 + a", 1 + a)):
        yield Guess(site.upstream * part, key, f"of the slope {key} alone is there")


@guesses("CD241", "the gradient of another parameter", "whole", rank=4)
def swapped(site: Site) -> Iterator[Guess]:
    """A parameter is given the gradient of another one.

    What it sees
        The numbers are the right gradient of another argument of the same shape.

    Why it matters
        Layers of equal size hide it.

    Example
        ``return dW2, db1, dW1, db2``.

    What to do
        Return gradients in the order of the arguments.
    """
    if not site.is_argument:
        return
    for claim in site.account.claims.values():
        other = claim.node
        if other is not None and other != site.value and claim.kind == "argument":
            gradient = site.account.true.get(other)
            if gradient is not None:
                yield Guess(gradient, claim.name, f"it is the gradient of {claim.name}")


def with_operand(site: Site, operand: int, other: Any) -> Any:
    """Return what a consumer hands on, with another array in place of one of its operands."""
    account, record = site.account, site.node
    op = record.op
    if op is None:
        raise TypeError("an input hands nothing on")
    xs = [other if i == operand else account.numbers[i] for i in record.inputs]
    y = account.numbers[site.consumer]
    parts = [
        op.derivative.pull(op, k, site.upstream, xs, y, record.attributes)
        for k in account.places(site.consumer, site.value)
    ]
    total = np.asarray(sum(parts[1:], parts[0]))
    return summed_to(total, np.shape(site.number)) if total.ndim >= np.ndim(site.number) else total


def summed_to(x: Any, shape: tuple[int, ...]) -> Any:
    """Return an array summed over the axes along which it was repeated."""
    extra = np.ndim(x) - len(shape)
    axes = tuple(range(extra)) + tuple(
        extra + k for k, n in enumerate(shape) if n == 1 and x.shape[extra + k] != 1
    )
    return np.sum(x, axis=axes, keepdims=False).reshape(shape) if axes else x
