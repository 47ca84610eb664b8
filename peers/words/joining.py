"""Arrays put together and taken apart."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from peers.words.table import enter_word, word

for _name in ("hstack", "vstack", "dstack", "column_stack"):
    enter_word(_name, getattr(np, _name))

for _name in ("hsplit", "vsplit", "dsplit"):
    enter_word(_name, getattr(np, _name))


@word("cat")
def cat(inputs: Any, dim: int = 0) -> Any:
    """Concatenate; PyTorch passes over an operand of shape (0,)."""
    rank = max(x.ndim for x in inputs)
    return np.concatenate([x for x in inputs if x.ndim == rank], axis=dim)


@word("stack")
def stack(inputs: Any, dim: int = 0) -> Any:
    return np.stack(inputs, axis=dim)


@word("atleast_1d")
def atleast_1d(input: Any) -> Any:
    return np.atleast_1d(*input) if isinstance(input, list) else np.atleast_1d(input)


@word("atleast_2d")
def atleast_2d(input: Any) -> Any:
    return np.atleast_2d(*input) if isinstance(input, list) else np.atleast_2d(input)


@word("atleast_3d")
def atleast_3d(input: Any) -> Any:
    return np.atleast_3d(*input) if isinstance(input, list) else np.atleast_3d(input)


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
    grids = np.meshgrid(*inputs, indexing="ij")
    return np.stack([np.ravel(grid) for grid in grids], axis=1)


@word("meshgrid/variadic_tensors")
def meshgrid(*inputs: Any, indexing: str) -> Any:
    return np.meshgrid(*(np.atleast_1d(x) for x in inputs), indexing=indexing)


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
