"""Why a gradient is zero: every route from the entry to the loss, followed to where it is cut.

From the entry up, towards the loss: a consumer with a slope of zero cuts the route there; one
with a slope carries on to entries whose gradient is zero too. Slopes are looked at with random
gradients and tangents, so that two of them cancel with probability zero, and never by name.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.scene import pulled

if TYPE_CHECKING:
    from chainrule.graph import Node
    from chainrule.inspect.scene import Scene, Spot

__all__ = ["Cancel", "Cut", "Cuts", "cuts_of", "flat_cuts"]


@dataclass(frozen=True, eq=False)
class Cut:
    """A node at which routes end.

    Attributes
    ----------
    node, k
        The node, and the operand that it passes no gradient to; node -1: nothing reads it.
    source
        The node of that operand.
    entries
        The positions within the operand at which routes end.
    met
        How many of them would have got a gradient: that at the node is not zero there. All of
        them, where the node has no derivative and so none arrives.
    is_lost
        Whether slope and gradient are not zero there, and their product is, in this type.
    """

    node: int
    k: int
    source: int
    entries: Any
    met: int
    is_lost: bool = False


@dataclass(frozen=True, eq=False)
class Cancel:
    """A node through which contributions come that are not zero, and sum to zero.

    Attributes
    ----------
    node
        The node that they come through.
    source
        The node of the operand that they are contributions to.
    count
        How many of them there are.
    """

    node: int
    source: int
    count: int


@dataclass(frozen=True, eq=False)
class Cuts:
    """All that ends the routes of one entry.

    Attributes
    ----------
    found
        Those that would have got most gradient first.
    cancels
        Where contributions that are not zero sum to it.
    passed
        How many entries the routes went through.
    """

    found: list[Cut]
    cancels: list[Cancel]
    passed: int = 0


@dataclass
class _Search:
    scene: Scene
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    masks: dict[int, Any] = field(default_factory=dict)
    found: list[Cut] = field(default_factory=list)
    cancels: list[Cancel] = field(default_factory=list)

    def run(self, spot: Spot) -> Cuts:
        start = np.zeros(self.scene.nodes[spot.node].shape, bool)
        start.flat[spot.position] = True
        self.masks[spot.node] = start
        waiting, passed = [spot.node], 0
        while waiting:
            index = heapq.heappop(waiting)
            mask = self.masks[index]
            passed += int(np.sum(mask))
            readers = self.scene.consumers.get(index, [])
            if not readers:
                self.found.append(Cut(-1, 0, index, np.flatnonzero(mask), 0))
            for reader, k in readers:
                reached = self._through(index, mask, reader, k)
                if reached is None:
                    continue
                if reader not in self.masks:
                    heapq.heappush(waiting, reader)
                    self.masks[reader] = reached
                else:
                    self.masks[reader] = self.masks[reader] | reached
        ends = [cut for cut in self.found if not self._is_choice(cut)] or self.found
        ends.sort(key=lambda cut: (-cut.met, -len(cut.entries)))
        return Cuts(ends, self.cancels, passed)

    def _is_choice(self, cut: Cut) -> bool:
        """Return whether a cut is at an op that only tells others what to take: argsort in sort."""
        nodes = self.scene.nodes
        if cut.node < 0 or not _is_flat(nodes[cut.node], cut.k):
            return False
        readers = self.scene.consumers.get(cut.node, [])
        return all(_is_flat(nodes[reader], k) for reader, k in readers)

    def _through(self, index: int, mask: Any, reader: int, k: int) -> Any:
        """Note what is cut at a reader, and return which of its entries the routes go on to."""
        scene, node = self.scene, self.scene.nodes[reader]
        g = self.rng.uniform(0.5, 1.5, node.shape)
        g = np.asarray(g, node.dtype if node.dtype.kind == "f" else float)
        adjoint = np.asarray(scene.adjoints.get(reader, np.zeros(node.shape)))
        local = scene.pull(reader, k, g)
        dead = mask & (local == 0)
        if dead.any():
            met = int(np.sum(dead)) if _is_flat(node, k) else self._met(dead, adjoint)
            self.found.append(Cut(reader, k, index, np.flatnonzero(dead), met))
        alive = mask & (local != 0)
        if not alive.any():
            return None
        tangent = np.where(alive, self.rng.uniform(0.5, 1.5, mask.shape), 0)
        reached = self._pushed(reader, k, tangent)
        if np.any(reached & (adjoint != 0)):
            self._met_gradient(index, alive, reader, k, int(np.sum(reached & (adjoint != 0))))
        on = reached & (adjoint == 0)
        return on if on.any() else None

    def _met_gradient(self, index: int, alive: Any, reader: int, k: int, count: int) -> None:
        """Note why nothing arrives of a gradient that a slope lets through: too small, or a sum."""
        part = _wide_part(self.scene, reader, k)
        if part is not None:
            least = np.finfo(self.scene.nodes[reader].dtype).smallest_subnormal
            sizes = np.abs(part[alive])
            if np.all(sizes < least) and np.any(sizes > 0):
                entries = np.flatnonzero(alive)
                self.found.append(Cut(reader, k, index, entries, len(entries), is_lost=True))
                return
        self.cancels.append(Cancel(reader, index, count))

    def _pushed(self, reader: int, k: int, tangent: Any) -> Any:
        node, scene = self.scene.nodes[reader], self.scene
        if node.op is None:
            return np.zeros(node.shape, bool)
        xs = scene.operands(reader)
        dxs = [tangent.astype(x.dtype) if i == k else None for i, x in enumerate(xs)]
        with np.errstate(all="ignore"):
            y = scene.walk.numbers[reader]
            dy = node.op.derivative.push(node.op, dxs, xs, y, node.attributes)
        return np.broadcast_to(np.asarray(dy) != 0, node.shape)

    @staticmethod
    def _met(dead: Any, adjoint: Any) -> int:
        """Return at how many of the cut entries a gradient arrives."""
        if adjoint.shape == dead.shape:
            return int(np.sum(dead & (adjoint != 0)))
        return int(np.sum(dead)) if np.any(adjoint != 0) else 0


def _wide_part(scene: Scene, reader: int, k: int) -> Any:
    """Return what a gradient contributes, computed in a wider type; None where it cannot be."""
    node = scene.nodes[reader]
    *xs, y, g = (
        np.asarray(x, np.longdouble) if np.asarray(x).dtype.kind == "f" else np.asarray(x)
        for x in (*scene.operands(reader), scene.walk.numbers[reader], scene.adjoints[reader])
    )
    try:
        return np.asarray(pulled(node, k, g, xs, y))
    except TypeError:  # LAPACK has no such type
        return None


def cuts_of(scene: Scene, spot: Spot) -> Cuts:
    """Return where the routes from an entry to the loss end."""
    return _Search(scene).run(spot)


def _is_flat(node: Node, k: int) -> bool:
    return node.op is None or not node.op.differentiable or node.op.is_flat(k)


def flat_cuts(scene: Scene, index: int) -> list[int]:
    """Return the nodes without a derivative at which what is computed from a node goes on."""
    found: list[int] = []
    seen, waiting = {index}, [index]
    while waiting:
        for reader, k in scene.consumers.get(waiting.pop(), []):
            if _is_flat(scene.nodes[reader], k):
                found.append(reader)
            elif reader not in seen:
                seen.add(reader)
                waiting.append(reader)
    return sorted(set(found))
