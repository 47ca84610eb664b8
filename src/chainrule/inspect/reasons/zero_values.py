"""Why a value is zero: it came in so, it was switched off, or it is too small for its type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.graph import Each
from chainrule.inspect.finding import cause
from chainrule.inspect.reasons.birth import acts_alone
from chainrule.inspect.reasons.culprits import computed
from chainrule.inspect.reasons.reason import Reason, is_written, reason_at, route_in_words
from chainrule.inspect.scene import Scene, Spot, numbered

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.graph import Node

__all__ = ["why_value_zero"]


def why_value_zero(scene: Scene, spot: Spot) -> Reason:
    """Return why a value is zero, from the node that made it so."""
    route = [spot]
    while True:
        back = _zero_factor(scene, route[-1])
        if back is None:
            break
        route.append(back)
    for rule in (given, switched_off, underflow, difference):
        found: Reason | None = rule(scene, route)
        if found is not None:
            return found
    raise AssertionError("the last rule always holds")


def _zero_factor(scene: Scene, spot: Spot) -> Spot | None:
    """Return an entry of an operand that is zero, and without which this one would not be.

    Where only all of them together make a difference, it is one of the first.
    """
    node = scene.nodes[spot.node]
    xs = scene.operands(spot.node)
    having = [k for k, x in enumerate(xs) if _is_number(node, k, x) and np.any(x == 0)]
    filled = [_filled(x, node.dtype) if k in having else x for k, x in enumerate(xs)]
    for k in having:
        tried = [filled[i] if i == k else x for i, x in enumerate(xs)]
        if np.ravel(computed(node, tried))[spot.position] != 0:
            found = Spot(node.inputs[k], _which(scene, spot, k))
            if is_written(scene, found.node):
                return found
            return _beyond(scene, spot) if node.op is not None and node.op.flat else None
    if having and np.ravel(computed(node, filled))[spot.position] != 0:
        return Spot(node.inputs[having[0]], _which(scene, spot, having[0]))
    return None


def _is_number(node: Node, k: int, x: Any) -> bool:
    """Return whether an operand is of numbers, and not of places, labels or a mask of choices."""
    op = node.op
    return x.dtype.kind == "f" or (x.dtype.kind in "biu" and op is not None and not op.is_flat(k))


def _filled(x: Any, dtype: Any) -> Any:
    """Return an array with 0.75 for 0; whole numbers and truth values become floating-point."""
    dtype = x.dtype if x.dtype.kind == "f" else dtype if dtype.kind == "f" else np.dtype(float)
    return np.where(x == 0, dtype.type(0.75), x.astype(dtype))


def _beyond(scene: Scene, spot: Spot) -> Spot | None:
    """Return the zero that a choice stands for: behind the operand that was not chosen.

    Functions of NumPy are made of choices, whose constants are no part of the program: the root
    of a sum of squares is 0 where that sum is, which is the number to go on from.
    """
    waiting = [spot]
    while waiting:
        at = waiting.pop(0)
        node = scene.nodes[at.node]
        if node.op is None or not isinstance(node.op.form, Each):
            continue
        for k, i in enumerate(node.inputs):
            x = np.asarray(scene.walk.numbers[i])
            if node.op.is_flat(k) or not scene.walk.active[i] or not x.size:
                continue
            laid = np.broadcast_to(np.arange(x.size).reshape(x.shape), node.shape)
            found = Spot(i, int(np.ravel(laid)[at.position]))
            if scene.number(found) == 0:
                return found
            waiting.append(found)
    return None


def _which(scene: Scene, spot: Spot, k: int) -> int:
    """Return a zero of an operand that an entry is computed from."""
    node, x = scene.nodes[spot.node], scene.operands(spot.node)[k]
    zero = np.ravel(x) == 0
    if acts_alone(node):
        laid = np.broadcast_to(np.arange(x.size).reshape(x.shape), node.shape)
        return int(np.ravel(laid)[spot.position])
    g = np.zeros(node.shape, node.dtype)
    g.flat[spot.position] = 1
    reads = np.ravel(scene.pull(spot.node, k, g[()])) != 0
    return int(np.argmax(zero & reads if np.any(zero & reads) else zero))


def _told(scene: Scene, code: str, route: Sequence[Spot], message: str, **more: Any) -> Reason:
    way = ["it reaches it by " + route_in_words(scene, route)] if len(route) > 1 else []
    example = scene.example(route[-1])
    example = scene.example(route[0]) if example is None else example
    return reason_at(scene, code, route[-1], message, way, example=example, **more)


@cause("CD531", "zero from the start", "note")
def given(scene: Scene, route: Sequence[Spot]) -> Reason | None:
    """A value that is zero because an input, a weight or a constant is.

    It sees a zero that can be followed back to a number that came in.

    For example a score of 0 for an example whose features are all 0.
    """
    spot = route[-1]
    if scene.nodes[spot.node].op is None:
        return _told(scene, "CD531", route, f"{scene.label(spot)} came in as 0.")
    if not _meets_literal(scene, spot):
        return None
    word = scene.word(spot.node)
    return _told(scene, "CD531", route, f"{word} takes a constant there that is 0.")


def _meets_literal(scene: Scene, spot: Spot) -> bool:
    """Return whether a product has a constant without a name for a factor, which is 0."""
    node = scene.nodes[spot.node]
    if node.op is None or node.op.flat:
        return False
    xs = scene.operands(spot.node)
    for k, x in enumerate(xs):
        if _is_number(node, k, x) and np.any(x == 0) and not is_written(scene, node.inputs[k]):
            tried = [_filled(x, node.dtype) if i == k else other for i, other in enumerate(xs)]
            if np.ravel(computed(node, tried))[spot.position] != 0:
                return True
    return False


@cause("CD532", "value switched off", "note")
def switched_off(scene: Scene, route: Sequence[Spot]) -> Reason | None:
    """A value that a rectifier, a clip or a mask made 0.

    It sees a zero made of numbers that are not, by a function with a kink or with a mask.

    For example a ReLU of -0.7.
    """
    spot = route[-1]
    node = scene.nodes[spot.node]
    if node.op is None or (node.op.kink is None and not node.op.flat):
        return None
    operands = [
        f"{scene.label(Spot(i, spot.position))} = {numbered(scene.number(Spot(i, spot.position)))}"
        for k, i in enumerate(node.inputs)
        if scene.nodes[i].shape == node.shape and not node.op.is_flat(k) and is_written(scene, i)
    ]
    return _told(
        scene, "CD532", route, f"{node.op.name} made it 0, at {', '.join(operands) or 'a mask'}."
    )


@cause("CD533", "underflow", "warning")
def underflow(scene: Scene, route: Sequence[Spot]) -> Reason | None:
    """A value too small for its type: it became 0, though no factor is.

    It sees a zero that is none for operands nearer to 1, or with a wider type.

    For example exp(-800), or the product of a thousand probabilities.

    Stay with logarithms: sums of log p for products of p.
    """
    spot = route[-1]
    node = scene.nodes[spot.node]
    if node.op is None:
        return None
    xs = [x.astype(np.longdouble) if x.dtype.kind == "f" else x for x in scene.operands(spot.node)]
    half = [x * x.dtype.type(0.01) if x.dtype.kind == "f" else x for x in scene.operands(spot.node)]
    try:
        wide = np.ravel(computed(node, xs))[spot.position]
    except TypeError:
        wide = 0
    near = np.ravel(computed(node, half))[spot.position]
    if wide == 0 and near == 0:
        return None
    at = ", ".join(
        f"{scene.names[i]} = {numbered(scene.number(Spot(i, spot.position)))}"
        for i in node.inputs
        if scene.nodes[i].shape == node.shape
    )
    return _told(
        scene,
        "CD533",
        route,
        f"{node.op.name} is below {np.finfo(node.dtype).smallest_subnormal:.2g}, the smallest "
        f"{node.dtype}" + (f", at {at}." if at else "."),
    )


@cause("CD534", "terms cancel", "note")
def difference(scene: Scene, route: Sequence[Spot]) -> Reason | None:
    """Numbers that are not zero and whose sum or difference is.

    It sees a zero that no factor, mask or underflow explains.

    For example ``x - x.mean()`` of a column that is constant.
    """
    return _told(scene, "CD534", route, f"The terms of {scene.word(route[-1].node)} cancel there.")
