"""``chainrule evaluate``: how good a model is on a table that has the target."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from chainrule.cli import wording
from chainrule.cli.reporting import print_json, reported
from chainrule.interop import data

__all__ = ["evaluate"]


def evaluate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="What `train` wrote.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A table with the target.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
) -> None:
    """Compare what a model predicts with what a table says."""
    with reported(debug=debug, as_json=as_json):
        trained = data.read_model(model)
        reading = trained.open(file, with_target=True)
        found = trained.judge(reading)
        if as_json:
            print_json({"metrics": found.metrics(), **found.details(), "notes": reading.notes})
            return
        for line in (*reading.notes, *wording.evaluation(found)):
            typer.echo(line)
