"""A number in the making: what stands for an array while a function is traced.

A `Value` is one node of one trace. It has a shape and a dtype, NumPy's operators, methods
and indexing, and answers NumPy's own functions; each of these records a node. What records
it is found in `NUMPY`, the table from a NumPy function to the callable that stands for it,
which the declarations of the ops fill: the operators below are the NumPy functions that they
abbreviate, and nothing about any op is known here.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from chainrule.errors import (
    AxisError,
    BranchError,
    ConversionError,
    InPlaceError,
    LeakError,
    NoOpError,
)
from chainrule.graph.dispatch import NUMPY, Traced, call_function, call_ufunc
from chainrule.graph.graph import Spec, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chainrule.graph.trace import Tracer

__all__ = ["Value", "cannot_be_written"]


class Value(Traced):
    """A number in the making: one node of one trace.

    Attributes
    ----------
    number
        The array, when the function is traced on concrete arrays; a `Spec` when on shapes; a
        `Value` of the outer trace when transforms are nested.
    active
        Whether it depends on an argument that is differentiated.
    """

    __slots__ = ("active", "index", "number", "tracer")
    __hash__ = None  # type: ignore[assignment]  # == compares elements, as on arrays

    def __init__(self, tracer: Tracer, index: int, number: Any, active: bool) -> None:
        self.tracer = tracer
        self.index = index
        self.number = number
        self.active = active

    # ------------------------------------------------------------------ what it is

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self.number.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the entries."""
        return self.number.dtype  # type: ignore[no-any-return]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.number.shape)

    @property
    def size(self) -> int:
        """The number of entries."""
        return self.number.size  # type: ignore[no-any-return]

    @property
    def T(self) -> Any:
        """The array with its axes in reverse order."""
        return NUMPY[np.transpose](self)

    @property
    def mT(self) -> Any:
        """The array with its last two axes swapped."""
        return NUMPY[np.swapaxes](self, -1, -2)

    def __repr__(self) -> str:
        number = "" if type(self.concrete) is Spec else f", {self.concrete}"
        return f"Value({self.dtype}{list(self.shape)}{number})"

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a value without axes")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    @property
    def real(self) -> Any:
        """The array itself: numbers here are real."""
        return self

    # ------------------------------------------------------------------ NumPy's protocols

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        return call_ufunc(ufunc, method, inputs, options)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, options: Any
    ) -> Any:
        return call_function(function, args, options)

    def __array__(self, *_: Any, **__: Any) -> Any:
        if not (self.active and np.issubdtype(self.dtype, np.inexact)):
            return np.asarray(self.ask("a conversion to a plain array"))
        self.require_open()
        raise ConversionError(
            "a traced value cannot become a plain array: it would lose its derivative.",
            describe(self),
            advice="np.array([u, v]) is np.stack([u, v]); a[v] is ops.take(a, v, axis=0);\n"
            "a.dot(v) is np.dot(a, v) or a @ v; a[i] = v is np.where(mask, v, a);\n"
            "for a number to print, return it as auxiliary output (has_aux=True).",
        )

    # ------------------------------------------------------------------ Python's questions

    @property
    def concrete(self) -> Any:
        """The array behind all levels, or a `Spec` where only the shape is known."""
        number = self.number
        while type(number) is Value:
            number = number.number
        return number

    def ask(self, question: str) -> Any:
        """Return the number for a question whose answer decides what is traced next."""
        self.require_open()
        level: Any = self
        while type(level) is Value:
            level.tracer.graph.specialised = True
            level = level.number
        if type(level) is Spec:
            raise BranchError(
                f"{question} needs a number, and only a shape is known while this is traced.",
                describe(self),
            )
        return level

    def require_open(self) -> None:
        """Raise if the trace that this value belongs to has ended."""
        if not self.tracer.is_open:
            raise LeakError(
                "a value is used after the trace that made it has ended.", describe(self)
            )

    def _number(self, kind: Callable[[Any], Any]) -> Any:
        """Return a Python number for what asks for one, unless a derivative would be lost."""
        self.require_open()
        is_spec = type(self.concrete) is Spec
        if self.active and not is_spec and np.issubdtype(self.dtype, np.inexact):
            raise ConversionError(
                f"{kind.__name__}() of a traced value would lose its derivative.",
                describe(self),
            )
        return kind(self.ask(f"{kind.__name__}()"))

    def __bool__(self) -> bool:
        return bool(self.ask("a branch"))

    def __float__(self) -> float:
        return self._number(float)  # type: ignore[no-any-return]

    def __int__(self) -> int:
        return self._number(int)  # type: ignore[no-any-return]

    def __index__(self) -> int:
        number = self.ask("an index")
        if np.issubdtype(self.dtype, np.inexact):
            raise ConversionError(
                "a traced value cannot be an index or a length: it is not an integer.",
                describe(self),
                advice="For the integer below it, without derivative: int(stop_gradient(x)).",
            )
        return operator.index(number)

    def item(self) -> Any:
        """Return the one number as Python's, unless a derivative would be lost."""
        return self._number(float if np.issubdtype(self.dtype, np.inexact) else int)

    def tolist(self) -> Any:
        """Return a list of Python's numbers, unless a derivative would be lost."""
        return [x.tolist() for x in self] if self.shape else self.item()

    def __format__(self, spec: str) -> str:
        number = self.concrete
        return repr(self) if type(number) is Spec else format(number, spec)

    def __round__(self, decimals: int = 0) -> Any:
        return NUMPY[np.round](self, decimals)

    def __contains__(self, x: Any) -> bool:
        return bool(np.any(self == x))

    # ------------------------------------------------------------------ indexing

    def __getitem__(self, index: Any) -> Any:
        if type(index) is int and self.shape and not -len(self) <= index < len(self):
            # IndexError ends the old protocol of iteration, so it has to be raised here
            raise AxisError(
                f"there is no place {index} on an axis of length {len(self)}.", describe(self)
            )
        return NUMPY[operator.getitem](self, index)

    def __setitem__(self, index: Any, x: Any) -> None:
        self.tracer.write(self, index, x)

    def __delitem__(self, index: Any) -> NoReturn:
        raise cannot_be_written(self)

    # ------------------------------------------------------------------ methods

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        """As `numpy.ndarray.reshape`: the shape as one tuple or as several integers."""
        return NUMPY[np.reshape](self, shape[0] if len(shape) == 1 else shape, order=order)

    def transpose(self, *axes: Any) -> Any:
        """As `numpy.ndarray.transpose`: the axes as one tuple or as several integers."""
        return NUMPY[np.transpose](self, (axes[0] if len(axes) == 1 else axes) or None)

    def flatten(self, order: str = "C") -> Any:
        """As `numpy.ndarray.flatten`."""
        return NUMPY[np.ravel](self, order=order)

    def astype(self, dtype: Any, **_: Any) -> Any:
        """As `numpy.ndarray.astype`."""
        return NUMPY[np.astype](self, dtype)

    def fill(self, x: Any) -> None:
        """As `numpy.ndarray.fill`, where the trace allows writing: see `__setitem__`."""
        self[...] = x

    def sort(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse to be written to."""
        raise cannot_be_written(self)

    put = partition = resize = setfield = sort


def _operator(function: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the method for an operator and the one for its reflection."""

    def forward(self: Value, other: Any) -> Any:
        return NUMPY[function](self, other)

    def reflected(self: Value, other: Any) -> Any:
        return NUMPY[function](other, self)

    return forward, reflected


def _update(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method for an operator that writes to its left side, as ``a += b`` does.

    Where the trace forbids writing, Python makes a new value by the operator without it.
    """

    def update(self: Value, other: Any) -> Any:
        return self.tracer.update(self, NUMPY[function], other)

    return update


def cannot_be_written(value: Value) -> InPlaceError:
    """Return the error for a write to a value whose trace does not follow writes."""
    return InPlaceError(
        "a traced value cannot be written to: the backward pass may need what was there.",
        describe(value),
    )


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method of an array that a NumPy function of the same name also is."""

    def method(self: Value, *args: Any, **options: Any) -> Any:
        return function(self, *args, **options)

    method.__doc__ = f"As `numpy.ndarray.{function.__name__}`."
    return method


for _name, _function in {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "pow": np.power,
    "divmod": np.divmod,
    "matmul": np.matmul,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}.items():
    _forward, _reflected = _operator(_function)
    setattr(Value, f"__{_name}__", _forward)
    setattr(Value, f"__r{_name}__", _reflected)
    if _name != "divmod":
        setattr(Value, f"__i{_name}__", _update(_function))
for _name, _function in {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}.items():
    setattr(Value, f"__{_name}__", _operator(_function)[0])
for _name, _function in {
    "neg": np.negative,
    "pos": np.positive,
    "abs": np.absolute,
    "invert": np.invert,
}.items():
    setattr(Value, f"__{_name}__", lambda self, _f=_function: NUMPY[_f](self))
_METHODS = """
    all any argmax argmin argsort clip compress copy cumprod cumsum diagonal dot max mean min
    nonzero prod ravel repeat round squeeze std sum swapaxes take trace var
"""
for _name in _METHODS.split():
    setattr(Value, _name, _method(getattr(np, _name)))


def _absent(name: str) -> property:
    """Return a property of arrays that values lack, as an error that says so."""

    def refuse(self: Value) -> NoReturn:
        raise NoOpError(
            f"a traced value has no {name}: it is not an array in memory.",
            describe(self),
            advice="Use a NumPy function that is traced, or stop_gradient(x) for plain numbers.",
        )

    return property(refuse, doc="Refuse: see `chainrule.errors.NoOpError`.")


for _name in dir(np.ndarray):
    if not _name.startswith("_") and not hasattr(Value, _name):
        setattr(Value, _name, _absent(_name))
