"""What the lint looks at: a traced program with its gradients, and the layers seen in it.

A layer is a product of something computed from the examples with something computed from
parameters alone. So it is found by what it does, in a module as in a user's own NumPy code.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.ops import Bilinear, Partials, Rule

if TYPE_CHECKING:
    from chainrule.inspect.scene import Scene

__all__ = ["Layer", "Subject"]


@dataclass(frozen=True)
class Layer:
    """A product with weights, and what follows it up to the next.

    Attributes
    ----------
    product
        The node that multiplies.
    features
        The node of what is multiplied.
    weight
        The node of the parameter.
    scores
        The node after the bias: the pre-activation.
    activations
        The nodes of functions of the scores, each entry by itself.
    """

    product: int
    features: int
    weight: int
    scores: int
    activations: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Subject:
    """A program to look at.

    Attributes
    ----------
    scene
        One run on the given inputs, with gradients.
    prediction
        The node of the output that the loss was given; None where that is not known.
    target
        What the outputs should be; None if it was not given.
    has_loss
        Whether the gradients are those of a loss; else they are of a random sum of the outputs.
    called
        The line that called `lint`, which layers of a library have as theirs and is none of the
        program.
    """

    scene: Scene
    prediction: int | None
    target: Any
    has_loss: bool
    called: str = ""

    def number(self, index: int) -> Any:
        """Return the numbers of a node in float64."""
        return np.asarray(self.scene.walk.numbers[index], np.float64)

    def gradient(self, index: int) -> Any:
        """Return the gradient at a node in float64; zeros where there is none."""
        found = self.scene.adjoints.get(index)
        shape = self.scene.nodes[index].shape
        return np.zeros(shape) if found is None else np.asarray(found, np.float64)

    @cached_property
    def from_data(self) -> list[bool]:
        """For each node, whether it is computed from examples."""
        return self.scene.walk.graph.dependents(sorted(self.scene.data))

    @cached_property
    def from_parameters(self) -> list[bool]:
        """For each node, whether it is computed from parameters."""
        return self.scene.walk.graph.dependents(sorted(self.scene.parameters))

    def ancestors(self, index: int) -> set[int]:
        """Return the nodes that one is computed from, and itself."""
        found: set[int] = set()
        waiting = [index]
        while waiting:
            i = waiting.pop()
            if i not in found:
                found.add(i)
                waiting += self.scene.nodes[i].inputs
        return found

    @cached_property
    def layers(self) -> list[Layer]:
        """The layers, in the order in which they run."""
        found = [self._layer(index) for index in range(len(self.scene.nodes))]
        return [layer for layer in found if layer is not None]

    def _layer(self, index: int) -> Layer | None:
        node = self.scene.nodes[index]
        if node.op is None or not isinstance(node.op.derivative, Bilinear) or len(node.inputs) != 2:
            return None
        for features, weights in (node.inputs, node.inputs[::-1]):
            mixed = self.from_data[weights] or not self.from_parameters[weights]
            if mixed or not self.from_data[features]:
                continue
            weight = self._parameter_of(weights)
            if weight is not None:
                scores = self._after_bias(index)
                return Layer(index, features, weight, scores, self._activations(scores))
        return None

    def _parameter_of(self, index: int) -> int | None:
        held = [i for i in sorted(self.ancestors(index)) if i in self.scene.parameters]
        large = [i for i in held if len(self.scene.nodes[i].shape) > 1]
        return large[0] if large else None

    def _after_bias(self, index: int) -> int:
        """Return the node that adds parameters to a product, or the product itself."""
        readers = self.scene.consumers.get(index, [])
        if len(readers) != 1:
            return index
        reader, k = readers[0]
        node = self.scene.nodes[reader]
        others = [i for place, i in enumerate(node.inputs) if place != k]
        adds = (
            node.op is not None
            and isinstance(node.op.derivative, Partials)
            and not any(isinstance(slope, Rule) for slope in node.op.derivative.slopes)
        )
        only = all(self.from_parameters[i] and not self.from_data[i] for i in others)
        return reader if adds and others and only else index

    def _activations(self, scores: int) -> tuple[int, ...]:
        return tuple(
            reader
            for reader, _ in self.scene.consumers.get(scores, [])
            if self.is_activation(reader)
        )

    def is_activation(self, index: int) -> bool:
        """Return whether a node is a function of one array, entry by entry, that bends."""
        op = self.scene.nodes[index].op
        return (
            op is not None
            and len(self.scene.nodes[index].inputs) == 1
            and isinstance(op.derivative, Partials)
            and isinstance(op.derivative.slopes[0], Rule)
        )

    def slopes(self, index: int) -> Any:
        """Return the slope of an activation at each entry."""
        node = self.scene.nodes[index]
        return np.asarray(self.scene.pull(index, 0, np.ones(node.shape, node.dtype)), np.float64)

    def by_unit(self, index: int, x: Any) -> Any:
        """Return an array of a node as (examples and places, units).

        A convolution has its channels second, everything else in rows its units last.
        """
        axis = self.scene.axis_of_examples(index)
        if x.ndim < 2:
            return x.reshape(-1, 1)
        units = 0 if axis != 0 else 1 if self._has_channels(index) else x.ndim - 1
        return np.moveaxis(x, units, -1).reshape(-1, x.shape[units])

    def _has_channels(self, index: int) -> bool:
        return any(
            layer.scores == index and len(self.scene.nodes[layer.weight].shape) > 2
            for layer in self.layers
        )

    def line(self, index: int) -> str:
        """Return the user's line of a node, empty if that is the call of `lint` alone."""
        line = self.scene.line(index)
        return "" if line == self.called else line

    def name(self, index: int) -> str:
        """Return what a node is called."""
        return self.scene.name(index)

    def at(self, index: int) -> str:
        """Return what a node is called, and its line."""
        line = self.line(index)
        return self.name(index) + (f" ({line})" if line else "")

    def examples_by(self, index: int, x: Any) -> Any:
        """Return an array of a node with its examples along the first axis, flat beyond."""
        axis = self.scene.axis_of_examples(index) or 0
        return np.moveaxis(x, axis, 0).reshape(x.shape[axis], -1)
