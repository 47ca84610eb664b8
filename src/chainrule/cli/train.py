"""``chainrule train``: from a table to a model file."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chainrule.cli import watching, wording
from chainrule.cli.reporting import print_json, reported
from chainrule.interop import data

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["train"]

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="CSV, TSV, Parquet, Arrow IPC, NPY or NPZ.")
]


def train(
    file: File,
    target: Annotated[str, typer.Option(help="The column to predict.")],
    out: Annotated[Path, typer.Option(help="The model file to write.")],
    task: Annotated[
        str, typer.Option(help="classification or regression; else inferred from the target.")
    ] = "",
    features: Annotated[list[str] | None, typer.Option(help="Columns to use, if not all.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Columns not to use.")] = None,
    categorical: Annotated[
        list[str] | None, typer.Option(help="Columns whose numbers are names of categories.")
    ] = None,
    missing: Annotated[
        list[str] | None, typer.Option(help="Text for a missing value, beside the empty field.")
    ] = None,
    dates: Annotated[
        str, typer.Option(help="parts: year, month, day, weekday, hour; else dates are left out.")
    ] = "",
    hidden: Annotated[
        list[int] | None, typer.Option(help="Units of the hidden layers: 64 32; 0 for none.")
    ] = None,
    activation: Annotated[str, typer.Option(help="Between the layers.")] = "relu",
    dropout: Annotated[float, typer.Option(help="Probability of dropping a unit.")] = 0.0,
    optimiser: Annotated[
        str, typer.Option(help="adam, adamw, rmsprop, adagrad, sgd or lion.")
    ] = "adam",
    learning_rate: Annotated[float, typer.Option(help="How far a step goes.")] = 0.001,
    epochs: Annotated[int, typer.Option(help="Passes over the rows.")] = 20,
    batch_size: Annotated[int, typer.Option(help="Rows a step.")] = 32,
    clip_norm: Annotated[float, typer.Option(help="Largest norm of a gradient; 0: any.")] = 0.0,
    validation: Annotated[float, typer.Option(help="The part of the rows kept aside.")] = 0.1,
    patience: Annotated[
        int, typer.Option(help="Epochs without a better loss, then stop; 0: never.")
    ] = 0,
    checkpoint_every: Annotated[
        int, typer.Option(min=0, help="Epochs between checkpoints; 0: only on Ctrl-C.")
    ] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    threads: Annotated[int, typer.Option(help="That share a step; 0: as it is worth.")] = 0,
    memory: Annotated[
        int, typer.Option(help="Megabytes of rows in memory; larger tables are streamed.")
    ] = 256,
    seed: Annotated[int, typer.Option(help="Of weights, order and what is kept aside.")] = 0,
    plot: Annotated[
        Path | None, typer.Option(help="A PNG of losses and gradients to write.")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="A folder for TensorBoard's event files.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
) -> None:
    """Train a dense network to predict a column of a table, and write it into a file.

    Ctrl-C leaves OUT.checkpoint, from which --resume goes on.
    """
    with reported(debug=debug, as_json=as_json):
        data.require_writable(out, plot)
        draw = None if plot is None else data.draw_training  # an absent matplotlib is said now
        checkpoint = out.with_name(f"{out.name}.checkpoint")
        watcher = watching.watcher(as_json=as_json, tensorboard=tensorboard)
        with watcher, _inviting(checkpoint):
            if checkpoint.exists() and not resume:
                watcher.note(f"{checkpoint} is of an earlier training; --resume goes on from it")
            trained = data.train_table(
                file,
                target,
                task=task,
                features=features or (),
                drop=drop or (),
                categorical=categorical or (),
                missing=missing or (),
                dates=dates,
                checkpoint=checkpoint,
                checkpoint_every=checkpoint_every,
                resume=resume,
                listener=watcher,
                hidden=_layers(hidden),
                activation=activation,
                dropout=dropout,
                optimiser=optimiser,
                learning_rate=learning_rate,
                epochs=epochs,
                batch_size=batch_size,
                clip_norm=clip_norm,
                validation=validation,
                patience=patience,
                threads=threads,
                memory=memory,
                seed=seed,
            )
        trained.model.save(out)
        if not checkpoint_every:
            checkpoint.unlink(missing_ok=True)
        if draw is not None and plot is not None:
            draw(trained.history, plot)
        _say(trained, out, plot, as_json=as_json)


@contextmanager
def _inviting(checkpoint: Path) -> Iterator[None]:
    """Say after Ctrl-C how to go on, if there is something to go on from."""
    try:
        yield
    except KeyboardInterrupt:
        if checkpoint.exists():
            typer.echo("go on from there with the same command and --resume", err=True)
        raise


def _layers(hidden: list[int] | None) -> tuple[int, ...]:
    if hidden is None:
        return (64, 32)
    return () if hidden == [0] else tuple(hidden)


def _say(trained: Any, out: Path, plot: Path | None, *, as_json: bool) -> None:
    """Print what came of it."""
    found = trained.evaluation
    if as_json:
        print_json(
            {
                "model": str(out),
                "notes": trained.notes,
                "history": trained.model.about["history"],
                "stopped": trained.stopped,
                "metrics": found.metrics(),
                "kept aside": trained.is_kept_aside,
                **found.details(),
            }
        )
        return
    if trained.stopped:
        typer.echo(f"  {trained.stopped}")
    rows = "rows kept aside" if trained.is_kept_aside else "the rows it was trained on"
    typer.echo(f"\nOn {found.metrics()['rows']:,} {rows}:\n")
    for line in wording.evaluation(found):
        typer.echo(line)
    typer.echo(f"\nModel written to {out}")
    if plot is not None:
        typer.echo(f"Picture written to {plot}")
