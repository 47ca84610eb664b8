"""From a rule on numbers in registers to a function of arrays, and arrays to call it with."""

from __future__ import annotations

import ctypes
import functools
import itertools

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from chainrule.execute.native.numbers import load, memory_type, store

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
LANES = {4: 16, 8: 8}
INT64 = ir.IntType(64)

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()


@functools.cache
def machine():
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2
    )


def function_of(count):
    module = ir.Module()
    module.triple = llvm.get_process_triple()
    kind = ir.FunctionType(ir.VoidType(), [INT64] + [ir.PointerType()] * count)
    return ir.Function(module, kind, "f")


def loaded(function):
    """Return the machine code of a function (count, arrays …)."""
    module = llvm.parse_assembly(str(function.module))
    module.verify()
    tuning = llvm.create_pipeline_tuning_options(speed_level=2)
    builder = llvm.create_pass_builder(machine(), tuning)
    builder.getModulePassManager().run(module, builder)
    # an engine owns the machine that it is made with, so it gets one of its own
    own = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2
    )
    engine = llvm.create_mcjit_compiler(module, own)
    engine.finalize_object()
    count = len(function.args) - 1
    kind = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * count)
    code = kind(engine.get_function_address("f"))

    def call(n, *arrays):
        code(n, *[x.ctypes.data for x in arrays])
        return arrays[-1]

    call.engine = engine
    return call


def looped(rule, dtypes, *widths):
    """Return a rule as a function of arrays, as many numbers at a time as there are lanes.

    The rule may return several numbers. Of several widths the first counts; the others act on
    the first lanes of each step, so that both are seen in one piece of code.
    """
    function = function_of(1)
    entry, head, body, done = [function.append_basic_block() for _ in range(4)]
    ir.IRBuilder(entry).branch(head)
    builder = ir.IRBuilder(head)
    i = builder.phi(INT64)
    i.add_incoming(INT64(0), entry)
    builder.cbranch(builder.icmp_signed("<", i, function.args[0]), body, done)
    builder.position_at_end(body)
    places = itertools.count()

    def at(dtype):
        """Return the address of the next array's numbers."""
        table, place = function.args[1], INT64(next(places))
        array = builder.gep(table, [place], source_etype=ir.PointerType())
        array = builder.load(array, typ=ir.PointerType())
        return builder.gep(array, [i], source_etype=memory_type(dtype))

    sources = [at(dtype) for dtype in dtypes]
    results = []
    for width in widths:
        pairs = zip(sources, dtypes, strict=True)
        ys = rule(*[load(builder, source, dtype, width) for source, dtype in pairs])
        results += ys if isinstance(ys, list) else [ys]
    for y in results:
        store(y, at(y.dtype))
    i.add_incoming(builder.add(i, INT64(widths[0])), builder.block)
    builder.branch(head)
    ir.IRBuilder(done).ret_void()
    call = loaded(function)

    def run(*xs):
        n = -(-xs[0].size // widths[0]) * widths[0]
        arrays = [np.resize(x, n) for x in xs] + [np.empty(n, y.dtype) for y in results]
        call(n, np.array([x.ctypes.data for x in arrays]))
        return [y[: xs[0].size] for y in arrays[len(xs) :]]

    return run


def computed(rule, *xs, width=None):
    """Return what a rule gives on vectors, after it was seen to give the same on scalars."""
    return checked(kernel(rule, [x.dtype for x in xs], width), *xs)


def kernel(rule, dtypes, width=None):
    """Return a rule on vectors, and on a scalar a step, as a function of arrays."""
    width = width or min(LANES.get(d.itemsize, 16) for d in dtypes)
    run = looped(rule, dtypes, width, 1)
    run.width = width
    return run


def checked(run, *xs):
    """Return what a kernel gives on vectors; which products are fused may differ on scalars."""
    y, alone = run(*xs)
    assert y.dtype == alone.dtype
    agree(alone[:: run.width], y[:: run.width], 8)
    return y


def agree(y, expected, steps):
    """Require the dtype, what is not finite, the sign of 0, and all else to some last places."""
    assert y.dtype == expected.dtype
    if expected.dtype.kind != "f" or not steps:
        np.testing.assert_array_equal(y, expected)
    else:
        scale = np.finfo(expected.dtype).eps * steps
        np.testing.assert_allclose(y, expected, rtol=scale, atol=scale)
    if expected.dtype.kind == "f" and not steps:
        known = ~np.isnan(expected)
        np.testing.assert_array_equal(np.signbit(y)[known], np.signbit(expected)[known])


def drawn(dtype, n=64, seed=0):
    """Return numbers of a dtype, its extremes among them."""
    rng = np.random.default_rng(seed)
    if dtype == np.bool_:
        return rng.random(n) < 0.5
    if dtype.kind == "f":
        return rng.normal(size=n).astype(dtype) * 3
    info = np.iinfo(dtype)
    x = rng.integers(max(info.min, -9), 9, n).astype(dtype)
    x[:6] = [info.min, info.max, 0, 1, info.max, info.min]
    return x if seed % 2 == 0 else np.roll(x, 1)


def special_values(dtype):
    info = np.finfo(dtype)
    sizes = [0.0, 0.5, 1.0, 1.5, 2.0, 7.0, 88.0, 1e30, np.inf, info.max, info.tiny]
    sizes += [info.smallest_subnormal, info.tiny / 3, 1 + info.eps]
    return np.array([s * x for x in sizes for s in (1, -1)] + [np.nan], dtype)
