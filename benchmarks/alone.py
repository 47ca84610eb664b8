"""Each contestant alone in a process, beside what it took in company.

It shows whether the interleaved run is fair: whether somebody's spinning threads, memory or
settings disturb the others. With a first argument, this file times that one and prints its medians.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import TYPE_CHECKING

from benchmarks.children import asked
from benchmarks.harness import Contestant, race
from benchmarks.networks import STEPS
from benchmarks.peers import PEERS, reason
from benchmarks.report import RESULTS, duration, store
from benchmarks.threads import pause, threads

if TYPE_CHECKING:
    from benchmarks.options import Options

ROUNDS = 21


def main(options: Options) -> None:
    """Time everybody alone; print and store."""
    path = RESULTS / f"steps-{threads()}.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"races": []}
    company = {one["work"]: one["spreads"] for one in record["races"]}
    modules = {name: f"benchmarks.peers.{name}" for name in PEERS if options.wanted(name)}
    found = {}
    for module in ["benchmarks.ours", *modules.values()]:
        try:
            name, medians = asked("benchmarks.alone", module)
        except RuntimeError as error:
            print(f"  {module}: not here: {error}")
            continue
        if not medians:
            continue
        found[name] = medians
        print(f"\n{name}, alone and in company · {threads()} threads")
        for work, median in medians.items():
            beside = company.get(work, {}).get(name)
            said = f"{duration(beside['median']):>10}" if beside else "not measured"
            print(f"  {work:40}{duration(median):>10}{said:>14}")
    if not options.quick:
        store(f"alone-{threads()}", {"medians": found})


def child(module: str) -> tuple[str, dict[str, float]]:
    """Return the name and the medians of one contestant."""
    peer = importlib.import_module(module)
    medians = {}
    for network in STEPS if hasattr(peer, "adam_step") else ():
        work = f"Adam step {network}"
        try:
            run = peer.adam_step(network)
        except Exception as error:  # noqa: BLE001 - as in company: this one is left out
            print(reason(error), file=sys.stderr)
            continue
        one = Contestant(peer.NAME, run)
        found = race(work, one, [], rounds=ROUNDS, pause=pause())
        medians[work] = found.spreads[peer.NAME].median
    return peer.NAME, medians


if __name__ == "__main__":
    print(json.dumps(child(sys.argv[1])))
