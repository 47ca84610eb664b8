"""``chainrule predict``: from a model file and a table to predictions."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated

import typer

from chainrule.cli.reporting import print_json, reported
from chainrule.interop import data

__all__ = ["predict"]


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="What `train` wrote.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The table, as for `train`.")],
    out: Annotated[
        Path | None,
        typer.Option(help="A CSV, TSV, Parquet, Arrow IPC, NPY or NPZ file; else printed as CSV."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks.")] = False,
) -> None:
    """Predict the target for each row of a table.

    Columns may come in any order, and further ones are not used.
    """
    with reported(debug=debug, as_json=as_json):
        data.require_writable(out, inputs=[model, file])
        trained = data.read_model(model)
        reading = trained.open(file)
        frames = trained.predictions(reading)
        if out is not None:
            rows = data.write_predictions(frames, out)
            if as_json:
                print_json({"predictions": str(out), "rows": rows, "notes": reading.notes})
            else:
                typer.echo(f"{rows:,} predictions written to {out}")
        elif as_json:
            rows_of = [row for frame in frames for row in frame.to_dicts()]
            print_json({"predictions": rows_of, "rows": len(rows_of), "notes": reading.notes})
        else:
            for k, frame in enumerate(frames):
                typer.echo(frame.write_csv(include_header=not k), nl=False)
        if not as_json:
            for note in reading.notes:
                typer.echo(note, err=True)
