"""How an op may be computed by a plan: what a compiler has to know of it, and no more.

An op says its form beside its derivative. An elementwise op needs nothing but its forward rule,
which is applied to registers as it is applied to arrays; other forms name what they fold with,
how they view memory, or which other ops they stand for. An op without a form runs as NumPy's
own step between compiled ones.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "Composite",
    "Counted",
    "Each",
    "Fold",
    "Form",
    "Gathered",
    "Layout",
    "Placed",
    "Product",
    "Scattered",
    "Viewed",
]


class Form:
    """How an op is computed."""

    __slots__ = ()


@dataclass(frozen=True)
class Each(Form):
    """Each element of the output by itself, from the elements at its place: the forward rule."""


@dataclass(frozen=True)
class Counted(Form):
    """Each element of the output by itself, from its row-major place and small operands.

    Attributes
    ----------
    element
        ``(place, *operands, **attributes) → element``, where the place is an unsigned integer
        of 64 bits and each operand a list of its elements.
    """

    element: Callable[..., Any]


@dataclass(frozen=True)
class Fold(Form):
    """A reduction over the axes ``axis`` by an operation that may be done in any order.

    Attributes
    ----------
    ufunc
        NumPy's function of two numbers: np.add, np.multiply, np.maximum, np.minimum.
    """

    ufunc: Any


@dataclass(frozen=True)
class Viewed(Form):
    """The numbers of the first operand, seen in another order.

    Attributes
    ----------
    layout
        ``(layout, **attributes) → layout``, or None where memory has to be moved.
    """

    layout: Callable[..., Layout | None]


@dataclass(frozen=True)
class Product(Form):
    """The product of two matrices, or of stacks of them."""


@dataclass(frozen=True)
class Gathered(Form):
    """The parts of the first operand at the places that the other operands name."""


@dataclass(frozen=True)
class Scattered(Form):
    """Zeros of ``shape``, to which the first operand is added at the places the others name."""


@dataclass(frozen=True)
class Placed(Form):
    """The operands put into parts of the output that do not overlap.

    Attributes
    ----------
    parts
        ``(layout of the output, operands, **attributes) → a layout for each operand``.
    covers
        Whether the parts are all of the output; the rest of it is 0.
    """

    parts: Callable[..., list[Layout]]
    covers: bool


@dataclass(frozen=True)
class Composite(Form):
    """Other ops together.

    Attributes
    ----------
    parts
        The function that applies them to traced values; the forward rule, if it is not said.
        None as its result: not this time.
    holds
        What has to be true of the operands, all of it, for the parts to stand for the op; where
        it is not, the op itself says what is wrong.
    """

    parts: Callable[..., Any] | None = None
    holds: Callable[..., Any] | None = None


class Layout(NamedTuple):
    """Where the elements of an array lie in a piece of memory, counted in elements.

    Examples
    --------
    >>> Layout.contiguous((2, 3)).transposed((1, 0))
    Layout(offset=0, shape=(3, 2), strides=(1, 3))
    """

    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def contiguous(cls, shape: Sequence[int]) -> Layout:
        """Return the layout of an array whose elements lie row by row."""
        lengths = tuple(shape)
        steps = itertools.accumulate(lengths[:0:-1], lambda a, b: a * b, initial=1)
        return cls(0, lengths, tuple(steps)[::-1] if lengths else ())

    @property
    def is_contiguous(self) -> bool:
        """Whether the elements lie row by row, without gaps."""
        fits = Layout.contiguous(self.shape).strides
        return all(n == 1 or a == b for n, a, b in zip(self.shape, self.strides, fits, strict=True))

    def transposed(self, axes: Sequence[int]) -> Layout:
        """Return the layout with its axes in another order."""
        return Layout(
            self.offset, tuple(self.shape[a] for a in axes), tuple(self.strides[a] for a in axes)
        )

    def broadcast(self, shape: Sequence[int]) -> Layout:
        """Return the layout repeated along axes of length 1 and new axes in front."""
        lead = len(shape) - len(self.shape)
        strides = [0] * lead + [
            0 if n == 1 and m != 1 else s
            for n, m, s in zip(self.shape, tuple(shape)[lead:], self.strides, strict=True)
        ]
        return Layout(self.offset, tuple(shape), tuple(strides))

    def sliced(self, entries: Sequence[int | slice | None]) -> Layout:
        """Return the layout of a part: places, slices, and None for a new axis."""
        offset, shape, strides = self.offset, [], []
        axes = iter(zip(self.shape, self.strides, strict=True))
        for entry in entries:
            if entry is None:
                shape.append(1)
                strides.append(0)
                continue
            length, stride = next(axes)
            if not isinstance(entry, slice):
                offset += stride * (entry % length)
                continue
            places = range(length)[entry]
            offset += stride * places.start if places else 0
            shape.append(len(places))
            strides.append(stride * places.step)
        for length, stride in axes:
            shape.append(length)
            strides.append(stride)
        return Layout(offset, tuple(shape), tuple(strides))

    def reshaped(self, shape: Sequence[int]) -> Layout | None:
        """Return the layout under another shape, or None where the elements would have to move.

        Axes that can be walked as one are merged first; then each group of new axes has to fill
        one of them.
        """
        merged = [[n, s] for n, s in self.merged()]
        strides: list[int] = []
        for n in reversed(tuple(shape)):
            if n == 1:
                strides.append(0)
                continue
            while merged and merged[-1][0] == 1:
                merged.pop()
            if not merged or merged[-1][0] % n:
                return None
            strides.append(merged[-1][1])
            merged[-1][0] //= n
            merged[-1][1] *= n
        return Layout(self.offset, tuple(shape), tuple(reversed(strides)))

    def merged(self) -> list[tuple[int, int]]:
        """Return lengths and strides of the fewest axes that walk the same elements in order."""
        axes: list[tuple[int, int]] = []
        for n, s in zip(self.shape, self.strides, strict=True):
            if n == 1:
                continue
            if axes and axes[-1][1] == n * s:
                axes[-1] = (axes[-1][0] * n, s)
            else:
                axes.append((n, s))
        return axes
