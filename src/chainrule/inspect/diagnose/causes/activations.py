"""An activation hands on its slope times the gradient from above: which slope, and where."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import ChainruleError
from chainrule.graph import OPS, REQUIRED
from chainrule.inspect.diagnose.account import close
from chainrule.inspect.diagnose.guessing import Guess, guesses
from chainrule.inspect.diagnose.sites import regions
from chainrule.ops import Partials

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainrule.graph import Op
    from chainrule.inspect.diagnose.sites import Site


@cache
def known() -> tuple[Op, ...]:
    """Return the ops that may be activations: of one operand, each element alone."""
    simplest = sorted(OPS.values(), key=lambda op: (len(op.name), op.name))
    return tuple(
        op
        for op in simplest
        if isinstance(op.derivative, Partials)
        and len(op.operands) == 1
        and not op.variadic
        and REQUIRED not in op.attributes.values()
    )


def slope(op: Op, x: Any, y: Any = None) -> Any:
    """Return the slope of an op at x, with y for its value where the rule reads that."""
    attributes = dict(op.attributes)
    with np.errstate(all="ignore"):
        y = op.forward(x, **attributes) if y is None else y
        return op.derivative.push(op, [np.ones(np.shape(x))], [x], y, attributes)


def recognised(site: Site) -> Op | None:
    """Return the op that an activation is, however it is spelt; None if none is known."""
    z, a = site.number, site.account.numbers[site.consumer]
    for op in known():
        try:
            with np.errstate(all="ignore"):
                found = op.forward(z, **op.attributes)
        except (ChainruleError, TypeError, ValueError):
            continue
        if close(found, a) and close(slope(op, z), site.slope(z)):
            return op
    return None


def is_constant(slopes: Any) -> bool:
    """Return whether slopes are the same everywhere, as those of a sign or a scale are."""
    return bool(np.all(slopes == np.ravel(slopes)[0])) if np.size(slopes) else True


def is_multiple(y: Any, of: Any) -> bool:
    """Return whether an array is another one times a number: then a factor says it better."""
    a, b = np.ravel(y), np.ravel(of)
    length = float(b @ b)
    return bool(length) and close(a, b * (float(a @ b) / length))


@guesses("CD214", "activation derivative missing", "region", rank=3)
def missing(site: Site) -> Iterator[Guess]:
    """The gradient of an activation is handed on as that of its pre-activation.

    What it sees
        dZ equals dA: the slope of the activation is not there.

    Why it matters
        The layer is trained as if it were linear.

    Example
        ``dZ1 = dZ2 @ W2.T`` without ``* (1 - A1 ** 2)``.

    What to do
        Multiply by the activation's slope at the pre-activation.
    """
    yield Guess(site.upstream, "", "the slope is not there")


@guesses("CD243", "activation derivative taken twice", "region", rank=3)
def twice(site: Site) -> Iterator[Guess]:
    """The slope of an activation is multiplied by twice.

    What it sees
        dZ is dA times the square of the slope.

    Why it matters
        Slopes are mostly below 1, so the layers before learn more slowly than they should.

    Example
        ``dZ3 = (A3 - Y) * A3 * (1 - A3)`` for sigmoid with cross-entropy, where A3 − Y is dZ3
        already.

    What to do
        Multiply once.
    """
    s = site.slope(site.number)
    yield Guess(site.upstream * s * s, "", "the slope is there twice")


@guesses("CD215", "activation derivative at the wrong point", "region", rank=3)
def wrong_point(site: Site) -> Iterator[Guess]:
    """The slope is taken at the activation instead of the pre-activation, or the reverse.

    What it sees
        The formula of the right slope, with A for Z or Z for A in it.

    Why it matters
        σ′(z) is σ(z)(1 − σ(z)), which is a(1 − a) in terms of a = σ(z). A function that takes z
        and is given a applies σ once more; a formula in a that is given z is no slope at all.

    Example
        ``dA1 * sigmoid_prime(A1)`` where ``sigmoid_prime`` takes Z; ``dA1 * Z1 * (1 - Z1)``.

    What to do
        Give the function what it takes: look at whether it applies the activation itself.
    """
    z, a = site.number, site.account.numbers[site.consumer]
    yield Guess(site.upstream * site.slope(a), "at a", "the slope was taken at the activation")
    op = recognised(site)
    if op is not None:
        words = "the formula in the activation was given the pre-activation"
        yield Guess(site.upstream * slope(op, z, z), "formula", words)
        yield Guess(
            site.upstream * slope(op, a, a), "both", "the slope was taken at the activation"
        )
    for end in (site.upstream, site.true):
        mask = np.asarray(end > 0, dtype=float)
        if op is not None and set(np.unique(slope(op, z))) <= {0.0, 1.0}:
            yield Guess(site.upstream * mask, "mask", "the mask is that of the gradient itself")


@guesses("CD216", "derivative of another activation", "region", rank=3)
def another(site: Site) -> Iterator[Guess]:
    """The slope is that of another activation than the forward pass applies.

    What it sees
        dA times the slope of tanh where the forward pass has a sigmoid, or the like.

    Why it matters
        It often stays when an activation is exchanged in the forward pass alone.

    Example
        ``dA1 * A1 * (1 - A1)`` behind ``A1 = np.tanh(Z1)``.

    What to do
        Take the slope of the activation that is there.
    """
    z, a = site.number, site.account.numbers[site.consumer]
    own = recognised(site)
    for op in known():
        if op is own or is_constant(slope(op, z)):
            continue
        for key, x, y in (("z", z, None), ("za", z, a), ("a", a, None), ("aa", a, a), ("zz", z, z)):
            try:
                slopes = slope(op, x, y)
            except (ChainruleError, TypeError, ValueError):
                continue
            array = site.upstream * slopes
            if np.all(np.isfinite(array)) and not (y is x and is_multiple(slopes, x)):
                yield Guess(array, f"{op.name} {key}", f"the slope is that of {op.name}")


@guesses("CD217", "activation derivative of another layer", "region", rank=3)
def another_layer(site: Site) -> Iterator[Guess]:
    """The slope is taken at the values of another layer.

    What it sees
        The right slope at another pre-activation, or activation, of the same shape.

    Why it matters
        Layers of equal size hide an index that is off by one.

    Example
        ``dZ1 = dA1 * (1 - A2 ** 2)``.

    What to do
        Take the slope at the pre-activation of the same layer.
    """
    account = site.account
    own = recognised(site)
    for region in regions(account):
        if region.base == site.value:
            continue
        z, a = account.numbers[region.base], account.numbers[region.end]
        if np.shape(z) != np.shape(site.number):
            continue
        words = f"the slope is that at {account.name(region.base)}"
        yield Guess(site.upstream * site.slope(z), f"#{region.base}", words)
        yield Guess(
            site.upstream * site.slope(a),
            f"#{region.end}",
            f"the slope is that at {account.name(region.end)}",
        )
        if own is not None:
            yield Guess(site.upstream * slope(own, z, a), f"#{region.base} #{region.end}", words)
