"""The chain of one gradient: every gradient on its way from the result down, with numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainrule.inspect.explanation import Explanation
from chainrule.inspect.printing import columns, markdown_table, number, shape, summary, wrapped

if TYPE_CHECKING:
    from chainrule.inspect.passes import Pass

__all__ = ["Derivation", "derivation_of"]


@dataclass(frozen=True, eq=False, repr=False)
class Derivation:
    """The gradients from a result down to one, in the order in which they are computed.

    Attributes
    ----------
    name
        The gradient: ``∂loss/∂W1``.
    head
        What is differentiated, and its number.
    steps
        The gradients of the named values on the way, the last is the one asked for.
    """

    name: str
    head: str
    steps: tuple[Explanation, ...]

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        """Return two lines for each step: the formula, and shape, numbers and line."""
        lines = [f"{self.name}, from the result down: {self.head}", ""]
        shown = self.shown
        facts = [(shape(step.shape), *_facts(step), str(step.where or "")) for step in shown]
        for k, (step, fact) in enumerate(zip(shown, columns(facts, "      "), strict=True)):
            if k == _FIRST and len(shown) < len(self.steps):
                lines += [f"  … {len(self.steps) - len(shown)} more …"]
            lines += [*wrapped("", step.formula.numpy), fact]
        return "\n".join(lines)

    @property
    def shown(self) -> tuple[Explanation, ...]:
        """The steps that are told: all, or the first and the last of very many."""
        if len(self.steps) <= _MOST:
            return self.steps
        return (*self.steps[:_FIRST], *self.steps[_FIRST - _MOST :])

    def markdown(self) -> str:
        """Return a table with the formulas as mathematics."""
        rows = [("gradient", "shape", "numbers", "line")]
        rows += [
            (
                f"${step.formula.latex}$",
                shape(step.shape),
                ", ".join(filter(None, _facts(step))),
                str(step.where or ""),
            )
            for step in self.shown
        ]
        return "\n".join([f"**{self.name}**: {self.head}", "", *markdown_table(rows)])

    def latex(self) -> str:
        """Return the formulas under each other, without dollars."""
        lines = [step.formula.latex.replace(" = ", " &= ", 1) for step in self.shown]
        body = " \\\\\n".join(lines)
        return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _repr_latex_(self) -> str:
        return f"$$\n{self.latex()}\n$$"


_MOST, _FIRST = 60, 30
"""The most steps that are told, and how many of them are the first."""


def _facts(step: Explanation) -> tuple[str, str]:
    return summary(step.gradient), f"norm {number(step.norm)}" if step.shape else ""


def derivation_of(opened: Pass, index: int) -> Derivation:
    """Return the gradients that that of a node comes from, by way of named values."""
    graph, names = opened.graph, opened.names
    leads = graph.dependents([index])
    steps = [
        Explanation(opened, i)
        for i in sorted(opened.adjoints, reverse=True)
        if leads[i] and (names.is_given[i] or i == index)
    ]
    if index not in opened.adjoints:
        steps = [Explanation(opened, index)]
    output = opened.walk.numbers[opened.output]
    head = f"{names.labels[opened.output]} = {summary(output)}"
    return Derivation(f"∂{opened.head}/∂{names.labels[index]}", head, tuple(steps))
