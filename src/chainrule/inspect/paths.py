"""The routes of the chain rule between two values, each with what it contributes to a gradient.

A route goes from the result back to a value through the nodes that lie between. Along each the
gradient is pulled back alone; what arrives is the contribution of the route, an array in the
shape of the value, and the gradient is the sum over the routes.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.inspect.printing import number, wrapped
from chainrule.inspect.sizes import norm
from chainrule.ops import sum_to

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from chainrule.inspect.passes import Pass

    Array = NDArray[Any]

__all__ = ["Path", "Paths", "node_paths", "pulled"]

_PATIENCE = 200
"""Nodes to visit for each route wanted, before the rest is left as one contribution."""


@dataclass(frozen=True, eq=False)
class Path:
    """One route of the chain rule.

    Attributes
    ----------
    nodes
        The values on the way by name, from the result back.
    contribution
        What it adds to the gradient: an array in its shape.
    shown
        The names that are the program's own, and both ends.
    """

    nodes: tuple[str, ...]
    contribution: Array
    shown: tuple[str, ...]

    @property
    def norm(self) -> float:
        """The Euclidean norm of the contribution."""
        return norm(self.contribution)

    def __str__(self) -> str:
        return " → ".join(self.shown)


@dataclass(frozen=True, eq=False, repr=False)
class Paths:
    """The routes between a result and a value.

    Attributes
    ----------
    name
        The gradient: ``∂loss/∂W1``.
    terms
        The routes found, those with the largest contributions first.
    rest
        What all other routes contribute together; zeros if these are all.
    total
        The sum over all: the gradient.
    is_all
        Whether there are no other routes than those in ``terms``.
    """

    name: str
    terms: tuple[Path, ...]
    rest: Array
    total: Array
    is_all: bool = True

    def _counted(self) -> str:
        """Return how many routes there are, in words."""
        count = len(self.terms)
        if count or self.is_all:
            return f"{count} route{'s' if count != 1 else ''} of the chain rule"
        return "more routes than can be followed; none is written out"

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        """Return a line for each route, with the norm of its contribution."""
        lines = [f"{self.name}: {self._counted()}", ""]
        rows = [("norm", "route"), *[(number(path.norm), str(path)) for path in self.terms]]
        if np.any(self.rest):
            rows.append((number(norm(self.rest)), "all other routes"))
        rows.append((number(norm(self.total)), "their sum, the gradient"))
        width = max(len(size) for size, _ in rows)
        for size, route in rows:
            lines += wrapped(f"{size:<{width}}  ", route)
        return "\n".join(lines)


def node_paths(opened: Pass, index: int, limit: int) -> Paths:
    """Return the routes from the result to a node, up to a number of them."""
    labels = opened.names.labels
    total = np.asarray(opened.gradient(index))
    found, is_all = _found(opened, index, limit)
    terms = sorted(_told_apart(found), key=lambda path: -path.norm)
    scale = max([_largest(path.contribution) for path in terms], default=0.0)
    with np.errstate(all="ignore"):
        rest = total - np.sum([path.contribution for path in terms], axis=0)
        is_nothing = np.abs(rest) <= 64 * np.finfo(total.dtype).eps * scale
    if is_all:  # what is not a number is that in the routes, too
        is_nothing |= ~np.isfinite(rest)
    return Paths(
        name=f"∂{opened.head}/∂{labels[index]}",
        terms=tuple(terms),
        rest=np.zeros_like(total) if np.all(is_nothing) else rest,
        total=np.array(total),
        is_all=is_all,
    )


def _largest(x: Array) -> float:
    return float(np.max(np.abs(x), where=np.isfinite(x), initial=0.0))


def _found(opened: Pass, index: int, limit: int) -> tuple[list[Path], bool]:
    """Return routes, going on first where the gradient is largest, and whether these are all."""
    nodes, active = opened.graph.nodes, opened.walk.active
    leads = opened.graph.dependents([index])
    order = itertools.count()
    queue: list[tuple[float, int, tuple[int, ...], Any]] = []

    def wait(route: tuple[int, ...], g: Any) -> None:
        size = norm(g)
        heapq.heappush(queue, (-size if np.isfinite(size) else -np.inf, next(order), route, g))

    for start, g in opened.start.cotangents.items():
        if leads[start]:
            wait((start,), g)
    found: list[Path] = []
    for _ in range(_PATIENCE * limit):
        if not queue or len(found) == limit:
            break
        *_, route, g = heapq.heappop(queue)
        end = route[-1]
        if end == index:
            found.append(_path(opened, route, g))
            continue
        node = nodes[end]
        for k, i in enumerate(node.inputs):
            if leads[i] and active[i] and node.op is not None and not node.op.is_flat(k):
                wait((*route, i), pulled(opened, end, k, g))
    return found, not queue


def _told_apart(found: Sequence[Path]) -> Iterator[Path]:
    """Iterate over routes; those that look alike show the nodes in which they differ, too."""
    alike: dict[tuple[str, ...], list[Path]] = {}
    for path in found:
        alike.setdefault(path.shown, []).append(path)
    for shown, twins in alike.items():
        common = set.intersection(*[set(path.nodes) for path in twins]) - set(shown)
        for path in twins:
            yield replace(path, shown=tuple(name for name in path.nodes if name not in common))


def _path(opened: Pass, route: Sequence[int], g: Any) -> Path:
    labels, is_given = opened.names.labels, opened.names.is_given
    ends = {route[0], route[-1]}
    return Path(
        tuple(labels[i] for i in route),
        np.array(g),
        tuple(labels[i] for i in route if is_given[i] or i in ends),
    )


def pulled(opened: Pass, index: int, k: int, g: Any) -> Any:
    """Return what the gradient g at a node is at its operand k, by this node alone."""
    node, numbers = opened.graph.nodes[index], opened.walk.numbers
    op = node.op
    if op is None:
        return g
    xs = [numbers[i] for i in node.inputs]
    with np.errstate(all="ignore"):
        x_bar = op.derivative.pull(op, k, g, xs, numbers[index], node.attributes)
    if x_bar.shape != xs[k].shape:
        x_bar = sum_to(x_bar, xs[k].shape)
    return x_bar if x_bar.dtype == xs[k].dtype else x_bar.astype(xs[k].dtype)
