"""The figures of README.md and of the comparison are those of the stored results."""

import importlib
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results"


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return importlib.import_module("write_comparison")


@pytest.mark.parametrize("name", ["README.md", "docs/comparison.md"])
def test_a_page_has_the_figures_of_the_results(tool, name):
    stored = (ROOT / name).read_text()
    assert stored == tool.written(stored), "run tools/write_comparison.py"
    assert "<!-- results: steps" in stored


def test_what_is_between_the_marks_gives_way_and_nothing_else_does(tool):
    page = "before\n<!-- results: steps -->\nold\n<!-- end of results -->\nafter\n"
    new = tool.written(page)
    assert new.startswith("before\n<!-- results: steps -->\n\n| one thread | chainrule |")
    assert new.endswith("|\n\n<!-- end of results -->\nafter\n")
    assert "old" not in new
    assert tool.written(new) == new


def test_a_figure_of_the_page_is_the_median_of_its_race():
    (race,) = (
        race
        for race in json.loads((RESULTS / "steps-1.json").read_text())["races"]
        if race["work"].startswith("Adam step 64-64-64-10")
    )
    (row,) = re.findall(r"^\| 64-64-64-10.*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    ours, *theirs = (float(cell.split()[0]) for cell in row.split(" | ")[1:5])
    assert ours == pytest.approx(race["spreads"]["chainrule"]["median"], rel=5e-3)
    fastest = min(race["spreads"][name]["median"] for name in ("JAX jit", "JAX jit, one arena"))
    assert theirs[0] == pytest.approx(fastest, rel=5e-3)
    assert theirs[1] == pytest.approx(race["spreads"]["NumPy by hand"]["median"], rel=5e-3)


def test_every_bar_that_does_not_hold_is_said(tool):
    bars = [
        bar
        for path in RESULTS.glob("*.json")
        for bar in json.loads(path.read_text()).get("bars", ())
        if path.stem.rpartition("-")[0] in tool.JUDGED
    ]
    said = tool.missed()
    failed = [bar for bar in bars if not bar["met"]]
    assert f"Of {len(bars)} bars, {len(bars) - len(failed)} hold." in said
    assert all(bar["bar"] in said for bar in failed)
    assert said.count("\n| ") == len(failed) + 2


def test_the_readme_counts_the_records_of_operators_as_the_peers_do():
    (count,) = re.findall(r"records of (\d+) operators", (ROOT / "README.md").read_text())
    assert f"over {count} records" in (ROOT / "peers" / "README.md").read_text()
