"""Pictures of the stored results, beside them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from benchmarks.report import RESULTS

if TYPE_CHECKING:
    from benchmarks.options import Options

mpl.use("agg")

from matplotlib import pyplot as plt
from matplotlib.ticker import NullFormatter, StrMethodFormatter

OURS, PEER, LIMIT = "#d1495b", "#8d96a3", "#00798c"
THREADS = (1, 2)


def main(_: Options) -> None:
    """Draw what there is."""
    drawn = [path for path in (steps(), scaling()) if path]
    for path in drawn:
        print(f"drawn: {path.relative_to(RESULTS.parent.parent)}")


def stored(name: str) -> dict[int, Any]:
    """Return the results of a benchmark by threads."""
    paths = {count: RESULTS / f"{name}-{count}.json" for count in THREADS}
    return {
        count: json.loads(path.read_text(encoding="utf-8"))
        for count, path in paths.items()
        if path.exists()
    }


def steps():
    """Draw a panel a network and thread count: medians with quartiles, on a logarithmic axis."""
    results = stored("steps")
    if not results:
        return None
    rows = max(len(result["races"]) for result in results.values())
    figure, panels = plt.subplots(
        rows, len(results), figsize=(6.5 * len(results), 2.6 * rows), squeeze=False
    )
    for column, (count, result) in zip(panels.T, results.items(), strict=True):
        for panel, one in zip(column, result["races"], strict=False):
            dots(panel, one["spreads"])
            panel.set_title(f"{one['work']}, {count} thread{'s' * (count > 1)}", fontsize=9)
    figure.supxlabel("microseconds a step: medians, with quartiles", fontsize=9)
    return saved(figure, "steps")


def dots(panel, spreads) -> None:
    """Draw one race, the fastest on top."""
    ordered = sorted(spreads.items(), key=lambda one: -one[1]["median"])
    for name, spread in ordered:
        colour = OURS if name == "chainrule" else LIMIT if spread["kind"] == "limit" else PEER
        middle = spread["median"]
        error = [[middle - spread["lower_quartile"]], [spread["upper_quartile"] - middle]]
        panel.errorbar(middle, name, xerr=error, fmt="o", color=colour, linewidth=1)
        panel.annotate(
            f"{middle:,.1f}" if middle < 100 else f"{middle:,.0f}",
            (spread["upper_quartile"], name),
            (6, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
        )
    panel.set_xscale("log")
    panel.margins(x=0.15)
    panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.tick_params(labelsize=7)
    panel.grid(axis="y", linewidth=0.3)
    panel.spines[["top", "right"]].set_visible(False)


def scaling():
    """Draw each step over its limit, by the limit; the bar is a line."""
    results = stored("scaling")
    if not any(cell["ratio"] for result in results.values() for cell in result["cells"]):
        return None
    figure, panels = plt.subplots(1, len(results), figsize=(6.5 * len(results), 4), squeeze=False)
    for panel, (count, result) in zip(panels[0], results.items(), strict=True):
        cells = [cell for cell in result["cells"] if cell["ratio"]]
        dots = panel.scatter(
            [cell["products"] + cell["moved"] for cell in cells],
            [cell["ratio"] for cell in cells],
            c=[cell["width"] for cell in cells],
            s=[12 + 6 * cell["depth"] ** 0.5 for cell in cells],
            norm="log",
        )
        panel.axhline(1.3, color=OURS, linewidth=1)
        panel.axhline(1, color=LIMIT, linewidth=1)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xlabel("products + bytes moved, µs")
        panel.set_ylabel("step over that")
        panel.set_title(f"{count} thread{'s' * (count > 1)}; dots grow with depth", fontsize=9)
        figure.colorbar(dots, ax=panel, label="width")
    return saved(figure, "scaling")


def saved(figure, name: str):
    """Write a figure beside the results."""
    figure.tight_layout()
    path = RESULTS / f"{name}.png"
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
