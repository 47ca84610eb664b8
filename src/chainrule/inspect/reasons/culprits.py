"""Which entry made a number that is not finite: by trying, without knowing any op.

A node is computed again with some of its bad operands replaced by good ones. If the entry asked
about becomes finite, the bad operand that made it is found by halving; if it does not, the node
itself did it. The same holds for a contribution of the backward pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.inspect.scene import Spot, pulled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainrule.graph import Node
    from chainrule.inspect.scene import Scene

__all__ = ["Backward", "born_backward", "born_forward", "computed"]


class Backward(NamedTuple):
    """Where a gradient stopped being finite.

    Attributes
    ----------
    route
        The entries from the one asked about to the one at which it happened.
    node, k
        The node whose contribution is the first that is not finite, and to which operand;
        the node is -1 where a sum of finite contributions did it.
    forward
        The entry of a value that did it instead, None if all values on the way are finite.
    """

    route: list[Spot]
    node: int
    k: int
    forward: Spot | None


def computed(node: Node, xs: Sequence[Any]) -> Any:
    """Return what a node makes of these numbers."""
    if node.op is None:
        return xs[0]
    with np.errstate(all="ignore"):
        return np.asarray(node.op(*xs, **node.attributes))


def born_forward(scene: Scene, spot: Spot) -> list[Spot]:
    """Return the entries from one that is not finite back to the one where that began."""
    route = [spot]
    while True:
        node = scene.nodes[spot.node]
        if node.op is None:
            return route
        xs = scene.operands(spot.node)
        position = spot.position

        def is_bad(xs: Sequence[Any], node: Node = node, position: int = position) -> bool:
            try:
                y = np.ravel(computed(node, xs))[position]
            except np.linalg.LinAlgError:
                return True
            return not np.isfinite(y)

        good = [sum(interval) / 2 for interval in node.op.domain]
        found = _blamed(is_bad, xs, [good[min(k, len(good) - 1)] for k in range(len(xs))])
        if found is None:
            return route
        k, at = found
        spot = Spot(node.inputs[k], at)
        route.append(spot)


def _blamed(
    is_bad: Callable[[Sequence[Any]], bool], xs: Sequence[Any], good: Sequence[float]
) -> tuple[int, int] | None:
    """Return the operand and entry without which a result is finite; None if there is none."""
    suspects = [
        (k, int(at))
        for k, x in enumerate(xs)
        if np.asarray(x).dtype.kind == "f"
        for at in np.flatnonzero(~np.isfinite(x))
    ]
    if not suspects:
        return None
    suspects.sort(key=lambda s: not np.isnan(np.ravel(xs[s[0]])[s[1]]))  # what is no number first

    def with_first(count: int) -> list[Any]:
        tried = [np.array(x) for x in xs]
        for k, at in suspects[count:]:
            tried[k].flat[at] = good[k]
        return tried

    if is_bad(with_first(0)):
        return None
    low, high = 0, len(suspects)  # with the first `low` it is finite, with `high` it is not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_bad(with_first(middle)) else (middle, high)
    return suspects[high - 1]


def born_backward(scene: Scene, spot: Spot) -> Backward:
    """Return where the gradient of an entry stopped being finite."""
    route = [spot]
    while True:
        step = _first_bad_contribution(scene, spot)
        if step is None:
            return Backward(route, -1, -1, None)
        index, k = step
        node, g = scene.nodes[index], np.asarray(scene.adjoints[index])
        arrays = [*scene.operands(index), np.asarray(scene.walk.numbers[index]), g]
        position = spot.position

        def is_bad(
            arrays: Sequence[Any], node: Node = node, k: int = k, at: int = position
        ) -> bool:
            *xs, y, g = arrays
            return not np.isfinite(np.ravel(pulled(node, k, g, xs, y))[at])

        *values, _ = arrays
        if is_bad([*values, np.ones_like(g)]):
            return _in_values(scene, route, index, k, is_bad)

        def is_bad_with(tried: Sequence[Any], values: Sequence[Any] = values) -> bool:
            return is_bad([*values, tried[0]])

        found = _blamed(is_bad_with, [g], [1.0])
        if found is None:  # it takes these numbers and this gradient together: 0 times infinity
            return Backward(route, index, k, None)
        spot = Spot(index, found[1])
        route.append(spot)


def _first_bad_contribution(scene: Scene, spot: Spot) -> tuple[int, int] | None:
    """Return the last node in order whose contribution to an entry is not finite, and how."""
    for index, k in reversed(scene.consumers.get(spot.node, [])):
        if index in scene.adjoints and scene.walk.active[index]:
            part = scene.pull(index, k, scene.adjoints[index])
            if not np.isfinite(np.ravel(part)[spot.position]):
                return index, k
    return None


def _in_values(
    scene: Scene, route: list[Spot], index: int, k: int, is_bad: Callable[[Sequence[Any]], bool]
) -> Backward:
    """Return whether a value or the slope itself made a contribution that is not finite."""
    node = scene.nodes[index]
    xs, y = scene.operands(index), np.asarray(scene.walk.numbers[index])
    g = np.ones(node.shape, node.dtype)
    good = [0.5] * (len(xs) + 1)
    found = _blamed(lambda tried: is_bad([*tried, g]), [*xs, y], good)
    if found is not None:
        which, at = found
        source = index if which == len(xs) else node.inputs[which]
        return Backward(route, index, k, Spot(source, at))
    return Backward(route, index, k, None)
