"""Timing functions in turn, so that a noisy machine disturbs all of them alike.

A round is: ours, the first peer, ours, the second peer, and so on. Each peer is compared with the
block of ours just before it, and what is reported is the median of these ratios with its 95 %
bounds, by order statistics.
"""

from __future__ import annotations

import os
import statistics
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "LIMIT",
    "Comparison",
    "Contestant",
    "Race",
    "Spread",
    "compare",
    "race",
    "seconds",
    "trial",
]

LONG = 0.1
"""Seconds of a call against which waking threads is nothing."""

LIMIT = "limit"
"""The kind of a contestant that is no peer but a part of the work: its products alone."""


@dataclass(frozen=True)
class Contestant:
    """Somebody who does the work; ``units`` times in a call."""

    name: str
    run: Callable[[], object]
    units: int = 1
    kind: str = "peer"


@dataclass(frozen=True)
class Spread:
    """Times in microseconds, and how many cores were busy meanwhile.

    ``low`` and ``high`` hold the median with 95 % confidence.
    """

    median: float
    low: float
    high: float
    lower_quartile: float
    upper_quartile: float
    cores: float
    kind: str = "peer"


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


@dataclass(frozen=True)
class Race:
    """What one interleaved run gave.

    ``others`` is how many cores other processes, and other machines on the same host, used
    meanwhile. ``spreads`` has everybody who ran,
    ``comparisons`` each peer against ours, if ours ran, and ``absent`` says of the others why they
    did not.
    """

    work: str
    rounds: int
    others: float
    spreads: dict[str, Spread]
    comparisons: dict[str, Comparison] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def seconds(function: Callable[[], object], calls: int) -> float:
    """Return the time of one call, the mean of several."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def trial(function: Callable[[], object]) -> float:
    """Return about how long a call takes, the first one not counted."""
    function()
    return max(seconds(function, 3), 1e-9)


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
    return compared(work, peer, pairs)


def compared(work: str, peer: str, pairs: Sequence[tuple[float, float]]) -> Comparison:
    """Return the comparison that pairs of times in seconds make."""
    ratio, low, high = bounds([a / b for a, b in pairs])
    return Comparison(
        work=work,
        ours=1e6 * statistics.median(a for a, _ in pairs),
        theirs=1e6 * statistics.median(b for _, b in pairs),
        peer=peer,
        ratio=ratio,
        low=low,
        high=high,
        rounds=len(pairs),
    )


def bounds(numbers: Sequence[float]) -> tuple[float, float, float]:
    """Return the median and what it lies between with 95 % confidence."""
    ordered = sorted(numbers)
    count = len(ordered)
    margin = int(np.ceil(0.98 * np.sqrt(count)))  # of ranks, by the binomial distribution
    return (
        statistics.median(ordered),
        ordered[max(0, count // 2 - margin)],
        ordered[min(count - 1, count // 2 + margin)],
    )


def race(
    work: str,
    ours: Contestant | None,
    peers: Sequence[Contestant],
    *,
    rounds: int = 101,
    block: float = 0.005,
    pause: float = 0,
) -> Race:
    """Time ours and several peers in turn.

    Parameters
    ----------
    work
        What is timed.
    ours, peers
        Who does it; without ours the peers are timed and nothing is compared.
    rounds
        How often each is timed.
    block
        Seconds that a contestant is timed for at least, at a time.
    pause
        Seconds before each block. Threads of OpenBLAS go on spinning for 25 ms after their last
        product, those of OpenMP for some too, and would take a core from whoever comes next.
    """
    everybody = [*([ours] if ours else []), *peers]
    trials = {one.name: trial(one.run) for one in everybody}
    calls = {name: max(1, round(block / took)) for name, took in trials.items()}
    times: dict[str, list[float]] = {one.name: [] for one in everybody}
    # Sums, because the system counts what other threads of a process use only at its ticks.
    cores = {one.name: np.zeros(2) for one in everybody}
    pairs: dict[str, list[tuple[float, float]]] = {one.name: [] for one in peers}

    def turn(one: Contestant) -> float:
        time.sleep(pause)
        if trials[one.name] < LONG:
            one.run()  # wakes its threads and fetches its arrays, as in training
        busy = time.process_time()
        took = seconds(one.run, calls[one.name])
        busy = time.process_time() - busy
        cores[one.name] += np.array([busy, took * calls[one.name]])
        times[one.name].append(took / one.units)
        return took / one.units

    before = cores_of_others()
    for _ in range(rounds):
        for peer in peers:
            if ours:
                pairs[peer.name].append((turn(ours), turn(peer)))
            else:
                turn(peer)
        if ours and not peers:
            turn(ours)
    return Race(
        work=work,
        rounds=rounds,
        others=round(cores_of_others(before)[2], 2),
        spreads={
            one.name: spread(times[one.name], np.divide(*cores[one.name]), one.kind)
            for one in everybody
        },
        comparisons={name: compared(work, name, both) for name, both in pairs.items() if both},
    )


def spread(times: Sequence[float], cores: float = 1, kind: str = "peer") -> Spread:
    """Return median and quartiles of times in seconds."""
    quartiles = 1e6 * np.quantile(times, (0.25, 0.75))
    middle = bounds([1e6 * took for took in times])
    return Spread(*middle, *map(float, quartiles), round(float(cores), 2), kind)


def cores_of_others(
    before: tuple[float, float, float] = (0, 0, 0),
) -> tuple[float, float, float]:
    """Return the time, the others' processor time, and the cores they used since ``before``."""
    now = time.monotonic()
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    except OSError:
        return now, 0, 0
    user, nice, system, *_, stolen = map(int, fields[1:9])  # stolen by other machines on this host
    everybody = (user + nice + system + stolen) / os.sysconf("SC_CLK_TCK")
    others = everybody - time.process_time()
    return now, others, max(0.0, (others - before[1]) / max(now - before[0], 1e-9))
