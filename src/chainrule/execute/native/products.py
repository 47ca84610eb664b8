"""Matrix products: by code of their own, for small and for large matrices, or by BLAS.

Which way a product goes is decided by its shape and where its numbers lie: first by `is_large`,
then by `form_of`. BLAS is left what neither says, and float64 or AVX2 where it is as quick. The
numbers in the rules are from ``python -m benchmarks products large_products``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llvmlite import ir

from chainrule.execute.native.frame import BYTE, INT, POINTER, Frame
from chainrule.execute.native.large import is_large, large_product, large_work
from chainrule.execute.native.small import Multiplication, small_product

if TYPE_CHECKING:
    import numpy as np

    from chainrule.compile import Plan
    from chainrule.graph import Layout

__all__ = ["Matrices", "calls_blas", "form_of", "matrices", "scratch", "write_product"]


_LARGEST = {16: 2**21, 8: 2**19, 4: 2**15}
"""Multiplications of the largest product that is not left to BLAS, by lanes; see `form_of`."""
_NARROW = 16
"""Columns of C, and half its rows, up to which adding up along k is quicker than arranging."""
_FLAT = 16
"""Numbers that each matrix of a product may have for it to be done at once."""
_LINE = 64
_MEMORY = 2**16
"""Bytes on the stack that a product may take."""


class Matrices(NamedTuple):
    """An operand or the result of a product: matrices in memory, perhaps a stack of them.

    Attributes
    ----------
    base
        The address of the array.
    offset, shape, strides
        Of the whole stack, in elements.
    """

    base: ir.Value
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def by_rows(self) -> bool:
        """Whether a row lies without gaps."""
        return self.strides[-1] == 1 or self.shape[-1] == 1

    @property
    def leading(self) -> int:
        """The distance of one row, or column, to the next."""
        if self.by_rows:
            return max(self.strides[-2], self.shape[-1])
        return max(self.strides[-1], self.shape[-2])


def matrices(frame: Frame, source: int, layout: Layout) -> Matrices:
    """Return how a product sees an array."""
    return Matrices(frame.array(source), layout.offset, layout.shape, layout.strides)


def scratch(plan: Plan, lanes: int, threads: int) -> int:
    """Return how many bytes of work memory the products of a plan need, for each thread."""
    needed = 0
    for step in plan.steps:
        if step.kind == "product":
            a, b = _operands(plan, step.nodes[0])
            product = _multiplication(a, b, plan.graph.nodes[step.nodes[0]].dtype)
            for part in (product, _part(product, threads)):
                if is_large(part, lanes):
                    needed = max(needed, large_work(part, lanes))
    return -(-needed // _LINE) * _LINE


def calls_blas(plan: Plan, lanes: int, threads: int) -> bool:
    """Return whether a product of a plan is left to BLAS, whose own threads then matter."""
    for step in plan.steps:
        if step.kind == "product":
            a, b = _operands(plan, step.nodes[0])
            product = _multiplication(a, b, plan.graph.nodes[step.nodes[0]].dtype)
            for part in {product, _part(product, threads)}:
                if not is_large(part, lanes) and form_of(part.turned, lanes) == "blas":
                    return True
            if product.m % threads and not is_large(_part(product, threads), lanes):
                return True
    return False


def _operands(plan: Plan, index: int) -> list[Layout]:
    """Return how the operands of a product lie, all in one stack."""
    node = plan.graph.nodes[index]
    layouts = [plan.grouping.places[i].layout for i in node.inputs]
    return [at.broadcast((*node.shape[:-2], *at.shape[-2:])) for at in layouts]


def _part(product: Multiplication, threads: int) -> Multiplication:
    """Return the largest part of a product that a thread computes."""
    return product._replace(m=-(-product.m // threads))


def write_product(frame: Frame, index: int) -> None:
    """Write the machine code of a product of matrices."""
    plan = frame.plan
    node = plan.graph.nodes[index]
    lead = node.shape[:-2]
    a, b = _operands(plan, index)
    operands = [
        matrices(frame, plan.grouping.places[i].source, at)
        for i, at in zip(node.inputs, (a, b), strict=True)
    ]
    result = matrices(frame, index, plan.grouping.places[index].layout)
    product = _multiplication(a, b, node.dtype)
    if frame.rows and not lead:
        _shared(frame, product, (*operands, result), node.dtype)
        return
    form = "large" if is_large(product, frame.lanes) else form_of(product.turned, frame.lanes)
    with frame.over(lead) as counters:
        starts = tuple(_address(frame, x, counters, node.dtype) for x in (*operands, result))
        if frame.checked:
            for x, start in zip((*operands, result), starts, strict=True):
                _touch(frame, x, start, node.dtype)
        if form == "blas":
            _gemm(frame, node.dtype, (*operands, result), starts)
        elif form == "large":
            function = large_product(frame.module, product, frame.lanes, masks=frame.masks)
            frame.builder.call(function, [*starts, frame.scratch()])
        else:
            _call(frame, product, form, starts)


def form_of(x: Multiplication, lanes: int) -> str:
    """Return how a product is computed: by a form of `small`, or by ``blas``.

    Up to `_LARGEST` multiplications code of its own was never more than a tenth slower than
    BLAS with the widest kernels, on one thread or two. A product of one row or one column reads
    each number once, so nothing is gained by BLAS's arrangements, however large it is. Where B
    lies by columns, the time of two forms is counted in cycles of a processor that makes two
    multiplications of vectors in each: adding up across lanes costs two for each number of C,
    transposing one third for each number of B.

    Parameters
    ----------
    x
        The product, `turned`.
    lanes
        How many numbers of 4 bytes a vector register holds.
    """
    is_direct = x.b_by_rows or x.dots
    is_narrow = x.dots and (x.n < _NARROW or x.m < 2 * _NARROW)
    if x.span <= _FLAT and x.k <= _FLAT // 2:
        return "flat"
    if x.m * x.n * x.k > _LARGEST[lanes] and not (x.m == 1 and is_direct) and not is_narrow:
        return "blas"
    if x.b_by_rows and not (x.n == 1 and x.dots):
        return "outer"
    width = lanes * 4 // x.dtype.itemsize
    panels = -(-x.n // width)
    memory = x.k * panels * width * x.dtype.itemsize
    dots = x.m * x.n * (-(-x.k // width) / 2 + 2)
    packed = x.m * panels * x.k / 2 + memory / 12
    if x.dots and (dots < packed or memory > _MEMORY):
        return "dot"
    is_packable = (x.b[0] == 1 or x.k == 1) and memory <= _MEMORY
    return "packed" if is_packable else "blas"


def _multiplication(a: Layout, b: Layout, dtype: np.dtype[Any]) -> Multiplication:
    """Return what is multiplied, without the stack; strides that nobody takes are 0."""
    (m, k), n = a.shape[-2:], b.shape[-1]

    def strides(x: Layout) -> tuple[int, int]:
        row, column = (s * (n > 1) for s, n in zip(x.strides[-2:], x.shape[-2:], strict=True))
        return row, column

    return Multiplication(dtype, m, n, k, strides(a), strides(b))


def _call(frame: Frame, x: Multiplication, form: str, addresses: tuple[ir.Value, ...]) -> None:
    """Call the code of a product."""
    a, b, c = addresses
    turned = x.turned
    function = small_product(frame.module, turned, form, frame.lanes, masks=frame.masks)
    frame.builder.call(function, [a, b, c] if turned is x else [b, a, c])


def _shared(
    frame: Frame,
    product: Multiplication,
    matrices: tuple[Matrices, ...],
    dtype: np.dtype[Any],
) -> None:
    """Compute the rows of a product that are this thread's."""
    a, b, c = matrices
    first, last = frame.bounds(product.m)
    starts = [
        frame.element(
            x.base, frame.place(x.offset, [first], [x.strides[-2] * moves]), dtype.itemsize
        )
        for x, moves in ((a, True), (b, False), (c, True))
    ]
    part = _part(product, frame.threads)
    count = frame.builder.sub(last, first)
    if is_large(part, frame.lanes):
        function = large_product(frame.module, part, frame.lanes, masks=frame.masks, shared=True)
        frame.builder.call(function, [*starts, frame.scratch(), count])
        return
    if product.m % frame.threads == 0:
        form = form_of(part.turned, frame.lanes)
        if form != "blas":
            _call(frame, part, form, tuple(starts))
            return
    rows = frame.variable(INT)
    frame.builder.store(count, rows)
    _gemm(frame, dtype, matrices, tuple(starts), rows)


def _address(frame: Frame, x: Matrices, counters: list[ir.Value], dtype: np.dtype[Any]) -> ir.Value:
    place = frame.place(x.offset, counters, x.strides[:-2])
    return frame.element(x.base, place, dtype.itemsize)


def _touch(frame: Frame, x: Matrices, start: ir.Value, dtype: np.dtype[Any]) -> None:
    """Read the first and the last number of a matrix, between which all others lie."""
    far = sum((n - 1) * s for n, s in zip(x.shape[-2:], x.strides[-2:], strict=True))
    for place in (None, frame.integer(far)):
        frame.load(frame.element(start, place, dtype.itemsize), dtype)


def _gemm(
    frame: Frame,
    dtype: np.dtype[Any],
    operands: tuple[Matrices, ...],
    addresses: tuple[ir.Value, ...],
    rows: ir.Value | None = None,
) -> None:
    """Call BLAS, which stores by columns: the transposed of the product, from the transposed."""
    a, b, c = operands
    (m, k), n = a.shape[-2:], b.shape[-1]
    function = _declared(
        frame.module, "chainrule_sgemm" if dtype.itemsize == 4 else "chainrule_dgemm"
    )
    real = ir.FloatType() if dtype.itemsize == 4 else ir.DoubleType()
    letter = {True: b"n", False: b"t"}
    frame.builder.call(
        function,
        [
            _constant(frame.module, ir.Constant(BYTE, letter[b.by_rows][0])),
            _constant(frame.module, ir.Constant(BYTE, letter[a.by_rows][0])),
            _constant(frame.module, ir.Constant(INT, n)),
            _constant(frame.module, ir.Constant(INT, m)) if rows is None else rows,
            _constant(frame.module, ir.Constant(INT, k)),
            _constant(frame.module, ir.Constant(real, 1.0)),
            addresses[1],
            _constant(frame.module, ir.Constant(INT, b.leading)),
            addresses[0],
            _constant(frame.module, ir.Constant(INT, a.leading)),
            _constant(frame.module, ir.Constant(real, 0.0)),
            addresses[2],
            _constant(frame.module, ir.Constant(INT, c.leading)),
        ],
    )


def _declared(module: ir.Module, name: str) -> ir.Function:
    function = module.globals.get(name)
    if function is None:
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), [POINTER] * 13), name)
    return function


def _constant(module: ir.Module, value: ir.Constant) -> ir.Value:
    """Return the address of a constant, which BLAS takes in place of the number."""
    name = f"constant_{value.type}_{value.constant}"
    found = module.globals.get(name)
    if found is None:
        found = ir.GlobalVariable(module, value.type, name)
        found.linkage = "internal"
        found.global_constant = True
        found.initializer = value
    return found
