"""The same numbers under another shape: axes, order, repetition."""

from __future__ import annotations

import itertools
import math

import numpy as np

from chainrule.errors import AxisError, ShapeError
from chainrule.graph import Case
from chainrule.ops.batching import shifted, single
from chainrule.ops.declare import called_by, linear
from chainrule.ops.rewriting import made_by


def one_axis(axis, ndim):
    """Return an axis counted from the front."""
    if not isinstance(axis, int | np.integer):
        raise AxisError(f"an axis is an integer, got {axis!r}.")
    if not -ndim <= axis < ndim:
        raise AxisError(f"there is no axis {axis} in an array with {ndim} axes.")
    return int(axis) % ndim


def axes_of(axis, ndim):
    """Return the axes that NumPy's ``axis`` means, in order and counted from the front."""
    if axis is None:
        return tuple(range(ndim))
    given = axis if isinstance(axis, tuple | list) else (axis,)
    axes = tuple(sorted(one_axis(a, ndim) for a in given))
    if len(set(axes)) < len(axes):
        raise AxisError(f"axis {axis} names an axis twice.")
    return axes


def _full_shape(x, shape):
    """Return a shape with its -1 filled in."""
    shape = tuple(int(n) for n in (shape if isinstance(shape, tuple | list) else (shape,)))
    if shape.count(-1) > 1 or min(shape, default=0) < -1:
        raise ShapeError(f"reshape needs lengths of which one alone may be -1, got {list(shape)}.")
    if -1 in shape:
        rest = -math.prod(shape)
        if rest == 0 or x.size % rest:
            raise ShapeError(f"reshape cannot fill the -1 of {list(shape)} from {x.size} numbers.")
        shape = tuple(x.size // rest if n == -1 else n for n in shape)
    return shape


def _reshaped(x, shape):
    if math.prod(shape) != x.size:
        raise ShapeError(
            f"reshape needs as many numbers before as after, got {list(x.shape)} ({x.size}) "
            f"and {list(shape)} ({math.prod(shape)})."
        )
    return shape


def _merge_reshapes(x, shape):
    inner = made_by(x, "reshape")
    if x.shape == shape:
        return x
    return reshape(inner[0], shape=shape) if inner else None


@linear(
    lambda g, x: reshape(g, shape=x.shape),
    shape=_reshaped,
    settle=lambda x, shape: {"shape": _full_shape(x, shape)},
    batch=single(lambda n, x, shape: reshape(x, shape=(n, *shape))),
    rewrite=_merge_reshapes,
    latex="<x>",
    onnx=lambda e, x, shape: e.reshape(x, shape),
    cases=[Case((2, 6), shape=(3, 4)), Case((4,), shape=(2, 1, 2)), Case((1,), shape=())],
)
def reshape(x, *, shape):
    """The same numbers, row by row, under another shape."""
    y = np.reshape(x, shape)
    return y if y.shape else y[()]


@called_by(np.reshape)
def _reshape(x, shape, order="C"):
    if order == "C":
        return reshape(x, shape=shape)
    shape = _full_shape(x, shape)
    return transpose(reshape(transpose(x), shape=shape[::-1]))


@called_by(np.ravel)
def ravel(x, order="C"):
    """All numbers along one axis."""
    return _reshape(x, (-1,), order)


def _settled_axes(x, axes):
    if axes is None:
        return {"axes": tuple(range(x.ndim))[::-1]}
    axes = tuple(one_axis(a, x.ndim) for a in axes)
    if sorted(axes) != list(range(x.ndim)):
        raise AxisError(f"transpose needs each of {x.ndim} axes once, got {list(axes)}.")
    return {"axes": axes}


def inverse_order(axes):
    """Return the permutation that undoes a permutation."""
    return tuple(sorted(range(len(axes)), key=axes.__getitem__))


def _merge_transposes(x, axes):
    if axes == tuple(range(len(axes))):
        return x
    inner = made_by(x, "transpose")
    if inner is None:
        return None
    return transpose(inner[0], axes=tuple(inner[1]["axes"][a] for a in axes))


@linear(
    lambda g, axes: transpose(g, axes=inverse_order(axes)),
    shape=lambda x, axes: tuple(x.shape[a] for a in axes),
    settle=_settled_axes,
    batch=single(lambda n, x, axes: transpose(x, axes=(0, *[a + 1 for a in axes]))),
    rewrite=_merge_transposes,
    latex=r"<x>^{\top}",
    onnx=lambda e, x, axes: e.Transpose(x, perm=list(axes)),
    numpy=(np.transpose, np.permute_dims),
    cases=[Case((2, 3)), Case((2, 3, 4), axes=(2, 0, 1))],
)
def transpose(x, *, axes=None):
    """The axes in another order, reversed if none is given."""
    return np.transpose(x, axes)


@called_by(np.swapaxes)
def swapaxes(x, axis1, axis2):
    """Two axes in each other's place."""
    axes = list(range(x.ndim))
    a, b = one_axis(axis1, x.ndim), one_axis(axis2, x.ndim)
    axes[a], axes[b] = axes[b], axes[a]
    return transpose(x, axes=tuple(axes))


@called_by(np.matrix_transpose, np.linalg.matrix_transpose)
def matrix_transpose(x):
    """The last two axes in each other's place."""
    return swapaxes(x, -1, -2)


@called_by(np.moveaxis)
def moveaxis(x, source, destination):
    """Some axes at other places, the rest in their order."""
    source = [one_axis(a, x.ndim) for a in np.atleast_1d(source)]
    destination = [one_axis(a, x.ndim) for a in np.atleast_1d(destination)]
    order = [a for a in range(x.ndim) if a not in source]
    for place, axis in sorted(zip(destination, source, strict=True)):
        order.insert(place, axis)
    return transpose(x, axes=tuple(order))


@called_by(np.rollaxis)
def rollaxis(x, axis, start=0):
    """One axis moved to before another."""
    axis = one_axis(axis, x.ndim)
    start = start + x.ndim if start < 0 else start
    return moveaxis(x, axis, start - 1 if axis < start else start)


@called_by(np.expand_dims)
def expand_dims(x, axis):
    """New axes of length 1 at the given places of the result."""
    count = len(axis) if isinstance(axis, tuple | list) else 1
    axes = axes_of(axis, x.ndim + count)
    lengths = iter(x.shape)
    shape = tuple(1 if a in axes else next(lengths) for a in range(x.ndim + count))
    return reshape(x, shape=shape)


@called_by(np.squeeze)
def squeeze(x, axis=None):
    """Without axes of length 1: all of them, or those given."""
    ones = [a for a, n in enumerate(x.shape) if n == 1]
    axes = ones if axis is None else axes_of(axis, x.ndim)
    if any(x.shape[a] != 1 for a in axes):
        raise ShapeError(f"squeeze needs axes of length 1, got axis {axis} of {list(x.shape)}.")
    return reshape(x, shape=tuple(n for a, n in enumerate(x.shape) if a not in axes))


def _of_each(function, *xs):
    """Return the result for one array, or the tuple of those for several."""
    return function(xs[0]) if len(xs) == 1 else tuple(function(x) for x in xs)


@called_by(np.atleast_1d)
def atleast_1d(*xs):
    """With one axis if there was none."""
    return _of_each(lambda x: x if np.ndim(x) else np.reshape(x, (1,)), *xs)


@called_by(np.atleast_2d)
def atleast_2d(*xs):
    """With two axes, the new ones in front."""
    return _of_each(lambda x: x if np.ndim(x) > 1 else np.reshape(x, (1, -1)), *xs)


@called_by(np.atleast_3d)
def atleast_3d(*xs):
    """With three axes, a vector's in the middle, a matrix's in front."""
    shapes = {0: (1, 1, 1), 1: (1, -1, 1)}
    return _of_each(
        lambda x: (
            x if np.ndim(x) > 2 else np.reshape(x, shapes.get(np.ndim(x), (*np.shape(x), 1)))
        ),
        *xs,
    )


@called_by(np.meshgrid)
def meshgrid(*xs, indexing="xy", sparse=False):
    """Coordinates of the points of a grid, an array for each axis."""
    grid = [
        np.reshape(x, [-1 if b == a else 1 for b in range(len(xs))]) for a, x in enumerate(xs)
    ]
    if indexing == "xy" and len(xs) > 1:
        grid = [np.swapaxes(x, 0, 1) for x in grid]
    return tuple(grid if sparse else np.broadcast_arrays(*grid))


def _broadcast_result(x, shape):
    fits = len(shape) >= x.ndim and all(
        n in (1, m) for n, m in zip(x.shape[::-1], shape[::-1], strict=False)
    )
    if not fits:
        raise ShapeError(f"broadcast_to cannot repeat {list(x.shape)} to {list(shape)}.")
    return shape


@linear(
    lambda g, x: sum_to(g, x.shape),
    shape=_broadcast_result,
    settle=lambda x, shape: {
        "shape": tuple(shape) if isinstance(shape, tuple | list) else (int(shape),)
    },
    batch=single(
        lambda n, x, shape: broadcast_to(
            reshape(x, shape=(n, *[1] * (len(shape) - x.ndim + 1), *x.shape[1:])),
            shape=(n, *shape),
        )
    ),
    rewrite=lambda x, shape: x if x.shape == shape else None,
    latex="<x>",
    onnx=lambda e, x, shape: e.Expand(x, e.integers(shape)),
    numpy=np.broadcast_to,
    cases=[Case((3, 1), shape=(2, 3, 4)), Case((), shape=(2,))],
)
def broadcast_to(x, *, shape):
    """The array repeated along axes of length 1 and new axes in front."""
    return np.broadcast_to(x, shape)


@called_by(np.broadcast_arrays)
def broadcast_arrays(*xs):
    """All arrays repeated to the shape that they broadcast to."""
    shape = np.broadcast_shapes(*[np.shape(x) for x in xs])
    return tuple(broadcast_to(x, shape=shape) for x in xs)


def sum_to(g, shape):
    """Return an array summed over the axes along which a shape was repeated to give its own."""
    lead = g.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(
        lead + a for a, n in enumerate(shape) if n == 1 and g.shape[lead + a] != 1
    )
    total = np.sum(g, axis=axes) if axes else g
    return total if total.shape == shape else np.reshape(total, shape)


def _joined(*xs, axis):
    rest = {(*x.shape[:axis], *x.shape[axis + 1 :]) for x in xs}
    if len(rest) > 1:
        shapes = " and ".join(str(list(x.shape)) for x in xs)
        raise ShapeError(f"concatenate needs equal shapes but along axis {axis}, got {shapes}.")
    total = sum(x.shape[axis] for x in xs)
    return (*xs[0].shape[:axis], total, *xs[0].shape[axis + 1 :])


def _own_part(g, xs, k, axis):
    start = sum(x.shape[axis] for x in xs[:k])
    part = (slice(None),) * axis + (slice(start, start + xs[k].shape[axis]),)
    return g[part]


@linear(
    _own_part,
    shape=_joined,
    settle=lambda *xs, axis: {"axis": one_axis(axis, xs[0].ndim)},
    batch=shifted(),
    rewrite=lambda *xs, axis: xs[0] if len(xs) == 1 else None,
    latex=r"\mathrm{concatenate}(<xs>)",
    onnx=lambda e, *xs, axis: e.Concat(*xs, axis=axis),
    cases=[Case((2, 3), (2, 1), axis=1), Case((2,), (3,), (1,), axis=0)],
)
def join(*xs, axis):
    """Arrays one after the other along an axis."""
    return np.concatenate(xs, axis=axis)


@called_by(np.concatenate, np.concat)
def concatenate(arrays, axis=0):
    """Arrays one after the other along an axis; along one axis of all numbers if it is None."""
    if axis is None:
        return join(*[np.ravel(x) for x in arrays], axis=0)
    return join(*arrays, axis=axis)


@called_by(np.append)
def append(a, b, axis=None):
    """Two arrays, one after the other."""
    return concatenate([a, b], axis)


@called_by(np.stack)
def stack(arrays, axis=0):
    """Arrays of one shape along a new axis."""
    shapes = {np.shape(x) for x in arrays}
    if len(shapes) > 1:
        raise ShapeError(f"stack needs equal shapes, got {sorted(map(list, shapes))}.")
    return join(*[np.expand_dims(x, axis) for x in arrays], axis=axis)


@called_by(np.hstack)
def hstack(arrays):
    """Arrays side by side: along the second axis, or the first if they have one alone."""
    arrays = [np.atleast_1d(x) for x in arrays]
    return join(*arrays, axis=0 if arrays[0].ndim == 1 else 1)


@called_by(np.vstack)
def vstack(arrays):
    """Arrays one below the other."""
    return join(*[np.atleast_2d(x) for x in arrays], axis=0)


@called_by(np.dstack)
def dstack(arrays):
    """Arrays behind each other, along the third axis."""
    return join(*[np.atleast_3d(x) for x in arrays], axis=2)


@called_by(np.block)
def block(rows):
    """A matrix of matrices as one: lists of lists, joined from the last axis on."""
    if not isinstance(rows, list):
        return np.atleast_1d(rows)
    parts = [block(row) for row in rows]
    depth = _depth(rows)
    ndim = max(depth, *[p.ndim for p in parts])
    parts = [np.reshape(p, (1,) * (ndim - p.ndim) + p.shape) for p in parts]
    return join(*parts, axis=ndim - depth)


def _depth(rows):
    return 1 + _depth(rows[0]) if isinstance(rows, list) else 0


@called_by(np.unstack)
def unstack(x, axis=0):
    """The parts of an array along an axis, without the axis."""
    return tuple(np.moveaxis(x, axis, 0))


@called_by(np.column_stack)
def column_stack(arrays):
    """Vectors as the columns of a matrix."""
    return join(*[x if x.ndim > 1 else np.reshape(x, (-1, 1)) for x in arrays], axis=1)


@called_by(np.array_split)
def array_split(x, parts, axis=0):
    """Nearly equal parts along an axis, or parts that end at the given places."""
    axis = one_axis(axis, x.ndim)
    n = x.shape[axis]
    if isinstance(parts, int | np.integer):
        sizes = [n // parts + (k < n % parts) for k in range(parts)]
        ends = list(itertools.accumulate(sizes))[:-1]
    else:
        ends = [int(end) for end in parts]
    lead = (slice(None),) * axis
    return [x[(*lead, slice(a, b))] for a, b in itertools.pairwise([0, *ends, n])]


@called_by(np.split)
def split(x, parts, axis=0):
    """Equal parts along an axis, or parts that end at the given places."""
    if isinstance(parts, int | np.integer) and x.shape[one_axis(axis, x.ndim)] % parts:
        raise ShapeError(f"split needs {parts} equal parts of axis {axis} of {list(x.shape)}.")
    return array_split(x, parts, axis)


@called_by(np.hsplit)
def hsplit(x, parts):
    """Parts from left to right."""
    return split(x, parts, 1 if x.ndim > 1 else 0)


@called_by(np.dsplit)
def dsplit(x, parts):
    """Parts along the third axis."""
    return split(x, parts, 2)


@called_by(np.vsplit)
def vsplit(x, parts):
    """Parts from top to bottom."""
    return split(x, parts, 0)


def _padded(x, width):
    return tuple(before + n + after for n, (before, after) in zip(x.shape, width, strict=True))


@linear(
    lambda g, x, width: g[tuple(slice(b, b + n) for n, (b, _) in zip(x.shape, width, strict=True))],
    shape=_padded,
    settle=lambda x, width: {
        "width": tuple((int(b), int(a)) for b, a in np.broadcast_to(width, (x.ndim, 2)))
    },
    batch=single(lambda n, x, width: zero_pad(x, width=((0, 0), *width))),
    latex=r"\mathrm{pad}(<x>)",
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
    if mode == "constant" and np.ndim(constant_values) == 0:
        padded = zero_pad(x, width=width)
        if constant_values == 0:
            return padded
        inside = np.pad(np.ones(x.shape, bool), width)
        return np.where(inside, padded, constant_values)
    for axis, (before, after) in enumerate(width):
        n = x.shape[axis]
        places = np.pad(np.arange(n), (before, after), mode=mode)
        if before or after:
            x = np.take(x, places, axis=axis)
    return x


@linear(
    lambda g, axis: flip(g, axis=axis),
    shape=lambda x, axis: x.shape,
    settle=lambda x, axis: {"axis": axes_of(axis, x.ndim)},
    batch=shifted(),
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
        n = x.shape[a]
        if n and by % n:
            first = (slice(None),) * one_axis(int(a), x.ndim)
            cut = int(n - by % n)
            x = join(x[(*first, slice(cut, None))], x[(*first, slice(None, cut))], axis=int(a))
    return x


@called_by(np.tile)
def tile(x, reps):
    """The whole array repeated along each axis."""
    reps = tuple(reps) if isinstance(reps, tuple | list) else (reps,)
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
