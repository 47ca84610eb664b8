"""A hand-written backward pass in one form, whatever form its author gave it.

A pair of functions, an object, a closure, a module: each becomes a `Handwritten`, which is run on
a list of numbers, one for each `Slot`. What a run leaves behind, such as a cache, is kept in a
`Forward`; what its backward pass returns are `Stated` gradients, still under their author's names.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import optree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Forward", "Handwritten", "Slot", "Stated", "as_arrays", "is_floating"]


@dataclass(frozen=True)
class Slot:
    """One thing that is handed to forward: an array, a number, a setting.

    Attributes
    ----------
    name
        As the user's program calls it: ``W1``.
    given
        What the user handed over.
    argument
        The position of the argument that it is, or is part of; None for a parameter that lies
        on an object.
    path
        The keys within the argument.
    """

    name: str
    given: Any
    argument: int | None = None
    path: tuple[Any, ...] = ()

    @property
    def is_array(self) -> bool:
        """Whether numbers can be drawn for it: an array with axes."""
        return isinstance(self.given, np.ndarray) and self.given.ndim > 0

    @property
    def is_differentiable(self) -> bool:
        """Whether it may have a gradient."""
        return is_floating(self.given)


@dataclass
class Forward:
    """What a forward pass left: its output, and what its backward pass is handed.

    Attributes
    ----------
    output
        An array, or the loss.
    rest
        What was returned beside it, such as the cache.
    values
        The numbers that it ran on, in the order of the slots.
    gradients
        What a closure returned beside the loss.
    shapes
        Of the outputs, where several lie end to end in one.
    """

    output: Any
    rest: tuple[Any, ...]
    values: Sequence[Any]
    gradients: Any = None
    shapes: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Stated:
    """One gradient as a backward pass states it.

    Attributes
    ----------
    key
        What its author calls it: ``dW1``, ``gradient 2``.
    array
        As it was returned.
    slot
        The position of the slot that it belongs to, where that is plain; else its key decides.
    """

    key: str
    array: Any
    slot: int | None = None


@dataclass
class Handwritten(ABC):
    """A forward pass with a backward pass that somebody wrote.

    Attributes
    ----------
    kind
        Of target: ``pair``, ``object``, ``closure``, ``module``, ``network``.
    name
        What the user calls it.
    slots
        What forward is handed.
    functions
        The user's functions that are run, for their lines and what they refer to.
    implicit
        ``(out, Y) → number``: the loss that is meant, where forward does not compute one.
    """

    kind: Literal["pair", "object", "closure", "module", "network"]
    name: str
    slots: list[Slot]
    functions: list[Callable[..., Any]] = field(default_factory=list)
    implicit: Callable[[Any, Any], Any] | None = field(default=None, kw_only=True)

    watches_forward: ClassVar[bool] = False
    """Whether the lines of its backward pass run within forward."""

    @property
    def differentiable(self) -> list[int]:
        """The positions of the slots that may have a gradient."""
        return [k for k, slot in enumerate(self.slots) if slot.is_differentiable]

    @abstractmethod
    def forward(self, values: Sequence[Any]) -> Forward:
        """Run forward on numbers, or on values that stand for them."""

    @abstractmethod
    def backward(self, ran: Forward, cotangent: Any) -> Any:
        """Run backward after a forward pass, and return what it returns."""

    def renew(self) -> None:  # noqa: B027 - functions have nothing to renew
        """Forget what earlier runs left behind."""

    def rewind(self) -> None:  # noqa: B027 - functions draw from generators alone
        """Let what counts its draws start to count again."""

    def drawing(self) -> list[str]:
        """Return the names of modules that draw random numbers, after a forward pass."""
        return []

    @abstractmethod
    def stated(self, returned: Any, ran: Forward) -> list[Stated]:
        """Return the gradients in what backward returned."""

    def takes_cotangent(self, ran: Forward) -> bool:  # noqa: ARG002 - a pair reads it
        """Return whether backward is handed a gradient from above."""
        return True

    def above(self, ran: Forward) -> dict[str, tuple[slice, tuple[int, ...]]]:  # noqa: ARG002
        """Return where the gradient of each of several outputs lies in the one from above."""
        return {}

    def own_loss(self) -> Callable[..., Any] | None:
        """Return a function of the target's own from output and labels to the loss."""
        return None

    def say_loss(self, loss: Callable[..., Any] | None, target: Any) -> None:  # noqa: ARG002
        """Take a loss that the user says for a target."""
        self.implicit = loss

    def loss(self, output: Any, ran: Forward) -> Any:
        """Return what is differentiated, from what forward returned."""
        return output if self.implicit is None else self.implicit(output, self.labels(ran))

    def labels(self, ran: Forward) -> Any:  # noqa: ARG002 - a pair reads it
        """Return the labels that a forward pass was given, as far as they are known."""
        return None

    def batch(self, values: Sequence[Any], sizes: Mapping[str, int]) -> int | None:
        """Return how many examples there are, if that can be seen."""
        return batch_of(self.slots, values, sizes)


def as_arrays(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return arguments whose lists of floating-point numbers are arrays, if nothing else is one.

    Examples
    --------
    >>> as_arrays(([1.0, 2.0], "mean"))
    (array([1., 2.]), 'mean')
    """
    tree: Any = arguments
    if any(isinstance(leaf, np.ndarray) for leaf in optree.tree_leaves(tree, none_is_leaf=True)):
        return arguments
    return tuple(_as_array(x) for x in arguments)


def _as_array(x: Any) -> Any:
    if not isinstance(x, list) or not x:
        return x
    tree: Any = x
    if not all(type(leaf) in {int, float} for leaf in optree.tree_leaves(tree, none_is_leaf=True)):
        return x
    try:
        array = np.array(x)
    except ValueError:  # rows of different lengths
        return x
    return array if array.dtype.kind == "f" else x


def is_floating(x: Any) -> bool:
    """Return whether something is a floating-point number or an array of such."""
    return isinstance(x, float) or (hasattr(x, "dtype") and np.issubdtype(x.dtype, np.floating))


_DATA = ("X", "x", "inputs", "input", "data", "A0", "features")
_COUNTED = ("y", "Y", "labels", "label", "targets", "target", "t", "T")
_LETTERS = ("n", "N", "m", "batch", "B", "b")


def batch_of(slots: Sequence[Slot], values: Sequence[Any], sizes: Mapping[str, int]) -> int | None:
    """Return how many examples there are: by a letter, by labels, or by the shape of the data."""
    for letter in _LETTERS:
        if letter in sizes:
            return sizes[letter]
    shapes: dict[str, tuple[int, ...]] = {
        slot.name.rpartition(".")[2]: np.shape(x)
        for slot, x in zip(slots, values, strict=True)
        if np.ndim(x)
    }
    data = next((shapes[name] for name in _DATA if name in shapes), None)
    labels = next((shapes[name] for name in _COUNTED if name in shapes), None)
    if labels is not None and data is not None:
        both = [n for n in labels if n in data]
        if len(set(both)) == 1 or (len(labels) == 1 and both):
            return both[0]
    if labels is not None and len(labels) == 1:
        return labels[0]
    if data is None or len(data) < 2:
        return None
    weights = [s for name, s in shapes.items() if name[:1] in "Ww" and len(s) == 2]
    if len(data) == 2 and weights and data[1] not in weights[0] and data[0] in weights[0]:
        return data[1]
    return data[0]
