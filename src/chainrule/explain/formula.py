"""The lines that compute a node and its gradient, in the names of the user's program.

A gradient is the sum over the consumers of a node of what each pulls back. The ops' own rules
are traced on shapes (`TidyTracer`), consumers without a name of their own are written inside, and
the small graph that results is rendered: there is no second table of derivatives.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.explain.naming import (
    gradient_latex,
    gradient_name,
    is_named,
    latex_name,
    place_name,
    settled,
    variable,
)
from chainrule.explain.parts import equation
from chainrule.explain.reader import Formula, Reader
from chainrule.explain.source import is_short
from chainrule.explain.tidy import TidyTracer
from chainrule.graph import Spec
from chainrule.ops import sum_to

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainrule.graph import Graph, Value

__all__ = ["Explainer", "Formula", "forward", "gradient"]

_MOST_USES = 32
"""The terms of a sum that is written out."""

_LARGE = 1 << 20
"""Entries of a constant from which on its numbers are not looked at, which would copy them."""


def gradient(
    graph: Graph,
    index: int,
    names: Sequence[str],
    active: Sequence[bool],
    *,
    of: str = "L",
    wanted: Sequence[bool] | None = None,
    lengths: Mapping[int, Formula] | None = None,
) -> Formula:
    r"""Return the line that computes the gradient of a node from those of its consumers.

    Parameters
    ----------
    graph
        A program.
    index
        The node.
    names
        What each node is called, a different name each. One that is called nothing, or as its
        op, is anonymous: it is written inside the formulas that use it, as is its gradient. Only
        at the end of a long chain of such it is called by its place, ``v12``, as is a long
        constant, ``c3``.
    active
        For each node, whether it depends on something that is differentiated.
    of
        What the last result is called in LaTeX: ∂L/∂W₁.
    wanted
        For each node, whether it leads to the result whose gradient this is; if None, all do.
    lengths
        What to write for a whole number that something is divided by, such as ``len(X)`` for
        the number of examples: ``{128: Formula("len(X)", "m")}``.

    Returns
    -------
    Formula
        The gradient of ``W1`` is ``dW1`` in NumPy. That of a result which nothing consumes is 1
        if it is a number, else what is given. NumPy is ``np``, and an op that has no NumPy
        expression is called as ``ops.name`` of `chainrule.ops`. A formula that is long and
        repeats itself has a line for each larger part that it repeats: ``t1 = …``. A sum over very
        many uses is not written out. Of many nodes ask an `Explainer`.

    Notes
    -----
    x̄ = Σ (∂y/∂x)ᵀ ȳ over the consumers y of x, summed over the axes along which broadcasting
    repeated x.

    Examples
    --------
    >>> from chainrule.graph import trace
    >>> graph = trace(lambda X, W, b: np.tanh(X @ W + b), *map(Spec, [(5, 3), (3, 2), (2,)]))
    >>> names = ["X", "W", "b", "", "Z", "A"]
    >>> for index in 1, 2, 4:
    ...     print(gradient(graph, index, names, [True] * 6))
    dW = X.T @ dZ
    db = dZ.sum(axis=0)
    dZ = dA * (1 - A**2)
    >>> print(gradient(graph, 1, names, [True] * 6).latex)
    \frac{\partial L}{\partial W} = X^{\top}\,\frac{\partial L}{\partial Z}
    """
    return Explainer(graph, names, active, of=of, wanted=wanted, lengths=lengths).gradient(index)


def forward(graph: Graph, index: int, names: Sequence[str]) -> Formula:
    """Return the line that computes a node, as the program computes it.

    Parameters
    ----------
    graph
        A program.
    index
        The node.
    names
        What each node is called; anonymous ones are written inside (see `gradient`).

    Returns
    -------
    Formula
        ``A = np.tanh(Z)``; for an input its name alone.

    Examples
    --------
    >>> from chainrule.graph import trace
    >>> graph = trace(lambda X, W, b: np.tanh(X @ W + b), *map(Spec, [(5, 3), (3, 2), (2,)]))
    >>> print(forward(graph, 5, ["X", "W", "b", "", "Z", "A"]))
    A = np.tanh(Z)
    >>> print(forward(graph, 5, ["X", "W", "b", "", "", "A"]))
    A = np.tanh(X @ W + b)
    """
    names = settled(graph, names)
    if index in graph.inputs:
        return _name(graph, index, names)
    texts: dict[int, Formula] = {}
    waiting = list(graph.nodes[index].inputs)
    while waiting:
        i = waiting.pop()
        text = _text(graph, i, names)
        if text is not None:
            texts[i] = text
        else:
            waiting += graph.nodes[i].inputs
    return equation(_name(graph, index, names), Reader(graph, texts), index)


def _name(graph: Graph, index: int, names: Sequence[str]) -> Formula:
    """Return what a node is called; an anonymous one by its place."""
    if is_named(graph, index, names):
        return Formula(variable(names[index]), latex_name(names[index]))
    name = place_name(index) if graph.nodes[index].op else f"c{index}"
    return Formula(name, latex_name(name))


def _text(graph: Graph, index: int, names: Sequence[str]) -> Formula | None:
    """Return what a node is called, if it is not written out."""
    node, constant = graph.nodes[index], graph.constants.get(index)
    if constant is not None and np.ndim(constant) == 0:
        return None
    if is_named(graph, index, names) or (node.op is None and constant is None):
        return _name(graph, index, names)
    if constant is not None and not is_short(constant):
        return _name(graph, index, names)
    return None


class Explainer:
    """The formulas of many nodes of one graph: what they have in common is found once.

    The parameters are those of `gradient`.

    Parameters
    ----------
    graph, names, active
        The program, what its nodes are called, and which depend on what is differentiated.
    of, wanted, lengths
        What the result is called; which nodes lead to it; what to write for a divisor.

    Examples
    --------
    >>> from chainrule.graph import trace
    >>> graph = trace(lambda X, W: np.tanh(X @ W), *map(Spec, [(5, 3), (3, 2)]))
    >>> explainer = Explainer(graph, ["X", "W", "Z", "A"], [False, True, True, True])
    >>> for index in 2, 1:
    ...     print(explainer.gradient(index))
    dZ = dA * (1 - A**2)
    dW = X.T @ dZ
    """

    def __init__(
        self,
        graph: Graph,
        names: Sequence[str],
        active: Sequence[bool],
        *,
        of: str = "L",
        wanted: Sequence[bool] | None = None,
        lengths: Mapping[int, Formula] | None = None,
    ) -> None:
        self.graph, self.of, self.lengths = graph, of, dict(lengths or {})
        self.names = settled(graph, names)
        self.consumers: dict[int, list[tuple[int, int]]] = {}
        for index in reversed(range(len(graph.nodes))):  # as the backward pass adds them up
            node = graph.nodes[index]
            op = node.op
            if op is None or not active[index] or (wanted is not None and not wanted[index]):
                continue
            for k, i in enumerate(node.inputs):
                if op.differentiable and not op.is_flat(k):
                    self.consumers.setdefault(i, []).append((index, k))

    def gradient(self, index: int, name: str | None = None) -> Formula:
        """Return the line that computes the gradient of a node from those of its consumers.

        Parameters
        ----------
        index
            The node.
        name
            What it is called in this line, if not as in the others.
        """
        names = self.names
        if name is not None and name != names[index]:
            names = [*names]
            names[index] = name
        line = _Line(self, names)
        left = line.named_gradient(index)
        uses = len(self.consumers.get(index, ()))
        if uses > _MOST_USES:
            return Formula(
                f"{left.numpy} = ...  # a sum of {uses} terms, one for each use",
                rf"{left.latex} = \sum_{{k=1}}^{{{uses}}} \cdots",
            )
        total = line.total(index)
        reader = Reader(line.tracer.graph, line.tracer.texts, self.lengths)
        return equation(left, reader, total.index)

    def beside(self, indices: Sequence[int]) -> list[int]:
        """Return the values with a name that are computed from some nodes directly.

        A line may be written with them: the softmax that a rule takes may be there already.
        """
        found = {i for index in indices for i in self._made[index][:_MOST_USES]}
        return sorted(found)

    @functools.cached_property
    def _made(self) -> list[list[int]]:
        """For each node, the values with a name that are computed from it."""
        made: list[list[int]] = [[] for _ in self.graph.nodes]
        for index, node in enumerate(self.graph.nodes):
            if node.op is not None and is_named(self.graph, index, self.names):
                for i in {*node.inputs}:
                    made[i].append(index)
        return made

    def made_of(self, index: int) -> list[tuple[bool, int]] | None:
        """Return what the line of a gradient reads, as nodes; None of a sum of very many terms.

        Returns
        -------
        list
            For each, whether it is the gradient at the node, and the node. A call that is written
            out in the line, and that the program makes as well, is the node that holds it.
        """
        if len(self.consumers.get(index, ())) > _MOST_USES:
            return None
        line = _Line(self, self.names)
        return line.read(line.total(index))


class _Line:
    """One line in the making: the trace of the rules that it takes, and what is a name in it."""

    def __init__(self, known: Explainer, names: Sequence[str]) -> None:
        self.graph, self.names, self.of = known.graph, names, known.of
        self.tracer = TidyTracer()
        self._numbers: dict[int, Value] = {}
        self._gradients: dict[int, Value] = {}
        self._consumers = known.consumers
        self._known = known

    def named_gradient(self, index: int) -> Formula:
        """Return what the gradient of a node is called."""
        name = _name(self.graph, index, self.names).numpy
        title = self.names[index] if is_named(self.graph, index, self.names) else name
        return Formula(gradient_name(name), gradient_latex(title, self.of))

    def total(self, index: int) -> Value:
        """Return the sum of what the consumers of a node pull back."""
        consumers = self._consumers.get(index, [])
        if not consumers:
            return self._seed(index)
        terms = [self._pulled(consumer, k) for consumer, k in consumers]
        y: Any = terms[0]
        for term in terms[1:]:
            y = y + term
        return y  # type: ignore[no-any-return]

    def read(self, total: Value) -> list[tuple[bool, int]]:
        """Return the gradients and the nodes that a result is computed from."""
        nodes = self.tracer.graph.nodes
        known: dict[int, tuple[bool, int]] = {}
        for i, value in self._gradients.items():  # the one with a name is the first of its value
            if nodes[value.index].op is None and value.index not in self.tracer.graph.constants:
                known.setdefault(value.index, (True, i))
        for i, value in self._numbers.items():
            known.setdefault(value.index, (False, i))
        found: dict[tuple[bool, int], None] = {}
        waiting, seen = [total.index], {total.index}
        while waiting:
            place = waiting.pop()
            if place in known:
                found[known[place]] = None
                continue
            inside = [i for i in nodes[place].inputs if i not in seen]
            seen.update(inside)
            waiting += inside
        return [*found]

    def _seed(self, index: int) -> Value:
        """Return the gradient of a last result: 1 for a number, what is given for an array."""
        node = self.graph.nodes[index]
        if node.shape == ():
            return self.tracer.constant(node.dtype.type(1))
        return self._leaf(index, self.named_gradient(index))

    def _pulled(self, index: int, k: int) -> Value:
        """Return what a consumer pulls back to its operand k, as `pull_back` does."""
        node, g = self.graph.nodes[index], self._gradient(index)
        xs = [self._number(i) for i in node.inputs]
        if node.op is None:
            return g
        for i in (*node.inputs, index):
            self._recognise(i)
        for i in self._known.beside(node.inputs):
            if all(x in self._numbers for x in self.graph.nodes[i].inputs):
                self._recognise(i)
        x: Any = xs[k]
        x_bar = node.op.derivative.pull(node.op, k, g, xs, self._number(index), node.attributes)
        if x_bar.shape != x.shape:
            x_bar = sum_to(x_bar, x.shape)
        return x_bar if x_bar.dtype == x.dtype else x_bar.astype(x.dtype)  # type: ignore[no-any-return]

    def _gradient(self, index: int) -> Value:
        """Return the gradient of a consumer: its name, or its own sum if it is anonymous."""
        if index not in self._gradients:
            is_name = index in self._consumers and is_named(self.graph, index, self.names)
            self._gradients[index] = (
                self._leaf(index, self.named_gradient(index)) if is_name else self.total(index)
            )
        return self._gradients[index]

    def _number(self, index: int) -> Value:
        """Return a node as the rules see it: a name, a constant, or the call that it is."""
        if index in self._numbers:
            return self._numbers[index]
        node, text = self.graph.nodes[index], _text(self.graph, index, self.names)
        is_large = Spec(node.shape, node.dtype).size > _LARGE
        if index in self.graph.constants and not is_large:
            value = self.tracer.constant(self.graph.constants[index])
            if text is not None:
                self.tracer.texts[value.index] = text
        elif text is not None:
            value = self._leaf(index, text)
        else:
            xs = [self._number(i) for i in node.inputs]
            self.tracer.exact = True
            value = node.op(*xs, **node.attributes)  # type: ignore[misc]
            self.tracer.exact = False
        self._numbers[index] = value
        return value

    def _recognise(self, index: int) -> None:
        """Let a call that computes what has a name be written by that name."""
        node, value = self.graph.nodes[index], self._number(index)
        if node.op is not None and value.index in self.tracer.texts:
            self.tracer.name(value, node, [self._number(i) for i in node.inputs])

    def _leaf(self, index: int, text: Formula) -> Value:
        """Return an input of the small graph that stands for what has a name."""
        node = self.graph.nodes[index]
        value = self.tracer.input(Spec(node.shape, node.dtype))
        self.tracer.texts[value.index] = text
        return value
