"""Processes of their own: what is fresh in one is not fresh twice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ROOT", "asked", "until"]

ROOT = Path(__file__).resolve().parent.parent


def asked(module: str, *arguments: str) -> Any:
    """Run ``python -m module arguments`` and return the JSON of its last line.

    It has the threads and cores of this process.
    """
    command = [sys.executable, "-m", module, *arguments]
    return json.loads(output(command, {}).splitlines()[-1])


def until(program: str, extra: Mapping[str, str] = os.environ) -> float:
    """Run a program and return the seconds from its start to when it says ``done()``.

    Parameters
    ----------
    program
        Python; ``done`` is defined in it.
    extra
        What its environment has besides this one's.
    """
    # The clock is the system's, so both processes read the same.
    program = (
        f"import time\ndone = lambda: print(time.clock_gettime(time.CLOCK_MONOTONIC))\n{program}"
    )
    start = time.clock_gettime(time.CLOCK_MONOTONIC)
    said = output([sys.executable, "-c", program], extra)
    return float(said.splitlines()[-1]) - start


def output(command: list[str], extra: Mapping[str, str]) -> str:
    """Return what a command prints, or raise with the last line of what it complains of."""
    done = subprocess.run(  # noqa: S603 - this Python, and text of these files
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **extra}
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["failed without a word"])[-1])
    return done.stdout
