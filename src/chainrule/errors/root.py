"""The root of all errors, and the line of the user's program that each of them names."""

from __future__ import annotations

import functools
import importlib
import os
import sys
import threading
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import optree

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["ChainruleError", "is_library"]

_HOUSE = Path(__file__).parents[1]
_LIBRARIES = (
    *[str(part) for part in _HOUSE.iterdir() if part.name != "cli"],  # commands are users too
    *[f"{Path(module).parent}{os.sep}" for module in (np.__file__, optree.__file__)],
    # These are not loaded yet.
    *[f"{Path(np.__file__).parent.with_name(name)}{os.sep}" for name in ("scipy", "sklearn")],
    importlib.__file__,
    functools.__file__,
    threading.__file__,
    f"{Path(threading.__file__).with_name('concurrent')}{os.sep}",
    "<frozen ",  # the modules that Python starts with
)


@functools.cache
def is_library(file: str) -> bool:
    """Return whether the lines of a file are ours, or a library's, and not the user's."""
    return file.startswith(_LIBRARIES)


def _user_line() -> str:
    """Return the innermost running line that is the user's."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the way to the running line
    while frame is not None and is_library(frame.f_code.co_filename):
        frame = frame.f_back
    return f"{PurePath(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else ""


class ChainruleError(Exception):
    """The root of the tree: a sentence, the facts under it, and the way out.

    Parameters
    ----------
    what
        One sentence: what happened and what was expected.
    *facts
        The values involved, a line each.
    advice
        What to do; what helps with most errors of the class, if it is not said.
    where
        The line of the user's program, as ``model.py:12``; the line that is running, if it is
        not said.
    """

    __module__ = "chainrule.errors"  # as a traceback names it
    code: ClassVar[str] = ""
    way_out: ClassVar[str] = ""

    def __init__(self, what: str, *facts: str, advice: str = "", where: str = "") -> None:
        self.what = what
        self.facts = facts
        self.advice = advice or self.way_out
        self.where = where or _user_line()
        super().__init__(what)

    def __str__(self) -> str:
        """Return the code, the sentence, the facts, the line and the advice, a line each."""
        head = f"{self.code} {type(self).__name__}: {self.what}".lstrip()
        at = f"at {self.where}"
        lines = [at] if self.where and at not in self.facts else []
        return "\n  ".join([head, *self.facts, *lines, *self.advice.splitlines()])

    def located(self, *facts: str, where: str = "") -> Self:
        """Return the same error with more facts under it, and the line if it is known."""
        return type(self)(
            self.what, *self.facts, *facts, advice=self.advice, where=where or self.where
        )
