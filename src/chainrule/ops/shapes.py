"""The same numbers under another shape: axes, order, repetition."""

from __future__ import annotations

import math

import numpy as np

from chainrule.errors import AxisError, NoOpError, ShapeError
from chainrule.graph import Case, Viewed, Written
from chainrule.ops.batching import single
from chainrule.ops.declare import called_by, linear
from chainrule.ops.readable import as_repeated, as_turned_product, number_of, with_axes_kept
from chainrule.ops.rewriting import made_by


def one_axis(axis, ndim):
    """Return an axis counted from the front."""
    if not isinstance(axis, int | np.integer):
        raise AxisError(f"an axis is an integer, got {axis!r}.")
    if not -ndim <= axis < ndim:
        raise AxisError(f"there is no axis {axis} in an array with ndim {ndim}.")
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


_SEVERAL = (tuple, list, np.ndarray)


def _full_shape(x, shape):
    """Return a shape with its -1 filled in."""
    shape = tuple(int(n) for n in (shape if isinstance(shape, _SEVERAL) else (shape,)))
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


def _reshape_in_words(x, shape):
    """Say new axes of length 1 as an index, the rest as a shape."""
    if x.shape and tuple(n for n in shape if n != 1) == x.shape:
        return f"<x>[{', '.join('None' if n == 1 else ':' for n in shape)}]"
    if shape == (x.size,):
        return "np.ravel(<x>)"
    return "np.reshape(<x>, <shape>)"


@linear(
    lambda g, x: reshape(g, shape=x.shape),
    shape=_reshaped,
    settle=lambda x, shape: {"shape": _full_shape(x, shape)},
    batch=single(lambda n, x, shape: reshape(x, shape=(n, *shape))),
    rewrite=_merge_reshapes,
    form=Viewed(lambda at, shape: at.reshaped(shape)),
    written=Written(_reshape_in_words, simpler=with_axes_kept, folded=False),
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
    if order != "F":
        raise NoOpError(f"order={order!r} depends on memory, and a traced value has none: say C.")
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


def _transpose_in_words(x, axes):
    """Say the usual orders as an attribute."""
    if axes == tuple(range(x.ndim))[::-1]:
        return "<x>.T"
    swapped = (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)
    return "<x>.mT" if axes == swapped else "np.transpose(<x>, <axes>)"


@linear(
    lambda g, axes: transpose(g, axes=inverse_order(axes)),
    shape=lambda x, axes: tuple(x.shape[a] for a in axes),
    settle=_settled_axes,
    batch=single(lambda n, x, axes: transpose(x, axes=(0, *[a + 1 for a in axes]))),
    rewrite=_merge_transposes,
    form=Viewed(lambda at, axes: at.transposed(axes)),
    latex=r"<x>^{\top}",
    written=Written(_transpose_in_words, simpler=as_turned_product),
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
        lambda x: x if np.ndim(x) > 2 else np.reshape(x, shapes.get(np.ndim(x), (*np.shape(x), 1))),
        *xs,
    )


@called_by(np.meshgrid)
def meshgrid(*xs, indexing="xy", sparse=False):
    """Coordinates of the points of a grid, an array for each axis."""
    grid = [np.reshape(x, [-1 if b == a else 1 for b in range(len(xs))]) for a, x in enumerate(xs)]
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


def _broadcast_in_words(x, shape):
    """Say a number everywhere as a full array."""
    number = number_of(x)
    if number is not None:
        return (
            f"np.full(<shape>, {float(number)})"
            if number == number // 1
            else "np.full(<shape>, <x>)"
        )
    return "np.full(<shape>, <x>)" if x.shape == () else "np.broadcast_to(<x>, <shape>)"


@linear(
    lambda g, x: sum_to(g, x.shape),
    shape=_broadcast_result,
    settle=lambda x, shape: {
        "shape": tuple(int(n) for n in (shape if isinstance(shape, _SEVERAL) else (shape,)))
    },
    batch=single(
        lambda n, x, shape: broadcast_to(
            reshape(x, shape=(n, *[1] * (len(shape) - x.ndim + 1), *x.shape[1:])),
            shape=(n, *shape),
        )
    ),
    rewrite=lambda x, shape: x if x.shape == shape else None,
    form=Viewed(lambda at, shape: at.broadcast(shape)),
    written=Written(_broadcast_in_words, simpler=as_repeated, folded=False),
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
