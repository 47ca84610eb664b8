"""The same numbers at other places: padded, flipped, rolled, repeated."""

from __future__ import annotations

import numpy as np

from chainrule.errors import NoOpError
from chainrule.graph import Case, Placed, Viewed
from chainrule.ops.batching import shifted, single
from chainrule.ops.declare import called_by, linear
from chainrule.ops.joining import join
from chainrule.ops.shapes import axes_of, broadcast_to, one_axis, reshape


def _padded(x, width):
    return tuple(before + n + after for n, (before, after) in zip(x.shape, width, strict=True))


@linear(
    lambda g, x, width: g[tuple(slice(b, b + n) for n, (b, _) in zip(x.shape, width, strict=True))],
    shape=_padded,
    settle=lambda x, width: {
        "width": tuple((int(b), int(a)) for b, a in np.broadcast_to(width, (x.ndim, 2)))
    },
    batch=single(lambda n, x, width: zero_pad(x, width=((0, 0), *width))),
    rewrite=lambda x, width: None if any(map(any, width)) else x,
    form=Placed(
        lambda at, xs, width: [
            at.sliced(tuple(slice(b, b + n) for n, (b, _) in zip(xs[0].shape, width, strict=True)))
        ],
        covers=False,
    ),
    latex=r"\mathrm{pad}(<x>)",
    written="np.pad(<x>, <width>)",
    onnx=lambda e, x, width: e.Pad(x, e.integers([b for b, _ in width] + [a for _, a in width])),
    cases=[Case((2, 3), width=((1, 0), (0, 2)))],
)
def zero_pad(x, *, width):
    """Zeros before and after the numbers along each axis."""
    return np.pad(x, width)


@called_by(np.pad)
def pad(x, pad_width, mode="constant", constant_values=0):
    """Numbers before and after along each axis: constant, or those at or near the edge."""
    width = [(int(b), int(a)) for b, a in np.broadcast_to(pad_width, (x.ndim, 2))]
    if mode == "constant":
        padded = zero_pad(x, width=width)
        if type(constant_values) in {int, float} and constant_values == 0:
            return padded
        inside = np.pad(np.ones(x.shape, bool), width)
        if np.ndim(constant_values):
            rim = np.zeros(x.shape, x.dtype)
            constant_values = np.pad(rim, width, constant_values=constant_values)
        return np.where(inside, padded, constant_values)
    if mode not in {"edge", "reflect", "symmetric", "wrap"}:
        raise NoOpError(f"np.pad is traced without the mode {mode!r}.")
    for axis, width_of_axis in enumerate(width):
        places = np.pad(np.arange(x.shape[axis]), width_of_axis, mode=mode)
        x = np.take(x, places, axis=axis) if any(width_of_axis) else x
    return x


@linear(
    lambda g, axis: flip(g, axis=axis),
    shape=lambda x, axis: x.shape,
    settle=lambda x, axis: {"axis": axes_of(axis, x.ndim)},
    batch=shifted(),
    form=Viewed(
        lambda at, axis: at.sliced(
            tuple(slice(None, None, -1 if a in axis else 1) for a in range(len(at.shape)))
        )
    ),
    latex=r"\mathrm{flip}(<x>)",
    onnx=lambda e, x, axis: e.Slice(
        x,
        e.integers([-1] * len(axis)),
        e.integers([-(2**31)] * len(axis)),
        e.integers(axis),
        e.integers([-1] * len(axis)),
    ),
    numpy=np.flip,
    cases=[Case((2, 3)), Case((2, 3), axis=(1,))],
)
def flip(x, *, axis=None):
    """The numbers in reverse order along the axes."""
    return np.flip(x, axis)


@called_by(np.fliplr)
def fliplr(x):
    """The columns in reverse order."""
    return flip(x, axis=1)


@called_by(np.flipud)
def flipud(x):
    """The rows in reverse order."""
    return flip(x, axis=0)


@called_by(np.rot90)
def rot90(x, k=1, axes=(0, 1)):
    """The plane of two axes, turned by quarters."""
    a, b = axes
    for _ in range(k % 4):
        x = np.flip(np.swapaxes(x, a, b), a)
    return x


@called_by(np.roll)
def roll(x, shift, axis=None):
    """The numbers moved along the axes; those that leave at the end enter at the start."""
    if axis is None:
        return reshape(roll(np.ravel(x), shift, 0), shape=x.shape)
    for by, a in zip(*np.broadcast_arrays(np.atleast_1d(shift), np.atleast_1d(axis)), strict=True):
        axis = one_axis(a, x.ndim)
        n = x.shape[axis]
        if n and by % n:
            first = (slice(None),) * axis
            cut = int(n - by % n)
            x = join(x[(*first, slice(cut, None))], x[(*first, slice(None, cut))], axis=axis)
    return x


@called_by(np.tile)
def tile(x, reps):
    """The whole array repeated along each axis."""
    reps = tuple(int(r) for r in np.atleast_1d(reps))
    rank = max(len(reps), x.ndim)
    reps = (1,) * (rank - len(reps)) + reps
    shape = (1,) * (rank - x.ndim) + x.shape
    spaced = reshape(x, shape=tuple(m for n in shape for m in (1, n)))
    repeated = broadcast_to(
        spaced, shape=tuple(m for n, r in zip(shape, reps, strict=True) for m in (r, n))
    )
    return reshape(repeated, shape=tuple(n * r for n, r in zip(shape, reps, strict=True)))


@called_by(np.repeat)
def repeat(x, repeats, axis=None):
    """Each number repeated along an axis, all equally often or each as often as is said."""
    if axis is None:
        x, axis = np.ravel(x), 0
    axis = one_axis(axis, x.ndim)
    places = np.repeat(np.arange(x.shape[axis]), repeats)
    return np.take(x, places, axis=axis)
