"""One training step: forward, backward and Adam, against everybody and against its products."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import ours
from benchmarks.bars import BEST_PEER, faster, judge, within
from benchmarks.harness import race
from benchmarks.networks import STEPS, require_losses
from benchmarks.peers import gather
from benchmarks.peers.products_only import limits
from benchmarks.report import show, store
from benchmarks.threads import pause, threads

if TYPE_CHECKING:
    from benchmarks.bars import Bar
    from benchmarks.networks import Network
    from benchmarks.options import Options

SMALLEST, SMALL, MIDDLE, LARGE = STEPS

BARS: dict[tuple[Network, int], tuple[Bar, ...]] = {
    (SMALLEST, 1): (faster("JAX jit", 10), faster("NumPy by hand", 8), faster("PyTorch", 50)),
    (SMALL, 1): (faster("JAX jit", 3.5), faster("NumPy by hand", 3), faster("PyTorch", 15)),
    (MIDDLE, 1): (faster(BEST_PEER, 1.3), within(1.12)),
    (MIDDLE, 2): (faster(BEST_PEER, 1.1),),
    (LARGE, 1): (faster(BEST_PEER, 1.05), within(1.08)),
    (LARGE, 2): (faster(BEST_PEER, 1), within(1.15)),
}
"""Of issue 4, by network and threads."""

ROUNDS = {LARGE: 31}
"""Where not 101."""


def main(options: Options) -> None:
    """Time every network; print and store."""
    races, judgements = [], []
    for network in STEPS:
        check = partial(require_losses, network)
        us, absent = ours.contestant(partial(ours.adam_step, network), check)
        peers, others = gather("adam_step", (network,), options.wanted, check)
        found = race(
            f"Adam step {network}",
            us,
            [*peers, *limits(network)],
            rounds=options.times(ROUNDS.get(network, 101)),
            pause=pause(),
        )
        found = replace(found, absent=absent | others)
        judged = [judge(bar, found) for bar in BARS.get((network, threads()), ())]
        show(found, judged)
        races.append(found.record())
        judgements += judged
    if not options.quick:
        store(f"steps-{threads()}", {"races": races}, judgements)
