"""Write the pages of docs/findings from the docstrings of the causes, one for each code.

Run it after a cause is added or its docstring changed; a test holds the pages against it.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING

import chainrule.inspect
from chainrule.inspect.finding import CAUSES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chainrule.inspect.finding import Cause

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "findings"
FAMILIES = {
    "CD1": ("The set-up and what backward returns", "before any number is judged"),
    "CD2": ("Wrong gradients, by cause", "what `check` says of a backward pass"),
    "CD3": ("The structure of a network", "what `lint` says"),
    "CD4": ("A training", "what its history shows"),
    "CD5": ("A number that is zero, huge or none", "what `why` says"),
}
MEANING = {
    "error": "An error: the numbers are wrong, or there are none.",
    "warning": "A warning: the numbers are right, and hardly what was meant.",
    "note": "A note: nothing is wrong.",
}


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(exist_ok=True)
    wanted = pages()
    for path in FOLDER.glob("*.md"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"docs/findings: {len(wanted)} pages")


def pages() -> dict[str, str]:
    """Return the text of every page by the name of its file."""
    for module in pkgutil.walk_packages(chainrule.inspect.__path__, "chainrule.inspect."):
        importlib.import_module(module.name)
    found = {f"{code}.md": page(known) for code, known in sorted(CAUSES.items())}
    return {"index.md": index(), **found}


def index() -> str:
    """Return the list of all codes."""
    lines = ["# Findings", "", "What the checks can say, each with a page of its own."]
    for family, (title, when) in FAMILIES.items():
        own = [known for code, known in sorted(CAUSES.items()) if code.startswith(family)]
        lines += ["", f"## {title}", "", f"{when[:1].upper()}{when[1:]}.", ""]
        lines += ["| code | what | |", "|---|---|---|"]
        lines += [f"| [{c.code}]({c.code}.md) | {c.name} | {c.severity} |" for c in own]
    return "\n".join(lines) + "\n"


def page(known: Cause) -> str:
    """Return the page of a cause: its docstring, with its sections as headings."""
    title, _, rest = inspect.cleandoc(known.doc).partition("\n")
    body = "\n".join(_sections(rest.strip("\n").splitlines()))
    parts = [f"# {known.code} {known.name}", title, body, MEANING[known.severity]]
    text = "\n\n".join(part.strip() for part in parts if part.strip())
    return text.replace("``", "`") + "\n"


def _sections(lines: list[str]) -> Iterator[str]:
    """Yield the lines of a docstring; a line over an indented block becomes a heading."""
    for place, line in enumerate(lines):
        below = lines[place + 1] if place + 1 < len(lines) else ""
        if line and not line.startswith(" ") and below.startswith("    "):
            yield f"## {line}\n"
        else:
            yield line.removeprefix("    ")


if __name__ == "__main__":
    main()
