"""A whole backward pass as formulas: from the result back to what is asked for, a line each.

Every named value on the way gets one step; what has no name is written inside the steps that use
it. The steps come in the order of the backward pass, so the text is a program: run from the top,
it computes the gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chainrule.explain.formula import Explainer
from chainrule.explain.naming import is_named, settled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.explain.reader import Formula
    from chainrule.graph import Graph

__all__ = ["Derivation", "Step", "derivation"]


@dataclass(frozen=True)
class Step:
    """One step of a backward pass: the gradient of one value.

    Attributes
    ----------
    index, name
        The node, and what it is called.
    formula
        The line that computes its gradient.
    shape
        Of the value, and so of its gradient.
    """

    index: int
    name: str
    formula: Formula
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Derivation:
    """The steps of a backward pass; as text it is a NumPy program.

    Attributes
    ----------
    steps
        In the order of the backward pass.
    """

    steps: tuple[Step, ...]

    def __str__(self) -> str:
        """Return the steps as NumPy code, the shape of each gradient beside it."""
        lines = [step.formula.numpy.splitlines()[-1] for step in self.steps]
        width = max((len(line) for line in lines if len(line) <= _WIDEST), default=0)
        text = []
        for step, line in zip(self.steps, lines, strict=True):
            text += step.formula.numpy.splitlines()[:-1]
            text.append(f"{line.ljust(width)}  # {_shape(step)}")
        return "\n".join(text)

    @property
    def markdown(self) -> str:
        """The steps as a list, formulas between dollars."""
        return "\n".join(
            f"{k}. ${step.formula.latex}$ with shape {_shape(step)}"
            for k, step in enumerate(self.steps, 1)
        )

    @property
    def latex(self) -> str:
        """The steps as an ``align`` environment, each gradient with the space that it lies in."""
        rows = [
            " &= ".join(step.formula.latex.split(" = ", 1)) + f" && {_space(step)}"
            for step in self.steps
        ]
        return "\n".join([r"\begin{align*}", " \\\\\n".join(rows), r"\end{align*}"])

    def _repr_markdown_(self) -> str:
        return self.markdown


_WIDEST = 60
"""Columns of code; the shape of a longer line stands right behind it."""


def _shape(step: Step) -> str:
    return " × ".join(map(str, step.shape)) or "a number"


def _space(step: Step) -> str:
    lengths = r" \times ".join(map(str, step.shape))
    return rf"\in \mathbb{{R}}^{{{lengths}}}" if lengths else r"\in \mathbb{R}"


def derivation(
    graph: Graph,
    output: int,
    names: Sequence[str],
    active: Sequence[bool],
    wrt: Sequence[int] | None = None,
    *,
    of: str = "L",
) -> Derivation:
    """Return the steps from a result back to the gradients that are wanted.

    Parameters
    ----------
    graph
        A program.
    output
        The node whose derivatives these are: a number, or an array whose cotangent is given.
    names, active, of
        As for `chainrule.explain.gradient`.
    wrt
        The nodes whose gradients are wanted; if None, all active inputs of the graph.

    Returns
    -------
    Derivation
        It prints as NumPy code, and has ``markdown`` and ``latex``.

    Examples
    --------
    >>> import numpy as np
    >>> from chainrule.graph import Spec, trace
    >>> def loss(X, W, b):
    ...     return np.sum(np.tanh(X @ W + b) ** 2)
    >>> graph = trace(loss, Spec((5, 3)), Spec((3, 2)), Spec((2,)))
    >>> names = ["X", "W", "b", "", "Z", "A", "", "", "loss"]
    >>> print(derivation(graph, 8, names, [True] * 9, wrt=[1, 2]))
    dloss = 1                 # a number
    dA = 2 * A                # 5 × 2
    dZ = dA * (1 - A**2)      # 5 × 2
    dW = X.T @ dZ             # 3 × 2
    db = dZ.sum(axis=0)       # 2
    """
    names = settled(graph, names)
    starts = [i for i in graph.inputs if active[i]] if wrt is None else list(wrt)
    leads = _ancestors(graph, output)
    between = graph.dependents(starts)
    on_the_way = [
        index
        for index, node in enumerate(graph.nodes)
        if leads[index] and between[index] and active[index]
        if is_named(graph, index, names) or index in starts or index == output
        if index != output or node.shape == ()
    ]
    ends = _completions(graph, names, [a and b for a, b in zip(leads, active, strict=True)])
    on_the_way.sort(key=lambda i: (-ends[i], graph.nodes[i].op is not None, i))
    explainer = Explainer(graph, names, active, of=of, wanted=leads)
    return Derivation(
        tuple(
            Step(index, names[index], explainer.gradient(index), graph.nodes[index].shape)
            for index in on_the_way
        )
    )


def _ancestors(graph: Graph, output: int) -> list[bool]:
    """Return for each node whether it leads to a result."""
    leads = [False] * len(graph)
    leads[output] = True
    for index in range(output, -1, -1):
        if leads[index]:
            for i in graph.nodes[index].inputs:
                leads[i] = True
    return leads


def _completions(graph: Graph, names: Sequence[str], counted: Sequence[bool]) -> list[int]:
    """Return for each node the first named one that uses it: then its gradient is complete.

    A gradient is complete when the backward pass has reached the first of its consumers; through
    consumers without a name, the first that has one.
    """
    ends = [len(graph)] * len(graph)
    for index in range(len(graph) - 1, -1, -1):
        if counted[index]:
            reached = index if is_named(graph, index, names) else ends[index]
            for i in graph.nodes[index].inputs:
                ends[i] = min(ends[i], reached)
    return ends
