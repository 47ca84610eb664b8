"""Warnings that name the line of the user's program, as errors do."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING

from chainrule.errors.root import is_library

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["warn"]


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost running line that is the user's.

    A level that is counted by hand is another one in `fit`, which scikit-learn wraps, than in
    `partial_fit`, and is wrong as soon as a function is split.

    Parameters
    ----------
    message
        What to say.
    category
        The kind of the warning.
    """
    level = 1
    frame: FrameType | None = sys._getframe(0)  # noqa: SLF001 - the way to the running line
    while frame is not None and is_library(frame.f_code.co_filename):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
