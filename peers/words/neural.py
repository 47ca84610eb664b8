"""What networks are made of: activations, softmax, normalisations, embeddings, dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule import ops, stop_gradient
from peers.words.axes import at_least_one_axis
from peers.words.table import UnsayableError, enter_word, word

for _name in ("mish", "relu", "relu6", "selu", "silu", "softsign"):
    enter_word(f"nn.functional.{_name}", getattr(ops, _name))


@word("nn.functional.leaky_relu")
def leaky_relu(input: Any, negative_slope: float = 0.01) -> Any:
    return ops.leaky_relu(input, slope=negative_slope)


@word("nn.functional.elu")
def elu(input: Any, alpha: float = 1.0) -> Any:
    return ops.elu(input, alpha=alpha)


@word("nn.functional.celu")
def celu(input: Any, alpha: float = 1.0) -> Any:
    return alpha * ops.elu(input / alpha)


@word("nn.functional.gelu")
def gelu(input: Any, approximate: str = "none") -> Any:
    if approximate == "none":
        return ops.gelu(input)
    return ops.gelu_tanh(input)


@word("nn.functional.softplus")
def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """PyTorch takes the straight line beyond the threshold, and its jump with it."""
    return np.where(input * beta > threshold, input, ops.softplus(beta * input) / beta)


@word("nn.functional.logsigmoid")
def logsigmoid(input: Any) -> Any:
    return ops.log_sigmoid(input)


@word("nn.functional.tanhshrink")
def tanhshrink(input: Any) -> Any:
    return input - np.tanh(input)


@word("nn.functional.hardsigmoid")
def hardsigmoid(input: Any) -> Any:
    return ops.relu6(input + 3) / 6


@word("nn.functional.hardswish")
def hardswish(input: Any) -> Any:
    return input * ops.relu6(input + 3) / 6


@word("nn.functional.hardtanh")
def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    return ops.hard_tanh(input, min_val, max_val)


@word("nn.functional.hardshrink")
def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    return np.where(np.absolute(input) > lambd, input, 0.0)


@word("nn.functional.softshrink")
def softshrink(input: Any, lambd: float = 0.5) -> Any:
    return ops.relu(input - lambd) - ops.relu(-input - lambd)


@word("nn.functional.threshold")
def threshold(input: Any, threshold: float, value: float) -> Any:
    return np.where(input > threshold, input, value)


@word("nn.functional.prelu")
def prelu(input: Any, weight: Any) -> Any:
    """One slope, or one for each channel of the second axis."""
    if weight.size > 1:
        weight = along_channels(weight, input.ndim)
    elif weight.ndim:
        weight = weight[0]
    return np.where(input > 0, input, weight * input)


@word("nn.functional.rrelu")
def rrelu(input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Any:
    if training:
        message = "the slopes are drawn by PyTorch's own generator"
        raise UnsayableError(message)
    return ops.leaky_relu(input, slope=(lower + upper) / 2)


@word("nn.functional.glu")
def glu(input: Any, dim: int = -1) -> Any:
    value, gate = np.split(input, 2, axis=dim)
    return value * ops.sigmoid(gate)


@word("torch.ops.aten._safe_softmax.default")
def safe_softmax(input: Any, dim: int) -> Any:
    """Softmax that gives 0 where everything is minus infinity."""
    empty = np.max(input, axis=dim, keepdims=True) == -np.inf
    return np.where(empty, 0.0, softmax(np.where(empty, 0.0, input), dim))


@word("softmax", "softmax/with_dtype")
def softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    return ops.softmax(at_least_one_axis(input), axis=dim).reshape(input.shape)


@word("log_softmax", "log_softmax/with_dtype")
def log_softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    return ops.log_softmax(at_least_one_axis(input), axis=dim).reshape(input.shape)


@word("nn.functional.softmin", "nn.functional.softmin/with_dtype")
def softmin(input: Any, dim: int, dtype: Any = None) -> Any:
    return softmax(-input, dim)


@word("_softmax_backward_data")
def softmax_backward(cotangent: Any, output: Any, dim: int, dtype: Any) -> Any:
    return output * (cotangent - np.sum(cotangent * output, axis=dim, keepdims=True))


@word("nn.functional.layer_norm")
def layer_norm(
    input: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    return ops.layer_norm(input, weight, bias, axes=tuple(range(-len(shape), 0)), eps=eps)


@word("native_layer_norm")
def native_layer_norm(input: Any, shape: Any, weight: Any, bias: Any, eps: float) -> Any:
    """Normalise over the last axes; mean and inverse deviation come along, without a slope."""
    axis = tuple(range(-len(shape), 0))
    normal, mean, inverse = standardise(input, axis, eps)
    normal = normal if weight is None else normal * weight
    return (
        normal if bias is None else normal + bias,
        stop_gradient(mean),
        stop_gradient(inverse),
    )


def standardise(input: Any, axis: Any, eps: float) -> tuple[Any, Any, Any]:
    """Return the standardised array, its mean and its inverse deviation."""
    mean = np.mean(input, axis=axis, keepdims=True)
    inverse = 1 / np.sqrt(np.var(input, axis=axis, keepdims=True) + eps)
    return (input - mean) * inverse, mean, inverse


@word("nn.functional.rms_norm")
def rms_norm(input: Any, shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    eps = np.finfo(np.float64).eps if eps is None else eps
    axis = tuple(range(-len(shape), 0))
    normal = input / np.sqrt(np.mean(input**2, axis=axis, keepdims=True) + eps)
    return normal if weight is None else normal * weight


@word("nn.functional.group_norm")
def group_norm(
    input: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    apart = np.reshape(
        input, (input.shape[0], groups, -1 if input.size else 1)[: 2 + bool(input.size)]
    )
    normal = standardise(apart, -1, eps)[0] if input.size else apart
    return scaled(np.reshape(normal, input.shape), weight, bias)


@word("native_group_norm")
def native_group_norm(
    input: Any,
    weight: Any,
    bias: Any,
    batch: int,
    channels: int,
    size: int,
    groups: int,
    eps: float,
) -> Any:
    apart = np.reshape(input, (batch, groups, channels * size // groups))
    normal, mean, inverse = standardise(apart, -1, eps)
    output = scaled(np.reshape(normal, input.shape), weight, bias)
    return output, mean[..., 0], inverse[..., 0]


@word("nn.functional.batch_norm")
def batch_norm(
    input: Any,
    mean: Any,
    var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    if input.ndim < 2:
        return input * 1.0
    given = {} if training else {"mean": mean, "variance": var}
    return ops.batch_norm(input, weight, bias, eps=eps, **given)


@word("native_batch_norm", "_native_batch_norm_legit")
def native_batch_norm(input: Any, weight: Any, bias: Any, *rest: Any) -> Any:
    """Normalise each channel by the batch, or by given statistics when not training.

    The batch's statistics come along, without a slope.
    """
    *given, training, _momentum, eps = rest
    if training:
        axis = (0, *range(2, input.ndim))
        normal, mean, inverse = standardise(input, axis, eps)
        return scaled(normal, weight, bias), *(stop_gradient(np.ravel(x)) for x in (mean, inverse))
    mean, var = (along_channels(x, input.ndim) for x in given)
    normal = (input - mean) / np.sqrt(var + eps)
    return scaled(normal, weight, bias), np.zeros(0), np.zeros(0)


@word("_batch_norm_with_update")
def batch_norm_with_update(input: Any, weight: Any, bias: Any, *rest: Any) -> Any:
    mean, var, momentum, eps = rest
    return native_batch_norm(input, weight, bias, mean, var, True, momentum, eps)


@word("nn.functional.instance_norm")
def instance_norm(
    input: Any, *, weight: Any = None, bias: Any = None, eps: float = 1e-5, **running: Any
) -> Any:
    normal, _, _ = standardise(input, tuple(range(2, input.ndim)), eps)
    return scaled(normal, weight, bias)


def scaled(normal: Any, weight: Any, bias: Any) -> Any:
    """Scale and shift each channel of the second axis."""
    normal = normal if weight is None else normal * along_channels(weight, normal.ndim)
    return normal if bias is None else normal + along_channels(bias, normal.ndim)


def along_channels(vector: Any, ndim: int) -> Any:
    """Lay a vector along the second axis of an array, or the only one."""
    return np.reshape(vector, (1, -1, *(1,) * (ndim - 2)) if ndim > 1 else (-1,))


@word("nn.functional.local_response_norm")
def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """Divide by the mean square of the neighbouring channels, zeros beyond the ends."""
    if input.size == 0:
        return input * 1.0
    widths = [(0, 0)] * input.ndim
    widths[1] = (size // 2, (size - 1) // 2)
    square = np.pad(input**2, widths)
    channels = input.shape[1]
    near = sum(square[:, shift : shift + channels] for shift in range(size)) / size
    return input / (k + alpha * near) ** beta


@word("nn.functional.embedding")
def embedding(input: Any, indices: Any) -> Any:
    return ops.embedding(input, indices)


@word(
    "nn.functional.dropout",
    "nn.functional.dropout2d",
    "nn.functional.dropout3d",
    "nn.functional.alpha_dropout",
)
def dropout(input: Any, p: float = 0.5, training: bool = True) -> Any:
    if not training or p == 0:
        return input * 1.0
    if p == 1:
        return input * 0.0
    message = "what is dropped is drawn by PyTorch's own generator"
    raise UnsayableError(message)


@word("native_dropout_backward")
def dropout_backward(cotangent: Any, mask: Any, scale: float) -> Any:
    return cotangent * mask * scale
