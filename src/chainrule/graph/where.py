"""The line of the user's program that is running."""

from __future__ import annotations

import sys

from chainrule.errors.root import is_library
from chainrule.graph.graph import NOWHERE, Where

__all__ = ["user_line"]


def user_line() -> Where:
    """Return the innermost running line that is neither ours nor a library's."""
    frame = sys._getframe(1)  # noqa: SLF001 - the one quick way to the line that is running
    while True:
        file = frame.f_code.co_filename
        if not is_library(file):
            return Where(file, frame.f_lineno)
        if frame.f_back is None:
            return NOWHERE
        frame = frame.f_back
