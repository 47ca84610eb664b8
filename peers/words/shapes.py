"""The same numbers under another shape, in another order, or seen through a window."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from peers.words.table import enter_word, word

for _name in ("fliplr", "flipud"):
    enter_word(_name, getattr(np, _name))

for _name in ("reshape", "view", "view_copy"):
    enter_word(_name, np.reshape)

for _name in ("reshape_as", "view_as"):
    enter_word(_name, lambda input, other: np.reshape(input, other.shape))

for _name in ("permute", "permute_copy"):
    enter_word(_name, np.transpose)

for _name in ("H", "T", "t", "t_copy"):
    enter_word(_name, lambda input: input.T)

for _name in ("mH", "mT"):
    enter_word(_name, lambda input: np.swapaxes(input, -1, -2))

enter_word("ravel", np.ravel)
enter_word("movedim", np.moveaxis)
enter_word("broadcast_to", np.broadcast_to)
enter_word("expand_as", lambda input, other: np.broadcast_to(input, other.shape))
enter_word("broadcast_tensors", np.broadcast_arrays)
enter_word("rot90", lambda input, k=1, dims=(0, 1): np.rot90(input, k, dims))


@word("flip")
def flip(input: Any, dims: Any) -> Any:
    return np.flip(input, dims)


@word("expand", "expand_copy")
def expand(input: Any, shape: Any) -> Any:
    """Broadcast, where -1 keeps an axis as it is."""
    kept = (None,) * (len(shape) - input.ndim) + input.shape
    return np.broadcast_to(
        input, tuple(k if n == -1 else n for n, k in zip(shape, kept, strict=True))
    )


@word("flatten")
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    if input.ndim == 0:
        return np.reshape(input, (1,))
    first, last = start_dim % input.ndim, end_dim % input.ndim + 1
    middle = prod(input.shape[first:last])
    return np.reshape(input, (*input.shape[:first], middle, *input.shape[last:]))


@word("unflatten")
def unflatten(input: Any, dim: int, sizes: Any) -> Any:
    axis = dim % input.ndim
    known = prod(size for size in sizes if size != -1)
    sizes = tuple(input.shape[axis] // known if size == -1 else size for size in sizes)
    return np.reshape(input, input.shape[:axis] + sizes + input.shape[axis + 1 :])


@word("squeeze", "squeeze/multiple", "squeeze_copy")
def squeeze(input: Any, dim: Any = None) -> Any:
    """Drop axes of length 1; PyTorch leaves an axis of another length alone."""
    if dim is None:
        return np.squeeze(input)
    axes = [axis % max(input.ndim, 1) for axis in (dim if isinstance(dim, tuple) else (dim,))]
    return np.squeeze(input, axis=tuple(a for a in axes if input.ndim and input.shape[a] == 1))


@word("transpose", "transpose_copy")
def transpose(input: Any, first: int, second: int) -> Any:
    return np.swapaxes(input, first, second) if input.ndim else input * 1.0


@word("as_strided", "as_strided_copy")
def as_strided(input: Any, size: Any, stride: Any, storage_offset: int = 0) -> Any:
    """Read the flat array at multiples of the strides, by an index table."""
    table = np.full((), storage_offset)
    for n, step in zip(size, stride, strict=True):
        table = table[..., None] + np.arange(n) * step
    return np.ravel(input)[table]


@word("unsqueeze", "unsqueeze_copy")
def unsqueeze(input: Any, dim: int) -> Any:
    return np.expand_dims(input, dim)


@word("tile", "repeat")
def tile(input: Any, *repeats: Any) -> Any:
    (repeats,) = repeats if isinstance(repeats[0], tuple) else (repeats,)
    return np.tile(input, repeats)


@word("repeat_interleave")
def repeat_interleave(input: Any, repeats: Any, dim: Any = None, output_size: Any = None) -> Any:
    return np.repeat(input, repeats, axis=dim)


@word("roll")
def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    return np.roll(input, shifts, axis=None if dims == () else dims)


@word("diag")
def diag(input: Any, diagonal: int = 0) -> Any:
    return np.diag(input, diagonal)


@word("diagonal", "diagonal_copy")
def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    return np.diagonal(input, offset, dim1, dim2)


@word("linalg.diagonal")
def diagonal_of_matrices(input: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    return np.diagonal(input, offset, dim1, dim2)


@word("diagflat")
def diagflat(input: Any, offset: int = 0) -> Any:
    return np.diagflat(input, offset)


@word("diag_embed")
def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Spread the last axis along a diagonal, by a product with shifted unit vectors."""
    size = input.shape[-1] + abs(offset)
    units = np.eye(input.shape[-1], size)
    rows = np.roll(units, max(-offset, 0), axis=1)
    columns = np.roll(units, max(offset, 0), axis=1)
    spread = np.einsum("...k,ki,kj->...ij", input, rows, columns)
    return np.moveaxis(spread, (-2, -1), (dim1, dim2))


@word("tril")
def tril(input: Any, diagonal: int = 0) -> Any:
    return np.tril(input, diagonal)


@word("triu")
def triu(input: Any, diagonal: int = 0) -> Any:
    return np.triu(input, diagonal)


@word("unfold", "unfold_copy")
def windows(input: Any, dimension: int, size: int, step: int) -> Any:
    """Windows along one axis, by an index table; the window becomes the last axis."""
    if input.ndim == 0:
        return np.reshape(input, (1,))[np.arange(size)]
    starts = np.arange(0, input.shape[dimension] - size + 1, step)
    seen = np.take(input, starts[:, None] + np.arange(size), axis=dimension)
    return np.moveaxis(seen, dimension % input.ndim + 1, -1)


@word("nn.functional.pixel_shuffle")
def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    r = upscale_factor
    *lead, channels, height, width = input.shape
    apart = np.reshape(input, (*lead, channels // r**2, r, r, height, width))
    turned = np.moveaxis(apart, (-4, -3), (-3, -1))
    return np.reshape(turned, (*lead, channels // r**2, height * r, width * r))


@word("nn.functional.pixel_unshuffle")
def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    r = downscale_factor
    *lead, channels, height, width = input.shape
    apart = np.reshape(input, (*lead, channels, height // r, r, width // r, r))
    turned = np.moveaxis(apart, (-3, -1), (-4, -3))
    return np.reshape(turned, (*lead, channels * r**2, height // r, width // r))


@word("nn.functional.channel_shuffle")
def channel_shuffle(input: Any, groups: int) -> Any:
    batch, channels, *rest = input.shape
    apart = np.reshape(input, (batch, groups, channels // groups, *rest))
    return np.reshape(np.swapaxes(apart, 1, 2), input.shape)


@word("constant_pad_nd")
def constant_pad_nd(input: Any, pad: Any, value: float = 0) -> Any:
    return pad_last(input, pad, "constant", value)


@word(
    *(
        f"nn.functional.pad/{mode}"
        for mode in ("constant", "reflect", "replicate", "replicate_negative", "circular")
    )
)
def pad_last(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """Pad the last axes; PyTorch lists them from the last one, and a negative width crops."""
    widths = [(0, 0)] * (input.ndim - len(pad) // 2)
    widths += list(zip(pad[::2], pad[1::2], strict=True))[::-1]
    grow = [(max(a, 0), max(b, 0)) for a, b in widths]
    crop = tuple(slice(max(-a, 0), -max(-b, 0) or None) for a, b in widths)
    names = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    options = {"constant_values": value or 0.0} if mode == "constant" else {}
    if mode == "circular":
        return np.pad(input[crop], grow, names[mode], **options)
    return np.pad(input, grow, names[mode], **options)[crop]


@word("fft.fftshift")
def fftshift(input: Any, dim: Any = None) -> Any:
    return shifted(input, dim, lambda n: n // 2)


@word("fft.ifftshift")
def ifftshift(input: Any, dim: Any = None) -> Any:
    return shifted(input, dim, lambda n: -(n // 2))


def shifted(input: Any, dim: Any, by: Any) -> Any:
    """Roll each axis by an amount that depends on its length."""
    dims = range(input.ndim) if dim is None else dim if isinstance(dim, tuple) else (dim,)
    return np.roll(input, tuple(by(input.shape[axis]) for axis in dims), axis=tuple(dims))
