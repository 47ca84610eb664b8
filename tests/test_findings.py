"""Every cause that can be named has a page, and says what it should."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def _tool():
    spec = importlib.util.spec_from_file_location(
        "write_findings", ROOT / "tools/write_findings.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = _tool()
PAGES = TOOL.pages()


def test_the_pages_are_those_of_the_causes():
    folder = ROOT / "docs" / "findings"
    assert {path.name for path in folder.glob("*.md")} == PAGES.keys()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_its_docstring_says(name):
    stored = (ROOT / "docs" / "findings" / name).read_text()
    assert stored == PAGES[name], "run tools/write_findings.py"


@pytest.mark.parametrize("known", TOOL.CAUSES.values(), ids=lambda known: known.code)
def test_a_cause_says_what_it_is_and_what_to_do(known):
    assert known.code[:3] in TOOL.FAMILIES
    assert known.title.endswith(".")
    assert len(known.doc.split()) > 30
    assert known.severity in TOOL.MEANING
