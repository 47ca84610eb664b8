"""Where the examples of a batch lie in an array: the labels that the analysis of mixing gives.

``GIVEN`` is a constant: nothing of it was computed from arguments. ``SHARED`` was computed from
parameters alone and is the same for all examples. `Along` says that each example has its own
part, along an axis. ``TOTAL`` is a sum over the examples. What is none of these is `Mixed`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chainrule.graph import Op, Spec

__all__ = ["GIVEN", "SHARED", "TOTAL", "Along", "Call", "Label", "Meeting", "Mixed"]


class _Kind(Enum):
    """The labels of arrays in which no axis counts examples."""

    GIVEN = "given"
    SHARED = "shared"
    TOTAL = "total"


GIVEN, SHARED, TOTAL = _Kind.GIVEN, _Kind.SHARED, _Kind.TOTAL


class Along(NamedTuple):
    """Each example has its own part of an array: every ``inner`` entries of an axis.

    With m examples, entry k of the axis belongs to example ``(k // inner) % m``.
    """

    axis: int
    inner: int = 1


class Mixed(NamedTuple):
    """There is no label: examples meet, and how."""

    reason: str


class Meeting(NamedTuple):
    """The first node of a program in which examples meet, and how."""

    node: int
    reason: str


Label = Along | _Kind


@dataclass(frozen=True)
class Call:
    """One call of an op, as far as the analysis sees it.

    Attributes
    ----------
    op, attributes
        What is called.
    specs, labels
        The operands.
    moves
        For each operand, whether it depends on a parameter by a derivative.
    out
        The output.
    count
        m, the number of examples.
    constants
        The numbers of those operands that are constants of the graph.
    """

    op: Op
    attributes: Mapping[str, Any]
    specs: Sequence[Spec]
    labels: Sequence[Label]
    moves: Sequence[bool]
    out: Spec
    count: int
    constants: Mapping[int, Any] = field(default_factory=dict)

    def operands_of(self, *labels: Label) -> list[int]:
        """Return the positions of the operands with one of these labels."""
        return [k for k, label in enumerate(self.labels) if label in labels]

    @property
    def along(self) -> list[tuple[int, Along]]:
        """The operands in which examples have their own parts."""
        return [(k, label) for k, label in enumerate(self.labels) if isinstance(label, Along)]

    def without_examples(self) -> Label:
        """Return the label of an output whose operands have no examples in them."""
        if TOTAL in self.labels:
            return TOTAL
        return SHARED if SHARED in self.labels else GIVEN
