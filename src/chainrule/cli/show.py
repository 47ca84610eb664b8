"""``chainrule show``: what is in a model file."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from chainrule.cli import wording
from chainrule.cli.reporting import print_json, reported
from chainrule.interop import data

__all__ = ["show"]


def show(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="What `train` wrote.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
) -> None:
    """Print layers, shapes, parameters and what the preprocessing does."""
    with reported(debug=debug, as_json=as_json):
        trained = data.read_model(model)
        if as_json:
            print_json(
                {
                    "preprocessing": trained.preprocessing.to_record(),
                    "architecture": trained.architecture.to_record(),
                    "parameters": {n: list(p.shape) for n, p in trained.network.named_parameters()},
                    "about": trained.about,
                }
            )
            return
        for line in wording.model(trained):
            typer.echo(line)
