"""Tables to read, and records to keep."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadpoolctl import threadpool_info

from benchmarks.threads import threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.bars import Judgement
    from benchmarks.harness import Race

__all__ = ["RESULTS", "duration", "show", "store"]

RESULTS = Path(__file__).parent / "results"

DISTURBED = 0.05
"""Cores in use by other processes that a reader should know of."""

PACKAGES = (
    "chainrule",
    "numpy",
    "scipy",
    "llvmlite",
    "numba",
    "jax",
    "jaxlib",
    "torch",
    "opacus",
    "backpack-for-pytorch",
    "scikit-learn",
    "autograd",
    "mygrad",
    "onnx",
    "onnxruntime",
)


def duration(microseconds: float) -> str:
    """Return a time with three figures and its unit."""
    if microseconds < 1e3:
        return f"{microseconds:.3g} µs"
    if microseconds < 1e6:
        return f"{microseconds / 1e3:.3g} ms"
    return f"{microseconds / 1e6:.3g} s"


def show(race: Race, judgements: Sequence[Judgement] = ()) -> None:
    """Print a race as a table."""
    plural = "threads" if threads() > 1 else "thread"
    disturbed = f" · others used {race.others} cores" if race.others > DISTURBED else ""
    print(f"\n{race.work} · {threads()} {plural} · {race.rounds} rounds{disturbed}")
    print(f"  {'':26}{'median':>10}{'quartiles':>22}{'cores':>7}  ours over it (95 %)")
    for name, spread in race.spreads.items():
        quartiles = f"{duration(spread.lower_quartile)} … {duration(spread.upper_quartile)}"
        line = f"  {name:26}{duration(spread.median):>10}{quartiles:>22}{spread.cores:7.2f}"
        if name in race.comparisons:
            one = race.comparisons[name]
            line += f"  {one.ratio:.3f} ({one.low:.3f} … {one.high:.3f})"
        print(line)
    for name, reason in race.absent.items():
        print(f"  {name:26}not here: {reason}")
    for judgement in judgements:
        print(f"  bar: {judgement}")


def processor() -> str:
    """Return the name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")


def versions() -> dict[str, str]:
    """Return the releases of what is here."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def libraries() -> list[str]:
    """Return the BLAS libraries that are loaded, with the kernels they chose for this processor."""
    found = (one for one in threadpool_info() if one["user_api"] == "blas")
    return sorted({f"{one['prefix']} {one['version']} {one.get('architecture')}" for one in found})


def store(name: str, content: dict[str, Any], judgements: Sequence[Judgement] = ()) -> Path:
    """Write results with the machine, the versions and the threads they were measured on."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "load": [round(load, 2) for load in os.getloadavg()],
        },
        "python": platform.python_version(),
        "versions": versions(),
        "threads": threads(),
        "blas": libraries(),
        **content,
        "bars": [asdict(judgement) for judgement in judgements],
    }
    text = json.dumps(record, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path
