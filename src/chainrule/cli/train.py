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

_COLUMNS = "COLUMN..."
File = Annotated[
    Path, typer.Argument(metavar="FILE", help="CSV, TSV, Parquet, Arrow IPC, NPY or NPZ.")
]


def train(
    file: File,
    target: Annotated[str, typer.Option(metavar="COLUMN", help="The column to predict.")],
    out: Annotated[Path, typer.Option(metavar="MODEL", help="The model file to write.")],
    task: Annotated[
        str,
        typer.Option(
            metavar="TASK",
            help="classification or regression; inferred from the target if not given.",
        ),
    ] = "",
    features: Annotated[
        list[str] | None, typer.Option(metavar=_COLUMNS, help="Columns to use; all if not given.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(metavar=_COLUMNS, help="Columns not to use.")
    ] = None,
    categorical: Annotated[
        list[str] | None,
        typer.Option(metavar=_COLUMNS, help="Columns whose numbers are names of categories."),
    ] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT...",
            help="What stands for a missing value, such as NA; the empty field always does.",
        ),
    ] = None,
    dates: Annotated[
        str,
        typer.Option(
            metavar="parts",
            help="Use dates as year, month, day, weekday and hour; left out if not given.",
        ),
    ] = "",
    hidden: Annotated[
        list[int] | None,
        typer.Option(
            metavar="UNITS...", help="Units of each hidden layer; 0 for none.  [default: 64 32]"
        ),
    ] = None,
    activation: Annotated[
        str, typer.Option(metavar="NAME", help="Between the layers: relu, tanh, sigmoid, gelu, …")
    ] = "relu",
    dropout: Annotated[
        float, typer.Option(metavar="P", help="Probability of dropping a hidden unit in a step.")
    ] = 0.0,
    optimiser: Annotated[
        str, typer.Option(metavar="NAME", help="adam, adamw, rmsprop, adagrad, sgd or lion.")
    ] = "adam",
    learning_rate: Annotated[
        float, typer.Option(metavar="RATE", help="How far a step goes.")
    ] = 0.001,
    epochs: Annotated[int, typer.Option(metavar="N", help="Passes over the rows.")] = 20,
    batch_size: Annotated[int, typer.Option(metavar="N", help="Rows in a step.")] = 32,
    clip_norm: Annotated[
        float,
        typer.Option(metavar="NORM", help="Shorten longer gradients of a step to it; 0: never."),
    ] = 0.0,
    validation: Annotated[
        float, typer.Option(metavar="PART", help="The part of the rows kept aside to judge on.")
    ] = 0.1,
    patience: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Stop after N epochs without a lower loss, with the best weights; 0: never.",
        ),
    ] = 0,
    checkpoint_every: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Write MODEL.checkpoint every N epochs; 0: only on Ctrl-C."
        ),
    ] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from MODEL.checkpoint.")] = False,
    threads: Annotated[
        int, typer.Option(metavar="N", help="Threads that share a step; 0: as many as it is worth.")
    ] = 0,
    memory: Annotated[
        int,
        typer.Option(
            metavar="MB", help="Megabytes for rows; a larger table is read anew in each epoch."
        ),
    ] = 256,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N", help="Decides first weights, order, dropout and rows kept aside."
        ),
    ] = 0,
    plot: Annotated[
        Path | None, typer.Option(metavar="PNG", help="Draw losses and gradients into a picture.")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write event files for TensorBoard.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, for machines.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks of errors.")] = False,
) -> None:
    """Train a dense network to predict a column of a table.

    Options that take several values, as in --hidden 64 32, come after FILE.

    Ctrl-C leaves MODEL.checkpoint, from which the same command with --resume goes on.

    Exit codes: 0; 1 for a run that failed; 2 for wrong use; 130 after Ctrl-C.
    """
    with reported(debug=debug, as_json=as_json):
        data.require_writable(out, plot, inputs=[file])
        if tensorboard is not None and tensorboard.exists():
            data.require_writable(tensorboard / "events")
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
    except KeyboardInterrupt as interrupt:
        if checkpoint.exists():
            typer.echo("go on from there with the same command and --resume", err=True)
        elif not str(interrupt):  # before the first step, of which the training says more
            typer.echo("interrupted; nothing was written", err=True)
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
    count = f"{found.metrics()['rows']:,} row{'s' if found.metrics()['rows'] != 1 else ''}"
    rows = f"{count} kept aside" if trained.is_kept_aside else f"the {count} it was trained on"
    typer.echo(f"\nOn {rows}:\n")
    for line in wording.evaluation(found):
        typer.echo(line)
    typer.echo(f"\nModel written to {out}")
    if plot is not None:
        typer.echo(f"Picture written to {plot}")
