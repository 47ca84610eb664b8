"""Timing two functions in turn, so that a noisy machine disturbs both alike."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Comparison:
    """Two functions timed in turn, in microseconds a call; the ratio is ours over theirs.

    ``low`` and ``high`` hold the median ratio with 95 % confidence.
    """

    work: str
    ours: float
    theirs: float
    peer: str
    ratio: float
    low: float
    high: float
    rounds: int

    def __str__(self) -> str:
        return (
            f"{self.work}: {self.ours:.0f} µs, {self.peer} {self.theirs:.0f} µs, "
            f"ratio {self.ratio:.2f} ({self.low:.2f} to {self.high:.2f})"
        )


def seconds(function: Callable[[], object], calls: int) -> float:
    """Return the time of one call, the mean of several."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def compare(
    work: str,
    ours: Callable[[], object],
    peer: str,
    theirs: Callable[[], object],
    rounds: int = 101,
    block: float = 0.005,
) -> Comparison:
    """Time ours and a peer's in turn.

    Parameters
    ----------
    work, peer
        What is timed, and against whom.
    ours, theirs
        Functions without arguments.
    rounds
        How many pairs.
    block
        Seconds that one side of a pair lasts at least.
    """
    calls = max(1, round(block / min(seconds(f, 3) for f in (ours, theirs))))
    pairs = [(seconds(ours, calls), seconds(theirs, calls)) for _ in range(rounds)]
    ratios = sorted(a / b for a, b in pairs)
    margin = int(np.ceil(0.98 * np.sqrt(rounds)))  # of ranks, by the binomial distribution
    return Comparison(
        work=work,
        ours=1e6 * statistics.median(a for a, _ in pairs),
        theirs=1e6 * statistics.median(b for _, b in pairs),
        peer=peer,
        ratio=statistics.median(ratios),
        low=ratios[max(0, rounds // 2 - margin)],
        high=ratios[min(rounds - 1, rounds // 2 + margin)],
        rounds=rounds,
    )


def processor() -> str:
    """Return the name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")


def store(name: str, comparisons: list[Comparison], packages: tuple[str, ...]) -> Path:
    """Write results with the machine and the versions they were measured on."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"processor": processor(), "cores": os.cpu_count()},
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        "threads": os.environ.get("OPENBLAS_NUM_THREADS", "default"),
        "comparisons": [asdict(comparison) for comparison in comparisons],
    }
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return path
