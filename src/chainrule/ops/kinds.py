"""The five kinds of derivative. Both modes follow from the kind and what it is given.

A rule names what it needs: operands, ``y`` for the output, ``g`` for the cotangent, ``da`` for
the tangent of operand ``a``, attributes, and for a variadic operand ``k``, the position. So
what a rule reads is data: which arrays a backward pass has to keep can be asked of it.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from chainrule.errors import DeclarationError
from chainrule.graph import Derivative

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainrule.graph import Op

__all__ = ["Bilinear", "Flat", "Linear", "Partials", "Rule", "Rules", "bind"]


class Rule:
    """A rule fitted to its op: called with everything, it passes on what it names.

    Attributes
    ----------
    source
        The function or the constant as written.
    reads
        The names that it takes.
    """

    __slots__ = ("_attributes", "_pick", "reads", "source")

    def __init__(self, source: Callable[..., Any], op: Op, first: str) -> None:
        self.source = source
        self.reads = tuple(inspect.signature(source).parameters)
        scope = [first, "y", *op.operands, "k"]
        unknown = set(self.reads) - set(scope) - set(op.attributes)
        if unknown:
            raise DeclarationError(
                f"a rule of {op.name} asks for {', '.join(sorted(unknown))}.",
                f"it can have {', '.join([*scope, *op.attributes])}",
            )
        places = [scope.index(name) for name in self.reads if name in scope]
        self._attributes = tuple(name for name in self.reads if name in op.attributes)
        self._pick = itemgetter(*places, -1, -1) if places else None

    def __call__(
        self, op: Op, k: int, g: Any, xs: Sequence[Any], y: Any, attributes: Mapping[str, Any]
    ) -> Any:
        """Apply the rule for operand k, with g the cotangent or tangent."""
        if op.variadic:
            fixed = len(op.operands) - 1
            scope = (g, y, *xs[:fixed], tuple(xs[fixed:]), k - fixed)
        else:
            scope = (g, y, *xs, k)
        picked = self._pick(scope)[:-2] if self._pick else ()
        if self._attributes:
            return self.source(*picked, **{name: attributes[name] for name in self._attributes})
        return self.source(*picked)


def bind(source: Any, op: Op, first: str) -> Any:
    """Return a rule fitted to an op; a constant stays one."""
    return Rule(source, op, first) if callable(source) else source


def _differentiable(op: Op) -> list[str]:
    return [name for name in op.operands if name not in op.flat]


def _fit(sources: tuple[Any, ...], op: Op, firsts: Sequence[str]) -> tuple[Any, ...]:
    """Return one bound rule for each operand, None for the flat ones."""
    names = _differentiable(op)
    if len(sources) != len(names):
        raise DeclarationError(
            f"{op.name} has {len(names)} operands with a derivative ({', '.join(names)}), "
            f"got {len(sources)} rules."
        )
    bound = {n: bind(s, op, f) for n, s, f in zip(names, sources, firsts, strict=True)}
    return tuple(bound.get(name) for name in op.operands)


def _at(rules: tuple[Any, ...], k: int) -> Any:
    """Return the rule for operand k; all operands of a variadic place share one."""
    return rules[k] if k < len(rules) else rules[-1]


def _total(terms: list[Any]) -> Any:
    """Return the sum of tangents, of which there is one at least."""
    total, *rest = terms
    for term in rest:
        total = total + term
    return total


@dataclass(frozen=True)
class Partials(Derivative):
    """Acts on each element alone: one slope an operand, in terms of operands and output."""

    slopes: tuple[Any, ...]
    kind: ClassVar[str] = "partials"

    def bind(self, op: Op) -> Partials:
        """Fit the slopes to the operands."""
        return replace(self, slopes=_fit(self.slopes, op, ["g"] * len(self.slopes)))

    def _times_slope(
        self, op: Op, k: int, g: Any, xs: Sequence[Any], y: Any, attributes: Mapping[str, Any]
    ) -> Any:
        slope = self.slopes[k]
        if type(slope) is Rule:
            return g * slope(op, k, None, xs, y, attributes)
        if slope == 1:
            return g
        return -g if slope == -1 else g * slope

    def pull(
        self, op: Op, k: int, g: Any, xs: Sequence[Any], y: Any, attributes: Mapping[str, Any]
    ) -> Any:
        """Return g times the slope."""
        return self._times_slope(op, k, g, xs, y, attributes)

    def push(
        self, op: Op, dxs: Sequence[Any], xs: Sequence[Any], y: Any, attributes: Mapping[str, Any]
    ) -> Any:
        """Return the sum of the tangents times their slopes."""
        terms = [
            self._times_slope(op, k, dx, xs, y, attributes)
            for k, dx in enumerate(dxs)
            if dx is not None
        ]
        total = _total(terms)
        return total if total.shape == y.shape else np.broadcast_to(total, y.shape)


@dataclass(frozen=True)
class Linear(Derivative):
    """Linear in its operands together: its derivative is itself, pulled back by its transpose."""

    transpose: Any
    kind: ClassVar[str] = "linear"

    def bind(self, op: Op) -> Linear:
        """Fit the transpose, one for each operand, to the operands."""
        given = self.transpose if isinstance(self.transpose, tuple) else (self.transpose,)
        return replace(self, transpose=_fit(given, op, ["g"] * len(given)))

    def pull(
        self, op: Op, k: int, g: Any, xs: Sequence[Any], y: Any, attributes: Mapping[str, Any]
    ) -> Any:
        """Return the transpose applied to g."""
        return _at(self.transpose, k)(op, k, g, xs, y, attributes)

    def push(
        self, op: Op, dxs: Sequence[Any], xs: Sequence[Any], y: Any, attributes: Mapping[str, Any]
    ) -> Any:
        """Return the op itself, applied to the tangents."""
        operands = [
            x if op.is_flat(k) else np.zeros(x.shape, x.dtype) if dx is None else dx
            for k, (x, dx) in enumerate(zip(xs, dxs, strict=True))
        ]
        return op(*operands, **attributes)


@dataclass(frozen=True)
class Bilinear(Derivative):
    """Linear in each operand by itself: the product rule, and a transpose for each operand."""

    transposes: tuple[Any, ...]
    kind: ClassVar[str] = "bilinear"

    def bind(self, op: Op) -> Bilinear:
        """Fit the transposes to the operands."""
        return replace(self, transposes=_fit(self.transposes, op, ["g"] * len(self.transposes)))

    def pull(
        self, op: Op, k: int, g: Any, xs: Sequence[Any], y: Any, attributes: Mapping[str, Any]
    ) -> Any:
        """Return the transpose of operand k applied to g."""
        return _at(self.transposes, k)(op, k, g, xs, y, attributes)

    def push(
        self, op: Op, dxs: Sequence[Any], xs: Sequence[Any], y: Any, attributes: Mapping[str, Any]
    ) -> Any:
        """Return the sum of the op with one operand replaced by its tangent."""
        terms = [
            op(*xs[:k], dx, *xs[k + 1 :], **attributes)
            for k, dx in enumerate(dxs)
            if dx is not None
        ]
        return _total(terms)


@dataclass(frozen=True)
class Rules(Derivative):
    """Both modes written out, a rule an operand each; the note says why they hold."""

    jvp: tuple[Any, ...]
    vjp: tuple[Any, ...]
    note: str = ""
    kind: ClassVar[str] = "rules"

    def bind(self, op: Op) -> Rules:
        """Fit the rules of both modes to the operands."""
        names = _differentiable(op)
        return replace(
            self,
            jvp=_fit(self.jvp, op, [f"d{name}" for name in names]),
            vjp=_fit(self.vjp, op, ["g"] * len(names)),
        )

    def pull(
        self, op: Op, k: int, g: Any, xs: Sequence[Any], y: Any, attributes: Mapping[str, Any]
    ) -> Any:
        """Return the cotangent as the rule says it."""
        return _at(self.vjp, k)(op, k, g, xs, y, attributes)

    def push(
        self, op: Op, dxs: Sequence[Any], xs: Sequence[Any], y: Any, attributes: Mapping[str, Any]
    ) -> Any:
        """Return the sum of the tangents that the rules give for each operand."""
        terms = [
            _at(self.jvp, k)(op, k, dx, xs, y, attributes)
            for k, dx in enumerate(dxs)
            if dx is not None
        ]
        return _total(terms)


@dataclass(frozen=True)
class Flat(Derivative):
    """No derivative: the output does not change with its operands, but for jumps."""

    reason: str
    kind: ClassVar[str] = "flat"

    def bind(self, op: Op) -> Flat:
        """Return itself."""
        return self

    def pull(
        self, op: Op, k: int, g: Any, xs: Sequence[Any], y: Any, attributes: Mapping[str, Any]
    ) -> None:
        """Return nothing."""

    def push(
        self, op: Op, dxs: Sequence[Any], xs: Sequence[Any], y: Any, attributes: Mapping[str, Any]
    ) -> None:
        """Return nothing."""
