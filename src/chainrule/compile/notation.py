"""The nodes of a plan as formulas: ``relu(%40 + b1)`` for what stays in registers in between.

Operands are called by the name of their input, by their number if it is a constant, else by
the index of their node; views that change nothing about the order of the numbers are left out.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from chainrule.graph import Fold, literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainrule.compile.fuse import Loop
    from chainrule.compile.plan import Plan
    from chainrule.graph import Layout, Op

__all__ = ["Notation"]

_LONGEST = 46
"""Characters of a formula; what would be longer has its operands on lines of their own."""

_ATOM, _PREFIX = 9, 3
_SIGNS: dict[Any, tuple[str, int]] = {
    np.add: ("+", 1),
    np.subtract: ("-", 1),
    np.multiply: ("*", 2),
    np.true_divide: ("/", 2),
    np.power: ("**", 4),
    np.less: ("<", 0),
    np.less_equal: ("<=", 0),
    np.greater: (">", 0),
    np.greater_equal: (">=", 0),
    np.equal: ("==", 0),
    np.not_equal: ("!=", 0),
}
"""Python's signs for NumPy's functions, and how tightly they bind."""


class _Text(NamedTuple):
    """A formula and how tightly its outermost sign binds."""

    text: str
    binds: int = _ATOM

    def inside(self, binds: int) -> str:
        return self.text if self.binds >= binds else f"({self.text})"


class Notation:
    """How the nodes of a plan are written.

    Parameters
    ----------
    plan
        What to write about.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.graph = plan.graph
        self.places = plan.grouping.places
        self._inputs = self._input_names()
        self._uses = Counter(
            self.places[i].source
            for index, node in enumerate(self.graph.nodes)
            if self.places[index].source == index
            for i in node.inputs
        )

    def _input_names(self) -> dict[int, str]:
        nodes = self.graph.nodes
        often = Counter(nodes[i].name for i in self.graph.inputs)
        return {
            i: nodes[i].name if often[nodes[i].name] == 1 and nodes[i].name else f"in{k}"
            for k, i in enumerate(self.graph.inputs)
        }

    def name(self, index: int) -> str:
        """Return what an array is called."""
        if index in self._inputs:
            return self._inputs[index]
        constant = self.graph.constants.get(index)
        if constant is None:
            return f"%{index}"
        return f"c{index}" if np.size(constant) > 1 else str(np.ravel(constant)[0])

    def seen(self, index: int) -> str:
        """Return an operand: the array that holds it, and how it is seen where that matters."""
        source, layout = self.places[index]
        if source == index:
            return self.name(index)
        node = self.graph.nodes[index]
        below = node.inputs[0]
        if _order(layout) == _order(self.places[below].layout):
            return self.seen(below)
        whole = self.graph.nodes[source].shape
        if len(whole) == 2 and _order(layout) == (0, [(whole[1], 1), (whole[0], whole[1])]):
            return f"{self.name(source)}ᵀ"
        if [_is_index(x) for x in node.attributes.values()] == [True]:
            return f"{self.seen(below)}[{_index(*node.attributes.values())}]"
        return call(node.op, [self.seen(below)], node.attributes)

    def by_itself(self, index: int) -> str:
        """Return the call of a node that is a step by itself."""
        node = self.graph.nodes[index]
        return call(node.op, [self.seen(i) for i in node.inputs], node.attributes)

    def lines(self, loop: Loop) -> dict[int, str]:
        """Return the formulas of a loop by node; what is used once stands inside another."""
        found: dict[int, str] = {}
        inner: dict[int, _Text] = {}
        for index in loop.nodes:
            text = self._formula(loop, index, inner)
            held = [i for i in self._sources(index) if i in inner]
            while len(text.text) > _LONGEST and held:
                longest = max(held, key=lambda i: len(inner[i].text))
                held.remove(longest)
                found[longest] = inner.pop(longest).text
                text = self._formula(loop, index, inner)
            if self._is_inner(loop, index):
                inner[index] = text
            else:
                found[index] = text.text
        return found

    def _sources(self, index: int) -> list[int]:
        return [self.places[i].source for i in self.graph.nodes[index].inputs]

    def _is_inner(self, loop: Loop, index: int) -> bool:
        """Return whether a node can stand inside the formula of the one that reads it."""
        plan = self.plan
        if plan.stored(index) or index in plan.temporaries or self._uses[index] != 1:
            return False
        reader = next(i for i in loop.nodes if index in self._sources(i))
        is_alike = (index in loop.rows) == (reader in loop.rows)
        return is_alike and loop.times[reader] == loop.times[index] and not self._is_fold(index)

    def _is_fold(self, index: int) -> bool:
        op = self.graph.nodes[index].op
        return op is not None and isinstance(op.form, Fold)

    def _formula(self, loop: Loop, index: int, inner: Mapping[int, _Text]) -> _Text:
        node = self.graph.nodes[index]
        xs = [
            inner[source] if source in inner else _Text(self.seen(i))
            for i, source in zip(node.inputs, self._sources(index), strict=True)
        ]
        if self._is_fold(index):
            name = node.op.name if node.op is not None else ""
            return _Text(f"{name}({xs[0].text}) {self._over(loop, index)}")
        sign = _sign(node.op)
        if sign is not None and len(xs) == 2:
            word, binds = sign
            left, right = xs[0].inside(binds), xs[1].inside(binds + 1)
            return _Text(f"{left} {word} {right}", binds)
        if np.negative in _functions(node.op):
            return _Text(f"-{xs[0].inside(_PREFIX)}", _PREFIX)
        return _Text(call(node.op, [x.text for x in xs], node.attributes))

    def _over(self, loop: Loop, index: int) -> str:
        """Return what a fold folds."""
        walked, folded = loop.walked(index), self.plan.grouping.folded(index)
        if len(folded) == len(walked):
            return "of all"
        if folded == (len(walked) - 1,):
            return "of each row"
        if folded == tuple(range(len(folded))):
            return "down each column"
        return f"over {'axis' if len(folded) == 1 else 'axes'} {', '.join(map(str, folded))}"


def call(op: Op | None, operands: Sequence[str], attributes: Mapping[str, Any]) -> str:
    """Return the call of an op as text."""
    named = [
        f"{name}=[{_index(x)}]" if _is_index(x) else f"{name}={literal(x)}"
        for name, x in attributes.items()
    ]
    return f"{op.name if op is not None else '?'}({', '.join([*operands, *named])})"


def _functions(op: Op | None) -> tuple[Any, ...]:
    return op.numpy if op is not None else ()


def _sign(op: Op | None) -> tuple[str, int] | None:
    signs = (_SIGNS[f] for f in _functions(op) if isinstance(f, np.ufunc) and f in _SIGNS)
    return next(signs, None)


def _order(layout: Layout) -> tuple[int, list[tuple[int, int]]]:
    """Return where a layout begins and the axes it walks, without those that only repeat."""
    kept = [(n, s) for n, s in zip(layout.shape, layout.strides, strict=True) if n > 1 and s]
    axes: list[tuple[int, int]] = []
    for n, s in kept:
        if axes and axes[-1][1] == n * s:
            axes[-1] = (axes[-1][0] * n, s)
        else:
            axes.append((n, s))
    return layout.offset, axes


def _is_index(x: Any) -> bool:
    return isinstance(x, tuple) and any(isinstance(entry, slice) for entry in x)


def _index(entries: Any) -> str:
    """Return an index as it is written: ``0, 1:3, None``."""
    parts = []
    for entry in entries:
        if isinstance(entry, slice):
            ends = ["" if x is None else str(x) for x in (entry.start, entry.stop, entry.step)]
            parts.append(":".join(ends).removesuffix(":") if ends[2] == "" else ":".join(ends))
        else:
            parts.append(str(entry))
    return ", ".join(parts)
