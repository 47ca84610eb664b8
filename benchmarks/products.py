"""Products of matrices: each form of our own code beside BLAS, and what our rule chooses.

A call is timed from machine code, not from Python. Shapes, layouts and types are those of small
networks and around the sizes at which `form_of` changes its mind. Each run adds the kernels and
threads that it was made with to what is stored; ``--blas SkylakeX`` asks for others than BLAS
chose.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import ir

from benchmarks.report import RESULTS, store
from benchmarks.threads import threads
from chainrule.execute.native import engine
from chainrule.execute.native.blas import blas_name, gemm_address
from chainrule.execute.native.code import host_target
from chainrule.execute.native.products import form_of
from chainrule.execute.native.small import Multiplication, small_product

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.options import Options

SHAPES = [
    (4, 3, 2),
    (4, 4, 4),
    (8, 8, 8),
    (16, 16, 16),
    (32, 32, 32),
    (64, 64, 64),
    (96, 96, 96),
    (128, 128, 128),
    (192, 192, 192),
    (1, 32, 64),
    (1, 256, 784),
    (1, 1024, 1024),
    (4, 64, 64),
    (8, 256, 256),
    (32, 10, 64),
    (32, 64, 10),
    (32, 64, 64),
    (64, 64, 32),
    (10, 64, 32),
    (128, 10, 128),
    (128, 128, 10),
    (33, 65, 17),
    (32, 256, 256),
    (128, 256, 784),
]
"""m, n and k."""
LAYOUTS = ("rr", "rc", "cr")
"""By rows or by columns: of A and of B."""
BLOCK = 5e-4
"""Seconds that one block of calls takes at least."""
MEMORY = 2**19
"""Bytes of a B that is still tried transposed on the stack."""

_INT, _POINTER = ir.IntType(64), ir.PointerType()


def main(options: Options) -> None:
    """Time all shapes; print, and store beside what was measured with other kernels."""
    target = host_target()
    rows = []
    print(f"\nproducts · {blas_name()} · threads: {threads()} · nanoseconds")
    for dtype, shape, layout in itertools.product((np.float32, np.float64), SHAPES, LAYOUTS):
        x = multiplication(shape, layout, dtype).turned
        times = measure(x, target, options.times(7))
        form = form_of(x, target.lanes)
        ratio = times[form] / times["blas"]
        name = np.dtype(dtype).name
        rows.append({"dtype": name, "shape": shape, "layout": layout, "form": form, "ns": times})
        said = "  ".join(f"{key} {value:.4g}" for key, value in times.items())
        print(f"  {name} {'×'.join(map(str, shape)):13} {layout}  {form:6} {ratio:5.2f}  {said}")
    ratios = [row["ns"][row["form"]] / row["ns"]["blas"] for row in rows]
    print(f"  chosen over BLAS: median {np.median(ratios):.2f}, worst {max(ratios):.2f}")
    if not options.quick:
        path = RESULTS / "products.json"
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        runs = before.get("runs", {}) | {f"{blas_name()}, threads: {threads()}": rows}
        store("products", {"runs": runs})


def multiplication(shape: tuple[int, int, int], layout: str, dtype: Any) -> Multiplication:
    """Return a product without gaps in its operands."""
    m, n, k = shape
    a, b = (
        ((columns, 1) if way == "r" else (1, rows))
        for way, rows, columns in zip(layout, (m, k), (k, n), strict=True)
    )
    a = (a[0] * (m > 1), a[1] * (k > 1))
    b = (b[0] * (k > 1), b[1] * (n > 1))
    return Multiplication(np.dtype(dtype), m, n, k, a, b)


def forms(x: Multiplication) -> Iterator[str]:
    """Name the ways in which a product could be computed."""
    yield "blas"
    if x.span <= 16:
        yield "flat"
    if x.b_by_rows:
        yield "outer"
    elif x.b[0] == 1 and x.k * x.n * x.dtype.itemsize <= MEMORY:
        yield "packed"
    if x.dots:
        yield "dot"


def measure(x: Multiplication, target: Any, rounds: int) -> dict[str, float]:
    """Return the least time of each form in nanoseconds; they are timed in turn."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(count).astype(x.dtype) for count in (x.m * x.k, x.k * x.n))
    c = {form: np.zeros((x.m, x.n), x.dtype) for form in forms(x)}
    runs = {form: written(x, form, target) for form in c}
    for form, run in runs.items():
        run(a.ctypes.data, b.ctypes.data, c[form].ctypes.data, 1)
        np.testing.assert_allclose(c[form], c["blas"], rtol=1e-3, atol=1e-3)
    calls, least = dict.fromkeys(runs, 1), dict.fromkeys(runs, float("inf"))
    for _ in range(rounds):
        for form, run in runs.items():
            took = 0.0
            while True:
                start = time.perf_counter()
                run(a.ctypes.data, b.ctypes.data, c[form].ctypes.data, calls[form])
                took = time.perf_counter() - start
                if took >= BLOCK:
                    break
                calls[form] *= 2
            least[form] = min(least[form], took / calls[form])
    return {form: round(1e9 * took, 2) for form, took in least.items()}


def written(x: Multiplication, form: str, target: Any) -> Callable[..., None]:
    """Return a function ``run(a, b, c, count)`` that computes a product so often."""

    def write(module: ir.Module, builder: ir.IRBuilder, a: Any, b: Any, c: Any) -> None:
        if form == "blas":
            blas_call(builder, x, (a, b, c))
        else:
            product = small_product(module, x, form, target.lanes, masks=target.masks)
            builder.call(product, [a, b, c])

    return repeated(3, write)


def repeated(pointers: int, write: Callable[..., None]) -> Callable[..., None]:
    """Return a function of so many addresses and a count, which does what is written so often.

    ``write(module, builder, *addresses)`` writes the code.
    """
    module = ir.Module("products")
    kind = ir.FunctionType(ir.VoidType(), [*[_POINTER] * pointers, _INT])
    function = ir.Function(module, kind, "run")
    *addresses, count = function.args
    entry, body, after = (function.append_basic_block(name) for name in ("entry", "body", "after"))
    builder = ir.IRBuilder(entry)
    builder.branch(body)
    builder.position_at_end(body)
    done = builder.phi(_INT)
    done.add_incoming(ir.Constant(_INT, 0), entry)
    write(module, builder, *addresses)
    following = builder.add(done, ir.Constant(_INT, 1))
    done.add_incoming(following, body)
    builder.cbranch(builder.icmp_unsigned("<", following, count), body, after)
    builder.position_at_end(after)
    builder.ret_void()
    text = str(module)
    symbols = {"sgemm": gemm_address("f4"), "dgemm": gemm_address("f8")}
    library = engine.load(text, lambda: text, symbols)
    kinds = [*[ctypes.c_void_p] * pointers, ctypes.c_int64]
    call = ctypes.CFUNCTYPE(None, *kinds)(library.function("run"))

    def run(*arguments: int) -> None:
        call(*arguments)

    run.library = library  # type: ignore[attr-defined]
    return run


def blas_call(builder: ir.IRBuilder, x: Multiplication, at: tuple[ir.Value, ...]) -> None:
    """Write a call of BLAS's product, which sees each matrix transposed."""
    single = x.dtype.itemsize == 4
    real = ir.FloatType() if single else ir.DoubleType()
    kind = ir.FunctionType(ir.VoidType(), [_POINTER] * 13)
    function = ir.Function(builder.module, kind, "sgemm" if single else "dgemm")
    a_by_rows = x.k == 1 or x.a[1] == 1

    def known(value: ir.Constant) -> ir.Value:
        name = builder.module.get_unique_name("known")
        place = ir.GlobalVariable(builder.module, value.type, name)
        place.initializer, place.global_constant, place.linkage = value, True, "internal"
        return place

    def letter(by_rows: bool) -> ir.Value:
        return known(ir.Constant(ir.IntType(8), b"tn"[by_rows]))

    def size(count: int) -> ir.Value:
        return known(ir.Constant(_INT, count))

    one, zero = (known(ir.Constant(real, number)) for number in (1.0, 0.0))
    leading = (x.n if x.b_by_rows else x.k, x.k if a_by_rows else x.m)
    builder.call(
        function,
        [
            *(letter(x.b_by_rows), letter(a_by_rows), size(x.n), size(x.m), size(x.k), one),
            *(at[1], size(leading[0]), at[0], size(leading[1]), zero, at[2], size(x.n)),
        ],
    )
