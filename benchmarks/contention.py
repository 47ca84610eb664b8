"""A step while two busy processes take the two cores, against the same step on a quiet machine.

The busy processes are stopped and continued, so that quiet and contended blocks alternate.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import ours
from benchmarks.bars import Judgement, at_most
from benchmarks.harness import compared, seconds, trial
from benchmarks.networks import STEPS
from benchmarks.peers import gather
from benchmarks.report import duration, store
from benchmarks.threads import threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.harness import Contestant
    from benchmarks.options import Options

PEERS = ("numpy_best", "jax_jit", "torch_eager")
MOST = 4.0
"""Times the quiet cost."""

BLOCK = 0.25
"""Seconds a block: many slices of the scheduler."""


def main(options: Options) -> None:
    """Time steps in both conditions; print and store."""
    # Here a run on one thread may move between the cores, as a user's does.
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    records, judgements = [], []
    with busy() as switch:
        for network in STEPS:
            us, absent = ours.contestant(partial(ours.adam_step, network))
            peers, _ = gather(
                "adam_step", (network,), lambda name: name in PEERS and options.wanted(name)
            )
            print(f"\nAdam step {network} beside two busy processes · {threads()} threads")
            for one in [*([us] if us else []), *peers]:
                record = contended(one, switch, options.times(21))
                print(
                    f"  {one.name:26}{duration(record['quiet']):>10} quiet "
                    f"{duration(record['contended']):>10} contended "
                    f"{record['ratio']:.2f} × ({record['low']:.2f} … {record['high']:.2f})"
                )
                records.append({"work": str(network)} | record)
                if one is us:
                    bound = (record["ratio"], record["low"], record["high"])
                    judgements.append(at_most(f"contended step {network}", bound, MOST, "× quiet"))
            for name, reason in absent.items():
                print(f"  {name:26}not here: {reason}")
    judgements = judgements or [Judgement(f"contended step ≤ {MOST:g} × quiet", "", None)]
    for judgement in judgements:
        print(f"  bar: {judgement}")
    if not options.quick:
        store(f"contention-{threads()}", {"works": records}, judgements)


def contended(one: Contestant, switch: Callable[[bool], None], rounds: int) -> dict[str, object]:
    """Return the times of one contestant in both conditions."""
    switch(False)
    calls = max(1, round(BLOCK / trial(one.run)))
    pairs = []
    for _ in range(rounds):
        took = []
        for condition in (False, True):
            switch(condition)
            time.sleep(0.05)
            one.run()
            took.append(seconds(one.run, calls))
        pairs.append((took[1], took[0]))
    found = compared(one.name, "quiet", pairs)
    return {
        "name": one.name,
        "quiet": found.theirs,
        "contended": found.ours,
        "ratio": found.ratio,
        "low": found.low,
        "high": found.high,
        "worst": max(a for a, _ in pairs) / statistics.median(b for _, b in pairs),
    }


@contextmanager
def busy() -> Iterator[Callable[[bool], None]]:
    """Have a busy process on each core while the switch is on."""
    processes = []
    try:
        for core in range(os.cpu_count() or 1):
            one = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            os.sched_setaffinity(one.pid, {core})
            processes.append(one)

        def switch(on: bool) -> None:
            for one in processes:
                one.send_signal(signal.SIGCONT if on else signal.SIGSTOP)

        yield switch
    finally:
        for one in processes:
            one.kill()
            one.wait()
