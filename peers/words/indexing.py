"""Reading and writing at indices, by slices, by tables of indices and by masks."""

from __future__ import annotations

from itertools import combinations as choose
from itertools import combinations_with_replacement as choose_again
from typing import Any

import numpy as np

from peers.words.axes import at_least_one_axis
from peers.words.table import word


@word("__getitem__")
def getitem(input: Any, index: Any) -> Any:
    return input[index]


@word("slice")
def slice_along(input: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    return input[along(input, dim, slice(start, end, step))]


@word("narrow", "narrow_copy")
def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    start = int(start)
    return input[
        along(input, dim, slice(start, start + length) if start >= 0 else slice(start, None))
    ]


@word("select")
def select(input: Any, dim: int, index: int) -> Any:
    return input[along(input, dim, index)]


def along(input: Any, dim: int, index: Any) -> tuple[Any, ...]:
    """Return the index that means ``index`` along axis ``dim``."""
    return (*(slice(None),) * (dim % input.ndim), index)


@word("take")
def take(input: Any, index: Any) -> Any:
    return np.take(input, index)


@word("take_along_dim")
def take_along_dim(input: Any, indices: Any, dim: Any = None) -> Any:
    if dim is None:
        return np.take_along_axis(np.ravel(input), np.ravel(indices), axis=0)
    shape = np.broadcast_shapes(
        *(
            tuple(1 if a == dim % x.ndim else n for a, n in enumerate(x.shape))
            for x in (input, indices)
        )
    )
    source, table = (
        np.broadcast_to(
            x, tuple(x.shape[a] if a == dim % x.ndim else n for a, n in enumerate(shape))
        )
        for x in (input, indices)
    )
    return np.take_along_axis(source, table, axis=dim)


@word("gather")
def gather(input: Any, dim: int, index: Any) -> Any:
    """Take along an axis; the table may be shorter than the array along the others."""
    if index.size == 0:
        return np.reshape(input, (-1,))[:0].reshape(index.shape)
    source, table = at_least_one_axis(input), at_least_one_axis(index)
    return np.reshape(source[places(table, dim)], index.shape)


def places(index: Any, dim: int) -> tuple[Any, ...]:
    """Return the open grid of a table, with the table itself along axis ``dim``."""
    grid = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grid[dim % index.ndim] = index.astype(np.int64)
    return tuple(grid)


@word("index_select")
def index_select(input: Any, dim: int, index: Any) -> Any:
    if input.ndim == 0:
        return np.reshape(input, (1,))[index][0]
    return np.take(input, index, axis=dim)


@word("index_fill")
def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    source = at_least_one_axis(input)
    chosen = np.zeros(source.shape, dtype=bool)
    chosen[along(source, dim, index)] = True
    return np.reshape(np.where(chosen, value, source), input.shape)


@word("masked_fill")
def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    return np.where(mask, value, input)


@word("masked_select")
def masked_select(input: Any, mask: Any) -> Any:
    shape = np.broadcast_shapes(input.shape, mask.shape)
    return np.broadcast_to(input, shape)[np.broadcast_to(mask, shape)]


@word("masked_scatter")
def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """Put the source's elements, in order, where the mask is true."""
    shape = np.broadcast_shapes(input.shape, mask.shape)
    mask = np.broadcast_to(mask, shape)
    order = np.reshape(np.clip(np.cumsum(mask) - 1, 0, None), shape)
    return np.where(mask, np.ravel(source)[order], np.broadcast_to(input, shape))


@word("where")
def where(input: Any, condition: Any, other: Any) -> Any:
    return np.where(condition, input, other)


@word("select_scatter")
def select_scatter(input: Any, source: Any, dim: int, index: int) -> Any:
    return replace(input, along(input, dim, [index]), np.expand_dims(source, dim))


@word("slice_scatter")
def slice_scatter(input: Any, source: Any, dim: int = 0, *bounds: Any) -> Any:
    return replace(input, along(input, dim, slice(*bounds)), source)


@word("diagonal_scatter")
def diagonal_scatter(input: Any, source: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    places_in = np.reshape(np.arange(input.size), input.shape)
    chosen = np.diagonal(places_in, offset, dim1, dim2)
    return replace_flat(input, chosen, source)


def replace(input: Any, index: Any, source: Any) -> Any:
    """Return ``input`` with ``input[index]`` replaced, without writing into it."""
    places_in = np.reshape(np.arange(input.size), input.shape)
    return replace_flat(input, places_in[index], source)


def replace_flat(input: Any, chosen: Any, source: Any) -> Any:
    """Return ``input`` with the elements at flat places ``chosen`` replaced."""
    origin = np.zeros(input.size, dtype=np.int64)
    origin[chosen] = np.reshape(np.arange(chosen.size), chosen.shape)
    mask = np.zeros(input.size, dtype=bool)
    mask[chosen] = True
    shape = input.shape
    return np.where(mask.reshape(shape), np.ravel(source)[origin.reshape(shape)], input)


@word("_unsafe_masked_index")
def masked_index(input: Any, mask: Any, indices: Any, fill: float) -> Any:
    bounded = [np.clip(i, -n, n - 1) for i, n in zip(indices, input.shape, strict=True)]
    return np.where(mask, input[tuple(bounded)], fill)


@word("index_add")
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """Add rows of the source, by a product with the unit vectors of their places."""
    rows = np.moveaxis(at_least_one_axis(input), dim, 0)
    added = np.moveaxis(at_least_one_axis(source), dim, 0)
    chosen = np.eye(rows.shape[0])[:, index]
    total = rows + alpha * np.tensordot(chosen, added, axes=1)
    return np.reshape(np.moveaxis(total, 0, dim), input.shape)


@word("index_copy")
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    whole = at_least_one_axis(input)
    copied = replace(whole, along(whole, dim, index), at_least_one_axis(source))
    return np.reshape(copied, input.shape)


@word("scatter_add")
def scatter_add(input: Any, dim: int, index: Any, source: Any) -> Any:
    """Add elements of the source at a table's places, by a product with unit vectors."""
    whole, table, added = (at_least_one_axis(x) for x in (input, index, source))
    flat = np.reshape(np.arange(whole.size), whole.shape)[places(table, dim)]
    chosen = np.eye(whole.size)[np.ravel(flat)]
    part = added[tuple(slice(n) for n in table.shape)]
    return input + np.reshape(np.ravel(part) @ chosen, input.shape)


@word("scatter")
def scatter(input: Any, dim: int, index: Any, source: Any) -> Any:
    whole, table = at_least_one_axis(input), at_least_one_axis(index)
    if np.ndim(source) or not isinstance(source, float):
        source = at_least_one_axis(source)[tuple(slice(n) for n in table.shape)]
    else:
        source = np.full(table.shape, source)
    return np.reshape(replace(whole, places(table, dim), source), input.shape)


@word("combinations")
def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    way = choose_again if with_replacement else choose
    table = np.array(list(way(range(input.shape[0]), r)), dtype=np.int64)
    return np.reshape(input[table.reshape(-1)], (-1, r))
