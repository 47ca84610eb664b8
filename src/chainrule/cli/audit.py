"""``chainrule audit``: whether an installed package uses the gradients of its own losses."""

from __future__ import annotations

import importlib
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from chainrule.cli import findings, wording
from chainrule.cli.reporting import print_json, reported

if TYPE_CHECKING:
    from chainrule.interop.audit import Audit, Row

__all__ = ["audit"]


class Package(StrEnum):
    """What can be audited."""

    sklearn = "sklearn"


def audit(
    package: Annotated[Package, typer.Argument(help="The package.")],
    seed: Annotated[int, typer.Option(min=0, help="Of data and weights.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
) -> None:
    """Compare the gradients of MLPClassifier and MLPRegressor with the derivatives of their losses.

    Exit code 0 if they agree, 1 if one does not.
    """
    with reported(debug=debug, as_json=as_json):
        del package  # there is one
        found: Audit = importlib.import_module("chainrule.interop.audit").audit_sklearn(seed)
        if as_json:
            print_json(found.to_record())
        else:
            _print(found)
        raise typer.Exit(1 if found.findings else 0)


def _print(found: Audit) -> None:
    console = Console(highlight=False)
    findings.say(console, Text(f"scikit-learn {found.version}", "bold"))
    findings.say(console, Text("The gradient that it uses, divided by the derivative of its loss:"))
    console.print()
    for line, is_right in _table(found):
        findings.say(console, Text(line, "" if is_right else "red"))
    console.print()
    for line in _meaning(found):
        findings.say(console, Text(line))
    for title, one in found.findings:
        console.print()
        findings.say(console, Text(f"{title}:"))
        findings.say(console, findings.shown(one))


def _table(found: Audit) -> list[tuple[str, bool]]:
    """Return a line for each loss and solver, with a column for each number of outputs."""
    counts = sorted({row.outputs for row in found.rows})
    named: dict[tuple[str, ...], dict[int, Row]] = {}
    for row in found.rows:
        key = (row.estimator, row.loss, row.output, row.solver)
        named.setdefault(key, {})[row.outputs] = row
    head = ["estimator", "loss", "output", "solver", *[_outputs(k) for k in counts]]
    body = [[*key, *[_ratio(own.get(k)) for k in counts]] for key, own in named.items()]
    right = [True, *[all(row.is_right for row in own.values()) for own in named.values()]]
    return list(zip(wording.columns([head, *body], left=4), right, strict=True))


def _outputs(count: int) -> str:
    return f"{count} output{'s' * (count > 1)}"


def _ratio(row: Row | None) -> str:
    if row is None:
        return "-"
    low, high = row.ratios
    return f"{low:.6g}" if high - low < 1e-9 * high else f"{low:.4g} to {high:.4g}"


def _meaning(found: Audit) -> list[str]:
    """Return in words what was compared, and what differs."""
    wrong = [row for row in found.rows if not row.is_right]
    compared = sum(row.compared for row in found.rows)
    count = sum(row.compared for row in wrong)
    lines = [
        f"{compared} networks: each activation, with and without alpha and weights of examples.",
        f"{count or 'None'} of them have a gradient that is not the derivative of their loss.",
    ]
    if any(row.penalised != row.ratios for row in wrong):
        lines.append("The ratios are without alpha; its own part of the gradient is right.")
    return lines
