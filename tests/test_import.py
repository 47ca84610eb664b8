"""What `import chainrule` costs: nothing is loaded that a training does not need."""

import subprocess
import sys

import pytest

import chainrule

LATER = (
    "chainrule.cli",
    "chainrule.inspect",
    "chainrule.interop",
    "llvmlite",
    "matplotlib",
    "numba",
    "onnx",
    "polars",
    "scipy",
    "sklearn",
    "torch",
    "typer",
)


def test_importing_loads_nothing_that_can_wait():
    text = f"import sys, chainrule; print([m for m in {LATER!r} if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)  # noqa: S603
    assert told.stdout.strip() == "[]", told.stdout


@pytest.mark.parametrize("name", sorted({*chainrule._HOMES, *chainrule.__all__}))
def test_a_public_name_is_there(name):
    assert getattr(chainrule, name) is getattr(chainrule, name)
    assert name in dir(chainrule)


def test_a_star_import_hides_no_builtin():
    names = {}
    exec("from chainrule import *", names)  # noqa: S102 - a star import stands at a module's top
    assert names["check"] is chainrule.check
    assert "open" not in names
    assert "compile" not in names
