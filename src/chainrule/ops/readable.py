"""Calls that read better in a formula than as the rules make them, equal but for rounding.

A rule multiplies a cotangent by a slope: ``g * (1 / b)``. A person writes ``g / b``. Each
function here takes the operands and attributes of a call, values of a trace, and returns what
to write instead, or None; the declaration of the op names it (`chainrule.graph.Written`).
"""

from __future__ import annotations

import numpy as np

from chainrule.graph import OPS
from chainrule.ops.rewriting import is_number, made_by

__all__ = [
    "as_difference",
    "as_false",
    "as_product",
    "as_quotient",
    "as_repeated",
    "as_reversed_difference",
    "as_root_undone",
    "as_sign_of_operand",
    "as_signed_product",
    "as_signed_sum",
    "as_softmax",
    "as_sum",
    "as_turned_product",
    "index_in_latex",
    "number_of",
    "repeated_last",
    "with_axes_kept",
    "with_one_hot",
]


def number_of(x):
    """Return the number that a value without axes is known to be, else None."""
    constant = x.tracer.graph.constants.get(x.index)
    return constant if constant is not None and np.ndim(constant) == 0 else None


def _made_of(x, name):
    """Return all operands of the op that made a value, if it was this one."""
    node = x.tracer.graph.nodes[x.index]
    if node.op is None or node.op.name != name:
        return None
    return [x.tracer.value(i) for i in node.inputs]


def _has_name(x):
    """Return whether a value is written by a name, whatever computes it."""
    return x.tracer.graph.nodes[x.index].op is None


def _truth(x):
    """Return the truth values that a value is, as numbers."""
    made = made_by(x, "cast")
    return made[0] if made and made[0].dtype == np.bool_ else None


def _negated(x):
    """Return what a value is the negative of."""
    made = made_by(x, "negative")
    return made[0] if made else None


def as_product(a, b):
    """Signs and quotients outside, numbers and masks in front, no brackets: g·(p·q) is g·p·q."""
    attempts = (_sign_outside, _quotient_outside, _factors_apart, _number_first, _squared)
    for attempt in (*attempts, _by_logistic, _masked):
        y = attempt(a, b)
        if y is not None:
            return y
    return None


def _sign_outside(a, b):
    if _negated(a) is not None:
        return -(_negated(a) * b)
    if _negated(b) is not None:
        return -(a * _negated(b))
    if is_number(a, -1) or is_number(b, -1):
        return -b if is_number(a, -1) else -a
    return None


def _quotient_outside(a, b):
    quotient = _made_of(a, "divide")
    if quotient:
        above, below = quotient
        share = b / below
        if is_number(above, 1):
            return share
        return above * share if _has_name(share) else (above * b) / below
    quotient = _made_of(b, "divide")
    if not quotient:
        return None
    above, below = quotient
    return a / below if is_number(above, 1) else (a * above) / below


def _factors_apart(a, b):
    factors = _made_of(b, "multiply")
    return (a * factors[0]) * factors[1] if factors else None


def _number_first(a, b):
    return b * a if number_of(b) is not None and number_of(a) is None else None


def _squared(a, b):
    if a.index == b.index:
        return np.square(a)
    factors = _made_of(a, "multiply")
    return factors[0] * np.square(b) if factors and factors[1].index == b.index else None


def _by_logistic(a, b):
    """A product with e^u as one with 1 - s, where s = 1 / (1 + e^u) has a name and is a factor."""
    if made_by(b, "exp") is None:
        return None
    for share in (1 / (1 + b), 1 / (b + 1)):
        if _has_name(share):
            return _with_rest(a, share)
    return None


def _with_rest(a, share):
    """Return a product with 1 - s in place of one of its factors s, None if it has none."""
    if a.index == share.index:
        return 1 - share
    square, factors = made_by(a, "square"), _made_of(a, "multiply")
    if square and square[0].index == share.index:
        return share * (1 - share)
    for k, part in enumerate(factors or []):
        rest = _with_rest(part, share)
        if rest is not None:
            return factors[1 - k] * rest
    return None


def _masked(a, b):
    """Return a product with truth values as they are, and in front."""
    for x, other in ((b, a), (a, b)):
        mask = _truth(x)
        if mask is not None and other.dtype == np.result_type(a.dtype, b.dtype):
            return np.multiply(mask, other)
    if b.dtype == np.bool_ and a.dtype != np.bool_ and number_of(a) is None:
        return b * a
    return None


def as_quotient(a, b):
    """Signs outside, and truth values as they are."""
    if _negated(a) is not None:
        return -(_negated(a) / b)
    above = _made_of(a, "divide")
    if above and number_of(above[1]) is not None and number_of(b) is None:
        return (above[0] / b) / above[1]
    inverse = 1 / b
    if _has_name(inverse):
        return a * inverse
    if above and above[1].index == b.index:
        return above[0] / np.square(b)
    count = made_by(b, "sum")
    if count and _truth(count[0]) is not None:
        total = np.sum(_truth(count[0]), **count[1])
        return a / total if np.result_type(a, total) == b.dtype else None
    mask = _truth(a)
    return mask / b if mask is not None and np.result_type(mask, b) == a.dtype else None


def as_sum(a, b):
    """Differences for negative terms, and twice for what is added to itself."""
    if _negated(b) is not None:
        return a - _negated(b)
    if _negated(a) is not None:
        return b - _negated(a)
    if a.index == b.index:
        return 2 * a
    terms = _made_of(a, "add")
    if terms and terms[1].index == b.index:
        return terms[0] + 2 * b
    return _over_the_same(a, b, np.add)


def _over_the_same(a, b, function):
    """Return a sum or difference of two quotients over the same as one quotient."""
    parts = _made_of(a, "divide"), _made_of(b, "divide")
    if not all(parts):
        return None
    (p, n), (q, m) = parts
    return function(p, q) / n if n.index == m.index else None


def as_false(a, b):
    """False everywhere, where one of two that both have to hold is False."""
    known = [x for x in (a, b) if number_of(x) is not None and not number_of(x)]
    shape = np.broadcast_shapes(a.shape, b.shape)
    return np.broadcast_to(known[0].astype(bool), shape) if known and shape else None


def as_difference(a, b):
    """A sum for what is subtracted with its sign turned."""
    if _negated(b) is not None:
        return a + _negated(b)
    mask = _truth(b)
    if mask is not None and a.dtype == b.dtype:
        return a - mask
    return _over_the_same(a, b, np.subtract)


def as_reversed_difference(x):
    """The negative of a difference, the other way round; of a multiple, by the other factor."""
    terms = _made_of(x, "subtract")
    if terms:
        return terms[1] - terms[0]
    factors = _made_of(x, "multiply")
    if factors and number_of(factors[0]) is not None:
        return -number_of(factors[0]) * factors[1]
    return None


def as_signed_product(a, b):
    """A matrix product with its signs, and the numbers that divide it, outside."""
    for x, y in ((_negated(a), b), (a, _negated(b))):
        if x is not None and y is not None:
            return -(x @ y)
    for x, other in ((a, b), (b, a)):
        if x.shape == (1, 1) and _unrepeated(x).shape == ():
            return _unrepeated(x) * other
        quotient = _made_of(x, "divide")
        if quotient and number_of(quotient[1]) is not None and quotient[0].ndim >= 2:
            above, below = quotient
            return (above @ b if x is a else a @ above) / below
    return None


def as_turned_product(x, axes):
    """A transposed product as one of the transposes, where one of its factors is transposed.

    What divides it stays outside, and a column that is turned is a row.
    """
    made = made_by(x, "reshape")
    if made and made[0].ndim == 1 and axes == (1, 0) and 1 in x.shape:
        return np.reshape(made[0], x.shape[::-1])
    quotient, factors = _made_of(x, "divide"), _made_of(x, "matmul")
    if quotient and number_of(quotient[1]) is not None and quotient[0].shape == x.shape:
        return np.transpose(quotient[0], axes) / quotient[1]
    if factors and axes == (1, 0) and any(made_by(factor, "transpose") for factor in factors):
        return factors[1].T @ factors[0].T
    return None


def as_root_undone(x):
    """What a square root is taken of, where it is squared."""
    made = made_by(x, "sqrt")
    return made[0] if made else None


def as_sign_of_operand(a, b):
    """Whether x is positive, which a rectifier of x is where x is."""
    made = made_by(a, "relu")
    return made[0] > b if made and is_number(b, 0) else None


def as_softmax(x):
    """The exponential of a log-softmax."""
    made = made_by(x, "log_softmax")
    return OPS["softmax"](made[0], **made[1]) if made else None


def _as_ones(x, axis, keepdims):
    """A sum that is 1 each time, as that of one-hot rows is."""
    constant = x.tracer.graph.constants.get(x.index)
    if constant is None or len(axis) != 1:
        return None
    sums = np.sum(constant, axis=axis, keepdims=keepdims)
    if not np.allclose(sums, 1, rtol=0, atol=8 * np.finfo(sums.dtype).eps):
        return None
    return np.broadcast_to(x.tracer.constant(sums.dtype.type(1)), sums.shape)


def as_signed_sum(x, axis, keepdims):
    """A sum with its sign outside, and what all of its terms are divided by."""
    ones = _as_ones(x, axis, keepdims) if x.dtype.kind == "f" else None
    if ones is not None:
        return ones
    if _negated(x) is not None:
        return -np.sum(_negated(x), axis=axis, keepdims=keepdims)
    quotient = _made_of(x, "divide")
    if quotient is None:
        return None
    above, below = quotient
    is_shared = keepdims and below.ndim == x.ndim and all(below.shape[a] == 1 for a in axis)
    if above.shape == x.shape and (below.shape == () or is_shared):
        return np.sum(above, axis=axis, keepdims=keepdims) / below
    return None


def with_axes_kept(x, shape):
    """A sum that keeps its axes, where they are put back after it; a number, repeated at once."""
    if _negated(x) is not None:
        return -np.reshape(_negated(x), shape)
    inner = _unrepeated(x)
    if inner is not x and inner.shape == ():
        return np.broadcast_to(inner, shape)
    made = made_by(x, "sum")
    if made is None or made[1]["keepdims"]:
        return None
    inner, options = made
    kept = tuple(1 if a in options["axis"] else n for a, n in enumerate(inner.shape))
    return np.sum(inner, axis=options["axis"], keepdims=True) if kept == shape else None


def as_repeated(x, shape):
    """What is repeated twice, repeated once; a number, without its axes of length 1."""
    inner = _unrepeated(x)
    return None if inner is x else np.broadcast_to(inner, shape)


def with_one_hot(x, *indices, shape):
    """Numbers put at one place in each row: the product with a mask of those places."""
    if len(indices) != 2 or len(shape) != 2 or x.ndim != 1:
        return None
    rows, columns = indices
    known = x.tracer.graph.constants.get(rows.index)
    in_order = known is not None and np.array_equal(known, np.arange(shape[0]))
    if not in_order or columns.shape != (shape[0],):
        return None
    places = x.tracer.graph.constants.get(columns.index)
    if places is None or np.min(places, initial=0) < 0:  # -1 is a place, and no class
        return None
    return (columns[:, None] == np.arange(shape[1])) * x[:, None]


def index_in_latex(x, index):
    """Return how LaTeX writes a part of an array; new axes are left out, as formulas do."""
    del x
    whole = slice(None)
    return "<x>" if all(i is None or i == whole for i in index) else "<x>_{<index>}"


def _unrepeated(x):
    """Return what a value repeats; a number, where it was given axes of length 1."""
    made = made_by(x, "broadcast_to")
    if made:
        return made[0]
    made = made_by(x, "reshape")
    return made[0] if made and made[0].shape == () else x


def repeated_last(op, xs, attributes, shape):
    """Return an elementwise call of what its operands repeat, repeated after it where need be."""
    inner = [_unrepeated(x) for x in xs]
    if all(a is b for a, b in zip(inner, xs, strict=True)):
        return None
    y = op(*inner, **attributes)
    return y if y.shape == shape else np.broadcast_to(y, shape)
