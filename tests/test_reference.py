"""Every public name has an entry in the reference, and what is filled into pages is there."""

import importlib.util
import pkgutil
import re
import types
from pathlib import Path

import numpy as np
import pytest

import chainrule
from chainrule import nn
from chainrule.graph import NUMPY

pytest.importorskip("polars")
pytest.importorskip("sklearn")

ROOT = Path(__file__).parent.parent
PAGES = {path.stem: path.read_text() for path in (ROOT / "docs" / "reference").glob("*.md")}
MODULES = (
    "chainrule",
    "chainrule.interop.data",
    "chainrule.interop.sklearn",
    "chainrule.nn",
    "chainrule.testing",
    "chainrule.train",
    "chainrule.transform",
)


def _tool():
    spec = importlib.util.spec_from_file_location("fill_in", ROOT / "tools" / "fill_in.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TOOL = _tool()
SHOWN = {name: TOOL.on_page_markdown(text) for name, text in PAGES.items()}


def _entries():
    """Return what the pages have entries for; of a module all that it makes public."""
    for text in PAGES.values():
        for path in re.findall(r"^::: (\S+)$", text, re.MULTILINE):
            found = pkgutil.resolve_name(path)
            yield found
            if isinstance(found, types.ModuleType):
                yield from (getattr(found, name) for name in getattr(found, "__all__", ()))


LISTED = list(_entries())
ENTRIES = {id(entry) for entry in LISTED}


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_the_reference(module):
    home = importlib.import_module(module)
    text = "\n".join(SHOWN.values())
    missing = [
        name
        for name in home.__all__
        if not isinstance(found := getattr(home, name), types.ModuleType)
        and id(found) not in ENTRIES
        and f"`nn.{name}`" not in text  # an activation, in its table
        and f"`{module}.{name}`" not in text  # a constant, in a sentence
    ]
    assert not missing


@pytest.mark.parametrize("name", ["compile", "open", "MLPClassifier", "MLPRegressor"])
def test_a_public_name_that_a_star_import_leaves_out_is_in_the_reference(name):
    assert id(getattr(chainrule, name)) in ENTRIES


@pytest.mark.parametrize("kind", [nn.Module, nn.DNN])
def test_what_a_class_has_from_a_base_without_an_entry_is_shown_with_it(kind):
    (options,) = re.findall(
        rf"^::: chainrule\.nn\.{kind.__name__}\n.*?inherited_members: \[(.*?)\]",
        PAGES["networks"],
        re.MULTILINE | re.DOTALL,
    )
    inherited = {
        name
        for base in kind.__mro__[1:-1]
        for name, found in vars(base).items()
        if not name.startswith("_") and (callable(found) or isinstance(found, property))
    }
    assert set(options.split(", ")) == inherited


def test_nothing_has_two_entries():
    paths = re.findall(r"^::: (\S+)$", "\n".join(PAGES.values()), re.MULTILINE)
    assert len(set(paths)) == len(paths)


def test_every_page_is_in_the_index():
    links = set(re.findall(r"\]\((\w+)\.md\)", PAGES["index"]))
    assert links == PAGES.keys() - {"index"}


def test_nothing_is_left_to_fill_in():
    assert not any("<!--" in text for text in SHOWN.values())


def test_the_page_of_commands_has_the_help_of_each():
    page = SHOWN["commands"]
    assert re.findall(r"^## (\w+)", page, re.MULTILINE) == [
        *("demo", "train", "predict", "evaluate", "show", "check", "audit")
    ]
    assert page.count("Usage: chainrule ") == 7
    assert "--checkpoint-every" in page
    assert "\x1b" not in page


def test_the_page_of_activations_has_each_by_its_first_name():
    rows = dict(re.findall(r'^\| `nn\.(\w+)` \| `"(\w+)"` \|', SHOWN["networks"], re.MULTILINE))
    assert rows.keys() == {kind.__name__ for kind in nn.ACTIVATIONS.values()}
    assert rows["Sigmoid"] == "sigmoid"
    assert all(nn.ACTIVATIONS[name].__name__ == kind for kind, name in rows.items())


def test_the_functions_of_numpy_are_those_that_a_trace_knows():
    page = SHOWN["ops"]
    plain, algebra = (
        re.findall(r"`(\w+)`", page.partition(f"From `{home}`: ")[2].partition("\n")[0])
        for home in ("np", "np.linalg")
    )
    assert {"tanh", "einsum", "where", "concatenate"} <= set(plain)
    assert {"solve", "inv", "det", "norm"} <= set(algebra)
    assert "convolve" not in plain
    assert all(getattr(np, name) in NUMPY for name in plain)
    assert all(getattr(np.linalg, name) in NUMPY for name in algebra)
