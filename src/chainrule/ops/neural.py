"""Parts of neural networks that are plain functions of ops."""

from __future__ import annotations

import math

import numpy as np

from chainrule.errors import SettingError, ShapeError
from chainrule.graph import Case, Counted, describe
from chainrule.ops.declare import elementwise, flat
from chainrule.ops.indexing import take


def _mix(x):
    """Scramble 64-bit integers (Steele, Lea and Flood, SplitMix, 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


_STRIDE = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio, odd: its multiples fill the range evenly."""


def _number_at(place, key):
    """Return the number at row-major places for a key, a sequence of integers."""
    state = _STRIDE
    for word in key:
        state = _mix(state + word.astype(np.uint64) * _STRIDE)
    bits = _mix(state + (place + np.uint64(1)) * _STRIDE) >> np.uint64(11)
    return bits.astype(np.float64) * 2.0**-53


def _draw_batch(op, n, xs, batched, attributes):
    del batched  # only keys that differ by example bring a batch here
    return np.stack([op(xs[0][i], **attributes) for i in range(n)])


@flat(
    "random numbers do not depend on anything but their key",
    shape=lambda key, shape: shape,
    dtype=lambda key, shape: np.float64,
    settle=lambda key, shape: {"shape": tuple(shape)},
    flat=("key",),
    batch=_draw_batch,
    form=Counted(lambda place, key, shape: _number_at(place, key)),
    latex=r"u_{<key>}",
    onnx=None,
    cases=[Case(np.array([1, 2]), shape=(3, 4)), Case(np.array([7]), shape=())],
)
def uniform(key, *, shape):
    """Numbers in [0, 1) that follow from a key and their position alone.

    Parameters
    ----------
    key
        Integers, such as a seed, a step and a site: other keys give other numbers.
    shape
        The shape of the result. A number depends on its row-major position, so a run repeats
        whatever the threads.
    """
    with np.errstate(over="ignore"):
        places = np.arange(math.prod(shape), dtype=np.uint64)
        return _number_at(places, np.ravel(key)).reshape(shape)[()]


@elementwise(
    why="scrambled bits change with every bit of what they are made of, and by no rate",
    flat=("state", "word"),
    latex=r"\mathrm{hash}(<state>, <word>)",
    onnx=None,
    cases=[
        Case(np.array([[3], [-7]]), np.array([0, 1, 2])),
        Case(np.array(5), np.array([2**62, -(2**63)])),
        Case(np.array(1), np.array(2)),
    ],
)
def scrambled(state, word):
    """Whole numbers that follow from two others and look like chance.

    Where `uniform` numbers its draws by their places, these follow from what stands there:
    ``scrambled(scrambled(seed, row), column)`` is the same for a row wherever it lies.

    Parameters
    ----------
    state, word
        Whole numbers; the result is a state for further words.
    """
    with np.errstate(over="ignore"):
        words = (word.astype(np.uint64) + np.uint64(1)) * _STRIDE
        return _mix(state.astype(np.uint64) + words).astype(np.int64)


def dropout(x, key, p=0.5):
    """The array with a random part of it set to 0 and the rest scaled up to keep its mean.

    Parameters
    ----------
    x
        Any shape.
    key
        Integers that name the draw (`uniform`): the same key drops the same entries.
    p
        The probability of dropping an entry, 0 ≤ p < 1.

    Examples
    --------
    >>> dropout(np.ones(6), key=[0, 1], p=0.5)
    array([0., 2., 0., 2., 2., 0.])
    """
    if not 0 <= p < 1:
        raise SettingError(f"dropout needs 0 <= p < 1, got {p}.")
    if p == 0:
        return x
    kept = uniform(key if hasattr(key, "dtype") else np.asarray(key), shape=x.shape) >= p
    return np.where(kept, x * (1 / (1 - p)), 0)


def layer_norm(x, weight=None, bias=None, axes=(-1,), eps=1e-5):
    """Each example with mean 0 and variance 1 over the axes, then scaled and shifted.

    y = (x - mean) / √(variance + ε) · weight + bias (Ba, Kiros and Hinton, 2016).
    """
    distance = x - np.mean(x, axis=axes, keepdims=True)
    variance = np.mean(distance * distance, axis=axes, keepdims=True)
    y = distance / np.sqrt(variance + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def batch_norm(x, weight=None, bias=None, mean=None, variance=None, eps=1e-5):
    """Each feature with mean 0 and variance 1 over the examples, then scaled and shifted.

    Parameters
    ----------
    x
        Shape (N, C) or (N, C, …): features along the second axis.
    weight, bias
        Shape (C,).
    mean, variance
        Shape (C,): statistics to use in place of the batch's own, as in evaluation.
    """
    for part in (weight, bias, mean, variance):
        if part is not None and np.shape(part) != (x.shape[1],):
            raise ShapeError(
                f"batch_norm needs weight, bias, mean and variance of shape [{x.shape[1]}], a "
                f"number for each feature of {describe(x)}, got {list(np.shape(part))}."
            )
    axes = (0, *range(2, x.ndim))
    along = [1] * x.ndim
    along[1] = x.shape[1]
    mean = np.mean(x, axis=axes) if mean is None else mean
    distance = x - np.reshape(mean, along)
    if variance is None:
        variance = np.mean(distance * distance, axis=axes)
    y = distance / np.sqrt(np.reshape(variance, along) + eps)
    y = y if weight is None else y * np.reshape(weight, along)
    return y if bias is None else y + np.reshape(bias, along)


def embedding(table, indices):
    """The rows of a table at the indices: shape (…,) gives (…, width)."""
    return take(table, indices, axis=0)


def _pair(x):
    return (x, x) if isinstance(x, int) else tuple(x)


def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    """The patches of images as columns, so that a convolution is a matrix product.

    Parameters
    ----------
    x
        Shape (N, C, H, W).
    kernel_size, dilation, padding, stride
        A number, or one for each of H and W.

    Returns
    -------
    array
        Shape (N, C · kernel height · kernel width, patches). Entries that lie in several
        patches stand in several columns, and their slopes add up.
    """
    if x.ndim != 4:
        raise ShapeError(f"unfold needs images of shape (N, C, H, W), got {list(x.shape)}.")
    kernel, dilation = _pair(kernel_size), _pair(dilation)
    padding, stride = _pair(padding), _pair(stride)
    x = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    rows, columns = (
        np.arange(0, n - d * (k - 1), s) + d * np.arange(k)[:, None]
        for n, k, d, s in zip(x.shape[2:], kernel, dilation, stride, strict=True)
    )
    if rows.size == 0 or columns.size == 0:
        raise ShapeError(f"unfold: a kernel of {kernel} does not fit into {list(x.shape[2:])}.")
    patches = x[:, :, rows[:, None, :, None], columns[None, :, None, :]]
    count = rows.shape[1] * columns.shape[1]
    return np.reshape(patches, (x.shape[0], x.shape[1] * kernel[0] * kernel[1], count))
