"""The places of a backward pass where a mistake can be: what a rule is asked about.

A hand-written backward pass has coarser steps than a graph: the gradient of a value; what one
product or sum hands to one operand; what an activation, however it is spelt, hands to its
pre-activation; and the closed form at the end of the network, where output and loss are one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from chainrule.graph import Each
from chainrule.ops import Bilinear, Partials

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chainrule.graph import Node
    from chainrule.inspect.diagnose.account import Account

__all__ = ["Region", "Site", "regions", "sites"]

Kind = Literal["whole", "edge", "region"]


@dataclass(frozen=True)
class Region:
    """An activation: what acts on each element of one value alone, from it to one result.

    Attributes
    ----------
    base
        The pre-activation.
    end
        The activation.
    nodes
        The nodes between, the end among them, in order.
    """

    base: int
    end: int
    nodes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Site:
    """One place.

    Attributes
    ----------
    account
        What it is a place of.
    kind
        ``whole``: the gradient of a value. ``edge``: what one consumer hands to it.
        ``region``: what an activation hands to its pre-activation.
    value
        The value whose gradient is at stake.
    consumer
        The node that hands it on; the end of a region.
    region
        The activation.
    """

    account: Account
    kind: Kind
    value: int
    consumer: int = -1
    region: Region | None = None

    @cached_property
    def true(self) -> Any:
        """What is right here."""
        if self.kind == "whole":
            return self.account.gradient(self.value)
        if self.kind == "edge":
            return self.account.contribution(self.consumer, self.value)
        return self.upstream * self.slope(self.number)

    @property
    def upstream(self) -> Any:
        """The gradient that comes from above."""
        return self.account.gradient(self.consumer)

    @property
    def node(self) -> Node:
        """The consumer's record."""
        return self.account.graph.nodes[self.consumer]

    @property
    def number(self) -> Any:
        """The number of the value."""
        return self.account.numbers[self.value]

    @property
    def is_argument(self) -> bool:
        """Whether the value is one that the network was given, and its gradient was claimed."""
        is_leaf = self.account.graph.nodes[self.value].op is None
        return is_leaf and self.account.is_claimed(self.value)

    @cached_property
    def others(self) -> list[int]:
        """The other operands of the consumer."""
        return [i for i in self.node.inputs if i != self.value]

    @property
    def is_product(self) -> bool:
        """Whether the consumer is a product of matrices, one of which is the value."""
        op = self.node.op
        return (
            self.kind == "edge"
            and op is not None
            and isinstance(op.derivative, Bilinear)
            and len(self.node.inputs) == 2
            and len(self.others) == 1
            and all(np.ndim(self.account.numbers[i]) == 2 for i in self.node.inputs)
        )

    @property
    def acts_alone(self) -> bool:
        """Whether the consumer acts on each element alone."""
        op = self.node.op
        return self.kind == "edge" and op is not None and isinstance(op.derivative, Partials)

    @property
    def is_scaled(self) -> bool:
        """Whether the consumer multiplies the value by another array, entry by entry."""
        return self.acts_alone and bool(self.others) and not np.all(np.abs(self.factor) == 1)

    @cached_property
    def factor(self) -> Any:
        """∂consumer/∂value where each element acts alone: the slope, of the consumer's shape."""
        ones = np.ones(self.node.shape)
        record, account = self.node, self.account
        xs = [account.numbers[i] for i in record.inputs]
        total: Any = 0.0
        for k in account.places(self.consumer, self.value):
            op = record.op
            if op is not None:
                with np.errstate(all="ignore"):
                    total = total + op.derivative.pull(
                        op, k, ones, xs, account.numbers[self.consumer], record.attributes
                    )
        return np.broadcast_to(total, record.shape)

    @cached_property
    def was_repeated(self) -> bool:
        """Whether the consumer repeats the value along axes, so that its gradient is a sum."""
        return self.kind == "edge" and self.acts_alone and self.node.shape != np.shape(self.number)

    @cached_property
    def is_penalty(self) -> bool:
        """Whether the consumer is part of a penalty on the value, and no data meets it."""
        account = self.account
        if self.kind == "whole":
            return (
                account.graph.nodes[self.value].op is not None and not account.has_data[self.value]
            )
        if self.kind != "edge" or not self.acts_alone or self.was_repeated:
            return False
        if account.graph.nodes[self.value].op is not None or np.ndim(self.number) == 0:
            return False
        if account.has_data[self.value] or not account.has_data[account.probe.output]:
            return False  # a function of an array alone has nothing that it could be a penalty to
        return all(i == self.value or np.ndim(account.numbers[i]) == 0 for i in self.node.inputs)

    # ------------------------------------------------------------------ activations

    def slope(self, point: Any) -> Any:
        """Return the slope of the region's activation at another point, of its shape."""
        if self.region is None:
            raise TypeError("only an activation has a slope")
        return self.run(self.region, point)[1]

    def value_at(self, point: Any) -> Any:
        """Return the region's activation of another point."""
        if self.region is None:
            raise TypeError("only an activation has a value")
        return self.run(self.region, point)[0]

    def run(self, region: Region, point: Any) -> tuple[Any, Any]:
        """Return a region's activation of a point and its slope there, by a forward walk."""
        account = self.account
        numbers: dict[int, Any] = {region.base: point}
        tangents: dict[int, Any] = {region.base: np.ones(np.shape(point))}
        with np.errstate(all="ignore"):
            for index in region.nodes:
                node = account.graph.nodes[index]
                if node.op is None:
                    continue
                xs = [numbers.get(i, account.numbers[i]) for i in node.inputs]
                y = numbers[index] = node.op(*xs, **node.attributes)
                dxs = [tangents.get(i) for i in node.inputs]
                if node.op.differentiable and any(d is not None for d in dxs):
                    tangents[index] = node.op.derivative.push(node.op, dxs, xs, y, node.attributes)
        return numbers[region.end], tangents.get(region.end, np.zeros(np.shape(point)))


def regions(account: Account) -> list[Region]:
    """Return the activations of a program, however they are spelt.

    A node belongs to a base if it acts on each element alone, and everything that it reads is
    the base, belongs to it, or is a single number.
    """
    nodes = account.graph.nodes
    bases: dict[int, int] = {}
    members: dict[int, list[int]] = {}
    for index in range(len(nodes)):
        base = _base(account, bases, index)
        if base is not None:
            bases[index] = base
            members.setdefault(base, []).append(index)
    found = []
    for base, inside in members.items():
        if not account.relevant[base]:
            continue
        ends = [i for i in inside if account.relevant[i] and _leaves(account, bases, i, base)]
        for end in ends:
            needed = _needed(nodes, inside, end)
            found.append(Region(base, end, tuple(needed)))
    return found


def _base(account: Account, bases: dict[int, int], index: int) -> int | None:
    """Return the one value that a node acts on elementwise, if it is so."""
    node = account.graph.nodes[index]
    op = node.op
    is_alone = op is not None and (isinstance(op.derivative, Partials) or isinstance(op.form, Each))
    if not is_alone or not node.shape:
        return None
    found: set[int] = set()
    for i in node.inputs:
        if np.ndim(account.numbers[i]) == 0 and not account.relevant[i]:
            continue
        found.add(bases.get(i, i))
    if len(found) != 1:
        return None
    base = found.pop()
    if account.graph.nodes[base].shape != node.shape:
        return None
    is_data = account.batch is None or node.shape[0] == account.batch
    return base if account.graph.nodes[base].op is not None or is_data else None


def _leaves(account: Account, bases: dict[int, int], index: int, base: int) -> bool:
    """Return whether something outside of its region reads a node."""
    if account.is_claimed(index):
        return True
    readers = account.consumers.get(index, [])
    return any(bases.get(reader) != base for reader in readers) or (
        not readers and index == account.probe.output
    )


def _needed(nodes: Sequence[Node], inside: Sequence[int], end: int) -> list[int]:
    """Return the members of a region that one of its ends is computed from."""
    wanted = {end}
    for index in reversed(inside):
        if index in wanted:
            wanted.update(i for i in nodes[index].inputs if i in inside)
    return sorted(wanted)


def sites(account: Account) -> Iterator[Site]:
    """Yield the places of a backward pass, those nearest to the loss first."""
    if account.is_surrogate:
        (end, *_) = account.graph.nodes[account.probe.output].inputs
        leaves = [i for i, node in enumerate(account.graph.nodes) if node.op is None]
        yield from [Site(account, "whole", i) for i in (end, *leaves) if account.relevant[i]]
        return
    by_base: dict[int, list[Region]] = {}
    for region in regions(account):
        by_base.setdefault(region.base, []).append(region)
    inner = {i for group in by_base.values() for r in group for i in r.nodes if i != r.end}
    for value in range(account.probe.output - 1, -1, -1):
        if not account.relevant[value] or value not in account.true:
            continue
        consumers = account.consumers.get(value, [])
        if len(consumers) > 1 or account.is_named(value) or account.is_claimed(value):
            yield Site(account, "whole", value)
        for region in by_base.get(value, []):
            yield Site(account, "region", value, region.end, region)
        for consumer in consumers:
            if consumer not in inner or value not in inner:
                yield Site(account, "edge", value, consumer)
