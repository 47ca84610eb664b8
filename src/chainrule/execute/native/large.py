"""Products of large matrices as machine code of their own.

The order of work is that of Goto and van de Geijn, Anatomy of High-Performance Matrix
Multiplication, ACM Transactions on Mathematical Software 34 (2008), with what follows from sizes
that are known while the code is written, and from caches that have grown since:

* k is cut into pieces of at most `_DEPTH` numbers; most products have only one.
* A panel of B, some columns that are two vectors wide, stays in the second cache or in the first
  while all tiles of the rows of C are multiplied with it. If B lies by columns it is transposed.
* Otherwise A and B are read where they lie, unless their rows are so far apart that they compete
  for the same places of the caches, and they are read often: then they are copied.

Rows of C are given out so that the heights of tiles differ by one at most, and a tile is written
for either height: nothing is computed twice or thrown away at an edge, but for lanes of the last
vector. Each number of C is a sum in the order of k, wherever its tile begins, so threads that
share the rows get the same bits as one alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from llvmlite import ir

from chainrule.execute.native.lanes import Lanes
from chainrule.execute.native.tiles import (
    Tile,
    copy_rows,
    least,
    number,
    repeated,
    tile_function,
    write_panel,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chainrule.execute.native.small import Multiplication

__all__ = ["is_large", "large_product", "large_work"]

_INT, _POINTER = ir.IntType(64), ir.PointerType()
_LINE = 64
"""Bytes of a line of the caches."""
_WAY = 4096
"""Bytes between numbers that compete for the same places of the first cache."""
_DEPTH = 1024
"""Numbers of a row of A up to which k is not cut. Measured: a quarter of it is a tenth slower."""
_SUM = 384
"""Numbers that are added up one after the other; more, and rounding would show."""
_HIGHEST = ({1: 10, 2: 6}, {1: 24, 2: 14, 4: 6})
"""Rows of a tile by vectors of a row: what 16 and 32 registers hold, with some for A and B."""
_SHORT = 32
"""Products in a sum up to which storing C counts."""
_COPY = 2**22
"""Bytes of A that are copied at a time. Measured: from the third cache tiles are as quick."""
_OFTEN = 16
"""How often an operand that lies badly must be read for a copy to be worth it."""
_SHORTEST = 16
"""Products that a sum must have at least: one vector."""
_LARGEST = {16: 2**21, 8: 2**19}
"""Multiplications up to which a product whose B lies by rows is left to `small`, by lanes."""
_TRANSPOSED = 2**18
"""The same if B lies by columns."""
_LOWEST = (64, 16)
"""Rows that a product must have if B lies by columns: up to `_LARGEST`, and beyond."""
_NARROWEST = 8
"""Columns that a product must have if B lies by rows."""


class _Plan(NamedTuple):
    """How a product is cut.

    Attributes
    ----------
    lanes
        How many numbers a vector has.
    vectors
        Of a row of a tile.
    rows, tiles, larger
        So many tiles lie below each other. The first `larger` ones, at least one, have a row more
        than `rows`.
    pieces, depth
        Into how many pieces k is cut, and the length of the longest.
    part
        How many products are added up one after the other.
    groups
        Into how many groups the tiles are divided, whose rows of A are copied together.
    stride, room
        The distance at which the rows, or columns, of A lie in a copy, and how many numbers the
        copy has room for; 0 if there is none.
    copies_b
        Whether each panel of B is copied, not only those that cannot be loaded as they lie.
    """

    lanes: int
    vectors: int
    rows: int
    tiles: int
    larger: int
    pieces: int
    depth: int
    part: int
    groups: int
    stride: int
    room: int
    copies_b: bool

    @property
    def width(self) -> int:
        """How many columns a panel has."""
        return self.vectors * self.lanes

    @property
    def panel(self) -> int:
        """How many numbers a panel has."""
        return self.width * self.depth


def is_large(x: Multiplication, lanes: int) -> bool:
    """Return whether a product is computed here, rather than by a form of `small` or by BLAS.

    Smaller ones are as quick in other forms, whose code takes half as long to compile. Where B
    lies by columns, few rows do not pay for its being transposed: a sum across lanes is quicker,
    for as long as it is quicker than BLAS. With 4 lanes there is no telling what a BLAS can do:
    some processors have units that LLVM does not know.

    Parameters
    ----------
    x
        The product.
    lanes
        How many numbers of 4 bytes a vector register holds.
    """
    size = x.m * x.n * x.k
    if lanes < 8 or x.k < _SHORTEST or 1 not in x.a:
        return False
    is_beyond = size > _LARGEST[lanes]
    if x.b[1] == 1:
        return is_beyond and x.m >= 2 and x.n >= _NARROWEST
    return x.b[0] == 1 and size > _TRANSPOSED and x.m >= _LOWEST[is_beyond] and x.n >= lanes


def large_work(x: Multiplication, lanes: int) -> int:
    """Return how many bytes of work memory the function of a product needs.

    They are best at a multiple of 64; each thread needs its own.
    """
    plan = _plan(x, lanes)
    return (plan.panel + plan.room) * x.dtype.itemsize


def large_product(
    module: ir.Module, x: Multiplication, lanes: int, *, masks: bool, shared: bool = False
) -> ir.Function:
    """Return the function of a module that computes a product, written if it is not there yet.

    Its signature is ``void product(T *a, T *b, T *c, char *work)``.

    Parameters
    ----------
    module
        Where it goes.
    x
        What it computes. It is not `turned`.
    lanes, masks
        As for `Frame`.
    shared
        Whether the function has one more argument, ``int64_t rows``: how many rows of A and C
        there are, `x.m` or one less.
    """
    name = f"{x.name}_large" + "_shared" * shared
    function = module.globals.get(name)
    if function is None:
        kind = ir.FunctionType(ir.VoidType(), [*[_POINTER] * 4, *[_INT] * shared])
        function = ir.Function(module, kind, name)
        function.linkage = "internal"
        _Writer(function, x, _plan(x, lanes), masks=masks).write()
    return function


def _plan(x: Multiplication, lanes: int) -> _Plan:
    """Return how a product is cut."""
    itemsize = x.dtype.itemsize
    width = lanes * 4 // itemsize
    by_rows = x.a[1] == 1
    competes = max(x.a) * itemsize % _WAY == 0
    vectors = min(2, -(-x.n // width))
    if lanes == 16 and x.k <= _SHORT and x.n * itemsize % _WAY == 0:
        vectors = 4  # fewer rows of C, which compete, at a time
    highest = _HIGHEST[lanes == 16][vectors]
    if competes and by_rows and vectors == 1:
        highest = 8  # as many rows as the first cache has room for in one place
    tiles = -(-x.m // highest)
    rows = (x.m - 1) // tiles
    pieces = -(-x.k // _DEPTH)
    depth = -(-x.k // pieces)
    groups, stride, room = 1, 0, 0
    if competes and -(-x.n // (vectors * width)) > _OFTEN and x.m > width:
        groups = -(-x.m * depth * itemsize // _COPY)
        groups = max(1, min(groups, tiles // -(-width // rows)))  # a vector of rows in each
        height = -(-tiles // groups) * (rows + 1)
        stride = (-(-(depth if by_rows else height) * itemsize // _LINE) | 1) * _LINE // itemsize
        room = (height if by_rows else depth) * stride
    copies_b = x.b[1] != 1 or (x.b[0] * itemsize % _WAY == 0 and tiles > _OFTEN)
    return _Plan(
        lanes=width,
        vectors=vectors,
        rows=rows,
        tiles=tiles,
        larger=x.m - rows * tiles,
        pieces=pieces,
        depth=depth,
        part=-(-depth // -(-depth // _SUM)),
        groups=groups,
        stride=stride,
        room=room,
        copies_b=copies_b,
    )


class _Writer:
    """What writes the function of one product."""

    def __init__(
        self, function: ir.Function, x: Multiplication, plan: _Plan, *, masks: bool
    ) -> None:
        self.x, self.plan, self.masks = x, plan, masks
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.code = Lanes(self.builder, x.dtype, plan.lanes, masks=masks)
        self.a, self.b, self.c, self.panel = function.args[:4]
        self.copy = self.code.at(self.panel, [(plan.panel, 1)])
        self.strides = x.a
        if plan.stride:
            self.strides = (plan.stride, 1) if x.a[1] == 1 else (1, plan.stride)
        self.larger: ir.Value = number(plan.larger)
        self.shared = len(function.args) > 4
        if self.shared:
            fewer = self.builder.sub(number(x.m), function.args[4])
            self.larger = self.builder.sub(self.larger, fewer)

    def write(self) -> None:
        """Write all."""
        repeated(self.code, number(self.plan.pieces), [], self._piece)
        self.builder.ret_void()

    def _piece(self, index: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        """Multiply a piece of the columns of A with the rows of B that go with them."""
        start, end = self._cut(index, self.x.k, self.plan.pieces)
        depth = self.builder.sub(end, start)
        if self.plan.pieces == 1:
            depth = number(self.x.k)
        adds = self.builder.icmp_signed(">", index, number(0))
        b = self.code.at(self.b, [(start, self.x.b[0])])

        def group(g: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            first, last = self._cut(g, self.plan.tiles, self.plan.groups)
            before = least(self.builder, first, self.larger)
            larger = self.builder.sub(least(self.builder, last, self.larger), before)
            tiles = self.builder.sub(last, first)
            row = self.builder.add(self.builder.mul(first, number(self.plan.rows)), before)
            a = self.code.at(self.a, [(row, self.x.a[0]), (start, self.x.a[1])])
            if self.plan.stride:
                rows = self.builder.add(self.builder.mul(tiles, number(self.plan.rows)), larger)
                sizes = (rows, depth) if self.x.a[1] == 1 else (depth, rows)
                copy_rows(self.code, *sizes, (a, max(self.x.a)), (self.copy, self.plan.stride))
                a = self.copy
            smaller = self.builder.sub(tiles, larger)
            c = self.code.at(self.c, [(row, self.x.n)])
            self._panels((a, b, c), (larger, smaller), depth, adds)
            return []

        repeated(self.code, number(self.plan.groups), [], group)
        return []

    def _cut(self, index: ir.Value, length: int, parts: int) -> tuple[ir.Value, ir.Value]:
        """Return where a part of a length begins and ends; all are equally long, or nearly."""
        builder = self.builder
        if parts == 1:
            return number(0), number(length)
        following = builder.add(index, number(1))
        begin, end = (
            builder.udiv(builder.mul(i, number(length)), number(parts)) for i in (index, following)
        )
        return begin, end

    def _panels(
        self,
        at: tuple[ir.Value, ir.Value, ir.Value],
        times: tuple[ir.Value, ir.Value],
        depth: ir.Value,
        adds: ir.Value,
    ) -> None:
        """Compute a group of tiles, and others like it to its right."""
        a, b, c = at
        lanes, width = self.plan.lanes, self.plan.width
        full, rest = divmod(self.x.n, width)

        def panel(column: ir.Value, counts: Sequence[int]) -> None:
            start, stride = self.code.at(b, [(column, self.x.b[1])]), self.x.b[0]
            copies = self.plan.copies_b or (counts[-1] < lanes and not self.masks)
            if copies:
                write_panel(self.code, self.x.b, counts, depth, (start, self.panel))
                start, stride = self.panel, len(counts) * lanes
            tile = Tile(
                dtype=self.x.dtype,
                lanes=lanes,
                masks=self.masks,
                rows=0,
                vectors=len(counts),
                stored=counts[-1],
                filled=copies,
                a=self.strides,
                b=stride,
                c=self.x.n,
                depth=self.x.k if self.x.k <= self.plan.part else 0,
                part=self.plan.part,
            )
            place = self.code.at(c, [(column, 1)])
            self._tiles((a, start, place), tile, times, (depth, adds))

        def whole(j: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            panel(self.builder.mul(j, number(width)), [lanes] * self.plan.vectors)
            return []

        repeated(self.code, number(full), [], whole)
        if rest:
            counts = [min(lanes, rest - start) for start in range(0, rest, lanes)]
            panel(number(self.x.n - rest), counts)

    def _tiles(
        self,
        at: tuple[ir.Value, ir.Value, ir.Value],
        tile: Tile,
        times: tuple[ir.Value, ir.Value],
        last: tuple[ir.Value, ir.Value],
    ) -> None:
        """Compute the tiles of a panel, first those that have a row more."""
        plan = self.plan
        a, b, c = at
        for rows, count in zip((plan.rows + 1, plan.rows), times, strict=True):
            is_some = rows > plan.rows or self.shared or plan.larger < plan.tiles
            if not (rows and is_some):
                continue
            function = tile_function(self.builder.module, tile._replace(rows=rows))

            def step(
                _: ir.Value,
                carried: list[ir.Value],
                function: ir.Function = function,
                rows: int = rows,
            ) -> list[ir.Value]:
                a, c = carried
                self.builder.call(function, [a, b, c, *last])
                return [self.code.at(a, [(rows, tile.a[0])]), self.code.at(c, [(rows, tile.c)])]

            a, c = repeated(self.code, count, [a, c], step)
