"""What a step at 784-1024-1024-10, batch 512, adds to the resident memory of a fresh process.

Counted from before the model is built, when everything is imported and data and first parameters
have been made once, up to the largest that a number of steps need. The parameters themselves are
therefore in it, for everybody: who holds them, and when, differs. What a library loads or compiles
at its first step is in it too; ``warm`` tells what is left after a step of a tiny network, which
brings that in beforehand.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.bars import Judgement, at_most
from benchmarks.children import asked
from benchmarks.harness import bounds
from benchmarks.networks import STEPS
from benchmarks.report import store
from benchmarks.threads import threads

if TYPE_CHECKING:
    from benchmarks.options import Options

CONTESTANTS = {
    "chainrule": "benchmarks.ours",
    "PyTorch": "benchmarks.peers.torch_eager",
    "JAX jit": "benchmarks.peers.jax_jit",
    "NumPy by hand": "benchmarks.peers.numpy_best",
}
STEPS_TAKEN = 5
MOST = 0.8


def main(options: Options) -> None:
    """Measure each in several fresh processes; print and store."""
    found: dict[str, dict[str, list[float]]] = {}
    absent = {}
    for name, module in CONTESTANTS.items():
        try:
            asked("benchmarks.memory", module, "fresh")  # fills caches on disk
            found[name] = {
                state: [asked("benchmarks.memory", module, state) for _ in range(options.times(7))]
                for state in ("fresh", "warm")
            }
        except RuntimeError as error:
            absent[name] = str(error)
    print(f"\nmemory that a step at {STEPS[-1]} adds · {threads()} threads")
    print(f"  {'':26}{'fresh process':>24}{'libraries warm':>24}   MiB, median and range")
    for name, states in found.items():
        cells = [f"{bounds(x)[0]:.1f} ({min(x):.1f} … {max(x):.1f})" for x in states.values()]
        print(f"  {name:26}" + "".join(f"{cell:>24}" for cell in cells))
    for name, reason in absent.items():
        print(f"  {name:26}not here: {reason}")
    judged = judge(found)
    print(f"  bar: {judged}")
    if not options.quick:
        store(f"memory-{threads()}", {"mebibytes": found, "absent": absent}, [judged])


def judge(found: dict[str, dict[str, list[float]]]) -> Judgement:
    """Hold the ratio of the medians, and its extremes, against the bar."""
    if not {"chainrule", "PyTorch"} <= found.keys():
        return Judgement(f"memory of a step ≤ {MOST:g} × PyTorch's", "", None)
    a, b = found["chainrule"]["fresh"], found["PyTorch"]["fresh"]
    ratios = (bounds(a)[0] / bounds(b)[0], min(a) / max(b), max(a) / min(b))
    return at_most("memory of a step", ratios, MOST, "× PyTorch's")


def child(module: str, state: str) -> float:
    """Take some steps and return how much they added, in MiB."""
    peer = importlib.import_module(module)
    network = STEPS[-1]
    network.data()
    network.parameters()
    if state == "warm":
        peer.adam_step(STEPS[0])()
    gc.collect()
    before = status("VmRSS")
    step = peer.adam_step(network)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    for _ in range(STEPS_TAKEN):
        step()
    return (status("VmHWM") - before) / 1024


def status(field: str) -> int:
    """Return a field of this process's status, in KiB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1])


if __name__ == "__main__":
    print(json.dumps(child(*sys.argv[1:])))
