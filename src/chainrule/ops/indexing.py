"""Taking parts of arrays: slices, and numbers at given places.

NumPy's indexing comes apart into two linear ops: `slice_` for integers, slices and new axes,
and `gather` for arrays of places along the leading axes. Their transposes put numbers back,
and places that were taken twice add up.
"""

from __future__ import annotations

import math
import operator

import numpy as np

from chainrule.errors import AxisError, ConversionError, ShapeError
from chainrule.graph import Case, Gathered, Placed, Scattered, Value, Viewed, Written, describe
from chainrule.ops.batching import single, spread
from chainrule.ops.declare import called_by, linear
from chainrule.ops.readable import index_in_latex, with_one_hot
from chainrule.ops.shapes import one_axis

_ALL = slice(None)


def _settled_index(x, index):
    entries = index if isinstance(index, tuple) else (index,)
    return {"index": tuple(_plain(entry) for entry in _without_ellipsis(entries, x.ndim))}


def _plain(entry):
    """Return an entry of an index with Python's integers in it."""
    if isinstance(entry, slice):
        parts = (entry.start, entry.stop, entry.step)
        return slice(*[None if part is None else _integer(part) for part in parts])
    return None if entry is None else _integer(entry)


def _integer(entry):
    try:
        return operator.index(entry)
    except ConversionError:
        raise
    except TypeError:
        raise AxisError(
            f"an index is made of integers, slices, new axes and arrays of integers or truth "
            f"values, got {entry!r}."
        ) from None


def _without_ellipsis(entries, ndim):
    """Return entries that speak of every axis."""
    used = sum(_axes_used(entry) for entry in entries)
    dots = [k for k, entry in enumerate(entries) if entry is Ellipsis]
    if used > ndim or len(dots) > 1:
        raise AxisError(f"an index of {used} entries is too long for an array with ndim {ndim}.")
    k = dots[0] if dots else len(entries)
    return (*entries[:k], *[_ALL] * (ndim - used), *entries[k + 1 :])


def _axes_used(entry):
    if entry is None or entry is Ellipsis:
        return 0
    return np.ndim(entry) if _is_mask(entry) else 1


def _is_mask(entry):
    return getattr(entry, "dtype", None) == np.bool_


def _slice_shape(x, index):
    lengths = iter(x.shape)
    shape = []
    for entry in index:
        if entry is None:
            shape.append(1)
            continue
        n = next(lengths)
        if isinstance(entry, slice):
            shape.append(len(range(*entry.indices(n))))
        elif not -n <= entry < n:
            raise AxisError(f"there is no place {entry} on an axis of length {n}.")
    return tuple(shape)


def _slice_in_onnx(e, x, index):
    y, parts = x, _ranges(x.shape, index)
    cut = [axis for axis, part in enumerate(parts) if part != range(x.shape[axis])]
    if cut:
        starts = [parts[axis].start for axis in cut]
        ends = [parts[axis].stop for axis in cut]
        ends = [end if end >= 0 else -(2**31) for end in ends]  # -1 would be the last place
        steps = [parts[axis].step for axis in cut]
        y = e.Slice(x, e.integers(starts), e.integers(ends), e.integers(cut), e.integers(steps))
    return e.reshape(y, _slice_shape(x, index))


def _ranges(shape, index):
    """Return the places along each axis that an index takes."""
    entries = [entry for entry in index if entry is not None]
    slices = [i if isinstance(i, slice) else slice(i, i + 1 or None) for i in entries]
    return [range(*part.indices(n)) for part, n in zip(slices, shape, strict=True)]


def _embed_in_onnx(e, x, index, shape):
    parts = _ranges(shape, index)
    if all(part.step == 1 for part in parts):
        before = [part.start for part in parts]
        after = [n - part.start - len(part) for part, n in zip(parts, shape, strict=True)]
        return e.Pad(e.reshape(x, [len(part) for part in parts]), e.integers(before + after))
    places = np.arange(math.prod(shape)).reshape(shape)[index].ravel()
    zeros = e.zeros([math.prod(shape)], x)
    return e.reshape(e.ScatterElements(zeros, e.integers(places), e.reshape(x, [-1])), shape)


@linear(
    lambda g, x, index: embed(g, index=index, shape=x.shape),
    shape=_slice_shape,
    settle=_settled_index,
    batch=single(lambda n, x, index: slice_(x, index=(_ALL, *index))),
    rewrite=lambda x, index: x if all(entry == _ALL for entry in index) else None,
    form=Viewed(lambda at, index: at.sliced(index)),
    latex="<x>_{[\\cdot]}",
    written=Written("<x>[<index>]", latex=index_in_latex),
    onnx=_slice_in_onnx,
    cases=[
        Case((4, 3), index=(slice(1, 3), slice(None))),
        Case((4, 3), index=(slice(None, None, -2), None, 1)),
        Case((4,), index=-1),
    ],
)
def slice_(x, *, index):
    """A part of an array: integers, slices and new axes."""
    return x[index]


@linear(
    lambda g, index: slice_(g, index=index),
    shape=lambda x, index, shape: shape,
    batch=single(lambda n, x, index, shape: embed(x, index=(_ALL, *index), shape=(n, *shape))),
    form=Placed(lambda at, xs, index, shape: [at.sliced(index)], covers=False),
    latex=r"\mathrm{embed}(<x>)",
    onnx=_embed_in_onnx,
    cases=[Case((2, 3), index=(slice(1, 3), slice(None)), shape=(4, 3))],
)
def embed(x, *, index, shape):
    """Zeros of a shape with x at a part of it: the transpose of taking that part."""
    y = np.zeros(shape, x.dtype)
    y[index] = x
    return y


def _gathered(x, *indices):
    if len(indices) > x.ndim:
        raise AxisError(f"{len(indices)} arrays of places for an array with {x.ndim} axes.")
    wrong = [i for i in indices if not np.issubdtype(i.dtype, np.integer)]
    if wrong:
        raise AxisError(f"places are whole numbers, got {describe(wrong[0])}.")
    return np.broadcast_shapes(*[i.shape for i in indices]) + x.shape[len(indices) :]


def _aligned_places(n, xs, batched):
    """Return places along a leading axis of examples: the example's own, then those given."""
    rank = max(x.ndim - b for x, b in zip(xs, batched, strict=True))
    own = np.reshape(np.arange(n), (n, *[1] * rank))
    return own, [
        np.reshape(x, (n if b else 1, *[1] * (rank - x.ndim + b), *x.shape[int(b) :]))
        for x, b in zip(xs, batched, strict=True)
    ]


def _gather_batch(op, n, xs, batched, attributes):
    own, places = _aligned_places(n, xs[1:], batched[1:])
    (x,) = spread(n, xs[:1], batched[:1])
    return op(x, own, *places)


@linear(
    lambda g, x, indices: scatter_add(g, *indices, shape=x.shape),
    shape=_gathered,
    flat=("indices",),
    batch=_gather_batch,
    form=Gathered(),
    latex="<x>_{<indices>}",
    written="<x>[<indices>]",
    onnx=lambda e, x, *indices: e.GatherND(x, e.places(indices)),
    cases=[
        Case((4, 3), np.array([0, 2, 2])),
        Case((4, 3), np.array([[0], [3]]), np.array([1, 1, 2])),
    ],
)
def gather(x, *indices):
    """The numbers at places along the leading axes; arrays of places broadcast."""
    return x[indices]


def _scatter_batch(op, n, xs, batched, attributes):
    own, places = _aligned_places(n, xs[1:], batched[1:])
    (x,) = spread(n, xs[:1], batched[:1])
    return op(x, own, *places, shape=(n, *attributes["shape"]))


@linear(
    lambda g, indices: gather(g, *indices),
    shape=lambda x, *indices, shape: shape,
    flat=("indices",),
    batch=_scatter_batch,
    form=Scattered(),
    latex=r"\mathrm{scatter}(<x>, <indices>)",
    written=Written(simpler=with_one_hot),
    onnx=lambda e, x, *indices, shape: e.ScatterND(
        e.zeros(shape, x), e.places(indices), x, reduction="add"
    ),
    cases=[
        Case((3, 3), np.array([0, 2, 2]), shape=(4, 3)),
        Case((2, 3), np.array([[0], [3]]), np.array([1, 1, 2]), shape=(4, 3)),
    ],
)
def scatter_add(x, *indices, shape):
    """Zeros of a shape with the numbers of x added at places; repeated places add up."""
    y = np.zeros(shape, x.dtype)
    np.add.at(y, indices, x)
    return y


@called_by(operator.getitem)
def getitem(x, index):
    """Any index that NumPy takes, but for masks of which only the shape is known."""
    entries = index if isinstance(index, tuple) else (index,)
    listed = list | range | tuple | bool | np.bool_
    entries = tuple(_array(e) if isinstance(e, listed) else e for e in entries)
    if not any(_is_array(entry) for entry in entries):
        return slice_(x, index=entries)
    return _advanced(x, entries)


def _array(entry):
    """Return a list of places or of truth values as an array; an empty one has no places."""
    array = np.asarray(entry)
    return array if array.size else array.astype(np.intp)


def _is_array(entry):
    """Return whether an entry selects by places or a mask."""
    return isinstance(entry, np.ndarray | Value)


def _advanced(x, entries):
    """Slice first, bring the indexed axes to the front, gather, and put the result in place.

    With arrays of places among the entries, NumPy counts integers as such arrays; where they
    all stand together the result's axes stand in their place, otherwise in front.
    """
    places = [
        k for k, e in enumerate(entries) if not (e is None or e is Ellipsis or isinstance(e, slice))
    ]
    together = places[-1] - places[0] + 1 == len(places)
    basic, arrays, axes = [], [], []
    axis = 0
    for entry in _without_ellipsis(entries, x.ndim):
        if entry is None or isinstance(entry, slice):
            basic.append(entry)
            axis += 1
            continue
        taken = sum(part is not None for part in basic)
        for array in _places(entry, x.shape[taken:]):
            basic.append(None if _axes_used(entry) == 0 else _ALL)
            arrays.append(array)
            axes.append(axis)
            axis += 1
    if any(entry != _ALL for entry in basic):
        x = slice_(x, index=tuple(basic))
    rest = [a for a in range(axis) if a not in axes]
    front = np.transpose(x, (*axes, *rest)) if axes != list(range(len(axes))) else x
    y = gather(front, *arrays)
    lead = y.ndim - len(rest)
    if not together or axes[0] == 0:
        return y
    return np.moveaxis(y, range(lead), range(axes[0], axes[0] + lead))


def _places(entry, lengths):
    """Return the places that an entry means: where a mask holds, an array for each axis.

    A truth value without axes acts as a mask of a new axis of length 1.
    """
    if not _is_mask(entry):
        return [entry if isinstance(entry, Value) else np.asarray(entry)[()]]
    if entry.shape != lengths[: entry.ndim]:
        raise AxisError(
            f"a mask needs the shape of what it selects from, got {list(entry.shape)} for "
            f"{list(lengths[: entry.ndim])}."
        )
    mask = entry.ask("a mask as an index") if isinstance(entry, Value) else entry
    return np.nonzero(np.atleast_1d(mask))


@called_by(np.take)
def take(x, indices, axis=None, mode="raise"):
    """The numbers at places along an axis, or among all numbers."""
    if axis is None:
        x, axis = np.ravel(x), 0
    axis = one_axis(axis, np.ndim(x))
    indices = indices if hasattr(indices, "dtype") else np.asarray(indices)
    n = np.shape(x)[axis]
    if mode != "raise":
        indices = indices % n if mode == "wrap" else np.clip(indices, 0, n - 1)
    rank = np.ndim(indices)
    y = gather(np.moveaxis(x, axis, 0), indices)
    return np.moveaxis(y, range(rank), range(axis, axis + rank))


@called_by(np.take_along_axis)
def take_along_axis(x, indices, axis=-1):
    """The numbers at places along an axis, different ones for each row."""
    if axis is None:
        x, axis = np.ravel(x), 0
    axis = one_axis(axis, np.ndim(x))
    if np.ndim(x) != np.ndim(indices):
        raise ShapeError(
            f"take_along_axis needs as many axes, got {np.ndim(x)} and {np.ndim(indices)}."
        )
    places = [
        indices
        if a == axis
        else np.reshape(np.arange(n), [-1 if b == a else 1 for b in range(np.ndim(x))])
        for a, n in enumerate(np.shape(x))
    ]
    return gather(x, *places)


@called_by(np.compress)
def compress(condition, x, axis=None):
    """The parts along an axis where a condition holds."""
    (places,) = np.nonzero(condition)
    return take(x, places, axis)


@called_by(np.delete)
def delete(x, places, axis=None):
    """The array without some parts along an axis."""
    if axis is None:
        x, axis = np.ravel(x), 0
    return take(x, np.delete(np.arange(x.shape[axis]), places), axis)


def one_hot(labels, classes, dtype=np.float64):
    """Rows with a 1 at the label and 0 elsewhere: the labels' shape and an axis of classes."""
    return np.astype(np.expand_dims(labels, -1) == np.arange(classes), dtype)
