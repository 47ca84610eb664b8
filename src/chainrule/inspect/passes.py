"""One forward and one backward walk with everything kept: what can be asked of it.

A `Pass` knows every value and every gradient by name, the local derivative of any value by any
that it was computed from, what each gradient is made of, and over which routes it came. Nothing
is computed anew where numbers were kept, so asking twice gives the same numbers.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import NotScalarError, StructureError
from chainrule.graph import describe
from chainrule.inspect.chain import Entry
from chainrule.inspect.derivation import Derivation, derivation_of
from chainrule.inspect.examples.where import examples_of
from chainrule.inspect.explanation import Explanation, explainer_of
from chainrule.inspect.mappings import Gradients, Locals, Values, without_gradient
from chainrule.inspect.needs import Needs, needs_of
from chainrule.inspect.outputs import Start
from chainrule.inspect.overview import markdown_overview, overview
from chainrule.inspect.paths import Paths, node_paths
from chainrule.inspect.per_example import PerExample
from chainrule.inspect.routes import Routes, entry_routes
from chainrule.transform import pull_back

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chainrule.explain import Explainer
    from chainrule.graph import Graph
    from chainrule.inspect.examples.batch import Batch
    from chainrule.inspect.naming import Names
    from chainrule.inspect.programs import Program
    from chainrule.inspect.walking import Leaf, Walk

__all__ = ["Pass"]


_SHOWN = 100
"""The values that a pass prints as; of more, the first and the last."""


class Pass:
    """One forward and one backward walk; see `open`.

    Attributes
    ----------
    walk
        The graph and the number of each node.
    start
        Where the backward walk started.
    adjoints
        The gradient at each node that it reached.
    program
        What was opened, with its arguments.
    """

    def __init__(
        self, walk: Walk, start: Start, adjoints: Mapping[int, Any], program: Program
    ) -> None:
        self.walk = walk
        self.start = start
        self.adjoints = adjoints
        self.program = program

    # These three are made anew for each question: kept, they would be a cycle, and the arrays of
    # a pass that is no longer needed would stay in memory until Python looks for cycles.

    @property
    def values(self) -> Values:
        """Every value by name: ``values["A1"]``, an entry as ``values["W1[3, 4]"]``."""
        return Values(self)

    @property
    def gradients(self) -> Gradients:
        """The gradient at every value by the value's name, from the result back.

        ``gradients["dZ2"]`` is ``gradients["Z2"]``.
        """
        return Gradients(self)

    @property
    def local(self) -> Locals:
        """The local derivatives: ``local["A2", "Z2"]`` is ∂A2/∂Z2.

        For any value and any that it was computed from; see `Local`.
        """
        return Locals(self)

    @property
    def graph(self) -> Graph:
        """What was computed."""
        return self.walk.graph

    @property
    def names(self) -> Names:
        """The names of the nodes."""
        return self.walk.naming

    @property
    def output(self) -> int:
        """The node that was differentiated."""
        return self.start.node

    @functools.cached_property
    def head(self) -> str:
        """What was differentiated, by name: ``loss``, ``scores[0, 3]``."""
        names = [self.names.labels[index] for index in self.start.cotangents]
        entry = self.start.entry
        if entry is None:
            return " + ".join(f"⟨g, {name}⟩" for name in names)
        return names[0] + (f"[{', '.join(map(str, entry))}]" if entry else "")

    @functools.cached_property
    def consumers(self) -> dict[int, list[tuple[int, int]]]:
        """For each node, the nodes that its gradient comes from, and as which operand."""
        found: dict[int, list[tuple[int, int]]] = {}
        for index in sorted(self.adjoints):
            op = self.graph.nodes[index].op
            for k, i in enumerate(self.graph.nodes[index].inputs):
                if op is not None and not op.is_flat(k) and self.walk.active[index]:
                    found.setdefault(i, []).append((index, k))
        return found

    @functools.cached_property
    def has_lines(self) -> bool:
        """Whether lines of the program tell values apart: those of our layers are all one call."""
        return len({node.where for node in self.graph.nodes if node.op is not None}) > 1

    @functools.cached_property
    def explainer(self) -> Explainer:
        """What writes formulas in the program's names."""
        return explainer_of(self)

    def needs(self, name: str) -> Needs:
        """Return what the gradient at a value is made of: the arrays that have to be kept for it.

        Examples
        --------
        >>> import chainrule, numpy as np
        >>> from chainrule import nn
        >>> opened = chainrule.open(
        ...     nn.DNN([2, 3, 1], seed=0), np.ones((2, 5)), target=[0, 1, 1, 0, 1]
        ... )
        >>> print(opened.needs("W2"))
        dW2 (1, 3) is made of dZ2 (1, 5) and A1 (3, 5)
        """
        return needs_of(self, self.index(name))

    def explain(self, name: str) -> Explanation:
        """Return one gradient with the rule behind it, its formula, what it is made of, its line.

        Examples
        --------
        >>> import chainrule, numpy as np
        >>> def loss(W, x):
        ...     h = np.tanh(W @ x)
        ...     return np.sum(h)
        >>> opened = chainrule.open(loss, np.eye(2), np.ones((2, 1)))
        >>> print(opened.explain("W"))  # doctest: +ELLIPSIS
        ∂loss/∂W, 2×2
          ...:2...h = np.tanh(W @ x)
          gradient  dW = (dh * (1 - h**2)) @ x.T
          rule      matmul, product rule: times the other factor
          made of   dh 2×1, h 2×1, x 2×1
          value     0.5 ± 0.5, 0 … 1
          numbers   all 0.42, norm 0.8399
        """
        self._require_gradient(name)
        return Explanation(self, self.index(name))

    def chain(self, name: str) -> Derivation:
        """Return the chain of one gradient: formulas, shapes and numbers from the result down."""
        self._require_gradient(name)
        return derivation_of(self, self.index(name))

    def table(self, *, everything: bool = False, limit: int | None = None) -> str:
        """Return the values as a table, with shape, numbers, norm of the gradient, and line.

        Parameters
        ----------
        everything
            Whether to show what has no name in the program, too.
        limit
            The most values to show, the first and the last ones; None for all.
        """
        return overview(self, everything=everything, limit=limit)

    def markdown(self, *, everything: bool = False) -> str:
        """Return the same table in Markdown."""
        return markdown_overview(self, everything=everything)

    def __str__(self) -> str:
        return self.table(limit=_SHOWN)

    def __repr__(self) -> str:
        count = len(self.values)
        return f"<pass of {self.head}: {count} values, {len(self.gradients)} gradients>"

    def _repr_markdown_(self) -> str:
        return self.markdown()

    @functools.cached_property
    def examples(self) -> Batch:
        """Where the examples lie: in which arguments and nodes, along which axis, how many.

        Raises
        ------
        StructureError
            If no argument holds any, or it cannot be told which does.
        """
        return examples_of(self.walk, self.program, self.output)

    @functools.cached_property
    def per_example(self) -> PerExample:
        """The gradient of each example by itself, by name: shape (m, *shape)."""
        program = self.program
        return PerExample(
            self.walk,
            self.output,
            self.adjoints,
            self.names.labels,
            program.args,
            data=program.data,
            axis=None if program.data is None else program.axis,
            skipped={
                leaf.index
                for leaf in self.walk.leaves
                if leaf.index is not None and leaf.key in program.buffers
            },
        )

    def differentiate(self, name: str) -> Pass:
        """Return a pass over the same values that is differentiated at another, or an entry.

        Parameters
        ----------
        name
            A value that is one number, or an entry: ``"Z2[0, 1]"``.

        Examples
        --------
        >>> import chainrule, numpy as np
        >>> opened = chainrule.open(lambda x: np.sum(np.sin(x) ** 2), np.zeros(3))
        >>> opened.differentiate("sin_1[2]").gradients["x"]
        array([0., 0., 1.])
        """
        index, position = self.entry(name)
        node = self.graph.nodes[index]
        if position is None and node.shape:
            raise NotScalarError(
                f"{name} is {describe(node)}, and the backward walk starts from one number.",
                advice=f"Name an entry of it: '{name}[{', '.join('0' * len(node.shape))}]'.",
            )
        entry = np.unravel_index(position, node.shape) if position is not None else ()
        g = np.zeros(node.shape, node.dtype)
        g[entry] = 1
        start = Start({index: g[()]}, tuple(int(i) for i in entry))
        with np.errstate(all="ignore"):
            found = pull_back(
                self.graph, self.walk.numbers, self.walk.active, dict(start.cotangents)
            )
        return Pass(self.walk, start, found, self.program)

    def paths(
        self, of: str, by: str, *, example: int | None = None, limit: int = 10
    ) -> Paths | Routes:
        """Return the routes of the chain rule from a value to a gradient, with contributions.

        Parameters
        ----------
        of
            What is differentiated: the result, or another value that is one number, or an entry.
        by
            A value, or an entry of one: ``"W1[3, 4]"``.
        example
            For an entry: only the routes through this example.
        limit
            The number of routes to write out; the others are one contribution.

        Returns
        -------
        Paths
            For a value: its routes over other values; each contribution has its shape, and they
            add up to the gradient.
        Routes
            For an entry: its routes over entries, with every factor.

        Examples
        --------
        >>> import chainrule, numpy as np
        >>> def area(side):
        ...     square = side * side
        ...     return np.sum(square)
        >>> opened = chainrule.open(area, np.array([3.0, 5.0]))
        >>> [path.contribution for path in opened.paths("area", "side").terms]
        [array([3., 5.]), array([3., 5.])]
        >>> print(opened.paths("area", "side[1]"))  # doctest: +ELLIPSIS
        ∂area/∂side[1], where side[1] = 5
        <BLANKLINE>
          ∂square[1]/∂side[1]  =  5  slope of multiply at (5, 5)  ...:2
          ∂area/∂square[1]     =  1  sum is linear                ...:3
          product              =  5
        <BLANKLINE>
          and 1 more route:
           5    side[1] → area
        <BLANKLINE>
          sum of the routes    = 10
          backward pass        = 10
        """
        opened = self if self._is_head(of) else self.differentiate(of)
        self._require_gradient(by)
        index, position = self.entry(by)
        opened.gradient(index)
        if position is None and not self.graph.nodes[index].shape and example is not None:
            position = 0
        if position is not None:
            return entry_routes(opened, Entry(index, position), example, limit)
        if example is not None:
            raise StructureError(
                f"the routes through one example are those of an entry, and {by} has "
                f"{describe(self.graph.nodes[index])}.",
                advice=f"Name the entry: paths({of!r}, '{by}[0, 0]', example={example}).",
            )
        return node_paths(opened, index, limit)

    def _is_head(self, of: str) -> bool:
        return of == self.head or (
            of in self.names and self.start.cotangents.keys() == {self.names.index(of)}
        )

    def _require_gradient(self, name: str) -> None:
        """Raise for an argument that is not differentiated by."""
        if self.concrete(name) is not None:
            self.gradients[name]

    # ------------------------------------------------------------------ names

    def index(self, name: str) -> int:
        """Return the node of a name; its gradient's name will do."""
        if name not in self.names:
            name = self._plain(name)
        return self.names.index(name, (leaf.name for leaf in self._concrete))

    def entry(self, name: str) -> tuple[int, int | None]:
        """Return the node of ``W1[3, 4]`` and the position of the entry, None without one."""
        name = self._plain(name)
        try:
            return self.names.entry(name)
        except KeyError:
            return self.index(name), None

    def _plain(self, name: str) -> str:
        """Return ``Z2`` for ``dZ2``, unless that is a name."""
        for sign in ("d", "∂") if type(name) is str else ():
            inner = name.removeprefix(sign)
            if (
                inner != name
                and name.split("[", maxsplit=1)[0] not in self.names
                and (inner in self.names or inner.split("[")[0] in self.names)
            ):
                return inner
        return name

    @property
    def _concrete(self) -> list[Leaf]:
        """The arguments that are not differentiated by."""
        return [leaf for leaf in self.walk.leaves if leaf.index is None]

    def concrete(self, name: object) -> Leaf | None:
        """Return an argument that is not differentiated by, by its name."""
        for leaf in self._concrete:
            if name in {leaf.name, leaf.key} - {""}:
                return leaf
        return None

    # ------------------------------------------------------------------ gradients by node

    def gradient(self, index: int) -> Any:
        """Return the gradient at a node.

        Raises
        ------
        InputTypeError
            If it has none, with the reason.
        """
        if index in self.adjoints:
            return self.adjoints[index]
        node = self.graph.nodes[index]
        if not self.walk.active[index]:
            raise without_gradient(self, index)
        return np.zeros(node.shape, node.dtype)[()]
