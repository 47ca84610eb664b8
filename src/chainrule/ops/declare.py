"""The decorators by which an op is said, once: ours and a user's alike.

The decorated function is the forward rule. Its positional parameters are the operands (a
``*parameter`` makes the last variadic), its keyword-only parameters the attributes, its name
and docstring those of the op; a trailing underscore, which keeps Python's own names free, is
dropped. Everything else that the house needs to know of the op is an argument here.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from chainrule.errors import DeclarationError, ShapeError
from chainrule.graph import NUMPY, REQUIRED, Case, Each, Op, Written
from chainrule.ops.batching import aligned, looped
from chainrule.ops.kinds import Bilinear, Flat, Linear, Partials, Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chainrule.graph import Derivative, Form

__all__ = [
    "bilinear",
    "broadcast_shape",
    "called_by",
    "elementwise",
    "flat",
    "floating",
    "linear",
    "promoted",
    "rules",
]


class Fields(TypedDict, total=False):
    """What a declaration may say of an op besides its derivative; see `chainrule.graph.Op`."""

    shape: Callable[..., tuple[int, ...]]
    dtype: Callable[..., Any]
    settle: Callable[..., dict[str, Any]]
    flat: tuple[str, ...]
    batch: Callable[..., Any]
    rewrite: Callable[..., Any]
    form: Form
    latex: str
    written: str | Written
    onnx: str | Callable[..., Any] | None
    numpy: Any
    domain: Any
    kink: Callable[..., Any]
    cases: Sequence[Case]
    cost: Callable[..., float]


def promoted(*operands: Any) -> np.dtype[Any]:
    """Return NumPy's common dtype of the operands."""
    return np.result_type(*[x.dtype for x in operands])


def floating(*operands: Any) -> np.dtype[Any]:
    """Return the common dtype of the operands, float64 for integers."""
    dtype = promoted(*operands)
    return dtype if np.issubdtype(dtype, np.inexact) else np.dtype(np.float64)


def broadcast_shape(op: str, *operands: Any) -> tuple[int, ...]:
    """Return the shape that the operands broadcast to."""
    try:
        return np.broadcast_shapes(*[x.shape for x in operands])
    except ValueError:
        shapes = " and ".join(str(list(x.shape)) for x in operands)
        raise ShapeError(
            f"{op} needs shapes that broadcast (equal, or 1, from the last axis on), got {shapes}.",
            advice="Put a length-1 axis where one array is to be repeated: x[:, None].",
        ) from None


def elementwise(*slopes: Any, why: str = "", **fields: Unpack[Fields]) -> Callable[..., Op]:
    """Declare an op that acts on each element alone.

    Parameters
    ----------
    *slopes
        The partial derivative by each operand, in terms of operands and output (named
        ``y``), or a number; none for an op without a derivative.
    why
        Why there is none.
    **fields
        See `chainrule.graph.Op`. Shapes broadcast, the dtype is what NumPy makes of it, and
        batches align by themselves.

    Examples
    --------
    >>> import numpy as np, chainrule
    >>> from chainrule.graph import OPS
    >>> @elementwise(lambda x: 3 * x * x, latex="<x>^3")
    ... def cube(x):
    ...     '''The third power.'''
    ...     return x * x * x
    >>> chainrule.grad(cube)(2.0)
    np.float64(12.0)
    >>> del OPS["cube"]
    """
    derivative: Derivative = Partials(slopes) if slopes else Flat(why)
    fields.setdefault("batch", aligned(0))
    fields.setdefault("form", Each())
    return functools.partial(_declare, derivative=derivative, fields=fields, acts_on_elements=True)


def linear(*transpose: Any, **fields: Unpack[Fields]) -> Callable[..., Op]:
    """Declare an op that is linear in its operands together, with its transpose.

    The transpose takes the cotangent ``g`` to that of an operand, one function for each. Say
    ``shape`` (and ``dtype``, where it is not the operands' common one), and ``batch``.
    """
    return functools.partial(_declare, derivative=Linear(transpose), fields=fields)


def bilinear(*transposes: Any, **fields: Unpack[Fields]) -> Callable[..., Op]:
    """Declare an op that is linear in each operand by itself, with a transpose for each."""
    return functools.partial(_declare, derivative=Bilinear(transposes), fields=fields)


def rules(*, jvp: Any, vjp: Any, note: str = "", **fields: Unpack[Fields]) -> Callable[..., Op]:
    """Declare an op with both modes written out: a function, or a tuple of one an operand."""
    forward, backward = (r if isinstance(r, tuple) else (r,) for r in (jvp, vjp))
    return functools.partial(_declare, derivative=Rules(forward, backward, note), fields=fields)


def flat(why: str, **fields: Unpack[Fields]) -> Callable[..., Op]:
    """Declare an op without a derivative, and say why it has none."""
    return functools.partial(_declare, derivative=Flat(why), fields=fields)


def called_by(*functions: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a plain function of ops stand for NumPy functions on traced values.

    A ufunc's method is named by the pair ``(np.add, "reduce")``; a function of a library that
    is not loaded yet by its name.
    """

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        for key in functions:
            NUMPY[key] = function
        return function

    return enter


def _declare(
    forward: Callable[..., Any],
    *,
    derivative: Derivative,
    fields: Fields,
    acts_on_elements: bool = False,
) -> Op:
    """Make the op, fit its derivative, and enter it into the registry and NumPy's table."""
    parameters = inspect.signature(forward).parameters.values()
    operands = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
    name = forward.__name__.rstrip("_")
    counterparts = fields.get("numpy", ())
    if not isinstance(counterparts, tuple):
        counterparts = (counterparts,)
    if acts_on_elements:
        result = _elementwise_result(forward, name)
        cases = fields.get("cases", _elementwise_cases(len(operands)))
    elif "shape" in fields:
        result = _result(operands, fields)
        cases = fields.get("cases", ())
    else:
        raise DeclarationError(f"{name} does not say the shape of its output.")
    op = Op(
        name=name,
        doc=inspect.getdoc(forward) or "",
        operands=operands,
        variadic=any(p.kind is p.VAR_POSITIONAL for p in parameters),
        attributes={
            p.name: REQUIRED if p.default is p.empty else p.default
            for p in parameters
            if p.kind is p.KEYWORD_ONLY
        },
        forward=forward,
        result=result,
        settle=fields.get("settle"),
        derivative=derivative,
        flat=frozenset(fields.get("flat", ())),
        batch=fields.get("batch", looped),
        rewrite=fields.get("rewrite"),
        form=fields.get("form"),
        latex=fields.get("latex") or rf"\mathrm{{{name}}}({', '.join(f'<{x}>' for x in operands)})",
        written=_written(fields.get("written", Written())),
        onnx=fields.get("onnx"),
        numpy=counterparts,
        domain=_intervals(fields.get("domain", (-2.0, 2.0)), len(operands)),
        kink=fields.get("kink"),
        cases=tuple(cases),
        cost=fields.get("cost", _size),
        differentiable=not isinstance(derivative, Flat),
    )
    op = dataclasses.replace(op, derivative=derivative.bind(op))
    called_by(*counterparts)(op)
    return op.register()


def _result(operands: tuple[str, ...], fields: Fields) -> Callable[..., tuple[Any, Any]]:
    """Return the rule of shape and dtype from the two that were said."""
    shape = fields["shape"]
    flat_places = [k for k, name in enumerate(operands) if name in fields.get("flat", ())]
    voting = fields.get("dtype")

    def result(*xs: Any, **attributes: Any) -> tuple[Any, Any]:
        if voting is not None:
            return shape(*xs, **attributes), np.dtype(voting(*xs, **attributes))
        return shape(*xs, **attributes), promoted(
            *[x for k, x in enumerate(xs) if min(k, len(operands) - 1) not in flat_places] or xs
        )

    return result


def _elementwise_result(
    forward: Callable[..., Any], name: str
) -> Callable[..., tuple[tuple[int, ...], Any]]:
    """Return the rule of an elementwise op: shapes broadcast, the dtype is tried on one number."""

    @functools.lru_cache(maxsize=256)
    def tried(dtypes: tuple[Any, ...], attributes: tuple[tuple[str, Any], ...]) -> Any:
        with np.errstate(all="ignore"):
            return forward(*[dtype.type(1) for dtype in dtypes], **dict(attributes)).dtype

    def result(*xs: Any, **attributes: Any) -> tuple[tuple[int, ...], Any]:
        dtypes = tuple(x.dtype for x in xs)
        return broadcast_shape(name, *xs), tried(dtypes, tuple(attributes.items()))

    return result


def _elementwise_cases(count: int) -> tuple[Case, ...]:
    """Return calls with equal, broadcast and no axes."""
    return (
        Case(*[(2, 3)] * count),
        Case(*[[(4, 1, 3), (2, 1), (3,)][k % 3] for k in range(count)]),
        Case(*[()] * count),
    )


def _intervals(domain: Any, count: int) -> tuple[tuple[float, float], ...]:
    """Return an interval for each operand from one for all, or one each."""
    return tuple(domain) if isinstance(domain[0], tuple) else (tuple(domain),) * count


def _written(said: str | Written) -> Written:
    """Return how formulas write an op from a NumPy expression alone, or all of it."""
    return Written(said) if isinstance(said, str) else said


def _size(*xs: Any, y: Any, **_: Any) -> float:
    return float(y.size)
