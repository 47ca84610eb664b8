"""The values, gradients and local derivatives of a pass by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import AxisError, InputTypeError, StructureError
from chainrule.graph import describe
from chainrule.inspect.axes import axes_of_examples
from chainrule.inspect.local import local_derivative

if TYPE_CHECKING:
    from chainrule.inspect.explanation import Explanation
    from chainrule.inspect.local import Local
    from chainrule.inspect.passes import Pass

__all__ = ["Gradients", "Locals", "Values", "without_gradient"]


def without_gradient(opened: Pass, index: int) -> InputTypeError:
    """Return the error for a value that depends on no argument."""
    name, *others = opened.names.all_of(index)
    advice = f"Make an argument of what {name} is computed from, of floating-point numbers."
    if index in opened.graph.constants:
        given = next((other for other in others if "." in other), name)
        word, given = name.removesuffix(".T"), given.removesuffix(".T")
        advice = "Make it an argument of what is opened."
        if word.isidentifier():
            advice = f"Make it an argument: open(lambda {word}, x: …, {given}, x)."
    return InputTypeError(
        f"{name} has no gradient: it depends on no argument that is differentiated by.",
        describe(opened.graph.nodes[index]),
        advice=advice,
    )


class _ByName(Mapping[str, Any]):
    """Arrays of a pass by name."""

    def __init__(self, opened: Pass) -> None:
        self._pass = opened

    def _array(self, index: int) -> Any:
        raise NotImplementedError

    def _indices(self) -> Iterator[int]:
        raise NotImplementedError

    def __getitem__(self, name: str) -> Any:
        index, position = self._pass.entry(name)
        x = self._array(index)
        if position is not None:
            return np.ravel(x)[position]
        return np.array(x) if np.ndim(x) else x

    def __iter__(self) -> Iterator[str]:
        labels = self._pass.names.labels
        return (labels[index] for index in self._indices())

    def __len__(self) -> int:
        return sum(1 for _ in self._indices())

    def __contains__(self, name: object) -> bool:
        try:
            self[name]  # type: ignore[index]
        except (KeyError, TypeError, AxisError):
            return False
        return True


class Values(_ByName):
    """The values of a pass by name, in the order in which they were computed.

    What is returned is a copy.
    """

    def __getitem__(self, name: str) -> Any:
        leaf = self._pass.concrete(name)
        if leaf is not None:
            return np.array(leaf.concrete) if np.ndim(leaf.concrete) else leaf.concrete
        return super().__getitem__(name)

    def _array(self, index: int) -> Any:
        return self._pass.walk.numbers[index]

    def _indices(self) -> Iterator[int]:
        names, graph = self._pass.names, self._pass.graph
        for index in range(len(graph.nodes)):
            if index not in graph.constants or names.is_given[index]:
                yield index

    def __repr__(self) -> str:
        return f"<values {', '.join(self)}>"


class Gradients(_ByName):
    """The gradients of a pass by the names of their values, from the output back.

    What is returned is a copy.
    """

    def __getitem__(self, name: str) -> Any:
        leaf = self._pass.concrete(name)
        if leaf is not None:
            kind = describe(leaf.concrete)
            position = leaf.path[0]
            why = "held" if position in self._pass.program.held else "not of floating-point type"
            raise InputTypeError(
                f"{name} has no gradient: it is {why}.",
                f"{name}: {kind}",
                advice="What is to be differentiated by is an argument of floating-point numbers.",
            )
        return super().__getitem__(name)

    def of(self, name: str) -> Explanation:
        """Return one gradient with the rule behind it, its formula and its numbers."""
        return self._pass.explain(name)

    def _array(self, index: int) -> Any:
        return self._pass.gradient(index)

    def _indices(self) -> Iterator[int]:
        active = self._pass.walk.active
        return (index for index in range(len(active) - 1, -1, -1) if active[index])

    def __repr__(self) -> str:
        return f"<gradients of {self._pass.head} by {', '.join(self)}>"


class Locals:
    """The local derivatives of a pass: ``local["A2", "Z2"]`` is ∂A2/∂Z2."""

    def __init__(self, opened: Pass) -> None:
        self._pass = opened

    def __getitem__(self, pair: tuple[str, str]) -> Local:
        if type(pair) is not tuple or len(pair) != 2:
            raise StructureError(
                f"local takes the names of two values, as in local['A2', 'Z2'], got {pair!r}."
            )
        opened = self._pass
        of, by = (opened.index(name) for name in pair)
        try:
            axes = axes_of_examples(opened)
        except StructureError:
            return local_derivative(opened.walk, of, by)
        return local_derivative(opened.walk, of, by, (axes[of], axes[by]))
