"""Convolution and pooling: windows by tables of indices, then a product or a reduction."""

from __future__ import annotations

from math import ceil
from string import ascii_letters
from typing import Any

import numpy as np

from chainrule import ops
from peers.words.table import word


def each(value: Any, rank: int) -> tuple[Any, ...]:
    """Return one number for each axis: PyTorch lets one number stand for all."""
    if isinstance(value, (tuple, list)):
        return tuple(value) if len(value) == rank else tuple(value) * rank
    return (value,) * rank


def padded(input: Any, widths: Any, value: float) -> Any:
    """Pad the last axes by pairs of widths."""
    return np.pad(
        input, [(0, 0)] * (input.ndim - len(widths)) + list(widths), constant_values=value
    )


def windows(input: Any, tables: Any) -> Any:
    """Read one table (places × window) along each of the last axes; the windows go last."""
    rank = len(tables)
    lead = input.ndim - rank
    for i, table in enumerate(tables):
        input = np.take(input, table, axis=lead + 2 * i)
    order = [*range(lead), *range(lead, lead + 2 * rank, 2), *range(lead + 1, lead + 2 * rank, 2)]
    return np.transpose(input, order)


def table_of(places: int, size: int, stride: int, dilation: int) -> Any:
    """Return the indices of each window along one axis."""
    return np.arange(places)[:, None] * stride + np.arange(size) * dilation


@word("nn.functional.conv1d", "nn.functional.conv2d", "nn.functional.conv3d")
def convolve(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """Cross-correlation of each group's channels with its filters."""
    rank = weight.ndim - 2
    stride, dilation = each(stride, rank), each(dilation, rank)
    sizes = weight.shape[2:]
    spans = [d * (k - 1) for d, k in zip(dilation, sizes, strict=True)]
    if padding == "same":
        widths = [(s // 2, s - s // 2) for s in spans]
    else:
        widths = [(p, p) for p in each(0 if padding == "valid" else padding, rank)]
    whole = padded(input if input.ndim > rank + 1 else input[None], widths, 0.0)
    lengths = whole.shape[2:]
    tables = [
        table_of((n - span - 1) // s + 1, k, s, d)
        for n, span, k, s, d in zip(lengths, spans, sizes, stride, dilation, strict=True)
    ]
    output = product_of_windows(windows(whole, tables), weight, groups, rank)
    if bias is not None:
        output = output + np.reshape(bias, (-1, *(1,) * rank))
    return output if input.ndim > rank + 1 else output[0]


def product_of_windows(seen: Any, weight: Any, groups: int, rank: int) -> Any:
    """Contract windows (batch, channels, places…, window…) with filters, group by group."""
    batch, channels, *rest = seen.shape
    seen = np.reshape(seen, (batch, groups, channels // groups, *rest))
    filters = np.reshape(weight, (groups, weight.shape[0] // groups, *weight.shape[1:]))
    places, inside = ascii_letters[10 : 10 + rank], ascii_letters[20 : 20 + rank]
    output = np.einsum(f"bgc{places}{inside},goc{inside}->bgo{places}", seen, filters)
    return np.reshape(output, (batch, weight.shape[0], *rest[:rank]))


@word(*(f"nn.functional.conv_transpose{rank}d" for rank in (1, 2, 3)))
def convolve_transposed(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """Spread the input apart by the stride, then correlate with the filters turned round."""
    rank = weight.ndim - 2
    stride, padding, extra, dilation = (
        each(x, rank) for x in (stride, padding, output_padding, dilation)
    )
    lead = input.shape[: input.ndim - rank]
    lengths = input.shape[input.ndim - rank :]
    apart = np.reshape(input, (*lead, *(m for n in lengths for m in (n, 1))))
    apart = np.pad(apart, [(0, 0)] * len(lead) + [w for s in stride for w in ((0, 0), (0, s - 1))])
    apart = np.reshape(apart, (*lead, *(n * s for n, s in zip(lengths, stride, strict=True))))
    crop = tuple(slice((n - 1) * s + 1) for n, s in zip(lengths, stride, strict=True))
    apart = apart[(..., *crop)]
    spans = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    widths = [(s - p, s - p + e) for s, p, e in zip(spans, padding, extra, strict=True)]
    inner = tuple(
        slice(max(-a, 0), n - max(-b, 0))
        for (a, b), n in zip(widths, apart.shape[-rank:], strict=True)
    )
    apart = padded(apart[(..., *inner)], [(max(a, 0), max(b, 0)) for a, b in widths], 0.0)
    filters = np.reshape(weight, (groups, weight.shape[0] // groups, *weight.shape[1:]))
    filters = np.flip(np.swapaxes(filters, 1, 2), tuple(range(-rank, 0)))
    filters = np.reshape(filters, (-1, *filters.shape[2:]))
    return convolve(apart, filters, bias, dilation=dilation, groups=groups)


@word("nn.functional.unfold")
def unfold(
    input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    images = input if input.ndim == 4 else input[None]
    columns = ops.unfold(images, kernel_size, dilation, padding, stride)
    return columns if input.ndim == 4 else columns[0]


def pooling(
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    rank: int,
) -> Any:
    """Return the tables of a pooling and the widths to pad by, the overhang last."""
    size, pad, dilation = (each(x, rank) for x in (kernel_size, padding, dilation))
    stride = size if stride is None or stride == () else each(stride, rank)
    tables, overhang = [], []
    for n, k, s, p, d in zip(input.shape[-rank:], size, stride, pad, dilation, strict=True):
        span = d * (k - 1) + 1
        places = (ceil if ceil_mode else int)((n + 2 * p - span) / s) + 1
        if ceil_mode and (places - 1) * s >= n + p:
            places -= 1
        tables.append(table_of(places, k, s, d))
        overhang.append((0, max((places - 1) * s + span - n - 2 * p, 0)))
    return tables, [(p, p) for p in pad], overhang


def pool_largest(rank: int) -> Any:
    """Return the word for max pooling over the last ``rank`` axes."""

    def pool(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        tables, widths, overhang = pooling(
            input, kernel_size, stride, padding, dilation, ceil_mode, rank
        )
        both = [(a, b + more) for (a, b), (_, more) in zip(widths, overhang, strict=True)]
        seen = windows(padded(input, both, -np.inf), tables)
        return np.max(seen, axis=tuple(range(-rank, 0)))

    return pool


def pool_mean(rank: int) -> Any:
    """Return the word for average pooling over the last ``rank`` axes."""

    def pool(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Any:
        tables, widths, overhang = pooling(input, kernel_size, stride, padding, 1, ceil_mode, rank)
        axis = tuple(range(-rank, 0))
        total = np.sum(
            windows(padded(padded(input, widths, 0.0), overhang, 0.0), tables), axis=axis
        )
        ones = padded(np.ones(input.shape[-rank:]), widths, float(count_include_pad))
        counted = np.sum(windows(padded(ones, overhang, 0.0), tables), axis=axis)
        return total / (counted if divisor_override is None else divisor_override)

    return pool


for _rank in (1, 2, 3):
    word(f"nn.functional.max_pool{_rank}d")(pool_largest(_rank))
    word(f"nn.functional.avg_pool{_rank}d")(pool_mean(_rank))


def adaptive(reduce: Any, rank: int) -> Any:
    """Return the word for pooling into a given number of places along the last axes."""

    def pool(input: Any, output_size: Any, return_indices: bool = False) -> Any:
        sizes = zip(each(output_size, rank), input.shape[-rank:], strict=True)
        for axis, (places, n) in zip(range(-rank, 0), list(sizes), strict=True):
            input = reduce(input, axis, n, n if places is None else places)
        return input

    return pool


def edges(n: int, places: int) -> list[tuple[int, int]]:
    """Return where each of nearly equal, perhaps overlapping windows begins and ends."""
    return [(i * n // places, -(-(i + 1) * n // places)) for i in range(places)]


def mean_along(input: Any, axis: int, n: int, places: int) -> Any:
    """Average the windows of one axis, by a product with a matrix of shares."""
    shares = np.zeros((n, places))
    for i, (start, end) in enumerate(edges(n, places)):
        shares[start:end, i] = 1 / (end - start)
    return np.moveaxis(np.moveaxis(input, axis, -1) @ shares, -1, axis)


def largest_along(input: Any, axis: int, n: int, places: int) -> Any:
    """Take the largest of each window of one axis."""
    lead = (slice(None),) * (input.ndim + axis)
    return np.stack(
        [np.max(input[(*lead, slice(*edge))], axis=axis) for edge in edges(n, places)], axis=axis
    )


for _rank in (1, 2, 3):
    word(f"nn.functional.adaptive_avg_pool{_rank}d")(adaptive(mean_along, _rank))
    word(f"nn.functional.adaptive_max_pool{_rank}d")(adaptive(largest_along, _rank))
