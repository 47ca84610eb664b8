"""Every error that chainrule raises on purpose, each with a code and a page of its own.

An error answers four questions in plain values: what happened, with which values, what was
expected, and what to do. The code leads to ``docs/errors/<code>.md``. The tree::

    ChainruleError
    ├── MissingExtraError      CR001  an optional package is not installed
    ├── TraceError
    │   ├── BranchError        CR101  Python asks for a number that is not there yet
    │   ├── NoOpError          CR102  a NumPy function that has no op
    │   ├── InPlaceError       CR103  an in-place write to (or from) a traced value
    │   ├── ConversionError    CR104  a traced value turned into a plain array or number
    │   ├── LeakError          CR105  a value used after its trace has ended
    │   └── OutputError        CR106  a function returned what is not a number
    ├── ShapeError             CR201  shapes that do not fit
    │   ├── AxisError          CR202  an axis that is not there
    │   └── NotScalarError     CR203  a gradient asked of what is not one number
    ├── InputTypeError         CR301  an input that has no derivative
    ├── StructureError         CR302  arguments whose structure does not fit
    ├── GraphError             CR401  a graph that breaks its own rules
    │   ├── NotationError      CR402  text that is not a graph
    │   └── SpecialisedError   CR403  a graph that holds for other inputs only
    ├── DeclarationError       CR501  an op that is declared wrongly
    └── GradientError          CR601  a derivative that differs from finite differences
"""

from __future__ import annotations

from typing import ClassVar, Self

__all__ = [
    "AxisError",
    "BranchError",
    "ChainruleError",
    "ConversionError",
    "DeclarationError",
    "GradientError",
    "GraphError",
    "InPlaceError",
    "InputTypeError",
    "LeakError",
    "MissingExtraError",
    "NoOpError",
    "NotScalarError",
    "NotationError",
    "OutputError",
    "ShapeError",
    "SpecialisedError",
    "StructureError",
    "TraceError",
]


class ChainruleError(Exception):
    """The root of the tree: a sentence, the facts under it, and the way out.

    Parameters
    ----------
    what
        One sentence: what happened and what was expected.
    *facts
        The values involved, a line each.
    advice
        What to do.
    """

    code: ClassVar[str] = ""

    def __init__(self, what: str, *facts: str, advice: str = "") -> None:
        self.what = what
        self.facts = facts
        self.advice = advice
        super().__init__(what)

    def __str__(self) -> str:
        """Return the code, the sentence, the facts and the advice, a line each."""
        head = f"{self.code} {type(self).__name__}: {self.what}".lstrip()
        return "\n  ".join([head, *self.facts, *self.advice.splitlines()])

    def located(self, *facts: str) -> Self:
        """Return the same error with more facts under it."""
        return type(self)(self.what, *self.facts, *facts, advice=self.advice)


class MissingExtraError(ChainruleError, ImportError):
    """An optional package is needed and not installed."""

    code = "CR001"


class TraceError(ChainruleError, TypeError):
    """A function did something that a trace cannot record."""


class BranchError(TraceError):
    """Python asked for a number where only a shape is known."""

    code = "CR101"


class NoOpError(TraceError):
    """A NumPy function was called for which there is no op."""

    code = "CR102"


class InPlaceError(TraceError):
    """A traced value would be written to, or written into a plain array."""

    code = "CR103"


class ConversionError(TraceError):
    """A traced value would lose its derivative by becoming a plain number or array."""

    code = "CR104"


class LeakError(TraceError):
    """A value is used after the trace that made it has ended."""

    code = "CR105"


class OutputError(TraceError):
    """A function returned something that is not a number or an array."""

    code = "CR106"


class ShapeError(ChainruleError, ValueError):
    """Shapes that do not fit each other."""

    code = "CR201"


class AxisError(ShapeError, IndexError):
    """An axis or index outside the array."""

    code = "CR202"


class NotScalarError(ShapeError):
    """The gradient of something that is not one number."""

    code = "CR203"


class InputTypeError(ChainruleError, TypeError):
    """An input with respect to which nothing can be differentiated."""

    code = "CR301"


class StructureError(ChainruleError, TypeError, ValueError):
    """Arguments whose containers, number or shapes do not fit."""

    code = "CR302"


class GraphError(ChainruleError):
    """A graph that breaks its own rules."""

    code = "CR401"


class NotationError(GraphError, ValueError):
    """Text that is not the notation of a graph."""

    code = "CR402"


class SpecialisedError(GraphError):
    """A graph that was traced for other numbers than it is asked for."""

    code = "CR403"


class DeclarationError(ChainruleError, TypeError):
    """A declaration of an op that does not hold together."""

    code = "CR501"


class GradientError(ChainruleError, AssertionError):
    """A derivative that differs from finite differences."""

    code = "CR601"
