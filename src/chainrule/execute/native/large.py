"""Products of large matrices as machine code of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from llvmlite import ir

from chainrule.execute.native.lanes import Lanes
from chainrule.execute.native.tiles import (
    Tile,
    copied,
    copied_panel,
    least,
    number,
    repeated,
    tile_function,
)

if TYPE_CHECKING:
    from chainrule.execute.native.small import Multiplication

__all__ = ["is_large", "large_product", "large_work"]

_INT, _POINTER = ir.IntType(64), ir.PointerType()
DEPTH = 512
GROUP = 2**19
COPY = None

class _Plan(NamedTuple):
    rows: int
    tiles: int
    larger: int
    vectors: int
    depth: int
    group: int
    copies: bool
    stride: int


def plan(x: Multiplication, lanes: int) -> _Plan:
    width = lanes * 4 // x.dtype.itemsize
    sums = 28 if lanes == 16 else 12
    vectors = min(2, -(-x.n // width))
    most = 14 if lanes == 16 else 6
    if vectors == 1:
        most = 24 if lanes == 16 else 10
    tiles = -(-x.m // most)
    rows = (x.m - 1) // tiles
    blocks = -(-x.k // (DEPTH * 4 // x.dtype.itemsize))
    depth = -(-x.k // blocks)
    if blocks > 1:
        depth = -(-depth // 16) * 16
    step = x.a[0] * x.dtype.itemsize
    by_rows = x.a[1] == 1
    copies = COPY if COPY is not None else (step % 2048 == 0 if by_rows else False)
    if by_rows:
        stride = (-(-depth * x.dtype.itemsize // 64) | 1) * 64 // x.dtype.itemsize
        group = max(1, GROUP // ((rows + 1) * depth * x.dtype.itemsize))
    else:
        group = max(1, GROUP // ((rows + 1) * depth * x.dtype.itemsize))
    groups = -(-tiles // group)
    group = -(-tiles // groups)
    if not by_rows:
        stride = (-(-(group * (rows + 1)) * x.dtype.itemsize // 64) | 1) * 64 // x.dtype.itemsize
    return _Plan(rows, tiles, x.m - rows * tiles, vectors, depth, group, copies, stride)


def large_work(x: Multiplication, lanes: int) -> int:
    """Return how many bytes of work memory a product needs."""
    p = plan(x, lanes)
    width = lanes * 4 // x.dtype.itemsize
    return x.dtype.itemsize * (p.depth * p.vectors * width + _copy(x, p))


def _copy(x, p):
    if not p.copies:
        return 0
    return p.stride * (p.group * (p.rows + 1) if x.a[1] == 1 else p.depth)


def large_product(module: ir.Module, x: Multiplication, lanes: int, *, masks: bool, shared: bool = False) -> ir.Function:
    p = plan(x, lanes)
    name = f"{x.name}_large" + "_shared" * shared
    function = module.globals.get(name)
    if function is not None:
        return function
    kind = ir.FunctionType(ir.VoidType(), [*[_POINTER] * 4, *[_INT] * shared])
    function = ir.Function(module, kind, name)
    function.linkage = "internal"
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    code = Lanes(builder, x.dtype, lanes * 4 // x.dtype.itemsize, masks=masks)
    a, b, c, work = function.args[:4]
    larger = number(p.larger)
    if shared:
        larger = builder.sub(larger, builder.sub(number(x.m), function.args[4]))
    width = code.lanes
    full, rest = divmod(x.n, p.vectors * width)
    panel = work
    copy = code.at(work, [(p.depth * p.vectors * width, 1)])
    blocks = -(-x.k // p.depth)
    strides = x.a
    if p.copies:
        strides = (p.stride, 1) if x.a[1] == 1 else (1, p.stride)
    
    def block(j, _):
        start = builder.mul(j, number(p.depth))
        depth = least(builder, number(p.depth), builder.sub(number(x.k), start)) if blocks > 1 else number(x.k)
        adds = builder.icmp_signed(">", j, number(0))
        b0 = code.at(b, [(start, x.b[0])])

        def group(g, _):
            first = builder.mul(g, number(p.group))
            last = least(builder, builder.add(first, number(p.group)), number(p.tiles))
            before = least(builder, first, larger)
            large = builder.sub(least(builder, last, larger), before)
            small = builder.sub(builder.sub(last, first), large)
            row = builder.add(builder.mul(first, number(p.rows)), before)
            a0 = code.at(a, [(row, x.a[0]), (start, x.a[1])])
            c0 = code.at(c, [(row, x.n)])
            if p.copies:
                rows = builder.add(builder.mul(builder.sub(last, first), number(p.rows)), large)
                if x.a[1] == 1:
                    copied(code, (rows, depth), (a0, x.a[0]), (copy, p.stride))
                else:
                    copied(code, (depth, rows), (a0, x.a[1]), (copy, p.stride))
                a0 = copy

            def strip(column, counts):
                copied_panel(code, x.b, counts, (code.at(b0, [(column, x.b[1])]), panel), depth)
                carried = [a0, code.at(c0, [(column, 1)])]
                for rows, times in ((p.rows + 1, large), (p.rows, small)):
                    if not rows or (rows == p.rows and p.larger == p.tiles and not shared):
                        continue
                    tile = Tile(x.dtype, width, masks, rows, len(counts), counts[-1], strides, x.n, x.k if blocks == 1 else 0)
                    f = tile_function(module, tile)
                    def body(_, carried):
                        builder.call(f, [carried[0], panel, carried[1], depth, adds])
                        return [code.at(carried[0], [(rows, strides[0])]), code.at(carried[1], [(rows, x.n)])]
                    carried = repeated(code, times, carried, body)

            def whole(j, _):
                strip(builder.mul(j, number(p.vectors * width)), [width] * p.vectors)
                return []
            repeated(code, number(full), [], whole)
            if rest:
                counts = [min(width, rest - s) for s in range(0, rest, width)]
                strip(number(full * p.vectors * width), counts)
            return []

        repeated(code, number(-(-p.tiles // p.group)), [], group)
        return []

    repeated(code, number(blocks), [], block)
    builder.ret_void()
    return function


def is_large(x: Multiplication, lanes: int) -> bool:
    return x.m >= 32 and x.n >= 16 and x.k >= 16
