"""Why a number is huge or tiny: which steps of its way made it larger or smaller."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.inspect.finding import cause
from chainrule.inspect.reasons.birth import largest_operand
from chainrule.inspect.reasons.reason import Reason, reason_at
from chainrule.inspect.scene import Spot, numbered

if TYPE_CHECKING:
    from chainrule.inspect.scene import Scene

__all__ = ["Growth", "growth_to", "why_gradient_size", "why_value_size"]

LARGE, SMALL = 1e3, 1e-6
"""From where a gradient counts as exploded or vanished. With numbers near 1, as initialisers
and scaled inputs make them, gradients of a mean loss lie between 1e-4 and 10; a step of 1e-3
times 1e3 moves a weight by its own size, and one of 1e-6 needs 1e9 steps to."""

_FLAT = 0.02
"""The share of its largest slope below which a function counts as saturated: tanh at 2.6."""


class Growth(NamedTuple):
    """By how much the norm of the gradient changed at one step back.

    Attributes
    ----------
    node
        The node that the gradient went back through.
    source
        Its operand, nearer to the entry asked about.
    ratio
        The norm after over the norm before.
    """

    node: int
    source: int
    ratio: float


def _norm(x: Any) -> float:
    """Return the Euclidean norm, without overflow on the way."""
    flat = np.abs(np.ravel(np.asarray(x, np.float64)))
    top = float(np.max(flat, initial=0.0))
    return top * float(np.linalg.norm(flat / top)) if 0 < top < math.inf else top


def growth_to(scene: Scene, index: int) -> list[Growth]:
    """Return the steps from the loss to a node along the largest contributions."""
    steps: list[Growth] = []
    while index != scene.output:
        parts = [
            (_norm(scene.pull(reader, k, scene.adjoints[reader])), reader)
            for reader, k in scene.consumers.get(index, [])
            if reader in scene.adjoints and scene.walk.active[reader]
        ]
        if not parts:
            break
        size, reader = max(parts)
        before = _norm(scene.adjoints[reader])
        steps.append(Growth(reader, index, size / before if before else math.inf))
        index = reader
    return steps[::-1]


def _listed(scene: Scene, steps: list[Growth], *, growing: bool) -> list[str]:
    """Return a line for each of the steps that change the norm most."""
    order = sorted(steps, key=lambda step: step.ratio, reverse=growing)
    return [
        f"× {step.ratio:.3g} at {scene.word(step.node)} ({scene.line(step.node)}), on the way to "
        f"{scene.names[step.source]}"
        for step in order[:4]
        if (step.ratio > 1) == growing
    ]


@cause("CD511", "exploding gradient", "warning")
def exploded(scene: Scene, spot: Spot) -> Reason | None:
    """A gradient that grew on its way back, layer by layer.

    It sees a gradient beyond 1e3 and lists the steps of the backward pass that made its norm
    larger.

    For example ten layers whose weights each stretch what they are given by 3: 3¹⁰ is 59049.

    Draw weights so that a layer keeps the size of what goes through it (``he_normal``,
    ``glorot_normal``), clip the gradient (``clip_norm``), or normalise between layers.
    """
    if abs(scene.gradient(spot)) < LARGE:
        return None
    steps = growth_to(scene, spot.node)
    worst = max(steps, key=lambda step: step.ratio, default=Growth(spot.node, spot.node, 1))
    return reason_at(
        scene,
        "CD511",
        spot,
        f"Its size comes from the way back: {len(steps)} steps, the largest × {worst.ratio:.3g}.",
        _listed(scene, steps, growing=True),
        line=scene.line(worst.node),
        example=_largest_example(scene, worst.source),
    )


@cause("CD512", "vanishing gradient", "warning")
def vanished(scene: Scene, spot: Spot) -> Reason | None:
    """A gradient that shrank on its way back, layer by layer, without being cut.

    It sees a gradient below 1e-6 that is not 0, and lists the steps that made its norm smaller.

    For example eight layers with sigmoid, whose slope is at most ¼: ¼⁸ is 1.5e-5, before weights.

    Use ReLU or tanh with weights drawn for them (``he_normal``, ``glorot_normal``), shortcuts
    (`chainrule.nn.Residual`), or normalise between layers.
    """
    if abs(scene.gradient(spot)) > SMALL:
        return None
    steps = growth_to(scene, spot.node)
    least = min(steps, key=lambda step: step.ratio, default=Growth(spot.node, spot.node, 1))
    return reason_at(
        scene,
        "CD512",
        spot,
        f"It was lost on the way back: {len(steps)} steps, the smallest × {least.ratio:.3g}.",
        _listed(scene, steps, growing=False),
        line=scene.line(least.node),
        example=None,
    )


@cause("CD513", "almost saturated", "warning")
def nearly_saturated(scene: Scene, spot: Spot) -> Reason | None:
    """A smooth function far out, whose slope is nearly zero: most of a gradient ends there.

    It sees a gradient below 1e-6 that loses more than a factor 50 at one elementwise function, and
    gives the slopes there.

    For example tanh at 9: its slope is 6e-8.

    Scale the inputs, start from smaller weights, or normalise before the function.
    """
    if abs(scene.gradient(spot)) > SMALL:
        return None
    steps = [
        step
        for step in growth_to(scene, spot.node)
        if step.ratio < _FLAT and _bends_alone(scene, step.node)
    ]
    if not steps:
        return None
    least = min(steps, key=lambda step: step.ratio)
    x = np.ravel(scene.walk.numbers[least.source])
    slopes = np.abs(np.ravel(scene.pull(least.node, 0, np.ones(scene.nodes[least.node].shape))))
    place = Spot(least.source, int(np.argmin(slopes)))
    return reason_at(
        scene,
        "CD513",
        place,
        f"{scene.word(least.node)} passes on × {least.ratio:.2g}: its slopes lie from "
        f"{np.min(slopes):.2g} to {np.max(slopes):.2g}, at inputs from {numbered(np.min(x))} to "
        f"{numbered(np.max(x))}.",
        line=scene.line(least.node),
        advice="Scale the inputs, start from smaller weights, or normalise before it.",
    )


def _bends_alone(scene: Scene, index: int) -> bool:
    """Return whether a node is a function of one array, each entry by itself."""
    node = scene.nodes[index]
    return node.op is not None and node.op.derivative.kind == "partials" and len(node.inputs) == 1


@cause("CD500", "as it should be", "note")
def ordinary(scene: Scene, spot: Spot) -> Reason | None:
    """A number that is finite, not zero, and of a usual size.

    It sees a gradient between 1e-6 and 1e3, or a value below 1e3, and says through which consumer
    most of a gradient comes.

    For example any weight of a network that is learning.

    There is nothing to do.
    """
    steps = growth_to(scene, spot.node)
    evidence = []
    if steps:
        last = steps[-1]
        evidence = [f"most of it comes through {scene.word(last.node)} ({scene.line(last.node)})"]
    return reason_at(scene, "CD500", spot, "It is finite, not zero, and of a usual size.", evidence)


def why_gradient_size(scene: Scene, spot: Spot) -> Reason:
    """Return why a finite gradient that is not zero has its size."""
    for rule in (exploded, nearly_saturated, vanished, ordinary):
        found: Reason | None = rule(scene, spot)
        if found is not None:
            return found
    raise AssertionError("the last rule always holds")


def _largest_example(scene: Scene, index: int) -> int | None:
    """Return the example that has most of the gradient at a node, if it has half."""
    axis, g = scene.axis_of_examples(index), scene.adjoints.get(index)
    if axis is None or g is None:
        return None
    g = np.abs(np.asarray(g, np.float64))
    sums = g.sum(axis=tuple(a for a in range(g.ndim) if a != axis))
    top = int(np.argmax(sums))
    return top if sums[top] > 0.5 * sums.sum() else None


# ------------------------------------------------------------------ values


@cause("CD514", "large number", "warning")
def large_value(scene: Scene, spot: Spot) -> Reason | None:
    """A value that is large, followed back to the number that made it so.

    It sees a value beyond 1e3 and goes to the largest entry of the largest operand, as long as
    that explains the size.

    For example scores of 1e4, from a column of the inputs that counts in thousands.

    Scale the inputs by column, or look at the weight that is named.
    """
    if abs(scene.number(spot)) < LARGE:
        return None
    source = largest_operand(scene, spot)
    example = scene.example(spot) if scene.example(source) is None else scene.example(source)
    return reason_at(
        scene,
        "CD514",
        source,
        f"Its size comes from {scene.label(source)} = {scene.number(source):.4g}.",
        example=example,
    )


def why_value_size(scene: Scene, spot: Spot) -> Reason:
    """Return why a finite value that is not zero has its size."""
    found: Reason | None = large_value(scene, spot)
    if found is not None:
        return found
    return reason_at(scene, "CD500", spot, "It is finite, not zero, and of a usual size.")
