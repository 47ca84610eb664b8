"""The line of the user's program that is running."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from chainrule.graph.graph import NOWHERE, Where

__all__ = ["user_line"]

_OURS = str(Path(__file__).parent.parent)
_THEIRS = str(Path(np.__file__).parent)


def user_line() -> Where:
    """Return the innermost running line that is neither ours nor NumPy's."""
    frame = sys._getframe(1)  # noqa: SLF001 - the one quick way to the line that is running
    while True:
        file = frame.f_code.co_filename
        if not file.startswith((_OURS, _THEIRS)):
            return Where(file, frame.f_lineno)
        if frame.f_back is None:
            return NOWHERE
        frame = frame.f_back
