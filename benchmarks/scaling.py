"""Whether cost grows as the work does, over depth, width and batch.

A step is held against its products alone plus the bytes that it has to move besides, at the speed
at which a copy moves them here. What has to be moved: by the optimiser, p, g, m and v are read and
p, m and v are written; between products, each activation is read and written on the way forward,
and on the way back each gradient is read and written and the activation read.

The bar takes the speed of a copy too large for any cache, as STREAM does. ``strict`` takes that of
a copy of as many bytes as the step touches, which for small networks is a cache's.
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import ours
from benchmarks.bars import Judgement
from benchmarks.harness import LIMIT, race, seconds
from benchmarks.networks import Network
from benchmarks.peers.products_only import limits
from benchmarks.report import duration, store
from benchmarks.threads import pause, threads

if TYPE_CHECKING:
    from benchmarks.options import Options

DEPTHS = (2, 4, 8, 16, 32, 64)
WIDTHS = (16, 64, 256, 1024, 2048)
BATCHES = (1, 16, 128, 1024, 4096)
CLASSES = 10

OPERATIONS = 6e10
PARAMETERS = 4e7
"""The largest step that is tried: half a second, and a gigabyte."""

SHORT = 1e9
"""Operations of a step that is timed in many rounds."""

MOST = 1.3
LARGEST_COPY = 2**28
SMALLEST_COPY = 2**14


@dataclass(frozen=True)
class Cell:
    """A network and what was measured, in microseconds; bounds are those of ours over the limit."""

    depth: int
    width: int
    batch: int
    step: float | None
    products: float
    moved: float
    moved_strict: float
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    strict: float | None = None


def main(options: Options) -> None:
    """Time the grid; print and store."""
    stream = bandwidth(LARGEST_COPY)
    print(f"\nscaling · {threads()} threads · a copy moves {stream / 1e9:.1f} GB/s")
    print(
        f"  {'depth':>5} {'width':>6} {'batch':>6}{'step':>11}{'products':>11}{'bytes':>11}", end=""
    )
    print("  step over their sum (95 %), strict")
    cells = []
    for depth, width, batch in product(DEPTHS, WIDTHS, BATCHES):
        network = Network((width, *[width] * (depth - 1), CLASSES), batch)
        costly = 6 * batch * network.count > OPERATIONS or network.count > PARAMETERS
        if costly or (options.quick and not on_an_axis(depth, width, batch)):
            continue
        cell = measure(network, stream, options)
        cells.append(cell)
        line = f"  {depth:5} {width:6} {batch:6}"
        line += f"{duration(cell.step):>11}" if cell.step else f"{'not here':>11}"
        line += f"{duration(cell.products):>11}{duration(cell.moved):>11}"
        if cell.ratio:
            line += f"  {cell.ratio:.2f} ({cell.low:.2f} … {cell.high:.2f}), {cell.strict:.2f}"
        print(line, flush=True)
    judged = judge(cells)
    print(f"  bar: {judged}")
    if not options.quick:
        content = {"bandwidth": stream, "cells": [asdict(cell) for cell in cells]}
        store(f"scaling-{threads()}", content, [judged])


def on_an_axis(depth: int, width: int, batch: int) -> bool:
    """Tell whether at most one of the three differs from the middle of its range."""
    return (depth != 4) + (width != 256) + (batch != 128) <= 1


def measure(network: Network, stream: float, options: Options) -> Cell:
    """Time a step and its products in turn."""
    us, _ = ours.contestant(partial(ours.adam_step, network))
    rounds = options.times(15 if 6 * network.batch * network.count < SHORT else 7)
    found = race(str(network), us, limits(network), rounds=rounds, block=0.002, pause=pause())
    products = {name: one for name, one in found.spreads.items() if one.kind == LIMIT}
    fastest = min(products, key=lambda name: products[name].median)
    bytes_moved = moved(network)
    at_stream = 1e6 * bytes_moved / stream
    at_size = 1e6 * bytes_moved / bandwidth(touched(network))
    depth, width = len(network.sizes) - 1, network.sizes[0]
    cell = Cell(depth, width, network.batch, None, products[fastest].median, at_stream, at_size)
    if not us:
        return cell
    one = found.comparisons[fastest]
    # The bytes are the same in each round: the bounds of step over products carry over.
    share = one.theirs / (one.theirs + at_stream)
    return Cell(
        depth,
        width,
        network.batch,
        found.spreads[us.name].median,
        one.theirs,
        at_stream,
        at_size,
        one.ratio * share,
        one.low * share,
        one.high * share,
        one.ratio * one.theirs / (one.theirs + at_size),
    )


def moved(network: Network) -> int:
    """Return the bytes that a step has to move besides its products."""
    outputs = sum(network.sizes[1:]) * network.batch
    return 4 * (7 * network.count + 5 * outputs)


def touched(network: Network) -> int:
    """Return the bytes of everything that a step touches."""
    values = sum(network.sizes) * network.batch
    return 4 * (4 * network.count + 2 * values)


def bandwidth(size: int) -> float:
    """Return the bytes a second, read and written, of a copy that touches so many bytes in all."""
    size = min(max(size, SMALLEST_COPY), LARGEST_COPY)
    count = threads()
    pairs = [
        (np.ones(size // 8 // count, np.float32), np.ones(size // 8 // count, np.float32))
        for _ in range(count)
    ]
    calls = max(1, 2**26 // size)

    def copy(a, b):
        for _ in range(calls):
            np.copyto(a, b)

    def everybody():
        others = [threading.Thread(target=copy, args=pair) for pair in pairs[1:]]
        for one in others:
            one.start()
        copy(*pairs[0])
        for one in others:
            one.join()

    everybody()
    took = min(seconds(everybody, 1) for _ in range(5))
    return calls * sum(a.nbytes + b.nbytes for a, b in pairs) / took


def judge(cells: list[Cell]) -> Judgement:
    """Hold the worst cell against the bar."""
    text = f"everywhere ≤ {MOST:g} × (products + bytes moved over the measured bandwidth)"
    measured = [cell for cell in cells if cell.high]
    if not measured:
        return Judgement(text, "", None)
    worst = max(measured, key=lambda cell: cell.ratio or 0)
    beyond = sum((cell.high or 0) > MOST for cell in measured)
    where = f"depth {worst.depth}, width {worst.width}, batch {worst.batch}"
    found = f"{beyond} of {len(measured)} may be above (95 %); worst {worst.ratio:.2f} at {where}"
    return Judgement(text, found, beyond == 0)
