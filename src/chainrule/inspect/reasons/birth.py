"""The entry at which numbers stopped being finite, and what it would be of other operands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.reasons.culprits import computed
from chainrule.inspect.reasons.reason import Reason, reason_at, route_in_words
from chainrule.inspect.scene import Spot, numbered
from chainrule.ops import Flat, Partials

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainrule.graph import Node
    from chainrule.inspect.scene import Scene

__all__ = ["Birth", "acts_alone", "largest_operand"]


@dataclass(frozen=True)
class Birth:
    """The first entry that is not finite, with what it was computed from.

    Attributes
    ----------
    scene
        All that is known of the run.
    spot
        The entry.
    route
        From the entry asked about to this one.
    """

    scene: Scene
    spot: Spot
    route: Sequence[Spot]

    @property
    def number(self) -> float:
        """The number there."""
        return self.scene.number(self.spot)

    def places(self) -> list[int | None]:
        """Return the position of the entry in each operand, None where it is not one."""
        node = self.scene.nodes[self.spot.node]
        found: list[int | None] = []
        for x in self.scene.operands(self.spot.node):
            try:
                laid = np.broadcast_to(np.arange(x.size).reshape(x.shape), node.shape)
            except ValueError:
                found.append(None)
                continue
            found.append(int(np.ravel(laid)[self.spot.position]) if acts_alone(node) else None)
        return found

    def size(self, k: int) -> float:
        """Return how large an operand is at the entry; its largest, where it has no entry there."""
        x, at = self.scene.operands(self.spot.node)[k], self.places()[k]
        if not self._counts(k, x) or not x.size:
            return 0.0
        x = x.astype(np.float64)
        return float(np.max(np.abs(x)) if at is None else np.abs(np.ravel(x)[at]))

    def _counts(self, k: int, x: Any) -> bool:
        """Return whether an operand is of numbers: not of places, labels or a mask of choices."""
        op = self.scene.nodes[self.spot.node].op
        return x.dtype.kind == "f" or (
            x.dtype.kind in "biu" and op is not None and not op.is_flat(k)
        )

    def zero(self) -> Spot | None:
        """Return the entry of an operand that is 0, if there is one at this place."""
        node = self.scene.nodes[self.spot.node]
        for k, at in enumerate(self.places()):
            if at is not None and self.scene.number(Spot(node.inputs[k], at)) == 0:
                return Spot(node.inputs[k], at)
        return None

    def again(self, change: Callable[[int, Any], Any]) -> float:
        """Return the entry computed from changed operands."""
        node = self.scene.nodes[self.spot.node]
        xs = []
        for k, x in enumerate(self.scene.operands(self.spot.node)):
            dtype = x.dtype if x.dtype.kind == "f" else node.dtype
            moves = self._counts(k, x) and dtype.kind == "f"
            xs.append(np.asarray(change(k, x.astype(dtype)), dtype) if moves else x)
        return float(np.ravel(computed(node, xs))[self.spot.position])

    def scaled(self, k: int, factor: float) -> float:
        """Return the entry computed with one operand made smaller or larger."""
        return self.again(lambda i, x: x * x.dtype.type(factor) if i == k else x)

    def beside(self) -> list[float]:
        """Return the entry computed from operands a little to either side."""
        steps = 1e-4 * (1 + np.random.default_rng(0).random(2))
        return [self._moved(steps[0]), self._moved(-steps[1])]

    def _moved(self, step: float) -> float:
        """Return the entry computed from operands that are a step larger, for their size."""
        return self.again(lambda _, x: x + step * np.maximum(np.abs(x), 1))

    def meets_infinity(self) -> bool:
        """Return whether an operand is infinite where the entry reads it."""
        xs = self.scene.operands(self.spot.node)
        return any(
            bool(np.any(np.isinf(x if at is None else np.ravel(x)[at])))
            for x, at in zip(xs, self.places(), strict=True)
            if x.dtype.kind == "f"
        )

    def called(self) -> str:
        """Return the node as a call with its numbers: ``log(0)``."""
        node, scene = self.scene.nodes[self.spot.node], self.scene
        xs = scene.operands(self.spot.node)
        words = []
        for k, (x, at) in enumerate(zip(xs, self.places(), strict=True)):
            if at is not None:
                words.append(numbered(float(np.ravel(x)[at])))
            else:
                words.append(scene.names[node.inputs[k]])
        return f"{scene.word(self.spot.node)}({', '.join(words)})"

    def told(self, code: str, message: str, *evidence: str, **more: Any) -> Reason:
        """Return the reason."""
        way = [self.way] if len(self.route) > 1 else []
        return reason_at(self.scene, code, self.spot, message, [*evidence, *way], **more)

    @property
    def way(self) -> str:
        """The route to the number that was asked about."""
        return "it reaches it by " + route_in_words(self.scene, self.route)


def acts_alone(node: Node) -> bool:
    """Return whether each entry of a result comes from the entries at its place."""
    return node.op is not None and isinstance(node.op.derivative, Partials | Flat)


def largest_operand(scene: Scene, spot: Spot) -> Spot:
    """Return the entry furthest back that made an entry large: an input, or what computed it.

    It goes to the largest entry of the largest operand, as long as that is half as large at
    least: an exponential or a quotient makes large numbers of small ones, and there it stops.
    """
    while True:
        node = scene.nodes[spot.node]
        parts = []
        for k, x in enumerate(scene.operands(spot.node)):
            if x.dtype.kind == "f" and x.size:
                at = _own_place(scene, spot, k)
                parts.append((abs(float(np.ravel(x)[at])), Spot(node.inputs[k], at)))
        parts = [p for p in parts if np.isfinite(p[0])]
        if not parts:
            return spot
        size, found = max(parts, key=lambda part: part[0])
        if size < 0.5 * np.sqrt(min(abs(scene.number(spot)), 1e300)):
            return spot
        spot = found


def _own_place(scene: Scene, spot: Spot, k: int) -> int:
    """Return the largest entry of an operand, of those that an entry was computed from."""
    node = scene.nodes[spot.node]
    x = scene.operands(spot.node)[k]
    if acts_alone(node):
        laid = np.broadcast_to(np.arange(x.size).reshape(x.shape), node.shape)
        return int(np.ravel(laid)[spot.position])
    g = np.zeros(node.shape, node.dtype)
    g.flat[spot.position] = 1
    reads = np.ravel(scene.pull(spot.node, k, g[()])) != 0
    sizes = np.where(np.isfinite(np.ravel(x)), np.abs(np.ravel(x)), 0)
    return int(np.argmax(np.where(reads, sizes, -1) if reads.any() else sizes))
