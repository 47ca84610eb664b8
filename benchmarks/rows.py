"""One row through a small network, from Python and back."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import ours
from benchmarks.bars import at_most, faster, judge
from benchmarks.harness import race
from benchmarks.networks import Network
from benchmarks.peers import gather
from benchmarks.report import show, store
from benchmarks.threads import threads

if TYPE_CHECKING:
    from benchmarks.options import Options

NETWORK = Network((64, 64, 32, 10), 1)


def main(options: Options) -> None:
    """Time one row; print and store."""
    x, _ = NETWORK.data()
    expected = x.astype(np.float64)
    for i, (W, b) in enumerate(NETWORK.parameters()):
        expected = np.maximum(expected, 0 if i else -np.inf) @ W + b

    def check(predict):
        found = predict(x)
        assert isinstance(found, np.ndarray)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)

    def one_row(predict):
        return partial(predict, x), 1

    us, absent = ours.contestant(partial(ours.predict_row, NETWORK), check, one_row)
    peers, others = gather("predict_row", (NETWORK,), options.wanted, check, one_row)
    found = race("one row through 64-64-32-10", us, peers, rounds=options.times(101))
    found = replace(found, absent=absent | others)
    judged = [judge(faster(name, 1), found) for name in ("onnxruntime", "JAX jit")]
    if us:
        took = found.spreads[us.name]
        judged.insert(0, at_most("one row", (took.median, took.low, took.high), 3, "µs"))
    show(found, judged)
    if not options.quick:
        store(f"rows-{threads()}", {"races": [found.record()]}, judged)
