"""What the gradients of one probe are, and what they would be if one of them were another.

The chain rule is linear in what comes from above: if the gradient of a value is off by some
array, all that is computed from it is off by what the backward pass makes of that array. So a
hypothesis about one place costs one short walk, and its consequences for every gradient that
was claimed can be compared with the claims.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from chainrule.inspect.diagnose.sizes import Symbol, batch_of, symbols
from chainrule.inspect.diagnose.turns import Turn, turns_of
from chainrule.ops import sum_to
from chainrule.transform import pull_back, push_forward

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chainrule.inspect.probe import Claim, Probe
    from chainrule.inspect.walking import Walk

__all__ = ["Account", "close", "distance", "short"]

_NUMBERED = re.compile(r"_\d+$")
"""What tells two values of one name apart, which the user's program does not say."""

TOLERANCE = 1e-6
"""Of the largest entry: two orders above what float64 loses in a network of a few layers, and
far below what any of the causes makes."""

NOISE = 5e-6
"""Of the largest entry: what float64 loses where exponentials of large numbers cancel. No mistake
that matters is as small on every probe."""

ROUNDING = 3e-5
"""Of the largest entry: what single precision leaves after some hundred operations."""

FLOOR = 1e-9
"""Of the largest gradient of a run: what is smaller is a zero with rounding in it."""


def distance(found: Any, expected: Any, floor: float = 0.0) -> float:
    """Return the largest difference over the largest entry; infinite where shapes differ."""
    a, b = np.asarray(found), np.asarray(expected)
    if a.shape != b.shape or a.dtype.kind not in "fiub":
        return np.inf
    if not a.size:
        return 0.0
    with np.errstate(all="ignore"):
        scale = max(float(np.max(np.abs(b))), float(np.max(np.abs(a))), floor)
        difference = float(np.max(np.abs(a - b)))
    if np.isnan(difference):
        return np.inf
    return difference / scale if scale else 0.0


def close(found: Any, expected: Any, floor: float = 0.0, tolerance: float = TOLERANCE) -> bool:
    """Return whether two arrays agree but for rounding."""
    return distance(found, expected, floor) <= tolerance


class Account:
    """The gradients of one probe, and what would become of them.

    Parameters
    ----------
    probe
        A run with a traced forward pass.

    Attributes
    ----------
    adjoints
        The gradient of each value; after `changed`, as the causes found so far make them.
    relevant
        For each node, whether a claimed gradient depends on its adjoint.
    claims
        Those that have a node.
    """

    tolerance: float = TOLERANCE
    is_surrogate = False

    probe: Probe
    walk: Walk
    adjoints: dict[int, Any]
    fixed: dict[int, Any]

    def __init__(self, probe: Probe) -> None:
        if probe.walk is None:
            raise TypeError("an account needs a forward pass that was traced")
        self.probe = probe
        self.walk = probe.walk
        self.graph = probe.walk.graph
        self.numbers = probe.walk.numbers
        self.names = probe.walk.names()
        self.claims: dict[str, Claim] = {
            name: claim for name, claim in probe.claims.items() if claim.node is not None
        }
        depends = self.graph.dependents(
            [c.node for c in self.claims.values() if c.node is not None]
        )
        self.relevant = [
            d and (node.op is None or node.op.differentiable)
            for d, node in zip(depends, self.graph.nodes, strict=True)
        ]
        self.batch = probe.batch or batch_of(self.graph, self.relevant, probe.sizes)
        record = self.graph.nodes[probe.output]
        self.cotangent = np.asarray(probe.cotangent, record.dtype).reshape(record.shape)[()]
        self.adjoints = self.spread({probe.output: self.cotangent})
        self.true = self.adjoints
        self.fixed = {}
        self._sketches: dict[str, tuple[Any, Mapping[int, Any]]] = {}
        self.floor = FLOOR * max(
            (float(np.max(np.abs(a), initial=0.0)) for a in self.adjoints.values()), default=0.0
        )

    # ------------------------------------------------------------------ the chain rule

    def spread(self, start: Mapping[int, Any]) -> dict[int, Any]:
        """Return what a change of the gradients of some values makes of all others."""
        with np.errstate(all="ignore"):
            return pull_back(self.graph, self.numbers, self.relevant, dict(start))

    def pulled(self, node: int, k: int, g: Any) -> Any:
        """Return what a node hands to its operand k for a gradient g."""
        record = self.graph.nodes[node]
        xs = [self.numbers[i] for i in record.inputs]
        op = record.op
        if op is None:
            raise TypeError("an input hands nothing on")
        with np.errstate(all="ignore"):
            part = op.derivative.pull(op, k, g, xs, self.numbers[node], record.attributes)
            return part if part.shape == xs[k].shape else sum_to(part, xs[k].shape)

    def contribution(self, node: int, value: int) -> Any:
        """Return what a node hands to a value, over all places where it reads it."""
        inputs = self.graph.nodes[node].inputs
        parts = [self.pulled(node, k, self.adjoints[node]) for k in self.places(node, value)]
        return sum(parts[1:], parts[0]) if parts else np.zeros(self.numbers[inputs[0]].shape)

    def places(self, node: int, value: int) -> list[int]:
        """Return the operands of a node that are this value and have a derivative."""
        record = self.graph.nodes[node]
        return [
            k
            for k, i in enumerate(record.inputs)
            if i == value and record.op is not None and not record.op.is_flat(k)
        ]

    @cached_property
    def turns(self) -> Mapping[int, Turn]:
        """Which nodes are one line of a loop, at several turns."""
        return turns_of(self.graph)

    @cached_property
    def has_data(self) -> list[bool]:
        """For each node, whether anything but parameters and single numbers is in it."""
        parameters = {c.node for c in self.claims.values() if c.kind == "argument"}
        data = [
            i
            for i in (*self.graph.inputs, *self.graph.constants)
            if self.graph.nodes[i].shape
            and (i not in parameters or self.batch in self.graph.nodes[i].shape)
        ]
        return self.graph.dependents(data)

    @cached_property
    def consumers(self) -> dict[int, list[int]]:
        """For each value, the nodes that read it and pass a gradient back."""
        found: dict[int, list[int]] = {}
        for index, node in enumerate(self.graph.nodes):
            if node.op is None or not self.relevant[index] or index not in self.true:
                continue
            for i in dict.fromkeys(node.inputs):
                if self.relevant[i] and self.places(index, i):
                    found.setdefault(i, []).append(index)
        return found

    def gradient(self, value: int) -> Any:
        """Return the gradient of a value: 0 where nothing leads to the output."""
        if value in self.fixed:
            return self.fixed[value]
        found = self.adjoints.get(value)
        return np.zeros(self.graph.nodes[value].shape) if found is None else found

    def of_run(self, numbers: Sequence[Any]) -> dict[int, Any]:
        """Return the gradients of the same program in a run on other numbers."""
        with np.errstate(all="ignore"):
            start = {self.probe.output: self.cotangent}
            return pull_back(self.graph, numbers, self.relevant, start)

    # ------------------------------------------------------------------ changes

    def changed(self, value: int, delta: Any) -> Self:
        """Return the account in which the gradient of a value is off by an array."""
        made = self._copy()
        made.adjoints = self.with_change(value, delta)
        return made

    def replaced(self, value: int, array: Any) -> Self:
        """Return the account in which an argument's gradient is an array of any shape."""
        made = self._copy()
        made.fixed = {**self.fixed, value: array}
        return made

    def with_change(self, value: int, delta: Any) -> dict[int, Any]:
        """Return all gradients, where that of a value is off by an array."""
        spread = self.spread({value: delta})
        open_ = {i: self.gradient(i) + d for i, d in spread.items() if i not in self.fixed}
        return {**self.adjoints, **open_}

    def _copy(self) -> Self:
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    # ------------------------------------------------------------------ comparison

    def agrees(self, claim: Claim, gradient: Any) -> bool:
        """Return whether a claim is this gradient; what stands between may carry the factor m."""
        if self.fits(claim.array, gradient):
            return True
        m = self.batch
        return (
            claim.kind == "intermediate" and m is not None and self.fits(claim.array / m, gradient)
        )

    def fits(self, found: Any, expected: Any) -> bool:
        """Return whether two gradients agree as well as they can be known."""
        return close(found, expected, self.floor, self.tolerance)

    def wrong(self) -> list[str]:
        """Return the names of the claims that differ from the gradients of this account."""
        return [
            name
            for name, claim in self.claims.items()
            if claim.node is not None and not self.agrees(claim, self.gradient(claim.node))
        ]

    def explained(self, adjoints: Mapping[int, Any], names: Iterator[str] | list[str]) -> list[str]:
        """Return which of these claims agree with other gradients."""
        return [
            name
            for name in names
            if (node := self.claims[name].node) is not None
            and self.agrees(self.claims[name], adjoints.get(node, self.gradient(node)))
        ]

    def sketch(self, name: str) -> tuple[Any, Mapping[int, Any]]:
        """Return a random direction of a claim's argument, and its tangent at every value.

        ⟨r, Jᵀδ⟩ = ⟨J r, δ⟩: what a change δ of one gradient does to a claim, along r, costs one
        scalar product instead of a walk.
        """
        if name not in self._sketches:
            node = self.claims[name].node or 0
            r = np.random.default_rng(0).normal(size=self.graph.nodes[node].shape)
            with np.errstate(all="ignore"):
                tangents = push_forward(self.graph, self.numbers, {node: r})
            self._sketches[name] = (r, tangents)
        return self._sketches[name]

    # ------------------------------------------------------------------ names and sizes

    def is_claimed(self, value: int) -> bool:
        """Return whether the gradient of a value was claimed."""
        return any(claim.node == value for claim in self.claims.values())

    def is_named(self, value: int) -> bool:
        """Return whether the user's program has a name for a value."""
        return self.walk.naming.is_given[value]

    def name(self, value: int) -> str:
        """Return how the user calls a value: a claim's name, or that of its variable."""
        for name, claim in self.claims.items():
            if claim.node == value:
                return name
        name = short(self.names[value])
        bare = _NUMBERED.sub("", name)
        return bare if bare != name and bare in self._labels else name

    def once(self, value: int) -> str:
        """Return what the program calls a value at every turn of a loop: h for h_2 and h_3."""
        at, name = self.turns.get(value), self.name(value)
        bare = _NUMBERED.sub("", name)
        others = (self.name(i) for i, each in self.turns.items() if at and each.slot == at.slot)
        alike = (other != name and _NUMBERED.sub("", other) == bare for other in others)
        return bare if any(alike) else name

    @cached_property
    def _labels(self) -> set[str]:
        return {short(name) for name in self.names}

    @cached_property
    def outputs(self) -> int | None:
        """How many numbers the network gives for one example, if that can be seen."""
        m = self.batch
        for index in range(len(self.graph.nodes) - 1, -1, -1):
            node = self.graph.nodes[index]
            counts = index in self.true and len(node.shape) == 2 and self.relevant[index]
            if node.op is not None and counts and m in node.shape:
                rest = [n for n in node.shape if n != m]
                return rest[0] if rest else m
        return None

    @cached_property
    def symbols(self) -> list[Symbol]:
        """The numbers that a wrong factor may be."""
        lengths = {n for c in self.claims.values() for n in np.shape(self.numbers[c.node or 0])}
        return symbols(self.batch, self.outputs, self.probe.sizes, lengths)


def short(name: str) -> str:
    """Return ``W1`` for ``params['W1']`` and ``self.Z1``."""
    if name.endswith("]") and "[" in name:
        key = name[name.rindex("[") + 1 : -1]
        if key[:1] in {"'", '"'}:
            return key[1:-1]
    return name.rsplit(".", 1)[-1] if name.startswith("self.") else name
