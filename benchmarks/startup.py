"""How long until the first step is done, and what an import costs, each in a process of its own."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from benchmarks.bars import Judgement, at_most
from benchmarks.children import until
from benchmarks.harness import bounds
from benchmarks.report import store
from benchmarks.threads import threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.options import Options

DATA = """
import numpy as np
rng = np.random.default_rng(0)
X = rng.standard_normal((32, 64), dtype=np.float32)
y = rng.integers(0, 10, 32)
sizes = (64, 64, 64, 64, 10)
"""

OURS = f"""{DATA}
from chainrule import nn, train
layers = []
for a, b in zip(sizes, sizes[1:]):
    layers += [nn.Linear(a, b, dtype=np.float32, seed=0), nn.ReLU()]
trainer = train.Trainer(
    nn.Sequential(*layers[:-1]),
    loss=nn.CrossEntropyLoss(),
    optimiser=train.Adam(),
    threads={{threads}},
)
trainer.step(X, y)
done()
"""

TORCH = f"""{DATA}
import torch
layers = []
for a, b in zip(sizes, sizes[1:]):
    layers += [torch.nn.Linear(a, b), torch.nn.ReLU()]
model = torch.nn.Sequential(*layers[:-1])
optimiser = torch.optim.Adam(model.parameters(), fused=True)
torch.nn.functional.cross_entropy(model(torch.from_numpy(X)), torch.from_numpy(y)).backward()
optimiser.step()
done()
"""

JAX = """
from benchmarks.networks import Network
from benchmarks.peers.jax_jit import adam_step
adam_step(Network((64, 64, 64, 64, 10), 32))()
done()
"""

IMPORT = """
import sys
import chainrule
assert not {"numba", "scipy", "llvmlite"} & sys.modules.keys(), "imports a compiler or SciPy"
done()
"""

COLD, WARM = 4.0, 0.8
"""Seconds until the first step of a four-layer network may be done."""


def main(options: Options) -> None:
    """Time the processes; print and store."""
    rounds = options.times(11)
    ours = OURS.format(threads=threads())
    with tempfile.TemporaryDirectory() as folder:
        warm = {"CHAINRULE_CACHE": folder}
        works: dict[str, Callable[[], float]] = {
            "Python alone": lambda: until("done()"),
            "import numpy": lambda: until("import numpy\ndone()"),
            "import chainrule": lambda: until("import chainrule\ndone()"),
            "first step, cold": lambda: cold(ours),
            "first step, warm": lambda: until(ours, warm),
            "PyTorch, first step": lambda: until(TORCH),
            "JAX jit, first step": lambda: until(JAX),
        }
        found: dict[str, list[float]] = {}
        absent = {}
        for name, work in works.items():
            try:
                work()  # once for the caches of the disk, and ours
                found[name] = [work() for _ in range(rounds)]
            except RuntimeError as error:
                absent[name] = str(error)
    print(f"\nstart-up · {threads()} threads · {rounds} processes each")
    for name, times in found.items():
        middle, low, high = bounds(times)
        print(f"  {name:26}{middle:8.3f} s ({low:.3f} … {high:.3f})")
    for name, reason in absent.items():
        print(f"  {name:26}not here: {reason}")
    judged = [
        limit("a cold first step", found.get("first step, cold"), COLD),
        limit("a warm first step", found.get("first step, warm"), WARM),
        lean(),
    ]
    for judgement in judged:
        print(f"  bar: {judgement}")
    if not options.quick:
        store(f"startup-{threads()}", {"seconds": found, "absent": absent}, judged)


def cold(program: str) -> float:
    """Time a program whose cache is empty."""
    with tempfile.TemporaryDirectory() as folder:
        return until(program, {"CHAINRULE_CACHE": folder})


def limit(text: str, times: list[float] | None, most: float) -> Judgement:
    """Hold times against the longest that will do."""
    if not times:
        return Judgement(f"{text} ≤ {most:g} s", "", None)
    return at_most(text, bounds(times), most, "s")


def lean() -> Judgement:
    """Tell whether the import leaves compilers and SciPy alone."""
    text = "import chainrule loads no numba, SciPy or llvmlite"
    try:
        until(IMPORT)
    except RuntimeError as error:
        return Judgement(text, str(error), met=False)
    return Judgement(text, "none loaded", met=True)
