"""The commands. Thin: each calls what a script can call too.

Exit codes: 0, 1 for a run that failed, 2 for wrong use, 130 when interrupted.
"""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from chainrule.cli.audit import audit
from chainrule.cli.check import check
from chainrule.cli.evaluate import evaluate
from chainrule.cli.predict import predict
from chainrule.cli.show import show
from chainrule.cli.spreading import Spreading
from chainrule.cli.train import train
from chainrule.errors import ChainruleError

__all__ = ["app", "main"]

app = typer.Typer(
    name="chainrule",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain text, in a terminal and out of one
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"chainrule {version('chainrule')}")
        raise typer.Exit


@app.callback()
def chainrule(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Backpropagation with the lid off."""


@app.command()
def demo(
    seed: Annotated[int, typer.Option(min=0, help="Of the first weights and the order.")] = 0,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the images.")] = 40,
) -> None:
    """Train a network on digits, check its gradient, open one derivative."""
    importlib.import_module("chainrule.cli.demo").demo(seed, epochs)


for table_command in (train, predict, evaluate, show):
    app.command(cls=Spreading)(table_command)
app.command()(check)
app.command()(audit)


def main() -> None:
    """Run a command, and print an error of ours as text."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without ∂ shows ? in its place
    try:
        app()
    except ChainruleError as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
