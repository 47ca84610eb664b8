"""What the numbers have to be, and whether they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.harness import LIMIT

if TYPE_CHECKING:
    from benchmarks.harness import Comparison, Race

__all__ = ["BEST_PEER", "PRODUCTS", "Bar", "Judgement", "at_most", "faster", "judge", "within"]

BEST_PEER = "the best peer"
PRODUCTS = "products only"


@dataclass(frozen=True)
class Bar:
    """The largest ratio of ours over a peer's, or of a number over one, that will do."""

    text: str
    against: str
    most: float


@dataclass(frozen=True)
class Judgement:
    """A bar and what was measured; ``met`` if the 95 % bound holds it, None if nothing was."""

    bar: str
    found: str
    met: bool | None
    work: str = ""

    def __str__(self) -> str:
        word = {True: "met", False: "NOT MET", None: "not measured"}[self.met]
        return ": ".join(part for part in (self.bar, self.found, word) if part)


def faster(peer: str, times: float) -> Bar:
    """Return the bar: ours is so many times as fast as a peer."""
    text = f"≥ {times:g} × faster than {peer}" if times != 1 else f"not slower than {peer}"
    return Bar(text, peer, 1 / times)


def within(times: float, peer: str = PRODUCTS) -> Bar:
    """Return the bar: ours costs at most so many times what a peer does, or its products alone."""
    return Bar(f"≤ {times:g} × {peer}", peer, times)


def judge(bar: Bar, race: Race) -> Judgement:
    """Hold a bar against a race."""
    comparison = opponent(bar.against, race)
    if comparison is None:
        return Judgement(bar.text, race.absent.get(bar.against, ""), None, race.work)
    ratio, low, high = comparison.ratio, comparison.low, comparison.high
    if bar.text.startswith("≤"):
        found = f"{ratio:.3f} × ({low:.3f} … {high:.3f})"
    else:
        found = f"{1 / ratio:.2f} × ({1 / high:.2f} … {1 / low:.2f})"
    named = f" {comparison.peer}" if comparison.peer != bar.against else ""
    return Judgement(bar.text, found + named, high <= bar.most, race.work)


def at_most(text: str, found: tuple[float, float, float], most: float, unit: str) -> Judgement:
    """Hold a number, with its bounds, against the largest that will do."""
    middle, low, high = found
    return Judgement(
        f"{text} ≤ {most:g} {unit}",
        f"{middle:.3g} {unit} ({low:.3g} … {high:.3g})",
        high <= most,
    )


def opponent(name: str, race: Race) -> Comparison | None:
    """Return the comparison with a peer, with the fastest, or with the faster of the limits."""
    if name not in {BEST_PEER, PRODUCTS}:
        return race.comparisons.get(name)
    limits = name == PRODUCTS
    candidates = [
        one for one in race.comparisons.values() if (race.spreads[one.peer].kind == LIMIT) == limits
    ]
    return min(candidates, key=lambda one: one.theirs, default=None)
