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
    filled
        Whether a row of B has as many numbers as a row of whole vectors.
    a, b, c
        The strides of A, and the distances between rows of B or of a panel of it, and of C.
    depth
        How many numbers of a row of A are multiplied; 0 if only the code knows that, and whether
        they are added to what is in C.
    part
        Of how many products a sum consists at most, before it is added to others.
    """

    dtype: np.dtype[Any]
    lanes: int
    masks: bool
    rows: int
    vectors: int
    stored: int
    filled: bool
    a: tuple[int, int]
    b: int
    c: int
    depth: int
    part: int

    @property
    def counts(self) -> list[int]:
        """How many lanes of each vector of a row there are in C."""
        return [*[self.lanes] * (self.vectors - 1), self.stored]

    @property
    def name(self) -> str:
        """What its function is called."""
        numbers = (*self[1:7], *self.a, *self[8:])
        return f"tile_{self.dtype.char}_" + "_".join(str(int(x)) for x in numbers)


def tile_function(module: ir.Module, tile: Tile) -> ir.Function:
    """Return the function ``void tile(T *a, T *b, T *c, int64_t depth, bool adds)``."""
    function = module.globals.get(tile.name)
    if function is not None:
        return function
    kind = ir.FunctionType(ir.VoidType(), [*[_POINTER] * 3, _INT, _BIT])
    function = ir.Function(module, kind, tile.name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    a, b, c, depth, adds = function.args
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    code = Lanes(builder, tile.dtype, tile.lanes, masks=tile.masks)
    if tile.depth:
        _store(code, tile, c, _multiplied(code, tile, number(tile.depth), [a, b])[1])
    else:
        _add_up(code, tile, (a, b, c), depth, adds)
    builder.ret_void()
    return function


def _add_up(
    code: Lanes,
    tile: Tile,
    at: tuple[ir.Value, ir.Value, ir.Value],
    depth: ir.Value,
    adds: ir.Value,
) -> None:
    """Write a tile whose sums are cut: what is summed up so far waits in C."""
    builder, c = code.builder, at[2]
    entry = builder.block
    names = ("part", "first", "following", "next", "after")
    part, first, following, again, after = (builder.append_basic_block(name) for name in names)
    builder.branch(part)
    builder.position_at_end(part)
    carried = [builder.phi(x.type) for x in (at[0], at[1], depth, adds)]
    a, b, left, is_begun = carried
    starts, totals = _multiplied(code, tile, least(builder, left, number(tile.part)), [a, b])
    builder.cbranch(is_begun, following, first)
    builder.position_at_end(first)
    _store(code, tile, c, totals)
    builder.branch(again)
    builder.position_at_end(following)
    _store(code, tile, c, totals, adds=True)
    builder.branch(again)
    builder.position_at_end(again)
    rest = builder.sub(left, number(tile.part))
    new = [*starts, rest, ir.Constant(_BIT, 1)]
    for phi, x, y in zip(carried, (at[0], at[1], depth, adds), new, strict=True):
        phi.add_incoming(x, entry)
        phi.add_incoming(y, again)
    builder.cbranch(builder.icmp_signed(">", rest, number(0)), part, after)
    builder.position_at_end(after)


def _store(
    code: Lanes, tile: Tile, c: ir.Value, totals: Sequence[ir.Value], *, adds: bool = False
) -> None:
    """Store the sums of a tile, or add them to what is there."""
    for k, total in enumerate(totals):
        r, v = divmod(k, tile.vectors)
        place, count = code.at(c, [(r, tile.c), (v * tile.lanes, 1)]), tile.counts[v]
        if adds:
            before = code.load_part(place, count, tile.lanes)
            code.store_part(code.builder.fadd(before, total), place, count)
        else:
            code.store_part(total, place, count)


def _multiplied(
    code: Lanes, tile: Tile, depth: ir.Value, starts: list[ir.Value]
) -> tuple[list[ir.Value], list[ir.Value]]:
    """Return where it ended in A and B, and the sums of a tile, row by row.

    One step is written: some forty instructions, against which those of the loop do not count.
    A number is loaded into a register because two multiplications take it.
    """
    lanes = tile.lanes

    def step(_: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
        a, b, *totals = carried
        row = [
            code.load_part(code.at(b, [(v * lanes, 1)]), lanes if tile.filled else count, lanes)
            for v, count in enumerate(tile.counts)
        ]
        for r in range(tile.rows):
            spread = code.spread(code.at(a, [(r, tile.a[0])]), lanes)
            for v, x in enumerate(row, r * tile.vectors):
                totals[v] = code.fma(spread, x, totals[v])
        return [code.at(a, [(1, tile.a[1])]), code.at(b, [(1, tile.b)]), *totals]

    totals = [code.zero(lanes)] * (tile.rows * tile.vectors)
    values = repeated(code, depth, [*starts, *totals], step)
    return values[:2], values[2:]


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
