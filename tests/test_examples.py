"""Every file of examples/ runs as a user runs it, without a warning, and learns what it shows."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import chainrule

EXAMPLES = Path(__file__).parents[1] / "examples"
LEAST = {"digits_chain": 0.96, "half_moons": 0.98, "several_classes": 0.98, "spiral": 0.98}
"""The accuracy that each line with one has to reach."""


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_example(example, tmp_path):
    package = str(Path(chainrule.__file__).parents[1])
    run = subprocess.run(  # noqa: S603 - our own files
        [sys.executable, "-W", "error", example],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        encoding="utf-8",
        env=os.environ | {"PYTHONPATH": package, "PYTHONIOENCODING": "utf-8"},
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    accuracies = [float(x) for x in re.findall(r"accuracy.*: +([\d.]+)", run.stdout)]
    if example.stem in LEAST:
        assert accuracies
        assert min(accuracies) >= LEAST[example.stem]


def test_the_examples_are_there():
    assert LEAST.keys() <= {path.stem for path in EXAMPLES.glob("*.py")}
