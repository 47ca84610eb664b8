"""What tests of the commands for tables share: a table, and two ways to run a command."""

import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from chainrule import cli

FORMATS = ["csv", "tsv", "parquet", "arrow", "npy", "npz"]


def rows(count=400, seed=0):
    """Return a table whose classes follow from two numbers and a town."""
    rng = np.random.default_rng(seed)
    age, income = rng.normal(45, 12, count), rng.normal(30, 9, count)
    town = rng.choice(["Ulm", "Bonn", "Kiel"], count)
    score = (age - 45) / 12 + (income - 30) / 9 + (town == "Ulm")
    y = np.where(score > 0.3, "buys", "leaves")
    return pl.DataFrame({"age": age, "income": income, "town": town, "y": y})


# No file of the process grows beyond 8 kB, bytecode and caches as well: -B leaves them alone.
_LIMITED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, 8_000))
from chainrule import cli
cli.main()
"""
FULL_DISK = ("-B", "-c", _LIMITED)


def run(*arguments, code=0, program=("-m", "chainrule"), **options):
    """Run the command in a process of its own, and return what it printed."""
    done = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-W", "error", *program, *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        **options,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


def here(monkeypatch, capsys, *arguments, code=0):
    """Run the command in this process, which is faster."""
    monkeypatch.setattr(sys, "argv", ["chainrule", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        cli.main()
    said = capsys.readouterr()
    assert left.value.code == code, said.out + said.err
    assert "Traceback" not in said.err
    return said.out, said.err
