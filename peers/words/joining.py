"""Arrays put together and taken apart."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from peers.words.table import enter_word, word

for _name in ("hstack", "vstack", "dstack", "column_stack", "hsplit", "vsplit"):
    enter_word(_name, getattr(np, _name))


@word("dsplit")
def dsplit(input: Any, parts: Any) -> Any:
    return np.split(input, parts, axis=2)


@word("cat")
def cat(inputs: Any, dim: int = 0) -> Any:
    """Concatenate; PyTorch passes over an operand of shape (0,)."""
    rank = max(x.ndim for x in inputs)
    return np.concatenate([x for x in inputs if x.ndim == rank], axis=dim)


@word("stack")
def stack(inputs: Any, dim: int = 0) -> Any:
    return np.stack(inputs, axis=dim)


def one_or_each(function: Any) -> Any:
    """Return the word that applies a function to an array, or to each of a list."""
    return lambda input: (
        [function(x) for x in input] if isinstance(input, list) else function(input)
    )


def atleast_3d(input: Any) -> Any:
    """Give a vector its one axis in the middle, and a matrix its two in front."""
    ahead = (None,) * (input.ndim < 2)
    return input[(*ahead, ..., *(None,) * (3 - input.ndim - len(ahead)))]


enter_word("atleast_1d", one_or_each(np.atleast_1d))
enter_word("atleast_2d", one_or_each(np.atleast_2d))
enter_word("atleast_3d", one_or_each(atleast_3d))


@word("block_diag")
def block_diag(*blocks: Any) -> Any:
    """Pad every block with zeros to the width of all, and put them on top of each other."""
    blocks = tuple(np.atleast_2d(block) for block in blocks)
    ends = np.cumsum([0] + [block.shape[1] for block in blocks])
    rows = [
        np.pad(block, ((0, 0), (start, ends[-1] - end)))
        for block, (start, end) in zip(blocks, pairwise(ends), strict=True)
    ]
    return np.concatenate(rows, axis=0)


@word("cartesian_prod")
def cartesian_prod(*inputs: Any) -> Any:
    if len(inputs) == 1:
        return inputs[0]
    return np.stack([np.ravel(grid) for grid in meshgrid(*inputs, indexing="ij")], axis=1)


@word("meshgrid/variadic_tensors")
def meshgrid(*inputs: Any, indexing: str) -> Any:
    """Spread each vector along an axis of its own; ``xy`` turns the first two axes."""
    vectors = [np.atleast_1d(x) for x in inputs]
    sizes = tuple(x.shape[0] for x in vectors)
    grids = [
        np.broadcast_to(x[(slice(None), *(None,) * (len(vectors) - 1 - i))], sizes)
        for i, x in enumerate(vectors)
    ]
    turned = indexing == "xy" and len(vectors) > 1
    return [np.swapaxes(grid, 0, 1) for grid in grids] if turned else grids


@word("meshgrid/list_of_tensors")
def meshgrid_of_list(inputs: Any, *, indexing: str) -> Any:
    return meshgrid(*inputs, indexing=indexing)


@word("chunk", "unsafe_chunk")
def chunk(input: Any, chunks: int, dim: int = 0) -> Any:
    return split(input, -(-input.shape[dim] // chunks), dim)


@word("split", "split/list_args", "split_with_sizes", "split_with_sizes_copy", "unsafe_split")
def split(input: Any, sizes: Any, dim: int = 0) -> Any:
    """Cut into pieces of one size, or of the sizes listed."""
    if isinstance(sizes, int):
        ends = range(sizes, input.shape[dim], sizes)
    else:
        ends = np.cumsum(sizes)[:-1]
    return np.split(input, [int(end) for end in ends], axis=dim)


@word("tensor_split")
def tensor_split(input: Any, sections: Any, dim: int = 0) -> Any:
    sections = int(sections) if np.ndim(sections) == 0 else [int(end) for end in sections]
    return np.array_split(input, sections, axis=dim)


@word("unbind", "unbind_copy")
def unbind(input: Any, dim: int = 0) -> Any:
    front = np.moveaxis(input, dim, 0)
    return [front[i] for i in range(front.shape[0])]
