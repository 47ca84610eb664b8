"""Pieces of a product of large matrices: a tile of C in registers, and copies of the operands.

The tile is a function of the module. For each k it loads one row of a panel of B, some vectors
that lie one after the other, and spreads one number of each row of A; so A may lie by rows or by
columns, and is not rearranged. All distances are constants in the instructions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llvmlite import ir

from chainrule.execute.native.lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

__all__ = ["Tile", "copy_rows", "least", "number", "repeated", "tile_function", "write_panel"]

_INT, _BIT, _POINTER = ir.IntType(64), ir.IntType(1), ir.PointerType()


class Tile(NamedTuple):
    """Rows and columns of C that are computed together.

    Attributes
    ----------
    dtype, lanes, masks
        As for `Lanes`.
    rows, vectors
        Its rows, and the vectors of a row.
    stored
        How many of the lanes of a row's last vector there are in C.
    a, c
        The strides of A, and the distance between rows of C.
    depth
        How many numbers of a row of A are multiplied; 0 if that is known only when it runs, and
        also whether they are added to what is in C.
    """

    dtype: np.dtype[Any]
    lanes: int
    masks: bool
    rows: int
    vectors: int
    stored: int
    a: tuple[int, int]
    c: int
    depth: int

    @property
    def name(self) -> str:
        """What its function is called."""
        numbers = (self.lanes, int(self.masks), self.rows, self.vectors, self.stored)
        rest = (*self.a, self.c, self.depth)
        return f"tile_{self.dtype.char}_" + "_".join(map(str, numbers + rest))


def tile_function(module: ir.Module, tile: Tile) -> ir.Function:
    """Return the function ``void tile(T *a, T *panel, T *c, int64_t depth, bool adds)``."""
    function = module.globals.get(tile.name)
    if function is not None:
        return function
    kind = ir.FunctionType(ir.VoidType(), [*[_POINTER] * 3, _INT, _BIT])
    function = ir.Function(module, kind, tile.name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    a, panel, c, depth, adds = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    code = Lanes(builder, tile.dtype, tile.lanes, masks=tile.masks)
    counts = [*[tile.lanes] * (tile.vectors - 1), tile.stored]
    places = [
        (code.at(c, [(r, tile.c), (v * tile.lanes, 1)]), count)
        for r in range(tile.rows)
        for v, count in enumerate(counts)
    ]
    if tile.depth:
        depth = number(tile.depth)
        totals: list[ir.Value] = [code.zero(tile.lanes)] * len(places)
    else:
        totals = _begun(code, adds, places)
    totals = _multiplied(code, tile, depth, (a, panel), totals)
    for (place, count), total in zip(places, totals, strict=True):
        code.store_part(total, place, count)
    builder.ret_void()
    return function


def _begun(code: Lanes, adds: ir.Value, places: Sequence[tuple[ir.Value, int]]) -> list[ir.Value]:
    """Return what is in C if something is added to it, or zeros."""
    builder, entry = code.builder, code.builder.block
    load, after = (builder.append_basic_block(name) for name in ("load", "after"))
    builder.cbranch(adds, load, after)
    builder.position_at_end(load)
    before = [code.load_part(place, count, code.lanes) for place, count in places]
    builder.branch(after)
    builder.position_at_end(after)
    totals = []
    for x in before:
        phi = builder.phi(x.type)
        phi.add_incoming(code.zero(code.lanes), entry)
        phi.add_incoming(x, load)
        totals.append(phi)
    return totals


def _multiplied(
    code: Lanes,
    tile: Tile,
    depth: ir.Value,
    starts: tuple[ir.Value, ir.Value],
    totals: list[ir.Value],
) -> list[ir.Value]:
    """Return the sums of a tile, row by row.

    One step is written: some forty instructions, against which those of the loop do not count.
    A number is loaded into a register because two multiplications take it.
    """
    vectors, lanes = tile.vectors, tile.lanes

    def step(_: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
        a, panel, *totals = carried
        row = [code.load(code.at(panel, [(v * lanes, 1)]), lanes) for v in range(vectors)]
        for r in range(tile.rows):
            spread = code.spread(code.at(a, [(r, tile.a[0])]), lanes)
            for v, x in enumerate(row, r * vectors):
                totals[v] = code.fma(spread, x, totals[v])
        return [code.at(a, [(1, tile.a[1])]), code.at(panel, [(vectors * lanes, 1)]), *totals]

    return repeated(code, depth, [*starts, *totals], step)[2:]


# --------------------------------------------------------------------------------- copies


def copy_rows(
    code: Lanes,
    rows: ir.Value,
    columns: ir.Value,
    source: tuple[ir.Value, int],
    target: tuple[ir.Value, int],
) -> None:
    """Copy rows that are at least as long as a vector, so that they lie otherwise apart.

    Parameters
    ----------
    source, target
        Where the first row begins, and the distance of one to the next.
    """

    def row(r: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        here, there = (code.at(start, [(r, stride)]) for start, stride in (source, target))

        def part(j: ir.Value) -> None:
            x = code.load(code.at(here, [(j, 1)]), code.lanes)
            code.store(x, code.at(there, [(j, 1)]))

        _along(code, columns, code.lanes, part)
        return []

    repeated(code, rows, [], row)


def write_panel(
    code: Lanes,
    strides: tuple[int, int],
    counts: Sequence[int],
    depth: ir.Value,
    at: tuple[ir.Value, ir.Value],
) -> None:
    """Copy columns of B into a panel, where the vectors of a row lie one after the other.

    Parameters
    ----------
    strides
        Of B; one of them is 1.
    counts
        How many lanes of each vector of a row there are in B. The others are 0 in the panel.
    depth
        How many rows there are, at least as many as a vector has lanes.
    at
        Where the columns begin, and the panel.
    """
    width = len(counts) * code.lanes
    if strides[1] == 1:

        def row(_: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            here, there = carried
            starts = range(0, width, code.lanes)
            parts = [
                code.load_part(code.at(here, [(s, 1)]), count, code.lanes)
                for s, count in zip(starts, counts, strict=True)
            ]
            for s, x in zip(starts, parts, strict=True):
                code.store(x, code.at(there, [(s, 1)]))
            return [code.at(here, [(1, strides[0])]), code.at(there, [(width, 1)])]

        repeated(code, depth, list(at), row)
        return

    def group(v: ir.Value, count: int) -> None:
        here = code.at(at[0], [(v, code.lanes * strides[1])])
        _transpose(code, strides[1], count, depth, (here, code.at(at[1], [(v, code.lanes)]), width))

    def whole(v: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        group(v, code.lanes)
        return []

    full = sum(count == code.lanes for count in counts)
    repeated(code, number(full), [], whole)
    if full < len(counts):
        group(number(full), counts[-1])


def _transpose(
    code: Lanes,
    stride: int,
    count: int,
    depth: ir.Value,
    at: tuple[ir.Value, ir.Value, int],
) -> None:
    """Write columns of B that lie so far apart as vectors, square by square."""
    here, there, width = at

    def square(j: ir.Value) -> None:
        rows = [code.load(code.at(here, [(q, stride), (j, 1)]), code.lanes) for q in range(count)]
        rows += [code.zero(code.lanes)] * (code.lanes - count)
        for q, x in enumerate(code.transposed(rows)):
            code.store(x, code.at(there, [(j, width), (q, width)]))

    _along(code, depth, code.lanes, square)


# -------------------------------------------------------------------------------- control


def number(x: int) -> ir.Constant:
    """Return an integer as a constant."""
    return ir.Constant(_INT, x)


def least(builder: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    """Return the lesser of two integers."""
    return builder.select(builder.icmp_signed("<", x, y), x, y)


def _along(code: Lanes, length: ir.Value, step: int, body: Callable[[ir.Value], None]) -> None:
    """Repeat a body for the starts of steps; the last one ends where the length does."""
    builder = code.builder
    last = builder.sub(length, number(step))

    def part(j: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        body(least(builder, builder.mul(j, number(step)), last))
        return []

    times = builder.udiv(builder.add(length, number(step - 1)), number(step))
    repeated(code, times, [], part)


def repeated(
    code: Lanes,
    times: ir.Value,
    before: Sequence[ir.Value],
    body: Callable[[ir.Value, list[ir.Value]], list[ir.Value]],
) -> list[ir.Value]:
    """Repeat a body as often as is known when it runs, perhaps never; else as `Lanes.loop`."""
    if isinstance(times, ir.Constant):
        return code.loop(times.constant, before, body)
    builder, entry = code.builder, code.builder.block
    block, after = (builder.append_basic_block(name) for name in ("loop", "after"))
    builder.cbranch(builder.icmp_signed(">", times, number(0)), block, after)
    builder.position_at_end(block)
    counter, *phis = (builder.phi(x.type) for x in (times, *before))
    values = body(counter, list(phis))
    following = builder.add(counter, number(1), flags=["nuw", "nsw"])
    end = builder.block
    builder.cbranch(builder.icmp_signed("<", following, times), block, after)
    builder.position_at_end(after)
    results = [builder.phi(x.type) for x in before]
    for phi, x, y in zip((counter, *phis), (number(0), *before), (following, *values), strict=True):
        phi.add_incoming(x, entry)
        phi.add_incoming(y, end)
    for phi, x, y in zip(results, before, values, strict=True):
        phi.add_incoming(x, entry)
        phi.add_incoming(y, end)
    return results
