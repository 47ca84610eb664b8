"""Findings as lines of a terminal: place, code and cause, and under it what is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from chainrule.inspect.finding import Finding
    from chainrule.interop.files import Report

__all__ = ["report", "say", "shown", "summary"]

_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold cyan"}


def report(found: Report, *, quiet: bool) -> None:
    """Print what was found in a file.

    Parameters
    ----------
    found
        Findings, and what was checked.
    quiet
        Whether to leave out notes, and the summary.
    """
    console = Console(highlight=False)
    for one in found.findings:
        if not quiet or one.severity != "note":
            say(console, shown(one))
    if not quiet:
        if found.findings:
            console.print()
        say(console, Text(summary(found)))


def say(console: Console, text: Text) -> None:
    """Print a text as it is: its lines are not broken."""
    console.print(text, soft_wrap=True)


def shown(one: Finding) -> Text:
    """Return a finding with colours, which a console leaves out where there is no screen."""
    text = Text(str(one))
    head = len(str(one).split("\n", 1)[0])
    text.stylize("dim", head)
    at = len(one.where) + 2 if one.where else 0
    text.stylize("bold", 0, max(at - 2, 0))
    text.stylize(_STYLES[one.severity], at, at + len(one.code))
    for line in ("write:",):
        place = str(one).find(f"\n  {line}")
        if place >= 0 and one.fix is not None:
            text.stylize("green", place, place + 4 + len(line) + len(one.fix.numpy))
    return text


def summary(found: Report) -> str:
    """Return the last line: how many there are of what, and what was looked at.

    Examples
    --------
    >>> from chainrule.interop.files import Report
    >>> summary(Report("net.py", checked=["forward, backward", "Affine"]))
    'Nothing is wrong. Checked forward, backward; Affine.'
    """
    counts = [(found.count(s), s) for s in ("error", "warning", "note")]
    said = ", ".join(f"{n} {s}{'s' * (n > 1)}" for n, s in counts if n)
    head = f"{said}." if said else "Nothing is wrong."
    if said and found.is_clean:
        head = f"Nothing is wrong; {said}."
    checked = f" Checked {'; '.join(found.checked)}." if found.checked else ""
    skipped = f" Not checked: {'; '.join(found.skipped)}." if found.skipped else ""
    return f"{head}{checked}{skipped}"
