"""Arrays put together, and one taken apart."""

from __future__ import annotations

import itertools

import numpy as np

from chainrule.errors import ShapeError
from chainrule.graph import Case, Placed
from chainrule.ops.batching import shifted
from chainrule.ops.declare import called_by, linear
from chainrule.ops.shapes import one_axis


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


def _parts(at, xs, axis):
    """Return the layouts of all operands in that of the output."""
    ends = list(itertools.accumulate(x.shape[axis] for x in xs))
    lead = (slice(None),) * axis
    starts = [0, *ends[:-1]]
    return [at.sliced((*lead, slice(a, b))) for a, b in zip(starts, ends, strict=True)]


@linear(
    _own_part,
    shape=_joined,
    settle=lambda *xs, axis: {"axis": one_axis(axis, xs[0].ndim)},
    batch=shifted(),
    rewrite=lambda *xs, axis: xs[0] if len(xs) == 1 else None,
    form=Placed(lambda at, xs, axis: _parts(at, xs, axis), covers=True),
    latex=r"\mathrm{concatenate}(<xs>)",
    written="np.concatenate((<xs>,), axis=<axis>)",
    onnx=lambda e, *xs, axis: e.Concat(*xs, axis=axis),
    cases=[Case((2, 3), (2, 1), axis=1), Case((2,), (3,), (1,), axis=0)],
)
def join(*xs, axis):
    """Arrays one after the other along an axis."""
    return np.concatenate(xs, axis=axis)


_MANY = 64
"""Arrays from which on they are joined in groups: an op with n operands is pulled back in n²."""


def _joined_all(arrays, axis):
    """Return any number of arrays one after the other along an axis."""
    arrays = list(arrays)
    while len(arrays) > _MANY:
        starts = range(0, len(arrays), _MANY)
        arrays = [join(*arrays[k : k + _MANY], axis=axis) for k in starts]
    return join(*arrays, axis=axis)


@called_by(np.concatenate, np.concat)
def concatenate(arrays, axis=0):
    """Arrays one after the other along an axis; along one axis of all numbers if it is None."""
    if axis is None:
        return _joined_all([np.ravel(x) for x in arrays], axis=0)
    return _joined_all(arrays, axis=axis)


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
    return _joined_all([np.expand_dims(x, axis) for x in arrays], axis=axis)


@called_by(np.hstack)
def hstack(arrays):
    """Arrays side by side: along the second axis, or the first if they have one alone."""
    arrays = [np.atleast_1d(x) for x in arrays]
    return _joined_all(arrays, axis=0 if arrays[0].ndim == 1 else 1)


@called_by(np.vstack)
def vstack(arrays):
    """Arrays one below the other."""
    return _joined_all([np.atleast_2d(x) for x in arrays], axis=0)


@called_by(np.dstack)
def dstack(arrays):
    """Arrays behind each other, along the third axis."""
    return _joined_all([np.atleast_3d(x) for x in arrays], axis=2)


@called_by(np.block)
def block(rows):
    """A matrix of matrices as one: lists of lists, joined from the last axis on."""
    if not isinstance(rows, list):
        return np.atleast_1d(rows)
    parts = [block(row) for row in rows]
    depth = _depth(rows)
    ndim = max(depth, *[p.ndim for p in parts])
    parts = [np.reshape(p, (1,) * (ndim - p.ndim) + p.shape) for p in parts]
    return _joined_all(parts, axis=ndim - depth)


def _depth(rows):
    return 1 + _depth(rows[0]) if isinstance(rows, list) else 0


@called_by(np.unstack)
def unstack(x, axis=0):
    """The parts of an array along an axis, without the axis."""
    return tuple(np.moveaxis(x, axis, 0))


@called_by(np.column_stack)
def column_stack(arrays):
    """Vectors as the columns of a matrix."""
    return _joined_all([x if np.ndim(x) > 1 else np.reshape(x, (-1, 1)) for x in arrays], axis=1)


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
