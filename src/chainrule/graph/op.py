"""One word of the language: what it computes, and everything that follows from it.

An `Op` is a record. Declarations in `chainrule.ops` make them, one each; every other part of
the house reads the record and knows no op by name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from chainrule.errors import (
    AxisError,
    ChainruleError,
    DeclarationError,
    InputTypeError,
    ShapeError,
)
from chainrule.graph.graph import REAL, Spec, describe
from chainrule.graph.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from chainrule.graph.form import Form
    from chainrule.graph.graph import Where

__all__ = ["OPS", "REQUIRED", "Case", "Derivative", "Op", "Written"]

OPS: dict[str, Op] = {}
"""Every op by name."""

REQUIRED: Any = object()
"""The default of an attribute that has none."""


def registered(name: str) -> Op:
    """Return the op of a name."""
    return OPS[name]


class Derivative(ABC):
    """How an op is differentiated: both modes, and the words for it, from one statement."""

    kind: ClassVar[str]

    @abstractmethod
    def pull(
        self, op: Op, k: int, g: Any, xs: Sequence[Any], y: Any, attributes: Mapping[str, Any]
    ) -> Any:
        """Return the cotangent of operand k for the cotangent g of the output y.

        It may still have the shape that broadcasting gave it: the walker sums it back.
        """

    @abstractmethod
    def push(
        self, op: Op, dxs: Sequence[Any], xs: Sequence[Any], y: Any, attributes: Mapping[str, Any]
    ) -> Any:
        """Return the tangent of y for the tangents of the operands: None is zero, but not all."""

    @abstractmethod
    def bind(self, op: Op) -> Derivative:
        """Return the derivative with its rules fitted to the operands of the op."""


class Case:
    """One example call of an op, from which its tests are generated.

    An operand is a shape (filled from the op's domain), an array, or a function of a random
    generator that returns an array.
    """

    __slots__ = ("attributes", "operands")

    def __init__(self, *operands: Any, **attributes: Any) -> None:
        self.operands = operands
        self.attributes = attributes


@dataclass(frozen=True)
class Written:
    """How a formula writes a call of an op; each part has a default that always holds.

    Attributes
    ----------
    source
        A NumPy expression with ``<operand>`` and ``<attribute>`` in it, ``<a> @ <b>``, or
        ``(operands, attributes) → template``. If none: NumPy's function of that name, or else
        ``ops.name(…)``.
    latex
        ``(operands, attributes) → template``, where it depends on them; if none, the op's own.
    simpler
        ``(operands, attributes) → value``: a call that reads better and is equal but for
        rounding, or None.
    folded
        Whether a call on numbers is written as its result: 1 / 32 says more than 0.03125.
    """

    source: str | Callable[..., str] | None = None
    latex: Callable[..., str] | None = None
    simpler: Callable[..., Any] | None = None
    folded: bool = True


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Op:
    """One word of the language.

    Attributes
    ----------
    name, doc
        From the function that was declared.
    operands
        The names of the arrays it takes, in order; the last may be variadic.
    attributes
        The names and defaults of what else it takes.
    forward
        The NumPy function that computes it.
    result
        ``(operands, attributes) → (shape, dtype)``, from the operands' shapes and dtypes.
    settle
        ``(operands, attributes) → attributes`` in the one form that rules and graphs see.
    derivative
        How it is differentiated.
    flat
        The operands that get no derivative: indices, masks, labels.
    batch
        ``(op, n, operands, batched, attributes) → output``: the op over n examples at once,
        where some operands have examples along their first axis.
    rewrite
        A simpler form of a call, or None: ``(operands, attributes) → value``.
    form
        How a compiled plan may compute it (`chainrule.graph.form`); None where NumPy has to.
    latex
        A template with ``<operand>`` in it.
    onnx
        How to say it in ONNX: an op type, or a function of an emitter; None if it cannot be.
    numpy
        The NumPy functions that it stands for.
    domain
        The interval that test numbers for each operand are drawn from.
    kink
        The distance of a call from the nearest point without a derivative.
    cases
        Example calls.
    cost
        ``(operands, output, attributes) → floating-point operations``.
    written
        How a formula writes it (`Written`).
    """

    name: str
    doc: str
    operands: tuple[str, ...]
    variadic: bool
    attributes: Mapping[str, Any]
    forward: Callable[..., Any]
    result: Callable[..., tuple[tuple[int, ...], Any]]
    settle: Callable[..., dict[str, Any]] | None
    derivative: Derivative
    flat: frozenset[str]
    batch: Callable[..., Any]
    rewrite: Callable[..., Any] | None
    latex: str
    onnx: str | Callable[..., Any] | None
    numpy: tuple[Any, ...]
    domain: tuple[tuple[float, float], ...]
    kink: Callable[..., Any] | None
    cases: tuple[Case, ...]
    cost: Callable[..., float]
    form: Form | None = None
    written: Written = Written()
    differentiable: bool = True

    def __reduce__(self) -> Any:
        """Let copies and pickles of graphs refer to the op that is registered."""
        if OPS.get(self.name) is self:
            return registered, (self.name,)
        return super().__reduce__()

    def __post_init__(self) -> None:
        """Let ``help(op)`` show the documentation of the op."""
        object.__setattr__(self, "__doc__", self.doc)

    def __call__(self, *operands: Any, **attributes: Any) -> Any:
        """Compute on arrays, record on traced values.

        Attributes may be given by position after the operands, as NumPy's functions take them.
        """
        tracer = None
        for x in operands:
            if type(x) is Value and (tracer is None or x.tracer.level > tracer.level):
                tracer = x.tracer
        if len(operands) > len(self.operands) and not self.variadic:
            operands, attributes = self._by_position(operands, attributes)
        if tracer is None:
            return self.forward(*operands, **attributes)
        return tracer.record(self, operands, attributes)

    def _by_position(
        self, operands: tuple[Any, ...], attributes: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        count = len(self.operands)
        extra = dict(zip(self.attributes, operands[count:], strict=False))
        if len(operands) - count > len(self.attributes) or extra.keys() & attributes.keys():
            raise TypeError(f"{self.name} takes {self.signature}, got {len(operands)} arguments")
        return operands[:count], {**extra, **attributes}

    def complete(self, operands: Sequence[Any], attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Return all attributes of a call in their settled form."""
        if not attributes.keys() <= self.attributes.keys():
            unknown = ", ".join(attributes.keys() - self.attributes.keys())
            raise TypeError(f"{self.name} takes {self.signature}; it has no {unknown}")
        complete = {**self.attributes, **attributes}
        missing = [name for name, x in complete.items() if x is REQUIRED]
        if missing or (len(operands) != len(self.operands) and not self.variadic):
            raise TypeError(f"{self.name} takes {self.signature}, got {len(operands)} operands")
        for name, x in complete.items():
            if type(x) is Value and np.issubdtype(x.dtype, np.inexact):
                raise InputTypeError(
                    f"{self.name} takes {name} as a plain number, which has no derivative.",
                    f"{name}: {describe(x)}",
                    advice="Write it with operations: np.where(x > 0, x, slope * x) has one.",
                )
            if isinstance(x, np.generic):  # else its type would take part in promotion
                complete[name] = x.item()
        return complete if self.settle is None else self.settle(*operands, **complete)

    def infer(self, operands: Sequence[Any], attributes: Mapping[str, Any]) -> Spec:
        """Return the shape and dtype of the output from those of the operands."""
        return Spec(*self.result(*operands, **attributes))

    def is_flat(self, k: int) -> bool:
        """Return whether operand k gets no derivative."""
        return self.operands[min(k, len(self.operands) - 1)] in self.flat

    def blame(
        self,
        error: Exception,
        operands: Sequence[Any],
        attributes: Mapping[str, Any],
        origins: Sequence[str],
        where: Where,
    ) -> Exception:
        """Return an error of ours for a call that NumPy or a shape rule refused.

        What says nothing about the operands is returned as it is: a call with the wrong number
        of arguments is Python's to report, a singular matrix NumPy's.
        """
        if not isinstance(error, ChainruleError):
            error = self._clearer(error, operands, attributes)
        if isinstance(error, ChainruleError):
            if error.facts or not isinstance(error, ShapeError | InputTypeError):
                return error
        elif isinstance(error, TypeError | np.linalg.LinAlgError):
            return error
        names = self.operand_names(len(operands))
        facts = [
            f"{name}: {describe(x)}{origin}"
            for name, x, origin in zip(names, operands, origins, strict=False)
        ]
        facts += [f"{name}={x!r}" for name, x in attributes.items()]
        if isinstance(error, ChainruleError):
            return error.located(*facts, where=str(where))
        kind = AxisError if isinstance(error, IndexError) else ShapeError
        return kind(f"{self.name}: {str(error).strip()}.", *facts, where=str(where))

    def operand_names(self, count: int) -> list[str]:
        """Return the names of the operands of a call: ``xs[0]``, ``xs[1]`` for a variadic one."""
        if not self.variadic:
            return list(self.operands)
        *fixed, rest = self.operands
        return [*fixed, *[f"{rest}[{k}]" for k in range(count - len(fixed))]]

    def _clearer(
        self, error: Exception, operands: Sequence[Any], attributes: Mapping[str, Any]
    ) -> Exception:
        """Return what we have against a call ourselves, or else the error that there is."""
        if isinstance(error, TypeError) and not all(x.dtype.kind in REAL for x in operands):
            return InputTypeError(f"{self.name} takes arrays of real numbers alone.")
        return self._shape_error(operands, attributes) or error

    def _shape_error(
        self, operands: Sequence[Any], attributes: Mapping[str, Any]
    ) -> ChainruleError | None:
        """Return what the shape rule has against a call, which is clearer than NumPy's words."""
        try:
            self.infer(operands, attributes)
        except (ShapeError, InputTypeError) as error:
            return error
        except (ValueError, TypeError, IndexError, KeyError):
            return None
        return None

    @property
    def parameters(self) -> dict[str, Any]:
        """The names that a call may use, operands first."""
        return {**dict.fromkeys(self.operands, REQUIRED), **self.attributes}

    @property
    def signature(self) -> str:
        """The call as text."""
        operands = list(self.operands)
        if self.variadic:
            operands[-1] = f"*{operands[-1]}"
        named = [n if x is REQUIRED else f"{n}={x!r}" for n, x in self.attributes.items()]
        return f"({', '.join([*operands, *named])})"

    def __repr__(self) -> str:
        return f"<op {self.name}{self.signature}>"

    def register(self) -> Op:
        """Enter the op into the registry, under a name that must be free."""
        if self.name in OPS:
            raise DeclarationError(
                f"there is an op {self.name!r} already: {OPS[self.name]!r}.",
                advice="Give yours another name.",
            )
        OPS[self.name] = self
        return self
