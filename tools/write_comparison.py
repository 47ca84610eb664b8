"""Write the figures of README.md and docs/comparison.md from the stored results.

Run it after ``make bench``. Between ``<!-- results: KIND -->`` and ``<!-- end of results -->``
stands what the function of that kind returns; the rest of the pages is written by hand.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from write_benchmarks import JUDGED, OURS, THREADS, cell, stored, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROOT = Path(__file__).resolve().parent.parent
PAGES = (ROOT / "README.md", ROOT / "docs" / "comparison.md")
BETWEEN = re.compile(r"(<!-- results: (\w+) -->\n).*?(\n<!-- end of results -->)", re.DOTALL)

PEERS = {
    "JAX": ("JAX jit", "JAX jit, one arena"),
    "NumPy by hand": ("NumPy by hand",),
    "MyGrad": ("MyGrad",),
    "PyTorch": ("PyTorch", "torch.compile"),
    "scikit-learn": ("scikit-learn",),
}
"""The columns of a step: of several ways to use a peer the faster one is shown."""

ESTIMATORS = (OURS, "scikit-learn")


def main() -> None:
    """Write the pages."""
    for path in PAGES:
        path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")
        print(path.relative_to(ROOT))


def written(page: str) -> str:
    """Return a page with its figures from the results."""
    return BETWEEN.sub(lambda found: f"{found[1]}\n{KINDS[found[2]]()}\n{found[3]}", page)


def steps() -> str:
    """Return what a step of Adam takes on one thread."""
    return "\n".join(table(["one thread", OURS, *PEERS], _steps(1, PEERS)))


def steps_on_threads() -> str:
    """Return what a step of Adam takes on one thread and on two."""
    peers = [name for name in PEERS if name != "scikit-learn"]
    rows = [
        [work, str(count), *times] for count in THREADS for work, *times in _steps(count, peers)
    ]
    return "\n".join(table(["", "threads", OURS, *peers], rows))


def _steps(threads: int, peers: Iterable[str]) -> Iterator[list[str]]:
    for race in (stored(f"steps-{threads}") or {"races": []})["races"]:
        fastest = [_fastest(race, PEERS[name]) for name in peers]
        yield [race["work"].removeprefix("Adam step "), cell(race, OURS), *fastest]


def _fastest(race: dict[str, Any], names: tuple[str, ...]) -> str:
    there = [name for name in names if name in race["spreads"]]
    best = min(there, key=lambda name: race["spreads"][name]["median"], default="")
    return cell(race, best)


def fits() -> str:
    """Return how long each fit of an estimator takes."""
    return "\n".join(table(["", *ESTIMATORS], _fits()))


def fits_to_a_score() -> str:
    """Return how long a fit takes to be as good as is asked."""
    rows = (row for row in _fits() if " right" in row[0])
    return "\n".join(table(["", *ESTIMATORS], rows))


def _fits() -> Iterator[list[str]]:
    for race in (stored("estimators-1") or {"races": []})["races"]:
        yield [race["work"], *[cell(race, name) for name in ESTIMATORS]]


def missed() -> str:
    """Return the bars that do not hold, and those that were not measured."""
    bars = [
        (bar, name, count)
        for name in JUDGED
        for count in THREADS
        for bar in (stored(f"{name}-{count}") or {"bars": []})["bars"]
    ]
    rows = [
        [
            bar["work"] or name,
            str(count),
            bar["bar"],
            "not measured" if bar["met"] is None else bar["found"],
        ]
        for bar, name, count in bars
        if bar["met"] is not True
    ]
    said = f"Of {len(bars)} bars, {len(bars) - len(rows)} hold. The others:"
    return "\n".join([said, "", *table(["work", "threads", "bar", "found (95 %)"], rows, words=4)])


KINDS: dict[str, Callable[[], str]] = {
    "fits": fits,
    "fits_to_a_score": fits_to_a_score,
    "missed": missed,
    "steps": steps,
    "steps_on_threads": steps_on_threads,
}

if __name__ == "__main__":
    main()
