"""Products of small matrices as machine code of their own.

Below some tens of rows and columns most of a call of BLAS is spent before the first number is
multiplied. Here the shapes are known while the code is written, so there is nothing to find out.
Each product becomes a function of the module, ``void product(T *a, T *b, T *c)``; products of
the same shapes and strides share it. There are four forms:

flat
    Everything fits in one register: for each k a rearranged A times a rearranged B.
outer
    B lies by rows. A tile of C stays in registers; for each k a row of B, in vectors, is
    multiplied by one number of each row of A.
packed
    B lies by columns: it is transposed into memory on the stack, and then as before.
dot
    B lies by columns, A by rows, and there are few rows: vectors along k are multiplied, and a
    tile of sums is added up across its lanes at the end.

A tile that would reach over an edge is moved back until it ends there: some numbers are computed
twice, always with the same result, and one piece of code serves all tiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llvmlite import ir

from chainrule.execute.native.lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

__all__ = ["Multiplication", "small_product"]

_UNROLLED = 160
"""Instructions up to which all steps along k are written out."""
_BODY = 48
"""Instructions up to which steps along k are written out in a loop."""
_BLOCK = 32
"""Bytes of a row of a square that is transposed: twice as many are as quick and compile slower."""
_CHAINS = 8
"""Sums that a processor has to add to at the same time not to wait for one of them."""


class Multiplication(NamedTuple):
    """A product C = A B; C lies by rows without gaps.

    Attributes
    ----------
    m, n, k
        A is m × k, B k × n and C m × n.
    a, b
        Strides of a row and of a column, in elements.
    """

    dtype: np.dtype[Any]
    m: int
    n: int
    k: int
    a: tuple[int, int]
    b: tuple[int, int]

    @property
    def turned(self) -> Multiplication:
        """The product as Cᵀ = Bᵀ Aᵀ where C is one column, so that it is a row."""
        if self.n > 1 or self.m == 1:
            return self
        return self._replace(m=1, n=self.m, a=self.b[::-1], b=self.a[::-1])

    @property
    def b_by_rows(self) -> bool:
        """Whether a vector along a row of B can be loaded."""
        return self.b[1] == 1 or self.n == 1

    @property
    def dots(self) -> bool:
        """Whether vectors along k can be loaded from both."""
        return self.k == 1 or (self.a[1] == 1 and self.b[0] == 1)

    @property
    def span(self) -> int:
        """How many numbers the largest of A, B and C reaches over."""
        m, n, k = self.m, self.n, self.k
        a = (m - 1) * self.a[0] + (k - 1) * self.a[1] + 1
        b = (k - 1) * self.b[0] + (n - 1) * self.b[1] + 1
        return max(a, b, m * n)

    @property
    def name(self) -> str:
        """What its function is called."""
        sizes = (self.m, self.n, self.k, *self.a, *self.b)
        return f"product_{self.dtype.char}_" + "_".join(map(str, sizes))


def small_product(
    module: ir.Module, x: Multiplication, form: str, lanes: int, *, masks: bool
) -> ir.Function:
    """Return the function of a module that computes a product, written if it is not there yet.

    Parameters
    ----------
    module
        Where it goes.
    x
        What it computes.
    form
        flat, outer, packed or dot.
    lanes, masks
        As for `Frame`.
    """
    name = f"{x.name}_{form}"
    function = module.globals.get(name)
    if function is not None:
        return function
    pointer = ir.PointerType()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer] * 3), name)
    function.linkage = "internal"
    for argument in function.args:
        argument.add_attribute("noalias")
    if form == "flat":
        function.attributes.add("alwaysinline")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    code = Lanes(builder, x.dtype, lanes * 4 // x.dtype.itemsize, masks=masks)
    write = {"flat": _flat, "outer": _outer, "packed": _packed, "dot": _dot}[form]
    write(code, x, *function.args)
    builder.ret_void()
    return function


# ----------------------------------------------------------------------------------- flat


def _flat(code: Lanes, x: Multiplication, a: ir.Value, b: ir.Value, c: ir.Value) -> None:
    m, n, k = x.m, x.n, x.k
    first, second = (
        code.load_part(p, (rows - 1) * s[0] + (columns - 1) * s[1] + 1)
        for p, s, rows, columns in ((a, x.a, m, k), (b, x.b, k, n))
    )
    width = code.power_above(m * n)
    total = code.zero(width)
    places = [divmod(min(p, m * n - 1), n) for p in range(width)]
    for j in range(k):
        left = code.arranged(first, [r * x.a[0] + j * x.a[1] for r, _ in places])
        right = code.arranged(second, [j * x.b[0] + q * x.b[1] for _, q in places])
        total = code.fma(left, right, total)
    code.store_part(total, c, m * n)


# ---------------------------------------------------------------------------------- outer


class _Tile(NamedTuple):
    """Rows, and vectors a row, of C that are computed together; and each vector's lanes.

    ``loaded`` and ``stored`` say how many of the lanes there are in memory.
    """

    rows: int
    vectors: int
    width: int
    loaded: int
    stored: int

    def columns(self, n: int) -> int:
        """How many columns of n it has."""
        return min(self.vectors * self.width, n)

    def starts(self, n: int) -> list[int]:
        """At which of its columns each of its vectors begins."""
        last = max(self.columns(n) - self.width, 0)
        return [min(v * self.width, last) for v in range(self.vectors)]


def _outer(code: Lanes, x: Multiplication, a: ir.Value, b: ir.Value, c: ir.Value) -> None:
    n, lanes = x.n, code.lanes
    if n >= lanes:
        width = count = lanes
    elif code.masks:
        width, count = code.power_above(n), n
    else:
        width = count = 1 << (n.bit_length() - 1)
    tile = _tile(code, x, -(-n // width))._replace(width=width, loaded=count, stored=count)
    _outer_tiles(code, x, tile, (a, b, c))


def _packed(code: Lanes, x: Multiplication, a: ir.Value, b: ir.Value, c: ir.Value) -> None:
    turned, stride = _transposed(code, x, b)
    n, lanes = x.n, code.lanes
    width = min(lanes, code.power_above(n))
    tile = _tile(code, x, -(-n // width))
    tile = tile._replace(width=width, loaded=width, stored=min(n, width))
    _outer_tiles(code, x._replace(b=(stride, 1)), tile, (a, turned, c))


def _transposed(code: Lanes, x: Multiplication, b: ir.Value) -> tuple[ir.Value, int]:
    """Write B by rows into memory of the function's; return where, and the stride of a row."""
    n, k = x.n, x.k
    width = min(code.lanes, _BLOCK // x.dtype.itemsize, code.power_above(max(n, k)))
    across = max(width, min(code.lanes, code.power_above(n)))
    stride = -(-n // across) * across
    memory = code.memory(k * stride)
    high, deep = min(n, width), min(k, width)

    def block(column: ir.Value) -> None:
        def part(step: ir.Value) -> None:
            start = code.at(b, [(column, x.b[1]), (step, 1)])
            rows = [code.load_part(code.at(start, [(r, x.b[1])]), deep, width) for r in range(high)]
            rows += [code.zero(width)] * (width - high)
            target = code.at(memory, [(step, stride), (column, 1)])
            for j, y in enumerate(code.transposed(rows)[:deep]):
                code.store(y, code.at(target, [(j, stride)]))

        code.tiles(k, deep, part)

    code.tiles(n, high, block)
    return memory, stride


def _tile(code: Lanes, x: Multiplication, vectors: int) -> _Tile:
    """Return the tile that takes the least time, by a count of what a processor does in a cycle.

    Two multiplications, two loads or one store; and the tiles have to be begun.
    """
    best, least = _Tile(1, 1, 0, 0, 0), float("inf")
    for columns in range(1, min(vectors, 8) + 1):
        for rows in range(1, min(x.m, code.registers // columns - 1) + 1):
            if columns > 4 and rows > 1:
                break
            sums = rows * columns
            count = -(-x.m // rows) * -(-vectors // columns)
            step = max(sums, rows + columns) / 2 + 0.5
            time = count * (x.k * step + sums + 12)
            if time < least:
                best, least = _Tile(rows, columns, 0, 0, 0), time
    return best


def _outer_tiles(code: Lanes, x: Multiplication, tile: _Tile, at: tuple[ir.Value, ...]) -> None:
    """Write the tiles of a product whose B lies by rows."""
    a, b, c = at

    def panel(column: ir.Value) -> None:
        def band(row: ir.Value) -> None:
            starts = (code.at(a, [(row, x.a[0])]), code.at(b, [(column, 1)]))
            totals = _outer_sums(code, x, tile, starts)
            target = code.at(c, [(row, x.n), (column, 1)])
            for r in range(tile.rows):
                for v, start in enumerate(tile.starts(x.n)):
                    place = code.at(target, [(r, x.n), (start, 1)])
                    code.store_part(totals[r * tile.vectors + v], place, tile.stored)

        code.tiles(x.m, tile.rows, band)

    code.tiles(x.n, tile.columns(x.n), panel)


def _outer_sums(
    code: Lanes, x: Multiplication, tile: _Tile, starts: tuple[ir.Value, ir.Value]
) -> list[ir.Value]:
    """Return the vectors of a tile of C, row by row."""
    sums = tile.rows * tile.vectors
    chains = min(-(-_CHAINS // sums), x.k)
    cost = sums + tile.rows + tile.vectors
    unroll = x.k if x.k * cost <= _UNROLLED else max(chains, min(_BODY // cost, x.k))

    def steps(a: ir.Value, b: ir.Value, totals: list[ir.Value], count: int) -> list[ir.Value]:
        totals = list(totals)
        for j in range(count):
            chain = j % chains * sums
            row = [
                code.load_part(code.at(b, [(j, x.b[0]), (start, 1)]), tile.loaded, tile.width)
                for start in tile.starts(x.n)
            ]
            for r in range(tile.rows):
                number = code.spread(code.at(a, [(r, x.a[0]), (j, x.a[1])]), tile.width)
                for v in range(tile.vectors):
                    place = chain + r * tile.vectors + v
                    totals[place] = code.fma(number, row[v], totals[place])
        return totals

    def body(_: ir.Value, carried: list[ir.Value]) -> list[ir.Value]:
        a, b, *totals = carried
        totals = steps(a, b, totals, unroll)
        return [code.at(a, [(unroll, x.a[1])]), code.at(b, [(unroll, x.b[0])]), *totals]

    before = [*starts, *[code.zero(tile.width)] * (chains * sums)]
    a, b, *totals = code.loop(x.k // unroll, before, body)
    totals = steps(a, b, totals, x.k % unroll)
    return [code.total(totals[s::sums]) for s in range(sums)]


# ------------------------------------------------------------------------------------ dot


def _dot(code: Lanes, x: Multiplication, a: ir.Value, b: ir.Value, c: ir.Value) -> None:
    rows, columns = _dot_tile(x)

    def panel(column: ir.Value) -> None:
        def band(row: ir.Value) -> None:
            starts = (code.at(a, [(row, x.a[0])]), code.at(b, [(column, x.b[1])]))
            totals = _dot_sums(code, x, (rows, columns), starts)
            target = code.at(c, [(row, x.n), (column, 1)])
            for r in range(rows):
                for q in range(0, columns, code.lanes):
                    count = min(code.lanes, columns - q)
                    across = code.added_up(totals[r * columns + q :][:count])
                    code.store_part(across, code.at(target, [(r, x.n), (q, 1)]), count)

        code.tiles(x.m, rows, band)

    code.tiles(x.n, columns, panel)


def _dot_tile(x: Multiplication) -> tuple[int, int]:
    """Return the rows and columns of C that are computed together.

    At most eight rows of either matrix are read side by side: they may lie a power of two apart,
    where they compete for the same places of the cache.
    """
    rows = min(x.m, 4)
    columns = 8 if rows < 3 else 4
    return rows, -(-x.n // -(-x.n // columns))


def _dot_sums(
    code: Lanes, x: Multiplication, tile: tuple[int, int], starts: tuple[ir.Value, ir.Value]
) -> list[ir.Value]:
    """Return vectors whose lanes add up to the numbers of a tile of C, row by row."""
    rows, columns = tile
    if x.k >= code.lanes:
        width = code.lanes
    else:
        width = code.power_above(x.k) if code.masks else 1 << (x.k.bit_length() - 1)
    first = min(x.k, width)

    def step(
        at: tuple[ir.Value, ir.Value],
        totals: list[ir.Value],
        load: Callable[[ir.Value], ir.Value],
    ) -> list[ir.Value]:
        a, b = at
        totals = list(totals)
        left = [load(code.at(a, [(r, x.a[0])])) for r in range(rows)]
        for q in range(columns):
            right = load(code.at(b, [(q, x.b[1])]))
            for r in range(rows):
                place = r * columns + q
                totals[place] = code.fma(left[r], right, totals[place])
        return totals

    def body(j: ir.Value, totals: list[ir.Value]) -> list[ir.Value]:
        at = (code.at(starts[0], [(j, width)]), code.at(starts[1], [(j, width)]))
        return step(at, totals, lambda place: code.load_part(place, first, width))

    totals = code.loop(max(x.k // width, 1), [code.zero(width)] * (rows * columns), body)
    rest = x.k % width if x.k > width else 0
    if rest:
        back = 0 if code.masks else width - rest  # numbers that were there already count as 0
        far = x.k - rest - back
        at = (code.at(starts[0], [(far, 1)]), code.at(starts[1], [(far, 1)]))
        if code.masks:
            return step(at, totals, lambda place: code.load_part(place, rest, width))
        return step(at, totals, lambda place: code.last_lanes(code.load(place, width), rest))
    return totals
