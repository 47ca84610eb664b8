"""One gradient in full: the rule behind it, its formula, what it is made of, its numbers."""

from __future__ import annotations

import functools
import linecache
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import StructureError
from chainrule.explain import Explainer, Formula, forward
from chainrule.explain.naming import (
    gradient_latex,
    gradient_name,
    place_name,
    settled,
    variable,
)
from chainrule.explain.source import is_short
from chainrule.inspect.naming import in_lines
from chainrule.inspect.needs import Needs, needs_of
from chainrule.inspect.printing import number, shape, summary, wrapped
from chainrule.inspect.sizes import norm
from chainrule.inspect.wording import rule
from chainrule.ops import Partials

if TYPE_CHECKING:
    from chainrule.graph import Where
    from chainrule.inspect.passes import Pass

__all__ = ["Explanation", "explainer_of", "gradient_formula"]


_MOST_OPS = 6
"""Ops that are told as one rule."""


class Explanation:
    """One gradient and where it comes from; each part is worked out when it is asked for.

    Parameters
    ----------
    opened
        The pass.
    index
        The node.

    Attributes
    ----------
    name
        Of the value: ``W1``.
    head
        What is differentiated: ``loss``.
    op
        What computes the value; empty for an argument.
    """

    def __init__(self, opened: Pass, index: int) -> None:
        self._pass = opened
        self._index = index
        node = opened.graph.nodes[index]
        self.name = opened.names.labels[index]
        self.head = opened.head
        self.op = node.op.name if node.op else ""

    @property
    def value(self) -> Any:
        """The value."""
        return self._pass.values[f"%{self._index}"]

    @property
    def gradient(self) -> Any:
        """The gradient, of the value's shape."""
        return self._pass.gradients[f"%{self._index}"]

    @functools.cached_property
    def rules(self) -> tuple[tuple[str, str], ...]:
        """For each use of the value, the op and its rule in words; slopes in a row are one rule."""
        found: dict[tuple[str, str], None] = {}
        for use, k in self._pass.consumers.get(self._index, []):
            ops = self._slopes(use)
            if len(ops) > 1:
                names = f"{', '.join(ops[:-1])} and {ops[-1]}"
                found[names, "act on each element alone: times their slopes"] = None
            else:
                op = self._pass.graph.nodes[use].op
                if op is not None:
                    found[op.name, rule(op, k)] = None
        return tuple(found)

    def _slopes(self, index: int) -> list[str]:
        """Return the ops that act on each element alone, from a node to a value with a name."""
        nodes, consumers = self._pass.graph.nodes, self._pass.consumers
        ops: list[str] = []
        while True:
            op = nodes[index].op
            if op is None or not isinstance(op.derivative, Partials) or len(ops) == _MOST_OPS:
                return []
            ops.append(op.name)
            uses = consumers.get(index, [])
            if self._pass.names.is_given[index] or len(uses) != 1:
                return ops
            index = uses[0][0]

    @functools.cached_property
    def computed(self) -> Formula | None:
        """The line that computes the value, as NumPy and LaTeX; None for an argument."""
        if not self.op:
            return None
        names = [*self._pass.explainer.names]
        names[self._index] = in_lines(self.name)
        return forward(self._pass.graph, self._index, names)

    @functools.cached_property
    def formula(self) -> Formula:
        """The line that computes the gradient from those that it is made of."""
        return gradient_formula(self._pass, self._index)

    @functools.cached_property
    def needs(self) -> Needs:
        """The arrays that it is made of."""
        return needs_of(self._pass, self._index)

    @functools.cached_property
    def where(self) -> Where | None:
        """The line of the program that computes the value; of an argument, of its first use.

        None where all values have the same line.
        """
        nodes, uses = self._pass.graph.nodes, self._pass.consumers.get(self._index, [])
        node = nodes[self._index]
        first = node if node.op is not None or not uses else nodes[uses[0][0]]
        return first.where if first.op is not None and self._pass.has_lines else None

    @property
    def line(self) -> str:
        """The text of this line."""
        return linecache.getline(self.where.file, self.where.line).strip() if self.where else ""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of value and gradient."""
        return np.shape(self.value)

    @property
    def norm(self) -> float:
        """The Euclidean norm of the gradient."""
        return norm(self.gradient)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        """Return what is known in a few lines."""
        size = shape(self.shape)
        lines = [f"∂{self.head}/∂{self.name}" + (f", {size}" if size else "")]
        if self.line:
            lines += wrapped(f"{self.where}  ", self.line)
        if self.computed is not None:
            lines += wrapped("computed  ", self.computed.numpy)
        lines += wrapped("gradient  ", self.formula.numpy)
        for op, words in self.rules:
            lines += wrapped("rule      ", f"{op}, {words}")
        made = ", ".join(f"{need.name} {shape(need.shape)}".rstrip() for need in self.needs)
        lines += wrapped("made of   ", made or self.needs.reason)
        lines += [f"  value     {summary(self.value)}"]
        lines += [f"  numbers   {_numbers(self.gradient)}"]
        return "\n".join(lines)

    def markdown(self) -> str:
        """Return the same in Markdown, with the formula as mathematics."""
        made = ", ".join(f"`{need.name}`" for need in self.needs)
        rows = [
            ("line", f"`{self.line}` ({self.where})" if self.line else ""),
            ("NumPy", f"`{self.formula.numpy}`"),
            ("rule", "; ".join(f"{op}: {words}" for op, words in self.rules)),
            ("made of", made),
            ("value", summary(self.value)),
            ("gradient", _numbers(self.gradient)),
        ]
        items = [f"* {title}: {text}" for title, text in rows if text]
        return "\n".join([f"$$\n{self.formula.latex}\n$$", "", *items])

    def latex(self) -> str:
        """Return the formula of the gradient, without dollars."""
        return self.formula.latex

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _repr_latex_(self) -> str:
        return f"$${self.formula.latex}$$"


def _numbers(g: Any) -> str:
    return summary(g) + (f", norm {number(norm(g))}" if np.ndim(g) else "")


def gradient_formula(opened: Pass, index: int) -> Formula:
    """Return the line that computes the gradient at a node, in the program's names."""
    label, nodes = opened.names.labels[index], opened.graph.nodes
    of = Formula(gradient_name(in_lines(label)), gradient_latex(in_lines(label), opened.head))
    if index not in opened.adjoints:
        return Formula(
            f"{of.numpy} = 0  # {opened.head} does not depend on {label}", f"{of.latex} = 0"
        )
    entry, is_start = opened.start.entry, index in opened.start.cotangents
    if is_start and entry:
        place, lengths = ", ".join(map(str, entry)), nodes[index].shape
        return Formula(
            f"{of.numpy} = np.zeros({lengths if len(lengths) > 1 else lengths[0]})\n"
            f"{of.numpy}[{place}] = 1",
            rf"{of.latex} = e_{{{place}}}",
        )
    if is_start and entry is None:
        if index not in opened.consumers:
            return Formula(f"{of.numpy} = g  # as it was given", f"{of.latex} = g")
        rest = opened.explainer.gradient(index, in_lines(label))
        return Formula(f"{rest.numpy} + g", f"{rest.latex} + g")
    return opened.explainer.gradient(index, in_lines(opened.names.labels[index]))


def explainer_of(opened: Pass) -> Explainer:
    """Return what writes the formulas of a pass, in the program's names."""
    leads = [i in opened.adjoints for i in range(len(opened.graph.nodes))]
    return Explainer(
        opened.graph,
        _formula_names(opened),
        opened.walk.active,
        of=opened.head,
        wanted=leads,
        lengths=_lengths(opened),
    )


def _lengths(opened: Pass) -> dict[int, Formula]:
    """Return how the number of examples is written, where a number can mean nothing else."""
    try:
        batch = opened.examples
    except StructureError:
        return {}
    leaves = opened.walk.leaves
    others = [leaf for leaf in leaves if leaf.path[0] not in batch.positions]
    shapes = [
        np.shape(opened.walk.numbers[leaf.index]) for leaf in others if leaf.index is not None
    ]
    first = next(leaf for leaf in leaves if leaf.path[0] in batch.positions)
    if batch.size <= 1 or any(batch.size in shape for shape in shapes) or len(first.path) > 1:
        return {}
    name = first.name if first.index is None else opened.names.labels[first.index]
    text = variable(in_lines(name))
    return {batch.size: Formula(f"len({text})" if batch.axis == 0 else f"{text}.shape[-1]", "m")}


def _formula_names(opened: Pass) -> list[str]:
    """Return the names that formulas use; what has none is written out."""
    names, constants = opened.names, opened.graph.constants
    shown = [
        label if given else "" for label, given in zip(names.labels, names.is_given, strict=True)
    ]
    for i, x in constants.items():  # one that comes twice is the same; a long one is not written
        shown[i] = names.plain[i] if names.is_given[i] or not is_short(x) else ""
    shown = [
        names.labels[i] if name == place_name(i) else name
        for i, name in enumerate(settled(opened.graph, shown))
    ]
    return [in_lines(name) for name in shown]
