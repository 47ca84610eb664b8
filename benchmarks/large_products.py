"""Products of large matrices: our code beside BLAS, with the kernels it chose and with AVX-512.

Run it by ``python -m benchmarks large_products``. Each kind of BLAS is a process of its own,
in which it and our code are timed in turn, from machine code. Ours is on one thread.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.children import output
from benchmarks.options import Options
from benchmarks.products import blas_call, multiplication, repeated
from benchmarks.report import store
from benchmarks.threads import fix_threads
from chainrule.execute.native.blas import blas_name
from chainrule.execute.native.code import host_target
from chainrule.execute.native.large import large_product, large_work

if TYPE_CHECKING:
    from collections.abc import Callable

    from llvmlite import ir

    from chainrule.execute.native.small import Multiplication

PRODUCTS = [
    (128, 256, 784, "rc"),
    (256, 784, 128, "cr"),
    (128, 128, 256, "rc"),
    (128, 256, 128, "rr"),
    (64, 256, 784, "rc"),
    (512, 1024, 784, "rc"),
    (512, 1024, 1024, "rc"),
    (512, 1024, 1024, "rr"),
    (1024, 1024, 512, "cr"),
    (1024, 784, 512, "cr"),
    (4096, 2048, 2048, "rr"),
    (500, 777, 333, "rr"),
    (500, 777, 333, "rc"),
    (512, 100, 784, "rr"),
    (1024, 1024, 16, "cr"),
    (4096, 10, 256, "rr"),
    (10, 256, 4096, "cr"),
]
"""m, n and k, and whether A and B lie by rows or by columns: layers' outputs and gradients."""
BLOCK = 2e-3
"""Seconds that one block of calls takes at least."""
WIDEST = {"OPENBLAS_CORETYPE": "SkylakeX"}


def main(options: Options) -> None:
    """Time all products; print a table, and store it."""
    rounds = str(options.times(31))
    command = [sys.executable, "-m", "benchmarks.large_products", rounds]
    kinds = [json.loads(output(command, extra).splitlines()[-1]) for extra in ({}, WIDEST)]
    names = [kind["blas"] for kind in kinds]
    print(f"\nlarge products · one thread · 10⁹ operations in a second\n  BLAS: {'; '.join(names)}")
    rows = []
    for as_is, widest in zip(*(kind["rows"] for kind in kinds), strict=True):
        m, n, k, layout = as_is["product"]
        row = {
            "dtype": as_is["dtype"],
            "shape": [m, n, k],
            "layout": layout,
            "ours": max(as_is["ours"], widest["ours"]),
            "blas": as_is["blas"],
            "widest": widest["blas"],
        }
        rows.append(row)
        said = f"  {row['dtype']} {f'{m}×{n}×{k}':15} {layout}"
        print(said + "".join(f"  {name} {row[name]:4.0f}" for name in ("ours", "blas", "widest")))
    if not options.quick:
        store("large_products", {"kernels": names, "rows": rows})


def child(rounds: int) -> dict[str, Any]:
    """Return what was measured with the BLAS of this process."""
    rows = [
        {"product": product, "dtype": np.dtype(dtype).name, **rates(product, dtype, rounds)}
        for dtype in (np.float32, np.float64)
        for product in PRODUCTS
    ]
    return {"blas": blas_name(), "rows": rows}


def rates(product: tuple[int, int, int, str], dtype: Any, rounds: int) -> dict[str, float]:
    """Return how fast our code and BLAS are at their best, in 10⁹ operations a second."""
    m, n, k, layout = product
    x = multiplication((m, n, k), layout, dtype)
    lanes = host_target().lanes
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(count).astype(x.dtype) for count in (m * k, k * n))
    work = np.zeros(large_work(x, lanes) + 64, np.uint8)
    found = {name: np.zeros((m, n), x.dtype) for name in ("ours", "blas")}
    runs = {name: written(x, name) for name in found}
    at = work.ctypes.data + -work.ctypes.data % 64
    arguments = {name: [y.ctypes.data for y in (a, b, found[name])] for name in found}
    count = max(1, round(BLOCK * 1e11 / (2 * m * n * k)))
    least = dict.fromkeys(runs, float("inf"))
    for _ in range(max(3, rounds // (1 + m * n * k // 10**9))):
        for name, run in runs.items():
            start = time.thread_time()  # of the processor, which others use too
            run(*arguments[name], at, count)
            least[name] = min(least[name], (time.thread_time() - start) / count)
    np.testing.assert_allclose(found["ours"], found["blas"], rtol=1e-3, atol=1e-3)
    return {name: round(2e-9 * m * n * k / took, 1) for name, took in least.items()}


def written(x: Multiplication, name: str) -> Callable[..., None]:
    """Return a function ``run(a, b, c, work, count)`` that computes a product so often."""

    def write(module: ir.Module, builder: ir.IRBuilder, *addresses: ir.Value) -> None:
        if name == "blas":
            blas_call(builder, x, addresses[:3])
        else:
            target = host_target()
            product = large_product(module, x, target.lanes, masks=target.masks)
            builder.call(product, addresses)

    return repeated(4, write)


if __name__ == "__main__":
    if sys.argv[1:]:
        print(json.dumps(child(int(sys.argv[1]))))
    else:
        fix_threads(1)
        main(Options())
