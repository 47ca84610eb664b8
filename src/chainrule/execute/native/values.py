"""A value in a register, on which NumPy code is called to write machine code.

The forward rule of an op is NumPy code. Called on a `Number` it computes nothing: every ufunc,
operator and ``np.where`` in it reaches the number through NumPy's protocols and appends LLVM
instructions. So each op has a kernel by its forward rule alone, one that a user declares too.
What NumPy decides (which dtype a mixture gets) is asked of NumPy; what no instruction can say
(a branch on a value, an array of it) is a TypeError, and such a rule stays a NumPy step.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self

import numpy as np
from llvmlite import ir

from chainrule.execute.native.literals import (
    BOOL,
    TYPES,
    Literal,
    cast,
    literal,
    register_type,
    vector_type,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "FUNCTIONS",
    "SPECIAL",
    "UFUNCS",
    "Exact",
    "Number",
    "call_ufunc",
    "constant",
    "convert",
    "entered_together",
    "splat",
]

UFUNCS: dict[Any, Callable[..., Number]] = {}
"""What emits a ufunc of NumPy, on numbers of the dtypes of its loop and of one width."""

SPECIAL: dict[str, Callable[..., Number]] = {}
"""The same for SciPy's, by name, because SciPy is loaded by what needs it and not here."""

FUNCTIONS: dict[Any, Callable[..., Any]] = {}
"""What emits a function of NumPy, or a ufunc composed of others, with its arguments as given."""


class Number:
    """A number in the making: a scalar, or a vector of lanes, while code is being generated.

    Attributes
    ----------
    builder
        What instructions are appended to.
    value
        The register: a scalar, or ``<width x T>``.
    dtype
        NumPy's dtype of each lane: truth values (one bit in a register, a byte in memory),
        integers, float32 or float64.
    width
        1 for a scalar, else the number of lanes.

    Examples
    --------
    >>> function = ir.Function(ir.Module(), ir.FunctionType(ir.FloatType(), [ir.FloatType()]), "f")
    >>> builder = ir.IRBuilder(function.append_basic_block())
    >>> x = Number(builder, function.args[0], np.dtype(np.float32))
    >>> y = np.where(x > 0, x, 0.1 * x)
    >>> y.dtype, builder.block.instructions[-1].opname
    (dtype('float32'), 'select')
    """

    __slots__ = ("builder", "dtype", "value", "width")

    flags: ClassVar[tuple[str, ...]] = ("contract",)
    """The liberties of its arithmetic: a product may be fused with a sum, and no more."""

    shape = ()
    ndim = 0
    size = 1

    builder: ir.IRBuilder
    value: ir.Value
    dtype: np.dtype[Any]
    width: int

    def __init__(
        self, builder: ir.IRBuilder, value: ir.Value, dtype: np.dtype[Any], width: int = 1
    ) -> None:
        self.builder = builder
        self.value = value
        self.dtype = dtype
        self.width = width

    def like(self, value: ir.Value, dtype: np.dtype[Any] | None = None) -> Self:
        """Return another value of the same width, and of the same dtype if none is said."""
        return type(self)(self.builder, value, self.dtype if dtype is None else dtype, self.width)

    def same(self, x: Any) -> Self:
        """Return a constant of the same dtype and width."""
        return self.like(literal(x, self.dtype, self.width))

    @property
    def known(self) -> Any:
        """The number itself where it is a constant in all lanes, else None."""
        return getattr(self.value, "number", None)

    # ------------------------------------------------------------------ NumPy's protocols

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Emit a ufunc; what is not known here is NumPy's to refuse."""
        if method != "__call__" or options:
            return NotImplemented
        return _emitted(ufunc, inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        """Emit a function of NumPy that is known here; another is NumPy's to refuse."""
        call = FUNCTIONS.get(function)
        return NotImplemented if call is None else call(*args, **options)

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        """Refuse: there is no array."""
        del dtype, copy
        raise _no_value("made an array")

    # ------------------------------------------------------------------ what arrays have

    def astype(self, dtype: Any, **_: Any) -> Number:
        """Return the number in another dtype, as NumPy converts it."""
        return convert(self, np.dtype(dtype))

    def __getitem__(self, key: Any) -> Self:
        """Return the number: it has no axes."""
        if key in ((), ...):
            return self
        raise _no_value(f"indexed by {key!r}")

    @property
    def real(self) -> Self:
        """The number itself."""
        return self

    def copy(self) -> Self:
        """Return the number: registers are not written twice."""
        return self

    def clip(self, min: Any = None, max: Any = None) -> Any:  # noqa: A002 - NumPy's words
        """Return the number between two bounds."""
        return np.clip(self, min, max)

    def __bool__(self) -> NoReturn:
        raise _no_value("branched on: np.where(x > 0, a, b) says `a if x > 0 else b`")

    def __float__(self) -> NoReturn:
        raise _no_value("made a Python float")

    def __int__(self) -> NoReturn:
        raise _no_value("made a Python int")

    def __index__(self) -> NoReturn:
        raise _no_value("used as an index")

    def __len__(self) -> NoReturn:
        raise _no_value("counted")

    def __iter__(self) -> NoReturn:
        raise _no_value("iterated over")

    def __repr__(self) -> str:
        return f"<{self.dtype} x {self.width}: {self.value.get_reference()}>"

    __hash__ = None  # type: ignore[assignment]  # as arrays, which it compares like

    # ------------------------------------------------------------------ operators

    def __add__(self, other: Any) -> Number:
        return call_ufunc(np.add, (self, other))

    def __radd__(self, other: Any) -> Number:
        return call_ufunc(np.add, (other, self))

    def __sub__(self, other: Any) -> Number:
        return call_ufunc(np.subtract, (self, other))

    def __rsub__(self, other: Any) -> Number:
        return call_ufunc(np.subtract, (other, self))

    def __mul__(self, other: Any) -> Number:
        return call_ufunc(np.multiply, (self, other))

    def __rmul__(self, other: Any) -> Number:
        return call_ufunc(np.multiply, (other, self))

    def __truediv__(self, other: Any) -> Number:
        return call_ufunc(np.divide, (self, other))

    def __rtruediv__(self, other: Any) -> Number:
        return call_ufunc(np.divide, (other, self))

    def __floordiv__(self, other: Any) -> Number:
        return call_ufunc(np.floor_divide, (self, other))

    def __rfloordiv__(self, other: Any) -> Number:
        return call_ufunc(np.floor_divide, (other, self))

    def __mod__(self, other: Any) -> Number:
        return call_ufunc(np.remainder, (self, other))

    def __rmod__(self, other: Any) -> Number:
        return call_ufunc(np.remainder, (other, self))

    def __pow__(self, other: Any) -> Number:
        return call_ufunc(np.power, (self, other))

    def __rpow__(self, other: Any) -> Number:
        return call_ufunc(np.power, (other, self))

    def __and__(self, other: Any) -> Number:
        return call_ufunc(np.bitwise_and, (self, other))

    def __rand__(self, other: Any) -> Number:
        return call_ufunc(np.bitwise_and, (other, self))

    def __or__(self, other: Any) -> Number:
        return call_ufunc(np.bitwise_or, (self, other))

    def __ror__(self, other: Any) -> Number:
        return call_ufunc(np.bitwise_or, (other, self))

    def __xor__(self, other: Any) -> Number:
        return call_ufunc(np.bitwise_xor, (self, other))

    def __rxor__(self, other: Any) -> Number:
        return call_ufunc(np.bitwise_xor, (other, self))

    def __lshift__(self, other: Any) -> Number:
        return call_ufunc(np.left_shift, (self, other))

    def __rlshift__(self, other: Any) -> Number:
        return call_ufunc(np.left_shift, (other, self))

    def __rshift__(self, other: Any) -> Number:
        return call_ufunc(np.right_shift, (self, other))

    def __rrshift__(self, other: Any) -> Number:
        return call_ufunc(np.right_shift, (other, self))

    def __lt__(self, other: Any) -> Number:
        return call_ufunc(np.less, (self, other))

    def __le__(self, other: Any) -> Number:
        return call_ufunc(np.less_equal, (self, other))

    def __gt__(self, other: Any) -> Number:
        return call_ufunc(np.greater, (self, other))

    def __ge__(self, other: Any) -> Number:
        return call_ufunc(np.greater_equal, (self, other))

    def __eq__(self, other: object) -> Number:  # type: ignore[override]
        return call_ufunc(np.equal, (self, other))

    def __ne__(self, other: object) -> Number:  # type: ignore[override]
        return call_ufunc(np.not_equal, (self, other))

    def __neg__(self) -> Number:
        return call_ufunc(np.negative, (self,))

    def __pos__(self) -> Number:
        return call_ufunc(np.positive, (self,))

    def __abs__(self) -> Number:
        return call_ufunc(np.absolute, (self,))

    def __invert__(self) -> Number:
        return call_ufunc(np.invert, (self,))


class Exact(Number):
    """A number whose sums and products are rounded one by one, as compensated formulas need."""

    __slots__ = ()

    flags: ClassVar[tuple[str, ...]] = ()


def call_ufunc(ufunc: Any, inputs: tuple[Any, ...]) -> Number:
    """Emit a ufunc on numbers, and on scalars of Python's and NumPy's beside them."""
    number: Number = _emitted(ufunc, inputs)
    return number


def _emitted(ufunc: Any, inputs: tuple[Any, ...]) -> Any:
    emit = UFUNCS.get(ufunc) or SPECIAL.get(_name_in_scipy(ufunc))
    if emit is None:
        composition = FUNCTIONS.get(ufunc) or FUNCTIONS.get(_name_in_scipy(ufunc))
        return NotImplemented if composition is None else composition(*inputs)
    dtypes = _loop(ufunc, tuple([_kind(x) for x in inputs]))
    first = next(x for x in inputs if isinstance(x, Number))
    width = max([x.width for x in inputs if isinstance(x, Number)])
    return emit(
        *[_entered(x, dtype, width, first) for x, dtype in zip(inputs, dtypes, strict=False)]
    )


def _name_in_scipy(function: Any) -> str:
    """Return the name of a ufunc of SciPy's, which has no module by which to tell it."""
    name = getattr(function, "__name__", "")
    return name if isinstance(function, np.ufunc) and not hasattr(np, name) else ""


def _kind(x: Any) -> Any:
    """Return what promotion goes by: a dtype, or int or float for Python's scalars."""
    if isinstance(x, Number | np.generic):
        return x.dtype
    if isinstance(x, bool):
        return BOOL
    if isinstance(x, int | float):
        return int if isinstance(x, int) else float
    if isinstance(x, np.ndarray) and x.ndim == 0:
        return x.dtype
    raise TypeError(f"a kernel takes numbers and scalars, got {type(x).__name__}")


@functools.cache
def _loop(ufunc: Any, kinds: tuple[Any, ...]) -> tuple[np.dtype[Any], ...]:
    """Return the dtypes by which NumPy would compute, or raise its TypeError."""
    dtypes = ufunc.resolve_dtypes((*kinds, *[None] * ufunc.nout))
    unknown = [dtype for dtype in dtypes if dtype not in TYPES]
    if unknown:
        raise TypeError(f"{ufunc.__name__} computes in {unknown[0]} here, which no kernel does")
    return tuple(dtypes)


def _entered(x: Any, dtype: np.dtype[Any], width: int, like: Number) -> Number:
    """Return an operand as a number of a dtype and width."""
    if isinstance(x, Number):
        return splat(convert(x, dtype), width)
    if isinstance(x, np.ndarray | np.generic):
        x = x.astype(dtype).item()
    return type(like)(like.builder, literal(x, dtype, width), dtype, width)


def entered_together(xs: tuple[Any, ...], beside: tuple[Any, ...] = ()) -> list[Number]:
    """Return operands as numbers of their common dtype, as wide as what stands beside them."""
    kinds = [_kind(x) for x in xs]
    dtype = np.result_type(*[kind(0) if kind in {int, float} else kind for kind in kinds])
    if dtype not in TYPES:
        raise TypeError(f"the common dtype is {dtype} here, which no kernel computes in")
    numbers = [x for x in (*xs, *beside) if isinstance(x, Number)]
    width = max([x.width for x in numbers])
    return [_entered(x, dtype, width, numbers[0]) for x in xs]


def _no_value(what: str) -> TypeError:
    return TypeError(f"a number of a kernel has no value while code is generated: it was {what}")


# -------------------------------------------------------------------------- constants, other types


def constant(builder: ir.IRBuilder, x: Any, dtype: np.dtype[Any]) -> Number:
    """Return a scalar constant; it spreads over lanes where it meets a vector."""
    return Number(builder, literal(x, dtype), dtype)


def splat(x: Number, width: int) -> Number:
    """Return a scalar in all lanes of a vector; a vector of that width as it is."""
    if x.width == width:
        return x
    if x.width != 1:
        raise TypeError(f"lanes do not fit: {x.width} and {width}")
    if isinstance(x.value, Literal):
        value = literal(x.value.number, x.dtype, width)
    else:
        vector = register_type(x.dtype, width)
        zero = ir.Constant(ir.IntType(32), 0)
        first = x.builder.insert_element(ir.Constant(vector, ir.Undefined), x.value, zero)
        places = ir.Constant(vector_type(ir.IntType(32), width), None)
        value = x.builder.shuffle_vector(first, first, places)
    return type(x)(x.builder, value, x.dtype, width)


def convert(x: Number, dtype: np.dtype[Any]) -> Number:
    """Return a number in another dtype, as NumPy's casts on this machine make it."""
    if x.dtype == dtype:
        return x
    if dtype not in TYPES:
        raise TypeError(f"no kernel computes in {dtype}")
    if isinstance(x.value, Literal) and not (x.dtype.kind == "f" and dtype.kind in "iu"):
        return x.like(literal(x.value.number, dtype, x.width), dtype)
    return x.like(cast(x.builder, x.value, (x.dtype, dtype), x.width), dtype)
