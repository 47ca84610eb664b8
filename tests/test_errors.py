"""Every error has one code and one page, and each page's example raises it and its advice runs."""

import ast
import re
import sys
from doctest import ELLIPSIS, OutputChecker
from pathlib import Path

import pytest

from chainrule import errors

PAGES = Path(__file__).parents[1] / "docs" / "errors"
SOURCE = Path(errors.__file__).parent
CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.ChainruleError)
}
BY_CODE = {kind.code: kind for kind in CLASSES.values() if kind.code}

every_code = pytest.mark.parametrize("code", sorted(BY_CODE))


def page(code):
    return (PAGES / f"{code}.md").read_text(encoding="utf-8")


def block(code, fence, after):
    """Return the first block with this fence after a heading."""
    _, _, rest = page(code).partition(f"\n## {after}\n")
    match = re.search(rf"^```{fence}\n(.*?)^```$", rest, re.MULTILINE | re.DOTALL)
    assert match, f"{code}.md has no block {fence!r} under {after!r}"
    return match[1]


def run(text, file):
    exec(compile(text, file, "exec"), {"__name__": "example"})  # noqa: S102 - our own pages


def example_error(code, monkeypatch):
    """Return the error that the example of a page raises."""
    if code == "CR001":  # as if the package were not installed, and had never been imported
        monkeypatch.setitem(sys.modules, "onnx", None)
        monkeypatch.delitem(sys.modules, "chainrule.interop.onnx", raising=False)
    with pytest.raises(errors.ChainruleError) as caught:
        run(block(code, 'python title="example.py"', "Example"), "example.py")
    return caught.value


# ------------------------------------------------------------------------- codes, pages, tree


def test_codes_are_unique_and_public():
    coded = [kind for kind in CLASSES.values() if kind.code]
    assert len(BY_CODE) == len(coded)
    assert all(re.fullmatch(r"CR\d{3}", code) for code in BY_CODE)
    assert sorted(errors.__all__) == sorted(CLASSES)


def test_the_pages_are_those_of_the_codes():
    assert {path.stem for path in PAGES.glob("*.md")} == {*BY_CODE, "index"}


def test_the_tree_is_drawn_as_the_classes_are():
    """Read the drawing back: the depth of a name says what it derives from."""
    parents, above, said = {}, ["ChainruleError"], {}
    for line in errors.__doc__.splitlines():
        match = re.match(r"    ([│├└─ ]*[├└]── )(\w+)(?: +(CR\d{3})  (.*))?$", line)
        if match:
            depth = len(match[1]) // 4
            above = [*above[:depth], match[2]]
            parents[match[2]] = above[depth - 1]
            said[match[2]] = match[3] or ""
    assert said == {n: kind.code for n, kind in CLASSES.items() if n != "ChainruleError"}
    for name, parent in parents.items():
        assert CLASSES[parent] is CLASSES[name].__bases__[0], name


def test_codes_stand_in_order():
    codes = re.findall(r"CR\d{3}", errors.__doc__)
    assert codes == sorted(codes)


@every_code
def test_every_error_is_found_by_its_page_and_in_the_list(code):
    assert page(code).startswith(f"# {code} {BY_CODE[code].__name__}\n")
    assert f"[{code}]({code}.md) | `{BY_CODE[code].__name__}` |" in page("index")


# ------------------------------------------------------------------------- what pages show


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    """Some examples write files."""
    monkeypatch.chdir(tmp_path)


@every_code
def test_the_example_of_a_page_raises_its_error(code, monkeypatch):
    error = example_error(code, monkeypatch)
    assert type(error) is BY_CODE[code]
    assert error.code == code
    shown = block(code, "text", "Example")
    assert OutputChecker().check_output(shown, f"{error}\n", ELLIPSIS), f"{code}.md:\n{error}"


@every_code
def test_the_message_answers_the_four_questions(code, monkeypatch):
    """What happened and was expected, with which values, where, and what to do."""
    error = example_error(code, monkeypatch)
    lines = str(error).splitlines()
    assert lines[0] == f"{code} {type(error).__name__}: {error.what}"
    assert error.what.endswith(".")
    assert error.facts or re.search(r"[\d'A-Z]|onnx", error.what)  # numbers, texts or classes
    assert any(re.fullmatch(r"  at example\.py:\d+", line) for line in lines)
    assert error.advice
    assert lines[-1] == f"  {error.advice.splitlines()[-1]}"


@every_code
def test_what_a_page_advises_runs(code):
    run(block(code, "python", "What to do"), f"{code}.md")


# ------------------------------------------------------------------------- errors themselves


@every_code
def test_every_error_has_a_way_out_even_where_none_is_said(code):
    error = BY_CODE[code]("something happened.", "x: float64[3]")
    here = example_line() - 1
    assert BY_CODE[code].way_out
    assert str(error).splitlines() == [
        f"{code} {BY_CODE[code].__name__}: something happened.",
        "  x: float64[3]",
        f"  at test_errors.py:{here}",
        f"  {BY_CODE[code].way_out}",
    ]


def example_line():
    """Return the line that this is called on."""
    return sys._getframe(1).f_lineno


def test_an_error_keeps_its_line_when_more_is_known_of_it():
    error = errors.ShapeError("they do not fit.", advice="Transpose.", where="model.py:12")
    more = error.located("a: float64[2]")
    assert type(more) is errors.ShapeError
    assert str(more).splitlines()[1:] == ["  a: float64[2]", "  at model.py:12", "  Transpose."]


@pytest.mark.parametrize(
    ("kind", "python"),
    [
        (errors.MissingExtraError, ImportError),
        (errors.TraceError, TypeError),
        (errors.NoOpError, AttributeError),
        (errors.ShapeError, ValueError),
        (errors.AxisError, IndexError),
        (errors.InputTypeError, TypeError),
        (errors.StructureError, ValueError),
        (errors.GradientError, AssertionError),
    ],
)
def test_errors_are_pythons_too(kind, python):
    assert issubclass(kind, python)
    assert issubclass(kind, errors.ChainruleError)


# ------------------------------------------------------------------------- the source


def raised_texts():
    """Yield file, line and the end of the first sentence of every error of ours in the source."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in CLASSES and node.args:
                text = node.args[0]
                last = text.values[-1] if isinstance(text, ast.JoinedStr) else text
                if isinstance(last, ast.Constant):
                    yield f"{path.relative_to(SOURCE)}:{node.lineno}", last.value


def test_every_error_in_the_source_says_a_sentence():
    unfinished = [where for where, text in raised_texts() if not text.endswith((".", "?"))]
    assert unfinished == []
