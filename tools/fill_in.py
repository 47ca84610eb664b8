"""Fill into pages what the package itself knows: its commands, and which names it has.

MkDocs calls `on_page_markdown` with the text of each page. A line ``<!-- filled in: KIND -->``
gives way to what the function of that kind in `KINDS` returns, so such a list is never older than
the package.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from typer.main import get_command
from typer.testing import CliRunner

from chainrule import nn
from chainrule.cli import app
from chainrule.graph import NUMPY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

WIDTH = "88"
"""How many columns a page has for the help of a command."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page's text with everything that is asked for in it."""
    return re.sub(r"<!-- filled in: (\w+) -->", lambda found: KINDS[found[1]](), markdown)


def commands() -> str:
    """Return a heading and the help of each command."""
    names = get_command(app).list_commands(None)  # type: ignore[attr-defined]
    return "\n\n".join(f"## {name}\n\n```text\n{_help_of(name)}\n```" for name in names)


def _help_of(command: str) -> str:
    answer = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": WIDTH})
    return answer.output.strip().replace("Usage: root", "Usage: chainrule")


def activations() -> str:
    """Return a table of the activations that have a name."""
    names = {kind: name for name, kind in reversed(nn.ACTIVATIONS.items())}
    rows = []
    for kind, name in reversed(names.items()):
        said = (kind.__doc__ or "").splitlines()[0].replace("|", r"\|")
        rows.append(f'| `nn.{kind.__name__}` | `"{name}"` | {said} |')
    return "\n".join(["| module | by name | what it returns |", "| --- | --- | --- |", *rows])


def initialisers() -> str:
    """Return the names of the initialisers."""
    return ", ".join(f'`"{name}"`' for name in nn.INITIALISERS)


def numpy_functions() -> str:
    """Return the functions of NumPy that record an op, by where NumPy has them."""
    homes = {"numpy": "np", "numpy.linalg": "np.linalg"}
    found = {
        label: _public(home, (key for key in NUMPY if not isinstance(key, str | tuple)))
        for home, label in homes.items()
    }
    return "\n\n".join(
        f"From `{label}`: {', '.join(f'`{name}`' for name in names)}."
        for label, names in found.items()
    )


def _public(home: str, functions: Iterable[Any]) -> list[str]:
    """Return by which names a module of NumPy has functions."""
    module: Any = {"numpy": np, "numpy.linalg": np.linalg}[home]
    wanted = set(map(id, functions))
    return [name for name in sorted(dir(module)) if id(getattr(module, name)) in wanted]


KINDS: dict[str, Callable[[], str]] = {
    "activations": activations,
    "commands": commands,
    "initialisers": initialisers,
    "numpy_functions": numpy_functions,
}
