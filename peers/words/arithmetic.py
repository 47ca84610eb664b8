"""Elementwise words: arithmetic, powers, exponentials, angles, rounding, comparisons."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import ops
from peers.words.table import UnsayableError, enter_word, word

NUMPY_WORDS = {
    "abs": np.absolute,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "copysign": np.copysign,
    "cos": np.cos,
    "cosh": np.cosh,
    "deg2rad": np.deg2rad,
    "div/no_rounding_mode": np.divide,
    "eq": np.equal,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "float_power": np.power,
    "floor": np.floor,
    "floor_divide": np.floor_divide,
    "fmax": np.fmax,
    "fmin": np.fmin,
    "fmod": np.fmod,
    "ge": np.greater_equal,
    "gt": np.greater,
    "heaviside": np.heaviside,
    "hypot": np.hypot,
    "isfinite": np.isfinite,
    "isinf": np.isinf,
    "isnan": np.isnan,
    "le": np.less_equal,
    "log": np.log,
    "log10": np.log10,
    "log1p": np.log1p,
    "log2": np.log2,
    "logaddexp": np.logaddexp,
    "logaddexp2": np.logaddexp2,
    "logical_and": np.logical_and,
    "logical_not": np.logical_not,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "lt": np.less,
    "max/binary": np.maximum,
    "maximum": np.maximum,
    "min/binary": np.minimum,
    "minimum": np.minimum,
    "mul": np.multiply,
    "nan_to_num": np.nan_to_num,
    "ne": np.not_equal,
    "neg": np.negative,
    "positive": np.positive,
    "pow": np.power,
    "rad2deg": np.rad2deg,
    "reciprocal": np.reciprocal,
    "remainder": np.remainder,
    "round": np.round,
    "round/decimals_0": np.round,
    "round/decimals_3": np.round,
    "round/decimals_neg_3": np.round,
    "sgn": np.sign,
    "sign": np.sign,
    "signbit": np.signbit,
    "sin": np.sin,
    "sinc": np.sinc,
    "sinh": np.sinh,
    "sqrt": np.sqrt,
    "square": np.square,
    "tan": np.tan,
    "tanh": np.tanh,
    "true_divide": np.divide,
    "trunc": np.trunc,
}

for _name, _function in NUMPY_WORDS.items():
    enter_word(_name, _function)


@word("add")
def add(input: Any, other: Any, *, alpha: float = 1) -> Any:
    return input + alpha * other


@word("sub")
def sub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    return input - alpha * other


@word("rsub")
def rsub(input: Any, other: Any, *, alpha: float = 1) -> Any:
    return other - alpha * input


@word("__radd__")
def radd(input: Any, other: Any) -> Any:
    return other + input


@word("__rsub__")
def reflected_sub(input: Any, other: Any) -> Any:
    return other - input


@word("__rmul__")
def rmul(input: Any, other: Any) -> Any:
    return other * input


@word("__rdiv__")
def rdiv(input: Any, other: Any) -> Any:
    return other / input


@word("__rpow__")
def rpow(input: Any, other: Any) -> Any:
    return other**input


@word("__rmod__")
def rmod(input: Any, other: Any) -> Any:
    return other % input


@word("addcmul")
def addcmul(input: Any, first: Any, second: Any, *, value: float = 1) -> Any:
    return input + value * first * second


@word("addcdiv")
def addcdiv(input: Any, first: Any, second: Any, *, value: float = 1) -> Any:
    return input + value * first / second


@word("div/trunc_rounding")
def divide_towards_zero(input: Any, other: Any, *, rounding_mode: str) -> Any:
    return np.trunc(input / other)


@word("div/floor_rounding")
def divide_downwards(input: Any, other: Any, *, rounding_mode: str) -> Any:
    return np.floor(input / other)


@word("frac")
def frac(input: Any) -> Any:
    return input - np.trunc(input)


@word("rsqrt")
def rsqrt(input: Any) -> Any:
    return 1 / np.sqrt(input)


@word("ldexp")
def ldexp(input: Any, other: Any) -> Any:
    return input * np.power(2.0, other)


@word("lerp")
def lerp(input: Any, end: Any, weight: Any) -> Any:
    return input + weight * (end - input)


@word("xlogy")
def xlogy(input: Any, other: Any) -> Any:
    return ops.xlogy(input, other)


@word("special.xlog1py")
def xlog1py(input: Any, other: Any) -> Any:
    return np.where(input == 0, 0.0, input * np.log1p(other))


@word("special.entr")
def entr(input: Any) -> Any:
    return np.where(input > 0, -input * np.log(np.where(input > 0, input, 1.0)), 0.0) + np.where(
        input < 0, -np.inf, 0.0
    )


@word("logit")
def logit(input: Any, eps: float | None = None) -> Any:
    return ops.logit(input if eps is None else np.clip(input, eps, 1 - eps))


@word("clamp")
def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    return np.clip(input, min, max)


@word("clamp_min")
def clamp_min(input: Any, min: Any) -> Any:
    return np.clip(input, min, None)


@word("clamp_max")
def clamp_max(input: Any, max: Any) -> Any:
    return np.clip(input, None, max)


@word("angle")
def angle(input: Any) -> Any:
    return np.where(input < 0, np.pi, 0.0)


@word("isposinf")
def isposinf(input: Any) -> Any:
    return input == np.inf


@word("isneginf")
def isneginf(input: Any) -> Any:
    return input == -np.inf


@word("erf")
def erf(input: Any) -> Any:
    return ops.erf(input)


@word("erfc")
def erfc(input: Any) -> Any:
    return ops.erfc(input)


@word("special.ndtr")
def ndtr(input: Any) -> Any:
    return 0.5 * (1 + ops.erf(input / np.sqrt(2.0)))


@word("sigmoid")
def sigmoid(input: Any) -> Any:
    return ops.sigmoid(input)


CASTS = {
    "double": np.float64,
    "float": np.float32,
    "half": np.float16,
    "bool": np.bool_,
    "byte": np.uint8,
    "char": np.int8,
    "short": np.int16,
    "int": np.int32,
    "long": np.int64,
}


def cast_to(dtype: Any) -> Any:
    """Return the word that casts to one dtype, wherever PyTorch then lays it out."""
    return lambda input, memory_format=None: input.astype(dtype)


for _name, _dtype in CASTS.items():
    enter_word(_name, cast_to(_dtype))


@word("to")
def to(input: Any, *where: Any, memory_format: Any = None) -> Any:
    kinds = [kind for kind in where if not isinstance(kind, (str, bool))]
    if len(kinds) != 1:
        raise UnsayableError(where)
    kind = kinds[0]
    return input.astype(kind if isinstance(kind, type) else kind.dtype)
