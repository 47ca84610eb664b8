"""Why a gradient is not finite though every value is: an infinite slope, 0 · ∞, too large a sum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.finding import cause
from chainrule.inspect.reasons.birth import acts_alone
from chainrule.inspect.reasons.culprits import Backward, born_backward, computed
from chainrule.inspect.reasons.nonfinite import why_not_finite
from chainrule.inspect.reasons.reason import Reason, reason_at, route_in_words
from chainrule.inspect.reasons.zeros import why_gradient_zero
from chainrule.inspect.scene import Spot, numbered, pulled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.graph import Node
    from chainrule.inspect.scene import Scene

__all__ = ["why_gradient_not_finite"]


def why_gradient_not_finite(scene: Scene, spot: Spot) -> Reason:
    """Return why the gradient of an entry is NaN or infinite."""
    found = born_backward(scene, spot)
    for rule in (nothing_times_infinity, forward_value, infinite_slope, too_large_a_sum):
        reason: Reason | None = rule(scene, found)
        if reason is not None:
            return reason
    raise AssertionError(f"no rule for {found}")


def _in_words(scene: Scene, found: Backward) -> str:
    route = list(found.route)
    return "from the loss: " + " → ".join(
        route_in_words(scene, route).split(" ← ")[::-1]
    )  # the backward pass goes from the loss


def _slope_at(scene: Scene, found: Backward) -> tuple[float, float, Spot]:
    """Return the slope and the gradient that meet at the entry, and the entry of the result."""
    node, last = scene.nodes[found.node], found.route[-1]
    xs, y = scene.operands(found.node), np.asarray(scene.walk.numbers[found.node])
    at = _where_it_broke(scene, found, xs, y)
    ones = np.ones(node.shape, node.dtype)
    slopes = _unsummed(node, found.k, ones, xs, y)
    if slopes.shape == node.shape:
        slope = float(np.ravel(slopes)[at])
    else:
        slope = float(np.ravel(pulled(node, found.k, ones, xs, y))[last.position])
    g = np.asarray(scene.adjoints[found.node])
    return slope, float(np.ravel(g)[at]), Spot(found.node, at)


def _unsummed(node: Node, k: int, g: Any, xs: Sequence[Any], y: Any) -> Any:
    """Return a contribution before what broadcasting repeated is summed."""
    if node.op is None:
        return np.zeros(())
    with np.errstate(all="ignore"):
        return np.asarray(node.op.derivative.pull(node.op, k, g, list(xs), y, node.attributes))


def _where_it_broke(scene: Scene, found: Backward, xs: Sequence[Any], y: Any) -> int:
    """Return the entry of the result through which a contribution is not finite."""
    node, last = scene.nodes[found.node], found.route[-1]
    parts = _unsummed(node, found.k, np.asarray(scene.adjoints[found.node]), xs, y)
    if parts.shape != node.shape:
        return 0
    source = np.arange(np.size(xs[found.k])).reshape(np.shape(xs[found.k]))
    try:
        mine = np.broadcast_to(source, node.shape) == last.position
    except ValueError:  # it acts on no entry alone
        return 0
    bad = np.ravel(mine & ~np.isfinite(parts))
    return int(np.argmax(bad))


@cause("CD508", "zero times infinity in the gradient")
def nothing_times_infinity(scene: Scene, found: Backward) -> Reason | None:
    """A branch that a mask switched off, and whose slope is infinite: 0 · ∞ is NaN.

    It sees a contribution of the backward pass that is NaN where the gradient that comes in is 0
    and the slope it meets is infinite. The value of the loss is finite, since the mask took the
    other branch.

    For example ``np.where(x > 0, np.log(x), 0)`` at x = 0: the mask sends 0 back into log, whose
    slope there is ∞. Every automatic differentiation does so.

    Make the operand harmless before the function too, the "double where":
    ``safe = np.where(x > 0, x, 1)``, and then ``np.where(x > 0, np.log(safe), 0)``.
    """
    if found.node < 0 or not acts_alone(scene.nodes[found.node]):
        return None
    slope, g, at = _slope_at(scene, found)
    if g != 0 or np.isfinite(slope):
        return None
    early = _broken_before(scene, at, found)
    if early is not None:
        return early
    node, last = scene.nodes[found.node], found.route[-1]
    x = scene.number(last)
    call = f"{scene.word(found.node)} at {scene.label(last)} = {numbered(x)}"
    return reason_at(
        scene,
        "CD508",
        at,
        f"The gradient that arrives is 0, and the slope of {call} is {slope:g}: "
        f"0 · {'∞' if np.isinf(slope) else 'NaN'} is NaN.",
        [_in_words(scene, found)],
        example=scene.example(at) if scene.example(last) is None else scene.example(last),
        advice=f"Make the operand harmless before {node.op.name if node.op else 'it'}: "
        "np.where(mask, x, 1), and mask the result as well.",
    )


def _broken_before(scene: Scene, at: Spot, found: Backward) -> Reason | None:
    """Return why the value itself is not finite, unless a mask took another branch on purpose.

    Where ∞ is divided by, the gradient that comes back is 0 as well: 1 / (1 + exp(-z)). A pole is
    told by its slope: log 0 behind a clip.
    """
    if np.isfinite(scene.number(at)) or why_gradient_zero(scene, at).code == "CD523":
        return None
    early = why_not_finite(scene, at, found.route)
    return None if early.code in {"CD504", "CD505"} else early


def forward_value(scene: Scene, found: Backward) -> Reason | None:
    """Return the reason of a value that is not finite, where one made the gradient so."""
    if found.node < 0:
        return None
    if found.forward is not None:
        return why_not_finite(scene, found.forward, found.route)
    _, _, at = _slope_at(scene, found)
    if not np.isfinite(scene.number(at)):
        return why_not_finite(scene, at, found.route)
    return None


@cause("CD509", "slope without bound")
def infinite_slope(scene: Scene, found: Backward) -> Reason | None:
    """A function that is finite and whose slope is not: the square root at 0.

    It sees the first contribution of the backward pass that is not finite while the gradient that
    comes in and every value are, and that would be none for a gradient however small.

    For example a distance ``np.sqrt(np.sum((a - b) ** 2))`` of two equal points, or x**0.5 at 0.
    The square before it makes the gradient 0 · ∞, which is NaN.

    Add a small number under the root (``np.sqrt(s + 1e-12)``), or use `numpy.linalg.norm`, whose
    slope at 0 is taken as 0 here. Before arccos and arctanh, clip to a little less than 1.
    """
    if found.node < 0 or not _is_unbounded(scene, found):
        return None
    slope, g, at = _slope_at(scene, found)
    last = found.route[-1]
    example = scene.example(last)
    meets = f"the gradient that arrives is {numbered(g)}"
    return reason_at(
        scene,
        "CD509",
        last,
        f"The slope of {scene.word(found.node)} at {scene.label(last)} = "
        f"{numbered(scene.number(last))} is {slope:g}; {meets}.",
        [_in_words(scene, found)],
        example=scene.example(at) if example is None else example,
        advice=_advice_at(scene, found, slope),
        line=scene.line(found.node),
    )


def _is_unbounded(scene: Scene, found: Backward) -> bool:
    """Return whether a slope itself is not finite, so that no gradient is small enough for it."""
    node = scene.nodes[found.node]
    g = np.full(node.shape, np.finfo(node.dtype).tiny, node.dtype)
    part = scene.pull(found.node, found.k, g[()])
    return not np.isfinite(np.ravel(part)[found.route[-1].position])


def _advice_at(scene: Scene, found: Backward, slope: float) -> str:
    """Return what keeps away from a point without a slope."""
    last = found.route[-1]
    x = scene.number(last)
    if np.isnan(slope):
        return "There is no slope at that point: mask it before the function, as np.where does."
    if x == 0 and not np.isnan(_slope_beside(scene, found, 1e-12)):
        return "Add a small number before the function, as in np.sqrt(s + 1e-12)."
    return f"Keep the operand inside, a little away from {numbered(x)}: np.clip before it."


def _slope_beside(scene: Scene, found: Backward, step: float) -> float:
    """Return the slope where the operand is larger by a step."""
    node, last = scene.nodes[found.node], found.route[-1]
    xs = scene.operands(found.node)
    xs[found.k] = xs[found.k] + xs[found.k].dtype.type(step)
    g = np.ones(node.shape, node.dtype)
    part = pulled(node, found.k, g[()], xs, computed(node, xs))
    return float(np.ravel(part)[last.position])


@cause("CD510", "sum of gradients too large")
def too_large_a_sum(scene: Scene, found: Backward) -> Reason | None:
    """Contributions that are finite each, and whose sum or product is beyond the type.

    It sees a gradient that is not finite while the contributions to it are, or a gradient that
    grew so large on its way that a finite slope takes it beyond the largest number.

    For example a network of fifty layers, each of which makes the gradient ten times larger, in
    float32.

    Scale the weights down, clip nothing that is infinite already, and see which layers multiply:
    ask `why` for a gradient nearer to the loss.
    """
    last = found.route[-1]
    if found.node >= 0:
        return _too_large_a_product(scene, found)
    return reason_at(
        scene,
        "CD510",
        last,
        f"The contributions to the gradient of {scene.label(last)} are finite, and their sum is "
        f"{scene.gradient(last):g}.",
        [_in_words(scene, found)],
    )


def _too_large_a_product(scene: Scene, found: Backward) -> Reason:
    """Return that a finite gradient times finite slopes is beyond the type."""
    node, last = scene.nodes[found.node], found.route[-1]
    arrives = float(np.max(np.abs(np.asarray(scene.adjoints[found.node], np.float64))))
    return reason_at(
        scene,
        "CD510",
        last,
        f"The gradient that arrives at {scene.names[found.node]} is up to {numbered(arrives)}, and "
        f"what {scene.word(found.node)} makes of it for {scene.label(last)} is beyond "
        f"{np.finfo(node.dtype).max:.2g}, the largest {node.dtype}.",
        [_in_words(scene, found)],
        advice="Scale the inputs or the loss down, or compute in float64.",
        line=scene.line(found.node),
    )
