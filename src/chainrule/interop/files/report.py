"""What a check of a file found, and the record in which one process tells another."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chainrule.inspect.finding import Finding, Fix

__all__ = ["Report", "finding_of", "record_of"]


@dataclass
class Report:
    """What was found in a file.

    Attributes
    ----------
    file
        As the user named it.
    findings
        In the order of the file.
    checked
        What was checked, by name.
    skipped
        What could not be.
    printed
        What the file printed meanwhile.
    """

    file: str
    findings: list[Finding] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    printed: str = ""

    def add(self, findings: list[Finding], line: int) -> None:
        """Take findings about something that stands on a line, each once."""
        known = {(f.code, f.where, f.tensor) for f in self.findings}
        for found in findings:
            placed = dataclasses.replace(found, where=self._placed(found.where, line))
            if (placed.code, placed.where, placed.tensor) not in known:
                self.findings.append(placed)

    def _placed(self, where: str, line: int) -> str:
        """Return a line under the path that the user named; the one of the target if none is."""
        name, _, number = where.rpartition(":")
        if name and Path(name).name == Path(self.file).name:
            return f"{self.file}:{number}"
        return where or f"{self.file}:{line}"

    def selected(self, codes: tuple[str, ...]) -> Report:
        """Return the report with the findings alone whose codes start so."""
        own = [f for f in self.findings if not codes or f.code.startswith(codes)]
        return dataclasses.replace(self, findings=own)

    def count(self, severity: str) -> int:
        """Return how many findings there are of a severity."""
        return sum(f.severity == severity for f in self.findings)

    @property
    def is_clean(self) -> bool:
        """Whether there is nothing but notes."""
        return all(f.severity == "note" for f in self.findings)

    def to_record(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "file": self.file,
            "checked": self.checked,
            "skipped": self.skipped,
            "findings": [record_of(f) for f in self.findings],
        }


def record_of(found: Finding) -> dict[str, Any]:
    """Return a finding as plain data.

    Examples
    --------
    >>> record_of(Finding("CD201", "wrong sign", "W1"))["tensor"]
    'W1'
    """
    return dataclasses.asdict(found)


def finding_of(record: dict[str, Any]) -> Finding:
    """Return the finding that a record is of.

    Examples
    --------
    >>> found = Finding("CD201", "wrong sign", "W1", fix=Fix("dW1 = X.T @ dZ1"))
    >>> finding_of(record_of(found)) == found
    True
    """
    fix = Fix(**record["fix"]) if record["fix"] else None
    lists = {name: tuple(record[name]) for name in ("evidence", "also")}
    return Finding(**{**record, **lists, "fix": fix})
