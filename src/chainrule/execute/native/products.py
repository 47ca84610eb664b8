"""Matrix products: by BLAS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llvmlite import ir

from chainrule.execute.native.frame import BYTE, INT, POINTER, Frame

if TYPE_CHECKING:
    import numpy as np

    from chainrule.graph import Layout

__all__ = ["Matrices", "matrices", "write_product"]


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
    itemsize = frame.plan.graph.nodes[source].dtype.itemsize
    base = frame.base(frame.plan.places[source], itemsize)
    return Matrices(base, layout.offset, layout.shape, layout.strides)


def write_product(frame: Frame, index: int) -> None:
    """Write the machine code of a product of matrices."""
    graph, places = frame.plan.graph, frame.plan.grouping.places
    node = graph.nodes[index]
    lead = node.shape[:-2]
    operands = []
    for i in node.inputs:
        layout = places[i].layout
        layout = layout.broadcast((*lead, *layout.shape[-2:]))
        operands.append(matrices(frame, places[i].source, layout))
    result = matrices(frame, index, places[index].layout)
    with frame.nest(lead) as counters:
        a, b, c = (_address(frame, x, counters, node.dtype) for x in (*operands, result))
        _gemm(frame, node.dtype, (*operands, result), (a, b, c))


def _address(
    frame: Frame, x: Matrices, counters: list[ir.Value], dtype: np.dtype[Any]
) -> ir.Value:
    place = frame.place(x.offset, counters, x.strides[:-2])
    return frame.element(x.base, place, dtype.itemsize)


def _gemm(
    frame: Frame,
    dtype: np.dtype[Any],
    operands: tuple[Matrices, ...],
    addresses: tuple[ir.Value, ...],
) -> None:
    """Call BLAS, which stores by columns: the transposed of the product, from the transposed."""
    a, b, c = operands
    (m, k), n = a.shape[-2:], b.shape[-1]
    function = _declared(frame.module, "chainrule_sgemm" if dtype.itemsize == 4 else "chainrule_dgemm")
    real = ir.FloatType() if dtype.itemsize == 4 else ir.DoubleType()
    letter = {True: b"n", False: b"t"}
    frame.builder.call(
        function,
        [
            _constant(frame.module, ir.Constant(BYTE, letter[b.by_rows][0])),
            _constant(frame.module, ir.Constant(BYTE, letter[a.by_rows][0])),
            *[_constant(frame.module, ir.Constant(INT, x)) for x in (n, m, k)],
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
