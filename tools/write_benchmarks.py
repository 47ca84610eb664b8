"""Write the tables of docs/benchmarks.md from the stored results.

Run it after ``make bench``. What stands above the line ``MARK`` in the page is written by hand and
stays; all below it comes from benchmarks/results. The pictures are copied beside the page.
"""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from statistics import fmean, median, pstdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
PICTURES = PAGE.parent / "pictures"
MARK = "<!-- Below here: tools/write_benchmarks.py -->"
OURS = "chainrule"
THREADS = (1, 2)
JUDGED = (
    "steps",
    "epochs",
    "estimators",
    "scores",
    "rows",
    "derivatives",
    "open_pass",
    "per_example",
    "scaling",
    "memory",
    "startup",
    "contention",
)
"""Benchmarks with bars, in the order of the page."""

PEERS = {"sklearn_fit": "scikit-learn"}
"""What a peer is called whose file has another name."""

Record = dict[str, Any]


def main() -> None:
    """Write the page."""
    by_hand = PAGE.read_text(encoding="utf-8").partition(MARK)[0].rstrip()
    parts = ["\n".join(part) for part in sections()]
    PAGE.write_text("\n\n".join([by_hand, MARK, *parts]) + "\n", encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {len(parts)} tables and pictures")


def sections() -> Iterator[list[str]]:
    """Yield headings, tables and pictures."""
    yield from bars()
    yield from of_threads("steps", "A step of Adam", races)
    yield from picture("steps", "Medians of a step with quartiles; products alone in green")
    yield from of_threads("epochs", "An epoch, and a training", races)
    yield from of_threads("estimators", "Estimators beside scikit-learn's", races)
    yield from of_threads(
        "scores", "Scores of the estimators, with every setting at its default", scores
    )
    yield from of_threads("rows", "One row", races)
    yield from of_threads("derivatives", "Derivatives", races)
    yield from of_threads("open_pass", "An open pass beside a plain one", races)
    yield from of_threads("per_example", "Gradients of single examples", races)
    yield from of_threads("scaling", "Depth, width and batch", scaling)
    yield from picture("scaling", "A step over its limit; the bar is the red line")
    yield from of_threads("memory", "Memory that a step adds", memory)
    yield from of_threads("startup", "Start-up", startup)
    yield from of_threads("contention", "Beside two busy processes", contention)
    yield from of_threads("alone", "Alone, and in company", alone)
    yield from products()
    yield from walk()
    yield from machines()


def stored(name: str) -> Record | None:
    """Return the results of a benchmark, if there are any."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def of_threads(
    name: str, title: str, tables: Callable[[Record], Iterable[list[str]]]
) -> Iterator[list[str]]:
    """Yield a heading, and for each number of threads its tables."""
    records = [record for count in THREADS if (record := stored(f"{name}-{count}"))]
    if records:
        yield [f"## {title}"]
    for record in records:
        count = record["threads"]
        yield [f"**{count} thread{'s' * (count > 1)}**"]
        yield from tables(record)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> list[str]:
    """Return a table, its first columns of words and the rest of numbers."""
    lines = [head, [*["---"] * words, *["---:"] * (len(head) - words)], *rows]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def picture(name: str, text: str) -> Iterator[list[str]]:
    """Copy a picture and yield the line that shows it."""
    path = RESULTS / f"{name}.png"
    if path.exists():
        PICTURES.mkdir(exist_ok=True)
        shutil.copyfile(path, PICTURES / path.name)
        yield [f"![{text}](pictures/{path.name})"]


# ---------------------------------------------------------------------------------- numbers


def duration(microseconds: float) -> str:
    """Return a time with three figures and its unit."""
    for unit in ("µs", "ms"):
        if microseconds < 1e3:
            return f"{figures(microseconds)} {unit}"
        microseconds /= 1e3
    return f"{figures(microseconds)} s"


def figures(x: float) -> str:
    """Return a number with three figures, without an exponent."""
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


# ---------------------------------------------------------------------------------- sections


def bars() -> Iterator[list[str]]:
    """Yield the table of what the numbers have to be, and whether they are."""
    rows = []
    for name, count in itertools.product(JUDGED, THREADS):
        record = stored(f"{name}-{count}") or {"bars": []}
        for bar in record["bars"]:
            met = {True: "yes", False: "**no**", None: "not measured"}[bar["met"]]
            found = "" if bar["met"] is None else bar["found"]
            rows.append([bar["work"] or name, str(count), bar["bar"], found, met])
    if rows:
        yield ["## Bars"]
        met = sum(row[-1] == "yes" for row in rows)
        yield [f"{met} of {len(rows)} are met."]
        yield table(["work", "threads", "bar", "found (95 %)", "met"], rows, words=5)


def races(record: Record) -> Iterator[list[str]]:
    """Yield a table of contestants and works, with the fewer of them in columns."""
    works = record["races"]
    names = list(dict.fromkeys(name for race in works for name in race["spreads"]))
    names.sort(key=lambda name: (name != OURS, is_limit(works, name)))
    titles = [race["work"].removeprefix("Adam step ") for race in works]
    lines = [["", *titles], *[[name, *[cell(race, name) for race in works]] for name in names]]
    if len(works) > len(names):
        lines = list(map(list, zip(*lines, strict=True)))
    yield table(lines[0], lines[1:])
    absent = {(name, why) for race in works for name, why in dict(race["absent"]).items()}
    for name, why in sorted(absent):
        yield [f"Not everywhere: {PEERS.get(name, name)} ({why.partition(': ')[2]})."]


def scores(record: Record) -> Iterator[list[str]]:
    """Yield a table of what both libraries reach on each set, and how long a fit takes them."""
    names = list(record["rows"][0]["scores"])
    head = ["", *[f"score, {name}" for name in names], *[f"fit, {name}" for name in names]]
    rows = []
    for row in record["rows"]:
        reached = [f"{fmean(s):.3f} ± {pstdev(s):.3f}" for s in row["scores"].values()]
        first, *others = [1e6 * median(seconds) for seconds in row["seconds"].values()]
        took = [duration(first), *[f"{duration(t)} ({figures(t / first)} ×)" for t in others]]
        rows.append([row["data"], *reached, *took])
    yield table(head, rows)


def is_limit(works: Sequence[Record], name: str) -> bool:
    """Return whether a contestant is a part of the work and no peer."""
    return any(race["spreads"].get(name, {}).get("kind") == "limit" for race in works)


def cell(race: Record, name: str) -> str:
    """Return a median, and how many times as long as ours it is."""
    if name not in race["spreads"]:
        return ""
    took = duration(race["spreads"][name]["median"])
    comparison = race["comparisons"].get(name)
    return f"{took} ({figures(1 / comparison['ratio'])} ×)" if comparison else took


def scaling(record: Record) -> Iterator[list[str]]:
    """Yield the ratios of steps to their limit, by depth and width, and by batch."""
    cells = {(one["depth"], one["width"], one["batch"]): one for one in record["cells"]}
    batches = sorted({batch for _, _, batch in cells})
    shapes = sorted({(depth, width) for depth, width, _ in cells})
    rows = [
        [f"{depth} × {width}", *[ratio(cells.get((depth, width, batch))) for batch in batches]]
        for depth, width in shapes
    ]
    yield [f"A copy moves {record['bandwidth'] / 1e9:.1f} GB/s."]
    yield table(["depth × width", *[f"batch {batch}" for batch in batches]], rows)


def ratio(one: Record | None) -> str:
    """Return what a step costs over its limit."""
    return f"{one['ratio']:.2f}" if one and one["ratio"] else ""


def memory(record: Record) -> Iterator[list[str]]:
    """Yield the memory that each adds, in a fresh process and with libraries loaded."""
    yield table(
        ["MiB", "fresh process", "libraries loaded before"],
        [
            [name, *[spread(states[state]) for state in ("fresh", "warm")]]
            for name, states in record["mebibytes"].items()
        ],
    )


def startup(record: Record) -> Iterator[list[str]]:
    """Yield seconds until something is done, from the start of a process."""
    rows = [[name, spread(times, 3)] for name, times in record["seconds"].items()]
    yield table(["", "seconds"], rows)


def spread(numbers: Sequence[float], places: int = 1) -> str:
    """Return a median and the range."""
    middle, low, high = (f"{x:.{places}f}" for x in (median(numbers), min(numbers), max(numbers)))
    return f"{middle} ({low} … {high})"


def contention(record: Record) -> Iterator[list[str]]:
    """Yield what steps cost beside busy processes."""
    rows = [
        [
            f"{one['name']}, {one['work']}",
            duration(one["quiet"]),
            duration(one["contended"]),
            f"{one['ratio']:.2f} ({one['low']:.2f} … {one['high']:.2f})",
        ]
        for one in record["works"]
    ]
    yield table(["", "quiet", "contended", "times (95 %)"], rows)


def alone(record: Record) -> Iterator[list[str]]:
    """Yield what each takes alone in a process, beside what it takes in turn with others."""
    steps = stored(f"steps-{record['threads']}") or {"races": []}
    company = {race["work"]: race["spreads"] for race in steps["races"]}
    medians = record["medians"]
    works = list(dict.fromkeys(work for found in medians.values() for work in found))
    rows = []
    for name, found in medians.items():
        cells = [name]
        for work in works:
            beside = company.get(work, {}).get(name)
            cells.append(
                " · ".join(
                    [duration(found[work]) if work in found else "–"]
                    + ([duration(beside["median"])] if beside else [])
                )
            )
        rows.append(cells)
    yield table(["alone · in company", *[work.removeprefix("Adam step ") for work in works]], rows)


def products() -> Iterator[list[str]]:
    """Yield how fast large products are beside BLAS."""
    record = stored("large_products")
    if record is None:
        return
    yield ["## Large products"]
    kernels = " and ".join(record["kernels"])
    yield [
        "10⁹ operations a second at best, on one thread; A and B lie by rows (r) or columns (c).",
        f"Beside two of BLAS: {kernels}.",
    ]
    rows: dict[str, list[str]] = {}
    for row in record["rows"]:
        work = f"{' × '.join(map(str, row['shape']))} {row['layout']}"
        rows.setdefault(work, [work]).extend(
            f"{row[who]:.0f}" for who in ("ours", "blas", "widest")
        )
    dtypes = dict.fromkeys(row["dtype"] for row in record["rows"])
    head = [f"{dtype}: {who}" for dtype in dtypes for who in ("ours", "first", "second")]
    yield table(["m × n × k", *head], rows.values())


def walk() -> Iterator[list[str]]:
    """Yield what a gradient costs that is not compiled."""
    record = stored("walk")
    if record is None:
        return
    yield ["## Nothing compiled"]
    rows = [
        [
            one["work"],
            duration(one["ours"]),
            f"{one['peer']} {duration(one['theirs'])}",
            f"{one['ratio']:.2f} ({one['low']:.2f} … {one['high']:.2f})",
        ]
        for one in record["comparisons"]
    ]
    yield table(["", "ours", "peer", "ours over it (95 %)"], rows)


def machines() -> Iterator[list[str]]:
    """Yield what each benchmark was measured on."""
    yield ["## Measured on"]
    found: dict[str, list[str]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        machine = record["machine"]
        versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
        blas = f"; {', '.join(record['blas'])}" if record.get("blas") else ""
        said = (
            f"{record['date']}: {machine['processor']}, {machine['cores']} cores, "
            f"Python {record['python']}, {versions}{blas}"
        )
        found.setdefault(said, []).append(path.stem)
    yield [f"* {', '.join(names)}: {said}." for said, names in found.items()]


if __name__ == "__main__":
    main()
