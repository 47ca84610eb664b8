"""One epoch over scikit-learn's digits, the batches gathered by index, the last one shorter.

Also a whole training of some epochs from the start, as a user calls it: ours against scikit-learn's
``fit``.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from sklearn.datasets import load_digits

from benchmarks import ours
from benchmarks.bars import faster, judge
from benchmarks.harness import race
from benchmarks.networks import Network, require_epoch
from benchmarks.peers import gather
from benchmarks.report import show, store
from benchmarks.threads import pause, threads

if TYPE_CHECKING:
    from benchmarks.options import Options

NETWORK = Network((64, 64, 32, 10), 32)
EPOCHS = 20
"""Epochs of a whole training."""
ORDERS = 50


def main(options: Options) -> None:
    """Time epochs and trainings; print and store."""
    digits = load_digits()
    X, y = (digits.data / 16).astype(np.float32), digits.target.astype(np.int64)
    rng = np.random.default_rng(0)
    orders = [rng.permutation(len(X)) for _ in range(ORDERS)]

    def check(epoch):
        require_epoch(NETWORK, epoch, X, y, orders[0])

    def one_epoch(epoch):
        following = itertools.cycle(orders)
        return lambda: epoch(next(following)), 1

    def training(run):
        return run, EPOCHS

    us, absent = ours.contestant(partial(ours.epoch, NETWORK, X, y), check, one_epoch)
    peers, others = gather("epoch", (NETWORK, X, y), options.wanted, check, one_epoch)
    fits, missing = gather("fit", (NETWORK, X, y, EPOCHS), options.wanted, finish=training)
    rounds = options.times(51)
    found = race(
        f"epoch over digits, {len(X)} × {NETWORK}",
        us,
        [*peers, *fits],
        rounds=rounds,
        pause=pause(),
    )
    found = replace(found, absent=absent | others | missing)
    bars = [faster("JAX jit", 3), faster("scikit-learn", 15)] if threads() == 1 else []
    judged = [judge(bar, found) for bar in bars]
    show(found, judged)

    us, absent = ours.contestant(
        partial(ours.fit, NETWORK, X, y, EPOCHS), lambda run: run(), training
    )
    whole = race(f"fit, an epoch of {EPOCHS}", us, fits, rounds=options.times(15), pause=pause())
    whole = replace(whole, absent=absent)
    show(whole)
    if not options.quick:
        store(f"epochs-{threads()}", {"races": [found.record(), whole.record()]}, judged)
