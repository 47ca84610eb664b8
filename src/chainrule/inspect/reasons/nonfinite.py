"""Why a number is not finite: the causes, each recognised by changing the operands a little.

What a node with finite operands did is found without its name. If it is finite for smaller
operands, it overflowed; if for larger ones, something was divided by too little; if right beside
them, they stand at a pole or in a hole; and if nowhere near, they are outside of its domain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.finding import cause
from chainrule.inspect.reasons.birth import Birth, acts_alone, largest_operand
from chainrule.inspect.reasons.culprits import born_forward
from chainrule.inspect.reasons.reason import Reason, reason_at
from chainrule.inspect.reasons.zero_values import why_value_zero
from chainrule.inspect.scene import Spot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.inspect.scene import Scene

__all__ = ["why_not_finite"]

HUGE = 1e8
"""A weight of this size has diverged, and an input of this size is hardly meant."""


# ------------------------------------------------------------------ the causes, in order


@cause("CD501", "bad input")
def bad_input(birth: Birth) -> Reason | None:
    """An example, a label or a target that is not a finite number.

    It sees a number that is NaN or infinite where it came in: in an argument that holds examples,
    or in an array that the program takes from around it. One such entry makes the mean of a
    batch, and with it every gradient, NaN.

    For example a missing measurement that a file stores as NaN, or a label that was looked up in
    a table without it.

    Look at the example that is named; drop it, or fill it in before training. A mask does not
    help if it multiplies: 0 times NaN is NaN.
    """
    scene, spot = birth.scene, birth.spot
    if scene.nodes[spot.node].op is not None or spot.node in scene.parameters:
        return None
    count = int(np.sum(~np.isfinite(scene.walk.numbers[spot.node])))
    message = f"{scene.label(spot)} is {birth.number:g} where it comes in"
    more = f", one of {count} such entries." if count > 1 else "."
    return birth.told("CD501", message + more, advice="Drop the example, or fill the number in.")


@cause("CD502", "diverged weight")
def diverged_weight(birth: Birth) -> Reason | None:
    """A parameter that is not finite, or so large that what it multiplies overflows.

    It sees a NaN or an infinity in an argument that holds no examples, or one beyond 1e8 that an
    overflow can be followed back to: weights that are trained on inputs near 1 stay below 1e3,
    and 1e8 squared is beyond what float32 tells apart from its neighbours.

    For example a step with too large a learning rate, after which each layer multiplies by
    weights that are ten times too large.

    Start from weights of before, and lower the learning rate or clip the gradient
    (``clip_norm=1.0``).
    """
    scene, spot = birth.scene, birth.spot
    advice = "Lower the learning rate or clip the gradient, and start from earlier weights."
    if spot.node in scene.parameters and scene.nodes[spot.node].op is None:
        return birth.told(
            "CD502", f"The weight {scene.label(spot)} is {birth.number:g}.", advice=advice
        )
    if not _is_overflow(birth):
        return None
    source = largest_operand(scene, spot)
    if source.node not in scene.parameters or abs(scene.number(source)) < HUGE:
        return None
    message = (
        f"The weight {scene.label(source)} is {scene.number(source):.4g}, so that "
        f"{birth.called()} at {scene.line(spot.node)} is {birth.number:g}."
    )
    evidence = (birth.way,) if len(birth.route) > 1 else ()
    return reason_at(
        scene, "CD502", source, message, evidence, advice=advice, example=scene.example(spot)
    )


@cause("CD503", "overflow")
def overflow(birth: Birth) -> Reason | None:
    """A number too large for its type, computed from finite ones.

    It sees a node whose operands are finite and whose result is infinite (or NaN, where one op
    computes with an infinity inside), and which is finite again for smaller operands. float64
    ends at 1.8e308, which is exp(709.8); float32 at 3.4e38, which is exp(88.7).

    For example ``np.exp(z) / np.sum(np.exp(z))`` with a score of 1000.

    Use a form that cannot overflow: subtract the largest before the exponential
    (`chainrule.ops.softmax`), take the loss of logits (`chainrule.nn.CrossEntropyLoss`), or scale
    the inputs.
    """
    if not _is_overflow(birth):
        return None
    scene = birth.scene
    source = largest_operand(scene, birth.spot)
    evidence = []
    if source != birth.spot:
        evidence.append(f"its size comes from {scene.label(source)} = {scene.number(source):.4g}")
    limit = np.finfo(scene.nodes[birth.spot.node].dtype).max
    dtype = scene.nodes[birth.spot.node].dtype
    return birth.told(
        "CD503",
        f"{birth.called()} is beyond {limit:.2g}, the largest {dtype}.",
        *evidence,
        advice="Use a form that cannot overflow (logits, a shifted exponential), or smaller "
        "numbers.",
    )


def _is_overflow(birth: Birth) -> bool:
    """Return whether smaller operands give a finite result."""
    node = birth.scene.nodes[birth.spot.node]
    if node.op is None:
        return False
    xs = [x for x in birth.scene.operands(birth.spot.node) if x.dtype.kind == "f" and x.size]
    if np.isnan(birth.number):  # an infinity inside takes large operands; else it is the domain
        top = max((float(np.max(np.abs(x))) for x in xs), default=0.0)
        if top < float(np.finfo(node.dtype).max) ** 0.25:
            return False
    return any(
        np.isfinite(birth.scaled(k, factor))
        for k in range(len(node.inputs))
        for factor in (1e-3, 1e-20, 1e-37, 1e-150)
        if abs(birth.size(k)) > 1
    )


@cause("CD504", "division by almost nothing")
def tiny_divisor(birth: Birth) -> Reason | None:
    """A quotient that is too large for its type because its divisor is tiny, and not zero.

    It sees an infinite result of finite operands that is finite when a small operand is larger.

    For example dividing by a standard deviation that is 1e-320 because the column is constant.

    Add a small number to the divisor (``/ (s + 1e-8)``), or leave such columns out.
    """
    node = birth.scene.nodes[birth.spot.node]
    if not np.isinf(birth.number):
        return None
    for k in range(len(node.inputs)):
        size = birth.size(k)
        others = [birth.size(i) for i in range(len(node.inputs)) if i != k]
        if not 0 < size < 1e-3 or max(others, default=1) > 1 / size:
            continue
        if np.isfinite(birth.scaled(k, min(1e37, 1 / size))):
            return birth.told(
                "CD504",
                f"{birth.called()} is {birth.number:g}: "
                f"{birth.scene.names[node.inputs[k]]} is only {size:.3g}.",
                advice="Add a small number to the divisor, as in x / (s + 1e-8).",
            )
    return None


@cause("CD505", "pole")
def pole(birth: Birth) -> Reason | None:
    """A function taken exactly where it is infinite: log 0, 1/0, arctanh 1.

    It sees an infinite result of finite operands that is finite a little beside them.

    For example ``-np.log(p)`` of a probability that was rounded to 0.

    Keep away from the pole: compute the logarithm of a softmax or sigmoid from the logits
    (`chainrule.ops.log_softmax`, `chainrule.nn.BCEWithLogitsLoss`), or clip p from below.
    """
    if not np.isinf(birth.number) or not any(map(np.isfinite, birth.beside())):
        return None
    return birth.told(
        "CD505",
        f"{birth.called()} is {birth.number:g}, and finite a little beside it.",
        *_origin_of_zero(birth),
        advice="Keep away from the pole: compute from logits, or clip before it.",
    )


def _origin_of_zero(birth: Birth) -> Sequence[str]:
    """Return where the 0 at a pole comes from, if it was computed."""
    zero = birth.zero()
    if zero is None or birth.scene.nodes[zero.node].op is None:
        return ()
    found = why_value_zero(birth.scene, zero)
    return (f"the 0 comes from {found.where}, {found.cause}: {found.message}",)


@cause("CD506", "outside of the domain")
def outside(birth: Birth) -> Reason | None:
    """A function of real numbers taken where it has no real value.

    It sees NaN from finite operands, and NaN still when they move a little: the square root or
    logarithm of a negative number, a negative number to a fractional power, arcsin 2.

    For example a variance computed as ``mean(x²) - mean(x)²``, which rounding makes -1e-17.

    Keep the operand inside: ``np.maximum(v, 0)``, ``np.abs``, or a form that cannot leave
    (``np.var``).
    """
    if not np.isnan(birth.number) or birth.meets_infinity():
        return None
    if sum(map(np.isfinite, birth.beside())) == 2:  # a hole; one side: just outside
        return None
    return birth.told(
        "CD506",
        f"{birth.called()} is not a real number.",
        advice="Keep the operand inside the domain, as np.maximum(v, 0) does.",
    )


@cause("CD507", "undetermined")
def undetermined(birth: Birth) -> Reason | None:
    """0/0, ∞ − ∞, 0 · ∞ or ∞/∞: operands that leave the result open.

    It sees NaN from operands of which none is NaN, with an infinity among them that was given
    (a mask of -inf), or which are zero and finite a little beside.

    For example a row of scores that a mask sets to -inf everywhere: its softmax is ∞ − ∞. Or a
    row divided by its sum, which is 0.

    Leave such rows out, or add a small number to the divisor.
    """
    if not np.isnan(birth.number):
        return None
    return birth.told(
        "CD507",
        f"{birth.called()} is undetermined.",
        *_origin_of_zero(birth),
        advice="Leave out rows without numbers, or add a small number to the divisor.",
    )


RULES = (bad_input, diverged_weight, tiny_divisor, overflow, outside, pole, undetermined)


def why_not_finite(scene: Scene, spot: Spot, before: Sequence[Spot] = ()) -> Reason:
    """Return why a value is NaN or infinite.

    Parameters
    ----------
    scene
        All that is known of the run.
    spot
        The entry of the value.
    before
        The route of gradients that led to it.
    """
    route = born_forward(scene, spot)
    route = _past_given_infinities(scene, route)
    earlier = _hidden_overflow(scene, route[-1])
    if earlier is not None:
        route.append(earlier)
    birth = Birth(scene, route[-1], [*before, *route])
    for rule in RULES:
        found: Reason | None = rule(birth)
        if found is not None:
            return found
    return birth.told("CD503", f"{birth.called()} is {birth.number:g}.")


def _past_given_infinities(scene: Scene, route: list[Spot]) -> list[Spot]:
    """Return a route that ends where NaN began, if all it began from is an infinite constant."""
    last = route[-1]
    if last.node in scene.walk.graph.constants and np.isinf(scene.number(last)):
        nans = [spot for spot in route if np.isnan(scene.number(spot))]
        return route[: route.index(nans[-1]) + 1] if nans else route
    return route


def _hidden_overflow(scene: Scene, spot: Spot) -> Spot | None:
    """Return an infinity of the same example that an entry was computed from and that is hidden.

    x / ∞ is 0, which is finite; the logarithm of it is not, and the overflow is what did it.
    """
    node, example = scene.nodes[spot.node], scene.example(spot)
    if node.op is None or not all(np.all(np.isfinite(x)) for x in _own(scene, spot)):
        return None
    waiting, seen = list(node.inputs), set()
    while waiting:
        index = waiting.pop()
        if index in seen:
            continue
        seen.add(index)
        waiting += scene.nodes[index].inputs
    for index in sorted(seen):
        if scene.nodes[index].op is None or scene.nodes[index].dtype.kind != "f":
            continue
        for at in np.flatnonzero(~np.isfinite(scene.walk.numbers[index])):
            found = Spot(index, int(at))
            of = scene.example(found)
            if of == example and born_forward(scene, found) == [found]:
                return found
    return None


def _own(scene: Scene, spot: Spot) -> list[Any]:
    """Return the numbers that an entry was computed from."""
    xs = [x for x in scene.operands(spot.node) if x.dtype.kind == "f"]
    if not acts_alone(scene.nodes[spot.node]):
        return xs
    shape = scene.nodes[spot.node].shape
    return [np.ravel(np.broadcast_to(x, shape))[spot.position] for x in xs]
