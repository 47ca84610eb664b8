"""Functions of NumPy's that are not ufuncs, on numbers in registers."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.execute.native.elementary import at_least, at_most, choose
from chainrule.execute.native.literals import BOOL
from chainrule.execute.native.values import FUNCTIONS, Number, convert, entered_together
from chainrule.graph import NUMPY

__all__: list[str] = []


def _where(condition: Any, *branches: Any) -> Number:
    if len(branches) != 2:
        raise TypeError("no kernel computes np.where without branches")
    a, b = entered_together(branches, (condition,))
    (c,) = entered_together((condition,), branches)
    return choose(convert(c, BOOL), a, b)


def _clip(
    x: Any,
    a_min: Any = None,
    a_max: Any = None,
    *,
    min: Any = None,  # noqa: A002 - NumPy's words
    max: Any = None,  # noqa: A002
) -> Any:
    low = min if a_min is None else a_min
    high = max if a_max is None else a_max
    x = np.asarray(x)[()] if isinstance(x, int | float) else x  # whose type counts, as in NumPy
    parts = entered_together(tuple(part for part in (x, low, high) if part is not None))
    y = parts.pop(0)
    y = y if low is None else at_least(y, parts.pop(0))
    return y if high is None else at_most(y, parts.pop(0))


def _astype(x: Number, dtype: Any, /, *, copy: bool = True) -> Number:
    del copy
    return x.astype(dtype)


def _result_type(*xs: Any) -> np.dtype[Any]:
    return np.result_type(*[x.dtype if isinstance(x, Number) else x for x in xs])


def _size(x: Number, axis: None = None) -> int:
    del axis
    return x.size


def _full_like(x: Number, fill_value: Any, dtype: Any = None) -> Number:
    dtype = x.dtype if dtype is None else np.dtype(dtype)
    if isinstance(fill_value, Number):
        return convert(fill_value, dtype)
    return convert(x, dtype).same(fill_value)


FUNCTIONS.update(
    {
        np.where: _where,
        np.clip: _clip,
        np.astype: _astype,
        np.result_type: _result_type,
        np.shape: lambda x: x.shape,
        np.ndim: lambda x: x.ndim,
        np.size: _size,
        np.real: lambda x: x,
        np.copy: lambda x: x,
        np.full_like: _full_like,
        np.zeros_like: lambda x, dtype=None: _full_like(x, 0, dtype),
        np.ones_like: lambda x, dtype=None: _full_like(x, 1, dtype),
    }
)

# What ops stand for by being composed, they stand for on numbers in registers too.
FUNCTIONS.update(
    {
        function: NUMPY[function]
        for function in (
            np.around,
            np.divmod,
            np.nan_to_num,
            np.round,
            np.select,
            np.sinc,
            "logit",
            "xlogy",
        )
    }
)
