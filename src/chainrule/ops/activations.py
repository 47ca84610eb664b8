"""Activations of neural networks, the functions behind them, and two losses on logits."""

from __future__ import annotations

import importlib
import math
from typing import Any

import numpy as np

from chainrule.errors import InputTypeError, ShapeError
from chainrule.graph import Case, Composite
from chainrule.ops.declare import called_by, elementwise, floating, rules
from chainrule.ops.shapes import one_axis

_ROOT_HALF = math.sqrt(0.5)
_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
_ONE_OVER_ROOT_TWO_PI = 1 / math.sqrt(2 * math.pi)
_SELU_ALPHA = 1.6732632423543772  # Klambauer et al., Self-Normalizing Neural Networks, 2017
_SELU_SCALE = 1.0507009873554805


def _special(name, x):
    """Apply a function of SciPy, which is loaded when it is first needed."""
    return getattr(importlib.import_module("scipy.special"), name)(x)


@elementwise(lambda y: y * (1 - y), latex=r"\sigma(<x>)", onnx="Sigmoid", numpy="expit")
def sigmoid(x):
    """The logistic function 1 / (1 + e^-x), without overflow."""
    x = x if hasattr(x, "dtype") else np.asarray(x)
    decay = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + decay), decay / (1 + decay))[()]


@called_by("logit")
def logit(x):
    """The inverse of the logistic function."""
    return np.log(x / (1 - x))


@elementwise(lambda x: sigmoid(x), latex=r"\log(1 + e^{<x>})", onnx="Softplus")
def softplus(x):
    """The logarithm of 1 + e^x, without overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


@elementwise(
    lambda x: _TWO_OVER_ROOT_PI * np.exp(-x * x),
    latex=r"\mathrm{erf}(<x>)",
    onnx="Erf",
    numpy="erf",
)
def erf(x):
    """The error function."""
    return _special("erf", x)


@elementwise(
    lambda x: -_TWO_OVER_ROOT_PI * np.exp(-x * x),
    latex=r"\mathrm{erfc}(<x>)",
    onnx=lambda e, x: e.Sub(e.number(1, x), e.Erf(x)),
    numpy="erfc",
)
def erfc(x):
    """One less the error function, exact where it is small."""
    return _special("erfc", x)


@called_by("xlogy")
def xlogy(x, y):
    """X log y, which is 0 where x is 0, also where y has no finite logarithm."""
    has_slope = np.logical_or(np.logical_and(y > 0, y < np.inf), np.isnan(y))
    is_zero = np.logical_and(x == 0, np.logical_not(has_slope))
    return np.where(is_zero, 0, x * np.log(np.where(is_zero, 1, y)))


def _leaky_relu_in_onnx(e, x, slope):
    if e.holds(x, slope):
        return e.LeakyRelu(x, alpha=float(slope))
    return e.Where(e.Greater(x, e.number(0, x)), x, e.Mul(x, e.number(slope, x)))


@elementwise(
    lambda x, slope: np.where(x > 0, x.dtype.type(1), x.dtype.type(slope)),
    latex=r"\max(<x>, \alpha <x>)",
    onnx=_leaky_relu_in_onnx,
    kink=lambda x, slope=0.01: np.abs(x),
)
def leaky_relu(x, *, slope=0.01):
    """The number itself, and a small multiple of it below 0; at 0 its slope is the small one."""
    return np.where(np.greater(x, 0), x, x * slope)[()]


def _elu_in_onnx(e, x, alpha):
    if e.holds(x, alpha):
        return e.Elu(x, alpha=float(alpha))
    zero, one = e.number(0, x), e.number(1, x)
    below = e.Mul(e.number(alpha, x), e.Sub(e.Exp(e.Min(x, zero)), one))
    return e.Where(e.Greater(x, zero), x, below)


@elementwise(
    lambda x, y, alpha: np.where(x >= 0, x.dtype.type(1), y + alpha),
    latex=r"\mathrm{elu}(<x>)",
    onnx=_elu_in_onnx,
    kink=lambda x, alpha=1.0: np.abs(x),
)
def elu(x, *, alpha=1.0):
    """The number itself, and α(e^x - 1) below 0; at 0 its slope is 1."""
    return np.where(np.greater(x, 0), x, alpha * np.expm1(np.minimum(x, 0)))[()]


def _selu_in_onnx(e, x):
    if e.holds(x, _SELU_ALPHA, _SELU_SCALE):
        return e.Selu(x, alpha=_SELU_ALPHA, gamma=_SELU_SCALE)
    return e.Mul(e.number(_SELU_SCALE, x), _elu_in_onnx(e, x, _SELU_ALPHA))


@elementwise(
    lambda x, y: np.where(
        x > 0, x.dtype.type(_SELU_SCALE), y + x.dtype.type(_SELU_SCALE * _SELU_ALPHA)
    ),
    latex=r"\mathrm{selu}(<x>)",
    onnx=_selu_in_onnx,
    kink=np.abs,
)
def selu(x):
    """The exponential unit whose two constants keep mean 0 and variance 1 through layers."""
    return _SELU_SCALE * np.where(np.greater(x, 0), x, _SELU_ALPHA * np.expm1(np.minimum(x, 0)))[()]


@elementwise(
    lambda x: 0.5 * (1 + erf(x * _ROOT_HALF)) + x * _ONE_OVER_ROOT_TWO_PI * np.exp(-0.5 * x * x),
    latex=r"<x> \Phi(<x>)",
    onnx=lambda e, x: e.Mul(
        e.Mul(x, e.number(0.5, x)),
        e.Add(e.Erf(e.Mul(x, e.number(_ROOT_HALF, x))), e.number(1, x)),
    ),
)
def gelu(x):
    """The number times the normal distribution's probability of less, exactly."""
    return 0.5 * x * (1 + _special("erf", x * _ROOT_HALF))


def gelu_tanh(x):
    """The approximation of `gelu` by a hyperbolic tangent."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))


def _silu_slope(x, y):
    share = sigmoid(x)
    return share + y * (1 - share)


@elementwise(
    _silu_slope,
    latex=r"<x> \sigma(<x>)",
    onnx=lambda e, x: e.Mul(x, e.Sigmoid(x)),
)
def silu(x):
    """The number times its logistic function."""
    return x * sigmoid(x)


@elementwise(
    lambda x: np.logical_and(x > 0, x < 6).astype(x.dtype),
    latex=r"\min(\max(0, <x>), 6)",
    onnx=lambda e, x: e.Min(e.Relu(x), e.number(6, x)),
    domain=(-2.0, 8.0),
    kink=lambda x: np.minimum(np.abs(x), np.abs(x - 6)),
)
def relu6(x):
    """The rectifier cut off at 6; its slope at both ends is taken as 0."""
    return np.clip(x, 0, 6)


def hard_tanh(x, low=-1.0, high=1.0):
    """The number between two bounds."""
    return np.clip(x, low, high)


def softsign(x):
    """The number over one more than its size."""
    return x / (1 + np.abs(x))


def log_sigmoid(x):
    """The logarithm of the logistic function, without overflow."""
    return -softplus(-x)


def mish(x):
    """The number times the hyperbolic tangent of its softplus."""
    return x * np.tanh(softplus(x))


# ---------------------------------------------------------------- along an axis


def _along_axis(op, n, xs, batched, attributes):
    return op(*xs, axis=attributes["axis"] + 1)


_ALONG: dict[str, Any] = {
    "shape": lambda x, axis: x.shape,
    "dtype": lambda x, axis: floating(x),
    "settle": lambda x, axis: {"axis": one_axis(axis, x.ndim)},
    "batch": _along_axis,
    "cases": [Case((2, 3)), Case((2, 3, 2), axis=1)],
}


def _top(x, axis):
    """Return the largest along an axis, which may be taken out of exponents; 0 of nothing."""
    return np.max(x, axis=axis, keepdims=True) if np.size(x) else 0


def _softmax_rule(d, y, axis):
    return y * (d - np.sum(d * y, axis=axis, keepdims=True))


@rules(
    jvp=lambda dx, y, axis: _softmax_rule(dx, y, axis),
    vjp=lambda g, y, axis: _softmax_rule(g, y, axis),
    note="its Jacobian is diag(y) - y yᵀ, which is symmetric",
    form=Composite(),
    latex=r"\mathrm{softmax}(<x>)",
    onnx=lambda e, x, axis: e.Softmax(x, axis=axis),
    **_ALONG,
)
def softmax(x, *, axis=-1):
    """Exponentials over their sum along an axis; the largest is taken out first."""
    weights = np.exp(x - _top(x, axis))
    return weights / np.sum(weights, axis=axis, keepdims=True)


@rules(
    jvp=lambda dx, y, axis: dx - np.sum(np.exp(y) * dx, axis=axis, keepdims=True),
    vjp=lambda g, y, axis: g - np.exp(y) * np.sum(g, axis=axis, keepdims=True),
    note="its Jacobian is I - 1 softmax(x)ᵀ",
    form=Composite(),
    latex=r"\log \mathrm{softmax}(<x>)",
    onnx=lambda e, x, axis: e.LogSoftmax(x, axis=axis),
    **_ALONG,
)
def log_softmax(x, *, axis=-1):
    """The logarithm of the softmax along an axis, without overflow or loss."""
    shifted = x - _top(x, axis)
    return shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True))


# ---------------------------------------------------------------- losses on logits


def _losses_shape(logits, labels):
    if logits.ndim != labels.ndim + 1 or logits.shape[:-1] != labels.shape:
        raise ShapeError(
            f"softmax_cross_entropy needs a label for each row of logits, got logits "
            f"{list(logits.shape)} and labels {list(labels.shape)}.",
            advice="Labels are class numbers; for one-hot rows use np.argmax(labels, axis=-1).",
        )
    if labels.dtype.kind not in "iu":
        raise InputTypeError(
            "softmax_cross_entropy needs labels that are integers.",
            advice="Labels are class numbers, 0 … C - 1: labels.astype(int).",
        )
    return labels.shape


def _excess(logits, labels):
    """Return softmax(logits) - one_hot(labels)."""
    classes = np.arange(logits.shape[-1])
    return softmax(logits) - (np.expand_dims(labels, -1) == classes).astype(logits.dtype)


def _loss_by_parts(logits, labels):
    """Return the loss by parts that it shares with its derivative."""
    top = np.max(logits, axis=-1, keepdims=True)
    total = np.log(np.sum(np.exp(logits - top), axis=-1, keepdims=True)) + top
    is_label = np.expand_dims(labels, -1) == np.arange(logits.shape[-1])
    return np.squeeze(total, -1) - np.sum(np.where(is_label, logits, 0), axis=-1)


def _losses_batch(op, n, xs, batched, attributes):
    return op(
        *[x if b else np.broadcast_to(x, (n, *x.shape)) for x, b in zip(xs, batched, strict=True)]
    )


@rules(
    jvp=lambda dlogits, logits, labels: np.sum(_excess(logits, labels) * dlogits, axis=-1),
    vjp=lambda g, logits, labels: np.expand_dims(g, -1) * _excess(logits, labels),
    note="its slope is softmax less one-hot",
    form=Composite(
        lambda logits, labels: _loss_by_parts(logits, labels),
        holds=lambda logits, labels: np.logical_and(labels >= 0, labels < logits.shape[-1]),
    ),
    shape=_losses_shape,
    dtype=lambda logits, labels: floating(logits),
    flat=("labels",),
    batch=_losses_batch,
    latex=r"-\log \mathrm{softmax}(<logits>)_{<labels>}",
    onnx=lambda e, logits, labels: e.Neg(
        e.GatherND(e.LogSoftmax(logits, axis=-1), e.places([labels]), batch_dims=len(labels.shape))
    ),
    cases=[
        Case((4, 3), np.array([0, 2, 1, 2])),
        Case((2, 2, 3), np.array([[0, 1], [2, 0]])),
    ],
)
def softmax_cross_entropy(logits, labels):
    """The loss -log softmax(logits)[label] of each row, without overflow.

    Parameters
    ----------
    logits
        Shape (…, C): unnormalised scores of C classes.
    labels
        Shape (…): the class of each row, 0 … C - 1.
    """
    if np.min(labels, initial=0) < 0:
        raise IndexError(f"label {np.min(labels)} is no class")  # NumPy would count from the end
    top = np.max(logits, axis=-1, keepdims=True)
    total = np.log(np.sum(np.exp(logits - top), axis=-1, keepdims=True)) + top
    taken = np.take_along_axis(logits, np.expand_dims(np.asarray(labels), -1), axis=-1)
    return np.squeeze(total - taken, -1)[()]


@elementwise(
    lambda logits, targets: sigmoid(logits) - targets,
    lambda logits: -logits,
    latex=r"\log(1 + e^{<logits>}) - <targets> \cdot <logits>",
    onnx=lambda e, logits, targets: e.Sub(e.Softplus(logits), e.Mul(targets, logits)),
    domain=((-2.0, 2.0), (0.0, 1.0)),
)
def binary_cross_entropy(logits, targets):
    """The loss -t log σ(x) - (1 - t) log(1 - σ(x)) of each logit x, without overflow.

    Parameters
    ----------
    logits
        Any shape: unnormalised log-odds.
    targets
        A shape that broadcasts: probabilities, 0 … 1.
    """
    rest = np.log1p(np.exp(-np.abs(logits)))
    return np.maximum(logits, 0) + rest - targets * logits
