"""How the site shows pages, docstrings and outputs, and that it loads nothing from elsewhere."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return importlib.import_module


def test_outputs_are_no_code_and_empty_lines_are_empty(tool):
    shown = tool("show_outputs").on_page_markdown(
        "```python\n>>> print('a')\na\n<BLANKLINE>\nb\n```\n\n```python\nx = 1\n```\n"
    )
    assert shown == "```pycon\n>>> print('a')\na\n\nb\n```\n\n```python\nx = 1\n```\n"


def test_what_is_displayed_has_one_colon_before_it(tool):
    show = tool("show_outputs").on_page_content
    displayed = '<p>With g::</p>\n<div class="language-text highlight"><pre>x</pre></div>'
    assert show(displayed) == displayed.replace("::", ":")
    assert show("<p>a::</p>\n<p>b</p>") == "<p>a::</p>\n<p>b</p>"


DOCSTRING = """Train.

A line, as this one
has nothing to do with it.

Parameters
----------
X, y
    The examples,
    and their labels.
seed
    Of the order.
clip_norm, clip_value : float
    Typed together.
a, b, c
    Three.

Attributes
----------
mean, scale
    Of each column.

Returns
-------
value, gradient
    As they are.
"""

TOGETHER = {
    "X, y": "    The examples,\n    and their labels.\n",
    "a, b, c": "    Three.\n",
    "mean, scale": "    Of each column.\n",
}


def test_parameters_described_together_get_an_entry_each(tool):
    pytest.importorskip("griffe")
    split = tool("split_parameters").split
    expected = DOCSTRING
    for names, text in TOGETHER.items():
        one_by_one = "".join(f"{name}\n{text}" for name in names.split(", "))
        expected = expected.replace(f"{names}\n{text}", one_by_one)
    assert expected.count("Three.") == 3
    assert split(DOCSTRING) == expected
    assert split(expected) == expected
    assert split("x, y\n    No section.\n") == "x, y\n    No section.\n"


def test_each_parameter_has_its_own_default_in_the_reference(tool):
    griffe = pytest.importorskip("griffe")
    extensions = griffe.load_extensions(tool("split_parameters").SplitParameters)
    package = griffe.load(
        "chainrule", search_paths=[ROOT / "src"], extensions=extensions, docstring_parser="numpy"
    )
    (parameters,) = (
        section.value
        for section in package["train.loop.fit"].docstring.parsed
        if section.kind is griffe.DocstringSectionKind.parameters
    )
    defaults = {parameter.name: parameter.default for parameter in parameters}
    assert (defaults["epochs"], defaults["batch_size"]) == ("10", "32")


def test_what_the_pages_bring_along_names_no_other_host():
    settings = (ROOT / "mkdocs.yml").read_text()
    assert "font: false" in settings
    # Without a script of this name, the plugin for offline use loads one from elsewhere.
    assert "polyfills: [javascripts/iframe-worker.js]" in settings
    brought = [*(ROOT / "docs").rglob("*.css"), *(ROOT / "docs").rglob("*.js")]
    assert {path.name for path in brought} == {"site.css", "iframe-worker.js"}
    assert not any("//" in re.sub(r"/\*.*?\*/", "", path.read_text()) for path in brought)


@pytest.mark.slow
def test_the_built_site_loads_nothing_from_elsewhere_and_searches_without_a_server(
    tmp_path, monkeypatch
):
    build = pytest.importorskip("mkdocs.commands.build").build
    load_config = pytest.importorskip("mkdocs.config").load_config
    monkeypatch.chdir(ROOT)  # extensions and snippets are named from here
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path)))
    pages = {path: path.read_text() for path in tmp_path.rglob("*.html")}
    assert len(pages) > 200
    loading = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*\b(?:src|href)=\S*?//[^>]*>")
    assert not {path: found for path, text in pages.items() if (found := loading.findall(text))}
    assert (tmp_path / "search" / "search_index.js").exists()
    assert "pull_back" in pages[tmp_path / "reference" / "derivatives.html"]
