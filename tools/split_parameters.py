"""Give each of several parameters that a docstring describes together an entry of its own.

``epochs, batch_size`` has one description and two defaults. What renders the reference takes type
and default of the first for both, so the page would be wrong about the second. It reads docstrings
by way of this extension, which repeats the description.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

TOGETHER = re.compile(r"^( *)(\w+(?:, \w+)+)\n((?:\1 +\S.*\n?|\n(?=\1 ))+)", re.MULTILINE)
"""Names without a type on a line, and below it what is indented more."""

SECTION = re.compile(
    r"^(?:Parameters|Attributes)\n-+\n.*?(?=^\S[^\n]*\n-+$|\Z)", re.MULTILINE | re.DOTALL
)


class SplitParameters(griffe.Extension):
    """Repeat a description for each name above it, in sections of parameters and attributes."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Change the docstring of an object before it is read."""
        if obj.docstring is not None:
            obj.docstring.value = split(obj.docstring.value)


def split(docstring: str) -> str:
    """Return a docstring whose parameters are described one by one."""
    return SECTION.sub(lambda section: TOGETHER.sub(_one_by_one, section[0]), docstring)


def _one_by_one(found: re.Match[str]) -> str:
    indent, names, description = found.groups()
    text = description.rstrip("\n")
    rest = description[len(text) :] or "\n"
    return "\n".join(f"{indent}{name}\n{text}" for name in names.split(", ")) + rest
