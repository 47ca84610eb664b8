"""Pieces of a product of large matrices: a tile of C kept in registers, and copies of operands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llvmlite import ir

from chainrule.execute.native.lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

__all__ = ["Tile", "copied", "copied_panel", "least", "number", "repeated", "tile_function"]

_INT, _BIT, _POINTER = ir.IntType(64), ir.IntType(1), ir.PointerType()


class Tile(NamedTuple):
    """Rows and columns of C that are computed together."""

    dtype: np.dtype[Any]
    lanes: int
    masks: bool
    rows: int
    vectors: int
    stored: int
    a: tuple[int, int]
    width: int
    depth: int

    @property
    def name(self) -> str:
        """What its function is called."""
        numbers = (*self[1:6], *self.a, self.width, self.depth)
        return f"tile_{self.dtype.char}_" + "_".join(str(int(x)) for x in numbers)


def tile_function(module: ir.Module, tile: Tile) -> ir.Function:
    """Return the function ``void tile(T *a, T *panel, T *c, i64 depth, i1 adds)``."""
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
    places = [
        (code.at(c, [(r, tile.width), (v * tile.lanes, 1)]), count)
        for r in range(tile.rows)
        for v, count in enumerate(_counts(tile))
    ]
    totals: list[ir.Value] = [code.zero(tile.lanes)] * len(places)
    count: ir.Value = number(tile.depth)
    if not tile.depth:
        count, totals = depth, _begun(code, adds, places)
    at = [a, panel]
    *_, totals = _steps(code, tile, count, at, totals)
    for (place, count), total in zip(places, totals, strict=True):
        code.store_part(total, place, count)
    builder.ret_void()
    return function


def _counts(tile: Tile) -> list[int]:
    return [*[tile.lanes] * (tile.vectors - 1), tile.stored]


def _begun(code: Lanes, adds: ir.Value, places: Sequence[tuple[ir.Value, int]]) -> list[ir.Value]:
    """Return what is in C if something is added to it, or zeros."""
    builder = code.builder
    entry = builder.block
    load, after = (builder.append_basic_block(name) for name in ("add", "begin"))
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


def _steps(
    code: Lanes, tile: Tile, depth: ir.Value, at: list[ir.Value], totals: list[ir.Value]
) -> list[Any]:
    vectors, width = tile.vectors, tile.lanes

    def body(_: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
        a, panel, *totals = carried
        row = [code.load(code.at(panel, [(v * width, 1)]), width) for v in range(vectors)]
        for r in range(tile.rows):
            spread = code.spread(code.at(a, [(r, tile.a[0])]), width)
            for v in range(vectors):
                place = r * vectors + v
                totals[place] = code.fma(spread, row[v], totals[place])
        return [code.at(a, [(1, tile.a[1])]), code.at(panel, [(vectors * width, 1)]), *totals]

    a, panel, *totals = repeated(code, depth, [*at, *totals], body)
    return [a, panel, totals]


# --------------------------------------------------------------------------------- copies


def copied(
    code: Lanes,
    sizes: tuple[ir.Value, ir.Value],
    source: tuple[ir.Value, int],
    target: tuple[ir.Value, int],
) -> None:
    """Copy rows that lie apart; each has at least as many numbers as a register."""
    rows, columns = sizes

    def row(r: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        start = code.at(source[0], [(r, source[1])])
        goal = code.at(target[0], [(r, target[1])])
        along(code, columns, lambda j: code.store(code.load(code.at(start, [(j, 1)]), code.lanes), code.at(goal, [(j, 1)])))
        return []

    repeated(code, rows, [], row)


def along(code: Lanes, length: ir.Value, body: Callable[[ir.Value], None], step: int = 0) -> None:
    """Repeat a body for the starts of whole vectors; the last one ends where the length does."""
    builder = code.builder
    width = step or code.lanes
    last = builder.sub(length, number(width))

    def part(j: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        body(least(builder, builder.mul(j, number(width)), last))
        return []

    times = builder.udiv(builder.add(length, number(width - 1)), number(width))
    repeated(code, times, [], part)


def copied_panel(
    code: Lanes,
    strides: tuple[int, int],
    counts: Sequence[int],
    at: tuple[ir.Value, ir.Value],
    depth: ir.Value,
) -> None:
    """Write columns of B, in vectors, row after row.

    Parameters
    ----------
    strides
        Of B.
    counts
        How many of the lanes of each vector there are in B; the others become 0.
    at
        Where the columns begin, and where they are written.
    depth
        How many rows there are; at least as many as a vector has lanes if B lies by columns.
    """
    source, target = at
    if strides[1] == 1:
        width = len(counts) * code.lanes

        def row(_: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
            start, goal = carried
            parts = [code.load_part(code.at(start, [(v * code.lanes, 1)]), count, code.lanes) for v, count in enumerate(counts)]
            for v, part in enumerate(parts):
                code.store(part, code.at(goal, [(v * code.lanes, 1)]))
            return [code.at(start, [(1, strides[0])]), code.at(goal, [(width, 1)])]

        repeated(code, depth, [source, target], row)
        return
    _transposed_panel(code, strides[1], counts, at, depth)


BLOCK = 32


def _transposed_panel(code: Lanes, stride: int, counts: Sequence[int], at: tuple[ir.Value, ir.Value], depth: ir.Value) -> None:
    lanes, width = code.lanes, len(counts) * code.lanes
    size = min(lanes, BLOCK * 8 // code.zero(1).type.element.width if False else BLOCK)
    total = sum(counts)

    def group(v: ir.Value, count: int) -> None:
        start, goal = code.at(at[0], [(v, size * stride)]), code.at(at[1], [(v, size)])

        def block(j: ir.Value) -> None:
            rows = [code.load(code.at(start, [(q, stride), (j, 1)]), size) for q in range(count)]
            rows += [code.zero(size)] * (size - count)
            for q, x in enumerate(code.transposed(rows)):
                code.store(x, code.at(goal, [(j, width), (q, width)]))

        along(code, depth, block, size)

    def full(v: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        group(v, size)
        return []

    repeated(code, number(total // size), [], full)
    if total % size:
        group(number(total // size), total % size)


# --------------------------------------------------------------------------------- control


def number(x: int) -> ir.Constant:
    """Return an integer."""
    return ir.Constant(_INT, x)


def least(builder: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    """Return the lesser of two integers."""
    return builder.select(builder.icmp_signed("<", x, y), x, y)


def repeated(
    code: Lanes,
    times: ir.Value,
    before: Sequence[ir.Value],
    body: Callable[[ir.Value, list[ir.Value]], list[ir.Value]],
) -> list[ir.Value]:
    """Repeat a body as often as is known at run time, perhaps never; see `Lanes.loop`."""
    builder = code.builder
    entry = builder.block
    block, after = (builder.append_basic_block(name) for name in ("loop", "after"))
    is_any = True
    if isinstance(times, ir.Constant):
        is_any = times.constant > 0
        if not is_any:
            # nothing to write
            function = builder.function
            function.blocks.remove(block)
            function.blocks.remove(after)
            return list(before)
        builder.branch(block)
    else:
        builder.cbranch(builder.icmp_signed(">", times, number(0)), block, after)
    builder.position_at_end(block)
    counter = builder.phi(_INT)
    counter.add_incoming(number(0), entry)
    phis = []
    for x in before:
        phi = builder.phi(x.type)
        phi.add_incoming(x, entry)
        phis.append(phi)
    values = body(counter, list(phis))
    following = builder.add(counter, number(1), flags=["nuw", "nsw"])
    counter.add_incoming(following, builder.block)
    for phi, x in zip(phis, values, strict=True):
        phi.add_incoming(x, builder.block)
    end = builder.block
    builder.cbranch(builder.icmp_signed("<", following, times), block, after)
    builder.position_at_end(after)
    if isinstance(times, ir.Constant):
        return list(values)
    results = []
    for x, y in zip(before, values, strict=True):
        phi = builder.phi(x.type)
        phi.add_incoming(x, entry)
        phi.add_incoming(y, end)
        results.append(phi)
    return results
